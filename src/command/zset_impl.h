// What ZADD shares with GEOADD.
#ifndef WHERRY_COMMAND_ZSET_IMPL_H
#define WHERRY_COMMAND_ZSET_IMPL_H

#include "node/command.h"

struct zadd {
    bool nx, xx, gt, lt, changed, incr;
    int first;      // score, member, score, member ...
    int count;      // members
    int stride;     // arguments per member, itself the last of them
    double *scores; // of each member
    uint64_t added, updated;
    bool done;    // INCR: it was applied
    double score; // INCR: what came of it
};

// Adds to the zset at argv[1] and replies, with all that a change entails.
void zadd_apply(struct ctx *c, struct zadd *z);

#endif
