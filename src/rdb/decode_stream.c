// Streams: the nodes as they are, the stream's numbers, then groups with their pending entries and
// consumers. Redis 7.0 added numbers (type 19), Redis 7.2 a consumer's active time (type 21).
#include "base/mem.h"
#include "rdb/value_decoder.h"

// In the order in which they come; the loops go back to an earlier one.
enum {
    STREAM_COUNT,
    STREAM_NODE_ID,
    STREAM_NODE,
    STREAM_META,
    STREAM_GROUP_NAME,
    STREAM_GROUP_NUMBERS,
    STREAM_PENDING_ID,
    STREAM_PENDING_TIME,
    STREAM_PENDING_COUNT,
    STREAM_CONSUMER_COUNT,
    STREAM_CONSUMER_NAME,
    STREAM_CONSUMER_SEEN,
    STREAM_CONSUMER_ACTIVE,
    STREAM_CONSUMER_SIZE,
    STREAM_CONSUMER_PENDING,
    STREAM_END,
};

static enum rdb_progress read_numbers(struct value_decoder *d, struct rdb_reader *r, int count)
{
    struct stream_build *b = &d->stream;
    while (b->numbers_have < count) {
        RDB_TRY(rdb_reader_length(r, &b->numbers[b->numbers_have]));
        b->numbers_have++;
    }
    b->numbers_have = 0;
    return RDB_DONE;
}

static enum rdb_progress read_raw_id(struct rdb_reader *r, struct stream_id *id)
{
    const unsigned char *raw;
    RDB_TRY(rdb_reader_fixed(r, STREAM_ID_RAW_BYTES, &raw));
    *id = stream_id_read_raw((const char *)raw);
    return RDB_DONE;
}

static enum rdb_progress refuse_id(struct rdb_reader *r, const char *what, struct stream_id id)
{
    char text[STREAM_ID_TEXT_BYTES];
    size_t len = stream_id_format(text, id);
    return rdb_reader_refuse(r, ERROR_CORRUPT, "%s (%.*s)", what, (int)len, text);
}

// ---- nodes and numbers ------------------------------------------------------------------------

static enum rdb_progress on_count(struct value_decoder *d, struct rdb_reader *r)
{
    RDB_TRY(rdb_reader_length(r, &d->stream.nodes_left));
    stream_new_value(&d->value);
    d->has_value = true;
    d->step = d->stream.nodes_left ? STREAM_NODE_ID : STREAM_META;
    return RDB_DONE;
}

static enum rdb_progress on_node_id(struct value_decoder *d, struct rdb_reader *r)
{
    struct bytes raw;
    RDB_TRY(rdb_reader_string(r, &raw));
    if (raw.len != STREAM_ID_RAW_BYTES)
        return rdb_reader_refuse(r, ERROR_CORRUPT,
                                 "the id of a stream's node is not 16 bytes long");
    d->stream.id = stream_id_read_raw(raw.data);
    d->step = STREAM_NODE;
    return RDB_DONE;
}

static enum rdb_progress on_node(struct value_decoder *d, struct rdb_reader *r)
{
    struct bytes blob;
    r->layout = READER_AS_BLOCK;
    RDB_TRY(rdb_reader_string(r, &blob));
    r->layout = READER_AS_STR;
    unsigned char *block = (unsigned char *)rdb_reader_take_block(r);
    if (block == NULL) {
        block = mem_alloc(blob.len);
        if (blob.len > 0) memcpy(block, blob.data, blob.len);
    }
    struct error why = ERROR_OK;
    if (!stream_append_node(d->value.u.stream, d->stream.id, block, blob.len, &why))
        return rdb_reader_refuse(r, ERROR_CORRUPT, "%.150s", why.text);
    d->stream.nodes_left--;
    d->step = d->stream.nodes_left ? STREAM_NODE_ID : STREAM_META;
    // Every entry of the node was checked.
    return rdb_reader_work(r, 4 + decode_cost(blob.len) * 4) ? RDB_DONE : RDB_BUDGET;
}

static enum rdb_progress on_meta(struct value_decoder *d, struct rdb_reader *r)
{
    bool old = d->type == RDB_STREAM_LISTPACKS;
    int count = old ? 3 : 8;
    RDB_TRY(read_numbers(d, r, count + 1));
    const uint64_t *n = d->stream.numbers;
    struct stream_id last = {n[1], n[2]};
    struct error why = ERROR_OK;
    bool good;
    if (old) {
        good = stream_set_old_meta(d->value.u.stream, n[0], last, &why);
    } else {
        struct stream_meta meta = {n[0], last, {n[3], n[4]}, {n[5], n[6]}, n[7]};
        good = stream_set_meta(d->value.u.stream, &meta, &why);
    }
    if (!good) return rdb_reader_refuse(r, ERROR_CORRUPT, "%.150s", why.text);
    d->stream.groups_left = n[count];
    d->step = d->stream.groups_left ? STREAM_GROUP_NAME : STREAM_END;
    return RDB_DONE;
}

// ---- groups -----------------------------------------------------------------------------------

static enum rdb_progress on_name(struct value_decoder *d, struct rdb_reader *r)
{
    struct bytes name;
    RDB_TRY(rdb_reader_string(r, &name));
    kept_set(&d->first, r, name);
    d->step = d->step == STREAM_GROUP_NAME ? STREAM_GROUP_NUMBERS : STREAM_CONSUMER_SEEN;
    return RDB_DONE;
}

static enum rdb_progress on_group_numbers(struct value_decoder *d, struct rdb_reader *r)
{
    struct stream_build *b = &d->stream;
    bool old = d->type == RDB_STREAM_LISTPACKS;
    RDB_TRY(read_numbers(d, r, old ? 3 : 4));
    const uint64_t *n = b->numbers;
    struct stream *s = d->value.u.stream;
    struct stream_id last = {n[0], n[1]};
    // Before Redis 7.0 nobody counted: what can be told from the last id is taken.
    int64_t entries_read = old ? stream_distance(s, last) : (int64_t)n[2];
    struct bytes name = kept_view(&d->first);
    b->group = stream_group_create(s, name, last, entries_read);
    if (b->group == NULL) return decode_twice(r, "consumer group", name);
    b->pending_left = n[old ? 2 : 3];
    d->step = b->pending_left ? STREAM_PENDING_ID : STREAM_CONSUMER_COUNT;
    return RDB_DONE;
}

static enum rdb_progress on_pending_count(struct value_decoder *d, struct rdb_reader *r)
{
    struct stream_build *b = &d->stream;
    uint64_t deliveries;
    RDB_TRY(rdb_reader_length(r, &deliveries));
    if (!stream_group_add_pending(b->group, b->id, b->time_ms, deliveries))
        return refuse_id(r, "a pending entry comes twice in its group", b->id);
    b->pending_left--;
    d->step = b->pending_left ? STREAM_PENDING_ID : STREAM_CONSUMER_COUNT;
    return rdb_reader_work(r, 8) ? RDB_DONE : RDB_BUDGET;
}

// ---- consumers --------------------------------------------------------------------------------

static enum rdb_progress next_group(struct value_decoder *d, struct rdb_reader *r)
{
    struct stream_build *b = &d->stream;
    if (b->consumers_left > 0) {
        d->step = STREAM_CONSUMER_NAME;
        return RDB_DONE;
    }
    if (!stream_group_is_whole(b->group))
        return rdb_reader_refuse(r, ERROR_CORRUPT, "a pending entry belongs to no consumer");
    b->groups_left--;
    d->step = b->groups_left ? STREAM_GROUP_NAME : STREAM_END;
    return RDB_DONE;
}

static enum rdb_progress on_consumer_count(struct value_decoder *d, struct rdb_reader *r)
{
    RDB_TRY(rdb_reader_length(r, &d->stream.consumers_left));
    return next_group(d, r);
}

static enum rdb_progress on_time(struct value_decoder *d, struct rdb_reader *r, int64_t *time_ms)
{
    uint64_t bits;
    RDB_TRY(rdb_reader_le64(r, &bits));
    *time_ms = (int64_t)bits;
    d->step++;
    return RDB_DONE;
}

// After the seen time the consumer is made: it has a name by then, and no other may have it.
static enum rdb_progress on_seen(struct value_decoder *d, struct rdb_reader *r)
{
    struct stream_build *b = &d->stream;
    RDB_TRY(on_time(d, r, &b->time_ms));
    struct bytes name = kept_view(&d->first);
    b->consumer = stream_consumer_create(b->group, name, b->time_ms);
    if (b->consumer == NULL) return decode_twice(r, "Duplicate stream consumer detected:", name);
    b->consumer->active_time_ms = b->time_ms;
    if (d->type != RDB_STREAM_LISTPACKS_3) d->step = STREAM_CONSUMER_SIZE;
    return RDB_DONE;
}

static enum rdb_progress after_consumer(struct value_decoder *d, struct rdb_reader *r)
{
    if (d->stream.pending_left > 0) {
        d->step = STREAM_CONSUMER_PENDING;
        return RDB_DONE;
    }
    d->stream.consumers_left--;
    return next_group(d, r);
}

static enum rdb_progress on_consumer_size(struct value_decoder *d, struct rdb_reader *r)
{
    RDB_TRY(rdb_reader_length(r, &d->stream.pending_left));
    RDB_TRY(after_consumer(d, r));
    return rdb_reader_work(r, 16) ? RDB_DONE : RDB_BUDGET;
}

static enum rdb_progress on_consumer_pending(struct value_decoder *d, struct rdb_reader *r)
{
    struct stream_build *b = &d->stream;
    RDB_TRY(read_raw_id(r, &b->id));
    if (!stream_consumer_add_pending(b->group, b->consumer, b->id))
        return refuse_id(
            r, "a consumer has a pending entry that is not its group's, or is another's", b->id);
    b->pending_left--;
    RDB_TRY(after_consumer(d, r));
    return rdb_reader_work(r, 8) ? RDB_DONE : RDB_BUDGET;
}

static enum rdb_progress step(struct value_decoder *d, struct rdb_reader *r)
{
    switch (d->step) {
    case STREAM_COUNT:
        return on_count(d, r);
    case STREAM_NODE_ID:
        return on_node_id(d, r);
    case STREAM_NODE:
        return on_node(d, r);
    case STREAM_META:
        return on_meta(d, r);
    case STREAM_GROUP_NAME:
    case STREAM_CONSUMER_NAME:
        return on_name(d, r);
    case STREAM_GROUP_NUMBERS:
        return on_group_numbers(d, r);
    case STREAM_PENDING_ID:
        RDB_TRY(read_raw_id(r, &d->stream.id));
        d->step = STREAM_PENDING_TIME;
        return RDB_DONE;
    case STREAM_PENDING_TIME:
        return on_time(d, r, &d->stream.time_ms);
    case STREAM_PENDING_COUNT:
        return on_pending_count(d, r);
    case STREAM_CONSUMER_COUNT:
        return on_consumer_count(d, r);
    case STREAM_CONSUMER_SEEN:
        return on_seen(d, r);
    case STREAM_CONSUMER_ACTIVE:
        return on_time(d, r, &d->stream.consumer->active_time_ms);
    case STREAM_CONSUMER_SIZE:
        return on_consumer_size(d, r);
    default:
        return on_consumer_pending(d, r);
    }
}

enum rdb_progress decode_stream(struct value_decoder *d, struct rdb_reader *r)
{
    if (d->step == STREAM_COUNT) r->layout = READER_AS_STR;
    while (d->step != STREAM_END)
        RDB_TRY(step(d, r));
    return RDB_DONE;
}
