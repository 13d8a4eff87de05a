// The MIGRATE machine.
//
//   connect   connect    resolving, TCP and TLS. Skipped on a cached link.
//   greet     reply      AUTH and SELECT are sent together and answered, before any key goes: a
//                        target that refuses either must not see a key in the wrong place. Skipped
//                        where a cached link that was in use just now has nothing to say.
//   send      progress   keys go out, as far as the window allows; answers are read meanwhile.
//   count     none       a large value's payload is counted, in slices, because its length goes
//                        first. We wait for nobody here.
//   reply     reply      all is written: the next acknowledgement.
//   acked     none       one has come, more are due: back to reply, whose deadline starts anew.
//   held      none       somebody else (another MIGRATE, a DUMP) holds the next key, and nothing of
//                        ours is under way: we hold nothing that anybody could wait for in turn.
//   settle    none       nothing is asked of the target any more; somebody (a snapshot, a DUMP)
//                        still reads a key that is to be deleted, or writes are paused.
//   done
//
// A key is taken like a write takes it: once nobody holds it. While one is waited for, what was
// sent before it is acknowledged first (reply), so that two migrations never wait for each other.
//
// A failure anywhere leaves keys that were not acknowledged here and unchanged, and their holds
// end. Those that were acknowledged are deleted, come what may. The link is closed, unless
// everything on it was answered. A cached link that turns out to be dead before one whole key was
// taken by it is replaced by a fresh one, once.
#include "migrate/migrate.h"

#include "base/mem.h"
#include "migrate/migrate_impl.h"
#include "proto/command_line.h"

#include <stdio.h>

enum {
    // How far TLS's account of what was taken may be off (conn/tls.h).
    ACCOUNT_SLACK_BYTES = 16 * 1024,
};

static struct migrate *of(const struct machine *m)
{
    return (struct migrate *)(uintptr_t)m; // the machine is its first member
}

void migrate_write(struct migrate *m, struct chain *out)
{
    m->written_bytes += out->len;
    machine_wrote(&m->machine);
    conn_write(m->target->conn, out);
}

bool migrate_tell(struct migrate *m, int code)
{
    return machine_dispatch(&m->machine, &(struct machine_event){.type = EVENT_HOST, .code = code});
}

// ---- failing ------------------------------------------------------------------------------------

void migrate_set_result(struct migrate *m, enum migrate_outcome outcome, const char *format, ...)
{
    if (m->failed) return; // the first reason is the one to tell
    m->failed = true;
    m->result.outcome = outcome;
    va_list args;
    va_start(args, format);
    vsnprintf(m->result.text, sizeof(m->result.text), format, args);
    va_end(args);
}

// ---- handlers -----------------------------------------------------------------------------------

static void open_link(struct migrate *m);

// A cached link died, and nothing of a key can have been applied: once more on a fresh one.
static bool may_retry(const struct migrate *m)
{
    return m->cached && !m->retried && m->next_reply == 0 && m->result.moved == 0 &&
           (m->first_key_end_bytes == 0 ||
            m->taken_bytes + ACCOUNT_SLACK_BYTES < m->first_key_end_bytes);
}

static void begin_again(struct migrate *m)
{
    migrate_stop_sending(m);
    for (int i = 0; i < m->request.key_count; i++) {
        migrate_release(m, &m->keys[i]);
        m->keys[i].sent = false;
    }
    m->next_key = m->greetings = 0;
    m->taken_bytes = m->written_bytes = m->first_key_end_bytes = 0;
    m->retried = true;
    m->migrator->stats.retries++;
}

static int on_closed(struct migrate *m, const struct machine_event *event, const char *doing)
{
    int state = m->machine.state;
    while (m->answers_left) // what the target said before it went counts
        state = migrate_answers(m);
    link_gone(m->target);
    m->target = NULL;
    if (state >= SETTLE) return state;
    if (!may_retry(m)) return migrate_io_error(m, doing, event->why->text);
    begin_again(m);
    return CONNECT;
}

static int on_connect(struct machine *machine, const struct machine_event *event)
{
    struct migrate *m = of(machine);
    switch (event->type) {
    case EVENT_ENTER:
        open_link(m);
        return CONNECT;
    case EVENT_OPENED:
        return GREET;
    case EVENT_CLOSED:
        return on_closed(m, event, "connecting to");
    case EVENT_TIMEOUT:
        return migrate_timed_out(m, &m->migrator->stats.timeouts_connect, "connecting to");
    case EVENT_CANCELLED:
        return migrate_over(m);
    default:
        return CONNECT;
    }
}

static bool connected(const struct machine *machine)
{
    return of(machine)->target != NULL;
}

static bool nothing_to_greet(const struct machine *machine)
{
    const struct migrate *m = of(machine);
    return m->request.password.data == NULL && m->target->db == m->request.target_db;
}

static int greet(struct migrate *m)
{
    struct chain out;
    struct migrate_link *l = m->target;
    chain_init(&out);
    // On a cached link too: the password may have been changed since.
    if (m->request.password.data != NULL) {
        if (m->request.user.data != NULL)
            request_writef(&out, "AUTH %b %b", m->request.user, m->request.password);
        else
            request_writef(&out, "AUTH %b", m->request.password);
        m->greetings++;
    }
    if (l->db != m->request.target_db) {
        request_writef(&out, "SELECT %d", m->request.target_db);
        m->greetings++;
    }
    migrate_write(m, &out);
    return GREET;
}

static int on_greet(struct machine *machine, const struct machine_event *event)
{
    struct migrate *m = of(machine);
    switch (event->type) {
    case EVENT_ENTER:
        return greet(m);
    case EVENT_BYTES:
        return migrate_input(m, event->input);
    case EVENT_CLOSED:
        return on_closed(m, event, "reading from");
    case EVENT_TIMEOUT:
        return migrate_timed_out(m, &m->migrator->stats.timeouts_greet, "reading from");
    case EVENT_CANCELLED:
        return migrate_over(m);
    default:
        return GREET;
    }
}

static int all_sent(struct migrate *m)
{
    return migrate_reply_due(m) ? REPLY : migrate_finishing(m);
}

// send and count: the pump runs, answers come in between.
static int on_sending(struct machine *machine, const struct machine_event *event)
{
    struct migrate *m = of(machine);
    switch (event->type) {
    case EVENT_ENTER:
        if (machine->state == COUNT) return COUNT;
        m->target->db = m->request.target_db;
        job_start(m->migrator->host->loop, &m->pump);
        return SEND;
    case EVENT_HOST:
        if (event->code == COUNTING) return COUNT;
        if (event->code == ANSWERS) return migrate_answers(m);
        if (event->code == HELD_UP) return migrate_reply_due(m) ? REPLY : HELD;
        return event->code == ALL_SENT ? all_sent(m) : SEND;
    case EVENT_DRAINED:
        job_start(m->migrator->host->loop, &m->pump);
        return machine->state;
    case EVENT_BYTES:
        return migrate_input(m, event->input);
    case EVENT_CLOSED:
        return on_closed(m, event, "writing to");
    case EVENT_TIMEOUT:
        return migrate_timed_out(m, &m->migrator->stats.timeouts_send, "writing to");
    case EVENT_CANCELLED:
        return migrate_over(m);
    default:
        return machine->state;
    }
}

static int on_reply(struct machine *machine, const struct machine_event *event)
{
    struct migrate *m = of(machine);
    switch (event->type) {
    case EVENT_BYTES:
        return migrate_input(m, event->input);
    case EVENT_HOST:
        return event->code == ANSWERS ? migrate_answers(m) : REPLY;
    case EVENT_CLOSED:
        return on_closed(m, event, "reading from");
    case EVENT_TIMEOUT:
        return migrate_timed_out(m, &m->migrator->stats.timeouts_reply, "reading from");
    case EVENT_CANCELLED:
        return migrate_over(m);
    default:
        return REPLY; // from acked too
    }
}

static int on_held(struct machine *machine, const struct machine_event *event)
{
    struct migrate *m = of(machine);
    switch (event->type) {
    case EVENT_HOST:
        if (event->code == ANSWERS) return migrate_answers(m);
        return event->code == FREE ? SEND : HELD;
    case EVENT_BYTES:
        return migrate_input(m, event->input);
    case EVENT_CLOSED:
        return on_closed(m, event, "writing to");
    case EVENT_CANCELLED:
        return migrate_over(m);
    default:
        return HELD;
    }
}

static int on_settle(struct machine *machine, const struct machine_event *event)
{
    struct migrate *m = of(machine);
    switch (event->type) {
    case EVENT_ENTER:
        migrate_stop_sending(m);
        migrate_release_rest(m);
        return migrate_over(m);
    case EVENT_CLOSED:
        link_gone(m->target);
        m->target = NULL;
        return SETTLE;
    case EVENT_BYTES:
        link_drop(m->target); // nobody asked for anything: this peer is out of step
        m->target = NULL;
        return SETTLE;
    default:
        return migrate_over(m);
    }
}

#define OVER (TO(SETTLE) | TO(DONE))
static const struct machine_state states[MIGRATE_STATES] = {
    [CONNECT] = {"connect", DEADLINE_CONNECT, on_connect, TO(CONNECT) | TO(GREET) | TO(DONE),
                 .skip = connected, .skip_to = GREET},
    [GREET] = {"greet", DEADLINE_REPLY, on_greet, TO(SEND) | TO(CONNECT) | TO(DONE),
               .skip = nothing_to_greet, .skip_to = SEND},
    [SEND] = {"send", DEADLINE_PROGRESS, on_sending,
              TO(COUNT) | TO(REPLY) | TO(HELD) | TO(CONNECT) | OVER},
    [COUNT] = {"count", DEADLINE_NONE, on_sending, TO(SEND) | TO(CONNECT) | OVER},
    [REPLY] = {"reply", DEADLINE_REPLY, on_reply, TO(ACKED) | TO(SEND) | TO(CONNECT) | OVER},
    [ACKED] = {"acked", DEADLINE_NONE, on_reply, TO(REPLY)},
    [HELD] = {"held", DEADLINE_NONE, on_held, TO(SEND) | TO(CONNECT) | OVER},
    [SETTLE] = {"settle", DEADLINE_NONE, on_settle, TO(DONE)},
    [DONE] = {"done", DEADLINE_NONE, NULL, 0},
};

static uint64_t duration_us(const struct machine *machine, enum deadline_kind kind)
{
    (void)kind; // every wait of MIGRATE is measured by its one timeout
    return (uint64_t)of(machine)->request.timeout_ms * 1000;
}

// ---- the end ------------------------------------------------------------------------------------

static void migrate_free(struct migrate *m)
{
    migrate_stop_sending(m);
    job_stop(m->migrator->host->loop, &m->answers);
    for (int i = 0; i < m->request.key_count; i++) {
        migrate_release(m, &m->keys[i]);
        str_free(m->keys[i].name);
    }
    // A link is as good as new only where everything that was asked has been answered.
    bool clean = m->target != NULL && m->target->db >= 0 && m->greetings == 0 &&
                 !migrate_reply_due(m) && m->target->reader.pending_bytes == 0 &&
                 !m->answers_left && conn_queued(m->target->conn) == 0 &&
                 m->next_key >= m->request.key_count;
    if (m->target != NULL) {
        if (clean)
            link_keep(m->target);
        else
            link_drop(m->target);
    }
    list_remove(&m->link);
    m->migrator->flight_count--;
    mem_free(m->keys);
    str_free(m->host);
    str_free(m->user);
    str_free(m->password);
    mem_free(m);
}

static void ended(struct machine *machine)
{
    struct migrate *m = of(machine);
    struct migrator *g = m->migrator;
    struct migrate_result result = m->result;
    void (*done)(void *, const struct migrate_result *) = m->done;
    void *owner = m->owner;
    if (!m->failed && result.moved == 0) result.outcome = MIGRATE_NO_KEY;
    *(m->failed ? &g->stats.failed : &g->stats.succeeded) += 1;
    log_verbose(g->host->log, "MIGRATE to %s: %d of %d keys moved, %llu bytes sent in %llu ms%s%s",
                m->peer, result.moved, m->request.key_count, (unsigned long long)m->taken_bytes,
                (unsigned long long)((loop_now_us(g->host->loop) - machine->began_us) / 1000),
                m->failed ? ": " : "", m->failed ? result.text : "");
    migrate_free(m);
    if (done != NULL) done(owner, &result);
}

const struct machine_type migrate_machine = {
    .name = "migrate",
    .states = states,
    .count = MIGRATE_STATES,
    .final = DONE,
    .duration_us = duration_us,
    .ended = ended,
};

// ---- events of the conn -------------------------------------------------------------------------

static void conn_opened(struct conn *c, void *owner)
{
    (void)c;
    machine_dispatch(owner, &(struct machine_event){.type = EVENT_OPENED});
}

static void conn_bytes(struct conn *c, void *owner, struct bytes input)
{
    (void)c;
    machine_dispatch(owner, &(struct machine_event){.type = EVENT_BYTES, .input = input});
}

static void conn_drained(struct conn *c, void *owner, size_t taken, size_t left)
{
    (void)c;
    of(owner)->taken_bytes += taken;
    of(owner)->migrator->stats.sent_bytes += taken;
    machine_dispatch(owner,
                     &(struct machine_event){.type = EVENT_DRAINED, .taken = taken, .left = left});
}

static void conn_closed(struct conn *c, void *owner, const struct error *why)
{
    (void)c;
    machine_dispatch(owner, &(struct machine_event){.type = EVENT_CLOSED, .why = why});
}

static const struct conn_events events = {conn_opened, conn_bytes, conn_drained, conn_closed};

static void open_link(struct migrate *m)
{
    m->cached = false;
    m->target = link_open(m->migrator, &m->request, &events, &m->machine);
}

// ---- starting -----------------------------------------------------------------------------------

static struct str *own(struct bytes *text)
{
    if (text->data == NULL) return NULL;
    struct str *copy = str_from(*text);
    *text = str_view(copy);
    return copy;
}

struct migrate *migrate_start(struct migrator *g, const struct migrate_request *request,
                              void (*done)(void *owner, const struct migrate_result *result),
                              void *owner)
{
    struct migrate *m = mem_new(struct migrate);
    m->migrator = g;
    m->request = *request;
    m->host = str_from(bytes_from_cstr(request->host));
    m->request.host = m->host->data;
    m->user = own(&m->request.user);
    m->password = own(&m->request.password);
    m->keys = mem_zalloc(sizeof(*m->keys) * (size_t)request->key_count);
    for (int i = 0; i < request->key_count; i++) {
        m->keys[i].name = str_from(request->keys[i]);
        m->keys[i].migrate = m;
        list_init(&m->keys[i].waiter.link);
    }
    m->request.keys = NULL;
    m->done = done;
    m->owner = owner;
    snprintf(m->peer, sizeof(m->peer), "%.64s:%d%s", request->host, request->port,
             request->tls ? " (tls)" : "");
    m->machine.peer = m->peer;
    job_init(&m->pump, "migrate", migrate_pump);
    job_init(&m->answers, "migrate answers", migrate_answers_step);
    list_push_back(&g->flights, &m->link);
    g->flight_count++;
    g->stats.started++;
    log_verbose(g->host->log, "MIGRATE of %d keys to %s begins", request->key_count, m->peer);
    m->target = link_take(g, &m->request);
    m->cached = m->target != NULL;
    if (m->cached) conn_own(m->target->conn, &events, &m->machine);
    machine_start(&m->machine, &migrate_machine, g->host->loop, g->host->log, CONNECT);
    return m;
}

void migrate_cancel(struct migrate *m)
{
    m->done = NULL;
    migrate_set_result(m, MIGRATE_IO_ERROR, "cancelled");
    machine_dispatch(&m->machine, &(struct machine_event){.type = EVENT_CANCELLED});
}

void migrate_cancel_all(struct migrator *g, const char *why)
{
    list_each_safe(at, &g->flights)
    {
        struct migrate *m = list_entry(at, struct migrate, link);
        migrate_set_result(m, MIGRATE_IO_ERROR, "%s%s", why,
                           m->deleting > 0 || migrate_reply_due(m)
                               ? "; what was sent and is still here may be there too"
                               : "");
        migrate_keep_all(m);
        machine_dispatch(&m->machine, &(struct machine_event){.type = EVENT_CANCELLED});
    }
}

void migrator_visit(const struct migrator *g, void (*visit)(void *arg, const struct machine *m),
                    void *arg)
{
    list_each(at, &g->flights) visit(arg, &list_entry(at, struct migrate, link)->machine);
}

void migrate_progress(const struct machine *machine, struct migrate_progress *out)
{
    const struct migrate *m = of(machine);
    int at = machine->state == REPLY ? m->next_reply : m->next_key;
    *out = (struct migrate_progress){
        .target = m->peer,
        .keys = m->request.key_count,
        .moved = m->result.moved,
        .key_bytes = m->encoder != NULL ? m->payload_bytes : 0,
        .sent_bytes = m->taken_bytes,
    };
    if (at < m->request.key_count) out->key = str_view(m->keys[at].name);
}

void migrator_init(struct migrator *g, struct migrate_host *host)
{
    *g = (struct migrator){.host = host};
    list_init(&g->flights);
    list_init(&g->links);
}

void migrator_free(struct migrator *g)
{
    list_each_safe(at, &g->flights)
    {
        struct migrate *m = list_entry(at, struct migrate, link);
        migrate_keep_all(m);
        migrate_cancel(m);
    }
    list_each_safe(at, &g->links) link_drop(list_entry(at, struct migrate_link, link));
}
