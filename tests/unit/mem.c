// What the allocator is made to do besides allocating.
#include "base/mem.h"

#include <criterion/criterion.h>

#ifdef WHERRY_JEMALLOC
#include <jemalloc/jemalloc.h>
#include <stdio.h>

static unsigned arenas(void)
{
    unsigned all = 0, made = 0;
    size_t len = sizeof(all);
    cr_assert_eq(mallctl("arenas.narenas", &all, &len, NULL, 0), 0);
    for (unsigned i = 0; i < all; i++) {
        char name[40];
        bool is = false;
        len = sizeof(is);
        snprintf(name, sizeof(name), "arena.%u.initialized", i);
        cr_assert_eq(mallctl(name, &is, &len, NULL, 0), 0);
        made += is;
    }
    return made;
}

// Counting what is allocated visits all that there are.
Test(mem, warmed_up_it_has_the_arenas_that_a_loop_needs_and_no_others)
{
    unsigned before = arenas();
    mem_warm_up();
    unsigned warm = arenas();
    cr_expect_leq(warm, before + 1);
    void *buffer = mem_alloc_passing(100000);
    cr_expect_eq(arenas(), warm, "the first buffer finds its own there");
    mem_free_passing(buffer, 100000);

    ssize_t decay_ms = 0;
    size_t len = sizeof(decay_ms);
    cr_assert_eq(mallctl("arena.1.dirty_decay_ms", &decay_ms, &len, NULL, 0), 0);
    cr_expect_eq(decay_ms, 1000, "a burst of buffers is given back soon");
}
#endif

Test(mem, what_is_allocated_is_counted)
{
    enum { BYTES = 10 << 20 };
    uint64_t before = mem_used_bytes();
    void *own = mem_alloc(BYTES), *passing = mem_alloc_passing(BYTES);
    cr_expect_geq(mem_used_bytes(), before + 2 * BYTES);
    mem_free_sized(own, BYTES);
    mem_free_passing(passing, BYTES);
    cr_expect_lt(mem_used_bytes(), before + BYTES);
}
