// A client of the node: one conn, its requests in order, its replies. Also the shape that a
// primary's link has while its stream is applied (no conn of its own; replies are dropped).
#ifndef WHERRY_NODE_CLIENT_H
#define WHERRY_NODE_CLIENT_H

#include "conn/conn.h"
#include "node/command.h"
#include "node/config.h"
#include "proto/request.h"

enum client_flag {
    CLIENT_MULTI = 1 << 0,
    CLIENT_DIRTY_CAS = 1 << 1,  // a watched key changed
    CLIENT_DIRTY_EXEC = 1 << 2, // a command could not be queued
    CLIENT_PRIMARY = 1 << 3,    // applies our primary's stream
    CLIENT_REPLICA = 1 << 4,    // handed over to replication
    CLIENT_BLOCKED = 1 << 5,    // on keys
    CLIENT_PARKED = 1 << 6,     // waits for a hold
    CLIENT_SUSPENDED = 1 << 7,  // its command answers later
    CLIENT_CLOSE_AFTER_REPLY = 1 << 8,
    CLIENT_CLOSING = 1 << 9,
    CLIENT_UNIX = 1 << 10,
    CLIENT_AUTHENTICATED = 1 << 11,
    CLIENT_PUBSUB = 1 << 12, // has subscriptions (RESP2: only a few commands then)
    CLIENT_MONITOR = 1 << 13,
    CLIENT_NO_EVICT = 1 << 14,
    CLIENT_REPLY_OFF = 1 << 15,
    CLIENT_REPLY_SKIP = 1 << 16,
    CLIENT_REPLY_SKIP_NEXT = 1 << 17,
    CLIENT_READONLY = 1 << 18, // cluster
    CLIENT_ASKING = 1 << 19,
    CLIENT_PAUSED = 1 << 20, // CLIENT PAUSE
    CLIENT_TLS = 1 << 21,
    CLIENT_PREVENT_PROP = 1 << 22,
};

struct queued_command {
    const struct command *command;
    struct request request;
};

struct client {
    struct list link; // node->clients
    struct node *node;
    struct conn *conn; // NULL: a primary's link, or none yet
    uint64_t id;
    uint32_t flags;
    int db;
    struct str *name;      // CLIENT SETNAME, or NULL
    struct acl_user *user; // NULL: may do everything (a primary's link)
    uint64_t created_us, active_us;

    struct request_parser parser;
    struct buf input;    // bytes that came while it could not run (blocked, parked, suspended)
    struct chain behind; // the same of a primary's link, which may be as much as a mebibyte
    struct chain output;
    struct chain pushes; // of its own running call, see client_push
    struct reply reply;
    uint64_t errors_counted; // of reply.errors: those that some command was blamed for
    const struct command *last_command;
    const char *last_name;         // of it in full: "client|list"; the command table's, or NULL
    struct list flush_link;        // node->to_flush
    struct task process;           // goes on with its input soon
    uint64_t output_soft_since_us; // when output went over its soft limit; 0: it is not

    // MULTI
    struct queued_command *queue;
    int queue_count, queue_cap;
    struct list watches; // of struct watch (multi.c)
    size_t watch_bytes;
    size_t counted_bytes; // in node->clients_bytes

    // blocked on keys, or parked, with the request that waits
    struct request pending;
    struct list blocks; // of struct block (blocking.c)
    bool block_on_delete;
    struct deadline deadline; // of a blocking command
    bool deadline_used;       // the pending command's deadline was set already
    void (*timed_out)(struct reply *r);
    struct waiter waiter; // parked

    struct suspension *suspension;

    int64_t written_offset; // of the stream, when its last call had ended: what WAIT asks about
    uint64_t wire_bytes;    // of the request that runs or waits (a primary's link: repl_applied)
    // A primary's link has used up input that it could not run at once: feed it more. Or its input
    // makes no sense, and it is closing. The last thing that happens: it may be freed in it.
    void (*fed)(struct client *c);
    struct job slices;     // of a primary's link: runs what is left of its input
    struct budget *budget; // of what runs now; NULL: no bound
    void *feeder;

    struct restore_stream *restore; // a RESTORE payload that is being decoded (migrate_node.c)

    // owned by other parts, NULL when unused
    struct pubsub_client *pubsub;
    struct list monitor_link;     // node->monitors
    struct replica_link *replica; // src/node/repl_*.c
    struct tracking_client *tracking;
};

// The chain writer for replies of this client; what is written is sent before the loop waits.
struct reply *client_reply(struct client *c);
const char *client_class_name(const struct client *c);
enum client_class client_class(const struct client *c);
void client_address(const struct client *c, char *out, size_t size); // "127.0.0.1:1234"
// Closes soon, dropping output; or when the output is sent.
void client_close(struct client *c);
void client_close_after_reply(struct client *c);
struct client *client_find(struct node *n, uint64_t id);
// A writer for what reaches the client outside of its replies: messages, invalidations. While the
// client's own call is running they wait for its end, so that they don't land inside of a reply.
// CLIENT REPLY OFF is not about them. Then call client_touch_output.
struct reply client_push(struct client *c);
// Points the reply writer at the output or, by CLIENT REPLY OFF and SKIP, nowhere.
void client_set_muted(struct client *c);
// Queues output for sending (reply writers do it themselves through client_reply).
void client_touch_output(struct client *c);

#endif
