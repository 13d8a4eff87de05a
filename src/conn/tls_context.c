// TLS contexts from redis.conf's directives (names and meanings: Redis 7.0, redis.conf, "TLS/SSL").
//
// A context is made whole or not at all: whoever replaces one keeps the old until the new exists.
#include <dirent.h>
#include <errno.h>
#include <openssl/decoder.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <strings.h>

#include "base/mem.h"
#include "conn/tls_internal.h"

// A certificate with its key, and the directives that name them.
struct pair {
    const char *cert, *key, *pass;
    const char *cert_directive, *key_directive, *pass_directive;
};

static bool given(const char *text)
{
    return text != NULL && text[0] != '\0';
}

// Opens for reading, or says which directive names a file that cannot be read.
static BIO *open_file(const char *path, const char *directive, struct error *error)
{
    ERR_clear_error();
    BIO *file = BIO_new_file(path, "r");
    if (file != NULL) return file;
    char reason[TLS_REASON_BYTES];
    tls_reason(reason, "cannot be opened");
    error_set(error, ERROR_CONFIG, "%s %s: %s", directive, path, reason);
    return NULL;
}

// ---- certificate and key --------------------------------------------------------------------

struct passphrase {
    const char *text; // NULL: none configured
    bool asked;
};

// Without a callback of ours OpenSSL would ask on the terminal, and wait.
static int give_passphrase(char *out, int size, int writing, void *arg)
{
    (void)writing;
    struct passphrase *p = arg;
    p->asked = true;
    size_t len = p->text != NULL ? strlen(p->text) : 0;
    if (len == 0 || len > (size_t)size) return -1;
    memcpy(out, p->text, len);
    return (int)len;
}

static EVP_PKEY *load_key(const struct pair *pair, struct error *error)
{
    BIO *file = open_file(pair->key, pair->key_directive, error);
    if (file == NULL) return NULL;
    struct passphrase pass = {given(pair->pass) ? pair->pass : NULL, false};
    EVP_PKEY *key = PEM_read_bio_PrivateKey(file, NULL, give_passphrase, &pass);
    BIO_free(file);
    char reason[TLS_REASON_BYTES];
    if (key == NULL) tls_reason(reason, "not a private key");
    if (key == NULL && pass.asked && pass.text == NULL)
        error_set(error, ERROR_CONFIG, "%s %s is encrypted: set %s", pair->key_directive, pair->key,
                  pair->pass_directive);
    else if (key == NULL && pass.asked)
        error_set(error, ERROR_CONFIG, "%s %s: %s does not open it (%s)", pair->key_directive,
                  pair->key, pair->pass_directive, reason);
    else if (key == NULL)
        error_set(error, ERROR_CONFIG, "%s %s holds no private key in PEM form: %s",
                  pair->key_directive, pair->key, reason);
    ERR_clear_error();
    return key;
}

static bool use_pair(SSL_CTX *ctx, const struct pair *pair, struct error *error)
{
    BIO *probe = open_file(pair->cert, pair->cert_directive, error);
    if (probe == NULL) return false;
    BIO_free(probe);
    char reason[TLS_REASON_BYTES];
    if (SSL_CTX_use_certificate_chain_file(ctx, pair->cert) != 1) {
        tls_reason(reason, "not a certificate");
        return error_set(error, ERROR_CONFIG, "%s %s holds no usable certificate in PEM form: %s",
                         pair->cert_directive, pair->cert, reason);
    }
    EVP_PKEY *key = load_key(pair, error);
    if (key == NULL) return false;
    bool fits = X509_check_private_key(SSL_CTX_get0_certificate(ctx), key) == 1 &&
                SSL_CTX_use_PrivateKey(ctx, key) == 1;
    EVP_PKEY_free(key);
    if (fits) return true;
    tls_reason(reason, "they differ");
    return error_set(error, ERROR_CONFIG, "%s %s is not the key of %s %s: %s", pair->key_directive,
                     pair->key, pair->cert_directive, pair->cert, reason);
}

// ---- whom we trust --------------------------------------------------------------------------

// Adds what certificates a file of the folder holds; a file that holds none is no error there.
static int add_certs_of(X509_STORE *store, const char *path)
{
    BIO *file = BIO_new_file(path, "r");
    int count = 0;
    X509 *cert;
    struct passphrase none = {NULL, false};
    while (file != NULL && (cert = PEM_read_bio_X509(file, NULL, give_passphrase, &none)) != NULL) {
        count += X509_STORE_add_cert(store, cert) == 1;
        X509_free(cert);
    }
    BIO_free(file);
    ERR_clear_error();
    return count;
}

// OpenSSL's own lookup opens a file of the folder in the middle of a handshake. Reading all of them
// now keeps the loop from it, and needs no hashed names (c_rehash).
static bool load_ca_dir(X509_STORE *store, const char *dir, struct error *error)
{
    DIR *d = opendir(dir);
    if (d == NULL)
        return error_set(error, ERROR_CONFIG, "tls-ca-cert-dir %s: %s", dir, strerror(errno));
    int count = 0;
    for (struct dirent *entry; (entry = readdir(d)) != NULL;) {
        char path[4096];
        int len = snprintf(path, sizeof(path), "%s/%s", dir, entry->d_name);
        bool file =
            entry->d_type == DT_REG || entry->d_type == DT_LNK || entry->d_type == DT_UNKNOWN;
        if (file && (size_t)len < sizeof(path)) count += add_certs_of(store, path);
    }
    closedir(d);
    if (count > 0) return true;
    return error_set(error, ERROR_CONFIG, "tls-ca-cert-dir %s holds no certificate in PEM form",
                     dir);
}

static bool load_ca(SSL_CTX *ctx, const struct tls_config *config, struct error *error)
{
    if (given(config->ca_cert_file)) {
        BIO *probe = open_file(config->ca_cert_file, "tls-ca-cert-file", error);
        if (probe == NULL) return false;
        BIO_free(probe);
        if (SSL_CTX_load_verify_file(ctx, config->ca_cert_file) != 1) {
            char reason[TLS_REASON_BYTES];
            tls_reason(reason, "not a certificate");
            return error_set(error, ERROR_CONFIG,
                             "tls-ca-cert-file %s holds no certificate in PEM form: %s",
                             config->ca_cert_file, reason);
        }
    }
    if (config->client_only && !given(config->ca_cert_file) && !given(config->ca_cert_dir))
        return SSL_CTX_set_default_verify_paths(ctx) == 1;
    if (given(config->ca_cert_dir))
        return load_ca_dir(SSL_CTX_get_cert_store(ctx), config->ca_cert_dir, error);
    return true;
}

// ---- protocols and ciphers ------------------------------------------------------------------

static const struct protocol {
    const char *name;
    int version;
    uint64_t off;
} protocols[] = {
    {"TLSv1", TLS1_VERSION, SSL_OP_NO_TLSv1},
    {"TLSv1.1", TLS1_1_VERSION, SSL_OP_NO_TLSv1_1},
    {"TLSv1.2", TLS1_2_VERSION, SSL_OP_NO_TLSv1_2},
    {"TLSv1.3", TLS1_3_VERSION, SSL_OP_NO_TLSv1_3},
};
enum { PROTOCOLS = sizeof(protocols) / sizeof(protocols[0]) };

// Words in any case, between spaces. Default: TLSv1.2 and TLSv1.3.
static bool parse_protocols(const char *text, unsigned *bits, struct error *error)
{
    *bits = 0;
    for (const char *at = text; *at != '\0';) {
        size_t len = strcspn(at, " ");
        bool known = len == 0;
        for (int i = 0; i < PROTOCOLS; i++)
            if (strlen(protocols[i].name) == len && strncasecmp(at, protocols[i].name, len) == 0) {
                *bits |= 1u << i;
                known = true;
            }
        if (!known)
            return error_set(error, ERROR_CONFIG,
                             "tls-protocols: '%.*s' is none of TLSv1 TLSv1.1 TLSv1.2 TLSv1.3",
                             len > 40 ? 40 : (int)len, at);
        at += len + (at[len] == ' ');
    }
    if (*bits == 0) *bits = 1u << 2 | 1u << 3;
    return true;
}

static bool use_protocols(SSL_CTX *ctx, const char *text, struct error *error)
{
    unsigned bits;
    if (!parse_protocols(text != NULL ? text : "", &bits, error)) return false;
    int lowest = 0, highest = 0;
    for (int i = 0; i < PROTOCOLS; i++) {
        if (!(bits & 1u << i)) {
            SSL_CTX_set_options(ctx, protocols[i].off);
            continue;
        }
        if (lowest == 0) lowest = protocols[i].version;
        highest = protocols[i].version;
    }
    // Options alone would leave the floor that the system's openssl.cnf sets.
    if (SSL_CTX_set_min_proto_version(ctx, lowest) == 1 &&
        SSL_CTX_set_max_proto_version(ctx, highest) == 1)
        return true;
    char reason[TLS_REASON_BYTES];
    tls_reason(reason, "not offered by this OpenSSL");
    return error_set(error, ERROR_CONFIG, "tls-protocols '%s': %s", text, reason);
}

static bool use_ciphers(SSL_CTX *ctx, const struct tls_config *config, struct error *error)
{
    char reason[TLS_REASON_BYTES];
    if (given(config->ciphers) && SSL_CTX_set_cipher_list(ctx, config->ciphers) != 1) {
        tls_reason(reason, "no such cipher");
        return error_set(error, ERROR_CONFIG,
                         "tls-ciphers '%.80s': %s; `openssl ciphers` checks a list",
                         config->ciphers, reason);
    }
    if (given(config->ciphersuites) && SSL_CTX_set_ciphersuites(ctx, config->ciphersuites) != 1) {
        tls_reason(reason, "no such suite");
        return error_set(error, ERROR_CONFIG,
                         "tls-ciphersuites '%.80s': %s; TLS 1.3 names, with ':' between",
                         config->ciphersuites, reason);
    }
    if (config->prefer_server_ciphers) SSL_CTX_set_options(ctx, SSL_OP_CIPHER_SERVER_PREFERENCE);
    return true;
}

// As PEM_read_bio_Parameters, which would ask on the terminal when given an encrypted key.
static EVP_PKEY *read_params(BIO *file)
{
    EVP_PKEY *params = NULL;
    struct passphrase none = {NULL, false};
    OSSL_DECODER_CTX *decoder = OSSL_DECODER_CTX_new_for_pkey(&params, "PEM", NULL, NULL,
                                                              EVP_PKEY_KEY_PARAMETERS, NULL, NULL);
    if (decoder != NULL && OSSL_DECODER_CTX_set_pem_password_cb(decoder, give_passphrase, &none))
        OSSL_DECODER_from_bio(decoder, file);
    OSSL_DECODER_CTX_free(decoder);
    return params;
}

static bool use_dh_params(SSL_CTX *ctx, const char *path, struct error *error)
{
    if (!given(path)) return SSL_CTX_set_dh_auto(ctx, 1) == 1;
    BIO *file = open_file(path, "tls-dh-params-file", error);
    if (file == NULL) return false;
    EVP_PKEY *params = read_params(file);
    BIO_free(file);
    if (params != NULL && SSL_CTX_set0_tmp_dh_pkey(ctx, params) == 1) return true; // ctx owns it
    EVP_PKEY_free(params);
    char reason[TLS_REASON_BYTES];
    tls_reason(reason, "not DH parameters");
    return error_set(error, ERROR_CONFIG, "tls-dh-params-file %s holds no usable DH parameters: %s",
                     path, reason);
}

static void use_sessions(SSL_CTX *ctx, const struct tls_config *config)
{
    // Needed by OpenSSL whenever client certificates are asked for and sessions can be resumed.
    static const unsigned char id[] = "wherry";
    SSL_CTX_set_session_id_context(ctx, id, sizeof(id) - 1);
    if (config->session_caching) {
        SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_SERVER);
        SSL_CTX_sess_set_cache_size(ctx, config->session_cache_size);
        if (config->session_cache_timeout_s > 0)
            SSL_CTX_set_timeout(ctx, config->session_cache_timeout_s);
    } else {
        SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
        SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
        SSL_CTX_set_num_tickets(ctx, 0);
    }
}

// ---- the contexts ---------------------------------------------------------------------------

// What both roles share: everything but the session cache, DH and the mode of verification.
static SSL_CTX *new_ctx(const SSL_METHOD *method, const struct tls_config *config,
                        const struct pair *pair, struct error *error)
{
    ERR_clear_error();
    SSL_CTX *ctx = SSL_CTX_new(method);
    if (ctx == NULL) {
        char reason[TLS_REASON_BYTES];
        tls_reason(reason, "no reason given");
        error_set(error, ERROR_TLS, "OpenSSL cannot make a context: %s", reason);
        return NULL;
    }
    // Compression leaks secrets (CRIME); renegotiation is a way to make us work for nothing.
    SSL_CTX_set_options(ctx, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
    // Buffers of 34 KiB a connection are given back while it is idle; see tls_engine_moved.
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
    // A message without data (a key update, a ticket) ends a call of SSL_read, which would
    // otherwise go on to the next and take as long as the peer likes: see tls_conn.c.
    SSL_CTX_clear_mode(ctx, SSL_MODE_AUTO_RETRY);
    if (use_protocols(ctx, config->protocols, error) && use_ciphers(ctx, config, error) &&
        (!given(pair->cert) || use_pair(ctx, pair, error)) && load_ca(ctx, config, error))
        return ctx;
    SSL_CTX_free(ctx);
    return NULL;
}

static bool check_config(const struct tls_config *config, struct error *error)
{
    if (!config->client_only && !given(config->cert_file))
        return error_set(error, ERROR_CONFIG,
                         "tls-cert-file is not set: a TLS port needs a certificate");
    if (given(config->cert_file) && !given(config->key_file))
        return error_set(error, ERROR_CONFIG,
                         "tls-key-file is not set: it must name the private key of tls-cert-file");
    if (given(config->client_cert_file) && !given(config->client_key_file))
        return error_set(error, ERROR_CONFIG,
                         "tls-client-key-file is not set: it must name the private key of "
                         "tls-client-cert-file");
    if (!config->client_only && config->auth_clients != TLS_AUTH_NO &&
        !given(config->ca_cert_file) && !given(config->ca_cert_dir))
        return error_set(error, ERROR_CONFIG,
                         "tls-ca-cert-file or tls-ca-cert-dir must be set while tls-auth-clients "
                         "is not 'no': clients cannot be verified without");
    return true;
}

static SSL_CTX *new_server(const struct tls_config *config, struct error *error)
{
    struct pair pair = {config->cert_file, config->key_file, config->key_file_pass,
                        "tls-cert-file",   "tls-key-file",   "tls-key-file-pass"};
    SSL_CTX *ctx = new_ctx(TLS_server_method(), config, &pair, error);
    if (ctx == NULL) return NULL;
    static const int modes[] = {
        [TLS_AUTH_NO] = SSL_VERIFY_NONE,
        [TLS_AUTH_YES] = SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT,
        [TLS_AUTH_OPTIONAL] = SSL_VERIFY_PEER,
    };
    SSL_CTX_set_verify(ctx, modes[config->auth_clients], tls_verify_note);
    use_sessions(ctx, config);
    if (use_dh_params(ctx, config->dh_params_file, error)) return ctx;
    SSL_CTX_free(ctx);
    return NULL;
}

static SSL_CTX *new_client(const struct tls_config *config, struct error *error)
{
    struct pair pair = {config->client_cert_file,     config->client_key_file,
                        config->client_key_file_pass, "tls-client-cert-file",
                        "tls-client-key-file",        "tls-client-key-file-pass"};
    if (!given(config->client_cert_file))
        pair = (struct pair){config->cert_file, config->key_file, config->key_file_pass,
                             "tls-cert-file",   "tls-key-file",   "tls-key-file-pass"};
    SSL_CTX *ctx = new_ctx(TLS_client_method(), config, &pair, error);
    if (ctx == NULL) return NULL;
    SSL_CTX_set_verify(ctx, config->insecure ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, tls_verify_note);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    return ctx;
}

// The first connection of a context costs OpenSSL half a millisecond of set-up: it is made here,
// where nobody is served meanwhile.
static void warm_up(SSL_CTX *ctx)
{
    if (ctx != NULL) SSL_free(SSL_new(ctx));
}

struct tls_context *tls_context_new(const struct tls_config *config, struct error *error)
{
    if (!check_config(config, error)) return NULL;
    struct tls_context *t = mem_new(struct tls_context);
    atomic_init(&t->refs, 1);
    t->has_ca = config->client_only || given(config->ca_cert_file) || given(config->ca_cert_dir);
    t->bio = tls_bio_method();
    if (!config->client_only) t->server = new_server(config, error);
    if (config->client_only || t->server != NULL) t->client = new_client(config, error);
    warm_up(t->server);
    warm_up(t->client);
    ERR_clear_error();
    if (t->client != NULL) return t;
    tls_context_unref(t);
    return NULL;
}

struct tls_context *tls_context_ref(struct tls_context *t)
{
    atomic_fetch_add_explicit(&t->refs, 1, memory_order_relaxed);
    return t;
}

void tls_context_unref(struct tls_context *t)
{
    if (t == NULL || atomic_fetch_sub_explicit(&t->refs, 1, memory_order_acq_rel) != 1) return;
    SSL_CTX_free(t->server);
    SSL_CTX_free(t->client);
    BIO_meth_free(t->bio);
    mem_free(t);
}
