// Every state of the replica's machine against every fault, from one table: where it goes, exactly
// when, what is left behind, and that it tries again.
#include "replica_rig.h"

#define RDB                                                                                        \
    "REDIS0010\xfe\x00\x00\x03new\x05value\x00\x04more\x20"                                        \
    "01234567890123456789012345678901\xff\0\0\0\0\0\0\0\0"
#define RDB_LEN   (sizeof(RDB) - 1)
#define RDB_BEGUN 14 // bytes that have come in `transfer`

enum fault { SILENCE, DRIP, CUT, CLOSE, GARBAGE, REFUSAL, CANCEL, OTHER_PRIMARY, SHUTDOWN, FAULTS };
enum outcome {
    NOTHING,   // not a thing that can happen here
    IN_TIME,   // backoff, at exactly the deadline
    AT_ONCE,   // backoff
    ON,        // the next state: it was no failure
    LIVES,     // still there, long after
    COMPLETES, // the new data is in service all the same
    AGAIN,     // connects at once
    LATE_AGAIN // the same, at exactly the deadline
};

static const struct row {
    int state;
    const char *expect, *answer; // what it says on entering, and what leads on from there
    enum outcome outcome[CANCEL];
} rows[] = {
    {REPLICA_BACKOFF, NULL, NULL, {NOTHING}},
    {REPLICA_CONNECT, NULL, NULL, {IN_TIME, NOTHING, NOTHING, NOTHING, NOTHING, AT_ONCE}},
    {REPLICA_PING, "PING\r\n", "+PONG\r\n", {IN_TIME, IN_TIME, AT_ONCE, AT_ONCE, AT_ONCE, AT_ONCE}},
    {REPLICA_AUTH, "secret\r\n", "+OK\r\n", {IN_TIME, IN_TIME, AT_ONCE, AT_ONCE, AT_ONCE, AT_ONCE}},
    {REPLICA_PORT, "7000\r\n", "+OK\r\n", {IN_TIME, IN_TIME, AT_ONCE, AT_ONCE, AT_ONCE, ON}},
    {REPLICA_IP, "10.1.2.3\r\n", "+OK\r\n", {IN_TIME, IN_TIME, AT_ONCE, AT_ONCE, AT_ONCE, ON}},
    {REPLICA_CAPA, "psync2\r\n", "+OK\r\n", {IN_TIME, IN_TIME, AT_ONCE, AT_ONCE, AT_ONCE, ON}},
    {REPLICA_PSYNC,
     "-1\r\n",
     "+FULLRESYNC " RIG_ID " 1000\r\n",
     {IN_TIME, IN_TIME, AT_ONCE, AT_ONCE, AT_ONCE, ON}},
    {REPLICA_HEADER, NULL, NULL, {IN_TIME, IN_TIME, AT_ONCE, AT_ONCE, AT_ONCE, AT_ONCE}},
    // A refusal in the middle of an RDB is a part of it like any other.
    {REPLICA_TRANSFER, NULL, NULL, {IN_TIME, LIVES, AT_ONCE, AT_ONCE, AT_ONCE, IN_TIME}},
    {REPLICA_FINISH,
     NULL,
     NULL,
     {COMPLETES, COMPLETES, COMPLETES, COMPLETES, COMPLETES, COMPLETES}},
    {REPLICA_STREAM, NULL, NULL, {LATE_AGAIN, LIVES, AGAIN, AGAIN, AT_ONCE, AT_ONCE}},
};
enum { ROWS = sizeof(rows) / sizeof(rows[0]) };

TestSuite(replica_faults, .init = rig_begin, .fini = rig_end);

static struct peer *other;

static void nowhere(enum sim_connect how)
{
    struct sim_wire wire = {.connect = how};
    sim_set_wire(rig.sim, &wire);
}

static void send_rdb(size_t from, size_t to)
{
    peer_send(rig.peer, bytes_of(RDB + from, to - from));
}

// Follows a primary until the machine is in this row's state; the primary then says nothing more.
static void get_to(const struct row *row)
{
    static struct peer_step steps[2 * ROWS];
    int n = 0;
    rig.settings.user = BYTES("repl");
    rig.settings.password = BYTES("secret");
    rig.settings.announce_ip = "10.1.2.3";
    for (const struct row *at = rows; at <= row; at++) {
        if (at->expect != NULL) steps[n++] = (struct peer_step)DO_EXPECT_PAST(at->expect);
        if (at->answer != NULL && at != row) steps[n++] = (struct peer_step)DO_SEND(at->answer);
    }
    steps[n] = (struct peer_step)DO_END;
    if (row->state == REPLICA_CONNECT) nowhere(SIM_BLACK_HOLE);
    if (row->state == REPLICA_BACKOFF) nowhere(SIM_REFUSE);
    rig_follow(steps);
    if (row->state > REPLICA_HEADER) {
        char line[32];
        rig.key_delay_us = row->state == REPLICA_FINISH ? 2 * RIG_TIMEOUT : 0;
        rig_run_to(REPLICA_HEADER, 1000000);
        snprintf(line, sizeof(line), "$%zu\r\n", RDB_LEN);
        peer_send_text(rig.peer, line);
        send_rdb(0, row->state == REPLICA_TRANSFER ? RDB_BEGUN : RDB_LEN);
    }
    rig_run_to(row->state, 1000000);
}

// Something of the primary's each second that never becomes an answer.
static void drip(const struct row *row, int seconds)
{
    for (int i = 0; i < seconds && rig.replica.machine.state == row->state; i++) {
        if (row->state == REPLICA_TRANSFER)
            send_rdb(RDB_BEGUN + (size_t)i, RDB_BEGUN + (size_t)i + 1);
        else
            peer_send_text(rig.peer, row->state == REPLICA_STREAM ? "\n" : "+");
        sim_run_for(rig.sim, 1000000);
    }
}

static void garble(void)
{
    char noise[5000];
    for (size_t i = 0; i < sizeof(noise); i++)
        noise[i] = (char)rng_next(sim_rng(rig.sim));
    noise[0] = '?';
    noise[sizeof(noise) - 1] = '\n';
    peer_send(rig.peer, bytes_of(noise, sizeof(noise)));
}

static void strike(const struct row *row, enum fault fault)
{
    static const struct peer_step none[] = {DO_END};
    rig.bad = fault == GARBAGE || fault == REFUSAL; // what apply will make of it
    switch (fault) {
    case CUT:
        sim_cut(rig.replica.conn);
        break;
    case CLOSE:
        conn_close_flush(rig.peer->conn);
        break;
    case GARBAGE:
        garble();
        break;
    case REFUSAL:
        if (row->state == REPLICA_CONNECT) {
            replica_stop(&rig.replica);
            nowhere(SIM_REFUSE);
            replica_follow(&rig.replica);
        } else {
            peer_send_text(rig.peer, "-DENIED not you\r\n");
        }
        break;
    case CANCEL:
        replica_stop(&rig.replica);
        break;
    case OTHER_PRIMARY:
        nowhere(SIM_CONNECT);
        rig.settings.port = 6380;
        other = peer_listen(rig.them, 6380, none);
        replica_follow(&rig.replica);
        break;
    case SHUTDOWN:
        replica_free(&rig.replica);
        break;
    default:
        break;
    }
}

// Whatever was under way is gone, and the data is the old or the new, in whole.
static void data_is_whole(const struct row *row, bool completed)
{
    bool new = row->state == REPLICA_STREAM || completed;
    cr_assert_eq(rig_has_key("new"), new);
    cr_assert_eq(rig_has_key("more"), new);
    cr_assert_eq(rig_has_key("old"), !new);
    cr_assert_null(rig.aside);
    cr_assert_eq(rig.loads, rig.aborted + rig.adopted);
}

static void state_is(int state, const char *what, enum fault fault)
{
    cr_assert_eq((int)rig.replica.machine.state, state, "%s, fault %d: in %s\n%s", what, (int)fault,
                 machine_state_name(&rig.replica.machine), trace_text(&rig.trace));
}

// Leaves for `state` at exactly the deadline that it has now.
static void leaves_in_time(const struct row *row, enum fault fault, int state)
{
    uint64_t left_us = machine_left_us(&rig.replica.machine), at_us = sim_now_us(rig.sim) + left_us;
    cr_assert(left_us <= RIG_TIMEOUT && left_us > RIG_TIMEOUT - 100000, "%llu",
              (unsigned long long)left_us);
    if (fault == DRIP) drip(row, (int)(left_us / 1000000) - 1);
    sim_run_until(rig.sim, at_us - 1);
    state_is(row->state, "early", fault);
    sim_run_until(rig.sim, at_us);
    if (state == REPLICA_BACKOFF) state_is(state, "late", fault);
    cr_assert_neq((int)rig.replica.machine.state, row->state);
}

static void meets(const struct row *row, enum fault fault)
{
    enum outcome outcome = row->outcome[fault];
    if (outcome == NOTHING) return;
    strike(row, fault);
    switch (outcome) {
    case NOTHING:
    case IN_TIME:
        leaves_in_time(row, fault, REPLICA_BACKOFF);
        break;
    case LATE_AGAIN:
        leaves_in_time(row, fault, REPLICA_CONNECT);
        break;
    case AT_ONCE:
        sim_run_for(rig.sim, 1000);
        state_is(REPLICA_BACKOFF, "at once", fault);
        cr_assert_eq(rig.replica.cached, false);
        break;
    case ON:
        sim_run_for(rig.sim, 1000);
        cr_assert_gt((int)rig.replica.machine.state, row->state);
        break;
    case LIVES:
        drip(row, 25);
        state_is(row->state, "lives", fault);
        break;
    case COMPLETES:
        if (fault == DRIP) drip(row, 5);
        sim_run_for(rig.sim, 6 * RIG_TIMEOUT);
        cr_assert_eq(rig.adopted, 1, "%s", trace_text(&rig.trace));
        break;
    case AGAIN:
        sim_run_for(rig.sim, 1000);
        cr_assert_gt((int)rig.replica.machine.state, (int)REPLICA_CONNECT);
        cr_assert_lt((int)rig.replica.machine.state, (int)REPLICA_STREAM);
        break;
    }
    if (outcome != LIVES && outcome != ON) data_is_whole(row, outcome == COMPLETES);
    if (outcome != IN_TIME && outcome != AT_ONCE) return;
    // A second later it begins again.
    uint64_t entered_us = rig.replica.machine.entered_us;
    nowhere(SIM_CONNECT);
    sim_run_until(rig.sim, entered_us + REPLICA_RETRY_US - 1);
    state_is(REPLICA_BACKOFF, "rests", fault);
    sim_run_until(rig.sim, entered_us + REPLICA_RETRY_US + 1000);
    cr_assert_neq((int)rig.replica.machine.state, REPLICA_BACKOFF);
}

static void each_state(enum fault fault, void (*check)(const struct row *, enum fault))
{
    for (int i = 0; i < ROWS; i++) {
        get_to(&rows[i]);
        check(&rows[i], fault);
        rig_end();
        rig_begin();
    }
}

Test(replica_faults, silence)
{
    each_state(SILENCE, meets);
}
Test(replica_faults, drip)
{
    each_state(DRIP, meets);
}
Test(replica_faults, cut)
{
    each_state(CUT, meets);
}
Test(replica_faults, close)
{
    each_state(CLOSE, meets);
}
Test(replica_faults, garbage)
{
    each_state(GARBAGE, meets);
}
Test(replica_faults, refusal)
{
    each_state(REFUSAL, meets);
}

static void ends(const struct row *row, enum fault fault)
{
    int closes = rig.peer->closes, accepted = rig.peer->accepted;
    strike(row, fault);
    cr_assert(!rig.replica.following);
    sim_run_for(rig.sim, 5 * RIG_TIMEOUT);
    cr_assert_eq(rig.peer->closes - closes, row->state >= REPLICA_PING);
    cr_assert_eq(rig.peer->accepted, accepted, "it came back");
    data_is_whole(row, false);
}

Test(replica_faults, cancel)
{
    each_state(CANCEL, ends);
}
Test(replica_faults, shutdown)
{
    each_state(SHUTDOWN, ends);
}

static void turns_to_other(const struct row *row, enum fault fault)
{
    strike(row, fault);
    sim_run_for(rig.sim, 1000);
    cr_assert_eq(other->accepted, 1);
    state_is(REPLICA_PING, "at the other", fault);
    sim_run_for(rig.sim, 5 * RIG_TIMEOUT);
    cr_assert_null(rig.peer->conn);
    data_is_whole(row, false);
    peer_free(other);
}

Test(replica_faults, another_primary)
{
    each_state(OTHER_PRIMARY, turns_to_other);
}
