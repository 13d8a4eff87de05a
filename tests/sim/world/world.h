// A world of whole nodes and their clients, under one virtual clock and one seed: what the programs
// of tests/sim build their scenarios from. Nodes are wherry nodes with all commands; faults are the
// wires' and the machines'; what must always hold is checked from the outside, by looking into the
// nodes while none of them is running.
#ifndef WHERRY_TESTS_WORLD_H
#define WHERRY_TESTS_WORLD_H

#include "node/node.h"
#include "sim/lib/sim.h"

#include <setjmp.h>

enum { WORLD_MEMBERS_MAX = 8, WORLD_PORT = 6379, WORLD_RING_LINES = 400, WORLD_LINE_BYTES = 320 };

struct world;

// A node by name. It keeps its disk while it is down.
struct member {
    struct world *world;
    struct log log;
    char host[16];
    struct sim_node *at;
    struct node *node; // NULL: down
    int index;
    int starts, crashes;
    uint64_t past_full_syncs; // that it gave before it ended
    int follows;              // index of the member that it is told to follow; -1: nobody
    uint64_t restart_at_us;
    void *own; // the program's
};

struct world_options {
    uint64_t seed;
    bool trace;   // keep the last lines
    bool verbose; // write all of them out
    int tail;     // how many are shown after a failure
};

struct world {
    struct sim *sim;
    struct world_options options;
    struct rng rng; // of the world's own decisions
    struct log log;
    bool tls;
    bool watched; // machines are checked after every turn of every loop, not just now and then
    struct member members[WORLD_MEMBERS_MAX];
    int member_count;
    struct list clients; // of struct client_link
    struct list timers;  // of struct world_timer
    // By which the program sets a node's directives before it starts.
    void (*configure)(struct member *m, struct config *config);
    void *own; // the program's

    char (*ring)[WORLD_LINE_BYTES];
    uint64_t lines;
    char why[1024];
    jmp_buf *out; // where a failure goes
};

void world_begin(struct world *w, const struct world_options *options, jmp_buf *out);
void world_end(struct world *w);
// Something that must never be was seen: says so and leaves the world as it is.
_Noreturn void world_fail(struct world *w, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void world_note(struct world *w, const char *format, ...) __attribute__((format(printf, 2, 3)));
void world_show(const struct world *w); // the last lines

static inline uint64_t pick(struct world *w, uint64_t bound)
{
    return rng_below(&w->rng, bound);
}
static inline bool chance(struct world *w, uint32_t percent)
{
    return rng_below(&w->rng, 100) < percent;
}
// low..high, small ones as likely as large ones.
uint64_t pick_spread(struct world *w, uint64_t low, uint64_t high);

// ---- members ----------------------------------------------------------------------------------

struct member *member_add(struct world *w, const char *host);
void member_start(struct member *m);
// Ends the process as exit(2) does: nothing is saved, conns are closed in order.
void member_stop(struct member *m);
void member_crash(struct member *m, bool power_loss);
// A SHUTDOWN that has come to its end, or a node that gave up: frees what is left of it.
void member_reap(struct member *m);
static inline bool member_up(const struct member *m)
{
    return m->node != NULL;
}
static inline bool member_ready(const struct member *m)
{
    return m->node != NULL && !m->node->loading;
}

// ---- time -------------------------------------------------------------------------------------

// Something that happens to the world, outside of every node: crashes, faults, checks.
struct world_timer {
    struct deadline at;
    struct list link;
    struct world *world;
    void (*fire)(struct world_timer *t);
    void *own;
};
void world_after(struct world *w, struct world_timer *t, uint64_t us,
                 void (*fire)(struct world_timer *t));
void world_end_timers(struct world *w); // none fires any more
void world_run(struct world *w, uint64_t us);

// ---- looking at data --------------------------------------------------------------------------

enum { DIGEST_TTL = 1 };
// Of one value; equal for equal data in whatever encoding. DIGEST_TTL: its time to live counts.
uint64_t entry_digest(const struct entry *e, int flags);
// Full syncs that it has given, all its lives together.
uint64_t member_full_syncs(const struct member *m);
// Of all keys of all databases, but for those under which a RESTORE is being told to replicas.
uint64_t node_digest(const struct node *n);
uint64_t node_key_count(const struct node *n);
uint64_t node_lasting_keys(const struct node *n); // without those
bool is_temporary_key(struct bytes key);
// Writes down what a value holds, as far as a line goes.
void world_note_value(struct world *w, const char *whose, const struct entry *e);
// Writes down how two nodes differ, a few keys of it.
void world_note_difference(struct world *w, const struct member *a, const struct member *b);
// Appends the payload that DUMP gives.
void entry_dump(const struct entry *e, bool compress, struct buf *out);
// The entry of a key in whichever database it is; *db tells.
struct entry *node_find(const struct node *n, struct bytes key, int *db);

// ---- what must always hold --------------------------------------------------------------------

// No machine has outlived its deadline; nothing has more in flight than its window.
void world_check_machines(struct world *w);
void world_check_member(void *member); // the same of one
// Nodes of one history at one offset have the same data.
void world_check_offsets(struct world *w);
// Nobody is parked, suspended or holds anything; for the end, once all is quiet.
void world_check_quiet(struct world *w);

#endif
