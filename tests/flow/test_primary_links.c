// What a primary does for its replicas beyond a plain full sync: who begins when, filters, a node
// that sleeps, and what WAIT counts.
#include "primary_rig.h"

TestSuite(primary_links, .init = rig_begin, .fini = rig_end);

static struct peer *replica_with(const char *words)
{
    static struct peer_step steps[5];
    steps[0] = (struct peer_step)DO_SEND(words);
    steps[1] = (struct peer_step)DO_EXPECT("+OK\r\n");
    steps[2] = (struct peer_step)DO_SEND("PSYNC ? -1\r\n");
    steps[3] = (struct peer_step)DO_END;
    return peer_connect(rig.them, "primary", 6379, steps);
}

static void online(void)
{
    char id[41];
    rig.a = rig_replica();
    rig_take_snapshot(rig.a, id);
    peer_send_text(rig.a, "REPLCONF ACK 0\r\n");
    rig_run_to(LINK_ONLINE);
}

static void acknowledge(struct peer *p, int64_t offset)
{
    char line[64];
    snprintf(line, sizeof(line), "REPLCONF ACK %lld\r\n", (long long)offset);
    peer_send_text(p, line);
}

Test(primary_links, who_waits_begins_as_soon_as_the_last_replica_of_the_snapshot_drops)
{
    rig_fill(4);
    rig_slow_sync(20000, 0);
    rig_wire(0, 0);
    rig.b = rig_replica();
    sim_run_for(rig.sim, 1100);
    cr_assert_eq(rig_link(1)->machine.state, LINK_WAIT, "%s", trace_text(&rig.trace));
    cr_assert_not_null(rig.node->store.snapshot);
    peer_free(rig.a);
    rig.a = NULL;
    sim_run_for(rig.sim, 1000);
    cr_assert_eq(rig_links(), 1);
    cr_assert_neq(rig_link(0)->machine.state, LINK_WAIT, "%s", trace_text(&rig.trace));
    rig_run_to(LINK_ARMED);
}

Test(primary_links, who_waits_begins_as_soon_as_the_running_snapshot_is_complete)
{
    rig_fill(2);
    rig_slow_sync(1000000, 4096);
    rig.b = rig_replica();
    while (rig_links() < 2 || !rig_link(0)->snapshot_whole)
        cr_assert(sim_step(rig.sim));
    uint64_t whole_us = sim_now_us(rig.sim);
    while (rig_link(1)->machine.state == LINK_WAIT)
        cr_assert(sim_step(rig.sim));
    cr_assert_leq(sim_now_us(rig.sim) - whole_us, 1000u);
}

Test(primary_links, a_replica_that_wants_no_data_gets_none_and_waits_for_nobody)
{
    rig_fill(2);
    rig_slow_sync(20000, 0); // a snapshot that takes its time
    rig_wire(0, 0);
    rig.b = replica_with("REPLCONF capa eof rdb-filter-only functions\r\n");
    char id[41];
    size_t len = rig_take_snapshot(rig.b, id);
    cr_assert_leq(len, (size_t)400);
    rig_do("SET after 1", "+OK\r\n");
    acknowledge(rig.b, 0);
    cr_assert(peer_expect(rig.b,
                          "*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n"
                          "*3\r\n$3\r\nSET\r\n$5\r\nafter\r\n$1\r\n1\r\n",
                          1000000),
              "%s", rig.b->why);
}

Test(primary_links, what_a_filter_does_not_know_is_an_error)
{
    rig_do("REPLCONF rdb-filter-only \"functions keys\"",
           "-ERR Unsupported rdb-filter-only option: keys\r\n");
    rig_do("REPLCONF rdb-filter-only functions", "+OK\r\n");
    rig_do("PSYNC ? -1", "-ERR Filtered replica requires EOF capability\r\n");
    cr_assert_eq(rig_links(), 0);
}

Test(primary_links, an_rdb_only_replica_is_let_go_after_the_rdb)
{
    rig.a = replica_with("REPLCONF capa eof rdb-only 1 rdb-filter-only \"\"\r\n");
    char id[41];
    rig_take_snapshot(rig.a, id);
    sim_run_for(rig.sim, 1000);
    cr_assert_eq(rig.a->closes, 1);
    cr_assert_eq(rig_links(), 0);
    cr_assert(trace_has(&rig.trace, "rdb only replica"));
}

// Its wire takes nothing any more, not even newlines.
static void deaf(struct replica_link *l)
{
    struct sim_wire wire = *sim_wire_out(l->conn);
    wire.stall_at_us = sim_now_us(rig.sim);
    wire.window_bytes = 1;
    sim_set_wire_out(l->conn, &wire);
}

Test(primary_links, who_waits_and_takes_no_newline_is_dropped_at_the_deadline)
{
    rig.node->config.repl_diskless_sync_delay_s = 3600;
    rig.a = rig_replica();
    rig_run_to(LINK_WAIT);
    sim_run_for(rig.sim, 3 * RIG_TIMEOUT);
    cr_assert_eq(rig_links(), 1, "it takes its newlines");
    deaf(rig_link(0));
    sim_run_for(rig.sim, 2500000); // one newline is in the wire, the next ones wait
    uint64_t at_us = sim_now_us(rig.sim) + machine_left_us(&rig_link(0)->machine);
    cr_assert_leq(at_us, sim_now_us(rig.sim) + RIG_TIMEOUT + PRIMARY_BEAT_US);
    rig_dropped_at(at_us, "Disconnecting timedout replica (full sync)");
}

Test(primary_links, a_node_that_sleeps_hears_and_tells_nothing)
{
    rig.node->config.repl_diskless_sync_delay_s = 3600;
    rig.node->config.enable_debug_command = PERMIT_YES;
    rig.a = rig_replica();
    rig_run_to(LINK_WAIT);
    static const struct peer_step none[] = {DO_END};
    struct peer *other = peer_connect(rig.them, "primary", 6379, none);
    peer_send_text(other, "DEBUG SLEEP 35\r\n");
    sim_run_for(rig.sim, 1000000);
    uint64_t heard = rig.a->received;
    rig.b = rig_replica();
    peer_send_text(rig.client, "PING\r\n");
    sim_run_for(rig.sim, 30000000); // three times repl-timeout
    cr_assert_eq(rig.a->received, heard, "no newline");
    cr_assert_eq(rig.b->received, 0u, "no handshake");
    cr_assert_eq(peer_input(rig.client).len, 0u);
    cr_assert_eq(rig_links(), 1, "its silence was not its own");
    cr_assert(peer_expect(other, "+OK\r\n", 10000000));
    cr_assert(peer_expect(rig.client, "+PONG\r\n", 1000));
    sim_run_for(rig.sim, 1000000);
    cr_assert_eq(rig_links(), 2);
    cr_assert_gt(rig.a->received, heard);
    peer_free(other);
}

Test(primary_links, an_online_replica_is_not_dropped_because_we_slept)
{
    online();
    rig.node->config.enable_debug_command = PERMIT_YES;
    peer_send_text(rig.client, "DEBUG SLEEP 25\r\n");
    sim_run_for(rig.sim, 20000000);
    cr_assert_eq(rig_links(), 1);
    cr_assert(peer_expect(rig.client, "+OK\r\n", 10000000));
    sim_run_for(rig.sim, RIG_TIMEOUT + 1000000);
    cr_assert_eq(rig_links(), 0, "awake again, its silence counts");
}

Test(primary_links, wait_is_about_the_clients_own_writes)
{
    online();
    rig_do("SET mine 1", "+OK\r\n");
    int64_t mine = repl_offset(rig.node);
    static const struct peer_step none[] = {DO_END};
    struct peer *other = peer_connect(rig.them, "primary", 6379, none);
    peer_send_text(other, "SET others 1\r\n");
    cr_assert(peer_expect(other, "+OK\r\n", 1000000));
    acknowledge(rig.a, mine);
    sim_run_for(rig.sim, 1000);
    rig_do("WAIT 1 0", ":1\r\n");
    peer_send_text(other, "WAIT 1 200\r\n");
    cr_assert(peer_expect(other, ":0\r\n", 1000000));
    peer_free(other);
}

static int64_t not_pushed(void)
{
    return repl_reader_left(&rig.node->repl->stream, &rig_link(0)->reader);
}

// A write of 8 KiB, and that it went.
static uint64_t push_much(void)
{
    char line[8300];
    int len = snprintf(line, sizeof(line), "SET big %08192d", 1);
    cr_assert_eq(len, 8200);
    rig_do(line, "+OK\r\n");
    cr_assert_eq(not_pushed(), 0);
    cr_assert(rig.node->repl->primary.push.last_much);
    return rig.node->repl->primary.push.last_us;
}

Test(primary_links, a_little_of_the_stream_goes_at_once)
{
    online();
    for (int i = 0; i < 10; i++) {
        rig_do("SET little 1", "+OK\r\n");
        cr_assert_eq(not_pushed(), 0, "write %d waits", i);
    }
}

Test(primary_links, behind_much_of_the_stream_the_next_gathers_for_a_bounded_time)
{
    online();
    uint64_t much_us = push_much();
    rig_do("SET little 1", "+OK\r\n");
    cr_assert_gt(not_pushed(), 0);
    sim_run_until(rig.sim, much_us + PUSH_LATEST_US - 1);
    cr_assert_gt(not_pushed(), 0);
    sim_run_until(rig.sim, much_us + PUSH_LATEST_US);
    cr_assert_eq(not_pushed(), 0);

    much_us = push_much();
    sim_run_until(rig.sim, much_us + PUSH_GATHER_US);
    rig_do("SET little 2", "+OK\r\n");
    cr_assert_eq(not_pushed(), 0, "an iteration that comes later takes it along");
}

Test(primary_links, what_replicas_are_asked_does_not_gather)
{
    online();
    push_much();
    peer_send_text(rig.client, "SET little 1\r\nWAIT 1 50\r\n");
    cr_assert(peer_expect(rig.client, "+OK\r\n", 1000));
    cr_assert_eq(not_pushed(), 0);
    cr_assert(peer_expect(rig.client, ":0\r\n", 1000000));
}

static void info_has(const char *words)
{
    struct buf out = BUF_EMPTY;
    repl_info(rig.node, &out);
    buf_append(&out, "", 1);
    cr_assert_not_null(strstr(buf_view(&out).data, words), "%s", buf_view(&out).data);
    buf_free(&out);
}

Test(primary_links, info_tells_state_deadline_bytes_and_rate_of_each_link)
{
    rig_fill(1);
    rig_slow_sync(100000, 4096);
    sim_run_for(rig.sim, 4000000);
    uint64_t us, bytes = primary_link_transfer(rig_link(0), &us);
    cr_assert(bytes > 350000 && bytes < 450000, "%llu", (unsigned long long)bytes);
    cr_assert(us > 3900000 && us < 4100000, "%llu", (unsigned long long)us);
    info_has("replica0_link:state=send,deadline=progress,left_ms=");
    info_has(",bytes_per_s=1");
    char id[41];
    rig_take_snapshot(rig.a, id);
    rig_run_to(LINK_ARMED);
    bytes = primary_link_transfer(rig_link(0), &us);
    cr_assert(bytes > (1u << 20) && bytes < (1u << 20) + 1000, "%llu", (unsigned long long)bytes);
    sim_run_for(rig.sim, 1000000);
    uint64_t later_us;
    cr_assert_eq(primary_link_transfer(rig_link(0), &later_us), bytes);
    cr_assert_eq(us, later_us, "a transfer that is over takes no more time");
    info_has("replica0_link:state=armed,deadline=silence,left_ms=8");
}

Test(primary_links, tcp_may_gather_what_goes_to_replicas_that_sync_from_then_on)
{
    online();
    cr_assert(!sim_gathers(rig_link(0)->conn));
    rig_do("CONFIG SET repl-disable-tcp-nodelay yes", "+OK\r\n");
    rig.b = rig_replica();
    sim_run_for(rig.sim, 1000000);
    cr_assert_eq(rig_links(), 2);
    cr_assert(!sim_gathers(rig_link(0)->conn));
    cr_assert(sim_gathers(rig_link(1)->conn));
}

Test(primary_links, a_limit_below_the_window_does_not_end_full_syncs)
{
    rig.node->config.output_limit[CLASS_REPLICA] = (struct output_limit){32768, 32768, 1};
    rig_do("CONFIG SET repl-backlog-size 16384", "+OK\r\n");
    rig_fill(3);
    rig_wire(500000, 4096);
    rig.a = rig_replica();
    rig_run_to(LINK_ARMED);
    cr_assert(!trace_has(&rig.trace, "output buffer limits"), "%s", trace_text(&rig.trace));
}

// ---- leaving ----------------------------------------------------------------------------------

static void ask_to_leave(void)
{
    rig.node->config.shutdown_timeout_s = 7;
    online();
    rig_do("SET a 1", "+OK\r\n");
    peer_send_text(rig.client, "SHUTDOWN NOSAVE\r\n");
    sim_run_for(rig.sim, 1000);
    cr_assert(!rig.node->stopping);
}

Test(primary_links, a_shutdown_waits_for_a_lagging_replica_until_exactly_its_deadline)
{
    ask_to_leave();
    uint64_t at_us = sim_now_us(rig.sim) - 1000 + 7000000;
    sim_run_until(rig.sim, at_us - 1);
    cr_assert(!rig.node->stopping);
    sim_run_until(rig.sim, at_us);
    cr_assert(rig.node->stopping);
    cr_assert(trace_has(&rig.trace, "0 of 1 replicas are in sync when shutting down."));
}

Test(primary_links, a_shutdown_goes_on_as_soon_as_the_replica_has_acknowledged)
{
    ask_to_leave();
    sim_run_for(rig.sim, 1234567);
    acknowledge(rig.a, repl_offset(rig.node));
    uint64_t at_us = sim_now_us(rig.sim);
    while (!rig.node->stopping)
        cr_assert(sim_step(rig.sim));
    cr_assert_eq(sim_now_us(rig.sim), at_us);
}

Test(primary_links, a_shutdown_goes_on_as_soon_as_the_lagging_replica_is_gone)
{
    ask_to_leave();
    sim_run_for(rig.sim, 1234567);
    uint64_t at_us = sim_now_us(rig.sim);
    peer_free(rig.a);
    rig.a = NULL;
    while (!rig.node->stopping)
        cr_assert(sim_step(rig.sim));
    cr_assert_eq(sim_now_us(rig.sim), at_us);
}

// ---- what a replica must not say --------------------------------------------------------------

Test(primary_links, what_a_replica_asks_is_named_in_full)
{
    online();
    peer_send_text(rig.a, "XINFO HELP\r\n");
    sim_run_for(rig.sim, 1000);
    cr_assert_eq(rig_links(), 0);
    cr_assert(trace_has(&rig.trace,
                        "Replica generated a reply to command 'xinfo|help', disconnecting it: "));
    cr_assert_eq(buf_len(&rig.a->input), 0u, "nothing of the reply in the stream");
}

Test(primary_links, a_wrong_offset_is_an_error_and_no_full_sync)
{
    rig_do("PSYNC ? x", "-ERR value is not an integer or out of range\r\n");
    cr_assert(trace_has(&rig.trace, "asks for synchronization but with a wrong offset"));
    cr_assert_eq(rig.node->stats.sync_full, 0u);
    rig_do("PING", "+PONG\r\n");
}
