// Adding to a stream and taking away from it. Deleted entries stay in their node with a flag until
// the whole node goes, as in Redis 7.0.
#include "value/stream_node.h"

static void store_node(struct stream *s, struct stream_id master_id, size_t old_bytes,
                       unsigned char *node)
{
    idtree_replace(s->nodes, master_id, node);
    s->node_bytes += listpack_bytes(node) - old_bytes;
}

static void drop_node(struct stream *s, struct stream_id master_id)
{
    unsigned char *node = idtree_remove(s->nodes, master_id);
    s->node_bytes -= listpack_bytes(node);
    listpack_free(node);
}

// The two counters at the front of a node.
static unsigned char *set_counts(unsigned char *node, int64_t live, int64_t deleted)
{
    unsigned char *at = listpack_first(node);
    node = listpack_replace_number(node, &at, live);
    at = listpack_next(node, at);
    return listpack_replace_number(node, &at, deleted);
}

static void find_first_id(struct stream *s)
{
    s->first_id = STREAM_ID_MIN;
    if (s->length > 0) stream_edge_id(s, true, &s->first_id);
}

// ---- adding -----------------------------------------------------------------------------------

// The id that the entry gets. False when there is none that is greater than the last.
static bool choose_id(const struct stream *s, enum stream_id_kind kind, struct stream_id wanted,
                      int64_t now_ms, struct stream_id *id)
{
    *id = wanted;
    if (kind == STREAM_ID_AUTO) {
        *id = (struct stream_id){now_ms > 0 ? (uint64_t)now_ms : 0, 0};
        if (id->ms <= s->last_id.ms) {
            *id = s->last_id;
            return stream_id_increment(id);
        }
    } else if (kind == STREAM_ID_AUTO_SEQ) {
        id->seq = 0;
        if (id->ms == s->last_id.ms) {
            if (s->last_id.seq == UINT64_MAX) return false;
            id->seq = s->last_id.seq + 1;
        }
    }
    return stream_id_compare(*id, s->last_id) > 0;
}

// Whether `more` bytes of fields and values still go into the last node.
static bool node_has_room(const unsigned char *node, const struct value_limits *limits, size_t more)
{
    size_t max_bytes = limits->stream_node_max_bytes;
    if (max_bytes == 0 || max_bytes > STREAM_NODE_MAX_BYTES) max_bytes = STREAM_NODE_MAX_BYTES;
    if (listpack_bytes(node) + more >= max_bytes) return false;
    if (limits->stream_node_max_entries == 0) return true;
    struct stream_node_head head = stream_node_head(node);
    return head.live + head.deleted < limits->stream_node_max_entries;
}

static unsigned char *new_node(const struct bytes *pairs, uint64_t field_count)
{
    unsigned char *node = listpack_append_number(listpack_new(0), 0);
    node = listpack_append_number(node, 0);
    node = listpack_append_number(node, (int64_t)field_count);
    for (uint64_t i = 0; i < field_count; i++)
        node = listpack_append(node, pairs[2 * i]);
    return listpack_append_number(node, 0);
}

static bool has_master_fields(const unsigned char *node, const struct stream_node_head *head,
                              const struct bytes *pairs, uint64_t field_count)
{
    if (head->field_count != field_count) return false;
    const unsigned char *name = head->fields;
    for (uint64_t i = 0; i < field_count; i++, name = listpack_next(node, name))
        if (!listpack_equals(name, pairs[2 * i])) return false;
    return true;
}

static unsigned char *append_entry(unsigned char *node, struct stream_id master_id,
                                   struct stream_id id, const struct bytes *pairs,
                                   uint64_t field_count)
{
    struct stream_node_head head = stream_node_head(node);
    bool same = has_master_fields(node, &head, pairs, field_count);
    unsigned char *at = listpack_first(node);
    node = listpack_replace_number(node, &at, head.live + 1);
    node = listpack_append_number(node, same ? STREAM_SAME_FIELDS : 0);
    node = listpack_append_number(node, (int64_t)(id.ms - master_id.ms));
    node = listpack_append_number(node, (int64_t)(id.seq - master_id.seq));
    if (!same) node = listpack_append_number(node, (int64_t)field_count);
    for (uint64_t i = 0; i < field_count; i++) {
        if (!same) node = listpack_append(node, pairs[2 * i]);
        node = listpack_append(node, pairs[2 * i + 1]);
    }
    uint64_t elements = 3 + (same ? field_count : 2 * field_count + 1);
    return listpack_append_number(node, (int64_t)elements);
}

// The last node that begins before `id`, or NULL. Nodes that begin later hold only tombstones, left
// by XTRIM MINID with the stream then set back by XSETID: they go, as ids must ascend.
static unsigned char *last_node(struct stream *s, struct stream_id id, struct stream_id *master_id)
{
    for (;;) {
        struct idtree_iter it;
        void *node;
        idtree_seek_last(&it, s->nodes);
        if (!idtree_prev(&it, master_id, &node)) return NULL;
        if (stream_id_compare(*master_id, id) < 0) return node;
        drop_node(s, *master_id);
    }
}

enum stream_add_result stream_add(struct stream *s, const struct value_limits *limits,
                                  enum stream_id_kind kind, struct stream_id *id, int64_t now_ms,
                                  const struct bytes *pairs, uint64_t field_count)
{
    struct stream_id chosen, master_id;
    if (!choose_id(s, kind, *id, now_ms, &chosen)) return STREAM_ADD_NOT_GREATER;
    size_t payload = 0;
    for (uint64_t i = 0; i < 2 * field_count; i++)
        payload += pairs[i].len;
    if (payload > STREAM_NODE_MAX_BYTES) return STREAM_ADD_TOO_LARGE;

    unsigned char *node = last_node(s, chosen, &master_id);
    if (node && !node_has_room(node, limits, payload)) node = NULL;
    size_t old_bytes = node ? listpack_bytes(node) : 0;
    if (node == NULL) {
        master_id = chosen;
        node = new_node(pairs, field_count);
        idtree_insert(s->nodes, master_id, node);
    }
    store_node(s, master_id, old_bytes, append_entry(node, master_id, chosen, pairs, field_count));
    s->length++;
    s->entries_added++;
    s->last_id = *id = chosen;
    if (s->length == 1) s->first_id = chosen;
    return STREAM_ADDED;
}

// ---- deleting ---------------------------------------------------------------------------------

// Finds an entry that is not deleted. False when there is none.
static bool find_entry(const struct stream *s, struct stream_id id, struct stream_iter *it)
{
    struct stream_entry entry;
    stream_seek(it, s, id, id, false);
    return stream_next(it, &entry);
}

bool stream_delete(struct stream *s, struct stream_id id)
{
    struct stream_iter it;
    if (!find_entry(s, id, &it)) return false;
    unsigned char *node = idtree_find(s->nodes, it.master_id);
    struct stream_node_head head = stream_node_head(node);
    if (head.live == 1) {
        drop_node(s, it.master_id);
    } else {
        size_t old_bytes = listpack_bytes(node);
        unsigned char *flags = node + (it.entry - node);
        node = listpack_replace_number(node, &flags, stream_node_number(flags) | STREAM_DELETED);
        node = set_counts(node, head.live - 1, head.deleted + 1);
        store_node(s, it.master_id, old_bytes, node);
    }
    s->length--;
    if (stream_id_compare(id, s->max_deleted_id) > 0) s->max_deleted_id = id;
    if (s->length == 0 || stream_id_compare(id, s->first_id) == 0) find_first_id(s);
    return true;
}

// ---- trimming ---------------------------------------------------------------------------------

struct trim {
    bool by_id; // else by length
    uint64_t max_length;
    struct stream_id min_id;
};

// Whether all of a node is to go.
static bool node_goes(const struct stream *s, const struct trim *trim, const unsigned char *node,
                      struct stream_id master_id, const struct stream_node_head *head)
{
    if (!trim->by_id) return s->length - (uint64_t)head->live >= trim->max_length;
    const unsigned char *at = stream_node_last(node);
    struct stream_node_entry last = stream_node_entry(node, at, master_id, head->field_count);
    return stream_id_compare(last.id, trim->min_id) < 0;
}

// Flags entries of a node as deleted, from its first on. Returns how many.
static uint64_t trim_inside(struct stream *s, const struct trim *trim, unsigned char *node,
                            struct stream_id master_id, const struct stream_node_head *head)
{
    size_t old_bytes = listpack_bytes(node);
    int64_t gone = 0;
    const unsigned char *at = stream_node_first(node, head);
    while (at != NULL) {
        struct stream_node_entry e = stream_node_entry(node, at, master_id, head->field_count);
        bool enough = trim->by_id ? stream_id_compare(e.id, trim->min_id) >= 0
                                  : s->length <= trim->max_length;
        if (enough) break;
        if (!(e.flags & STREAM_DELETED)) {
            unsigned char *flags = node + (e.at - node);
            node = listpack_replace_number(node, &flags, e.flags | STREAM_DELETED);
            e = stream_node_entry(node, flags, master_id, head->field_count); // it may have moved
            gone++;
            s->length--;
        }
        at = stream_node_after(node, &e);
    }
    node = set_counts(node, head->live - gone, head->deleted + gone);
    store_node(s, master_id, old_bytes, node);
    return (uint64_t)gone;
}

static uint64_t trim_stream(struct stream *s, const struct trim *trim, bool approximate,
                            uint64_t limit)
{
    uint64_t gone = 0;
    for (;;) {
        struct idtree_iter it;
        struct stream_id master_id;
        void *node;
        idtree_seek_first(&it, s->nodes);
        if (!trim->by_id && s->length <= trim->max_length) break;
        if (!idtree_next(&it, &master_id, &node)) break;
        struct stream_node_head head = stream_node_head(node);
        if (limit > 0 && gone + (uint64_t)head.live > limit) break;
        if (!node_goes(s, trim, node, master_id, &head)) {
            if (!approximate) gone += trim_inside(s, trim, node, master_id, &head);
            break;
        }
        drop_node(s, master_id);
        s->length -= (uint64_t)head.live;
        gone += (uint64_t)head.live;
    }
    if (gone > 0 || s->length == 0) find_first_id(s);
    return gone;
}

uint64_t stream_trim_length(struct stream *s, uint64_t max_length, bool approximate, uint64_t limit)
{
    return trim_stream(s, &(struct trim){.max_length = max_length}, approximate, limit);
}

uint64_t stream_trim_before(struct stream *s, struct stream_id min_id, bool approximate,
                            uint64_t limit)
{
    return trim_stream(s, &(struct trim){.by_id = true, .min_id = min_id}, approximate, limit);
}

uint64_t stream_trim_default_limit(const struct value_limits *limits)
{
    int64_t max_entries = limits->stream_node_max_entries;
    if (max_entries <= 0 || max_entries > 10000) return max_entries <= 0 ? 10000 : 1000000;
    return 100 * (uint64_t)max_entries;
}
