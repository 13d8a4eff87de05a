// Random commands of all families, for writers that don't care what they are answered.
#ifndef WHERRY_TESTS_WORLD_COMMANDS_H
#define WHERRY_TESTS_WORLD_COMMANDS_H

#include "base/chunk.h"
#include "sim/world/world.h"

enum command_kind {
    COMMANDS_WRITE = 1,
    COMMANDS_READ = 2,
    COMMANDS_BLOCK = 4, // with short timeouts
    COMMANDS_ALL = 8,   // FLUSHALL, SWAPDB: whole databases
};
// Appends one; returns its text's first word. `keys`: how many of each type there are.
const char *random_command(struct world *w, int kinds, int keys, struct chain *out);

// Puts down a command that makes a value of some hundred elements, or adds them to one.
void random_large(struct world *w, int keys, struct chain *out);
// Puts down a RESTORE of what some key of this node holds, now and then of a damaged payload.
// False: it has none.
bool random_restore(struct world *w, struct node *from, int keys, struct chain *out);

#endif
