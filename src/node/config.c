// Setting and showing directives.
#include "node/config.h"

#include "base/mem.h"
#include "base/text.h"
#include "node/config_table.h"
#include "node/node.h"
#include "node/whole_file.h"
#include "proto/config_file.h"
#include "proto/config_rewrite.h"

#include <stdio.h>
#include <stdlib.h>

enum { INCLUDE_DEPTH = 8, VALUE_WORDS = 64 };

const struct directive *directive_find(struct bytes name)
{
    for (const struct directive *d = config_directives; d->name != NULL; d++)
        if (bytes_equal_nocase(name, d->name) ||
            (d->alias != NULL && bytes_equal_nocase(name, d->alias)))
            return d;
    return NULL;
}

static const struct unsupported_directive *unsupported_find(struct bytes name)
{
    for (const struct unsupported_directive *u = config_unsupported; u->name != NULL; u++)
        if (bytes_equal_nocase(name, u->name)) return u;
    return NULL;
}

bool directive_set(struct config *c, const struct directive *d, int argc, const struct bytes *argv,
                   struct error *error)
{
    return d->kind->set(c, d, argc, argv, error);
}

// Splits a value given as one text into words and sets it.
static bool set_from_text(struct config *c, const struct directive *d, struct bytes text,
                          struct error *error)
{
    if (!(d->flags & DIRECTIVE_MULTI)) return directive_set(c, d, 1, &text, error);
    int count;
    struct bytes words[VALUE_WORDS];
    struct str **split = text_split_quoted(text, &count);
    if (split == NULL || count > VALUE_WORDS) {
        for (int i = 0; i < count && split != NULL; i++)
            str_free(split[i]);
        mem_free(split);
        return error_set(error, ERROR_CONFIG, "the value of '%s' can't be read", d->name);
    }
    for (int i = 0; i < count; i++)
        words[i] = str_view(split[i]);
    if (count == 0) words[0] = BYTES("");
    bool ok = directive_set(c, d, count ? count : 1, words, error);
    for (int i = 0; i < count; i++)
        str_free(split[i]);
    mem_free(split);
    return ok;
}

void config_init(struct config *c)
{
    *c = (struct config){0};
    value_limits_default(&c->limits);
    request_limits_default(&c->request_limits);
    for (const struct directive *d = config_directives; d->name != NULL; d++) {
        struct error error = ERROR_OK;
        if (set_from_text(c, d, bytes_from_cstr(d->standard), &error)) continue;
        fprintf(stderr, "wherry: the default of '%s' is wrong: %s\n", d->name, error.text);
        abort();
    }
}

void config_free(struct config *c)
{
    for (const struct directive *d = config_directives; d->name != NULL; d++) {
        bool text = d->kind == &kind_string || d->kind == &kind_nullable ||
                    d->kind == &kind_secret || d->kind == &kind_users;
        if (!text) continue;
        void **held = (void **)(void *)((char *)c + d->offset);
        mem_free(*held);
        *held = NULL;
    }
    for (int i = 0; i < c->bind_count; i++)
        mem_free(c->bind[i]);
    mem_free(c->replicaof_host);
    mem_free(c->config_file);
    *c = (struct config){0};
}

bool config_set_initial(struct config *c, struct bytes name, int argc, const struct bytes *argv,
                        struct error *error)
{
    const struct directive *d = directive_find(name);
    if (d == NULL) {
        const struct unsupported_directive *u = unsupported_find(name);
        if (u != NULL)
            return error_set(error, ERROR_UNSUPPORTED,
                             "directive '%s' of Redis is not supported by wherry (%s): remove it",
                             u->name, u->why);
        return error_set(error, ERROR_CONFIG, "unknown directive '%.*s'",
                         (int)(name.len < 64 ? name.len : 64), name.data);
    }
    // One word that holds several: save "3600 1 60 100".
    bool ok = argc == 1 && (d->flags & DIRECTIVE_MULTI) ? set_from_text(c, d, argv[0], error)
                                                        : directive_set(c, d, argc, argv, error);
    return ok || error_context(error, "%s", d->name);
}

// ---- at start -----------------------------------------------------------------------------------

static bool load_text(struct config *c, struct config_file *file, const char *where, int depth,
                      struct error *error);

static bool load_file(struct config *c, const char *path, int depth, struct error *error)
{
    if (depth > INCLUDE_DEPTH)
        return error_set(error, ERROR_CONFIG, "'include' goes more than %d files deep at '%s'",
                         INCLUDE_DEPTH, path);
    struct buf text = BUF_EMPTY;
    struct config_file file;
    config_file_init(&file);
    bool ok = whole_file_read(path, &text, error) || error_context(error, "config file");
    if (ok && !config_file_parse(&file, buf_view(&text), error)) {
        error_context(error, "%s", path);
        ok = false;
    }
    ok = ok && load_text(c, &file, path, depth, error);
    config_file_free(&file);
    buf_free(&text);
    return ok;
}

static bool load_text(struct config *c, struct config_file *file, const char *where, int depth,
                      struct error *error)
{
    bool save_seen = false;
    for (int i = 0; i < file->count; i++) {
        struct config_line *line = &file->lines[i];
        int count = line->argc - 1;
        struct bytes *words = mem_array(struct bytes, (size_t)line->argc);
        for (int k = 0; k < count; k++)
            words[k] = str_view(line->argv[k + 1]);
        bool ok;
        if (bytes_equal_nocase(str_view(line->argv[0]), "include") && count == 1) {
            ok = load_file(c, line->argv[1]->data, depth + 1, error);
        } else {
            // Lines of `save` add up, starting from none.
            struct save_point kept[CONFIG_SAVE_POINTS_MAX];
            bool save = bytes_equal_nocase(str_view(line->argv[0]), "save");
            int kept_count = save && save_seen ? c->save_count : 0;
            memcpy(kept, c->save, sizeof(kept));
            ok = config_set_initial(c, str_view(line->argv[0]), count, words, error);
            if (ok && save && c->save_count > 0 &&
                kept_count + c->save_count <= CONFIG_SAVE_POINTS_MAX) {
                memmove(c->save + kept_count, c->save, sizeof(*kept) * (size_t)c->save_count);
                memcpy(c->save, kept, sizeof(*kept) * (size_t)kept_count);
                c->save_count += kept_count;
            }
            save_seen |= save;
        }
        mem_free(words);
        if (!ok) return error_context(error, "%s, line %d", where, line->line);
    }
    return true;
}

bool config_load(struct config *c, const char *path, int argc, char **argv, struct error *error)
{
    if (path != NULL) {
        if (!load_file(c, path, 0, error)) return false;
        mem_free(c->config_file);
        char *full = realpath(path, NULL);
        c->config_file = mem_alloc(strlen(full ? full : path) + 1);
        memcpy(c->config_file, full ? full : path, strlen(full ? full : path) + 1);
        free(full);
    }
    struct config_file options;
    config_file_init(&options);
    bool ok = config_file_parse_options(&options, argc, argv, error) &&
              load_text(c, &options, "command line", 0, error);
    config_file_free(&options);
    return ok;
}

// ---- at run time --------------------------------------------------------------------------------

static bool may_change(struct node *n, const struct directive *d, struct error *error)
{
    if (d->flags & DIRECTIVE_IMMUTABLE)
        return error_set(error, ERROR_CONFIG, "can't set immutable config");
    if ((d->flags & DIRECTIVE_PROTECTED) && n->config.enable_protected_configs == PERMIT_NO)
        return error_set(error, ERROR_CONFIG, "can't set protected config");
    if ((d->flags & DIRECTIVE_NOT_LOADING) && (n->loading || n->async_loading))
        return error_set(error, ERROR_CONFIG,
                         "-LOADING Failed to set config: the dataset is loading");
    return true;
}

static bool apply_changed(struct node *n, const struct directive **changed, int count, int *failed,
                          struct error *error)
{
    for (int i = 0; i < count; i++) {
        bool done = changed[i]->apply == NULL;
        for (int k = 0; k < i && !done; k++)
            done = changed[k]->apply == changed[i]->apply;
        if (done || changed[i]->apply(n, error)) continue;
        *failed = i;
        return false;
    }
    return true;
}

// What CONFIG SET is about to change.
struct change {
    const struct directive **rows; // of each pair
    struct buf *old;               // the values before, of those that are set
    int pairs, set;
};

static bool find_rows(struct node *n, struct change *ch, const struct bytes *names, int *failed,
                      struct error *error)
{
    for (int i = 0; i < ch->pairs; i++) {
        ch->rows[i] = directive_find(names[i]);
        *failed = i;
        if (ch->rows[i] == NULL) {
            const struct unsupported_directive *u = unsupported_find(names[i]);
            return u ? error_set(error, ERROR_UNSUPPORTED, "not supported by wherry (%s)", u->why)
                     : error_set(error, ERROR_NONE, "unknown");
        }
        if (!may_change(n, ch->rows[i], error)) return false;
        for (int k = 0; k < i; k++)
            if (ch->rows[k] == ch->rows[i])
                return error_set(error, ERROR_CONFIG, "duplicate parameter");
    }
    return true;
}

static void change_undo(struct node *n, struct change *ch)
{
    struct error ignored;
    for (int i = ch->set - 1; i >= 0; i--)
        if (!set_from_text(&n->config, ch->rows[i], buf_view(&ch->old[i]), &ignored))
            log_warning(&n->log, "CONFIG SET could not put back '%s'", ch->rows[i]->name);
}

// Sets the fields, all of them or none; nothing acts on them yet.
static bool change_begin(struct node *n, struct change *ch, const struct config_pairs *p,
                         int *failed, struct error *error)
{
    *ch = (struct change){.pairs = p->count};
    ch->rows = mem_alloc_array((size_t)p->count, sizeof(*ch->rows));
    ch->old = mem_zalloc((size_t)p->count * sizeof(*ch->old));
    *failed = -1;
    if (!find_rows(n, ch, p->names, failed, error)) return false;
    for (; ch->set < p->count; ch->set++) {
        const struct directive *row = ch->rows[ch->set];
        *failed = ch->set;
        row->kind->get(&n->config, row, &ch->old[ch->set]);
        if (set_from_text(&n->config, row, p->values[ch->set], error)) continue;
        buf_free(&ch->old[ch->set]);
        change_undo(n, ch);
        return false;
    }
    return true;
}

static void change_free(struct change *ch)
{
    for (int i = 0; i < ch->pairs; i++)
        buf_free(&ch->old[i]);
    mem_free(ch->old);
    mem_free(ch->rows);
}

bool config_try(struct node *n, const struct config_pairs *p, struct tls_config **tls, int *failed,
                struct error *error)
{
    struct change ch;
    bool ok = change_begin(n, &ch, p, failed, error);
    *tls = NULL;
    for (int i = 0; i < p->count && ok; i++) {
        bool needs =
            ch.rows[i]->apply == apply_tls || (ch.rows[i]->apply == apply_listen && n->tls == NULL);
        if (!needs || !config_wants_tls(&n->config)) continue;
        *tls = tls_config_copy(&n->config.tls);
        *failed = i;
        break;
    }
    if (ok) change_undo(n, &ch);
    change_free(&ch);
    return ok;
}

bool config_set(struct node *n, const struct config_pairs *p, struct tls_context *tls, int *failed,
                struct error *error)
{
    struct change ch;
    bool ok = change_begin(n, &ch, p, failed, error);
    if (ok) {
        struct tls_context *before = n->tls != NULL ? tls_context_ref(n->tls) : NULL;
        n->tls_offered = tls;
        ok = apply_changed(n, ch.rows, p->count, failed, error);
        n->tls_offered = before;
        struct error ignored;
        int where;
        if (!ok) change_undo(n, &ch);
        if (!ok && !apply_changed(n, ch.rows, p->count, &where, &ignored))
            log_warning(&n->log, "CONFIG SET could not go back: %s", ignored.text);
        n->tls_offered = NULL;
        tls_context_unref(before);
    }
    change_free(&ch);
    return ok;
}

void config_match(const struct config *c, struct bytes pattern,
                  void (*show)(void *arg, const char *name, struct bytes value), void *arg)
{
    bool glob = memchr(pattern.data, '*', pattern.len) || memchr(pattern.data, '?', pattern.len) ||
                memchr(pattern.data, '[', pattern.len);
    for (const struct directive *d = config_directives; d->name != NULL; d++) {
        const char *names[2] = {d->name, d->alias};
        for (int i = 0; i < 2; i++) {
            if (names[i] == NULL || (glob && (d->flags & DIRECTIVE_HIDDEN)) ||
                !text_glob(pattern, bytes_from_cstr(names[i]), true))
                continue;
            struct buf value = BUF_EMPTY;
            d->kind->get(c, d, &value);
            show(arg, names[i], buf_view(&value));
            buf_free(&value);
        }
    }
}

static const char *canonical(void *owner, const char *name)
{
    (void)owner;
    const struct directive *d = directive_find(bytes_from_cstr(name));
    if (d != NULL) return d->name;
    return strcmp(name, "include") == 0 ? "include" : NULL;
}

static void directive_lines(const struct config *c, const struct directive *d, struct buf *out)
{
    if (d->kind->lines != NULL) {
        d->kind->lines(c, d, out);
        return;
    }
    struct buf value = BUF_EMPTY;
    d->kind->get(c, d, &value);
    buf_printf(out, "%s ", d->name);
    if (d->flags & DIRECTIVE_MULTI) {
        if (buf_len(&value) == 0) buf_append_cstr(out, "\"\"");
        buf_append_bytes(out, buf_view(&value));
    } else {
        config_append_word(out, buf_view(&value));
    }
    buf_append_byte(out, '\n');
    buf_free(&value);
}

void config_rewritten(const struct config *c, struct bytes old_text, struct buf *out)
{
    struct config standard;
    config_init(&standard);
    struct buf lines = BUF_EMPTY, value = BUF_EMPTY, default_value = BUF_EMPTY;
    struct config_entry *entries = NULL;
    size_t *starts = NULL;
    int count = 0;
    for (const struct directive *d = config_directives; d->name != NULL; d++) {
        buf_clear(&value);
        buf_clear(&default_value);
        d->kind->get(c, d, &value);
        d->kind->get(&standard, d, &default_value);
        bool is_default = bytes_equal(buf_view(&value), buf_view(&default_value));
        bool gone = (d->kind == &kind_replicaof || d->kind == &kind_users) && buf_len(&value) == 0;
        size_t from = lines.end;
        if (!gone) directive_lines(c, d, &lines);
        do {
            char *end = gone ? NULL : memchr(lines.data + from, '\n', lines.end - from);
            size_t len = end ? (size_t)(end - lines.data) - from : 0;
            entries = mem_realloc(entries, sizeof(*entries) * (size_t)(count + 1));
            starts = mem_realloc(starts, sizeof(*starts) * (size_t)(count + 1));
            starts[count] = gone ? SIZE_MAX : from;
            entries[count++] = (struct config_entry){
                .name = d->name, .line = {NULL, len}, .force = !is_default && !gone};
            from += len + 1;
        } while (!gone && from < lines.end);
    }
    // The buffer does not move any more: now the views may point into it.
    for (int i = 0; i < count; i++)
        entries[i].line.data = starts[i] == SIZE_MAX ? NULL : lines.data + starts[i];
    struct config_rewrite rewrite = {.entries = entries, .count = count, .canonical = canonical};
    config_rewrite(&rewrite, old_text, out);
    mem_free(entries);
    mem_free(starts);
    buf_free(&lines);
    buf_free(&value);
    buf_free(&default_value);
    config_free(&standard);
}
