// When and how often entries are used, and which one to evict: the approximations of LRU and LFU
// that Redis describes (redis.conf, "maxmemory-policy", "lfu-log-factor", "lfu-decay-time").
//
// entry->access holds either the Unix time in seconds of the last use, or (store->lfu) minutes in
// the upper 24 bits and a counter of uses, logarithmic, in the lower 8.
#ifndef WHERRY_STORE_ACCESS_H
#define WHERRY_STORE_ACCESS_H

#include "store/store.h"

enum { LFU_INITIAL = 5, LFU_MAX = 255 };

uint32_t access_initial(const struct store *s); // for an entry made now
// The entry was used: moves its clock, or counts.
void entry_touch(struct store *s, struct entry *e);
int64_t entry_idle_s(const struct store *s, const struct entry *e); // not with store->lfu
int entry_freq(const struct store *s, const struct entry *e);       // decayed; only with store->lfu
// As RESTORE and RDB files give them; ignored where the policy does not read them.
void entry_set_idle_s(struct store *s, struct entry *e, int64_t idle_s);
void entry_set_freq(struct store *s, struct entry *e, int freq);

enum evict_by { EVICT_LRU, EVICT_LFU, EVICT_TTL, EVICT_RANDOM };
// The best of `samples` entries of each database, or NULL; never one that is held. `volatile_only`:
// among those with a time to live (EVICT_TTL always does). *db_index says where it is.
struct entry *store_evict_candidate(struct store *s, enum evict_by by, bool volatile_only,
                                    int samples, int *db_index);

#endif
