// The simulated wire: delay, fragments, windows, faults; that one seed gives one run; files.
#include "sim/lib/peer.h"

#include "base/mem.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

enum { PORT = 6379 };

struct world {
    struct sim *sim;
    struct sim_node *a, *b;
    struct peer *client, *server;
    struct trace trace;
};

static void begin(struct world *w, const struct sim_wire *wire)
{
    *w = (struct world){.sim = sim_new(42)};
    if (wire != NULL) sim_set_wire(w->sim, wire);
    w->a = sim_node_new(w->sim, "10.0.0.1");
    w->b = sim_node_new(w->sim, "10.0.0.2");
    trace_init(&w->trace, w->sim);
}

// a connects to b.
static void talk(struct world *w, const struct peer_step *client, const struct peer_step *server)
{
    w->server = peer_listen(w->b, PORT, server);
    w->client = peer_connect(w->a, "10.0.0.2", PORT, client);
}

static void end(struct world *w)
{
    peer_free(w->client);
    peer_free(w->server);
    sim_free(w->sim);
    trace_free(&w->trace);
}

static const struct peer_step none[] = {DO_END};

Test(sim_wire, delay_is_exact)
{
    struct world w;
    begin(&w, &(struct sim_wire){.delay_us = 1500});
    static const struct peer_step ask[] = {DO_SEND("PING\r\n"), DO_EXPECT("+PONG\r\n"), DO_CLOSE,
                                           DO_END};
    static const struct peer_step answer[] = {DO_EXPECT("PING\r\n"), DO_WAIT(250),
                                              DO_SEND("+PONG\r\n"), DO_END};
    talk(&w, ask, answer);
    peer_set_trace(w.client, &w.trace);
    cr_expect(peer_run(w.client, 1000000), "%s", w.client->why);
    cr_expect(peer_done(w.server));
    sim_run_for(w.sim, 10000);
    cr_expect_str_eq(trace_text(&w.trace), "3.000 peer opened\n"
                                           "3.000 peer > \"PING\\r\\n\"\n"
                                           "6.250 peer < \"+PONG\\r\\n\"\n"
                                           "6.250 peer closed: closed\n");
    cr_expect_eq(w.server->closed_class, ERROR_CLOSED);
    end(&w);
}

Test(sim_wire, fragments)
{
    struct world w;
    begin(&w, &(struct sim_wire){.fragment_bytes = 2});
    static const struct peer_step say[] = {DO_SEND("abcde"), DO_END};
    talk(&w, say, none);
    w.server->trace = &w.trace;
    sim_run_for(w.sim, 1000);
    cr_expect_str_eq(trace_text(&w.trace), "0.000 peer opened\n"
                                           "0.000 peer < \"ab\"\n"
                                           "0.000 peer < \"cd\"\n"
                                           "0.000 peer < \"e\"\n");
    end(&w);
}

static void random_run(struct buf *text)
{
    struct world w;
    begin(&w,
          &(struct sim_wire){
              .delay_us = 10, .jitter_us = 1000, .fragment_bytes = 100, .fragment_random = true});
    static const struct peer_step say[] = {DO_GARBAGE(500), DO_WAIT(50), DO_GARBAGE(500), DO_CLOSE,
                                           DO_END};
    talk(&w, say, none);
    w.server->trace = &w.trace;
    sim_run_for(w.sim, 100000);
    cr_expect_eq(w.server->received, 1000);
    buf_append_cstr(text, trace_text(&w.trace));
    end(&w);
}

Test(sim_wire, one_seed_one_run)
{
    struct buf first = BUF_EMPTY, second = BUF_EMPTY;
    random_run(&first);
    random_run(&second);
    cr_expect(bytes_equal(buf_view(&first), buf_view(&second)));
    buf_free(&first);
    buf_free(&second);
}

Test(sim_wire, the_window_holds_the_writer_back)
{
    enum { TOTAL = 1000000, WINDOW = 10000 };
    struct world w;
    begin(&w, &(struct sim_wire){.delay_us = 100, .window_bytes = WINDOW});
    static const struct peer_step hold[] = {DO_PAUSE, DO_END};
    talk(&w, none, hold);
    sim_run_for(w.sim, 1000);
    char *data = mem_zalloc(TOTAL);
    peer_send(w.client, bytes_of(data, TOTAL));
    sim_run_for(w.sim, 1000000);
    cr_expect_eq(w.server->received, 0);
    cr_expect_eq(conn_queued(w.client->conn), TOTAL - WINDOW);
    conn_resume(w.server->conn);
    sim_run_for(w.sim, 20000);
    cr_expect_eq(w.server->received, TOTAL);
    cr_expect_eq(conn_queued(w.client->conn), 0);
    mem_free(data);
    end(&w);
}

Test(sim_wire, bandwidth)
{
    struct world w;
    begin(&w, &(struct sim_wire){.bytes_per_s = 100000});
    static const struct peer_step say[] = {DO_GARBAGE(100000), DO_END};
    talk(&w, say, none);
    sim_run_for(w.sim, 500000);
    cr_expect(w.server->received >= 45000 && w.server->received <= 55000, "%lu",
              (unsigned long)w.server->received);
    sim_run_for(w.sim, 500000);
    cr_expect_eq(w.server->received, 100000);
    end(&w);
}

Test(sim_wire, stall_after_bytes)
{
    struct world w;
    begin(&w, &(struct sim_wire){.stall_after_bytes = 7, .window_bytes = 20});
    static const struct peer_step say[] = {DO_GARBAGE(100), DO_END};
    talk(&w, say, none);
    sim_run_for(w.sim, 60000000);
    cr_expect_eq(w.server->received, 7);
    cr_expect_eq(conn_queued(w.client->conn), 100 - 27);
    cr_expect_not_null(w.server->conn, "nobody is told");
    struct sim_wire free_wire = {0};
    sim_set_wire_out(w.client->conn, &free_wire);
    sim_run_for(w.sim, 1000);
    cr_expect_eq(w.server->received, 100);
    end(&w);
}

Test(sim_wire, drop_after_bytes)
{
    struct world w;
    begin(&w, &(struct sim_wire){.drop_after_bytes = 7});
    static const struct peer_step say[] = {DO_GARBAGE(100), DO_CLOSE, DO_END};
    talk(&w, say, none);
    sim_run_for(w.sim, 1000000);
    cr_expect_eq(w.server->received, 7);
    cr_expect_eq(w.client->closes, 1, "the writer thinks that all of it went");
    cr_expect_eq(w.server->closes, 0);
    end(&w);
}

Test(sim_wire, cut_after_bytes)
{
    struct world w;
    begin(&w, &(struct sim_wire){.cut_after_bytes = 7});
    static const struct peer_step say[] = {DO_GARBAGE(100), DO_END};
    talk(&w, say, none);
    sim_run_for(w.sim, 1000);
    cr_expect_eq(w.server->received, 7);
    cr_expect_eq(w.client->closed_class, ERROR_IO);
    cr_expect_eq(w.server->closed_class, ERROR_IO);
    end(&w);
}

Test(sim_wire, cut_at_an_instant)
{
    struct world w;
    begin(&w, &(struct sim_wire){.cut_at_us = SIM_BEGIN_US + 5000});
    talk(&w, none, none);
    w.client->trace = &w.trace;
    sim_run_for(w.sim, 10000);
    cr_expect_str_eq(trace_text(&w.trace), "0.000 peer opened\n"
                                           "5.000 peer closed: read: Connection reset by peer\n");
    end(&w);
}

Test(sim_wire, refused_unknown_and_black_hole)
{
    struct world w;
    begin(&w, &(struct sim_wire){.delay_us = 100});
    w.client = peer_connect(w.a, "10.0.0.2", PORT, none);
    w.client->trace = &w.trace;
    sim_run_for(w.sim, 1000);
    peer_free(w.client);
    w.client = peer_connect(w.a, "nowhere", PORT, none);
    w.client->trace = &w.trace;
    sim_run_for(w.sim, 1000);
    cr_expect_str_eq(trace_text(&w.trace),
                     "0.200 peer closed: connect to 10.0.0.2:6379: Connection refused\n"
                     "1.000 peer closed: connect to nowhere:6379: no such host\n");
    peer_free(w.client);
    sim_set_link(w.sim, "10.0.0.1", NULL, 0, &(struct sim_wire){.connect = SIM_BLACK_HOLE});
    talk(&w, none, none);
    sim_run_for(w.sim, 3600000000);
    cr_expect(!w.client->conn->opened && w.client->closes == 0);
    end(&w);
}

Test(sim_wire, partition_and_heal)
{
    struct world w;
    begin(&w, NULL);
    talk(&w, none, none);
    sim_run_for(w.sim, 1000);
    sim_partition(w.sim, "10.0.0.1", "10.0.0.2", false);
    peer_send_text(w.client, "one way is closed");
    peer_send_text(w.server, "the other is open");
    sim_run_for(w.sim, 1000000);
    cr_expect_eq(w.server->received, 0);
    cr_expect_eq(w.client->received, 17);
    sim_heal(w.sim, "10.0.0.1", "10.0.0.2", true);
    sim_run_for(w.sim, 0);
    cr_expect_eq(w.server->received, 17);
    end(&w);
}

Test(sim_wire, crash_with_and_without_a_goodbye)
{
    struct world w;
    begin(&w, &(struct sim_wire){.delay_us = 100});
    talk(&w, none, none);
    sim_run_for(w.sim, 1000);
    sim_crash(w.b, false);
    sim_run_for(w.sim, 1000);
    cr_expect_eq(w.client->closed_class, ERROR_IO);
    peer_free(w.client);
    peer_free(w.server);
    sim_restart(w.b);
    talk(&w, none, none);
    sim_run_for(w.sim, 1000);
    cr_expect(w.client->conn->opened);
    sim_crash(w.b, true);
    peer_send_text(w.client, "anybody there?");
    sim_run_for(w.sim, 3600000000);
    cr_expect_eq(w.client->closes, 0);
    cr_expect_eq(w.server->received, 0);
    end(&w);
}

Test(sim_wire, a_wrong_word_fails_the_peer)
{
    struct world w;
    begin(&w, NULL);
    static const struct peer_step say[] = {DO_SEND("HELLO"), DO_END};
    static const struct peer_step want[] = {DO_EXPECT("PING"), DO_END};
    talk(&w, say, want);
    cr_expect(!peer_run(w.server, 1000));
    cr_expect_str_eq(w.server->why, "step 0: expected \"PING\", got \"HELLO\"");
    end(&w);
}

Test(sim_wire, drip)
{
    struct world w;
    begin(&w, NULL);
    static const struct peer_step say[] = {DO_DRIP("abc", 1000000), DO_END};
    talk(&w, say, none);
    w.server->trace = &w.trace;
    sim_run_for(w.sim, 5000000);
    cr_expect(peer_done(w.client));
    cr_expect_str_eq(trace_text(&w.trace), "0.000 peer opened\n"
                                           "0.000 peer < \"a\"\n"
                                           "1000.000 peer < \"b\"\n"
                                           "2000.000 peer < \"c\"\n");
    end(&w);
}

// ---- files ----------------------------------------------------------------------------------

struct file {
    struct file_req req;
    bool done;
};

static void file_done(struct file_req *req)
{
    ((struct file *)req)->done = true;
}

static bool is_done(void *arg)
{
    return ((struct file *)arg)->done;
}

static int64_t perform(struct world *w, struct file *f, enum file_op op)
{
    f->req.op = op;
    f->req.done = file_done;
    f->done = false;
    loop_file(sim_loop(w->a), &f->req);
    cr_assert(!f->done);
    cr_assert(sim_run_while_not(w->sim, is_done, f, 1000000));
    return f->req.result;
}

Test(sim_fs, power_loss_keeps_what_was_synced)
{
    struct world w;
    begin(&w, NULL);
    char data[] = "synced lost";
    struct file f = {.req = {.path = "x", .path2 = "y", .flags = O_CREAT | O_RDWR, .data = data}};
    cr_expect_eq(perform(&w, &f, FILE_OPEN), 0);
    f.req.len = 6;
    cr_expect_eq(perform(&w, &f, FILE_WRITE), 6);
    cr_expect_eq(perform(&w, &f, FILE_SYNC), 0);
    f.req.len = 5;
    f.req.offset = 6;
    f.req.data = data + 6;
    cr_expect_eq(perform(&w, &f, FILE_WRITE), 5);
    cr_expect_eq(perform(&w, &f, FILE_STAT), 11);
    cr_expect_eq(perform(&w, &f, FILE_RENAME), 0);
    cr_expect_eq(perform(&w, &f, FILE_STAT), -ENOENT);
    sim_crash(w.a, true);
    cr_expect_eq(perform(&w, &f, FILE_READ), -EIO);
    sim_restart(w.a);
    struct bytes left = {0};
    cr_expect(sim_file_get(w.a, "y", &left));
    cr_expect(bytes_equal(left, BYTES("synced")));
    sim_file_fail(w.a, FILE_OPEN, "y", ENOSPC, 1);
    f.req.path = "y";
    cr_expect_eq(perform(&w, &f, FILE_OPEN), -ENOSPC);
    cr_expect_eq(perform(&w, &f, FILE_OPEN), 0);
    cr_expect_eq(perform(&w, &f, FILE_CLOSE), 0);
    end(&w);
}
