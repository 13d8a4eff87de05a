// Arguments that several families share: numbers with messages of their own, timeouts, counts.
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

#endif
