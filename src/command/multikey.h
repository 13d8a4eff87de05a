// What commands of several keys share: keys that are counted by an argument, the first of many that
// holds something, waiting for one of them, and destinations.
#ifndef WHERRY_COMMAND_MULTIKEY_H
#define WHERRY_COMMAND_MULTIKEY_H

#include "node/command.h"

// For get_keys: argv[index] says how many keys follow it; all of one access.
int keys_counted_at(int index, enum key_access access, int argc, struct str *const *argv,
                    struct key_ref *out, int max);
// The same, with a destination at argv[1] that is written: ZUNIONSTORE.
int keys_stored_and_counted(int argc, struct str *const *argv, struct key_ref *out, int max);
int keys_counted_first_read(int argc, struct str *const *argv, struct key_ref *out, int max);
int keys_counted_first_write(int argc, struct str *const *argv, struct key_ref *out, int max);
int keys_counted_second_write(int argc, struct str *const *argv, struct key_ref *out, int max);

// Blocks on the keys argv[first] and the `count` - 1 behind it, or answers a null array where that
// is not allowed: what BLPOP, BZPOPMIN and theirs do when there is nothing.
void block_on_args(struct ctx *c, int first, int count, int64_t timeout_ms);

// A destination that a *STORE command leaves: `value` (taken over) under `key`, with `event`; or,
// when `value` is empty, no such key. Replies the length.
void store_result(struct ctx *c, struct bytes key, struct value *value, uint32_t class_flag,
                  const char *event);

// LMPOP and ZMPOP: numkeys key [key ...] LOW|HIGH [COUNT count], from argv[at] on, with the words
// for the two ends given.
struct mpop {
    int first, count; // keys: argv[first] ...
    bool high;        // RIGHT, MAX
    uint64_t wanted;  // elements
};
bool mpop_parse(struct ctx *c, int at, const char *low, const char *high, struct mpop *m);
// Propagates what a call took, as `name` key count.
void mpop_propagate(struct ctx *c, const char *name, struct bytes key, uint64_t count);

enum first_of { FIRST_FOUND, FIRST_NONE, FIRST_ERROR };
// The first of `count` keys, from argv[first] on, that is there. One of another type is an error
// (replied) when the command came, but whoever waits already goes on waiting.
enum first_of first_of_type(struct ctx *c, int first, int count, enum value_type type, int *index,
                            struct entry **e);

#endif
