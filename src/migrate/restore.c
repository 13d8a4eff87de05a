#include "migrate/restore.h"

#include "base/mem.h"

struct restore_stream {
    struct loop *loop;
    struct restore_decoder *decoder;
    struct buf input;
    struct job job;
    const struct restore_events *events;
    void *owner;
    bool held_back, awaited;
    enum { RESTORE_DECODING, RESTORE_DECODED, RESTORE_BROKEN } state;
    struct error error;
};

static void finished(struct restore_stream *r)
{
    buf_free(&r->input);
    if (r->held_back && r->events != NULL) r->events->want(r->owner);
    r->held_back = false;
    if (!r->awaited || r->events == NULL) return;
    r->awaited = false;
    r->events->done(r->owner); // may drop us
}

static enum job_state step(struct job *job, struct budget *budget)
{
    struct restore_stream *r = list_entry(job, struct restore_stream, job);
    if (r->state != RESTORE_DECODING) {
        finished(r);
        return JOB_DONE;
    }
    struct bytes input = buf_view(&r->input);
    size_t before = input.len;
    enum rdb_progress got = restore_decoder_push(r->decoder, &input, budget, &r->error);
    buf_consume(&r->input, before - input.len);
    if (got == RDB_DONE || got == RDB_FAILED) {
        r->state = got == RDB_DONE ? RESTORE_DECODED : RESTORE_BROKEN;
        finished(r);
        return JOB_DONE;
    }
    if (r->held_back && buf_len(&r->input) < RESTORE_LOW_WATER_BYTES) {
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
    job_init(&r->job, "restore", step);
    return r;
}

bool restore_stream_push(struct restore_stream *r, struct bytes piece)
{
    if (r->state != RESTORE_DECODING) return false; // what follows a broken payload is dropped
    buf_append_bytes(&r->input, piece);
    job_start(r->loop, &r->job);
    r->held_back = buf_len(&r->input) > RESTORE_HIGH_WATER_BYTES;
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
    buf_free(&r->input);
    mem_free(r);
}
