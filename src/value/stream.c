#include "value/stream.h"

#include "base/mem.h"
#include "value/stream_group.h"
#include "value/stream_node.h"

// ---- life -------------------------------------------------------------------------------------

struct stream *stream_new(void)
{
    struct stream *s = mem_new(struct stream);
    s->nodes = idtree_new();
    return s;
}

void stream_new_value(struct value *v)
{
    v->type = VALUE_STREAM;
    v->encoding = ENCODING_STREAM;
    v->u.stream = stream_new();
}

struct stream *stream_of(const struct value *v)
{
    return v->u.stream;
}

uint64_t stream_length(const struct stream *s)
{
    return s->length;
}

size_t stream_memory(const struct stream *s)
{
    return sizeof(*s) + s->node_bytes + idtree_memory(s->nodes) + stream_groups_memory(s->groups);
}

static void free_node(void *node)
{
    listpack_free(node);
}

void stream_free_all(struct stream *s)
{
    idtree_free(s->nodes, free_node);
    stream_groups_free(s->groups);
    mem_free(s);
}

bool stream_free_step(struct stream *s, struct budget *budget)
{
    if (s->nodes && !idtree_free_step(s->nodes, free_node, budget)) return false;
    s->nodes = NULL;
    if (s->groups && !stream_groups_free_step(s->groups, budget)) return false;
    mem_free(s);
    return true;
}

struct stream *stream_copy(const struct stream *s)
{
    struct stream *copy = mem_alloc(sizeof(*copy));
    *copy = *s;
    copy->nodes = idtree_new();
    copy->groups = stream_groups_copy(s->groups);
    struct idtree_iter it;
    struct stream_id id;
    void *node;
    idtree_seek_first(&it, s->nodes);
    while (idtree_next(&it, &id, &node))
        idtree_insert(copy->nodes, id, listpack_copy(node));
    return copy;
}

// ---- walking ----------------------------------------------------------------------------------

void stream_seek(struct stream_iter *it, const struct stream *s, struct stream_id from,
                 struct stream_id to, bool backward)
{
    *it = (struct stream_iter){.stream = s, .from = from, .to = to, .backward = backward};
    it->ended = stream_id_compare(from, to) > 0;
    if (backward) {
        idtree_seek_after(&it->nodes, s->nodes, to);
    } else {
        // `from` may be in the node whose master id is at or before it.
        idtree_seek_after(&it->nodes, s->nodes, from);
        idtree_prev(&it->nodes, NULL, NULL);
    }
}

// Takes the next node. False, and the walk has ended, when there is none.
static bool enter_node(struct stream_iter *it)
{
    void *node;
    bool there = it->backward ? idtree_prev(&it->nodes, &it->master_id, &node)
                              : idtree_next(&it->nodes, &it->master_id, &node);
    if (!there) {
        it->ended = true;
        return false;
    }
    it->node = node;
    struct stream_node_head head = stream_node_head(node);
    it->master_field_count = head.field_count;
    it->master_fields = head.fields;
    it->field = NULL;
    return true;
}

// The flags of the next entry in the node; NULL when there is none.
static const unsigned char *next_in_node(struct stream_iter *it)
{
    if (it->field == NULL) {
        if (it->backward) return stream_node_last(it->node);
        return stream_node_skip(it->node, it->master_fields, it->master_field_count + 1);
    }
    if (it->backward) return stream_node_before(it->node, it->entry);
    uint64_t left = it->same_fields ? it->fields_left : it->fields_left * 2;
    return stream_node_skip(it->node, it->field, left + 1);
}

bool stream_next(struct stream_iter *it, struct stream_entry *entry)
{
    while (!it->ended) {
        if (it->node == NULL && !enter_node(it)) return false;
        const unsigned char *at = next_in_node(it);
        if (at == NULL) {
            it->node = NULL;
            continue;
        }
        struct stream_node_entry e =
            stream_node_entry(it->node, at, it->master_id, it->master_field_count);
        it->entry = at;
        it->field = e.body;
        it->name = it->master_fields;
        it->fields_left = e.field_count;
        it->same_fields = e.flags & STREAM_SAME_FIELDS;
        if (e.flags & STREAM_DELETED) continue;
        bool below = stream_id_compare(e.id, it->from) < 0;
        bool above = stream_id_compare(e.id, it->to) > 0;
        if (it->backward ? below : above) it->ended = true;
        if (below || above) continue;
        *entry = (struct stream_entry){e.id, e.field_count};
        return true;
    }
    return false;
}

bool stream_next_field(struct stream_iter *it, struct bytes *field, struct bytes *value)
{
    if (it->field == NULL || it->fields_left == 0) return false;
    it->fields_left--;
    if (it->same_fields) {
        *field = listpack_text(it->name, it->field_number);
        it->name = listpack_next(it->node, it->name);
    } else {
        *field = listpack_text(it->field, it->field_number);
        it->field = listpack_next(it->node, it->field);
    }
    *value = listpack_text(it->field, it->value_number);
    it->field = listpack_next(it->node, it->field);
    return true;
}

bool stream_has(const struct stream *s, struct stream_id id)
{
    struct stream_iter it;
    struct stream_entry entry;
    stream_seek(&it, s, id, id, false);
    return stream_next(&it, &entry);
}

bool stream_edge_id(const struct stream *s, bool first, struct stream_id *id)
{
    struct stream_iter it;
    struct stream_entry entry;
    stream_seek(&it, s, STREAM_ID_MIN, STREAM_ID_MAX, !first);
    if (!stream_next(&it, &entry)) return false;
    *id = entry.id;
    return true;
}

struct stream_id stream_last_entry_id(const struct stream *s)
{
    struct stream_id id = STREAM_ID_MIN;
    stream_edge_id(s, false, &id);
    return id;
}

// ---- lag --------------------------------------------------------------------------------------

int64_t stream_distance(const struct stream *s, struct stream_id id)
{
    if (s->entries_added == 0) return 0;
    int to_last = stream_id_compare(id, s->last_id);
    if (to_last == 0 || (s->length == 0 && to_last < 0)) return (int64_t)s->entries_added;
    if (to_last > 0) return STREAM_UNKNOWN;
    bool fragmented = !stream_id_is_zero(s->max_deleted_id) &&
                      stream_id_compare(s->max_deleted_id, s->first_id) >= 0;
    int to_first = stream_id_compare(id, s->first_id);
    if (fragmented || to_first > 0) return STREAM_UNKNOWN;
    return (int64_t)(s->entries_added - s->length) + (to_first == 0 ? 1 : 0);
}

bool stream_has_tombstones_from(const struct stream *s, struct stream_id from)
{
    if (s->length == 0 || stream_id_is_zero(s->max_deleted_id)) return false;
    if (stream_id_compare(s->first_id, s->max_deleted_id) > 0) return false; // all behind
    return stream_id_compare(from, s->max_deleted_id) <= 0;
}

// ---- nodes ------------------------------------------------------------------------------------

uint64_t stream_node_count(const struct stream *s)
{
    return idtree_count(s->nodes);
}

void stream_nodes_seek(struct idtree_iter *it, const struct stream *s)
{
    idtree_seek_first(it, s->nodes);
}

bool stream_nodes_next(struct idtree_iter *it, struct stream_id *master_id, struct bytes *bytes)
{
    void *node;
    if (!idtree_next(it, master_id, &node)) return false;
    *bytes = listpack_view(node);
    return true;
}

// While nodes come in, s->last_id is the last id there is and s->length what they hold.
bool stream_append_checked(struct stream *s, const struct stream_node_check *check,
                           unsigned char *bytes, struct error *error)
{
    struct stream_id master_id = check->master_id;
    bool first = idtree_count(s->nodes) == 0;
    if (!first && stream_id_compare(master_id, s->last_id) <= 0) {
        mem_free(bytes);
        return error_set(error, ERROR_CORRUPT, "stream nodes are out of order or come twice");
    }
    if (!idtree_insert(s->nodes, master_id, bytes)) {
        mem_free(bytes);
        return error_set(error, ERROR_CORRUPT, "a stream node comes twice");
    }
    s->node_bytes += listpack_bytes(bytes);
    s->length += check->seen.live;
    s->last_id = check->seen.last_id;
    return true;
}

bool stream_append_node(struct stream *s, struct stream_id master_id, unsigned char *bytes,
                        size_t len, struct error *error)
{
    struct stream_node_check check;
    stream_node_check_begin(&check, bytes_of(bytes, len), master_id);
    if (stream_node_check_step(&check, NULL) == STREAM_CHECK_GOOD)
        return stream_append_checked(s, &check, bytes, error);
    mem_free(bytes);
    return error_set(error, ERROR_CORRUPT, "Stream listpack integrity check failed");
}

bool stream_set_meta(struct stream *s, const struct stream_meta *meta, struct error *error)
{
    if (meta->length != s->length)
        return error_set(error, ERROR_CORRUPT, "stream length is not what its nodes hold");
    s->last_id = meta->last_id;
    s->first_id = meta->first_id;
    s->max_deleted_id = meta->max_deleted_id;
    s->entries_added = meta->entries_added;
    return true;
}

bool stream_set_old_meta(struct stream *s, uint64_t length, struct stream_id last_id,
                         struct error *error)
{
    struct stream_meta meta = {.length = length, .last_id = last_id, .entries_added = length};
    stream_edge_id(s, true, &meta.first_id);
    return stream_set_meta(s, &meta, error);
}
