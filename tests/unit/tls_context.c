// TLS contexts from directives: what is accepted, and what the refusals say.
#include "conn/tls.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static void make_certs(void)
{
    cr_assert_eq(system("tools/gen-test-certs.sh"), 0);
}

#define T "tests/tls/"

static struct tls_config good(void)
{
    return (struct tls_config){
        .cert_file = T "server.crt",
        .key_file = T "server.key",
        .client_cert_file = T "client.crt",
        .client_key_file = T "client.key",
        .ca_cert_file = T "ca.crt",
        .dh_params_file = T "wherry.dh",
        .session_caching = true,
        .session_cache_size = 20480,
        .session_cache_timeout_s = 300,
        .auth_clients = TLS_AUTH_YES,
    };
}

static void accept(struct tls_config config)
{
    struct error error = ERROR_OK;
    struct tls_context *t = tls_context_new(&config, &error);
    cr_assert_not_null(t, "%s", error.text);
    cr_assert(!error_is(&error));
    tls_context_unref(t);
}

// Refused, with every one of these words in the text.
static void refuse(struct tls_config config, const char *a, const char *b, const char *c)
{
    struct error error = ERROR_OK;
    cr_assert_null(tls_context_new(&config, &error));
    cr_assert_eq(error.class, ERROR_CONFIG);
    cr_assert_not_null(strstr(error.text, a), "'%s' not in: %s", a, error.text);
    cr_assert_not_null(strstr(error.text, b), "'%s' not in: %s", b, error.text);
    cr_assert_not_null(strstr(error.text, c), "'%s' not in: %s", c, error.text);
}

TestSuite(tls_context, .init = make_certs);

Test(tls_context, a_whole_configuration_is_accepted)
{
    accept(good());
}

Test(tls_context, references_are_counted)
{
    struct tls_config config = good();
    struct tls_context *t = tls_context_new(&config, NULL);
    cr_assert_eq(tls_context_ref(t), t);
    tls_context_unref(t);
    tls_context_unref(t); // the sanitizer sees a leak or a use after free
    tls_context_unref(NULL);
}

Test(tls_context, empty_strings_are_as_good_as_none)
{
    struct tls_config config = good();
    config.client_cert_file = config.client_key_file = config.dh_params_file = "";
    config.key_file_pass = config.protocols = config.ciphers = config.ciphersuites = "";
    config.ca_cert_dir = "";
    accept(config);
    config.cert_file = "";
    refuse(config, "tls-cert-file", "not set", "certificate");
}

Test(tls_context, every_file_that_is_missing_is_named)
{
    struct {
        size_t at;
        const char *directive;
    } files[] = {
        {offsetof(struct tls_config, cert_file), "tls-cert-file"},
        {offsetof(struct tls_config, key_file), "tls-key-file"},
        {offsetof(struct tls_config, client_cert_file), "tls-client-cert-file"},
        {offsetof(struct tls_config, client_key_file), "tls-client-key-file"},
        {offsetof(struct tls_config, ca_cert_file), "tls-ca-cert-file"},
        {offsetof(struct tls_config, ca_cert_dir), "tls-ca-cert-dir"},
        {offsetof(struct tls_config, dh_params_file), "tls-dh-params-file"},
    };
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        struct tls_config config = good();
        *(const char **)((char *)&config + files[i].at) = "/nowhere/x.pem";
        refuse(config, files[i].directive, "/nowhere/x.pem", "No such file or directory");
        // A file that exists and holds nothing of use.
        if (files[i].at == offsetof(struct tls_config, ca_cert_dir)) continue;
        *(const char **)((char *)&config + files[i].at) = "Makefile";
        refuse(config, files[i].directive, "Makefile", "holds no");
    }
}

Test(tls_context, directives_that_belong_together)
{
    struct tls_config config = good();
    config.key_file = NULL;
    refuse(config, "tls-key-file", "not set", "tls-cert-file");
    config = good();
    config.client_key_file = NULL;
    refuse(config, "tls-client-key-file", "not set", "tls-client-cert-file");
    config = good();
    config.ca_cert_file = NULL;
    refuse(config, "tls-ca-cert-file", "tls-ca-cert-dir", "tls-auth-clients");
    config.auth_clients = TLS_AUTH_NO;
    accept(config);
}

Test(tls_context, a_key_of_another_certificate)
{
    struct tls_config config = good();
    config.key_file = T "client.key";
    refuse(config, "tls-key-file " T "client.key", "tls-cert-file " T "server.crt", "mismatch");
    config = good();
    config.client_key_file = T "rsa.key"; // another algorithm, too
    refuse(config, "tls-client-key-file " T "rsa.key", "tls-client-cert-file",
           "different key types");
}

Test(tls_context, passphrases)
{
    struct tls_config config = good();
    config.key_file = T "server.enc.key";
    refuse(config, "tls-key-file", "encrypted", "set tls-key-file-pass");
    config.key_file_pass = "not-the-secret";
    refuse(config, "tls-key-file", T "server.enc.key", "tls-key-file-pass does not open it");
    struct error error = ERROR_OK;
    cr_assert_null(tls_context_new(&config, &error));
    cr_assert_null(strstr(error.text, "not-the-secret"));
    config.key_file_pass = "1234";
    accept(config);
    // The passphrase of the client's key is a directive of its own.
    config = good();
    config.key_file_pass = "1234";
    config.client_cert_file = T "server.crt";
    config.client_key_file = T "server.enc.key";
    refuse(config, "tls-client-key-file", "encrypted", "tls-client-key-file-pass");
    config.client_key_file_pass = "1234";
    accept(config);
    // One that a plain key does not need does no harm; an endless one is refused.
    config = good();
    config.key_file_pass = "unused";
    accept(config);
    char endless[5000];
    memset(endless, 'x', sizeof(endless));
    endless[sizeof(endless) - 1] = '\0';
    config.key_file = T "server.enc.key";
    config.key_file_pass = endless;
    refuse(config, "tls-key-file", "tls-key-file-pass", "does not open it");
}

Test(tls_context, an_encrypted_key_is_never_asked_for_on_the_terminal)
{
    struct tls_config config = good();
    config.dh_params_file = T "server.enc.key";
    refuse(config, "tls-dh-params-file", T "server.enc.key", "DH parameters");
    config = good();
    config.cert_file = T "server.enc.key";
    refuse(config, "tls-cert-file", T "server.enc.key", "certificate");
    config = good();
    config.ca_cert_file = T "server.enc.key";
    refuse(config, "tls-ca-cert-file", T "server.enc.key", "certificate");
}

Test(tls_context, protocols)
{
    struct tls_config config = good();
    static const char *const fine[] = {"TLSv1.2",
                                       "TLSv1.3",
                                       "TLSv1.2 TLSv1.3",
                                       "tlsv1.3 TLSV1.2",
                                       " TLSv1.2  TLSv1.3 ",
                                       "TLSv1 TLSv1.1",
                                       "TLSv1 TLSv1.3",
                                       ""};
    for (size_t i = 0; i < sizeof(fine) / sizeof(fine[0]); i++) {
        config.protocols = fine[i];
        accept(config);
    }
    static const char *const bad[] = {"SSLv3", "TLSv1.2,TLSv1.3", "TLSv1.2 TLSv1.4", "TLSv"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        config.protocols = bad[i];
        refuse(config, "tls-protocols", "is none of", "TLSv1.3");
    }
}

Test(tls_context, ciphers)
{
    struct tls_config config = good();
    config.ciphers = "DEFAULT:-AES128-SHA256";
    config.ciphersuites = "TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256";
    config.prefer_server_ciphers = true;
    accept(config);
    config.ciphers = "ROT13";
    refuse(config, "tls-ciphers 'ROT13'", "no cipher match", "openssl ciphers");
    config = good();
    config.ciphersuites = "TLS_ROT13";
    refuse(config, "tls-ciphersuites 'TLS_ROT13'", "TLS 1.3", "no cipher match");
}

Test(tls_context, a_folder_of_authorities_needs_no_hashed_names)
{
    char dir[] = "/tmp/wherry-ca-XXXXXX", path[64];
    cr_assert_not_null(mkdtemp(dir));
    struct tls_config config = good();
    config.ca_cert_file = NULL;
    config.ca_cert_dir = dir;
    refuse(config, "tls-ca-cert-dir", dir, "holds no certificate");
    snprintf(path, sizeof(path), "%s/any-name.pem", dir);
    char *target = realpath(T "ca.crt", NULL);
    cr_assert_eq(symlink(target, path), 0);
    free(target);
    accept(config);
    cr_assert_eq(unlink(path), 0);
    cr_assert_eq(rmdir(dir), 0);
}

Test(tls_context, programs_that_only_connect_need_no_certificate)
{
    accept((struct tls_config){.client_only = true});
    accept((struct tls_config){.client_only = true, .insecure = true});
    accept((struct tls_config){.client_only = true,
                               .ca_cert_file = T "ca.crt",
                               .cert_file = T "client.crt",
                               .key_file = T "client.key"});
    refuse((struct tls_config){.client_only = true, .cert_file = T "client.crt"}, "tls-key-file",
           "not set", "tls-cert-file");
}
