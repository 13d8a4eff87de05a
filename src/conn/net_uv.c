// The real network: listeners, and the conns that come out of them or are dialed.
#include "conn/net_uv_impl.h"

#include "base/mem.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    ACCEPTS_AT_ONCE = 64,     // before others have their turn
    ACCEPT_PAUSE_US = 100000, // when there are no descriptors left
    DEFAULT_KEEPALIVE_S = 300,
};

struct listener {
    struct list link;
    struct net_uv *net;
    int fd;
    struct fd_watch *watch;
    char *path; // of a unix socket, taken away with it; NULL for tcp
    bool tls;
    uint64_t handshake_timeout_us;
    void (*accepted)(void *owner, struct conn *c);
    void *owner;
    struct deadline pause;
};

// ---- connections out ------------------------------------------------------------------------

static struct conn *net_connect_uv(struct network *base, const struct conn_target *target,
                                   const struct conn_events *events, void *owner)
{
    struct net_uv *net = (struct net_uv *)base;
    const struct conn_layer_entry *tls = NULL;
    struct conn_uv *c = conn_uv_new(net, events, owner);
    if (target->tls && (tls = conn_layers_find(&base->layers, "tls")) == NULL) {
        struct error why;
        error_set(&why, ERROR_TLS, "connect to %s with TLS: TLS is not configured", target->host);
        conn_uv_end(c, &why);
        return &c->base;
    }
    c->dial = dial_start(c, target);
    if (tls == NULL) return &c->base;
    return tls->layer->client(tls->context, &c->base, target, events, owner);
}

struct conn *net_uv_adopt(struct network *base, int fd, const struct conn_events *events,
                          void *owner)
{
    struct conn_uv *c = conn_uv_new((struct net_uv *)base, events, owner);
    conn_uv_attach(c, fd, NULL);
    return &c->base;
}

// ---- connections in -------------------------------------------------------------------------

static void take(struct listener *l, int fd, const struct socket_address *peer)
{
    struct net_uv *net = l->net;
    const struct conn_layer_entry *tls = NULL;
    if (l->tls && (tls = conn_layers_find(&net->base.layers, "tls")) == NULL) {
        log_warning(net->log, "Closing a connection to a TLS port: TLS is not configured");
        close(fd);
        return;
    }
    struct conn_uv *c = conn_uv_new(net, NULL, NULL);
    conn_uv_attach(c, fd, peer->len > sizeof(sa_family_t) ? peer : NULL);
    struct conn *top = tls != NULL
                           ? tls->layer->server(tls->context, &c->base, l->handshake_timeout_us)
                           : &c->base;
    l->accepted(l->owner, top);
    if (top->events == NULL && !top->closing) conn_close(top); // nobody took it
}

static void on_pause_over(struct deadline *d)
{
    struct listener *l = list_entry(d, struct listener, pause);
    fd_watch_set(l->watch, UV_READABLE);
}

static void on_connection(void *user, bool readable, bool writable)
{
    (void)readable, (void)writable;
    struct listener *l = user;
    struct loop *loop = l->net->base.loop;
    int fd = l->fd;
    // The acceptor may take the listener away; its descriptor is looked at no more then.
    for (int i = 0; i < ACCEPTS_AT_ONCE; i++) {
        struct socket_address peer = {.len = sizeof(peer.storage)};
        int got =
            accept4(fd, (struct sockaddr *)&peer.storage, &peer.len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (got < 0 && (errno == EINTR || errno == ECONNABORTED)) continue;
        if (got < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOMEM)) {
            log_warning(l->net->log, "Can't accept a connection: %s", strerror(errno));
            fd_watch_set(l->watch, 0); // it would be ready again at once
            deadline_arm(loop, &l->pause, loop_now_us(loop) + ACCEPT_PAUSE_US);
        }
        if (got < 0) return;
        struct fd_watch *watch = l->watch;
        take(l, got, &peer);
        if (watch->user == NULL) return;
        loop_lap(loop, "accept");
        if (watch->user == NULL) return;
    }
}

// ---- listeners ------------------------------------------------------------------------------

static bool bind_listener(int fd, const struct socket_address *a, const struct listen_options *o,
                          struct error *error)
{
    int on = 1;
    if (a->storage.ss_family == AF_UNIX)
        unlink(o->address); // left behind by a process that was killed
    else
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (a->storage.ss_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
    const char *what = "bind";
    bool ok = bind(fd, (const struct sockaddr *)&a->storage, a->len) == 0;
    if (ok && a->storage.ss_family == AF_UNIX && o->unix_mode != 0)
        chmod(o->address, (mode_t)o->unix_mode);
    if (ok) {
        what = "listen";
        ok = listen(fd, o->backlog > 0 ? o->backlog : 511) == 0;
    }
    if (ok) return true;
    int reason = errno;
    char text[128];
    socket_address_text(a, text, sizeof(text));
    return error_set(error, ERROR_IO, "%s %s: %s", what, text, strerror(reason));
}

static struct listener *net_listen_uv(struct network *base, const struct listen_options *o,
                                      struct error *error)
{
    struct net_uv *net = (struct net_uv *)base;
    struct socket_address address;
    if (!socket_address_from(&address, o->address, o->port)) {
        error_set(error, ERROR_CONFIG, "listen on %s: not an address", o->address);
        return NULL;
    }
    int fd = socket(address.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        error_set(error, ERROR_IO, "listen on %s: %s", o->address, strerror(errno));
        return NULL;
    }
    if (!bind_listener(fd, &address, o, error)) {
        close(fd);
        return NULL;
    }
    struct listener *l = mem_new(struct listener);
    l->net = net;
    l->fd = fd;
    l->tls = o->tls;
    l->handshake_timeout_us = o->handshake_timeout_us;
    l->accepted = o->accepted;
    l->owner = o->owner;
    l->pause.fire = on_pause_over;
    if (o->port == 0) {
        size_t size = strlen(o->address) + 1;
        l->path = memcpy(mem_alloc(size), o->address, size);
    }
    l->watch = fd_watch_new(base->loop, fd, on_connection, l);
    list_push_back(&net->listeners, &l->link);
    if (l->watch == NULL) {
        error_set(error, ERROR_IO, "listen on %s: can't watch the socket", o->address);
        base->unlisten(base, l);
        return NULL;
    }
    fd_watch_set(l->watch, UV_READABLE);
    return l;
}

static void net_unlisten_uv(struct network *base, struct listener *l)
{
    deadline_cancel(base->loop, &l->pause);
    list_remove(&l->link);
    if (l->watch != NULL) l->watch->user = NULL;
    fd_watch_free(l->watch);
    close(l->fd);
    if (l->path != NULL) unlink(l->path);
    mem_free(l->path);
    mem_free(l);
}

// ---- the network ----------------------------------------------------------------------------

static void on_flush(struct before_wait *hook)
{
    conn_uv_flush(list_entry(hook, struct net_uv, flush));
}

static void on_again(struct task *task)
{
    (void)task; // that it was deferred is all: the loop doesn't wait, and flushes again
}

struct network *net_uv_new(struct loop *loop, struct log *log)
{
    struct net_uv *net = mem_new(struct net_uv);
    net->base = (struct network){
        .loop = loop,
        .connect = net_connect_uv,
        .listen = net_listen_uv,
        .unlisten = net_unlisten_uv,
    };
    net->log = log;
    net->keepalive_s = DEFAULT_KEEPALIVE_S;
    net->read_bytes = NET_READ_BYTES;
    net->read_buffer = mem_alloc(NET_READ_BYTES);
    list_init(&net->conns);
    list_init(&net->listeners);
    list_init(&net->dirty);
    task_init(&net->again, on_again);
    net->flush.run = on_flush;
    loop_before_wait(loop, &net->flush);
    return &net->base;
}

void net_uv_set_options(struct network *base, const struct net_uv_options *options)
{
    struct net_uv *net = (struct net_uv *)base;
    net->keepalive_s = options->keepalive_s;
    bool fits = options->read_bytes > 0 && options->read_bytes < NET_READ_BYTES;
    net->read_bytes = fits ? (size_t)options->read_bytes : NET_READ_BYTES;
}

void net_uv_free(struct network *base)
{
    static const struct error gone = {ERROR_CANCELLED, "the network was shut down"};
    struct net_uv *net = (struct net_uv *)base;
    list_each_safe(at, &net->listeners)
        net_unlisten_uv(base, list_entry(at, struct listener, link));
    while (!list_empty(&net->conns)) {
        struct conn_uv *c = list_entry(net->conns.next, struct conn_uv, link);
        conn_uv_end(c, &gone);
        conn_uv_closed(c);
    }
    before_wait_remove(&net->flush);
    task_cancel(&net->again);
    conn_layers_free(&base->layers);
    mem_free(net->read_buffer);
    mem_free(net);
}

size_t net_uv_conns(const struct network *base)
{
    return ((const struct net_uv *)base)->conn_count;
}
