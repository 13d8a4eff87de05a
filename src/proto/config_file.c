#include "proto/config_file.h"

#include "base/mem.h"
#include "base/text.h"

#include <ctype.h>

void config_file_init(struct config_file *f)
{
    *f = (struct config_file){0};
}

static void free_words(struct str **words, int count)
{
    for (int i = 0; i < count; i++)
        str_free(words[i]);
    mem_free(words);
}

void config_file_free(struct config_file *f)
{
    for (int i = 0; i < f->count; i++)
        free_words(f->lines[i].argv, f->lines[i].argc);
    mem_free(f->lines);
    config_file_init(f);
}

static struct config_line *add_line(struct config_file *f, int line, struct str **argv, int argc)
{
    if (f->count == f->cap) {
        f->cap = f->cap ? f->cap * 2 : 64;
        f->lines = mem_realloc(f->lines, sizeof(*f->lines) * (size_t)f->cap);
    }
    for (size_t i = 0; i < argv[0]->len; i++)
        argv[0]->data[i] = (char)tolower((unsigned char)argv[0]->data[i]);
    struct config_line *added = &f->lines[f->count++];
    *added = (struct config_line){.line = line, .argc = argc, .argv = argv};
    return added;
}

static void add_word(struct config_line *l, struct bytes word)
{
    l->argv = mem_realloc(l->argv, sizeof(struct str *) * ((size_t)l->argc + 1));
    l->argv[l->argc++] = str_from(word);
}

static bool is_save(const struct config_line *l)
{
    return bytes_equal(str_view(l->argv[0]), BYTES("save"));
}

static bool blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static struct bytes trim(struct bytes line)
{
    while (line.len > 0 && blank(line.data[0])) {
        line.data++;
        line.len--;
    }
    while (line.len > 0 && blank(line.data[line.len - 1]))
        line.len--;
    return line;
}

static bool parse_line(struct config_file *f, int number, struct bytes line, struct error *error)
{
    line = trim(line);
    if (line.len == 0 || line.data[0] == '#') return true;
    if (line.len > CONFIG_LINE_BYTES)
        return error_set(error, ERROR_CONFIG, "line %d: longer than %d bytes", number,
                         CONFIG_LINE_BYTES);
    int argc;
    struct str **argv = text_split_quoted(line, &argc);
    if (argv == NULL)
        return error_set(error, ERROR_CONFIG,
                         "line %d: '%.*s': Unbalanced quotes in configuration line", number,
                         (int)(line.len < 100 ? line.len : 100), line.data);
    if (argc == 0) {
        mem_free(argv);
        return true;
    }
    struct config_line *added = add_line(f, number, argv, argc);
    if (argc == 1 && is_save(added)) add_word(added, BYTES(""));
    return true;
}

bool config_file_parse(struct config_file *f, struct bytes text, struct error *error)
{
    for (int number = 1; text.len > 0; number++) {
        const char *end = memchr(text.data, '\n', text.len);
        size_t len = end != NULL ? (size_t)(end - text.data) : text.len;
        if (!parse_line(f, number, bytes_of(text.data, len), error)) return false;
        if (end != NULL) len++;
        text = bytes_of(text.data + len, text.len - len);
    }
    return true;
}

// ---- options --------------------------------------------------------------------------------

static bool is_option(const char *word)
{
    return word[0] == '-' && word[1] == '-' && word[2] != '\0';
}

// "--name" or "--name value..." in one word of the command line.
static bool add_option(struct config_file *f, int position, const char *word, struct error *error)
{
    int argc;
    struct str **argv = text_split_quoted(bytes_from_cstr(word + 2), &argc);
    if (argv == NULL || argc == 0) {
        mem_free(argv);
        return error_set(error, ERROR_CONFIG, "option '%.100s': Unbalanced quotes or no name",
                         word);
    }
    add_line(f, position, argv, argc);
    return true;
}

bool config_file_parse_options(struct config_file *f, int argc, char *const *argv,
                               struct error *error)
{
    // The last option was given alone, so what comes next is its value, whatever it looks like.
    bool wants_value = false;
    struct config_line *current = NULL;
    for (int i = 0; i < argc; i++) {
        bool empty_save = wants_value && is_save(current) && is_option(argv[i]);
        if (empty_save) add_word(current, BYTES(""));
        if (is_option(argv[i]) && (!wants_value || empty_save)) {
            if (!add_option(f, i + 1, argv[i], error)) return false;
            current = &f->lines[f->count - 1];
            wants_value = current->argc == 1;
        } else if (current == NULL) {
            return error_set(error, ERROR_CONFIG, "'%.100s' is not an option: --name expected",
                             argv[i]);
        } else {
            add_word(current, bytes_from_cstr(argv[i]));
            wants_value = false;
        }
    }
    if (wants_value && is_save(current)) add_word(current, BYTES(""));
    return true;
}

// ---- writing --------------------------------------------------------------------------------

void config_append_word(struct buf *out, struct bytes word)
{
    bool plain = word.len > 0;
    for (size_t i = 0; i < word.len && plain; i++) {
        unsigned char c = (unsigned char)word.data[i];
        plain = isgraph(c) && c != '"' && c != '\'' && c != '\\' && !(i == 0 && c == '#');
    }
    if (plain)
        buf_append_bytes(out, word);
    else
        text_append_quoted(out, word);
}

void config_append_line(struct buf *out, int argc, const struct bytes *argv)
{
    for (int i = 0; i < argc; i++) {
        if (i > 0) buf_append_byte(out, ' ');
        config_append_word(out, argv[i]);
    }
}
