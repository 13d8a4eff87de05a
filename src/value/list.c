#include "value/list.h"

static enum quicklist_end quick_end(enum list_end end)
{
    return end == LIST_HEAD ? QUICKLIST_HEAD : QUICKLIST_TAIL;
}

void list_new(struct value *v, const struct value_limits *limits)
{
    v->type = VALUE_LIST;
    v->encoding = ENCODING_QUICKLIST;
    v->u.quicklist = quicklist_new(limits);
}

void list_add(struct value *v, struct bytes element)
{
    quicklist_push(v->u.quicklist, QUICKLIST_TAIL, element);
}

void list_push(struct value *v, enum list_end end, struct bytes element)
{
    quicklist_push(v->u.quicklist, quick_end(end), element);
}

struct str *list_pop(struct value *v, enum list_end end)
{
    return quicklist_pop(v->u.quicklist, quick_end(end));
}

bool list_set(struct value *v, int64_t index, struct bytes element)
{
    struct quicklist_iter it;
    struct bytes old;
    if (!quicklist_seek(&it, v->u.quicklist, index, false) || !quicklist_next(&it, &old))
        return false;
    quicklist_iter_replace(&it, element);
    return true;
}

bool list_insert(struct value *v, struct bytes pivot, bool after, struct bytes element)
{
    struct quicklist_iter it;
    bool equal;
    quicklist_seek(&it, v->u.quicklist, 0, false);
    while (quicklist_next_equal(&it, pivot, &equal)) {
        if (!equal) continue;
        quicklist_iter_insert(&it, element, after);
        return true;
    }
    return false;
}

uint64_t list_remove_equal(struct value *v, int64_t count, struct bytes element)
{
    struct quicklist_iter it;
    bool equal;
    uint64_t removed = 0, wanted = count < 0 ? -(uint64_t)count : (uint64_t)count;
    quicklist_seek(&it, v->u.quicklist, count < 0 ? -1 : 0, count < 0);
    while (quicklist_next_equal(&it, element, &equal)) {
        if (!equal) continue;
        quicklist_iter_delete(&it);
        if (++removed == wanted) break;
    }
    return removed;
}

uint64_t list_clip_range(const struct value *v, int64_t *start, int64_t *stop)
{
    int64_t length = (int64_t)quicklist_length(v->u.quicklist);
    if (*start < 0) *start = *start < -length ? 0 : *start + length;
    if (*stop < 0) *stop = *stop < -length ? -1 : *stop + length;
    if (*stop >= length) *stop = length - 1;
    return *start > *stop ? 0 : (uint64_t)(*stop - *start + 1);
}

uint64_t list_trim(struct value *v, int64_t start, int64_t stop)
{
    struct quicklist *list = v->u.quicklist;
    uint64_t kept = list_clip_range(v, &start, &stop);
    if (kept == 0) return quicklist_delete_range(list, 0, UINT64_MAX);
    return quicklist_delete_range(list, (uint64_t)stop + 1, UINT64_MAX) +
           quicklist_delete_range(list, 0, (uint64_t)start);
}

uint64_t list_delete_range(struct value *v, uint64_t start, uint64_t count)
{
    return quicklist_delete_range(v->u.quicklist, start, count);
}

uint64_t list_positions(const struct value *v, struct bytes element, int64_t rank, uint64_t count,
                        uint64_t maxlen, void (*found)(void *owner, uint64_t index), void *owner)
{
    uint64_t length = quicklist_length(v->u.quicklist);
    uint64_t to_skip = (rank < 0 ? -(uint64_t)rank : (uint64_t)rank) - 1;
    uint64_t looked_at = 0, hits = 0;
    struct quicklist_iter it;
    bool equal;
    quicklist_seek(&it, v->u.quicklist, rank < 0 ? -1 : 0, rank < 0);
    while ((maxlen == 0 || looked_at < maxlen) && quicklist_next_equal(&it, element, &equal)) {
        uint64_t index = rank < 0 ? length - 1 - looked_at : looked_at;
        looked_at++;
        if (!equal) continue;
        if (to_skip > 0) {
            to_skip--;
            continue;
        }
        found(owner, index);
        if (++hits == count) break;
    }
    return hits;
}

bool list_seek(struct list_iter *it, const struct value *v, int64_t index, bool backward)
{
    return quicklist_seek(&it->at, v->u.quicklist, index, backward);
}

bool list_next(struct list_iter *it, struct bytes *element)
{
    return quicklist_next(&it->at, element);
}

uint64_t list_length(const struct quicklist *list)
{
    return quicklist_length(list);
}

size_t list_memory(const struct quicklist *list)
{
    return quicklist_memory(list);
}

void list_free_all(struct quicklist *list)
{
    quicklist_free(list);
}

bool list_free_step(struct quicklist *list, struct budget *budget)
{
    return quicklist_free_step(list, budget);
}

struct quicklist *list_copy(const struct quicklist *list)
{
    return quicklist_copy(list);
}
