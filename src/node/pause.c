#include "node/pause.h"

#include "base/mem.h"
#include "node/parts.h"

struct pause {
    struct node *node;
    enum pause_extent extent[PAUSE_REASONS];
    uint64_t until_us[PAUSE_REASONS];
    struct deadline deadline; // the earliest of them
    struct list waiting;      // of struct waiter: parked clients
};

static void on_deadline(struct deadline *d);

static struct pause *get(struct node *n)
{
    if (n->pause != NULL) return n->pause;
    struct pause *p = n->pause = mem_new(struct pause);
    p->node = n;
    p->deadline.fire = on_deadline;
    list_init(&p->waiting);
    return p;
}

void pause_free(struct node *n)
{
    if (n->pause == NULL) return;
    deadline_cancel(n->loop, &n->pause->deadline);
    list_remove(&n->pause->waiting);
    mem_free(n->pause);
    n->pause = NULL;
}

enum pause_extent pause_extent(const struct node *n)
{
    enum pause_extent most = PAUSE_NOTHING;
    for (int i = 0; n->pause != NULL && i < PAUSE_REASONS; i++)
        if (n->pause->extent[i] > most) most = n->pause->extent[i];
    return most;
}

// Whoever waits tries again, and waits again if another pause still says so.
static void wake(struct pause *p)
{
    struct list round;
    list_init(&round);
    list_splice_back(&round, &p->waiting);
    for (struct list *at; (at = list_pop_front(&round)) != NULL;) {
        struct waiter *w = list_entry(at, struct waiter, link);
        w->ready(w);
    }
}

static void arm(struct pause *p)
{
    uint64_t first = UINT64_MAX;
    for (int i = 0; i < PAUSE_REASONS; i++)
        if (p->extent[i] != PAUSE_NOTHING && p->until_us[i] < first) first = p->until_us[i];
    if (first == UINT64_MAX)
        deadline_cancel(p->node->loop, &p->deadline);
    else
        deadline_arm(p->node->loop, &p->deadline, first);
}

static void on_deadline(struct deadline *d)
{
    struct pause *p = list_entry(d, struct pause, deadline);
    uint64_t now_us = loop_now_us(p->node->loop);
    for (int i = 0; i < PAUSE_REASONS; i++)
        if (p->until_us[i] <= now_us) p->extent[i] = PAUSE_NOTHING;
    arm(p);
    wake(p);
}

void pause_begin(struct node *n, enum pause_reason reason, enum pause_extent extent,
                 uint64_t until_us)
{
    struct pause *p = get(n);
    // A pause that is on is never cut short.
    if (p->extent[reason] == PAUSE_NOTHING || until_us > p->until_us[reason])
        p->until_us[reason] = until_us;
    p->extent[reason] = extent;
    arm(p);
}

void pause_end(struct node *n, enum pause_reason reason)
{
    if (n->pause == NULL || n->pause->extent[reason] == PAUSE_NOTHING) return;
    n->pause->extent[reason] = PAUSE_NOTHING;
    arm(n->pause);
    wake(n->pause);
}

bool pause_expiry(const struct node *n)
{
    return pause_extent(n) != PAUSE_NOTHING;
}

// The primary's stream stops for a digest and for CLIENT PAUSE. A failover and a shutdown only want
// clients to write nothing.
static enum pause_extent extent_for(const struct node *n, bool from_primary)
{
    if (!from_primary || n->pause == NULL) return pause_extent(n);
    enum pause_extent a = n->pause->extent[PAUSE_DIGEST], b = n->pause->extent[PAUSE_COMMAND];
    return a > b ? a : b;
}

bool pause_applies(struct node *n, const struct client *c, const struct command *cmd,
                   bool may_replicate, struct waiter *w)
{
    (void)cmd;
    enum pause_extent extent = extent_for(n, (c->flags & CLIENT_PRIMARY) != 0);
    if (extent == PAUSE_NOTHING || (c->flags & CLIENT_REPLICA)) return false;
    if (extent == PAUSE_WRITES && !may_replicate) return false;
    list_push_back(&n->pause->waiting, &w->link);
    return true;
}

bool pause_holds_up(struct node *n, bool from_primary, struct waiter *w)
{
    if (extent_for(n, from_primary) == PAUSE_NOTHING) return false;
    list_push_back(&n->pause->waiting, &w->link);
    return true;
}
