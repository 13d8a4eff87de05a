// XREAD and XREADGROUP. A call that blocks runs again as a whole when one of its streams may have
// something: `$` has then become the id that it meant.
#include "base/mem.h"
#include "command/stream_common.h"
#include "command/table.h"

// How many entries a stream gives to a client that waited and named no COUNT (Redis 7.0).
enum { COUNT_AFTER_WAITING = 1000 };
// Beyond any machine's uptime, and far from overflow in microseconds.
static const int64_t LONGEST_WAIT_MS = INT64_C(1) << 50;

struct read_args {
    bool grouped;       // XREADGROUP
    int64_t timeout_ms; // -1: no BLOCK
    uint64_t count;     // 0: all
    bool noack;
    int group, consumer; // in argv; 0: no GROUP
    int keys, streams;   // the first key's place in argv, and how many
};

// What one stream is asked for.
struct read_from {
    struct stream_id after;
    bool history; // of the consumer's pending entries, rather than entries never delivered
};

// ---- words --------------------------------------------------------------------------------------

static bool parse_block(struct ctx *c, int index, int64_t *timeout_ms)
{
    const char *why = NULL;
    if (!text_to_i64(ctx_arg(c, index), timeout_ms))
        why = "timeout is not an integer or out of range";
    else if (*timeout_ms < 0)
        why = "timeout is negative";
    if (why != NULL) reply_error(c->reply, why);
    if (*timeout_ms > LONGEST_WAIT_MS) *timeout_ms = LONGEST_WAIT_MS;
    return why == NULL;
}

static bool only_grouped(struct ctx *c, const struct read_args *a, const char *option)
{
    if (!a->grouped)
        reply_errorf(c->reply,
                     "The %s option is only supported by XREADGROUP. You called XREAD instead.",
                     option);
    return a->grouped;
}

static bool parse_streams(struct ctx *c, struct read_args *a, int first)
{
    a->keys = first;
    a->streams = (c->argc - first) / 2;
    if ((c->argc - first) % 2 == 0) return true;
    reply_error(c->reply, "Unbalanced XREAD list of streams: for each stream key an ID or '$' must "
                          "be specified.");
    return false;
}

// One option at *i and its values. False: replied.
static bool parse_option(struct ctx *c, struct read_args *a, int *i)
{
    int more = c->argc - 1 - *i;
    int64_t count;
    if (more >= 1 && ctx_is(c, *i, "block")) return parse_block(c, ++*i, &a->timeout_ms);
    if (more >= 1 && ctx_is(c, *i, "count")) {
        if (!ctx_int(c, ++*i, &count)) return false;
        a->count = count < 0 ? 0 : (uint64_t)count;
        return true;
    }
    if (more >= 2 && ctx_is(c, *i, "group")) {
        a->group = *i + 1;
        a->consumer = *i + 2;
        *i += 2;
        return only_grouped(c, a, "GROUP");
    }
    if (ctx_is(c, *i, "noack")) {
        a->noack = true;
        return only_grouped(c, a, "NOACK");
    }
    ctx_syntax_error(c);
    return false;
}

static bool parse_read(struct ctx *c, struct read_args *a, bool grouped)
{
    *a = (struct read_args){.grouped = grouped, .timeout_ms = -1};
    for (int i = 1; i < c->argc; i++) {
        if (i + 1 < c->argc && ctx_is(c, i, "streams")) {
            if (!parse_streams(c, a, i + 1)) return false;
            break;
        }
        if (!parse_option(c, a, &i)) return false;
    }
    if (a->keys == 0) {
        ctx_syntax_error(c);
        return false;
    }
    if (grouped && a->group == 0) {
        reply_error(c->reply, "Missing GROUP option for XREADGROUP");
        return false;
    }
    return true;
}

// ---- ids ----------------------------------------------------------------------------------------

static void write_id(struct ctx *c, int index, struct stream_id id)
{
    char text[STREAM_ID_TEXT_BYTES];
    size_t len = stream_id_format(text, id);
    str_free(c->argv[index]);
    c->argv[index] = str_new(text, len);
}

// The id at `index`, for the stream `s` (NULL: none there).
static bool parse_from(struct ctx *c, const struct read_args *a, int index, const struct stream *s,
                       struct read_from *from)
{
    struct bytes text = ctx_arg(c, index);
    *from = (struct read_from){.history = a->grouped};
    if (bytes_equal(text, BYTES("$"))) {
        if (a->grouped) {
            reply_error(c->reply,
                        "The $ ID is meaningless in the context of XREADGROUP: you want to read "
                        "the history of this consumer by specifying a proper ID, or use the > ID "
                        "to get new messages. The $ ID would just return an empty result set.");
            return false;
        }
        if (s != NULL) from->after = s->last_id;
        // What it means now is what it means when the call runs again.
        if (a->timeout_ms >= 0) write_id(c, index, from->after);
        return true;
    }
    if (bytes_equal(text, BYTES(">"))) {
        if (!a->grouped) {
            reply_error(c->reply, "The > ID can be specified only when calling XREADGROUP using "
                                  "the GROUP <group> <consumer> option.");
            return false;
        }
        from->history = false;
        return true;
    }
    if (!stream_id_arg(c, index, 0, &from->after)) return false;
    // Redis knows > by this id.
    if (stream_id_compare(from->after, STREAM_ID_MAX) == 0) from->history = false;
    return true;
}

// Looks at every key and id before anything is done. False: replied.
static bool parse_froms(struct ctx *c, const struct read_args *a, struct read_from *froms)
{
    for (int i = 0; i < a->streams; i++) {
        struct bytes key = ctx_arg(c, a->keys + i);
        struct stream *s;
        if (!stream_find(c, key, &s)) return false;
        if (a->grouped && (s == NULL || !stream_group_find(s, ctx_arg(c, a->group)))) {
            reply_errorf(c->reply,
                         "-NOGROUP No such key '%s' or consumer group '%s' in XREADGROUP with "
                         "GROUP option",
                         c->argv[a->keys + i]->data, c->argv[a->group]->data);
            return false;
        }
        if (!parse_from(c, a, a->keys + a->streams + i, s, &froms[i])) return false;
    }
    return true;
}

// The same for one that waited. A key that holds no stream has nothing for XREAD, but for
// XREADGROUP, which saw a stream with the group there, waiting has lost its sense.
static bool parse_froms_again(struct ctx *c, const struct read_args *a, struct read_from *froms)
{
    for (int i = 0; i < a->streams; i++) {
        struct entry *e = ctx_peek_silent(c, ctx_arg(c, a->keys + i));
        struct stream *s = e && e->value.type == VALUE_STREAM ? stream_of(&e->value) : NULL;
        const char *why = NULL;
        if (a->grouped && s == NULL)
            why = "-UNBLOCKED the stream key no longer exists";
        else if (a->grouped && stream_group_find(s, ctx_arg(c, a->group)) == NULL)
            why = "-NOGROUP the consumer group this client was blocked on no longer exists";
        if (why != NULL) {
            reply_error(c->reply, why);
            return false;
        }
        if (!parse_from(c, a, a->keys + a->streams + i, s, &froms[i])) return false;
    }
    return true;
}

// ---- reading ------------------------------------------------------------------------------------

static void reply_new(struct ctx *c, const struct read_args *a, struct bytes key,
                      const struct stream *s, struct stream_group *g,
                      struct stream_consumer *consumer)
{
    struct reply_deferred deferred;
    struct stream_iter it;
    struct stream_entry entry;
    struct stream_id from = g->last_id;
    uint64_t done = 0;
    bool moved = false;
    reply_begin(c->reply, &deferred);
    if (!stream_id_increment(&from)) from = STREAM_ID_MAX;
    stream_seek(&it, s, from, STREAM_ID_MAX, false);
    for (; (a->count == 0 || done < a->count) && stream_next(&it, &entry); done++) {
        moved |= stream_id_compare(entry.id, g->last_id) > 0;
        reply_stream_entry(c->reply, &it, &entry);
        stream_group_deliver(s, g, a->noack ? NULL : consumer, entry.id, ctx_now_ms(c));
        if (!a->noack) stream_propagate_claim(c, key, g, stream_pending_find(g, entry.id));
    }
    reply_end_array(c->reply, &deferred, done);
    // Otherwise the claims have told it.
    if (a->noack && moved) stream_propagate_group_id(c, key, g);
    consumer->active_time_ms = ctx_now_ms(c);
}

// What the consumer has pending. Entries that were deleted meanwhile come without fields.
static void reply_history(struct ctx *c, const struct read_args *a, const struct stream *s,
                          struct stream_consumer *consumer, struct stream_id after)
{
    struct reply_deferred deferred;
    struct idtree_iter it;
    struct stream_pending *pending;
    uint64_t done = 0;
    reply_begin(c->reply, &deferred);
    idtree_seek_after(&it, consumer->pending, after);
    for (; (a->count == 0 || done < a->count) && (pending = stream_pending_next(&it)); done++) {
        if (!reply_stream_entry_at(c->reply, s, pending->id)) {
            reply_array(c->reply, 2);
            reply_stream_id(c->reply, pending->id);
            reply_null_array(c->reply);
            continue;
        }
        pending->delivery_time_ms = ctx_now_ms(c);
        pending->delivery_count++;
    }
    reply_end_array(c->reply, &deferred, done);
}

// Whether the stream has something after an id. One that waits is answered as soon as ids have
// moved on, even if the entries are gone already: with none.
static bool has_after(const struct ctx *c, const struct stream *s, struct stream_id after)
{
    if (c->retry) return stream_id_compare(s->last_id, after) > 0;
    return stream_length(s) > 0 && stream_id_compare(stream_last_entry_id(s), after) > 0;
}

static void read_group(struct ctx *c, const struct read_args *a, struct bytes key,
                       const struct stream *s, struct stream_group *g, const struct read_from *from)
{
    struct bytes name = ctx_arg(c, a->consumer);
    bool is_new = stream_consumer_find(g, name) == NULL;
    struct stream_consumer *consumer = stream_consumer_seen(c, g, key, name);
    // Otherwise the claims make it.
    if (is_new && a->noack) stream_propagate_consumer(c, key, g, name);
    if (from->history)
        reply_history(c, a, s, consumer, from->after);
    else
        reply_new(c, a, key, s, g, consumer);
    c->dirty++;
}

// Replies key and entries of one stream; false when it has nothing.
static bool read_stream(struct ctx *c, const struct read_args *a, struct bytes key,
                        const struct read_from *from)
{
    struct entry *e = ctx_peek_silent(c, key);
    if (e == NULL || e->value.type != VALUE_STREAM) return false;
    struct stream *s = stream_of(&e->value);
    struct stream_group *g = a->grouped ? stream_group_find(s, ctx_arg(c, a->group)) : NULL;
    struct stream_id after = g ? g->last_id : from->after;
    if (!from->history && !has_after(c, s, after)) return false;
    if (c->reply->resp == 2) reply_array(c->reply, 2); // in RESP3 they are pairs of one map
    reply_bulk(c->reply, key);
    if (g != NULL)
        read_group(c, a, key, s, g, from);
    else if (stream_id_increment(&after))
        reply_stream_range(c->reply, s, after, STREAM_ID_MAX, false, a->count);
    return true;
}

static size_t read_all(struct ctx *c, const struct read_args *a, const struct read_from *froms)
{
    struct reply_deferred deferred;
    size_t served = 0;
    reply_begin(c->reply, &deferred);
    for (int i = 0; i < a->streams; i++)
        served += read_stream(c, a, ctx_arg(c, a->keys + i), &froms[i]);
    if (served == 0)
        reply_drop(c->reply, &deferred);
    else if (c->reply->resp == 2)
        reply_end_array(c->reply, &deferred, served);
    else
        reply_end_map(c->reply, &deferred, served);
    return served;
}

static void wait_for_streams(struct ctx *c, const struct read_args *a)
{
    struct bytes *keys = mem_array(struct bytes, (size_t)a->streams);
    for (int i = 0; i < a->streams; i++)
        keys[i] = ctx_arg(c, a->keys + i);
    if (!ctx_block(c, a->streams, keys, a->timeout_ms, a->grouped, reply_null_array))
        reply_null_array(c->reply);
    mem_free(keys);
}

static void xread_any(struct ctx *c, bool grouped)
{
    struct read_args a;
    // Replicas are told what was delivered, entry by entry.
    if (grouped) ctx_propagate_none(c);
    if (!parse_read(c, &a, grouped)) return;
    struct read_from *froms = mem_array(struct read_from, (size_t)a.streams);
    if (c->retry && a.count == 0) a.count = COUNT_AFTER_WAITING;
    if (c->retry ? parse_froms_again(c, &a, froms) : parse_froms(c, &a, froms)) {
        if (read_all(c, &a, froms) > 0)
            ;
        else if (a.timeout_ms >= 0)
            wait_for_streams(c, &a);
        else
            reply_null_array(c->reply);
    }
    mem_free(froms);
}

static void xread(struct ctx *c)
{
    xread_any(c, false);
}

static void xreadgroup(struct ctx *c)
{
    xread_any(c, true);
}

// ---- keys ---------------------------------------------------------------------------------------

// The word STREAMS, past the options; 0: not there, or the options make no sense.
static int find_streams(int argc, struct str *const *argv)
{
    for (int i = 1; i < argc; i++) {
        struct bytes word = str_view(argv[i]);
        if (bytes_equal_nocase(word, "streams")) return i;
        if (bytes_equal_nocase(word, "block") || bytes_equal_nocase(word, "count"))
            i++;
        else if (bytes_equal_nocase(word, "group"))
            i += 2;
        else if (!bytes_equal_nocase(word, "noack"))
            return 0;
    }
    return 0;
}

static int stream_keys(int argc, struct str *const *argv, struct key_ref *out, int max,
                       enum key_access access)
{
    int at = find_streams(argc, argv), words = argc - at - 1;
    if (at == 0 || words < 2) return -1;
    for (int i = 0; i < words / 2 && i < max; i++)
        out[i] = (struct key_ref){at + 1 + i, access, 0};
    return words / 2;
}

static int xread_keys(int argc, struct str *const *argv, struct key_ref *out, int max)
{
    return stream_keys(argc, argv, out, max, KEY_READ);
}

static int xreadgroup_keys(int argc, struct str *const *argv, struct key_ref *out, int max)
{
    return stream_keys(argc, argv, out, max, KEY_READ_WRITE);
}

const struct command commands_stream_read[] = {
    {"xread", xread, -4, CMD_READONLY | CMD_BLOCKING | CMD_MOVABLE_KEYS, .get_keys = xread_keys,
     .acl = "@stream"},
    {"xreadgroup", xreadgroup, -7, CMD_WRITE | CMD_BLOCKING | CMD_MOVABLE_KEYS,
     .get_keys = xreadgroup_keys, .acl = "@stream"},
    {0},
};
