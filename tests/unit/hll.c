// HyperLogLogs: sparse and dense agree, estimates are near, corrupt bytes are refused.
#include "command/hll.h"

#include "base/mem.h"
#include "base/rng.h"
#include "base/text.h"

#include <criterion/criterion.h>

static uint32_t place(uint64_t number, uint8_t *count)
{
    char text[TEXT_I64_BYTES];
    return hll_place(bytes_of(text, text_from_i64(text, (int64_t)number)), count);
}

static uint64_t estimate(const struct str *hll)
{
    uint8_t registers[HLL_REGISTERS] = {0};
    cr_assert(hll_merge(registers, str_view(hll)));
    return hll_estimate(registers);
}

Test(hll, a_new_one_is_empty)
{
    struct str *hll = hll_new();
    uint64_t cardinality;
    cr_assert(hll_is(str_view(hll)));
    cr_assert_not(hll_is_dense(str_view(hll)));
    cr_assert_eq(estimate(hll), 0);
    cr_assert(hll_cached(str_view(hll), &cardinality));
    cr_assert_eq(cardinality, 0);
    str_free(hll);
}

// The bytes that Redis 7.0.15 holds after PFADD key a b c.
Test(hll, bytes_as_redis_has_them)
{
    static const char expected[] = "HYLL\x01\0\0\0\0\0\0\0\0\0\0\x80"
                                   "\x60\xf3\x80\x50\xb1\x84\x4b\xfb\x80\x42\x5a";
    struct str *hll = hll_new();
    const char *const elements[] = {"a", "b", "c"};
    for (int i = 0; i < 3; i++) {
        uint8_t count;
        uint32_t index = hll_place(bytes_from_cstr(elements[i]), &count);
        cr_assert_eq(hll_raise(&hll, index, count, 3000), HLL_RAISED);
        cr_assert_eq(hll_raise(&hll, index, count, 3000), HLL_SAME);
    }
    cr_assert_eq(estimate(hll), 3);
    cr_assert(bytes_equal(str_view(hll), bytes_of(expected, sizeof(expected) - 1)));
    str_free(hll);
}

Test(hll, sparse_and_dense_agree_all_the_way)
{
    struct rng rng;
    rng_seed(&rng, 1);
    struct str *sparse = hll_new(), *dense = hll_new();
    cr_assert(hll_make_dense(&dense));
    for (int i = 0; i < 20000; i++) {
        uint32_t index = (uint32_t)rng_below(&rng, i % 2 ? HLL_REGISTERS : 300);
        uint8_t count = (uint8_t)(1 + rng_below(&rng, 32));
        bool raised = hll_raise_dense(dense->data, index, count);
        cr_assert_eq(hll_raise(&sparse, index, count, SIZE_MAX), raised ? HLL_RAISED : HLL_SAME);
        if (i % 500 != 0) continue;
        uint8_t a[HLL_REGISTERS] = {0}, b[HLL_REGISTERS] = {0};
        cr_assert(hll_merge(a, str_view(sparse)) && hll_merge(b, str_view(dense)));
        cr_assert_arr_eq(a, b, HLL_REGISTERS);
    }
    cr_assert_not(hll_is_dense(str_view(sparse)));
    cr_assert(hll_make_dense(&sparse));
    cr_assert_arr_eq(sparse->data + HLL_HEADER_BYTES, dense->data + HLL_HEADER_BYTES,
                     HLL_DENSE_BYTES - HLL_HEADER_BYTES);
    str_free(sparse);
    str_free(dense);
}

Test(hll, becomes_dense_at_the_limit_and_above_32)
{
    struct str *hll = hll_new();
    uint64_t number = 0;
    while (!hll_is_dense(str_view(hll))) {
        uint8_t count;
        uint32_t index = place(number++, &count);
        hll_raise(&hll, index, count, 500);
        if (!hll_is_dense(str_view(hll))) cr_assert_leq(hll->len, 500);
    }
    cr_assert_gt(number, 100);
    str_free(hll);
    hll = hll_new();
    cr_assert_eq(hll_raise(&hll, 7, 33, 3000), HLL_RAISED);
    cr_assert(hll_is_dense(str_view(hll)));
    cr_assert_eq(hll->len, HLL_DENSE_BYTES);
    str_free(hll);
}

Test(hll, estimates_are_near)
{
    struct str *hll = hll_new();
    uint64_t next = 10;
    for (uint64_t n = 1; n <= 1000000; n++) {
        uint8_t count;
        uint32_t index = place(n, &count);
        hll_raise(&hll, index, count, 3000);
        if (n != next) continue;
        next *= 10;
        double off = (double)estimate(hll) / (double)n - 1;
        cr_assert(off < 0.025 && off > -0.025, "%llu counted as %llu", (unsigned long long)n,
                  (unsigned long long)estimate(hll));
    }
    str_free(hll);
}

Test(hll, the_cache_is_kept_and_given_up)
{
    struct str *hll = hll_new();
    uint64_t cardinality;
    hll_cache(hll->data, 0x123456789abcde);
    cr_assert(hll_cached(str_view(hll), &cardinality));
    cr_assert_eq(cardinality, 0x123456789abcde);
    hll_raise(&hll, 1, 1, 3000);
    cr_assert_not(hll_cached(str_view(hll), &cardinality));
    str_free(hll);
}

Test(hll, headers_that_make_no_sense)
{
    struct str *hll = hll_new();
    for (size_t len = 0; len < HLL_HEADER_BYTES; len++)
        cr_assert_not(hll_is(bytes_of(hll->data, len)));
    hll->data[4] = 2;
    cr_assert_not(hll_is(str_view(hll)));
    hll->data[4] = 0; // dense, and too short for it
    cr_assert_not(hll_is(str_view(hll)));
    hll->data[4] = 1;
    hll->data[0] = 'h';
    cr_assert_not(hll_is(str_view(hll)));
    str_free(hll);
}

Test(hll, cut_off_anywhere_it_is_corrupt)
{
    struct str *hll = hll_new();
    for (uint64_t n = 0; n < 300; n++) {
        uint8_t count;
        uint32_t index = place(n, &count);
        hll_raise(&hll, index, count, 3000);
    }
    cr_assert_not(hll_is_dense(str_view(hll)));
    for (size_t len = HLL_HEADER_BYTES; len < hll->len; len++) {
        // At the very end of an allocation, so that reading past it is seen.
        struct str *cut = str_new(hll->data, len);
        uint8_t registers[HLL_REGISTERS] = {0};
        cr_assert_not(hll_merge(registers, str_view(cut)));
        cr_assert_not(hll_make_dense(&cut));
        cr_assert_eq(hll_raise(&cut, HLL_REGISTERS - 1, 5, 3000), HLL_CORRUPT);
        str_free(cut);
    }
    str_free(hll);
}

Test(hll, changed_anywhere_it_is_read_or_refused)
{
    struct rng rng;
    rng_seed(&rng, 3);
    struct str *hll = hll_new();
    for (uint64_t n = 0; n < 300; n++) {
        uint8_t count;
        uint32_t index = place(n, &count);
        hll_raise(&hll, index, count, 3000);
    }
    for (int i = 0; i < 5000; i++) {
        struct str *other = str_dup(hll);
        size_t at = HLL_HEADER_BYTES + rng_below(&rng, other->len - HLL_HEADER_BYTES);
        other->data[at] = (char)rng_next(&rng);
        for (int n = 0; n < 20; n++) {
            uint32_t index = (uint32_t)rng_below(&rng, HLL_REGISTERS);
            hll_raise(&other, index, (uint8_t)(1 + rng_below(&rng, 40)), 3000);
        }
        uint8_t registers[HLL_REGISTERS] = {0};
        if (hll_merge(registers, str_view(other))) hll_estimate(registers);
        str_free(other);
    }
    str_free(hll);
}
