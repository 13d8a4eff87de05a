// Feeding at the pace of the replicas: what a large RESTORE tells them is not queued without bound.
#include "node/repl_impl.h"

enum {
    LEAD_BYTES = 2 * 1024 * 1024, // of stream that an online replica need not have yet
    PATIENCE_US = 1000 * 1000,    // for it to come back below that; drops don't prolong it
};

static void tell_all(struct replication *r)
{
    struct list told, *link;
    list_init(&told);
    list_splice_back(&told, &r->followers);
    deadline_cancel(r->node->loop, &r->patience);
    while ((link = list_pop_front(&told)) != NULL) {
        struct waiter *w = list_entry(link, struct waiter, link);
        w->ready(w);
    }
}

static void on_patience(struct deadline *d)
{
    tell_all(list_entry(d, struct replication, patience));
}

void repl_pace_init(struct replication *r)
{
    list_init(&r->followers);
    r->patience.fire = on_patience;
}

void repl_pace_free(struct replication *r)
{
    deadline_cancel(r->node->loop, &r->patience);
    while (list_pop_front(&r->followers) != NULL) {
    }
}

void repl_pace_check(struct replication *r)
{
    if (list_empty(&r->followers)) return;
    if (primary_behind(&r->primary, LEAD_BYTES, PATIENCE_US) == 0) tell_all(r);
}

bool repl_let_follow(struct node *n, struct waiter *w)
{
    struct replication *r = n->repl;
    if (r->is_replica) return false;
    uint64_t until_us = primary_behind(&r->primary, LEAD_BYTES, PATIENCE_US);
    if (until_us == 0) return false;
    list_push_back(&r->followers, &w->link);
    deadline_arm(n->loop, &r->patience, until_us);
    return true;
}
