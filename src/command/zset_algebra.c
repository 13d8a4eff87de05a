// ZUNION, ZINTER, ZDIFF, their STORE forms, ZINTERCARD. Plain sets take part with score 1.
#include "base/mem.h"
#include "command/args.h"
#include "command/multikey.h"
#include "command/table.h"
#include "node/notify.h"
#include "value/set.h"
#include "value/zset.h"

#include <math.h>
#include <stdlib.h>

enum aggregate { SUM, MIN, MAX };

struct source {
    const struct value *v; // NULL: no such key
    double weight;
    int place; // among the arguments
};

struct algebra {
    struct ctx *c;
    int count;
    struct source *sources;
    enum aggregate aggregate;
    bool with_scores;
    int64_t limit; // ZINTERCARD; 0: none
};

// ---- sources ------------------------------------------------------------------------------------

static uint64_t source_length(const struct source *s)
{
    return s->v ? value_length(s->v) : 0;
}

static bool source_score(const struct source *s, struct bytes member, double *score)
{
    if (s->v == NULL) return false;
    if (s->v->type == VALUE_ZSET) return zset_score(s->v, member, score);
    *score = 1;
    return set_contains(s->v, member);
}

struct source_iter {
    const struct source *source;
    struct zset_iter zset;
    struct set_iter set;
};

static void source_begin(struct source_iter *it, const struct source *s)
{
    it->source = s;
    if (s->v == NULL) return;
    if (s->v->type == VALUE_ZSET)
        zset_iter_begin(&it->zset, s->v, zset_whole_span(s->v), false);
    else
        set_iter_begin(&it->set, s->v);
}

static bool source_next(struct source_iter *it, struct zset_entry *entry)
{
    if (it->source->v == NULL) return false;
    if (it->source->v->type == VALUE_ZSET) return zset_iter_next(&it->zset, entry);
    entry->score = 1;
    return set_iter_next(&it->set, &entry->member);
}

static void source_end(struct source_iter *it)
{
    if (it->source->v == NULL) return;
    if (it->source->v->type == VALUE_ZSET)
        zset_iter_end(&it->zset);
    else
        set_iter_end(&it->set);
}

// Smaller ones first: fewer lookups, and sums of doubles are added in this order.
static int by_length(const void *a, const void *b)
{
    const struct source *left = a, *right = b;
    uint64_t n = source_length(left), m = source_length(right);
    if (n != m) return n < m ? -1 : 1;
    return left->place - right->place;
}

static void sort_sources(struct algebra *a)
{
    qsort(a->sources, (size_t)a->count, sizeof(*a->sources), by_length);
}

// ---- the three operations -----------------------------------------------------------------------

static double weighted(const struct source *s, double score)
{
    double product = s->weight * score;
    return isnan(product) ? 0 : product; // infinity times nothing
}

static double aggregate(enum aggregate how, double a, double b)
{
    if (how == MIN) return b < a ? b : a;
    if (how == MAX) return b > a ? b : a;
    double sum = a + b;
    return isnan(sum) ? 0 : sum; // infinity and its opposite
}

static void unite(struct algebra *a, struct value *result)
{
    struct source_iter it;
    struct zset_entry entry;
    sort_sources(a);
    zset_reserve(result, source_length(&a->sources[a->count - 1]), ctx_store(a->c)->limits);
    for (int i = 0; i < a->count; i++) {
        source_begin(&it, &a->sources[i]);
        while (source_next(&it, &entry)) {
            double score = weighted(&a->sources[i], entry.score), so_far;
            if (zset_score(result, entry.member, &so_far))
                score = aggregate(a->aggregate, so_far, score);
            zset_set(result, entry.member, score, ctx_store(a->c)->limits);
        }
        source_end(&it);
    }
}

// Whether all other sources have the member too, and the aggregated score.
static bool in_all(const struct algebra *a, const struct zset_entry *entry, double *score)
{
    *score = weighted(&a->sources[0], entry->score);
    for (int i = 1; i < a->count; i++) {
        double other = entry->score;
        if (a->sources[i].v != a->sources[0].v &&
            !source_score(&a->sources[i], entry->member, &other))
            return false;
        *score = aggregate(a->aggregate, *score, a->sources[i].weight * other);
    }
    return true;
}

// Returns how many; `result` NULL: they are only counted, up to the limit.
static uint64_t intersect_into(struct algebra *a, struct value *result)
{
    struct source_iter it;
    struct zset_entry entry;
    double score;
    uint64_t count = 0;
    sort_sources(a);
    if (source_length(&a->sources[0]) == 0) return 0;
    source_begin(&it, &a->sources[0]);
    while ((a->limit == 0 || count < (uint64_t)a->limit) && source_next(&it, &entry)) {
        if (!in_all(a, &entry, &score)) continue;
        count++;
        if (result) zset_set(result, entry.member, score, ctx_store(a->c)->limits);
    }
    source_end(&it);
    return count;
}

static void intersect(struct algebra *a, struct value *result)
{
    intersect_into(a, result);
}

static bool in_any_other(const struct algebra *a, struct bytes member)
{
    double score;
    for (int i = 1; i < a->count; i++)
        if (source_score(&a->sources[i], member, &score)) return true;
    return false;
}

// What is left of many may be few, and is then held as few are.
static void pack_again(struct algebra *a, struct value *v)
{
    const struct value_limits *limits = ctx_store(a->c)->limits;
    if (v->encoding == ENCODING_LISTPACK || zset_length(v) > limits->zset_max_listpack_entries)
        return;
    struct value packed;
    struct zset_iter it;
    struct zset_entry entry;
    zset_init(&packed);
    zset_iter_begin(&it, v, zset_whole_span(v), false);
    while (zset_iter_next(&it, &entry))
        zset_set(&packed, entry.member, entry.score, limits);
    zset_iter_end(&it);
    store_free_value(ctx_store(a->c), v);
    *v = packed;
}

// Takes the members of all other sources out of a copy of the first: cheaper than lookups where the
// first is long and the others are short.
static void subtract_by_removal(struct algebra *a, struct value *result)
{
    struct source_iter it;
    struct zset_entry entry;
    source_begin(&it, &a->sources[0]);
    while (source_next(&it, &entry))
        zset_set(result, entry.member, entry.score, ctx_store(a->c)->limits);
    source_end(&it);
    for (int i = 1; i < a->count && zset_length(result) > 0; i++) {
        source_begin(&it, &a->sources[i]);
        while (source_next(&it, &entry))
            if (zset_remove(result, entry.member) && zset_length(result) == 0) break;
        source_end(&it);
    }
    pack_again(a, result);
}

static void subtract(struct algebra *a, struct value *result)
{
    struct source_iter it;
    struct zset_entry entry;
    uint64_t first = source_length(&a->sources[0]), all = 0;
    if (first == 0) return;
    for (int i = 0; i < a->count; i++) {
        if (i > 0 && a->sources[i].v == a->sources[0].v) return;
        all += source_length(&a->sources[i]);
    }
    if (first * (uint64_t)a->count / 2 > all) {
        subtract_by_removal(a, result);
        return;
    }
    source_begin(&it, &a->sources[0]);
    while (source_next(&it, &entry))
        if (!in_any_other(a, entry.member))
            zset_set(result, entry.member, entry.score, ctx_store(a->c)->limits);
    source_end(&it);
}

// ---- arguments ----------------------------------------------------------------------------------

static bool gather(struct algebra *a, int first)
{
    for (int i = 0; i < a->count; i++) {
        struct entry *e = ctx_find_read(a->c, ctx_arg(a->c, first + i));
        if (e != NULL && e->value.type != VALUE_ZSET && e->value.type != VALUE_SET) {
            ctx_wrong_type(a->c);
            return false;
        }
        a->sources[i] = (struct source){.v = e ? &e->value : NULL, .weight = 1, .place = i};
    }
    return true;
}

enum option { WEIGHTS = 1, WITHSCORES = 2, LIMIT = 4 }; // WEIGHTS: and AGGREGATE

static bool parse_weights(struct algebra *a, int at)
{
    for (int i = 0; i < a->count; i++) {
        if (text_to_double(ctx_arg(a->c, at + i), &a->sources[i].weight)) continue;
        reply_error(a->c->reply, "weight value is not a float");
        return false;
    }
    return true;
}

static bool parse_aggregate(struct algebra *a, int at)
{
    if (ctx_is(a->c, at, "sum"))
        a->aggregate = SUM;
    else if (ctx_is(a->c, at, "min"))
        a->aggregate = MIN;
    else if (ctx_is(a->c, at, "max"))
        a->aggregate = MAX;
    else
        return false;
    return true;
}

static bool parse_options(struct algebra *a, int at, int allowed)
{
    struct ctx *c = a->c;
    while (at < c->argc) {
        int left = c->argc - at;
        if ((allowed & WEIGHTS) && left > a->count && ctx_is(c, at, "weights")) {
            if (!parse_weights(a, at + 1)) return false;
            at += a->count + 1;
        } else if ((allowed & WEIGHTS) && left >= 2 && ctx_is(c, at, "aggregate") &&
                   parse_aggregate(a, at + 1)) {
            at += 2;
        } else if ((allowed & WITHSCORES) && ctx_is(c, at, "withscores")) {
            a->with_scores = true;
            at++;
        } else if ((allowed & LIMIT) && left >= 2 && ctx_is(c, at, "limit")) {
            if (!arg_int_in(c, at + 1, 0, INT64_MAX, "LIMIT can't be negative", &a->limit))
                return false;
            at += 2;
        } else {
            ctx_syntax_error(c);
            return false;
        }
    }
    return true;
}

// Reads numkeys at argv[at], the keys and the options. True: free a->sources at the end.
static bool parse(struct algebra *a, struct ctx *c, int at, int allowed)
{
    int64_t count;
    *a = (struct algebra){.c = c};
    if (!ctx_int(c, at, &count)) return false;
    if (count < 1) {
        reply_errorf(c->reply, "at least 1 input key is needed for '%s' command", c->command->name);
        return false;
    }
    if (count > c->argc - at - 1) {
        ctx_syntax_error(c);
        return false;
    }
    a->count = (int)count;
    a->sources = mem_array(struct source, (size_t)count);
    if (gather(a, at + 1) && parse_options(a, at + 1 + a->count, allowed)) return true;
    mem_free(a->sources);
    return false;
}

// ---- commands -----------------------------------------------------------------------------------

static void reply_result(const struct algebra *a, const struct value *result)
{
    struct reply *r = a->c->reply;
    struct zset_iter it;
    struct zset_entry entry;
    bool pairs = a->with_scores && r->resp >= 3;
    uint64_t length = zset_length(result);
    reply_array(r, a->with_scores && !pairs ? length * 2 : length);
    zset_iter_begin(&it, result, zset_whole_span(result), false);
    while (zset_iter_next(&it, &entry)) {
        if (pairs) reply_array(r, 2);
        reply_bulk(r, entry.member);
        if (a->with_scores) reply_double(r, entry.score);
    }
    zset_iter_end(&it);
}

typedef void operation(struct algebra *a, struct value *result);

static void run_and_reply(struct ctx *c, operation *operate, int allowed)
{
    struct algebra a;
    struct value result;
    if (!parse(&a, c, 1, allowed)) return;
    zset_init(&result);
    operate(&a, &result);
    reply_result(&a, &result);
    store_free_value(ctx_store(c), &result);
    mem_free(a.sources);
}

static void run_and_store(struct ctx *c, operation *operate, int allowed, const char *event)
{
    struct algebra a;
    struct value result;
    if (!parse(&a, c, 2, allowed)) return;
    zset_init(&result);
    operate(&a, &result);
    mem_free(a.sources);
    store_result(c, ctx_arg(c, 1), &result, NOTIFY_ZSET, event);
}

static void zunion(struct ctx *c)
{
    run_and_reply(c, unite, WEIGHTS | WITHSCORES);
}

static void zinter(struct ctx *c)
{
    run_and_reply(c, intersect, WEIGHTS | WITHSCORES);
}

static void zdiff(struct ctx *c)
{
    run_and_reply(c, subtract, WITHSCORES);
}

static void zunionstore(struct ctx *c)
{
    run_and_store(c, unite, WEIGHTS, "zunionstore");
}

static void zinterstore(struct ctx *c)
{
    run_and_store(c, intersect, WEIGHTS, "zinterstore");
}

static void zdiffstore(struct ctx *c)
{
    run_and_store(c, subtract, 0, "zdiffstore");
}

static void zintercard(struct ctx *c)
{
    struct algebra a;
    if (!parse(&a, c, 1, LIMIT)) return;
    reply_integer(c->reply, (int64_t)intersect_into(&a, NULL));
    mem_free(a.sources);
}

#define READS CMD_READONLY | CMD_MOVABLE_KEYS, .get_keys = keys_counted_first_read
#define STORES                                                                                     \
    CMD_WRITE | CMD_DENYOOM | CMD_MOVABLE_KEYS, .keys = {{1, 1, 1, KEY_WRITE}},                    \
                                                .get_keys = keys_stored_and_counted

const struct command commands_zset_algebra[] = {
    {"zunion", zunion, -3, READS, .acl = "@sortedset"},
    {"zinter", zinter, -3, READS, .acl = "@sortedset"},
    {"zdiff", zdiff, -3, READS, .acl = "@sortedset"},
    {"zintercard", zintercard, -3, READS, .acl = "@sortedset"},
    {"zunionstore", zunionstore, -4, STORES, .acl = "@sortedset"},
    {"zinterstore", zinterstore, -4, STORES, .acl = "@sortedset"},
    {"zdiffstore", zdiffstore, -4, STORES, .acl = "@sortedset"},
    {0},
};
