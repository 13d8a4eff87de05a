// How fast things go right now: the mean over the last sixteen ticks of the cron, as INFO's
// instantaneous_* fields show it.
#ifndef WHERRY_NODE_RATES_H
#define WHERRY_NODE_RATES_H

#include <stdint.h>

enum rate_kind {
    RATE_COMMANDS,
    RATE_INPUT_BYTES,
    RATE_OUTPUT_BYTES,
    RATE_MIGRATE_BYTES,
    RATE_KINDS
};
enum { RATE_SAMPLES = 16 };

struct rates {
    uint64_t last_us;
    int next;
    struct {
        uint64_t last;
        uint64_t per_s[RATE_SAMPLES];
    } of[RATE_KINDS];
};

// `totals` only ever grow, or begin anew at zero.
void rates_sample(struct rates *r, uint64_t now_us, const uint64_t totals[RATE_KINDS]);
uint64_t rates_per_s(const struct rates *r, enum rate_kind kind);

#endif
