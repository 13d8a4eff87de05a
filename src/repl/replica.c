// Following a primary.
//
//   state     deadline  what it is, and what a failure in it leaves behind
//   off       final     told to stop; data and history stay as they are
//   backoff   backoff   a second after a failure
//   connect   connect   resolve, connect, TLS: repl-timeout in all
//   ping      reply     PING; any answer that shows a living primary will do
//   auth      reply     AUTH, when masterauth is set
//   port      reply     REPLCONF listening-port; a primary that does not know it is no failure
//   ip        reply     REPLCONF ip-address, when replica-announce-ip is set
//   capa      reply     REPLCONF capa eof capa psync2
//   psync     silence   PSYNC; the answer comes when its snapshot begins, newlines until then are
//                       life. Only whole lines are events: an endless line buys no time. A primary
//                       that does not know PSYNC is asked by SYNC and answers with the header
//   header    silence   +FULLRESYNC has come, "$..." has not; newlines are life
//   transfer  silence   the RDB, decoded as it arrives; any byte is life. While the decoder is
//                       behind we hold the primary back, and its silence is not its own
//   finish    none      all of it is here: the rest of the decoding, and holds on old keys, are
//                       ours. A link that is lost now is made again afterwards, from the offset of
//                       this sync
//   stream    silence   the stream, applied as it arrives; any byte is life (pings come every
//                       repl-ping-replica-period). Nothing runs while we hold the primary back
//
//   backoff --> connect --> ping --> auth --> port --> ip --> capa --> psync --+--> stream
//      ^           ^           any failure goes back to backoff                |       |
//      |           '-- lost stream ---------- finish <-- transfer <-- header <-'       |
//
// Until `finish` has adopted the new data, every failure leaves the old data and the old history,
// with which the next attempt asks for a partial resync again.
#include "repl/replica_impl.h"

#include "base/mem.h"
#include "proto/command_line.h"

#include <stdio.h>
#include <string.h>

void replica_settings_of(const struct replica *r, struct replica_settings *out)
{
    *out = (struct replica_settings){0};
    r->host->settings(r->owner, out);
}

// ---- the conn ---------------------------------------------------------------------------------

static bool reads_lines(const struct replica *r)
{
    return r->machine.state >= REPLICA_PING && r->machine.state <= REPLICA_HEADER;
}

static void on_opened(struct conn *c, void *owner)
{
    struct replica *r = owner;
    (void)c;
    machine_dispatch(&r->machine, &(struct machine_event){.type = EVENT_OPENED});
}

// Lines first, and raw bytes as soon as a line has changed that. A handler may let the conn go.
static void on_bytes(struct conn *c, void *owner, struct bytes input)
{
    struct replica *r = owner;
    r->last_io_us = loop_now_us(r->loop);
    while (r->conn == c && reads_lines(r)) {
        struct machine_event event = {.type = EVENT_BYTES};
        struct error error;
        switch (line_read(&r->lines, &input, &event.input, &error)) {
        case LINE_NEED_MORE:
            return;
        case LINE_ERROR:
            event =
                (struct machine_event){.type = EVENT_HOST, .code = CODE_BAD_LINE, .why = &error};
            break;
        case LINE_READY:
            break;
        }
        machine_dispatch(&r->machine, &event);
    }
    if (r->conn == c && input.len > 0)
        machine_dispatch(&r->machine, &(struct machine_event){.type = EVENT_BYTES, .input = input});
}

static void on_drained(struct conn *c, void *owner, size_t taken, size_t left)
{
    struct replica *r = owner;
    (void)c;
    struct machine_event event = {.type = EVENT_DRAINED, .taken = taken, .left = left};
    machine_dispatch(&r->machine, &event);
}

static void on_closed(struct conn *c, void *owner, const struct error *why)
{
    struct replica *r = owner;
    (void)c;
    r->conn = NULL;
    machine_dispatch(&r->machine, &(struct machine_event){.type = EVENT_CLOSED, .why = why});
}

static const struct conn_events conn_events = {on_opened, on_bytes, on_drained, on_closed};

static void nobody_opened(struct conn *c, void *owner)
{
    (void)c, (void)owner;
}
static void nobody_bytes(struct conn *c, void *owner, struct bytes input)
{
    (void)c, (void)owner, (void)input;
}
static void nobody_drained(struct conn *c, void *owner, size_t taken, size_t left)
{
    (void)c, (void)owner, (void)taken, (void)left;
}
static void nobody_closed(struct conn *c, void *owner, const struct error *why)
{
    (void)c, (void)owner, (void)why;
}
// Closing takes a while; the conn's last event finds nobody.
static const struct conn_events nobody = {nobody_opened, nobody_bytes, nobody_drained,
                                          nobody_closed};

void replica_drop_conn(struct replica *r)
{
    if (r->conn != NULL) {
        conn_own(r->conn, &nobody, NULL);
        conn_close(r->conn);
        r->conn = NULL;
    }
    line_reader_free(&r->lines);
    r->held_back = false;
    machine_resume(&r->machine);
}

void replica_hold_back(struct replica *r)
{
    if (r->held_back || r->conn == NULL) return;
    r->held_back = true;
    conn_pause(r->conn);
    machine_pause(&r->machine);
}

void replica_let_go_on(struct replica *r)
{
    if (!r->held_back || r->asleep) return;
    r->held_back = false;
    if (r->conn != NULL) conn_resume(r->conn);
    machine_resume(&r->machine);
}

void replica_send_ack(struct replica *r)
{
    if (r->conn == NULL || !replica_link_up(r) || r->old_primary) return;
    struct chain out;
    chain_init(&out);
    request_writef(&out, "REPLCONF ACK %I", r->stream->offset);
    conn_write(r->conn, &out);
}

static void on_beat(struct deadline *d)
{
    struct replica *r = list_entry(d, struct replica, beat);
    deadline_arm(r->loop, d, loop_now_us(r->loop) + REPLICA_BEAT_US);
    if (replica_link_up(r))
        replica_send_ack(r);
    else if (replica_syncing(r) && r->conn != NULL)
        conn_write_bytes(r->conn, BYTES("\n")); // still here, and busy
}

// ---- failures ---------------------------------------------------------------------------------

int replica_retry(struct replica *r)
{
    replica_drop_sync(r);
    replica_drop_conn(r);
    return REPLICA_BACKOFF;
}

const char *replica_why(const struct machine_event *event)
{
    return event->why != NULL ? event->why->text : "";
}

// What every state before the transfer answers in the same way. -1: the event is the state's own.
int replica_common(struct replica *r, const struct machine_event *event)
{
    switch (event->type) {
    case EVENT_CANCELLED:
        replica_drop_sync(r);
        replica_drop_conn(r);
        return REPLICA_OFF;
    case EVENT_TIMEOUT:
        log_warning(r->log, "Timeout connecting to the MASTER...");
        return replica_retry(r);
    case EVENT_CLOSED:
        log_warning(r->log, "Error condition on socket for SYNC: %s", replica_why(event));
        return replica_retry(r);
    case EVENT_HOST:
        if (event->code == CODE_BAD_LINE)
            log_warning(r->log, "Bad protocol from MASTER: %s", replica_why(event));
        if (event->code == CODE_BAD_LINE || event->code == CODE_DROP) return replica_retry(r);
        return -1;
    default:
        return -1;
    }
}

// ---- handshake --------------------------------------------------------------------------------

static int on_backoff(struct machine *m, const struct machine_event *event)
{
    if (event->type == EVENT_TIMEOUT) return REPLICA_CONNECT;
    if (event->type == EVENT_CANCELLED) return REPLICA_OFF;
    return m->state;
}

static int on_connect(struct machine *m, const struct machine_event *event)
{
    struct replica *r = replica_of(m);
    if (event->type == EVENT_OPENED) {
        log_notice(r->log, "Non blocking connect for SYNC fired the event.");
        return REPLICA_PING;
    }
    int next = replica_common(r, event);
    if (next != -1) return next;
    if (event->type != EVENT_ENTER) return m->state;
    struct replica_settings s;
    replica_settings_of(r, &s);
    snprintf(r->peer, sizeof(r->peer), "%s:%d", s.host, s.port);
    m->peer = r->peer;
    struct conn_target target = {.host = s.host,
                                 .port = s.port,
                                 .tls = s.tls,
                                 .source_address = s.source_address,
                                 .verify_name = s.verify_name};
    log_notice(r->log, "Connecting to MASTER %s", r->peer);
    line_reader_init(&r->lines);
    r->conn = net_connect(r->net, &target, &conn_events, r);
    if (r->asleep) replica_hold_back(r);
    log_notice(r->log, "MASTER <-> REPLICA sync started");
    return m->state;
}

// ---- stream -----------------------------------------------------------------------------------

void replica_applied(struct replica *r, uint64_t bytes, int db)
{
    int64_t offset = r->begin_offset + (int64_t)bytes;
    if (offset <= r->stream->offset) return;
    r->db = db;
    repl_stream_commit(r->stream, offset);
}

static int stream_lost(struct replica *r, const char *why)
{
    if (why != NULL) log_warning(r->log, "%s", why);
    log_warning(r->log, "Connection with master lost.");
    if (r->old_primary) r->cached = false;
    if (r->cached) log_notice(r->log, "Caching the disconnected master state.");
    r->down_since_us = loop_now_us(r->loop);
    r->host->stream_end(r->owner);
    repl_stream_drop_received(r->stream);
    replica_drop_conn(r);
    log_notice(r->log, "Reconnecting to MASTER %s", r->peer);
    return REPLICA_CONNECT;
}

static int stream_is_nonsense(struct replica *r)
{
    r->cached = false; // the same bytes would come again
    stream_lost(r, "Protocol error in the stream of MASTER");
    return REPLICA_BACKOFF;
}

static int take_stream(struct replica *r, struct bytes input)
{
    repl_stream_receive(r->stream, input);
    if (!r->host->apply(r->owner, input)) return stream_is_nonsense(r);
    bool behind = r->stream->received - r->stream->offset > REPLICA_UNAPPLIED_BYTES;
    if (behind && r->host->stuck(r->owner)) replica_hold_back(r);
    return REPLICA_STREAM;
}

static int begin_stream(struct replica *r)
{
    r->ever_up = true;
    r->begin_offset = r->stream->offset;
    replica_let_go_on(r);
    r->host->stream_begin(r->owner, r->db);
    replica_send_ack(r); // a primary that waits for it opens its stream now
    struct bytes early = buf_view(&r->after);
    int next = early.len > 0 ? take_stream(r, early) : REPLICA_STREAM;
    buf_free(&r->after);
    return next;
}

static int on_stream(struct machine *m, const struct machine_event *event)
{
    struct replica *r = replica_of(m);
    switch (event->type) {
    case EVENT_ENTER:
        return begin_stream(r);
    case EVENT_BYTES:
        return take_stream(r, event->input);
    case EVENT_TIMEOUT:
        return stream_lost(r, "MASTER timeout: no data nor PING received...");
    case EVENT_CLOSED:
        return stream_lost(r, NULL);
    case EVENT_HOST:
        if (event->code == CODE_NONSENSE) return stream_is_nonsense(r);
        return event->code == CODE_DROP ? stream_lost(r, NULL) : m->state;
    case EVENT_CANCELLED:
        log_notice(r->log, "Connection with master lost.");
        r->down_since_us = loop_now_us(r->loop);
        r->host->stream_end(r->owner);
        repl_stream_drop_received(r->stream);
        replica_drop_conn(r);
        return REPLICA_OFF;
    default:
        return m->state;
    }
}

// ---- the table --------------------------------------------------------------------------------

static uint64_t duration_us(const struct machine *m, enum deadline_kind kind)
{
    if (kind == DEADLINE_BACKOFF) return REPLICA_RETRY_US;
    struct replica_settings s;
    replica_settings_of(list_entry(m, const struct replica, machine), &s);
    return s.timeout_us;
}

static void ended(struct machine *m)
{
    struct replica *r = replica_of(m);
    r->following = false;
    deadline_cancel(r->loop, &r->beat);
}

static void changed(struct machine *m, int from, int to)
{
    struct replica *r = replica_of(m);
    if ((from == REPLICA_STREAM) != (to == REPLICA_STREAM)) r->host->link_changed(r->owner);
}

#define OUT TO(REPLICA_BACKOFF) | TO(REPLICA_OFF)
static const struct machine_state states[REPLICA_STATES] = {
    [REPLICA_OFF] = {"off", DEADLINE_NONE, NULL, 0, NULL, 0},
    [REPLICA_BACKOFF] = {"backoff", DEADLINE_BACKOFF, on_backoff,
                         TO(REPLICA_CONNECT) | TO(REPLICA_OFF), NULL, 0},
    [REPLICA_CONNECT] = {"connect", DEADLINE_CONNECT, on_connect, TO(REPLICA_PING) | OUT, NULL, 0},
    [REPLICA_PING] = {"ping", DEADLINE_REPLY, replica_on_ping, TO(REPLICA_AUTH) | OUT, NULL, 0},
    [REPLICA_AUTH] = {"auth", DEADLINE_REPLY, replica_on_auth, TO(REPLICA_PORT) | OUT,
                      replica_no_password, REPLICA_PORT},
    [REPLICA_PORT] = {"port", DEADLINE_REPLY, replica_on_port, TO(REPLICA_IP) | OUT, NULL, 0},
    [REPLICA_IP] = {"ip", DEADLINE_REPLY, replica_on_ip, TO(REPLICA_CAPA) | OUT,
                    replica_no_announce_ip, REPLICA_CAPA},
    [REPLICA_CAPA] = {"capa", DEADLINE_REPLY, replica_on_capa, TO(REPLICA_PSYNC) | OUT, NULL, 0},
    [REPLICA_PSYNC] = {"psync", DEADLINE_SILENCE, replica_on_psync,
                       TO(REPLICA_HEADER) | TO(REPLICA_STREAM) | OUT, NULL, 0},
    [REPLICA_HEADER] = {"header", DEADLINE_SILENCE, replica_on_header, TO(REPLICA_TRANSFER) | OUT,
                        NULL, 0},
    [REPLICA_TRANSFER] = {"transfer", DEADLINE_SILENCE, replica_on_transfer,
                          TO(REPLICA_FINISH) | OUT, NULL, 0},
    [REPLICA_FINISH] = {"finish", DEADLINE_NONE, replica_on_finish,
                        TO(REPLICA_STREAM) | TO(REPLICA_CONNECT) | OUT, NULL, 0},
    [REPLICA_STREAM] = {"stream", DEADLINE_SILENCE, on_stream, TO(REPLICA_CONNECT) | OUT, NULL, 0},
};
#undef OUT

const struct machine_type replica_machine = {
    .name = "replica",
    .states = states,
    .count = REPLICA_STATES,
    .final = REPLICA_OFF,
    .duration_us = duration_us,
    .ended = ended,
    .changed = changed,
};

// ---- life -------------------------------------------------------------------------------------

void replica_init(struct replica *r, struct loop *loop, struct log *log, struct network *net,
                  struct repl_stream *stream, const struct replica_host *host, void *owner)
{
    *r = (struct replica){
        .loop = loop, .log = log, .net = net, .stream = stream, .host = host, .owner = owner};
    r->beat.fire = on_beat;
    line_reader_init(&r->lines);
}

void replica_follow(struct replica *r)
{
    replica_stop(r);
    r->following = true;
    r->ever_up = false;
    r->down_since_us = loop_now_us(r->loop);
    deadline_arm(r->loop, &r->beat, loop_now_us(r->loop) + REPLICA_BEAT_US);
    r->machine = (struct machine){0};
    machine_start(&r->machine, &replica_machine, r->loop, r->log, REPLICA_CONNECT);
}

void replica_stop(struct replica *r)
{
    if (!r->following) return;
    machine_dispatch(&r->machine, &(struct machine_event){.type = EVENT_CANCELLED});
}

void replica_sleep(struct replica *r, bool asleep)
{
    r->asleep = asleep;
    if (asleep)
        replica_hold_back(r);
    else
        replica_let_go_on(r); // where it has to be held back again, its next bytes say so
}

void replica_free(struct replica *r)
{
    replica_stop(r);
    line_reader_free(&r->lines);
    buf_free(&r->after);
}

static void tell(struct replica *r, enum replica_code code)
{
    struct machine_event event = {.type = EVENT_HOST, .code = (int)code};
    if (r->following) machine_dispatch(&r->machine, &event);
}

void replica_drop_link(struct replica *r)
{
    tell(r, CODE_DROP);
}

void replica_adopted(struct replica *r)
{
    tell(r, CODE_ADOPTED);
}

void replica_nonsense(struct replica *r)
{
    tell(r, CODE_NONSENSE);
}

void replica_unstuck(struct replica *r)
{
    if (r->following && r->machine.state == REPLICA_STREAM) replica_let_go_on(r);
}

const char *replica_role_state(const struct replica *r)
{
    if (!r->following) return "none";
    switch (r->machine.state) {
    case REPLICA_OFF:
    case REPLICA_BACKOFF:
        return "connect";
    case REPLICA_CONNECT:
        return "connecting";
    case REPLICA_TRANSFER:
    case REPLICA_FINISH:
        return "sync";
    case REPLICA_STREAM:
        return "connected";
    default:
        return "handshake";
    }
}
