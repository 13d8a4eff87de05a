// Jobs: long work in bounded pieces, in turn, between I/O.
#include "loop/loop_impl.h"

#include <assert.h>

// The clock is looked at about every LOOK_US, which is after some units more or fewer: a unit takes
// a hundred times as long where it touches memory for the first time (a page fault of a virtual
// machine can take 20 us), and even then a slice must not be much longer than it should be. A look
// costs as much as a unit. A slice begins with few units, because another job's went before it.
enum { LOOK_US = 5, LOOK_FIRST_UNITS = 16, LOOK_MIN_UNITS = 2, LOOK_MAX_UNITS = 64 };

static uint32_t next_look(uint32_t units, uint64_t took_us)
{
    if (took_us > 2 * LOOK_US) return units / 4 > LOOK_MIN_UNITS ? units / 4 : LOOK_MIN_UNITS;
    if (took_us > LOOK_US) return units;
    return units * 2 < LOOK_MAX_UNITS ? units * 2 : LOOK_MAX_UNITS;
}

bool budget_left(struct budget *b, uint32_t units)
{
    if (b->until_us == 0) b->loop->units_used += units;
    if (units < b->units) {
        b->units -= units;
        return true;
    }
    b->units = 0;
    if (b->until_us == 0) return false;
    uint64_t now_us = b->loop->ops->clock_us(b->loop);
    if (now_us >= b->until_us) return false;
    b->units = b->look_units = next_look(b->look_units, now_us - b->looked_us);
    b->looked_us = now_us;
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

// From now until `until_us` where there is a clock.
static struct budget budget_until(struct loop *loop, uint64_t now_us, uint64_t until_us)
{
    if (!loop->measures) return (struct budget){.loop = loop, .units = loop->slice_units};
    return (struct budget){.loop = loop,
                           .until_us = until_us,
                           .units = LOOK_FIRST_UNITS,
                           .look_units = LOOK_FIRST_UNITS,
                           .looked_us = now_us};
}

struct budget budget_begin(struct loop *loop)
{
    uint64_t now_us = loop->measures ? loop->ops->clock_us(loop) : 0;
    return budget_until(loop, now_us, now_us + LOOP_JOB_SLICE_US);
}

static void step(struct loop *loop, uint64_t turn_end_us)
{
    struct job *job = list_entry(list_pop_front(&loop->jobs), struct job, link);
    const char *name = job->name; // the job may be gone after its step
    loop_enter(loop);
    uint64_t until_us = loop->now_us + LOOP_JOB_SLICE_US;
    if (until_us > turn_end_us) until_us = turn_end_us;
    struct budget budget = budget_until(loop, loop->now_us, until_us);
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
