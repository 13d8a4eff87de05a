// Views of bytes, growable buffers and heap strings: the three ways in which bytes are held.
#ifndef WHERRY_BASE_BYTES_H
#define WHERRY_BASE_BYTES_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

// A view: borrowed, not NUL-terminated, valid as long as what it points into.
struct bytes {
    const char *data;
    size_t len;
};

#define BYTES(literal) ((struct bytes){(literal), sizeof(literal) - 1})

static inline struct bytes bytes_of(const void *data, size_t len)
{
    return (struct bytes){(const char *)data, len};
}

static inline struct bytes bytes_from_cstr(const char *text)
{
    return (struct bytes){text, strlen(text)};
}

static inline bool bytes_equal(struct bytes a, struct bytes b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

// Orders by unsigned byte, a prefix before what it is a prefix of. <0, 0, >0.
int bytes_compare(struct bytes a, struct bytes b);
// ASCII case folded on both sides.
bool bytes_equal_nocase(struct bytes a, const char *b);

// A growable buffer. Bytes are taken at the front and added at the back:
//
//     data        data+start           data+end         data+cap
//      | consumed  |  readable: buf_view |  buf_reserve   |
struct buf {
    char *data;
    size_t start, end, cap;
};

#define BUF_EMPTY ((struct buf){0})

void buf_free(struct buf *b); // and leaves it empty, ready for use
static inline size_t buf_len(const struct buf *b)
{
    return b->end - b->start;
}
static inline struct bytes buf_view(const struct buf *b)
{
    return (struct bytes){b->data ? b->data + b->start : "", b->end - b->start};
}
// Room for at least `room` bytes at the back; fill it and tell buf_commit how much was used.
char *buf_reserve(struct buf *b, size_t room);
static inline void buf_commit(struct buf *b, size_t used)
{
    b->end += used;
}
void buf_append(struct buf *b, const void *data, size_t len);
static inline void buf_append_bytes(struct buf *b, struct bytes v)
{
    buf_append(b, v.data, v.len);
}
static inline void buf_append_cstr(struct buf *b, const char *text)
{
    buf_append(b, text, strlen(text));
}
static inline void buf_append_byte(struct buf *b, uint8_t byte)
{
    *buf_reserve(b, 1) = (char)byte;
    b->end++;
}
void buf_printf(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
void buf_vprintf(struct buf *b, const char *format, va_list args);
// Takes `len` readable bytes away at the front.
void buf_consume(struct buf *b, size_t len);
void buf_clear(struct buf *b); // empties it, keeps the memory

// A heap string: one allocation, NUL after the last byte, owned by whoever holds the pointer.
struct str {
    size_t len;
    size_t cap; // bytes that fit in data without moving, the NUL not counted
    char data[];
};

struct str *str_new(const void *data, size_t len); // data NULL: contents undefined
struct str *str_try(size_t len);                   // NULL when memory is not to be had
static inline struct str *str_from(struct bytes v)
{
    return str_new(v.data, v.len);
}
static inline struct bytes str_view(const struct str *s)
{
    return (struct bytes){s->data, s->len};
}
struct str *str_dup(const struct str *s);
void str_free(struct str *s); // NULL is fine
// The string may move: use what they return. str_grow makes cap at least `cap`, doubling.
struct str *str_grow(struct str *s, size_t cap) __attribute__((warn_unused_result));
struct str *str_append(struct str *s, struct bytes v) __attribute__((warn_unused_result));
// Sets the length, zero-filling what is new.
struct str *str_resize(struct str *s, size_t len) __attribute__((warn_unused_result));
struct str *str_printf(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
