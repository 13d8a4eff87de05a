// CRC-64 with the Jones polynomial 0xad93d23594c935a9, input and output reflected, initial value 0,
// no final xor; "123456789" gives 0xe9c6d914c4b8d9ca (catalogue of parametrised CRCs:
// CRC-64/REDIS).
//
// Eight bytes a turn ("slicing-by-8", Kounavis and Berry 2005). A CRC is linear: the table's entry
// for a byte is the xor of the entries for its bits. So the compiler makes all 8 x 256 entries from
// the 8 x 8 below, each of which is what a single bit becomes after it has gone through k + 1
// bytes. Long inputs are folded first where the processor can (crc64_fold.c).
#include "rdb/crc64_fold.h"
#include "rdb/rdb.h"

// clang-format off
#define POWERS_0(X, i) \
    X(i, 0x7ad870c830358979, 0xf5b0e190606b12f2, 0xc038e5739841b68f, 0xab28ecb46814fe75, \
      0x7d08ff3b88be6f81, 0xfa11fe77117cdf02, 0xdf7adabd7a6e2d6f, 0x95ac9329ac4bc9b5)
#define POWERS_1(X, i) \
    X(i, 0x89e99ffd73bddf69, 0x388a19a9bfec2db9, 0x711433537fd85b72, 0xe22866a6ffb0b6e4, \
      0xef09eb1ea7f6fea3, 0xf54af06e177a6e2d, 0xc1ccc68f76634f31, 0xa8c0ab4db4510d09)
#define POWERS_2(X, i) \
    X(i, 0xf4125129ce4038be, 0xc37d8400c417e217, 0xada22e52d0b85745, 0x701d7af6f9e73de1, \
      0xe03af5edf3ce7bc2, 0xeb2ccd88bf0b64ef, 0xfd00bd4226815ab5, 0xd1585cd715952601)
#define POWERS_3(X, i) \
    X(i, 0x8ce168638c796306, 0x329bf69440655567, 0x6537ed2880caaace, 0xca6fda510195559c, \
      0xbf8692f15bbd3853, 0x545403b1efede3cd, 0xa8a80763dfdbc79a, 0x7a092894e7201c5f)
#define POWERS_4(X, i) \
    X(i, 0x3504e58b9ba6dd1e, 0x6a09cb17374dba3c, 0xd413962e6e9b7478, 0x837e0a0f85a17b9b, \
      0x2da5324c53d5645d, 0x5b4a6498a7aac8ba, 0xb694c9314f559174, 0x4670b431c63cb183)
#define POWERS_5(X, i) \
    X(i, 0xe39d1389931b9354, 0xec6301407ea0b5c3, 0xf39f24d3a5d6f8ed, 0xcc676ff4133a62b1, \
      0xb397f9bb7ee35609, 0x4c76d525a5513f79, 0x98edaa4b4aa27ef2, 0x1a8272c5cdd36e8f)
#define POWERS_6(X, i) \
    X(i, 0x62a95de6e302eff2, 0xc552bbcdc605dfe4, 0xa1fc51c8d49c2ca3, 0x68a185c2f1afca2d, \
      0xd1430b85e35f945a, 0x89df31589e28bbdf, 0x38e744e264c6e4d5, 0x71ce89c4c98dc9aa)
#define POWERS_7(X, i) \
    X(i, 0x381d0015c96f4444, 0x703a002b92de8888, 0xe074005725bd1110, 0xebb126fd13edb14b, \
      0xfc3b6ba97f4cf1fd, 0xd32ff101a60e7091, 0x8d06c450148b7249, 0x3154aef3718177f9)

#define BIT(i, b, power) (((i) >> (b) & 1) ? (uint64_t)(power) : 0)
#define ENTRY(i, p0, p1, p2, p3, p4, p5, p6, p7)                                         \
    (BIT(i, 0, p0) ^ BIT(i, 1, p1) ^ BIT(i, 2, p2) ^ BIT(i, 3, p3) ^                     \
     BIT(i, 4, p4) ^ BIT(i, 5, p5) ^ BIT(i, 6, p6) ^ BIT(i, 7, p7))
#define ROW4(k, i)   POWERS_##k(ENTRY, i), POWERS_##k(ENTRY, i + 1), \
                     POWERS_##k(ENTRY, i + 2), POWERS_##k(ENTRY, i + 3)
#define ROW16(k, i)  ROW4(k, i), ROW4(k, i + 4), ROW4(k, i + 8), ROW4(k, i + 12)
#define ROW64(k, i)  ROW16(k, i), ROW16(k, i + 16), ROW16(k, i + 32), ROW16(k, i + 48)
#define ROW256(k)    { ROW64(k, 0), ROW64(k, 64), ROW64(k, 128), ROW64(k, 192) }
// clang-format on

static const uint64_t table[8][256] = {
    ROW256(0), ROW256(1), ROW256(2), ROW256(3), ROW256(4), ROW256(5), ROW256(6), ROW256(7),
};

static uint64_t load_le64(const unsigned char *p)
{
    uint64_t word;
    memcpy(&word, p, sizeof(word));
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    return word;
}

uint64_t crc64_by_table(uint64_t crc, const void *data, size_t len)
{
    const unsigned char *p = data;
    for (; len >= 8; p += 8, len -= 8) {
        uint64_t w = crc ^ load_le64(p);
        crc = table[7][w & 255] ^ table[6][w >> 8 & 255] ^ table[5][w >> 16 & 255] ^
              table[4][w >> 24 & 255] ^ table[3][w >> 32 & 255] ^ table[2][w >> 40 & 255] ^
              table[1][w >> 48 & 255] ^ table[0][w >> 56];
    }
    for (; len > 0; p++, len--)
        crc = table[0][(crc ^ *p) & 255] ^ crc >> 8;
    return crc;
}

uint64_t crc64(uint64_t crc, const void *data, size_t len)
{
    enum { FOLD_FROM_BYTES = 256 };
    if (len < FOLD_FROM_BYTES || !crc64_can_fold()) return crc64_by_table(crc, data, len);
    size_t whole = len - len % CRC64_FOLD_BYTES;
    unsigned char folded[16];
    crc64_fold(crc, data, whole, folded);
    crc = crc64_by_table(0, folded, sizeof(folded));
    return crc64_by_table(crc, (const char *)data + whole, len - whole);
}
