// The tree of stream ids against a sorted array.
#include "value/idtree.h"
#include "base/mem.h"
#include "base/rng.h"
#include "loop/loop_impl.h"

#include <criterion/criterion.h>

enum { MODEL_MAX = 4096 };

struct model {
    int count;
    struct stream_id ids[MODEL_MAX];
    char *items[MODEL_MAX];
};

static int place(const struct model *m, struct stream_id id)
{
    int at = 0;
    while (at < m->count && stream_id_compare(m->ids[at], id) < 0)
        at++;
    return at;
}

static bool model_has(const struct model *m, int at, struct stream_id id)
{
    return at < m->count && stream_id_compare(m->ids[at], id) == 0;
}

static void model_insert(struct model *m, int at, struct stream_id id, char *item)
{
    memmove(&m->ids[at + 1], &m->ids[at], (size_t)(m->count - at) * sizeof(m->ids[0]));
    memmove(&m->items[at + 1], &m->items[at], (size_t)(m->count - at) * sizeof(m->items[0]));
    m->ids[at] = id;
    m->items[at] = item;
    m->count++;
}

static void model_remove(struct model *m, int at)
{
    m->count--;
    memmove(&m->ids[at], &m->ids[at + 1], (size_t)(m->count - at) * sizeof(m->ids[0]));
    memmove(&m->items[at], &m->items[at + 1], (size_t)(m->count - at) * sizeof(m->items[0]));
}

// Both directions, from everywhere in between.
static void expect_same(const struct idtree *tree, const struct model *m)
{
    struct idtree_iter it;
    struct stream_id id;
    void *item;
    cr_assert_eq(idtree_count(tree), (uint64_t)m->count);
    idtree_seek_first(&it, tree);
    for (int i = 0; i < m->count; i++) {
        cr_assert(idtree_next(&it, &id, &item));
        cr_assert_eq(stream_id_compare(id, m->ids[i]), 0);
        cr_assert_eq(item, m->items[i]);
    }
    cr_assert(!idtree_next(&it, &id, &item));
    idtree_seek_last(&it, tree);
    for (int i = m->count - 1; i >= 0; i--) {
        cr_assert(idtree_prev(&it, &id, &item));
        cr_assert_eq(item, m->items[i]);
    }
    cr_assert(!idtree_prev(&it, &id, &item));
}

static void expect_neighbours(const struct idtree *tree, const struct model *m, struct stream_id id)
{
    struct idtree_iter it;
    void *item;
    int at = place(m, id), after = at + (model_has(m, at, id) ? 1 : 0);
    idtree_seek_before(&it, tree, id);
    struct idtree_iter back = it;
    cr_assert_eq(idtree_next(&it, NULL, &item), at < m->count);
    if (at < m->count) cr_assert_eq(item, m->items[at]);
    cr_assert_eq(idtree_prev(&back, NULL, &item), at > 0);
    if (at > 0) cr_assert_eq(item, m->items[at - 1]);
    idtree_seek_after(&it, tree, id);
    back = it;
    cr_assert_eq(idtree_next(&it, NULL, &item), after < m->count);
    if (after < m->count) cr_assert_eq(item, m->items[after]);
    cr_assert_eq(idtree_prev(&back, NULL, &item), after > 0);
    if (after > 0) cr_assert_eq(item, m->items[after - 1]);
}

static void random_life(uint64_t seed, uint64_t span, int rounds)
{
    static char tokens[64];
    struct rng rng;
    rng_seed(&rng, seed);
    struct idtree *tree = idtree_new();
    struct model *m = mem_new(struct model);
    for (int i = 0; i < rounds; i++) {
        // The mix leans to growing for a while, then to shrinking.
        bool grow = rng_below(&rng, 10) < (i / 3000 % 2 ? 3u : 7u);
        struct stream_id id = {rng_below(&rng, span), rng_below(&rng, 4)};
        int at = place(m, id);
        bool there = model_has(m, at, id);
        if (grow && m->count < MODEL_MAX) {
            char *item = &tokens[rng_below(&rng, sizeof(tokens))];
            cr_assert_eq(idtree_insert(tree, id, item), !there);
            if (!there) model_insert(m, at, id, item);
        } else {
            cr_assert_eq(idtree_remove(tree, id), there ? m->items[at] : NULL);
            if (there) model_remove(m, at);
        }
        cr_assert_eq(idtree_find(tree, id), model_has(m, place(m, id), id) ? m->items[at] : NULL);
        id = (struct stream_id){rng_below(&rng, span), rng_below(&rng, 4)};
        expect_neighbours(tree, m, id);
        if (i % 97 == 0) expect_same(tree, m);
    }
    while (m->count > 0) {
        int at = (int)rng_below(&rng, (uint64_t)m->count);
        cr_assert_eq(idtree_remove(tree, m->ids[at]), m->items[at]);
        model_remove(m, at);
        if (m->count % 50 == 0) expect_same(tree, m);
    }
    size_t empty = idtree_memory(tree);
    idtree_free(tree, NULL);
    tree = idtree_new();
    cr_assert_eq(idtree_memory(tree), empty, "an emptied tree holds nothing");
    idtree_free(tree, NULL);
    mem_free(m);
}

Test(idtree, random_inserts_and_removes_agree_with_a_sorted_array)
{
    random_life(1, 20, 3000);
    random_life(2, 900, 20000);
    random_life(3, 100000, 20000);
}

Test(idtree, ascending_ids_fill_the_leaves)
{
    struct idtree *tree = idtree_new();
    static char item;
    for (uint64_t i = 0; i < 100000; i++)
        cr_assert(idtree_insert(tree, (struct stream_id){i, 0}, &item));
    // 24 bytes an id and item; a twelfth for branches and headers.
    cr_assert_lt(idtree_memory(tree), 100000 * 24 * 13 / 12);
    for (uint64_t i = 0; i < 100000; i++) {
        struct idtree_iter it;
        struct stream_id id;
        idtree_seek_first(&it, tree);
        cr_assert(idtree_next(&it, &id, NULL));
        cr_assert_eq(id.ms, i);
        cr_assert_eq(idtree_remove(tree, id), &item);
    }
    cr_assert_eq(idtree_count(tree), 0);
    idtree_free(tree, NULL);
}

Test(idtree, is_freed_in_steps_with_every_item)
{
    struct idtree *tree = idtree_new();
    for (uint64_t i = 0; i < 5000; i++)
        idtree_insert(tree, (struct stream_id){i * 7919 % 5000, i}, mem_alloc(8));
    struct loop loop = {0};
    int steps = 1;
    for (;; steps++) {
        struct budget budget = {.loop = &loop, .units = 100};
        if (idtree_free_step(tree, mem_free, &budget)) break;
    }
    cr_assert_gt(steps, 50);
}

Test(stream_id, texts_are_read_and_written)
{
    struct stream_id id;
    bool flag;
    char text[STREAM_ID_TEXT_BYTES];
    cr_assert(stream_id_parse(BYTES("12-34"), 0, &id) && id.ms == 12 && id.seq == 34);
    cr_assert(stream_id_parse(BYTES("12"), 9, &id) && id.ms == 12 && id.seq == 9);
    cr_assert(stream_id_parse(BYTES("007-+08"), 0, &id) && id.ms == 7 && id.seq == 8);
    const char *const bad[] = {
        "", "-", "+", "1-", "-1", "1-2-3", "a", "1-*", "18446744073709551616"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        cr_assert(!stream_id_parse(bytes_from_cstr(bad[i]), 0, &id), "%s", bad[i]);
    cr_assert(stream_id_parse_new(BYTES("5-*"), &id, &flag) && flag && id.ms == 5);
    cr_assert(stream_id_parse_new(BYTES("5-6"), &id, &flag) && !flag && id.seq == 6);
    cr_assert(!stream_id_parse_new(BYTES("*-5"), &id, &flag));
    cr_assert(stream_id_parse_bound(BYTES("-"), 0, &id, &flag) && stream_id_is_zero(id));
    cr_assert(stream_id_parse_bound(BYTES("+"), 0, &id, &flag) && id.ms == UINT64_MAX);
    cr_assert(stream_id_parse_bound(BYTES("(7-1"), 0, &id, &flag) && flag && id.ms == 7);
    cr_assert(!stream_id_parse_bound(BYTES("(-"), 0, &id, &flag));
    size_t len = stream_id_format(text, STREAM_ID_MAX);
    cr_assert(bytes_equal(bytes_of(text, len), BYTES("18446744073709551615-18446744073709551615")));
    char raw[STREAM_ID_RAW_BYTES];
    stream_id_write_raw(raw, (struct stream_id){0x0102030405060708, 9});
    cr_assert_eq(memcmp(raw, "\1\2\3\4\5\6\7\10\0\0\0\0\0\0\0\11", 16), 0);
    id = stream_id_read_raw(raw);
    cr_assert(id.ms == 0x0102030405060708 && id.seq == 9);
    id = (struct stream_id){1, UINT64_MAX};
    cr_assert(stream_id_increment(&id) && id.ms == 2 && id.seq == 0);
    cr_assert(stream_id_decrement(&id) && id.ms == 1 && id.seq == UINT64_MAX);
    id = STREAM_ID_MAX;
    cr_assert(!stream_id_increment(&id));
}
