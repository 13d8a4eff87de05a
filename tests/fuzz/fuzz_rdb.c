// A whole RDB file, checksum not looked at, in pieces and slices that depend on the input.
#include "base/mem.h"
#include "loop/loop_impl.h"
#include "rdb/decode.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool on_aux(void *owner, struct bytes name, struct bytes value, struct error *error)
{
    (void)owner;
    (void)error;
    return crc64(0, name.data, name.len) + crc64(0, value.data, value.len) != 1;
}

static bool on_entry(void *owner, struct rdb_entry *entry, struct error *error)
{
    (void)owner;
    bool refuse = entry->key.len == 3 && memcmp(entry->key.data, "no!", 3) == 0;
    value_free(&entry->value);
    if (refuse) error_set(error, ERROR_CORRUPT, "refused");
    return !refuse;
}

static bool on_function(void *owner, struct bytes code, struct error *error)
{
    (void)owner;
    (void)error;
    return crc64(0, code.data, code.len) != 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct rdb_sink sink = {.aux = on_aux, .entry = on_entry, .function = on_function};
    struct loop loop = {0};
    struct value_limits limits;
    value_limits_default(&limits);
    uint64_t dice = crc64(1, data, size);
    struct rdb_decode_options options = {&limits, dice >> 16 & 1};
    struct rdb_file_decoder *d = rdb_file_decoder_new(&options, false, &sink, NULL);
    size_t piece = 1 + (size_t)(dice & 127);
    uint32_t units = dice >> 8 & 31;
    enum rdb_progress progress = RDB_MORE;
    struct error error = ERROR_OK;
    while (size > 0 && progress == RDB_MORE) {
        size_t len = size < piece ? size : piece;
        char *copy = mem_alloc(len);
        memcpy(copy, data, len);
        struct bytes input = bytes_of(copy, len);
        do {
            struct budget budget = {.loop = &loop, .units = units};
            progress = rdb_file_decoder_push(d, &input, units ? &budget : NULL, &error);
        } while (progress == RDB_BUDGET);
        if ((progress == RDB_FAILED) != error_is(&error)) abort();
        mem_free(copy);
        data += len;
        size -= len;
    }
    rdb_file_decoder_free(d);
    return 0;
}
