// One node: the composition root. It owns the keyspace, the clients and the machines, and wires
// them together. A node is a value: a process may hold any number, and the loop and the network
// that it is given may be real or simulated.
#ifndef WHERRY_NODE_NODE_H
#define WHERRY_NODE_NODE_H

#include "conn/conn.h"
#include "node/client.h"
#include "node/command.h"
#include "node/config.h"
#include "node/rates.h"
#include "store/store.h"

// Commands on their way to replicas, as requests one behind the other.
struct propagated {
    struct buf text;
    struct {
        int db;
        size_t len;
    } * commands;
    int count, cap;
    struct buf kept; // the running command's own, from before an argument was taken
};

struct node_stats {
    uint64_t connections_received, rejected_connections, commands_processed;
    uint64_t net_input_bytes, net_output_bytes;
    uint64_t expired_keys, evicted_keys, evicted_clients, keyspace_hits, keyspace_misses;
    uint64_t sync_full, sync_partial_ok, sync_partial_err;
    uint64_t output_limit_disconnections, query_limit_disconnections;
    uint64_t unexpected_error_replies, total_error_replies, dump_payload_sanitizations;
    uint64_t io_reads, io_writes, total_forks, active_expired_stale;
    uint64_t peak_memory;
    uint64_t long_commands, long_command_max_us; // commands that held the loop, dispatch.c
    const char *long_command_max_name;           // the command table's, or NULL
};

enum { NODE_ERROR_STATS_MAX = 128 }; // different error codes that are counted
struct error_stat {
    uint64_t count;
    char code[REPLY_ERROR_CODE_BYTES];
};

struct command_stats {
    uint64_t calls, usec, rejected, failed;
};

enum { NODE_LISTENERS_MAX = CONFIG_BIND_MAX * 2 + 1 };

struct node {
    struct loop *loop;
    struct network *network;
    struct log log;
    struct config config;
    struct store store;
    struct rng rng;
    struct node_stats stats;
    char run_id[41];
    uint64_t started_us;
    int64_t started_unix_ms;
    bool stopping;
    bool skip_dump_checksum; // DEBUG SET-SKIP-CHECKSUM-VALIDATION
    struct deadline thaw;    // DEBUG SLEEP: armed while no client's command runs
    int exit_status;         // of the program, once the loop has been left

    const struct command *const *families; // tables, each ended by a row without a name; NULL ends
    struct dict *command_index;            // by name, of struct command_slot (ctx_impl.h)
    struct dict *error_stats;

    struct list clients;
    int client_count;
    uint64_t clients_bytes;      // that count against maxmemory-clients
    struct client *primary_link; // applies our primary's stream, or NULL
    uint64_t next_client_id;
    struct list monitors; // clients that MONITOR
    struct list to_flush; // clients with output to send
    struct before_wait flush_hook;
    struct node_listener {
        struct listener *listener;
        char *address;
        int port;
        bool tls;
        int64_t handshake_ms; // of a tls one: what it was opened with
    } listeners[NODE_LISTENERS_MAX];
    int listener_count;
    struct tls_context *tls;         // NULL: TLS is not configured
    struct tls_context *tls_offered; // inside config_set: what apply_tls puts into service
    void (*set_tls)(struct network *net, struct tls_context *tls); // tells the network; may be NULL
    const char *program;                    // as it was started, for its title
    void (*show_title)(struct bytes title); // where a process has one; may be NULL

    // running a command
    struct ctx *current;  // the outermost call, or NULL
    int64_t call_unix_ms; // its time; 0 outside of one
    struct propagated propagated;
    uint64_t dirty; // changes since the last save

    // keys
    struct dict *watched;   // multi.c
    struct dict *blocked;   // blocking.c
    struct list ready_keys; // blocking.c
    uint64_t blocked_clients;
    bool active_expire; // DEBUG SET-ACTIVE-EXPIRE

    // loading the dataset
    bool loading, async_loading;
    uint64_t loading_started_us, loading_total_bytes; // 0 bytes: not known
    struct loader *loader;

    struct job expire_job; // active expiry
    int expire_db;

    // cron
    struct deadline cron;
    uint64_t cron_ticks;
    struct rates rates;

    // parts, each made and freed by its own file
    struct acl *acl;             // acl.c
    struct pubsub *pubsub;       // pubsub.c
    struct persist *persist;     // persist.c
    struct replication *repl;    // repl_node.c
    struct migration *migration; // migrate_node.c
    struct list file_turns;      // work on files, in order (file_turn.h)
    struct list restores;        // streamed RESTOREs whose command runs (restore.c)
    int insistent_replays;       // of them, that let no snapshot for replicas be cut
    uint64_t db_changes;         // how often whole databases were emptied, swapped or replaced
    struct slowlog *slowlog;     // slowlog.c
    struct latency *latency;     // latency.c
    struct tracking *tracking;   // tracking.c; NULL: nobody ever asked for it
    struct evictor *evictor;     // evict.c
    struct shutdown *shutdown;   // shutdown.c
    struct pause *pause;         // CLIENT PAUSE
};

// Takes over `config` (moved out). `families` is command_families of command/table.h. The node
// listens and loads once node_start is called.
struct node *node_new(struct loop *loop, struct network *network, struct config *config,
                      const struct command *const *families, uint64_t seed);
bool node_start(struct node *n, struct error *error); // opens listeners, starts loading
void node_free(struct node *n);
// DEBUG SLEEP: nothing that arrives is minded for so long, be it a client's or a primary's, and
// replicas get no sign of life; the loop runs on.
void node_freeze(struct node *n, uint64_t us);
// Clean end: saves if configured, waits for replicas if asked; calls `done` and leaves the loop.
void node_shutdown(struct node *n, int flags);

// ---- for parts of the node and for commands ---------------------------------------------------

bool node_is_replica(const struct node *n);
void node_reset_errors(struct node *n); // CONFIG RESETSTAT: errorstats
// A whole database is about to be emptied (`fresh` NULL), or `fresh` is to take its place: those
// who WATCH keys in it are told, by what is in the two.
void node_db_changing(struct node *n, int db, struct db *fresh);
// It was done (-1: to all): blocked clients look again.
void node_db_changed(struct node *n, int db);
// Outside of a call: runs what keys that became ready allow.
void node_serve_ready(struct node *n);
// Sends a change that did not come from a command of a client (expiry, eviction, MIGRATE's DEL) to
// replicas and the log. Outside of a call it is fed at once; inside it joins what the call does.
void node_propagate(struct node *n, int db, int argc, const struct bytes *argv);
// Deletes a key because its time has come: events, statistics, DEL to replicas.
void node_expire_key(struct node *n, int db, struct bytes key);
// Deletes a key on a part's behalf (MIGRATE after its acknowledgement): events, WATCH, DEL
// propagated. The key must not be held and store_before_write must have said WRITE_NOW.
bool node_delete_key(struct node *n, int db, struct bytes key);
void node_key_changed(struct node *n, int db, struct bytes key); // WATCH, tracking
void node_notify(struct node *n, uint32_t class_flag, const char *event, struct bytes key, int db);
void node_key_ready(struct node *n, int db, struct bytes key);

// Runs what arrived on a client (client.c), as far as it can run now.
void client_process(struct client *c);
// A client without a conn, to apply a primary's stream: feed bytes with client_feed. Within
// `budget`, or all that can run at once when that is NULL; a job applies the rest in slices.
struct client *client_new_primary(struct node *n);
// Feeds stream bytes; returns how many bytes of whole commands were applied so far in total
// (client->parser.request.wire_bytes summed). Stops early while the client is parked.
void client_feed(struct client *c, struct bytes input, struct budget *budget);
void client_free_primary(struct client *c);

#endif
