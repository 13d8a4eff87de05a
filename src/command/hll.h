// HyperLogLogs as bytes of a string, the way Redis holds them, so that the strings can be
// exchanged:
//
//     "HYLL" | encoding | 3 unused | cached cardinality, 8 bytes little endian | registers
//
// There are 2^14 registers of 6 bits. Dense: all of them, packed from the lowest bit on. Sparse:
// runs,
//
//     00nnnnnn           n+1 registers are 0
//     01nnnnnn nnnnnnnn  n+1 registers are 0
//     1vvvvvnn           n+1 registers are v+1
//
// The highest bit of the cached cardinality says that it is out of date. The hash is MurmurHash64A
// with seed 0xadc83b19; the estimator is Otmar Ertl's ("New cardinality estimation algorithms for
// HyperLogLog sketches", arXiv:1702.01284, algorithm 6).
// Source of the layout: the description at the top of Redis 7.0 hyperloglog.c.
#ifndef WHERRY_COMMAND_HLL_H
#define WHERRY_COMMAND_HLL_H

#include "base/bytes.h"

enum {
    HLL_REGISTERS = 1 << 14,
    HLL_HEADER_BYTES = 16,
    HLL_DENSE_BYTES = HLL_HEADER_BYTES + HLL_REGISTERS * 6 / 8,
};

// Whether the header makes sense. Sparse registers can still turn out to be corrupt.
bool hll_is(struct bytes hll);
bool hll_is_dense(struct bytes hll);
struct str *hll_new(void); // sparse, all registers 0

// The register that an element falls into, and the count that it would leave there, at least 1.
uint32_t hll_place(struct bytes element, uint8_t *count);

// Raises a register to `count` if it is lower. A sparse one becomes dense where it must, or would
// be longer than `sparse_max_bytes`. The string may move. What is written leaves the cache out of
// date.
enum hll_change { HLL_SAME, HLL_RAISED, HLL_CORRUPT };
enum hll_change hll_raise(struct str **hll, uint32_t index, uint8_t count, size_t sparse_max_bytes);
bool hll_raise_dense(char *hll, uint32_t index, uint8_t count); // in place; true: it was lower
bool hll_make_dense(struct str **hll);                          // false: corrupt

// Every register becomes the higher of what it is and what the HyperLogLog has. False: corrupt.
bool hll_merge(uint8_t registers[HLL_REGISTERS], struct bytes hll);
uint64_t hll_estimate(const uint8_t registers[HLL_REGISTERS]);

bool hll_cached(struct bytes hll, uint64_t *cardinality); // false: out of date
void hll_cache(char *hll, uint64_t cardinality);
void hll_uncache(char *hll);

// The runs of a sparse one in words: "z:5 v:3,1 Z:16378" (zeros, value and length, many zeros).
void hll_describe(struct bytes hll, struct buf *out);

#endif
