// Between the files of the libuv backend.
#ifndef WHERRY_LOOP_LOOP_UV_IMPL_H
#define WHERRY_LOOP_LOOP_UV_IMPL_H

#include "loop/loop_impl.h"
#include "loop/loop_uv.h"

struct loop_uv {
    struct loop base;
    uv_loop_t uv;
    uv_prepare_t prepare; // before each wait: tasks, hooks, jobs
    uv_idle_t idle;       // active while something is ready: libuv then doesn't wait
    uv_poll_t timer;      // over timer_fd, which rings at the earliest deadline
    int timer_fd;
    uint64_t rings_at_us; // what timer_fd is set to; UINT64_MAX: nothing
    uv_async_t async;
    uv_mutex_t posted_lock;
    struct list posted;     // tasks from other threads
    int64_t unix_offset_us; // Unix time less the monotonic clock, read once an iteration
    bool stopped;
};

void loop_uv_work(struct loop *loop, struct work *work);
void loop_uv_file(struct loop *loop, struct file_req *req);
void loop_uv_resolve(struct loop *loop, struct resolve_req *req);

#endif
