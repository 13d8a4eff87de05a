// Parts of strings: APPEND, STRLEN, GETRANGE, SUBSTR, SETRANGE.
#include "command/string_range.h"

#include "command/table.h"
#include "node/node.h"
#include "node/notify.h"
#include "value/string.h"

bool limit_string(struct ctx *c, uint64_t offset, uint64_t len)
{
    uint64_t sum, max = c->node->config.request_limits.bulk_bytes;
    // A primary has checked already, perhaps by another limit.
    if (c->client->flags & CLIENT_PRIMARY) return true;
    if (!__builtin_add_overflow(offset, len, &sum) && sum <= max) return true;
    reply_error(c->reply, "string exceeds maximum allowed size (proto-max-bulk-len)");
    return false;
}

static void append(struct ctx *c)
{
    struct bytes key = ctx_arg(c, 1);
    struct entry *e;
    size_t len;
    if (!ctx_find_write_type(c, key, VALUE_STRING, &e)) return;
    if (e == NULL) {
        struct value value;
        string_take(&value, ctx_take(c, 2));
        len = string_length(&ctx_add(c, key, &value)->value);
    } else {
        if (!limit_string(c, string_length(&e->value), ctx_arg(c, 2).len)) return;
        len = string_append(&e->value, ctx_arg(c, 2));
    }
    ctx_changed(c, key, 1);
    ctx_notify(c, NOTIFY_STRING, "append", key);
    reply_integer(c->reply, (int64_t)len);
}

static void strlen_command(struct ctx *c)
{
    struct entry *e;
    if (!ctx_find_read_type(c, ctx_arg(c, 1), VALUE_STRING, &e)) return;
    reply_integer(c->reply, e ? (int64_t)string_length(&e->value) : 0);
}

static void getrange(struct ctx *c)
{
    struct entry *e;
    int64_t start, end;
    char scratch[TEXT_I64_BYTES];
    if (!ctx_int(c, 2, &start) || !ctx_int(c, 3, &end)) return;
    if (!ctx_find_read_type(c, ctx_arg(c, 1), VALUE_STRING, &e)) return;
    struct bytes text = e ? string_view(&e->value, scratch) : BYTES("");
    int64_t len = (int64_t)text.len;
    if ((start < 0 && end < 0 && start > end) || len == 0) {
        reply_bulk(c->reply, BYTES(""));
        return;
    }
    if (start < 0) start = start + len < 0 ? 0 : start + len;
    if (end < 0) end = end + len < 0 ? 0 : end + len;
    if (end >= len) end = len - 1;
    if (start > end)
        reply_bulk(c->reply, BYTES(""));
    else
        reply_bulk(c->reply, bytes_of(text.data + start, (size_t)(end - start + 1)));
}

static void setrange(struct ctx *c)
{
    struct bytes key = ctx_arg(c, 1), text = ctx_arg(c, 3);
    struct entry *e;
    int64_t offset;
    if (!ctx_int(c, 2, &offset)) return;
    if (offset < 0) {
        reply_error(c->reply, "offset is out of range");
        return;
    }
    if (!ctx_find_write_type(c, key, VALUE_STRING, &e)) return;
    if (text.len == 0) {
        reply_integer(c->reply, e ? (int64_t)string_length(&e->value) : 0);
        return;
    }
    if (!limit_string(c, (uint64_t)offset, text.len)) return;
    if (e == NULL) {
        struct value value;
        string_init_text(&value, BYTES(""));
        e = ctx_add(c, key, &value);
    }
    size_t len = string_set_range(&e->value, (size_t)offset, text);
    ctx_changed(c, key, 1);
    ctx_notify(c, NOTIFY_STRING, "setrange", key);
    reply_integer(c->reply, (int64_t)len);
}

enum { GROWS = CMD_WRITE | CMD_DENYOOM };

const struct command commands_string_range[] = {
    {"append", append, 3, GROWS | CMD_FAST, .keys = {{1, 1, 1, KEY_WRITE}}, .acl = "@string"},
    {"strlen", strlen_command, 2, CMD_READONLY | CMD_FAST, .keys = {{1, 1, 1, KEY_READ}},
     .acl = "@string"},
    {"getrange", getrange, 4, CMD_READONLY, .keys = {{1, 1, 1, KEY_READ}}, .acl = "@string"},
    {"substr", getrange, 4, CMD_READONLY, .keys = {{1, 1, 1, KEY_READ}}, .acl = "@string"},
    {"setrange", setrange, 4, GROWS, .keys = {{1, 1, 1, KEY_WRITE}}, .acl = "@string"},
    {0},
};
