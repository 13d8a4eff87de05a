// Key specifications: how a client finds the keys of a command by itself, and what happens to them.
//
// Source: "Command key specifications" of the Redis 7.0 documentation.
#ifndef WHERRY_NODE_KEYSPEC_H
#define WHERRY_NODE_KEYSPEC_H

#include "node/command.h"

enum keyspec_begin { BEGIN_INDEX, BEGIN_KEYWORD, BEGIN_UNKNOWN };
enum keyspec_find { FIND_RANGE, FIND_KEYNUM, FIND_UNKNOWN };

struct keyspec {
    enum keyspec_begin begin;
    int start; // the index, or where to look for the keyword from
    struct bytes keyword;
    enum keyspec_find find;
    int number[3];      // last, step, limit; or index of the count, first, step
    struct bytes flags; // words separated by spaces
};

enum { KEYSPECS_MAX = 8 };
// Reads the text form of node/facts.h. Returns how many.
int keyspecs_parse(const char *text, struct keyspec out[KEYSPECS_MAX]);
// The specification that says that argv[index] is a key, or NULL.
const struct keyspec *keyspec_covering(const struct keyspec *specs, int count, int argc,
                                       struct str *const *argv, int index);
// Words about what becomes of a key of this call, of the specification that covers it or, where
// they depend on the arguments, of what the row says.
struct bytes keyspec_flags_of(const struct keyspec *specs, int count, const char *name, int argc,
                              struct str *const *argv, const struct key_ref *key);
// First, last and step, as COMMAND gave them before there were specifications; 0: none.
void keyspecs_range(const struct keyspec *specs, int count, int out[3]);
void keyspec_reply(struct reply *r, const struct keyspec *spec);
void keyspec_reply_flags(struct reply *r, struct bytes flags); // a set

#endif
