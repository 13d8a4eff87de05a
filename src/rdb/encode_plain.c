// Strings, lists, sets, hashes and sorted sets to RDB: a compact encoding as the block that it is,
// others by element. In versions before blocks of listpacks all but intsets go by element. Layouts:
// Redis 7.0 rdb.c, rdbSaveObject.
#include "rdb/encoder.h"
#include "value/string.h"

enum { STEP_BEGIN, STEP_ELEMENT, STEP_SECOND };

void encode_string(struct rdb_encoder *e)
{
    encoder_put(e, string_view(e->v, e->scratch));
    e->finished = true;
}

static void list_by_element(struct rdb_encoder *e)
{
    if (e->step == STEP_BEGIN) {
        rdb_put_length(&e->stage, list_length(e->v->u.quicklist));
        e->step = STEP_ELEMENT;
        e->finished = !list_seek(&e->u.list, e->v, 0, false);
        return;
    }
    struct bytes element;
    if (list_next(&e->u.list, &element))
        encoder_put(e, element);
    else
        e->finished = true;
}

// Nodes: which kind (a length), then the block, in the compressed form when it is kept so.
void encode_list(struct rdb_encoder *e)
{
    if (encoder_type(e->v, e->version) == RDB_LIST) {
        list_by_element(e);
        return;
    }
    const struct quicklist *list = e->v->u.quicklist;
    if (e->step == STEP_BEGIN) {
        rdb_put_length(&e->stage, quicklist_node_count(list));
        e->u.node = quicklist_first_node(list);
        e->finished = e->u.node == NULL;
        e->step = STEP_ELEMENT;
        return;
    }
    struct quicklist_node_view node = quicklist_node_look(e->u.node);
    rdb_put_length(&e->stage, (uint64_t)node.container);
    if (node.lzf) {
        rdb_put_lzf_head(&e->stage, node.bytes.len, node.raw_len);
        e->lent = node.bytes;
    } else {
        encoder_put(e, node.bytes);
    }
    e->u.node = quicklist_next_node(e->u.node);
    e->finished = e->u.node == NULL;
}

void encode_set(struct rdb_encoder *e)
{
    struct bytes member = set_intset_view(e->v);
    if (member.data != NULL) {
        encoder_put(e, member);
        e->finished = true;
        return;
    }
    if (e->step == STEP_BEGIN) {
        rdb_put_length(&e->stage, set_length(e->v));
        set_iter_begin(&e->u.set, e->v);
        e->iterating = true;
        e->step = STEP_ELEMENT;
        return;
    }
    if (set_iter_next(&e->u.set, &member))
        encoder_put(e, member);
    else
        e->finished = true;
}

void encode_hash(struct rdb_encoder *e)
{
    struct bytes field;
    if (encoder_type(e->v, e->version) == RDB_HASH_LISTPACK) {
        encoder_put(e, hash_listpack_view(e->v));
        e->finished = true;
        return;
    }
    if (e->step == STEP_BEGIN) {
        rdb_put_length(&e->stage, hash_length(e->v));
        hash_iter_begin(&e->u.hash, e->v);
        e->iterating = true;
        e->step = STEP_ELEMENT;
        return;
    }
    if (e->step == STEP_ELEMENT) {
        if (!hash_iter_next(&e->u.hash, &field, &e->held)) {
            e->finished = true;
            return;
        }
        e->step = STEP_SECOND;
        if (!encoder_put(e, field)) return;
    }
    e->step = STEP_ELEMENT;
    encoder_put(e, e->held);
}

// A skip list goes from the highest score to the lowest, so that whoever reads it inserts each at
// the front of what it has.
void encode_zset(struct rdb_encoder *e)
{
    enum rdb_type type = encoder_type(e->v, e->version);
    if (type == RDB_ZSET_LISTPACK) {
        encoder_put(e, zset_listpack_view(e->v));
        e->finished = true;
        return;
    }
    if (e->step == STEP_BEGIN) {
        rdb_put_length(&e->stage, zset_length(e->v));
        zset_iter_begin(&e->u.zset, e->v, zset_whole_span(e->v), true);
        e->iterating = true;
        e->step = STEP_ELEMENT;
        return;
    }
    if (e->step == STEP_ELEMENT) {
        struct zset_entry entry;
        if (!zset_iter_next(&e->u.zset, &entry)) {
            e->finished = true;
            return;
        }
        e->score = entry.score;
        e->step = STEP_SECOND;
        if (!encoder_put(e, entry.member)) return;
    }
    if (type == RDB_ZSET)
        rdb_put_double_text(&e->stage, e->score);
    else
        rdb_put_double(&e->stage, e->score);
    e->step = STEP_ELEMENT;
}
