// The libuv backend: when things run. See loop_impl.h for the order of an iteration; here it is
// all in libuv's prepare step, with a timerfd for the earliest deadline and an idle handle that
// keeps libuv from waiting while jobs or tasks are ready.
#include "loop/loop_uv_impl.h"

#include "base/mem.h"
#include "loop/thread_turn.h"

#include <assert.h>
#include <errno.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

static uint64_t clock_us(const struct loop *loop)
{
    (void)loop;
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static void read_unix_offset(struct loop_uv *l)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    l->unix_offset_us =
        (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000 - (int64_t)clock_us(&l->base);
}

static int64_t unix_us(const struct loop *loop)
{
    const struct loop_uv *l = (const struct loop_uv *)loop;
    return (int64_t)loop_now_us(loop) + l->unix_offset_us;
}

// ---- an iteration ---------------------------------------------------------------------------

// The timer is set again when the earliest deadline moved forward. When it moved back, ringing for
// nothing now and then costs less than a system call for each deadline that moves, as most do; but
// not where the timer would ring soon.
static void set_timer(struct loop_uv *l)
{
    enum { SOON_US = 10 * 1000 };
    struct deadline *first = heap_first(&l->base.deadlines);
    if (first == NULL || first->at_us == l->rings_at_us) return;
    bool back = first->at_us > l->rings_at_us;
    if (back && l->rings_at_us > clock_us(&l->base) + SOON_US) return;
    l->rings_at_us = first->at_us;
    struct itimerspec at = {.it_value = {.tv_sec = (time_t)(first->at_us / 1000000),
                                         .tv_nsec = (long)(first->at_us % 1000000) * 1000}};
    if (at.it_value.tv_sec == 0 && at.it_value.tv_nsec == 0) at.it_value.tv_nsec = 1; // 0 disarms
    timerfd_settime(l->timer_fd, TFD_TIMER_ABSTIME, &at, NULL);
}

static void on_timer(uv_poll_t *handle, int status, int events)
{
    (void)status, (void)events;
    struct loop_uv *l = handle->data;
    uint64_t rung;
    if (read(l->timer_fd, &rung, sizeof(rung)) == sizeof(rung)) l->rings_at_us = UINT64_MAX;
    loop_fire_due(&l->base);
}

static void on_idle(uv_idle_t *handle)
{
    (void)handle; // being active is all it does
}

// What a hook hands on may need a task before it can go out (TLS encrypts in one) and a hook after
// that: a reply must not wait for it until sockets were looked at again, behind jobs and what
// others have sent. Rounds are bounded, because a task may defer itself.
static void run_ready(struct loop *loop)
{
    enum { ROUNDS_MAX = 3 };
    int rounds = 0;
    do {
        loop_run_tasks(loop);
        loop_run_hooks(loop);
    } while (!list_empty(&loop->tasks) && ++rounds < ROUNDS_MAX);
}

static void on_prepare(uv_prepare_t *handle)
{
    struct loop_uv *l = handle->data;
    l->base.stats.iterations++;
    read_unix_offset(l);
    run_ready(&l->base);
    if (!list_empty(&l->base.jobs)) {
        loop_run_jobs(&l->base);
        run_ready(&l->base);
    }
    if (loop_busy(&l->base)) {
        uv_idle_start(&l->idle, on_idle);
        loop_fire_due(&l->base);
    } else {
        uv_idle_stop(&l->idle);
        set_timer(l);
    }
}

// ---- from other threads ---------------------------------------------------------------------

static void post(struct loop *loop, struct task *task)
{
    struct loop_uv *l = (struct loop_uv *)loop;
    uv_mutex_lock(&l->posted_lock);
    list_push_back(&l->posted, &task->link);
    uv_mutex_unlock(&l->posted_lock);
    uv_async_send(&l->async);
}

static void on_async(uv_async_t *handle)
{
    struct loop_uv *l = handle->data;
    uv_mutex_lock(&l->posted_lock);
    list_splice_back(&l->base.tasks, &l->posted);
    uv_mutex_unlock(&l->posted_lock);
}

// ---- signals --------------------------------------------------------------------------------

struct signal_watch {
    uv_signal_t handle;
    struct loop *loop;
    void (*cb)(void *owner, int signum);
    void *owner;
};

static void on_signal(uv_signal_t *handle, int signum)
{
    struct signal_watch *w = handle->data;
    loop_enter(w->loop);
    w->cb(w->owner, signum);
    loop_leave(w->loop, "signal");
}

static void signal_closed(uv_handle_t *handle)
{
    mem_free(handle->data);
}

bool loop_uv_signal(struct loop *loop, int signum, void (*cb)(void *owner, int signum), void *owner)
{
    struct signal_watch *w = mem_new(struct signal_watch);
    w->loop = loop;
    w->cb = cb;
    w->owner = owner;
    uv_signal_init(loop_uv_loop(loop), &w->handle);
    w->handle.data = w;
    if (uv_signal_start(&w->handle, on_signal, signum) == 0) return true;
    uv_close((uv_handle_t *)&w->handle, signal_closed);
    return false;
}

// ---- running --------------------------------------------------------------------------------

static void run(struct loop *loop)
{
    struct loop_uv *l = (struct loop_uv *)loop;
    l->stopped = false;
    thread_turns_short();
    while (!l->stopped)
        uv_run(&l->uv, UV_RUN_DEFAULT);
}

static void stop(struct loop *loop)
{
    struct loop_uv *l = (struct loop_uv *)loop;
    l->stopped = true;
    uv_stop(&l->uv);
}

static void close_own(uv_handle_t *handle, void *arg)
{
    struct loop_uv *l = arg;
    if (uv_is_closing(handle)) return;
    if (handle->type == UV_SIGNAL)
        uv_close(handle, signal_closed);
    else if (handle->data == l)
        uv_close(handle, NULL);
    else
        assert(!"a handle outlives its owner"); // conns and listeners go before the loop
}

// Waits for what worker threads still do: their requests are memory of ours, and are answered.
static void destroy(struct loop *loop)
{
    struct loop_uv *l = (struct loop_uv *)loop;
    loop_run_tasks(loop);
    uv_walk(&l->uv, close_own, l);
    while (uv_loop_close(&l->uv) == UV_EBUSY) {
        uv_run(&l->uv, UV_RUN_ONCE);
        loop_run_tasks(loop);
    }
    close(l->timer_fd);
    uv_mutex_destroy(&l->posted_lock);
    loop_release(loop);
    mem_free(l);
}

struct loop *loop_uv_new(struct log *log, struct error *error)
{
    static const struct loop_ops ops = {
        .clock_us = clock_us,
        .unix_us = unix_us,
        .post = post,
        .work = loop_uv_work,
        .file = loop_uv_file,
        .resolve = loop_uv_resolve,
        .run = run,
        .stop = stop,
        .free = destroy,
    };
    struct loop_uv *l = mem_new(struct loop_uv);
    loop_init(&l->base, &ops, log, true);
    list_init(&l->posted);
    l->rings_at_us = UINT64_MAX;
    int status = 0;
    l->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (l->timer_fd < 0) {
        status = -errno;
        goto no_timer_fd;
    }
    if ((status = uv_loop_init(&l->uv)) != 0) goto no_loop;
    if ((status = uv_async_init(&l->uv, &l->async, on_async)) != 0) goto no_async;
    uv_mutex_init(&l->posted_lock);
    uv_prepare_init(&l->uv, &l->prepare);
    uv_idle_init(&l->uv, &l->idle);
    uv_poll_init(&l->uv, &l->timer, l->timer_fd);
    l->async.data = l->prepare.data = l->idle.data = l->timer.data = l;
    uv_prepare_start(&l->prepare, on_prepare);
    uv_poll_start(&l->timer, UV_READABLE, on_timer);
    read_unix_offset(l);
    return &l->base;

no_async:
    uv_loop_close(&l->uv);
no_loop:
    close(l->timer_fd);
no_timer_fd:
    error_set(error, ERROR_IO, "event loop: %s", uv_strerror(status));
    loop_release(&l->base);
    mem_free(l);
    return NULL;
}

uv_loop_t *loop_uv_loop(struct loop *loop)
{
    return &((struct loop_uv *)loop)->uv;
}
