// CLIENT TRACKING and its relatives; the rows are client.c's.
#ifndef WHERRY_COMMAND_CLIENT_TRACKING_H
#define WHERRY_COMMAND_CLIENT_TRACKING_H

struct ctx;

void client_tracking(struct ctx *c);
void client_caching(struct ctx *c);
void client_getredir(struct ctx *c);
void client_trackinginfo(struct ctx *c);

#endif
