// INFO: sections and fields by Redis 7.0's names, plus "# Loop" and "# Migrate", which are ours.
#ifndef WHERRY_NODE_INFO_H
#define WHERRY_NODE_INFO_H

#include "node/node.h"

// Appends the sections that the words ask for ("default", "all", "everything", "server" ...); none:
// the default ones. Lines end in CRLF, an empty one stands between sections.
void info_append(struct node *n, int count, const struct bytes *words, struct buf *out);

// One field; for parts that write sections of their own.
void info_field(struct buf *out, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
