// MEMORY: what takes how much.
#include "base/mem.h"
#include "command/help.h"
#include "command/table.h"
#include "node/client_list.h"
#include "node/ctx_impl.h"
#include "value/dict.h"
#include "value/value.h"

#include <stdio.h>
#include <uv.h>

// ---- USAGE --------------------------------------------------------------------------------------

enum { USAGE_SAMPLES_DEFAULT = 5 };

static void memory_usage(struct ctx *c)
{
    int64_t samples = USAGE_SAMPLES_DEFAULT;
    for (int i = 3; i < c->argc; i += 2) {
        if (!ctx_is(c, i, "samples") || i + 1 >= c->argc) {
            ctx_syntax_error(c);
            return;
        }
        if (!ctx_int(c, i + 1, &samples)) return;
        if (samples < 0) {
            ctx_syntax_error(c);
            return;
        }
    }
    struct entry *e = ctx_peek_silent(c, ctx_arg(c, 2));
    if (e == NULL) {
        reply_null(c->reply);
        return;
    }
    if (samples > INT32_MAX) samples = INT32_MAX;
    size_t bytes = value_memory(&e->value, (int)samples) + mem_size(e);
    // Its places in the tables, which hold a pointer and a byte each, well filled.
    bytes += sizeof(void *) * (e->expire_ms == ENTRY_NO_EXPIRE ? 2 : 4);
    reply_integer(c->reply, (int64_t)bytes);
}

// ---- STATS --------------------------------------------------------------------------------------

struct stats {
    struct reply *reply;
    size_t pairs;
};

static void add_count(struct stats *s, const char *name, uint64_t number)
{
    reply_bulk_cstr(s->reply, name);
    reply_integer(s->reply, (int64_t)number);
    s->pairs++;
}

static void add_ratio(struct stats *s, const char *name, double number)
{
    reply_bulk_cstr(s->reply, name);
    reply_double(s->reply, number);
    s->pairs++;
}

struct client_bytes {
    uint64_t normal, replicas;
};

static void add_client(void *arg, struct client *c)
{
    struct client_bytes *sum = arg;
    if (client_class(c) == CLASS_REPLICA)
        sum->replicas += client_memory_bytes(c);
    else
        sum->normal += client_memory_bytes(c);
}

// Tables of the databases that are not empty; returns their bytes.
static uint64_t add_databases(struct node *n, struct stats *s)
{
    uint64_t total = 0;
    for (int i = 0; i < n->store.live->count; i++) {
        struct db *db = store_db(&n->store, i);
        if (dict_count(db->keys) == 0) continue;
        char name[32];
        snprintf(name, sizeof(name), "db.%d", i);
        reply_bulk_cstr(s->reply, name);
        reply_map(s->reply, 2);
        reply_bulk_cstr(s->reply, "overhead.hashtable.main");
        reply_integer(s->reply, (int64_t)dict_table_bytes(db->keys));
        reply_bulk_cstr(s->reply, "overhead.hashtable.expires");
        reply_integer(s->reply, (int64_t)dict_table_bytes(db->expires));
        s->pairs++;
        total += dict_table_bytes(db->keys) + dict_table_bytes(db->expires);
    }
    return total;
}

static void memory_stats(struct ctx *c)
{
    struct node *n = c->node;
    uint64_t used = mem_used_bytes(), keys = keyspace_keys(n->store.live);
    size_t beyond = 0, resident = 0, repl = repl_memory(n, &beyond);
    uv_resident_set_memory(&resident);
    if (used > n->stats.peak_memory) n->stats.peak_memory = used;
    struct client_bytes clients = {0};
    client_each(n, add_client, &clients);
    struct stats s = {.reply = c->reply};
    struct reply_deferred all;
    reply_begin(c->reply, &all);
    add_count(&s, "peak.allocated", n->stats.peak_memory);
    add_count(&s, "total.allocated", used);
    add_count(&s, "replication.backlog", repl - beyond);
    add_count(&s, "clients.slaves", clients.replicas + beyond);
    add_count(&s, "clients.normal", clients.normal);
    uint64_t tables = add_databases(n, &s);
    uint64_t overhead = tables + repl + clients.normal + clients.replicas;
    uint64_t dataset = used > overhead ? used - overhead : 0;
    add_count(&s, "overhead.total", overhead);
    add_count(&s, "keys.count", keys);
    add_count(&s, "keys.bytes-per-key", keys ? dataset / keys : 0);
    add_count(&s, "dataset.bytes", dataset);
    add_ratio(&s, "dataset.percentage", used ? 100.0 * (double)dataset / (double)used : 0);
    add_ratio(&s, "peak.percentage", 100.0 * (double)used / (double)(n->stats.peak_memory + 1));
    add_ratio(&s, "fragmentation", used ? (double)resident / (double)used : 0);
    reply_end_map(c->reply, &all, s.pairs);
}

// ---- DOCTOR -------------------------------------------------------------------------------------

static void memory_doctor(struct ctx *c)
{
    struct node *n = c->node;
    uint64_t used = mem_used_bytes();
    size_t resident = 0, beyond = 0;
    uv_resident_set_memory(&resident);
    repl_memory(n, &beyond);
    struct buf out = BUF_EMPTY;
    if (used < 5u << 20) {
        buf_append_cstr(&out, "This instance holds next to nothing: there is nothing to say.\n");
    } else {
        if ((double)n->stats.peak_memory > 1.5 * (double)used)
            buf_append_cstr(&out, "Peak: it once held more than one and a half times what it "
                                  "holds now, and the allocator may keep some of that. MEMORY "
                                  "PURGE asks it to let go.\n");
        if ((double)resident > 1.4 * (double)used && resident - used > 10u << 20)
            buf_append_cstr(&out, "Fragmentation: the process takes much more from the system "
                                  "than it has handed out.\n");
        if (beyond > 10u << 20)
            buf_append_cstr(&out, "Replicas: one of them is slow to take the stream, which is "
                                  "kept for it in memory.\n");
        if (buf_len(&out) == 0) buf_append_cstr(&out, "Nothing looks wrong.\n");
    }
    reply_verbatim(c->reply, "txt", buf_view(&out));
    buf_free(&out);
}

// ---- PURGE, MALLOC-STATS ------------------------------------------------------------------------

// Both walk the allocator's own structures, which takes as long as it takes: not on the loop.
struct allocator_work {
    struct suspension suspension;
    struct work work;
    bool purge, ok;
    struct buf text;
};

static void allocator_gone(struct suspension *s)
{
    (void)s; // it runs to its end all the same
}

static void allocator_run(struct work *work)
{
    struct allocator_work *w = list_entry(work, struct allocator_work, work);
    if (w->purge)
        w->ok = mem_purge();
    else
        mem_describe(&w->text);
}

static void allocator_done(struct work *work)
{
    struct allocator_work *w = list_entry(work, struct allocator_work, work);
    if (w->suspension.client != NULL) {
        struct reply *r = client_reply(w->suspension.client);
        if (!w->purge)
            reply_verbatim(r, "txt", buf_view(&w->text));
        else if (w->ok)
            reply_ok(r);
        else
            reply_error(r, "Error purging dirty pages");
        client_resume(&w->suspension);
    }
    buf_free(&w->text);
    mem_free(w);
}

static void with_allocator(struct ctx *c, bool purge)
{
    struct allocator_work *w = mem_new(struct allocator_work);
    w->purge = purge;
    w->suspension.gone = allocator_gone;
    w->work.work = allocator_run;
    w->work.done = allocator_done;
    if (!ctx_suspend(c, &w->suspension)) {
        mem_free(w);
        reply_error(c->reply, "not possible inside a transaction or script: it takes its time");
        return;
    }
    loop_work(c->node->loop, &w->work);
}

static void memory_purge(struct ctx *c)
{
    with_allocator(c, true);
}

static void memory_malloc_stats(struct ctx *c)
{
    with_allocator(c, false);
}

static void memory_help(struct ctx *c)
{
    static const char *const lines[] = {
        "DOCTOR",
        "    What looks odd about the use of memory.",
        "MALLOC-STATS",
        "    What the allocator says of itself.",
        "PURGE",
        "    Ask the allocator to give back what it keeps.",
        "STATS",
        "    What takes how much.",
        "USAGE <key> [SAMPLES <count>]",
        "    Bytes that a key and its value take. Of nested values <count> are looked at",
        "    (default: 5, 0 means all).",
        NULL,
    };
    help_reply(c, lines);
}

static const struct command memory_children[] = {
    {"doctor", memory_doctor, 2, 0, .acl = NULL},
    {"malloc-stats", memory_malloc_stats, 2, 0, .acl = NULL},
    {"purge", memory_purge, 2, 0, .acl = NULL},
    {"stats", memory_stats, 2, 0, .acl = NULL},
    {"usage", memory_usage, -3, CMD_READONLY, .keys = {{2, 2, 1, KEY_READ}}, .acl = NULL},
    {"help", memory_help, 2, CMD_LOADING | CMD_STALE, .acl = NULL},
    {0},
};

const struct command commands_memory[] = {
    {"memory", NULL, -2, 0, .children = memory_children},
    {0},
};
