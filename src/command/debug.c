// DEBUG: for tests and for people who look closer.
#include "base/mem.h"
#include "base/text.h"
#include "command/help.h"
#include "command/table.h"
#include "node/ctx_impl.h"
#include "node/digest.h"
#include "node/pause.h"
#include "node/persist.h"
#include "rdb/encode.h"
#include "store/access.h"
#include "value/quicklist.h"
#include "value/string.h"

#include <stdio.h>

// ---- DEBUG SLEEP --------------------------------------------------------------------------------

// The server stands still for everybody, as in Redis, but the loop goes on: every client's next
// command waits, and so does the primary's stream; replication's own deadlines run.
struct sleeper {
    struct suspension suspension;
    struct deadline deadline;
    struct loop *loop;
};

static void sleeper_wake(struct deadline *d)
{
    struct sleeper *s = list_entry(d, struct sleeper, deadline);
    reply_ok(client_reply(s->suspension.client));
    client_resume(&s->suspension);
    mem_free(s);
}

static void sleeper_gone(struct suspension *suspension)
{
    struct sleeper *s = list_entry(suspension, struct sleeper, suspension);
    deadline_cancel(s->loop, &s->deadline);
    mem_free(s);
}

static void debug_sleep(struct ctx *c)
{
    double seconds;
    if (!ctx_double(c, 2, &seconds)) return;
    if (seconds < 0 || seconds > 1e9) {
        reply_error(c->reply, "value is out of range");
        return;
    }
    uint64_t us = (uint64_t)(seconds * 1e6);
    node_freeze(c->node, us);
    c->slept_us = us;
    struct sleeper *s = mem_new(struct sleeper);
    s->loop = c->node->loop;
    s->suspension.gone = sleeper_gone;
    s->deadline.fire = sleeper_wake;
    if (ctx_suspend(c, &s->suspension)) {
        deadline_arm(s->loop, &s->deadline, loop_now_us(s->loop) + us);
        return;
    }
    mem_free(s);
    reply_ok(c->reply);
}

// ---- DEBUG POPULATE -----------------------------------------------------------------------------

struct populate {
    struct suspension suspension;
    struct job job;
    struct node *node;
    int db;
    int64_t next, count, size;
    struct str *prefix;
};

static void populate_free(struct populate *p)
{
    str_free(p->prefix);
    mem_free(p);
}

// Like Redis: "prefix:N" gets "value:N", padded with zero bytes to `size` if that is given.
static void populate_one(struct populate *p)
{
    struct str *key = str_printf("%s:%lld", p->prefix->data, (long long)p->next);
    struct db *db = store_db(&p->node->store, p->db);
    if (db_find(db, str_view(key)) == NULL) {
        struct str *text = str_printf("value:%lld", (long long)p->next);
        if (p->size > 0) text = str_resize(text, (size_t)p->size);
        struct value value;
        string_take(&value, text);
        db_add(&p->node->store, db, str_view(key), &value);
        node_key_changed(p->node, p->db, str_view(key));
    }
    str_free(key);
    p->next++;
}

static enum job_state populate_step(struct job *job, struct budget *budget)
{
    struct populate *p = list_entry(job, struct populate, job);
    while (p->next < p->count) {
        populate_one(p);
        if (!budget_left(budget, 16 + (uint32_t)(p->size / 64))) return JOB_MORE;
    }
    reply_ok(client_reply(p->suspension.client));
    client_resume(&p->suspension);
    populate_free(p);
    return JOB_DONE;
}

static void populate_gone(struct suspension *s)
{
    struct populate *p = list_entry(s, struct populate, suspension);
    job_stop(p->node->loop, &p->job);
    populate_free(p);
}

static void debug_populate(struct ctx *c)
{
    int64_t count, size = 0;
    if (!ctx_int_range(c, 2, 0, INT64_MAX, &count)) return;
    if (c->argc > 4 && !ctx_int_range(c, 4, 0, 512 << 20, &size)) return;
    struct populate *p = mem_new(struct populate);
    *p = (struct populate){.node = c->node, .db = c->db, .count = count, .size = size};
    p->prefix = c->argc > 3 ? str_from(ctx_arg(c, 3)) : str_from(BYTES("key"));
    p->suspension.gone = populate_gone;
    job_init(&p->job, "populate", populate_step);
    // Like Redis it is not propagated: replicas get no part of it.
    if (ctx_suspend(c, &p->suspension)) {
        job_start(c->node->loop, &p->job);
        return;
    }
    while (p->next < p->count)
        populate_one(p);
    populate_free(p);
    reply_ok(c->reply);
}

// ---- digests and objects ------------------------------------------------------------------------

static void debug_digest(struct ctx *c)
{
    digest_dataset_command(c);
}

static void debug_digest_value(struct ctx *c)
{
    digest_values_command(c, 2);
}

static uint64_t serialized_bytes(struct ctx *c, const struct value *v)
{
    struct rdb_options options = {.compress = c->node->config.rdbcompression,
                                  .version = RDB_VERSION};
    struct dump_counter *counter = dump_counter_new(v, &options);
    while (!dump_counter_step(counter, NULL)) {
    }
    uint64_t bytes = dump_counter_bytes(counter);
    dump_counter_free(counter);
    return bytes > 11 ? bytes - 11 : 0; // without type, version and checksum
}

static void debug_object(struct ctx *c)
{
    struct entry *e = db_find(ctx_db(c), ctx_arg(c, 2));
    if (e == NULL) {
        reply_error(c->reply, "no such key");
        return;
    }
    struct buf out = BUF_EMPTY;
    int64_t idle = c->node->store.lfu ? 0 : entry_idle_s(&c->node->store, e);
    buf_printf(&out,
               "Value at:%p refcount:1 encoding:%s serializedlength:%llu lru:%u "
               "lru_seconds_idle:%lld",
               (void *)e, value_encoding_name(&e->value),
               (unsigned long long)serialized_bytes(c, &e->value), e->access & 0xffffff,
               (long long)idle);
    if (e->value.type == VALUE_LIST) {
        uint64_t nodes = quicklist_node_count(e->value.u.quicklist);
        buf_printf(&out, " ql_nodes:%llu ql_avg_node:%.2f ql_listpack_max:%d",
                   (unsigned long long)nodes,
                   nodes ? (double)value_length(&e->value) / (double)nodes : 0.0,
                   c->node->config.limits.list_max_listpack_size);
    }
    buf_append_byte(&out, '\0');
    reply_status(c->reply, buf_view(&out).data);
    buf_free(&out);
}

// ---- the rest -----------------------------------------------------------------------------------

static void debug_set_active_expire(struct ctx *c)
{
    c->node->active_expire = !bytes_equal(ctx_arg(c, 2), BYTES("0"));
    reply_ok(c->reply);
}

static void debug_packed_threshold(struct ctx *c)
{
    int64_t bytes;
    if (!text_to_memory(ctx_arg(c, 2), &bytes) || bytes < 0 || bytes >= (int64_t)1 << 32) {
        reply_error(c->reply, "argument must be a memory value bigger than 1 and smaller than 4gb");
        return;
    }
    c->node->config.limits.list_packed_threshold = (size_t)bytes;
    reply_ok(c->reply);
}

static void debug_log(struct ctx *c)
{
    log_warning(&c->node->log, "DEBUG LOG: %s", c->argv[2]->data);
    reply_ok(c->reply);
}

static void debug_reload(struct ctx *c)
{
    bool no_save = false;
    for (int i = 2; i < c->argc; i++) {
        if (ctx_is(c, i, "nosave"))
            no_save = true;
        else if (!ctx_is(c, i, "noflush") && !ctx_is(c, i, "merge")) {
            reply_error(c->reply, "DEBUG RELOAD only supports the MERGE, NOFLUSH and NOSAVE "
                                  "options.");
            return;
        } else {
            reply_errorf(c->reply, "DEBUG RELOAD %s is not supported by wherry", c->argv[i]->data);
            return;
        }
    }
    persist_reload_command(c, no_save);
}

static void debug_skip_checksum(struct ctx *c)
{
    c->node->skip_dump_checksum = !bytes_equal(ctx_arg(c, 2), BYTES("0"));
    reply_ok(c->reply);
}

// Feeds a command to the replicas that is not run here.
static void debug_replicate(struct ctx *c)
{
    struct bytes argv[64];
    int argc = c->argc - 2;
    if (argc > 64) {
        reply_error(c->reply, "too many arguments");
        return;
    }
    for (int i = 0; i < argc; i++)
        argv[i] = ctx_arg(c, i + 2);
    ctx_propagate_as(c, argc, argv);
    reply_ok(c->reply);
}

static void debug_help(struct ctx *c)
{
    static const char *const lines[] = {
        "DIGEST",
        "    A digest of the whole dataset.",
        "DIGEST-VALUE <key> [<key> ...]",
        "    Digests of values.",
        "LOG <message>",
        "    Write to the log.",
        "OBJECT <key>",
        "    How a value is kept.",
        "POPULATE <count> [<prefix>] [<size>]",
        "    Make keys named <prefix>:<number>.",
        "QUICKLIST-PACKED-THRESHOLD <bytes>",
        "    From how many bytes on an element of a new list gets a node of its own; 0: the "
        "default.",
        "RELOAD [NOSAVE]",
        "    Save the dataset and load it again.",
        "REPLICATE <command> [<arg> ...]",
        "    Send a command to the replicas alone.",
        "SET-ACTIVE-EXPIRE (0|1)",
        "    Whether keys are deleted when their time has come, or only when met.",
        "SET-SKIP-CHECKSUM-VALIDATION (0|1)",
        "    Whether RDB files and RESTORE payloads are taken without a look at their checksum.",
        "SLEEP <seconds>",
        "    Let everybody wait.",
        NULL,
    };
    help_reply(c, lines);
}

static void debug_jmap(struct ctx *c)
{
    reply_error(c->reply, "not supported by wherry");
}

enum { FLAGS = CMD_ADMIN | CMD_NOSCRIPT | CMD_LOADING | CMD_STALE | CMD_PROTECTED };

static const struct command debug_children[] = {
    {"sleep", debug_sleep, 3, FLAGS, .acl = NULL},
    {"populate", debug_populate, -3, FLAGS, .acl = NULL},
    {"digest", debug_digest, 2, FLAGS, .acl = NULL},
    {"digest-value", debug_digest_value, -2, FLAGS, .acl = NULL},
    {"object", debug_object, -3, FLAGS, .acl = NULL},
    {"set-active-expire", debug_set_active_expire, 3, FLAGS, .acl = NULL},
    {"quicklist-packed-threshold", debug_packed_threshold, 3, FLAGS, .acl = NULL},
    {"log", debug_log, 3, FLAGS, .acl = NULL},
    {"reload", debug_reload, -2, FLAGS, .acl = NULL},
    {"set-skip-checksum-validation", debug_skip_checksum, 3, FLAGS, .acl = NULL},
    {"replicate", debug_replicate, -3, FLAGS, .acl = NULL},
    {"help", debug_help, 2, FLAGS, .acl = NULL},
    {"jmap", debug_jmap, 2, FLAGS, .acl = NULL},
    {0},
};

// One command for the statistics and for COMMAND, as in Redis.
static void debug(struct ctx *c)
{
    for (const struct command *row = debug_children; row->name != NULL; row++) {
        if (!ctx_is(c, 1, row->name)) continue;
        if (row->arity > 0 ? c->argc != row->arity : c->argc < -row->arity) break;
        row->run(c);
        return;
    }
    help_refuse(c);
}

const struct command commands_debug[] = {
    {"debug", debug, -2, FLAGS, .acl = NULL},
    {0},
};
