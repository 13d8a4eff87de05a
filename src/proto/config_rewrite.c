// Three passes: read the old lines, each with the directive it belongs to; put every entry in the
// place of the first old line of its directive that is still free, or at the end; write out what
// is left, without the lines of written directives that nobody took.
#include "proto/config_rewrite.h"

#include "base/mem.h"
#include "base/text.h"
#include "proto/config_file.h"

#include <ctype.h>

struct old_line {
    struct bytes text; // as it stands, or as an entry wants it
    struct str *owned; // the text where it is ours, or NULL
    struct str *name;  // canonical name of its directive; NULL: kept as it is, whatever happens
    bool taken;        // an entry's text is in it
};

struct rewriter {
    const struct config_rewrite *w;
    struct old_line *lines;
    int count, cap;
    bool marked; // the file has CONFIG_REWRITE_MARK
};

static struct old_line *add_line(struct rewriter *r, struct bytes text)
{
    if (r->count == r->cap) {
        r->cap = r->cap ? r->cap * 2 : 64;
        r->lines = mem_realloc(r->lines, sizeof(*r->lines) * (size_t)r->cap);
    }
    struct old_line *l = &r->lines[r->count++];
    *l = (struct old_line){.text = text};
    return l;
}

static struct bytes trim(struct bytes line)
{
    while (line.len > 0 && isspace((unsigned char)line.data[0])) {
        line.data++;
        line.len--;
    }
    while (line.len > 0 && isspace((unsigned char)line.data[line.len - 1]))
        line.len--;
    return line;
}

static void read_line(struct rewriter *r, struct bytes text)
{
    struct old_line *l = add_line(r, trim(text));
    if (l->text.len == 0 || l->text.data[0] == '#') {
        r->marked |= bytes_equal(l->text, BYTES(CONFIG_REWRITE_MARK));
        return;
    }
    struct config_file parsed;
    config_file_init(&parsed);
    const char *name = NULL;
    if (config_file_parse(&parsed, l->text, NULL) && parsed.count == 1)
        name = r->w->canonical(r->w->owner, parsed.lines[0].argv[0]->data);
    if (name != NULL) {
        l->name = str_from(bytes_from_cstr(name));
    } else {
        l->owned = str_append(str_from(BYTES("# ??? ")), l->text);
        l->text = str_view(l->owned);
    }
    config_file_free(&parsed);
}

static void read_lines(struct rewriter *r, struct bytes text)
{
    while (text.len > 0) {
        const char *end = memchr(text.data, '\n', text.len);
        size_t len = end != NULL ? (size_t)(end - text.data) : text.len;
        read_line(r, bytes_of(text.data, len));
        if (end != NULL) len++;
        text = bytes_of(text.data + len, text.len - len);
    }
}

static bool of_directive(const struct old_line *l, const char *name)
{
    return l->name != NULL && strcmp(l->name->data, name) == 0;
}

static void place_entry(struct rewriter *r, const struct config_entry *e)
{
    if (e->line.data == NULL) return;
    bool in_file = false;
    for (int i = 0; i < r->count; i++) {
        struct old_line *l = &r->lines[i];
        if (!of_directive(l, e->name)) continue;
        in_file = true;
        if (l->taken) continue;
        l->text = e->line;
        l->taken = true;
        return;
    }
    // A second line of a directive that is in the file belongs there as much as the first.
    if (!e->force && !in_file) return;
    if (!r->marked) add_line(r, BYTES(CONFIG_REWRITE_MARK));
    r->marked = true;
    struct old_line *l = add_line(r, e->line);
    l->name = str_from(bytes_from_cstr(e->name));
    l->taken = true;
}

static bool is_managed(const struct rewriter *r, const struct old_line *l)
{
    for (int i = 0; i < r->w->count; i++)
        if (of_directive(l, r->w->entries[i].name)) return true;
    return false;
}

static void write_lines(struct rewriter *r, struct buf *out)
{
    bool was_empty = false;
    for (int i = 0; i < r->count; i++) {
        struct old_line *l = &r->lines[i];
        bool orphan = !l->taken && is_managed(r, l);
        bool empty = orphan || l->text.len == 0;
        if (empty && was_empty) continue;
        was_empty = empty;
        if (!empty) buf_append_bytes(out, l->text);
        buf_append_byte(out, '\n');
    }
}

void config_rewrite(const struct config_rewrite *w, struct bytes old_text, struct buf *out)
{
    struct rewriter r = {.w = w};
    read_lines(&r, old_text);
    for (int i = 0; i < w->count; i++)
        place_entry(&r, &w->entries[i]);
    write_lines(&r, out);
    for (int i = 0; i < r.count; i++) {
        str_free(r.lines[i].owned);
        str_free(r.lines[i].name);
    }
    mem_free(r.lines);
}
