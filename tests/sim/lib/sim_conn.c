// The conn over simulated flows, and how it comes about: dialing and listening.
#include "sim/lib/sim_net_impl.h"

#include "base/mem.h"

#include <assert.h>
#include <stdio.h>

static const struct conn_ops ops;

struct sim_conn *sim_conn_of(const struct conn *c)
{
    assert(c->ops == &ops);
    return (struct sim_conn *)(uintptr_t)c;
}

// ---- what a conn can be told ----------------------------------------------------------------

static void sim_conn_write(struct conn *conn, struct chain *data)
{
    struct sim_conn *c = sim_conn_of(conn);
    if (c->phase == SIM_OVER) {
        chain_free(data);
        return;
    }
    chain_move(&c->out, data);
    if (c->phase == SIM_OPEN) sim_flow_pump(c->sends);
}

static void sim_conn_pause(struct conn *conn)
{
    struct sim_conn *c = sim_conn_of(conn);
    if (c->receives != NULL) sim_flow_plan(c->receives);
}

static void on_flush_deadline(struct deadline *d)
{
    sim_conn_end(list_entry(d, struct sim_conn, flush), NULL);
}

static void sim_conn_close(struct conn *conn, bool flush)
{
    struct sim_conn *c = sim_conn_of(conn);
    if (!flush || c->phase != SIM_OPEN || c->out.len == 0) {
        sim_conn_end(c, NULL);
        return;
    }
    c->phase = SIM_FLUSHING;
    c->flush.fire = on_flush_deadline;
    deadline_arm(conn->loop, &c->flush, loop_now_us(conn->loop) + CONN_FLUSH_US);
}

static size_t sim_conn_queued(const struct conn *conn)
{
    return sim_conn_of(conn)->out.len;
}

static void sim_conn_address(const struct conn *conn, bool peer, char *out, size_t size)
{
    snprintf(out, size, "%s", peer ? sim_conn_of(conn)->peer : sim_conn_of(conn)->local);
}

static void sim_conn_nodelay(struct conn *conn, bool on)
{
    sim_conn_of(conn)->gathers = !on;
}

static const struct conn_ops ops = {
    .type = "sim",
    .write = sim_conn_write,
    .pause = sim_conn_pause,
    .resume = sim_conn_pause,
    .close = sim_conn_close,
    .queued = sim_conn_queued,
    .address = sim_conn_address,
    .nodelay = sim_conn_nodelay,
};

// ---- its life -------------------------------------------------------------------------------

static void closed(struct sim_conn *c)
{
    struct sim_node *node = c->node;
    task_cancel(&c->task);
    conn_emit_closed(&c->base, &c->why);
    sim_not(node->sim, &c->notify);
    sim_not(node->sim, &c->reset);
    list_remove(&c->link);
    if (node->last == &c->base) node->last = NULL;
    mem_free(c);
}

static void on_task(struct task *task)
{
    struct sim_conn *c = list_entry(task, struct sim_conn, task);
    if (c->phase == SIM_OVER) {
        closed(c);
    } else if (c->phase == SIM_STARTING) {
        c->phase = SIM_OPEN;
        conn_emit_opened(&c->base);
        if (c->sends != NULL) sim_flow_pump(c->sends);
        if (c->receives != NULL) sim_flow_plan(c->receives);
    }
}

void sim_conn_end(struct sim_conn *c, const struct error *why)
{
    if (c->phase == SIM_OVER) return;
    c->phase = SIM_OVER;
    if (why != NULL)
        c->why = *why;
    else
        error_set(&c->why, ERROR_CLOSED, "closed");
    deadline_cancel(c->base.loop, &c->flush);
    sim_not(c->node->sim, &c->dial);
    sim_not(c->node->sim, &c->reset);
    chain_free(&c->out);
    sim_connection_leave(c);
    loop_defer(c->base.loop, &c->task);
}

static void on_reset(struct deadline *event)
{
    struct sim_conn *c = list_entry(event, struct sim_conn, reset);
    struct error why;
    error_set(&why, ERROR_IO, "write: Connection reset by peer");
    sim_enter(c->node);
    sim_conn_end(c, &why);
    sim_leave(c->node);
}

// It wrote to an end that has gone.
void sim_conn_expect_reset(struct sim_conn *c, const struct flow *f)
{
    if (deadline_armed(&c->reset)) return;
    sim_at(f->sim, &c->reset, f->sim->now_us + 2 * f->wire.delay_us);
}

static struct sim_conn *new_conn(struct sim_node *node, const struct conn_events *events,
                                 void *owner)
{
    struct sim_conn *c = mem_new(struct sim_conn);
    conn_init(&c->base, &ops, &node->loop, events, owner);
    c->node = node;
    c->notify.fire = sim_conn_on_notify;
    c->reset.fire = on_reset;
    chain_init(&c->out);
    task_init(&c->task, on_task);
    list_push_back(&node->conns, &c->link);
    node->last = &c->base;
    return c;
}

// ---- dialing --------------------------------------------------------------------------------

static struct listener *listener_at(struct sim_node *node, const char *path, int port)
{
    list_each(at, &node->listeners)
    {
        struct listener *l = list_entry(at, struct listener, link);
        if (port != 0 ? l->port == port : l->port == 0 && strcmp(l->path, path) == 0) return l;
    }
    return NULL;
}

static bool is_loopback(const char *host)
{
    return strcmp(host, "localhost") == 0 || strcmp(host, "::1") == 0 ||
           strncmp(host, "127.", 4) == 0;
}

// The node that a dialed host means; NULL: nobody has that name.
static struct sim_node *target_node(const struct sim_conn *c)
{
    struct sim_node *own = c->node, *found = sim_find(own->sim, c->host);
    if (found != NULL) return found;
    if (c->port == 0) return own;
    if (!is_loopback(c->host)) return NULL;
    if (listener_at(own, "", c->port) != NULL) return own;
    list_each(at, &own->sim->nodes)
    {
        struct sim_node *node = list_entry(at, struct sim_node, link);
        if (listener_at(node, "", c->port) != NULL) return node;
    }
    return own;
}

static void refuse(struct sim_conn *c, const char *reason)
{
    struct error why;
    error_set(&why, ERROR_IO, "connect to %s:%d: %s", c->host, c->port, reason);
    sim_enter(c->node);
    sim_conn_end(c, &why);
    sim_leave(c->node);
}

static void on_refused(struct deadline *event)
{
    refuse(list_entry(event, struct sim_conn, dial), "Connection refused");
}

static void on_unknown(struct deadline *event)
{
    refuse(list_entry(event, struct sim_conn, dial), "no such host");
}

static void on_established(struct deadline *event)
{
    struct sim_conn *c = list_entry(event, struct sim_conn, dial);
    sim_enter(c->node);
    c->phase = SIM_STARTING;
    loop_defer(c->base.loop, &c->task);
    sim_leave(c->node);
}

static void accept_conn(struct listener *l, struct sim_conn *client)
{
    struct sim_node *node = l->node;
    const struct conn_layer_entry *tls = NULL;
    if (l->tls) tls = conn_layers_find(&node->net.layers, "tls");
    struct sim_conn *c = new_conn(node, NULL, NULL);
    c->port = client->port;
    snprintf(c->peer, sizeof(c->peer), "%.100s:%d", client->node->host, client->own_port);
    snprintf(c->local, sizeof(c->local), "%.100s:%d", client->port ? node->host : l->path, l->port);
    sim_connection_make(client, c, client->port);
    sim_enter(node);
    c->phase = SIM_STARTING;
    loop_defer(&node->loop, &c->task);
    struct conn *top = &c->base;
    if (tls != NULL) top = tls->layer->server(tls->context, &c->base, l->handshake_timeout_us);
    if (l->tls && tls == NULL)
        conn_close(top); // never in the clear
    else
        l->accepted(l->owner, top);
    if (top->events == NULL && !top->closing) conn_close(top); // nobody took it
    sim_leave(node);
}

// The request to connect has arrived, or is on its way to nowhere.
static void on_dial(struct deadline *event)
{
    struct sim_conn *c = list_entry(event, struct sim_conn, dial);
    struct sim *sim = c->node->sim;
    struct sim_node *node = target_node(c);
    const struct sim_wire *out = sim_wire_between(sim, c->node->host, node->host, c->port),
                          *in = sim_wire_between(sim, node->host, c->node->host, c->port);
    if (sim_parted(sim, c->node->host, node->host) || sim_parted(sim, node->host, c->node->host) ||
        out->connect == SIM_BLACK_HOLE || in->connect == SIM_BLACK_HOLE ||
        (node->dead && node->dark)) {
        sim_at(sim, &c->dial, sim->now_us + SIM_REDIAL_US); // as TCP repeats its SYN
        return;
    }
    struct listener *l = node->dead ? NULL : listener_at(node, c->host, c->port);
    bool refused = l == NULL || out->connect == SIM_REFUSE || in->connect == SIM_REFUSE;
    c->dial.fire = refused ? on_refused : on_established;
    sim_at(sim, &c->dial, sim->now_us + in->delay_us);
    if (!refused) accept_conn(l, c);
}

static struct conn *sim_connect(struct network *net, const struct conn_target *target,
                                const struct conn_events *events, void *owner)
{
    struct sim_node *node = list_entry(net, struct sim_node, net);
    const struct conn_layer_entry *tls = NULL;
    struct sim_conn *c = new_conn(node, events, owner);
    snprintf(c->host, sizeof(c->host), "%s", target->host);
    c->port = target->port;
    c->own_port = node->next_port++;
    snprintf(c->peer, sizeof(c->peer), strchr(c->host, ':') ? "[%.100s]:%d" : "%.100s:%d", c->host,
             c->port);
    snprintf(c->local, sizeof(c->local), "%.100s:%d", node->host, c->own_port);
    if (target->tls && (tls = conn_layers_find(&net->layers, "tls")) == NULL) {
        struct error why;
        error_set(&why, ERROR_TLS, "connect to %s with TLS: TLS is not configured", c->host);
        sim_conn_end(c, &why);
        return &c->base;
    }
    struct sim_node *to = target_node(c);
    c->dial.fire = to != NULL ? on_dial : on_unknown;
    uint64_t delay_us =
        to != NULL ? sim_wire_between(node->sim, node->host, to->host, c->port)->delay_us : 0;
    sim_at(node->sim, &c->dial, node->sim->now_us + delay_us);
    if (tls == NULL) return &c->base;
    return tls->layer->client(tls->context, &c->base, target, events, owner);
}

// ---- listening ------------------------------------------------------------------------------

static struct listener *sim_listen(struct network *net, const struct listen_options *o,
                                   struct error *error)
{
    struct sim_node *node = list_entry(net, struct sim_node, net);
    if (listener_at(node, o->address, o->port) != NULL) {
        error_set(error, ERROR_IO, "bind %s:%d: Address already in use", o->address, o->port);
        return NULL;
    }
    struct listener *l = mem_new(struct listener);
    *l = (struct listener){.node = node,
                           .port = o->port,
                           .tls = o->tls,
                           .handshake_timeout_us = o->handshake_timeout_us,
                           .accepted = o->accepted,
                           .owner = o->owner};
    if (o->port == 0) snprintf(l->path, sizeof(l->path), "%s", o->address);
    list_push_back(&node->listeners, &l->link);
    return l;
}

static void sim_unlisten(struct network *net, struct listener *l)
{
    (void)net;
    list_remove(&l->link);
    mem_free(l);
}

void sim_net_init(struct sim_node *node)
{
    node->net = (struct network){.loop = &node->loop,
                                 .connect = sim_connect,
                                 .listen = sim_listen,
                                 .unlisten = sim_unlisten};
    list_init(&node->conns);
    list_init(&node->listeners);
    node->next_port = 40000;
}

void sim_net_free(struct sim_node *node)
{
    struct error gone;
    error_set(&gone, ERROR_CANCELLED, "the network was shut down");
    while (!list_empty(&node->listeners))
        sim_unlisten(&node->net, list_entry(node->listeners.next, struct listener, link));
    while (!list_empty(&node->conns)) {
        struct sim_conn *c = list_entry(node->conns.next, struct sim_conn, link);
        sim_conn_end(c, &gone);
        closed(c);
    }
}

// Peers see a reset, or with the power lost nothing at all; our own ends are as good as deaf.
void sim_net_crash(struct sim_node *node, bool power_loss)
{
    node->dark = power_loss;
    list_each(at, &node->conns)
    {
        struct sim_conn *c = list_entry(at, struct sim_conn, link);
        if (c->sends == NULL) continue;
        struct connection *k = c->sends->connection;
        struct sim_conn *peer = c->sends->to;
        k->flow[0].dead = k->flow[1].dead = true;
        sim_not(node->sim, &c->sends->next);
        sim_not(node->sim, &c->receives->next);
        if (!power_loss && peer != NULL && peer->node != node)
            sim_at(node->sim, &peer->reset, node->sim->now_us + c->sends->wire.delay_us);
    }
}

bool sim_gathers(const struct conn *c)
{
    return ((const struct sim_conn *)c)->gathers;
}

struct conn *sim_last_conn(struct sim_node *node)
{
    return node->last;
}
