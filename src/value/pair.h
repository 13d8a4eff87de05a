// The item of a table of fields and values (hash) or of members alone (set): one allocation.
//
//     u16 key length | u16 value length | key | value
//     65535, 0 | 4 bytes | u64 key length | u64 value length | key | value     when one is longer
#ifndef WHERRY_VALUE_PAIR_H
#define WHERRY_VALUE_PAIR_H

#include "base/bytes.h"
#include "value/dict.h"

struct pair; // a pointer type only

// Keys are the pairs' keys, the dict frees them.
extern const struct dict_type pair_dict;

struct pair *pair_new(struct bytes key, struct bytes value);
struct bytes pair_key(const void *pair);
struct bytes pair_value(const void *pair);
// Writes the value in place if that neither needs nor wastes much memory; false if not.
bool pair_rewrite(struct pair *pair, struct bytes value);
size_t pair_bytes(const void *pair);
struct pair *pair_copy(const void *pair);

#endif
