// FAILOVER: a primary hands over to one of its replicas.
//
//   none      --> wait       writes pause, until the target (or any) has acknowledged all of the
//                            stream. Nobody is asked: a GETACK would itself move the offset
//   wait      --> handover   we follow the target and say PSYNC <id> <offset> FAILOVER, which makes
//                            it primary; TIMEOUT passed: given up, or with FORCE done anyway
//   handover  --> none       it answered: writes go on, there if it accepted, here if it did not
//
// Texts and rules: FAILOVER of Redis 7.0.
#include "node/pause.h"
#include "node/repl_client.h"
#include "node/repl_impl.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

const char *repl_failover_name(const struct replication *r)
{
    switch (r->failover.state) {
    case FAILOVER_WAIT:
        return "waiting-for-sync";
    case FAILOVER_HANDOVER:
        return "failover-in-progress";
    default:
        return "no-failover";
    }
}

static void finish(struct replication *r)
{
    struct failover *f = &r->failover;
    f->state = FAILOVER_NONE;
    deadline_cancel(r->node->loop, &f->limit);
    task_cancel(&f->synced);
    pause_end(r->node, PAUSE_FAILOVER);
}

static void give_up(struct replication *r, const char *why)
{
    log_notice(&r->node->log, "Aborting failover: %s", why);
    bool handed = r->failover.state == FAILOVER_HANDOVER;
    finish(r);
    if (handed) repl_promote(r->node);
}

static void hand_over(struct replication *r)
{
    struct failover *f = &r->failover;
    f->state = FAILOVER_HANDOVER;
    deadline_cancel(r->node->loop, &f->limit);
    task_cancel(&f->synced);
    char host[sizeof(f->host)];
    memcpy(host, f->host, sizeof(host));
    repl_follow(r->node, host, f->port);
}

static struct replica_link *find_target(struct replication *r, const char *host, int port)
{
    list_each(at, &r->primary.links)
    {
        struct replica_link *l = list_entry(at, struct replica_link, link);
        char ip[128];
        if (l->listening_port == port && strcasecmp(primary_link_ip(l, ip), host) == 0) return l;
    }
    return NULL;
}

void repl_failover_check(struct replication *r)
{
    struct failover *f = &r->failover;
    if (f->state != FAILOVER_WAIT) return;
    list_each(at, &r->primary.links)
    {
        struct replica_link *l = list_entry(at, struct replica_link, link);
        if (!primary_link_online(l) || l->ack_offset != r->stream.offset) continue;
        if (f->host[0] != '\0' && find_target(r, f->host, f->port) != l) continue;
        char ip[128];
        primary_link_ip(l, ip);
        snprintf(f->host, sizeof(f->host), "%s", ip);
        f->port = l->listening_port;
        log_notice(&r->node->log, "Failover target %s:%d is synced, failing over.", f->host,
                   f->port);
        loop_defer(r->node->loop, &f->synced); // we are inside an event of its link
        return;
    }
}

static void run_hand_over(struct task *task)
{
    struct replication *r = list_entry(task, struct replication, failover.synced);
    if (r->failover.state == FAILOVER_WAIT) hand_over(r);
}

static void on_limit(struct deadline *d)
{
    struct replication *r = list_entry(d, struct replication, failover.limit);
    struct failover *f = &r->failover;
    if (!f->force) {
        give_up(r, "Replica never caught up before timeout");
        return;
    }
    log_notice(&r->node->log, "Failover to %s:%d time out exceeded, failing over.", f->host,
               f->port);
    hand_over(r);
}

void repl_failover_answer(void *owner, bool accepted)
{
    struct replication *r = owner;
    if (r->failover.state != FAILOVER_HANDOVER) return;
    if (accepted) {
        finish(r);
        return;
    }
    // The replica machine is in the middle of an event: the rest comes after it.
    log_notice(&r->node->log, "Aborting failover: Failover target rejected psync request");
    loop_defer(r->node->loop, &r->failover.refused);
}

static void run_refused(struct task *task)
{
    struct replication *r = list_entry(task, struct replication, failover.refused);
    if (r->failover.state != FAILOVER_HANDOVER) return;
    finish(r);
    repl_promote(r->node);
}

bool repl_writes_paused(const struct node *n)
{
    return n->repl->failover.state != FAILOVER_NONE;
}

void repl_failover_init(struct replication *r)
{
    r->failover.limit.fire = on_limit;
    task_init(&r->failover.synced, run_hand_over);
    task_init(&r->failover.refused, run_refused);
}

void repl_failover_free(struct replication *r)
{
    deadline_cancel(r->node->loop, &r->failover.limit);
    task_cancel(&r->failover.synced);
    task_cancel(&r->failover.refused);
}

// ---- the command ------------------------------------------------------------------------------

struct failover_args {
    bool abort, force, to;
    char host[256];
    int64_t port, timeout_ms;
};

static bool parse(struct ctx *c, struct failover_args *a)
{
    *a = (struct failover_args){0};
    for (int i = 1; i < c->argc; i++) {
        if (ctx_is(c, i, "to") && i + 2 < c->argc && !a->to) {
            struct bytes host = ctx_arg(c, i + 1);
            if (!ctx_int(c, i + 2, &a->port)) return false;
            snprintf(a->host, sizeof(a->host), "%.*s", (int)host.len, host.data);
            a->to = true;
            i += 2;
        } else if (ctx_is(c, i, "timeout") && i + 1 < c->argc && a->timeout_ms == 0) {
            if (!ctx_int(c, i + 1, &a->timeout_ms)) return false;
            if (a->timeout_ms <= 0) {
                reply_error(c->reply, "FAILOVER timeout must be greater than 0");
                return false;
            }
            i++;
        } else if (ctx_is(c, i, "force") && !a->force) {
            a->force = true;
        } else if (ctx_is(c, i, "abort") && c->argc == 2) {
            a->abort = true;
        } else {
            ctx_syntax_error(c);
            return false;
        }
    }
    return true;
}

static const char *objection(struct replication *r, const struct failover_args *a)
{
    if (r->failover.state != FAILOVER_NONE) return "FAILOVER already in progress.";
    if (r->is_replica) return "FAILOVER is not valid when server is a replica.";
    if (r->primary.link_count == 0) return "FAILOVER requires connected replicas.";
    if (a->force && (!a->to || a->timeout_ms == 0))
        return "FAILOVER with force option requires both a timeout and target HOST and IP.";
    if (!a->to) return NULL;
    struct replica_link *target = find_target(r, a->host, (int)a->port);
    if (target == NULL) return "FAILOVER target HOST and PORT is not a replica.";
    return primary_link_online(target) ? NULL : "FAILOVER target replica is not online.";
}

void repl_failover(struct ctx *c)
{
    struct replication *r = c->node->repl;
    struct failover *f = &r->failover;
    struct failover_args a;
    if (!parse(c, &a)) return;
    if (a.abort) {
        if (f->state == FAILOVER_NONE) {
            reply_error(c->reply, "No failover in progress.");
            return;
        }
        give_up(r, "Failover manually aborted");
        reply_ok(c->reply);
        return;
    }
    const char *why = objection(r, &a);
    if (why != NULL) {
        reply_error(c->reply, why);
        return;
    }
    uint64_t now_us = loop_now_us(r->node->loop);
    memcpy(f->host, a.host, sizeof(f->host));
    f->port = (int)a.port;
    f->force = a.force;
    f->state = FAILOVER_WAIT;
    pause_begin(r->node, PAUSE_FAILOVER, PAUSE_WRITES, UINT64_MAX);
    if (a.timeout_ms > 0 && a.timeout_ms < INT64_MAX / 2000)
        deadline_arm(r->node->loop, &f->limit, now_us + (uint64_t)a.timeout_ms * 1000);
    if (a.to)
        log_notice(&r->node->log, "FAILOVER requested to %s:%d.", f->host, f->port);
    else
        log_notice(&r->node->log, "FAILOVER requested.");
    repl_failover_check(r);
    reply_ok(c->reply);
}
