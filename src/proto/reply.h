// Replies to clients, written into a chain in RESP2 or RESP3, whichever the client speaks. Every
// type has one function, which picks the form; a command never asks for the protocol version,
// except for attributes.
//
// Source: the RESP2 and RESP3 specifications; forms of each type in each version as Redis 7.0.
#ifndef WHERRY_PROTO_REPLY_H
#define WHERRY_PROTO_REPLY_H

#include "base/bytes.h"
#include "base/chunk.h"

enum { REPLY_ERROR_CODE_BYTES = 32 };

struct reply {
    struct chain *out; // NULL: nothing is written (CLIENT REPLY OFF, a primary's link)
    int resp;          // 2 or 3
    // Errors written, also while out is NULL; and the code of the last ("ERR", "WRONGTYPE").
    uint64_t errors;
    char error_code[REPLY_ERROR_CODE_BYTES];
    // Optional: called for every error (INFO errorstats, LATENCY). text is without '-' and CRLF.
    void (*on_error)(void *owner, const char *code, struct bytes text);
    void *owner;
};

static inline struct reply reply_to(struct chain *out, int resp)
{
    return (struct reply){.out = out, .resp = resp};
}

void reply_status(struct reply *r, const char *text); // "+OK": reply_status(r, "OK")
void reply_ok(struct reply *r);
// "-ERR text", or "-CODE text" when `text` starts with '-'. Newlines become spaces.
void reply_error(struct reply *r, const char *text);
void reply_error_bytes(struct reply *r, struct bytes text);
void reply_errorf(struct reply *r, const char *format, ...) __attribute__((format(printf, 2, 3)));

void reply_integer(struct reply *r, int64_t number);
void reply_bool(struct reply *r, bool yes); // RESP2: 1 or 0

void reply_bulk(struct reply *r, struct bytes data);
void reply_bulk_cstr(struct reply *r, const char *text); // NULL: reply_null
void reply_bulk_integer(struct reply *r, int64_t number);
void reply_bulkf(struct reply *r, const char *format, ...) __attribute__((format(printf, 2, 3)));
// Shares a range of a chunk instead of copying it; takes a reference of its own.
void reply_bulk_chunk(struct reply *r, struct chunk *chunk, uint32_t start, uint32_t len);
// Moves a whole chain out as one bulk; `body` is left empty (also when nothing is written).
void reply_bulk_chain(struct reply *r, struct chain *body);

void reply_null(struct reply *r);       // RESP2: "$-1"
void reply_null_array(struct reply *r); // RESP2: "*-1"
void reply_double(struct reply *r, double number);
void reply_long_double(struct reply *r, long double number);
void reply_bignum(struct reply *r, struct bytes digits);
// `format` is three letters, "txt" or "mkd". RESP2: a bulk without it.
void reply_verbatim(struct reply *r, const char format[4], struct bytes text);

// Headers; the caller then writes so many elements, two per pair. RESP2: a map is an array of
// twice the length, a set and a push are arrays.
void reply_array(struct reply *r, size_t count);
void reply_map(struct reply *r, size_t pairs);
void reply_set(struct reply *r, size_t count);
void reply_push(struct reply *r, size_t count);
// False in RESP2, which has no attributes: then write none of the pairs.
bool reply_attribute(struct reply *r, size_t pairs) __attribute__((warn_unused_result));
void reply_empty_array(struct reply *r);

// Bytes that are RESP already.
void reply_raw(struct reply *r, struct bytes resp);
void reply_raw_chain(struct reply *r, struct chain *resp); // left empty

// An aggregate whose length is known only at its end. Between begin and end everything written
// goes to a chain aside, so `d` and what comes between nest like parentheses. Each begin needs
// exactly one end, of whichever kind the aggregate turned out to be, or one drop.
struct reply_deferred {
    struct chain body;
    struct chain *outer;
};
void reply_begin(struct reply *r, struct reply_deferred *d);
void reply_end_array(struct reply *r, struct reply_deferred *d, size_t count);
void reply_end_map(struct reply *r, struct reply_deferred *d, size_t pairs);
void reply_end_set(struct reply *r, struct reply_deferred *d, size_t count);
void reply_end_push(struct reply *r, struct reply_deferred *d, size_t count);
// Forgets what was written since begin, so that an error can be answered instead.
void reply_drop(struct reply *r, struct reply_deferred *d);

#endif
