// Requests as they arrive: RESP arrays of bulk strings and inline lines, cut anywhere. Bytes go in,
// one request at a time comes out, and nothing is scanned twice: a bulk string is copied straight
// into the heap string that the command will get.
//
// Memory: a string holds at most twice what arrived of it plus REQUEST_SLACK_BYTES, whatever
// length was announced; the array of arguments grows in the same way.
//
// Source: the Redis protocol specification (RESP2, "Sending commands"); limits and error texts as
// Redis 7.0 answers them.
#ifndef WHERRY_PROTO_REQUEST_H
#define WHERRY_PROTO_REQUEST_H

#include "base/bytes.h"
#include "base/error.h"

enum {
    REQUEST_SLACK_BYTES = 64 * 1024,
    REQUEST_INLINE_BYTES = 64 * 1024,     // longest inline line, and longest "*n" or "$n" line
    REQUEST_UNAUTH_ARGS = 10,             // most arguments before authentication
    REQUEST_UNAUTH_BULK_BYTES = 16384,    // longest bulk before authentication
    REQUEST_STREAM_MIN_BYTES = 64 * 1024, // default of stream_min_bytes
};

// One per node, shared by its clients through a pointer, so that CONFIG SET acts at once.
struct request_limits {
    int64_t args;            // most arguments of one request: INT_MAX
    uint64_t bulk_bytes;     // proto-max-bulk-len: 512 MiB
    uint64_t streamed_bytes; // proto-max-restore-len: of a bulk that is streamed, where it is more
    uint64_t query_bytes; // client-query-buffer-limit: 1 GiB; what one unfinished request may hold
    bool open;            // nobody needs to authenticate: the REQUEST_UNAUTH_* limits don't hold
};
void request_limits_default(struct request_limits *limits);

struct request {
    int argc;
    struct str **argv; // NULL slots were stolen. Owned by the request
    int expected;      // arguments announced; argc reaches it when the request is ready
    int stream_index;  // the argument that was streamed: its slot holds an empty string; or -1
    // Bytes that this request took on the wire, with stray empty lines and empty arrays before it.
    // Summed over ready requests this is the replication offset.
    uint64_t wire_bytes;
    size_t held_bytes; // in arguments, not counting what was streamed
};

#define REQUEST_EMPTY ((struct request){.stream_index = -1})

// Frees the arguments that nobody took, and leaves it REQUEST_EMPTY.
void request_clear(struct request *r);

enum request_state {
    REQUEST_NEED_MORE, // all input was taken
    REQUEST_READY,     // p->request is whole; it stays until the next request_parse
    REQUEST_STREAM,    // p->stream holds the next piece of a streamed argument
    // Nothing more can be parsed. ERROR_PROTOCOL: the text is Redis's ("Protocol error: ..."), to
    // be answered with -ERR before closing. ERROR_LIMIT: close without an answer, as Redis does.
    REQUEST_ERROR,
};

// A piece of a streamed argument. A view into the input that was given: valid as long as that.
struct request_stream {
    struct bytes chunk;   // may be empty only for a streamed argument of length 0
    bool first, last;     // both when it came in one piece
    int index;            // of the argument
    uint64_t offset, len; // of this piece, and of the whole argument
};

struct request_parser {
    // ---- set by the owner, may be changed between calls
    const struct request_limits *limits; // NULL: request_limits_default
    bool authenticated; // false: the REQUEST_UNAUTH_* limits hold, unless limits->open
    bool primary;       // the stream of a primary: no limit on lengths, no inline commands
    // Asked when a bulk of at least stream_min_bytes was announced: true streams it instead of
    // storing it. so_far holds the arguments before it. NULL: never. At most one per request.
    bool (*want_stream)(void *owner, const struct request *so_far, int index, uint64_t len);
    uint64_t stream_min_bytes;
    void *owner;

    // ---- for the owner to read
    struct request request;       // with REQUEST_READY; in want_stream it is so_far
    struct request_stream stream; // with REQUEST_STREAM
    uint64_t empty_lines; // bare newlines so far: a replica says "still here" so while it loads

    // ---- the parser's own
    uint8_t step;
    bool streaming; // in the middle of a streamed argument (readable: a close now cuts it short)
    int argv_cap;
    struct buf line;      // the beginning of a line whose end has not arrived
    uint64_t bulk_len;    // announced
    uint64_t bulk_left;   // not yet arrived
    struct str *bulk;     // being filled
    struct str *bulk_old; // what bulk grew out of; its first bytes are moved over bit by bit
    size_t moved;         // bytes of bulk_old that are in bulk already
    struct error failed;  // once set, every further call returns it
};

void request_parser_init(struct request_parser *p);
void request_parser_free(struct request_parser *p);
// Parses from the front of `input` and cuts off what it took. Call again, also with the rest of
// the same input, until it says REQUEST_NEED_MORE. `error` may be NULL.
enum request_state request_parse(struct request_parser *p, struct bytes *input, struct error *error)
    __attribute__((warn_unused_result));
// Takes the ready request out of the parser; the caller clears it.
struct request request_take(struct request_parser *p);
// True between requests: nothing of the next one has arrived.
bool request_parser_idle(const struct request_parser *p);
// Bytes held for the unfinished request: arguments, buffers, array.
size_t request_parser_memory(const struct request_parser *p);

#endif
