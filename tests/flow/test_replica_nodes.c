// Whole nodes replicating from each other in virtual time: chains, cuts, changes of role, restarts.
#include "base/mem.h"
#include "command/table.h"
#include "node/repl_impl.h"
#include "sim/lib/peer.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

enum { NODES = 3 };

struct member {
    struct sim_node *at;
    struct node *node;
    struct peer *client;
    char host[8];
    struct log log;
};

static struct sim *sim;
static struct sim_node *outside;
static struct trace trace;
static struct member m[NODES];

static void write_log(struct log *log, enum log_level level, const char *line)
{
    struct member *from = log->owner;
    char text[1200];
    if (level < LOG_VERBOSE) return;
    snprintf(text, sizeof(text), "%s: %s", from->host, line);
    trace.log.write(&trace.log, level, text);
}

static bool ready(void *arg)
{
    return !((struct member *)arg)->node->loading;
}

static void start(int i, const char *primary)
{
    static const struct peer_step none[] = {DO_END};
    struct config config;
    config_init(&config);
    config.repl_timeout_us = 10000000;
    config.repl_diskless_sync_delay_s = 0;
    config.repl_ping_replica_period_s = 1;
    config.save_count = 0;
    config.protected_mode = false;
    config.enable_debug_command = PERMIT_YES;
    if (primary != NULL) {
        size_t len = strlen(primary) + 1;
        config.replicaof_host = memcpy(mem_alloc(len), primary, len);
        config.replicaof_port = 6379;
    }
    m[i].node = node_new(sim_loop(m[i].at), sim_network(m[i].at), &config, command_families,
                         rng_next(sim_rng(sim)));
    m[i].node->log = (struct log){LOG_VERBOSE, write_log, &m[i]};
    struct error error = ERROR_OK;
    cr_assert(node_start(m[i].node, &error), "%s", error.text);
    cr_assert(sim_run_while_not(sim, ready, &m[i], 5000000));
    m[i].client = peer_connect(outside, m[i].host, 6379, none);
    sim_run_for(sim, 1000);
}

static void begin(void)
{
    sim = sim_new(21);
    outside = sim_node_new(sim, "outside");
    trace_init(&trace, sim);
    struct sim_wire wire = {.delay_us = 200, .jitter_us = 300};
    sim_set_wire(sim, &wire);
    for (int i = 0; i < NODES; i++) {
        memset(&m[i], 0, sizeof(m[i]));
        snprintf(m[i].host, sizeof(m[i].host), "n%d", i);
        m[i].at = sim_node_new(sim, m[i].host);
        start(i, NULL);
    }
}

static void stop(int i)
{
    peer_free(m[i].client);
    node_free(m[i].node);
    m[i].node = NULL;
}

static void end(void)
{
    for (int i = 0; i < NODES; i++)
        if (m[i].node != NULL) stop(i);
    trace_free(&trace);
    sim_free(sim);
}

TestSuite(replica_nodes, .init = begin, .fini = end);

// A client's inline command at node i, and what it is answered.
static void run(int i, const char *command, const char *answer)
{
    peer_send_text(m[i].client, command);
    peer_send_text(m[i].client, "\r\n");
    cr_assert(peer_expect(m[i].client, answer, 5000000), "n%d %s: %s\n%s", i, command,
              m[i].client->why, trace_text(&trace));
}

static void follow(int i, int primary)
{
    char line[64];
    snprintf(line, sizeof(line), "REPLICAOF n%d 6379", primary);
    run(i, line, "+OK\r\n");
}

static void digest(int i, char out[41])
{
    peer_send_text(m[i].client, "DEBUG DIGEST\r\n");
    cr_assert(peer_await(m[i].client, 43, 20000000));
    struct bytes in = peer_input(m[i].client);
    memcpy(out, in.data + 1, 40);
    out[40] = '\0';
    peer_consume(m[i].client, in.len);
}

static bool level(void *arg)
{
    int64_t offset = repl_offset(m[0].node);
    (void)arg;
    for (int i = 0; i < NODES; i++) {
        if (m[i].node == NULL || (repl_is_replica(m[i].node) && !repl_link_up(m[i].node)))
            return false;
        if (repl_offset(m[i].node) != offset) return false;
    }
    return true;
}

// All links are up, all offsets equal, all data the same.
static void settle(void)
{
    cr_assert(sim_run_while_not(sim, level, NULL, 60000000), "never level:\n%s",
              trace_text(&trace));
    char first[41], other[41];
    digest(0, first);
    for (int i = 1; i < NODES; i++) {
        digest(i, other);
        cr_assert_str_eq(first, other, "n%d differs:\n%s", i, trace_text(&trace));
    }
}

static uint64_t full(void)
{
    uint64_t sum = 0;
    for (int i = 0; i < NODES; i++)
        sum += m[i].node != NULL ? m[i].node->stats.sync_full : 0;
    return sum;
}

static uint64_t partial(void)
{
    uint64_t sum = 0;
    for (int i = 0; i < NODES; i++)
        sum += m[i].node != NULL ? m[i].node->stats.sync_partial_ok : 0;
    return sum;
}

// n0 <- n1 <- n2, with some data.
static void chain_of_three(void)
{
    run(0, "SET a 1", "+OK\r\n");
    run(0, "SELECT 5", "+OK\r\n");
    run(0, "HSET h f v g w", ":2\r\n");
    follow(1, 0);
    follow(2, 1);
    settle();
}

Test(replica_nodes, a_chain_carries_data_and_stream)
{
    chain_of_three();
    cr_assert_eq(full(), 2u);
    run(0, "SET b 2", "+OK\r\n");
    run(0, "MULTI", "+OK\r\n");
    run(0, "SET c 3", "+QUEUED\r\n");
    run(0, "DEL b", "+QUEUED\r\n");
    run(0, "EXEC", "*2\r\n+OK\r\n:1\r\n");
    settle();
    run(2, "SELECT 5", "+OK\r\n");
    run(2, "GET c", "$1\r\n3\r\n");
    run(2, "SET c 4", "-READONLY You can't write against a read only replica.\r\n");
    cr_assert_str_eq(repl_id(m[0].node), repl_id(m[2].node));
}

Test(replica_nodes, cut_links_are_gone_on_with)
{
    chain_of_three();
    for (int i = 0; i < 20; i++) {
        char line[64];
        snprintf(line, sizeof(line), "SET k%d %d", i, i);
        run(0, line, "+OK\r\n");
        struct conn *c = m[1 + i % 2].node->repl->replica.conn;
        if (c != NULL) sim_cut(c);
        snprintf(line, sizeof(line), ":%d\r\n", i + 1);
        run(0, "INCR n", line);
    }
    settle();
}

Test(replica_nodes, a_partition_longer_than_the_timeout_heals)
{
    chain_of_three();
    sim_partition(sim, "n0", "n1", true);
    run(0, "SET away 1", "+OK\r\n");
    sim_run_for(sim, 25000000);
    cr_assert(!repl_link_up(m[1].node));
    cr_assert(trace_has(&trace, "n1: MASTER timeout: no data nor PING received..."));
    cr_assert(trace_has(&trace, "n0: Disconnecting timedout replica (streaming sync)"));
    run(1, "GET a", "$1\r\n1\r\n"); // stale data is served
    sim_heal_all(sim);
    settle();
    cr_assert_eq(full(), 2u, "%s", trace_text(&trace));
}

Test(replica_nodes, the_middle_is_promoted_and_the_others_follow_it_without_a_full_sync)
{
    chain_of_three();
    run(1, "REPLICAOF NO ONE", "+OK\r\n");
    run(1, "SELECT 9", "+OK\r\n");
    run(1, "SET by n1", "+OK\r\n");
    follow(0, 1);
    sim_run_for(sim, 3000000);
    settle();
    cr_assert_eq(full(), 2u, "%s", trace_text(&trace));
    cr_assert_geq(partial(), 2u);
    run(0, "SELECT 9", "+OK\r\n");
    run(0, "GET by", "$2\r\nn1\r\n");
    cr_assert_str_eq(m[0].node->repl->stream.id2, m[2].node->repl->stream.id2);
}

Test(replica_nodes, a_write_that_the_old_primary_kept_to_itself_means_a_full_sync)
{
    chain_of_three();
    sim_partition(sim, "n0", "n1", true);
    run(0, "SET lost 1", "+OK\r\n");
    run(1, "REPLICAOF NO ONE", "+OK\r\n");
    run(1, "SET kept 1", "+OK\r\n");
    sim_heal_all(sim);
    follow(0, 1);
    settle();
    cr_assert_eq(full(), 3u, "%s", trace_text(&trace));
    run(0, "SELECT 0", "+OK\r\n");
    run(0, "GET lost", "$-1\r\n");
}

Test(replica_nodes, failover_is_two_partial_resyncs)
{
    run(0, "SET a 1", "+OK\r\n");
    follow(1, 0);
    follow(2, 0);
    settle();
    uint64_t before = partial();
    char ip[128], line[160];
    struct primary *p = &m[0].node->repl->primary;
    primary_link_ip(list_entry(p->links.next, struct replica_link, link), ip);
    snprintf(line, sizeof(line), "FAILOVER TO %s 6379 TIMEOUT 5000", ip);
    run(0, line, "+OK\r\n");
    sim_run_for(sim, 5000000);
    cr_assert(repl_is_replica(m[0].node), "%s", trace_text(&trace));
    int target = repl_is_replica(m[1].node) ? 2 : 1;
    cr_assert(!repl_is_replica(m[target].node));
    settle();
    cr_assert_eq(full(), 2u, "%s", trace_text(&trace));
    cr_assert_eq(partial() - before, 2u);
    run(target, "SET b 2", "+OK\r\n");
    settle();
}

Test(replica_nodes, a_replica_that_restarts_goes_on_from_its_rdb)
{
    chain_of_three();
    run(2, "SAVE", "+OK\r\n");
    stop(2);
    run(0, "SET later 1", "+OK\r\n");
    start(2, "n1");
    settle();
    cr_assert_eq(m[1].node->stats.sync_partial_ok, 1u, "%s", trace_text(&trace));
    cr_assert_eq(m[1].node->stats.sync_full, 1u);
}

Test(replica_nodes, a_primary_that_restarts_goes_on_under_a_new_id)
{
    chain_of_three();
    char id[41];
    memcpy(id, repl_id(m[0].node), 41);
    peer_send_text(m[0].client, "SAVE\r\n");
    cr_assert(peer_expect(m[0].client, "+OK\r\n", 5000000));
    int64_t offset = repl_offset(m[0].node);
    stop(0);
    start(0, NULL);
    struct repl_stream *s = &m[0].node->repl->stream;
    cr_assert_str_eq(s->id2, id);
    cr_assert_str_neq(s->id, id);
    cr_assert_leq(s->offset, offset);
    cr_assert_eq(s->second_offset, s->offset + 1);
    cr_assert_eq(repl_stream_histlen(s), 0);
    run(0, "SET reborn 1", "+OK\r\n");
    settle();
}

Test(replica_nodes, a_held_key_stops_the_stream_and_nothing_else)
{
    chain_of_three();
    struct store *s = &m[1].node->store;
    struct entry *e = db_find(store_db(s, 5), BYTES("h"));
    cr_assert_not_null(e);
    store_hold(s, 5, e);
    run(0, "HSET h f changed", ":0\r\n");
    run(0, "SET after 1", "+OK\r\n");
    sim_run_for(sim, 30000000); // pings from n0 go on arriving, ACKs go on leaving
    cr_assert(repl_link_up(m[1].node));
    cr_assert_eq(m[0].node->repl->primary.link_count, 1);
    run(1, "SELECT 5", "+OK\r\n");
    run(1, "HGET h f", "$1\r\nv\r\n");
    cr_assert_lt(repl_offset(m[1].node), repl_offset(m[0].node));
    store_release(s, 5, e);
    settle();
    run(1, "HGET h f", "$7\r\nchanged\r\n");
    cr_assert_eq(full(), 2u);
}

Test(replica_nodes, writes_during_a_full_sync_are_all_there)
{
    run(0, "DEBUG POPULATE 20000 key 100", "+OK\r\n");
    struct sim_wire slow = {.delay_us = 200, .bytes_per_s = 1 << 20};
    sim_set_link(sim, "n0", "n1", 0, &slow);
    follow(1, 0);
    follow(2, 1);
    static char line[64], many[200 * 64];
    for (int round = 0; round < 250; round++) {
        size_t len = 0;
        for (int i = 0; i < 200; i++) {
            int key = (int)rng_below(sim_rng(sim), 30000);
            len += (size_t)snprintf(line, sizeof(line), "SET key:%d %d\r\n", key, round * 200 + i);
            memcpy(many + len - strlen(line), line, strlen(line));
        }
        peer_send(m[0].client, bytes_of(many, len));
        cr_assert(peer_await(m[0].client, 5 * 200, 5000000));
        peer_consume(m[0].client, 5 * 200);
        sim_run_for(sim, 10000);
    }
    settle();
    cr_assert_eq(m[0].node->stats.sync_full, 1u);
}

Test(replica_nodes, old_data_is_served_while_the_new_comes_and_not_after)
{
    run(1, "SET old 1", "+OK\r\n");
    run(0, "DEBUG POPULATE 20000 key 100", "+OK\r\n");
    struct sim_wire slow = {.delay_us = 200, .bytes_per_s = 200000};
    sim_set_link(sim, "n0", "n1", 0, &slow);
    follow(1, 0);
    sim_run_for(sim, 1000000);
    cr_assert(replica_syncing(&m[1].node->repl->replica));
    run(1, "GET old", "$1\r\n1\r\n");
    sim_cut(m[1].node->repl->replica.conn);
    sim_run_for(sim, 100000);
    run(1, "GET old", "$1\r\n1\r\n");
    follow(2, 1);
    settle();
    run(1, "GET old", "$-1\r\n");
}

Test(replica_nodes, swapdb_of_another_history_refuses_and_keeps)
{
    m[1].node->config.repl_diskless_load = DISKLESS_LOAD_SWAPDB;
    run(1, "SET old 1", "+OK\r\n");
    run(0, "DEBUG POPULATE 20000 key 100", "+OK\r\n");
    struct sim_wire slow = {.delay_us = 200, .bytes_per_s = 200000};
    sim_set_link(sim, "n0", "n1", 0, &slow);
    follow(1, 0);
    sim_run_for(sim, 1000000);
    cr_assert(m[1].node->loading && !m[1].node->async_loading);
    run(1, "GET old", "-LOADING Redis is loading the dataset in memory\r\n");
    run(1, "REPLICAOF NO ONE", "-LOADING Redis is loading the dataset in memory\r\n");
    sim_cut(m[1].node->repl->replica.conn);
    sim_run_for(sim, 10000);
    run(1, "GET old", "$1\r\n1\r\n");
    cr_assert(!m[1].node->loading);
}

Test(replica_nodes, a_writable_replica_expires_what_was_written_to_it_and_nothing_else)
{
    follow(1, 0);
    follow(2, 0);
    settle();
    m[1].node->config.replica_read_only = false;
    m[0].node->active_expire = false;
    run(0, "SET theirs 1 PX 1500", "+OK\r\n");
    run(1, "SET ours 1 PX 1500", "+OK\r\n");
    run(1, "SET stays 1", "+OK\r\n");
    sim_run_for(sim, 1000000);
    run(1, "DBSIZE", ":3\r\n");
    sim_run_for(sim, 1000000);
    run(1, "DBSIZE", ":2\r\n");
    run(1, "EXISTS theirs ours stays", ":1\r\n");
    run(1, "INCR theirs", ":1\r\n");
    run(1, "TTL theirs", ":-1\r\n");
}

Test(replica_nodes, what_expired_while_a_primary_was_down_is_told_to_its_replicas)
{
    chain_of_three();
    m[0].node->active_expire = false;
    run(0, "SET short 1 PX 50", "+OK\r\n");
    settle();
    run(0, "SAVE", "+OK\r\n");
    int64_t offset = repl_offset(m[0].node);
    stop(0);
    sim_run_for(sim, 200000);
    start(0, NULL);
    cr_assert_gt(repl_offset(m[0].node), offset);
    settle();
    run(2, "DBSIZE", ":1\r\n");
    cr_assert_eq(m[0].node->stats.sync_full, 0u, "%s", trace_text(&trace));
}

// ---- in slices --------------------------------------------------------------------------------

Test(replica_nodes, a_long_pipeline_from_the_primary_is_applied_in_slices)
{
    enum { WRITES = 20000 };
    follow(1, 0);
    follow(2, 1);
    settle();
    sim_set_slice(m[1].at, 500); // 20 commands or so at a time
    struct buf all = BUF_EMPTY;
    for (int i = 0; i < WRITES; i++)
        buf_printf(&all, "SET key:%d %d\r\n", i, i);
    peer_send(m[0].client, buf_view(&all));
    buf_free(&all);
    // However much there is to apply, no event applies more than a slice of it.
    int64_t last = repl_offset(m[1].node), most = 0;
    for (uint64_t end_us = sim_now_us(sim) + 20000000; sim_now_us(sim) < end_us;) {
        cr_assert(sim_step(sim));
        int64_t now = repl_offset(m[1].node);
        if (now - last > most) most = now - last;
        last = now;
    }
    cr_assert(most > 100 && most < 2000, "%lld", (long long)most);
    peer_consume(m[0].client, peer_input(m[0].client).len); // 20,000 times OK
    settle();
    run(1, "GET key:19999", "$5\r\n19999\r\n");
}

// What is done when a command of the primary's stream fails: only where it is asked for, and not
// where clients may write here too.
Test(replica_nodes, an_error_in_the_stream_may_end_the_node)
{
    follow(1, 0);
    sim_run_for(sim, 3000000);
    run(1, "CONFIG SET replica-read-only no", "+OK\r\n");
    run(1, "SET k v", "+OK\r\n");
    run(1, "CONFIG SET propagation-error-behavior panic", "+OK\r\n");
    run(0, "RPUSH k a", ":1\r\n");
    sim_run_for(sim, 1000000);
    cr_assert(!m[1].node->stopping);
    run(1, "CONFIG SET replica-read-only yes propagation-error-behavior ignore", "+OK\r\n");
    run(0, "RPUSH k b", ":2\r\n");
    sim_run_for(sim, 1000000);
    cr_assert(!m[1].node->stopping);
    run(1, "CONFIG SET propagation-error-behavior panic-on-replicas", "+OK\r\n");
    run(0, "RPUSH k c", ":3\r\n");
    sim_run_for(sim, 1000000);
    cr_assert(m[1].node->stopping);
    cr_assert_eq(m[1].node->exit_status, 1);
    cr_assert_not_null(strstr(trace_text(&trace), "This replica panicked sending an error"));
}
