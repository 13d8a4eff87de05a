// INFO replication and ROLE. Fields as in Redis 7.0.
#include "node/repl_client.h"
#include "node/repl_impl.h"

#include "node/persist.h"

#include <stdio.h>

// Ours: where a link stands, what bounds its wait and how much of that is left, and of its full
// sync, running or last, how many bytes and how many of them a second.
static void info_link(struct buf *out, const char *name, const struct machine *m, uint64_t bytes,
                      uint64_t us)
{
    const struct machine_state *row = &m->type->states[m->state];
    uint64_t left_us = machine_left_us(m);
    buf_printf(out,
               "%s:state=%s,deadline=%s,left_ms=%lld,bytes=%llu,bytes_per_s=%llu,age_ms=%llu\r\n",
               name, row->name, deadline_kind_name(row->deadline),
               left_us == UINT64_MAX ? -1 : (long long)(left_us / 1000), (unsigned long long)bytes,
               (unsigned long long)(us > 0 ? (double)bytes * 1e6 / (double)us : 0),
               (unsigned long long)((loop_now_us(m->loop) - m->entered_us) / 1000));
}

static void info_replica(struct replication *r, struct buf *out)
{
    const struct node *n = r->node;
    const struct replica *m = &r->replica;
    bool up = replica_link_up(m), syncing = replica_syncing(m);
    uint64_t now_us = loop_now_us(n->loop);
    int64_t idle_s = up ? (int64_t)((now_us - m->last_io_us) / 1000000) : -1;
    buf_printf(out,
               "master_host:%s\r\nmaster_port:%d\r\nmaster_link_status:%s\r\n"
               "master_last_io_seconds_ago:%lld\r\nmaster_sync_in_progress:%d\r\n"
               "slave_read_repl_offset:%lld\r\nslave_repl_offset:%lld\r\n",
               n->config.replicaof_host, n->config.replicaof_port, up ? "up" : "down",
               (long long)idle_s, syncing, (long long)r->stream.received,
               (long long)r->stream.offset);
    if (syncing) {
        uint64_t total = m->payload.until_mark ? 0 : m->payload.len, got = m->payload_bytes;
        buf_printf(out,
                   "master_sync_total_bytes:%llu\r\nmaster_sync_read_bytes:%llu\r\n"
                   "master_sync_left_bytes:%lld\r\nmaster_sync_perc:%.2f\r\n"
                   "master_sync_last_io_seconds_ago:%lld\r\n",
                   (unsigned long long)total, (unsigned long long)got,
                   (long long)(total > got ? total - got : 0),
                   total > 0 ? (double)got * 100 / (double)total : 0.0,
                   (long long)((now_us - m->last_io_us) / 1000000));
    }
    if (!up) {
        int64_t down_ms = repl_link_down_ms(n);
        buf_printf(out, "master_link_down_since_seconds:%lld\r\n",
                   (long long)(down_ms < 0 ? -1 : down_ms / 1000));
    }
    if (m->following) {
        uint64_t ended_us = m->sync_ended_us != 0 ? m->sync_ended_us : now_us;
        info_link(out, "master_link", &m->machine, m->payload_bytes,
                  m->sync_began_us != 0 ? ended_us - m->sync_began_us : 0);
    }
    buf_printf(out, "slave_priority:%d\r\nslave_read_only:%d\r\nreplica_announced:%d\r\n",
               n->config.replica_priority, n->config.replica_read_only,
               n->config.replica_announced);
}

static void info_links(struct replication *r, struct buf *out)
{
    const struct config *c = &r->node->config;
    buf_printf(out, "connected_slaves:%d\r\n", r->primary.link_count);
    if (c->min_replicas_to_write > 0 && c->min_replicas_max_lag_s > 0)
        buf_printf(out, "min_slaves_good_slaves:%d\r\n",
                   primary_good_replicas(&r->primary, c->min_replicas_max_lag_s));
    int index = 0;
    list_each(at, &r->primary.links)
    {
        const struct replica_link *l = list_entry(at, struct replica_link, link);
        char ip[128];
        buf_printf(out, "slave%d:ip=%s,port=%d,state=%s,offset=%lld,lag=%lld\r\n", index,
                   primary_link_ip(l, ip), l->listening_port, primary_link_state(l),
                   (long long)l->ack_offset, (long long)primary_link_lag_s(l));
        char name[32];
        snprintf(name, sizeof(name), "replica%d_link", index++);
        uint64_t us, bytes = primary_link_transfer(l, &us);
        info_link(out, name, &l->machine, bytes, us);
    }
}

void repl_info(struct node *n, struct buf *out)
{
    struct replication *r = n->repl;
    const struct repl_stream *s = &r->stream;
    buf_printf(out, "# Replication\r\nrole:%s\r\n", r->is_replica ? "slave" : "master");
    if (r->is_replica) info_replica(r, out);
    info_links(r, out);
    buf_printf(out,
               "master_failover_state:%s\r\nmaster_replid:%s\r\nmaster_replid2:%s\r\n"
               "master_repl_offset:%lld\r\nsecond_repl_offset:%lld\r\nrepl_backlog_active:%d\r\n"
               "repl_backlog_size:%lld\r\nrepl_backlog_first_byte_offset:%lld\r\n"
               "repl_backlog_histlen:%lld\r\n",
               repl_failover_name(r), s->id, s->id2, (long long)s->offset,
               (long long)s->second_offset, s->active, (long long)s->limit,
               (long long)(s->active ? s->first : 0), (long long)repl_stream_histlen(s));
}

static void role_primary(struct ctx *c, struct replication *r)
{
    reply_array(c->reply, 3);
    reply_bulk_cstr(c->reply, "master");
    reply_integer(c->reply, r->stream.offset);
    struct reply_deferred d;
    size_t count = 0;
    reply_begin(c->reply, &d);
    list_each(at, &r->primary.links)
    {
        const struct replica_link *l = list_entry(at, struct replica_link, link);
        if (!primary_link_online(l)) continue;
        char ip[128];
        count++;
        reply_array(c->reply, 3);
        reply_bulk_cstr(c->reply, primary_link_ip(l, ip));
        reply_bulk_integer(c->reply, l->listening_port);
        reply_bulk_integer(c->reply, l->ack_offset);
    }
    reply_end_array(c->reply, &d, count);
}

void repl_role(struct ctx *c)
{
    struct replication *r = c->node->repl;
    const struct config *config = &c->node->config;
    if (!r->is_replica) {
        role_primary(c, r);
        return;
    }
    reply_array(c->reply, 5);
    reply_bulk_cstr(c->reply, "slave");
    reply_bulk_cstr(c->reply, config->replicaof_host);
    reply_integer(c->reply, config->replicaof_port);
    reply_bulk_cstr(c->reply, r->replica.following ? replica_role_state(&r->replica) : "connect");
    reply_integer(c->reply, replica_link_up(&r->replica) ? r->stream.offset : -1);
}
