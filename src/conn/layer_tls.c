#include "conn/layer_tls.h"

// A unix socket's path is no name.
static struct conn *client(void *context, struct conn *lower, const struct conn_target *target,
                           const struct conn_events *events, void *owner)
{
    const char *sni = target->port == 0 ? NULL : target->host;
    return tls_client(context, lower, sni, target->verify_name, events, owner);
}

static struct conn *server(void *context, struct conn *lower, uint64_t handshake_timeout_us)
{
    return tls_server(context, lower, handshake_timeout_us, NULL, NULL);
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
