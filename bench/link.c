#include "link.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { READ_BYTES = 64 * 1024 };

uint64_t now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

void die(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    exit(1);
}

SSL_CTX *link_context(const char *certs)
{
    char ca[512], cert[512], key[512];
    if (certs == NULL) return NULL;
    snprintf(ca, sizeof(ca), "%s/ca.crt", certs);
    snprintf(cert, sizeof(cert), "%s/client.crt", certs);
    snprintf(key, sizeof(key), "%s/client.key", certs);
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    if (ctx == NULL || SSL_CTX_load_verify_locations(ctx, ca, NULL) != 1 ||
        SSL_CTX_use_certificate_file(ctx, cert, SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) != 1)
        die("certificates of %s cannot be used", certs);
    SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    return ctx;
}

void link_open(struct link *l, int port, SSL_CTX *tls)
{
    *l = (struct link){.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (connect(l->fd, (struct sockaddr *)&to, sizeof(to)) != 0)
        die("connect to port %d: %s", port, strerror(errno));
    int one = 1;
    setsockopt(l->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (tls != NULL) {
        l->ssl = SSL_new(tls);
        SSL_set_fd(l->ssl, l->fd);
        if (SSL_connect(l->ssl) != 1) die("TLS handshake with port %d", port);
    }
    fcntl(l->fd, F_SETFL, O_NONBLOCK);
    l->reader = redisReaderCreate();
}

void link_close(struct link *l)
{
    redisReaderFree(l->reader);
    SSL_free(l->ssl);
    close(l->fd);
    free(l->out);
}

char *link_room(struct link *l, size_t size)
{
    if (l->at == l->len) l->at = l->len = 0;
    if (l->cap - l->len < size && l->at > 0) {
        memmove(l->out, l->out + l->at, l->len - l->at);
        l->len -= l->at;
        l->at = 0;
    }
    if (l->cap - l->len < size) {
        l->cap = (l->len + size) * 2;
        l->out = realloc(l->out, l->cap);
        if (l->out == NULL) die("out of memory");
    }
    return l->out + l->len;
}

void link_put(struct link *l, const char *text)
{
    size_t len = strlen(text);
    memcpy(link_room(l, len), text, len);
    l->len += len;
}

static bool again(const struct link *l, int result)
{
    if (l->ssl == NULL) return errno == EAGAIN || errno == EINTR;
    int why = SSL_get_error(l->ssl, result);
    return why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE;
}

void link_flush(struct link *l)
{
    while (l->at < l->len) {
        size_t part = l->len - l->at;
        if (part > READ_BYTES) part = READ_BYTES;
        ssize_t wrote = l->ssl != NULL ? SSL_write(l->ssl, l->out + l->at, (int)part)
                                       : write(l->fd, l->out + l->at, part);
        if (wrote <= 0 && again(l, (int)wrote)) return;
        if (wrote <= 0) die("connection lost while writing");
        l->at += (size_t)wrote;
    }
}

redisReply *link_reply(struct link *l)
{
    char data[READ_BYTES];
    for (;;) {
        void *reply = NULL;
        if (redisReaderGetReply(l->reader, &reply) != REDIS_OK)
            die("no reply: %s", l->reader->errstr);
        if (reply != NULL) return reply;
        ssize_t got =
            l->ssl != NULL ? SSL_read(l->ssl, data, sizeof(data)) : read(l->fd, data, sizeof(data));
        if (got <= 0 && again(l, (int)got)) return NULL;
        if (got <= 0) die("connection lost while reading");
        redisReaderFeed(l->reader, data, (size_t)got);
    }
}

short link_wants(const struct link *l)
{
    return l->at < l->len ? POLLIN | POLLOUT : POLLIN;
}

void link_must(struct link *l, const char *text)
{
    link_put(l, text);
    for (;;) {
        link_flush(l);
        redisReply *r = link_reply(l);
        if (r != NULL && r->type == REDIS_REPLY_ERROR) die("%s: %s", text, r->str);
        if (r != NULL) {
            freeReplyObject(r);
            return;
        }
        struct pollfd p = {.fd = l->fd, .events = link_wants(l)};
        poll(&p, 1, -1);
    }
}
