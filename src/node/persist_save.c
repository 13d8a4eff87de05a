// Saving. Steps, one file operation at a time:
//
//   open -> write ... write -> sync -> close -> rename -> sync of the folder -> done
//           write -> sync of a part -> write, after each sync_every_bytes
//     any failure, a flush of the data, or cancelling -> close -> unlink -> done
//
// A local file has no peer that could stall us for ever, so no step has a deadline: an operation
// that hangs in the kernel cannot be taken back, and everything else goes on without it.
#include "node/persist_file.h"

#include "base/mem.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum save_step {
    SAVE_OPEN,
    SAVE_WRITE,
    SAVE_SYNC_PART,
    SAVE_SYNC,
    SAVE_CLOSE,
    SAVE_RENAME,
    SAVE_SYNC_DIR,
    SAVE_ABORT_CLOSE,
    SAVE_ABORT_UNLINK,
};

struct save_file {
    struct store *store;
    struct loop *loop;
    struct snapshot_sink sink;
    char *dir, *temp, *path;
    struct file_req req;
    enum save_step step;
    bool busy;                // the request is with the loop
    bool complete;            // the snapshot has ended well
    int fd;                   // -1: not open
    int64_t offset, synced;   // bytes
    int64_t sync_every_bytes; // 0: only at the end
    struct chain pending;
    struct error error;
    struct task settle; // goes on outside of the snapshot's callbacks
    void (*done)(void *owner, const struct error *error);
    void *owner;
};

char *persist_path(const char *dir, const char *name)
{
    size_t size = strlen(dir) + strlen(name) + 2;
    char *path = mem_alloc(size);
    if (name[0] == '/')
        snprintf(path, size, "%s", name);
    else
        snprintf(path, size, "%s/%s", dir, name);
    return path;
}

static void save_over(struct save_file *f)
{
    task_cancel(&f->settle);
    chain_free(&f->pending);
    if (f->done != NULL) f->done(f->owner, &f->error);
    mem_free(f->dir);
    mem_free(f->temp);
    mem_free(f->path);
    mem_free(f);
}

// ---- steps ----------------------------------------------------------------------------------

static void on_file(struct file_req *req);

static void submit(struct save_file *f, enum save_step step, enum file_op op)
{
    assert(!f->busy);
    f->step = step;
    f->busy = true;
    f->req.op = op;
    f->req.fd = f->fd;
    f->req.path = f->temp;
    f->req.done = on_file;
    loop_file(f->loop, &f->req);
}

// Starts to give up, unless that is under way already; called with no request out.
static void save_abort(struct save_file *f)
{
    if (f->done != NULL) snapshot_drop_sink(f->store, &f->sink);
    chain_free(&f->pending);
    if (f->fd >= 0)
        submit(f, SAVE_ABORT_CLOSE, FILE_CLOSE);
    else
        submit(f, SAVE_ABORT_UNLINK, FILE_UNLINK);
}

static void write_next(struct save_file *f)
{
    struct bytes view;
    if (f->sync_every_bytes > 0 && f->offset - f->synced >= f->sync_every_bytes) {
        f->synced = f->offset;
        submit(f, SAVE_SYNC_PART, FILE_SYNC);
    } else if (chain_peek(&f->pending, &view, 1) == 1) {
        f->req.data = (void *)view.data;
        f->req.len = view.len;
        f->req.offset = f->offset;
        submit(f, SAVE_WRITE, FILE_WRITE);
    } else if (f->complete) {
        submit(f, SAVE_SYNC, FILE_SYNC);
    }
}

// Goes on from where no request is out: after one, or when the snapshot brought something.
static void settle(struct save_file *f)
{
    if (f->busy || f->step == SAVE_ABORT_CLOSE || f->step == SAVE_ABORT_UNLINK) return;
    if (error_is(&f->error))
        save_abort(f);
    else if (f->step == SAVE_WRITE)
        write_next(f);
}

static void settle_task(struct task *task)
{
    settle(list_entry(task, struct save_file, settle));
}

static void save_failed(struct save_file *f, int64_t result)
{
    static const char *const what[] = {
        [SAVE_OPEN] = "Failed opening the temp RDB file",
        [SAVE_WRITE] = "Write error saving DB on disk",
        [SAVE_SYNC_PART] = "Error syncing the RDB file",
        [SAVE_SYNC] = "Error syncing the RDB file",
        [SAVE_CLOSE] = "Error closing the RDB file",
        [SAVE_RENAME] = "Error moving temp DB file on the final destination",
        [SAVE_SYNC_DIR] = "Error syncing the folder of the RDB file",
    };
    if (!error_is(&f->error))
        error_set(&f->error, ERROR_IO, "%s (%s): %s", what[f->step],
                  f->step == SAVE_RENAME ? f->path : f->temp, strerror((int)-result));
}

static void on_write(struct save_file *f)
{
    if (f->req.result == 0) {
        save_failed(f, -ENOSPC);
        save_abort(f);
        return;
    }
    chain_consume(&f->pending, (size_t)f->req.result);
    f->offset += f->req.result;
    snapshot_kick(f->store);
    settle(f);
}

static void on_file(struct file_req *req)
{
    struct save_file *f = list_entry(req, struct save_file, req);
    f->busy = false;
    if (req->result < 0 && f->step < SAVE_ABORT_CLOSE) save_failed(f, req->result);
    // A descriptor is gone after close(2), however that ended.
    if (f->step == SAVE_CLOSE || f->step == SAVE_ABORT_CLOSE) f->fd = -1;
    if (f->step == SAVE_OPEN && req->result >= 0) f->fd = req->fd;
    // Once renamed there is no going back: what was asked for is done.
    if (error_is(&f->error) && f->step < SAVE_SYNC_DIR) {
        save_abort(f);
        return;
    }
    switch (f->step) {
    case SAVE_OPEN:
    case SAVE_SYNC_PART:
        f->step = SAVE_WRITE;
        settle(f);
        return;
    case SAVE_WRITE:
        on_write(f);
        return;
    case SAVE_SYNC:
        submit(f, SAVE_CLOSE, FILE_CLOSE);
        return;
    case SAVE_CLOSE:
        f->req.path2 = f->path;
        submit(f, SAVE_RENAME, FILE_RENAME);
        return;
    case SAVE_RENAME:
        f->step = SAVE_SYNC_DIR;
        f->busy = true;
        f->req.op = FILE_SYNC_DIR;
        f->req.path = f->dir;
        loop_file(f->loop, &f->req);
        return;
    case SAVE_SYNC_DIR:
    case SAVE_ABORT_UNLINK:
        save_over(f);
        return;
    case SAVE_ABORT_CLOSE:
        submit(f, SAVE_ABORT_UNLINK, FILE_UNLINK);
        return;
    }
}

// ---- the snapshot's sink --------------------------------------------------------------------

static void on_data(struct snapshot_sink *sink, struct chunk *chunk, uint32_t start, uint32_t len)
{
    struct save_file *f = list_entry(sink, struct save_file, sink);
    if (error_is(&f->error)) return;
    // The request writes from the first segment while more of the same chunk is added behind.
    chain_append_chunk(&f->pending, chunk, start, len);
    if (f->pending.len > SAVE_PENDING_MAX_BYTES)
        error_set(&f->error, ERROR_LIMIT,
                  "Write error saving DB on disk: writes ran %d MB ahead of the disk",
                  SAVE_PENDING_MAX_BYTES >> 20);
    if (!f->busy) loop_defer(f->loop, &f->settle);
}

static int64_t on_room(struct snapshot_sink *sink)
{
    const struct save_file *f = list_entry(sink, struct save_file, sink);
    return error_is(&f->error) ? 0 : (int64_t)SAVE_WINDOW_BYTES - (int64_t)f->pending.len;
}

static void on_end(struct snapshot_sink *sink, const struct error *error)
{
    struct save_file *f = list_entry(sink, struct save_file, sink);
    if (error_is(error) && !error_is(&f->error)) f->error = *error;
    f->complete = true;
    settle(f);
}

// ---- what owners ask ------------------------------------------------------------------------

struct save_file *save_file_start(struct store *s, const struct save_file_options *options,
                                  void (*done)(void *owner, const struct error *error), void *owner,
                                  struct error *error)
{
    struct save_file *f = mem_new(struct save_file);
    f->store = s;
    f->loop = s->loop;
    f->fd = -1;
    f->sync_every_bytes = options->sync_every_bytes;
    f->done = done;
    f->owner = owner;
    chain_init(&f->pending);
    task_init(&f->settle, settle_task);
    list_init(&f->sink.link);
    f->sink.data = on_data;
    f->sink.room = on_room;
    f->sink.end = on_end;
    f->sink.ends_on_flush = true;
    struct snapshot_sink *sinks[] = {&f->sink};
    if (!snapshot_start(s, &options->rdb, options->aux, options->aux_count, sinks, 1, error)) {
        mem_free(f);
        return NULL;
    }
    char name[32];
    snprintf(name, sizeof(name), "temp-%d.rdb", (int)getpid());
    f->dir = persist_path(options->dir, "");
    f->temp = persist_path(options->dir, name);
    f->path = persist_path(options->dir, options->name);
    f->req.flags = O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC;
    f->req.mode = 0666;
    submit(f, SAVE_OPEN, FILE_OPEN);
    return f;
}

void save_file_cancel(struct save_file *f)
{
    snapshot_drop_sink(f->store, &f->sink);
    if (!error_is(&f->error)) error_set(&f->error, ERROR_CANCELLED, "the save was given up");
    loop_defer(f->loop, &f->settle); // or when the request that is out comes back
}

void save_file_abandon(struct save_file *f)
{
    save_file_cancel(f);
    f->done = NULL;
}
