// Sets: a sorted array of integers while every member is one and there are at most
// set_max_intset_entries; else a table. Never back.
//
// Views that come out are valid until the next write; a member of an intset is written into the
// caller's scratch. `v` is a set throughout; what
// is passed to be stored must not point into it.
#ifndef WHERRY_VALUE_SET_H
#define WHERRY_VALUE_SET_H

#include "base/rng.h"
#include "base/text.h"
#include "value/dict.h"
#include "value/value.h"

void set_init(struct value *v); // empty
uint64_t set_length(const struct value *v);

// False when it was there already (so that it is the builders' function too).
bool set_add(struct value *v, struct bytes member, const struct value_limits *limits);
bool set_remove(struct value *v, struct bytes member); // false when it was not there
bool set_contains(const struct value *v, struct bytes member);
// A set that will hold `members` of them, all integers or not; the count need not be trusted. Call
// on an empty one.
void set_reserve(struct value *v, uint64_t members, bool integers,
                 const struct value_limits *limits);

// One member, each as likely; false when the set is empty.
bool set_random(const struct value *v, struct rng *rng, struct bytes *member,
                char scratch[TEXT_I64_BYTES]);
// Removes a random member and returns it, the caller's to free; NULL when empty.
struct str *set_pop(struct value *v, struct rng *rng);
// SCAN: see dict_scan. An intset is visited whole, and 0 returned.
typedef void set_visit(void *arg, struct bytes member);
uint64_t set_scan(const struct value *v, uint64_t cursor, set_visit *visit, void *arg);

// Member by member, stopping anywhere. Valid while nobody writes. Begin pauses rehashing, so end
// it. A view is valid until the following next.
struct set_iter {
    const struct value *v;
    uint32_t index; // in an intset
    struct dict_iter dict;
    char scratch[TEXT_I64_BYTES];
};
void set_iter_begin(struct set_iter *it, const struct value *v);
bool set_iter_next(struct set_iter *it, struct bytes *member);
void set_iter_end(struct set_iter *it);

// ---- intsets as RDB stores them ----------------------------------------------------------------

// The block when so encoded; data NULL otherwise.
struct bytes set_intset_view(const struct value *v);
// Makes a set of a copy of `blob`, in the encoding that the limits demand. `deep` checks the order
// of the elements. False, and `v` untouched, when it is not an intset or is empty. In one go,
// linear in the size.
bool set_from_intset(struct value *v, struct bytes blob, const struct value_limits *limits,
                     bool deep) __attribute__((warn_unused_result));

#endif
