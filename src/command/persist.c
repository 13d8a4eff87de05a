// SAVE, BGSAVE, LASTSAVE.
#include "command/table.h"

#include "node/persist.h"

static void save(struct ctx *c)
{
    persist_save_command(c);
}

static void bgsave(struct ctx *c)
{
    bool schedule = c->argc == 2 && ctx_is(c, 1, "schedule");
    if (c->argc > 1 && !schedule) {
        ctx_syntax_error(c);
        return;
    }
    // In the middle of a transaction there is no cut: it waits for the next tick.
    if (c->in_exec || (schedule && persist_busy(c->node))) {
        persist_schedule_save(c->node);
        reply_status(c->reply, "Background saving scheduled");
        return;
    }
    struct error error = ERROR_OK;
    if (persist_busy(c->node))
        reply_error(c->reply, "Background save already in progress");
    else if (persist_background_save(c->node, &error))
        reply_status(c->reply, "Background saving started");
    else
        reply_error(c->reply, error.text);
}

static void lastsave(struct ctx *c)
{
    reply_integer(c->reply, persist_last_save_s(c->node));
}

enum { SAVES = CMD_ADMIN | CMD_NOSCRIPT | CMD_NO_ASYNC_LOADING };

const struct command commands_persist[] = {
    {"save", save, 1, SAVES | CMD_NO_MULTI, .acl = NULL},
    {"bgsave", bgsave, -1, SAVES, .acl = NULL},
    {"lastsave", lastsave, 1, CMD_LOADING | CMD_STALE | CMD_FAST, .acl = "@admin @dangerous"},
    {0},
};
