// What a call changed, on its way to replicas: gathered while the outermost call runs, then fed in
// order, as one transaction when it is more than one command.
#include "base/mem.h"
#include "node/ctx_impl.h"

#include <stdlib.h>

static struct propagated *push(struct node *n, int db, int argc)
{
    if (n->propagate_count == n->propagate_cap) {
        n->propagate_cap = n->propagate_cap ? n->propagate_cap * 2 : 8;
        n->propagate = mem_realloc(n->propagate, (size_t)n->propagate_cap * sizeof(*n->propagate));
    }
    struct propagated *p = &n->propagate[n->propagate_count++];
    *p = (struct propagated){.db = db, .argc = argc, .argv = mem_array(struct str *, (size_t)argc)};
    return p;
}

void node_propagate(struct node *n, int db, int argc, const struct bytes *argv)
{
    if (!repl_feeding(n)) return;
    if (n->current == NULL) {
        repl_feed(n, db, argc, argv);
        return;
    }
    struct propagated *p = push(n, db, argc);
    for (int i = 0; i < argc; i++)
        p->argv[i] = str_from(argv[i]);
}

void propagate_request(struct node *n, int db, const struct request *r)
{
    if (!repl_feeding(n)) return;
    struct bytes few[16], *argv = few;
    if (r->argc > 16) argv = mem_array(struct bytes, (size_t)r->argc);
    for (int i = 0; i < r->argc; i++)
        argv[i] = str_view(r->argv[i]);
    node_propagate(n, db, r->argc, argv);
    if (argv != few) mem_free(argv);
}

static void feed(struct node *n, struct propagated *p)
{
    struct bytes few[16], *argv = few;
    if (p->argc > 16) argv = mem_array(struct bytes, (size_t)p->argc);
    for (int i = 0; i < p->argc; i++)
        argv[i] = str_view(p->argv[i]);
    repl_feed(n, p->db, p->argc, argv);
    if (argv != few) mem_free(argv);
    for (int i = 0; i < p->argc; i++)
        str_free(p->argv[i]);
    mem_free(p->argv);
}

void propagate_flush(struct node *n)
{
    int count = n->propagate_count;
    if (count == 0) return;
    bool apart = n->current != NULL && (n->current->command->flags & CMD_ARBITRARY_KEYS);
    if (count > 1 && !apart) repl_feed_multi_begin(n, n->propagate[0].db);
    for (int i = 0; i < count; i++)
        feed(n, &n->propagate[i]);
    if (count > 1 && !apart) repl_feed_multi_end(n);
    n->propagate_count = 0;
}
