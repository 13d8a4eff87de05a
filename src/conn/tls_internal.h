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

// ---- the connection --------------------------------------------------------------------------

struct tls_conn {
    struct conn base;
    struct conn *lower;
    struct tls_context *context;
    SSL *ssl;
    struct machine machine;
    struct task task; // does what must not happen inside a call of the owner
    uint64_t handshake_us;
    bool server;
    bool heard;       // the peer has sent something
    bool flush_lower; // how CLOSING closes lower
    bool notified;    // close_notify has been written
    struct error why; // why it ends; class 0: not known yet

    struct buf in;      // ciphertext that OpenSSL has not read; bounded by one read of lower's...
    struct bytes fresh; // ...and what is being delivered now, after `in`
    struct chain plain; // written by the owner, not encrypted yet
    struct chain out;   // records of this dispatch

    // What lower has of our output. Its drained events count ciphertext, ours count plain bytes; we
    // assume that plain bytes are spread evenly over it, which is exact when all of it is taken.
    size_t below_plain;

    // The certificate that failed verification.
    int verify_error, verify_depth;
    char verify_subject[TLS_NAME_BYTES];
    char expected_name[TLS_NAME_BYTES];
};

// ---- tls_engine.c ---------------------------------------------------------------------------

// A BIO whose data is the struct tls_conn: reads `in` and `fresh`, writes `out`. Freed by the
// context.
BIO_METHOD *tls_bio_method(void);
// The verify callback: notes which certificate failed and why; decides nothing.
int tls_verify_note(int ok, X509_STORE_CTX *store);
// OpenSSL gave up: puts its reason into t->why, unless there is one, and empties its queue.
void tls_fail(struct tls_conn *t);

extern const struct machine_type tls_machine; // for the drawings

#endif
