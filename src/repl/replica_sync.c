// A full sync as the replica receives it: header, transfer, finish (the table is in replica.c). The
// RDB is decoded as it arrives into a keyspace aside. What follows it, the mark and the beginning
// of the stream, is found behind the RDB's own end.
#include "repl/replica_impl.h"

#include <string.h>

// ---- decoding --------------------------------------------------------------------------------

static void on_loader_want(struct loader *l)
{
    struct replica *r = loader_owner(l);
    machine_dispatch(&r->machine, &(struct machine_event){.type = EVENT_HOST, .code = CODE_WANT});
}

static void on_loader_done(struct loader *l, const struct error *error)
{
    struct replica *r = loader_owner(l);
    struct machine_event event = {.type = EVENT_HOST, .code = CODE_LOADED, .why = error};
    machine_dispatch(&r->machine, &event);
}

static const struct loader_events loader_events = {on_loader_want, on_loader_done};

int replica_on_header(struct machine *m, const struct machine_event *event)
{
    struct replica *r = replica_of(m);
    if (event->type == EVENT_CLOSED || event->type == EVENT_TIMEOUT) {
        log_warning(r->log, "I/O error reading bulk count from MASTER: %s",
                    event->type == EVENT_CLOSED ? replica_why(event) : "timed out");
        return replica_retry(r);
    }
    int next = replica_common(r, event);
    if (next != -1) return next;
    if (event->type != EVENT_BYTES || event->input.len == 0) return m->state;
    if (event->input.data[0] == '-') {
        log_warning(r->log, "MASTER aborted replication with an error: %.*s", (int)event->input.len,
                    event->input.data);
        return replica_retry(r);
    }
    struct error error;
    if (!line_parse_payload(event->input, &r->payload, &error)) {
        log_warning(r->log,
                    "Bad protocol from MASTER, the first byte is not '$' (we received '%.*s'), are "
                    "you sure the host and port are right?",
                    event->input.len < 100 ? (int)event->input.len : 100, event->input.data);
        return replica_retry(r);
    }
    if (r->payload.until_mark)
        log_notice(r->log, "MASTER <-> REPLICA sync: receiving streamed RDB from master with EOF "
                           "to parser");
    else
        log_notice(r->log, "MASTER <-> REPLICA sync: receiving %llu bytes from master to parser",
                   (unsigned long long)r->payload.len);
    return REPLICA_TRANSFER;
}

// Remembers the last bytes, in which the mark would stand.
static bool see_mark(struct replica *r, struct bytes input)
{
    size_t keep = sizeof(r->tail);
    if (input.len >= keep) {
        memcpy(r->tail, input.data + input.len - keep, keep);
        r->tail_len = keep;
    } else {
        size_t old = r->tail_len + input.len > keep ? keep - input.len : r->tail_len;
        memmove(r->tail, r->tail + r->tail_len - old, old);
        memcpy(r->tail + old, input.data, input.len);
        r->tail_len = old + input.len;
    }
    return r->tail_len == keep && memcmp(r->tail, r->payload.mark, keep) == 0;
}

static int sync_failed(struct replica *r, const char *why)
{
    if (strncmp(why, "Internal error in RDB", 21) == 0) { // the loader's own words
        log_warning(r->log, "%s", why);
    } else {
        unsigned long long at = r->loader != NULL ? loader_stats(r->loader)->bytes : 0;
        log_warning(r->log, "Internal error in RDB reading offset %llu: %s", at, why);
    }
    log_warning(r->log, "Failed trying to load the MASTER synchronization DB from socket: the old "
                        "data stays");
    return replica_retry(r);
}

// All of the payload is here. An RDB that is not whole by now never will be.
static int payload_complete(struct replica *r)
{
    r->received = true;
    r->sync_ended_us = loop_now_us(r->loop);
    if (!r->loaded) loader_end(r->loader);
    r->host->load_received(r->owner);
    return REPLICA_FINISH;
}

// Bytes behind the RDB: the mark, if one was announced, then the beginning of the stream.
static int check_after(struct replica *r)
{
    if (!r->payload.until_mark) return REPLICA_TRANSFER;
    struct bytes view = buf_view(&r->after);
    size_t have = view.len < LINE_EOF_MARK_BYTES ? view.len : LINE_EOF_MARK_BYTES;
    if (memcmp(view.data, r->payload.mark, have) != 0)
        return sync_failed(r, "what follows the end of the RDB is not the announced mark");
    return have == LINE_EOF_MARK_BYTES ? payload_complete(r) : REPLICA_TRANSFER;
}

static int take_payload(struct replica *r, struct bytes input)
{
    if (!r->payload.until_mark) {
        uint64_t left = r->payload.len - r->payload_bytes;
        size_t part = input.len < left ? input.len : (size_t)left;
        r->payload_bytes += part;
        if (!r->loaded &&
            loader_push(r->loader, bytes_of(input.data, part)) > LOADER_HIGH_WATER_BYTES)
            replica_hold_back(r);
        buf_append(&r->after, input.data + part, input.len - part);
        return r->payload_bytes == r->payload.len ? payload_complete(r) : REPLICA_TRANSFER;
    }
    r->payload_bytes += input.len;
    if (r->loaded) {
        buf_append_bytes(&r->after, input);
        return check_after(r);
    }
    if (loader_push(r->loader, input) > LOADER_HIGH_WATER_BYTES) replica_hold_back(r);
    return see_mark(r, input) ? payload_complete(r) : REPLICA_TRANSFER;
}

static void begin_transfer(struct replica *r)
{
    r->payload_bytes = 0;
    r->tail_len = 0;
    r->loaded = r->received = false;
    r->sync_began_us = loop_now_us(r->loop);
    r->sync_ended_us = 0;
    buf_clear(&r->after);
    r->loader = r->host->load_begin(r->owner, r->sync_id, &loader_events, r);
    if (!r->payload.until_mark && r->payload.len == 0) loader_end(r->loader);
}

// The loader is done, well or not. Keeps what it has left over.
static bool take_loaded(struct replica *r, const struct machine_event *event)
{
    if (error_is(event->why)) return false;
    r->loaded = true;
    if (!r->payload.until_mark) return true;
    // What came while it decoded the rest stands behind what it has left over.
    struct buf joined = BUF_EMPTY;
    buf_append_bytes(&joined, loader_left(r->loader));
    buf_append_bytes(&joined, buf_view(&r->after));
    buf_free(&r->after);
    r->after = joined;
    return true;
}

int replica_on_transfer(struct machine *m, const struct machine_event *event)
{
    struct replica *r = replica_of(m);
    switch (event->type) {
    case EVENT_ENTER:
        begin_transfer(r);
        return m->state;
    case EVENT_BYTES:
        return take_payload(r, event->input);
    case EVENT_TIMEOUT:
        log_warning(r->log, "Timeout receiving bulk data from MASTER... If the problem persists "
                            "try to set the 'repl-timeout' parameter in redis.conf to a larger "
                            "value.");
        return replica_retry(r);
    case EVENT_CLOSED:
        log_warning(r->log, "I/O error trying to sync with MASTER: %s", replica_why(event));
        return sync_failed(r, "the link was lost before its end");
    case EVENT_HOST:
        if (event->code == CODE_WANT) replica_let_go_on(r);
        if (event->code != CODE_LOADED) break;
        if (!take_loaded(r, event)) return sync_failed(r, replica_why(event));
        replica_let_go_on(r);
        return check_after(r);
    default:
        break;
    }
    int next = replica_common(r, event);
    return next != -1 ? next : m->state;
}

// The new data is in service: its history is ours from here on.
static int adopted(struct replica *r)
{
    const struct loader_stats *stats = loader_stats(r->loader);
    r->db = stats->repl_stream_db >= 0 ? stats->repl_stream_db : 0;
    loader_free(r->loader);
    r->loader = NULL;
    repl_stream_reset(r->stream, r->sync_id, r->sync_offset);
    r->cached = true;
    if (r->old_primary && r->conn == NULL) r->cached = false; // its stream can't be gone on with
    log_notice(r->log, "MASTER <-> REPLICA sync: Finished with success");
    if (r->conn != NULL) return REPLICA_STREAM;
    // Lost meanwhile: we go on from this offset, so that what came behind the RDB comes again.
    buf_free(&r->after);
    return REPLICA_CONNECT;
}

static int try_adopt(struct replica *r)
{
    if (!r->loaded || !r->received) return REPLICA_FINISH;
    if (r->payload.until_mark) {
        struct bytes view = buf_view(&r->after);
        if (view.len < LINE_EOF_MARK_BYTES ||
            memcmp(view.data, r->payload.mark, LINE_EOF_MARK_BYTES) != 0)
            return sync_failed(r, "what follows the end of the RDB is not the announced mark");
        buf_consume(&r->after, LINE_EOF_MARK_BYTES);
        r->payload.until_mark = false;
    }
    log_notice(r->log, "MASTER <-> REPLICA sync: Flushing old data");
    if (!r->host->adopt(r->owner, loader_stats(r->loader))) return REPLICA_FINISH;
    return adopted(r);
}

int replica_on_finish(struct machine *m, const struct machine_event *event)
{
    struct replica *r = replica_of(m);
    switch (event->type) {
    case EVENT_ENTER:
        replica_let_go_on(r);
        return try_adopt(r);
    case EVENT_BYTES: // stream that comes before we can apply it
        buf_append_bytes(&r->after, event->input);
        if (buf_len(&r->after) > REPLICA_EARLY_BYTES) replica_hold_back(r);
        return m->state;
    case EVENT_CLOSED:
        log_warning(r->log, "Connection with master lost while its data is being loaded.");
        r->held_back = false;
        return m->state;
    case EVENT_HOST:
        if (event->code == CODE_ADOPTED) return adopted(r);
        if (event->code == CODE_DROP) {
            replica_drop_conn(r);
            return m->state;
        }
        if (event->code != CODE_LOADED) return m->state;
        return take_loaded(r, event) ? try_adopt(r) : sync_failed(r, replica_why(event));
    default:
        break;
    }
    int next = replica_common(r, event);
    return next != -1 ? next : m->state;
}

void replica_drop_sync(struct replica *r)
{
    if (r->loader != NULL) {
        loader_free(r->loader);
        r->loader = NULL;
        r->host->load_abort(r->owner);
    }
    buf_free(&r->after);
    r->loaded = r->received = false;
    if (r->sync_ended_us == 0) r->sync_ended_us = loop_now_us(r->loop);
}
