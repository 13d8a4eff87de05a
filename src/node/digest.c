#include "node/digest.h"

#include "value/string.h"

#include <arpa/inet.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <stdio.h>

static void sha1(struct bytes data, struct digest *out)
{
    SHA1((const unsigned char *)data.data, data.len, out->bytes);
}

void digest_xor(struct digest *d, struct bytes data)
{
    struct digest h;
    sha1(data, &h);
    for (int i = 0; i < DIGEST_BYTES; i++)
        d->bytes[i] ^= h.bytes[i];
}

void digest_mix(struct digest *d, struct bytes data)
{
    digest_xor(d, data);
    struct digest before = *d;
    sha1(bytes_of(before.bytes, DIGEST_BYTES), d);
}

void digest_hex(const struct digest *d, char out[2 * DIGEST_BYTES])
{
    for (int i = 0; i < DIGEST_BYTES; i++) {
        out[2 * i] = "0123456789abcdef"[d->bytes[i] >> 4];
        out[2 * i + 1] = "0123456789abcdef"[d->bytes[i] & 15];
    }
}

// Two things that belong together and count as one element of a set.
static void xor_pair(struct digest *d, struct bytes first, struct bytes second)
{
    struct digest pair = {{0}};
    digest_mix(&pair, first);
    digest_mix(&pair, second);
    digest_xor(d, bytes_of(pair.bytes, DIGEST_BYTES));
}

// ---- one value ----------------------------------------------------------------------------------

void digest_value_begin(struct digest_value *v, const struct entry *e, const struct digest *seed)
{
    *v = (struct digest_value){.entry = e, .digest = *seed};
    // Redis counts module values (5) before streams.
    uint32_t type = htonl(e->value.type == VALUE_STREAM ? 6 : e->value.type);
    digest_mix(&v->digest, bytes_of(&type, sizeof(type)));
}

static void open_iterator(struct digest_value *v)
{
    const struct value *value = &v->entry->value;
    v->began = true;
    switch ((enum value_type)value->type) {
    case VALUE_LIST:
        if (!list_seek(&v->at.list, value, 0, false)) v->done = true;
        break;
    case VALUE_SET:
        set_iter_begin(&v->at.set, value);
        break;
    case VALUE_ZSET:
        zset_iter_begin(&v->at.zset, value, zset_whole_span(value), false);
        break;
    case VALUE_HASH:
        hash_iter_begin(&v->at.hash, value);
        break;
    case VALUE_STREAM:
        stream_seek(&v->at.stream, value->u.stream, (struct stream_id){0, 0},
                    (struct stream_id){UINT64_MAX, UINT64_MAX}, false);
        break;
    case VALUE_STRING:
    case VALUE_TYPE_COUNT:
        break;
    }
}

static bool stream_element(struct digest_value *v)
{
    struct stream_entry entry;
    struct bytes field, value;
    char id[48];
    if (!stream_next(&v->at.stream, &entry)) return false;
    int len = snprintf(id, sizeof(id), "%llu.%llu", (unsigned long long)entry.id.ms,
                       (unsigned long long)entry.id.seq);
    digest_mix(&v->digest, bytes_of(id, (size_t)len));
    while (stream_next_field(&v->at.stream, &field, &value)) {
        digest_mix(&v->digest, field);
        digest_mix(&v->digest, value);
    }
    return true;
}

// Takes one element in; false when there is none left.
static bool element(struct digest_value *v)
{
    struct bytes first, second;
    struct zset_entry scored;
    char text[TEXT_I64_BYTES], score[64];
    switch ((enum value_type)v->entry->value.type) {
    case VALUE_STRING:
        digest_mix(&v->digest, string_view(&v->entry->value, text));
        return false;
    case VALUE_LIST:
        if (v->done || !list_next(&v->at.list, &first)) return false;
        digest_mix(&v->digest, first);
        return true;
    case VALUE_SET:
        if (!set_iter_next(&v->at.set, &first)) return false;
        digest_xor(&v->digest, first);
        return true;
    case VALUE_ZSET:
        if (!zset_iter_next(&v->at.zset, &scored)) return false;
        xor_pair(&v->digest, scored.member,
                 bytes_of(score, (size_t)snprintf(score, sizeof(score), "%.17g", scored.score)));
        return true;
    case VALUE_HASH:
        if (!hash_iter_next(&v->at.hash, &first, &second)) return false;
        xor_pair(&v->digest, first, second);
        return true;
    case VALUE_STREAM:
        return stream_element(v);
    case VALUE_TYPE_COUNT:
        break;
    }
    return false;
}

bool digest_value_step(struct digest_value *v, struct budget *budget)
{
    if (!v->began) open_iterator(v);
    // An element costs two to eight SHA-1s.
    while (element(v))
        if (budget != NULL && !budget_left(budget, 32)) return false;
    if (v->entry->expire_ms != ENTRY_NO_EXPIRE) digest_xor(&v->digest, BYTES("!!expire!!"));
    digest_value_end(v);
    return true;
}

void digest_value_end(struct digest_value *v)
{
    if (!v->began) return;
    v->began = false;
    switch ((enum value_type)v->entry->value.type) {
    case VALUE_SET:
        set_iter_end(&v->at.set);
        break;
    case VALUE_ZSET:
        zset_iter_end(&v->at.zset);
        break;
    case VALUE_HASH:
        hash_iter_end(&v->at.hash);
        break;
    default:
        break;
    }
}
