// What the files of the node's core share among themselves.
#ifndef WHERRY_NODE_CTX_IMPL_H
#define WHERRY_NODE_CTX_IMPL_H

#include "node/parts.h"

// What is left of arguments that a command took, in the order of taking: enough for SLOWLOG, which
// shows at most 31, of MSET every second one a value.
enum { TAKEN_MAX = 15, TAKEN_BYTES = 128 };
struct taken_args {
    int count;
    struct {
        int index;
        size_t len;
        char head[TAKEN_BYTES];
    } at[TAKEN_MAX];
};

// dispatch.c
struct command_slot {
    const struct command *command;
    const struct command *parent; // of a subcommand
    struct command_stats stats;
    struct latency_histogram *latency; // or NULL: nothing yet
    uint32_t id;                       // counted from 0 in the node's table
    int spec_count;
    struct keyspec *specs; // of keys (keyspec.h)
    char name[];           // "get", "config|set"
};
// The row for a request, or NULL. A container's row is returned when its subcommand is unknown.
struct command_slot *dispatch_lookup(struct node *n, int argc, struct str *const *argv);
struct command_slot *dispatch_find(struct node *n, struct bytes full_name); // "config|set"
void dispatch_reset_stats(struct node *n);                                  // CONFIG RESETSTAT
void dispatch_init(struct node *n);
void dispatch_free(struct node *n);
// Runs, queues, refuses, blocks or parks one request of a client, which takes it over. `retry`: it
// ran before and is tried again because a key may be ready.
void dispatch_request(struct client *c, struct request *r);
void dispatch_retry(struct client *c); // a blocked client's pending request
// Runs one command inside a call (EXEC): full accounting, no checks.
void dispatch_call(struct client *c, struct command_slot *slot, struct request *r, bool in_exec,
                   bool retry);
// Keys that a request would write: true when all may be written now; else `w` waits.
bool dispatch_may_write(struct node *n, int db, const struct command *cmd, int argc,
                        struct str *const *argv, struct waiter *w);

// multi.c
void multi_init(struct node *n);
void multi_free(struct node *n);
void multi_queue(struct client *c, struct command_slot *slot, struct request *r);
void multi_discard(struct client *c); // queue and watches
void multi_unwatch(struct client *c);
bool multi_watch(struct client *c, struct bytes key);
void multi_exec(struct ctx *c);
void multi_key_changed(struct node *n, int db, struct bytes key);
void multi_db_changing(struct node *n, int db, struct db *fresh); // as node_db_changing
// Whether EXEC could run now; else its client was queued on its waiter.
bool multi_may_exec(struct client *c);
uint32_t multi_flags(const struct client *c);        // flags of queued commands, or'ed
uint32_t multi_common_flags(const struct client *c); // those that all of them have

// blocking.c
void blocking_init(struct node *n);
void blocking_free(struct node *n);
void blocking_client_gone(struct client *c);
void blocking_unblock(struct client *c); // takes it off every key; no reply
// Unblocks with an error (role change, CLIENT UNBLOCK ... ERROR) or as timed out.
void blocking_abort(struct client *c, const char *error);
void blocking_abort_all(struct node *n, const char *error);
void blocking_serve(struct node *n); // runs what ready keys allow
void blocking_key_deleted(struct node *n, int db, struct bytes key);
void blocking_db_changed(struct node *n, int db);
struct str *db_key(int db, struct bytes key); // how `watched` and `blocked` name a key

// propagate.c
void propagate_free(struct node *n);
// Writes out what was called, as it came; the first before an argument is taken out of it.
void propagate_keep(struct ctx *c);
void propagate_request(struct ctx *c);
void propagate_flush(struct node *n); // feeds what the outermost call gathered

// node.c
void node_count_error(void *owner, const char *code, struct bytes text); // owner: a client

// client.c
void client_parse(struct client *c, struct bytes *input);
void client_ran(struct client *c);
bool client_wants_stream(void *owner, const struct request *so_far, int index, uint64_t len);
struct client *client_new(struct node *n);
void client_accept(struct node *n, struct conn *conn, bool unix_socket, bool tls);
void client_free(struct client *c); // after its conn is gone
void client_process_soon(struct client *c);
void client_flush_hook(struct before_wait *hook);
void client_check_output(struct client *c); // output limits
// Lets a parked client's request run again (its waiter's ready).
void client_unpark(struct waiter *w);

#endif
