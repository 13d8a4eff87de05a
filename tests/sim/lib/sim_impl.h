// Between the files of the simulated world.
#ifndef WHERRY_TESTS_SIM_IMPL_H
#define WHERRY_TESTS_SIM_IMPL_H

#include "loop/loop_impl.h"
#include "sim/lib/sim.h"

enum { SIM_HOST_BYTES = 128 };

struct sim_rule {
    struct list link;
    char from[SIM_HOST_BYTES], to[SIM_HOST_BYTES]; // "": any
    int port;
    struct sim_wire wire;
};

struct sim_partition {
    struct list link;
    char from[SIM_HOST_BYTES], to[SIM_HOST_BYTES];
};

struct sim {
    uint64_t now_us;
    struct deadline_heap events; // everything that will happen
    struct rng rng, work_rng;
    uint64_t work_min_us, work_max_us;
    struct log *log;
    struct list nodes, rules, partitions, wires, graves;
    struct sim_wire wire;
};

struct sim_alias {
    struct list link;
    char name[SIM_HOST_BYTES];
};

struct sim_node {
    struct loop loop; // first
    struct network net;
    struct sim *sim;
    struct list link, aliases;
    char host[SIM_HOST_BYTES];
    bool dead, dark; // crashed; with its power lost
    bool stopped, settling;
    void (*settled)(void *arg);
    void *settled_arg;
    int64_t skew_us;
    struct deadline turn; // runs the loop's tasks, hooks, jobs and deadlines
    uint64_t job_at_us;   // not before this does the next step of a job run
    struct list conns, listeners;
    int next_port; // for the own end of conns
    struct conn *last;

    struct list files, failures;
    int next_fd;
    struct list open_files;
    uint64_t disk_io_us, disk_sync_us;
};

static inline void sim_at(struct sim *sim, struct deadline *event, uint64_t at_us)
{
    heap_arm(&sim->events, event, at_us < sim->now_us ? sim->now_us : at_us);
}
static inline void sim_not(struct sim *sim, struct deadline *event)
{
    heap_cancel(&sim->events, event);
}
struct sim_node *sim_node_of(struct loop *loop);
struct sim_node *sim_find(struct sim *sim, const char *host);
// Around every call into a node's owners that doesn't come from its loop.
void sim_enter(struct sim_node *node);
void sim_leave(struct sim_node *node);
bool sim_parted(const struct sim *sim, const char *from, const char *to);

// sim_net.c
void sim_net_init(struct sim_node *node);
void sim_net_free(struct sim_node *node); // ends its conns
void sim_net_crash(struct sim_node *node, bool power_loss);
void sim_net_healed(struct sim *sim);
void sim_bury(struct sim *sim); // wires that nobody holds any more

// sim_fs.c
void sim_fs_init(struct sim_node *node);
void sim_fs_free(struct sim_node *node);
void sim_fs_crash(struct sim_node *node, bool power_loss);
void sim_fs_file(struct loop *loop, struct file_req *req);

#endif
