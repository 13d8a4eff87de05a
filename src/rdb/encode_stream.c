// Streams to RDB: nodes by id, the stream's numbers, groups, their pending entries, their consumers
// and whose each pending entry is. Layout: Redis 7.0 rdb.c, rdbSaveObject and what it calls.
#include "rdb/encoder.h"

enum {
    STEP_BEGIN,
    STEP_NODE_ID,
    STEP_NODE,
    STEP_META,
    STEP_GROUP,
    STEP_GROUP_NUMBERS,
    STEP_PENDING,
    STEP_CONSUMERS,
    STEP_CONSUMER,
    STEP_CONSUMER_NUMBERS,
    STEP_CONSUMER_PENDING,
};

// Whether what Redis 7.0 added is told: first id, tombstones, entries added and read.
static bool counts(const struct rdb_encoder *e)
{
    return encoder_type(e->v, e->version) != RDB_STREAM_LISTPACKS;
}

static const struct stream_group *group_of(const struct rdb_encoder *e)
{
    return stream_group_at(e->v->u.stream, e->u.stream.group);
}

static const struct stream_consumer *consumer_of(const struct rdb_encoder *e)
{
    return stream_consumer_at(group_of(e), e->u.stream.consumer);
}

static void put_raw_id(struct rdb_encoder *e, struct stream_id id)
{
    stream_id_write_raw(buf_reserve(&e->stage, STREAM_ID_RAW_BYTES), id);
    buf_commit(&e->stage, STREAM_ID_RAW_BYTES);
}

static void put_id(struct rdb_encoder *e, struct stream_id id)
{
    rdb_put_length(&e->stage, id.ms);
    rdb_put_length(&e->stage, id.seq);
}

static void enter_group(struct rdb_encoder *e)
{
    e->finished = e->u.stream.group == stream_group_count(e->v->u.stream);
    e->step = STEP_GROUP;
}

static void enter_consumer(struct rdb_encoder *e)
{
    if (e->u.stream.consumer < stream_consumer_count(group_of(e))) {
        e->step = STEP_CONSUMER;
        return;
    }
    e->u.stream.group++;
    enter_group(e);
}

static void put_node_id(struct rdb_encoder *e)
{
    struct stream_id id;
    if (!stream_nodes_next(&e->u.stream.nodes, &id, &e->u.stream.node)) {
        e->step = STEP_META;
        return;
    }
    rdb_put_length(&e->stage, STREAM_ID_RAW_BYTES);
    put_raw_id(e, id);
    e->step = STEP_NODE;
}

static void put_meta(struct rdb_encoder *e)
{
    const struct stream *s = e->v->u.stream;
    rdb_put_length(&e->stage, s->length);
    put_id(e, s->last_id);
    if (counts(e)) {
        put_id(e, s->first_id);
        put_id(e, s->max_deleted_id);
        rdb_put_length(&e->stage, s->entries_added);
    }
    rdb_put_length(&e->stage, stream_group_count(s));
    e->u.stream.group = 0;
    enter_group(e);
}

static void put_group_numbers(struct rdb_encoder *e)
{
    const struct stream_group *g = group_of(e);
    put_id(e, g->last_id);
    if (counts(e)) rdb_put_length(&e->stage, (uint64_t)g->entries_read);
    rdb_put_length(&e->stage, idtree_count(g->pending));
    idtree_seek_first(&e->u.stream.pending, g->pending);
    e->step = STEP_PENDING;
}

static void put_pending(struct rdb_encoder *e)
{
    const struct stream_pending *p = stream_pending_next(&e->u.stream.pending);
    if (p == NULL) {
        e->step = STEP_CONSUMERS;
        return;
    }
    put_raw_id(e, p->id);
    rdb_put_le64(&e->stage, (uint64_t)p->delivery_time_ms);
    rdb_put_length(&e->stage, p->delivery_count);
}

static void put_consumer_numbers(struct rdb_encoder *e)
{
    const struct stream_consumer *c = consumer_of(e);
    rdb_put_le64(&e->stage, (uint64_t)c->seen_time_ms);
    rdb_put_length(&e->stage, idtree_count(c->pending));
    idtree_seek_first(&e->u.stream.pending, c->pending);
    e->step = STEP_CONSUMER_PENDING;
}

static void put_consumer_pending(struct rdb_encoder *e)
{
    const struct stream_pending *p = stream_pending_next(&e->u.stream.pending);
    if (p != NULL) {
        put_raw_id(e, p->id);
        return;
    }
    e->u.stream.consumer++;
    enter_consumer(e);
}

void encode_stream(struct rdb_encoder *e)
{
    const struct stream *s = e->v->u.stream;
    switch (e->step) {
    case STEP_BEGIN:
        rdb_put_length(&e->stage, stream_node_count(s));
        stream_nodes_seek(&e->u.stream.nodes, s);
        e->step = STEP_NODE_ID;
        break;
    case STEP_NODE_ID:
        put_node_id(e);
        break;
    case STEP_NODE:
        encoder_put(e, e->u.stream.node);
        e->step = STEP_NODE_ID;
        break;
    case STEP_META:
        put_meta(e);
        break;
    case STEP_GROUP:
        e->step = STEP_GROUP_NUMBERS;
        encoder_put(e, str_view(group_of(e)->name));
        break;
    case STEP_GROUP_NUMBERS:
        put_group_numbers(e);
        break;
    case STEP_PENDING:
        put_pending(e);
        break;
    case STEP_CONSUMERS:
        rdb_put_length(&e->stage, stream_consumer_count(group_of(e)));
        e->u.stream.consumer = 0;
        enter_consumer(e);
        break;
    case STEP_CONSUMER:
        e->step = STEP_CONSUMER_NUMBERS;
        encoder_put(e, str_view(consumer_of(e)->name));
        break;
    case STEP_CONSUMER_NUMBERS:
        put_consumer_numbers(e);
        break;
    default:
        put_consumer_pending(e);
    }
}
