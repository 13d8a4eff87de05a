// The connection: the only I/O that a machine sees. The same interface stands over tcp, unix
// sockets, tls (a layer over any conn) and the simulated wire, so that a machine cannot tell.
//
// Lifetime: conn_new_* or a listener gives a conn to an owner, together with its events. The owner
// calls conn_close once; the conn answers with `closed`, always later and always last, and frees
// itself when `closed` returns. A conn that fails by itself also ends in `closed`, without
// conn_close being called; calling it afterwards from inside `closed` is not allowed, from inside
// any other event it is. Nothing arrives after `closed`.
//
// No call into a conn calls back before it returns.
#ifndef WHERRY_CONN_CONN_H
#define WHERRY_CONN_CONN_H

#include "base/chunk.h"
#include "base/error.h"
#include "loop/loop.h"

struct conn;

struct conn_events {
    // Connected, with every layer's handshake done; reading starts. For an accepted conn too.
    void (*opened)(struct conn *c, void *owner);
    // Bytes arrived. The view is valid during the call; the owner takes all of it.
    void (*bytes)(struct conn *c, void *owner, struct bytes input);
    // The peer's system took `taken` more bytes of our output (progress); `left` are still queued.
    // Comes at least when `left` falls below the low-water mark and when it reaches 0.
    void (*drained)(struct conn *c, void *owner, size_t taken, size_t left);
    // Over. why->class ERROR_CLOSED: the peer closed in order, or conn_close was called.
    void (*closed)(struct conn *c, void *owner, const struct error *why);
};

enum conn_mark { CONN_HIGH_WATER_BYTES = 256 * 1024, CONN_LOW_WATER_BYTES = 64 * 1024 };

// What a layer implements. Layers know only what is below them.
struct conn_ops {
    const char *type; // "tcp", "unix", "tls", "sim"
    // Takes everything in `data` (leaves it empty). Sends as much as the system takes at once, now
    // or before the loop waits; the rest when there is room.
    void (*write)(struct conn *c, struct chain *data);
    void (*pause)(struct conn *c);
    void (*resume)(struct conn *c);
    void (*close)(struct conn *c, bool flush);
    size_t (*queued)(const struct conn *c);
    // A line for a person: "127.0.0.1:6379", "/tmp/sock:0"; peer or own side.
    void (*address)(const struct conn *c, bool peer, char *out, size_t size);
    // Optional: the descriptor, for lists of clients; -1: none.
    int (*fd)(const struct conn *c);
    // Optional: small writes go out at once (as they do at first), or wait for company.
    void (*nodelay)(struct conn *c, bool on);
    // Optional: the name a verified peer certificate carries (CN), or false.
    bool (*peer_name)(const struct conn *c, char *out, size_t size);
};

// The part every layer starts with (embedded first in its own struct).
struct conn {
    const struct conn_ops *ops;
    struct loop *loop;
    const struct conn_events *events;
    void *owner;
    bool opened, closing, paused;
    bool over; // `closed` was sent
};

// Gives the conn to a new owner: its next events go there.
static inline void conn_own(struct conn *c, const struct conn_events *events, void *owner)
{
    c->events = events;
    c->owner = owner;
}

// Queues output; never blocks, never fails (a failure arrives as `closed`). Dropped when closing.
void conn_write(struct conn *c, struct chain *data);
void conn_write_bytes(struct conn *c, struct bytes data);
// Bytes written and not yet taken by the system. Above CONN_HIGH_WATER_BYTES a producer stops.
size_t conn_queued(const struct conn *c);
// Stops and restarts `bytes` events. Pausing holds bytes back at the peer, not in memory here
// (at most one read's worth is kept).
void conn_pause(struct conn *c);
void conn_resume(struct conn *c);
// Drops what is queued and closes; conn_close_flush first sends what is queued, for as long as
// the peer takes it and at most CONN_FLUSH_US.
void conn_close(struct conn *c);
void conn_close_flush(struct conn *c);
enum { CONN_FLUSH_US = 1000000 };
const char *conn_type(const struct conn *c);
void conn_peer(const struct conn *c, char *out, size_t size);
void conn_local(const struct conn *c, char *out, size_t size);
bool conn_peer_name(const struct conn *c, char *out, size_t size);
// False: the system may hold small writes back until the peer has acknowledged earlier ones, for
// fewer packets (Nagle). Means nothing where there is no tcp below.
void conn_nodelay(struct conn *c, bool on);
int conn_fd(const struct conn *c); // to show it, not to use it; -1: none

// ---- layers over other conns ----------------------------------------------------------------

struct conn_target;

// A type of conn that stands on another: tls (layer_tls.h). Kept by name, so that a build can leave
// it out and a module can bring it.
struct conn_layer {
    const char *name;
    struct conn *(*client)(void *context, struct conn *lower, const struct conn_target *target,
                           const struct conn_events *events, void *owner);
    struct conn *(*server)(void *context, struct conn *lower, uint64_t handshake_timeout_us);
    void (*context_free)(void *context);
};

enum { CONN_LAYERS_MAX = 4 };
struct conn_layers {
    int count;
    struct conn_layer_entry {
        const struct conn_layer *layer;
        void *context; // owned: what the layer makes its conns from
    } at[CONN_LAYERS_MAX];
};
// Enters a layer, or replaces its context: conns that exist keep theirs. Context NULL takes it out
// of service.
void conn_layers_set(struct conn_layers *layers, const struct conn_layer *layer, void *context);
const struct conn_layer_entry *conn_layers_find(const struct conn_layers *layers, const char *name);
void conn_layers_free(struct conn_layers *layers);

// ---- who makes conns ------------------------------------------------------------------------

// Where to connect, and how. Strings are copied by the call.
struct conn_target {
    const char *host; // name, address, or the path of a unix socket
    int port;         // 0: unix socket
    bool tls;
    const char *source_address; // bind to it before connecting; NULL: any
    const char *verify_name;    // tls: name the peer's certificate must carry; NULL: host is used
                                // for SNI when it is a name, and the certificate only chain-checked
};

struct listen_options {
    // Numeric address, "*" every IPv4 address, "::*" every IPv6 one; or the path of a unix socket,
    // when port is 0.
    const char *address;
    int port;
    int backlog;
    int unix_mode; // permissions of the socket file; 0: leave as made
    bool tls;
    // tls: from accepting until the handshake is done, in all; 0: TLS_HANDSHAKE_US (tls.h).
    uint64_t handshake_timeout_us;
    // A conn was accepted. Over tls it is handed over before the handshake: `opened` comes after
    // it; the acceptor sets owner and events with conn_own before it returns.
    // It may close the conn, and then need not take it.
    void (*accepted)(void *owner, struct conn *c);
    void *owner;
};

struct listener;

// The network of a node: connections out, listeners in. A registry entry per type; the node gets
// one `struct network` and does not know whether it is real (net_uv.h) or simulated.
struct network {
    struct loop *loop;
    struct conn_layers layers; // what `tls` in a target and in listen_options stands for
    // Starts connecting; the conn exists at once, `opened` or `closed` follows. Never NULL.
    struct conn *(*connect)(struct network *net, const struct conn_target *target,
                            const struct conn_events *events, void *owner);
    struct listener *(*listen)(struct network *net, const struct listen_options *options,
                               struct error *error);
    void (*unlisten)(struct network *net, struct listener *l); // accepted conns live on
};

static inline struct conn *net_connect(struct network *net, const struct conn_target *target,
                                       const struct conn_events *events, void *owner)
{
    return net->connect(net, target, events, owner);
}

// For implementations of a layer: the one place that sends an event up. Each drops what an owner
// must not see: anything but `closed` once the conn is closing. After conn_emit_closed returns the
// layer frees the conn. A conn whose owner never came (events NULL) goes without events.
void conn_init(struct conn *c, const struct conn_ops *ops, struct loop *loop,
               const struct conn_events *events, void *owner);
void conn_emit_opened(struct conn *c);
void conn_emit_bytes(struct conn *c, struct bytes input);
void conn_emit_drained(struct conn *c, size_t taken, size_t left);
void conn_emit_closed(struct conn *c, const struct error *why);

#endif
