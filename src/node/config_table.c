// Every directive, with Redis 7.0's name, default and range (redis.conf and CONFIG GET of 7.0.15).
#include "node/config_table.h"

#include <limits.h>
#include <stddef.h>

#define AT(member) offsetof(struct config, member)
#define BIG        INT64_MAX

static const struct word_value loglevels[] = {{"debug", LOG_DEBUG},    {"verbose", LOG_VERBOSE},
                                              {"notice", LOG_NOTICE},  {"warning", LOG_WARNING},
                                              {"nothing", LOG_SILENT}, {0}};
static const struct word_value policies[] = {{"volatile-lru", POLICY_VOLATILE_LRU},
                                             {"volatile-lfu", POLICY_VOLATILE_LFU},
                                             {"volatile-random", POLICY_VOLATILE_RANDOM},
                                             {"volatile-ttl", POLICY_VOLATILE_TTL},
                                             {"allkeys-lru", POLICY_ALLKEYS_LRU},
                                             {"allkeys-lfu", POLICY_ALLKEYS_LFU},
                                             {"allkeys-random", POLICY_ALLKEYS_RANDOM},
                                             {"noeviction", POLICY_NOEVICTION},
                                             {0}};
static const struct word_value permits[] = {
    {"no", PERMIT_NO}, {"yes", PERMIT_YES}, {"local", PERMIT_LOCAL}, {0}};
static const struct word_value diskless_loads[] = {{"disabled", DISKLESS_LOAD_DISABLED},
                                                   {"on-empty-db", DISKLESS_LOAD_ON_EMPTY_DB},
                                                   {"swapdb", DISKLESS_LOAD_SWAPDB},
                                                   {0}};
static const struct word_value sanitizes[] = {
    {"no", SANITIZE_NO}, {"yes", SANITIZE_YES}, {"clients", SANITIZE_CLIENTS}, {0}};
static const struct word_value payload_versions[] = {
    {"0", 0}, {"5", 5}, {"6", 6}, {"7", 7}, {"8", 8}, {"9", 9}, {"10", 10}, {"11", 11}, {0}};
static const struct word_value channel_defaults[] = {{"allchannels", 1}, {"resetchannels", 0}, {0}};
static const struct word_value auths[] = {
    {"no", TLS_AUTH_NO}, {"yes", TLS_AUTH_YES}, {"optional", TLS_AUTH_OPTIONAL}, {0}};
static const struct word_value fsyncs[] = {{"everysec", 0}, {"always", 1}, {"no", 2}, {0}};
static const struct word_value propagations[] = {
    {"ignore", 0}, {"panic", 1}, {"panic-on-replicas", 2}, {0}};

enum {
    IMMUTABLE = DIRECTIVE_IMMUTABLE,
    MULTI = DIRECTIVE_MULTI,
    SECRET = DIRECTIVE_SECRET,
    PROTECTED = DIRECTIVE_PROTECTED,
    HIDDEN = DIRECTIVE_HIDDEN,
    NOT_LOADING = DIRECTIVE_NOT_LOADING,
};

#define BOOL(name, alias, member, standard, flags)                                                 \
    {                                                                                              \
        name, alias, &kind_bool, AT(member), standard, flags, 0, 0, NULL, NULL                     \
    }
#define INT(name, alias, member, standard, flags, min, max)                                        \
    {                                                                                              \
        name, alias, &kind_int, AT(member), standard, flags, min, max, NULL, NULL                  \
    }
#define I64(name, alias, member, standard, flags, min, max)                                        \
    {                                                                                              \
        name, alias, &kind_i64, AT(member), standard, flags, min, max, NULL, NULL                  \
    }
#define MEMORY(name, alias, member, standard, flags, min, max)                                     \
    {                                                                                              \
        name, alias, &kind_memory, AT(member), standard, flags, min, max, NULL, NULL               \
    }
#define ENUM(name, alias, member, standard, flags, words)                                          \
    {                                                                                              \
        name, alias, &kind_enum, AT(member), standard, flags, 0, 0, words, NULL                    \
    }
#define TLS_FILE(name, member, flags)                                                              \
    {                                                                                              \
        name, NULL, &kind_nullable, AT(tls.member), "", flags, 0, 0, NULL, apply_tls               \
    }

const struct directive config_directives[] = {
    // network
    {"bind", NULL, &kind_bind, 0, "* -::*", MULTI, 0, 0, NULL, apply_listen},
    {"bind-source-addr", NULL, &kind_string, AT(bind_source_addr), "", 0, 0, 0, NULL, NULL},
    {"port", NULL, &kind_int, AT(port), "6379", 0, 0, 65535, NULL, apply_listen},
    {"tls-port", NULL, &kind_int, AT(tls_port), "0", 0, 0, 65535, NULL, apply_listen},
    {"unixsocket", NULL, &kind_string, AT(unixsocket), "", IMMUTABLE, 0, 0, NULL, NULL},
    {"unixsocketperm", NULL, &kind_octal, AT(unixsocketperm), "0", IMMUTABLE, 0, 0777, NULL, NULL},
    INT("tcp-backlog", NULL, tcp_backlog, "511", IMMUTABLE, 0, INT_MAX),
    INT("timeout", NULL, timeout_s, "0", 0, 0, INT_MAX),
    INT("tcp-keepalive", NULL, tcp_keepalive_s, "300", 0, 0, INT_MAX),
    BOOL("protected-mode", NULL, protected_mode, "yes", 0),
    INT("maxclients", NULL, maxclients, "10000", 0, 1, INT_MAX),
    {"client-output-buffer-limit", NULL, &kind_output_limit, 0,
     "normal 0 0 0 slave 256mb 64mb 60 pubsub 32mb 8mb 60", MULTI, 0, 0, NULL, NULL},
    MEMORY("client-query-buffer-limit", NULL, request_limits.query_bytes, "1gb", 0, 1 << 20, BIG),
    MEMORY("proto-max-bulk-len", NULL, request_limits.bulk_bytes, "512mb", 0, 1 << 20, BIG),
    MEMORY("proto-max-restore-len", NULL, request_limits.streamed_bytes, "0", 0, 0, BIG),

    // tls
    TLS_FILE("tls-cert-file", cert_file, 0),
    TLS_FILE("tls-key-file", key_file, 0),
    TLS_FILE("tls-key-file-pass", key_file_pass, SECRET),
    TLS_FILE("tls-client-cert-file", client_cert_file, 0),
    TLS_FILE("tls-client-key-file", client_key_file, 0),
    TLS_FILE("tls-client-key-file-pass", client_key_file_pass, SECRET),
    TLS_FILE("tls-ca-cert-file", ca_cert_file, 0),
    TLS_FILE("tls-ca-cert-dir", ca_cert_dir, 0),
    TLS_FILE("tls-dh-params-file", dh_params_file, 0),
    TLS_FILE("tls-protocols", protocols, 0),
    TLS_FILE("tls-ciphers", ciphers, 0),
    TLS_FILE("tls-ciphersuites", ciphersuites, 0),
    {"tls-auth-clients", NULL, &kind_enum, AT(tls.auth_clients), "yes", 0, 0, 0, auths, apply_tls},
    {"tls-prefer-server-ciphers", NULL, &kind_bool, AT(tls.prefer_server_ciphers), "no", 0, 0, 0,
     NULL, apply_tls},
    {"tls-session-caching", NULL, &kind_bool, AT(tls.session_caching), "yes", 0, 0, 0, NULL,
     apply_tls},
    {"tls-session-cache-size", NULL, &kind_int, AT(tls.session_cache_size), "20480", 0, 0, INT_MAX,
     NULL, apply_tls},
    {"tls-session-cache-timeout", NULL, &kind_int, AT(tls.session_cache_timeout_s), "300", 0, 0,
     INT_MAX, NULL, apply_tls},
    BOOL("tls-replication", NULL, tls_replication, "no", 0),
    BOOL("tls-cluster", NULL, tls_cluster, "no", 0),
    {"tls-verify-peer-name", NULL, &kind_nullable, AT(tls_verify_peer_name), "", 0, 0, 0, NULL,
     NULL},
    {"tls-handshake-timeout", NULL, &kind_i64, AT(tls_handshake_ms), "10000", 0, 1, 3600000, NULL,
     apply_listen},

    // process
    BOOL("daemonize", NULL, daemonize, "no", IMMUTABLE),
    BOOL("always-show-logo", NULL, always_show_logo, "no", IMMUTABLE),
    {"pidfile", NULL, &kind_string, AT(pidfile), "", IMMUTABLE, 0, 0, NULL, NULL},
    {"logfile", NULL, &kind_string, AT(logfile), "", IMMUTABLE, 0, 0, NULL, NULL},
    {"loglevel", NULL, &kind_enum, AT(loglevel), "notice", 0, 0, 0, loglevels, apply_log},
    {"dir", NULL, &kind_string, AT(dir), ".", PROTECTED | NOT_LOADING, 0, 0, NULL, apply_dir},
    INT("databases", NULL, databases, "16", IMMUTABLE, 1, 1 << 20),
    BOOL("use-exit-on-panic", NULL, use_exit_on_panic, "no", IMMUTABLE | HIDDEN),
    INT("hz", NULL, hz, "10", 0, 1, 500),
    BOOL("dynamic-hz", NULL, dynamic_hz, "yes", 0),
    ENUM("enable-protected-configs", NULL, enable_protected_configs, "no", IMMUTABLE, permits),
    ENUM("enable-debug-command", NULL, enable_debug_command, "no", IMMUTABLE, permits),
    ENUM("enable-module-command", NULL, enable_module_command, "no", IMMUTABLE, permits),
    {"requirepass", NULL, &kind_secret, AT(requirepass), "", SECRET, 0, 0, NULL, apply_password},
    {"user", NULL, &kind_users, AT(users), "", IMMUTABLE | HIDDEN | SECRET, 0, 0, NULL, NULL},
    {"aclfile", NULL, &kind_string, AT(aclfile), "", IMMUTABLE, 0, 0, NULL, NULL},
    ENUM("acl-pubsub-default", NULL, acl_pubsub_all, "resetchannels", 0, channel_defaults),
    I64("acllog-max-len", NULL, acllog_max_len, "128", 0, 0, INT_MAX),
    I64("slowlog-log-slower-than", NULL, slowlog_log_slower_than_us, "10000", 0, -1, BIG),
    I64("slowlog-max-len", NULL, slowlog_max_len, "128", 0, 0, BIG),
    I64("tracking-table-max-keys", NULL, tracking_table_max_keys, "1000000", 0, 0, BIG),
    BOOL("latency-tracking", NULL, latency_tracking, "yes", 0),
    {"latency-tracking-info-percentiles", NULL, &kind_percentiles, AT(latency_percentiles),
     "50 99 99.9", MULTI, 0, 0, NULL, NULL},
    I64("latency-monitor-threshold", NULL, latency_monitor_threshold_ms, "0", 0, 0, BIG),
    {"notify-keyspace-events", NULL, &kind_notify, 0, "", 0, 0, 0, NULL, NULL},
    INT("shutdown-timeout", NULL, shutdown_timeout_s, "10", 0, 0, INT_MAX),
    BOOL("set-proc-title", NULL, set_proc_title, "yes", IMMUTABLE),
    {"proc-title-template", NULL, &kind_string, AT(proc_title_template),
     "{title} {listen-addr} {server-mode}", 0, 0, 0, NULL, apply_title},
    BOOL("disable-thp", NULL, disable_thp, "yes", IMMUTABLE),
    {"jemalloc-bg-thread", NULL, &kind_bool, AT(jemalloc_bg_thread), "yes", 0, 0, 0, NULL,
     apply_background_purge},

    // data
    I64("hash-max-listpack-entries", "hash-max-ziplist-entries", limits.hash_max_listpack_entries,
        "512", 0, 0, BIG),
    MEMORY("hash-max-listpack-value", "hash-max-ziplist-value", limits.hash_max_listpack_value,
           "64", 0, 0, BIG),
    I64("zset-max-listpack-entries", "zset-max-ziplist-entries", limits.zset_max_listpack_entries,
        "128", 0, 0, BIG),
    MEMORY("zset-max-listpack-value", "zset-max-ziplist-value", limits.zset_max_listpack_value,
           "64", 0, 0, BIG),
    I64("set-max-intset-entries", NULL, limits.set_max_intset_entries, "512", 0, 0, BIG),
    INT("list-max-listpack-size", "list-max-ziplist-size", limits.list_max_listpack_size, "-2", 0,
        INT_MIN, INT_MAX),
    INT("list-compress-depth", NULL, limits.list_compress_depth, "0", 0, 0, INT_MAX),
    MEMORY("stream-node-max-bytes", NULL, limits.stream_node_max_bytes, "4kb", 0, 0, BIG),
    I64("stream-node-max-entries", NULL, limits.stream_node_max_entries, "100", 0, 0, BIG),
    BOOL("activerehashing", NULL, activerehashing, "yes", 0),
    {"maxmemory", NULL, &kind_memory, AT(maxmemory), "0", 0, 0, BIG, NULL, apply_memory},
    {"maxmemory-clients", NULL, &kind_memory_percent, AT(maxmemory_clients), "0", 0, 0, BIG, NULL,
     apply_clients_memory},
    {"maxmemory-policy", NULL, &kind_enum, AT(maxmemory_policy), "noeviction", 0, 0, 0, policies,
     apply_memory},
    INT("maxmemory-samples", NULL, maxmemory_samples, "5", 0, 1, INT_MAX),
    {"lfu-log-factor", NULL, &kind_int, AT(lfu_log_factor), "10", 0, 0, INT_MAX, NULL,
     apply_memory},
    {"lfu-decay-time", NULL, &kind_int, AT(lfu_decay_time_min), "1", 0, 0, INT_MAX, NULL,
     apply_memory},
    BOOL("lazyfree-lazy-expire", NULL, lazyfree_lazy_expire, "no", 0),
    BOOL("lazyfree-lazy-eviction", NULL, lazyfree_lazy_eviction, "no", 0),
    BOOL("lazyfree-lazy-server-del", NULL, lazyfree_lazy_server_del, "no", 0),
    BOOL("lazyfree-lazy-user-del", NULL, lazyfree_lazy_user_del, "no", 0),
    BOOL("lazyfree-lazy-user-flush", NULL, lazyfree_lazy_user_flush, "no", 0),
    MEMORY("hll-sparse-max-bytes", NULL, hll_sparse_max_bytes, "3000", 0, 0, BIG),

    // rdb
    {"save", NULL, &kind_save, 0, "3600 1 300 100 60 10000", MULTI, 0, 0, NULL, NULL},
    BOOL("stop-writes-on-bgsave-error", NULL, stop_writes_on_bgsave_error, "yes", 0),
    BOOL("rdbcompression", NULL, rdbcompression, "yes", 0),
    ENUM("dump-rdb-version", NULL, dump_rdb_version, "0", 0, payload_versions),
    BOOL("rdbchecksum", NULL, rdbchecksum, "yes", IMMUTABLE),
    BOOL("rdb-save-incremental-fsync", NULL, rdb_save_incremental_fsync, "yes", 0),
    ENUM("sanitize-dump-payload", NULL, sanitize_dump_payload, "no", 0, sanitizes),
    {"dbfilename", NULL, &kind_string, AT(dbfilename), "dump.rdb", PROTECTED, 0, 0, NULL, NULL},
    {"rdb-key-save-delay", NULL, &kind_i64, AT(rdb_key_save_delay_us), "0", HIDDEN, INT_MIN,
     INT_MAX, NULL, apply_delays},
    {"key-load-delay", NULL, &kind_i64, AT(key_load_delay_us), "0", HIDDEN, INT_MIN, INT_MAX, NULL,
     apply_delays},
    I64("loading-process-events-interval-bytes", NULL, loading_process_events_interval_bytes,
        "2097152", HIDDEN, 1024, INT_MAX),

    // replication
    {"replicaof", "slaveof", &kind_replicaof, 0, "", IMMUTABLE | MULTI, 0, 0, NULL, NULL},
    {"masterauth", NULL, &kind_secret, AT(masterauth), "", SECRET, 0, 0, NULL, NULL},
    {"masteruser", NULL, &kind_secret, AT(masteruser), "", SECRET, 0, 0, NULL, NULL},
    BOOL("replica-serve-stale-data", "slave-serve-stale-data", replica_serve_stale_data, "yes", 0),
    BOOL("replica-read-only", "slave-read-only", replica_read_only, "yes", 0),
    BOOL("repl-diskless-sync", NULL, repl_diskless_sync, "yes", 0),
    INT("repl-diskless-sync-delay", NULL, repl_diskless_sync_delay_s, "5", 0, 0, INT_MAX),
    INT("repl-diskless-sync-max-replicas", NULL, repl_diskless_sync_max_replicas, "0", 0, 0,
        INT_MAX),
    ENUM("repl-diskless-load", NULL, repl_diskless_load, "disabled", NOT_LOADING, diskless_loads),
    INT("repl-ping-replica-period", "repl-ping-slave-period", repl_ping_replica_period_s, "10", 0,
        1, INT_MAX),
    {"repl-timeout", NULL, &kind_duration, AT(repl_timeout_us), "60", 0, 1000, BIG, NULL, NULL},
    BOOL("repl-disable-tcp-nodelay", NULL, repl_disable_tcp_nodelay, "no", 0),
    {"repl-backlog-size", NULL, &kind_memory, AT(repl_backlog_size), "1mb", 0, 1, BIG, NULL,
     apply_repl},
    I64("repl-backlog-ttl", NULL, repl_backlog_ttl_s, "3600", 0, 0, BIG),
    INT("replica-priority", "slave-priority", replica_priority, "100", 0, 0, INT_MAX),
    BOOL("replica-announced", NULL, replica_announced, "yes", 0),
    {"replica-announce-ip", "slave-announce-ip", &kind_nullable, AT(replica_announce_ip), "", 0, 0,
     0, NULL, NULL},
    INT("replica-announce-port", "slave-announce-port", replica_announce_port, "0", 0, 0, 65535),
    INT("min-replicas-to-write", "min-slaves-to-write", min_replicas_to_write, "0", 0, 0, INT_MAX),
    INT("min-replicas-max-lag", "min-slaves-max-lag", min_replicas_max_lag_s, "10", 0, 0, INT_MAX),
    BOOL("replica-ignore-maxmemory", "slave-ignore-maxmemory", replica_ignore_maxmemory, "yes", 0),
    BOOL("replica-lazy-flush", "slave-lazy-flush", replica_lazy_flush, "no", 0),
    ENUM("propagation-error-behavior", NULL, propagation_error_behavior, "ignore", 0, propagations),

    // migration, ours
    MEMORY("migrate-window", NULL, migrate_window_bytes, "1mb", 0, 64 << 10, 64 << 20),
    BOOL("migrate-compression", NULL, migrate_compression, "no", 0),

    // Redis's, of which one value is true here
    {"appendonly", NULL, &kind_only, 0, "no", NOT_LOADING, 0, 0, NULL, NULL},
    // Read only where there is an append-only log, in Redis as here.
    ENUM("appendfsync", NULL, aof.fsync, "everysec", 0, fsyncs),
    BOOL("no-appendfsync-on-rewrite", NULL, aof.no_fsync_on_rewrite, "no", 0),
    {"appendfilename", NULL, &kind_string, AT(aof.filename), "appendonly.aof", IMMUTABLE, 0, 0,
     NULL, NULL},
    {"appenddirname", NULL, &kind_string, AT(aof.dirname), "appendonlydir", IMMUTABLE, 0, 0, NULL,
     NULL},
    INT("auto-aof-rewrite-percentage", NULL, aof.rewrite_percentage, "100", 0, 0, INT_MAX),
    MEMORY("auto-aof-rewrite-min-size", NULL, aof.rewrite_min_bytes, "64mb", 0, 0, BIG),
    BOOL("aof-load-truncated", NULL, aof.load_truncated, "yes", 0),
    BOOL("aof-use-rdb-preamble", NULL, aof.use_rdb_preamble, "yes", 0),
    BOOL("aof-timestamp-enabled", NULL, aof.timestamps, "no", 0),
    BOOL("aof-rewrite-incremental-fsync", NULL, aof.rewrite_incremental_fsync, "yes", 0),
    {"oom-score-adj", NULL, &kind_only, 0, "no", 0, 0, 0, NULL, NULL},
    {"oom-score-adj-values", NULL, &kind_oom_values, 0, "0 200 800", MULTI, -2000, 2000, NULL,
     NULL},
    BOOL("rdb-del-sync-files", NULL, rdb_del_sync_files, "no", 0),
    {"cluster-enabled", NULL, &kind_only, 0, "no", IMMUTABLE, 0, 0, NULL, NULL},
    {"activedefrag", NULL, &kind_only, 0, "no", 0, 0, 0, NULL, NULL},
    {"io-threads", NULL, &kind_only, 0, "1", IMMUTABLE, 0, 0, NULL, NULL},
    {"syslog-enabled", NULL, &kind_only, 0, "no", IMMUTABLE, 0, 0, NULL, NULL},
    {"crash-memcheck-enabled", NULL, &kind_only, 0, "no", 0, 0, 0, NULL, NULL},
    {"supervised", NULL, &kind_only, 0, "no", IMMUTABLE, 0, 0, NULL, NULL},
    {0},
};

const struct unsupported_directive config_unsupported[] = {
    {"rename-command", "not implemented"},
    {"loadmodule", "modules are not implemented"},
    {"lua-time-limit", "scripting is not implemented"},
    {"busy-reply-threshold", "scripting is not implemented"},
    {"cluster-config-file", "cluster mode is not implemented"},
    {"cluster-node-timeout", "cluster mode is not implemented"},
    {"cluster-port", "cluster mode is not implemented"},
    {"cluster-require-full-coverage", "cluster mode is not implemented"},
    {"cluster-migration-barrier", "cluster mode is not implemented"},
    {"cluster-replica-validity-factor", "cluster mode is not implemented"},
    {"cluster-replica-no-failover", "cluster mode is not implemented"},
    {"io-threads-do-reads", "I/O threads are not implemented"},
    {"active-defrag-threshold-lower", "active defragmentation is not implemented"},
    {"active-defrag-cycle-min", "active defragmentation is not implemented"},
    {"active-defrag-cycle-max", "active defragmentation is not implemented"},
    {"active-expire-effort", "active expiry runs as a job with a fixed share of the loop"},
    {"maxmemory-eviction-tenacity", "not implemented"},
    {"syslog-ident", "syslog is not implemented"},
    {"syslog-facility", "syslog is not implemented"},
    {"server_cpulist", "not implemented"},
    {"bio_cpulist", "not implemented"},
    {"watchdog-period", "see INFO loop for how long the loop was held"},
    {"shutdown-on-sigint", "not implemented"},
    {"shutdown-on-sigterm", "not implemented"},
    {"crash-log-enabled", "not implemented"},
    {"replica-ignore-disk-write-errors", "not implemented"},
    {"socket-mark-id", "not implemented"},
    {"ignore-warnings", "not implemented"},
    {0},
};
