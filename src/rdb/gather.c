#include "rdb/gather.h"

#include "base/mem.h"
#include "rdb/decode.h"

struct gather_part {
    struct gather_part *next;
    char data[RDB_CLAIM_BYTES];
};

enum { JOIN_STEP_BYTES = 16 * 1024 };

void gather_begin(struct gather *g, uint64_t total, size_t head_bytes)
{
    *g = (struct gather){.total = total, .head_bytes = head_bytes};
}

size_t gather_room(struct gather *g, char **where)
{
    if (g->block != NULL) {
        *where = g->block + g->head_bytes + g->got;
        return g->total - g->got;
    }
    if (g->last != NULL && g->part_used < RDB_CLAIM_BYTES) {
        *where = g->last->data + g->part_used;
        return RDB_CLAIM_BYTES - g->part_used;
    }
    if (g->total - g->got <= g->got) {
        if (g->total > SIZE_MAX - g->head_bytes - 1) return 0;
        g->block = mem_try(g->head_bytes + (size_t)g->total + 1);
        if (g->block == NULL) return 0;
        g->tail_from = g->got;
        return gather_room(g, where);
    }
    struct gather_part *part = mem_try(sizeof(*part));
    if (part == NULL) return 0;
    part->next = NULL;
    if (g->last != NULL)
        g->last->next = part;
    else
        g->first = part;
    g->last = part;
    g->part_used = 0;
    return gather_room(g, where);
}

void gather_commit(struct gather *g, size_t len)
{
    g->got += len;
    if (g->block == NULL) g->part_used += len;
}

bool gather_join(struct gather *g, struct budget *budget)
{
    while (g->joined < g->tail_from) {
        size_t from = g->joined % RDB_CLAIM_BYTES;
        size_t n = RDB_CLAIM_BYTES - from;
        if (n > JOIN_STEP_BYTES) n = JOIN_STEP_BYTES;
        if (n > g->tail_from - g->joined) n = (size_t)(g->tail_from - g->joined);
        memcpy(g->block + g->head_bytes + g->joined, g->first->data + from, n);
        g->joined += n;
        if (from + n == RDB_CLAIM_BYTES || g->joined == g->tail_from) {
            struct gather_part *done = g->first;
            g->first = done->next;
            mem_free(done);
        }
        if (budget != NULL && !budget_left(budget, JOIN_STEP_BYTES / 64)) break;
    }
    if (g->joined < g->tail_from) return false;
    g->last = NULL;
    return true;
}

char *gather_take(struct gather *g)
{
    char *block = g->block;
    g->block = NULL;
    return block;
}

void gather_free(struct gather *g)
{
    while (g->first != NULL) {
        struct gather_part *part = g->first;
        g->first = part->next;
        mem_free(part);
    }
    mem_free(g->block);
    *g = (struct gather){0};
}
