#include "value/dict_table.h"

#include "base/mem.h"
#include "value/pages.h"
#include "value/siphash.h"

#include <assert.h>
#include <endian.h>

enum {
    STEP_BUCKETS = 1, // moved on the side of a lookup or a write
    STEP_EMPTY = 16,  // empty ones that it may pass over
    JOB_BUCKETS = 16, // moved between two looks at a budget
    LAZY_TABLE_BYTES = 256 * 1024,
    RELEASE_BUCKETS = 4096,   // 256 KiB at a time go back to the system
    SHRINK_BELOW_PART = 8,    // a table is too big when this part of it would do
    SMALLEST_SHRUNK_BITS = 2, // smaller ones are left alone
    AT_ONCE_BITS = 10,        // tables that may be freed in one go
    EXPECT_MAX = INT32_MAX,   // items; more are met by doubling
};

static uint64_t mix(uint64_t z)
{
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

struct dict *dict_new(const struct dict_type *type, uint64_t seed)
{
    struct dict *d = mem_new(struct dict);
    d->type = type;
    d->seed = seed;
    d->key[0] = mix(seed + 0x9e3779b97f4a7c15u);
    d->key[1] = mix(seed + 0x3c6ef372fe94f82au);
    d->bits[0] = d->bits[1] = NO_TABLE;
    return d;
}

uint64_t dict_count(const struct dict *d)
{
    return d->count[0] + d->count[1];
}

uint64_t dict_seed(const struct dict *d)
{
    return d->seed;
}

uint64_t dict_hash(const struct dict *d, struct bytes key)
{
    return siphash13(d->key[0], d->key[1], key);
}

bool dict_rehashing(const struct dict *d)
{
    return d->bits[1] != NO_TABLE;
}

void dict_pause(struct dict *d)
{
    d->paused++;
}

void dict_resume(struct dict *d)
{
    assert(d->paused > 0);
    d->paused--;
}

// ---- buckets --------------------------------------------------------------------------------

static uint8_t tag_of(uint64_t hash)
{
    return (uint8_t)(hash >> 56);
}

static void bucket_put(struct dict *d, struct bucket *b, uint8_t tag, void *item)
{
    for (;;) {
        unsigned room = bucket_room(b) & ~bucket_taken(b);
        if (room) {
            int place = __builtin_ctz(room);
            b->used |= (uint8_t)(1u << place);
            b->tag[place] = tag;
            b->item[place] = item;
            return;
        }
        if (!(b->used & OVERFLOW)) {
            // The last place makes way for the pointer to another bucket.
            struct bucket *more = mem_new(struct bucket);
            more->used = 1;
            more->tag[0] = b->tag[PLACES - 1];
            more->item[0] = b->item[PLACES - 1];
            b->item[PLACES - 1] = more;
            b->used = OVERFLOW | ((1u << PLACES_OVERFLOWN) - 1);
            d->overflows++;
        }
        b = bucket_overflow(b);
    }
}

// Fills the gap that was left in `b` from the last bucket that overflows from `head`, so that these
// stay few.
static void bucket_compact(struct dict *d, struct bucket *head, struct bucket *b, int place)
{
    struct bucket *before = NULL, *last = head;
    for (; bucket_overflow(last) != NULL; last = bucket_overflow(last))
        before = last;
    if (last == head) return;
    unsigned taken = bucket_taken(last);
    if (last != b && taken) {
        int from = __builtin_ctz(taken);
        b->used |= (uint8_t)(1u << place);
        b->tag[place] = last->tag[from];
        b->item[place] = last->item[from];
        last->used &= (uint8_t) ~(1u << from);
    }
    if (bucket_taken(last) == 0) {
        before->used &= OVERFLOW - 1;
        mem_free(last);
        d->overflows--;
    }
}

// The places of a bucket whose tag fits, as bits; perhaps one too many.
static unsigned bucket_candidates(const struct bucket *b, uint8_t tag)
{
    uint64_t word;
    memcpy(&word, b, sizeof(word));
    word = le64toh(word) >> 8;
    word ^= 0x01010101010101u * tag;
    uint64_t zero = (word - 0x01010101010101u) & ~word & 0x80808080808080u;
    // The multiplication gathers the top bit of byte i into bit i of the product's top byte.
    unsigned found = (unsigned)((zero >> 7) * 0x0102040810204080u >> 56);
    return found & bucket_taken(b);
}

struct spot {
    struct bucket *head, *bucket; // bucket NULL: not there
    int place, table;
};

static struct spot spot_find(const struct dict *d, struct bytes key, uint64_t hash)
{
    for (int t = 0; t < 2 && d->bits[t] != NO_TABLE; t++) {
        uint64_t index = hash & (table_size(d, t) - 1);
        if (t == 0 && index < d->moved) continue;
        struct bucket *head = &d->table[t][index];
        for (struct bucket *b = head; b != NULL; b = bucket_overflow(b)) {
            unsigned left = bucket_candidates(b, tag_of(hash));
            for (; left; left &= left - 1) {
                int place = __builtin_ctz(left);
                if (bytes_equal(d->type->key(b->item[place]), key))
                    return (struct spot){head, b, place, t};
            }
        }
    }
    return (struct spot){NULL, NULL, 0, 0};
}

// ---- size and rehashing -----------------------------------------------------------------------

static uint64_t capacity(int bits)
{
    return bits == 0 ? PLACES : (uint64_t)FILL << bits;
}

static int bits_for(uint64_t count)
{
    int bits = 0;
    while (capacity(bits) < count)
        bits++;
    return bits;
}

static struct bucket *table_new(int bits)
{
    size_t size = sizeof(struct bucket) << bits;
    return size >= LAZY_TABLE_BYTES ? mem_zero_pages(size) : mem_zalloc(size);
}

void dict_release_moved(struct dict *d)
{
    if (d->moved % RELEASE_BUCKETS == 0 && d->moved > 0)
        pages_release(d->table[0] + d->moved - RELEASE_BUCKETS, d->table[0] + d->moved);
}

// Begins to move everything into a table of that size.
static void resize(struct dict *d, int bits)
{
    // Only a small table that is quite empty (no overflow buckets either) is simply let go.
    if (dict_count(d) > 0 || d->overflows > 0 || d->bits[0] > AT_ONCE_BITS) {
        if (bits > d->bits[0] + RATIO_BITS) bits = d->bits[0] + RATIO_BITS;
        if (bits < d->bits[0] - RATIO_BITS) bits = d->bits[0] - RATIO_BITS;
        d->table[1] = table_new(bits);
        d->bits[1] = (int8_t)bits;
        d->moved = 0;
        return;
    }
    mem_free(d->table[0]);
    d->table[0] = table_new(bits);
    d->bits[0] = (int8_t)bits;
}

// How much larger a full table becomes: twice as large, or, where more is expected, in steps of
// RATIO_BITS, of which the first may be shorter, so that as few items as can be are moved in the
// last.
static int growth_bits(const struct dict *d)
{
    int short_of = bits_for(d->expected) - d->bits[0];
    if (short_of <= 1) return 1;
    return short_of % RATIO_BITS ? short_of % RATIO_BITS : RATIO_BITS;
}

static void grow_if_full(struct dict *d)
{
    if (d->bits[0] == NO_TABLE)
        resize(d, 0);
    else if (!dict_rehashing(d) && !d->paused && d->count[0] >= capacity(d->bits[0]))
        resize(d, d->bits[0] + growth_bits(d));
}

static void shrink_if_sparse(struct dict *d)
{
    if (dict_rehashing(d) || d->paused || d->bits[0] <= SMALLEST_SHRUNK_BITS) return;
    uint64_t count = dict_count(d);
    if (count < capacity(d->bits[0]) / SHRINK_BELOW_PART) resize(d, bits_for(count + count / 2));
}

static void finish_rehash(struct dict *d)
{
    mem_free(d->table[0]);
    d->table[0] = d->table[1];
    d->count[0] = d->count[1];
    d->bits[0] = d->bits[1];
    d->table[1] = NULL;
    d->count[1] = 0;
    d->bits[1] = NO_TABLE;
    d->moved = 0;
}

static void move_bucket(struct dict *d, struct bucket *head)
{
    uint64_t mask = table_size(d, 1) - 1;
    for (unsigned left = bucket_taken(head); left; left &= left - 1)
        __builtin_prefetch(head->item[__builtin_ctz(left)]);
    for (struct bucket *b = head; b != NULL;) {
        struct bucket *more = bucket_overflow(b);
        for (unsigned left = bucket_taken(b); left; left &= left - 1) {
            int place = __builtin_ctz(left);
            uint64_t hash = dict_hash(d, d->type->key(b->item[place]));
            bucket_put(d, &d->table[1][hash & mask], tag_of(hash), b->item[place]);
            d->count[0]--;
            d->count[1]++;
        }
        if (b != head) {
            mem_free(b);
            d->overflows--;
        }
        b = more;
    }
    head->used = 0;
}

static void rehash(struct dict *d, int buckets, int empty)
{
    uint64_t size = table_size(d, 0);
    while (buckets > 0 && empty > 0 && d->moved < size) {
        struct bucket *b = &d->table[0][d->moved];
        if (b->used) {
            move_bucket(d, b);
            buckets--;
        } else {
            empty--;
        }
        d->moved++;
        dict_release_moved(d);
    }
    if (d->moved == size) finish_rehash(d);
}

static inline void step(struct dict *d)
{
    if (dict_rehashing(d) && !d->paused) rehash(d, STEP_BUCKETS, STEP_EMPTY);
}

bool dict_rehash_step(struct dict *d, struct budget *budget)
{
    for (;;) {
        if (d->paused) return true;
        if (!dict_rehashing(d)) shrink_if_sparse(d);
        if (!dict_rehashing(d)) return true;
        rehash(d, JOB_BUCKETS, JOB_BUCKETS * STEP_EMPTY);
        if (!budget_left(budget, JOB_BUCKETS * FILL * 2)) return false;
    }
}

void dict_reserve(struct dict *d, uint64_t count)
{
    if (count > DICT_RESERVE_MAX) count = DICT_RESERVE_MAX;
    if (dict_rehashing(d) || d->paused) return;
    int bits = bits_for(count);
    if (bits > d->bits[0]) resize(d, bits);
}

void dict_expect(struct dict *d, uint64_t count)
{
    d->expected = count < EXPECT_MAX ? count : EXPECT_MAX;
}

void dict_prefetch(const struct dict *d, uint64_t hash)
{
    for (int t = 0; t < 2 && d->bits[t] != NO_TABLE; t++)
        __builtin_prefetch(&d->table[t][hash & (table_size(d, t) - 1)], 1);
}

void *dict_guess(const struct dict *d, uint64_t hash)
{
    for (int t = 0; t < 2 && d->bits[t] != NO_TABLE; t++) {
        uint64_t index = hash & (table_size(d, t) - 1);
        if (t == 0 && index < d->moved) continue; // its page may have been given back
        const struct bucket *b = &d->table[t][index];
        unsigned fit = bucket_candidates(b, tag_of(hash));
        if (fit) return b->item[__builtin_ctz(fit)];
    }
    return NULL;
}

// ---- lookup and change ------------------------------------------------------------------------

void *dict_find_hashed(struct dict *d, struct bytes key, uint64_t hash)
{
    step(d);
    struct spot at = spot_find(d, key, hash);
    return at.bucket ? at.bucket->item[at.place] : NULL;
}

void *dict_find(struct dict *d, struct bytes key)
{
    if (dict_count(d) == 0) return NULL;
    return dict_find_hashed(d, key, dict_hash(d, key));
}

void dict_insert_new(struct dict *d, void *item, uint64_t hash)
{
    step(d);
    grow_if_full(d);
    int t = dict_rehashing(d) ? 1 : 0;
    bucket_put(d, &d->table[t][hash & (table_size(d, t) - 1)], tag_of(hash), item);
    d->count[t]++;
}

bool dict_insert_hashed(struct dict *d, void *item, uint64_t hash)
{
    if (spot_find(d, d->type->key(item), hash).bucket != NULL) return false;
    dict_insert_new(d, item, hash);
    return true;
}

bool dict_insert(struct dict *d, void *item)
{
    return dict_insert_hashed(d, item, dict_hash(d, d->type->key(item)));
}

void *dict_replace(struct dict *d, void *item)
{
    struct bytes key = d->type->key(item);
    uint64_t hash = dict_hash(d, key);
    struct spot at = spot_find(d, key, hash);
    if (at.bucket == NULL) {
        dict_insert_new(d, item, hash);
        return NULL;
    }
    void *old = at.bucket->item[at.place];
    at.bucket->item[at.place] = item;
    return old;
}

void dict_move_item(struct dict *d, uint64_t hash, const void *old_item, void *new_item)
{
    for (int t = 0; t < 2 && d->bits[t] != NO_TABLE; t++) {
        struct bucket *b = &d->table[t][hash & (table_size(d, t) - 1)];
        for (; b != NULL; b = bucket_overflow(b)) {
            for (unsigned left = bucket_taken(b); left; left &= left - 1) {
                int place = __builtin_ctz(left);
                if (b->item[place] != old_item) continue;
                b->item[place] = new_item;
                return;
            }
        }
    }
    assert(!"the item is not in the dict");
}

void *dict_take_hashed(struct dict *d, struct bytes key, uint64_t hash)
{
    step(d);
    struct spot at = spot_find(d, key, hash);
    if (at.bucket == NULL) return NULL;
    void *item = at.bucket->item[at.place];
    at.bucket->used &= (uint8_t) ~(1u << at.place);
    d->count[at.table]--;
    if (!d->paused) bucket_compact(d, at.head, at.bucket, at.place);
    shrink_if_sparse(d);
    return item;
}

void *dict_take(struct dict *d, struct bytes key)
{
    if (dict_count(d) == 0) return NULL;
    return dict_take_hashed(d, key, dict_hash(d, key));
}

bool dict_delete(struct dict *d, struct bytes key)
{
    void *item = dict_take(d, key);
    if (item == NULL) return false;
    if (d->type->free_item) d->type->free_item(item);
    return true;
}
