#include "rdb/lzf.h"

enum { LITERAL_MAX = 32, COPY_MIN = 3, COPY_MAX = 264, TABLE_BITS_MAX = 13, TABLE_BITS_MIN = 8 };

// ---- packing ----------------------------------------------------------------------------------

static uint32_t hash3(const unsigned char *p, int bits)
{
    uint32_t three = (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2];
    return three * 2654435761u >> (32 - bits);
}

static size_t match_length(const unsigned char *a, const unsigned char *b, size_t max)
{
    size_t n = 0;
    for (; n + 8 <= max; n += 8) {
        uint64_t x, y;
        memcpy(&x, a + n, 8);
        memcpy(&y, b + n, 8);
        if (x != y) break;
    }
    while (n < max && a[n] == b[n])
        n++;
    return n;
}

// Where the output stands.
struct packed {
    unsigned char *out;
    size_t at, cap;
};

static bool put_literals(struct packed *p, const unsigned char *from, size_t len)
{
    while (len > 0) {
        size_t run = len < LITERAL_MAX ? len : LITERAL_MAX;
        if (p->cap - p->at < run + 1) return false;
        p->out[p->at++] = (unsigned char)(run - 1);
        memcpy(p->out + p->at, from, run);
        p->at += run;
        from += run;
        len -= run;
    }
    return true;
}

static bool put_copy(struct packed *p, size_t distance, size_t len)
{
    if (p->cap - p->at < 3) return false;
    size_t back = distance - 1, code = len - 2;
    if (code < 7) {
        p->out[p->at++] = (unsigned char)(code << 5 | back >> 8);
    } else {
        p->out[p->at++] = (unsigned char)(7 << 5 | back >> 8);
        p->out[p->at++] = (unsigned char)(code - 7);
    }
    p->out[p->at++] = (unsigned char)back;
    return true;
}

size_t lzf_pack(struct bytes in, char *out, size_t cap)
{
    const unsigned char *data = (const unsigned char *)in.data;
    size_t len = in.len;
    if (len < COPY_MIN + 1 || len > LZF_PACK_MAX_BYTES) return 0;
    // Place of the last three bytes with that hash. 0 stands for "none" as well: such a place is
    // looked at and found to match or not.
    uint16_t table[1 << TABLE_BITS_MAX];
    int bits = TABLE_BITS_MIN;
    while (bits < TABLE_BITS_MAX && (size_t)1 << bits < len)
        bits++;
    memset(table, 0, sizeof(table[0]) << bits);

    struct packed p = {(unsigned char *)out, 0, cap};
    size_t at = 1, literal_from = 0, misses = 0;
    table[hash3(data, bits)] = 0;
    while (at + COPY_MIN <= len) {
        uint32_t h = hash3(data + at, bits);
        size_t candidate = table[h];
        table[h] = (uint16_t)at;
        size_t room = len - at < COPY_MAX ? len - at : COPY_MAX;
        size_t match = candidate < at && at - candidate <= LZF_WINDOW_BYTES
                           ? match_length(data + candidate, data + at, room)
                           : 0;
        if (match < COPY_MIN) {
            // What does not compress is passed over faster and faster.
            at += 1 + (misses++ >> 6);
            continue;
        }
        misses = 0;
        if (!put_literals(&p, data + literal_from, at - literal_from)) return 0;
        if (!put_copy(&p, at - candidate, match)) return 0;
        size_t end = at + match;
        for (at++; at < end && at + COPY_MIN <= len; at++)
            table[hash3(data + at, bits)] = (uint16_t)at;
        at = literal_from = end;
    }
    if (!put_literals(&p, data + literal_from, len - literal_from)) return 0;
    return p.at;
}

// ---- unpacking --------------------------------------------------------------------------------

static unsigned char take(struct bytes *in)
{
    unsigned char byte = (unsigned char)in->data[0];
    in->data++;
    in->len--;
    return byte;
}

static void put_literal(struct lzf_unpacker *z, struct bytes *in, char *out, size_t *at, size_t cap)
{
    size_t n = z->literal;
    if (n > in->len) n = in->len;
    if (n > cap - *at) n = cap - *at;
    memcpy(out + *at, in->data, n);
    in->data += n;
    in->len -= n;
    *at += n;
    z->literal -= (uint32_t)n;
}

static void put_match(struct lzf_unpacker *z, char *out, size_t *at, size_t cap)
{
    size_t n = z->copy;
    if (n > cap - *at) n = cap - *at;
    char *to = out + *at;
    const char *from = to - z->distance;
    if (z->distance >= n) {
        memcpy(to, from, n);
    } else {
        for (size_t i = 0; i < n; i++) // overlaps: repeats itself
            to[i] = from[i];
    }
    *at += n;
    z->copy -= (uint32_t)n;
}

bool lzf_unpack(struct lzf_unpacker *z, struct bytes *in, char *out, size_t *at, size_t cap)
{
    for (;;) {
        if (z->copy > 0 && z->awaited == 0) {
            put_match(z, out, at, cap);
            if (z->copy > 0) return true;
        }
        if (in->len == 0) return true;
        if (z->literal > 0) {
            put_literal(z, in, out, at, cap);
            if (z->literal > 0) return true;
        } else if (z->awaited == 2) {
            z->copy = 9u + take(in);
            z->awaited = 1;
        } else if (z->awaited == 1) {
            z->distance = ((uint32_t)(z->control & 31) << 8 | take(in)) + 1;
            z->awaited = 0;
            if (z->distance > *at) return false;
        } else {
            if (*at == cap) return true;
            z->control = take(in);
            if (z->control < 32) {
                z->literal = z->control + 1u;
            } else {
                z->copy = (z->control >> 5) + 2u;
                z->awaited = z->control >> 5 == 7 ? 2 : 1;
            }
        }
    }
}
