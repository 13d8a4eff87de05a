// What both backends of the loop share. A backend embeds `struct loop` first in its own struct,
// fills `ops`, and drives it with the loop_* functions below; users include loop.h alone.
//
// One iteration of a backend: tasks and before-wait hooks, again where hooks left tasks, a turn of
// jobs if any are ready (and then tasks and hooks again), wait, dispatch what came. Whatever calls
// out to an owner stands between loop_enter and loop_leave, which is how every hold is measured;
// leaving also fires deadlines that have become due, so that a deadline is late by at most one
// hold.
#ifndef WHERRY_LOOP_LOOP_IMPL_H
#define WHERRY_LOOP_LOOP_IMPL_H

#include "loop/loop.h"

// A binary heap of deadlines by instant, then by order of arming.
struct deadline_heap {
    struct deadline **at;
    size_t len, cap;
    uint64_t seq;
};
void heap_arm(struct deadline_heap *heap, struct deadline *d, uint64_t at_us);
void heap_cancel(struct deadline_heap *heap, struct deadline *d);
static inline struct deadline *heap_first(const struct deadline_heap *heap)
{
    return heap->len > 0 ? heap->at[0] : NULL;
}
void heap_free(struct deadline_heap *heap);

struct loop_ops {
    uint64_t (*clock_us)(const struct loop *loop); // monotonic, read afresh
    int64_t (*unix_us)(const struct loop *loop);
    void (*woken)(struct loop *loop); // optional: a deadline, task or job may be due earlier now
    void (*post)(struct loop *loop, struct task *task); // from any thread
    void (*work)(struct loop *loop, struct work *work);
    void (*file)(struct loop *loop, struct file_req *req);
    void (*resolve)(struct loop *loop, struct resolve_req *req);
    void (*run)(struct loop *loop);
    void (*stop)(struct loop *loop);
    void (*free)(struct loop *loop);
};

struct loop {
    const struct loop_ops *ops;
    struct log *log;
    bool measures; // real clocks: holds are timed, budgets are clocks
    bool entered;  // inside a dispatch
    uint64_t now_us;
    uint32_t turn_asks; // of loop_turn_over, in this dispatch
    struct deadline_heap deadlines;

    struct list jobs; // ready, the next to run in front
    struct job *stepping;
    uint64_t jobs_ran_us;  // when a step last ended, about
    bool stepping_stopped; // job_stop was called on it from inside its step
    uint32_t slice_units;  // the budget of a step where nothing measures
    uint64_t units_used;   // what steps used, where nothing measures
    struct list tasks, hooks;
    struct {
        struct list waiting;
        int running; // with the backend
    } lanes[WORK_LANES];

    struct loop_stats stats;
    uint64_t cpu_mark_us, cpu_mark_wall_us; // the CPU clock, and when it was read
};

void loop_init(struct loop *loop, const struct loop_ops *ops, struct log *log, bool measures);
void loop_release(struct loop *loop); // what loop_init and use allocated
// Between dispatches: gives jobs a slice when they have waited for LOOP_JOB_GAP_US.
void loop_share(struct loop *loop, uint64_t now_us);

// Around everything that calls an owner. `what` names the kind of dispatch, a literal.
void loop_enter(struct loop *loop);
void loop_leave(struct loop *loop, const char *what);
// Leaves and enters: one hold ends, the next begins.
void loop_lap(struct loop *loop, const char *what);

void loop_fire_due(struct loop *loop);  // deadlines that are due by now
void loop_run_tasks(struct loop *loop); // those deferred by now, not those that they defer
void loop_run_hooks(struct loop *loop);
void loop_run_jobs(struct loop *loop); // one turn
// A piece that the backend's `work` was given has been worked on: inside a dispatch.
void loop_work_done(struct loop *loop, struct work *w);

// Something is ready, so the backend must not wait.
static inline bool loop_busy(const struct loop *loop)
{
    return !list_empty(&loop->tasks) || !list_empty(&loop->jobs);
}

// stats.c
void stats_hold(struct loop_stats *s, uint64_t wall_us);
void stats_hold_cpu(struct loop_stats *s, uint64_t cpu_us, const char *what);
void stats_late(struct loop_stats *s, uint64_t late_us);

#endif
