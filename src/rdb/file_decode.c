// A whole RDB file or stream: "REDIS" and four digits of version, then a sequence of opcodes and
// entries, RDB_OP_EOF, and since version 5 a CRC64 of all before it (0: none). Redis 7.0 rdb.c,
// rdbLoadRio, for what the opcodes are followed by.
#include "base/mem.h"
#include "rdb/value_decoder.h"

#include <limits.h>

enum { HEADER_BYTES = 9, CHECKSUM_VERSION = 5, PIECE_BYTES = 64 * 1024 };

// Reads what follows an opcode or a type.
typedef enum rdb_progress row_function(struct rdb_file_decoder *d, struct rdb_reader *r);

struct rdb_file_decoder {
    struct rdb_reader reader;
    struct value_decoder value;
    bool value_open;
    struct rdb_decode_options options;
    const struct rdb_sink *sink;
    void *owner;
    bool checksum;
    int version;
    uint64_t crc;           // up to `summed`
    const char *summed;     // in this push's input
    row_function *row;      // what is being read; NULL: an opcode or type comes
    bool started, finished; // header read; all read
    uint8_t part;           // how much of the row was read
    uint64_t numbers[3];
    struct kept name; // of an aux field
    struct kept key;
    int db;
    int64_t expire_ms, idle_s; // of the entry that comes
    int freq;
};

struct rdb_file_decoder *rdb_file_decoder_new(const struct rdb_decode_options *options,
                                              bool checksum, const struct rdb_sink *sink,
                                              void *owner)
{
    struct rdb_file_decoder *d = mem_new(struct rdb_file_decoder);
    d->options = *options;
    d->checksum = checksum;
    d->sink = sink;
    d->owner = owner;
    d->expire_ms = d->idle_s = d->freq = -1;
    return d;
}

// The sum of what was read and not yet summed.
static void sum_up(struct rdb_file_decoder *d)
{
    size_t len = (size_t)(d->reader.at - d->summed);
    if (d->checksum) d->crc = crc64(d->crc, d->summed, len);
    d->summed = d->reader.at;
}

static enum rdb_progress read_header(struct rdb_file_decoder *d, struct rdb_reader *r)
{
    const unsigned char *p;
    RDB_TRY(rdb_reader_fixed(r, HEADER_BYTES, &p));
    if (memcmp(p, "REDIS", 5) != 0)
        return rdb_reader_refuse(r, ERROR_CORRUPT, "this is no RDB: it does not begin with REDIS");
    for (int i = 5; i < HEADER_BYTES; i++) {
        if (p[i] < '0' || p[i] > '9')
            return rdb_reader_refuse(r, ERROR_CORRUPT, "the RDB version is not four digits");
        d->version = d->version * 10 + (p[i] - '0');
    }
    if (d->version < 1 || d->version > RDB_VERSION_READ_MAX)
        return rdb_reader_refuse(r, ERROR_UNSUPPORTED, "Can't handle RDB format version %d",
                                 d->version);
    d->started = true;
    return RDB_DONE;
}

// ---- opcodes ----------------------------------------------------------------------------------

static enum rdb_progress read_lengths(struct rdb_file_decoder *d, struct rdb_reader *r, int count)
{
    for (; d->part < count; d->part++)
        RDB_TRY(rdb_reader_length(r, &d->numbers[d->part]));
    return RDB_DONE;
}

static enum rdb_progress on_slot_info(struct rdb_file_decoder *d, struct rdb_reader *r)
{
    return read_lengths(d, r, 3); // slot, keys, keys that expire: hints only
}

static enum rdb_progress on_resize(struct rdb_file_decoder *d, struct rdb_reader *r)
{
    RDB_TRY(read_lengths(d, r, 2));
    bool good = d->sink->resize == NULL ||
                d->sink->resize(d->owner, d->db, d->numbers[0], d->numbers[1], r->error);
    return good ? RDB_DONE : RDB_FAILED;
}

static enum rdb_progress on_select(struct rdb_file_decoder *d, struct rdb_reader *r)
{
    RDB_TRY(read_lengths(d, r, 1));
    if (d->numbers[0] > INT_MAX)
        return rdb_reader_refuse(r, ERROR_CORRUPT, "database %llu",
                                 (unsigned long long)d->numbers[0]);
    d->db = (int)d->numbers[0];
    return RDB_DONE;
}

static enum rdb_progress on_idle(struct rdb_file_decoder *d, struct rdb_reader *r)
{
    RDB_TRY(read_lengths(d, r, 1));
    d->idle_s = d->numbers[0] > INT64_MAX ? INT64_MAX : (int64_t)d->numbers[0];
    return RDB_DONE;
}

static enum rdb_progress on_freq(struct rdb_file_decoder *d, struct rdb_reader *r)
{
    uint8_t freq;
    RDB_TRY(rdb_reader_u8(r, &freq));
    d->freq = freq;
    return RDB_DONE;
}

static enum rdb_progress on_expire_ms(struct rdb_file_decoder *d, struct rdb_reader *r)
{
    uint64_t bits;
    RDB_TRY(rdb_reader_le64(r, &bits));
    d->expire_ms = (int64_t)bits;
    return RDB_DONE;
}

static enum rdb_progress on_expire_s(struct rdb_file_decoder *d, struct rdb_reader *r)
{
    const unsigned char *p;
    RDB_TRY(rdb_reader_fixed(r, 4, &p));
    uint32_t bits = p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
    d->expire_ms = (int64_t)(int32_t)bits * 1000;
    return RDB_DONE;
}

static enum rdb_progress on_aux(struct rdb_file_decoder *d, struct rdb_reader *r)
{
    struct bytes text;
    if (d->part == 0) {
        RDB_TRY(rdb_reader_string(r, &text));
        kept_set(&d->name, r, text);
        d->part = 1;
    }
    RDB_TRY(rdb_reader_string(r, &text));
    bool good = d->sink->aux == NULL || d->sink->aux(d->owner, kept_view(&d->name), text, r->error);
    return good ? RDB_DONE : RDB_FAILED;
}

static enum rdb_progress on_function(struct rdb_file_decoder *d, struct rdb_reader *r)
{
    struct bytes code;
    RDB_TRY(rdb_reader_string(r, &code));
    if (d->sink->function == NULL)
        return rdb_reader_refuse(r, ERROR_UNSUPPORTED,
                                 "a function library: functions are not supported");
    return d->sink->function(d->owner, code, r->error) ? RDB_DONE : RDB_FAILED;
}

static enum rdb_progress on_old_function(struct rdb_file_decoder *d, struct rdb_reader *r)
{
    (void)d;
    return rdb_reader_refuse(r, ERROR_UNSUPPORTED,
                             "a function in the form of Redis 7.0's release candidates");
}

static enum rdb_progress on_module_aux(struct rdb_file_decoder *d, struct rdb_reader *r)
{
    RDB_TRY(read_lengths(d, r, 1));
    char name[RDB_MODULE_NAME_BYTES];
    rdb_module_name(name, d->numbers[0]);
    return rdb_reader_refuse(r, ERROR_UNSUPPORTED,
                             "data of the module '%s': modules are not supported", name);
}

static enum rdb_progress on_eof(struct rdb_file_decoder *d, struct rdb_reader *r)
{
    if (d->part == 0) {
        sum_up(d);
        d->part = 1;
    }
    if (d->version >= CHECKSUM_VERSION) {
        uint64_t crc;
        enum rdb_progress progress = rdb_reader_le64(r, &crc);
        d->summed = r->at; // it does not cover itself
        RDB_TRY(progress);
        if (d->checksum && crc != 0 && crc != d->crc)
            return rdb_reader_refuse(r, ERROR_CORRUPT,
                                     "Wrong RDB checksum expected: (%llx) but got (%llx)",
                                     (unsigned long long)crc, (unsigned long long)d->crc);
    }
    d->finished = true;
    return RDB_DONE;
}

// ---- entries ----------------------------------------------------------------------------------

static bool deliver(struct rdb_file_decoder *d, struct rdb_reader *r)
{
    struct bytes key = kept_view(&d->key);
    if (value_decoder_empty(&d->value)) {
        if (d->sink->empty_key != NULL) d->sink->empty_key(d->owner, key, d->value.type);
        return true;
    }
    struct rdb_entry entry = {.db = d->db,
                              .key = key,
                              .value = value_decoder_take(&d->value),
                              .expire_ms = d->expire_ms,
                              .idle_s = d->idle_s,
                              .freq = d->freq};
    return d->sink->entry(d->owner, &entry, r->error);
}

static enum rdb_progress on_entry(struct rdb_file_decoder *d, struct rdb_reader *r)
{
    if (d->part == 0) {
        struct bytes key;
        r->layout = READER_AS_STR;
        RDB_TRY(rdb_reader_string(r, &key));
        kept_set(&d->key, r, key);
        if (d->sink->coming != NULL) d->sink->coming(d->owner, d->db, kept_view(&d->key));
        d->part = 1;
    }
    enum rdb_progress progress = value_decoder_run(&d->value, r);
    if (progress == RDB_FAILED) {
        struct buf name = BUF_EMPTY;
        struct bytes key = kept_view(&d->key);
        text_append_quoted(&name, bytes_of(key.data, key.len < 48 ? key.len : 48));
        error_context(r->error, "key %.*s", (int)buf_len(&name), buf_view(&name).data);
        buf_free(&name);
    }
    RDB_TRY(progress);
    bool good = deliver(d, r);
    value_decoder_free_step(&d->value, NULL); // at most the shell of an empty container
    d->value_open = false;
    d->expire_ms = d->idle_s = d->freq = -1;
    return good ? RDB_DONE : RDB_FAILED;
}

// ---- the sequence -------------------------------------------------------------------------------

static row_function *const opcode_rows[256] = {
    [RDB_OP_SLOT_INFO] = on_slot_info,
    [RDB_OP_FUNCTION2] = on_function,
    [RDB_OP_FUNCTION] = on_old_function,
    [RDB_OP_MODULE_AUX] = on_module_aux,
    [RDB_OP_IDLE] = on_idle,
    [RDB_OP_FREQ] = on_freq,
    [RDB_OP_AUX] = on_aux,
    [RDB_OP_RESIZEDB] = on_resize,
    [RDB_OP_EXPIRETIME_MS] = on_expire_ms,
    [RDB_OP_EXPIRETIME] = on_expire_s,
    [RDB_OP_SELECTDB] = on_select,
    [RDB_OP_EOF] = on_eof,
};

static enum rdb_progress begin_row(struct rdb_file_decoder *d, struct rdb_reader *r)
{
    uint8_t code;
    RDB_TRY(rdb_reader_u8(r, &code));
    if (rdb_type_is_value(code)) {
        value_decoder_init(&d->value, (enum rdb_type)code, &d->options);
        d->value_open = true;
        d->row = on_entry;
    } else if (opcode_rows[code] != NULL) {
        d->row = opcode_rows[code];
    } else {
        return rdb_reader_refuse(r, ERROR_CORRUPT, "unknown opcode or type %d", code);
    }
    d->part = 0;
    r->layout = READER_AS_STR;
    return RDB_DONE;
}

static enum rdb_progress run(struct rdb_file_decoder *d)
{
    struct rdb_reader *r = &d->reader;
    if (!d->started) RDB_TRY(read_header(d, r));
    while (!d->finished) {
        if (d->row == NULL) RDB_TRY(begin_row(d, r));
        RDB_TRY(d->row(d, r));
        d->row = NULL;
        if (!rdb_reader_work(r, 4) && !d->finished) return RDB_BUDGET;
    }
    return RDB_DONE;
}

// In pieces, so that summing up what was read stays short too.
static enum rdb_progress push_piece(struct rdb_file_decoder *d, struct bytes *piece,
                                    struct budget *budget, struct error *error)
{
    d->summed = piece->data;
    rdb_reader_open(&d->reader, piece, budget, error);
    enum rdb_progress progress = run(d);
    if (!d->finished && progress != RDB_FAILED) sum_up(d);
    rdb_reader_close(&d->reader, piece);
    return progress;
}

enum rdb_progress rdb_file_decoder_push(struct rdb_file_decoder *d, struct bytes *input,
                                        struct budget *budget, struct error *error)
{
    for (;;) {
        struct bytes piece = *input;
        if (piece.len > PIECE_BYTES) piece.len = PIECE_BYTES;
        size_t len = piece.len;
        enum rdb_progress progress = push_piece(d, &piece, budget, error);
        input->data += len - piece.len;
        input->len -= len - piece.len;
        if (progress != RDB_MORE || input->len == 0) return progress;
        if (budget != NULL && !budget_left(budget, PIECE_BYTES / 64)) return RDB_BUDGET;
    }
}

uint64_t rdb_file_decoder_offset(const struct rdb_file_decoder *d)
{
    return d->reader.offset;
}

int rdb_file_decoder_version(const struct rdb_file_decoder *d)
{
    return d->version;
}

bool rdb_file_decoder_free_step(struct rdb_file_decoder *d, struct budget *budget)
{
    if (d == NULL) return true;
    if (d->value_open && !value_decoder_free_step(&d->value, budget)) return false;
    rdb_reader_free(&d->reader);
    kept_free(&d->name);
    kept_free(&d->key);
    mem_free(d);
    return true;
}

void rdb_file_decoder_free(struct rdb_file_decoder *d)
{
    rdb_file_decoder_free_step(d, NULL);
}
