#include "command/help.h"

#include <ctype.h>

static size_t upper_name(struct ctx *c, char out[32])
{
    struct bytes name = ctx_arg(c, 0);
    size_t len = 0;
    for (; len < name.len && len < 32; len++)
        out[len] = (char)toupper((unsigned char)name.data[len]);
    return len;
}

void help_refuse(struct ctx *c)
{
    char name[32];
    int len = (int)upper_name(c, name);
    reply_errorf(c->reply,
                 "unknown subcommand or wrong number of arguments for '%.128s'. Try %.*s HELP.",
                 c->argv[1]->data, len, name);
}

void help_reply(struct ctx *c, const char *const *lines)
{
    size_t count = 0;
    while (lines[count] != NULL)
        count++;
    char head[128];
    size_t len = upper_name(c, head);
    static const char rest[] = " <subcommand> [<arg> [value] [opt] ...]. Subcommands are:";
    memcpy(head + len, rest, sizeof(rest));
    reply_array(c->reply, count + 3);
    reply_status(c->reply, head);
    for (size_t i = 0; i < count; i++)
        reply_status(c->reply, lines[i]);
    reply_status(c->reply, "HELP");
    reply_status(c->reply, "    Print this help.");
}
