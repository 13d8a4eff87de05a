// What tests of the MIGRATE machine share: a store, a migrator over it, a scripted target, and a
// trace of what happened.
#ifndef WHERRY_TESTS_MIGRATE_RIG_H
#define WHERRY_TESTS_MIGRATE_RIG_H

#include "base/mem.h"
#include "migrate/migrate.h"
#include "sim/lib/peer.h"
#include "value/dict.h"
#include "value/hash.h"
#include "value/string.h"

#include <criterion/criterion.h>
#include <stdio.h>

enum { TIMEOUT_MS = 1000, TIMEOUT_US = TIMEOUT_MS * 1000, PORT = 7000, LARGE_FIELDS = 40000 };

static struct {
    struct sim *sim;
    struct sim_node *source, *target;
    struct store store;
    struct value_limits limits;
    struct migrate_host host;
    struct migrator migrator;
    struct trace trace;
    struct peer *peer;
    int done, deleted;
    uint64_t done_at_us;
    struct migrate_result result;
    bool compress, paused;
    struct list paused_waiters;
} rig;

static inline void on_delete(struct migrate_host *host, int db, struct bytes key)
{
    struct entry *e = db_find(store_db(host->store, db), key);
    cr_assert_not_null(e);
    cr_assert_eq(e->holds, 0, "deleted while held");
    db_delete(host->store, store_db(host->store, db), e);
    rig.deleted++;
}

static inline uint64_t window(const struct migrate_host *host)
{
    (void)host;
    return 256 * 1024;
}

static inline uint64_t payload_max(const struct migrate_host *host)
{
    (void)host;
    return 512u << 20;
}

static inline struct rdb_options payload_options(const struct migrate_host *host)
{
    (void)host;
    return (struct rdb_options){.compress = rig.compress};
}

static inline bool is_paused(struct migrate_host *host, struct waiter *w)
{
    (void)host;
    if (rig.paused) list_push_back(&rig.paused_waiters, &w->link);
    return rig.paused;
}

static inline void end_pause(void)
{
    struct list *link;
    rig.paused = false;
    while ((link = list_pop_front(&rig.paused_waiters)) != NULL) {
        struct waiter *w = list_entry(link, struct waiter, link);
        w->ready(w);
    }
}

static inline const char *no_name(const struct migrate_host *host)
{
    (void)host;
    return NULL;
}

static inline void rig_begin(void)
{
    memset(&rig, 0, sizeof(rig));
    rig.sim = sim_new(7);
    rig.source = sim_node_new(rig.sim, "source");
    rig.target = sim_node_new(rig.sim, "target");
    value_limits_default(&rig.limits);
    list_init(&rig.paused_waiters);
    trace_init(&rig.trace, rig.sim);
    store_init(&rig.store, sim_loop(rig.source), NULL, &rig.limits, 2, 1);
    rig.host = (struct migrate_host){
        .loop = sim_loop(rig.source),
        .network = sim_network(rig.source),
        .store = &rig.store,
        .log = trace_log(&rig.trace),
        .delete_key = on_delete,
        .paused = is_paused,
        .window_bytes = window,
        .payload_max_bytes = payload_max,
        .payload_options = payload_options,
        .verify_name = no_name,
    };
    migrator_init(&rig.migrator, &rig.host);
}

static inline void rig_end(void)
{
    migrator_free(&rig.migrator);
    if (rig.peer != NULL) peer_free(rig.peer);
    sim_run_for(rig.sim, 1000);
    store_free(&rig.store);
    sim_free(rig.sim);
    trace_free(&rig.trace);
}

static inline void put_small(const char *key)
{
    struct value v;
    string_init(&v, BYTES("value"));
    db_add(&rig.store, store_db(&rig.store, 0), bytes_from_cstr(key), &v);
}

static inline void put_large(const char *key)
{
    struct value v;
    hash_init(&v);
    for (int i = 0; i < LARGE_FIELDS; i++) {
        char field[32];
        int len = snprintf(field, sizeof(field), "field:%d", i);
        cr_assert(hash_add(&v, bytes_of(field, (size_t)len),
                           BYTES("forty-forty-forty-forty-forty-forty-forty"), &rig.limits));
    }
    db_add(&rig.store, store_db(&rig.store, 0), bytes_from_cstr(key), &v);
}

static inline void on_done(void *owner, const struct migrate_result *result)
{
    (void)owner;
    rig.done++;
    rig.result = *result;
    rig.done_at_us = sim_now_us(rig.sim);
}

static inline bool is_done(void *arg)
{
    (void)arg;
    return rig.done > 0;
}

static inline void run_to_end(uint64_t limit_us)
{
    cr_assert(sim_run_while_not(rig.sim, is_done, NULL, limit_us), "not done:\n%s",
              trace_text(&rig.trace));
    cr_assert_eq(rig.done, 1);
}

static inline void rig_begin_again(void)
{
    rig_end();
    rig_begin();
}

#endif
