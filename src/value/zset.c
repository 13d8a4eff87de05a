#include "value/zset.h"

#include "value/listpack.h"
#include "value/zskip.h"

#include <math.h>

static bool packed(const struct value *v)
{
    return v->encoding == ENCODING_LISTPACK;
}

void zset_init(struct value *v)
{
    v->type = VALUE_ZSET;
    v->encoding = ENCODING_LISTPACK;
    v->u.listpack = listpack_new(0);
}

uint64_t zset_length(const struct value *v)
{
    return packed(v) ? listpack_count(v->u.listpack) / 2 : v->u.zset->count;
}

// ---- the small form: member, score, member, score
// ------------------------------------------------

bool zset_entry_score(const struct listpack_entry *entry, double *score)
{
    if (entry->text.data != NULL) return text_to_double(entry->text, score) && !isnan(*score);
    *score = (double)entry->number;
    return true;
}

// The score that follows the member at `at`.
static double packed_score(const unsigned char *lp, const unsigned char *at)
{
    double score = 0;
    struct listpack_entry entry = listpack_get(listpack_next(lp, at));
    return zset_entry_score(&entry, &score) ? score : 0;
}

static unsigned char *find_packed(const struct value *v, struct bytes member)
{
    return listpack_find(v->u.listpack, listpack_first(v->u.listpack), member, 1);
}

static bool packed_before(const unsigned char *lp, const unsigned char *at, double score,
                          struct bytes member)
{
    char scratch[TEXT_I64_BYTES];
    double here = packed_score(lp, at);
    if (here != score) return here < score;
    return bytes_compare(listpack_text(at, scratch), member) < 0;
}

// The first element that comes after (score, member); NULL when none does.
static unsigned char *packed_place(const unsigned char *lp, double score, struct bytes member)
{
    unsigned char *last = listpack_last(lp);
    if (last == NULL || packed_before(lp, listpack_prev(lp, last), score, member)) return NULL;
    unsigned char *at = listpack_first(lp);
    while (packed_before(lp, at, score, member))
        at = listpack_next(lp, listpack_next(lp, at));
    return at;
}

// Whole numbers of up to half the range of int64 are held as integers, as Redis holds them.
static bool as_integer(double score, int64_t *number)
{
    const double most = (double)(INT64_MAX / 2);
    if (score < -most || score > most) return false;
    *number = (int64_t)score;
    return (double)*number == score;
}

static void insert_packed(struct value *v, struct bytes member, double score)
{
    unsigned char *lp = v->u.listpack, *at = packed_place(lp, score, member);
    lp = listpack_insert(lp, at, member, &at);
    at = listpack_next(lp, at);
    int64_t number;
    if (as_integer(score, &number)) {
        v->u.listpack = listpack_insert_number(lp, at, number, NULL);
    } else {
        char text[TEXT_DOUBLE_BYTES];
        struct bytes written = bytes_of(text, text_from_double(text, score));
        v->u.listpack = listpack_insert(lp, at, written, NULL);
    }
}

static void make_skiplist(struct value *v, const struct value_limits *limits, uint64_t expected)
{
    char scratch[TEXT_I64_BYTES];
    unsigned char *lp = v->u.listpack;
    struct zskip *z = zskip_new(limits->hash_seed);
    dict_reserve(z->dict, expected);
    for (unsigned char *at = listpack_first(lp); at; at = listpack_next(lp, at)) {
        struct bytes member = listpack_text(at, scratch);
        zskip_insert(z, member, dict_hash(z->dict, member), packed_score(lp, at));
        at = listpack_next(lp, at);
    }
    listpack_free(lp);
    v->encoding = ENCODING_SKIPLIST;
    v->u.zset = z;
}

// ---- elements -----------------------------------------------------------------------------------

// Leaves the small form if one more element, this one, does not fit there.
static void make_room(struct value *v, struct bytes member, const struct value_limits *limits)
{
    uint64_t count = zset_length(v);
    if (count + 1 > limits->zset_max_listpack_entries ||
        member.len > limits->zset_max_listpack_value ||
        !listpack_safe_to_add(v->u.listpack, member.len))
        make_skiplist(v, limits, count + 1);
}

bool zset_score(const struct value *v, struct bytes member, double *score)
{
    if (packed(v)) {
        unsigned char *at = find_packed(v, member);
        if (at == NULL) return false;
        *score = packed_score(v->u.listpack, at);
        return true;
    }
    struct zskip_node *node = zskip_find(v->u.zset, member);
    if (node == NULL) return false;
    *score = node->score;
    return true;
}

static enum zset_change set_packed(struct value *v, unsigned char *at, struct bytes member,
                                   double score)
{
    if (packed_score(v->u.listpack, at) == score) return ZSET_SAME;
    v->u.listpack = listpack_delete(v->u.listpack, &at, 2);
    insert_packed(v, member, score);
    return ZSET_UPDATED;
}

enum zset_change zset_set(struct value *v, struct bytes member, double score,
                          const struct value_limits *limits)
{
    if (packed(v)) {
        unsigned char *at = find_packed(v, member);
        if (at != NULL) return set_packed(v, at, member, score);
        make_room(v, member, limits);
        if (packed(v)) {
            insert_packed(v, member, score);
            return ZSET_ADDED;
        }
    }
    struct zskip *z = v->u.zset;
    uint64_t hash = dict_hash(z->dict, member);
    struct zskip_node *node = dict_find_hashed(z->dict, member, hash);
    if (node == NULL) {
        zskip_insert(z, member, hash, score);
        return ZSET_ADDED;
    }
    if (node->score == score) return ZSET_SAME;
    zskip_update(z, node, score);
    return ZSET_UPDATED;
}

bool zset_add(struct value *v, struct bytes member, double score, const struct value_limits *limits)
{
    if (packed(v)) {
        if (find_packed(v, member) != NULL) return false;
        make_room(v, member, limits);
        if (packed(v)) {
            insert_packed(v, member, score);
            return true;
        }
    }
    struct zskip *z = v->u.zset;
    uint64_t hash = dict_hash(z->dict, member);
    if (dict_find_hashed(z->dict, member, hash) != NULL) return false;
    zskip_insert(z, member, hash, score);
    return true;
}

bool zset_remove(struct value *v, struct bytes member)
{
    if (packed(v)) {
        unsigned char *at = find_packed(v, member);
        if (at == NULL) return false;
        v->u.listpack = listpack_delete(v->u.listpack, &at, 2);
        return true;
    }
    struct zskip_node *node = zskip_find(v->u.zset, member);
    if (node == NULL) return false;
    zskip_remove(v->u.zset, node);
    return true;
}

bool zset_rank(const struct value *v, struct bytes member, uint64_t *rank, double *score)
{
    if (packed(v)) {
        const unsigned char *lp = v->u.listpack, *found = find_packed(v, member);
        if (found == NULL) return false;
        *rank = 0;
        for (const unsigned char *at = listpack_first(lp); at != found; ++*rank)
            at = listpack_next(lp, listpack_next(lp, at));
        if (score) *score = packed_score(lp, found);
        return true;
    }
    struct zskip_node *node = zskip_find(v->u.zset, member);
    if (node == NULL) return false;
    *rank = zskip_rank(v->u.zset, node);
    if (score) *score = node->score;
    return true;
}

void zset_reserve(struct value *v, uint64_t members, const struct value_limits *limits)
{
    if (packed(v) && members > limits->zset_max_listpack_entries)
        make_skiplist(v, limits, members);
    else if (!packed(v))
        dict_reserve(v->u.zset->dict, members);
}

uint64_t zset_remove_span(struct value *v, struct zset_span span)
{
    uint64_t before = zset_length(v);
    if (span.first >= before || span.count == 0) return 0;
    if (span.count > before - span.first) span.count = before - span.first;
    if (packed(v))
        v->u.listpack =
            listpack_delete_range(v->u.listpack, (int64_t)span.first * 2, span.count * 2);
    else
        zskip_remove_span(v->u.zset, span.first, span.count);
    return before - zset_length(v);
}

// ---- walking ------------------------------------------------------------------------------------

static struct zset_entry packed_entry(const unsigned char *lp, const unsigned char *at,
                                      char scratch[TEXT_I64_BYTES])
{
    return (struct zset_entry){listpack_text(at, scratch), packed_score(lp, at)};
}

static struct zset_entry node_entry(const struct zskip_node *node)
{
    return (struct zset_entry){zskip_member(node), node->score};
}

void zset_iter_begin(struct zset_iter *it, const struct value *v, struct zset_span span,
                     bool reverse)
{
    uint64_t length = zset_length(v);
    it->v = v;
    it->reverse = reverse;
    it->at = NULL;
    it->left = 0;
    if (span.first >= length || span.count == 0) return;
    it->left = span.count < length - span.first ? span.count : length - span.first;
    uint64_t start = reverse ? span.first + it->left - 1 : span.first;
    if (packed(v))
        it->at = listpack_seek(v->u.listpack, (int64_t)start * 2);
    else
        it->at = zskip_at(v->u.zset, start);
}

static unsigned char *packed_step(const unsigned char *lp, const unsigned char *at, bool reverse)
{
    if (!reverse) return listpack_next(lp, listpack_next(lp, at));
    at = listpack_prev(lp, at);
    return at ? listpack_prev(lp, at) : NULL;
}

bool zset_iter_next(struct zset_iter *it, struct zset_entry *entry)
{
    if (it->left == 0 || it->at == NULL) return false;
    it->left--;
    if (packed(it->v)) {
        const unsigned char *lp = it->v->u.listpack;
        *entry = packed_entry(lp, it->at, it->scratch);
        it->at = packed_step(lp, it->at, it->reverse);
    } else {
        const struct zskip_node *node = it->at;
        *entry = node_entry(node);
        it->at = it->reverse ? node->back : zskip_next(node);
    }
    return true;
}

void zset_iter_end(struct zset_iter *it)
{
    it->at = NULL;
    it->left = 0;
}

struct str *zset_pop(struct value *v, bool highest, double *score)
{
    struct zset_iter it;
    struct zset_entry entry;
    uint64_t length = zset_length(v);
    struct zset_span span = {highest && length ? length - 1 : 0, 1};
    zset_iter_begin(&it, v, span, false);
    if (!zset_iter_next(&it, &entry)) return NULL;
    struct str *member = str_from(entry.member);
    *score = entry.score;
    zset_remove_span(v, span);
    return member;
}

bool zset_random(const struct value *v, struct rng *rng, struct zset_entry *entry,
                 char scratch[TEXT_I64_BYTES])
{
    if (zset_length(v) == 0) return false;
    if (packed(v))
        *entry = packed_entry(v->u.listpack, listpack_random(v->u.listpack, 2, rng), scratch);
    else
        *entry = node_entry(dict_random(v->u.zset->dict, rng));
    return true;
}

struct visitor {
    zset_visit *visit;
    void *arg;
};

static void visit_node(void *arg, void *item)
{
    struct visitor *visitor = arg;
    struct zset_entry entry = node_entry(item);
    visitor->visit(visitor->arg, &entry);
}

uint64_t zset_scan(const struct value *v, uint64_t cursor, zset_visit *visit, void *arg)
{
    if (!packed(v)) {
        struct visitor visitor = {visit, arg};
        return dict_scan(v->u.zset->dict, cursor, visit_node, &visitor);
    }
    char scratch[TEXT_I64_BYTES];
    const unsigned char *lp = v->u.listpack;
    for (unsigned char *at = listpack_first(lp); at; at = packed_step(lp, at, false)) {
        struct zset_entry entry = packed_entry(lp, at, scratch);
        visit(arg, &entry);
    }
    return 0;
}

// ---- listpacks as RDB stores them
// ----------------------------------------------------------------

struct bytes zset_listpack_view(const struct value *v)
{
    return packed(v) ? listpack_view(v->u.listpack) : bytes_of(NULL, 0);
}

// What a listpack of a zset must be, entry by entry.
struct order {
    struct bytes member;
    char scratch[2][TEXT_I64_BYTES]; // of this member and the one before, in turn
    double score;
    struct bytes last_member;
    double last_score;
    uint64_t elements;
    size_t longest;
};

static bool check_order(void *arg, const struct listpack_entry *entry, uint64_t index)
{
    struct order *order = arg;
    if (index % 2 == 0) {
        order->member = listpack_entry_text(*entry, order->scratch[index / 2 % 2]);
        if (order->member.len > order->longest) order->longest = order->member.len;
        return true;
    }
    if (!zset_entry_score(entry, &order->score)) return false;
    if (order->elements > 0) {
        double last = order->last_score;
        if (order->score < last) return false;
        if (order->score == last && bytes_compare(order->last_member, order->member) >= 0)
            return false;
    }
    order->last_member = order->member;
    order->last_score = order->score;
    order->elements++;
    return true;
}

bool zset_from_listpack(struct value *v, struct bytes blob, const struct value_limits *limits,
                        bool deep)
{
    struct order order = {.elements = 0};
    if (!listpack_validate(blob, deep, check_order, &order)) return false;
    unsigned char *lp = listpack_from(blob);
    if (lp == NULL) return false;
    uint64_t count = listpack_count(lp);
    if (count == 0 || count % 2 != 0 || (deep && !listpack_unique(lp, 2, limits->hash_seed))) {
        listpack_free(lp);
        return false;
    }
    char scratch[TEXT_I64_BYTES];
    for (unsigned char *at = listpack_first(lp); !deep && at; at = packed_step(lp, at, false)) {
        size_t len = listpack_text(at, scratch).len;
        if (len > order.longest) order.longest = len;
    }
    v->type = VALUE_ZSET;
    v->encoding = ENCODING_LISTPACK;
    v->u.listpack = lp;
    if (count / 2 > limits->zset_max_listpack_entries ||
        order.longest > limits->zset_max_listpack_value)
        make_skiplist(v, limits, count / 2);
    return true;
}
