// A whole node as primary in the simulated world; its replicas and clients are scripted peers.
#ifndef WHERRY_TESTS_PRIMARY_RIG_H
#define WHERRY_TESTS_PRIMARY_RIG_H

#include "base/mem.h"
#include "command/table.h"
#include "node/repl_impl.h"
#include "sim/lib/peer.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#define RIG_TIMEOUT 10000000

struct primary_rig {
    struct sim *sim;
    struct sim_node *us, *them;
    struct trace trace;
    struct node *node;
    struct peer *client, *a, *b; // a, b: replicas
};

static struct primary_rig rig;

static void rig_log(struct log *log, enum log_level level, const char *line)
{
    (void)log;
    rig.trace.log.write(&rig.trace.log, level, line);
}

static inline bool rig_ready(void *arg)
{
    (void)arg;
    return !rig.node->loading;
}

static inline void rig_begin(void)
{
    memset(&rig, 0, sizeof(rig));
    rig.sim = sim_new(5);
    rig.us = sim_node_new(rig.sim, "primary");
    rig.them = sim_node_new(rig.sim, "outside");
    trace_init(&rig.trace, rig.sim);
    struct config config;
    config_init(&config);
    config.repl_timeout_us = RIG_TIMEOUT;
    config.repl_diskless_sync_delay_s = 0;
    config.repl_ping_replica_period_s = 1000;
    config.save_count = 0;
    config.protected_mode = false;
    rig.node = node_new(sim_loop(rig.us), sim_network(rig.us), &config, command_families, 9);
    rig.node->log = (struct log){LOG_DEBUG, rig_log, NULL};
    struct error error = ERROR_OK;
    cr_assert(node_start(rig.node, &error), "%s", error.text);
    cr_assert(sim_run_while_not(rig.sim, rig_ready, NULL, 5000000));
    static const struct peer_step none[] = {DO_END};
    rig.client = peer_connect(rig.them, "primary", 6379, none);
    sim_run_for(rig.sim, 1000);
}

static inline void rig_end(void)
{
    peer_free(rig.client);
    if (rig.a != NULL) peer_free(rig.a);
    if (rig.b != NULL) peer_free(rig.b);
    node_free(rig.node);
    trace_free(&rig.trace);
    sim_free(rig.sim);
}

// A client's inline command and what it is answered.
static inline void rig_do(const char *command, const char *answer)
{
    peer_send_text(rig.client, command);
    peer_send_text(rig.client, "\r\n");
    cr_assert(peer_expect(rig.client, answer, 5000000), "%s: %s", command, rig.client->why);
}

// `count` keys with values of a megabyte.
static inline void rig_fill(int count)
{
    enum { MEGABYTE = 1 << 20 };
    char *value = mem_alloc(MEGABYTE);
    for (size_t i = 0; i < MEGABYTE; i++)
        value[i] = (char)(rng_next(sim_rng(rig.sim)) | 1); // not to be compressed
    for (int i = 0; i < count; i++) {
        char head[64];
        snprintf(head, sizeof(head), "*3\r\n$3\r\nSET\r\n$3\r\nb%02d\r\n$%d\r\n", i, MEGABYTE);
        peer_send_text(rig.client, head);
        peer_send(rig.client, bytes_of(value, MEGABYTE));
        peer_send_text(rig.client, "\r\n");
        cr_assert(peer_expect(rig.client, "+OK\r\n", 20000000));
    }
    mem_free(value);
}

static const struct peer_step rig_handshake[] = {
    DO_SEND("REPLCONF listening-port 7001 capa eof capa psync2\r\n"),
    DO_EXPECT("+OK\r\n"),
    DO_SEND("PSYNC ? -1\r\n"),
    DO_END,
};

static inline struct peer *rig_replica(void)
{
    return peer_connect(rig.them, "primary", 6379, rig_handshake);
}

static inline int rig_links(void)
{
    return rig.node->repl->primary.link_count;
}

static inline struct replica_link *rig_link(int index)
{
    list_each(at, &rig.node->repl->primary.links) if (index-- == 0) return list_entry(
        at, struct replica_link, link);
    return NULL;
}

struct rig_wish {
    int state;
};

static inline bool rig_in_state(void *arg)
{
    return rig_links() > 0 && rig_link(0)->machine.state == ((struct rig_wish *)arg)->state;
}

static inline void rig_run_to(int state)
{
    struct rig_wish wish = {state};
    cr_assert(sim_run_while_not(rig.sim, rig_in_state, &wish, 20000000), "never in state %d:\n%s",
              state, trace_text(&rig.trace));
}

// What connections made from now on get through towards the replicas; 0: all at once, any number.
static inline void rig_wire(uint32_t bytes_per_s, uint32_t window_bytes)
{
    struct sim_wire wire = {.bytes_per_s = bytes_per_s, .window_bytes = window_bytes};
    sim_set_link(rig.sim, "primary", "outside", 0, &wire);
}

// The first replica, on such a wire, in the middle of its full sync.
static inline void rig_slow_sync(uint32_t bytes_per_s, uint32_t window_bytes)
{
    rig_wire(bytes_per_s, window_bytes);
    rig.a = rig_replica();
    rig_run_to(LINK_SEND);
}

// It is there until exactly `at_us`, and then dropped.
static inline void rig_dropped_at(uint64_t at_us, const char *words)
{
    sim_run_until(rig.sim, at_us - 1);
    cr_assert_eq(rig_links(), 1, "dropped early:\n%s", trace_text(&rig.trace));
    sim_run_until(rig.sim, at_us);
    cr_assert_eq(rig_links(), 0, "still there:\n%s", trace_text(&rig.trace));
    cr_assert(trace_has(&rig.trace, words), "%s", trace_text(&rig.trace));
    sim_run_for(rig.sim, 2000000);
    cr_assert_null(rig.node->store.snapshot);
    rig_do("PING", "+PONG\r\n");
}

// Takes the "+FULLRESYNC ..." and "$EOF:<mark>" lines, the RDB and the mark after it. Returns the
// RDB's length, or fails the test.
static inline size_t rig_take_snapshot(struct peer *p, char id[41])
{
    cr_assert(peer_await(p, 100, 20000000), "%s\n%s", p->why, trace_text(&rig.trace));
    struct bytes in = peer_input(p);
    while (in.len > 0 && in.data[0] == '\n')
        peer_consume(p, 1), in = peer_input(p);
    cr_assert(strncmp(in.data, "+FULLRESYNC ", 12) == 0, "%.60s", in.data);
    memcpy(id, in.data + 12, 40);
    id[40] = '\0';
    const char *header = memchr(in.data, '$', in.len);
    cr_assert(header != NULL && strncmp(header, "$EOF:", 5) == 0);
    char mark[40];
    memcpy(mark, header + 5, 40);
    peer_consume(p, (size_t)(header - in.data) + 47);
    for (int rounds = 0; rounds < 20000; rounds++) {
        in = peer_input(p);
        const char *end = in.len >= 40 ? memmem(in.data, in.len, mark, 40) : NULL;
        if (end != NULL) {
            size_t len = (size_t)(end - in.data);
            cr_assert(strncmp(in.data, "REDIS", 5) == 0);
            peer_consume(p, len + 40);
            return len;
        }
        sim_run_for(rig.sim, 1000);
    }
    cr_assert_fail("no mark:\n%s", trace_text(&rig.trace));
    return 0;
}

#endif
