// DUMP, RESTORE and MIGRATE in the node: what the machines of src/migrate need of it, and the
// commands' bodies. What the core calls is in parts.h.
#ifndef WHERRY_NODE_MIGRATE_NODE_H
#define WHERRY_NODE_MIGRATE_NODE_H

#include "node/node.h"

void dump_command(struct ctx *c);
void restore_command(struct ctx *c);
void migrate_command(struct ctx *c);
int migrate_command_keys(int argc, struct str *const *argv, struct key_ref *out, int max);
void restore_role_changed(struct node *n);
// The node becomes a replica: what is under way is given up, its keys stay.
void migrate_role_changed(struct node *n);
struct machine;
// Shows the machine of each MIGRATE that is in flight.
void migrate_visit(const struct node *n, void (*visit)(void *arg, const struct machine *m),
                   void *arg);

#endif
