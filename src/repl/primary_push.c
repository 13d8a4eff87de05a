#include "repl/primary_push.h"

#include "repl/primary.h"

static void push(struct primary *p)
{
    struct primary_push *push = &p->push;
    deadline_cancel(p->loop, &push->latest);
    push->now = false;
    push->last_much = p->stream->offset - push->last_end >= PUSH_MUCH_BYTES;
    push->last_end = p->stream->offset;
    push->last_us = loop_now_us(p->loop);
    list_each(at, &p->links)
    {
        struct replica_link *l = list_entry(at, struct replica_link, link);
        if (link_wants_stream(l)) link_pump(l);
    }
}

static void on_latest(struct deadline *d)
{
    push(list_entry(d, struct primary, push.latest));
}

static bool is_time(const struct primary *p)
{
    const struct primary_push *push = &p->push;
    return !push->last_much || push->now ||
           loop_now_us(p->loop) >= push->last_us + PUSH_GATHER_US ||
           p->stream->offset - push->last_end >= PUSH_WHOLE_BYTES;
}

// Once per turn of the loop, after all that fed the stream in it.
static void run(struct before_wait *hook)
{
    struct primary *p = list_entry(hook, struct primary, push.hook);
    bool any = false;
    list_each(at, &p->links)
    {
        struct replica_link *l = list_entry(at, struct replica_link, link);
        if (!repl_reader_is_open(&l->reader)) continue;
        any |= link_wants_stream(l);
        link_check_limit(l);
    }
    if (!any) return;
    if (is_time(p))
        push(p);
    else if (!deadline_armed(&p->push.latest))
        deadline_arm(p->loop, &p->push.latest, p->push.last_us + PUSH_LATEST_US);
}

void primary_push_init(struct primary *p)
{
    p->push.hook.run = run;
    p->push.latest.fire = on_latest;
    loop_before_wait(p->loop, &p->push.hook);
}

void primary_push_free(struct primary *p)
{
    deadline_cancel(p->loop, &p->push.latest);
    before_wait_remove(&p->push.hook);
}

void primary_push_now(struct primary *p)
{
    p->push.now = true;
}
