// Hashes. HRANDFIELD and HSCAN are in hash_walk.c.
#include "value/hash.h"

#include "base/text.h"
#include "command/table.h"
#include "node/notify.h"

#include <math.h>

// The hash at argv[1], made when it is not there. NULL: another type, replied.
static struct entry *find_or_make(struct ctx *c)
{
    struct entry *e;
    struct bytes key = ctx_arg(c, 1);
    if (!ctx_find_write_type(c, key, VALUE_HASH, &e)) return NULL;
    if (e != NULL) return e;
    struct value value;
    hash_init(&value);
    return ctx_add(c, key, &value);
}

// ---- changing -----------------------------------------------------------------------------------

// Sets all pairs; returns how many fields are new, or -1: replied.
static int set_pairs(struct ctx *c)
{
    if (c->argc % 2 != 0) {
        reply_errorf(c->reply, "wrong number of arguments for '%s' command", c->command->name);
        return -1;
    }
    struct entry *e = find_or_make(c);
    int added = 0;
    if (e == NULL) return -1;
    for (int i = 2; i < c->argc; i += 2)
        added += hash_set(&e->value, ctx_arg(c, i), ctx_arg(c, i + 1), ctx_store(c)->limits);
    ctx_changed(c, ctx_arg(c, 1), (uint64_t)(c->argc - 2) / 2);
    ctx_notify(c, NOTIFY_HASH, "hset", ctx_arg(c, 1));
    return added;
}

static void hset(struct ctx *c)
{
    int added = set_pairs(c);
    if (added >= 0) reply_integer(c->reply, added);
}

static void hmset(struct ctx *c)
{
    if (set_pairs(c) >= 0) reply_ok(c->reply);
}

static void hsetnx(struct ctx *c)
{
    struct bytes key = ctx_arg(c, 1);
    struct entry *e = find_or_make(c);
    if (e == NULL) return;
    if (!hash_add(&e->value, ctx_arg(c, 2), ctx_arg(c, 3), ctx_store(c)->limits)) {
        reply_integer(c->reply, 0);
        return;
    }
    ctx_changed(c, key, 1);
    ctx_notify(c, NOTIFY_HASH, "hset", key);
    reply_integer(c->reply, 1);
}

static void hdel(struct ctx *c)
{
    struct bytes key = ctx_arg(c, 1);
    struct entry *e;
    uint64_t deleted = 0;
    if (!ctx_find_write_type(c, key, VALUE_HASH, &e)) return;
    for (int i = 2; e != NULL && i < c->argc; i++)
        deleted += hash_delete(&e->value, ctx_arg(c, i));
    if (deleted > 0) {
        ctx_notify(c, NOTIFY_HASH, "hdel", key);
        ctx_delete_if_empty(c, e);
        ctx_changed(c, key, deleted);
    }
    reply_integer(c->reply, (int64_t)deleted);
}

// The field's text, if there is such a hash and field.
static bool field_text(const struct entry *e, struct bytes field, struct bytes *text,
                       char scratch[TEXT_I64_BYTES])
{
    return e != NULL && hash_get(&e->value, field, text, scratch);
}

static void store_number(struct ctx *c, struct bytes text, const char *event)
{
    struct entry *e = find_or_make(c);
    hash_set(&e->value, ctx_arg(c, 2), text, ctx_store(c)->limits);
    ctx_changed(c, ctx_arg(c, 1), 1);
    ctx_notify(c, NOTIFY_HASH, event, ctx_arg(c, 1));
}

static void hincrby(struct ctx *c)
{
    struct entry *e;
    struct bytes text;
    char scratch[TEXT_I64_BYTES];
    int64_t number = 0, amount;
    if (!ctx_int(c, 3, &amount)) return;
    if (!ctx_find_write_type(c, ctx_arg(c, 1), VALUE_HASH, &e)) return;
    if (field_text(e, ctx_arg(c, 2), &text, scratch) && !text_to_i64(text, &number)) {
        reply_error(c->reply, "hash value is not an integer");
        return;
    }
    if (__builtin_add_overflow(number, amount, &number)) {
        reply_error(c->reply, "increment or decrement would overflow");
        return;
    }
    store_number(c, bytes_of(scratch, text_from_i64(scratch, number)), "hincrby");
    reply_integer(c->reply, number);
}

static void hincrbyfloat(struct ctx *c)
{
    struct entry *e;
    struct bytes text;
    char scratch[TEXT_I64_BYTES], digits[TEXT_LONG_DOUBLE_BYTES];
    long double number = 0, amount;
    if (!text_to_long_double(ctx_arg(c, 3), &amount)) {
        reply_error(c->reply, "value is not a valid float");
        return;
    }
    if (isinf(amount)) {
        reply_error(c->reply, "value is NaN or Infinity");
        return;
    }
    if (!ctx_find_write_type(c, ctx_arg(c, 1), VALUE_HASH, &e)) return;
    if (field_text(e, ctx_arg(c, 2), &text, scratch) && !text_to_long_double(text, &number)) {
        reply_error(c->reply, "hash value is not a float");
        return;
    }
    number += amount;
    if (isnan(number) || isinf(number)) {
        reply_error(c->reply, "increment would produce NaN or Infinity");
        return;
    }
    text = bytes_of(digits, text_from_long_double(digits, number));
    // The result, so that replicas need not compute it with another precision.
    struct bytes argv[] = {BYTES("HSET"), ctx_arg(c, 1), ctx_arg(c, 2), text};
    ctx_propagate_as(c, 4, argv);
    store_number(c, text, "hincrbyfloat");
    reply_bulk(c->reply, text);
}

// ---- reading ------------------------------------------------------------------------------------

static void reply_field(struct ctx *c, const struct entry *e, struct bytes field)
{
    struct bytes text;
    char scratch[TEXT_I64_BYTES];
    if (field_text(e, field, &text, scratch))
        reply_bulk(c->reply, text);
    else
        reply_null(c->reply);
}

static void hget(struct ctx *c)
{
    struct entry *e;
    if (ctx_find_read_type(c, ctx_arg(c, 1), VALUE_HASH, &e)) reply_field(c, e, ctx_arg(c, 2));
}

static void hmget(struct ctx *c)
{
    struct entry *e;
    if (!ctx_find_read_type(c, ctx_arg(c, 1), VALUE_HASH, &e)) return;
    reply_array(c->reply, (size_t)c->argc - 2);
    for (int i = 2; i < c->argc; i++)
        reply_field(c, e, ctx_arg(c, i));
}

static void hexists(struct ctx *c)
{
    struct entry *e;
    if (!ctx_find_read_type(c, ctx_arg(c, 1), VALUE_HASH, &e)) return;
    reply_integer(c->reply, e != NULL && hash_exists(&e->value, ctx_arg(c, 2)));
}

static void hlen(struct ctx *c)
{
    struct entry *e;
    if (!ctx_find_read_type(c, ctx_arg(c, 1), VALUE_HASH, &e)) return;
    reply_integer(c->reply, e ? (int64_t)hash_length(&e->value) : 0);
}

static void hstrlen(struct ctx *c)
{
    struct entry *e;
    struct bytes text;
    char scratch[TEXT_I64_BYTES];
    if (!ctx_find_read_type(c, ctx_arg(c, 1), VALUE_HASH, &e)) return;
    bool found = field_text(e, ctx_arg(c, 2), &text, scratch);
    reply_integer(c->reply, found ? (int64_t)text.len : 0);
}

static void reply_all(struct ctx *c, bool fields, bool values)
{
    struct entry *e;
    struct hash_iter it;
    struct bytes field, value;
    if (!ctx_find_read_type(c, ctx_arg(c, 1), VALUE_HASH, &e)) return;
    size_t count = e ? (size_t)hash_length(&e->value) : 0;
    if (fields && values)
        reply_map(c->reply, count);
    else
        reply_array(c->reply, count);
    if (e == NULL) return;
    hash_iter_begin(&it, &e->value);
    while (hash_iter_next(&it, &field, &value)) {
        if (fields) reply_bulk(c->reply, field);
        if (values) reply_bulk(c->reply, value);
    }
    hash_iter_end(&it);
}

static void hgetall(struct ctx *c)
{
    reply_all(c, true, true);
}

static void hkeys(struct ctx *c)
{
    reply_all(c, true, false);
}

static void hvals(struct ctx *c)
{
    reply_all(c, false, true);
}

enum { GROWS = CMD_WRITE | CMD_DENYOOM | CMD_FAST, LOOKS = CMD_READONLY | CMD_FAST };

const struct command commands_hash[] = {
    {"hset", hset, -4, GROWS, .keys = {{1, 1, 1, KEY_READ_WRITE}}, .acl = "@hash"},
    {"hmset", hmset, -4, GROWS, .keys = {{1, 1, 1, KEY_READ_WRITE}}, .acl = "@hash"},
    {"hsetnx", hsetnx, 4, GROWS, .keys = {{1, 1, 1, KEY_READ_WRITE}}, .acl = "@hash"},
    {"hdel", hdel, -3, CMD_WRITE | CMD_FAST, .keys = {{1, 1, 1, KEY_READ_WRITE}}, .acl = "@hash"},
    {"hincrby", hincrby, 4, GROWS, .keys = {{1, 1, 1, KEY_READ_WRITE}}, .acl = "@hash"},
    {"hincrbyfloat", hincrbyfloat, 4, GROWS, .keys = {{1, 1, 1, KEY_READ_WRITE}}, .acl = "@hash"},
    {"hget", hget, 3, LOOKS, .keys = {{1, 1, 1, KEY_READ}}, .acl = "@hash"},
    {"hmget", hmget, -3, LOOKS, .keys = {{1, 1, 1, KEY_READ}}, .acl = "@hash"},
    {"hexists", hexists, 3, LOOKS, .keys = {{1, 1, 1, KEY_READ}}, .acl = "@hash"},
    {"hlen", hlen, 2, LOOKS, .keys = {{1, 1, 1, KEY_READ}}, .acl = "@hash"},
    {"hstrlen", hstrlen, 3, LOOKS, .keys = {{1, 1, 1, KEY_READ}}, .acl = "@hash"},
    {"hgetall", hgetall, 2, CMD_READONLY, .keys = {{1, 1, 1, KEY_READ}}, .acl = "@hash"},
    {"hkeys", hkeys, 2, CMD_READONLY, .keys = {{1, 1, 1, KEY_READ}}, .acl = "@hash"},
    {"hvals", hvals, 2, CMD_READONLY, .keys = {{1, 1, 1, KEY_READ}}, .acl = "@hash"},
    {0},
};
