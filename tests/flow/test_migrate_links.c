// Links of MIGRATE: how they are opened, kept and used again, what becomes of a cached one that
// dies at any point; many migrations at once; many keys through one link.
#include "conn/layer_tls.h"
#include "migrate_rig.h"

#include <stdlib.h>

TestSuite(migrate_links, .init = rig_begin, .fini = rig_end);

#define ANY_RESTORE "\r\n$7\r\nRESTORE\r\n"

static struct migrate_request request(const struct bytes *keys, int count)
{
    return (struct migrate_request){
        .host = "target",
        .port = PORT,
        .target_db = 1,
        .timeout_ms = TIMEOUT_MS,
        .key_count = count,
        .keys = keys,
    };
}

static struct migrate *start(const struct migrate_request *r)
{
    rig.done = 0;
    return migrate_start(&rig.migrator, r, on_done, NULL);
}

static bool has(const char *key)
{
    return db_find(store_db(&rig.store, 0), bytes_from_cstr(key)) != NULL;
}

// ---- connecting over TLS ------------------------------------------------------------------------

static void with_tls(void)
{
    cr_assert_eq(system("tools/gen-test-certs.sh"), 0);
    struct error error = ERROR_OK;
    struct tls_config config = {.cert_file = "tests/tls/wherry.crt",
                                .key_file = "tests/tls/wherry.key",
                                .ca_cert_file = "tests/tls/ca.crt",
                                .auth_clients = TLS_AUTH_YES};
    struct tls_context *context = tls_context_new(&config, &error);
    cr_assert_not_null(context, "%s", error.text);
    net_set_tls(sim_network(rig.source), context);
    net_set_tls(sim_network(rig.target), context);
    tls_context_unref(context);
}

static const struct peer_step silent[] = {DO_END};
static const struct peer_step drips[] = {DO_DRIP("\x16\x03\x03\x40", 400000), DO_END};
static const struct peer_step no_tls[] = {DO_SEND("-ERR what is this?\r\n"), DO_END};

// A target that does no TLS, or does it too slowly: connecting is one wait, whatever is in it.
Test(migrate_links, a_handshake_that_does_not_end_costs_the_timeout)
{
    static const struct {
        const char *name;
        const struct peer_step *steps; // of a target without TLS; NULL: one with it
        struct sim_wire back;
        bool at_once;
    } targets[] = {
        {"is silent", silent, {0}, false},
        {"drips a record", drips, {0}, false},
        {"answers without TLS", no_tls, {0}, true},
        {"does it byte by byte", NULL, {.bytes_per_s = 500}, false},
        {"stops in the middle", NULL, {.stall_after_bytes = 700}, false},
        {"is cut off in the middle", NULL, {.cut_after_bytes = 700}, true},
    };
    for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
        struct bytes name = BYTES("key");
        struct migrate_request r = request(&name, 1);
        r.tls = true;
        with_tls();
        sim_set_link(rig.sim, "target", "source", 0, &targets[i].back);
        put_small("key");
        rig.peer = targets[i].steps != NULL ? peer_listen(rig.target, PORT, targets[i].steps)
                                            : peer_listen_tls(rig.target, PORT, silent);
        uint64_t began_us = sim_now_us(rig.sim);
        start(&r);
        run_to_end(10 * TIMEOUT_US);
        uint64_t took_us = rig.done_at_us - began_us;
        cr_assert_eq(rig.result.outcome, MIGRATE_IO_ERROR, "%s", targets[i].name);
        cr_assert_eq(took_us == TIMEOUT_US, !targets[i].at_once, "%s: took %llu us: %s",
                     targets[i].name, (unsigned long long)took_us, rig.result.text);
        cr_assert_eq(rig.migrator.stats.timeouts_connect, !targets[i].at_once);
        cr_assert(has("key"));
        cr_assert(!store_held(&rig.store, -1));
        rig_begin_again();
    }
}

// ---- what is kept, and for whom -----------------------------------------------------------------

static const struct peer_step greets_only[] = {DO_EXPECT_PAST("SELECT\r\n$1\r\n1\r\n"),
                                               DO_SEND("+OK\r\n"), DO_END};
static const struct peer_step greets_and_takes[] = {DO_EXPECT_PAST("SELECT\r\n"),
                                                    DO_SEND("+OK\r\n"), DO_EXPECT_PAST(ANY_RESTORE),
                                                    DO_SEND("+OK\r\n"), DO_END};

static void warm(const struct peer_step *steps)
{
    struct bytes name = BYTES("first");
    struct migrate_request r = request(&name, 1);
    put_small("first");
    rig.peer = peer_listen(rig.target, PORT, steps);
    start(&r);
    run_to_end(TIMEOUT_US);
    cr_assert_eq(rig.result.outcome, MIGRATE_OK, "%s", rig.result.text);
    cr_assert_eq(rig.migrator.link_count, 1);
    peer_consume(rig.peer, peer_input(rig.peer).len);
    rig.deleted = 0;
}

Test(migrate_links, a_link_is_used_again_only_by_who_would_have_opened_the_same)
{
    static const struct {
        const char *what, *host;
        int port, db;
        bool tls, password, user, again;
    } others[] = {
        {"the same", "target", PORT, 1, false, false, false, true},
        {"another database", "target", PORT, 0, false, false, false, true},
        {"another port", "target", PORT + 1, 1, false, false, false, false},
        {"another name", "alias", PORT, 1, false, false, false, false},
        {"over TLS", "target", PORT, 1, true, false, false, false},
        {"with a password", "target", PORT, 1, false, true, false, false},
        {"with a user", "target", PORT, 1, false, true, true, false},
    };
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        struct bytes name = BYTES("key");
        struct migrate_request r = request(&name, 1);
        sim_alias(rig.target, "alias");
        warm(greets_and_takes);
        put_small("key");
        r.host = others[i].host;
        r.port = others[i].port;
        r.target_db = others[i].db;
        r.tls = others[i].tls;
        if (others[i].password) r.password = BYTES("secret");
        if (others[i].user) r.user = BYTES("somebody");
        struct migrate *m = start(&r);
        cr_assert_eq(rig.migrator.stats.links_reused, others[i].again, "%s", others[i].what);
        migrate_cancel(m);
        rig_begin_again();
    }
}

// Over a link that has been idle for too long to be trusted; what the target does then.
static void move_after_a_pause(const struct peer_step *steps)
{
    struct bytes name = BYTES("key");
    struct migrate_request r = request(&name, 1);
    warm(greets_and_takes);
    put_small("key");
    sim_run_for(rig.sim, MIGRATE_LINK_TRUST_US + 1);
    peer_restart(rig.peer, steps);
    start(&r);
    run_to_end(TIMEOUT_US);
}

// After a pause something is asked before a key is trusted to the link.
Test(migrate_links, an_idle_link_is_greeted_again_and_closed_after_ten_seconds)
{
    move_after_a_pause(greets_and_takes);
    cr_assert_eq(rig.result.outcome, MIGRATE_OK, "%s", rig.result.text);
    cr_assert_eq(rig.migrator.stats.links_reused, 1);
    sim_run_for(rig.sim, MIGRATE_LINK_IDLE_US - 1);
    cr_assert_eq(rig.migrator.link_count, 1);
    sim_run_for(rig.sim, 1);
    cr_assert_eq(rig.migrator.link_count, 0);
}

// ---- a cached link that dies --------------------------------------------------------------------

// What the target does on the cached link, and then on the one that replaces it.
#define FRESH                                                                                      \
    DO_EXPECT_PAST("SELECT\r\n"), DO_SEND("+OK\r\n"), DO_EXPECT_PAST(ANY_RESTORE),                 \
        DO_SEND("+OK\r\n"), DO_END
#define FRESH_LARGE                                                                                \
    DO_EXPECT_PAST("SELECT\r\n"), DO_SEND("+OK\r\n"), DO_EXPECT_ANY(1800000), DO_WAIT(500000),     \
        DO_SEND("+OK\r\n"), DO_END
static const struct peer_step dies_greeted[] = {DO_EXPECT_PAST("SELECT\r\n"), DO_CUT, FRESH};
static const struct peer_step dies_with_key[] = {DO_EXPECT_PAST(ANY_RESTORE), DO_CUT, FRESH};
static const struct peer_step dies_in_payload[] = {DO_EXPECT_ANY(100000), DO_CUT, FRESH_LARGE};
static const struct peer_step dies_in_answer[] = {DO_EXPECT_PAST(ANY_RESTORE), DO_SEND("+O"),
                                                  DO_WAIT(1000), DO_CUT, FRESH};
static const struct peer_step refuses_and_dies[] = {
    DO_EXPECT_PAST(ANY_RESTORE), DO_SEND("-LOADING\r\n"), DO_WAIT(1000), DO_CUT, FRESH};
static const struct peer_step always_dies[] = {DO_EXPECT_PAST("SELECT\r\n"), DO_CUT, DO_END};

Test(migrate_links, a_stale_link_is_replaced_once_where_nothing_can_have_been_applied)
{
    static const struct {
        const char *where;
        const struct peer_step *steps; // of the cached link
        bool idle, large;
        int retries;
        enum migrate_outcome outcome;
        const char *text;
    } cases[] = {
        {"while it is greeted", dies_greeted, true, false, 1, MIGRATE_OK, ""},
        {"in the middle of a payload", dies_in_payload, false, true, 1, MIGRATE_OK, ""},
        {"with a whole key", dies_with_key, false, false, 0, MIGRATE_IO_ERROR, "may be there too"},
        {"in the answer", dies_in_answer, false, false, 0, MIGRATE_IO_ERROR, "may be there too"},
        {"after the answer", refuses_and_dies, false, false, 0, MIGRATE_REFUSED, "LOADING"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct bytes name = BYTES("key");
        struct migrate_request r = request(&name, 1);
        warm(greets_and_takes);
        if (cases[i].large)
            put_large("key");
        else
            put_small("key");
        sim_run_for(rig.sim, cases[i].idle ? MIGRATE_LINK_TRUST_US + 1 : 0);
        rig.peer->carry_on = true;
        peer_restart(rig.peer, cases[i].steps);
        start(&r);
        run_to_end(20 * TIMEOUT_US);
        sim_run_for(rig.sim, 2000);
        cr_assert_eq(rig.peer->closes, 1, "%s", cases[i].where);
        cr_assert_eq(rig.migrator.stats.retries, cases[i].retries, "%s", cases[i].where);
        cr_assert_eq(rig.result.outcome, cases[i].outcome, "%s: %s", cases[i].where,
                     rig.result.text);
        cr_assert_not_null(strstr(rig.result.text, cases[i].text), "%s: %s", cases[i].where,
                           rig.result.text);
        cr_assert_eq(has("key"), cases[i].outcome != MIGRATE_OK, "%s", cases[i].where);
        cr_assert(!store_held(&rig.store, -1));
        rig_begin_again();
    }
}

// A second one that dies as well is told.
Test(migrate_links, a_fresh_link_is_not_replaced)
{
    move_after_a_pause(always_dies);
    cr_assert_eq(rig.result.outcome, MIGRATE_IO_ERROR);
    cr_assert_eq(rig.migrator.stats.retries, 1);
    cr_assert_eq(rig.peer->accepted, 2);
    cr_assert_null(strstr(rig.result.text, "may be there too"), "%s", rig.result.text);
    cr_assert(has("key"));
}

// ---- many ---------------------------------------------------------------------------------------

enum { MANY = 10000, AT_ONCE = 64 };

static char texts[MANY][16];
static struct bytes names[MANY];

static void put_many(int count)
{
    for (int i = 0; i < count; i++) {
        snprintf(texts[i], sizeof(texts[i]), "key:%d", i);
        names[i] = bytes_from_cstr(texts[i]);
        put_small(texts[i]);
    }
}

// So many keys have been sent, and the target has said nothing yet.
static void send_many(int count)
{
    struct migrate_request r = request(names, count);
    put_many(count);
    rig.peer = peer_listen(rig.target, PORT, greets_only);
    start(&r);
    sim_run_for(rig.sim, 500000);
    cr_assert_eq(rig.deleted, 0);
}

// All answers in one read: each deletes its key, and the loop is not held for all of them.
Test(migrate_links, ten_thousand_keys_are_acknowledged_in_slices)
{
    struct buf answers = BUF_EMPTY;
    for (int i = 0; i < MANY; i++)
        buf_append_cstr(&answers, i % 100 == 50 ? "-BUSYKEY no\r\n" : "+OK\r\n");
    send_many(MANY);
    peer_send(rig.peer, buf_view(&answers));
    buf_free(&answers);
    int before = 0;
    while (rig.done == 0) {
        cr_assert(sim_step(rig.sim));
        cr_assert_leq(rig.deleted - before, 200, "%d keys deleted in one go", rig.deleted - before);
        before = rig.deleted;
    }
    cr_assert_eq(rig.result.outcome, MIGRATE_REFUSED, "%s", rig.result.text);
    cr_assert_eq(rig.result.moved, MANY - MANY / 100);
    cr_assert_eq(rig.deleted, MANY - MANY / 100);
    for (int i = 0; i < MANY; i++)
        cr_assert_eq(has(texts[i]), i % 100 == 50, "%s", texts[i]);
    cr_assert(!store_held(&rig.store, -1));
    cr_assert_eq(rig.migrator.link_count, 1, "all was answered: the link is good");
}

static void expect_900_moved(void)
{
    run_to_end(TIMEOUT_US);
    cr_assert_eq(rig.result.outcome, MIGRATE_IO_ERROR);
    cr_assert_eq(rig.result.moved, 900);
    cr_assert_eq(rig.deleted, 900);
    cr_assert(!has(texts[899]) && has(texts[900]));
    cr_assert(!store_held(&rig.store, -1));
}

// What the target said before it went counts, also what nobody had got round to reading.
Test(migrate_links, answers_before_the_end_count)
{
    send_many(1000);
    for (int i = 0; i < 900; i++)
        peer_send_text(rig.peer, "+OK\r\n");
    peer_close(rig.peer);
    expect_900_moved();
}

// The same, when what it said at last is no answer.
Test(migrate_links, nonsense_before_the_end_ends_it)
{
    send_many(1000);
    struct buf answers = BUF_EMPTY;
    for (int i = 0; i < 900; i++)
        buf_append_cstr(&answers, "+OK\r\n");
    buf_append_cstr(&answers, "nonsense\r\n");
    peer_send(rig.peer, buf_view(&answers));
    buf_free(&answers);
    while (rig.deleted == 0)
        cr_assert(sim_step(rig.sim));
    cr_assert_lt(rig.deleted, 900, "the rest has been read, and not looked at");
    sim_cut(rig.peer->conn);
    expect_900_moved();
}

static int ended[AT_ONCE];

static void on_ended(void *owner, const struct migrate_result *result)
{
    *(int *)owner = result->outcome == MIGRATE_OK ? 1 : -1;
}

// One target takes nothing: the others are as fast as without it.
Test(migrate_links, many_at_once_do_not_wait_for_each_other)
{
    static const struct peer_step deaf[] = {DO_PAUSE, DO_END};
    struct peer *peers[AT_ONCE];
    put_many(AT_ONCE);
    for (int i = 0; i < AT_ONCE; i++)
        peers[i] = peer_listen(rig.target, PORT + i, i % 4 == 0 ? deaf : greets_and_takes);
    for (int i = 0; i < AT_ONCE; i++) {
        struct migrate_request r = request(&names[i], 1);
        r.port = PORT + i;
        ended[i] = 0;
        migrate_start(&rig.migrator, &r, on_ended, &ended[i]);
    }
    cr_assert_eq(rig.migrator.flight_count, AT_ONCE);
    sim_run_for(rig.sim, 10000);
    for (int i = 0; i < AT_ONCE; i++)
        cr_assert_eq(ended[i], i % 4 != 0, "%d: %d", i, ended[i]);
    sim_run_for(rig.sim, TIMEOUT_US);
    for (int i = 0; i < AT_ONCE; i++) {
        cr_assert_eq(ended[i], i % 4 == 0 ? -1 : 1);
        cr_assert_eq(has(texts[i]), i % 4 == 0);
        peer_free(peers[i]);
    }
    cr_assert_eq(rig.migrator.flight_count, 0);
    cr_assert(!store_held(&rig.store, -1));
}

// ---- lengths ------------------------------------------------------------------------------------

// What was announced is what is sent, also when the config changes in between.
Test(migrate_links, an_announced_length_holds)
{
    struct bytes name = BYTES("key");
    struct migrate_request r = request(&name, 1);
    put_large("key");
    rig.peer = peer_listen(rig.target, PORT, greets_only);
    start(&r);
    for (int i = 0; i < 100000 && !trace_has(&rig.trace, "-> count"); i++)
        sim_run_for(rig.sim, 10);
    cr_assert(!trace_has(&rig.trace, "count -> send"));
    rig.compress = true;
    for (int i = 0; i < 1000 && !trace_has(&rig.trace, "-> reply"); i++)
        sim_run_for(rig.sim, 10000);
    cr_assert(trace_has(&rig.trace, "-> reply"), "%s", trace_text(&rig.trace));
    sim_run_for(rig.sim, 100000);
    struct bytes sent = peer_input(rig.peer);
    const char *head = "*4\r\n$7\r\nRESTORE\r\n$3\r\nkey\r\n$1\r\n0\r\n$";
    cr_assert_eq(memcmp(sent.data, head, strlen(head)), 0);
    unsigned long len = strtoul(sent.data + strlen(head), NULL, 10);
    const char *payload = (const char *)memchr(sent.data + strlen(head), '\n', 32) + 1;
    cr_assert_eq((size_t)(sent.data + sent.len - payload), len + 2, "announced %lu, sent %zu", len,
                 (size_t)(sent.data + sent.len - payload) - 2);
}

static uint64_t little(const struct migrate_host *host)
{
    (void)host;
    return 100000;
}

Test(migrate_links, a_payload_over_the_limit_is_named_and_others_go_on)
{
    struct bytes two[] = {BYTES("large"), BYTES("first")};
    struct migrate_request r = request(two, 2);
    rig.host.payload_max_bytes = little;
    put_large("large");
    put_small("first");
    rig.peer = peer_listen(rig.target, PORT, greets_and_takes);
    start(&r);
    run_to_end(TIMEOUT_US);
    cr_assert_eq(rig.result.outcome, MIGRATE_LIMIT);
    cr_assert_eq(rig.result.moved, 1);
    cr_assert_not_null(strstr(rig.result.text, "'large'"), "%s", rig.result.text);
    cr_assert_not_null(strstr(rig.result.text, "100000"), "%s", rig.result.text);
    cr_assert(has("large") && !has("first"));
    cr_assert(!store_held(&rig.store, -1));
}
