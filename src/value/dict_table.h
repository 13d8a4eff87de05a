// The inside of a dict, shared by dict.c (lookup, change, rehash) and dict_walk.c (scan, iterators,
// samples, freeing). Nobody else includes this.
//
//     table[0]                            table[1] (while rehashing)
//     | moved: empty | not yet moved |    | where they go, twice as many or fewer |
#ifndef WHERRY_VALUE_DICT_TABLE_H
#define WHERRY_VALUE_DICT_TABLE_H

#include "value/dict.h"

enum {
    PLACES = 7,           // items in a bucket...
    PLACES_OVERFLOWN = 6, // ...or fewer, when the last place points to an overflow bucket
    OVERFLOW = 0x80,      // in bucket.used
    FILL = 5,             // items per bucket, on average, before a table grows
    NO_TABLE = -1,
    RATIO_BITS = 3, // tables differ by at most this power of two, which bounds what a scan visits
};

struct bucket {
    uint8_t used; // a bit per place that is taken; OVERFLOW
    uint8_t tag[PLACES];
    void *item[PLACES];
};

struct dict {
    const struct dict_type *type;
    uint64_t seed, key[2];
    struct bucket *table[2];
    uint64_t count[2];
    uint64_t moved;     // while rehashing: buckets of table[0] below this are empty
    uint64_t overflows; // overflow buckets in both
    uint64_t expected;  // items that were announced
    int8_t bits[2];     // log2 of the number of buckets; NO_TABLE
    uint32_t paused;
};

static inline uint64_t table_size(const struct dict *d, int t)
{
    return d->bits[t] == NO_TABLE ? 0 : (uint64_t)1 << d->bits[t];
}
// Places that may be taken in this bucket, as bits.
static inline unsigned bucket_room(const struct bucket *b)
{
    return b->used & OVERFLOW ? (1u << PLACES_OVERFLOWN) - 1 : (1u << PLACES) - 1;
}
static inline unsigned bucket_taken(const struct bucket *b)
{
    return b->used & (unsigned)(OVERFLOW - 1);
}
static inline struct bucket *bucket_overflow(const struct bucket *b)
{
    return b->used & OVERFLOW ? b->item[PLACES - 1] : NULL;
}
static inline unsigned bucket_count(const struct bucket *b)
{
    unsigned n = 0;
    for (; b != NULL; b = bucket_overflow(b))
        n += (unsigned)__builtin_popcount(bucket_taken(b));
    return n;
}
// The n-th item of the bucket and what overflows from it.
static inline void *bucket_nth(const struct bucket *b, unsigned n)
{
    for (; b != NULL; b = bucket_overflow(b))
        for (unsigned left = bucket_taken(b); left; left &= left - 1)
            if (n-- == 0) return b->item[__builtin_ctz(left)];
    return NULL;
}

// Gives memory back each time another stretch of table[0] lies below `moved`.
void dict_release_moved(struct dict *d);

#endif
