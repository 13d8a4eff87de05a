#include "value/set.h"

#include "value/intset.h"
#include "value/pair.h"

// An intset never grows beyond this, whatever the directive says: each insertion moves half of it.
#define INTSET_MOST ((size_t)1 << 30)

static bool packed(const struct value *v)
{
    return v->encoding == ENCODING_INTSET;
}

void set_init(struct value *v)
{
    v->type = VALUE_SET;
    v->encoding = ENCODING_INTSET;
    v->u.intset = intset_new();
}

uint64_t set_length(const struct value *v)
{
    return packed(v) ? intset_count(v->u.intset) : dict_count(v->u.dict);
}

static bool add_to_table(struct dict *d, struct bytes member)
{
    uint64_t hash = dict_hash(d, member);
    if (dict_find_hashed(d, member, hash) != NULL) return false;
    dict_insert_new(d, pair_new(member, BYTES("")), hash);
    return true;
}

static struct bytes number_text(int64_t number, char scratch[TEXT_I64_BYTES])
{
    return bytes_of(scratch, text_from_i64(scratch, number));
}

static void make_table(struct value *v, const struct value_limits *limits)
{
    char scratch[TEXT_I64_BYTES];
    struct intset *is = v->u.intset;
    struct dict *d = dict_new(&pair_dict, limits->hash_seed);
    dict_reserve(d, (uint64_t)intset_count(is) + 1);
    for (uint32_t i = 0; i < intset_count(is); i++) {
        struct bytes member = number_text(intset_at(is, i), scratch);
        dict_insert_new(d, pair_new(member, BYTES("")), dict_hash(d, member));
    }
    intset_free(is);
    v->encoding = ENCODING_HASHTABLE;
    v->u.dict = d;
}

static bool as_number(struct bytes member, int64_t *number)
{
    return member.len < TEXT_I64_BYTES && text_to_i64(member, number);
}

static bool too_many(uint64_t count, const struct value_limits *limits)
{
    return count > limits->set_max_intset_entries || count > INTSET_MOST;
}

bool set_add(struct value *v, struct bytes member, const struct value_limits *limits)
{
    int64_t number;
    if (packed(v) && as_number(member, &number)) {
        bool added;
        v->u.intset = intset_add(v->u.intset, number, &added);
        if (added && too_many(intset_count(v->u.intset), limits)) make_table(v, limits);
        return added;
    }
    if (packed(v)) make_table(v, limits);
    return add_to_table(v->u.dict, member);
}

bool set_remove(struct value *v, struct bytes member)
{
    if (!packed(v)) return dict_delete(v->u.dict, member);
    int64_t number;
    bool removed = false;
    if (as_number(member, &number)) v->u.intset = intset_remove(v->u.intset, number, &removed);
    return removed;
}

bool set_contains(const struct value *v, struct bytes member)
{
    if (!packed(v)) return dict_find(v->u.dict, member) != NULL;
    int64_t number;
    return as_number(member, &number) && intset_contains(v->u.intset, number);
}

void set_reserve(struct value *v, uint64_t members, bool integers,
                 const struct value_limits *limits)
{
    if (packed(v) && (!integers || too_many(members, limits))) make_table(v, limits);
    if (!packed(v)) dict_reserve(v->u.dict, members);
}

// ---- walking ----------------------------------------------------------------------------------

bool set_random(const struct value *v, struct rng *rng, struct bytes *member,
                char scratch[TEXT_I64_BYTES])
{
    if (set_length(v) == 0) return false;
    if (packed(v)) {
        uint32_t index = (uint32_t)rng_below(rng, intset_count(v->u.intset));
        *member = number_text(intset_at(v->u.intset, index), scratch);
    } else {
        *member = pair_key(dict_random(v->u.dict, rng));
    }
    return true;
}

struct str *set_pop(struct value *v, struct rng *rng)
{
    char scratch[TEXT_I64_BYTES];
    struct bytes member;
    if (!set_random(v, rng, &member, scratch)) return NULL;
    struct str *popped = str_from(member);
    set_remove(v, str_view(popped));
    return popped;
}

struct visitor {
    set_visit *visit;
    void *arg;
};

static void visit_member(void *arg, void *item)
{
    struct visitor *visitor = arg;
    visitor->visit(visitor->arg, pair_key(item));
}

uint64_t set_scan(const struct value *v, uint64_t cursor, set_visit *visit, void *arg)
{
    if (!packed(v)) {
        struct visitor visitor = {visit, arg};
        return dict_scan(v->u.dict, cursor, visit_member, &visitor);
    }
    char scratch[TEXT_I64_BYTES];
    for (uint32_t i = 0; i < intset_count(v->u.intset); i++)
        visit(arg, number_text(intset_at(v->u.intset, i), scratch));
    return 0;
}

void set_iter_begin(struct set_iter *it, const struct value *v)
{
    it->v = v;
    it->index = 0;
    if (!packed(v)) dict_iter_begin(&it->dict, v->u.dict);
}

bool set_iter_next(struct set_iter *it, struct bytes *member)
{
    if (packed(it->v)) {
        if (it->index >= intset_count(it->v->u.intset)) return false;
        *member = number_text(intset_at(it->v->u.intset, it->index++), it->scratch);
        return true;
    }
    struct pair *pair = dict_iter_next(&it->dict);
    if (pair == NULL) return false;
    *member = pair_key(pair);
    return true;
}

void set_iter_end(struct set_iter *it)
{
    if (it->v != NULL && !packed(it->v)) dict_iter_end(&it->dict);
    it->v = NULL;
}

// ---- intsets as RDB stores them ----------------------------------------------------------------

struct bytes set_intset_view(const struct value *v)
{
    return packed(v) ? intset_view(v->u.intset) : bytes_of(NULL, 0);
}

bool set_from_intset(struct value *v, struct bytes blob, const struct value_limits *limits,
                     bool deep)
{
    if (!intset_validate(blob, deep)) return false;
    struct intset *is = intset_from(blob);
    if (is == NULL) return false;
    if (intset_count(is) == 0) {
        intset_free(is);
        return false;
    }
    v->type = VALUE_SET;
    v->encoding = ENCODING_INTSET;
    v->u.intset = is;
    if (too_many(intset_count(is), limits)) make_table(v, limits);
    return true;
}
