// What a running command may do: read its arguments, find and change keys, say what is propagated.
#include "node/ctx_impl.h"

#include "base/mem.h"
#include "base/text.h"
#include "node/monitor.h"
#include "node/notify.h"
#include "store/access.h"

#include <stdlib.h>
#include <strings.h>

struct db *ctx_db(struct ctx *c)
{
    return store_db(&c->node->store, c->db);
}

struct store *ctx_store(struct ctx *c)
{
    return &c->node->store;
}

int64_t ctx_now_ms(struct ctx *c)
{
    return c->node->call_unix_ms;
}

struct str *ctx_take(struct ctx *c, int index)
{
    if (monitor_any(c->node)) return str_dup(c->argv[index]); // it is shown after the call
    if (c->propagate == PROPAGATE_ARGV) propagate_keep(c);
    struct str *str = c->argv[index];
    c->argv[index] = NULL;
    struct taken_args *taken = c->taken;
    if (taken != NULL && taken->count < TAKEN_MAX) {
        taken->at[taken->count].index = index;
        taken->at[taken->count].len = str->len;
        memcpy(taken->at[taken->count++].head, str->data,
               str->len < TAKEN_BYTES ? str->len : TAKEN_BYTES);
    }
    return str;
}

// ---- arguments ----------------------------------------------------------------------------------

bool ctx_int(struct ctx *c, int index, int64_t *out)
{
    if (text_to_i64(ctx_arg(c, index), out)) return true;
    reply_error(c->reply, "value is not an integer or out of range");
    return false;
}

bool ctx_int_range(struct ctx *c, int index, int64_t min, int64_t max, int64_t *out)
{
    if (!ctx_int(c, index, out)) return false;
    if (*out >= min && *out <= max) return true;
    if (min == 0 && max == INT64_MAX)
        reply_error(c->reply, "value is out of range, must be positive");
    else
        reply_errorf(c->reply, "value is out of range, value must between %lld and %lld",
                     (long long)min, (long long)max);
    return false;
}

bool ctx_double(struct ctx *c, int index, double *out)
{
    if (text_to_double(ctx_arg(c, index), out)) return true;
    reply_error(c->reply, "value is not a valid float");
    return false;
}

bool ctx_is(const struct ctx *c, int index, const char *word)
{
    return bytes_equal_nocase(ctx_arg(c, index), word);
}

void ctx_syntax_error(struct ctx *c)
{
    reply_error(c->reply, "syntax error");
}

void ctx_wrong_type(struct ctx *c)
{
    reply_error(c->reply, "-WRONGTYPE Operation against a key holding the wrong kind of value");
}

// ---- keys ---------------------------------------------------------------------------------------

// True when the key is to be treated as gone. A primary also deletes it; a replica waits for its
// primary's DEL, whose stream sees every key as it is. `write`: the key may be made anew, so what a
// writable replica keeps of it must go.
static bool gone_by_time(struct ctx *c, struct entry *e, bool write)
{
    if (e->expire_ms == ENTRY_NO_EXPIRE || !entry_expired(e, c->node->call_unix_ms)) return false;
    if (c->client->flags & CLIENT_PRIMARY || c->node->loading) return false;
    if (repl_is_replica(c->node)) {
        if (write && !c->node->config.replica_read_only && e->holds == 0)
            db_delete(&c->node->store, ctx_db(c), e);
        return true;
    }
    // A write that runs in spite of a pause (later in the EXEC that began it) needs the room.
    if ((pause_expiry(c->node) && !write) || e->holds > 0) return true;
    struct str *key = str_from(entry_key(e));
    node_expire_key(c->node, c->db, str_view(key));
    str_free(key);
    return true;
}

static struct entry *find(struct ctx *c, struct bytes key, bool write)
{
    struct entry *e = db_find(ctx_db(c), key);
    return e == NULL || gone_by_time(c, e, write) ? NULL : e;
}

bool ctx_entry_gone(struct ctx *c, struct entry *e)
{
    return gone_by_time(c, e, false);
}

struct entry *ctx_peek_silent(struct ctx *c, struct bytes key)
{
    struct entry *e = find(c, key, false);
    if (e != NULL)
        c->node->stats.keyspace_hits++;
    else
        c->node->stats.keyspace_misses++;
    return e;
}

struct entry *ctx_peek(struct ctx *c, struct bytes key)
{
    struct entry *e = ctx_peek_silent(c, key);
    if (e == NULL) ctx_notify(c, NOTIFY_KEY_MISS, "keymiss", key);
    return e;
}

struct entry *ctx_find_read(struct ctx *c, struct bytes key)
{
    struct entry *e = ctx_peek(c, key);
    if (e != NULL) entry_touch(&c->node->store, e);
    return e;
}

struct entry *ctx_find_write(struct ctx *c, struct bytes key)
{
    struct entry *e = find(c, key, true);
    if (e != NULL) entry_touch(&c->node->store, e);
    return e;
}

bool ctx_find_read_type(struct ctx *c, struct bytes key, enum value_type type, struct entry **out)
{
    *out = ctx_find_read(c, key);
    if (*out == NULL || (*out)->value.type == type) return true;
    ctx_wrong_type(c);
    return false;
}

bool ctx_find_write_type(struct ctx *c, struct bytes key, enum value_type type, struct entry **out)
{
    *out = ctx_find_write(c, key);
    if (*out == NULL || (*out)->value.type == type) return true;
    ctx_wrong_type(c);
    return false;
}

struct entry *ctx_add(struct ctx *c, struct bytes key, const struct value *value)
{
    struct entry *e = db_add(&c->node->store, ctx_db(c), key, value);
    ctx_notify(c, NOTIFY_NEW, "new", key);
    return e;
}

struct entry *ctx_set(struct ctx *c, struct bytes key, const struct value *value, bool keep_ttl)
{
    struct entry *e = ctx_find_write(c, key);
    if (e == NULL) return ctx_add(c, key, value);
    db_replace_value(&c->node->store, ctx_db(c), e, value);
    if (!keep_ttl) db_set_expire(&c->node->store, ctx_db(c), e, ENTRY_NO_EXPIRE);
    blocking_key_deleted(c->node, c->db, key);
    return e;
}

bool ctx_delete(struct ctx *c, struct bytes key)
{
    struct entry *e = find(c, key, true);
    if (e == NULL) return false;
    db_delete(&c->node->store, ctx_db(c), e);
    blocking_key_deleted(c->node, c->db, key);
    return true;
}

bool ctx_delete_if_empty(struct ctx *c, struct entry *e)
{
    if (value_length(&e->value) > 0) return false;
    struct str *key = str_from(entry_key(e));
    db_delete(&c->node->store, ctx_db(c), e);
    ctx_notify(c, NOTIFY_GENERIC, "del", str_view(key));
    str_free(key);
    return true;
}

void ctx_changed(struct ctx *c, struct bytes key, uint64_t changes)
{
    node_key_changed(c->node, c->db, key);
    c->dirty += changes;
    // On a read-only one this is only PFCOUNT keeping its result: the key stays the primary's.
    bool ours = repl_is_replica(c->node) && !(c->client->flags & CLIENT_PRIMARY);
    if (ours && !c->node->config.replica_read_only) repl_own_changed(c->node, c->db, key);
}

void ctx_notify(struct ctx *c, uint32_t class_flag, const char *event, struct bytes key)
{
    node_notify(c->node, class_flag, event, key, c->db);
}

void ctx_key_ready(struct ctx *c, struct bytes key)
{
    node_key_ready(c->node, c->db, key);
}

// ---- propagation --------------------------------------------------------------------------------

void ctx_propagate_as(struct ctx *c, int argc, const struct bytes *argv)
{
    ctx_propagate_also(c, argc, argv);
    c->propagate = PROPAGATE_OWN;
}

void ctx_propagate_also(struct ctx *c, int argc, const struct bytes *argv)
{
    node_propagate(c->node, c->db, argc, argv);
}

void ctx_propagate_none(struct ctx *c)
{
    c->propagate = PROPAGATE_NONE;
}

// ---- answering later ----------------------------------------------------------------------------

bool ctx_suspend(struct ctx *c, struct suspension *s)
{
    if (c->in_exec) return false;
    s->client = c->client;
    c->client->suspension = s;
    c->client->flags |= CLIENT_SUSPENDED;
    return true;
}

void client_wrote(struct client *c)
{
    // In the middle of somebody else's call it comes with what that one tells.
    c->written_offset = c->node->current == NULL ? repl_offset(c->node) : INT64_MAX;
}

void client_resume(struct suspension *s)
{
    struct client *c = s->client;
    s->client = NULL;
    c->suspension = NULL;
    c->flags &= ~(uint32_t)CLIENT_SUSPENDED;
    client_ran(c);
    client_touch_output(c);
    client_process_soon(c);
}
