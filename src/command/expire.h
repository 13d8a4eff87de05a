// What commands that set a time to live share.
#ifndef WHERRY_COMMAND_EXPIRE_H
#define WHERRY_COMMAND_EXPIRE_H

#include "node/command.h"

// True when a key that is given this instant is to be deleted rather than kept: on a primary, when
// the instant has come. A replica keeps it until its primary says DEL.
bool expire_at_once(struct ctx *c, int64_t at_ms);
// Deletes such a key: change, "del" event, and DEL (or UNLINK: lazyfree-lazy-expire) propagated in
// place of the command.
void expire_delete(struct ctx *c, struct bytes key);

#endif
