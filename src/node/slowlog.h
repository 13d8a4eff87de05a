// The log of slow commands: SLOWLOG's entries, newest first. slowlog_note of parts.h adds to it.
#ifndef WHERRY_NODE_SLOWLOG_H
#define WHERRY_NODE_SLOWLOG_H

#include "node/parts.h"

// What an entry keeps of a command (Redis 7.0 slowlog.h): the rest is counted in words.
enum { SLOWLOG_ARGS_MAX = 32, SLOWLOG_ARG_BYTES = 128 };

struct slowlog_entry {
    struct list link;
    uint64_t id;
    int64_t unix_s;
    uint64_t us;
    char peer[128];
    struct str *client_name; // or NULL
    int argc;
    struct str *argv[];
};

int slowlog_count(const struct node *n);
void slowlog_reset(struct node *n);
void slowlog_trim(struct node *n); // to slowlog-max-len
// Entries by `link`, newest first.
const struct list *slowlog_entries(const struct node *n);

#endif
