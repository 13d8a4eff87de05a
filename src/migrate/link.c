#include "migrate/link.h"

#include "base/mem.h"

#include <openssl/crypto.h>

static void link_free(struct migrate_link *l)
{
    deadline_cancel(l->migrator->host->loop, &l->idle);
    reader_free(&l->reader);
    str_free(l->host);
    str_free(l->user);
    if (l->password != NULL) OPENSSL_cleanse(l->password->data, l->password->len);
    str_free(l->password);
    mem_free(l);
}

static void leave_cache(struct migrate_link *l)
{
    if (list_empty(&l->link)) return;
    list_remove(&l->link);
    l->migrator->link_count--;
    deadline_cancel(l->migrator->host->loop, &l->idle);
}

// ---- a conn that is idle, and one without an owner, on its way out ------------------------------

static void idle_bytes(struct conn *c, void *owner, struct bytes input)
{
    (void)c;
    (void)input;
    struct migrate_link *l = owner;
    link_drop(l); // nobody asked for anything: this peer is out of step
}

static void idle_drained(struct conn *c, void *owner, size_t taken, size_t left)
{
    (void)c;
    (void)owner;
    (void)taken;
    (void)left;
}

static void idle_opened(struct conn *c, void *owner)
{
    (void)c;
    (void)owner;
}

static void idle_closed(struct conn *c, void *owner, const struct error *why)
{
    (void)c;
    (void)why;
    struct migrate_link *l = owner;
    leave_cache(l);
    link_free(l);
}

static const struct conn_events idle_events = {idle_opened, idle_bytes, idle_drained, idle_closed};

static void gone_bytes(struct conn *c, void *owner, struct bytes input)
{
    (void)c;
    (void)owner;
    (void)input;
}

static void gone_closed(struct conn *c, void *owner, const struct error *why)
{
    (void)c;
    (void)owner;
    (void)why;
}

static const struct conn_events gone_events = {idle_opened, gone_bytes, idle_drained, gone_closed};

static void on_idle(struct deadline *d)
{
    link_drop(list_entry(d, struct migrate_link, idle));
}

// ---- the cache ----------------------------------------------------------------------------------

static bool same(const struct str *have, struct bytes want)
{
    if (have == NULL || want.data == NULL) return have == NULL && want.data == NULL;
    return bytes_equal(str_view(have), want);
}

struct migrate_link *link_take(struct migrator *g, const struct migrate_request *request)
{
    list_each(at, &g->links)
    {
        struct migrate_link *l = list_entry(at, struct migrate_link, link);
        if (l->port != request->port || l->tls != request->tls ||
            !same(l->host, bytes_from_cstr(request->host)) || !same(l->user, request->user) ||
            !same(l->password, request->password))
            continue;
        uint64_t kept_us = l->idle.at_us - MIGRATE_LINK_IDLE_US;
        if (loop_now_us(g->host->loop) - kept_us > MIGRATE_LINK_TRUST_US) l->db = -1;
        leave_cache(l);
        g->stats.links_reused++;
        return l;
    }
    return NULL;
}

static struct str *copy(struct bytes text)
{
    return text.data != NULL ? str_from(text) : NULL;
}

struct migrate_link *link_open(struct migrator *g, const struct migrate_request *request,
                               const struct conn_events *events, void *owner)
{
    struct migrate_link *l = mem_new(struct migrate_link);
    list_init(&l->link);
    l->migrator = g;
    l->host = str_from(bytes_from_cstr(request->host));
    l->user = copy(request->user);
    l->password = copy(request->password);
    l->port = request->port;
    l->tls = request->tls;
    l->db = -1;
    l->idle.fire = on_idle;
    reader_init(&l->reader);
    struct conn_target target = {
        .host = l->host->data,
        .port = l->port,
        .tls = l->tls,
        .verify_name = g->host->verify_name(g->host),
    };
    l->conn = net_connect(g->host->network, &target, events, owner);
    return l;
}

void link_keep(struct migrate_link *l)
{
    struct migrator *g = l->migrator;
    conn_own(l->conn, &idle_events, l);
    list_push_back(&g->links, &l->link);
    deadline_arm(g->host->loop, &l->idle, loop_now_us(g->host->loop) + MIGRATE_LINK_IDLE_US);
    if (++g->link_count > MIGRATE_LINKS_MAX)
        link_drop(list_entry(g->links.next, struct migrate_link, link));
}

void link_drop(struct migrate_link *l)
{
    // Closing takes a while; neither we nor the migrator need to be there then.
    conn_own(l->conn, &gone_events, NULL);
    conn_close(l->conn);
    leave_cache(l);
    link_free(l);
}

void link_gone(struct migrate_link *l)
{
    leave_cache(l);
    link_free(l);
}
