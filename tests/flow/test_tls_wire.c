// The same conversations over TLS on the simulated wire: whoever talks cannot tell, whatever the
// wire does to the records.
#include "conn/layer_tls.h"
#include "sim/lib/peer.h"

#include <criterion/criterion.h>
#include <stdlib.h>

#define T "tests/tls/"
enum { PORT = 6379 };

struct world {
    struct sim *sim;
    struct sim_node *a, *b;
    struct peer *client, *server;
    struct trace trace;
};

static void begin(struct world *w, const struct sim_wire *wire)
{
    cr_assert_eq(system("tools/gen-test-certs.sh"), 0);
    struct error error = ERROR_OK;
    struct tls_config config = {.cert_file = T "wherry.crt",
                                .key_file = T "wherry.key",
                                .ca_cert_file = T "ca.crt",
                                .auth_clients = TLS_AUTH_YES};
    struct tls_context *context = tls_context_new(&config, &error);
    cr_assert_not_null(context, "%s", error.text);
    *w = (struct world){.sim = sim_new(7)};
    sim_set_wire(w->sim, wire);
    w->a = sim_node_new(w->sim, "10.0.0.1");
    w->b = sim_node_new(w->sim, "10.0.0.2");
    net_set_tls(sim_network(w->a), context);
    net_set_tls(sim_network(w->b), context);
    tls_context_unref(context);
    trace_init(&w->trace, w->sim);
}

static void end(struct world *w)
{
    peer_free(w->client);
    peer_free(w->server);
    sim_free(w->sim);
    trace_free(&w->trace);
}

static const struct peer_step ask[] = {DO_SEND("PING\r\n"), DO_EXPECT("+PONG\r\n"), DO_CLOSE,
                                       DO_END};
static const struct peer_step answer[] = {DO_EXPECT("PING\r\n"), DO_SEND("+PONG\r\n"), DO_END};
static const struct peer_step none[] = {DO_END};

static void converse(const struct sim_wire *wire)
{
    struct world w;
    begin(&w, wire);
    w.server = peer_listen_tls(w.b, PORT, answer);
    w.client = peer_connect_tls(w.a, "10.0.0.2", PORT, "localhost", ask);
    cr_expect(peer_run(w.client, 5000000), "%s", w.client->why);
    sim_run_for(w.sim, 5000000);
    cr_expect(peer_done(w.server));
    cr_expect_eq(w.client->closed_class, ERROR_CLOSED);
    cr_expect_eq(w.server->closed_class, ERROR_CLOSED);
    end(&w);
}

Test(tls_wire, whole)
{
    converse(&(struct sim_wire){.delay_us = 1000});
}

Test(tls_wire, byte_by_byte)
{
    converse(&(struct sim_wire){.delay_us = 1000, .fragment_bytes = 1});
}

Test(tls_wire, through_a_small_window)
{
    converse(&(struct sim_wire){.delay_us = 1000, .window_bytes = 16});
}

Test(tls_wire, a_silent_client_is_dropped_at_its_deadline)
{
    struct world w;
    begin(&w, &(struct sim_wire){0});
    w.server = peer_listen_tls(w.b, PORT, none);
    w.server->trace = &w.trace;
    w.client = peer_connect(w.a, "10.0.0.2", PORT, none);
    sim_run_for(w.sim, 60000000);
    cr_expect_eq(w.server->closed_class, ERROR_TIMEOUT);
    cr_expect_eq(strncmp(trace_text(&w.trace), "10000.000 peer closed: TLS handshake", 36), 0, "%s",
                 trace_text(&w.trace));
    end(&w);
}

Test(tls_wire, cut_in_the_middle)
{
    struct world w;
    begin(&w, &(struct sim_wire){.cut_after_bytes = 500});
    w.server = peer_listen_tls(w.b, PORT, answer);
    w.client = peer_connect_tls(w.a, "10.0.0.2", PORT, NULL, ask);
    sim_run_for(w.sim, 60000000);
    cr_expect_eq(w.client->closes, 1);
    cr_expect_eq(w.server->closes, 1);
    cr_expect_eq(w.client->received, 0);
    end(&w);
}

Test(tls_wire, the_wrong_name_is_refused)
{
    struct world w;
    begin(&w, &(struct sim_wire){0});
    w.server = peer_listen_tls(w.b, PORT, answer);
    w.client = peer_connect_tls(w.a, "10.0.0.2", PORT, "elsewhere.example", ask);
    sim_run_for(w.sim, 1000000);
    cr_expect_eq(w.client->closed_class, ERROR_TLS);
    cr_expect_eq(w.server->received, 0);
    end(&w);
}
