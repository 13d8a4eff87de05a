// How often a slice looks at the clock, on a clock that the work itself moves.
#include "loop/loop_impl.h"

#include <criterion/criterion.h>

static struct {
    uint64_t now_ns;
    int looks;
} at;

static uint64_t clock_us(const struct loop *loop)
{
    (void)loop;
    at.looks++;
    return at.now_ns / 1000;
}

// Does units of so long each until the slice is over. How long it took, microseconds.
static uint64_t slice(struct loop *loop, uint32_t unit_ns, int *units)
{
    struct budget budget = budget_begin(loop);
    uint64_t began_ns = at.now_ns;
    at.looks = 0;
    *units = 0;
    do {
        at.now_ns += unit_ns;
        ++*units;
    } while (budget_left(&budget, 1));
    return (at.now_ns - began_ns) / 1000;
}

Test(budget, looks_as_often_as_the_work_is_slow)
{
    static const struct loop_ops ops = {.clock_us = clock_us};
    struct loop loop;
    loop_init(&loop, &ops, NULL, true);
    int units;
    at.now_ns = 1000000;

    // As fast as is meant: a look every few microseconds costs next to nothing.
    uint64_t took_us = slice(&loop, 50, &units);
    cr_expect_geq(took_us, (uint64_t)LOOP_JOB_SLICE_US);
    cr_expect_leq(took_us, (uint64_t)LOOP_JOB_SLICE_US + 5);
    cr_expect_lt(at.looks, units / 40);

    // Each unit a page fault: the slice is over by a few of them.
    took_us = slice(&loop, 20000, &units);
    cr_expect_leq(took_us, (uint64_t)LOOP_JOB_SLICE_US + 5 * 20);
    loop_release(&loop);
}

Test(budget, fast_work_that_becomes_slow_ends_in_time)
{
    static const struct loop_ops ops = {.clock_us = clock_us};
    struct loop loop;
    loop_init(&loop, &ops, NULL, true);
    at.now_ns = 1000000;
    struct budget budget = budget_begin(&loop);
    uint64_t began_ns = at.now_ns;
    for (int units = 0; budget_left(&budget, 1); units++)
        at.now_ns += at.now_ns - began_ns < 100 * 1000 ? 50 : 10000;
    cr_expect_leq((at.now_ns - began_ns) / 1000, (uint64_t)100 + 64 * 10);
    loop_release(&loop);
}
