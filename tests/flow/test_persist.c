// Persistence of a whole node in virtual time: who is answered when, what survives a restart.
#include "base/mem.h"
#include "command/table.h"
#include "node/config_table.h"
#include "node/parts.h"
#include "sim/lib/peer.h"
#include "sim/lib/sim.h"
#include "store/snapshot.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>

enum { PORT = 6379, WAIT_US = 20000000 };

struct world {
    struct sim *sim;
    struct sim_node *box, *them;
    struct node *node;
    struct peer *a, *b;
};

static const struct peer_step nothing[] = {DO_END};

static void boot(struct world *w, const char *save, const char *more, const char *value)
{
    struct config config;
    struct error error = ERROR_OK;
    config_init(&config);
    struct bytes port = BYTES("6379"), points[2] = {BYTES(""), BYTES("")};
    struct bytes folder = BYTES("/data"), no = BYTES("no");
    struct bytes words = bytes_from_cstr(value ? value : "");
    cr_assert(config_set_initial(&config, BYTES("port"), 1, &port, &error), "%s", error.text);
    cr_assert(config_set_initial(&config, BYTES("save"), 1, points, &error), "%s", error.text);
    cr_assert(config_set_initial(&config, BYTES("protected-mode"), 1, &no, &error));
    mem_free(config.dir);
    config.dir = strdup(folder.data);
    if (save != NULL) {
        const char *space = strchr(save, ' ');
        points[0] = bytes_of(save, (size_t)(space - save));
        points[1] = bytes_from_cstr(space + 1);
        cr_assert(config_set_initial(&config, BYTES("save"), 2, points, &error), "%s", error.text);
    }
    if (more != NULL)
        cr_assert(config_set_initial(&config, bytes_from_cstr(more), 1, &words, &error), "%s",
                  error.text);
    w->node = node_new(sim_loop(w->box), sim_network(w->box), &config, command_families, 7);
    cr_assert(config_apply_all(w->node, &error), "%s", error.text);
    cr_assert(node_start(w->node, &error), "%s", error.text);
    sim_run_for(w->sim, 50000);
}

static void connect_peers(struct world *w)
{
    w->a = peer_connect(w->them, "server", PORT, nothing);
    w->b = peer_connect(w->them, "server", PORT, nothing);
    sim_run_for(w->sim, 10000);
}

static void world_init(struct world *w, const char *save, const char *more, const char *value)
{
    *w = (struct world){.sim = sim_new(5)};
    w->box = sim_node_new(w->sim, "server");
    w->them = sim_node_new(w->sim, "client");
    boot(w, save, more, value);
    connect_peers(w);
}

// The node is torn down, its clients go; its files stay.
static void halt(struct world *w, bool power_loss)
{
    peer_free(w->a);
    peer_free(w->b);
    sim_run_for(w->sim, 10000);
    if (power_loss) sim_crash(w->box, true);
    node_free(w->node);
    sim_run_for(w->sim, 1000000);
    if (power_loss) sim_restart(w->box);
    w->node = NULL;
}

static void world_free(struct world *w)
{
    halt(w, false);
    sim_free(w->sim);
}

static void say(struct peer *p, const char *line)
{
    peer_send_text(p, line);
    peer_send_text(p, "\r\n");
}

static void ask(struct peer *p, const char *line, const char *reply)
{
    say(p, line);
    cr_expect(peer_expect(p, reply, WAIT_US), "%s: wanted %s, got %.*s", line, reply,
              (int)peer_input(p).len, peer_input(p).data);
}

static void expect_nothing(struct world *w, struct peer *p, uint64_t us)
{
    sim_run_for(w->sim, us);
    cr_expect_eq(peer_input(p).len, 0, "%.*s", (int)peer_input(p).len, peer_input(p).data);
}

static void expect_info(struct world *w, const char *line)
{
    struct buf out = BUF_EMPTY;
    persist_info(w->node, &out);
    buf_append_byte(&out, 0);
    cr_expect(strstr(buf_view(&out).data, line) != NULL, "%s in %s", line, buf_view(&out).data);
    buf_free(&out);
}

static bool file_is_there(struct world *w)
{
    struct bytes data;
    return sim_file_get(w->box, "/data/dump.rdb", &data);
}

Test(persist, save_answers_when_the_file_is_safe_and_others_are_served)
{
    struct world w;
    world_init(&w, NULL, NULL, NULL);
    ask(w.a, "SET k v", "+OK\r\n");
    expect_info(&w, "rdb_changes_since_last_save:1\r\n");
    sim_set_disk(w.box, 50000, 200000);
    say(w.a, "SAVE");
    say(w.a, "GET k");
    expect_nothing(&w, w.a, 100000);
    expect_info(&w, "rdb_bgsave_in_progress:1\r\n");
    ask(w.b, "GET k", "$1\r\nv\r\n");
    ask(w.b, "SET k later", "+OK\r\n");
    ask(w.b, "SAVE", "-ERR Background save already in progress\r\n");
    ask(w.b, "BGSAVE", "-ERR Background save already in progress\r\n");
    cr_expect(!file_is_there(&w));
    cr_expect(peer_expect(w.a, "+OK\r\n$5\r\nlater\r\n", WAIT_US));
    cr_expect(file_is_there(&w));
    expect_info(&w, "rdb_changes_since_last_save:1\r\n");
    expect_info(&w, "rdb_bgsave_in_progress:0\r\n");
    expect_info(&w, "rdb_saves:1\r\n");
    halt(&w, true);
    sim_set_disk(w.box, 100, 1000);
    boot(&w, NULL, NULL, NULL);
    connect_peers(&w);
    ask(w.a, "GET k", "$1\r\nv\r\n");
    expect_info(&w, "rdb_last_load_keys_loaded:1\r\n");
    expect_info(&w, "rdb_changes_since_last_save:0\r\n");
    world_free(&w);
}

Test(persist, a_saver_that_goes_away_is_not_missed)
{
    struct world w;
    world_init(&w, NULL, NULL, NULL);
    ask(w.a, "SET k v", "+OK\r\n");
    sim_set_disk(w.box, 50000, 200000);
    say(w.a, "SAVE");
    sim_run_for(w.sim, 100000);
    peer_close(w.a);
    sim_run_for(w.sim, 2000000);
    cr_expect(file_is_there(&w));
    ask(w.b, "GET k", "$1\r\nv\r\n");
    world_free(&w);
}

Test(persist, bgsave_and_its_schedule)
{
    struct world w;
    world_init(&w, NULL, NULL, NULL);
    sim_set_disk(w.box, 50000, 200000);
    ask(w.a, "SET k v", "+OK\r\n");
    ask(w.a, "BGSAVE nonsense", "-ERR syntax error\r\n");
    ask(w.a, "BGSAVE", "+Background saving started\r\n");
    ask(w.a, "BGSAVE SCHEDULE", "+Background saving scheduled\r\n");
    sim_run_for(w.sim, 5000000);
    expect_info(&w, "rdb_saves:2\r\n");
    expect_info(&w, "rdb_last_bgsave_status:ok\r\n");
    ask(w.a, "MULTI", "+OK\r\n");
    ask(w.a, "SET k w", "+QUEUED\r\n");
    ask(w.a, "BGSAVE", "+QUEUED\r\n");
    ask(w.a, "EXEC", "*2\r\n+OK\r\n+Background saving scheduled\r\n");
    sim_run_for(w.sim, 5000000);
    expect_info(&w, "rdb_saves:3\r\n");
    expect_info(&w, "rdb_changes_since_last_save:0\r\n");
    world_free(&w);
}

Test(persist, save_points_are_minded_and_a_failing_disk_stops_writes)
{
    struct world w;
    world_init(&w, "10 3", NULL, NULL);
    ask(w.a, "SET a 1", "+OK\r\n");
    ask(w.a, "SET b 1", "+OK\r\n");
    sim_run_for(w.sim, 20000000);
    expect_info(&w, "rdb_saves:0\r\n");
    sim_file_fail(w.box, FILE_WRITE, "temp-", ENOSPC, 1000);
    ask(w.a, "SET c 1", "+OK\r\n");
    sim_run_for(w.sim, 2000000);
    expect_info(&w, "rdb_last_bgsave_status:err\r\n");
    say(w.a, "SET d 1");
    cr_expect(peer_await(w.a, 8, WAIT_US));
    cr_expect(memcmp(peer_input(w.a).data, "-MISCONF", 8) == 0);
    peer_consume(w.a, peer_input(w.a).len);
    ask(w.a, "GET c", "$1\r\n1\r\n");
    sim_file_fail(w.box, FILE_WRITE, "temp-", 0, 0);
    sim_run_for(w.sim, 7000000);
    ask(w.a, "GET c", "$1\r\n1\r\n");
    world_free(&w);
}

Test(persist, what_writes_waits_for_a_reload_and_nothing_is_lost)
{
    struct world w;
    world_init(&w, NULL, "enable-debug-command", "yes");
    ask(w.a, "SET k 1", "+OK\r\n");
    ask(w.a, "HSET h f v", ":1\r\n");
    sim_set_disk(w.box, 20000, 100000);
    say(w.a, "DEBUG RELOAD");
    sim_run_for(w.sim, 50000);
    ask(w.b, "GET k", "$1\r\n1\r\n");
    say(w.b, "INCR k");
    expect_nothing(&w, w.b, 50000);
    cr_expect(peer_expect(w.a, "+OK\r\n", WAIT_US));
    cr_expect(peer_expect(w.b, ":2\r\n", WAIT_US));
    ask(w.a, "GET k", "$1\r\n2\r\n");
    ask(w.a, "HGET h f", "$1\r\nv\r\n");
    // One that fails leaves everything as it was.
    sim_file_fail(w.box, FILE_RENAME, "temp-", EISDIR, 1);
    say(w.a, "DEBUG RELOAD");
    sim_run_for(w.sim, 50000);
    say(w.b, "INCR k");
    cr_expect(peer_await(w.a, 5, WAIT_US));
    cr_expect(memcmp(peer_input(w.a).data, "-ERR ", 5) == 0);
    peer_consume(w.a, peer_input(w.a).len);
    cr_expect(peer_expect(w.b, ":3\r\n", WAIT_US));
    world_free(&w);
}

Test(persist, clients_are_told_while_it_loads_and_a_damaged_file_ends_the_node)
{
    struct world w;
    world_init(&w, NULL, NULL, NULL);
    ask(w.a, "SET k 1", "+OK\r\n");
    ask(w.a, "SAVE", "+OK\r\n");
    halt(&w, false);
    sim_set_disk(w.box, 300000, 1000);
    boot(&w, NULL, NULL, NULL);
    connect_peers(&w);
    ask(w.a, "GET k", "-LOADING Redis is loading the dataset in memory\r\n");
    expect_info(&w, "loading:1\r\n");
    sim_run_for(w.sim, 3000000);
    ask(w.a, "GET k", "$1\r\n1\r\n");
    halt(&w, false);

    struct bytes data;
    cr_assert(sim_file_get(w.box, "/data/dump.rdb", &data));
    struct str *copy = str_from(data);
    copy->data[copy->len - 12] ^= 1;
    sim_file_put(w.box, "/data/dump.rdb", str_view(copy));
    sim_set_disk(w.box, 100, 1000);
    boot(&w, NULL, NULL, NULL);
    cr_expect_eq(w.node->exit_status, 1);
    cr_expect(w.node->stopping);
    cr_assert(sim_file_get(w.box, "/data/dump.rdb", &data));
    cr_expect(bytes_equal(data, str_view(copy)), "untouched");
    str_free(copy);
    w.a = peer_connect(w.them, "server", PORT, nothing);
    w.b = peer_connect(w.them, "server", PORT, nothing);
    world_free(&w);
}

// It would not be in the file: nobody is told that it was written, and it is, should the save fail.
Test(persist, a_write_waits_while_a_shutdown_saves)
{
    struct world w;
    world_init(&w, NULL, NULL, NULL);
    ask(w.a, "SET k 1", "+OK\r\n");
    sim_set_disk(w.box, 300000, 1000);
    sim_file_fail(w.box, FILE_RENAME, "temp-", EISDIR, 1);
    say(w.a, "SHUTDOWN SAVE");
    sim_run_for(w.sim, 10000);
    say(w.b, "INCR k");
    expect_nothing(&w, w.b, 100000);
    cr_expect(peer_expect(w.a, "-ERR Errors trying to SHUTDOWN. Check logs.\r\n", WAIT_US));
    cr_expect(peer_expect(w.b, ":2\r\n", WAIT_US));

    say(w.a, "SHUTDOWN SAVE");
    sim_run_for(w.sim, 10000);
    say(w.b, "INCR k");
    while (!w.node->stopping)
        cr_assert(sim_step(w.sim));
    expect_nothing(&w, w.b, 10000);
    halt(&w, false);
    boot(&w, NULL, NULL, NULL);
    connect_peers(&w);
    sim_run_for(w.sim, 3000000);
    ask(w.a, "GET k", "$1\r\n2\r\n");
    world_free(&w);
}
