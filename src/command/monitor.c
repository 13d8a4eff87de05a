// MONITOR, and LOLWUT for the mood.
#include "node/monitor.h"

#include "base/text.h"
#include "command/table.h"

static void monitor(struct ctx *c)
{
    if (c->deny_block) {
        reply_error(c->reply, "MONITOR isn't allowed for DENY BLOCKING client");
        return;
    }
    if (c->client->flags & (CLIENT_REPLICA | CLIENT_MONITOR)) return;
    monitor_add(c->client);
    reply_ok(c->reply);
}

// A wherry under way, and the version, which is what some tools read here.
static void lolwut(struct ctx *c)
{
    int64_t ignored;
    if (c->argc > 2 && ctx_is(c, 1, "version") && !ctx_int(c, 2, &ignored)) return;
    reply_verbatim(c->reply, "txt",
                   BYTES("        |\\\n"
                         "        | \\\n"
                         "        |  \\\n"
                         "   _____|___\\_____\n"
                         "   \\             /\n"
                         "~~~~\\___________/~~~~\n"
                         "\nRedis ver. 7.0.15\n"));
}

const struct command commands_monitor[] = {
    {"monitor", monitor, 1, CMD_ADMIN | CMD_NOSCRIPT | CMD_LOADING | CMD_STALE, .acl = NULL},
    {"lolwut", lolwut, -1, CMD_READONLY | CMD_FAST, .acl = NULL},
    {0},
};
