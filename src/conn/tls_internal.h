// What the files of the TLS layer share with each other and with nobody else.
#ifndef WHERRY_CONN_TLS_INTERNAL_H
#define WHERRY_CONN_TLS_INTERNAL_H

#include <openssl/bio.h>
#include <openssl/ssl.h>
#include <stdatomic.h>

#include "conn/tls.h"
#include "loop/machine.h"

struct tls_context {
    atomic_uint refs; // a node's contexts are used from several loops
    SSL_CTX *server, *client;
    BIO_METHOD *bio; // over the buffers of a conn: tls_bio_method
    bool has_ca;
};

// ---- tls_error.c ----------------------------------------------------------------------------

enum { TLS_REASON_BYTES = 128, TLS_NAME_BYTES = 96 };

// The oldest entry of this thread's OpenSSL error queue in words, which is the one nearest to the
// cause; empties the queue. `fallback` when there is none.
void tls_reason(char out[TLS_REASON_BYTES], const char *fallback);
// The same, with what to do about it where that is known: for handshakes and records.
void tls_reason_and_advice(char out[ERROR_TEXT_BYTES], bool server);
// A certificate's subject on one line, control characters escaped, cut to the size.
void tls_subject(X509 *cert, char out[TLS_NAME_BYTES]);
// What X509_V_ERR_... means here and what to do; "" when the library's own words must do.
const char *tls_verify_advice(int code, bool has_ca);

// ---- tls_engine.c ---------------------------------------------------------------------------

enum tls_outcome {
    TLS_MORE,   // the peer's turn
    TLS_DONE,   // the handshake is over
    TLS_FAILED, // engine->why says why; an alert may be in `out`
};

// OpenSSL's side of one conn, with the bytes that it reads and writes. One thread has it at a time:
// the loop, or during a flight a worker. Allocated by itself, because a flight may outlast its
// conn.
struct tls_engine {
    SSL *ssl;
    struct tls_context *context; // a reference: certificates may be replaced meanwhile
    bool server;
    struct error why; // OpenSSL's first failure; class 0: none

    struct buf in;      // ciphertext that OpenSSL has not read; bounded by one read of lower's...
    struct bytes fresh; // ...and what is being delivered now, after `in`
    size_t ready;       // in a flight: so much of `in` may be read, whole records
    bool alien;         // what came is no TLS record
    bool starved;       // OpenSSL asked for more than there is
    struct chain out;   // records to be sent

    uint64_t moved, moved_second; // plain bytes, either way, in this second of the loop's clock

    // The certificate that failed verification.
    int verify_error, verify_depth;
    char verify_subject[TLS_NAME_BYTES];
    char expected_name[TLS_NAME_BYTES];

    struct work work;
    enum tls_outcome outcome;
    // The loop's alone, even while the rest is away.
    struct loop *loop;
    bool away; // a worker has it, or will; nothing above may be touched
    bool flown;
    void (*landed)(void *owner); // NULL: nobody waits for it, and it frees itself
    void *owner;
};

struct tls_engine *tls_engine_new(struct loop *loop, struct tls_context *context, bool server);
// What a client sends as SNI, and the name or address that it wants in the peer's certificate; each
// may be NULL. False: `name` is neither.
bool tls_engine_expect(struct tls_engine *e, const char *sni, const char *name);
// The common name in the peer's certificate, if that was verified; false otherwise.
bool tls_engine_peer_name(const struct tls_engine *e, char *out, size_t size);
// At any time. A flight that waits for its turn is taken back; one that a worker computes lands
// unheard.
void tls_engine_free(struct tls_engine *e);
// Something for a flight to compute: a client's beginning, or a whole record of the peer's.
bool tls_engine_ready(struct tls_engine *e);
// The event that brought `fresh` is over: what is left of it is kept.
void tls_engine_keep(struct tls_engine *e);
// One flight of the handshake on a worker thread: what came in, what goes out. Then `landed`, on
// the loop. Not more than LOOP_LANE_WIDTH flights of a loop are computed at once, in order.
void tls_engine_fly(struct tls_engine *e, void (*landed)(void *owner), void *owner);
// A record of so many plain bytes was read or written. Who moves much keeps OpenSSL's buffers,
// until a record of a second that stays below.
void tls_engine_moved(struct tls_engine *e, size_t len);
// OpenSSL gave up on this thread: puts its reason into e->why, unless there is one, and empties its
// queue.
void tls_engine_fail(struct tls_engine *e);

// A BIO whose data is the engine: reads `in` and `fresh`, writes `out`. Freed by the context.
BIO_METHOD *tls_bio_method(void);
// The verify callback: notes which certificate failed and why; decides nothing.
int tls_verify_note(int ok, X509_STORE_CTX *store);

// ---- the connection --------------------------------------------------------------------------

struct tls_conn {
    struct conn base;
    struct conn *lower;
    struct tls_engine *engine;
    struct machine machine;
    struct task task; // does what must not happen inside a call of the owner
    uint64_t handshake_us;
    bool heard;             // the peer has sent something
    bool behind;            // records wait to be read, without any fault of the owner's
    bool flush_lower;       // how CLOSING closes lower
    bool lower_over;        // lower has sent `closed`: nothing is asked of it any more
    bool notified;          // close_notify has been written
    uint32_t idle_messages; // the peer's, since its last byte of data
    struct error why;       // why it ends; class 0: not known yet
    struct chain plain;     // written by the owner, not encrypted yet

    // What lower has of our output. Its drained events count ciphertext, ours count plain bytes; we
    // assume that plain bytes are spread evenly over it, which is exact when all of it is taken.
    size_t below_plain;
};

extern const struct machine_type tls_machine; // for the drawings

#endif
