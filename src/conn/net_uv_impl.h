// Between the files of the real network: the conn over a descriptor (conn_uv.c), how it gets its
// descriptor (dial_uv.c), and listeners with the network itself (net_uv.c).
#ifndef WHERRY_CONN_NET_UV_IMPL_H
#define WHERRY_CONN_NET_UV_IMPL_H

#include "conn/net_uv.h"
#include "loop/loop_impl.h"
#include "loop/loop_uv.h"

#include <sys/socket.h>
#include <uv.h>

enum { NET_READ_BYTES = 64 * 1024 };

struct net_uv {
    struct network base;
    struct log *log;
    struct list conns, listeners;
    size_t conn_count;
    struct list dirty; // conns with output that was not tried yet
    struct before_wait flush;
    struct task again; // keeps the loop from waiting while `dirty` is not empty
    char *read_buffer; // one for all conns: an idle one holds no memory
    size_t read_bytes;
    int keepalive_s;
};

// address_uv.c
struct socket_address {
    struct sockaddr_storage storage;
    socklen_t len;
};
// A numeric host ("*" and "::*": any), or with port 0 a path. False when it is neither.
bool socket_address_from(struct socket_address *a, const char *host, int port);
// "1.2.3.4:5", "[::1]:5", "/path:0"
void socket_address_text(const struct socket_address *a, char *out, size_t size);

// libuv's watch over a descriptor. It outlives its user by libuv's asynchronous close.
struct fd_watch {
    uv_poll_t poll;
    struct loop *loop;
    void (*ready)(void *user, bool readable, bool writable); // an error is both
    void *user;
    int interest; // UV_READABLE | UV_WRITABLE
    int watched;  // by libuv: at least that
};
struct fd_watch *fd_watch_new(struct loop *loop, int fd,
                              void (*ready)(void *user, bool readable, bool writable), void *user);
void fd_watch_set(struct fd_watch *w, int interest);
void fd_watch_free(struct fd_watch *w); // the descriptor may be closed right after

enum conn_uv_phase {
    CONN_UV_DIALING,  // no descriptor yet, or one that connects
    CONN_UV_STARTING, // has one; the task sends `opened`
    CONN_UV_OPEN,
    CONN_UV_FLUSHING, // closing, as soon as the output is gone
    CONN_UV_OVER,     // the task sends `closed` and frees
};

struct dial;

struct conn_uv {
    struct conn base;
    struct net_uv *net;
    enum conn_uv_phase phase;
    int fd; // -1: none
    bool is_unix;
    bool blocked; // the system took less than we had: wait until it is writable
    struct fd_watch *watch;
    struct chain out;
    struct list link, dirty; // on net->conns, net->dirty
    struct task task;
    struct deadline flush_deadline;
    size_t taken;      // by the system, and not yet told in `drained`
    struct dial *dial; // while dialing
    char *peer;        // its address as text
    struct error *why; // when over; NULL: closed in order
};

// A conn without a descriptor.
struct conn_uv *conn_uv_new(struct net_uv *net, const struct conn_events *events, void *owner);
// Gives it its connected descriptor; `opened` follows. `peer`: who is there, NULL: ask the system.
void conn_uv_attach(struct conn_uv *c, int fd, const struct socket_address *peer);
// Ends it with `why` (copied; NULL: in order); `closed` follows. Fine if over.
void conn_uv_end(struct conn_uv *c, const struct error *why);
void conn_uv_closed(struct conn_uv *c); // sends `closed` of one that is over, and frees it
void conn_uv_flush(struct net_uv *net);

// Starts resolving and connecting; ends in conn_uv_attach or conn_uv_end, never from inside.
struct dial *dial_start(struct conn_uv *c, const struct conn_target *target);
void dial_cancel(struct dial *d); // calls nobody any more, and frees itself in its own time
void dial_target(const struct dial *d, char *out, size_t size);

#endif
