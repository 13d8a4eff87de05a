// Streams against a plain array of entries.
#include "value/stream.h"
#include "base/mem.h"
#include "base/rng.h"
#include "loop/loop_impl.h"
#include "value/stream_group.h"

#include <criterion/criterion.h>
#include <stdio.h>

enum { MODEL_MAX = 4000, FIELDS_MAX = 4 };

struct fact {
    struct stream_id id;
    uint64_t field_count;
    char text[2 * FIELDS_MAX][12];
};

struct model {
    int count;
    struct stream_id last_id, max_deleted_id;
    uint64_t added;
    struct fact at[MODEL_MAX];
};

static void expect_entry(struct stream_iter *it, const struct fact *fact)
{
    struct stream_entry entry;
    struct bytes field, value;
    cr_assert(stream_next(it, &entry));
    cr_assert_eq(stream_id_compare(entry.id, fact->id), 0);
    cr_assert_eq(entry.field_count, fact->field_count);
    // Every other entry is left half read, which must not disturb the walk.
    uint64_t read = fact->id.seq % 2 ? fact->field_count : fact->field_count / 2;
    for (uint64_t i = 0; i < read; i++) {
        cr_assert(stream_next_field(it, &field, &value));
        cr_assert(bytes_equal(field, bytes_from_cstr(fact->text[2 * i])));
        cr_assert(bytes_equal(value, bytes_from_cstr(fact->text[2 * i + 1])));
    }
    if (read == fact->field_count) cr_assert(!stream_next_field(it, &field, &value));
}

static void expect_range(const struct stream *s, const struct model *m, struct stream_id from,
                         struct stream_id to)
{
    struct stream_iter it;
    struct stream_entry entry;
    stream_seek(&it, s, from, to, false);
    for (int i = 0; i < m->count; i++)
        if (stream_id_compare(m->at[i].id, from) >= 0 && stream_id_compare(m->at[i].id, to) <= 0)
            expect_entry(&it, &m->at[i]);
    cr_assert(!stream_next(&it, &entry));
    stream_seek(&it, s, from, to, true);
    for (int i = m->count - 1; i >= 0; i--)
        if (stream_id_compare(m->at[i].id, from) >= 0 && stream_id_compare(m->at[i].id, to) <= 0)
            expect_entry(&it, &m->at[i]);
    cr_assert(!stream_next(&it, &entry));
}

static void expect_same(const struct stream *s, const struct model *m)
{
    cr_assert_eq(stream_length(s), (uint64_t)m->count);
    cr_assert_eq(s->entries_added, m->added);
    cr_assert_eq(stream_id_compare(s->last_id, m->last_id), 0);
    cr_assert_eq(stream_id_compare(s->max_deleted_id, m->max_deleted_id), 0);
    struct stream_id first = m->count ? m->at[0].id : STREAM_ID_MIN, edge = STREAM_ID_MIN;
    cr_assert_eq(stream_id_compare(s->first_id, first), 0);
    cr_assert_eq(stream_edge_id(s, true, &edge), m->count > 0);
    cr_assert_eq(stream_id_compare(edge, first), 0);
    edge = m->count ? m->at[m->count - 1].id : STREAM_ID_MIN;
    cr_assert_eq(stream_id_compare(stream_last_entry_id(s), edge), 0);
    expect_range(s, m, STREAM_ID_MIN, STREAM_ID_MAX);
}

// Every node is valid by itself, and a stream that is built from them is the same.
static void expect_reload(const struct stream *s, const struct model *m)
{
    struct stream *copy = stream_new();
    struct idtree_iter it;
    struct stream_id id;
    struct bytes bytes;
    struct error error;
    size_t total = 0;
    stream_nodes_seek(&it, s);
    while (stream_nodes_next(&it, &id, &bytes)) {
        unsigned char *node = mem_alloc(bytes.len);
        memcpy(node, bytes.data, bytes.len);
        total += bytes.len;
        cr_assert(stream_append_node(copy, id, node, bytes.len, &error), "%s", error.text);
    }
    cr_assert_eq(total, s->node_bytes);
    struct stream_meta meta = {s->length, s->last_id, s->first_id, s->max_deleted_id,
                               s->entries_added};
    meta.length++;
    cr_assert(!stream_set_meta(copy, &meta, &error));
    meta.length--;
    cr_assert(stream_set_meta(copy, &meta, &error), "%s", error.text);
    expect_same(copy, m);
    stream_free_all(copy);
    copy = stream_copy(s);
    expect_same(copy, m);
    cr_assert_leq(stream_memory(copy), stream_memory(s));
    stream_free_all(copy);
}

static void add(struct stream *s, struct model *m, struct rng *rng,
                const struct value_limits *limits)
{
    struct fact *fact = &m->at[m->count];
    struct bytes pairs[2 * FIELDS_MAX];
    fact->field_count = 1 + rng_below(rng, FIELDS_MAX);
    bool usual = rng_below(rng, 4) > 0;
    if (usual) fact->field_count = 2;
    for (uint64_t i = 0; i < 2 * fact->field_count; i++) {
        int n = (int)rng_below(rng, i % 2 || !usual ? 100000 : 1);
        snprintf(fact->text[i], sizeof(fact->text[i]), i % 3 ? "%d" : "f%d", n);
        pairs[i] = bytes_from_cstr(fact->text[i]);
    }
    struct stream_id id = {m->last_id.ms + rng_below(rng, 3), rng_below(rng, 5)};
    enum stream_id_kind kind = (enum stream_id_kind)rng_below(rng, 3);
    struct stream_id want = id;
    if (kind == STREAM_ID_AUTO_SEQ) want.seq = id.ms == m->last_id.ms ? m->last_id.seq + 1 : 0;
    if (kind == STREAM_ID_AUTO) {
        want.seq = 0;
        if (want.ms <= m->last_id.ms) want = (struct stream_id){m->last_id.ms, m->last_id.seq + 1};
    }
    enum stream_add_result result =
        stream_add(s, limits, kind, &id, (int64_t)id.ms, pairs, fact->field_count);
    if (stream_id_compare(want, m->last_id) <= 0) {
        cr_assert_eq(result, STREAM_ADD_NOT_GREATER);
        return;
    }
    cr_assert_eq(result, STREAM_ADDED);
    cr_assert_eq(stream_id_compare(id, want), 0);
    fact->id = m->last_id = id;
    m->count++;
    m->added++;
}

static void model_drop(struct model *m, int at, int count)
{
    m->count -= count;
    memmove(&m->at[at], &m->at[at + count], (size_t)(m->count - at) * sizeof(m->at[0]));
}

static void delete_one(struct stream *s, struct model *m, struct rng *rng)
{
    if (m->count == 0) return;
    int at = (int)rng_below(rng, (uint64_t)m->count);
    struct stream_id id = m->at[at].id;
    cr_assert(stream_has(s, id));
    cr_assert(stream_delete(s, id));
    cr_assert(!stream_has(s, id));
    cr_assert(!stream_delete(s, id));
    model_drop(m, at, 1);
    if (stream_id_compare(id, m->max_deleted_id) > 0) m->max_deleted_id = id;
}

static void trim(struct stream *s, struct model *m, struct rng *rng)
{
    int keep = m->count - (int)rng_below(rng, (uint64_t)m->count / 4 + 2);
    if (keep < 0) keep = 0;
    int gone = m->count - keep;
    bool approximate = rng_below(rng, 2);
    uint64_t limit = approximate && rng_below(rng, 2) ? rng_below(rng, 30) : 0, trimmed;
    if (rng_below(rng, 2)) {
        trimmed = stream_trim_length(s, (uint64_t)keep, approximate, limit);
    } else {
        struct stream_id min = keep ? m->at[gone].id : m->last_id;
        if (keep == 0 && !stream_id_increment(&min)) return;
        trimmed = stream_trim_before(s, min, approximate, limit);
    }
    if (approximate)
        cr_assert_leq(trimmed, (uint64_t)gone);
    else
        cr_assert_eq(trimmed, (uint64_t)gone);
    if (limit) cr_assert_leq(trimmed, limit);
    model_drop(m, 0, (int)trimmed);
}

static void random_life(uint64_t seed, size_t max_bytes, int64_t max_entries)
{
    struct value_limits limits = {.stream_node_max_bytes = max_bytes,
                                  .stream_node_max_entries = max_entries};
    struct rng rng;
    rng_seed(&rng, seed);
    struct model *m = mem_new(struct model);
    struct stream *s = stream_new();
    for (int i = 0; i < 3000; i++) {
        uint64_t what = rng_below(&rng, 100);
        if (what < 75 && m->count < MODEL_MAX)
            add(s, m, &rng, &limits);
        else if (what < 97)
            delete_one(s, m, &rng);
        else
            trim(s, m, &rng);
        if (i % 53 == 0) {
            expect_same(s, m);
            uint64_t span = m->last_id.ms + 2;
            struct stream_id from = {rng_below(&rng, span), rng_below(&rng, 6)};
            struct stream_id to = {rng_below(&rng, span), rng_below(&rng, 6)};
            expect_range(s, m, from, to);
            expect_range(s, m, from, from);
        }
        if (i % 601 == 600) expect_reload(s, m);
    }
    expect_same(s, m);
    struct loop loop = {0};
    bool done = false;
    while (!done) {
        struct budget budget = {.loop = &loop, .units = 10};
        done = stream_free_step(s, &budget);
    }
    mem_free(m);
}

Test(stream, random_operations_agree_with_an_array)
{
    random_life(1, 4096, 100);
    random_life(2, 0, 0);
    random_life(3, 100, 0);
    random_life(4, 0, 1);
    random_life(5, 200, 7);
    random_life(6, 4096, 3);
}

static struct stream *numbered(int count, int64_t node_entries)
{
    struct value_limits limits = {.stream_node_max_entries = node_entries};
    struct stream *s = stream_new();
    for (int i = 1; i <= count; i++) {
        struct stream_id id = {(uint64_t)i, 0};
        struct bytes pair[2] = {BYTES("f"), BYTES("v")};
        cr_assert_eq(stream_add(s, &limits, STREAM_ID_GIVEN, &id, 0, pair, 1), STREAM_ADDED);
    }
    return s;
}

Test(stream, approximate_trims_take_whole_nodes_within_the_limit)
{
    struct stream *s = numbered(1000, 100);
    cr_assert_eq(stream_node_count(s), 10);
    cr_assert_eq(stream_trim_length(s, 950, true, 0), 0);
    cr_assert_eq(stream_trim_length(s, 555, true, 0), 400);
    cr_assert_eq(stream_trim_length(s, 0, true, 150), 100);
    cr_assert_eq(stream_trim_length(s, 0, true, 99), 0);
    cr_assert_eq(stream_trim_before(s, (struct stream_id){701, 0}, true, 0), 200);
    cr_assert_eq(s->first_id.ms, 701);
    cr_assert_eq(stream_trim_before(s, (struct stream_id){705, 0}, false, 0), 4);
    cr_assert_eq(s->first_id.ms, 705);
    cr_assert(stream_id_is_zero(s->max_deleted_id), "trimming leaves no tombstone");
    stream_free_all(s);
    struct value_limits limits = {.stream_node_max_entries = 100};
    cr_assert_eq(stream_trim_default_limit(&limits), 10000);
    limits.stream_node_max_entries = 0;
    cr_assert_eq(stream_trim_default_limit(&limits), 10000);
    limits.stream_node_max_entries = 50000;
    cr_assert_eq(stream_trim_default_limit(&limits), 1000000);
}

Test(stream, ids_run_out)
{
    struct value_limits limits = {0};
    struct stream *s = stream_new();
    struct bytes pair[2] = {BYTES("f"), BYTES("v")};
    struct stream_id id = STREAM_ID_MIN;
    cr_assert_eq(stream_add(s, &limits, STREAM_ID_GIVEN, &id, 0, pair, 1), STREAM_ADD_NOT_GREATER);
    id = (struct stream_id){5, UINT64_MAX};
    cr_assert_eq(stream_add(s, &limits, STREAM_ID_GIVEN, &id, 0, pair, 1), STREAM_ADDED);
    id = (struct stream_id){5, 0};
    cr_assert_eq(stream_add(s, &limits, STREAM_ID_AUTO_SEQ, &id, 0, pair, 1),
                 STREAM_ADD_NOT_GREATER);
    cr_assert_eq(stream_add(s, &limits, STREAM_ID_AUTO, &id, 1, pair, 1), STREAM_ADDED);
    cr_assert(id.ms == 6 && id.seq == 0, "the clock is behind: the next id there is");
    id = STREAM_ID_MAX;
    cr_assert_eq(stream_add(s, &limits, STREAM_ID_GIVEN, &id, 0, pair, 1), STREAM_ADDED);
    cr_assert_eq(stream_add(s, &limits, STREAM_ID_AUTO, &id, 1, pair, 1), STREAM_ADD_NOT_GREATER);
    cr_assert_eq(stream_length(s), 3);
    struct stream_iter it;
    struct stream_entry entry;
    stream_seek(&it, s, STREAM_ID_MIN, STREAM_ID_MAX, true);
    cr_assert(stream_next(&it, &entry));
    cr_assert_eq(stream_id_compare(entry.id, STREAM_ID_MAX), 0);
    stream_free_all(s);
}

Test(stream, goes_on_after_being_set_back_behind_deleted_entries)
{
    struct stream *s = numbered(3, 100);
    cr_assert(stream_delete(s, (struct stream_id){3, 0}));
    s->last_id = (struct stream_id){2, 0}; // XSETID
    struct value_limits limits = {.stream_node_max_entries = 100};
    struct stream_id id = {2, 5}, master_id;
    struct bytes pair[2] = {BYTES("f"), BYTES("v")}, bytes;
    cr_assert_eq(stream_add(s, &limits, STREAM_ID_GIVEN, &id, 0, pair, 1), STREAM_ADDED);
    struct stream_iter it;
    struct stream_entry entry;
    stream_seek(&it, s, (struct stream_id){2, 1}, (struct stream_id){2, 9}, false);
    cr_assert(stream_next(&it, &entry));
    cr_assert(entry.id.ms == 2 && entry.id.seq == 5);
    struct idtree_iter nodes;
    stream_nodes_seek(&nodes, s);
    cr_assert(stream_nodes_next(&nodes, &master_id, &bytes));
    cr_assert(stream_node_validate((const unsigned char *)bytes.data, bytes.len, master_id, NULL));
    stream_free_all(s);
}

Test(stream, goes_on_after_being_set_back_behind_a_node_of_tombstones)
{
    struct value_limits limits = {.stream_node_max_entries = 100};
    struct stream *s = numbered(7, 100);
    cr_assert(stream_delete(s, (struct stream_id){7, 0}));
    cr_assert_eq(stream_trim_before(s, (struct stream_id){7, 0}, false, 0), 6);
    cr_assert(stream_length(s) == 0 && stream_node_count(s) == 1);
    s->last_id = STREAM_ID_MIN; // XSETID
    struct stream_id id = {1, 0}, edge;
    struct bytes pair[2] = {BYTES("f"), BYTES("v")};
    cr_assert_eq(stream_add(s, &limits, STREAM_ID_GIVEN, &id, 0, pair, 1), STREAM_ADDED);
    cr_assert_eq(stream_node_count(s), 1);
    cr_assert(stream_edge_id(s, false, &edge) && edge.ms == 1);
    cr_assert(stream_delete(s, id));
    cr_assert_eq(s->node_bytes, 0);
    stream_free_all(s);
}
