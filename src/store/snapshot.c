// Snapshots: the walk, and what writes push out ahead of it.
//
// The output is one stream of bytes (output.h). While a large value is being encoded nothing can
// come between its bytes, so what writes push out meanwhile gathers in `behind` and follows it.
//
//   parts    the tables of the cut, in order of database; part_next is walked by SCAN cursor
//   queue    entries met in the buckets just walked that are large, or for which the time or the
//            sinks' room did not suffice: held, encoded one by one before the walk goes on
//   urgent   those that a write waits for: before the queue
//
// Tables that a flush takes out of service while they are still owed belong to the snapshot until
// their part is over. A sink's `end` comes from a task.
#include "store/snapshot.h"
#include "store/access.h"
#include "store/internal.h"
#include "store/output.h"

#include "base/mem.h"
#include "value/string.h"

#include <assert.h>

enum {
    SNAPSHOT_PIECE_BYTES = 16 * 1024, // of a large value or of `behind`, between looks at the clock
    // When this much waits behind a large value, it is encoded without minding windows: what writes
    // push out is to be counted by the sinks' own limits.
    SNAPSHOT_BEHIND_BYTES = 1 << 20,
    BUCKET_UNITS = 20, // work units (loop.h): for a bucket, for an entry besides its bytes
    ENTRY_UNITS = 10,
    WALK_BUCKETS = 10,
    GATHERED_MAX = 64, // entries
};

struct part {
    struct dict *keys, *expires;
    int db;        // its number at the cut, whatever SWAPDB does since
    bool detached; // out of service: ours to free
    bool walked;
};

struct large {
    struct list link;
    struct entry *entry;
    int db;
};

struct snapshot {
    struct store *store;
    struct job job;
    struct deadline rest; // key delay
    struct output out;
    struct rdb_options options;
    struct rdb_squeeze squeeze; // of small strings
    uint32_t epoch;

    struct part *parts;
    int part_count, part_next;
    uint64_t cursor;
    struct list queue, urgent; // of struct large
    struct large *current;     // on neither list, being encoded
    struct rdb_encoder *encoder;

    struct buf behind, scratch;
    int selected_db; // what a reader has selected at the end of all that was produced

    uint64_t keys_done, keys_total, began_us;
    uint32_t keys_since_rest;
};

// ---- entries --------------------------------------------------------------------------------

static void put_head(struct snapshot *n, struct buf *out, const struct entry *e, int db)
{
    const struct store *s = n->store;
    if (db != n->selected_db) {
        rdb_put_select_db(out, db);
        n->selected_db = db;
    }
    rdb_put_entry_head(out, e->expire_ms, s->lru && !s->lfu ? entry_idle_s(s, e) : -1,
                       s->lfu ? entry_freq(s, e) : -1, rdb_type_of(&e->value), entry_key(e));
}

static void emitted(struct snapshot *n, struct entry *e)
{
    e->epoch = n->epoch;
    n->keys_done++;
    n->keys_since_rest++;
}

static void put_small(struct snapshot *n, struct buf *out, const struct value *v)
{
    char text[TEXT_I64_BYTES];
    if (v->type == VALUE_STRING) {
        rdb_put_squeezed(out, string_view(v, text), &n->squeeze);
        return;
    }
    struct rdb_encoder *encoder = rdb_encoder_new(v, &n->options);
    while (!rdb_encoder_done(encoder)) {
        char *to = buf_reserve(out, SNAPSHOT_PIECE_BYTES);
        buf_commit(out, rdb_encoder_read(encoder, to, SNAPSHOT_PIECE_BYTES, NULL));
    }
    rdb_encoder_free(encoder);
}

static void emit_small(struct snapshot *n, struct entry *e, int db)
{
    bool queued = n->current != NULL || buf_len(&n->behind) > 0;
    struct buf *out = queued ? &n->behind : &n->scratch;
    put_head(n, out, e, db);
    put_small(n, out, &e->value);
    emitted(n, e);
    if (queued) return;
    output_append(&n->out, buf_view(out));
    buf_clear(out);
}

static struct large *large_add(struct snapshot *n, struct list *to, struct entry *e, int db)
{
    struct large *l = mem_new(struct large);
    l->entry = e;
    l->db = db;
    list_push_back(to, &l->link);
    hold_for_snapshot(n->store, e);
    return l;
}

static struct large *large_find(const struct list *in, const struct entry *e)
{
    list_each(at, in)
    {
        struct large *l = list_entry(at, struct large, link);
        if (l->entry == e) return l;
    }
    return NULL;
}

// In either queue, so not being encoded.
static struct large *queued_find(const struct snapshot *n, const struct entry *e)
{
    struct large *l = large_find(&n->queue, e);
    return l != NULL ? l : large_find(&n->urgent, e);
}

static void large_begin(struct snapshot *n)
{
    struct list *from = list_empty(&n->urgent) ? &n->queue : &n->urgent;
    n->current = list_entry(list_pop_front(from), struct large, link);
    struct entry *e = n->current->entry;
    put_head(n, &n->scratch, e, n->current->db);
    output_append(&n->out, buf_view(&n->scratch));
    buf_clear(&n->scratch);
    n->encoder = rdb_encoder_new(&e->value, &n->options);
}

static void large_end(struct snapshot *n)
{
    struct large *l = n->current;
    rdb_encoder_free(n->encoder);
    n->encoder = NULL;
    n->current = NULL;
    emitted(n, l->entry);
    hold_release_snapshot(n->store, l->entry);
    mem_free(l);
}

// Does a write wait for one of the large values at hand?
static bool awaited(const struct snapshot *n)
{
    if (n->current != NULL && hold_has_waiters(n->store, n->current->entry)) return true;
    list_each(at, &n->urgent)
    {
        if (hold_has_waiters(n->store, list_entry(at, struct large, link)->entry)) return true;
    }
    return false;
}

// ---- parts ----------------------------------------------------------------------------------

static struct part *part_of(struct snapshot *n, const struct db *db)
{
    for (int i = n->part_next; i < n->part_count; i++)
        if (n->parts[i].keys == db->keys) return &n->parts[i];
    return NULL;
}

static void part_end(struct snapshot *n, struct part *p)
{
    if (p->detached) discard_tables(n->store, p->keys, p->expires);
    p->keys = p->expires = NULL;
}

// Entries of a few buckets, gathered so that the memory behind them is fetched for all at once: a
// walk over cold data would otherwise wait for two lines of memory per entry, one after the other.
struct gathered {
    struct snapshot *snapshot;
    struct budget *budget;
    bool stop; // no time or no room for more: the rest is queued
    int db;
    int count;
    struct entry *at[GATHERED_MAX];
};

static void emit_or_queue(struct gathered *g, struct entry *e)
{
    struct snapshot *n = g->snapshot;
    // Made after the cut, emitted already, or met for the second time.
    if (e->epoch >= n->epoch) return;
    if (g->stop || !value_is_small(&e->value)) {
        if (large_find(&n->queue, e) == NULL) large_add(n, &n->queue, e, g->db);
        return;
    }
    uint64_t delivered = n->out.bytes, before = output_produced(&n->out);
    emit_small(n, e, g->db);
    uint32_t units = ENTRY_UNITS + (uint32_t)((output_produced(&n->out) - before) / 16);
    g->stop =
        !budget_left(g->budget, units) || (n->out.bytes > delivered && !output_wanted(&n->out));
}

static void gathered_emit(struct gathered *g)
{
    for (int i = 0; i < g->count; i++)
        if (g->at[i]->epoch < g->snapshot->epoch) value_prefetch(&g->at[i]->value);
    for (int i = 0; i < g->count; i++)
        emit_or_queue(g, g->at[i]);
    g->count = 0;
}

static void gather(void *arg, void *item)
{
    struct gathered *g = arg;
    if (g->count == GATHERED_MAX) gathered_emit(g);
    __builtin_prefetch(item);
    g->at[g->count++] = item;
}

// ---- the end --------------------------------------------------------------------------------

static void large_drop(struct snapshot *n, struct large *l)
{
    list_remove(&l->link);
    hold_release_snapshot(n->store, l->entry);
    mem_free(l);
}

static void larges_drop(struct snapshot *n, struct list *larges)
{
    while (!list_empty(larges))
        large_drop(n, list_entry(larges->next, struct large, link));
}

// Over, for whatever reason; its sinks are told `error`.
static void snapshot_finish(struct snapshot *n, const struct error *error)
{
    struct store *s = n->store;
    job_stop(s->loop, &n->job);
    deadline_cancel(s->loop, &n->rest);
    if (n->current != NULL) {
        rdb_encoder_free(n->encoder);
        hold_release_snapshot(s, n->current->entry);
        mem_free(n->current);
    }
    larges_drop(n, &n->urgent);
    larges_drop(n, &n->queue);
    for (int i = n->part_next; i < n->part_count; i++)
        part_end(n, &n->parts[i]);
    sinks_end(s, &n->out.sinks, error);
    output_free(&n->out);
    buf_free(&n->behind);
    buf_free(&n->scratch);
    mem_free(n->parts);
    mem_free(n);
    s->snapshot = NULL;
}

static void snapshot_complete(struct snapshot *n)
{
    output_deliver(&n->out); // so that the checksum covers all before the opcode
    rdb_put_eof(&n->scratch, n->out.crc, !n->options.no_checksum);
    output_append(&n->out, buf_view(&n->scratch));
    output_deliver(&n->out);
    struct error none = ERROR_OK;
    snapshot_finish(n, &none);
}

// ---- the job --------------------------------------------------------------------------------

static void behind_step(struct snapshot *n)
{
    struct bytes view = buf_view(&n->behind);
    if (view.len > SNAPSHOT_PIECE_BYTES) view.len = SNAPSHOT_PIECE_BYTES;
    output_append(&n->out, view);
    buf_consume(&n->behind, view.len);
    if (buf_len(&n->behind) == 0) buf_free(&n->behind);
}

static void large_step(struct snapshot *n, struct budget *budget)
{
    size_t room;
    char *to = output_room(&n->out, &room);
    if (room > SNAPSHOT_PIECE_BYTES) room = SNAPSHOT_PIECE_BYTES;
    output_commit(&n->out, rdb_encoder_read(n->encoder, to, room, budget));
    if (rdb_encoder_done(n->encoder)) large_end(n);
}

// Walks a few buckets, or ends a part.
static void walk_step(struct snapshot *n, struct budget *budget)
{
    struct part *p = &n->parts[n->part_next];
    if (p->walked) {
        part_end(n, p);
        n->part_next++;
        n->cursor = 0;
        return;
    }
    struct gathered g = {.snapshot = n, .budget = budget, .db = p->db};
    for (int i = 0; i < WALK_BUCKETS && !p->walked && g.count < GATHERED_MAX / 2; i++) {
        n->cursor = dict_scan(p->keys, n->cursor, gather, &g);
        p->walked = n->cursor == 0;
        g.stop |= !budget_left(budget, BUCKET_UNITS);
    }
    gathered_emit(&g);
}

// A rest after the keys just emitted is due, unless a write waits. True: resting.
static bool rest(struct snapshot *n)
{
    struct store *s = n->store;
    if (deadline_armed(&n->rest)) return true;
    uint32_t keys = n->keys_since_rest;
    n->keys_since_rest = 0;
    if (keys == 0 || s->snapshot_key_delay_us == 0) return false;
    uint64_t delay_us = (uint64_t)keys * s->snapshot_key_delay_us;
    deadline_arm(s->loop, &n->rest, loop_now_us(s->loop) + delay_us);
    return true;
}

// Is nothing to be produced now?
static bool must_rest(struct snapshot *n)
{
    if (n->current != NULL && buf_len(&n->behind) > SNAPSHOT_BEHIND_BYTES) return false;
    if (awaited(n)) return !output_wanted_ahead(&n->out);
    return !output_wanted(&n->out) || rest(n);
}

static void rest_over(struct deadline *d)
{
    struct snapshot *n = list_entry(d, struct snapshot, rest);
    job_start(n->store->loop, &n->job);
}

static enum job_state snapshot_step(struct job *job, struct budget *budget)
{
    struct snapshot *n = list_entry(job, struct snapshot, job);
    do {
        uint32_t units = 1;
        if (n->current == NULL && buf_len(&n->behind) > 0) {
            behind_step(n);
            units = SNAPSHOT_PIECE_BYTES / 64;
        } else if (must_rest(n)) {
            output_deliver(&n->out);
            return JOB_IDLE;
        } else if (n->current != NULL) {
            large_step(n, budget);
        } else if (!list_empty(&n->urgent) || !list_empty(&n->queue)) {
            large_begin(n);
            units = ENTRY_UNITS;
        } else if (n->part_next < n->part_count) {
            walk_step(n, budget);
        } else {
            snapshot_complete(n);
            return JOB_DONE;
        }
        if (!budget_left(budget, units)) break;
    } while (true);
    output_deliver(&n->out);
    return JOB_MORE;
}

// ---- what the store asks --------------------------------------------------------------------

bool snapshot_owes(const struct store *s, const struct db *db, const struct entry *e)
{
    // An entry of a keyspace that was filled aside may be as old as the cut without being of it.
    return s->snapshot != NULL && e->epoch < s->snapshot->epoch && part_of(s->snapshot, db) != NULL;
}

bool snapshot_queued(const struct store *s, const struct entry *e)
{
    return queued_find(s->snapshot, e) != NULL;
}

void snapshot_emit(struct store *s, const struct db *db, struct entry *e)
{
    struct snapshot *n = s->snapshot;
    struct large *queued = e->holds > 0 ? queued_find(n, e) : NULL;
    if (queued != NULL) large_drop(n, queued);
    emit_small(n, e, part_of(n, db)->db);
    if (buf_len(&n->behind) > SNAPSHOT_BEHIND_BYTES) job_start(s->loop, &n->job);
}

void snapshot_hurry(struct store *s, const struct db *db, struct entry *e)
{
    struct snapshot *n = s->snapshot;
    if (n->current == NULL || n->current->entry != e) {
        struct large *l = queued_find(n, e);
        if (l == NULL) {
            large_add(n, &n->urgent, e, part_of(n, db)->db);
        } else if (large_find(&n->urgent, e) == NULL) {
            list_remove(&l->link);
            list_push_back(&n->urgent, &l->link);
        }
    }
    job_start(s->loop, &n->job);
}

bool snapshot_take_tables(struct store *s, const struct db *db)
{
    struct snapshot *n = s->snapshot;
    struct part *p = n != NULL ? part_of(n, db) : NULL;
    if (p == NULL) return false;
    p->expires = db->expires;
    p->detached = true;
    // Whoever waits to write to one of these finds it gone.
    if (n->current != NULL && n->current->db == p->db) hold_wake(s, n->current->entry);
    struct list *lists[] = {&n->queue, &n->urgent};
    for (int i = 0; i < 2; i++) {
        list_each(at, lists[i])
        {
            struct large *l = list_entry(at, struct large, link);
            if (l->db == p->db) hold_wake(s, l->entry);
        }
    }
    return true;
}

void snapshot_flushed(struct store *s)
{
    struct snapshot *n = s->snapshot;
    if (n == NULL) return;
    struct list over;
    list_init(&over);
    list_each_safe(at, &n->out.sinks)
    {
        if (!list_entry(at, struct snapshot_sink, link)->ends_on_flush) continue;
        list_remove(at);
        list_push_back(&over, at);
    }
    struct error error;
    error_set(&error, ERROR_CANCELLED, "the data set was flushed during the snapshot");
    sinks_end(s, &over, &error);
    if (list_empty(&n->out.sinks)) snapshot_finish(n, &error);
}

void snapshot_teardown(struct store *s)
{
    if (s->snapshot != NULL) {
        while (list_pop_front(&s->snapshot->out.sinks) != NULL)
            ;
        struct error none = ERROR_OK;
        snapshot_finish(s->snapshot, &none);
    }
    endings_free(s);
}

// ---- what callers ask -----------------------------------------------------------------------

static void snapshot_head(struct snapshot *n, const struct snapshot_aux *aux, int aux_count)
{
    struct buf *out = &n->scratch;
    rdb_put_header(out, n->options.version ? n->options.version : RDB_VERSION);
    for (int i = 0; i < aux_count; i++)
        rdb_put_aux(out, aux[i].name, bytes_from_cstr(aux[i].value));
    for (int i = 0; i < n->part_count; i++) {
        rdb_put_select_db(out, n->parts[i].db);
        rdb_put_resize_db(out, dict_count(n->parts[i].keys), dict_count(n->parts[i].expires));
        n->selected_db = n->parts[i].db;
    }
    output_append(&n->out, buf_view(out));
    buf_clear(out);
}

bool snapshot_start(struct store *s, const struct rdb_options *options,
                    const struct snapshot_aux *aux, int aux_count, struct snapshot_sink **sinks,
                    int sink_count, struct error *error)
{
    if (s->snapshot != NULL)
        return error_set(error, ERROR_LIMIT, "a snapshot is under way already");
    assert(sink_count > 0);
    struct snapshot *n = mem_new(struct snapshot);
    n->store = s;
    n->options = *options;
    n->squeeze.on = options->compress;
    n->epoch = ++s->epoch;
    n->selected_db = -1;
    n->began_us = loop_now_us(s->loop);
    n->rest.fire = rest_over;
    output_init(&n->out, s->loop, &n->job, !options->no_checksum);
    list_init(&n->queue);
    list_init(&n->urgent);
    for (int i = 0; i < sink_count; i++)
        list_push_back(&n->out.sinks, &sinks[i]->link);
    n->parts = mem_array(struct part, (size_t)s->live->count);
    for (int i = 0; i < s->live->count; i++) {
        struct db *db = store_db(s, i);
        if (dict_count(db->keys) == 0) continue;
        n->parts[n->part_count++] =
            (struct part){.keys = db->keys, .expires = db->expires, .db = i};
        n->keys_total += dict_count(db->keys);
    }
    s->snapshot = n;
    snapshot_head(n, aux, aux_count);
    job_init(&n->job, "snapshot", snapshot_step);
    job_start(s->loop, &n->job);
    return true;
}

void snapshot_drop_sink(struct store *s, struct snapshot_sink *sink)
{
    list_remove(&sink->link);
    if (s->snapshot == NULL || !list_empty(&s->snapshot->out.sinks)) return;
    struct error none = ERROR_OK;
    snapshot_finish(s->snapshot, &none);
}

void snapshot_cancel(struct store *s, const struct error *why)
{
    if (s->snapshot != NULL) snapshot_finish(s->snapshot, why);
}

void snapshot_kick(struct store *s)
{
    if (s->snapshot != NULL) job_start(s->loop, &s->snapshot->job);
}

void snapshot_set_key_delay(struct store *s, uint32_t delay_us)
{
    if (s->snapshot_key_delay_us == delay_us) return;
    s->snapshot_key_delay_us = delay_us;
    if (s->snapshot == NULL || !deadline_armed(&s->snapshot->rest)) return;
    deadline_cancel(s->loop, &s->snapshot->rest);
    job_start(s->loop, &s->snapshot->job);
}

bool snapshot_progress(const struct store *s, struct snapshot_progress *out)
{
    const struct snapshot *n = s->snapshot;
    if (n == NULL) return false;
    *out = (struct snapshot_progress){n->keys_done, n->keys_total, n->out.bytes, n->began_us};
    return true;
}
