// CONFIG SET of TLS directives: certificates are read off the loop, the client is answered when the
// new context is in service, and a bad one changes nothing. In virtual time.
#include "conn/layer_tls.h"
#include "conn/tls_internal.h"

#include <stdlib.h>

enum { CLIENTS = 3, WORK_US = 5000 };
#include "node_rig.h"

#define T "tests/tls/"

static void begin(void)
{
    cr_assert_eq(system("tools/gen-test-certs.sh"), 0);
    struct config config;
    node_rig_config(&config);
    node_rig_new(&config);
    node->set_tls = net_set_tls;
    node_rig_start();
    sim_set_work(sim, WORK_US, WORK_US);
}

static void end(void)
{
    struct tls_context *tls = node != NULL ? node->tls : NULL;
    node_rig_end();
    tls_context_unref(tls);
}

TestSuite(config_tls, .init = begin, .fini = end);

#define USE(cert)                                                                                  \
    "CONFIG SET tls-cert-file " T cert ".crt tls-key-file " T cert ".key tls-ca-cert-file " T      \
    "ca.crt"

Test(config_tls, files_are_read_while_the_loop_goes_on)
{
    uint64_t began = sim_now_us(sim);
    say(0, USE("wherry"));
    run(1, "PING", "+PONG\r\n");
    run(1, "CONFIG GET tls-cert-file", "*2\r\n$13\r\ntls-cert-file\r\n$0\r\n\r\n");
    cr_assert_lt(sim_now_us(sim), began + WORK_US, "nothing is set before all of it is there");
    cr_assert_null(node->tls);
    hear(0, "+OK\r\n");
    cr_assert_geq(sim_now_us(sim), began + WORK_US);
    cr_assert_not_null(node->tls);
    run(1, "CONFIG GET tls-key-file", "*2\r\n$12\r\ntls-key-file\r\n$20\r\n" T "wherry.key\r\n");
}

Test(config_tls, a_bad_one_leaves_the_old_in_service)
{
    run(0, USE("wherry"), "+OK\r\n");
    struct tls_context *before = node->tls;
    run(0, "CONFIG SET maxclients 77 tls-key-file " T "rsa.key",
        "-ERR CONFIG SET failed (possibly related to argument 'tls-key-file') - Unable to update "
        "TLS configuration: tls-key-file " T "rsa.key is not the key of tls-cert-file " T
        "wherry.crt: different key types\r\n");
    cr_assert_eq(node->tls, before);
    run(0, "CONFIG GET tls-key-file", "*2\r\n$12\r\ntls-key-file\r\n$20\r\n" T "wherry.key\r\n");
    run(0, "CONFIG GET maxclients", "*2\r\n$10\r\nmaxclients\r\n$5\r\n10000\r\n");
    // Another of the pairs is at fault: the context is not put into service either.
    run(0, USE("rsa") " bind \"a a\"",
        "-ERR CONFIG SET failed (possibly related to argument 'bind') - Failed listening on port "
        "6379 (TCP): bind a:6379: Address already in use\r\n");
    cr_assert_eq(node->tls, before);
    run(0, "CONFIG GET bind", "*2\r\n$4\r\nbind\r\n$6\r\n* -::*\r\n");
}

// The listener at a port of the simulated node, which has one address.
static const struct node_listener *listens(int port, bool tls)
{
    for (int i = 0; i < node->listener_count; i++)
        if (node->listeners[i].port == port && node->listeners[i].tls == tls)
            return &node->listeners[i];
    return NULL;
}

Test(config_tls, a_change_leaves_other_listeners_alone)
{
    run(0, USE("wherry") " tls-port 7000", "+OK\r\n");
    struct listener *plain = listens(6379, false)->listener;
    cr_assert_not_null(listens(7000, true));
    run(0, "CONFIG SET tls-port 7001", "+OK\r\n");
    cr_assert_null(listens(7000, true));
    cr_assert_eq(listens(6379, false)->listener, plain);
    run(0, "CONFIG SET tls-handshake-timeout 1234 port 6380", "+OK\r\n");
    cr_assert_eq(listens(7001, true)->handshake_ms, 1234);
    cr_assert_null(listens(6379, false));
    plain = listens(6380, false)->listener;
    run(0, "CONFIG SET port 6380 tls-port 0", "+OK\r\n");
    cr_assert_eq(listens(6380, false)->listener, plain);
    cr_assert_eq(node->listener_count, 1);
    // The two may swap their ports.
    run(0, "CONFIG SET tls-port 6379", "+OK\r\n");
    run(0, "CONFIG SET port 6379 tls-port 6380", "+OK\r\n");
    cr_assert(listens(6379, false) && listens(6380, true) && node->listener_count == 2);
}

Test(config_tls, two_at_once_both_count)
{
    run(0, USE("wherry"), "+OK\r\n");
    // Each reads its files while the other does; whoever is second reads again for both.
    say(0, "CONFIG SET tls-auth-clients no");
    say(1, "CONFIG SET tls-session-caching no");
    hear(0, "+OK\r\n");
    hear(1, "+OK\r\n");
    cr_assert_eq(node->config.tls.auth_clients, TLS_AUTH_NO);
    cr_assert(!node->config.tls.session_caching);
    SSL_CTX *server = node->tls->server;
    cr_assert_eq(SSL_CTX_get_verify_mode(server), SSL_VERIFY_NONE);
    cr_assert_eq(SSL_CTX_get_session_cache_mode(server), SSL_SESS_CACHE_OFF);
}

Test(config_tls, the_same_value_reads_the_files_again)
{
    run(0, USE("wherry"), "+OK\r\n");
    struct tls_context *before = tls_context_ref(node->tls);
    run(0, "CONFIG SET tls-cert-file " T "wherry.crt", "+OK\r\n");
    cr_assert_neq(node->tls, before);
    tls_context_unref(before);
}

Test(config_tls, a_client_that_goes_takes_its_change_with_it)
{
    say(0, USE("wherry"));
    sim_run_for(sim, WORK_US / 2);
    peer_free(client[0]);
    client[0] = NULL;
    sim_run_for(sim, 2 * WORK_US);
    cr_assert_null(node->tls);
    run(1, "CONFIG GET tls-cert-file", "*2\r\n$13\r\ntls-cert-file\r\n$0\r\n\r\n");
}

Test(config_tls, the_node_may_go_meanwhile)
{
    say(0, USE("wherry"));
    sim_run_for(sim, WORK_US / 2);
    node_free(node);
    node = NULL;
    sim_run_for(sim, 2 * WORK_US);
}

Test(config_tls, not_in_a_transaction)
{
    run(0, "MULTI", "+OK\r\n");
    run(0, "CONFIG SET tls-auth-clients no tls-cert-file " T "wherry.crt", "+QUEUED\r\n");
    run(0, "EXEC",
        "*1\r\n-ERR TLS can't be changed inside a transaction: files are to be read\r\n");
    run(0, "CONFIG GET tls-cert-file", "*2\r\n$13\r\ntls-cert-file\r\n$0\r\n\r\n");
}
