// MIGRATE against targets that are silent, drip, close, talk nonsense or stop reading, in every
// state. It gives up at exactly its row's deadline, and the key that was not acknowledged is still
// there, with nobody holding it.
#include "migrate_rig.h"

TestSuite(migrate, .init = rig_begin, .fini = rig_end);

// MIGRATE target 7000 key 1 1000 AUTH secret
static struct migrate *migrate(const char *key, bool auth)
{
    struct bytes name = bytes_from_cstr(key);
    struct migrate_request request = {
        .host = "target",
        .port = PORT,
        .target_db = 1,
        .timeout_ms = TIMEOUT_MS,
        .password = auth ? BYTES("secret") : (struct bytes){0},
        .key_count = 1,
        .keys = &name,
    };
    rig.done = 0;
    return migrate_start(&rig.migrator, &request, on_done, NULL);
}

static void follow(const struct peer_step *steps)
{
    rig.peer = peer_listen(rig.target, PORT, steps);
}

static void key_stays(const char *key)
{
    struct entry *e = db_find(store_db(&rig.store, 0), bytes_from_cstr(key));
    cr_assert_not_null(e, "the key is gone");
    cr_assert_eq(e->holds, 0, "somebody still holds the key");
    cr_assert_eq(rig.deleted, 0);
    cr_assert(!store_held(&rig.store, -1));
    cr_assert_eq(rig.migrator.flight_count, 0);
}

#define GREETING                                                                                   \
    "*2\r\n$4\r\nAUTH\r\n$6\r\nsecret\r\n"                                                         \
    "*2\r\n$6\r\nSELECT\r\n$1\r\n1\r\n"
#define RESTORE_HEAD "*4\r\n$7\r\nRESTORE\r\n$5\r\nsmall\r\n$1\r\n0\r\n$"

// What the target does when it has the request of a state: greet, or reply.
static const struct {
    const char *name;
    bool greeted;
} waits[] = {{"greet", false}, {"reply", true}};

// Follows the talk up to a wait; then the three steps in `last`.
static void follow_to(bool greeted, const struct peer_step *last)
{
    static struct peer_step steps[8];
    int n = 0;
    steps[n++] = (struct peer_step)DO_EXPECT(GREETING);
    if (greeted) {
        steps[n++] = (struct peer_step)DO_SEND("+OK\r\n+OK\r\n");
        steps[n++] = (struct peer_step)DO_EXPECT_PAST(RESTORE_HEAD);
    }
    memcpy(steps + n, last, 3 * sizeof(*last));
    put_small("small");
    follow(steps);
    migrate("small", true);
}

// The instant at which the state whose request the peer now has was entered, from the trace.
static uint64_t entered_us(const char *state)
{
    char arrow[32];
    snprintf(arrow, sizeof(arrow), "-> %s", state);
    const char *at = strstr(trace_text(&rig.trace), arrow);
    cr_assert_not_null(at, "never in %s:\n%s", state, trace_text(&rig.trace));
    while (at > trace_text(&rig.trace) && at[-1] != '\n')
        at--;
    double ms;
    cr_assert_eq(sscanf(at, "%lf", &ms), 1);
    return rig.trace.began_us + (uint64_t)(ms * 1000 + 0.5);
}

static void gives_up_at_deadline(const char *state)
{
    run_to_end(60 * 1000000);
    cr_assert_eq(rig.result.outcome, MIGRATE_IO_ERROR);
    cr_assert_eq(rig.done_at_us, entered_us(state) + TIMEOUT_US, "in %s: %llu us after", state,
                 (unsigned long long)(rig.done_at_us - entered_us(state)));
    key_stays("small");
}

Test(migrate, a_silent_target_is_given_up_at_the_deadline)
{
    static const struct peer_step silent[3] = {DO_END, DO_END, DO_END};
    for (int i = 0; i < 2; i++) {
        follow_to(waits[i].greeted, silent);
        gives_up_at_deadline(waits[i].name);
        rig_begin_again();
    }
}

Test(migrate, a_dripped_answer_buys_no_time)
{
    static const struct peer_step drip[3] = {DO_DRIP("++++++++++++++++", 300000), DO_END, DO_END};
    for (int i = 0; i < 2; i++) {
        follow_to(waits[i].greeted, drip);
        gives_up_at_deadline(waits[i].name);
        rig_begin_again();
    }
}

Test(migrate, a_target_that_closes_ends_it_at_once)
{
    static const struct peer_step close[3] = {DO_CLOSE, DO_END, DO_END};
    for (int i = 0; i < 2; i++) {
        follow_to(waits[i].greeted, close);
        run_to_end(TIMEOUT_US - 1);
        cr_assert_eq(rig.result.outcome, MIGRATE_IO_ERROR);
        key_stays("small");
        rig_begin_again();
    }
}

Test(migrate, nonsense_ends_it_at_once)
{
    static const struct peer_step nonsense[3] = {DO_SEND("what?\r\n"), DO_END, DO_END};
    for (int i = 0; i < 2; i++) {
        follow_to(waits[i].greeted, nonsense);
        run_to_end(TIMEOUT_US - 1);
        cr_assert_eq(rig.result.outcome, MIGRATE_IO_ERROR);
        key_stays("small");
        rig_begin_again();
    }
}

Test(migrate, connecting_has_one_deadline)
{
    struct sim_wire nowhere = {.connect = SIM_BLACK_HOLE};
    sim_set_wire(rig.sim, &nowhere);
    put_small("small");
    uint64_t at_us = sim_now_us(rig.sim);
    migrate("small", false);
    run_to_end(10 * TIMEOUT_US);
    cr_assert_eq(rig.done_at_us, at_us + TIMEOUT_US);
    cr_assert_eq(rig.migrator.stats.timeouts_connect, 1);
    key_stays("small");
}

Test(migrate, a_refused_connection_ends_it_at_once)
{
    struct sim_wire refuse = {.connect = SIM_REFUSE};
    sim_set_wire(rig.sim, &refuse);
    put_small("small");
    migrate("small", false);
    run_to_end(TIMEOUT_US - 1);
    cr_assert_eq(rig.result.outcome, MIGRATE_IO_ERROR);
    key_stays("small");
}

// ---- sending ------------------------------------------------------------------------------------

static const struct peer_step greeted_then_deaf[] = {DO_EXPECT("*2\r\n$6\r\nSELECT\r\n$1\r\n1\r\n"),
                                                     DO_SEND("+OK\r\n"), DO_PAUSE, DO_END};

Test(migrate, a_target_that_stops_reading_is_given_up_after_no_progress)
{
    put_large("small"); // by that name, so that key_stays looks at it
    follow(greeted_then_deaf);
    migrate("small", false);
    run_to_end(60 * TIMEOUT_US);
    cr_assert_eq(rig.migrator.stats.timeouts_send, 1);
    // The last byte was taken shortly after sending began: the wire holds 256 KiB.
    uint64_t waited_us = rig.done_at_us - entered_us("send");
    cr_assert_geq(waited_us, TIMEOUT_US);
    cr_assert_leq(waited_us, TIMEOUT_US + 100000);
    key_stays("small");
}

static bool all_sent(void *arg)
{
    (void)arg;
    return trace_has(&rig.trace, "-> reply");
}

Test(migrate, a_target_that_reads_slowly_but_steadily_gets_it_all)
{
    struct sim_wire slow = {.bytes_per_s = 400000, .window_bytes = 32 * 1024};
    sim_set_link(rig.sim, "source", "target", 0, &slow);
    static const struct peer_step steps[] = {DO_EXPECT("*2\r\n$6\r\nSELECT\r\n$1\r\n1\r\n"),
                                             DO_SEND("+OK\r\n"), DO_END};
    put_large("large");
    follow(steps);
    migrate("large", false);
    sim_run_for(rig.sim, 3 * TIMEOUT_US);
    cr_assert_eq(rig.done, 0, "given up although the target takes bytes all the time: %s",
                 rig.result.text);
    cr_assert(sim_run_while_not(rig.sim, all_sent, NULL, 30 * TIMEOUT_US));
    peer_send_text(rig.peer, "+OK\r\n");
    run_to_end(TIMEOUT_US);
    cr_assert_eq(rig.result.outcome, MIGRATE_OK, "%s", rig.result.text);
    cr_assert_eq(rig.deleted, 1);
}

Test(migrate, what_is_in_flight_stays_within_the_window)
{
    put_large("large");
    follow(greeted_then_deaf);
    migrate("large", false);
    for (int i = 0; i < 900; i++) {
        sim_run_for(rig.sim, 1000);
        struct conn *c = sim_last_conn(rig.source);
        if (c != NULL) cr_assert_leq(conn_queued(c), window(NULL) + 64 * 1024);
    }
}

Test(migrate, a_cut_at_any_byte_leaves_the_key)
{
    for (uint64_t cut = 1; cut < 120; cut++) {
        struct sim_wire wire = {.cut_after_bytes = cut};
        sim_set_link(rig.sim, "source", "target", 0, &wire);
        static const struct peer_step silent[3] = {DO_END, DO_END, DO_END};
        follow_to(true, silent);
        run_to_end(10 * TIMEOUT_US);
        cr_assert_eq(rig.result.outcome, MIGRATE_IO_ERROR);
        key_stays("small");
        rig_begin_again();
    }
}

// ---- answers ------------------------------------------------------------------------------------

Test(migrate, an_acknowledged_key_is_deleted)
{
    static const struct peer_step ok[3] = {DO_SEND("+OK\r\n"), DO_END, DO_END};
    follow_to(true, ok);
    run_to_end(TIMEOUT_US);
    cr_assert_eq(rig.result.outcome, MIGRATE_OK);
    cr_assert_eq(rig.deleted, 1);
    cr_assert_eq(rig.migrator.link_count, 1, "the link is kept");
    sim_run_for(rig.sim, MIGRATE_LINK_IDLE_US);
    cr_assert_eq(rig.migrator.link_count, 0, "but not for ever");
}

Test(migrate, a_refused_key_stays)
{
    static const struct peer_step busy[3] = {
        DO_SEND("-BUSYKEY Target key name already exists.\r\n"), DO_END, DO_END};
    follow_to(true, busy);
    run_to_end(TIMEOUT_US);
    cr_assert_eq(rig.result.outcome, MIGRATE_REFUSED);
    cr_assert_str_eq(rig.result.text, "Target instance replied with error: BUSYKEY Target key name "
                                      "already exists.");
    key_stays("small");
}

Test(migrate, a_wrong_password_stops_before_any_key_goes)
{
    static const struct peer_step wrong[3] = {DO_SEND("-WRONGPASS invalid\r\n+OK\r\n"), DO_END,
                                              DO_END};
    follow_to(false, wrong);
    run_to_end(TIMEOUT_US);
    cr_assert_eq(rig.result.outcome, MIGRATE_REFUSED);
    cr_assert_eq(peer_input(rig.peer).len, 0, "a key was sent all the same");
    key_stays("small");
}

Test(migrate, no_key_no_talk)
{
    static const struct peer_step steps[] = {DO_EXPECT("*2\r\n$6\r\nSELECT\r\n$1\r\n1\r\n"),
                                             DO_SEND("+OK\r\n"), DO_END};
    follow(steps);
    migrate("absent", false);
    run_to_end(TIMEOUT_US);
    cr_assert_eq(rig.result.outcome, MIGRATE_NO_KEY);
    cr_assert_eq(peer_input(rig.peer).len, 0);
}

// ---- cached links -------------------------------------------------------------------------------

Test(migrate, a_cached_link_that_died_is_replaced_once)
{
    static const struct peer_step steps[] = {DO_EXPECT("*2\r\n$6\r\nSELECT\r\n$1\r\n1\r\n"),
                                             DO_SEND("+OK\r\n"), DO_EXPECT_PAST("\r\n$1\r\n0\r\n$"),
                                             DO_SEND("+OK\r\n"), DO_END};
    put_small("first");
    put_small("second");
    follow(steps);
    migrate("first", false);
    run_to_end(TIMEOUT_US);
    cr_assert_eq(rig.migrator.link_count, 1);
    // The target goes away and comes back; the news has not reached us when the next one begins.
    struct sim_wire wire = *sim_wire_out(sim_last_conn(rig.source));
    wire.cut_after_bytes = sim_delivered_out(sim_last_conn(rig.source)) + 1;
    sim_set_wire_out(sim_last_conn(rig.source), &wire);
    peer_consume(rig.peer, peer_input(rig.peer).len);
    migrate("second", false);
    run_to_end(TIMEOUT_US);
    cr_assert_eq(rig.migrator.stats.links_reused, 1);
    // One byte of the second key was taken by the system as a whole: it may have been applied.
    cr_assert_eq(rig.result.outcome == MIGRATE_OK, rig.migrator.stats.retries == 1);
    if (rig.result.outcome != MIGRATE_OK)
        cr_assert_not_null(strstr(rig.result.text, "may be there too"), "%s", rig.result.text);
}

Test(migrate, a_cached_link_that_is_closed_while_idle_is_not_used)
{
    static const struct peer_step ok[3] = {DO_SEND("+OK\r\n"), DO_CLOSE, DO_END};
    follow_to(true, ok);
    run_to_end(TIMEOUT_US);
    sim_run_for(rig.sim, 100000);
    cr_assert_eq(rig.migrator.link_count, 0);
}

// ---- holds --------------------------------------------------------------------------------------

static int woken;

static void on_ready(struct waiter *w)
{
    (void)w;
    woken++;
}

Test(migrate, a_writer_waits_for_the_key_and_finds_it_gone)
{
    static const struct peer_step slow[3] = {DO_WAIT(500000), DO_SEND("+OK\r\n"), DO_END};
    woken = 0;
    follow_to(true, slow);
    struct waiter w = {.ready = on_ready};
    list_init(&w.link);
    sim_run_for(rig.sim, 100000);
    cr_assert_eq(store_before_write(&rig.store, 0, BYTES("small"), &w), WRITE_WAIT);
    run_to_end(TIMEOUT_US);
    sim_run_for(rig.sim, 1000);
    cr_assert_eq(woken, 1);
    cr_assert_null(db_find(store_db(&rig.store, 0), BYTES("small")));
}

Test(migrate, a_writer_waits_for_the_key_and_finds_it_kept)
{
    static const struct peer_step silent[3] = {DO_END, DO_END, DO_END};
    woken = 0;
    follow_to(true, silent);
    struct waiter w = {.ready = on_ready};
    list_init(&w.link);
    sim_run_for(rig.sim, 100000);
    cr_assert_eq(store_before_write(&rig.store, 0, BYTES("small"), &w), WRITE_WAIT);
    run_to_end(2 * TIMEOUT_US);
    sim_run_for(rig.sim, 1000);
    cr_assert_eq(woken, 1);
    key_stays("small");
}

Test(migrate, cancelling_in_any_state_keeps_the_key)
{
    for (int i = 0; i < 40; i++) {
        struct sim_wire wire = {.delay_us = 50};
        sim_set_wire(rig.sim, &wire);
        put_small("small");
        static struct peer_step steps[4] = {DO_EXPECT(GREETING), DO_SEND("+OK\r\n+OK\r\n"), DO_END};
        follow(steps);
        struct migrate *m = migrate("small", true);
        sim_run_for(rig.sim, (uint64_t)i * 20);
        migrate_cancel(m);
        sim_run_for(rig.sim, 1000);
        cr_assert_eq(rig.done, 0);
        key_stays("small");
        rig_begin_again();
    }
}
