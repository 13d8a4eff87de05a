#include "rdb/rdb_reader.h"

#include "base/mem.h"

#include <stdio.h>

enum {
    TEXT_HEAD,     // the length, or how it is encoded
    TEXT_NUMBER,   // an integer's bytes
    TEXT_PACKED,   // LZF: the packed length
    TEXT_UNPACKED, // LZF: the real length
    TEXT_SHORT,    // into scratch
    TEXT_LONG,     // into gather
    TEXT_LZF_SHORT,
    TEXT_LZF_LONG,
    TEXT_JOIN, // gather_join
};
enum { COPY_STEP_BYTES = 16 * 1024, UNPACK_STEP_BYTES = 8 * 1024 };
// Scratch, when a long LZF string goes through it.
enum { WINDOW_BYTES = LZF_WINDOW_BYTES + UNPACK_STEP_BYTES };
enum { LENGTH_32 = 0x80, LENGTH_64 = 0x81 };
enum { ENCODED_INT8, ENCODED_INT16, ENCODED_INT32, ENCODED_LZF };

void rdb_reader_free(struct rdb_reader *r)
{
    gather_free(&r->gather);
    mem_free(r->scratch);
    str_free(r->str);
    mem_free(r->block);
    *r = (struct rdb_reader){0};
}

void rdb_reader_open(struct rdb_reader *r, const struct bytes *input, struct budget *budget,
                     struct error *error)
{
    r->begin = r->at = input->data;
    r->end = input->data + input->len;
    r->budget = budget;
    r->error = error;
}

void rdb_reader_close(struct rdb_reader *r, struct bytes *input)
{
    size_t taken = (size_t)(r->at - r->begin);
    r->offset += taken;
    input->data += taken;
    input->len -= taken;
    r->begin = r->at = r->end = NULL;
}

uint64_t rdb_reader_offset(const struct rdb_reader *r)
{
    return r->offset + (uint64_t)(r->at - r->begin);
}

bool rdb_reader_work(struct rdb_reader *r, uint32_t units)
{
    return r->budget == NULL || budget_left(r->budget, units);
}

enum rdb_progress rdb_reader_refuse(struct rdb_reader *r, enum error_class class,
                                    const char *format, ...)
{
    char text[ERROR_TEXT_BYTES - 64];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    error_set(r->error, class, "%s, at byte %llu", text, (unsigned long long)rdb_reader_offset(r));
    return RDB_FAILED;
}

// ---- fixed bytes ------------------------------------------------------------------------------

enum rdb_progress rdb_reader_fixed(struct rdb_reader *r, size_t len, const unsigned char **out)
{
    size_t there = (size_t)(r->end - r->at);
    if (r->fixed_have == 0 && there >= len) {
        *out = (const unsigned char *)r->at;
        r->at += len;
        return RDB_DONE;
    }
    size_t n = len - r->fixed_have;
    if (n > there) n = there;
    if (n > 0) memcpy(r->fixed + r->fixed_have, r->at, n);
    r->at += n;
    r->fixed_have = (uint8_t)(r->fixed_have + n);
    if (r->fixed_have < len) return RDB_MORE;
    r->fixed_have = 0;
    *out = r->fixed;
    return RDB_DONE;
}

enum rdb_progress rdb_reader_u8(struct rdb_reader *r, uint8_t *out)
{
    if (r->at == r->end) return RDB_MORE;
    *out = (uint8_t)*r->at++;
    return RDB_DONE;
}

static uint64_t little_endian(const unsigned char *p, size_t len)
{
    uint64_t n = 0;
    for (size_t i = len; i-- > 0;)
        n = n << 8 | p[i];
    return n;
}

static uint64_t big_endian(const unsigned char *p, size_t len)
{
    uint64_t n = 0;
    for (size_t i = 0; i < len; i++)
        n = n << 8 | p[i];
    return n;
}

enum rdb_progress rdb_reader_le64(struct rdb_reader *r, uint64_t *out)
{
    const unsigned char *p;
    RDB_TRY(rdb_reader_fixed(r, 8, &p));
    *out = little_endian(p, 8);
    return RDB_DONE;
}

enum rdb_progress rdb_reader_double(struct rdb_reader *r, double *out)
{
    uint64_t bits;
    RDB_TRY(rdb_reader_le64(r, &bits));
    memcpy(out, &bits, sizeof(bits));
    return RDB_DONE;
}

// ---- lengths ----------------------------------------------------------------------------------

// *encoded: not a length but one of ENCODED_...
static enum rdb_progress length_or_encoding(struct rdb_reader *r, uint64_t *out, bool *encoded)
{
    const unsigned char *p;
    if (!r->has_first) {
        RDB_TRY(rdb_reader_u8(r, &r->first));
        r->has_first = true;
    }
    *encoded = false;
    switch (r->first >> 6) {
    case 0:
        *out = r->first & 63;
        break;
    case 1:
        RDB_TRY(rdb_reader_fixed(r, 1, &p));
        *out = (uint64_t)(r->first & 63) << 8 | p[0];
        break;
    case 2:
        if (r->first != LENGTH_32 && r->first != LENGTH_64)
            return rdb_reader_refuse(r, ERROR_CORRUPT, "unknown form of a length (0x%02x)",
                                     r->first);
        size_t len = r->first == LENGTH_32 ? 4 : 8;
        RDB_TRY(rdb_reader_fixed(r, len, &p));
        *out = big_endian(p, len);
        break;
    default:
        *out = r->first & 63;
        *encoded = true;
    }
    r->has_first = false;
    return RDB_DONE;
}

enum rdb_progress rdb_reader_length(struct rdb_reader *r, uint64_t *out)
{
    bool encoded;
    RDB_TRY(length_or_encoding(r, out, &encoded));
    if (encoded)
        return rdb_reader_refuse(r, ERROR_CORRUPT, "an encoded string where a length belongs");
    return RDB_DONE;
}

// ---- strings ----------------------------------------------------------------------------------

static void scratch_reserve(struct rdb_reader *r, size_t len)
{
    r->scratch_at = 0;
    if (r->scratch_cap >= len) return;
    mem_free(r->scratch);
    r->scratch_cap = len < 1024 ? 1024 : RDB_CLAIM_BYTES;
    r->scratch = mem_alloc(r->scratch_cap);
}

static void begin_long(struct rdb_reader *r)
{
    size_t head = r->layout == READER_AS_STR ? sizeof(struct str) : 0;
    gather_begin(&r->gather, r->text_len, head);
}

static enum rdb_progress begin_lzf(struct rdb_reader *r)
{
    if (r->text_len == 0 || r->packed_len == 0 || r->text_len / LZF_RATIO_MAX > r->packed_len)
        return rdb_reader_refuse(r, ERROR_CORRUPT, "%llu bytes of LZF cannot hold %llu",
                                 (unsigned long long)r->packed_len,
                                 (unsigned long long)r->text_len);
    r->lzf = (struct lzf_unpacker){0};
    if (r->text_len <= RDB_CLAIM_BYTES) {
        scratch_reserve(r, (size_t)r->text_len);
        r->text_step = TEXT_LZF_SHORT;
    } else {
        scratch_reserve(r, WINDOW_BYTES);
        begin_long(r);
        r->text_step = TEXT_LZF_LONG;
    }
    return RDB_DONE;
}

static enum rdb_progress head(struct rdb_reader *r)
{
    bool encoded;
    uint64_t n;
    RDB_TRY(length_or_encoding(r, &n, &encoded));
    str_free(r->str);
    mem_free(r->block);
    r->str = NULL;
    r->block = NULL;
    if (encoded) {
        if (n > ENCODED_LZF)
            return rdb_reader_refuse(r, ERROR_CORRUPT, "unknown string encoding %d", (int)n);
        r->text_step = n == ENCODED_LZF ? TEXT_PACKED : TEXT_NUMBER;
        r->number_bytes = (uint8_t)(1u << n);
        return RDB_DONE;
    }
    r->text_len = n;
    if (n <= RDB_CLAIM_BYTES) {
        r->scratch_at = 0;
        r->text_step = TEXT_SHORT;
    } else {
        begin_long(r);
        r->text_step = TEXT_LONG;
    }
    return RDB_DONE;
}

static enum rdb_progress number(struct rdb_reader *r, struct bytes *out)
{
    const unsigned char *p;
    RDB_TRY(rdb_reader_fixed(r, r->number_bytes, &p));
    int shift = 64 - 8 * r->number_bytes;
    int64_t n = (int64_t)(little_endian(p, r->number_bytes) << shift) >> shift;
    *out = bytes_of(r->number, text_from_i64(r->number, n));
    r->text_step = TEXT_HEAD;
    return RDB_DONE;
}

static enum rdb_progress read_short(struct rdb_reader *r, struct bytes *out)
{
    size_t there = (size_t)(r->end - r->at);
    if (r->scratch_at == 0 && there >= r->text_len) {
        *out = bytes_of(r->at, (size_t)r->text_len);
        r->at += r->text_len;
        r->text_step = TEXT_HEAD;
        return RDB_DONE;
    }
    if (there == 0) return RDB_MORE;
    if (r->scratch_at == 0) scratch_reserve(r, (size_t)r->text_len);
    size_t n = (size_t)r->text_len - r->scratch_at;
    if (n > there) n = there;
    memcpy(r->scratch + r->scratch_at, r->at, n);
    r->at += n;
    r->scratch_at += n;
    if (r->scratch_at < r->text_len) return RDB_MORE;
    *out = bytes_of(r->scratch, r->scratch_at);
    r->text_step = TEXT_HEAD;
    return RDB_DONE;
}

static enum rdb_progress no_memory(struct rdb_reader *r)
{
    return rdb_reader_refuse(r, ERROR_LIMIT, "no memory for a string of %llu bytes",
                             (unsigned long long)r->text_len);
}

static enum rdb_progress read_long(struct rdb_reader *r)
{
    while (r->gather.got < r->gather.total) {
        char *to;
        size_t room = gather_room(&r->gather, &to);
        if (room == 0) return no_memory(r);
        size_t n = (size_t)(r->end - r->at);
        if (n == 0) return RDB_MORE;
        if (n > room) n = room;
        if (n > COPY_STEP_BYTES) n = COPY_STEP_BYTES;
        memcpy(to, r->at, n);
        r->at += n;
        gather_commit(&r->gather, n);
        if (!rdb_reader_work(r, (uint32_t)(n / 64 + 1))) return RDB_BUDGET;
    }
    r->text_step = TEXT_JOIN;
    return RDB_DONE;
}

// Unpacks what has arrived to scratch[scratch_at .. cap).
static enum rdb_progress unpack(struct rdb_reader *r, size_t cap)
{
    size_t there = (size_t)(r->end - r->at);
    struct bytes in = bytes_of(r->at, there < r->packed_len ? there : (size_t)r->packed_len);
    size_t before = in.len;
    bool good = lzf_unpack(&r->lzf, &in, r->scratch, &r->scratch_at, cap);
    r->packed_len -= before - in.len;
    r->at += before - in.len;
    if (!good) return rdb_reader_refuse(r, ERROR_CORRUPT, "LZF copy from before the beginning");
    return RDB_DONE;
}

static enum rdb_progress lzf_wrong_length(struct rdb_reader *r)
{
    return rdb_reader_refuse(r, ERROR_CORRUPT, "LZF data does not give the %llu bytes announced",
                             (unsigned long long)r->text_len);
}

static enum rdb_progress read_lzf_short(struct rdb_reader *r, struct bytes *out)
{
    RDB_TRY(unpack(r, (size_t)r->text_len));
    bool full = r->scratch_at == r->text_len && lzf_idle(&r->lzf);
    if (r->packed_len > 0 && !full && r->at == r->end) return RDB_MORE;
    if (r->packed_len > 0 || !full) return lzf_wrong_length(r);
    *out = bytes_of(r->scratch, r->scratch_at);
    r->text_step = TEXT_HEAD;
    return RDB_DONE;
}

static enum rdb_progress read_lzf_long(struct rdb_reader *r)
{
    struct gather *g = &r->gather;
    while (g->got < g->total) {
        if (r->scratch_at == WINDOW_BYTES) {
            memmove(r->scratch, r->scratch + UNPACK_STEP_BYTES, LZF_WINDOW_BYTES);
            r->scratch_at = LZF_WINDOW_BYTES;
        }
        char *to;
        size_t room = gather_room(g, &to);
        if (room == 0) return no_memory(r);
        if (room > WINDOW_BYTES - r->scratch_at) room = WINDOW_BYTES - r->scratch_at;
        size_t before = r->scratch_at;
        RDB_TRY(unpack(r, before + room));
        size_t n = r->scratch_at - before;
        if (n == 0) return r->packed_len > 0 ? RDB_MORE : lzf_wrong_length(r);
        memcpy(to, r->scratch + before, n);
        gather_commit(g, n);
        if (!rdb_reader_work(r, (uint32_t)(n / 32 + 1))) return RDB_BUDGET;
    }
    if (r->packed_len > 0 || !lzf_idle(&r->lzf)) return lzf_wrong_length(r);
    r->text_step = TEXT_JOIN;
    return RDB_DONE;
}

static enum rdb_progress join(struct rdb_reader *r, struct bytes *out)
{
    if (!gather_join(&r->gather, r->budget)) return RDB_BUDGET;
    char *block = gather_take(&r->gather);
    r->text_step = TEXT_HEAD;
    if (r->layout == READER_AS_BLOCK) {
        r->block = block;
        *out = bytes_of(block, (size_t)r->text_len);
        return RDB_DONE;
    }
    r->str = (struct str *)(void *)block;
    r->str->len = r->str->cap = (size_t)r->text_len;
    r->str->data[r->text_len] = '\0';
    *out = str_view(r->str);
    return RDB_DONE;
}

enum rdb_progress rdb_reader_string(struct rdb_reader *r, struct bytes *out)
{
    for (;;) {
        switch (r->text_step) {
        case TEXT_HEAD:
            RDB_TRY(head(r));
            break;
        case TEXT_NUMBER:
            return number(r, out);
        case TEXT_PACKED:
            RDB_TRY(rdb_reader_length(r, &r->packed_len));
            r->text_step = TEXT_UNPACKED;
            break;
        case TEXT_UNPACKED:
            RDB_TRY(rdb_reader_length(r, &r->text_len));
            RDB_TRY(begin_lzf(r));
            break;
        case TEXT_SHORT:
            return read_short(r, out);
        case TEXT_LONG:
            RDB_TRY(read_long(r));
            break;
        case TEXT_LZF_SHORT:
            return read_lzf_short(r, out);
        case TEXT_LZF_LONG:
            RDB_TRY(read_lzf_long(r));
            break;
        default:
            return join(r, out);
        }
    }
}

struct str *rdb_reader_take_str(struct rdb_reader *r)
{
    struct str *s = r->str;
    r->str = NULL;
    return s;
}

char *rdb_reader_take_block(struct rdb_reader *r)
{
    char *block = r->block;
    r->block = NULL;
    return block;
}

// ---- kept strings -----------------------------------------------------------------------------

void kept_set(struct kept *k, struct rdb_reader *r, struct bytes text)
{
    str_free(k->str);
    buf_clear(&k->buf);
    k->str = rdb_reader_take_str(r);
    if (k->str == NULL) buf_append_bytes(&k->buf, text);
}

void kept_free(struct kept *k)
{
    str_free(k->str);
    buf_free(&k->buf);
    *k = (struct kept){0};
}
