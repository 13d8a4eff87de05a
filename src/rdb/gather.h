// A long string put together from pieces as they arrive, without believing its announced length:
// the first half goes into parts of RDB_CLAIM_BYTES; once half is there the whole is allocated, the
// rest goes straight into it, and the parts are copied to its front, in slices, each freed after.
// Nothing is ever moved as a whole, so no step takes time in proportion to the string.
//
//     part -> part -> part            before half of it is there
//     [  (room)        | tail.. ]     after: `block`, filled from tail_from on
//     [ joined..       | tail   ]     gather_join
#ifndef WHERRY_RDB_GATHER_H
#define WHERRY_RDB_GATHER_H

#include "loop/loop.h"

struct gather_part;
struct gather {
    uint64_t total, got;              // bytes
    size_t head_bytes;                // room in front of the string in `block`
    char *block;                      // of mem_try, head_bytes + total + 1
    uint64_t tail_from;               // the place in the string where block's own bytes begin
    struct gather_part *first, *last; // the bytes before that
    size_t part_used;                 // of `last`
    uint64_t joined;                  // bytes copied from parts already
};

// `head_bytes` is room for the caller's header.
void gather_begin(struct gather *g, uint64_t total, size_t head_bytes);
// Where the next bytes go and how many fit there; 0: that much memory is not to be had. To be
// called while got < total.
size_t gather_room(struct gather *g, char **where) __attribute__((warn_unused_result));
void gather_commit(struct gather *g, size_t len);
// When all is there: true once `block` is whole; false: the budget ended, call again.
bool gather_join(struct gather *g, struct budget *budget);
// After that: the block, the caller's to free.
char *gather_take(struct gather *g);
void gather_free(struct gather *g); // and leaves it empty

#endif
