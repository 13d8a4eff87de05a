// The one setter of states and the one keeper of their deadlines.
//
// Where each kind runs from, and which event moves it:
//
//   connect, backoff   entering; nothing moves them
//   session            m->began_us; nothing moves it
//   silence            entering; EVENT_BYTES moves it; paused, what is left of it stands still
//   progress           entering; EVENT_DRAINED with taken > 0 moves it
//   reply              as progress while our output is not fully taken; then from the instant when
//                      the last of it was, and nothing moves it but more output of ours
#include "loop/machine.h"

#include <assert.h>

const char *deadline_kind_name(enum deadline_kind kind)
{
    static const char *const names[] = {
        [DEADLINE_NONE] = "none",         [DEADLINE_CONNECT] = "connect",
        [DEADLINE_REPLY] = "reply",       [DEADLINE_SILENCE] = "silence",
        [DEADLINE_PROGRESS] = "progress", [DEADLINE_SESSION] = "session",
        [DEADLINE_BACKOFF] = "backoff",
    };
    return names[kind];
}

static enum deadline_kind kind_of(const struct machine *m)
{
    return m->type->states[m->state].deadline;
}

// Arms the current state's deadline from now on (a session's from the machine's beginning).
static void arm(struct machine *m)
{
    enum deadline_kind kind = kind_of(m);
    deadline_cancel(m->loop, &m->deadline);
    m->paused_left_us = 0;
    uint64_t length = kind == DEADLINE_NONE ? 0 : m->type->duration_us(m, kind);
    if (length == 0) return;
    if (kind == DEADLINE_SILENCE && m->paused)
        m->paused_left_us = length;
    else
        deadline_arm(m->loop, &m->deadline,
                     (kind == DEADLINE_SESSION ? m->began_us : loop_now_us(m->loop)) + length);
}

static void on_deadline(struct deadline *d)
{
    struct machine *m = (struct machine *)(void *)((char *)d - offsetof(struct machine, deadline));
    log_debug(m->log, "%s%s%s: %s deadline in %s", m->type->name, m->peer ? " " : "",
              m->peer ? m->peer : "", deadline_kind_name(kind_of(m)), machine_state_name(m));
    machine_dispatch(m, &(struct machine_event){.type = EVENT_TIMEOUT});
}

// What an event means for the deadline of the state that it arrives in.
static void note(struct machine *m, const struct machine_event *event)
{
    enum deadline_kind kind = kind_of(m);
    if (event->type == EVENT_BYTES && kind == DEADLINE_SILENCE) arm(m);
    if (event->type != EVENT_DRAINED) return;
    bool was_writing = m->writing;
    if (event->left == 0) m->writing = false;
    if (kind == DEADLINE_PROGRESS && event->taken > 0) arm(m);
    if (kind == DEADLINE_REPLY && was_writing && (event->taken > 0 || !m->writing)) arm(m);
}

// Follows optional steps to the state that is really next.
static int resolve_skips(const struct machine *m, int state)
{
    for (int steps = 0; steps <= m->type->count; steps++) {
        assert(state >= 0 && state < m->type->count);
        const struct machine_state *row = &m->type->states[state];
        if (row->skip == NULL || !row->skip(m)) return state;
        state = row->skip_to;
    }
    assert(!"skips go in a circle");
    return state;
}

// The only function that changes a state.
static void enter(struct machine *m, int state)
{
    assert(m->type->states[m->state].next & TO(state));
    int from = m->state, to = resolve_skips(m, state);
    log_debug(m->log, "%s%s%s: %s -> %s", m->type->name, m->peer ? " " : "", m->peer ? m->peer : "",
              m->type->states[from].name, m->type->states[to].name);
    m->state = to;
    m->entered_us = loop_now_us(m->loop);
    if (to == m->type->final)
        deadline_cancel(m->loop, &m->deadline);
    else
        arm(m);
    if (m->type->changed != NULL) m->type->changed(m, from, to);
}

// Delivers one event, then EVENT_ENTER to each state that follows, until one stays.
static bool deliver(struct machine *m, const struct machine_event *event)
{
    static const struct machine_event entered = {.type = EVENT_ENTER};
    m->dispatching = true;
    while (m->state != m->type->final || event->type == EVENT_ENTER) {
        const struct machine_state *row = &m->type->states[m->state];
        int next = row->handle != NULL ? row->handle(m, event) : m->state;
        if (next == m->state) break;
        enter(m, next);
        event = &entered;
    }
    m->dispatching = false;
    if (m->state != m->type->final) return true;
    if (m->type->ended != NULL) m->type->ended(m);
    return false;
}

bool machine_start(struct machine *m, const struct machine_type *type, struct loop *loop,
                   struct log *log, int state)
{
    assert(type->count <= 64 && state >= 0 && state < type->count && !deadline_armed(&m->deadline));
    m->type = type;
    m->loop = loop;
    m->log = log;
    m->began_us = m->entered_us = loop_now_us(loop);
    m->deadline.fire = on_deadline;
    m->writing = m->paused = m->dispatching = false;
    m->state = state;
    m->state = resolve_skips(m, state);
    log_debug(log, "%s%s%s: begins in %s", type->name, m->peer ? " " : "", m->peer ? m->peer : "",
              machine_state_name(m));
    arm(m);
    if (type->changed != NULL) type->changed(m, m->state, m->state);
    return deliver(m, &(struct machine_event){.type = EVENT_ENTER});
}

bool machine_dispatch(struct machine *m, const struct machine_event *event)
{
    assert(!m->dispatching);            // a handler called back into its own machine
    assert(m->state != m->type->final); // it was handed to `ended`
    note(m, event);
    return deliver(m, event);
}

void machine_stop(struct machine *m)
{
    if (m->loop != NULL) deadline_cancel(m->loop, &m->deadline);
}

void machine_pause(struct machine *m)
{
    if (m->paused) return;
    m->paused = true;
    if (kind_of(m) != DEADLINE_SILENCE || !deadline_armed(&m->deadline)) return;
    m->paused_left_us = machine_left_us(m);
    if (m->paused_left_us == 0) m->paused_left_us = 1;
    deadline_cancel(m->loop, &m->deadline);
}

void machine_resume(struct machine *m)
{
    if (!m->paused) return;
    m->paused = false;
    if (kind_of(m) == DEADLINE_SILENCE && m->paused_left_us > 0)
        deadline_arm(m->loop, &m->deadline, loop_now_us(m->loop) + m->paused_left_us);
    m->paused_left_us = 0;
}

void machine_wrote(struct machine *m)
{
    if (m->writing) return;
    m->writing = true;
    if (kind_of(m) == DEADLINE_REPLY) arm(m);
}

uint64_t machine_left_us(const struct machine *m)
{
    if (!deadline_armed(&m->deadline)) return UINT64_MAX;
    uint64_t now = loop_now_us(m->loop);
    return m->deadline.at_us > now ? m->deadline.at_us - now : 0;
}
