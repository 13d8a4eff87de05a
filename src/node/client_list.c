#include "node/client_list.h"

#include "base/mem.h"
#include "node/acl.h"
#include "node/ctx_impl.h"
#include "node/tracking.h"

#include <stdio.h>

// Redis counts output in blocks of so many bytes; `oll` is their number.
enum { OUTPUT_BLOCK_BYTES = 16 * 1024 };

// ---- who it is ----------------------------------------------------------------------------------

void client_peer_name(const struct client *c, char *out, size_t size)
{
    const struct config *config = &c->node->config;
    if (c->conn != NULL)
        conn_peer(c->conn, out, size);
    else if ((c->flags & CLIENT_PRIMARY) && config->replicaof_host != NULL)
        snprintf(out, size, "%s:%d", config->replicaof_host, config->replicaof_port);
    else
        snprintf(out, size, "?:0");
}

void client_local_name(const struct client *c, char *out, size_t size)
{
    if (c->conn != NULL)
        conn_local(c->conn, out, size);
    else
        snprintf(out, size, "?:0");
}

static void flag_letters(const struct client *c, char out[16])
{
    static const struct {
        uint32_t flag;
        char letter;
    } rows[] = {
        {CLIENT_PRIMARY, 'M'},   {CLIENT_PUBSUB, 'P'},
        {CLIENT_MULTI, 'x'},     {CLIENT_BLOCKED | CLIENT_PARKED | CLIENT_SUSPENDED, 'b'},
        {CLIENT_DIRTY_CAS, 'd'}, {CLIENT_CLOSE_AFTER_REPLY, 'c'},
        {CLIENT_CLOSING, 'A'},   {CLIENT_UNIX, 'U'},
        {CLIENT_READONLY, 'r'},  {CLIENT_NO_EVICT, 'e'},
    };
    size_t len = 0;
    if (c->flags & CLIENT_MONITOR)
        out[len++] = 'O';
    else if (c->flags & CLIENT_REPLICA)
        out[len++] = 'S';
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (c->flags & rows[i].flag) out[len++] = rows[i].letter;
        if (c->tracking == NULL || rows[i].letter != 'b') continue;
        out[len++] = 't';
        if (c->tracking->flags & TRACKING_BROKEN_REDIR) out[len++] = 'R';
        if (c->tracking->flags & TRACKING_BCAST) out[len++] = 'B';
    }
    if (len == 0) out[len++] = 'N';
    out[len] = '\0';
}

// ---- what it holds ------------------------------------------------------------------------------

// The call of this client that is running now, or NULL.
static const struct ctx *running(const struct client *c)
{
    const struct ctx *call = c->node->current;
    return call != NULL && call->client == c ? call : NULL;
}

static size_t query_bytes(const struct client *c)
{
    size_t bytes = buf_len(&c->input) + c->behind.len + request_parser_memory(&c->parser);
    return bytes + (running(c) != NULL ? (size_t)c->wire_bytes : 0);
}

static size_t argument_bytes(const struct client *c)
{
    const struct ctx *call = running(c);
    if (call == NULL) return c->pending.held_bytes;
    size_t bytes = 0;
    for (int i = 0; i < call->argc; i++)
        if (call->argv[i] != NULL) bytes += call->argv[i]->len;
    return bytes;
}

static size_t queue_bytes(const struct client *c)
{
    size_t bytes = 0;
    for (int i = 0; i < c->queue_count; i++)
        bytes += c->queue[i].request.held_bytes;
    return bytes;
}

size_t client_output_bytes(const struct client *c)
{
    return c->output.len + (c->conn != NULL ? conn_queued(c->conn) : 0);
}

size_t client_memory_bytes(const struct client *c)
{
    size_t tracked = 0;
    for (int i = 0; c->tracking != NULL && i < c->tracking->prefix_count; i++)
        tracked += mem_size(c->tracking->prefixes[i]);
    return tracked + mem_size(c) + (c->name != NULL ? mem_size(c->name) : 0) + c->input.cap +
           c->behind.len + request_parser_memory(&c->parser) + argument_bytes(c) + queue_bytes(c) +
           client_output_bytes(c) + pubsub_client_bytes(c) + c->watch_bytes;
}

void client_line(struct client *c, struct buf *out)
{
    char peer[128], local[128], flags[16];
    client_peer_name(c, peer, sizeof(peer));
    client_local_name(c, local, sizeof(local));
    flag_letters(c, flags);
    uint64_t now_us = loop_now_us(c->node->loop);
    size_t omem = client_output_bytes(c);
    struct pubsub_counts subscribed = pubsub_client_counts(c);
    buf_printf(out, "id=%llu addr=%s laddr=%s fd=%d name=", (unsigned long long)c->id, peer, local,
               c->conn != NULL ? conn_fd(c->conn) : -1);
    if (c->name != NULL) buf_append_bytes(out, str_view(c->name));
    buf_printf(out, " age=%llu idle=%llu flags=%s db=%d sub=%d psub=%d ssub=%d multi=%d",
               (unsigned long long)((now_us - c->created_us) / 1000000),
               (unsigned long long)((now_us - c->active_us) / 1000000), flags, c->db,
               subscribed.channels, subscribed.patterns, subscribed.shard_channels,
               c->flags & CLIENT_MULTI ? c->queue_count : -1);
    buf_printf(out, " qbuf=%zu qbuf-free=%zu argv-mem=%zu multi-mem=%zu rbs=%zu rbp=%zu",
               query_bytes(c), c->input.cap - buf_len(&c->input), argument_bytes(c), queue_bytes(c),
               (size_t)0, (size_t)0);
    // All output is in one queue here: `obl`, Redis's buffer in front of the list, stays empty.
    buf_printf(out, " obl=0 oll=%zu omem=%zu tot-mem=%zu",
               (omem + OUTPUT_BLOCK_BYTES - 1) / OUTPUT_BLOCK_BYTES, omem, client_memory_bytes(c));
    bool reads = c->conn != NULL && !c->conn->paused;
    bool writes = c->conn != NULL && conn_queued(c->conn) > 0;
    buf_printf(out, " events=%s%s cmd=%s user=%s redir=%lld resp=%d", reads ? "r" : "",
               writes ? "w" : "", c->last_name != NULL ? c->last_name : "NULL",
               c->user != NULL ? c->user->name->data : "(superuser)",
               c->tracking != NULL ? (long long)c->tracking->redirect : -1LL, c->reply.resp);
}

// ---- which of them ------------------------------------------------------------------------------

bool client_class_from_name(struct bytes name, enum client_class *out)
{
    static const struct {
        const char *name;
        enum client_class class;
    } rows[] = {{"normal", CLASS_NORMAL},
                {"slave", CLASS_REPLICA},
                {"replica", CLASS_REPLICA},
                {"pubsub", CLASS_PUBSUB},
                {"master", CLASS_PRIMARY}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (!bytes_equal_nocase(name, rows[i].name)) continue;
        *out = rows[i].class;
        return true;
    }
    return false;
}

void client_each(struct node *n, void (*visit)(void *arg, struct client *c), void *arg)
{
    struct client *primary = n->primary_link;
    list_each_safe(at, &n->clients)
    {
        struct client *c = list_entry(at, struct client, link);
        if (primary != NULL && primary->id < c->id) {
            visit(arg, primary);
            primary = NULL;
        }
        if (!(c->flags & CLIENT_CLOSING)) visit(arg, c);
    }
    if (primary != NULL) visit(arg, primary);
}

struct client *client_by_id(struct node *n, uint64_t id)
{
    if (n->primary_link != NULL && n->primary_link->id == id) return n->primary_link;
    struct client *c = client_find(n, id);
    return c != NULL && !(c->flags & CLIENT_CLOSING) ? c : NULL;
}
