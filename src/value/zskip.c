#include "value/zskip.h"

#include "base/mem.h"

#include <assert.h>

enum { FREE_NODES = 32 }; // between two looks at a budget

static struct bytes node_key(const void *item)
{
    return zskip_member(item);
}

// The list owns the nodes.
static const struct dict_type by_member = {.key = node_key, .free_item = NULL};

struct bytes zskip_member(const struct zskip_node *node)
{
    return bytes_of(node->links + node->levels, node->member_len);
}

static struct zskip_node *node_new(int levels, struct bytes member, double score)
{
    size_t links = sizeof(struct zskip_link) * (size_t)levels;
    struct zskip_node *node = mem_alloc(sizeof(*node) + links + member.len);
    node->score = score;
    node->back = NULL;
    node->levels = (uint64_t)levels & 0xff;
    node->member_len = member.len & (((uint64_t)1 << 56) - 1);
    memset(node->links, 0, links);
    if (member.len) memcpy(node->links + levels, member.data, member.len);
    return node;
}

struct zskip *zskip_new(uint64_t seed)
{
    struct zskip *z = mem_new(struct zskip);
    z->dict = dict_new(&by_member, seed);
    z->head = node_new(ZSKIP_LEVELS, BYTES(""), 0);
    z->levels = 1;
    rng_seed(&z->rng, seed);
    return z;
}

bool zskip_free_step(struct zskip *z, struct budget *budget)
{
    while (zskip_first(z) != NULL) {
        for (int i = 0; i < FREE_NODES && zskip_first(z) != NULL; i++) {
            struct zskip_node *node = zskip_first(z);
            z->head->links[0].next = zskip_next(node);
            mem_free(node);
        }
        if (budget != NULL && !budget_left(budget, 2 * FREE_NODES)) return false;
    }
    // The dict's items dangle by now, but it does not free them, and does not look at them.
    if (budget == NULL)
        dict_free(z->dict);
    else if (!dict_free_step(z->dict, budget))
        return false;
    mem_free(z->head);
    mem_free(z);
    return true;
}

void zskip_free(struct zskip *z)
{
    if (z != NULL) zskip_free_step(z, NULL);
}

// Every level has a quarter of the nodes of the one below.
static int random_levels(struct zskip *z)
{
    uint64_t bits = rng_next(&z->rng);
    int levels = 1;
    while (levels < ZSKIP_LEVELS && (bits & 3) == 0) {
        levels++;
        bits >>= 2;
    }
    return levels;
}

static bool node_before(const struct zskip_node *node, double score, struct bytes member)
{
    if (node->score != score) return node->score < score;
    return bytes_compare(zskip_member(node), member) < 0;
}

// The way down to a place in the list: on each level the last node before it, and how many nodes
// come before that one (itself counted; 0 for the head).
struct path {
    struct zskip_node *node[ZSKIP_LEVELS];
    uint64_t rank[ZSKIP_LEVELS];
};

static void path_to(const struct zskip *z, double score, struct bytes member, struct path *path)
{
    struct zskip_node *at = z->head;
    uint64_t rank = 0;
    for (int i = z->levels - 1; i >= 0; i--) {
        struct zskip_node *next;
        while ((next = at->links[i].next) != NULL && node_before(next, score, member)) {
            rank += at->links[i].span;
            at = next;
        }
        path->node[i] = at;
        path->rank[i] = rank;
    }
}

static void path_to_rank(const struct zskip *z, uint64_t target, struct path *path)
{
    struct zskip_node *at = z->head;
    uint64_t rank = 0;
    for (int i = z->levels - 1; i >= 0; i--) {
        while (at->links[i].next != NULL && rank + at->links[i].span <= target) {
            rank += at->links[i].span;
            at = at->links[i].next;
        }
        path->node[i] = at;
        path->rank[i] = rank;
    }
}

// Puts a node that is on no list behind path->node[0].
static void link_node(struct zskip *z, struct zskip_node *node, struct path *path)
{
    int levels = (int)node->levels;
    for (; z->levels < levels; z->levels++) {
        path->node[z->levels] = z->head;
        path->rank[z->levels] = 0;
        z->head->links[z->levels].span = z->count;
    }
    for (int i = 0; i < z->levels; i++) {
        struct zskip_link *link = &path->node[i]->links[i];
        if (i >= levels) {
            link->span++;
            continue;
        }
        uint64_t before = path->rank[0] - path->rank[i];
        node->links[i].next = link->next;
        node->links[i].span = link->span - before;
        link->next = node;
        link->span = before + 1;
    }
    struct zskip_node *next = zskip_next(node);
    node->back = path->node[0] == z->head ? NULL : path->node[0];
    if (next != NULL)
        next->back = node;
    else
        z->tail = node;
    z->count++;
}

// Takes out the node behind path->node[0].
static void unlink_node(struct zskip *z, struct zskip_node *node, const struct path *path)
{
    for (int i = 0; i < z->levels; i++) {
        struct zskip_link *link = &path->node[i]->links[i];
        if (link->next == node) {
            link->span += node->links[i].span;
            link->next = node->links[i].next;
        }
        link->span--;
    }
    struct zskip_node *next = zskip_next(node);
    if (next != NULL)
        next->back = node->back;
    else
        z->tail = node->back;
    while (z->levels > 1 && z->head->links[z->levels - 1].next == NULL)
        z->levels--;
    z->count--;
}

struct zskip_node *zskip_find(struct zskip *z, struct bytes member)
{
    return dict_find(z->dict, member);
}

struct zskip_node *zskip_insert(struct zskip *z, struct bytes member, uint64_t hash, double score)
{
    struct path path;
    struct zskip_node *node = node_new(random_levels(z), member, score);
    path_to(z, score, member, &path);
    link_node(z, node, &path);
    dict_insert_new(z->dict, node, hash);
    return node;
}

void zskip_update(struct zskip *z, struct zskip_node *node, double score)
{
    struct bytes member = zskip_member(node);
    struct zskip_node *next = zskip_next(node);
    bool above = node->back == NULL || node_before(node->back, score, member);
    bool below = next == NULL || !node_before(next, score, member);
    if (above && below) {
        node->score = score;
        return;
    }
    struct path path;
    path_to(z, node->score, member, &path);
    unlink_node(z, node, &path);
    node->score = score;
    path_to(z, score, member, &path);
    link_node(z, node, &path);
}

static void drop(struct zskip *z, struct zskip_node *node, const struct path *path)
{
    unlink_node(z, node, path);
    dict_take(z->dict, zskip_member(node));
    mem_free(node);
}

void zskip_remove(struct zskip *z, struct zskip_node *node)
{
    struct path path;
    path_to(z, node->score, zskip_member(node), &path);
    assert(zskip_next(path.node[0]) == node);
    drop(z, node, &path);
}

void zskip_remove_span(struct zskip *z, uint64_t first, uint64_t count)
{
    struct path path;
    path_to_rank(z, first, &path);
    for (; count > 0; count--) {
        struct zskip_node *node = zskip_next(path.node[0]);
        if (node == NULL) break;
        drop(z, node, &path);
    }
}

uint64_t zskip_rank(const struct zskip *z, const struct zskip_node *node)
{
    struct path path;
    path_to(z, node->score, zskip_member(node), &path);
    return path.rank[0];
}

struct zskip_node *zskip_at(const struct zskip *z, uint64_t rank)
{
    if (rank >= z->count) return NULL;
    struct path path;
    path_to_rank(z, rank, &path);
    return zskip_next(path.node[0]);
}

uint64_t zskip_count_before(const struct zskip *z, zskip_before *before, const void *bound)
{
    const struct zskip_node *at = z->head;
    uint64_t rank = 0;
    for (int i = z->levels - 1; i >= 0; i--) {
        const struct zskip_node *next;
        while ((next = at->links[i].next) != NULL && before(bound, next)) {
            rank += at->links[i].span;
            at = next;
        }
    }
    return rank;
}
