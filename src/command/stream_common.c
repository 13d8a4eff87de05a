#include "command/stream_common.h"

#include "base/text.h"
#include "node/notify.h"

// ---- arguments ----------------------------------------------------------------------------------

static bool bad_id(struct ctx *c)
{
    reply_error(c->reply, "Invalid stream ID specified as stream command argument");
    return false;
}

bool stream_id_arg(struct ctx *c, int index, uint64_t missing_seq, struct stream_id *out)
{
    return stream_id_parse(ctx_arg(c, index), missing_seq, out) || bad_id(c);
}

bool stream_start_arg(struct ctx *c, int index, struct stream_id *start)
{
    bool exclusive;
    if (!stream_id_parse_bound(ctx_arg(c, index), 0, start, &exclusive)) return bad_id(c);
    if (!exclusive || stream_id_increment(start)) return true;
    reply_error(c->reply, "invalid start ID for the interval");
    return false;
}

bool stream_end_arg(struct ctx *c, int index, struct stream_id *end)
{
    bool exclusive;
    if (!stream_id_parse_bound(ctx_arg(c, index), UINT64_MAX, end, &exclusive)) return bad_id(c);
    if (!exclusive || stream_id_decrement(end)) return true;
    reply_error(c->reply, "invalid end ID for the interval");
    return false;
}

// ---- replies ------------------------------------------------------------------------------------

void reply_stream_id(struct reply *r, struct stream_id id)
{
    char text[STREAM_ID_TEXT_BYTES];
    reply_bulk(r, bytes_of(text, stream_id_format(text, id)));
}

void reply_stream_entry(struct reply *r, struct stream_iter *it, const struct stream_entry *entry)
{
    struct bytes field, value;
    reply_array(r, 2);
    reply_stream_id(r, entry->id);
    reply_array(r, 2 * entry->field_count);
    while (stream_next_field(it, &field, &value)) {
        reply_bulk(r, field);
        reply_bulk(r, value);
    }
}

bool reply_stream_entry_at(struct reply *r, const struct stream *s, struct stream_id id)
{
    struct stream_iter it;
    struct stream_entry entry;
    stream_seek(&it, s, id, id, false);
    if (!stream_next(&it, &entry)) return false;
    reply_stream_entry(r, &it, &entry);
    return true;
}

uint64_t reply_stream_range(struct reply *r, const struct stream *s, struct stream_id from,
                            struct stream_id to, bool backward, uint64_t count)
{
    struct reply_deferred deferred;
    struct stream_iter it;
    struct stream_entry entry;
    uint64_t done = 0;
    reply_begin(r, &deferred);
    stream_seek(&it, s, from, to, backward);
    while ((count == 0 || done < count) && stream_next(&it, &entry)) {
        reply_stream_entry(r, &it, &entry);
        done++;
    }
    reply_end_array(r, &deferred, done);
    return done;
}

// ---- groups -------------------------------------------------------------------------------------

bool stream_find(struct ctx *c, struct bytes key, struct stream **out)
{
    struct entry *e;
    *out = NULL;
    if (!ctx_find_read_type(c, key, VALUE_STREAM, &e)) return false;
    if (e != NULL) *out = stream_of(&e->value);
    return true;
}

bool stream_find_group(struct ctx *c, int key_index, int group_index, struct stream **s,
                       struct stream_group **g)
{
    struct bytes key = ctx_arg(c, key_index), name = ctx_arg(c, group_index);
    if (!stream_find(c, key, s)) return false;
    *g = *s ? stream_group_find(*s, name) : NULL;
    if (*g != NULL) return true;
    reply_errorf(c->reply, "-NOGROUP No such key '%s' or consumer group '%s'",
                 c->argv[key_index]->data, c->argv[group_index]->data);
    return false;
}

struct stream_consumer *stream_consumer_seen(struct ctx *c, struct stream_group *g,
                                             struct bytes key, struct bytes name)
{
    struct stream_consumer *consumer = stream_consumer_find(g, name);
    if (consumer != NULL) {
        consumer->seen_time_ms = ctx_now_ms(c);
        return consumer;
    }
    consumer = stream_consumer_create(g, name, ctx_now_ms(c));
    c->dirty++;
    ctx_notify(c, NOTIFY_STREAM, "xgroup-createconsumer", key);
    return consumer;
}

static struct bytes number(char out[TEXT_I64_BYTES], int64_t n)
{
    return bytes_of(out, text_from_i64(out, n));
}

static struct bytes id_text(char out[STREAM_ID_TEXT_BYTES], struct stream_id id)
{
    return bytes_of(out, stream_id_format(out, id));
}

void stream_propagate_claim(struct ctx *c, struct bytes key, const struct stream_group *g,
                            const struct stream_pending *pending)
{
    char id[STREAM_ID_TEXT_BYTES], last_id[STREAM_ID_TEXT_BYTES];
    char time[TEXT_I64_BYTES], count[TEXT_I64_BYTES];
    struct bytes argv[] = {
        BYTES("XCLAIM"),     key,
        str_view(g->name),   str_view(pending->consumer->name),
        BYTES("0"),          id_text(id, pending->id),
        BYTES("TIME"),       number(time, pending->delivery_time_ms),
        BYTES("RETRYCOUNT"), number(count, (int64_t)pending->delivery_count),
        BYTES("FORCE"),      BYTES("JUSTID"),
        BYTES("LASTID"),     id_text(last_id, g->last_id),
    };
    ctx_propagate_also(c, sizeof(argv) / sizeof(argv[0]), argv);
}

void stream_propagate_group_id(struct ctx *c, struct bytes key, const struct stream_group *g)
{
    char id[STREAM_ID_TEXT_BYTES], read[TEXT_I64_BYTES];
    struct bytes argv[] = {
        BYTES("XGROUP"),
        BYTES("SETID"),
        key,
        str_view(g->name),
        id_text(id, g->last_id),
        BYTES("ENTRIESREAD"),
        number(read, g->entries_read),
    };
    ctx_propagate_also(c, sizeof(argv) / sizeof(argv[0]), argv);
}

void stream_propagate_consumer(struct ctx *c, struct bytes key, const struct stream_group *g,
                               struct bytes name)
{
    struct bytes argv[] = {BYTES("XGROUP"), BYTES("CREATECONSUMER"), key, str_view(g->name), name};
    ctx_propagate_also(c, sizeof(argv) / sizeof(argv[0]), argv);
}

void stream_drop_pending(struct ctx *c, struct bytes key, struct stream_group *g,
                         const struct stream_pending *pending)
{
    // A claim of an entry that is not there drops it on the replica too.
    stream_propagate_claim(c, key, g, pending);
    stream_pending_remove(g, pending->id);
    c->dirty++;
}
