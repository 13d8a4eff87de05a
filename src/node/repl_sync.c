// A full sync into the keyspace: filled aside, adopted in one step. What clients see meanwhile is
// what repl-diskless-load says, as users of Redis 7.0 know it:
//
//   disabled      the old data, until all of the RDB is here; then LOADING for the rest
//   on-empty-db   LOADING from the beginning when there is no data, else as disabled
//   swapdb        the old data until the new is in service when it is the same history
//                 (async_loading), else LOADING from the beginning
//
// Whatever fails, the old data is still there.
#include "node/repl_impl.h"

#include "node/persist.h"

#include <string.h>

static void begin_loading(struct node *n, bool async)
{
    if (n->loading || n->async_loading) return;
    log_notice(&n->log, "MASTER <-> REPLICA sync: Loading DB in memory");
    n->loading = !async;
    n->async_loading = async;
}

static void end_loading(struct node *n)
{
    n->loading = n->async_loading = false;
    n->loader = NULL;
}

struct loader *repl_load_begin(void *owner, const char *id, const struct loader_events *events,
                               void *loader_owner)
{
    struct replication *r = owner;
    struct node *n = r->node;
    struct loader_options options = persist_loader_options(n);
    r->aside = keyspace_new(n->config.databases, n->store.hash_seed);
    n->loader = loader_new(&n->store, r->aside, &options, events, loader_owner);
    n->loading_started_us = loop_now_us(n->loop);
    n->loading_total_bytes = r->replica.payload.until_mark ? 0 : r->replica.payload.len;
    enum diskless_load how = n->config.repl_diskless_load;
    if (how == DISKLESS_LOAD_SWAPDB)
        begin_loading(n, strcmp(id, r->stream.id) == 0);
    else if (how == DISKLESS_LOAD_ON_EMPTY_DB && keyspace_keys(n->store.live) == 0)
        begin_loading(n, false);
    return n->loader;
}

void repl_load_received(void *owner)
{
    struct replication *r = owner;
    begin_loading(r->node, false);
}

static void put_in_service(struct replication *r)
{
    struct node *n = r->node;
    primary_disconnect_all(&r->primary);
    for (int i = 0; i < r->aside->count; i++)
        node_db_changing(n, i, &r->aside->dbs[i]);
    store_adopt(&n->store, r->aside);
    r->aside = NULL;
    repl_own_forget(r);
    end_loading(n);
    n->dirty++;
    node_db_changed(n, -1);
    blocking_serve(n);
}

static void holds_ended(struct waiter *w)
{
    struct replication *r = list_entry(w, struct replication, holds);
    if (store_held(&r->node->store, -1)) {
        store_wait_held(&r->node->store, -1, w);
        return;
    }
    put_in_service(r);
    replica_adopted(&r->replica);
}

bool repl_adopt(void *owner, const struct loader_stats *stats)
{
    struct replication *r = owner;
    struct store *s = &r->node->store;
    (void)stats;
    if (!store_held(s, -1)) {
        put_in_service(r);
        return true;
    }
    r->holds.ready = holds_ended;
    store_wait_held(s, -1, &r->holds);
    return false;
}

void repl_load_abort(void *owner)
{
    struct replication *r = owner;
    list_remove(&r->holds.link);
    if (r->aside != NULL) keyspace_discard(&r->node->store, r->aside);
    r->aside = NULL;
    end_loading(r->node);
}
