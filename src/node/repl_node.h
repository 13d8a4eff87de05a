// Replication as the rest of the node sees it: what to feed, what to tell, what to ask. The
// machines are in src/repl (replica.h, primary.h, stream.h); repl_node.c wires them to the keyspace
// and to clients, repl_client.c to the conns of replicas.
//
// Nothing here needs a cron: replication keeps its own deadlines on the node's loop.
#ifndef WHERRY_NODE_REPL_NODE_H
#define WHERRY_NODE_REPL_NODE_H

#include "base/bytes.h"
#include "store/loader.h"
#include "store/snapshot.h"

struct node;
struct client;

void repl_init(struct node *n); // makes n->repl: a primary with a fresh replication id, no backlog
void repl_free(struct node *n); // after the clients are gone
// Starts following replicaof_host of the config, if any. Once the dataset has been loaded.
void repl_start(struct node *n);

// ---- the stream -------------------------------------------------------------------------------

// One command for replicas, after it has run. Nothing happens on a replica (its own replicas get
// the primary's stream as it came) or while nobody could ever read it. `db` -1: any database, no
// SELECT. A SELECT goes first when the database changed.
void repl_feed(struct node *n, int db, int argc, const struct bytes *argv);
void repl_feed_requests(struct node *n, int db, struct bytes text); // written out already
// Around the commands of one EXEC, or of a call that propagates more than one.
void repl_feed_multi_begin(struct node *n, int db); // of the first of them
void repl_feed_multi_end(struct node *n);
// Somebody would read what is fed (a backlog or replicas exist, and this is a primary).
bool repl_feeding(const struct node *n);
// For those who feed much, a piece at a time (a large RESTORE): true when replicas should be let
// follow first; then `w` was queued, and is told when they have, or when one has had a second for
// it. That one's output limit counts from then on.
bool repl_let_follow(struct node *n, struct waiter *w);
// master_repl_offset: bytes of stream so far, as a primary fed or a replica applied.
int64_t repl_offset(const struct node *n);
const char *repl_id(const struct node *n); // master_replid: 40 characters

// ---- roles ------------------------------------------------------------------------------------

bool repl_is_replica(const struct node *n);
// Follows a primary; config.replicaof_* are set. Data and history stay until a sync says otherwise.
void repl_follow(struct node *n, const char *host, int port);
void repl_promote(struct node *n); // REPLICAOF NO ONE; fine on a primary
// DEBUG SLEEP begins or ends: neither our primary nor our replicas are listened to.
void repl_sleep(struct node *n, bool asleep);
// A client, not the primary, has changed a key of this replica (replica-read-only no).
void repl_own_changed(struct node *n, int db, struct bytes key);
bool repl_link_up(const struct node *n); // on a replica: the stream flows. A primary: false
// Milliseconds since the link to the primary went down; 0 while up, -1 when it has never been up.
int64_t repl_link_down_ms(const struct node *n);
// Drops the link to the primary (CLIENT KILL TYPE master, DEBUG); it is made again at once.
void repl_drop_primary_link(struct node *n);
// min-replicas-to-write is met (or not asked for): dispatch answers -NOREPLICAS when not.
bool repl_write_allowed(const struct node *n);
int repl_replica_count(const struct node *n);
// Clients may not write now, because a FAILOVER waits for its target.
bool repl_writes_paused(const struct node *n);

// ---- what client.c tells ----------------------------------------------------------------------
// A client becomes a replica (CLIENT_REPLICA) by PSYNC or SYNC. Its conn and its requests stay with
// client.c; what replication sends goes straight to conn_write, after c->output. Its output limit
// is replication's business, client.c applies none.

// Bytes of a CLIENT_REPLICA client were parsed, and the requests among them run.
void repl_client_input(struct client *c);
void repl_client_drained(struct client *c, size_t taken, size_t left);
// Any client with c->replica set is going away (its conn may still be there; nothing is written).
void repl_client_closed(struct client *c);
// After each command of a CLIENT_REPLICA client: a reply has no place in the stream, so whoever
// causes one is logged ("Replica generated a reply to command ...") and closed.
void repl_client_ran(struct client *c, const char *command_name);
// After each command of the CLIENT_PRIMARY client has run (or was queued by MULTI): how many bytes
// it took on the wire. Also after it was parked and ran at last. c->db and CLIENT_MULTI are read.
void repl_applied(struct node *n, struct client *c, uint64_t wire_bytes);

// ---- snapshots --------------------------------------------------------------------------------

// Aux fields that let a replica or a restart go on from a snapshot cut now: repl-stream-db,
// repl-id, repl-offset. Returns how many were filled: 0 or 3.
enum { REPL_SNAPSHOT_AUX = 3 };
int repl_snapshot_aux(struct node *n, struct snapshot_aux aux[REPL_SNAPSHOT_AUX]);
// The dataset was loaded at start: takes over the history that it carries.
// Before that, for each key that had expired meanwhile: replicas that go on need its DEL.
void repl_restore_expired(struct node *n, int db, struct bytes key);
void repl_restore(struct node *n, const struct loader_stats *loaded);
// A snapshot that was not ours has ended: replicas may be waiting for theirs.
void repl_snapshot_free(struct node *n);

// ---- shutdown and INFO ------------------------------------------------------------------------

// Asks replicas for their offsets (GETACK); call once when a shutdown begins to wait.
void repl_shutdown_begin(struct node *n);
// Every online replica has acknowledged all of the stream. SHUTDOWN waits for it.
bool repl_shutdown_ready(const struct node *n);
// Logs each replica that lags, and how many are in sync.
void repl_shutdown_log(struct node *n);
// The loop is left after this iteration: replicas get what they are owed, as far as it can go out.
void repl_shutdown_end(struct node *n);
void repl_info(struct node *n, struct buf *out); // "# Replication" and its fields, CRLF lines
// Bytes of the stream held for replicas and backlog (mem_total_replication_buffers), and of that
// what the backlog alone would not hold (mem_clients_slaves).
size_t repl_memory(const struct node *n, size_t *beyond_backlog);

#endif
