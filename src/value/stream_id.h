// The id of a stream entry: milliseconds and a sequence number, ordered as one 128-bit number.
// Texts as Redis 7.0 t_stream.c reads and writes them.
#ifndef WHERRY_VALUE_STREAM_ID_H
#define WHERRY_VALUE_STREAM_ID_H

#include "base/bytes.h"

struct stream_id {
    uint64_t ms, seq;
};

#define STREAM_ID_MIN ((struct stream_id){0, 0})
#define STREAM_ID_MAX ((struct stream_id){UINT64_MAX, UINT64_MAX})

// <0, 0, >0.
static inline int stream_id_compare(struct stream_id a, struct stream_id b)
{
    if (a.ms != b.ms) return a.ms < b.ms ? -1 : 1;
    if (a.seq != b.seq) return a.seq < b.seq ? -1 : 1;
    return 0;
}

static inline bool stream_id_is_zero(struct stream_id id)
{
    return id.ms == 0 && id.seq == 0;
}

// The next and the previous id. False, with the id as it was, when there is none.
bool stream_id_increment(struct stream_id *id) __attribute__((warn_unused_result));
bool stream_id_decrement(struct stream_id *id) __attribute__((warn_unused_result));

// "ms-seq", or "ms" alone, which takes `missing_seq`. "-" and "+" are refused.
bool stream_id_parse(struct bytes text, uint64_t missing_seq, struct stream_id *out)
    __attribute__((warn_unused_result));
// As XADD takes it, "*" apart: also "ms-*", which sets *auto_seq and gives seq 0.
bool stream_id_parse_new(struct bytes text, struct stream_id *out, bool *auto_seq)
    __attribute__((warn_unused_result));
// A bound as XRANGE takes it: also "-", "+", and "(" before an id, which sets *exclusive (the id
// given is then the one written; move it with stream_id_increment or _decrement).
bool stream_id_parse_bound(struct bytes text, uint64_t missing_seq, struct stream_id *out,
                           bool *exclusive) __attribute__((warn_unused_result));

#define STREAM_ID_TEXT_BYTES 41
// Writes "ms-seq" without a NUL and returns its length.
size_t stream_id_format(char out[STREAM_ID_TEXT_BYTES], struct stream_id id);

#define STREAM_ID_RAW_BYTES 16
// The 16 big-endian bytes as which RDB files and DUMP payloads hold ids.
void stream_id_write_raw(char out[STREAM_ID_RAW_BYTES], struct stream_id id);
struct stream_id stream_id_read_raw(const char raw[STREAM_ID_RAW_BYTES]);

#endif
