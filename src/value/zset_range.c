#include "value/zset.h"

#include "value/listpack.h"
#include "value/zskip.h"

#include <math.h>

// ---- what a range holds
// ---------------------------------------------------------------------------

static bool above_min(const struct zset_score_range *range, double score)
{
    return range->min_open ? score > range->min : score >= range->min;
}

static bool below_max(const struct zset_score_range *range, double score)
{
    return range->max_open ? score < range->max : score <= range->max;
}

static bool lex_above_min(const struct zset_lex_bound *min, struct bytes member)
{
    if (min->kind != ZSET_LEX_AT) return min->kind == ZSET_LEX_BELOW_ALL;
    int order = bytes_compare(member, min->text);
    return min->open ? order > 0 : order >= 0;
}

static bool lex_below_max(const struct zset_lex_bound *max, struct bytes member)
{
    if (max->kind != ZSET_LEX_AT) return max->kind == ZSET_LEX_ABOVE_ALL;
    int order = bytes_compare(member, max->text);
    return max->open ? order < 0 : order <= 0;
}

bool zset_score_range_holds(const struct zset_score_range *range, double score)
{
    return above_min(range, score) && below_max(range, score);
}

bool zset_lex_range_holds(const struct zset_lex_range *range, struct bytes member)
{
    return lex_above_min(&range->min, member) && lex_below_max(&range->max, member);
}

// ---- spans ------------------------------------------------------------------------------------

// An end of a range. Elements that come before the lower end are those below the range; before the
// upper end, those that are not above it.
struct edge {
    const struct zset_score_range *score; // one of the two
    const struct zset_lex_range *lex;
    bool upper;
};

static bool before_edge(const struct edge *edge, double score, struct bytes member)
{
    if (edge->score != NULL)
        return edge->upper ? below_max(edge->score, score) : !above_min(edge->score, score);
    return edge->upper ? lex_below_max(&edge->lex->max, member)
                       : !lex_above_min(&edge->lex->min, member);
}

static bool node_before_edge(const void *bound, const struct zskip_node *node)
{
    return before_edge(bound, node->score, zskip_member(node));
}

static uint64_t count_before(const struct value *v, const struct edge *edge)
{
    if (v->encoding == ENCODING_SKIPLIST)
        return zskip_count_before(v->u.zset, node_before_edge, edge);
    struct zset_iter it;
    struct zset_entry entry;
    uint64_t count = 0;
    zset_iter_begin(&it, v, zset_whole_span(v), false);
    while (zset_iter_next(&it, &entry) && before_edge(edge, entry.score, entry.member))
        count++;
    return count;
}

static struct zset_span span_between(const struct value *v, struct edge edge)
{
    edge.upper = false;
    uint64_t from = count_before(v, &edge);
    edge.upper = true;
    uint64_t to = count_before(v, &edge);
    return (struct zset_span){from, to > from ? to - from : 0};
}

struct zset_span zset_score_span(const struct value *v, const struct zset_score_range *range)
{
    return span_between(v, (struct edge){.score = range});
}

struct zset_span zset_lex_span(const struct value *v, const struct zset_lex_range *range)
{
    return span_between(v, (struct edge){.lex = range});
}

struct zset_span zset_index_span(const struct value *v, int64_t start, int64_t stop, bool reverse)
{
    int64_t length = (int64_t)zset_length(v);
    if (start < 0) start = start < -length ? 0 : start + length;
    if (stop < 0) stop = stop < -length ? -1 : stop + length;
    if (stop >= length) stop = length - 1;
    if (start > stop) return (struct zset_span){0, 0};
    uint64_t count = (uint64_t)(stop - start) + 1;
    return (struct zset_span){(uint64_t)(reverse ? length - 1 - stop : start), count};
}

struct zset_span zset_limit_span(struct zset_span span, int64_t offset, int64_t count, bool reverse)
{
    if (offset < 0 || (uint64_t)offset >= span.count) return (struct zset_span){span.first, 0};
    uint64_t left = span.count - (uint64_t)offset;
    uint64_t keep = count >= 0 && (uint64_t)count < left ? (uint64_t)count : left;
    uint64_t skip = reverse ? left - keep : (uint64_t)offset;
    return (struct zset_span){span.first + skip, keep};
}

// ---- bounds as text -----------------------------------------------------------------------------

static bool parse_score(struct bytes text, double *score, bool *open)
{
    *open = text.len > 0 && text.data[0] == '(';
    if (*open) text = bytes_of(text.data + 1, text.len - 1);
    return text_to_double(text, score) && !isnan(*score);
}

bool zset_score_range_parse(struct zset_score_range *range, struct bytes min, struct bytes max)
{
    return parse_score(min, &range->min, &range->min_open) &&
           parse_score(max, &range->max, &range->max_open);
}

static bool parse_lex(struct bytes text, struct zset_lex_bound *bound)
{
    *bound = (struct zset_lex_bound){ZSET_LEX_AT, false, text};
    if (text.len == 0) return false;
    switch (text.data[0]) {
    case '-':
        bound->kind = ZSET_LEX_BELOW_ALL;
        return text.len == 1;
    case '+':
        bound->kind = ZSET_LEX_ABOVE_ALL;
        return text.len == 1;
    case '(':
    case '[':
        bound->open = text.data[0] == '(';
        bound->text = bytes_of(text.data + 1, text.len - 1);
        return true;
    default:
        return false;
    }
}

bool zset_lex_range_parse(struct zset_lex_range *range, struct bytes min, struct bytes max)
{
    return parse_lex(min, &range->min) && parse_lex(max, &range->max);
}
