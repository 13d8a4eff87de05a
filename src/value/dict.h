// A hash table of items: each is a pointer to something of the caller's whose key is a view into
// it, so an item is one allocation and the table costs about 13 to 26 bytes each. No two items have
// the same key. Buckets are cache lines of seven places (plus overflow buckets), with a byte of the
// hash beside each, so that a lookup touches one line of the table and, nearly always, one item.
//
// Growing and shrinking happen by moving buckets from an old table to a new one: a few on every
// lookup and write, more by dict_rehash_step. No call takes time in proportion to the table, except
// dict_free and where said so. Memory of big old tables goes back to the system piece by piece.
#ifndef WHERRY_VALUE_DICT_H
#define WHERRY_VALUE_DICT_H

#include "base/bytes.h"
#include "base/rng.h"
#include "loop/loop.h"

struct dict;

struct dict_type {
    struct bytes (*key)(const void *item);
    void (*free_item)(void *item); // NULL: the items belong to somebody else
};

// `seed` keys the hash (SipHash-1-3) and the choice of levels or samples made from it; whoever sets
// it to something secret is safe from keys chosen to collide. The type must outlive the dict.
struct dict *dict_new(const struct dict_type *type, uint64_t seed);
// In one go: small tables and teardown. NULL is fine.
void dict_free(struct dict *d);
// Frees a piece. True when everything is gone, the dict included.
bool dict_free_step(struct dict *d, struct budget *budget);

uint64_t dict_count(const struct dict *d);
uint64_t dict_seed(const struct dict *d);
// Bytes of the tables themselves.
size_t dict_table_bytes(const struct dict *d);
// Tables plus items, estimated from `samples` of them (0: all, in one go) by `item_bytes`; NULL
// takes mem_size of the item.
size_t dict_memory(const struct dict *d, int samples, size_t (*item_bytes)(const void *item));

uint64_t dict_hash(const struct dict *d, struct bytes key);

// Begins to fetch what a lookup or an insertion of this hash will touch.
void dict_prefetch(const struct dict *d, uint64_t hash);
// An item that may be the one of this hash, without a look at it; NULL: none is at hand. For those
// who prefetch.
void *dict_guess(const struct dict *d, uint64_t hash);

// The item, or NULL. The _hashed forms take dict_hash(d, key), computed once for many uses.
void *dict_find(struct dict *d, struct bytes key);
void *dict_find_hashed(struct dict *d, struct bytes key, uint64_t hash);
// False, and the item still the caller's, when its key is there already.
bool dict_insert(struct dict *d, void *item) __attribute__((warn_unused_result));
bool dict_insert_hashed(struct dict *d, void *item, uint64_t hash)
    __attribute__((warn_unused_result));
// For a key known to be absent (it was just looked for): no second lookup.
void dict_insert_new(struct dict *d, void *item, uint64_t hash);
// Inserts, or takes the place of the item with the same key, which is returned (not freed).
void *dict_replace(struct dict *d, void *item);
// `old_item`, which is in the dict, becomes `new_item` in place: same key, perhaps moved memory.
// `old_item` is only compared as a pointer, `hash` is its key's.
void dict_move_item(struct dict *d, uint64_t hash, const void *old_item, void *new_item);
// Takes the item out and returns it, or NULL.
void *dict_take(struct dict *d, struct bytes key);
void *dict_take_hashed(struct dict *d, struct bytes key, uint64_t hash);
// Takes the item out and frees it. False when there was none.
bool dict_delete(struct dict *d, struct bytes key);

// Makes room for `count` items in all, if the dict is not being rehashed. Takes at most
// DICT_RESERVE_MAX at its word, so that a count that came from a peer is safe to pass on.
enum { DICT_RESERVE_MAX = 1 << 20 };
void dict_reserve(struct dict *d, uint64_t count);
// So many items are announced: when the table grows, it grows towards that size in few steps, each
// to at most eight times what the items there need. Nothing is allocated by this call, so that a
// count that came from a peer is safe to pass on.
void dict_expect(struct dict *d, uint64_t count);
bool dict_rehashing(const struct dict *d);
// A piece of rehashing; also shrinks a dict that has become too big. True when there is no more to
// do (or it is paused).
bool dict_rehash_step(struct dict *d, struct budget *budget);
// While paused (they nest) items keep their places: nothing is rehashed or compacted. Iterators
// pause by themselves. Lookups, deletions and insertions go on.
void dict_pause(struct dict *d);
void dict_resume(struct dict *d);

// A random item, every one as likely; NULL when empty.
void *dict_random(struct dict *d, struct rng *rng);
// Up to `max` different items, neighbours from a random place on: cheap and not quite fair (for
// eviction and expiry). Returns how many.
int dict_sample(struct dict *d, struct rng *rng, void **items, int max);

// SCAN: calls `visit` for the items of a bucket (and, while rehashing, of the buckets that it came
// from or goes to) and returns the next cursor; start with 0, done when 0 comes back. An item that
// is there from start to end is visited at least once, whatever is inserted, deleted or rehashed
// between calls; some may come twice. `visit` may delete any items, and must not insert.
// (The cursor counts with its bits reversed, as Redis's does: the idea is Pieter Noordhuis's.)
typedef void dict_visit(void *arg, void *item);
uint64_t dict_scan(struct dict *d, uint64_t cursor, dict_visit *visit, void *arg);

// Walks all items in the order of their places, stopping anywhere and going on later. Pauses the
// dict from begin to end. Meanwhile any item may be deleted and looked for, none inserted.
struct dict_iter {
    struct dict *dict;
    void *bucket; // where we are; private
    uint64_t index;
    uint8_t table, slot;
};
void dict_iter_begin(struct dict_iter *it, struct dict *d);
void *dict_iter_next(struct dict_iter *it); // NULL at the end
void dict_iter_end(struct dict_iter *it);   // fine when called twice

#endif
