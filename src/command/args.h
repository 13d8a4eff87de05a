// Arguments that several families share: numbers with messages of their own, timeouts, ends of a
// list, and keys counted by a numkeys argument.
#ifndef WHERRY_COMMAND_ARGS_H
#define WHERRY_COMMAND_ARGS_H

#include "node/command.h"

// An integer in min..max. Whatever is wrong with it, `message` is the error.
bool arg_int_in(struct ctx *c, int index, int64_t min, int64_t max, const char *message,
                int64_t *out);
// 0 or more: "value is out of range, must be positive".
bool arg_positive(struct ctx *c, int index, int64_t *out);
// Seconds, possibly with a fraction, of a blocking command; 0: no limit.
bool arg_timeout(struct ctx *c, int index, int64_t *timeout_ms);
// numkeys of LMPOP and the like, at least 1.
bool arg_numkeys(struct ctx *c, int index, int64_t *out);

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

#endif
