// Accepting over TLS, in virtual time: whatever a peer does or leaves undone, its handshake is over
// at its deadline, to the microsecond.
#include "conn/layer_tls.h"
#include "sim/lib/sim.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#define T "tests/tls/"
enum { PORT = 6379, LIMIT_US = 2345678, SECOND_US = 1000000 };

// What one side of a connection lived through.
struct side {
    struct sim *sim;
    struct conn *conn;
    uint64_t began_us, opened_us, closed_us; // instants; 0: not yet
    size_t got_bytes;
    struct error why;
    bool echo;
};

struct scene {
    struct sim *sim;
    struct sim_node *server_node, *peer_node;
    struct listener *listener;
    struct side server, peer;
    bool mute; // the server's side does not answer
};

static void opened(struct conn *c, void *owner)
{
    struct side *s = owner;
    s->conn = c;
    s->opened_us = sim_now_us(s->sim);
}

static void bytes(struct conn *c, void *owner, struct bytes input)
{
    struct side *s = owner;
    s->got_bytes += input.len;
    if (s->echo) conn_write_bytes(c, input);
}

static void closed(struct conn *c, void *owner, const struct error *why)
{
    (void)c;
    struct side *s = owner;
    cr_assert_eq(s->closed_us, 0);
    s->conn = NULL;
    s->why = *why;
    s->closed_us = sim_now_us(s->sim);
}

static const struct conn_events events = {opened, bytes, NULL, closed};

static void accepted(void *owner, struct conn *c)
{
    struct scene *scene = owner;
    struct side *s = &scene->server;
    cr_assert_null(s->conn);
    *s = (struct side){
        .sim = s->sim, .conn = c, .began_us = sim_now_us(s->sim), .echo = !scene->mute};
    conn_own(c, &events, s);
}

static struct tls_config config_of(void)
{
    return (struct tls_config){
        .cert_file = T "server.crt",
        .key_file = T "server.key",
        .client_cert_file = T "client.crt",
        .client_key_file = T "client.key",
        .ca_cert_file = T "ca.crt",
        .auth_clients = TLS_AUTH_YES,
    };
}

// A server that accepts over TLS and a peer that may connect.
static void begin(struct scene *s, const struct sim_wire *wire, uint64_t limit_us)
{
    *s = (struct scene){.sim = sim_new(1)};
    s->server.sim = s->peer.sim = s->sim;
    sim_set_wire(s->sim, wire);
    s->server_node = sim_node_new(s->sim, "server");
    s->peer_node = sim_node_new(s->sim, "peer");
    struct tls_config config = config_of();
    struct error error = ERROR_OK;
    struct tls_context *context = tls_context_new(&config, &error);
    cr_assert_not_null(context, "%s", error.text);
    net_set_tls(sim_network(s->server_node), context);
    net_set_tls(sim_network(s->peer_node), context);
    tls_context_unref(context);
    struct listen_options options = {.address = "server",
                                     .port = PORT,
                                     .tls = true,
                                     .handshake_timeout_us = limit_us,
                                     .accepted = accepted,
                                     .owner = s};
    struct network *net = sim_network(s->server_node);
    s->listener = net->listen(net, &options, &error);
    cr_assert_not_null(s->listener, "%s", error.text);
}

static void dial(struct scene *s, bool tls)
{
    struct conn_target target = {
        .host = "server", .port = PORT, .tls = tls, .verify_name = "localhost"};
    s->peer = (struct side){.sim = s->sim, .began_us = sim_now_us(s->sim)};
    s->peer.conn = net_connect(sim_network(s->peer_node), &target, &events, &s->peer);
}

static void finish(struct scene *s)
{
    if (s->peer.conn != NULL) conn_close(s->peer.conn);
    if (s->server.conn != NULL) conn_close(s->server.conn);
    sim_network(s->server_node)->unlisten(sim_network(s->server_node), s->listener);
    sim_run_for(s->sim, 20 * SECOND_US);
    cr_assert_null(s->peer.conn);
    cr_assert_null(s->server.conn);
    sim_free(s->sim);
}

static bool is_accepted(void *arg)
{
    return ((struct scene *)arg)->server.began_us != 0;
}

static void must_time_out(const struct scene *s, uint64_t limit_us)
{
    cr_assert_eq(s->server.opened_us, 0);
    cr_assert_eq(s->server.closed_us, s->server.began_us + limit_us, "closed after %llu us",
                 (unsigned long long)(s->server.closed_us - s->server.began_us));
    cr_assert_eq(s->server.why.class, ERROR_TIMEOUT);
    cr_assert_not_null(strstr(s->server.why.text, "TLS handshake not"), "%s", s->server.why.text);
}

static void make_certs(void)
{
    cr_assert_eq(system("tools/gen-test-certs.sh"), 0);
}

TestSuite(tls_accept, .init = make_certs);

static const struct sim_wire lan = {.delay_us = 150};

Test(tls_accept, a_handshake_in_order_opens_both_sides_and_stays)
{
    struct scene s;
    begin(&s, &lan, LIMIT_US);
    dial(&s, true);
    sim_run_for(s.sim, SECOND_US);
    cr_assert_neq(s.server.opened_us, 0, "%s", s.server.why.text);
    cr_assert_neq(s.peer.opened_us, 0, "%s", s.peer.why.text);
    // The client hears that it is connected after 150 us. Then four flights of 100 us each, the
    // client's hello first, with three ways of 150 us in between.
    cr_assert_eq(s.server.opened_us - s.server.began_us, 150 + 4 * 100 + 3 * 150);
    // The handshake's deadline is over with it: an idle connection stays for an hour.
    sim_run_for(s.sim, 3600ull * SECOND_US);
    conn_write_bytes(s.peer.conn, BYTES("still there"));
    sim_run_for(s.sim, SECOND_US);
    cr_assert_eq(s.peer.got_bytes, 11);
    finish(&s);
}

Test(tls_accept, a_silent_peer_is_closed_at_the_deadline)
{
    static const uint64_t limits[] = {0, 1, 1000, LIMIT_US};
    for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
        struct scene s;
        begin(&s, &lan, limits[i]);
        dial(&s, false);
        sim_run_for(s.sim, 11ull * SECOND_US);
        must_time_out(&s, limits[i] > 0 ? limits[i] : TLS_HANDSHAKE_US);
        cr_assert_neq(s.peer.closed_us, 0);
        finish(&s);
    }
}

Test(tls_accept, the_text_says_how_long_it_was)
{
    struct scene s;
    begin(&s, &lan, LIMIT_US);
    dial(&s, false);
    sim_run_for(s.sim, 3 * SECOND_US);
    cr_assert_str_eq(s.server.why.text, "TLS handshake not finished within 2345 ms");
    finish(&s);
}

Test(tls_accept, dripping_bytes_buys_no_time)
{
    struct scene s;
    begin(&s, &lan, LIMIT_US);
    dial(&s, false);
    // The beginning of a ClientHello, a byte a second.
    static const char hello[] = "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";
    for (size_t i = 0; i < sizeof(hello) && s.peer.conn != NULL; i++) {
        conn_write_bytes(s.peer.conn, bytes_of(hello + i, 1));
        sim_run_for(s.sim, SECOND_US);
    }
    must_time_out(&s, LIMIT_US);
    finish(&s);
}

// How many bytes the whole handshake takes in each direction, with what the server sends after it.
static void measure(size_t *from_peer, size_t *to_peer)
{
    struct scene s;
    begin(&s, &lan, LIMIT_US);
    dial(&s, true);
    struct conn *wire = sim_last_conn(s.peer_node);
    sim_run_for(s.sim, SECOND_US);
    cr_assert_neq(s.server.opened_us, 0);
    *from_peer = sim_delivered_out(wire);
    *to_peer = sim_delivered_in(wire);
    finish(&s);
}

// A real client whose wire falls silent, is cut or closes after so many bytes.
enum trouble { STALL, LOSE, CUT };

static void stop_after(size_t at, bool from_peer, enum trouble trouble)
{
    struct sim_wire wire = lan;
    if (trouble == STALL) wire.stall_after_bytes = at;
    if (trouble == LOSE) wire.drop_after_bytes = at;
    if (trouble == CUT) wire.cut_after_bytes = at;
    struct scene s;
    begin(&s, &lan, LIMIT_US);
    sim_set_link(s.sim, from_peer ? "peer" : "server", from_peer ? "server" : "peer", PORT, &wire);
    dial(&s, true);
    cr_assert(sim_run_while_not(s.sim, is_accepted, &s, SECOND_US));
    sim_run_for(s.sim, 3 * SECOND_US);
    // Open, if it could finish; otherwise closed at the deadline, or when the wire was cut.
    if (s.server.opened_us == 0 && trouble == CUT) {
        cr_assert_neq(s.server.closed_us, 0);
        cr_assert_lt(s.server.closed_us, s.server.began_us + SECOND_US);
        cr_assert_neq(s.server.why.class, ERROR_TIMEOUT);
    } else if (s.server.opened_us == 0) {
        must_time_out(&s, LIMIT_US);
    }
    finish(&s);
}

Test(tls_accept, stopped_at_any_byte_it_ends_in_time, .timeout = 120)
{
    size_t from_peer, to_peer;
    measure(&from_peer, &to_peer);
    cr_assert_gt(from_peer, 500);
    cr_assert_gt(to_peer, 500);
    for (int trouble = STALL; trouble <= CUT; trouble++) {
        for (size_t at = 1; at < from_peer; at += at < 20 ? 1 : 61)
            stop_after(at, true, (enum trouble)trouble);
        for (size_t at = 1; at < to_peer; at += at < 20 ? 1 : 61)
            stop_after(at, false, (enum trouble)trouble);
    }
}

Test(tls_accept, the_deadline_counts_all_of_it_and_nothing_after)
{
    // Fragments of seven bytes at a rate that needs about two seconds.
    size_t from_peer, to_peer;
    measure(&from_peer, &to_peer);
    bool was_open = false, was_late = false;
    for (uint64_t rate = 400; rate <= 3200; rate *= 2) {
        struct sim_wire slow = {.delay_us = 150, .fragment_bytes = 7, .bytes_per_s = rate};
        struct scene s;
        begin(&s, &slow, LIMIT_US);
        dial(&s, true);
        sim_run_for(s.sim, 20 * SECOND_US);
        if (s.server.opened_us != 0) {
            was_open = true;
            cr_assert_lt(s.server.opened_us, s.server.began_us + LIMIT_US);
            cr_assert_eq(s.server.closed_us, 0);
        } else {
            was_late = true;
            must_time_out(&s, LIMIT_US);
        }
        finish(&s);
    }
    cr_assert(was_open && was_late, "the rates must be chosen so that both happen");
}

Test(tls_accept, any_fragmentation_in_any_order)
{
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct sim_wire wire = {.delay_us = 100,
                                .jitter_us = 500,
                                .fragment_bytes = seed * 3,
                                .fragment_random = true,
                                .window_bytes = 50 * seed};
        struct scene s;
        begin(&s, &wire, LIMIT_US);
        dial(&s, true);
        sim_run_for(s.sim, 2 * SECOND_US);
        cr_assert_neq(s.server.opened_us, 0);
        static const char data[5000];
        conn_write_bytes(s.peer.conn, bytes_of(data, sizeof(data)));
        sim_run_for(s.sim, 60 * SECOND_US);
        cr_assert_eq(s.peer.got_bytes, sizeof(data));
        cr_assert_eq(conn_queued(s.peer.conn), 0);
        finish(&s);
    }
}

Test(tls_accept, the_owner_may_close_at_any_instant)
{
    for (uint64_t at = 0; at < 1500; at += 50)
        for (int flush = 0; flush < 2; flush++) {
            struct scene s;
            begin(&s, &lan, LIMIT_US);
            dial(&s, true);
            sim_run_for(s.sim, at);
            if (s.server.conn != NULL && flush)
                conn_close_flush(s.server.conn);
            else if (s.server.conn != NULL)
                conn_close(s.server.conn);
            bool closing = s.server.conn != NULL;
            sim_run_for(s.sim, SECOND_US);
            if (closing) {
                cr_assert_neq(s.server.closed_us, 0);
                cr_assert_eq(s.server.why.class, ERROR_CLOSED);
                cr_assert_neq(s.peer.closed_us, 0);
            }
            finish(&s);
        }
}

Test(tls_accept, garbage_is_refused_at_once)
{
    const struct bytes words[] = {
        BYTES("*1\r\n$4\r\nPING\r\n"),
        BYTES("GET / HTTP/1.1\r\n\r\n"),
        BYTES("\x16\x03\x01\xff\xff garbage garbage"),
        BYTES("\x80\x2e\x01\x00\x02 a client of SSL 2 says its hello like this"),
    };
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        struct scene s;
        begin(&s, &lan, LIMIT_US);
        dial(&s, false);
        conn_write_bytes(s.peer.conn, words[i]);
        sim_run_for(s.sim, SECOND_US);
        cr_assert_eq(s.server.opened_us, 0);
        cr_assert_eq(s.server.why.class, ERROR_TLS, "%zu: %s", i, s.server.why.text);
        cr_assert_neq(s.peer.closed_us, 0);
        finish(&s);
    }
}

Test(tls_accept, a_client_has_no_deadline_but_its_owners)
{
    // A port that takes connections and says nothing.
    struct scene s;
    begin(&s, &lan, LIMIT_US);
    struct network *net = sim_network(s.server_node);
    net->unlisten(net, s.listener);
    struct listen_options options = {
        .address = "server", .port = PORT, .accepted = accepted, .owner = &s};
    s.listener = net->listen(net, &options, NULL);
    s.mute = true;
    dial(&s, true);
    sim_run_for(s.sim, 100 * SECOND_US);
    cr_assert_not_null(s.peer.conn);
    cr_assert_eq(s.peer.opened_us, 0);
    uint64_t now = sim_now_us(s.sim);
    conn_close(s.peer.conn);
    sim_run_for(s.sim, SECOND_US);
    cr_assert_eq(s.peer.closed_us, now);
    cr_assert_eq(s.peer.why.class, ERROR_CLOSED);
    finish(&s);
}

// ---- flights on other threads ---------------------------------------------------------------

enum { SLOW_US = 1500 };

Test(tls_accept, the_loop_goes_on_while_a_flight_is_computed)
{
    struct scene s;
    begin(&s, &lan, LIMIT_US);
    sim_set_work(s.sim, SLOW_US, SLOW_US);
    dial(&s, true);
    uint64_t began = sim_now_us(s.sim);
    sim_run_for(s.sim, SECOND_US);
    // Four flights in a row, and nothing but the wires besides: the loop itself took no time.
    cr_assert_geq(s.server.opened_us - began, 4 * SLOW_US);
    cr_assert_leq(s.server.opened_us - began, 4 * SLOW_US + 5 * 150);
    cr_assert_eq(loop_stats(sim_loop(s.server_node))->hold_max_us, 0);
    finish(&s);
}

Test(tls_accept, a_deadline_in_a_flight_is_exact)
{
    // Limits that end in every part of the handshake: between flights and inside of them.
    int late = 0, done = 0;
    for (uint64_t limit = 100; limit < 5 * SLOW_US; limit += 100) {
        struct scene s;
        begin(&s, &lan, limit);
        sim_set_work(s.sim, SLOW_US, SLOW_US);
        dial(&s, true);
        sim_run_for(s.sim, SECOND_US);
        if (s.server.opened_us != 0) {
            cr_assert_lt(s.server.opened_us - s.server.began_us, limit);
            done++;
        } else {
            must_time_out(&s, limit);
            late++;
        }
        finish(&s);
    }
    cr_assert(late > 0 && done > 0);
}

// Many clients at once.
enum { CROWD = 40 };
struct crowd {
    struct scene scene;
    struct side servers[CROWD], peers[CROWD];
    int accepted;
};

static void accepted_one(void *owner, struct conn *c)
{
    struct crowd *crowd = owner;
    struct side *s = &crowd->servers[crowd->accepted++];
    *s = (struct side){.sim = crowd->scene.sim, .conn = c, .echo = true};
    s->began_us = sim_now_us(s->sim);
    conn_own(c, &events, s);
}

static void assemble(struct crowd *c, uint64_t limit_us, uint64_t work_min_us, uint64_t work_max_us)
{
    *c = (struct crowd){.accepted = 0};
    begin(&c->scene, &lan, limit_us);
    sim_set_work(c->scene.sim, work_min_us, work_max_us);
    struct network *net = sim_network(c->scene.server_node);
    net->unlisten(net, c->scene.listener);
    struct listen_options options = {.address = "server",
                                     .port = PORT,
                                     .tls = true,
                                     .handshake_timeout_us = limit_us,
                                     .accepted = accepted_one,
                                     .owner = c};
    c->scene.listener = net->listen(net, &options, NULL);
    for (int i = 0; i < CROWD; i++) {
        // Each from a node of its own, as clients are: they compute beside each other.
        char name[16];
        snprintf(name, sizeof(name), "peer%d", i);
        struct sim_node *node = sim_node_new(c->scene.sim, name);
        struct tls_config config = config_of();
        struct tls_context *context = tls_context_new(&config, NULL);
        net_set_tls(sim_network(node), context);
        tls_context_unref(context);
        struct conn_target target = {.host = "server", .port = PORT, .tls = true};
        c->peers[i] = (struct side){.sim = c->scene.sim};
        c->peers[i].conn = net_connect(sim_network(node), &target, &events, &c->peers[i]);
    }
}

static void disperse(struct crowd *c)
{
    for (int i = 0; i < CROWD; i++) {
        if (c->peers[i].conn != NULL) conn_close(c->peers[i].conn);
        if (c->servers[i].conn != NULL) conn_close(c->servers[i].conn);
    }
    finish(&c->scene);
}

Test(tls_accept, a_crowd_is_served_a_few_at_once)
{
    struct crowd c;
    assemble(&c, 0, 1000, 1000);
    uint64_t began = sim_now_us(c.scene.sim);
    sim_run_for(c.scene.sim, SECOND_US);
    uint64_t last = 0;
    for (int i = 0; i < CROWD; i++) {
        cr_assert_neq(c.servers[i].opened_us, 0, "%s", c.servers[i].why.text);
        if (c.servers[i].opened_us > last) last = c.servers[i].opened_us;
    }
    // Two flights each, LOOP_LANE_WIDTH at a time: no more at once, and no worker idle in between.
    cr_assert_geq(last - began, 2 * CROWD * 1000 / LOOP_LANE_WIDTH);
    cr_assert_leq(last - began, 2 * CROWD * 1000 / LOOP_LANE_WIDTH + 5000);
    disperse(&c);
}

Test(tls_accept, those_who_wait_for_a_worker_time_out_exactly)
{
    struct crowd c;
    assemble(&c, 10000, 1000, 1000);
    sim_run_for(c.scene.sim, SECOND_US);
    int open = 0;
    for (int i = 0; i < CROWD; i++) {
        struct side *s = &c.servers[i];
        if (s->opened_us != 0) {
            open++;
            continue;
        }
        cr_assert_eq(s->closed_us, s->began_us + 10000);
        cr_assert_eq(s->why.class, ERROR_TIMEOUT);
    }
    cr_assert(open < CROWD);
    disperse(&c);
}

Test(tls_accept, ended_anyhow_while_flights_take_any_time)
{
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct crowd c;
        assemble(&c, 20000, 1, 3000);
        struct rng rng;
        rng_seed(&rng, seed);
        sim_run_for(c.scene.sim, rng_below(&rng, 20000));
        for (int i = 0; i < CROWD; i++) {
            struct side *s = rng_below(&rng, 2) ? &c.servers[i] : &c.peers[i];
            uint64_t how = rng_below(&rng, 4);
            if (s->conn == NULL || how == 0) continue;
            if (how == 1) conn_close(s->conn);
            if (how == 2) conn_close_flush(s->conn);
            if (how == 3) conn_write_bytes(s->conn, BYTES("before it opens, or after"));
        }
        if (seed % 3 == 0) sim_crash(c.scene.server_node, seed % 2);
        if (seed % 5 == 0) {
            struct tls_config config = config_of();
            struct tls_context *fresh = tls_context_new(&config, NULL);
            net_set_tls(sim_network(c.scene.server_node), fresh);
            tls_context_unref(fresh);
        }
        sim_run_for(c.scene.sim, rng_below(&rng, 40000));
        if (seed % 7 == 0) {
            disperse(&c);
            continue;
        }
        // The world ends with flights under way.
        for (int i = 0; i < CROWD; i++) {
            if (c.peers[i].conn != NULL) conn_own(c.peers[i].conn, NULL, NULL);
            if (c.servers[i].conn != NULL) conn_own(c.servers[i].conn, NULL, NULL);
        }
        sim_free(c.scene.sim);
    }
}
