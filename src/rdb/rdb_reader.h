// The resumable reading of RDB's primitives: fixed bytes, lengths, strings. Each function either
// completes (RDB_DONE) or keeps what it has and returns why it stopped; calling it again with more
// input, or a fresh budget, goes on where it was. One read is under way at a time.
//
// Formats: Redis 7.0 rdb.h (lengths of 6, 14, 32 and 64 bits; strings plain, as integers of 8, 16
// and 32 bits, and LZF).
#ifndef WHERRY_RDB_READER_H
#define WHERRY_RDB_READER_H

#include "base/text.h"
#include "rdb/decode.h"
#include "rdb/gather.h"
#include "rdb/lzf.h"

enum { READER_FIXED_MAX = 255 };

enum rdb_reader_owned { // how a long string is laid out in memory, for whoever wants to keep it
    READER_AS_STR,      // a struct str
    READER_AS_BLOCK,    // the bytes alone, from mem_try
};

struct rdb_reader {
    const char *begin, *at, *end; // of this push
    struct budget *budget;        // of this push; may be NULL
    struct error *error;          // of this push
    uint64_t offset;              // bytes taken before `begin`
    enum rdb_reader_owned layout; // set before the string begins

    unsigned char fixed[READER_FIXED_MAX];
    uint8_t fixed_have;
    bool has_first; // of a length
    uint8_t first;

    uint8_t text_step; // rdb_reader_string's
    uint8_t number_bytes;
    uint64_t text_len, packed_len; // packed: LZF bytes still to come
    size_t scratch_at;             // bytes of the string in scratch, or of the window
    char *scratch;                 // strings that were cut or packed, up to RDB_CLAIM_BYTES
    size_t scratch_cap;
    struct gather gather; // longer ones
    struct str *str;      // a finished long string, READER_AS_STR
    char *block;          // a finished long string, READER_AS_BLOCK
    struct lzf_unpacker lzf;
    char number[TEXT_I64_BYTES];
};

void rdb_reader_free(struct rdb_reader *r);
void rdb_reader_open(struct rdb_reader *r, const struct bytes *input, struct budget *budget,
                     struct error *error);
void rdb_reader_close(struct rdb_reader *r, struct bytes *input); // cuts off what was taken

uint64_t rdb_reader_offset(const struct rdb_reader *r);
// Counts work. False: stop with RDB_BUDGET.
bool rdb_reader_work(struct rdb_reader *r, uint32_t units);
// Fills the error, adding where, and returns RDB_FAILED.
enum rdb_progress rdb_reader_refuse(struct rdb_reader *r, enum error_class class,
                                    const char *format, ...) __attribute__((format(printf, 3, 4)));

// `len` bytes, at most READER_FIXED_MAX; *out is good until the next read.
enum rdb_progress rdb_reader_fixed(struct rdb_reader *r, size_t len, const unsigned char **out);
enum rdb_progress rdb_reader_u8(struct rdb_reader *r, uint8_t *out);
enum rdb_progress rdb_reader_le64(struct rdb_reader *r, uint64_t *out);
enum rdb_progress rdb_reader_double(struct rdb_reader *r, double *out); // binary, little-endian
enum rdb_progress rdb_reader_length(struct rdb_reader *r, uint64_t *out);
// *out is good until the next read, or until the push ends.
enum rdb_progress rdb_reader_string(struct rdb_reader *r, struct bytes *out);

// Right after rdb_reader_string: the string itself, when it was long and laid out so; else NULL.
struct str *rdb_reader_take_str(struct rdb_reader *r);
char *rdb_reader_take_block(struct rdb_reader *r);

// A string that outlives the next read: kept by copying it, or by taking it over when it is long.
struct kept {
    struct buf buf;
    struct str *str; // instead of buf, when not NULL
};
void kept_set(struct kept *k, struct rdb_reader *r,
              struct bytes text); // right after rdb_reader_string
static inline struct bytes kept_view(const struct kept *k)
{
    return k->str ? str_view(k->str) : buf_view(&k->buf);
}
void kept_free(struct kept *k);

// In a decoder: leaves it unless the read is complete.
#define RDB_TRY(read)                                                                              \
    do {                                                                                           \
        enum rdb_progress rdb_try_result = (read);                                                 \
        if (rdb_try_result != RDB_DONE) return rdb_try_result;                                     \
    } while (0)

#endif
