// TLS over a conn. Ciphertext comes in by the events of `lower` and is read by OpenSSL through a
// BIO over our buffers; what OpenSSL writes gathers in a chain that goes down in one conn_write per
// dispatch. Nothing here waits, and OpenSSL never sees a file descriptor.
//
//   state       deadline  what happens, and what a failure leaves behind
//   wait-lower  session   lower connects. Failure: lower's own reason.
//   handshake   session   the peer's turn: its records are gathered. Failure: ERROR_TLS.
//   flight      session   our turn: a worker computes. Failure: an alert to the peer, ERROR_TLS.
//   open        none      plain bytes both ways: whoever owns the conn has its deadlines.
//   flush       connect   closing in order: what is queued, then close_notify. At most
//                         CONN_FLUSH_US from entering, then what is left is dropped.
//   closing     none      lower was told to close, and a conn always answers with `closed`.
//   closed      none      final: `closed` goes up, the conn is freed.
//
// The session deadline counts from the call of tls_server whatever happens in between, so a peer
// that drips bytes gains nothing, and a flight that waits for a worker doesn't either. A client has
// none: its owner's connect deadline covers it.
//
// OpenSSL and its buffers are the engine (tls_engine.c). In a flight a worker has it, and nothing
// here may touch it. Meanwhile lower is paused: what the peer sends, an end included, stays with
// the system until the flight lands. A deadline, the owner or a reset may end the conn at once; the
// engine is then let go, and frees itself when it lands. Conns open in the order in which their
// flights land, whatever the order of accepting was.
//
// Handlers move the handshake and the closing. Events go up only from the functions that lower, the
// loop, a flight or a deadline call (see settle), after the machine has come to rest; so an owner
// may write, pause or close from inside any event, and no call of his is answered before it
// returns.
#include <openssl/err.h>
#include <stdio.h>

#include "base/mem.h"
#include "conn/tls_internal.h"
#include "loop/machine.h"

enum {
    RECORD_BYTES = 16 * 1024, // the most plain bytes that one record holds (RFC 8446, 5.1)
    SHORT_BYTES = 512,        // writes up to this are copied
    // Messages without data (key updates, tickets) in a row. Each costs us some 20 us, and real
    // peers send one or two.
    IDLE_MESSAGES_MAX = 32,
};

enum tls_state { WAIT_LOWER, HANDSHAKE, FLIGHT, OPEN, FLUSH, CLOSING, CLOSED, TLS_STATES };

// Codes of EVENT_HOST.
enum tls_code {
    LANDED,      // a flight is over
    PEER_CLOSED, // close_notify came
    FAILED,      // OpenSSL gave up; engine->why says so
    FLUSH_FIRST, // the owner closes and wants what is queued sent
};

static struct tls_conn *of(const struct conn *c)
{
    return (struct tls_conn *)c; // base comes first
}

static struct tls_conn *of_machine(const struct machine *m)
{
    return list_entry(m, struct tls_conn, machine);
}

// ---- output ---------------------------------------------------------------------------------

// What went down and was not taken. Lower reports by `drained`; a lower that took all at once
// counts at once.
static size_t below(const struct tls_conn *t)
{
    return conn_queued(t->lower) == 0 ? 0 : t->below_plain;
}

static size_t tls_queued(const struct conn *c)
{
    return of(c)->plain.len + below(of(c));
}

// Encrypts one record from the front of `plain`. Small writes are put together first, so that a
// thousand short replies are not a thousand records.
static bool encrypt_record(struct tls_conn *t)
{
    char together[RECORD_BYTES];
    struct bytes record;
    chain_peek(&t->plain, &record, 1);
    bool in_place = record.len >= RECORD_BYTES || record.len == t->plain.len;
    if (!in_place) record = bytes_of(together, chain_read(&t->plain, together, RECORD_BYTES));
    if (record.len > RECORD_BYTES) record.len = RECORD_BYTES;
    size_t taken = 0;
    ERR_clear_error();
    // The BIO takes everything, so a record is written whole or the conn has failed.
    if (SSL_write_ex(t->engine->ssl, record.data, record.len, &taken) != 1) {
        tls_engine_fail(t->engine);
        return false;
    }
    if (in_place) chain_consume(&t->plain, taken);
    tls_engine_moved(t->engine, taken);
    t->below_plain += taken;
    return true;
}

// Encrypts what lower should have now. Plain bytes beyond the high-water mark wait, so that the
// memory for ciphertext is bounded and a burst costs the loop a bounded time.
static bool encrypt(struct tls_conn *t)
{
    while (t->plain.len > 0 && conn_queued(t->lower) + t->engine->out.len < CONN_HIGH_WATER_BYTES)
        if (!encrypt_record(t)) return false;
    return true;
}

static void send_down(struct tls_conn *t)
{
    if (t->engine->out.len > 0) conn_write(t->lower, &t->engine->out);
}

static void write_close_notify(struct tls_conn *t)
{
    if (t->notified || !SSL_is_init_finished(t->engine->ssl)) return;
    t->notified = true;
    ERR_clear_error();
    SSL_shutdown(t->engine->ssl);
    ERR_clear_error();
}

// ---- the machine ----------------------------------------------------------------------------

// OpenSSL's failure is ours. An alert may be on its way.
static int failed(struct tls_conn *t)
{
    t->flush_lower = true;
    if (!error_is(&t->why)) t->why = t->engine->why;
    return CLOSING;
}

static void landed(void *owner);

static int on_lower_closed(struct tls_conn *t, const struct error *why)
{
    if (!error_is(&t->why)) t->why = *why;
    return CLOSED;
}

static int too_late(struct tls_conn *t, const char *what)
{
    error_set(&t->why, ERROR_TIMEOUT, "TLS handshake not %s within %llu ms", what,
              (unsigned long long)t->handshake_us / 1000);
    return CLOSING;
}

static int on_wait_lower(struct machine *m, const struct machine_event *event)
{
    struct tls_conn *t = of_machine(m);
    switch (event->type) {
    case EVENT_OPENED:
        return HANDSHAKE;
    case EVENT_CLOSED:
        return on_lower_closed(t, event->why);
    case EVENT_TIMEOUT:
        return too_late(t, "begun");
    case EVENT_CANCELLED:
    case EVENT_HOST:
        return CLOSING;
    default:
        return WAIT_LOWER;
    }
}

static int on_handshake(struct machine *m, const struct machine_event *event)
{
    struct tls_conn *t = of_machine(m);
    switch (event->type) {
    case EVENT_ENTER:
        if (error_is(&t->why)) return CLOSING; // it was made for nothing: see tls_client
        conn_resume(t->lower);
        return tls_engine_ready(t->engine) ? FLIGHT : HANDSHAKE;
    case EVENT_BYTES:
        return tls_engine_ready(t->engine) ? FLIGHT : HANDSHAKE;
    case EVENT_CLOSED:
        // Connected and gone without a word is what a port check does: no failure of TLS.
        if (event->why->class == ERROR_CLOSED && (t->heard || !t->engine->server))
            error_set(&t->why, ERROR_TLS,
                      "the peer closed the connection during the TLS handshake%s",
                      t->engine->server ? "" : " (does its port speak TLS?)");
        return on_lower_closed(t, event->why);
    case EVENT_TIMEOUT:
        return too_late(t, "finished");
    case EVENT_CANCELLED:
    case EVENT_HOST:
        return CLOSING;
    default:
        return HANDSHAKE;
    }
}

static int on_flight(struct machine *m, const struct machine_event *event)
{
    struct tls_conn *t = of_machine(m);
    switch (event->type) {
    case EVENT_ENTER:
        send_down(t);
        conn_pause(t->lower);
        tls_engine_fly(t->engine, landed, t);
        return FLIGHT;
    case EVENT_HOST:
        if (t->engine->outcome == TLS_FAILED) return failed(t);
        return t->engine->outcome == TLS_DONE ? OPEN : HANDSHAKE;
    case EVENT_CLOSED:
        return on_lower_closed(t, event->why);
    case EVENT_TIMEOUT:
        return too_late(t, "finished");
    case EVENT_CANCELLED:
        return CLOSING;
    default:
        return FLIGHT;
    }
}

static int on_open(struct machine *m, const struct machine_event *event)
{
    struct tls_conn *t = of_machine(m);
    switch (event->type) {
    case EVENT_ENTER:
        if (!t->base.paused) conn_resume(t->lower);
        return OPEN;
    case EVENT_CLOSED:
        // Many peers, Redis among them, close without a close_notify: an end of input is an end.
        return on_lower_closed(t, event->why);
    case EVENT_CANCELLED:
        // A close_notify goes out if nothing stands before it; then lower sends it at once.
        t->flush_lower = conn_queued(t->lower) == 0;
        if (t->flush_lower) write_close_notify(t);
        return CLOSING;
    case EVENT_HOST:
        if (event->code == FLUSH_FIRST) return FLUSH;
        if (event->code == FAILED) return failed(t);
        t->flush_lower = true;
        write_close_notify(t);
        return CLOSING;
    default:
        return OPEN;
    }
}

static int on_flush(struct machine *m, const struct machine_event *event)
{
    struct tls_conn *t = of_machine(m);
    switch (event->type) {
    case EVENT_ENTER:
    case EVENT_DRAINED:
        if (!encrypt(t)) return failed(t);
        if (t->plain.len == 0) write_close_notify(t);
        send_down(t);
        t->flush_lower = t->notified && conn_queued(t->lower) == 0;
        return t->flush_lower ? CLOSING : FLUSH;
    case EVENT_CLOSED:
        return on_lower_closed(t, event->why);
    case EVENT_TIMEOUT:
    case EVENT_CANCELLED: // the owner cuts it short
        return CLOSING;
    default:
        return FLUSH;
    }
}

static int on_closing(struct machine *m, const struct machine_event *event)
{
    struct tls_conn *t = of_machine(m);
    switch (event->type) {
    case EVENT_ENTER:
        if (!error_is(&t->why)) error_set(&t->why, ERROR_CLOSED, "closed");
        if (t->lower_over) return CLOSING;
        if (t->flush_lower) {
            send_down(t);
            conn_close_flush(t->lower);
        } else {
            conn_close(t->lower);
        }
        return CLOSING;
    case EVENT_CANCELLED:
        if (!t->lower_over) conn_close(t->lower); // cuts a flush short
        return CLOSING;
    case EVENT_CLOSED:
        return CLOSED;
    default:
        return CLOSING;
    }
}

static uint64_t duration_us(const struct machine *m, enum deadline_kind kind)
{
    return kind == DEADLINE_SESSION ? of_machine(m)->handshake_us : CONN_FLUSH_US;
}

static void ended(struct machine *m)
{
    struct tls_conn *t = of_machine(m);
    task_cancel(&t->task);
    conn_emit_closed(&t->base, &t->why);
    tls_engine_free(t->engine);
    chain_free(&t->plain);
    mem_free(t);
}

static const struct machine_state states[TLS_STATES] = {
    [WAIT_LOWER] = {"wait-lower", DEADLINE_SESSION, on_wait_lower,
                    TO(HANDSHAKE) | TO(CLOSING) | TO(CLOSED), NULL, 0},
    [HANDSHAKE] = {"handshake", DEADLINE_SESSION, on_handshake,
                   TO(FLIGHT) | TO(CLOSING) | TO(CLOSED), NULL, 0},
    [FLIGHT] = {"flight", DEADLINE_SESSION, on_flight,
                TO(HANDSHAKE) | TO(OPEN) | TO(CLOSING) | TO(CLOSED), NULL, 0},
    [OPEN] = {"open", DEADLINE_NONE, on_open, TO(FLUSH) | TO(CLOSING) | TO(CLOSED), NULL, 0},
    [FLUSH] = {"flush", DEADLINE_CONNECT, on_flush, TO(CLOSING) | TO(CLOSED), NULL, 0},
    [CLOSING] = {"closing", DEADLINE_NONE, on_closing, TO(CLOSED), NULL, 0},
    [CLOSED] = {"closed", DEADLINE_NONE, NULL, 0, NULL, 0},
};

const struct machine_type tls_machine = {
    .name = "tls",
    .states = states,
    .count = TLS_STATES,
    .final = CLOSED,
    .duration_us = duration_us,
    .ended = ended,
};

static void tell(struct tls_conn *t, enum tls_code code)
{
    struct machine_event event = {.type = EVENT_HOST, .code = (int)code};
    machine_dispatch(&t->machine, &event);
}

// ---- between the machine and the owner ------------------------------------------------------

// One record or message. False: there is none to be had now, or the conn is over.
static bool read_record(struct tls_conn *t)
{
    struct tls_engine *e = t->engine;
    char record[RECORD_BYTES];
    size_t len = 0;
    ERR_clear_error();
    e->starved = false;
    int result = SSL_read_ex(e->ssl, record, sizeof(record), &len);
    if (result == 1) {
        t->idle_messages = 0;
        tls_engine_moved(e, len);
        conn_emit_bytes(&t->base, bytes_of(record, len));
        return true;
    }
    int what = SSL_get_error(e->ssl, result);
    if (what == SSL_ERROR_WANT_READ || what == SSL_ERROR_WANT_WRITE) {
        if (e->starved) return false;
        // A message without data ends the call: see SSL_MODE_AUTO_RETRY in tls_context.c.
        if (++t->idle_messages <= IDLE_MESSAGES_MAX) return true;
        error_set(&e->why, ERROR_TLS, "the peer sends messages without data (%d in a row)",
                  IDLE_MESSAGES_MAX);
        tell(t, FAILED);
    } else if (what == SSL_ERROR_ZERO_RETURN) {
        error_set(&t->why, ERROR_CLOSED, "closed by the peer");
        tell(t, PEER_CLOSED);
    } else {
        tls_engine_fail(e);
        tell(t, FAILED);
    }
    return false;
}

// Hands decrypted records up until the input ends or the owner pauses; at most the ciphertext of
// one read stays here then, and no plain byte. What takes long, many small records or what the
// owner does with large ones, is done in turns, and lower waits for as long.
static void deliver(struct tls_conn *t)
{
    bool was_behind = t->behind;
    t->behind = false;
    while (t->machine.state == OPEN && !t->base.paused && read_record(t))
        if ((t->behind = loop_turn_over(t->base.loop))) break;
    if (t->behind) {
        conn_pause(t->lower);
        loop_defer(t->base.loop, &t->task);
    } else if (was_behind && t->machine.state == OPEN && !t->base.paused) {
        conn_resume(t->lower);
    }
}

// After every event: tells the owner what came of it, and lower what to send.
static void settle(struct tls_conn *t)
{
    if (t->machine.state == OPEN && !t->base.opened) conn_emit_opened(&t->base);
    deliver(t);
    if (t->machine.state == OPEN && !encrypt(t)) tell(t, FAILED);
    if (t->engine->away) return;
    if (t->machine.state < CLOSING) send_down(t);
    tls_engine_keep(t->engine);
}

static void landed(void *owner)
{
    struct tls_conn *t = owner;
    tell(t, LANDED);
    settle(t);
}

static void lower_opened(struct conn *lower, void *owner)
{
    (void)lower;
    struct tls_conn *t = owner;
    struct machine_event event = {.type = EVENT_OPENED};
    if (t->machine.state == WAIT_LOWER) machine_dispatch(&t->machine, &event);
    settle(t);
}

static void lower_bytes(struct conn *lower, void *owner, struct bytes input)
{
    (void)lower;
    struct tls_conn *t = owner;
    t->heard = true;
    if (t->machine.state >= FLUSH) return; // nobody is left to read it
    t->engine->fresh = input;
    struct machine_event event = {.type = EVENT_BYTES};
    machine_dispatch(&t->machine, &event);
    settle(t);
}

static void lower_drained(struct conn *lower, void *owner, size_t taken, size_t left)
{
    (void)lower;
    struct tls_conn *t = owner;
    size_t plain = t->below_plain;
    if (left > 0) plain = (size_t)((double)plain * ((double)taken / (double)(taken + left)));
    t->below_plain -= plain;
    struct machine_event event = {.type = EVENT_DRAINED, .taken = taken, .left = left};
    machine_dispatch(&t->machine, &event);
    settle(t);
    // The rounding may leave nothing of a small progress; the end is always exact.
    if (plain > 0 && t->machine.state == OPEN)
        conn_emit_drained(&t->base, plain, tls_queued(&t->base));
}

static void lower_closed(struct conn *lower, void *owner, const struct error *why)
{
    (void)lower;
    struct tls_conn *t = owner;
    t->lower_over = true;
    // What was held back by a pause that has just ended comes before the end. In it the peer may
    // say goodbye, or the owner may close us.
    do {
        if (t->machine.state == OPEN) deliver(t);
    } while (t->machine.state == OPEN && t->behind);
    struct machine_event event = {.type = EVENT_CLOSED, .why = why};
    machine_dispatch(&t->machine, &event);
}

static const struct conn_events lower_events = {lower_opened, lower_bytes, lower_drained,
                                                lower_closed};

static void run_task(struct task *task)
{
    struct tls_conn *t = list_entry(task, struct tls_conn, task);
    if (t->machine.state == WAIT_LOWER && t->lower->opened) {
        lower_opened(t->lower, t);
        return;
    }
    settle(t);
}

// ---- what the owner calls -------------------------------------------------------------------

static void tls_write(struct conn *c, struct chain *data)
{
    struct tls_conn *t = of(c);
    if (t->machine.state >= FLUSH) {
        chain_free(data);
        return;
    }
    // All writes of one dispatch are encrypted together; short ones share chunks.
    struct bytes first;
    if (data->len <= SHORT_BYTES && chain_peek(data, &first, 1) == 1 && first.len == data->len) {
        chain_append(&t->plain, first.data, first.len);
        chain_free(data);
    } else {
        chain_move(&t->plain, data);
    }
    loop_defer(c->loop, &t->task);
}

static void tls_pause(struct conn *c)
{
    if (of(c)->machine.state == OPEN) conn_pause(of(c)->lower);
}

static void tls_resume(struct conn *c)
{
    struct tls_conn *t = of(c);
    if (t->machine.state != OPEN) return;
    loop_defer(c->loop, &t->task); // what is held comes first, and not inside this call
    if (!t->behind) conn_resume(t->lower);
}

static void tls_close(struct conn *c, bool flush)
{
    struct tls_conn *t = of(c);
    if (flush && t->machine.state == OPEN) {
        tell(t, FLUSH_FIRST);
        return;
    }
    struct machine_event event = {.type = EVENT_CANCELLED};
    machine_dispatch(&t->machine, &event);
}

static void tls_address(const struct conn *c, bool peer, char *out, size_t size)
{
    const struct conn *lower = of(c)->lower;
    lower->ops->address(lower, peer, out, size);
}

static int tls_fd(const struct conn *c)
{
    return conn_fd(((const struct tls_conn *)c)->lower);
}

static void tls_nodelay(struct conn *c, bool on)
{
    if (of(c)->lower != NULL) conn_nodelay(of(c)->lower, on);
}

static bool tls_peer_name(const struct conn *c, char *out, size_t size)
{
    return !of(c)->engine->away && tls_engine_peer_name(of(c)->engine, out, size);
}

static const struct conn_ops tls_ops = {
    .type = "tls",
    .write = tls_write,
    .pause = tls_pause,
    .resume = tls_resume,
    .close = tls_close,
    .queued = tls_queued,
    .address = tls_address,
    .fd = tls_fd,
    .nodelay = tls_nodelay,
    .peer_name = tls_peer_name,
};

void tls_describe(const struct conn *c, char *out, size_t size)
{
    if (size > 0) out[0] = '\0';
    if (c->ops != &tls_ops || of(c)->machine.state != OPEN) return;
    snprintf(out, size, "%s %s", SSL_get_version(of(c)->engine->ssl),
             SSL_get_cipher_name(of(c)->engine->ssl));
}

// ---- making one -----------------------------------------------------------------------------

static struct tls_conn *new_conn(struct tls_context *context, bool server, struct conn *lower,
                                 const struct conn_events *events, void *owner)
{
    struct tls_conn *t = mem_new(struct tls_conn);
    conn_init(&t->base, &tls_ops, lower->loop, events, owner);
    t->lower = lower;
    conn_own(lower, &lower_events, t);
    t->engine = tls_engine_new(lower->loop, context, server);
    chain_init(&t->plain);
    task_init(&t->task, run_task);
    return t;
}

static struct conn *start(struct tls_conn *t)
{
    machine_start(&t->machine, &tls_machine, t->base.loop, NULL, WAIT_LOWER);
    if (t->lower->opened) loop_defer(t->base.loop, &t->task);
    return &t->base;
}

struct conn *tls_client(struct tls_context *context, struct conn *lower, const char *sni,
                        const char *verify_name, const struct conn_events *events, void *owner)
{
    struct tls_conn *t = new_conn(context, false, lower, events, owner);
    // A name that could not be checked must not pass for one that was.
    if (!tls_engine_expect(t->engine, sni, verify_name))
        error_set(&t->why, ERROR_TLS, "'%s' is no name to check", t->engine->expected_name);
    return start(t);
}

struct conn *tls_server(struct tls_context *context, struct conn *lower,
                        uint64_t handshake_timeout_us, const struct conn_events *events,
                        void *owner)
{
    struct tls_conn *t = new_conn(context, true, lower, events, owner);
    t->handshake_us = handshake_timeout_us > 0 ? handshake_timeout_us : TLS_HANDSHAKE_US;
    return start(t);
}
