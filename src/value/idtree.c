// Leaves hold ids and items, branches hold children with a lower bound for each. A full node is
// split in two, except at the right edge, where it stays full and the new one starts empty. A node
// that is nearly empty is merged with a sibling when both fit with room to spare; an empty one goes
// at once. Parents are found by the path of the descent, so nothing points upwards.
#include "value/idtree.h"

#include "base/mem.h"

#include <assert.h>

enum {
    FAN = 32,
    SPARSE = FAN / 4,         // at most this many: look for a sibling to merge with
    MERGED_MAX = FAN * 3 / 4, // and merge up to this many
    MAX_HEIGHT = 24,
};

struct idtree_leaf {
    int count;
    struct idtree_leaf *next, *prev;
    struct stream_id ids[FAN];
    void *items[FAN];
};

struct branch {
    int count;
    struct stream_id low[FAN]; // nothing in kids[i] is below low[i]; low[0] is not looked at
    void *kids[FAN];
};

struct idtree {
    void *root; // NULL: empty
    int height; // branches above the leaves
    struct idtree_leaf *first, *last;
    uint64_t count;
    size_t bytes;
};

// The branches from the root down to a leaf, with the kid taken in each. [0] is the root.
struct path {
    struct branch *at[MAX_HEIGHT];
    int kid[MAX_HEIGHT];
};

struct idtree *idtree_new(void)
{
    struct idtree *tree = mem_new(struct idtree);
    tree->bytes = sizeof(*tree);
    return tree;
}

uint64_t idtree_count(const struct idtree *tree)
{
    return tree->count;
}

size_t idtree_memory(const struct idtree *tree)
{
    return tree->bytes;
}

// ---- finding ----------------------------------------------------------------------------------

// How many of the ids are below `id`.
static int lower_bound(const struct stream_id *ids, int count, struct stream_id id)
{
    int low = 0;
    while (low < count) {
        int middle = (low + count) / 2;
        if (stream_id_compare(ids[middle], id) < 0)
            low = middle + 1;
        else
            count = middle;
    }
    return low;
}

// The last kid whose lower bound is not above `id`, or the first.
static int pick_kid(const struct branch *b, struct stream_id id)
{
    int at = lower_bound(b->low + 1, b->count - 1, id); // of kids 1.., those strictly below
    if (at + 1 < b->count && stream_id_compare(b->low[at + 1], id) == 0) at++;
    return at;
}

// The leaf where `id` is or would be; the tree must not be empty. `path` may be NULL.
static struct idtree_leaf *descend(const struct idtree *tree, struct stream_id id,
                                   struct path *path)
{
    void *at = tree->root;
    for (int level = 0; level < tree->height; level++) {
        struct branch *b = at;
        int kid = pick_kid(b, id);
        if (path) {
            path->at[level] = b;
            path->kid[level] = kid;
        }
        at = b->kids[kid];
    }
    return at;
}

// The place of `id` in its leaf; false when it is not there.
static bool locate(const struct idtree *tree, struct stream_id id, struct path *path,
                   struct idtree_leaf **leaf, int *index)
{
    if (tree->root == NULL) return false;
    *leaf = descend(tree, id, path);
    *index = lower_bound((*leaf)->ids, (*leaf)->count, id);
    return *index < (*leaf)->count && stream_id_compare((*leaf)->ids[*index], id) == 0;
}

void *idtree_find(const struct idtree *tree, struct stream_id id)
{
    struct idtree_leaf *leaf;
    int index;
    return locate(tree, id, NULL, &leaf, &index) ? leaf->items[index] : NULL;
}

void *idtree_replace(struct idtree *tree, struct stream_id id, void *item)
{
    struct idtree_leaf *leaf;
    int index;
    if (!locate(tree, id, NULL, &leaf, &index)) return NULL;
    void *old = leaf->items[index];
    leaf->items[index] = item;
    return old;
}

// ---- inserting --------------------------------------------------------------------------------

static struct idtree_leaf *leaf_new(struct idtree *tree, struct idtree_leaf *prev)
{
    struct idtree_leaf *leaf = mem_alloc(sizeof(*leaf));
    tree->bytes += sizeof(*leaf);
    leaf->count = 0;
    leaf->prev = prev;
    leaf->next = prev ? prev->next : NULL;
    *(leaf->prev ? &leaf->prev->next : &tree->first) = leaf;
    *(leaf->next ? &leaf->next->prev : &tree->last) = leaf;
    return leaf;
}

static struct branch *branch_new(struct idtree *tree)
{
    struct branch *b = mem_alloc(sizeof(*b));
    tree->bytes += sizeof(*b);
    b->count = 0;
    return b;
}

static void leaf_put(struct idtree_leaf *leaf, int index, struct stream_id id, void *item)
{
    size_t after = (size_t)(leaf->count - index);
    memmove(&leaf->ids[index + 1], &leaf->ids[index], after * sizeof(leaf->ids[0]));
    memmove(&leaf->items[index + 1], &leaf->items[index], after * sizeof(leaf->items[0]));
    leaf->ids[index] = id;
    leaf->items[index] = item;
    leaf->count++;
}

static void branch_put(struct branch *b, int index, struct stream_id low, void *kid)
{
    size_t after = (size_t)(b->count - index);
    memmove(&b->low[index + 1], &b->low[index], after * sizeof(b->low[0]));
    memmove(&b->kids[index + 1], &b->kids[index], after * sizeof(b->kids[0]));
    b->low[index] = low;
    b->kids[index] = kid;
    b->count++;
}

// Moves what is at `from` on to the back of `right`.
static void leaf_move(struct idtree_leaf *leaf, int from, struct idtree_leaf *right)
{
    size_t count = (size_t)(leaf->count - from);
    memcpy(&right->ids[right->count], &leaf->ids[from], count * sizeof(leaf->ids[0]));
    memcpy(&right->items[right->count], &leaf->items[from], count * sizeof(leaf->items[0]));
    right->count += (int)count;
    leaf->count = from;
}

static void branch_move(struct branch *b, int from, struct branch *right)
{
    size_t count = (size_t)(b->count - from);
    memcpy(&right->low[right->count], &b->low[from], count * sizeof(b->low[0]));
    memcpy(&right->kids[right->count], &b->kids[from], count * sizeof(b->kids[0]));
    right->count += (int)count;
    b->count = from;
}

// Hangs `kid` in to the right of the kid that the path took at the lowest of `levels` branches,
// splitting what is full on the way up.
static void add_kid(struct idtree *tree, struct path *path, int levels, struct stream_id low,
                    void *kid)
{
    for (int level = levels - 1; level >= 0; level--) {
        struct branch *b = path->at[level];
        int index = path->kid[level] + 1;
        if (b->count < FAN) {
            branch_put(b, index, low, kid);
            return;
        }
        struct branch *right = branch_new(tree);
        int split = index == FAN ? FAN : FAN / 2;
        branch_move(b, split, right);
        if (index > split || split == FAN)
            branch_put(right, index - split, low, kid);
        else
            branch_put(b, index, low, kid);
        low = right->low[0];
        kid = right;
    }
    struct branch *root = branch_new(tree);
    branch_put(root, 0, STREAM_ID_MIN, tree->root);
    branch_put(root, 1, low, kid);
    tree->root = root;
    tree->height++;
    assert(tree->height < MAX_HEIGHT);
}

bool idtree_insert(struct idtree *tree, struct stream_id id, void *item)
{
    assert(item != NULL);
    if (tree->root == NULL) tree->root = leaf_new(tree, NULL);
    struct path path;
    struct idtree_leaf *leaf;
    int index;
    if (locate(tree, id, &path, &leaf, &index)) return false;
    tree->count++;
    if (leaf->count < FAN) {
        leaf_put(leaf, index, id, item);
        return true;
    }
    struct idtree_leaf *right = leaf_new(tree, leaf);
    int split = index == FAN && right->next == NULL ? FAN : FAN / 2;
    leaf_move(leaf, split, right);
    if (index > split || split == FAN)
        leaf_put(right, index - split, id, item);
    else
        leaf_put(leaf, index, id, item);
    add_kid(tree, &path, tree->height, right->ids[0], right);
    return true;
}

// ---- removing ---------------------------------------------------------------------------------

static void leaf_drop(struct idtree *tree, struct idtree_leaf *leaf)
{
    *(leaf->prev ? &leaf->prev->next : &tree->first) = leaf->next;
    *(leaf->next ? &leaf->next->prev : &tree->last) = leaf->prev;
    tree->bytes -= sizeof(*leaf);
    mem_free(leaf);
}

static void branch_drop(struct idtree *tree, struct branch *b)
{
    tree->bytes -= sizeof(*b);
    mem_free(b);
}

static void branch_take(struct branch *b, int index)
{
    size_t after = (size_t)(b->count - index - 1);
    memmove(&b->low[index], &b->low[index + 1], after * sizeof(b->low[0]));
    memmove(&b->kids[index], &b->kids[index + 1], after * sizeof(b->kids[0]));
    b->count--;
}

// Merges kids `left` and `left + 1` of `b` when both fit in one with room to spare.
static bool merge_leaves(struct idtree *tree, struct branch *b, int left)
{
    if (left < 0 || left + 1 >= b->count) return false;
    struct idtree_leaf *to = b->kids[left], *from = b->kids[left + 1];
    if (to->count + from->count > MERGED_MAX) return false;
    leaf_move(from, 0, to);
    leaf_drop(tree, from);
    branch_take(b, left + 1);
    return true;
}

static bool merge_branches(struct idtree *tree, struct branch *b, int left)
{
    if (left < 0 || left + 1 >= b->count) return false;
    struct branch *to = b->kids[left], *from = b->kids[left + 1];
    if (to->count + from->count > MERGED_MAX) return false;
    from->low[0] = b->low[left + 1]; // it is looked at from now on
    branch_move(from, 0, to);
    branch_drop(tree, from);
    branch_take(b, left + 1);
    return true;
}

// After a kid of path->at[level] went: drops or merges branches up to the root, and makes the tree
// lower when the root has one kid.
static void tidy_branches(struct idtree *tree, struct path *path, int level)
{
    for (; level > 0; level--) {
        struct branch *b = path->at[level], *parent = path->at[level - 1];
        int kid = path->kid[level - 1];
        if (b->count == 0) {
            branch_drop(tree, b);
            branch_take(parent, kid);
        } else if (b->count > SPARSE ||
                   (!merge_branches(tree, parent, kid) && !merge_branches(tree, parent, kid - 1))) {
            break;
        }
    }
    while (tree->height > 0) {
        struct branch *root = tree->root;
        if (root->count > 1) return;
        tree->root = root->count ? root->kids[0] : NULL;
        tree->height = root->count ? tree->height - 1 : 0;
        branch_drop(tree, root);
    }
}

static void drop_empty_leaf(struct idtree *tree, struct path *path, struct idtree_leaf *leaf)
{
    leaf_drop(tree, leaf);
    if (tree->height == 0) {
        tree->root = NULL;
        return;
    }
    branch_take(path->at[tree->height - 1], path->kid[tree->height - 1]);
    tidy_branches(tree, path, tree->height - 1);
}

void *idtree_remove(struct idtree *tree, struct stream_id id)
{
    struct path path;
    struct idtree_leaf *leaf;
    int index;
    if (!locate(tree, id, &path, &leaf, &index)) return NULL;
    void *item = leaf->items[index];
    size_t after = (size_t)(leaf->count - index - 1);
    memmove(&leaf->ids[index], &leaf->ids[index + 1], after * sizeof(leaf->ids[0]));
    memmove(&leaf->items[index], &leaf->items[index + 1], after * sizeof(leaf->items[0]));
    leaf->count--;
    tree->count--;
    if (leaf->count == 0) {
        drop_empty_leaf(tree, &path, leaf);
    } else if (leaf->count <= SPARSE && tree->height > 0) {
        struct branch *parent = path.at[tree->height - 1];
        int kid = path.kid[tree->height - 1];
        if (merge_leaves(tree, parent, kid) || merge_leaves(tree, parent, kid - 1))
            tidy_branches(tree, &path, tree->height - 1);
    }
    return item;
}

// ---- freeing ----------------------------------------------------------------------------------

// Empties the tree from its left edge on; a NULL budget has no end. True when it is empty.
static bool drain(struct idtree *tree, void (*free_item)(void *item), struct budget *budget)
{
    while (tree->root != NULL) {
        struct path path;
        struct idtree_leaf *leaf = descend(tree, STREAM_ID_MIN, &path);
        assert(leaf == tree->first);
        while (leaf->count > 0) {
            leaf->count--;
            tree->count--;
            if (free_item == NULL) continue;
            free_item(leaf->items[leaf->count]);
            if (budget && !budget_left(budget, 2)) return false;
        }
        drop_empty_leaf(tree, &path, leaf);
        if (budget && !budget_left(budget, 4)) return false;
    }
    return true;
}

bool idtree_free_step(struct idtree *tree, void (*free_item)(void *item), struct budget *budget)
{
    if (!drain(tree, free_item, budget)) return false;
    mem_free(tree);
    return true;
}

void idtree_free(struct idtree *tree, void (*free_item)(void *item))
{
    drain(tree, free_item, NULL);
    mem_free(tree);
}

// ---- iterating --------------------------------------------------------------------------------

void idtree_seek_first(struct idtree_iter *it, const struct idtree *tree)
{
    *it = (struct idtree_iter){tree->first, 0};
}

void idtree_seek_last(struct idtree_iter *it, const struct idtree *tree)
{
    *it = (struct idtree_iter){tree->last, tree->last ? tree->last->count : 0};
}

void idtree_seek_before(struct idtree_iter *it, const struct idtree *tree, struct stream_id id)
{
    *it = (struct idtree_iter){NULL, 0};
    if (tree->root == NULL) return;
    it->leaf = descend(tree, id, NULL);
    it->index = lower_bound(it->leaf->ids, it->leaf->count, id);
}

void idtree_seek_after(struct idtree_iter *it, const struct idtree *tree, struct stream_id id)
{
    idtree_seek_before(it, tree, id);
    if (it->leaf && it->index < it->leaf->count &&
        stream_id_compare(it->leaf->ids[it->index], id) == 0)
        it->index++;
}

bool idtree_next(struct idtree_iter *it, struct stream_id *id, void **item)
{
    if (it->leaf == NULL) return false;
    if (it->index == it->leaf->count) {
        if (it->leaf->next == NULL) return false;
        it->leaf = it->leaf->next;
        it->index = 0;
    }
    if (id) *id = it->leaf->ids[it->index];
    if (item) *item = it->leaf->items[it->index];
    it->index++;
    return true;
}

bool idtree_prev(struct idtree_iter *it, struct stream_id *id, void **item)
{
    if (it->leaf == NULL) return false;
    if (it->index == 0) {
        if (it->leaf->prev == NULL) return false;
        it->leaf = it->leaf->prev;
        it->index = it->leaf->count;
    }
    it->index--;
    if (id) *id = it->leaf->ids[it->index];
    if (item) *item = it->leaf->items[it->index];
    return true;
}
