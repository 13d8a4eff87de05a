// CRC-64 of long inputs by carry-less multiplication. Inside of crc64.c; tests compare the two
// ways.
#ifndef WHERRY_RDB_CRC64_FOLD_H
#define WHERRY_RDB_CRC64_FOLD_H

#include "base/bytes.h"

enum { CRC64_FOLD_BYTES = 64 }; // taken at a time

// What this processor can do.
bool crc64_can_fold(void);
// Sixteen bytes whose sum, from 0 on, is that of `len` bytes (a multiple of CRC64_FOLD_BYTES, at
// least one) from `crc` on. Only where crc64_can_fold.
void crc64_fold(uint64_t crc, const unsigned char *data, size_t len, unsigned char out[16]);

// The other way, by tables; defined in crc64.c.
uint64_t crc64_by_table(uint64_t crc, const void *data, size_t len);

#endif
