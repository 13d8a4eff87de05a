// SPOP and SRANDMEMBER.
#include "base/mem.h"
#include "command/args.h"
#include "command/table.h"
#include "node/client.h"
#include "node/notify.h"
#include "value/set.h"

static struct rng *rng_of(struct ctx *c)
{
    return &ctx_store(c)->rng;
}

// ---- a random part of a set ---------------------------------------------------------------------

// `count` different members, each subset as likely; count is at most the length. When few are
// wanted they are drawn one by one and what was drawn already is drawn again; else one walk decides
// member by member.
static void reply_drawn(struct ctx *c, const struct value *set, uint64_t count)
{
    struct value drawn;
    char scratch[TEXT_I64_BYTES];
    struct bytes member;
    set_init(&drawn);
    while (count > 0 && set_random(set, rng_of(c), &member, scratch)) {
        if (!set_add(&drawn, member, ctx_store(c)->limits)) continue;
        reply_bulk(c->reply, member);
        count--;
    }
    store_free_value(ctx_store(c), &drawn);
}

static void reply_walked(struct ctx *c, const struct value *set, uint64_t count)
{
    uint64_t left = set_length(set);
    struct set_iter it;
    struct bytes member;
    set_iter_begin(&it, set);
    for (; count > 0 && set_iter_next(&it, &member); left--) {
        if (rng_below(rng_of(c), left) >= count) continue;
        reply_bulk(c->reply, member);
        count--;
    }
    set_iter_end(&it);
}

static void reply_some(struct ctx *c, const struct value *set, uint64_t count)
{
    if (count < set_length(set) / 3)
        reply_drawn(c, set, count);
    else
        reply_walked(c, set, count);
}

// ---- SRANDMEMBER --------------------------------------------------------------------------------

static void srandmember_counted(struct ctx *c, const struct value *set, int64_t count)
{
    uint64_t length = set ? set_length(set) : 0;
    if (length == 0 || count == 0) {
        reply_empty_array(c->reply);
        return;
    }
    if (count > 0) {
        if ((uint64_t)count > length) count = (int64_t)length;
        reply_array(c->reply, (size_t)count);
        reply_some(c, set, (uint64_t)count);
        return;
    }
    // The same member may come again. Whoever asks for more than fits its output is cut off.
    reply_array(c->reply, (size_t)-count);
    char scratch[TEXT_I64_BYTES];
    struct bytes member;
    for (; count < 0 && !(c->client->flags & CLIENT_CLOSING); count++) {
        set_random(set, rng_of(c), &member, scratch);
        reply_bulk(c->reply, member);
    }
}

static void srandmember(struct ctx *c)
{
    int64_t count = 0;
    struct entry *e;
    if (c->argc > 3) {
        ctx_syntax_error(c);
        return;
    }
    if (c->argc == 3 && !ctx_int_range(c, 2, -INT64_MAX, INT64_MAX, &count)) return;
    if (!ctx_find_read_type(c, ctx_arg(c, 1), VALUE_SET, &e)) return;
    if (c->argc == 3) {
        srandmember_counted(c, e ? &e->value : NULL, count);
        return;
    }
    char scratch[TEXT_I64_BYTES];
    struct bytes member;
    if (e != NULL && set_random(&e->value, rng_of(c), &member, scratch))
        reply_bulk(c->reply, member);
    else
        reply_null(c->reply);
}

// ---- SPOP ---------------------------------------------------------------------------------------

// A replica must take out the same members: it is sent SREMs of so many at a time.
enum { SREM_MEMBERS_MAX = 1024 };

struct removal {
    struct ctx *c;
    struct bytes argv[2 + SREM_MEMBERS_MAX];
    struct str *members[SREM_MEMBERS_MAX];
    int count;
};

static void removal_send(struct removal *r)
{
    if (r->count > 0) ctx_propagate_also(r->c, 2 + r->count, r->argv);
    for (int i = 0; i < r->count; i++)
        str_free(r->members[i]);
    r->count = 0;
}

static void pop_some(struct ctx *c, struct entry *e, uint64_t count)
{
    struct removal *r = mem_new(struct removal);
    r->c = c;
    r->argv[0] = BYTES("SREM");
    r->argv[1] = ctx_arg(c, 1);
    reply_set(c->reply, count);
    for (; count > 0; count--) {
        struct str *member = set_pop(&e->value, rng_of(c));
        reply_bulk(c->reply, str_view(member));
        r->members[r->count] = member;
        r->argv[2 + r->count++] = str_view(member);
        if (r->count == SREM_MEMBERS_MAX) removal_send(r);
    }
    removal_send(r);
    mem_free(r);
    ctx_propagate_none(c);
}

static void pop_all(struct ctx *c, struct entry *e)
{
    struct bytes key = ctx_arg(c, 1), member;
    struct set_iter it;
    reply_set(c->reply, set_length(&e->value));
    set_iter_begin(&it, &e->value);
    while (set_iter_next(&it, &member))
        reply_bulk(c->reply, member);
    set_iter_end(&it);
    ctx_delete(c, key);
    ctx_notify(c, NOTIFY_GENERIC, "del", key);
    ctx_propagate_as(c, 2, (struct bytes[]){BYTES("DEL"), key});
}

static void spop_counted(struct ctx *c)
{
    struct bytes key = ctx_arg(c, 1);
    int64_t wanted;
    struct entry *e;
    if (!arg_positive(c, 2, &wanted) || !ctx_find_write_type(c, key, VALUE_SET, &e)) return;
    if (e == NULL || wanted == 0) {
        reply_set(c->reply, 0);
        return;
    }
    uint64_t length = set_length(&e->value), count = (uint64_t)wanted;
    if (count > length) count = length;
    ctx_notify(c, NOTIFY_SET, "spop", key);
    if (count == length)
        pop_all(c, e);
    else
        pop_some(c, e, count);
    ctx_changed(c, key, count);
}

static void spop(struct ctx *c)
{
    if (c->argc == 3) {
        spop_counted(c);
        return;
    }
    if (c->argc > 3) {
        ctx_syntax_error(c);
        return;
    }
    struct bytes key = ctx_arg(c, 1);
    struct entry *e;
    if (!ctx_find_write_type(c, key, VALUE_SET, &e)) return;
    if (e == NULL) {
        reply_null(c->reply);
        return;
    }
    struct str *member = set_pop(&e->value, rng_of(c));
    ctx_notify(c, NOTIFY_SET, "spop", key);
    ctx_propagate_as(c, 3, (struct bytes[]){BYTES("SREM"), key, str_view(member)});
    reply_bulk(c->reply, str_view(member));
    str_free(member);
    ctx_delete_if_empty(c, e);
    ctx_changed(c, key, 1);
}

const struct command commands_set_random[] = {
    {"spop", spop, -2, CMD_WRITE | CMD_FAST, .keys = {{1, 1, 1, KEY_READ_WRITE}}, .acl = "@set"},
    {"srandmember", srandmember, -2, CMD_READONLY, .keys = {{1, 1, 1, KEY_READ}}, .acl = "@set"},
    {0},
};
