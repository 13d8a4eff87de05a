// Pseudo-random numbers from a seed (xoshiro256**, public domain, Blackman and Vigna 2018). For
// sampling and simulation; secrets come from OpenSSL's RAND_bytes.
#ifndef WHERRY_BASE_RNG_H
#define WHERRY_BASE_RNG_H

#include <stddef.h>
#include <stdint.h>

struct rng {
    uint64_t s[4];
};

void rng_seed(struct rng *r, uint64_t seed);
uint64_t rng_next(struct rng *r);
uint64_t rng_below(struct rng *r, uint64_t bound);  // 0..bound-1; bound 0 gives 0
double rng_unit(struct rng *r);                     // [0, 1)
void rng_hex(struct rng *r, char *out, size_t len); // `len` lower-case hex digits, no NUL

#endif
