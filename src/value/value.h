// A value of the keyspace: a type, an encoding and the structure behind it, held by whoever embeds
// the struct (an entry of the store, a decoder that is building it, a job that is freeing it).
//
// The typed modules over it (string.h, list.h, set.h, hash.h, zset.h, stream.h) are all that
// commands, RDB and migration use: they pick and change encodings by Redis's thresholds. Nobody
// above src/value/ looks into u.
//
// Walking: each typed module has an iterator that goes element by element, may stop after any of
// them and go on later, and stays valid as long as nobody writes to the value (the store's holds
// see to that). Reading while an iterator is open is fine.
// Building: an empty value of the type plus the module's add function, element by element.
#ifndef WHERRY_VALUE_VALUE_H
#define WHERRY_VALUE_VALUE_H

#include "base/bytes.h"
#include "loop/loop.h"

// Names and numbers as in Redis's object.h and the replies of TYPE and OBJECT ENCODING.
enum value_type {
    VALUE_STRING,
    VALUE_LIST,
    VALUE_SET,
    VALUE_ZSET,
    VALUE_HASH,
    VALUE_STREAM,
    VALUE_TYPE_COUNT
};

enum value_encoding {
    ENCODING_INT,       // string: u.integer
    ENCODING_EMBSTR,    // string of at most 44 bytes that was never changed in place: u.string
    ENCODING_RAW,       // string: u.string
    ENCODING_LISTPACK,  // small hash or zset: u.listpack
    ENCODING_INTSET,    // set of integers: u.intset
    ENCODING_HASHTABLE, // set, hash: u.dict
    ENCODING_QUICKLIST, // list: u.quicklist
    ENCODING_SKIPLIST,  // zset: u.zset
    ENCODING_STREAM,    // stream: u.stream
};

struct dict;
struct intset;
struct quicklist;
struct zskip;
struct stream;

struct value {
    uint8_t type, encoding;
    union {
        int64_t integer;
        struct str *string;
        unsigned char *listpack;
        struct intset *intset;
        struct dict *dict;
        struct quicklist *quicklist;
        struct zskip *zset;
        struct stream *stream;
    } u;
};

// Thresholds between encodings; names as the directives of Redis 7.0 (redis.conf). One per node,
// handed down by pointer.
struct value_limits {
    size_t hash_max_listpack_entries, hash_max_listpack_value; // 128, 64
    size_t zset_max_listpack_entries, zset_max_listpack_value; // 128, 64
    size_t set_max_intset_entries;                             // 512
    int list_max_listpack_size;                                // -2
    int list_compress_depth;                                   // 0
    size_t list_packed_threshold;    // elements this long get a plain node; 0: the default, 1 GiB
    size_t stream_node_max_bytes;    // 4096
    int64_t stream_node_max_entries; // 100
    // Keys the hashes of tables made under these limits; the node sets it to something secret (the
    // simulator: from its seed), and leaves it alone after that.
    uint64_t hash_seed;
};
void value_limits_default(struct value_limits *limits);

const char *value_type_name(const struct value *v);     // "string", "list", ...
const char *value_encoding_name(const struct value *v); // "embstr", "listpack", ...

// Elements in the value: bytes for a string, members, fields, entries. Constant time.
uint64_t value_length(const struct value *v);
// About how many bytes it takes; samples large ones. Bounded time.
size_t value_memory(const struct value *v, int samples);
// Roughly what it costs to encode or free in one go: small values are done at once, others sliced.
// True for strings up to 64 KiB, blocks (listpack, intset) up to 16 KiB, and other containers up to
// 64 elements and 16 KiB. Bounded time.
bool value_is_small(const struct value *v);

// So many elements are announced for it: see dict_expect. Other encodings don't mind.
void value_expect(struct value *v, uint64_t elements);

// What is behind it will be looked at soon: for walks over many values, which wait for memory.
static inline void value_prefetch(const struct value *v)
{
    __builtin_prefetch(v->u.string); // where it is a number, a hint about nothing
}

// Frees what is behind it at once. Only for small values, and for teardown.
void value_free(struct value *v);
// Frees a piece. True when nothing is left; then `v` must not be used again.
bool value_free_step(struct value *v, struct budget *budget);
// A full copy, for COPY and the like. In one go: the caller answers for the time.
void value_copy(struct value *to, const struct value *from);

#endif
