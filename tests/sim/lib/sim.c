// The world's clock and its nodes' loops.
#include "sim/lib/sim_impl.h"

#include "base/mem.h"

#include <assert.h>
#include <stdio.h>

enum { WORK_US = 100, RESOLVE_US = 200, UNITS_PER_US = 20 };

// 2024-01-01, so that Unix times look like some.
static const int64_t UNIX_EPOCH_US = 1704067200000000;

// ---- the loop backend -----------------------------------------------------------------------

struct sim_node *sim_node_of(struct loop *loop)
{
    return (struct sim_node *)loop;
}

static uint64_t clock_us(const struct loop *loop)
{
    return ((const struct sim_node *)loop)->sim->now_us;
}

static int64_t unix_us(const struct loop *loop)
{
    const struct sim_node *node = (const struct sim_node *)loop;
    return UNIX_EPOCH_US + (int64_t)(node->sim->now_us - SIM_BEGIN_US) + node->skew_us;
}

// The next turn comes when something of the loop's own is due.
static void plan_turn(struct sim_node *node)
{
    uint64_t at = UINT64_MAX;
    struct deadline *first = heap_first(&node->loop.deadlines);
    if (first != NULL) at = first->at_us;
    if (!list_empty(&node->loop.jobs) && node->job_at_us < at) at = node->job_at_us;
    if (!list_empty(&node->loop.tasks)) at = 0;
    if (at == UINT64_MAX)
        sim_not(node->sim, &node->turn);
    else if (at < node->sim->now_us)
        at = node->sim->now_us;
    if (at != UINT64_MAX && (!deadline_armed(&node->turn) || node->turn.at_us != at))
        sim_at(node->sim, &node->turn, at);
}

static void woken(struct loop *loop)
{
    struct sim_node *node = sim_node_of(loop);
    if (!node->settling && !loop->entered) plan_turn(node);
}

// One iteration of the loop, as loop_impl.h says.
static void settle(struct sim_node *node)
{
    struct loop *loop = &node->loop;
    node->settling = true;
    loop->stats.iterations++;
    loop_fire_due(loop);
    loop_run_tasks(loop);
    loop_run_hooks(loop);
    if (!list_empty(&loop->jobs) && node->job_at_us <= node->sim->now_us) {
        loop->units_used = 0;
        loop_run_jobs(loop);
        node->job_at_us = node->sim->now_us + 1 + loop->units_used / UNITS_PER_US;
        loop_run_tasks(loop);
        loop_run_hooks(loop);
    }
    node->settling = false;
    plan_turn(node);
    if (node->settled != NULL) node->settled(node->settled_arg);
}

void sim_watch(struct sim_node *node, void (*settled)(void *arg), void *arg)
{
    node->settled = settled;
    node->settled_arg = arg;
}

static void on_turn(struct deadline *event)
{
    settle(list_entry(event, struct sim_node, turn));
}

void sim_enter(struct sim_node *node)
{
    loop_enter(&node->loop);
}

void sim_leave(struct sim_node *node)
{
    node->settling = true;
    loop_leave(&node->loop, "sim");
    settle(node);
}

static void post(struct loop *loop, struct task *task)
{
    loop_defer(loop, task);
}

// ---- work and names: done at an instant -----------------------------------------------------

struct errand {
    struct deadline due;
    struct sim_node *node;
    struct work *work;
    uint64_t rest_us; // work: from when it is worked on until the loop hears of it
    bool worked;
    struct resolve_req *resolve;
};

static void on_errand(struct deadline *event)
{
    struct errand *at = (struct errand *)(void *)event, e = *at;
    if (e.work != NULL && !e.worked) {
        // What is worked on off the loop must not believe itself on it.
        assert(!e.node->loop.entered);
        at->worked = true;
        e.work->work(e.work);
        sim_at(e.node->sim, &at->due, e.node->sim->now_us + e.rest_us);
        return;
    }
    mem_free(at);
    sim_enter(e.node);
    if (e.work != NULL) {
        loop_work_done(&e.node->loop, e.work);
    } else {
        if (e.resolve->cancelled) e.resolve->count = 0;
        e.resolve->done(e.resolve);
    }
    sim_leave(e.node);
}

static void run_errand(struct sim_node *node, uint64_t after_us, struct errand errand)
{
    struct errand *e = mem_new(struct errand);
    *e = errand;
    e->due = (struct deadline){.fire = on_errand};
    e->node = node;
    sim_at(node->sim, &e->due, node->sim->now_us + after_us);
}

static void work(struct loop *loop, struct work *w)
{
    struct sim_node *node = sim_node_of(loop);
    struct sim *sim = node->sim;
    uint64_t all = sim->work_min_us, before = all / 2;
    if (sim->work_max_us > sim->work_min_us) {
        all += rng_below(&sim->work_rng, sim->work_max_us - sim->work_min_us + 1);
        before = rng_below(&sim->work_rng, all + 1);
    }
    run_errand(node, before, (struct errand){.work = w, .rest_us = all - before});
}

static bool looks_numeric(const char *host)
{
    return strchr(host, ':') != NULL || strspn(host, "0123456789.") == strlen(host);
}

static void resolve(struct loop *loop, struct resolve_req *req)
{
    struct sim_node *node = sim_node_of(loop), *found = sim_find(node->sim, req->host);
    req->count = 0;
    req->error = ERROR_OK;
    const char *address = found != NULL                         ? found->host
                          : looks_numeric(req->host)            ? req->host
                          : strcmp(req->host, "localhost") == 0 ? "127.0.0.1"
                                                                : NULL;
    if (address != NULL)
        snprintf(req->address[req->count++], sizeof(req->address[0]), "%.63s", address);
    else
        error_set(&req->error, ERROR_IO, "can't resolve %s: unknown node or service", req->host);
    run_errand(node, RESOLVE_US, (struct errand){.resolve = req});
}

// ---- running --------------------------------------------------------------------------------

static void run(struct loop *loop)
{
    struct sim_node *node = sim_node_of(loop);
    node->stopped = false;
    while (!node->stopped && sim_step(node->sim)) {
    }
}

static void stop(struct loop *loop)
{
    sim_node_of(loop)->stopped = true;
}

static void keep(struct loop *loop)
{
    (void)loop; // the world frees its nodes
}

bool sim_step(struct sim *sim)
{
    sim_bury(sim);
    struct deadline *event = heap_first(&sim->events);
    if (event == NULL) return false;
    assert(event->at_us >= sim->now_us);
    sim->now_us = event->at_us;
    heap_cancel(&sim->events, event);
    event->fire(event);
    return true;
}

void sim_run_until(struct sim *sim, uint64_t at_us)
{
    for (struct deadline *e; (e = heap_first(&sim->events)) != NULL && e->at_us <= at_us;)
        sim_step(sim);
    if (at_us > sim->now_us) sim->now_us = at_us;
}

void sim_run_for(struct sim *sim, uint64_t us)
{
    sim_run_until(sim, sim->now_us + us);
}

bool sim_run_while_not(struct sim *sim, bool (*done)(void *arg), void *arg, uint64_t limit_us)
{
    uint64_t end = sim->now_us + limit_us;
    while (!done(arg)) {
        struct deadline *e = heap_first(&sim->events);
        if (e == NULL || e->at_us > end) {
            sim_run_until(sim, end);
            return done(arg);
        }
        sim_step(sim);
    }
    return true;
}

// ---- the world ------------------------------------------------------------------------------

struct sim *sim_new(uint64_t seed)
{
    struct sim *sim = mem_new(struct sim);
    sim->now_us = SIM_BEGIN_US;
    rng_seed(&sim->rng, seed);
    rng_seed(&sim->work_rng, ~seed); // its own, so that work changes nothing else
    sim->work_min_us = sim->work_max_us = WORK_US;
    list_init(&sim->nodes);
    list_init(&sim->rules);
    list_init(&sim->partitions);
    list_init(&sim->wires);
    list_init(&sim->graves);
    return sim;
}

uint64_t sim_now_us(const struct sim *sim)
{
    return sim->now_us;
}

struct rng *sim_rng(struct sim *sim)
{
    return &sim->rng;
}

void sim_set_log(struct sim *sim, struct log *log)
{
    sim->log = log;
}

static void node_free(struct sim_node *node)
{
    sim_fs_free(node);
    conn_layers_free(&node->net.layers);
    for (struct list *at; (at = list_pop_front(&node->aliases)) != NULL;)
        mem_free(list_entry(at, struct sim_alias, link));
    sim_not(node->sim, &node->turn);
    loop_release(&node->loop);
    list_remove(&node->link);
    mem_free(node);
}

// Errands and file operations that are under way still own memory: let them end.
static void drain(struct sim *sim)
{
    uint64_t end = sim->now_us + 1000000;
    for (struct deadline *e; (e = heap_first(&sim->events)) != NULL && e->at_us <= end;)
        sim_step(sim);
}

void sim_free(struct sim *sim)
{
    list_each(at, &sim->nodes) sim_net_free(list_entry(at, struct sim_node, link));
    drain(sim);
    while (!list_empty(&sim->nodes))
        node_free(list_entry(sim->nodes.next, struct sim_node, link));
    sim_bury(sim);
    for (struct list *at; (at = list_pop_front(&sim->rules)) != NULL;)
        mem_free(list_entry(at, struct sim_rule, link));
    sim_heal_all(sim);
    heap_free(&sim->events);
    mem_free(sim);
}

// ---- nodes ----------------------------------------------------------------------------------

struct sim_node *sim_node_new(struct sim *sim, const char *host)
{
    static const struct loop_ops ops = {
        .clock_us = clock_us,
        .unix_us = unix_us,
        .woken = woken,
        .post = post,
        .work = work,
        .file = sim_fs_file,
        .resolve = resolve,
        .run = run,
        .stop = stop,
        .free = keep,
    };
    assert(sim_find(sim, host) == NULL && strlen(host) < SIM_HOST_BYTES);
    struct sim_node *node = mem_new(struct sim_node);
    loop_init(&node->loop, &ops, NULL, false);
    node->sim = sim;
    node->turn.fire = on_turn;
    list_init(&node->aliases);
    snprintf(node->host, sizeof(node->host), "%s", host);
    list_push_back(&sim->nodes, &node->link);
    sim_net_init(node);
    sim_fs_init(node);
    return node;
}

struct sim_node *sim_find(struct sim *sim, const char *host)
{
    list_each(at, &sim->nodes)
    {
        struct sim_node *node = list_entry(at, struct sim_node, link);
        if (strcmp(node->host, host) == 0) return node;
        list_each(alias, &node->aliases) if (strcmp(list_entry(alias, struct sim_alias, link)->name,
                                                    host) == 0) return node;
    }
    return NULL;
}

struct loop *sim_loop(struct sim_node *node)
{
    return &node->loop;
}

struct network *sim_network(struct sim_node *node)
{
    return &node->net;
}

const char *sim_host(const struct sim_node *node)
{
    return node->host;
}

void sim_alias(struct sim_node *node, const char *name)
{
    struct sim_alias *alias = mem_new(struct sim_alias);
    snprintf(alias->name, sizeof(alias->name), "%s", name);
    list_push_back(&node->aliases, &alias->link);
}

void sim_set_skew(struct sim_node *node, int64_t us)
{
    node->skew_us = us;
}

void sim_set_work(struct sim *sim, uint64_t min_us, uint64_t max_us)
{
    sim->work_min_us = min_us;
    sim->work_max_us = max_us;
}

void sim_set_slice(struct sim_node *node, uint32_t units)
{
    node->loop.slice_units = units;
}

void sim_crash(struct sim_node *node, bool power_loss)
{
    log_debug(node->sim->log, "%s: crash%s", node->host, power_loss ? ", power lost" : "");
    node->dead = true;
    sim_net_crash(node, power_loss);
    sim_fs_crash(node, power_loss);
}

void sim_restart(struct sim_node *node)
{
    log_debug(node->sim->log, "%s: restart", node->host);
    node->dead = false;
}
