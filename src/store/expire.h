// Active expiry: finds entries whose time has come, a few buckets at a time.
#ifndef WHERRY_STORE_EXPIRE_H
#define WHERRY_STORE_EXPIRE_H

#include "store/store.h"

// Goes on through the entries of one database that have a time to live, from where it stopped, and
// calls `expired` for each that is over and not held. The callback deletes it (db_delete) and
// propagates that; it may delete nothing else and add nothing. `key` is a copy, gone
// after the call.
//
// True: the budget ended first and many of those seen were over, so that it is worth going on at
// once. False: few are over, or all were seen.
bool store_expire_cycle(struct store *s, int db_index, int64_t now_ms, struct budget *budget,
                        void (*expired)(void *arg, int db_index, struct bytes key), void *arg);

#endif
