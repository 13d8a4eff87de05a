// The way out: wait for replicas, save, leave. Nothing blocks meanwhile; it can be called off.
#ifndef WHERRY_NODE_SHUTDOWN_H
#define WHERRY_NODE_SHUTDOWN_H

#include "node/node.h"

enum shutdown_flag {
    SHUTDOWN_SAVE = 1 << 0,   // even without save points
    SHUTDOWN_NOSAVE = 1 << 1, // even with them
    SHUTDOWN_NOW = 1 << 2,    // don't wait for replicas
    SHUTDOWN_FORCE = 1 << 3,  // leave even if saving fails
};

// node_shutdown (node.h) begins. False: none was under way.
bool shutdown_abort(struct node *n);
// Milliseconds until it stops waiting for replicas; -1: no shutdown is waiting.
int64_t shutdown_left_ms(const struct node *n);
void shutdown_replicas_moved(struct node *n); // one has acknowledged, or is gone
void shutdown_command(struct ctx *c);         // SHUTDOWN
void shutdown_free(struct node *n);

#endif
