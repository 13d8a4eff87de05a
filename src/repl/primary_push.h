// When the stream goes to the replicas. At once, as long as little of it comes: a replica is then
// behind by no more than the way. Where much comes, what several iterations of the loop have
// written goes together, because a send costs as much as some twenty writes, here and at the
// replica; what is written last waits for PUSH_LATEST_US at most.
#ifndef WHERRY_REPL_PRIMARY_PUSH_H
#define WHERRY_REPL_PRIMARY_PUSH_H

#include "loop/loop.h"

struct primary;

enum {
    PUSH_MUCH_BYTES = 4 * 1024,   // of one push: the next one gathers
    PUSH_WHOLE_BYTES = 64 * 1024, // gathered: it goes
    PUSH_GATHER_US = 1500, // since the last push: an iteration that comes anyway takes it along
    PUSH_LATEST_US = 2500, // since the last push: it goes in any case
};

struct primary_push {
    struct before_wait hook;
    struct deadline latest;
    uint64_t last_us; // when it last went,
    int64_t last_end; // up to which offset,
    bool last_much;   // and whether that was much
    bool now;         // primary_push_now
};

void primary_push_init(struct primary *p);
void primary_push_free(struct primary *p);
// It goes in this iteration, much or not: somebody waits for what replicas will say to it, or this
// is the last one.
void primary_push_now(struct primary *p);

#endif
