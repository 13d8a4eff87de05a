// Lists: VALUE_LIST over a quicklist. What the L* commands, RDB and migration need.
// (The intrusive lists of base/list.h are another thing; the names don't overlap.)
#ifndef WHERRY_VALUE_LIST_H
#define WHERRY_VALUE_LIST_H

#include "value/quicklist.h"
#include "value/value.h"

enum list_end { LIST_HEAD, LIST_TAIL };

// Makes `v` an empty list. The limits count for the list's whole life, as in Redis.
void list_new(struct value *v, const struct value_limits *limits);
// The builder: adds at the tail.
void list_add(struct value *v, struct bytes element);

void list_push(struct value *v, enum list_end end, struct bytes element);
// The caller frees it with str_free. NULL when the list is empty.
struct str *list_pop(struct value *v, enum list_end end);

// Index 0 is the head, -1 the tail. False when there is no such element.
bool list_set(struct value *v, int64_t index, struct bytes element);
// Next to the first element that equals `pivot`. False when there is none.
bool list_insert(struct value *v, struct bytes pivot, bool after, struct bytes element);
// LREM: takes away up to |count| elements that equal `element`, from the head on, with a negative
// count from the tail; 0: all. Returns how many.
uint64_t list_remove_equal(struct value *v, int64_t count, struct bytes element);
// LTRIM: keeps elements start..stop, both included and both possibly negative. Returns how many
// went. The list may be empty after it.
uint64_t list_trim(struct value *v, int64_t start, int64_t stop);
// Takes away `count` elements from index `start` >= 0 on. Returns how many there were.
uint64_t list_delete_range(struct value *v, uint64_t start, uint64_t count);
// LRANGE's and LTRIM's rule: makes start and stop absolute and clipped, and returns how many
// elements that is. 0: nothing, start and stop undefined.
uint64_t list_clip_range(const struct value *v, int64_t *start, int64_t *stop);

// LPOS. `rank` counts matches from 1 (from the tail when negative; not 0); `count` matches are
// wanted, 0: all; at most `maxlen` elements are looked at, 0: all. `found` gets each index from the
// head. Returns how many were found.
uint64_t list_positions(const struct value *v, struct bytes element, int64_t rank, uint64_t count,
                        uint64_t maxlen, void (*found)(void *owner, uint64_t index), void *owner);

// Element by element, from `index` (negative from the tail) on. May stop anywhere, owns nothing,
// valid while nobody writes. An element's view is good until the next call on the same list.
struct list_iter {
    struct quicklist_iter at;
};
// False when there is no such element; list_next then gives nothing.
bool list_seek(struct list_iter *it, const struct value *v, int64_t index, bool backward);
bool list_next(struct list_iter *it, struct bytes *element); // false at the end

// What value.c does by type.
uint64_t list_length(const struct quicklist *list); // elements; constant time
size_t list_memory(const struct quicklist *list);   // bytes; constant time
void list_free_all(struct quicklist *list);
// Frees a piece. True when nothing is left; then `list` must not be used again.
bool list_free_step(struct quicklist *list, struct budget *budget);
struct quicklist *list_copy(const struct quicklist *list);

#endif
