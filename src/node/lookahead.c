#include "node/lookahead.h"

#include "proto/peek.h"
#include "store/store.h"
#include "value/dict.h"

enum {
    ENTRY_AT = 5, // requests before its turn, an entry is fetched; its bucket when it is seen
    VALUE_AT = 2,
    LINE_BYTES = 64,
    CACHED_BYTES = 128 * 1024, // a table below that is in the cache anyway
};

// Behind the last that was seen; where the input went on without us, in front of it.
static struct bytes unseen(struct lookahead *l, struct bytes rest)
{
    if (l->ran == l->seen || l->at < rest.data || l->at > rest.data + rest.len) {
        l->at = rest.data;
        l->ran = l->seen = 0;
    }
    return bytes_of(l->at, rest.len - (size_t)(l->at - rest.data));
}

static const struct entry *guess(const struct lookahead *l, const struct dict *keys, unsigned from)
{
    unsigned number = l->ran + from;
    return number < l->seen ? dict_guess(keys, l->hash[number % LOOKAHEAD_REQUESTS]) : NULL;
}

static void see(struct lookahead *l, const struct dict *keys, struct bytes rest)
{
    struct bytes ahead = unseen(l, rest);
    while (l->seen - l->ran < LOOKAHEAD_REQUESTS) {
        struct bytes key;
        size_t len = request_peek(ahead, &key);
        if (len == 0) return;
        uint64_t hash = dict_hash(keys, key);
        dict_prefetch(keys, hash);
        l->hash[l->seen++ % LOOKAHEAD_REQUESTS] = hash;
        l->at += len;
        ahead = bytes_of(ahead.data + len, ahead.len - len);
    }
}

void lookahead(struct lookahead *l, const struct db *db, struct bytes rest)
{
    const struct dict *keys = db->keys;
    if (rest.len == 0 || dict_table_bytes(keys) < CACHED_BYTES) return;
    if (l->ran < l->seen) l->ran++; // the one that runs now
    see(l, keys, rest);
    const struct entry *e = guess(l, keys, ENTRY_AT);
    if (e != NULL) {
        __builtin_prefetch(e, 1);
        __builtin_prefetch((const char *)e + LINE_BYTES);
    }
    if ((e = guess(l, keys, VALUE_AT)) != NULL) value_prefetch(&e->value);
}
