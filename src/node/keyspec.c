#include "node/keyspec.h"

#include "base/text.h"

#include <stdlib.h>

// ---- reading ------------------------------------------------------------------------------------

// Cuts off the text up to `separator`, which goes too.
static struct bytes cut(struct bytes *text, char separator)
{
    const char *end = memchr(text->data, separator, text->len);
    struct bytes part = end != NULL ? bytes_of(text->data, (size_t)(end - text->data)) : *text;
    size_t gone = part.len + (end != NULL);
    *text = bytes_of(text->data + gone, text->len - gone);
    return part;
}

static struct bytes after_first(struct bytes word)
{
    return bytes_of(word.data + 1, word.len - 1);
}

static int number_of(struct bytes word)
{
    int64_t number = 0;
    return text_to_i64(word, &number) ? (int)number : 0;
}

static void parse_one(struct bytes text, struct keyspec *out)
{
    struct bytes begin = cut(&text, ' '), find = cut(&text, ' ');
    *out = (struct keyspec){.begin = BEGIN_UNKNOWN, .find = FIND_UNKNOWN, .flags = text};
    struct bytes rest = after_first(begin);
    if (begin.data[0] == 'i') {
        out->begin = BEGIN_INDEX;
        out->start = number_of(rest);
    } else if (begin.data[0] == 'k') {
        out->begin = BEGIN_KEYWORD;
        out->keyword = cut(&rest, ',');
        out->start = number_of(rest);
    }
    if (find.data[0] == '?') return;
    out->find = find.data[0] == 'r' ? FIND_RANGE : FIND_KEYNUM;
    rest = after_first(find);
    for (int i = 0; i < 3; i++)
        out->number[i] = number_of(cut(&rest, ','));
}

int keyspecs_parse(const char *text, struct keyspec out[KEYSPECS_MAX])
{
    if (text == NULL) return 0;
    int count = 0;
    for (struct bytes left = bytes_from_cstr(text); left.len > 0 && count < KEYSPECS_MAX;)
        parse_one(cut(&left, '|'), &out[count++]);
    return count;
}

// ---- applying -----------------------------------------------------------------------------------

// Where the keys of the specification begin in this call, or 0.
static int begins_at(const struct keyspec *s, int argc, struct str *const *argv)
{
    if (s->begin == BEGIN_INDEX) return s->start;
    if (s->begin != BEGIN_KEYWORD) return 0;
    char word[32];
    size_t len = s->keyword.len < sizeof(word) ? s->keyword.len : sizeof(word) - 1;
    memcpy(word, s->keyword.data, len);
    word[len] = '\0';
    int step = s->start < 0 ? -1 : 1;
    for (int i = s->start < 0 ? argc + s->start : s->start; i > 0 && i < argc; i += step)
        if (bytes_equal_nocase(str_view(argv[i]), word)) return i + 1;
    return 0;
}

static bool covers(const struct keyspec *s, int argc, struct str *const *argv, int index)
{
    int first = begins_at(s, argc, argv), last, step;
    if (first <= 0 || first >= argc) return false;
    if (s->find == FIND_RANGE) {
        step = s->number[1];
        if (s->number[0] >= 0)
            last = first + s->number[0];
        else if (s->number[2] <= 1)
            last = argc + s->number[0];
        else
            last = first + (argc - first) / s->number[2] + s->number[0];
    } else if (s->find == FIND_KEYNUM) {
        int64_t keys;
        int at = first + s->number[0];
        if (at >= argc || !text_to_i64(str_view(argv[at]), &keys) || keys < 0 || keys > argc)
            return false;
        step = s->number[2];
        first += s->number[1];
        last = first + ((int)keys - 1) * step;
    } else {
        return false;
    }
    return step > 0 && index >= first && index <= last && (index - first) % step == 0;
}

const struct keyspec *keyspec_covering(const struct keyspec *specs, int count, int argc,
                                       struct str *const *argv, int index)
{
    for (int i = 0; i < count; i++)
        if (covers(&specs[i], argc, argv, index)) return &specs[i];
    return NULL;
}

static const char *flags_of_access(enum key_access access)
{
    switch (access) {
    case KEY_WRITE:
        return "OW update";
    case KEY_READ_WRITE:
        return "RW access update";
    case KEY_READ:
        return "RO access";
    case KEY_CHANNEL:
        break;
    }
    return "not_key";
}

// Where the flags depend on the arguments: SET reads only with GET; for others the row knows.
static const char *variable_flags(const char *name, int argc, struct str *const *argv,
                                  enum key_access access)
{
    if (strcmp(name, "set") != 0) return flags_of_access(access);
    for (int i = 3; i < argc; i++)
        if (bytes_equal_nocase(str_view(argv[i]), "get")) return flags_of_access(KEY_READ_WRITE);
    return flags_of_access(KEY_WRITE);
}

struct bytes keyspec_flags_of(const struct keyspec *specs, int count, const char *name, int argc,
                              struct str *const *argv, const struct key_ref *key)
{
    const struct keyspec *spec = keyspec_covering(specs, count, argc, argv, key->index);
    bool fixed =
        spec != NULL && memmem(spec->flags.data, spec->flags.len, "variable_flags", 14) == NULL;
    struct bytes flags =
        fixed ? spec->flags : bytes_from_cstr(variable_flags(name, argc, argv, key->access));
    // Said of the specification, not of a key that was found by it; always the last word.
    struct bytes incomplete = BYTES(" incomplete");
    if (flags.len > incomplete.len &&
        memcmp(flags.data + flags.len - incomplete.len, incomplete.data, incomplete.len) == 0)
        flags.len -= incomplete.len;
    return flags;
}

// One range stands for the specifications that follow each other without a gap.
void keyspecs_range(const struct keyspec *specs, int count, int out[3])
{
    out[0] = out[1] = out[2] = 0;
    for (int i = 0; i < count; i++) {
        const struct keyspec *s = &specs[i];
        if (s->begin != BEGIN_INDEX || s->find != FIND_RANGE) continue;
        int last = s->number[0] >= 0 ? s->start + s->number[0] : s->number[0];
        if (out[0] == 0) {
            out[0] = s->start;
            out[1] = last;
            out[2] = s->number[1];
        } else if (out[1] == s->start - 1) {
            out[1] = last;
        }
    }
}

// ---- showing ------------------------------------------------------------------------------------

void keyspec_reply_flags(struct reply *r, struct bytes flags)
{
    size_t count = flags.len > 0;
    for (size_t i = 0; i < flags.len; i++)
        count += flags.data[i] == ' ';
    reply_set(r, count);
    while (flags.len > 0) {
        struct bytes word = cut(&flags, ' ');
        char name[32] = {0};
        memcpy(name, word.data, word.len < sizeof(name) - 1 ? word.len : sizeof(name) - 1);
        reply_status(r, name);
    }
}

static void reply_part(struct reply *r, const char *type, size_t fields)
{
    reply_map(r, 2);
    reply_bulk_cstr(r, "type");
    reply_bulk_cstr(r, type);
    reply_bulk_cstr(r, "spec");
    reply_map(r, fields);
}

static void reply_field(struct reply *r, const char *name, int number)
{
    reply_bulk_cstr(r, name);
    reply_integer(r, number);
}

void keyspec_reply(struct reply *r, const struct keyspec *spec)
{
    static const char *const range[] = {"lastkey", "keystep", "limit"};
    static const char *const keynum[] = {"keynumidx", "firstkey", "keystep"};
    reply_map(r, 3);
    reply_bulk_cstr(r, "flags");
    keyspec_reply_flags(r, spec->flags);
    reply_bulk_cstr(r, "begin_search");
    if (spec->begin == BEGIN_INDEX) {
        reply_part(r, "index", 1);
        reply_field(r, "index", spec->start);
    } else if (spec->begin == BEGIN_KEYWORD) {
        reply_part(r, "keyword", 2);
        reply_bulk_cstr(r, "keyword");
        reply_bulk(r, spec->keyword);
        reply_field(r, "startfrom", spec->start);
    } else {
        reply_part(r, "unknown", 0);
    }
    reply_bulk_cstr(r, "find_keys");
    if (spec->find == FIND_UNKNOWN) {
        reply_part(r, "unknown", 0);
        return;
    }
    reply_part(r, spec->find == FIND_RANGE ? "range" : "keynum", 3);
    for (int i = 0; i < 3; i++)
        reply_field(r, spec->find == FIND_RANGE ? range[i] : keynum[i], spec->number[i]);
}
