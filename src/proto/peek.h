// A look at requests that have arrived and are not parsed yet: where one ends, and what its first
// argument is, which of most commands is the key. It judges nothing: whoever asks uses it as a
// hint.
//
// Source: the Redis protocol specification (RESP2, "Sending commands").
#ifndef WHERRY_PROTO_PEEK_H
#define WHERRY_PROTO_PEEK_H

#include "base/bytes.h"

enum { PEEK_ARGS_MAX = 8 };

// The request in front of `input`: its bytes on the wire, and the first word behind the name (a
// view into `input`, empty when there is none). 0: it is not here whole, has more than
// PEEK_ARGS_MAX words, or is no array of bulk strings.
size_t request_peek(struct bytes input, struct bytes *first);

#endif
