// RDB to values: push decoders that take bytes as they arrive, stop and resume at any byte, and
// build values element by element. Nothing is allocated by a length that was only claimed: at most
// twice what arrived plus RDB_CLAIM_BYTES. All input is taken as hostile.
#ifndef WHERRY_RDB_DECODE_H
#define WHERRY_RDB_DECODE_H

#include "base/error.h"
#include "rdb/rdb.h"
#include "value/value.h"

enum { RDB_CLAIM_BYTES = 64 * 1024 };

enum rdb_progress {
    RDB_MORE,   // took all input: push on
    RDB_BUDGET, // the budget ended first: push the rest later, even when nothing is left of it
    RDB_DONE,   // complete; bytes behind the end are left in `input`
    RDB_FAILED, // *error says what is wrong
};

struct rdb_decode_options {
    const struct value_limits *limits;
    bool sanitize; // also refuse compact hashes with a field that comes twice. Everything else
                   // about compact encodings is always checked.
};

// One value of a type. `*input` is cut off at the front by what was taken.
struct rdb_decoder;
struct rdb_decoder *rdb_decoder_new(enum rdb_type type, const struct rdb_decode_options *options);
enum rdb_progress rdb_decoder_push(struct rdb_decoder *d, struct bytes *input,
                                   struct budget *budget, struct error *error);
// After RDB_DONE: the value, the caller's now. An empty container is possible: see value_length.
struct value rdb_decoder_take(struct rdb_decoder *d);
// Frees it and what it still holds, at once; NULL is fine. The _step forms free a piece, and are
// true when nothing is left: for owners that give up a large value half-built.
void rdb_decoder_free(struct rdb_decoder *d);
bool rdb_decoder_free_step(struct rdb_decoder *d, struct budget *budget);
bool rdb_type_is_value(int type);

// A DUMP payload of `length` bytes in all, as it arrives; version and CRC64 are checked at the end.
// When the value is wrong the rest of the payload is still taken, and the verdict comes at its end:
// RDB_FAILED with ERROR_UNSUPPORTED when version or checksum are wrong (Redis: "DUMP payload
// version or checksum are wrong"), else with ERROR_CORRUPT or ERROR_LIMIT ("Bad data format"). An
// empty container is corrupt.
struct restore_decoder;
struct restore_decoder *
restore_decoder_new(uint64_t length, const struct rdb_decode_options *options, bool skip_checksum);
enum rdb_progress restore_decoder_push(struct restore_decoder *d, struct bytes *input,
                                       struct budget *budget, struct error *error);
struct value restore_decoder_take(struct restore_decoder *d);
void restore_decoder_free(struct restore_decoder *d);
bool restore_decoder_free_step(struct restore_decoder *d, struct budget *budget);

// A whole file or stream. The sink gets what it holds, in order; false from a sink stops with
// *error, which the sink has set.
struct rdb_entry {
    int db;
    struct bytes key;   // borrowed
    struct value value; // the sink's now, also when it returns false
    int64_t expire_ms;  // -1: none
    int64_t idle_s;     // -1: not given
    int freq;           // -1: not given
};
struct rdb_sink {
    bool (*aux)(void *owner, struct bytes name, struct bytes value, struct error *error);
    bool (*resize)(void *owner, int db, uint64_t keys, uint64_t expires, struct error *error);
    // Optional: an entry with this key comes, once its value has been read.
    void (*coming)(void *owner, int db, struct bytes key);
    bool (*entry)(void *owner, struct rdb_entry *entry, struct error *error);
    // A function library (RDB_OP_FUNCTION2), opaque. NULL: refused with a message.
    bool (*function)(void *owner, struct bytes code, struct error *error);
    // A key whose container turned out empty, which Redis skips: only told.
    void (*empty_key)(void *owner, struct bytes key, enum rdb_type type);
};
struct rdb_file_decoder;
struct rdb_file_decoder *rdb_file_decoder_new(const struct rdb_decode_options *options,
                                              bool checksum, const struct rdb_sink *sink,
                                              void *owner);
enum rdb_progress rdb_file_decoder_push(struct rdb_file_decoder *d, struct bytes *input,
                                        struct budget *budget, struct error *error);
uint64_t rdb_file_decoder_offset(const struct rdb_file_decoder *d); // bytes taken
int rdb_file_decoder_version(const struct rdb_file_decoder *d);
void rdb_file_decoder_free(struct rdb_file_decoder *d);
bool rdb_file_decoder_free_step(struct rdb_file_decoder *d, struct budget *budget);

#endif
