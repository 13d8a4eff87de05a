// Whole RDB files: written piece by piece with rdb_put_*, read back cut anywhere; and what a file
// may hold besides entries.
#include "unit/rdb_support.h"

// What a sink was told, as text.
struct story {
    struct buf text;
    bool refuse_entries;
};

static void tell_bytes(struct story *s, struct bytes b)
{
    text_append_quoted(&s->text, b);
}

static bool on_aux(void *owner, struct bytes name, struct bytes value, struct error *error)
{
    struct story *s = owner;
    (void)error;
    buf_printf(&s->text, "aux ");
    tell_bytes(s, name);
    tell_bytes(s, value);
    buf_printf(&s->text, "\n");
    return true;
}

static bool on_resize(void *owner, int db, uint64_t keys, uint64_t expires, struct error *error)
{
    struct story *s = owner;
    (void)error;
    buf_printf(&s->text, "resize %d %d %d\n", db, (int)keys, (int)expires);
    return true;
}

static bool on_entry(void *owner, struct rdb_entry *e, struct error *error)
{
    struct story *s = owner;
    buf_printf(&s->text, "db%d ", e->db);
    tell_bytes(s, e->key);
    buf_printf(&s->text, " %s of %d, expire %lld, idle %lld, freq %d\n", value_type_name(&e->value),
               (int)value_length(&e->value), (long long)e->expire_ms, (long long)e->idle_s,
               e->freq);
    value_free(&e->value);
    if (s->refuse_entries) return error_set(error, ERROR_LIMIT, "no entries wanted");
    return true;
}

static bool on_function(void *owner, struct bytes code, struct error *error)
{
    struct story *s = owner;
    (void)error;
    buf_printf(&s->text, "function ");
    tell_bytes(s, code);
    buf_printf(&s->text, "\n");
    return true;
}

static void on_empty(void *owner, struct bytes key, enum rdb_type type)
{
    struct story *s = owner;
    buf_printf(&s->text, "empty ");
    tell_bytes(s, key);
    buf_printf(&s->text, " of type %d\n", (int)type);
}

static const struct rdb_sink sink = {.aux = on_aux,
                                     .resize = on_resize,
                                     .entry = on_entry,
                                     .function = on_function,
                                     .empty_key = on_empty};
static const struct rdb_sink sink_without_functions = {
    .aux = on_aux, .resize = on_resize, .entry = on_entry};

struct outcome {
    enum rdb_progress progress;
    struct error error;
    struct story story;
    uint64_t offset;
    size_t left;
    int version;
};

static struct outcome read_file(struct bytes file, size_t piece, uint32_t units,
                                const struct rdb_sink *to, bool refuse)
{
    struct loop loop = {0};
    struct value_limits limits = default_limits();
    struct rdb_decode_options options = {&limits, false};
    struct outcome o = {.progress = RDB_MORE, .story.refuse_entries = refuse};
    struct rdb_file_decoder *d = rdb_file_decoder_new(&options, true, to, &o.story);
    while (file.len > 0 && o.progress == RDB_MORE) {
        struct bytes input = bytes_of(file.data, file.len < piece ? file.len : piece);
        size_t len = input.len;
        do {
            struct budget budget = {.loop = &loop, .units = units};
            o.progress = rdb_file_decoder_push(d, &input, units ? &budget : NULL, &o.error);
        } while (o.progress == RDB_BUDGET);
        file.data += len - input.len;
        file.len -= len - input.len;
    }
    o.left = file.len;
    o.offset = rdb_file_decoder_offset(d);
    o.version = rdb_file_decoder_version(d);
    rdb_file_decoder_free(d);
    return o;
}

static void put_value(struct buf *file, const struct value *v)
{
    struct rdb_options options = {.compress = true};
    struct rdb_encoder *e = rdb_encoder_new(v, &options);
    while (!rdb_encoder_done(e))
        buf_commit(file, rdb_encoder_read(e, buf_reserve(file, 100), 100, NULL));
    rdb_encoder_free(e);
}

static void put_eof(struct buf *file)
{
    rdb_put_eof(file, crc64(0, buf_view(file).data, buf_len(file)), true);
}

static struct buf sample_file(void)
{
    struct value_limits limits = default_limits();
    struct buf file = BUF_EMPTY;
    struct value v;
    rdb_put_header(&file, RDB_VERSION);
    rdb_put_aux(&file, "redis-ver", BYTES("7.0.15"));
    rdb_put_aux(&file, "redis-bits", BYTES("64"));
    buf_append_byte(&file, RDB_OP_FUNCTION2);
    rdb_put_string(&file, BYTES("#!lua name=lib\nredis.register_function('f', f)"), true);
    rdb_put_select_db(&file, 0);
    rdb_put_resize_db(&file, 2, 1);
    string_init(&v, BYTES("text"));
    rdb_put_entry_head(&file, 1700000000123, -1, -1, rdb_type_of(&v), BYTES("first"));
    put_value(&file, &v);
    value_free(&v);
    list_new(&v, &limits);
    for (int i = 0; i < 50; i++)
        list_add(&v, BYTES("an element of the list"));
    rdb_put_entry_head(&file, -1, 3600, -1, rdb_type_of(&v), BYTES("12345"));
    put_value(&file, &v);
    value_free(&v);
    rdb_put_select_db(&file, 11);
    buf_append_byte(&file, RDB_OP_SLOT_INFO);
    rdb_put_length(&file, 5000);
    rdb_put_length(&file, 1);
    rdb_put_length(&file, 0);
    string_init_int(&v, -7);
    rdb_put_entry_head(&file, -1, -1, 200, rdb_type_of(&v), BYTES("third"));
    put_value(&file, &v);
    buf_append_byte(&file, RDB_HASH);
    rdb_put_string(&file, BYTES("nothing"), false);
    rdb_put_length(&file, 0);
    buf_append_byte(&file, RDB_OP_EXPIRETIME);
    buf_append(&file, "\x10\x27\x00\x00", 4);
    rdb_put_entry_head(&file, -1, -1, -1, RDB_STRING, BYTES("old expiry"));
    rdb_put_string(&file, BYTES("x"), false);
    put_eof(&file);
    return file;
}

static const char sample_story[] =
    "aux \"redis-ver\"\"7.0.15\"\n"
    "aux \"redis-bits\"\"64\"\n"
    "function \"#!lua name=lib\\nredis.register_function('f', f)\"\n"
    "resize 0 2 1\n"
    "db0 \"first\" string of 4, expire 1700000000123, idle -1, freq -1\n"
    "db0 \"12345\" list of 50, expire -1, idle 3600, freq -1\n"
    "db11 \"third\" string of 2, expire -1, idle -1, freq 200\n"
    "empty \"nothing\" of type 4\n"
    "db11 \"old expiry\" string of 1, expire 10000000, idle -1, freq -1\n";

Test(rdb_file, tells_the_same_story_however_it_is_cut)
{
    struct buf file = sample_file();
    for (size_t piece = 1; piece <= buf_len(&file); piece++) {
        struct outcome o = read_file(buf_view(&file), piece, (uint32_t)(piece % 7), &sink, false);
        cr_assert_eq(o.progress, RDB_DONE, "by %zu: %s", piece, o.error.text);
        buf_append_byte(&o.story.text, 0);
        cr_assert_str_eq(buf_view(&o.story.text).data, sample_story);
        cr_assert_eq(o.offset, buf_len(&file));
        cr_assert_eq(o.version, RDB_VERSION);
        buf_free(&o.story.text);
    }
    buf_free(&file);
}

Test(rdb_file, what_follows_the_end_is_left)
{
    struct buf file = sample_file();
    size_t len = buf_len(&file);
    buf_append_cstr(&file, "*1\r\n$4\r\nPING\r\n");
    struct outcome o = read_file(buf_view(&file), 1 << 20, 0, &sink, false);
    cr_assert_eq(o.progress, RDB_DONE);
    cr_assert_eq(o.left, 14);
    cr_assert_eq(o.offset, len);
    buf_free(&o.story.text);
    buf_free(&file);
}

Test(rdb_file, every_prefix_wants_more)
{
    struct buf file = sample_file();
    for (size_t len = 1; len < buf_len(&file); len++) {
        struct outcome o = read_file(bytes_of(file.data, len), 1000, 0, &sink, false);
        cr_assert_eq(o.progress, RDB_MORE, "at %zu: %s", len, o.error.text);
        cr_assert_eq(o.offset, len);
        buf_free(&o.story.text);
    }
    buf_free(&file);
}

Test(rdb_file, every_flip_is_found)
{
    struct buf file = sample_file();
    for (size_t at = 0; at < buf_len(&file); at++) {
        file.data[at] = (char)(file.data[at] ^ 0x24);
        struct outcome o = read_file(buf_view(&file), 90, 0, &sink, false);
        // A longer string or count may eat the end: then more is wanted.
        cr_assert_neq(o.progress, RDB_DONE, "at %zu", at);
        if (o.progress == RDB_FAILED) cr_assert(error_is(&o.error));
        buf_free(&o.story.text);
        file.data[at] = (char)(file.data[at] ^ 0x24);
    }
    buf_free(&file);
}

static void refused(struct buf *file, enum error_class class, const char *says)
{
    struct outcome o = read_file(buf_view(file), 3, 0, &sink_without_functions, false);
    cr_assert_eq(o.progress, RDB_FAILED, "%s", says);
    cr_assert_eq(o.error.class, class, "%s", o.error.text);
    cr_assert(strstr(o.error.text, says) != NULL, "%s", o.error.text);
    buf_free(&o.story.text);
    buf_free(file);
}

Test(rdb_file, what_cannot_be_read_is_named)
{
    struct buf file = BUF_EMPTY;
    buf_append_cstr(&file, "RESPONSE0");
    refused(&file, ERROR_CORRUPT, "no RDB");
    rdb_put_header(&file, RDB_VERSION_READ_MAX + 1);
    refused(&file, ERROR_UNSUPPORTED, "Can't handle RDB format version 12");
    rdb_put_header(&file, 0);
    refused(&file, ERROR_UNSUPPORTED, "version 0");
    rdb_put_header(&file, 10);
    buf_append_byte(&file, 243);
    refused(&file, ERROR_CORRUPT, "unknown opcode or type 243, at byte 10");
    rdb_put_header(&file, 10);
    buf_append_byte(&file, RDB_OP_FUNCTION2);
    rdb_put_string(&file, BYTES("code"), false);
    refused(&file, ERROR_UNSUPPORTED, "functions");
    rdb_put_header(&file, 10);
    buf_append_byte(&file, RDB_OP_FUNCTION);
    refused(&file, ERROR_UNSUPPORTED, "release candidates");
    // The id of a module called "testrdbmd" (six bits a character), version 1.
    uint64_t id = 0;
    for (const char *p = "testrdbmd"; *p != '\0'; p++)
        id = id << 6 | (uint64_t)(*p - 'a' + 26);
    for (int aux = 0; aux < 2; aux++) {
        rdb_put_header(&file, 10);
        buf_append_byte(&file, aux ? RDB_OP_MODULE_AUX : RDB_MODULE_2);
        if (!aux) rdb_put_string(&file, BYTES("key"), false);
        rdb_put_length(&file, id << 10 | 1);
        refused(&file, ERROR_UNSUPPORTED, "testrdbmd");
    }
    rdb_put_header(&file, 10);
    buf_append(&file, "\x00\x03key\xc4", 6);
    refused(&file, ERROR_CORRUPT, "key \"key\": unknown string encoding 4, at byte 15");
}

Test(rdb_file, a_wrong_checksum_is_told_and_none_is_accepted)
{
    struct buf file = sample_file();
    memset(file.data + file.end - 8, 0, 8);
    struct outcome o = read_file(buf_view(&file), 100, 0, &sink, false);
    cr_assert_eq(o.progress, RDB_DONE, "%s", o.error.text);
    buf_free(&o.story.text);
    file.data[file.end - 1] = 1;
    o = read_file(buf_view(&file), 100, 0, &sink, false);
    cr_assert_eq(o.progress, RDB_FAILED);
    cr_assert(strstr(o.error.text, "Wrong RDB checksum") != NULL, "%s", o.error.text);
    buf_free(&o.story.text);
    buf_free(&file);
}

Test(rdb_file, before_version_5_there_is_no_checksum)
{
    struct buf file = BUF_EMPTY;
    rdb_put_header(&file, 4);
    buf_append(&file, "\x00\x01k\x01v\xff", 6);
    struct outcome o = read_file(buf_view(&file), 1, 0, &sink, false);
    cr_assert_eq(o.progress, RDB_DONE, "%s", o.error.text);
    buf_free(&o.story.text);
    buf_free(&file);
}

Test(rdb_file, a_sink_that_refuses_ends_it)
{
    struct buf file = sample_file();
    struct outcome o = read_file(buf_view(&file), 50, 0, &sink, true);
    cr_assert_eq(o.progress, RDB_FAILED);
    cr_assert_eq(o.error.class, ERROR_LIMIT);
    cr_assert_str_eq(o.error.text, "no entries wanted");
    buf_free(&o.story.text);
    buf_free(&file);
}
