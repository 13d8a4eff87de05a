// XINFO.
#include "command/stream_common.h"
#include "command/table.h"

static void reply_field(struct reply *r, const char *name)
{
    reply_bulk_cstr(r, name);
}

// ---- the radix tree that Redis would keep -------------------------------------------------------

// XINFO tells how many nodes Redis's radix tree of stream nodes has. Ours is another tree, so the
// number is worked out from the ids: their 16 big-endian bytes form a trie in which every chain of
// single children counts as one node (Redis 7.0 rax.h).
enum { KEY_BYTES = STREAM_ID_RAW_BYTES, COUNTED_MOST = 16384 };

struct trie {
    int branches[KEY_BYTES + 1]; // depths of the branchings above the last key, deepest last
    int depth;                   // how many
    uint64_t nodes;
};

static int shared_bytes(const char *a, const char *b)
{
    int n = 0;
    while (n < KEY_BYTES && a[n] == b[n])
        n++;
    return n;
}

// A leaf or branching `at` bytes down: itself, and the chain from its parent when there is one.
static void count_node(struct trie *t, int at, int parent)
{
    t->nodes += at > parent + 1 ? 2 : 1;
}

// The key whose neighbours share `before` and `after` bytes with it; -1: no neighbour.
static void count_key(struct trie *t, int before, int after)
{
    count_node(t, KEY_BYTES, before > after ? before : after);
    while (t->depth > 0 && t->branches[t->depth - 1] > after) {
        int closed = t->branches[--t->depth];
        int above = t->depth > 0 ? t->branches[t->depth - 1] : -1;
        count_node(t, closed, above > after ? above : after);
    }
    if (after >= 0 && (t->depth == 0 || t->branches[t->depth - 1] < after))
        t->branches[t->depth++] = after;
}

// Exact for streams of up to COUNTED_MOST nodes; beyond, as if the rest were like those.
static uint64_t radix_nodes(const struct stream *s)
{
    struct trie t = {0};
    struct idtree_iter it;
    struct stream_id id;
    struct bytes node;
    char keys[2][KEY_BYTES];
    uint64_t count = stream_node_count(s), seen = 0;
    int before = -1;
    stream_nodes_seek(&it, s);
    if (!stream_nodes_next(&it, &id, &node)) return 1;
    stream_id_write_raw(keys[0], id);
    for (;; seen++) {
        const char *key = keys[seen % 2];
        char *next = keys[(seen + 1) % 2];
        bool more = seen + 1 < COUNTED_MOST && stream_nodes_next(&it, &id, &node);
        if (more) stream_id_write_raw(next, id);
        int after = more ? shared_bytes(key, next) : -1;
        count_key(&t, before, after);
        if (!more) break;
        before = after;
    }
    return count > seen + 1 ? (uint64_t)((double)t.nodes / (double)(seen + 1) * (double)count)
                            : t.nodes;
}

// ---- XINFO STREAM -------------------------------------------------------------------------------

static void reply_summary(struct ctx *c, const struct stream *s)
{
    struct reply *r = c->reply;
    reply_field(r, "length");
    reply_integer(r, (int64_t)stream_length(s));
    reply_field(r, "radix-tree-keys");
    reply_integer(r, (int64_t)stream_node_count(s));
    reply_field(r, "radix-tree-nodes");
    reply_integer(r, (int64_t)radix_nodes(s));
    reply_field(r, "last-generated-id");
    reply_stream_id(r, s->last_id);
    reply_field(r, "max-deleted-entry-id");
    reply_stream_id(r, s->max_deleted_id);
    reply_field(r, "entries-added");
    reply_integer(r, (int64_t)s->entries_added);
    reply_field(r, "recorded-first-entry-id");
    reply_stream_id(r, s->first_id);
}

static void reply_edge(struct reply *r, const struct stream *s, const char *name, bool first)
{
    struct stream_id id;
    reply_field(r, name);
    if (stream_edge_id(s, first, &id))
        reply_stream_entry_at(r, s, id);
    else
        reply_null(r);
}

static void reply_group_position(struct reply *r, const struct stream *s,
                                 const struct stream_group *g)
{
    int64_t lag;
    reply_field(r, "last-delivered-id");
    reply_stream_id(r, g->last_id);
    reply_field(r, "entries-read");
    if (g->entries_read != STREAM_UNKNOWN)
        reply_integer(r, g->entries_read);
    else
        reply_null(r);
    reply_field(r, "lag");
    if (stream_group_lag(s, g, &lag))
        reply_integer(r, lag);
    else
        reply_null(r);
}

// Up to `count` pending entries (0: all); `owner`: with the consumer's name.
static void reply_pending(struct reply *r, const struct idtree *list, uint64_t count, bool owner)
{
    struct reply_deferred deferred;
    struct idtree_iter it;
    const struct stream_pending *pending;
    uint64_t done = 0;
    reply_field(r, "pending");
    reply_begin(r, &deferred);
    idtree_seek_first(&it, list);
    for (; (count == 0 || done < count) && (pending = stream_pending_next(&it)); done++) {
        reply_array(r, owner ? 4 : 3);
        reply_stream_id(r, pending->id);
        if (owner) reply_bulk(r, str_view(pending->consumer->name));
        reply_integer(r, pending->delivery_time_ms);
        reply_integer(r, (int64_t)pending->delivery_count);
    }
    reply_end_array(r, &deferred, done);
}

static void reply_full_consumer(struct reply *r, const struct stream_consumer *consumer,
                                uint64_t count)
{
    reply_map(r, 4);
    reply_field(r, "name");
    reply_bulk(r, str_view(consumer->name));
    reply_field(r, "seen-time");
    reply_integer(r, consumer->seen_time_ms);
    reply_field(r, "pel-count");
    reply_integer(r, (int64_t)idtree_count(consumer->pending));
    reply_pending(r, consumer->pending, count, false);
}

static void reply_full_group(struct reply *r, const struct stream *s, const struct stream_group *g,
                             uint64_t count)
{
    reply_map(r, 7);
    reply_field(r, "name");
    reply_bulk(r, str_view(g->name));
    reply_group_position(r, s, g);
    reply_field(r, "pel-count");
    reply_integer(r, (int64_t)idtree_count(g->pending));
    reply_pending(r, g->pending, count, true);
    reply_field(r, "consumers");
    reply_array(r, stream_consumer_count(g));
    for (uint32_t i = 0; i < stream_consumer_count(g); i++)
        reply_full_consumer(r, stream_consumer_at(g, i), count);
}

static void reply_full(struct ctx *c, const struct stream *s, uint64_t count)
{
    struct reply *r = c->reply;
    reply_map(r, 9);
    reply_summary(c, s);
    reply_field(r, "entries");
    reply_stream_range(r, s, STREAM_ID_MIN, STREAM_ID_MAX, false, count);
    reply_field(r, "groups");
    reply_array(r, stream_group_count(s));
    for (uint32_t i = 0; i < stream_group_count(s); i++)
        reply_full_group(r, s, stream_group_at(s, i), count);
}

// The stream at argv[2]; NULL: replied.
static const struct stream *find_stream(struct ctx *c)
{
    struct stream *s;
    if (!stream_find(c, ctx_arg(c, 2), &s)) return NULL;
    if (s == NULL) reply_error(c->reply, "no such key");
    return s;
}

enum { FULL_COUNT_DEFAULT = 10 };

static bool parse_full(struct ctx *c, bool *full, int64_t *count)
{
    *full = c->argc > 3;
    *count = FULL_COUNT_DEFAULT;
    if (c->argc == 3) return true;
    if (!ctx_is(c, 3, "full") || (c->argc != 4 && c->argc != 6) ||
        (c->argc == 6 && !ctx_is(c, 4, "count"))) {
        reply_errorf(c->reply,
                     "unknown subcommand or wrong number of arguments for '%.128s'. Try XINFO "
                     "HELP.",
                     c->argv[1]->data);
        return false;
    }
    if (c->argc == 4) return true;
    if (!ctx_int(c, 5, count)) return false;
    if (*count < 0) *count = FULL_COUNT_DEFAULT;
    return true;
}

static void xinfo_stream(struct ctx *c)
{
    bool full;
    int64_t count;
    const struct stream *s = find_stream(c);
    if (s == NULL || !parse_full(c, &full, &count)) return;
    if (full) {
        reply_full(c, s, (uint64_t)count);
        return;
    }
    reply_map(c->reply, 10);
    reply_summary(c, s);
    reply_field(c->reply, "groups");
    reply_integer(c->reply, stream_group_count(s));
    reply_edge(c->reply, s, "first-entry", true);
    reply_edge(c->reply, s, "last-entry", false);
}

// ---- XINFO GROUPS, CONSUMERS, HELP --------------------------------------------------------------

static void xinfo_groups(struct ctx *c)
{
    const struct stream *s = find_stream(c);
    struct reply *r = c->reply;
    if (s == NULL) return;
    reply_array(r, stream_group_count(s));
    for (uint32_t i = 0; i < stream_group_count(s); i++) {
        const struct stream_group *g = stream_group_at(s, i);
        reply_map(r, 6);
        reply_field(r, "name");
        reply_bulk(r, str_view(g->name));
        reply_field(r, "consumers");
        reply_integer(r, stream_consumer_count(g));
        reply_field(r, "pending");
        reply_integer(r, (int64_t)idtree_count(g->pending));
        reply_group_position(r, s, g);
    }
}

static void xinfo_consumers(struct ctx *c)
{
    const struct stream *s = find_stream(c);
    struct reply *r = c->reply;
    if (s == NULL) return;
    const struct stream_group *g = stream_group_find(s, ctx_arg(c, 3));
    if (g == NULL) {
        reply_errorf(r, "-NOGROUP No such consumer group '%s' for key name '%s'", c->argv[3]->data,
                     c->argv[2]->data);
        return;
    }
    reply_array(r, stream_consumer_count(g));
    for (uint32_t i = 0; i < stream_consumer_count(g); i++) {
        const struct stream_consumer *consumer = stream_consumer_at(g, i);
        int64_t idle = ctx_now_ms(c) - consumer->seen_time_ms;
        reply_map(r, 3);
        reply_field(r, "name");
        reply_bulk(r, str_view(consumer->name));
        reply_field(r, "pending");
        reply_integer(r, (int64_t)idtree_count(consumer->pending));
        reply_field(r, "idle");
        reply_integer(r, idle < 0 ? 0 : idle);
    }
}

static void xinfo_help(struct ctx *c)
{
    static const char *const lines[] = {
        "XINFO <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "CONSUMERS <key> <groupname>",
        "    Show consumers of <groupname>.",
        "GROUPS <key>",
        "    Show the stream consumer groups.",
        "STREAM <key> [FULL [COUNT <count>]",
        "    Show information about the stream.",
        "HELP",
        "    Prints this help.",
    };
    reply_array(c->reply, sizeof(lines) / sizeof(lines[0]));
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
        reply_status(c->reply, lines[i]);
}

static const struct command xinfo_children[] = {
    {"stream", xinfo_stream, -3, CMD_READONLY, .keys = {{2, 2, 1, KEY_READ}}, .acl = "@stream"},
    {"groups", xinfo_groups, 3, CMD_READONLY, .keys = {{2, 2, 1, KEY_READ}}, .acl = "@stream"},
    {"consumers", xinfo_consumers, 4, CMD_READONLY, .keys = {{2, 2, 1, KEY_READ}},
     .acl = "@stream"},
    {"help", xinfo_help, 2, CMD_LOADING | CMD_STALE, .acl = "@stream"},
    {0},
};

const struct command commands_stream_info[] = {
    {"xinfo", NULL, -2, 0, .children = xinfo_children},
    {0},
};
