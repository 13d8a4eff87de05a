// The libuv backend of the loop: real clocks, files and names on libuv's worker threads, deadlines
// by a timerfd (libuv's own timers count in milliseconds).
#ifndef WHERRY_LOOP_LOOP_UV_H
#define WHERRY_LOOP_LOOP_UV_H

#include "loop/loop.h"

#include <uv.h>

// NULL and *error when the system has no descriptors to give.
struct loop *loop_uv_new(struct log *log, struct error *error);

// libuv's loop below, for what stands on it (conn/net_uv.c).
uv_loop_t *loop_uv_loop(struct loop *loop);

// Calls `cb` on the loop each time the signal has arrived, until the loop is freed. False when the
// signal cannot be caught.
bool loop_uv_signal(struct loop *loop, int signum, void (*cb)(void *owner, int signum),
                    void *owner);

#endif
