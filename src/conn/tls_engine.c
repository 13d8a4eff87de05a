// OpenSSL's side of a conn: the BIO that it reads and writes, flights of the handshake on worker
// threads, and its failures in words.
//
// A handshake with client certificates costs a millisecond and more, nearly all of it in signatures
// and key exchange. So the loop computes none of it. It gathers what the peer sends, whole records,
// and gives the engine away; a worker reads and writes through the BIO, in memory; then the engine
// comes back with what is to be sent. Records after the handshake are cheap and stay on the loop.
//
// While the engine is away nothing of it is touched here but the fields that are the loop's. Its
// conn may end meanwhile, by a deadline, its owner or the wire: that needs nothing of the engine,
// which then frees itself on landing. So does one that lands while the loop is being freed.
#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "conn/tls_internal.h"

// ---- the BIO --------------------------------------------------------------------------------

static int bio_read(BIO *bio, char *out, size_t size, size_t *got)
{
    struct tls_engine *e = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    bool held = buf_len(&e->in) > 0;
    struct bytes from = held ? buf_view(&e->in) : e->fresh;
    if (held && from.len > e->ready) from.len = e->ready;
    *got = from.len < size ? from.len : size;
    if (*got == 0) {
        e->starved = true;
        BIO_set_retry_read(bio);
        return 0;
    }
    memcpy(out, from.data, *got);
    if (held) {
        buf_consume(&e->in, *got);
        e->ready -= *got;
    } else {
        e->fresh = bytes_of(e->fresh.data + *got, e->fresh.len - *got);
    }
    return 1;
}

static int bio_write(BIO *bio, const char *data, size_t len, size_t *taken)
{
    struct tls_engine *e = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    chain_append(&e->out, data, len);
    *taken = len;
    return 1;
}

static long bio_ctrl(BIO *bio, int command, long number, void *pointer)
{
    (void)bio, (void)number, (void)pointer;
    return command == BIO_CTRL_FLUSH; // written is as good as flushed
}

BIO_METHOD *tls_bio_method(void)
{
    BIO_METHOD *m = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "wherry conn");
    BIO_meth_set_read_ex(m, bio_read);
    BIO_meth_set_write_ex(m, bio_write);
    BIO_meth_set_ctrl(m, bio_ctrl);
    return m;
}

// ---- flights --------------------------------------------------------------------------------

enum { HEADER_BYTES = 5, RECORD_MAX_BYTES = 16384 + 2048 }; // RFC 5246, 6.2.3

// How much of the input a flight can use: whole records, so that a peer that drips bytes keeps no
// worker busy. What is no TLS at all is for OpenSSL to judge, at once.
static size_t whole_records(struct tls_engine *e)
{
    struct bytes in = buf_view(&e->in);
    size_t at = 0;
    while (!e->alien && in.len - at >= HEADER_BYTES) {
        const unsigned char *header = (const unsigned char *)in.data + at;
        size_t len = (size_t)header[3] << 8 | header[4];
        bool tls = header[0] >= SSL3_RT_CHANGE_CIPHER_SPEC && header[0] <= SSL3_RT_APPLICATION_DATA;
        e->alien = !tls || header[1] != SSL3_VERSION_MAJOR || len > RECORD_MAX_BYTES;
        if (e->alien || in.len - at < HEADER_BYTES + len) break;
        at += HEADER_BYTES + len;
    }
    return e->alien ? in.len : at;
}

void tls_engine_keep(struct tls_engine *e)
{
    if (e->fresh.len > 0) buf_append_bytes(&e->in, e->fresh);
    e->fresh = bytes_of(NULL, 0);
}

bool tls_engine_ready(struct tls_engine *e)
{
    if (!e->server && !e->flown) return true;
    tls_engine_keep(e);
    return whole_records(e) > 0;
}

// On a worker.
static void compute(struct work *work)
{
    struct tls_engine *e = list_entry(work, struct tls_engine, work);
    ERR_clear_error();
    int result = SSL_do_handshake(e->ssl);
    int what = result == 1 ? SSL_ERROR_NONE : SSL_get_error(e->ssl, result);
    e->outcome = what == SSL_ERROR_NONE                                        ? TLS_DONE
                 : what == SSL_ERROR_WANT_READ || what == SSL_ERROR_WANT_WRITE ? TLS_MORE
                                                                               : TLS_FAILED;
    if (e->outcome == TLS_FAILED) tls_engine_fail(e);
}

static void destroy(struct tls_engine *e)
{
    SSL_free(e->ssl);
    ERR_clear_error();
    buf_free(&e->in);
    chain_free(&e->out);
    tls_context_unref(e->context);
    mem_free(e);
}

static void land(struct work *work)
{
    struct tls_engine *e = list_entry(work, struct tls_engine, work);
    e->away = false;
    if (e->landed == NULL) {
        destroy(e);
        return;
    }
    // From now on records that are cut anywhere will do: OpenSSL keeps the pieces.
    if (e->outcome == TLS_DONE) e->ready = SIZE_MAX;
    e->landed(e->owner);
}

void tls_engine_fly(struct tls_engine *e, void (*landed)(void *owner), void *owner)
{
    tls_engine_keep(e);
    e->ready = whole_records(e);
    e->landed = landed;
    e->owner = owner;
    e->away = e->flown = true;
    e->work = (struct work){.work = compute, .done = land, .lane = WORK_TLS};
    loop_work(e->loop, &e->work);
}

struct tls_engine *tls_engine_new(struct loop *loop, struct tls_context *context, bool server)
{
    struct tls_engine *e = mem_new(struct tls_engine);
    e->loop = loop;
    e->server = server;
    e->context = tls_context_ref(context);
    chain_init(&e->out);
    ERR_clear_error();
    e->ssl = SSL_new(server ? context->server : context->client);
    BIO *bio = BIO_new(context->bio);
    if (e->ssl == NULL || bio == NULL) abort(); // out of memory, as mem_alloc
    BIO_set_data(bio, e);
    BIO_set_init(bio, 1);
    SSL_set_bio(e->ssl, bio, bio);
    SSL_set_app_data(e->ssl, e);
    if (server)
        SSL_set_accept_state(e->ssl);
    else
        SSL_set_connect_state(e->ssl);
    return e;
}

void tls_engine_free(struct tls_engine *e)
{
    if (e->away && !loop_work_cancel(e->loop, &e->work))
        e->landed = NULL;
    else
        destroy(e);
}

// ---- names ----------------------------------------------------------------------------------

static bool is_address(const char *host)
{
    struct in6_addr address;
    return inet_pton(AF_INET, host, &address) == 1 || inet_pton(AF_INET6, host, &address) == 1;
}

bool tls_engine_expect(struct tls_engine *e, const char *sni, const char *name)
{
    if (sni != NULL && sni[0] != '\0' && !is_address(sni)) SSL_set_tlsext_host_name(e->ssl, sni);
    if (name == NULL || name[0] == '\0') return true;
    snprintf(e->expected_name, sizeof(e->expected_name), "%s", name);
    X509_VERIFY_PARAM *param = SSL_get0_param(e->ssl);
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return is_address(name) ? X509_VERIFY_PARAM_set1_ip_asc(param, name) == 1
                            : X509_VERIFY_PARAM_set1_host(param, name, 0) == 1;
}

bool tls_engine_peer_name(const struct tls_engine *e, char *out, size_t size)
{
    X509 *cert = SSL_get0_peer_certificate(e->ssl);
    if (cert == NULL || SSL_get_verify_result(e->ssl) != X509_V_OK) return false;
    X509_NAME *subject = X509_get_subject_name(cert);
    int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
    if (at < 0) return false;
    unsigned char *text = NULL;
    int len =
        ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
    // A name with a NUL inside would be taken for its beginning.
    bool fits = len > 0 && (size_t)len < size && memchr(text, '\0', (size_t)len) == NULL;
    if (fits) {
        memcpy(out, text, (size_t)len);
        out[len] = '\0';
    }
    OPENSSL_free(text);
    ERR_clear_error();
    return fits;
}

// ---- why it failed --------------------------------------------------------------------------

int tls_verify_note(int ok, X509_STORE_CTX *store)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct tls_engine *e = ssl != NULL ? SSL_get_app_data(ssl) : NULL;
    if (!ok && e != NULL) {
        e->verify_error = X509_STORE_CTX_get_error(store);
        e->verify_depth = X509_STORE_CTX_get_error_depth(store);
        tls_subject(X509_STORE_CTX_get0_cert(store), e->verify_subject);
    }
    return ok;
}

static void explain_verify(struct tls_engine *e)
{
    const char *todo = tls_verify_advice(e->verify_error, e->context->has_ca);
    char where[TLS_NAME_BYTES + 16] = "";
    if (e->verify_error == X509_V_ERR_HOSTNAME_MISMATCH ||
        e->verify_error == X509_V_ERR_IP_ADDRESS_MISMATCH)
        snprintf(where, sizeof(where), " with '%s'", e->expected_name);
    else if (e->verify_depth > 0) // not the peer's own, but an authority's above it
        snprintf(where, sizeof(where), " at depth %d", e->verify_depth);
    error_set(&e->why, ERROR_TLS, "certificate \"%s\" refused: %s%s%s%s%s", e->verify_subject,
              X509_verify_cert_error_string(e->verify_error), where, todo[0] ? " (" : "", todo,
              todo[0] ? ")" : "");
}

// Given back and made again for each record, the buffers are new memory time and again while data
// grow, and first use of a page is what takes longest. Others have them only while they need them:
// a client that stays for days moves much in all, and most of the time nothing.
void tls_engine_moved(struct tls_engine *e, size_t len)
{
    enum { BULK_BYTES = 1024 * 1024, SECOND_US = 1000000 };
    uint64_t second = loop_now_us(e->loop) / SECOND_US;
    if (second != e->moved_second) {
        if (e->moved < BULK_BYTES) SSL_set_mode(e->ssl, SSL_MODE_RELEASE_BUFFERS);
        e->moved_second = second;
        e->moved = 0;
    }
    e->moved += len;
    if (e->moved >= BULK_BYTES) SSL_clear_mode(e->ssl, SSL_MODE_RELEASE_BUFFERS);
}

// Takes the reason from OpenSSL's queue. The first failure is the one that counts.
void tls_engine_fail(struct tls_engine *e)
{
    if (!error_is(&e->why)) {
        unsigned long code = ERR_peek_error();
        bool verify = ERR_GET_LIB(code) == ERR_LIB_SSL &&
                      ERR_GET_REASON(code) == SSL_R_CERTIFICATE_VERIFY_FAILED;
        if (verify && e->verify_error != X509_V_OK) {
            explain_verify(e);
        } else {
            char text[ERROR_TEXT_BYTES];
            tls_reason_and_advice(text, e->server);
            error_set(&e->why, ERROR_TLS, "%.*s", ERROR_TEXT_BYTES - 1, text);
        }
    }
    ERR_clear_error();
}
