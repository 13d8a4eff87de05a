// INFO, TIME, SHUTDOWN: about the server as a whole.
#include "base/mem.h"
#include "command/table.h"
#include "node/ctx_impl.h"
#include "node/info.h"
#include "node/shutdown.h"

static void info(struct ctx *c)
{
    struct buf out = BUF_EMPTY;
    struct bytes words[32];
    int count = c->argc - 1 < 32 ? c->argc - 1 : 32;
    for (int i = 0; i < count; i++)
        words[i] = ctx_arg(c, i + 1);
    info_append(c->node, count, words, &out);
    reply_verbatim(c->reply, "txt", buf_view(&out));
    buf_free(&out);
}

static void time_of_day(struct ctx *c)
{
    int64_t us = loop_unix_us(c->node->loop);
    reply_array(c->reply, 2);
    reply_bulk_integer(c->reply, us / 1000000);
    reply_bulk_integer(c->reply, us % 1000000);
}

const struct command commands_server[] = {
    {"info", info, -1, CMD_LOADING | CMD_STALE, .acl = "@dangerous"},
    {"time", time_of_day, 1, CMD_LOADING | CMD_STALE | CMD_FAST, .acl = NULL},
    {"shutdown", shutdown_command, -1,
     CMD_ADMIN | CMD_NOSCRIPT | CMD_LOADING | CMD_STALE | CMD_NO_MULTI | CMD_ALLOW_BUSY,
     .acl = NULL},
    {0},
};
