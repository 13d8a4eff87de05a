// Categories of commands: those that a row names and those that follow from its flags.
//
// Source: names and implied categories of Redis 7.0 (ACL CAT).
#ifndef WHERRY_NODE_CATEGORY_H
#define WHERRY_NODE_CATEGORY_H

#include "node/command.h"

enum { CATEGORY_COUNT = 21 };
extern const char *const category_names[CATEGORY_COUNT]; // without the "@"

uint32_t categories_of(const struct command *cmd); // bits by index of the names
int category_find(struct bytes name);              // index, or -1

#endif
