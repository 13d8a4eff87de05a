#include "command/help.h"

#include <ctype.h>

void help_reply(struct ctx *c, const char *const *lines)
{
    size_t count = 0;
    while (lines[count] != NULL)
        count++;
    char head[128];
    size_t len = 0;
    struct bytes name = ctx_arg(c, 0);
    for (; len < name.len && len < 32; len++)
        head[len] = (char)toupper((unsigned char)name.data[len]);
    static const char rest[] = " <subcommand> [<arg> [value] [opt] ...]. Subcommands are:";
    memcpy(head + len, rest, sizeof(rest));
    reply_array(c->reply, count + 3);
    reply_status(c->reply, head);
    for (size_t i = 0; i < count; i++)
        reply_status(c->reply, lines[i]);
    reply_status(c->reply, "HELP");
    reply_status(c->reply, "    Print this help.");
}
