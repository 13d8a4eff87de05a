// A connection of the load tool: one socket that never blocks, over TLS or not, with its own output
// and a reply reader. The tool polls; nothing here waits but link_open.
#ifndef WHERRY_BENCH_LINK_H
#define WHERRY_BENCH_LINK_H

#include <hiredis/hiredis.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>

struct link {
    int fd;
    SSL *ssl; // NULL: plain
    redisReader *reader;
    char *out; // what has not been written: from `at` to `len`
    size_t at, len, cap;
};

uint64_t now_us(void);            // monotonic
void die(const char *format, ...) // to stderr, status 1
    __attribute__((noreturn, format(printf, 1, 2)));
// The context of a client with the certificates of tests/tls in the folder; NULL for none.
SSL_CTX *link_context(const char *certs);

void link_open(struct link *l, int port, SSL_CTX *tls); // to 127.0.0.1; dies if it can't
void link_close(struct link *l);
char *link_room(struct link *l, size_t size); // at least this much; then `len` is moved by hand
void link_put(struct link *l, const char *text);
void link_flush(struct link *l); // as much as goes now
// The next reply that has arrived (the caller frees it), or NULL when there is none.
redisReply *link_reply(struct link *l);
short link_wants(const struct link *l); // for poll
// Sends the text as it is and waits for one reply, which must be no error.
void link_must(struct link *l, const char *text);

#endif
