#include "repl/stream.h"

#include "base/mem.h"
#include "base/text.h"
#include "proto/command_line.h"

#include <assert.h>
#include <string.h>

// A block owns one chunk and knows where in the stream it stands. The chunk's len is how far the
// block was filled: up to `received`, so past what readers may see.
struct repl_block {
    struct list link;
    struct chunk *chunk;
    int64_t first; // number of the first byte
};

static struct repl_block *block_of(struct list *link)
{
    return list_entry(link, struct repl_block, link);
}

static void zero_id2(struct repl_stream *s)
{
    memset(s->id2, '0', REPL_ID_BYTES);
    s->id2[REPL_ID_BYTES] = '\0';
    s->second_offset = -1;
}

static void random_id(struct repl_stream *s)
{
    rng_hex(s->rng, s->id, REPL_ID_BYTES);
    s->id[REPL_ID_BYTES] = '\0';
}

void repl_stream_init(struct repl_stream *s, struct rng *rng, int64_t limit)
{
    *s = (struct repl_stream){.rng = rng, .limit = limit, .first = 1, .selected_db = -1};
    list_init(&s->blocks);
    list_init(&s->dropped);
    list_init(&s->readers);
    repl_stream_new_id(s);
}

static void block_free(struct repl_stream *s, struct repl_block *b)
{
    list_remove(&b->link);
    chunk_unref(b->chunk);
    mem_free(b);
    s->block_count--;
}

// Freeing takes its time when the backlog is large: repl_stream_trim does it bit by bit.
static void drop_blocks(struct repl_stream *s)
{
    assert(list_empty(&s->readers));
    list_splice_back(&s->dropped, &s->blocks);
    s->received = s->offset;
    s->first = s->offset + 1;
}

void repl_stream_free(struct repl_stream *s)
{
    drop_blocks(s);
    list_each_safe(at, &s->dropped) block_free(s, block_of(at));
    s->active = false;
}

void repl_stream_new_id(struct repl_stream *s)
{
    random_id(s);
    zero_id2(s);
}

void repl_stream_shift_id(struct repl_stream *s)
{
    memcpy(s->id2, s->id, sizeof(s->id2));
    s->second_offset = s->offset + 1;
    random_id(s);
}

void repl_stream_follow_id(struct repl_stream *s, const char *id)
{
    memcpy(s->id2, s->id, sizeof(s->id2));
    s->second_offset = s->offset + 1;
    memcpy(s->id, id, REPL_ID_BYTES);
}

void repl_stream_reset(struct repl_stream *s, const char *id, int64_t offset)
{
    drop_blocks(s);
    memcpy(s->id, id, REPL_ID_BYTES);
    zero_id2(s);
    s->offset = s->received = offset;
    s->first = offset + 1;
    s->active = true;
    s->selected_db = -1;
}

void repl_stream_rebase(struct repl_stream *s, int64_t base)
{
    assert(list_empty(&s->readers));
    s->offset += base;
    s->received += base;
    s->first += base;
    list_each(at, &s->blocks) block_of(at)->first += base;
}

void repl_stream_activate(struct repl_stream *s)
{
    if (s->active) return;
    s->active = true;
    s->received = s->offset;
    s->first = s->offset + 1;
}

void repl_stream_deactivate(struct repl_stream *s)
{
    drop_blocks(s);
    s->active = false;
}

void repl_stream_resize(struct repl_stream *s, int64_t limit)
{
    s->limit = limit;
    repl_stream_trim(s);
}

// ---- writing ----------------------------------------------------------------------------------

// The chunk that is being filled, with room for at least one byte.
static struct chunk *chunk_with_room(struct repl_stream *s)
{
    if (!list_empty(&s->blocks)) {
        struct chunk *last = block_of(s->blocks.prev)->chunk;
        if (last->len < last->cap) return last;
    }
    struct repl_block *b = mem_new(struct repl_block);
    b->chunk = chunk_new(REPL_CHUNK_BYTES);
    b->first = s->received + 1;
    list_push_back(&s->blocks, &b->link);
    s->block_count++;
    return b->chunk;
}

void repl_stream_receive(struct repl_stream *s, struct bytes data)
{
    if (!s->active) {
        s->received += (int64_t)data.len;
        return;
    }
    while (data.len > 0) {
        struct chunk *c = chunk_with_room(s);
        size_t room = c->cap - c->len, part = data.len < room ? data.len : room;
        memcpy(c->data + c->len, data.data, part);
        c->len += (uint32_t)part;
        s->received += (int64_t)part;
        data.data += part;
        data.len -= part;
    }
}

void repl_stream_commit(struct repl_stream *s, int64_t offset)
{
    assert(offset >= s->offset && offset <= s->received);
    s->offset = offset;
    if (!s->active) s->first = offset + 1;
    repl_stream_trim(s);
}

void repl_stream_drop_received(struct repl_stream *s)
{
    // Nobody has seen these bytes, so shortening the chunks takes nothing from a reader.
    while (!list_empty(&s->blocks) && s->active) {
        struct repl_block *b = block_of(s->blocks.prev);
        if (b->first <= s->offset) {
            b->chunk->len = (uint32_t)(s->offset + 1 - b->first);
            break;
        }
        // A reader that has read everything may stand on the next block already.
        list_each(at, &s->readers)
        {
            struct repl_reader *r = list_entry(at, struct repl_reader, link);
            if (r->at == b) r->at = NULL;
        }
        block_free(s, b);
    }
    s->received = s->offset;
}

void repl_stream_append(struct repl_stream *s, struct bytes data)
{
    repl_stream_receive(s, data);
    repl_stream_commit(s, s->received);
}

void repl_stream_requests(struct repl_stream *s, int db, struct bytes text)
{
    if (db != -1 && db != s->selected_db) {
        char number[TEXT_I64_BYTES];
        size_t len = text_from_i64(number, db);
        struct bytes words[2] = {BYTES("SELECT"), bytes_of(number, len)};
        s->selected_db = db;
        repl_stream_command(s, -1, 2, words);
    }
    repl_stream_append(s, text);
}

void repl_stream_command(struct repl_stream *s, int db, int argc, const struct bytes *argv)
{
    struct buf text = BUF_EMPTY;
    request_append(&text, argc, argv);
    repl_stream_requests(s, db, buf_view(&text));
    buf_free(&text);
}

// The lowest byte that a reader still needs.
static int64_t pinned_from(const struct repl_stream *s)
{
    int64_t lowest = INT64_MAX;
    list_each(at, &s->readers)
    {
        const struct repl_reader *r = list_entry(at, struct repl_reader, link);
        if (r->next < lowest) lowest = r->next;
    }
    return lowest;
}

bool repl_stream_trim(struct repl_stream *s)
{
    int64_t held = s->offset + 1 - s->first;
    if (!list_empty(&s->dropped)) {
        for (int freed = 0; freed < REPL_TRIM_CHUNKS && !list_empty(&s->dropped); freed++)
            block_free(s, block_of(s->dropped.next));
        return true;
    }
    if (!s->active || held <= s->limit) return false;
    int64_t pinned = pinned_from(s);
    for (int freed = 0; freed < REPL_TRIM_CHUNKS && !list_empty(&s->blocks); freed++) {
        struct repl_block *b = block_of(s->blocks.next);
        int64_t end = b->first + b->chunk->len; // number of the byte behind it
        // Whole chunks only, never below the limit, never what a reader needs, and never the one
        // that is being filled.
        if (end > pinned || end > s->offset || s->offset + 1 - end < s->limit) return false;
        // A reader that has just read its last byte may stand on it still.
        list_each(at, &s->readers)
        {
            struct repl_reader *r = list_entry(at, struct repl_reader, link);
            if (r->at == b) r->at = NULL;
        }
        s->first = end;
        block_free(s, b);
    }
    return true;
}

// ---- reading ----------------------------------------------------------------------------------

enum repl_verdict repl_stream_judge(const struct repl_stream *s, struct bytes id, int64_t next)
{
    if (!bytes_equal(id, bytes_of(s->id, REPL_ID_BYTES))) {
        if (s->second_offset < 0 || !bytes_equal(id, bytes_of(s->id2, REPL_ID_BYTES)))
            return REPL_OTHER_ID;
        if (next > s->second_offset) return REPL_AFTER_SECOND;
    }
    if (!s->active || next < s->first || next > s->offset + 1) return REPL_NOT_IN_BACKLOG;
    return REPL_CONTINUE;
}

void repl_reader_open(struct repl_stream *s, struct repl_reader *r, int64_t next)
{
    assert(next >= s->first && next <= s->offset + 1);
    r->next = next;
    r->at = NULL;
    list_push_back(&s->readers, &r->link);
}

void repl_reader_copy(const struct repl_reader *from, struct repl_reader *to)
{
    to->next = from->next;
    to->at = from->at;
    list_insert_after((struct list *)(uintptr_t)&from->link, &to->link);
}

void repl_reader_close(struct repl_reader *r)
{
    if (!repl_reader_is_open(r)) return;
    list_remove(&r->link);
    r->at = NULL;
}

// The block that holds byte r->next; searched from the back, where readers usually are.
static struct repl_block *find_block(struct repl_stream *s, int64_t number)
{
    for (struct list *at = s->blocks.prev; at != &s->blocks; at = at->prev)
        if (block_of(at)->first <= number) return block_of(at);
    return NULL;
}

size_t repl_reader_take(struct repl_stream *s, struct repl_reader *r, struct chain *out, size_t max)
{
    size_t taken = 0;
    while (taken < max && r->next <= s->offset) {
        if (r->at == NULL) r->at = find_block(s, r->next);
        struct repl_block *b = r->at;
        int64_t seen = s->offset + 1 - b->first; // readable bytes of this block
        if (seen > b->chunk->len) seen = b->chunk->len;
        uint32_t start = (uint32_t)(r->next - b->first);
        if (start == b->chunk->len) { // read to its end: the rest is in the next one
            r->at = b->link.next == &s->blocks ? NULL : block_of(b->link.next);
            continue;
        }
        size_t part = (size_t)seen - start;
        if (part > max - taken) part = max - taken;
        chain_append_chunk(out, b->chunk, start, (uint32_t)part);
        r->next += (int64_t)part;
        taken += part;
    }
    return taken;
}

int64_t repl_stream_histlen(const struct repl_stream *s)
{
    return s->active ? s->offset + 1 - s->first : 0;
}

size_t repl_stream_memory(const struct repl_stream *s)
{
    return s->block_count * (sizeof(struct repl_block) + sizeof(struct chunk) + REPL_CHUNK_BYTES);
}
