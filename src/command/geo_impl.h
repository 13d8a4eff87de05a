// What the files of the geo commands share.
#ifndef WHERRY_COMMAND_GEO_IMPL_H
#define WHERRY_COMMAND_GEO_IMPL_H

#include "command/geohash.h"
#include "node/command.h"

// Longitude and latitude at argv[index]. False: the error was replied.
bool geo_arg_point(struct ctx *c, int index, struct geo_point *p);
// m, km, ft or mi, as metres. False: the error was replied.
bool geo_arg_unit(struct ctx *c, int index, double *metres);
void geo_reply_point(struct ctx *c, struct geo_point p);
void geo_reply_distance(struct ctx *c, double distance); // with four decimals

#endif
