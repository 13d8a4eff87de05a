// MULTI, EXEC, DISCARD, WATCH, UNWATCH.
#include "command/table.h"
#include "node/ctx_impl.h"

static void multi(struct ctx *c)
{
    if (c->client->flags & CLIENT_MULTI) {
        reply_error(c->reply, "MULTI calls can not be nested");
        return;
    }
    c->client->flags |= CLIENT_MULTI;
    reply_ok(c->reply);
}

static void discard(struct ctx *c)
{
    if (!(c->client->flags & CLIENT_MULTI)) {
        reply_error(c->reply, "DISCARD without MULTI");
        return;
    }
    multi_discard(c->client);
    reply_ok(c->reply);
}

static void watch(struct ctx *c)
{
    if (c->client->flags & CLIENT_MULTI) {
        reply_error(c->reply, "WATCH inside MULTI is not allowed");
        return;
    }
    // Once one has changed, EXEC gives up whatever else is watched.
    if (!(c->client->flags & CLIENT_DIRTY_CAS))
        for (int i = 1; i < c->argc; i++)
            multi_watch(c->client, ctx_arg(c, i));
    reply_ok(c->reply);
}

static void unwatch(struct ctx *c)
{
    multi_unwatch(c->client);
    c->client->flags &= ~(uint32_t)CLIENT_DIRTY_CAS;
    reply_ok(c->reply);
}

enum { ANY_TIME = CMD_NOSCRIPT | CMD_LOADING | CMD_STALE };

const struct command commands_transaction[] = {
    {"multi", multi, 1, ANY_TIME | CMD_FAST | CMD_ALLOW_BUSY, .acl = "@transaction"},
    {"exec", multi_exec, 1, ANY_TIME | CMD_SKIP_SLOWLOG, .acl = "@transaction"},
    {"discard", discard, 1, ANY_TIME | CMD_FAST | CMD_ALLOW_BUSY, .acl = "@transaction"},
    {"watch", watch, -2, ANY_TIME | CMD_FAST | CMD_ALLOW_BUSY, .keys = {{1, -1, 1, KEY_READ}},
     .acl = "@transaction"},
    {"unwatch", unwatch, 1, ANY_TIME | CMD_FAST | CMD_ALLOW_BUSY, .acl = "@transaction"},
    {0},
};
