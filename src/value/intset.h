// A sorted array of integers in the layout that RDB stores verbatim (Redis 7.0 intset.h): u32 width
// of an element in bytes (2, 4 or 8), u32 count, elements ascending; all little-endian.
#ifndef WHERRY_VALUE_INTSET_H
#define WHERRY_VALUE_INTSET_H

#include "base/bytes.h"

enum { INTSET_HEADER_BYTES = 8 };

struct intset {
    uint32_t width, count; // in host order only where that is little-endian: use the functions
    unsigned char elements[];
};

struct intset *intset_new(void);
void intset_free(struct intset *is); // NULL is fine
// The set may move: use what they return. *changed says whether it was added or removed.
struct intset *intset_add(struct intset *is, int64_t number, bool *changed)
    __attribute__((warn_unused_result));
struct intset *intset_remove(struct intset *is, int64_t number, bool *changed)
    __attribute__((warn_unused_result));
bool intset_contains(const struct intset *is, int64_t number);
uint32_t intset_count(const struct intset *is);
int64_t intset_at(const struct intset *is, uint32_t index); // index below the count
struct bytes intset_view(const struct intset *is);          // the whole, as RDB stores it
// A copy of bytes that intset_validate accepted; NULL when memory is not to be had.
struct intset *intset_from(struct bytes blob);
// Whether untrusted bytes are an intset: header and size always, with `deep` also that the elements
// ascend. Linear in the size when deep.
bool intset_validate(struct bytes blob, bool deep);

#endif
