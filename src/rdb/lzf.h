// LZF, as RDB strings are compressed. The unpacker stops and resumes at any byte; the packer is
// deterministic (liblzf's may give another length for the same input, which would break the
// promise that counting a payload and sending it agree).
//
// Format (liblzf, lzf_d.c): a control byte c, then
//   c < 32   c + 1 literal bytes
//   else     a copy of (c >> 5) + 2 bytes, or, when c >> 5 is 7, of 9 + the next byte; from
//            ((c & 31) << 8 | the byte after that) + 1 bytes back
#ifndef WHERRY_RDB_LZF_H
#define WHERRY_RDB_LZF_H

#include "base/bytes.h"

enum {
    LZF_WINDOW_BYTES = 8192,    // how far back a copy may reach
    LZF_PACK_MAX_BYTES = 65536, // longest input of lzf_pack
    LZF_RATIO_MAX = 88,         // three bytes give at most 264
};

// Packs into `out`; 0 when that takes more than `cap` bytes.
size_t lzf_pack(struct bytes in, char *out, size_t cap);

// Zero-initialised before the first call.
struct lzf_unpacker {
    uint32_t literal, copy; // bytes of the current run that are still to be put out
    uint32_t distance;      // of the copy
    uint8_t control;        // a copy's, while its other bytes are awaited
    uint8_t awaited;        // 2: length and distance, 1: distance
};

// Takes from the front of *in and puts out to out[*at .. cap), until either is exhausted. What
// stands before *at must be the output so far, or at least its last LZF_WINDOW_BYTES. False when a
// copy reaches back to before `out`.
bool lzf_unpack(struct lzf_unpacker *z, struct bytes *in, char *out, size_t *at, size_t cap)
    __attribute__((warn_unused_result));
// Between two runs: where input may end.
static inline bool lzf_idle(const struct lzf_unpacker *z)
{
    return z->literal == 0 && z->copy == 0 && z->awaited == 0;
}

#endif
