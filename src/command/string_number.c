// Strings as numbers: INCR, DECR, INCRBY, DECRBY, INCRBYFLOAT.
#include "base/mem.h"
#include "base/text.h"
#include "command/table.h"
#include "node/notify.h"
#include "value/string.h"

#include <math.h>

static void add(struct ctx *c, int64_t amount)
{
    struct bytes key = ctx_arg(c, 1);
    struct entry *e;
    int64_t number = 0;
    if (!ctx_find_write_type(c, key, VALUE_STRING, &e)) return;
    if (e != NULL && !string_to_i64(&e->value, &number)) {
        reply_error(c->reply, "value is not an integer or out of range");
        return;
    }
    if (__builtin_add_overflow(number, amount, &number)) {
        reply_error(c->reply, "increment or decrement would overflow");
        return;
    }
    if (e != NULL) {
        string_set_int(&e->value, number);
    } else {
        struct value value;
        string_init_int(&value, number);
        ctx_add(c, key, &value);
    }
    ctx_changed(c, key, 1);
    ctx_notify(c, NOTIFY_STRING, "incrby", key);
    reply_integer(c->reply, number);
}

static void incr(struct ctx *c)
{
    add(c, 1);
}

static void decr(struct ctx *c)
{
    add(c, -1);
}

static void incrby(struct ctx *c)
{
    int64_t amount;
    if (ctx_int(c, 2, &amount)) add(c, amount);
}

static void decrby(struct ctx *c)
{
    int64_t amount;
    if (!ctx_int(c, 2, &amount)) return;
    if (amount == INT64_MIN) {
        reply_error(c->reply, "decrement would overflow");
        return;
    }
    add(c, -amount);
}

static void incrbyfloat(struct ctx *c)
{
    struct bytes key = ctx_arg(c, 1);
    struct entry *e;
    long double number = 0, amount;
    if (!ctx_find_write_type(c, key, VALUE_STRING, &e)) return;
    if ((e != NULL && !string_to_long_double(&e->value, &number)) ||
        !text_to_long_double(ctx_arg(c, 2), &amount)) {
        reply_error(c->reply, "value is not a valid float");
        return;
    }
    number += amount;
    if (isnan(number) || isinf(number)) {
        reply_error(c->reply, "increment would produce NaN or Infinity");
        return;
    }
    char digits[TEXT_LONG_DOUBLE_BYTES];
    struct bytes text = bytes_of(digits, text_from_long_double(digits, number));
    struct value value;
    string_init_text(&value, text);
    ctx_set(c, key, &value, true);
    // The result, so that replicas need not compute it with another precision.
    struct bytes argv[] = {BYTES("SET"), key, text, BYTES("KEEPTTL")};
    ctx_propagate_as(c, 4, argv);
    ctx_changed(c, key, 1);
    ctx_notify(c, NOTIFY_STRING, "incrbyfloat", key);
    reply_bulk(c->reply, text);
}

enum { GROWS = CMD_WRITE | CMD_DENYOOM | CMD_FAST };

const struct command commands_string_number[] = {
    {"incr", incr, 2, GROWS, .keys = {{1, 1, 1, KEY_READ_WRITE}}, .acl = "@string"},
    {"decr", decr, 2, GROWS, .keys = {{1, 1, 1, KEY_READ_WRITE}}, .acl = "@string"},
    {"incrby", incrby, 3, GROWS, .keys = {{1, 1, 1, KEY_READ_WRITE}}, .acl = "@string"},
    {"decrby", decrby, 3, GROWS, .keys = {{1, 1, 1, KEY_READ_WRITE}}, .acl = "@string"},
    {"incrbyfloat", incrbyfloat, 3, GROWS, .keys = {{1, 1, 1, KEY_READ_WRITE}}, .acl = "@string"},
    {0},
};
