#include "sim/world/world.h"

#include "base/mem.h"
#include "command/table.h"
#include "conn/layer_tls.h"
#include "sim/lib/sim_impl.h"
#include "sim/world/client.h"
#include "sim/world/runner.h"

#include <stdarg.h>
#include <stdio.h>

// ---- what happened ------------------------------------------------------------------------------

static void keep_line(struct world *w, const char *line)
{
    uint64_t us = w->sim != NULL ? sim_now_us(w->sim) - SIM_BEGIN_US : 0;
    if (w->options.verbose)
        printf("%7lu.%03lu %s\n", (unsigned long)(us / 1000), (unsigned long)(us % 1000), line);
    if (!w->options.trace) return;
    snprintf(w->ring[w->lines++ % WORLD_RING_LINES], WORLD_LINE_BYTES, "%7lu.%03lu %s",
             (unsigned long)(us / 1000), (unsigned long)(us % 1000), line);
}

static bool listening(const struct world *w)
{
    return w->options.trace || w->options.verbose;
}

void world_note(struct world *w, const char *format, ...)
{
    if (!listening(w)) return;
    char line[WORLD_LINE_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    keep_line(w, line);
}

void world_fail(struct world *w, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(w->why, sizeof(w->why), format, args);
    va_end(args);
    keep_line(w, w->why);
    longjmp(*w->out, 1);
}

void world_show(const struct world *w)
{
    uint64_t kept = w->lines < WORLD_RING_LINES ? w->lines : WORLD_RING_LINES;
    uint64_t tail = w->options.tail > 0 ? (uint64_t)w->options.tail : 60;
    uint64_t shown = kept < tail ? kept : tail;
    for (uint64_t i = w->lines - shown; i < w->lines; i++)
        printf("  %s\n", w->ring[i % WORLD_RING_LINES]);
}

static void on_world_line(struct log *log, enum log_level level, const char *line)
{
    (void)level;
    keep_line(log->owner, line);
}

static void on_member_line(struct log *log, enum log_level level, const char *line)
{
    struct member *m = log->owner;
    char text[WORLD_LINE_BYTES];
    (void)level;
    // Readers come and go all the time.
    if (strncmp(line, "Accepted c", 10) == 0 ||
        strncmp(line, "Client closed connection c", 26) == 0)
        return;
    snprintf(text, sizeof(text), "%s: %s", m->host, line);
    keep_line(m->world, text);
}

uint64_t pick_spread(struct world *w, uint64_t low, uint64_t high)
{
    uint64_t span = high - low + 1, bits = 0;
    while (span >> bits > 1)
        bits++;
    uint64_t scale = 1ull << pick(w, bits + 2);
    return low + pick(w, scale < span ? scale : span);
}

// ---- life ---------------------------------------------------------------------------------------

void world_begin(struct world *w, const struct world_options *options, jmp_buf *out)
{
    *w = (struct world){.options = *options, .out = out};
    if (options->trace) w->ring = mem_alloc((size_t)WORLD_RING_LINES * WORLD_LINE_BYTES);
    rng_seed(&w->rng, options->seed ^ 0x776f726c64u);
    w->sim = sim_new(options->seed);
    w->log = (struct log){listening(w) ? LOG_DEBUG : LOG_SILENT, on_world_line, w};
    sim_set_log(w->sim, &w->log);
    list_init(&w->clients);
    list_init(&w->timers);
}

void world_end_timers(struct world *w)
{
    while (!list_empty(&w->timers)) {
        struct world_timer *t = list_entry(w->timers.next, struct world_timer, link);
        list_remove(&t->link);
        sim_not(w->sim, &t->at);
    }
}

void world_end(struct world *w)
{
    world_end_timers(w);
    while (!list_empty(&w->clients))
        client_free_link(list_entry(w->clients.next, struct client_link, link));
    for (int i = 0; i < w->member_count; i++)
        if (w->members[i].node != NULL) member_stop(&w->members[i]);
    sim_free(w->sim);
    mem_free(w->ring);
}

// ---- members ------------------------------------------------------------------------------------

struct member *member_add(struct world *w, const char *host)
{
    struct member *m = &w->members[w->member_count];
    *m = (struct member){.world = w, .index = w->member_count++, .follows = -1};
    snprintf(m->host, sizeof(m->host), "%s", host);
    m->log = (struct log){listening(w) ? LOG_DEBUG : LOG_SILENT, on_member_line, m};
    m->at = sim_node_new(w->sim, host);
    if (w->tls) net_set_tls(sim_network(m->at), runner_tls());
    return m;
}

static char *copy_text(const char *text)
{
    size_t len = strlen(text) + 1;
    return memcpy(mem_alloc(len), text, len);
}

static void settle_config(struct member *m, struct config *c)
{
    config_init(c);
    c->save_count = 0;
    c->protected_mode = false;
    c->enable_debug_command = PERMIT_YES;
    c->port = WORLD_PORT;
    c->repl_diskless_sync_delay_s = 0;
    c->repl_ping_replica_period_s = 1;
    c->repl_timeout_us = 2500000;
    c->databases = 16;
    c->latency_tracking = false;
    if (m->world->tls) {
        c->tls_port = WORLD_PORT + 1;
        c->tls_replication = c->tls_cluster = true;
    }
    m->world->configure(m, c);
    if (m->follows < 0) return;
    c->replicaof_host = copy_text(m->world->members[m->follows].host);
    c->replicaof_port = m->world->tls ? WORLD_PORT + 1 : WORLD_PORT;
}

void member_start(struct member *m)
{
    struct world *w = m->world;
    struct config config;
    struct error error = ERROR_OK;
    sim_restart(m->at);
    settle_config(m, &config);
    world_note(w, "%s: started%s", m->host, m->starts > 0 ? " again" : "");
    m->starts++;
    m->node = node_new(sim_loop(m->at), sim_network(m->at), &config, command_families,
                       pick(w, 1ull << 62));
    m->node->log = m->log;
    if (w->tls) m->node->tls = tls_context_ref(runner_tls());
    m->at->stopped = false;
    if (!node_start(m->node, &error)) world_fail(w, "%s: %s", m->host, error.text);
    if (w->watched) sim_watch(m->at, world_check_member, m);
}

uint64_t member_full_syncs(const struct member *m)
{
    return m->past_full_syncs + (m->node != NULL ? m->node->stats.sync_full : 0);
}

static void free_node(struct member *m)
{
    m->past_full_syncs = member_full_syncs(m);
    sim_watch(m->at, NULL, NULL);
    node_free(m->node);
    m->node = NULL;
    m->at->stopped = false;
}

void member_stop(struct member *m)
{
    world_note(m->world, "%s: ended", m->host);
    free_node(m);
}

void member_crash(struct member *m, bool power_loss)
{
    m->crashes++;
    sim_watch(m->at, NULL, NULL);
    sim_crash(m->at, power_loss);
    free_node(m);
    if (power_loss) world_drop_clients(m->world, m);
}

void member_reap(struct member *m)
{
    if (m->node == NULL || !m->at->stopped) return;
    if (m->node->exit_status != 0)
        world_fail(m->world, "%s: ended by itself with status %d", m->host, m->node->exit_status);
    member_stop(m);
}

// ---- time ---------------------------------------------------------------------------------------

static void on_timer(struct deadline *d)
{
    struct world_timer *t = list_entry(d, struct world_timer, at);
    list_remove(&t->link);
    t->fire(t);
}

void world_after(struct world *w, struct world_timer *t, uint64_t us,
                 void (*fire)(struct world_timer *t))
{
    if (deadline_armed(&t->at)) list_remove(&t->link);
    list_push_back(&w->timers, &t->link);
    t->world = w;
    t->fire = fire;
    t->at.fire = on_timer;
    sim_at(w->sim, &t->at, sim_now_us(w->sim) + us);
}

void world_run(struct world *w, uint64_t us)
{
    sim_run_for(w->sim, us);
}
