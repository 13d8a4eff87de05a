#include "rdb/decode.h"

#include "base/mem.h"
#include "rdb/value_decoder.h"

struct rdb_decoder {
    struct rdb_reader reader;
    struct value_decoder value;
};

struct rdb_decoder *rdb_decoder_new(enum rdb_type type, const struct rdb_decode_options *options)
{
    struct rdb_decoder *d = mem_new(struct rdb_decoder);
    value_decoder_init(&d->value, type, options);
    return d;
}

enum rdb_progress rdb_decoder_push(struct rdb_decoder *d, struct bytes *input,
                                   struct budget *budget, struct error *error)
{
    rdb_reader_open(&d->reader, input, budget, error);
    enum rdb_progress progress = value_decoder_run(&d->value, &d->reader);
    rdb_reader_close(&d->reader, input);
    return progress;
}

struct value rdb_decoder_take(struct rdb_decoder *d)
{
    return value_decoder_take(&d->value);
}

bool rdb_decoder_free_step(struct rdb_decoder *d, struct budget *budget)
{
    if (d == NULL) return true;
    if (!value_decoder_free_step(&d->value, budget)) return false;
    rdb_reader_free(&d->reader);
    mem_free(d);
    return true;
}

void rdb_decoder_free(struct rdb_decoder *d)
{
    rdb_decoder_free_step(d, NULL);
}
