#include "base/mem.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#ifdef WHERRY_JEMALLOC
#include <jemalloc/jemalloc.h>
#elif defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
size_t __sanitizer_get_current_allocated_bytes(void); // its header comes with clang alone
#endif

static void *check(void *ptr, size_t size)
{
    if (ptr != NULL) return ptr;
    fprintf(stderr, "wherry: out of memory asking for %zu bytes\n", size);
    abort();
}

void *mem_alloc(size_t size)
{
    return check(malloc(size ? size : 1), size);
}

void *mem_zalloc(size_t size)
{
    return check(calloc(1, size ? size : 1), size);
}

void *mem_realloc(void *ptr, size_t size)
{
    return check(realloc(ptr, size ? size : 1), size);
}

void *mem_zero_pages(size_t size)
{
    enum { PAGE_BYTES = 4096 };
    size_t whole = (size + PAGE_BYTES - 1) & ~(size_t)(PAGE_BYTES - 1);
    void *ptr = check(aligned_alloc(PAGE_BYTES, whole), whole);
    // Private anonymous memory: what is given back reads as zero (madvise(2), MADV_DONTNEED).
    if (madvise(ptr, whole, MADV_DONTNEED) != 0) memset(ptr, 0, whole);
    return ptr;
}

void *mem_alloc_array(size_t count, size_t size)
{
    size_t total;
    if (__builtin_mul_overflow(count, size, &total)) check(NULL, SIZE_MAX);
    return mem_alloc(total);
}

void *mem_try(size_t size)
{
    return malloc(size ? size : 1);
}

void mem_free(void *ptr)
{
    free(ptr);
}

void mem_free_sized(void *ptr, size_t size)
{
#ifdef WHERRY_JEMALLOC
    if (ptr != NULL) sdallocx(ptr, size, 0);
#else
    (void)size;
    free(ptr);
#endif
}

#ifdef WHERRY_JEMALLOC
// The arena after the one that jemalloc gives to the first thread, whose data are in that. There is
// one even where MALLOC_CONF wants a single arena: jemalloc makes it when it is first named. The
// thread's cache would mix the two again.
enum {
    PASSING_ARENA = 1,
    PASSING_FLAGS = MALLOCX_ARENA(PASSING_ARENA) | MALLOCX_TCACHE_NONE,
    PASSING_DECAY_MS = 1000,
};
#endif

void *mem_alloc_passing(size_t size)
{
#ifdef WHERRY_JEMALLOC
    return check(mallocx(size ? size : 1, PASSING_FLAGS), size);
#else
    return mem_alloc(size);
#endif
}

void mem_free_passing(void *ptr, size_t size)
{
#ifdef WHERRY_JEMALLOC
    if (ptr != NULL) sdallocx(ptr, size ? size : 1, MALLOCX_TCACHE_NONE);
#else
    (void)size;
    free(ptr);
#endif
}

size_t mem_size(const void *ptr)
{
    return ptr ? malloc_usable_size((void *)ptr) : 0;
}

uint64_t mem_used_bytes(void)
{
#ifdef WHERRY_JEMALLOC
    // jemalloc keeps a snapshot of its counters; writing the epoch refreshes it.
    uint64_t epoch = 1;
    size_t used = 0, len = sizeof(epoch);
    mallctl("epoch", &epoch, &len, &epoch, len);
    len = sizeof(used);
    if (mallctl("stats.allocated", &used, &len, NULL, 0) == 0) return used;
    return 0;
#elif defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    return __sanitizer_get_current_allocated_bytes();
#else
    struct mallinfo2 info = mallinfo2();
    return (uint64_t)info.uordblks + (uint64_t)info.hblkhd;
#endif
}

void mem_warm_up(void)
{
    // No other arenas: each that there is makes every count of mem_used_bytes longer by some 6 us,
    // and there may be four for each processor. Threads that need one make it themselves.
    mem_free_passing(mem_alloc_passing(1), 1);
#ifdef WHERRY_JEMALLOC
    // Data can't use what a burst of buffers has left behind, so it is not kept for ten seconds.
    char name[40];
    ssize_t decay_ms = PASSING_DECAY_MS;
    snprintf(name, sizeof(name), "arena.%d.dirty_decay_ms", PASSING_ARENA);
    mallctl(name, NULL, NULL, &decay_ms, sizeof(decay_ms));
#endif
    mem_used_bytes();
}

bool mem_thread_init(struct mem_thread *t)
{
#ifdef WHERRY_JEMALLOC
    uint64_t *allocated, *freed;
    size_t len = sizeof(allocated);
    if (mallctl("thread.allocatedp", &allocated, &len, NULL, 0) != 0) return false;
    if (mallctl("thread.deallocatedp", &freed, &len, NULL, 0) != 0) return false;
    *t = (struct mem_thread){allocated, freed};
    return true;
#else
    *t = (struct mem_thread){0};
    return false;
#endif
}

bool mem_set_background_purge(bool on)
{
#ifdef WHERRY_JEMALLOC
    return mallctl("background_thread", NULL, NULL, &on, sizeof(on)) == 0;
#else
    return !on;
#endif
}

bool mem_purge(void)
{
#ifdef WHERRY_JEMALLOC
    char name[32];
    snprintf(name, sizeof(name), "arena.%u.purge", (unsigned)MALLCTL_ARENAS_ALL);
    return mallctl(name, NULL, NULL, NULL, 0) == 0;
#else
    malloc_trim(0);
    return true;
#endif
}

#ifdef WHERRY_JEMALLOC
static void describe(void *arg, const char *text)
{
    buf_append_cstr(arg, text);
}
#endif

void mem_describe(struct buf *out)
{
#ifdef WHERRY_JEMALLOC
    malloc_stats_print(describe, out, NULL);
#else
    buf_append_cstr(out, "Stats not supported for the current allocator");
#endif
}
