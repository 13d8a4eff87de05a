// Every state of a primary's link against every fault, from one table: whether it ends and exactly
// when, that nothing of it stays, and that others are served.
#include "primary_rig.h"

enum fault { SILENCE, DRIP, NEWLINES, CUT, CLOSE, GARBAGE, REFUSAL, CANCEL, FAULTS };
enum outcome {
    LIVES,   // it is there long after, in this state or further on
    IN_TIME, // gone, at exactly the deadline
    AT_ONCE  // gone
};

static const struct row {
    int state;
    enum outcome outcome[FAULTS];
} rows[] = {
    // A client like any other: it is told what is wrong and may go on, unless nothing can be read.
    {LINK_HANDSHAKE, {LIVES, LIVES, LIVES, AT_ONCE, AT_ONCE, AT_ONCE, LIVES, LIVES}},
    {LINK_WAIT, {LIVES, LIVES, LIVES, AT_ONCE, AT_ONCE, AT_ONCE, AT_ONCE, AT_ONCE}},
    {LINK_PREPARE, {LIVES, LIVES, LIVES, AT_ONCE, AT_ONCE, AT_ONCE, AT_ONCE, AT_ONCE}},
    {LINK_STARVED, {LIVES, LIVES, LIVES, AT_ONCE, AT_ONCE, AT_ONCE, AT_ONCE, AT_ONCE}},
    // Silent, but taking what it gets.
    {LINK_SEND, {LIVES, LIVES, LIVES, AT_ONCE, AT_ONCE, AT_ONCE, AT_ONCE, AT_ONCE}},
    {LINK_ARMED, {IN_TIME, IN_TIME, LIVES, AT_ONCE, AT_ONCE, AT_ONCE, AT_ONCE, AT_ONCE}},
    {LINK_ONLINE, {IN_TIME, IN_TIME, LIVES, AT_ONCE, AT_ONCE, AT_ONCE, AT_ONCE, AT_ONCE}},
};
enum { ROWS = sizeof(rows) / sizeof(rows[0]) };

TestSuite(primary_faults, .init = rig_begin, .fini = rig_end);

static void get_to(const struct row *row)
{
    static const struct peer_step greeting[] = {DO_SEND("REPLCONF capa eof\r\n"),
                                                DO_EXPECT("+OK\r\n"), DO_END};
    struct config *config = &rig.node->config;
    char id[41];
    rig_fill(1);
    rig_do("SET k v", "+OK\r\n");
    if (row->state == LINK_HANDSHAKE) {
        rig.a = peer_connect(rig.them, "primary", 6379, greeting);
        cr_assert(peer_run(rig.a, 1000000));
        return;
    }
    if (row->state == LINK_WAIT) config->repl_diskless_sync_delay_s = 3600;
    if (row->state == LINK_PREPARE) {
        config->repl_diskless_sync = false;
        sim_set_disk(rig.us, 2000000, 100000);
    }
    if (row->state == LINK_STARVED) config->rdb_key_save_delay_us = 120000000;
    if (row->state == LINK_SEND) rig_wire(20000, 4096);
    rig.a = rig_replica();
    if (row->state >= LINK_ARMED) rig_take_snapshot(rig.a, id);
    if (row->state == LINK_ONLINE) peer_send_text(rig.a, "REPLCONF ACK 0\r\n");
    rig_run_to(row->state);
    if (row->state == LINK_STARVED) sim_run_for(rig.sim, 1000000);
}

static void garble(void)
{
    char noise[5000];
    for (size_t i = 0; i < sizeof(noise); i++)
        noise[i] = (char)rng_next(sim_rng(rig.sim));
    noise[0] = '?';
    noise[sizeof(noise) - 1] = '\n';
    peer_send(rig.a, bytes_of(noise, sizeof(noise)));
}

static void drip(const char *text, uint64_t us)
{
    for (uint64_t end_us = sim_now_us(rig.sim) + us; sim_now_us(rig.sim) + 1000000 <= end_us;) {
        peer_send_text(rig.a, text);
        sim_run_for(rig.sim, 1000000);
    }
}

static void strike(const struct row *row, enum fault fault)
{
    switch (fault) {
    case CUT:
        sim_cut(rig.a->conn);
        break;
    case CLOSE:
        conn_close_flush(rig.a->conn);
        break;
    case GARBAGE:
        garble();
        break;
    case REFUSAL:
        peer_send_text(rig.a, "-ERR not me\r\n");
        break;
    case CANCEL:
        rig_do("CLIENT KILL TYPE replica", row->state == LINK_HANDSHAKE ? ":0\r\n" : ":1\r\n");
        break;
    default:
        break;
    }
}

static void nothing_stays(void)
{
    cr_assert_eq(rig_links(), 0);
    cr_assert_null(rig.node->store.snapshot);
    cr_assert(list_empty(&rig.node->repl->stream.readers));
    cr_assert(list_empty(&rig.node->repl->primary.files));
    rig_do("PING", "+PONG\r\n");
    rig_do("SET k w", "+OK\r\n");
}

static void lives(const struct row *row, enum fault fault)
{
    uint64_t us = 3 * RIG_TIMEOUT;
    if (fault == DRIP)
        drip("R", us);
    else if (fault == NEWLINES)
        drip("\n", us);
    else
        sim_run_for(rig.sim, us);
    cr_assert_eq(rig.a->closes, 0, "fault %d in state %d:\n%s", (int)fault, row->state,
                 trace_text(&rig.trace));
    cr_assert_eq(rig_links(), row->state != LINK_HANDSHAKE);
    if (row->state != LINK_HANDSHAKE) cr_assert_geq((int)rig_link(0)->machine.state, row->state);
}

static void leaves_in_time(enum fault fault)
{
    const struct replica_link *l = rig_link(0);
    uint64_t left_us = machine_left_us(&l->machine), at_us = sim_now_us(rig.sim) + left_us;
    cr_assert(left_us <= RIG_TIMEOUT && left_us > RIG_TIMEOUT - 1000000);
    if (fault == DRIP) drip("R", left_us - 1500000);
    rig_dropped_at(at_us, "Disconnecting timedout replica (streaming sync)");
}

static void meets(const struct row *row, enum fault fault)
{
    strike(row, fault);
    switch (row->outcome[fault]) {
    case LIVES:
        lives(row, fault);
        return;
    case IN_TIME:
        leaves_in_time(fault);
        break;
    case AT_ONCE:
        sim_run_for(rig.sim, 2000);
        cr_assert_eq(rig_links(), 0);
        sim_run_for(rig.sim, 1000000); // what is in a slow wire comes before its end
        cr_assert_eq(rig.a->closes, 1, "fault %d in state %d:\n%s", (int)fault, row->state,
                     trace_text(&rig.trace));
        break;
    }
    nothing_stays();
}

static void each_state(enum fault fault)
{
    for (int i = 0; i < ROWS; i++) {
        get_to(&rows[i]);
        meets(&rows[i], fault);
        rig_end();
        rig_begin();
    }
}

Test(primary_faults, silence)
{
    each_state(SILENCE);
}
Test(primary_faults, half_a_command_each_second)
{
    each_state(DRIP);
}
Test(primary_faults, newlines)
{
    each_state(NEWLINES);
}
Test(primary_faults, cut)
{
    each_state(CUT);
}
Test(primary_faults, close)
{
    each_state(CLOSE);
}
Test(primary_faults, garbage)
{
    each_state(GARBAGE);
}
Test(primary_faults, refusal)
{
    each_state(REFUSAL);
}
Test(primary_faults, cancel)
{
    each_state(CANCEL);
}

// Following somebody else leaves the replicas with their history, whatever they are in the middle
// of; being a primary again means a new one, for which they have to come back.
Test(primary_faults, another_role)
{
    for (int i = 0; i < ROWS; i++) {
        get_to(&rows[i]);
        rig_do("REPLICAOF nowhere 6379", "+OK\r\n");
        sim_run_for(rig.sim, 1000000);
        cr_assert_eq(rig_links(), rows[i].state != LINK_HANDSHAKE);
        rig_do("REPLICAOF NO ONE", "+OK\r\n");
        sim_run_for(rig.sim, 1000000);
        cr_assert_eq(rig.a->closes, rows[i].state != LINK_HANDSHAKE);
        nothing_stays();
        rig_end();
        rig_begin();
    }
}

Test(primary_faults, the_node_ends)
{
    for (int i = 0; i < ROWS; i++) {
        get_to(&rows[i]);
        node_free(rig.node);
        sim_run_for(rig.sim, 5 * RIG_TIMEOUT);
        cr_assert_eq(rig.a->closes, 1);
        peer_free(rig.client);
        peer_free(rig.a);
        trace_free(&rig.trace);
        sim_free(rig.sim);
        rig_begin();
    }
}
