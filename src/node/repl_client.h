// The commands of replication that are about roles and links; src/command/replication.c has their
// table.
#ifndef WHERRY_NODE_REPL_CLIENT_H
#define WHERRY_NODE_REPL_CLIENT_H

struct ctx;

void repl_replconf(struct ctx *c);
void repl_psync(struct ctx *c);
void repl_sync(struct ctx *c);
void repl_wait(struct ctx *c);
void repl_role(struct ctx *c);
void repl_failover(struct ctx *c);

#endif
