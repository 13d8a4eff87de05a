// Sorted sets: members in, out, looked for, counted, walked. The other zset_*.c hold ranges, pops,
// random members and algebra.
#include "value/zset.h"

#include "base/mem.h"
#include "command/scan.h"
#include "command/table.h"
#include "command/zset_impl.h"
#include "node/notify.h"

#include <math.h>

static bool find_zset(struct ctx *c, const struct value **zset)
{
    struct entry *e;
    if (!ctx_find_read_type(c, ctx_arg(c, 1), VALUE_ZSET, &e)) return false;
    *zset = e ? &e->value : NULL;
    return true;
}

// ---- ZADD and ZINCRBY ---------------------------------------------------------------------------

static bool parse_flags(struct ctx *c, struct zadd *z)
{
    const struct {
        const char *word;
        bool *flag;
    } flags[] = {{"nx", &z->nx}, {"xx", &z->xx},      {"gt", &z->gt},
                 {"lt", &z->lt}, {"ch", &z->changed}, {"incr", &z->incr}};
    enum { FLAGS = sizeof(flags) / sizeof(flags[0]) };
    int i = 2, f = 0;
    for (; i < c->argc && f < FLAGS; i++) {
        for (f = 0; f < FLAGS && !ctx_is(c, i, flags[f].word); f++)
            ;
        if (f == FLAGS) break;
        *flags[f].flag = true;
        f = 0;
    }
    int words = c->argc - i;
    z->first = i;
    z->count = words / 2;
    if (words % 2 != 0 || words == 0) {
        ctx_syntax_error(c);
    } else if (z->nx && z->xx) {
        reply_error(c->reply, "XX and NX options at the same time are not compatible");
    } else if ((z->gt && z->nx) || (z->lt && z->nx) || (z->gt && z->lt)) {
        reply_error(c->reply, "GT, LT, and/or NX options at the same time are not compatible");
    } else if (z->incr && z->count > 1) {
        reply_error(c->reply, "INCR option supports a single increment-element pair");
    } else {
        return true;
    }
    return false;
}

// False: the increment has no result that is a number.
static bool add_one(struct ctx *c, struct zadd *z, struct value *v, struct bytes member,
                    double score)
{
    double old;
    bool there = zset_score(v, member, &old);
    if (there ? z->nx : z->xx) return true;
    if (there && z->incr) score += old;
    if (isnan(score)) {
        reply_error(c->reply, "resulting score is not a number (NaN)");
        return false;
    }
    if (there && ((z->lt && score >= old) || (z->gt && score <= old))) return true;
    z->done = true;
    z->score = score;
    enum zset_change change = zset_set(v, member, score, ctx_store(c)->limits);
    z->added += change == ZSET_ADDED;
    z->updated += change == ZSET_UPDATED;
    return true;
}

static void reply_zadd(struct ctx *c, const struct zadd *z)
{
    if (z->incr && z->done)
        reply_double(c->reply, z->score);
    else if (z->incr)
        reply_null(c->reply);
    else
        reply_integer(c->reply, (int64_t)(z->changed ? z->added + z->updated : z->added));
}

void zadd_apply(struct ctx *c, struct zadd *z)
{
    struct bytes key = ctx_arg(c, 1);
    struct entry *e;
    if (!ctx_find_write_type(c, key, VALUE_ZSET, &e)) return;
    if (e == NULL && z->xx) {
        reply_zadd(c, z);
        return;
    }
    if (e == NULL) {
        struct value zset;
        zset_init(&zset);
        e = ctx_add(c, key, &zset);
    }
    for (int i = 0; i < z->count; i++)
        if (!add_one(c, z, &e->value, ctx_arg(c, z->first + (i + 1) * z->stride - 1), z->scores[i]))
            return;
    reply_zadd(c, z);
    if (z->added + z->updated == 0) return;
    ctx_changed(c, key, z->added + z->updated);
    ctx_notify(c, NOTIFY_ZSET, z->incr ? "zincr" : "zadd", key);
    ctx_key_ready(c, key);
}

// All scores are read before anything changes.
static void zadd_pairs(struct ctx *c, struct zadd *z)
{
    double few[16], *scores = few;
    if (z->count > 16) scores = mem_array(double, (size_t)z->count);
    z->scores = scores;
    int i = 0;
    while (i < z->count && ctx_double(c, z->first + i * 2, &scores[i]))
        i++;
    if (i == z->count) zadd_apply(c, z);
    if (scores != few) mem_free(scores);
}

static void zadd(struct ctx *c)
{
    struct zadd z = {.stride = 2};
    if (parse_flags(c, &z)) zadd_pairs(c, &z);
}

static void zincrby(struct ctx *c)
{
    struct zadd z = {.incr = true, .first = 2, .count = 1, .stride = 2};
    zadd_pairs(c, &z);
}

// ---- taking out ---------------------------------------------------------------------------------

static void removed(struct ctx *c, struct entry *e, uint64_t count, const char *event)
{
    struct bytes key = ctx_arg(c, 1);
    if (count > 0) {
        ctx_notify(c, NOTIFY_ZSET, event, key);
        ctx_delete_if_empty(c, e);
        ctx_changed(c, key, count);
    }
    reply_integer(c->reply, (int64_t)count);
}

static void zrem(struct ctx *c)
{
    struct entry *e;
    uint64_t count = 0;
    if (!ctx_find_write_type(c, ctx_arg(c, 1), VALUE_ZSET, &e)) return;
    for (int i = 2; i < c->argc && e != NULL; i++)
        count += zset_remove(&e->value, ctx_arg(c, i));
    removed(c, e, count, "zrem");
}

static bool parse_score_range(struct ctx *c, struct zset_score_range *range)
{
    if (zset_score_range_parse(range, ctx_arg(c, 2), ctx_arg(c, 3))) return true;
    reply_error(c->reply, "min or max is not a float");
    return false;
}

static bool parse_lex_range(struct ctx *c, struct zset_lex_range *range)
{
    if (zset_lex_range_parse(range, ctx_arg(c, 2), ctx_arg(c, 3))) return true;
    reply_error(c->reply, "min or max not valid string range item");
    return false;
}

static void zremrangebyrank(struct ctx *c)
{
    int64_t start, stop;
    struct entry *e;
    if (!ctx_int(c, 2, &start) || !ctx_int(c, 3, &stop)) return;
    if (!ctx_find_write_type(c, ctx_arg(c, 1), VALUE_ZSET, &e)) return;
    uint64_t count =
        e ? zset_remove_span(&e->value, zset_index_span(&e->value, start, stop, false)) : 0;
    removed(c, e, count, "zremrangebyrank");
}

static void zremrangebyscore(struct ctx *c)
{
    struct zset_score_range range;
    struct entry *e;
    if (!parse_score_range(c, &range)) return;
    if (!ctx_find_write_type(c, ctx_arg(c, 1), VALUE_ZSET, &e)) return;
    uint64_t count = e ? zset_remove_span(&e->value, zset_score_span(&e->value, &range)) : 0;
    removed(c, e, count, "zremrangebyscore");
}

static void zremrangebylex(struct ctx *c)
{
    struct zset_lex_range range;
    struct entry *e;
    if (!parse_lex_range(c, &range)) return;
    if (!ctx_find_write_type(c, ctx_arg(c, 1), VALUE_ZSET, &e)) return;
    uint64_t count = e ? zset_remove_span(&e->value, zset_lex_span(&e->value, &range)) : 0;
    removed(c, e, count, "zremrangebylex");
}

// ---- looking ------------------------------------------------------------------------------------

static void zcard(struct ctx *c)
{
    const struct value *zset;
    if (find_zset(c, &zset)) reply_integer(c->reply, zset ? (int64_t)zset_length(zset) : 0);
}

static void zcount(struct ctx *c)
{
    struct zset_score_range range;
    const struct value *zset;
    if (!parse_score_range(c, &range) || !find_zset(c, &zset)) return;
    reply_integer(c->reply, zset ? (int64_t)zset_score_span(zset, &range).count : 0);
}

static void zlexcount(struct ctx *c)
{
    struct zset_lex_range range;
    const struct value *zset;
    if (!parse_lex_range(c, &range) || !find_zset(c, &zset)) return;
    reply_integer(c->reply, zset ? (int64_t)zset_lex_span(zset, &range).count : 0);
}

static void reply_score(struct ctx *c, const struct value *zset, int index)
{
    double score;
    if (zset != NULL && zset_score(zset, ctx_arg(c, index), &score))
        reply_double(c->reply, score);
    else
        reply_null(c->reply);
}

static void zscore(struct ctx *c)
{
    const struct value *zset;
    if (find_zset(c, &zset)) reply_score(c, zset, 2);
}

static void zmscore(struct ctx *c)
{
    const struct value *zset;
    if (!find_zset(c, &zset)) return;
    reply_array(c->reply, (size_t)c->argc - 2);
    for (int i = 2; i < c->argc; i++)
        reply_score(c, zset, i);
}

static void rank(struct ctx *c, bool reverse)
{
    const struct value *zset;
    uint64_t at;
    if (!find_zset(c, &zset)) return;
    if (zset == NULL || !zset_rank(zset, ctx_arg(c, 2), &at, NULL))
        reply_null(c->reply);
    else
        reply_integer(c->reply, (int64_t)(reverse ? zset_length(zset) - 1 - at : at));
}

static void zrank(struct ctx *c)
{
    rank(c, false);
}

static void zrevrank(struct ctx *c)
{
    rank(c, true);
}

// ---- walking ------------------------------------------------------------------------------------

struct zscan {
    struct scan scan;
    bool packed;
};

// A listpack holds whole numbers up to 2^62 as integers, and ZSCAN shows scores as they are held.
static void visit(void *arg, const struct zset_entry *entry)
{
    struct zscan *z = arg;
    char text[TEXT_DOUBLE_BYTES];
    double score = entry->score;
    if (!scan_seen(&z->scan, entry->member)) return;
    bool integer = z->packed && fabs(score) <= 0x1p62 && score == (double)(int64_t)score;
    size_t len = integer ? text_from_i64(text, (int64_t)score) : text_from_double(text, score);
    scan_emit(&z->scan, entry->member);
    scan_emit(&z->scan, bytes_of(text, len));
}

static void zscan(struct ctx *c)
{
    uint64_t cursor;
    const struct value *zset;
    struct zscan z;
    if (!scan_parse_cursor(c, 2, &cursor) || !find_zset(c, &zset)) return;
    if (zset == NULL) {
        scan_reply_empty(c);
        return;
    }
    if (!scan_parse(c, 2, SCAN_ELEMENTS, &z.scan)) return;
    z.packed = zset->encoding == ENCODING_LISTPACK;
    do
        z.scan.cursor = zset_scan(zset, z.scan.cursor, visit, &z);
    while (scan_more(&z.scan));
    scan_reply(&z.scan);
}

#define READS  .keys = {{1, 1, 1, KEY_READ}}, .acl = "@sortedset"
#define WRITES .keys = {{1, 1, 1, KEY_WRITE}}, .acl = "@sortedset"

const struct command commands_zset[] = {
    {"zadd", zadd, -4, CMD_WRITE | CMD_DENYOOM | CMD_FAST, WRITES},
    {"zincrby", zincrby, 4, CMD_WRITE | CMD_DENYOOM | CMD_FAST, WRITES},
    {"zrem", zrem, -3, CMD_WRITE | CMD_FAST, WRITES},
    {"zremrangebyrank", zremrangebyrank, 4, CMD_WRITE, WRITES},
    {"zremrangebyscore", zremrangebyscore, 4, CMD_WRITE, WRITES},
    {"zremrangebylex", zremrangebylex, 4, CMD_WRITE, WRITES},
    {"zcard", zcard, 2, CMD_READONLY | CMD_FAST, READS},
    {"zcount", zcount, 4, CMD_READONLY | CMD_FAST, READS},
    {"zlexcount", zlexcount, 4, CMD_READONLY | CMD_FAST, READS},
    {"zscore", zscore, 3, CMD_READONLY | CMD_FAST, READS},
    {"zmscore", zmscore, -3, CMD_READONLY | CMD_FAST, READS},
    {"zrank", zrank, 3, CMD_READONLY | CMD_FAST, READS},
    {"zrevrank", zrevrank, 3, CMD_READONLY | CMD_FAST, READS},
    {"zscan", zscan, -3, CMD_READONLY, READS},
    {0},
};
