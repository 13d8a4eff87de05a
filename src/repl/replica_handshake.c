// The handshake of a replica with its primary, from PING to the answer to PSYNC (the table is in
// replica.c). Each state says its request on entering and is left by one line of answer.
#include "repl/replica_impl.h"

#include "proto/command_line.h"

#include <stdio.h>
#include <string.h>

static void say_bytes(struct replica *r, int argc, const struct bytes *argv)
{
    struct chain out;
    chain_init(&out);
    request_write(&out, argc, argv);
    machine_wrote(&r->machine);
    conn_write(r->conn, &out);
}

static void say(struct replica *r, int argc, const char *const *words)
{
    struct bytes argv[8];
    for (int i = 0; i < argc; i++)
        argv[i] = bytes_from_cstr(words[i]);
    say_bytes(r, argc, argv);
}

static bool starts(struct bytes line, const char *word)
{
    size_t len = strlen(word);
    return line.len >= len && memcmp(line.data, word, len) == 0;
}

// What every one of these states is: `ask` on entering, `hear` the line of answer, which says what
// is next. Empty lines are signs of life.
static int exchange(struct machine *m, const struct machine_event *event,
                    void (*ask)(struct replica *r, const struct replica_settings *s),
                    int (*hear)(struct replica *r, struct bytes line))
{
    struct replica *r = replica_of(m);
    int next = replica_common(r, event);
    if (next != -1) return next;
    struct replica_settings s;
    replica_settings_of(r, &s);
    if (event->type == EVENT_ENTER) ask(r, &s);
    bool answered = event->type == EVENT_BYTES && event->input.len > 0;
    return answered ? hear(r, event->input) : m->state;
}

// ---- PING and AUTH ------------------------------------------------------------------------------

static void ask_ping(struct replica *r, const struct replica_settings *s)
{
    (void)s;
    say(r, 1, (const char *[]){"PING"});
}

static int hear_ping(struct replica *r, struct bytes line)
{
    // Errors that only say "not before AUTH" come from a living primary.
    bool alive = line.data[0] == '+' || starts(line, "-NOAUTH") || starts(line, "-NOPERM") ||
                 starts(line, "-ERR operation not permitted");
    if (!alive) {
        log_warning(r->log, "Error reply to PING from master: '%.*s'", (int)line.len, line.data);
        return replica_retry(r);
    }
    log_notice(r->log, "Master replied to PING, replication can continue...");
    return REPLICA_AUTH;
}

int replica_on_ping(struct machine *m, const struct machine_event *event)
{
    return exchange(m, event, ask_ping, hear_ping);
}

static void ask_auth(struct replica *r, const struct replica_settings *s)
{
    if (s->user.data != NULL)
        say_bytes(r, 3, (struct bytes[]){BYTES("AUTH"), s->user, s->password});
    else
        say_bytes(r, 2, (struct bytes[]){BYTES("AUTH"), s->password});
}

static int hear_auth(struct replica *r, struct bytes line)
{
    if (line.data[0] == '+') return REPLICA_PORT;
    log_warning(r->log, "Unable to AUTH to MASTER: %.*s", (int)line.len, line.data);
    return replica_retry(r);
}

int replica_on_auth(struct machine *m, const struct machine_event *event)
{
    return exchange(m, event, ask_auth, hear_auth);
}

bool replica_no_password(const struct machine *m)
{
    struct replica_settings s;
    replica_settings_of(list_entry(m, struct replica, machine), &s);
    return s.password.data == NULL;
}

// ---- REPLCONF -----------------------------------------------------------------------------------

// An old primary may not know it, or not all of it.
static int hear_replconf(struct replica *r, struct bytes line, const char *what, int next)
{
    if (line.data[0] != '+' && line.data[0] != '-') {
        log_warning(r->log, "Unexpected reply to REPLCONF %s from master: %.*s", what,
                    line.len < 200 ? (int)line.len : 200, line.data);
        return replica_retry(r);
    }
    if (line.data[0] == '-')
        log_notice(r->log, "(Non critical) Master does not understand REPLCONF %s: %.*s", what,
                   (int)line.len, line.data);
    return next;
}

static void ask_port(struct replica *r, const struct replica_settings *s)
{
    char port[16];
    snprintf(port, sizeof(port), "%d", s->listening_port);
    say(r, 3, (const char *[]){"REPLCONF", "listening-port", port});
}

static int hear_port(struct replica *r, struct bytes line)
{
    return hear_replconf(r, line, "listening-port", REPLICA_IP);
}

int replica_on_port(struct machine *m, const struct machine_event *event)
{
    return exchange(m, event, ask_port, hear_port);
}

bool replica_no_announce_ip(const struct machine *m)
{
    struct replica_settings s;
    replica_settings_of(list_entry(m, struct replica, machine), &s);
    return s.announce_ip == NULL;
}

static void ask_ip(struct replica *r, const struct replica_settings *s)
{
    say(r, 3, (const char *[]){"REPLCONF", "ip-address", s->announce_ip});
}

static int hear_ip(struct replica *r, struct bytes line)
{
    return hear_replconf(r, line, "ip-address", REPLICA_CAPA);
}

int replica_on_ip(struct machine *m, const struct machine_event *event)
{
    return exchange(m, event, ask_ip, hear_ip);
}

static void ask_capa(struct replica *r, const struct replica_settings *s)
{
    (void)s;
    say(r, 5, (const char *[]){"REPLCONF", "capa", "eof", "capa", "psync2"});
}

static int hear_capa(struct replica *r, struct bytes line)
{
    return hear_replconf(r, line, "capa", REPLICA_PSYNC);
}

int replica_on_capa(struct machine *m, const struct machine_event *event)
{
    return exchange(m, event, ask_capa, hear_capa);
}

// ---- PSYNC --------------------------------------------------------------------------------------

static void ask_psync(struct replica *r, const struct replica_settings *s)
{
    r->old_primary = false;
    char offset[24] = "-1";
    if (r->cached) {
        snprintf(offset, sizeof(offset), "%lld", (long long)r->stream->offset + 1);
        log_notice(r->log, "Trying a partial resynchronization (request %s:%s).", r->stream->id,
                   offset);
    } else {
        log_notice(r->log, "Partial resynchronization not possible (no cached master)");
    }
    const char *words[4] = {"PSYNC", r->cached ? r->stream->id : "?", offset, "FAILOVER"};
    say(r, s->failover ? 4 : 3, words);
}

static int on_continue(struct replica *r, const struct psync_reply *reply)
{
    log_notice(r->log, "Successful partial resynchronization with master.");
    if (reply->replid[0] != '\0' && strcmp(reply->replid, r->stream->id) != 0) {
        // The same history under a new id; our own replicas have to hear of it.
        repl_stream_follow_id(r->stream, reply->replid);
        log_notice(r->log, "Master replication ID changed to %s", r->stream->id);
        r->host->history_changed(r->owner);
    }
    repl_stream_activate(r->stream);
    log_notice(r->log, "MASTER <-> REPLICA sync: Master accepted a Partial Resynchronization.");
    return REPLICA_STREAM;
}

// It does not know PSYNC, or refuses it for a reason of its own: SYNC will tell.
static int ask_sync(struct replica *r, struct bytes reply)
{
    if (reply.len < 4 || memcmp(reply.data, "-ERR", 4) != 0)
        log_warning(r->log, "Unexpected reply to PSYNC from master: %.*s", (int)reply.len,
                    reply.data);
    else
        log_notice(r->log, "Master does not support PSYNC or is in error state (reply: %.*s)",
                   (int)reply.len, reply.data);
    struct replica_settings s;
    replica_settings_of(r, &s);
    if (s.failover) return replica_retry(r); // it has answered; nothing is to be copied from it
    log_notice(r->log, "Retrying with SYNC...");
    r->old_primary = true;
    r->sync_offset = 0;
    rng_hex(r->stream->rng, r->sync_id, REPL_ID_BYTES);
    r->sync_id[REPL_ID_BYTES] = '\0';
    say(r, 1, (const char *[]){"SYNC"});
    return REPLICA_HEADER;
}

static int hear_psync(struct replica *r, struct bytes line)
{
    struct replica_settings s;
    replica_settings_of(r, &s);
    struct psync_reply reply;
    line_parse_psync(line, &reply);
    bool taken = reply.answer == PSYNC_CONTINUE || reply.answer == PSYNC_FULLRESYNC;
    if (s.failover && reply.answer != PSYNC_NONSENSE) r->host->failover_answer(r->owner, taken);
    switch (reply.answer) {
    case PSYNC_CONTINUE:
        if (r->cached) return on_continue(r, &reply);
        log_warning(r->log, "MASTER continues a history that was not asked for");
        return replica_retry(r);
    case PSYNC_FULLRESYNC:
        memcpy(r->sync_id, reply.replid, sizeof(r->sync_id));
        r->sync_offset = reply.offset;
        log_notice(r->log, "Full resync from master: %s:%lld", r->sync_id,
                   (long long)r->sync_offset);
        return REPLICA_HEADER;
    case PSYNC_NOT_NOW:
        log_notice(r->log, "MASTER is currently unable to PSYNC but should be in the future: %.*s",
                   (int)line.len, line.data);
        return replica_retry(r);
    case PSYNC_REFUSED:
        return ask_sync(r, line);
    case PSYNC_NONSENSE:
        break;
    }
    log_warning(r->log, "Unexpected reply to PSYNC from master: %.*s",
                line.len < 200 ? (int)line.len : 200, line.data);
    return replica_retry(r);
}

int replica_on_psync(struct machine *m, const struct machine_event *event)
{
    return exchange(m, event, ask_psync, hear_psync);
}
