// What the files of src/store/ share and nobody else includes.
#ifndef WHERRY_STORE_INTERNAL_H
#define WHERRY_STORE_INTERNAL_H

#include "rdb/decode.h"
#include "store/store.h"
#include "value/dict.h"

// ---- holds (hold.c) -------------------------------------------------------------------------

void hold_init(struct store *s);
void hold_free(struct store *s);
// The snapshot's own hold: counts for the entry, not for its database.
void hold_for_snapshot(struct store *s, struct entry *e);
void hold_release_snapshot(struct store *s, struct entry *e);
// Queues `w` until nobody holds `e`, which is held now.
void hold_wait(struct store *s, struct entry *e, struct waiter *w);
bool hold_has_waiters(struct store *s, const struct entry *e);
// The entry left the live tables with the snapshot holding it: whoever waits may try again.
void hold_wake(struct store *s, struct entry *e);

// ---- entries (db.c) -------------------------------------------------------------------------

// As db_add, given dict_hash of the key; NULL when the key is there: the value is the caller's
// still.
struct entry *db_try_add(struct store *s, struct db *db, struct bytes key, uint64_t hash,
                         const struct value *value);

// ---- discards (discard.c) -------------------------------------------------------------------

void discard_init(struct store *s);
void discard_free(struct store *s);
// Takes over both tables and the entries in `keys`.
void discard_tables(struct store *s, struct dict *keys, struct dict *expires);
// Frees it and the value that it was building.
void discard_decoder(struct store *s, struct rdb_file_decoder *decoder);
// Both tables and their entries, at once.
void tables_free(struct dict *keys, struct dict *expires);
struct dict *keys_new(uint64_t seed);

// ---- snapshot (snapshot.c) ------------------------------------------------------------------

// For an entry of the live database `db`: does the snapshot still owe it?
bool snapshot_owes(const struct store *s, const struct db *db, const struct entry *e);
// It holds this entry, and has not begun to encode it.
bool snapshot_queued(const struct store *s, const struct entry *e);
// Emits a small entry that it owes, which nobody holds or which is queued.
void snapshot_emit(struct store *s, const struct db *db, struct entry *e);
// Makes an entry that it owes (queued or not) the next to be encoded, and holds it.
void snapshot_hurry(struct store *s, const struct db *db, struct entry *e);
// The tables of `db` leave service. True: the snapshot took them over; the caller forgets them.
bool snapshot_take_tables(struct store *s, const struct db *db);
// All data leaves service: sinks that want to end then do.
void snapshot_flushed(struct store *s);
// Teardown without telling anybody.
void snapshot_teardown(struct store *s);

// ---- endings (ending.c) ---------------------------------------------------------------------

// Moves the sinks aside: each will be told `error` (class NONE: complete) by its `end`.
void sinks_end(struct store *s, struct list *sinks, const struct error *error);
void endings_free(struct store *s); // without telling anybody

#endif
