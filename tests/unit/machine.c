// A toy machine through every kind of deadline, in virtual time.
#include "loop/machine.h"

#include "sim/lib/sim.h"
#include "sim/lib/trace.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>

enum { IDLE, CONNECT, AUTH, REPLY, SILENCE, PROGRESS, SESSION, BACKOFF, END, STATES };
enum { GO_CONNECT = 100, GO_AUTH, GO_REPLY, GO_SILENCE, GO_PROGRESS, GO_SESSION, GO_BACKOFF };

struct toy {
    struct machine m;
    struct sim *sim;
    struct trace trace;
    bool no_auth, ended;
    int entered[STATES];
};

static int handle(struct machine *m, const struct machine_event *event)
{
    struct toy *t = (struct toy *)m;
    if (event->type == EVENT_ENTER) t->entered[m->state]++;
    if (event->type == EVENT_TIMEOUT || event->type == EVENT_CANCELLED) return END;
    if (event->type == EVENT_HOST) return CONNECT + event->code - GO_CONNECT;
    return m->state;
}

static bool no_auth(const struct machine *m)
{
    return ((const struct toy *)m)->no_auth;
}

static uint64_t duration_us(const struct machine *m, enum deadline_kind kind)
{
    (void)m;
    return (uint64_t)kind * 10000; // connect 10 ms, reply 20, silence 30, progress 40, ...
}

static void ended(struct machine *m)
{
    ((struct toy *)m)->ended = true;
}

#define ANY 0xffff
static const struct machine_state states[STATES] = {
    [IDLE] = {"idle", DEADLINE_NONE, handle, ANY & ~TO(IDLE), NULL, 0},
    [CONNECT] = {"connect", DEADLINE_CONNECT, handle, TO(AUTH) | TO(END), NULL, 0},
    [AUTH] = {"auth", DEADLINE_REPLY, handle, TO(REPLY) | TO(END), no_auth, REPLY},
    [REPLY] = {"reply", DEADLINE_REPLY, handle, TO(END), NULL, 0},
    [SILENCE] = {"silence", DEADLINE_SILENCE, handle, TO(END), NULL, 0},
    [PROGRESS] = {"progress", DEADLINE_PROGRESS, handle, TO(END), NULL, 0},
    [SESSION] = {"session", DEADLINE_SESSION, handle, TO(END), NULL, 0},
    [BACKOFF] = {"backoff", DEADLINE_BACKOFF, handle, TO(END), NULL, 0},
    [END] = {"end", DEADLINE_NONE, NULL, 0, NULL, 0},
};
static const struct machine_type type = {
    .name = "toy",
    .states = states,
    .count = STATES,
    .final = END,
    .duration_us = duration_us,
    .ended = ended,
};

static void begin(struct toy *t)
{
    *t = (struct toy){0};
    t->sim = sim_new(1);
    trace_init(&t->trace, t->sim);
    struct loop *loop = sim_loop(sim_node_new(t->sim, "a"));
    cr_assert(machine_start(&t->m, &type, loop, trace_log(&t->trace), IDLE));
}

static void end(struct toy *t)
{
    machine_stop(&t->m);
    trace_free(&t->trace);
    sim_free(t->sim);
}

static void go(struct toy *t, int code)
{
    machine_dispatch(&t->m, &(struct machine_event){.type = EVENT_HOST, .code = code});
}

static void bytes(struct toy *t)
{
    machine_dispatch(&t->m, &(struct machine_event){.type = EVENT_BYTES, .input = BYTES("x")});
}

static void drained(struct toy *t, size_t taken, size_t left)
{
    machine_dispatch(&t->m,
                     &(struct machine_event){.type = EVENT_DRAINED, .taken = taken, .left = left});
}

static void expect(struct toy *t, const char *text)
{
    cr_expect_str_eq(trace_text(&t->trace), text);
}

Test(machine, a_state_without_a_deadline_stays)
{
    struct toy t;
    begin(&t);
    sim_run_for(t.sim, 3600000000);
    cr_expect_eq(machine_left_us(&t.m), UINT64_MAX);
    cr_expect(!t.ended);
    expect(&t, "0.000 toy: begins in idle\n");
    end(&t);
}

Test(machine, connect_runs_from_entering)
{
    struct toy t;
    begin(&t);
    sim_run_for(t.sim, 5000);
    go(&t, GO_CONNECT);
    sim_run_for(t.sim, 9000);
    bytes(&t);
    drained(&t, 1, 0);
    cr_expect_eq(machine_left_us(&t.m), 1000);
    sim_run_for(t.sim, 5000);
    cr_expect(t.ended);
    expect(&t, "0.000 toy: begins in idle\n"
               "5.000 toy: idle -> connect\n"
               "15.000 toy: connect deadline in connect\n"
               "15.000 toy: connect -> end\n");
    end(&t);
}

Test(machine, a_reply_is_waited_for_once_the_request_is_taken)
{
    struct toy t;
    begin(&t);
    machine_wrote(&t.m); // the handler of idle wrote the request and moved on
    go(&t, GO_REPLY);
    sim_run_for(t.sim, 15000);
    drained(&t, 5, 5); // progress: the same length anew
    sim_run_for(t.sim, 15000);
    drained(&t, 5, 0); // all taken: the reply's time begins
    sim_run_for(t.sim, 15000);
    bytes(&t); // a drop of it buys nothing
    sim_run_for(t.sim, 15000);
    cr_expect(t.ended);
    expect(&t, "0.000 toy: begins in idle\n"
               "0.000 toy: idle -> reply\n"
               "50.000 toy: reply deadline in reply\n"
               "50.000 toy: reply -> end\n");
    end(&t);
}

Test(machine, a_request_that_nobody_takes_times_out_too)
{
    struct toy t;
    begin(&t);
    machine_wrote(&t.m);
    go(&t, GO_REPLY);
    sim_run_for(t.sim, 30000);
    expect(&t, "0.000 toy: begins in idle\n"
               "0.000 toy: idle -> reply\n"
               "20.000 toy: reply deadline in reply\n"
               "20.000 toy: reply -> end\n");
    end(&t);
}

Test(machine, silence_moves_with_bytes_and_stands_still_while_paused)
{
    struct toy t;
    begin(&t);
    go(&t, GO_SILENCE);
    sim_run_for(t.sim, 20000);
    bytes(&t); // 30 ms from here
    sim_run_for(t.sim, 10000);
    machine_pause(&t.m); // 20 ms left
    sim_run_for(t.sim, 1000000);
    cr_expect(!t.ended);
    machine_resume(&t.m);
    sim_run_for(t.sim, 1000000);
    expect(&t, "0.000 toy: begins in idle\n"
               "0.000 toy: idle -> silence\n"
               "1050.000 toy: silence deadline in silence\n"
               "1050.000 toy: silence -> end\n");
    end(&t);
}

Test(machine, silence_entered_while_paused_begins_when_resumed)
{
    struct toy t;
    begin(&t);
    machine_pause(&t.m);
    go(&t, GO_SILENCE);
    sim_run_for(t.sim, 100000);
    machine_resume(&t.m);
    sim_run_for(t.sim, 100000);
    expect(&t, "0.000 toy: begins in idle\n"
               "0.000 toy: idle -> silence\n"
               "130.000 toy: silence deadline in silence\n"
               "130.000 toy: silence -> end\n");
    end(&t);
}

Test(machine, progress_moves_when_the_peer_takes_bytes)
{
    struct toy t;
    begin(&t);
    go(&t, GO_PROGRESS);
    sim_run_for(t.sim, 30000);
    drained(&t, 1, 100); // 40 ms from here
    sim_run_for(t.sim, 30000);
    bytes(&t); // not progress
    sim_run_for(t.sim, 30000);
    expect(&t, "0.000 toy: begins in idle\n"
               "0.000 toy: idle -> progress\n"
               "70.000 toy: progress deadline in progress\n"
               "70.000 toy: progress -> end\n");
    end(&t);
}

Test(machine, session_runs_from_the_beginning)
{
    struct toy t;
    begin(&t);
    sim_run_for(t.sim, 30000);
    go(&t, GO_SESSION);
    bytes(&t);
    sim_run_for(t.sim, 100000);
    expect(&t, "0.000 toy: begins in idle\n"
               "30.000 toy: idle -> session\n"
               "50.000 toy: session deadline in session\n"
               "50.000 toy: session -> end\n");
    end(&t);
}

Test(machine, an_optional_step_is_skipped_unentered)
{
    struct toy t;
    begin(&t);
    t.no_auth = true;
    go(&t, GO_CONNECT);
    go(&t, GO_AUTH);
    cr_expect_eq(t.m.state, REPLY);
    cr_expect_eq(t.entered[AUTH], 0);
    cr_expect_eq(t.entered[REPLY], 1);
    end(&t);
}

Test(machine, ends_once_and_without_a_deadline)
{
    struct toy t;
    begin(&t);
    go(&t, GO_BACKOFF);
    cr_expect(!machine_dispatch(&t.m, &(struct machine_event){.type = EVENT_CANCELLED}));
    cr_expect(t.ended);
    cr_expect(!deadline_armed(&t.m.deadline));
    end(&t);
}

Test(machine, an_illegal_move_is_a_bug, .signal = SIGABRT)
{
    struct toy t;
    begin(&t);
    cr_assert_not_null(freopen("/dev/null", "w", stderr));
    go(&t, GO_CONNECT);
    go(&t, GO_BACKOFF);
}
