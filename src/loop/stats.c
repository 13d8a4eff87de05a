// Holds and lateness as log-linear histograms: four buckets for each power of two microseconds,
// up to 131 ms, above which everything counts as the last bucket.
#include "loop/loop_impl.h"

enum { BUCKETS = 64 };

static int bucket_of(uint64_t us)
{
    if (us < 4) return (int)us;
    int power = 63 - __builtin_clzll(us);
    int bucket = (power - 1) * 4 + (int)((us >> (power - 2)) & 3);
    return bucket < BUCKETS ? bucket : BUCKETS - 1;
}

// The largest value that falls into the bucket.
static uint64_t bucket_top_us(int bucket)
{
    if (bucket < 4) return (uint64_t)bucket;
    int power = bucket / 4 + 1;
    return ((uint64_t)(bucket % 4 + 5) << (power - 2)) - 1;
}

static void count(uint32_t hist[BUCKETS], uint64_t us)
{
    if (++hist[bucket_of(us)] < UINT32_MAX) return;
    for (int i = 0; i < BUCKETS; i++)
        hist[i] /= 2; // old samples fade rather than wrap
}

static uint64_t p999_us(const uint32_t hist[BUCKETS], uint64_t max_us)
{
    uint64_t total = 0, seen = 0;
    for (int i = 0; i < BUCKETS; i++)
        total += hist[i];
    for (int i = 0; i < BUCKETS; i++) {
        seen += hist[i];
        if (total > 0 && seen * 1000 >= total * 999) {
            uint64_t top = bucket_top_us(i);
            return i == BUCKETS - 1 || top > max_us ? max_us : top;
        }
    }
    return 0;
}

void stats_hold(struct loop_stats *s, uint64_t wall_us)
{
    count(s->hold_hist, wall_us);
    if (wall_us > s->hold_max_us) s->hold_max_us = wall_us;
}

void stats_hold_cpu(struct loop_stats *s, uint64_t cpu_us, const char *what)
{
    if (cpu_us <= s->hold_cpu_max_us) return;
    s->hold_cpu_max_us = cpu_us;
    s->hold_cpu_max_what = what;
}

void stats_late(struct loop_stats *s, uint64_t late_us)
{
    count(s->late_hist, late_us);
    if (late_us > s->late_max_us) s->late_max_us = late_us;
}

const struct loop_stats *loop_stats(const struct loop *loop)
{
    return &loop->stats;
}

void loop_stats_reset(struct loop *loop)
{
    loop->stats = (struct loop_stats){.hold_cpu_max_what = ""};
}

uint64_t loop_hold_p999_us(const struct loop *loop)
{
    return p999_us(loop->stats.hold_hist, loop->stats.hold_max_us);
}

uint64_t loop_late_p999_us(const struct loop *loop)
{
    return p999_us(loop->stats.late_hist, loop->stats.late_max_us);
}
