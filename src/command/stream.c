// Streams: adding, taking away, walking. Reading with XREAD and XREADGROUP is in stream_read.c,
// groups are in stream_groups.c and stream_claim.c, XINFO in stream_info.c.
#include "base/mem.h"
#include "command/stream_common.h"
#include "command/table.h"
#include "node/client.h"
#include "node/notify.h"

// ---- the words that XADD and XTRIM have in common -----------------------------------------------

struct trim_args {
    enum { TRIM_NONE, TRIM_MAXLEN, TRIM_MINID } kind;
    bool approximate, limit_given;
    uint64_t max_length, limit;
    struct stream_id min_id;
    int index; // in argv, of the length or id
};
struct add_args {
    struct trim_args trim;
    bool no_mkstream;
    enum stream_id_kind id_kind;
    struct stream_id id;
    int id_index;
};

// MAXLEN or MINID at *i, with its = or ~ and its value.
static bool trim_strategy(struct ctx *c, struct trim_args *t, int *i)
{
    bool by_length = ctx_is(c, *i, "maxlen");
    int64_t length;
    if (t->kind != TRIM_NONE) {
        reply_error(c->reply, "syntax error, MAXLEN and MINID options at the same time are not "
                              "compatible");
        return false;
    }
    t->approximate = false;
    if (*i + 2 < c->argc) {
        struct bytes next = ctx_arg(c, *i + 1);
        t->approximate = bytes_equal(next, BYTES("~"));
        if (t->approximate || bytes_equal(next, BYTES("="))) (*i)++;
    }
    t->index = ++*i;
    if (!by_length) {
        t->kind = TRIM_MINID;
        return stream_id_arg(c, *i, 0, &t->min_id);
    }
    if (!ctx_int(c, *i, &length)) return false;
    if (length < 0) {
        reply_error(c->reply, "The MAXLEN argument must be >= 0.");
        return false;
    }
    t->kind = TRIM_MAXLEN;
    t->max_length = (uint64_t)length;
    return true;
}

static bool trim_limit(struct ctx *c, struct trim_args *t, int index)
{
    int64_t limit;
    if (!ctx_int(c, index, &limit)) return false;
    if (limit < 0) {
        reply_error(c->reply, "The LIMIT argument must be >= 0.");
        return false;
    }
    t->limit = (uint64_t)limit;
    t->limit_given = true;
    return true;
}

// What only the whole of the words tells.
static bool trim_agrees(struct ctx *c, struct trim_args *t, bool xadd)
{
    const char *why = NULL;
    // A primary has rewritten them to what it did: "= n", perhaps with the LIMIT it was given.
    bool from_primary = c->client->flags & CLIENT_PRIMARY;
    if (t->limit > 0 && t->kind == TRIM_NONE)
        why = "syntax error, LIMIT cannot be used without specifying a trimming strategy";
    else if (!xadd && t->kind == TRIM_NONE)
        why = "syntax error, XTRIM must be called with a trimming strategy";
    else if (t->limit_given && !t->approximate && !from_primary)
        why = "syntax error, LIMIT cannot be used without the special ~ option";
    if (why != NULL) {
        reply_error(c->reply, why);
        return false;
    }
    if (from_primary)
        t->limit = 0;
    else if (t->approximate && !t->limit_given)
        t->limit = stream_trim_default_limit(ctx_store(c)->limits);
    return true;
}

static bool parse_trim(struct ctx *c, struct trim_args *t, int i, bool xadd, int *next)
{
    for (*next = i; i < c->argc; *next = ++i) {
        bool more = i + 1 < c->argc;
        if (more && (ctx_is(c, i, "maxlen") || ctx_is(c, i, "minid"))) {
            if (!trim_strategy(c, t, &i)) return false;
        } else if (more && ctx_is(c, i, "limit")) {
            if (!trim_limit(c, t, ++i)) return false;
        } else if (xadd) {
            return true;
        } else {
            ctx_syntax_error(c);
            return false;
        }
    }
    return true;
}

// Trims; true when entries went, and then "xtrim" was told.
static uint64_t trim(struct ctx *c, struct stream *s, const struct trim_args *t)
{
    uint64_t gone = t->kind == TRIM_MAXLEN
                        ? stream_trim_length(s, t->max_length, t->approximate, t->limit)
                        : stream_trim_before(s, t->min_id, t->approximate, t->limit);
    if (gone > 0) ctx_notify(c, NOTIFY_STREAM, "xtrim", ctx_arg(c, 1));
    return gone;
}

// Propagates the call with what it came to: the id taken, and `= n` for `~ n`.
static void propagate_exact(struct ctx *c, const struct stream *s, const struct trim_args *t,
                            int id_index, struct stream_id id)
{
    struct bytes few[16], *argv = few;
    char new_id[STREAM_ID_TEXT_BYTES], bound[STREAM_ID_TEXT_BYTES];
    if (c->argc > 16) argv = mem_array(struct bytes, (size_t)c->argc);
    for (int i = 0; i < c->argc; i++)
        argv[i] = ctx_arg(c, i);
    if (id_index > 0) argv[id_index] = bytes_of(new_id, stream_id_format(new_id, id));
    if (t->kind != TRIM_NONE && t->approximate) {
        // Redis counts from the first entry that is in memory, deleted or not.
        struct stream_id first = STREAM_ID_MAX;
        struct idtree_iter it;
        struct bytes node;
        stream_nodes_seek(&it, s);
        if (!stream_nodes_next(&it, &first, &node)) first = STREAM_ID_MAX;
        size_t len = t->kind == TRIM_MAXLEN ? text_from_i64(bound, (int64_t)stream_length(s))
                                            : stream_id_format(bound, first);
        argv[t->index - 1] = BYTES("=");
        argv[t->index] = bytes_of(bound, len);
    }
    ctx_propagate_as(c, c->argc, argv);
    if (argv != few) mem_free(argv);
}

// ---- XADD ---------------------------------------------------------------------------------------

static bool parse_add(struct ctx *c, struct add_args *a)
{
    int i = 2;
    for (;;) {
        if (!parse_trim(c, &a->trim, i, true, &i)) return false;
        if (i >= c->argc || !ctx_is(c, i, "nomkstream")) break;
        a->no_mkstream = true;
        i++;
    }
    a->id_index = i;
    if (i < c->argc) {
        bool auto_seq;
        if (bytes_equal(ctx_arg(c, i), BYTES("*"))) {
            a->id_kind = STREAM_ID_AUTO;
        } else if (stream_id_parse_new(ctx_arg(c, i), &a->id, &auto_seq)) {
            a->id_kind = auto_seq ? STREAM_ID_AUTO_SEQ : STREAM_ID_GIVEN;
        } else {
            reply_error(c->reply, "Invalid stream ID specified as stream command argument");
            return false;
        }
    }
    if (!trim_agrees(c, &a->trim, true)) return false;
    int rest = c->argc - i - 1;
    if (rest < 2 || rest % 2 != 0) {
        reply_error(c->reply, "wrong number of arguments for 'xadd' command");
        return false;
    }
    if (a->id_kind == STREAM_ID_GIVEN && stream_id_is_zero(a->id)) {
        reply_error(c->reply, "The ID specified in XADD must be greater than 0-0");
        return false;
    }
    return true;
}

static bool add_entry(struct ctx *c, struct stream *s, struct add_args *a)
{
    int first = a->id_index + 1;
    struct bytes few[32], *pairs = few;
    int words = c->argc - first;
    if (stream_id_compare(s->last_id, STREAM_ID_MAX) == 0) {
        reply_error(c->reply, "The stream has exhausted the last possible ID, unable to add more "
                              "items");
        return false;
    }
    if (words > 32) pairs = mem_array(struct bytes, (size_t)words);
    for (int i = 0; i < words; i++)
        pairs[i] = ctx_arg(c, first + i);
    enum stream_add_result result = stream_add(s, ctx_store(c)->limits, a->id_kind, &a->id,
                                               ctx_now_ms(c), pairs, (uint64_t)words / 2);
    if (pairs != few) mem_free(pairs);
    if (result == STREAM_ADD_NOT_GREATER)
        reply_error(c->reply, "The ID specified in XADD is equal or smaller than the target stream "
                              "top item");
    else if (result == STREAM_ADD_TOO_LARGE)
        reply_error(c->reply, "Elements are too large to be stored");
    return result == STREAM_ADDED;
}

static void xadd(struct ctx *c)
{
    struct bytes key = ctx_arg(c, 1);
    struct add_args a = {0};
    struct entry *e;
    if (!parse_add(c, &a)) return;
    if (!ctx_find_write_type(c, key, VALUE_STREAM, &e)) return;
    if (e == NULL && a.no_mkstream) {
        reply_null(c->reply);
        return;
    }
    if (e == NULL) {
        struct value fresh;
        stream_new_value(&fresh);
        if (!add_entry(c, stream_of(&fresh), &a)) {
            value_free(&fresh);
            return;
        }
        e = ctx_add(c, key, &fresh);
    } else if (!add_entry(c, stream_of(&e->value), &a)) {
        return;
    }
    struct stream *s = stream_of(&e->value);
    reply_stream_id(c->reply, a.id);
    ctx_changed(c, key, 1);
    ctx_notify(c, NOTIFY_STREAM, "xadd", key);
    if (a.trim.kind != TRIM_NONE) trim(c, s, &a.trim);
    bool chosen = a.id_kind != STREAM_ID_GIVEN;
    if (chosen || a.trim.approximate) propagate_exact(c, s, &a.trim, chosen ? a.id_index : 0, a.id);
    ctx_key_ready(c, key);
}

// ---- taking away --------------------------------------------------------------------------------

static void xtrim(struct ctx *c)
{
    struct trim_args t = {0};
    struct entry *e;
    int end;
    if (!parse_trim(c, &t, 2, false, &end) || !trim_agrees(c, &t, false)) return;
    if (!ctx_find_write_type(c, ctx_arg(c, 1), VALUE_STREAM, &e)) return;
    uint64_t gone = e ? trim(c, stream_of(&e->value), &t) : 0;
    if (gone > 0) {
        if (t.approximate) propagate_exact(c, stream_of(&e->value), &t, 0, STREAM_ID_MIN);
        ctx_changed(c, ctx_arg(c, 1), gone);
    }
    reply_integer(c->reply, (int64_t)gone);
}

static void xdel(struct ctx *c)
{
    struct bytes key = ctx_arg(c, 1);
    struct entry *e;
    struct stream_id id;
    uint64_t deleted = 0;
    if (!ctx_find_write_type(c, key, VALUE_STREAM, &e)) return;
    if (e == NULL) {
        reply_integer(c->reply, 0);
        return;
    }
    for (int i = 2; i < c->argc; i++) // all are read before any is deleted
        if (!stream_id_arg(c, i, 0, &id)) return;
    for (int i = 2; i < c->argc; i++)
        if (stream_id_parse(ctx_arg(c, i), 0, &id))
            deleted += stream_delete(stream_of(&e->value), id);
    if (deleted > 0) {
        ctx_changed(c, key, deleted);
        ctx_notify(c, NOTIFY_STREAM, "xdel", key);
    }
    reply_integer(c->reply, (int64_t)deleted);
}

// ---- XSETID -------------------------------------------------------------------------------------

struct set_id_args {
    struct stream_id id, max_deleted;
    int64_t entries_added; // -1: not given
};

static bool parse_set_id(struct ctx *c, struct set_id_args *a)
{
    *a = (struct set_id_args){.entries_added = -1};
    if (!stream_id_arg(c, 2, 0, &a->id)) return false;
    for (int i = 3; i < c->argc; i += 2) {
        bool more = i + 1 < c->argc;
        if (more && ctx_is(c, i, "entriesadded")) {
            if (!ctx_int(c, i + 1, &a->entries_added)) return false;
            if (a->entries_added < 0) {
                reply_error(c->reply, "entries_added must be positive");
                return false;
            }
        } else if (more && ctx_is(c, i, "maxdeletedid")) {
            if (!stream_id_arg(c, i + 1, 0, &a->max_deleted)) return false;
            if (stream_id_compare(a->id, a->max_deleted) < 0) {
                reply_error(c->reply, "The ID specified in XSETID is smaller than the provided "
                                      "max_deleted_entry_id");
                return false;
            }
        } else {
            ctx_syntax_error(c);
            return false;
        }
    }
    return true;
}

static void xsetid(struct ctx *c)
{
    struct set_id_args a;
    struct entry *e;
    if (!parse_set_id(c, &a)) return;
    if (!ctx_find_write_type(c, ctx_arg(c, 1), VALUE_STREAM, &e)) return;
    if (e == NULL) {
        reply_error(c->reply, "no such key");
        return;
    }
    struct stream *s = stream_of(&e->value);
    if (stream_length(s) > 0) {
        const char *why = NULL;
        if (stream_id_compare(a.id, stream_last_entry_id(s)) < 0)
            why = "The ID specified in XSETID is smaller than the target stream top item";
        else if (a.entries_added >= 0 && stream_length(s) > (uint64_t)a.entries_added)
            why = "The entries_added specified in XSETID is smaller than the target stream length";
        if (why != NULL) {
            reply_error(c->reply, why);
            return;
        }
    }
    s->last_id = a.id;
    if (a.entries_added >= 0) s->entries_added = (uint64_t)a.entries_added;
    if (!stream_id_is_zero(a.max_deleted)) s->max_deleted_id = a.max_deleted;
    reply_ok(c->reply);
    c->dirty++;
    ctx_notify(c, NOTIFY_STREAM, "xsetid", ctx_arg(c, 1));
}

// ---- walking ------------------------------------------------------------------------------------

static void xlen(struct ctx *c)
{
    struct stream *s;
    if (!stream_find(c, ctx_arg(c, 1), &s)) return;
    reply_integer(c->reply, s ? (int64_t)stream_length(s) : 0);
}

static void range(struct ctx *c, bool backward)
{
    struct stream_id start, end;
    struct stream *s;
    int64_t count = -1; // no limit
    if (!stream_start_arg(c, backward ? 3 : 2, &start)) return;
    if (!stream_end_arg(c, backward ? 2 : 3, &end)) return;
    for (int i = 4; i < c->argc; i += 2) {
        if (i + 1 >= c->argc || !ctx_is(c, i, "count")) {
            ctx_syntax_error(c);
            return;
        }
        if (!ctx_int(c, i + 1, &count)) return;
        if (count < 0) count = 0;
    }
    if (!stream_find(c, ctx_arg(c, 1), &s)) return;
    if (s == NULL)
        reply_empty_array(c->reply);
    else if (count == 0)
        reply_null_array(c->reply);
    else
        reply_stream_range(c->reply, s, start, end, backward, count < 0 ? 0 : (uint64_t)count);
}

static void xrange(struct ctx *c)
{
    range(c, false);
}

static void xrevrange(struct ctx *c)
{
    range(c, true);
}

const struct command commands_stream[] = {
    {"xadd", xadd, -5, CMD_WRITE | CMD_DENYOOM | CMD_FAST, .keys = {{1, 1, 1, KEY_READ_WRITE}},
     .acl = "@stream"},
    {"xtrim", xtrim, -4, CMD_WRITE, .keys = {{1, 1, 1, KEY_READ_WRITE}}, .acl = "@stream"},
    {"xdel", xdel, -3, CMD_WRITE | CMD_FAST, .keys = {{1, 1, 1, KEY_READ_WRITE}}, .acl = "@stream"},
    {"xsetid", xsetid, -3, CMD_WRITE | CMD_DENYOOM | CMD_FAST, .keys = {{1, 1, 1, KEY_READ_WRITE}},
     .acl = "@stream"},
    {"xlen", xlen, 2, CMD_READONLY | CMD_FAST, .keys = {{1, 1, 1, KEY_READ}}, .acl = "@stream"},
    {"xrange", xrange, -4, CMD_READONLY, .keys = {{1, 1, 1, KEY_READ}}, .acl = "@stream"},
    {"xrevrange", xrevrange, -4, CMD_READONLY, .keys = {{1, 1, 1, KEY_READ}}, .acl = "@stream"},
    {0},
};
