// LMOVE, RPOPLPUSH and their blocking forms.
#include "command/args.h"
#include "command/list_impl.h"
#include "command/table.h"

// Moves one element from the list `from` at argv[1] to the one at argv[2]. False when the target is
// of another type: that was replied, and nothing changed.
static bool move(struct ctx *c, struct entry *from, enum list_end take, enum list_end give)
{
    struct bytes source = ctx_arg(c, 1), target = ctx_arg(c, 2);
    struct entry *to;
    if (!ctx_find_write_type(c, target, VALUE_LIST, &to)) return false;
    struct str *element = list_pop(&from->value, take);
    list_give(c, target, to, give, str_view(element), 0);
    reply_bulk(c->reply, str_view(element));
    str_free(element);
    list_taken(c, source, from, take, 1);
    return true;
}

static void move_now(struct ctx *c, enum list_end take, enum list_end give)
{
    struct entry *from;
    if (!ctx_find_write_type(c, ctx_arg(c, 1), VALUE_LIST, &from)) return;
    if (from == NULL)
        reply_null(c->reply);
    else
        move(c, from, take, give);
}

static void lmove(struct ctx *c)
{
    enum list_end take, give;
    if (list_arg_end(c, 3, &take) && list_arg_end(c, 4, &give)) move_now(c, take, give);
}

static void rpoplpush(struct ctx *c)
{
    move_now(c, LIST_TAIL, LIST_HEAD);
}

// True when an element was moved.
static bool move_or_block(struct ctx *c, enum list_end take, enum list_end give, int64_t timeout_ms)
{
    struct bytes source = ctx_arg(c, 1);
    struct entry *from = ctx_find_write(c, source);
    if (from != NULL && from->value.type == VALUE_LIST) return move(c, from, take, give);
    // A key of another type is an error at first, but whoever waits already goes on waiting.
    if (from != NULL && !c->retry) {
        ctx_wrong_type(c);
        return false;
    }
    if (!ctx_block(c, 1, &source, timeout_ms, false, reply_null_array)) reply_null(c->reply);
    return false;
}

static void blmove(struct ctx *c)
{
    enum list_end take, give;
    int64_t timeout_ms;
    if (!list_arg_end(c, 3, &take) || !list_arg_end(c, 4, &give)) return;
    if (!arg_timeout(c, 5, &timeout_ms) || !move_or_block(c, take, give, timeout_ms)) return;
    ctx_propagate_as(c, 5,
                     (struct bytes[]){BYTES("LMOVE"), ctx_arg(c, 1), ctx_arg(c, 2), ctx_arg(c, 3),
                                      ctx_arg(c, 4)});
}

static void brpoplpush(struct ctx *c)
{
    int64_t timeout_ms;
    if (!arg_timeout(c, 3, &timeout_ms)) return;
    if (!move_or_block(c, LIST_TAIL, LIST_HEAD, timeout_ms)) return;
    ctx_propagate_as(c, 3, (struct bytes[]){BYTES("RPOPLPUSH"), ctx_arg(c, 1), ctx_arg(c, 2)});
}

#define FROM_TO .keys = {{1, 1, 1, KEY_READ_WRITE}, {2, 2, 1, KEY_WRITE}}

const struct command commands_list_move[] = {
    {"lmove", lmove, 5, CMD_WRITE | CMD_DENYOOM, FROM_TO, .acl = "@list"},
    {"rpoplpush", rpoplpush, 3, CMD_WRITE | CMD_DENYOOM, FROM_TO, .acl = "@list"},
    {"blmove", blmove, 6, CMD_WRITE | CMD_DENYOOM | CMD_NOSCRIPT | CMD_BLOCKING, FROM_TO,
     .acl = "@list"},
    {"brpoplpush", brpoplpush, 4, CMD_WRITE | CMD_DENYOOM | CMD_NOSCRIPT | CMD_BLOCKING, FROM_TO,
     .acl = "@list"},
    {0},
};
