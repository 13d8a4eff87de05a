// ZPOPMIN, ZPOPMAX, ZMPOP and their blocking forms.
#include "command/args.h"
#include "command/multikey.h"
#include "command/table.h"
#include "node/notify.h"
#include "value/zset.h"

static const char *pop_name(bool highest)
{
    return highest ? "ZPOPMAX" : "ZPOPMIN";
}

// Writes up to `count` members with their scores, each in an array of its own if `nested`; they go.
// The header was written. Returns how many.
static void pop_and_reply(struct ctx *c, struct bytes key, struct entry *e, bool highest,
                          uint64_t count, bool nested)
{
    for (uint64_t i = 0; i < count; i++) {
        double score;
        struct str *member = zset_pop(&e->value, highest, &score);
        if (nested) reply_array(c->reply, 2);
        reply_bulk(c->reply, str_view(member));
        reply_double(c->reply, score);
        str_free(member);
    }
    ctx_notify(c, NOTIFY_ZSET, highest ? "zpopmax" : "zpopmin", key);
    ctx_delete_if_empty(c, e);
    ctx_changed(c, key, count);
}

static uint64_t at_most_all(const struct entry *e, uint64_t wanted)
{
    uint64_t length = zset_length(&e->value);
    return wanted < length ? wanted : length;
}

static void pop(struct ctx *c, bool highest)
{
    struct bytes key = ctx_arg(c, 1);
    int64_t wanted = 1;
    struct entry *e;
    if (c->argc > 3) {
        ctx_syntax_error(c);
        return;
    }
    if (c->argc == 3 && !arg_positive(c, 2, &wanted)) return;
    if (!ctx_find_write_type(c, key, VALUE_ZSET, &e)) return;
    if (e == NULL || wanted == 0) {
        reply_empty_array(c->reply);
        return;
    }
    uint64_t count = at_most_all(e, (uint64_t)wanted);
    bool nested = c->reply->resp >= 3 && c->argc == 3;
    reply_array(c->reply, nested ? count : count * 2);
    pop_and_reply(c, key, e, highest, count, nested);
}

static void zpopmin(struct ctx *c)
{
    pop(c, false);
}

static void zpopmax(struct ctx *c)
{
    pop(c, true);
}

static void blocking_pop(struct ctx *c, bool highest)
{
    int64_t timeout_ms;
    int index, keys = c->argc - 2;
    struct entry *e;
    if (!arg_timeout(c, c->argc - 1, &timeout_ms)) return;
    enum first_of found = first_of_type(c, 1, keys, VALUE_ZSET, &index, &e);
    if (found == FIRST_NONE) block_on_args(c, 1, keys, timeout_ms);
    if (found != FIRST_FOUND) return;
    struct bytes key = ctx_arg(c, index);
    reply_array(c->reply, 3);
    reply_bulk(c->reply, key);
    pop_and_reply(c, key, e, highest, 1, false);
    ctx_propagate_as(c, 2, (struct bytes[]){bytes_from_cstr(pop_name(highest)), key});
}

static void bzpopmin(struct ctx *c)
{
    blocking_pop(c, false);
}

static void bzpopmax(struct ctx *c)
{
    blocking_pop(c, true);
}

// ---- ZMPOP --------------------------------------------------------------------------------------

static enum first_of mpop(struct ctx *c, const struct mpop *m)
{
    int index;
    struct entry *e;
    enum first_of found = first_of_type(c, m->first, m->count, VALUE_ZSET, &index, &e);
    if (found != FIRST_FOUND) return found;
    struct bytes key = ctx_arg(c, index);
    uint64_t count = at_most_all(e, m->wanted);
    reply_array(c->reply, 2);
    reply_bulk(c->reply, key);
    reply_array(c->reply, count);
    pop_and_reply(c, key, e, m->high, count, true);
    mpop_propagate(c, pop_name(m->high), key, count);
    return FIRST_FOUND;
}

static void zmpop(struct ctx *c)
{
    struct mpop m;
    if (!mpop_parse(c, 1, "min", "max", &m)) return;
    if (mpop(c, &m) == FIRST_NONE) reply_null_array(c->reply);
}

static void bzmpop(struct ctx *c)
{
    int64_t timeout_ms;
    struct mpop m;
    if (!arg_timeout(c, 1, &timeout_ms) || !mpop_parse(c, 2, "min", "max", &m)) return;
    if (mpop(c, &m) == FIRST_NONE) block_on_args(c, m.first, m.count, timeout_ms);
}

const struct command commands_zset_pop[] = {
    {"zpopmin", zpopmin, -2, CMD_WRITE | CMD_FAST, .keys = {{1, 1, 1, KEY_READ_WRITE}},
     .acl = "@sortedset"},
    {"zpopmax", zpopmax, -2, CMD_WRITE | CMD_FAST, .keys = {{1, 1, 1, KEY_READ_WRITE}},
     .acl = "@sortedset"},
    {"bzpopmin", bzpopmin, -3, CMD_WRITE | CMD_NOSCRIPT | CMD_BLOCKING | CMD_FAST,
     .keys = {{1, -2, 1, KEY_READ_WRITE}}, .acl = "@sortedset"},
    {"bzpopmax", bzpopmax, -3, CMD_WRITE | CMD_NOSCRIPT | CMD_BLOCKING | CMD_FAST,
     .keys = {{1, -2, 1, KEY_READ_WRITE}}, .acl = "@sortedset"},
    {"zmpop", zmpop, -4, CMD_WRITE | CMD_MOVABLE_KEYS, .get_keys = keys_counted_first_write,
     .acl = "@sortedset"},
    {"bzmpop", bzmpop, -5, CMD_WRITE | CMD_BLOCKING | CMD_MOVABLE_KEYS,
     .get_keys = keys_counted_second_write, .acl = "@sortedset"},
    {0},
};
