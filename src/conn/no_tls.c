// Stands in for tls_*.c in a build without TLS (make TLS=no): there are no contexts, so that no
// conn over TLS can be asked for, and whoever configures one is told why.
#include "conn/tls.h"

#include <assert.h>

struct tls_context *tls_context_new(const struct tls_config *config, struct error *error)
{
    (void)config;
    error_set(error, ERROR_UNSUPPORTED, "this build has no TLS (it was made with TLS=no)");
    return NULL;
}

struct tls_context *tls_context_ref(struct tls_context *t)
{
    return t;
}

void tls_context_unref(struct tls_context *t)
{
    assert(t == NULL);
}

struct conn *tls_client(struct tls_context *t, struct conn *lower, const char *sni,
                        const char *verify_name, const struct conn_events *events, void *owner)
{
    (void)t, (void)sni, (void)verify_name;
    assert(!"no context, no conn");
    conn_own(lower, events, owner);
    conn_close(lower);
    return lower;
}

struct conn *tls_server(struct tls_context *t, struct conn *lower, uint64_t handshake_timeout_us,
                        const struct conn_events *events, void *owner)
{
    (void)handshake_timeout_us;
    return tls_client(t, lower, NULL, NULL, events, owner);
}

void tls_describe(const struct conn *c, char *out, size_t size)
{
    (void)c;
    if (size > 0) out[0] = '\0';
}
