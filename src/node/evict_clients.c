// maxmemory-clients: when clients together take more, the largest goes, until they fit.
//
// Each client's bytes are added up as they change, so that the sum is at hand in every turn of the
// loop. Replicas and our primary's link do not count; a client that asked for NO-EVICT counts and
// stays.
#include "base/mem.h"
#include "node/client_list.h"
#include "node/ctx_impl.h"

uint64_t evict_clients_limit(const struct node *n)
{
    int64_t limit = n->config.maxmemory_clients;
    // A percentage, written as a negative number, of maxmemory.
    if (limit < 0) return (uint64_t)n->config.maxmemory * (uint64_t)-limit / 100;
    return (uint64_t)limit;
}

static bool counts(const struct client *c)
{
    enum client_class class = client_class(c);
    return c->conn != NULL && !(c->flags & CLIENT_CLOSING) &&
           (class == CLASS_NORMAL || class == CLASS_PUBSUB);
}

void evict_clients_count(struct client *c)
{
    struct node *n = c->node;
    if (n->config.maxmemory_clients == 0 && c->counted_bytes == 0) return;
    bool count = n->config.maxmemory_clients != 0 && counts(c);
    size_t bytes = count ? client_memory_bytes(c) : 0;
    n->clients_bytes += bytes - c->counted_bytes;
    c->counted_bytes = bytes;
}

void evict_clients_recount(struct node *n)
{
    list_each(at, &n->clients) evict_clients_count(list_entry(at, struct client, link));
}

static struct client *largest(struct node *n)
{
    struct client *most = NULL;
    list_each(at, &n->clients)
    {
        struct client *c = list_entry(at, struct client, link);
        if (c->counted_bytes == 0 || (c->flags & CLIENT_NO_EVICT)) continue;
        if (most == NULL || c->counted_bytes > most->counted_bytes) most = c;
    }
    return most;
}

void evict_clients(struct node *n)
{
    uint64_t limit = evict_clients_limit(n);
    while (limit > 0 && n->clients_bytes >= limit) {
        struct client *c = largest(n);
        if (c == NULL) {
            log_debug(&n->log, "Over client maxmemory after evicting all evictable clients");
            return;
        }
        struct buf line = BUF_EMPTY;
        client_line(c, &line);
        log_notice(&n->log, "Evicting client: %.*s", (int)buf_len(&line), buf_view(&line).data);
        buf_free(&line);
        n->stats.evicted_clients++;
        client_close(c);
        evict_clients_count(c);
    }
}
