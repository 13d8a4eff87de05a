// Sorted sets in both encodings against a sorted array: ranks, ranges by score and by member, spans
// walked both ways and deleted; and what is refused.
#include "base/mem.h"
#include "base/rng.h"
#include "value/listpack.h"
#include "value/zset.h"
#include "value/zskip.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>

enum { MOST = 400 };

struct element {
    char member[16];
    double score;
};

struct model {
    struct element at[MOST];
    int count;
};

static struct bytes name_of(const struct element *e)
{
    return bytes_from_cstr(e->member);
}

static int order(const void *a, const void *b)
{
    const struct element *x = a, *y = b;
    if (x->score != y->score) return x->score < y->score ? -1 : 1;
    return bytes_compare(name_of(x), name_of(y));
}

static int model_find(const struct model *m, struct bytes member)
{
    for (int i = 0; i < m->count; i++)
        if (bytes_equal(name_of(&m->at[i]), member)) return i;
    return -1;
}

static void model_set(struct model *m, struct bytes member, double score)
{
    int i = model_find(m, member);
    if (i < 0) {
        i = m->count++;
        snprintf(m->at[i].member, sizeof(m->at[i].member), "%.*s", (int)member.len, member.data);
    }
    m->at[i].score = score;
    qsort(m->at, (size_t)m->count, sizeof(m->at[0]), order);
}

static void model_delete(struct model *m, int first, int count)
{
    memmove(m->at + first, m->at + first + count,
            sizeof(m->at[0]) * (size_t)(m->count - first - count));
    m->count -= count;
}

static void check_span(const struct model *m, const struct value *v, struct zset_span span,
                       bool reverse)
{
    struct zset_iter it;
    struct zset_entry e;
    zset_iter_begin(&it, v, span, reverse);
    for (uint64_t i = 0; i < span.count; i++) {
        uint64_t rank = reverse ? span.first + span.count - 1 - i : span.first + i;
        cr_assert(zset_iter_next(&it, &e));
        cr_assert(bytes_equal(e.member, name_of(&m->at[rank])));
        cr_assert_eq(e.score, m->at[rank].score);
    }
    cr_assert_not(zset_iter_next(&it, &e));
    zset_iter_end(&it);
}

static void check_all(const struct model *m, const struct value *v)
{
    cr_assert_eq(zset_length(v), (uint64_t)m->count);
    check_span(m, v, zset_whole_span(v), false);
    check_span(m, v, zset_whole_span(v), true);
    for (int i = 0; i < m->count; i++) {
        uint64_t rank;
        double score, again;
        cr_assert(zset_rank(v, name_of(&m->at[i]), &rank, &score));
        cr_assert_eq(rank, (uint64_t)i);
        cr_assert(zset_score(v, name_of(&m->at[i]), &again));
        cr_assert(score == m->at[i].score && again == score);
    }
}

static void check_ranges(const struct model *m, const struct value *v, struct rng *rng)
{
    struct zset_score_range range = {(double)rng_below(rng, 30) - 5, (double)rng_below(rng, 30) - 5,
                                     rng_below(rng, 2), rng_below(rng, 2)};
    if (rng_below(rng, 8) == 0) range.min = -INFINITY;
    if (rng_below(rng, 8) == 0) range.max = INFINITY;
    struct zset_span span = zset_score_span(v, &range);
    uint64_t inside = 0;
    for (int i = 0; i < m->count; i++) {
        bool holds = zset_score_range_holds(&range, m->at[i].score);
        if (holds && inside++ == 0) cr_assert_eq(span.first, (uint64_t)i);
    }
    cr_assert_eq(span.count, inside);
    check_span(m, v, span, rng_below(rng, 2));
    int64_t offset = (int64_t)rng_below(rng, 10), keep = (int64_t)rng_below(rng, 12) - 1;
    bool reverse = rng_below(rng, 2);
    struct zset_span some = zset_limit_span(span, offset, keep, reverse);
    uint64_t left = inside > (uint64_t)offset ? inside - (uint64_t)offset : 0;
    cr_assert_eq(some.count, keep < 0 || left < (uint64_t)keep ? left : (uint64_t)keep);
    if (some.count == 0) return;
    uint64_t skipped =
        reverse ? span.first + span.count - some.first - some.count : some.first - span.first;
    cr_assert_eq(skipped, (uint64_t)offset);
}

static void random_life(uint64_t seed, const struct value_limits *limits, int members)
{
    struct rng rng;
    struct value v;
    struct model m = {.count = 0};
    char text[16];
    rng_seed(&rng, seed);
    zset_init(&v);
    for (int i = 0; i < 1500; i++) {
        int n = (int)rng_below(&rng, (uint64_t)members);
        struct bytes member = bytes_of(
            text, (size_t)snprintf(text, sizeof(text), n % 3 ? "m%d" : "%d", n)); // some integers
        double score = (double)rng_below(&rng, 20) + (rng_below(&rng, 3) ? 0 : 0.25);
        int at = model_find(&m, member);
        switch (rng_below(&rng, 12)) {
        default: {
            enum zset_change expected = at < 0                    ? ZSET_ADDED
                                        : m.at[at].score == score ? ZSET_SAME
                                                                  : ZSET_UPDATED;
            cr_assert_eq(zset_set(&v, member, score, limits), expected);
            model_set(&m, member, score);
            break;
        }
        case 0:
        case 1:
            cr_assert_eq(zset_remove(&v, member), at >= 0);
            if (at >= 0) model_delete(&m, at, 1);
            break;
        case 2:
            cr_assert_eq(zset_add(&v, member, score, limits), at < 0);
            if (at < 0) model_set(&m, member, score);
            break;
        case 3: {
            uint64_t first = rng_below(&rng, 300), count = rng_below(&rng, 6);
            uint64_t have = (uint64_t)m.count > first ? (uint64_t)m.count - first : 0;
            uint64_t gone = have < count ? have : count;
            cr_assert_eq(zset_remove_span(&v, (struct zset_span){first, count}), gone);
            if (gone) model_delete(&m, (int)first, (int)gone);
            break;
        }
        case 4: {
            bool highest = rng_below(&rng, 2);
            struct str *popped = zset_pop(&v, highest, &score);
            cr_assert_eq(popped != NULL, m.count > 0);
            if (popped == NULL) break;
            int index = highest ? m.count - 1 : 0;
            cr_assert(bytes_equal(str_view(popped), name_of(&m.at[index])));
            cr_assert_eq(score, m.at[index].score);
            model_delete(&m, index, 1);
            str_free(popped);
            break;
        }
        }
        check_ranges(&m, &v, &rng);
        if (i % 50 == 0) check_all(&m, &v);
    }
    check_all(&m, &v);
    struct value copy;
    value_copy(&copy, &v);
    check_all(&m, &copy);
    value_free(&copy);
    value_free(&v);
}

Test(value_zset, small_form_agrees_with_a_sorted_array)
{
    struct value_limits limits;
    value_limits_default(&limits);
    limits.zset_max_listpack_entries = 1000;
    for (uint64_t seed = 0; seed < 4; seed++)
        random_life(seed, &limits, 100);
}

Test(value_zset, skip_list_agrees_with_a_sorted_array)
{
    struct value_limits limits;
    value_limits_default(&limits);
    limits.zset_max_listpack_entries = 0;
    for (uint64_t seed = 0; seed < 6; seed++)
        random_life(seed, &limits, 300);
}

Test(value_zset, lex_ranges_in_both_forms)
{
    struct value_limits limits;
    value_limits_default(&limits);
    for (int form = 0; form < 2; form++) {
        limits.zset_max_listpack_entries = form ? 0 : 128;
        struct value v;
        zset_init(&v);
        const char *names[] = {"alpha", "bar", "cool", "down", "elephant", "foo", "great", "hill"};
        for (int i = 7; i >= 0; i--)
            cr_assert(zset_add(&v, bytes_from_cstr(names[i]), 0, &limits));
        static const struct {
            const char *min, *max;
            uint64_t first, count;
        } cases[] = {
            {"-", "[cool", 0, 3},     {"[bar", "[down", 1, 3}, {"(bar", "(down", 2, 1},
            {"[elephant", "+", 4, 4}, {"-", "+", 0, 8},        {"+", "-", 8, 0},
            {"[z", "+", 8, 0},        {"(hill", "+", 8, 0},    {"[d", "(d", 3, 0},
        };
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
            struct zset_lex_range range;
            cr_assert(zset_lex_range_parse(&range, bytes_from_cstr(cases[i].min),
                                           bytes_from_cstr(cases[i].max)));
            struct zset_span span = zset_lex_span(&v, &range);
            cr_expect_eq(span.count, cases[i].count, "%s %s", cases[i].min, cases[i].max);
            if (span.count) cr_expect_eq(span.first, cases[i].first);
        }
        value_free(&v);
    }
    struct zset_lex_range range;
    cr_expect_not(zset_lex_range_parse(&range, BYTES("foo"), BYTES("+")));
    cr_expect_not(zset_lex_range_parse(&range, BYTES("-x"), BYTES("+")));
    cr_expect_not(zset_lex_range_parse(&range, BYTES(""), BYTES("+")));
    struct zset_score_range scores;
    cr_expect(zset_score_range_parse(&scores, BYTES("(1.5"), BYTES("+inf")));
    cr_expect(scores.min == 1.5 && scores.min_open && scores.max == INFINITY && !scores.max_open);
    cr_expect_not(zset_score_range_parse(&scores, BYTES("nan"), BYTES("1")));
    cr_expect_not(zset_score_range_parse(&scores, BYTES("("), BYTES("1")));
}

Test(value_zset, index_spans_follow_zrange)
{
    struct value_limits limits;
    value_limits_default(&limits);
    struct value v;
    char text[16];
    zset_init(&v);
    for (int i = 0; i < 10; i++)
        cr_assert(zset_add(&v, bytes_of(text, (size_t)snprintf(text, 16, "%d", i)), i, &limits));
    struct zset_span s = zset_index_span(&v, 1, -2, false);
    cr_expect(s.first == 1 && s.count == 8);
    s = zset_index_span(&v, 0, 2, true);
    cr_expect(s.first == 7 && s.count == 3);
    s = zset_index_span(&v, -100, 100, false);
    cr_expect(s.first == 0 && s.count == 10);
    cr_expect_eq(zset_index_span(&v, 5, 4, false).count, 0);
    cr_expect_eq(zset_index_span(&v, 10, 20, false).count, 0);
    cr_expect_eq(zset_index_span(&v, 0, -11, false).count, 0);
    cr_expect_eq(zset_index_span(&v, INT64_MIN, INT64_MAX, true).count, 10);
    value_free(&v);
}

Test(value_zset, encodings_change_at_the_limits)
{
    struct value_limits limits;
    value_limits_default(&limits);
    struct value v;
    char text[128];
    zset_init(&v);
    for (int i = 0; i < 128; i++)
        cr_assert(zset_add(&v, bytes_of(text, (size_t)snprintf(text, 16, "m%d", i)), i, &limits));
    cr_expect_str_eq(value_encoding_name(&v), "listpack");
    cr_expect_eq(zset_set(&v, BYTES("m5"), 500, &limits), ZSET_UPDATED);
    cr_expect_str_eq(value_encoding_name(&v), "listpack");
    cr_expect_eq(zset_set(&v, BYTES("one more"), 1.5, &limits), ZSET_ADDED);
    cr_expect_str_eq(value_encoding_name(&v), "skiplist");
    cr_expect_eq(zset_length(&v), 129);
    value_free(&v);
    zset_init(&v);
    memset(text, 'x', sizeof(text));
    cr_assert(zset_add(&v, bytes_of(text, 64), 1, &limits));
    cr_expect_str_eq(value_encoding_name(&v), "listpack");
    cr_assert(zset_add(&v, bytes_of(text, 65), 1, &limits));
    cr_expect_str_eq(value_encoding_name(&v), "skiplist");
    value_free(&v);
}

static struct buf listpack_of(const char *const *texts)
{
    struct buf b = BUF_EMPTY;
    unsigned char *lp = listpack_new(0);
    for (; *texts != NULL; texts++)
        lp = listpack_append(lp, bytes_from_cstr(*texts));
    buf_append_bytes(&b, listpack_view(lp));
    listpack_free(lp);
    return b;
}

Test(value_zset, blobs_are_taken_when_they_are_in_order)
{
    struct value_limits limits;
    value_limits_default(&limits);
    static const struct {
        const char *texts[8];
        bool good;
    } cases[] = {
        {{"a", "1", "b", "1", "c", "2.5", NULL}, true},
        {{"a", "-inf", "b", "inf", NULL}, true},
        {{"b", "1", "a", "1", NULL}, false},
        {{"a", "2", "b", "1", NULL}, false},
        {{"a", "1", "b", "2", "a", "3", NULL}, false},
        {{"12", "1", "b", "2", "12", "3", NULL}, false},
        {{"a", "nan", NULL}, false},
        {{"a", "one", NULL}, false},
        {{"a", "1", "b", NULL}, false},
        {{NULL}, false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct value v;
        struct buf b = listpack_of(cases[i].texts);
        bool taken = zset_from_listpack(&v, buf_view(&b), &limits, true);
        cr_expect_eq(taken, cases[i].good, "case %zu", i);
        if (taken) {
            cr_expect(bytes_equal(zset_listpack_view(&v), buf_view(&b)));
            value_free(&v);
        }
        buf_free(&b);
    }
}

Test(value_zset, walk_stops_and_goes_on_from_the_highest)
{
    struct value_limits limits;
    value_limits_default(&limits);
    struct value v, built;
    char text[16];
    zset_init(&v);
    for (int i = 0; i < 5000; i++)
        zset_set(&v, bytes_of(text, (size_t)snprintf(text, 16, "m%d", i)), i % 77, &limits);
    zset_init(&built);
    zset_reserve(&built, zset_length(&v), &limits);
    struct zset_iter it;
    struct zset_entry e;
    double last = INFINITY;
    zset_iter_begin(&it, &v, zset_whole_span(&v), true);
    while (zset_iter_next(&it, &e)) {
        cr_assert_leq(e.score, last);
        last = e.score;
        double score;
        cr_assert(zset_score(&v, e.member, &score) && score == e.score); // reading meanwhile
        cr_assert(zset_add(&built, e.member, e.score, &limits));
        cr_assert_not(zset_add(&built, e.member, 1, &limits));
    }
    cr_expect_eq(zset_length(&built), 5000);
    value_free(&built);
    value_free(&v);
}
