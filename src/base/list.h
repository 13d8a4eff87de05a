// Intrusive doubly linked lists: the link lives inside the thing that is listed, so that listing
// allocates nothing and a thing can take itself off in constant time.
#ifndef WHERRY_BASE_LIST_H
#define WHERRY_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list {
    struct list *next, *prev;
};

// The struct that `link`, a `struct list *`, is the member `member` of.
#define list_entry(link, type, member) ((type *)(void *)((char *)(link)-offsetof(type, member)))
// `cursor` must not be taken off while walking; list_each_safe allows that of the current one.
#define list_each(cursor, head)                                                                    \
    for (struct list *cursor = (head)->next; cursor != (head); cursor = cursor->next)
#define list_each_safe(cursor, head)                                                               \
    for (struct list *cursor = (head)->next, *cursor##_next = cursor->next; cursor != (head);      \
         cursor = cursor##_next, cursor##_next = cursor->next)

// A head, or a link that is on no list.
static inline void list_init(struct list *l)
{
    l->next = l->prev = l;
}
static inline bool list_empty(const struct list *l)
{
    return l->next == l;
}
static inline void list_insert_after(struct list *at, struct list *link)
{
    link->prev = at;
    link->next = at->next;
    at->next->prev = link;
    at->next = link;
}
static inline void list_push_front(struct list *head, struct list *link)
{
    list_insert_after(head, link);
}
static inline void list_push_back(struct list *head, struct list *link)
{
    list_insert_after(head->prev, link);
}
// Safe on a link that is on no list, as long as it was initialised.
static inline void list_remove(struct list *link)
{
    link->prev->next = link->next;
    link->next->prev = link->prev;
    list_init(link);
}
static inline struct list *list_pop_front(struct list *head)
{
    struct list *first = head->next;
    if (first == head) return NULL;
    list_remove(first);
    return first;
}
// Moves everything on `from` to the back of `to`.
static inline void list_splice_back(struct list *to, struct list *from)
{
    if (list_empty(from)) return;
    from->next->prev = to->prev;
    from->prev->next = to;
    to->prev->next = from->next;
    to->prev = from->prev;
    list_init(from);
}

#endif
