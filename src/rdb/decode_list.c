// Lists: element by element; one ziplist; a quicklist of ziplists; a quicklist of listpacks and
// plain elements.
#include "base/mem.h"
#include "rdb/value_decoder.h"
#include "value/list.h"

enum { LIST_COUNT, LIST_CONTAINER, LIST_BLOB, LIST_SURVEY, LIST_ENTRIES };
// A node with no more than this is checked in one go.
enum { NODE_ENTRIES_MAX = 2048 };

static void begin(struct value_decoder *d)
{
    list_new(&d->value, d->options.limits);
    d->has_value = true;
}

enum rdb_progress decode_list(struct value_decoder *d, struct rdb_reader *r)
{
    if (d->step == LIST_COUNT) {
        RDB_TRY(rdb_reader_length(r, &d->left));
        begin(d);
        d->step = LIST_ENTRIES;
    }
    r->layout = READER_AS_STR;
    while (d->left > 0) {
        struct bytes element;
        RDB_TRY(rdb_reader_string(r, &element));
        list_add(&d->value, element);
        d->left--;
        if (!rdb_reader_work(r, decode_cost(element.len)) && d->left > 0) return RDB_BUDGET;
    }
    return RDB_DONE;
}

// Adds what the pack holds, one by one.
static enum rdb_progress add_entries(struct value_decoder *d, struct rdb_reader *r)
{
    for (;;) {
        struct listpack_entry entry;
        enum pack_next next = pack_next(&d->pack, &entry);
        if (next == PACK_END) return RDB_DONE;
        if (next == PACK_CORRUPT) return decode_pack_corrupt(d, r, d->pack.kind);
        struct bytes element = listpack_entry_text(entry, d->scratch[0]);
        list_add(&d->value, element);
        if (!rdb_reader_work(r, decode_cost(element.len))) return RDB_BUDGET;
    }
}

enum rdb_progress decode_list_ziplist(struct value_decoder *d, struct rdb_reader *r)
{
    if (d->step == LIST_COUNT) {
        RDB_TRY(decode_pack_begin(d, r, PACK_ZIPLIST));
        begin(d);
        d->step = LIST_ENTRIES;
    }
    return add_entries(d, r);
}

// The bytes of the string that was just read, from mem_alloc or mem_try.
static unsigned char *own_block(struct rdb_reader *r, struct bytes text)
{
    char *block = rdb_reader_take_block(r);
    if (block == NULL) {
        block = mem_alloc(text.len + 1);
        if (text.len > 0) memcpy(block, text.data, text.len);
    }
    return (unsigned char *)block;
}

static enum rdb_progress begin_walk(struct value_decoder *d, struct rdb_reader *r, uint8_t step)
{
    if (!pack_begin(&d->pack, PACK_LISTPACK, bytes_of(d->block, d->block_len)))
        return decode_pack_corrupt(d, r, PACK_LISTPACK);
    d->pack_entries = 0;
    d->step = step;
    return RDB_DONE;
}

static enum rdb_progress read_node(struct value_decoder *d, struct rdb_reader *r)
{
    struct quicklist *list = d->value.u.quicklist;
    struct bytes blob;
    r->layout = READER_AS_BLOCK;
    RDB_TRY(rdb_reader_string(r, &blob));
    if (d->container == QUICKLIST_PLAIN && blob.len == 0)
        return rdb_reader_refuse(r, ERROR_CORRUPT, "a list's node of one element is empty");
    unsigned char *block = own_block(r, blob);
    if (d->container == QUICKLIST_PLAIN) {
        quicklist_append_plain(list, block, blob.len);
        return RDB_DONE;
    }
    if (blob.len <= PACK_WHOLE_BYTES) {
        if (!quicklist_append_packed(list, block, blob.len))
            return decode_pack_corrupt(d, r, PACK_LISTPACK);
        return RDB_DONE;
    }
    d->block = block;
    d->block_len = blob.len;
    return begin_walk(d, r, LIST_SURVEY);
}

// A long listpack is a few long elements, and then it becomes a node as it is; or a great many, and
// then it is taken apart.
static enum rdb_progress survey_node(struct value_decoder *d, struct rdb_reader *r)
{
    while (d->pack_entries <= NODE_ENTRIES_MAX) {
        struct listpack_entry entry;
        enum pack_next next = pack_next(&d->pack, &entry);
        if (next == PACK_CORRUPT) return decode_pack_corrupt(d, r, PACK_LISTPACK);
        if (next == PACK_END) {
            unsigned char *block = d->block;
            d->block = NULL;
            d->step = LIST_CONTAINER;
            if (!quicklist_append_packed(d->value.u.quicklist, block, d->block_len))
                return decode_pack_corrupt(d, r, PACK_LISTPACK);
            return RDB_DONE;
        }
        d->pack_entries++;
        if (!rdb_reader_work(r, 2)) return RDB_BUDGET;
    }
    return begin_walk(d, r, LIST_ENTRIES);
}

static enum rdb_progress take_apart(struct value_decoder *d, struct rdb_reader *r)
{
    RDB_TRY(add_entries(d, r));
    mem_free(d->block);
    d->block = NULL;
    return RDB_DONE;
}

enum rdb_progress decode_quicklist(struct value_decoder *d, struct rdb_reader *r)
{
    bool ziplists = d->type == RDB_LIST_QUICKLIST;
    if (d->step == LIST_COUNT) {
        RDB_TRY(rdb_reader_length(r, &d->left));
        begin(d);
        d->step = LIST_CONTAINER;
    }
    while (d->left > 0) {
        if (d->step == LIST_CONTAINER && !ziplists) {
            RDB_TRY(rdb_reader_length(r, &d->container));
            if (d->container != QUICKLIST_PLAIN && d->container != QUICKLIST_PACKED)
                return rdb_reader_refuse(r, ERROR_CORRUPT, "unknown kind of a list's node (%llu)",
                                         (unsigned long long)d->container);
        }
        if (d->step == LIST_CONTAINER) d->step = LIST_BLOB;
        if (d->step == LIST_BLOB && !ziplists) RDB_TRY(read_node(d, r));
        if (d->step == LIST_BLOB && ziplists) {
            RDB_TRY(decode_pack_begin(d, r, PACK_ZIPLIST));
            d->step = LIST_ENTRIES;
        }
        if (d->step == LIST_SURVEY) RDB_TRY(survey_node(d, r));
        if (d->step == LIST_ENTRIES) RDB_TRY(take_apart(d, r));
        d->step = LIST_CONTAINER;
        d->left--;
        // A node of a few KiB is checked in full: some 100 entries to the KiB.
        if (!rdb_reader_work(r, 128) && d->left > 0) return RDB_BUDGET;
    }
    return RDB_DONE;
}
