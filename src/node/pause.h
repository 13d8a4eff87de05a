// Pausing clients: their commands wait, they notice nothing else. CLIENT PAUSE, a FAILOVER that
// lets its target catch up, and a shutdown that lets replicas do so, each for itself; the
// strictest counts; a digest of the dataset holds up even the primary's stream. Meanwhile nothing
// expires and nothing is evicted.
#ifndef WHERRY_NODE_PAUSE_H
#define WHERRY_NODE_PAUSE_H

#include "node/node.h"

enum pause_reason { PAUSE_COMMAND, PAUSE_FAILOVER, PAUSE_SHUTDOWN, PAUSE_DIGEST, PAUSE_REASONS };
enum pause_extent { PAUSE_NOTHING, PAUSE_WRITES, PAUSE_ALL };

// Until `until_us` on the loop's clock; UINT64_MAX: until pause_end.
void pause_begin(struct node *n, enum pause_reason reason, enum pause_extent extent,
                 uint64_t until_us);
void pause_end(struct node *n, enum pause_reason reason);
enum pause_extent pause_extent(const struct node *n);
// For writes that are not a command of a client's (any more): true when one has to wait; `w` was
// queued and is told when the pause ends.
bool pause_holds_up(struct node *n, bool from_primary, struct waiter *w);

#endif
