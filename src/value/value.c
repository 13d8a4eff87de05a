#include "value/value.h"

#include "base/mem.h"
#include "value/dict.h"
#include "value/hash.h"
#include "value/intset.h"
#include "value/list.h"
#include "value/listpack.h"
#include "value/pages.h"
#include "value/pair.h"
#include "value/set.h"
#include "value/stream.h"
#include "value/string.h"
#include "value/zset.h"
#include "value/zskip.h"

#include <assert.h>

enum {
    SMALL_STRING_BYTES = 64 << 10,
    SMALL_BYTES = 16 << 10,
    SMALL_ELEMENTS = 64,
    SMALL_TABLE_BYTES = 32 << 10, // a table with few elements may still be a big one
    FREE_PIECE_BYTES = 256 << 10, // of a block, given back at a time
    FREE_PIECE_UNITS = 400,       // what that takes, as budgets count
};

void value_limits_default(struct value_limits *limits)
{
    *limits = (struct value_limits){
        .hash_max_listpack_entries = 128,
        .hash_max_listpack_value = 64,
        .zset_max_listpack_entries = 128,
        .zset_max_listpack_value = 64,
        .set_max_intset_entries = 512,
        .list_max_listpack_size = -2,
        .list_compress_depth = 0,
        .stream_node_max_bytes = 4096,
        .stream_node_max_entries = 100,
    };
}

const char *value_type_name(const struct value *v)
{
    static const char *const names[VALUE_TYPE_COUNT] = {"string", "list", "set",
                                                        "zset",   "hash", "stream"};
    assert(v->type < VALUE_TYPE_COUNT);
    return names[v->type];
}

const char *value_encoding_name(const struct value *v)
{
    static const char *const names[] = {"int",       "embstr",    "raw",      "listpack", "intset",
                                        "hashtable", "quicklist", "skiplist", "stream"};
    assert(v->encoding < sizeof(names) / sizeof(names[0]));
    return names[v->encoding];
}

uint64_t value_length(const struct value *v)
{
    switch ((enum value_type)v->type) {
    case VALUE_STRING:
        return string_length(v);
    case VALUE_LIST:
        return list_length(v->u.quicklist);
    case VALUE_SET:
        return set_length(v);
    case VALUE_ZSET:
        return zset_length(v);
    case VALUE_HASH:
        return hash_length(v);
    case VALUE_STREAM:
        return stream_length(v->u.stream);
    case VALUE_TYPE_COUNT:
        break;
    }
    return 0;
}

size_t value_memory(const struct value *v, int samples)
{
    if (samples <= 0 || samples > 1000) samples = 1000; // time stays bounded
    switch ((enum value_encoding)v->encoding) {
    case ENCODING_INT:
        return 0;
    case ENCODING_EMBSTR:
    case ENCODING_RAW:
        return mem_size(v->u.string);
    case ENCODING_LISTPACK:
        return mem_size(v->u.listpack);
    case ENCODING_INTSET:
        return mem_size(v->u.intset);
    case ENCODING_HASHTABLE:
        return dict_memory(v->u.dict, samples, NULL);
    case ENCODING_QUICKLIST:
        return list_memory(v->u.quicklist);
    case ENCODING_SKIPLIST:
        return mem_size(v->u.zset) + mem_size(v->u.zset->head) +
               dict_memory(v->u.zset->dict, samples, NULL);
    case ENCODING_STREAM:
        return stream_memory(v->u.stream);
    }
    return 0;
}

static bool small_table(struct dict *d, size_t (*item_bytes)(const void *item))
{
    if (dict_count(d) > SMALL_ELEMENTS || dict_table_bytes(d) > SMALL_TABLE_BYTES) return false;
    return dict_memory(d, 0, item_bytes) - dict_table_bytes(d) <= SMALL_BYTES;
}

static size_t node_bytes(const void *node)
{
    return zskip_member(node).len;
}

bool value_is_small(const struct value *v)
{
    switch ((enum value_encoding)v->encoding) {
    case ENCODING_INT:
        return true;
    case ENCODING_EMBSTR:
    case ENCODING_RAW:
        return v->u.string->len <= SMALL_STRING_BYTES;
    case ENCODING_LISTPACK:
        return listpack_bytes(v->u.listpack) <= SMALL_BYTES;
    case ENCODING_INTSET:
        return intset_view(v->u.intset).len <= SMALL_BYTES;
    case ENCODING_HASHTABLE:
        return small_table(v->u.dict, pair_bytes);
    case ENCODING_QUICKLIST:
        return list_length(v->u.quicklist) <= SMALL_ELEMENTS &&
               list_memory(v->u.quicklist) <= SMALL_BYTES;
    case ENCODING_SKIPLIST:
        return small_table(v->u.zset->dict, node_bytes);
    case ENCODING_STREAM:
        return stream_length(v->u.stream) <= SMALL_ELEMENTS &&
               stream_memory(v->u.stream) <= SMALL_BYTES;
    }
    return true;
}

// ---- freeing ------------------------------------------------------------------------------------

void value_free(struct value *v)
{
    switch ((enum value_encoding)v->encoding) {
    case ENCODING_INT:
        break;
    case ENCODING_EMBSTR:
    case ENCODING_RAW:
        str_free(v->u.string);
        break;
    case ENCODING_LISTPACK:
        listpack_free(v->u.listpack);
        break;
    case ENCODING_INTSET:
        intset_free(v->u.intset);
        break;
    case ENCODING_HASHTABLE:
        dict_free(v->u.dict);
        break;
    case ENCODING_QUICKLIST:
        list_free_all(v->u.quicklist);
        break;
    case ENCODING_SKIPLIST:
        zskip_free(v->u.zset);
        break;
    case ENCODING_STREAM:
        stream_free_all(v->u.stream);
        break;
    }
}

void value_expect(struct value *v, uint64_t elements)
{
    if (v->encoding == ENCODING_HASHTABLE) dict_expect(v->u.dict, elements);
    if (v->encoding == ENCODING_SKIPLIST) dict_expect(v->u.zset->dict, elements);
}

// Gives memory back from the end of a block of *len bytes, so that freeing what is left of it is
// quick. False when the budget is used first.
static bool release_step(void *block, size_t *len, struct budget *budget)
{
    while (*len > FREE_PIECE_BYTES) {
        pages_release((char *)block + *len - FREE_PIECE_BYTES, (char *)block + *len);
        *len -= FREE_PIECE_BYTES;
        if (!budget_left(budget, FREE_PIECE_UNITS)) return false;
    }
    return true;
}

static bool free_string_step(struct str *s, struct budget *budget)
{
    if (!release_step(s->data, &s->len, budget)) return false;
    str_free(s);
    return true;
}

// Blocks are that large only under unusual limits. How much is left is kept in their header.
static bool free_listpack_step(unsigned char *lp, struct budget *budget)
{
    size_t len = listpack_bytes(lp);
    bool done = release_step(lp, &len, budget);
    for (int i = 0; i < 4; i++)
        lp[i] = (unsigned char)(len >> 8 * i);
    if (done) listpack_free(lp);
    return done;
}

bool value_free_step(struct value *v, struct budget *budget)
{
    switch ((enum value_encoding)v->encoding) {
    case ENCODING_EMBSTR:
    case ENCODING_RAW:
        return free_string_step(v->u.string, budget);
    case ENCODING_HASHTABLE:
        return dict_free_step(v->u.dict, budget);
    case ENCODING_QUICKLIST:
        return list_free_step(v->u.quicklist, budget);
    case ENCODING_SKIPLIST:
        return zskip_free_step(v->u.zset, budget);
    case ENCODING_STREAM:
        return stream_free_step(v->u.stream, budget);
    case ENCODING_LISTPACK:
        return free_listpack_step(v->u.listpack, budget);
    case ENCODING_INT:
    case ENCODING_INTSET:
        break;
    }
    value_free(v);
    return true;
}

// ---- copying ------------------------------------------------------------------------------------

static struct dict *copy_pairs(struct dict *from)
{
    struct dict *to = dict_new(&pair_dict, dict_seed(from));
    struct dict_iter it;
    void *item;
    dict_reserve(to, dict_count(from));
    dict_iter_begin(&it, from);
    while ((item = dict_iter_next(&it)) != NULL) {
        struct pair *copy = pair_copy(item);
        dict_insert_new(to, copy, dict_hash(to, pair_key(copy)));
    }
    dict_iter_end(&it);
    return to;
}

static struct zskip *copy_zskip(const struct zskip *from)
{
    struct zskip *to = zskip_new(dict_seed(from->dict));
    dict_reserve(to->dict, from->count);
    // From the highest down each one goes to the front, which is the quickest place to find.
    for (struct zskip_node *node = from->tail; node != NULL; node = node->back) {
        struct bytes member = zskip_member(node);
        zskip_insert(to, member, dict_hash(to->dict, member), node->score);
    }
    return to;
}

void value_copy(struct value *to, const struct value *from)
{
    *to = *from;
    switch ((enum value_encoding)from->encoding) {
    case ENCODING_INT:
        break;
    case ENCODING_EMBSTR:
    case ENCODING_RAW:
        to->u.string = str_dup(from->u.string);
        break;
    case ENCODING_LISTPACK:
        to->u.listpack = listpack_copy(from->u.listpack);
        break;
    case ENCODING_INTSET:
        to->u.intset = intset_from(intset_view(from->u.intset));
        break;
    case ENCODING_HASHTABLE:
        to->u.dict = copy_pairs(from->u.dict);
        break;
    case ENCODING_QUICKLIST:
        to->u.quicklist = list_copy(from->u.quicklist);
        break;
    case ENCODING_SKIPLIST:
        to->u.zset = copy_zskip(from->u.zset);
        break;
    case ENCODING_STREAM:
        to->u.stream = stream_copy(from->u.stream);
        break;
    }
}
