// A machine: everything that talks to a peer is one. Its states are rows of a const table; only
// machine_enter changes a state. Handlers receive events and return the next state.
//
// Deadlines belong to states. The row names the kind, the host says how long each kind is:
//
//   connect   from entering the state: resolve, TCP and TLS together
//   reply     from the moment our request is fully written (until then: progress, same length)
//             until the state is left; bytes that arrive don't extend it
//   silence   since entering, or since the last byte received; stands still while we pause reading
//   progress  since entering, or since the peer last took bytes
//   session   from the instant the machine began: total
//   backoff   from entering the state
//   none      the state has no deadline (its top comment says why it needs none)
#ifndef WHERRY_LOOP_MACHINE_H
#define WHERRY_LOOP_MACHINE_H

#include "loop/loop.h"

enum deadline_kind {
    DEADLINE_NONE,
    DEADLINE_CONNECT,
    DEADLINE_REPLY,
    DEADLINE_SILENCE,
    DEADLINE_PROGRESS,
    DEADLINE_SESSION,
    DEADLINE_BACKOFF,
};
const char *deadline_kind_name(enum deadline_kind kind);

enum machine_event_type {
    EVENT_ENTER,     // the state was just entered (write the request here)
    EVENT_OPENED,    // conn: connected
    EVENT_BYTES,     // conn: input
    EVENT_DRAINED,   // conn: output taken; all of it when left is 0
    EVENT_CLOSED,    // conn: over, why
    EVENT_TIMEOUT,   // the state's deadline
    EVENT_CANCELLED, // the owner gave up
    EVENT_HOST,      // something of the machine's own: `code` says what
};

struct machine_event {
    enum machine_event_type type;
    struct bytes input;      // BYTES
    size_t taken, left;      // DRAINED
    const struct error *why; // CLOSED
    int code;                // HOST
};

struct machine;

struct machine_state {
    const char *name;
    enum deadline_kind deadline;
    // Returns the next state; the current one to stay. Never frees the machine.
    int (*handle)(struct machine *m, const struct machine_event *event);
    uint64_t next;                         // bit per legal next state: TO(A) | TO(B)
    bool (*skip)(const struct machine *m); // optional step: true skips it, unentered...
    int skip_to;                           // ...to this state (no bit in `next` is needed)
};
#define TO(state) (1ull << (state))

struct machine_type {
    const char *name; // "replica", "migrate", ...
    const struct machine_state *states;
    int count;
    // Entering it ends the machine: deadlines off, EVENT_ENTER if its row has a handler, `ended`.
    int final;
    // How long a kind is for this machine now, microseconds; 0: no deadline.
    uint64_t (*duration_us)(const struct machine *m, enum deadline_kind kind);
    // The final state was entered. The last thing called; it may free the machine.
    void (*ended)(struct machine *m);
    // Optional: told of every change (INFO, tests' traces); at the start `from` equals `to`.
    void (*changed)(struct machine *m, int from, int to);
};

struct machine {
    const struct machine_type *type;
    struct loop *loop;
    struct log *log;
    const char *peer; // for the log: who is at the other end; may be NULL
    int state;
    uint64_t began_us, entered_us;
    struct deadline deadline;
    bool writing; // our output is not fully taken (a reply deadline runs as progress)
    bool paused;  // we hold the peer back (a silence deadline stands still)
    bool dispatching;
    uint64_t paused_left_us;
};

// Starts in `state` and delivers EVENT_ENTER. `m` is zero-initialised but for `peer`. False when
// the machine has ended already (see machine_dispatch).
bool machine_start(struct machine *m, const struct machine_type *type, struct loop *loop,
                   struct log *log, int state);
// The only way in for events. Returns when the machine has settled in a state; after the final
// state it has been handed to `ended`, so the caller must not touch it: false then.
bool machine_dispatch(struct machine *m, const struct machine_event *event);
// Takes a machine that never reached its final state out of the loop, before its memory goes.
void machine_stop(struct machine *m);
// The machine's owner paused or resumed reading from the peer.
void machine_pause(struct machine *m);
void machine_resume(struct machine *m);
// Call when output was queued, so that a reply deadline waits for it to be taken.
void machine_wrote(struct machine *m);

static inline const char *machine_state_name(const struct machine *m)
{
    return m->type->states[m->state].name;
}
// Microseconds until the deadline of the current state; UINT64_MAX when it has none.
uint64_t machine_left_us(const struct machine *m);

#endif
