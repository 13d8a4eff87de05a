// The request parser under arbitrary bytes: besides not crashing, it must tell the same story
// whether the input comes whole or in pieces, and hold no more than came.
#include "base/bytes.h"
#include "proto/request.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool stream_all(void *owner, const struct request *so_far, int index, uint64_t len)
{
    (void)owner;
    return so_far->argc == index && len > 2;
}

static void expect(bool holds)
{
    if (!holds) abort();
}

static void tell(struct buf *story, const struct request_parser *p, enum request_state state)
{
    if (state == REQUEST_READY) {
        const struct request *r = &p->request;
        expect(r->argc == r->expected && r->argc > 0);
        buf_printf(story, "[%d %d %llu", r->argc, r->stream_index,
                   (unsigned long long)r->wire_bytes);
        for (int i = 0; i < r->argc; i++) {
            expect(r->argv[i]->data[r->argv[i]->len] == '\0');
            buf_append_byte(story, '|');
            buf_append_bytes(story, str_view(r->argv[i]));
        }
        buf_append_byte(story, ']');
    } else if (state == REQUEST_STREAM) {
        if (p->stream.first) buf_append_byte(story, '{');
        buf_append_bytes(story, p->stream.chunk);
        if (p->stream.last) buf_append_byte(story, '}');
    }
}

static void parse(struct buf *story, uint8_t mode, struct bytes all, size_t piece)
{
    struct request_parser p;
    request_parser_init(&p);
    p.authenticated = mode & 1;
    p.primary = mode & 2;
    if (mode & 4) p.want_stream = stream_all;
    p.stream_min_bytes = mode & 8 ? 0 : 16;
    size_t came = 0;
    enum request_state state = REQUEST_NEED_MORE;
    while (came < all.len && state != REQUEST_ERROR) {
        size_t part = all.len - came < piece ? all.len - came : piece;
        struct bytes input = bytes_of(all.data + came, part);
        came += part;
        struct error error = ERROR_OK;
        do {
            state = request_parse(&p, &input, &error);
            tell(story, &p, state);
        } while (state == REQUEST_READY || state == REQUEST_STREAM);
        if (state == REQUEST_ERROR) buf_printf(story, "!%d %s", error.class, error.text);
        if (p.bulk != NULL) expect(p.bulk->cap <= 2 * came + REQUEST_SLACK_BYTES);
        expect(state == REQUEST_ERROR || input.len == 0);
    }
    request_parser_free(&p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) return 0;
    struct bytes input = bytes_of(data + 2, size - 2);
    struct buf whole = BUF_EMPTY, pieces = BUF_EMPTY;
    parse(&whole, data[0], input, SIZE_MAX);
    parse(&pieces, data[0], input, 1 + data[1] % 37 + size / 1024);
    expect(bytes_equal(buf_view(&whole), buf_view(&pieces)));
    buf_free(&whole);
    buf_free(&pieces);
    return 0;
}
