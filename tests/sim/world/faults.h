// What happens to wires between members.
#ifndef WHERRY_TESTS_WORLD_FAULTS_H
#define WHERRY_TESTS_WORLD_FAULTS_H

#include "sim/world/world.h"

// A wire as they are: some delay, some jitter, fragments.
struct sim_wire wire_usual(struct world *w);
// For conns between two members that are made from now on, in both directions: usual, or with a
// fault that hits at some byte or instant.
void wire_random(struct world *w, const struct member *a, const struct member *b, bool faults);
// Breaks one of the conns that are open between two members (either direction), after so many more
// bytes as chance has it: cut, stalled, or swallowing. False: there is none.
bool wire_break(struct world *w, const struct member *a, const struct member *b);
void wires_mend(struct world *w); // all new conns are good ones, all partitions healed; stalls end

#endif
