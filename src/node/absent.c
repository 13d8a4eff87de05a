// Parts that are being written: weak stand-ins, so that the rest links. Gone once all are there.
#include "base/mem.h"
#include "node/parts.h"

#define WEAK __attribute__((weak))

WEAK size_t repl_memory(const struct node *n, size_t *beyond)
{
    (void)n;
    *beyond = 0;
    return 0;
}
WEAK void repl_info(struct node *n, struct buf *out)
{
    (void)n;
    buf_append_cstr(out, "# Replication\r\nrole:master\r\n");
}
