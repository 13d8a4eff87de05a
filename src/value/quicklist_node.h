// Inside of the quicklist: what a node is and how it is sized, opened and compressed. For
// quicklist*.c alone.
//
// A node holds its bytes in one of three states:
//
//     plain sight   raw             ends of the list, and everything when the depth is 0
//     closed        lzf             further in
//     open          raw and lzf     a closed one that was read last; raw is a cache
//
// Nobody keeps pointers into raw across calls: opening another node closes the open one.
#ifndef WHERRY_VALUE_QUICKLIST_NODE_H
#define WHERRY_VALUE_QUICKLIST_NODE_H

#include "value/listpack.h"
#include "value/quicklist.h"

struct quicklist_node {
    struct quicklist_node *prev, *next;
    unsigned char *raw, *lzf;
    size_t raw_len, lzf_len; // raw_len is known in every state
    uint32_t count;          // elements
    enum quicklist_container container;
};

struct quicklist {
    struct quicklist_node *head, *tail;
    struct quicklist_node *opened; // or NULL
    uint64_t length;               // elements
    uint64_t nodes;
    size_t bytes; // all that nodes hold, the open cache apart
    int fill;     // list-max-listpack-size
    int depth;    // list-compress-depth; 0: nothing is compressed
    size_t packed_threshold;
};

// A node in plain sight, on no list, that owns `raw`.
struct quicklist_node *quicklist_node_new(enum quicklist_container container, unsigned char *raw,
                                          size_t raw_len, uint32_t count);
struct quicklist_node *quicklist_node_packed(struct bytes element); // a listpack of one
struct quicklist_node *quicklist_node_plain(struct bytes element);
// Puts it next to `at`, or into an empty list when `at` is NULL. Counts its elements in.
void quicklist_node_link(struct quicklist *list, struct quicklist_node *node,
                         struct quicklist_node *at, bool after);
// Takes it out and frees it. Its elements are counted out.
void quicklist_node_drop(struct quicklist *list, struct quicklist_node *node);

// The bytes, for reading until another node is opened.
unsigned char *quicklist_node_open(struct quicklist *list, struct quicklist_node *node);
// The bytes, for writing: puts the node in plain sight. Then quicklist_node_set with what became of
// them, and quicklist_settle when the whole change is made.
unsigned char *quicklist_node_edit(struct quicklist *list, struct quicklist_node *node);
void quicklist_node_set(struct quicklist *list, struct quicklist_node *node, unsigned char *lp,
                        int64_t count_change);
// Compresses what is to be compressed now: `touched` (NULL, or a node of the list) and the nodes at
// the border of the depth; opens for good what the depth covers.
void quicklist_settle(struct quicklist *list, struct quicklist_node *touched);

// Whether an element of `len` bytes may go into the node (NULL: no), and whether two may become
// one. Redis 7.0's rule: a negative fill bounds bytes (4 to 64 KiB); a positive one counts
// elements, with 8 KiB as a bound all the same.
bool quicklist_node_fits(const struct quicklist *list, const struct quicklist_node *node,
                         size_t len);
bool quicklist_nodes_merge(const struct quicklist *list, const struct quicklist_node *a,
                           const struct quicklist_node *b);

#endif
