// The store as a whole: its keyspaces, and the operations on whole databases.
#include "store/store.h"
#include "store/internal.h"

#include "base/mem.h"

#include <assert.h>

struct keyspace *keyspace_new(int count, uint64_t hash_seed)
{
    struct keyspace *k = mem_zalloc(sizeof(*k) + sizeof(struct db) * (size_t)count);
    k->count = count;
    for (int i = 0; i < count; i++) {
        k->dbs[i].keys = keys_new(hash_seed);
        k->dbs[i].expires = keys_new(hash_seed);
    }
    return k;
}

uint64_t keyspace_keys(const struct keyspace *k)
{
    uint64_t keys = 0;
    for (int i = 0; i < k->count; i++)
        keys += dict_count(k->dbs[i].keys);
    return keys;
}

void store_init(struct store *s, struct loop *loop, struct log *log,
                const struct value_limits *limits, int db_count, uint64_t seed)
{
    *s = (struct store){.loop = loop, .log = log, .limits = limits, .epoch = 1};
    rng_seed(&s->rng, seed);
    s->hash_seed = rng_next(&s->rng);
    s->lfu_log_factor = 10;
    s->lfu_decay_minutes = 1;
    s->live = keyspace_new(db_count, s->hash_seed);
    list_init(&s->endings);
    hold_init(s);
    discard_init(s);
}

void store_free(struct store *s)
{
    snapshot_teardown(s);
    discard_free(s);
    hold_free(s);
    for (int i = 0; i < s->live->count; i++)
        tables_free(s->live->dbs[i].keys, s->live->dbs[i].expires);
    mem_free(s->live);
    s->live = NULL;
}

// Takes a database's tables out of service and leaves it without any.
static void retire_tables(struct store *s, struct db *db)
{
    if (!snapshot_take_tables(s, db)) discard_tables(s, db->keys, db->expires);
    db->keys = db->expires = NULL;
    db->expire_cursor = 0;
    db->avg_ttl_ms = 0;
}

void store_flush(struct store *s, int index)
{
    assert(!store_held(s, index));
    if (index < 0) snapshot_flushed(s);
    int first = index < 0 ? 0 : index, last = index < 0 ? s->live->count - 1 : index;
    for (int i = first; i <= last; i++) {
        struct db *db = &s->live->dbs[i];
        if (dict_count(db->keys) == 0) continue;
        retire_tables(s, db);
        db->keys = keys_new(s->hash_seed);
        db->expires = keys_new(s->hash_seed);
    }
}

void store_swap_dbs(struct store *s, int a, int b)
{
    assert(!store_held(s, a) && !store_held(s, b));
    struct db held = s->live->dbs[a];
    s->live->dbs[a] = s->live->dbs[b];
    s->live->dbs[b] = held;
}

void store_adopt(struct store *s, struct keyspace *fresh)
{
    assert(!store_held(s, -1) && fresh->count == s->live->count);
    snapshot_flushed(s);
    struct keyspace *old = s->live;
    for (int i = 0; i < old->count; i++)
        retire_tables(s, &old->dbs[i]);
    mem_free(old);
    s->live = fresh;
}
