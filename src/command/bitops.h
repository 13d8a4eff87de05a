// What the commands on bits share.
#ifndef WHERRY_COMMAND_BITOPS_H
#define WHERRY_COMMAND_BITOPS_H

#include "node/command.h"

// A bit's offset, at most proto-max-bulk-len bytes into a string. With `width` above 0 "#n" means
// n times the width. False: replied.
bool bit_offset(struct ctx *c, int index, int width, uint64_t *out);
// The bytes of a string for writing, at least `len` of them. `e` NULL: the key is made.
unsigned char *bit_writable(struct ctx *c, struct bytes key, struct entry *e, size_t len);

#endif
