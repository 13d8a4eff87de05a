// Work and files of the libuv backend, on its worker threads. File operations are plain system
// calls inside a piece of work: unlike uv_fs_* that lets one request write all of its buffer, or
// open, sync and close a folder.
#include "loop/loop_uv_impl.h"

#include "base/mem.h"
#include "loop/thread_turn.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

// ---- work -----------------------------------------------------------------------------------

struct work_run {
    uv_work_t uv;
    struct loop *loop;
    struct work *work;
};

static void work_on_thread(uv_work_t *uv)
{
    struct work_run *r = uv->data;
    thread_steps_back();
    r->work->work(r->work);
}

static void work_done(uv_work_t *uv, int status)
{
    (void)status; // nothing cancels it
    struct work_run *r = uv->data;
    struct loop *loop = r->loop;
    struct work *work = r->work;
    mem_free(r);
    loop_enter(loop);
    work->impl = NULL;
    loop_work_done(loop, work);
    loop_leave(loop, "work done");
}

void loop_uv_work(struct loop *loop, struct work *work)
{
    struct work_run *r = mem_new(struct work_run);
    r->uv.data = r;
    r->loop = loop;
    r->work = work;
    work->impl = r;
    uv_queue_work(loop_uv_loop(loop), &r->uv, work_on_thread, work_done);
}

// ---- files ----------------------------------------------------------------------------------

struct file_run {
    struct work work;
    struct loop *loop;
    struct file_req *req;
};

// All of it, as far as there is room or are bytes.
static int64_t move_all(struct file_req *f, bool reads)
{
    size_t moved = 0;
    while (moved < f->len) {
        char *at = (char *)f->data + moved;
        off_t offset = (off_t)(f->offset + (int64_t)moved);
        ssize_t n = reads ? pread(f->fd, at, f->len - moved, offset)
                          : pwrite(f->fd, at, f->len - moved, offset);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return moved > 0 ? (int64_t)moved : -errno;
        if (n == 0) break;
        moved += (size_t)n;
    }
    return (int64_t)moved;
}

static int64_t sync_folder(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return -errno;
    int64_t result = fsync(fd) == 0 ? 0 : -errno;
    close(fd);
    return result;
}

static int64_t size_of(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 ? (int64_t)st.st_size : -errno;
}

static int64_t perform(struct file_req *f)
{
    switch (f->op) {
    case FILE_OPEN:
        f->fd = open(f->path, f->flags | O_CLOEXEC, f->mode);
        return f->fd >= 0 ? 0 : -errno;
    case FILE_READ:
        return move_all(f, true);
    case FILE_WRITE:
        return move_all(f, false);
    case FILE_SYNC:
        return fdatasync(f->fd) == 0 ? 0 : -errno;
    case FILE_CLOSE:
        return close(f->fd) == 0 ? 0 : -errno;
    case FILE_RENAME:
        return rename(f->path, f->path2) == 0 ? 0 : -errno;
    case FILE_UNLINK:
        return unlink(f->path) == 0 ? 0 : -errno;
    case FILE_STAT:
        return size_of(f->path);
    case FILE_TRUNCATE:
        return ftruncate(f->fd, (off_t)f->offset) == 0 ? 0 : -errno;
    case FILE_SYNC_DIR:
        return sync_folder(f->path);
    }
    return -EINVAL;
}

static void file_on_thread(struct work *work)
{
    struct file_run *r = (struct file_run *)work;
    r->req->result = perform(r->req);
}

static void file_done(struct work *work)
{
    struct file_run *r = (struct file_run *)work;
    struct file_req *req = r->req;
    mem_free(r);
    req->impl = NULL;
    req->done(req);
}

void loop_uv_file(struct loop *loop, struct file_req *req)
{
    struct file_run *r = mem_new(struct file_run);
    r->work = (struct work){.work = file_on_thread, .done = file_done, .lane = WORK_FILE};
    r->loop = loop;
    r->req = req;
    req->impl = r;
    loop_work(loop, &r->work);
}
