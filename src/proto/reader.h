// Replies of a peer, on links that we opened (replication handshake, MIGRATE, cluster tools): one
// value at a time out of bytes cut anywhere. RESP2, parsed by hiredis; what hiredis leaves to the
// peer's good will, the sizes, has limits here.
#ifndef WHERRY_PROTO_READER_H
#define WHERRY_PROTO_READER_H

#include "base/bytes.h"
#include "base/error.h"

enum {
    READER_DEPTH = 7,                      // nested arrays; hiredis's own bound
    READER_ITEMS = 1024 * 1024,            // default: values in one reply, over all its arrays
    READER_REPLY_BYTES = 64 * 1024 * 1024, // default: wire bytes of one unfinished reply
};

enum reader_type {
    READER_STRING, // text
    READER_STATUS, // text, without '+'
    READER_ERROR,  // text, without '-'
    READER_INTEGER,
    READER_NULL,
    READER_ARRAY,
};

struct reader_value {
    enum reader_type type;
    int64_t integer;
    struct str *text;
    int count;
    struct reader_value **items; // owned
};

void reader_value_free(struct reader_value *v); // with everything in it; NULL is fine
// A status or string with exactly this text.
bool reader_value_is(const struct reader_value *v, const char *text);

enum reader_state { READER_NEED_MORE, READER_REPLY, READER_FAILED };

struct reader {
    void *hiredis; // redisReader
    size_t max_bytes, max_items;
    size_t pending_bytes, pending_items; // of the unfinished reply
    bool over_limit;
};

void reader_init(struct reader *r);
void reader_free(struct reader *r);
// Adds what arrived. Fails when the unfinished reply would pass max_bytes.
bool reader_feed(struct reader *r, struct bytes input, struct error *error)
    __attribute__((warn_unused_result));
// The next whole reply, owned by the caller. READER_FAILED is final.
enum reader_state reader_next(struct reader *r, struct reader_value **out, struct error *error)
    __attribute__((warn_unused_result));

#endif
