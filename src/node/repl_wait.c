// WAIT: a client waits until enough replicas have acknowledged the stream so far, or for so long.
#include "base/text.h"
#include "node/repl_client.h"
#include "node/repl_impl.h"

#include "base/mem.h"

struct repl_wait {
    struct list link; // replication->waits
    struct replication *replication;
    struct suspension suspension;
    struct deadline deadline;
    int64_t offset;
    int64_t needed;
};

static void run_getack(struct task *task)
{
    struct replication *r = list_entry(task, struct replication, getack);
    if (!r->is_replica) primary_getack(&r->primary);
}

void repl_waits_init(struct replication *r)
{
    list_init(&r->waits);
    task_init(&r->getack, run_getack);
}

void repl_ask_acks(struct replication *r)
{
    loop_defer(r->node->loop, &r->getack);
}

static void wait_free(struct repl_wait *w)
{
    deadline_cancel(w->replication->node->loop, &w->deadline);
    list_remove(&w->link);
    w->replication->node->blocked_clients--;
    mem_free(w);
}

static void answer(struct repl_wait *w)
{
    reply_integer(client_reply(w->suspension.client),
                  primary_acked(&w->replication->primary, w->offset));
    client_resume(&w->suspension);
    wait_free(w);
}

static void on_deadline(struct deadline *d)
{
    answer(list_entry(d, struct repl_wait, deadline));
}

static void on_abort(struct suspension *s, const char *error)
{
    struct repl_wait *w = list_entry(s, struct repl_wait, suspension);
    if (error == NULL) {
        answer(w);
        return;
    }
    reply_error(client_reply(s->client), error);
    client_resume(s);
    wait_free(w);
}

static void on_gone(struct suspension *s)
{
    wait_free(list_entry(s, struct repl_wait, suspension));
}

void repl_waits_check(struct replication *r)
{
    list_each_safe(at, &r->waits)
    {
        struct repl_wait *w = list_entry(at, struct repl_wait, link);
        if (primary_acked(&r->primary, w->offset) >= w->needed) answer(w);
    }
}

void repl_waits_abort(struct replication *r)
{
    list_each_safe(at, &r->waits)
    {
        struct repl_wait *w = list_entry(at, struct repl_wait, link);
        reply_error(client_reply(w->suspension.client),
                    "-UNBLOCKED force unblock from blocking operation, instance state changed "
                    "(master -> replica?)");
        client_resume(&w->suspension);
        wait_free(w);
    }
}

void repl_wait(struct ctx *c)
{
    struct replication *r = c->node->repl;
    int64_t needed, timeout_ms;
    if (r->is_replica) {
        reply_error(c->reply,
                    "WAIT cannot be used with replica instances. Please also note that since Redis "
                    "4.0 if a replica is configured to be writable (which is not the default) "
                    "writes to replicas are just local and are not propagated.");
        return;
    }
    if (!ctx_int(c, 1, &needed)) return;
    if (!text_to_i64(ctx_arg(c, 2), &timeout_ms)) {
        reply_error(c->reply, "timeout is not an integer or out of range");
        return;
    }
    if (timeout_ms < 0) {
        reply_error(c->reply, "timeout is negative");
        return;
    }
    // Up to where the stream was after this client's last command: what others have written since
    // is not waited for.
    int64_t offset = c->client->written_offset;
    if (offset > r->stream.offset) offset = r->stream.offset; // of a history that is over
    int acked = primary_acked(&r->primary, offset);
    struct repl_wait *w = acked < needed ? mem_new(struct repl_wait) : NULL;
    if (w == NULL || !ctx_suspend(c, &w->suspension)) {
        mem_free(w);
        reply_integer(c->reply, acked);
        return;
    }
    w->replication = r;
    w->offset = offset;
    w->needed = needed;
    w->suspension.gone = on_gone;
    w->suspension.abort = on_abort;
    w->deadline.fire = on_deadline;
    list_push_back(&r->waits, &w->link);
    r->node->blocked_clients++;
    if (timeout_ms > 0 && timeout_ms < INT64_MAX / 2000)
        deadline_arm(r->node->loop, &w->deadline,
                     loop_now_us(r->node->loop) + (uint64_t)timeout_ms * 1000);
    repl_ask_acks(r);
}
