// A large RESTORE at a node with replicas, and what may happen while they are being told of it: a
// replica that begins a full sync, FLUSHALL, SWAPDB, a change of role, a failover's pause.
#include "base/mem.h"
#include "command/table.h"
#include "node/repl_impl.h"
#include "proto/command_line.h"
#include "rdb/encode.h"
#include "sim/lib/peer.h"
#include "store/access.h"
#include "value/list.h"

#include <criterion/criterion.h>
#include <stdio.h>

enum { NODES = 3, ELEMENTS = 20000 };

static struct sim *sim;
static struct sim_node *outside;
static struct {
    struct sim_node *at;
    struct node *node;
    struct peer *client;
    char host[8];
} m[NODES];
static struct peer *restorer;

static const struct peer_step none[] = {DO_END};

static void start(int i)
{
    struct config config;
    struct error error = ERROR_OK;
    config_init(&config);
    config.repl_diskless_sync_delay_s = 0;
    config.save_count = 0;
    config.protected_mode = false;
    snprintf(m[i].host, sizeof(m[i].host), "n%d", i);
    m[i].at = sim_node_new(sim, m[i].host);
    sim_set_slice(m[i].at, 100);
    m[i].node = node_new(sim_loop(m[i].at), sim_network(m[i].at), &config, command_families, 7);
    cr_assert(node_start(m[i].node, &error), "%s", error.text);
    sim_run_for(sim, 10000);
    m[i].client = peer_connect(outside, m[i].host, 6379, none);
    sim_run_for(sim, 1000);
}

static void run(int i, const char *command, const char *answer)
{
    peer_send_text(m[i].client, command);
    peer_send_text(m[i].client, "\r\n");
    cr_assert(peer_expect(m[i].client, answer, 20000000), "%s: %s", command, m[i].client->why);
}

static bool level(void *arg)
{
    (void)arg;
    for (int i = 0; i < NODES; i++) {
        if (repl_is_replica(m[i].node) && !repl_link_up(m[i].node)) return false;
        if (repl_is_replica(m[i].node) && repl_offset(m[i].node) != repl_offset(m[0].node))
            return false;
    }
    return true;
}

static void begin(void)
{
    sim = sim_new(3);
    outside = sim_node_new(sim, "outside");
    struct sim_wire wire = {.delay_us = 100};
    sim_set_wire(sim, &wire);
    for (int i = 0; i < NODES; i++)
        start(i);
    run(1, "REPLICAOF n0 6379", "+OK\r\n");
    cr_assert(sim_run_while_not(sim, level, NULL, 10000000));
    restorer = peer_connect(outside, "n0", 6379, none);
    sim_run_for(sim, 1000);
}

static void end(void)
{
    peer_free(restorer);
    for (int i = 0; i < NODES; i++) {
        peer_free(m[i].client);
        node_free(m[i].node);
    }
    sim_free(sim);
}

TestSuite(restore_nodes, .init = begin, .fini = end);

// A list: telling it twice would show.
static void send_restore_with(const char *key, int elements, const char *ttl, const char *more)
{
    struct value v;
    struct value_limits limits;
    struct buf payload = BUF_EMPTY, words = BUF_EMPTY;
    struct rdb_options options = {0};
    char text[32], format[128];
    value_limits_default(&limits);
    list_new(&v, &limits);
    for (int i = 0; i < elements; i++)
        list_add(&v, bytes_of(text, (size_t)snprintf(text, sizeof(text), "element:%d", i)));
    struct dump_encoder *d = dump_encoder_new(&v, &options);
    while (!dump_encoder_done(d))
        buf_commit(&payload, dump_encoder_read(d, buf_reserve(&payload, 65536), 65536, NULL));
    dump_encoder_free(d);
    value_free(&v);
    snprintf(format, sizeof(format), "RESTORE %%s %%s %%b %s", more);
    request_appendf(&words, format, key, ttl, buf_view(&payload));
    peer_send(restorer, buf_view(&words));
    buf_free(&payload);
    buf_free(&words);
}

static void send_restore_of(const char *key, int elements)
{
    send_restore_with(key, elements, "0", "REPLACE");
}

static void send_restore(const char *key)
{
    send_restore_of(key, ELEMENTS);
}

static struct entry *find(int i, int db, const char *key)
{
    return db_find(store_db(&m[i].node->store, db), bytes_from_cstr(key));
}

static uint64_t keys(int i)
{
    return keyspace_keys(m[i].node->store.live);
}

// The replica has begun to hear of it.
static bool being_told(void *arg)
{
    (void)arg;
    return keys(1) > 0;
}

static void send_and_stop_in_the_middle(void)
{
    send_restore("k");
    cr_assert(sim_run_while_not(sim, being_told, NULL, 10000000));
    sim_run_for(sim, 2000);
    cr_assert_null(find(0, 0, "k"), "it is over already");
}

static void expect_whole(int i, int db)
{
    struct entry *e = find(i, db, "k");
    cr_assert_not_null(e, "n%d has no k", i);
    cr_assert_eq(value_length(&e->value), ELEMENTS, "n%d has %d elements", i,
                 (int)value_length(&e->value));
    cr_assert_eq(keys(i), 1u, "n%d has something left", i);
}

Test(restore_nodes, replicas_see_it_appear_in_one_step)
{
    send_and_stop_in_the_middle();
    cr_assert_null(find(1, 0, "k"));
    cr_assert(peer_expect(restorer, "+OK\r\n", 20000000), "%s", restorer->why);
    cr_assert(sim_run_while_not(sim, level, NULL, 10000000));
    expect_whole(0, 0);
    expect_whole(1, 0);
}

static struct entry *restored_at_replica(const char *key, const char *ttl, const char *more)
{
    send_restore_with(key, 3, ttl, more);
    cr_assert(peer_expect(restorer, "+OK\r\n", 20000000), "%s", restorer->why);
    cr_assert(sim_run_while_not(sim, level, NULL, 10000000));
    struct entry *e = find(1, 0, key);
    cr_assert_not_null(e, "%s", key);
    return e;
}

Test(restore_nodes, replicas_of_a_small_one_have_its_idle_time_and_frequency)
{
    const struct store *at = &m[1].node->store;
    cr_assert_geq(entry_idle_s(at, restored_at_replica("a", "0", "IDLETIME 1000")), 1000);
    struct entry *e = restored_at_replica("b", "900000", "replace idletime 1000");
    cr_assert_geq(entry_idle_s(at, e), 1000);
    cr_assert_gt(e->expire_ms, loop_unix_ms(m[1].node->loop));
    cr_assert_eq(e->expire_ms, find(0, 0, "b")->expire_ms);
    run(1, "CONFIG SET maxmemory-policy allkeys-lfu", "+OK\r\n");
    cr_assert_eq(entry_freq(at, restored_at_replica("c", "0", "FREQ 77 REPLACE")), 77);
    e = restored_at_replica("c", "9999999999999", "REPLACE ABSTTL FREQ 78");
    cr_assert_eq(entry_freq(at, e), 78);
    cr_assert_eq(e->expire_ms, 9999999999999);
}

Test(restore_nodes, a_full_sync_in_the_middle_gets_all_of_it)
{
    send_and_stop_in_the_middle();
    run(2, "REPLICAOF n0 6379", "+OK\r\n");
    cr_assert(peer_expect(restorer, "+OK\r\n", 20000000), "%s", restorer->why);
    cr_assert(sim_run_while_not(sim, level, NULL, 20000000));
    cr_assert(repl_is_replica(m[2].node));
    for (int i = 0; i < NODES; i++)
        expect_whole(i, 0);
}

Test(restore_nodes, a_flush_in_the_middle_takes_nothing_of_it)
{
    send_and_stop_in_the_middle();
    run(0, "FLUSHALL", "+OK\r\n");
    cr_assert(peer_expect(restorer, "+OK\r\n", 20000000), "%s", restorer->why);
    cr_assert(sim_run_while_not(sim, level, NULL, 20000000));
    expect_whole(0, 0);
    expect_whole(1, 0);
}

Test(restore_nodes, a_swap_in_the_middle_leaves_it_in_one_place)
{
    send_and_stop_in_the_middle();
    run(0, "SWAPDB 0 1", "+OK\r\n");
    cr_assert(peer_expect(restorer, "+OK\r\n", 20000000), "%s", restorer->why);
    cr_assert(sim_run_while_not(sim, level, NULL, 20000000));
    expect_whole(0, 0);
    struct entry *e = find(1, 0, "k");
    cr_assert_not_null(e);
    cr_assert_eq(value_length(&e->value), ELEMENTS);
}

Test(restore_nodes, a_replica_that_comes_while_the_key_is_held_has_it)
{
    run(1, "REPLICAOF NO ONE", "+OK\r\n");
    run(0, "CONFIG SET repl-backlog-ttl 1", "+OK\r\n");
    sim_run_for(sim, 5000000); // the backlog goes: nobody is to be told
    run(0, "SET k held", "+OK\r\n");
    struct store *s = &m[0].node->store;
    struct entry *e = find(0, 0, "k");
    store_hold(s, 0, e);
    send_restore("k");
    sim_run_for(sim, 1000000);
    run(2, "REPLICAOF n0 6379", "+OK\r\n");
    cr_assert(sim_run_while_not(sim, level, NULL, 20000000));
    sim_run_for(sim, 1000000);
    store_release(s, 0, e);
    cr_assert(peer_expect(restorer, "+OK\r\n", 20000000), "%s", restorer->why);
    cr_assert(sim_run_while_not(sim, level, NULL, 20000000));
    expect_whole(0, 0);
    expect_whole(2, 0);
}

Test(restore_nodes, a_node_that_becomes_a_replica_attaches_nothing)
{
    send_and_stop_in_the_middle();
    run(0, "REPLICAOF nowhere 1", "+OK\r\n");
    cr_assert(peer_expect(restorer, "-READONLY You can't write against a read only replica.\r\n",
                          20000000),
              "%s", restorer->why);
    sim_run_for(sim, 1000000);
    cr_assert_eq(keys(0), 0u);
}

Test(restore_nodes, a_pause_of_writes_stops_it_until_it_ends)
{
    send_and_stop_in_the_middle();
    run(0, "CLIENT PAUSE 3000 WRITE", "+OK\r\n");
    sim_run_for(sim, 1000);
    int64_t offset = repl_offset(m[0].node);
    sim_run_for(sim, 900000);
    cr_assert_leq(repl_offset(m[0].node) - offset, 100, "more than pings was fed");
    cr_assert_null(find(0, 0, "k"));
    cr_assert(peer_expect(restorer, "+OK\r\n", 20000000), "%s", restorer->why);
    cr_assert(sim_run_while_not(sim, level, NULL, 20000000));
    expect_whole(0, 0);
    expect_whole(1, 0);
}

Test(restore_nodes, a_client_that_goes_leaves_nothing_anywhere)
{
    send_and_stop_in_the_middle();
    peer_close(restorer);
    sim_run_for(sim, 2000000);
    cr_assert_eq(keys(0), 0u);
    cr_assert_eq(keys(1), 0u);
}

// What it had heard of has a time to live.
Test(restore_nodes, a_replica_that_is_promoted_in_the_middle_forgets_it)
{
    send_and_stop_in_the_middle();
    run(1, "REPLICAOF NO ONE", "+OK\r\n");
    cr_assert_eq(keys(1), 1u, "the temporary key");
    cr_assert_null(find(1, 0, "k"));
    cr_assert_eq(dict_count(store_db(&m[1].node->store, 0)->expires), 1u, "it would stay for ever");
    sim_run_for(sim, 610ull * 1000000);
    cr_assert_eq(keys(1), 0u);
    cr_assert_not_null(find(0, 0, "k"), "the primary has it all the same");
}

// ---- replicas that take it slowly ---------------------------------------------------------------

enum { MANY_ELEMENTS = 600000, QUEUED_AT_MOST = 3 << 20 };

static void wire_to_replica(const struct sim_wire *wire)
{
    run(1, "REPLICAOF NO ONE", "+OK\r\n");
    sim_set_link(sim, "n1", "n0", 0, wire);
    sim_set_link(sim, "n0", "n1", 0, wire);
    run(1, "REPLICAOF n0 6379", "+OK\r\n");
    cr_assert(sim_run_while_not(sim, level, NULL, 60000000));
}

static size_t queued(void)
{
    size_t most = 0;
    list_each(at, &m[0].node->repl->primary.links)
    {
        size_t pinned = primary_link_pinned(list_entry(at, struct replica_link, link));
        if (pinned > most) most = pinned;
    }
    return most;
}

Test(restore_nodes, a_slow_replica_sets_the_pace)
{
    wire_to_replica(&(struct sim_wire){.delay_us = 100, .bytes_per_s = 5000000});
    send_restore_of("k", MANY_ELEMENTS);
    for (int i = 0; i < 10000 && find(0, 0, "k") == NULL; i++) {
        sim_run_for(sim, 1000);
        cr_assert_leq(queued(), QUEUED_AT_MOST, "%zu bytes are queued for the replica", queued());
    }
    cr_assert(peer_expect(restorer, "+OK\r\n", 1000000), "%s", restorer->why);
    cr_assert(sim_run_while_not(sim, level, NULL, 60000000));
    struct entry *e = find(1, 0, "k");
    cr_assert_not_null(e);
    cr_assert_eq(value_length(&e->value), MANY_ELEMENTS);
}

Test(restore_nodes, who_waits_after_it_waits_for_it)
{
    wire_to_replica(&(struct sim_wire){.delay_us = 50000});
    send_restore("k");
    peer_send_text(restorer, "WAIT 1 0\r\n");
    cr_assert(peer_expect(restorer, "+OK\r\n:1\r\n", 20000000), "%s", restorer->why);
    cr_assert_not_null(find(1, 0, "k"), "the replica does not have it");
}

Test(restore_nodes, a_replica_that_takes_nothing_costs_a_second_and_no_more)
{
    send_restore_of("k", MANY_ELEMENTS);
    cr_assert(sim_run_while_not(sim, being_told, NULL, 10000000));
    struct replica_link *l =
        list_entry(m[0].node->repl->primary.links.next, struct replica_link, link);
    struct sim_wire wire = *sim_wire_out(l->conn);
    wire.stall_at_us = sim_now_us(sim);
    sim_set_wire_out(l->conn, &wire);
    cr_assert(peer_expect(restorer, "+OK\r\n", 3000000), "%s", restorer->why);
    cr_assert_gt(queued(), QUEUED_AT_MOST, "nothing was queued: the test shows nothing");
}

Test(restore_nodes, a_replica_that_goes_while_it_is_waited_for_is_waited_for_no_longer)
{
    wire_to_replica(&(struct sim_wire){.delay_us = 100, .bytes_per_s = 2000000});
    send_restore_of("k", MANY_ELEMENTS);
    for (int i = 0; i < 10000 && list_empty(&m[0].node->repl->followers); i++)
        sim_run_for(sim, 1000);
    cr_assert(!list_empty(&m[0].node->repl->followers), "never waited for");
    run(1, "REPLICAOF NO ONE", "+OK\r\n");
    cr_assert(peer_expect(restorer, "+OK\r\n", 700000), "%s", restorer->why);
    cr_assert(list_empty(&m[0].node->repl->followers));
}

// Inside MULTI the payload is held whole until EXEC: the limit of what is streamed does not count.
Test(restore_nodes, a_transaction_does_not_lift_the_limit_of_a_payload)
{
    static const char head[] = "*4\r\n$7\r\nRESTORE\r\n$1\r\nk\r\n$1\r\n0\r\n$2000000\r\n";
    run(0, "CONFIG SET proto-max-bulk-len 1mb proto-max-restore-len 100mb", "+OK\r\n");
    peer_send_text(restorer, head);
    sim_run_for(sim, 10000);
    cr_assert_eq(peer_input(restorer).len, 0, "it may not be streamed");
    peer_send_text(m[0].client, "MULTI\r\n");
    peer_send_text(m[0].client, head);
    cr_assert(peer_expect(m[0].client,
                          "+OK\r\n-ERR Protocol error: invalid bulk length: it is beyond "
                          "proto-max-bulk-len, and proto-max-restore-len is for a RESTORE that is "
                          "not inside MULTI\r\n",
                          20000000),
              "%s", m[0].client->why);
    sim_run_for(sim, 10000);
    cr_assert_eq(m[0].client->closes, 1);
}
