// Single keys, whatever they hold: DEL, EXISTS, TYPE, RENAME, MOVE, COPY and so on. Walks over
// whole databases are in keyspace.c.
#include "base/text.h"
#include "command/table.h"
#include "node/ctx_impl.h"
#include "node/notify.h"

// ---- deleting, counting -------------------------------------------------------------------------

// What is large goes in slices in any case, so that DEL and UNLINK differ in name alone.
static void del(struct ctx *c)
{
    int64_t deleted = 0;
    for (int i = 1; i < c->argc; i++) {
        struct bytes key = ctx_arg(c, i);
        if (!ctx_delete(c, key)) continue;
        ctx_changed(c, key, 1);
        ctx_notify(c, NOTIFY_GENERIC, "del", key);
        deleted++;
    }
    reply_integer(c->reply, deleted);
}

static void exists(struct ctx *c)
{
    int64_t found = 0;
    for (int i = 1; i < c->argc; i++)
        found += ctx_peek(c, ctx_arg(c, i)) != NULL;
    reply_integer(c->reply, found);
}

static void touch(struct ctx *c)
{
    int64_t found = 0;
    for (int i = 1; i < c->argc; i++)
        found += ctx_find_read(c, ctx_arg(c, i)) != NULL;
    reply_integer(c->reply, found);
}

static void type(struct ctx *c)
{
    struct entry *e = ctx_peek(c, ctx_arg(c, 1));
    reply_status(c->reply, e ? value_type_name(&e->value) : "none");
}

// ---- renaming, moving, copying ------------------------------------------------------------------

// Puts a value under a key that is not there, with the time to live and the access clock of where
// it came from, and lets in whoever waits for such a value.
static void place(struct ctx *c, struct bytes key, const struct value *value, int64_t expire_ms,
                  uint32_t access)
{
    struct entry *e = ctx_add(c, key, value);
    e->access = access;
    if (expire_ms != ENTRY_NO_EXPIRE) db_set_expire(ctx_store(c), ctx_db(c), e, expire_ms);
    if (value->type == VALUE_LIST || value->type == VALUE_ZSET || value->type == VALUE_STREAM)
        ctx_key_ready(c, key);
}

static void take_and_place(struct ctx *c, struct entry *e, int to_db, struct bytes to)
{
    int64_t expire_ms = e->expire_ms;
    uint32_t access = e->access;
    struct bytes from = ctx_arg(c, 1);
    int from_db = c->db;
    struct value value = db_take_value(ctx_store(c), ctx_db(c), e);
    blocking_key_deleted(c->node, from_db, from);
    c->db = to_db;
    place(c, to, &value, expire_ms, access);
    c->db = from_db;
}

static void rename_generic(struct ctx *c, bool only_new)
{
    struct bytes from = ctx_arg(c, 1), to = ctx_arg(c, 2);
    bool same = bytes_equal(from, to);
    struct entry *e = ctx_find_write(c, from);
    if (e == NULL) {
        reply_error(c->reply, "no such key");
        return;
    }
    if (same || (only_new && ctx_find_write(c, to) != NULL)) {
        if (only_new)
            reply_integer(c->reply, 0);
        else
            reply_ok(c->reply);
        return;
    }
    ctx_delete(c, to);
    take_and_place(c, e, c->db, to);
    ctx_changed(c, from, 1);
    ctx_changed(c, to, 0);
    ctx_notify(c, NOTIFY_GENERIC, "rename_from", from);
    ctx_notify(c, NOTIFY_GENERIC, "rename_to", to);
    if (only_new)
        reply_integer(c->reply, 1);
    else
        reply_ok(c->reply);
}

static void rename_command(struct ctx *c)
{
    rename_generic(c, false);
}

static void renamenx(struct ctx *c)
{
    rename_generic(c, true);
}

// A database's index from an argument. False: replied.
static bool parse_db(struct ctx *c, int index, int *db)
{
    int64_t number;
    if (!text_to_i64(ctx_arg(c, index), &number) || number < INT32_MIN || number > INT32_MAX) {
        reply_error(c->reply, "value is not an integer or out of range");
        return false;
    }
    if (number < 0 || number >= ctx_store(c)->live->count) {
        reply_error(c->reply, "DB index is out of range");
        return false;
    }
    *db = (int)number;
    return true;
}

static void move(struct ctx *c)
{
    struct bytes key = ctx_arg(c, 1);
    int from = c->db, to;
    if (!parse_db(c, 2, &to)) return;
    if (to == from) {
        reply_error(c->reply, "source and destination objects are the same");
        return;
    }
    struct entry *e = ctx_find_write(c, key);
    if (e == NULL) {
        reply_integer(c->reply, 0);
        return;
    }
    c->db = to;
    // A key that has expired and is held still stands in the way.
    bool taken = ctx_find_write(c, key) != NULL || db_find(ctx_db(c), key) != NULL;
    c->db = from;
    if (taken) {
        reply_integer(c->reply, 0);
        return;
    }
    take_and_place(c, e, to, key);
    ctx_changed(c, key, 1);
    ctx_notify(c, NOTIFY_GENERIC, "move_from", key);
    c->db = to;
    ctx_changed(c, key, 0);
    ctx_notify(c, NOTIFY_GENERIC, "move_to", key);
    c->db = from;
    reply_integer(c->reply, 1);
}

struct copy_options {
    int to_db;
    bool replace;
};

static bool parse_copy(struct ctx *c, struct copy_options *options)
{
    *options = (struct copy_options){.to_db = c->db};
    for (int i = 3; i < c->argc; i++) {
        if (ctx_is(c, i, "replace")) {
            options->replace = true;
        } else if (ctx_is(c, i, "db") && i + 1 < c->argc) {
            if (!parse_db(c, ++i, &options->to_db)) return false;
        } else {
            ctx_syntax_error(c);
            return false;
        }
    }
    if (options->to_db != c->db || !bytes_equal(ctx_arg(c, 1), ctx_arg(c, 2))) return true;
    reply_error(c->reply, "source and destination objects are the same");
    return false;
}

static void copy(struct ctx *c)
{
    struct bytes to = ctx_arg(c, 2);
    struct copy_options options;
    int from_db = c->db;
    if (!parse_copy(c, &options)) return;
    struct entry *e = ctx_find_read(c, ctx_arg(c, 1));
    if (e == NULL) {
        reply_integer(c->reply, 0);
        return;
    }
    c->db = options.to_db;
    if (ctx_find_write(c, to) != NULL && !options.replace) {
        c->db = from_db;
        reply_integer(c->reply, 0);
        return;
    }
    struct value value;
    value_copy(&value, &e->value);
    int64_t expire_ms = e->expire_ms;
    uint32_t access = e->access;
    ctx_delete(c, to);
    place(c, to, &value, expire_ms, access);
    ctx_changed(c, to, 1);
    ctx_notify(c, NOTIFY_GENERIC, "copy_to", to);
    c->db = from_db;
    reply_integer(c->reply, 1);
}

// The target may be in another database.
static int copy_keys(int argc, struct str *const *argv, struct key_ref *out, int max)
{
    int64_t db;
    if (argc < 3) return -1;
    struct key_ref refs[2] = {{.index = 1, .access = KEY_READ}, {.index = 2, .access = KEY_WRITE}};
    for (int i = 3; i + 1 < argc; i++)
        if (bytes_equal_nocase(str_view(argv[i]), "db") &&
            text_to_i64(str_view(argv[i + 1]), &db) && db >= 0 && db < INT32_MAX)
            refs[1].other_db = (int)db + 1;
    for (int i = 0; i < 2 && i < max; i++)
        out[i] = refs[i];
    return 2;
}

const struct command commands_keys[] = {
    {"del", del, -2, CMD_WRITE, .keys = {{1, -1, 1, KEY_WRITE}}, .acl = "@keyspace"},
    {"unlink", del, -2, CMD_WRITE | CMD_FAST, .keys = {{1, -1, 1, KEY_WRITE}}, .acl = "@keyspace"},
    {"exists", exists, -2, CMD_READONLY | CMD_FAST, .keys = {{1, -1, 1, KEY_READ}},
     .acl = "@keyspace"},
    {"touch", touch, -2, CMD_READONLY | CMD_FAST, .keys = {{1, -1, 1, KEY_READ}},
     .acl = "@keyspace"},
    {"type", type, 2, CMD_READONLY | CMD_FAST, .keys = {{1, 1, 1, KEY_READ}}, .acl = "@keyspace"},
    {"rename", rename_command, 3, CMD_WRITE,
     .keys = {{1, 1, 1, KEY_READ_WRITE}, {2, 2, 1, KEY_WRITE}}, .acl = "@keyspace"},
    {"renamenx", renamenx, 3, CMD_WRITE | CMD_FAST,
     .keys = {{1, 1, 1, KEY_READ_WRITE}, {2, 2, 1, KEY_WRITE}}, .acl = "@keyspace"},
    {"move", move, 3, CMD_WRITE | CMD_FAST, .keys = {{1, 1, 1, KEY_READ_WRITE}},
     .acl = "@keyspace"},
    {"copy", copy, -3, CMD_WRITE | CMD_DENYOOM, .keys = {{1, 1, 1, KEY_READ}, {2, 2, 1, KEY_WRITE}},
     .get_keys = copy_keys, .acl = "@keyspace"},
    {0},
};
