#include "value/dict_table.h"

#include "base/mem.h"

#include <assert.h>

enum {
    RANDOM_SPREAD = 16, // at least as many as nearly any bucket holds
    RANDOM_TRIES = 1024,
    FEW_BUCKETS = 8,
    SAMPLE_BUCKETS_EACH = 10, // buckets looked at for each sample wanted
    FREE_BUCKETS = 16,        // freed between two looks at a budget
};

// Both tables in a row, without the part of the first that is empty: bucket number `index`.
static struct bucket *bucket_at(const struct dict *d, uint64_t index)
{
    uint64_t old = table_size(d, 0) - d->moved;
    return index < old ? &d->table[0][d->moved + index] : &d->table[1][index - old];
}

static uint64_t buckets_in_all(const struct dict *d)
{
    return table_size(d, 0) - d->moved + table_size(d, 1);
}

// ---- scan -----------------------------------------------------------------------------------

static uint64_t reversed(uint64_t v)
{
    v = __builtin_bswap64(v);
    v = (v >> 4 & 0x0f0f0f0f0f0f0f0fu) | (v & 0x0f0f0f0f0f0f0f0fu) << 4;
    v = (v >> 2 & 0x3333333333333333u) | (v & 0x3333333333333333u) << 2;
    return (v >> 1 & 0x5555555555555555u) | (v & 0x5555555555555555u) << 1;
}

// Adds one at the highest bit below the mask's end, carrying downwards. Buckets of a larger table
// that a bucket splits into have the same low bits, so they follow one another.
static uint64_t cursor_next(uint64_t cursor, uint64_t mask)
{
    return reversed(reversed(cursor | ~mask) + 1);
}

static void visit_bucket(struct bucket *b, dict_visit *visit, void *arg)
{
    for (; b != NULL; b = bucket_overflow(b))
        for (int place = 0; place < PLACES; place++)
            if (bucket_taken(b) & 1u << place) visit(arg, b->item[place]);
}

uint64_t dict_scan(struct dict *d, uint64_t cursor, dict_visit *visit, void *arg)
{
    if (d->bits[0] == NO_TABLE) return 0;
    dict_pause(d);
    int small = 0, large = 0;
    if (dict_rehashing(d)) {
        small = d->bits[0] < d->bits[1] ? 0 : 1;
        large = 1 - small;
    }
    uint64_t mask = table_size(d, small) - 1, wide = table_size(d, large) - 1;
    visit_bucket(&d->table[small][cursor & mask], visit, arg);
    if (small == large) {
        cursor = cursor_next(cursor, mask);
    } else {
        do {
            visit_bucket(&d->table[large][cursor & wide], visit, arg);
            cursor = cursor_next(cursor, wide);
        } while (cursor & (mask ^ wide));
    }
    dict_resume(d);
    return cursor;
}

// ---- iterator ---------------------------------------------------------------------------------

void dict_iter_begin(struct dict_iter *it, struct dict *d)
{
    *it = (struct dict_iter){.dict = d};
    dict_pause(d);
    if (d->bits[0] == NO_TABLE) return;
    it->index = d->moved < table_size(d, 0) ? d->moved : 0;
    it->bucket = &d->table[0][it->index];
}

// A walk meets items in the order of their hashes, that is, each in a line of memory that is not in
// the cache. Those that are a little ahead are asked for early: two lines of each, which is most of
// what is read of a small one. (GCC 12 takes a function that only prefetches for one that does
// nothing, and drops calls of it: hence always_inline.)
__attribute__((always_inline)) static inline void prefetch_ahead(const struct dict_iter *it)
{
    enum { AHEAD_BUCKETS = 3, LINE_BYTES = 64 };
    const struct dict *d = it->dict;
    if (it->index + 2 * AHEAD_BUCKETS >= table_size(d, it->table)) return;
    const struct bucket *b = &d->table[it->table][it->index + AHEAD_BUCKETS];
    __builtin_prefetch(b + AHEAD_BUCKETS);
    for (unsigned left = bucket_taken(b); left; left &= left - 1) {
        const char *item = b->item[__builtin_ctz(left)];
        __builtin_prefetch(item);
        __builtin_prefetch(item + LINE_BYTES);
    }
}

// The bucket after the current one; NULL at the end.
static struct bucket *iter_advance(struct dict_iter *it)
{
    struct dict *d = it->dict;
    struct bucket *more = bucket_overflow(it->bucket);
    if (more != NULL) return more;
    if (++it->index == table_size(d, it->table)) {
        if (it->table == 1 || !dict_rehashing(d)) return NULL;
        it->table = 1;
        it->index = 0;
    }
    return &d->table[it->table][it->index];
}

void *dict_iter_next(struct dict_iter *it)
{
    while (it->bucket != NULL) {
        struct bucket *b = it->bucket;
        unsigned left = bucket_taken(b) >> it->slot << it->slot;
        if (left) {
            int place = __builtin_ctz(left);
            it->slot = (uint8_t)(place + 1);
            return b->item[place];
        }
        it->bucket = iter_advance(it);
        it->slot = 0;
        prefetch_ahead(it);
    }
    return NULL;
}

void dict_iter_end(struct dict_iter *it)
{
    if (it->dict != NULL) dict_resume(it->dict);
    it->dict = NULL;
    it->bucket = NULL;
}

// ---- samples ----------------------------------------------------------------------------------

static void *nth_of_all(const struct dict *d, uint64_t n)
{
    for (uint64_t i = 0; i < buckets_in_all(d); i++) {
        unsigned here = bucket_count(bucket_at(d, i));
        if (n < here) return bucket_nth(bucket_at(d, i), (unsigned)n);
        n -= here;
    }
    return NULL;
}

void *dict_random(struct dict *d, struct rng *rng)
{
    uint64_t count = dict_count(d), buckets = buckets_in_all(d);
    if (count == 0) return NULL;
    if (buckets <= FEW_BUCKETS) return nth_of_all(d, rng_below(rng, count));
    // A bucket, and a number that is taken for one of its items or thrown away: items in crowded
    // buckets are as likely as others.
    for (int tries = 0; tries < RANDOM_TRIES; tries++) {
        struct bucket *b = bucket_at(d, rng_below(rng, buckets));
        unsigned here = bucket_count(b);
        unsigned spread = here > RANDOM_SPREAD ? here : RANDOM_SPREAD;
        unsigned n = (unsigned)rng_below(rng, spread);
        if (n < here) return bucket_nth(b, n);
    }
    // Nearly empty, which a shrinking table is for a moment: the next one after a random place.
    for (uint64_t i = rng_below(rng, buckets);; i = (i + 1) % buckets) {
        unsigned here = bucket_count(bucket_at(d, i));
        if (here) return bucket_nth(bucket_at(d, i), (unsigned)rng_below(rng, here));
    }
}

int dict_sample(struct dict *d, struct rng *rng, void **items, int max)
{
    uint64_t buckets = buckets_in_all(d);
    if (buckets == 0 || max <= 0) return 0;
    uint64_t at = rng_below(rng, buckets), looks = (uint64_t)max * SAMPLE_BUCKETS_EACH;
    if (looks > buckets) looks = buckets;
    int got = 0;
    for (uint64_t i = 0; i < looks; i++, at = at + 1 == buckets ? 0 : at + 1)
        for (struct bucket *b = bucket_at(d, at); b != NULL; b = bucket_overflow(b))
            for (unsigned left = bucket_taken(b); left; left &= left - 1) {
                items[got++] = b->item[__builtin_ctz(left)];
                if (got == max) return got;
            }
    return got;
}

size_t dict_table_bytes(const struct dict *d)
{
    uint64_t buckets = table_size(d, 0) + table_size(d, 1) + d->overflows;
    return sizeof(*d) + buckets * sizeof(struct bucket);
}

size_t dict_memory(const struct dict *d, int samples, size_t (*item_bytes)(const void *item))
{
    uint64_t buckets = buckets_in_all(d), seen = 0, bytes = 0;
    for (uint64_t i = 0; i < buckets; i++) {
        for (const struct bucket *b = bucket_at(d, i); b != NULL; b = bucket_overflow(b))
            for (unsigned left = bucket_taken(b); left; left &= left - 1, seen++) {
                const void *item = b->item[__builtin_ctz(left)];
                bytes += item_bytes ? item_bytes(item) : mem_size(item);
            }
        if (samples > 0 && seen >= (uint64_t)samples) break;
    }
    if (seen > 0 && seen < dict_count(d))
        bytes = (uint64_t)((double)bytes / (double)seen * (double)dict_count(d));
    return dict_table_bytes(d) + bytes;
}

// ---- freeing ----------------------------------------------------------------------------------

// Returns how many items were freed.
static unsigned free_bucket(struct dict *d, struct bucket *head)
{
    unsigned freed = 0;
    for (struct bucket *b = head; b != NULL;) {
        struct bucket *more = bucket_overflow(b);
        for (unsigned left = bucket_taken(b); left; left &= left - 1, freed++)
            if (d->type->free_item) d->type->free_item(b->item[__builtin_ctz(left)]);
        if (b != head) mem_free(b);
        b = more;
    }
    head->used = 0;
    return freed;
}

bool dict_free_step(struct dict *d, struct budget *budget)
{
    for (;;) {
        uint64_t size = table_size(d, 0);
        uint32_t units = FREE_BUCKETS;
        for (int i = 0; i < FREE_BUCKETS && d->moved < size; i++) {
            units += 2 * free_bucket(d, &d->table[0][d->moved]);
            d->moved++;
            dict_release_moved(d);
        }
        if (d->moved == size) {
            mem_free(d->table[0]);
            d->table[0] = d->table[1];
            d->bits[0] = d->bits[1];
            d->table[1] = NULL;
            d->bits[1] = NO_TABLE;
            d->moved = 0;
            if (d->bits[0] == NO_TABLE) break;
        }
        if (budget != NULL && !budget_left(budget, units)) return false;
    }
    mem_free(d);
    return true;
}

void dict_free(struct dict *d)
{
    if (d != NULL) dict_free_step(d, NULL);
}
