// Loading: what is refused, what is skipped, and how it ends.
#include "store_model.h"

#include "rdb/encode.h"

static void put_key(struct buf *out, const char *key, const char *value, int64_t expire_ms)
{
    rdb_put_entry_head(out, expire_ms, -1, -1, RDB_STRING, bytes_from_cstr(key));
    rdb_put_string(out, bytes_from_cstr(value), false);
}

static void put_end(struct buf *out)
{
    struct bytes all = buf_view(out);
    rdb_put_eof(out, crc64(0, all.data, all.len), true);
}

static const struct loader_options strict = {.checksum = true};

static struct error load(struct world *w, struct buf *rdb, const struct loader_options *options,
                         struct loader_stats *stats)
{
    return load_all(w, w->store.live, buf_view(rdb), 7, options, stats);
}

static const char history[41] = "0123456789abcdef0123456789abcdef01234567";

// Three keys in database 3: one stays for ever, one has expired, one will.
static void expiring_rdb(struct buf *rdb, bool with_history)
{
    rdb_put_header(rdb, RDB_VERSION);
    if (with_history) {
        rdb_put_aux(rdb, "repl-stream-db", BYTES("3"));
        rdb_put_aux(rdb, "repl-id", bytes_from_cstr(history));
        rdb_put_aux(rdb, "repl-offset", BYTES("12345678901"));
    }
    rdb_put_aux(rdb, "of-somebody-else", BYTES("x"));
    rdb_put_select_db(rdb, 3);
    rdb_put_resize_db(rdb, 1000000000000, 1000000000000); // a claim, not an order
    put_key(rdb, "a", "1", -1);
    put_key(rdb, "old", "2", 5);
    put_key(rdb, "young", "3", 90000000000000);
    put_end(rdb);
}

Test(store_loader, aux_fields_expiry_and_databases)
{
    struct world w;
    world_init(&w, 1, 4);
    struct buf rdb = BUF_EMPTY;
    expiring_rdb(&rdb, false);
    buf_append_cstr(&rdb, "behind");
    struct loader_options options = {.checksum = true, .skip_expired = true};
    struct loader_stats stats;
    struct error error = load(&w, &rdb, &options, &stats);
    cr_expect_eq(error.class, ERROR_NONE, "%s", error.text);
    cr_expect_eq(stats.keys_loaded, 2);
    cr_expect_eq(stats.keys_expired, 1);
    cr_expect_str_eq(stats.repl_id, "");
    cr_expect_eq(stats.bytes, buf_len(&rdb) - 6);
    cr_expect_not_null(find(&w, 3, "a"));
    cr_expect_null(find(&w, 3, "old"));
    cr_expect_eq(find(&w, 3, "young")->expire_ms, 90000000000000);
    cr_expect_eq(dict_count(store_db(&w.store, 3)->expires), 1);
    store_flush(&w.store, -1);
    error = load(&w, &rdb, &strict, &stats);
    cr_expect_eq(stats.keys_loaded, 3, "a replica keeps what its primary has not deleted");
    buf_free(&rdb);
    world_free(&w);
}

static void note_expired(void *owner, int db, struct bytes key)
{
    cr_expect_eq(db, 3);
    cr_expect(bytes_equal(key, BYTES("old")));
    ++*(int *)owner;
}

Test(store_loader, a_key_that_has_expired_is_dropped_and_told)
{
    // Replicas may go on from an RDB with a history: the deletion has to be in the stream.
    struct world w;
    world_init(&w, 1, 4);
    struct buf rdb = BUF_EMPTY;
    int told = 0;
    expiring_rdb(&rdb, true);
    struct loader_options options = {
        .checksum = true, .skip_expired = true, .expired = note_expired, .expired_owner = &told};
    struct loader_stats stats;
    struct error error = load(&w, &rdb, &options, &stats);
    cr_expect_eq(error.class, ERROR_NONE, "%s", error.text);
    cr_expect_eq(stats.keys_loaded, 2);
    cr_expect_eq(stats.repl_offset, 12345678901);
    cr_expect_eq(stats.repl_stream_db, 3);
    cr_expect_str_eq(stats.repl_id, history);
    cr_expect_null(find(&w, 3, "old"));
    cr_expect_eq(told, 1);
    buf_free(&rdb);
    world_free(&w);
}

static void expect_refused(struct buf *rdb, const char *part)
{
    struct world w;
    world_init(&w, 2, 4);
    struct loader_stats stats;
    struct error error = load(&w, rdb, &strict, &stats);
    cr_expect_neq(error.class, ERROR_NONE, "%s", part);
    cr_expect(strstr(error.text, part) != NULL, "'%s' in '%s'", part, error.text);
    world_free(&w);
    buf_free(rdb);
}

Test(store_loader, refusals_say_what_and_where)
{
    struct buf rdb = BUF_EMPTY;
    rdb_put_header(&rdb, RDB_VERSION);
    put_key(&rdb, "twice", "1", -1);
    put_key(&rdb, "twice", "2", -1);
    put_end(&rdb);
    expect_refused(&rdb, "duplicated key 'twice' in DB 0");

    rdb_put_header(&rdb, RDB_VERSION);
    rdb_put_select_db(&rdb, 9);
    put_key(&rdb, "k", "1", -1);
    put_end(&rdb);
    expect_refused(&rdb, "databases");

    rdb_put_header(&rdb, RDB_VERSION);
    put_key(&rdb, "k", "some value", -1);
    expect_refused(&rdb, "Unexpected EOF");

    rdb_put_header(&rdb, RDB_VERSION);
    put_key(&rdb, "k", "some value", -1);
    put_end(&rdb);
    rdb.data[rdb.start + 14] ^= 1; // in the key or the value
    expect_refused(&rdb, "offset");

    buf_append_cstr(&rdb, "not an RDB at all");
    expect_refused(&rdb, "does not begin with REDIS");
}

Test(store_loader, the_key_delay_takes_its_time_without_holding_the_loop)
{
    struct world w;
    world_init(&w, 3, 1);
    struct buf rdb = BUF_EMPTY;
    char key[16];
    rdb_put_header(&rdb, RDB_VERSION);
    for (int i = 0; i < 100; i++) {
        sprintf(key, "k%d", i);
        put_key(&rdb, key, "value", -1);
    }
    put_end(&rdb);
    struct loader_options options = {.checksum = true, .key_delay_us = 10000};
    uint64_t began = sim_now_us(w.sim);
    struct error error = load(&w, &rdb, &options, NULL);
    cr_expect_eq(error.class, ERROR_NONE, "%s", error.text);
    // The keys of the last piece are loaded with the end of the file: there is no rest after them.
    cr_expect_geq(sim_now_us(w.sim) - began, 900000);
    cr_expect_leq(sim_now_us(w.sim) - began, 1100000);
    buf_free(&rdb);
    world_free(&w);
}

// ---- the owner's side -----------------------------------------------------------------------

struct owner {
    int wanted;
    bool done, free_in_done;
    struct loader *loader;
};

static void on_want(struct loader *l)
{
    ((struct owner *)loader_owner(l))->wanted++;
}

static void on_done(struct loader *l, const struct error *error)
{
    struct owner *o = loader_owner(l);
    cr_expect(!error_is(error), "%s", error->text);
    o->done = true;
    if (o->free_in_done) loader_free(l);
}

Test(store_loader, wants_more_below_the_low_mark_and_may_be_freed_when_done)
{
    static const struct loader_events events = {on_want, on_done};
    struct world w;
    world_init(&w, 4, 1);
    struct buf rdb = BUF_EMPTY;
    struct str *big = str_new(NULL, 3 << 20);
    memset(big->data, 'x', big->len);
    rdb_put_header(&rdb, RDB_VERSION);
    rdb_put_entry_head(&rdb, -1, -1, -1, RDB_STRING, BYTES("big"));
    rdb_put_string(&rdb, str_view(big), false);
    put_end(&rdb);
    str_free(big);

    struct owner o = {.free_in_done = true};
    struct loader *l = loader_new(&w.store, w.store.live, &strict, &events, &o);
    sim_run_for(w.sim, 1000);
    cr_expect_eq(o.wanted, 0, "nothing was pushed yet");
    struct bytes rest = buf_view(&rdb);
    cr_expect_eq(loader_push(l, bytes_of(rest.data, 2 << 20)), 2 << 20);
    sim_run_for(w.sim, 1000000);
    cr_expect_eq(o.wanted, 1, "once for a push");
    loader_push(l, bytes_of(rest.data + (2 << 20), rest.len - (2 << 20)));
    sim_run_for(w.sim, 1000000);
    cr_expect(o.done);
    cr_expect_eq(value_length(&find(&w, 0, "big")->value), 3 << 20);

    // Given up in the middle of a large value.
    l = loader_new(&w.store, w.store.live, &strict, &events, &o);
    loader_push(l, bytes_of(rest.data, 1 << 20));
    sim_run_for(w.sim, 100000);
    loader_free(l);
    buf_free(&rdb);
    world_free(&w);
}
