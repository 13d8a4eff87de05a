// The parser is a loop over six steps; what an incomplete step needs to go on is in the parser:
//
//     START -> INLINE ---------------------------------> DONE
//           -> COUNT -> LENGTH -> BULK -> BULK_END ----> DONE
//                         ^----------------------'
//
// Lines are short and looked for byte by byte once; what is left over of one goes to p->line.
#include "proto/request.h"

#include "base/mem.h"
#include "base/text.h"

#include <limits.h>

enum step { STEP_START, STEP_INLINE, STEP_COUNT, STEP_LENGTH, STEP_BULK, STEP_BULK_END, STEP_DONE };

enum {
    ARGV_FIRST = 64,        // slots to begin with, however many are announced
    LINE_KEEP_BYTES = 4096, // a larger line buffer is given back
    MOVE_SLACK_BYTES = 64,  // see bulk_move
    BULK_END_BYTES = 2,     // the CRLF after a bulk
};

static const struct request_limits default_limits = {
    .args = INT_MAX,
    .bulk_bytes = 512u << 20,
    .query_bytes = 1u << 30,
};

void request_limits_default(struct request_limits *limits)
{
    *limits = default_limits;
}

void request_clear(struct request *r)
{
    for (int i = 0; i < r->argc; i++)
        str_free(r->argv[i]);
    mem_free(r->argv);
    *r = REQUEST_EMPTY;
}

void request_parser_init(struct request_parser *p)
{
    *p = (struct request_parser){
        .request = REQUEST_EMPTY,
        .stream_min_bytes = REQUEST_STREAM_MIN_BYTES,
        .step = STEP_START,
    };
}

void request_parser_free(struct request_parser *p)
{
    request_clear(&p->request);
    buf_free(&p->line);
    str_free(p->bulk);
    str_free(p->bulk_old);
    request_parser_init(p);
}

struct request request_take(struct request_parser *p)
{
    struct request taken = p->request;
    p->request = REQUEST_EMPTY;
    p->argv_cap = 0;
    return taken;
}

bool request_parser_idle(const struct request_parser *p)
{
    if (p->step == STEP_DONE) return true;
    return p->step == STEP_START && buf_len(&p->line) == 0;
}

size_t request_parser_memory(const struct request_parser *p)
{
    size_t bytes = p->line.cap + (size_t)p->argv_cap * sizeof(struct str *) +
                   p->request.held_bytes + (size_t)p->request.argc * (sizeof(struct str) + 1);
    if (p->bulk != NULL) bytes += p->bulk->cap;
    if (p->bulk_old != NULL) bytes += p->bulk_old->cap;
    return bytes;
}

static const struct request_limits *limits_of(const struct request_parser *p)
{
    return p->limits != NULL ? p->limits : &default_limits;
}

// Always with `return`: the parser is over.
#define fail(p, ...) (error_set(&(p)->failed, __VA_ARGS__), false)

static void take(struct request_parser *p, struct bytes *input, size_t len)
{
    input->data += len;
    input->len -= len;
    p->request.wire_bytes += len;
}

// ---- lines ----------------------------------------------------------------------------------

enum line_found { LINE_PARTIAL, LINE_WHOLE, LINE_TOO_LONG };

// Looks for a line that ends with `end` and `after` more bytes of any kind (Redis doesn't look at
// the LF of a CRLF either). The line is a view into the input, or into p->line when it came in
// pieces; line_done must follow.
static enum line_found find_line(struct request_parser *p, struct bytes *input, char end,
                                 size_t after, struct bytes *line)
{
    size_t kept = buf_len(&p->line), use;
    bool ended = after == 1 && kept > 0 && buf_view(&p->line).data[kept - 1] == end;
    if (ended) {
        if (input->len == 0) return LINE_PARTIAL;
        use = 1;
        kept--;
    } else {
        const char *at = input->len > 0 ? memchr(input->data, end, input->len) : NULL;
        size_t part = at != NULL ? (size_t)(at - input->data) : input->len;
        if (kept + part > REQUEST_INLINE_BYTES) return LINE_TOO_LONG;
        if (at == NULL || part + 1 + after > input->len) {
            buf_append(&p->line, input->data, input->len);
            take(p, input, input->len);
            return LINE_PARTIAL;
        }
        use = part + 1 + after;
        if (kept > 0) buf_append(&p->line, input->data, part);
        kept += part;
    }
    *line = bytes_of(buf_len(&p->line) > 0 ? buf_view(&p->line).data : input->data, kept);
    take(p, input, use);
    return LINE_WHOLE;
}

static void line_done(struct request_parser *p)
{
    if (p->line.cap > LINE_KEEP_BYTES)
        buf_free(&p->line);
    else
        buf_clear(&p->line);
}

// ---- arguments ------------------------------------------------------------------------------

static void add_arg(struct request_parser *p, struct str *arg)
{
    struct request *r = &p->request;
    if (r->argc == p->argv_cap) {
        int64_t cap = p->argv_cap ? (int64_t)p->argv_cap * 2 : ARGV_FIRST;
        p->argv_cap = cap < r->expected ? (int)cap : r->expected;
        r->argv = mem_realloc(r->argv, sizeof(struct str *) * (size_t)p->argv_cap);
    }
    r->argv[r->argc++] = arg;
    r->held_bytes += arg->len;
}

// The capacities that a string of `len` goes through are len, len/2, len/4 ... rounded up, from the
// small end. So it never holds more than twice what arrived, and every time it moves at least as
// much is still to arrive as must be moved.
static uint64_t next_capacity(uint64_t len, uint64_t current)
{
    uint64_t cap = len;
    while ((cap + 1) / 2 > current)
        cap = (cap + 1) / 2;
    return cap;
}

static bool bulk_begin(struct request_parser *p)
{
    uint64_t cap = p->bulk_len;
    while (cap > REQUEST_SLACK_BYTES)
        cap = (cap + 1) / 2;
    p->bulk = str_try((size_t)cap);
    return p->bulk != NULL || fail(p, ERROR_LIMIT, "out of memory for an argument of %llu bytes",
                                   (unsigned long long)p->bulk_len);
}

static bool bulk_grow(struct request_parser *p)
{
    struct str *larger = str_try((size_t)next_capacity(p->bulk_len, p->bulk->cap));
    if (larger == NULL)
        return fail(p, ERROR_LIMIT, "out of memory for an argument of %llu bytes",
                    (unsigned long long)p->bulk_len);
    p->bulk_old = p->bulk;
    p->bulk = larger;
    p->moved = 0;
    return true;
}

// Moves the older part of a grown string after it, as fast as bytes arrive: a string of
// hundreds of megabytes is never copied in one go.
static void bulk_move(struct request_parser *p, size_t at_most)
{
    if (p->bulk_old == NULL) return;
    size_t left = p->bulk_old->cap - p->moved, part = left < at_most ? left : at_most;
    memcpy(p->bulk->data + p->moved, p->bulk_old->data + p->moved, part);
    p->moved += part;
    if (part < left) return;
    str_free(p->bulk_old);
    p->bulk_old = NULL;
}

// False only when the parser failed; p->bulk_left tells whether the bulk is whole.
static bool bulk_fill(struct request_parser *p, struct bytes *input)
{
    while (p->bulk_left > 0 && input->len > 0) {
        size_t arrived = (size_t)(p->bulk_len - p->bulk_left);
        if (arrived == p->bulk->cap) {
            bulk_move(p, SIZE_MAX);
            if (!bulk_grow(p)) return false;
            uint64_t limit = limits_of(p)->query_bytes;
            if (!p->primary && request_parser_memory(p) - p->bulk_old->cap > limit)
                return fail(p, ERROR_LIMIT, "query buffer limit of %llu bytes reached",
                            (unsigned long long)limit);
        }
        size_t part = p->bulk->cap - arrived;
        if (part > p->bulk_left) part = (size_t)p->bulk_left;
        if (part > input->len) part = input->len;
        memcpy(p->bulk->data + arrived, input->data, part);
        p->bulk_left -= part;
        take(p, input, part);
        bulk_move(p, part + MOVE_SLACK_BYTES);
    }
    return true;
}

static void bulk_finish(struct request_parser *p)
{
    bulk_move(p, SIZE_MAX);
    p->bulk->len = (size_t)p->bulk_len;
    p->bulk->data[p->bulk->len] = '\0';
    add_arg(p, p->bulk);
    p->bulk = NULL;
}

// ---- steps: each returns false when it can't go on, for want of input or of sense --------------

static bool step_start(struct request_parser *p, struct bytes *input)
{
    if (input->len == 0) return false;
    p->step = STEP_INLINE;
    if (input->data[0] == '*') {
        take(p, input, 1);
        p->step = STEP_COUNT;
    }
    return true;
}

static bool take_words(struct request_parser *p, struct bytes line)
{
    int count;
    struct str **words = text_split_quoted(line, &count);
    if (words == NULL)
        return fail(p, ERROR_PROTOCOL, "Protocol error: unbalanced quotes in request");
    p->step = STEP_START;
    if (count == 0) {
        mem_free(words);
        return true;
    }
    struct request *r = &p->request;
    r->argv = words;
    r->argc = r->expected = p->argv_cap = count;
    for (int i = 0; i < count; i++)
        r->held_bytes += words[i]->len;
    p->step = STEP_DONE;
    return true;
}

static bool step_inline(struct request_parser *p, struct bytes *input)
{
    struct bytes line;
    enum line_found found = find_line(p, input, '\n', 0, &line);
    if (found == LINE_PARTIAL) return false;
    if (found == LINE_TOO_LONG)
        return fail(p, ERROR_PROTOCOL, "Protocol error: too big inline request");
    if (line.len > 0 && line.data[line.len - 1] == '\r') line.len--;
    bool good = true;
    if (line.len == 0) {
        p->empty_lines++;
        p->step = STEP_START;
    } else if (p->primary) {
        good = fail(p, ERROR_PROTOCOL, "Protocol error: Master using the inline protocol. Desync?");
    } else {
        good = take_words(p, line);
    }
    line_done(p);
    return good;
}

static bool is_stranger(const struct request_parser *p)
{
    return !p->authenticated && !p->primary && !limits_of(p)->open;
}

static bool step_count(struct request_parser *p, struct bytes *input)
{
    struct bytes line;
    enum line_found found = find_line(p, input, '\r', 1, &line);
    if (found == LINE_PARTIAL) return false;
    if (found == LINE_TOO_LONG)
        return fail(p, ERROR_PROTOCOL, "Protocol error: too big mbulk count string");
    int64_t count, most = p->primary ? INT_MAX : limits_of(p)->args;
    bool good = text_to_i64(line, &count) && count <= most && count <= INT_MAX;
    line_done(p);
    if (!good) return fail(p, ERROR_PROTOCOL, "Protocol error: invalid multibulk length");
    if (count > REQUEST_UNAUTH_ARGS && is_stranger(p))
        return fail(p, ERROR_PROTOCOL, "Protocol error: unauthenticated multibulk length");
    p->step = STEP_START;
    if (count <= 0) return true;
    p->request.expected = (int)count;
    p->step = STEP_LENGTH;
    return true;
}

static bool wants_stream(struct request_parser *p)
{
    return p->want_stream != NULL && p->request.stream_index < 0 &&
           p->bulk_len >= p->stream_min_bytes &&
           p->want_stream(p->owner, &p->request, p->request.argc, p->bulk_len);
}

// A streamed argument is held by nobody: it may be longer than others.
static uint64_t longest(const struct request_parser *p)
{
    const struct request_limits *l = limits_of(p);
    return p->streaming && l->streamed_bytes > l->bulk_bytes ? l->streamed_bytes : l->bulk_bytes;
}

// Redis's words; more of them for who counts on the limit of what is streamed.
static bool bad_length(struct request_parser *p)
{
    const struct request_limits *l = limits_of(p);
    bool misled = !p->streaming && p->bulk_len > l->bulk_bytes && p->bulk_len <= l->streamed_bytes;
    return fail(p, ERROR_PROTOCOL, "Protocol error: invalid bulk length%s",
                misled ? ": it is beyond proto-max-bulk-len, and proto-max-restore-len is for a "
                         "RESTORE that is not inside MULTI"
                       : "");
}

static bool check_length(struct request_parser *p, struct bytes line)
{
    if (line.len == 0 || line.data[0] != '$')
        return fail(p, ERROR_PROTOCOL, "Protocol error: expected '$', got '%c'",
                    line.len > 0 ? line.data[0] : '\r');
    int64_t len;
    bool is_length = text_to_i64(bytes_of(line.data + 1, line.len - 1), &len) && len >= 0;
    p->bulk_len = p->bulk_left = is_length ? (uint64_t)len : 0;
    p->streaming = wants_stream(p);
    if (!is_length || (!p->primary && p->bulk_len > longest(p))) return bad_length(p);
    if (len > REQUEST_UNAUTH_BULK_BYTES && is_stranger(p))
        return fail(p, ERROR_PROTOCOL, "Protocol error: unauthenticated bulk length");
    if (!p->primary && request_parser_memory(p) > limits_of(p)->query_bytes)
        return fail(p, ERROR_LIMIT, "query buffer limit of %llu bytes reached",
                    (unsigned long long)limits_of(p)->query_bytes);
    return true;
}

static bool step_length(struct request_parser *p, struct bytes *input)
{
    struct bytes line;
    enum line_found found = find_line(p, input, '\r', 1, &line);
    if (found == LINE_PARTIAL) return false;
    if (found == LINE_TOO_LONG)
        return fail(p, ERROR_PROTOCOL, "Protocol error: too big bulk count string");
    bool good = check_length(p, line);
    line_done(p);
    if (!good) return false;
    p->step = STEP_BULK;
    if (p->streaming) {
        p->request.stream_index = p->request.argc;
        return true;
    }
    return bulk_begin(p);
}

static bool stream_piece(struct request_parser *p, struct bytes *input)
{
    if (p->bulk_left > 0 && input->len == 0) return false;
    size_t part = p->bulk_left < input->len ? (size_t)p->bulk_left : input->len;
    uint64_t offset = p->bulk_len - p->bulk_left;
    p->stream = (struct request_stream){
        .chunk = bytes_of(input->data, part),
        .first = offset == 0,
        .last = part == p->bulk_left,
        .index = p->request.stream_index,
        .offset = offset,
        .len = p->bulk_len,
    };
    take(p, input, part);
    p->bulk_left -= part;
    return true;
}

static bool step_bulk(struct request_parser *p, struct bytes *input)
{
    if (p->streaming) {
        if (!stream_piece(p, input)) return false;
        if (!p->stream.last) return true;
        p->streaming = false;
        add_arg(p, str_new(NULL, 0));
    } else {
        if (!bulk_fill(p, input) || p->bulk_left > 0) return false;
        bulk_finish(p);
    }
    p->step = STEP_BULK_END;
    p->bulk_left = BULK_END_BYTES;
    return true;
}

static bool step_bulk_end(struct request_parser *p, struct bytes *input)
{
    size_t part = input->len < p->bulk_left ? input->len : (size_t)p->bulk_left;
    take(p, input, part);
    p->bulk_left -= part;
    if (p->bulk_left > 0) return false;
    p->step = p->request.argc == p->request.expected ? STEP_DONE : STEP_LENGTH;
    return true;
}

static bool run_step(struct request_parser *p, struct bytes *input)
{
    switch ((enum step)p->step) {
    case STEP_START:
        return step_start(p, input);
    case STEP_INLINE:
        return step_inline(p, input);
    case STEP_COUNT:
        return step_count(p, input);
    case STEP_LENGTH:
        return step_length(p, input);
    case STEP_BULK:
        return step_bulk(p, input);
    case STEP_BULK_END:
        return step_bulk_end(p, input);
    case STEP_DONE:
        break;
    }
    return false;
}

enum request_state request_parse(struct request_parser *p, struct bytes *input, struct error *error)
{
    if (p->step == STEP_DONE) {
        request_clear(&p->request);
        p->argv_cap = 0;
        p->step = STEP_START;
    }
    while (!error_is(&p->failed)) {
        bool piece = p->streaming && p->step == STEP_BULK;
        if (!run_step(p, input)) break;
        if (p->step == STEP_DONE) return REQUEST_READY;
        if (piece) return REQUEST_STREAM;
    }
    if (!error_is(&p->failed)) return REQUEST_NEED_MORE;
    if (error != NULL) *error = p->failed;
    return REQUEST_ERROR;
}
