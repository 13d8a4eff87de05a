// What a primary knows of its replicas, for INFO, ROLE, WAIT and min-replicas.
#include "repl/primary.h"

#include <stdio.h>
#include <string.h>

bool primary_feeding(const struct primary *p)
{
    return p->stream->active;
}

void primary_getack(struct primary *p)
{
    if (p->link_count == 0 || !p->stream->active) return;
    struct bytes words[3] = {BYTES("REPLCONF"), BYTES("GETACK"), BYTES("*")};
    repl_stream_command(p->stream, -1, 3, words);
    primary_push_now(p);
}

const char *primary_link_state(const struct replica_link *l)
{
    switch (l->machine.state) {
    case LINK_ARMED:
    case LINK_ONLINE:
        return "online";
    case LINK_SEND:
    case LINK_STARVED:
        return l->file != NULL ? "send_bulk" : "wait_bgsave";
    default:
        return "wait_bgsave";
    }
}

bool primary_link_online(const struct replica_link *l)
{
    return l->machine.state == LINK_ONLINE || l->machine.state == LINK_ARMED;
}

uint64_t primary_link_lag_s(const struct replica_link *l)
{
    if (!primary_link_online(l)) return 0;
    return (loop_now_us(l->primary->loop) - l->ack_us) / 1000000;
}

const char *primary_link_ip(const struct replica_link *l, char out[128])
{
    if (l->announced_ip[0] != '\0') {
        memcpy(out, l->announced_ip, sizeof(l->announced_ip));
        return out;
    }
    snprintf(out, 128, "%s", l->peer);
    char *colon = strrchr(out, ':');
    if (colon != NULL) *colon = '\0';
    size_t len = strlen(out);
    if (out[0] != '[' || out[len - 1] != ']') return out;
    memmove(out, out + 1, len - 2); // an IPv6 address is told without its brackets
    out[len - 2] = '\0';
    return out;
}

uint64_t primary_behind(struct primary *p, uint64_t lead_bytes, uint64_t patience_us)
{
    uint64_t now_us = loop_now_us(p->loop), until_us = 0;
    list_each(at, &p->links)
    {
        struct replica_link *l = list_entry(at, struct replica_link, link);
        if (l->machine.state != LINK_ONLINE || primary_link_pinned(l) <= lead_bytes) {
            l->behind_since_us = 0;
            continue;
        }
        if (l->behind_since_us == 0) l->behind_since_us = now_us;
        uint64_t end_us = l->behind_since_us + patience_us;
        if (end_us > now_us && end_us > until_us) until_us = end_us;
    }
    return until_us;
}

static bool transferring(const struct replica_link *l)
{
    return l->transfer_began_us != 0 && l->transfer_ended_us == 0;
}

uint64_t primary_link_transfer(const struct replica_link *l, uint64_t *us)
{
    uint64_t now_us = loop_now_us(l->primary->loop);
    *us = l->transfer_began_us == 0
              ? 0
              : (transferring(l) ? now_us : l->transfer_ended_us) - l->transfer_began_us;
    return transferring(l) ? l->sent_bytes - l->transfer_from_bytes : l->transfer_bytes;
}

int primary_acked(const struct primary *p, int64_t offset)
{
    int count = 0;
    list_each(at, &p->links)
    {
        const struct replica_link *l = list_entry(at, struct replica_link, link);
        count += primary_link_online(l) && l->ack_offset >= offset;
    }
    return count;
}

int primary_good_replicas(const struct primary *p, int max_lag_s)
{
    int count = 0;
    list_each(at, &p->links)
    {
        const struct replica_link *l = list_entry(at, struct replica_link, link);
        count += primary_link_online(l) && primary_link_lag_s(l) <= (uint64_t)max_lag_s;
    }
    return count;
}

int primary_waiting(const struct primary *p)
{
    int count = 0;
    list_each(at, &p->links) count +=
        list_entry(at, struct replica_link, link)->machine.state == LINK_WAIT;
    return count;
}
