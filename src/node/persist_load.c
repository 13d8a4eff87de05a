// Loading: stat -> open -> read ... read -> close -> done. One read at a time, up to the loader's
// high-water mark; the loader decodes meanwhile. No deadlines, for the reason that saving has none.
#include "node/persist_file.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

enum { LOAD_READ_BYTES = 128 * 1024 };
enum load_step { LOAD_STAT, LOAD_OPEN, LOAD_READ, LOAD_CLOSE };

struct load_file {
    struct store *store;
    struct loop *loop;
    struct keyspace *into;
    struct loader_options options;
    const struct load_file_events *events;
    void *owner;
    char *path;
    struct file_req req;
    enum load_step step;
    bool busy, missing, at_end, over;
    int fd;
    int64_t size, offset;
    struct loader *loader;
    struct error error;
    char *block;
};

static void on_file(struct file_req *req);

static void submit(struct load_file *f, enum load_step step, enum file_op op)
{
    f->step = step;
    f->busy = true;
    f->req.op = op;
    f->req.fd = f->fd;
    f->req.path = f->path;
    f->req.done = on_file;
    loop_file(f->loop, &f->req);
}

static void load_over(struct load_file *f)
{
    if (f->events != NULL) {
        static const struct loader_stats nothing = {.repl_offset = -1, .repl_stream_db = -1};
        f->events->done(f->owner, f->missing, &f->error,
                        f->loader ? loader_stats(f->loader) : &nothing);
    }
    loader_free(f->loader);
    mem_free(f->block);
    mem_free(f->path);
    mem_free(f);
}

// To the end, from where no request is out.
static void load_close(struct load_file *f)
{
    if (f->fd >= 0)
        submit(f, LOAD_CLOSE, FILE_CLOSE);
    else
        load_over(f);
}

static void read_next(struct load_file *f)
{
    if (f->busy || f->over || f->at_end) return;
    f->req.data = f->block;
    f->req.len = LOAD_READ_BYTES;
    f->req.offset = f->offset;
    submit(f, LOAD_READ, FILE_READ);
}

static void loader_wants(struct loader *l)
{
    read_next(loader_owner(l));
}

static void loader_done(struct loader *l, const struct error *error)
{
    struct load_file *f = loader_owner(l);
    if (!error_is(&f->error)) f->error = *error;
    f->over = true;
    if (!f->busy) load_close(f);
}

static const struct loader_events loader_events = {.want = loader_wants, .done = loader_done};

static void on_read(struct load_file *f)
{
    if (f->req.result == 0) {
        f->at_end = true;
        loader_end(f->loader);
        return;
    }
    f->offset += f->req.result;
    size_t waiting = loader_push(f->loader, bytes_of(f->block, (size_t)f->req.result));
    if (waiting < LOADER_HIGH_WATER_BYTES) read_next(f);
}

static void load_failed(struct load_file *f, int64_t result)
{
    static const char *const what[] = {
        [LOAD_STAT] = "find", [LOAD_OPEN] = "open", [LOAD_READ] = "read", [LOAD_CLOSE] = "close"};
    if (f->step == LOAD_STAT && result == -ENOENT) f->missing = true;
    if (!error_is(&f->error))
        error_set(&f->error, ERROR_IO, "cannot %s the RDB file %s: %s", what[f->step], f->path,
                  strerror((int)-result));
    f->over = true;
}

static void on_file(struct file_req *req)
{
    struct load_file *f = list_entry(req, struct load_file, req);
    f->busy = false;
    if (f->step == LOAD_CLOSE) {
        load_over(f);
        return;
    }
    if (f->step == LOAD_OPEN && req->result >= 0) f->fd = req->fd;
    if (req->result < 0) load_failed(f, req->result);
    if (f->over) {
        load_close(f);
        return;
    }
    switch (f->step) {
    case LOAD_STAT:
        f->size = req->result;
        f->req.flags = O_RDONLY | O_CLOEXEC;
        submit(f, LOAD_OPEN, FILE_OPEN);
        return;
    case LOAD_OPEN:
        f->block = mem_alloc(LOAD_READ_BYTES);
        f->loader = loader_new(f->store, f->into, &f->options, &loader_events, f);
        if (f->events->began) f->events->began(f->owner, f->loader, (uint64_t)f->size);
        read_next(f);
        return;
    case LOAD_READ:
        on_read(f);
        return;
    case LOAD_CLOSE:
        return;
    }
}

struct load_file *load_file_start(struct store *s, struct keyspace *into, const char *path,
                                  const struct loader_options *options,
                                  const struct load_file_events *events, void *owner)
{
    struct load_file *f = mem_new(struct load_file);
    f->store = s;
    f->loop = s->loop;
    f->into = into;
    f->options = *options;
    f->events = events;
    f->owner = owner;
    f->fd = -1;
    f->path = mem_alloc(strlen(path) + 1);
    memcpy(f->path, path, strlen(path) + 1);
    submit(f, LOAD_STAT, FILE_STAT);
    return f;
}

void load_file_cancel(struct load_file *f)
{
    f->events = NULL;
    f->over = true;
    loader_free(f->loader); // the store may go before the last request comes back
    f->loader = NULL;
    if (!f->busy) load_close(f);
}
