// Sets: members in, out, looked for, walked. SPOP and SRANDMEMBER are in set_random.c, the algebra
// in set_algebra.c.
#include "value/set.h"

#include "command/args.h"
#include "command/scan.h"
#include "command/table.h"
#include "node/notify.h"

static bool find_set(struct ctx *c, const struct value **set)
{
    struct entry *e;
    if (!ctx_find_read_type(c, ctx_arg(c, 1), VALUE_SET, &e)) return false;
    *set = e ? &e->value : NULL;
    return true;
}

static void sadd(struct ctx *c)
{
    struct bytes key = ctx_arg(c, 1);
    struct entry *e;
    uint64_t added = 0;
    if (!ctx_find_write_type(c, key, VALUE_SET, &e)) return;
    if (e == NULL) {
        struct value set;
        set_init(&set);
        e = ctx_add(c, key, &set);
    }
    for (int i = 2; i < c->argc; i++)
        added += set_add(&e->value, ctx_arg(c, i), ctx_store(c)->limits);
    if (added > 0) {
        ctx_changed(c, key, added);
        ctx_notify(c, NOTIFY_SET, "sadd", key);
    }
    reply_integer(c->reply, (int64_t)added);
}

static void srem(struct ctx *c)
{
    struct bytes key = ctx_arg(c, 1);
    struct entry *e;
    uint64_t removed = 0;
    if (!ctx_find_write_type(c, key, VALUE_SET, &e)) return;
    for (int i = 2; i < c->argc && e != NULL; i++)
        removed += set_remove(&e->value, ctx_arg(c, i));
    if (removed > 0) {
        ctx_notify(c, NOTIFY_SET, "srem", key);
        ctx_delete_if_empty(c, e);
        ctx_changed(c, key, removed);
    }
    reply_integer(c->reply, (int64_t)removed);
}

static void smove(struct ctx *c)
{
    struct bytes from = ctx_arg(c, 1), to = ctx_arg(c, 2), member = ctx_arg(c, 3);
    struct entry *source = ctx_find_write(c, from), *target = ctx_find_write(c, to);
    if (source == NULL) {
        reply_integer(c->reply, 0);
        return;
    }
    if (source->value.type != VALUE_SET || (target && target->value.type != VALUE_SET)) {
        ctx_wrong_type(c);
        return;
    }
    if (source == target) {
        reply_integer(c->reply, set_contains(&source->value, member));
        return;
    }
    if (!set_remove(&source->value, member)) {
        reply_integer(c->reply, 0);
        return;
    }
    ctx_notify(c, NOTIFY_SET, "srem", from);
    ctx_delete_if_empty(c, source);
    ctx_changed(c, from, 1);
    if (target == NULL) {
        struct value set;
        set_init(&set);
        target = ctx_add(c, to, &set);
    }
    if (set_add(&target->value, member, ctx_store(c)->limits)) {
        ctx_changed(c, to, 1);
        ctx_notify(c, NOTIFY_SET, "sadd", to);
    }
    reply_integer(c->reply, 1);
}

static void sismember(struct ctx *c)
{
    const struct value *set;
    if (find_set(c, &set)) reply_integer(c->reply, set && set_contains(set, ctx_arg(c, 2)));
}

static void smismember(struct ctx *c)
{
    const struct value *set;
    if (!find_set(c, &set)) return;
    reply_array(c->reply, (size_t)c->argc - 2);
    for (int i = 2; i < c->argc; i++)
        reply_integer(c->reply, set && set_contains(set, ctx_arg(c, i)));
}

static void scard(struct ctx *c)
{
    const struct value *set;
    if (find_set(c, &set)) reply_integer(c->reply, set ? (int64_t)set_length(set) : 0);
}

static void smembers(struct ctx *c)
{
    const struct value *set;
    if (!find_set(c, &set)) return;
    reply_set(c->reply, set ? set_length(set) : 0);
    if (set == NULL) return;
    struct set_iter it;
    struct bytes member;
    set_iter_begin(&it, set);
    while (set_iter_next(&it, &member))
        reply_bulk(c->reply, member);
    set_iter_end(&it);
}

static void visit(void *arg, struct bytes member)
{
    struct scan *scan = arg;
    if (scan_seen(scan, member)) scan_emit(scan, member);
}

static void sscan(struct ctx *c)
{
    uint64_t cursor;
    const struct value *set;
    struct scan scan;
    if (!scan_parse_cursor(c, 2, &cursor) || !find_set(c, &set)) return;
    if (set == NULL) {
        scan_reply_empty(c);
        return;
    }
    if (!scan_parse(c, 2, SCAN_ELEMENTS, &scan)) return;
    do
        scan.cursor = set_scan(set, scan.cursor, visit, &scan);
    while (scan_more(&scan));
    scan_reply(&scan);
}

const struct command commands_set[] = {
    {"sadd", sadd, -3, CMD_WRITE | CMD_DENYOOM | CMD_FAST, .keys = {{1, 1, 1, KEY_WRITE}},
     .acl = "@set"},
    {"srem", srem, -3, CMD_WRITE | CMD_FAST, .keys = {{1, 1, 1, KEY_WRITE}}, .acl = "@set"},
    {"smove", smove, 4, CMD_WRITE | CMD_FAST,
     .keys = {{1, 1, 1, KEY_READ_WRITE}, {2, 2, 1, KEY_WRITE}}, .acl = "@set"},
    {"sismember", sismember, 3, CMD_READONLY | CMD_FAST, .keys = {{1, 1, 1, KEY_READ}},
     .acl = "@set"},
    {"smismember", smismember, -3, CMD_READONLY | CMD_FAST, .keys = {{1, 1, 1, KEY_READ}},
     .acl = "@set"},
    {"scard", scard, 2, CMD_READONLY | CMD_FAST, .keys = {{1, 1, 1, KEY_READ}}, .acl = "@set"},
    {"smembers", smembers, 2, CMD_READONLY, .keys = {{1, 1, 1, KEY_READ}}, .acl = "@set"},
    {"sscan", sscan, -3, CMD_READONLY, .keys = {{1, 1, 1, KEY_READ}}, .acl = "@set"},
    {0},
};
