// Consumer groups of a stream: what was delivered to whom and is not acknowledged yet. Semantics as
// Redis 7.0 t_stream.c. Groups and consumers are kept in the order of their names' bytes, which is
// the order in which Redis shows and saves them.
//
// A pending entry is on two lists (PELs): the group's, which owns it, and its consumer's.
#ifndef WHERRY_VALUE_STREAM_GROUP_H
#define WHERRY_VALUE_STREAM_GROUP_H

#include "value/stream.h"

// Things that begin with their `struct str *name`, in the order of the names' bytes.
struct stream_names {
    void **items;
    uint32_t count, cap;
};

struct stream_consumer {
    struct str *name;
    int64_t seen_time_ms;   // Unix time of the last command that named it
    int64_t active_time_ms; // of the last one that gave it something (RDB 11 and later); else seen
    struct idtree *pending; // id -> struct stream_pending, not owned
};

struct stream_pending {
    struct stream_id id;
    struct stream_consumer *consumer; // NULL only while a decoder builds the group
    int64_t delivery_time_ms;         // Unix time of the last delivery
    uint64_t delivery_count;
};

struct stream_group {
    struct str *name;
    struct stream_id last_id;
    int64_t entries_read;          // STREAM_UNKNOWN when it can't be told
    struct idtree *pending;        // id -> struct stream_pending, owned
    struct stream_names consumers; // of struct stream_consumer, owned
};

// ---- groups -----------------------------------------------------------------------------------

uint32_t stream_group_count(const struct stream *s);
// By place in name order, 0..count-1: stable while no group is made or destroyed.
struct stream_group *stream_group_at(const struct stream *s, uint32_t index);
struct stream_group *stream_group_find(const struct stream *s, struct bytes name); // or NULL
// NULL when there is one of that name.
struct stream_group *stream_group_create(struct stream *s, struct bytes name,
                                         struct stream_id last_id, int64_t entries_read);
bool stream_group_destroy(struct stream *s, struct bytes name); // false: no such group
// For groups with many pending entries: takes the group off the stream, to be freed by the caller
// in pieces (true when nothing is left; then `g` must not be used again). NULL: no such group.
struct stream_group *stream_group_detach(struct stream *s, struct bytes name);
bool stream_group_free_step(struct stream_group *g, struct budget *budget);
// Takes the group off one stream and gives it to another, which must have none of that name: a
// stream that holds nothing else can then be freed in pieces. False: no such group.
bool stream_group_move(struct stream *from, struct stream *to, struct bytes name);
void stream_group_set_id(struct stream_group *g, struct stream_id last_id, int64_t entries_read);
// XINFO's lag. False when it can't be told (a null reply).
bool stream_group_lag(const struct stream *s, const struct stream_group *g, int64_t *lag);

// ---- consumers --------------------------------------------------------------------------------

static inline uint32_t stream_consumer_count(const struct stream_group *g)
{
    return g->consumers.count;
}
// By place in name order, as stream_group_at.
struct stream_consumer *stream_consumer_at(const struct stream_group *g, uint32_t index);
struct stream_consumer *stream_consumer_find(const struct stream_group *g, struct bytes name);
// NULL when there is one of that name.
struct stream_consumer *stream_consumer_create(struct stream_group *g, struct bytes name,
                                               int64_t seen_time_ms);
// With its pending entries, from the group's list too. Returns how many those were; -1: no such
// consumer.
int64_t stream_consumer_delete(struct stream_group *g, struct bytes name);

// ---- pending entries --------------------------------------------------------------------------

struct stream_pending *stream_pending_find(const struct stream_group *g, struct stream_id id);
// XREADGROUP gave a new entry to a consumer: moves the group on (last_id, entries_read) and makes
// it pending, or takes it over if it was pending with another. `consumer` NULL: NOACK, only moves
// on.
void stream_group_deliver(const struct stream *s, struct stream_group *g,
                          struct stream_consumer *consumer, struct stream_id id, int64_t now_ms);
// Makes an entry pending. NULL when it is already.
struct stream_pending *stream_pending_create(struct stream_group *g,
                                             struct stream_consumer *consumer, struct stream_id id,
                                             int64_t delivery_time_ms, uint64_t delivery_count);
// XCLAIM and XAUTOCLAIM: gives it to another consumer (or the same); times and counts are the
// caller's to set.
void stream_pending_assign(struct stream_pending *pending, struct stream_consumer *consumer);
// XACK, and entries that are found deleted: takes it off both lists and frees it. False: not there.
bool stream_pending_remove(struct stream_group *g, struct stream_id id);

// Walk a PEL in id order with idtree_seek_*(&it, g->pending or consumer->pending, ...), then:
static inline struct stream_pending *stream_pending_next(struct idtree_iter *it)
{
    void *item;
    return idtree_next(it, NULL, &item) ? (struct stream_pending *)item : NULL;
}

// ---- building from an RDB file ------------------------------------------------------------------

// stream_group_create, then every pending entry of the group without a consumer; false: twice.
bool stream_group_add_pending(struct stream_group *g, struct stream_id id, int64_t delivery_time_ms,
                              uint64_t delivery_count) __attribute__((warn_unused_result));
// stream_consumer_create, then every id of the consumer's list. False: the group has no such entry,
// or it has a consumer already.
bool stream_consumer_add_pending(struct stream_group *g, struct stream_consumer *consumer,
                                 struct stream_id id) __attribute__((warn_unused_result));
// Whether every pending entry has its consumer. Constant in entries.
bool stream_group_is_whole(const struct stream_group *g);

// ---- for stream.c -----------------------------------------------------------------------------

size_t stream_groups_memory(const struct stream_groups *groups); // NULL is fine
void stream_groups_free(struct stream_groups *groups);           // NULL is fine
bool stream_groups_free_step(struct stream_groups *groups, struct budget *budget);
struct stream_groups *stream_groups_copy(const struct stream_groups *groups); // NULL gives NULL

#endif
