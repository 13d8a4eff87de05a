// SipHash-1-3 (Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012), the hash of tables
// whose keys come from clients.
#ifndef WHERRY_VALUE_SIPHASH_H
#define WHERRY_VALUE_SIPHASH_H

#include "base/bytes.h"

uint64_t siphash13(uint64_t key0, uint64_t key1, struct bytes data);

#endif
