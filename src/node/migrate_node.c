// MIGRATE in the node: its arguments, its client, what it tells and asks.
#include "node/migrate_node.h"

#include "base/mem.h"
#include "base/text.h"
#include "loop/machine.h"
#include "migrate/migrate.h"
#include "node/info.h"
#include "node/parts.h"
#include "node/pause.h"

enum { MIGRATE_TIMEOUT_MS = 1000 }; // as in Redis, when none or nonsense is given

struct migration {
    struct migrate_host host; // first: the machines hand it back
    struct migrator migrator;
    struct node *node;
};

static struct node *node_of(const struct migrate_host *host)
{
    return ((const struct migration *)(const void *)host)->node;
}

static void host_delete_key(struct migrate_host *host, int db, struct bytes key)
{
    node_delete_key(node_of(host), db, key);
}

static bool host_paused(struct migrate_host *host, struct waiter *w)
{
    return pause_holds_up(node_of(host), false, w);
}

static uint64_t host_window(const struct migrate_host *host)
{
    return (uint64_t)node_of(host)->config.migrate_window_bytes;
}

static uint64_t host_payload_max(const struct migrate_host *host)
{
    const struct request_limits *limits = &node_of(host)->config.request_limits;
    return limits->streamed_bytes > limits->bulk_bytes ? limits->streamed_bytes
                                                       : limits->bulk_bytes;
}

static struct rdb_options host_payload_options(const struct migrate_host *host)
{
    const struct config *config = &node_of(host)->config;
    return (struct rdb_options){.compress = config->migrate_compression,
                                .version = config->dump_rdb_version};
}

static const char *host_verify_name(const struct migrate_host *host)
{
    return node_of(host)->config.tls_verify_peer_name;
}

void migrate_init(struct node *n)
{
    struct migration *m = n->migration = mem_new(struct migration);
    m->node = n;
    list_init(&n->restores);
    m->host = (struct migrate_host){
        .loop = n->loop,
        .network = n->network,
        .store = &n->store,
        .log = &n->log,
        .delete_key = host_delete_key,
        .paused = host_paused,
        .window_bytes = host_window,
        .payload_max_bytes = host_payload_max,
        .payload_options = host_payload_options,
        .verify_name = host_verify_name,
    };
    migrator_init(&m->migrator, &m->host);
}

void migrate_free(struct node *n)
{
    migrator_free(&n->migration->migrator);
    mem_free(n->migration);
    n->migration = NULL;
}

void migrate_role_changed(struct node *n)
{
    migrate_cancel_all(&n->migration->migrator, "this node has become a replica");
    restore_role_changed(n);
}

void migrate_visit(const struct node *n, void (*visit)(void *arg, const struct machine *m),
                   void *arg)
{
    migrator_visit(&n->migration->migrator, visit, arg);
}

int migrate_cached_links(const struct node *n)
{
    return n->migration->migrator.link_count;
}

uint64_t migrate_sent_bytes(const struct node *n)
{
    return n->migration->migrator.stats.sent_bytes;
}

struct info_links {
    struct buf *out;
    int count;
};

// A line for each that is in flight: where it stands, what bounds its wait and what is left of
// that, and what it is sending.
static void info_link(void *arg, const struct machine *m)
{
    struct info_links *links = arg;
    const struct machine_state *row = &m->type->states[m->state];
    struct migrate_progress at;
    uint64_t left_us = machine_left_us(m);
    migrate_progress(m, &at);
    buf_printf(links->out,
               "migrate_link%d:state=%s,deadline=%s,left_ms=%lld,target=%s,keys=%d,moved=%d,"
               "bytes=%llu,key_bytes=%llu,age_ms=%llu,key=",
               links->count++, row->name, deadline_kind_name(row->deadline),
               left_us == UINT64_MAX ? -1 : (long long)(left_us / 1000), at.target, at.keys,
               at.moved, (unsigned long long)at.sent_bytes, (unsigned long long)at.key_bytes,
               (unsigned long long)((loop_now_us(m->loop) - m->began_us) / 1000));
    if (at.key.data != NULL)
        text_append_quoted(links->out, bytes_of(at.key.data, at.key.len < 64 ? at.key.len : 64));
    buf_append_bytes(links->out, BYTES("\r\n"));
}

static unsigned held_keys(const struct node *n)
{
    unsigned held = 0;
    for (int i = 0; i < n->store.live->count; i++)
        held += n->store.held_count[i];
    return held;
}

void migrate_info(struct node *n, struct buf *out)
{
    const struct migrator *g = &n->migration->migrator;
    const struct migrate_stats *s = &g->stats;
    uint64_t parked = 0;
    list_each(at, &n->clients) if (list_entry(at, struct client, link)->flags & CLIENT_PARKED)
        parked++;
    info_field(out, "migrate_in_flight", "%d", g->flight_count);
    info_field(out, "migrate_cached_links", "%d", g->link_count);
    info_field(out, "migrate_started", "%llu", (unsigned long long)s->started);
    info_field(out, "migrate_succeeded", "%llu", (unsigned long long)s->succeeded);
    info_field(out, "migrate_failed", "%llu", (unsigned long long)s->failed);
    info_field(out, "migrate_keys_moved", "%llu", (unsigned long long)s->keys_moved);
    info_field(out, "migrate_payload_bytes", "%llu", (unsigned long long)s->payload_bytes);
    info_field(out, "migrate_sent_bytes", "%llu", (unsigned long long)s->sent_bytes);
    info_field(out, "migrate_bytes_per_sec", "%llu",
               (unsigned long long)rates_per_s(&n->rates, RATE_MIGRATE_BYTES));
    info_field(out, "migrate_links_reused", "%llu", (unsigned long long)s->links_reused);
    info_field(out, "migrate_retries", "%llu", (unsigned long long)s->retries);
    info_field(out, "migrate_timeouts_connect", "%llu", (unsigned long long)s->timeouts_connect);
    info_field(out, "migrate_timeouts_greet", "%llu", (unsigned long long)s->timeouts_greet);
    info_field(out, "migrate_timeouts_send", "%llu", (unsigned long long)s->timeouts_send);
    info_field(out, "migrate_timeouts_reply", "%llu", (unsigned long long)s->timeouts_reply);
    info_field(out, "held_keys", "%u", held_keys(n));
    info_field(out, "parked_clients", "%llu", (unsigned long long)parked);
    struct info_links links = {.out = out};
    migrator_visit(g, info_link, &links);
}

// ---- MIGRATE host port <key | ""> db timeout [COPY] [REPLACE] [AUTH p | AUTH2 u p] [KEYS k ...]
// --

// Index of the first key after KEYS; 0 when there is no such word.
static int keys_option(int argc, struct str *const *argv)
{
    if (argc < 8 || argv[3]->len != 0) return 0;
    for (int i = 6; i < argc; i++) {
        struct bytes word = str_view(argv[i]);
        if (bytes_equal_nocase(word, "keys")) return i + 1;
        if (bytes_equal_nocase(word, "auth"))
            i++;
        else if (bytes_equal_nocase(word, "auth2"))
            i += 2;
    }
    return 0;
}

int migrate_command_keys(int argc, struct str *const *argv, struct key_ref *out, int max)
{
    int first = keys_option(argc, argv), count = 0;
    if (first == 0 && argc > 3) {
        if (max > 0) out[0] = (struct key_ref){.index = 3, .access = KEY_READ_WRITE};
        return 1;
    }
    for (int i = first; i < argc; i++, count++)
        if (count < max) out[count] = (struct key_ref){.index = i, .access = KEY_READ_WRITE};
    return count;
}

struct migrate_wait {
    struct suspension suspension;
    struct migrate *migrate;
};

static void client_gone(struct suspension *s)
{
    struct migrate_wait *w = list_entry(s, struct migrate_wait, suspension);
    migrate_cancel(w->migrate);
    mem_free(w);
}

static void on_done(void *owner, const struct migrate_result *result)
{
    struct migrate_wait *w = owner;
    struct reply *reply = client_reply(w->suspension.client);
    switch (result->outcome) {
    case MIGRATE_OK:
        reply_ok(reply);
        break;
    case MIGRATE_NO_KEY:
        reply_status(reply, "NOKEY");
        break;
    case MIGRATE_IO_ERROR:
        reply_errorf(reply, "-IOERR %s", result->text);
        break;
    case MIGRATE_REFUSED:
    case MIGRATE_LIMIT:
        reply_error(reply, result->text);
        break;
    }
    client_wrote(w->suspension.client); // the deletion of what has moved
    client_resume(&w->suspension);
    mem_free(w);
}

static bool parse_options(struct ctx *c, struct migrate_request *r, int *first_key)
{
    for (int i = 6; i < c->argc; i++) {
        int left = c->argc - i - 1;
        if (ctx_is(c, i, "copy"))
            r->copy = true;
        else if (ctx_is(c, i, "replace"))
            r->replace = true;
        else if (ctx_is(c, i, "auth") && left >= 1)
            r->password = ctx_arg(c, ++i);
        else if (ctx_is(c, i, "auth2") && left >= 2) {
            r->user = ctx_arg(c, i + 1);
            r->password = ctx_arg(c, i + 2);
            i += 2;
        } else if (ctx_is(c, i, "keys")) {
            if (c->argv[3]->len != 0) {
                reply_error(c->reply, "When using MIGRATE KEYS option, the key argument must be "
                                      "set to the empty string");
                return false;
            }
            *first_key = i + 1;
            r->key_count = left;
            return true;
        } else {
            ctx_syntax_error(c);
            return false;
        }
    }
    return true;
}

void migrate_command(struct ctx *c)
{
    struct node *n = c->node;
    struct migrate_request r = {.host = c->argv[1]->data, .source_db = c->db, .key_count = 1};
    int first_key = 3;
    int64_t port, db;
    if (!parse_options(c, &r, &first_key)) return;
    if (!ctx_int(c, 5, &r.timeout_ms) || !ctx_int(c, 4, &db)) return;
    if (!text_to_i64(ctx_arg(c, 2), &port) || port < 1 || port > 65535) {
        reply_error(c->reply, "Invalid port");
        return;
    }
    if (db < 0 || db > INT32_MAX) {
        reply_error(c->reply, "value is out of range");
        return;
    }
    if (r.timeout_ms <= 0) r.timeout_ms = MIGRATE_TIMEOUT_MS;
    r.port = (int)port;
    r.target_db = (int)db;
    r.tls = n->config.tls_cluster;
    if (c->in_exec) {
        reply_error(c->reply, "MIGRATE is not allowed inside a transaction");
        return;
    }
    struct bytes *keys = mem_array(struct bytes, (size_t)r.key_count);
    bool present = false;
    for (int i = 0; i < r.key_count; i++) {
        keys[i] = ctx_arg(c, first_key + i);
        present = present || ctx_find_read(c, keys[i]) != NULL; // ten thousand may be named
    }
    if (!present) {
        // As in Redis: without a word to the target.
        mem_free(keys);
        reply_status(c->reply, "NOKEY");
        return;
    }
    r.keys = keys;
    struct migrate_wait *w = mem_new(struct migrate_wait);
    w->suspension.gone = client_gone;
    ctx_suspend(c, &w->suspension);
    w->migrate = migrate_start(&n->migration->migrator, &r, on_done, w);
    mem_free(keys);
}
