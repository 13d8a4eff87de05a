// The node itself: made, started, ticking, ended.
#include "node/node.h"
#include "node/acl.h"

#include "base/mem.h"
#include "node/ctx_impl.h"
#include "node/file_turn.h"
#include "node/notify.h"
#include "node/shutdown.h"
#include "node/tracking.h"
#include "store/expire.h"
#include "value/dict.h"

#include <stdio.h>

// ---- errors that were replied, by code (INFO errorstats) ----------------------------------------

static struct bytes error_stat_key(const void *item)
{
    return bytes_from_cstr(((const struct error_stat *)item)->code);
}

static const struct dict_type error_stat_type = {.key = error_stat_key, .free_item = mem_free};

// A link of replication has no use for an error: one side does what the other did not expect.
static void unexpected_error(struct client *c, struct bytes text)
{
    struct node *n = c->node;
    bool primary = (c->flags & CLIENT_PRIMARY) != 0;
    n->stats.unexpected_error_replies++;
    log_warning(&n->log,
                "== CRITICAL == This %s is sending an error to its %s: '%.*s' after processing "
                "the command '%s'",
                primary ? "replica" : "master", primary ? "master" : "replica",
                (int)(text.len < 4096 ? text.len : 4096), text.data,
                c->last_name != NULL ? c->last_name : "<unknown>");
    if (!primary || !n->config.replica_read_only ||
        n->config.propagation_error_behavior == PROPAGATION_IGNORE)
        return;
    log_warning(&n->log,
                "This replica panicked sending an error to its master after processing the "
                "command '%s'",
                c->last_name != NULL ? c->last_name : "<unknown>");
    n->exit_status = 1;
    n->stopping = true;
    loop_stop(n->loop);
}

void node_count_error(void *owner, const char *code, struct bytes text)
{
    struct client *c = owner;
    struct node *n = c->node;
    n->stats.total_error_replies++;
    if ((c->flags & CLIENT_PRIMARY) || client_class(c) == CLASS_REPLICA) unexpected_error(c, text);
    struct error_stat *stat = dict_find(n->error_stats, bytes_from_cstr(code));
    if (stat == NULL) {
        if (dict_count(n->error_stats) >= NODE_ERROR_STATS_MAX) return;
        stat = mem_new(struct error_stat);
        snprintf(stat->code, sizeof(stat->code), "%s", code);
        dict_insert_new(n->error_stats, stat, dict_hash(n->error_stats, error_stat_key(stat)));
    }
    stat->count++;
}

void node_reset_errors(struct node *n)
{
    dict_free(n->error_stats);
    n->error_stats = dict_new(&error_stat_type, rng_next(&n->rng));
}

// ---- changes that reach beyond one call ---------------------------------------------------------

bool node_is_replica(const struct node *n)
{
    return repl_is_replica(n);
}

void node_key_changed(struct node *n, int db, struct bytes key)
{
    multi_key_changed(n, db, key);
    tracking_key_changed(n, key);
}

void node_serve_ready(struct node *n)
{
    if (!list_empty(&n->ready_keys)) blocking_serve(n);
}

void node_db_changing(struct node *n, int db, struct db *fresh)
{
    multi_db_changing(n, db, fresh);
}

void node_db_changed(struct node *n, int db)
{
    n->db_changes++;
    tracking_flushed(n);
    blocking_db_changed(n, db);
    if (n->current == NULL) blocking_serve(n);
}

void node_notify(struct node *n, uint32_t class_flag, const char *event, struct bytes key, int db)
{
    uint32_t on = n->config.notify_keyspace_events;
    if (!(on & class_flag)) return;
    struct buf channel = BUF_EMPTY;
    if (on & NOTIFY_KEYSPACE) {
        buf_printf(&channel, "__keyspace@%d__:", db);
        buf_append_bytes(&channel, key);
        pubsub_publish(n, buf_view(&channel), bytes_from_cstr(event));
    }
    if (on & NOTIFY_KEYEVENT) {
        buf_clear(&channel);
        buf_printf(&channel, "__keyevent@%d__:%s", db, event);
        pubsub_publish(n, buf_view(&channel), key);
    }
    buf_free(&channel);
}

static void propagate_del(struct node *n, int db, struct bytes key, bool lazy)
{
    struct bytes argv[2] = {lazy ? BYTES("UNLINK") : BYTES("DEL"), key};
    node_propagate(n, db, 2, argv);
}

void node_expire_key(struct node *n, int db, struct bytes key)
{
    struct db *where = store_db(&n->store, db);
    struct entry *e = db_find(where, key);
    if (e == NULL || e->holds > 0) return;
    db_delete(&n->store, where, e);
    n->stats.expired_keys++;
    propagate_del(n, db, key, n->config.lazyfree_lazy_expire);
    node_notify(n, NOTIFY_EXPIRED, "expired", key, db);
    node_key_changed(n, db, key);
    blocking_key_deleted(n, db, key);
}

bool node_delete_key(struct node *n, int db, struct bytes key)
{
    struct db *where = store_db(&n->store, db);
    struct entry *e = db_find(where, key);
    if (e == NULL) return false;
    struct str *name = str_from(key); // `key` may point into the entry
    db_delete(&n->store, where, e);
    propagate_del(n, db, str_view(name), false);
    node_notify(n, NOTIFY_GENERIC, "del", str_view(name), db);
    node_key_changed(n, db, str_view(name));
    blocking_key_deleted(n, db, str_view(name));
    n->dirty++;
    if (n->current == NULL) blocking_serve(n);
    str_free(name);
    return true;
}

// ---- the cron -----------------------------------------------------------------------------------

static void on_expired(void *arg, int db, struct bytes key)
{
    node_expire_key(arg, db, key);
}

// Active expiry: a job that a tick starts and that goes through the databases in slices.
static enum job_state expire_step(struct job *job, struct budget *budget)
{
    struct node *n = list_entry(job, struct node, expire_job);
    if (!n->active_expire || repl_is_replica(n) || n->loading || pause_expiry(n)) return JOB_IDLE;
    int64_t now_ms = loop_unix_ms(n->loop);
    while (n->expire_db < n->store.live->count) {
        if (store_expire_cycle(&n->store, n->expire_db, now_ms, budget, on_expired, n))
            return JOB_MORE;
        n->expire_db++;
    }
    n->expire_db = 0;
    return JOB_IDLE;
}

static void cron_clients(struct node *n)
{
    uint64_t now_us = loop_now_us(n->loop);
    list_each_safe(at, &n->clients)
    {
        struct client *c = list_entry(at, struct client, link);
        uint64_t idle_us = now_us > c->active_us ? now_us - c->active_us : 0;
        client_check_output(c);
        evict_clients_count(c);
        if (n->config.timeout_s > 0 && idle_us > (uint64_t)n->config.timeout_s * 1000000 &&
            !(c->flags & (CLIENT_REPLICA | CLIENT_PRIMARY | CLIENT_PUBSUB | CLIENT_BLOCKED |
                          CLIENT_SUSPENDED | CLIENT_PARKED))) {
            log_verbose(&n->log, "Closing idle client");
            client_close(c);
        }
    }
}

static void on_cron(struct deadline *d)
{
    struct node *n = list_entry(d, struct node, cron);
    n->cron_ticks++;
    uint64_t used = mem_used_bytes();
    if (used > n->stats.peak_memory) n->stats.peak_memory = used;
    const uint64_t totals[RATE_KINDS] = {n->stats.commands_processed, n->stats.net_input_bytes,
                                         n->stats.net_output_bytes, migrate_sent_bytes(n)};
    rates_sample(&n->rates, loop_now_us(n->loop), totals);
    cron_clients(n);
    store_tidy(&n->store);
    if (n->expire_db == 0) job_start(n->loop, &n->expire_job);
    evict_measure(n);
    evict_to_limit(n);
    tracking_cron(n);
    persist_cron(n);
    if (!list_empty(&n->ready_keys)) blocking_serve(n);
    deadline_arm(n->loop, &n->cron,
                 loop_now_us(n->loop) + 1000000 / (uint64_t)(n->config.hz > 0 ? n->config.hz : 10));
}

// ---- DEBUG SLEEP
// ---------------------------------------------------------------------------------

static void on_thaw(struct deadline *d)
{
    struct node *n = list_entry(d, struct node, thaw);
    repl_sleep(n, false);
    list_each_safe(at, &n->clients) client_process_soon(list_entry(at, struct client, link));
    if (n->primary_link != NULL) client_process_soon(n->primary_link);
}

void node_freeze(struct node *n, uint64_t us)
{
    n->thaw.fire = on_thaw;
    repl_sleep(n, true);
    deadline_arm(n->loop, &n->thaw, loop_now_us(n->loop) + us);
}

// ---- life ---------------------------------------------------------------------------------------

struct node *node_new(struct loop *loop, struct network *network, struct config *config,
                      const struct command *const *families, uint64_t seed)
{
    struct node *n = mem_new(struct node);
    n->loop = loop;
    n->network = network;
    n->config = *config;
    n->families = families;
    n->next_client_id = 1;
    n->active_expire = true;
    n->started_us = loop_now_us(loop);
    n->started_unix_ms = loop_unix_ms(loop);
    rng_seed(&n->rng, seed);
    rng_hex(&n->rng, n->run_id, 40);
    list_init(&n->clients);
    list_init(&n->to_flush);
    list_init(&n->file_turns);
    n->config.limits.hash_seed = rng_next(&n->rng);
    list_init(&n->monitors);
    store_init(&n->store, loop, &n->log, &n->config.limits, n->config.databases, rng_next(&n->rng));
    n->error_stats = dict_new(&error_stat_type, rng_next(&n->rng));
    dispatch_init(n);
    acl_init(n);
    multi_init(n);
    blocking_init(n);
    pubsub_init(n);
    slowlog_init(n);
    persist_init(n);
    repl_init(n);
    migrate_init(n);
    job_init(&n->expire_job, "expire", expire_step);
    n->flush_hook.run = client_flush_hook;
    loop_before_wait(loop, &n->flush_hook);
    n->cron.fire = on_cron;
    return n;
}

bool node_start(struct node *n, struct error *error)
{
    if (!acl_start(n, error)) return false;
    if (!node_listen(n, error)) return false;
    if (!persist_load_at_start(n, error)) return false;
    deadline_arm(n->loop, &n->cron, loop_now_us(n->loop) + 1000);
    return true;
}

// A closing conn outlives us in the loop for a moment: its last event must find nobody.
static void ignore_closed(struct conn *conn, void *owner, const struct error *why)
{
    (void)conn;
    (void)owner;
    (void)why;
}

static void abandon(struct conn *conn)
{
    static const struct conn_events nobody = {.closed = ignore_closed};
    conn_own(conn, &nobody, NULL);
    conn_close(conn);
}

void node_free(struct node *n)
{
    deadline_cancel(n->loop, &n->cron);
    deadline_cancel(n->loop, &n->thaw);
    job_stop(n->loop, &n->expire_job);
    node_unlisten(n);
    list_each_safe(at, &n->clients)
    {
        struct client *c = list_entry(at, struct client, link);
        if (c->conn != NULL) abandon(c->conn);
        c->conn = NULL;
        client_free(c);
    }
    file_turns_abandon(n);
    migrate_free(n);
    repl_free(n);
    persist_free(n);
    pubsub_free(n);
    slowlog_free(n);
    latency_free(n);
    evict_free(n);
    tracking_free(n);
    pause_free(n);
    shutdown_free(n);
    multi_free(n);
    blocking_free(n);
    acl_free(n);
    dispatch_free(n);
    dict_free(n->error_stats);
    before_wait_remove(&n->flush_hook);
    store_free(&n->store);
    config_free(&n->config);
    propagate_free(n);
    mem_free(n);
}
