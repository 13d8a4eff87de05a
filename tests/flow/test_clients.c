// What clients see of each other: messages, MONITOR, CLIENT's subcommands, SLOWLOG, eviction. One
// node and a few clients in virtual time.
#include "base/mem.h"
#include "node/slowlog.h"
#include "node/tracking.h"

enum { CLIENTS = 3 };
#include "node_rig.h"

static void begin(void)
{
    struct config config;
    node_rig_config(&config);
    config.enable_debug_command = PERMIT_YES;
    node_rig_new(&config);
    node_rig_start();
}

TestSuite(clients, .init = begin, .fini = node_rig_end);

static void silent(int i)
{
    sim_run_for(sim, 10000);
    cr_assert_eq(peer_input(client[i]).len, 0, "client %d got %.*s", i,
                 (int)peer_input(client[i]).len, peer_input(client[i]).data);
}

// The whole of the next bulk or verbatim reply, without its header.
static struct bytes hear_text(int i)
{
    sim_run_for(sim, 10000);
    struct bytes in = peer_input(client[i]);
    const char *line = memchr(in.data, '\n', in.len);
    cr_assert_not_null(line);
    return bytes_of(line + 1, in.len - (size_t)(line + 1 - in.data));
}

static bool contains(struct bytes text, const char *part)
{
    return memmem(text.data, text.len, part, strlen(part)) != NULL;
}

// ---- messages -----------------------------------------------------------------------------------

Test(clients, a_message_reaches_channel_and_pattern_subscribers)
{
    run(0, "SUBSCRIBE news", "*3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:1\r\n");
    run(1, "PSUBSCRIBE n*", "*3\r\n$10\r\npsubscribe\r\n$2\r\nn*\r\n:1\r\n");
    run(2, "PUBLISH news hello", ":2\r\n");
    hear(0, "*3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$5\r\nhello\r\n");
    hear(1, "*4\r\n$8\r\npmessage\r\n$2\r\nn*\r\n$4\r\nnews\r\n$5\r\nhello\r\n");
    run(2, "PUBLISH other hello", ":0\r\n");
    silent(0);
    silent(1);
    run(0, "GET a",
        "-ERR Can't execute 'get': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET "
        "are allowed in this context\r\n");
    run(0, "UNSUBSCRIBE", "*3\r\n$11\r\nunsubscribe\r\n$4\r\nnews\r\n:0\r\n");
    run(0, "GET a", "$-1\r\n");
    run(2, "PUBLISH news again", ":1\r\n");
}

Test(clients, a_subscriber_that_goes_is_forgotten)
{
    run(0, "SUBSCRIBE a b",
        "*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n"
        "*3\r\n$9\r\nsubscribe\r\n$1\r\nb\r\n:2\r\n");
    peer_close(client[0]);
    sim_run_for(sim, 10000);
    run(1, "PUBSUB CHANNELS", "*0\r\n");
    run(1, "PUBLISH a x", ":0\r\n");
}

// A push in the middle of a reply would be read as a part of it.
Test(clients, messages_to_oneself_wait_for_the_end_of_the_reply)
{
    say(0, "HELLO 3");
    hear_text(0);
    peer_consume(client[0], peer_input(client[0]).len);
    run(0, "SUBSCRIBE a", ">3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n");
    run(0, "MULTI", "+OK\r\n");
    run(0, "PUBLISH a x", "+QUEUED\r\n");
    run(0, "PING", "+QUEUED\r\n");
    run(0, "EXEC", "*2\r\n:1\r\n+PONG\r\n>3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\nx\r\n");
}

Test(clients, shard_channels_are_a_world_of_their_own)
{
    run(0, "SSUBSCRIBE a", "*3\r\n$10\r\nssubscribe\r\n$1\r\na\r\n:1\r\n");
    run(1, "PUBLISH a x", ":0\r\n");
    silent(0);
    run(1, "SPUBLISH a x", ":1\r\n");
    hear(0, "*3\r\n$8\r\nsmessage\r\n$1\r\na\r\n$1\r\nx\r\n");
    run(1, "PUBSUB SHARDNUMSUB a", "*2\r\n$1\r\na\r\n:1\r\n");
}

// ---- tracking -----------------------------------------------------------------------------------

static void speak_resp3(int i)
{
    say(i, "HELLO 3");
    hear_text(i);
    peer_consume(client[i], peer_input(client[i]).len);
}

Test(clients, who_has_read_a_key_is_told_once_that_it_changed)
{
    static const char told[] = ">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\nk\r\n";
    speak_resp3(0);
    run(0, "CLIENT TRACKING ON", "+OK\r\n");
    run(0, "GET k", "_\r\n");
    run(1, "SET k 1", "+OK\r\n");
    hear(0, told);
    run(1, "SET k 2", "+OK\r\n");
    silent(0);
    run(0, "GET k", "$1\r\n2\r\n");
    run(0, "SET k 3", "+OK\r\n");
    hear(0, told); // after the reply
    run(0, "GET k", "$1\r\n3\r\n");
    run(1, "FLUSHALL", "+OK\r\n");
    hear(0, ">2\r\n$10\r\ninvalidate\r\n_\r\n");
    cr_assert_eq(tracking_counts(node).keys, 0);
}

Test(clients, prefixes_gather_what_changed_in_one_turn)
{
    run(1, "SUBSCRIBE __redis__:invalidate",
        "*3\r\n$9\r\nsubscribe\r\n$20\r\n__redis__:invalidate\r\n:1\r\n");
    run(0, "CLIENT TRACKING ON BCAST REDIRECT 2 PREFIX a NOLOOP", "+OK\r\n");
    run(2, "MSET ab 1 b 2", "+OK\r\n");
    hear(1, "*3\r\n$7\r\nmessage\r\n$20\r\n__redis__:invalidate\r\n*1\r\n$2\r\nab\r\n");
    run(0, "SET ab 2", "+OK\r\n");
    silent(1);
    peer_close(client[0]);
    sim_run_for(sim, 10000);
    run(2, "SET ab 3", "+OK\r\n");
    silent(1);
    cr_assert_eq(tracking_counts(node).prefixes, 0);
}

Test(clients, a_table_over_its_limit_forgets_and_tells)
{
    speak_resp3(0);
    run(0, "CLIENT TRACKING ON", "+OK\r\n");
    run(0, "MGET a b c", "*3\r\n_\r\n_\r\n_\r\n");
    cr_assert_eq(tracking_counts(node).keys, 3);
    run(1, "CONFIG SET tracking-table-max-keys 2", "+OK\r\n");
    sim_run_for(sim, 1000000);
    cr_assert_eq(tracking_counts(node).keys, 2);
    cr_assert(contains(peer_input(client[0]), "invalidate"));
}

// ---- CLIENT -------------------------------------------------------------------------------------

Test(clients, reply_off_and_skip)
{
    say(0, "CLIENT REPLY OFF");
    say(0, "PING");
    silent(0);
    run(0, "CLIENT REPLY ON", "+OK\r\n");
    say(0, "CLIENT REPLY SKIP");
    say(0, "PING");
    silent(0);
    run(0, "PING", "+PONG\r\n");
    // What is skipped is one command, also when it blocks.
    say(0, "CLIENT REPLY SKIP");
    say(0, "BLPOP l 0");
    sim_run_for(sim, 10000);
    run(1, "RPUSH l x", ":1\r\n");
    silent(0);
    run(0, "PING", "+PONG\r\n");
}

Test(clients, a_paused_client_goes_on_at_the_deadline)
{
    run(0, "CLIENT PAUSE 500 WRITE", "+OK\r\n");
    uint64_t began_us = loop_now_us(node->loop);
    run(1, "GET a", "$-1\r\n");
    run(1, "SET a 1", "+OK\r\n");
    uint64_t took_us = loop_now_us(node->loop) - began_us;
    cr_assert(took_us >= 499000 && took_us < 502000, "%llu us", (unsigned long long)took_us);
    run(0, "CLIENT PAUSE 100000", "+OK\r\n");
    say(1, "GET a");
    sim_run_for(sim, 1000000);
    silent(1);
}

Test(clients, unblock_as_timed_out_or_with_an_error)
{
    say(0, "BLPOP l 0");
    say(1, "BLPOP l 0");
    sim_run_for(sim, 10000);
    run(2, "CLIENT UNBLOCK 1", ":1\r\n");
    hear(0, "*-1\r\n");
    run(2, "CLIENT UNBLOCK 2 ERROR", ":1\r\n");
    hear(1, "-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n");
    run(2, "CLIENT UNBLOCK 2", ":0\r\n");
    run(1, "PING", "+PONG\r\n");
}

Test(clients, kill_by_id_and_oneself)
{
    run(0, "CLIENT KILL ID 2", ":1\r\n");
    sim_run_for(sim, 10000);
    cr_assert_eq(client[1]->closes, 1);
    run(0, "CLIENT KILL TYPE normal SKIPME no", ":2\r\n");
    sim_run_for(sim, 10000);
    cr_assert_eq(client[0]->closes, 1);
    cr_assert_eq(client[2]->closes, 1);
}

// Its conn takes a while to go: nothing is done for it meanwhile.
Test(clients, who_is_killed_gets_nothing_more)
{
    say(0, "BLPOP l 0");
    sim_run_for(sim, 10000);
    run(1, "CLIENT KILL ID 1\r\nRPUSH l x\r\nLLEN l", ":1\r\n:1\r\n:1\r\n");
    run(1, "CLIENT PAUSE 100000 WRITE", "+OK\r\n");
    say(2, "SET a 1");
    sim_run_for(sim, 10000);
    run(1, "CLIENT KILL ID 3\r\nCLIENT UNPAUSE\r\nEXISTS a", ":1\r\n+OK\r\n:0\r\n");
    sim_run_for(sim, 10000);
    cr_assert_eq(client[0]->closes, 1);
    cr_assert_eq(client[2]->closes, 1);
    run(1, "EXISTS a l", ":1\r\n");
}

Test(clients, a_line_of_the_list)
{
    run(0, "CLIENT SETNAME me", "+OK\r\n");
    run(1, "SUBSCRIBE a", "*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n");
    say(0, "CLIENT LIST");
    struct bytes text = hear_text(0);
    cr_assert(contains(text, "id=1 addr="));
    cr_assert(contains(text, " name=me age=0 "));
    cr_assert(contains(text, " cmd=client|list user=default redir=-1 resp=2\n"));
    cr_assert(contains(text, " flags=P db=0 sub=1 psub=0 ssub=0 multi=-1 "));
    peer_consume(client[0], peer_input(client[0]).len);
    say(0, "CLIENT LIST TYPE pubsub");
    cr_assert_not(contains(hear_text(0), "id=1 "));
}

// ---- MONITOR and SLOWLOG ------------------------------------------------------------------------

Test(clients, monitor_shows_commands_in_the_order_they_ran_but_no_secrets)
{
    run(0, "MONITOR", "+OK\r\n");
    run(1, "MULTI", "+OK\r\n");
    run(1, "SET a \"x y\"", "+QUEUED\r\n");
    run(1, "EXEC", "*1\r\n+OK\r\n");
    run(1, "AUTH default secret", "+OK\r\n");
    run(1, "CONFIG GET nothing", "*0\r\n");
    sim_run_for(sim, 10000);
    struct bytes seen = peer_input(client[0]);
    const char *set = memmem(seen.data, seen.len, "\"SET\" \"a\" \"x y\"\r\n", 17);
    const char *exec = memmem(seen.data, seen.len, "\"EXEC\"\r\n", 8);
    cr_assert(set != NULL && exec != NULL && set < exec);
    cr_assert(contains(seen, "\"AUTH\" \"(redacted)\" \"(redacted)\"\r\n"));
    cr_assert_not(contains(seen, "secret"));
    cr_assert_not(contains(seen, "CONFIG"));
}

Test(clients, slowlog_keeps_the_words_that_a_command_took_over)
{
    run(0, "CONFIG SET slowlog-log-slower-than 0", "+OK\r\n");
    run(0, "SLOWLOG RESET", "+OK\r\n");
    run(0, "SET key a-value-that-the-store-takes-over", "+OK\r\n");
    const struct list *entries = slowlog_entries(node);
    const struct slowlog_entry *e = list_entry(entries->next, struct slowlog_entry, link);
    cr_assert_eq(e->argc, 3);
    cr_assert_str_eq(e->argv[2]->data, "a-value-that-the-store-takes-over");
    run(0, "CONFIG SET requirepass hidden", "+OK\r\n");
    e = list_entry(entries->next, struct slowlog_entry, link);
    cr_assert_str_eq(e->argv[3]->data, "(redacted)");
}

Test(clients, slowlog_keeps_all_the_words_that_it_shows)
{
    char line[512] = "MSET";
    for (int i = 0; i < 40; i++)
        snprintf(line + strlen(line), sizeof(line) - strlen(line), " k%d v%d", i, i);
    run(0, "CONFIG SET slowlog-log-slower-than 0", "+OK\r\n");
    run(0, line, "+OK\r\n");
    const struct slowlog_entry *e =
        list_entry(slowlog_entries(node)->next, struct slowlog_entry, link);
    cr_assert_eq(e->argc, 32);
    for (int i = 1; i < e->argc - 1; i++) {
        char word[16];
        snprintf(word, sizeof(word), "%c%d", i % 2 ? 'k' : 'v', (i - 1) / 2);
        cr_expect(bytes_equal(str_view(e->argv[i]), bytes_from_cstr(word)), "%d: '%s', not %s", i,
                  e->argv[i]->data, word);
    }
}

Test(clients, a_sleep_counts_as_a_slow_command)
{
    run(0, "CONFIG SET latency-monitor-threshold 100", "+OK\r\n");
    say(0, "DEBUG SLEEP 0.3");
    run(1, "SLOWLOG LEN", ":1\r\n");
    run(1, "LATENCY RESET command", ":1\r\n");
}

// ---- counting -----------------------------------------------------------------------------------

static struct command_stats stats(const char *name)
{
    return dispatch_find(node, bytes_from_cstr(name))->stats;
}

Test(clients, refused_and_failed_calls_are_told_apart)
{
    run(0, "SET k", "-ERR wrong number of arguments for 'set' command\r\n");
    cr_assert_eq(stats("set").rejected, 1);
    cr_assert_eq(stats("set").calls, 0);
    run(0, "SET k v", "+OK\r\n");
    run(0, "LPUSH k v", "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n");
    cr_assert_eq(stats("lpush").failed, 1);
    run(0, "MULTI", "+OK\r\n");
    run(0, "LPUSH k v", "+QUEUED\r\n");
    run(0, "EXEC", "*1\r\n-WRONGTYPE Operation against a key holding the wrong kind of value\r\n");
    cr_assert_eq(stats("lpush").failed, 2);
    cr_assert_eq(stats("exec").failed, 0);
    cr_assert_eq(stats("exec").calls, 1);
    // A blocked call counts once, however often it is tried.
    say(0, "BLPOP l 0");
    sim_run_for(sim, 10000);
    run(1, "RPUSH l x", ":1\r\n");
    hear(0, "*2\r\n$1\r\nl\r\n$1\r\nx\r\n");
    cr_assert_eq(stats("blpop").calls, 1);
}

// ---- eviction -----------------------------------------------------------------------------------

Test(clients, memory_over_the_limit)
{
    if (mem_used_bytes() == 0) cr_skip_test("this allocator doesn't count");
    run(0, "SET k v", "+OK\r\n");
    run(0, "CONFIG SET maxmemory 1", "+OK\r\n");
    run(0, "SET a b", "-OOM command not allowed when used memory > 'maxmemory'.\r\n");
    run(0, "GET k", "$1\r\nv\r\n");
    run(0, "DEL k", ":1\r\n");
    run(0, "CONFIG SET maxmemory 0", "+OK\r\n");
    run(0, "SET k v", "+OK\r\n");
    run(0, "SET volatile v EX 100", "+OK\r\n");
    run(0, "CONFIG SET notify-keyspace-events Ee", "+OK\r\n");
    run(1, "SUBSCRIBE __keyevent@0__:evicted",
        "*3\r\n$9\r\nsubscribe\r\n$22\r\n__keyevent@0__:evicted\r\n:1\r\n");
    run(0, "CONFIG SET maxmemory-policy volatile-lru maxmemory 1", "+OK\r\n");
    run(0, "GET k", "$1\r\nv\r\n");
    hear(1, "*3\r\n$7\r\nmessage\r\n$22\r\n__keyevent@0__:evicted\r\n$8\r\nvolatile\r\n");
    cr_assert_eq(node->stats.evicted_keys, 1);
    run(0, "CONFIG SET maxmemory-policy allkeys-random", "+OK\r\n");
    run(0, "EXISTS k", ":0\r\n");
}

Test(clients, the_largest_client_goes_first)
{
    run(0, "CONFIG SET maxmemory-clients 1mb", "+OK\r\n");
    peer_send_text(client[1], "*2\r\n$4\r\nECHO\r\n$2000000\r\n");
    char *half = mem_zalloc(1200001);
    memset(half, 'x', 1200000);
    peer_send_text(client[1], half);
    mem_free(half);
    sim_run_for(sim, 1000000);
    cr_assert_eq(client[1]->closes, 1);
    cr_assert_eq(node->stats.evicted_clients, 1);
    run(0, "PING", "+PONG\r\n");
    run(2, "PING", "+PONG\r\n");
}

// ---- turns --------------------------------------------------------------------------------------

enum { PIPELINE = 2000 };

static struct turn_watch {
    struct deadline deadline;
    uint64_t before, ran; // commands
} turns;

static void look_at_turn(struct deadline *d)
{
    (void)d;
    turns.ran = node->stats.commands_processed - turns.before;
}

static void send_pings(int i)
{
    for (int k = 0; k < PIPELINE; k++)
        say(i, "PING");
}

Test(clients, a_deadline_comes_between_the_requests_of_a_pipeline)
{
    // It is due at the instant at which all of the pipeline arrives, in one read.
    send_pings(0);
    turns.deadline.fire = look_at_turn;
    turns.before = node->stats.commands_processed;
    deadline_arm(node->loop, &turns.deadline, sim_now_us(sim) + 100);
    for (int i = 0; i < 100 && deadline_armed(&turns.deadline); i++)
        sim_step(sim);
    cr_assert(!deadline_armed(&turns.deadline));
    cr_assert_leq(turns.ran, 8 * LOOP_TURN_ASKS);
    sim_run_for(sim, 10000);
    cr_assert_eq(node->stats.commands_processed - turns.before, PIPELINE);
    cr_assert_eq(peer_input(client[0]).len, PIPELINE * strlen("+PONG\r\n"));
}

Test(clients, a_pipeline_whose_sender_leaves_is_run_to_its_end)
{
    for (int k = 0; k < PIPELINE; k++)
        say(0, "INCR n");
    peer_close(client[0]);
    sim_run_for(sim, 10000);
    run(1, "GET n", "$4\r\n2000\r\n");
}

Test(clients, a_pipeline_that_blocks_in_its_middle_notices_the_end)
{
    for (int k = 0; k < 127; k++)
        say(0, "PING");
    say(0, "BLPOP list 0");
    for (int k = 0; k < 300; k++)
        say(0, "PING");
    sim_run_for(sim, 10000);
    cr_assert_eq(node->client_count, CLIENTS);
    peer_close(client[0]);
    sim_run_for(sim, 10000);
    cr_assert_eq(node->client_count, CLIENTS - 1);
}
