// The TLS layer between two ends of a wire that this file moves by hand: any fragmentation, any
// order of events, a clock that stands still until it is told to go on.
#include "base/mem.h"
#include "conn/tls_internal.h"
#include "loop/loop_impl.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#define T "tests/tls/"

// ---- a loop and a wire ----------------------------------------------------------------------

struct end {
    struct conn base;
    struct world *world;
    struct end *peer; // NULL: gone
    struct chain out;
    bool hears_end; // the peer is gone: closed comes after its bytes
    bool flushing, over;
    struct error why;
    int writes; // calls of conn_write
};

struct world {
    struct loop loop;
    uint64_t now_us;
    size_t fragment; // bytes that one step carries
    struct end *ends[2];
    size_t carried;
    // The other thread: it has at most LOOP_LANE_WIDTH pieces, and does them when told to.
    struct work *work[LOOP_LANE_WIDTH];
    int work_count;
    bool workers_rest; // `run` leaves them alone
    int flights;
};

static uint64_t clock_us(const struct loop *loop)
{
    return list_entry(loop, struct world, loop)->now_us;
}

static int64_t unix_us(const struct loop *loop)
{
    (void)loop;
    return 1800000000000000;
}

static void work(struct loop *loop, struct work *piece)
{
    struct world *w = list_entry(loop, struct world, loop);
    cr_assert_lt(w->work_count, LOOP_LANE_WIDTH);
    w->work[w->work_count++] = piece;
}

static const struct loop_ops loop_ops = {.clock_us = clock_us, .unix_us = unix_us, .work = work};

static struct end *end_of(const struct conn *c)
{
    return (struct end *)c;
}

static void end_write(struct conn *c, struct chain *data)
{
    end_of(c)->writes++;
    chain_move(&end_of(c)->out, data);
}

static void end_pause(struct conn *c)
{
    (void)c;
}

static void end_close(struct conn *c, bool flush)
{
    struct end *e = end_of(c);
    error_set(&e->why, ERROR_CLOSED, "closed");
    e->flushing = flush;
    if (flush) return;
    chain_free(&e->out);
    e->over = true;
}

static size_t end_queued(const struct conn *c)
{
    return end_of(c)->out.len;
}

static void end_address(const struct conn *c, bool peer, char *out, size_t size)
{
    (void)c;
    snprintf(out, size, "%s", peer ? "there" : "here");
}

static const struct conn_ops end_ops = {"wire",     end_write,   end_pause, end_pause, end_close,
                                        end_queued, end_address, NULL,      NULL,      NULL};

static struct end *end_new(struct world *w)
{
    struct end *e = mem_new(struct end);
    conn_init(&e->base, &end_ops, &w->loop, NULL, NULL);
    e->world = w;
    chain_init(&e->out);
    return e;
}

static struct world *world_new(size_t fragment)
{
    struct world *w = mem_new(struct world);
    loop_init(&w->loop, &loop_ops, NULL, false);
    w->fragment = fragment;
    w->ends[0] = end_new(w);
    w->ends[1] = end_new(w);
    w->ends[0]->peer = w->ends[1];
    w->ends[1]->peer = w->ends[0];
    return w;
}

// After a dispatch: what it deferred.
static void settled(struct world *w)
{
    if (w->loop.entered) loop_leave(&w->loop, "wire");
    while (!list_empty(&w->loop.tasks))
        loop_run_tasks(&w->loop);
}

static void end_gone(struct end *e)
{
    struct world *w = e->world;
    loop_enter(&w->loop);
    conn_emit_closed(&e->base, &e->why);
    chain_free(&e->out);
    mem_free(e);
    settled(w);
}

// The oldest piece of work, if there is one: computed outside of any dispatch, then told.
static bool work_step(struct world *w)
{
    if (w->work_count == 0) return false;
    struct work *piece = w->work[0];
    w->work_count--;
    memmove(w->work, w->work + 1, sizeof(*w->work) * (size_t)w->work_count);
    w->flights++;
    piece->work(piece);
    loop_enter(&w->loop);
    loop_work_done(&w->loop, piece);
    settled(w);
    return true;
}

// One event at most for this end; false when there is none.
static bool end_step(struct end *e)
{
    struct world *w = e->world;
    if (!e->base.opened && !e->base.closing) {
        loop_enter(&w->loop);
        conn_emit_opened(&e->base);
        settled(w);
        return true;
    }
    bool can_take = e->peer != NULL && e->peer->base.opened && !e->peer->base.paused;
    if (e->out.len > 0 && (can_take || e->peer == NULL)) {
        size_t len = e->out.len < w->fragment ? e->out.len : w->fragment;
        char *copy = malloc(len);
        cr_assert_eq(chain_read(&e->out, copy, len), len);
        w->carried += len;
        loop_enter(&w->loop);
        if (e->peer != NULL && !e->peer->base.closing)
            conn_emit_bytes(&e->peer->base, bytes_of(copy, len));
        free(copy);
        settled(w);
        loop_enter(&w->loop);
        conn_emit_drained(&e->base, len, e->out.len);
        settled(w);
        return true;
    }
    if (e->flushing && e->out.len == 0) e->over = true;
    if (e->hears_end && !e->base.paused && !e->over) {
        error_set(&e->why, ERROR_CLOSED, "closed by the peer");
        e->over = true;
    }
    if (!e->over) return false;
    w->ends[e == w->ends[1]] = NULL;
    if (e->peer != NULL) {
        e->peer->peer = NULL;
        e->peer->hears_end = true;
    }
    end_gone(e);
    return true;
}

// Until nothing moves any more. The clock stands still.
static void run(struct world *w)
{
    settled(w);
    for (bool moved = true; moved;) {
        moved = false;
        for (int i = 0; i < 2; i++)
            if (w->ends[i] != NULL) moved |= end_step(w->ends[i]);
        if (!w->workers_rest) moved |= work_step(w);
    }
}

static void run_until(struct world *w, uint64_t at_us)
{
    run(w);
    for (struct deadline *d; (d = heap_first(&w->loop.deadlines)) != NULL && d->at_us <= at_us;) {
        w->now_us = d->at_us;
        loop_fire_due(&w->loop);
        run(w);
    }
    w->now_us = at_us;
}

static void world_free(struct world *w)
{
    cr_assert_null(w->ends[0]);
    cr_assert_null(w->ends[1]);
    cr_assert_null(heap_first(&w->loop.deadlines), "a deadline outlived its conn");
    cr_assert_eq(w->work_count, 0, "a worker still has an engine");
    loop_release(&w->loop);
    mem_free(w);
}

// ---- a side: what an owner would be ---------------------------------------------------------

struct side {
    struct conn *conn; // NULL after closed
    bool opened;
    struct buf got;
    size_t drained_bytes, last_left;
    int bytes_events;
    struct error why;
    bool echo, pause_on_bytes, close_on_opened, close_on_bytes;
};

static void side_opened(struct conn *c, void *owner)
{
    struct side *s = owner;
    cr_assert(!s->opened);
    s->opened = true;
    if (s->close_on_opened) conn_close(c);
}

static void side_bytes(struct conn *c, void *owner, struct bytes input)
{
    struct side *s = owner;
    cr_assert(s->opened);
    cr_assert_gt(input.len, 0);
    s->bytes_events++;
    if (s->echo)
        conn_write_bytes(c, input);
    else
        buf_append_bytes(&s->got, input);
    if (s->pause_on_bytes) conn_pause(c);
    if (s->close_on_bytes) conn_close(c);
}

static void side_drained(struct conn *c, void *owner, size_t taken, size_t left)
{
    struct side *s = owner;
    cr_assert_gt(taken, 0);
    cr_assert_eq(left, conn_queued(c));
    s->drained_bytes += taken;
    s->last_left = left;
}

static void side_closed(struct conn *c, void *owner, const struct error *why)
{
    struct side *s = owner;
    cr_assert_eq(c, s->conn);
    cr_assert(error_is(why));
    s->conn = NULL;
    s->why = *why;
}

static const struct conn_events side_events = {side_opened, side_bytes, side_drained, side_closed};

// Client and server of one wire.
struct pair {
    struct world *w;
    struct side client, server;
};

static struct tls_config config_of(const char *server_cert, const char *client_cert)
{
    static char paths[8][64];
    snprintf(paths[0], 64, T "%s.crt", server_cert);
    snprintf(paths[1], 64, T "%s.key", server_cert);
    snprintf(paths[2], 64, T "%s.crt", client_cert);
    snprintf(paths[3], 64, T "%s.key", client_cert);
    return (struct tls_config){
        .cert_file = paths[0],
        .key_file = paths[1],
        .client_cert_file = paths[2],
        .client_key_file = paths[3],
        .ca_cert_file = T "ca.crt",
        .auth_clients = TLS_AUTH_YES,
    };
}

static struct tls_context *context_of(const struct tls_config *config)
{
    struct error error = ERROR_OK;
    struct tls_context *t = tls_context_new(config, &error);
    cr_assert_not_null(t, "%s", error.text);
    return t;
}

static void pair_up(struct pair *p, size_t fragment, const struct tls_config *server,
                    const struct tls_config *client, const char *verify_name)
{
    p->w = world_new(fragment);
    struct tls_context *s = context_of(server), *c = context_of(client);
    p->server.conn = tls_server(s, &p->w->ends[1]->base, 0, &side_events, &p->server);
    p->client.conn =
        tls_client(c, &p->w->ends[0]->base, "localhost", verify_name, &side_events, &p->client);
    // Conns keep what they started with.
    tls_context_unref(s);
    tls_context_unref(c);
}

static void open_pair(struct pair *p, size_t fragment)
{
    struct tls_config config = config_of("server", "client");
    pair_up(p, fragment, &config, &config, "localhost");
    run(p->w);
    cr_assert(p->client.opened && p->server.opened, "client: %s server: %s", p->client.why.text,
              p->server.why.text);
}

static void finish(struct pair *p)
{
    if (p->client.conn != NULL) conn_close(p->client.conn);
    run_until(p->w, p->w->now_us + 2 * CONN_FLUSH_US);
    if (p->server.conn != NULL) conn_close(p->server.conn);
    run_until(p->w, p->w->now_us + 2 * CONN_FLUSH_US);
    cr_assert_null(p->client.conn);
    cr_assert_null(p->server.conn);
    buf_free(&p->client.got);
    buf_free(&p->server.got);
    world_free(p->w);
}

static void has_words(const struct error *e, enum error_class class, const char *a, const char *b)
{
    cr_assert_eq(e->class, class, "class %d: %s", e->class, e->text);
    cr_assert_not_null(strstr(e->text, a), "'%s' not in: %s", a, e->text);
    cr_assert_not_null(strstr(e->text, b), "'%s' not in: %s", b, e->text);
}

static void make_certs(void)
{
    cr_assert_eq(system("tools/gen-test-certs.sh"), 0);
}

TestSuite(tls_conn, .init = make_certs);

// ---- handshake and data ---------------------------------------------------------------------

Test(tls_conn, any_fragmentation_opens_and_carries)
{
    static const size_t fragments[] = {1, 2, 5, 6, 100, 1000, 1 << 20};
    static const char *const protocols[] = {"TLSv1.2", "TLSv1.3"};
    for (size_t i = 0; i < sizeof(fragments) / sizeof(fragments[0]); i++)
        for (int v = 0; v < 2; v++) {
            struct pair p = {0};
            struct tls_config config = config_of("server", "client");
            config.protocols = protocols[v];
            pair_up(&p, fragments[i], &config, &config, "127.0.0.1");
            p.server.echo = true;
            run(p.w);
            cr_assert(p.client.opened && p.server.opened);
            conn_write_bytes(p.client.conn, BYTES("hello"));
            run(p.w);
            cr_assert(bytes_equal(buf_view(&p.client.got), BYTES("hello")));
            char text[100];
            tls_describe(p.client.conn, text, sizeof(text));
            cr_assert_eq(strncmp(text, protocols[v], 7), 0, "%s", text);
            finish(&p);
        }
}

Test(tls_conn, what_is_written_before_opened_waits_for_it)
{
    struct pair p = {0};
    struct tls_config config = config_of("server", "client");
    pair_up(&p, 100, &config, &config, NULL);
    conn_write_bytes(p.client.conn, BYTES("early"));
    cr_assert_eq(conn_queued(p.client.conn), 5);
    run(p.w);
    cr_assert(bytes_equal(buf_view(&p.server.got), BYTES("early")));
    cr_assert_eq(conn_queued(p.client.conn), 0);
    cr_assert_eq(p.client.drained_bytes, 5);
    finish(&p);
}

Test(tls_conn, ten_megabytes_each_way)
{
    enum { TOTAL = 10 << 20 };
    struct pair p = {0};
    open_pair(&p, 30011);
    char *data = malloc(TOTAL);
    for (int i = 0; i < TOTAL; i++)
        data[i] = (char)(i * 2654435761u >> 13);
    conn_write_bytes(p.client.conn, bytes_of(data, TOTAL));
    conn_write_bytes(p.server.conn, bytes_of(data, TOTAL));
    cr_assert_eq(conn_queued(p.client.conn), TOTAL);
    settled(p.w);
    // Only so much is encrypted ahead.
    cr_assert_leq(conn_queued(&p.w->ends[0]->base), CONN_HIGH_WATER_BYTES + 17 * 1024);
    cr_assert_eq(conn_queued(p.client.conn), TOTAL);
    run(p.w);
    cr_assert(bytes_equal(buf_view(&p.client.got), bytes_of(data, TOTAL)));
    cr_assert(bytes_equal(buf_view(&p.server.got), bytes_of(data, TOTAL)));
    cr_assert_eq(p.client.drained_bytes, TOTAL);
    cr_assert_eq(p.client.last_left, 0);
    free(data);
    finish(&p);
}

static bool gives_buffers_back(const struct side *s)
{
    SSL *ssl = ((struct tls_conn *)s->conn)->engine->ssl;
    return (SSL_get_mode(ssl) & SSL_MODE_RELEASE_BUFFERS) != 0;
}

static void pass_seconds(struct pair *p, int seconds, size_t bytes_each)
{
    char *data = calloc(1, bytes_each);
    for (int i = 0; i < seconds; i++) {
        run_until(p->w, p->w->now_us + 1000000);
        conn_write_bytes(p->client.conn, bytes_of(data, bytes_each));
        run(p->w);
    }
    free(data);
}

Test(tls_conn, who_moves_much_at_a_time_keeps_the_buffers)
{
    struct pair p = {0};
    open_pair(&p, 16384);
    pass_seconds(&p, 100, 64 * 1024);
    cr_expect(gives_buffers_back(&p.client) && gives_buffers_back(&p.server), "much in all");
    pass_seconds(&p, 3, 2 << 20);
    cr_expect_not(gives_buffers_back(&p.client) || gives_buffers_back(&p.server));
    pass_seconds(&p, 2, 100);
    cr_expect(gives_buffers_back(&p.client) && gives_buffers_back(&p.server), "no more");
    finish(&p);
}

Test(tls_conn, many_small_writes_are_few_records_and_one_write_below)
{
    struct pair p = {0};
    open_pair(&p, 1 << 20);
    p.w->carried = 0;
    int writes = p.w->ends[0]->writes;
    for (int i = 0; i < 1000; i++)
        conn_write_bytes(p.client.conn, BYTES("0123456789"));
    run(p.w);
    cr_assert_eq(buf_len(&p.server.got), 10000);
    cr_assert_eq(p.w->ends[0]->writes, writes + 1);
    cr_assert_leq(p.w->carried, 10000 + 100);
    cr_assert_eq(p.server.bytes_events, 1);
    finish(&p);
}

Test(tls_conn, paused_means_no_byte_and_resumed_means_all_of_them)
{
    struct pair p = {0};
    open_pair(&p, 1 << 20);
    p.server.pause_on_bytes = true;
    static const char record[16384] = {1};
    for (int i = 0; i < 10; i++)
        conn_write_bytes(p.client.conn, bytes_of(record, sizeof(record)));
    run(p.w);
    cr_assert_eq(buf_len(&p.server.got), sizeof(record));
    for (int i = 2; i <= 10; i++) {
        conn_resume(p.server.conn);
        cr_assert_eq(p.server.bytes_events, i - 1, "bytes came inside conn_resume");
        run(p.w);
        cr_assert_eq(buf_len(&p.server.got), (size_t)i * sizeof(record));
    }
    conn_resume(p.server.conn);
    finish(&p);
}

Test(tls_conn, paused_before_it_opens)
{
    struct pair p = {0};
    struct tls_config config = config_of("server", "client");
    pair_up(&p, 64, &config, &config, NULL);
    conn_pause(p.server.conn);
    run(p.w);
    cr_assert(p.server.opened);
    conn_write_bytes(p.client.conn, BYTES("held"));
    run(p.w);
    cr_assert_eq(buf_len(&p.server.got), 0);
    conn_resume(p.server.conn);
    run(p.w);
    cr_assert(bytes_equal(buf_view(&p.server.got), BYTES("held")));
    finish(&p);
}

Test(tls_conn, names_and_addresses)
{
    struct pair p = {0};
    open_pair(&p, 100);
    char text[100];
    cr_assert(conn_peer_name(p.server.conn, text, sizeof(text)));
    cr_assert_str_eq(text, "wherry-client");
    cr_assert(conn_peer_name(p.client.conn, text, sizeof(text)));
    cr_assert_str_eq(text, "localhost");
    cr_assert(!conn_peer_name(p.client.conn, text, 9), "it does not fit");
    conn_peer(p.client.conn, text, sizeof(text));
    cr_assert_str_eq(text, "there");
    cr_assert_str_eq(conn_type(p.client.conn), "tls");
    SSL *ssl = ((struct tls_conn *)p.server.conn)->engine->ssl;
    cr_assert_str_eq(SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name), "localhost");
    finish(&p);
}

Test(tls_conn, keys_are_updated_when_the_peer_asks)
{
    struct pair p = {0};
    open_pair(&p, 100);
    p.server.echo = true;
    SSL *ssl = ((struct tls_conn *)p.client.conn)->engine->ssl;
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(SSL_key_update(ssl, SSL_KEY_UPDATE_REQUESTED), 1);
        conn_write_bytes(p.client.conn, BYTES("x"));
        run(p.w);
    }
    cr_assert(bytes_equal(buf_view(&p.client.got), BYTES("xxx")));
    finish(&p);
}

Test(tls_conn, renegotiation_is_refused)
{
    struct pair p = {0};
    struct tls_config config = config_of("server", "client");
    config.protocols = "TLSv1.2";
    pair_up(&p, 100, &config, &config, NULL);
    run(p.w);
    SSL *ssl = ((struct tls_conn *)p.client.conn)->engine->ssl,
        *peer = ((struct tls_conn *)p.server.conn)->engine->ssl;
    SSL_clear_options(ssl, SSL_OP_NO_RENEGOTIATION);
    cr_assert_eq(SSL_renegotiate(ssl), 1);
    SSL_do_handshake(ssl);
    conn_write_bytes(p.client.conn, BYTES("x"));
    run(p.w);
    if (p.server.conn != NULL) cr_assert_eq(SSL_num_renegotiations(peer), 0);
    cr_assert_eq(buf_len(&p.client.got), 0);
    finish(&p);
}

// ---- closing --------------------------------------------------------------------------------

Test(tls_conn, a_flush_sends_everything_and_says_goodbye)
{
    enum { TOTAL = 3 << 20 };
    struct pair p = {0};
    open_pair(&p, 50000);
    char *data = calloc(1, TOTAL);
    conn_write_bytes(p.client.conn, bytes_of(data, TOTAL));
    conn_close_flush(p.client.conn);
    conn_write_bytes(p.client.conn, BYTES("dropped: it is closing"));
    SSL *peer = ((struct tls_conn *)p.server.conn)->engine->ssl;
    SSL_up_ref(peer);
    run(p.w);
    cr_assert_eq(buf_len(&p.server.got), TOTAL);
    cr_assert(SSL_get_shutdown(peer) & SSL_RECEIVED_SHUTDOWN);
    SSL_free(peer);
    cr_assert_null(p.client.conn);
    cr_assert_null(p.server.conn);
    cr_assert_eq(p.client.why.class, ERROR_CLOSED);
    cr_assert_eq(p.server.why.class, ERROR_CLOSED);
    free(data);
    finish(&p);
}

Test(tls_conn, a_flush_that_the_peer_does_not_take_ends_in_time)
{
    struct pair p = {0};
    open_pair(&p, 50000);
    conn_pause(p.server.conn);
    static const char data[1 << 20];
    conn_write_bytes(p.client.conn, bytes_of(data, sizeof(data)));
    conn_close_flush(p.client.conn);
    run_until(p.w, p.w->now_us + CONN_FLUSH_US - 1);
    cr_assert_not_null(p.client.conn);
    run_until(p.w, p.w->now_us + 1);
    cr_assert_null(p.client.conn);
    finish(&p);
}

Test(tls_conn, a_second_close_cuts_a_flush_short)
{
    struct pair p = {0};
    open_pair(&p, 50000);
    conn_pause(p.server.conn);
    static const char data[1 << 20];
    conn_write_bytes(p.client.conn, bytes_of(data, sizeof(data)));
    conn_close_flush(p.client.conn);
    run(p.w);
    cr_assert_not_null(p.client.conn);
    conn_close(p.client.conn);
    run(p.w);
    cr_assert_null(p.client.conn);
    finish(&p);
}

Test(tls_conn, an_end_without_goodbye_is_an_end)
{
    struct pair p = {0};
    open_pair(&p, 100);
    conn_write_bytes(p.client.conn, BYTES("last words"));
    run(p.w);
    // The wire breaks below the client's TLS.
    conn_close(&p.w->ends[0]->base);
    run(p.w);
    cr_assert_null(p.server.conn);
    cr_assert_eq(p.server.why.class, ERROR_CLOSED);
    cr_assert(bytes_equal(buf_view(&p.server.got), BYTES("last words")));
    finish(&p);
}

Test(tls_conn, held_bytes_come_before_the_end)
{
    struct pair p = {0};
    open_pair(&p, 1 << 20);
    p.server.pause_on_bytes = true;
    static const char record[16384] = {1};
    for (int i = 0; i < 4; i++)
        conn_write_bytes(p.client.conn, bytes_of(record, sizeof(record)));
    conn_close_flush(p.client.conn);
    run(p.w);
    cr_assert_not_null(p.server.conn);
    p.server.pause_on_bytes = false;
    conn_resume(p.server.conn);
    run(p.w);
    cr_assert_eq(buf_len(&p.server.got), 4 * sizeof(record));
    cr_assert_null(p.server.conn);
    finish(&p);
}

Test(tls_conn, closing_from_inside_events)
{
    struct tls_config config = config_of("server", "client");
    for (int i = 0; i < 4; i++) {
        struct pair p = {0};
        pair_up(&p, 1000, &config, &config, NULL);
        p.server.close_on_opened = i == 0;
        p.client.close_on_opened = i == 1;
        p.server.close_on_bytes = i == 2;
        p.client.close_on_bytes = i == 3;
        p.server.echo = true;
        run(p.w);
        if (i >= 2) {
            conn_write_bytes(p.client.conn, BYTES("ping"));
            run(p.w);
        }
        cr_assert_null(p.client.conn);
        cr_assert_null(p.server.conn);
        finish(&p);
    }
}

Test(tls_conn, closing_after_any_number_of_steps)
{
    struct tls_config config = config_of("server", "client");
    for (int flush = 0; flush < 2; flush++)
        for (int steps = 0; steps < 60; steps++) {
            struct pair p = {0};
            pair_up(&p, 97, &config, &config, NULL);
            for (int i = 0; i < steps; i++) {
                if (p.w->ends[i & 1] != NULL) end_step(p.w->ends[i & 1]);
                if (i % 3 == 2) work_step(p.w);
            }
            if (flush)
                conn_close_flush(p.client.conn);
            else
                conn_close(p.client.conn);
            run(p.w);
            cr_assert_null(p.client.conn);
            cr_assert_null(p.server.conn);
            cr_assert_eq(p.client.why.class, ERROR_CLOSED);
            finish(&p);
        }
}

// ---- peers that will not do -----------------------------------------------------------------

// One handshake that fails on both sides.
static void refused(struct pair *p, struct tls_config *server, struct tls_config *client,
                    const char *verify_name)
{
    *p = (struct pair){0};
    pair_up(p, 200, server, client, verify_name);
    run(p->w);
    cr_assert_null(p->client.conn);
    cr_assert_null(p->server.conn);
    cr_assert(!p->server.opened);
    finish(p);
}

Test(tls_conn, a_server_of_an_unknown_authority)
{
    struct tls_config server = config_of("wrong-server", "client");
    struct tls_context *made = context_of(&server);
    tls_context_unref(made);
    struct tls_config client = {.client_only = true, .ca_cert_file = T "ca.crt"};
    struct pair p;
    refused(&p, &server, &client, NULL);
    cr_assert(!p.client.opened);
    has_words(&p.client.why, ERROR_TLS, "CN=localhost", "tls-ca-cert-file");
    has_words(&p.server.why, ERROR_TLS, "unknown ca", "does not know the authority");
}

Test(tls_conn, no_authority_at_all)
{
    struct tls_config server = config_of("server", "client"), client = server;
    server.auth_clients = client.auth_clients = TLS_AUTH_NO;
    client.ca_cert_file = NULL;
    struct pair p;
    refused(&p, &server, &client, NULL);
    has_words(&p.client.why, ERROR_TLS, "CN=localhost",
              "neither tls-ca-cert-file nor tls-ca-cert-dir is set");
}

Test(tls_conn, a_server_of_another_name)
{
    struct tls_config config = config_of("server", "client");
    struct pair p;
    refused(&p, &config, &config, "primary.example.com");
    has_words(&p.client.why, ERROR_TLS, "ostname mismatch with 'primary.example.com'",
              "tls-verify-peer-name");
    refused(&p, &config, &config, "192.0.2.1");
    has_words(&p.client.why, ERROR_TLS, "IP address mismatch with '192.0.2.1'", "CN=localhost");
}

Test(tls_conn, a_certificate_that_has_expired)
{
    struct tls_config server = config_of("expired", "client"),
                      client = {.client_only = true, .ca_cert_file = T "ca.crt"};
    struct pair p;
    refused(&p, &server, &client, NULL);
    has_words(&p.client.why, ERROR_TLS, "CN=wherry-expired", "has expired");
    has_words(&p.server.why, ERROR_TLS, "certificate expired", "tls-cert-file has expired");
}

Test(tls_conn, a_client_without_a_certificate)
{
    struct tls_config server = config_of("server", "client");
    struct tls_config client = {.client_only = true, .ca_cert_file = T "ca.crt"};
    struct pair p;
    refused(&p, &server, &client, NULL);
    has_words(&p.server.why, ERROR_TLS, "did not return a certificate", "tls-auth-clients");
    // TLS 1.3: it had opened already.
    cr_assert(p.client.opened);
    has_words(&p.client.why, ERROR_TLS, "certificate required", "tls-client-cert-file");
    server.protocols = "TLSv1.2";
    refused(&p, &server, &client, NULL);
    cr_assert(!p.client.opened);
    cr_assert_eq(p.client.why.class, ERROR_TLS);
    // no and optional take it.
    for (int auth = 0; auth < 2; auth++) {
        server = config_of("server", "client");
        server.auth_clients = auth == 0 ? TLS_AUTH_NO : TLS_AUTH_OPTIONAL;
        p = (struct pair){0};
        pair_up(&p, 200, &server, &client, NULL);
        run(p.w);
        cr_assert(p.client.opened && p.server.opened);
        char name[20];
        cr_assert(!conn_peer_name(p.server.conn, name, sizeof(name)));
        finish(&p);
    }
}

Test(tls_conn, a_client_of_an_unknown_authority)
{
    struct tls_config server = config_of("server", "client"), client;
    struct pair p;
    for (int auth = TLS_AUTH_YES; auth <= TLS_AUTH_OPTIONAL; auth++) {
        server.auth_clients = (enum tls_auth_clients)auth;
        client = (struct tls_config){.client_only = true,
                                     .cert_file = T "wrong-client.crt",
                                     .key_file = T "wrong-client.key",
                                     .ca_cert_file = T "ca.crt"};
        refused(&p, &server, &client, NULL);
        has_words(&p.server.why, ERROR_TLS, "CN=wherry-client", "tls-ca-cert-file");
        has_words(&p.client.why, ERROR_TLS, "unknown ca", "does not know the authority");
    }
}

Test(tls_conn, roles_of_certificates_are_kept)
{
    // Redis's own test certificates say by nsCertType what they are for, as ours do.
    struct tls_config server = config_of("server", "client");
    struct tls_config client = {.client_only = true,
                                .cert_file = T "server.crt",
                                .key_file = T "server.key",
                                .ca_cert_file = T "ca.crt"};
    struct pair p;
    refused(&p, &server, &client, NULL);
    has_words(&p.server.why, ERROR_TLS, "CN=localhost", "made for the other role");
}

Test(tls_conn, rsa_and_old_ciphers)
{
    struct tls_config server = config_of("rsa", "rsa");
    server.protocols = "TLSv1.2";
    server.ciphers = "AES128-SHA256:AES256-SHA256";
    struct tls_config client = server;
    client.ciphers = "AES256-SHA256:AES128-SHA256";
    for (int prefer = 0; prefer < 2; prefer++) {
        server.prefer_server_ciphers = prefer;
        struct pair p = {0};
        pair_up(&p, 1000, &server, &client, NULL);
        run(p.w);
        cr_assert(p.server.opened, "%s", p.server.why.text);
        char text[100];
        tls_describe(p.server.conn, text, sizeof(text));
        cr_assert_str_eq(text, prefer ? "TLSv1.2 AES128-SHA256" : "TLSv1.2 AES256-SHA256");
        finish(&p);
    }
    client.ciphers = "ECDHE-RSA-AES128-GCM-SHA256";
    struct pair p;
    refused(&p, &server, &client, NULL);
    has_words(&p.server.why, ERROR_TLS, "no shared cipher", "tls-ciphers");
    has_words(&p.client.why, ERROR_TLS, "handshake failure", "no cipher");
    client.ciphers = NULL;
    client.protocols = "TLSv1.3";
    refused(&p, &server, &client, NULL);
    has_words(&p.server.why, ERROR_TLS, "unsupported protocol", "tls-protocols");
    has_words(&p.client.why, ERROR_TLS, "protocol version", "tls-protocols");
}

// A raw end against a TLS end: `text` is said, the TLS end must give up with these words.
static void say(bool to_server, struct bytes text, const char *a, const char *b)
{
    struct tls_config config = config_of("server", "client");
    struct tls_context *context = context_of(&config);
    struct world *w = world_new(7);
    struct side tls = {0}, raw = {0};
    raw.conn = &w->ends[0]->base;
    conn_own(raw.conn, &side_events, &raw);
    struct conn *lower = &w->ends[1]->base;
    tls.conn = to_server ? tls_server(context, lower, 0, &side_events, &tls)
                         : tls_client(context, lower, NULL, NULL, &side_events, &tls);
    run(w);
    conn_write_bytes(raw.conn, text);
    run(w);
    cr_assert_null(tls.conn);
    cr_assert(!tls.opened);
    has_words(&tls.why, ERROR_TLS, a, b);
    cr_assert_null(raw.conn);
    buf_free(&raw.got);
    tls_context_unref(context);
    world_free(w);
}

Test(tls_conn, peers_that_do_not_speak_tls)
{
    say(true, BYTES("*1\r\n$4\r\nPING\r\n"), "wrong version number", "does not speak TLS");
    say(true, BYTES("GET / HTTP/1.1\r\n\r\n"), "http request", "does not speak TLS");
    say(false, BYTES("-ERR unknown command\r\n"), "wrong version number", "does not speak TLS");
}

Test(tls_conn, peers_that_go_away_in_the_handshake)
{
    for (int server = 0; server < 2; server++)
        for (int heard = 0; heard < 2; heard++) {
            struct tls_config config = config_of("server", "client");
            struct tls_context *context = context_of(&config);
            struct world *w = world_new(7);
            struct side tls = {0}, raw = {0};
            raw.conn = &w->ends[0]->base;
            conn_own(raw.conn, &side_events, &raw);
            struct conn *lower = &w->ends[1]->base;
            tls.conn = server ? tls_server(context, lower, 0, &side_events, &tls)
                              : tls_client(context, lower, NULL, NULL, &side_events, &tls);
            run(w);
            if (heard) conn_write_bytes(raw.conn, BYTES("\x16\x03\x01"));
            run(w);
            conn_close(raw.conn);
            run(w);
            if (server && !heard)
                cr_assert_eq(tls.why.class, ERROR_CLOSED, "a port check is no failure");
            else
                has_words(&tls.why, ERROR_TLS, "closed the connection during the TLS handshake",
                          "");
            buf_free(&raw.got);
            tls_context_unref(context);
            world_free(w);
        }
}

Test(tls_conn, a_record_changed_on_the_way)
{
    struct pair p = {0};
    open_pair(&p, 100);
    // The wire says something of its own in the middle of the stream.
    struct chain forged;
    chain_init(&forged);
    chain_append(&forged,
                 "\x17\x03\x03\x00\x14"
                 "01234567890123456789",
                 25);
    conn_write(&p.w->ends[0]->base, &forged);
    run(p.w);
    cr_assert_null(p.server.conn);
    cr_assert_eq(p.server.why.class, ERROR_TLS);
    cr_assert_eq(buf_len(&p.server.got), 0);
    finish(&p);
}

// ---- flights --------------------------------------------------------------------------------

static int computed, computed_on_loop; // handshake messages, by where the loop was
static struct loop *watched;

static void on_ssl_info(const SSL *ssl, int where, int value)
{
    (void)value;
    if (!(where & SSL_CB_LOOP) || !SSL_in_init(ssl)) return;
    computed++;
    computed_on_loop += watched->entered;
}

Test(tls_conn, no_flight_is_computed_on_the_loop)
{
    static const char *const protocols[] = {"TLSv1.2", "TLSv1.3"};
    for (int v = 0; v < 2; v++) {
        struct pair p = {.w = NULL};
        struct tls_config config = config_of("server", "client");
        config.protocols = protocols[v];
        pair_up(&p, 500, &config, &config, "localhost");
        watched = &p.w->loop;
        computed = computed_on_loop = 0;
        SSL_set_info_callback(((struct tls_conn *)p.server.conn)->engine->ssl, on_ssl_info);
        SSL_set_info_callback(((struct tls_conn *)p.client.conn)->engine->ssl, on_ssl_info);
        run(p.w);
        cr_assert(p.client.opened && p.server.opened);
        cr_assert_gt(computed, 10);
        cr_assert_eq(computed_on_loop, 0);
        finish(&p);
    }
}

Test(tls_conn, a_peer_that_drips_keeps_no_worker_busy)
{
    struct pair p = {0};
    struct tls_config config = config_of("server", "client");
    config.protocols = "TLSv1.3";
    pair_up(&p, 1, &config, &config, NULL);
    run(p.w);
    cr_assert(p.client.opened && p.server.opened);
    // Some 3,000 events of a byte each, some ten records.
    cr_assert_gt(p.w->carried, 2000);
    cr_assert_leq(p.w->flights, 16);
    finish(&p);
}

// Until a worker has something of this pair; ends moves first.
static void run_to_flight(struct pair *p, int flight)
{
    p->w->workers_rest = true;
    for (int i = 0; i < flight; i++) {
        run(p->w);
        cr_assert(work_step(p->w));
    }
    run(p->w);
}

Test(tls_conn, a_deadline_in_a_flight_closes_at_its_instant)
{
    struct pair p = {0};
    struct tls_config config = config_of("server", "client");
    pair_up(&p, 1 << 20, &config, &config, NULL);
    run_to_flight(&p, 1); // the client's hello is there, and a worker has the server's engine
    cr_assert_eq(p.w->work_count, 1);
    uint64_t begin = p.w->now_us;
    run_until(p.w, begin + TLS_HANDSHAKE_US - 1);
    cr_assert_not_null(p.server.conn);
    run_until(p.w, begin + TLS_HANDSHAKE_US);
    cr_assert_null(p.server.conn);
    has_words(&p.server.why, ERROR_TIMEOUT, "TLS handshake not finished within 10000 ms", "");
    // What the worker has is let go when it comes back, and nobody is told.
    cr_assert_eq(p.w->work_count, 1);
    work_step(p.w);
    p.w->workers_rest = false;
    run(p.w);
    has_words(&p.client.why, ERROR_TLS, "closed the connection during the TLS handshake", "");
    finish(&p);
}

Test(tls_conn, closing_in_any_flight)
{
    struct tls_config config = config_of("server", "client");
    for (int flight = 0; flight < 4; flight++)
        for (int who = 0; who < 4; who++) {
            struct pair p = {0};
            pair_up(&p, 1 << 20, &config, &config, NULL);
            run_to_flight(&p, flight);
            struct side *side = who & 1 ? &p.server : &p.client;
            if (side->conn == NULL || side->opened) {
                p.w->workers_rest = false;
                finish(&p);
                continue;
            }
            conn_write_bytes(side->conn, BYTES("never sent"));
            char name[20];
            conn_peer_name(side->conn, name,
                           sizeof(name)); // asks nothing of an engine that is away
            if (who & 2)
                conn_close_flush(side->conn);
            else
                conn_close(side->conn);
            run(p.w);
            cr_assert_null(side->conn);
            cr_assert_eq(side->why.class, ERROR_CLOSED);
            while (work_step(p.w)) {
            }
            p.w->workers_rest = false;
            finish(&p);
        }
}

Test(tls_conn, what_comes_during_a_flight_waits_below)
{
    struct pair p = {0};
    struct tls_config config = config_of("server", "client");
    config.protocols = "TLSv1.3";
    pair_up(&p, 1 << 20, &config, &config, NULL);
    run_to_flight(&p, 3); // hello, the server's answer, the client's proof: it is open
    cr_assert(p.client.opened && !p.server.opened);
    cr_assert_eq(p.w->work_count, 1);
    static const char record[16384] = {1};
    for (int i = 0; i < 20; i++)
        conn_write_bytes(p.client.conn, bytes_of(record, sizeof(record)));
    conn_close_flush(p.client.conn);
    run(p.w);
    struct tls_engine *e = ((struct tls_conn *)p.server.conn)->engine;
    cr_assert(e->away);
    // Nothing was taken from the wire, the end least of all.
    cr_assert_gt(conn_queued(&p.w->ends[0]->base), 15 * sizeof(record));
    p.w->workers_rest = false;
    run_until(p.w, p.w->now_us + CONN_FLUSH_US / 2);
    cr_assert_eq(buf_len(&p.server.got), 20 * sizeof(record));
    cr_assert_eq(p.server.why.class, ERROR_CLOSED);
    finish(&p);
}

Test(tls_conn, flights_are_few_at_once_and_in_order)
{
    enum { CLIENTS = 8, GONE = 4 };
    struct tls_config config = config_of("server", "client");
    struct tls_context *context = context_of(&config);
    struct world *w = world_new(1 << 20);
    struct side sides[CLIENTS] = {0};
    struct end *ends[CLIENTS];
    for (int i = 0; i < CLIENTS; i++) {
        ends[i] = i < 2 ? w->ends[i] : end_new(w);
        ends[i]->base.opened = true;
        sides[i].conn = tls_client(context, &ends[i]->base, NULL, NULL, &side_events, &sides[i]);
    }
    tls_context_unref(context);
    settled(w);
    conn_close(sides[GONE].conn); // it waits for its turn, and is never computed
    end_gone(ends[GONE]);
    for (int i = 0; i < CLIENTS; i++) {
        cr_assert_leq(w->work_count, LOOP_LANE_WIDTH);
        if (i == GONE) continue;
        cr_assert_eq(ends[i]->out.len, 0);
        cr_assert(work_step(w));
        cr_assert_gt(ends[i]->out.len, 0, "out of order");
    }
    cr_assert(!work_step(w));
    cr_assert_eq(w->flights, CLIENTS - 1);
    for (int i = 0; i < CLIENTS; i++) {
        if (i == GONE) continue;
        conn_close(sides[i].conn);
        settled(w);
        end_gone(ends[i]);
    }
    w->ends[0] = w->ends[1] = NULL;
    world_free(w);
}

Test(tls_conn, messages_without_data_have_a_limit)
{
    for (int data = 0; data < 2; data++) {
        struct pair p = {0};
        struct tls_config config = config_of("server", "client");
        config.protocols = "TLSv1.3";
        pair_up(&p, 1 << 20, &config, &config, NULL);
        run(p.w);
        SSL *ssl = ((struct tls_conn *)p.client.conn)->engine->ssl;
        for (int i = 0; i < 100; i++) {
            cr_assert_eq(SSL_key_update(ssl, SSL_KEY_UPDATE_NOT_REQUESTED), 1);
            cr_assert_eq(SSL_do_handshake(ssl), 1);
            if (data) {
                conn_write_bytes(p.client.conn, BYTES("x"));
                settled(p.w);
            }
        }
        conn_write_bytes(p.client.conn, BYTES("y"));
        run(p.w);
        if (data) {
            cr_assert_eq(buf_len(&p.server.got), 101);
        } else {
            cr_assert_null(p.server.conn);
            has_words(&p.server.why, ERROR_TLS, "messages without data", "");
        }
        finish(&p);
    }
}

// Records that wait for a turn are read when the wire is over; among them a goodbye, or one that
// makes the owner close.
Test(tls_conn, records_that_wait_for_a_turn_come_before_the_end)
{
    for (int closes = 0; closes <= 1; closes++) {
        struct pair p = {0};
        open_pair(&p, 1 << 20);
        for (int i = 0; i < LOOP_TURN_ASKS + 4; i++) {
            conn_write_bytes(p.client.conn, BYTES("x"));
            settled(p.w);
        }
        conn_close_flush(p.client.conn);
        settled(p.w);
        struct end *end = p.w->ends[1];
        struct chain *wire = &p.w->ends[0]->out;
        size_t len = wire->len;
        char *all = malloc(len);
        chain_read(wire, all, len);
        loop_enter(&p.w->loop);
        conn_emit_bytes(&end->base, bytes_of(all, len));
        free(all);
        cr_assert_eq(buf_len(&p.server.got), LOOP_TURN_ASKS, "a turn");
        p.server.close_on_bytes = closes;
        loop_leave(&p.w->loop, "wire");
        p.w->ends[1] = NULL;
        p.w->ends[0]->peer = NULL;
        p.w->ends[0]->hears_end = true;
        error_set(&end->why, ERROR_CLOSED, "closed by the peer");
        end_gone(end);
        cr_assert_null(p.server.conn);
        cr_assert_eq(buf_len(&p.server.got), LOOP_TURN_ASKS + (closes ? 1 : 4));
        finish(&p);
    }
}

Test(tls_conn, many_small_records_are_read_in_turns)
{
    enum { RECORDS = 1000, TURN = LOOP_TURN_ASKS };
    struct pair p = {0};
    open_pair(&p, 1 << 20);
    for (int i = 0; i < RECORDS; i++) {
        conn_write_bytes(p.client.conn, BYTES("x"));
        settled(p.w);
    }
    struct chain *wire = &p.w->ends[0]->out;
    char *all = malloc(wire->len);
    size_t len = chain_read(wire, all, wire->len);
    loop_enter(&p.w->loop);
    conn_emit_bytes(&p.w->ends[1]->base, bytes_of(all, len));
    loop_leave(&p.w->loop, "wire");
    free(all);
    for (int turn = 1; turn <= RECORDS / TURN; turn++) {
        cr_assert_eq(buf_len(&p.server.got), (size_t)turn * TURN);
        cr_assert(p.w->ends[1]->base.paused, "more would pile up here");
        loop_run_tasks(&p.w->loop);
    }
    cr_assert_eq(buf_len(&p.server.got), RECORDS);
    cr_assert(!p.w->ends[1]->base.paused);
    finish(&p);
}
