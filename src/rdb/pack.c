#include "rdb/pack.h"

bool pack_begin(struct pack *p, enum pack_kind kind, struct bytes blob)
{
    *p = (struct pack){.kind = kind};
    switch (kind) {
    case PACK_LISTPACK:
        return listpack_reader_begin(&p->u.listpack, blob);
    case PACK_ZIPLIST:
        return ziplist_reader_begin(&p->u.ziplist, blob);
    case PACK_ZIPMAP:
        return zipmap_reader_begin(&p->u.zipmap, blob);
    }
    return false;
}

static enum pack_next zipmap_half(struct pack *p, struct listpack_entry *entry)
{
    *entry = (struct listpack_entry){.number = 0};
    if (p->has_second) {
        p->has_second = false;
        entry->text = p->second;
        return PACK_ENTRY;
    }
    enum pack_next next = zipmap_reader_next(&p->u.zipmap, &entry->text, &p->second);
    p->has_second = next == PACK_ENTRY;
    return next;
}

enum pack_next pack_next(struct pack *p, struct listpack_entry *entry)
{
    switch (p->kind) {
    case PACK_LISTPACK:
        return listpack_reader_next(&p->u.listpack, entry);
    case PACK_ZIPLIST:
        return ziplist_reader_next(&p->u.ziplist, entry);
    case PACK_ZIPMAP:
        return zipmap_half(p, entry);
    }
    return PACK_CORRUPT;
}
