// Digests of data for comparing nodes: fast rather than secure, and of everything that a replica
// must have, times to live included.
#include "rdb/encode.h"
#include "sim/world/world.h"
#include "value/dict.h"
#include "value/hash.h"
#include "value/list.h"
#include "value/set.h"
#include "value/stream.h"
#include "value/stream_group.h"
#include "value/string.h"
#include "value/zset.h"

#include <string.h>

static uint64_t scramble(uint64_t x)
{
    x ^= x >> 31;
    x *= 0x9e3779b97f4a7c15u;
    x ^= x >> 29;
    x *= 0xbf58476d1ce4e5b9u;
    return x ^ x >> 32;
}

static uint64_t mix(uint64_t seed, struct bytes data)
{
    uint64_t h = scramble(seed + data.len);
    size_t i = 0;
    for (; i + 8 <= data.len; i += 8) {
        uint64_t word;
        memcpy(&word, data.data + i, 8);
        h = (h ^ word) * 0x9e3779b97f4a7c15u;
        h ^= h >> 29;
    }
    uint64_t last = 0;
    if (i < data.len) memcpy(&last, data.data + i, data.len - i);
    return scramble(h ^ last);
}

static uint64_t number(uint64_t seed, uint64_t n)
{
    return scramble(seed * 31 + scramble(n + 1));
}

static uint64_t of_group(uint64_t h, const struct stream_group *g)
{
    h = mix(h, str_view(g->name));
    h = number(number(h, g->last_id.ms), g->last_id.seq);
    uint64_t consumers = 0, pending = 0;
    for (uint32_t i = 0; i < stream_consumer_count(g); i++)
        consumers += mix(1, str_view(stream_consumer_at(g, i)->name));
    struct idtree_iter it;
    idtree_seek_first(&it, g->pending);
    for (const struct stream_pending *p; (p = stream_pending_next(&it)) != NULL;)
        pending += mix(number(number(2, p->id.ms), p->id.seq), str_view(p->consumer->name));
    return number(number(h, consumers), pending);
}

static uint64_t of_stream(uint64_t h, const struct stream *s)
{
    struct stream_iter it;
    struct stream_entry entry;
    struct bytes field, value;
    stream_seek(&it, s, (struct stream_id){0, 0}, (struct stream_id){UINT64_MAX, UINT64_MAX},
                false);
    while (stream_next(&it, &entry)) {
        h = number(number(h, entry.id.ms), entry.id.seq);
        while (stream_next_field(&it, &field, &value))
            h = mix(mix(h, field), value);
    }
    h = number(number(h, s->last_id.ms), s->last_id.seq);
    uint64_t groups = 0;
    for (uint32_t i = 0; i < stream_group_count(s); i++)
        groups += of_group(3, stream_group_at(s, i));
    return number(h, groups);
}

static uint64_t of_value(uint64_t h, const struct value *v)
{
    struct bytes first, second;
    struct zset_entry scored;
    char text[TEXT_I64_BYTES];
    uint64_t sum = 0, bits;
    union {
        struct list_iter list;
        struct set_iter set;
        struct zset_iter zset;
        struct hash_iter hash;
    } it;
    switch ((enum value_type)v->type) {
    case VALUE_STRING:
        return mix(h, string_view(v, text));
    case VALUE_LIST:
        if (list_seek(&it.list, v, 0, false))
            while (list_next(&it.list, &first))
                h = mix(h, first);
        return h;
    case VALUE_SET:
        set_iter_begin(&it.set, v);
        while (set_iter_next(&it.set, &first))
            sum += mix(4, first);
        set_iter_end(&it.set);
        return number(h, sum);
    case VALUE_ZSET:
        zset_iter_begin(&it.zset, v, zset_whole_span(v), false);
        while (zset_iter_next(&it.zset, &scored)) {
            memcpy(&bits, &scored.score, sizeof(bits));
            sum += number(mix(5, scored.member), bits);
        }
        zset_iter_end(&it.zset);
        return number(h, sum);
    case VALUE_HASH:
        hash_iter_begin(&it.hash, v);
        while (hash_iter_next(&it.hash, &first, &second))
            sum += mix(mix(6, first), second);
        hash_iter_end(&it.hash);
        return number(h, sum);
    case VALUE_STREAM:
        return of_stream(h, v->u.stream);
    case VALUE_TYPE_COUNT:
        break;
    }
    return h;
}

uint64_t entry_digest(const struct entry *e, int flags)
{
    uint64_t h = of_value(number(7, e->value.type), &e->value);
    if (flags & DIGEST_TTL) h = number(h, (uint64_t)e->expire_ms);
    return h;
}

bool is_temporary_key(struct bytes key)
{
    static const char head[] = "wherry-restore:";
    return key.len > sizeof(head) - 1 && memcmp(key.data, head, sizeof(head) - 1) == 0;
}

uint64_t node_digest(const struct node *n)
{
    uint64_t sum = 0;
    for (int i = 0; i < n->store.live->count; i++) {
        struct dict_iter it;
        dict_iter_begin(&it, n->store.live->dbs[i].keys);
        for (struct entry *e; (e = dict_iter_next(&it)) != NULL;) {
            if (is_temporary_key(entry_key(e))) continue;
            sum += number(mix((uint64_t)i + 100, entry_key(e)), entry_digest(e, DIGEST_TTL));
        }
        dict_iter_end(&it);
    }
    return sum;
}

uint64_t node_lasting_keys(const struct node *n)
{
    uint64_t count = 0;
    for (int i = 0; i < n->store.live->count; i++) {
        struct dict_iter it;
        dict_iter_begin(&it, n->store.live->dbs[i].keys);
        for (struct entry *e; (e = dict_iter_next(&it)) != NULL;)
            count += !is_temporary_key(entry_key(e));
        dict_iter_end(&it);
    }
    return count;
}

uint64_t node_key_count(const struct node *n)
{
    return keyspace_keys(n->store.live);
}

void entry_dump(const struct entry *e, bool compress, struct buf *out)
{
    struct rdb_options options = {.compress = compress};
    struct dump_encoder *d = dump_encoder_new(&e->value, &options);
    while (!dump_encoder_done(d))
        buf_commit(out, dump_encoder_read(d, buf_reserve(out, 8192), 8192, NULL));
    dump_encoder_free(d);
}

struct entry *node_find(const struct node *n, struct bytes key, int *db)
{
    for (int i = 0; i < n->store.live->count; i++) {
        struct entry *e = db_find(&n->store.live->dbs[i], key);
        if (e == NULL) continue;
        if (db != NULL) *db = i;
        return e;
    }
    return NULL;
}

void world_note_value(struct world *w, const char *whose, const struct entry *e)
{
    struct list_iter it;
    struct bytes item;
    struct buf text = BUF_EMPTY;
    if (e->value.type == VALUE_LIST && list_seek(&it, &e->value, 0, false))
        while (list_next(&it, &item) && buf_len(&text) < 250)
            buf_printf(&text, " %.*s", item.len < 5 ? (int)item.len : 5, item.data);
    buf_append_byte(&text, '\0');
    world_note(w, "%s: %.*s: %s, %llu:%s", whose, (int)e->key_len, e->key,
               value_encoding_name(&e->value), (unsigned long long)value_length(&e->value),
               buf_view(&text).data);
    buf_free(&text);
}

static int missing_in(struct world *w, const struct member *a, const struct member *b, int shown)
{
    for (int i = 0; i < a->node->store.live->count; i++) {
        struct dict_iter it;
        dict_iter_begin(&it, a->node->store.live->dbs[i].keys);
        for (struct entry *e; (e = dict_iter_next(&it)) != NULL && shown < 8;) {
            if (is_temporary_key(entry_key(e))) continue;
            struct entry *other = db_find(&b->node->store.live->dbs[i], entry_key(e));
            if (other != NULL && entry_digest(e, DIGEST_TTL) == entry_digest(other, DIGEST_TTL))
                continue;
            world_note(w, "difference: db %d %.*s (%s, %llu, expires %lld): %s has %s (%llu, %lld)",
                       i, (int)e->key_len, e->key, value_type_name(&e->value),
                       (unsigned long long)value_length(&e->value), (long long)e->expire_ms,
                       b->host, other != NULL ? value_type_name(&other->value) : "nothing",
                       other != NULL ? (unsigned long long)value_length(&other->value) : 0,
                       other != NULL ? (long long)other->expire_ms : 0);
            shown++;
        }
        dict_iter_end(&it);
    }
    return shown;
}

void world_note_difference(struct world *w, const struct member *a, const struct member *b)
{
    world_note(w, "%s has %llu keys, %s has %llu", a->host,
               (unsigned long long)node_key_count(a->node), b->host,
               (unsigned long long)node_key_count(b->node));
    missing_in(w, b, a, missing_in(w, a, b, 0));
}
