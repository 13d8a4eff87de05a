// Giving the memory of a block back to the system piece by piece, ahead of freeing the block: to
// free some hundred megabytes at once can take the system longer than a loop may be held.
#ifndef WHERRY_VALUE_PAGES_H
#define WHERRY_VALUE_PAGES_H

#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>

enum { PAGES_BYTES = 4096 };

// The whole pages within [from, to), which belongs to one allocation and is not needed any more.
// What can still be read there is zero or what it was.
static inline void pages_release(void *from, void *to)
{
    uintptr_t start = ((uintptr_t)from + PAGES_BYTES - 1) & ~(uintptr_t)(PAGES_BYTES - 1);
    uintptr_t end = (uintptr_t)to & ~(uintptr_t)(PAGES_BYTES - 1);
    if (end > start) madvise((void *)start, end - start, MADV_DONTNEED);
}

#endif
