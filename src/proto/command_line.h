// Requests as we write them: RESP arrays of bulk strings, for handshakes, MIGRATE, propagation and
// the append-only log.
#ifndef WHERRY_PROTO_COMMAND_LINE_H
#define WHERRY_PROTO_COMMAND_LINE_H

#include "base/bytes.h"
#include "base/chunk.h"

void request_write(struct chain *out, int argc, const struct bytes *argv);
void request_write_strs(struct chain *out, int argc, struct str *const *argv);
// Words of `format` are arguments, separated by single spaces; conversions may stand anywhere in a
// word and never split it, whatever they expand to:
//   %s const char *   %b struct bytes   %d int   %I int64_t   %U uint64_t   %% a percent sign
void request_writef(struct chain *out, const char *format, ...);

// The same into a growable buffer.
void request_append(struct buf *out, int argc, const struct bytes *argv);
void request_append_strs(struct buf *out, int argc, struct str *const *argv);
void request_appendf(struct buf *out, const char *format, ...);

// In pieces, for requests that are too large to hold: the header, then every argument either whole
// or as its length, exactly that many bytes and the end.
void request_write_header(struct chain *out, int argc);
void request_write_arg(struct chain *out, struct bytes arg);
void request_write_arg_begin(struct chain *out, uint64_t len);
void request_write_arg_end(struct chain *out);

// Bytes that request_write would write.
uint64_t request_wire_bytes(int argc, const struct bytes *argv);

#endif
