// DUMP and RESTORE: payloads of a real Redis, values at random, damage of every kind.
#include "unit/rdb_payloads.h"
#include "unit/rdb_support.h"

#include <math.h>

#define PAYLOADS (sizeof(rdb_payloads) / sizeof(rdb_payloads[0]))

static struct bytes payload_bytes(const struct rdb_payload *p)
{
    return bytes_of(p->bytes, p->len);
}

Test(rdb_dump, what_redis_dumped_is_read_and_written_again)
{
    for (size_t i = 0; i < PAYLOADS; i++) {
        const struct rdb_payload *p = &rdb_payloads[i];
        struct restored r = restore(payload_bytes(p), p->len);
        cr_assert_eq(r.progress, RDB_DONE, "%s: %s", p->name, r.error.text);
        cr_assert_str_eq(value_encoding_name(&r.value), p->encoding, "%s", p->name);
        struct buf again = dump(&r.value, false, RDB_VERSION, 4096, 0);
        if (p->identical)
            cr_assert(bytes_equal(buf_view(&again), payload_bytes(p)), "%s differs", p->name);
        struct restored r2 = restore(buf_view(&again), 7);
        cr_assert_eq(r2.progress, RDB_DONE, "%s: %s", p->name, r2.error.text);
        cr_assert(values_equal(&r.value, &r2.value), "%s is another value", p->name);
        value_free(&r.value);
        value_free(&r2.value);
        buf_free(&again);
    }
}

Test(rdb_dump, a_payload_cut_anywhere_is_read_all_the_same)
{
    struct value_limits limits = default_limits();
    for (size_t i = 0; i < PAYLOADS; i++) {
        const struct rdb_payload *p = &rdb_payloads[i];
        struct restored whole = restore(payload_bytes(p), p->len);
        for (size_t piece = 1; piece < p->len; piece++) {
            struct restored r =
                restore_in(payload_bytes(p), piece, piece % 3, true, false, &limits);
            cr_assert_eq(r.progress, RDB_DONE, "%s by %zu: %s", p->name, piece, r.error.text);
            cr_assert(values_equal(&r.value, &whole.value), "%s by %zu", p->name, piece);
            value_free(&r.value);
        }
        value_free(&whole.value);
    }
}

Test(rdb_dump, a_payload_that_ends_early_is_refused)
{
    for (size_t i = 0; i < PAYLOADS; i++) {
        const struct rdb_payload *p = &rdb_payloads[i];
        for (size_t len = 0; len < p->len; len++) {
            struct value_limits limits = default_limits();
            struct rdb_decode_options options = {&limits, true};
            // Shorter than announced: more is wanted.
            struct restore_decoder *d = restore_decoder_new(p->len, &options, false);
            struct bytes input = bytes_of(p->bytes, len);
            struct error error = ERROR_OK;
            enum rdb_progress progress = restore_decoder_push(d, &input, NULL, &error);
            cr_assert_eq(progress, RDB_MORE, "%s at %zu", p->name, len);
            restore_decoder_free(d);
            // Announced as short as it is: the checksum is not where it should be.
            struct restored r = restore(bytes_of(p->bytes, len), 64);
            if (len > 0) cr_assert_eq(r.progress, RDB_FAILED, "%s cut at %zu", p->name, len);
            if (len > 0) cr_assert_eq(r.error.class, ERROR_UNSUPPORTED);
        }
    }
}

Test(rdb_dump, one_flipped_byte_is_found_by_the_checksum)
{
    for (size_t i = 0; i < PAYLOADS; i++) {
        const struct rdb_payload *p = &rdb_payloads[i];
        char *copy = mem_alloc(p->len);
        for (size_t at = 0; at < p->len; at++) {
            memcpy(copy, p->bytes, p->len);
            copy[at] = (char)(copy[at] ^ 0x41);
            struct restored r = restore(bytes_of(copy, p->len), p->len);
            cr_assert_eq(r.progress, RDB_FAILED, "%s at %zu", p->name, at);
            cr_assert_eq(r.error.class, ERROR_UNSUPPORTED, "%s: %s", p->name, r.error.text);
        }
        mem_free(copy);
    }
}

// Whatever is accepted must be a sound value: it is encoded, and decoded again.
static void must_be_sound(struct restored *r, const char *name, size_t at)
{
    if (r->progress != RDB_DONE) {
        cr_assert_neq(r->error.class, ERROR_NONE, "%s at %zu: no reason", name, at);
        return;
    }
    struct buf again = dump(&r->value, true, 0, 100, 0);
    struct restored second = restore(buf_view(&again), 64);
    cr_assert_eq(second.progress, RDB_DONE, "%s at %zu: %s", name, at, second.error.text);
    cr_assert(values_equal(&r->value, &second.value), "%s at %zu", name, at);
    value_free(&second.value);
    value_free(&r->value);
    buf_free(&again);
}

Test(rdb_dump, without_a_checksum_every_flip_is_survived, .timeout = 240)
{
    struct value_limits limits = default_limits();
    for (size_t i = 0; i < PAYLOADS; i++) {
        const struct rdb_payload *p = &rdb_payloads[i];
        char *copy = mem_alloc(p->len);
        for (size_t at = 0; at + 10 < p->len; at++) {
            for (int flip = 0; flip < 8 + 2; flip++) {
                memcpy(copy, p->bytes, p->len);
                copy[at] = (char)(flip < 8 ? copy[at] ^ 1 << flip : flip == 8 ? 0 : 0xFF);
                struct restored r = restore_in(bytes_of(copy, p->len), 50, 0, true, true, &limits);
                must_be_sound(&r, p->name, at);
            }
        }
        mem_free(copy);
    }
}

Test(rdb_dump, random_values_come_back, .timeout = 240)
{
    struct value_limits limits = default_limits();
    struct rng rng;
    rng_seed(&rng, 20240501);
    for (int round = 0; round < 300; round++) {
        enum value_type type = (enum value_type)(round % VALUE_TYPE_COUNT);
        struct value v;
        random_value(&v, type, &rng, 1 + (int)rng_below(&rng, 300), round % 4 ? 40 : 3000, &limits);
        bool compress = rng_below(&rng, 2) == 0;
        int version = rng_below(&rng, 2) ? 0 : RDB_VERSION;
        struct buf payload =
            dump(&v, compress, version, 1 + rng_below(&rng, 5000), (uint32_t)rng_below(&rng, 200));
        cr_assert_eq(dump_count(&v, compress, version, (uint32_t)rng_below(&rng, 200)),
                     buf_len(&payload), "round %d: counted otherwise", round);
        struct restored r = restore_in(buf_view(&payload), 1 + rng_below(&rng, 5000),
                                       (uint32_t)rng_below(&rng, 200), true, false, &limits);
        cr_assert_eq(r.progress, RDB_DONE, "round %d: %s", round, r.error.text);
        cr_assert(values_equal(&v, &r.value), "round %d: another value", round);
        cr_assert_str_eq(value_encoding_name(&v), value_encoding_name(&r.value));
        value_free(&r.value);
        value_free(&v);
        buf_free(&payload);
    }
}

Test(rdb_dump, one_byte_at_a_time_gives_the_same_payload)
{
    struct value_limits limits = default_limits();
    struct rng rng;
    rng_seed(&rng, 7);
    for (int type = 0; type < VALUE_TYPE_COUNT; type++) {
        struct value v;
        random_value(&v, (enum value_type)type, &rng, 200, 700, &limits);
        struct buf whole = dump(&v, true, 0, 1 << 20, 0), bytewise = dump(&v, true, 0, 1, 1);
        cr_assert(bytes_equal(buf_view(&whole), buf_view(&bytewise)));
        buf_free(&whole);
        buf_free(&bytewise);
        value_free(&v);
    }
}

static int footer_version(const struct buf *payload)
{
    return (unsigned char)buf_view(payload).data[buf_len(payload) - 10];
}

// Of a small value of each type, kept as blocks where there are such: the types in its payload,
// asked for version 0 (the lowest), 5, 6 ... 11.
static const struct {
    enum value_type type;
    enum rdb_type from_10, from_8, before;
    int lowest;
} version_rows[] = {
    {VALUE_STRING, RDB_STRING, RDB_STRING, RDB_STRING, 6},
    {VALUE_LIST, RDB_LIST_QUICKLIST_2, RDB_LIST, RDB_LIST, 6},
    {VALUE_SET, RDB_SET, RDB_SET, RDB_SET, 6},
    {VALUE_HASH, RDB_HASH_LISTPACK, RDB_HASH, RDB_HASH, 6},
    {VALUE_ZSET, RDB_ZSET_LISTPACK, RDB_ZSET_2, RDB_ZSET, 6},
};

static void small_value(struct value *v, enum value_type type, const struct value_limits *limits)
{
    switch (type) {
    case VALUE_LIST:
        list_new(v, limits);
        list_add(v, BYTES("12"));
        list_add(v, BYTES("text"));
        break;
    case VALUE_SET:
        set_init(v);
        set_add(v, BYTES("member"), limits);
        break;
    case VALUE_HASH:
        hash_init(v);
        hash_set(v, BYTES("field"), BYTES("-7"), limits);
        break;
    case VALUE_ZSET:
        zset_init(v);
        zset_set(v, BYTES("third"), 1.0 / 3, limits);
        zset_set(v, BYTES("most"), INFINITY, limits);
        zset_set(v, BYTES("least"), -INFINITY, limits);
        zset_set(v, BYTES("tiny"), 5e-324, limits);
        break;
    default:
        string_init(v, BYTES("text"));
    }
}

Test(rdb_dump, a_payload_has_only_what_its_version_knows)
{
    struct value_limits limits = default_limits();
    for (size_t i = 0; i < sizeof(version_rows) / sizeof(version_rows[0]); i++) {
        struct value v;
        small_value(&v, version_rows[i].type, &limits);
        for (int version = 4; version <= 11; version++) {
            int asked = version == 4 ? 0 : version;
            struct buf payload = dump(&v, true, asked, 3, 0);
            int got = asked ? asked : version_rows[i].lowest;
            enum rdb_type type = got >= 10  ? version_rows[i].from_10
                                 : got >= 8 ? version_rows[i].from_8
                                            : version_rows[i].before;
            cr_assert_eq(footer_version(&payload), got, "row %zu, version %d", i, asked);
            cr_assert_eq(buf_view(&payload).data[0], (char)type, "row %zu, version %d", i, asked);
            struct restored r = restore(buf_view(&payload), 5);
            cr_assert_eq(r.progress, RDB_DONE, "row %zu: %s", i, r.error.text);
            cr_assert(values_equal(&v, &r.value), "row %zu, version %d: another value", i, asked);
            value_free(&r.value);
            buf_free(&payload);
        }
        value_free(&v);
    }
}

Test(rdb_dump, a_stream_goes_as_before_tombstones_when_it_has_none)
{
    struct value_limits limits = default_limits();
    struct value v;
    stream_new_value(&v);
    struct stream *s = v.u.stream;
    struct bytes pair[2] = {BYTES("field"), BYTES("value")};
    for (uint64_t i = 1; i <= 3; i++) {
        struct stream_id id = {i, 0};
        stream_add(s, &limits, STREAM_ID_GIVEN, &id, 0, pair, 1);
    }
    stream_group_create(s, BYTES("group"), (struct stream_id){3, 0}, 3);
    for (int version = 0; version <= 9; version += 9) {
        struct buf payload = dump(&v, false, version, 100, 0);
        cr_assert_eq(footer_version(&payload), 9);
        cr_assert_eq(buf_view(&payload).data[0], RDB_STREAM_LISTPACKS);
        struct restored r = restore(buf_view(&payload), 5);
        cr_assert_eq(r.progress, RDB_DONE, "%s", r.error.text);
        cr_assert(values_equal(&v, &r.value), "another value");
        value_free(&r.value);
        buf_free(&payload);
    }
    // No earlier version has streams.
    struct buf early = dump(&v, false, 6, 100, 0);
    cr_assert_eq(footer_version(&early), 9);
    buf_free(&early);
    // A deleted entry is remembered from version 10 on only.
    stream_delete(s, (struct stream_id){2, 0});
    struct buf lowest = dump(&v, false, 0, 100, 0), fixed = dump(&v, false, 9, 100, 0);
    cr_assert_eq(footer_version(&lowest), 10);
    cr_assert_eq(buf_view(&lowest).data[0], RDB_STREAM_LISTPACKS_2);
    cr_assert_eq(footer_version(&fixed), 9, "a fixed version is obeyed");
    struct restored r = restore(buf_view(&fixed), 5);
    cr_assert_eq(r.progress, RDB_DONE, "%s", r.error.text);
    cr_assert_eq(value_length(&r.value), 2);
    value_free(&r.value);
    buf_free(&lowest);
    buf_free(&fixed);
    value_free(&v);
}

Test(rdb_dump, a_later_version_is_refused_as_such)
{
    struct buf out = BUF_EMPTY;
    buf_append(&out, "\x00\x01x\x0c\x00", 5);
    uint64_t crc = crc64(0, buf_view(&out).data, 5);
    for (int i = 0; i < 8; i++)
        buf_append_byte(&out, (uint8_t)(crc >> (8 * i)));
    struct restored r = restore(buf_view(&out), 100);
    cr_assert_eq(r.progress, RDB_FAILED);
    cr_assert_eq(r.error.class, ERROR_UNSUPPORTED);
    cr_assert(strstr(r.error.text, "version 12") != NULL, "%s", r.error.text);
    buf_free(&out);
}

Test(rdb_dump, a_wrong_value_with_a_right_checksum_is_bad_data)
{
    // A type that is none; an empty hash; bytes behind the value; a module's value.
    struct {
        int type;
        struct bytes body;
        const char *says;
    } wrong[] = {
        {8, BYTES("\x01x"), "unknown type"},
        {RDB_HASH, BYTES("\x00"), "empty container"},
        {RDB_STRING, BYTES("\x01xy"), "too many"},
        {RDB_STRING, BYTES("\x05xy"), "ends inside"},
        {RDB_MODULE_2, BYTES("\x81\x01\x02\x03\x04\x05\x06\x07\x08"), "module type"},
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct buf payload = as_payload(wrong[i].type, wrong[i].body);
        struct restored r = restore(buf_view(&payload), 3);
        cr_assert_eq(r.progress, RDB_FAILED);
        cr_assert_eq(r.error.class, ERROR_CORRUPT, "%s", r.error.text);
        cr_assert(strstr(r.error.text, wrong[i].says) != NULL, "%s", r.error.text);
        buf_free(&payload);
    }
}

// Blocks longer than are dealt with in one go: read with the limits that made them, and with
// others.
Test(rdb_dump, long_blocks_come_back_under_any_limits, .timeout = 240)
{
    struct value_limits wide = default_limits(), normal = default_limits();
    wide.list_max_listpack_size = 30000;
    wide.hash_max_listpack_entries = wide.zset_max_listpack_entries = 5000;
    wide.hash_max_listpack_value = wide.zset_max_listpack_value = 100000;
    wide.set_max_intset_entries = 5000;
    struct rng rng;
    rng_seed(&rng, 99);
    static const struct {
        enum value_type type;
        int elements;
        size_t max;
    } rows[] = {{VALUE_LIST, 6000, 20}, {VALUE_LIST, 40, 3000}, {VALUE_HASH, 1500, 30},
                {VALUE_HASH, 20, 4000}, {VALUE_ZSET, 1500, 30}, {VALUE_ZSET, 20, 4000},
                {VALUE_SET, 3000, 10},  {VALUE_LIST, 1, 200000}};
    for (size_t i = 0; i < 2 * sizeof(rows) / sizeof(rows[0]); i++) {
        const struct value_limits *limits = i % 2 ? &wide : &normal;
        struct value v;
        random_value(&v, rows[i / 2].type, &rng, rows[i / 2].elements, rows[i / 2].max, &wide);
        int version = i % 3 ? RDB_VERSION : 0;
        struct buf payload = dump(&v, true, version, 5000, 50);
        cr_assert_eq(dump_count(&v, true, version, 20), buf_len(&payload));
        for (uint32_t units = 0; units < 60; units += 29) {
            struct restored r = restore_in(buf_view(&payload), 1 + rng_below(&rng, 3000), units,
                                           units == 29, false, limits);
            cr_assert_eq(r.progress, RDB_DONE, "row %zu: %s", i, r.error.text);
            cr_assert(values_equal(&v, &r.value), "row %zu: another value", i);
            value_free(&r.value);
        }
        value_free(&v);
        buf_free(&payload);
    }
}
