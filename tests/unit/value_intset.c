// Sorted integer arrays: contents against a plain search, widths, and bytes that are not one.
#include "base/mem.h"
#include "base/rng.h"
#include "value/intset.h"

#include <criterion/criterion.h>

static int64_t draw(struct rng *rng)
{
    static const int64_t edges[] = {INT16_MIN, INT16_MAX, INT32_MIN, INT32_MAX,
                                    INT64_MIN, INT64_MAX, 0,         -1};
    switch (rng_below(rng, 4)) {
    case 0:
        return edges[rng_below(rng, 8)];
    case 1:
        return (int64_t)rng_next(rng);
    default:
        return (int64_t)rng_below(rng, 200) - 100;
    }
}

Test(value_intset, agrees_with_a_plain_search)
{
    enum { MOST = 400 };
    for (uint64_t seed = 0; seed < 30; seed++) {
        struct rng rng;
        int64_t there[MOST];
        uint32_t count = 0;
        struct intset *is = intset_new();
        rng_seed(&rng, seed);
        for (int i = 0; i < 2 * MOST; i++) {
            int64_t n = draw(&rng);
            uint32_t at = 0;
            while (at < count && there[at] != n)
                at++;
            bool changed, known = at < count;
            cr_assert_eq(intset_contains(is, n), known);
            if (rng_below(&rng, 3) && count < MOST) {
                is = intset_add(is, n, &changed);
                cr_assert_eq(changed, !known);
                if (changed) there[count++] = n;
            } else {
                is = intset_remove(is, n, &changed);
                cr_assert_eq(changed, known);
                if (changed) there[at] = there[--count];
            }
            cr_assert_eq(intset_count(is), count);
            cr_assert(intset_validate(intset_view(is), true));
        }
        intset_free(is);
    }
}

Test(value_intset, layout_is_that_of_rdb)
{
    bool changed;
    struct intset *is = intset_new();
    is = intset_add(is, 5, &changed);
    is = intset_add(is, -2, &changed);
    cr_expect(bytes_equal(intset_view(is), BYTES("\x02\0\0\0\x02\0\0\0\xfe\xff\x05\0")));
    is = intset_add(is, 70000, &changed);
    cr_expect(bytes_equal(intset_view(is), BYTES("\x04\0\0\0\x03\0\0\0\xfe\xff\xff\xff\x05\0\0\0"
                                                 "\x70\x11\x01\0")));
    intset_free(is);
}

// Copied to the heap, so that a sanitizer sees a read past the end.
static bool validates(const void *data, size_t len)
{
    char *copy = mem_alloc(len);
    memcpy(copy, data, len);
    bool valid = intset_validate(bytes_of(copy, len), true);
    mem_free(copy);
    return valid;
}

Test(value_intset, refuses_what_is_cut_or_wrong)
{
    static const char good[] = "\x02\0\0\0\x03\0\0\0\x01\0\x02\0\x03\0";
    size_t len = sizeof(good) - 1;
    cr_expect(validates(good, len));
    for (size_t cut = 1; cut < len; cut++)
        cr_expect_not(validates(good, cut));
    cr_expect_not(validates("\x03\0\0\0\x01\0\0\0\x01\0\0", 11), "width 3");
    cr_expect_not(validates("\x02\0\0\0\x02\0\0\0\x02\0\x01\0", 12), "descending");
    cr_expect_not(validates("\x02\0\0\0\x02\0\0\0\x02\0\x02\0", 12), "twice the same");
    cr_expect_not(validates("\x08\0\0\0\x00\0\0\x20", 8), "count that overflows");
}
