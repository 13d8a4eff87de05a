// ACL LOAD and SAVE.
#ifndef WHERRY_COMMAND_ACL_FILE_H
#define WHERRY_COMMAND_ACL_FILE_H

#include "node/command.h"

void acl_load_command(struct ctx *c);
void acl_save_command(struct ctx *c);

#endif
