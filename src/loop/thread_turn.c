#include "loop/thread_turn.h"

#include <linux/sched.h>
#include <linux/sched/types.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    TURN_NS = 100 * 1000, // the shortest that there is
    STEP_BACK_NICE = 5,
};

// The policy stays what whoever started us chose; one of real time refuses, and keeps its priority.
// `turn_ns` 0 is the usual length.
static void set(unsigned turn_ns, int nice)
{
    struct sched_attr attr = {.size = sizeof(attr),
                              .sched_flags = SCHED_FLAG_KEEP_POLICY,
                              .sched_nice = nice,
                              .sched_runtime = turn_ns};
    syscall(SYS_sched_setattr, 0, &attr, 0U);
}

void thread_turns_short(void)
{
    set(TURN_NS, getpriority(PRIO_PROCESS, 0));
}

void thread_steps_back(void)
{
    int nice = getpriority(PRIO_PROCESS, 0);
    set(0, nice < STEP_BACK_NICE ? STEP_BACK_NICE : nice);
}
