// A RESTORE payload, checksum not looked at, in pieces and slices that depend on the input. What is
// accepted must be sound: it is encoded, counted, and restored again.
#include "base/mem.h"
#include "loop/loop_impl.h"
#include "rdb/decode.h"
#include "rdb/encode.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool good)
{
    if (!good) abort();
}

// Restores from copies of `piece` bytes each, so that every step over an end is seen.
static bool restore(struct bytes payload, size_t piece, uint32_t units, bool sanitize,
                    bool skip_checksum, struct value *v)
{
    struct loop loop = {0};
    struct value_limits limits;
    value_limits_default(&limits);
    struct rdb_decode_options options = {&limits, sanitize};
    struct restore_decoder *d = restore_decoder_new(payload.len, &options, skip_checksum);
    enum rdb_progress progress = RDB_MORE;
    struct error error = ERROR_OK;
    while (payload.len > 0 && progress == RDB_MORE) {
        size_t len = payload.len < piece ? payload.len : piece;
        char *copy = mem_alloc(len);
        memcpy(copy, payload.data, len);
        struct bytes input = bytes_of(copy, len);
        do {
            struct budget budget = {.loop = &loop, .units = units};
            progress = restore_decoder_push(d, &input, units ? &budget : NULL, &error);
        } while (progress == RDB_BUDGET);
        must(progress != RDB_MORE || input.len == 0);
        must((progress == RDB_FAILED) == error_is(&error));
        mem_free(copy);
        payload.data += len;
        payload.len -= len;
    }
    if (progress == RDB_DONE) *v = restore_decoder_take(d);
    restore_decoder_free(d);
    return progress == RDB_DONE;
}

static struct buf dump(const struct value *v, bool compress, int version)
{
    struct rdb_options options = {.compress = compress, .version = version};
    struct dump_encoder *e = dump_encoder_new(v, &options);
    struct buf out = BUF_EMPTY;
    while (!dump_encoder_done(e))
        buf_commit(&out, dump_encoder_read(e, buf_reserve(&out, 300), 300, NULL));
    dump_encoder_free(e);
    struct dump_counter *c = dump_counter_new(v, &options);
    must(dump_counter_step(c, NULL));
    must(dump_counter_bytes(c) == buf_len(&out));
    dump_counter_free(c);
    return out;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint64_t dice = crc64(1, data, size);
    struct value v, again;
    bool checked = dice >> 16 & 1;
    if (!restore(bytes_of(data, size), 1 + (size_t)(dice & 127), dice >> 8 & 31, checked, true, &v))
        return 0;
    int version = (int)(dice >> 30 & 7); // 0, or 5 to 11
    struct buf out = dump(&v, dice >> 17 & 1, version != 0 ? version + 4 : 0);
    // Unchecked (sanitize-dump-payload no) a listpack may have an element twice, as in Redis; as
    // elements it is refused.
    bool whole = restore(buf_view(&out), 1 + (size_t)(dice >> 20 & 1023), 0, false, false, &again);
    must(whole || !checked);
    if (whole) {
        must(again.type == v.type && value_length(&again) == value_length(&v));
        value_free(&again);
    }
    buf_free(&out);
    value_free(&v);
    return 0;
}
