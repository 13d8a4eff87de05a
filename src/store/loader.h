// Fills a keyspace from an RDB that arrives as bytes, in slices: from a file at start, from a
// primary in a full sync. The owner pushes bytes and stops above the high-water mark; the loader
// decodes as a job and says when it wants more, when it is done, and what is wrong.
#ifndef WHERRY_STORE_LOADER_H
#define WHERRY_STORE_LOADER_H

#include "rdb/decode.h"
#include "store/store.h"

struct loader;
struct loader_events {
    // Fewer than LOADER_LOW_WATER_BYTES wait: push on. Once after a push, not before the first.
    void (*want)(struct loader *l);
    // Over: error class NONE, the RDB is complete (loader_left: what came after its end), or what
    // is wrong with it (the text names the offset). The keyspace stays the owner's either way.
    void (*done)(struct loader *l, const struct error *error);
};
enum { LOADER_HIGH_WATER_BYTES = 1 << 20, LOADER_LOW_WATER_BYTES = 256 << 10 };

struct loader_options {
    bool checksum;     // check the CRC64 at the end (rdbchecksum)
    bool skip_expired; // drop keys that have expired already (a primary); replicas keep them
    bool sanitize;     // deep checks of every compact encoding (sanitize-dump-payload)
    // Optional: told of each key that skip_expired drops (a primary owes its replicas a DEL).
    void (*expired)(void *owner, int db, struct bytes key);
    void *expired_owner;
    uint32_t key_delay_us; // key-load-delay: pause after each key, by deadline; for tests
};

struct loader_stats {
    uint64_t bytes, keys_loaded, keys_expired, empty_keys_skipped;
    char repl_id[41];    // aux repl-id; "" when absent
    int64_t repl_offset; // aux repl-offset; -1 when absent
    int repl_stream_db;  // aux repl-stream-db; -1 when absent
};

struct loader *loader_new(struct store *s, struct keyspace *into,
                          const struct loader_options *options, const struct loader_events *events,
                          void *owner);
void *loader_owner(struct loader *l);
// Takes all of it. Returns how many bytes now wait undecoded.
size_t loader_push(struct loader *l, struct bytes data);
// No more will come: an RDB that is not complete by the end of what was pushed is an error.
void loader_end(struct loader *l);
const struct loader_stats *loader_stats(const struct loader *l);
struct bytes loader_left(const struct loader *l); // after `done`: bytes behind the RDB's end
void loader_free(struct loader *l); // not from inside its own `want`; from `done`, yes

#endif
