#include "rdb/put.h"

#include "base/text.h"
#include "rdb/encode.h"
#include "rdb/lzf.h"

#include <math.h>
#include <stdio.h>

enum { INT8_FORM = 0xC0, INT16_FORM = 0xC1, INT32_FORM = 0xC2, LZF_FORM = 0xC3 };
// Attempts in vain after which only one string in so many is tried.
enum { SQUEEZE_FAILED_MAX = 64, SQUEEZE_ONE_IN = 16 };
enum { NUMBER_TEXT_MAX_BYTES = 11, COMPRESS_MIN_BYTES = 21, COMPRESS_SAVES_BYTES = 4 };
enum { LENGTH_14_FORM = 0x40, LENGTH_32_FORM = 0x80, LENGTH_64_FORM = 0x81, LENGTH_MAX_BYTES = 9 };

void rdb_put_u8(struct buf *out, uint8_t byte)
{
    buf_append_byte(out, byte);
}

static void little_endian(unsigned char *to, uint64_t number, int len)
{
    for (int i = 0; i < len; i++)
        to[i] = (unsigned char)(number >> (8 * i));
}

static void big_endian(unsigned char *to, uint64_t number, int len)
{
    for (int i = 0; i < len; i++)
        to[i] = (unsigned char)(number >> (8 * (len - 1 - i)));
}

void rdb_put_le64(struct buf *out, uint64_t number)
{
    little_endian((unsigned char *)buf_reserve(out, 8), number, 8);
    buf_commit(out, 8);
}

void rdb_put_double(struct buf *out, double number)
{
    uint64_t bits;
    memcpy(&bits, &number, sizeof(bits));
    rdb_put_le64(out, bits);
}

void rdb_put_double_text(struct buf *out, double number)
{
    enum { NAN_FORM = 253, POSITIVE_FORM = 254, NEGATIVE_FORM = 255, TEXT_MAX_BYTES = 32 };
    if (isnan(number)) {
        rdb_put_u8(out, NAN_FORM);
        return;
    }
    if (isinf(number)) {
        rdb_put_u8(out, number > 0 ? POSITIVE_FORM : NEGATIVE_FORM);
        return;
    }
    char text[TEXT_MAX_BYTES];
    int len = snprintf(text, sizeof(text), "%.17g", number);
    rdb_put_u8(out, (uint8_t)len);
    buf_append(out, text, (size_t)len);
}

static size_t length_form(unsigned char to[LENGTH_MAX_BYTES], uint64_t length)
{
    if (length < 1 << 6) {
        to[0] = (unsigned char)length;
        return 1;
    }
    if (length < 1 << 14) {
        to[0] = (unsigned char)(LENGTH_14_FORM | length >> 8);
        to[1] = (unsigned char)length;
        return 2;
    }
    int len = length <= UINT32_MAX ? 4 : 8;
    to[0] = len == 4 ? LENGTH_32_FORM : LENGTH_64_FORM;
    big_endian(to + 1, length, len);
    return 1 + (size_t)len;
}

void rdb_put_length(struct buf *out, uint64_t length)
{
    buf_commit(out, length_form((unsigned char *)buf_reserve(out, LENGTH_MAX_BYTES), length));
}

// ---- strings ----------------------------------------------------------------------------------

// How many bytes the text takes as a number; 0: it is none that has such a form.
static int number_bytes(struct bytes s, int64_t *n)
{
    if (s.len > NUMBER_TEXT_MAX_BYTES || !text_to_i64(s, n)) return 0;
    if (*n < INT32_MIN || *n > INT32_MAX) return 0;
    if (*n >= INT8_MIN && *n <= INT8_MAX) return 1;
    return *n >= INT16_MIN && *n <= INT16_MAX ? 2 : 4;
}

static bool put_number(struct buf *out, struct bytes s)
{
    int64_t n;
    int len = number_bytes(s, &n);
    if (len == 0) return false;
    uint8_t form = len == 1 ? INT8_FORM : len == 2 ? INT16_FORM : INT32_FORM;
    unsigned char *to = (unsigned char *)buf_reserve(out, 1 + (size_t)len);
    to[0] = form;
    little_endian(to + 1, (uint64_t)n, len);
    buf_commit(out, 1 + (size_t)len);
    return true;
}

void rdb_put_lzf_head(struct buf *out, size_t packed_len, size_t raw_len)
{
    rdb_put_u8(out, LZF_FORM);
    rdb_put_length(out, packed_len);
    rdb_put_length(out, raw_len);
}

static bool put_lzf(struct buf *out, struct bytes s)
{
    // Packed behind the longest head that there can be, then moved up to the real one.
    enum { HEAD_MAX = 1 + 2 * LENGTH_MAX_BYTES };
    char *to = buf_reserve(out, HEAD_MAX + s.len);
    size_t packed = lzf_pack(s, to + HEAD_MAX, s.len - COMPRESS_SAVES_BYTES);
    if (packed == 0) return false;
    rdb_put_lzf_head(out, packed, s.len);
    memmove(buf_reserve(out, packed), to + HEAD_MAX, packed);
    buf_commit(out, packed);
    return true;
}

static bool squeeze(struct buf *out, struct bytes s, struct rdb_squeeze *q)
{
    if (!q->on || s.len < COMPRESS_MIN_BYTES || s.len > RDB_COMPRESS_MAX_BYTES) return false;
    if (q->failed == SQUEEZE_FAILED_MAX) {
        if (++q->skipped < SQUEEZE_ONE_IN) return false;
        q->skipped = 0;
    }
    if (put_lzf(out, s)) {
        q->failed = 0;
        return true;
    }
    if (q->failed < SQUEEZE_FAILED_MAX) q->failed++;
    return false;
}

bool rdb_put_compact(struct buf *out, struct bytes s, struct rdb_squeeze *q)
{
    return put_number(out, s) || squeeze(out, s, q);
}

void rdb_put_squeezed(struct buf *out, struct bytes s, struct rdb_squeeze *q)
{
    if (rdb_put_compact(out, s, q)) return;
    rdb_put_length(out, s.len);
    buf_append_bytes(out, s);
}

uint64_t rdb_plain_bytes(struct bytes s)
{
    int64_t n;
    unsigned char head[LENGTH_MAX_BYTES];
    int number = number_bytes(s, &n);
    return number > 0 ? 1 + (uint64_t)number : length_form(head, s.len) + s.len;
}

void rdb_put_string(struct buf *out, struct bytes s, bool compress)
{
    struct rdb_squeeze q = {.on = compress};
    rdb_put_squeezed(out, s, &q);
}

// ---- pieces of a file -------------------------------------------------------------------------

void rdb_put_header(struct buf *out, int version)
{
    buf_printf(out, "REDIS%04d", version);
}

void rdb_put_aux(struct buf *out, const char *name, struct bytes value)
{
    rdb_put_u8(out, RDB_OP_AUX);
    rdb_put_string(out, bytes_from_cstr(name), false);
    rdb_put_string(out, value, false);
}

void rdb_put_select_db(struct buf *out, int db)
{
    rdb_put_u8(out, RDB_OP_SELECTDB);
    rdb_put_length(out, (uint64_t)db);
}

void rdb_put_resize_db(struct buf *out, uint64_t keys, uint64_t expires)
{
    rdb_put_u8(out, RDB_OP_RESIZEDB);
    rdb_put_length(out, keys);
    rdb_put_length(out, expires);
}

void rdb_put_entry_head(struct buf *out, int64_t expire_ms, int64_t idle_s, int freq,
                        enum rdb_type type, struct bytes key)
{
    if (expire_ms != -1) {
        rdb_put_u8(out, RDB_OP_EXPIRETIME_MS);
        rdb_put_le64(out, (uint64_t)expire_ms);
    }
    if (idle_s >= 0) {
        rdb_put_u8(out, RDB_OP_IDLE);
        rdb_put_length(out, (uint64_t)idle_s);
    }
    if (freq >= 0) {
        rdb_put_u8(out, RDB_OP_FREQ);
        rdb_put_u8(out, (uint8_t)freq);
    }
    rdb_put_u8(out, (uint8_t)type);
    rdb_put_string(out, key, false);
}

void rdb_put_eof(struct buf *out, uint64_t crc_before, bool checksum)
{
    static const unsigned char eof = RDB_OP_EOF;
    rdb_put_u8(out, eof);
    rdb_put_le64(out, checksum ? crc64(crc_before, &eof, 1) : 0);
}
