// Replication in the node: its role, what is fed to the stream, and what the two machines of
// src/repl ask of their host.
#include "node/migrate_node.h"
#include "node/repl_impl.h"

#include "base/mem.h"
#include "node/config_table.h"
#include "node/shutdown.h"

#include <stdio.h>
#include <string.h>

// ---- the primary's host -----------------------------------------------------------------------

static void primary_settings_of(void *owner, struct primary_settings *out)
{
    struct replication *r = owner;
    const struct config *c = &r->node->config;
    const struct output_limit *limit = &c->output_limit[CLASS_REPLICA];
    *out = (struct primary_settings){
        .timeout_us = (uint64_t)c->repl_timeout_us,
        .diskless = c->repl_diskless_sync,
        .nodelay = !c->repl_disable_tcp_nodelay,
        .delay_us = (uint64_t)c->repl_diskless_sync_delay_s * 1000000,
        .max_replicas = c->repl_diskless_sync_max_replicas,
        .ping_period_us = (uint64_t)c->repl_ping_replica_period_s * 1000000,
        .backlog_ttl_us = (uint64_t)c->repl_backlog_ttl_s * 1000000,
        .limit_hard_bytes = limit->hard_bytes,
        .limit_soft_bytes = limit->soft_bytes,
        .limit_soft_us = (uint64_t)limit->soft_seconds * 1000000,
        .dir = c->dir,
    };
}

static bool snapshot_busy(void *owner)
{
    struct node *n = ((struct replication *)owner)->node;
    return n->store.snapshot != NULL || n->loading || n->insistent_replays > 0;
}

static bool snapshot(void *owner, struct snapshot_sink **sinks, int count, struct error *error)
{
    struct node *n = ((struct replication *)owner)->node;
    struct snapshot_aux aux[PERSIST_AUX_MAX];
    struct rdb_options options = persist_rdb_options(n);
    int aux_count = persist_aux(n, aux);
    int64_t delay_us = n->config.rdb_key_save_delay_us;
    snapshot_set_key_delay(&n->store, delay_us > 0 ? (uint32_t)delay_us : 0);
    return snapshot_start(&n->store, &options, aux, aux_count, sinks, count, error);
}

static void write_empty(void *owner, struct buf *out)
{
    struct node *n = ((struct replication *)owner)->node;
    struct snapshot_aux aux[PERSIST_AUX_MAX];
    struct rdb_options options = persist_rdb_options(n);
    int count = persist_aux(n, aux);
    rdb_put_header(out, options.version != 0 ? options.version : RDB_VERSION);
    for (int i = 0; i < count; i++)
        rdb_put_aux(out, aux[i].name, bytes_from_cstr(aux[i].value));
    struct bytes all = buf_view(out);
    rdb_put_eof(out, crc64(0, all.data, all.len), !options.no_checksum);
}

static void drop_sink(void *owner, struct snapshot_sink *sink)
{
    snapshot_drop_sink(&((struct replication *)owner)->node->store, sink);
}

static void kick(void *owner)
{
    snapshot_kick(&((struct replication *)owner)->node->store);
}

static bool is_replica(void *owner)
{
    return ((struct replication *)owner)->is_replica;
}

static bool quiet(void *owner)
{
    return ((struct replication *)owner)->failover.state != FAILOVER_NONE;
}

static void close_link(void *owner, struct replica_link *l)
{
    (void)owner;
    client_close(l->client);
}

static void acked(void *owner)
{
    struct replication *r = owner;
    repl_waits_check(r);
    repl_failover_check(r);
    shutdown_replicas_moved(r->node);
}

static void count(void *owner, enum primary_count what)
{
    struct node_stats *s = &((struct replication *)owner)->node->stats;
    switch (what) {
    case COUNT_SYNC_FULL:
        s->sync_full++;
        break;
    case COUNT_PARTIAL_OK:
        s->sync_partial_ok++;
        break;
    case COUNT_PARTIAL_ERR:
        s->sync_partial_err++;
        break;
    case COUNT_OVER_LIMIT:
        s->output_limit_disconnections++;
        break;
    }
}

static const struct primary_host primary_host = {
    .settings = primary_settings_of,
    .snapshot_busy = snapshot_busy,
    .snapshot = snapshot,
    .write_empty = write_empty,
    .drop_sink = drop_sink,
    .kick = kick,
    .is_replica = is_replica,
    .quiet = quiet,
    .close = close_link,
    .acked = acked,
    .count = count,
};

// ---- the replica's host -----------------------------------------------------------------------

static const char *given(const char *text)
{
    return text != NULL && text[0] != '\0' ? text : NULL;
}

static void replica_settings_of(void *owner, struct replica_settings *out)
{
    struct replication *r = owner;
    const struct config *c = &r->node->config;
    int port = c->tls_replication ? c->tls_port : c->port;
    *out = (struct replica_settings){
        .host = c->replicaof_host != NULL ? c->replicaof_host : "",
        .port = c->replicaof_port,
        .tls = c->tls_replication,
        .source_address = given(c->bind_source_addr),
        .verify_name = given(c->tls_verify_peer_name),
        .user = c->masteruser != NULL ? str_view(c->masteruser) : (struct bytes){0},
        .password = c->masterauth != NULL ? str_view(c->masterauth) : (struct bytes){0},
        .listening_port = c->replica_announce_port != 0 ? c->replica_announce_port : port,
        .announce_ip = given(c->replica_announce_ip),
        .timeout_us = (uint64_t)c->repl_timeout_us,
        .failover = r->failover.state == FAILOVER_HANDOVER,
    };
}

static bool closing(const struct client *c)
{
    return (c->flags & (CLIENT_CLOSING | CLIENT_CLOSE_AFTER_REPLY)) != 0;
}

static void on_fed(struct client *c)
{
    struct replication *r = c->node->repl;
    if (closing(c))
        replica_nonsense(&r->replica);
    else
        replica_unstuck(&r->replica);
}

static void stream_begin(void *owner, int db)
{
    struct replication *r = owner;
    r->feeder = client_new_primary(r->node);
    r->feeder->db = db < r->node->config.databases ? db : 0;
    r->feeder->fed = on_fed;
    r->applied = 0;
}

static const uint32_t stuck_flags = CLIENT_BLOCKED | CLIENT_PARKED | CLIENT_SUSPENDED;

static bool apply(void *owner, struct bytes data)
{
    struct replication *r = owner;
    struct budget budget = budget_begin(r->node->loop);
    client_feed(r->feeder, data, &budget);
    return !closing(r->feeder);
}

static bool stuck(void *owner)
{
    const struct client *feeder = ((struct replication *)owner)->feeder;
    return (feeder->flags & stuck_flags) != 0 || feeder->behind.len > 0;
}

static void stream_end(void *owner)
{
    struct replication *r = owner;
    if (r->feeder != NULL) client_free_primary(r->feeder);
    r->feeder = NULL;
}

static void history_changed(void *owner)
{
    primary_disconnect_all(&((struct replication *)owner)->primary);
}

static void link_changed(void *owner)
{
    struct replication *r = owner;
    r->link_down_us = replica_link_up(&r->replica) ? 0 : loop_now_us(r->node->loop);
}

static const struct replica_host replica_host = {
    .settings = replica_settings_of,
    .load_begin = repl_load_begin,
    .load_received = repl_load_received,
    .adopt = repl_adopt,
    .load_abort = repl_load_abort,
    .stream_begin = stream_begin,
    .apply = apply,
    .stuck = stuck,
    .stream_end = stream_end,
    .history_changed = history_changed,
    .link_changed = link_changed,
    .failover_answer = repl_failover_answer,
};

void repl_applied(struct node *n, struct client *c, uint64_t wire_bytes)
{
    struct replication *r = n->repl;
    r->applied += wire_bytes;
    // Inside a transaction the offset stands still, so that a cut link begins it anew.
    if (!(c->flags & CLIENT_MULTI)) replica_applied(&r->replica, r->applied, c->db);
}

// ---- life -------------------------------------------------------------------------------------

void repl_init(struct node *n)
{
    struct replication *r = mem_new(struct replication);
    n->repl = r;
    r->node = n;
    r->is_replica = n->config.replicaof_host != NULL;
    r->leaving_offset = -1;
    repl_waits_init(r);
    list_init(&r->holds.link);
    repl_stream_init(&r->stream, &n->rng, n->config.repl_backlog_size);
    primary_init(&r->primary, n->loop, &n->log, &r->stream, &primary_host, r);
    replica_init(&r->replica, n->loop, &n->log, n->network, &r->stream, &replica_host, r);
    repl_own_init(r);
    repl_pace_init(r);
    repl_failover_init(r);
}

void repl_free(struct node *n)
{
    struct replication *r = n->repl;
    replica_free(&r->replica);
    primary_free(&r->primary);
    repl_failover_free(r);
    repl_own_forget(r);
    repl_pace_free(r);
    task_cancel(&r->getack);
    list_remove(&r->holds.link);
    repl_stream_free(&r->stream);
    mem_free(r);
    n->repl = NULL;
}

void repl_start(struct node *n)
{
    struct replication *r = n->repl;
    if (r->is_replica && !r->replica.following) replica_follow(&r->replica);
}

// What CONFIG SET of a directive of ours comes to beyond the field itself.

bool apply_repl(struct node *n, struct error *error)
{
    (void)error;
    if (n->repl != NULL) repl_stream_resize(&n->repl->stream, n->config.repl_backlog_size);
    return true;
}

// ---- the stream -------------------------------------------------------------------------------

bool repl_feeding(const struct node *n)
{
    return !n->repl->is_replica && primary_feeding(&n->repl->primary);
}

void repl_feed(struct node *n, int db, int argc, const struct bytes *argv)
{
    if (repl_feeding(n)) repl_stream_command(&n->repl->stream, db, argc, argv);
}

void repl_feed_requests(struct node *n, int db, struct bytes text)
{
    if (repl_feeding(n)) repl_stream_requests(&n->repl->stream, db, text);
}

void repl_feed_multi_begin(struct node *n, int db)
{
    struct bytes word = BYTES("MULTI");
    repl_feed(n, db, 1, &word);
}

void repl_feed_multi_end(struct node *n)
{
    struct bytes word = BYTES("EXEC");
    repl_feed(n, -1, 1, &word);
}

int64_t repl_offset(const struct node *n)
{
    return n->repl->stream.offset;
}

const char *repl_id(const struct node *n)
{
    return n->repl->stream.id;
}

size_t repl_memory(const struct node *n, size_t *beyond_backlog)
{
    const struct repl_stream *s = &n->repl->stream;
    size_t all = repl_stream_memory(s), backlog = (size_t)s->limit;
    if (beyond_backlog != NULL) *beyond_backlog = all > backlog ? all - backlog : 0;
    return all;
}

// ---- roles ------------------------------------------------------------------------------------

bool repl_is_replica(const struct node *n)
{
    return n->repl->is_replica;
}

static void set_primary(struct config *c, const char *host, int port)
{
    char *copy = NULL;
    if (host != NULL) {
        size_t len = strlen(host) + 1;
        copy = memcpy(mem_alloc(len), host, len);
    }
    mem_free(c->replicaof_host);
    c->replicaof_host = copy;
    c->replicaof_port = port;
}

void repl_follow(struct node *n, const char *host, int port)
{
    struct replication *r = n->repl;
    replica_stop(&r->replica);
    if (!r->is_replica) {
        // Our own history may turn out to be the new primary's past.
        log_notice(&n->log,
                   "Before turning into a replica, using my own master parameters to synthesize a "
                   "cached master: I may be able to synchronize with the new master with just a "
                   "partial transfer.");
        repl_stream_activate(&r->stream);
        r->replica.cached = true;
        r->replica.db = r->stream.selected_db >= 0 ? r->stream.selected_db : 0;
        r->is_replica = true;
        blocking_abort_all(n, "-UNBLOCKED force unblock from blocking operation, instance state "
                              "changed (master -> replica?)");
        repl_waits_abort(r);
        migrate_role_changed(n);
    }
    set_primary(&n->config, host, port);
    r->link_down_us = loop_now_us(n->loop);
    replica_follow(&r->replica);
}

void repl_promote(struct node *n)
{
    struct replication *r = n->repl;
    if (!r->is_replica) return;
    replica_stop(&r->replica);
    r->replica.cached = false;
    r->is_replica = false;
    repl_own_forget(r); // a primary expires everything
    set_primary(&n->config, NULL, 0);
    // Our replicas have to hear of the new id; with it they come back for a partial resync.
    primary_disconnect_all(&r->primary);
    repl_stream_shift_id(&r->stream);
    r->stream.selected_db = -1;
    r->primary.alone_since_us = loop_now_us(n->loop);
    r->link_down_us = 0;
    log_notice(&n->log,
               "Setting secondary replication ID to %s, valid up to offset: %lld. New replication "
               "ID is %s",
               r->stream.id2, (long long)r->stream.second_offset, r->stream.id);
}

void repl_sleep(struct node *n, bool asleep)
{
    replica_sleep(&n->repl->replica, asleep);
    primary_sleep(&n->repl->primary, asleep);
}

bool repl_link_up(const struct node *n)
{
    return replica_link_up(&n->repl->replica);
}

int64_t repl_link_down_ms(const struct node *n)
{
    const struct replication *r = n->repl;
    if (repl_link_up(n)) return 0;
    if (r->link_down_us == 0) return -1;
    return (int64_t)(loop_now_us(n->loop) - r->link_down_us) / 1000;
}

void repl_drop_primary_link(struct node *n)
{
    replica_drop_link(&n->repl->replica);
}

bool repl_write_allowed(const struct node *n)
{
    const struct config *c = &n->config;
    if (n->repl->is_replica || c->min_replicas_to_write == 0 || c->min_replicas_max_lag_s == 0)
        return true;
    return primary_good_replicas(&n->repl->primary, c->min_replicas_max_lag_s) >=
           c->min_replicas_to_write;
}

int repl_replica_count(const struct node *n)
{
    return n->repl->primary.link_count;
}

// ---- snapshots and restarts -------------------------------------------------------------------

static void aux_set(struct snapshot_aux *aux, const char *name, const char *value)
{
    aux->name = name;
    snprintf(aux->value, sizeof(aux->value), "%s", value);
}

int repl_snapshot_aux(struct node *n, struct snapshot_aux aux[REPL_SNAPSHOT_AUX])
{
    const struct replication *r = n->repl;
    if (!r->stream.active) return 0;
    char number[24];
    int db = r->is_replica ? r->replica.db : r->stream.selected_db;
    snprintf(number, sizeof(number), "%d", db >= 0 ? db : 0);
    aux_set(&aux[0], "repl-stream-db", number);
    aux_set(&aux[1], "repl-id", r->stream.id);
    snprintf(number, sizeof(number), "%lld", (long long)r->stream.offset);
    aux_set(&aux[2], "repl-offset", number);
    return REPL_SNAPSHOT_AUX;
}

void repl_restore_expired(struct node *n, int db, struct bytes key)
{
    struct replication *r = n->repl;
    struct bytes words[2] = {BYTES("DEL"), key};
    if (r->is_replica) return;
    repl_stream_activate(&r->stream);
    repl_stream_command(&r->stream, db, 2, words);
}

void repl_restore(struct node *n, const struct loader_stats *loaded)
{
    struct replication *r = n->repl;
    struct repl_stream *s = &r->stream;
    if (strlen(loaded->repl_id) != REPL_ID_BYTES || loaded->repl_offset < 0) {
        repl_stream_rebase(s, -s->offset);
        repl_stream_deactivate(s);
        return;
    }
    if (r->is_replica) {
        repl_stream_reset(s, loaded->repl_id, loaded->repl_offset);
        r->replica.cached = true;
        r->replica.db = loaded->repl_stream_db >= 0 ? loaded->repl_stream_db : 0;
        return;
    }
    // A primary goes on under a new id: whatever it did after the RDB was written is gone.
    // What expired since then follows what it did until then.
    repl_stream_activate(s);
    repl_stream_rebase(s, loaded->repl_offset);
    memcpy(s->id, loaded->repl_id, sizeof(s->id));
    repl_stream_shift_id(s);
    s->second_offset = loaded->repl_offset + 1;
    s->selected_db = -1;
    r->primary.alone_since_us = loop_now_us(n->loop);
}

void repl_snapshot_free(struct node *n)
{
    if (n->repl != NULL) primary_try_sync(&n->repl->primary);
}

// ---- shutdown ---------------------------------------------------------------------------------

void repl_shutdown_begin(struct node *n)
{
    if (n->repl->is_replica) return;
    n->repl->leaving_offset = n->repl->stream.offset; // the question itself is not waited for
    primary_getack(&n->repl->primary);
}

static int64_t missing(const struct replication *r, const struct replica_link *l)
{
    if (l->old_sync) return 0; // never acknowledges
    int64_t all = r->leaving_offset >= 0 ? r->leaving_offset : r->stream.offset;
    return all > l->ack_offset ? all - l->ack_offset : 0;
}

bool repl_shutdown_ready(const struct node *n)
{
    const struct primary *p = &n->repl->primary;
    list_each(at, &p->links)
    {
        const struct replica_link *l = list_entry(at, struct replica_link, link);
        if (missing(n->repl, l) > 0) return false;
    }
    return true;
}

void repl_shutdown_log(struct node *n)
{
    const struct primary *p = &n->repl->primary;
    int total = 0, in_sync = 0;
    list_each(at, &p->links)
    {
        const struct replica_link *l = list_entry(at, struct replica_link, link);
        int64_t behind = missing(n->repl, l);
        total++;
        if (behind <= 0) {
            in_sync++;
            continue;
        }
        log_notice(&n->log,
                   "Lagging replica %s reported offset %lld behind master, lag=%ld, "
                   "state=%s.",
                   l->name, (long long)behind, (long)primary_link_lag_s(l), primary_link_state(l));
    }
    if (total > 0)
        log_notice(&n->log, "%d of %d replicas are in sync when shutting down.", in_sync, total);
    n->repl->leaving_offset = -1;
}

void repl_shutdown_end(struct node *n)
{
    primary_push_now(&n->repl->primary);
}
