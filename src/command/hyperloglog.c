// PFADD, PFCOUNT, PFMERGE, and PFDEBUG and PFSELFTEST for testing.
#include "base/mem.h"
#include "base/text.h"
#include "command/hll.h"
#include "command/table.h"
#include "node/node.h"
#include "node/notify.h"
#include "value/string.h"

static size_t sparse_max(struct ctx *c)
{
    return (size_t)c->node->config.hll_sparse_max_bytes;
}

static void reply_corrupt(struct ctx *c)
{
    reply_error(c->reply, "-INVALIDOBJ Corrupted HLL object detected");
}

// The bytes, when the entry holds a HyperLogLog; else the error is replied.
static bool view_hll(struct ctx *c, const struct entry *e, struct bytes *view)
{
    char scratch[TEXT_I64_BYTES];
    if (e->value.type != VALUE_STRING) {
        ctx_wrong_type(c);
        return false;
    }
    *view = string_view(&e->value, scratch);
    if (hll_is(*view)) return true;
    reply_error(c->reply, "-WRONGTYPE Key is not a valid HyperLogLog string value.");
    return false;
}

// Puts the string under the key, which is the entry's where there is one. Takes it over.
static void put_hll(struct ctx *c, struct bytes key, struct entry *e, struct str *hll)
{
    struct value value;
    size_t len = hll->len;
    string_take(&value, hll);
    string_writable(&value, len); // "raw", as a string that is changed in place is
    if (e != NULL)
        db_replace_value(ctx_store(c), ctx_db(c), e, &value);
    else
        ctx_add(c, key, &value);
}

// ---- PFADD --------------------------------------------------------------------------------------

static uint64_t add_to_dense(struct ctx *c, struct entry *e)
{
    char *hll = string_writable(&e->value, HLL_DENSE_BYTES);
    uint64_t raised = 0;
    for (int i = 2; i < c->argc; i++) {
        uint8_t count;
        uint32_t index = hll_place(ctx_arg(c, i), &count);
        raised += hll_raise_dense(hll, index, count);
    }
    return raised;
}

// False: corrupt, and nothing was changed.
static bool add_to_copy(struct ctx *c, struct str **hll, uint64_t *raised)
{
    for (int i = 2; i < c->argc; i++) {
        uint8_t count;
        uint32_t index = hll_place(ctx_arg(c, i), &count);
        enum hll_change change = hll_raise(hll, index, count, sparse_max(c));
        if (change == HLL_CORRUPT) return false;
        *raised += change == HLL_RAISED;
    }
    return true;
}

static void pfadd(struct ctx *c)
{
    struct bytes key = ctx_arg(c, 1), view = {0};
    struct entry *e = ctx_find_write(c, key);
    if (e != NULL && !view_hll(c, e, &view)) return;
    uint64_t raised = e == NULL;
    if (e != NULL && hll_is_dense(view)) {
        raised += add_to_dense(c, e);
    } else {
        struct str *hll = e ? str_from(view) : hll_new();
        if (!add_to_copy(c, &hll, &raised)) {
            str_free(hll);
            reply_corrupt(c);
            return;
        }
        if (e == NULL) hll_uncache(hll->data);
        if (raised > 0)
            put_hll(c, key, e, hll);
        else
            str_free(hll);
    }
    if (raised > 0) {
        ctx_changed(c, key, raised);
        ctx_notify(c, NOTIFY_STRING, "pfadd", key);
    }
    reply_integer(c->reply, raised > 0);
}

// ---- PFCOUNT ------------------------------------------------------------------------------------

static void count_union(struct ctx *c)
{
    uint8_t registers[HLL_REGISTERS] = {0};
    for (int i = 1; i < c->argc; i++) {
        struct entry *e = ctx_find_read(c, ctx_arg(c, i));
        struct bytes view;
        if (e == NULL) continue;
        if (!view_hll(c, e, &view)) return;
        if (!hll_merge(registers, view)) {
            reply_corrupt(c);
            return;
        }
    }
    reply_integer(c->reply, (int64_t)hll_estimate(registers));
}

static void pfcount(struct ctx *c)
{
    if (c->argc > 2) {
        count_union(c);
        return;
    }
    struct bytes key = ctx_arg(c, 1), view;
    struct entry *e = ctx_find_read(c, key);
    uint64_t cardinality;
    if (e == NULL) {
        reply_integer(c->reply, 0);
        return;
    }
    if (!view_hll(c, e, &view)) return;
    if (!hll_cached(view, &cardinality)) {
        uint8_t registers[HLL_REGISTERS] = {0};
        if (!hll_merge(registers, view)) {
            reply_corrupt(c);
            return;
        }
        cardinality = hll_estimate(registers);
        // The cache is part of the string, so replicas are told too. It may not be touched while
        // somebody reads the value over many slices; then it stays out of date.
        if (store_before_write(ctx_store(c), c->db, key, NULL) == WRITE_NOW) {
            hll_cache(string_writable(&e->value, view.len), cardinality);
            ctx_changed(c, key, 1);
        }
    }
    reply_integer(c->reply, (int64_t)cardinality);
}

// ---- PFMERGE ------------------------------------------------------------------------------------

// Raises all registers of the target. False: it is corrupt.
static bool raise_all(struct ctx *c, struct str **hll, const uint8_t registers[HLL_REGISTERS])
{
    for (uint32_t i = 0; i < HLL_REGISTERS; i++)
        if (registers[i] > 0 && hll_raise(hll, i, registers[i], sparse_max(c)) == HLL_CORRUPT)
            return false;
    hll_uncache((*hll)->data);
    return true;
}

static void pfmerge(struct ctx *c)
{
    struct bytes key = ctx_arg(c, 1), view = {0};
    uint8_t registers[HLL_REGISTERS] = {0};
    bool dense = false;
    for (int i = 1; i < c->argc; i++) {
        struct entry *e = ctx_find_read(c, ctx_arg(c, i));
        if (e == NULL) continue;
        if (!view_hll(c, e, &view)) return;
        dense |= hll_is_dense(view);
        if (!hll_merge(registers, view)) {
            reply_corrupt(c);
            return;
        }
    }
    struct entry *e = ctx_find_write(c, key);
    char scratch[TEXT_I64_BYTES];
    struct str *hll = e ? str_from(string_view(&e->value, scratch)) : hll_new();
    if ((dense && !hll_make_dense(&hll)) || !raise_all(c, &hll, registers)) {
        str_free(hll);
        reply_corrupt(c);
        return;
    }
    put_hll(c, key, e, hll);
    ctx_changed(c, key, 1);
    // Its event has the name of PFADD's.
    ctx_notify(c, NOTIFY_STRING, "pfadd", key);
    reply_ok(c->reply);
}

// ---- for testing --------------------------------------------------------------------------------

static bool make_dense(struct ctx *c, struct entry *e, struct bytes view)
{
    struct str *hll = str_from(view);
    if (!hll_make_dense(&hll)) {
        str_free(hll);
        reply_corrupt(c);
        return false;
    }
    put_hll(c, ctx_arg(c, 2), e, hll);
    ctx_changed(c, ctx_arg(c, 2), 1);
    return true;
}

static void debug_registers(struct ctx *c, struct entry *e, struct bytes view)
{
    uint8_t registers[HLL_REGISTERS] = {0};
    if (!hll_merge(registers, view)) {
        reply_corrupt(c);
        return;
    }
    if (!hll_is_dense(view) && !make_dense(c, e, view)) return;
    reply_array(c->reply, HLL_REGISTERS);
    for (int i = 0; i < HLL_REGISTERS; i++)
        reply_integer(c->reply, registers[i]);
}

static void pfdebug(struct ctx *c)
{
    struct entry *e = ctx_find_write(c, ctx_arg(c, 2));
    struct bytes view;
    if (e == NULL) {
        reply_error(c->reply, "The specified key does not exist");
        return;
    }
    if (!view_hll(c, e, &view)) return;
    bool dense = hll_is_dense(view);
    if (ctx_is(c, 1, "getreg")) {
        debug_registers(c, e, view);
    } else if (ctx_is(c, 1, "decode") && dense) {
        reply_error(c->reply, "HLL encoding is not sparse");
    } else if (ctx_is(c, 1, "decode")) {
        struct buf text = BUF_EMPTY;
        hll_describe(view, &text);
        reply_bulk(c->reply, buf_view(&text));
        buf_free(&text);
    } else if (ctx_is(c, 1, "encoding")) {
        reply_status(c->reply, dense ? "dense" : "sparse");
    } else if (ctx_is(c, 1, "todense")) {
        if (dense || make_dense(c, e, view)) reply_integer(c->reply, !dense);
    } else {
        reply_errorf(c->reply, "Unknown PFDEBUG subcommand '%s'", c->argv[1]->data);
    }
}

// The same elements through both encodings give the same registers, and about the right count.
static const char *self_test(struct str **sparse, struct str **dense)
{
    enum { ELEMENTS = 100000, SPARSE_ELEMENTS = 5000 };
    uint8_t from_sparse[HLL_REGISTERS] = {0}, from_dense[HLL_REGISTERS] = {0};
    char text[TEXT_I64_BYTES];
    for (int i = 1; i <= ELEMENTS; i++) {
        uint8_t count;
        uint32_t index = hll_place(bytes_of(text, text_from_i64(text, i)), &count);
        bool raised = hll_raise_dense((*dense)->data, index, count);
        if (i > SPARSE_ELEMENTS) continue;
        if (hll_raise(sparse, index, count, SIZE_MAX) != (raised ? HLL_RAISED : HLL_SAME))
            return "-TESTFAILED sparse and dense disagree on what changes";
        if (i < SPARSE_ELEMENTS) continue;
        if (!hll_merge(from_sparse, str_view(*sparse)) ||
            !hll_merge(from_dense, str_view(*dense)) ||
            memcmp(from_sparse, from_dense, HLL_REGISTERS) != 0)
            return "-TESTFAILED sparse and dense registers differ";
    }
    hll_merge(from_dense, str_view(*dense));
    double estimate = (double)hll_estimate(from_dense), off = estimate / ELEMENTS - 1;
    // Three standard errors of 1.04 / sqrt(registers).
    return off > 0.025 || off < -0.025 ? "-TESTFAILED the estimate is too far off" : NULL;
}

static void pfselftest(struct ctx *c)
{
    struct str *sparse = hll_new(), *dense = hll_new();
    hll_make_dense(&dense);
    const char *failure = self_test(&sparse, &dense);
    str_free(sparse);
    str_free(dense);
    if (failure != NULL)
        reply_error(c->reply, failure);
    else
        reply_ok(c->reply);
}

const struct command commands_hyperloglog[] = {
    {"pfadd", pfadd, -2, CMD_WRITE | CMD_DENYOOM | CMD_FAST, .keys = {{1, 1, 1, KEY_WRITE}},
     .acl = "@hyperloglog"},
    {"pfcount", pfcount, -2, CMD_READONLY | CMD_MAY_REPLICATE, .keys = {{1, -1, 1, KEY_READ}},
     .acl = "@hyperloglog"},
    {"pfmerge", pfmerge, -2, CMD_WRITE | CMD_DENYOOM,
     .keys = {{1, 1, 1, KEY_READ_WRITE}, {2, -1, 1, KEY_READ}}, .acl = "@hyperloglog"},
    {"pfdebug", pfdebug, 3, CMD_WRITE | CMD_DENYOOM | CMD_ADMIN,
     .keys = {{2, 2, 1, KEY_READ_WRITE}}, .acl = "@hyperloglog"},
    {"pfselftest", pfselftest, 1, CMD_ADMIN, .acl = "@hyperloglog"},
    {0},
};
