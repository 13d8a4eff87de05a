// What the files of the node's replication share: repl_node.c (roles, feeding, wiring), repl_sync.c
// (full syncs into the keyspace), repl_client.c (clients that are replicas), repl_wait.c (WAIT),
// repl_pace.c, repl_failover.c, repl_info.c.
#ifndef WHERRY_NODE_REPL_IMPL_H
#define WHERRY_NODE_REPL_IMPL_H

#include "node/ctx_impl.h"
#include "node/persist.h"
#include "repl/primary.h"
#include "repl/replica.h"
#include "value/dict.h"

enum failover_state { FAILOVER_NONE, FAILOVER_WAIT, FAILOVER_HANDOVER };

struct failover {
    enum failover_state state;
    bool force;
    char host[256]; // of the target; "" while any replica will do
    int port;
    struct deadline limit; // TIMEOUT
    struct task synced;    // the target has everything: hand over
    struct task refused;   // the target said no: back to being the primary
};

struct replication {
    struct node *node;
    struct repl_stream stream;
    struct primary primary;
    struct replica replica;
    bool is_replica;
    // The client that applies our primary's stream, while the link is up; what it has applied.
    struct client *feeder;
    uint64_t applied;
    // The keyspace that a full sync fills, until it is adopted; the wait for holds before that.
    struct keyspace *aside;
    struct waiter holds;
    bool adopting;
    struct list waits;  // of struct repl_wait
    struct task getack; // asks for offsets once, however many ask for that in one turn
    struct failover failover;
    struct dict *own; // names (db_key) of keys written here while a replica, or NULL
    struct deadline own_tick;
    uint64_t own_cursor;
    struct list followers; // of struct waiter: who feeds much, and waits for replicas to follow
    struct deadline patience;
    int64_t leaving_offset; // what replicas are to have before a shutdown; -1: none is waiting
    uint64_t link_down_us;  // when it went down; 0: up, or never up
};

// repl_sync.c
struct loader *repl_load_begin(void *owner, const char *id, const struct loader_events *events,
                               void *loader_owner);
void repl_load_received(void *owner);
bool repl_adopt(void *owner, const struct loader_stats *stats);
void repl_load_abort(void *owner);

// repl_pace.c
void repl_pace_init(struct replication *r);
void repl_pace_free(struct replication *r);
void repl_pace_check(struct replication *r); // a replica has taken something, or gone

// repl_wait.c
void repl_waits_init(struct replication *r);
void repl_waits_check(struct replication *r);
void repl_waits_abort(struct replication *r); // the node becomes a replica
void repl_ask_acks(struct replication *r);    // soon

// repl_own.c
void repl_own_init(struct replication *r);
void repl_own_forget(struct replication *r); // new data, or a primary again

// repl_failover.c
void repl_failover_init(struct replication *r);
void repl_failover_free(struct replication *r);
void repl_failover_check(struct replication *r); // an offset has moved
void repl_failover_answer(void *owner, bool accepted);
const char *repl_failover_name(const struct replication *r);

#endif
