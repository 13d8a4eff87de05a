// RESTORE as its payload arrives: decoded in slices into a detached value, which the command then
// attaches in one step. Memory beyond the value itself: at most RESTORE_HIGH_WATER_BYTES.
#ifndef WHERRY_MIGRATE_RESTORE_H
#define WHERRY_MIGRATE_RESTORE_H

#include "loop/loop.h"
#include "rdb/decode.h"

enum { RESTORE_HIGH_WATER_BYTES = 512 * 1024, RESTORE_LOW_WATER_BYTES = 128 * 1024 };

struct restore_stream;

struct restore_events {
    void (*want)(void *owner); // fewer than the low-water mark wait: read on
    void (*done)(void *owner); // decoded, or failed; only after restore_stream_await
};

struct restore_stream *restore_stream_new(struct loop *loop, uint64_t length,
                                          const struct rdb_decode_options *options,
                                          bool skip_checksum);
// Takes the piece. True: hold the sender back until `want`.
bool restore_stream_push(struct restore_stream *r, struct bytes piece);
void restore_stream_listen(struct restore_stream *r, const struct restore_events *events,
                           void *owner);
bool restore_stream_finished(const struct restore_stream *r);
// Asks for `done` once everything that was pushed is decoded.
void restore_stream_await(struct restore_stream *r);
// After it has finished: true and the value, the caller's; or false and why.
bool restore_stream_take(struct restore_stream *r, struct value *value, struct error *error);
// The half-built value is freed in one go when small, else through `discard`.
void restore_stream_drop(struct restore_stream *r);

#endif
