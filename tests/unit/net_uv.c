// The real network over loopback: what conn.h promises, on sockets.
#include "conn/net_uv.h"

#include "base/mem.h"
#include "loop/loop_uv.h"

#include <criterion/criterion.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PORT = 21100, GUARD_US = 20000000 };

// One end of a conversation, and everything that happened to it, as text.
struct end {
    struct world *world;
    struct conn *conn;
    struct buf got;
    size_t got_bytes, drained_bytes;
    char trace[512];
    enum error_class closed_class;
    char closed_text[ERROR_TEXT_BYTES];
    bool closed, echoes, pauses, stops_when_closed;
    bool closes_on_bytes, writes_when_closed;
    size_t feed; // bytes still to write, as long as the conn takes them
    size_t most_queued;
};

struct world {
    struct loop *loop;
    struct network *net;
    struct listener *listener;
    struct deadline guard, later;
    struct end server, client;
    int tls_port;
};

static void note(struct end *e, const char *what)
{
    strncat(e->trace, what, sizeof(e->trace) - strlen(e->trace) - 1);
}

static void feed(struct end *e)
{
    static const char block[16384];
    while (e->feed > 0 && conn_queued(e->conn) < CONN_HIGH_WATER_BYTES) {
        size_t part = e->feed < sizeof(block) ? e->feed : sizeof(block);
        conn_write_bytes(e->conn, bytes_of(block, part));
        e->feed -= part;
    }
    if (conn_queued(e->conn) > e->most_queued) e->most_queued = conn_queued(e->conn);
}

static void on_opened(struct conn *c, void *owner)
{
    (void)c;
    struct end *e = owner;
    note(e, "opened ");
    if (e->feed > 0) feed(e);
}

static void on_bytes(struct conn *c, void *owner, struct bytes input)
{
    struct end *e = owner;
    e->got_bytes += input.len;
    if (buf_len(&e->got) < 4096) buf_append_bytes(&e->got, input);
    if (e->echoes) conn_write_bytes(c, input);
    if (e->pauses) conn_pause(c);
    if (e->closes_on_bytes) {
        note(e, "close ");
        conn_close(c);
    }
}

static void on_drained(struct conn *c, void *owner, size_t taken, size_t left)
{
    (void)c, (void)left;
    struct end *e = owner;
    e->drained_bytes += taken;
    if (e->feed > 0) feed(e);
}

static void on_closed(struct conn *c, void *owner, const struct error *why)
{
    struct end *e = owner;
    note(e, "closed ");
    cr_assert(!e->closed, "closed comes once");
    e->closed = true;
    e->closed_class = why->class;
    snprintf(e->closed_text, sizeof(e->closed_text), "%s", why->text);
    if (e->writes_when_closed) conn_write_bytes(c, BYTES("into the void"));
    e->conn = NULL;
    if (e->stops_when_closed) loop_stop(e->world->loop);
}

static const struct conn_events events = {on_opened, on_bytes, on_drained, on_closed};

static void on_accepted(void *owner, struct conn *c)
{
    struct world *w = owner;
    w->server.conn = c;
    conn_own(c, &events, &w->server);
}

static void on_guard(struct deadline *d)
{
    (void)d;
    cr_assert_fail("the test did not come to its end in time");
}

static void world_begin(struct world *w, const char *address, int port)
{
    struct error error = ERROR_OK;
    *w = (struct world){0};
    w->server.world = w->client.world = w;
    w->loop = loop_uv_new(NULL, &error);
    cr_assert_not_null(w->loop, "%s", error.text);
    w->net = net_uv_new(w->loop, NULL);
    w->guard.fire = on_guard;
    deadline_arm(w->loop, &w->guard, loop_now_us(w->loop) + GUARD_US);
    if (address == NULL) return;
    struct listen_options options = {
        .address = address, .port = port, .unix_mode = 0700, .accepted = on_accepted, .owner = w};
    w->listener = w->net->listen(w->net, &options, &error);
    cr_assert_not_null(w->listener, "%s", error.text);
}

static void world_connect(struct world *w, const char *host, int port)
{
    struct conn_target target = {.host = host, .port = port};
    w->client.conn = net_connect(w->net, &target, &events, &w->client);
    cr_assert_not_null(w->client.conn);
}

static void world_end(struct world *w)
{
    deadline_cancel(w->loop, &w->guard);
    deadline_cancel(w->loop, &w->later);
    net_uv_free(w->net);
    loop_free(w->loop);
    buf_free(&w->server.got);
    buf_free(&w->client.got);
}

static void stop_loop(struct deadline *d)
{
    loop_stop(list_entry(d, struct world, later)->loop);
}

static void run_for(struct world *w, uint64_t us)
{
    w->later.fire = stop_loop;
    deadline_arm(w->loop, &w->later, loop_now_us(w->loop) + us);
    loop_run(w->loop);
}

// Both ends are open.
static void world_linked(struct world *w)
{
    world_begin(w, "127.0.0.1", PORT);
    world_connect(w, "127.0.0.1", PORT);
    run_for(w, 20000);
    cr_assert_not_null(w->server.conn);
}

// Says hello, hears it back, closes.
static void converse(const char *address, int listen_port, const char *host, int port)
{
    struct world w;
    world_begin(&w, address, listen_port);
    w.server.echoes = true;
    w.client.closes_on_bytes = true;
    w.server.stops_when_closed = true;
    world_connect(&w, host, port);
    conn_write_bytes(w.client.conn, BYTES("hello")); // before it is open: kept
    loop_run(w.loop);
    cr_expect(bytes_equal(buf_view(&w.client.got), BYTES("hello")));
    cr_expect_str_eq(w.client.trace, "opened close closed ");
    cr_expect_str_eq(w.server.trace, "opened closed ");
    cr_expect_eq(w.client.closed_class, ERROR_CLOSED);
    cr_expect_eq(w.server.closed_class, ERROR_CLOSED);
    cr_expect_eq(w.client.drained_bytes, 5);
    world_end(&w);
}

Test(net_uv, echo_ipv4)
{
    converse("127.0.0.1", PORT, "127.0.0.1", PORT);
}

Test(net_uv, echo_any_by_name)
{
    converse("*", PORT, "localhost", PORT);
}

Test(net_uv, echo_ipv6)
{
    if (access("/proc/net/if_inet6", R_OK) != 0) return;
    FILE *f = fopen("/proc/net/if_inet6", "r");
    int first = f != NULL ? fgetc(f) : EOF;
    if (f != NULL) fclose(f);
    if (first == EOF) return; // no IPv6 here
    converse("::1", PORT, "::1", PORT);
}

Test(net_uv, echo_unix)
{
    char path[64];
    snprintf(path, sizeof(path), "/tmp/wherry-net-%d.sock", (int)getpid());
    converse(path, 0, path, 0);
    cr_expect_neq(access(path, F_OK), 0, "the socket file goes with its listener");
}

Test(net_uv, unix_mode_and_addresses)
{
    char path[64], text[128], expect[128];
    snprintf(path, sizeof(path), "/tmp/wherry-net-%d.sock", (int)getpid());
    snprintf(expect, sizeof(expect), "%s:0", path);
    struct world w;
    world_begin(&w, path, 0);
    struct stat st;
    cr_assert_eq(stat(path, &st), 0);
    cr_expect_eq(st.st_mode & 0777, 0700);
    world_connect(&w, path, 0);
    run_for(&w, 50000);
    cr_assert_not_null(w.server.conn);
    cr_expect_str_eq(conn_type(w.server.conn), "unix");
    conn_peer(w.server.conn, text, sizeof(text));
    cr_expect_str_eq(text, expect);
    conn_peer(w.client.conn, text, sizeof(text));
    cr_expect_str_eq(text, expect);
    conn_local(w.client.conn, text, sizeof(text));
    cr_expect_str_eq(text, expect);
    world_end(&w);
    cr_expect(w.server.closed && w.client.closed, "the network's end is everybody's");
    cr_expect_eq(w.server.closed_class, ERROR_CANCELLED);
}

static int nodelay_of(const struct conn *c)
{
    int value = -1;
    socklen_t len = sizeof(value);
    cr_assert_eq(getsockopt(conn_fd(c), IPPROTO_TCP, TCP_NODELAY, &value, &len), 0);
    return value != 0;
}

Test(net_uv, small_writes_go_out_at_once_unless_told)
{
    struct world w;
    world_begin(&w, "127.0.0.1", PORT);
    world_connect(&w, "127.0.0.1", PORT);
    run_for(&w, 50000);
    cr_assert_not_null(w.server.conn);
    cr_expect_eq(nodelay_of(w.client.conn), 1);
    cr_expect_eq(nodelay_of(w.server.conn), 1);
    conn_nodelay(w.server.conn, false);
    cr_expect_eq(nodelay_of(w.server.conn), 0);
    conn_nodelay(w.server.conn, true);
    cr_expect_eq(nodelay_of(w.server.conn), 1);
    world_end(&w);
}

Test(net_uv, big_transfer_with_backpressure)
{
    enum { TOTAL = 64 * 1024 * 1024 };
    struct world w;
    world_begin(&w, "127.0.0.1", PORT);
    world_connect(&w, "127.0.0.1", PORT);
    w.client.feed = TOTAL;
    run_for(&w, 20000);
    cr_assert_not_null(w.server.conn);

    // The reader stops: so does the writer, with a bounded queue.
    conn_pause(w.server.conn);
    run_for(&w, 100000);
    size_t then = w.client.drained_bytes, seen = w.server.got_bytes;
    run_for(&w, 100000);
    cr_expect_eq(w.client.drained_bytes, then, "nothing moves while the reader holds back");
    cr_expect_eq(w.server.got_bytes, seen);
    cr_expect_lt(then, (size_t)TOTAL);

    conn_resume(w.server.conn);
    for (int i = 0; i < 100 && w.server.got_bytes < TOTAL; i++)
        run_for(&w, 50000);
    cr_expect_eq(w.server.got_bytes, (size_t)TOTAL);
    cr_expect_eq(w.client.drained_bytes, (size_t)TOTAL);
    cr_expect_leq(w.client.most_queued, (size_t)CONN_HIGH_WATER_BYTES + 16384);
    world_end(&w);
}

static void close_client(struct deadline *d)
{
    struct world *w = list_entry(d, struct world, guard);
    if (w->client.conn != NULL) conn_close(w->client.conn);
}

// Between the calls that send a conn's output deadlines fire, and one of them may end it.
Test(net_uv, a_deadline_may_close_a_conn_that_is_being_written)
{
    for (uint64_t delay_us = 0; delay_us < 1000; delay_us += 50) {
        struct world w;
        world_linked(&w);
        w.guard.fire = close_client;
        deadline_arm(w.loop, &w.guard, loop_now_us(w.loop) + delay_us);
        w.client.feed = 64 * 1024 * 1024;
        feed(&w.client);
        run_for(&w, 50000);
        cr_expect(w.client.closed);
        cr_expect(w.server.closed);
        world_end(&w);
    }
}

// What comes to a paused conn wakes the loop once at most.
Test(net_uv, paused_conn_whose_peer_has_gone_waits_quietly)
{
    struct world w;
    world_linked(&w);
    conn_pause(w.server.conn);
    conn_write_bytes(w.client.conn, BYTES("last words"));
    conn_close_flush(w.client.conn);
    run_for(&w, 20000);
    uint64_t iterations = loop_stats(w.loop)->iterations;
    run_for(&w, 100000);
    cr_expect_leq(loop_stats(w.loop)->iterations - iterations, 3);
    cr_expect_eq(w.server.got_bytes, 0);
    cr_expect_not(w.server.closed);
    conn_resume(w.server.conn);
    run_for(&w, 20000);
    cr_expect(bytes_equal(buf_view(&w.server.got), BYTES("last words")));
    cr_expect(w.server.closed);
    world_end(&w);
}

Test(net_uv, connect_refused)
{
    struct world w;
    world_begin(&w, NULL, 0);
    w.client.stops_when_closed = true;
    w.client.writes_when_closed = true;
    world_connect(&w, "127.0.0.1", PORT + 1);
    loop_run(w.loop);
    cr_expect_str_eq(w.client.trace, "closed ");
    cr_expect_eq(w.client.closed_class, ERROR_IO);
    cr_expect_str_eq(w.client.closed_text, "connect to 127.0.0.1:21101: Connection refused");
    world_end(&w);
}

Test(net_uv, tls_without_a_context_never_goes_in_the_clear)
{
    struct world w;
    world_begin(&w, "127.0.0.1", PORT);
    w.client.stops_when_closed = true;
    struct conn_target target = {.host = "127.0.0.1", .port = PORT, .tls = true};
    w.client.conn = net_connect(w.net, &target, &events, &w.client);
    conn_write_bytes(w.client.conn, BYTES("secret"));
    loop_run(w.loop);
    cr_expect_str_eq(w.client.trace, "closed ");
    cr_expect_eq(w.client.closed_class, ERROR_TLS);
    cr_expect_null(w.server.conn);
    world_end(&w);
}

Test(net_uv, close_while_connecting)
{
    struct world w;
    world_begin(&w, "127.0.0.1", PORT);
    w.client.stops_when_closed = true;
    world_connect(&w, "localhost", PORT);
    conn_close(w.client.conn);
    cr_expect(!w.client.closed, "closed never comes from inside conn_close");
    loop_run(w.loop);
    cr_expect_str_eq(w.client.trace, "closed ");
    cr_expect_eq(w.client.closed_class, ERROR_CLOSED);
    world_end(&w);
}

Test(net_uv, flush_sends_what_is_queued)
{
    enum { TOTAL = 8 * 1024 * 1024 };
    char *block = mem_zalloc(TOTAL);
    struct world w;
    world_linked(&w);
    w.server.stops_when_closed = true;
    conn_write_bytes(w.client.conn, bytes_of(block, TOTAL));
    conn_close_flush(w.client.conn);
    conn_write_bytes(w.client.conn, BYTES("too late"));
    loop_run(w.loop);
    cr_expect_eq(w.server.got_bytes, (size_t)TOTAL);
    cr_expect_eq(w.server.closed_class, ERROR_CLOSED);
    run_for(&w, 1000);
    cr_expect(w.client.closed);
    world_end(&w);
    mem_free(block);
}

Test(net_uv, flush_gives_up_on_a_peer_that_takes_nothing)
{
    enum { TOTAL = 32 * 1024 * 1024 };
    char *block = mem_zalloc(TOTAL);
    struct world w;
    world_linked(&w);
    conn_pause(w.server.conn);
    w.client.stops_when_closed = true;
    uint64_t began_us = loop_now_us(w.loop);
    conn_write_bytes(w.client.conn, bytes_of(block, TOTAL));
    conn_close_flush(w.client.conn);
    loop_run(w.loop);
    uint64_t took_us = loop_now_us(w.loop) - began_us;
    cr_expect_geq(took_us, CONN_FLUSH_US);
    cr_expect_lt(took_us, CONN_FLUSH_US + 5000000); // a busy machine may add to it
    world_end(&w);
    mem_free(block);
}

Test(net_uv, port_in_use_is_a_clear_error)
{
    struct world w;
    world_begin(&w, "127.0.0.1", PORT);
    struct error error = ERROR_OK;
    struct listen_options options = {.address = "127.0.0.1", .port = PORT, .accepted = on_accepted};
    cr_expect_null(w.net->listen(w.net, &options, &error));
    cr_expect_str_eq(error.text, "bind 127.0.0.1:21100: Address already in use");
    world_end(&w);
}

Test(net_uv, source_address)
{
    char text[128];
    struct world w;
    world_begin(&w, "127.0.0.1", PORT);
    struct conn_target target = {.host = "127.0.0.1", .port = PORT, .source_address = "127.0.0.2"};
    w.client.conn = net_connect(w.net, &target, &events, &w.client);
    run_for(&w, 50000);
    cr_assert_not_null(w.server.conn);
    conn_peer(w.server.conn, text, sizeof(text));
    cr_expect_eq(strncmp(text, "127.0.0.2:", 10), 0, "%s", text);
    world_end(&w);
}

struct asked {
    struct resolve_req req;
    struct loop *loop;
    bool done;
};

static void on_answer(struct resolve_req *req)
{
    struct asked *a = (struct asked *)req;
    a->done = true;
    loop_stop(a->loop);
}

Test(net_uv, resolver)
{
    struct world w;
    world_begin(&w, NULL, 0);
    struct asked a = {.req = {.host = "localhost", .port = 1, .done = on_answer}, .loop = w.loop};
    loop_resolve(w.loop, &a.req);
    cr_expect(!a.done);
    loop_run(w.loop);
    cr_expect_geq(a.req.count, 1);
    cr_expect(strcmp(a.req.address[0], "127.0.0.1") == 0 || strcmp(a.req.address[0], "::1") == 0);

    a.req.host = "::1";
    loop_resolve(w.loop, &a.req);
    loop_run(w.loop);
    cr_expect_eq(a.req.count, 1);
    cr_expect_str_eq(a.req.address[0], "::1");

    a.req.host = "localhost";
    a.req.cancelled = true;
    loop_resolve(w.loop, &a.req);
    loop_run(w.loop);
    cr_expect_eq(a.req.count, 0);

    a.req.host = "no such host!";
    a.req.cancelled = false;
    loop_resolve(w.loop, &a.req);
    loop_run(w.loop);
    cr_expect_eq(a.req.count, 0);
    cr_expect_eq(a.req.error.class, ERROR_IO);
    world_end(&w);
}
