// OpenSSL's reasons as sentences for a person: what happened, and which directive to look at.
#include <openssl/err.h>
#include <openssl/sslerr.h>
#include <openssl/x509v3.h>
#include <stdio.h>

#include "conn/tls_internal.h"

static void error_words(char out[TLS_REASON_BYTES], unsigned long code)
{
    // A system error has no entry in the library's tables.
    const char *words = ERR_SYSTEM_ERROR(code) ? NULL : ERR_reason_error_string(code);
    if (words != NULL)
        snprintf(out, TLS_REASON_BYTES, "%s", words);
    else if (ERR_SYSTEM_ERROR(code))
        snprintf(out, TLS_REASON_BYTES, "%s", strerror(ERR_GET_REASON(code)));
    else
        ERR_error_string_n(code, out, TLS_REASON_BYTES);
}

void tls_reason(char out[TLS_REASON_BYTES], const char *fallback)
{
    unsigned long code = ERR_get_error();
    ERR_clear_error();
    if (code == 0)
        snprintf(out, TLS_REASON_BYTES, "%s", fallback);
    else
        error_words(out, code);
}

struct advice {
    int reason;
    const char *server, *client; // what to do, by which side we are
};

static const char not_tls[] = "the peer does not speak TLS on this port";
static const char refused[] = "the peer refused our certificate";

static const struct advice advices[] = {
    {SSL_R_WRONG_VERSION_NUMBER, not_tls, not_tls},
    {SSL_R_HTTP_REQUEST, not_tls, not_tls},
    {SSL_R_HTTPS_PROXY_REQUEST, not_tls, not_tls},
    {SSL_R_PACKET_LENGTH_TOO_LONG, not_tls, not_tls},
    {SSL_R_BAD_PACKET_LENGTH, not_tls, not_tls},
    {SSL_R_UNEXPECTED_MESSAGE, "the peer does not follow the protocol", not_tls},
    {SSL_R_UNSUPPORTED_PROTOCOL, "see tls-protocols on both sides", "see tls-protocols"},
    {SSL_R_TLSV1_ALERT_PROTOCOL_VERSION, "see tls-protocols on both sides", "see tls-protocols"},
    {SSL_R_NO_SHARED_CIPHER, "see tls-ciphers and tls-ciphersuites on both sides",
     "see tls-ciphers"},
    {SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE, "no cipher or certificate that both accept",
     "no cipher that both accept, or the peer wants a certificate: see tls-client-cert-file"},
    {SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE, "tls-auth-clients is yes and the client sent none",
     "the server sent no certificate"},
    {SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED, refused,
     "the peer wants a client certificate: see tls-client-cert-file"},
    {SSL_R_TLSV1_ALERT_UNKNOWN_CA, "the client does not know the authority behind tls-cert-file",
     "the peer does not know the authority behind our certificate"},
    {SSL_R_SSLV3_ALERT_BAD_CERTIFICATE, refused, refused},
    {SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED, "tls-cert-file has expired",
     "our client certificate has expired"},
    {SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED, refused, refused},
    {SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN, refused, refused},
    {SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE, refused,
     "our certificate is not fit for a client: see tls-client-cert-file"},
};

void tls_reason_and_advice(char out[ERROR_TEXT_BYTES], bool server)
{
    unsigned long code = ERR_get_error();
    ERR_clear_error();
    if (code == 0) {
        snprintf(out, ERROR_TEXT_BYTES, "the TLS library gave no reason");
        return;
    }
    char words[TLS_REASON_BYTES];
    error_words(words, code);
    const char *todo = NULL;
    for (size_t i = 0; i < sizeof(advices) / sizeof(advices[0]); i++)
        if (ERR_GET_LIB(code) == ERR_LIB_SSL && ERR_GET_REASON(code) == advices[i].reason)
            todo = server ? advices[i].server : advices[i].client;
    snprintf(out, ERROR_TEXT_BYTES, "%s%s%s%s", words, todo ? " (" : "", todo ? todo : "",
             todo ? ")" : "");
}

void tls_subject(X509 *cert, char out[TLS_NAME_BYTES])
{
    out[0] = '\0';
    BIO *memory = cert != NULL ? BIO_new(BIO_s_mem()) : NULL;
    if (memory == NULL) return;
    // RFC 2253 escapes control characters, so a hostile subject cannot forge log lines.
    X509_NAME_print_ex(memory, X509_get_subject_name(cert), 0,
                       XN_FLAG_RFC2253 & ~(unsigned long)ASN1_STRFLGS_ESC_MSB);
    int len = BIO_read(memory, out, TLS_NAME_BYTES - 1);
    out[len > 0 ? len : 0] = '\0';
    BIO_free(memory);
}

const char *tls_verify_advice(int code, bool has_ca)
{
    switch (code) {
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
        return has_ca ? "its authority is not in tls-ca-cert-file or tls-ca-cert-dir"
                      : "neither tls-ca-cert-file nor tls-ca-cert-dir is set";
    case X509_V_ERR_CERT_HAS_EXPIRED:
        return "renew it, or check this machine's clock";
    case X509_V_ERR_CERT_NOT_YET_VALID:
        return "check the clocks of both machines";
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        return "see tls-verify-peer-name";
    case X509_V_ERR_INVALID_PURPOSE:
        return "the certificate is made for the other role: see tls-client-cert-file";
    default:
        return "";
    }
}
