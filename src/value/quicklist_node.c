#include "value/quicklist_node.h"

#include "base/mem.h"

#include <assert.h>
#include <liblzf/lzf.h>

enum {
    SAFETY_BYTES = 8192,          // nodes whose fill counts elements stay below this
    ENTRY_OVERHEAD = 8,           // estimate of what an element adds besides its bytes
    COMPRESS_MIN_BYTES = 48,      // smaller ones are not worth it
    COMPRESS_MIN_GAIN = 8,        // nor are ones that shrink by less
    COMPRESS_MAX_BYTES = 1 << 18, // larger ones would hold the loop for long
};

struct quicklist_node *quicklist_node_new(enum quicklist_container container, unsigned char *raw,
                                          size_t raw_len, uint32_t count)
{
    struct quicklist_node *node = mem_new(struct quicklist_node);
    node->container = container;
    node->raw = raw;
    node->raw_len = raw_len;
    node->count = count;
    return node;
}

struct quicklist_node *quicklist_node_packed(struct bytes element)
{
    unsigned char *lp = listpack_append(listpack_new(0), element);
    return quicklist_node_new(QUICKLIST_PACKED, lp, listpack_bytes(lp), 1);
}

struct quicklist_node *quicklist_node_plain(struct bytes element)
{
    unsigned char *raw = mem_alloc(element.len);
    if (element.len) memcpy(raw, element.data, element.len);
    return quicklist_node_new(QUICKLIST_PLAIN, raw, element.len, 1);
}

static size_t held_bytes(const struct quicklist_node *node)
{
    return sizeof(*node) + (node->lzf ? node->lzf_len : node->raw_len);
}

void quicklist_node_link(struct quicklist *list, struct quicklist_node *node,
                         struct quicklist_node *at, bool after)
{
    assert(at != NULL || list->head == NULL);
    node->prev = after || !at ? at : at->prev;
    node->next = after && at ? at->next : at;
    *(node->prev ? &node->prev->next : &list->head) = node;
    *(node->next ? &node->next->prev : &list->tail) = node;
    list->nodes++;
    list->length += node->count;
    list->bytes += held_bytes(node);
}

void quicklist_node_drop(struct quicklist *list, struct quicklist_node *node)
{
    *(node->prev ? &node->prev->next : &list->head) = node->next;
    *(node->next ? &node->next->prev : &list->tail) = node->prev;
    list->nodes--;
    list->length -= node->count;
    list->bytes -= held_bytes(node);
    if (list->opened == node) list->opened = NULL;
    mem_free(node->raw);
    mem_free(node->lzf);
    mem_free(node);
}

// ---- compression ------------------------------------------------------------------------------

unsigned char *quicklist_node_open(struct quicklist *list, struct quicklist_node *node)
{
    if (node->raw) return node->raw;
    if (list->opened) {
        mem_free(list->opened->raw);
        list->opened->raw = NULL;
    }
    node->raw = mem_alloc(node->raw_len);
    unsigned len =
        lzf_decompress(node->lzf, (unsigned)node->lzf_len, node->raw, (unsigned)node->raw_len);
    assert(len == node->raw_len); // we compressed it ourselves
    (void)len;
    list->opened = node;
    return node->raw;
}

unsigned char *quicklist_node_edit(struct quicklist *list, struct quicklist_node *node)
{
    if (node->lzf == NULL) return node->raw;
    quicklist_node_open(list, node);
    list->opened = NULL;
    list->bytes -= held_bytes(node);
    mem_free(node->lzf);
    node->lzf = NULL;
    node->lzf_len = 0;
    list->bytes += held_bytes(node);
    return node->raw;
}

void quicklist_node_set(struct quicklist *list, struct quicklist_node *node, unsigned char *lp,
                        int64_t count_change)
{
    assert(node->lzf == NULL && node->container == QUICKLIST_PACKED);
    list->bytes -= node->raw_len;
    node->raw = lp;
    node->raw_len = listpack_bytes(lp);
    list->bytes += node->raw_len;
    node->count = (uint32_t)((int64_t)node->count + count_change);
    list->length += (uint64_t)count_change;
}

static void close_node(struct quicklist *list, struct quicklist_node *node)
{
    if (node->lzf || node->raw_len < COMPRESS_MIN_BYTES || node->raw_len > COMPRESS_MAX_BYTES)
        return;
    size_t room = node->raw_len - COMPRESS_MIN_GAIN;
    unsigned char *lzf = mem_alloc(room);
    unsigned len = lzf_compress(node->raw, (unsigned)node->raw_len, lzf, (unsigned)room);
    if (len == 0) {
        mem_free(lzf);
        return;
    }
    list->bytes -= held_bytes(node);
    node->lzf = mem_realloc(lzf, len);
    node->lzf_len = len;
    list->bytes += held_bytes(node);
    mem_free(node->raw);
    node->raw = NULL;
}

void quicklist_settle(struct quicklist *list, struct quicklist_node *touched)
{
    if (list->depth == 0) return;
    struct quicklist_node *front = list->head, *back = list->tail;
    bool covered = touched == NULL;
    for (int i = 0; i < list->depth && front != NULL; i++) {
        quicklist_node_edit(list, front);
        quicklist_node_edit(list, back);
        covered |= front == touched || back == touched;
        front = front->next;
        back = back->prev;
    }
    if (list->nodes <= 2 * (uint64_t)list->depth) return;
    close_node(list, front);
    close_node(list, back);
    if (!covered) close_node(list, touched);
}

// ---- sizes ------------------------------------------------------------------------------------

static bool within_limits(const struct quicklist *list, size_t bytes, uint64_t count)
{
    if (list->fill < 0) {
        int step = list->fill < -5 ? 4 : -list->fill - 1;
        return bytes <= (size_t)4096 << step;
    }
    return bytes <= SAFETY_BYTES && count <= (uint64_t)list->fill;
}

bool quicklist_node_fits(const struct quicklist *list, const struct quicklist_node *node,
                         size_t len)
{
    if (node == NULL || node->container == QUICKLIST_PLAIN || len >= list->packed_threshold)
        return false;
    return within_limits(list, node->raw_len + len + ENTRY_OVERHEAD, (uint64_t)node->count + 1);
}

bool quicklist_nodes_merge(const struct quicklist *list, const struct quicklist_node *a,
                           const struct quicklist_node *b)
{
    if (a == NULL || b == NULL) return false;
    if (a->container == QUICKLIST_PLAIN || b->container == QUICKLIST_PLAIN) return false;
    return within_limits(list, a->raw_len + b->raw_len - LISTPACK_EMPTY_BYTES,
                         (uint64_t)a->count + b->count);
}

// ---- encoders and decoders ----------------------------------------------------------------------

const struct quicklist_node *quicklist_first_node(const struct quicklist *list)
{
    return list->head;
}

const struct quicklist_node *quicklist_next_node(const struct quicklist_node *node)
{
    return node->next;
}

struct quicklist_node_view quicklist_node_look(const struct quicklist_node *node)
{
    return (struct quicklist_node_view){
        .container = node->container,
        .lzf = node->lzf != NULL,
        .bytes =
            node->lzf ? bytes_of(node->lzf, node->lzf_len) : bytes_of(node->raw, node->raw_len),
        .raw_len = node->raw_len,
        .elements = node->count,
    };
}

bool quicklist_append_packed(struct quicklist *list, unsigned char *bytes, size_t len)
{
    bool valid = listpack_validate(bytes_of(bytes, len), true, NULL, NULL);
    uint64_t count = valid ? listpack_count(bytes) : 0;
    if (count == 0 || count > UINT32_MAX) {
        mem_free(bytes);
        return valid && count == 0;
    }
    quicklist_node_link(list, quicklist_node_new(QUICKLIST_PACKED, bytes, len, (uint32_t)count),
                        list->tail, true);
    quicklist_settle(list, NULL);
    return true;
}

void quicklist_append_plain(struct quicklist *list, unsigned char *bytes, size_t len)
{
    quicklist_node_link(list, quicklist_node_new(QUICKLIST_PLAIN, bytes, len, 1), list->tail, true);
    quicklist_settle(list, NULL);
}
