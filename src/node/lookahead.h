// What a pipeline will touch next is on its way into the processor's cache while what stands before
// it runs. With more data than the cache holds most of a small command is waiting for memory: for
// the bucket, for the entry in it and for the value behind that.
//
// Only hints come of it. The requests ahead are parsed when their turn comes, in whatever state
// those before them have left the client and the keyspace.
#ifndef WHERRY_NODE_LOOKAHEAD_H
#define WHERRY_NODE_LOOKAHEAD_H

#include "base/bytes.h"

struct db;

enum { LOOKAHEAD_REQUESTS = 8 };

// Of one pass over a client's input; zero-initialised.
struct lookahead {
    const char *at;                    // behind the last request that was seen
    uint64_t hash[LOOKAHEAD_REQUESTS]; // of their keys: a ring, by number of the request
    unsigned seen, ran;                // requests
};

// A request is about to run and `rest` comes behind it.
void lookahead(struct lookahead *l, const struct db *db, struct bytes rest);

#endif
