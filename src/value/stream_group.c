#include "value/stream_group.h"

#include "base/mem.h"

#include <assert.h>

struct stream_groups {
    struct stream_names names; // of struct stream_group, owned
};

// ---- by name ----------------------------------------------------------------------------------

static struct bytes name_at(const struct stream_names *names, uint32_t index)
{
    return str_view(*(struct str **)names->items[index]);
}

// The place of the name, or where it would be. False when it is not there.
static bool find_name(const struct stream_names *names, struct bytes name, uint32_t *index)
{
    uint32_t low = 0, high = names->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        int order = bytes_compare(name_at(names, middle), name);
        if (order == 0) {
            *index = middle;
            return true;
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    *index = low;
    return false;
}

static void put_name(struct stream_names *names, uint32_t index, void *item)
{
    if (names->count == names->cap) {
        names->cap = names->cap ? names->cap * 2 : 4;
        names->items = mem_realloc(names->items, names->cap * sizeof(void *));
    }
    size_t after = names->count - index;
    memmove(&names->items[index + 1], &names->items[index], after * sizeof(void *));
    names->items[index] = item;
    names->count++;
}

static void take_name(struct stream_names *names, uint32_t index)
{
    size_t after = names->count - index - 1;
    memmove(&names->items[index], &names->items[index + 1], after * sizeof(void *));
    names->count--;
}

// ---- groups -----------------------------------------------------------------------------------

uint32_t stream_group_count(const struct stream *s)
{
    return s->groups ? s->groups->names.count : 0;
}

struct stream_group *stream_group_at(const struct stream *s, uint32_t index)
{
    assert(index < stream_group_count(s));
    return s->groups->names.items[index];
}

struct stream_group *stream_group_find(const struct stream *s, struct bytes name)
{
    uint32_t index;
    if (s->groups == NULL || !find_name(&s->groups->names, name, &index)) return NULL;
    return s->groups->names.items[index];
}

static struct stream_group *group_new(struct bytes name, struct stream_id last_id,
                                      int64_t entries_read)
{
    struct stream_group *g = mem_new(struct stream_group);
    g->name = str_from(name);
    g->last_id = last_id;
    g->entries_read = entries_read;
    g->pending = idtree_new();
    return g;
}

struct stream_group *stream_group_create(struct stream *s, struct bytes name,
                                         struct stream_id last_id, int64_t entries_read)
{
    if (s->groups == NULL) s->groups = mem_new(struct stream_groups);
    uint32_t index;
    if (find_name(&s->groups->names, name, &index)) return NULL;
    struct stream_group *g = group_new(name, last_id, entries_read);
    put_name(&s->groups->names, index, g);
    return g;
}

void stream_group_set_id(struct stream_group *g, struct stream_id last_id, int64_t entries_read)
{
    g->last_id = last_id;
    g->entries_read = entries_read;
}

bool stream_group_lag(const struct stream *s, const struct stream_group *g, int64_t *lag)
{
    *lag = 0;
    if (s->entries_added == 0) return true;
    int64_t read = g->entries_read;
    if (read == STREAM_UNKNOWN || stream_has_tombstones_from(s, g->last_id))
        read = stream_distance(s, g->last_id);
    if (read == STREAM_UNKNOWN) return false;
    *lag = (int64_t)s->entries_added - read;
    return true;
}

// ---- consumers --------------------------------------------------------------------------------

struct stream_consumer *stream_consumer_at(const struct stream_group *g, uint32_t index)
{
    assert(index < g->consumers.count);
    return g->consumers.items[index];
}

struct stream_consumer *stream_consumer_find(const struct stream_group *g, struct bytes name)
{
    uint32_t index;
    return find_name(&g->consumers, name, &index) ? g->consumers.items[index] : NULL;
}

struct stream_consumer *stream_consumer_create(struct stream_group *g, struct bytes name,
                                               int64_t seen_time_ms)
{
    uint32_t index;
    if (find_name(&g->consumers, name, &index)) return NULL;
    struct stream_consumer *consumer = mem_new(struct stream_consumer);
    consumer->name = str_from(name);
    consumer->seen_time_ms = consumer->active_time_ms = seen_time_ms;
    consumer->pending = idtree_new();
    put_name(&g->consumers, index, consumer);
    return consumer;
}

int64_t stream_consumer_delete(struct stream_group *g, struct bytes name)
{
    uint32_t index;
    if (!find_name(&g->consumers, name, &index)) return -1;
    struct stream_consumer *consumer = g->consumers.items[index];
    int64_t count = (int64_t)idtree_count(consumer->pending);
    struct idtree_iter it;
    struct stream_id id;
    idtree_seek_first(&it, consumer->pending);
    while (idtree_next(&it, &id, NULL))
        mem_free(idtree_remove(g->pending, id));
    take_name(&g->consumers, index);
    idtree_free(consumer->pending, NULL);
    str_free(consumer->name);
    mem_free(consumer);
    return count;
}

// ---- pending entries --------------------------------------------------------------------------

struct stream_pending *stream_pending_find(const struct stream_group *g, struct stream_id id)
{
    return idtree_find(g->pending, id);
}

struct stream_pending *stream_pending_create(struct stream_group *g,
                                             struct stream_consumer *consumer, struct stream_id id,
                                             int64_t delivery_time_ms, uint64_t delivery_count)
{
    struct stream_pending *pending = mem_alloc(sizeof(*pending));
    *pending = (struct stream_pending){id, consumer, delivery_time_ms, delivery_count};
    if (!idtree_insert(g->pending, id, pending)) {
        mem_free(pending);
        return NULL;
    }
    if (consumer) idtree_insert(consumer->pending, id, pending);
    return pending;
}

void stream_pending_assign(struct stream_pending *pending, struct stream_consumer *consumer)
{
    if (pending->consumer == consumer) return;
    if (pending->consumer) idtree_remove(pending->consumer->pending, pending->id);
    pending->consumer = consumer;
    idtree_insert(consumer->pending, pending->id, pending);
}

bool stream_pending_remove(struct stream_group *g, struct stream_id id)
{
    struct stream_pending *pending = idtree_remove(g->pending, id);
    if (pending == NULL) return false;
    if (pending->consumer) idtree_remove(pending->consumer->pending, id);
    mem_free(pending);
    return true;
}

void stream_group_deliver(const struct stream *s, struct stream_group *g,
                          struct stream_consumer *consumer, struct stream_id id, int64_t now_ms)
{
    if (stream_id_compare(id, g->last_id) > 0) {
        if (g->entries_read != STREAM_UNKNOWN && !stream_has_tombstones_from(s, id))
            g->entries_read++;
        else if (s->entries_added > 0)
            g->entries_read = stream_distance(s, id);
        g->last_id = id;
    }
    if (consumer == NULL || stream_pending_create(g, consumer, id, now_ms, 1)) return;
    // XGROUP SETID took the group back to entries that are pending.
    struct stream_pending *pending = stream_pending_find(g, id);
    stream_pending_assign(pending, consumer);
    pending->delivery_time_ms = now_ms;
    pending->delivery_count = 1;
}

// ---- building ---------------------------------------------------------------------------------

bool stream_group_add_pending(struct stream_group *g, struct stream_id id, int64_t delivery_time_ms,
                              uint64_t delivery_count)
{
    return stream_pending_create(g, NULL, id, delivery_time_ms, delivery_count) != NULL;
}

bool stream_consumer_add_pending(struct stream_group *g, struct stream_consumer *consumer,
                                 struct stream_id id)
{
    struct stream_pending *pending = stream_pending_find(g, id);
    if (pending == NULL || pending->consumer != NULL) return false;
    stream_pending_assign(pending, consumer);
    return true;
}

bool stream_group_is_whole(const struct stream_group *g)
{
    uint64_t owned = 0;
    for (uint32_t i = 0; i < g->consumers.count; i++)
        owned += idtree_count(stream_consumer_at(g, i)->pending);
    return owned == idtree_count(g->pending);
}

// ---- freeing, copying, counting ---------------------------------------------------------------

// Trees that are freed are set to NULL, so that a step that ran out of budget finds its way back.
static bool free_tree(struct idtree **tree, void (*free_item)(void *), struct budget *budget)
{
    if (*tree == NULL) return true;
    if (budget == NULL)
        idtree_free(*tree, free_item);
    else if (!idtree_free_step(*tree, free_item, budget))
        return false;
    *tree = NULL;
    return true;
}

static bool free_group(struct stream_group *g, struct budget *budget)
{
    for (; g->consumers.count > 0; g->consumers.count--) {
        struct stream_consumer *consumer = stream_consumer_at(g, g->consumers.count - 1);
        if (budget && !budget_left(budget, 8)) return false;
        if (!free_tree(&consumer->pending, NULL, budget)) return false;
        str_free(consumer->name);
        mem_free(consumer);
    }
    if (!free_tree(&g->pending, mem_free, budget)) return false;
    mem_free(g->consumers.items);
    str_free(g->name);
    mem_free(g);
    return true;
}

// A NULL budget has no end.
static bool free_groups(struct stream_groups *groups, struct budget *budget)
{
    for (; groups->names.count > 0; groups->names.count--)
        if (!free_group(groups->names.items[groups->names.count - 1], budget)) return false;
    mem_free(groups->names.items);
    mem_free(groups);
    return true;
}

struct stream_group *stream_group_detach(struct stream *s, struct bytes name)
{
    uint32_t index;
    if (s->groups == NULL || !find_name(&s->groups->names, name, &index)) return NULL;
    struct stream_group *g = s->groups->names.items[index];
    take_name(&s->groups->names, index);
    return g;
}

bool stream_group_move(struct stream *from, struct stream *to, struct bytes name)
{
    struct stream_group *g = stream_group_detach(from, name);
    uint32_t index;
    if (g == NULL) return false;
    if (to->groups == NULL) to->groups = mem_new(struct stream_groups);
    bool there = find_name(&to->groups->names, name, &index);
    assert(!there);
    (void)there;
    put_name(&to->groups->names, index, g);
    return true;
}

bool stream_group_free_step(struct stream_group *g, struct budget *budget)
{
    return free_group(g, budget);
}

bool stream_group_destroy(struct stream *s, struct bytes name)
{
    struct stream_group *g = stream_group_detach(s, name);
    return g != NULL && free_group(g, NULL);
}

void stream_groups_free(struct stream_groups *groups)
{
    if (groups) free_groups(groups, NULL);
}

bool stream_groups_free_step(struct stream_groups *groups, struct budget *budget)
{
    return free_groups(groups, budget);
}

static struct stream_group *copy_group(const struct stream_group *g)
{
    struct stream_group *copy = group_new(str_view(g->name), g->last_id, g->entries_read);
    struct idtree_iter it;
    const struct stream_pending *pending;
    for (uint32_t i = 0; i < g->consumers.count; i++) {
        const struct stream_consumer *from = stream_consumer_at(g, i);
        struct stream_consumer *to =
            stream_consumer_create(copy, str_view(from->name), from->seen_time_ms);
        to->active_time_ms = from->active_time_ms;
        idtree_seek_first(&it, from->pending);
        while ((pending = stream_pending_next(&it)))
            stream_pending_create(copy, to, pending->id, pending->delivery_time_ms,
                                  pending->delivery_count);
    }
    return copy;
}

struct stream_groups *stream_groups_copy(const struct stream_groups *groups)
{
    if (groups == NULL) return NULL;
    struct stream_groups *copy = mem_new(struct stream_groups);
    for (uint32_t i = 0; i < groups->names.count; i++)
        put_name(&copy->names, i, copy_group(groups->names.items[i]));
    return copy;
}

static size_t names_memory(const struct stream_names *names)
{
    return names->cap * sizeof(void *);
}

size_t stream_groups_memory(const struct stream_groups *groups)
{
    if (groups == NULL) return 0;
    size_t total = sizeof(*groups) + names_memory(&groups->names);
    for (uint32_t i = 0; i < groups->names.count; i++) {
        const struct stream_group *g = groups->names.items[i];
        total += sizeof(*g) + g->name->len + names_memory(&g->consumers);
        total +=
            idtree_memory(g->pending) + idtree_count(g->pending) * sizeof(struct stream_pending);
        for (uint32_t k = 0; k < g->consumers.count; k++) {
            const struct stream_consumer *consumer = stream_consumer_at(g, k);
            total += sizeof(*consumer) + consumer->name->len + idtree_memory(consumer->pending);
        }
    }
    return total;
}
