// The heap of deadlines, jobs and tasks, in virtual time.
#include "loop/loop_impl.h"

#include "base/mem.h"
#include "sim/lib/sim.h"

#include <criterion/criterion.h>
#include <stdio.h>

// ---- deadlines ------------------------------------------------------------------------------

enum { MANY = 500 };

struct bell {
    struct deadline deadline;
    struct loop *loop;
    struct buf *order;
    int number;
    struct bell *cancels, *arms;
};

static void ring(struct deadline *d)
{
    struct bell *b = (struct bell *)d;
    cr_assert(!deadline_armed(d));
    cr_assert_eq(loop_now_us(b->loop), d->at_us, "virtual time is exact");
    buf_printf(b->order, "%d ", b->number);
    if (b->cancels != NULL) deadline_cancel(b->loop, &b->cancels->deadline);
    if (b->arms != NULL) deadline_arm(b->loop, &b->arms->deadline, loop_now_us(b->loop));
}

static const char *text(struct buf *b)
{
    *buf_reserve(b, 1) = '\0';
    return buf_view(b).data;
}

Test(deadline, order_ties_moves_and_cancels)
{
    struct sim *sim = sim_new(1);
    struct loop *loop = sim_loop(sim_node_new(sim, "a"));
    struct buf order = BUF_EMPTY;
    struct bell bells[6] = {0};
    uint64_t now = loop_now_us(loop);
    for (int i = 0; i < 6; i++)
        bells[i] = (struct bell){{.fire = ring}, loop, &order, i, NULL, NULL};
    deadline_arm(loop, &bells[0].deadline, now + 300);
    deadline_arm(loop, &bells[1].deadline, now + 100);
    deadline_arm(loop, &bells[2].deadline, now + 100);
    deadline_arm(loop, &bells[3].deadline, now + 200);
    deadline_arm(loop, &bells[4].deadline, now + 50);
    deadline_arm(loop, &bells[4].deadline, now + 300); // moved: behind 0 now
    bells[1].cancels = &bells[3];
    bells[2].arms = &bells[5]; // at once, and still later than what runs
    sim_run_for(sim, 1000);
    cr_expect_str_eq(text(&order), "1 2 5 0 4 ");
    deadline_cancel(loop, &bells[3].deadline);
    buf_free(&order);
    sim_free(sim);
}

Test(deadline, heap_stays_in_order_under_random_changes)
{
    struct deadline_heap heap = {0};
    struct deadline d[MANY] = {0};
    struct rng rng;
    rng_seed(&rng, 7);
    for (int i = 0; i < MANY; i++)
        d[i].fire = ring;
    for (int round = 0; round < 20000; round++) {
        struct deadline *any = &d[rng_below(&rng, MANY)];
        if (rng_below(&rng, 3) == 0)
            heap_cancel(&heap, any);
        else
            heap_arm(&heap, any, rng_below(&rng, 1000));
    }
    size_t armed = heap.len;
    uint64_t last_at = 0, last_seq = 0;
    for (struct deadline *first; (first = heap_first(&heap)) != NULL; armed--) {
        cr_assert(first->at_us > last_at || (first->at_us == last_at && first->seq > last_seq));
        last_at = first->at_us;
        last_seq = first->seq;
        heap_cancel(&heap, first);
    }
    cr_expect_eq(armed, 0);
    heap_free(&heap);
}

// ---- jobs -----------------------------------------------------------------------------------

struct counter {
    struct job job;
    struct loop *loop;
    uint64_t todo, done;
    int steps;
    bool stops_itself, restarts_itself;
    struct buf *order;
};

static enum job_state count(struct job *job, struct budget *budget)
{
    struct counter *c = (struct counter *)job;
    c->steps++;
    if (c->order != NULL) buf_printf(c->order, "%s", job->name);
    if (c->stops_itself) {
        job_stop(c->loop, job);
        return JOB_MORE;
    }
    if (c->restarts_itself) {
        c->restarts_itself = false;
        job_start(c->loop, job);
        return JOB_IDLE;
    }
    while (c->done < c->todo) {
        c->done++;
        if (!budget_left(budget, 1)) return JOB_MORE;
    }
    return JOB_DONE;
}

Test(job, budgets_are_counts_and_turns_are_fair)
{
    struct sim *sim = sim_new(1);
    struct sim_node *node = sim_node_new(sim, "a");
    struct loop *loop = sim_loop(node);
    sim_set_slice(node, 100);
    struct buf order = BUF_EMPTY;
    struct counter a = {.loop = loop, .todo = 250, .order = &order},
                   b = {.loop = loop, .todo = 150, .order = &order};
    job_init(&a.job, "a", count);
    job_init(&b.job, "b", count);
    job_start(loop, &a.job);
    job_start(loop, &b.job);
    uint64_t began = sim_now_us(sim);
    sim_run_for(sim, 1000);
    cr_expect_str_eq(text(&order), "ababa");
    cr_expect_eq(a.done, 250);
    cr_expect_eq(b.done, 150);
    cr_expect_eq(sim_now_us(sim), began + 1000);
    buf_free(&order);
    sim_free(sim);
}

Test(job, may_stop_and_start_itself)
{
    struct sim *sim = sim_new(1);
    struct loop *loop = sim_loop(sim_node_new(sim, "a"));
    struct counter a = {.loop = loop, .stops_itself = true},
                   b = {.loop = loop, .restarts_itself = true};
    job_init(&a.job, "a", count);
    job_init(&b.job, "b", count);
    job_start(loop, &a.job);
    job_start(loop, &b.job);
    sim_run_for(sim, 1000);
    cr_expect_eq(a.steps, 1);
    cr_expect_eq(b.steps, 2);
    job_stop(loop, &a.job); // fine
    sim_free(sim);
}

// ---- tasks and hooks ------------------------------------------------------------------------

struct chore {
    struct task task;
    struct before_wait hook;
    struct loop *loop;
    struct buf order;
    int again;
};

static void run_task(struct task *task)
{
    struct chore *c = (struct chore *)task;
    buf_append_cstr(&c->order, "t");
    if (c->again-- > 0) loop_defer(c->loop, task);
}

static void run_hook(struct before_wait *hook)
{
    buf_append_cstr(&list_entry(hook, struct chore, hook)->order, "w");
}

Test(task, runs_before_the_loop_waits)
{
    struct sim *sim = sim_new(1);
    struct chore c = {.loop = sim_loop(sim_node_new(sim, "a")), .again = 1};
    task_init(&c.task, run_task);
    c.hook.run = run_hook;
    loop_before_wait(c.loop, &c.hook);
    loop_defer(c.loop, &c.task);
    loop_defer(c.loop, &c.task);
    sim_run_for(sim, 10);
    cr_expect_str_eq(text(&c.order), "twtw");
    before_wait_remove(&c.hook);
    buf_free(&c.order);
    sim_free(sim);
}
