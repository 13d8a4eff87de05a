#include "store/access.h"

#include "value/dict.h"

enum { EVICT_SAMPLES_MAX = 64, MINUTES_MASK = 0xffffff };

static uint32_t now_s(const struct store *s)
{
    return (uint32_t)(loop_unix_ms(s->loop) / 1000);
}

static uint32_t now_minutes(const struct store *s)
{
    return (now_s(s) / 60) & MINUTES_MASK;
}

uint32_t access_initial(const struct store *s)
{
    return s->lfu ? now_minutes(s) << 8 | LFU_INITIAL : now_s(s);
}

int entry_freq(const struct store *s, const struct entry *e)
{
    int counter = e->access & 0xff;
    if (s->lfu_decay_minutes == 0) return counter;
    uint32_t idle = (now_minutes(s) - (e->access >> 8)) & MINUTES_MASK;
    uint32_t periods = idle / s->lfu_decay_minutes;
    return periods >= (uint32_t)counter ? 0 : counter - (int)periods;
}

// One more use. The higher the counter, the less likely it moves, so that 8 bits tell ten uses from
// a million.
static int freq_counted(struct store *s, int counter)
{
    if (counter == LFU_MAX) return counter;
    double above = counter > LFU_INITIAL ? counter - LFU_INITIAL : 0;
    return counter + (rng_unit(&s->rng) * (above * s->lfu_log_factor + 1) < 1);
}

void entry_touch(struct store *s, struct entry *e)
{
    if (!s->lfu) {
        e->access = now_s(s);
        return;
    }
    e->access = now_minutes(s) << 8 | (uint32_t)freq_counted(s, entry_freq(s, e));
}

int64_t entry_idle_s(const struct store *s, const struct entry *e)
{
    // As a difference of 32 bits, and never negative when the wall clock was set back.
    int32_t idle = (int32_t)(now_s(s) - e->access);
    return idle > 0 ? idle : 0;
}

void entry_set_idle_s(struct store *s, struct entry *e, int64_t idle_s)
{
    if (s->lfu || idle_s < 0) return;
    e->access = now_s(s) - (uint32_t)(idle_s < INT32_MAX ? idle_s : INT32_MAX);
}

void entry_set_freq(struct store *s, struct entry *e, int freq)
{
    if (!s->lfu || freq < 0) return;
    e->access = now_minutes(s) << 8 | (uint32_t)(freq < LFU_MAX ? freq : LFU_MAX);
}

// Higher is better to evict.
static int64_t evict_score(struct store *s, enum evict_by by, const struct entry *e)
{
    switch (by) {
    case EVICT_LRU:
        return entry_idle_s(s, e);
    case EVICT_LFU:
        return LFU_MAX - entry_freq(s, e);
    case EVICT_TTL:
        return INT64_MAX - e->expire_ms;
    case EVICT_RANDOM:
        return (int64_t)(rng_next(&s->rng) >> 1);
    }
    return 0;
}

struct entry *store_evict_candidate(struct store *s, enum evict_by by, bool volatile_only,
                                    int samples, int *db_index)
{
    void *items[EVICT_SAMPLES_MAX];
    struct entry *best = NULL;
    int64_t best_score = -1;
    if (s->frozen) return NULL;
    if (samples > EVICT_SAMPLES_MAX) samples = EVICT_SAMPLES_MAX;
    for (int i = 0; i < s->live->count; i++) {
        struct db *db = store_db(s, i);
        struct dict *from = volatile_only || by == EVICT_TTL ? db->expires : db->keys;
        if (dict_count(from) == 0) continue;
        int found = dict_sample(from, &s->rng, items, samples);
        for (int n = 0; n < found; n++) {
            struct entry *e = items[n];
            int64_t score = e->holds ? -1 : evict_score(s, by, e);
            if (score <= best_score) continue;
            best = e;
            best_score = score;
            *db_index = i;
        }
    }
    return best;
}
