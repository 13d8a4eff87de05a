// How the system shares its processors among our threads: a loop is to answer soon, and what a
// worker computes may be late. Linux keeps both for each thread. Where it refuses or is too old,
// nothing changes.
#ifndef WHERRY_LOOP_THREAD_TURN_H
#define WHERRY_LOOP_THREAD_TURN_H

// The calling thread gets short turns and, when it wakes up, gets them before threads that have
// long ones: its share of the processor stays the same. Without this a deadline that comes while
// others compute may wait for one or two ticks of the system's clock, 4 ms each. Needs no rights.
// Source: sched_setattr(2), and the kernel's "EEVDF Scheduler" (Linux 6.12 and later).
void thread_turns_short(void);

// The calling thread goes behind those that do nothing like it, with turns of the usual length.
// Source: setpriority(2), "C library/kernel differences".
void thread_steps_back(void);

#endif
