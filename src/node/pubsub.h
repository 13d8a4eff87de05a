// Publish and subscribe: channels, patterns and shard channels. Delivery is parts.h's
// pubsub_publish; here is what the commands need.
//
// A message goes to a subscriber in the order of subscribing, first to those of the channel, then
// to those of patterns. Source: Redis 7.0's replies and counts.
#ifndef WHERRY_NODE_PUBSUB_H
#define WHERRY_NODE_PUBSUB_H

#include "node/parts.h"

enum pubsub_kind { PUBSUB_CHANNEL, PUBSUB_PATTERN, PUBSUB_SHARD, PUBSUB_KINDS };

// Writes the confirmations to the client's reply. Subscribing twice is confirmed twice.
void pubsub_subscribe(struct client *c, enum pubsub_kind kind, struct bytes name);
void pubsub_unsubscribe(struct client *c, enum pubsub_kind kind, struct bytes name);
void pubsub_unsubscribe_all(struct client *c, enum pubsub_kind kind);

// Calls `visit` for everything that the client is subscribed to.
void pubsub_client_each(const struct client *c,
                        void (*visit)(void *arg, enum pubsub_kind kind, struct bytes name),
                        void *arg);
// SPUBLISH; returns how many got it.
int pubsub_publish_shard(struct node *n, struct bytes channel, struct bytes message);

int pubsub_name_count(const struct node *n, enum pubsub_kind kind);
int pubsub_subscribers(const struct node *n, enum pubsub_kind kind, struct bytes name);
// Calls `show` for each name of the kind that matches the glob.
void pubsub_names(const struct node *n, enum pubsub_kind kind, struct bytes glob,
                  void (*show)(void *arg, struct bytes name), void *arg);
// Shard channels that `gone` points out (their slot left this node) lose their subscribers, who are
// told.
void pubsub_drop_shard(struct node *n, bool (*gone)(void *arg, struct bytes channel), void *arg);

#endif
