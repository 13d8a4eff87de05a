// Full syncs of a primary: who waits, when a snapshot begins for all that do, and how it reaches
// each of them: straight from the snapshot ("$EOF:<mark>"), or by way of a file for those that want
// its length first, or when repl-diskless-sync says no.
#include "repl/primary.h"

#include "base/mem.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { SYNC_GROUP_MAX = 1024 }; // replicas that one snapshot begins for; the rest takes the next

// One snapshot in a file and who gets it. A replica that comes while it is being written may join:
// the stream from its cut on is kept for it.
struct file_sync {
    struct list link; // primary->files
    struct primary *primary;
    struct sync_file *file;
    struct repl_reader cut; // where the stream goes on after this snapshot
    int64_t offset;         // of the cut
    int members;
    bool ready;
};

static struct replica_link *link_at(struct list *at)
{
    return list_entry(at, struct replica_link, link);
}

// ---- straight from the snapshot ---------------------------------------------------------------

static void sink_data(struct snapshot_sink *sink, struct chunk *chunk, uint32_t start, uint32_t len)
{
    struct replica_link *l = list_entry(sink, struct replica_link, sink);
    chain_append_chunk(&l->pending, chunk, start, len);
    link_check_limit(l);
    loop_defer(l->primary->loop, &l->wake); // the snapshot must not be called from here
}

static int64_t sink_room(struct snapshot_sink *sink)
{
    struct replica_link *l = list_entry(sink, struct replica_link, sink);
    size_t queued = l->conn != NULL ? conn_queued(l->conn) : 0;
    return (int64_t)LINK_WINDOW_BYTES - (int64_t)(l->pending.len + queued);
}

static int sinking(const struct primary *p)
{
    int count = 0;
    list_each(at, &p->links) count += link_at(at)->sinking;
    return count;
}

// The snapshot is free, but this may be the middle of a link's event.
static void try_sync_soon(struct primary *p)
{
    deadline_arm(p->loop, &p->gather, loop_now_us(p->loop));
}

static void sink_end(struct snapshot_sink *sink, const struct error *error)
{
    struct replica_link *l = list_entry(sink, struct replica_link, sink);
    l->sinking = false;
    if (error_is(error)) {
        try_sync_soon(l->primary);
        link_tell(l, LINK_FAILED, error);
        return;
    }
    // The words are those of Redis 7.0, which tools look for; there is no pipe here.
    if (sinking(l->primary) == 0) {
        try_sync_soon(l->primary);
        int up = 0;
        list_each(at, &l->primary->links)
        {
            int state = link_at(at)->machine.state;
            up += link_at(at)->file == NULL && (state == LINK_SEND || state == LINK_STARVED);
        }
        log_notice(l->primary->log,
                   "Diskless rdb transfer, done reading from pipe, %d replicas still up.", up);
    }
    chain_append(&l->pending, l->mark, sizeof(l->mark));
    l->snapshot_whole = true;
    loop_defer(l->primary->loop, &l->wake);
}

// ---- by way of a file -------------------------------------------------------------------------

static void file_sync_free(struct file_sync *g)
{
    list_remove(&g->link);
    repl_reader_close(&g->cut);
    struct snapshot_sink *sink = sync_file_sink(g->file);
    if (!list_empty(&sink->link)) g->primary->host->drop_sink(g->primary->owner, sink);
    sync_file_orphan(g->file);
    sync_file_unref(g->file);
    mem_free(g);
}

static void read_done(void *owner, struct bytes data, const struct error *error)
{
    struct replica_link *l = owner;
    if (error_is(error)) {
        link_tell(l, LINK_FAILED, error);
        return;
    }
    chain_append(&l->pending, data.data, data.len);
    if (l->machine.state == LINK_STARVED)
        link_tell(l, LINK_MORE, NULL);
    else
        link_pump(l);
}

static void send_file(struct replica_link *l, struct file_sync *g)
{
    char line[32];
    int len =
        snprintf(line, sizeof(line), "$%llu\r\n", (unsigned long long)sync_file_bytes(g->file));
    link_write(l, bytes_of(line, (size_t)len));
    l->read = sync_read_new(g->file, read_done, l);
    link_tell(l, LINK_FILE_READY, NULL);
}

static void on_file_ready(struct sync_file *f, void *owner, const struct error *error)
{
    (void)f;
    struct file_sync *g = owner;
    struct primary *p = g->primary;
    g->ready = true;
    repl_reader_close(&g->cut); // nobody can join any more
    if (!error_is(error)) log_notice(p->log, "Background saving terminated with success");
    g->members++; // keeps the group while its members may leave
    list_each_safe(at, &p->links)
    {
        struct replica_link *l = link_at(at);
        if (l->file != g) continue;
        if (error_is(error))
            link_tell(l, LINK_FAILED, error);
        else
            send_file(l, g);
    }
    if (--g->members == 0) file_sync_free(g);
    primary_try_sync(p);
}

static void on_file_kick(void *owner)
{
    struct file_sync *g = owner;
    if (!g->ready) g->primary->host->kick(g->primary->owner);
}

static struct file_sync *file_sync_new(struct primary *p, const char *dir)
{
    static const struct sync_file_events events = {on_file_ready, on_file_kick};
    struct file_sync *g = mem_new(struct file_sync);
    g->primary = p;
    list_init(&g->cut.link);
    char unique[64], id[9];
    memcpy(id, p->stream->id, 8);
    id[8] = '\0';
    snprintf(unique, sizeof(unique), "sync-%d-%s-%u", (int)getpid(), id, p->file_counter++);
    g->file = sync_file_new(p->loop, dir, unique, &events, g);
    list_push_back(&p->files, &g->link);
    return g;
}

static void join_file(struct replica_link *l, struct file_sync *g)
{
    l->file = g;
    g->members++;
    repl_reader_copy(&g->cut, &l->reader);
    l->ack_offset = 0;
    if (!l->old_sync) {
        char line[80];
        int len = snprintf(line, sizeof(line), "+FULLRESYNC %s %lld\r\n", l->primary->stream->id,
                           (long long)g->offset);
        link_write(l, bytes_of(line, (size_t)len));
    }
    link_tell(l, LINK_BEGUN_FILE, NULL);
}

// ---- beginning --------------------------------------------------------------------------------

static bool wants_file(const struct replica_link *l, const struct primary_settings *s)
{
    return !s->diskless || !l->capa_eof;
}

// Who begins now, and whether any of them needs the file.
struct sync_group {
    struct replica_link *links[SYNC_GROUP_MAX];
    int count;
    bool file;
    uint64_t oldest_us;
};

static void gather_group(struct primary *p, const struct primary_settings *s, struct sync_group *g)
{
    g->count = 0;
    g->file = false;
    g->oldest_us = UINT64_MAX;
    list_each(at, &p->links)
    {
        struct replica_link *l = link_at(at);
        if (l->machine.state != LINK_WAIT || g->count == SYNC_GROUP_MAX) continue;
        g->links[g->count++] = l;
        g->file |= wants_file(l, s);
        if (l->waiting_since_us < g->oldest_us) g->oldest_us = l->waiting_since_us;
    }
}

static void begin_header(struct replica_link *l)
{
    struct primary *p = l->primary;
    char line[160];
    int len = 0;
    repl_reader_open(p->stream, &l->reader, p->stream->offset + 1);
    l->ack_offset = 0;
    rng_hex(p->stream->rng, l->mark, sizeof(l->mark));
    if (!l->old_sync)
        len = snprintf(line, sizeof(line), "+FULLRESYNC %s %lld\r\n", p->stream->id,
                       (long long)p->stream->offset);
    len += snprintf(line + len, sizeof(line) - (size_t)len, "$EOF:%.*s\r\n", (int)sizeof(l->mark),
                    l->mark);
    link_write(l, bytes_of(line, (size_t)len));
}

static void begin_direct(struct replica_link *l)
{
    begin_header(l);
    l->sinking = true;
    link_tell(l, LINK_BEGUN, NULL);
}

// A replica that wants no data waits for nobody. What follows must not lean on a SELECT from
// before.
static void send_empty(struct replica_link *l)
{
    struct primary *p = l->primary;
    struct buf rdb = BUF_EMPTY;
    if (!p->host->is_replica(p->owner)) p->stream->selected_db = -1;
    begin_header(l);
    p->host->write_empty(p->owner, &rdb);
    chain_append(&l->pending, buf_view(&rdb).data, buf_len(&rdb));
    chain_append(&l->pending, l->mark, sizeof(l->mark));
    buf_free(&rdb);
    l->snapshot_whole = true;
    loop_defer(p->loop, &l->wake);
    link_tell(l, LINK_BEGUN,
              NULL); // perhaps all of it is sent, and a link that wanted no more over
}

static void begin(struct primary *p, const struct primary_settings *s, struct sync_group *g)
{
    struct snapshot_sink *sinks[SYNC_GROUP_MAX + 1];
    int count = 0;
    struct file_sync *file = g->file ? file_sync_new(p, s->dir) : NULL;
    if (file != NULL) sinks[count++] = sync_file_sink(file->file);
    for (int i = 0; i < g->count; i++) {
        struct replica_link *l = g->links[i];
        if (wants_file(l, s)) continue;
        l->sink.data = sink_data;
        l->sink.room = sink_room;
        l->sink.end = sink_end;
        sinks[count++] = &l->sink;
    }
    // What follows the cut must not lean on a SELECT from before it.
    if (!p->host->is_replica(p->owner)) p->stream->selected_db = -1;
    struct error error = ERROR_OK;
    if (!p->host->snapshot(p->owner, sinks, count, &error)) {
        log_verbose(p->log, "Can't begin a snapshot for replicas now: %s", error.text);
        if (file != NULL) file_sync_free(file);
        return; // tried again when the other one ends, and every second
    }
    log_notice(p->log, "Starting BGSAVE for SYNC with target: %s",
               file != NULL ? "disk" : "replicas sockets");
    if (file == NULL)
        log_notice(p->log, "Background RDB transfer started by pid %d", (int)getpid());
    if (file != NULL) {
        file->offset = p->stream->offset;
        repl_reader_open(p->stream, &file->cut, p->stream->offset + 1);
    }
    for (int i = 0; i < g->count; i++) {
        if (wants_file(g->links[i], s))
            join_file(g->links[i], file);
        else
            begin_direct(g->links[i]);
    }
}

void primary_try_sync(struct primary *p)
{
    struct primary_settings s;
    primary_settings_get(p, &s);
    struct sync_group g;
    gather_group(p, &s, &g);
    deadline_cancel(p->loop, &p->gather);
    if (p->asleep) return; // tried again on waking
    if (g.count == 0 || p->host->snapshot_busy(p->owner)) return;
    bool enough = s.max_replicas > 0 && g.count >= s.max_replicas;
    // Waiting for others is for those that must all be there when the snapshot begins; a file can
    // be joined later.
    uint64_t due_us = g.file ? 0 : g.oldest_us + s.delay_us;
    if (!enough && loop_now_us(p->loop) < due_us) {
        deadline_arm(p->loop, &p->gather, due_us);
        return;
    }
    begin(p, &s, &g);
}

void primary_sync_wait(struct replica_link *l)
{
    struct primary *p = l->primary;
    struct primary_settings s;
    primary_settings_get(p, &s);
    if (!s.nodelay) conn_nodelay(l->conn, false);
    if (l->no_data) {
        send_empty(l);
        return;
    }
    list_each(at, &p->files)
    {
        struct file_sync *g = list_entry(at, struct file_sync, link);
        if (g->ready || !wants_file(l, &s)) continue;
        log_notice(p->log, "Waiting for end of BGSAVE for SYNC");
        join_file(l, g);
        return;
    }
    if (!wants_file(l, &s) && s.delay_us > 0)
        log_notice(p->log, "Delay next BGSAVE for diskless SYNC");
    primary_try_sync(p);
}

// ---- leaving ----------------------------------------------------------------------------------

void link_leave_sync(struct replica_link *l)
{
    struct primary *p = l->primary;
    if (l->sinking) {
        l->sinking = false;
        if (sinking(p) == 0) // Redis 7.0's words, as above: it is the snapshot that ends
            log_notice(p->log, "Diskless rdb transfer, last replica dropped, killing fork child.");
        p->host->drop_sink(p->owner, &l->sink);
        try_sync_soon(p);
    }
    sync_read_free(l->read);
    l->read = NULL;
    struct file_sync *g = l->file;
    l->file = NULL;
    // Nobody is left who wants it: the snapshot that feeds it ends too.
    if (g != NULL && --g->members == 0) file_sync_free(g);
    chain_free(&l->pending);
}

void primary_sync_free(struct primary *p)
{
    list_each_safe(at, &p->files) file_sync_free(list_entry(at, struct file_sync, link));
}
