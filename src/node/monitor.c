#include "node/monitor.h"

#include "base/text.h"
#include "node/client_list.h"
#include "node/ctx_impl.h"
#include "node/secret.h"

void monitor_add(struct client *c)
{
    if (c->flags & CLIENT_MONITOR) return;
    c->flags |= CLIENT_MONITOR;
    list_push_back(&c->node->monitors, &c->monitor_link);
}

void monitor_remove(struct client *c)
{
    c->flags &= ~(uint32_t)CLIENT_MONITOR;
    list_remove(&c->monitor_link);
}

// +1339518083.107412 [0 127.0.0.1:60866] "keys" "*"
static void format_line(struct buf *line, struct node *n, struct client *c, const char *name,
                        int argc, const struct bytes *argv, int db)
{
    int64_t us = loop_unix_us(n->loop);
    char from[128];
    client_peer_name(c, from, sizeof(from));
    buf_printf(line, "+%lld.%06lld [%d %s%s]", (long long)(us / 1000000), (long long)(us % 1000000),
               db, c->flags & CLIENT_UNIX ? "unix:" : "", from);
    for (int i = 0; i < argc; i++) {
        buf_append_byte(line, ' ');
        text_append_quoted(line,
                           argument_is_secret(name, argc, argv, i) ? BYTES("(redacted)") : argv[i]);
    }
    buf_append_cstr(line, "\r\n");
}

void monitor_feed(struct node *n, struct client *c, const char *name, int argc,
                  const struct bytes *argv, int db)
{
    struct buf line = BUF_EMPTY;
    format_line(&line, n, c, name, argc, argv, db);
    list_each_safe(at, &n->monitors)
    {
        struct client *monitor = list_entry(at, struct client, monitor_link);
        if (monitor->flags & (CLIENT_REPLY_OFF | CLIENT_REPLY_SKIP)) continue;
        struct reply r = client_push(monitor);
        reply_raw(&r, buf_view(&line));
        client_touch_output(monitor);
    }
    buf_free(&line);
}
