#include "repl/sync_file.h"

#include "base/mem.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

// The file's own operations come one after another: open, unlink, then writes while data arrives.
//
//   opening --> unlinking --> writing <--> idle --> complete      (failed: from anywhere)
struct sync_file {
    struct loop *loop;
    int refs;
    const struct sync_file_events *events;
    void *owner;
    struct snapshot_sink sink;
    struct chain pending; // not yet given to the system
    struct file_req req;
    bool busy;  // req is under way
    bool open;  // req.fd is a file
    bool ended; // the snapshot has ended; what is pending is the rest
    bool told;  // `ready` was called
    struct error error;
    struct task report;
    uint64_t written;
    int fd;
    char path[512];
    char piece[SYNC_FILE_PIECE_BYTES];
};

struct sync_read {
    struct sync_file *file;
    struct file_req req;
    bool busy, freed;
    uint64_t offset;
    void (*done)(void *owner, struct bytes data, const struct error *error);
    void *owner;
    char piece[SYNC_FILE_PIECE_BYTES];
};

static void step(struct sync_file *f);

static void closed(struct file_req *req)
{
    mem_free(list_entry(req, struct sync_file, req));
}

static void destroy(struct sync_file *f)
{
    task_cancel(&f->report);
    chain_free(&f->pending);
    if (!f->open) {
        mem_free(f);
        return;
    }
    f->req = (struct file_req){.op = FILE_CLOSE, .fd = f->fd, .done = closed};
    loop_file(f->loop, &f->req);
}

struct sync_file *sync_file_ref(struct sync_file *f)
{
    f->refs++;
    return f;
}

void sync_file_unref(struct sync_file *f)
{
    if (f != NULL && --f->refs == 0) destroy(f);
}

void sync_file_orphan(struct sync_file *f)
{
    f->owner = NULL;
}

uint64_t sync_file_bytes(const struct sync_file *f)
{
    return f->written;
}

static void run_report(struct task *task)
{
    struct sync_file *f = list_entry(task, struct sync_file, report);
    if (f->told) return;
    f->told = true;
    if (f->owner != NULL) f->events->ready(f, f->owner, &f->error);
}

static void fail(struct sync_file *f, const struct error *why)
{
    if (!error_is(&f->error)) f->error = *why;
    chain_free(&f->pending);
    loop_defer(f->loop, &f->report);
}

static void on_file(struct file_req *req)
{
    struct sync_file *f = list_entry(req, struct sync_file, req);
    f->busy = false;
    if (req->op == FILE_OPEN && req->result >= 0) {
        f->open = true;
        f->fd = req->fd;
    }
    if (req->result < 0) {
        struct error error = ERROR_OK;
        error_set(&error, ERROR_IO, "snapshot file %s: %s", f->path, strerror((int)-req->result));
        fail(f, &error);
    } else if (req->op == FILE_WRITE) {
        f->written += (uint64_t)req->result;
        if ((size_t)req->result < req->len) { // the rest of this piece first
            size_t left = req->len - (size_t)req->result;
            memmove(f->piece, f->piece + req->result, left);
            f->req.len = left;
            f->req.offset = (int64_t)f->written;
            f->busy = true;
            loop_file(f->loop, &f->req);
            return;
        }
        if (f->owner != NULL) f->events->kick(f->owner);
    }
    if (req->op == FILE_OPEN && f->open) {
        f->req = (struct file_req){.op = FILE_UNLINK, .path = f->path, .done = on_file};
        f->busy = true;
        loop_file(f->loop, &f->req);
        return;
    }
    step(f);
    sync_file_unref(f); // the reference that the operation held
}

static void step(struct sync_file *f)
{
    if (f->busy || !f->open || error_is(&f->error)) return;
    size_t len = chain_read(&f->pending, f->piece, sizeof(f->piece));
    if (len > 0) {
        f->req = (struct file_req){.op = FILE_WRITE,
                                   .fd = f->fd,
                                   .data = f->piece,
                                   .len = len,
                                   .offset = (int64_t)f->written,
                                   .done = on_file};
        f->busy = true;
        f->refs++;
        loop_file(f->loop, &f->req);
    } else if (f->ended) {
        loop_defer(f->loop, &f->report);
    }
}

static void sink_data(struct snapshot_sink *sink, struct chunk *chunk, uint32_t start, uint32_t len)
{
    struct sync_file *f = list_entry(sink, struct sync_file, sink);
    if (error_is(&f->error)) return;
    chain_append_chunk(&f->pending, chunk, start, len);
    step(f);
}

static int64_t sink_room(struct snapshot_sink *sink)
{
    struct sync_file *f = list_entry(sink, struct sync_file, sink);
    return SYNC_FILE_WINDOW_BYTES - (int64_t)f->pending.len;
}

static void sink_end(struct snapshot_sink *sink, const struct error *error)
{
    struct sync_file *f = list_entry(sink, struct sync_file, sink);
    f->ended = true;
    if (error_is(error)) fail(f, error);
    step(f);
}

struct sync_file *sync_file_new(struct loop *loop, const char *dir, const char *unique,
                                const struct sync_file_events *events, void *owner)
{
    struct sync_file *f = mem_new(struct sync_file);
    f->loop = loop;
    f->refs = 2; // the caller's, and that of the operation that starts here
    f->events = events;
    f->owner = owner;
    f->sink = (struct snapshot_sink){.data = sink_data, .room = sink_room, .end = sink_end};
    list_init(&f->sink.link);
    chain_init(&f->pending);
    task_init(&f->report, run_report);
    snprintf(f->path, sizeof(f->path), "%s/temp-%s.rdb", dir, unique);
    f->req = (struct file_req){.op = FILE_OPEN,
                               .path = f->path,
                               .flags = O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC,
                               .mode = 0600,
                               .done = on_file};
    f->busy = true;
    loop_file(loop, &f->req);
    return f;
}

struct snapshot_sink *sync_file_sink(struct sync_file *f)
{
    return &f->sink;
}

// ---- reading ----------------------------------------------------------------------------------

static void read_destroy(struct sync_read *r)
{
    sync_file_unref(r->file);
    mem_free(r);
}

static void on_read(struct file_req *req)
{
    struct sync_read *r = list_entry(req, struct sync_read, req);
    r->busy = false;
    if (r->freed) {
        read_destroy(r);
        return;
    }
    struct error error = ERROR_OK;
    if (req->result <= 0)
        error_set(&error, ERROR_IO, "reading snapshot file %s: %s", r->file->path,
                  req->result < 0 ? strerror((int)-req->result) : "shorter than it was");
    else
        r->offset += (uint64_t)req->result;
    r->done(r->owner, bytes_of(r->piece, req->result > 0 ? (size_t)req->result : 0), &error);
}

struct sync_read *
sync_read_new(struct sync_file *f,
              void (*done)(void *owner, struct bytes data, const struct error *error), void *owner)
{
    struct sync_read *r = mem_new(struct sync_read);
    r->file = sync_file_ref(f);
    r->done = done;
    r->owner = owner;
    return r;
}

bool sync_read_busy(const struct sync_read *r)
{
    return r->busy;
}

bool sync_read_next(struct sync_read *r)
{
    if (r->busy) return true;
    uint64_t left = r->file->written - r->offset;
    if (left == 0) return false;
    r->req = (struct file_req){
        .op = FILE_READ,
        .fd = r->file->fd,
        .data = r->piece,
        .len = left < sizeof(r->piece) ? (size_t)left : sizeof(r->piece),
        .offset = (int64_t)r->offset,
        .done = on_read,
    };
    r->busy = true;
    loop_file(r->file->loop, &r->req);
    return true;
}

void sync_read_free(struct sync_read *r)
{
    if (r == NULL) return;
    if (r->busy)
        r->freed = true;
    else
        read_destroy(r);
}
