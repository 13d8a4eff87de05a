#include "value/stream_node.h"

// ---- trusted ----------------------------------------------------------------------------------

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

// ---- untrusted --------------------------------------------------------------------------------

// A walk over a listpack that is sound in itself, and of which nothing else is known. Once
// something is missing or no number, it has failed and stays so.
struct reading {
    const unsigned char *node, *at;
    bool failed;
};

static int64_t read_number(struct reading *r)
{
    if (r->at == NULL) r->failed = true;
    if (r->failed) return 0;
    struct listpack_entry element = listpack_get(r->at);
    if (element.text.data != NULL) r->failed = true;
    r->at = listpack_next(r->node, r->at);
    return element.number;
}

static uint64_t read_count(struct reading *r)
{
    int64_t number = read_number(r);
    if (number < 0) r->failed = true;
    return number < 0 ? 0 : (uint64_t)number;
}

static void read_over(struct reading *r, uint64_t count)
{
    for (; count > 0 && !r->failed; count--) {
        if (r->at == NULL)
            r->failed = true;
        else
            r->at = listpack_next(r->node, r->at);
    }
}

// One entry. False when it is malformed.
static bool read_entry(struct reading *r, uint64_t master_fields, struct stream_id master_id,
                       int64_t *flags, struct stream_id *id)
{
    *flags = read_number(r);
    if (*flags & ~(int64_t)(STREAM_DELETED | STREAM_SAME_FIELDS)) return false;
    id->ms = master_id.ms + (uint64_t)read_number(r);
    id->seq = master_id.seq + (uint64_t)read_number(r);
    uint64_t fields = master_fields, elements = 3;
    if (*flags & STREAM_SAME_FIELDS) {
        read_over(r, fields);
        elements += fields;
    } else {
        fields = read_count(r);
        if (fields > UINT32_MAX) return false; // more than a listpack can hold
        read_over(r, 2 * fields);
        elements += 2 * fields + 1;
    }
    uint64_t told = read_count(r);
    return !r->failed && told == elements;
}

// Deleted entries may have any id: XSETID can set the stream back behind them.
bool stream_node_validate(const unsigned char *bytes, size_t len, struct stream_id master_id,
                          struct stream_node_facts *facts)
{
    if (!listpack_validate(bytes_of(bytes, len), true, NULL, NULL)) return false;
    struct reading r = {bytes, listpack_first(bytes), false};
    struct stream_node_facts told = {.last_id = master_id}, seen = {.last_id = master_id};
    told.live = read_count(&r);
    told.deleted = read_count(&r);
    uint64_t fields = read_count(&r);
    if (fields > UINT32_MAX) return false;
    read_over(&r, fields);
    if (read_number(&r) != 0 || r.failed) return false;
    while (r.at != NULL) {
        struct stream_id id;
        int64_t flags;
        if (!read_entry(&r, fields, master_id, &flags, &id)) return false;
        if (flags & STREAM_DELETED) {
            seen.deleted++;
            continue;
        }
        int order = stream_id_compare(id, seen.last_id);
        if (order < 0 || (order == 0 && seen.live > 0)) return false;
        seen.last_id = id;
        seen.live++;
    }
    if (seen.live != told.live || seen.deleted != told.deleted) return false;
    if (seen.live + seen.deleted == 0) return false;
    if (facts) *facts = seen;
    return true;
}
