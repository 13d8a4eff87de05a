// A replica machine with a host of the test's own: a real keyspace and stream, the simulated wire
// to a scripted primary, and notes of what the machine asked for.
#ifndef WHERRY_TESTS_REPLICA_RIG_H
#define WHERRY_TESTS_REPLICA_RIG_H

#include "repl/replica.h"
#include "sim/lib/peer.h"
#include "value/string.h"

#include <criterion/criterion.h>
#include <stdio.h>

#define RIG_ID      "0123456789abcdef0123456789abcdef01234567"
#define RIG_OTHER   "89abcdef0123456789abcdef0123456789abcdef"
#define RIG_MARK    "fedcba9876543210fedcba9876543210fedcba98"
#define RIG_TIMEOUT 10000000

// Steps of a primary that is greeted, up to what is asked of it in PSYNC's place.
#define RIG_GREETED                                                                                \
    DO_EXPECT_PAST("PING\r\n"), DO_SEND("+PONG\r\n"), DO_EXPECT_PAST("7000\r\n"),                  \
        DO_SEND("+OK\r\n"), DO_EXPECT_PAST("psync2\r\n"), DO_SEND("+OK\r\n")

struct rig {
    struct sim *sim;
    struct sim_node *us, *them;
    struct peer *peer;
    struct trace trace;
    struct value_limits limits;
    struct store store;
    struct keyspace *aside;
    struct rng rng;
    struct repl_stream stream;
    struct replica replica;
    struct replica_settings settings;
    uint32_t key_delay_us;
    // what the machine did
    int loads, received, adopted, aborted, begun, ended, histories, answers;
    bool accepted;   // the last answer to FAILOVER
    bool wait_adopt; // adopt says "later"
    bool stuck, bad; // apply: keeps all, or finds nonsense
    int db;          // of the last stream_begin
    uint64_t applied;
    struct buf seen; // of the stream
};

static struct rig rig;

static void rig_settings(void *owner, struct replica_settings *out)
{
    (void)owner;
    *out = rig.settings;
}

static struct loader *rig_load_begin(void *owner, const char *id,
                                     const struct loader_events *events, void *loader_owner)
{
    (void)owner, (void)id;
    struct loader_options options = {.checksum = true, .key_delay_us = rig.key_delay_us};
    rig.loads++;
    rig.aside = keyspace_new(16, 1);
    return loader_new(&rig.store, rig.aside, &options, events, loader_owner);
}

static void rig_load_received(void *owner)
{
    (void)owner;
    rig.received++;
}

static void rig_put_in_service(void)
{
    rig.adopted++;
    store_adopt(&rig.store, rig.aside);
    rig.aside = NULL;
}

static bool rig_adopt(void *owner, const struct loader_stats *stats)
{
    (void)owner, (void)stats;
    if (!rig.wait_adopt) rig_put_in_service();
    return !rig.wait_adopt;
}

static void rig_load_abort(void *owner)
{
    (void)owner;
    rig.aborted++;
    if (rig.aside != NULL) keyspace_discard(&rig.store, rig.aside);
    rig.aside = NULL;
}

static void rig_stream_begin(void *owner, int db)
{
    (void)owner;
    rig.begun++;
    rig.db = db;
    rig.applied = 0;
}

static bool rig_apply(void *owner, struct bytes data)
{
    (void)owner;
    if (rig.bad) return false;
    buf_append_bytes(&rig.seen, data);
    if (rig.stuck) return true;
    rig.applied += data.len;
    replica_applied(&rig.replica, rig.applied, 3);
    return true;
}

static bool rig_is_stuck(void *owner)
{
    (void)owner;
    return rig.stuck;
}

static void rig_stream_end(void *owner)
{
    (void)owner;
    rig.ended++;
}

static void rig_history(void *owner)
{
    (void)owner;
    rig.histories++;
}

static void rig_link_changed(void *owner)
{
    (void)owner;
}

static void rig_answer(void *owner, bool accepted)
{
    (void)owner;
    rig.answers++;
    rig.accepted = accepted;
}

static const struct replica_host rig_host = {
    rig_settings,   rig_load_begin,   rig_load_received, rig_adopt,
    rig_load_abort, rig_stream_begin, rig_apply,         rig_is_stuck,
    rig_stream_end, rig_history,      rig_link_changed,  rig_answer,
};

// Our data before any sync: one key.
static inline void rig_begin(void)
{
    memset(&rig, 0, sizeof(rig));
    rig.sim = sim_new(11);
    rig.us = sim_node_new(rig.sim, "replica");
    rig.them = sim_node_new(rig.sim, "primary");
    trace_init(&rig.trace, rig.sim);
    value_limits_default(&rig.limits);
    store_init(&rig.store, sim_loop(rig.us), NULL, &rig.limits, 16, 1);
    struct value old;
    string_init(&old, BYTES("data"));
    db_add(&rig.store, store_db(&rig.store, 0), BYTES("old"), &old);
    rng_seed(&rig.rng, 3);
    repl_stream_init(&rig.stream, &rig.rng, 1 << 20);
    rig.settings = (struct replica_settings){
        .host = "primary", .port = 6379, .listening_port = 7000, .timeout_us = RIG_TIMEOUT};
    replica_init(&rig.replica, sim_loop(rig.us), trace_log(&rig.trace), sim_network(rig.us),
                 &rig.stream, &rig_host, &rig);
}

static inline void rig_end(void)
{
    replica_free(&rig.replica);
    peer_free(rig.peer);
    repl_stream_free(&rig.stream);
    store_free(&rig.store);
    buf_free(&rig.seen);
    trace_free(&rig.trace);
    sim_free(rig.sim);
}

static inline void rig_follow(const struct peer_step *steps)
{
    rig.peer = peer_listen(rig.them, 6379, steps);
    replica_follow(&rig.replica);
}

static inline bool rig_has_key(const char *key)
{
    return db_find(store_db(&rig.store, 0), bytes_from_cstr(key)) != NULL;
}

// Nothing of an attempt has stayed: the data is the old data, and nothing is under way.
static inline void rig_old_state_stands(void)
{
    cr_assert(rig_has_key("old"));
    cr_assert(!rig_has_key("new"));
    cr_assert_eq(keyspace_keys(rig.store.live), 1u);
    cr_assert_null(rig.aside);
    cr_assert_eq(rig.adopted, 0);
    cr_assert_eq(rig.loads, rig.aborted);
}

static inline bool rig_state_is(void *state)
{
    return (int)rig.replica.machine.state == *(int *)state;
}

// Runs until the machine is in this state; fails the test when it doesn't get there.
static inline void rig_run_to(int state, uint64_t limit_us)
{
    cr_assert(sim_run_while_not(rig.sim, rig_state_is, &state, limit_us), "never in state %d:\n%s",
              state, trace_text(&rig.trace));
}

// It stays in `state` until exactly `at_us`, and then gives up.
static inline void rig_gives_up_at(int state, uint64_t at_us)
{
    sim_run_until(rig.sim, at_us - 1);
    cr_assert_eq((int)rig.replica.machine.state, state, "left early:\n%s", trace_text(&rig.trace));
    sim_run_until(rig.sim, at_us);
    cr_assert_eq((int)rig.replica.machine.state, REPLICA_BACKOFF, "still there:\n%s",
                 trace_text(&rig.trace));
}

#endif
