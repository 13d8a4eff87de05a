// Snapshots: what a sink gets is the keyspace at the cut, whatever is written, flushed, swapped,
// held or replaced while the walk is under way.
#include "store_model.h"

enum { DBS = 4, KEYS = 300 };

// ---- a sink that keeps everything -----------------------------------------------------------

struct keeper {
    struct snapshot_sink sink;
    struct buf got;
    int64_t window; // bytes it takes before it is emptied; INT64_MAX: everything
    size_t unread;  // of the window
    bool ended;
    struct error why;
};

static void keep_data(struct snapshot_sink *sink, struct chunk *chunk, uint32_t start, uint32_t len)
{
    struct keeper *k = (struct keeper *)sink;
    cr_assert_leq(start + len, chunk->len);
    buf_append(&k->got, chunk->data + start, len);
    k->unread += len;
}

static int64_t keep_room(struct snapshot_sink *sink)
{
    const struct keeper *k = (struct keeper *)sink;
    return k->window - (int64_t)k->unread;
}

static void keep_end(struct snapshot_sink *sink, const struct error *error)
{
    struct keeper *k = (struct keeper *)sink;
    cr_expect(!k->ended, "ended once");
    k->ended = true;
    k->why = *error;
}

static void keeper_init(struct keeper *k, int64_t window, bool ends_on_flush)
{
    *k = (struct keeper){.sink = {.data = keep_data,
                                  .room = keep_room,
                                  .end = keep_end,
                                  .ends_on_flush = ends_on_flush},
                         .window = window};
    list_init(&k->sink.link);
}

static bool keeper_ended(void *arg)
{
    return ((struct keeper *)arg)->ended;
}

static void start(struct world *w, bool compress, struct keeper **keepers, int count)
{
    struct snapshot_sink *sinks[4];
    for (int i = 0; i < count; i++)
        sinks[i] = &keepers[i]->sink;
    struct rdb_options options = {.compress = compress};
    struct snapshot_aux aux = {"redis-ver", "7.0.15"};
    struct error error = ERROR_OK;
    cr_assert(snapshot_start(&w->store, &options, &aux, 1, sinks, count, &error));
}

// Decodes what a keeper got, and compares.
static void expect_cut(struct world *w, struct keeper *k, const struct str *cut, uint64_t seed)
{
    cr_expect_eq(k->why.class, ERROR_NONE, "seed %lu: %s", (unsigned long)seed, k->why.text);
    struct keyspace *fresh = keyspace_new(DBS, w->store.hash_seed);
    struct loader_options options = {.checksum = true, .sanitize = true};
    struct error error = load_all(w, fresh, buf_view(&k->got), 70000, &options, NULL);
    cr_expect_eq(error.class, ERROR_NONE, "seed %lu: %s", (unsigned long)seed, error.text);
    struct str *text = keyspace_text(fresh);
    expect_same_text(text, cut, "snapshot", seed);
    str_free(text);
    keyspace_discard(&w->store, fresh);
}

// ---- the model: random work while it is taken -----------------------------------------------

struct random_write {
    struct waiter waiter;
    struct model *model;
    int db, what;
    char key[16];
};

struct model {
    struct world w;
    uint64_t salt, seed;
    int waiting, waited;
    bool flushed;
    struct entry *held; // by a machine
    int held_db;
    struct str *held_text;
    struct keyspace *aside; // made before the cut, to be adopted after it
};

static struct value random_value(struct model *m)
{
    struct rng *r = &m->w.rng;
    enum made kind = (enum made)rng_below(r, MADE_KINDS);
    bool large = rng_below(r, 6) == 0;
    int count = 1 + (int)rng_below(r, large ? 1500 : 20) + (large ? 64 : 0);
    if (kind == MADE_STRING)
        count = (int)(large                  ? 70000 + rng_below(r, 100000)
                      : rng_below(r, 8) == 0 ? rng_below(r, 60000)
                                             : rng_below(r, 60));
    return value_made(&m->w, kind, count, ++m->salt);
}

static void populate(struct model *m)
{
    char key[16];
    for (int i = 0; i < KEYS; i++) {
        int db = (int)rng_below(&m->w.rng, DBS - 1); // one stays empty
        sprintf(key, "k%d", i % (KEYS / 2));
        if (find(&m->w, db, key)) continue;
        struct entry *e = add(&m->w, db, key, random_value(m));
        if (rng_below(&m->w.rng, 4) == 0)
            db_set_expire(&m->w.store, store_db(&m->w.store, db), e, 9000000000000 + i);
    }
}

// As old as the cut that follows, and not of it.
static void fill_aside(struct model *m)
{
    char key[16];
    m->aside = keyspace_new(DBS, m->w.store.hash_seed);
    for (int i = 0; i < KEYS / 2; i++) {
        struct value v = random_value(m);
        sprintf(key, "k%d", i);
        db_add(&m->w.store, &m->aside->dbs[i % DBS], bytes_from_cstr(key), &v);
    }
}

static void mutate(struct model *m, const struct random_write *x)
{
    struct store *s = &m->w.store;
    struct db *db = store_db(s, x->db);
    struct bytes key = bytes_from_cstr(x->key);
    struct entry *e = db_find(db, key);
    struct value v;
    if (e == NULL) {
        v = random_value(m);
        db_add(s, db, key, &v);
        return;
    }
    switch (x->what) {
    case 0:
        v = random_value(m);
        db_replace_value(s, db, e, &v);
        break;
    case 1:
        db_delete(s, db, e);
        break;
    case 2:
        db_set_expire(s, db, e, e->expire_ms < 0 ? 9100000000000 : ENTRY_NO_EXPIRE);
        break;
    case 3:
        v = db_take_value(s, db, e);
        db_add(s, db, key, &v);
        break;
    default:
        value_grow(&m->w, &e->value, ++m->salt);
    }
}

static void try_write(struct random_write *x)
{
    struct model *m = x->model;
    if (store_before_write(&m->w.store, x->db, bytes_from_cstr(x->key), &x->waiter) == WRITE_WAIT) {
        m->waited++;
        return;
    }
    mutate(m, x);
    m->waiting--;
    mem_free(x);
}

static void write_ready(struct waiter *w)
{
    try_write((struct random_write *)w);
}

static void random_write(struct model *m)
{
    struct random_write *x = mem_new(struct random_write);
    x->model = m;
    x->waiter.ready = write_ready;
    list_init(&x->waiter.link);
    x->db = (int)rng_below(&m->w.rng, DBS);
    x->what = (int)rng_below(&m->w.rng, 8);
    sprintf(x->key, "k%d", (int)rng_below(&m->w.rng, KEYS / 2 + 20));
    m->waiting++;
    try_write(x);
}

static void random_hold(struct model *m)
{
    struct store *s = &m->w.store;
    if (m->held != NULL) {
        struct str *text = entry_text(0, m->held);
        expect_same_text(text, m->held_text, "a held entry", m->seed);
        str_free(text);
        str_free(m->held_text);
        store_release(s, m->held_db, m->held);
        m->held = NULL;
        return;
    }
    m->held_db = (int)rng_below(&m->w.rng, DBS);
    m->held = db_random(s, store_db(s, m->held_db));
    if (m->held == NULL) return;
    store_hold(s, m->held_db, m->held);
    m->held_text = entry_text(0, m->held);
}

static void random_upheaval(struct model *m)
{
    struct store *s = &m->w.store;
    int which = (int)rng_below(&m->w.rng, 4), a = (int)rng_below(&m->w.rng, DBS);
    if (store_held(s, -1)) return;
    if (which == 0) {
        store_flush(s, a);
    } else if (which == 1 && rng_below(&m->w.rng, 4) == 0) {
        store_flush(s, -1);
        m->flushed |= s->snapshot != NULL;
    } else if (which == 2) {
        store_swap_dbs(s, a, (int)rng_below(&m->w.rng, DBS));
    } else if (which == 3 && m->aside != NULL && rng_below(&m->w.rng, 4) == 0) {
        m->flushed |= s->snapshot != NULL;
        store_adopt(s, m->aside);
        m->aside = NULL;
    }
}

static int run_model(uint64_t seed)
{
    struct model m = {.seed = seed};
    world_init(&m.w, seed, DBS);
    struct rng *r = &m.w.rng;
    sim_set_slice(m.w.node, 200 + (uint32_t)rng_below(r, 8000));
    populate(&m);
    for (int round = 0; round < 3; round++) {
        struct keeper replica, file;
        keeper_init(&replica, 1 + (int64_t)rng_below(r, 60000), false);
        keeper_init(&file, 1 + (int64_t)rng_below(r, 60000), true);
        m.flushed = false;
        if (m.aside == NULL) fill_aside(&m);
        struct str *cut = keyspace_text(m.w.store.live);
        start(&m.w, true, (struct keeper *[]){&replica, &file}, 2);
        for (int i = 0; i < 20000 && !(replica.ended && file.ended); i++) {
            uint64_t dice = rng_below(r, 100);
            if (dice < 70)
                random_write(&m);
            else if (dice < 73)
                random_hold(&m);
            else if (dice == 73 && rng_below(r, 6) == 0)
                random_upheaval(&m);
            else if (dice < 78) {
                replica.unread = file.unread = 0;
                snapshot_kick(&m.w.store);
            } else
                sim_step(m.w.sim);
        }
        replica.window = file.window = INT64_MAX;
        snapshot_kick(&m.w.store);
        cr_expect(sim_run_while_not(m.w.sim, keeper_ended, &replica, 60000000), "seed %lu",
                  (unsigned long)seed);
        sim_run_for(m.w.sim, 1000);
        expect_cut(&m.w, &replica, cut, seed);
        cr_expect(file.ended, "seed %lu", (unsigned long)seed);
        if (!m.flushed)
            expect_cut(&m.w, &file, cut, seed);
        else if (file.why.class != ERROR_NONE)
            cr_expect_eq(file.why.class, ERROR_CANCELLED);
        str_free(cut);
        buf_free(&replica.got);
        buf_free(&file.got);
    }
    if (m.held) random_hold(&m);
    if (m.aside) keyspace_discard(&m.w.store, m.aside);
    sim_run_for(m.w.sim, 5000000);
    cr_expect_eq(m.waiting, 0, "seed %lu: every write went through in the end",
                 (unsigned long)seed);
    cr_expect_eq(m.w.store.lazyfree_pending, 0);
    world_free(&m.w);
    return m.waited;
}

Test(store_snapshot, what_sinks_get_is_the_keyspace_at_the_cut, .timeout = 300)
{
    int waited = 0;
    for (uint64_t seed = 1; seed <= 10; seed++)
        waited += run_model(seed);
    cr_expect_gt(waited, 100, "writes did meet large values and holds: %d", waited);
}

// ---- single promises ------------------------------------------------------------------------

struct told {
    struct waiter waiter;
    int count;
    uint64_t at_us;
    struct world *world;
};

static void on_ready(struct waiter *w)
{
    struct told *t = (struct told *)w;
    t->count++;
    t->at_us = sim_now_us(t->world->sim);
}

Test(store_snapshot, nothing_is_produced_without_room_and_kicking_goes_on)
{
    struct world w;
    world_init(&w, 5, DBS);
    char key[16];
    for (int i = 0; i < 5000; i++) {
        sprintf(key, "k%d", i);
        add(&w, 0, key, value_made(&w, MADE_STRING, 100, (uint64_t)i));
    }
    struct str *cut = keyspace_text(w.store.live);
    struct keeper k;
    keeper_init(&k, 100000, false);
    start(&w, false, (struct keeper *[]){&k}, 1);
    sim_run_for(w.sim, 10000000);
    cr_expect_geq(buf_len(&k.got), 100000);
    cr_expect_leq(buf_len(&k.got), 100000 + 65536);
    struct snapshot_progress p;
    cr_expect(snapshot_progress(&w.store, &p));
    cr_expect_eq(p.keys_total, 5000);
    cr_expect_lt(p.keys_done, 5000);
    struct error error = ERROR_OK;
    struct snapshot_sink *again[] = {&k.sink};
    struct rdb_options options = {0};
    cr_expect(!snapshot_start(&w.store, &options, NULL, 0, again, 1, &error), "one at a time");
    k.window = INT64_MAX;
    snapshot_kick(&w.store);
    sim_run_for(w.sim, 10000000);
    cr_expect(k.ended);
    cr_expect(!snapshot_progress(&w.store, &p));
    expect_cut(&w, &k, cut, 5);
    str_free(cut);
    buf_free(&k.got);
    world_free(&w);
}

Test(store_snapshot, a_write_to_a_large_value_waits_for_its_encoding_alone)
{
    struct world w;
    world_init(&w, 6, DBS);
    char key[16];
    for (int i = 0; i < 2000; i++) {
        sprintf(key, "k%d", i);
        add(&w, 0, key, value_made(&w, MADE_STRING, 1000, (uint64_t)i));
    }
    add(&w, 1, "large", value_made(&w, MADE_HASH, 20000, 1));
    add(&w, 2, "huge", value_made(&w, MADE_STRING, 5000000, 1));
    struct keeper k;
    keeper_init(&k, 1000, false); // a sink that takes nothing more
    struct str *cut = keyspace_text(w.store.live);
    start(&w, false, (struct keeper *[]){&k}, 1);
    sim_run_for(w.sim, 100000);
    struct told t = {.waiter.ready = on_ready, .world = &w};
    list_init(&t.waiter.link);
    uint64_t began = sim_now_us(w.sim);
    cr_expect_eq(store_before_write(&w.store, 1, BYTES("large"), &t.waiter), WRITE_WAIT);
    cr_expect(!store_held(&w.store, 1), "the snapshot's hold is not a machine's");
    sim_run_for(w.sim, 2000000);
    cr_expect_eq(t.count, 1);
    cr_expect_lt(t.at_us - began, 20000);
    cr_expect_lt(buf_len(&k.got), 1500000, "only the large value came, not the rest");
    cr_expect_eq(store_before_write(&w.store, 1, BYTES("large"), &t.waiter), WRITE_NOW);
    hash_set(&find(&w, 1, "large")->value, BYTES("new"), BYTES("field"), &w.limits);
    // A small one is emitted on the spot, windows or not.
    struct snapshot_progress before, after;
    cr_expect(snapshot_progress(&w.store, &before));
    for (int i = 1000; i < 2000; i++) {
        sprintf(key, "k%d", i);
        cr_expect_eq(store_before_write(&w.store, 0, bytes_from_cstr(key), &t.waiter), WRITE_NOW);
        db_delete(&w.store, store_db(&w.store, 0), find(&w, 0, key));
    }
    cr_expect(snapshot_progress(&w.store, &after));
    cr_expect_gt(after.keys_done, before.keys_done + 900);
    k.window = INT64_MAX;
    snapshot_kick(&w.store);
    sim_run_for(w.sim, 10000000);
    expect_cut(&w, &k, cut, 6);
    str_free(cut);
    buf_free(&k.got);
    world_free(&w);
}

// Without the bound, a client that waits for one large value after the other would have the whole
// snapshot in memory; without the second, one sink that stands still would keep it waiting.
Test(store_snapshot, a_write_that_waits_is_served_so_far_ahead_of_the_sinks)
{
    enum { HUGE_BYTES = 20 << 20, AHEAD_BYTES = (16 << 20) + (128 << 10) };
    struct world w;
    world_init(&w, 9, DBS);
    add(&w, 0, "huge", value_made(&w, MADE_STRING, HUGE_BYTES, 1));
    struct keeper k;
    keeper_init(&k, 1000, false);
    start(&w, false, (struct keeper *[]){&k}, 1);
    struct told t = {.waiter.ready = on_ready, .world = &w};
    list_init(&t.waiter.link);
    cr_expect_eq(store_before_write(&w.store, 0, BYTES("huge"), &t.waiter), WRITE_WAIT);
    sim_run_for(w.sim, 600000);
    for (int i = 0; i < 20; i++) {
        size_t before = buf_len(&k.got);
        cr_expect_gt(k.unread, AHEAD_BYTES - (256 << 10), "as far as it may");
        cr_expect_lt(k.unread, AHEAD_BYTES, "and no further");
        k.unread -= 100000; // now and then it takes a little
        snapshot_kick(&w.store);
        sim_run_for(w.sim, 900000);
        cr_expect_geq(buf_len(&k.got), before + 100000 - (64 << 10));
    }
    cr_expect_eq(t.count, 0);
    sim_run_for(w.sim, 200000); // more than a second since it took something
    sim_run_for(w.sim, 2000000);
    cr_expect_eq(t.count, 1, "it stands still, and nobody waits for it");
    cr_expect_gt(buf_len(&k.got), HUGE_BYTES);
    k.window = INT64_MAX;
    snapshot_kick(&w.store);
    sim_run_for(w.sim, 1000000);
    cr_expect(k.ended);
    buf_free(&k.got);
    world_free(&w);
}

Test(store_snapshot, sinks_leave_and_cancelling_tells_those_who_stay)
{
    struct world w;
    world_init(&w, 8, DBS);
    add(&w, 0, "large", value_made(&w, MADE_LIST, 50000, 1));
    add(&w, 0, "small", string_made("v"));
    struct keeper a, b;
    keeper_init(&a, 1, false);
    keeper_init(&b, 1, false);
    start(&w, false, (struct keeper *[]){&a, &b}, 2);
    sim_run_for(w.sim, 1000);
    struct told t = {.waiter.ready = on_ready, .world = &w};
    list_init(&t.waiter.link);
    cr_expect_eq(store_before_write(&w.store, 0, BYTES("large"), &t.waiter), WRITE_WAIT);
    snapshot_drop_sink(&w.store, &a.sink);
    cr_expect_not_null(w.store.snapshot);
    struct error why;
    error_set(&why, ERROR_CANCELLED, "for the test");
    snapshot_cancel(&w.store, &why);
    cr_expect_null(w.store.snapshot);
    cr_expect(!b.ended, "not from inside the call");
    sim_run_for(w.sim, 1000);
    cr_expect(!a.ended);
    cr_expect(b.ended);
    cr_expect_eq(b.why.class, ERROR_CANCELLED);
    cr_expect_eq(t.count, 1, "whoever waited may go on");
    cr_expect_eq(find(&w, 0, "large")->holds, 0);
    // And the last one that leaves ends it.
    buf_free(&a.got);
    keeper_init(&a, 1, false);
    start(&w, false, (struct keeper *[]){&a}, 1);
    sim_run_for(w.sim, 1000);
    snapshot_drop_sink(&w.store, &a.sink);
    cr_expect_null(w.store.snapshot);
    buf_free(&a.got);
    buf_free(&b.got);
    world_free(&w);
}

Test(store_snapshot, the_key_delay_rests_by_deadline)
{
    struct world w;
    world_init(&w, 9, DBS);
    char key[16];
    for (int i = 0; i < 100; i++) {
        sprintf(key, "k%d", i);
        add(&w, 0, key, string_made("v"));
    }
    snapshot_set_key_delay(&w.store, 10000);
    struct keeper k;
    keeper_init(&k, INT64_MAX, false);
    uint64_t began = sim_now_us(w.sim);
    start(&w, false, (struct keeper *[]){&k}, 1);
    cr_assert(sim_run_while_not(w.sim, keeper_ended, &k, 10000000));
    cr_expect_geq(sim_now_us(w.sim) - began, 1000000);
    cr_expect_leq(sim_now_us(w.sim) - began, 1010000);
    buf_free(&k.got);

    keeper_init(&k, INT64_MAX, false);
    snapshot_set_key_delay(&w.store, 100000000);
    start(&w, false, (struct keeper *[]){&k}, 1);
    sim_run_for(w.sim, 1000000);
    cr_expect(!k.ended);
    snapshot_set_key_delay(&w.store, 0);
    sim_run_for(w.sim, 10000);
    cr_expect(k.ended);
    buf_free(&k.got);
    world_free(&w);
}

Test(store_snapshot, teardown_in_the_middle_leaves_nothing)
{
    struct world w;
    world_init(&w, 10, DBS);
    add(&w, 0, "large", value_made(&w, MADE_ZSET, 50000, 1));
    add(&w, 1, "small", string_made("v"));
    struct keeper k;
    keeper_init(&k, 1, false);
    start(&w, false, (struct keeper *[]){&k}, 1);
    sim_run_for(w.sim, 1000);
    struct told t = {.waiter.ready = on_ready, .world = &w};
    list_init(&t.waiter.link);
    cr_expect_eq(store_before_write(&w.store, 0, BYTES("large"), &t.waiter), WRITE_WAIT);
    store_flush(&w.store, 0);
    world_free(&w);
    cr_expect(!k.ended);
    cr_expect(list_empty(&k.sink.link));
    buf_free(&k.got);
}
