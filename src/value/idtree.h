// An ordered map from stream ids to pointers: a B+tree whose leaves are linked both ways. Ids that
// come in ascending order, as streams' do, fill its leaves completely.
#ifndef WHERRY_VALUE_IDTREE_H
#define WHERRY_VALUE_IDTREE_H

#include "loop/loop.h"
#include "value/stream_id.h"

struct idtree;

struct idtree *idtree_new(void);
// Frees the tree at once; `free_item` (NULL: items are not owned) gets every item.
void idtree_free(struct idtree *tree, void (*free_item)(void *item));
// Frees a piece. True when nothing is left; then `tree` must not be used again.
bool idtree_free_step(struct idtree *tree, void (*free_item)(void *item), struct budget *budget);

uint64_t idtree_count(const struct idtree *tree); // constant time
size_t idtree_memory(const struct idtree *tree);  // bytes, items not counted; constant time

// False, changing nothing, when the id is there already. `item` must not be NULL.
bool idtree_insert(struct idtree *tree, struct stream_id id, void *item);
// The item, or NULL.
void *idtree_find(const struct idtree *tree, struct stream_id id);
// Puts another item in place of the one there and returns that one; NULL (nothing done) when the id
// is not there. Iterators stay valid.
void *idtree_replace(struct idtree *tree, struct stream_id id, void *item);
// Takes it out and returns the item, or NULL. Iterators are void after it.
void *idtree_remove(struct idtree *tree, struct stream_id id);

// An iterator stands between two ids. It owns nothing, may be copied and dropped at any time, and
// stays valid while nobody inserts or removes.
struct idtree_iter {
    struct idtree_leaf *leaf; // NULL: the tree was empty
    int index;                // 0..leaf count: the item that idtree_next gives
};

void idtree_seek_first(struct idtree_iter *it, const struct idtree *tree); // before everything
void idtree_seek_last(struct idtree_iter *it, const struct idtree *tree);  // after everything
// Before the first id >= `id`: idtree_next gives it, idtree_prev the last id < `id`.
void idtree_seek_before(struct idtree_iter *it, const struct idtree *tree, struct stream_id id);
// After the last id <= `id`: idtree_prev gives it, idtree_next the first id > `id`.
void idtree_seek_after(struct idtree_iter *it, const struct idtree *tree, struct stream_id id);
// Step over one id forwards or backwards and tell what it was. False at the end. `id` and `item`
// may be NULL.
bool idtree_next(struct idtree_iter *it, struct stream_id *id, void **item);
bool idtree_prev(struct idtree_iter *it, struct stream_id *id, void **item);

#endif
