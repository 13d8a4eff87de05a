// Keys that clients of a writable replica have written. No primary will ever send their DEL, so
// when their time has come the replica removes them itself, and only them.
#include "node/repl_impl.h"

#include <string.h>

enum { OWN_EVERY_US = 100000, OWN_BUCKETS = 64 }; // buckets that one look goes through

static struct bytes own_name(const void *item)
{
    return str_view(item);
}

static void own_free(void *item)
{
    str_free(item);
}

static const struct dict_type own_type = {.key = own_name, .free_item = own_free};

void repl_own_changed(struct node *n, int db, struct bytes key)
{
    struct replication *r = n->repl;
    if (r->own == NULL) r->own = dict_new(&own_type, rng_next(&n->rng));
    struct str *name = db_key(db, key);
    if (!dict_insert(r->own, name)) str_free(name);
    if (!deadline_armed(&r->own_tick))
        deadline_arm(n->loop, &r->own_tick, loop_now_us(n->loop) + OWN_EVERY_US);
}

static void look_at(void *arg, void *item)
{
    struct replication *r = arg;
    struct node *n = r->node;
    struct bytes name = str_view(item);
    int db;
    memcpy(&db, name.data, sizeof(db));
    struct bytes key = bytes_of(name.data + sizeof(db), name.len - sizeof(db));
    struct entry *e = db_find(store_db(&n->store, db), key);
    if (e != NULL && e->expire_ms != ENTRY_NO_EXPIRE) {
        if (!entry_expired(e, loop_unix_ms(n->loop))) return;
        if (store_before_write(&n->store, db, key, NULL) != WRITE_NOW) return;
        node_expire_key(n, db, key);
    }
    dict_delete(r->own, name); // gone, or it will never expire
}

static void on_tick(struct deadline *d)
{
    struct replication *r = list_entry(d, struct replication, own_tick);
    for (int i = 0; i < OWN_BUCKETS; i++) {
        r->own_cursor = dict_scan(r->own, r->own_cursor, look_at, r);
        if (r->own_cursor == 0) break;
    }
    if (dict_count(r->own) > 0)
        deadline_arm(r->node->loop, d, loop_now_us(r->node->loop) + OWN_EVERY_US);
}

void repl_own_init(struct replication *r)
{
    r->own_tick.fire = on_tick;
}

void repl_own_forget(struct replication *r)
{
    deadline_cancel(r->node->loop, &r->own_tick);
    dict_free(r->own);
    r->own = NULL;
    r->own_cursor = 0;
}
