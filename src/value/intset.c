#include "value/intset.h"

#include "base/mem.h"

#include <endian.h>

static uint32_t width_for(int64_t n)
{
    if (n >= INT16_MIN && n <= INT16_MAX) return 2;
    return n >= INT32_MIN && n <= INT32_MAX ? 4 : 8;
}

static uint32_t width_of(const struct intset *is)
{
    return le32toh(is->width);
}

static int64_t read_element(const unsigned char *elements, uint32_t width, uint32_t index)
{
    const unsigned char *p = elements + (size_t)width * index;
    if (width == 2) {
        uint16_t n;
        memcpy(&n, p, 2);
        return (int16_t)le16toh(n);
    }
    if (width == 4) {
        uint32_t n;
        memcpy(&n, p, 4);
        return (int32_t)le32toh(n);
    }
    uint64_t n;
    memcpy(&n, p, 8);
    return (int64_t)le64toh(n);
}

static void write_element(struct intset *is, uint32_t width, uint32_t index, int64_t number)
{
    // The low bytes of a little-endian integer are the narrower integer.
    uint64_t n = htole64((uint64_t)number);
    memcpy(is->elements + (size_t)width * index, &n, width);
}

struct intset *intset_new(void)
{
    struct intset *is = mem_alloc(sizeof(*is));
    is->width = htole32(2);
    is->count = 0;
    return is;
}

void intset_free(struct intset *is)
{
    mem_free(is);
}

uint32_t intset_count(const struct intset *is)
{
    return le32toh(is->count);
}

int64_t intset_at(const struct intset *is, uint32_t index)
{
    return read_element(is->elements, width_of(is), index);
}

struct bytes intset_view(const struct intset *is)
{
    return bytes_of(is, INTSET_HEADER_BYTES + (size_t)width_of(is) * intset_count(is));
}

// Where `number` is, or would be.
static uint32_t position(const struct intset *is, int64_t number, bool *there)
{
    uint32_t low = 0, high = intset_count(is);
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (intset_at(is, middle) < number)
            low = middle + 1;
        else
            high = middle;
    }
    *there = low < intset_count(is) && intset_at(is, low) == number;
    return low;
}

static struct intset *resize(struct intset *is, uint32_t width, uint32_t count)
{
    return mem_realloc(is, sizeof(*is) + (size_t)width * count);
}

// Every element takes more room from now on; from the last on, so that none is overwritten unread.
static struct intset *widen(struct intset *is, uint32_t width)
{
    uint32_t count = intset_count(is), old = width_of(is);
    is = resize(is, width, count + 1);
    for (uint32_t i = count; i-- > 0;)
        write_element(is, width, i, read_element(is->elements, old, i));
    is->width = htole32(width);
    return is;
}

struct intset *intset_add(struct intset *is, int64_t number, bool *changed)
{
    bool there;
    uint32_t at = position(is, number, &there);
    *changed = !there;
    if (there) return is;
    if (width_for(number) > width_of(is)) is = widen(is, width_for(number));
    uint32_t count = intset_count(is), width = width_of(is);
    is = resize(is, width, count + 1);
    unsigned char *gap = is->elements + (size_t)width * at;
    memmove(gap + width, gap, (size_t)width * (count - at));
    write_element(is, width, at, number);
    is->count = htole32(count + 1);
    return is;
}

struct intset *intset_remove(struct intset *is, int64_t number, bool *changed)
{
    uint32_t at = position(is, number, changed);
    if (!*changed) return is;
    uint32_t count = intset_count(is) - 1, width = width_of(is);
    unsigned char *gap = is->elements + (size_t)width * at;
    memmove(gap, gap + width, (size_t)width * (count - at));
    is->count = htole32(count);
    return resize(is, width, count);
}

bool intset_contains(const struct intset *is, int64_t number)
{
    bool there;
    position(is, number, &there);
    return there;
}

struct intset *intset_from(struct bytes blob)
{
    struct intset *is = mem_try(blob.len);
    if (is != NULL) memcpy(is, blob.data, blob.len);
    return is;
}

bool intset_validate(struct bytes blob, bool deep)
{
    if (blob.len < INTSET_HEADER_BYTES) return false;
    uint32_t width, count;
    memcpy(&width, blob.data, 4);
    memcpy(&count, blob.data + 4, 4);
    width = le32toh(width);
    count = le32toh(count);
    if (width != 2 && width != 4 && width != 8) return false;
    if (blob.len - INTSET_HEADER_BYTES != (uint64_t)width * count) return false;
    const unsigned char *elements = (const unsigned char *)blob.data + INTSET_HEADER_BYTES;
    for (uint32_t i = 1; deep && i < count; i++)
        if (read_element(elements, width, i - 1) >= read_element(elements, width, i)) return false;
    return true;
}
