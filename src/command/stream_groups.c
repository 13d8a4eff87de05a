// XGROUP and XACK.
#include "command/stream_common.h"
#include "command/table.h"
#include "node/notify.h"

// ---- XGROUP -------------------------------------------------------------------------------------

// Groups with more pending entries than this are freed in slices.
enum { FREED_AT_ONCE = 64 };

struct group_args {
    struct bytes key, name;
    struct stream *s; // NULL: no such key
    struct stream_group *g;
    bool make_stream;
    int64_t entries_read;
};

static bool needs_key(struct ctx *c)
{
    reply_error(c->reply,
                "The XGROUP subcommand requires the key to exist. Note that for CREATE you may "
                "want to use the MKSTREAM option to create an empty stream automatically.");
    return false;
}

// Key and group of every subcommand. False: replied.
static bool find_group(struct ctx *c, struct group_args *a)
{
    struct entry *e;
    a->key = ctx_arg(c, 2);
    a->name = ctx_arg(c, 3);
    if (!ctx_find_write_type(c, a->key, VALUE_STREAM, &e)) return false;
    if (e != NULL) a->s = stream_of(&e->value);
    if (a->s != NULL) a->g = stream_group_find(a->s, a->name);
    return true;
}

static bool no_group(struct ctx *c)
{
    reply_errorf(c->reply, "-NOGROUP No such consumer group '%s' for key name '%s'",
                 c->argv[3]->data, c->argv[2]->data);
    return false;
}

static bool find_existing_group(struct ctx *c, struct group_args *a)
{
    if (!find_group(c, a)) return false;
    if (a->s == NULL) return needs_key(c);
    return a->g != NULL || no_group(c);
}

static void wrong_words(struct ctx *c)
{
    reply_errorf(c->reply,
                 "unknown subcommand or wrong number of arguments for '%.128s'. Try XGROUP HELP.",
                 c->argv[1]->data);
}

static bool parse_options(struct ctx *c, struct group_args *a, bool creates)
{
    for (int i = 5; i < c->argc; i++) {
        if (creates && ctx_is(c, i, "mkstream")) {
            a->make_stream = true;
        } else if (i + 1 < c->argc && ctx_is(c, i, "entriesread")) {
            if (!ctx_int(c, ++i, &a->entries_read)) return false;
            if (a->entries_read >= 0 || a->entries_read == STREAM_UNKNOWN) continue;
            reply_error(c->reply, "value for ENTRIESREAD must be positive or -1");
            return false;
        } else {
            wrong_words(c);
            return false;
        }
    }
    return true;
}

// An id or `$`, the last id of the stream; with `bounds` also `-` and `+`.
static bool parse_group_id(struct ctx *c, const struct stream *s, bool bounds, struct stream_id *id)
{
    struct bytes text = ctx_arg(c, 4);
    if (bounds && bytes_equal(text, BYTES("-"))) {
        *id = STREAM_ID_MIN;
        return true;
    }
    if (bounds && bytes_equal(text, BYTES("+"))) {
        *id = STREAM_ID_MAX;
        return true;
    }
    if (!bytes_equal(text, BYTES("$"))) return stream_id_arg(c, 4, 0, id);
    *id = s ? s->last_id : STREAM_ID_MIN;
    return true;
}

static void xgroup_create(struct ctx *c)
{
    struct group_args a = {.entries_read = STREAM_UNKNOWN};
    struct stream_id id;
    if (!parse_options(c, &a, true) || !find_group(c, &a)) return;
    if (a.s == NULL && !a.make_stream) {
        needs_key(c);
        return;
    }
    if (c->argc > 8) {
        wrong_words(c);
        return;
    }
    if (!parse_group_id(c, a.s, false, &id)) return;
    if (a.s == NULL) {
        struct value fresh;
        stream_new_value(&fresh);
        a.s = stream_of(&ctx_add(c, a.key, &fresh)->value);
        ctx_changed(c, a.key, 0);
    }
    if (stream_group_create(a.s, a.name, id, a.entries_read) == NULL) {
        reply_error(c->reply, "-BUSYGROUP Consumer Group name already exists");
        return;
    }
    c->dirty++;
    ctx_notify(c, NOTIFY_STREAM, "xgroup-create", a.key);
    reply_ok(c->reply);
}

static void xgroup_setid(struct ctx *c)
{
    struct group_args a = {.entries_read = STREAM_UNKNOWN};
    struct stream_id id;
    if (!parse_options(c, &a, false) || !find_group(c, &a)) return;
    if (a.s == NULL) {
        needs_key(c);
        return;
    }
    if (a.g == NULL) {
        no_group(c);
        return;
    }
    if (c->argc != 5 && c->argc != 7) {
        wrong_words(c);
        return;
    }
    if (!parse_group_id(c, a.s, true, &id)) return;
    stream_group_set_id(a.g, id, a.entries_read);
    c->dirty++;
    ctx_notify(c, NOTIFY_STREAM, "xgroup-setid", a.key);
    reply_ok(c->reply);
}

static void free_group(struct ctx *c, struct group_args *a)
{
    if (idtree_count(a->g->pending) <= FREED_AT_ONCE) {
        stream_group_destroy(a->s, a->name);
        return;
    }
    struct value rest;
    stream_new_value(&rest);
    stream_group_move(a->s, stream_of(&rest), a->name);
    store_free_value(ctx_store(c), &rest);
}

static void xgroup_destroy(struct ctx *c)
{
    struct group_args a = {0};
    if (!find_group(c, &a)) return;
    if (a.s == NULL) {
        needs_key(c);
        return;
    }
    bool there = a.g != NULL;
    if (there) {
        free_group(c, &a);
        c->dirty++;
        ctx_notify(c, NOTIFY_STREAM, "xgroup-destroy", a.key);
        ctx_key_ready(c, a.key); // those who wait as its consumers are told
    }
    reply_integer(c->reply, there);
}

static void xgroup_createconsumer(struct ctx *c)
{
    struct group_args a = {0};
    if (!find_existing_group(c, &a)) return;
    bool created = stream_consumer_find(a.g, ctx_arg(c, 4)) == NULL;
    if (created) stream_consumer_seen(c, a.g, a.key, ctx_arg(c, 4));
    reply_integer(c->reply, created);
}

static void xgroup_delconsumer(struct ctx *c)
{
    struct group_args a = {0};
    if (!find_existing_group(c, &a)) return;
    int64_t pending = stream_consumer_delete(a.g, ctx_arg(c, 4));
    if (pending >= 0) {
        c->dirty++;
        ctx_notify(c, NOTIFY_STREAM, "xgroup-delconsumer", a.key);
    }
    reply_integer(c->reply, pending < 0 ? 0 : pending);
}

static void xgroup_help(struct ctx *c)
{
    static const char *const lines[] = {
        "XGROUP <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "CREATE <key> <groupname> <id|$> [option]",
        "    Create a new consumer group. Options are:",
        "    * MKSTREAM",
        "      Create the empty stream if it does not exist.",
        "    * ENTRIESREAD entries_read",
        "      Set the group's entries_read counter (internal use).",
        "CREATECONSUMER <key> <groupname> <consumer>",
        "    Create a new consumer in the specified group.",
        "DELCONSUMER <key> <groupname> <consumer>",
        "    Remove the specified consumer.",
        "DESTROY <key> <groupname>",
        "    Remove the specified group.",
        "SETID <key> <groupname> <id|$> [ENTRIESREAD entries_read]",
        "    Set the current group ID and entries_read counter.",
        "HELP",
        "    Prints this help.",
    };
    reply_array(c->reply, sizeof(lines) / sizeof(lines[0]));
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
        reply_status(c->reply, lines[i]);
}

static const struct command xgroup_children[] = {
    {"create", xgroup_create, -5, CMD_WRITE | CMD_DENYOOM, .keys = {{2, 2, 1, KEY_READ_WRITE}},
     .acl = "@stream"},
    {"setid", xgroup_setid, -5, CMD_WRITE, .keys = {{2, 2, 1, KEY_READ_WRITE}}, .acl = "@stream"},
    {"destroy", xgroup_destroy, 4, CMD_WRITE, .keys = {{2, 2, 1, KEY_READ_WRITE}},
     .acl = "@stream"},
    {"createconsumer", xgroup_createconsumer, 5, CMD_WRITE | CMD_DENYOOM,
     .keys = {{2, 2, 1, KEY_READ_WRITE}}, .acl = "@stream"},
    {"delconsumer", xgroup_delconsumer, 5, CMD_WRITE, .keys = {{2, 2, 1, KEY_READ_WRITE}},
     .acl = "@stream"},
    {"help", xgroup_help, 2, CMD_LOADING | CMD_STALE, .acl = "@stream"},
    {0},
};

// ---- XACK ---------------------------------------------------------------------------------------

static void xack(struct ctx *c)
{
    struct stream *s;
    struct stream_id id;
    int64_t acknowledged = 0;
    if (!stream_find(c, ctx_arg(c, 1), &s)) return;
    struct stream_group *g = s ? stream_group_find(s, ctx_arg(c, 2)) : NULL;
    if (g == NULL) {
        reply_integer(c->reply, 0);
        return;
    }
    for (int i = 3; i < c->argc; i++) // all are read before any is acknowledged
        if (!stream_id_arg(c, i, 0, &id)) return;
    for (int i = 3; i < c->argc; i++)
        if (stream_id_parse(ctx_arg(c, i), 0, &id)) acknowledged += stream_pending_remove(g, id);
    c->dirty += (uint64_t)acknowledged;
    reply_integer(c->reply, acknowledged);
}

const struct command commands_stream_groups[] = {
    {"xgroup", NULL, -2, 0, .children = xgroup_children},
    {"xack", xack, -4, CMD_WRITE | CMD_FAST, .keys = {{1, 1, 1, KEY_READ_WRITE}}, .acl = "@stream"},
    {0},
};
