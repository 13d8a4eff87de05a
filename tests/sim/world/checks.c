// What must always hold, seen from outside while no node is running.
#include "loop/machine.h"
#include "migrate/migrate_impl.h"
#include "node/migrate_node.h"
#include "node/repl_impl.h"
#include "sim/lib/sim_net_impl.h"
#include "sim/world/client.h"
#include "value/dict.h"

enum {
    OWN_WORK_US = 30 * 1000 * 1000, // a state without a deadline is our own work: it ends, too
    IN_FLIGHT_BYTES = 4 * 1024 * 1024,
    LINK_SLACK_BYTES = 256 * 1024,   // what one turn may add to a conn
    PINNED_SLACK_BYTES = 64 * 1024,  // the largest write of the worlds
    MIGRATE_SLACK_BYTES = 96 * 1024, // a small value, whole, and a piece of the next
};

// ---- machines -----------------------------------------------------------------------------------

static bool may_last(const struct machine *m)
{
    // Handshakes of replicas are the client's to time; a primary gathers and a snapshot may be
    // long.
    const char *state = machine_state_name(m);
    return strcmp(state, "handshake") == 0 || strcmp(state, "off") == 0;
}

// An answer, or progress, is waited for since the peer last took something: bytes of its own don't
// buy it time, whatever the machine makes of its deadline.
static void check_patience(struct world *w, const struct member *owner, const struct machine *m,
                           uint64_t length_us, const struct conn *conn)
{
    enum deadline_kind kind = m->type->states[m->state].deadline;
    if (kind != DEADLINE_REPLY && kind != DEADLINE_PROGRESS) return;
    if (length_us == 0 || conn == NULL || strcmp(conn_type(conn), "sim") != 0) return;
    const struct flow *f = sim_conn_of(conn)->sends;
    if (f == NULL) return;
    uint64_t since_us = f->taken_at_us > m->entered_us ? f->taken_at_us : m->entered_us;
    if (sim_now_us(w->sim) > since_us + length_us)
        world_fail(w, "%s: %s waits in %s longer than it may", owner->host, m->type->name,
                   m->type->states[m->state].name);
}

static void check_machine(struct world *w, const struct member *owner, const struct machine *m,
                          const struct conn *conn)
{
    const struct machine_state *row = &m->type->states[m->state];
    uint64_t now_us = sim_now_us(w->sim), in_state_us = now_us - m->entered_us;
    uint64_t length = row->deadline != DEADLINE_NONE ? m->type->duration_us(m, row->deadline) : 0;
    bool armed = deadline_armed(&m->deadline);
    if (length > 0 && !armed && !(row->deadline == DEADLINE_SILENCE && m->paused))
        world_fail(w, "%s: %s %s is in %s with no deadline running", owner->host, m->type->name,
                   m->peer != NULL ? m->peer : "", row->name);
    if (armed && m->deadline.at_us < now_us)
        world_fail(w, "%s: %s in %s has outlived its deadline by %llu us", owner->host,
                   m->type->name, row->name, (unsigned long long)(now_us - m->deadline.at_us));
    if (armed && length > 0 && m->deadline.at_us > now_us + length)
        world_fail(w, "%s: the deadline of %s in %s is too far off", owner->host, m->type->name,
                   row->name);
    check_patience(w, owner, m, length, conn);
    bool total = row->deadline == DEADLINE_CONNECT || row->deadline == DEADLINE_BACKOFF;
    if (total && length > 0 && in_state_us > length)
        world_fail(w, "%s: %s is in %s since %llu us", owner->host, m->type->name, row->name,
                   (unsigned long long)in_state_us);
    if (row->deadline == DEADLINE_NONE && in_state_us > OWN_WORK_US && !may_last(m))
        world_fail(w, "%s: %s does not leave %s", owner->host, m->type->name, row->name);
}

struct visit {
    struct world *w;
    const struct member *m;
};

static void visit_machine(void *arg, const struct machine *machine)
{
    struct visit *v = arg;
    const struct migrate *migrate = (const struct migrate *)machine; // it comes first there
    const struct conn *conn = migrate->target != NULL ? migrate->target->conn : NULL;
    check_machine(v->w, v->m, machine, conn);
    uint64_t window = (uint64_t)v->m->node->config.migrate_window_bytes;
    if (conn != NULL && conn_queued(conn) > window + MIGRATE_SLACK_BYTES)
        world_fail(v->w, "%s: %zu bytes are queued for %s", v->m->host, conn_queued(conn),
                   machine->peer);
}

// A link's conn is given a window and what is begun; all that is held on a replica's account stays
// below its limit, but for what one turn adds and, in a full sync, for that sync's own window.
static void check_link(struct world *w, const struct member *m, const struct replica_link *l)
{
    int64_t hard = m->node->config.output_limit[CLASS_REPLICA].hard_bytes,
            backlog = m->node->repl->stream.limit;
    if (hard > 0 && hard < backlog) hard = backlog;
    if (l->conn != NULL && conn_queued(l->conn) > LINK_WINDOW_BYTES + LINK_SLACK_BYTES)
        world_fail(w, "%s: %zu bytes are queued for %s", m->host, conn_queued(l->conn), l->name);
    int64_t pinned = (int64_t)primary_link_pinned(l), slack = PINNED_SLACK_BYTES;
    if (l->machine.state != LINK_ONLINE) slack += LINK_SYNC_FREE_BYTES;
    if (hard > 0 && pinned > hard + slack && list_empty(&l->over.link))
        world_fail(w, "%s: %lld bytes are kept for %s in %s", m->host, (long long)pinned, l->name,
                   machine_state_name(&l->machine));
}

static void check_queues(struct world *w, const struct member *m)
{
    list_each(at, &m->at->conns)
    {
        const struct sim_conn *c = list_entry(at, struct sim_conn, link);
        if (c->out.len > IN_FLIGHT_BYTES)
            world_fail(w, "%s: %zu bytes are queued for %s", m->host, c->out.len, c->peer);
    }
}

void world_check_member(void *member)
{
    struct member *m = member;
    if (m->node == NULL) return;
    struct replication *r = m->node->repl;
    if (r->replica.following) check_machine(m->world, m, &r->replica.machine, r->replica.conn);
    list_each(at, &r->primary.links)
    {
        const struct replica_link *l = list_entry(at, struct replica_link, link);
        check_machine(m->world, m, &l->machine, l->conn);
        check_link(m->world, m, l);
    }
    struct visit v = {m->world, m};
    migrate_visit(m->node, visit_machine, &v);
    check_queues(m->world, m);
}

void world_check_machines(struct world *w)
{
    for (int i = 0; i < w->member_count; i++)
        world_check_member(&w->members[i]);
}

// ---- data ---------------------------------------------------------------------------------------

static bool comparable(const struct member *m)
{
    return member_ready(m) && !m->node->async_loading;
}

// Whether `a` is one of those that `b` feeds. Whom `b` has let go (its own data have been replaced,
// say) may not have heard of it yet.
static bool feeds(const struct member *b, const struct member *a)
{
    size_t len = strlen(a->host);
    list_each(at, &b->node->repl->primary.links)
    {
        const struct replica_link *l = list_entry(at, struct replica_link, link);
        bool its = strncmp(l->name, a->host, len) == 0 && l->name[len] == ':';
        if (its && l->machine.state == LINK_ONLINE) return true;
    }
    return false;
}

void world_check_offsets(struct world *w)
{
    uint64_t digests[WORLD_MEMBERS_MAX];
    bool known[WORLD_MEMBERS_MAX] = {false};
    for (int i = 0; i < w->member_count; i++) {
        struct member *a = &w->members[i];
        if (!comparable(a) || !repl_is_replica(a->node) || !repl_link_up(a->node)) continue;
        for (int j = 0; j < w->member_count; j++) {
            struct member *b = &w->members[j];
            const char *host = a->node->config.replicaof_host;
            bool reads = j != i && comparable(b) && host != NULL && strcmp(host, b->host) == 0 &&
                         (!repl_is_replica(b->node) || repl_link_up(b->node)) && feeds(b, a);
            if (!reads || strcmp(repl_id(a->node), repl_id(b->node)) != 0) continue;
            // One that came back from its disk may be behind those who follow it still.
            if (repl_offset(a->node) > repl_offset(b->node) && b->starts == 1)
                world_fail(w, "%s is ahead of %s, which it follows", a->host, b->host);
            if (repl_offset(a->node) != repl_offset(b->node)) continue;
            if (!known[i]) digests[i] = node_digest(a->node);
            if (!known[j]) digests[j] = node_digest(b->node);
            known[i] = known[j] = true;
            if (digests[i] == digests[j]) continue;
            world_note_difference(w, a, b);
            world_fail(w, "%s and %s differ at offset %lld", a->host, b->host,
                       (long long)repl_offset(a->node));
        }
    }
}

void world_check_quiet(struct world *w)
{
    for (int i = 0; i < w->member_count; i++) {
        struct member *m = &w->members[i];
        if (m->node == NULL) continue;
        struct node *n = m->node;
        list_each(at, &n->clients)
        {
            struct client *c = list_entry(at, struct client, link);
            uint32_t stuck = c->flags & (CLIENT_PARKED | CLIENT_SUSPENDED | CLIENT_BLOCKED);
            if (stuck != 0)
                world_fail(w, "%s: a client of %s still waits (flags %x, last %s)", m->host,
                           client_class_name(c), stuck, c->last_name ? c->last_name : "none");
        }
        if (store_held(&n->store, -1)) world_fail(w, "%s: a hold has not ended", m->host);
        if (n->store.snapshot == NULL && dict_count(n->store.held) > 0)
            world_fail(w, "%s: %zu records of holds are left", m->host, dict_count(n->store.held));
        if (!list_empty(&n->store.ready)) world_fail(w, "%s: a waiter was not told", m->host);
    }
    list_each(at, &w->clients)
    {
        struct client_link *c = list_entry(at, struct client_link, link);
        if (!list_empty(&c->asked))
            world_fail(w, "client %s of %s waits for an answer", sim_host(c->at), c->to->host);
    }
}
