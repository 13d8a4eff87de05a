// The simulated world: any number of nodes, each with a loop, a network and files of its own, under
// one virtual clock and one seed. The same calls in the same order give the same run, to the
// microsecond; nothing here reads a clock, opens a socket or sleeps.
//
// Time stands still while code runs, and jumps to the next event. The exception are jobs: what a
// step used of its budget (50 ns a unit) passes before the node's next step.
//
// Nodes are addressed by their host, any string ("10.0.0.1", "primary"), or an alias. "127.0.0.1",
// "::1" and "localhost" mean the node itself, or else whichever node listens on that port.
#ifndef WHERRY_TESTS_SIM_H
#define WHERRY_TESTS_SIM_H

#include "base/rng.h"
#include "conn/conn.h"
#include "loop/loop.h"

struct sim;
struct sim_node;

// ---- the world ------------------------------------------------------------------------------

struct sim *sim_new(uint64_t seed);
// Conns that are still there are closed first, with ERROR_CANCELLED: owners outlive the world, or
// close before and let it run.
void sim_free(struct sim *sim);
uint64_t sim_now_us(const struct sim *sim); // begins at SIM_BEGIN_US
enum { SIM_BEGIN_US = 1000000000 };
struct rng *sim_rng(struct sim *sim);
void sim_set_log(struct sim *sim, struct log *log); // crashes and partitions, at debug level

// Runs the next event; false when there is none.
bool sim_step(struct sim *sim);
// Runs everything up to and including the instant; the clock then stands at it.
void sim_run_until(struct sim *sim, uint64_t at_us);
void sim_run_for(struct sim *sim, uint64_t us);
// Runs until `done` is true, at most `limit_us`; returns done's last word.
bool sim_run_while_not(struct sim *sim, bool (*done)(void *arg), void *arg, uint64_t limit_us);

// ---- nodes ----------------------------------------------------------------------------------

struct sim_node *sim_node_new(struct sim *sim, const char *host);
struct loop *sim_loop(struct sim_node *node);
struct network *sim_network(struct sim_node *node);
const char *sim_host(const struct sim_node *node);
void sim_alias(struct sim_node *node, const char *name); // also answers to this name
void sim_set_skew(struct sim_node *node, int64_t us);    // its Unix time runs ahead by this
// How long a piece of work takes on the other threads: so much, drawn from the seed. 100 us always
// unless told. It is worked on at an instant of its own in between, while the loop goes on.
void sim_set_work(struct sim *sim, uint64_t min_us, uint64_t max_us);
// Units a job's step may use (5000, a slice of 250 us, unless told).
void sim_set_slice(struct sim_node *node, uint32_t units);

// Calls `settled` after each turn of the node's loop, when its owners have come to rest: for those
// who check what must always hold. NULL: nobody.
void sim_watch(struct sim_node *node, void (*settled)(void *arg), void *arg);

// The node dies as it stands. Its peers see resets (a process that ends), or nothing at all any
// more with `power_loss`, where its files also lose what was not synced. Whatever the test holds of
// it can then be torn down by the usual calls: conns give `closed`, writes go nowhere, files answer
// -EIO. sim_restart makes the node usable again, with its files.
void sim_crash(struct sim_node *node, bool power_loss);
void sim_restart(struct sim_node *node);

// ---- wires ----------------------------------------------------------------------------------

// One direction of a connection. All zero is a perfect wire without delay.
struct sim_wire {
    uint64_t delay_us, jitter_us; // jitter: up to so much more, order kept
    size_t fragment_bytes;        // most bytes in one `bytes` event; 0: 64 KiB
    bool fragment_random;         // 1..fragment_bytes instead
    size_t window_bytes;          // taken from the writer before the reader read; 0: 256 KiB
    uint64_t bytes_per_s;         // 0: no limit
    // Faults: at an instant or after so many bytes in this direction; 0: never.
    uint64_t stall_at_us, stall_after_bytes; // no more is delivered: the window fills
    uint64_t drop_at_us, drop_after_bytes;   // taken, and lost without a word
    uint64_t cut_at_us, cut_after_bytes;     // both ends see a reset
    enum sim_connect { SIM_CONNECT, SIM_REFUSE, SIM_BLACK_HOLE } connect;
};

// The wires of conns that will be made: default, and by ends (NULL: any; port 0: any; the latest
// that fits counts). from/to are hosts; `port` is the listener's in both directions.
void sim_set_wire(struct sim *sim, const struct sim_wire *wire);
void sim_set_link(struct sim *sim, const char *from, const char *to, int port,
                  const struct sim_wire *wire);
// The wires of a conn that exists (not a tls one: what is below it), as they are now: what it
// sends, what it receives. Change a copy and set it.
const struct sim_wire *sim_wire_out(const struct conn *c);
const struct sim_wire *sim_wire_in(const struct conn *c);
void sim_set_wire_out(struct conn *c, const struct sim_wire *wire);
void sim_set_wire_in(struct conn *c, const struct sim_wire *wire);
void sim_cut(struct conn *c); // a reset, now
// The conn that was last connected from, or accepted by, a node; NULL when it is gone.
struct conn *sim_last_conn(struct sim_node *node);
bool sim_gathers(const struct conn *c); // conn_nodelay was called with false

// Nothing passes from a to b (nor back, with `both`) until it is healed; what was under way arrives
// then, as TCP would repeat it. Connecting meanwhile waits for an answer that doesn't come.
void sim_partition(struct sim *sim, const char *a, const char *b, bool both);
void sim_heal(struct sim *sim, const char *a, const char *b, bool both);
void sim_heal_all(struct sim *sim);

// Bytes that passed (were delivered) in one direction so far.
uint64_t sim_delivered_out(const struct conn *c);
uint64_t sim_delivered_in(const struct conn *c);

// ---- files ----------------------------------------------------------------------------------

// loop_file works on files in memory, one flat set of paths per node. Creating, renaming and
// unlinking last at once; data lasts when it was synced. Folders exist by themselves.
void sim_file_put(struct sim_node *node, const char *path, struct bytes data); // synced
bool sim_file_get(struct sim_node *node, const char *path, struct bytes *data);
// How long operations take: reading and writing; syncing. 100 us and 1000 us unless told.
void sim_set_disk(struct sim_node *node, uint64_t io_us, uint64_t sync_us);
// The next `count` operations of this kind on paths that contain `part` fail with `error` (ENOSPC).
void sim_file_fail(struct sim_node *node, enum file_op op, const char *part, int error, int count);

#endif
