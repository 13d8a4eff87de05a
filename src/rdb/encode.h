// Values to RDB: a pull encoder that stops and resumes at any byte. The caller reads as many bytes
// as it has room for; large strings and listpacks are read from where they are, never copied whole.
// While an encoder is open its value must not change (the store's holds see to that).
#ifndef WHERRY_RDB_ENCODE_H
#define WHERRY_RDB_ENCODE_H

#include "rdb/rdb.h"
#include "value/value.h"

struct rdb_options {
    bool compress;    // LZF for strings and blobs of 21 bytes up to RDB_COMPRESS_MAX_BYTES
    int version;      // 0: RDB_VERSION for files; for DUMP rdb_lowest_version of the value
    bool no_checksum; // files: the CRC64 at the end is left 0 (rdbchecksum no)
};
enum { RDB_COMPRESS_MAX_BYTES = 64 * 1024 };

struct rdb_encoder;
// Of the value alone, as RDB_VERSION has it (its RDB type byte, rdb_type_of, is written by whoever
// frames it).
struct rdb_encoder *rdb_encoder_new(const struct value *v, const struct rdb_options *options);
// Up to `max` bytes into `out`; fewer when the budget ends (NULL: no budget) or the value does.
size_t rdb_encoder_read(struct rdb_encoder *e, char *out, size_t max, struct budget *budget);
bool rdb_encoder_done(const struct rdb_encoder *e);
void rdb_encoder_free(struct rdb_encoder *e);
enum rdb_type rdb_type_of(const struct value *v);

// The lowest RDB version that can hold the value with all that belongs to it: 6, but for streams.
int rdb_lowest_version(const struct value *v);

// A DUMP payload: type, value, version (2 bytes), CRC64 (8 bytes). With options->version n it has
// only types that readers of version n know; before 10 that means elements one by one instead of
// blocks, and streams without what Redis 7.0 added to them. A stream takes 9 whatever was asked.
struct dump_encoder;
struct dump_encoder *dump_encoder_new(const struct value *v, const struct rdb_options *options);
size_t dump_encoder_read(struct dump_encoder *d, char *out, size_t max, struct budget *budget);
bool dump_encoder_done(const struct dump_encoder *d);
void dump_encoder_free(struct dump_encoder *d);
// Counts the payload's bytes in slices, without producing them where that can be helped. The
// encoder that follows, with the same options, yields exactly that many.
struct dump_counter;
struct dump_counter *dump_counter_new(const struct value *v, const struct rdb_options *options);
bool dump_counter_step(struct dump_counter *d, struct budget *budget); // true: counted
uint64_t dump_counter_bytes(const struct dump_counter *d);
void dump_counter_free(struct dump_counter *d);

// Pieces of a file, appended whole (all small).
void rdb_put_length(struct buf *out, uint64_t length);
void rdb_put_string(struct buf *out, struct bytes s, bool compress);
// Whether strings are to be tried with LZF, and how that went: where it has saved nothing for many
// in a row, only some are tried until one shrinks. So data that does not compress (it is random,
// or compressed already) costs little.
struct rdb_squeeze {
    bool on;
    uint8_t failed, skipped;
};
void rdb_put_squeezed(struct buf *out, struct bytes s, struct rdb_squeeze *squeeze);
void rdb_put_header(struct buf *out, int version);
void rdb_put_aux(struct buf *out, const char *name, struct bytes value);
void rdb_put_select_db(struct buf *out, int db);
void rdb_put_resize_db(struct buf *out, uint64_t keys, uint64_t expires);
// What stands before a value: expiry (or -1), LRU idle seconds (or -1), LFU (or -1), type, key.
void rdb_put_entry_head(struct buf *out, int64_t expire_ms, int64_t idle_s, int freq,
                        enum rdb_type type, struct bytes key);
// The opcode and the checksum; `crc_before` covers all that came before (0: checksums are off).
void rdb_put_eof(struct buf *out, uint64_t crc_before, bool checksum);

#endif
