#include "node/latency.h"

#include "base/mem.h"

#include <stdio.h>

// ---- events -------------------------------------------------------------------------------------

struct latency {
    struct list events; // of struct latency_event
};

static struct latency *get(struct node *n)
{
    if (n->latency != NULL) return n->latency;
    n->latency = mem_new(struct latency);
    list_init(&n->latency->events);
    return n->latency;
}

void latency_free(struct node *n)
{
    if (n->latency == NULL) return;
    list_each_safe(at, &n->latency->events)
        latency_reset(n, list_entry(at, struct latency_event, link));
    mem_free(n->latency);
    n->latency = NULL;
}

const struct list *latency_events(struct node *n)
{
    return &get(n)->events;
}

struct latency_event *latency_find(struct node *n, struct bytes name)
{
    list_each(at, &get(n)->events)
    {
        struct latency_event *e = list_entry(at, struct latency_event, link);
        if (bytes_equal(name, bytes_from_cstr(e->name))) return e;
    }
    return NULL;
}

void latency_reset(struct node *n, struct latency_event *e)
{
    (void)n;
    list_remove(&e->link);
    mem_free(e);
}

void latency_note(struct node *n, const char *event, uint64_t ms)
{
    int64_t threshold_ms = n->config.latency_monitor_threshold_ms;
    if (threshold_ms == 0 || ms < (uint64_t)threshold_ms) return;
    struct latency_event *e = latency_find(n, bytes_from_cstr(event));
    if (e == NULL) {
        size_t len = strlen(event) + 1;
        e = mem_zalloc(sizeof(*e) + len);
        memcpy(e->name, event, len);
        list_push_back(&get(n)->events, &e->link);
    }
    if (ms > e->max_ms) e->max_ms = ms;
    int64_t now_s = loop_unix_ms(n->loop) / 1000;
    struct latency_sample *last = &e->samples[(e->next + LATENCY_SAMPLES - 1) % LATENCY_SAMPLES];
    if (e->count > 0 && last->unix_s == now_s) {
        if (ms > last->ms) last->ms = ms;
        return;
    }
    e->samples[e->next] = (struct latency_sample){.unix_s = now_s, .ms = ms};
    e->next = (e->next + 1) % LATENCY_SAMPLES;
    if (e->count < LATENCY_SAMPLES) e->count++;
}

// ---- histograms ---------------------------------------------------------------------------------

// Values below 256 have a counter each; above, every power of two is cut in 128.
enum { HALF = 128, EXACT = 2 * HALF, LIMIT_BITS = 30, COUNTERS = EXACT + (LIMIT_BITS - 8) * HALF };
static const uint64_t limit_ns = 1000000000;

struct latency_histogram {
    uint64_t total;
    uint32_t counters[COUNTERS];
};

static int index_of(uint64_t ns)
{
    if (ns > limit_ns) ns = limit_ns;
    if (ns < EXACT) return (int)ns;
    int shift = 63 - __builtin_clzll(ns) - 7;
    return EXACT + (shift - 1) * HALF + (int)((ns >> shift) - HALF);
}

// The largest value that shares this counter.
static uint64_t highest_of(int index)
{
    if (index < EXACT) return (uint64_t)index;
    int shift = (index - EXACT) / HALF + 1;
    uint64_t step = (uint64_t)((index - EXACT) % HALF + HALF);
    return ((step + 1) << shift) - 1;
}

struct latency_histogram *histogram_new(void)
{
    return mem_new(struct latency_histogram);
}

void histogram_free(struct latency_histogram *h)
{
    mem_free(h);
}

void histogram_add(struct latency_histogram *h, uint64_t ns)
{
    h->counters[index_of(ns)]++;
    h->total++;
}

uint64_t histogram_count(const struct latency_histogram *h)
{
    return h->total;
}

uint64_t histogram_percentile(const struct latency_histogram *h, double percent)
{
    if (h->total == 0) return 0;
    uint64_t wanted = (uint64_t)(percent / 100 * (double)h->total + 0.5), seen = 0;
    if (wanted == 0) wanted = 1;
    if (wanted > h->total) wanted = h->total;
    for (int i = 0; i < COUNTERS; i++) {
        seen += h->counters[i];
        if (seen >= wanted) return highest_of(i);
    }
    return limit_ns;
}

uint64_t histogram_count_to(const struct latency_histogram *h, uint64_t ns)
{
    uint64_t seen = 0;
    for (int i = 0, last = index_of(ns); i <= last; i++)
        seen += h->counters[i];
    return seen;
}
