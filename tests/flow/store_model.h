// What tests of the store share: a store in a simulated world, values made by number, and a
// keyspace written out as text so that two of them can be compared.
#ifndef WHERRY_TESTS_STORE_MODEL_H
#define WHERRY_TESTS_STORE_MODEL_H

#include "base/mem.h"
#include "sim/lib/sim.h"
#include "store/loader.h"
#include "store/snapshot.h"
#include "store/store.h"
#include "value/hash.h"
#include "value/list.h"
#include "value/set.h"
#include "value/string.h"
#include "value/zset.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

struct world {
    struct sim *sim;
    struct sim_node *node;
    struct loop *loop;
    struct value_limits limits;
    struct rng rng;
    struct store store;
};

static inline void world_init(struct world *w, uint64_t seed, int dbs)
{
    *w = (struct world){.sim = sim_new(seed)};
    w->node = sim_node_new(w->sim, "10.0.0.1");
    w->loop = sim_loop(w->node);
    value_limits_default(&w->limits);
    rng_seed(&w->rng, seed);
    store_init(&w->store, w->loop, NULL, &w->limits, dbs, seed);
}

static inline void world_free(struct world *w)
{
    store_free(&w->store);
    sim_free(w->sim);
}

enum made { MADE_STRING, MADE_HASH, MADE_SET, MADE_LIST, MADE_ZSET, MADE_KINDS };

// A value of `kind` with `count` elements (a string: bytes), different for each `salt`.
static inline struct value value_made(const struct world *w, enum made kind, int count,
                                      uint64_t salt)
{
    struct value v;
    char text[64], other[64];
    if (kind == MADE_STRING) {
        struct str *s = str_new(NULL, (size_t)count);
        for (int i = 0; i < count; i++)
            s->data[i] = (char)('a' + (salt + (uint64_t)i * i) % 26);
        string_take(&v, s);
        return v;
    }
    if (kind == MADE_HASH) hash_init(&v);
    if (kind == MADE_SET) set_init(&v);
    if (kind == MADE_LIST) list_new(&v, &w->limits);
    if (kind == MADE_ZSET) zset_init(&v);
    for (int i = 0; i < count; i++) {
        struct bytes a = bytes_of(text, (size_t)sprintf(text, "m%d-%lu", i, salt));
        struct bytes b = bytes_of(other, (size_t)sprintf(other, "%lu", salt * 3 + (uint64_t)i));
        if (kind == MADE_HASH) hash_set(&v, a, b, &w->limits);
        if (kind == MADE_SET) set_add(&v, a, &w->limits);
        if (kind == MADE_LIST) list_add(&v, a);
        if (kind == MADE_ZSET) zset_set(&v, a, (double)(salt + (uint64_t)i), &w->limits);
    }
    return v;
}

static inline struct value string_made(const char *text)
{
    struct value v;
    string_init(&v, bytes_from_cstr(text));
    return v;
}

// One more element, or byte.
static inline void value_grow(const struct world *w, struct value *v, uint64_t salt)
{
    char text[64];
    struct bytes a = bytes_of(text, (size_t)sprintf(text, "g%lu", salt));
    switch (v->type) {
    case VALUE_STRING:
        string_append(v, a);
        break;
    case VALUE_HASH:
        hash_set(v, a, a, &w->limits);
        break;
    case VALUE_SET:
        set_add(v, a, &w->limits);
        break;
    case VALUE_LIST:
        list_push(v, LIST_HEAD, a);
        break;
    case VALUE_ZSET:
        zset_set(v, a, (double)salt, &w->limits);
        break;
    default:
        break;
    }
}

static inline int compare_str(const void *a, const void *b)
{
    return bytes_compare(str_view(*(struct str *const *)a), str_view(*(struct str *const *)b));
}

struct lines {
    struct str **at;
    size_t count, cap;
};

static inline void lines_add(struct lines *l, struct str *line)
{
    if (l->count == l->cap) {
        l->cap = l->cap ? l->cap * 2 : 64;
        l->at = mem_realloc(l->at, l->cap * sizeof(*l->at));
    }
    l->at[l->count++] = line;
}

// Sorted and joined; the lines are gone.
static inline struct str *lines_join(struct lines *l)
{
    if (l->count) qsort(l->at, l->count, sizeof(*l->at), compare_str);
    struct buf all = BUF_EMPTY;
    for (size_t i = 0; i < l->count; i++) {
        buf_append_bytes(&all, str_view(l->at[i]));
        buf_append_byte(&all, '\n');
        str_free(l->at[i]);
    }
    mem_free(l->at);
    struct str *joined = str_from(buf_view(&all));
    buf_free(&all);
    return joined;
}

// Of any value, the same for the same contents whatever the encoding.
static inline struct str *value_text(const struct value *v)
{
    struct lines l = {0};
    struct bytes a, b;
    if (v->type == VALUE_STRING) {
        char scratch[TEXT_I64_BYTES];
        lines_add(&l, str_from(string_view(v, scratch)));
    } else if (v->type == VALUE_HASH) {
        struct hash_iter it;
        hash_iter_begin(&it, v);
        while (hash_iter_next(&it, &a, &b))
            lines_add(&l, str_printf("%.*s=%.*s", (int)a.len, a.data, (int)b.len, b.data));
        hash_iter_end(&it);
    } else if (v->type == VALUE_SET) {
        struct set_iter it;
        set_iter_begin(&it, v);
        while (set_iter_next(&it, &a))
            lines_add(&l, str_from(a));
        set_iter_end(&it);
    } else if (v->type == VALUE_LIST) {
        struct list_iter it;
        int place = 0;
        if (list_seek(&it, v, 0, false))
            while (list_next(&it, &a))
                lines_add(&l, str_printf("%06d %.*s", place++, (int)a.len, a.data));
    } else if (v->type == VALUE_ZSET) {
        struct zset_iter it;
        struct zset_entry entry;
        zset_iter_begin(&it, v, zset_whole_span(v), false);
        while (zset_iter_next(&it, &entry))
            lines_add(&l, str_printf("%.*s:%.17g", (int)entry.member.len, entry.member.data,
                                     entry.score));
        zset_iter_end(&it);
    }
    return lines_join(&l);
}

// Large values shortened to a checksum, so that a failure can be read.
static inline struct str *entry_text(int db, const struct entry *e)
{
    struct str *value = value_text(&e->value);
    struct bytes key = entry_key(e);
    struct str *line =
        str_printf("db%d %.*s ttl=%ld %s %lu crc=%016lx", db, (int)key.len, key.data, e->expire_ms,
                   value_type_name(&e->value), (unsigned long)value_length(&e->value),
                   (unsigned long)crc64(0, value->data, value->len));
    str_free(value);
    return line;
}

struct text_visit {
    struct lines lines;
    int db;
};

static inline void text_visit(void *arg, struct entry *e)
{
    struct text_visit *t = arg;
    lines_add(&t->lines, entry_text(t->db, e));
}

static inline struct str *keyspace_text(struct keyspace *k)
{
    struct text_visit t = {.db = 0};
    for (t.db = 0; t.db < k->count; t.db++) {
        struct dict_iter it;
        struct entry *e;
        dict_iter_begin(&it, k->dbs[t.db].keys);
        while ((e = dict_iter_next(&it)) != NULL)
            text_visit(&t, e);
        dict_iter_end(&it);
    }
    return lines_join(&t.lines);
}

// Says where two texts part, and fails.
static inline void expect_same_text(const struct str *got, const struct str *want,
                                    const char *where, uint64_t seed)
{
    if (bytes_equal(str_view(got), str_view(want))) return;
    size_t at = 0;
    while (at < got->len && at < want->len && got->data[at] == want->data[at])
        at++;
    while (at > 0 && got->data[at - 1] != '\n')
        at--;
    cr_expect_fail("%s, seed %lu: got  %.*s\nwant %.*s", where, (unsigned long)seed,
                   (int)(got->len - at < 200 ? got->len - at : 200), got->data + at,
                   (int)(want->len - at < 200 ? want->len - at : 200), want->data + at);
}

static inline struct entry *add(struct world *w, int db, const char *key, struct value v)
{
    return db_add(&w->store, store_db(&w->store, db), bytes_from_cstr(key), &v);
}

static inline struct entry *find(struct world *w, int db, const char *key)
{
    return db_find(store_db(&w->store, db), bytes_from_cstr(key));
}

// ---- loading, to the end --------------------------------------------------------------------

struct loading {
    bool over;
    struct error error;
};

static inline void loading_want(struct loader *l)
{
    (void)l;
}

static inline void loading_done(struct loader *l, const struct error *error)
{
    struct loading *x = loader_owner(l);
    x->over = true;
    x->error = *error;
}

static inline bool loading_over(void *arg)
{
    return ((struct loading *)arg)->over;
}

// Pushes `rdb` in pieces of at most `piece` bytes (chosen at random up to that) and runs.
static inline struct error load_all(struct world *w, struct keyspace *into, struct bytes rdb,
                                    size_t piece, const struct loader_options *options,
                                    struct loader_stats *stats)
{
    static const struct loader_events events = {loading_want, loading_done};
    struct loading x = {0};
    struct loader *l = loader_new(&w->store, into, options, &events, &x);
    for (size_t at = 0; at < rdb.len;) {
        size_t part = 1 + rng_below(&w->rng, piece);
        if (part > rdb.len - at) part = rdb.len - at;
        loader_push(l, bytes_of(rdb.data + at, part));
        at += part;
        if (rng_below(&w->rng, 4) == 0) sim_run_for(w->sim, 300);
    }
    if (!x.over) loader_end(l);
    cr_assert(sim_run_while_not(w->sim, loading_over, &x, 3600000000u), "loading ends");
    if (stats) *stats = *loader_stats(l);
    loader_free(l);
    return x.error;
}

#endif
