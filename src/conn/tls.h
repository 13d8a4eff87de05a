// TLS as a layer over any conn: OpenSSL with a BIO of our own over the connection's buffers. It
// never touches a file descriptor; many records go out in one write of the layer below.
#ifndef WHERRY_CONN_TLS_H
#define WHERRY_CONN_TLS_H

#include "conn/conn.h"

// What redis.conf says about TLS (names as there). Strings are borrowed for the call.
struct tls_config {
    const char *cert_file, *key_file, *key_file_pass;
    const char *client_cert_file, *client_key_file, *client_key_file_pass; // NULL: the above
    const char *ca_cert_file, *ca_cert_dir, *dh_params_file;
    const char *protocols, *ciphers, *ciphersuites; // NULL: the library's, TLSv1.2 and up
    bool prefer_server_ciphers;
    bool session_caching;
    int session_cache_size;      // sessions
    int session_cache_timeout_s; // seconds
    enum tls_auth_clients { TLS_AUTH_NO, TLS_AUTH_YES, TLS_AUTH_OPTIONAL } auth_clients;
    // For programs that only connect: no certificate is needed, the system's authorities count when
    // no CA is given, and with `insecure` any server is taken as it is.
    bool client_only, insecure;
};

// A copy with strings of its own, for tls_config_free.
struct tls_config *tls_config_copy(const struct tls_config *from);
void tls_config_free(struct tls_config *c); // NULL is fine
bool tls_config_equal(const struct tls_config *a, const struct tls_config *b);

// Server and client contexts made from one configuration. Conns hold a reference to the one that
// they started with, so that replacing it leaves them alone. References may be taken and dropped on
// any thread.
struct tls_context;

// Reads every file and checks that key and certificate fit. NULL and *error (what, which file,
// what to do; never a passphrase) when something is wrong; whatever was in service before stays in
// service. An empty string counts as NULL. Reads files and does nothing else, so a node that runs
// calls it on a worker thread (loop_work). All CA certificates are read here, those of a folder
// too, so that a handshake never opens a file.
struct tls_context *tls_context_new(const struct tls_config *config, struct error *error);
struct tls_context *tls_context_ref(struct tls_context *t);
void tls_context_unref(struct tls_context *t); // NULL is fine

// Puts TLS over `lower`, which it owns from now on: its events are replaced. `lower` may be
// connecting or open. Returns the upper conn; `opened` follows when the handshake is done. A failed
// handshake is `closed` with ERROR_TLS and the library's reason plus the peer's certificate name.
// With TLS 1.3 a client is done before the server has judged its certificate: a refusal then comes
// as `closed` with ERROR_TLS after `opened`.
//
// sni: sent when it is a name and not an address; NULL: none. verify_name: a name or an address
// that the peer's certificate must carry; NULL: the chain alone is checked. Both are copied.
// The owner's connect deadline governs the handshake; there is no other on this side.
struct conn *tls_client(struct tls_context *t, struct conn *lower, const char *sni,
                        const char *verify_name, const struct conn_events *events, void *owner);
// Asks for a certificate as auth_clients says. A handshake that is not done `handshake_timeout_us`
// after this call (0: TLS_HANDSHAKE_US), whatever arrived meanwhile, ends in `closed` with
// ERROR_TIMEOUT.
struct conn *tls_server(struct tls_context *t, struct conn *lower, uint64_t handshake_timeout_us,
                        const struct conn_events *events, void *owner);
enum { TLS_HANDSHAKE_US = 10 * 1000 * 1000 };

// The protocol and cipher of an open conn: "TLSv1.3 TLS_AES_256_GCM_SHA384"; "" for others.
void tls_describe(const struct conn *c, char *out, size_t size);

#endif
