// Inside the encoders: numbers and compact strings in RDB's forms, appended to a buffer.
#ifndef WHERRY_RDB_PUT_H
#define WHERRY_RDB_PUT_H

#include "rdb/encode.h"

void rdb_put_u8(struct buf *out, uint8_t byte);
void rdb_put_le64(struct buf *out, uint64_t number);
void rdb_put_double(struct buf *out, double number);
// As before version 8: a byte with the length of the text, or one of three for what has none.
void rdb_put_double_text(struct buf *out, double number);
// The whole string as a short integer, or LZF, when it has such a form; false, and nothing put,
// when it is to be written as it is.
bool rdb_put_compact(struct buf *out, struct bytes s, struct rdb_squeeze *squeeze);
// How many bytes rdb_put_string, without compression, would put.
uint64_t rdb_plain_bytes(struct bytes s);
// What stands before `packed_len` bytes of LZF that give `raw_len`.
void rdb_put_lzf_head(struct buf *out, size_t packed_len, size_t raw_len);

#endif
