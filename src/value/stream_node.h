// Inside of streams: reading the parts of a node. For stream*.c alone; the layout is in stream.h.
// Everything here trusts the node; stream_check.c is what makes it trustworthy.
#ifndef WHERRY_VALUE_STREAM_NODE_H
#define WHERRY_VALUE_STREAM_NODE_H

#include "value/listpack.h"
#include "value/stream.h"

#define STREAM_NODE_MAX_BYTES ((size_t)1 << 30)

struct stream_node_head {
    int64_t live, deleted;
    uint64_t field_count;
    const unsigned char *fields; // the first one's name, or the terminator when there is none
};

struct stream_node_entry {
    const unsigned char *at; // its flags
    struct stream_id id;
    int64_t flags;
    uint64_t field_count;
    const unsigned char *body; // the first field or value; what it points to follows the counts
};

static inline int64_t stream_node_number(const unsigned char *at)
{
    return listpack_get(at).number;
}
// `count` elements on from `at`; they must be there, NULL at the end.
const unsigned char *stream_node_skip(const unsigned char *node, const unsigned char *at,
                                      uint64_t count);
struct stream_node_head stream_node_head(const unsigned char *node);
// The flags of the first entry; NULL when there is none.
const unsigned char *stream_node_first(const unsigned char *node,
                                       const struct stream_node_head *head);
// The flags of the last entry, or of the one before the entry at `at`; NULL when there is none.
const unsigned char *stream_node_last(const unsigned char *node);
const unsigned char *stream_node_before(const unsigned char *node, const unsigned char *at);
struct stream_node_entry stream_node_entry(const unsigned char *node, const unsigned char *at,
                                           struct stream_id master_id, uint64_t master_field_count);
// The flags of the entry after this one; NULL when it is the last.
const unsigned char *stream_node_after(const unsigned char *node,
                                       const struct stream_node_entry *entry);

#endif
