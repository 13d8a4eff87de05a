// SORT and SORT_RO: the elements of a list, set or sorted set, by their own value or by that of
// other keys, which also may be what is returned.
#include "base/mem.h"
#include "base/text.h"
#include "command/multikey.h"
#include "command/sort_impl.h"
#include "command/table.h"
#include "node/acl.h"
#include "node/notify.h"
#include "value/list.h"
#include "value/set.h"
#include "value/zset.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

struct item {
    struct str *text;
    double score;
    struct str *by; // BY with ALPHA: what the pattern's key holds; NULL: nothing
};

struct sort {
    struct ctx *c;
    bool descending, alpha;
    bool as_they_come;     // BY a pattern without '*': in the container's own order
    struct bytes by;       // data NULL: by the elements
    int64_t offset, limit; // limit -1: none
    int store;             // index of the destination in argv; 0: none
    int gets;              // how many GET there are
    int *get;              // the index of each pattern
    struct item *items;
    uint64_t length;        // of items
    uint64_t first, wanted; // the part of items that is returned
};

// ---- arguments ----------------------------------------------------------------------------------

// Patterns read keys that the arguments don't name.
static bool may_look(struct ctx *c, const char *option)
{
    if (acl_reads_all(c->client, dispatch_lookup(c->node, c->argc, c->argv), c->argc, c->argv))
        return true;
    reply_errorf(c->reply, "%s option of SORT denied due to insufficient ACL permissions.", option);
    return false;
}

static bool parse(struct sort *s, bool read_only)
{
    struct ctx *c = s->c;
    for (int i = 2; i < c->argc; i++) {
        int left = c->argc - i - 1;
        if (ctx_is(c, i, "asc")) {
            s->descending = false;
        } else if (ctx_is(c, i, "desc")) {
            s->descending = true;
        } else if (ctx_is(c, i, "alpha")) {
            s->alpha = true;
        } else if (ctx_is(c, i, "limit") && left >= 2) {
            if (!ctx_int(c, i + 1, &s->offset) || !ctx_int(c, i + 2, &s->limit)) return false;
            i += 2;
        } else if (!read_only && ctx_is(c, i, "store") && left >= 1) {
            s->store = ++i;
        } else if (ctx_is(c, i, "by") && left >= 1) {
            s->by = ctx_arg(c, ++i);
            bool looks = memchr(s->by.data, '*', s->by.len) != NULL;
            if (looks && !may_look(c, "BY")) return false;
            s->as_they_come |= !looks;
        } else if (ctx_is(c, i, "get") && left >= 1) {
            if (!may_look(c, "GET")) return false;
            s->get[s->gets++] = ++i;
        } else {
            ctx_syntax_error(c);
            return false;
        }
    }
    return true;
}

// Cuts LIMIT to what is there.
static void clip(struct sort *s, uint64_t length)
{
    s->first = s->offset > 0 ? (uint64_t)s->offset : 0;
    if (s->first > length) s->first = length;
    s->wanted = length - s->first;
    if (s->limit >= 0 && (uint64_t)s->limit < s->wanted) s->wanted = (uint64_t)s->limit;
}

// ---- loading ------------------------------------------------------------------------------------

static void take(struct sort *s, struct bytes text)
{
    s->items[s->length++] = (struct item){.text = str_from(text)};
}

// As many elements of a list from `first` on, or, descending, from the end.
static void load_list(struct sort *s, const struct value *v, uint64_t first, uint64_t count,
                      bool backward)
{
    struct list_iter it;
    struct bytes element;
    int64_t from = backward ? -1 - (int64_t)first : (int64_t)first;
    list_seek(&it, v, from, backward);
    while (s->length < count && list_next(&it, &element))
        take(s, element);
}

static void load_set(struct sort *s, const struct value *v)
{
    struct set_iter it;
    struct bytes member;
    set_iter_begin(&it, v);
    while (set_iter_next(&it, &member))
        take(s, member);
    set_iter_end(&it);
}

static void load_zset(struct sort *s, const struct value *v, uint64_t first, uint64_t count,
                      bool backward)
{
    struct zset_iter it;
    struct zset_entry entry;
    uint64_t from = backward ? zset_length(v) - first - count : first;
    zset_iter_begin(&it, v, (struct zset_span){from, count}, backward);
    while (zset_iter_next(&it, &entry))
        take(s, entry.member);
    zset_iter_end(&it);
}

static void load(struct sort *s, const struct value *v)
{
    uint64_t length = v ? value_length(v) : 0;
    clip(s, length);
    if (length == 0) return;
    // In their own order only those that are returned need to be looked at, where they can be
    // counted off.
    bool part = s->as_they_come && v->type != VALUE_SET;
    uint64_t first = part ? s->first : 0, count = part ? s->wanted : length;
    bool backward = part && s->descending;
    s->items = mem_array(struct item, (size_t)count);
    if (v->type == VALUE_LIST)
        load_list(s, v, first, count, backward);
    else if (v->type == VALUE_ZSET)
        load_zset(s, v, first, count, backward);
    else
        load_set(s, v);
    if (part) s->first = 0;
}

// ---- weighing and ordering ----------------------------------------------------------------------

static bool read_score(const struct str *text, double *score)
{
    char *end;
    int64_t number;
    if (text_to_i64(str_view(text), &number)) { // nearly all of them, and much faster
        *score = (double)number;
        return true;
    }
    errno = 0;
    *score = strtod(text->data, &end);
    return *end == '\0' && errno != ERANGE && !isnan(*score);
}

// Fills in what the items are ordered by. False: something is no number (replied).
static bool weigh(struct sort *s)
{
    bool numbers = true;
    for (uint64_t i = 0; i < s->length; i++) {
        struct item *item = &s->items[i];
        if (s->by.data == NULL) {
            if (!s->alpha) numbers &= read_score(item->text, &item->score);
            continue;
        }
        item->by = sort_lookup(s->c, s->by, str_view(item->text));
        if (s->alpha || item->by == NULL) continue;
        numbers &= read_score(item->by, &item->score);
        str_free(item->by);
        item->by = NULL;
    }
    if (!numbers) reply_error(s->c->reply, "One or more scores can't be converted into double");
    return numbers;
}

static int compare(const void *a, const void *b, void *arg)
{
    const struct item *left = a, *right = b;
    const struct sort *s = arg;
    int order;
    if (!s->alpha) {
        order = (left->score > right->score) - (left->score < right->score);
        // Equal ones too have an order of their own, so that the result is one.
        if (order == 0) order = bytes_compare(str_view(left->text), str_view(right->text));
    } else if (s->by.data == NULL) {
        order = bytes_compare(str_view(left->text), str_view(right->text));
    } else if (left->by == NULL || right->by == NULL) {
        order = (left->by != NULL) - (right->by != NULL);
    } else {
        order = bytes_compare(str_view(left->by), str_view(right->by));
    }
    return s->descending ? -order : order;
}

// ---- answering ----------------------------------------------------------------------------------

typedef void emit(struct sort *s, void *to, const struct str *text); // NULL: GET found nothing

static uint64_t each_result(struct sort *s, emit *emit_one, void *to)
{
    for (uint64_t i = s->first; i < s->first + s->wanted; i++) {
        const struct str *text = s->items[i].text;
        if (s->gets == 0) emit_one(s, to, text);
        for (int g = 0; g < s->gets; g++) {
            struct str *found = sort_lookup(s->c, ctx_arg(s->c, s->get[g]), str_view(text));
            emit_one(s, to, found);
            str_free(found);
        }
    }
    return s->wanted * (s->gets ? (uint64_t)s->gets : 1);
}

static void emit_reply(struct sort *s, void *to, const struct str *text)
{
    (void)to;
    if (text != NULL)
        reply_bulk(s->c->reply, str_view(text));
    else
        reply_null(s->c->reply);
}

static void emit_element(struct sort *s, void *to, const struct str *text)
{
    (void)s;
    list_add(to, text ? str_view(text) : BYTES(""));
}

static void store(struct sort *s)
{
    struct ctx *c = s->c;
    struct value list;
    list_new(&list, ctx_store(c)->limits);
    uint64_t count = each_result(s, emit_element, &list);
    store_result(c, ctx_arg(c, s->store), &list, NOTIFY_LIST, "sortstore");
    if (count > 0) c->dirty += count - 1; // each element counts as a change
}

static void answer(struct sort *s)
{
    if (!s->as_they_come) {
        if (!weigh(s)) return;
        if (s->length > 1) qsort_r(s->items, (size_t)s->length, sizeof(*s->items), compare, s);
    }
    if (s->store != 0) {
        store(s);
        return;
    }
    reply_array(s->c->reply, s->wanted * (s->gets ? (uint64_t)s->gets : 1));
    each_result(s, emit_reply, NULL);
}

static void sort_key(struct sort *s)
{
    struct entry *e = ctx_find_read(s->c, ctx_arg(s->c, 1));
    const struct value *v = e ? &e->value : NULL;
    if (v && v->type != VALUE_LIST && v->type != VALUE_SET && v->type != VALUE_ZSET) {
        ctx_wrong_type(s->c);
        return;
    }
    // A stored result must be the same on replicas, where a set may come in another order.
    if (s->as_they_come && v && v->type == VALUE_SET && s->store != 0) {
        s->as_they_come = false;
        s->alpha = true;
        s->by = bytes_of(NULL, 0);
    }
    load(s, v);
    answer(s);
    for (uint64_t i = 0; i < s->length; i++) {
        str_free(s->items[i].text);
        str_free(s->items[i].by);
    }
    mem_free(s->items);
}

static void run(struct ctx *c, bool read_only)
{
    struct sort s = {.c = c, .limit = -1, .get = mem_array(int, (size_t)c->argc)};
    if (parse(&s, read_only)) sort_key(&s);
    mem_free(s.get);
}

static void sort(struct ctx *c)
{
    run(c, false);
}

static void sort_ro(struct ctx *c)
{
    run(c, true);
}

// The key, and the destination of STORE if there is one. (What BY and GET name are only read.)
static int sort_keys(int argc, struct str *const *argv, struct key_ref *out, int max)
{
    int store_at = 0;
    for (int i = 2; i < argc; i++) {
        struct bytes word = str_view(argv[i]);
        if (bytes_equal_nocase(word, "limit"))
            i += 2;
        else if (bytes_equal_nocase(word, "get") || bytes_equal_nocase(word, "by"))
            i++;
        else if (bytes_equal_nocase(word, "store") && i + 1 < argc)
            store_at = ++i;
    }
    if (max > 0) out[0] = (struct key_ref){.index = 1, .access = KEY_READ};
    if (store_at == 0) return 1;
    if (max > 1) out[1] = (struct key_ref){.index = store_at, .access = KEY_WRITE};
    return 2;
}

static int sort_ro_keys(int argc, struct str *const *argv, struct key_ref *out, int max)
{
    (void)argc, (void)argv;
    if (max > 0) out[0] = (struct key_ref){.index = 1, .access = KEY_READ};
    return 1;
}

const struct command commands_sort[] = {
    {"sort", sort, -2, CMD_WRITE | CMD_DENYOOM | CMD_MOVABLE_KEYS, .keys = {{1, 1, 1, KEY_READ}},
     .get_keys = sort_keys, .acl = "@set @sortedset @list @dangerous"},
    {"sort_ro", sort_ro, -2, CMD_READONLY | CMD_MOVABLE_KEYS, .keys = {{1, 1, 1, KEY_READ}},
     .get_keys = sort_ro_keys, .acl = "@set @sortedset @list @dangerous"},
    {0},
};
