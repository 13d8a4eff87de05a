// Reference-counted chunks and chains of them: how output is held between producer and wire, and
// how replicas and the backlog share one stream. One thread owns a chunk; counts are not atomic.
#ifndef WHERRY_BASE_CHUNK_H
#define WHERRY_BASE_CHUNK_H

#include "base/bytes.h"
#include "base/list.h"

struct chunk {
    uint32_t refs;
    uint32_t cap; // bytes
    uint32_t len; // bytes filled; only ever grows, so that a reader's range stays valid
    char data[];
};

struct chunk *chunk_new(uint32_t cap); // refs 1, len 0
struct chunk *chunk_ref(struct chunk *c);
void chunk_unref(struct chunk *c); // NULL is fine

// A queue of ranges of chunks. Appending small things fills the chain's own last chunk.
struct chain {
    struct list segments; // of struct segment
    size_t len;           // bytes in all
};

struct segment {
    struct list link;
    struct chunk *chunk; // holds a reference
    uint32_t start, len; // the range of chunk->data
    bool open;           // the chain itself may append to this chunk
};

void chain_init(struct chain *c);
void chain_free(struct chain *c); // and leaves it empty, ready for use
void chain_append(struct chain *c, const void *data, size_t len);
// Shares a range of a chunk that is already filled; takes a reference of its own.
void chain_append_chunk(struct chain *c, struct chunk *chunk, uint32_t start, uint32_t len);
// Moves everything in `from` to the back of `to`.
void chain_move(struct chain *to, struct chain *from);
void chain_consume(struct chain *c, size_t len); // at the front
// Fills `views` with up to `max` ranges from the front; returns how many.
int chain_peek(const struct chain *c, struct bytes *views, int max);
// Copies up to `max` bytes from the front and consumes them; returns how many.
size_t chain_read(struct chain *c, char *out, size_t max);

#endif
