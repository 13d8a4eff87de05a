// A doubly linked list of nodes that each hold a listpack of elements, or one huge element as it
// is. Node sizes, splitting and merging follow Redis 7.0 quicklist.c (list-max-listpack-size,
// list-compress-depth), so that a list that grew here looks like one that grew there.
//
// Nodes further from both ends than the compress depth are kept LZF-compressed. Reading one opens
// it; one node of a list is open at a time. So a view of an element is good until the next call
// on the same list (any iterator), copy it before.
#ifndef WHERRY_VALUE_QUICKLIST_H
#define WHERRY_VALUE_QUICKLIST_H

#include "base/text.h"
#include "value/value.h"

struct quicklist;
struct quicklist_node;

// Numbers as in RDB files (Redis 7.0 quicklist.h).
enum quicklist_container {
    QUICKLIST_PLAIN = 1,  // the bytes are the one element
    QUICKLIST_PACKED = 2, // the bytes are a listpack
};

enum quicklist_end { QUICKLIST_HEAD, QUICKLIST_TAIL };

// Fill, compress depth and packed threshold are taken from `limits` now and kept for life.
struct quicklist *quicklist_new(const struct value_limits *limits);
void quicklist_free(struct quicklist *list);
// Frees a piece. True when nothing is left; then `list` must not be used again.
bool quicklist_free_step(struct quicklist *list, struct budget *budget);
struct quicklist *quicklist_copy(const struct quicklist *list);

uint64_t quicklist_length(const struct quicklist *list);     // elements; constant time
uint64_t quicklist_node_count(const struct quicklist *list); // constant time
size_t quicklist_memory(const struct quicklist *list);       // bytes; constant time

void quicklist_push(struct quicklist *list, enum quicklist_end end, struct bytes element);
// The element, owned by the caller; NULL when the list is empty.
struct str *quicklist_pop(struct quicklist *list, enum quicklist_end end);
// Takes away `count` elements from `start` (0-based, from the head) on, as many as there are.
// Returns how many that was.
uint64_t quicklist_delete_range(struct quicklist *list, uint64_t start, uint64_t count);

// Walks element by element. Owns nothing: may be copied and dropped at any time, stays valid while
// nobody writes, except through the iterator itself.
struct quicklist_iter {
    struct quicklist *list;
    struct quicklist_node *node; // of the element that comes next; NULL at the end
    size_t offset;               // of that element in the node's listpack, bytes
    uint32_t index;              // and its place in the node
    bool backward;
    bool has_last; // the element that quicklist_next gave last can be written to
    struct quicklist_node *last_node;
    size_t last_offset;
    uint32_t last_index;
    char number[TEXT_I64_BYTES]; // text of an element that is held as an integer
};

// Starts at element `index`: 0 is the head, -1 the tail. False when there is none such; then
// quicklist_next gives nothing.
bool quicklist_seek(struct quicklist_iter *it, const struct quicklist *list, int64_t index,
                    bool backward);
// Gives the element and moves on. False at the end. The view is good until the next call on the
// list or the iterator's end.
bool quicklist_next(struct quicklist_iter *it, struct bytes *element);
// As quicklist_next, but only tells whether the element equals `wanted`; cheaper for integers.
bool quicklist_next_equal(struct quicklist_iter *it, struct bytes wanted, bool *equal);

// Writing at the element that quicklist_next gave last. After a delete the iterator goes on with
// the next one; after the others it is void. None of `element` may point into the list.
void quicklist_iter_delete(struct quicklist_iter *it);
void quicklist_iter_replace(struct quicklist_iter *it, struct bytes element);
void quicklist_iter_insert(struct quicklist_iter *it, struct bytes element, bool after);

// ---- nodes, for encoders and decoders
// ------------------------------------------------------------

struct quicklist_node_view {
    enum quicklist_container container;
    bool lzf;           // `bytes` are LZF and give `raw_len` bytes when decompressed
    struct bytes bytes; // good while nobody writes, whatever is read
    size_t raw_len;
    uint32_t elements;
};

// In order from the head; NULL at the end. Valid while nobody writes.
const struct quicklist_node *quicklist_first_node(const struct quicklist *list);
const struct quicklist_node *quicklist_next_node(const struct quicklist_node *node);
struct quicklist_node_view quicklist_node_look(const struct quicklist_node *node);

// Add a node at the tail. `bytes` is from mem_alloc or mem_try, `len` long, and is the list's from
// now on, or freed when refused. A listpack is validated in full: false when it is none. An empty
// one is dropped and true.
bool quicklist_append_packed(struct quicklist *list, unsigned char *bytes, size_t len)
    __attribute__((warn_unused_result));
void quicklist_append_plain(struct quicklist *list, unsigned char *bytes, size_t len);

#endif
