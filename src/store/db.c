// Entries of a database: one allocation each, key included, in the table of all keys and, with a
// time to live, in the table of expiries too. Constant time, the path of every GET and SET.
#include "store/access.h"
#include "store/internal.h"
#include "store/store.h"

#include "base/mem.h"

#include <assert.h>

static struct bytes key_of(const void *item)
{
    return entry_key(item);
}

// Neither table frees entries: large values go in slices, which a table knows nothing about.
static const struct dict_type entry_type = {key_of, NULL};

struct dict *keys_new(uint64_t seed)
{
    return dict_new(&entry_type, seed);
}

struct entry *db_find(struct db *db, struct bytes key)
{
    return dict_find(db->keys, key);
}

static struct entry *entry_new(const struct store *s, struct bytes key, const struct value *value)
{
    struct entry *e = mem_alloc(sizeof(*e) + key.len);
    e->value = *value;
    e->expire_ms = ENTRY_NO_EXPIRE;
    e->epoch = s->epoch;
    e->access = access_initial(s);
    e->holds = 0;
    e->key_len = (uint32_t)key.len;
    if (key.len) memcpy(e->key, key.data, key.len);
    return e;
}

struct entry *db_add(struct store *s, struct db *db, struct bytes key, const struct value *value)
{
    struct entry *e = entry_new(s, key, value);
    dict_insert_new(db->keys, e, dict_hash(db->keys, key));
    return e;
}

struct entry *db_try_add(struct store *s, struct db *db, struct bytes key, uint64_t hash,
                         const struct value *value)
{
    struct entry *e = entry_new(s, key, value);
    if (dict_insert_hashed(db->keys, e, hash)) return e;
    mem_free(e);
    return NULL;
}

void db_replace_value(struct store *s, struct db *db, struct entry *e, const struct value *value)
{
    (void)db;
    assert(e->holds == 0);
    struct value old = e->value;
    e->value = *value;
    store_free_value(s, &old);
}

// Out of both tables; what the entry holds is the caller's.
static void db_unlink(struct db *db, struct entry *e)
{
    assert(e->holds == 0);
    uint64_t hash = dict_hash(db->keys, entry_key(e));
    if (e->expire_ms != ENTRY_NO_EXPIRE) dict_take_hashed(db->expires, entry_key(e), hash);
    void *taken = dict_take_hashed(db->keys, entry_key(e), hash);
    assert(taken == e);
    (void)taken;
}

void db_delete(struct store *s, struct db *db, struct entry *e)
{
    db_unlink(db, e);
    store_free_value(s, &e->value);
    mem_free(e);
}

struct value db_take_value(struct store *s, struct db *db, struct entry *e)
{
    (void)s;
    db_unlink(db, e);
    struct value v = e->value;
    mem_free(e);
    return v;
}

void db_set_expire(struct store *s, struct db *db, struct entry *e, int64_t expire_ms)
{
    (void)s;
    bool had = e->expire_ms != ENTRY_NO_EXPIRE, has = expire_ms != ENTRY_NO_EXPIRE;
    e->expire_ms = expire_ms;
    if (had == has) return;
    uint64_t hash = dict_hash(db->expires, entry_key(e));
    if (has)
        dict_insert_new(db->expires, e, hash);
    else
        dict_take_hashed(db->expires, entry_key(e), hash);
}

bool entry_expired(const struct entry *e, int64_t now_ms)
{
    return e->expire_ms != ENTRY_NO_EXPIRE && now_ms > e->expire_ms;
}

struct entry *db_random(struct store *s, struct db *db)
{
    return dict_random(db->keys, &s->rng);
}

struct scan {
    void (*visit)(void *arg, struct entry *e);
    void *arg;
};

static void scan_visit(void *arg, void *item)
{
    struct scan *scan = arg;
    scan->visit(scan->arg, item);
}

uint64_t db_scan(struct db *db, uint64_t cursor, void (*visit)(void *arg, struct entry *e),
                 void *arg)
{
    struct scan scan = {visit, arg};
    return dict_scan(db->keys, cursor, scan_visit, &scan);
}
