// The dataset as a file: whole or not at all, whatever the disk does.
#include "store_model.h"

#include "node/persist_file.h"

#include <errno.h>
#include <unistd.h>

static const char dump[] = "/data/dump.rdb";

struct saving {
    int done;
    struct error error;
};

static void on_saved(void *owner, const struct error *error)
{
    struct saving *s = owner;
    s->done++;
    s->error = *error;
}

static bool saved(void *arg)
{
    return ((struct saving *)arg)->done > 0;
}

enum { SYNC_EVERY_BYTES = 256 * 1024 };

static struct save_file *save_begin(struct world *w, struct saving *s)
{
    struct save_file_options options = {
        .dir = "/data", .name = "dump.rdb", .sync_every_bytes = SYNC_EVERY_BYTES};
    struct error error = ERROR_OK;
    *s = (struct saving){0};
    struct save_file *f = save_file_start(&w->store, &options, on_saved, s, &error);
    cr_assert_not_null(f, "%s", error.text);
    return f;
}

static struct error save(struct world *w)
{
    struct saving s;
    save_begin(w, &s);
    cr_assert(sim_run_while_not(w->sim, saved, &s, 60000000));
    return s.error;
}

struct reading {
    int done;
    bool missing;
    uint64_t bytes;
    struct error error;
    struct loader_stats stats;
};

static void on_began(void *owner, struct loader *l, uint64_t bytes)
{
    (void)l;
    ((struct reading *)owner)->bytes = bytes;
}

static void on_read(void *owner, bool missing, const struct error *error,
                    const struct loader_stats *stats)
{
    struct reading *r = owner;
    r->done++;
    r->missing = missing;
    r->error = *error;
    r->stats = *stats;
}

static const struct load_file_events reading_events = {on_began, on_read};
static const struct loader_options strict = {.checksum = true};

static bool read_over(void *arg)
{
    return ((struct reading *)arg)->done > 0;
}

// Loads the dump into a keyspace of its own and returns that as text.
static struct str *read_back(struct world *w, struct reading *r)
{
    struct keyspace *k = keyspace_new(w->store.live->count, w->store.hash_seed);
    *r = (struct reading){0};
    load_file_start(&w->store, k, dump, &strict, &reading_events, r);
    cr_assert(sim_run_while_not(w->sim, read_over, r, 60000000));
    struct str *text = keyspace_text(k);
    keyspace_discard(&w->store, k);
    return text;
}

// Bytes that the temporary file holds; 0: there is none.
static size_t temp_bytes(struct world *w)
{
    char name[64];
    struct bytes data;
    sprintf(name, "/data/temp-%d.rdb", (int)getpid());
    return sim_file_get(w->node, name, &data) ? data.len : 0;
}

static bool temp_left(struct world *w)
{
    return temp_bytes(w) > 0;
}

static void fill(struct world *w, uint64_t salt)
{
    char key[16];
    for (int i = 0; i < 200; i++) {
        sprintf(key, "k%d", i);
        add(w, i % 2, key, value_made(w, (enum made)(i % MADE_KINDS), 10 + i, salt));
    }
    add(w, 1, "large", value_made(w, MADE_STRING, 1500000, salt));
}

// A world with a dump of an older state in place; *old and *now are the two as text.
static void world_with_dump(struct world *w, struct str **old, struct str **now)
{
    world_init(w, 11, 2);
    fill(w, 1);
    *old = keyspace_text(w->store.live);
    struct error error = save(w);
    cr_assert_eq(error.class, ERROR_NONE, "%s", error.text);
    store_flush(&w->store, -1);
    fill(w, 2);
    *now = keyspace_text(w->store.live);
}

Test(persist_file, what_was_saved_is_loaded)
{
    struct world w;
    struct str *old, *now;
    struct reading r;
    world_with_dump(&w, &old, &now);
    struct str *back = read_back(&w, &r);
    expect_same_text(back, old, "the first save", 0);
    str_free(back);
    cr_expect_eq(r.bytes, r.stats.bytes);
    cr_expect_eq(r.stats.keys_loaded, 201);
    struct error error = save(&w);
    cr_expect_eq(error.class, ERROR_NONE);
    back = read_back(&w, &r);
    expect_same_text(back, now, "the second", 0);
    cr_expect(!temp_left(&w));
    str_free(back);
    str_free(old);
    str_free(now);
    world_free(&w);
}

Test(persist_file, a_disk_that_fails_leaves_the_old_file_and_no_other)
{
    static const struct {
        enum file_op op;
        int error;
        const char *says;
        bool renamed;
    } faults[] = {
        {FILE_OPEN, EACCES, "Failed opening", false},
        {FILE_WRITE, ENOSPC, "Write error saving DB on disk", false},
        {FILE_SYNC, EIO, "syncing", false},
        {FILE_CLOSE, EIO, "closing", false},
        {FILE_RENAME, EISDIR, "Error moving temp DB file", false},
        {FILE_SYNC_DIR, EIO, "syncing the folder", true},
    };
    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
        struct world w;
        struct str *old, *now;
        struct reading r;
        world_with_dump(&w, &old, &now);
        sim_file_fail(w.node, faults[i].op, "/data", faults[i].error, 1);
        struct error error = save(&w);
        cr_expect_eq(error.class, ERROR_IO, "fault %zu", i);
        cr_expect(strstr(error.text, faults[i].says), "'%s' in '%s'", faults[i].says, error.text);
        cr_expect_null(w.store.snapshot);
        cr_expect(!temp_left(&w), "fault %zu", i);
        struct str *back = read_back(&w, &r);
        expect_same_text(back, faults[i].renamed ? now : old, "after a fault", i);
        error = save(&w);
        cr_expect_eq(error.class, ERROR_NONE, "and the next one works");
        str_free(back);
        str_free(old);
        str_free(now);
        world_free(&w);
    }
}

Test(persist_file, parts_are_synced_on_the_way)
{
    struct world w;
    struct str *old, *now;
    struct saving s;
    world_with_dump(&w, &old, &now);
    struct save_file *f = save_begin(&w, &s);
    while (temp_bytes(&w) <= 4 * SYNC_EVERY_BYTES && !s.done)
        sim_run_for(w.sim, 100);
    cr_assert(!s.done);
    sim_crash(w.node, true);
    save_file_abandon(f);
    sim_run_for(w.sim, 1000000);
    sim_restart(w.node);
    cr_expect_geq(temp_bytes(&w), 2 * SYNC_EVERY_BYTES, "without power the parts are still there");
    str_free(old);
    str_free(now);
    world_free(&w);
}

Test(persist_file, losing_power_at_any_instant_leaves_a_whole_file, .timeout = 120)
{
    int olds = 0, news = 0;
    for (uint64_t at_us = 0; at_us < 40000; at_us += 1000) {
        struct world w;
        struct str *old, *now;
        struct saving s;
        struct reading r;
        world_with_dump(&w, &old, &now);
        struct save_file *f = save_begin(&w, &s);
        sim_run_for(w.sim, at_us);
        sim_crash(w.node, true);
        if (!s.done) save_file_abandon(f);
        sim_run_for(w.sim, 1000000);
        sim_restart(w.node);
        struct str *back = read_back(&w, &r);
        cr_expect_eq(r.error.class, ERROR_NONE, "at %lu: %s", (unsigned long)at_us, r.error.text);
        bool is_old = bytes_equal(str_view(back), str_view(old));
        bool is_new = bytes_equal(str_view(back), str_view(now));
        cr_expect(is_old || is_new, "at %lu", (unsigned long)at_us);
        cr_expect(is_new || !s.done, "what was said to be saved is");
        olds += is_old;
        news += is_new;
        str_free(back);
        str_free(old);
        str_free(now);
        world_free(&w);
    }
    cr_expect_gt(olds, 5);
    cr_expect_gt(news, 5);
}

Test(persist_file, a_flush_or_the_owner_ends_it)
{
    struct world w;
    struct str *old, *now;
    struct saving s;
    struct reading r;
    world_with_dump(&w, &old, &now);
    save_begin(&w, &s);
    sim_run_for(w.sim, 2000);
    cr_expect(temp_left(&w));
    store_flush(&w.store, -1);
    cr_assert(sim_run_while_not(w.sim, saved, &s, 60000000));
    cr_expect_eq(s.error.class, ERROR_CANCELLED);
    cr_expect(!temp_left(&w));

    fill(&w, 3);
    struct save_file *f = save_begin(&w, &s);
    sim_run_for(w.sim, 2000);
    save_file_cancel(f);
    cr_expect_eq(s.done, 0, "not from inside the call");
    cr_expect_null(w.store.snapshot);
    cr_assert(sim_run_while_not(w.sim, saved, &s, 60000000));
    cr_expect_eq(s.error.class, ERROR_CANCELLED);
    cr_expect(!temp_left(&w));
    struct str *back = read_back(&w, &r);
    expect_same_text(back, old, "after both", 0);
    str_free(back);
    str_free(old);
    str_free(now);
    world_free(&w);
}

Test(persist_file, the_store_may_go_in_the_middle)
{
    struct world w;
    struct saving s;
    struct reading r = {0};
    world_init(&w, 12, 2);
    fill(&w, 1);
    cr_assert_eq(save(&w).class, ERROR_NONE);
    struct save_file *f = save_begin(&w, &s);
    struct keyspace *k = keyspace_new(2, w.store.hash_seed);
    struct load_file *l = load_file_start(&w.store, k, dump, &strict, &reading_events, &r);
    sim_run_for(w.sim, 1500);
    save_file_abandon(f);
    load_file_cancel(l);
    keyspace_discard(&w.store, k);
    store_free(&w.store);
    sim_run_for(w.sim, 1000000);
    cr_expect_eq(s.done, 0);
    cr_expect_eq(r.done, 0);
    cr_expect(!temp_left(&w));
    sim_free(w.sim);
}

Test(persist_file, a_slow_disk_bounds_what_waits)
{
    struct world w;
    struct saving s;
    world_init(&w, 13, 2);
    for (int i = 0; i < 100; i++) {
        char key[16];
        sprintf(key, "k%d", i);
        add(&w, 0, key, value_made(&w, MADE_STRING, 60000, (uint64_t)i));
    }
    sim_set_disk(w.node, 100000, 100000);
    save_begin(&w, &s);
    sim_run_for(w.sim, 250000);
    struct snapshot_progress p;
    cr_assert(snapshot_progress(&w.store, &p));
    cr_expect_leq(p.bytes, SAVE_WINDOW_BYTES + 4 * 65536);
    cr_expect_geq(p.bytes, SAVE_WINDOW_BYTES);
    sim_set_disk(w.node, 100, 1000);
    cr_assert(sim_run_while_not(w.sim, saved, &s, 60000000));
    cr_expect_eq(s.error.class, ERROR_NONE);
    world_free(&w);
}

Test(persist_file, what_cannot_be_read_is_said)
{
    struct world w;
    struct reading r;
    world_init(&w, 14, 2);
    str_free(read_back(&w, &r));
    cr_expect(r.missing);
    fill(&w, 1);
    cr_assert_eq(save(&w).class, ERROR_NONE);
    struct bytes whole;
    cr_assert(sim_file_get(w.node, dump, &whole));
    struct str *copy = str_from(whole);

    sim_file_put(w.node, dump, bytes_of(copy->data, copy->len - 10));
    str_free(read_back(&w, &r));
    cr_expect(!r.missing);
    cr_expect_eq(r.error.class, ERROR_CORRUPT);
    cr_expect(strstr(r.error.text, "Unexpected EOF"), "%s", r.error.text);

    copy->data[copy->len - 300000] ^= 1;
    sim_file_put(w.node, dump, str_view(copy));
    str_free(read_back(&w, &r));
    cr_expect_eq(r.error.class, ERROR_CORRUPT, "%s", r.error.text);

    sim_file_fail(w.node, FILE_READ, "dump", EIO, 1);
    str_free(read_back(&w, &r));
    cr_expect_eq(r.error.class, ERROR_IO);
    cr_expect(strstr(r.error.text, "read"), "%s", r.error.text);
    str_free(copy);
    world_free(&w);
}
