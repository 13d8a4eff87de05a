// Replies and handshake lines of a peer, cut anywhere, within their limits.
#include "base/rng.h"
#include "proto/lines.h"
#include "proto/reader.h"

#include <criterion/criterion.h>
#include <stdlib.h>

static void say(struct buf *said, const struct reader_value *v)
{
    switch (v->type) {
    case READER_STRING:
        buf_printf(said, "'%s'", v->text->data);
        break;
    case READER_STATUS:
        buf_printf(said, "+%s", v->text->data);
        break;
    case READER_ERROR:
        buf_printf(said, "-%s", v->text->data);
        break;
    case READER_INTEGER:
        buf_printf(said, ":%lld", (long long)v->integer);
        break;
    case READER_NULL:
        buf_printf(said, "nil");
        break;
    case READER_ARRAY:
        buf_printf(said, "[");
        for (int i = 0; i < v->count; i++)
            say(said, v->items[i]);
        buf_printf(said, "]");
        break;
    }
    buf_printf(said, ";");
}

static bool feed(struct reader *r, struct bytes input, struct buf *said)
{
    struct error error = ERROR_OK;
    if (!reader_feed(r, input, &error)) {
        buf_printf(said, "!%s", error.text);
        return false;
    }
    for (;;) {
        struct reader_value *v;
        enum reader_state state = reader_next(r, &v, &error);
        if (state == READER_NEED_MORE) return true;
        if (state == READER_FAILED) {
            buf_printf(said, "!%s", error.text);
            return false;
        }
        say(said, v);
        reader_value_free(v);
    }
}

static char *hear(struct bytes input, size_t cut)
{
    struct reader r;
    reader_init(&r);
    struct buf said = BUF_EMPTY;
    if (feed(&r, bytes_of(input.data, cut), &said)) {
        // Owners move; the reader goes along.
        struct reader moved = r;
        memset(&r, 0xee, sizeof(r));
        feed(&moved, bytes_of(input.data + cut, input.len - cut), &said);
        r = moved;
    }
    reader_free(&r);
    buf_append_byte(&said, '\0');
    char *text = strdup(buf_view(&said).data);
    buf_free(&said);
    return text;
}

static void expect(struct bytes input, const char *said)
{
    for (size_t cut = 0; cut <= input.len; cut++) {
        char *heard = hear(input, cut);
        cr_assert_str_eq(heard, said, "cut at %zu: %s", cut, heard);
        free(heard);
    }
}

Test(reader, every_type)
{
    expect(BYTES("+OK\r\n-ERR no\r\n:-5\r\n$3\r\na\r\n\r\n$-1\r\n*-1\r\n*0\r\n"),
           "+OK;-ERR no;:-5;'a\r\n';nil;nil;[];");
    expect(BYTES("*3\r\n*2\r\n:1\r\n$1\r\nx\r\n+s\r\n$-1\r\n+OK\r\n"), "[[:1;'x';];+s;nil;];+OK;");
}

Test(reader, value_is)
{
    struct reader r;
    reader_init(&r);
    struct reader_value *v;
    cr_assert(reader_feed(&r, BYTES("+OK\r\n"), NULL));
    cr_assert_eq(reader_next(&r, &v, NULL), READER_REPLY);
    cr_assert(reader_value_is(v, "OK"));
    cr_assert(!reader_value_is(v, "O"));
    reader_value_free(v);
    reader_free(&r);
}

Test(reader, limits)
{
    struct reader r;
    reader_init(&r);
    struct reader_value *v;
    struct error error = ERROR_OK;
    cr_assert(reader_feed(&r, BYTES("*2000000000\r\n"), &error));
    cr_assert_eq(reader_next(&r, &v, &error), READER_FAILED);
    cr_assert_eq(error.class, ERROR_LIMIT);
    reader_free(&r);

    reader_init(&r);
    r.max_items = 3;
    cr_assert(reader_feed(&r, BYTES("*2\r\n:1\r\n:2\r\n*2\r\n:1\r\n:2\r\n*2\r\n*1\r\n"), &error));
    cr_assert_eq(reader_next(&r, &v, &error), READER_REPLY, "the count starts anew");
    reader_value_free(v);
    cr_assert_eq(reader_next(&r, &v, &error), READER_REPLY);
    reader_value_free(v);
    cr_assert_eq(reader_next(&r, &v, &error), READER_NEED_MORE);
    cr_assert(reader_feed(&r, BYTES(":1\r\n:2\r\n"), &error));
    cr_assert_eq(reader_next(&r, &v, &error), READER_FAILED);
    cr_assert_eq(error.class, ERROR_LIMIT);
    reader_free(&r);

    reader_init(&r);
    r.max_bytes = 20;
    cr_assert(reader_feed(&r, BYTES("$15\r\n0123"), &error));
    cr_assert_eq(reader_next(&r, &v, &error), READER_NEED_MORE);
    cr_assert(!reader_feed(&r, BYTES("456789abcdef"), &error));
    cr_assert_eq(error.class, ERROR_LIMIT);
    reader_free(&r);
}

Test(reader, garbage)
{
    static const char base[] = "*3\r\n*2\r\n:1\r\n$1\r\nx\r\n+s\r\n$-1\r\n-ERR e\r\n*0\r\n";
    struct rng rng;
    rng_seed(&rng, 3);
    for (int round = 0; round < 20000; round++) {
        char text[sizeof(base)];
        memcpy(text, base, sizeof(base));
        for (int i = 0; i < 3; i++)
            text[rng_below(&rng, sizeof(base) - 1)] = "*$:+-\r\n01239x"[rng_below(&rng, 13)];
        free(hear(bytes_of(text, sizeof(base) - 1), rng_below(&rng, sizeof(base))));
    }
}

// ---- lines ----------------------------------------------------------------------------------

Test(lines, leave_the_rest)
{
    static const char text[] = "+OK\r\n\n\r\nplain\n$EOF:x\r\nREDIS\n0011";
    struct bytes all = bytes_of(text, sizeof(text) - 1);
    for (size_t cut = 0; cut <= all.len; cut++) {
        struct line_reader l;
        line_reader_init(&l);
        struct buf said = BUF_EMPTY, rest = BUF_EMPTY;
        int lines = 0;
        struct bytes pieces[] = {bytes_of(text, cut), bytes_of(text + cut, all.len - cut)};
        for (int i = 0; i < 2; i++) {
            struct bytes line;
            while (lines < 5 && line_read(&l, &pieces[i], &line, NULL) == LINE_READY) {
                buf_printf(&said, "%.*s|", (int)line.len, line.data);
                lines++;
            }
            buf_append_bytes(&rest, pieces[i]);
        }
        cr_assert(bytes_equal(buf_view(&said), BYTES("+OK|||plain|$EOF:x|")), "cut %zu", cut);
        cr_assert(bytes_equal(buf_view(&rest), BYTES("REDIS\n0011")), "cut %zu", cut);
        buf_free(&said);
        buf_free(&rest);
        line_reader_free(&l);
    }
}

Test(lines, limit)
{
    struct line_reader l;
    line_reader_init(&l);
    l.max_bytes = 8;
    struct error error = ERROR_OK;
    struct bytes line, input = BYTES("12345678\n1234");
    cr_assert_eq(line_read(&l, &input, &line, &error), LINE_READY);
    cr_assert_eq(line_read(&l, &input, &line, &error), LINE_NEED_MORE);
    input = BYTES("56789");
    cr_assert_eq(line_read(&l, &input, &line, &error), LINE_ERROR);
    cr_assert_eq(error.class, ERROR_PROTOCOL);
    line_reader_free(&l);
}

#define ID "0123456789abcdef0123456789abcdef01234567"

static enum psync_answer psync(const char *line, struct psync_reply *reply)
{
    line_parse_psync(bytes_from_cstr(line), reply);
    return reply->answer;
}

Test(lines, psync_answers)
{
    struct psync_reply r;
    cr_assert_eq(psync("+FULLRESYNC " ID " 1234", &r), PSYNC_FULLRESYNC);
    cr_assert_str_eq(r.replid, ID);
    cr_assert_eq(r.offset, 1234);
    cr_assert_eq(psync("+FULLRESYNC " ID, &r), PSYNC_NONSENSE);
    cr_assert_eq(psync("+FULLRESYNC abc 1", &r), PSYNC_NONSENSE);
    cr_assert_eq(psync("+FULLRESYNC " ID " -1", &r), PSYNC_NONSENSE);
    cr_assert_eq(psync("+FULLRESYNC " ID " 1 2", &r), PSYNC_NONSENSE);
    cr_assert_eq(psync("+CONTINUE", &r), PSYNC_CONTINUE);
    cr_assert_str_eq(r.replid, "");
    cr_assert_eq(psync("+CONTINUE " ID, &r), PSYNC_CONTINUE);
    cr_assert_str_eq(r.replid, ID);
    cr_assert_eq(psync("+CONTINUE short", &r), PSYNC_NONSENSE);
    cr_assert_eq(psync("-NOMASTERLINK Can't SYNC while not connected", &r), PSYNC_NOT_NOW);
    cr_assert_eq(psync("-LOADING Redis is loading", &r), PSYNC_NOT_NOW);
    cr_assert_eq(psync("-ERR unknown command", &r), PSYNC_REFUSED);
    cr_assert_eq(psync("+OK", &r), PSYNC_NONSENSE);
    cr_assert_eq(psync("", &r), PSYNC_NONSENSE);
}

Test(lines, payload_headers)
{
    struct payload_header h;
    cr_assert(line_parse_payload(BYTES("$12345678901"), &h, NULL));
    cr_assert(!h.until_mark && h.len == 12345678901u);
    cr_assert(line_parse_payload(BYTES("$EOF:" ID), &h, NULL));
    cr_assert(h.until_mark && memcmp(h.mark, ID, 40) == 0);
    struct error error = ERROR_OK;
    cr_assert(!line_parse_payload(BYTES("$EOF:" ID "x"), &h, &error));
    cr_assert(!line_parse_payload(BYTES("$"), &h, &error));
    cr_assert(!line_parse_payload(BYTES("-ERR no"), &h, &error));
    cr_assert_str_eq(error.text, "expected the header of a snapshot, got '-ERR no'");
}
