#include "migrate/restore.h"

#include "base/chunk.h"
#include "base/mem.h"

struct restore_stream {
    struct loop *loop;
    struct restore_decoder *decoder;
    struct chain input; // not decoded yet; one long block would be moved as it grows
    struct job job;
    const struct restore_events *events;
    void *owner;
    bool held_back, awaited;
    enum { RESTORE_DECODING, RESTORE_DECODED, RESTORE_BROKEN } state;
    struct error error;
};

static void finished(struct restore_stream *r)
{
    chain_free(&r->input);
    if (r->held_back && r->events != NULL) r->events->want(r->owner);
    r->held_back = false;
    if (!r->awaited || r->events == NULL) return;
    r->awaited = false;
    r->events->done(r->owner); // may drop us
}

static enum rdb_progress decode(struct restore_stream *r, struct budget *budget)
{
    enum rdb_progress got;
    do {
        struct bytes input = BYTES("");
        chain_peek(&r->input, &input, 1);
        size_t before = input.len;
        got = restore_decoder_push(r->decoder, &input, budget, &r->error);
        chain_consume(&r->input, before - input.len);
    } while (got == RDB_MORE && r->input.len > 0);
    return got;
}

static enum job_state step(struct job *job, struct budget *budget)
{
    struct restore_stream *r = list_entry(job, struct restore_stream, job);
    if (r->state != RESTORE_DECODING) {
        finished(r);
        return JOB_DONE;
    }
    enum rdb_progress got = decode(r, budget);
    if (got == RDB_DONE || got == RDB_FAILED) {
        r->state = got == RDB_DONE ? RESTORE_DECODED : RESTORE_BROKEN;
        finished(r);
        return JOB_DONE;
    }
    if (r->held_back && r->input.len < RESTORE_LOW_WATER_BYTES) {
        r->held_back = false;
        if (r->events != NULL) r->events->want(r->owner);
    }
    return got == RDB_BUDGET ? JOB_MORE : JOB_IDLE;
}

struct restore_stream *restore_stream_new(struct loop *loop, uint64_t length,
                                          const struct rdb_decode_options *options,
                                          bool skip_checksum)
{
    struct restore_stream *r = mem_new(struct restore_stream);
    r->loop = loop;
    r->decoder = restore_decoder_new(length, options, skip_checksum);
    chain_init(&r->input);
    job_init(&r->job, "restore", step);
    return r;
}

bool restore_stream_push(struct restore_stream *r, struct bytes piece)
{
    if (r->state != RESTORE_DECODING) return false; // what follows a broken payload is dropped
    chain_append(&r->input, piece.data, piece.len);
    job_start(r->loop, &r->job);
    r->held_back = r->input.len > RESTORE_HIGH_WATER_BYTES;
    return r->held_back;
}

void restore_stream_listen(struct restore_stream *r, const struct restore_events *events,
                           void *owner)
{
    r->events = events;
    r->owner = owner;
}

bool restore_stream_finished(const struct restore_stream *r)
{
    return r->state != RESTORE_DECODING;
}

void restore_stream_await(struct restore_stream *r)
{
    r->awaited = true;
    job_start(r->loop, &r->job); // also when it is over: `done` comes from there, never from here
}

bool restore_stream_take(struct restore_stream *r, struct value *value, struct error *error)
{
    if (r->state != RESTORE_DECODED) {
        *error = r->error;
        if (!error_is(error)) error_set(error, ERROR_CORRUPT, "the payload is not complete");
        return false;
    }
    *value = restore_decoder_take(r->decoder);
    return true;
}

void restore_stream_drop(struct restore_stream *r)
{
    job_stop(r->loop, &r->job);
    restore_decoder_free(r->decoder);
    chain_free(&r->input);
    mem_free(r);
}
