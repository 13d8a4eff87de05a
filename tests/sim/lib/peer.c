#include "sim/lib/peer.h"

#include "base/mem.h"
#include "base/text.h"
#include "sim/lib/sim_impl.h"

#include <stdio.h>

enum { SHOWN_BYTES = 60 };

// ---- recording ------------------------------------------------------------------------------

static void quote(struct buf *out, struct bytes data)
{
    size_t len = data.len;
    if (data.len > SHOWN_BYTES) data.len = SHOWN_BYTES;
    text_append_quoted(out, data);
    if (data.len < len) buf_printf(out, "... %zu bytes", len);
    buf_append_byte(out, '\0');
}

static void record(struct peer *p, const char *what, struct bytes data)
{
    if (p->trace == NULL) return;
    struct buf text = BUF_EMPTY;
    quote(&text, data);
    trace_add(p->trace, "peer %s %s", what, buf_view(&text).data);
    buf_free(&text);
}

static void fail(struct peer *p, struct bytes wanted)
{
    struct buf got = BUF_EMPTY, want = BUF_EMPTY;
    quote(&got, peer_input(p));
    quote(&want, wanted);
    snprintf(p->why, sizeof(p->why), "step %d: expected %s, got %s", p->step, buf_view(&want).data,
             buf_view(&got).data);
    p->failed = true;
    if (p->trace != NULL) trace_add(p->trace, "peer FAILED %s", p->why);
    buf_free(&got);
    buf_free(&want);
}

// ---- steps ----------------------------------------------------------------------------------

// Each returns true when the step is done.

static bool step_expect(struct peer *p, struct bytes wanted)
{
    struct bytes got = peer_input(p);
    size_t len = got.len < wanted.len ? got.len : wanted.len;
    if (!bytes_equal(bytes_of(got.data, len), bytes_of(wanted.data, len))) fail(p, wanted);
    if (p->failed || len < wanted.len) return false;
    peer_consume(p, len);
    return true;
}

static bool step_expect_past(struct peer *p, struct bytes wanted)
{
    struct bytes got = peer_input(p);
    const char *at = got.len > 0 ? memmem(got.data, got.len, wanted.data, wanted.len) : NULL;
    if (at == NULL) return false;
    peer_consume(p, (size_t)(at - got.data) + wanted.len);
    return true;
}

static bool step_expect_any(struct peer *p, size_t count)
{
    if (buf_len(&p->input) < count) return false;
    peer_consume(p, count);
    return true;
}

static bool wait(struct peer *p, uint64_t us)
{
    struct loop *loop = sim_loop(p->node);
    deadline_arm(loop, &p->wait, loop_now_us(loop) + us);
    return false;
}

static bool step_drip(struct peer *p, const struct peer_step *s)
{
    if (deadline_armed(&p->wait)) return false;
    if (s->text[p->dripped] == '\0') {
        p->dripped = 0;
        return true;
    }
    peer_send(p, bytes_of(s->text + p->dripped++, 1));
    return wait(p, s->us);
}

static bool step_garbage(struct peer *p, size_t count)
{
    char *data = mem_alloc(count);
    for (size_t i = 0; i < count; i++)
        data[i] = (char)rng_next(sim_rng(p->node->sim));
    peer_send(p, bytes_of(data, count));
    mem_free(data);
    return true;
}

// Entered again after a wait, a PEER_WAIT step is done; `dripped` remembers that it began.
static bool step_wait(struct peer *p, uint64_t us)
{
    if (deadline_armed(&p->wait)) return false;
    if (p->dripped == 1) {
        p->dripped = 0;
        return true;
    }
    p->dripped = 1;
    return wait(p, us);
}

static bool perform(struct peer *p, const struct peer_step *s)
{
    struct bytes text = s->text != NULL ? bytes_from_cstr(s->text) : bytes_of(s->data, s->count);
    switch (s->action) {
    case PEER_EXPECT:
        return step_expect(p, text);
    case PEER_EXPECT_PAST:
        return step_expect_past(p, text);
    case PEER_EXPECT_ANY:
        return step_expect_any(p, s->count);
    case PEER_SEND:
        return peer_send(p, text), true;
    case PEER_DRIP:
        return step_drip(p, s);
    case PEER_WAIT:
        return step_wait(p, s->us);
    case PEER_GARBAGE:
        return step_garbage(p, s->count);
    case PEER_CLOSE:
        return peer_close(p), true;
    case PEER_CUT:
        // Under a conn over TLS is the wire that the node made last.
        return sim_cut(strcmp(conn_type(p->conn), "sim") == 0 ? p->conn : sim_last_conn(p->node)),
               true;
    case PEER_PAUSE:
        return conn_pause(p->conn), true;
    case PEER_RESUME:
        return conn_resume(p->conn), true;
    case PEER_CALL:
        return s->call(p), true;
    case PEER_END:
        break;
    }
    return false;
}

static void proceed(struct peer *p)
{
    while (p->conn != NULL && p->conn->opened && !p->failed && !peer_done(p)) {
        if (!perform(p, &p->steps[p->step])) return;
        p->step++;
    }
}

static void on_wait(struct deadline *d)
{
    proceed(list_entry(d, struct peer, wait));
}

static void on_proceed(struct task *task)
{
    proceed(list_entry(task, struct peer, proceed));
}

// ---- its conn -------------------------------------------------------------------------------

static void on_opened(struct conn *c, void *owner)
{
    (void)c;
    struct peer *p = owner;
    if (p->trace != NULL) trace_add(p->trace, "peer opened");
    proceed(p);
}

static void on_bytes(struct conn *c, void *owner, struct bytes input)
{
    (void)c;
    struct peer *p = owner;
    record(p, "<", input);
    p->received += input.len;
    buf_append_bytes(&p->input, input);
    proceed(p);
}

static void on_closed(struct conn *c, void *owner, const struct error *why)
{
    struct peer *p = owner;
    if (c != p->conn) return;
    if (p->trace != NULL) trace_add(p->trace, "peer closed: %s", why->text);
    p->closes++;
    p->closed_class = why->class;
    p->conn = NULL;
    deadline_cancel(sim_loop(p->node), &p->wait);
}

static const struct conn_events events = {on_opened, on_bytes, NULL, on_closed};

// What closes after its peer has been freed, or while another conn has come.
static void on_orphan_closed(struct conn *c, void *owner, const struct error *why)
{
    (void)c, (void)owner, (void)why;
}

static const struct conn_events orphan = {NULL, NULL, NULL, on_orphan_closed};

static void drop(struct peer *p)
{
    if (p->conn == NULL) return;
    conn_own(p->conn, &orphan, NULL);
    if (!p->conn->closing) conn_close(p->conn);
    p->conn = NULL;
}

static void on_accepted(void *owner, struct conn *c)
{
    struct peer *p = owner;
    drop(p);
    p->conn = c;
    p->accepted++;
    conn_own(c, &events, p);
    buf_clear(&p->input);
    p->dripped = 0;
    if (!p->carry_on) p->step = 0;
}

// ---- what a test calls ----------------------------------------------------------------------

static struct peer *new_peer(struct sim_node *node, const struct peer_step *steps)
{
    struct peer *p = mem_new(struct peer);
    p->node = node;
    p->steps = steps;
    p->wait.fire = on_wait;
    task_init(&p->proceed, on_proceed);
    return p;
}

static struct peer *listening(struct sim_node *node, int port, bool tls,
                              const struct peer_step *steps)
{
    struct peer *p = new_peer(node, steps);
    struct listen_options options = {
        .address = "*", .port = port, .tls = tls, .accepted = on_accepted, .owner = p};
    struct network *net = sim_network(node);
    p->listener = net->listen(net, &options, NULL);
    return p;
}

struct peer *peer_listen(struct sim_node *node, int port, const struct peer_step *steps)
{
    return listening(node, port, false, steps);
}

struct peer *peer_listen_tls(struct sim_node *node, int port, const struct peer_step *steps)
{
    return listening(node, port, true, steps);
}

static struct peer *connecting(struct sim_node *node, const struct conn_target *target,
                               const struct peer_step *steps)
{
    struct peer *p = new_peer(node, steps);
    p->conn = net_connect(sim_network(node), target, &events, p);
    return p;
}

struct peer *peer_connect(struct sim_node *node, const char *host, int port,
                          const struct peer_step *steps)
{
    return connecting(node, &(struct conn_target){.host = host, .port = port}, steps);
}

struct peer *peer_connect_tls(struct sim_node *node, const char *host, int port,
                              const char *verify_name, const struct peer_step *steps)
{
    struct conn_target target = {
        .host = host, .port = port, .tls = true, .verify_name = verify_name};
    return connecting(node, &target, steps);
}

void peer_free(struct peer *p)
{
    if (p == NULL) return;
    struct network *net = sim_network(p->node);
    if (p->listener != NULL) net->unlisten(net, p->listener);
    drop(p);
    deadline_cancel(sim_loop(p->node), &p->wait);
    task_cancel(&p->proceed);
    buf_free(&p->input);
    mem_free(p);
}

void peer_set_trace(struct peer *p, struct trace *trace)
{
    p->trace = trace;
}

void peer_restart(struct peer *p, const struct peer_step *steps)
{
    p->steps = steps;
    p->step = 0;
    p->dripped = 0;
    p->failed = false;
    deadline_cancel(sim_loop(p->node), &p->wait);
    loop_defer(sim_loop(p->node), &p->proceed);
}

void peer_send(struct peer *p, struct bytes data)
{
    if (p->conn == NULL) return;
    record(p, ">", data);
    conn_write_bytes(p->conn, data);
}

void peer_send_text(struct peer *p, const char *text)
{
    peer_send(p, bytes_from_cstr(text));
}

void peer_close(struct peer *p)
{
    if (p->conn != NULL && !p->conn->closing) conn_close_flush(p->conn);
}

void peer_consume(struct peer *p, size_t len)
{
    buf_consume(&p->input, len);
}

bool peer_done(const struct peer *p)
{
    return p->steps == NULL || p->steps[p->step].action == PEER_END;
}

struct condition {
    struct peer *peer;
    size_t len;
    bool steps;
};

static bool holds(void *arg)
{
    struct condition *c = arg;
    if (c->steps) return peer_done(c->peer) || c->peer->failed;
    return buf_len(&c->peer->input) >= c->len;
}

bool peer_run(struct peer *p, uint64_t limit_us)
{
    struct condition c = {.peer = p, .steps = true};
    return sim_run_while_not(p->node->sim, holds, &c, limit_us) && !p->failed;
}

bool peer_await(struct peer *p, size_t len, uint64_t limit_us)
{
    struct condition c = {.peer = p, .len = len};
    return sim_run_while_not(p->node->sim, holds, &c, limit_us);
}

bool peer_expect(struct peer *p, const char *text, uint64_t limit_us)
{
    return peer_await(p, strlen(text), limit_us) && step_expect(p, bytes_from_cstr(text));
}
