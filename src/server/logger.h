// The log of the program: lines in Redis's form, to standard output or to logfile.
//
//     1234:M 24 Nov 2026 10:00:00.123 * Ready to accept connections
#ifndef WHERRY_SERVER_LOGGER_H
#define WHERRY_SERVER_LOGGER_H

#include "node/node.h"

struct logger *logger_new(const struct config *config, struct error *error);
struct log *logger_log(struct logger *l);
bool logger_open(struct logger *l, struct error *error); // after chdir to `dir`
// The first lines: version, pid (tools look for " PID: ").
void logger_greet(struct logger *l, const struct config *config, const char *version);
void logger_role(struct logger *l, const struct node *n); // M, S by the node's role
void logger_free(struct logger *l);

#endif
