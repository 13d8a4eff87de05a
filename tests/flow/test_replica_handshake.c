// Every step of the handshake against a primary that is silent, drips, closes or talks nonsense.
// Whatever happens, the step ends at exactly its row's deadline, and the old data is still there.
#include "replica_rig.h"

#define WORDS_AUTH "*3\r\n$4\r\nAUTH\r\n$4\r\nrepl\r\n$6\r\nsecret\r\n"
#define WORDS_PORT "*3\r\n$8\r\nREPLCONF\r\n$14\r\nlistening-port\r\n$4\r\n7000\r\n"
#define WORDS_IP   "*3\r\n$8\r\nREPLCONF\r\n$10\r\nip-address\r\n$8\r\n10.1.2.3\r\n"
#define WORDS_CAPA                                                                                 \
    "*5\r\n$8\r\nREPLCONF\r\n$4\r\ncapa\r\n$3\r\neof\r\n$4\r\ncapa\r\n$6\r\npsync2\r\n"
#define WORDS_PSYNC "*3\r\n$5\r\nPSYNC\r\n$1\r\n?\r\n$2\r\n-1\r\n"

// What the machine says in each state, and what lets it go on.
static const struct {
    int state;
    const char *expect, *answer;
} handshake[] = {
    {REPLICA_PING, "*1\r\n$4\r\nPING\r\n", "+PONG\r\n"},
    {REPLICA_AUTH, WORDS_AUTH, "+OK\r\n"},
    {REPLICA_PORT, WORDS_PORT, "+OK\r\n"},
    {REPLICA_IP, WORDS_IP, "+OK\r\n"},
    {REPLICA_CAPA, WORDS_CAPA, "+OK\r\n"},
    {REPLICA_PSYNC, WORDS_PSYNC, "+FULLRESYNC " RIG_ID " 1000\r\n"},
    {REPLICA_HEADER, NULL, "$EOF:" RIG_MARK "\r\n"},
};
enum { STEPS = sizeof(handshake) / sizeof(handshake[0]) };

TestSuite(replica_handshake, .init = rig_begin, .fini = rig_end);

// The handshake up to state number `index`, whose request is taken, then `last` three steps.
static void follow_to(int index, const struct peer_step *last)
{
    static struct peer_step steps[2 * STEPS + 4];
    int n = 0;
    rig.settings.user = BYTES("repl");
    rig.settings.password = BYTES("secret");
    rig.settings.announce_ip = "10.1.2.3";
    for (int i = 0; i <= index; i++) {
        if (handshake[i].expect != NULL)
            steps[n++] = (struct peer_step)DO_EXPECT(handshake[i].expect);
        else
            steps[n++] = (struct peer_step)DO_WAIT(1); // so that the state is seen at all
        if (i < index) steps[n++] = (struct peer_step)DO_SEND(handshake[i].answer);
    }
    memcpy(steps + n, last, 3 * sizeof(*last));
    rig_follow(steps);
    rig_run_to(handshake[index].state, 1000000);
}

static void begin_again(void)
{
    rig_end();
    rig_begin();
}

Test(replica_handshake, a_silent_primary_is_given_up_at_the_deadline)
{
    static const struct peer_step silent[3] = {DO_END, DO_END, DO_END};
    for (int i = 0; i < STEPS; i++) {
        follow_to(i, silent);
        rig_gives_up_at(handshake[i].state, rig.replica.machine.entered_us + RIG_TIMEOUT);
        rig_old_state_stands();
        begin_again();
    }
}

Test(replica_handshake, a_dripped_line_buys_no_time)
{
    static const struct peer_step drip[3] = {
        DO_DRIP("+++++++++++++++++++++++++++++++++++++++", 1000000), DO_END, DO_END};
    for (int i = 0; i < STEPS; i++) {
        follow_to(i, drip);
        rig_gives_up_at(handshake[i].state, rig.replica.machine.entered_us + RIG_TIMEOUT);
        rig_old_state_stands();
        begin_again();
    }
}

Test(replica_handshake, newlines_are_life_only_while_the_answer_is_being_prepared)
{
    static const struct peer_step newlines[3] = {DO_DRIP("\n\n\n\n\n\n\n\n\n\n\n\n", 1000000),
                                                 DO_END, DO_END};
    for (int i = 0; i < STEPS; i++) {
        follow_to(i, newlines);
        bool waits = handshake[i].state == REPLICA_PSYNC || handshake[i].state == REPLICA_HEADER;
        uint64_t last_us = waits ? 12 * 1000000 : 0; // DRIP sends its first byte after a second
        if (waits) {
            // The instant of the last newline is the one from which the silence counts.
            sim_run_until(rig.sim, rig.replica.machine.entered_us + 11 * 1000000 + 500000);
            cr_assert_eq((int)rig.replica.machine.state, handshake[i].state);
            last_us = rig.replica.last_io_us - rig.replica.machine.entered_us;
            sim_run_for(rig.sim, 1000000);
            last_us = rig.replica.last_io_us - rig.replica.machine.entered_us;
            cr_assert_gt(last_us, 10 * 1000000);
        }
        rig_gives_up_at(handshake[i].state, rig.replica.machine.entered_us + last_us + RIG_TIMEOUT);
        rig_old_state_stands();
        begin_again();
    }
}

Test(replica_handshake, a_primary_that_closes_is_tried_again_after_a_second)
{
    static const struct peer_step close[3] = {DO_CLOSE, DO_END, DO_END};
    for (int i = 0; i < STEPS; i++) {
        follow_to(i, close);
        rig_run_to(REPLICA_BACKOFF, 1000000);
        uint64_t at_us = rig.replica.machine.entered_us;
        rig_old_state_stands();
        sim_run_until(rig.sim, at_us + REPLICA_RETRY_US - 1);
        cr_assert_eq((int)rig.replica.machine.state, REPLICA_BACKOFF);
        rig_run_to(handshake[i].state, 1000001);
        begin_again();
    }
}

Test(replica_handshake, nonsense_is_given_up_at_once)
{
    static const struct peer_step nonsense[3] = {DO_SEND("what?\r\n"), DO_END, DO_END};
    for (int i = 0; i < STEPS; i++) {
        follow_to(i, nonsense);
        rig_run_to(REPLICA_BACKOFF, 1000000);
        rig_old_state_stands();
        begin_again();
    }
}

Test(replica_handshake, an_endless_line_is_given_up_at_its_limit)
{
    static char line[LINE_MAX_BYTES + 2];
    memset(line, '+', sizeof(line));
    struct peer_step endless[3] = {DO_SEND_BYTES(line, sizeof(line)), DO_END, DO_END};
    for (int i = 0; i < STEPS; i++) {
        follow_to(i, endless);
        rig_run_to(REPLICA_BACKOFF, 1000000);
        rig_old_state_stands();
        begin_again();
    }
}

Test(replica_handshake, connecting_has_one_deadline)
{
    struct sim_wire nowhere = {.connect = SIM_BLACK_HOLE};
    sim_set_wire(rig.sim, &nowhere);
    static const struct peer_step none[] = {DO_END};
    uint64_t at_us = sim_now_us(rig.sim);
    rig_follow(none);
    rig_gives_up_at(REPLICA_CONNECT, at_us + RIG_TIMEOUT);
    rig_old_state_stands();
}

Test(replica_handshake, a_refused_connection_is_tried_again_each_second)
{
    struct sim_wire refuse = {.connect = SIM_REFUSE};
    sim_set_wire(rig.sim, &refuse);
    static const struct peer_step none[] = {DO_END};
    rig_follow(none);
    rig_run_to(REPLICA_BACKOFF, 1000000);
    rig_run_to(REPLICA_CONNECT, 1000001);
    rig_run_to(REPLICA_BACKOFF, 1000000);
}

Test(replica_handshake, a_reply_is_awaited_from_when_the_request_was_taken)
{
    // The wire takes a byte of our PING each second and a half or so: progress, then silence.
    struct sim_wire slow = {.bytes_per_s = 1, .window_bytes = 1};
    sim_set_link(rig.sim, "replica", "primary", 0, &slow);
    static const struct peer_step none[] = {DO_END};
    rig_follow(none);
    rig_run_to(REPLICA_PING, 20000000);
    uint64_t entered_us = rig.replica.machine.entered_us;
    sim_run_until(rig.sim, entered_us + RIG_TIMEOUT + 500000);
    cr_assert_eq((int)rig.replica.machine.state, REPLICA_PING, "progress was no progress");
    rig_run_to(REPLICA_BACKOFF, 30000000);
    cr_assert_geq(rig.replica.machine.entered_us, entered_us + 12 * 1000000 + RIG_TIMEOUT);
    cr_assert_leq(rig.replica.machine.entered_us, entered_us + 15 * 1000000 + RIG_TIMEOUT);
}

Test(replica_handshake, steps_that_are_not_needed_are_skipped)
{
    static const struct peer_step steps[] = {
        DO_EXPECT("*1\r\n$4\r\nPING\r\n"),
        DO_SEND("-NOAUTH Authentication required.\r\n"),
        DO_EXPECT(WORDS_PORT),
        DO_SEND("-ERR unknown\r\n"),
        DO_EXPECT(WORDS_CAPA),
        DO_SEND("-ERR unknown\r\n"),
        DO_EXPECT(WORDS_PSYNC),
        DO_END,
    };
    rig_follow(steps);
    cr_assert(peer_run(rig.peer, 1000000), "%s", rig.peer->why);
}

Test(replica_handshake, a_wrong_password_ends_it)
{
    static const struct peer_step wrong[3] = {DO_SEND("-WRONGPASS invalid\r\n"), DO_END, DO_END};
    follow_to(1, wrong);
    rig_run_to(REPLICA_BACKOFF, 1000000);
    cr_assert(trace_has(&rig.trace, "Unable to AUTH to MASTER: -WRONGPASS invalid"));
}

Test(replica_handshake, a_primary_that_cannot_yet_is_asked_again)
{
    static const struct peer_step later[3] = {
        DO_SEND("-NOMASTERLINK Can't SYNC while not connected with my master\r\n"), DO_END, DO_END};
    follow_to(5, later);
    rig_run_to(REPLICA_BACKOFF, 1000000);
    cr_assert(trace_has(&rig.trace, "currently unable to PSYNC but should be in the future"));
    rig_run_to(REPLICA_PSYNC, 2000000);
}

Test(replica_handshake, a_continue_that_was_not_asked_for_is_refused)
{
    static const struct peer_step steps[3] = {DO_SEND("+CONTINUE " RIG_ID "\r\n"), DO_END, DO_END};
    follow_to(5, steps);
    rig_run_to(REPLICA_BACKOFF, 1000000);
    cr_assert_eq(rig.begun, 0);
}

Test(replica_handshake, stopping_in_any_state_leaves_nothing)
{
    static const struct peer_step silent[3] = {DO_END, DO_END, DO_END};
    for (int i = 0; i < STEPS; i++) {
        follow_to(i, silent);
        replica_stop(&rig.replica);
        cr_assert(!rig.replica.following);
        cr_assert_eq((int)rig.replica.machine.state, REPLICA_OFF);
        sim_run_for(rig.sim, 5 * RIG_TIMEOUT);
        cr_assert_eq(rig.peer->closes, 1);
        rig_old_state_stands();
        begin_again();
    }
}

// ---- a primary that does not know PSYNC ---------------------------------------------------------

#define OLD_RDB "REDIS0006\xfe\x00\x00\x03new\x05value\xff\0\0\0\0\0\0\0\0"

Test(replica_handshake, a_primary_without_psync_is_asked_by_sync)
{
    static const struct peer_step old[3] = {DO_SEND("-ERR unknown command 'PSYNC'\r\n"),
                                            DO_EXPECT("*1\r\n$4\r\nSYNC\r\n"), DO_END};
    follow_to(5, old);
    cr_assert(peer_run(rig.peer, 1000000), "%s", rig.peer->why);
    rig_run_to(REPLICA_HEADER, 1000000);
    cr_assert(trace_has(&rig.trace, "Retrying with SYNC..."));
    char head[16];
    int len = snprintf(head, sizeof(head), "$%zu\r\n", sizeof(OLD_RDB) - 1);
    peer_send(rig.peer, bytes_of(head, (size_t)len));
    peer_send(rig.peer, bytes_of(OLD_RDB, sizeof(OLD_RDB) - 1));
    rig_run_to(REPLICA_STREAM, 1000000);
    cr_assert(rig_has_key("new"));
    cr_assert(!rig_has_key("old"));
    // It understands no acknowledgement, and has no history that could be asked for.
    size_t before = buf_len(&rig.peer->input);
    for (int i = 0; i < 5; i++) {
        peer_send_text(rig.peer, "*1\r\n$4\r\nPING\r\n");
        sim_run_for(rig.sim, 1000000);
    }
    cr_assert_eq(buf_len(&rig.peer->input), before);
    cr_assert_eq(rig.stream.offset, 70);
    sim_cut(rig.replica.conn);
    rig_run_to(REPLICA_PSYNC, 2000000);
    cr_assert(!rig.replica.cached);
}

Test(replica_handshake, the_answer_to_sync_has_a_deadline_too)
{
    static const struct peer_step old[3] = {DO_SEND("-ERR unknown command\r\n"),
                                            DO_EXPECT("*1\r\n$4\r\nSYNC\r\n"), DO_END};
    follow_to(5, old);
    rig_run_to(REPLICA_HEADER, 1000000);
    rig_gives_up_at(REPLICA_HEADER, rig.replica.machine.entered_us + RIG_TIMEOUT);
    rig_old_state_stands();
}

Test(replica_handshake, a_failover_never_falls_back_to_sync)
{
    rig.settings.failover = true;
    static const struct peer_step steps[] = {
        RIG_GREETED,
        DO_EXPECT_PAST("FAILOVER\r\n"),
        DO_SEND("-ERR no\r\n"),
        DO_END,
    };
    rig_follow(steps);
    rig_run_to(REPLICA_BACKOFF, 1000000);
    cr_assert_eq(rig.answers, 1);
    cr_assert(!rig.accepted);
    rig_old_state_stands();
}
