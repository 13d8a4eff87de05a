// Hashes and sorted sets: pair by pair, or packed (listpack, ziplist, zipmap).
//
// A pack that stays compact is checked in slices and then copied whole. One that has become too
// large for the limits is walked twice in slices: to check it and to add its pairs to a table.
#include "rdb/value_decoder.h"
#include "value/hash.h"
#include "value/zset.h"

enum { PAIRS_COUNT, PAIRS_FIRST, PAIRS_SECOND, PAIRS_SCORE_TEXT };
enum { PACK_BLOB, PACK_SURVEY, PACK_FIRST, PACK_SECOND };
enum { SCORE_NAN = 253, SCORE_INF = 254, SCORE_MINUS_INF = 255 }; // as the length of a text

// ---- what differs between the two -----------------------------------------------------------

struct pair_limits {
    size_t pairs, bytes;
    bool second_counts; // the second of a pair has to keep to `bytes` too
};

static struct pair_limits limits_of(const struct value_decoder *d, bool zset)
{
    const struct value_limits *l = d->options.limits;
    return zset ? (struct pair_limits){l->zset_max_listpack_entries, l->zset_max_listpack_value,
                                       false}
                : (struct pair_limits){l->hash_max_listpack_entries, l->hash_max_listpack_value,
                                       true};
}

static void begin(struct value_decoder *d, bool zset, uint64_t announced)
{
    uint64_t expect = decode_expect(announced, limits_of(d, zset).pairs);
    if (zset) {
        zset_init(&d->value);
        zset_reserve(&d->value, expect, d->options.limits);
    } else {
        hash_init(&d->value);
        hash_reserve(&d->value, expect, d->options.limits);
    }
    value_expect(&d->value, announced);
    d->has_value = true;
}

static enum rdb_progress add_field(struct value_decoder *d, struct rdb_reader *r,
                                   struct bytes field, struct bytes value)
{
    struct bytes twice = field;
    if (!hash_is_table(&d->value)) {
        bool added = hash_add(&d->value, field, value, d->options.limits);
        return added ? RDB_DONE : decode_twice(r, "hash field", field);
    }
    if (hash_batch_add(&d->value, &d->batch, field, value, &twice)) return RDB_DONE;
    return decode_twice(r, "hash field", twice);
}

static enum rdb_progress end_hash(struct value_decoder *d, struct rdb_reader *r)
{
    struct bytes twice;
    bool added = !hash_is_table(&d->value) || hash_batch_flush(&d->value, &d->batch, &twice);
    return added ? RDB_DONE : decode_twice(r, "hash field", twice);
}

static enum rdb_progress add_member(struct value_decoder *d, struct rdb_reader *r,
                                    struct bytes member, double score)
{
    if (score != score) return rdb_reader_refuse(r, ERROR_CORRUPT, "a score that is no number");
    if (!zset_add(&d->value, member, score, d->options.limits))
        return decode_twice(r, "zset member", member);
    return RDB_DONE;
}

// The scores of a zset decide its order, so they are always looked at.
static bool from_listpack(struct value_decoder *d, bool zset, struct bytes blob)
{
    if (zset) return zset_from_listpack(&d->value, blob, d->options.limits, true);
    // What comes in another layout is written anew, so that a look at the fields costs little.
    bool deep = d->options.sanitize || d->type != RDB_HASH_LISTPACK;
    return hash_from_listpack(&d->value, blob, d->options.limits, deep);
}

// ---- pair by pair -----------------------------------------------------------------------------

static enum rdb_progress read_count(struct value_decoder *d, struct rdb_reader *r, bool zset)
{
    RDB_TRY(rdb_reader_length(r, &d->left));
    begin(d, zset, d->left);
    d->step = PAIRS_FIRST;
    return RDB_DONE;
}

static enum rdb_progress read_first(struct value_decoder *d, struct rdb_reader *r)
{
    struct bytes text;
    r->layout = READER_AS_STR;
    RDB_TRY(rdb_reader_string(r, &text));
    kept_set(&d->first, r, text);
    d->step = PAIRS_SECOND;
    return RDB_DONE;
}

enum rdb_progress decode_hash(struct value_decoder *d, struct rdb_reader *r)
{
    if (d->step == PAIRS_COUNT) RDB_TRY(read_count(d, r, false));
    while (d->left > 0) {
        if (d->step == PAIRS_FIRST) RDB_TRY(read_first(d, r));
        struct bytes value, field;
        RDB_TRY(rdb_reader_string(r, &value));
        field = kept_view(&d->first);
        RDB_TRY(add_field(d, r, field, value));
        d->step = PAIRS_FIRST;
        d->left--;
        if (!rdb_reader_work(r, 2 + decode_cost(field.len + value.len)) && d->left > 0)
            return RDB_BUDGET;
    }
    return end_hash(d, r);
}

// A score as Redis before RDB version 8 wrote it: a length and a text, or one byte alone.
static enum rdb_progress read_score_text(struct value_decoder *d, struct rdb_reader *r,
                                         double *score)
{
    if (d->step == PAIRS_SECOND) {
        RDB_TRY(rdb_reader_u8(r, &d->score_bytes));
        d->step = PAIRS_SCORE_TEXT;
    }
    switch (d->score_bytes) {
    case SCORE_NAN:
        *score = __builtin_nan("");
        return RDB_DONE;
    case SCORE_INF:
        *score = __builtin_inf();
        return RDB_DONE;
    case SCORE_MINUS_INF:
        *score = -__builtin_inf();
        return RDB_DONE;
    }
    const unsigned char *text;
    RDB_TRY(rdb_reader_fixed(r, d->score_bytes, &text));
    if (!text_to_double(bytes_of(text, d->score_bytes), score))
        return rdb_reader_refuse(r, ERROR_CORRUPT, "a score that is no number");
    return RDB_DONE;
}

enum rdb_progress decode_zset(struct value_decoder *d, struct rdb_reader *r)
{
    if (d->step == PAIRS_COUNT) RDB_TRY(read_count(d, r, true));
    while (d->left > 0) {
        if (d->step == PAIRS_FIRST) RDB_TRY(read_first(d, r));
        double score;
        if (d->type == RDB_ZSET_2)
            RDB_TRY(rdb_reader_double(r, &score));
        else
            RDB_TRY(read_score_text(d, r, &score));
        struct bytes member = kept_view(&d->first);
        RDB_TRY(add_member(d, r, member, score));
        d->step = PAIRS_FIRST;
        d->left--;
        if (!rdb_reader_work(r, 4 + decode_cost(member.len)) && d->left > 0) return RDB_BUDGET;
    }
    return RDB_DONE;
}

// ---- packs ------------------------------------------------------------------------------------

static enum pack_kind kind_of(enum rdb_type type)
{
    switch (type) {
    case RDB_HASH_ZIPMAP:
        return PACK_ZIPMAP;
    case RDB_HASH_ZIPLIST:
    case RDB_ZSET_ZIPLIST:
        return PACK_ZIPLIST;
    default:
        return PACK_LISTPACK;
    }
}

// One entry seen. A ziplist or zipmap becomes a listpack for as long as one may hold it.
static void survey_entry(struct value_decoder *d, const struct pair_limits *limits,
                         struct listpack_entry entry, struct bytes text)
{
    bool second = d->pack_entries++ % 2 == 1;
    if (d->pack_entries / 2 > limits->pairs) d->pack_fits = false;
    if (text.len > limits->bytes && (!second || limits->second_counts)) d->pack_fits = false;
    if (d->pack.kind == PACK_LISTPACK) return;
    if (!d->pack_fits) {
        listpack_free(d->pack_copy);
        d->pack_copy = NULL;
        return;
    }
    if (d->pack_copy == NULL) d->pack_copy = listpack_new(kept_view(&d->first).len);
    d->pack_copy = entry.text.data == NULL ? listpack_append_number(d->pack_copy, entry.number)
                                           : listpack_append(d->pack_copy, entry.text);
}

// Checks all of it. Afterwards it is in place, or the walk that adds pair by pair can begin.
static enum rdb_progress survey(struct value_decoder *d, struct rdb_reader *r, bool zset)
{
    struct pair_limits limits = limits_of(d, zset);
    enum pack_kind kind = d->pack.kind;
    for (;;) {
        struct listpack_entry entry;
        enum pack_next next = pack_next(&d->pack, &entry);
        if (next == PACK_CORRUPT) return decode_pack_corrupt(d, r, kind);
        if (next == PACK_END) break;
        struct bytes text = listpack_entry_text(entry, d->scratch[0]);
        survey_entry(d, &limits, entry, text);
        if (!rdb_reader_work(r, decode_cost(text.len))) return RDB_BUDGET;
    }
    // Redis never wrote an empty zipmap: it takes one for damage, not for an empty key.
    bool damaged = d->pack_entries % 2 != 0 || (kind == PACK_ZIPMAP && d->pack_entries == 0);
    if (damaged) return decode_pack_corrupt(d, r, kind);
    struct bytes blob = kept_view(&d->first);
    if (d->pack_entries == 0 || !d->pack_fits) {
        begin(d, zset, d->pack_entries / 2);
        if (!pack_begin(&d->pack, kind, blob)) return decode_pack_corrupt(d, r, kind);
        d->step = PACK_FIRST;
        return RDB_DONE;
    }
    if (d->pack_copy != NULL) blob = listpack_view(d->pack_copy);
    if (!from_listpack(d, zset, blob))
        return rdb_reader_refuse(
            r, ERROR_CORRUPT, "%s integrity check failed: %s", zset ? "Zset block" : "Hash block",
            zset ? "a member comes twice or scores are not in order" : "a hash field comes twice");
    d->has_value = true;
    d->left = 0;
    d->step = PACK_FIRST;
    return RDB_DONE;
}

static enum rdb_progress add_pair(struct value_decoder *d, struct rdb_reader *r, bool zset,
                                  struct listpack_entry second)
{
    struct bytes name = listpack_entry_text(d->entry, d->scratch[0]);
    if (!zset) {
        struct bytes value = listpack_entry_text(second, d->scratch[1]);
        if (hash_add(&d->value, name, value, d->options.limits)) return RDB_DONE;
        return decode_twice(r,
                            d->type == RDB_HASH_LISTPACK ? "Hash listpack with dup elements: field"
                                                         : "Hash integrity check failed: field",
                            name);
    }
    double score;
    if (!zset_entry_score(&second, &score))
        return rdb_reader_refuse(r, ERROR_CORRUPT, "a score that is no number");
    return add_member(d, r, name, score);
}

static enum rdb_progress add_pairs(struct value_decoder *d, struct rdb_reader *r, bool zset)
{
    for (;;) {
        struct listpack_entry entry;
        enum pack_next next = pack_next(&d->pack, &entry);
        if (next == PACK_CORRUPT) return decode_pack_corrupt(d, r, d->pack.kind);
        if (next == PACK_END) return zset ? RDB_DONE : end_hash(d, r);
        if (d->step == PACK_FIRST) {
            d->entry = entry;
            d->step = PACK_SECOND;
            continue;
        }
        RDB_TRY(add_pair(d, r, zset, entry));
        d->step = PACK_FIRST;
        if (!rdb_reader_work(r, 2 + decode_cost(d->entry.text.len + entry.text.len)))
            return RDB_BUDGET;
    }
}

// The common case, a short listpack that stays one, without keeping a copy in between. Anything
// else about it goes the long way.
static bool whole_listpack(struct value_decoder *d, bool zset, struct bytes blob)
{
    if (blob.len > PACK_WHOLE_BYTES || kind_of(d->type) != PACK_LISTPACK) return false;
    if (!zset && !d->options.sanitize && !listpack_validate(blob, true, NULL, NULL)) return false;
    d->has_value = from_listpack(d, zset, blob);
    return d->has_value;
}

static enum rdb_progress decode_pack(struct value_decoder *d, struct rdb_reader *r, bool zset)
{
    if (d->step == PACK_BLOB) {
        struct bytes blob;
        r->layout = READER_AS_STR;
        RDB_TRY(rdb_reader_string(r, &blob));
        if (whole_listpack(d, zset, blob)) {
            rdb_reader_work(r, 2 + (uint32_t)blob.len / 8);
            return RDB_DONE;
        }
        kept_set(&d->first, r, blob);
        enum pack_kind kind = kind_of(d->type);
        if (!pack_begin(&d->pack, kind, kept_view(&d->first)))
            return decode_pack_corrupt(d, r, kind);
        d->pack_fits = true;
        d->step = PACK_SURVEY;
    }
    if (d->step == PACK_SURVEY) {
        RDB_TRY(survey(d, r, zset));
        if (d->pack_fits && d->pack_entries > 0) return RDB_DONE;
    }
    return add_pairs(d, r, zset);
}

enum rdb_progress decode_hash_pack(struct value_decoder *d, struct rdb_reader *r)
{
    return decode_pack(d, r, false);
}

enum rdb_progress decode_zset_pack(struct value_decoder *d, struct rdb_reader *r)
{
    return decode_pack(d, r, true);
}
