// SINTER, SUNION, SDIFF, their STORE forms, SINTERCARD.
#include "base/mem.h"
#include "command/args.h"
#include "command/multikey.h"
#include "command/table.h"
#include "node/notify.h"
#include "value/set.h"

#include <stdlib.h>

// The sets that take part, in the order of the arguments; NULL: there is none under that key.
struct sets {
    int count;
    const struct value **list;
};

// False: one is of another type, which was replied; then there is nothing to free.
static bool gather(struct ctx *c, int first, int count, struct sets *sets)
{
    sets->count = count;
    sets->list = mem_array(const struct value *, (size_t)count);
    for (int i = 0; i < count; i++) {
        struct bytes key = ctx_arg(c, first + i);
        struct entry *e;
        if (!ctx_find_read_type(c, key, VALUE_SET, &e)) {
            mem_free(sets->list);
            return false;
        }
        sets->list[i] = e ? &e->value : NULL;
    }
    return true;
}

static uint64_t length_of(const struct value *set)
{
    return set ? set_length(set) : 0;
}

// Where members go: into `stored`, or to the client, or nowhere but into the count.
struct outlet {
    struct ctx *c;
    struct value *stored;
    bool replied;
    uint64_t count;
};

static void put(struct outlet *out, struct bytes member)
{
    if (out->stored != NULL)
        out->count += set_add(out->stored, member, ctx_store(out->c)->limits);
    else
        out->count++;
    if (out->replied) reply_bulk(out->c->reply, member);
}

// ---- intersection -------------------------------------------------------------------------------

static int by_length(const void *a, const void *b)
{
    uint64_t left = set_length(*(const struct value *const *)a),
             right = set_length(*(const struct value *const *)b);
    return left < right ? -1 : left > right;
}

// Stops after `limit` members (0: never).
static void intersect(struct sets *sets, struct outlet *out, uint64_t limit)
{
    for (int i = 0; i < sets->count; i++)
        if (sets->list[i] == NULL) return;
    qsort(sets->list, (size_t)sets->count, sizeof(struct value *), by_length);
    struct set_iter it;
    struct bytes member;
    set_iter_begin(&it, sets->list[0]);
    while ((limit == 0 || out->count < limit) && set_iter_next(&it, &member)) {
        int i = 1;
        // The same key may be named twice.
        while (i < sets->count &&
               (sets->list[i] == sets->list[0] || set_contains(sets->list[i], member)))
            i++;
        if (i == sets->count) put(out, member);
    }
    set_iter_end(&it);
}

// ---- union and difference -----------------------------------------------------------------------

// Adds every member of `set` to `result`, or takes it out.
static void apply(struct ctx *c, struct value *result, const struct value *set, bool add)
{
    struct set_iter it;
    struct bytes member;
    if (set == NULL) return;
    set_iter_begin(&it, set);
    while (set_iter_next(&it, &member)) {
        if (add)
            set_add(result, member, ctx_store(c)->limits);
        else if (set_remove(result, member) && set_length(result) == 0)
            break;
    }
    set_iter_end(&it);
}

static void unite(struct ctx *c, const struct sets *sets, struct value *result)
{
    for (int i = 0; i < sets->count; i++)
        apply(c, result, sets->list[i], true);
}

// Looks up each member of the first set in all the others.
static void subtract_by_lookup(struct ctx *c, const struct sets *sets, struct value *result)
{
    struct set_iter it;
    struct bytes member;
    set_iter_begin(&it, sets->list[0]);
    while (set_iter_next(&it, &member)) {
        int i = 1;
        while (i < sets->count && !(sets->list[i] && set_contains(sets->list[i], member)))
            i++;
        if (i == sets->count) set_add(result, member, ctx_store(c)->limits);
    }
    set_iter_end(&it);
}

static void subtract(struct ctx *c, const struct sets *sets, struct value *result)
{
    if (sets->list[0] == NULL) return;
    uint64_t first = length_of(sets->list[0]), all = 0;
    for (int i = 0; i < sets->count; i++) {
        if (i > 0 && sets->list[i] == sets->list[0]) return;
        all += length_of(sets->list[i]);
    }
    // Either so many lookups or so many additions and removals, whichever is less; lookups stop at
    // the first hit, hence the half.
    if (first * (uint64_t)sets->count / 2 <= all) {
        subtract_by_lookup(c, sets, result);
        return;
    }
    apply(c, result, sets->list[0], true);
    for (int i = 1; i < sets->count && set_length(result) > 0; i++)
        apply(c, result, sets->list[i], false);
}

// ---- commands -----------------------------------------------------------------------------------

static void reply_members(struct ctx *c, const struct value *set)
{
    struct set_iter it;
    struct bytes member;
    reply_set(c->reply, set_length(set));
    set_iter_begin(&it, set);
    while (set_iter_next(&it, &member))
        reply_bulk(c->reply, member);
    set_iter_end(&it);
}

static void sinter(struct ctx *c)
{
    struct sets sets;
    struct outlet out = {.c = c, .replied = true};
    struct reply_deferred deferred;
    if (!gather(c, 1, c->argc - 1, &sets)) return;
    reply_begin(c->reply, &deferred);
    intersect(&sets, &out, 0);
    reply_end_set(c->reply, &deferred, out.count);
    mem_free(sets.list);
}

static void sinterstore(struct ctx *c)
{
    struct sets sets;
    struct value result;
    if (!gather(c, 2, c->argc - 2, &sets)) return;
    set_init(&result);
    struct outlet out = {.c = c, .stored = &result};
    intersect(&sets, &out, 0);
    mem_free(sets.list);
    store_result(c, ctx_arg(c, 1), &result, NOTIFY_SET, "sinterstore");
}

static void sintercard(struct ctx *c)
{
    struct sets sets;
    struct outlet out = {.c = c};
    int64_t numkeys, limit = 0;
    if (!arg_numkeys(c, 1, &numkeys)) return;
    if (numkeys > c->argc - 2) {
        reply_error(c->reply, "Number of keys can't be greater than number of args");
        return;
    }
    for (int i = 2 + (int)numkeys; i < c->argc; i += 2) {
        if (!ctx_is(c, i, "limit") || i + 1 >= c->argc) {
            ctx_syntax_error(c);
            return;
        }
        if (!arg_int_in(c, i + 1, 0, INT64_MAX, "LIMIT can't be negative", &limit)) return;
    }
    if (!gather(c, 2, (int)numkeys, &sets)) return;
    intersect(&sets, &out, (uint64_t)limit);
    reply_integer(c->reply, (int64_t)out.count);
    mem_free(sets.list);
}

typedef void combine(struct ctx *c, const struct sets *sets, struct value *result);

static void combine_and_reply(struct ctx *c, combine *how)
{
    struct sets sets;
    struct value result;
    if (!gather(c, 1, c->argc - 1, &sets)) return;
    set_init(&result);
    how(c, &sets, &result);
    mem_free(sets.list);
    reply_members(c, &result);
    store_free_value(ctx_store(c), &result);
}

static void combine_and_store(struct ctx *c, combine *how, const char *event)
{
    struct sets sets;
    struct value result;
    if (!gather(c, 2, c->argc - 2, &sets)) return;
    set_init(&result);
    how(c, &sets, &result);
    mem_free(sets.list);
    store_result(c, ctx_arg(c, 1), &result, NOTIFY_SET, event);
}

static void sunion(struct ctx *c)
{
    combine_and_reply(c, unite);
}

static void sdiff(struct ctx *c)
{
    combine_and_reply(c, subtract);
}

static void sunionstore(struct ctx *c)
{
    combine_and_store(c, unite, "sunionstore");
}

static void sdiffstore(struct ctx *c)
{
    combine_and_store(c, subtract, "sdiffstore");
}

#define STORE_KEYS .keys = {{1, 1, 1, KEY_WRITE}, {2, -1, 1, KEY_READ}}

const struct command commands_set_algebra[] = {
    {"sinter", sinter, -2, CMD_READONLY, .keys = {{1, -1, 1, KEY_READ}}, .acl = "@set"},
    {"sunion", sunion, -2, CMD_READONLY, .keys = {{1, -1, 1, KEY_READ}}, .acl = "@set"},
    {"sdiff", sdiff, -2, CMD_READONLY, .keys = {{1, -1, 1, KEY_READ}}, .acl = "@set"},
    {"sintercard", sintercard, -3, CMD_READONLY | CMD_MOVABLE_KEYS,
     .get_keys = keys_counted_first_read, .acl = "@set"},
    {"sinterstore", sinterstore, -3, CMD_WRITE | CMD_DENYOOM, STORE_KEYS, .acl = "@set"},
    {"sunionstore", sunionstore, -3, CMD_WRITE | CMD_DENYOOM, STORE_KEYS, .acl = "@set"},
    {"sdiffstore", sdiffstore, -3, CMD_WRITE | CMD_DENYOOM, STORE_KEYS, .acl = "@set"},
    {0},
};
