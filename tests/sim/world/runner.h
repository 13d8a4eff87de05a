// What every program of worlds shares: its options, seed after seed, what is told of a failure.
//
//   program [--seeds N] [--seconds N] [--from N] [--jobs N] [--seed N [-v]] [--tail LINES]
//           [--go-on] [--case NAME | --cases]
//
// --jobs N shares the seeds among so many processes of the program; --seconds N begins none later.
// A failing seed is run a second time with its trace kept, and the last lines of that are shown.
// Each seed decides everything: OpenSSL's random numbers too, so that bytes of TLS are the same.
#ifndef WHERRY_TESTS_WORLD_RUNNER_H
#define WHERRY_TESTS_WORLD_RUNNER_H

#include "sim/world/world.h"

struct tls_context;

// A seed that once found a bug.
struct world_case {
    const char *name;
    uint64_t seed;
};

struct world_program {
    const char *name;
    // Builds a world, runs it to its end and leaves by returning or through world_fail.
    void (*play)(struct world *w);
    const struct world_case *cases; // ended by a row without a name
};

int runner_main(const struct world_program *program, int argc, char **argv);
struct tls_context *runner_tls(void); // of test certificates, for all nodes of all worlds

#endif
