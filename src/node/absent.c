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
WEAK void repl_init(struct node *n)
{
    (void)n;
}
WEAK void repl_free(struct node *n)
{
    (void)n;
}
WEAK bool repl_is_replica(const struct node *n)
{
    (void)n;
    return false;
}
WEAK bool repl_link_up(const struct node *n)
{
    (void)n;
    return true;
}
WEAK bool repl_write_allowed(const struct node *n)
{
    (void)n;
    return true;
}
WEAK bool repl_feeding(const struct node *n)
{
    (void)n;
    return false;
}
WEAK void repl_feed(struct node *n, int db, int argc, const struct bytes *argv)
{
    (void)n, (void)db, (void)argc, (void)argv;
}
WEAK void repl_feed_multi_begin(struct node *n)
{
    (void)n;
}
WEAK void repl_feed_multi_end(struct node *n)
{
    (void)n;
}
WEAK void repl_client_input(struct client *c)
{
    (void)c;
}
WEAK void repl_client_drained(struct client *c, size_t taken, size_t left)
{
    (void)c, (void)taken, (void)left;
}
WEAK void repl_client_closed(struct client *c)
{
    (void)c;
}
WEAK void repl_client_ran(struct client *c, const char *name)
{
    (void)c, (void)name;
}
WEAK void repl_applied(struct node *n, struct client *c, uint64_t bytes)
{
    (void)n, (void)c, (void)bytes;
}
WEAK void migrate_init(struct node *n)
{
    (void)n;
}
WEAK void migrate_free(struct node *n)
{
    (void)n;
}
WEAK bool restore_wants_stream(struct client *c, const struct request *r, int index, uint64_t len)
{
    (void)c, (void)r, (void)index, (void)len;
    return false;
}
WEAK void restore_stream_chunk(struct client *c, const struct request_stream *p)
{
    (void)c, (void)p;
}
WEAK void restore_stream_free(struct client *c)
{
    (void)c;
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
WEAK void repl_restore(struct node *n, const struct loader_stats *loaded)
{
    (void)n, (void)loaded;
}
WEAK void repl_start(struct node *n)
{
    (void)n;
}
WEAK void repl_snapshot_free(struct node *n)
{
    (void)n;
}
WEAK int repl_snapshot_aux(struct node *n, struct snapshot_aux aux[REPL_SNAPSHOT_AUX])
{
    (void)n, (void)aux;
    return 0;
}
bool apply_repl(struct node *n, struct error *error);
WEAK bool apply_repl(struct node *n, struct error *error)
{
    (void)n, (void)error;
    return true;
}
WEAK void repl_shutdown_begin(struct node *n)
{
    (void)n;
}
WEAK bool repl_shutdown_ready(const struct node *n)
{
    (void)n;
    return true;
}
WEAK void repl_shutdown_log(struct node *n)
{
    (void)n;
}
