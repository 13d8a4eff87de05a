// Names of the libuv backend: numeric hosts are answered by a task, others by getaddrinfo on a
// worker thread. An answer that nobody wants any more (req->cancelled) comes with count 0.
#include "loop/loop_uv_impl.h"

#include "base/mem.h"

#include <stdio.h>

struct resolve_run {
    uv_getaddrinfo_t uv;
    struct task task;
    struct loop *loop;
    struct resolve_req *req;
};

static void answer(struct resolve_run *r)
{
    struct resolve_req *req = r->req;
    mem_free(r);
    req->impl = NULL;
    if (req->cancelled) req->count = 0;
    req->done(req);
}

static void on_task(struct task *task)
{
    answer(list_entry(task, struct resolve_run, task));
}

static void on_getaddrinfo(uv_getaddrinfo_t *uv, int status, struct addrinfo *found)
{
    struct resolve_run *r = uv->data;
    struct resolve_req *req = r->req;
    struct loop *loop = r->loop;
    loop_enter(loop);
    if (status != 0)
        error_set(&req->error, ERROR_IO, "can't resolve %s: %s", req->host, uv_strerror(status));
    for (struct addrinfo *at = found; at != NULL && req->count < RESOLVE_MAX; at = at->ai_next)
        if (uv_ip_name(at->ai_addr, req->address[req->count], sizeof(req->address[0])) == 0)
            req->count++;
    if (status == 0 && req->count == 0)
        error_set(&req->error, ERROR_IO, "can't resolve %s: no address", req->host);
    uv_freeaddrinfo(found);
    answer(r);
    loop_leave(loop, "resolved");
}

void loop_uv_resolve(struct loop *loop, struct resolve_req *req)
{
    struct resolve_run *r = mem_new(struct resolve_run);
    r->uv.data = r;
    r->loop = loop;
    r->req = req;
    req->impl = r;
    req->count = 0;
    req->error = ERROR_OK;
    task_init(&r->task, on_task);
    unsigned char raw[16];
    if (uv_inet_pton(AF_INET, req->host, raw) == 0 || uv_inet_pton(AF_INET6, req->host, raw) == 0) {
        snprintf(req->address[req->count++], sizeof(req->address[0]), "%s", req->host);
        loop_defer(loop, &r->task);
        return;
    }
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    int status =
        uv_getaddrinfo(loop_uv_loop(loop), &r->uv, on_getaddrinfo, req->host, NULL, &hints);
    if (status == 0) return;
    error_set(&req->error, ERROR_IO, "can't resolve %s: %s", req->host, uv_strerror(status));
    loop_defer(loop, &r->task);
}
