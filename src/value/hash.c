#include "value/hash.h"

#include "value/listpack.h"
#include "value/pair.h"

static bool packed(const struct value *v)
{
    return v->encoding == ENCODING_LISTPACK;
}

void hash_init(struct value *v)
{
    v->type = VALUE_HASH;
    v->encoding = ENCODING_LISTPACK;
    v->u.listpack = listpack_new(0);
}

uint64_t hash_length(const struct value *v)
{
    return packed(v) ? listpack_count(v->u.listpack) / 2 : dict_count(v->u.dict);
}

static unsigned char *find_packed(const struct value *v, struct bytes field)
{
    return listpack_find(v->u.listpack, listpack_first(v->u.listpack), field, 1);
}

static void make_table(struct value *v, const struct value_limits *limits)
{
    char scratch[2][TEXT_I64_BYTES];
    unsigned char *lp = v->u.listpack;
    struct dict *d = dict_new(&pair_dict, limits->hash_seed);
    dict_reserve(d, hash_length(v) + 1);
    for (unsigned char *at = listpack_first(lp); at; at = listpack_next(lp, at)) {
        struct bytes field = listpack_text(at, scratch[0]);
        at = listpack_next(lp, at);
        struct bytes value = listpack_text(at, scratch[1]);
        dict_insert_new(d, pair_new(field, value), dict_hash(d, field));
    }
    listpack_free(lp);
    v->encoding = ENCODING_HASHTABLE;
    v->u.dict = d;
}

// A listpack may not hold such a pair.
static bool too_big(const struct value *v, struct bytes field, struct bytes value,
                    const struct value_limits *limits)
{
    size_t max = limits->hash_max_listpack_value;
    return field.len > max || value.len > max ||
           !listpack_safe_to_add(v->u.listpack, field.len + value.len);
}

static void append_packed(struct value *v, struct bytes field, struct bytes value,
                          const struct value_limits *limits)
{
    v->u.listpack = listpack_append(v->u.listpack, field);
    v->u.listpack = listpack_append(v->u.listpack, value);
    if (hash_length(v) > limits->hash_max_listpack_entries) make_table(v, limits);
}

bool hash_get(const struct value *v, struct bytes field, struct bytes *value,
              char scratch[TEXT_I64_BYTES])
{
    if (packed(v)) {
        unsigned char *at = find_packed(v, field);
        if (at == NULL) return false;
        *value = listpack_text(listpack_next(v->u.listpack, at), scratch);
        return true;
    }
    struct pair *pair = dict_find(v->u.dict, field);
    if (pair == NULL) return false;
    *value = pair_value(pair);
    return true;
}

bool hash_exists(const struct value *v, struct bytes field)
{
    return packed(v) ? find_packed(v, field) != NULL : dict_find(v->u.dict, field) != NULL;
}

static bool set_in_table(struct dict *d, struct bytes field, struct bytes value)
{
    uint64_t hash = dict_hash(d, field);
    struct pair *old = dict_find_hashed(d, field, hash);
    if (old == NULL) {
        dict_insert_new(d, pair_new(field, value), hash);
        return true;
    }
    if (!pair_rewrite(old, value)) {
        dict_move_item(d, hash, old, pair_new(field, value));
        pair_dict.free_item(old);
    }
    return false;
}

bool hash_set(struct value *v, struct bytes field, struct bytes value,
              const struct value_limits *limits)
{
    if (packed(v) && too_big(v, field, value, limits)) make_table(v, limits);
    if (!packed(v)) return set_in_table(v->u.dict, field, value);
    unsigned char *at = find_packed(v, field);
    if (at == NULL) {
        append_packed(v, field, value, limits);
        return true;
    }
    at = listpack_next(v->u.listpack, at);
    v->u.listpack = listpack_replace(v->u.listpack, &at, value);
    return false;
}

bool hash_add(struct value *v, struct bytes field, struct bytes value,
              const struct value_limits *limits)
{
    if (packed(v) && too_big(v, field, value, limits)) make_table(v, limits);
    if (packed(v)) {
        if (find_packed(v, field) != NULL) return false;
        append_packed(v, field, value, limits);
        return true;
    }
    struct dict *d = v->u.dict;
    uint64_t hash = dict_hash(d, field);
    if (dict_find_hashed(d, field, hash) != NULL) return false;
    dict_insert_new(d, pair_new(field, value), hash);
    return true;
}

bool hash_is_table(const struct value *v)
{
    return !packed(v);
}

bool hash_batch_flush(struct value *v, struct hash_batch *b, struct bytes *twice)
{
    struct dict *d = v->u.dict;
    for (int i = 0; i < b->count; i++) {
        struct bytes field = pair_key(b->pairs[i]);
        if (dict_find_hashed(d, field, b->hashes[i]) != NULL) {
            *twice = field;
            // Those before it are the table's.
            memmove(b->pairs, b->pairs + i, (size_t)(b->count - i) * sizeof(b->pairs[0]));
            b->count -= i;
            return false;
        }
        dict_insert_new(d, b->pairs[i], b->hashes[i]);
    }
    b->count = 0;
    return true;
}

bool hash_batch_add(struct value *v, struct hash_batch *b, struct bytes field, struct bytes value,
                    struct bytes *twice)
{
    if (b->count == HASH_BATCH && !hash_batch_flush(v, b, twice)) return false;
    uint64_t hash = dict_hash(v->u.dict, field);
    dict_prefetch(v->u.dict, hash);
    b->pairs[b->count] = pair_new(field, value);
    b->hashes[b->count++] = hash;
    return true;
}

void hash_batch_free(struct hash_batch *b)
{
    while (b->count > 0)
        pair_dict.free_item(b->pairs[--b->count]);
}

bool hash_delete(struct value *v, struct bytes field)
{
    if (!packed(v)) return dict_delete(v->u.dict, field);
    unsigned char *at = find_packed(v, field);
    if (at == NULL) return false;
    v->u.listpack = listpack_delete(v->u.listpack, &at, 2);
    return true;
}

void hash_reserve(struct value *v, uint64_t fields, const struct value_limits *limits)
{
    if (packed(v) && fields > limits->hash_max_listpack_entries) make_table(v, limits);
    if (!packed(v)) dict_reserve(v->u.dict, fields);
}

// ---- walking ----------------------------------------------------------------------------------

// The pair whose field is at *at; moves on to the next one.
static void read_packed(const unsigned char *lp, unsigned char **at, struct bytes *field,
                        struct bytes *value, struct value_scratch *scratch)
{
    *field = listpack_text(*at, scratch->text[0]);
    *at = listpack_next(lp, *at);
    *value = listpack_text(*at, scratch->text[1]);
    *at = listpack_next(lp, *at);
}

bool hash_random(const struct value *v, struct rng *rng, struct bytes *field, struct bytes *value,
                 struct value_scratch *scratch)
{
    if (packed(v)) {
        unsigned char *at = listpack_random(v->u.listpack, 2, rng);
        if (at == NULL) return false;
        read_packed(v->u.listpack, &at, field, value, scratch);
        return true;
    }
    struct pair *pair = dict_random(v->u.dict, rng);
    if (pair == NULL) return false;
    *field = pair_key(pair);
    *value = pair_value(pair);
    return true;
}

struct visitor {
    hash_visit *visit;
    void *arg;
};

static void visit_pair(void *arg, void *item)
{
    struct visitor *visitor = arg;
    visitor->visit(visitor->arg, pair_key(item), pair_value(item));
}

uint64_t hash_scan(const struct value *v, uint64_t cursor, hash_visit *visit, void *arg)
{
    if (!packed(v)) {
        struct visitor visitor = {visit, arg};
        return dict_scan(v->u.dict, cursor, visit_pair, &visitor);
    }
    struct value_scratch scratch;
    struct bytes field, value;
    for (unsigned char *at = listpack_first(v->u.listpack); at != NULL;) {
        read_packed(v->u.listpack, &at, &field, &value, &scratch);
        visit(arg, field, value);
    }
    return 0;
}

void hash_iter_begin(struct hash_iter *it, const struct value *v)
{
    it->v = v;
    if (packed(v))
        it->at = listpack_first(v->u.listpack);
    else
        dict_iter_begin(&it->dict, v->u.dict);
}

bool hash_iter_next(struct hash_iter *it, struct bytes *field, struct bytes *value)
{
    if (packed(it->v)) {
        if (it->at == NULL) return false;
        read_packed(it->v->u.listpack, &it->at, field, value, &it->scratch);
        return true;
    }
    struct pair *pair = dict_iter_next(&it->dict);
    if (pair == NULL) return false;
    *field = pair_key(pair);
    *value = pair_value(pair);
    return true;
}

void hash_iter_end(struct hash_iter *it)
{
    if (it->v != NULL && !packed(it->v)) dict_iter_end(&it->dict);
    it->v = NULL;
}

// ---- listpacks as RDB stores them --------------------------------------------------------------

struct bytes hash_listpack_view(const struct value *v)
{
    return packed(v) ? listpack_view(v->u.listpack) : bytes_of(NULL, 0);
}

static bool any_longer(const unsigned char *lp, size_t max)
{
    char scratch[TEXT_I64_BYTES];
    for (const unsigned char *at = listpack_first(lp); at; at = listpack_next(lp, at))
        if (listpack_text(at, scratch).len > max) return true;
    return false;
}

bool hash_from_listpack(struct value *v, struct bytes blob, const struct value_limits *limits,
                        bool deep)
{
    if (!listpack_validate(blob, deep, NULL, NULL)) return false;
    unsigned char *lp = listpack_from(blob);
    if (lp == NULL) return false;
    uint64_t count = listpack_count(lp);
    bool table = count / 2 > limits->hash_max_listpack_entries ||
                 any_longer(lp, limits->hash_max_listpack_value);
    // A table can't have a field twice.
    bool unique = deep || table;
    if (count == 0 || count % 2 != 0 || (unique && !listpack_unique(lp, 2, limits->hash_seed))) {
        listpack_free(lp);
        return false;
    }
    v->type = VALUE_HASH;
    v->encoding = ENCODING_LISTPACK;
    v->u.listpack = lp;
    if (table) make_table(v, limits);
    return true;
}
