// Holds: who reads a value over many slices, and who waits for them to finish. One record per held
// entry, found by the entry's address; few exist at a time.
#include "store/internal.h"
#include "store/store.h"

#include "base/mem.h"

#include <assert.h>

// How many waiters are told in one go: each may run a command.
enum { WAKE_BATCH = 16 };

struct hold {
    struct entry *entry; // its address is the key in store->held
    int db_index;        // of the machines' holds; -1 while only the snapshot holds it
    uint32_t machines;
    bool snapshot;
    struct list waiters;
    struct list sole; // a holder that waits to be the only one (store_before_delete_held)
};

static struct bytes hold_key(const void *item)
{
    const struct hold *h = item;
    return bytes_of(&h->entry, sizeof(h->entry));
}

static const struct dict_type hold_type = {hold_key, mem_free};

static struct hold *hold_find(struct store *s, const struct entry *e)
{
    return dict_find(s->held, bytes_of(&e, sizeof(e)));
}

static struct hold *hold_find_or_add(struct store *s, struct entry *e)
{
    struct hold *h = hold_find(s, e);
    if (h != NULL) return h;
    h = mem_new(struct hold);
    h->entry = e;
    h->db_index = -1;
    list_init(&h->waiters);
    list_init(&h->sole);
    if (!dict_insert(s->held, h)) assert(!"held twice");
    return h;
}

static void wake_run(struct task *task)
{
    struct store *s = list_entry(task, struct store, wake);
    for (int i = 0; i < WAKE_BATCH && !list_empty(&s->ready); i++) {
        struct waiter *w = list_entry(list_pop_front(&s->ready), struct waiter, link);
        w->ready(w);
    }
    if (!list_empty(&s->ready)) loop_defer(s->loop, &s->wake);
}

static void wake_all(struct store *s, struct list *waiters)
{
    if (list_empty(waiters)) return;
    list_splice_back(&s->ready, waiters);
    loop_defer(s->loop, &s->wake);
}

static void list_disband(struct list *waiters)
{
    while (list_pop_front(waiters) != NULL)
        ;
}

void hold_init(struct store *s)
{
    int count = s->live->count;
    s->held = dict_new(&hold_type, s->hash_seed);
    s->held_count = mem_zalloc(sizeof(*s->held_count) * (size_t)count);
    s->held_waiters = mem_array(struct list, (size_t)count + 1);
    for (int i = 0; i <= count; i++)
        list_init(&s->held_waiters[i]);
    list_init(&s->ready);
    task_init(&s->wake, wake_run);
}

void hold_free(struct store *s)
{
    struct dict_iter it;
    struct hold *h;
    dict_iter_begin(&it, s->held);
    while ((h = dict_iter_next(&it)) != NULL)
        list_disband(&h->waiters);
    dict_iter_end(&it);
    dict_free(s->held);
    for (int i = 0; i <= s->live->count; i++)
        list_disband(&s->held_waiters[i]);
    list_disband(&s->ready);
    task_cancel(&s->wake);
    mem_free(s->held_waiters);
    mem_free(s->held_count);
}

// Nobody holds the entry any more: the record goes, waiters will be told.
static void hold_end(struct store *s, struct hold *h)
{
    wake_all(s, &h->waiters);
    struct entry *e = h->entry;
    dict_delete(s->held, bytes_of(&e, sizeof(e)));
}

// Tells those who wait for whole databases that are free now.
static void wake_if_free(struct store *s)
{
    if (s->frozen) return;
    for (int i = 0; i < s->live->count; i++)
        if (s->held_count[i] == 0) wake_all(s, &s->held_waiters[i]);
    if (!store_held(s, -1)) wake_all(s, &s->held_waiters[s->live->count]);
}

void store_hold(struct store *s, int db_index, struct entry *e)
{
    struct hold *h = hold_find_or_add(s, e);
    assert(e->holds < UINT16_MAX);
    assert(h->machines == 0 || h->db_index == db_index);
    e->holds++;
    h->db_index = db_index;
    if (h->machines++ == 0) s->held_count[db_index]++;
}

void store_release(struct store *s, int db_index, struct entry *e)
{
    struct hold *h = hold_find(s, e);
    assert(h != NULL && h->machines > 0 && h->db_index == db_index && e->holds > 0);
    e->holds--;
    if (--h->machines > 0) {
        wake_all(s, &h->sole);
        return;
    }
    s->held_count[db_index]--;
    wake_if_free(s);
    if (!h->snapshot) hold_end(s, h);
}

void store_freeze(struct store *s)
{
    assert(!s->frozen);
    s->frozen = true;
}

void store_thaw(struct store *s)
{
    s->frozen = false;
    wake_if_free(s);
    // Those who wait for single keys of a frozen store wait among the last.
    wake_all(s, &s->held_waiters[s->live->count]);
}

void store_wait_thaw(struct store *s, struct waiter *w)
{
    assert(s->frozen);
    list_push_front(&s->held_waiters[s->live->count], &w->link);
}

bool store_held(const struct store *s, int db_index)
{
    if (s->frozen) return true;
    if (db_index >= 0) return s->held_count[db_index] > 0;
    if (dict_count(s->held) == 0) return false;
    for (int i = 0; i < s->live->count; i++)
        if (s->held_count[i] > 0) return true;
    return false;
}

void store_wait_held(struct store *s, int db_index, struct waiter *w)
{
    if (!store_held(s, db_index)) {
        list_push_back(&s->ready, &w->link);
        loop_defer(s->loop, &s->wake);
        return;
    }
    list_push_back(&s->held_waiters[db_index >= 0 ? db_index : s->live->count], &w->link);
}

void hold_for_snapshot(struct store *s, struct entry *e)
{
    struct hold *h = hold_find_or_add(s, e);
    assert(!h->snapshot && e->holds < UINT16_MAX);
    h->snapshot = true;
    e->holds++;
}

void hold_release_snapshot(struct store *s, struct entry *e)
{
    struct hold *h = hold_find(s, e);
    assert(h != NULL && h->snapshot && e->holds > 0);
    h->snapshot = false;
    e->holds--;
    if (h->machines == 0)
        hold_end(s, h);
    else
        wake_all(s, &h->sole);
}

void hold_wait(struct store *s, struct entry *e, struct waiter *w)
{
    list_push_back(&hold_find(s, e)->waiters, &w->link);
}

bool hold_has_waiters(struct store *s, const struct entry *e)
{
    const struct hold *h = hold_find(s, e);
    return h != NULL && (!list_empty(&h->waiters) || !list_empty(&h->sole));
}

void hold_wake(struct store *s, struct entry *e)
{
    struct hold *h = hold_find(s, e);
    if (h != NULL) wake_all(s, &h->waiters);
}

bool store_guards_writes(const struct store *s)
{
    return s->snapshot != NULL || s->frozen || dict_count(s->held) > 0;
}

enum write_verdict store_before_write(struct store *s, int db_index, struct bytes key,
                                      struct waiter *w)
{
    if (!store_guards_writes(s)) return WRITE_NOW;
    if (s->frozen) {
        if (w != NULL) list_push_back(&s->held_waiters[s->live->count], &w->link);
        return WRITE_WAIT;
    }
    struct db *db = store_db(s, db_index);
    struct entry *e = db_find(db, key);
    if (e == NULL) return WRITE_NOW;
    bool owed = snapshot_owes(s, db, e), small = value_is_small(&e->value);
    // A small entry that only has a place in the snapshot's queue loses it and is emitted now.
    bool queued = owed && small && e->holds == 1 && snapshot_queued(s, e);
    bool wait = (e->holds > 0 && !queued) || (owed && !small);
    if (w == NULL) return wait ? WRITE_WAIT : WRITE_NOW;
    if (!wait) {
        if (owed) snapshot_emit(s, db, e);
        return WRITE_NOW;
    }
    if (owed) snapshot_hurry(s, db, e);
    hold_wait(s, e, w);
    return WRITE_WAIT;
}

enum write_verdict store_before_delete_held(struct store *s, int db_index, struct entry *e,
                                            struct waiter *w)
{
    struct db *db = store_db(s, db_index);
    struct hold *h = hold_find(s, e);
    assert(h != NULL && e->holds > 0);
    bool owed = snapshot_owes(s, db, e);
    // Held by the snapshot too, it may be half encoded: then it is waited for.
    if (owed && e->holds == 1 && value_is_small(&e->value)) {
        snapshot_emit(s, db, e);
        owed = false;
    }
    assert(!s->frozen);
    if (!owed && e->holds == 1) return WRITE_NOW;
    if (owed) snapshot_hurry(s, db, e);
    list_push_back(&h->sole, &w->link);
    return WRITE_WAIT;
}
