// Server-assisted client-side caching: who has read which key is told when it changes.
//
// In the default mode keys that a client reads are remembered with its id, and an invalidation
// forgets them. In broadcast mode a client is told of every change under its prefixes, in one
// message per turn of the loop. Source: "Client-side caching" of the Redis documentation; replies
// and errors of Redis 7.0.
#ifndef WHERRY_NODE_TRACKING_H
#define WHERRY_NODE_TRACKING_H

#include "node/parts.h"

enum tracking_flag {
    TRACKING_BCAST = 1 << 0,
    TRACKING_OPTIN = 1 << 1,
    TRACKING_OPTOUT = 1 << 2,
    TRACKING_NOLOOP = 1 << 3,
    TRACKING_CACHING = 1 << 4,      // CLIENT CACHING: for the next command
    TRACKING_BROKEN_REDIR = 1 << 5, // the client that was to get the messages has gone
};

struct tracking_client {
    struct client *client;
    uint64_t id;
    uint32_t flags;
    uint64_t redirect; // id of who gets the messages; 0: the client itself
    int prefix_count;
    struct str **prefixes; // owned
};

// Turns it on, or adds prefixes; copies them. The caller has checked that they don't overlap.
void tracking_enable(struct client *c, uint64_t redirect, uint32_t flags, int count,
                     const struct bytes *prefixes);
void tracking_disable(struct client *c); // fine when it is off
// After a command that only read: its keys are remembered.
void tracking_remember(struct client *c, const struct command *cmd, int argc,
                       struct str *const *argv);
// After each command: CLIENT CACHING was for one.
void tracking_ran(struct client *c, const char *name);

void tracking_key_changed(struct node *n, struct bytes key);
void tracking_flushed(struct node *n);
void tracking_broadcast(struct node *n); // before the loop waits: what gathered for prefixes
void tracking_cron(struct node *n);      // tracking-table-max-keys
void tracking_free(struct node *n);      // after the clients

struct tracking_counts {
    uint64_t clients, keys, items, prefixes;
};
struct tracking_counts tracking_counts(const struct node *n);

#endif
