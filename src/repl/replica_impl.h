// What the files of the replica machine share.
#ifndef WHERRY_REPL_REPLICA_IMPL_H
#define WHERRY_REPL_REPLICA_IMPL_H

#include "repl/replica.h"

enum replica_code {
    CODE_BAD_LINE = 1, // why says what
    CODE_WANT,         // the loader takes more
    CODE_LOADED,       // the loader is done: why
    CODE_ADOPTED,
    CODE_DROP,     // the operator wants the link gone
    CODE_NONSENSE, // in the stream
};

static inline struct replica *replica_of(struct machine *m)
{
    return list_entry(m, struct replica, machine);
}

// replica.c
void replica_hold_back(struct replica *r);
void replica_let_go_on(struct replica *r);
void replica_drop_conn(struct replica *r);
int replica_retry(struct replica *r); // lets everything of this attempt go; the state is backoff
const char *replica_why(const struct machine_event *event);
// What every state before the stream answers in the same way; -1: the event is the state's own.
int replica_common(struct replica *r, const struct machine_event *event);

// What the directives say now.
void replica_settings_of(const struct replica *r, struct replica_settings *out);

// replica_handshake.c
int replica_on_ping(struct machine *m, const struct machine_event *event);
int replica_on_auth(struct machine *m, const struct machine_event *event);
bool replica_no_password(const struct machine *m);
int replica_on_port(struct machine *m, const struct machine_event *event);
int replica_on_ip(struct machine *m, const struct machine_event *event);
bool replica_no_announce_ip(const struct machine *m);
int replica_on_capa(struct machine *m, const struct machine_event *event);
int replica_on_psync(struct machine *m, const struct machine_event *event);

// replica_sync.c
void replica_drop_sync(struct replica *r);
int replica_on_header(struct machine *m, const struct machine_event *event);
int replica_on_transfer(struct machine *m, const struct machine_event *event);
int replica_on_finish(struct machine *m, const struct machine_event *event);

#endif
