// Sets: member by member; an intset; a listpack (Redis 7.2).
#include "rdb/value_decoder.h"
#include "value/intset.h"
#include "value/set.h"

enum { SET_COUNT, SET_MEMBERS };

static void begin(struct value_decoder *d, uint64_t announced)
{
    const struct value_limits *limits = d->options.limits;
    set_init(&d->value);
    d->has_value = true;
    set_reserve(&d->value, decode_expect(announced, limits->set_max_intset_entries),
                announced <= limits->set_max_intset_entries, limits);
    value_expect(&d->value, announced);
}

static enum rdb_progress add(struct value_decoder *d, struct rdb_reader *r, struct bytes member)
{
    if (!set_add(&d->value, member, d->options.limits))
        return decode_twice(r, "set member", member);
    return RDB_DONE;
}

enum rdb_progress decode_set(struct value_decoder *d, struct rdb_reader *r)
{
    if (d->step == SET_COUNT) {
        RDB_TRY(rdb_reader_length(r, &d->left));
        begin(d, d->left);
        d->step = SET_MEMBERS;
    }
    r->layout = READER_AS_STR;
    while (d->left > 0) {
        struct bytes member;
        RDB_TRY(rdb_reader_string(r, &member));
        RDB_TRY(add(d, r, member));
        d->left--;
        if (!rdb_reader_work(r, decode_cost(member.len)) && d->left > 0) return RDB_BUDGET;
    }
    return RDB_DONE;
}

// ---- intsets ----------------------------------------------------------------------------------

static uint32_t le32(const char *p)
{
    const unsigned char *u = (const unsigned char *)p;
    return u[0] | (uint32_t)u[1] << 8 | (uint32_t)u[2] << 16 | (uint32_t)u[3] << 24;
}

static int64_t number_at(struct bytes blob, uint64_t index)
{
    uint32_t width = le32(blob.data);
    const unsigned char *p = (const unsigned char *)blob.data + INTSET_HEADER_BYTES + index * width;
    uint64_t n = 0;
    for (uint32_t i = width; i-- > 0;)
        n = n << 8 | p[i];
    int shift = 64 - 8 * (int)width;
    return (int64_t)(n << shift) >> shift;
}

static enum rdb_progress intset_corrupt(struct rdb_reader *r)
{
    return rdb_reader_refuse(r, ERROR_CORRUPT, "Intset integrity check failed");
}

// The header is right. One that fits the limits stays as it is; a larger one becomes a table, in
// slices.
static enum rdb_progress begin_intset(struct value_decoder *d, struct rdb_reader *r,
                                      struct bytes blob)
{
    const struct value_limits *limits = d->options.limits;
    uint32_t count = le32(blob.data + 4);
    if (count == 0) {
        begin(d, 0);
        d->left = 0;
    } else if (count <= limits->set_max_intset_entries) {
        if (!set_from_intset(&d->value, blob, limits, true)) return intset_corrupt(r);
        d->has_value = true;
        d->left = 0;
    } else {
        kept_set(&d->first, r, blob);
        begin(d, count);
        d->left = count;
    }
    d->step = SET_MEMBERS;
    return RDB_DONE;
}

enum rdb_progress decode_set_intset(struct value_decoder *d, struct rdb_reader *r)
{
    struct bytes blob;
    if (d->step == SET_COUNT) {
        r->layout = READER_AS_STR;
        RDB_TRY(rdb_reader_string(r, &blob));
        if (!intset_validate(blob, false)) return intset_corrupt(r);
        RDB_TRY(begin_intset(d, r, blob));
    }
    blob = kept_view(&d->first);
    while (d->left > 0) {
        int64_t number = number_at(blob, le32(blob.data + 4) - d->left);
        RDB_TRY(add(d, r, bytes_of(d->scratch[0], text_from_i64(d->scratch[0], number))));
        d->left--;
        if (!rdb_reader_work(r, 3) && d->left > 0) return RDB_BUDGET;
    }
    return RDB_DONE;
}

// ---- listpacks --------------------------------------------------------------------------------

// What the listpack says of its count (no more than a hint).
static uint64_t announced(struct bytes blob)
{
    return (uint64_t)(unsigned char)blob.data[4] | (uint64_t)(unsigned char)blob.data[5] << 8;
}

enum rdb_progress decode_set_listpack(struct value_decoder *d, struct rdb_reader *r)
{
    if (d->step == SET_COUNT) {
        RDB_TRY(decode_pack_begin(d, r, PACK_LISTPACK));
        begin(d, announced(kept_view(&d->first)));
        d->step = SET_MEMBERS;
    }
    for (;;) {
        struct listpack_entry entry;
        enum pack_next next = pack_next(&d->pack, &entry);
        if (next == PACK_END) return RDB_DONE;
        if (next == PACK_CORRUPT) return decode_pack_corrupt(d, r, PACK_LISTPACK);
        struct bytes member = listpack_entry_text(entry, d->scratch[0]);
        RDB_TRY(add(d, r, member));
        if (!rdb_reader_work(r, decode_cost(member.len))) return RDB_BUDGET;
    }
}
