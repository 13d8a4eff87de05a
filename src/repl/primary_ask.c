// What a replica asks and tells: PSYNC and SYNC, acknowledgements, signs of life (the links' table
// is in primary.c).
#include "repl/primary.h"

#include <stdio.h>
#include <string.h>

static void name_link(struct replica_link *l)
{
    char ip[128];
    primary_link_ip(l, ip);
    if (l->listening_port > 0)
        snprintf(l->name, sizeof(l->name), "%s:%d", ip, l->listening_port);
    else
        snprintf(l->name, sizeof(l->name), "%s", l->peer);
}

static void join(struct replica_link *l)
{
    list_push_back(&l->primary->links, &l->link);
    l->primary->link_count++;
    l->waiting_since_us = l->ack_us = loop_now_us(l->primary->loop);
}

static void ask_full(struct replica_link *l)
{
    struct primary *p = l->primary;
    p->host->count(p->owner, COUNT_SYNC_FULL);
    join(l);
    if (!p->stream->active) {
        // Nothing was counted while nobody listened: a history of its own starts here.
        if (!p->host->is_replica(p->owner)) repl_stream_new_id(p->stream);
        repl_stream_activate(p->stream);
        log_notice(p->log, "Replication backlog created, my new replication IDs are '%s' and '%s'",
                   p->stream->id, p->stream->id2);
    }
    if (link_tell(l, LINK_ASKED_FULL, NULL)) primary_sync_wait(l);
}

static void log_refusal(struct replica_link *l, enum repl_verdict verdict, struct bytes id,
                        int64_t next)
{
    const struct repl_stream *s = l->primary->stream;
    struct log *log = l->primary->log;
    if (verdict == REPL_OTHER_ID && id.len > 0 && id.data[0] == '?')
        log_notice(log, "Full resync requested by replica %s", l->name);
    else if (verdict == REPL_OTHER_ID)
        log_notice(log,
                   "Partial resynchronization not accepted: Replication ID mismatch (Replica asked "
                   "for '%.*s', my replication IDs are '%s' and '%s')",
                   (int)id.len, id.data, s->id, s->id2);
    else if (verdict == REPL_AFTER_SECOND)
        log_notice(log,
                   "Partial resynchronization not accepted: Requested offset for second ID was "
                   "%lld, but I can reply up to %lld",
                   (long long)next, (long long)s->second_offset);
    else
        log_notice(log,
                   "Unable to partial resync with replica %s for lack of backlog (Replica request "
                   "was: %lld).",
                   l->name, (long long)next);
    if (verdict == REPL_NOT_IN_BACKLOG && next > s->offset + 1)
        log_warning(log,
                    "Warning: replica %s tried to PSYNC with an offset that is greater than the "
                    "master replication offset.",
                    l->name);
}

static void go_on(struct replica_link *l, int64_t next)
{
    struct primary *p = l->primary;
    char line[64];
    int len = l->capa_psync2 ? snprintf(line, sizeof(line), "+CONTINUE %s\r\n", p->stream->id)
                             : snprintf(line, sizeof(line), "+CONTINUE\r\n");
    link_write(l, bytes_of(line, (size_t)len));
    join(l);
    repl_reader_open(p->stream, &l->reader, next);
    log_notice(p->log,
               "Partial resynchronization request from %s accepted. Sending %lld bytes of backlog "
               "starting from offset %lld.",
               l->name, (long long)repl_reader_left(p->stream, &l->reader), (long long)next);
    p->host->count(p->owner, COUNT_PARTIAL_OK);
    link_tell(l, LINK_ASKED_PART, NULL);
}

void primary_link_psync(struct replica_link *l, struct bytes id, int64_t next)
{
    struct primary *p = l->primary;
    name_link(l);
    log_notice(p->log, "Replica %s asks for synchronization", l->name);
    enum repl_verdict verdict = repl_stream_judge(p->stream, id, next);
    if (verdict == REPL_CONTINUE) {
        go_on(l, next);
        return;
    }
    log_refusal(l, verdict, id, next);
    if (id.len == 0 || id.data[0] != '?') p->host->count(p->owner, COUNT_PARTIAL_ERR);
    ask_full(l);
}

void primary_link_sync(struct replica_link *l)
{
    l->old_sync = true;
    name_link(l);
    log_notice(l->primary->log, "Replica %s asks for synchronization", l->name);
    ask_full(l);
}

static void heard(struct replica_link *l, enum link_code code)
{
    l->ack_us = loop_now_us(l->primary->loop);
    struct machine_event event = {.type = EVENT_BYTES, .code = (int)code};
    if (l->machine.state != LINK_GONE) machine_dispatch(&l->machine, &event);
}

void primary_link_ack(struct replica_link *l, int64_t offset)
{
    if (offset > l->ack_offset) l->ack_offset = offset;
    heard(l, LINK_ACK);
    l->primary->host->acked(l->primary->owner);
}

void primary_link_alive(struct replica_link *l)
{
    heard(l, LINK_ALIVE);
}

void primary_link_drained(struct replica_link *l, size_t taken, size_t left)
{
    l->sent_bytes += taken;
    struct machine_event event = {.type = EVENT_DRAINED, .taken = taken, .left = left};
    if (l->machine.state != LINK_GONE) machine_dispatch(&l->machine, &event);
}
