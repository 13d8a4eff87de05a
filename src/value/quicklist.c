#include "value/quicklist_node.h"

#include "base/mem.h"

#include <assert.h>

#define PACKED_THRESHOLD_DEFAULT ((size_t)1 << 30)
#define OFFSET_UNKNOWN           SIZE_MAX // the first entry in the direction of the walk

enum { FILL_MAX = 32767, DEPTH_MAX = 65535 };

// ---- life -------------------------------------------------------------------------------------

struct quicklist *quicklist_new(const struct value_limits *limits)
{
    struct quicklist *list = mem_new(struct quicklist);
    int fill = limits->list_max_listpack_size, depth = limits->list_compress_depth;
    list->fill = fill > FILL_MAX ? FILL_MAX : fill == 0 ? 1 : fill;
    list->depth = depth < 0 ? 0 : depth > DEPTH_MAX ? DEPTH_MAX : depth;
    list->packed_threshold = limits->list_packed_threshold;
    if (list->packed_threshold == 0) list->packed_threshold = PACKED_THRESHOLD_DEFAULT;
    return list;
}

void quicklist_free(struct quicklist *list)
{
    while (list->head)
        quicklist_node_drop(list, list->head);
    mem_free(list);
}

bool quicklist_free_step(struct quicklist *list, struct budget *budget)
{
    while (list->head) {
        quicklist_node_drop(list, list->head);
        if (!budget_left(budget, 8)) return false;
    }
    mem_free(list);
    return true;
}

static unsigned char *duplicate(const unsigned char *data, size_t len)
{
    unsigned char *copy = mem_alloc(len);
    memcpy(copy, data, len);
    return copy;
}

struct quicklist *quicklist_copy(const struct quicklist *list)
{
    struct quicklist *copy = mem_alloc(sizeof(*copy));
    *copy = *list;
    copy->head = copy->tail = copy->opened = NULL;
    copy->length = copy->nodes = copy->bytes = 0;
    for (const struct quicklist_node *node = list->head; node; node = node->next) {
        struct quicklist_node *twin =
            quicklist_node_new(node->container, NULL, node->raw_len, node->count);
        twin->lzf_len = node->lzf_len;
        if (node->lzf)
            twin->lzf = duplicate(node->lzf, node->lzf_len);
        else
            twin->raw = duplicate(node->raw, node->raw_len);
        quicklist_node_link(copy, twin, copy->tail, true);
    }
    return copy;
}

uint64_t quicklist_length(const struct quicklist *list)
{
    return list->length;
}

uint64_t quicklist_node_count(const struct quicklist *list)
{
    return list->nodes;
}

size_t quicklist_memory(const struct quicklist *list)
{
    return sizeof(*list) + list->bytes + (list->opened ? list->opened->raw_len : 0);
}

// ---- ends -------------------------------------------------------------------------------------

static struct quicklist_node *node_for(const struct quicklist *list, struct bytes element)
{
    return element.len >= list->packed_threshold ? quicklist_node_plain(element)
                                                 : quicklist_node_packed(element);
}

// Into a node that it fits in, at its front or back.
static void put_at_edge(struct quicklist *list, struct quicklist_node *node, struct bytes element,
                        bool front)
{
    unsigned char *lp = quicklist_node_edit(list, node);
    lp = front ? listpack_prepend(lp, element) : listpack_append(lp, element);
    quicklist_node_set(list, node, lp, 1);
}

void quicklist_push(struct quicklist *list, enum quicklist_end end, struct bytes element)
{
    struct quicklist_node *node = end == QUICKLIST_HEAD ? list->head : list->tail;
    if (quicklist_node_fits(list, node, element.len)) {
        put_at_edge(list, node, element, end == QUICKLIST_HEAD);
        return;
    }
    quicklist_node_link(list, node_for(list, element), node, end == QUICKLIST_TAIL);
    quicklist_settle(list, NULL);
}

struct str *quicklist_pop(struct quicklist *list, enum quicklist_end end)
{
    struct quicklist_node *node = end == QUICKLIST_HEAD ? list->head : list->tail;
    if (node == NULL) return NULL;
    unsigned char *raw = quicklist_node_edit(list, node);
    struct str *element;
    if (node->container == QUICKLIST_PLAIN) {
        element = str_new(raw, node->raw_len);
        quicklist_node_drop(list, node);
        quicklist_settle(list, NULL);
        return element;
    }
    char number[TEXT_I64_BYTES];
    unsigned char *at = end == QUICKLIST_HEAD ? listpack_first(raw) : listpack_last(raw);
    element = str_from(listpack_text(at, number));
    if (node->count > 1) {
        quicklist_node_set(list, node, listpack_delete(raw, &at, 1), -1);
        return element;
    }
    quicklist_node_drop(list, node);
    quicklist_settle(list, NULL);
    return element;
}

// The node that element `*index` is in; makes *index its place there.
static struct quicklist_node *find_node(const struct quicklist *list, uint64_t *index)
{
    struct quicklist_node *node;
    if (*index < list->length / 2) {
        for (node = list->head; *index >= node->count; node = node->next)
            *index -= node->count;
        return node;
    }
    uint64_t from_tail = list->length - *index; // >= 1
    for (node = list->tail; from_tail > node->count; node = node->prev)
        from_tail -= node->count;
    *index = node->count - from_tail;
    return node;
}

uint64_t quicklist_delete_range(struct quicklist *list, uint64_t start, uint64_t count)
{
    if (start >= list->length) return 0;
    if (count > list->length - start) count = list->length - start;
    uint64_t left = count;
    struct quicklist_node *node = left ? find_node(list, &start) : NULL;
    while (left > 0) {
        struct quicklist_node *next = node->next;
        uint64_t here = node->count - start < left ? node->count - start : left;
        if (here == node->count) {
            quicklist_node_drop(list, node);
        } else {
            unsigned char *lp = quicklist_node_edit(list, node);
            lp = listpack_delete_range(lp, (int64_t)start, here);
            quicklist_node_set(list, node, lp, -(int64_t)here);
            quicklist_settle(list, node);
        }
        left -= here;
        start = 0;
        node = next;
    }
    quicklist_settle(list, NULL);
    return count;
}

// ---- walking ----------------------------------------------------------------------------------

static void enter_node(struct quicklist_iter *it, struct quicklist_node *node)
{
    it->node = node;
    it->offset = OFFSET_UNKNOWN;
    it->index = node && it->backward ? node->count - 1 : 0;
}

bool quicklist_seek(struct quicklist_iter *it, const struct quicklist *list, int64_t index,
                    bool backward)
{
    // Reading may open a node: a cache, not a change of the list.
    *it = (struct quicklist_iter){.list = (struct quicklist *)list, .backward = backward};
    uint64_t from_head = index < 0 ? list->length + (uint64_t)index : (uint64_t)index;
    if (index < 0 ? -(uint64_t)index > list->length : from_head >= list->length) return false;
    struct quicklist_node *node = find_node(list, &from_head);
    enter_node(it, node);
    if (it->index == from_head) return true;
    it->index = (uint32_t)from_head;
    unsigned char *raw = quicklist_node_open(it->list, node);
    it->offset = (size_t)(listpack_seek(raw, (int64_t)from_head) - raw);
    return true;
}

// Takes the element that comes next: it becomes the last one, and the one after it the next.
static bool step(struct quicklist_iter *it, unsigned char **at)
{
    struct quicklist_node *node = it->node;
    it->has_last = node != NULL;
    if (node == NULL) return false;
    unsigned char *raw = quicklist_node_open(it->list, node);
    it->last_node = node;
    it->last_index = it->index;
    it->last_offset = 0;
    *at = raw;
    struct quicklist_node *beyond = it->backward ? node->prev : node->next;
    if (node->container == QUICKLIST_PLAIN) {
        enter_node(it, beyond);
        return true;
    }
    if (it->offset != OFFSET_UNKNOWN)
        *at = raw + it->offset;
    else
        *at = it->backward ? listpack_last(raw) : listpack_first(raw);
    it->last_offset = (size_t)(*at - raw);
    if (it->index == (it->backward ? 0 : node->count - 1)) {
        enter_node(it, beyond);
        return true;
    }
    unsigned char *following = it->backward ? listpack_prev(raw, *at) : listpack_next(raw, *at);
    it->offset = (size_t)(following - raw);
    it->index += it->backward ? UINT32_MAX : 1;
    return true;
}

bool quicklist_next(struct quicklist_iter *it, struct bytes *element)
{
    unsigned char *at;
    if (!step(it, &at)) return false;
    if (it->last_node->container == QUICKLIST_PLAIN)
        *element = bytes_of(at, it->last_node->raw_len);
    else
        *element = listpack_text(at, it->number);
    return true;
}

bool quicklist_next_equal(struct quicklist_iter *it, struct bytes wanted, bool *equal)
{
    unsigned char *at;
    if (!step(it, &at)) return false;
    if (it->last_node->container == QUICKLIST_PLAIN)
        *equal = bytes_equal(bytes_of(at, it->last_node->raw_len), wanted);
    else
        *equal = listpack_equals(at, wanted);
    return true;
}

// ---- writing at an iterator -------------------------------------------------------------------

void quicklist_iter_delete(struct quicklist_iter *it)
{
    assert(it->has_last);
    it->has_last = false;
    struct quicklist *list = it->list;
    struct quicklist_node *node = it->last_node;
    if (node->count == 1) {
        quicklist_node_drop(list, node);
        quicklist_settle(list, NULL);
        return;
    }
    unsigned char *lp = quicklist_node_edit(list, node), *at = lp + it->last_offset;
    quicklist_node_set(list, node, listpack_delete(lp, &at, 1), -1);
    if (it->node == node && !it->backward) {
        it->offset = it->last_offset;
        it->index--;
    }
    quicklist_settle(list, node);
}

// Cuts a node in two before element `index` and returns the right part. Both are not empty.
static struct quicklist_node *split_node(struct quicklist *list, struct quicklist_node *node,
                                         uint32_t index)
{
    uint32_t right_count = node->count - index;
    unsigned char *left = quicklist_node_edit(list, node);
    unsigned char *right = listpack_delete_range(listpack_copy(left), 0, index);
    left = listpack_delete_range(left, index, right_count);
    quicklist_node_set(list, node, left, -(int64_t)right_count);
    struct quicklist_node *part =
        quicklist_node_new(QUICKLIST_PACKED, right, listpack_bytes(right), right_count);
    quicklist_node_link(list, part, node, true);
    return part;
}

// Moves everything in `b`, the node after `a`, to the back of `a` when the limits allow it.
static bool merge_pair(struct quicklist *list, struct quicklist_node *a, struct quicklist_node *b)
{
    if (!quicklist_nodes_merge(list, a, b)) return false;
    unsigned char *left = quicklist_node_edit(list, a), *right = quicklist_node_edit(list, b);
    quicklist_node_set(list, a, listpack_concat(left, right), b->count);
    quicklist_node_drop(list, b);
    return true;
}

// After a split: pairs on either side, then the centre with its neighbours. As Redis does it.
static struct quicklist_node *merge_around(struct quicklist *list, struct quicklist_node *center)
{
    if (center->prev) merge_pair(list, center->prev->prev, center->prev);
    if (center->next) merge_pair(list, center->next, center->next->next);
    struct quicklist_node *prev = center->prev;
    if (merge_pair(list, prev, center)) center = prev;
    merge_pair(list, center, center->next);
    return center;
}

static void settle_three(struct quicklist *list, struct quicklist_node *node)
{
    if (node->prev) quicklist_settle(list, node->prev);
    if (node->next) quicklist_settle(list, node->next);
    quicklist_settle(list, node);
}

// A new node for the element, at the cut before element `index` of `node` (0..count).
static void insert_node(struct quicklist *list, struct quicklist_node *node, uint32_t index,
                        struct bytes element)
{
    struct quicklist_node *fresh = node_for(list, element);
    if (index > 0 && index < node->count) split_node(list, node, index);
    quicklist_node_link(list, fresh, node, index > 0);
    settle_three(list, fresh);
}

// The node is full and the place is amid its elements: cut there, put the element on the side that
// the reference is not on, and see whether neighbours can be joined.
static void insert_by_split(struct quicklist *list, struct quicklist_node *node, uint32_t index,
                            struct bytes element, bool after)
{
    struct quicklist_node *right = split_node(list, node, index);
    put_at_edge(list, after ? right : node, element, after);
    settle_three(list, merge_around(list, after ? node : right));
}

void quicklist_iter_insert(struct quicklist_iter *it, struct bytes element, bool after)
{
    assert(it->has_last);
    it->has_last = false;
    it->node = NULL;
    struct quicklist *list = it->list;
    struct quicklist_node *node = it->last_node;
    uint32_t index = it->last_index + (after ? 1 : 0); // what the element's place would be
    bool at_edge = index == (after ? node->count : 0);
    struct quicklist_node *beyond = after ? node->next : node->prev;
    if (quicklist_node_fits(list, node, element.len)) {
        unsigned char *lp = quicklist_node_edit(list, node), *at = lp + it->last_offset;
        if (after) at = listpack_next(lp, at); // NULL: at the end
        quicklist_node_set(list, node, listpack_insert(lp, at, element, NULL), 1);
        quicklist_settle(list, node);
    } else if (at_edge && quicklist_node_fits(list, beyond, element.len)) {
        put_at_edge(list, beyond, element, after);
        quicklist_settle(list, beyond);
    } else if (at_edge || element.len >= list->packed_threshold) {
        insert_node(list, node, index, element);
    } else {
        insert_by_split(list, node, index, element, after);
    }
}

void quicklist_iter_replace(struct quicklist_iter *it, struct bytes element)
{
    assert(it->has_last);
    struct quicklist *list = it->list;
    struct quicklist_node *node = it->last_node;
    bool plain = node->container == QUICKLIST_PLAIN;
    bool large = element.len >= list->packed_threshold;
    if (!plain && !large) {
        unsigned char *lp = quicklist_node_edit(list, node), *at = lp + it->last_offset;
        quicklist_node_set(list, node, listpack_replace(lp, &at, element), 0);
        quicklist_settle(list, node);
        it->has_last = false;
        it->node = NULL;
        return;
    }
    // The new one goes after the old one, which keeps its node and its place in it.
    uint32_t index = it->last_index;
    quicklist_iter_insert(it, element, true);
    if (node->count == 1) {
        quicklist_node_drop(list, node);
        quicklist_settle(list, NULL);
        return;
    }
    unsigned char *lp = quicklist_node_edit(list, node);
    quicklist_node_set(list, node, listpack_delete_range(lp, index, 1), -1);
    quicklist_settle(list, node);
}
