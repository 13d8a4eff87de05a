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
    // Connect 150 to 300 us, TLS 1.3 one round trip and a half after.
    cr_assert_leq(s.server.opened_us - s.server.began_us, 600);
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
