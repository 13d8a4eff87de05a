// Inside the encoders: how a value is produced. Each type has a function that puts the next piece,
// element by element; small pieces go to the stage, a long string stays where it is and is lent.
#ifndef WHERRY_RDB_ENCODER_H
#define WHERRY_RDB_ENCODER_H

#include "rdb/encode.h"
#include "rdb/put.h"
#include "value/hash.h"
#include "value/list.h"
#include "value/set.h"
#include "value/stream_group.h"
#include "value/zset.h"

// Strings up to this go through the stage.
enum { ENCODER_STAGE_BYTES = 512 };

struct stream_walk {
    struct idtree_iter nodes, pending;
    struct bytes node; // that comes after its id
    uint32_t group, consumer;
};

struct rdb_encoder {
    const struct value *v;
    void (*next)(struct rdb_encoder *e);
    int version; // whose types it is made of
    struct rdb_squeeze squeeze;
    bool finished;     // nothing comes after what is staged and lent
    struct buf stage;  // comes first,
    struct bytes lent; // then this, borrowed from the value
    uint32_t work;     // units of what was produced since they were last counted
    bool counts;       // only how long it is matters: strings are counted and not put
    uint64_t counted;  // bytes of those
    uint8_t step;      // of the type's own function; 0 at first
    bool iterating;    // the iterator is open
    struct bytes held; // second string of a pair; a zset's score is in `score`
    double score;
    union {
        struct set_iter set;
        struct hash_iter hash;
        struct zset_iter zset;
        const struct quicklist_node *node;
        struct list_iter list;
        struct stream_walk stream;
    } u;
    char scratch[TEXT_I64_BYTES];
};

// `version` says which types may be used; see encoder_type.
void encoder_init(struct rdb_encoder *e, const struct value *v, bool compress, int version);
enum rdb_type encoder_type(const struct value *v, int version);
void encoder_free(struct rdb_encoder *e);
// More of it to the stage (and at most one string lent). To be called when both are used up.
void encoder_next(struct rdb_encoder *e);
size_t encoder_read(struct rdb_encoder *e, char *out, size_t max, struct budget *budget);
static inline bool encoder_has_output(const struct rdb_encoder *e)
{
    return buf_len(&e->stage) > 0 || e->lent.len > 0;
}
static inline bool encoder_done(const struct rdb_encoder *e)
{
    return e->finished && !encoder_has_output(e);
}
// False when the string was lent: nothing more may be put in this call of `next`.
bool encoder_put(struct rdb_encoder *e, struct bytes text);

void encode_string(struct rdb_encoder *e);
void encode_list(struct rdb_encoder *e);
void encode_set(struct rdb_encoder *e);
void encode_hash(struct rdb_encoder *e);
void encode_zset(struct rdb_encoder *e);
void encode_stream(struct rdb_encoder *e);

#endif
