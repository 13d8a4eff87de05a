// DEBUG DIGEST and DIGEST-VALUE: a fingerprint of data that does not depend on encodings or the
// order of insertion, and is the same as Redis 7.0's for the same data (debug.c, "DEBUG DIGEST").
// Walked in slices; whoever walks a dataset keeps it from changing (PAUSE_DIGEST).
#ifndef WHERRY_NODE_DIGEST_H
#define WHERRY_NODE_DIGEST_H

#include "node/node.h"
#include "value/hash.h"
#include "value/list.h"
#include "value/set.h"
#include "value/stream.h"
#include "value/zset.h"

enum { DIGEST_BYTES = 20 };
struct digest {
    unsigned char bytes[DIGEST_BYTES];
};

// One value, in slices.
struct digest_value {
    const struct entry *entry;
    struct digest digest;
    bool began, done;
    union {
        struct list_iter list;
        struct set_iter set;
        struct zset_iter zset;
        struct hash_iter hash;
        struct stream_iter stream;
    } at;
};
void digest_value_begin(struct digest_value *v, const struct entry *e, const struct digest *seed);
bool digest_value_step(struct digest_value *v, struct budget *budget); // true: done
void digest_value_end(struct digest_value *v);                         // also in the middle

void digest_mix(struct digest *d, struct bytes data); // order counts
void digest_xor(struct digest *d, struct bytes data); // order does not count
void digest_hex(const struct digest *d, char out[2 * DIGEST_BYTES]);

// The commands' bodies.
void digest_dataset_command(struct ctx *c);
void digest_values_command(struct ctx *c, int first_key);

#endif
