#include "proto/peek.h"

enum { DIGITS_MAX = 9 };

// "<type><number>\r\n" at *at, which goes behind it.
static bool take_header(struct bytes input, size_t *at, char type, size_t *number)
{
    const char *p = input.data + *at, *end = input.data + input.len;
    if (p == end || *p++ != type) return false;
    const char *digits = p;
    size_t n = 0;
    while (p < end && p - digits < DIGITS_MAX && (unsigned char)(*p - '0') < 10)
        n = n * 10 + (size_t)(*p++ - '0');
    if (p == digits || end - p < 2 || p[0] != '\r' || p[1] != '\n') return false;
    *number = n;
    *at = (size_t)(p + 2 - input.data);
    return true;
}

size_t request_peek(struct bytes input, struct bytes *first)
{
    size_t at = 0, words, len;
    *first = bytes_of("", 0);
    if (!take_header(input, &at, '*', &words) || words < 1 || words > PEEK_ARGS_MAX) return 0;
    for (size_t i = 0; i < words; i++) {
        if (!take_header(input, &at, '$', &len) || input.len - at < len + 2) return 0;
        if (i == 1) *first = bytes_of(input.data + at, len);
        at += len + 2;
    }
    return at;
}
