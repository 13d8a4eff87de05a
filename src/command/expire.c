// Times to live: EXPIRE and its relatives, TTL and its relatives, PERSIST.
#include "command/expire.h"

#include "base/text.h"
#include "command/table.h"
#include "node/node.h"
#include "node/notify.h"

bool expire_at_once(struct ctx *c, int64_t at_ms)
{
    return at_ms <= ctx_now_ms(c) && !c->node->loading && !node_is_replica(c->node);
}

void expire_delete(struct ctx *c, struct bytes key)
{
    ctx_delete(c, key);
    bool lazy = c->node->config.lazyfree_lazy_expire;
    struct bytes argv[] = {lazy ? BYTES("UNLINK") : BYTES("DEL"), key};
    ctx_propagate_as(c, 2, argv);
    ctx_changed(c, key, 1);
    ctx_notify(c, NOTIFY_GENERIC, "del", key);
}

// ---- EXPIRE -------------------------------------------------------------------------------------

enum expire_condition {
    EXPIRE_NX = 1 << 0, // only a key without a time to live
    EXPIRE_XX = 1 << 1, // only a key that has one
    EXPIRE_GT = 1 << 2, // only if later than it has; none counts as never
    EXPIRE_LT = 1 << 3, // only if earlier
};

static bool parse_conditions(struct ctx *c, uint32_t *conditions)
{
    static const char *const words[] = {"nx", "xx", "gt", "lt"};
    *conditions = 0;
    for (int i = 3; i < c->argc; i++) {
        size_t at = 0;
        while (at < 4 && !ctx_is(c, i, words[at]))
            at++;
        if (at == 4) {
            reply_errorf(c->reply, "Unsupported option %s", c->argv[i]->data);
            return false;
        }
        *conditions |= 1u << at;
    }
    if ((*conditions & EXPIRE_NX) && (*conditions & ~(uint32_t)EXPIRE_NX)) {
        reply_error(c->reply, "NX and XX, GT or LT options at the same time are not compatible");
        return false;
    }
    if ((*conditions & EXPIRE_GT) && (*conditions & EXPIRE_LT)) {
        reply_error(c->reply, "GT and LT options at the same time are not compatible");
        return false;
    }
    return true;
}

static bool conditions_hold(uint32_t conditions, int64_t old_ms, int64_t at_ms)
{
    bool never = old_ms == ENTRY_NO_EXPIRE;
    if ((conditions & EXPIRE_NX) && !never) return false;
    if ((conditions & EXPIRE_XX) && never) return false;
    if ((conditions & EXPIRE_GT) && (never || at_ms <= old_ms)) return false;
    if ((conditions & EXPIRE_LT) && !never && at_ms >= old_ms) return false;
    return true;
}

// Replicas get the instant, whatever unit and base the command was given in.
static void propagate_instant(struct ctx *c, int64_t at_ms)
{
    struct bytes argv[8];
    char digits[TEXT_I64_BYTES];
    int argc = 0;
    argv[argc++] = BYTES("PEXPIREAT");
    argv[argc++] = ctx_arg(c, 1);
    argv[argc++] = bytes_of(digits, text_from_i64(digits, at_ms));
    for (int i = 3; i < c->argc && argc < 8; i++)
        argv[argc++] = ctx_arg(c, i);
    ctx_propagate_as(c, argc, argv);
}

static void expire_generic(struct ctx *c, int64_t base_ms, int64_t unit_ms)
{
    struct bytes key = ctx_arg(c, 1);
    uint32_t conditions;
    int64_t at_ms;
    if (!parse_conditions(c, &conditions)) return;
    if (!ctx_int(c, 2, &at_ms)) return;
    if (__builtin_mul_overflow(at_ms, unit_ms, &at_ms) ||
        __builtin_add_overflow(at_ms, base_ms, &at_ms)) {
        reply_errorf(c->reply, "invalid expire time in '%s' command", c->command->name);
        return;
    }
    struct entry *e = ctx_find_write(c, key);
    if (e == NULL || !conditions_hold(conditions, e->expire_ms, at_ms)) {
        reply_integer(c->reply, 0);
        return;
    }
    if (expire_at_once(c, at_ms)) {
        expire_delete(c, key);
    } else {
        db_set_expire(ctx_store(c), ctx_db(c), e, at_ms);
        propagate_instant(c, at_ms);
        ctx_changed(c, key, 1);
        ctx_notify(c, NOTIFY_GENERIC, "expire", key);
    }
    reply_integer(c->reply, 1);
}

static void expire(struct ctx *c)
{
    expire_generic(c, ctx_now_ms(c), 1000);
}

static void pexpire(struct ctx *c)
{
    expire_generic(c, ctx_now_ms(c), 1);
}

static void expireat(struct ctx *c)
{
    expire_generic(c, 0, 1000);
}

static void pexpireat(struct ctx *c)
{
    expire_generic(c, 0, 1);
}

static void persist(struct ctx *c)
{
    struct bytes key = ctx_arg(c, 1);
    struct entry *e = ctx_find_write(c, key);
    if (e == NULL || e->expire_ms == ENTRY_NO_EXPIRE) {
        reply_integer(c->reply, 0);
        return;
    }
    db_set_expire(ctx_store(c), ctx_db(c), e, ENTRY_NO_EXPIRE);
    ctx_changed(c, key, 1);
    ctx_notify(c, NOTIFY_GENERIC, "persist", key);
    reply_integer(c->reply, 1);
}

// ---- TTL ----------------------------------------------------------------------------------------

// Replies what is left of it, or the instant itself; -2: no such key, -1: no time to live.
static void reply_time(struct ctx *c, bool instant, bool seconds)
{
    struct entry *e = ctx_peek(c, ctx_arg(c, 1));
    if (e == NULL || e->expire_ms == ENTRY_NO_EXPIRE) {
        reply_integer(c->reply, e == NULL ? -2 : -1);
        return;
    }
    int64_t ms = instant ? e->expire_ms : e->expire_ms - ctx_now_ms(c);
    if (ms < 0) ms = 0;
    reply_integer(c->reply, seconds ? ms / 1000 + (ms % 1000 >= 500) : ms);
}

static void ttl(struct ctx *c)
{
    reply_time(c, false, true);
}

static void pttl(struct ctx *c)
{
    reply_time(c, false, false);
}

static void expiretime(struct ctx *c)
{
    reply_time(c, true, true);
}

static void pexpiretime(struct ctx *c)
{
    reply_time(c, true, false);
}

enum { SETS = CMD_WRITE | CMD_FAST, LOOKS = CMD_READONLY | CMD_FAST };

const struct command commands_expire[] = {
    {"expire", expire, -3, SETS, .keys = {{1, 1, 1, KEY_READ_WRITE}}, .acl = "@keyspace"},
    {"pexpire", pexpire, -3, SETS, .keys = {{1, 1, 1, KEY_READ_WRITE}}, .acl = "@keyspace"},
    {"expireat", expireat, -3, SETS, .keys = {{1, 1, 1, KEY_READ_WRITE}}, .acl = "@keyspace"},
    {"pexpireat", pexpireat, -3, SETS, .keys = {{1, 1, 1, KEY_READ_WRITE}}, .acl = "@keyspace"},
    {"persist", persist, 2, SETS, .keys = {{1, 1, 1, KEY_READ_WRITE}}, .acl = "@keyspace"},
    {"ttl", ttl, 2, LOOKS, .keys = {{1, 1, 1, KEY_READ}}, .acl = "@keyspace"},
    {"pttl", pttl, 2, LOOKS, .keys = {{1, 1, 1, KEY_READ}}, .acl = "@keyspace"},
    {"expiretime", expiretime, 2, LOOKS, .keys = {{1, 1, 1, KEY_READ}}, .acl = "@keyspace"},
    {"pexpiretime", pexpiretime, 2, LOOKS, .keys = {{1, 1, 1, KEY_READ}}, .acl = "@keyspace"},
    {0},
};
