// Lists: pushing, reading and editing in place. Popping is in list_pop.c, moving in list_move.c.
#include "command/args.h"
#include "command/list_impl.h"
#include "command/table.h"
#include "node/notify.h"

// ---- shared -------------------------------------------------------------------------------------

bool list_arg_end(struct ctx *c, int index, enum list_end *end)
{
    if (ctx_is(c, index, "left")) {
        *end = LIST_HEAD;
    } else if (ctx_is(c, index, "right")) {
        *end = LIST_TAIL;
    } else {
        ctx_syntax_error(c);
        return false;
    }
    return true;
}

void list_taken(struct ctx *c, struct bytes key, struct entry *e, enum list_end end, uint64_t count)
{
    ctx_notify(c, NOTIFY_LIST, end == LIST_HEAD ? "lpop" : "rpop", key);
    ctx_delete_if_empty(c, e);
    ctx_changed(c, key, count);
}

void list_give(struct ctx *c, struct bytes key, struct entry *e, enum list_end end,
               struct bytes element, uint64_t changes)
{
    if (e == NULL) {
        struct value list;
        list_new(&list, ctx_store(c)->limits);
        e = ctx_add(c, key, &list);
    }
    list_push(&e->value, end, element);
    ctx_changed(c, key, changes);
    ctx_notify(c, NOTIFY_LIST, end == LIST_HEAD ? "lpush" : "rpush", key);
    ctx_key_ready(c, key);
}

// Finds the list to read at argv[1]. False: the error was replied. *list NULL: there is none.
static bool find_list(struct ctx *c, const struct value **list)
{
    struct entry *e;
    if (!ctx_find_read_type(c, ctx_arg(c, 1), VALUE_LIST, &e)) return false;
    *list = e ? &e->value : NULL;
    return true;
}

// ---- pushing ------------------------------------------------------------------------------------

static void push(struct ctx *c, enum list_end end, bool only_existing)
{
    struct bytes key = ctx_arg(c, 1);
    struct entry *e;
    if (!ctx_find_write_type(c, key, VALUE_LIST, &e)) return;
    if (e == NULL && only_existing) {
        reply_integer(c->reply, 0);
        return;
    }
    if (e == NULL) {
        struct value list;
        list_new(&list, ctx_store(c)->limits);
        e = ctx_add(c, key, &list);
    }
    for (int i = 2; i < c->argc; i++)
        list_push(&e->value, end, ctx_arg(c, i));
    reply_integer(c->reply, (int64_t)value_length(&e->value));
    ctx_changed(c, key, (uint64_t)c->argc - 2);
    ctx_notify(c, NOTIFY_LIST, end == LIST_HEAD ? "lpush" : "rpush", key);
    ctx_key_ready(c, key);
}

static void lpush(struct ctx *c)
{
    push(c, LIST_HEAD, false);
}

static void rpush(struct ctx *c)
{
    push(c, LIST_TAIL, false);
}

static void lpushx(struct ctx *c)
{
    push(c, LIST_HEAD, true);
}

static void rpushx(struct ctx *c)
{
    push(c, LIST_TAIL, true);
}

// ---- reading ------------------------------------------------------------------------------------

static void llen(struct ctx *c)
{
    const struct value *list;
    if (find_list(c, &list)) reply_integer(c->reply, list ? (int64_t)value_length(list) : 0);
}

static void lindex(struct ctx *c)
{
    const struct value *list;
    if (!find_list(c, &list)) return;
    if (list == NULL) {
        reply_null(c->reply);
        return;
    }
    int64_t index;
    if (!ctx_int(c, 2, &index)) return;
    struct list_iter it;
    struct bytes element;
    if (list_seek(&it, list, index, false) && list_next(&it, &element))
        reply_bulk(c->reply, element);
    else
        reply_null(c->reply);
}

static void lrange(struct ctx *c)
{
    int64_t start, stop;
    const struct value *list;
    if (!ctx_int(c, 2, &start) || !ctx_int(c, 3, &stop) || !find_list(c, &list)) return;
    uint64_t count = list ? list_clip_range(list, &start, &stop) : 0;
    reply_array(c->reply, count);
    if (count == 0) return;
    struct list_iter it;
    struct bytes element;
    list_seek(&it, list, start, false);
    while (count-- > 0 && list_next(&it, &element))
        reply_bulk(c->reply, element);
}

struct lpos {
    struct ctx *c;
    uint64_t replied;
};

static void lpos_found(void *owner, uint64_t index)
{
    struct lpos *lpos = owner;
    reply_integer(lpos->c->reply, (int64_t)index);
    lpos->replied++;
}

struct lpos_options {
    int64_t rank, count, maxlen; // count -1: not given
};

static bool parse_lpos(struct ctx *c, struct lpos_options *o)
{
    *o = (struct lpos_options){.rank = 1, .count = -1};
    for (int i = 3; i < c->argc; i += 2) {
        bool has_word = i + 1 < c->argc;
        if (has_word && ctx_is(c, i, "rank")) {
            if (!ctx_int(c, i + 1, &o->rank)) return false;
            if (o->rank == 0) {
                reply_error(c->reply,
                            "RANK can't be zero: use 1 to start from the first match, 2 from the "
                            "second ... or use negative to start from the end of the list");
                return false;
            }
        } else if (has_word && ctx_is(c, i, "count")) {
            if (!arg_int_in(c, i + 1, 0, INT64_MAX, "COUNT can't be negative", &o->count))
                return false;
        } else if (has_word && ctx_is(c, i, "maxlen")) {
            if (!arg_int_in(c, i + 1, 0, INT64_MAX, "MAXLEN can't be negative", &o->maxlen))
                return false;
        } else {
            ctx_syntax_error(c);
            return false;
        }
    }
    return true;
}

static void lpos(struct ctx *c)
{
    struct lpos_options o;
    const struct value *list;
    if (!parse_lpos(c, &o) || !find_list(c, &list)) return;
    struct lpos state = {.c = c};
    if (o.count < 0) {
        if (list != NULL)
            list_positions(list, ctx_arg(c, 2), o.rank, 1, (uint64_t)o.maxlen, lpos_found, &state);
        if (state.replied == 0) reply_null(c->reply);
        return;
    }
    struct reply_deferred deferred;
    reply_begin(c->reply, &deferred);
    if (list != NULL)
        list_positions(list, ctx_arg(c, 2), o.rank, (uint64_t)o.count, (uint64_t)o.maxlen,
                       lpos_found, &state);
    reply_end_array(c->reply, &deferred, state.replied);
}

// ---- editing ------------------------------------------------------------------------------------

static void lset(struct ctx *c)
{
    struct bytes key = ctx_arg(c, 1);
    struct entry *e;
    int64_t index;
    if (!ctx_find_write_type(c, key, VALUE_LIST, &e)) return;
    if (e == NULL) {
        reply_error(c->reply, "no such key");
        return;
    }
    if (!ctx_int(c, 2, &index)) return;
    if (!list_set(&e->value, index, ctx_arg(c, 3))) {
        reply_error(c->reply, "index out of range");
        return;
    }
    reply_ok(c->reply);
    ctx_changed(c, key, 1);
    ctx_notify(c, NOTIFY_LIST, "lset", key);
}

static void linsert(struct ctx *c)
{
    struct bytes key = ctx_arg(c, 1);
    struct entry *e;
    bool after = ctx_is(c, 2, "after");
    if (!after && !ctx_is(c, 2, "before")) {
        ctx_syntax_error(c);
        return;
    }
    if (!ctx_find_write_type(c, key, VALUE_LIST, &e)) return;
    if (e == NULL) {
        reply_integer(c->reply, 0);
        return;
    }
    if (!list_insert(&e->value, ctx_arg(c, 3), after, ctx_arg(c, 4))) {
        reply_integer(c->reply, -1);
        return;
    }
    ctx_changed(c, key, 1);
    ctx_notify(c, NOTIFY_LIST, "linsert", key);
    reply_integer(c->reply, (int64_t)value_length(&e->value));
}

static void ltrim(struct ctx *c)
{
    struct bytes key = ctx_arg(c, 1);
    int64_t start, stop;
    struct entry *e;
    if (!ctx_int(c, 2, &start) || !ctx_int(c, 3, &stop)) return;
    if (!ctx_find_write_type(c, key, VALUE_LIST, &e)) return;
    reply_ok(c->reply);
    if (e == NULL) return;
    uint64_t went = list_trim(&e->value, start, stop);
    ctx_notify(c, NOTIFY_LIST, "ltrim", key);
    ctx_delete_if_empty(c, e);
    ctx_changed(c, key, went);
}

static void lrem(struct ctx *c)
{
    struct bytes key = ctx_arg(c, 1);
    int64_t count;
    struct entry *e;
    if (!ctx_int(c, 2, &count)) return;
    if (!ctx_find_write_type(c, key, VALUE_LIST, &e)) return;
    uint64_t removed = e ? list_remove_equal(&e->value, count, ctx_arg(c, 3)) : 0;
    if (removed > 0) {
        ctx_notify(c, NOTIFY_LIST, "lrem", key);
        ctx_delete_if_empty(c, e);
        ctx_changed(c, key, removed);
    }
    reply_integer(c->reply, (int64_t)removed);
}

const struct command commands_list[] = {
    {"lpush", lpush, -3, CMD_WRITE | CMD_DENYOOM | CMD_FAST, .keys = {{1, 1, 1, KEY_WRITE}},
     .acl = "@list"},
    {"rpush", rpush, -3, CMD_WRITE | CMD_DENYOOM | CMD_FAST, .keys = {{1, 1, 1, KEY_WRITE}},
     .acl = "@list"},
    {"lpushx", lpushx, -3, CMD_WRITE | CMD_DENYOOM | CMD_FAST, .keys = {{1, 1, 1, KEY_WRITE}},
     .acl = "@list"},
    {"rpushx", rpushx, -3, CMD_WRITE | CMD_DENYOOM | CMD_FAST, .keys = {{1, 1, 1, KEY_WRITE}},
     .acl = "@list"},
    {"llen", llen, 2, CMD_READONLY | CMD_FAST, .keys = {{1, 1, 1, KEY_READ}}, .acl = "@list"},
    {"lindex", lindex, 3, CMD_READONLY, .keys = {{1, 1, 1, KEY_READ}}, .acl = "@list"},
    {"lrange", lrange, 4, CMD_READONLY, .keys = {{1, 1, 1, KEY_READ}}, .acl = "@list"},
    {"lpos", lpos, -3, CMD_READONLY, .keys = {{1, 1, 1, KEY_READ}}, .acl = "@list"},
    {"lset", lset, 4, CMD_WRITE | CMD_DENYOOM, .keys = {{1, 1, 1, KEY_WRITE}}, .acl = "@list"},
    {"linsert", linsert, 5, CMD_WRITE | CMD_DENYOOM, .keys = {{1, 1, 1, KEY_WRITE}},
     .acl = "@list"},
    {"ltrim", ltrim, 4, CMD_WRITE, .keys = {{1, 1, 1, KEY_WRITE}}, .acl = "@list"},
    {"lrem", lrem, 4, CMD_WRITE, .keys = {{1, 1, 1, KEY_WRITE}}, .acl = "@list"},
    {0},
};
