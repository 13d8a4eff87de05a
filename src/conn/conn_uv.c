// A conn over a stream socket: tcp or unix.
//
// Output is gathered while a dispatch runs and goes out in one system call before the loop waits
// (net->flush), so that the replies to a pipeline, or a replication stream written by many
// commands, cost one call. Input is read into the network's one buffer.
//
// Lifetime: whatever ends a conn, its descriptor is closed at once, the phase becomes OVER, and its
// task sends `closed` and frees it. Tasks run between dispatches, so that no function on the stack
// sees a conn vanish: after calling the owner it looks at the phase and no further.
#include "conn/net_uv_impl.h"

#include "base/mem.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
    WRITE_RANGES = 64,            // ranges in one system call
    WRITE_ONCE_BYTES = 64 * 1024, // in one call, during which loopback delivers them
    WRITE_TURN_CALLS = 4,         // to one conn before others have their turn
    WRITE_NOW_BYTES = 256 * 1024, // gathered output, of which some goes before the flush
    READS_AT_ONCE = 4,            // full buffers read before others have their turn
};

// ---- watching a descriptor ------------------------------------------------------------------

static void on_poll(uv_poll_t *poll, int status, int events);

static void watch(struct fd_watch *w, int events)
{
    w->watched = events;
    if (events == 0)
        uv_poll_stop(&w->poll);
    else
        uv_poll_start(&w->poll, events, on_poll);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct fd_watch *w = poll->data;
    // After an error libuv has stopped watching; the system calls will tell what it was.
    if (status < 0) {
        w->watched = 0;
        events = w->interest;
    } else if (events & ~w->interest) {
        watch(w, w->interest);
        events &= w->interest;
    }
    if (events == 0) return;
    loop_enter(w->loop);
    w->ready(w->user, events & UV_READABLE, events & UV_WRITABLE);
    loop_leave(w->loop, "conn");
}

struct fd_watch *fd_watch_new(struct loop *loop, int fd,
                              void (*ready)(void *user, bool readable, bool writable), void *user)
{
    struct fd_watch *w = mem_new(struct fd_watch);
    if (uv_poll_init(loop_uv_loop(loop), &w->poll, fd) != 0) {
        mem_free(w);
        return NULL;
    }
    w->poll.data = w;
    w->loop = loop;
    w->ready = ready;
    w->user = user;
    return w;
}

// A change costs several system calls. So what is wanted no more is watched until it happens: most
// pauses are over before that.
void fd_watch_set(struct fd_watch *w, int interest)
{
    w->interest = interest;
    if (interest & ~w->watched) watch(w, interest);
}

static void watch_closed(uv_handle_t *handle)
{
    mem_free(handle->data);
}

void fd_watch_free(struct fd_watch *w)
{
    if (w != NULL) uv_close((uv_handle_t *)&w->poll, watch_closed);
}

// ---- reading and writing --------------------------------------------------------------------

static void set_interest(struct conn_uv *c)
{
    if (c->watch == NULL) return;
    bool reads = c->phase == CONN_UV_OPEN && !c->base.paused;
    fd_watch_set(c->watch, (reads ? UV_READABLE : 0) | (c->blocked ? UV_WRITABLE : 0));
}

static void end_errno(struct conn_uv *c, const char *what, int error)
{
    struct error why;
    error_set(&why, ERROR_IO, "%s: %s", what, strerror(error));
    conn_uv_end(c, &why);
}

static void read_input(struct conn_uv *c)
{
    struct net_uv *net = c->net;
    for (int i = 0; i < READS_AT_ONCE && c->phase == CONN_UV_OPEN && !c->base.paused; i++) {
        if (i > 0) loop_lap(c->base.loop, "conn");
        if (c->phase != CONN_UV_OPEN || c->base.paused) return; // by a deadline
        ssize_t n = recv(c->fd, net->read_buffer, net->read_bytes, 0);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return;
        if (n < 0) {
            end_errno(c, "read", errno);
        } else if (n == 0) {
            struct error why;
            error_set(&why, ERROR_CLOSED, "the peer closed the connection");
            conn_uv_end(c, &why);
        } else {
            conn_emit_bytes(&c->base, bytes_of(net->read_buffer, (size_t)n));
            if ((size_t)n < net->read_bytes) return;
        }
    }
}

// Sends what one call may. Sets `blocked` where the system took less. Returns 0 or an errno.
static int write_once(struct conn_uv *c)
{
    struct bytes views[WRITE_RANGES];
    struct iovec ranges[WRITE_RANGES];
    int views_len = chain_peek(&c->out, views, WRITE_RANGES), count = 0;
    size_t offered = 0;
    while (count < views_len && offered < WRITE_ONCE_BYTES) {
        struct bytes view = views[count];
        if (view.len > WRITE_ONCE_BYTES - offered) view.len = WRITE_ONCE_BYTES - offered;
        ranges[count++] = (struct iovec){(void *)(uintptr_t)view.data, view.len};
        offered += view.len;
    }
    struct msghdr message = {.msg_iov = ranges, .msg_iovlen = (size_t)count};
    ssize_t n;
    do
        n = sendmsg(c->fd, &message, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    if (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK) return errno;
    if (n > 0) {
        chain_consume(&c->out, (size_t)n);
        c->taken += (size_t)n;
    }
    c->blocked = n < (ssize_t)offered;
    return 0;
}

// Sends until the output is gone, the system takes no more, this conn's turn is over, or a deadline
// in between has ended it.
static int write_turn(struct conn_uv *c)
{
    for (size_t calls = 0; c->out.len > 0 && calls < WRITE_TURN_CALLS; calls++) {
        if (calls > 0) loop_lap(c->base.loop, "flush");
        if (c->phase == CONN_UV_OVER) return 0;
        int error = write_once(c);
        if (error != 0 || c->blocked) return error;
    }
    return 0;
}

static void make_dirty(struct conn_uv *c)
{
    if (list_empty(&c->dirty)) list_push_back(&c->net->dirty, &c->dirty);
}

// Writes and tells the owner what was taken.
static void flush_conn(struct conn_uv *c)
{
    c->blocked = false;
    int error = write_turn(c);
    if (c->phase == CONN_UV_OVER) return;
    if (error != 0) {
        // What the peer said before it went may explain why.
        if (c->phase == CONN_UV_OPEN) read_input(c);
        end_errno(c, "write", error);
        return;
    }
    size_t taken = c->taken;
    c->taken = 0;
    if (c->out.len > 0 && !c->blocked) {
        make_dirty(c);
        loop_defer(c->base.loop, &c->net->again);
    }
    set_interest(c);
    if (c->phase == CONN_UV_FLUSHING && c->out.len == 0) {
        conn_uv_end(c, NULL);
        return;
    }
    conn_emit_drained(&c->base, taken, c->out.len);
}

void conn_uv_flush(struct net_uv *net)
{
    struct list now;
    list_init(&now);
    list_splice_back(&now, &net->dirty);
    for (struct list *first; (first = list_pop_front(&now)) != NULL;) {
        flush_conn(list_entry(first, struct conn_uv, dirty));
        if (!list_empty(&now)) loop_lap(net->base.loop, "flush");
    }
    if (!list_empty(&net->dirty)) loop_defer(net->base.loop, &net->again);
}

static void on_ready(void *user, bool readable, bool writable)
{
    struct conn_uv *c = user;
    if (readable) read_input(c);
    if (writable && c->blocked && (c->phase == CONN_UV_OPEN || c->phase == CONN_UV_FLUSHING)) {
        loop_lap(c->base.loop, "conn");
        list_remove(&c->dirty);
        if (c->fd >= 0) flush_conn(c);
    }
    set_interest(c); // libuv stops watching after an error that may be none to us
}

// ---- what a conn can be told ----------------------------------------------------------------

static void conn_uv_write(struct conn *conn, struct chain *data)
{
    struct conn_uv *c = (struct conn_uv *)conn;
    if (c->phase == CONN_UV_OVER) {
        chain_free(data);
        return;
    }
    chain_move(&c->out, data);
    if (c->phase != CONN_UV_OPEN || c->blocked) return;
    make_dirty(c);
    // An error comes again when the flush writes; telling it now would call back from inside.
    if (c->out.len >= WRITE_NOW_BYTES) write_once(c);
}

static void conn_uv_pause(struct conn *conn)
{
    set_interest((struct conn_uv *)conn);
}

static void on_flush_deadline(struct deadline *d)
{
    conn_uv_end(list_entry(d, struct conn_uv, flush_deadline), NULL);
}

static void conn_uv_close(struct conn *conn, bool flush)
{
    struct conn_uv *c = (struct conn_uv *)conn;
    if (!flush || c->phase != CONN_UV_OPEN || c->out.len == 0) {
        conn_uv_end(c, NULL);
        return;
    }
    c->phase = CONN_UV_FLUSHING;
    c->flush_deadline.fire = on_flush_deadline;
    deadline_arm(conn->loop, &c->flush_deadline, loop_now_us(conn->loop) + CONN_FLUSH_US);
    set_interest(c);
}

static size_t conn_uv_queued(const struct conn *conn)
{
    return ((const struct conn_uv *)conn)->out.len;
}

static void conn_uv_address(const struct conn *conn, bool peer, char *out, size_t size)
{
    const struct conn_uv *c = (const struct conn_uv *)conn;
    struct socket_address a = {.len = sizeof(a.storage)};
    if (peer && c->peer != NULL)
        snprintf(out, size, "%s", c->peer);
    else if (peer && c->dial != NULL)
        dial_target(c->dial, out, size);
    else if (c->fd >= 0 && getsockname(c->fd, (struct sockaddr *)&a.storage, &a.len) == 0 &&
             (a.storage.ss_family != AF_UNIX || c->peer == NULL || a.len > sizeof(sa_family_t)))
        socket_address_text(&a, out, size);
    else
        snprintf(out, size, "%s", c->is_unix && c->peer != NULL ? c->peer : "?:0");
}

static int conn_uv_fd(const struct conn *conn)
{
    return ((const struct conn_uv *)conn)->fd;
}

// ---- its life -------------------------------------------------------------------------------

static void on_task(struct task *task)
{
    struct conn_uv *c = list_entry(task, struct conn_uv, task);
    if (c->phase == CONN_UV_OVER) {
        conn_uv_closed(c);
    } else if (c->phase == CONN_UV_STARTING) {
        c->phase = CONN_UV_OPEN;
        set_interest(c);
        if (c->out.len > 0) make_dirty(c);
        conn_emit_opened(&c->base);
    }
}

static void conn_uv_nodelay(struct conn *conn, bool on)
{
    int value = on;
    struct conn_uv *c = (struct conn_uv *)conn;
    if (c->fd >= 0) setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &value, sizeof(value));
}

static const struct conn_ops tcp_ops = {
    .type = "tcp",
    .write = conn_uv_write,
    .pause = conn_uv_pause,
    .resume = conn_uv_pause,
    .close = conn_uv_close,
    .queued = conn_uv_queued,
    .address = conn_uv_address,
    .fd = conn_uv_fd,
    .nodelay = conn_uv_nodelay,
};

static const struct conn_ops unix_ops = {
    .type = "unix",
    .write = conn_uv_write,
    .pause = conn_uv_pause,
    .resume = conn_uv_pause,
    .close = conn_uv_close,
    .queued = conn_uv_queued,
    .address = conn_uv_address,
    .fd = conn_uv_fd,
};

struct conn_uv *conn_uv_new(struct net_uv *net, const struct conn_events *events, void *owner)
{
    struct conn_uv *c = mem_new(struct conn_uv);
    conn_init(&c->base, &tcp_ops, net->base.loop, events, owner);
    c->net = net;
    c->fd = -1;
    chain_init(&c->out);
    list_init(&c->dirty);
    task_init(&c->task, on_task);
    list_push_back(&net->conns, &c->link);
    net->conn_count++;
    return c;
}

static void set_socket_options(struct conn_uv *c)
{
    if (c->is_unix) return;
    int on = 1, idle = c->net->keepalive_s;
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (idle <= 0) return;
    // Three unanswered probes, each a third of the idle time apart.
    int interval = idle >= 3 ? idle / 3 : 1, probes = 3;
    setsockopt(c->fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    setsockopt(c->fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
    setsockopt(c->fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof(interval));
    setsockopt(c->fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof(probes));
}

void conn_uv_attach(struct conn_uv *c, int fd, const struct socket_address *peer)
{
    assert(c->phase == CONN_UV_DIALING);
    struct socket_address a = {.len = sizeof(a.storage)};
    if (peer != NULL)
        a = *peer;
    else if (getpeername(fd, (struct sockaddr *)&a.storage, &a.len) != 0)
        a.len = 0;
    if (a.storage.ss_family == AF_UNIX && a.len <= sizeof(sa_family_t)) {
        a.len = sizeof(a.storage); // an accepted one: its peer has no name, the listener has
        if (getsockname(fd, (struct sockaddr *)&a.storage, &a.len) != 0) a.len = 0;
    }
    c->is_unix = a.storage.ss_family == AF_UNIX;
    if (c->is_unix) c->base.ops = &unix_ops;
    char text[128];
    socket_address_text(&a, text, sizeof(text));
    c->peer = mem_alloc(strlen(text) + 1);
    memcpy(c->peer, text, strlen(text) + 1);
    c->fd = fd;
    c->phase = CONN_UV_STARTING;
    set_socket_options(c);
    c->watch = fd_watch_new(c->base.loop, fd, on_ready, c);
    if (c->watch == NULL)
        end_errno(c, "watch", EMFILE);
    else
        loop_defer(c->base.loop, &c->task);
}

// Takes what the peer sent and nobody read: closing over unread bytes makes TCP reset the
// connection, and the peer may lose the reply that we just flushed.
static void discard_input(struct conn_uv *c)
{
    for (int i = 0; i < READS_AT_ONCE; i++)
        if (recv(c->fd, c->net->read_buffer, c->net->read_bytes, MSG_DONTWAIT) <= 0) return;
}

void conn_uv_end(struct conn_uv *c, const struct error *why)
{
    if (c->phase == CONN_UV_OVER) return;
    bool flushed = c->phase == CONN_UV_FLUSHING;
    c->phase = CONN_UV_OVER;
    c->blocked = false;
    if (why != NULL) {
        c->why = mem_new(struct error);
        *c->why = *why;
    }
    if (c->dial != NULL) dial_cancel(c->dial);
    c->dial = NULL;
    deadline_cancel(c->base.loop, &c->flush_deadline);
    list_remove(&c->dirty);
    fd_watch_free(c->watch);
    c->watch = NULL;
    if (c->fd >= 0) {
        if (flushed) discard_input(c);
        close(c->fd);
    }
    c->fd = -1;
    chain_free(&c->out);
    loop_defer(c->base.loop, &c->task);
}

void conn_uv_closed(struct conn_uv *c)
{
    static const struct error in_order = {ERROR_CLOSED, "closed"};
    assert(c->phase == CONN_UV_OVER);
    task_cancel(&c->task);
    conn_emit_closed(&c->base, c->why != NULL ? c->why : &in_order);
    list_remove(&c->link);
    c->net->conn_count--;
    mem_free(c->peer);
    mem_free(c->why);
    mem_free(c);
}
