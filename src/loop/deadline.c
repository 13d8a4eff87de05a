// The heap of deadlines. Each deadline knows its place, so that moving and cancelling one costs a
// walk of the heap's height.
#include "loop/loop_impl.h"

#include "base/mem.h"

#include <assert.h>

static bool earlier(const struct deadline *a, const struct deadline *b)
{
    return a->at_us != b->at_us ? a->at_us < b->at_us : a->seq < b->seq;
}

static void place(struct deadline_heap *heap, size_t at, struct deadline *d)
{
    heap->at[at] = d;
    d->index = at + 1;
}

static void sift_up(struct deadline_heap *heap, struct deadline *d, size_t at)
{
    while (at > 0) {
        size_t parent = (at - 1) / 2;
        if (!earlier(d, heap->at[parent])) break;
        place(heap, at, heap->at[parent]);
        at = parent;
    }
    place(heap, at, d);
}

static void sift_down(struct deadline_heap *heap, struct deadline *d, size_t at)
{
    for (;;) {
        size_t child = at * 2 + 1;
        if (child >= heap->len) break;
        if (child + 1 < heap->len && earlier(heap->at[child + 1], heap->at[child])) child++;
        if (!earlier(heap->at[child], d)) break;
        place(heap, at, heap->at[child]);
        at = child;
    }
    place(heap, at, d);
}

// Puts `d` where it belongs when the place `at` is free.
static void settle(struct deadline_heap *heap, struct deadline *d, size_t at)
{
    if (at > 0 && earlier(d, heap->at[(at - 1) / 2]))
        sift_up(heap, d, at);
    else
        sift_down(heap, d, at);
}

void heap_arm(struct deadline_heap *heap, struct deadline *d, uint64_t at_us)
{
    assert(d->fire != NULL);
    d->at_us = at_us;
    d->seq = ++heap->seq;
    if (d->index != 0) {
        settle(heap, d, d->index - 1);
        return;
    }
    if (heap->len == heap->cap) {
        heap->cap = heap->cap > 0 ? heap->cap * 2 : 64;
        heap->at = mem_realloc(heap->at, heap->cap * sizeof(struct deadline *));
    }
    heap->len++;
    sift_up(heap, d, heap->len - 1);
}

void heap_cancel(struct deadline_heap *heap, struct deadline *d)
{
    if (d->index == 0) return;
    size_t at = d->index - 1;
    assert(at < heap->len && heap->at[at] == d);
    d->index = 0;
    struct deadline *last = heap->at[--heap->len];
    if (last != d) settle(heap, last, at);
}

void heap_free(struct deadline_heap *heap)
{
    for (size_t i = 0; i < heap->len; i++)
        heap->at[i]->index = 0;
    mem_free(heap->at);
    *heap = (struct deadline_heap){0};
}

void deadline_arm(struct loop *loop, struct deadline *d, uint64_t at_us)
{
    heap_arm(&loop->deadlines, d, at_us);
    if (loop->ops->woken != NULL && heap_first(&loop->deadlines) == d) loop->ops->woken(loop);
}

void deadline_cancel(struct loop *loop, struct deadline *d)
{
    heap_cancel(&loop->deadlines, d);
}
