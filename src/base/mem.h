// Allocation. mem_alloc never returns NULL: running out of memory for a small, bounded request
// ends the process with a message. A size that comes from a peer goes through mem_try, after the
// caller has checked it against a limit of its own.
#ifndef WHERRY_BASE_MEM_H
#define WHERRY_BASE_MEM_H

#include "base/bytes.h"
#include <stdbool.h>

#include <stddef.h>
#include <stdint.h>

void *mem_alloc(size_t size) __attribute__((malloc, returns_nonnull));
void *mem_zalloc(size_t size) __attribute__((malloc, returns_nonnull));
void *mem_realloc(void *ptr, size_t size) __attribute__((returns_nonnull));
// Like mem_zalloc, for large sizes, without touching the memory: recycled pages are given back to
// the system, which hands out zeroed ones as they are used. Clearing megabytes would hold the loop.
void *mem_zero_pages(size_t size) __attribute__((malloc, returns_nonnull));
// NULL when the memory is not to be had.
void *mem_try(size_t size) __attribute__((malloc, warn_unused_result));
void mem_free(void *ptr); // NULL is fine
// The same where it is known how much was asked for: the allocator then need not look that up,
// which for memory that nobody has touched lately is most of what freeing takes.
void mem_free_sized(void *ptr, size_t size);
// For buffers that come and go while data grow: memory of their own, or what is freed of it would
// become data, and each new buffer be pages that nobody has used yet.
void *mem_alloc_passing(size_t size) __attribute__((malloc, warn_unused_result));
void mem_free_passing(void *ptr, size_t size);
// Bytes that the allocator really set aside for ptr (0 for NULL).
size_t mem_size(const void *ptr);
// Bytes allocated by the whole process, as the allocator counts them.
uint64_t mem_used_bytes(void);
// What the allocator makes of itself on first use (a millisecond's worth), before a loop runs: by
// the thread that will run it.
void mem_warm_up(void);

// Whether freed memory is given back to the system by a thread of the allocator's own, and not in
// the middle of somebody's free. False: this allocator can't do what was asked.
bool mem_set_background_purge(bool on);

// Gives back to the system what the allocator keeps; takes its time. False: it cannot.
bool mem_purge(void);
// Appends what the allocator says of itself; takes its time.
void mem_describe(struct buf *out);

// What the calling thread has allocated less what it has freed, modulo 2^64: two loads, where
// mem_used_bytes takes microseconds. False: this allocator doesn't count so.
struct mem_thread {
    const uint64_t *allocated, *freed; // the allocator's
};
bool mem_thread_init(struct mem_thread *t);
static inline uint64_t mem_thread_bytes(const struct mem_thread *t)
{
    return *t->allocated - *t->freed;
}

#define mem_new(type)      ((type *)mem_zalloc(sizeof(type)))
#define mem_array(type, n) ((type *)mem_alloc_array((n), sizeof(type)))
void *mem_alloc_array(size_t count, size_t size) __attribute__((malloc, returns_nonnull));

#endif
