#include "store/loader.h"
#include "store/access.h"
#include "store/internal.h"

#include "base/chunk.h"
#include "base/mem.h"
#include "base/text.h"

#include <assert.h>
#include <inttypes.h>

enum {
    // With a key delay the decoder gets so little at a time that keys come one by one.
    LOADER_DELAYED_PIECE_BYTES = 64,
    EMPTY_KEYS_LOGGED = 10,
};

struct loader {
    struct store *store;
    struct keyspace *into;
    struct loader_options options;
    const struct loader_events *events;
    void *owner;
    struct rdb_file_decoder *decoder;
    struct chain input;
    struct buf left;
    struct job job;
    struct deadline rest; // key delay
    uint64_t keys_since_rest;
    uint64_t coming_hash; // of the key whose value is being read
    int64_t now_ms;       // when loading began: what has expired by then
    bool ended, over, asked;
    struct loader_stats stats;
};

// ---- what the decoder finds -----------------------------------------------------------------

static void copy_text(char *out, size_t size, struct bytes text)
{
    size_t len = text.len < size - 1 ? text.len : size - 1;
    memcpy(out, text.data, len);
    out[len] = '\0';
}

// Names as Redis 7.0 writes them (rdb.c); those not known here are somebody else's and skipped.
static bool on_aux(void *owner, struct bytes name, struct bytes value, struct error *error)
{
    (void)error;
    struct loader *l = owner;
    struct log *log = l->store->log;
    int64_t number = 0;
    bool is_number = text_to_i64(value, &number);
    if (bytes_equal(name, BYTES("redis-ver")) || bytes_equal(name, BYTES("valkey-ver"))) {
        log_notice(log, "Loading RDB produced by version %.*s", (int)value.len, value.data);
    } else if (bytes_equal(name, BYTES("ctime")) && is_number) {
        int64_t age_s = l->now_ms / 1000 - number;
        log_notice(log, "RDB age %" PRIi64 " seconds", age_s > 0 ? age_s : 0);
    } else if (bytes_equal(name, BYTES("used-mem")) && is_number) {
        log_notice(log, "RDB memory usage when created %.2f Mb", (double)number / (1 << 20));
    } else if (bytes_equal(name, BYTES("aof-base")) && is_number && number) {
        log_notice(log, "RDB is base AOF");
    } else if (bytes_equal(name, BYTES("repl-id"))) {
        if (value.len == sizeof(l->stats.repl_id) - 1)
            copy_text(l->stats.repl_id, sizeof(l->stats.repl_id), value);
    } else if (bytes_equal(name, BYTES("repl-offset")) && is_number) {
        l->stats.repl_offset = number;
    } else if (bytes_equal(name, BYTES("repl-stream-db")) && is_number) {
        l->stats.repl_stream_db = number >= 0 && number < l->into->count ? (int)number : -1;
    }
    return true;
}

static bool on_resize(void *owner, int db, uint64_t keys, uint64_t expires, struct error *error)
{
    (void)error;
    struct loader *l = owner;
    if (db < 0 || db >= l->into->count) return true; // an entry there is what fails
    // Only a hint, and from a peer: dict_reserve bounds it.
    dict_reserve(l->into->dbs[db].keys, keys);
    dict_reserve(l->into->dbs[db].expires, expires);
    return true;
}

// By the time that its value has been read, the place of the key has been fetched into the cache.
static void on_coming(void *owner, int db, struct bytes key)
{
    struct loader *l = owner;
    if (db < 0 || db >= l->into->count) return;
    struct dict *keys = l->into->dbs[db].keys;
    l->coming_hash = dict_hash(keys, key);
    dict_prefetch(keys, l->coming_hash);
}

static bool on_entry(void *owner, struct rdb_entry *in, struct error *error)
{
    struct loader *l = owner;
    struct store *s = l->store;
    l->keys_since_rest++;
    if (in->db < 0 || in->db >= l->into->count) {
        store_free_value(s, &in->value);
        return error_set(error, ERROR_CORRUPT,
                         "the data was made by a server with more than %d databases (a key in "
                         "database %d): raise 'databases'",
                         l->into->count, in->db);
    }
    struct db *db = &l->into->dbs[in->db];
    if (l->options.skip_expired && in->expire_ms >= 0 && in->expire_ms < l->now_ms) {
        l->stats.keys_expired++;
        if (l->options.expired != NULL)
            l->options.expired(l->options.expired_owner, in->db, in->key);
        store_free_value(s, &in->value);
        return true;
    }
    struct entry *e = db_try_add(s, db, in->key, l->coming_hash, &in->value);
    if (e == NULL) {
        store_free_value(s, &in->value);
        return error_set(error, ERROR_CORRUPT, "RDB has duplicated key '%.*s' in DB %d",
                         (int)(in->key.len < 100 ? in->key.len : 100), in->key.data, in->db);
    }
    if (in->expire_ms >= 0) db_set_expire(s, db, e, in->expire_ms);
    entry_set_idle_s(s, e, in->idle_s);
    entry_set_freq(s, e, in->freq);
    l->stats.keys_loaded++;
    return true;
}

static void on_empty_key(void *owner, struct bytes key, enum rdb_type type)
{
    (void)type;
    struct loader *l = owner;
    l->keys_since_rest++;
    if (l->stats.empty_keys_skipped++ < EMPTY_KEYS_LOGGED)
        log_notice(l->store->log, "RDB loading: skipping empty key: %.*s",
                   (int)(key.len < 200 ? key.len : 200), key.data);
}

static const struct rdb_sink loader_sink = {.aux = on_aux,
                                            .resize = on_resize,
                                            .coming = on_coming,
                                            .entry = on_entry,
                                            .empty_key = on_empty_key};

// ---- the job --------------------------------------------------------------------------------

// The last thing done with the loader: `done` may free it.
static enum job_state finish(struct loader *l, const struct error *error)
{
    l->over = true;
    l->events->done(l, error);
    return JOB_DONE;
}

static enum job_state complete(struct loader *l)
{
    char *to = buf_reserve(&l->left, l->input.len);
    buf_commit(&l->left, chain_read(&l->input, to, l->input.len));
    const struct loader_stats *st = &l->stats;
    if (st->empty_keys_skipped > 0)
        log_notice(l->store->log,
                   "Done loading RDB, keys loaded: %" PRIu64 ", keys expired: %" PRIu64
                   ", empty keys skipped: %" PRIu64 ".",
                   st->keys_loaded, st->keys_expired, st->empty_keys_skipped);
    else
        log_notice(l->store->log,
                   "Done loading RDB, keys loaded: %" PRIu64 ", keys expired: %" PRIu64 ".",
                   st->keys_loaded, st->keys_expired);
    struct error none = ERROR_OK;
    return finish(l, &none);
}

// The RDB ended before its end.
static enum job_state cut_short(struct loader *l)
{
    struct error error;
    error_set(&error, ERROR_CORRUPT, "Unexpected EOF reading RDB file: it ends at offset %" PRIu64,
              rdb_file_decoder_offset(l->decoder));
    return finish(l, &error);
}

static enum job_state failed(struct loader *l, struct error *error)
{
    error_context(error, "Internal error in RDB reading offset %" PRIu64,
                  rdb_file_decoder_offset(l->decoder));
    return finish(l, error);
}

static bool rest(struct loader *l)
{
    uint64_t keys = l->keys_since_rest;
    l->keys_since_rest = 0;
    if (l->options.key_delay_us == 0 || keys == 0) return false;
    struct loop *loop = l->store->loop;
    deadline_arm(loop, &l->rest, loop_now_us(loop) + keys * l->options.key_delay_us);
    return true;
}

static void rest_over(struct deadline *d)
{
    struct loader *l = list_entry(d, struct loader, rest);
    job_start(l->store->loop, &l->job);
}

static enum rdb_progress decode_piece(struct loader *l, struct budget *budget, struct error *error)
{
    struct bytes view, before;
    if (chain_peek(&l->input, &view, 1) == 0) view = bytes_of("", 0);
    if (l->options.key_delay_us > 0 && view.len > LOADER_DELAYED_PIECE_BYTES)
        view.len = LOADER_DELAYED_PIECE_BYTES;
    before = view;
    enum rdb_progress progress = rdb_file_decoder_push(l->decoder, &view, budget, error);
    size_t taken = before.len - view.len;
    l->stats.bytes += taken;
    chain_consume(&l->input, taken);
    return progress;
}

static enum job_state loader_step(struct job *job, struct budget *budget)
{
    struct loader *l = list_entry(job, struct loader, job);
    struct error error = ERROR_OK;
    enum job_state state = JOB_MORE;
    if (l->over) return JOB_DONE;
    if (deadline_armed(&l->rest)) return JOB_IDLE;
    do {
        enum rdb_progress progress = decode_piece(l, budget, &error);
        if (progress == RDB_DONE) return complete(l);
        if (progress == RDB_FAILED) return failed(l, &error);
        if (progress == RDB_BUDGET) break;
        if (l->input.len == 0) {
            if (l->ended) return cut_short(l);
            state = JOB_IDLE;
            break;
        }
        if (l->keys_since_rest && l->options.key_delay_us) break;
    } while (budget_left(budget, 1));
    if (rest(l)) state = JOB_IDLE;
    if (!l->asked && !l->ended && l->input.len < LOADER_LOW_WATER_BYTES) {
        l->asked = true;
        l->events->want(l);
        // What it pushed from there has started the job already; keep it so.
        if ((l->input.len > 0 || l->ended) && !deadline_armed(&l->rest)) state = JOB_MORE;
    }
    return state;
}

// ---- what owners ask ------------------------------------------------------------------------

struct loader *loader_new(struct store *s, struct keyspace *into,
                          const struct loader_options *options, const struct loader_events *events,
                          void *owner)
{
    struct loader *l = mem_new(struct loader);
    l->store = s;
    l->into = into;
    l->options = *options;
    l->events = events;
    l->owner = owner;
    l->now_ms = loop_unix_ms(s->loop);
    l->stats.repl_offset = l->stats.repl_stream_db = -1;
    chain_init(&l->input);
    struct rdb_decode_options decode = {.limits = s->limits, .sanitize = options->sanitize};
    l->decoder = rdb_file_decoder_new(&decode, options->checksum, &loader_sink, l);
    l->rest.fire = rest_over;
    job_init(&l->job, "load", loader_step);
    return l;
}

void *loader_owner(struct loader *l)
{
    return l->owner;
}

size_t loader_push(struct loader *l, struct bytes data)
{
    if (l->over) {
        // Behind the end: keeps its place after what was left there.
        buf_append_bytes(&l->left, data);
        return 0;
    }
    assert(!l->ended);
    chain_append(&l->input, data.data, data.len);
    l->asked = false;
    if (!deadline_armed(&l->rest)) job_start(l->store->loop, &l->job);
    return l->input.len;
}

void loader_end(struct loader *l)
{
    l->ended = true;
    if (!l->over && !deadline_armed(&l->rest)) job_start(l->store->loop, &l->job);
}

const struct loader_stats *loader_stats(const struct loader *l)
{
    return &l->stats;
}

struct bytes loader_left(const struct loader *l)
{
    return buf_view(&l->left);
}

void loader_free(struct loader *l)
{
    if (l == NULL) return;
    job_stop(l->store->loop, &l->job);
    deadline_cancel(l->store->loop, &l->rest);
    discard_decoder(l->store, l->decoder);
    chain_free(&l->input);
    buf_free(&l->left);
    mem_free(l);
}
