// What the directives say, as typed values. One field per directive, named as the directive of
// Redis 7.0 (redis.conf) with underscores; aliases share a field. Strings are owned by the config,
// never NULL unless the comment says so. Whoever needs a value reads the field; who must act on a
// change registers in config_table.c.
#ifndef WHERRY_NODE_CONFIG_H
#define WHERRY_NODE_CONFIG_H

#include "base/error.h"
#include "base/log.h"
#include "conn/tls.h"
#include "proto/reply.h"
#include "proto/request.h"
#include "value/value.h"

enum { CONFIG_BIND_MAX = 16, CONFIG_SAVE_POINTS_MAX = 16, CONFIG_PERCENTILES_MAX = 32 };
enum { OOM_SCORE_VALUES = 3 }; // of a primary, a replica, a child that saves

enum maxmemory_policy {
    POLICY_NOEVICTION,
    POLICY_ALLKEYS_LRU,
    POLICY_ALLKEYS_LFU,
    POLICY_ALLKEYS_RANDOM,
    POLICY_VOLATILE_LRU,
    POLICY_VOLATILE_LFU,
    POLICY_VOLATILE_RANDOM,
    POLICY_VOLATILE_TTL,
};
enum diskless_load { DISKLESS_LOAD_DISABLED, DISKLESS_LOAD_ON_EMPTY_DB, DISKLESS_LOAD_SWAPDB };
enum client_class { CLASS_NORMAL, CLASS_REPLICA, CLASS_PUBSUB, CLASS_COUNT, CLASS_PRIMARY };
enum local_permission { PERMIT_NO, PERMIT_YES, PERMIT_LOCAL }; // enable-debug-command etc.

struct save_point {
    int64_t seconds, changes;
};
struct output_limit {
    int64_t hard_bytes, soft_bytes, soft_seconds; // 0: none
};

struct config {
    // network
    char *bind[CONFIG_BIND_MAX];
    int bind_count;
    char *bind_source_addr; // "": any
    int port, tls_port;     // 0: closed
    char *unixsocket;       // "": none
    int unixsocketperm;
    int tcp_backlog, timeout_s, tcp_keepalive_s;
    bool protected_mode;
    int maxclients;
    struct output_limit output_limit[CLASS_COUNT];
    struct request_limits request_limits; // proto-max-bulk-len, client-query-buffer-limit

    // tls; strings may be NULL: not given
    struct tls_config tls;
    bool tls_replication, tls_cluster;
    char *tls_verify_peer_name; // ours: name that outgoing links must find; NULL: chain only
    int64_t tls_handshake_ms;   // ours (tls-handshake-timeout): accept deadline, milliseconds

    // process
    bool daemonize, always_show_logo;
    char *pidfile, *logfile, *dir, *dbfilename;
    enum log_level loglevel;
    int databases, hz;
    bool use_exit_on_panic; // what would abort ends the process without a core dump
    bool dynamic_hz;
    enum local_permission enable_protected_configs, enable_debug_command, enable_module_command;
    struct str *requirepass; // NULL: none
    // Users: lines of words (quoted where needed), "name rule rule ..."; or a file of them.
    char *users, *aclfile;
    int acl_pubsub_all; // new users may use all channels
    int64_t acllog_max_len;
    int64_t slowlog_log_slower_than_us, slowlog_max_len;
    int64_t latency_monitor_threshold_ms;
    int64_t tracking_table_max_keys; // 0: no limit
    bool latency_tracking;
    struct {
        int count;
        double at[CONFIG_PERCENTILES_MAX];
    } latency_percentiles;
    uint32_t notify_keyspace_events; // flags of notify.h
    int shutdown_timeout_s;
    bool set_proc_title;
    char *proc_title_template;
    bool disable_thp, jemalloc_bg_thread;

    // data
    struct value_limits limits;
    bool activerehashing;
    int64_t maxmemory;         // bytes; 0: no limit
    int64_t maxmemory_clients; // bytes; 0: no limit; negative: percent of maxmemory
    enum maxmemory_policy maxmemory_policy;
    int maxmemory_samples, lfu_log_factor, lfu_decay_time_min;
    bool lazyfree_lazy_expire, lazyfree_lazy_eviction, lazyfree_lazy_server_del,
        lazyfree_lazy_user_del, lazyfree_lazy_user_flush;
    int64_t hll_sparse_max_bytes;

    // rdb
    struct save_point save[CONFIG_SAVE_POINTS_MAX];
    int save_count;
    bool stop_writes_on_bgsave_error, rdbcompression, rdbchecksum, rdb_save_incremental_fsync;
    int dump_rdb_version; // 0: the lowest that can hold the value
    enum { SANITIZE_NO, SANITIZE_YES, SANITIZE_CLIENTS } sanitize_dump_payload;
    int64_t rdb_key_save_delay_us, key_load_delay_us, loading_process_events_interval_bytes;

    // replication
    char *replicaof_host; // NULL: a primary
    int replicaof_port;
    struct str *masterauth, *masteruser; // NULL: none
    bool replica_serve_stale_data, replica_read_only, repl_diskless_sync;
    bool repl_disable_tcp_nodelay;
    int repl_diskless_sync_delay_s, repl_diskless_sync_max_replicas;
    enum diskless_load repl_diskless_load;
    int repl_ping_replica_period_s;
    int64_t repl_timeout_us; // seconds as in Redis; fractions and "ms" too
    int64_t repl_backlog_size, repl_backlog_ttl_s;
    int replica_priority;
    bool replica_announced;
    char *replica_announce_ip; // NULL: the conn's
    int replica_announce_port; // 0: ours
    int min_replicas_to_write, min_replicas_max_lag_s;
    bool replica_ignore_maxmemory, replica_lazy_flush;
    // What to do when a command of the stream fails ("panic": end the process).
    enum {
        PROPAGATION_IGNORE,
        PROPAGATION_PANIC,
        PROPAGATION_PANIC_ON_REPLICAS
    } propagation_error_behavior;

    // Kept for CONFIG: nobody reads them while `appendonly`, `oom-score-adj` are off, in Redis as
    // here.
    struct {
        int fsync, rewrite_percentage;
        int64_t rewrite_min_bytes;
        char *filename, *dirname;
        bool no_fsync_on_rewrite, load_truncated, use_rdb_preamble, timestamps,
            rewrite_incremental_fsync;
    } aof;
    int oom_score_adj[OOM_SCORE_VALUES];
    bool rdb_del_sync_files; // full syncs leave no files behind, whatever it says

    // migration, ours
    int64_t migrate_window_bytes; // migrate-window: payload in flight per link
    bool migrate_compression;     // LZF in the payloads that MIGRATE sends

    char *config_file; // absolute path; NULL: started without one
};

struct node;
struct ctx;

void config_init(struct config *c); // every directive's default
void config_free(struct config *c);
// Sets one directive from its words, at start (no hooks run). False and *error: unknown, not
// supported here, or a bad value; the text names the directive and says what it takes.
bool config_set_initial(struct config *c, struct bytes name, int argc, const struct bytes *argv,
                        struct error *error);
// Reads a configuration file and then the command line's options, in that order.
bool config_load(struct config *c, const char *path, int argc, char **argv, struct error *error);
// What CONFIG SET is given.
struct config_pairs {
    int count;
    const struct bytes *names, *values;
};
// Sees whether the pairs could be set, and sets nothing. *failed is the index of the pair at fault,
// or -1. Where a new TLS context is needed, *tls is what to make it from (the caller's to free) and
// *failed the pair that needs it; otherwise *tls is NULL.
bool config_try(struct node *n, const struct config_pairs *p, struct tls_config **tls, int *failed,
                struct error *error);
// CONFIG SET of pairs, all or none: sets, then applies; on failure everything is as before. `tls`
// is what was made from config_try's answer, or NULL where it needed none; borrowed. Reads no file.
bool config_set(struct node *n, const struct config_pairs *p, struct tls_context *tls, int *failed,
                struct error *error);
// Whether anything in the configuration uses TLS.
bool config_wants_tls(const struct config *c);

// Calls `show` for each directive (and alias) whose name matches the glob.
void config_match(const struct config *c, struct bytes pattern,
                  void (*show)(void *arg, const char *name, struct bytes value), void *arg);
// The text of the configuration file, rewritten to today's values.
void config_rewritten(const struct config *c, struct bytes old_text, struct buf *out);

#endif
