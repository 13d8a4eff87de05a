#include "store/output.h"

#include "rdb/encode.h"

#include <string.h>

enum {
    OUTPUT_CHUNK_BYTES = 64 * 1024,
    OUTPUT_AHEAD_BYTES = 16 << 20,
    OUTPUT_PATIENCE_US = 1000000,
};

static void patience_over(struct deadline *d)
{
    struct output *o = list_entry(d, struct output, patience);
    o->sinks_stall = true;
    job_start(o->loop, o->producer);
}

void output_init(struct output *o, struct loop *loop, struct job *producer, bool summed)
{
    *o = (struct output){.loop = loop, .producer = producer, .summed = summed, .taken = INT64_MIN};
    o->patience.fire = patience_over;
    list_init(&o->sinks);
}

void output_free(struct output *o)
{
    deadline_cancel(o->loop, &o->patience);
    chunk_unref(o->chunk);
}

// ---- the stream ---------------------------------------------------------------------------------

void output_deliver(struct output *o)
{
    struct chunk *c = o->chunk;
    if (c == NULL) return;
    uint32_t len = c->len - o->sent;
    if (len > 0) {
        if (o->summed) o->crc = crc64(o->crc, c->data + o->sent, len);
        list_each_safe(at, &o->sinks)
        {
            struct snapshot_sink *sink = list_entry(at, struct snapshot_sink, link);
            sink->data(sink, c, o->sent, len);
        }
        o->bytes += len;
        o->sent = c->len;
    }
    if (c->len < c->cap) return;
    chunk_unref(c);
    o->chunk = NULL;
}

char *output_room(struct output *o, size_t *room)
{
    if (o->chunk != NULL && o->chunk->len == o->chunk->cap) output_deliver(o);
    if (o->chunk == NULL) {
        o->chunk = chunk_new(OUTPUT_CHUNK_BYTES);
        o->sent = 0;
    }
    *room = o->chunk->cap - o->chunk->len;
    return o->chunk->data + o->chunk->len;
}

void output_commit(struct output *o, size_t len)
{
    o->chunk->len += (uint32_t)len;
}

void output_append(struct output *o, struct bytes data)
{
    while (data.len > 0) {
        size_t room;
        char *to = output_room(o, &room);
        size_t part = data.len < room ? data.len : room;
        memcpy(to, data.data, part);
        output_commit(o, part);
        data = bytes_of(data.data + part, data.len - part);
    }
}

uint64_t output_produced(const struct output *o)
{
    return o->bytes + (o->chunk != NULL ? o->chunk->len - o->sent : 0);
}

// ---- how much more ------------------------------------------------------------------------------

// Of the sink that has most.
static int64_t most_room(const struct output *o)
{
    int64_t most = INT64_MIN;
    list_each(at, &o->sinks)
    {
        struct snapshot_sink *sink = list_entry(at, struct snapshot_sink, link);
        int64_t room = sink->room(sink);
        if (room > most) most = room;
    }
    return most;
}

bool output_wanted(const struct output *o)
{
    return most_room(o) > 0;
}

bool output_wanted_ahead(struct output *o)
{
    int64_t room = most_room(o), taken = INT64_MAX;
    if (__builtin_add_overflow((int64_t)o->bytes, room, &taken)) taken = INT64_MAX;
    if (taken > o->taken) {
        o->taken = taken;
        o->sinks_stall = false;
        deadline_cancel(o->loop, &o->patience);
    }
    if (room > -(int64_t)OUTPUT_AHEAD_BYTES || o->sinks_stall) return true;
    if (!deadline_armed(&o->patience))
        deadline_arm(o->loop, &o->patience, loop_now_us(o->loop) + OUTPUT_PATIENCE_US);
    return false;
}
