// SLOWLOG GET, LEN, RESET.
#include "node/slowlog.h"

#include "base/text.h"
#include "command/help.h"
#include "command/table.h"

enum { DEFAULT_COUNT = 10 };

static void reply_entry(struct reply *r, const struct slowlog_entry *e)
{
    reply_array(r, 6);
    reply_integer(r, (int64_t)e->id);
    reply_integer(r, e->unix_s);
    reply_integer(r, (int64_t)e->us);
    reply_array(r, (size_t)e->argc);
    for (int i = 0; i < e->argc; i++)
        reply_bulk(r, str_view(e->argv[i]));
    reply_bulk_cstr(r, e->peer);
    reply_bulk(r, e->client_name != NULL ? str_view(e->client_name) : BYTES(""));
}

static void slowlog_get(struct ctx *c)
{
    int64_t count = DEFAULT_COUNT;
    if (c->argc > 3) {
        help_refuse(c);
        return;
    }
    if (c->argc == 3 && (!text_to_i64(ctx_arg(c, 2), &count) || count < -1)) {
        reply_error(c->reply, "count should be greater than or equal to -1");
        return;
    }
    int64_t all = slowlog_count(c->node);
    int64_t left = count < 0 || count > all ? all : count;
    reply_array(c->reply, (size_t)left);
    list_each(at, slowlog_entries(c->node))
    {
        if (left-- == 0) break;
        reply_entry(c->reply, list_entry(at, struct slowlog_entry, link));
    }
}

static void slowlog_len(struct ctx *c)
{
    reply_integer(c->reply, slowlog_count(c->node));
}

static void slowlog_reset_command(struct ctx *c)
{
    slowlog_reset(c->node);
    reply_ok(c->reply);
}

static void slowlog_help(struct ctx *c)
{
    static const char *const lines[] = {
        "GET [<count>]",
        "    The newest <count> entries (default: 10, -1 means all), each with: id, time,",
        "    microseconds, the command, the client's address and name.",
        "LEN",
        "    How many entries there are.",
        "RESET",
        "    Forget them.",
        NULL,
    };
    help_reply(c, lines);
}

enum { FLAGS = CMD_ADMIN | CMD_LOADING | CMD_STALE };

static const struct command slowlog_children[] = {
    {"get", slowlog_get, -2, FLAGS, .acl = NULL},
    {"len", slowlog_len, 2, FLAGS, .acl = NULL},
    {"reset", slowlog_reset_command, 2, FLAGS, .acl = NULL},
    {"help", slowlog_help, 2, CMD_LOADING | CMD_STALE, .acl = NULL},
    {0},
};

const struct command commands_slowlog[] = {
    {"slowlog", NULL, -2, 0, .children = slowlog_children},
    {0},
};
