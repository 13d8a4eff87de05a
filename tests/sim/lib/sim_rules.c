// Which wire lies between whom, and who cannot reach whom.
#include "sim/lib/sim_net_impl.h"

#include "base/mem.h"

#include <stdio.h>

static bool fits(const char *rule, const char *host)
{
    return rule[0] == '\0' || strcmp(rule, host) == 0;
}

const struct sim_wire *sim_wire_between(struct sim *sim, const char *from, const char *to, int port)
{
    for (struct list *at = sim->rules.prev; at != &sim->rules; at = at->prev) {
        struct sim_rule *r = list_entry(at, struct sim_rule, link);
        if (fits(r->from, from) && fits(r->to, to) && (r->port == 0 || r->port == port))
            return &r->wire;
    }
    return &sim->wire;
}

void sim_set_wire(struct sim *sim, const struct sim_wire *wire)
{
    sim->wire = *wire;
}

void sim_set_link(struct sim *sim, const char *from, const char *to, int port,
                  const struct sim_wire *wire)
{
    if (from == NULL) from = "";
    if (to == NULL) to = "";
    // The latest counts: one for the same ends takes the place of the former.
    list_each_safe(at, &sim->rules)
    {
        struct sim_rule *old = list_entry(at, struct sim_rule, link);
        if (old->port != port || strcmp(old->from, from) != 0 || strcmp(old->to, to) != 0) continue;
        list_remove(&old->link);
        mem_free(old);
    }
    struct sim_rule *r = mem_new(struct sim_rule);
    snprintf(r->from, sizeof(r->from), "%s", from);
    snprintf(r->to, sizeof(r->to), "%s", to);
    r->port = port;
    r->wire = *wire;
    list_push_back(&sim->rules, &r->link);
}

const struct sim_wire *sim_wire_out(const struct conn *c)
{
    return &sim_conn_of(c)->sends->wire;
}

const struct sim_wire *sim_wire_in(const struct conn *c)
{
    return &sim_conn_of(c)->receives->wire;
}

static void set_wire(struct flow *f, const struct sim_wire *wire)
{
    if (f == NULL) return;
    f->wire = *wire;
    sim_connection_plan_cut(f->connection);
    sim_flow_pump(f);
    sim_flow_plan(f);
}

void sim_set_wire_out(struct conn *c, const struct sim_wire *wire)
{
    set_wire(sim_conn_of(c)->sends, wire);
}

void sim_set_wire_in(struct conn *c, const struct sim_wire *wire)
{
    set_wire(sim_conn_of(c)->receives, wire);
}

void sim_cut(struct conn *c)
{
    struct flow *f = sim_conn_of(c)->sends;
    if (f != NULL) sim_at(f->sim, &f->connection->cut, f->sim->now_us);
}

uint64_t sim_delivered_out(const struct conn *c)
{
    const struct flow *f = sim_conn_of(c)->sends;
    return f != NULL ? f->delivered : 0;
}

uint64_t sim_delivered_in(const struct conn *c)
{
    const struct flow *f = sim_conn_of(c)->receives;
    return f != NULL ? f->delivered : 0;
}

// ---- partitions -----------------------------------------------------------------------------

bool sim_parted(const struct sim *sim, const char *from, const char *to)
{
    list_each(at, &sim->partitions)
    {
        struct sim_partition *p = list_entry(at, struct sim_partition, link);
        if (strcmp(p->from, from) == 0 && strcmp(p->to, to) == 0) return true;
    }
    return false;
}

static void part(struct sim *sim, const char *from, const char *to)
{
    if (sim_parted(sim, from, to)) return;
    struct sim_partition *p = mem_new(struct sim_partition);
    snprintf(p->from, sizeof(p->from), "%s", from);
    snprintf(p->to, sizeof(p->to), "%s", to);
    list_push_back(&sim->partitions, &p->link);
}

static void heal(struct sim *sim, const char *from, const char *to)
{
    list_each_safe(at, &sim->partitions)
    {
        struct sim_partition *p = list_entry(at, struct sim_partition, link);
        if (strcmp(p->from, from) != 0 || strcmp(p->to, to) != 0) continue;
        list_remove(&p->link);
        mem_free(p);
    }
}

// Rules and partitions know nodes by their host.
static const char *host_of(struct sim *sim, const char *name)
{
    struct sim_node *node = sim_find(sim, name);
    return node != NULL ? node->host : name;
}

void sim_partition(struct sim *sim, const char *a, const char *b, bool both)
{
    log_debug(sim->log, "partition: %s %s %s", a, both ? "|" : "-x->", b);
    part(sim, host_of(sim, a), host_of(sim, b));
    if (both) part(sim, host_of(sim, b), host_of(sim, a));
}

void sim_heal(struct sim *sim, const char *a, const char *b, bool both)
{
    log_debug(sim->log, "healed: %s %s", a, b);
    heal(sim, host_of(sim, a), host_of(sim, b));
    if (both) heal(sim, host_of(sim, b), host_of(sim, a));
    sim_net_healed(sim);
}

void sim_heal_all(struct sim *sim)
{
    for (struct list *at; (at = list_pop_front(&sim->partitions)) != NULL;)
        mem_free(list_entry(at, struct sim_partition, link));
    sim_net_healed(sim);
}
