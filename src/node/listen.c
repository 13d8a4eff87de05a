// The node's listeners: every `bind` address on port and tls-port, and the unix socket.
#include "node/ctx_impl.h"

#include <stdio.h>

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

// "-::1" may be missing on this machine: a dash makes an address optional (redis.conf, "bind").
static bool listen_on(struct node *n, const char *address, int port, bool tls, struct error *error)
{
    bool optional = address[0] == '-';
    struct listen_options options = {
        .address = address + optional,
        .port = port,
        .backlog = n->config.tcp_backlog,
        .unix_mode = n->config.unixsocketperm,
        .tls = tls,
        .handshake_timeout_us = (uint64_t)n->config.tls_handshake_ms * 1000,
        .accepted = port == 0 ? accepted_unix
                    : tls     ? accepted_tls
                              : accepted_tcp,
        .owner = n,
    };
    struct listener *l = n->network->listen(n->network, &options, error);
    if (l != NULL) {
        n->listeners[n->listener_count++] = l;
        return true;
    }
    return optional;
}

static bool listen_port(struct node *n, int port, bool tls, struct error *error)
{
    if (port == 0) return true;
    int before = n->listener_count;
    for (int i = 0; i < n->config.bind_count; i++)
        if (!listen_on(n, n->config.bind[i], port, tls, error))
            return error_context(error, "Failed listening on port %d (%s)", port,
                                 tls ? "TLS" : "TCP");
    if (n->listener_count > before || n->config.bind_count == 0) return true;
    return error_set(error, ERROR_IO, "Failed listening on port %d (%s): no bind address is here",
                     port, tls ? "TLS" : "TCP");
}

void node_unlisten(struct node *n)
{
    while (n->listener_count > 0)
        n->network->unlisten(n->network, n->listeners[--n->listener_count]);
}

bool node_listen(struct node *n, struct error *error)
{
    node_unlisten(n);
    if (n->config.tls_port != 0 && n->tls == NULL)
        return error_set(error, ERROR_CONFIG,
                         "tls-port is set but TLS is not configured: give tls-cert-file, "
                         "tls-key-file and tls-ca-cert-file");
    if (!listen_port(n, n->config.port, false, error)) return false;
    if (!listen_port(n, n->config.tls_port, true, error)) return false;
    if (n->config.unixsocket[0] != '\0' && !listen_on(n, n->config.unixsocket, 0, false, error))
        return error_context(error, "Failed opening Unix socket %s", n->config.unixsocket);
    return true;
}
