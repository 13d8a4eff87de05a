// A snapshot in a file, for replicas that want its length first ("$<bytes>"): written as it is
// taken, then read by any number of links, each at its own pace. The file has no name as soon as it
// is open, so nothing is left behind however the process ends.
#ifndef WHERRY_REPL_SYNC_FILE_H
#define WHERRY_REPL_SYNC_FILE_H

#include "base/chunk.h"
#include "loop/loop.h"
#include "store/snapshot.h"

enum { SYNC_FILE_WINDOW_BYTES = 1 << 20, SYNC_FILE_PIECE_BYTES = 64 * 1024 };

struct sync_file;
struct sync_file_events {
    // Error class NONE: it is complete and can be read. Comes once, from the loop.
    void (*ready)(struct sync_file *f, void *owner, const struct error *error);
    void (*kick)(void *owner); // the sink has room again: wake the snapshot
};

struct sync_file *sync_file_new(struct loop *loop, const char *dir, const char *unique,
                                const struct sync_file_events *events, void *owner);
struct snapshot_sink *sync_file_sink(struct sync_file *f); // for snapshot_start
struct sync_file *sync_file_ref(struct sync_file *f);
void sync_file_unref(struct sync_file *f);  // the last one closes it, when nothing is under way
void sync_file_orphan(struct sync_file *f); // the owner is told nothing more
uint64_t sync_file_bytes(const struct sync_file *f); // its length, once ready

// One reader's operation. Allocated by sync_read_new, because it must outlive the reader's owner
// while the system still writes into it.
struct sync_read;
struct sync_read *
sync_read_new(struct sync_file *f, // takes a reference
              void (*done)(void *owner, struct bytes data, const struct error *error), void *owner);
bool sync_read_busy(const struct sync_read *r);
// The next piece, at most SYNC_FILE_PIECE_BYTES; `done` follows, with a view valid during the call.
// False at the end of the file.
bool sync_read_next(struct sync_read *r);
void sync_read_free(struct sync_read *r); // `done` does not come any more; NULL is fine

#endif
