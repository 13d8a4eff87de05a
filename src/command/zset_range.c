// ZRANGE in all its forms, ZRANGESTORE, and the older commands that each are one form of it.
#include "command/multikey.h"
#include "command/table.h"
#include "node/notify.h"
#include "value/zset.h"

enum range_kind { BY_ANY, BY_RANK, BY_SCORE, BY_LEX }; // BY_ANY: the arguments may say
enum range_direction { EITHER_WAY, FORWARD, BACKWARD };

struct range {
    enum range_kind kind;
    enum range_direction direction;
    bool with_scores, stored;
    int64_t offset, limit; // limit -1: none
    int key;               // argv: key min max
    int64_t start, stop;
    struct zset_score_range scores;
    struct zset_lex_range texts;
};

static bool parse_options(struct ctx *c, struct range *r)
{
    for (int i = r->key + 3; i < c->argc; i++) {
        if (!r->stored && ctx_is(c, i, "withscores")) {
            r->with_scores = true;
        } else if (ctx_is(c, i, "limit") && i + 2 < c->argc) {
            if (!ctx_int(c, i + 1, &r->offset) || !ctx_int(c, i + 2, &r->limit)) return false;
            i += 2;
        } else if (r->direction == EITHER_WAY && ctx_is(c, i, "rev")) {
            r->direction = BACKWARD;
        } else if (r->kind == BY_ANY && ctx_is(c, i, "bylex")) {
            r->kind = BY_LEX;
        } else if (r->kind == BY_ANY && ctx_is(c, i, "byscore")) {
            r->kind = BY_SCORE;
        } else {
            ctx_syntax_error(c);
            return false;
        }
    }
    if (r->kind == BY_ANY) r->kind = BY_RANK;
    if (r->limit != -1 && r->kind == BY_RANK) {
        reply_error(c->reply, "syntax error, LIMIT is only supported in combination with either "
                              "BYSCORE or BYLEX");
        return false;
    }
    if (r->with_scores && r->kind == BY_LEX) {
        reply_error(c->reply, "syntax error, WITHSCORES not supported in combination with BYLEX");
        return false;
    }
    return true;
}

static bool parse_bounds(struct ctx *c, struct range *r)
{
    if (r->kind == BY_RANK)
        return ctx_int(c, r->key + 1, &r->start) && ctx_int(c, r->key + 2, &r->stop);
    // Backwards the higher bound comes first.
    bool swapped = r->direction == BACKWARD;
    struct bytes min = ctx_arg(c, r->key + (swapped ? 2 : 1)),
                 max = ctx_arg(c, r->key + (swapped ? 1 : 2));
    if (r->kind == BY_SCORE) {
        if (zset_score_range_parse(&r->scores, min, max)) return true;
        reply_error(c->reply, "min or max is not a float");
    } else {
        if (zset_lex_range_parse(&r->texts, min, max)) return true;
        reply_error(c->reply, "min or max not valid string range item");
    }
    return false;
}

static struct zset_span span_of(const struct range *r, const struct value *zset)
{
    bool reverse = r->direction == BACKWARD;
    if (r->kind == BY_RANK) return zset_index_span(zset, r->start, r->stop, reverse);
    struct zset_span span =
        r->kind == BY_SCORE ? zset_score_span(zset, &r->scores) : zset_lex_span(zset, &r->texts);
    return zset_limit_span(span, r->offset, r->limit, reverse);
}

static void reply_span(struct ctx *c, const struct range *r, const struct value *zset)
{
    struct zset_span span = span_of(r, zset);
    struct zset_iter it;
    struct zset_entry entry;
    bool pairs = r->with_scores && c->reply->resp >= 3;
    reply_array(c->reply, r->with_scores && !pairs ? span.count * 2 : span.count);
    zset_iter_begin(&it, zset, span, r->direction == BACKWARD);
    while (zset_iter_next(&it, &entry)) {
        if (pairs) reply_array(c->reply, 2);
        reply_bulk(c->reply, entry.member);
        if (r->with_scores) reply_double(c->reply, entry.score);
    }
    zset_iter_end(&it);
}

static void store_span(struct ctx *c, const struct range *r, const struct value *zset)
{
    struct value result;
    zset_init(&result);
    if (zset != NULL) {
        struct zset_span span = span_of(r, zset);
        struct zset_iter it;
        struct zset_entry entry;
        zset_reserve(&result, span.count, ctx_store(c)->limits);
        zset_iter_begin(&it, zset, span, r->direction == BACKWARD);
        while (zset_iter_next(&it, &entry))
            zset_set(&result, entry.member, entry.score, ctx_store(c)->limits);
        zset_iter_end(&it);
    }
    store_result(c, ctx_arg(c, 1), &result, NOTIFY_ZSET, "zrangestore");
}

static void range(struct ctx *c, enum range_kind kind, enum range_direction direction, bool stored)
{
    struct range r = {
        .kind = kind, .direction = direction, .stored = stored, .limit = -1, .key = stored ? 2 : 1};
    struct entry *e;
    if (!parse_options(c, &r) || !parse_bounds(c, &r)) return;
    if (!ctx_find_read_type(c, ctx_arg(c, r.key), VALUE_ZSET, &e)) return;
    if (stored)
        store_span(c, &r, e ? &e->value : NULL);
    else if (e == NULL)
        reply_empty_array(c->reply);
    else
        reply_span(c, &r, &e->value);
}

static void zrange(struct ctx *c)
{
    range(c, BY_ANY, EITHER_WAY, false);
}

static void zrangestore(struct ctx *c)
{
    range(c, BY_ANY, EITHER_WAY, true);
}

static void zrevrange(struct ctx *c)
{
    range(c, BY_RANK, BACKWARD, false);
}

static void zrangebyscore(struct ctx *c)
{
    range(c, BY_SCORE, FORWARD, false);
}

static void zrevrangebyscore(struct ctx *c)
{
    range(c, BY_SCORE, BACKWARD, false);
}

static void zrangebylex(struct ctx *c)
{
    range(c, BY_LEX, FORWARD, false);
}

static void zrevrangebylex(struct ctx *c)
{
    range(c, BY_LEX, BACKWARD, false);
}

#define READS .keys = {{1, 1, 1, KEY_READ}}, .acl = "@sortedset"

const struct command commands_zset_range[] = {
    {"zrange", zrange, -4, CMD_READONLY, READS},
    {"zrevrange", zrevrange, -4, CMD_READONLY, READS},
    {"zrangebyscore", zrangebyscore, -4, CMD_READONLY, READS},
    {"zrevrangebyscore", zrevrangebyscore, -4, CMD_READONLY, READS},
    {"zrangebylex", zrangebylex, -4, CMD_READONLY, READS},
    {"zrevrangebylex", zrevrangebylex, -4, CMD_READONLY, READS},
    {"zrangestore", zrangestore, -5, CMD_WRITE | CMD_DENYOOM,
     .keys = {{1, 1, 1, KEY_WRITE}, {2, 2, 1, KEY_READ}}, .acl = "@sortedset"},
    {0},
};
