// Encodings that Redis 7.0 no longer writes, or does not write yet: each is built here by hand,
// read whole and cut anywhere, and damaged at every byte.
#include "unit/rdb_support.h"

// ---- builders -----------------------------------------------------------------------------------

static void add_le(struct buf *b, uint64_t number, int len)
{
    for (int i = 0; i < len; i++)
        buf_append_byte(b, (uint8_t)(number >> (8 * i)));
}

// A ziplist (Redis 7.0 ziplist.c): u32 bytes, u32 place of the last entry, u16 count, entries of
// previous length, encoding and data, 0xFF.
struct ziplist {
    struct buf entries;
    size_t previous, last;
    int count;
};

static void begin_entry(struct ziplist *z)
{
    z->last = buf_len(&z->entries);
    if (z->previous < 254) {
        buf_append_byte(&z->entries, (uint8_t)z->previous);
    } else {
        buf_append_byte(&z->entries, 254);
        add_le(&z->entries, z->previous, 4);
    }
}

static void end_entry(struct ziplist *z)
{
    z->previous = buf_len(&z->entries) - z->last;
    z->count++;
}

static void zl_text(struct ziplist *z, struct bytes text)
{
    begin_entry(z);
    if (text.len < 64) {
        buf_append_byte(&z->entries, (uint8_t)text.len);
    } else {
        buf_append_byte(&z->entries, (uint8_t)(0x40 | text.len >> 8));
        buf_append_byte(&z->entries, (uint8_t)text.len);
    }
    buf_append_bytes(&z->entries, text);
    end_entry(z);
}

static void zl_number(struct ziplist *z, int64_t number)
{
    begin_entry(z);
    if (number >= 0 && number <= 12) {
        buf_append_byte(&z->entries, (uint8_t)(0xF1 + number));
    } else if (number >= INT8_MIN && number <= INT8_MAX) {
        buf_append_byte(&z->entries, 0xFE);
        add_le(&z->entries, (uint64_t)number, 1);
    } else {
        buf_append_byte(&z->entries, 0xE0);
        add_le(&z->entries, (uint64_t)number, 8);
    }
    end_entry(z);
}

// The whole; empties the builder.
static struct buf zl_take(struct ziplist *z)
{
    struct buf out = BUF_EMPTY;
    add_le(&out, 11 + buf_len(&z->entries), 4);
    add_le(&out, 10 + z->last, 4);
    add_le(&out, (uint64_t)z->count, 2);
    buf_append_bytes(&out, buf_view(&z->entries));
    buf_append_byte(&out, 0xFF);
    buf_free(&z->entries);
    *z = (struct ziplist){0};
    return out;
}

// A body that is one string: the blob. Frees it.
static struct buf body_of(struct buf *blob)
{
    struct buf out = BUF_EMPTY;
    rdb_put_string(&out, buf_view(blob), false);
    buf_free(blob);
    return out;
}

// ---- what each must become ----------------------------------------------------------------------

static struct value must_restore(const struct buf *payload, size_t piece)
{
    struct restored r = restore(buf_view(payload), piece);
    cr_assert_eq(r.progress, RDB_DONE, "by %zu: %s", piece, r.error.text);
    return r.value;
}

// Reads it at every cut, sees that it is `expected` (which is freed), then damages every byte.
static void check(int type, struct buf *body, struct value *expected, const char *encoding)
{
    struct buf payload = as_payload(type, buf_view(body));
    for (size_t piece = 1; piece <= buf_len(&payload); piece++) {
        struct value v = must_restore(&payload, piece);
        cr_assert(values_equal(&v, expected), "type %d by %zu", type, piece);
        cr_assert_str_eq(value_encoding_name(&v), encoding);
        value_free(&v);
    }
    struct value_limits limits = default_limits();
    for (size_t at = 1; at + 10 < buf_len(&payload); at++) {
        char *byte = payload.data + payload.start + at, was = *byte;
        for (int bit = 0; bit < 8; bit++) {
            *byte = (char)(was ^ 1 << bit);
            struct restored r = restore_in(buf_view(&payload), 17, 0, bit & 1, true, &limits);
            if (r.progress == RDB_DONE) value_free(&r.value);
        }
        *byte = was;
        struct restored cut =
            restore_in(bytes_of(payload.data + payload.start, at + 10), 23, 0, true, true, &limits);
        if (cut.progress == RDB_DONE) value_free(&cut.value);
    }
    value_free(expected);
    buf_free(&payload);
    buf_free(body);
}

static void must_refuse(int type, struct buf *body, const char *says)
{
    struct buf payload = as_payload(type, buf_view(body));
    struct restored r = restore(buf_view(&payload), 40);
    cr_assert_eq(r.progress, RDB_FAILED);
    cr_assert_eq(r.error.class, ERROR_CORRUPT);
    cr_assert(strstr(r.error.text, says) != NULL, "%s", r.error.text);
    buf_free(&payload);
    buf_free(body);
}

static struct value list_of(const char *const *elements)
{
    struct value_limits limits = default_limits();
    struct value v;
    list_new(&v, &limits);
    for (; *elements != NULL; elements++)
        list_add(&v, bytes_from_cstr(*elements));
    return v;
}

static const char *const three[] = {"first", "12", "-70000", NULL};

Test(rdb_old, a_list_by_element)
{
    struct buf body = BUF_EMPTY;
    rdb_put_length(&body, 3);
    for (int i = 0; i < 3; i++)
        rdb_put_string(&body, bytes_from_cstr(three[i]), false);
    struct value expected = list_of(three);
    check(RDB_LIST, &body, &expected, "quicklist");
}

static struct buf ziplist_of_three(void)
{
    struct ziplist z = {0};
    zl_text(&z, BYTES("first"));
    zl_number(&z, 12);
    zl_number(&z, -70000);
    return zl_take(&z);
}

Test(rdb_old, a_list_as_a_ziplist)
{
    struct buf blob = ziplist_of_three(), body = body_of(&blob);
    struct value expected = list_of(three);
    check(RDB_LIST_ZIPLIST, &body, &expected, "quicklist");
}

Test(rdb_old, a_quicklist_of_ziplists)
{
    struct buf body = BUF_EMPTY;
    rdb_put_length(&body, 2);
    struct buf a = ziplist_of_three();
    rdb_put_string(&body, buf_view(&a), false);
    buf_free(&a);
    struct ziplist z = {0};
    char long_text[300];
    memset(long_text, 'l', sizeof(long_text));
    zl_text(&z, bytes_of(long_text, sizeof(long_text)));
    zl_text(&z, BYTES("after a long one"));
    struct buf b = zl_take(&z);
    rdb_put_string(&body, buf_view(&b), true);
    buf_free(&b);
    struct value expected = list_of(three);
    list_add(&expected, bytes_of(long_text, sizeof(long_text)));
    list_add(&expected, BYTES("after a long one"));
    check(RDB_LIST_QUICKLIST, &body, &expected, "quicklist");
}

static struct value hash_of_two(void)
{
    struct value_limits limits = default_limits();
    struct value v;
    hash_init(&v);
    hash_set(&v, BYTES("name"), BYTES("value"), &limits);
    hash_set(&v, BYTES("7"), BYTES("-1"), &limits);
    return v;
}

Test(rdb_old, a_hash_as_a_ziplist)
{
    struct ziplist z = {0};
    zl_text(&z, BYTES("name"));
    zl_text(&z, BYTES("value"));
    zl_number(&z, 7);
    zl_number(&z, -1);
    struct buf blob = zl_take(&z), body = body_of(&blob);
    struct value expected = hash_of_two();
    check(RDB_HASH_ZIPLIST, &body, &expected, "listpack");
}

Test(rdb_old, a_hash_as_a_zipmap)
{
    // Count, then: length, field, length, bytes left free, value, the free bytes.
    struct buf blob = BUF_EMPTY;
    buf_append_bytes(&blob, BYTES("\x02\x04name\x05\x02value??\x01\x37\x02\x00-1\xff"));
    struct buf body = body_of(&blob);
    struct value expected = hash_of_two();
    check(RDB_HASH_ZIPMAP, &body, &expected, "listpack");
}

Test(rdb_old, a_hash_as_a_ziplist_that_is_too_large_for_a_listpack)
{
    struct value_limits limits = default_limits();
    struct value expected;
    hash_init(&expected);
    struct ziplist z = {0};
    for (int i = 0; i < 130; i++) {
        zl_number(&z, i);
        zl_number(&z, i * 3);
        char field[TEXT_I64_BYTES], value[TEXT_I64_BYTES];
        struct bytes f = bytes_of(field, text_from_i64(field, i));
        hash_set(&expected, f, bytes_of(value, text_from_i64(value, i * 3)), &limits);
    }
    struct buf blob = zl_take(&z), body = body_of(&blob);
    check(RDB_HASH_ZIPLIST, &body, &expected, "hashtable");
}

Test(rdb_old, a_field_that_comes_twice_is_refused)
{
    struct ziplist z = {0};
    for (int i = 0; i < 4; i++)
        zl_text(&z, BYTES("same"));
    struct buf blob = zl_take(&z), body = body_of(&blob);
    must_refuse(RDB_HASH_ZIPLIST, &body, "twice");
    body = BUF_EMPTY;
    rdb_put_length(&body, 2);
    for (int i = 0; i < 4; i++)
        rdb_put_string(&body, BYTES("same"), false);
    must_refuse(RDB_HASH, &body, "hash field \"same\" comes twice");
}

static void must_refuse_unsanitized(int type, struct bytes body, const struct value_limits *limits,
                                    const char *says)
{
    struct buf payload = as_payload(type, body);
    struct restored r = restore_in(buf_view(&payload), 40, 0, false, false, limits);
    cr_assert_eq(r.progress, RDB_FAILED, "type %d is taken", type);
    cr_assert(strstr(r.error.text, says) != NULL, "%s", r.error.text);
    buf_free(&payload);
}

Test(rdb_old, a_block_that_is_written_anew_is_always_looked_through)
{
    struct value_limits limits = default_limits(), narrow = default_limits();
    narrow.hash_max_listpack_entries = 1;
    static const char ziplist[] = "\x1b\x1b\0\0\0\x16\0\0\0\x04\0"
                                  "\0\x02\x61\0\x04\x02\x62\0\x04\x02\x61\0\x04\x02\x64\0\xff";
    static const char listpack[] = "\x17\x17\0\0\0\x04\0\x82\x61\0\x03\x82\x62\0\x03\x82\x61\0"
                                   "\x03\x82\x64\0\x03\xff";
    must_refuse_unsanitized(RDB_HASH_ZIPLIST, BYTES(ziplist), &limits, "integrity check failed");
    must_refuse_unsanitized(RDB_HASH_LISTPACK, BYTES(listpack), &narrow,
                            "listpack with dup elements");
    must_refuse_unsanitized(RDB_HASH_ZIPMAP, BYTES("\x02\x00\xff"), &limits,
                            "Zipmap integrity check failed");
    must_refuse_unsanitized(RDB_LIST_QUICKLIST_2, BYTES("\x01\x01\x00"), &limits, "is empty");
}

// Fields of a table are added some at a time.
Test(rdb_old, a_field_that_comes_twice_is_refused_wherever_it_is)
{
    enum { FIELDS = 700 };
    static const int places[] = {0, 1, 509, 512, 515, 516, 519, 520, 521, 698};
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        for (int again = places[i] + 1; again < FIELDS; again += 1 + (again - places[i]) / 2) {
            struct buf body = BUF_EMPTY;
            rdb_put_length(&body, FIELDS);
            for (int n = 0; n < FIELDS; n++) {
                char field[16];
                snprintf(field, sizeof(field), "f%d", n == again ? places[i] : n);
                rdb_put_string(&body, bytes_from_cstr(field), false);
                rdb_put_string(&body, BYTES("value"), false);
            }
            char expected[64];
            snprintf(expected, sizeof(expected), "hash field \"f%d\" comes twice", places[i]);
            must_refuse(RDB_HASH, &body, expected);
        }
    }
}

static struct value zset_of_three(void)
{
    struct value_limits limits = default_limits();
    struct value v;
    zset_init(&v);
    zset_set(&v, BYTES("low"), -__builtin_inf(), &limits);
    zset_set(&v, BYTES("12"), 1.5, &limits);
    zset_set(&v, BYTES("high"), __builtin_inf(), &limits);
    return v;
}

Test(rdb_old, a_zset_with_scores_as_text)
{
    struct buf body = BUF_EMPTY;
    buf_append_bytes(&body, BYTES("\x03\x03low\xff\xc0\x0c\x03\x31.5\x04high\xfe"));
    struct value expected = zset_of_three();
    check(RDB_ZSET, &body, &expected, "listpack");
    buf_append_bytes(&body, BYTES("\x01\x01x\xfd"));
    must_refuse(RDB_ZSET, &body, "no number");
    buf_append_bytes(&body, BYTES("\x01\x01x\x04\x31.5x"));
    must_refuse(RDB_ZSET, &body, "no number");
}

Test(rdb_old, a_zset_as_a_ziplist)
{
    struct ziplist z = {0};
    zl_text(&z, BYTES("low"));
    zl_text(&z, BYTES("-inf"));
    zl_number(&z, 12);
    zl_text(&z, BYTES("1.5"));
    zl_text(&z, BYTES("high"));
    zl_text(&z, BYTES("inf"));
    struct buf blob = zl_take(&z), body = body_of(&blob);
    struct value expected = zset_of_three();
    check(RDB_ZSET_ZIPLIST, &body, &expected, "listpack");
}

Test(rdb_old, a_set_as_a_listpack)
{
    struct value_limits limits = default_limits();
    struct buf blob = BUF_EMPTY;
    buf_append_bytes(&blob, BYTES("\x0f\x00\x00\x00\x03\x00\x81x\x02\x05\x01\x81z\x02\xff"));
    struct buf body = body_of(&blob);
    struct value expected;
    set_init(&expected);
    set_add(&expected, BYTES("x"), &limits);
    set_add(&expected, BYTES("5"), &limits);
    set_add(&expected, BYTES("z"), &limits);
    check(RDB_SET_LISTPACK, &body, &expected, "hashtable");
}

Test(rdb_old, a_set_as_an_intset_that_is_too_large)
{
    struct value_limits limits = default_limits();
    struct value expected;
    set_init(&expected);
    struct buf blob = BUF_EMPTY;
    add_le(&blob, 4, 4);
    add_le(&blob, 600, 4);
    for (int i = 0; i < 600; i++) {
        add_le(&blob, (uint64_t)((i - 300) * 1000), 4);
        char text[TEXT_I64_BYTES];
        set_add(&expected, bytes_of(text, text_from_i64(text, (i - 300) * 1000)), &limits);
    }
    struct buf body = body_of(&blob);
    struct buf payload = as_payload(RDB_SET_INTSET, buf_view(&body));
    struct value v = must_restore(&payload, 100);
    cr_assert(values_equal(&v, &expected));
    cr_assert_str_eq(value_encoding_name(&v), "hashtable");
    value_free(&v);
    value_free(&expected);
    buf_free(&payload);
    buf_free(&body);
}

// ---- streams ------------------------------------------------------------------------------------

// A stream with one entry and a group, as types 15 (without) and 21 (with active times) hold it.
static struct buf stream_body(int type, const struct stream *s)
{
    struct buf body = BUF_EMPTY;
    struct idtree_iter it;
    struct stream_id id;
    struct bytes node;
    char raw[STREAM_ID_RAW_BYTES];
    rdb_put_length(&body, 1);
    stream_nodes_seek(&it, s);
    cr_assert(stream_nodes_next(&it, &id, &node));
    stream_id_write_raw(raw, id);
    rdb_put_string(&body, bytes_of(raw, sizeof(raw)), false);
    rdb_put_string(&body, node, false);
    rdb_put_length(&body, 1);
    rdb_put_length(&body, s->last_id.ms);
    rdb_put_length(&body, s->last_id.seq);
    if (type != RDB_STREAM_LISTPACKS)
        buf_append_bytes(&body,
                         BYTES("\x05\x01\x00\x00\x01")); // first id, greatest deleted id, added
    rdb_put_length(&body, 1);
    rdb_put_string(&body, BYTES("group"), false);
    buf_append_bytes(&body, BYTES("\x05\x01"));
    if (type != RDB_STREAM_LISTPACKS) rdb_put_length(&body, 1); // read
    rdb_put_length(&body, 1);
    buf_append(&body, raw, sizeof(raw));
    add_le(&body, 1700000000000, 8);
    rdb_put_length(&body, 3);
    rdb_put_length(&body, 1);
    rdb_put_string(&body, BYTES("alice"), false);
    add_le(&body, 1700000000001, 8);
    if (type == RDB_STREAM_LISTPACKS_3) add_le(&body, 1700000000002, 8);
    rdb_put_length(&body, 1);
    buf_append(&body, raw, sizeof(raw));
    return body;
}

static void check_stream(int type)
{
    struct value_limits limits = default_limits();
    struct value expected;
    stream_new_value(&expected);
    struct stream *s = expected.u.stream;
    struct stream_id id = {5, 1};
    struct bytes pair[2] = {BYTES("f"), BYTES("v")};
    stream_add(s, &limits, STREAM_ID_GIVEN, &id, 0, pair, 1);
    // Files from before Redis 7 don't tell how many were read; the last id does.
    struct stream_group *g = stream_group_create(s, BYTES("group"), id, 1);
    struct stream_consumer *alice = stream_consumer_create(g, BYTES("alice"), 1700000000001);
    stream_pending_create(g, alice, id, 1700000000000, 3);
    struct buf body = stream_body(type, s);
    if (type == RDB_STREAM_LISTPACKS_3) {
        struct buf payload = as_payload(type, buf_view(&body));
        struct value v = must_restore(&payload, 9);
        struct stream_group *group = stream_group_at(v.u.stream, 0);
        cr_assert_eq(stream_consumer_at(group, 0)->active_time_ms, 1700000000002);
        value_free(&v);
        buf_free(&payload);
    }
    check(type, &body, &expected, "stream");
}

Test(rdb_old, a_stream_from_before_redis_7, .timeout = 60)
{
    check_stream(RDB_STREAM_LISTPACKS);
}

Test(rdb_old, a_stream_of_redis_7, .timeout = 60)
{
    check_stream(RDB_STREAM_LISTPACKS_2);
}

Test(rdb_old, a_stream_of_redis_7_2, .timeout = 60)
{
    check_stream(RDB_STREAM_LISTPACKS_3);
}
