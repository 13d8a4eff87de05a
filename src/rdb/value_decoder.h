// Inside the decoders: one value that is being built from a reader, shared by those for a single
// value, a DUMP payload and a whole file.
#ifndef WHERRY_RDB_VALUE_DECODER_H
#define WHERRY_RDB_VALUE_DECODER_H

#include "rdb/pack.h"
#include "rdb/rdb_reader.h"
#include "value/hash.h"
#include "value/stream_group.h"

// A pack is checked and put in its place in one go up to this size, in slices above it.
enum { PACK_WHOLE_BYTES = 16 * 1024 };

struct stream_build {
    uint64_t nodes_left, groups_left, pending_left, consumers_left;
    uint64_t numbers[9]; // a run of lengths that is being read
    uint8_t numbers_have;
    struct stream_id id; // of the node or pending entry that is being read
    int64_t time_ms;
    struct stream_group *group;
    struct stream_consumer *consumer;
};

struct value_decoder {
    enum rdb_type type;
    struct rdb_decode_options options;
    struct value value;
    bool has_value; // `value` is initialised and ours to free

    uint8_t step;            // of the type's own function; 0 at first
    uint64_t left;           // elements still to come
    struct hash_batch batch; // of a hash: not yet in its table
    struct kept first;       // field of a hash, member of a zset, while the rest is awaited; a blob
    uint64_t container;      // of a quicklist's node
    unsigned char *block;    // a long one, while it is looked through
    size_t block_len;

    struct pack pack;
    struct listpack_entry entry; // first half of a pair from a pack
    char scratch[2][TEXT_I64_BYTES];
    uint64_t pack_entries;    // counted so far
    bool pack_fits;           // within the limits of a listpack, as far as seen
    unsigned char *pack_copy; // the listpack that a ziplist or zipmap becomes, while it fits
    uint8_t score_bytes;      // of a score as text
    struct stream_build stream;
};

void value_decoder_init(struct value_decoder *d, enum rdb_type type,
                        const struct rdb_decode_options *options);
enum rdb_progress value_decoder_run(struct value_decoder *d, struct rdb_reader *r);
struct value value_decoder_take(struct value_decoder *d);
// Frees a piece (NULL: everything). True when nothing is left.
bool value_decoder_free_step(struct value_decoder *d, struct budget *budget);

// Whether a finished value is one that may be stored: only strings and streams may be empty.
bool value_decoder_empty(const struct value_decoder *d);

// By type; each goes on where it stopped.
enum rdb_progress decode_string(struct value_decoder *d, struct rdb_reader *r);
enum rdb_progress decode_list(struct value_decoder *d, struct rdb_reader *r);
enum rdb_progress decode_list_ziplist(struct value_decoder *d, struct rdb_reader *r);
enum rdb_progress decode_quicklist(struct value_decoder *d, struct rdb_reader *r);
enum rdb_progress decode_set(struct value_decoder *d, struct rdb_reader *r);
enum rdb_progress decode_set_intset(struct value_decoder *d, struct rdb_reader *r);
enum rdb_progress decode_set_listpack(struct value_decoder *d, struct rdb_reader *r);
enum rdb_progress decode_hash(struct value_decoder *d, struct rdb_reader *r);
enum rdb_progress decode_hash_pack(struct value_decoder *d, struct rdb_reader *r);
enum rdb_progress decode_zset(struct value_decoder *d, struct rdb_reader *r);
enum rdb_progress decode_zset_pack(struct value_decoder *d, struct rdb_reader *r);
enum rdb_progress decode_stream(struct value_decoder *d, struct rdb_reader *r);
enum rdb_progress decode_module(struct value_decoder *d, struct rdb_reader *r); // refuses, by name

enum { RDB_MODULE_NAME_BYTES = 10 };
void rdb_module_name(char name[RDB_MODULE_NAME_BYTES], uint64_t id);

// Reads the blob of a pack into d->first and begins to walk it.
enum rdb_progress decode_pack_begin(struct value_decoder *d, struct rdb_reader *r,
                                    enum pack_kind kind);
// In the words by which Redis's log tells of it.
enum rdb_progress decode_pack_corrupt(const struct value_decoder *d, struct rdb_reader *r,
                                      enum pack_kind kind);
enum rdb_progress decode_twice(struct rdb_reader *r, const char *what, struct bytes name);

// How many elements a container is told to expect: what was announced, as far as that may be
// believed. `limit` is where its compact encoding ends: above that it needs to be told so.
static inline uint64_t decode_expect(uint64_t announced, size_t limit)
{
    uint64_t most = RDB_CLAIM_BYTES / 64;
    if (most <= limit) most = (uint64_t)limit + 1;
    return announced < most ? announced : most;
}
// Units of work that an element of so many bytes is.
static inline uint32_t decode_cost(size_t bytes)
{
    return bytes < 1 << 24 ? (uint32_t)(2 + bytes / 64) : 1 << 18;
}

#endif
