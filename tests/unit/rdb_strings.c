// Below the values: checksum, LZF, lengths, strings short and long, and what a claim may cost.
#include "rdb/crc64_fold.h"
#include "rdb/lzf.h"
#include "unit/rdb_support.h"

Test(rdb_crc64, known_sums)
{
    // The check value of CRC-64/REDIS, and a sum over every length and alignment up to 40.
    cr_assert_eq(crc64(0, "123456789", 9), 0xe9c6d914c4b8d9ca);
    unsigned char bytes[64];
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (unsigned char)(i * 37);
    for (size_t at = 0; at < 8; at++) {
        for (size_t len = 0; len < 40; len++) {
            uint64_t bitwise = 5;
            for (size_t i = 0; i < len; i++) {
                bitwise ^= bytes[at + i];
                for (int bit = 0; bit < 8; bit++)
                    bitwise = bitwise >> 1 ^ (bitwise & 1 ? 0x95ac9329ac4bc9b5 : 0);
            }
            cr_assert_eq(crc64(5, bytes + at, len), bitwise);
        }
    }
}

// Long ones go another way where the processor can.
Test(rdb_crc64, folded_sums_are_those_of_the_table)
{
    enum { BYTES = 4096 + 8 };
    static unsigned char bytes[BYTES];
    for (size_t i = 0; i < BYTES; i++)
        bytes[i] = (unsigned char)(i * i * 31 + i * 7 + (i >> 5));
    for (size_t at = 0; at < 8; at++) {
        for (size_t len = 0; len <= BYTES - at; len += 1 + len / 9)
            cr_assert_eq(crc64(at * 0x9e3779b97f4a7c15, bytes + at, len),
                         crc64_by_table(at * 0x9e3779b97f4a7c15, bytes + at, len),
                         "%zu bytes from %zu", len, at);
    }
    unsigned char folded[16];
    if (!crc64_can_fold()) return;
    for (size_t len = CRC64_FOLD_BYTES; len <= 4096; len += CRC64_FOLD_BYTES) {
        crc64_fold(len, bytes, len, folded);
        cr_assert_eq(crc64_by_table(0, folded, sizeof(folded)), crc64_by_table(len, bytes, len));
    }
}

// ---- when LZF is tried ----------------------------------------------------------------------

Test(rdb_squeeze, data_that_never_shrinks_is_tried_now_and_then)
{
    char noise[100], pattern[100];
    uint64_t x = 88172645463325252;
    for (size_t i = 0; i < sizeof(noise); i++) {
        x ^= x << 13, x ^= x >> 7, x ^= x << 17;
        noise[i] = (char)x;
        pattern[i] = "abcd"[i % 4];
    }
    struct bytes random = bytes_of(noise, sizeof(noise)), regular = bytes_of(pattern, 100);
    struct rdb_squeeze q = {.on = true};
    struct buf out = BUF_EMPTY;
    for (int i = 0; i < 1000; i++)
        rdb_put_squeezed(&out, random, &q);
    cr_expect_eq(buf_len(&out), 1000 * 102, "as they are, behind a length");
    int as_is = 0;
    for (;; as_is++) {
        size_t before = buf_len(&out);
        rdb_put_squeezed(&out, regular, &q);
        if (buf_len(&out) - before < 50) break;
    }
    cr_expect_gt(as_is, 0);
    cr_expect_lt(as_is, 16);
    buf_clear(&out);
    for (int i = 0; i < 50; i++) // once it has shrunk, each is tried
        rdb_put_squeezed(&out, i % 2 ? random : regular, &q);
    cr_expect_lt(buf_len(&out), 25 * 102 + 25 * 50);
    q.on = false;
    buf_clear(&out);
    rdb_put_squeezed(&out, regular, &q);
    cr_expect_eq(buf_len(&out), 102);
    buf_free(&out);
}

// ---- LZF ----------------------------------------------------------------------------------------

static void unpack_in(const char *packed, size_t len, struct bytes expected, size_t in_step,
                      size_t out_step)
{
    struct lzf_unpacker z = {0};
    char *out = mem_alloc(expected.len);
    size_t at = 0, limit = 0;
    struct bytes in = bytes_of(packed, 0);
    while (at < expected.len || !lzf_idle(&z)) {
        if (in.len == 0 && in.data < packed + len) {
            size_t left = len - (size_t)(in.data - packed);
            in.len = left < in_step ? left : in_step;
        }
        if (limit == at) limit = expected.len - at < out_step ? expected.len : at + out_step;
        size_t before = at, before_in = in.len;
        cr_assert(lzf_unpack(&z, &in, out, &at, limit));
        cr_assert(at > before || in.len < before_in || limit == at, "no progress");
    }
    cr_assert_eq(in.len, 0);
    cr_assert_eq(in.data, packed + len);
    cr_assert(bytes_equal(bytes_of(out, at), expected));
    mem_free(out);
}

Test(rdb_lzf, what_is_packed_is_unpacked_at_every_step)
{
    struct rng rng;
    rng_seed(&rng, 3);
    struct buf text = BUF_EMPTY;
    int packed_count = 0;
    for (int round = 0; round < 400; round++) {
        struct bytes in = random_text(&rng, &text, round % 20 ? 600 : 65536);
        if (in.len > LZF_PACK_MAX_BYTES) in.len = LZF_PACK_MAX_BYTES;
        char *packed = mem_alloc(in.len + 1);
        size_t len = lzf_pack(in, packed, in.len);
        if (len > 0) {
            packed_count++;
            cr_assert_leq(len, in.len);
            unpack_in(packed, len, in, 1 + rng_below(&rng, 20), 1 + rng_below(&rng, 20));
            unpack_in(packed, len, in, len, in.len);
        }
        mem_free(packed);
    }
    cr_assert_gt(packed_count, 100);
    buf_free(&text);
}

Test(rdb_lzf, packing_is_the_same_every_time)
{
    // Also when the stack holds something else before.
    char text[3000], first[3000], second[3000];
    for (size_t i = 0; i < sizeof(text); i++)
        text[i] = (char)('a' + (i * i >> 3) % 5);
    size_t len = lzf_pack(bytes_of(text, sizeof(text)), first, sizeof(first));
    cr_assert_gt(len, 0);
    for (int fill = 0; fill < 4; fill++) {
        char *noise = __builtin_alloca(40000);
        memset(noise, fill * 77, 40000);
        __asm__ volatile("" : : "r"(noise) : "memory");
        cr_assert_eq(lzf_pack(bytes_of(text, sizeof(text)), second, sizeof(second)), len);
        cr_assert(memcmp(first, second, len) == 0);
    }
}

Test(rdb_lzf, a_copy_from_before_the_beginning_is_refused)
{
    struct lzf_unpacker z = {0};
    char out[100];
    size_t at = 0;
    struct bytes in = BYTES("\x00x\x20\x01"); // "x", then three bytes from two back
    cr_assert(!lzf_unpack(&z, &in, out, &at, sizeof(out)));
}

// ---- strings ------------------------------------------------------------------------------------

// Decodes a string value pushed `piece` bytes at a time.
static enum rdb_progress push_string(struct bytes wire, size_t piece, uint32_t units,
                                     struct value *v, struct error *error)
{
    struct loop loop = {0};
    struct value_limits limits = default_limits();
    struct rdb_decode_options options = {&limits, true};
    struct rdb_decoder *d = rdb_decoder_new(RDB_STRING, &options);
    enum rdb_progress progress = RDB_MORE;
    while (wire.len > 0 && progress == RDB_MORE) {
        struct bytes input = bytes_of(wire.data, wire.len < piece ? wire.len : piece);
        size_t len = input.len;
        do {
            struct budget budget = {.loop = &loop, .units = units};
            progress = rdb_decoder_push(d, &input, units ? &budget : NULL, error);
        } while (progress == RDB_BUDGET);
        wire.data += len;
        wire.len -= len;
    }
    if (progress == RDB_DONE) *v = rdb_decoder_take(d);
    rdb_decoder_free(d);
    return progress;
}

static void round_trip(struct bytes text, bool compress, size_t piece, uint32_t units)
{
    struct buf wire = BUF_EMPTY;
    struct error error = ERROR_OK;
    struct value v;
    char scratch[TEXT_I64_BYTES];
    rdb_put_string(&wire, text, compress);
    cr_assert_eq(push_string(buf_view(&wire), piece, units, &v, &error), RDB_DONE, "%zu: %s",
                 text.len, error.text);
    cr_assert(bytes_equal(string_view(&v, scratch), text), "%zu bytes", text.len);
    value_free(&v);
    buf_free(&wire);
}

Test(rdb_strings, every_size_around_a_boundary, .timeout = 60)
{
    static const size_t sizes[] = {0,     1,     20,     21,     63,     64,     65535,  65536,
                                   65537, 98304, 131071, 131072, 131073, 300000, 2000000};
    struct buf text = BUF_EMPTY;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        buf_clear(&text);
        while (buf_len(&text) < sizes[i])
            buf_append_byte(&text, (uint8_t)("round and round"[buf_len(&text) % 15]));
        for (int compress = 0; compress < 2; compress++) {
            round_trip(buf_view(&text), compress, 1 << 30, 0);
            round_trip(buf_view(&text), compress, 1 << 30, 100);
            round_trip(buf_view(&text), compress, 7777, 3);
            if (sizes[i] < 70000) round_trip(buf_view(&text), compress, 1, 0);
        }
    }
    buf_free(&text);
}

Test(rdb_strings, numbers_in_their_short_form)
{
    static const struct {
        const char *text;
        size_t bytes;
    } rows[] = {{"0", 2},           {"-128", 2},        {"127", 2},   {"128", 3},
                {"-32768", 3},      {"32767", 3},       {"32768", 5}, {"2147483647", 5},
                {"-2147483648", 5}, {"2147483648", 11}, {"-0", 3},    {"00", 3},
                {"+1", 3},          {" 1", 3},          {"1.0", 4}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct buf wire = BUF_EMPTY;
        rdb_put_string(&wire, bytes_from_cstr(rows[i].text), false);
        cr_assert_eq(buf_len(&wire), rows[i].bytes, "%s", rows[i].text);
        buf_free(&wire);
        round_trip(bytes_from_cstr(rows[i].text), true, 1, 0);
    }
}

// A long LZF string, as Redis compresses them whatever their size: copies that reach back over the
// ends of the window and of the pieces in which the string is put together.
Test(rdb_strings, a_long_lzf_string)
{
    struct rng rng;
    rng_seed(&rng, 5);
    struct buf packed = BUF_EMPTY, text = BUF_EMPTY, wire = BUF_EMPTY;
    while (buf_len(&text) < 1000000) {
        size_t back = 1 + rng_below(&rng, 8192), len = 9 + rng_below(&rng, 256);
        if (buf_len(&text) < 8192 || rng_below(&rng, 4) == 0) {
            buf_append_byte(&packed, 31);
            for (int i = 0; i < 32; i++) {
                buf_append_byte(&packed, (uint8_t)rng_next(&rng));
                buf_append_byte(&text, (uint8_t)packed.data[packed.end - 1]);
            }
            continue;
        }
        buf_append_byte(&packed, (uint8_t)(7 << 5 | (back - 1) >> 8));
        buf_append_byte(&packed, (uint8_t)(len - 9));
        buf_append_byte(&packed, (uint8_t)(back - 1));
        for (size_t i = 0; i < len; i++)
            buf_append_byte(&text, (uint8_t)buf_view(&text).data[buf_len(&text) - back]);
    }
    buf_append_byte(&wire, 0xC3);
    rdb_put_length(&wire, buf_len(&packed));
    rdb_put_length(&wire, buf_len(&text));
    size_t head = buf_len(&wire);
    buf_append_bytes(&wire, buf_view(&packed));
    struct value v;
    struct error error = ERROR_OK;
    char scratch[TEXT_I64_BYTES];
    static const size_t pieces[] = {1 << 30, 10007, 61, 1};
    for (size_t i = 0; i < 4; i++) {
        cr_assert_eq(push_string(buf_view(&wire), pieces[i], (uint32_t)(i * 50), &v, &error),
                     RDB_DONE, "%s", error.text);
        cr_assert(bytes_equal(string_view(&v, scratch), buf_view(&text)));
        value_free(&v);
    }
    // One byte more announced than there is, and one less.
    for (int wrong = -1; wrong <= 1; wrong += 2) {
        struct buf other = BUF_EMPTY;
        buf_append_byte(&other, 0xC3);
        rdb_put_length(&other, buf_len(&packed));
        rdb_put_length(&other, (uint64_t)((int64_t)buf_len(&text) + wrong));
        cr_assert_eq(buf_len(&other), head);
        buf_append_bytes(&other, buf_view(&packed));
        cr_assert_eq(push_string(buf_view(&other), 5000, 0, &v, &error), RDB_FAILED);
        cr_assert(strstr(error.text, "LZF") != NULL, "%s", error.text);
        buf_free(&other);
    }
    buf_free(&packed);
    buf_free(&text);
    buf_free(&wire);
}

Test(rdb_strings, lzf_that_promises_too_much_is_refused_at_once)
{
    struct value v;
    struct error error = ERROR_OK;
    struct buf wire = BUF_EMPTY;
    buf_append_byte(&wire, 0xC3);
    rdb_put_length(&wire, 100);
    rdb_put_length(&wire, 100 * LZF_RATIO_MAX + LZF_RATIO_MAX);
    cr_assert_eq(push_string(buf_view(&wire), 100, 0, &v, &error), RDB_FAILED);
    cr_assert(strstr(error.text, "cannot hold") != NULL, "%s", error.text);
    buf_free(&wire);
}

// ---- claims -------------------------------------------------------------------------------------

static void costs_little(enum rdb_type type, struct bytes head, uint64_t claimed)
{
    struct value_limits limits = default_limits();
    struct rdb_decode_options options = {&limits, true};
    struct buf wire = BUF_EMPTY;
    buf_append_bytes(&wire, head);
    rdb_put_length(&wire, claimed);
    buf_append_cstr(&wire, "\x05"
                           "abcde");
    uint64_t before = mem_used_bytes();
    struct rdb_decoder *d = rdb_decoder_new(type, &options);
    struct bytes input = buf_view(&wire);
    struct error error = ERROR_OK;
    cr_assert_eq(rdb_decoder_push(d, &input, NULL, &error), RDB_MORE, "type %d: %s", type,
                 error.text);
    uint64_t after = mem_used_bytes();
    cr_assert_leq(after, before + 3 * RDB_CLAIM_BYTES, "type %d: %llu bytes", type,
                  (unsigned long long)(after - before));
    rdb_decoder_free(d);
    buf_free(&wire);
}

Test(rdb_strings, a_claim_alone_allocates_little)
{
    static const uint64_t claims[] = {1 << 20, 1ull << 32, 1ull << 62};
    for (int i = 0; i < 3; i++) {
        costs_little(RDB_STRING, BYTES(""), claims[i]);
        costs_little(RDB_LIST, BYTES(""), claims[i]);
        costs_little(RDB_SET, BYTES(""), claims[i]);
        costs_little(RDB_HASH, BYTES(""), claims[i]);
        costs_little(RDB_ZSET_2, BYTES(""), claims[i]);
        costs_little(RDB_HASH_LISTPACK, BYTES(""), claims[i]);
        costs_little(RDB_LIST_QUICKLIST_2, BYTES("\x01\x01"), claims[i]);
        costs_little(RDB_STREAM_LISTPACKS_2, BYTES("\x01\x10sixteen bytes id"), claims[i]);
        costs_little(RDB_STRING, BYTES("\xc3\x80\x40\x00\x00\x00"), 1 << 24);
    }
}
