#include "node/rates.h"

void rates_sample(struct rates *r, uint64_t now_us, const uint64_t totals[RATE_KINDS])
{
    uint64_t took_us = now_us - r->last_us;
    if (took_us == 0) return;
    for (int kind = 0; kind < RATE_KINDS; kind++) {
        uint64_t last = r->of[kind].last, now = totals[kind];
        uint64_t grown = now >= last ? now - last : now;
        r->of[kind].per_s[r->next] = r->last_us == 0 ? 0 : grown * 1000000 / took_us;
        r->of[kind].last = now;
    }
    r->next = (r->next + 1) % RATE_SAMPLES;
    r->last_us = now_us;
}

uint64_t rates_per_s(const struct rates *r, enum rate_kind kind)
{
    uint64_t sum = 0;
    for (int i = 0; i < RATE_SAMPLES; i++)
        sum += r->of[kind].per_s[i];
    return sum / RATE_SAMPLES;
}
