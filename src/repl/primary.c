// The primary's link to one replica, and the pulse of all of them.
//
//   state      deadline  what it is, and what a failure in it leaves behind
//   handshake  none      an ordinary client that has said REPLCONF; the client's own limits hold
//   wait       progress  wants a full sync, which has not begun: we are the ones who keep it
//                        waiting, and tell it so with a newline every second. It has repl-timeout
//                        to take the next of them
//   prepare    progress  its snapshot is being written to a file; newlines as before
//   starved    none      a snapshot or file goes out to it, and everything so far was taken: what
//                        comes next is ours to make
//   send       progress  the same, with bytes that it has to take: it must take some within
//                        repl-timeout, however few
//   armed      silence   it has the whole snapshot and loads it; its first REPLCONF ACK opens the
//                        stream. Acknowledgements and bare newlines are life
//   online     silence   the stream flows; acknowledgements and newlines are life. A replica that
//                        came by SYNC never acknowledges and has no deadline
//   gone       final     out of every list; its client is closed
//
//   handshake --> wait --+--> starved <--> send --> armed --> online
//       |                +--> prepare --^     '---------------^ (from a file: no need to arm)
//       '-------------------------------------------------------^ (partial resync)
//
// Whatever fails, only this replica is lost: others have windows and places of their own.
#include "repl/primary.h"

#include "base/mem.h"

#include <stdio.h>
#include <string.h>

static struct replica_link *link_of(struct machine *m)
{
    return list_entry(m, struct replica_link, machine);
}

void primary_settings_get(const struct primary *p, struct primary_settings *out)
{
    p->host->settings(p->owner, out);
}

void link_write_chain(struct replica_link *l, struct chain *data)
{
    if (l->conn == NULL || l->client_gone) {
        chain_free(data);
        return;
    }
    if (l->before != NULL && l->before->len > 0) conn_write(l->conn, l->before);
    conn_write(l->conn, data);
}

void link_write(struct replica_link *l, struct bytes data)
{
    struct chain out;
    chain_init(&out);
    chain_append(&out, data.data, data.len);
    link_write_chain(l, &out);
}

bool link_tell(struct replica_link *l, enum link_code code, const struct error *why)
{
    struct machine_event event = {.type = EVENT_HOST, .why = why, .code = (int)code};
    return machine_dispatch(&l->machine, &event);
}

// ---- handlers ---------------------------------------------------------------------------------

static int fail(struct replica_link *l, const struct machine_event *event)
{
    const char *why = event->why != NULL ? event->why->text : "";
    if (event->code == LINK_FAILED)
        log_warning(l->primary->log, "SYNC failed. BGSAVE failed for replica %s: %s", l->name, why);
    if (event->code == LINK_OVER_LIMIT) {
        log_warning(l->primary->log,
                    "Client replica %s scheduled to be closed ASAP for overcoming of output buffer "
                    "limits.",
                    l->name);
        l->primary->host->count(l->primary->owner, COUNT_OVER_LIMIT);
    }
    return LINK_GONE;
}

// What ends a link in any state.
static bool is_end(const struct machine_event *event)
{
    return event->type == EVENT_CLOSED || event->type == EVENT_CANCELLED ||
           (event->type == EVENT_HOST &&
            (event->code == LINK_FAILED || event->code == LINK_OVER_LIMIT));
}

static int on_handshake(struct machine *m, const struct machine_event *event)
{
    if (is_end(event)) return LINK_GONE;
    if (event->type != EVENT_HOST) return m->state;
    if (event->code == LINK_ASKED_FULL) return LINK_WAIT;
    if (event->code == LINK_ASKED_PART) return LINK_ONLINE;
    return m->state;
}

static int takes_nothing(struct replica_link *l)
{
    // Asleep we gave it nothing to take; the first newline afterwards begins anew.
    bool waits = l->machine.state == LINK_WAIT || l->machine.state == LINK_PREPARE;
    if (waits && l->primary->asleep) return l->machine.state;
    log_warning(l->primary->log, "Disconnecting timedout replica (full sync): %s", l->name);
    return LINK_GONE;
}

// The snapshot begins to go out.
static int begun(struct replica_link *l, int next)
{
    l->transfer_began_us = loop_now_us(l->primary->loop);
    l->transfer_from_bytes = l->sent_bytes;
    return next;
}

static int on_wait(struct machine *m, const struct machine_event *event)
{
    struct replica_link *l = link_of(m);
    if (event->type == EVENT_TIMEOUT) return takes_nothing(l);
    if (is_end(event)) return fail(l, event);
    if (event->type == EVENT_HOST && event->code == LINK_BEGUN) return begun(l, LINK_STARVED);
    if (event->type == EVENT_HOST && event->code == LINK_BEGUN_FILE) return LINK_PREPARE;
    return m->state;
}

static int on_prepare(struct machine *m, const struct machine_event *event)
{
    struct replica_link *l = link_of(m);
    if (event->type == EVENT_TIMEOUT) return takes_nothing(l);
    if (is_end(event)) return fail(l, event);
    if (event->type == EVENT_HOST && event->code == LINK_FILE_READY) return begun(l, LINK_SEND);
    return m->state;
}

// Where a link stands whose snapshot was taken in whole.
static int sent(struct replica_link *l)
{
    l->transfer_bytes = primary_link_transfer(l, &(uint64_t){0});
    l->transfer_ended_us = loop_now_us(l->primary->loop);
    if (l->rdb_only) {
        log_notice(l->primary->log,
                   "RDB transfer completed, rdb only replica (%s) should be disconnected asap",
                   l->name);
        return LINK_GONE;
    }
    log_notice(l->primary->log, "Synchronization with replica %s succeeded", l->name);
    return l->file != NULL ? LINK_ONLINE : LINK_ARMED;
}

static int on_starved(struct machine *m, const struct machine_event *event)
{
    struct replica_link *l = link_of(m);
    if (is_end(event)) return fail(l, event);
    if (event->type == EVENT_BYTES) return m->state;
    link_pump(l);
    if (conn_queued(l->conn) > 0) return LINK_SEND;
    return l->snapshot_whole && l->pending.len == 0 ? sent(l) : m->state;
}

static int on_send(struct machine *m, const struct machine_event *event)
{
    struct replica_link *l = link_of(m);
    if (event->type == EVENT_TIMEOUT) return takes_nothing(l);
    if (is_end(event)) return fail(l, event);
    link_pump(l);
    if (event->type != EVENT_DRAINED || conn_queued(l->conn) > 0) return m->state;
    return l->snapshot_whole && l->pending.len == 0 ? sent(l) : LINK_STARVED;
}

static int lost(struct replica_link *l)
{
    log_warning(l->primary->log, "Disconnecting timedout replica (streaming sync): %s", l->name);
    return LINK_GONE;
}

static int on_armed(struct machine *m, const struct machine_event *event)
{
    struct replica_link *l = link_of(m);
    if (event->type == EVENT_ENTER) {
        l->ack_us = loop_now_us(m->loop);
        link_leave_sync(l);
    }
    if (event->type == EVENT_TIMEOUT) return lost(l);
    if (is_end(event)) return fail(l, event);
    return event->type == EVENT_BYTES && event->code == LINK_ACK ? LINK_ONLINE : m->state;
}

static int on_online(struct machine *m, const struct machine_event *event)
{
    struct replica_link *l = link_of(m);
    if (event->type == EVENT_ENTER) {
        l->ack_us = loop_now_us(m->loop);
        link_leave_sync(l);
    }
    if (event->type == EVENT_TIMEOUT) return lost(l);
    if (is_end(event)) return fail(l, event);
    if (event->type != EVENT_BYTES) link_pump(l);
    return m->state;
}

static int on_gone(struct machine *m, const struct machine_event *event)
{
    (void)event;
    link_leave_sync(link_of(m));
    return m->state;
}

static uint64_t duration_us(const struct machine *m, enum deadline_kind kind)
{
    const struct replica_link *l = list_entry(m, const struct replica_link, machine);
    struct primary_settings s;
    primary_settings_get(l->primary, &s);
    if (kind == DEADLINE_SILENCE && l->old_sync) return 0;
    bool waits = m->state == LINK_WAIT || m->state == LINK_PREPARE;
    return s.timeout_us + (waits ? PRIMARY_BEAT_US : 0); // until then there is nothing to take
}

static void ended(struct machine *m)
{
    struct replica_link *l = link_of(m);
    struct primary *p = l->primary;
    if (repl_reader_is_open(&l->reader)) {
        repl_reader_close(&l->reader);
        if (repl_stream_trim(p->stream)) job_start(p->loop, &p->trim);
    }
    task_cancel(&l->over);
    task_cancel(&l->wake);
    if (!list_empty(&l->link)) {
        list_remove(&l->link);
        if (--p->link_count == 0) p->alone_since_us = loop_now_us(p->loop);
    }
    if (!l->client_gone) p->host->close(p->owner, l);
}

static const struct machine_state states[LINK_STATES] = {
    [LINK_HANDSHAKE] = {"handshake", DEADLINE_NONE, on_handshake,
                        TO(LINK_WAIT) | TO(LINK_ONLINE) | TO(LINK_GONE), NULL, 0},
    [LINK_WAIT] = {"wait", DEADLINE_PROGRESS, on_wait,
                   TO(LINK_STARVED) | TO(LINK_PREPARE) | TO(LINK_GONE), NULL, 0},
    [LINK_PREPARE] = {"prepare", DEADLINE_PROGRESS, on_prepare, TO(LINK_SEND) | TO(LINK_GONE), NULL,
                      0},
    [LINK_STARVED] = {"starved", DEADLINE_NONE, on_starved,
                      TO(LINK_SEND) | TO(LINK_ARMED) | TO(LINK_ONLINE) | TO(LINK_GONE), NULL, 0},
    [LINK_SEND] = {"send", DEADLINE_PROGRESS, on_send,
                   TO(LINK_STARVED) | TO(LINK_ARMED) | TO(LINK_ONLINE) | TO(LINK_GONE), NULL, 0},
    [LINK_ARMED] = {"armed", DEADLINE_SILENCE, on_armed, TO(LINK_ONLINE) | TO(LINK_GONE), NULL, 0},
    [LINK_ONLINE] = {"online", DEADLINE_SILENCE, on_online, TO(LINK_GONE), NULL, 0},
    [LINK_GONE] = {"gone", DEADLINE_NONE, on_gone, 0, NULL, 0},
};

const struct machine_type replica_link_machine = {
    .name = "replica link",
    .states = states,
    .count = LINK_STATES,
    .final = LINK_GONE,
    .duration_us = duration_us,
    .ended = ended,
};

// ---- sending ----------------------------------------------------------------------------------

// Everything that is held on this replica's account: what it has not been given of the stream, what
// waits of its snapshot, what its conn has not sent.
size_t primary_link_pinned(const struct replica_link *l)
{
    size_t bytes = l->pending.len + (l->conn != NULL ? conn_queued(l->conn) : 0);
    if (repl_reader_is_open(&l->reader))
        bytes += (size_t)repl_reader_left(l->primary->stream, &l->reader);
    return bytes;
}

static void run_over(struct task *task)
{
    struct replica_link *l = list_entry(task, struct replica_link, over);
    if (l->machine.state != LINK_GONE) link_tell(l, LINK_OVER_LIMIT, NULL);
}

static void run_wake(struct task *task)
{
    struct replica_link *l = list_entry(task, struct replica_link, wake);
    // Others are pumped when their conn has room.
    if (l->machine.state == LINK_STARVED || l->machine.state == LINK_ONLINE)
        link_tell(l, LINK_MORE, NULL);
}

void link_check_limit(struct replica_link *l)
{
    struct primary_settings s;
    primary_settings_get(l->primary, &s);
    int64_t pinned = (int64_t)primary_link_pinned(l);
    // A full sync that keeps to its window is nobody's fault, however small the limit.
    if (l->machine.state != LINK_ONLINE)
        pinned -= pinned < LINK_SYNC_FREE_BYTES ? pinned : LINK_SYNC_FREE_BYTES;
    // What the backlog keeps anyway costs nothing: a limit below its size would only make full
    // syncs out of partial ones (Redis 7.0 raises the hard limit in the same way).
    int64_t hard = s.limit_hard_bytes, backlog = l->primary->stream->limit;
    if (hard > 0 && hard < backlog) hard = backlog;
    bool over = hard > 0 && pinned > hard;
    uint64_t now_us = loop_now_us(l->primary->loop);
    if (s.limit_soft_bytes > 0 && pinned > s.limit_soft_bytes) {
        if (l->over_soft_since_us == 0) l->over_soft_since_us = now_us;
        over |= now_us - l->over_soft_since_us > s.limit_soft_us;
    } else {
        l->over_soft_since_us = 0;
    }
    if (over) loop_defer(l->primary->loop, &l->over);
}

bool link_wants_stream(const struct replica_link *l)
{
    return l->machine.state == LINK_ONLINE && repl_reader_is_open(&l->reader) &&
           repl_reader_left(l->primary->stream, &l->reader) > 0;
}

// Gives the conn what it has room for: first the snapshot, and only online the stream.
void link_pump(struct replica_link *l)
{
    size_t queued = conn_queued(l->conn);
    while (l->pending.len > 0 && queued < LINK_WINDOW_BYTES) {
        struct segment *first = list_entry(l->pending.segments.next, struct segment, link);
        struct chain out;
        chain_init(&out);
        size_t len = first->len;
        chain_append_chunk(&out, first->chunk, first->start, first->len);
        chain_consume(&l->pending, len);
        link_write_chain(l, &out);
        queued += len;
    }
    if (l->sinking) l->primary->host->kick(l->primary->owner);
    if (l->read != NULL && l->pending.len == 0 && queued < LINK_WINDOW_BYTES &&
        !sync_read_next(l->read))
        l->snapshot_whole = true;
    if (l->machine.state == LINK_ONLINE && queued < LINK_WINDOW_BYTES) {
        struct chain out;
        chain_init(&out);
        repl_reader_take(l->primary->stream, &l->reader, &out, LINK_WINDOW_BYTES - queued);
        if (out.len > 0) link_write_chain(l, &out);
    }
    // What was written may be gone already, into the system: then nothing else would bring us back.
    bool more = l->pending.len > 0 || link_wants_stream(l);
    if (more && conn_queued(l->conn) < LINK_WINDOW_BYTES) loop_defer(l->primary->loop, &l->wake);
}

// ---- the pulse --------------------------------------------------------------------------------

static void send_pings(struct primary *p, const struct primary_settings *s)
{
    uint64_t now_us = loop_now_us(p->loop);
    if (p->link_count == 0 || now_us - p->pinged_us < s->ping_period_us) return;
    if (p->host->is_replica(p->owner) || p->host->quiet(p->owner) || !p->stream->active) return;
    p->pinged_us = now_us;
    struct bytes word = BYTES("PING");
    repl_stream_command(p->stream, -1, 1, &word);
}

static void age_backlog(struct primary *p, const struct primary_settings *s)
{
    if (p->link_count > 0 || !p->stream->active || s->backlog_ttl_us == 0) return;
    if (p->host->is_replica(p->owner)) return; // a replica's backlog is its way back
    if (loop_now_us(p->loop) - p->alone_since_us <= s->backlog_ttl_us) return;
    // Without a backlog writes are not counted any more, so this history must end here.
    repl_stream_deactivate(p->stream);
    repl_stream_new_id(p->stream);
    log_notice(p->log, "Replication backlog freed after %d seconds without connected replicas.",
               (int)(s->backlog_ttl_us / 1000000));
}

void primary_beat_now(struct primary *p)
{
    struct primary_settings s;
    if (p->asleep) return;
    primary_settings_get(p, &s);
    send_pings(p, &s);
    list_each_safe(at, &p->links)
    {
        struct replica_link *l = list_entry(at, struct replica_link, link);
        int state = l->machine.state;
        if (state == LINK_WAIT || state == LINK_PREPARE) link_write(l, BYTES("\n"));
    }
    age_backlog(p, &s);
    if (repl_stream_trim(p->stream)) job_start(p->loop, &p->trim);
    primary_try_sync(p);
}

static void on_beat(struct deadline *d)
{
    struct primary *p = list_entry(d, struct primary, beat);
    deadline_arm(p->loop, d, loop_now_us(p->loop) + PRIMARY_BEAT_US);
    primary_beat_now(p);
}

// ---- life -------------------------------------------------------------------------------------

static enum job_state trim_step(struct job *job, struct budget *budget)
{
    struct primary *p = list_entry(job, struct primary, trim);
    do {
        if (!repl_stream_trim(p->stream)) return JOB_IDLE;
    } while (budget_left(budget, REPL_TRIM_CHUNKS * 8));
    return JOB_MORE;
}

static void on_gather(struct deadline *d)
{
    primary_try_sync(list_entry(d, struct primary, gather));
}

void primary_init(struct primary *p, struct loop *loop, struct log *log, struct repl_stream *stream,
                  const struct primary_host *host, void *owner)
{
    *p = (struct primary){.loop = loop, .log = log, .stream = stream, .host = host, .owner = owner};
    list_init(&p->links);
    list_init(&p->files);
    p->gather.fire = on_gather;
    p->beat.fire = on_beat;
    job_init(&p->trim, "backlog", trim_step);
    p->alone_since_us = p->pinged_us = loop_now_us(loop);
    primary_push_init(p);
    deadline_arm(loop, &p->beat, loop_now_us(loop) + PRIMARY_BEAT_US);
}

void primary_free(struct primary *p)
{
    deadline_cancel(p->loop, &p->gather);
    deadline_cancel(p->loop, &p->beat);
    primary_push_free(p);
    job_stop(p->loop, &p->trim);
    primary_sync_free(p);
}

struct replica_link *primary_link_new(struct primary *p, struct conn *conn, struct chain *before,
                                      void *client)
{
    struct replica_link *l = mem_new(struct replica_link);
    l->primary = p;
    l->conn = conn;
    l->before = before;
    l->client = client;
    list_init(&l->link);
    list_init(&l->sink.link);
    list_init(&l->reader.link);
    chain_init(&l->pending);
    task_init(&l->over, run_over);
    task_init(&l->wake, run_wake);
    conn_peer(conn, l->peer, sizeof(l->peer));
    snprintf(l->name, sizeof(l->name), "%s", l->peer);
    l->machine.peer = l->name;
    machine_start(&l->machine, &replica_link_machine, p->loop, p->log, LINK_HANDSHAKE);
    return l;
}

void primary_link_free(struct replica_link *l)
{
    l->client_gone = true;
    if (l->machine.state == LINK_ONLINE || l->machine.state == LINK_ARMED)
        log_warning(l->primary->log, "Connection with replica %s lost.", l->name);
    if (l->machine.state != LINK_GONE)
        machine_dispatch(&l->machine, &(struct machine_event){.type = EVENT_CANCELLED});
    chain_free(&l->pending);
    mem_free(l);
}

void primary_disconnect_all(struct primary *p)
{
    list_each_safe(at, &p->links)
    {
        struct replica_link *l = list_entry(at, struct replica_link, link);
        machine_dispatch(&l->machine, &(struct machine_event){.type = EVENT_CANCELLED});
    }
    primary_sync_free(p);
}

void primary_sleep(struct primary *p, bool asleep)
{
    p->asleep = asleep;
    list_each(at, &p->links)
    {
        struct replica_link *l = list_entry(at, struct replica_link, link);
        if (asleep)
            machine_pause(&l->machine);
        else
            machine_resume(&l->machine);
    }
    if (!asleep) primary_try_sync(p);
}
