// MONITOR: clients that see every command that others run. monitor_feed of parts.h tells them.
#ifndef WHERRY_NODE_MONITOR_H
#define WHERRY_NODE_MONITOR_H

#include "node/parts.h"

void monitor_add(struct client *c); // fine when it is one already
void monitor_remove(struct client *c);
static inline bool monitor_any(const struct node *n)
{
    return !list_empty(&n->monitors);
}

#endif
