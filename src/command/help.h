// HELP of a container command, in the shape that Redis gives it.
#ifndef WHERRY_COMMAND_HELP_H
#define WHERRY_COMMAND_HELP_H

#include "node/command.h"

// `lines` end with NULL. A head line that names the command and the entry for HELP are added.
void help_reply(struct ctx *c, const char *const *lines);

// "unknown subcommand or wrong number of arguments ...": what Redis answers where the row's arity
// leaves too many words in.
void help_refuse(struct ctx *c);

#endif
