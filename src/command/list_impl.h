// What the files of the list commands share.
#ifndef WHERRY_COMMAND_LIST_IMPL_H
#define WHERRY_COMMAND_LIST_IMPL_H

#include "node/command.h"
#include "value/list.h"

// LEFT or RIGHT; false, and "syntax error" replied, when it is neither.
bool list_arg_end(struct ctx *c, int index, enum list_end *end);
// `count` elements were taken from this end: event, deletion when it is empty, change.
void list_taken(struct ctx *c, struct bytes key, struct entry *e, enum list_end end,
                uint64_t count);
// Pushes to the list at `key`, making it when `e` is NULL, with event and change. `changes` is what
// counts as dirty.
void list_give(struct ctx *c, struct bytes key, struct entry *e, enum list_end end,
               struct bytes element, uint64_t changes);

#endif
