// The dataset as a file: a snapshot written to it, and loaded from it, without waiting for the
// disk.
//
// A save goes to `temp-<pid>.rdb` in the folder, is synced, renamed to its name, and the folder is
// synced: at every instant the name stands for a whole old file or a whole new one. A save that
// fails or is given up removes its temporary file and nothing else.
#ifndef WHERRY_NODE_PERSIST_FILE_H
#define WHERRY_NODE_PERSIST_FILE_H

#include "store/loader.h"
#include "store/snapshot.h"

// What waits to be written: the window of the snapshot's walk, and the bound on what writes push
// out ahead of it while the disk is slower than they are; beyond it the save fails.
enum { SAVE_WINDOW_BYTES = 512 * 1024, SAVE_PENDING_MAX_BYTES = 256 << 20 };

struct save_file_options {
    const char *dir, *name; // copied
    struct rdb_options rdb;
    int64_t
        sync_every_bytes; // so much is synced on the way (0: only at the end), to spread the load
    const struct snapshot_aux *aux;
    int aux_count;
};

struct save_file;
// Cuts a snapshot now and writes it. NULL and *error when a snapshot is under way already.
// `done` comes once, later: class NONE, or what went wrong; ERROR_CANCELLED when the data was
// flushed meanwhile. The save is gone when it returns.
struct save_file *save_file_start(struct store *s, const struct save_file_options *options,
                                  void (*done)(void *owner, const struct error *error), void *owner,
                                  struct error *error);
// Gives up; `done` comes with ERROR_CANCELLED once the temporary file is gone.
void save_file_cancel(struct save_file *f);
// The same for a store that is going away: `done` is not called, the store not touched again.
void save_file_abandon(struct save_file *f);

struct load_file;
struct load_file_events {
    // The file is there and this long; loading begins with `l`.
    void (*began)(void *owner, struct loader *l, uint64_t bytes);
    // Over. `missing`: there is no such file. The loader goes when this returns.
    void (*done)(void *owner, bool missing, const struct error *error,
                 const struct loader_stats *stats);
};
struct load_file *load_file_start(struct store *s, struct keyspace *into, const char *path,
                                  const struct loader_options *options,
                                  const struct load_file_events *events, void *owner);
void load_file_cancel(struct load_file *f); // `done` is not called

// dir/name, the caller's to free with mem_free; `name` alone when it is absolute.
char *persist_path(const char *dir, const char *name);

#endif
