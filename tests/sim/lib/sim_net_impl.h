// Between the files of the simulated network: flows (sim_net.c), the conn over them (sim_conn.c),
// and rules and partitions (sim_rules.c).
#ifndef WHERRY_TESTS_SIM_NET_IMPL_H
#define WHERRY_TESTS_SIM_NET_IMPL_H

#include "sim/lib/sim_impl.h"

enum {
    SIM_WINDOW_BYTES = 256 * 1024,
    SIM_SEGMENT_BYTES = 16 * 1024,
    SIM_READ_BYTES = 64 * 1024,
    SIM_REDIAL_US = 1000000
};

struct arrival {
    struct list link;
    size_t len;
    uint64_t at_us;
};

// One direction:
//
//   from->out     not taken yet; `queued` to its owner
//   pipe          taken and not delivered, at most a window; `arrivals` say which bytes come when
struct flow {
    struct sim *sim;
    struct connection *connection;
    struct sim_conn *from, *to; // NULL: that end has gone
    const char *from_host, *to_host;
    struct sim_wire wire;
    struct chain pipe;
    struct list arrivals;
    uint64_t taken, delivered; // bytes
    uint64_t busy_until_us, last_arrival_us, taken_at_us;
    bool fin; // the writer closed, and that arrives at fin_at_us
    uint64_t fin_at_us;
    bool dead; // a host lost its power: nothing passes any more
    struct deadline next;
};

struct connection {
    struct list link; // on sim->wires or sim->graves
    struct flow flow[2];
    struct deadline cut;
};

enum sim_phase { SIM_DIALING, SIM_STARTING, SIM_OPEN, SIM_FLUSHING, SIM_OVER };

struct sim_conn {
    struct conn base; // first
    struct sim_node *node;
    enum sim_phase phase;
    struct list link; // on node->conns
    struct flow *sends, *receives;
    struct chain out;
    bool gathers; // conn_nodelay
    size_t taken; // and not yet told in `drained`
    struct deadline notify, reset;
    struct deadline dial;      // the next thing that happens to a dialing conn
    struct deadline flush;     // of the loop
    struct task task;          // sends `opened`, and `closed`
    char host[SIM_HOST_BYTES]; // dialed
    int port, own_port;
    char peer[SIM_HOST_BYTES + 8], local[SIM_HOST_BYTES + 8];
    struct error why;
};

struct listener {
    struct list link; // on node->listeners
    struct sim_node *node;
    char path[SIM_HOST_BYTES]; // of a unix socket
    int port;
    bool tls;
    uint64_t handshake_timeout_us;
    void (*accepted)(void *owner, struct conn *c);
    void *owner;
};

// sim_net.c
void sim_flow_pump(struct flow *f);
void sim_flow_plan(struct flow *f);
void sim_flow_on_next(struct deadline *event);
void sim_conn_on_notify(struct deadline *event);
void sim_connection_make(struct sim_conn *client, struct sim_conn *server, int port);
void sim_connection_reset(struct connection *k);
void sim_connection_leave(struct sim_conn *c);
void sim_connection_plan_cut(struct connection *k);

// sim_conn.c
void sim_conn_end(struct sim_conn *c, const struct error *why);
void sim_conn_expect_reset(struct sim_conn *c, const struct flow *f);
struct sim_conn *sim_conn_of(const struct conn *c);

// sim_rules.c
const struct sim_wire *sim_wire_between(struct sim *sim, const char *from, const char *to,
                                        int port);

#endif
