// How the system shares its processors among our threads.
#include "loop/thread_turn.h"

#include <criterion/criterion.h>
#include <sched.h>
#include <sys/resource.h>

// Who starts us may have chosen one, as a service manager does: these need no rights.
Test(thread_turn, the_policy_stays_what_it_was)
{
    static const struct sched_param none;
    cr_assert_eq(sched_setscheduler(0, SCHED_BATCH, &none), 0);
    thread_turns_short();
    cr_expect_eq(sched_getscheduler(0), SCHED_BATCH);
    thread_steps_back();
    cr_expect_eq(sched_getscheduler(0), SCHED_BATCH);
}

Test(thread_turn, who_steps_back_is_not_moved_forward)
{
    thread_steps_back();
    int nice = getpriority(PRIO_PROCESS, 0);
    cr_expect_geq(nice, 5);
    thread_turns_short();
    cr_expect_eq(getpriority(PRIO_PROCESS, 0), nice);
    cr_assert_eq(setpriority(PRIO_PROCESS, 0, 19), 0);
    thread_steps_back();
    cr_expect_eq(getpriority(PRIO_PROCESS, 0), 19);
}
