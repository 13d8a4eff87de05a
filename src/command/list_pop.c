// LPOP, RPOP, LMPOP and their blocking forms.
#include "command/args.h"
#include "command/list_impl.h"
#include "command/multikey.h"
#include "command/table.h"

static const char *pop_name(enum list_end end)
{
    return end == LIST_HEAD ? "LPOP" : "RPOP";
}

// The array of up to `count` elements from this end, in the order of popping; they go.
static void pop_and_reply(struct ctx *c, struct bytes key, struct entry *e, enum list_end end,
                          uint64_t count)
{
    uint64_t length = value_length(&e->value);
    if (count > length) count = length;
    struct list_iter it;
    struct bytes element;
    reply_array(c->reply, count);
    list_seek(&it, &e->value, end == LIST_HEAD ? 0 : -1, end == LIST_TAIL);
    for (uint64_t i = 0; i < count && list_next(&it, &element); i++)
        reply_bulk(c->reply, element);
    list_delete_range(&e->value, end == LIST_HEAD ? 0 : length - count, count);
    list_taken(c, key, e, end, count);
}

static void pop(struct ctx *c, enum list_end end)
{
    struct bytes key = ctx_arg(c, 1);
    int64_t count = 1;
    struct entry *e;
    if (c->argc > 3) {
        reply_errorf(c->reply, "wrong number of arguments for '%s' command", c->command->name);
        return;
    }
    bool counted = c->argc == 3;
    if (counted && !arg_positive(c, 2, &count)) return;
    if (!ctx_find_write_type(c, key, VALUE_LIST, &e)) return;
    if (e == NULL) {
        counted ? reply_null_array(c->reply) : reply_null(c->reply);
    } else if (counted && count == 0) {
        reply_empty_array(c->reply);
    } else if (counted) {
        pop_and_reply(c, key, e, end, (uint64_t)count);
    } else {
        struct str *element = list_pop(&e->value, end);
        reply_bulk(c->reply, str_view(element));
        str_free(element);
        list_taken(c, key, e, end, 1);
    }
}

static void lpop(struct ctx *c)
{
    pop(c, LIST_HEAD);
}

static void rpop(struct ctx *c)
{
    pop(c, LIST_TAIL);
}

// ---- of several keys ----------------------------------------------------------------------------

static void blocking_pop(struct ctx *c, enum list_end end)
{
    int64_t timeout_ms;
    int index;
    struct entry *e;
    if (!arg_timeout(c, c->argc - 1, &timeout_ms)) return;
    enum first_of found = first_of_type(c, 1, c->argc - 2, VALUE_LIST, &index, &e);
    if (found == FIRST_ERROR) return;
    if (found == FIRST_NONE) {
        block_on_args(c, 1, c->argc - 2, timeout_ms);
        return;
    }
    struct bytes key = ctx_arg(c, index);
    struct str *element = list_pop(&e->value, end);
    reply_array(c->reply, 2);
    reply_bulk(c->reply, key);
    reply_bulk(c->reply, str_view(element));
    str_free(element);
    list_taken(c, key, e, end, 1);
    ctx_propagate_as(c, 2, (struct bytes[]){bytes_from_cstr(pop_name(end)), key});
}

static void blpop(struct ctx *c)
{
    blocking_pop(c, LIST_HEAD);
}

static void brpop(struct ctx *c)
{
    blocking_pop(c, LIST_TAIL);
}

static bool parse_mpop(struct ctx *c, int at, struct mpop *m)
{
    return mpop_parse(c, at, "left", "right", m);
}

static void mpop_from(struct ctx *c, const struct mpop *m, int index, struct entry *e)
{
    struct bytes key = ctx_arg(c, index);
    enum list_end end = m->high ? LIST_TAIL : LIST_HEAD;
    uint64_t length = value_length(&e->value), count = m->wanted < length ? m->wanted : length;
    reply_array(c->reply, 2);
    reply_bulk(c->reply, key);
    pop_and_reply(c, key, e, end, count);
    mpop_propagate(c, pop_name(end), key, count);
}

static void lmpop(struct ctx *c)
{
    struct mpop m;
    int index;
    struct entry *e;
    if (!parse_mpop(c, 1, &m)) return;
    enum first_of found = first_of_type(c, m.first, m.count, VALUE_LIST, &index, &e);
    if (found == FIRST_FOUND) mpop_from(c, &m, index, e);
    if (found == FIRST_NONE) reply_null_array(c->reply);
}

static void blmpop(struct ctx *c)
{
    int64_t timeout_ms;
    struct mpop m;
    int index;
    struct entry *e;
    if (!arg_timeout(c, 1, &timeout_ms) || !parse_mpop(c, 2, &m)) return;
    enum first_of found = first_of_type(c, m.first, m.count, VALUE_LIST, &index, &e);
    if (found == FIRST_FOUND) mpop_from(c, &m, index, e);
    if (found == FIRST_NONE) block_on_args(c, m.first, m.count, timeout_ms);
}

const struct command commands_list_pop[] = {
    {"lpop", lpop, -2, CMD_WRITE | CMD_FAST, .keys = {{1, 1, 1, KEY_READ_WRITE}}, .acl = "@list"},
    {"rpop", rpop, -2, CMD_WRITE | CMD_FAST, .keys = {{1, 1, 1, KEY_READ_WRITE}}, .acl = "@list"},
    {"blpop", blpop, -3, CMD_WRITE | CMD_NOSCRIPT | CMD_BLOCKING,
     .keys = {{1, -2, 1, KEY_READ_WRITE}}, .acl = "@list"},
    {"brpop", brpop, -3, CMD_WRITE | CMD_NOSCRIPT | CMD_BLOCKING,
     .keys = {{1, -2, 1, KEY_READ_WRITE}}, .acl = "@list"},
    {"lmpop", lmpop, -4, CMD_WRITE | CMD_MOVABLE_KEYS, .get_keys = keys_counted_first_write,
     .acl = "@list"},
    {"blmpop", blmpop, -5, CMD_WRITE | CMD_BLOCKING | CMD_MOVABLE_KEYS,
     .get_keys = keys_counted_second_write, .acl = "@list"},
    {0},
};
