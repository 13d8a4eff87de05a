// When to save and to load. The work on files is persist_save.c's and persist_load.c's; SAVE's and
// RELOAD's clients wait in a suspension.
//
// Log texts and the rules about save points and retries: Redis 7.0 (redis.conf "SNAPSHOTTING",
// server log).
#include "node/persist.h"
#include "node/parts.h"
#include "node/persist_file.h"
#include "node/repl_node.h"

#include "base/mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { RETRY_AFTER_FAILURE_S = 5 };

enum save_kind { SAVE_BACKGROUND, SAVE_CLIENT, SAVE_RELOAD, SAVE_EXIT };

struct persist {
    struct node *node;
    struct save_file *save; // under way, or NULL
    enum save_kind kind;
    uint64_t dirty_at_cut;
    int64_t save_began_s;
    bool scheduled;

    int64_t last_save_s, last_try_s, last_duration_s; // duration -1: none yet
    bool last_ok;
    uint64_t saves;

    struct suspension saver; // SAVE's client
    struct suspension reloader;
    bool reload_waits, reload_no_save; // for a snapshot to end
    struct keyspace *aside;            // RELOAD: loaded, or being so
    bool aside_ready;                  // waits for holds to end

    void (*exit_done)(struct node *n, const struct error *error);

    struct load_file *load; // under way, or NULL
    uint64_t load_began_us;
    uint64_t keys_loaded, keys_expired; // of the last load
};

static int64_t now_s(const struct node *n)
{
    return loop_unix_ms(n->loop) / 1000;
}

// ---- what an RDB of ours says of itself -----------------------------------------------------

static void aux_put(struct snapshot_aux *aux, const char *name, const char *value)
{
    aux->name = name;
    snprintf(aux->value, sizeof(aux->value), "%s", value);
}

static void aux_put_number(struct snapshot_aux *aux, const char *name, int64_t value)
{
    aux->name = name;
    snprintf(aux->value, sizeof(aux->value), "%" PRIi64, value);
}

int persist_aux(struct node *n, struct snapshot_aux aux[PERSIST_AUX_MAX])
{
    int count = 0;
    aux_put(&aux[count++], "redis-ver", "7.0.15");
    aux_put_number(&aux[count++], "redis-bits", (int64_t)sizeof(void *) * 8);
    aux_put_number(&aux[count++], "ctime", now_s(n));
    aux_put_number(&aux[count++], "used-mem", (int64_t)mem_used_bytes());
    count += repl_snapshot_aux(n, &aux[count]);
    aux_put_number(&aux[count++], "aof-base", 0);
    return count;
}

struct rdb_options persist_rdb_options(const struct node *n)
{
    return (struct rdb_options){.compress = n->config.rdbcompression,
                                .no_checksum = !n->config.rdbchecksum};
}

struct rdb_options persist_payload_options(const struct node *n)
{
    return (struct rdb_options){.compress = n->config.rdbcompression,
                                .version = n->config.dump_rdb_version};
}

struct loader_options persist_loader_options(const struct node *n)
{
    int64_t delay_us = n->config.key_load_delay_us;
    return (struct loader_options){
        .checksum = n->config.rdbchecksum,
        .sanitize = n->config.sanitize_dump_payload == SANITIZE_YES,
        .key_delay_us = delay_us > 0 ? (uint32_t)delay_us : 0,
    };
}

// ---- saving ---------------------------------------------------------------------------------

bool persist_busy(const struct node *n)
{
    return n->store.snapshot != NULL || n->persist->save != NULL;
}

int64_t persist_last_save_s(const struct node *n)
{
    return n->persist->last_save_s;
}

void persist_schedule_save(struct node *n)
{
    n->persist->scheduled = true;
}

static void reload_saved(struct persist *p, const struct error *error);

static void client_saved(struct persist *p, const struct error *error)
{
    if (p->saver.client == NULL) return;
    struct reply *r = client_reply(p->saver.client);
    if (error_is(error))
        reply_error(r, error->text);
    else
        reply_ok(r);
    client_resume(&p->saver);
}

static void note_success(struct persist *p)
{
    struct node *n = p->node;
    log_notice(&n->log, "DB saved on disk");
    n->dirty -= p->dirty_at_cut < n->dirty ? p->dirty_at_cut : n->dirty;
    p->last_save_s = now_s(n);
    p->last_ok = true;
    p->saves++;
}

static void note_background(struct persist *p, const struct error *error)
{
    struct node *n = p->node;
    p->last_duration_s = now_s(n) - p->save_began_s;
    if (!error_is(error)) {
        log_notice(&n->log, "Background saving terminated with success");
    } else if (error->class == ERROR_CANCELLED) {
        log_warning(&n->log, "Background saving cancelled: %s", error->text);
    } else {
        log_warning(&n->log, "Background saving error");
        p->last_ok = false;
    }
}

static bool save_start(struct persist *p, enum save_kind kind, struct error *error);

static void on_saved(void *owner, const struct error *error)
{
    struct persist *p = owner;
    struct node *n = p->node;
    enum save_kind kind = p->kind;
    p->save = NULL;
    if (error_is(error) && error->class != ERROR_CANCELLED) log_warning(&n->log, "%s", error->text);
    if (!error_is(error)) note_success(p);
    switch (kind) {
    case SAVE_BACKGROUND:
        note_background(p, error);
        break;
    case SAVE_CLIENT:
        client_saved(p, error);
        break;
    case SAVE_RELOAD:
        reload_saved(p, error);
        break;
    case SAVE_EXIT:
        p->exit_done(n, error); // the node may be gone after it
        return;
    }
    if (p->exit_done != NULL) {
        struct error failure = ERROR_OK;
        if (p->save == NULL && !save_start(p, SAVE_EXIT, &failure)) p->exit_done(n, &failure);
        return;
    }
    repl_snapshot_free(n);
}

static bool save_start(struct persist *p, enum save_kind kind, struct error *error)
{
    struct node *n = p->node;
    struct snapshot_aux aux[PERSIST_AUX_MAX];
    struct save_file_options options = {
        .dir = n->config.dir,
        .name = n->config.dbfilename,
        .rdb = persist_rdb_options(n),
        .sync_every_bytes = n->config.rdb_save_incremental_fsync ? PERSIST_SYNC_BYTES : 0,
        .aux = aux};
    options.aux_count = persist_aux(n, aux);
    if (p->save != NULL) return error_set(error, ERROR_LIMIT, "a save is under way already");
    // The delay is for tests of what goes on meanwhile; nothing does at the end.
    int64_t delay_us = kind == SAVE_EXIT ? 0 : n->config.rdb_key_save_delay_us;
    snapshot_set_key_delay(&n->store, delay_us > 0 ? (uint32_t)delay_us : 0);
    p->save = save_file_start(&n->store, &options, on_saved, p, error);
    if (p->save == NULL) return false;
    p->kind = kind;
    p->dirty_at_cut = n->dirty;
    p->save_began_s = now_s(n);
    return true;
}

bool persist_background_save(struct node *n, struct error *error)
{
    struct persist *p = n->persist;
    p->last_try_s = now_s(n);
    if (!save_start(p, SAVE_BACKGROUND, error)) return false;
    p->scheduled = false;
    log_notice(&n->log, "Background saving started by pid %d", (int)getpid());
    return true;
}

static void saver_gone(struct suspension *s)
{
    (void)s; // the save goes on; client_saved finds nobody
}

void persist_save_command(struct ctx *c)
{
    struct persist *p = c->node->persist;
    if (persist_busy(c->node)) {
        reply_error(c->reply, "Background save already in progress");
        return;
    }
    struct error error = ERROR_OK;
    p->saver.gone = saver_gone;
    if (!ctx_suspend(c, &p->saver)) {
        reply_error(c->reply, "SAVE is not allowed inside a transaction");
        return;
    }
    if (!save_start(p, SAVE_CLIENT, &error)) client_saved(p, &error);
}

void persist_flushed(struct node *n)
{
    if (n->config.save_count > 0) n->persist->scheduled = true;
}

void persist_save_for_exit(struct node *n, void (*done)(struct node *n, const struct error *error))
{
    struct persist *p = n->persist;
    struct error error = ERROR_OK;
    p->exit_done = done;
    if (p->save != NULL) { // on_saved goes on
        save_file_cancel(p->save);
        return;
    }
    error_set(&error, ERROR_CANCELLED, "the node is shutting down");
    snapshot_cancel(&n->store, &error);
    error = ERROR_OK;
    if (!save_start(p, SAVE_EXIT, &error)) done(n, &error);
}

// ---- DEBUG RELOAD ---------------------------------------------------------------------------

static void reload_over(struct persist *p, const struct error *error)
{
    struct node *n = p->node;
    if (p->aside != NULL) keyspace_discard(&n->store, p->aside);
    p->aside = NULL;
    p->aside_ready = false;
    store_thaw(&n->store);
    if (p->reloader.client == NULL) return;
    struct reply *r = client_reply(p->reloader.client);
    if (error_is(error)) {
        log_warning(&n->log, "DEBUG RELOAD: %s", error->text);
        reply_error(r, "Error trying to load the RDB dump, check server logs.");
    } else {
        log_warning(&n->log, "DB reloaded by DEBUG RELOAD");
        reply_ok(r);
    }
    client_resume(&p->reloader);
}

// Puts what was loaded in service, unless a machine is reading a value: then a later tick tries.
static void reload_adopt(struct persist *p)
{
    struct store *s = &p->node->store;
    s->frozen = false; // as its only user; the waiters are told by reload_over
    bool held = store_held(s, -1);
    if (!held) {
        store_adopt(s, p->aside);
        p->aside = NULL;
    }
    s->frozen = true;
    struct error none = ERROR_OK;
    if (!held) reload_over(p, &none);
}

static void reload_loaded(void *owner, bool missing, const struct error *error,
                          const struct loader_stats *stats)
{
    struct persist *p = owner;
    (void)missing;
    p->load = NULL;
    if (error_is(error)) {
        reload_over(p, error);
        return;
    }
    p->keys_loaded = stats->keys_loaded;
    p->keys_expired = stats->keys_expired;
    p->aside_ready = true;
    reload_adopt(p);
}

static const struct load_file_events reload_events = {.done = reload_loaded};

static void reload_load(struct persist *p)
{
    struct node *n = p->node;
    struct loader_options options = persist_loader_options(n);
    char *path = persist_path(n->config.dir, n->config.dbfilename);
    p->aside = keyspace_new(n->store.live->count, n->store.hash_seed);
    p->load = load_file_start(&n->store, p->aside, path, &options, &reload_events, p);
    mem_free(path);
}

static void reload_saved(struct persist *p, const struct error *error)
{
    if (error_is(error))
        reload_over(p, error);
    else
        reload_load(p);
}

static void reload_begin(struct persist *p)
{
    struct error error = ERROR_OK;
    p->reload_waits = false;
    store_freeze(&p->node->store);
    if (p->reload_no_save)
        reload_load(p);
    else if (!save_start(p, SAVE_RELOAD, &error))
        reload_over(p, &error);
}

static void reloader_gone(struct suspension *s)
{
    struct persist *p = list_entry(s, struct persist, reloader);
    p->reload_waits = false;
}

void persist_reload_command(struct ctx *c, bool no_save)
{
    struct persist *p = c->node->persist;
    if (p->reload_waits || p->aside != NULL || c->node->store.frozen || p->load != NULL) {
        reply_error(c->reply, "the dataset is being loaded already");
        return;
    }
    p->reloader.gone = reloader_gone;
    if (!ctx_suspend(c, &p->reloader)) {
        reply_error(c->reply, "DEBUG RELOAD is not allowed inside a transaction");
        return;
    }
    p->reload_no_save = no_save;
    p->reload_waits = true;
    if (no_save || !persist_busy(c->node)) reload_begin(p);
}

// ---- loading at start -----------------------------------------------------------------------

static void start_began(void *owner, struct loader *l, uint64_t bytes)
{
    struct persist *p = owner;
    p->node->loader = l;
    p->node->loading_total_bytes = bytes;
}

static void load_failed(struct persist *p, const struct error *error)
{
    struct node *n = p->node;
    if (error->class == ERROR_CORRUPT)
        log_warning(&n->log, "Internal error in RDB reading: %s", error->text);
    log_warning(&n->log, "%s/%s: %s", n->config.dir, n->config.dbfilename, error->text);
    if (strstr(error->text, "checksum") != NULL) log_warning(&n->log, "RDB CRC error");
    if (error->class != ERROR_IO)
        log_warning(&n->log, "Terminating server after rdb file reading failure.");
    log_warning(&n->log, "Fatal error loading the DB, check server logs. Exiting.");
    n->exit_status = 1;
    n->stopping = true;
    loop_stop(n->loop);
}

static void start_loaded(void *owner, bool missing, const struct error *error,
                         const struct loader_stats *stats)
{
    struct persist *p = owner;
    struct node *n = p->node;
    p->load = NULL;
    n->loader = NULL;
    if (error_is(error) && !missing) {
        load_failed(p, error); // n->loading stays: nobody is to read a part of the data
        return;
    }
    n->loading = false;
    n->dirty = 0;
    p->last_save_s = now_s(n);
    if (!missing) {
        double seconds = (double)(loop_now_us(n->loop) - p->load_began_us) / 1e6;
        log_notice(&n->log, "DB loaded from disk: %.3f seconds", seconds);
        p->keys_loaded = stats->keys_loaded;
        p->keys_expired = stats->keys_expired;
        repl_restore(n, stats);
    }
    log_notice(&n->log, "Ready to accept connections");
    repl_start(n);
}

static const struct load_file_events start_events = {.began = start_began, .done = start_loaded};

static void start_expired(void *owner, int db, struct bytes key)
{
    repl_restore_expired(owner, db, key);
}

bool persist_load_at_start(struct node *n, struct error *error)
{
    (void)error;
    struct persist *p = n->persist;
    struct loader_options options = persist_loader_options(n);
    // A replica is told by its primary what has expired.
    options.skip_expired = n->config.replicaof_host == NULL;
    options.expired = start_expired;
    options.expired_owner = n;
    char *path = persist_path(n->config.dir, n->config.dbfilename);
    n->loading = true;
    n->loading_started_us = p->load_began_us = loop_now_us(n->loop);
    p->load = load_file_start(&n->store, n->store.live, path, &options, &start_events, p);
    mem_free(path);
    return true;
}

// ---- the cron -------------------------------------------------------------------------------

static bool save_point_due(struct persist *p)
{
    const struct node *n = p->node;
    for (int i = 0; i < n->config.save_count; i++) {
        const struct save_point *sp = &n->config.save[i];
        if ((int64_t)n->dirty < sp->changes || now_s(n) - p->last_save_s <= sp->seconds) continue;
        log_notice(&p->node->log, "%" PRIi64 " changes in %" PRIi64 " seconds. Saving...",
                   sp->changes, sp->seconds);
        return true;
    }
    return false;
}

void persist_cron(struct node *n)
{
    struct persist *p = n->persist;
    if (p->aside_ready) reload_adopt(p);
    if (n->loading || n->stopping || persist_busy(n)) return;
    if (p->reload_waits) {
        reload_begin(p);
        return;
    }
    if (!p->last_ok && now_s(n) - p->last_try_s <= RETRY_AFTER_FAILURE_S) return;
    struct error error = ERROR_OK;
    if ((p->scheduled || save_point_due(p)) && !persist_background_save(n, &error))
        log_warning(&n->log, "Can't save in background: %s", error.text);
}

bool persist_writes_refused(struct node *n)
{
    return n->config.stop_writes_on_bgsave_error && n->config.save_count > 0 &&
           !n->persist->last_ok;
}

// ---- INFO -----------------------------------------------------------------------------------

static void info_loading(struct node *n, struct buf *out)
{
    uint64_t loaded = n->loader ? loader_stats(n->loader)->bytes : 0;
    uint64_t total = n->loading_total_bytes;
    uint64_t elapsed_us = loop_now_us(n->loop) - n->loading_started_us;
    double percent = total ? (double)loaded / (double)total * 100 : 0;
    int64_t eta_s =
        loaded && total > loaded
            ? (int64_t)((double)elapsed_us / 1e6 * (double)(total - loaded) / (double)loaded)
            : 1;
    buf_printf(out,
               "loading_start_time:%" PRIi64 "\r\n"
               "loading_total_bytes:%" PRIu64 "\r\n"
               "loading_rdb_used_mem:0\r\n"
               "loading_loaded_bytes:%" PRIu64 "\r\n"
               "loading_loaded_perc:%.2f\r\n"
               "loading_eta_seconds:%" PRIi64 "\r\n",
               now_s(n) - (int64_t)(elapsed_us / 1000000), total, loaded, percent, eta_s);
}

// No child, so no memory is ever copied for one: the fields about that are there and 0.
void persist_info(struct node *n, struct buf *out)
{
    const struct persist *p = n->persist;
    struct snapshot_progress progress = {0};
    snapshot_progress(&n->store, &progress);
    double percent =
        progress.keys_total ? (double)progress.keys_done / (double)progress.keys_total * 100 : 0;
    int64_t running_s = p->save != NULL ? now_s(n) - p->save_began_s : -1;
    buf_printf(out,
               "loading:%d\r\nasync_loading:%d\r\n"
               "current_cow_peak:0\r\ncurrent_cow_size:0\r\ncurrent_cow_size_age:0\r\n"
               "current_fork_perc:%.2f\r\n"
               "current_save_keys_processed:%" PRIu64 "\r\ncurrent_save_keys_total:%" PRIu64 "\r\n",
               n->loading && !n->async_loading, n->async_loading, percent, progress.keys_done,
               progress.keys_total);
    buf_printf(out,
               "rdb_changes_since_last_save:%" PRIu64 "\r\n"
               "rdb_bgsave_in_progress:%d\r\n"
               "rdb_last_save_time:%" PRIi64 "\r\n"
               "rdb_last_bgsave_status:%s\r\n"
               "rdb_last_bgsave_time_sec:%" PRIi64 "\r\n"
               "rdb_current_bgsave_time_sec:%" PRIi64 "\r\n"
               "rdb_saves:%" PRIu64 "\r\nrdb_last_cow_size:0\r\n"
               "rdb_last_load_keys_expired:%" PRIu64 "\r\n"
               "rdb_last_load_keys_loaded:%" PRIu64 "\r\n",
               n->dirty, persist_busy(n), p->last_save_s, p->last_ok ? "ok" : "err",
               p->last_duration_s, running_s, p->saves, p->keys_expired, p->keys_loaded);
    buf_append_cstr(out, "aof_enabled:0\r\naof_rewrite_in_progress:0\r\naof_rewrite_scheduled:0\r\n"
                         "aof_last_rewrite_time_sec:-1\r\naof_current_rewrite_time_sec:-1\r\n"
                         "aof_last_bgrewrite_status:ok\r\naof_rewrites:0\r\n"
                         "aof_rewrites_consecutive_failures:0\r\naof_last_write_status:ok\r\n"
                         "aof_last_cow_size:0\r\nmodule_fork_in_progress:0\r\n"
                         "module_fork_last_cow_size:0\r\n");
    if (n->loading) info_loading(n, out);
}

// ---- life -----------------------------------------------------------------------------------

void persist_init(struct node *n)
{
    struct persist *p = mem_new(struct persist);
    p->node = n;
    p->last_ok = true;
    p->last_duration_s = -1;
    p->last_save_s = now_s(n);
    n->persist = p;
}

void persist_free(struct node *n)
{
    struct persist *p = n->persist;
    if (p == NULL) return;
    if (p->save != NULL) save_file_abandon(p->save);
    if (p->load != NULL) load_file_cancel(p->load);
    if (p->aside != NULL) keyspace_discard(&n->store, p->aside);
    mem_free(p);
    n->persist = NULL;
}
