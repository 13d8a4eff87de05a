#include "base/bytes.h"

#include "base/mem.h"

#include <ctype.h>
#include <stdio.h>

int bytes_compare(struct bytes a, struct bytes b)
{
    size_t common = a.len < b.len ? a.len : b.len;
    int order = common ? memcmp(a.data, b.data, common) : 0;
    if (order != 0) return order;
    return (a.len > b.len) - (a.len < b.len);
}

bool bytes_equal_nocase(struct bytes a, const char *b)
{
    for (size_t i = 0; i < a.len; i++) {
        if (b[i] == '\0') return false;
        if (tolower((unsigned char)a.data[i]) != tolower((unsigned char)b[i])) return false;
    }
    return b[a.len] == '\0';
}

void buf_free(struct buf *b)
{
    mem_free(b->data);
    *b = BUF_EMPTY;
}

char *buf_reserve(struct buf *b, size_t room)
{
    if (b->cap - b->end >= room) return b->data + b->end;
    size_t used = buf_len(b);
    // Moving down is worth it only where it frees at least as much as it copies.
    if (b->start >= used && b->cap - used >= room) {
        memmove(b->data, b->data + b->start, used);
    } else {
        size_t want = used + room, cap = b->cap ? b->cap : 64;
        while (cap < want)
            cap += cap < (1u << 20) ? cap : cap / 2;
        char *data = mem_alloc(cap);
        if (used) memcpy(data, b->data + b->start, used);
        mem_free(b->data);
        b->data = data;
        b->cap = cap;
    }
    b->start = 0;
    b->end = used;
    return b->data + b->end;
}

void buf_append(struct buf *b, const void *data, size_t len)
{
    if (len == 0) return;
    memcpy(buf_reserve(b, len), data, len);
    b->end += len;
}

void buf_vprintf(struct buf *b, const char *format, va_list args)
{
    va_list again;
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, format, args);
    if (len > 0) {
        vsnprintf(buf_reserve(b, (size_t)len + 1), (size_t)len + 1, format, again);
        b->end += (size_t)len;
    }
    va_end(again);
}

void buf_printf(struct buf *b, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    buf_vprintf(b, format, args);
    va_end(args);
}

void buf_consume(struct buf *b, size_t len)
{
    b->start += len;
    if (b->start == b->end) b->start = b->end = 0;
}

void buf_clear(struct buf *b)
{
    b->start = b->end = 0;
}

struct str *str_try(size_t len)
{
    if (len > SIZE_MAX - sizeof(struct str) - 1) return NULL;
    struct str *s = mem_try(sizeof(*s) + len + 1);
    if (s == NULL) return NULL;
    s->len = s->cap = len;
    s->data[len] = '\0';
    return s;
}

struct str *str_new(const void *data, size_t len)
{
    struct str *s = mem_alloc(sizeof(*s) + len + 1);
    s->len = s->cap = len;
    if (data != NULL && len) memcpy(s->data, data, len);
    s->data[len] = '\0';
    return s;
}

struct str *str_dup(const struct str *s)
{
    return str_new(s->data, s->len);
}

void str_free(struct str *s)
{
    if (s != NULL) mem_free_sized(s, sizeof(*s) + s->cap + 1);
}

struct str *str_grow(struct str *s, size_t cap)
{
    if (cap <= s->cap) return s;
    size_t doubled = cap < (1u << 20) ? cap * 2 : cap + (1u << 20);
    s = mem_realloc(s, sizeof(*s) + doubled + 1);
    s->cap = doubled;
    return s;
}

struct str *str_append(struct str *s, struct bytes v)
{
    s = str_grow(s, s->len + v.len);
    if (v.len) memcpy(s->data + s->len, v.data, v.len);
    s->len += v.len;
    s->data[s->len] = '\0';
    return s;
}

struct str *str_resize(struct str *s, size_t len)
{
    s = str_grow(s, len);
    if (len > s->len) memset(s->data + s->len, 0, len - s->len);
    s->len = len;
    s->data[len] = '\0';
    return s;
}

struct str *str_printf(const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, format, args);
    struct str *s = str_new(NULL, len > 0 ? (size_t)len : 0);
    if (len > 0) vsnprintf(s->data, (size_t)len + 1, format, again);
    va_end(again);
    va_end(args);
    return s;
}
