// A client of a simulated node: asks, and is told each answer in its turn. A conn is made when it
// is needed; when it is lost, all that was asked on it is answered with nothing.
#ifndef WHERRY_TESTS_WORLD_CLIENT_H
#define WHERRY_TESTS_WORLD_CLIENT_H

#include "base/chunk.h"
#include "proto/command_line.h"
#include "proto/reader.h"
#include "sim/world/world.h"

enum { CLIENT_PATIENCE_US = 90 * 1000 * 1000 }; // an answer that takes longer never comes

struct client_link {
    struct list link; // world->clients
    struct world *world;
    struct sim_node *at;
    struct member *to;
    int db; // selected on each new conn
    struct conn *conn;
    struct reader reader;
    struct list asked;                  // of struct question, the oldest first
    struct deadline patience;           // of the oldest
    struct deadline think;              // the owner's: when it acts again
    void (*act)(struct client_link *c); // then
    uint64_t answers, losses;
    void *own;
};

// `reply` NULL: lost. It goes when the callback returns.
typedef void client_answer(struct client_link *c, void *owner, const struct reader_value *reply);

struct client_link *client_new_at(struct world *w, const char *host, struct member *to);
void client_free_link(struct client_link *c);
// To another member from now on; what is under way is lost.
void client_turn_to(struct client_link *c, struct member *to);
void client_ask_chain(struct client_link *c, struct chain *request, client_answer *answer,
                      void *owner);
// Words as request_writef takes them.
#define client_ask(c, answer, owner, ...)                                                          \
    do {                                                                                           \
        struct chain asked_words;                                                                  \
        chain_init(&asked_words);                                                                  \
        request_writef(&asked_words, __VA_ARGS__);                                                 \
        client_ask_chain((c), &asked_words, (answer), (owner));                                    \
    } while (0)
void client_think(struct client_link *c, uint64_t us);
// The member's host is without power: no reset will ever tell us.
void world_drop_clients(struct world *w, const struct member *m);
bool reply_is_error(const struct reader_value *reply, const char *code);

#endif
