// Lists against a plain array of strings, under every kind of fill and compression.
#include "base/mem.h"
#include "base/rng.h"
#include "loop/loop_impl.h"
#include "value/list.h"
#include "value/listpack.h"

#include <criterion/criterion.h>

enum { MODEL_MAX = 3000 };

struct model {
    int count;
    struct str *at[MODEL_MAX];
};

static void model_insert(struct model *m, int at, struct bytes element)
{
    memmove(&m->at[at + 1], &m->at[at], (size_t)(m->count - at) * sizeof(m->at[0]));
    m->at[at] = str_from(element);
    m->count++;
}

static void model_remove(struct model *m, int at)
{
    str_free(m->at[at]);
    m->count--;
    memmove(&m->at[at], &m->at[at + 1], (size_t)(m->count - at) * sizeof(m->at[0]));
}

static struct str *random_element(struct rng *rng)
{
    switch (rng_below(rng, 6)) {
    case 0:
        return str_printf("%d", (int)rng_below(rng, 50) - 25);
    case 1:
        return str_printf("%lld", (long long)rng_next(rng));
    case 2: {
        struct str *s = str_new(NULL, rng_below(rng, 700));
        memset(s->data, 'a' + (int)rng_below(rng, 3), s->len);
        return s;
    }
    case 3:
        return str_new("", 0);
    default:
        return str_printf("element:%d", (int)rng_below(rng, 30));
    }
}

static void expect_same(const struct value *v, const struct model *m)
{
    struct list_iter it;
    struct bytes element;
    cr_assert_eq(list_length(v->u.quicklist), (uint64_t)m->count);
    list_seek(&it, v, 0, false);
    for (int i = 0; i < m->count; i++) {
        cr_assert(list_next(&it, &element));
        cr_assert(bytes_equal(element, str_view(m->at[i])));
    }
    cr_assert(!list_next(&it, &element));
    list_seek(&it, v, -1, true);
    for (int i = m->count - 1; i >= 0; i--) {
        cr_assert(list_next(&it, &element));
        cr_assert(bytes_equal(element, str_view(m->at[i])));
    }
    cr_assert(!list_next(&it, &element));
}

// What only nodes show: counts add up, sizes keep to the limits, the right ones are compressed.
static void expect_nodes(const struct value *v, const struct value_limits *limits)
{
    const struct quicklist *list = v->u.quicklist;
    uint64_t elements = 0, place = 0, nodes = quicklist_node_count(list);
    uint64_t depth = (uint64_t)limits->list_compress_depth;
    for (const struct quicklist_node *node = quicklist_first_node(list); node;
         node = quicklist_next_node(node), place++) {
        struct quicklist_node_view view = quicklist_node_look(node);
        elements += view.elements;
        cr_assert_gt(view.elements, 0);
        bool edge = place < depth || place + depth >= nodes;
        if (depth == 0 || edge) cr_assert(!view.lzf);
        if (view.lzf) continue;
        cr_assert_eq(view.raw_len, view.bytes.len);
        if (view.container == QUICKLIST_PACKED) {
            cr_assert(listpack_validate(view.bytes, true, NULL, NULL));
            cr_assert_eq(listpack_count((const unsigned char *)view.bytes.data), view.elements);
        }
    }
    cr_assert_eq(place, nodes);
    cr_assert_eq(elements, list_length(list));
}

static void remove_equal(struct value *v, struct model *m, struct rng *rng)
{
    int64_t count = (int64_t)rng_below(rng, 7) - 3;
    struct str *which =
        m->count ? str_dup(m->at[rng_below(rng, (uint64_t)m->count)]) : str_new("x", 1);
    uint64_t want = 0;
    for (int step = 0, i = count < 0 ? m->count - 1 : 0, n = m->count; step < n; step++) {
        bool hit = bytes_equal(str_view(m->at[i]), str_view(which)) &&
                   (count == 0 || want < (uint64_t)(count < 0 ? -count : count));
        if (hit) {
            model_remove(m, i);
            want++;
        }
        if (count < 0)
            i--;
        else if (!hit)
            i++;
    }
    cr_assert_eq(list_remove_equal(v, count, str_view(which)), want);
    str_free(which);
}

static void insert_at_pivot(struct value *v, struct model *m, struct rng *rng, struct bytes element)
{
    bool after = rng_below(rng, 2);
    struct str *pivot =
        m->count ? str_dup(m->at[rng_below(rng, (uint64_t)m->count)]) : str_new("x", 1);
    int at = 0;
    while (at < m->count && !bytes_equal(str_view(m->at[at]), str_view(pivot)))
        at++;
    bool there = at < m->count;
    cr_assert_eq(list_insert(v, str_view(pivot), after, element), there);
    if (there) model_insert(m, at + (after ? 1 : 0), element);
    str_free(pivot);
}

static void pop(struct value *v, struct model *m, enum list_end end)
{
    struct str *popped = list_pop(v, end);
    cr_assert_eq(popped != NULL, m->count > 0);
    if (popped == NULL) return;
    int at = end == LIST_HEAD ? 0 : m->count - 1;
    cr_assert(bytes_equal(str_view(popped), str_view(m->at[at])));
    model_remove(m, at);
    str_free(popped);
}

static void one_step(struct value *v, struct model *m, struct rng *rng)
{
    struct str *fresh = random_element(rng);
    struct bytes element = str_view(fresh);
    int64_t index = m->count ? (int64_t)rng_below(rng, (uint64_t)m->count) : 0;
    bool room = m->count < MODEL_MAX - 1;
    switch (rng_below(rng, 14)) {
    case 0 ... 2:
        if (room) list_push(v, LIST_HEAD, element), model_insert(m, 0, element);
        break;
    case 3 ... 5:
        if (room) list_push(v, LIST_TAIL, element), model_insert(m, m->count, element);
        break;
    case 6 ... 8:
        if (room) insert_at_pivot(v, m, rng, element);
        break;
    case 9:
        pop(v, m, rng_below(rng, 2) ? LIST_HEAD : LIST_TAIL);
        break;
    case 10 ... 11:
        if (rng_below(rng, 2)) index -= m->count; // the same one, from the tail
        cr_assert_eq(list_set(v, m->count ? index : 0, element), m->count > 0);
        if (m->count == 0) break;
        if (index < 0) index += m->count;
        str_free(m->at[index]);
        m->at[index] = str_dup(fresh);
        break;
    case 12:
        remove_equal(v, m, rng);
        break;
    default: {
        uint64_t count = rng_below(rng, 6) ? rng_below(rng, 8) : rng_below(rng, 200);
        uint64_t want = (uint64_t)(m->count - index) < count ? (uint64_t)(m->count - index) : count;
        cr_assert_eq(list_delete_range(v, (uint64_t)index, count), want);
        while (want-- > 0)
            model_remove(m, (int)index);
    }
    }
    str_free(fresh);
}

static void expect_copy_and_reload(const struct value *v, const struct model *m,
                                   const struct value_limits *limits)
{
    struct value copy = {.type = VALUE_LIST, .encoding = ENCODING_QUICKLIST};
    copy.u.quicklist = list_copy(v->u.quicklist);
    cr_assert_leq(list_memory(copy.u.quicklist), list_memory(v->u.quicklist));
    expect_same(&copy, m);
    expect_nodes(&copy, limits);
    list_free_all(copy.u.quicklist);

    if (limits->list_compress_depth) return; // their bytes are compressed
    list_new(&copy, limits);
    for (const struct quicklist_node *node = quicklist_first_node(v->u.quicklist); node;
         node = quicklist_next_node(node)) {
        struct quicklist_node_view view = quicklist_node_look(node);
        unsigned char *bytes = mem_alloc(view.bytes.len);
        if (view.bytes.len) memcpy(bytes, view.bytes.data, view.bytes.len);
        if (view.container == QUICKLIST_PLAIN)
            quicklist_append_plain(copy.u.quicklist, bytes, view.bytes.len);
        else
            cr_assert(quicklist_append_packed(copy.u.quicklist, bytes, view.bytes.len));
    }
    expect_same(&copy, m);
    cr_assert_eq(list_memory(copy.u.quicklist), list_memory(v->u.quicklist));
    list_free_all(copy.u.quicklist);
}

static void random_life(uint64_t seed, int fill, int depth, size_t threshold)
{
    struct value_limits limits = {.list_max_listpack_size = fill,
                                  .list_compress_depth = depth,
                                  .list_packed_threshold = threshold};
    struct rng rng;
    rng_seed(&rng, seed);
    struct model *m = mem_new(struct model);
    struct value v;
    list_new(&v, &limits);
    for (int i = 0; i < 2500; i++) {
        one_step(&v, m, &rng);
        if (i % 41 == 0) {
            expect_same(&v, m);
            expect_nodes(&v, &limits);
        }
        if (i % 500 == 499) expect_copy_and_reload(&v, m, &limits);
    }
    expect_same(&v, m);
    struct loop loop = {0};
    bool done = false;
    while (!done) {
        struct budget budget = {.loop = &loop, .units = 20};
        done = list_free_step(v.u.quicklist, &budget);
    }
    while (m->count > 0)
        model_remove(m, m->count - 1);
    mem_free(m);
}

Test(quicklist, random_operations_agree_with_an_array)
{
    const int fills[] = {-5, -2, -1, 0, 1, 2, 7, 128};
    for (size_t f = 0; f < sizeof(fills) / sizeof(fills[0]); f++)
        for (int depth = 0; depth < 4; depth++) {
            random_life(f * 100 + (uint64_t)depth, fills[f], depth, 0);
            random_life(f * 100 + 50 + (uint64_t)depth, fills[f], depth, 300);
        }
}

Test(quicklist, fill_bounds_bytes_or_elements)
{
    struct value_limits limits = {.list_max_listpack_size = 16};
    struct value v;
    list_new(&v, &limits);
    for (int i = 0; i < 160; i++)
        list_add(&v, BYTES("x"));
    cr_assert_eq(quicklist_node_count(v.u.quicklist), 10);
    list_free_all(v.u.quicklist);

    limits.list_max_listpack_size = -1;
    list_new(&v, &limits);
    struct str *element = str_resize(str_new("", 0), 1000);
    for (int i = 0; i < 40; i++)
        list_add(&v, str_view(element));
    cr_assert_eq(quicklist_node_count(v.u.quicklist), 10, "4 KiB hold four of them");
    element = str_resize(element, 100000);
    list_add(&v, str_view(element));
    list_add(&v, BYTES("small"));
    cr_assert_eq(quicklist_node_count(v.u.quicklist), 12, "a large one is alone in its node");
    cr_assert_eq(quicklist_node_look(quicklist_first_node(v.u.quicklist)).container,
                 QUICKLIST_PACKED);
    list_free_all(v.u.quicklist);
    str_free(element);
}

Test(quicklist, compressed_nodes_take_less_memory_and_read_the_same)
{
    struct value_limits limits = {.list_max_listpack_size = -2, .list_compress_depth = 1};
    struct value v;
    list_new(&v, &limits);
    struct str *element = str_resize(str_new("abc", 3), 500);
    for (int i = 0; i < 1000; i++)
        list_add(&v, str_view(element));
    cr_assert_lt(list_memory(v.u.quicklist), 100000);
    // Two walks at once open different nodes in turn.
    struct list_iter a, b;
    struct bytes one, two;
    list_seek(&a, &v, 0, false);
    list_seek(&b, &v, 500, false);
    for (int i = 0; i < 500; i++) {
        cr_assert(list_next(&a, &one));
        cr_assert(bytes_equal(one, str_view(element)));
        cr_assert(list_next(&b, &two));
        cr_assert(bytes_equal(two, str_view(element)));
    }
    cr_assert(!list_next(&b, &two));
    list_free_all(v.u.quicklist);
    str_free(element);
}

struct hits {
    int count;
    uint64_t at[16];
};

static void note_hit(void *owner, uint64_t index)
{
    struct hits *hits = owner;
    hits->at[hits->count++] = index;
}

Test(list, positions_by_rank_count_and_maxlen)
{
    struct value_limits limits = {.list_max_listpack_size = 2};
    struct value v;
    list_new(&v, &limits);
    for (const char *c = "abc123cc"; *c; c++) // as in the manual of LPOS
        list_add(&v, bytes_of(c, 1));
    struct hits hits = {0};
    cr_assert_eq(list_positions(&v, BYTES("c"), 1, 1, 0, note_hit, &hits), 1);
    cr_assert_eq(hits.at[0], 2);
    hits.count = 0;
    cr_assert_eq(list_positions(&v, BYTES("c"), 2, 0, 0, note_hit, &hits), 2);
    cr_assert(hits.at[0] == 6 && hits.at[1] == 7);
    hits.count = 0;
    cr_assert_eq(list_positions(&v, BYTES("c"), -1, 2, 0, note_hit, &hits), 2);
    cr_assert(hits.at[0] == 7 && hits.at[1] == 6);
    hits.count = 0;
    cr_assert_eq(list_positions(&v, BYTES("c"), 1, 0, 7, note_hit, &hits), 2);
    cr_assert_eq(list_positions(&v, BYTES("z"), 1, 0, 0, note_hit, &hits), 0);
    list_free_all(v.u.quicklist);
}

Test(list, trims_and_clips_ranges)
{
    struct value_limits limits = {.list_max_listpack_size = 3};
    const struct {
        int64_t start, stop;
        const char *left;
    } rows[] = {
        {0, -1, "0123456789"}, {2, 4, "234"}, {-3, -1, "789"}, {-100, 2, "012"},
        {5, 100, "56789"},     {5, 4, ""},    {10, 12, ""},    {0, -11, ""},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct value v;
        struct list_iter it;
        struct bytes element;
        list_new(&v, &limits);
        for (int d = 0; d < 10; d++)
            list_add(&v, bytes_of(&"0123456789"[d], 1));
        uint64_t kept = strlen(rows[i].left);
        cr_assert_eq(list_trim(&v, rows[i].start, rows[i].stop), 10 - kept);
        list_seek(&it, &v, 0, false);
        for (uint64_t k = 0; k < kept; k++) {
            cr_assert(list_next(&it, &element));
            cr_assert_eq(element.data[0], rows[i].left[k]);
        }
        cr_assert(!list_next(&it, &element));
        list_free_all(v.u.quicklist);
    }
}

Test(quicklist, refuses_bytes_that_are_no_listpack)
{
    struct value_limits limits = {.list_max_listpack_size = -2};
    unsigned char *lp = listpack_new(0);
    for (int i = 0; i < 20; i++) {
        lp = listpack_append(lp, BYTES("some text"));
        lp = listpack_append_number(lp, (int64_t)1 << (3 * i));
    }
    size_t len = listpack_bytes(lp);
    int refused = 0;
    for (size_t at = 0; at < len; at++)
        for (int bit = 0; bit < 8; bit++) {
            struct quicklist *list = quicklist_new(&limits);
            unsigned char *bytes = mem_alloc(len);
            memcpy(bytes, lp, len);
            bytes[at] ^= (unsigned char)(1 << bit);
            if (!quicklist_append_packed(list, bytes, len)) refused++;
            struct quicklist_iter it;
            struct bytes element;
            quicklist_seek(&it, list, 0, false);
            while (quicklist_next(&it, &element))
                ;
            quicklist_free(list);
        }
    cr_assert_gt(refused, 0);
    for (size_t cut = 0; cut < len; cut++) {
        struct quicklist *list = quicklist_new(&limits);
        unsigned char *bytes = mem_alloc(cut);
        memcpy(bytes, lp, cut);
        cr_assert(!quicklist_append_packed(list, bytes, cut));
        quicklist_free(list);
    }
    listpack_free(lp);
}
