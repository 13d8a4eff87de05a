// DUMP and RESTORE in the node. A RESTORE has four steps, of which small payloads do all at once:
// decode (as the payload arrives), tell replicas (a large value in batches on a temporary key),
// wait until the key may be written, attach.
#include "migrate/restore.h"

#include "base/mem.h"
#include "base/text.h"
#include "migrate/replay.h"
#include "node/acl.h"
#include "node/migrate_node.h"
#include "node/notify.h"
#include "node/parts.h"
#include "node/pause.h"
#include "node/persist.h"
#include "rdb/encode.h"
#include "store/access.h"

// ---- DUMP ---------------------------------------------------------------------------------------

struct dump {
    struct suspension suspension;
    struct job job;
    struct node *node;
    int db;
    struct entry *entry; // held
    struct dump_encoder *encoder;
    struct chain payload;
};

enum { DUMP_PIECE_BYTES = 16 * 1024 };

// Appends a piece. True when the payload is complete.
static bool dump_piece(struct dump_encoder *e, struct chain *to, struct budget *budget)
{
    struct chunk *piece = chunk_new(DUMP_PIECE_BYTES);
    piece->len = (uint32_t)dump_encoder_read(e, piece->data, piece->cap, budget);
    chain_append_chunk(to, piece, 0, piece->len);
    chunk_unref(piece);
    return dump_encoder_done(e);
}

static void dump_end(struct dump *d)
{
    job_stop(d->node->loop, &d->job);
    dump_encoder_free(d->encoder);
    chain_free(&d->payload);
    store_release(&d->node->store, d->db, d->entry);
    mem_free(d);
}

static enum job_state dump_step(struct job *job, struct budget *budget)
{
    struct dump *d = list_entry(job, struct dump, job);
    do {
        if (!dump_piece(d->encoder, &d->payload, budget)) continue;
        reply_bulk_chain(client_reply(d->suspension.client), &d->payload);
        client_resume(&d->suspension);
        dump_end(d);
        return JOB_DONE;
    } while (budget_left(budget, 1));
    return JOB_MORE;
}

static void dump_gone(struct suspension *s)
{
    dump_end(list_entry(s, struct dump, suspension));
}

void dump_command(struct ctx *c)
{
    struct entry *e = ctx_find_read(c, ctx_arg(c, 1));
    if (e == NULL) {
        reply_null(c->reply);
        return;
    }
    struct rdb_options options = persist_payload_options(c->node);
    struct dump *d = mem_new(struct dump);
    d->node = c->node;
    d->db = c->db;
    d->entry = e;
    d->encoder = dump_encoder_new(&e->value, &options);
    d->suspension.gone = dump_gone;
    chain_init(&d->payload);
    job_init(&d->job, "dump", dump_step);
    store_hold(&c->node->store, c->db, e);
    if (!value_is_small(&e->value) && ctx_suspend(c, &d->suspension)) {
        job_start(c->node->loop, &d->job);
        return;
    }
    while (!dump_piece(d->encoder, &d->payload, NULL)) {
    }
    reply_bulk_chain(c->reply, &d->payload);
    dump_end(d);
}

// ---- RESTORE ------------------------------------------------------------------------------------

struct restore {
    struct suspension suspension;
    struct list link; // node->restores
    struct node *node;
    int db;
    struct str *key;
    bool replace, absolute, from_primary;
    int64_t expire_ms, idle_s;
    int freq;
    struct restore_stream *stream;
    struct value value;
    bool has_value, sanitized;
    struct replay *replay; // batches for replicas
    // What the replay counts on: no snapshot was cut, no database swapped or emptied since.
    uint32_t replay_epoch;
    uint64_t replay_db_changes;
    bool insists; // that no snapshot for replicas is cut: one has been, in the middle of it
    struct waiter waiter;
};

// "clients": all but our primary and users that skip-sanitize-payload trusts.
static bool sanitizes(const struct client *c)
{
    int mode = c->node->config.sanitize_dump_payload;
    bool trusted = c->user == NULL || c->user->payload == PAYLOAD_SKIP;
    return mode == SANITIZE_YES || (mode == SANITIZE_CLIENTS && !trusted);
}

static struct rdb_decode_options decode_options(const struct client *c)
{
    return (struct rdb_decode_options){
        .limits = &c->node->config.limits,
        .sanitize = sanitizes(c),
    };
}

static void restore_free(struct restore *r)
{
    list_remove(&r->waiter.link);
    list_remove(&r->link);
    if (r->insists) r->node->insistent_replays--;
    if (r->stream != NULL) restore_stream_drop(r->stream);
    if (r->replay != NULL) replay_cancel(r->replay);
    if (r->has_value) store_free_value(&r->node->store, &r->value);
    str_free(r->key);
    mem_free(r);
}

// Only a stream may be empty.
static bool is_empty(const struct value *v)
{
    return v->type != VALUE_STREAM && v->type != VALUE_STRING && value_length(v) == 0;
}

// What the client is told; the log says more.
static const char *bad_payload(struct node *n, const struct error *error)
{
    log_verbose(&n->log, "RESTORE refused a payload: %s", error->text);
    return error->class == ERROR_UNSUPPORTED ? "DUMP payload version or checksum are wrong"
                                             : "Bad data format";
}

// Puts the value in place. The key may be written now; the caller propagates.
static void attach(struct restore *r)
{
    struct node *n = r->node;
    struct db *db = store_db(&n->store, r->db);
    struct entry *old = db_find(db, str_view(r->key));
    if (old != NULL) db_delete(&n->store, db, old);
    struct entry *e = db_add(&n->store, db, str_view(r->key), &r->value);
    r->has_value = false;
    if (r->expire_ms >= 0) db_set_expire(&n->store, db, e, r->expire_ms);
    if (r->idle_s >= 0) entry_set_idle_s(&n->store, e, r->idle_s);
    if (r->freq >= 0) entry_set_freq(&n->store, e, r->freq);
    n->dirty++;
    node_key_changed(n, r->db, str_view(r->key));
    node_notify(n, NOTIFY_GENERIC, "restore", str_view(r->key), r->db);
    node_key_ready(n, r->db, str_view(r->key));
}

static bool is_past(const struct restore *r)
{
    return r->expire_ms >= 0 && !r->from_primary && !node_is_replica(r->node) &&
           r->expire_ms <= loop_unix_ms(r->node->loop);
}

// A time to live that is over already: what REPLACE takes away is all that happens.
static void attach_expired(struct restore *r)
{
    if (r->replace) node_delete_key(r->node, r->db, str_view(r->key));
}

static void finish(struct restore *r, const char *error)
{
    struct reply *reply = client_reply(r->suspension.client);
    if (error != NULL)
        reply_error(reply, error);
    else
        reply_ok(reply);
    client_wrote(r->suspension.client);
    client_resume(&r->suspension);
    restore_free(r);
}

// ---- the steps of a streamed one ----------------------------------------------------------------

static void step_replay(struct restore *r);

// Replicas that get a snapshot which was cut while they were being told have not seen its
// beginning; and what was told before a flush or a swap is not where it was.
static bool replay_is_void(const struct restore *r)
{
    const struct node *n = r->node;
    if (r->from_primary) return false;
    if (r->replay == NULL) return repl_feeding(n) && !is_past(r);
    return r->replay_epoch != n->store.epoch || r->replay_db_changes != n->db_changes;
}

static void tell_again(struct restore *r)
{
    if (r->replay != NULL) {
        replay_undo(r->replay);
        replay_cancel(r->replay);
        r->replay = NULL;
        if (!r->insists) r->node->insistent_replays++;
        r->insists = true;
    }
    step_replay(r);
}

static void step_attach(struct waiter *w)
{
    struct restore *r = list_entry(w, struct restore, waiter);
    struct node *n = r->node;
    if (pause_holds_up(n, r->from_primary, &r->waiter)) return;
    if (store_before_write(&n->store, r->db, str_view(r->key), &r->waiter) == WRITE_WAIT) return;
    if (replay_is_void(r)) {
        tell_again(r);
        return;
    }
    struct entry *old = db_find(store_db(&n->store, r->db), str_view(r->key));
    if (old != NULL && !r->replace && !entry_expired(old, loop_unix_ms(n->loop))) {
        if (r->replay != NULL) replay_undo(r->replay);
        finish(r, "-BUSYKEY Target key name already exists.");
        return;
    }
    if (is_past(r)) {
        if (r->replay != NULL) replay_undo(r->replay);
        attach_expired(r);
    } else {
        if (r->replay != NULL) replay_commit(r->replay, r->expire_ms);
        attach(r);
    }
    node_serve_ready(n);
    finish(r, NULL);
}

static void replay_done(void *owner)
{
    struct restore *r = owner;
    r->waiter.ready = step_attach;
    step_attach(&r->waiter);
}

static void replay_feed(void *owner, int argc, const struct bytes *argv)
{
    struct restore *r = owner;
    node_propagate(r->node, r->db, argc, argv);
}

static void replay_may(struct waiter *w)
{
    replay_go_on(list_entry(w, struct restore, waiter)->replay);
}

// While writes are paused (a failover compares offsets) nothing is added to the stream, and not
// much more than replicas take.
static bool replay_waits(void *owner)
{
    struct restore *r = owner;
    r->waiter.ready = replay_may;
    return pause_holds_up(r->node, false, &r->waiter) || repl_let_follow(r->node, &r->waiter);
}

static const struct replay_events replay_events = {replay_feed, replay_waits, replay_done};

static void step_replay(struct restore *r)
{
    struct node *n = r->node;
    r->waiter.ready = step_attach;
    if (r->from_primary || !repl_feeding(n) || is_past(r)) {
        step_attach(&r->waiter);
        return;
    }
    r->replay_epoch = n->store.epoch;
    r->replay_db_changes = n->db_changes;
    r->replay =
        replay_start(n->loop, str_view(r->key), &r->value, rng_next(&n->rng), &replay_events, r);
}

void restore_role_changed(struct node *n)
{
    list_each_safe(at, &n->restores)
    {
        struct restore *r = list_entry(at, struct restore, link);
        if (!r->from_primary) finish(r, "-READONLY You can't write against a read only replica.");
    }
}

static void resume_input(struct client *c)
{
    if (c != NULL && c->conn != NULL && !(c->flags & CLIENT_CLOSING)) conn_resume(c->conn);
}

static void arriving_want(void *owner)
{
    resume_input(owner);
}

static void awaiting_want(void *owner)
{
    struct restore *r = owner;
    resume_input(r->suspension.client);
}

static void stream_done(void *owner)
{
    struct restore *r = owner;
    struct error error = ERROR_OK;
    bool ok = restore_stream_take(r->stream, &r->value, &error);
    restore_stream_drop(r->stream);
    r->stream = NULL;
    r->has_value = ok;
    if (ok && r->sanitized) r->node->stats.dump_payload_sanitizations++;
    if (ok && !is_empty(&r->value)) {
        step_replay(r);
        return;
    }
    if (ok) error_set(&error, ERROR_CORRUPT, "the container is empty");
    finish(r, bad_payload(r->node, &error));
}

static const struct restore_events arriving = {.want = arriving_want};
static const struct restore_events awaiting = {.want = awaiting_want, .done = stream_done};

bool restore_wants_stream(struct client *c, const struct request *so_far, int index, uint64_t len)
{
    (void)len;
    if (index != 3 || so_far->argc < 3 || c->restore != NULL) return false;
    struct bytes name = str_view(so_far->argv[0]);
    return bytes_equal_nocase(name, "restore") || bytes_equal_nocase(name, "restore-asking");
}

void restore_stream_chunk(struct client *c, const struct request_stream *piece)
{
    struct node *n = c->node;
    if (piece->first) {
        struct rdb_decode_options options = decode_options(c);
        c->restore = restore_stream_new(n->loop, piece->len, &options, n->skip_dump_checksum);
        restore_stream_listen(c->restore, &arriving, c);
    }
    if (restore_stream_push(c->restore, piece->chunk) && c->conn != NULL) conn_pause(c->conn);
}

void restore_stream_free(struct client *c)
{
    if (c->restore == NULL) return;
    restore_stream_drop(c->restore);
    c->restore = NULL;
    resume_input(c);
}

static void restore_gone(struct suspension *s)
{
    struct restore *r = list_entry(s, struct restore, suspension);
    if (r->replay != NULL) replay_undo(r->replay);
    restore_free(r);
}

// ---- the command --------------------------------------------------------------------------------

static bool parse_restore(struct ctx *c, struct restore *r)
{
    int64_t ttl, number;
    for (int i = 4; i < c->argc; i++) {
        int left = c->argc - i - 1;
        if (ctx_is(c, i, "replace"))
            r->replace = true;
        else if (ctx_is(c, i, "absttl"))
            r->absolute = true;
        else if (ctx_is(c, i, "idletime") && left >= 1 && r->freq < 0) {
            if (!ctx_int(c, ++i, &r->idle_s)) return false;
            if (r->idle_s < 0) {
                reply_error(c->reply, "Invalid IDLETIME value, must be >= 0");
                return false;
            }
        } else if (ctx_is(c, i, "freq") && left >= 1 && r->idle_s < 0) {
            if (!ctx_int(c, ++i, &number)) return false;
            if (number < 0 || number > 255) {
                reply_error(c->reply, "Invalid FREQ value, must be >= 0 and <= 255");
                return false;
            }
            r->freq = (int)number;
        } else {
            ctx_syntax_error(c);
            return false;
        }
    }
    struct entry *old = r->replace ? NULL : ctx_find_write(c, str_view(r->key));
    if (old != NULL) {
        reply_error(c->reply, "-BUSYKEY Target key name already exists.");
        return false;
    }
    if (!ctx_int(c, 2, &ttl)) return false;
    if (ttl < 0 || (!r->absolute && ttl > INT64_MAX - ctx_now_ms(c))) {
        reply_error(c->reply, "Invalid TTL value, must be >= 0");
        return false;
    }
    if (ttl > 0) r->expire_ms = r->absolute ? ttl : ttl + ctx_now_ms(c);
    return true;
}

// A small one goes to replicas as it came, IDLETIME and FREQ with it, but that its time to live is
// made absolute. A streamed one can't tell them these two: no command but RESTORE sets them.
static void propagate_small(struct ctx *c, const struct restore *r)
{
    if (r->expire_ms < 0 || r->absolute) return;
    char ttl[TEXT_I64_BYTES];
    struct bytes *argv = mem_array(struct bytes, (size_t)c->argc + 1);
    for (int i = 0; i < c->argc; i++)
        argv[i] = ctx_arg(c, i);
    argv[2] = bytes_of(ttl, text_from_i64(ttl, r->expire_ms));
    argv[c->argc] = BYTES("ABSTTL");
    ctx_propagate_as(c, c->argc + 1, argv);
    mem_free(argv);
}

static bool decode_whole(struct ctx *c, struct restore *r)
{
    struct rdb_decode_options options = decode_options(c->client);
    struct bytes payload = ctx_arg(c, 3);
    struct error error = ERROR_OK;
    struct restore_decoder *d =
        restore_decoder_new(payload.len, &options, c->node->skip_dump_checksum);
    enum rdb_progress got = restore_decoder_push(d, &payload, NULL, &error);
    if (got == RDB_DONE) {
        r->value = restore_decoder_take(d);
        r->has_value = true;
        if (is_empty(&r->value))
            error_set(&error, ERROR_CORRUPT, "the container is empty");
        else if (options.sanitize)
            c->node->stats.dump_payload_sanitizations++;
    } else if (!error_is(&error)) {
        error_set(&error, ERROR_UNSUPPORTED, "the payload is too short");
    }
    restore_decoder_free(d);
    if (!error_is(&error)) return true;
    reply_error(c->reply, bad_payload(c->node, &error));
    return false;
}

static void restore_at_once(struct ctx *c, struct restore *r)
{
    if (!decode_whole(c, r)) return;
    if (is_past(r)) {
        attach_expired(r);
        ctx_propagate_none(c);
    } else {
        attach(r);
        c->dirty++;
        c->node->dirty--; // attach has counted it
        propagate_small(c, r);
    }
    reply_ok(c->reply);
}

void restore_command(struct ctx *c)
{
    struct restore *r = mem_new(struct restore);
    r->node = c->node;
    r->db = c->db;
    r->key = str_from(ctx_arg(c, 1));
    r->expire_ms = r->idle_s = r->freq = -1;
    r->from_primary = (c->client->flags & CLIENT_PRIMARY) != 0;
    r->sanitized = sanitizes(c->client);
    r->suspension.gone = restore_gone;
    r->waiter.ready = step_attach;
    list_init(&r->waiter.link);
    list_init(&r->link);
    if (!parse_restore(c, r)) {
        restore_free(r);
        return;
    }
    if (c->client->restore == NULL) {
        restore_at_once(c, r);
        restore_free(r);
        return;
    }
    r->stream = c->client->restore;
    c->client->restore = NULL;
    ctx_suspend(c, &r->suspension);
    ctx_propagate_none(c);
    list_push_back(&c->node->restores, &r->link);
    restore_stream_listen(r->stream, &awaiting, r);
    restore_stream_await(r->stream);
}
