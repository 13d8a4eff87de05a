#include "command/scan.h"

#include "base/text.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>

// With a sparse table a step may visit nothing: so many steps per element asked for, then the
// caller gets what there is, and the cursor.
enum { SCAN_COUNT_DEFAULT = 10, SCAN_STEPS_PER_ELEMENT = 10 };

bool scan_parse_cursor(struct ctx *c, int index, uint64_t *cursor)
{
    const char *text = c->argv[index]->data; // NUL after the last byte
    char *end;
    errno = 0;
    unsigned long long number = strtoull(text, &end, 10);
    if (isspace((unsigned char)text[0]) || end != text + c->argv[index]->len || errno == ERANGE) {
        reply_error(c->reply, "invalid cursor");
        return false;
    }
    *cursor = number;
    return true;
}

bool scan_parse(struct ctx *c, int index, enum scan_kind kind, struct scan *scan)
{
    *scan = (struct scan){.c = c, .count = SCAN_COUNT_DEFAULT};
    if (!scan_parse_cursor(c, index, &scan->cursor)) return false;
    for (int i = index + 1; i < c->argc; i += 2) {
        bool has_word = i + 1 < c->argc;
        if (has_word && ctx_is(c, i, "count")) {
            int64_t count;
            if (!ctx_int(c, i + 1, &count)) return false;
            if (count < 1) {
                ctx_syntax_error(c);
                return false;
            }
            scan->count = (uint64_t)count;
        } else if (has_word && ctx_is(c, i, "match")) {
            scan->pattern = ctx_arg(c, i + 1);
            if (bytes_equal(scan->pattern, BYTES("*"))) scan->pattern = bytes_of(NULL, 0);
        } else if (has_word && ctx_is(c, i, "type") && kind == SCAN_KEYS) {
            scan->type = ctx_arg(c, i + 1);
        } else {
            ctx_syntax_error(c);
            return false;
        }
    }
    if (__builtin_mul_overflow(scan->count, (uint64_t)SCAN_STEPS_PER_ELEMENT, &scan->rounds_left))
        scan->rounds_left = UINT64_MAX;
    chain_init(&scan->body);
    scan->aside = reply_to(&scan->body, c->reply->resp);
    return true;
}

bool scan_seen(struct scan *scan, struct bytes name)
{
    scan->seen++;
    return scan->pattern.data == NULL || text_glob(scan->pattern, name, false);
}

void scan_emit(struct scan *scan, struct bytes text)
{
    reply_bulk(&scan->aside, text);
    scan->emitted++;
}

bool scan_more(struct scan *scan)
{
    return scan->cursor != 0 && scan->seen < scan->count && scan->rounds_left-- > 0;
}

void scan_reply(struct scan *scan)
{
    struct reply *r = scan->c->reply;
    reply_array(r, 2);
    reply_bulkf(r, "%llu", (unsigned long long)scan->cursor);
    reply_array(r, scan->emitted);
    reply_raw_chain(r, &scan->body);
    chain_free(&scan->body);
}

void scan_reply_empty(struct ctx *c)
{
    reply_array(c->reply, 2);
    reply_bulk_cstr(c->reply, "0");
    reply_empty_array(c->reply);
}
