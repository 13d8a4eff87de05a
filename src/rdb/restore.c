// A DUMP payload: type (1 byte), value, RDB version (2 bytes, little-endian), CRC64 of all before
// it (8 bytes, little-endian; 0: none). Redis 7.0 cluster.c, createDumpPayload.
//
// Redis looks at version and checksum before it looks at the value. Here the value is decoded as it
// comes, before they are there; so when it turns out wrong, the rest of the payload is still read,
// and a wrong version or checksum is what is reported, if that is why.
#include "base/mem.h"
#include "rdb/value_decoder.h"

enum { FOOTER_BYTES = 10, CRC_STEP_BYTES = 64 * 1024 };

enum restore_state {
    RESTORE_TYPE,
    RESTORE_VALUE,
    RESTORE_FAILED_VALUE, // reading on to the footer; `why` says what is wrong
    RESTORE_FOOTER,
    RESTORE_COMPLETE,
};

struct restore_decoder {
    struct rdb_reader reader;
    struct value_decoder value;
    struct rdb_decode_options options;
    enum restore_state state;
    bool skip_checksum;
    uint64_t length;    // bytes in all
    uint64_t body_left; // bytes before the footer that were not taken yet
    uint64_t crc;       // of what was taken of the body, and then of the version
    unsigned char footer[FOOTER_BYTES];
    uint8_t footer_have;
    struct error why;
};

struct restore_decoder *
restore_decoder_new(uint64_t length, const struct rdb_decode_options *options, bool skip_checksum)
{
    struct restore_decoder *d = mem_new(struct restore_decoder);
    d->options = *options;
    d->skip_checksum = skip_checksum;
    d->length = length;
    d->body_left = length > FOOTER_BYTES ? length - FOOTER_BYTES : 0;
    return d;
}

// ERROR_UNSUPPORTED is for version and checksum alone.
static void fail_value(struct restore_decoder *d)
{
    if (d->why.class == ERROR_UNSUPPORTED) d->why.class = ERROR_CORRUPT;
    d->state = RESTORE_FAILED_VALUE;
}

// Decodes from the reader, which ends where the body does or earlier.
static enum rdb_progress run_body(struct restore_decoder *d)
{
    struct rdb_reader *r = &d->reader;
    if (d->state == RESTORE_TYPE) {
        uint8_t type;
        RDB_TRY(rdb_reader_u8(r, &type));
        if (!rdb_type_is_value(type))
            return rdb_reader_refuse(r, ERROR_CORRUPT, "unknown type of value %d", type);
        value_decoder_init(&d->value, (enum rdb_type)type, &d->options);
        d->state = RESTORE_VALUE;
    }
    RDB_TRY(value_decoder_run(&d->value, r));
    if (value_decoder_empty(&d->value))
        return rdb_reader_refuse(r, ERROR_CORRUPT, "an empty container");
    d->state = RESTORE_FOOTER;
    return RDB_DONE;
}

// One piece of the body. Nothing is left of *input, or of the body, or of the budget, after it.
static enum rdb_progress push_body(struct restore_decoder *d, struct bytes *input,
                                   struct budget *budget)
{
    struct bytes piece = *input;
    if (piece.len > d->body_left) piece.len = (size_t)d->body_left;
    if (piece.len > CRC_STEP_BYTES) piece.len = CRC_STEP_BYTES;
    const char *begin = piece.data;
    enum rdb_progress progress = RDB_DONE;
    if (d->state == RESTORE_FAILED_VALUE) {
        piece.data += piece.len;
        piece.len = 0;
    } else {
        rdb_reader_open(&d->reader, &piece, budget, &d->why);
        progress = run_body(d);
        rdb_reader_close(&d->reader, &piece);
    }
    size_t taken = (size_t)(piece.data - begin);
    d->crc = crc64(d->crc, begin, taken);
    d->body_left -= taken;
    input->data += taken;
    input->len -= taken;
    if (progress == RDB_FAILED) fail_value(d);
    if (progress == RDB_MORE && d->body_left == 0) {
        error_set(&d->why, ERROR_CORRUPT, "the payload ends inside its value, at byte %llu",
                  (unsigned long long)d->reader.offset);
        fail_value(d);
    }
    if (d->state == RESTORE_FOOTER && d->body_left > 0) {
        error_set(&d->why, ERROR_CORRUPT, "%llu bytes too many behind the value, at byte %llu",
                  (unsigned long long)d->body_left, (unsigned long long)d->reader.offset);
        fail_value(d);
    }
    if (progress == RDB_BUDGET) return RDB_BUDGET;
    if (taken == 0) return RDB_DONE;
    if (budget != NULL && !budget_left(budget, (uint32_t)(taken / 64 + 1))) return RDB_BUDGET;
    return RDB_DONE;
}

static uint64_t little_endian(const unsigned char *p, int len)
{
    uint64_t n = 0;
    for (int i = len; i-- > 0;)
        n = n << 8 | p[i];
    return n;
}

static enum rdb_progress finish(struct restore_decoder *d, struct error *error)
{
    int version = (int)little_endian(d->footer, 2);
    uint64_t crc = little_endian(d->footer + 2, 8);
    if (version > RDB_VERSION_READ_MAX) {
        error_set(error, ERROR_UNSUPPORTED, "RDB version %d: up to %d is understood", version,
                  RDB_VERSION_READ_MAX);
        return RDB_FAILED;
    }
    d->crc = crc64(d->crc, d->footer, 2);
    if (!d->skip_checksum && crc != d->crc) {
        error_set(error, ERROR_UNSUPPORTED, "checksum %016llx, should be %016llx",
                  (unsigned long long)crc, (unsigned long long)d->crc);
        return RDB_FAILED;
    }
    if (d->state == RESTORE_FAILED_VALUE) {
        if (error != NULL) *error = d->why;
        return RDB_FAILED;
    }
    d->state = RESTORE_COMPLETE;
    return RDB_DONE;
}

enum rdb_progress restore_decoder_push(struct restore_decoder *d, struct bytes *input,
                                       struct budget *budget, struct error *error)
{
    if (d->length < FOOTER_BYTES) {
        error_set(error, ERROR_UNSUPPORTED, "%llu bytes are too few for a payload",
                  (unsigned long long)d->length);
        return RDB_FAILED;
    }
    if (d->length == FOOTER_BYTES && d->state == RESTORE_TYPE) {
        error_set(&d->why, ERROR_CORRUPT, "the payload holds no value");
        fail_value(d);
    }
    while (d->state == RESTORE_TYPE || d->state == RESTORE_VALUE || d->body_left > 0) {
        // A value may still have work to do on what it has taken already.
        if (input->len == 0 && d->state != RESTORE_VALUE) return RDB_MORE;
        bool starved = input->len == 0;
        RDB_TRY(push_body(d, input, budget));
        if (starved && d->state == RESTORE_VALUE) return RDB_MORE;
    }
    while (d->footer_have < FOOTER_BYTES) {
        if (input->len == 0) return RDB_MORE;
        d->footer[d->footer_have++] = (unsigned char)*input->data++;
        input->len--;
    }
    return finish(d, error);
}

struct value restore_decoder_take(struct restore_decoder *d)
{
    return value_decoder_take(&d->value);
}

bool restore_decoder_free_step(struct restore_decoder *d, struct budget *budget)
{
    if (d == NULL) return true;
    if (!value_decoder_free_step(&d->value, budget)) return false;
    rdb_reader_free(&d->reader);
    mem_free(d);
    return true;
}

void restore_decoder_free(struct restore_decoder *d)
{
    restore_decoder_free_step(d, NULL);
}
