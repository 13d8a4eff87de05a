#include "rdb/encode.h"

#include "base/mem.h"
#include "rdb/encoder.h"

enum { COPY_STEP_BYTES = 16 * 1024 };

typedef void encode_function(struct rdb_encoder *e);
static encode_function *const encoders[VALUE_TYPE_COUNT] = {
    [VALUE_STRING] = encode_string, [VALUE_LIST] = encode_list, [VALUE_SET] = encode_set,
    [VALUE_ZSET] = encode_zset,     [VALUE_HASH] = encode_hash, [VALUE_STREAM] = encode_stream,
};

// What each version can read: DUMP came with 6 (Redis 2.6), and whatever reads it knows the plain
// types, intsets, and strings as integers and LZF. Binary scores came with 8 (Redis 4.0), streams
// with 9 (5.0); quicklists of listpacks, listpacks as such and streams with tombstones with 10
// (7.0).
enum { VERSION_PLAIN = 6, VERSION_SCORES = 8, VERSION_STREAMS = 9, VERSION_LISTPACKS = 10 };

enum rdb_type encoder_type(const struct value *v, int version)
{
    bool blocks = version >= VERSION_LISTPACKS;
    switch ((enum value_type)v->type) {
    case VALUE_LIST:
        return blocks ? RDB_LIST_QUICKLIST_2 : RDB_LIST;
    case VALUE_SET:
        return v->encoding == ENCODING_INTSET ? RDB_SET_INTSET : RDB_SET;
    case VALUE_ZSET:
        if (blocks && v->encoding == ENCODING_LISTPACK) return RDB_ZSET_LISTPACK;
        return version >= VERSION_SCORES ? RDB_ZSET_2 : RDB_ZSET;
    case VALUE_HASH:
        return blocks && v->encoding == ENCODING_LISTPACK ? RDB_HASH_LISTPACK : RDB_HASH;
    case VALUE_STREAM:
        return blocks ? RDB_STREAM_LISTPACKS_2 : RDB_STREAM_LISTPACKS;
    default:
        return RDB_STRING;
    }
}

enum rdb_type rdb_type_of(const struct value *v)
{
    return encoder_type(v, RDB_VERSION);
}

// Whether a reader of RDB_STREAM_LISTPACKS works out by itself what that type leaves out.
static bool stream_is_plain(const struct stream *s)
{
    if (s->entries_added != s->length || !stream_id_is_zero(s->max_deleted_id)) return false;
    for (uint32_t i = 0; i < stream_group_count(s); i++) {
        const struct stream_group *g = stream_group_at(s, i);
        if (g->entries_read != stream_distance(s, g->last_id)) return false;
    }
    return true;
}

int rdb_lowest_version(const struct value *v)
{
    if (v->type != VALUE_STREAM) return VERSION_PLAIN;
    return stream_is_plain(v->u.stream) ? VERSION_STREAMS : VERSION_LISTPACKS;
}

// ---- the pieces -------------------------------------------------------------------------------

void encoder_init(struct rdb_encoder *e, const struct value *v, bool compress, int version)
{
    *e = (struct rdb_encoder){
        .v = v, .next = encoders[v->type], .version = version, .squeeze.on = compress};
}

void encoder_free(struct rdb_encoder *e)
{
    if (e->iterating && e->v->type == VALUE_SET) set_iter_end(&e->u.set);
    if (e->iterating && e->v->type == VALUE_HASH) hash_iter_end(&e->u.hash);
    if (e->iterating && e->v->type == VALUE_ZSET) zset_iter_end(&e->u.zset);
    buf_free(&e->stage);
}

void encoder_next(struct rdb_encoder *e)
{
    e->work += 2;
    e->next(e);
}

bool encoder_put(struct rdb_encoder *e, struct bytes text)
{
    if (e->counts) {
        e->counted += rdb_plain_bytes(text);
        return true;
    }
    if (rdb_put_compact(&e->stage, text, &e->squeeze)) {
        e->work += (uint32_t)text.len / 16;
        return true;
    }
    // An attempt to compress that came to nothing is work as well.
    if (e->squeeze.on && text.len <= RDB_COMPRESS_MAX_BYTES) e->work += (uint32_t)text.len / 32;
    rdb_put_length(&e->stage, text.len);
    if (text.len <= ENCODER_STAGE_BYTES) {
        buf_append_bytes(&e->stage, text);
        return true;
    }
    e->lent = text;
    return false;
}

static size_t take(struct rdb_encoder *e, char *out, size_t max)
{
    size_t staged = buf_len(&e->stage);
    if (staged > 0) {
        size_t n = staged < max ? staged : max;
        memcpy(out, buf_view(&e->stage).data, n);
        buf_consume(&e->stage, n);
        return n;
    }
    size_t n = e->lent.len < max ? e->lent.len : max;
    if (n > COPY_STEP_BYTES) n = COPY_STEP_BYTES;
    memcpy(out, e->lent.data, n);
    e->lent.data += n;
    e->lent.len -= n;
    return n;
}

size_t encoder_read(struct rdb_encoder *e, char *out, size_t max, struct budget *budget)
{
    size_t used = 0;
    while (used < max && !encoder_done(e)) {
        if (!encoder_has_output(e)) encoder_next(e);
        if (encoder_has_output(e)) {
            size_t n = take(e, out + used, max - used);
            used += n;
            e->work += (uint32_t)(n / 64);
        }
        if (e->work == 0) continue;
        bool left = budget == NULL || budget_left(budget, e->work);
        e->work = 0;
        if (!left) break;
    }
    return used;
}

// ---- of a value alone -------------------------------------------------------------------------

struct rdb_encoder *rdb_encoder_new(const struct value *v, const struct rdb_options *options)
{
    struct rdb_encoder *e = mem_new(struct rdb_encoder);
    encoder_init(e, v, options->compress, RDB_VERSION);
    return e;
}

size_t rdb_encoder_read(struct rdb_encoder *e, char *out, size_t max, struct budget *budget)
{
    return encoder_read(e, out, max, budget);
}

bool rdb_encoder_done(const struct rdb_encoder *e)
{
    return encoder_done(e);
}

void rdb_encoder_free(struct rdb_encoder *e)
{
    if (e == NULL) return;
    encoder_free(e);
    mem_free(e);
}
