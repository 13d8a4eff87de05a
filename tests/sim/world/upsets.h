// What happens to a member besides its wires: its clock jumps, its disk fails or is slow, memory
// gets short, its directives are changed while it works.
#ifndef WHERRY_TESTS_WORLD_UPSETS_H
#define WHERRY_TESTS_WORLD_UPSETS_H

#include "sim/world/client.h"

// One of the wall clock, by at most a minute in all; the monotonic clock goes on.
void upset_clock(struct member *m);
// The next few writes, syncs or renames fail, or all operations are slow from now on.
void upset_disk(struct member *m);
// A directive that changes how things are done and not what is promised: asked by `admin`.
void upset_settings(struct client_link *admin);
// Limits that cost a replica its link: the backlog's size and life, output buffers.
void upset_limits(struct client_link *admin);
// No memory any more, or enough again. With `evict`, keys that may expire go; without it
// writes are refused.
void upset_memory(struct client_link *admin, bool evict);
void upsets_end(struct client_link *admin); // memory is there again and the disk fast

#endif
