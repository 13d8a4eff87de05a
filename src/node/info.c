#include "node/info.h"

#include "base/mem.h"
#include "node/client_list.h"
#include "node/ctx_impl.h"
#include "node/latency.h"
#include "node/pubsub.h"
#include "node/shutdown.h"
#include "node/tracking.h"
#include "value/dict.h"

#include <openssl/crypto.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>
#include <uv.h>

void info_field(struct buf *out, const char *name, const char *format, ...)
{
    va_list args;
    buf_printf(out, "%s:", name);
    va_start(args, format);
    buf_vprintf(out, format, args);
    va_end(args);
    buf_append_cstr(out, "\r\n");
}

static void field_u64(struct buf *out, const char *name, uint64_t number)
{
    info_field(out, name, "%llu", (unsigned long long)number);
}

static void field_i64(struct buf *out, const char *name, int64_t number)
{
    info_field(out, name, "%lld", (long long)number);
}

// Bytes as people read them, as Redis does: 1.50K.
static void field_human(struct buf *out, const char *name, uint64_t bytes)
{
    static const char units[] = "BKMGTP";
    double amount = (double)bytes;
    int unit = 0;
    while (amount >= 1024 && unit < 5) {
        amount /= 1024;
        unit++;
    }
    if (unit == 0)
        info_field(out, name, "%lluB", (unsigned long long)bytes);
    else
        info_field(out, name, "%.2f%c", amount, units[unit]);
}

// ---- sections -----------------------------------------------------------------------------------

static void server(struct node *n, struct buf *out)
{
    struct utsname system;
    uint64_t up_s = (loop_now_us(n->loop) - n->started_us) / 1000000;
    info_field(out, "redis_version", "7.0.15");
    info_field(out, "wherry_version", "0.1.0");
    info_field(out, "redis_mode", "standalone");
    if (uname(&system) == 0)
        info_field(out, "os", "%s %s %s", system.sysname, system.release, system.machine);
    info_field(out, "arch_bits", "64");
    info_field(out, "monotonic_clock", "POSIX clock_gettime");
    info_field(out, "multiplexing_api", "libuv %s", uv_version_string());
    info_field(out, "gcc_version", "%d.%d.%d", __GNUC__, __GNUC_MINOR__, __GNUC_PATCHLEVEL__);
    info_field(out, "tls_library", "%s", OpenSSL_version(OPENSSL_VERSION));
    field_i64(out, "process_id", getpid());
    info_field(out, "process_supervised", "no");
    info_field(out, "run_id", "%s", n->run_id);
    field_i64(out, "tcp_port", n->config.port ? n->config.port : n->config.tls_port);
    field_i64(out, "server_time_usec", loop_unix_us(n->loop));
    field_u64(out, "uptime_in_seconds", up_s);
    field_u64(out, "uptime_in_days", up_s / 86400);
    field_i64(out, "hz", n->config.hz);
    field_i64(out, "configured_hz", n->config.hz);
    field_i64(out, "lru_clock", (loop_unix_ms(n->loop) / 1000) & 0xffffff);
    info_field(out, "executable", "wherry-server");
    info_field(out, "config_file", "%s", n->config.config_file ? n->config.config_file : "");
    field_i64(out, "io_threads_active", 0);
    if (shutdown_left_ms(n) >= 0) field_i64(out, "shutdown_in_milliseconds", shutdown_left_ms(n));
}

static void clients(struct node *n, struct buf *out)
{
    uint64_t blocked = 0, replicas = 0, max_in = 0, max_out = 0;
    list_each(at, &n->clients)
    {
        struct client *c = list_entry(at, struct client, link);
        if (c->flags & (CLIENT_BLOCKED | CLIENT_PARKED | CLIENT_SUSPENDED)) blocked++;
        if (c->flags & CLIENT_REPLICA) replicas++;
        size_t in = buf_len(&c->input) + c->behind.len + request_parser_memory(&c->parser);
        size_t output = c->output.len + (c->conn ? conn_queued(c->conn) : 0);
        if (in > max_in) max_in = in;
        if (output > max_out) max_out = output;
    }
    field_u64(out, "connected_clients", (uint64_t)n->client_count - replicas);
    field_i64(out, "cluster_connections", 0);
    field_i64(out, "maxclients", n->config.maxclients);
    field_u64(out, "client_recent_max_input_buffer", max_in);
    field_u64(out, "client_recent_max_output_buffer", max_out);
    field_u64(out, "blocked_clients", blocked);
    field_u64(out, "tracking_clients", tracking_counts(n).clients);
    field_i64(out, "clients_in_timeout_table", 0);
}

static uint64_t resident_bytes(void)
{
    size_t rss = 0;
    return uv_resident_set_memory(&rss) == 0 ? rss : 0;
}

static void add_client_bytes(void *arg, struct client *c)
{
    if (client_class(c) != CLASS_REPLICA) *(uint64_t *)arg += client_memory_bytes(c);
}

static uint64_t overhead_bytes(struct node *n, uint64_t repl, uint64_t clients_bytes)
{
    uint64_t bytes = repl + clients_bytes;
    for (int i = 0; i < n->store.live->count; i++) {
        struct db *db = store_db(&n->store, i);
        bytes += dict_table_bytes(db->keys) + dict_table_bytes(db->expires);
    }
    return bytes;
}

static void memory(struct node *n, struct buf *out)
{
    static const char *const policies[] = {"noeviction",      "allkeys-lru",  "allkeys-lfu",
                                           "allkeys-random",  "volatile-lru", "volatile-lfu",
                                           "volatile-random", "volatile-ttl"};
    uint64_t used = mem_used_bytes(), rss = resident_bytes();
    if (used > n->stats.peak_memory) n->stats.peak_memory = used;
    size_t beyond = 0, repl = repl_memory(n, &beyond);
    field_u64(out, "used_memory", used);
    field_human(out, "used_memory_human", used);
    field_u64(out, "used_memory_rss", rss);
    field_human(out, "used_memory_rss_human", rss);
    field_u64(out, "used_memory_peak", n->stats.peak_memory);
    field_human(out, "used_memory_peak_human", n->stats.peak_memory);
    uint64_t clients_bytes = 0;
    client_each(n, add_client_bytes, &clients_bytes);
    uint64_t overhead = overhead_bytes(n, repl, clients_bytes);
    uint64_t dataset = used > overhead ? used - overhead : 0;
    info_field(out, "used_memory_peak_perc", "%.2f%%",
               100.0 * (double)used / (double)(n->stats.peak_memory + 1));
    field_u64(out, "used_memory_overhead", overhead);
    field_u64(out, "used_memory_dataset", dataset);
    info_field(out, "used_memory_dataset_perc", "%.2f%%",
               used ? 100.0 * (double)dataset / (double)used : 0.0);
    field_u64(out, "total_system_memory", uv_get_total_memory());
    field_human(out, "total_system_memory_human", uv_get_total_memory());
    field_i64(out, "maxmemory", n->config.maxmemory);
    field_human(out, "maxmemory_human", (uint64_t)n->config.maxmemory);
    info_field(out, "maxmemory_policy", "%s", policies[n->config.maxmemory_policy]);
    field_i64(out, "mem_fragmentation_bytes", (int64_t)rss - (int64_t)used);
    info_field(out, "mem_fragmentation_ratio", "%.2f", used ? (double)rss / (double)used : 0.0);
    field_u64(out, "mem_not_counted_for_evict", beyond);
    field_u64(out, "mem_clients_slaves", beyond);
    field_u64(out, "mem_clients_normal", clients_bytes);
    field_u64(out, "mem_replication_backlog", repl - beyond);
    field_u64(out, "mem_total_replication_buffers", repl);
#ifdef WHERRY_JEMALLOC
    info_field(out, "mem_allocator", "jemalloc");
#else
    info_field(out, "mem_allocator", "libc");
#endif
    field_i64(out, "active_defrag_running", 0);
    field_u64(out, "lazyfree_pending_objects", n->store.lazyfree_pending);
    field_u64(out, "lazyfreed_objects", n->store.lazyfreed);
}

static void persistence(struct node *n, struct buf *out)
{
    persist_info(n, out);
}

static void stats(struct node *n, struct buf *out)
{
    const struct node_stats *s = &n->stats;
    field_u64(out, "total_connections_received", s->connections_received);
    field_u64(out, "total_commands_processed", s->commands_processed);
    field_u64(out, "instantaneous_ops_per_sec", rates_per_s(&n->rates, RATE_COMMANDS));
    field_u64(out, "total_net_input_bytes", s->net_input_bytes);
    field_u64(out, "total_net_output_bytes", s->net_output_bytes);
    info_field(out, "instantaneous_input_kbps", "%.2f",
               (double)rates_per_s(&n->rates, RATE_INPUT_BYTES) / 1024);
    info_field(out, "instantaneous_output_kbps", "%.2f",
               (double)rates_per_s(&n->rates, RATE_OUTPUT_BYTES) / 1024);
    field_u64(out, "total_reads_processed", s->io_reads);
    field_u64(out, "total_writes_processed", s->io_writes);
    field_u64(out, "rejected_connections", s->rejected_connections);
    field_u64(out, "sync_full", s->sync_full);
    field_u64(out, "sync_partial_ok", s->sync_partial_ok);
    field_u64(out, "sync_partial_err", s->sync_partial_err);
    field_u64(out, "expired_keys", s->expired_keys);
    field_u64(out, "evicted_keys", s->evicted_keys);
    field_u64(out, "evicted_clients", s->evicted_clients);
    field_u64(out, "keyspace_hits", s->keyspace_hits);
    field_u64(out, "keyspace_misses", s->keyspace_misses);
    field_i64(out, "pubsub_channels", pubsub_channel_count(n));
    field_i64(out, "pubsub_patterns", pubsub_pattern_count(n));
    field_i64(out, "pubsubshard_channels", pubsub_name_count(n, PUBSUB_SHARD));
    field_i64(out, "latest_fork_usec", 0);
    field_i64(out, "total_forks", 0);
    field_i64(out, "migrate_cached_sockets", migrate_cached_links(n));
    struct tracking_counts tracked = tracking_counts(n);
    field_u64(out, "tracking_total_keys", tracked.keys);
    field_u64(out, "tracking_total_items", tracked.items);
    field_u64(out, "tracking_total_prefixes", tracked.prefixes);
    field_u64(out, "unexpected_error_replies", s->unexpected_error_replies);
    field_u64(out, "total_error_replies", s->total_error_replies);
    field_u64(out, "dump_payload_sanitizations", s->dump_payload_sanitizations);
    field_u64(out, "client_query_buffer_limit_disconnections", s->query_limit_disconnections);
    field_u64(out, "client_output_buffer_limit_disconnections", s->output_limit_disconnections);
}

static void replication(struct node *n, struct buf *out)
{
    repl_info(n, out);
}

static void cpu(struct node *n, struct buf *out)
{
    static const struct {
        int who;
        const char *system, *user;
    } rows[] = {{RUSAGE_SELF, "used_cpu_sys", "used_cpu_user"},
                {RUSAGE_CHILDREN, "used_cpu_sys_children", "used_cpu_user_children"},
                {RUSAGE_THREAD, "used_cpu_sys_main_thread", "used_cpu_user_main_thread"}};
    (void)n;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct rusage u = {0};
        getrusage(rows[i].who, &u);
        info_field(out, rows[i].system, "%lld.%06lld", (long long)u.ru_stime.tv_sec,
                   (long long)u.ru_stime.tv_usec);
        info_field(out, rows[i].user, "%lld.%06lld", (long long)u.ru_utime.tv_sec,
                   (long long)u.ru_utime.tv_usec);
    }
}

static void modules(struct node *n, struct buf *out)
{
    (void)n;
    (void)out;
}

static void commandstats(struct node *n, struct buf *out)
{
    struct dict_iter it;
    dict_iter_begin(&it, n->command_index);
    for (struct command_slot *slot; (slot = dict_iter_next(&it)) != NULL;) {
        const struct command_stats *s = &slot->stats;
        if (s->calls == 0 && s->rejected == 0 && s->failed == 0) continue;
        buf_printf(out,
                   "cmdstat_%s:calls=%llu,usec=%llu,usec_per_call=%.2f,rejected_calls=%llu,"
                   "failed_calls=%llu\r\n",
                   slot->name, (unsigned long long)s->calls, (unsigned long long)s->usec,
                   s->calls ? (double)s->usec / (double)s->calls : 0.0,
                   (unsigned long long)s->rejected, (unsigned long long)s->failed);
    }
    dict_iter_end(&it);
}

static void latencystats(struct node *n, struct buf *out)
{
    struct dict_iter it;
    dict_iter_begin(&it, n->command_index);
    for (struct command_slot *slot; (slot = dict_iter_next(&it)) != NULL;) {
        if (slot->latency == NULL) continue;
        buf_printf(out, "latency_percentiles_usec_%s:", slot->name);
        for (int i = 0; i < n->config.latency_percentiles.count; i++) {
            double percent = n->config.latency_percentiles.at[i];
            buf_printf(out, "%sp%g=%.3f", i ? "," : "", percent,
                       (double)histogram_percentile(slot->latency, percent) / 1000);
        }
        buf_append_cstr(out, "\r\n");
    }
    dict_iter_end(&it);
}

static void errorstats(struct node *n, struct buf *out)
{
    struct dict_iter it;
    dict_iter_begin(&it, n->error_stats);
    for (struct error_stat *s; (s = dict_iter_next(&it)) != NULL;)
        buf_printf(out, "errorstat_%s:count=%llu\r\n", s->code, (unsigned long long)s->count);
    dict_iter_end(&it);
}

static void cluster(struct node *n, struct buf *out)
{
    (void)n;
    field_i64(out, "cluster_enabled", 0);
}

static void keyspace(struct node *n, struct buf *out)
{
    for (int i = 0; i < n->store.live->count; i++) {
        struct db *db = store_db(&n->store, i);
        if (dict_count(db->keys) == 0) continue;
        buf_printf(out, "db%d:keys=%llu,expires=%llu,avg_ttl=%lld\r\n", i,
                   (unsigned long long)dict_count(db->keys),
                   (unsigned long long)dict_count(db->expires), (long long)db->avg_ttl_ms);
    }
}

static void loop(struct node *n, struct buf *out)
{
    const struct loop_stats *s = loop_stats(n->loop);
    field_u64(out, "loop_iterations", s->iterations);
    field_u64(out, "loop_hold_max_us", s->hold_max_us);
    field_u64(out, "loop_hold_p999_us", loop_hold_p999_us(n->loop));
    field_u64(out, "loop_hold_cpu_max_us", s->hold_cpu_max_us);
    field_u64(out, "loop_long_commands", n->stats.long_commands);
    field_u64(out, "loop_long_command_max_us", n->stats.long_command_max_us);
    info_field(out, "loop_long_command_max_what", "%s",
               n->stats.long_command_max_name != NULL ? n->stats.long_command_max_name : "");
    info_field(out, "loop_hold_cpu_max_what", "%s",
               s->hold_cpu_max_what ? s->hold_cpu_max_what : "");
    field_u64(out, "deadline_late_max_us", s->late_max_us);
    field_u64(out, "deadline_late_p999_us", loop_late_p999_us(n->loop));
}

// ---- choosing -----------------------------------------------------------------------------------

enum { IN_DEFAULT = 1, IN_ALL = 2 };

static const struct section {
    const char *word, *title; // title NULL: it writes its own
    int in;
    void (*write)(struct node *n, struct buf *out);
} sections[] = {
    {"server", "Server", IN_DEFAULT | IN_ALL, server},
    {"clients", "Clients", IN_DEFAULT | IN_ALL, clients},
    {"memory", "Memory", IN_DEFAULT | IN_ALL, memory},
    {"persistence", "Persistence", IN_DEFAULT | IN_ALL, persistence},
    {"stats", "Stats", IN_DEFAULT | IN_ALL, stats},
    {"replication", NULL, IN_DEFAULT | IN_ALL, replication},
    {"cpu", "CPU", IN_DEFAULT | IN_ALL, cpu},
    {"modules", "Modules", IN_DEFAULT, modules},
    {"commandstats", "Commandstats", IN_ALL, commandstats},
    {"errorstats", "Errorstats", IN_DEFAULT | IN_ALL, errorstats},
    {"latencystats", "Latencystats", IN_ALL, latencystats},
    {"cluster", "Cluster", IN_DEFAULT | IN_ALL, cluster},
    {"keyspace", "Keyspace", IN_DEFAULT | IN_ALL, keyspace},
    {"loop", "Loop", IN_DEFAULT | IN_ALL, loop},
    {"migrate", "Migrate", IN_DEFAULT | IN_ALL, migrate_info},
};

static bool wanted(const struct section *s, int count, const struct bytes *words)
{
    if (count == 0) return s->in & IN_DEFAULT;
    for (int i = 0; i < count; i++) {
        if (bytes_equal_nocase(words[i], s->word) || bytes_equal_nocase(words[i], "everything"))
            return true;
        if (bytes_equal_nocase(words[i], "default") && (s->in & IN_DEFAULT)) return true;
        if (bytes_equal_nocase(words[i], "all") && (s->in & IN_ALL)) return true;
    }
    return false;
}

void info_append(struct node *n, int count, const struct bytes *words, struct buf *out)
{
    bool first = true;
    for (size_t i = 0; i < sizeof(sections) / sizeof(sections[0]); i++) {
        const struct section *s = &sections[i];
        if (!wanted(s, count, words)) continue;
        if (!first) buf_append_cstr(out, "\r\n");
        first = false;
        if (s->title != NULL) buf_printf(out, "# %s\r\n", s->title);
        s->write(n, out);
    }
}
