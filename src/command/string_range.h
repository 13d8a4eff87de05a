// What commands that make strings longer share.
#ifndef WHERRY_COMMAND_STRING_RANGE_H
#define WHERRY_COMMAND_STRING_RANGE_H

#include "node/command.h"

// False when a string of `offset` + `len` bytes would be over proto-max-bulk-len: replied.
bool limit_string(struct ctx *c, uint64_t offset, uint64_t len);

#endif
