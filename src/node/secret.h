// Arguments that are nobody's business: what MONITOR and SLOWLOG show as "(redacted)".
//
// Source: which arguments Redis 7.0 redacts.
#ifndef WHERRY_NODE_SECRET_H
#define WHERRY_NODE_SECRET_H

#include "base/bytes.h"

// `name` is the full one: "auth", "config|set".
bool argument_is_secret(const char *name, int argc, const struct bytes *argv, int index);

#endif
