#include "base/text.h"

#include "base/mem.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

bool text_to_u64(struct bytes text, uint64_t *out)
{
    if (text.len == 0 || text.len > 20) return false;
    if (text.data[0] == '0' && text.len > 1) return false;
    uint64_t n = 0;
    for (size_t i = 0; i < text.len; i++) {
        unsigned digit = (unsigned)(unsigned char)text.data[i] - '0';
        if (digit > 9) return false;
        if (__builtin_mul_overflow(n, 10u, &n) || __builtin_add_overflow(n, digit, &n))
            return false;
    }
    *out = n;
    return true;
}

bool text_to_i64(struct bytes text, int64_t *out)
{
    bool negative = text.len > 0 && text.data[0] == '-';
    if (negative) text = bytes_of(text.data + 1, text.len - 1);
    uint64_t n;
    if (!text_to_u64(text, &n)) return false;
    if (negative) {
        if (n == 0 || n > (uint64_t)INT64_MAX + 1) return false;
        *out = (int64_t)(0 - n);
        return true;
    }
    if (n > INT64_MAX) return false;
    *out = (int64_t)n;
    return true;
}

// strtod accepts leading spaces, "nan" and hex, none of which a value may be written as.
static bool plain_number(struct bytes text)
{
    if (text.len == 0 || text.len > 255 || isspace((unsigned char)text.data[0])) return false;
    return memchr(text.data, 'x', text.len) == NULL && memchr(text.data, 'X', text.len) == NULL &&
           memchr(text.data, '\0', text.len) == NULL;
}

bool text_to_double(struct bytes text, double *out)
{
    char copy[256], *end;
    if (!plain_number(text)) return false;
    memcpy(copy, text.data, text.len);
    copy[text.len] = '\0';
    double number = strtod(copy, &end);
    if (*end != '\0' || isnan(number)) return false;
    // An overflow is not infinity; only the word is.
    if (isinf(number) && !strpbrk(copy, "iI")) return false;
    *out = number;
    return true;
}

bool text_to_long_double(struct bytes text, long double *out)
{
    char copy[256], *end;
    if (!plain_number(text)) return false;
    memcpy(copy, text.data, text.len);
    copy[text.len] = '\0';
    long double number = strtold(copy, &end);
    if (*end != '\0' || isnan(number)) return false;
    if (isinf(number) && !strpbrk(copy, "iI")) return false;
    *out = number;
    return true;
}

size_t text_from_i64(char out[TEXT_I64_BYTES], int64_t number)
{
    char reversed[TEXT_I64_BYTES];
    size_t digits = 0, len = 0;
    uint64_t n = number < 0 ? 0 - (uint64_t)number : (uint64_t)number;
    do {
        reversed[digits++] = (char)('0' + n % 10);
        n /= 10;
    } while (n);
    if (number < 0) out[len++] = '-';
    while (digits)
        out[len++] = reversed[--digits];
    return len;
}

size_t text_from_double(char out[TEXT_DOUBLE_BYTES], double number)
{
    if (isnan(number)) return (size_t)snprintf(out, TEXT_DOUBLE_BYTES, "nan");
    if (isinf(number)) return (size_t)snprintf(out, TEXT_DOUBLE_BYTES, number > 0 ? "inf" : "-inf");
    if (number == 0) return (size_t)snprintf(out, TEXT_DOUBLE_BYTES, signbit(number) ? "-0" : "0");
    // Up to 2^52 every integer is exact, so the shorter form loses nothing.
    if (number > -4503599627370495.0 && number < 4503599627370496.0 &&
        number == (double)(int64_t)number)
        return text_from_i64(out, (int64_t)number);
    return (size_t)snprintf(out, TEXT_DOUBLE_BYTES, "%.17g", number);
}

size_t text_from_long_double(char out[TEXT_LONG_DOUBLE_BYTES], long double number)
{
    if (isinf(number))
        return (size_t)snprintf(out, TEXT_LONG_DOUBLE_BYTES, number > 0 ? "inf" : "-inf");
    int len = snprintf(out, TEXT_LONG_DOUBLE_BYTES, "%.17Lf", number);
    if (strchr(out, '.') != NULL) {
        while (out[len - 1] == '0')
            len--;
        if (out[len - 1] == '.') len--;
    }
    if (len == 2 && out[0] == '-' && out[1] == '0') {
        out[0] = '0';
        len = 1;
    }
    return (size_t)len;
}

bool text_to_memory(struct bytes text, int64_t *bytes_out)
{
    static const struct {
        const char *unit;
        int64_t factor;
    } units[] = {
        {"", 1},        {"b", 1},        {"k", 1000},       {"kb", 1024},
        {"m", 1000000}, {"mb", 1 << 20}, {"g", 1000000000}, {"gb", 1 << 30},
    };
    size_t digits = text.len > 0 && text.data[0] == '-';
    while (digits < text.len && isdigit((unsigned char)text.data[digits]))
        digits++;
    int64_t number;
    if (!text_to_i64(bytes_of(text.data, digits), &number)) return false;
    struct bytes unit = bytes_of(text.data + digits, text.len - digits);
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
        if (bytes_equal_nocase(unit, units[i].unit))
            return !__builtin_mul_overflow(number, units[i].factor, bytes_out);
    return false;
}

static int fold(char c, bool nocase)
{
    return nocase ? tolower((unsigned char)c) : (unsigned char)c;
}

// Matches one character against the element of the pattern at `p`; *next is where the element ends.
static bool match_one(struct bytes pattern, size_t p, char c, bool nocase, size_t *next)
{
    const char *pat = pattern.data;
    if (pat[p] == '?') {
        *next = p + 1;
        return true;
    }
    if (pat[p] == '\\' && p + 1 < pattern.len)
        p++;
    else if (pat[p] == '[') {
        bool found = false, negate = ++p < pattern.len && pat[p] == '^';
        if (negate) p++;
        for (; p < pattern.len && pat[p] != ']'; p++) {
            if (pat[p] == '\\' && p + 1 < pattern.len) {
                p++;
                found |= fold(pat[p], nocase) == fold(c, nocase);
            } else if (p + 2 < pattern.len && pat[p + 1] == '-') {
                int low = fold(pat[p], nocase), high = fold(pat[p + 2], nocase);
                int lo = low < high ? low : high, hi = low < high ? high : low;
                found |= fold(c, nocase) >= lo && fold(c, nocase) <= hi;
                p += 2;
            } else {
                found |= fold(pat[p], nocase) == fold(c, nocase);
            }
        }
        *next = p < pattern.len ? p + 1 : p;
        return found != negate;
    }
    *next = p + 1;
    return fold(pat[p], nocase) == fold(c, nocase);
}

bool text_glob(struct bytes pattern, struct bytes text, bool nocase)
{
    size_t p = 0, t = 0, star = SIZE_MAX, resume = 0, next;
    while (t < text.len) {
        if (p < pattern.len && pattern.data[p] == '*') {
            star = p++;
            resume = t;
        } else if (p < pattern.len && match_one(pattern, p, text.data[t], nocase, &next)) {
            p = next;
            t++;
        } else if (star != SIZE_MAX) {
            // The last star takes one character more; earlier stars need never be reopened.
            p = star + 1;
            t = ++resume;
        } else {
            return false;
        }
    }
    while (p < pattern.len && pattern.data[p] == '*')
        p++;
    return p == pattern.len;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    c = (char)tolower((unsigned char)c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

// One escape inside double quotes, `i` on the backslash; returns the index after it.
static size_t unescape(struct bytes line, size_t i, struct buf *word)
{
    static const char plain[] = "nrtba", meant[] = "\n\r\t\b\a";
    if (i + 3 < line.len && line.data[i + 1] == 'x' && hex_value(line.data[i + 2]) >= 0 &&
        hex_value(line.data[i + 3]) >= 0) {
        int byte = hex_value(line.data[i + 2]) * 16 + hex_value(line.data[i + 3]);
        buf_append_byte(word, (uint8_t)byte);
        return i + 4;
    }
    char c = line.data[i + 1];
    const char *at = c ? strchr(plain, c) : NULL;
    buf_append_byte(word, (uint8_t)(at ? meant[at - plain] : c));
    return i + 2;
}

// Reads one word from `i` on. False when a quote is left open or something follows its end.
static bool split_word(struct bytes line, size_t *at, struct buf *word)
{
    size_t i = *at;
    char quote = 0;
    for (; i < line.len; i++) {
        char c = line.data[i];
        if (quote == '"' && c == '\\' && i + 1 < line.len) {
            i = unescape(line, i, word) - 1;
        } else if (quote == '\'' && c == '\\' && i + 1 < line.len && line.data[i + 1] == '\'') {
            buf_append_byte(word, '\'');
            i++;
        } else if (quote && c == quote) {
            if (i + 1 < line.len && !isspace((unsigned char)line.data[i + 1])) return false;
            quote = 0;
            i++;
            break;
        } else if (quote) {
            buf_append_byte(word, (uint8_t)c);
        } else if (c == '"' || c == '\'') {
            quote = c;
        } else if (isspace((unsigned char)c) || c == '\0') {
            break;
        } else {
            buf_append_byte(word, (uint8_t)c);
        }
    }
    *at = i;
    return quote == 0;
}

struct str **text_split_quoted(struct bytes line, int *count)
{
    struct str **words = mem_array(struct str *, 1);
    struct buf word = BUF_EMPTY;
    *count = 0;
    for (size_t i = 0;;) {
        while (i < line.len && (isspace((unsigned char)line.data[i]) || line.data[i] == '\0'))
            i++;
        if (i >= line.len) break;
        buf_clear(&word);
        if (!split_word(line, &i, &word)) {
            while (*count)
                str_free(words[--*count]);
            mem_free(words);
            words = NULL;
            break;
        }
        words = mem_realloc(words, sizeof(*words) * ((size_t)*count + 1));
        words[(*count)++] = str_from(buf_view(&word));
    }
    buf_free(&word);
    return words;
}

void text_append_quoted(struct buf *out, struct bytes text)
{
    buf_append_byte(out, '"');
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.data[i];
        static const char named[] = "\\\"\n\r\t\a\b", letters[] = "\\\"nrtab";
        const char *at = c ? strchr(named, c) : NULL;
        if (at != NULL)
            buf_printf(out, "\\%c", letters[at - named]);
        else if (isprint(c))
            buf_append_byte(out, c);
        else
            buf_printf(out, "\\x%02x", c);
    }
    buf_append_byte(out, '"');
}
