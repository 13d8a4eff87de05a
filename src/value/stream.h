// Streams: VALUE_STREAM. Entries sit in listpacks ("nodes") of up to stream-node-max-bytes and
// stream-node-max-entries, keyed by the id of their first entry, the master id.
//
// A node's layout is Redis 7.0's to the byte (t_stream.c), as nodes go into RDB files and DUMP
// payloads as they are. Elements of the listpack:
//
//     master entry:  live, deleted, field count n, field 1 .. field n, 0
//     each entry:    flags, ms - master ms, seq - master seq,
//                    with STREAM_SAME_FIELDS:   value 1 .. value n
//                    without:  count m, field 1, value 1 .. field m, value m
//                    how many elements the entry has before this one
#ifndef WHERRY_VALUE_STREAM_H
#define WHERRY_VALUE_STREAM_H

#include "base/error.h"
#include "base/text.h"
#include "value/idtree.h"
#include "value/listpack.h"
#include "value/value.h"

enum stream_flag { STREAM_DELETED = 1, STREAM_SAME_FIELDS = 2 };

struct stream_groups; // stream_group.c

struct stream {
    struct idtree *nodes; // master id -> unsigned char *listpack, owned
    uint64_t length;      // entries that are not deleted
    struct stream_id last_id;
    struct stream_id first_id;       // 0-0 when empty
    struct stream_id max_deleted_id; // the greatest id that XDEL took away
    uint64_t entries_added;          // ever
    size_t node_bytes;               // of all listpacks
    struct stream_groups *groups;    // NULL until there is one; see stream_group.h
};

struct stream *stream_new(void);
// Makes `v` an empty stream.
void stream_new_value(struct value *v);
// The stream behind a value of that type.
struct stream *stream_of(const struct value *v);

// ---- writing ----------------------------------------------------------------------------------

enum stream_id_kind {
    STREAM_ID_GIVEN,    // as it is
    STREAM_ID_AUTO_SEQ, // ms-*
    STREAM_ID_AUTO,     // *: from the clock, never before last_id
};
enum stream_add_result {
    STREAM_ADDED,
    STREAM_ADD_NOT_GREATER, // not greater than last_id, or no id is left
    STREAM_ADD_TOO_LARGE,   // fields and values above 1 GiB
};

// XADD. `pairs` are 2 * `field_count` views, field and value in turn, none inside this stream.
// *id is the id wanted and becomes the one taken. Nothing is changed on failure.
enum stream_add_result stream_add(struct stream *s, const struct value_limits *limits,
                                  enum stream_id_kind kind, struct stream_id *id, int64_t now_ms,
                                  const struct bytes *pairs, uint64_t field_count);

// XDEL of one id, with first_id and max_deleted_id kept up. False when there is no such entry.
bool stream_delete(struct stream *s, struct stream_id id);

// XTRIM and the trimming part of XADD. With `approximate` only whole nodes go, and with
// `limit` > 0 never more than that many entries. Return how many entries went.
uint64_t stream_trim_length(struct stream *s, uint64_t max_length, bool approximate,
                            uint64_t limit);
uint64_t stream_trim_before(struct stream *s, struct stream_id min_id, bool approximate,
                            uint64_t limit);
// The LIMIT that counts when a client gives `~` without one.
uint64_t stream_trim_default_limit(const struct value_limits *limits);

// ---- reading ----------------------------------------------------------------------------------

struct stream_entry {
    struct stream_id id;
    uint64_t field_count;
};

// Walks entries between two ids, both included, deleted ones left out. Owns nothing: may be copied
// and dropped at any time, stays valid while nobody writes to the stream (groups apart).
struct stream_iter {
    const struct stream *stream;
    struct stream_id from, to;
    bool backward;
    struct idtree_iter nodes;
    bool ended;
    const unsigned char *node; // NULL: take the next
    struct stream_id master_id;
    uint64_t master_field_count;
    const unsigned char *master_fields; // the first one's name
    const unsigned char *entry;         // the one looked at last, at its flags
    const unsigned char *field;         // what comes next of it; NULL: no entry looked at yet
    const unsigned char *name;          // with same_fields, its next field's name
    uint64_t fields_left;
    bool same_fields;
    char field_number[TEXT_I64_BYTES], value_number[TEXT_I64_BYTES];
};

void stream_seek(struct stream_iter *it, const struct stream *s, struct stream_id from,
                 struct stream_id to, bool backward);
bool stream_next(struct stream_iter *it, struct stream_entry *entry); // false at the end
// The next field of the entry that stream_next gave last; false after the last field. Need not be
// called, nor to the end. Views are good until the next call on this iterator.
bool stream_next_field(struct stream_iter *it, struct bytes *field, struct bytes *value);

bool stream_has(const struct stream *s, struct stream_id id);
// The id of the first or last entry that is there; false when the stream is empty.
bool stream_edge_id(const struct stream *s, bool first, struct stream_id *id);
// The last entry's id, 0-0 when empty: what XSETID must not go below.
struct stream_id stream_last_entry_id(const struct stream *s);

// ---- lag --------------------------------------------------------------------------------------

#define STREAM_UNKNOWN ((int64_t)-1)
// How many entries were added up to and including `id`, when that can be told; STREAM_UNKNOWN
// otherwise.
int64_t stream_distance(const struct stream *s, struct stream_id id);
// Whether entries may have been deleted at `from` or later.
bool stream_has_tombstones_from(const struct stream *s, struct stream_id from);

// ---- nodes, for encoders and decoders
// ------------------------------------------------------------

// In order. Resumable: valid while nobody writes to the stream.
uint64_t stream_node_count(const struct stream *s);
void stream_nodes_seek(struct idtree_iter *it, const struct stream *s);
bool stream_nodes_next(struct idtree_iter *it, struct stream_id *master_id, struct bytes *bytes);

// What a valid node holds.
struct stream_node_facts {
    uint64_t live, deleted;
    struct stream_id last_id; // of its last entry, deleted or not; the master id if it has none
};
// Whether untrusted bytes are one well-formed node: the listpack, the layout above, counts that are
// right, and ids that ascend from the master id on.
bool stream_node_validate(const unsigned char *bytes, size_t len, struct stream_id master_id,
                          struct stream_node_facts *facts);
// Adds a node after all others. `bytes` is from mem_alloc or mem_try and is the stream's from now
// on, or freed when refused: when it is no valid node or its ids don't come after all that are
// there. Adds to nothing else: finish with stream_set_meta.
bool stream_append_node(struct stream *s, struct stream_id master_id, unsigned char *bytes,
                        size_t len, struct error *error) __attribute__((warn_unused_result));

// The same in pieces, for long nodes: begin, step until the result is not MORE, then append what
// was found good. The bytes must stay where they are meanwhile; they are the caller's until
// appended.
enum stream_check_result { STREAM_CHECK_MORE, STREAM_CHECK_GOOD, STREAM_CHECK_BAD };
struct stream_node_check {
    struct listpack_reader reader;
    struct stream_id master_id, id;
    int state; // stream_check.c
    bool same_fields, entry_deleted, bad;
    uint64_t master_fields, left, elements; // left: to pass over; elements: of this entry so far
    uint64_t told_live, told_deleted;
    struct stream_node_facts seen;
};
void stream_node_check_begin(struct stream_node_check *check, struct bytes bytes,
                             struct stream_id master_id);
// A NULL budget has no end.
enum stream_check_result stream_node_check_step(struct stream_node_check *check,
                                                struct budget *budget);
// As stream_append_node. `bytes` are those that were checked.
bool stream_append_checked(struct stream *s, const struct stream_node_check *check,
                           unsigned char *bytes, struct error *error)
    __attribute__((warn_unused_result));

// What follows the nodes in an RDB file. Refused when `length` is not what the nodes hold.
struct stream_meta {
    uint64_t length;
    struct stream_id last_id, first_id, max_deleted_id;
    uint64_t entries_added;
};
bool stream_set_meta(struct stream *s, const struct stream_meta *meta, struct error *error)
    __attribute__((warn_unused_result));
// The same for files from before Redis 7.0, which have only these two.
bool stream_set_old_meta(struct stream *s, uint64_t length, struct stream_id last_id,
                         struct error *error) __attribute__((warn_unused_result));

// ---- what value.c does by type
// --------------------------------------------------------------------

uint64_t stream_length(const struct stream *s); // entries; constant time
size_t stream_memory(const struct stream *s);   // bytes; in the order of groups and consumers
void stream_free_all(struct stream *s);
// Frees a piece. True when nothing is left; then `s` must not be used again.
bool stream_free_step(struct stream *s, struct budget *budget);
struct stream *stream_copy(const struct stream *s);

#endif
