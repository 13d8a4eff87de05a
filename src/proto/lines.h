// Lines of a replication handshake: a peer's short answers, one by one, with every byte after the
// line left where it is, because an RDB or a stream may follow directly.
//
// Source: replication handshake as Redis 7.0 speaks it (PSYNC, REPLCONF, the payload header).
#ifndef WHERRY_PROTO_LINES_H
#define WHERRY_PROTO_LINES_H

#include "base/bytes.h"
#include "base/error.h"

enum { LINE_MAX_BYTES = 64 * 1024, LINE_REPLID_BYTES = 40, LINE_EOF_MARK_BYTES = 40 };

struct line_reader {
    struct buf partial;
    size_t max_bytes; // LINE_MAX_BYTES unless changed
    bool given;       // partial holds the line that was handed out last
};

enum line_state { LINE_NEED_MORE, LINE_READY, LINE_ERROR };

void line_reader_init(struct line_reader *l);
void line_reader_free(struct line_reader *l);
// Takes one line from the front of `input`, ended by LF or CRLF, neither of which is in `line`. A
// bare newline (keepalive) gives an empty line. The view is valid until the next call and as long
// as `input`'s memory is.
enum line_state line_read(struct line_reader *l, struct bytes *input, struct bytes *line,
                          struct error *error) __attribute__((warn_unused_result));

// Answers to PSYNC.
enum psync_answer {
    PSYNC_FULLRESYNC, // "+FULLRESYNC <replid> <offset>"
    PSYNC_CONTINUE,   // "+CONTINUE" or "+CONTINUE <replid>"
    PSYNC_NOT_NOW,    // "-NOMASTERLINK ...", "-LOADING ...": try again later
    PSYNC_REFUSED,    // any other error: the peer does not know PSYNC
    PSYNC_NONSENSE,   // none of these
};
struct psync_reply {
    enum psync_answer answer;
    char replid[LINE_REPLID_BYTES + 1]; // empty when a CONTINUE names none
    int64_t offset;                     // of a FULLRESYNC
};
void line_parse_psync(struct bytes line, struct psync_reply *out);

// The header of a snapshot on the wire: "$<bytes>", or "$EOF:<mark>" when the length is not known
// and the payload ends with the mark again.
struct payload_header {
    bool until_mark;
    uint64_t len;
    char mark[LINE_EOF_MARK_BYTES];
};
bool line_parse_payload(struct bytes line, struct payload_header *out, struct error *error)
    __attribute__((warn_unused_result));

#endif
