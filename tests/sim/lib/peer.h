// A scripted peer: the other end of a machine under test. It connects or accepts, and then follows
// its steps, each in its turn, in virtual time.
//
//     static const struct peer_step steps[] = {
//         DO_EXPECT("PING\r\n"), DO_WAIT(1000), DO_SEND("+PONG\r\n"), DO_CLOSE, DO_END,
//     };
//     struct peer *p = peer_listen(node, 6379, steps);
//
// After the last step it stays, silent, and takes what comes (peer_input). A listening peer serves
// one conn at a time and begins its steps anew with each, unless told to carry on.
#ifndef WHERRY_TESTS_PEER_H
#define WHERRY_TESTS_PEER_H

#include "sim/lib/sim.h"
#include "sim/lib/trace.h"

enum peer_action {
    PEER_END,         // of the steps
    PEER_EXPECT,      // waits for exactly this text; anything else fails the peer
    PEER_EXPECT_ANY,  // waits for `count` bytes, whatever they are
    PEER_EXPECT_PAST, // takes everything up to and including this text
    PEER_SEND,        // text, or `data`/`count` bytes when text is NULL
    PEER_DRIP,        // text, one byte each `us`
    PEER_WAIT,        // `us`
    PEER_GARBAGE,     // sends `count` random bytes (of the world's seed)
    PEER_CLOSE,       // in order; what was sent arrives
    PEER_CUT,         // both ends see a reset
    PEER_PAUSE,       // stops reading: the machine's output backs up
    PEER_RESUME,
    PEER_CALL, // calls `call(peer)`: may queue more with peer_send
};

struct peer;
struct peer_step {
    enum peer_action action;
    const char *text;
    uint64_t us;
    size_t count;
    const void *data;
    void (*call)(struct peer *peer);
};
#define DO_EXPECT(words)                                                                           \
    {                                                                                              \
        .action = PEER_EXPECT, .text = (words)                                                     \
    }
#define DO_EXPECT_PAST(words)                                                                      \
    {                                                                                              \
        .action = PEER_EXPECT_PAST, .text = (words)                                                \
    }
#define DO_EXPECT_ANY(bytes)                                                                       \
    {                                                                                              \
        .action = PEER_EXPECT_ANY, .count = (bytes)                                                \
    }
#define DO_SEND(words)                                                                             \
    {                                                                                              \
        .action = PEER_SEND, .text = (words)                                                       \
    }
#define DO_SEND_BYTES(at, n)                                                                       \
    {                                                                                              \
        .action = PEER_SEND, .data = (at), .count = (n)                                            \
    }
#define DO_DRIP(words, each)                                                                       \
    {                                                                                              \
        .action = PEER_DRIP, .text = (words), .us = (each)                                         \
    }
#define DO_WAIT(microseconds)                                                                      \
    {                                                                                              \
        .action = PEER_WAIT, .us = (microseconds)                                                  \
    }
#define DO_GARBAGE(bytes)                                                                          \
    {                                                                                              \
        .action = PEER_GARBAGE, .count = (bytes)                                                   \
    }
#define DO_CLOSE                                                                                   \
    {                                                                                              \
        .action = PEER_CLOSE                                                                       \
    }
#define DO_CUT                                                                                     \
    {                                                                                              \
        .action = PEER_CUT                                                                         \
    }
#define DO_PAUSE                                                                                   \
    {                                                                                              \
        .action = PEER_PAUSE                                                                       \
    }
#define DO_RESUME                                                                                  \
    {                                                                                              \
        .action = PEER_RESUME                                                                      \
    }
#define DO_CALL(function)                                                                          \
    {                                                                                              \
        .action = PEER_CALL, .call = (function)                                                    \
    }
#define DO_END                                                                                     \
    {                                                                                              \
        .action = PEER_END                                                                         \
    }

struct peer {
    struct sim_node *node;
    struct conn *conn; // NULL: not connected, or gone
    struct listener *listener;
    const struct peer_step *steps;
    int step;
    size_t dripped;       // of a PEER_DRIP step
    bool carry_on;        // a new conn goes on where the steps are, rather than anew
    struct buf input;     // received and not yet expected
    uint64_t received;    // bytes, all conns together
    int accepted, closes; // how many conns came and went
    bool failed;          // something else than expected came
    char why[512];        // it
    enum error_class closed_class;
    struct trace *trace; // records what it gets and sends, when set
    struct deadline wait;
    struct task proceed;
    void *owner; // the test's
};

// On a node that may have other things on it too. The peer must be freed before the world.
struct peer *peer_listen(struct sim_node *node, int port, const struct peer_step *steps);
struct peer *peer_connect(struct sim_node *node, const char *host, int port,
                          const struct peer_step *steps);
// The same over TLS, with the context that net_set_tls gave the node's network.
struct peer *peer_listen_tls(struct sim_node *node, int port, const struct peer_step *steps);
struct peer *peer_connect_tls(struct sim_node *node, const char *host, int port,
                              const char *verify_name, const struct peer_step *steps);
void peer_free(struct peer *p); // closes; needs no run of the world afterwards

void peer_set_trace(struct peer *p, struct trace *trace);
void peer_restart(struct peer *p, const struct peer_step *steps); // new steps, from now
void peer_send(struct peer *p, struct bytes data);
void peer_send_text(struct peer *p, const char *text);
void peer_close(struct peer *p);
static inline struct bytes peer_input(const struct peer *p)
{
    return buf_view(&p->input);
}
void peer_consume(struct peer *p, size_t len);
bool peer_done(const struct peer *p); // every step was done

// Runs the world until the peer is done, has failed or `limit_us` have passed; true when done.
bool peer_run(struct peer *p, uint64_t limit_us);
// Runs the world until the next bytes that came are `text`, and takes them.
bool peer_expect(struct peer *p, const char *text, uint64_t limit_us);
// Runs the world until at least `len` bytes are there; doesn't take them.
bool peer_await(struct peer *p, size_t len, uint64_t limit_us);

#endif
