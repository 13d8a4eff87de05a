#include "base/chunk.h"

#include "base/mem.h"

enum { CHAIN_CHUNK_BYTES = 16 * 1024, LARGE_CHUNK_BYTES = 8 * 1024 };

struct chunk *chunk_new(uint32_t cap)
{
    size_t size = sizeof(struct chunk) + cap;
    struct chunk *c = cap >= LARGE_CHUNK_BYTES ? mem_alloc_passing(size) : mem_alloc(size);
    c->refs = 1;
    c->cap = cap;
    c->len = 0;
    return c;
}

struct chunk *chunk_ref(struct chunk *c)
{
    c->refs++;
    return c;
}

void chunk_unref(struct chunk *c)
{
    if (c == NULL || --c->refs > 0) return;
    if (c->cap >= LARGE_CHUNK_BYTES)
        mem_free_passing(c, sizeof(*c) + c->cap);
    else
        mem_free_sized(c, sizeof(*c) + c->cap);
}

void chain_init(struct chain *c)
{
    list_init(&c->segments);
    c->len = 0;
}

static void segment_drop(struct segment *s)
{
    list_remove(&s->link);
    chunk_unref(s->chunk);
    mem_free(s);
}

void chain_free(struct chain *c)
{
    list_each_safe(at, &c->segments) segment_drop(list_entry(at, struct segment, link));
    c->len = 0;
}

static struct segment *segment_push(struct chain *c, struct chunk *chunk, uint32_t start,
                                    uint32_t len, bool open)
{
    struct segment *s = mem_alloc(sizeof(*s));
    *s = (struct segment){.chunk = chunk, .start = start, .len = len, .open = open};
    list_push_back(&c->segments, &s->link);
    return s;
}

void chain_append(struct chain *c, const void *data, size_t len)
{
    const char *from = data;
    c->len += len;
    while (len > 0) {
        struct segment *last = list_entry(c->segments.prev, struct segment, link);
        if (list_empty(&c->segments) || !last->open || last->chunk->len == last->chunk->cap) {
            // A small reply should not cost a large chunk; a long one should not cost many.
            uint32_t cap = len >= CHAIN_CHUNK_BYTES ? CHAIN_CHUNK_BYTES
                           : len > 512              ? (uint32_t)len * 2
                                                    : 1024 - sizeof(struct chunk);
            if (!list_empty(&c->segments)) cap = CHAIN_CHUNK_BYTES;
            last = segment_push(c, chunk_new(cap), 0, 0, true);
        }
        size_t room = last->chunk->cap - last->chunk->len, part = len < room ? len : room;
        memcpy(last->chunk->data + last->chunk->len, from, part);
        last->chunk->len += (uint32_t)part;
        last->len += (uint32_t)part;
        from += part;
        len -= part;
    }
}

void chain_append_chunk(struct chain *c, struct chunk *chunk, uint32_t start, uint32_t len)
{
    if (len == 0) return;
    struct segment *last = list_entry(c->segments.prev, struct segment, link);
    if (!list_empty(&c->segments) && last->chunk == chunk && last->start + last->len == start)
        last->len += len;
    else
        segment_push(c, chunk_ref(chunk), start, len, false);
    c->len += len;
}

void chain_move(struct chain *to, struct chain *from)
{
    list_splice_back(&to->segments, &from->segments);
    to->len += from->len;
    from->len = 0;
}

void chain_consume(struct chain *c, size_t len)
{
    c->len -= len;
    while (len > 0) {
        struct segment *first = list_entry(c->segments.next, struct segment, link);
        if (len < first->len) {
            first->start += (uint32_t)len;
            first->len -= (uint32_t)len;
            return;
        }
        len -= first->len;
        segment_drop(first);
    }
}

int chain_peek(const struct chain *c, struct bytes *views, int max)
{
    int count = 0;
    list_each(at, &c->segments)
    {
        if (count == max) break;
        struct segment *s = list_entry(at, struct segment, link);
        views[count++] = bytes_of(s->chunk->data + s->start, s->len);
    }
    return count;
}

size_t chain_read(struct chain *c, char *out, size_t max)
{
    size_t copied = 0;
    struct bytes view;
    while (copied < max && chain_peek(c, &view, 1) == 1) {
        size_t part = view.len < max - copied ? view.len : max - copied;
        memcpy(out + copied, view.data, part);
        copied += part;
        chain_consume(c, part);
    }
    return copied;
}
