// Packed lists: every encoding at its edges, random edits against an array of strings, and bytes
// that cannot be trusted, cut and altered at every offset. Ziplists and zipmaps: reading alone.
#include "base/mem.h"
#include "base/rng.h"
#include "value/listpack.h"
#include "value/ziplist.h"

#include <criterion/criterion.h>
#include <stdio.h>

static struct str *filler(size_t len, char c)
{
    struct str *s = str_new(NULL, len);
    memset(s->data, c, len);
    return s;
}

Test(value_listpack, integers_of_every_width_come_back)
{
    static const struct {
        int64_t number;
        size_t bytes; // of the entry, its back length included
    } cases[] = {
        {0, 2},          {127, 2},        {128, 3},       {-1, 3},          {-4096, 3},
        {4095, 3},       {4096, 4},       {-4097, 4},     {INT16_MIN, 4},   {INT16_MAX, 4},
        {32768, 5},      {-32769, 5},     {8388607, 5},   {-8388608, 5},    {8388608, 6},
        {-8388609, 6},   {INT32_MAX, 6},  {INT32_MIN, 6}, {2147483648, 10}, {-2147483649, 10},
        {INT64_MAX, 10}, {INT64_MIN, 10},
    };
    unsigned char *lp = listpack_new(0);
    size_t count = sizeof(cases) / sizeof(cases[0]);
    for (size_t i = 0; i < count; i++) {
        size_t before = listpack_bytes(lp);
        lp = listpack_append_number(lp, cases[i].number);
        cr_expect_eq(listpack_bytes(lp) - before, cases[i].bytes, "%ld", (long)cases[i].number);
        cr_expect_eq(listpack_number_bytes(cases[i].number), cases[i].bytes);
    }
    unsigned char *at = listpack_first(lp);
    for (size_t i = 0; i < count; i++, at = listpack_next(lp, at)) {
        char scratch[TEXT_I64_BYTES], text[32];
        cr_expect_eq(listpack_get(at).number, cases[i].number);
        int len = snprintf(text, sizeof(text), "%ld", (long)cases[i].number);
        cr_expect(bytes_equal(listpack_text(at, scratch), bytes_of(text, (size_t)len)));
        cr_expect(listpack_equals(at, bytes_of(text, (size_t)len)));
    }
    cr_expect_null(at);
    cr_expect(listpack_validate(listpack_view(lp), true, NULL, NULL));
    listpack_free(lp);
}

Test(value_listpack, strings_of_every_length_come_back_from_both_ends)
{
    // Around each change of encoding, and of the back length, which leaves 16383 to three bytes.
    static const size_t lens[] = {0,     1,     62,      63,      64,      125,
                                  126,   127,   128,     4095,    4096,    16377,
                                  16378, 16379, 2097140, 2097145, 2097146, 2097147};
    size_t count = sizeof(lens) / sizeof(lens[0]);
    unsigned char *lp = listpack_new(0);
    for (size_t i = 0; i < count; i++) {
        struct str *s = filler(lens[i], (char)('a' + i));
        lp = listpack_append(lp, str_view(s));
        str_free(s);
    }
    cr_expect_eq(listpack_count(lp), count);
    cr_expect(listpack_validate(listpack_view(lp), true, NULL, NULL));
    unsigned char *at = listpack_last(lp);
    for (size_t i = count; i-- > 0; at = listpack_prev(lp, at)) {
        struct bytes text = listpack_get(at).text;
        cr_assert_eq(text.len, lens[i]);
        cr_assert(text.len == 0 ||
                  (text.data[0] == (char)('a' + i) && text.data[text.len - 1] == (char)('a' + i)));
        cr_expect_eq(listpack_seek(lp, (int64_t)i), at);
        cr_expect_eq(listpack_seek(lp, (int64_t)i - (int64_t)count), at);
    }
    cr_expect_null(at);
    cr_expect_null(listpack_seek(lp, (int64_t)count));
    cr_expect_null(listpack_seek(lp, -(int64_t)count - 1));
    listpack_free(lp);
}

Test(value_listpack, layout_is_that_of_rdb)
{
    unsigned char *lp = listpack_new(0);
    lp = listpack_append(lp, BYTES("hello"));
    lp = listpack_append(lp, BYTES("1024"));
    lp = listpack_append(lp, BYTES("01024"));
    cr_expect(bytes_equal(listpack_view(lp), BYTES("\x18\0\0\0\x03\0"
                                                   "\x85hello\x06"
                                                   "\xc4\x00\x02"
                                                   "\x85"
                                                   "01024\x06"
                                                   "\xff")));
    listpack_free(lp);
    // 16383 bytes of entry have a back length of three bytes.
    struct str *s = filler(16383 - 5, 'x');
    cr_expect_eq(listpack_entry_bytes(str_view(s)), 16383 + 3);
    str_free(s);
}

enum { MOST = 300 };
struct model {
    struct str *text[MOST];
    int count;
};

static void model_insert(struct model *m, int at, struct str *text)
{
    memmove(m->text + at + 1, m->text + at, sizeof(m->text[0]) * (size_t)(m->count - at));
    m->text[at] = text;
    m->count++;
}

static void model_delete(struct model *m, int at)
{
    str_free(m->text[at]);
    m->count--;
    memmove(m->text + at, m->text + at + 1, sizeof(m->text[0]) * (size_t)(m->count - at));
}

static void check_model(const struct model *m, const unsigned char *lp)
{
    char scratch[TEXT_I64_BYTES];
    cr_assert_eq(listpack_count(lp), (uint64_t)m->count);
    cr_assert(listpack_validate(listpack_view(lp), true, NULL, NULL));
    const unsigned char *at = listpack_first(lp);
    for (int i = 0; i < m->count; i++, at = listpack_next(lp, at))
        cr_assert(bytes_equal(listpack_text(at, scratch), str_view(m->text[i])));
    cr_assert_null(at);
}

static struct str *random_text(struct rng *rng)
{
    if (rng_below(rng, 2)) {
        int shift = (int)rng_below(rng, 64);
        return str_printf("%ld", (long)((int64_t)rng_next(rng) >> shift));
    }
    return filler(rng_below(rng, rng_below(rng, 10) ? 80 : 5000), (char)('a' + rng_below(rng, 26)));
}

Test(value_listpack, random_edits_agree_with_an_array)
{
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct rng rng;
        struct model m = {.count = 0};
        unsigned char *lp = listpack_new(0);
        rng_seed(&rng, seed);
        for (int i = 0; i < 600; i++) {
            int index = (int)rng_below(&rng, (uint64_t)m.count + 1);
            unsigned char *at = listpack_seek(lp, index);
            uint64_t choice = rng_below(&rng, 10);
            if (choice < 5 && m.count < MOST) {
                struct str *text = random_text(&rng);
                unsigned char *placed;
                lp = listpack_insert(lp, at, str_view(text), &placed);
                cr_assert(listpack_equals(placed, str_view(text)));
                model_insert(&m, index, text);
            } else if (choice < 7 && index < m.count) {
                struct str *text = random_text(&rng);
                lp = listpack_replace(lp, &at, str_view(text));
                cr_assert(listpack_equals(at, str_view(text)));
                str_free(m.text[index]);
                m.text[index] = text;
            } else if (index < m.count) {
                uint64_t count = 1 + rng_below(&rng, 4);
                lp = listpack_delete(lp, &at, count);
                for (uint64_t gone = 0; gone < count && index < m.count; gone++)
                    model_delete(&m, index);
                cr_assert_eq(at, listpack_seek(lp, index));
            }
            if (i % 10 == 0) check_model(&m, lp);
        }
        check_model(&m, lp);
        while (m.count)
            model_delete(&m, 0);
        listpack_free(lp);
    }
}

Test(value_listpack, count_beyond_what_the_header_holds)
{
    // By thousands: one by one is slow where realloc always moves.
    unsigned char *lp = listpack_new(0);
    for (int i = 0; i < 70; i++) {
        unsigned char *more = listpack_new(0);
        for (int j = 0; j < 1000; j++)
            more = listpack_append_number(more, i * 1000 + j);
        lp = listpack_concat(lp, more);
        listpack_free(more);
    }
    lp = listpack_append(lp, BYTES("last"));
    lp = listpack_delete_range(lp, -1, 1);
    cr_expect_eq(listpack_count(lp), 70000);
    cr_expect_eq(listpack_get(listpack_seek(lp, 69999)).number, 69999);
    cr_expect_eq(listpack_get(listpack_seek(lp, -70000)).number, 0);
    cr_expect_null(listpack_seek(lp, 70000));
    cr_expect(listpack_validate(listpack_view(lp), true, NULL, NULL));
    listpack_free(lp);
}

Test(value_listpack, find_passes_over_what_it_should)
{
    unsigned char *lp = listpack_new(0);
    const char *texts[] = {"a", "b", "b", "12", "12", "a"};
    for (int i = 0; i < 6; i++)
        lp = listpack_append(lp, bytes_from_cstr(texts[i]));
    unsigned char *first = listpack_first(lp);
    cr_expect_eq(listpack_find(lp, first, BYTES("b"), 0), listpack_seek(lp, 1));
    cr_expect_eq(listpack_find(lp, first, BYTES("b"), 1), listpack_seek(lp, 2));
    cr_expect_eq(listpack_find(lp, first, BYTES("12"), 1), listpack_seek(lp, 4));
    cr_expect_null(listpack_find(lp, first, BYTES("012"), 0));
    cr_expect_null(listpack_find(lp, listpack_seek(lp, 1), BYTES("a"), 2));
    cr_expect_null(listpack_find(lp, NULL, BYTES("a"), 0));
    cr_expect_not(listpack_unique(lp, 1, 0));
    cr_expect(listpack_unique(lp, 2, 0));
    unsigned char *other = listpack_concat(listpack_copy(lp), lp);
    cr_expect_eq(listpack_count(other), 12);
    cr_expect(listpack_validate(listpack_view(other), true, NULL, NULL));
    listpack_free(other);
    listpack_free(lp);
}

static unsigned char *every_encoding(void)
{
    static const size_t lens[] = {0, 5, 63, 64, 200, 4096};
    static const int64_t numbers[] = {0,     127,      -1,      4095,     -32768,
                                      40000, -9999999, 1 << 30, INT64_MIN};
    unsigned char *lp = listpack_new(0);
    for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
        struct str *s = filler(lens[i], 's');
        lp = listpack_append(lp, str_view(s));
        str_free(s);
    }
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        lp = listpack_append_number(lp, numbers[i]);
    return lp;
}

static void read_all(void *arg, const struct listpack_entry *entry)
{
    uint64_t *sum = arg;
    for (size_t i = 0; i < entry->text.len; i++)
        *sum += (unsigned char)entry->text.data[i];
    *sum += (uint64_t)entry->number;
}

static bool sum_entry(void *arg, const struct listpack_entry *entry, uint64_t index)
{
    (void)index;
    read_all(arg, entry);
    return true;
}

Test(value_listpack, a_cut_block_is_refused_at_every_byte)
{
    unsigned char *lp = every_encoding();
    size_t len = listpack_bytes(lp);
    uint64_t sum = 0;
    cr_assert(listpack_validate(listpack_view(lp), true, sum_entry, &sum));
    for (size_t cut = 0; cut < len; cut++) {
        unsigned char *copy = mem_alloc(cut);
        memcpy(copy, lp, cut);
        cr_assert_not(listpack_validate(bytes_of(copy, cut), true, sum_entry, &sum));
        if (cut >= LISTPACK_EMPTY_BYTES) {
            // The same with a header and an end that pretend to be right.
            for (int i = 0; i < 4; i++)
                copy[i] = (unsigned char)(cut >> 8 * i);
            copy[cut - 1] = 0xff;
            cr_assert_not(listpack_validate(bytes_of(copy, cut), true, sum_entry, &sum));
        }
        mem_free(copy);
    }
    listpack_free(lp);
}

Test(value_listpack, an_altered_block_is_refused_or_harmless)
{
    unsigned char *lp = every_encoding();
    size_t len = listpack_bytes(lp);
    uint64_t sum = 0;
    for (size_t at = 0; at < len; at++) {
        if (at > 500 && at < 4300) continue; // inside the long string every byte is as good
        for (int bit = 0; bit < 8; bit++) {
            unsigned char *copy = mem_alloc(len);
            memcpy(copy, lp, len);
            copy[at] ^= (unsigned char)(1 << bit);
            if (listpack_validate(bytes_of(copy, len), true, sum_entry, &sum)) {
                for (unsigned char *p = listpack_last(copy); p; p = listpack_prev(copy, p)) {
                    struct listpack_entry entry = listpack_get(p);
                    read_all(&sum, &entry);
                }
            }
            mem_free(copy);
        }
    }
    listpack_free(lp);
}

// ---- ziplist and zipmap -----------------------------------------------------------------------

// "hi", 14-bit string of 64 bytes, 7, -1 (8 bits), 1000 (16), -70000 (24), 2^31-1 (32), 2^40 (64)
static struct buf sample_ziplist(void)
{
    struct buf b = BUF_EMPTY;
    buf_append(&b, "\0\0\0\0\0\0\0\0\x08\0", 10);
    buf_append(&b, "\x00\x02hi", 4);
    buf_append(&b, "\x04\x40\x40", 3);
    for (int i = 0; i < 64; i++)
        buf_append_byte(&b, 'z');
    buf_append(&b, "\x43\xf8", 2);
    buf_append(&b, "\x02\xfe\xff", 3);
    buf_append(&b, "\x03\xc0\xe8\x03", 4);
    buf_append(&b, "\x04\xf0\x90\xee\xfe", 5);
    buf_append(&b, "\x05\xd0\xff\xff\xff\x7f", 6);
    size_t tail = buf_len(&b);
    buf_append(&b, "\x06\xe0\0\0\0\0\0\x01\0\0", 10);
    buf_append(&b, "\xff", 1);
    size_t len = buf_len(&b);
    for (int i = 0; i < 4; i++) {
        b.data[i] = (char)(len >> 8 * i);
        b.data[4 + i] = (char)(tail >> 8 * i);
    }
    return b;
}

static bool read_ziplist(struct bytes blob, uint64_t *sum)
{
    struct ziplist_reader r;
    struct listpack_entry entry;
    enum pack_next next;
    if (!ziplist_reader_begin(&r, blob)) return false;
    while ((next = ziplist_reader_next(&r, &entry)) == PACK_ENTRY)
        read_all(sum, &entry);
    return next == PACK_END;
}

Test(value_ziplist, entries_of_every_encoding)
{
    struct buf b = sample_ziplist();
    struct ziplist_reader r;
    struct listpack_entry e;
    static const int64_t numbers[] = {7, -1, 1000, -70000, INT32_MAX, (int64_t)1 << 40};
    cr_assert(ziplist_reader_begin(&r, buf_view(&b)));
    cr_assert_eq(ziplist_reader_next(&r, &e), PACK_ENTRY);
    cr_expect(bytes_equal(e.text, BYTES("hi")));
    cr_assert_eq(ziplist_reader_next(&r, &e), PACK_ENTRY);
    cr_expect(e.text.len == 64 && e.text.data[63] == 'z');
    for (int i = 0; i < 6; i++) {
        cr_assert_eq(ziplist_reader_next(&r, &e), PACK_ENTRY);
        cr_expect(e.text.data == NULL && e.number == numbers[i], "%d", i);
    }
    cr_expect_eq(ziplist_reader_next(&r, &e), PACK_END);
    buf_free(&b);
}

Test(value_ziplist, long_entries_and_long_previous_sizes)
{
    struct buf b = BUF_EMPTY;
    buf_append(&b, "\0\0\0\0\0\0\0\0\x02\0", 10);
    buf_append(&b, "\x00\x80\0\0\x13\x88", 6); // 5000 bytes
    for (int i = 0; i < 5000; i++)
        buf_append_byte(&b, 'q');
    size_t tail = buf_len(&b);
    buf_append(&b, "\xfe\x8e\x13\0\0\xf1", 6); // after 5006 bytes: 0
    buf_append(&b, "\xff", 1);
    size_t len = buf_len(&b);
    for (int i = 0; i < 4; i++) {
        b.data[i] = (char)(len >> 8 * i);
        b.data[4 + i] = (char)(tail >> 8 * i);
    }
    uint64_t sum = 0;
    cr_expect(read_ziplist(buf_view(&b), &sum));
    b.data[4]++;
    cr_expect_not(read_ziplist(buf_view(&b), &sum), "the tail is elsewhere");
    buf_free(&b);
}

Test(value_ziplist, cut_and_altered_at_every_byte)
{
    struct buf b = sample_ziplist();
    size_t len = buf_len(&b);
    uint64_t sum = 0;
    cr_assert(read_ziplist(buf_view(&b), &sum));
    for (size_t cut = 0; cut < len; cut++) {
        char *copy = mem_alloc(cut);
        memcpy(copy, b.data, cut);
        cr_assert_not(read_ziplist(bytes_of(copy, cut), &sum));
        if (cut > 10) {
            for (int i = 0; i < 4; i++)
                copy[i] = (char)(cut >> 8 * i);
            copy[cut - 1] = (char)0xff;
            cr_assert_not(read_ziplist(bytes_of(copy, cut), &sum));
        }
        mem_free(copy);
    }
    for (size_t at = 0; at < len; at++)
        for (int bit = 0; bit < 8; bit++) {
            char *copy = mem_alloc(len);
            memcpy(copy, b.data, len);
            copy[at] ^= (char)(1 << bit);
            read_ziplist(bytes_of(copy, len), &sum);
            mem_free(copy);
        }
    buf_free(&b);
}

static bool read_zipmap(struct bytes blob, int *pairs, struct bytes *field, struct bytes *value)
{
    struct zipmap_reader r;
    enum pack_next next;
    *pairs = 0;
    if (!zipmap_reader_begin(&r, blob)) return false;
    while ((next = zipmap_reader_next(&r, field, value)) == PACK_ENTRY)
        ++*pairs;
    return next == PACK_END;
}

Test(value_zipmap, pairs_with_unused_bytes_and_cuts)
{
    static const char good[] = "\x02\x03"
                               "foo\x03\x00"
                               "bar\x05"
                               "hello\x05\x02world..\xff";
    struct bytes field, value;
    int pairs;
    size_t len = sizeof(good) - 1;
    cr_assert(read_zipmap(bytes_of(good, len), &pairs, &field, &value));
    cr_expect_eq(pairs, 2);
    cr_expect(bytes_equal(field, BYTES("hello")) && bytes_equal(value, BYTES("world")));
    for (size_t cut = 0; cut < len; cut++) {
        char *copy = mem_alloc(cut);
        memcpy(copy, good, cut);
        cr_assert_not(read_zipmap(bytes_of(copy, cut), &pairs, &field, &value));
        if (cut > 1) {
            copy[cut - 1] = (char)0xff;
            cr_assert_not(read_zipmap(bytes_of(copy, cut), &pairs, &field, &value));
        }
        mem_free(copy);
    }
    for (size_t at = 0; at < len; at++)
        for (int bit = 0; bit < 8; bit++) {
            char *copy = mem_alloc(len);
            memcpy(copy, good, len);
            copy[at] ^= (char)(1 << bit);
            read_zipmap(bytes_of(copy, len), &pairs, &field, &value);
            mem_free(copy);
        }
}
