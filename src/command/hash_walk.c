// HRANDFIELD and HSCAN.
#include "command/scan.h"
#include "command/table.h"
#include "node/node.h"
#include "value/hash.h"
#include "value/set.h"

// ---- HRANDFIELD ---------------------------------------------------------------------------------

struct sample {
    struct ctx *c;
    const struct value *hash;
    bool values;
};

static void reply_pair(const struct sample *s, struct bytes field, struct bytes value)
{
    if (s->values && s->c->reply->resp > 2) reply_array(s->c->reply, 2);
    reply_bulk(s->c->reply, field);
    if (s->values) reply_bulk(s->c->reply, value);
}

static void reply_header(const struct sample *s, uint64_t count)
{
    bool flat = s->values && s->c->reply->resp == 2;
    reply_array(s->c->reply, flat ? count * 2 : count);
}

static void sample_with_repeats(const struct sample *s, uint64_t count)
{
    struct value_scratch scratch;
    struct bytes field, value;
    reply_header(s, count);
    for (uint64_t i = 0; i < count; i++) {
        hash_random(s->hash, &s->c->node->rng, &field, &value, &scratch);
        reply_pair(s, field, value);
        // A huge count ends with the client's output limit.
        if (s->c->client->flags & CLIENT_CLOSING) break;
    }
}

// One walk over the hash that takes each pair with the probability that is left for it: every
// subset is as likely. (Knuth, The Art of Computer Programming 3.4.2, algorithm S.)
static void sample_by_walk(const struct sample *s, uint64_t count)
{
    struct hash_iter it;
    struct bytes field, value;
    uint64_t left = hash_length(s->hash);
    reply_header(s, count);
    hash_iter_begin(&it, s->hash);
    while (count > 0 && hash_iter_next(&it, &field, &value)) {
        if (rng_below(&s->c->node->rng, left--) >= count) continue;
        reply_pair(s, field, value);
        count--;
    }
    hash_iter_end(&it);
}

// For a few out of many: draws until enough different ones came.
static void sample_by_draws(const struct sample *s, uint64_t count)
{
    struct value seen;
    struct value_scratch scratch;
    struct bytes field, value;
    const struct value_limits *limits = ctx_store(s->c)->limits;
    set_init(&seen);
    set_reserve(&seen, count, false, limits);
    reply_header(s, count);
    while (count > 0) {
        hash_random(s->hash, &s->c->node->rng, &field, &value, &scratch);
        if (!set_add(&seen, field, limits)) continue;
        reply_pair(s, field, value);
        count--;
    }
    value_free(&seen);
}

static void sample_distinct(const struct sample *s, uint64_t count)
{
    uint64_t size = hash_length(s->hash);
    if (count > size) count = size;
    if (count > size / 3 || s->hash->encoding == ENCODING_LISTPACK)
        sample_by_walk(s, count);
    else
        sample_by_draws(s, count);
}

static void random_one(struct ctx *c)
{
    struct entry *e;
    struct value_scratch scratch;
    struct bytes field, value;
    if (!ctx_find_read_type(c, ctx_arg(c, 1), VALUE_HASH, &e)) return;
    if (e != NULL && hash_random(&e->value, &c->node->rng, &field, &value, &scratch))
        reply_bulk(c->reply, field);
    else
        reply_null(c->reply);
}

static void hrandfield(struct ctx *c)
{
    struct entry *e;
    int64_t count;
    if (c->argc == 2) {
        random_one(c);
        return;
    }
    if (!ctx_int_range(c, 2, -INT64_MAX, INT64_MAX, &count)) return;
    if (c->argc > 4 || (c->argc == 4 && !ctx_is(c, 3, "withvalues"))) {
        ctx_syntax_error(c);
        return;
    }
    bool values = c->argc == 4;
    if (values && (count < -(INT64_MAX / 2) || count > INT64_MAX / 2)) {
        reply_error(c->reply, "value is out of range");
        return;
    }
    if (!ctx_find_read_type(c, ctx_arg(c, 1), VALUE_HASH, &e)) return;
    if (e == NULL || count == 0) {
        reply_empty_array(c->reply);
        return;
    }
    struct sample s = {c, &e->value, values};
    if (count < 0)
        sample_with_repeats(&s, (uint64_t)-count);
    else
        sample_distinct(&s, (uint64_t)count);
}

// ---- HSCAN --------------------------------------------------------------------------------------

static void scan_pair(void *arg, struct bytes field, struct bytes value)
{
    struct scan *scan = arg;
    if (!scan_seen(scan, field)) return;
    scan_emit(scan, field);
    scan_emit(scan, value);
}

static void hscan(struct ctx *c)
{
    struct entry *e;
    struct scan scan;
    uint64_t cursor;
    if (!scan_parse_cursor(c, 2, &cursor)) return;
    if (!ctx_find_read_type(c, ctx_arg(c, 1), VALUE_HASH, &e)) return;
    if (e == NULL) {
        scan_reply_empty(c);
        return;
    }
    if (!scan_parse(c, 2, SCAN_ELEMENTS, &scan)) return;
    do
        scan.cursor = hash_scan(&e->value, scan.cursor, scan_pair, &scan);
    while (scan_more(&scan));
    scan_reply(&scan);
}

const struct command commands_hash_walk[] = {
    {"hrandfield", hrandfield, -2, CMD_READONLY, .keys = {{1, 1, 1, KEY_READ}}, .acl = "@hash"},
    {"hscan", hscan, -3, CMD_READONLY, .keys = {{1, 1, 1, KEY_READ}}, .acl = "@hash"},
    {0},
};
