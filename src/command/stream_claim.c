// Pending entries of consumer groups: XPENDING, XCLAIM, XAUTOCLAIM.
#include "base/mem.h"
#include "command/stream_common.h"
#include "command/table.h"

static int64_t idle_ms(struct ctx *c, const struct stream_pending *pending)
{
    return ctx_now_ms(c) - pending->delivery_time_ms;
}

// ---- XPENDING -----------------------------------------------------------------------------------

struct pending_args {
    struct stream_id start, end;
    int64_t count, min_idle_ms;
    int consumer; // in argv; 0: of all
};

static bool parse_pending(struct ctx *c, struct pending_args *a)
{
    int at = 3;
    *a = (struct pending_args){0};
    if (c->argc != 3 && (c->argc < 6 || c->argc > 9)) {
        ctx_syntax_error(c);
        return false;
    }
    if (c->argc == 3) return true;
    if (ctx_is(c, 3, "idle")) {
        if (!ctx_int(c, 4, &a->min_idle_ms)) return false;
        if (c->argc < 8) {
            ctx_syntax_error(c);
            return false;
        }
        at = 5;
    }
    if (!ctx_int(c, at + 2, &a->count)) return false;
    if (!stream_start_arg(c, at, &a->start) || !stream_end_arg(c, at + 1, &a->end)) return false;
    if (at + 3 < c->argc) a->consumer = at + 3;
    return true;
}

static void reply_summary(struct ctx *c, const struct stream_group *g)
{
    struct idtree_iter it;
    struct reply_deferred deferred;
    struct stream_id id = STREAM_ID_MIN;
    size_t consumers = 0;
    reply_array(c->reply, 4);
    reply_integer(c->reply, (int64_t)idtree_count(g->pending));
    if (idtree_count(g->pending) == 0) {
        reply_null(c->reply);
        reply_null(c->reply);
        reply_null_array(c->reply);
        return;
    }
    idtree_seek_first(&it, g->pending);
    if (idtree_next(&it, &id, NULL)) reply_stream_id(c->reply, id);
    idtree_seek_last(&it, g->pending);
    if (idtree_prev(&it, &id, NULL)) reply_stream_id(c->reply, id);
    reply_begin(c->reply, &deferred);
    for (uint32_t i = 0; i < stream_consumer_count(g); i++) {
        const struct stream_consumer *consumer = stream_consumer_at(g, i);
        if (idtree_count(consumer->pending) == 0) continue;
        reply_array(c->reply, 2);
        reply_bulk(c->reply, str_view(consumer->name));
        reply_bulk_integer(c->reply, (int64_t)idtree_count(consumer->pending));
        consumers++;
    }
    reply_end_array(c->reply, &deferred, consumers);
}

static void reply_pending(struct ctx *c, const struct idtree *list, const struct pending_args *a)
{
    struct reply_deferred deferred;
    struct idtree_iter it;
    struct stream_pending *pending;
    int64_t done = 0;
    reply_begin(c->reply, &deferred);
    idtree_seek_before(&it, list, a->start);
    while (done < a->count && (pending = stream_pending_next(&it)) &&
           stream_id_compare(pending->id, a->end) <= 0) {
        int64_t idle = idle_ms(c, pending);
        if (a->min_idle_ms != 0 && idle < a->min_idle_ms) continue;
        reply_array(c->reply, 4);
        reply_stream_id(c->reply, pending->id);
        reply_bulk(c->reply, str_view(pending->consumer->name));
        reply_integer(c->reply, idle < 0 ? 0 : idle);
        reply_integer(c->reply, (int64_t)pending->delivery_count);
        done++;
    }
    reply_end_array(c->reply, &deferred, (size_t)done);
}

static void xpending(struct ctx *c)
{
    struct pending_args a;
    struct stream *s;
    struct stream_group *g;
    if (!parse_pending(c, &a) || !stream_find_group(c, 1, 2, &s, &g)) return;
    if (c->argc == 3) {
        reply_summary(c, g);
        return;
    }
    if (a.consumer == 0) {
        reply_pending(c, g->pending, &a);
        return;
    }
    const struct stream_consumer *consumer = stream_consumer_find(g, ctx_arg(c, a.consumer));
    if (consumer != NULL)
        reply_pending(c, consumer->pending, &a);
    else
        reply_empty_array(c->reply);
}

// ---- XCLAIM -------------------------------------------------------------------------------------

struct claim_args {
    int64_t min_idle_ms, delivery_time_ms;
    int64_t retry_count; // -1: not given
    bool force, just_id;
    struct stream_id last_id;
    int ids_end; // in argv, after the last id; the first is at 5
};

static bool claim_number(struct ctx *c, int index, int64_t *out, const char *what)
{
    if (text_to_i64(ctx_arg(c, index), out)) return true;
    reply_errorf(c->reply, "Invalid %s argument for XCLAIM", what);
    return false;
}

static bool parse_claim_options(struct ctx *c, struct claim_args *a)
{
    for (int i = a->ids_end; i < c->argc; i++) {
        bool more = i + 1 < c->argc;
        if (ctx_is(c, i, "force")) {
            a->force = true;
        } else if (ctx_is(c, i, "justid")) {
            a->just_id = true;
        } else if (more && ctx_is(c, i, "idle")) {
            int64_t idle;
            if (!claim_number(c, ++i, &idle, "IDLE option")) return false;
            if (__builtin_sub_overflow(ctx_now_ms(c), idle, &a->delivery_time_ms))
                a->delivery_time_ms = -1;
        } else if (more && ctx_is(c, i, "time")) {
            if (!claim_number(c, ++i, &a->delivery_time_ms, "TIME option")) return false;
        } else if (more && ctx_is(c, i, "retrycount")) {
            if (!claim_number(c, ++i, &a->retry_count, "RETRYCOUNT option")) return false;
        } else if (more && ctx_is(c, i, "lastid")) {
            if (!stream_id_arg(c, ++i, 0, &a->last_id)) return false;
        } else {
            reply_errorf(c->reply, "Unrecognized XCLAIM option '%s'", c->argv[i]->data);
            return false;
        }
    }
    return true;
}

static bool parse_claim(struct ctx *c, struct claim_args *a)
{
    struct stream_id id;
    *a = (struct claim_args){.delivery_time_ms = -1, .retry_count = -1, .ids_end = 5};
    if (!claim_number(c, 4, &a->min_idle_ms, "min-idle-time")) return false;
    if (a->min_idle_ms < 0) a->min_idle_ms = 0;
    while (a->ids_end < c->argc && stream_id_parse(ctx_arg(c, a->ids_end), 0, &id))
        a->ids_end++;
    if (!parse_claim_options(c, a)) return false;
    // Clients may reckon with a clock that is not ours: an impossible time means now.
    if (a->delivery_time_ms < 0 || a->delivery_time_ms > ctx_now_ms(c))
        a->delivery_time_ms = ctx_now_ms(c);
    return true;
}

// The pending entry that is to change hands; NULL: leave it.
static struct stream_pending *claimable(struct ctx *c, const struct claim_args *a,
                                        const struct stream *s, struct stream_group *g,
                                        struct stream_id id)
{
    struct stream_pending *pending = stream_pending_find(g, id);
    if (!stream_has(s, id)) {
        if (pending != NULL) stream_drop_pending(c, ctx_arg(c, 1), g, pending);
        return NULL;
    }
    if (pending == NULL)
        return a->force ? stream_pending_create(g, NULL, id, ctx_now_ms(c), 1) : NULL;
    return a->min_idle_ms > 0 && idle_ms(c, pending) < a->min_idle_ms ? NULL : pending;
}

static void hand_over(struct ctx *c, struct stream_group *g, struct stream_pending *pending,
                      struct stream_consumer *to)
{
    stream_pending_assign(pending, to);
    to->active_time_ms = ctx_now_ms(c);
    stream_propagate_claim(c, ctx_arg(c, 1), g, pending);
    c->dirty++;
}

static void xclaim(struct ctx *c)
{
    struct claim_args a;
    struct stream *s;
    struct stream_group *g;
    struct stream_consumer *consumer = NULL;
    struct reply_deferred deferred;
    size_t claimed = 0;
    ctx_propagate_none(c); // replicas are told entry by entry
    if (!stream_find_group(c, 1, 2, &s, &g) || !parse_claim(c, &a)) return;
    bool tell_last_id = stream_id_compare(a.last_id, g->last_id) > 0;
    if (tell_last_id) g->last_id = a.last_id;
    reply_begin(c->reply, &deferred);
    for (int i = 5; i < a.ids_end; i++) {
        struct stream_id id;
        if (!stream_id_parse(ctx_arg(c, i), 0, &id)) continue;
        uint64_t before = c->dirty;
        struct stream_pending *pending = claimable(c, &a, s, g, id);
        if (c->dirty != before) tell_last_id = false; // in the claim that was propagated
        if (pending == NULL) continue;
        if (consumer == NULL) consumer = stream_consumer_seen(c, g, ctx_arg(c, 1), ctx_arg(c, 3));
        pending->delivery_time_ms = a.delivery_time_ms;
        if (a.retry_count >= 0)
            pending->delivery_count = (uint64_t)a.retry_count;
        else if (!a.just_id)
            pending->delivery_count++;
        if (a.just_id)
            reply_stream_id(c->reply, id);
        else
            reply_stream_entry_at(c->reply, s, id);
        claimed++;
        hand_over(c, g, pending, consumer);
        tell_last_id = false;
    }
    if (tell_last_id) {
        stream_propagate_group_id(c, ctx_arg(c, 1), g);
        c->dirty++;
    }
    reply_end_array(c->reply, &deferred, claimed);
}

// ---- XAUTOCLAIM ---------------------------------------------------------------------------------

enum { CLAIM_COUNT_DEFAULT = 100, LOOKED_AT_PER_CLAIM = 10 };

struct autoclaim_args {
    int64_t min_idle_ms, count;
    struct stream_id start;
    bool just_id;
};

static bool parse_autoclaim(struct ctx *c, struct autoclaim_args *a)
{
    *a = (struct autoclaim_args){.count = CLAIM_COUNT_DEFAULT};
    if (!text_to_i64(ctx_arg(c, 4), &a->min_idle_ms)) {
        reply_error(c->reply, "Invalid min-idle-time argument for XAUTOCLAIM");
        return false;
    }
    if (a->min_idle_ms < 0) a->min_idle_ms = 0;
    if (!stream_start_arg(c, 5, &a->start)) return false;
    for (int i = 6; i < c->argc; i++) {
        if (i + 1 < c->argc && ctx_is(c, i, "count")) {
            // The bound is how many ids fit in Redis's address space.
            if (!text_to_i64(ctx_arg(c, ++i), &a->count) || a->count < 1 ||
                a->count > INT64_MAX / (int64_t)sizeof(struct stream_id)) {
                reply_error(c->reply, "COUNT must be > 0");
                return false;
            }
        } else if (ctx_is(c, i, "justid")) {
            a->just_id = true;
        } else {
            ctx_syntax_error(c);
            return false;
        }
    }
    return true;
}

// Ids in a growing array.
struct ids {
    struct stream_id *items;
    size_t count, cap;
};

static void add_id(struct ids *ids, struct stream_id id)
{
    if (ids->count == ids->cap) {
        ids->cap = ids->cap ? 2 * ids->cap : 16;
        ids->items = mem_realloc(ids->items, ids->cap * sizeof(*ids->items));
    }
    ids->items[ids->count++] = id;
}

// Goes through the group's pending entries from a->start on, which becomes where the next call goes
// on: 0-0 when this one came to the end.
static void autoclaim(struct ctx *c, struct autoclaim_args *a, const struct stream *s,
                      struct stream_group *g, struct ids *claimed, struct ids *deleted)
{
    struct stream_consumer *consumer = NULL;
    struct stream_pending *pending;
    struct idtree_iter it;
    int64_t attempts = a->count * LOOKED_AT_PER_CLAIM, left = a->count;
    idtree_seek_before(&it, g->pending, a->start);
    while (attempts-- > 0 && left > 0 && (pending = stream_pending_next(&it))) {
        struct stream_id id = pending->id;
        if (!stream_has(s, id)) {
            stream_drop_pending(c, ctx_arg(c, 1), g, pending);
            add_id(deleted, id);
            left--;
            idtree_seek_before(&it, g->pending, id);
            continue;
        }
        if (a->min_idle_ms > 0 && idle_ms(c, pending) < a->min_idle_ms) continue;
        if (consumer == NULL) consumer = stream_consumer_seen(c, g, ctx_arg(c, 1), ctx_arg(c, 3));
        pending->delivery_time_ms = ctx_now_ms(c);
        if (!a->just_id) pending->delivery_count++;
        add_id(claimed, id);
        left--;
        hand_over(c, g, pending, consumer);
    }
    pending = stream_pending_next(&it);
    a->start = pending ? pending->id : STREAM_ID_MIN;
}

static void xautoclaim(struct ctx *c)
{
    struct autoclaim_args a;
    struct stream *s;
    struct stream_group *g;
    struct ids claimed = {0}, deleted = {0};
    ctx_propagate_none(c); // as XCLAIM
    if (!parse_autoclaim(c, &a) || !stream_find_group(c, 1, 2, &s, &g)) return;
    autoclaim(c, &a, s, g, &claimed, &deleted);
    reply_array(c->reply, 3);
    reply_stream_id(c->reply, a.start);
    reply_array(c->reply, claimed.count);
    for (size_t i = 0; i < claimed.count; i++)
        if (a.just_id)
            reply_stream_id(c->reply, claimed.items[i]);
        else
            reply_stream_entry_at(c->reply, s, claimed.items[i]);
    reply_array(c->reply, deleted.count);
    for (size_t i = 0; i < deleted.count; i++)
        reply_stream_id(c->reply, deleted.items[i]);
    mem_free(claimed.items);
    mem_free(deleted.items);
}

const struct command commands_stream_claim[] = {
    {"xpending", xpending, -3, CMD_READONLY, .keys = {{1, 1, 1, KEY_READ}}, .acl = "@stream"},
    {"xclaim", xclaim, -6, CMD_WRITE | CMD_FAST, .keys = {{1, 1, 1, KEY_READ_WRITE}},
     .acl = "@stream"},
    {"xautoclaim", xautoclaim, -6, CMD_WRITE | CMD_FAST, .keys = {{1, 1, 1, KEY_READ_WRITE}},
     .acl = "@stream"},
    {0},
};
