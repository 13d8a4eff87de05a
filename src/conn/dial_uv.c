// How an outgoing conn gets its descriptor: resolve the name, then try its addresses in turn. The
// deadline over all of it is the machine's; here an address that doesn't answer only makes room
// for the next one.
#include "conn/net_uv_impl.h"

#include "base/mem.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <unistd.h>

enum { ATTEMPT_US = 1000000 }; // per address, while there is another to try

struct dial {
    struct conn_uv *c; // NULL: cancelled
    struct resolve_req resolve;
    bool resolving;
    char *host, *source;           // source may be NULL
    int port;                      // 0: host is a path
    struct task begin;             // of a path, which needs no resolver
    int next;                      // the address to try next
    struct socket_address address; // being tried
    int fd;                        // that connects; -1: none
    struct fd_watch *watch;
    struct deadline attempt;
    struct error error; // of the last address
};

static char *copy(const char *text)
{
    if (text == NULL) return NULL;
    size_t size = strlen(text) + 1;
    return memcpy(mem_alloc(size), text, size);
}

static void drop_attempt(struct dial *d)
{
    deadline_cancel(d->c->base.loop, &d->attempt);
    fd_watch_free(d->watch);
    d->watch = NULL;
    if (d->fd >= 0) close(d->fd);
    d->fd = -1;
}

static void dial_free(struct dial *d)
{
    task_cancel(&d->begin);
    mem_free(d->host);
    mem_free(d->source);
    mem_free(d);
}

static void failed(struct dial *d, const char *what, int error)
{
    char address[128];
    socket_address_text(&d->address, address, sizeof(address));
    error_set(&d->error, ERROR_IO, "%s %s: %s", what, address, strerror(error));
}

static void succeed(struct dial *d)
{
    struct conn_uv *c = d->c;
    struct socket_address address = d->address;
    int fd = d->fd;
    d->fd = -1;
    drop_attempt(d);
    c->dial = NULL;
    dial_free(d);
    conn_uv_attach(c, fd, &address);
}

static void give_up(struct dial *d)
{
    struct conn_uv *c = d->c;
    struct error why = d->error;
    c->dial = NULL;
    dial_free(d);
    conn_uv_end(c, &why);
}

// ---- one address ----------------------------------------------------------------------------

static bool bind_source(struct dial *d)
{
    struct socket_address from;
    if (d->source == NULL || d->port == 0) return true;
    if (!socket_address_from(&from, d->source, 1)) return errno = EINVAL, false;
    if (from.storage.ss_family == AF_INET)
        ((struct sockaddr_in *)&from.storage)->sin_port = 0;
    else
        ((struct sockaddr_in6 *)&from.storage)->sin6_port = 0;
    return bind(d->fd, (struct sockaddr *)&from.storage, from.len) == 0;
}

static void try_next(struct dial *d);

static void on_ready(void *user, bool readable, bool writable)
{
    (void)readable, (void)writable;
    struct dial *d = user;
    int error = 0;
    socklen_t len = sizeof(error);
    if (getsockopt(d->fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0) error = errno;
    if (error == 0) {
        succeed(d);
        return;
    }
    failed(d, "connect to", error);
    drop_attempt(d);
    try_next(d);
}

static void on_attempt_deadline(struct deadline *deadline)
{
    struct dial *d = list_entry(deadline, struct dial, attempt);
    failed(d, "connect to", ETIMEDOUT);
    drop_attempt(d);
    try_next(d);
}

// True when the attempt is under way or has succeeded; false and the error when it failed at once.
static bool attempt(struct dial *d)
{
    struct loop *loop = d->c->base.loop;
    d->fd = socket(d->address.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (d->fd < 0) return failed(d, "socket for", errno), false;
    if (!bind_source(d)) {
        failed(d, "bind the source address for", errno);
        return drop_attempt(d), false;
    }
    if (connect(d->fd, (struct sockaddr *)&d->address.storage, d->address.len) == 0) {
        succeed(d);
        return true;
    }
    if (errno != EINPROGRESS) {
        failed(d, "connect to", errno);
        return drop_attempt(d), false;
    }
    d->watch = fd_watch_new(loop, d->fd, on_ready, d);
    if (d->watch == NULL) {
        failed(d, "watch", EMFILE);
        return drop_attempt(d), false;
    }
    fd_watch_set(d->watch, UV_WRITABLE);
    if (d->next < d->resolve.count) deadline_arm(loop, &d->attempt, loop_now_us(loop) + ATTEMPT_US);
    return true;
}

static void try_next(struct dial *d)
{
    while (d->next < d->resolve.count) {
        const char *host = d->port == 0 ? d->host : d->resolve.address[d->next];
        d->next++;
        if (!socket_address_from(&d->address, host, d->port))
            error_set(&d->error, ERROR_IO, "connect to %s: not an address", host);
        else if (attempt(d))
            return;
    }
    give_up(d);
}

// ---- beginning and end ----------------------------------------------------------------------

static void on_resolved(struct resolve_req *req)
{
    struct dial *d = list_entry(req, struct dial, resolve);
    d->resolving = false;
    if (d->c == NULL) {
        dial_free(d);
        return;
    }
    d->error = req->error;
    try_next(d);
}

static void on_begin(struct task *task)
{
    struct dial *d = list_entry(task, struct dial, begin);
    d->resolve.count = 1;
    try_next(d);
}

struct dial *dial_start(struct conn_uv *c, const struct conn_target *target)
{
    struct dial *d = mem_new(struct dial);
    d->c = c;
    d->host = copy(target->host);
    d->source = copy(target->source_address);
    d->port = target->port;
    d->fd = -1;
    d->attempt.fire = on_attempt_deadline;
    task_init(&d->begin, on_begin);
    if (d->port == 0) {
        loop_defer(c->base.loop, &d->begin);
    } else {
        d->resolving = true;
        d->resolve.host = d->host;
        d->resolve.port = d->port;
        d->resolve.done = on_resolved;
        loop_resolve(c->base.loop, &d->resolve);
    }
    return d;
}

void dial_cancel(struct dial *d)
{
    drop_attempt(d);
    d->c = NULL;
    if (d->resolving)
        d->resolve.cancelled = true; // freed when the resolver is done with it
    else
        dial_free(d);
}

void dial_target(const struct dial *d, char *out, size_t size)
{
    snprintf(out, size, strchr(d->host, ':') ? "[%s]:%d" : "%s:%d", d->host, d->port);
}
