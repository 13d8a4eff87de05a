// What the node's core asks of its parts. Each part is a file (or a few) of this folder and states
// here the functions by which it is made, driven and asked; the core calls them in fixed places.
// Replication's are in repl_node.h.
#ifndef WHERRY_NODE_PARTS_H
#define WHERRY_NODE_PARTS_H

#include "node/node.h"
#include "node/repl_node.h"

// ---- pubsub.c -----------------------------------------------------------------------------------
void pubsub_init(struct node *n);
void pubsub_free(struct node *n);
void pubsub_client_gone(struct client *c); // drops its subscriptions
struct pubsub_counts {
    int channels, patterns, shard_channels;
};
struct pubsub_counts pubsub_client_counts(const struct client *c);
size_t pubsub_client_bytes(const struct client *c);
// Delivers to subscribers of the channel and of matching patterns; returns how many.
int pubsub_publish(struct node *n, struct bytes channel, struct bytes message);
int pubsub_channel_count(const struct node *n);
int pubsub_pattern_count(const struct node *n);

// ---- persist.c ----------------------------------------------------------------------------------
void persist_init(struct node *n);
void persist_free(struct node *n);
// Starts loading dbfilename, if it is there; n->loading until it is done. False: cannot even begin.
bool persist_load_at_start(struct node *n, struct error *error);
void persist_cron(struct node *n);                  // save points
bool persist_writes_refused(struct node *n);        // stop-writes-on-bgsave-error after a failure
void persist_info(struct node *n, struct buf *out); // fields of "# Persistence"

// ---- migrate_node.c -----------------------------------------------------------------------------
void migrate_init(struct node *n);
void migrate_free(struct node *n);
// A RESTORE payload that arrives as a stream: asked for by the request parser, fed piece by piece;
// the command then runs with an empty argument and finds the value in client->restore.
bool restore_wants_stream(struct client *c, const struct request *so_far, int index, uint64_t len);
void restore_stream_chunk(struct client *c, const struct request_stream *piece);
void restore_stream_free(struct client *c); // the client goes, or the command has run
int migrate_cached_links(const struct node *n);
uint64_t migrate_sent_bytes(const struct node *n);  // that targets have taken, in all
void migrate_info(struct node *n, struct buf *out); // fields of "# Migrate"

// ---- slowlog.c, monitor.c, latency.c, pause.c, evict.c
// --------------------------------------------
void slowlog_init(struct node *n);
void slowlog_free(struct node *n);
// A command called `name` in full ("config|set") took so long. Of each argument only the first
// SLOWLOG_ARG_BYTES need to be there.
void slowlog_note(struct node *n, struct client *c, const char *name, int argc,
                  const struct bytes *argv, uint64_t us);
void monitor_feed(struct node *n, struct client *c, const char *name, int argc,
                  const struct bytes *argv, int db);
void latency_note(struct node *n, const char *event, uint64_t ms); // kept if above the threshold
void latency_free(struct node *n);
// CLIENT PAUSE: true when this command has to wait; `w` was queued and is told when the pause ends.
bool pause_applies(struct node *n, const struct client *c, const struct command *cmd,
                   bool may_replicate, struct waiter *w);
bool pause_expiry(const struct node *n); // no key may expire or be evicted now
void pause_free(struct node *n);
// Evicts keys down to maxmemory, for half a millisecond at most; a job does the rest. False: it
// could not be brought under the limit.
bool evict_to_limit(struct node *n);
void evict_measure(struct node *n); // the cron: counts memory anew
void evict_free(struct node *n);
// maxmemory-clients, bytes; 0: no limit.
uint64_t evict_clients_limit(const struct node *n);
void evict_clients_count(struct client *c); // what it takes may have changed
void evict_clients_recount(struct node *n); // of all
void evict_clients(struct node *n);         // closes the largest until the rest fits

// ---- listen.c -----------------------------------------------------------------------------------
// Opens and closes listeners as the config wants them (port, tls-port, bind, unixsocket); those
// that are right already stay as they are. After a failure some may be missing: put the old values
// back and call it again.
bool node_listen(struct node *n, struct error *error);
void node_unlisten(struct node *n);

// ---- title.c ------------------------------------------------------------------------------------
// Appends what ps shows of this node; false: the template makes no sense.
bool node_title(const struct node *n, struct buf *out, struct error *error);

#endif
