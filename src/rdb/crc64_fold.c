// Folding ("Fast CRC Computation for Generic Polynomials Using PCLMULQDQ Instruction", Gopal and
// others, Intel 2009): what stands D bits in front of other bits can be added to these once it is
// multiplied by x^D modulo the polynomial. Four lanes of 128 bits go on by 512 bits a turn.
//
// Input and sums are reflected. The product of two reflected words of 64 bits is the reflected
// product times x, so the constants are x^(D + 64 - 1), for the half that stands in front, and
// x^(D - 1), both modulo x^64 + 0xad93d23594c935a9 and reflected.
#include "rdb/crc64_fold.h"

#if defined(__x86_64__)
#include <immintrin.h>

enum { LANES = 4, LANE_BYTES = 16 };

bool crc64_can_fold(void)
{
    return __builtin_cpu_supports("pclmul") && __builtin_cpu_supports("sse4.1");
}

__attribute__((target("pclmul,sse4.1"))) static inline __m128i fold_into(__m128i lane, __m128i by,
                                                                         __m128i next)
{
    __m128i front = _mm_clmulepi64_si128(lane, by, 0x00);
    __m128i back = _mm_clmulepi64_si128(lane, by, 0x11);
    return _mm_xor_si128(_mm_xor_si128(front, back), next);
}

static inline __m128i load(const unsigned char *at)
{
    return _mm_loadu_si128((const __m128i *)(const void *)at);
}

__attribute__((target("pclmul,sse4.1"))) void crc64_fold(uint64_t crc, const unsigned char *data,
                                                         size_t len, unsigned char out[16])
{
    const __m128i by_512 =
        _mm_set_epi64x((long long)0xf49784a634f014e4, (long long)0xaf86efb16d9ab4fb);
    const __m128i by_128 = _mm_set_epi64x(0x381d0015c96f4444, (long long)0xd9d7be7d505da32c);
    __m128i lane[LANES];
    for (int i = 0; i < LANES; i++)
        lane[i] = load(data + i * LANE_BYTES);
    lane[0] = _mm_xor_si128(lane[0], _mm_set_epi64x(0, (long long)crc));
    for (size_t at = CRC64_FOLD_BYTES; at < len; at += CRC64_FOLD_BYTES)
        for (int i = 0; i < LANES; i++)
            lane[i] = fold_into(lane[i], by_512, load(data + at + i * LANE_BYTES));
    for (int i = 1; i < LANES; i++)
        lane[0] = fold_into(lane[0], by_128, lane[i]);
    _mm_storeu_si128((__m128i *)(void *)out, lane[0]);
}

#else

bool crc64_can_fold(void)
{
    return false;
}

void crc64_fold(uint64_t crc, const unsigned char *data, size_t len, unsigned char out[16])
{
    (void)crc, (void)data, (void)len, (void)out;
}

#endif
