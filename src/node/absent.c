// Parts that are being written: weak stand-ins, so that the rest links. Gone once all are there.
#include "base/mem.h"
#include "node/parts.h"

#define WEAK __attribute__((weak))

WEAK void pubsub_init(struct node *n)
{
    (void)n;
}
WEAK void pubsub_free(struct node *n)
{
    (void)n;
}
WEAK void pubsub_client_gone(struct client *c)
{
    (void)c;
}
WEAK int pubsub_publish(struct node *n, struct bytes channel, struct bytes message)
{
    (void)n, (void)channel, (void)message;
    return 0;
}
WEAK void slowlog_init(struct node *n)
{
    (void)n;
}
WEAK void slowlog_free(struct node *n)
{
    (void)n;
}
WEAK void slowlog_note(struct node *n, struct client *c, int argc, struct str *const *argv,
                       uint64_t us)
{
    (void)n, (void)c, (void)argc, (void)argv, (void)us;
}
WEAK void monitor_feed(struct node *n, struct client *c, int argc, struct str *const *argv, int db)
{
    (void)n, (void)c, (void)argc, (void)argv, (void)db;
}
WEAK void latency_note(struct node *n, const char *event, uint64_t ms)
{
    (void)n, (void)event, (void)ms;
}
WEAK bool evict_to_limit(struct node *n)
{
    (void)n;
    return true;
}
WEAK int pubsub_channel_count(const struct node *n)
{
    (void)n;
    return 0;
}
WEAK int pubsub_pattern_count(const struct node *n)
{
    (void)n;
    return 0;
}
WEAK size_t repl_memory(const struct node *n, size_t *beyond)
{
    (void)n;
    *beyond = 0;
    return 0;
}
WEAK void repl_info(struct node *n, struct buf *out)
{
    (void)n;
    buf_append_cstr(out, "# Replication\r\nrole:master\r\n");
}
