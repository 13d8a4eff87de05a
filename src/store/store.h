// The keyspace: databases of entries, with expiry, holds and the epochs that snapshots need. It
// knows values and time, no clients: who may run what, and what is propagated, is decided above.
//
// Every change of an entry is announced first with store_before_write; that one call is what keeps
// snapshots consistent and held keys untouched.
#ifndef WHERRY_STORE_STORE_H
#define WHERRY_STORE_STORE_H

#include "base/rng.h"
#include "value/value.h"

enum { ENTRY_NO_EXPIRE = -1 };

struct entry {
    struct value value;
    int64_t expire_ms; // Unix time, or ENTRY_NO_EXPIRE
    uint32_t epoch;    // store->epoch when it was made, or of the snapshot that emitted it last
    uint32_t access;   // LRU: seconds of the access clock; LFU: minutes << 8 | counter
    uint16_t holds;    // machines that are reading it over many slices
    uint32_t key_len;
    char key[]; // key_len bytes
};

static inline struct bytes entry_key(const struct entry *e)
{
    return bytes_of(e->key, e->key_len);
}

struct db {
    struct dict *keys;      // of struct entry; they are the db's
    struct dict *expires;   // of the same struct entry: those with a time to live
    uint64_t expire_cursor; // where active expiry goes on
    int64_t avg_ttl_ms;
};

// A set of databases: the one in service, or one that a full sync is filling aside.
struct keyspace {
    int count; // databases
    struct db dbs[];
};
struct store;
struct keyspace *keyspace_new(int count, uint64_t hash_seed); // store->hash_seed
void keyspace_discard(struct store *s, struct keyspace *k); // freed in slices, as jobs of the store
uint64_t keyspace_keys(const struct keyspace *k);

struct snapshot;

struct store {
    struct loop *loop;
    struct log *log;
    struct rng rng;
    uint64_t hash_seed;
    const struct value_limits *limits;
    struct keyspace *live;
    uint32_t epoch;
    struct snapshot *snapshot; // the one under way, or NULL: at most one at a time
    struct list endings;       // sinks whose snapshot is over and who will be told (snapshot.c)
    uint32_t snapshot_key_delay_us;

    struct dict *held;         // of struct hold, by entry (hold.c); those of the snapshot too
    uint32_t *held_count;      // per database: entries that machines hold
    struct list *held_waiters; // per database; the last for all databases together
    bool frozen;               // store_freeze
    struct list ready;         // waiters that will be told
    struct task wake;

    struct list discards;      // values and tables that are being freed in slices
    struct job housekeeping;   // lazy freeing, rehashing of large tables
    int rehash_next;           // table whose turn it is; < 0: none
    uint64_t lazyfree_pending; // objects
    uint64_t lazyfreed;        // objects, since the start

    // How `access` is read and whether snapshots carry it (maxmemory-policy): see access.h.
    bool lfu, lru;
    uint32_t lfu_log_factor, lfu_decay_minutes;
};

void store_init(struct store *s, struct loop *loop, struct log *log,
                const struct value_limits *limits, int db_count, uint64_t seed);
// Teardown: everything at once. Waiters and sinks are taken off their lists, not told.
void store_free(struct store *s);
// To be called a few times a second: goes on with the rehashing of tables nobody touches.
void store_tidy(struct store *s);

// ---- entries --------------------------------------------------------------------------------

struct entry *db_find(struct db *db, struct bytes key); // logically expired ones too
// Adds; the key must not be there. Takes over what `value` holds. Epoch is the store's current one.
struct entry *db_add(struct store *s, struct db *db, struct bytes key, const struct value *value);
// Puts another value in place; the old one is freed in slices.
void db_replace_value(struct store *s, struct db *db, struct entry *e, const struct value *value);
// Takes the entry out and frees it (its value in slices when large). `e` must not be held.
// An entry that has expired may be deleted without store_before_write: a snapshot that still owes
// it leaves it out, and every reader of the snapshot would have found it expired.
void db_delete(struct store *s, struct db *db, struct entry *e);
// Takes the value out and deletes the entry: RENAME, MOVE.
struct value db_take_value(struct store *s, struct db *db, struct entry *e);
void db_set_expire(struct store *s, struct db *db, struct entry *e, int64_t expire_ms);
bool entry_expired(const struct entry *e, int64_t now_ms);
struct entry *db_random(struct store *s, struct db *db);
// SCAN: calls `visit` for the entries of a few buckets; returns the next cursor, 0 at the end.
uint64_t db_scan(struct db *db, uint64_t cursor, void (*visit)(void *arg, struct entry *e),
                 void *arg);
static inline struct db *store_db(struct store *s, int index)
{
    return &s->live->dbs[index];
}

// Empties one database (index) or all (-1). The old tables are freed in slices, or walked on by the
// snapshot under way; -1 also ends that snapshot for the sinks that want so (ends_on_flush).
// The caller has checked store_held(s, index) first.
void store_flush(struct store *s, int index);
// Nothing is held in either (store_held).
void store_swap_dbs(struct store *s, int a, int b);
// Puts `fresh` in service; the old keyspace is freed in slices. For a snapshot under way it is like
// store_flush(s, -1). Nothing is held. Same number of databases.
void store_adopt(struct store *s, struct keyspace *fresh);
// Frees a value in slices (at once when small). `v` is the store's from now on.
void store_free_value(struct store *s, struct value *v);

// ---- holds ----------------------------------------------------------------------------------

// Somebody that waits for a hold, or for a snapshot's encoding of one value, to end.
struct waiter {
    struct list link;                // list_init before first use; list_remove gives up waiting
    void (*ready)(struct waiter *w); // called from the loop, not from inside a release
};

// Keeps the entry as it is: nobody may change, delete, move or replace it, and so the pointer and
// iterators over its value stay valid. Counted: several may hold one entry.
void store_hold(struct store *s, int db_index, struct entry *e);
void store_release(struct store *s, int db_index, struct entry *e);
// Any held entry in this database (-1: in any)? For FLUSHALL, FLUSHDB, SWAPDB, which wait for them.
// Holds of the snapshot do not count: it keeps the tables that a flush takes away.
bool store_held(const struct store *s, int db_index);
// Queues `w` until nothing is held in this database (-1: in any).
void store_wait_held(struct store *s, int db_index, struct waiter *w);

// While frozen every key counts as held (store_before_write, store_held), nothing expires actively
// and nothing is offered for eviction: whatever would write waits. Reads go on. For those who need
// the whole data set to stand still over many slices (DEBUG RELOAD).
void store_freeze(struct store *s);
void store_thaw(struct store *s);

// Queues `w` before all others, until the store, which is frozen, thaws.
void store_wait_thaw(struct store *s, struct waiter *w);

enum write_verdict { WRITE_NOW, WRITE_WAIT };
// To be called for each key before a command changes it (also before the key is created).
// WRITE_NOW: go on; a small entry that a snapshot still owes was emitted, its epoch is now current.
// WRITE_WAIT: the entry is held, or it is large and a snapshot still owes it (it is next now):
// `w` was queued and will be told; nothing was changed. With w NULL it only answers.
enum write_verdict store_before_write(struct store *s, int db_index, struct bytes key,
                                      struct waiter *w) __attribute__((warn_unused_result));
// Whether that could say anything but WRITE_NOW for any key, or has anything to do.
bool store_guards_writes(const struct store *s);
// The same for one of those who hold the entry and now wants to delete it (MIGRATE): WRITE_NOW once
// nobody else holds it and no snapshot owes it. The caller releases its hold and deletes in the
// same dispatch, so that parked writers find what it left. One such waiter per entry. Not while the
// store is frozen: who holds an entry then keeps it from thawing.
enum write_verdict store_before_delete_held(struct store *s, int db_index, struct entry *e,
                                            struct waiter *w) __attribute__((warn_unused_result));

#endif
