#include "value/stream_id.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>

bool stream_id_increment(struct stream_id *id)
{
    if (id->seq < UINT64_MAX) {
        id->seq++;
        return true;
    }
    if (id->ms == UINT64_MAX) return false;
    id->ms++;
    id->seq = 0;
    return true;
}

bool stream_id_decrement(struct stream_id *id)
{
    if (id->seq > 0) {
        id->seq--;
        return true;
    }
    if (id->ms == 0) return false;
    id->ms--;
    id->seq = UINT64_MAX;
    return true;
}

// A number as strtoull takes it, signs of negative ones apart: spaces, a plus and zeros may lead.
static bool parse_number(struct bytes text, uint64_t *out)
{
    uint64_t number = 0;
    size_t i = 0;
    while (i < text.len && isspace((unsigned char)text.data[i]))
        i++;
    if (i < text.len && text.data[i] == '+') i++;
    if (i == text.len) return false;
    for (; i < text.len; i++) {
        unsigned digit = (unsigned char)text.data[i] - (unsigned)'0';
        if (digit > 9 || __builtin_mul_overflow(number, 10, &number) ||
            __builtin_add_overflow(number, digit, &number))
            return false;
    }
    *out = number;
    return true;
}

// Splits at the first '-'. False when there is none; then *ms is all of it.
static bool split(struct bytes text, struct bytes *ms, struct bytes *seq)
{
    const char *dash = text.len ? memchr(text.data, '-', text.len) : NULL;
    if (dash == NULL) {
        *ms = text;
        return false;
    }
    *ms = bytes_of(text.data, (size_t)(dash - text.data));
    *seq = bytes_of(dash + 1, text.len - ms->len - 1);
    return true;
}

bool stream_id_parse(struct bytes text, uint64_t missing_seq, struct stream_id *out)
{
    struct bytes ms, seq;
    struct stream_id id = {0, missing_seq};
    if (split(text, &ms, &seq) && !parse_number(seq, &id.seq)) return false;
    if (!parse_number(ms, &id.ms)) return false;
    *out = id;
    return true;
}

bool stream_id_parse_new(struct bytes text, struct stream_id *out, bool *auto_seq)
{
    struct bytes ms, seq;
    *auto_seq = false;
    if (!split(text, &ms, &seq) || !bytes_equal(seq, BYTES("*")))
        return stream_id_parse(text, 0, out);
    struct stream_id id = {0, 0};
    if (!parse_number(ms, &id.ms)) return false;
    *out = id;
    *auto_seq = true;
    return true;
}

bool stream_id_parse_bound(struct bytes text, uint64_t missing_seq, struct stream_id *out,
                           bool *exclusive)
{
    *exclusive = text.len > 1 && text.data[0] == '(';
    if (*exclusive) return stream_id_parse(bytes_of(text.data + 1, text.len - 1), missing_seq, out);
    if (bytes_equal(text, BYTES("-"))) {
        *out = STREAM_ID_MIN;
        return true;
    }
    if (bytes_equal(text, BYTES("+"))) {
        *out = STREAM_ID_MAX;
        return true;
    }
    return stream_id_parse(text, missing_seq, out);
}

size_t stream_id_format(char out[STREAM_ID_TEXT_BYTES], struct stream_id id)
{
    char text[STREAM_ID_TEXT_BYTES + 1];
    int len = snprintf(text, sizeof(text), "%" PRIu64 "-%" PRIu64, id.ms, id.seq);
    memcpy(out, text, (size_t)len);
    return (size_t)len;
}

static void write_u64(char *out, uint64_t number)
{
    for (int i = 7; i >= 0; i--, number >>= 8)
        out[i] = (char)(number & 0xff);
}

static uint64_t read_u64(const char *raw)
{
    uint64_t number = 0;
    for (int i = 0; i < 8; i++)
        number = number << 8 | (unsigned char)raw[i];
    return number;
}

void stream_id_write_raw(char out[STREAM_ID_RAW_BYTES], struct stream_id id)
{
    write_u64(out, id.ms);
    write_u64(out + 8, id.seq);
}

struct stream_id stream_id_read_raw(const char raw[STREAM_ID_RAW_BYTES])
{
    return (struct stream_id){read_u64(raw), read_u64(raw + 8)};
}
