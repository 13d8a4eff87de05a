// Full syncs as the replica receives them, both framings, cut and failed at every turn; and the
// stream that follows.
#include "replica_rig.h"

// "new" -> "value" in database 0; no checksum (eight zeros), as a primary with rdbchecksum no.
#define TEN "0123456789"
#define RDB_HEAD                                                                                   \
    "REDIS0010\xfa\x0erepl-stream-db\x01\x37\xfe\x00\x00\x03new\x05value\x00\x04new2\x40\x64" TEN  \
        TEN TEN TEN TEN TEN TEN TEN TEN TEN
#define RDB        RDB_HEAD "\xff\0\0\0\0\0\0\0\0"
#define RDB_LEN    (sizeof(RDB) - 1)
#define PSYNC_FULL "+FULLRESYNC " RIG_ID " 1000\r\n"
#define ACK_1000   "*3\r\n$8\r\nREPLCONF\r\n$3\r\nACK\r\n$4\r\n1000\r\n"

static char eof_form[512], len_form[512];
static size_t eof_len, len_len;

static void begin(void)
{
    rig_begin();
    eof_len = (size_t)snprintf(eof_form, sizeof(eof_form), "$EOF:%s\r\n", RIG_MARK);
    memcpy(eof_form + eof_len, RDB, RDB_LEN);
    memcpy(eof_form + eof_len + RDB_LEN, RIG_MARK, 40);
    eof_len += RDB_LEN + 40;
    len_len = (size_t)snprintf(len_form, sizeof(len_form), "$%zu\r\n", RDB_LEN);
    memcpy(len_form + len_len, RDB, RDB_LEN);
    len_len += RDB_LEN;
}

TestSuite(replica_sync, .init = begin, .fini = rig_end);

// Handshake up to the answer to PSYNC, then these steps.
static void follow(const struct peer_step *last, int count)
{
    static struct peer_step steps[40];
    int n = 0;
    const char *const answers[] = {"+PONG\r\n", "+OK\r\n", "+OK\r\n"};
    const char *const ends[] = {"PING\r\n", "7000\r\n", "psync2\r\n"};
    for (int i = 0; i < 3; i++) {
        steps[n++] = (struct peer_step)DO_EXPECT_PAST(ends[i]);
        steps[n++] = (struct peer_step)DO_SEND(answers[i]);
    }
    steps[n++] = (struct peer_step)DO_EXPECT_PAST("-1\r\n"); // "PSYNC ? -1"
    steps[n++] = (struct peer_step)DO_SEND(PSYNC_FULL);
    for (int i = 0; i < count; i++)
        steps[n++] = last[i];
    steps[n] = (struct peer_step)DO_END;
    rig_follow(steps);
}

#define FOLLOW(...)                                                                                \
    do {                                                                                           \
        const struct peer_step last_[] = {__VA_ARGS__};                                            \
        follow(last_, (int)(sizeof(last_) / sizeof(last_[0])));                                    \
    } while (0)

static void new_state_stands(void)
{
    cr_assert(rig_has_key("new"));
    cr_assert(!rig_has_key("old"));
    cr_assert_eq(rig.adopted, 1);
    cr_assert_str_eq(rig.stream.id, RIG_ID);
    cr_assert(rig.replica.cached);
}

static void begin_again(void)
{
    rig_end();
    begin();
}

Test(replica_sync, both_framings_cut_at_every_byte)
{
    for (int form = 0; form < 2; form++) {
        const char *bytes = form ? len_form : eof_form;
        size_t len = form ? len_len : eof_len;
        for (size_t cut = 1; cut < len; cut++) {
            FOLLOW(DO_SEND_BYTES(bytes, cut), DO_WAIT(1000), DO_SEND_BYTES(bytes + cut, len - cut),
                   DO_EXPECT_PAST(ACK_1000));
            cr_assert(peer_run(rig.peer, 3000000), "form %d cut %zu: %s\n%s", form, cut,
                      rig.peer->why, trace_text(&rig.trace));
            new_state_stands();
            cr_assert_eq(rig.stream.offset, 1000);
            cr_assert_eq(rig.db, 7);
            begin_again();
            bytes = form ? len_form : eof_form;
        }
    }
}

Test(replica_sync, stream_that_follows_in_the_same_breath_is_kept)
{
    for (int form = 0; form < 2; form++) {
        size_t len = form ? len_len : eof_len;
        char all[600];
        memcpy(all, form ? len_form : eof_form, len);
        memcpy(all + len, "*1\r\n$4\r\nPING\r\n", 14);
        FOLLOW(DO_SEND_BYTES(all, len + 14), DO_EXPECT_PAST(ACK_1000));
        cr_assert(peer_run(rig.peer, 3000000), "%s\n%s", rig.peer->why, trace_text(&rig.trace));
        new_state_stands();
        sim_run_for(rig.sim, 1000);
        cr_assert_eq(rig.stream.offset, 1014);
        cr_assert(bytes_equal(buf_view(&rig.seen), BYTES("*1\r\n$4\r\nPING\r\n")));
        begin_again();
    }
}

Test(replica_sync, a_silent_transfer_is_given_up_at_the_deadline_and_the_old_data_stands)
{
    FOLLOW(DO_SEND_BYTES(eof_form, 70));
    rig_run_to(REPLICA_TRANSFER, 1000000);
    sim_run_for(rig.sim, 1000);
    cr_assert(rig_has_key("old"), "old data is readable meanwhile");
    rig_gives_up_at(REPLICA_TRANSFER, rig.replica.last_io_us + RIG_TIMEOUT);
    rig_old_state_stands();
    cr_assert(trace_has(&rig.trace, "Timeout receiving bulk data from MASTER"));
}

Test(replica_sync, a_dripping_transfer_lives_and_ends_when_the_drip_does)
{
    FOLLOW(DO_SEND("$EOF:" RIG_MARK "\r\n"), DO_DRIP("REDIS00", 6000000));
    rig_run_to(REPLICA_TRANSFER, 1000000);
    uint64_t entered_us = rig.replica.machine.entered_us;
    sim_run_until(rig.sim, entered_us + 6 * 6000000);
    cr_assert_eq((int)rig.replica.machine.state, REPLICA_TRANSFER);
    cr_assert(peer_run(rig.peer, 60000000));
    sim_run_for(rig.sim, 1000);
    rig_gives_up_at(REPLICA_TRANSFER, rig.replica.last_io_us + RIG_TIMEOUT);
    rig_old_state_stands();
}

Test(replica_sync, a_link_lost_at_any_byte_leaves_the_old_data)
{
    for (int form = 0; form < 2; form++) {
        size_t head = strcspn(form ? len_form : eof_form, "\n") + 1;
        size_t len = form ? len_len : eof_len;
        for (size_t cut = head; cut < len; cut++) {
            FOLLOW(DO_SEND_BYTES(form ? len_form : eof_form, cut), DO_WAIT(2000), DO_CUT);
            rig_run_to(REPLICA_BACKOFF, 1000000);
            rig_old_state_stands();
            cr_assert(trace_has(&rig.trace, "Internal error in RDB"));
            begin_again();
        }
    }
}

Test(replica_sync, garbage_leaves_the_old_data)
{
    FOLLOW(DO_SEND("$EOF:" RIG_MARK "\r\n"), DO_GARBAGE(5000));
    rig_run_to(REPLICA_BACKOFF, 1000000);
    rig_old_state_stands();
    begin_again();
    FOLLOW(DO_SEND("$5000\r\n"), DO_GARBAGE(5000));
    rig_run_to(REPLICA_BACKOFF, 1000000);
    rig_old_state_stands();
}

Test(replica_sync, an_rdb_that_is_shorter_than_announced_is_an_error)
{
    FOLLOW(DO_SEND("$20\r\n"), DO_SEND_BYTES(RDB, 20));
    rig_run_to(REPLICA_BACKOFF, 1000000);
    rig_old_state_stands();
    begin_again();
    FOLLOW(DO_SEND("$0\r\n"));
    rig_run_to(REPLICA_BACKOFF, 1000000);
    rig_old_state_stands();
}

Test(replica_sync, a_mark_in_the_middle_of_an_rdb_is_an_error)
{
    FOLLOW(DO_SEND("$EOF:" RIG_MARK "\r\n"), DO_SEND_BYTES(RDB, 30), DO_SEND(RIG_MARK));
    rig_run_to(REPLICA_BACKOFF, 1000000);
    rig_old_state_stands();
}

Test(replica_sync, another_mark_than_announced_is_an_error)
{
    FOLLOW(DO_SEND("$EOF:" RIG_MARK "\r\n"), DO_SEND_BYTES(RDB, RDB_LEN), DO_SEND(RIG_OTHER));
    rig_run_to(REPLICA_BACKOFF, 1000000);
    rig_old_state_stands();
}

Test(replica_sync, an_error_in_place_of_the_rdb_is_told)
{
    FOLLOW(DO_SEND("-ERR BGSAVE failed\r\n"));
    rig_run_to(REPLICA_BACKOFF, 1000000);
    cr_assert(trace_has(&rig.trace, "MASTER aborted replication with an error: -ERR BGSAVE"));
}

Test(replica_sync, we_say_that_we_live_each_second_while_the_rdb_comes)
{
    FOLLOW(DO_SEND_BYTES(eof_form, 60), DO_WAIT(3500000));
    rig_run_to(REPLICA_TRANSFER, 1000000);
    cr_assert(peer_run(rig.peer, 5000000));
    cr_assert(bytes_equal(peer_input(rig.peer), BYTES("\n\n\n")));
}

Test(replica_sync, our_own_slowness_is_not_the_primarys_silence)
{
    // Decoding takes 25 s (key-load-delay), which is longer than repl-timeout.
    rig.key_delay_us = 25000000;
    FOLLOW(DO_SEND_BYTES(len_form, len_len), DO_EXPECT_PAST(ACK_1000));
    rig_run_to(REPLICA_FINISH, 1000000);
    cr_assert(rig_has_key("old"));
    cr_assert(peer_run(rig.peer, 60000000), "%s\n%s", rig.peer->why, trace_text(&rig.trace));
    new_state_stands();
    cr_assert_eq(rig.peer->closes, 0);
}

Test(replica_sync, a_link_lost_while_decoding_goes_on_from_the_syncs_offset)
{
    char all[600];
    memcpy(all, len_form, len_len);
    memcpy(all + len_len, "*1\r\n$4\r\nPING\r\n", 14);
    rig.key_delay_us = 5000000;
    FOLLOW(DO_SEND_BYTES(all, len_len + 14), DO_WAIT(1000000), DO_CUT);
    rig_run_to(REPLICA_FINISH, 1000000);
    cr_assert(peer_run(rig.peer, 3000000));
    rig_run_to(REPLICA_PSYNC, 20000000);
    new_state_stands();
    cr_assert(
        trace_has(&rig.trace, "Trying a partial resynchronization (request " RIG_ID ":1001)"));
    cr_assert_eq(buf_len(&rig.replica.after), 0, "what came behind the RDB will come again");
}

Test(replica_sync, holds_on_old_keys_are_waited_for)
{
    rig.wait_adopt = true;
    FOLLOW(DO_SEND_BYTES(eof_form, eof_len), DO_WAIT(30000000));
    rig_run_to(REPLICA_FINISH, 1000000);
    sim_run_for(rig.sim, 20000000);
    cr_assert_eq((int)rig.replica.machine.state, REPLICA_FINISH);
    cr_assert(rig_has_key("old"));
    rig_put_in_service();
    replica_adopted(&rig.replica);
    rig_run_to(REPLICA_STREAM, 1000000);
    new_state_stands();
}

Test(replica_sync, stopping_anywhere_leaves_the_old_data)
{
    for (size_t cut = 50; cut < eof_len; cut += 10) {
        rig.key_delay_us = 1000000;
        FOLLOW(DO_SEND_BYTES(eof_form, cut));
        sim_run_for(rig.sim, 500000);
        replica_stop(&rig.replica);
        sim_run_for(rig.sim, 50000000);
        rig_old_state_stands();
        begin_again();
    }
}

// ---- the stream -------------------------------------------------------------------------------

// In the middle of the stream, at offset 1000.
static void follow_to_stream(void)
{
    FOLLOW(DO_SEND_BYTES(eof_form, eof_len), DO_EXPECT_PAST(ACK_1000));
    cr_assert(peer_run(rig.peer, 3000000), "%s", rig.peer->why);
}

Test(replica_sync, acks_go_out_each_second_with_what_was_applied)
{
    follow_to_stream();
    peer_send_text(rig.peer, "*1\r\n$4\r\nPING\r\n");
    cr_assert(
        peer_expect(rig.peer, "*3\r\n$8\r\nREPLCONF\r\n$3\r\nACK\r\n$4\r\n1014\r\n", 1000001));
    rig.stuck = true;
    peer_send_text(rig.peer, "*1\r\n$4\r\nPING\r\n");
    cr_assert(peer_expect(rig.peer, "*3\r\n$8\r\nREPLCONF\r\n$3\r\nACK\r\n$4\r\n1014\r\n", 1000001),
              "busy, and still acknowledging");
}

Test(replica_sync, a_silent_stream_is_lost_at_the_deadline_and_gone_on_with)
{
    follow_to_stream();
    sim_run_until(rig.sim, rig.replica.last_io_us + RIG_TIMEOUT - 1);
    cr_assert_eq((int)rig.replica.machine.state, REPLICA_STREAM);
    sim_run_until(rig.sim, rig.replica.last_io_us + RIG_TIMEOUT);
    cr_assert(trace_has(&rig.trace, "MASTER timeout: no data nor PING received..."));
    cr_assert_eq(rig.ended, 1);
    rig_run_to(REPLICA_PSYNC, 1000000);
    cr_assert(
        trace_has(&rig.trace, "Trying a partial resynchronization (request " RIG_ID ":1001)"));
    new_state_stands();
}

Test(replica_sync, bytes_keep_the_stream_alive)
{
    follow_to_stream();
    for (int i = 0; i < 5; i++) {
        sim_run_for(rig.sim, RIG_TIMEOUT - 1000);
        peer_send_text(rig.peer, "\n");
        sim_run_for(rig.sim, 100);
    }
    cr_assert_eq((int)rig.replica.machine.state, REPLICA_STREAM);
}

Test(replica_sync, what_was_not_applied_is_asked_for_again)
{
    follow_to_stream();
    peer_send_text(rig.peer, "*1\r\n$4\r\nPING\r\n");
    sim_run_for(rig.sim, 1000);
    rig.stuck = true;
    peer_send_text(rig.peer, "*1\r\n$4\r\nHALF");
    sim_run_for(rig.sim, 1000);
    cr_assert_eq(rig.stream.received, 1026);
    sim_cut(rig.replica.conn);
    rig_run_to(REPLICA_PSYNC, 2000000);
    cr_assert(
        trace_has(&rig.trace, "Trying a partial resynchronization (request " RIG_ID ":1015)"));
    cr_assert_eq(rig.stream.received, 1014);
}

Test(replica_sync, a_stuck_stream_holds_the_primary_back_and_no_silence_counts)
{
    follow_to_stream();
    rig.stuck = true;
    static char block[3 << 20];
    memset(block, 'x', sizeof(block));
    peer_send(rig.peer, bytes_of(block, sizeof(block)));
    sim_run_for(rig.sim, 5 * RIG_TIMEOUT);
    cr_assert_eq((int)rig.replica.machine.state, REPLICA_STREAM, "%s", trace_text(&rig.trace));
    cr_assert(rig.replica.held_back);
    cr_assert_lt(buf_len(&rig.seen), (size_t)REPLICA_UNAPPLIED_BYTES + 128 * 1024);
    rig.stuck = false;
    rig.applied = buf_len(&rig.seen);
    replica_applied(&rig.replica, rig.applied, 3);
    replica_unstuck(&rig.replica);
    sim_run_for(rig.sim, 1000000);
    cr_assert_eq(buf_len(&rig.seen), sizeof(block));
    cr_assert_eq(rig.stream.offset, (int64_t)(1000 + sizeof(block)));
}

Test(replica_sync, nonsense_in_the_stream_means_a_full_sync)
{
    follow_to_stream();
    rig.bad = true;
    peer_send_text(rig.peer, "nonsense\r\n");
    sim_run_for(rig.sim, 1000);
    cr_assert_eq((int)rig.replica.machine.state, REPLICA_BACKOFF);
    cr_assert(!rig.replica.cached);
}

Test(replica_sync, going_on_under_a_new_id_tells_our_own_replicas)
{
    rig.replica.cached = true;
    rig.replica.db = 5;
    repl_stream_reset(&rig.stream, RIG_ID, 500);
    static const struct peer_step steps[] = {
        RIG_GREETED,
        DO_EXPECT("*3\r\n$5\r\nPSYNC\r\n$40\r\n" RIG_ID "\r\n$3\r\n501\r\n"),
        DO_SEND("+CONTINUE " RIG_OTHER "\r\n*1\r\n$4\r\nPING\r\n"),
        DO_END,
    };
    rig_follow(steps);
    rig_run_to(REPLICA_STREAM, 1000000);
    sim_run_for(rig.sim, 1000);
    cr_assert_eq(rig.histories, 1);
    cr_assert_eq(rig.db, 5);
    cr_assert_str_eq(rig.stream.id, RIG_OTHER);
    cr_assert_str_eq(rig.stream.id2, RIG_ID);
    cr_assert_eq(rig.stream.second_offset, 501);
    cr_assert_eq(rig.stream.offset, 514);
    rig_old_state_stands();
}
