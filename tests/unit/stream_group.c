// Consumer groups: delivery, acknowledgement, claims, lag, and being rebuilt from a file.
#include "value/stream_group.h"
#include "base/mem.h"
#include "loop/loop_impl.h"

#include <criterion/criterion.h>

static struct stream_id ms(uint64_t n)
{
    return (struct stream_id){n, 0};
}

static struct stream *numbered(int count)
{
    struct value_limits limits = {.stream_node_max_entries = 10};
    struct stream *s = stream_new();
    for (int i = 1; i <= count; i++) {
        struct stream_id id = ms((uint64_t)i);
        struct bytes pair[2] = {BYTES("f"), BYTES("v")};
        cr_assert_eq(stream_add(s, &limits, STREAM_ID_GIVEN, &id, 0, pair, 1), STREAM_ADDED);
    }
    return s;
}

static void deliver(struct stream *s, struct stream_group *g, struct stream_consumer *c,
                    uint64_t from, uint64_t to)
{
    for (uint64_t i = from; i <= to; i++)
        stream_group_deliver(s, g, c, ms(i), 1000 + (int64_t)i);
}

Test(stream_group, groups_and_consumers_are_kept_by_name)
{
    struct stream *s = numbered(1);
    const char *const names[] = {"mm", "b", "", "zeta", "a", "ab", "B", "m"};
    const char *const sorted[] = {"", "B", "a", "ab", "b", "m", "mm", "zeta"};
    for (int i = 0; i < 8; i++) {
        struct stream_group *g = stream_group_create(s, bytes_from_cstr(names[i]), ms(0), 0);
        cr_assert_not_null(g);
        cr_assert_null(stream_group_create(s, bytes_from_cstr(names[i]), ms(0), 0));
        for (int k = 0; k < 8; k++) {
            cr_assert_not_null(stream_consumer_create(g, bytes_from_cstr(names[k]), 5));
            cr_assert_null(stream_consumer_create(g, bytes_from_cstr(names[k]), 5));
        }
    }
    cr_assert_eq(stream_group_count(s), 8);
    for (uint32_t i = 0; i < 8; i++) {
        struct stream_group *g = stream_group_at(s, i);
        cr_assert(bytes_equal(str_view(g->name), bytes_from_cstr(sorted[i])));
        cr_assert_eq(stream_group_find(s, bytes_from_cstr(sorted[i])), g);
        for (uint32_t k = 0; k < 8; k++)
            cr_assert(
                bytes_equal(str_view(stream_consumer_at(g, k)->name), bytes_from_cstr(sorted[k])));
    }
    cr_assert(stream_group_destroy(s, BYTES("b")));
    cr_assert(!stream_group_destroy(s, BYTES("b")));
    cr_assert_null(stream_group_find(s, BYTES("b")));
    cr_assert_eq(stream_group_count(s), 7);
    stream_free_all(s);
}

Test(stream_group, what_is_delivered_is_pending_until_acknowledged)
{
    struct stream *s = numbered(20);
    struct stream_group *g = stream_group_create(s, BYTES("g"), ms(0), 0);
    struct stream_consumer *alice = stream_consumer_create(g, BYTES("alice"), 1);
    struct stream_consumer *bob = stream_consumer_create(g, BYTES("bob"), 1);
    deliver(s, g, alice, 1, 5);
    deliver(s, g, bob, 6, 10);
    deliver(s, g, NULL, 11, 12); // NOACK
    cr_assert_eq(g->last_id.ms, 12);
    cr_assert_eq(g->entries_read, 12);
    cr_assert_eq(idtree_count(g->pending), 10);
    struct stream_pending *p = stream_pending_find(g, ms(3));
    cr_assert(p->consumer == alice && p->delivery_count == 1 && p->delivery_time_ms == 1003);

    cr_assert(stream_pending_remove(g, ms(3)));
    cr_assert(!stream_pending_remove(g, ms(3)));
    cr_assert_eq(idtree_count(alice->pending), 4);

    stream_pending_assign(stream_pending_find(g, ms(4)), bob);
    cr_assert_eq(idtree_count(alice->pending), 3);
    cr_assert_eq(idtree_count(bob->pending), 6);
    struct idtree_iter it;
    idtree_seek_first(&it, bob->pending);
    cr_assert_eq(stream_pending_next(&it)->id.ms, 4);
    cr_assert_eq(stream_pending_next(&it)->id.ms, 6);

    // Set back, the group gives out entries that are pending already.
    stream_group_set_id(g, ms(0), 0);
    deliver(s, g, alice, 4, 6);
    cr_assert_eq(idtree_count(alice->pending), 5);
    cr_assert_eq(idtree_count(bob->pending), 4);
    cr_assert_eq(idtree_count(g->pending), 9);
    cr_assert(stream_group_is_whole(g));

    cr_assert_eq(stream_consumer_delete(g, BYTES("alice")), 5);
    cr_assert_eq(stream_consumer_delete(g, BYTES("alice")), -1);
    cr_assert_eq(idtree_count(g->pending), 4);
    cr_assert(stream_group_is_whole(g));
    stream_free_all(s);
}

Test(stream_group, lag_is_told_when_it_can_be)
{
    struct stream *s = stream_new();
    struct stream_group *empty = stream_group_create(s, BYTES("e"), ms(0), STREAM_UNKNOWN);
    int64_t lag;
    cr_assert(stream_group_lag(s, empty, &lag) && lag == 0);
    stream_free_all(s);

    s = numbered(5);
    struct stream_group *g = stream_group_create(s, BYTES("g"), ms(0), STREAM_UNKNOWN);
    cr_assert(stream_group_lag(s, g, &lag) && lag == 5, "nothing is deleted: it can be told");
    struct stream_group *amid = stream_group_create(s, BYTES("m"), ms(3), STREAM_UNKNOWN);
    cr_assert(!stream_group_lag(s, amid, &lag), "an id amid entries tells nothing");
    deliver(s, g, NULL, 1, 2);
    cr_assert_eq(g->entries_read, 2);
    cr_assert(stream_group_lag(s, g, &lag) && lag == 3);
    cr_assert(stream_delete(s, ms(4)));
    cr_assert(!stream_group_lag(s, g, &lag), "a tombstone lies ahead");
    deliver(s, g, NULL, 3, 3);
    cr_assert_eq(g->entries_read, STREAM_UNKNOWN);
    deliver(s, g, NULL, 5, 5);
    cr_assert_eq(g->entries_read, 5);
    cr_assert(stream_group_lag(s, g, &lag) && lag == 0);
    // A tombstone behind the first entry no longer counts, and the group's own count is taken.
    cr_assert_eq(stream_trim_length(s, 1, false, 0), 3);
    stream_group_set_id(g, ms(2), 2);
    cr_assert(stream_group_lag(s, g, &lag) && lag == 3);
    cr_assert_eq(stream_trim_length(s, 0, false, 0), 1);
    stream_group_set_id(g, ms(2), STREAM_UNKNOWN);
    cr_assert(stream_group_lag(s, g, &lag) && lag == 0,
              "an empty stream has nothing to catch up on");
    cr_assert_eq(stream_distance(s, ms(99)), STREAM_UNKNOWN);
    stream_free_all(s);
}

Test(stream_group, is_built_from_a_file_and_refuses_what_does_not_fit)
{
    struct stream *s = numbered(3);
    struct stream_group *g = stream_group_create(s, BYTES("g"), ms(3), 3);
    cr_assert(stream_group_add_pending(g, ms(1), 100, 2));
    cr_assert(stream_group_add_pending(g, ms(2), 200, 1));
    cr_assert(!stream_group_add_pending(g, ms(1), 100, 2), "twice");
    struct stream_consumer *a = stream_consumer_create(g, BYTES("a"), 50);
    struct stream_consumer *b = stream_consumer_create(g, BYTES("b"), 60);
    cr_assert(stream_consumer_add_pending(g, a, ms(1)));
    cr_assert(!stream_consumer_add_pending(g, b, ms(1)), "it has a consumer");
    cr_assert(!stream_consumer_add_pending(g, b, ms(7)), "not pending in the group");
    cr_assert(!stream_group_is_whole(g));
    cr_assert(stream_consumer_add_pending(g, b, ms(2)));
    cr_assert(stream_group_is_whole(g));

    struct stream *copy = stream_copy(s);
    struct stream_group *twin = stream_group_find(copy, BYTES("g"));
    cr_assert(twin != g && twin->entries_read == 3 && twin->last_id.ms == 3);
    cr_assert(stream_group_is_whole(twin));
    struct stream_pending *p = stream_pending_find(twin, ms(1));
    cr_assert(p->delivery_time_ms == 100 && p->delivery_count == 2);
    cr_assert(bytes_equal(str_view(p->consumer->name), BYTES("a")));
    cr_assert_eq(p->consumer->seen_time_ms, 50);
    stream_free_all(copy);
    stream_free_all(s);
}

Test(stream_group, a_half_built_group_is_freed)
{
    struct stream *s = numbered(3);
    struct stream_group *g = stream_group_create(s, BYTES("g"), ms(3), 3);
    cr_assert(stream_group_add_pending(g, ms(1), 100, 2));
    cr_assert(stream_group_add_pending(g, ms(2), 200, 1));
    struct stream_consumer *a = stream_consumer_create(g, BYTES("a"), 50);
    cr_assert(stream_consumer_add_pending(g, a, ms(1)));
    stream_free_all(s);
}

static struct stream *crowded(void)
{
    struct stream *s = numbered(2000);
    const char *const names[] = {"one", "two", "three"};
    for (int i = 0; i < 3; i++) {
        struct stream_group *g = stream_group_create(s, bytes_from_cstr(names[i]), ms(0), 0);
        for (int k = 0; k < 3; k++) {
            struct stream_consumer *c = stream_consumer_create(g, bytes_from_cstr(names[k]), 1);
            deliver(s, g, c, (uint64_t)k * 500 + 1, (uint64_t)k * 500 + 500);
        }
    }
    return s;
}

Test(stream_group, is_freed_in_steps)
{
    struct stream *s = crowded();
    cr_assert_gt(stream_memory(s), 3 * 1500 * (sizeof(struct stream_pending) + 48));
    struct loop loop = {0};
    int steps = 1;
    struct stream_group *g = stream_group_detach(s, BYTES("two"));
    cr_assert_eq(stream_group_count(s), 2);
    for (;; steps++) {
        struct budget budget = {.loop = &loop, .units = 50};
        if (stream_group_free_step(g, &budget)) break;
    }
    cr_assert_gt(steps, 20);
    for (steps = 1;; steps++) {
        struct budget budget = {.loop = &loop, .units = 50};
        if (stream_free_step(s, &budget)) break;
    }
    cr_assert_gt(steps, 40);
}
