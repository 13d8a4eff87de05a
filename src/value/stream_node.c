#include "value/stream_node.h"

const unsigned char *stream_node_skip(const unsigned char *node, const unsigned char *at,
                                      uint64_t count)
{
    while (count-- > 0 && at)
        at = listpack_next(node, at);
    return at;
}

struct stream_node_head stream_node_head(const unsigned char *node)
{
    const unsigned char *live = listpack_first(node);
    const unsigned char *deleted = listpack_next(node, live);
    const unsigned char *count = listpack_next(node, deleted);
    return (struct stream_node_head){
        .live = stream_node_number(live),
        .deleted = stream_node_number(deleted),
        .field_count = (uint64_t)stream_node_number(count),
        .fields = listpack_next(node, count),
    };
}

const unsigned char *stream_node_first(const unsigned char *node,
                                       const struct stream_node_head *head)
{
    return stream_node_skip(node, head->fields, head->field_count + 1);
}

// From the last element of an entry, which counts those before it, or from the master entry's
// terminator, which is 0 as no entry's count is.
static const unsigned char *entry_ending_at(const unsigned char *node, const unsigned char *end)
{
    uint64_t count = (uint64_t)stream_node_number(end);
    if (count == 0) return NULL;
    while (count-- > 0)
        end = listpack_prev(node, end);
    return end;
}

const unsigned char *stream_node_last(const unsigned char *node)
{
    return entry_ending_at(node, listpack_last(node));
}

const unsigned char *stream_node_before(const unsigned char *node, const unsigned char *at)
{
    return entry_ending_at(node, listpack_prev(node, at));
}

struct stream_node_entry stream_node_entry(const unsigned char *node, const unsigned char *at,
                                           struct stream_id master_id, uint64_t master_field_count)
{
    const unsigned char *ms = listpack_next(node, at), *seq = listpack_next(node, ms);
    struct stream_node_entry entry = {
        .at = at,
        .flags = stream_node_number(at),
        .id = {master_id.ms + (uint64_t)stream_node_number(ms),
               master_id.seq + (uint64_t)stream_node_number(seq)},
        .field_count = master_field_count,
        .body = listpack_next(node, seq),
    };
    if (entry.flags & STREAM_SAME_FIELDS) return entry;
    entry.field_count = (uint64_t)stream_node_number(entry.body);
    entry.body = listpack_next(node, entry.body);
    return entry;
}

const unsigned char *stream_node_after(const unsigned char *node,
                                       const struct stream_node_entry *entry)
{
    uint64_t elements = entry->field_count;
    if (!(entry->flags & STREAM_SAME_FIELDS)) elements *= 2;
    return stream_node_skip(node, entry->body, elements + 1);
}
