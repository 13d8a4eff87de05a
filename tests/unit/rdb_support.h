// What the tests of the RDB codecs share: values made at random, and encoding and decoding in
// pieces of a given size.
#ifndef WHERRY_TESTS_RDB_SUPPORT_H
#define WHERRY_TESTS_RDB_SUPPORT_H

#include "base/mem.h"
#include "base/rng.h"
#include "loop/loop_impl.h"
#include "rdb/decode.h"
#include "rdb/encode.h"
#include "value/hash.h"
#include "value/list.h"
#include "value/set.h"
#include "value/stream_group.h"
#include "value/string.h"
#include "value/zset.h"

#include <criterion/criterion.h>
#include <stdio.h>

static inline struct value_limits default_limits(void)
{
    struct value_limits limits;
    value_limits_default(&limits);
    return limits;
}

// The DUMP payload, pulled `piece` bytes at a time; `units` of budget a call, 0: none.
static inline struct buf dump(const struct value *v, bool compress, int version, size_t piece,
                              uint32_t units)
{
    struct loop loop = {0};
    struct rdb_options options = {.compress = compress, .version = version};
    struct dump_encoder *d = dump_encoder_new(v, &options);
    struct buf out = BUF_EMPTY;
    while (!dump_encoder_done(d)) {
        struct budget budget = {.loop = &loop, .units = units};
        char *to = buf_reserve(&out, piece);
        buf_commit(&out, dump_encoder_read(d, to, piece, units ? &budget : NULL));
    }
    dump_encoder_free(d);
    return out;
}

static inline uint64_t dump_count(const struct value *v, bool compress, int version, uint32_t units)
{
    struct loop loop = {0};
    struct rdb_options options = {.compress = compress, .version = version};
    struct dump_counter *c = dump_counter_new(v, &options);
    bool counted = false;
    while (!counted) {
        struct budget budget = {.loop = &loop, .units = units};
        counted = dump_counter_step(c, units ? &budget : NULL);
    }
    uint64_t bytes = dump_counter_bytes(c);
    dump_counter_free(c);
    return bytes;
}

struct restored {
    enum rdb_progress progress;
    struct value value; // when RDB_DONE
    struct error error;
};

// RESTORE of a payload that arrives `piece` bytes at a time, each in memory of its own so that
// sanitizers see every step over its end.
static inline struct restored restore_in(struct bytes payload, size_t piece, uint32_t units,
                                         bool sanitize, bool skip_checksum,
                                         const struct value_limits *limits)
{
    struct loop loop = {0};
    struct rdb_decode_options options = {limits, sanitize};
    struct restored result = {.progress = RDB_MORE};
    struct restore_decoder *d = restore_decoder_new(payload.len, &options, skip_checksum);
    for (size_t at = 0; at < payload.len && result.progress == RDB_MORE; at += piece) {
        size_t len = payload.len - at < piece ? payload.len - at : piece;
        char *copy = mem_alloc(len);
        memcpy(copy, payload.data + at, len);
        struct bytes input = bytes_of(copy, len);
        do {
            struct budget budget = {.loop = &loop, .units = units};
            result.progress =
                restore_decoder_push(d, &input, units ? &budget : NULL, &result.error);
        } while (result.progress == RDB_BUDGET);
        if (result.progress == RDB_MORE) cr_assert_eq(input.len, 0, "input was left");
        mem_free(copy);
    }
    if (result.progress == RDB_DONE) result.value = restore_decoder_take(d);
    restore_decoder_free(d);
    return result;
}

static inline struct restored restore(struct bytes payload, size_t piece)
{
    struct value_limits limits = default_limits();
    return restore_in(payload, piece, 0, true, false, &limits);
}

// A value body (type given) as a payload with version and checksum.
static inline struct buf as_payload(int type, struct bytes body)
{
    struct buf out = BUF_EMPTY;
    buf_append_byte(&out, (uint8_t)type);
    buf_append_bytes(&out, body);
    buf_append(&out, "\x0a\x00", 2);
    uint64_t crc = crc64(0, buf_view(&out).data, buf_len(&out));
    for (int i = 0; i < 8; i++)
        buf_append_byte(&out, (uint8_t)(crc >> (8 * i)));
    return out;
}

// ---- equality ---------------------------------------------------------------------------------

static inline bool hashes_equal(const struct value *a, const struct value *b)
{
    struct hash_iter it;
    struct bytes field, value, other;
    char scratch[TEXT_I64_BYTES];
    bool equal = hash_length(a) == hash_length(b);
    hash_iter_begin(&it, a);
    while (equal && hash_iter_next(&it, &field, &value))
        equal = hash_get(b, field, &other, scratch) && bytes_equal(value, other);
    hash_iter_end(&it);
    return equal;
}

static inline bool sets_equal(const struct value *a, const struct value *b)
{
    struct set_iter it;
    struct bytes member;
    bool equal = set_length(a) == set_length(b);
    set_iter_begin(&it, a);
    while (equal && set_iter_next(&it, &member))
        equal = set_contains(b, member);
    set_iter_end(&it);
    return equal;
}

static inline bool zsets_equal(const struct value *a, const struct value *b)
{
    struct zset_iter x, y;
    struct zset_entry p, q;
    bool equal = zset_length(a) == zset_length(b);
    zset_iter_begin(&x, a, zset_whole_span(a), false);
    zset_iter_begin(&y, b, zset_whole_span(b), false);
    while (equal && zset_iter_next(&x, &p))
        equal = zset_iter_next(&y, &q) && bytes_equal(p.member, q.member) && p.score == q.score;
    zset_iter_end(&x);
    zset_iter_end(&y);
    return equal;
}

static inline bool lists_equal(const struct value *a, const struct value *b)
{
    struct list_iter x, y;
    struct bytes p, q;
    if (value_length(a) != value_length(b)) return false;
    if (value_length(a) == 0) return true;
    list_seek(&x, a, 0, false);
    list_seek(&y, b, 0, false);
    while (list_next(&x, &p))
        if (!list_next(&y, &q) || !bytes_equal(p, q)) return false;
    return true;
}

static inline bool values_equal(const struct value *a, const struct value *b)
{
    char x[TEXT_I64_BYTES], y[TEXT_I64_BYTES];
    if (a->type != b->type) return false;
    switch (a->type) {
    case VALUE_STRING:
        return bytes_equal(string_view(a, x), string_view(b, y));
    case VALUE_LIST:
        return lists_equal(a, b);
    case VALUE_SET:
        return sets_equal(a, b);
    case VALUE_HASH:
        return hashes_equal(a, b);
    case VALUE_ZSET:
        return zsets_equal(a, b);
    }
    struct buf p = dump(a, false, 0, 4096, 0), q = dump(b, false, 0, 4096, 0);
    bool equal = bytes_equal(buf_view(&p), buf_view(&q));
    buf_free(&p);
    buf_free(&q);
    return equal;
}

// ---- values at random -------------------------------------------------------------------------

// A string: a number, text that compresses, or noise. The view is good until the next call.
static inline struct bytes random_text(struct rng *rng, struct buf *scratch, size_t max)
{
    buf_clear(scratch);
    size_t len = rng_below(rng, max + 1);
    switch (rng_below(rng, 3)) {
    case 0:
        buf_printf(scratch, "%lld", (long long)(int64_t)(rng_next(rng) >> rng_below(rng, 64)));
        break;
    case 1:
        while (buf_len(scratch) < len)
            buf_printf(scratch, "part %d, ", (int)rng_below(rng, 10));
        break;
    default:
        for (size_t i = 0; i < len; i++)
            buf_append_byte(scratch, (uint8_t)rng_next(rng));
    }
    return buf_view(scratch);
}

static inline void random_stream(struct value *v, struct rng *rng, int elements, size_t max,
                                 const struct value_limits *limits)
{
    stream_new_value(v);
    struct stream *s = v->u.stream;
    struct buf text = BUF_EMPTY;
    struct stream_id id = {1, 1};
    for (int i = 0; i < elements; i++) {
        id.ms += rng_below(rng, 3);
        id.seq += 1;
        struct bytes pairs[2] = {BYTES("field"), random_text(rng, &text, max)};
        stream_add(s, limits, STREAM_ID_GIVEN, &id, 0, pairs, 1);
        if (rng_below(rng, 5) == 0) stream_delete(s, id);
    }
    int groups = (int)rng_below(rng, 3);
    for (int g = 0; g < groups; g++) {
        char name[16];
        int len = snprintf(name, sizeof(name), "group-%d", g);
        struct stream_group *group = stream_group_create(s, bytes_of(name, (size_t)len),
                                                         (struct stream_id){5, 5}, STREAM_UNKNOWN);
        struct stream_consumer *one = stream_consumer_create(group, BYTES("one"), 1234567890123);
        stream_consumer_create(group, BYTES("two, who has nothing"), 1);
        for (int i = 0; i < elements / 2; i++)
            stream_pending_create(group, one,
                                  (struct stream_id){(uint64_t)i + 1, rng_below(rng, 9)},
                                  1700000000000 + i, rng_below(rng, 100));
    }
    buf_free(&text);
}

static inline void random_value(struct value *v, enum value_type type, struct rng *rng,
                                int elements, size_t max, const struct value_limits *limits)
{
    struct buf a = BUF_EMPTY, b = BUF_EMPTY;
    switch (type) {
    case VALUE_STRING:
        string_init(v, random_text(rng, &a, max));
        break;
    case VALUE_LIST:
        list_new(v, limits);
        for (int i = 0; i < elements; i++)
            list_add(v, random_text(rng, &a, max));
        break;
    case VALUE_SET:
        set_init(v);
        bool numbers = rng_below(rng, 2) == 0;
        for (int i = 0; i < elements; i++) {
            if (numbers) {
                buf_clear(&a);
                buf_printf(&a, "%d", (int)rng_below(rng, 1000000));
                set_add(v, buf_view(&a), limits);
            } else {
                set_add(v, random_text(rng, &a, max), limits);
            }
        }
        break;
    case VALUE_HASH:
        hash_init(v);
        for (int i = 0; i < elements; i++)
            hash_set(v, random_text(rng, &a, max), random_text(rng, &b, max), limits);
        break;
    case VALUE_ZSET:
        zset_init(v);
        for (int i = 0; i < elements; i++)
            zset_set(v, random_text(rng, &a, max), (double)(int64_t)rng_next(rng) / 1000, limits);
        break;
    default:
        random_stream(v, rng, elements, max, limits);
    }
    buf_free(&a);
    buf_free(&b);
}

#endif
