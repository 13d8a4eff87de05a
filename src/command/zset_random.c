// ZRANDMEMBER.
#include "command/table.h"
#include "node/client.h"
#include "value/set.h"
#include "value/zset.h"

struct draw {
    struct ctx *c;
    const struct value *zset;
    bool with_scores;
};

static void reply_one(const struct draw *d, const struct zset_entry *entry)
{
    struct reply *r = d->c->reply;
    if (d->with_scores && r->resp >= 3) reply_array(r, 2);
    reply_bulk(r, entry->member);
    if (d->with_scores) reply_double(r, entry->score);
}

static void reply_header(const struct draw *d, uint64_t count)
{
    bool flat = d->with_scores && d->c->reply->resp < 3;
    reply_array(d->c->reply, flat ? count * 2 : count);
}

// The same member may come again. Whoever asks for more than fits its output is cut off.
static void draw_with_repetition(const struct draw *d, uint64_t count)
{
    char scratch[TEXT_I64_BYTES];
    struct zset_entry entry;
    for (; count > 0 && !(d->c->client->flags & CLIENT_CLOSING); count--) {
        zset_random(d->zset, &ctx_store(d->c)->rng, &entry, scratch);
        reply_one(d, &entry);
    }
}

// Few of many: one by one; what was drawn already is drawn again.
static void draw_one_by_one(const struct draw *d, uint64_t count)
{
    struct store *s = ctx_store(d->c);
    struct value drawn;
    char scratch[TEXT_I64_BYTES];
    struct zset_entry entry;
    set_init(&drawn);
    while (count > 0) {
        zset_random(d->zset, &s->rng, &entry, scratch);
        if (!set_add(&drawn, entry.member, s->limits)) continue;
        reply_one(d, &entry);
        count--;
    }
    store_free_value(s, &drawn);
}

// Many of them: one walk decides member by member, so that each subset is as likely.
static void draw_by_walk(const struct draw *d, uint64_t count)
{
    uint64_t left = zset_length(d->zset);
    struct zset_iter it;
    struct zset_entry entry;
    zset_iter_begin(&it, d->zset, zset_whole_span(d->zset), false);
    for (; count > 0 && zset_iter_next(&it, &entry); left--) {
        if (rng_below(&ctx_store(d->c)->rng, left) >= count) continue;
        reply_one(d, &entry);
        count--;
    }
    zset_iter_end(&it);
}

static void draw_counted(const struct draw *d, int64_t wanted)
{
    uint64_t length = d->zset ? zset_length(d->zset) : 0;
    if (length == 0 || wanted == 0) {
        reply_empty_array(d->c->reply);
        return;
    }
    bool repeat = wanted < 0;
    uint64_t count = repeat ? (uint64_t)-wanted : (uint64_t)wanted;
    if (!repeat && count > length) count = length;
    reply_header(d, count);
    if (repeat)
        draw_with_repetition(d, count);
    else if (count < length / 3)
        draw_one_by_one(d, count);
    else
        draw_by_walk(d, count);
}

static void zrandmember(struct ctx *c)
{
    int64_t wanted = 0;
    struct entry *e;
    if (c->argc >= 3 && !ctx_int_range(c, 2, -INT64_MAX, INT64_MAX, &wanted)) return;
    if (c->argc > 4 || (c->argc == 4 && !ctx_is(c, 3, "withscores"))) {
        ctx_syntax_error(c);
        return;
    }
    // The number of elements of the reply must be a number too.
    if (c->argc == 4 && (wanted < -(INT64_MAX / 2) || wanted > INT64_MAX / 2)) {
        reply_error(c->reply, "value is out of range");
        return;
    }
    if (!ctx_find_read_type(c, ctx_arg(c, 1), VALUE_ZSET, &e)) return;
    struct draw d = {.c = c, .zset = e ? &e->value : NULL, .with_scores = c->argc == 4};
    if (c->argc >= 3) {
        draw_counted(&d, wanted);
        return;
    }
    char scratch[TEXT_I64_BYTES];
    struct zset_entry entry;
    if (e != NULL && zset_random(&e->value, &ctx_store(c)->rng, &entry, scratch))
        reply_bulk(c->reply, entry.member);
    else
        reply_null(c->reply);
}

const struct command commands_zset_random[] = {
    {"zrandmember", zrandmember, -2, CMD_READONLY, .keys = {{1, 1, 1, KEY_READ}},
     .acl = "@sortedset"},
    {0},
};
