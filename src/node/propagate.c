// What a call changed, on its way to replicas: written out while the outermost call runs, then fed
// in order, as one transaction when it is more than one command.
#include "base/mem.h"
#include "node/ctx_impl.h"
#include "proto/command_line.h"

enum { TEXT_KEPT_BYTES = 64 * 1024 }; // a buffer that grew beyond it is given back

// What was written behind `text` since it was `from` bytes long is one command.
static void add(struct node *n, int db, size_t from)
{
    struct propagated *p = &n->propagated;
    if (p->count == p->cap) {
        p->cap = p->cap ? p->cap * 2 : 8;
        p->commands = mem_realloc(p->commands, (size_t)p->cap * sizeof(*p->commands));
    }
    p->commands[p->count].db = db;
    p->commands[p->count++].len = buf_len(&p->text) - from;
}

void node_propagate(struct node *n, int db, int argc, const struct bytes *argv)
{
    if (!repl_feeding(n)) return;
    if (n->current == NULL) {
        repl_feed(n, db, argc, argv);
        return;
    }
    size_t from = buf_len(&n->propagated.text);
    request_append(&n->propagated.text, argc, argv);
    add(n, db, from);
}

void propagate_keep(struct ctx *c)
{
    if (c->kept || !repl_feeding(c->node)) return;
    struct buf *kept = &c->node->propagated.kept;
    buf_clear(kept);
    request_append_strs(kept, c->argc, c->argv);
    c->kept = true;
}

static void swap(struct buf *a, struct buf *b)
{
    struct buf was = *a;
    *a = *b;
    *b = was;
}

void propagate_request(struct ctx *c)
{
    struct node *n = c->node;
    struct propagated *p = &n->propagated;
    if (!repl_feeding(n)) return;
    size_t from = buf_len(&p->text);
    if (c->kept && from == 0)
        swap(&p->text, &p->kept); // it may be large
    else if (c->kept)
        buf_append_bytes(&p->text, buf_view(&p->kept));
    else
        request_append_strs(&p->text, c->argc, c->argv);
    add(n, c->db, from);
}

static void empty(struct buf *b)
{
    if (b->cap > TEXT_KEPT_BYTES)
        buf_free(b);
    else
        buf_clear(b);
}

void propagate_flush(struct node *n)
{
    struct propagated *p = &n->propagated;
    if (p->count == 0) return;
    bool apart = n->current != NULL && (n->current->command->flags & CMD_ARBITRARY_KEYS);
    bool together = p->count > 1 && !apart;
    if (together) repl_feed_multi_begin(n, p->commands[0].db);
    for (int i = 0; i < p->count; i++) {
        struct bytes text = {buf_view(&p->text).data, p->commands[i].len};
        repl_feed_requests(n, p->commands[i].db, text);
        buf_consume(&p->text, text.len);
    }
    if (together) repl_feed_multi_end(n);
    p->count = 0;
    empty(&p->text);
    empty(&p->kept);
}

void propagate_free(struct node *n)
{
    buf_free(&n->propagated.text);
    buf_free(&n->propagated.kept);
    mem_free(n->propagated.commands);
}
