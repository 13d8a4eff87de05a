#include "conn/layer_tls.h"

#include <arpa/inet.h>

static bool is_numeric(const char *host)
{
    unsigned char raw[16];
    return inet_pton(AF_INET, host, raw) == 1 || inet_pton(AF_INET6, host, raw) == 1;
}

// SNI carries names only (RFC 6066 section 3), and a unix socket's path is none.
static struct conn *client(void *context, struct conn *lower, const struct conn_target *target,
                           const struct conn_events *events, void *owner)
{
    const char *sni = target->port == 0 || is_numeric(target->host) ? NULL : target->host;
    return tls_client(context, lower, sni, target->verify_name, events, owner);
}

static struct conn *server(void *context, struct conn *lower)
{
    return tls_server(context, lower, NULL, NULL);
}

static void context_free(void *context)
{
    tls_context_unref(context);
}

void net_set_tls(struct network *net, struct tls_context *context)
{
    static const struct conn_layer layer = {"tls", client, server, context_free};
    conn_layers_set(&net->layers, &layer, context != NULL ? tls_context_ref(context) : NULL);
}
