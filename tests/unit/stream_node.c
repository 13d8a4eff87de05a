// Stream nodes from outside: every single-bit change and every truncation of good ones is refused,
// or is a node that can be walked, trimmed and freed without harm.
#include "base/mem.h"
#include "loop/loop_impl.h"
#include "value/listpack.h"
#include "value/stream.h"

#include <criterion/criterion.h>

static const struct stream_id MASTER = {1000, 7};

// Entries with and without the master's fields, deleted ones among them.
static struct stream *sample(void)
{
    struct value_limits limits = {0};
    struct stream *s = stream_new();
    struct stream_id id = MASTER;
    for (int i = 0; i < 12; i++) {
        struct bytes same[4] = {BYTES("name"), BYTES("some value"), BYTES("17"), BYTES("-200000")};
        struct bytes other[2] = {BYTES("x"), BYTES("99")};
        cr_assert_eq(stream_add(s, &limits, STREAM_ID_GIVEN, &id, 0, i % 4 == 3 ? other : same,
                                i % 4 == 3 ? 1 : 2),
                     STREAM_ADDED);
        id.ms += (uint64_t)i * 100;
        id.seq++;
    }
    struct stream_id second = {MASTER.ms, MASTER.seq + 1};
    cr_assert(stream_delete(s, second));
    return s;
}

static struct bytes node_of(const struct stream *s)
{
    struct idtree_iter it;
    struct stream_id id;
    struct bytes bytes;
    stream_nodes_seek(&it, s);
    cr_assert(stream_nodes_next(&it, &id, &bytes));
    cr_assert_eq(stream_id_compare(id, MASTER), 0);
    return bytes;
}

// Takes the bytes in and does everything with them. False when they are refused.
static bool use(const char *data, size_t len)
{
    struct stream *s = stream_new();
    struct error error = ERROR_OK;
    unsigned char *bytes = mem_alloc(len);
    if (len) memcpy(bytes, data, len);
    if (!stream_append_node(s, MASTER, bytes, len, &error)) {
        cr_assert_eq(error.class, ERROR_CORRUPT);
        stream_free_all(s);
        return false;
    }
    cr_assert(stream_set_old_meta(s, s->length, s->last_id, &error));
    for (int backward = 0; backward < 2; backward++) {
        struct stream_iter it;
        struct stream_entry entry;
        struct bytes field, value;
        uint64_t seen = 0;
        stream_seek(&it, s, STREAM_ID_MIN, STREAM_ID_MAX, backward);
        for (; stream_next(&it, &entry); seen++)
            while (stream_next_field(&it, &field, &value))
                ;
        cr_assert_eq(seen, s->length);
    }
    struct stream *twin = stream_copy(s);
    while (twin->length > 0)
        cr_assert(
            stream_delete(twin, twin->length % 2 ? twin->first_id : stream_last_entry_id(twin)));
    stream_free_all(twin);
    uint64_t half = s->length / 2, rest = s->length - half;
    cr_assert_eq(stream_trim_length(s, half, false, 0), rest);
    cr_assert_eq(s->length, half);
    stream_free_all(s);
    return true;
}

Test(stream_node, a_good_one_is_taken)
{
    struct stream *s = sample();
    struct bytes node = node_of(s);
    struct stream_node_facts facts;
    cr_assert(stream_node_validate((const unsigned char *)node.data, node.len, MASTER, &facts));
    cr_assert_eq(facts.live, 11);
    cr_assert_eq(facts.deleted, 1);
    cr_assert_eq(stream_id_compare(facts.last_id, s->last_id), 0);
    stream_free_all(s);
}

Test(stream_node, every_byte_changed_and_every_truncation)
{
    struct stream *s = sample();
    struct bytes node = node_of(s);
    char *copy = mem_alloc(node.len);
    int taken = 0;
    for (size_t at = 0; at < node.len; at++)
        for (int value = 0; value < 256; value++) {
            memcpy(copy, node.data, node.len);
            if ((unsigned char)copy[at] == value) continue;
            copy[at] = (char)value;
            taken += use(copy, node.len);
        }
    cr_assert_gt(taken, 0, "changed texts are still nodes");
    for (size_t len = 0; len < node.len; len++)
        cr_assert(!use(node.data, len));
    mem_free(copy);
    stream_free_all(s);
}

Test(stream_node, numbers_replaced_by_others)
{
    struct stream *s = sample();
    struct bytes node = node_of(s);
    const int64_t numbers[] = {0, 1, 2, 3, 4, 5, -1, 100, 70000, INT64_MAX, INT64_MIN};
    uint64_t count = listpack_count((const unsigned char *)node.data);
    for (uint64_t i = 0; i < count; i++) {
        for (size_t n = 0; n < sizeof(numbers) / sizeof(numbers[0]); n++) {
            unsigned char *lp = listpack_from(node);
            unsigned char *at = listpack_seek(lp, (int64_t)i);
            lp = listpack_replace_number(lp, &at, numbers[n]);
            use((const char *)lp, listpack_bytes(lp));
            listpack_free(lp);
        }
        unsigned char *lp = listpack_from(node);
        unsigned char *at = listpack_seek(lp, (int64_t)i);
        lp = listpack_delete(lp, &at, 1);
        use((const char *)lp, listpack_bytes(lp));
        listpack_free(lp);
    }
    stream_free_all(s);
}

Test(stream_node, nodes_out_of_order_or_twice_are_refused)
{
    struct stream *s = sample(), *t = stream_new();
    struct bytes node = node_of(s);
    struct error error;
    cr_assert(stream_append_node(t, MASTER, listpack_from(node), node.len, &error));
    cr_assert(!stream_append_node(t, MASTER, listpack_from(node), node.len, &error));
    struct stream_id overlap = {MASTER.ms + 1, 0};
    cr_assert(!stream_append_node(t, overlap, listpack_from(node), node.len, &error));
    struct stream_id after = {MASTER.ms + 100000, 0};
    cr_assert(stream_append_node(t, after, listpack_from(node), node.len, &error));
    cr_assert_eq(stream_node_count(t), 2);
    cr_assert_eq(t->length, 22);
    stream_free_all(t);
    stream_free_all(s);
}

Test(stream_node, is_checked_in_pieces)
{
    struct stream *s = sample(), *t = stream_new();
    struct bytes node = node_of(s);
    unsigned char *copy = listpack_from(node);
    struct stream_node_check check;
    struct loop loop = {0};
    stream_node_check_begin(&check, listpack_view(copy), MASTER);
    int steps = 0;
    enum stream_check_result result = STREAM_CHECK_MORE;
    for (; result == STREAM_CHECK_MORE; steps++) {
        struct budget budget = {.loop = &loop, .units = 3};
        result = stream_node_check_step(&check, &budget);
    }
    cr_assert_eq(result, STREAM_CHECK_GOOD);
    cr_assert_gt(steps, 10);
    struct error error;
    cr_assert(stream_append_checked(t, &check, copy, &error));
    cr_assert_eq(t->length, 11);

    stream_node_check_begin(&check, bytes_of(node.data, node.len - 1), MASTER);
    for (result = STREAM_CHECK_MORE; result == STREAM_CHECK_MORE;) {
        struct budget budget = {.loop = &loop, .units = 3};
        result = stream_node_check_step(&check, &budget);
    }
    cr_assert_eq(result, STREAM_CHECK_BAD);
    stream_free_all(t);
    stream_free_all(s);
}
