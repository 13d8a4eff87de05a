// MIGRATE: moves keys to another node, one machine per command, many at once. Nothing waits: values
// are walked in slices, payloads go through a window, every answer has a deadline.
//
// A key stays here, held, until the target has acknowledged it; then it is deleted and the deletion
// propagated. Where an acknowledgement is lost the key is on both sides, never on neither.
//
// This folder knows nothing of the node: what it needs of it is struct migrate_host.
#ifndef WHERRY_MIGRATE_MIGRATE_H
#define WHERRY_MIGRATE_MIGRATE_H

#include "conn/conn.h"
#include "rdb/encode.h"
#include "store/store.h"

enum {
    MIGRATE_LINK_IDLE_US = 10 * 1000 * 1000, // a cached link without work is closed then
    // One that was idle for longer is asked something before a key is trusted to it: where it has
    // died meanwhile, nothing can have been applied, and a fresh one takes its place.
    MIGRATE_LINK_TRUST_US = 1000 * 1000,
    MIGRATE_LINKS_MAX = 64, // cached links; beyond, the oldest goes
};

struct migrate_host {
    struct loop *loop;
    struct network *network;
    struct store *store;
    struct log *log;
    // The target has acknowledged the key, which nobody holds any more: delete it, propagate that.
    void (*delete_key)(struct migrate_host *host, int db, struct bytes key);
    // Optional. True when nothing may be written now (a failover compares offsets): then `w` was
    // queued and is told when that is over.
    bool (*paused)(struct migrate_host *host, struct waiter *w);
    // By the config, read when needed.
    uint64_t (*window_bytes)(const struct migrate_host *host);
    uint64_t (*payload_max_bytes)(const struct migrate_host *host);
    struct rdb_options (*payload_options)(const struct migrate_host *host); // once for each key
    const char *(*verify_name)(const struct migrate_host *host);            // NULL: chain only
};

// What to move, and where. Strings are borrowed for the call of migrate_start.
struct migrate_request {
    const char *host;
    int port;
    bool tls;
    int source_db, target_db;
    int64_t timeout_ms; // of each wait: connecting, each answer; progress while sending
    bool copy, replace;
    struct bytes user, password; // data NULL: none
    int key_count;
    const struct bytes *keys;
};

enum migrate_outcome {
    MIGRATE_OK,       // all that was there has moved
    MIGRATE_NO_KEY,   // none of the keys is there
    MIGRATE_IO_ERROR, // connecting, sending or an answer failed: see text
    MIGRATE_REFUSED,  // the target answered with an error; other keys may have moved
    MIGRATE_LIMIT,    // a value is too large for its payload to be sent
};

struct migrate_result {
    enum migrate_outcome outcome;
    int moved; // keys that were acknowledged
    char text[ERROR_TEXT_BYTES];
};

struct migrate_stats {
    uint64_t started, succeeded, failed, keys_moved, payload_bytes, links_reused, retries;
    uint64_t sent_bytes; // that targets have taken
    uint64_t timeouts_connect, timeouts_greet, timeouts_send, timeouts_reply;
};

// One per node.
struct migrator {
    struct migrate_host *host;
    struct list flights; // of struct migrate
    struct list links;   // cached and idle, the longest idle first
    int flight_count, link_count;
    struct migrate_stats stats;
};
void migrator_init(struct migrator *g, struct migrate_host *host);
void migrator_free(struct migrator *g); // cancels what is in flight, without a word to its owners

struct migrate;
// Begins. `done` is called once, later, never from inside this call; the migration is gone then.
struct migrate *migrate_start(struct migrator *g, const struct migrate_request *request,
                              void (*done)(void *owner, const struct migrate_result *result),
                              void *owner);
// Gives it up: keys that were not acknowledged stay, holds end, `done` is not called.
void migrate_cancel(struct migrate *m);
// Gives all up, each with its `done` (a role change, a shutdown).
void migrate_cancel_all(struct migrator *g, const char *why);

struct machine;
// Shows each machine that is in flight to `visit`, which must not start or end any.
void migrator_visit(const struct migrator *g, void (*visit)(void *arg, const struct machine *m),
                    void *arg);

// How far one of these is. Texts live as long as it does.
struct migrate_progress {
    const char *target;
    struct bytes key; // that is being sent, or whose answer or holder is awaited; data NULL: none
    int keys, moved;
    uint64_t key_bytes;  // of its payload, where it is large and has been counted
    uint64_t sent_bytes; // that the target has taken
};
void migrate_progress(const struct machine *machine, struct migrate_progress *out);

struct machine_type;
extern const struct machine_type migrate_machine; // for the drawings

#endif
