// A large value that RESTORE decoded, told to replicas and the log in bounded pieces: element
// commands on a temporary key of the same slot, with an expiry so that nothing is left behind if we
// die, then one RENAME. Any Redis replica understands it, and nobody buffers the value.
#ifndef WHERRY_MIGRATE_REPLAY_H
#define WHERRY_MIGRATE_REPLAY_H

#include "loop/loop.h"
#include "value/value.h"

enum {
    REPLAY_BATCH_BYTES = 16 * 1024, // of arguments in one command, but for a single larger element
    REPLAY_BATCH_ELEMENTS = 128,
    REPLAY_EXPIRE_MS = 600 * 1000, // of the temporary key
};

struct replay;
struct replay_events {
    void (*feed)(void *owner, int argc, const struct bytes *argv);
    bool (*waits)(void *owner); // nothing may be fed now: replay_go_on will be called
    void (*done)(void *owner);
};
// Begins, as a job; `value` stays the caller's and must not change until `done`, which comes later,
// or until replay_cancel. `nonce` makes the temporary key's name unlike others.
struct replay *replay_start(struct loop *loop, struct bytes key, const struct value *value,
                            uint64_t nonce, const struct replay_events *events, void *owner);
void replay_go_on(struct replay *r);
// After `done`: the temporary key becomes the key, with this time to live (-1: none).
void replay_commit(struct replay *r, int64_t expire_ms);
void replay_undo(struct replay *r);   // at any time: the temporary key goes
void replay_cancel(struct replay *r); // frees it; says nothing more

#endif
