// Copies of what redis.conf says about TLS.
#include "base/mem.h"
#include "conn/tls.h"

#include <stddef.h>

static const size_t texts[] = {
    offsetof(struct tls_config, cert_file),       offsetof(struct tls_config, key_file),
    offsetof(struct tls_config, key_file_pass),   offsetof(struct tls_config, client_cert_file),
    offsetof(struct tls_config, client_key_file), offsetof(struct tls_config, client_key_file_pass),
    offsetof(struct tls_config, ca_cert_file),    offsetof(struct tls_config, ca_cert_dir),
    offsetof(struct tls_config, dh_params_file),  offsetof(struct tls_config, protocols),
    offsetof(struct tls_config, ciphers),         offsetof(struct tls_config, ciphersuites),
};
enum { TEXTS = sizeof(texts) / sizeof(texts[0]) };

static const char **text_at(const struct tls_config *c, int i)
{
    return (const char **)(uintptr_t)((const char *)c + texts[i]);
}

struct tls_config *tls_config_copy(const struct tls_config *from)
{
    struct tls_config *to = mem_new(struct tls_config);
    *to = *from;
    for (int i = 0; i < TEXTS; i++) {
        const char *text = *text_at(from, i);
        if (text == NULL) continue;
        size_t size = strlen(text) + 1;
        *text_at(to, i) = memcpy(mem_alloc(size), text, size);
    }
    return to;
}

void tls_config_free(struct tls_config *c)
{
    for (int i = 0; i < TEXTS && c != NULL; i++)
        mem_free((void *)(uintptr_t)*text_at(c, i));
    mem_free(c);
}

bool tls_config_equal(const struct tls_config *a, const struct tls_config *b)
{
    for (int i = 0; i < TEXTS; i++) {
        const char *x = *text_at(a, i), *y = *text_at(b, i);
        if ((x == NULL) != (y == NULL) || (x != NULL && strcmp(x, y) != 0)) return false;
    }
    return a->prefer_server_ciphers == b->prefer_server_ciphers &&
           a->session_caching == b->session_caching &&
           a->session_cache_size == b->session_cache_size &&
           a->session_cache_timeout_s == b->session_cache_timeout_s &&
           a->auth_clients == b->auth_clients && a->client_only == b->client_only &&
           a->insecure == b->insecure;
}
