// LCS: the longest common subsequence of two strings, by the table of Wagner and Fischer. It takes
// time and memory in proportion to the product of the lengths, in one go, as Redis's does.
#include "base/mem.h"
#include "base/text.h"
#include "command/table.h"
#include "node/node.h"
#include "value/string.h"

struct lcs {
    struct bytes a, b;
    uint32_t *table; // (a.len + 1) rows of (b.len + 1)
};

struct lcs_options {
    bool length, matches, match_lengths;
    int64_t min_match;
};

static uint32_t *cell(const struct lcs *l, size_t i, size_t j)
{
    return &l->table[i * (l->b.len + 1) + j];
}

static bool parse(struct ctx *c, struct lcs_options *options)
{
    *options = (struct lcs_options){0};
    for (int i = 3; i < c->argc; i++) {
        if (ctx_is(c, i, "idx")) {
            options->matches = true;
        } else if (ctx_is(c, i, "len")) {
            options->length = true;
        } else if (ctx_is(c, i, "withmatchlen")) {
            options->match_lengths = true;
        } else if (ctx_is(c, i, "minmatchlen") && i + 1 < c->argc) {
            if (!ctx_int(c, ++i, &options->min_match)) return false;
            if (options->min_match < 0) options->min_match = 0;
        } else {
            ctx_syntax_error(c);
            return false;
        }
    }
    if (!options->length || !options->matches) return true;
    reply_error(c->reply, "If you want both the length and indexes, please just use IDX.");
    return false;
}

// NULL, or why there is no table: it takes as much as a bulk may, since a system that promises more
// memory than it has would end us while it is filled (proto-max-bulk-len, as in Redis 7.0).
static const char *fill(struct lcs *l, uint64_t most_bytes)
{
    size_t cells, bytes;
    if (__builtin_mul_overflow(l->a.len + 1, l->b.len + 1, &cells) ||
        __builtin_mul_overflow(cells, sizeof(*l->table), &bytes) || bytes > most_bytes)
        return "Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len";
    l->table = mem_try(bytes);
    if (l->table == NULL) return "Insufficient memory, failed allocating transient memory for LCS";
    for (size_t i = 0; i <= l->a.len; i++) {
        for (size_t j = 0; j <= l->b.len; j++) {
            if (i == 0 || j == 0) {
                *cell(l, i, j) = 0;
            } else if (l->a.data[i - 1] == l->b.data[j - 1]) {
                *cell(l, i, j) = *cell(l, i - 1, j - 1) + 1;
            } else {
                uint32_t up = *cell(l, i - 1, j), left = *cell(l, i, j - 1);
                *cell(l, i, j) = up > left ? up : left;
            }
        }
    }
    return NULL;
}

// A run of bytes that both strings share: the `len` bytes before a_end and b_end.
struct run {
    size_t a_end, b_end, len;
};

static void reply_run(struct ctx *c, const struct run *run, const struct lcs_options *options)
{
    reply_array(c->reply, options->match_lengths ? 3 : 2);
    reply_array(c->reply, 2);
    reply_integer(c->reply, (int64_t)(run->a_end - run->len));
    reply_integer(c->reply, (int64_t)run->a_end - 1);
    reply_array(c->reply, 2);
    reply_integer(c->reply, (int64_t)(run->b_end - run->len));
    reply_integer(c->reply, (int64_t)run->b_end - 1);
    if (options->match_lengths) reply_integer(c->reply, (int64_t)run->len);
}

// The next run from (*i, *j) back towards the beginnings; false: there is none.
static bool next_run(const struct lcs *l, size_t *i, size_t *j, struct run *run)
{
    run->len = 0;
    while (*i > 0 && *j > 0) {
        if (l->a.data[*i - 1] == l->b.data[*j - 1]) {
            if (run->len == 0) *run = (struct run){*i, *j, 0};
            run->len++;
            (*i)--;
            (*j)--;
            continue;
        }
        if (run->len > 0) return true;
        if (*cell(l, *i - 1, *j) > *cell(l, *i, *j - 1))
            (*i)--;
        else
            (*j)--;
    }
    return run->len > 0;
}

static void reply_matches(struct ctx *c, const struct lcs *l, const struct lcs_options *options)
{
    struct reply_deferred d;
    struct run run;
    size_t i = l->a.len, j = l->b.len, count = 0;
    reply_map(c->reply, 2);
    reply_bulk_cstr(c->reply, "matches");
    reply_begin(c->reply, &d);
    while (next_run(l, &i, &j, &run)) {
        if (run.len < (uint64_t)options->min_match) continue;
        reply_run(c, &run, options);
        count++;
    }
    reply_end_array(c->reply, &d, count);
    reply_bulk_cstr(c->reply, "len");
    reply_integer(c->reply, *cell(l, l->a.len, l->b.len));
}

static void reply_subsequence(struct ctx *c, const struct lcs *l)
{
    size_t left = *cell(l, l->a.len, l->b.len), i = l->a.len, j = l->b.len;
    struct str *text = str_new(NULL, left);
    struct run run;
    while (next_run(l, &i, &j, &run)) {
        left -= run.len;
        memcpy(text->data + left, l->a.data + run.a_end - run.len, run.len);
    }
    reply_bulk(c->reply, str_view(text));
    str_free(text);
}

static void lcs(struct ctx *c)
{
    struct lcs l = {0};
    struct lcs_options options;
    char scratch[2][TEXT_I64_BYTES];
    struct entry *a = ctx_find_read(c, ctx_arg(c, 1)), *b = ctx_find_read(c, ctx_arg(c, 2));
    // Finding the second may have deleted an expired entry, never one that was found alive.
    if ((a && a->value.type != VALUE_STRING) || (b && b->value.type != VALUE_STRING)) {
        reply_error(c->reply, "The specified keys must contain string values");
        return;
    }
    l.a = a ? string_view(&a->value, scratch[0]) : BYTES("");
    l.b = b ? string_view(&b->value, scratch[1]) : BYTES("");
    if (!parse(c, &options)) return;
    if (l.a.len >= UINT32_MAX - 1 || l.b.len >= UINT32_MAX - 1) {
        reply_error(c->reply, "String too long for LCS");
        return;
    }
    const char *why = fill(&l, (uint64_t)c->node->config.request_limits.bulk_bytes);
    if (why != NULL) {
        reply_error(c->reply, why);
        return;
    }
    if (options.matches)
        reply_matches(c, &l, &options);
    else if (options.length)
        reply_integer(c->reply, *cell(&l, l.a.len, l.b.len));
    else
        reply_subsequence(c, &l);
    mem_free(l.table);
}

const struct command commands_lcs[] = {
    {"lcs", lcs, -3, CMD_READONLY, .keys = {{1, 2, 1, KEY_READ}}, .acl = "@string"},
    {0},
};
