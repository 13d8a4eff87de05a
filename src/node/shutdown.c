// States: none -> waiting (for replicas to acknowledge all of the stream, at most shutdown-timeout
// seconds, writes paused) -> saving (writes paused) -> the loop is left, behind the hooks of this
// iteration, so that what was answered is sent, and the stream to those that were not waited for. A
// failed save ends it unless FORCE; so does SHUTDOWN ABORT while waiting.
#include "node/shutdown.h"

#include "base/mem.h"
#include "node/parts.h"
#include "node/pause.h"
#include "node/persist.h"

struct shutdown {
    struct node *node;
    enum { SHUTDOWN_NONE, SHUTDOWN_WAITING, SHUTDOWN_SAVING } state;
    int flags;
    uint64_t until_us;    // what is waited for replicas
    struct deadline look; // then, or as soon as they have acknowledged
    struct list clients;  // of struct shutdown_client
    struct task end;
};

struct shutdown_client {
    struct list link;
    struct suspension suspension;
};

static void client_gone(struct suspension *s)
{
    struct shutdown_client *c = list_entry(s, struct shutdown_client, suspension);
    list_remove(&c->link);
    mem_free(c);
}

static void on_look(struct deadline *d);

static void on_end(struct task *task)
{
    loop_stop(list_entry(task, struct shutdown, end)->node->loop);
}

static struct shutdown *get(struct node *n)
{
    if (n->shutdown != NULL) return n->shutdown;
    struct shutdown *s = n->shutdown = mem_new(struct shutdown);
    s->node = n;
    s->look.fire = on_look;
    list_init(&s->clients);
    task_init(&s->end, on_end);
    return s;
}

// Over without leaving: whoever asked is told.
static void give_up(struct shutdown *s)
{
    s->state = SHUTDOWN_NONE;
    deadline_cancel(s->node->loop, &s->look);
    pause_end(s->node, PAUSE_SHUTDOWN);
    for (struct list *at; (at = list_pop_front(&s->clients)) != NULL;) {
        struct shutdown_client *c = list_entry(at, struct shutdown_client, link);
        reply_error(client_reply(c->suspension.client), "Errors trying to SHUTDOWN. Check logs.");
        client_resume(&c->suspension);
        mem_free(c);
    }
}

static void leave(struct node *n)
{
    log_warning(&n->log, "wherry is now ready to exit, bye bye...");
    n->stopping = true;
    repl_shutdown_end(n);
    loop_defer(n->loop, &n->shutdown->end);
}

static void on_saved(struct node *n, const struct error *error)
{
    if (!error_is(error)) {
        leave(n);
        return;
    }
    if (n->shutdown->flags & SHUTDOWN_FORCE) {
        log_warning(&n->log, "Error trying to save the DB (%s), but leaving as told (FORCE)",
                    error->text);
        leave(n);
        return;
    }
    log_warning(&n->log, "Error trying to save the DB, can't exit: %s", error->text);
    log_warning(&n->log, "Errors trying to shut down the server. Check the logs for more "
                         "information.");
    give_up(n->shutdown);
}

static void save_and_leave(struct shutdown *s)
{
    struct node *n = s->node;
    repl_shutdown_log(n);
    bool save =
        s->flags & SHUTDOWN_SAVE || (n->config.save_count > 0 && !(s->flags & SHUTDOWN_NOSAVE));
    if (!save || n->loading) {
        leave(n);
        return;
    }
    s->state = SHUTDOWN_SAVING;
    // What is written from now on would not be in it.
    pause_begin(n, PAUSE_SHUTDOWN, PAUSE_WRITES, UINT64_MAX);
    log_notice(&n->log, "Saving the final RDB snapshot before exiting.");
    persist_save_for_exit(n, on_saved);
}

static void on_look(struct deadline *d)
{
    struct shutdown *s = list_entry(d, struct shutdown, look);
    if (repl_shutdown_ready(s->node) || loop_now_us(s->node->loop) >= s->until_us)
        save_and_leave(s);
    else
        deadline_arm(s->node->loop, &s->look, s->until_us);
}

void shutdown_replicas_moved(struct node *n)
{
    struct shutdown *s = n->shutdown;
    if (s == NULL || s->state != SHUTDOWN_WAITING || !repl_shutdown_ready(n)) return;
    deadline_arm(n->loop, &s->look, loop_now_us(n->loop)); // this is the middle of a link's event
}

void node_shutdown(struct node *n, int flags)
{
    struct shutdown *s = get(n);
    if (s->state != SHUTDOWN_NONE) return;
    s->flags = flags;
    log_warning(&n->log, "User requested shutdown...");
    uint64_t now_us = loop_now_us(n->loop);
    if (!(flags & SHUTDOWN_NOW) && n->config.shutdown_timeout_s > 0 && !repl_shutdown_ready(n)) {
        s->state = SHUTDOWN_WAITING;
        s->until_us = now_us + (uint64_t)n->config.shutdown_timeout_s * 1000000;
        pause_begin(n, PAUSE_SHUTDOWN, PAUSE_WRITES, UINT64_MAX);
        repl_shutdown_begin(n);
        log_notice(&n->log, "Waiting for replicas before shutting down.");
        deadline_arm(n->loop, &s->look, s->until_us);
        return;
    }
    save_and_leave(s);
}

bool shutdown_abort(struct node *n)
{
    if (n->shutdown == NULL || n->shutdown->state != SHUTDOWN_WAITING) return false;
    log_notice(&n->log, "Shutdown manually aborted.");
    give_up(n->shutdown);
    return true;
}

int64_t shutdown_left_ms(const struct node *n)
{
    const struct shutdown *s = n->shutdown;
    if (s == NULL || s->state != SHUTDOWN_WAITING) return -1;
    uint64_t now_us = loop_now_us(n->loop);
    return s->until_us > now_us ? (int64_t)(s->until_us - now_us) / 1000 : 0;
}

void shutdown_command(struct ctx *c)
{
    int flags = 0;
    bool abort = false;
    for (int i = 1; i < c->argc; i++) {
        if (ctx_is(c, i, "nosave"))
            flags |= SHUTDOWN_NOSAVE;
        else if (ctx_is(c, i, "save"))
            flags |= SHUTDOWN_SAVE;
        else if (ctx_is(c, i, "now"))
            flags |= SHUTDOWN_NOW;
        else if (ctx_is(c, i, "force"))
            flags |= SHUTDOWN_FORCE;
        else if (ctx_is(c, i, "abort"))
            abort = true;
        else {
            ctx_syntax_error(c);
            return;
        }
    }
    if ((abort && flags) || ((flags & SHUTDOWN_NOSAVE) && (flags & SHUTDOWN_SAVE))) {
        ctx_syntax_error(c);
        return;
    }
    if (abort) {
        if (shutdown_abort(c->node))
            reply_ok(c->reply);
        else
            reply_error(c->reply, "No shutdown in progress.");
        return;
    }
    struct shutdown_client *client = mem_new(struct shutdown_client);
    client->suspension.gone = client_gone;
    list_init(&client->link);
    if (!ctx_suspend(c, &client->suspension)) {
        mem_free(client);
        reply_error(c->reply, "SHUTDOWN is not allowed in this context");
        return;
    }
    list_push_back(&get(c->node)->clients, &client->link);
    node_shutdown(c->node, flags);
}

void shutdown_free(struct node *n)
{
    if (n->shutdown == NULL) return;
    deadline_cancel(n->loop, &n->shutdown->look);
    task_cancel(&n->shutdown->end);
    mem_free(n->shutdown);
    n->shutdown = NULL;
}
