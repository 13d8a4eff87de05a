// Clients as lists of them show: CLIENT LIST and INFO, and which of them a filter means.
//
// Source: fields and flag letters of CLIENT LIST in Redis 7.0 (documentation of the command); tools
// parse the line.
#ifndef WHERRY_NODE_CLIENT_LIST_H
#define WHERRY_NODE_CLIENT_LIST_H

#include "node/node.h"

// Appends "id=7 addr=127.0.0.1:51234 ... resp=2", without a newline.
void client_line(struct client *c, struct buf *out);
// "127.0.0.1:51234" as the peer, and our side of it; "?:0" where there is none.
void client_peer_name(const struct client *c, char *out, size_t size);
void client_local_name(const struct client *c, char *out, size_t size);

// Bytes of queued output, and of the client in all.
size_t client_output_bytes(const struct client *c);
size_t client_memory_bytes(const struct client *c);

// "normal", "master", "replica", "slave", "pubsub". False: no such type.
bool client_class_from_name(struct bytes name, enum client_class *out);

// Calls `visit` for every client that is not on its way out, our primary's link among them, in the
// order of their ids. `visit` may close the client that it is given.
void client_each(struct node *n, void (*visit)(void *arg, struct client *c), void *arg);
// The same by id, or NULL.
struct client *client_by_id(struct node *n, uint64_t id);

#endif
