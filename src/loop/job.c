// Jobs: long work in bounded pieces, in turn, between I/O.
#include "loop/loop_impl.h"

#include <assert.h>

// The clock is looked at every so many units: about 5 us. A unit takes many times as long where it
// touches memory for the first time (a page fault of a virtual machine can take 20 us), and even
// then a slice must not be much longer than it should be; a look costs 50 ns.
enum { UNITS_PER_LOOK = 100 };

bool budget_left(struct budget *b, uint32_t units)
{
    if (b->until_us == 0) b->loop->units_used += units;
    if (units < b->units) {
        b->units -= units;
        return true;
    }
    b->units = 0;
    if (b->until_us == 0 || b->loop->ops->clock_us(b->loop) >= b->until_us) return false;
    b->units = UNITS_PER_LOOK;
    return true;
}

void job_init(struct job *job, const char *name,
              enum job_state (*step)(struct job *, struct budget *))
{
    list_init(&job->link);
    job->step = step;
    job->name = name;
}

void job_start(struct loop *loop, struct job *job)
{
    if (loop->stepping == job) loop->stepping_stopped = false;
    if (!list_empty(&job->link)) return;
    list_push_back(&loop->jobs, &job->link);
    if (loop->ops->woken != NULL) loop->ops->woken(loop);
}

void job_stop(struct loop *loop, struct job *job)
{
    if (loop->stepping == job) loop->stepping_stopped = true;
    list_remove(&job->link);
}

// Until `until_us` where there is a clock.
static struct budget budget_until(struct loop *loop, uint64_t until_us)
{
    struct budget budget = {.loop = loop, .units = loop->slice_units};
    if (loop->measures) {
        budget.units = UNITS_PER_LOOK;
        budget.until_us = until_us;
    }
    return budget;
}

struct budget budget_begin(struct loop *loop)
{
    uint64_t now_us = loop->measures ? loop->ops->clock_us(loop) : 0;
    return budget_until(loop, now_us + LOOP_JOB_SLICE_US);
}

static void step(struct loop *loop, uint64_t turn_end_us)
{
    struct job *job = list_entry(list_pop_front(&loop->jobs), struct job, link);
    const char *name = job->name; // the job may be gone after its step
    loop_enter(loop);
    uint64_t until_us = loop->now_us + LOOP_JOB_SLICE_US;
    struct budget budget = budget_until(loop, until_us < turn_end_us ? until_us : turn_end_us);
    loop->stepping = job;
    loop->stepping_stopped = false;
    enum job_state state = job->step(job, &budget);
    loop->stepping = NULL;
    // It may have started itself again before it said that it has more.
    if (state == JOB_MORE && !loop->stepping_stopped && list_empty(&job->link))
        list_push_back(&loop->jobs, &job->link);
    loop->jobs_ran_us = loop->now_us + LOOP_JOB_SLICE_US;
    loop_leave(loop, name);
}

// On a busy loop an iteration takes many dispatches: a slice in between now and then keeps jobs at
// a share of about a third, without making any hold longer.
void loop_share(struct loop *loop, uint64_t now_us)
{
    if (!loop->measures || list_empty(&loop->jobs) || loop->stepping != NULL) return;
    if (now_us < loop->jobs_ran_us + LOOP_JOB_GAP_US) return;
    step(loop, now_us + LOOP_JOB_SLICE_US);
}

// A turn begins a slice only where at least half of one is left, and always has one.
void loop_run_jobs(struct loop *loop)
{
    if (list_empty(&loop->jobs)) return;
    if (!loop->measures) {
        step(loop, 0);
        return;
    }
    uint64_t now = loop->ops->clock_us(loop), end = now + LOOP_JOB_TURN_US;
    while (!list_empty(&loop->jobs) && now + LOOP_JOB_SLICE_US / 2 <= end) {
        step(loop, end);
        now = loop->ops->clock_us(loop);
    }
}
