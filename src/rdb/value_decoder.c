#include "rdb/value_decoder.h"

#include "base/mem.h"
#include "value/string.h"

typedef enum rdb_progress decode_function(struct value_decoder *d, struct rdb_reader *r);

// A row for each type; none for those that are refused or don't exist.
static decode_function *const decoders[] = {
    [RDB_STRING] = decode_string,
    [RDB_LIST] = decode_list,
    [RDB_SET] = decode_set,
    [RDB_ZSET] = decode_zset,
    [RDB_HASH] = decode_hash,
    [RDB_ZSET_2] = decode_zset,
    [RDB_MODULE] = decode_module,
    [RDB_MODULE_2] = decode_module,
    [RDB_HASH_ZIPMAP] = decode_hash_pack,
    [RDB_LIST_ZIPLIST] = decode_list_ziplist,
    [RDB_SET_INTSET] = decode_set_intset,
    [RDB_ZSET_ZIPLIST] = decode_zset_pack,
    [RDB_HASH_ZIPLIST] = decode_hash_pack,
    [RDB_LIST_QUICKLIST] = decode_quicklist,
    [RDB_STREAM_LISTPACKS] = decode_stream,
    [RDB_HASH_LISTPACK] = decode_hash_pack,
    [RDB_ZSET_LISTPACK] = decode_zset_pack,
    [RDB_LIST_QUICKLIST_2] = decode_quicklist,
    [RDB_STREAM_LISTPACKS_2] = decode_stream,
    [RDB_SET_LISTPACK] = decode_set_listpack,
    [RDB_STREAM_LISTPACKS_3] = decode_stream,
};
enum { TYPE_COUNT = sizeof(decoders) / sizeof(decoders[0]) };

bool rdb_type_is_value(int type)
{
    return type >= 0 && type < TYPE_COUNT && decoders[type] != NULL;
}

void value_decoder_init(struct value_decoder *d, enum rdb_type type,
                        const struct rdb_decode_options *options)
{
    *d = (struct value_decoder){.type = type, .options = *options};
}

enum rdb_progress value_decoder_run(struct value_decoder *d, struct rdb_reader *r)
{
    if (!rdb_type_is_value((int)d->type))
        return rdb_reader_refuse(r, ERROR_CORRUPT, "unknown type of value %d", (int)d->type);
    return decoders[d->type](d, r);
}

struct value value_decoder_take(struct value_decoder *d)
{
    d->has_value = false;
    return d->value;
}

bool value_decoder_empty(const struct value_decoder *d)
{
    if (d->value.type == VALUE_STRING || d->value.type == VALUE_STREAM) return false;
    return value_length(&d->value) == 0;
}

bool value_decoder_free_step(struct value_decoder *d, struct budget *budget)
{
    if (d->has_value) {
        if (budget == NULL)
            value_free(&d->value);
        else if (!value_free_step(&d->value, budget))
            return false;
        d->has_value = false;
    }
    hash_batch_free(&d->batch);
    kept_free(&d->first);
    listpack_free(d->pack_copy);
    mem_free(d->block);
    d->pack_copy = d->block = NULL;
    return true;
}

enum rdb_progress decode_twice(struct rdb_reader *r, const char *what, struct bytes name)
{
    struct buf quoted = BUF_EMPTY;
    text_append_quoted(&quoted, bytes_of(name.data, name.len < 64 ? name.len : 64));
    enum rdb_progress failed = rdb_reader_refuse(r, ERROR_CORRUPT, "%s %.*s comes twice", what,
                                                 (int)buf_len(&quoted), buf_view(&quoted).data);
    buf_free(&quoted);
    return failed;
}

// ---- packs ------------------------------------------------------------------------------------

enum rdb_progress decode_pack_corrupt(const struct value_decoder *d, struct rdb_reader *r,
                                      enum pack_kind kind)
{
    static const char *const names[] = {"listpack", "ziplist", "Zipmap"};
    const char *type = "List ";
    if (d->type == RDB_ZSET_ZIPLIST || d->type == RDB_ZSET_LISTPACK) type = "Zset ";
    if (d->type == RDB_HASH_ZIPLIST || d->type == RDB_HASH_LISTPACK) type = "Hash ";
    if (d->type == RDB_SET_LISTPACK) type = "Set ";
    return rdb_reader_refuse(r, ERROR_CORRUPT, "%s%s integrity check failed",
                             kind == PACK_ZIPMAP ? "" : type, names[kind]);
}

enum rdb_progress decode_pack_begin(struct value_decoder *d, struct rdb_reader *r,
                                    enum pack_kind kind)
{
    struct bytes blob;
    r->layout = READER_AS_STR;
    RDB_TRY(rdb_reader_string(r, &blob));
    kept_set(&d->first, r, blob);
    if (!pack_begin(&d->pack, kind, kept_view(&d->first))) return decode_pack_corrupt(d, r, kind);
    return RDB_DONE;
}

// ---- modules ----------------------------------------------------------------------------------

// A module's id is nine characters of six bits each and ten bits of version (Redis 7.0 module.c).
void rdb_module_name(char name[RDB_MODULE_NAME_BYTES], uint64_t id)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    for (int i = 0; i < 9; i++)
        name[i] = digits[id >> (10 + 6 * (8 - i)) & 63];
    name[9] = '\0';
}

enum rdb_progress decode_module(struct value_decoder *d, struct rdb_reader *r)
{
    (void)d;
    uint64_t id;
    RDB_TRY(rdb_reader_length(r, &id));
    char name[RDB_MODULE_NAME_BYTES];
    rdb_module_name(name, id);
    return rdb_reader_refuse(r, ERROR_UNSUPPORTED,
                             "a value of the module type '%s': modules are not supported", name);
}

// ---- strings ----------------------------------------------------------------------------------

enum rdb_progress decode_string(struct value_decoder *d, struct rdb_reader *r)
{
    struct bytes text;
    r->layout = READER_AS_STR;
    RDB_TRY(rdb_reader_string(r, &text));
    struct str *own = rdb_reader_take_str(r);
    if (own != NULL)
        string_take(&d->value, own);
    else
        string_init(&d->value, text);
    d->has_value = true;
    return RDB_DONE;
}
