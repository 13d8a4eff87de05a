// A snapshot: one consistent cut of the whole keyspace as an RDB, taken without a fork, in slices,
// for any number of sinks at once (replicas, a file).
//
// Walk: buckets by SCAN cursor; an entry whose epoch is older than the snapshot's is emitted once
// and given the snapshot's epoch. Small entries are emitted at once, also just before a write to
// them (store_before_write). Large ones are held and encoded piece by piece; while somebody waits
// for one, up to 16 MiB are produced beyond the sinks' windows, or without regard to them when no
// sink has taken anything for a second. Keys made after the cut carry the new epoch: skipped.
#ifndef WHERRY_STORE_SNAPSHOT_H
#define WHERRY_STORE_SNAPSHOT_H

#include "base/chunk.h"
#include "rdb/encode.h"
#include "store/store.h"

struct snapshot_sink {
    struct list link; // list_init before use
    // The next piece of the RDB. Take a reference to keep it. Comes from the snapshot's job or,
    // when a write pushes an entry out, from inside store_before_write. Never calls back into the
    // snapshot: a sink that has had too much of it leaves later (loop_defer).
    void (*data)(struct snapshot_sink *sink, struct chunk *chunk, uint32_t start, uint32_t len);
    // How much more it wants now, bytes (its window; may be negative). The snapshot rests while no
    // sink has room; snapshot_kick wakes it.
    int64_t (*room)(struct snapshot_sink *sink);
    // Complete (error class NONE) or not; from a task. The sink is off the list already, and
    // another snapshot may be under way.
    void (*end)(struct snapshot_sink *sink, const struct error *error);
    bool
        ends_on_flush; // FLUSHALL ends it (an RDB file) or it goes on over the old data (a replica)
};

// Aux fields for the head of the RDB, written in order ("repl-id", "..."). May be none.
struct snapshot_aux {
    const char *name;
    char value[64];
};

// Cuts now. False and *error when one is under way already. At least one sink. Nothing reaches a
// sink before this returns. options->version is that of the file, 0 for RDB_VERSION.
bool snapshot_start(struct store *s, const struct rdb_options *options,
                    const struct snapshot_aux *aux, int aux_count, struct snapshot_sink **sinks,
                    int sink_count, struct error *error);
// A sink leaves: no more data, no `end`. When the last one has left the snapshot is over. Fine for
// a sink that is on no list.
void snapshot_drop_sink(struct store *s, struct snapshot_sink *sink);
void snapshot_cancel(struct store *s, const struct error *why); // every sink gets `end`
void snapshot_kick(struct store *s);                            // a sink has room again
// Microseconds to rest after each key, for tests (rdb-key-save-delay); by deadline, not by
// sleeping.
void snapshot_set_key_delay(struct store *s, uint32_t delay_us);

struct snapshot_progress {
    uint64_t keys_done, keys_total, bytes;
    uint64_t began_us;
};
bool snapshot_progress(const struct store *s, struct snapshot_progress *out); // false: none

#endif
