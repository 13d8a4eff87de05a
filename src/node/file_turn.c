#include "node/file_turn.h"

static struct file_turn *first(struct node *n)
{
    return list_entry(n->file_turns.next, struct file_turn, link);
}

static void start(struct file_turn *t)
{
    if (t->prepare != NULL) t->prepare(t);
    loop_work(t->node->loop, &t->work);
}

void file_turn_begin(struct node *n, struct file_turn *t)
{
    bool idle = list_empty(&n->file_turns);
    t->node = n;
    list_push_back(&n->file_turns, &t->link);
    if (idle) start(t);
}

void file_turn_again(struct file_turn *t)
{
    loop_work(t->node->loop, &t->work);
}

void file_turn_end(struct file_turn *t)
{
    struct node *n = t->node;
    if (n == NULL) return;
    list_remove(&t->link);
    if (!list_empty(&n->file_turns)) start(first(n));
}

void file_turns_abandon(struct node *n)
{
    bool begun = true; // only the first one is
    while (!list_empty(&n->file_turns)) {
        struct file_turn *t = first(n);
        list_remove(&t->link);
        t->node = NULL;
        if (!begun) t->work.done(&t->work);
        begun = false;
    }
}
