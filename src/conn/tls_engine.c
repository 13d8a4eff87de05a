// Where OpenSSL meets a conn: the BIO that it reads and writes, and its failures in words.
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>

#include "conn/tls_internal.h"

// ---- the BIO --------------------------------------------------------------------------------

static int bio_read(BIO *bio, char *out, size_t size, size_t *got)
{
    struct tls_conn *t = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    struct bytes from = buf_len(&t->in) > 0 ? buf_view(&t->in) : t->fresh;
    *got = from.len < size ? from.len : size;
    if (*got == 0) {
        BIO_set_retry_read(bio);
        return 0;
    }
    memcpy(out, from.data, *got);
    if (buf_len(&t->in) > 0)
        buf_consume(&t->in, *got);
    else
        t->fresh = bytes_of(t->fresh.data + *got, t->fresh.len - *got);
    return 1;
}

static int bio_write(BIO *bio, const char *data, size_t len, size_t *taken)
{
    struct tls_conn *t = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    chain_append(&t->out, data, len);
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

// ---- why it failed --------------------------------------------------------------------------

int tls_verify_note(int ok, X509_STORE_CTX *store)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct tls_conn *t = ssl != NULL ? SSL_get_app_data(ssl) : NULL;
    if (!ok && t != NULL) {
        t->verify_error = X509_STORE_CTX_get_error(store);
        t->verify_depth = X509_STORE_CTX_get_error_depth(store);
        tls_subject(X509_STORE_CTX_get0_cert(store), t->verify_subject);
    }
    return ok;
}

static void explain_verify(struct tls_conn *t)
{
    const char *todo = tls_verify_advice(t->verify_error, t->context->has_ca);
    char where[TLS_NAME_BYTES + 16] = "";
    if (t->verify_error == X509_V_ERR_HOSTNAME_MISMATCH ||
        t->verify_error == X509_V_ERR_IP_ADDRESS_MISMATCH)
        snprintf(where, sizeof(where), " with '%s'", t->expected_name);
    else if (t->verify_depth > 0) // not the peer's own, but an authority's above it
        snprintf(where, sizeof(where), " at depth %d", t->verify_depth);
    error_set(&t->why, ERROR_TLS, "certificate \"%s\" refused: %s%s%s%s%s", t->verify_subject,
              X509_verify_cert_error_string(t->verify_error), where, todo[0] ? " (" : "", todo,
              todo[0] ? ")" : "");
}

// Takes the reason from OpenSSL's queue. The first failure is the one that counts.
void tls_fail(struct tls_conn *t)
{
    t->flush_lower = true; // an alert may be on its way
    if (!error_is(&t->why)) {
        unsigned long code = ERR_peek_error();
        bool verify = ERR_GET_LIB(code) == ERR_LIB_SSL &&
                      ERR_GET_REASON(code) == SSL_R_CERTIFICATE_VERIFY_FAILED;
        if (verify && t->verify_error != X509_V_OK) {
            explain_verify(t);
        } else {
            char text[ERROR_TEXT_BYTES];
            tls_reason_and_advice(text, t->server);
            error_set(&t->why, ERROR_TLS, "%.*s", ERROR_TEXT_BYTES - 1, text);
        }
    }
    ERR_clear_error();
}
