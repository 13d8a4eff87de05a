// Strings, hashes and sets: encodings as Redis chooses them, contents against a model in both
// forms, iterators that stop and go on, and blocks that come from RDB.
#include "base/mem.h"
#include "base/rng.h"
#include "loop/loop_impl.h"
#include "value/hash.h"
#include "value/intset.h"
#include "value/listpack.h"
#include "value/set.h"
#include "value/string.h"

#include <criterion/criterion.h>
#include <stdio.h>

static struct value_limits defaults(void)
{
    struct value_limits limits;
    value_limits_default(&limits);
    limits.hash_seed = 0x5eed;
    return limits;
}

static struct bytes numbered(const char *format, int n, char text[32])
{
    return bytes_of(text, (size_t)snprintf(text, 32, format, n));
}
#define NUMBERED(n, text) numbered("f%d", (n), (text))

// ---- strings ------------------------------------------------------------------------------------

static const char *encoding_of(const char *text)
{
    struct value v;
    char scratch[TEXT_I64_BYTES];
    string_init(&v, bytes_from_cstr(text));
    cr_expect(bytes_equal(string_view(&v, scratch), bytes_from_cstr(text)));
    cr_expect_eq(value_length(&v), strlen(text));
    const char *name = value_encoding_name(&v);
    value_free(&v);
    string_take(&v, str_from(bytes_from_cstr(text)));
    cr_expect_eq(value_encoding_name(&v), name);
    value_free(&v);
    return name;
}

Test(value_string, encodings)
{
    cr_expect_str_eq(encoding_of("12345"), "int");
    cr_expect_str_eq(encoding_of("-9223372036854775808"), "int");
    cr_expect_str_eq(encoding_of("9223372036854775808"), "embstr");
    cr_expect_str_eq(encoding_of("0123"), "embstr");
    cr_expect_str_eq(encoding_of("-0"), "embstr");
    cr_expect_str_eq(encoding_of(""), "embstr");
    cr_expect_str_eq(encoding_of("12345678901234567890123456789012345678901234"), "embstr");
    cr_expect_str_eq(encoding_of("123456789012345678901234567890123456789012345"), "raw");
}

Test(value_string, changes_in_place_make_it_raw)
{
    struct value v;
    char scratch[TEXT_I64_BYTES];
    int64_t number;
    string_init(&v, BYTES("10"));
    cr_expect_eq(string_append(&v, BYTES("5")), 3);
    cr_expect_str_eq(value_encoding_name(&v), "raw");
    cr_expect(string_to_i64(&v, &number) && number == 105);
    cr_expect_eq(string_set_range(&v, 5, BYTES("xy")), 7);
    cr_expect(bytes_equal(string_view(&v, scratch), BYTES("105\0\0xy")));
    string_writable(&v, 9)[8] = 'z';
    cr_expect(bytes_equal(string_view(&v, scratch), BYTES("105\0\0xy\0z")));
    cr_expect_not(string_to_i64(&v, &number));
    string_set_int(&v, -3);
    cr_expect_str_eq(value_encoding_name(&v), "int");
    cr_expect(bytes_equal(string_view(&v, scratch), BYTES("-3")));
    value_free(&v);
}

Test(value_string, a_large_one_is_freed_in_pieces)
{
    struct value v;
    struct loop loop = {0};
    int steps = 0;
    string_take(&v, str_new(NULL, 64 << 20));
    memset(v.u.string->data, 'x', 64 << 20);
    cr_expect_not(value_is_small(&v));
    for (bool done = false; !done; steps++) {
        struct budget budget = {.loop = &loop, .units = 2000};
        done = value_free_step(&v, &budget);
    }
    cr_expect_gt(steps, 10);
}

// ---- hashes -------------------------------------------------------------------------------------

static void hash_life(const struct value_limits *limits, int fields)
{
    struct value v;
    struct rng rng;
    char text[32], scratch[TEXT_I64_BYTES];
    int *model = mem_array(int, (size_t)fields); // the value, -1: not there
    uint64_t count = 0;
    for (int i = 0; i < fields; i++)
        model[i] = -1;
    rng_seed(&rng, (uint64_t)fields);
    hash_init(&v);
    for (int i = 0; i < 30 * fields; i++) {
        int n = (int)rng_below(&rng, (uint64_t)fields);
        int value = (int)rng_below(&rng, 1000);
        char held[32];
        struct bytes field = NUMBERED(n, text);
        // Values of two kinds, so that integers and strings take each other's place.
        struct bytes stored = numbered(value % 2 ? "%d" : "value-%d", value, held), got;
        switch (rng_below(&rng, 4)) {
        case 0:
            cr_assert_eq(hash_delete(&v, field), model[n] >= 0);
            count -= model[n] >= 0;
            model[n] = -1;
            break;
        case 1: {
            bool added = hash_add(&v, field, stored, limits);
            cr_assert_eq(added, model[n] < 0);
            if (added) model[n] = value, count++;
            break;
        }
        default:
            cr_assert_eq(hash_set(&v, field, stored, limits), model[n] < 0);
            count += model[n] < 0;
            model[n] = value;
        }
        n = (int)rng_below(&rng, (uint64_t)fields);
        field = NUMBERED(n, text);
        cr_assert_eq(hash_exists(&v, field), model[n] >= 0);
        cr_assert_eq(hash_get(&v, field, &got, scratch), model[n] >= 0);
        if (model[n] >= 0)
            cr_assert(bytes_equal(got, numbered(model[n] % 2 ? "%d" : "value-%d", model[n], held)));
        cr_assert_eq(hash_length(&v), count);
    }
    struct hash_iter it;
    struct bytes field, value;
    uint64_t seen = 0;
    hash_iter_begin(&it, &v);
    for (; hash_iter_next(&it, &field, &value); seen++)
        cr_assert(hash_exists(&v, field)); // reading meanwhile is fine
    hash_iter_end(&it);
    cr_assert_eq(seen, count);
    struct value copy;
    value_copy(&copy, &v);
    cr_expect_eq(hash_length(&copy), count);
    value_free(&copy);
    value_free(&v);
    mem_free(model);
}

Test(value_hash, agrees_with_an_array_in_both_forms)
{
    struct value_limits limits = defaults();
    hash_life(&limits, 100);
    hash_life(&limits, 200);
    limits.hash_max_listpack_entries = 0;
    hash_life(&limits, 20);
    hash_life(&limits, 2000);
}

Test(value_hash, encodings_change_at_the_limits)
{
    struct value_limits limits = defaults();
    struct value v;
    char text[32], wide[65];
    memset(wide, 'w', sizeof(wide));
    hash_init(&v);
    for (int i = 0; i < 128; i++)
        cr_assert(hash_set(&v, NUMBERED(i, text), BYTES("1"), &limits));
    cr_expect_str_eq(value_encoding_name(&v), "listpack");
    cr_assert(hash_set(&v, NUMBERED(128, text), BYTES("1"), &limits));
    cr_expect_str_eq(value_encoding_name(&v), "hashtable");
    for (int i = 129; i-- > 0;)
        cr_assert(hash_delete(&v, NUMBERED(i, text)));
    cr_expect_str_eq(value_encoding_name(&v), "hashtable");
    value_free(&v);
    for (int kind = 0; kind < 3; kind++) {
        struct bytes fits = bytes_of(wide, 64), too_wide = bytes_of(wide, 65);
        hash_init(&v);
        hash_set(&v, fits, fits, &limits);
        cr_expect_str_eq(value_encoding_name(&v), "listpack");
        hash_set(&v, kind == 0 ? too_wide : fits, kind == 0 ? fits : too_wide, &limits);
        cr_expect_str_eq(value_encoding_name(&v), "hashtable");
        cr_expect_eq(hash_length(&v), kind == 0 ? 2 : 1);
        value_free(&v);
    }
}

Test(value_hash, lengths_beyond_16_bits)
{
    struct value_limits limits = defaults();
    struct value v;
    char scratch[TEXT_I64_BYTES];
    static const size_t lens[] = {10, 65534, 65535, 65536, 100, 1 << 20, 65534, 0};
    struct str *big = str_new(NULL, 1 << 20);
    memset(big->data, 'b', big->len);
    hash_init(&v);
    for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
        struct bytes value = bytes_of(big->data, lens[i]), got;
        hash_set(&v, BYTES("field"), value, &limits);
        cr_assert(hash_get(&v, BYTES("field"), &got, scratch));
        cr_assert(bytes_equal(got, value));
        cr_assert(hash_set(&v, bytes_of(big->data, lens[i]), BYTES("v"), &limits) ||
                  lens[i] == 65534);
        cr_assert(hash_get(&v, bytes_of(big->data, lens[i]), &got, scratch));
        cr_assert(bytes_equal(got, BYTES("v")));
    }
    str_free(big);
    value_free(&v);
}

static void count_pair(void *arg, struct bytes field, struct bytes value)
{
    (void)value;
    unsigned char *seen = arg;
    char text[32];
    memcpy(text, field.data, field.len);
    text[field.len] = '\0';
    seen[atoi(text + 1)]++;
}

Test(value_hash, scan_and_random_reach_every_field)
{
    struct value_limits limits = defaults();
    for (int count = 10; count < 1000; count += 490) {
        struct value v;
        char text[32];
        unsigned char seen[1000] = {0}, drawn[1000] = {0};
        hash_init(&v);
        for (int i = 0; i < count; i++)
            cr_assert(hash_add(&v, NUMBERED(i, text), BYTES("7"), &limits));
        uint64_t cursor = 0;
        do
            cursor = hash_scan(&v, cursor, count_pair, seen);
        while (cursor != 0);
        struct rng rng;
        struct value_scratch scratch;
        struct bytes field, value;
        rng_seed(&rng, 3);
        for (int i = 0; i < 20 * count; i++) {
            cr_assert(hash_random(&v, &rng, &field, &value, &scratch));
            cr_assert(bytes_equal(value, BYTES("7")));
            count_pair(drawn, field, value);
        }
        int missed = 0;
        for (int i = 0; i < count; i++) {
            cr_assert_gt(seen[i], 0);
            missed += drawn[i] == 0;
        }
        cr_expect_leq(missed, 1);
        value_free(&v);
    }
}

static struct buf pairs_of(int pairs, size_t value_len)
{
    struct buf b = BUF_EMPTY;
    char text[32], value[100];
    memset(value, 'v', sizeof(value));
    unsigned char *lp = listpack_new(0);
    for (int i = 0; i < pairs; i++) {
        lp = listpack_append(lp, NUMBERED(i, text));
        lp = listpack_append(lp, bytes_of(value, value_len));
    }
    buf_append_bytes(&b, listpack_view(lp));
    listpack_free(lp);
    return b;
}

Test(value_hash, blobs_become_what_the_limits_demand)
{
    struct value_limits limits = defaults();
    static const struct {
        int pairs;
        size_t value_len;
        const char *encoding; // NULL: refused
    } cases[] = {{0, 0, NULL},         {1, 64, "listpack"},   {1, 65, "hashtable"},
                 {128, 5, "listpack"}, {129, 5, "hashtable"}, {1000, 1, "hashtable"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct buf b = pairs_of(cases[i].pairs, cases[i].value_len);
        struct value v;
        bool taken = hash_from_listpack(&v, buf_view(&b), &limits, true);
        cr_expect_eq(taken, cases[i].encoding != NULL);
        if (taken) {
            cr_expect_str_eq(value_encoding_name(&v), cases[i].encoding);
            cr_expect_eq(hash_length(&v), (uint64_t)cases[i].pairs);
            bool packed = v.encoding == ENCODING_LISTPACK;
            cr_expect_eq(hash_listpack_view(&v).data != NULL, packed);
            if (packed) cr_expect(bytes_equal(hash_listpack_view(&v), buf_view(&b)));
            value_free(&v);
        }
        buf_free(&b);
    }
    unsigned char *lp = listpack_new(0);
    struct value v;
    const char *texts[] = {"a", "1", "b", "2", "a"};
    for (int i = 0; i < 5; i++)
        lp = listpack_append(lp, bytes_from_cstr(texts[i]));
    cr_expect_not(hash_from_listpack(&v, listpack_view(lp), &limits, true), "odd");
    lp = listpack_append(lp, BYTES("3"));
    cr_expect_not(hash_from_listpack(&v, listpack_view(lp), &limits, true), "a comes twice");
    listpack_free(lp);
}

// ---- sets ---------------------------------------------------------------------------------------

Test(value_set, encodings_change_at_the_limits)
{
    struct value_limits limits = defaults();
    struct value v;
    char text[32], scratch[TEXT_I64_BYTES];
    set_init(&v);
    for (int i = 0; i < 512; i++)
        cr_assert(set_add(&v, numbered("%d", i * 1000, text), &limits));
    cr_expect_str_eq(value_encoding_name(&v), "intset");
    cr_expect_not(set_add(&v, BYTES("5000"), &limits));
    cr_expect_not(set_contains(&v, BYTES("05000")));
    cr_assert(set_add(&v, BYTES("1"), &limits));
    cr_expect_str_eq(value_encoding_name(&v), "hashtable");
    for (int i = 0; i < 512; i++)
        cr_assert(set_contains(&v, numbered("%d", i * 1000, text)));
    cr_expect_eq(set_length(&v), 513);
    value_free(&v);
    set_init(&v);
    cr_assert(set_add(&v, BYTES("5"), &limits));
    cr_assert(set_add(&v, BYTES("five"), &limits));
    cr_expect_str_eq(value_encoding_name(&v), "hashtable");
    cr_assert(set_remove(&v, BYTES("five")));
    cr_expect_str_eq(value_encoding_name(&v), "hashtable");
    struct rng rng;
    struct bytes member;
    rng_seed(&rng, 1);
    cr_assert(set_random(&v, &rng, &member, scratch) && bytes_equal(member, BYTES("5")));
    struct str *popped = set_pop(&v, &rng);
    cr_assert(popped != NULL && bytes_equal(str_view(popped), BYTES("5")));
    str_free(popped);
    cr_expect_null(set_pop(&v, &rng));
    value_free(&v);
}

static void mark_member(void *arg, struct bytes member)
{
    count_pair(arg, member, member);
}

static void walk_and_pop(const struct value_limits *limits, const char *format, int count)
{
    struct value v;
    char text[32];
    struct set_iter it;
    struct bytes member;
    unsigned char seen[2000] = {0};
    struct rng rng;
    rng_seed(&rng, 2);
    set_init(&v);
    set_reserve(&v, (uint64_t)count, format[0] == '1', limits);
    for (int i = 0; i < count; i++)
        cr_assert(set_add(&v, numbered(format, i, text), limits));
    set_iter_begin(&it, &v);
    while (set_iter_next(&it, &member))
        mark_member(seen, member);
    set_iter_end(&it);
    uint64_t cursor = 0;
    do
        cursor = set_scan(&v, cursor, mark_member, seen);
    while (cursor != 0);
    for (int i = 0; i < count; i++)
        cr_assert_geq(seen[i], 2);
    struct str *popped;
    for (int left = count; (popped = set_pop(&v, &rng)) != NULL; left--) {
        cr_assert_eq(set_length(&v), (uint64_t)left - 1);
        cr_assert_not(set_contains(&v, str_view(popped)));
        str_free(popped);
    }
    cr_expect_eq(set_length(&v), 0);
    value_free(&v);
}

Test(value_set, walks_scans_and_pops_every_member)
{
    struct value_limits limits = defaults();
    walk_and_pop(&limits, "1%d", 300); // as integers; the leading digit is passed over
    walk_and_pop(&limits, "1%d", 900);
    walk_and_pop(&limits, "m%d", 900);
}

Test(value_set, blobs_become_what_the_limits_demand)
{
    struct value_limits limits = defaults();
    for (int count = 0; count < 600; count += 256) {
        struct intset *is = intset_new();
        struct value v;
        bool added;
        for (int i = 0; i < count; i++)
            is = intset_add(is, i, &added);
        bool taken = set_from_intset(&v, intset_view(is), &limits, true);
        cr_expect_eq(taken, count > 0);
        if (taken) {
            cr_expect_eq(set_length(&v), (uint64_t)count);
            cr_expect_eq(set_intset_view(&v).data != NULL, count <= 512);
            value_free(&v);
        }
        intset_free(is);
    }
    limits.set_max_intset_entries = 100;
    struct value v;
    cr_assert(set_from_intset(&v, BYTES("\x02\0\0\0\x02\0\0\0\x01\0\x02\0"), &limits, true));
    value_free(&v);
    cr_expect_not(set_from_intset(&v, BYTES("\x02\0\0\0\x02\0\0\0\x02\0\x02\0"), &limits, true));
}

Test(value, small_is_what_is_cheap_to_free)
{
    struct value_limits limits = defaults();
    struct value v;
    char text[32];
    set_init(&v);
    cr_assert(set_add(&v, BYTES("x"), &limits));
    cr_expect(value_is_small(&v));
    for (int i = 0; i < 63; i++)
        cr_assert(set_add(&v, NUMBERED(i, text), &limits));
    cr_expect(value_is_small(&v));
    cr_assert(set_add(&v, BYTES("y"), &limits));
    cr_expect_not(value_is_small(&v));
    cr_expect_gt(value_memory(&v, 5), 65 * 8);
    value_free(&v);
    hash_init(&v);
    struct str *big = str_new(NULL, 20000);
    memset(big->data, 'b', big->len);
    hash_set(&v, BYTES("f"), str_view(big), &limits);
    cr_expect_not(value_is_small(&v));
    str_free(big);
    value_free(&v);
}
