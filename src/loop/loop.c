// The part of the loop that no backend changes: dispatches and how long they hold it, tasks,
// hooks, and the functions of loop.h that go straight to the backend.
#include "loop/loop_impl.h"

#include <assert.h>
#include <time.h>

// The thread's CPU clock is a system call, so it is read at most once in this time. What it tells
// of a hold may therefore include this much of what went before, but never more than the hold took
// by the wall clock: a hold that nobody interrupted is told exactly.
enum { CPU_LOOK_US = 200 };

void loop_init(struct loop *loop, const struct loop_ops *ops, struct log *log, bool measures)
{
    *loop = (struct loop){.ops = ops, .log = log, .measures = measures, .slice_units = 5000};
    list_init(&loop->jobs);
    list_init(&loop->tasks);
    list_init(&loop->hooks);
    for (int i = 0; i < WORK_LANES; i++)
        list_init(&loop->lanes[i].waiting);
    loop_stats_reset(loop);
}

// Jobs, tasks and hooks are their owners'; they are left off the list, as if never started.
void loop_release(struct loop *loop)
{
    while (list_pop_front(&loop->jobs) != NULL) {
    }
    while (list_pop_front(&loop->tasks) != NULL) {
    }
    while (list_pop_front(&loop->hooks) != NULL) {
    }
    for (int i = 0; i < WORK_LANES; i++)
        while (list_pop_front(&loop->lanes[i].waiting) != NULL) {
        }
    heap_free(&loop->deadlines);
}

// ---- dispatches -----------------------------------------------------------------------------

static uint64_t cpu_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static void mark_cpu(struct loop *loop, uint64_t wall_us)
{
    loop->cpu_mark_us = cpu_us();
    loop->cpu_mark_wall_us = wall_us;
}

static void begin(struct loop *loop, uint64_t now_us)
{
    assert(!loop->entered); // dispatches don't nest
    loop->entered = true;
    loop->now_us = now_us;
    loop->turn_asks = 0;
    if (loop->measures && now_us - loop->cpu_mark_wall_us > CPU_LOOK_US) mark_cpu(loop, now_us);
}

static uint64_t end(struct loop *loop, const char *what)
{
    assert(loop->entered);
    loop->entered = false;
    if (!loop->measures) return loop->now_us;
    uint64_t now = loop->ops->clock_us(loop), held = now - loop->now_us;
    stats_hold(&loop->stats, held);
    // A hold costs no more CPU than time, so that only a long one can be a new maximum.
    if (held > CPU_LOOK_US && held > loop->stats.hold_cpu_max_us) {
        uint64_t mark = loop->cpu_mark_us;
        mark_cpu(loop, now);
        uint64_t used = loop->cpu_mark_us - mark;
        stats_hold_cpu(&loop->stats, used < held ? used : held, what);
    }
    return now;
}

void loop_enter(struct loop *loop)
{
    begin(loop, loop->ops->clock_us(loop));
}

// Fires what is due by `now`. A deadline armed meanwhile waits for the next time, or a careless
// owner could hold us here. Returns the instant after the last.
static uint64_t fire_due(struct loop *loop, uint64_t now)
{
    uint64_t newest = loop->deadlines.seq;
    for (;;) {
        struct deadline *d = heap_first(&loop->deadlines);
        if (d == NULL || d->at_us > now || d->seq > newest) return now;
        begin(loop, now);
        heap_cancel(&loop->deadlines, d);
        if (loop->measures) stats_late(&loop->stats, now - d->at_us);
        d->fire(d);
        now = end(loop, "deadline");
    }
}

void loop_leave(struct loop *loop, const char *what)
{
    loop_share(loop, fire_due(loop, end(loop, what)));
}

bool loop_turn_over(struct loop *loop)
{
    if (!loop->measures) return ++loop->turn_asks >= LOOP_TURN_ASKS;
    return loop->ops->clock_us(loop) >= loop->now_us + LOOP_TURN_US;
}

void loop_lap(struct loop *loop, const char *what)
{
    begin(loop, fire_due(loop, end(loop, what)));
}

void loop_fire_due(struct loop *loop)
{
    fire_due(loop, loop->ops->clock_us(loop));
}

// ---- tasks and hooks ------------------------------------------------------------------------

void task_init(struct task *task, void (*run)(struct task *))
{
    list_init(&task->link);
    task->run = run;
}

void loop_defer(struct loop *loop, struct task *task)
{
    if (!list_empty(&task->link)) return;
    list_push_back(&loop->tasks, &task->link);
    if (loop->ops->woken != NULL) loop->ops->woken(loop);
}

void task_cancel(struct task *task)
{
    list_remove(&task->link);
}

void loop_run_tasks(struct loop *loop)
{
    if (list_empty(&loop->tasks)) return;
    struct list now;
    list_init(&now);
    list_splice_back(&now, &loop->tasks);
    for (struct list *first; (first = list_pop_front(&now)) != NULL;) {
        struct task *task = list_entry(first, struct task, link);
        loop_enter(loop);
        task->run(task);
        loop_leave(loop, "task");
    }
}

void loop_before_wait(struct loop *loop, struct before_wait *hook)
{
    list_push_front(&loop->hooks, &hook->link);
}

void before_wait_remove(struct before_wait *hook)
{
    list_remove(&hook->link);
}

void loop_run_hooks(struct loop *loop)
{
    list_each_safe(at, &loop->hooks)
    {
        struct before_wait *hook = list_entry(at, struct before_wait, link);
        loop_enter(loop);
        hook->run(hook);
        loop_leave(loop, "before wait");
    }
}

// ---- work on other threads ------------------------------------------------------------------

static void lane_fill(struct loop *loop, enum work_lane lane)
{
    while (loop->lanes[lane].running < LOOP_LANE_WIDTH) {
        struct list *first = list_pop_front(&loop->lanes[lane].waiting);
        if (first == NULL) return;
        loop->lanes[lane].running++;
        loop->ops->work(loop, list_entry(first, struct work, link));
    }
}

void loop_work(struct loop *loop, struct work *w)
{
    list_init(&w->link);
    list_push_back(&loop->lanes[w->lane].waiting, &w->link);
    lane_fill(loop, w->lane);
}

bool loop_work_cancel(struct loop *loop, struct work *w)
{
    (void)loop;
    if (list_empty(&w->link)) return false;
    list_remove(&w->link);
    return true;
}

void loop_work_done(struct loop *loop, struct work *w)
{
    loop->lanes[w->lane].running--;
    lane_fill(loop, w->lane);
    w->done(w);
}

// ---- straight to the backend ----------------------------------------------------------------

// Outside a dispatch (while a program sets itself up) the clock is read each time.
uint64_t loop_now_us(const struct loop *loop)
{
    return loop->entered ? loop->now_us : loop->ops->clock_us(loop);
}

int64_t loop_unix_us(const struct loop *loop)
{
    return loop->ops->unix_us(loop);
}

int64_t loop_unix_ms(const struct loop *loop)
{
    return loop->ops->unix_us(loop) / 1000;
}

void loop_post(struct loop *loop, struct task *task)
{
    loop->ops->post(loop, task);
}

void loop_file(struct loop *loop, struct file_req *req)
{
    loop->ops->file(loop, req);
}

void loop_resolve(struct loop *loop, struct resolve_req *req)
{
    loop->ops->resolve(loop, req);
}

void loop_run(struct loop *loop)
{
    loop->ops->run(loop);
}

void loop_stop(struct loop *loop)
{
    loop->ops->stop(loop);
}

void loop_free(struct loop *loop)
{
    loop->ops->free(loop);
}

uint64_t loop_clock_us(const struct loop *loop)
{
    return loop->ops->clock_us(loop);
}
