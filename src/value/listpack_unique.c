#include "base/mem.h"
#include "value/listpack.h"
#include "value/siphash.h"

enum { SLOTS_ON_STACK = 256 };

struct slot {
    uint64_t hash;
    const unsigned char *at; // NULL: free
};

// False when the entry's text is in the table.
static bool add(struct slot *slots, size_t mask, const unsigned char *at, uint64_t seed)
{
    char scratch[TEXT_I64_BYTES];
    struct bytes text = listpack_text(at, scratch);
    uint64_t hash = siphash13(seed, ~seed, text);
    size_t i = hash & mask;
    for (; slots[i].at != NULL; i = (i + 1) & mask)
        if (slots[i].hash == hash && listpack_equals(slots[i].at, text)) return false;
    slots[i] = (struct slot){hash, at};
    return true;
}

bool listpack_unique(const unsigned char *lp, unsigned stride, uint64_t seed)
{
    struct slot few[SLOTS_ON_STACK] = {{0, NULL}}, *slots = few;
    uint64_t count = listpack_count(lp) / stride + 1;
    size_t size = SLOTS_ON_STACK;
    while (size < count * 2)
        size *= 2;
    if (size > SLOTS_ON_STACK) slots = mem_zalloc(size * sizeof(*slots));
    bool unique = true;
    const unsigned char *at = listpack_first(lp);
    while (at != NULL && unique) {
        unique = add(slots, size - 1, at, seed);
        for (unsigned i = 0; i < stride && at != NULL; i++)
            at = listpack_next(lp, at);
    }
    if (slots != few) mem_free(slots);
    return unique;
}
