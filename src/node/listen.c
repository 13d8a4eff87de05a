// The node's listeners: every `bind` address on port and tls-port, and the unix socket. A change
// closes and opens those that it is about; connections that wait at the others notice nothing.
#include "base/mem.h"
#include "node/ctx_impl.h"

static void accepted_tcp(void *owner, struct conn *conn)
{
    client_accept(owner, conn, false, false);
}

static void accepted_tls(void *owner, struct conn *conn)
{
    client_accept(owner, conn, false, true);
}

static void accepted_unix(void *owner, struct conn *conn)
{
    client_accept(owner, conn, true, false);
}

// ---- what there should be -----------------------------------------------------------------------

// One listener, as the directives want it or as it is.
struct place {
    const char *address; // a unix socket's path when port is 0
    int port;
    bool tls, optional;
};

struct places {
    struct place at[NODE_LISTENERS_MAX];
    int count;
};

// "-::1" may be missing on this machine: a dash makes an address optional (redis.conf, "bind").
static void want_port(struct places *wanted, const struct config *c, int port, bool tls)
{
    for (int i = 0; i < c->bind_count && port != 0; i++) {
        bool optional = c->bind[i][0] == '-';
        wanted->at[wanted->count++] = (struct place){c->bind[i] + optional, port, tls, optional};
    }
}

static struct places wanted_places(const struct config *c)
{
    struct places wanted = {.count = 0};
    want_port(&wanted, c, c->port, false);
    want_port(&wanted, c, c->tls_port, true);
    if (c->unixsocket[0] != '\0')
        wanted.at[wanted.count++] = (struct place){c->unixsocket, 0, false, false};
    return wanted;
}

// ---- what there is ------------------------------------------------------------------------------

static bool is_at(const struct node *n, const struct node_listener *l, const struct place *p)
{
    bool same_limit = !p->tls || l->handshake_ms == n->config.tls_handshake_ms;
    return l->port == p->port && l->tls == p->tls && same_limit &&
           strcmp(l->address, p->address) == 0;
}

static void close_listener(struct node *n, int i)
{
    struct node_listener *l = &n->listeners[i];
    n->network->unlisten(n->network, l->listener);
    mem_free(l->address);
    *l = n->listeners[--n->listener_count];
}

static bool open_listener(struct node *n, const struct place *p, struct error *error)
{
    struct listen_options options = {
        .address = p->address,
        .port = p->port,
        .backlog = n->config.tcp_backlog,
        .unix_mode = n->config.unixsocketperm,
        .tls = p->tls,
        .handshake_timeout_us = (uint64_t)n->config.tls_handshake_ms * 1000,
        .accepted = p->port == 0 ? accepted_unix
                    : p->tls     ? accepted_tls
                                 : accepted_tcp,
        .owner = n,
    };
    struct listener *listener = n->network->listen(n->network, &options, error);
    if (listener == NULL) return p->optional;
    size_t size = strlen(p->address) + 1;
    n->listeners[n->listener_count++] = (struct node_listener){
        .listener = listener,
        .address = memcpy(mem_alloc(size), p->address, size),
        .port = p->port,
        .tls = p->tls,
        .handshake_ms = n->config.tls_handshake_ms,
    };
    return true;
}

// Those that nobody wants any more go, and make room. Marks the places that are taken.
static void close_unwanted(struct node *n, const struct places *wanted, bool taken[])
{
    for (int i = n->listener_count - 1; i >= 0; i--) {
        int found = -1;
        for (int k = 0; k < wanted->count && found < 0; k++)
            if (!taken[k] && is_at(n, &n->listeners[i], &wanted->at[k])) found = k;
        if (found >= 0)
            taken[found] = true;
        else
            close_listener(n, i);
    }
}

static bool has_port(const struct node *n, int port, bool tls, struct error *error)
{
    if (port == 0 || n->config.bind_count == 0) return true;
    for (int i = 0; i < n->listener_count; i++)
        if (n->listeners[i].port == port && n->listeners[i].tls == tls) return true;
    return error_set(error, ERROR_IO, "Failed listening on port %d (%s): no bind address is here",
                     port, tls ? "TLS" : "TCP");
}

void node_unlisten(struct node *n)
{
    while (n->listener_count > 0)
        close_listener(n, n->listener_count - 1);
}

bool node_listen(struct node *n, struct error *error)
{
    if (n->config.tls_port != 0 && n->tls == NULL)
        return error_set(error, ERROR_CONFIG,
                         "tls-port is set but TLS is not configured: give tls-cert-file, "
                         "tls-key-file and tls-ca-cert-file");
    struct places wanted = wanted_places(&n->config);
    bool taken[NODE_LISTENERS_MAX] = {false};
    close_unwanted(n, &wanted, taken);
    for (int i = 0; i < wanted.count; i++) {
        const struct place *p = &wanted.at[i];
        if (taken[i] || open_listener(n, p, error)) continue;
        if (p->port == 0) return error_context(error, "Failed opening Unix socket %s", p->address);
        return error_context(error, "Failed listening on port %d (%s)", p->port,
                             p->tls ? "TLS" : "TCP");
    }
    return has_port(n, n->config.port, false, error) &&
           has_port(n, n->config.tls_port, true, error);
}
