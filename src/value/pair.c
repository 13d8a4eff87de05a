#include "value/pair.h"

#include "base/mem.h"

struct narrow {
    uint16_t key_len, value_len;
};
struct wide {
    struct narrow narrow; // WIDE, 0
    uint32_t unused;
    uint64_t key_len, value_len;
};
enum { WIDE = UINT16_MAX };

const struct dict_type pair_dict = {.key = pair_key, .free_item = mem_free};

struct shape {
    char *text; // the key, and after it the value
    uint64_t key_len, value_len;
};

static bool is_wide(const void *pair)
{
    return ((const struct narrow *)pair)->key_len == WIDE;
}

static inline struct shape shape_of(const void *pair)
{
    const struct narrow *n = pair;
    if (!is_wide(pair)) return (struct shape){(char *)pair + sizeof(*n), n->key_len, n->value_len};
    const struct wide *w = pair;
    return (struct shape){(char *)pair + sizeof(*w), w->key_len, w->value_len};
}

struct bytes pair_key(const void *pair)
{
    struct shape s = shape_of(pair);
    return bytes_of(s.text, s.key_len);
}

struct bytes pair_value(const void *pair)
{
    struct shape s = shape_of(pair);
    return bytes_of(s.text + s.key_len, s.value_len);
}

size_t pair_bytes(const void *pair)
{
    struct shape s = shape_of(pair);
    return (size_t)(s.text - (const char *)pair) + s.key_len + s.value_len;
}

static bool needs_wide(size_t key_len, size_t value_len)
{
    return key_len >= WIDE || value_len >= WIDE;
}

static size_t head_bytes(size_t key_len, size_t value_len)
{
    return needs_wide(key_len, value_len) ? sizeof(struct wide) : sizeof(struct narrow);
}

static void put_lengths(struct pair *pair, bool wide, size_t key_len, size_t value_len)
{
    if (wide)
        *(struct wide *)(void *)pair = (struct wide){{WIDE, 0}, 0, key_len, value_len};
    else
        *(struct narrow *)(void *)pair = (struct narrow){(uint16_t)key_len, (uint16_t)value_len};
}

struct pair *pair_new(struct bytes key, struct bytes value)
{
    size_t head = head_bytes(key.len, value.len);
    struct pair *pair = mem_alloc(head + key.len + value.len);
    put_lengths(pair, needs_wide(key.len, value.len), key.len, value.len);
    char *text = (char *)pair + head;
    if (key.len) memcpy(text, key.data, key.len);
    if (value.len) memcpy(text + key.len, value.data, value.len);
    return pair;
}

bool pair_rewrite(struct pair *pair, struct bytes value)
{
    struct shape s = shape_of(pair);
    bool wide = needs_wide(s.key_len, value.len);
    size_t need = head_bytes(s.key_len, value.len) + s.key_len + value.len;
    size_t have = mem_size(pair);
    if (wide != is_wide(pair) || need > have || need < have / 2) return false;
    put_lengths(pair, wide, s.key_len, value.len);
    if (value.len) memmove(s.text + s.key_len, value.data, value.len);
    return true;
}

struct pair *pair_copy(const void *pair)
{
    size_t bytes = pair_bytes(pair);
    struct pair *copy = mem_alloc(bytes);
    memcpy(copy, pair, bytes);
    return copy;
}
