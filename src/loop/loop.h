// The event loop: one clock, one heap of deadlines, jobs in slices, work on other threads, files
// and names without waiting. Two backends stand behind this interface: libuv (loop_uv.h) and the
// simulated one (tests/sim/lib/sim.h), where the clock is virtual and one seed decides everything.
//
// A loop belongs to one thread. Everything here is called on it, but for loop_post.
// Nothing calls back before the function that asked has returned.
#ifndef WHERRY_LOOP_LOOP_H
#define WHERRY_LOOP_LOOP_H

#include "base/bytes.h"
#include "base/error.h"
#include "base/list.h"
#include "base/log.h"

struct loop;

// ---- the clock ------------------------------------------------------------------------------

// Monotonic, microseconds; read once per dispatch, so that all of one event sees one instant.
uint64_t loop_now_us(const struct loop *loop);
// The same clock read now: to measure how long a command took. Machines don't use it.
uint64_t loop_clock_us(const struct loop *loop);
// Unix time in milliseconds, for expiry and people. Simulated too.
int64_t loop_unix_ms(const struct loop *loop);
int64_t loop_unix_us(const struct loop *loop);

// ---- deadlines ------------------------------------------------------------------------------

// Fires once at `at_us`, unless cancelled or moved before. Ties fire in the order of arming.
// Embedded in its owner, zero-initialised; the owner cancels it before going away.
struct deadline {
    void (*fire)(struct deadline *d);
    uint64_t at_us; // valid while armed
    uint64_t seq;
    size_t index; // place in the heap plus one; 0: not armed
};

static inline bool deadline_armed(const struct deadline *d)
{
    return d->index != 0;
}
// Arms, or moves if armed. d->fire must be set.
void deadline_arm(struct loop *loop, struct deadline *d, uint64_t at_us);
void deadline_cancel(struct loop *loop, struct deadline *d); // fine if not armed

// ---- jobs -----------------------------------------------------------------------------------

// What one step may use. The step does a little, calls budget_left, and returns when it is false.
// In the libuv backend that is a clock (read every few microseconds); in the simulated one a count.
struct budget {
    struct loop *loop;
    uint64_t until_us;   // 0: count only
    uint32_t units;      // how many more units until the clock is looked at
    uint32_t look_units; // from the last look to the next
    uint64_t looked_us;  // the last look
};

// Counts `units` of work done (one unit is about 50 ns: an element copied, 64 bytes hashed).
bool budget_left(struct budget *b, uint32_t units);
// A slice's worth from now on, for bounded work that is no job (the first piece of one, say).
struct budget budget_begin(struct loop *loop);

enum job_state {
    JOB_MORE, // call again
    JOB_IDLE, // nothing to do until job_start is called again
    JOB_DONE, // finished: off the list; `step` may have freed the job before it returned this
};

// Long work in bounded pieces. The loop runs ready jobs between I/O, in turn, each for at most
// LOOP_JOB_SLICE_US, all of them for at most LOOP_JOB_TURN_US an iteration, and in a long iteration
// a slice every LOOP_JOB_GAP_US between dispatches.
enum { LOOP_JOB_SLICE_US = 250, LOOP_JOB_TURN_US = 500, LOOP_JOB_GAP_US = 500 };

struct job {
    struct list link; // list_init before first use (job_init)
    enum job_state (*step)(struct job *job, struct budget *budget);
    const char *name; // shown in INFO when it held the loop for long
};

void job_init(struct job *job, const char *name,
              enum job_state (*step)(struct job *, struct budget *));
void job_start(struct loop *loop, struct job *job); // fine if it runs already
void job_stop(struct loop *loop, struct job *job);  // fine if it does not run

// What is running has had the loop for LOOP_TURN_US: whoever has more of the same to do leaves it
// to a task, so that deadlines and others come in between. Ask once per piece of a few
// microseconds; where nothing measures, every LOOP_TURN_ASKS-th time says so.
bool loop_turn_over(struct loop *loop);
enum { LOOP_TURN_US = 250, LOOP_TURN_ASKS = 16 };

// ---- soon, and from other threads -----------------------------------------------------------

// Runs `run` once, after what is running now has returned and before the loop waits again.
struct task {
    struct list link;
    void (*run)(struct task *task);
};
void task_init(struct task *task, void (*run)(struct task *));
void loop_defer(struct loop *loop, struct task *task); // fine if deferred already
void task_cancel(struct task *task);                   // fine if not deferred

// The same, from any thread; the loop wakes up.
void loop_post(struct loop *loop, struct task *task);

// Called each time before the loop waits for events (flush what was gathered). The hook that came
// last runs first: what owners gather goes to the network, whose own hook then runs after theirs.
struct before_wait {
    struct list link;
    void (*run)(struct before_wait *hook);
};
void loop_before_wait(struct loop *loop, struct before_wait *hook);
void before_wait_remove(struct before_wait *hook);

// Kinds of work for other threads. Of each kind LOOP_LANE_WIDTH pieces at most are with the workers
// at once, and the rest wait in order: so a thousand handshakes don't hold up a sync, nor a slow
// disk a handshake.
enum work_lane { WORK_ANY, WORK_FILE, WORK_TLS, WORK_LANES };
// Names are resolved on the same threads, on half of them at most. With this many threads there is
// always one for each lane's next piece.
enum { LOOP_LANE_WIDTH = 2, LOOP_WORKERS = 2 * LOOP_LANE_WIDTH * WORK_LANES };

// Runs `work` on a worker thread, then `done` on the loop. Freeing a large value, reading a file
// whole, a flight of a TLS handshake. Zero-initialised but for its functions and lane.
struct work {
    void (*work)(struct work *w);
    void (*done)(struct work *w);
    enum work_lane lane;
    struct list link; // the loop's: its place in the lane
    void *impl;       // the backend's
};
void loop_work(struct loop *loop, struct work *w);
// Takes back a piece that was given to loop_work and still waits for its turn: neither function
// will be called. False: it has begun, and `done` will come.
bool loop_work_cancel(struct loop *loop, struct work *w);

// ---- files ----------------------------------------------------------------------------------

// One operation at a time on a request; its buffers stay the caller's and valid until `done`.
enum file_op {
    FILE_OPEN,
    FILE_READ,
    FILE_WRITE,
    FILE_SYNC,
    FILE_CLOSE,
    FILE_RENAME,
    FILE_UNLINK,
    FILE_STAT,
    FILE_TRUNCATE,
    FILE_SYNC_DIR, // fsync of the folder `path`, so that a rename in it lasts
};

struct file_req {
    enum file_op op;
    const char *path, *path2; // OPEN, RENAME (from, to), UNLINK, STAT, SYNC_DIR
    int flags, mode;          // OPEN: as open(2)
    int fd;                   // in for READ..CLOSE, out for OPEN
    void *data;               // READ, WRITE
    size_t len;
    int64_t offset; // READ, WRITE; TRUNCATE: the size
    void (*done)(struct file_req *req);
    // Out: bytes moved (READ, WRITE), size (STAT), or -errno.
    int64_t result;
    void *impl;
};
void loop_file(struct loop *loop, struct file_req *req);

// ---- names ----------------------------------------------------------------------------------

// Turns a host into numeric addresses without waiting. A numeric host is answered too, still
// asynchronously. Cancelling: `cancelled` set by the owner makes the loop drop the answer and call
// `done` with count 0.
enum { RESOLVE_MAX = 8 };
struct resolve_req {
    const char *host; // the caller's, until done
    int port;
    void (*done)(struct resolve_req *req);
    bool cancelled;
    struct error error;
    int count;
    char address[RESOLVE_MAX][64]; // numeric, no port; IPv6 without brackets
    void *impl;
};
void loop_resolve(struct loop *loop, struct resolve_req *req);

// ---- running --------------------------------------------------------------------------------

void loop_run(struct loop *loop);  // until loop_stop
void loop_stop(struct loop *loop); // soon
void loop_free(struct loop *loop);

// ---- what INFO's "# Loop" shows -------------------------------------------------------------

// A hold is one dispatch (an event, a deadline, a task) or one step of a job.
struct loop_stats {
    uint64_t hold_max_us, hold_cpu_max_us; // wall clock; the thread's CPU clock
    uint64_t late_max_us;                  // how late a deadline fired
    uint64_t iterations;
    uint32_t hold_hist[64], late_hist[64]; // log-linear: see loop_stats_p999
    const char *hold_cpu_max_what;         // the job's name, or the kind of dispatch
};
const struct loop_stats *loop_stats(const struct loop *loop);
void loop_stats_reset(struct loop *loop);
uint64_t loop_hold_p999_us(const struct loop *loop);
uint64_t loop_late_p999_us(const struct loop *loop);

#endif
