#include "proto/reply.h"

#include "base/text.h"

enum {
    HEADER_BYTES = TEXT_I64_BYTES + 3, // type, number, CRLF
    // A deferred body up to this long is copied behind its header, so that a reply of many small
    // aggregates stays in few chunks.
    BODY_COPY_BYTES = 4096,
};

static void put(struct reply *r, const void *data, size_t len)
{
    if (r->out != NULL) chain_append(r->out, data, len);
}

// One append for header and content where they fit, since most replies are tiny.
static void put_line(struct reply *r, char type, const char *text, size_t len)
{
    char small[128];
    if (len + 3 > sizeof(small)) {
        put(r, &type, 1);
        put(r, text, len);
        put(r, "\r\n", 2);
        return;
    }
    small[0] = type;
    memcpy(small + 1, text, len);
    memcpy(small + 1 + len, "\r\n", 2);
    put(r, small, len + 3);
}

static size_t format_header(char out[HEADER_BYTES], char type, int64_t number)
{
    out[0] = type;
    size_t len = 1 + text_from_i64(out + 1, number);
    memcpy(out + len, "\r\n", 2);
    return len + 2;
}

static void put_header(struct reply *r, char type, int64_t number)
{
    char header[HEADER_BYTES];
    put(r, header, format_header(header, type, number));
}

// ---- lines ----------------------------------------------------------------------------------

void reply_status(struct reply *r, const char *text)
{
    put_line(r, '+', text, strlen(text));
}

void reply_ok(struct reply *r)
{
    put(r, "+OK\r\n", 5);
}

// "-CODE text": the code ends at the first space, and one that doesn't end counts as ERR.
static void count_error(struct reply *r, struct bytes text, bool has_code)
{
    struct bytes code = BYTES("ERR");
    if (has_code) {
        const char *space = memchr(text.data, ' ', text.len);
        size_t len = space != NULL ? (size_t)(space - text.data) : 0;
        if (len > 0 && len < sizeof(r->error_code)) code = bytes_of(text.data, len);
    }
    memcpy(r->error_code, code.data, code.len);
    r->error_code[code.len] = '\0';
    r->errors++;
    if (r->on_error != NULL) r->on_error(r->owner, r->error_code, text);
}

void reply_error_bytes(struct reply *r, struct bytes text)
{
    while (text.len > 0 && (text.data[text.len - 1] == '\n' || text.data[text.len - 1] == '\r'))
        text.len--;
    bool has_code = text.len > 0 && text.data[0] == '-';
    struct str *line =
        has_code ? str_new(text.data + 1, text.len - 1) : str_append(str_from(BYTES("ERR ")), text);
    for (size_t i = 0; i < line->len; i++)
        if (line->data[i] == '\r' || line->data[i] == '\n') line->data[i] = ' ';
    count_error(r, str_view(line), has_code);
    put_line(r, '-', line->data, line->len);
    str_free(line);
}

void reply_error(struct reply *r, const char *text)
{
    reply_error_bytes(r, bytes_from_cstr(text));
}

void reply_errorf(struct reply *r, const char *format, ...)
{
    struct buf text = BUF_EMPTY;
    va_list args;
    va_start(args, format);
    buf_vprintf(&text, format, args);
    va_end(args);
    reply_error_bytes(r, buf_view(&text));
    buf_free(&text);
}

void reply_integer(struct reply *r, int64_t number)
{
    put_header(r, ':', number);
}

void reply_bool(struct reply *r, bool yes)
{
    if (r->resp >= 3)
        put(r, yes ? "#t\r\n" : "#f\r\n", 4);
    else
        put(r, yes ? ":1\r\n" : ":0\r\n", 4);
}

// ---- bulks ----------------------------------------------------------------------------------

static void put_blob(struct reply *r, char type, struct bytes data)
{
    char small[256];
    size_t header = format_header(small, type, (int64_t)data.len);
    if (header + data.len + 2 <= sizeof(small)) {
        if (data.len > 0) memcpy(small + header, data.data, data.len);
        memcpy(small + header + data.len, "\r\n", 2);
        put(r, small, header + data.len + 2);
        return;
    }
    put(r, small, header);
    put(r, data.data, data.len);
    put(r, "\r\n", 2);
}

void reply_bulk(struct reply *r, struct bytes data)
{
    put_blob(r, '$', data);
}

void reply_bulk_cstr(struct reply *r, const char *text)
{
    if (text == NULL)
        reply_null(r);
    else
        reply_bulk(r, bytes_from_cstr(text));
}

void reply_bulk_integer(struct reply *r, int64_t number)
{
    char digits[TEXT_I64_BYTES];
    reply_bulk(r, bytes_of(digits, text_from_i64(digits, number)));
}

void reply_bulkf(struct reply *r, const char *format, ...)
{
    struct buf text = BUF_EMPTY;
    va_list args;
    va_start(args, format);
    buf_vprintf(&text, format, args);
    va_end(args);
    reply_bulk(r, buf_view(&text));
    buf_free(&text);
}

void reply_bulk_chunk(struct reply *r, struct chunk *chunk, uint32_t start, uint32_t len)
{
    if (r->out == NULL) return;
    put_header(r, '$', len);
    chain_append_chunk(r->out, chunk, start, len);
    put(r, "\r\n", 2);
}

void reply_bulk_chain(struct reply *r, struct chain *body)
{
    put_header(r, '$', (int64_t)body->len);
    reply_raw_chain(r, body);
    put(r, "\r\n", 2);
}

void reply_null(struct reply *r)
{
    if (r->resp >= 3)
        put(r, "_\r\n", 3);
    else
        put(r, "$-1\r\n", 5);
}

void reply_null_array(struct reply *r)
{
    if (r->resp >= 3)
        put(r, "_\r\n", 3);
    else
        put(r, "*-1\r\n", 5);
}

static void put_number(struct reply *r, const char *text, size_t len)
{
    if (r->resp >= 3)
        put_line(r, ',', text, len);
    else
        reply_bulk(r, bytes_of(text, len));
}

void reply_double(struct reply *r, double number)
{
    char text[TEXT_DOUBLE_BYTES];
    put_number(r, text, text_from_double(text, number));
}

void reply_long_double(struct reply *r, long double number)
{
    char text[TEXT_LONG_DOUBLE_BYTES];
    put_number(r, text, text_from_long_double(text, number));
}

void reply_bignum(struct reply *r, struct bytes digits)
{
    if (r->resp >= 3)
        put_line(r, '(', digits.data, digits.len);
    else
        reply_bulk(r, digits);
}

void reply_verbatim(struct reply *r, const char format[4], struct bytes text)
{
    if (r->resp < 3) {
        reply_bulk(r, text);
        return;
    }
    put_header(r, '=', (int64_t)text.len + 4);
    put(r, format, 3);
    put(r, ":", 1);
    put(r, text.data, text.len);
    put(r, "\r\n", 2);
}

// ---- aggregates -----------------------------------------------------------------------------

enum aggregate { ARRAY, MAP, SET, PUSH };

static size_t aggregate_header(const struct reply *r, enum aggregate kind, size_t count,
                               char out[HEADER_BYTES])
{
    static const char types[] = {[ARRAY] = '*', [MAP] = '%', [SET] = '~', [PUSH] = '>'};
    if (r->resp >= 3) return format_header(out, types[kind], (int64_t)count);
    return format_header(out, '*', (int64_t)(kind == MAP ? count * 2 : count));
}

static void put_aggregate(struct reply *r, enum aggregate kind, size_t count)
{
    char header[HEADER_BYTES];
    put(r, header, aggregate_header(r, kind, count, header));
}

void reply_array(struct reply *r, size_t count)
{
    put_aggregate(r, ARRAY, count);
}

void reply_map(struct reply *r, size_t pairs)
{
    put_aggregate(r, MAP, pairs);
}

void reply_set(struct reply *r, size_t count)
{
    put_aggregate(r, SET, count);
}

void reply_push(struct reply *r, size_t count)
{
    put_aggregate(r, PUSH, count);
}

bool reply_attribute(struct reply *r, size_t pairs)
{
    if (r->resp < 3) return false;
    put_header(r, '|', (int64_t)pairs);
    return true;
}

void reply_empty_array(struct reply *r)
{
    put(r, "*0\r\n", 4);
}

void reply_raw(struct reply *r, struct bytes resp)
{
    put(r, resp.data, resp.len);
}

void reply_raw_chain(struct reply *r, struct chain *resp)
{
    if (r->out != NULL)
        chain_move(r->out, resp);
    else
        chain_free(resp);
}

// ---- deferred aggregates --------------------------------------------------------------------

void reply_begin(struct reply *r, struct reply_deferred *d)
{
    chain_init(&d->body);
    d->outer = r->out;
    if (r->out != NULL) r->out = &d->body;
}

static void end(struct reply *r, struct reply_deferred *d, enum aggregate kind, size_t count)
{
    r->out = d->outer;
    put_aggregate(r, kind, count);
    if (r->out == NULL || d->body.len > BODY_COPY_BYTES) {
        reply_raw_chain(r, &d->body);
        return;
    }
    struct bytes view;
    while (chain_peek(&d->body, &view, 1) == 1) {
        put(r, view.data, view.len);
        chain_consume(&d->body, view.len);
    }
}

void reply_end_array(struct reply *r, struct reply_deferred *d, size_t count)
{
    end(r, d, ARRAY, count);
}

void reply_end_map(struct reply *r, struct reply_deferred *d, size_t pairs)
{
    end(r, d, MAP, pairs);
}

void reply_end_set(struct reply *r, struct reply_deferred *d, size_t count)
{
    end(r, d, SET, count);
}

void reply_end_push(struct reply *r, struct reply_deferred *d, size_t count)
{
    end(r, d, PUSH, count);
}

void reply_drop(struct reply *r, struct reply_deferred *d)
{
    r->out = d->outer;
    chain_free(&d->body);
}
