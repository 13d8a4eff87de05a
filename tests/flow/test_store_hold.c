// Holds: who may write when, and who is told.
#include "store_model.h"

#include "store/access.h"
#include "store/expire.h"

struct told {
    struct waiter waiter;
    int count;
};

static void on_ready(struct waiter *w)
{
    ((struct told *)w)->count++;
}

static void told_init(struct told *t)
{
    *t = (struct told){.waiter.ready = on_ready};
    list_init(&t->waiter.link);
}

static enum write_verdict before(struct world *w, int db, const char *key, struct told *t)
{
    return store_before_write(&w->store, db, bytes_from_cstr(key), t ? &t->waiter : NULL);
}

Test(store_hold, a_writer_waits_until_the_last_holder_lets_go)
{
    struct world w;
    world_init(&w, 1, 2);
    struct told t;
    told_init(&t);
    struct entry *e = add(&w, 0, "k", string_made("v"));
    cr_expect_eq(before(&w, 0, "k", &t), WRITE_NOW);
    store_hold(&w.store, 0, e);
    store_hold(&w.store, 0, e);
    cr_expect_eq(before(&w, 0, "other", &t), WRITE_NOW);
    cr_expect_eq(before(&w, 1, "k", &t), WRITE_NOW, "another database");
    cr_expect_eq(before(&w, 0, "k", NULL), WRITE_WAIT);
    cr_expect_eq(before(&w, 0, "k", &t), WRITE_WAIT);
    store_release(&w.store, 0, e);
    sim_run_for(w.sim, 1000);
    cr_expect_eq(t.count, 0, "one still holds it");
    store_release(&w.store, 0, e);
    cr_expect_eq(t.count, 0, "never from inside a release");
    sim_run_for(w.sim, 1000);
    cr_expect_eq(t.count, 1);
    cr_expect_eq(before(&w, 0, "k", &t), WRITE_NOW);
    cr_expect_eq(e->holds, 0);
    world_free(&w);
}

Test(store_hold, a_waiter_may_give_up_before_and_after_the_release)
{
    struct world w;
    world_init(&w, 1, 2);
    struct told a, b, c;
    told_init(&a);
    told_init(&b);
    told_init(&c);
    struct entry *e = add(&w, 0, "k", string_made("v"));
    store_hold(&w.store, 0, e);
    cr_expect_eq(before(&w, 0, "k", &a), WRITE_WAIT);
    cr_expect_eq(before(&w, 0, "k", &b), WRITE_WAIT);
    cr_expect_eq(before(&w, 0, "k", &c), WRITE_WAIT);
    list_remove(&a.waiter.link);
    store_release(&w.store, 0, e);
    list_remove(&b.waiter.link);
    sim_run_for(w.sim, 1000);
    cr_expect_eq(a.count, 0);
    cr_expect_eq(b.count, 0);
    cr_expect_eq(c.count, 1);
    world_free(&w);
}

Test(store_hold, whole_databases_are_waited_for)
{
    struct world w;
    world_init(&w, 1, 3);
    struct told one, all, free_already;
    told_init(&one);
    told_init(&all);
    told_init(&free_already);
    struct entry *a = add(&w, 0, "a", string_made("v")), *b = add(&w, 1, "b", string_made("v"));
    store_hold(&w.store, 0, a);
    store_hold(&w.store, 1, b);
    cr_expect(store_held(&w.store, 0));
    cr_expect(!store_held(&w.store, 2));
    cr_expect(store_held(&w.store, -1));
    store_wait_held(&w.store, 0, &one.waiter);
    store_wait_held(&w.store, -1, &all.waiter);
    store_wait_held(&w.store, 2, &free_already.waiter);
    cr_expect_eq(free_already.count, 0);
    sim_run_for(w.sim, 1000);
    cr_expect_eq(free_already.count, 1);
    store_release(&w.store, 0, a);
    sim_run_for(w.sim, 1000);
    cr_expect_eq(one.count, 1);
    cr_expect_eq(all.count, 0);
    store_release(&w.store, 1, b);
    sim_run_for(w.sim, 1000);
    cr_expect_eq(all.count, 1);
    cr_expect(!store_held(&w.store, -1));
    world_free(&w);
}

Test(store_hold, a_frozen_store_takes_no_write_at_all)
{
    struct world w;
    world_init(&w, 1, 2);
    struct told t, all;
    told_init(&t);
    told_init(&all);
    add(&w, 0, "k", string_made("v"));
    store_freeze(&w.store);
    int db;
    cr_expect_eq(before(&w, 0, "k", &t), WRITE_WAIT);
    cr_expect_eq(before(&w, 0, "not there", NULL), WRITE_WAIT);
    cr_expect(store_held(&w.store, 1));
    cr_expect_null(store_evict_candidate(&w.store, EVICT_LRU, false, 5, &db));
    store_wait_held(&w.store, 1, &all.waiter);
    sim_run_for(w.sim, 1000);
    cr_expect_eq(t.count + all.count, 0);
    store_thaw(&w.store);
    sim_run_for(w.sim, 1000);
    cr_expect_eq(t.count, 1);
    cr_expect_eq(all.count, 1);
    cr_expect_eq(before(&w, 0, "k", &t), WRITE_NOW);
    world_free(&w);
}

struct expired {
    struct world *world;
    int count;
};

static void on_expired(void *arg, int db_index, struct bytes key)
{
    struct expired *x = arg;
    struct db *db = store_db(&x->world->store, db_index);
    struct entry *e = db_find(db, key);
    cr_assert_not_null(e);
    db_delete(&x->world->store, db, e);
    x->count++;
}

// Runs cycles until the whole table was seen twice.
static void expire_all(struct world *w, struct expired *x, int64_t now_ms)
{
    struct budget budget = {.loop = w->loop, .units = 1 << 30};
    for (int round = 0; round < 400; round++)
        store_expire_cycle(&w->store, 0, now_ms, &budget, on_expired, x);
}

Test(store_expire, finds_what_is_over_and_spares_what_is_held)
{
    struct world w;
    world_init(&w, 1, 1);
    struct expired x = {.world = &w};
    struct db *db = store_db(&w.store, 0);
    char key[32];
    for (int i = 0; i < 1000; i++) {
        sprintf(key, "k%d", i);
        struct entry *e = add(&w, 0, key, string_made("v"));
        if (i % 2) db_set_expire(&w.store, db, e, i < 500 ? 1000 : 9000);
    }
    store_hold(&w.store, 0, find(&w, 0, "k1"));
    cr_expect_eq(dict_count(db->expires), 500);
    expire_all(&w, &x, 1000);
    cr_expect_eq(x.count, 0, "the last millisecond still counts");
    expire_all(&w, &x, 1001);
    cr_expect_eq(x.count, 249);
    cr_expect_eq(dict_count(db->keys), 751);
    cr_expect_eq(dict_count(db->expires), 251);
    cr_expect_gt(db->avg_ttl_ms, 7000, "%ld", (long)db->avg_ttl_ms);
    store_release(&w.store, 0, find(&w, 0, "k1"));
    expire_all(&w, &x, 1001);
    cr_expect_eq(x.count, 250);
    world_free(&w);
}

Test(store_expire, rests_when_little_is_over_and_when_the_budget_ends)
{
    struct world w;
    world_init(&w, 1, 1);
    struct expired x = {.world = &w};
    struct db *db = store_db(&w.store, 0);
    char key[32];
    for (int i = 0; i < 5000; i++) {
        sprintf(key, "k%d", i);
        db_set_expire(&w.store, db, add(&w, 0, key, string_made("v")), 1000);
    }
    struct budget large = {.loop = w.loop, .units = 1 << 30};
    cr_expect(!store_expire_cycle(&w.store, 0, 500, &large, on_expired, &x));
    cr_expect_neq(db->expire_cursor, 0, "it stopped on the way");
    struct budget small = {.loop = w.loop, .units = 400};
    cr_expect(store_expire_cycle(&w.store, 0, 2000, &small, on_expired, &x));
    cr_expect_gt(x.count, 0);
    cr_expect_lt(x.count, 1000);
    world_free(&w);
}

Test(store_access, idle_time_and_frequency_pick_the_victim)
{
    struct world w;
    world_init(&w, 7, 2);
    int db = -1;
    cr_expect_null(store_evict_candidate(&w.store, EVICT_LRU, false, 5, &db));
    struct entry *old = add(&w, 1, "old", string_made("v"));
    sim_run_for(w.sim, 100 * 1000000u);
    struct entry *young = add(&w, 1, "young", string_made("v"));
    cr_expect_eq(entry_idle_s(&w.store, old), 100);
    cr_expect_eq(store_evict_candidate(&w.store, EVICT_LRU, false, 5, &db), old);
    cr_expect_eq(db, 1);
    store_hold(&w.store, 1, old);
    cr_expect_eq(store_evict_candidate(&w.store, EVICT_LRU, false, 5, &db), young);
    store_release(&w.store, 1, old);
    entry_touch(&w.store, old);
    cr_expect_eq(entry_idle_s(&w.store, old), 0);
    entry_set_idle_s(&w.store, young, 50);
    cr_expect_eq(store_evict_candidate(&w.store, EVICT_LRU, false, 5, &db), young);
    cr_expect_null(store_evict_candidate(&w.store, EVICT_TTL, true, 5, &db));
    db_set_expire(&w.store, store_db(&w.store, 1), old, 5);
    cr_expect_eq(store_evict_candidate(&w.store, EVICT_TTL, true, 5, &db), old);

    w.store.lfu = true;
    entry_set_freq(&w.store, old, 20);
    entry_set_freq(&w.store, young, 10);
    cr_expect_eq(store_evict_candidate(&w.store, EVICT_LFU, false, 5, &db), young);
    for (int i = 0; i < 100000; i++)
        entry_touch(&w.store, young);
    cr_expect_gt(entry_freq(&w.store, young), 60);
    cr_expect_lt(entry_freq(&w.store, young), 200);
    sim_run_for(w.sim, 5 * 60 * 1000000u);
    cr_expect_eq(entry_freq(&w.store, old), 15, "one less a minute");
    world_free(&w);
}

Test(store_db, entries_come_and_go_with_their_expiry)
{
    struct world w;
    world_init(&w, 3, 2);
    struct db *db = store_db(&w.store, 0);
    struct entry *e = add(&w, 0, "k", value_made(&w, MADE_LIST, 5000, 1));
    db_set_expire(&w.store, db, e, 77);
    cr_expect(entry_expired(e, 78));
    cr_expect(!entry_expired(e, 77));
    cr_expect_eq(dict_count(db->expires), 1);
    struct value small = string_made("x");
    db_replace_value(&w.store, db, e, &small);
    cr_expect_eq(w.store.lazyfree_pending, 1, "five thousand elements go in slices");
    struct value taken = db_take_value(&w.store, db, e);
    cr_expect_eq(value_length(&taken), 1);
    cr_expect_eq(dict_count(db->expires), 0);
    cr_expect_null(find(&w, 0, "k"));
    value_free(&taken);
    sim_run_for(w.sim, 1000000);
    cr_expect_eq(w.store.lazyfree_pending, 0);
    cr_expect_eq(w.store.lazyfreed, 1);
    for (int i = 0; i < 3; i++)
        add(&w, 0, (const char *[]){"a", "b", "c"}[i], value_made(&w, MADE_HASH, 1000 * i, 1));
    add(&w, 1, "d", string_made("v"));
    store_swap_dbs(&w.store, 0, 1);
    cr_expect_not_null(find(&w, 0, "d"));
    store_flush(&w.store, 1);
    cr_expect_null(find(&w, 1, "a"));
    cr_expect_eq(w.store.lazyfree_pending, 3);
    cr_expect_not_null(find(&w, 0, "d"));
    sim_run_for(w.sim, 1000000);
    cr_expect_eq(w.store.lazyfree_pending, 0);
    add(&w, 0, "at teardown", value_made(&w, MADE_SET, 5000, 1));
    store_flush(&w.store, -1);
    world_free(&w); // with the flushed tables half freed
}
