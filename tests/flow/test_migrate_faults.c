// Every state of MIGRATE and every fault of its target, its client or this node, as a table: what
// becomes of it, at which instant, and that nothing is left behind.
#include "migrate/migrate_impl.h"
#include "migrate_rig.h"

enum { DELAY_US = 100 };

TestSuite(migrate_faults, .init = rig_begin, .fini = rig_end);

#define GREETING                                                                                   \
    "*2\r\n$4\r\nAUTH\r\n$6\r\nsecret\r\n"                                                         \
    "*2\r\n$6\r\nSELECT\r\n$1\r\n1\r\n"
#define ANY_RESTORE "\r\n$7\r\nRESTORE\r\n"

// ---- where it is met ----------------------------------------------------------------------------

enum place {
    AUTHING,
    SELECTING,
    COUNTING_IT,
    SENDING_IT,
    REPLYING,
    SECOND,
    WAITING,
    SETTLING,
    PAUSED,
    PLACES
};

// What the target does until then; it then follows the fault's steps.
static const struct {
    const char *name;
    int state;
    struct peer_step steps[7];
} places[PLACES] = {
    [AUTHING] = {"auth", GREET, {DO_EXPECT(GREETING), DO_END}},
    [SELECTING] = {"select", GREET, {DO_EXPECT(GREETING), DO_SEND("+OK\r\n"), DO_END}},
    [COUNTING_IT] = {"count", COUNT, {DO_EXPECT(GREETING), DO_SEND("+OK\r\n+OK\r\n"), DO_END}},
    [SENDING_IT] = {"send",
                    SEND,
                    {DO_EXPECT(GREETING), DO_SEND("+OK\r\n+OK\r\n"), DO_PAUSE, DO_END}},
    [REPLYING] = {"reply",
                  REPLY,
                  {DO_EXPECT(GREETING), DO_SEND("+OK\r\n+OK\r\n"), DO_EXPECT_PAST(ANY_RESTORE),
                   DO_END}},
    [SECOND] = {"second",
                REPLY,
                {DO_EXPECT(GREETING), DO_SEND("+OK\r\n+OK\r\n"), DO_EXPECT_PAST(ANY_RESTORE),
                 DO_EXPECT_PAST(ANY_RESTORE), DO_SEND("+OK\r\n"), DO_END}},
    [WAITING] = {"held", HELD, {DO_EXPECT(GREETING), DO_SEND("+OK\r\n+OK\r\n"), DO_END}},
    [SETTLING] = {"settle",
                  REPLY,
                  {DO_EXPECT(GREETING), DO_SEND("+OK\r\n+OK\r\n"), DO_EXPECT_PAST(ANY_RESTORE),
                   DO_END}},
    [PAUSED] = {"paused",
                REPLY,
                {DO_EXPECT(GREETING), DO_SEND("+OK\r\n+OK\r\n"), DO_EXPECT_PAST(ANY_RESTORE),
                 DO_END}},
};

static bool in_state(void *arg)
{
    const struct migrate *m = arg;
    return rig.done > 0 || m->machine.state == SETTLE;
}

struct met {
    struct migrate *m;
    struct entry *other; // that the test holds
    struct waiter writer;
    bool writer_waits;
};

static int woken;

static void on_ready(struct waiter *w)
{
    (void)w;
    woken++;
}

static struct migrate *migrate(int key_count, const struct bytes *names)
{
    struct migrate_request request = {
        .host = "target",
        .port = PORT,
        .target_db = 1,
        .timeout_ms = TIMEOUT_MS,
        .password = BYTES("secret"),
        .key_count = key_count,
        .keys = names,
    };
    rig.done = rig.deleted = 0;
    return migrate_start(&rig.migrator, &request, on_done, NULL);
}

static struct entry *key(void)
{
    return db_find(store_db(&rig.store, 0), BYTES("key"));
}

static void start(struct met *met, enum place place)
{
    struct bytes names[] = {BYTES("first"), BYTES("key")};
    struct sim_wire wire = {.delay_us = DELAY_US};
    sim_set_wire(rig.sim, &wire);
    *met = (struct met){.writer.ready = on_ready};
    list_init(&met->writer.link);
    woken = 0;
    put_small("first");
    if (place == COUNTING_IT || place == SENDING_IT)
        put_large("key");
    else
        put_small("key");
    if (place == WAITING) store_hold(&rig.store, 0, met->other = key());
    rig.peer = peer_listen(rig.target, PORT, places[place].steps);
    met->m = place == SECOND ? migrate(2, names) : migrate(1, names + 1);
}

// Brings a migration there.
static void meet(struct met *met, enum place place)
{
    start(met, place);
    for (int i = 0; i < 100000; i++) {
        bool there = met->m->machine.state == places[place].state && peer_done(rig.peer);
        if (place == SENDING_IT) there = there && conn_queued(met->m->target->conn) > 0;
        if (place == SECOND) there = there && met->m->result.moved == 1;
        if (there) break;
        cr_assert_eq(rig.done, 0, "%s", rig.result.text);
        sim_run_for(rig.sim, 1);
    }
    cr_assert_eq(met->m->machine.state, places[place].state, "%s: is in %s", places[place].name,
                 machine_state_name(&met->m->machine));
    if (place == SETTLING) store_hold(&rig.store, 0, met->other = key());
    rig.paused = place == PAUSED;
    if (place == SETTLING || place == PAUSED) {
        peer_send_text(rig.peer, "+OK\r\n");
        cr_assert(sim_run_while_not(rig.sim, in_state, met->m, 1000));
        cr_assert_eq(rig.done, 0);
    }
    met->writer_waits = store_before_write(&rig.store, 0, BYTES("key"), &met->writer) == WRITE_WAIT;
    cr_assert_eq(met->writer_waits, place != AUTHING && place != SELECTING);
}

// ---- the faults ---------------------------------------------------------------------------------

enum ours { NOTHING, CLIENT_LEAVES, BECOMES_REPLICA, SHUTS_DOWN };

static const struct {
    const char *name, *says;
    struct peer_step steps[3];
    enum ours ours;
    // What becomes of it in each place:
    //   T  IOERR, exactly at the state's deadline
    //   L  nothing yet; IOERR at the deadline of the state it comes to
    //   N  IOERR, as soon as the news arrives
    //   R  the target's error is told, as soon as it arrives
    //   C  the client has gone: ends at once, without a word
    //   X  told at once why it was given up
    //   K  it was acknowledged: succeeds as soon as the news arrives
    //   .  nothing: it goes on once the key is let go of, and succeeds
    //   h  nothing: it waits for the key, without a deadline; then as L
    //   d  the client has gone; what was acknowledged is still deleted
    //              auth select count send reply second held settle paused
    char becomes[PLACES + 1];
    const char *reason; // part of what is told where it is IOERR; NULL: anything
} faults[] = {
    {"silence", NULL, {DO_END}, NOTHING, "TTLTTTh..", "no answer in 1000 ms"},
    {"a drip",
     NULL,
     {DO_DRIP("+++++++++++++++++++", 300000), DO_END},
     NOTHING,
     "TTLTTTh..",
     "no answer in 1000 ms"},
    {"half an answer", NULL, {DO_SEND("+O"), DO_END}, NOTHING, "TTLTTTh..", "no answer in 1000 ms"},
    {"nonsense", NULL, {DO_SEND("what?\r\n"), DO_END}, NOTHING, "NNNNNNN..", "reading from"},
    {"garbage",
     NULL,
     {DO_SEND("\x16\x03\x01\x02\x00\x01\r\n"), DO_END},
     NOTHING,
     "NNNNNNN..",
     "reading from"},
    {"too many answers",
     NULL,
     {DO_SEND("+OK\r\n+OK\r\n+OK\r\n"), DO_END},
     NOTHING,
     "NNNNKKN..",
     "nobody asked for"},
    {"closing", NULL, {DO_CLOSE, DO_END}, NOTHING, "NNNNNNN..", NULL},
    {"closing in an answer", NULL, {DO_SEND("+O"), DO_CLOSE, DO_END}, NOTHING, "NNNNNNN..", NULL},
    {"a cut", NULL, {DO_CUT, DO_END}, NOTHING, "NNNNNNN..", NULL},
    {"BUSYKEY",
     "BUSYKEY Target key name already exists.",
     {DO_SEND("-BUSYKEY Target key name already exists.\r\n"), DO_END},
     NOTHING,
     "RRRRRRR..",
     NULL},
    {"OOM",
     "OOM command not allowed",
     {DO_SEND("-OOM command not allowed when used memory > 'maxmemory'.\r\n"), DO_END},
     NOTHING,
     "RRRRRRR..",
     NULL},
    {"NOAUTH",
     "NOAUTH",
     {DO_SEND("-NOAUTH Authentication required.\r\n"), DO_END},
     NOTHING,
     "RRRRRRR..",
     NULL},
    {"LOADING",
     "LOADING",
     {DO_SEND("-LOADING Redis is loading\r\n"), DO_END},
     NOTHING,
     "RRRRRRR..",
     NULL},
    {"MOVED",
     "MOVED 1 10.0.0.1:1",
     {DO_SEND("-MOVED 1 10.0.0.1:1\r\n"), DO_END},
     NOTHING,
     "RRRRRRR..",
     NULL},
    {"an error and closing",
     "ERR Protocol error: invalid bulk length",
     {DO_SEND("-ERR Protocol error: invalid bulk length\r\n"), DO_CLOSE, DO_END},
     NOTHING,
     "RRRRRRR..",
     NULL},
    {"a client that leaves", NULL, {DO_END}, CLIENT_LEAVES, "CCCCCCCdd", NULL},
    {"becoming a replica", NULL, {DO_END}, BECOMES_REPLICA, "XXXXXXXXX", "has become a replica"},
    {"shutting down", NULL, {DO_END}, SHUTS_DOWN, "CCCCCCCCC", NULL},
};

static void strike(struct met *met, int fault)
{
    switch (faults[fault].ours) {
    case NOTHING:
        peer_restart(rig.peer, faults[fault].steps);
        break;
    case CLIENT_LEAVES:
        migrate_cancel(met->m);
        break;
    case BECOMES_REPLICA:
        migrate_cancel_all(&rig.migrator, "this node has become a replica");
        break;
    case SHUTS_DOWN:
        migrator_free(&rig.migrator);
        migrator_init(&rig.migrator, &rig.host);
        break;
    }
}

// The instant of the deadline that runs, by what is known from outside: for a wait for an answer,
// since its state was entered. While sending it is the last byte that counts.
static uint64_t deadline_us(const struct met *met, enum place place)
{
    if (place == SENDING_IT) return sim_now_us(rig.sim) + machine_left_us(&met->m->machine);
    return met->m->machine.entered_us + TIMEOUT_US;
}

// When the last state was entered, from the trace.
static uint64_t last_entered_us(void)
{
    const char *text = trace_text(&rig.trace), *at = NULL;
    for (const char *next = text; (next = strstr(next, "-> reply")) != NULL; next++)
        at = next;
    cr_assert_not_null(at, "%s", text);
    while (at > text && at[-1] != '\n')
        at--;
    double ms;
    cr_assert_eq(sscanf(at, "%lf", &ms), 1);
    return rig.trace.began_us + (uint64_t)(ms * 1000 + 0.5);
}

static void let_go(struct met *met)
{
    if (met->other != NULL) store_release(&rig.store, 0, met->other);
    met->other = NULL;
    if (rig.paused) end_pause();
}

static void leaves_nothing(struct met *met, bool key_gone, const char *where)
{
    let_go(met);
    sim_run_for(rig.sim, 1000);
    cr_assert_eq(rig.migrator.flight_count, 0, "%s: still in flight", where);
    cr_assert(!store_held(&rig.store, -1), "%s: something is held", where);
    cr_assert_eq(key() == NULL, key_gone, "%s: the key is %s", where, key() ? "here" : "gone");
    if (key() != NULL) cr_assert_eq(key()->holds, 0, "%s: the key is held", where);
    cr_assert_eq(woken, met->writer_waits, "%s: the writer was told %d times", where, woken);
    struct bytes nothing = BYTES("key");
    cr_assert_eq(store_before_write(&rig.store, 0, nothing, NULL), WRITE_NOW);
}

static void told_at(uint64_t at_us, enum migrate_outcome outcome, const char *text,
                    const char *where)
{
    cr_assert_eq(rig.done, 1, "%s: told %d times\n%s", where, rig.done, trace_text(&rig.trace));
    cr_assert_eq(rig.done_at_us, at_us, "%s: %lld us late\n%s", where,
                 (long long)(rig.done_at_us - at_us), trace_text(&rig.trace));
    cr_assert_eq(rig.result.outcome, outcome, "%s: %s", where, rig.result.text);
    if (text != NULL)
        cr_assert_not_null(strstr(rig.result.text, text), "%s: %s", where, rig.result.text);
}

static void succeeds(struct met *met, const char *where)
{
    sim_run_for(rig.sim, 5 * TIMEOUT_US);
    cr_assert_eq(rig.done, 0, "%s: over while the key could not be deleted", where);
    let_go(met);
    sim_run_for(rig.sim, 0);
    told_at(sim_now_us(rig.sim), MIGRATE_OK, NULL, where);
}

static void try(int place, int fault)
{
    struct met met;
    char where[96];
    snprintf(where, sizeof(where), "%s in %s", faults[fault].name, places[place].name);
    meet(&met, place);
    char becomes = faults[fault].becomes[place];
    uint64_t now_us = sim_now_us(rig.sim), deadline = deadline_us(&met, place);
    bool sent = place == REPLYING || place == SECOND;
    const char *reason = faults[fault].reason;
    strike(&met, fault);
    if (becomes == 'T' || becomes == 'L' || becomes == 'N')
        cr_assert(sim_run_while_not(rig.sim, is_done, NULL, 60 * TIMEOUT_US), "%s: never ends",
                  where);
    switch (becomes) {
    case 'T':
        told_at(deadline, MIGRATE_IO_ERROR, reason, where);
        break;
    case 'h':
        sim_run_for(rig.sim, 5 * TIMEOUT_US);
        cr_assert_eq(rig.done, 0, "%s: over before its key was free", where);
        let_go(&met);
        cr_assert(sim_run_while_not(rig.sim, is_done, NULL, 60 * TIMEOUT_US), "%s", where);
        sent = true;
        told_at(last_entered_us() + TIMEOUT_US, MIGRATE_IO_ERROR, reason, where);
        break;
    case 'L':
        told_at(last_entered_us() + TIMEOUT_US, MIGRATE_IO_ERROR, reason, where);
        sent = true;
        break;
    case 'N':
        told_at(now_us + DELAY_US * (faults[fault].steps[0].action != PEER_CUT), MIGRATE_IO_ERROR,
                reason, where);
        break;
    case 'R':
        sim_run_for(rig.sim, DELAY_US);
        told_at(now_us + DELAY_US, MIGRATE_REFUSED, faults[fault].says, where);
        break;
    case 'K':
        sim_run_for(rig.sim, DELAY_US);
        told_at(now_us + DELAY_US, MIGRATE_OK, NULL, where);
        break;
    case 'X':
        told_at(now_us, MIGRATE_IO_ERROR, reason, where);
        sent = sent || place == SETTLING || place == PAUSED;
        break;
    case '.':
        succeeds(&met, where);
        break;
    default:
        sim_run_for(rig.sim, 1000);
        cr_assert_eq(rig.done, 0, "%s: its client was told", where);
        break;
    }
    if (rig.done > 0 && rig.result.outcome == MIGRATE_IO_ERROR)
        cr_assert_eq(strstr(rig.result.text, "may be there too") != NULL, sent, "%s: %s", where,
                     rig.result.text);
    leaves_nothing(&met, becomes == '.' || becomes == 'd' || becomes == 'K', where);
    if (place == SECOND) {
        cr_assert_eq(rig.deleted, 1 + (becomes == 'K'), "%s: the first key was acknowledged",
                     where);
        cr_assert_null(db_find(store_db(&rig.store, 0), BYTES("first")));
    }
    // Only a link on which all was answered, and nothing else, is good for the next one.
    bool good = (becomes == 'R' && sent && faults[fault].steps[1].action != PEER_CLOSE) ||
                ((becomes == '.' || becomes == 'd' || (becomes == 'X' && place >= SETTLING)) &&
                 faults[fault].steps[0].action == PEER_END);
    cr_assert_eq(rig.migrator.link_count, good, "%s: %d links are kept", where,
                 rig.migrator.link_count);
}

Test(migrate_faults, every_fault_in_every_state)
{
    for (int place = 0; place < PLACES; place++) {
        for (size_t fault = 0; fault < sizeof(faults) / sizeof(faults[0]); fault++) {
            try(place, (int)fault);
            rig_begin_again();
        }
    }
}
