// The title of the process, as ps shows it: proc-title-template with its variables filled in.
//
// Source: redis.conf of Redis 7.0, "proc-title-template".
#include "node/config.h"
#include "node/parts.h"

#include <string.h>

static void append_listen_address(const struct config *c, struct buf *out)
{
    int port = c->tls_port != 0 ? c->tls_port : c->port;
    if (port == 0 && c->unixsocket[0] != '\0')
        buf_append_cstr(out, c->unixsocket);
    else
        buf_printf(out, "%s:%d", c->bind_count > 0 ? c->bind[0] : "*", port);
}

static bool append_variable(const struct node *n, struct bytes name, struct buf *out)
{
    const struct config *c = &n->config;
    if (bytes_equal(name, BYTES("title")))
        buf_append_cstr(out, n->program != NULL ? n->program : "wherry-server");
    else if (bytes_equal(name, BYTES("listen-addr")))
        append_listen_address(c, out);
    else if (bytes_equal(name, BYTES("port")))
        buf_printf(out, "%d", c->port);
    else if (bytes_equal(name, BYTES("tls-port")))
        buf_printf(out, "%d", c->tls_port);
    else if (bytes_equal(name, BYTES("unixsocket")))
        buf_append_cstr(out, c->unixsocket);
    else if (bytes_equal(name, BYTES("config-file")))
        buf_append_cstr(out, c->config_file != NULL ? c->config_file : "");
    else
        return bytes_equal(name, BYTES("server-mode")); // a plain server says nothing
    return true;
}

bool node_title(const struct node *n, struct buf *out, struct error *error)
{
    for (const char *at = n->config.proc_title_template; *at != '\0';) {
        const char *open = strchr(at, '{'), *close = open ? strchr(open, '}') : NULL;
        if (open == NULL) {
            buf_append_cstr(out, at);
            break;
        }
        buf_append(out, at, (size_t)(open - at));
        size_t len = close ? (size_t)(close - open) - 1 : 0;
        if (close == NULL || !append_variable(n, bytes_of(open + 1, len), out))
            return error_set(error, ERROR_CONFIG,
                             "template format is invalid or contains unknown variables at '%.32s'; "
                             "there are {title}, {listen-addr}, {server-mode}, {port}, {tls-port}, "
                             "{unixsocket} and {config-file}",
                             open);
        at = close + 1;
    }
    while (buf_len(out) > 0 && buf_view(out).data[buf_len(out) - 1] == ' ')
        out->end--;
    return true;
}
