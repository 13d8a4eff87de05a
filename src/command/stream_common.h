// What the stream commands share: ids as arguments, entries as replies, and how changes of consumer
// groups are told to replicas. Texts and forms as Redis 7.0.
#ifndef WHERRY_COMMAND_STREAM_COMMON_H
#define WHERRY_COMMAND_STREAM_COMMON_H

#include "node/command.h"
#include "value/stream_group.h"

// ---- arguments (they reply the error themselves and return false) -------------------------------
bool stream_id_arg(struct ctx *c, int index, uint64_t missing_seq, struct stream_id *out);
// The two ends of an interval, both included in what comes out. `end` may be left out (NULL).
bool stream_start_arg(struct ctx *c, int index, struct stream_id *start);
bool stream_end_arg(struct ctx *c, int index, struct stream_id *end);

// ---- replies ------------------------------------------------------------------------------------
void reply_stream_id(struct reply *r, struct stream_id id);
// An entry with its fields; `it` has just given it.
void reply_stream_entry(struct reply *r, struct stream_iter *it, const struct stream_entry *entry);
// The entry of this id. False, with nothing written, when there is none.
bool reply_stream_entry_at(struct reply *r, const struct stream *s, struct stream_id id);
// An array of the entries between two ids, both included; count 0: all. Returns how many.
uint64_t reply_stream_range(struct reply *r, const struct stream *s, struct stream_id from,
                            struct stream_id to, bool backward, uint64_t count);

// ---- groups -------------------------------------------------------------------------------------
// The stream at a key, looked up as a reader does; false: another type, replied. *out may be NULL.
bool stream_find(struct ctx *c, struct bytes key, struct stream **out);
// Stream and group named by two arguments. False: replied WRONGTYPE or NOGROUP.
bool stream_find_group(struct ctx *c, int key_index, int group_index, struct stream **s,
                       struct stream_group **g);
// The consumer of that name, seen now; made, with its event, when it is not there.
struct stream_consumer *stream_consumer_seen(struct ctx *c, struct stream_group *g,
                                             struct bytes key, struct bytes name);
// Replicas see what became of a pending entry, not the command that did it.
void stream_propagate_claim(struct ctx *c, struct bytes key, const struct stream_group *g,
                            const struct stream_pending *pending);
void stream_propagate_group_id(struct ctx *c, struct bytes key, const struct stream_group *g);
void stream_propagate_consumer(struct ctx *c, struct bytes key, const struct stream_group *g,
                               struct bytes name);
// A pending entry whose stream entry was deleted: off both lists here and on replicas.
void stream_drop_pending(struct ctx *c, struct bytes key, struct stream_group *g,
                         const struct stream_pending *pending);

#endif
