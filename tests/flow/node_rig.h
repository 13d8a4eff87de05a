// One whole node, "n", in the simulated world, and CLIENTS clients of it that speak inline
// commands. Whoever includes this says how many: enum { CLIENTS = 3 }.
#ifndef WHERRY_TESTS_NODE_RIG_H
#define WHERRY_TESTS_NODE_RIG_H

#include "command/table.h"
#include "node/ctx_impl.h"
#include "sim/lib/peer.h"

#include <criterion/criterion.h>
#include <stdio.h>

static struct sim *sim;
static struct sim_node *outside;
static struct node *node;
static struct peer *client[CLIENTS];

// A client of its own, to be freed by whoever asks for it.
static inline struct peer *node_rig_connect(void)
{
    static const struct peer_step none[] = {DO_END};
    struct peer *p = peer_connect(outside, "n", 6379, none);
    sim_run_for(sim, 1000);
    return p;
}

static inline void node_rig_config(struct config *config)
{
    config_init(config);
    config->save_count = 0;
    config->protected_mode = false;
}

// The world and a node that has yet to be started. The configuration becomes the node's.
static inline void node_rig_new(struct config *config)
{
    sim = sim_new(7);
    struct sim_node *at = sim_node_new(sim, "n");
    outside = sim_node_new(sim, "outside");
    struct sim_wire wire = {.delay_us = 100};
    sim_set_wire(sim, &wire);
    node = node_new(sim_loop(at), sim_network(at), config, command_families, 3);
}

static inline bool node_rig_ready(void *arg)
{
    (void)arg;
    return !node->loading;
}

static inline void node_rig_start(void)
{
    struct error error = ERROR_OK;
    cr_assert(node_start(node, &error), "%s", error.text);
    cr_assert(sim_run_while_not(sim, node_rig_ready, NULL, 5000000));
    for (int i = 0; i < CLIENTS; i++)
        client[i] = node_rig_connect();
}

// A node or a client that is gone already is NULL.
static inline void node_rig_end(void)
{
    for (int i = 0; i < CLIENTS; i++)
        if (client[i] != NULL) peer_free(client[i]);
    if (node != NULL) node_free(node);
    sim_free(sim);
}

static inline void say(int i, const char *command)
{
    peer_send_text(client[i], command);
    peer_send_text(client[i], "\r\n");
}

static inline void hear(int i, const char *answer)
{
    cr_assert(peer_expect(client[i], answer, 5000000), "client %d wanted %s: %s", i, answer,
              client[i]->why);
}

static inline void run_at(struct peer *p, const char *command, const char *answer)
{
    peer_send_text(p, command);
    peer_send_text(p, "\r\n");
    cr_assert(peer_expect(p, answer, 5000000), "%s: wanted %s: %s", command, answer, p->why);
}

static inline void run(int i, const char *command, const char *answer)
{
    run_at(client[i], command, answer);
}

#endif
