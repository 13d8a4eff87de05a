// What is no longer wanted goes in slices: values that were replaced or deleted, tables that a
// flush took out of service. And the rehashing of tables, which is upkeep of the same kind.
#include "store/internal.h"
#include "store/store.h"

#include "base/mem.h"

#include <assert.h>

// Work units (loop.h) for freeing one small entry: two calls into the allocator and a cold line.
enum { ENTRY_FREE_UNITS = 4 };

struct discard {
    struct list link;
    struct value value; // when `keys` is NULL: the value; otherwise of the entry being freed
    bool value_left;
    struct rdb_file_decoder *decoder; // given up half-way; then nothing else
    struct dict *keys, *expires;
    struct dict_iter iter;
    bool iterating;
};

static void discard_start(struct store *s, struct discard *d, uint64_t objects)
{
    s->lazyfree_pending += objects;
    list_push_back(&s->discards, &d->link);
    job_start(s->loop, &s->housekeeping);
}

void store_free_value(struct store *s, struct value *v)
{
    if (value_is_small(v)) {
        value_free(v);
        return;
    }
    struct discard *d = mem_new(struct discard);
    d->value = *v;
    d->value_left = true;
    discard_start(s, d, 1);
}

void discard_decoder(struct store *s, struct rdb_file_decoder *decoder)
{
    struct discard *d = mem_new(struct discard);
    d->decoder = decoder;
    discard_start(s, d, 0);
}

void tables_free(struct dict *keys, struct dict *expires)
{
    struct dict_iter it;
    struct entry *e;
    dict_iter_begin(&it, keys);
    while ((e = dict_iter_next(&it)) != NULL) {
        value_free(&e->value);
        mem_free(e);
    }
    dict_iter_end(&it);
    dict_free(expires);
    dict_free(keys);
}

void discard_tables(struct store *s, struct dict *keys, struct dict *expires)
{
    if (dict_count(keys) == 0) {
        // An empty table may still be a big one: it goes in slices below unless it is tiny.
        if (dict_table_bytes(keys) < 64 * 1024 && dict_table_bytes(expires) < 64 * 1024) {
            tables_free(keys, expires);
            return;
        }
    }
    struct discard *d = mem_new(struct discard);
    d->keys = keys;
    d->expires = expires;
    dict_iter_begin(&d->iter, keys);
    d->iterating = true;
    discard_start(s, d, dict_count(keys));
}

void keyspace_discard(struct store *s, struct keyspace *k)
{
    for (int i = 0; i < k->count; i++)
        discard_tables(s, k->dbs[i].keys, k->dbs[i].expires);
    mem_free(k);
}

static void discard_counted(struct store *s)
{
    s->lazyfree_pending--;
    s->lazyfreed++;
}

// True when the large value in hand is gone.
static bool discard_value(struct discard *d, struct budget *budget)
{
    if (d->value_left && value_free_step(&d->value, budget)) d->value_left = false;
    return !d->value_left;
}

// True when all entries are freed.
static bool discard_entries(struct store *s, struct discard *d, struct budget *budget)
{
    while (budget_left(budget, ENTRY_FREE_UNITS)) {
        if (!discard_value(d, budget)) continue;
        struct entry *e = dict_iter_next(&d->iter);
        if (e == NULL) return true;
        if (value_is_small(&e->value)) {
            value_free(&e->value);
        } else {
            d->value = e->value;
            d->value_left = true;
        }
        mem_free(e);
        discard_counted(s);
    }
    return false;
}

static bool discard_step(struct store *s, struct discard *d, struct budget *budget)
{
    if (d->decoder != NULL) return rdb_file_decoder_free_step(d->decoder, budget);
    if (d->keys == NULL && d->expires == NULL) {
        if (!discard_value(d, budget)) return false;
        discard_counted(s);
        return true;
    }
    if (d->iterating) {
        if (!discard_entries(s, d, budget)) return false;
        dict_iter_end(&d->iter);
        d->iterating = false;
    }
    if (d->expires != NULL) {
        if (!dict_free_step(d->expires, budget)) return false;
        d->expires = NULL;
    }
    return dict_free_step(d->keys, budget);
}

// A round over all tables, begun by store_tidy. True when it is over.
static bool rehash_step(struct store *s, struct budget *budget)
{
    while (s->rehash_next >= 0) {
        if (s->rehash_next >= s->live->count * 2) {
            s->rehash_next = -1;
            break;
        }
        struct db *db = &s->live->dbs[s->rehash_next / 2];
        if (!dict_rehash_step(s->rehash_next % 2 ? db->expires : db->keys, budget)) return false;
        s->rehash_next++;
    }
    return true;
}

static enum job_state housekeeping_step(struct job *job, struct budget *budget)
{
    struct store *s = list_entry(job, struct store, housekeeping);
    while (!list_empty(&s->discards)) {
        struct discard *d = list_entry(s->discards.next, struct discard, link);
        if (!discard_step(s, d, budget)) return JOB_MORE;
        list_remove(&d->link);
        mem_free(d);
        if (!budget_left(budget, 1)) return JOB_MORE;
    }
    return rehash_step(s, budget) ? JOB_IDLE : JOB_MORE;
}

void store_tidy(struct store *s)
{
    if (s->rehash_next < 0) s->rehash_next = 0;
    job_start(s->loop, &s->housekeeping);
}

void discard_init(struct store *s)
{
    list_init(&s->discards);
    s->rehash_next = -1;
    job_init(&s->housekeeping, "housekeeping", housekeeping_step);
}

void discard_free(struct store *s)
{
    job_stop(s->loop, &s->housekeeping);
    struct list *link;
    while ((link = list_pop_front(&s->discards)) != NULL) {
        struct discard *d = list_entry(link, struct discard, link);
        rdb_file_decoder_free(d->decoder);
        if (d->value_left) value_free(&d->value);
        if (d->iterating) {
            struct entry *e;
            while ((e = dict_iter_next(&d->iter)) != NULL) {
                value_free(&e->value);
                mem_free(e);
            }
            dict_iter_end(&d->iter);
        }
        dict_free(d->expires);
        dict_free(d->keys);
        mem_free(d);
    }
}
