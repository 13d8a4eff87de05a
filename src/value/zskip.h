// The large form of a sorted set: a skip list ordered by (score, member), whose links count what
// they pass over so that ranks are found in O(log n), and a dict from member to node. A node holds
// its member; nothing is stored twice. (W. Pugh, "Skip lists", 1990; "A skip list cookbook" for the
// ranks.)
#ifndef WHERRY_VALUE_ZSKIP_H
#define WHERRY_VALUE_ZSKIP_H

#include "base/bytes.h"
#include "base/rng.h"
#include "value/dict.h"

enum { ZSKIP_LEVELS = 32 };

struct zskip_node;
struct zskip_link {
    struct zskip_node *next;
    uint64_t span; // nodes from here to `next`, that one counted
};
struct zskip_node {
    double score;
    struct zskip_node *back; // NULL for the first
    uint64_t member_len : 56;
    uint64_t levels : 8;
    struct zskip_link links[]; // then the member's bytes
};

struct zskip {
    struct dict *dict;              // of struct zskip_node
    struct zskip_node *head, *tail; // head holds no member; tail NULL when empty
    uint64_t count;
    int levels;
    struct rng rng;
};

struct zskip *zskip_new(uint64_t seed);
void zskip_free(struct zskip *z); // in one go
// Frees a piece; true when everything is gone. Nothing else may be called in between.
bool zskip_free_step(struct zskip *z, struct budget *budget);

struct bytes zskip_member(const struct zskip_node *node);
static inline struct zskip_node *zskip_first(const struct zskip *z)
{
    return z->head->links[0].next;
}
static inline struct zskip_node *zskip_next(const struct zskip_node *node)
{
    return node->links[0].next;
}

struct zskip_node *zskip_find(struct zskip *z, struct bytes member);
// Adds a member that is not there (`hash` is dict_hash of it).
struct zskip_node *zskip_insert(struct zskip *z, struct bytes member, uint64_t hash, double score);
// Gives `node` another score. The node stays where it is in memory.
void zskip_update(struct zskip *z, struct zskip_node *node, double score);
void zskip_remove(struct zskip *z, struct zskip_node *node); // and frees it
// Removes `count` nodes from rank `first` on.
void zskip_remove_span(struct zskip *z, uint64_t first, uint64_t count);

uint64_t zskip_rank(const struct zskip *z, const struct zskip_node *node); // 0 for the first
struct zskip_node *zskip_at(const struct zskip *z, uint64_t rank);         // NULL beyond the end
// How many nodes come before the bound: those for which `before` is true. It must be true for a
// prefix of the list and false for the rest.
typedef bool zskip_before(const void *bound, const struct zskip_node *node);
uint64_t zskip_count_before(const struct zskip *z, zskip_before *before, const void *bound);

#endif
