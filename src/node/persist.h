// Persistence as the rest of the node sees it: when the dataset is saved, what SAVE, BGSAVE and
// DEBUG RELOAD do, what is loaded at start. One save at a time, and none while a snapshot for
// replicas is under way. What the core calls is in parts.h.
#ifndef WHERRY_NODE_PERSIST_H
#define WHERRY_NODE_PERSIST_H

#include "node/node.h"
#include "store/snapshot.h"

// A save or a snapshot for replicas is under way (rdb_bgsave_in_progress).
bool persist_busy(const struct node *n);
// Cuts now and saves in the background. False and *error: it cannot now.
bool persist_background_save(struct node *n, struct error *error);
void persist_schedule_save(struct node *n); // as soon as it can
int64_t persist_last_save_s(const struct node *n);

// The bodies of SAVE and DEBUG RELOAD: their client is suspended until it is over, others are
// served. RELOAD saves (unless `no_save`), loads the file aside and puts it in service in one step;
// meanwhile what would write waits. On failure the data stays as it was.
void persist_save_command(struct ctx *c);
void persist_reload_command(struct ctx *c, bool no_save);

// FLUSHALL has run: with save points the empty dataset is saved, as Redis does.
void persist_flushed(struct node *n);

// Saves before the end, first giving up whatever snapshot is under way. `done` comes later.
void persist_save_for_exit(struct node *n, void (*done)(struct node *n, const struct error *error));

// Fields for the head of any RDB this node makes, replication's among them. Returns how many.
enum { PERSIST_AUX_MAX = 12 };
enum { PERSIST_SYNC_BYTES = 4 << 20 }; // rdb-save-incremental-fsync (redis.conf of Redis 7.0)
int persist_aux(struct node *n, struct snapshot_aux aux[PERSIST_AUX_MAX]);
struct rdb_options persist_rdb_options(const struct node *n);     // by the config
struct rdb_options persist_payload_options(const struct node *n); // the same for DUMP and MIGRATE
struct loader_options persist_loader_options(const struct node *n);

#endif
