// The replication stream of a node: one chain of reference-counted chunks that the backlog and all
// replicas read, each from a place of its own. A primary appends commands to it; a replica appends
// its primary's bytes as they come and lets others see them once they are applied, so that the
// offset never stands in the middle of a command.
//
//        first                                     offset        received
//     ... | backlog, and what slow readers pin ...... | not applied yet |
//
// Offsets count bytes since the history began; `first` is the number of the first byte that is
// held, and equals offset + 1 when none is. Source: PSYNC and INFO replication of Redis 7.0.
#ifndef WHERRY_REPL_STREAM_H
#define WHERRY_REPL_STREAM_H

#include "base/chunk.h"
#include "base/list.h"
#include "base/rng.h"

enum {
    REPL_ID_BYTES = 40,
    REPL_CHUNK_BYTES = 16 * 1024,
    REPL_TRIM_CHUNKS = 64, // most chunks that one append gives back, so that it stays short
};

struct repl_stream {
    struct rng *rng;
    char id[REPL_ID_BYTES + 1];  // of this history
    char id2[REPL_ID_BYTES + 1]; // of the history that it grew out of; zeros: none
    int64_t second_offset;       // id2 is good for requests up to this one; -1: none
    int64_t offset;              // master_repl_offset
    int64_t first;
    int64_t received;    // >= offset
    int64_t limit;       // repl-backlog-size, bytes
    bool active;         // a backlog is kept
    int selected_db;     // of the last SELECT written; -1: the next command needs one
    struct list blocks;  // of struct repl_block (stream.c)
    struct list dropped; // blocks of a history that is over, not yet freed
    size_t block_count;  // of both lists
    struct list readers; // of struct repl_reader
};

// Somebody's place in the stream. What it has not read is pinned, whatever the limit says.
struct repl_reader {
    struct list link;
    int64_t next; // number of the byte that comes next
    struct repl_block *at;
};

void repl_stream_init(struct repl_stream *s, struct rng *rng, int64_t limit);
void repl_stream_free(struct repl_stream *s); // no readers are left

// ---- history ----------------------------------------------------------------------------------
void repl_stream_new_id(struct repl_stream *s); // and forgets id2
// Goes on under a new id; the old one becomes id2, good up to here (promotion, failover).
void repl_stream_shift_id(struct repl_stream *s);
// Goes on under a primary's new id after "+CONTINUE <id>".
void repl_stream_follow_id(struct repl_stream *s, const char *id);
// Another history: drops everything, begins after `offset` with an empty active backlog.
void repl_stream_reset(struct repl_stream *s, const char *id, int64_t offset);
// Renumbers what is held: all that was written so far follows `base` bytes more. No readers.
void repl_stream_rebase(struct repl_stream *s, int64_t base);
// Keeps a backlog from here on; fine when it does already.
void repl_stream_activate(struct repl_stream *s);
void repl_stream_deactivate(struct repl_stream *s); // drops it; no readers are left
void repl_stream_resize(struct repl_stream *s, int64_t limit);

// ---- writing ----------------------------------------------------------------------------------
void repl_stream_append(struct repl_stream *s, struct bytes data);
// Whole requests as they go over the wire. A SELECT goes before them when `db` (not -1) is not the
// selected one.
void repl_stream_requests(struct repl_stream *s, int db, struct bytes text);
// The same, of one request that is not written out yet.
void repl_stream_command(struct repl_stream *s, int db, int argc, const struct bytes *argv);
// A primary's bytes: held, and seen by nobody until committed up to an offset.
void repl_stream_receive(struct repl_stream *s, struct bytes data);
void repl_stream_commit(struct repl_stream *s, int64_t offset);
void repl_stream_drop_received(struct repl_stream *s); // what was not committed never was
// Gives back what nobody needs: at most REPL_TRIM_CHUNKS chunks. True: there is more.
bool repl_stream_trim(struct repl_stream *s);

// ---- reading ----------------------------------------------------------------------------------
// May a request to go on with byte number `next` of history `id` be served?
enum repl_verdict {
    REPL_CONTINUE,
    REPL_OTHER_ID,       // neither of our histories
    REPL_AFTER_SECOND,   // id2, but past where it ended
    REPL_NOT_IN_BACKLOG, // ours, but not held (any more, or yet)
};
enum repl_verdict repl_stream_judge(const struct repl_stream *s, struct bytes id, int64_t next);
// `next` is within first .. offset + 1.
void repl_reader_open(struct repl_stream *s, struct repl_reader *r, int64_t next);
void repl_reader_copy(const struct repl_reader *from, struct repl_reader *to); // at the same place
void repl_reader_close(struct repl_reader *r);                                 // fine if not open
static inline bool repl_reader_is_open(const struct repl_reader *r)
{
    return r->link.next != NULL && !list_empty(&r->link);
}
// Shares up to `max` bytes into `out`; returns how many.
size_t repl_reader_take(struct repl_stream *s, struct repl_reader *r, struct chain *out,
                        size_t max);
static inline int64_t repl_reader_left(const struct repl_stream *s, const struct repl_reader *r)
{
    return s->offset + 1 - r->next;
}

int64_t repl_stream_histlen(const struct repl_stream *s); // bytes that a request may ask for
size_t repl_stream_memory(const struct repl_stream *s);   // of all chunks

#endif
