// Sorted sets: a listpack of member, score, member, score in ascending order; or a skip list when
// there are more than zset_max_listpack_entries or a member is longer than zset_max_listpack_value.
// Never back. Order: by score, then by the member's bytes.
//
// Ranges are spans of ranks: zset_score_span and zset_lex_span turn bounds into one (O(log n) in a
// skip list), and counting, walking either way, LIMIT and deletion all go by span.
//
// Views that come out are valid until the next write; an integer held in a listpack is written into
// the caller's scratch. `v` is a zset throughout; what
// is passed to be stored must not point into it; scores are never NaN.
#ifndef WHERRY_VALUE_ZSET_H
#define WHERRY_VALUE_ZSET_H

#include "base/rng.h"
#include "base/text.h"
#include "value/dict.h"
#include "value/value.h"

void zset_init(struct value *v); // empty
uint64_t zset_length(const struct value *v);

bool zset_score(const struct value *v, struct bytes member, double *score);
enum zset_change { ZSET_SAME, ZSET_ADDED, ZSET_UPDATED };
enum zset_change zset_set(struct value *v, struct bytes member, double score,
                          const struct value_limits *limits);
bool zset_remove(struct value *v, struct bytes member); // false when it was not there
// 0 for the lowest. False when it is not there. `score` may be NULL.
bool zset_rank(const struct value *v, struct bytes member, uint64_t *rank, double *score);

// For builders: false, and nothing changed, when the member is there already. Elements in ascending
// or descending order are added fastest.
bool zset_add(struct value *v, struct bytes member, double score, const struct value_limits *limits)
    __attribute__((warn_unused_result));
// A zset that will hold `members` of them; the count need not be trusted. Call on an empty one.
void zset_reserve(struct value *v, uint64_t members, const struct value_limits *limits);

// ---- spans ------------------------------------------------------------------------------------

struct zset_span {
    uint64_t first, count; // ranks first .. first + count - 1, from the lowest
};
struct zset_score_range {
    double min, max;
    bool min_open, max_open; // the bound itself is outside
};
enum zset_lex_kind { ZSET_LEX_BELOW_ALL, ZSET_LEX_ABOVE_ALL, ZSET_LEX_AT };
struct zset_lex_bound {
    enum zset_lex_kind kind; // "-", "+", or a string
    bool open;
    struct bytes text;
};
struct zset_lex_range {
    struct zset_lex_bound min, max;
};
// "1.5", "(1.5", "-inf", "+inf"; and "-", "+", "[text", "(text". False when malformed. The lex
// bounds are views into min and max.
bool zset_score_range_parse(struct zset_score_range *range, struct bytes min, struct bytes max)
    __attribute__((warn_unused_result));
bool zset_lex_range_parse(struct zset_lex_range *range, struct bytes min, struct bytes max)
    __attribute__((warn_unused_result));
bool zset_lex_range_holds(const struct zset_lex_range *range, struct bytes member);
bool zset_score_range_holds(const struct zset_score_range *range, double score);

// Count 0 where nothing is inside. A lex span makes sense when all scores are equal.
struct zset_span zset_score_span(const struct value *v, const struct zset_score_range *range);
struct zset_span zset_lex_span(const struct value *v, const struct zset_lex_range *range);
static inline struct zset_span zset_whole_span(const struct value *v)
{
    return (struct zset_span){0, zset_length(v)};
}
// ZRANGE's start and stop, negative ones from the end, cut to what is there. `reverse` counts ranks
// from the highest; the span is still from the lowest, to be walked backwards.
struct zset_span zset_index_span(const struct value *v, int64_t start, int64_t stop, bool reverse);
// LIMIT: leaves out `offset` elements where the walk starts (the high end with `reverse`), keeps at
// most `count` (negative: all). A negative offset leaves nothing.
struct zset_span zset_limit_span(struct zset_span span, int64_t offset, int64_t count,
                                 bool reverse);
uint64_t zset_remove_span(struct value *v, struct zset_span span); // returns how many there were

// ---- walking ----------------------------------------------------------------------------------

struct zset_entry {
    struct bytes member;
    double score;
};
// The elements of a span in rank order, or backwards; stopping anywhere. Valid while nobody writes.
// O(log n) to begin. The views that next gives are valid until the following next.
// (RDB writes the whole span of a skip list backwards, from the highest score.)
struct zset_iter {
    const struct value *v;
    void *at; // entry of the listpack, or node
    uint64_t left;
    bool reverse;
    char scratch[TEXT_I64_BYTES];
};
void zset_iter_begin(struct zset_iter *it, const struct value *v, struct zset_span span,
                     bool reverse);
bool zset_iter_next(struct zset_iter *it, struct zset_entry *entry);
void zset_iter_end(struct zset_iter *it);

// Removes the lowest or highest element. The member is the caller's to free; NULL when empty.
struct str *zset_pop(struct value *v, bool highest, double *score);
// One element, each as likely; false when the zset is empty.
bool zset_random(const struct value *v, struct rng *rng, struct zset_entry *entry,
                 char scratch[TEXT_I64_BYTES]);
// SCAN: see dict_scan. A listpack is visited whole, and 0 returned.
typedef void zset_visit(void *arg, const struct zset_entry *entry);
uint64_t zset_scan(const struct value *v, uint64_t cursor, zset_visit *visit, void *arg);

// ---- listpacks as RDB stores them --------------------------------------------------------------

// The block when so encoded; data NULL otherwise.
struct bytes zset_listpack_view(const struct value *v);
// Makes a zset of a copy of `blob`, in the encoding that the limits demand. `deep` checks every
// entry, that scores are numbers in order, and that no member comes twice; without it the bytes
// must be trusted. False, and `v` untouched, when it is not a listpack of pairs or is empty. In one
// go, linear in the size: read large blobs with listpack_reader and zset_add.
bool zset_from_listpack(struct value *v, struct bytes blob, const struct value_limits *limits,
                        bool deep) __attribute__((warn_unused_result));
// The score that an entry of a listpack or ziplist holds; false when it is no number, or NaN.
struct listpack_entry;
bool zset_entry_score(const struct listpack_entry *entry, double *score)
    __attribute__((warn_unused_result));

#endif
