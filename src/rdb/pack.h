// Walks a compact encoding that came as one string, entry by entry, whichever of the three layouts
// it has, so that a long one can be taken apart in slices. Trusts nothing.
#ifndef WHERRY_RDB_PACK_H
#define WHERRY_RDB_PACK_H

#include "value/listpack.h"
#include "value/ziplist.h"

enum pack_kind { PACK_LISTPACK, PACK_ZIPLIST, PACK_ZIPMAP };

struct pack {
    enum pack_kind kind;
    bool has_second; // of a zipmap's pair
    struct bytes second;
    union {
        struct listpack_reader listpack;
        struct ziplist_reader ziplist;
        struct zipmap_reader zipmap;
    } u;
};

// The blob must stay where it is. False when its head is wrong.
bool pack_begin(struct pack *p, enum pack_kind kind, struct bytes blob)
    __attribute__((warn_unused_result));
enum pack_next pack_next(struct pack *p, struct listpack_entry *entry);

#endif
