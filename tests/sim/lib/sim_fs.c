// Files in memory: what was written, and beside it what would be left after the power goes.
#include "sim/lib/sim_impl.h"

#include "base/mem.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

struct file {
    struct list link; // on node->files while it has a name
    char path[512];
    struct buf data, synced;
    int refs; // its name, and each descriptor
};

struct open_file {
    struct list link;
    int fd, flags;
    struct file *file;
};

struct failure {
    struct list link;
    enum file_op op;
    char part[256];
    int error, count;
};

struct operation {
    struct deadline due;
    struct sim_node *node;
    struct file_req *req;
};

static void file_unref(struct file *f)
{
    if (--f->refs > 0) return;
    buf_free(&f->data);
    buf_free(&f->synced);
    mem_free(f);
}

static struct file *find(struct sim_node *node, const char *path)
{
    list_each(at, &node->files)
    {
        struct file *f = list_entry(at, struct file, link);
        if (strcmp(f->path, path) == 0) return f;
    }
    return NULL;
}

static struct file *create(struct sim_node *node, const char *path)
{
    struct file *f = mem_new(struct file);
    snprintf(f->path, sizeof(f->path), "%s", path);
    f->refs = 1;
    list_push_back(&node->files, &f->link);
    return f;
}

static void unlink_file(struct file *f)
{
    list_remove(&f->link);
    file_unref(f);
}

static struct open_file *find_open(struct sim_node *node, int fd)
{
    list_each(at, &node->open_files)
    {
        struct open_file *o = list_entry(at, struct open_file, link);
        if (o->fd == fd) return o;
    }
    return NULL;
}

static void sync_file(struct file *f)
{
    buf_clear(&f->synced);
    buf_append_bytes(&f->synced, buf_view(&f->data));
}

static void resize(struct file *f, size_t size)
{
    size_t len = buf_len(&f->data);
    if (size > len) {
        memset(buf_reserve(&f->data, size - len), 0, size - len);
        buf_commit(&f->data, size - len);
    } else {
        f->data.end -= len - size;
    }
}

// ---- operations -----------------------------------------------------------------------------

static int64_t open_file(struct sim_node *node, struct file_req *req)
{
    struct file *f = find(node, req->path);
    if (f != NULL && (req->flags & O_CREAT) && (req->flags & O_EXCL)) return -EEXIST;
    if (f == NULL && !(req->flags & O_CREAT)) return -ENOENT;
    if (f == NULL) f = create(node, req->path);
    if (req->flags & O_TRUNC) resize(f, 0);
    struct open_file *o = mem_new(struct open_file);
    *o = (struct open_file){.fd = node->next_fd++, .flags = req->flags, .file = f};
    f->refs++;
    list_push_back(&node->open_files, &o->link);
    req->fd = o->fd;
    return 0;
}

static void close_file(struct open_file *o)
{
    list_remove(&o->link);
    file_unref(o->file);
    mem_free(o);
}

static int64_t read_file(struct file *f, struct file_req *req)
{
    struct bytes all = buf_view(&f->data);
    if ((size_t)req->offset >= all.len) return 0;
    size_t len = all.len - (size_t)req->offset;
    if (len > req->len) len = req->len;
    memcpy(req->data, all.data + req->offset, len);
    return (int64_t)len;
}

static int64_t write_file(struct open_file *o, struct file_req *req)
{
    struct file *f = o->file;
    size_t at = o->flags & O_APPEND ? buf_len(&f->data) : (size_t)req->offset;
    if (buf_len(&f->data) < at + req->len) resize(f, at + req->len);
    if (req->len > 0) memcpy(f->data.data + f->data.start + at, req->data, req->len);
    return (int64_t)req->len;
}

static int64_t rename_file(struct sim_node *node, struct file_req *req)
{
    struct file *from = find(node, req->path), *to = find(node, req->path2);
    if (from == NULL) return -ENOENT;
    if (from == to) return 0;
    if (to != NULL) unlink_file(to);
    snprintf(from->path, sizeof(from->path), "%s", req->path2);
    return 0;
}

static int64_t perform_open(struct sim_node *node, struct file_req *req)
{
    struct open_file *o = find_open(node, req->fd);
    if (o == NULL) return -EBADF;
    switch (req->op) {
    case FILE_READ:
        return read_file(o->file, req);
    case FILE_WRITE:
        return write_file(o, req);
    case FILE_SYNC:
        sync_file(o->file);
        return 0;
    case FILE_TRUNCATE:
        resize(o->file, (size_t)req->offset);
        return 0;
    default:
        close_file(o);
        return 0;
    }
}

static int64_t perform(struct sim_node *node, struct file_req *req)
{
    struct file *f = NULL;
    switch (req->op) {
    case FILE_OPEN:
        return open_file(node, req);
    case FILE_RENAME:
        return rename_file(node, req);
    case FILE_UNLINK:
        f = find(node, req->path);
        if (f != NULL) unlink_file(f);
        return f != NULL ? 0 : -ENOENT;
    case FILE_STAT:
        f = find(node, req->path);
        return f != NULL ? (int64_t)buf_len(&f->data) : -ENOENT;
    case FILE_SYNC_DIR:
        return 0;
    default:
        return perform_open(node, req);
    }
}

static int64_t wanted_failure(struct sim_node *node, const struct file_req *req)
{
    struct open_file *o = req->op >= FILE_READ && req->op <= FILE_CLOSE ? find_open(node, req->fd)
                          : req->op == FILE_TRUNCATE                    ? find_open(node, req->fd)
                                                                        : NULL;
    const char *path = o != NULL ? o->file->path : req->path != NULL ? req->path : "";
    list_each(at, &node->failures)
    {
        struct failure *f = list_entry(at, struct failure, link);
        if (f->op != req->op || f->count == 0 || strstr(path, f->part) == NULL) continue;
        f->count--;
        return -f->error;
    }
    return 0;
}

static void on_due(struct deadline *event)
{
    struct operation *op = (struct operation *)(void *)event;
    struct sim_node *node = op->node;
    struct file_req *req = op->req;
    mem_free(op);
    req->result = node->dead ? -EIO : wanted_failure(node, req);
    if (req->result == 0) req->result = perform(node, req);
    req->impl = NULL;
    sim_enter(node);
    req->done(req);
    sim_leave(node);
}

void sim_fs_file(struct loop *loop, struct file_req *req)
{
    struct sim_node *node = sim_node_of(loop);
    struct operation *op = mem_new(struct operation);
    op->due.fire = on_due;
    op->node = node;
    op->req = req;
    req->impl = op;
    bool sync = req->op == FILE_SYNC || req->op == FILE_SYNC_DIR;
    sim_at(node->sim, &op->due, node->sim->now_us + (sync ? node->disk_sync_us : node->disk_io_us));
}

// ---- for the tests --------------------------------------------------------------------------

void sim_file_put(struct sim_node *node, const char *path, struct bytes data)
{
    struct file *f = find(node, path);
    if (f == NULL) f = create(node, path);
    buf_clear(&f->data);
    buf_append_bytes(&f->data, data);
    sync_file(f);
}

bool sim_file_get(struct sim_node *node, const char *path, struct bytes *data)
{
    struct file *f = find(node, path);
    if (f != NULL) *data = buf_view(&f->data);
    return f != NULL;
}

void sim_set_disk(struct sim_node *node, uint64_t io_us, uint64_t sync_us)
{
    node->disk_io_us = io_us;
    node->disk_sync_us = sync_us;
}

void sim_file_fail(struct sim_node *node, enum file_op op, const char *part, int error, int count)
{
    struct failure *f = mem_new(struct failure);
    *f = (struct failure){.op = op, .error = error, .count = count};
    snprintf(f->part, sizeof(f->part), "%s", part);
    list_push_back(&node->failures, &f->link);
}

// ---- the node's life ------------------------------------------------------------------------

void sim_fs_init(struct sim_node *node)
{
    list_init(&node->files);
    list_init(&node->open_files);
    list_init(&node->failures);
    node->next_fd = 3;
    sim_set_disk(node, 100, 1000);
}

static void close_all(struct sim_node *node)
{
    while (!list_empty(&node->open_files))
        close_file(list_entry(node->open_files.next, struct open_file, link));
}

void sim_fs_crash(struct sim_node *node, bool power_loss)
{
    close_all(node);
    if (!power_loss) return;
    list_each(at, &node->files)
    {
        struct file *f = list_entry(at, struct file, link);
        buf_clear(&f->data);
        buf_append_bytes(&f->data, buf_view(&f->synced));
    }
}

void sim_fs_free(struct sim_node *node)
{
    close_all(node);
    while (!list_empty(&node->files))
        unlink_file(list_entry(node->files.next, struct file, link));
    for (struct list *at; (at = list_pop_front(&node->failures)) != NULL;)
        mem_free(list_entry(at, struct failure, link));
}
