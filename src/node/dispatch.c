// From a request to a running command: lookup, the checks in Redis's order, parking where a key may
// not be written yet, the call itself with its accounting, and what follows it.
#include "base/mem.h"
#include "base/text.h"
#include "node/acl.h"
#include "node/ctx_impl.h"
#include "node/facts.h"
#include "node/keyspec.h"
#include "node/latency.h"
#include "node/monitor.h"
#include "node/notify.h"
#include "node/tracking.h"
#include "value/dict.h"

#include <ctype.h>
#include <stdio.h>

enum { LONG_COMMAND_US = 1000 }; // a hold that is worth telling

// ---- the table ----------------------------------------------------------------------------------

static struct bytes slot_key(const void *item)
{
    return bytes_from_cstr(((const struct command_slot *)item)->name);
}

static void slot_free(void *item)
{
    struct command_slot *slot = item;
    histogram_free(slot->latency);
    mem_free(slot->specs);
    mem_free(slot);
}

static const struct dict_type slot_type = {.key = slot_key, .free_item = slot_free};

static void find_specs(struct command_slot *slot)
{
    const struct command_facts *facts = command_facts(slot->name);
    struct keyspec specs[KEYSPECS_MAX];
    slot->spec_count = facts != NULL ? keyspecs_parse(facts->specs, specs) : 0;
    if (slot->spec_count == 0) return;
    slot->specs = mem_array(struct keyspec, (size_t)slot->spec_count);
    memcpy(slot->specs, specs, sizeof(*specs) * (size_t)slot->spec_count);
}

static void add_slot(struct node *n, const struct command *parent, const struct command *cmd)
{
    const char *prefix = parent ? parent->name : "", *bar = parent ? "|" : "";
    size_t size = strlen(prefix) + strlen(bar) + strlen(cmd->name) + 1;
    struct command_slot *slot = mem_zalloc(sizeof(*slot) + size);
    slot->command = cmd;
    slot->parent = parent;
    snprintf(slot->name, size, "%s%s%s", prefix, bar, cmd->name);
    slot->id = (uint32_t)dict_count(n->command_index);
    if (!dict_insert(n->command_index, slot)) {
        mem_free(slot);
        return;
    }
    find_specs(slot);
    if (parent != NULL || cmd->children == NULL) return;
    for (const struct command *child = cmd->children; child->name != NULL; child++)
        add_slot(n, cmd, child);
}

void dispatch_init(struct node *n)
{
    n->command_index = dict_new(&slot_type, rng_next(&n->rng));
    for (const struct command *const *family = n->families; *family != NULL; family++)
        for (const struct command *cmd = *family; cmd->name != NULL; cmd++)
            add_slot(n, NULL, cmd);
}

void dispatch_free(struct node *n)
{
    dict_free(n->command_index);
}

void dispatch_reset_stats(struct node *n)
{
    struct dict_iter it;
    dict_iter_begin(&it, n->command_index);
    for (struct command_slot *slot; (slot = dict_iter_next(&it)) != NULL;) {
        slot->stats = (struct command_stats){0};
        histogram_free(slot->latency);
        slot->latency = NULL;
    }
    dict_iter_end(&it);
}

struct command_slot *dispatch_find(struct node *n, struct bytes full_name)
{
    char name[64];
    if (full_name.len >= sizeof(name)) return NULL;
    for (size_t i = 0; i < full_name.len; i++)
        name[i] = (char)tolower((unsigned char)full_name.data[i]);
    return dict_find(n->command_index, bytes_of(name, full_name.len));
}

struct command_slot *dispatch_lookup(struct node *n, int argc, struct str *const *argv)
{
    if (memchr(argv[0]->data, '|', argv[0]->len) != NULL) return NULL;
    struct command_slot *slot = dispatch_find(n, str_view(argv[0]));
    if (slot == NULL || slot->command->children == NULL || argc < 2) return slot;
    char full[96];
    int len = snprintf(full, sizeof(full), "%s|%.*s", slot->name, (int)argv[1]->len, argv[1]->data);
    if (len < 0 || (size_t)len >= sizeof(full) || memchr(argv[1]->data, '\0', argv[1]->len))
        return slot;
    struct command_slot *child = dispatch_find(n, bytes_of(full, (size_t)len));
    return child ? child : slot;
}

int command_keys(const struct command *cmd, int argc, struct str *const *argv, struct key_ref *out,
                 int max)
{
    if (cmd->get_keys != NULL) return cmd->get_keys(argc, argv, out, max);
    int count = 0;
    for (size_t i = 0; i < sizeof(cmd->keys) / sizeof(cmd->keys[0]); i++) {
        const struct key_range *range = &cmd->keys[i];
        if (range->first == 0) continue;
        int last = range->last < 0 ? argc + range->last : range->last;
        for (int at = range->first; at <= last && at < argc; at += range->step) {
            if (count < max) out[count] = (struct key_ref){at, range->access, 0};
            count++;
        }
    }
    return count;
}

// ---- parking ------------------------------------------------------------------------------------

bool dispatch_may_write(struct node *n, int db, const struct command *cmd, int argc,
                        struct str *const *argv, struct waiter *w)
{
    if (!(cmd->flags & CMD_WRITE)) return true;
    if (cmd->flags & CMD_ALL_KEYS) {
        int in = cmd->flags & CMD_ONE_DB ? db : -1;
        if (!store_held(&n->store, in)) return true;
        store_wait_held(&n->store, in, w);
        return false;
    }
    // Without a snapshot or a hold nobody minds: the way of nearly every call.
    if (!store_guards_writes(&n->store)) return true;
    struct key_ref few[16], *keys = few;
    int count = command_keys(cmd, argc, argv, keys, 16);
    if (count > 16) {
        keys = mem_array(struct key_ref, (size_t)count);
        count = command_keys(cmd, argc, argv, keys, count);
    }
    bool may = true;
    for (int i = 0; i < count && may; i++) {
        if (!(keys[i].access & KEY_WRITE)) continue;
        int in = keys[i].other_db > 0 ? keys[i].other_db - 1 : db;
        if (in >= n->store.live->count) continue; // the command will refuse it
        may = store_before_write(&n->store, in, str_view(argv[keys[i].index]), w) == WRITE_NOW;
    }
    if (keys != few) mem_free(keys);
    return may;
}

static void park(struct client *c, struct request *r)
{
    c->flags |= CLIENT_PARKED;
    c->pending = *r;
    *r = REQUEST_EMPTY;
}

// ---- refusals -----------------------------------------------------------------------------------

static void unknown_command(struct client *c, const struct request *r)
{
    struct buf text = BUF_EMPTY;
    buf_printf(&text, "unknown command '%.128s', with args beginning with: ", r->argv[0]->data);
    for (int i = 1; i < r->argc && buf_len(&text) < 256; i++)
        buf_printf(&text, "'%.*s' ", (int)(r->argv[i]->len < 128 ? r->argv[i]->len : 128),
                   r->argv[i]->data);
    reply_error_bytes(&c->reply, buf_view(&text));
    buf_free(&text);
}

static bool queues(const struct client *c, const struct command_slot *slot)
{
    static const char *const at_once[] = {"exec", "discard", "multi", "watch", "quit", "reset"};
    if (!(c->flags & CLIENT_MULTI)) return false;
    for (size_t i = 0; i < sizeof(at_once) / sizeof(at_once[0]); i++)
        if (strcmp(slot->name, at_once[i]) == 0) return false;
    return true;
}

// Why this command may not run now, as an error reply; NULL when it may.
static const char *refusal_by_state(struct node *n, struct client *c,
                                    const struct command_slot *slot, uint32_t flags,
                                    uint32_t common)
{
    const struct command *cmd = slot->command;
    bool writes = (flags & CMD_WRITE) != 0, from_primary = (c->flags & CLIENT_PRIMARY) != 0;
    bool replica = repl_is_replica(n);
    // What is queued takes memory too.
    if (n->config.maxmemory > 0 && !evict_to_limit(n) && !from_primary &&
        ((flags & CMD_DENYOOM) || queues(c, slot)))
        return "-OOM command not allowed when used memory > 'maxmemory'.";
    if ((c->flags & (CLIENT_REPLICA | CLIENT_MONITOR)) &&
        (flags & (CMD_WRITE | CMD_READONLY | CMD_MAY_REPLICATE)))
        return "Replica can't interact with the keyspace";
    if (writes && !replica && persist_writes_refused(n))
        return "-MISCONF Redis is configured to save RDB snapshots, but it's currently unable to "
               "persist to disk. Commands that may modify the data set are disabled, because this "
               "instance is configured to report errors during writes if RDB snapshotting fails "
               "(stop-writes-on-bgsave-error option). Please check the Redis logs for details "
               "about the RDB error.";
    if (writes && !replica && !repl_write_allowed(n))
        return "-NOREPLICAS Not enough good replicas to write.";
    if (writes && replica && n->config.replica_read_only && !from_primary)
        return "-READONLY You can't write against a read only replica.";
    if ((c->flags & CLIENT_PUBSUB) && c->reply.resp == 2) {
        static const char *const allowed[] = {"ping",         "subscribe",  "ssubscribe",
                                              "unsubscribe",  "psubscribe", "punsubscribe",
                                              "sunsubscribe", "quit",       "reset"};
        bool found = false;
        for (size_t i = 0; i < sizeof(allowed) / sizeof(allowed[0]); i++)
            found |= strcmp(cmd->name, allowed[i]) == 0;
        if (!found)
            return "Can't execute '%s': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / "
                   "RESET are allowed in this context";
    }
    if (replica && !from_primary && !repl_link_up(n) && !n->config.replica_serve_stale_data &&
        !(common & CMD_STALE))
        return "-MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.";
    if (n->loading && !(common & CMD_LOADING) && !n->async_loading)
        return "-LOADING Redis is loading the dataset in memory";
    if (n->async_loading && (flags & CMD_NO_ASYNC_LOADING))
        return "-LOADING Redis is loading the dataset in memory";
    return NULL;
}

// True when the row is for a few only, and this client is not among them: answered.
static bool refuse_protected(struct client *c, const struct command_slot *slot)
{
    struct node *n = c->node;
    if (!(slot->command->flags & CMD_PROTECTED) || (c->flags & CLIENT_PRIMARY)) return false;
    bool debug = strcmp(slot->parent ? slot->parent->name : slot->command->name, "debug") == 0;
    enum local_permission permit =
        debug ? n->config.enable_debug_command : n->config.enable_module_command;
    char from[128];
    client_address(c, from, sizeof(from));
    bool local =
        (c->flags & CLIENT_UNIX) || strncmp(from, "127.", 4) == 0 || strncmp(from, "[::1]", 5) == 0;
    if (permit == PERMIT_YES || (permit == PERMIT_LOCAL && local)) return false;
    reply_errorf(&c->reply,
                 "%s command not allowed. If the %s option is set to \"local\", you can "
                 "run it from a local connection, otherwise you need to set this option "
                 "in the configuration file, and then restart the server.",
                 debug ? "DEBUG" : "MODULE",
                 debug ? "enable-debug-command" : "enable-module-command");
    return true;
}

// True when the command is known and yet may not run: answered.
static bool refuse_known(struct client *c, const struct command_slot *slot, const struct request *r)
{
    struct node *n = c->node;
    const struct command *cmd = slot->command;
    if ((cmd->arity > 0 && r->argc != cmd->arity) || r->argc < -cmd->arity) {
        reply_errorf(&c->reply, "wrong number of arguments for '%s' command", slot->name);
        return true;
    }
    if (refuse_protected(c, slot)) return true;
    bool needs_auth = !acl_open(n) && !(c->flags & CLIENT_AUTHENTICATED);
    if (needs_auth && !(c->flags & CLIENT_PRIMARY) && !(cmd->flags & CMD_NO_AUTH)) {
        reply_error(&c->reply, "-NOAUTH Authentication required.");
        return true;
    }
    if ((c->flags & CLIENT_MULTI) && (cmd->flags & CMD_NO_MULTI)) {
        reply_error(&c->reply, "Command not allowed inside a transaction");
        return true;
    }
    if (!acl_permits(c, slot, r->argc, r->argv)) return true;
    bool exec = strcmp(slot->name, "exec") == 0;
    uint32_t flags = cmd->flags | (exec ? multi_flags(c) : 0);
    uint32_t common = cmd->flags & (exec ? multi_common_flags(c) : UINT32_MAX);
    const char *why = refusal_by_state(n, c, slot, flags, common);
    if (why == NULL) return false;
    if (exec && !(c->flags & (CLIENT_DIRTY_EXEC | CLIENT_DIRTY_CAS))) {
        reply_errorf(&c->reply, "-EXECABORT Transaction discarded because of: %s",
                     why[0] == '-' ? why + 1 : why);
        multi_discard(c);
        return true;
    }
    if (exec) return false;
    if (strstr(why, "%s") != NULL)
        reply_errorf(&c->reply,
                     "Can't execute '%s': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / "
                     "QUIT / RESET are allowed in this context",
                     slot->name);
    else
        reply_error(&c->reply, why);
    return true;
}

static void unknown_subcommand(struct client *c, const struct command *parent,
                               const struct request *r)
{
    char name[64];
    size_t len = 0;
    for (; parent->name[len] != '\0' && len + 1 < sizeof(name); len++)
        name[len] = (char)toupper((unsigned char)parent->name[len]);
    name[len] = '\0';
    reply_errorf(&c->reply, "unknown subcommand '%.128s'. Try %s HELP.", r->argv[1]->data, name);
}

// True when the request was refused and answered.
static bool refuse(struct client *c, struct command_slot *slot, const struct request *r)
{
    if (slot == NULL) {
        unknown_command(c, r);
        return true;
    }
    if (slot->command->children != NULL && r->argc >= 2) {
        unknown_subcommand(c, slot->command, r);
        return true;
    }
    if (!refuse_known(c, slot, r)) return false;
    slot->stats.rejected++;
    return true;
}

// ---- the call -----------------------------------------------------------------------------------

// The words as they came, also those that the command took: of these the head is left.
static struct bytes *words_of(const struct ctx *c, struct bytes *out)
{
    for (int i = 0; i < c->argc; i++)
        out[i] = c->argv[i] != NULL ? str_view(c->argv[i]) : BYTES("");
    for (int i = 0; i < c->taken->count; i++)
        out[c->taken->at[i].index] = bytes_of(c->taken->at[i].head, c->taken->at[i].len);
    return out;
}

// MONITOR and SLOWLOG, which few calls are for.
static void show(const struct ctx *c, const struct command_slot *slot, uint64_t took_us)
{
    struct node *n = c->node;
    uint32_t flags = slot->command->flags;
    bool monitored =
        monitor_any(n) && !c->retry && !n->loading && !(flags & (CMD_SKIP_MONITOR | CMD_ADMIN));
    int64_t slow_us = n->config.slowlog_log_slower_than_us;
    bool slow = slow_us >= 0 && took_us >= (uint64_t)slow_us && !(flags & CMD_SKIP_SLOWLOG) &&
                !(c->client->flags & CLIENT_BLOCKED);
    if (!monitored && !slow) return;
    struct bytes few[16], *words = few;
    if (c->argc > 16) words = mem_array(struct bytes, (size_t)c->argc);
    words_of(c, words);
    if (slow) slowlog_note(n, c->client, slot->name, c->argc, words, took_us);
    if (monitored) monitor_feed(n, c->client, slot->name, c->argc, words, c->db);
    if (words != few) mem_free(words);
}

// What held the loop for longer than a slice may: it is counted, and LATENCY knows it by name.
static void note_hold(struct node *n, const struct command_slot *slot, uint64_t held_us)
{
    char event[96];
    n->stats.long_commands++;
    if (held_us > n->stats.long_command_max_us) {
        n->stats.long_command_max_us = held_us;
        n->stats.long_command_max_name = slot->name;
    }
    snprintf(event, sizeof(event), "hold-%s", slot->name);
    latency_note(n, event, held_us / 1000);
}

static void account(const struct ctx *c, struct command_slot *slot, uint64_t took_us)
{
    struct node *n = c->node;
    struct client *client = c->client;
    if (!c->retry) {
        slot->stats.calls++;
        n->stats.commands_processed++;
    }
    slot->stats.usec += took_us;
    // What a command inside of this one got wrong was counted as that one's.
    if (client->reply.errors != client->errors_counted) slot->stats.failed++;
    client->errors_counted = client->reply.errors;
    if (n->config.latency_tracking && !(client->flags & CLIENT_BLOCKED)) {
        if (slot->latency == NULL) slot->latency = histogram_new();
        histogram_add(slot->latency, took_us * 1000);
    }
    show(c, slot, took_us);
    if (took_us >= 1000)
        latency_note(n, slot->command->flags & CMD_FAST ? "fast-command" : "command",
                     took_us / 1000);
    uint64_t held_us = took_us - c->slept_us;
    if (held_us > LONG_COMMAND_US && n->current == c) note_hold(n, slot, held_us);
}

void dispatch_call(struct client *c, struct command_slot *slot, struct request *r, bool in_exec,
                   bool retry)
{
    struct node *n = c->node;
    struct taken_args taken; // its heads are left as they are: they cost more than the call
    taken.count = 0;
    struct ctx ctx = {
        .node = n,
        .client = c,
        .command = slot->command,
        .argc = r->argc,
        .argv = r->argv,
        .reply = &c->reply,
        .db = c->db,
        .retry = retry,
        .deny_block = in_exec || (c->flags & CLIENT_PRIMARY),
        .in_exec = in_exec,
        .taken = &taken,
    };
    bool outermost = n->current == NULL;
    if (outermost) {
        n->current = &ctx;
        n->call_unix_ms = loop_unix_ms(n->loop);
    }
    uint64_t began_us = loop_clock_us(n->loop);
    c->errors_counted = c->reply.errors;
    slot->command->run(&ctx);
    uint64_t took_us = loop_clock_us(n->loop) - began_us + ctx.slept_us;
    r->argc = ctx.argc;
    r->argv = ctx.argv;
    n->dirty += ctx.dirty;
    if (ctx.dirty > 0 && ctx.propagate == PROPAGATE_ARGV && !(c->flags & CLIENT_PRIMARY))
        propagate_request(&ctx);
    account(&ctx, slot, took_us);
    if (c->tracking != NULL) {
        if (slot->command->flags & CMD_READONLY)
            tracking_remember(c, slot->command, ctx.argc, ctx.argv);
        tracking_ran(c, slot->name);
    }
    if (!outermost) return;
    propagate_flush(n);
    c->written_offset = repl_offset(n);
    n->current = NULL;
    n->call_unix_ms = 0;
    if (c->pushes.len > 0) chain_move(&c->output, &c->pushes);
}

// After a call: keep the request if it waits, serve those whom it made ready.
static void after_call(struct client *c, struct request *r)
{
    if (c->flags & CLIENT_BLOCKED) {
        c->pending = *r;
        *r = REQUEST_EMPTY;
    }
    if (c->restore != NULL) restore_stream_free(c);
    request_clear(r);
    client_touch_output(c);
    // Where nothing waits for the flush hook, that would not come back to it.
    if (c->flags & CLIENT_CLOSE_AFTER_REPLY) client_close_after_reply(c);
    if (!list_empty(&c->node->ready_keys)) blocking_serve(c->node);
}

void dispatch_request(struct client *c, struct request *r)
{
    struct node *n = c->node;
    struct command_slot *slot = dispatch_lookup(n, r->argc, r->argv);
    c->active_us = loop_now_us(n->loop);
    c->last_command = slot != NULL ? slot->command : NULL;
    c->last_name = slot != NULL ? slot->name : NULL;
    if (refuse(c, slot, r)) {
        if (c->flags & CLIENT_MULTI) c->flags |= CLIENT_DIRTY_EXEC;
        if (c->restore != NULL) restore_stream_free(c);
        request_clear(r);
        client_touch_output(c);
        return;
    }
    if (queues(c, slot)) {
        multi_queue(c, slot, r);
        client_touch_output(c);
        return;
    }
    const struct command *cmd = slot->command;
    uint32_t flags = cmd->flags;
    bool exec = strcmp(slot->name, "exec") == 0;
    if (exec) flags |= multi_flags(c);
    if (pause_applies(n, c, cmd, (flags & (CMD_WRITE | CMD_MAY_REPLICATE)) != 0, &c->waiter)) {
        park(c, r);
        return;
    }
    bool may =
        exec ? multi_may_exec(c) : dispatch_may_write(n, c->db, cmd, r->argc, r->argv, &c->waiter);
    if (!may) {
        park(c, r);
        return;
    }
    dispatch_call(c, slot, r, false, false);
    after_call(c, r);
}

void dispatch_retry(struct client *c)
{
    struct node *n = c->node;
    struct command_slot *slot = dispatch_lookup(n, c->pending.argc, c->pending.argv);
    if (!dispatch_may_write(n, c->db, slot->command, c->pending.argc, c->pending.argv,
                            &c->waiter)) {
        c->flags |= CLIENT_PARKED; // still blocked: client_unpark tries again
        return;
    }
    c->flags &= ~(uint32_t)CLIENT_BLOCKED;
    struct request r = c->pending;
    c->pending = REQUEST_EMPTY;
    // Rights may have changed while it waited.
    if (acl_permits(c, slot, r.argc, r.argv)) dispatch_call(c, slot, &r, false, true);
    if (c->flags & CLIENT_BLOCKED) {
        c->pending = r;
        return;
    }
    request_clear(&r);
    blocking_unblock(c);
    client_touch_output(c);
    client_process_soon(c);
}
