// A primary and replicas that are silent, slow, gone or mad, in every state of their links.
#include "primary_rig.h"

TestSuite(primary_sync, .init = rig_begin, .fini = rig_end);

#define ACK_0 "REPLCONF ACK 0\r\n"

static void online(void)
{
    char id[41];
    rig.a = rig_replica();
    rig_take_snapshot(rig.a, id);
    peer_send_text(rig.a, ACK_0);
    rig_run_to(LINK_ONLINE);
}

Test(primary_sync, a_replica_that_takes_nothing_is_dropped_at_the_deadline)
{
    rig_fill(4);
    static const struct peer_step steps[] = {
        DO_SEND("REPLCONF capa eof\r\n"),
        DO_EXPECT("+OK\r\n"),
        DO_SEND("PSYNC ? -1\r\n"),
        DO_EXPECT_ANY(200000),
        DO_PAUSE,
        DO_END,
    };
    rig.a = peer_connect(rig.them, "primary", 6379, steps);
    cr_assert(peer_run(rig.a, 5000000), "%s", rig.a->why);
    sim_run_for(rig.sim, 1000000); // the wire's window is full by now
    struct replica_link *l = rig_link(0);
    cr_assert_eq(l->machine.state, LINK_SEND);
    cr_assert_leq(primary_link_pinned(l), (size_t)3 * LINK_WINDOW_BYTES);
    uint64_t at_us = sim_now_us(rig.sim) + machine_left_us(&l->machine);
    cr_assert_leq(at_us, sim_now_us(rig.sim) + RIG_TIMEOUT);
    rig_dropped_at(at_us, "Disconnecting timedout replica (full sync)");
}

Test(primary_sync, a_replica_that_takes_little_by_little_is_fed_to_the_end)
{
    enum { WINDOW_BYTES = 4096 };
    rig_fill(2);
    rig_slow_sync(50000, WINDOW_BYTES);
    sim_run_for(rig.sim, 3 * RIG_TIMEOUT); // two megabytes take 40 s
    cr_assert_eq(rig_links(), 1);
    rig_run_to(LINK_ARMED);
    cr_assert_gt(rig.a->received, ((uint64_t)2 << 20) - WINDOW_BYTES);
}

Test(primary_sync, a_replica_that_never_acknowledges_is_dropped_at_the_deadline)
{
    char id[41];
    rig_do("SET k v", "+OK\r\n");
    rig.a = rig_replica();
    rig_take_snapshot(rig.a, id);
    rig_run_to(LINK_ARMED);
    rig_dropped_at(rig_link(0)->machine.entered_us + RIG_TIMEOUT,
                   "Disconnecting timedout replica (streaming sync)");
}

Test(primary_sync, newlines_are_life_for_a_replica_that_loads)
{
    char id[41];
    rig.a = rig_replica();
    rig_take_snapshot(rig.a, id);
    rig_run_to(LINK_ARMED);
    uint64_t last_us = 0;
    for (int i = 0; i < 5; i++) {
        sim_run_for(rig.sim, RIG_TIMEOUT - 500000);
        peer_send_text(rig.a, "\n");
        sim_run_for(rig.sim, 100);
        last_us = rig_link(0)->ack_us;
        cr_assert_eq(rig_link(0)->machine.state, LINK_ARMED);
    }
    rig_dropped_at(last_us + RIG_TIMEOUT, "Disconnecting timedout replica (streaming sync)");
}

Test(primary_sync, an_online_replica_lives_by_its_acknowledgements)
{
    online();
    for (int i = 0; i < 3; i++) {
        sim_run_for(rig.sim, RIG_TIMEOUT - 500000);
        peer_send_text(rig.a, ACK_0);
        sim_run_for(rig.sim, 100);
        cr_assert_eq(rig_links(), 1);
    }
    rig_dropped_at(rig_link(0)->ack_us + RIG_TIMEOUT,
                   "Disconnecting timedout replica (streaming sync)");
}

Test(primary_sync, a_dripped_request_is_no_acknowledgement)
{
    online();
    uint64_t at_us = rig_link(0)->ack_us + RIG_TIMEOUT;
    static const struct peer_step drip[] = {DO_DRIP("REPLCONF ACK 0REPLCONF ACK", 900000), DO_END};
    peer_restart(rig.a, drip);
    rig_dropped_at(at_us, "Disconnecting timedout replica (streaming sync)");
}

Test(primary_sync, garbage_and_replies_end_a_link)
{
    online();
    peer_send_text(rig.a, "*1\r\n!garbage\r\n");
    sim_run_for(rig.sim, 2000000);
    cr_assert_eq(rig_links(), 0);
    peer_free(rig.a);
    online();
    peer_send_text(rig.a, "PING\r\n");
    sim_run_for(rig.sim, 2000000);
    cr_assert_eq(rig_links(), 0);
    cr_assert(trace_has(&rig.trace, "Replica generated a reply to command 'ping', disconnecting"));
    cr_assert_eq(buf_len(&rig.a->input), 0u, "nothing of the reply in the stream");
}

Test(primary_sync, a_replica_that_goes_leaves_nothing_in_any_state)
{
    rig_fill(2);
    static const int states[] = {LINK_WAIT, LINK_SEND, LINK_ARMED, LINK_ONLINE};
    for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
        rig.node->config.repl_diskless_sync_delay_s = states[i] == LINK_WAIT ? 60 : 0;
        if (states[i] == LINK_ONLINE)
            online();
        else
            rig.a = rig_replica();
        rig_run_to(states[i]);
        peer_free(rig.a);
        rig.a = NULL;
        sim_run_for(rig.sim, 1000000);
        cr_assert_eq(rig_links(), 0);
        cr_assert_null(rig.node->store.snapshot);
        cr_assert(list_empty(&rig.node->repl->stream.readers));
        rig_do("PING", "+PONG\r\n");
    }
    cr_assert(trace_has(&rig.trace, "Diskless rdb transfer, last replica dropped"));
}

Test(primary_sync, those_who_wait_hear_a_newline_each_second_and_begin_together)
{
    rig.node->config.repl_diskless_sync_delay_s = 5;
    uint64_t began_us = sim_now_us(rig.sim);
    rig.a = rig_replica();
    sim_run_for(rig.sim, 3000000);
    rig.b = rig_replica();
    sim_run_until(rig.sim, began_us + 4990000);
    cr_assert(bytes_equal(peer_input(rig.a), BYTES("\n\n\n\n")) ||
              bytes_equal(peer_input(rig.a), BYTES("\n\n\n\n\n")));
    cr_assert_eq(primary_waiting(&rig.node->repl->primary), 2);
    cr_assert_null(rig.node->store.snapshot);
    char id[41], id2[41];
    rig_take_snapshot(rig.a, id);
    rig_take_snapshot(rig.b, id2);
    cr_assert_str_eq(id, id2);
    cr_assert_eq(rig.node->stats.sync_full, 2u);
    rig_run_to(LINK_ARMED);
    cr_assert_leq(rig_link(0)->machine.entered_us, began_us + 5100000);
    cr_assert_geq(rig_link(0)->machine.entered_us, began_us + 5000000);
}

Test(primary_sync, enough_replicas_begin_without_waiting)
{
    rig.node->config.repl_diskless_sync_delay_s = 3600;
    rig.node->config.repl_diskless_sync_max_replicas = 2;
    rig.a = rig_replica();
    sim_run_for(rig.sim, 1000000);
    rig.b = rig_replica();
    rig_run_to(LINK_ARMED);
}

Test(primary_sync, the_stream_waits_for_the_acknowledgement_and_begins_at_the_cut)
{
    char id[41];
    rig_do("SET before 1", "+OK\r\n");
    rig.a = rig_replica();
    rig_take_snapshot(rig.a, id);
    rig_do("SET after 2", "+OK\r\n");
    sim_run_for(rig.sim, 1000000);
    cr_assert_eq(peer_input(rig.a).len, 0u, "nothing before the ACK");
    peer_send_text(rig.a, ACK_0);
    cr_assert(peer_expect(rig.a,
                          "*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n"
                          "*3\r\n$3\r\nSET\r\n$5\r\nafter\r\n$1\r\n2\r\n",
                          1000000));
    rig_do("SET more 3", "+OK\r\n");
    cr_assert(peer_expect(rig.a, "*3\r\n$3\r\nSET\r\n$4\r\nmore\r\n$1\r\n3\r\n", 1000000));
}

Test(primary_sync, transactions_and_databases_in_the_stream)
{
    online();
    rig_do("SELECT 3", "+OK\r\n");
    rig_do("MULTI", "+OK\r\n");
    rig_do("SET x 1", "+QUEUED\r\n");
    rig_do("SELECT 4", "+QUEUED\r\n");
    rig_do("SET y 2", "+QUEUED\r\n");
    rig_do("EXEC", "*3\r\n+OK\r\n+OK\r\n+OK\r\n");
    cr_assert(peer_expect(rig.a,
                          "*2\r\n$6\r\nSELECT\r\n$1\r\n3\r\n*1\r\n$5\r\nMULTI\r\n"
                          "*3\r\n$3\r\nSET\r\n$1\r\nx\r\n$1\r\n1\r\n"
                          "*2\r\n$6\r\nSELECT\r\n$1\r\n4\r\n"
                          "*3\r\n$3\r\nSET\r\n$1\r\ny\r\n$1\r\n2\r\n*1\r\n$4\r\nEXEC\r\n",
                          1000000),
              "%s", rig.a->why);
}

Test(primary_sync, sync_without_capabilities_gets_a_length_and_the_stream_at_once)
{
    rig_do("SET k v", "+OK\r\n");
    static const struct peer_step steps[] = {DO_SEND("SYNC\r\n"), DO_END};
    rig.a = peer_connect(rig.them, "primary", 6379, steps);
    cr_assert(peer_await(rig.a, 20, 5000000), "%s", trace_text(&rig.trace));
    rig_do("SET after 2", "+OK\r\n");
    sim_run_for(rig.sim, 1000000);
    struct bytes in = peer_input(rig.a);
    while (in.data[0] == '\n')
        peer_consume(rig.a, 1), in = peer_input(rig.a);
    cr_assert_eq(in.data[0], '$');
    char *end;
    size_t len = strtoul(in.data + 1, &end, 10);
    cr_assert(strncmp(end, "\r\nREDIS", 7) == 0);
    size_t head = (size_t)(end + 2 - in.data);
    cr_assert_geq(in.len, head + len);
    peer_consume(rig.a, head + len);
    cr_assert(peer_expect(rig.a,
                          "*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n"
                          "*3\r\n$3\r\nSET\r\n$5\r\nafter\r\n$1\r\n2\r\n",
                          1000000),
              "%s", rig.a->why);
    sim_run_for(rig.sim, 5 * RIG_TIMEOUT);
    cr_assert_eq(rig_links(), 1, "it never acknowledges, and need not");
}

Test(primary_sync, a_file_that_cannot_be_written_fails_the_sync_alone)
{
    sim_file_fail(rig.us, FILE_WRITE, "temp-sync", 28 /* ENOSPC */, 1);
    static const struct peer_step steps[] = {DO_SEND("SYNC\r\n"), DO_END};
    rig.a = peer_connect(rig.them, "primary", 6379, steps);
    sim_run_for(rig.sim, 2000000);
    cr_assert_eq(rig_links(), 0);
    cr_assert_eq(rig.a->closes, 1);
    cr_assert(trace_has(&rig.trace, "BGSAVE failed"));
    cr_assert_null(rig.node->store.snapshot);
    rig_do("PING", "+PONG\r\n");
}

Test(primary_sync, a_second_replica_joins_the_file_that_is_being_written)
{
    rig_fill(2);
    rig.node->config.repl_diskless_sync = false;
    sim_set_disk(rig.us, 100000, 100000);
    rig.a = rig_replica();
    rig_run_to(LINK_PREPARE);
    rig_do("SET after 2", "+OK\r\n");
    rig.b = rig_replica();
    sim_run_for(rig.sim, 50000);
    cr_assert_eq(rig_links(), 2);
    cr_assert_eq(rig_link(1)->machine.state, LINK_PREPARE);
    rig_run_to(LINK_ONLINE);
    sim_run_for(rig.sim, 10000000);
    cr_assert_eq(rig.a->received, rig.b->received);
    static const char tail[] = "*3\r\n$3\r\nSET\r\n$5\r\nafter\r\n$1\r\n2\r\n";
    struct bytes in = peer_input(rig.b);
    cr_assert(in.len > 2u << 20);
    cr_assert_eq(memcmp(in.data + in.len - (sizeof(tail) - 1), tail, sizeof(tail) - 1), 0);
    cr_assert_eq(rig.node->stats.sync_full, 2u);
}

Test(primary_sync, a_slow_replica_is_dropped_at_its_limit_and_the_other_notices_nothing)
{
    rig.node->config.output_limit[CLASS_REPLICA] = (struct output_limit){3 << 20, 0, 0};
    online();
    struct peer *slow = rig.a;
    char id[41];
    rig.a = rig_replica();
    rig_take_snapshot(rig.a, id);
    peer_send_text(rig.a, ACK_0);
    sim_run_for(rig.sim, 1000);
    static const struct peer_step pause[] = {DO_PAUSE, DO_END};
    peer_restart(slow, pause);
    sim_run_for(rig.sim, 1000);
    uint64_t before = rig.a->received;
    rig_fill(5);
    sim_run_for(rig.sim, 100000);
    cr_assert_eq(rig_links(), 1);
    cr_assert_gt(rig.a->received - before, (uint64_t)5 << 20);
    cr_assert(trace_has(&rig.trace, "for overcoming of output buffer limits"));
    cr_assert_eq(rig.node->stats.output_limit_disconnections, 1u);
    for (int i = 0; i < 20; i++) {
        peer_send_text(rig.a, ACK_0);
        sim_run_for(rig.sim, 1000000);
    }
    cr_assert_leq(repl_memory(rig.node, NULL), (size_t)(1 << 20) + 3 * 32 * 1024);
    rig.b = slow;
}

// ---- partial resync ---------------------------------------------------------------------------

static struct peer *ask(const char *id, long long next)
{
    static struct peer_step steps[5];
    static char line[128];
    snprintf(line, sizeof(line), "PSYNC %s %lld\r\n", id, next);
    steps[0] = (struct peer_step)DO_SEND("REPLCONF capa eof capa psync2\r\n");
    steps[1] = (struct peer_step)DO_EXPECT("+OK\r\n");
    steps[2] = (struct peer_step)DO_SEND(line);
    steps[3] = (struct peer_step)DO_END;
    return peer_connect(rig.them, "primary", 6379, steps);
}

Test(primary_sync, a_replica_comes_back_and_gets_what_it_missed)
{
    online();
    char id[41];
    memcpy(id, repl_id(rig.node), 41);
    peer_free(rig.a);
    rig_do("SET missed 1", "+OK\r\n");
    rig.a = ask(id, 1);
    char line[64];
    snprintf(line, sizeof(line), "+CONTINUE %s\r\n", id);
    cr_assert(peer_expect(rig.a, line, 1000000), "%s", rig.a->why);
    cr_assert(peer_expect(rig.a,
                          "*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n"
                          "*3\r\n$3\r\nSET\r\n$6\r\nmissed\r\n$1\r\n1\r\n",
                          1000000));
    cr_assert_eq(rig.node->stats.sync_full, 1u);
    cr_assert_eq(rig.node->stats.sync_partial_ok, 1u);
    cr_assert_eq(rig.node->stats.sync_partial_err, 0u);
    rig.b = ask(id, 9999);
    cr_assert(peer_await(rig.b, 20, 5000000));
    cr_assert(strncmp(peer_input(rig.b).data, "+FULLRESYNC", 11) == 0);
    cr_assert_eq(rig.node->stats.sync_partial_err, 1u);
    cr_assert(trace_has(&rig.trace, "for lack of backlog (Replica request was: 9999)"));
}

Test(primary_sync, the_backlog_is_freed_after_its_time_without_replicas)
{
    online();
    char id[41];
    memcpy(id, repl_id(rig.node), 41);
    rig.node->config.repl_backlog_ttl_s = 20;
    peer_free(rig.a);
    rig.a = NULL;
    sim_run_for(rig.sim, 19000000);
    cr_assert(rig.node->repl->stream.active);
    sim_run_for(rig.sim, 3000000);
    cr_assert(!rig.node->repl->stream.active);
    cr_assert_str_neq(repl_id(rig.node), id);
}

// ---- WAIT, min-replicas, roles ----------------------------------------------------------------

Test(primary_sync, wait_asks_and_is_answered_by_acknowledgements_or_time)
{
    online();
    rig_do("SET a 1", "+OK\r\n");
    peer_send_text(rig.client, "WAIT 1 0\r\n");
    sim_run_for(rig.sim, 1000);
    cr_assert_eq(rig.node->blocked_clients, 1u);
    static const char getack[] = "*3\r\n$8\r\nREPLCONF\r\n$6\r\nGETACK\r\n$1\r\n*\r\n";
    struct bytes in = peer_input(rig.a);
    cr_assert_geq(in.len, sizeof(getack) - 1);
    cr_assert_eq(memcmp(in.data + in.len - (sizeof(getack) - 1), getack, sizeof(getack) - 1), 0);
    char ack[64];
    snprintf(ack, sizeof(ack), "REPLCONF ACK %lld\r\n",
             (long long)repl_offset(rig.node) - (long long)sizeof(getack) + 1);
    peer_send_text(rig.a, ack);
    cr_assert(peer_expect(rig.client, ":1\r\n", 1000000));
    rig_do("SET a 2", "+OK\r\n");
    uint64_t at_us = sim_now_us(rig.sim);
    peer_send_text(rig.client, "WAIT 2 300\r\n");
    cr_assert(peer_expect(rig.client, ":0\r\n", 1000000));
    cr_assert_geq(sim_now_us(rig.sim), at_us + 300000);
    cr_assert_leq(sim_now_us(rig.sim), at_us + 302000);
    cr_assert_eq(rig.node->blocked_clients, 0u);
}

Test(primary_sync, too_few_good_replicas_refuse_writes)
{
    rig.node->config.min_replicas_to_write = 1;
    rig.node->config.min_replicas_max_lag_s = 3;
    rig_do("SET a 1", "-NOREPLICAS Not enough good replicas to write.\r\n");
    online();
    rig_do("SET a 1", "+OK\r\n");
    sim_run_for(rig.sim, 5000000);
    rig_do("SET a 2", "-NOREPLICAS Not enough good replicas to write.\r\n");
    peer_send_text(rig.a, ACK_0);
    sim_run_for(rig.sim, 1000);
    rig_do("SET a 2", "+OK\r\n");
}

Test(primary_sync, a_failover_hands_over_to_a_replica_that_has_everything)
{
    online();
    rig_do("SET a 1", "+OK\r\n");
    static const struct peer_step target[] = {
        DO_EXPECT_PAST("PING\r\n"),
        DO_SEND("+PONG\r\n"),
        DO_EXPECT_PAST("6379\r\n"),
        DO_SEND("+OK\r\n"),
        DO_EXPECT_PAST("psync2\r\n"),
        DO_SEND("+OK\r\n"),
        DO_EXPECT_PAST("FAILOVER\r\n"),
        DO_WAIT(100000),
        DO_SEND("+CONTINUE 1111111111111111111111111111111111111111\r\n"),
        DO_END,
    };
    struct peer *listener = peer_listen(rig.them, 7001, target);
    rig_do("FAILOVER", "+OK\r\n");
    sim_run_for(rig.sim, 1000);
    struct peer *writer = rig.client;
    peer_send_text(writer, "SET paused 1\r\n");
    sim_run_for(rig.sim, 300000);
    cr_assert_eq(peer_input(writer).len, 0u, "writes wait meanwhile");
    char ack[64];
    snprintf(ack, sizeof(ack), "REPLCONF ACK %lld\r\n", (long long)repl_offset(rig.node));
    cr_assert(!repl_is_replica(rig.node));
    peer_send_text(rig.a, ack);
    cr_assert(peer_run(listener, 5000000), "%s\n%s", listener->why, trace_text(&rig.trace));
    sim_run_for(rig.sim, 1000);
    cr_assert(repl_is_replica(rig.node));
    cr_assert(repl_link_up(rig.node));
    cr_assert_str_eq(repl_id(rig.node), "1111111111111111111111111111111111111111");
    cr_assert(
        peer_expect(writer, "-READONLY You can't write against a read only replica.\r\n", 1000000),
        "%s", writer->why);
    peer_free(listener);
}

Test(primary_sync, a_failover_that_nobody_catches_up_with_is_given_up)
{
    online();
    rig_do("SET a 1", "+OK\r\n");
    rig_do("FAILOVER TIMEOUT 500", "+OK\r\n");
    rig_do("FAILOVER", "-ERR FAILOVER already in progress.\r\n");
    sim_run_for(rig.sim, 600000);
    cr_assert(trace_has(&rig.trace, "Replica never caught up before timeout"));
    rig_do("SET a 2", "+OK\r\n");
    rig_do("FAILOVER ABORT", "-ERR No failover in progress.\r\n");
}

Test(primary_sync, a_target_that_refuses_leaves_the_primary_as_it_was)
{
    online();
    static const struct peer_step target[] = {
        DO_EXPECT_PAST("PING\r\n"),
        DO_SEND("+PONG\r\n"),
        DO_EXPECT_PAST("6379\r\n"),
        DO_SEND("+OK\r\n"),
        DO_EXPECT_PAST("psync2\r\n"),
        DO_SEND("+OK\r\n"),
        DO_EXPECT_PAST("FAILOVER\r\n"),
        DO_SEND("-NOPERM\r\n"),
        DO_END,
    };
    struct peer *listener = peer_listen(rig.them, 7001, target);
    rig_do("FAILOVER", "+OK\r\n");
    char ack[64];
    sim_run_for(rig.sim, 1000);
    snprintf(ack, sizeof(ack), "REPLCONF ACK %lld\r\n", (long long)repl_offset(rig.node));
    peer_send_text(rig.a, ack);
    cr_assert(peer_run(listener, 5000000), "%s\n%s", listener->why, trace_text(&rig.trace));
    sim_run_for(rig.sim, 1000);
    cr_assert(!repl_is_replica(rig.node), "%s", trace_text(&rig.trace));
    cr_assert(trace_has(&rig.trace, "Failover target rejected psync request"));
    rig_do("SET a 2", "+OK\r\n");
    peer_free(listener);
}

Test(primary_sync, a_replica_that_was_slow_gets_the_rest_when_its_wire_takes_all_at_once)
{
    rig_fill(4);
    rig.node->config.repl_diskless_sync_delay_s = 5;
    struct sim_wire slow = {.bytes_per_s = 20000};
    rig.a = rig_replica();
    rig.b = rig_replica();
    sim_run_for(rig.sim, 1000000);
    struct conn *c = rig_link(0)->conn;
    sim_set_wire_out(c, &slow);
    sim_run_for(rig.sim, 6000000); // the other one has everything by now
    struct replica_link *l = rig_link(0);
    cr_assert_eq(l->machine.state, LINK_SEND);
    cr_assert_gt(l->pending.len, (size_t)4 * LINK_WINDOW_BYTES);
    struct sim_wire wide = {.window_bytes = 64 << 20};
    sim_set_wire_out(c, &wide);
    sim_run_for(rig.sim, 1000000);
    cr_assert_eq(l->machine.state, LINK_ARMED, "in %s with %zu pending",
                 machine_state_name(&l->machine), l->pending.len);
}
