// Hashes: a listpack of field, value, field, value; or a table when there are more than
// hash_max_listpack_entries or one is longer than hash_max_listpack_value. Never back.
//
// Views that come out are valid until the next write; an integer held in a listpack is written into
// the caller's scratch. `v` is a hash throughout; what
// is passed to be stored must not point into it.
#ifndef WHERRY_VALUE_HASH_H
#define WHERRY_VALUE_HASH_H

#include "base/rng.h"
#include "base/text.h"
#include "value/dict.h"
#include "value/value.h"

struct pair;

struct value_scratch {
    char text[2][TEXT_I64_BYTES + 3];
};

void hash_init(struct value *v); // empty
uint64_t hash_length(const struct value *v);

bool hash_get(const struct value *v, struct bytes field, struct bytes *value,
              char scratch[TEXT_I64_BYTES]);
bool hash_exists(const struct value *v, struct bytes field);
// True when the field is new, false when its value was replaced.
bool hash_set(struct value *v, struct bytes field, struct bytes value,
              const struct value_limits *limits);
bool hash_delete(struct value *v, struct bytes field); // false when it was not there

// For builders: false, and nothing changed, when the field is there already.
bool hash_add(struct value *v, struct bytes field, struct bytes value,
              const struct value_limits *limits) __attribute__((warn_unused_result));
// The same for many fields of a hash that is a table: what each insertion touches in memory is
// fetched while others are prepared. Zero-initialised; flush at the end, or free.
enum { HASH_BATCH = 4 };
struct hash_batch {
    int count;
    struct pair *pairs[HASH_BATCH];
    uint64_t hashes[HASH_BATCH];
};
bool hash_is_table(const struct value *v);
// False when a field comes twice, with a view of it that is valid until hash_batch_free.
bool hash_batch_add(struct value *v, struct hash_batch *b, struct bytes field, struct bytes value,
                    struct bytes *twice) __attribute__((warn_unused_result));
bool hash_batch_flush(struct value *v, struct hash_batch *b, struct bytes *twice)
    __attribute__((warn_unused_result));
void hash_batch_free(struct hash_batch *b);
// A hash that will hold `fields` of them; the count need not be trusted. Call on an empty one.
void hash_reserve(struct value *v, uint64_t fields, const struct value_limits *limits);

// One pair, each as likely; false when the hash is empty.
bool hash_random(const struct value *v, struct rng *rng, struct bytes *field, struct bytes *value,
                 struct value_scratch *scratch);
// SCAN: see dict_scan. A listpack is visited whole, and 0 returned.
typedef void hash_visit(void *arg, struct bytes field, struct bytes value);
uint64_t hash_scan(const struct value *v, uint64_t cursor, hash_visit *visit, void *arg);

// Field by field, stopping anywhere. Valid while nobody writes. Begin pauses rehashing, so end it.
// The views that next gives are valid until the following next.
struct hash_iter {
    const struct value *v;
    unsigned char *at; // in a listpack
    struct dict_iter dict;
    struct value_scratch scratch;
};
void hash_iter_begin(struct hash_iter *it, const struct value *v);
bool hash_iter_next(struct hash_iter *it, struct bytes *field, struct bytes *value);
void hash_iter_end(struct hash_iter *it);

// ---- listpacks as RDB stores them --------------------------------------------------------------

// The block when so encoded; data NULL otherwise.
struct bytes hash_listpack_view(const struct value *v);
// Makes a hash of a copy of `blob`, in the encoding that the limits demand. `deep` checks every
// entry, and that no field comes twice; without it the bytes must be trusted. False, and `v`
// untouched, when it is not a listpack of pairs or is empty. In one go, linear in the size: read
// large blobs with listpack_reader and hash_add.
bool hash_from_listpack(struct value *v, struct bytes blob, const struct value_limits *limits,
                        bool deep) __attribute__((warn_unused_result));

#endif
