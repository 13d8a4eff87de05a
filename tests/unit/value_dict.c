// The hash table: contents against an array, what SCAN promises while the table is resized, and
// iterators that see deletions.
#include "base/mem.h"
#include "base/rng.h"
#include "loop/loop_impl.h"
#include "value/dict.h"
#include "value/dict_table.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <sys/resource.h>

enum { MANY = 20000 };

struct thing {
    int number;
    int seen;
    char key[16];
};

static struct bytes thing_key(const void *item)
{
    return bytes_from_cstr(((const struct thing *)item)->key);
}

static const struct dict_type owned = {thing_key, mem_free};
static const struct dict_type borrowed = {thing_key, NULL};

static void thing_set(struct thing *t, int number)
{
    t->number = number;
    t->seen = 0;
    snprintf(t->key, sizeof(t->key), "key:%d", number);
}

static struct thing *thing_new(int number)
{
    struct thing *t = mem_new(struct thing);
    thing_set(t, number);
    return t;
}

static struct bytes key_of(int number, char text[16])
{
    return bytes_of(text, (size_t)snprintf(text, 16, "key:%d", number));
}

static struct thing *things_new(struct dict *d, int count)
{
    struct thing *things = mem_array(struct thing, (size_t)count);
    for (int i = 0; i < count; i++) {
        thing_set(&things[i], i);
        cr_assert(dict_insert(d, &things[i]));
    }
    return things;
}

Test(value_dict, finds_what_was_inserted_and_nothing_else)
{
    struct dict *d = dict_new(&owned, 1);
    char text[16];
    cr_expect_null(dict_find(d, BYTES("nothing")));
    cr_expect_not(dict_delete(d, BYTES("nothing")));
    for (int i = 0; i < MANY; i++)
        cr_assert(dict_insert(d, thing_new(i)));
    cr_expect_eq(dict_count(d), MANY);
    struct thing *again = thing_new(7);
    cr_expect_not(dict_insert(d, again));
    struct thing *old = dict_replace(d, again);
    cr_expect(old != NULL && old != again && old->number == 7);
    mem_free(old);
    for (int i = 0; i < 2 * MANY; i++) {
        struct thing *t = dict_find(d, key_of(i, text));
        cr_assert(i < MANY ? t != NULL && t->number == i : t == NULL);
    }
    cr_expect_eq(dict_find(d, key_of(7, text)), again);
    dict_free(d);
}

// Random inserts and deletes, so that the table grows and shrinks, against a plain array.
Test(value_dict, agrees_with_an_array_whatever_happens)
{
    struct dict *d = dict_new(&owned, 2);
    struct thing **there = mem_zalloc(sizeof(*there) * MANY);
    struct rng rng;
    char text[16];
    uint64_t count = 0;
    rng_seed(&rng, 5);
    for (int round = 0; round < 40; round++) {
        bool mostly_insert = round % 4 < 2;
        for (int i = 0; i < 5000; i++) {
            int n = (int)rng_below(&rng, MANY);
            if (rng_below(&rng, 10) < (mostly_insert ? 8 : 1)) {
                struct thing *t = thing_new(n);
                bool added = dict_insert(d, t);
                cr_assert_eq(added, there[n] == NULL);
                if (added)
                    there[n] = t, count++;
                else
                    mem_free(t);
            } else {
                cr_assert_eq(dict_delete(d, key_of(n, text)), there[n] != NULL);
                if (there[n]) there[n] = NULL, count--;
            }
        }
        cr_assert_eq(dict_count(d), count);
        for (int n = 0; n < MANY; n++)
            cr_assert_eq(dict_find(d, key_of(n, text)), there[n]);
    }
    for (int n = 0; n < MANY; n++)
        dict_delete(d, key_of(n, text));
    cr_expect_eq(dict_count(d), 0);
    mem_free(there);
    dict_free(d);
}

static void see(void *arg, void *item)
{
    ++*(int *)arg;
    ((struct thing *)item)->seen++;
}

// Between any two calls the table is grown, shrunk or rehashed; what stays must be seen.
Test(value_dict, scan_sees_all_that_stays_while_the_table_is_resized)
{
    for (uint64_t seed = 0; seed < 60; seed++) {
        struct dict *d = dict_new(&borrowed, seed);
        struct rng rng;
        char text[16];
        rng_seed(&rng, seed);
        int start = 1 + (int)rng_below(&rng, 3000), stay = start / 10 + 1;
        int calls = 0, visits = 0, present = start;
        struct thing *things = things_new(d, start);
        struct thing *more = mem_array(struct thing, MANY);
        int added = 0;
        uint64_t cursor = 0;
        do {
            cursor = dict_scan(d, cursor, see, &visits);
            calls++;
            if (rng_below(&rng, 2))
                for (int i = 0; i < 20 && added < MANY; i++, added++) {
                    thing_set(&more[added], 100000 + added);
                    cr_assert(dict_insert(d, &more[added]));
                }
            else
                for (int i = 0; i < 60 && present > stay; i++)
                    cr_assert(dict_delete(d, key_of(--present, text)));
            cr_assert_lt(calls, 100000);
        } while (cursor != 0);
        for (int i = 0; i < stay; i++)
            cr_assert_gt(things[i].seen, 0, "seed %d lost %d", (int)seed, i);
        dict_free(d);
        mem_free(things);
        mem_free(more);
    }
}

Test(value_dict, scan_of_a_quiet_table_sees_each_once)
{
    struct dict *d = dict_new(&borrowed, 3);
    struct thing *things = things_new(d, 1000);
    struct loop loop = {0};
    struct budget budget = {.loop = &loop, .units = UINT32_MAX};
    cr_assert(dict_rehash_step(d, &budget));
    cr_assert_not(dict_rehashing(d));
    int visits = 0;
    uint64_t cursor = 0;
    do
        cursor = dict_scan(d, cursor, see, &visits);
    while (cursor != 0);
    cr_expect_eq(visits, 1000);
    for (int i = 0; i < 1000; i++)
        cr_expect_eq(things[i].seen, 1);
    dict_free(d);
    mem_free(things);
}

Test(value_dict, iterator_goes_on_after_deletions_and_lookups)
{
    for (int count = 0; count < 400; count += 7) {
        struct dict *d = dict_new(&borrowed, (uint64_t)count);
        struct thing *things = things_new(d, count);
        struct dict_iter it;
        struct thing *t;
        char text[16];
        int seen = 0;
        dict_iter_begin(&it, d);
        while ((t = dict_iter_next(&it)) != NULL) {
            t->seen++;
            seen++;
            if (t->number % 3 == 0) cr_assert(dict_delete(d, bytes_from_cstr(t->key)));
            dict_find(d, key_of(t->number / 2, text));
        }
        dict_iter_end(&it);
        cr_expect_eq(seen, count);
        for (int i = 0; i < count; i++) {
            cr_assert_eq(things[i].seen, 1);
            cr_assert_eq(dict_find(d, key_of(i, text)) != NULL, i % 3 != 0);
        }
        dict_free(d);
        mem_free(things);
    }
}

static void delete_it(void *arg, void *item)
{
    cr_assert(dict_delete(arg, thing_key(item)));
}

Test(value_dict, scan_may_delete_what_it_visits_and_the_table_shrinks)
{
    struct dict *d = dict_new(&owned, 4);
    for (int i = 0; i < MANY; i++)
        cr_assert(dict_insert(d, thing_new(i)));
    size_t large = dict_table_bytes(d);
    uint64_t cursor = 0;
    do
        cursor = dict_scan(d, cursor, delete_it, d);
    while (cursor != 0);
    cr_expect_eq(dict_count(d), 0);
    struct loop loop = {0};
    struct budget budget = {.loop = &loop, .units = UINT32_MAX};
    cr_assert(dict_rehash_step(d, &budget));
    cr_expect_lt(dict_table_bytes(d), large / 100);
    dict_free(d);
}

Test(value_dict, random_items_are_equally_likely)
{
    enum { COUNT = 1000, DRAWS = 200000 };
    struct dict *d = dict_new(&borrowed, 9);
    struct thing *things = things_new(d, COUNT);
    struct rng rng;
    rng_seed(&rng, 1);
    for (int i = 0; i < DRAWS; i++)
        ((struct thing *)dict_random(d, &rng))->seen++;
    double chi = 0, expected = (double)DRAWS / COUNT;
    for (int i = 0; i < COUNT; i++)
        chi += (things[i].seen - expected) * (things[i].seen - expected) / expected;
    // 999 degrees of freedom: mean 999, deviation 45.
    cr_expect_lt(chi, 999 + 5 * 45, "chi square %.1f", chi);
    void *some[50];
    int got = dict_sample(d, &rng, some, 50);
    cr_expect_eq(got, 50);
    for (int i = 0; i < got; i++)
        for (int j = 0; j < i; j++)
            cr_expect_neq(some[i], some[j]);
    dict_free(d);
    mem_free(things);
}

Test(value_dict, freeing_and_rehashing_stop_when_the_budget_is_used)
{
    struct dict *d = dict_new(&owned, 6);
    struct loop loop = {0};
    for (int i = 0; i < MANY; i++)
        cr_assert(dict_insert(d, thing_new(i)));
    int steps = 0;
    for (bool done = false; !done; steps++) {
        struct budget budget = {.loop = &loop, .units = 1000};
        done = dict_free_step(d, &budget);
    }
    cr_expect_gt(steps, 20);
}

Test(value_dict, guesses_what_it_holds_while_the_table_is_resized_too)
{
    struct dict *d = dict_new(&owned, 10);
    char text[16];
    int right = 0, none = 0;
    for (int i = 0; i < MANY; i++) {
        cr_assert(dict_insert(d, thing_new(i)));
        struct bytes key = key_of(i / 2, text);
        const struct thing *guess = dict_guess(d, dict_hash(d, key));
        if (guess == NULL)
            none++; // in an overflow bucket
        else
            right += bytes_equal(thing_key(guess), key);
    }
    cr_expect_lt(none, MANY / 20);
    cr_expect_gt(right, MANY - MANY / 10);
    dict_free(d);
}

static int64_t page_faults(void)
{
    struct rusage used;
    cr_assert_eq(getrusage(RUSAGE_SELF, &used), 0);
    return used.ru_minflt;
}

// To read such a page is to have the system look for another, for longer than a command takes.
Test(value_dict, a_guess_leaves_alone_what_was_given_back)
{
    enum { BITS = 15, MOST = 1 << 20 };
    struct dict *d = dict_new(&borrowed, 10);
    struct thing *things = mem_array(struct thing, MOST);
    char text[16];
    int count = 0;
    while (d->bits[0] < BITS || d->moved < table_size(d, 0) / 4 * 3) {
        cr_assert_lt(count, MOST);
        thing_set(&things[count], count);
        cr_assert(dict_insert(d, &things[count++]));
    }
    int64_t before = page_faults();
    for (int i = 0; i < count; i++)
        dict_guess(d, dict_hash(d, key_of(i, text)));
    cr_expect_lt(page_faults() - before, 20);
    dict_free(d);
    mem_free(things);
}

Test(value_dict, moved_items_are_found_in_their_new_place)
{
    struct dict *d = dict_new(&owned, 8);
    char text[16];
    for (int i = 0; i < 1000; i++)
        cr_assert(dict_insert(d, thing_new(i)));
    for (int i = 0; i < 1000; i++) {
        struct bytes key = key_of(i, text);
        void *old = dict_find(d, key), *moved = thing_new(i);
        dict_move_item(d, dict_hash(d, key), old, moved);
        mem_free(old);
        cr_assert_eq(dict_find(d, key), moved);
    }
    dict_free(d);
}

// However many are announced, a table is at most eight times as large as its items need; and one
// that was announced rightly has its size when an eighth of them is there.
Test(value_dict, grows_towards_what_is_announced)
{
    enum { ANNOUNCED = 64 * 1024, BUCKET_BYTES = 64, ITEMS_PER_BUCKET = 5 };
    struct dict *plain = dict_new(&owned, 9), *told = dict_new(&owned, 9);
    char text[16];
    dict_expect(told, ANNOUNCED);
    cr_expect_eq(dict_table_bytes(told), dict_table_bytes(plain),
                 "nothing is allocated by the claim");
    size_t early = 0;
    for (int i = 0; i < ANNOUNCED; i++) {
        cr_assert(dict_insert(plain, thing_new(i)));
        cr_assert(dict_insert(told, thing_new(i)));
        if (!dict_rehashing(told) && i > 100)
            cr_assert_leq(dict_table_bytes(told), (size_t)(i + ITEMS_PER_BUCKET) * 2 * BUCKET_BYTES,
                          "at item %d", i);
        if (i == ANNOUNCED / 4) early = dict_table_bytes(told);
    }
    cr_expect_geq(early, dict_table_bytes(plain) / 2);
    cr_expect_geq(early * 11 / 10, dict_table_bytes(told), "it does not grow any more");
    for (int i = 0; i < ANNOUNCED; i++)
        cr_assert_not_null(dict_find(told, key_of(i, text)));
    dict_expect(plain, UINT64_MAX);
    for (int i = ANNOUNCED; i < 2 * ANNOUNCED; i++)
        cr_assert(dict_insert(plain, thing_new(i)));
    cr_expect_eq(dict_count(plain), 2 * ANNOUNCED);
    dict_free(plain);
    dict_free(told);
}
