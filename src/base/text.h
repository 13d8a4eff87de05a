// Numbers and patterns as text, by the rules that Redis clients rely on.
#ifndef WHERRY_BASE_TEXT_H
#define WHERRY_BASE_TEXT_H

#include "base/bytes.h"

// Strict decimal int64: optional '-', no '+', no spaces, no leading zeros, no overflow.
bool text_to_i64(struct bytes text, int64_t *out) __attribute__((warn_unused_result));
bool text_to_u64(struct bytes text, uint64_t *out) __attribute__((warn_unused_result));
// A double as strtod reads it, with inf/-inf/+inf, no surrounding spaces, never NaN. Hex floats
// and trailing bytes are refused.
bool text_to_double(struct bytes text, double *out) __attribute__((warn_unused_result));
bool text_to_long_double(struct bytes text, long double *out) __attribute__((warn_unused_result));

#define TEXT_I64_BYTES 21
// Writes the decimal form without a NUL and returns its length.
size_t text_from_i64(char out[TEXT_I64_BYTES], int64_t number);
#define TEXT_DOUBLE_BYTES 40
// As Redis replies a double (util.c d2string; addReplyDouble): integers without exponent or
// fraction, otherwise %.17g; "inf", "-inf".
size_t text_from_double(char out[TEXT_DOUBLE_BYTES], double number);
#define TEXT_LONG_DOUBLE_BYTES 5120
// As INCRBYFLOAT stores it: %.17Lf with trailing zeros removed, no exponent.
size_t text_from_long_double(char out[TEXT_LONG_DOUBLE_BYTES], long double number);

// A memory size as redis.conf writes it: 100, 1k (1000), 1kb (1024), m, mb, g, gb.
bool text_to_memory(struct bytes text, int64_t *bytes_out) __attribute__((warn_unused_result));
// Glob with *, ?, [a-z], [^..] and backslash, as KEYS and PSUBSCRIBE define it. Bounded: cost is at
// most pattern times text, however many stars there are.
bool text_glob(struct bytes pattern, struct bytes text, bool nocase);
// Splits a line into words: "double quotes with \n \xhh escapes", 'single quotes with \''.
// Returns the words (caller frees each with str_free and the array with mem_free) and their count,
// or NULL when quotes don't match. An empty line gives a non-NULL array and count 0.
struct str **text_split_quoted(struct bytes line, int *count);
// Appends `text` in double quotes with everything unprintable escaped.
void text_append_quoted(struct buf *out, struct bytes text);

#endif
