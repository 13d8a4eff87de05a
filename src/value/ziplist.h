// Readers for two layouts that Redis before 7.0 put into RDB files and that nobody writes any more:
// ziplist (lists, hashes, zsets) and zipmap (hashes, before 2.6). Both read untrusted bytes, one
// entry at a time. Layouts: Redis 7.0 ziplist.c and zipmap.c, top comments.
#ifndef WHERRY_VALUE_ZIPLIST_H
#define WHERRY_VALUE_ZIPLIST_H

#include "value/listpack.h"

struct ziplist_reader {
    const unsigned char *data;
    size_t len, at, previous; // `previous`: bytes that the entry before took
    size_t tail;              // where the header says that the last entry begins
    uint32_t count, seen;     // count: of the header; 65535 means unknown
};
bool ziplist_reader_begin(struct ziplist_reader *r, struct bytes blob);
enum pack_next ziplist_reader_next(struct ziplist_reader *r, struct listpack_entry *entry);

struct zipmap_reader {
    const unsigned char *data;
    size_t len, at;
    uint32_t count, seen; // count: of the header; 254 and more mean unknown
};
bool zipmap_reader_begin(struct zipmap_reader *r, struct bytes blob);
enum pack_next zipmap_reader_next(struct zipmap_reader *r, struct bytes *field,
                                  struct bytes *value);

#endif
