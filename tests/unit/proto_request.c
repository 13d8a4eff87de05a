// The request parser: what it yields must not depend on where its input is cut, and what it holds
// not on what a peer announces.
#include "base/mem.h"
#include "base/rng.h"
#include "proto/request.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

// What the parser said about an input, as one line of text: arguments, streams, and the error.
struct session {
    struct request_parser parser;
    struct buf said;
    bool over;
};

static bool stream_long_ones(void *owner, const struct request *so_far, int index, uint64_t len)
{
    struct session *s = owner;
    cr_assert_eq(so_far->argc, index);
    buf_printf(&s->said, "(want %d:%llu)", index, (unsigned long long)len);
    return true;
}

static void session_open(struct session *s)
{
    *s = (struct session){0};
    request_parser_init(&s->parser);
    s->parser.authenticated = true;
    s->parser.owner = s;
}

static void session_close(struct session *s)
{
    request_parser_free(&s->parser);
    buf_free(&s->said);
}

static void say_request(struct session *s, const struct request *r)
{
    cr_assert_eq(r->argc, r->expected);
    buf_append_cstr(&s->said, "[");
    for (int i = 0; i < r->argc; i++) {
        cr_assert_eq(r->argv[i]->data[r->argv[i]->len], '\0');
        cr_assert_leq(r->argv[i]->len, r->argv[i]->cap);
        if (i > 0) buf_append_cstr(&s->said, "|");
        if (i == r->stream_index) buf_append_cstr(&s->said, "<stream>");
        buf_append_bytes(&s->said, str_view(r->argv[i]));
    }
    buf_printf(&s->said, "]%llu", (unsigned long long)r->wire_bytes);
}

static void say_stream(struct session *s)
{
    const struct request_stream *piece = &s->parser.stream;
    if (piece->first) {
        cr_assert_eq(piece->offset, 0);
        buf_append_cstr(&s->said, "{");
    }
    buf_append_bytes(&s->said, piece->chunk);
    if (piece->last) {
        cr_assert_eq(piece->offset + piece->chunk.len, piece->len);
        buf_append_cstr(&s->said, "}");
    }
}

// Feeds one piece out of memory that ends exactly where the piece does.
static void session_feed(struct session *s, struct bytes piece)
{
    char *copy = malloc(piece.len ? piece.len : 1);
    if (piece.len) memcpy(copy, piece.data, piece.len);
    struct bytes input = bytes_of(copy, piece.len);
    while (!s->over) {
        struct error error = ERROR_OK;
        enum request_state state = request_parse(&s->parser, &input, &error);
        if (state == REQUEST_READY) say_request(s, &s->parser.request);
        if (state == REQUEST_STREAM) say_stream(s);
        if (state == REQUEST_ERROR) {
            buf_printf(&s->said, "!%s", error.text);
            s->over = true;
        }
        if (state == REQUEST_NEED_MORE) {
            cr_assert_eq(input.len, 0);
            break;
        }
    }
    free(copy);
}

static const struct request_limits short_ones = {
    .args = 100, .bulk_bytes = 10, .streamed_bytes = 12, .query_bytes = 1 << 20};

static const struct request_limits open_house = {
    .args = 100, .bulk_bytes = 1 << 20, .query_bytes = 1 << 20, .open = true};

static char *hear(const char *setup, struct bytes input, const size_t *cuts, int count)
{
    struct session s;
    session_open(&s);
    if (strstr(setup, "stream")) {
        s.parser.want_stream = stream_long_ones;
        s.parser.stream_min_bytes = strstr(setup, "stream0") ? 0 : 4;
    }
    if (strstr(setup, "short")) s.parser.limits = &short_ones;
    if (strstr(setup, "stranger")) s.parser.authenticated = false;
    if (strstr(setup, "open")) s.parser.limits = &open_house;
    if (strstr(setup, "primary")) s.parser.primary = true;
    size_t from = 0;
    for (int i = 0; i <= count; i++) {
        size_t to = i < count ? cuts[i] : input.len;
        session_feed(&s, bytes_of(input.data + from, to - from));
        from = to;
    }
    buf_append_byte(&s.said, '\0');
    char *said = strdup(buf_view(&s.said).data);
    session_close(&s);
    return said;
}

// The input whole, byte by byte, and cut at every offset: always the same.
static void expect(const char *setup, struct bytes input, const char *said)
{
    char *whole = hear(setup, input, NULL, 0);
    cr_assert_str_eq(whole, said);
    free(whole);
    size_t *every = mem_array(size_t, input.len + 1);
    for (size_t i = 0; i < input.len; i++) {
        every[i] = i;
        char *cut = hear(setup, input, &i, 1);
        cr_assert_str_eq(cut, said, "cut at %zu: %s", i, cut);
        free(cut);
    }
    char *drip = hear(setup, input, every, (int)input.len);
    cr_assert_str_eq(drip, said);
    free(drip);
    mem_free(every);
}

#define EXPECT(setup, literal, said) expect(setup, BYTES(literal), said)

Test(request, arrays)
{
    EXPECT("", "*1\r\n$4\r\nPING\r\n", "[PING]14");
    EXPECT("", "*3\r\n$3\r\nSET\r\n$3\r\nk\r\n\r\n$0\r\n\r\n*1\r\n$4\r\nQUIT\r\n",
           "[SET|k\r\n|]28[QUIT]14");
}

Test(request, inline_commands)
{
    EXPECT("", "PING\r\n", "[PING]6");
    EXPECT("", "ping\nset  k \"a b\\x41\\n\" 'it\\'s'\r\n", "[ping]5[set|k|a bA\n|it's]28");
    EXPECT("", "set k \"open\r\n", "!Protocol error: unbalanced quotes in request");
    EXPECT("", "set k \"a\"b\r\n", "!Protocol error: unbalanced quotes in request");
}

Test(request, nothing_is_skipped_and_counted)
{
    EXPECT("", "\r\n\n*0\r\n*-1\r\n   \r\n*1\r\n$4\r\nPING\r\n", "[PING]31");
    struct session s;
    session_open(&s);
    session_feed(&s, BYTES("\n\n\r\n"));
    cr_assert_eq(s.parser.empty_lines, 3);
    cr_assert(request_parser_idle(&s.parser));
    session_feed(&s, BYTES("*"));
    cr_assert(!request_parser_idle(&s.parser));
    session_close(&s);
}

Test(request, errors_have_redis_texts)
{
    EXPECT("", "*x\r\n", "!Protocol error: invalid multibulk length");
    EXPECT("", "*\r\n", "!Protocol error: invalid multibulk length");
    EXPECT("", "*2147483648\r\n", "!Protocol error: invalid multibulk length");
    EXPECT("", "*3000000000000000000000\r\n", "!Protocol error: invalid multibulk length");
    EXPECT("", "*1\r\nfoo\r\n", "!Protocol error: expected '$', got 'f'");
    EXPECT("", "*3\r\n$3\r\nSET\r\n$1\r\nx\r\nfooz\r\n", "!Protocol error: expected '$', got 'f'");
    EXPECT("", "*1\r\n$-1\r\n", "!Protocol error: invalid bulk length");
    EXPECT("", "*1\r\n$blabla\r\n", "!Protocol error: invalid bulk length");
    EXPECT("", "*1\r\n$2000000000\r\n", "!Protocol error: invalid bulk length");
}

Test(request, strangers_get_little)
{
    EXPECT("stranger", "*10\r\n", "");
    EXPECT("stranger", "*11\r\n", "!Protocol error: unauthenticated multibulk length");
    EXPECT("stranger", "*1\r\n$16384\r\n", "");
    EXPECT("stranger", "*1\r\n$16385\r\n", "!Protocol error: unauthenticated bulk length");
    EXPECT("stranger open", "*11\r\n$16385\r\n", "");
}

Test(request, primary_has_no_limits_and_no_inline)
{
    EXPECT("primary stranger", "\n*11\r\n$2000000000\r\n", "");
    EXPECT("primary", "*1\r\n$4\r\nPING\r\nPING\r\n",
           "[PING]14!Protocol error: Master using the inline protocol. Desync?");
}

static void expect_long(const char *setup, const char *prefix, size_t fill, const char *end,
                        const char *said)
{
    struct buf input = BUF_EMPTY;
    buf_append_cstr(&input, prefix);
    memset(buf_reserve(&input, fill), 'a', fill);
    buf_commit(&input, fill);
    buf_append_cstr(&input, end);
    static const size_t offsets[] = {0, 1, 2, 5000, 65534, 65535, 65536, 65537};
    for (size_t i = 0; i < sizeof(offsets) / sizeof(offsets[0]); i++) {
        size_t cut = offsets[i] < buf_len(&input) ? offsets[i] : buf_len(&input);
        char *heard = hear(setup, buf_view(&input), &cut, 1);
        if (said[0] == '!')
            cr_assert_str_eq(heard, said);
        else
            cr_assert_eq(strstr(heard, "Protocol error"), NULL, "cut %zu: %s", cut, heard);
        free(heard);
    }
    buf_free(&input);
}

Test(request, long_lines)
{
    expect_long("", "", REQUEST_INLINE_BYTES, "\n", "");
    expect_long("", "", REQUEST_INLINE_BYTES + 1, "\n", "!Protocol error: too big inline request");
    expect_long("", "", REQUEST_INLINE_BYTES + 1, "", "!Protocol error: too big inline request");
    expect_long("", "*", REQUEST_INLINE_BYTES + 1, "",
                "!Protocol error: too big mbulk count string");
    expect_long("", "*1\r\n$", REQUEST_INLINE_BYTES + 1, "",
                "!Protocol error: too big bulk count string");
}

Test(request, streamed_argument)
{
    EXPECT("stream", "*4\r\n$1\r\na\r\n$3\r\nkey\r\n$7\r\npayload\r\n$3\r\nEND\r\n",
           "(want 2:7){payload}[a|key|<stream>|END]42");
    // One per request; the next request may stream again.
    EXPECT("stream", "*2\r\n$4\r\nfour\r\n$5\r\nfiver\r\n*1\r\n$4\r\nlast\r\n",
           "(want 0:4){four}[<stream>|fiver]25(want 0:4){last}[<stream>]14");
    EXPECT("stream0", "*2\r\n$0\r\n\r\n$1\r\nx\r\n", "(want 0:0){}[<stream>|x]17");
}

#define MISLED                                                                                     \
    "!Protocol error: invalid bulk length: it is beyond proto-max-bulk-len, and "                  \
    "proto-max-restore-len is for a RESTORE that is not inside MULTI"

Test(request, a_streamed_argument_has_a_limit_of_its_own)
{
    EXPECT("short", "*1\r\n$10\r\n1234567890\r\n", "[1234567890]21");
    EXPECT("short", "*1\r\n$11\r\n", MISLED);
    EXPECT("short", "*1\r\n$12\r\n", MISLED);
    EXPECT("short", "*1\r\n$13\r\n", "!Protocol error: invalid bulk length");
    EXPECT("short stream", "*2\r\n$1\r\na\r\n$12\r\n123456789012\r\n",
           "(want 1:12){123456789012}[a|<stream>]30");
    EXPECT("short stream", "*2\r\n$1\r\na\r\n$13\r\n",
           "(want 1:13)!Protocol error: invalid bulk length");
}

Test(request, argument_may_be_stolen)
{
    struct request_parser p;
    request_parser_init(&p);
    struct bytes input = BYTES("*2\r\n$3\r\nGET\r\n$1\r\nk\r\nPING\r\n");
    cr_assert_eq(request_parse(&p, &input, NULL), REQUEST_READY);
    struct str *key = p.request.argv[1];
    p.request.argv[1] = NULL;
    cr_assert_eq(request_parse(&p, &input, NULL), REQUEST_READY);
    cr_assert_eq(p.request.argc, 1);
    cr_assert(bytes_equal(str_view(key), BYTES("k")));
    struct request taken = request_take(&p);
    cr_assert_eq(request_parse(&p, &input, NULL), REQUEST_NEED_MORE);
    request_parser_free(&p);
    cr_assert(bytes_equal(str_view(taken.argv[0]), BYTES("PING")));
    request_clear(&taken);
    str_free(key);
}

// Whatever was announced, memory follows what came; and the content survives all the moving.
Test(request, memory_follows_arrival)
{
    struct request_parser p;
    request_parser_init(&p);
    p.authenticated = true;
    struct rng rng;
    rng_seed(&rng, 7);
    static const size_t lengths[] = {65536, 65537, 131071, 131072, 131073, 1000003, 5000000};
    for (size_t n = 0; n < sizeof(lengths) / sizeof(lengths[0]); n++) {
        size_t len = lengths[n], sent = 0;
        char header[64];
        struct bytes input = bytes_of(header, (size_t)sprintf(header, "*1\r\n$%zu\r\n", len));
        cr_assert_eq(request_parse(&p, &input, NULL), REQUEST_NEED_MORE);
        char *data = malloc(len);
        for (size_t i = 0; i < len; i++)
            data[i] = (char)(i * 2654435761u >> 13);
        while (sent < len) {
            size_t part = 1 + rng_below(&rng, 40000);
            if (part > len - sent) part = len - sent;
            input = bytes_of(data + sent, part);
            sent += part;
            cr_assert_eq(request_parse(&p, &input, NULL), REQUEST_NEED_MORE);
            if (p.bulk != NULL) cr_assert_leq(p.bulk->cap, 2 * sent + REQUEST_SLACK_BYTES);
            cr_assert_leq(request_parser_memory(&p), 3 * sent + 2 * REQUEST_SLACK_BYTES);
        }
        input = BYTES("\r\n");
        cr_assert_eq(request_parse(&p, &input, NULL), REQUEST_READY);
        cr_assert(bytes_equal(str_view(p.request.argv[0]), bytes_of(data, len)));
        cr_assert_eq(p.request.argv[0]->cap, len);
        free(data);
    }
    struct bytes announced = BYTES("*2000000000\r\n$500000000\r\nabc");
    cr_assert_eq(request_parse(&p, &announced, NULL), REQUEST_NEED_MORE);
    cr_assert_lt(request_parser_memory(&p), 2 * REQUEST_SLACK_BYTES);
    request_parser_free(&p);
}

Test(request, query_buffer_limit_closes)
{
    struct request_parser p;
    struct request_limits limits;
    request_limits_default(&limits);
    limits.query_bytes = 1 << 20;
    request_parser_init(&p);
    p.authenticated = true;
    p.limits = &limits;
    struct bytes input = BYTES("*2\r\n$4000000\r\n");
    cr_assert_eq(request_parse(&p, &input, NULL), REQUEST_NEED_MORE);
    char *data = calloc(1, 4000000);
    input = bytes_of(data, 4000000);
    struct error error = ERROR_OK;
    cr_assert_eq(request_parse(&p, &input, &error), REQUEST_ERROR);
    cr_assert_eq(error.class, ERROR_LIMIT);
    cr_assert_gt(input.len, 2000000, "stopped at about the limit");
    free(data);
    request_parser_free(&p);
}

// Random edits of good input: no crash, and the same story however it is cut.
Test(request, garbage)
{
    static const char base[] = "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$6\r\nvalue!\r\nset a 'b c'\r\n"
                               "\n*0\r\n*2\r\n$7\r\nRESTORE\r\n$8\r\n12345678\r\n";
    static const char alphabet[] = "*$\r\n0129-a\" '\\x\0\xff";
    struct rng rng;
    rng_seed(&rng, 1);
    for (int round = 0; round < 20000; round++) {
        char text[sizeof(base)];
        memcpy(text, base, sizeof(base));
        for (uint64_t edits = 1 + rng_below(&rng, 4); edits > 0; edits--)
            text[rng_below(&rng, sizeof(base) - 1)] =
                alphabet[rng_below(&rng, sizeof(alphabet) - 1)];
        struct bytes input = bytes_of(text, sizeof(base) - 1);
        size_t a = rng_below(&rng, input.len), b = a + rng_below(&rng, input.len - a);
        const char *setup = round % 2 ? "stream" : "";
        char *whole = hear(setup, input, NULL, 0);
        char *cut = hear(setup, input, (size_t[]){a, b}, 2);
        cr_assert_str_eq(cut, whole, "round %d", round);
        free(whole);
        free(cut);
    }
}
