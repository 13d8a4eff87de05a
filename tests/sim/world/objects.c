#include "sim/world/objects.h"

#include "base/mem.h"
#include "node/ctx_impl.h"

#include <stdio.h>
#include <stdlib.h>

enum kind { KIND_STATUS, KIND_COUNT, KIND_STRING, KIND_ARRAY };

enum { VALUE_BYTES = 200 * 1024 };

void objects_begin(struct objects *o, struct world *w, struct member *reference, int count)
{
    *o = (struct objects){.w = w, .reference = reference, .count = count};
    o->writer = client_new(reference->node);
    o->writer->flags |= CLIENT_AUTHENTICATED;
    o->writer->parser.authenticated = true;
    o->writer->reply.out = NULL;
    for (int i = 0; i < count; i++) {
        struct object *x = &o->all[i];
        x->index = i;
        int db = (int)pick(w, OBJECT_DBS);
        for (int side = 0; side < OBJECT_SIDES; side++)
            x->db[side] = db;
        object_renew(o, x);
    }
}

void objects_end(struct objects *o)
{
    client_free(o->writer);
    for (int i = 0; i < o->count; i++)
        mem_free(o->all[i].history);
}

static void set_name(struct object *x)
{
    snprintf(x->name, sizeof(x->name), "o%d.%d.%d", x->index, x->incarnation, x->renames);
}

void object_renew(struct objects *o, struct object *x)
{
    x->incarnation++;
    x->renames = 0;
    x->type = (int)pick(o->w, VALUE_TYPE_COUNT);
    x->large = chance(o->w, 40);
    x->alive = x->mortal = x->maybe_both = x->loose = x->maybe_lost = false;
    x->elements = x->taken = x->left = 0;
    set_name(x);
}

// ---- words --------------------------------------------------------------------------------------

struct words {
    struct buf text;
    size_t at[1300];
    int count;
};

static void word(struct words *w, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void word(struct words *w, const char *format, ...)
{
    w->at[w->count++] = buf_len(&w->text);
    va_list args;
    va_start(args, format);
    buf_vprintf(&w->text, format, args);
    va_end(args);
}

static void words_end(struct words *w, struct buf *out)
{
    struct bytes *argv = mem_array(struct bytes, (size_t)w->count);
    const char *text = buf_view(&w->text).data;
    w->at[w->count] = buf_len(&w->text);
    for (int i = 0; i < w->count; i++)
        argv[i] = bytes_of(text + w->at[i], w->at[i + 1] - w->at[i]);
    request_append(out, w->count, argv);
    mem_free(argv);
    buf_free(&w->text);
}

// Its bytes tell which version it is; long ones don't compress to nothing.
static void long_word(struct objects *o, struct words *w, uint64_t number, size_t len)
{
    word(w, "%llu:", (unsigned long long)number);
    char *to = buf_reserve(&w->text, len);
    uint64_t bits = 0;
    for (size_t i = 0; i < len; i++) {
        if (i % 16 == 0) bits = rng_next(&o->w->rng);
        to[i] = (char)('a' + (bits & 15));
        bits >>= 4;
    }
    buf_commit(&w->text, len);
}

static void element(struct objects *o, struct object *x, struct words *w)
{
    unsigned long long n = x->elements++;
    switch ((enum value_type)x->type) {
    case VALUE_LIST:
        long_word(o, w, n, pick_spread(o->w, 0, x->large ? 300 : 20));
        break;
    case VALUE_SET:
        word(w, "member:%llu", n);
        break;
    case VALUE_ZSET:
        word(w, "%llu.5", n);
        word(w, "member:%llu", n);
        break;
    case VALUE_HASH:
        word(w, "field:%llu", n);
        long_word(o, w, n, pick_spread(o->w, 0, x->large ? 300 : 20));
        break;
    case VALUE_STRING:
    case VALUE_STREAM:
    case VALUE_TYPE_COUNT:
        break;
    }
}

static void make_stream(struct objects *o, struct object *x)
{
    uint64_t count = x->large ? 100 + pick(o->w, 200) : 1 + pick(o->w, 8);
    for (uint64_t i = 0; i < count; i++) {
        struct words w = {.count = 0};
        struct buf text = BUF_EMPTY;
        word(&w, "XADD");
        word(&w, "%s", x->name);
        word(&w, "%llu-1", (unsigned long long)++x->elements);
        word(&w, "f");
        long_word(o, &w, i, pick_spread(o->w, 0, 60));
        words_end(&w, &text);
        object_apply(o, buf_view(&text));
        buf_free(&text);
    }
}

static void make_other(struct objects *o, struct object *x, struct buf *out)
{
    static const char *const names[] = {[VALUE_STRING] = "SET",
                                        [VALUE_LIST] = "RPUSH",
                                        [VALUE_SET] = "SADD",
                                        [VALUE_ZSET] = "ZADD",
                                        [VALUE_HASH] = "HSET"};
    struct words w = {.count = 0};
    word(&w, "%s", names[x->type]);
    word(&w, "%s", x->name);
    if (x->type == VALUE_STRING) {
        size_t most = x->large ? VALUE_BYTES : 100;
        long_word(o, &w, x->elements++, pick_spread(o->w, x->large ? 65000 : 0, most));
    } else {
        uint64_t count = x->large ? 140 + pick(o->w, 450) : 3 + pick(o->w, 40);
        for (uint64_t i = 0; i < count; i++)
            element(o, x, &w);
        x->left = count;
    }
    words_end(&w, out);
    object_apply(o, buf_view(out));
}

// As RESTORE: of what the reference has.
static void make_by_payload(struct objects *o, struct object *x, struct buf *out)
{
    struct entry *e = node_find(o->reference->node, bytes_from_cstr(x->name), NULL);
    if (e == NULL) world_fail(o->w, "the reference did not make %s", x->name);
    struct buf payload = BUF_EMPTY;
    entry_dump(e, chance(o->w, 25), &payload);
    request_appendf(out, "RESTORE %s 0 %b", x->name, buf_view(&payload));
    buf_free(&payload);
}

void object_make(struct objects *o, struct object *x, struct buf *out)
{
    bool payload = x->type == VALUE_STREAM || chance(o->w, 30);
    if (x->type == VALUE_STREAM)
        make_stream(o, x);
    else
        make_other(o, x, out);
    object_version(o, x);
    if (!payload) return;
    buf_clear(out);
    make_by_payload(o, x, out);
}

void object_rename(struct objects *o, struct object *x, struct buf *out, int *kind)
{
    char old[OBJECT_NAME_BYTES];
    (void)o;
    memcpy(old, x->name, sizeof(old));
    x->renames++;
    set_name(x);
    *kind = KIND_STATUS;
    request_appendf(out, "RENAME %s %s", old, x->name);
    x->renames--;
    set_name(x);
}

void object_renamed(struct object *x)
{
    x->renames++;
    set_name(x);
}

__attribute__((format(printf, 2, 0))) void object_simple(struct object *x, const char *format,
                                                         bool payload, struct buf *words, int *kind)
{
    char line[OBJECT_NAME_BYTES + 32], *rest = line;
    struct bytes argv[4];
    int argc = 0;
    snprintf(line, sizeof(line), format, x->name);
    for (char *at; (at = strtok_r(rest, " ", &rest)) != NULL;)
        argv[argc++] = bytes_from_cstr(at);
    request_append(words, argc, argv);
    *kind = payload ? KIND_STRING : KIND_COUNT;
}

int object_made_kind(const struct object *x, struct bytes words)
{
    bool payload = memmem(words.data, words.len < 30 ? words.len : 30, "RESTORE", 7) != NULL;
    return payload || x->type == VALUE_STRING ? KIND_STATUS : KIND_COUNT;
}

void object_forget(struct objects *o, struct object *x)
{
    struct buf words = BUF_EMPTY;
    request_appendf(&words, "DEL %s", x->name);
    object_apply(o, buf_view(&words));
    buf_free(&words);
}

void object_pop(struct objects *o, struct object *x, struct buf *out, int *kind)
{
    *kind = KIND_ARRAY;
    request_appendf(out, "BLPOP %s 0.%d", x->name, 1 + (int)pick(o->w, 9));
}

bool object_write(struct objects *o, struct object *x, struct buf *out, int *kind)
{
    if ((x->type == VALUE_SET || x->type == VALUE_HASH) && x->left <= 2) return false;
    struct words w = {.count = 0};
    switch ((enum value_type)x->type) {
    case VALUE_STRING:
        *kind = KIND_STATUS;
        word(&w, "SET");
        word(&w, "%s", x->name);
        long_word(o, &w, x->elements++, pick_spread(o->w, 0, x->large ? VALUE_BYTES : 100));
        word(&w, "XX");
        word(&w, "KEEPTTL");
        break;
    case VALUE_LIST:
        *kind = KIND_COUNT;
        word(&w, chance(o->w, 50) ? "RPUSHX" : "LPUSHX");
        word(&w, "%s", x->name);
        element(o, x, &w);
        break;
    case VALUE_SET:
    case VALUE_HASH:
        *kind = KIND_COUNT;
        word(&w, x->type == VALUE_SET ? "SREM" : "HDEL");
        word(&w, "%s", x->name);
        word(&w, x->type == VALUE_SET ? "member:%llu" : "field:%llu", (unsigned long long)x->taken);
        break;
    case VALUE_ZSET:
        *kind = KIND_COUNT;
        word(&w, "ZADD");
        word(&w, "%s", x->name);
        word(&w, "XX");
        word(&w, "CH");
        word(&w, "%llu.25", (unsigned long long)x->elements++);
        word(&w, "member:0");
        break;
    case VALUE_STREAM:
        *kind = KIND_STRING;
        word(&w, "XADD");
        word(&w, "%s", x->name);
        word(&w, "NOMKSTREAM");
        word(&w, "%llu-1", (unsigned long long)++x->elements);
        word(&w, "f");
        word(&w, "v");
        break;
    case VALUE_TYPE_COUNT:
        break;
    }
    words_end(&w, out);
    return true;
}

void object_apply(struct objects *o, struct bytes words)
{
    client_feed(o->writer, words, NULL);
}

void object_version(struct objects *o, struct object *x)
{
    struct entry *e = node_find(o->reference->node, bytes_from_cstr(x->name), NULL);
    if (e == NULL) world_fail(o->w, "the reference has no %s", x->name);
    object_add_version(x, entry_digest(e, 0));
}

void object_add_version(struct object *x, uint64_t digest)
{
    if (x->versions == x->cap) {
        x->cap = x->cap ? x->cap * 2 : 16;
        x->history = mem_realloc(x->history, x->cap * sizeof(*x->history));
    }
    x->history[x->versions++] = digest;
}

enum object_answer object_read_answer(int kind, const struct reader_value *reply)
{
    if (reply->type == READER_ERROR)
        return strstr(reply->text->data, "no such key") ? ANSWER_MISSING : ANSWER_REFUSED;
    switch ((enum kind)kind) {
    case KIND_STATUS:
        return reply->type == READER_STATUS ? ANSWER_DONE : ANSWER_MISSING;
    case KIND_COUNT:
        return reply->integer > 0 ? ANSWER_DONE : ANSWER_MISSING;
    case KIND_STRING:
        return reply->type == READER_STRING ? ANSWER_DONE : ANSWER_MISSING;
    case KIND_ARRAY:
        return reply->type == READER_ARRAY ? ANSWER_DONE : ANSWER_MISSING;
    }
    return ANSWER_REFUSED;
}

// ---- looking up ---------------------------------------------------------------------------------

struct object *object_of_key(struct objects *o, struct bytes key)
{
    char text[OBJECT_NAME_BYTES];
    int index;
    if (key.len >= sizeof(text)) return NULL;
    memcpy(text, key.data, key.len);
    text[key.len] = '\0';
    if (sscanf(text, "o%d.", &index) != 1 || index < 0 || index >= o->count) return NULL;
    return &o->all[index];
}

bool object_has_version(const struct object *x, uint64_t digest)
{
    for (size_t i = x->versions; i-- > 0;)
        if (x->history[i] == digest) return true;
    return false;
}

uint64_t object_newest(const struct object *x)
{
    return x->versions > 0 ? x->history[x->versions - 1] : 0;
}
