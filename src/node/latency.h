// What took long: LATENCY's events, fed by latency_note of parts.h, and how long each command
// takes, as INFO latencystats and LATENCY HISTOGRAM show it.
#ifndef WHERRY_NODE_LATENCY_H
#define WHERRY_NODE_LATENCY_H

#include "node/parts.h"

enum { LATENCY_SAMPLES = 160 }; // per event (Redis 7.0 latency.h)

struct latency_sample {
    int64_t unix_s; // one sample a second: the worst of it
    uint64_t ms;
};

struct latency_event {
    struct list link;
    struct latency_sample samples[LATENCY_SAMPLES]; // a ring
    int count, next;
    uint64_t max_ms; // ever
    char name[];
};

// Events by `link`, the first one that happened first.
const struct list *latency_events(struct node *n);
struct latency_event *latency_find(struct node *n, struct bytes name);
void latency_reset(struct node *n, struct latency_event *e);
// The i-th oldest sample.
static inline const struct latency_sample *latency_sample(const struct latency_event *e, int i)
{
    return &e->samples[(e->next - e->count + i + LATENCY_SAMPLES) % LATENCY_SAMPLES];
}

// ---- histograms ---------------------------------------------------------------------------------

// Log-linear, values in nanoseconds up to a second, off by less than 1 %.
struct latency_histogram;
struct latency_histogram *histogram_new(void);
void histogram_free(struct latency_histogram *h); // NULL is fine
void histogram_add(struct latency_histogram *h, uint64_t ns);
uint64_t histogram_count(const struct latency_histogram *h);
// The value below which `percent` of all lie: nanoseconds.
uint64_t histogram_percentile(const struct latency_histogram *h, double percent);
// How many lie at or below `ns`.
uint64_t histogram_count_to(const struct latency_histogram *h, uint64_t ns);

#endif
