// Connections in memory. A connection is a pair of flows, one for each direction; what a writer
// hands over is taken into the flow as far as its window goes, arrives after the wire's delay, and
// makes room when the reader has had it. So progress, backpressure and silence are what they are
// on a real wire.
//
// Lifetime: an end (struct sim_conn) is freed by its task, after `closed`, as in conn_uv.c. A flow
// outlives its writer until the reader had everything; both flows of a connection go together when
// both ends are gone, at the beginning of the next event (sim_bury).
#include "sim/lib/sim_net_impl.h"

#include "base/mem.h"

// ---- sending --------------------------------------------------------------------------------

static bool fault(uint64_t at_us, uint64_t after, uint64_t now_us, uint64_t passed)
{
    return (at_us != 0 && now_us >= at_us) || (after != 0 && passed >= after);
}

static bool dropping(const struct flow *f)
{
    return fault(f->wire.drop_at_us, f->wire.drop_after_bytes, f->sim->now_us, f->taken);
}

static bool stalled(const struct flow *f)
{
    return f->dead ||
           fault(f->wire.stall_at_us, f->wire.stall_after_bytes, f->sim->now_us, f->delivered) ||
           sim_parted(f->sim, f->from_host, f->to_host);
}

// When something that leaves now arrives: after what left before it.
static uint64_t arrival_us(struct flow *f, size_t len)
{
    uint64_t at = f->busy_until_us > f->sim->now_us ? f->busy_until_us : f->sim->now_us;
    if (f->wire.bytes_per_s > 0) at += len * 1000000 / f->wire.bytes_per_s;
    f->busy_until_us = at;
    at += f->wire.delay_us + rng_below(&f->sim->rng, f->wire.jitter_us);
    if (at < f->last_arrival_us) at = f->last_arrival_us;
    return f->last_arrival_us = at;
}

static void plan(struct flow *f)
{
    bool any = !list_empty(&f->arrivals) || f->fin;
    if (!any || f->to == NULL || f->to->base.paused || f->to->phase != SIM_OPEN || stalled(f)) {
        sim_not(f->sim, &f->next);
        return;
    }
    uint64_t at = f->fin_at_us;
    if (!list_empty(&f->arrivals)) at = list_entry(f->arrivals.next, struct arrival, link)->at_us;
    sim_at(f->sim, &f->next, at);
}

// Moves `len` bytes from the front of one chain to the back of another, without copying them.
static void share_front(struct chain *to, struct chain *from, size_t len)
{
    while (len > 0) {
        struct segment *first = list_entry(from->segments.next, struct segment, link);
        uint32_t part = first->len < len ? first->len : (uint32_t)len;
        chain_append_chunk(to, first->chunk, first->start, part);
        chain_consume(from, part);
        len -= part;
    }
}

// Takes from the writer what the window has room for.
static void pump(struct flow *f)
{
    struct sim_conn *from = f->from;
    if (from == NULL || (from->phase != SIM_OPEN && from->phase != SIM_FLUSHING)) return;
    size_t window = f->wire.window_bytes > 0 ? f->wire.window_bytes : SIM_WINDOW_BYTES;
    size_t taken = 0;
    while (from->out.len > 0) {
        bool lost = dropping(f) || f->to == NULL;
        size_t room = lost ? SIZE_MAX : window > f->pipe.len ? window - f->pipe.len : 0;
        size_t len = from->out.len < SIM_SEGMENT_BYTES ? from->out.len : SIM_SEGMENT_BYTES;
        uint64_t per_10ms = f->wire.bytes_per_s / 100;
        if (f->wire.bytes_per_s > 0 && len > per_10ms) len = per_10ms > 0 ? (size_t)per_10ms : 1;
        if (len > room) len = room;
        uint64_t before_drop =
            f->wire.drop_after_bytes > f->taken ? f->wire.drop_after_bytes - f->taken : UINT64_MAX;
        if (!lost && len > before_drop) len = (size_t)before_drop;
        if (len == 0) break;
        if (lost) {
            chain_consume(&from->out, len);
        } else {
            struct arrival *a = mem_new(struct arrival);
            share_front(&f->pipe, &from->out, len);
            *a = (struct arrival){.len = len, .at_us = arrival_us(f, len)};
            list_push_back(&f->arrivals, &a->link);
        }
        f->taken += len;
        taken += len;
    }
    if (taken == 0) return;
    from->taken += taken;
    f->taken_at_us = f->sim->now_us;
    sim_at(f->sim, &from->notify, f->sim->now_us);
    // Nobody is there: its system says so, a round trip later.
    if (f->to == NULL && !dropping(f) && !f->dead) sim_conn_expect_reset(from, f);
    plan(f);
}

// `drained`, and the end of a flush.
void sim_conn_on_notify(struct deadline *event)
{
    struct sim_conn *c = list_entry(event, struct sim_conn, notify);
    size_t taken = c->taken;
    c->taken = 0;
    sim_enter(c->node);
    if (c->phase == SIM_FLUSHING && c->out.len == 0)
        sim_conn_end(c, NULL);
    else if (c->phase == SIM_OPEN)
        conn_emit_drained(&c->base, taken, c->out.len);
    sim_leave(c->node);
}

void sim_flow_pump(struct flow *f)
{
    pump(f);
}

void sim_flow_plan(struct flow *f)
{
    plan(f);
}

// ---- receiving ------------------------------------------------------------------------------

static uint64_t at_most(uint64_t len, uint64_t limit, uint64_t passed)
{
    if (limit == 0 || passed >= limit) return len;
    return limit - passed < len ? limit - passed : len;
}

// How many bytes the reader gets now: what arrived, in fragments, and up to a fault.
static size_t due_bytes(struct flow *f)
{
    size_t len = 0;
    size_t fragment = f->wire.fragment_bytes > 0 ? f->wire.fragment_bytes : SIM_READ_BYTES;
    if (f->wire.fragment_random) fragment = 1 + (size_t)rng_below(&f->sim->rng, fragment);
    list_each(at, &f->arrivals)
    {
        struct arrival *a = list_entry(at, struct arrival, link);
        if (a->at_us > f->sim->now_us || len >= fragment) break;
        len += a->len;
    }
    if (len > fragment) len = fragment;
    len = (size_t)at_most(len, f->wire.stall_after_bytes, f->delivered);
    return (size_t)at_most(len, f->wire.cut_after_bytes, f->delivered);
}

static void consume_arrivals(struct flow *f, size_t len)
{
    while (len > 0) {
        struct arrival *a = list_entry(f->arrivals.next, struct arrival, link);
        size_t part = len < a->len ? len : a->len;
        a->len -= part;
        len -= part;
        if (a->len > 0) break;
        list_remove(&a->link);
        mem_free(a);
    }
}

static void deliver(struct flow *f, size_t len)
{
    // A copy of exactly this size, so that whoever reads beyond it is caught.
    char *copy = mem_alloc(len);
    chain_read(&f->pipe, copy, len);
    consume_arrivals(f, len);
    f->delivered += len;
    struct sim_conn *to = f->to;
    sim_enter(to->node);
    conn_emit_bytes(&to->base, bytes_of(copy, len));
    sim_leave(to->node);
    mem_free(copy);
    pump(f);
}

void sim_flow_on_next(struct deadline *event)
{
    struct flow *f = list_entry(event, struct flow, next);
    if (f->to == NULL || f->to->base.paused || f->to->phase != SIM_OPEN || stalled(f)) return;
    size_t len = due_bytes(f);
    if (len > 0) {
        deliver(f, len);
        if (fault(0, f->wire.cut_after_bytes, 0, f->delivered))
            sim_connection_reset(f->connection);
        else
            plan(f);
        return;
    }
    if (!f->fin || !list_empty(&f->arrivals)) return;
    struct error why;
    error_set(&why, ERROR_CLOSED, "the peer closed the connection");
    struct sim_node *node = f->to->node;
    sim_enter(node);
    sim_conn_end(f->to, &why);
    sim_leave(node);
}

// ---- connections ----------------------------------------------------------------------------

static void on_cut(struct deadline *event)
{
    sim_connection_reset(list_entry(event, struct connection, cut));
}

// The earliest instant at which either direction is to be cut.
void sim_connection_plan_cut(struct connection *k)
{
    uint64_t a = k->flow[0].wire.cut_at_us, b = k->flow[1].wire.cut_at_us;
    uint64_t at = a == 0 ? b : b == 0 ? a : a < b ? a : b;
    if (at != 0) sim_at(k->flow[0].sim, &k->cut, at);
}

static void flow_init(struct flow *f, struct connection *k, struct sim_conn *from,
                      struct sim_conn *to, int port)
{
    struct sim *sim = from->node->sim;
    *f = (struct flow){.sim = sim, .connection = k, .from = from, .to = to};
    f->next.fire = sim_flow_on_next;
    f->wire = *sim_wire_between(sim, from->node->host, to->node->host, port);
    f->from_host = from->node->host;
    f->to_host = to->node->host;
    list_init(&f->arrivals);
    chain_init(&f->pipe);
}

void sim_connection_make(struct sim_conn *client, struct sim_conn *server, int port)
{
    struct sim *sim = client->node->sim;
    struct connection *k = mem_new(struct connection);
    k->cut.fire = on_cut;
    flow_init(&k->flow[0], k, client, server, port);
    flow_init(&k->flow[1], k, server, client, port);
    client->sends = server->receives = &k->flow[0];
    client->receives = server->sends = &k->flow[1];
    list_push_back(&sim->wires, &k->link);
    sim_connection_plan_cut(k);
}

// Both ends learn of it at once.
void sim_connection_reset(struct connection *k)
{
    struct error why;
    error_set(&why, ERROR_IO, "read: Connection reset by peer");
    for (int i = 0; i < 2; i++) {
        struct sim_conn *c = k->flow[i].from;
        k->flow[i].dead = true;
        if (c == NULL || c->phase == SIM_OVER) continue;
        sim_enter(c->node);
        sim_conn_end(c, &why);
        sim_leave(c->node);
    }
}

// An end has gone: what it sent still arrives, then the end of it; what is under way to it doesn't.
void sim_connection_leave(struct sim_conn *c)
{
    struct flow *out = c->sends, *in = c->receives;
    if (out == NULL) return;
    c->sends = c->receives = NULL;
    out->from = NULL;
    if (!dropping(out)) {
        out->fin = true;
        out->fin_at_us = arrival_us(out, 0);
    }
    plan(out);
    in->to = NULL;
    sim_not(in->sim, &in->next);
    struct connection *k = out->connection;
    if (out->to != NULL) return;
    list_remove(&k->link);
    list_push_back(&out->sim->graves, &k->link);
}

void sim_bury(struct sim *sim)
{
    for (struct list *at; (at = list_pop_front(&sim->graves)) != NULL;) {
        struct connection *k = list_entry(at, struct connection, link);
        sim_not(sim, &k->cut);
        for (int i = 0; i < 2; i++) {
            struct flow *f = &k->flow[i];
            sim_not(sim, &f->next);
            chain_free(&f->pipe);
            for (struct list *a; (a = list_pop_front(&f->arrivals)) != NULL;)
                mem_free(list_entry(a, struct arrival, link));
        }
        mem_free(k);
    }
}

void sim_net_healed(struct sim *sim)
{
    list_each(at, &sim->wires)
    {
        struct connection *k = list_entry(at, struct connection, link);
        plan(&k->flow[0]);
        plan(&k->flow[1]);
    }
}
