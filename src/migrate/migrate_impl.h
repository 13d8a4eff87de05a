// What the files of MIGRATE share: the machine (migrate.c), what it makes of the target's answers
// (answers.c), its keys (keys.c), its sender (pump.c).
#ifndef WHERRY_MIGRATE_MIGRATE_IMPL_H
#define WHERRY_MIGRATE_MIGRATE_IMPL_H

#include "loop/machine.h"
#include "migrate/link.h"
#include "rdb/encode.h"

enum migrate_state {
    CONNECT,
    GREET,
    SEND,
    COUNT,
    REPLY,
    ACKED,
    HELD,
    SETTLE,
    DONE,
    MIGRATE_STATES,
};
// EVENT_HOST codes: what the sender and the keys tell the machine.
enum migrate_event { SENDING, COUNTING, ALL_SENT, HELD_UP, FREE, SETTLED, ANSWERS };

struct migrate_key {
    struct str *name;
    struct entry *entry;  // held; NULL: not yet, not there, or no longer
    struct waiter waiter; // for others to have done with it
    struct migrate *migrate;
    bool sent, missing;
    bool deleting; // acknowledged, and somebody still reads it
};

struct migrate {
    struct machine machine;
    struct list link; // migrator->flights
    struct migrator *migrator;
    struct str *host, *user, *password;
    struct migrate_request request; // its strings are our own copies

    struct migrate_key *keys;
    int next_key;   // to be sent
    int next_reply; // whose acknowledgement is due
    int deleting;   // keys with that flag

    struct migrate_link *target; // NULL: not open
    bool cached, retried;
    int greetings; // answers to AUTH and SELECT that are due
    uint64_t taken_bytes, first_key_end_bytes;
    uint64_t written_bytes;

    struct job answers;
    bool answers_left; // read, and not yet looked at

    struct job pump;
    struct dump_counter *counter;
    struct dump_encoder *encoder;
    struct rdb_options how; // it was counted and is encoded: the config may change in between
    uint64_t payload_bytes;

    struct migrate_result result;
    bool failed;
    void (*done)(void *owner, const struct migrate_result *result);
    void *owner;
    char peer[96];
};

// migrate.c
__attribute__((format(printf, 3, 4))) void
migrate_set_result(struct migrate *m, enum migrate_outcome outcome, const char *format, ...);
void migrate_write(struct migrate *m, struct chain *out);
bool migrate_tell(struct migrate *m, int code); // false: the machine has ended and is gone

// answers.c; all return the state to go to
int migrate_input(struct migrate *m, struct bytes input);
int migrate_answers(struct migrate *m); // goes on with what `input` has left
enum job_state migrate_answers_step(struct job *job, struct budget *budget);
int migrate_io_error(struct migrate *m, const char *doing, const char *why);
int migrate_timed_out(struct migrate *m, uint64_t *counter, const char *doing);
int migrate_over(const struct migrate *m);      // nothing more is asked of the target
int migrate_finishing(const struct migrate *m); // everything was sent and answered

// keys.c
// The next key that is there, held from now on; NULL when there is none left, or when somebody
// holds it (*held): then FREE is told once that is over, if the machine is in `held`.
struct migrate_key *migrate_next_key(struct migrate *m, bool *held);
void migrate_release_rest(struct migrate *m); // all but those that are to be deleted
void migrate_keep_all(struct migrate *m);     // nothing is deleted any more
void migrate_release(struct migrate *m, struct migrate_key *k);
void migrate_acknowledged(struct migrate *m, struct migrate_key *k);
bool migrate_reply_due(struct migrate *m); // a key that was sent awaits its answer

// pump.c
enum job_state migrate_pump(struct job *job, struct budget *budget);
void migrate_stop_sending(struct migrate *m);

#endif
