// SORT's patterns.
#ifndef WHERRY_COMMAND_SORT_IMPL_H
#define WHERRY_COMMAND_SORT_IMPL_H

#include "node/command.h"

// What BY and GET patterns stand for: "#" is the element itself; in any other pattern the first '*'
// is replaced by it, and that is a key of a string, or with "->field" behind it, of a hash. NULL
// when there is nothing such. The caller frees it.
struct str *sort_lookup(struct ctx *c, struct bytes pattern, struct bytes element);

#endif
