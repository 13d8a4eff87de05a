#include "proto/lines.h"

#include "base/text.h"

void line_reader_init(struct line_reader *l)
{
    *l = (struct line_reader){.max_bytes = LINE_MAX_BYTES};
}

void line_reader_free(struct line_reader *l)
{
    buf_free(&l->partial);
    line_reader_init(l);
}

enum line_state line_read(struct line_reader *l, struct bytes *input, struct bytes *line,
                          struct error *error)
{
    if (l->given) {
        buf_clear(&l->partial);
        l->given = false;
    }
    if (input->len == 0) return LINE_NEED_MORE;
    const char *end = memchr(input->data, '\n', input->len);
    size_t part = end != NULL ? (size_t)(end - input->data) : input->len;
    if (buf_len(&l->partial) + part > l->max_bytes) {
        error_set(error, ERROR_PROTOCOL, "line is longer than %zu bytes", l->max_bytes);
        return LINE_ERROR;
    }
    *line = bytes_of(input->data, part);
    if (buf_len(&l->partial) > 0 || end == NULL) {
        buf_append(&l->partial, input->data, part);
        *line = buf_view(&l->partial);
    }
    size_t used = end != NULL ? part + 1 : part;
    input->data += used;
    input->len -= used;
    if (end == NULL) return LINE_NEED_MORE;
    l->given = true;
    if (line->len > 0 && line->data[line->len - 1] == '\r') line->len--;
    return LINE_READY;
}

static bool starts_with(struct bytes line, const char *word, struct bytes *rest)
{
    size_t len = strlen(word);
    if (line.len < len || memcmp(line.data, word, len) != 0) return false;
    *rest = bytes_of(line.data + len, line.len - len);
    return true;
}

// Takes the word after one space.
static bool next_word(struct bytes *rest, struct bytes *word)
{
    if (rest->len == 0 || rest->data[0] != ' ') return false;
    const char *from = rest->data + 1, *end = memchr(from, ' ', rest->len - 1);
    size_t len = end != NULL ? (size_t)(end - from) : rest->len - 1;
    *word = bytes_of(from, len);
    *rest = bytes_of(from + len, rest->len - 1 - len);
    return true;
}

static bool take_replid(struct bytes *rest, char out[LINE_REPLID_BYTES + 1])
{
    struct bytes word;
    if (!next_word(rest, &word) || word.len != LINE_REPLID_BYTES) return false;
    memcpy(out, word.data, LINE_REPLID_BYTES);
    out[LINE_REPLID_BYTES] = '\0';
    return true;
}

void line_parse_psync(struct bytes line, struct psync_reply *out)
{
    *out = (struct psync_reply){.answer = PSYNC_NONSENSE};
    struct bytes rest, word;
    if (starts_with(line, "+FULLRESYNC", &rest)) {
        if (take_replid(&rest, out->replid) && next_word(&rest, &word) &&
            text_to_i64(word, &out->offset) && out->offset >= 0 && rest.len == 0)
            out->answer = PSYNC_FULLRESYNC;
    } else if (starts_with(line, "+CONTINUE", &rest)) {
        if (rest.len == 0 || (take_replid(&rest, out->replid) && rest.len == 0))
            out->answer = PSYNC_CONTINUE;
    } else if (starts_with(line, "-NOMASTERLINK", &rest) || starts_with(line, "-LOADING", &rest)) {
        out->answer = PSYNC_NOT_NOW;
    } else if (line.len > 0 && line.data[0] == '-') {
        out->answer = PSYNC_REFUSED;
    }
}

bool line_parse_payload(struct bytes line, struct payload_header *out, struct error *error)
{
    *out = (struct payload_header){0};
    struct bytes rest;
    if (starts_with(line, "$EOF:", &rest)) {
        if (rest.len != LINE_EOF_MARK_BYTES)
            return error_set(error, ERROR_PROTOCOL,
                             "end mark of the snapshot has %zu bytes, not %d", rest.len,
                             LINE_EOF_MARK_BYTES);
        out->until_mark = true;
        memcpy(out->mark, rest.data, LINE_EOF_MARK_BYTES);
        return true;
    }
    if (starts_with(line, "$", &rest) && text_to_u64(rest, &out->len)) return true;
    return error_set(error, ERROR_PROTOCOL, "expected the header of a snapshot, got '%.*s'",
                     (int)(line.len < 64 ? line.len : 64), line.data);
}
