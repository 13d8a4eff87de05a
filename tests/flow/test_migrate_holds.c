// What others may do to a key while MIGRATE has it: who waits, who does not, and what each finds
// when the key has moved and when it has stayed. A node with a replica, clients, a scripted target.
#include "base/mem.h"
#include "command/table.h"
#include "node/repl_impl.h"
#include "sim/lib/peer.h"

#include <criterion/criterion.h>
#include <stdio.h>

enum { NODES = 2, CLIENTS = 4, TARGET_PORT = 7000, SILENT_PORT = 7001 };
enum { MOVER, WRITER, READER, OTHER };

static struct sim *sim;
static struct sim_node *outside, *away, *at[NODES];
static struct node *node[NODES];
static struct peer *client[CLIENTS], *at_replica, *target, *silent_target;
static const struct peer_step none[] = {DO_END};
static const struct peer_step takes_it[] = {DO_EXPECT("*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n"),
                                            DO_SEND("+OK\r\n"),
                                            DO_EXPECT_PAST("\r\n$7\r\nRESTORE\r\n"), DO_END};
static const struct peer_step takes_more[] = {DO_EXPECT_PAST("\r\n$7\r\nRESTORE\r\n"), DO_END};

static struct peer *connect_to(const char *host)
{
    struct peer *p = peer_connect(outside, host, 6379, none);
    sim_run_for(sim, 1000);
    return p;
}

static void hear(struct peer *p, const char *answer)
{
    cr_assert(peer_expect(p, answer, 20000000), "%s wanted: %s", answer, p->why);
}

static void say(struct peer *p, const char *command)
{
    peer_send_text(p, command);
    peer_send_text(p, "\r\n");
}

static void run(int i, const char *command, const char *answer)
{
    say(client[i], command);
    cr_assert(peer_expect(client[i], answer, 20000000), "%s: %s", command, client[i]->why);
}

static void silent(int i)
{
    sim_run_for(sim, 20000);
    struct bytes got = peer_input(client[i]);
    cr_assert_eq(got.len, 0, "client %d got %.*s", i, (int)got.len, got.data);
}

static bool level(void *arg)
{
    (void)arg;
    return repl_link_up(node[1]) && repl_offset(node[1]) == repl_offset(node[0]);
}

static void begin(void)
{
    sim = sim_new(3);
    outside = sim_node_new(sim, "outside");
    away = sim_node_new(sim, "target");
    struct sim_wire wire = {.delay_us = 100};
    sim_set_wire(sim, &wire);
    for (int i = 0; i < NODES; i++) {
        struct config config;
        struct error error = ERROR_OK;
        config_init(&config);
        config.repl_diskless_sync_delay_s = 0;
        config.save_count = 0;
        config.protected_mode = false;
        config.enable_debug_command = PERMIT_YES;
        at[i] = sim_node_new(sim, i == 0 ? "n0" : "n1");
        node[i] = node_new(sim_loop(at[i]), sim_network(at[i]), &config, command_families, 7);
        cr_assert(node_start(node[i], &error), "%s", error.text);
        sim_run_for(sim, 10000);
    }
    for (int i = 0; i < CLIENTS; i++)
        client[i] = connect_to("n0");
    at_replica = connect_to("n1");
    say(at_replica, "REPLICAOF n0 6379");
    hear(at_replica, "+OK\r\n");
    cr_assert(sim_run_while_not(sim, level, NULL, 10000000));
    target = peer_listen(away, TARGET_PORT, takes_it);
    silent_target = peer_listen(away, SILENT_PORT, takes_it);
}

static void end(void)
{
    for (int i = 0; i < CLIENTS; i++)
        peer_free(client[i]);
    peer_free(at_replica);
    peer_free(target);
    peer_free(silent_target);
    for (int i = 0; i < NODES; i++)
        node_free(node[i]);
    sim_free(sim);
}

static void begin_again(void)
{
    end();
    begin();
}

TestSuite(migrate_holds, .init = begin, .fini = end);

static bool has_it(void *arg)
{
    (void)arg;
    return peer_done(target);
}

// MIGRATE has sent the key and waits for the answer.
static void move(const char *command)
{
    say(client[MOVER], command);
    cr_assert(sim_run_while_not(sim, has_it, NULL, 1000000), "%s", target->why);
    sim_run_for(sim, 1000);
}

static void hold(void)
{
    run(OTHER, "RPUSH k a b", ":2\r\n");
    run(OTHER, "RPUSH other x", ":1\r\n");
    move("MIGRATE target 7000 k 0 1000");
}

static void let_go(bool moved)
{
    peer_send_text(target, moved ? "+OK\r\n" : "-BUSYKEY no\r\n");
    hear(client[MOVER],
         moved ? "+OK\r\n" : "-ERR Target instance replied with error: BUSYKEY no\r\n");
}

static int parked(void)
{
    int count = 0;
    list_each(link, &node[0]->clients) if (list_entry(link, struct client, link)->flags &
                                           CLIENT_PARKED) count++;
    return count;
}

// The replica has the same, and nobody is left waiting.
static void all_is_well(const char *what)
{
    cr_assert(sim_run_while_not(sim, level, NULL, 10000000), "%s", what);
    cr_assert_eq(parked(), 0, "%s: somebody is still parked", what);
    cr_assert(!store_held(&node[0]->store, -1), "%s: something is held", what);
    say(client[OTHER], "DEBUG DIGEST");
    say(at_replica, "DEBUG DIGEST");
    cr_assert(peer_await(client[OTHER], 43, 1000000) && peer_await(at_replica, 43, 1000000));
    struct bytes a = peer_input(client[OTHER]), b = peer_input(at_replica);
    cr_assert_eq(memcmp(a.data, b.data, 43), 0, "%s: the replica has something else", what);
}

// ---- those who would change it ------------------------------------------------------------------

#define IOERR                                                                                      \
    "-IOERR error or timeout reading from target instance: no answer in 1000 ms; what was sent "   \
    "and not acknowledged stays here and may be there too\r\n"

static const struct {
    const char *command;          // which waits
    const char *moved, *kept;     // its answer when the key has moved, and when it has stayed
    const char *k_moved, *k_kept; // EXISTS k afterwards
} waiters[] = {
    {"RPUSH k c", ":1\r\n", ":3\r\n", ":1\r\n", ":1\r\n"},
    {"SET k v", "+OK\r\n", "+OK\r\n", ":1\r\n", ":1\r\n"},
    {"LPOP k", "$-1\r\n", "$1\r\na\r\n", ":0\r\n", ":1\r\n"},
    {"DEL k", ":0\r\n", ":1\r\n", ":0\r\n", ":0\r\n"},
    {"UNLINK k", ":0\r\n", ":1\r\n", ":0\r\n", ":0\r\n"},
    {"DEL other k", ":1\r\n", ":2\r\n", ":0\r\n", ":0\r\n"},
    {"GETDEL k", "$-1\r\n",
     "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n", ":0\r\n", ":1\r\n"},
    {"RENAME k new", "-ERR no such key\r\n", "+OK\r\n", ":0\r\n", ":0\r\n"},
    {"RENAME other k", "+OK\r\n", "+OK\r\n", ":1\r\n", ":1\r\n"},
    {"RENAMENX other k", ":1\r\n", ":0\r\n", ":1\r\n", ":1\r\n"},
    {"COPY other k REPLACE", ":1\r\n", ":1\r\n", ":1\r\n", ":1\r\n"},
    {"MOVE k 1", ":0\r\n", ":1\r\n", ":0\r\n", ":0\r\n"},
    {"SORT other ALPHA STORE k", ":1\r\n", ":1\r\n", ":1\r\n", ":1\r\n"},
    {"LMOVE other k LEFT RIGHT", "$1\r\nx\r\n", "$1\r\nx\r\n", ":1\r\n", ":1\r\n"},
    {"EXPIRE k 100", ":0\r\n", ":1\r\n", ":0\r\n", ":1\r\n"},
    {"PEXPIREAT k 1", ":0\r\n", ":1\r\n", ":0\r\n", ":0\r\n"},
    {"PERSIST k", ":0\r\n", ":0\r\n", ":0\r\n", ":1\r\n"},
    {"FLUSHALL", "+OK\r\n", "+OK\r\n", ":0\r\n", ":0\r\n"},
    {"FLUSHALL ASYNC", "+OK\r\n", "+OK\r\n", ":0\r\n", ":0\r\n"},
    {"FLUSHDB", "+OK\r\n", "+OK\r\n", ":0\r\n", ":0\r\n"},
    {"SWAPDB 0 1", "+OK\r\n", "+OK\r\n", ":0\r\n", ":0\r\n"},
    {"BLPOP k 0.5", "*-1\r\n", "*2\r\n$1\r\nk\r\n$1\r\na\r\n", ":0\r\n", ":1\r\n"},
    {"BLMOVE other k LEFT LEFT 0", "$1\r\nx\r\n", "$1\r\nx\r\n", ":1\r\n", ":1\r\n"},
    {"MULTI\r\nGET x\r\nRPUSH k c\r\nLLEN k\r\nEXEC", "*3\r\n$-1\r\n:1\r\n:1\r\n",
     "*3\r\n$-1\r\n:3\r\n:3\r\n", ":1\r\n", ":1\r\n"},
    {"MIGRATE target 7001 k 0 1000", "+NOKEY\r\n", IOERR, ":0\r\n", ":1\r\n"},
    {"MIGRATE target 7001 \"\" 0 1000 KEYS nokey k", "+NOKEY\r\n", IOERR, ":0\r\n", ":1\r\n"},
    {"DEBUG RELOAD", "+OK\r\n", "+OK\r\n", ":0\r\n", ":1\r\n"},
};

static void try_waiter(int row, bool moved)
{
    char what[160];
    snprintf(what, sizeof(what), "%s, the key has %s", waiters[row].command,
             moved ? "moved" : "stayed");
    hold();
    say(client[WRITER], waiters[row].command);
    if (strncmp(waiters[row].command, "MULTI", 5) == 0)
        hear(client[WRITER], "+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n");
    silent(WRITER);
    run(READER, "LRANGE k 0 -1", "*2\r\n$1\r\na\r\n$1\r\nb\r\n");
    run(READER, "PING", "+PONG\r\n");
    let_go(moved);
    cr_assert(peer_expect(client[WRITER], moved ? waiters[row].moved : waiters[row].kept, 20000000),
              "%s: %s", what, client[WRITER]->why);
    run(READER, "EXISTS k", moved ? waiters[row].k_moved : waiters[row].k_kept);
    all_is_well(what);
}

Test(migrate_holds, whoever_would_change_the_key_waits_and_finds_what_is_then_there)
{
    for (size_t row = 0; row < sizeof(waiters) / sizeof(waiters[0]); row++) {
        try_waiter((int)row, true);
        begin_again();
        try_waiter((int)row, false);
        begin_again();
    }
}

// ---- those who need not wait --------------------------------------------------------------------

Test(migrate_holds, readers_and_writers_of_others_do_not_wait)
{
    hold();
    run(WRITER, "LLEN k", ":2\r\n");
    run(WRITER, "RPUSH other y", ":2\r\n");
    run(WRITER, "COPY k copy", ":1\r\n");
    run(WRITER, "TOUCH k", ":1\r\n");
    run(WRITER, "TTL k", ":-1\r\n");
    run(WRITER, "SELECT 1", "+OK\r\n");
    run(WRITER, "SET k v", "+OK\r\n");
    run(WRITER, "FLUSHDB", "+OK\r\n");
    say(client[WRITER], "DUMP k");
    cr_assert(peer_expect(client[WRITER], "$-1\r\n", 1000), "another database");
    let_go(true);
    all_is_well("after them");
}

Test(migrate_holds, a_snapshot_of_the_key_at_the_same_time)
{
    hold();
    run(WRITER, "BGSAVE", "+Background saving started\r\n");
    sim_run_for(sim, 100000);
    cr_assert_null(node[0]->store.snapshot, "the snapshot waits for the migration");
    let_go(true);
    run(READER, "EXISTS k", ":0\r\n");
    all_is_well("moved");
}

Test(migrate_holds, the_same_key_twice_in_one_command_moves_once)
{
    run(OTHER, "RPUSH k a b", ":2\r\n");
    move("MIGRATE target 7000 \"\" 0 1000 KEYS k k");
    peer_restart(target, takes_more);
    let_go(true);
    cr_assert(!peer_done(target), "it was sent again");
    all_is_well("moved");
}

// ---- what INFO shows ----------------------------------------------------------------------------

static void info(char *to, size_t size)
{
    say(client[READER], "INFO migrate");
    sim_run_for(sim, 1000);
    struct bytes got = peer_input(client[READER]);
    snprintf(to, size, "%.*s", (int)got.len, got.data);
    peer_consume(client[READER], got.len);
}

static void shows(const char *text, const char *part)
{
    cr_assert_not_null(strstr(text, part), "no %s in:\n%s", part, text);
}

Test(migrate_holds, info_shows_what_is_in_flight)
{
    char text[4096];
    hold();
    say(client[WRITER], "RPUSH k c");
    sim_run_for(sim, 250000);
    info(text, sizeof(text));
    shows(text, "migrate_in_flight:1\r\n");
    shows(text, "held_keys:1\r\n");
    shows(text, "parked_clients:1\r\n");
    shows(text, "migrate_link0:state=reply,deadline=reply,left_ms=7");
    shows(text, ",target=target:7000,keys=1,moved=0,bytes=");
    shows(text, ",key=\"k\"\r\n");
    cr_assert_null(strstr(text, "migrate_sent_bytes:0\r\n"));
    let_go(true);
    info(text, sizeof(text));
    shows(text, "migrate_in_flight:0\r\n");
    shows(text, "migrate_cached_links:1\r\n");
    shows(text, "held_keys:0\r\n");
    shows(text, "migrate_keys_moved:1\r\n");
    cr_assert_null(strstr(text, "migrate_link0"));
    hear(client[WRITER], ":1\r\n");
    run(OTHER, "RPUSH k2 a", ":1\r\n");
    say(client[MOVER], "MIGRATE target 7001 k2 0 200");
    sim_run_for(sim, 300000);
    info(text, sizeof(text));
    shows(text, "migrate_timeouts_reply:1\r\n");
    shows(text, "migrate_failed:1\r\n");
}

// ---- expiry and eviction ------------------------------------------------------------------------

static void try_expiry(bool moved)
{
    run(OTHER, "RPUSH k a b", ":2\r\n");
    run(OTHER, "PEXPIRE k 100", ":1\r\n");
    move("MIGRATE target 7000 k 0 1000");
    sim_run_for(sim, 500000);
    run(READER, "EXISTS k", ":0\r\n");
    cr_assert_not_null(db_find(store_db(&node[0]->store, 0), BYTES("k")), "deleted while held");
    let_go(moved);
    sim_run_for(sim, 500000);
    cr_assert_null(db_find(store_db(&node[0]->store, 0), BYTES("k")));
    cr_assert_null(db_find(store_db(&node[1]->store, 0), BYTES("k")));
    all_is_well("expired");
}

Test(migrate_holds, a_key_that_expires_meanwhile_goes_when_it_is_let_go_of)
{
    try_expiry(true);
    begin_again();
    try_expiry(false);
}

Test(migrate_holds, eviction_passes_it_over)
{
    hold();
    run(WRITER, "CONFIG SET maxmemory-policy allkeys-random maxmemory 1", "+OK\r\n");
    sim_run_for(sim, 500000);
    run(READER, "EXISTS other", ":0\r\n");
    run(READER, "EXISTS k", ":1\r\n");
    let_go(false);
    sim_run_for(sim, 500000);
    run(READER, "EXISTS k", ":0\r\n");
    all_is_well("evicted afterwards");
}

// ---- those who leave ----------------------------------------------------------------------------

static void own_id(int i, char *kill, size_t size)
{
    say(client[i], "CLIENT ID");
    sim_run_for(sim, 1000);
    struct bytes got = peer_input(client[i]);
    snprintf(kill, size, "CLIENT KILL ID %.*s", (int)got.len - 3, got.data + 1);
    peer_consume(client[i], got.len);
}

Test(migrate_holds, a_waiter_that_is_killed_changes_nothing)
{
    char kill[64];
    own_id(WRITER, kill, sizeof(kill));
    hold();
    say(client[WRITER], "RPUSH k c");
    silent(WRITER);
    cr_assert_eq(parked(), 1);
    run(OTHER, kill, ":1\r\n");
    sim_run_for(sim, 1000);
    cr_assert_eq(client[WRITER]->closes, 1);
    cr_assert_eq(parked(), 0);
    let_go(false);
    run(READER, "LLEN k", ":2\r\n");
    all_is_well("killed");
}

Test(migrate_holds, the_mover_that_is_killed_lets_waiters_go_on)
{
    char kill[64];
    own_id(MOVER, kill, sizeof(kill));
    hold();
    say(client[WRITER], "RPUSH k c");
    silent(WRITER);
    run(OTHER, kill, ":1\r\n");
    hear(client[WRITER], ":3\r\n");
    all_is_well("the mover is gone");
}

Test(migrate_holds, a_node_that_becomes_a_replica_gives_all_of_it_up)
{
    hold();
    say(client[WRITER], "RPUSH k c");
    silent(WRITER);
    run(OTHER, "REPLICAOF nowhere 1", "+OK\r\n");
    hear(client[MOVER], "-IOERR this node has become a replica; what was sent and is still here "
                        "may be there too\r\n");
    hear(client[WRITER], "-READONLY You can't write against a read only replica.\r\n");
    run(READER, "LLEN k", ":2\r\n");
    cr_assert_eq(parked(), 0);
    cr_assert(!store_held(&node[0]->store, -1));
}

Test(migrate_holds, a_shutdown_waits_for_nobody_and_keeps_the_key)
{
    hold();
    say(client[WRITER], "RPUSH k c");
    silent(WRITER);
    say(client[OTHER], "SHUTDOWN NOSAVE NOW");
    sim_run_for(sim, 1000);
    cr_assert(node[0]->stopping);
    cr_assert_not_null(db_find(store_db(&node[0]->store, 0), BYTES("k")));
}
