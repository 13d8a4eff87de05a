// Work on the files of a node, on worker threads, one after the other: two that replace the same
// file at once would mix, and the older text could be the one that stays. The node may be gone when
// such work is done.
#ifndef WHERRY_NODE_FILE_TURN_H
#define WHERRY_NODE_FILE_TURN_H

#include "loop/loop.h"
#include "node/node.h"

struct file_turn {
    struct list link;  // node->file_turns, the one whose turn it is first
    struct node *node; // NULL: gone, and all that `work.done` can do is to free
    struct work work;
    // On the loop, just before the work begins: what is to be written is not known before those in
    // front are done. Not called when the node goes. NULL: nothing to prepare.
    void (*prepare)(struct file_turn *t);
};

// The owner has set work.work, work.done and prepare: they run as soon as those before have ended.
void file_turn_begin(struct node *n, struct file_turn *t);
// From work.done: the same work again, before anybody else's.
void file_turn_again(struct file_turn *t);
// From work.done: over; the next one begins. The caller frees it then.
void file_turn_end(struct file_turn *t);
// The node goes. `work.done` of those that have not begun is called from here.
void file_turns_abandon(struct node *n);

#endif
