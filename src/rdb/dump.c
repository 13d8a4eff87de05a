// DUMP payloads: type (1 byte), value, RDB version (2 bytes, little-endian), CRC64 of all before it
// (8 bytes, little-endian). Redis 7.0 cluster.c, createDumpPayload.
#include "base/mem.h"
#include "rdb/encoder.h"

enum { TYPE_BYTES = 1, FOOTER_BYTES = 10 };

struct dump_encoder {
    struct rdb_encoder value;
    uint8_t type;
    bool type_read;
    int version;
    uint64_t crc;
    unsigned char footer[FOOTER_BYTES];
    size_t footer_read; // bytes
    bool footer_made;
};

// What stands in the footer, and decides on the types.
static int version_for(const struct value *v, const struct rdb_options *options)
{
    enum { VERSION_STREAMS = 9 };
    if (options->version == 0) return rdb_lowest_version(v);
    // No earlier type holds a stream; who reads only these says that the version is too high.
    bool later = v->type == VALUE_STREAM && options->version < VERSION_STREAMS;
    return later ? VERSION_STREAMS : options->version;
}

struct dump_encoder *dump_encoder_new(const struct value *v, const struct rdb_options *options)
{
    struct dump_encoder *d = mem_new(struct dump_encoder);
    d->version = version_for(v, options);
    encoder_init(&d->value, v, options->compress, d->version);
    d->type = (uint8_t)encoder_type(v, d->version);
    return d;
}

static void make_footer(struct dump_encoder *d)
{
    d->footer[0] = (unsigned char)d->version;
    d->footer[1] = (unsigned char)(d->version >> 8);
    d->crc = crc64(d->crc, d->footer, 2);
    for (int i = 0; i < 8; i++)
        d->footer[2 + i] = (unsigned char)(d->crc >> (8 * i));
    d->footer_made = true;
}

size_t dump_encoder_read(struct dump_encoder *d, char *out, size_t max, struct budget *budget)
{
    size_t used = 0;
    if (!d->type_read && max > 0) {
        out[used++] = (char)d->type;
        d->crc = crc64(0, &d->type, 1);
        d->type_read = true;
    }
    while (used < max && !encoder_done(&d->value)) {
        // In pieces, so that the budget sees the checksum's cost as well.
        enum { PIECE_BYTES = 32 * 1024 };
        size_t room = max - used < PIECE_BYTES ? max - used : PIECE_BYTES;
        size_t n = encoder_read(&d->value, out + used, room, budget);
        d->crc = crc64(d->crc, out + used, n);
        used += n;
        if (budget != NULL && !budget_left(budget, (uint32_t)(n / 64 + 1))) return used;
    }
    if (!encoder_done(&d->value)) return used;
    if (!d->footer_made) make_footer(d);
    size_t n = FOOTER_BYTES - d->footer_read;
    if (n > max - used) n = max - used;
    memcpy(out + used, d->footer + d->footer_read, n);
    d->footer_read += n;
    return used + n;
}

bool dump_encoder_done(const struct dump_encoder *d)
{
    return d->footer_read == FOOTER_BYTES;
}

void dump_encoder_free(struct dump_encoder *d)
{
    if (d == NULL) return;
    encoder_free(&d->value);
    mem_free(d);
}

// ---- counting ---------------------------------------------------------------------------------

// The encoder runs, and strings are counted where they are. Only where they are to be compressed
// must they be, to see what comes of it; then the output is thrown away.
struct dump_counter {
    struct rdb_encoder value;
    uint64_t bytes;
};

struct dump_counter *dump_counter_new(const struct value *v, const struct rdb_options *options)
{
    struct dump_counter *d = mem_new(struct dump_counter);
    encoder_init(&d->value, v, options->compress, version_for(v, options));
    d->value.counts = !options->compress;
    d->bytes = TYPE_BYTES + FOOTER_BYTES;
    return d;
}

bool dump_counter_step(struct dump_counter *d, struct budget *budget)
{
    struct rdb_encoder *e = &d->value;
    while (!e->finished) {
        encoder_next(e);
        d->bytes += buf_len(&e->stage) + e->lent.len + e->counted;
        buf_clear(&e->stage);
        e->lent = (struct bytes){0};
        e->counted = 0;
        bool left = budget == NULL || budget_left(budget, e->work);
        e->work = 0;
        if (!left) break;
    }
    return e->finished;
}

uint64_t dump_counter_bytes(const struct dump_counter *d)
{
    return d->bytes;
}

void dump_counter_free(struct dump_counter *d)
{
    if (d == NULL) return;
    encoder_free(&d->value);
    mem_free(d);
}
