// The replica's side of replication: one machine that connects, shakes hands, takes a full sync or
// goes on from where it was, and then applies the stream, for as long as it is told to follow this
// primary. States and deadlines: replica.c.
//
// Source: replication handshake and log texts of Redis 7.0.
#ifndef WHERRY_REPL_REPLICA_H
#define WHERRY_REPL_REPLICA_H

#include "conn/conn.h"
#include "loop/machine.h"
#include "proto/lines.h"
#include "repl/stream.h"
#include "store/loader.h"

enum {
    REPLICA_RETRY_US = 1000000,            // backoff after a failure
    REPLICA_BEAT_US = 1000000,             // acknowledgements, or newlines while loading
    REPLICA_UNAPPLIED_BYTES = 1024 * 1024, // of stream, before the primary is held back...
    REPLICA_EARLY_BYTES = 256 * 1024,      // ...and of stream that comes before loading is done
};

// What the directives say now. Strings stay the host's, valid until the next call into it.
struct replica_settings {
    const char *host;
    int port;
    bool tls;                    // tls-replication
    const char *source_address;  // bind-source-addr; NULL: any
    const char *verify_name;     // name that the primary's certificate must carry; NULL
    struct bytes user, password; // masteruser, masterauth; data NULL: none
    int listening_port;          // what we announce
    const char *announce_ip;     // replica-announce-ip; NULL: none
    uint64_t timeout_us;         // repl-timeout
    bool failover;               // say FAILOVER in PSYNC: the other side is to become primary
};

struct replica;
struct replica_host {
    void (*settings)(void *owner, struct replica_settings *out);

    // ---- full sync. The host owns the keyspace that is filled aside; the old one stays as it is
    // until adopt. `id` is the history that is coming.
    struct loader *(*load_begin)(void *owner, const char *id, const struct loader_events *events,
                                 void *loader_owner);
    // All of the RDB has arrived; what is left is decoding.
    void (*load_received)(void *owner);
    // It is complete. Puts it in service now (true), or calls replica_adopted later, when nothing
    // holds the old keyspace any more (false). When it does: first our own replicas are let go.
    bool (*adopt)(void *owner, const struct loader_stats *stats);
    void (*load_abort)(void *owner); // the keyspace aside goes; the old one is untouched

    // ---- stream. `db` is the database selected at this point of it.
    void (*stream_begin)(void *owner, int db);
    // Applies what it can now and tells by replica_applied. False: the bytes make no sense.
    bool (*apply)(void *owner, struct bytes data);
    bool (*stuck)(void *owner);      // not all of it could be applied yet
    void (*stream_end)(void *owner); // what was not applied is forgotten

    // ---- told
    void (*history_changed)(void *owner); // a new id: our own replicas have to ask again
    void (*link_changed)(void *owner);    // up, or not up any more
    // What PSYNC <id> <offset> FAILOVER came to. It is asked once.
    void (*failover_answer)(void *owner, bool accepted);
};

enum replica_state {
    REPLICA_OFF,
    REPLICA_BACKOFF,
    REPLICA_CONNECT,
    REPLICA_PING,
    REPLICA_AUTH,
    REPLICA_PORT,
    REPLICA_IP,
    REPLICA_CAPA,
    REPLICA_PSYNC,
    REPLICA_HEADER,
    REPLICA_TRANSFER,
    REPLICA_FINISH,
    REPLICA_STREAM,
    REPLICA_STATES,
};

struct replica {
    struct machine machine; // valid while following
    struct loop *loop;
    struct log *log;
    struct network *net;
    struct repl_stream *stream;
    const struct replica_host *host;
    void *owner;
    bool following;
    struct conn *conn;
    struct line_reader lines;
    struct deadline beat; // keepalives and acknowledgements; changes no state
    char peer[300];       // "host:port"

    // Our place in a history of a primary: stream->id and stream->offset can be asked for, and this
    // database is selected there.
    bool cached;
    int db;
    // This primary does not know PSYNC: it has no history that we could name, gives no offset, and
    // does not understand acknowledgements.
    bool old_primary;

    // full sync
    char sync_id[REPL_ID_BYTES + 1];
    int64_t sync_offset;
    struct payload_header payload;
    uint64_t payload_bytes; // of it so far
    struct loader *loader;
    bool loaded;   // the loader is done
    bool received; // all of the payload is here
    char tail[LINE_EOF_MARK_BYTES];
    size_t tail_len;  // the last bytes of the payload, to see the mark
    struct buf after; // bytes behind the RDB: the mark, then stream
    // stream
    int64_t begin_offset; // where this link's stream began
    bool held_back;       // we paused the conn
    bool asleep;

    // for INFO
    uint64_t last_io_us, down_since_us;
    bool ever_up;
    uint64_t sync_began_us, sync_ended_us; // of the last transfer; ended 0: it goes on
};

void replica_init(struct replica *r, struct loop *loop, struct log *log, struct network *net,
                  struct repl_stream *stream, const struct replica_host *host, void *owner);
// Begins to follow settings.host; `cached` and `db` say whether our history can be gone on with.
void replica_follow(struct replica *r);
void replica_stop(struct replica *r); // at once; fine when it follows nobody
void replica_free(struct replica *r);
void replica_drop_link(struct replica *r); // and makes it again
// Nothing of what the primary sends is read while asleep, and its silence is not its own.
void replica_sleep(struct replica *r, bool asleep);

// ---- told by the host
// So many bytes of this link's stream have been applied, in whole commands and transactions.
void replica_applied(struct replica *r, uint64_t bytes, int db);
void replica_unstuck(struct replica *r);
void replica_nonsense(struct replica *r); // of the stream, found later than apply returned
void replica_adopted(struct replica *r);  // adopt had answered false
void replica_send_ack(struct replica *r); // GETACK

static inline bool replica_link_up(const struct replica *r)
{
    return r->following && r->machine.state == REPLICA_STREAM;
}
static inline bool replica_syncing(const struct replica *r)
{
    return r->following &&
           (r->machine.state == REPLICA_TRANSFER || r->machine.state == REPLICA_FINISH);
}
const char *replica_role_state(const struct replica *r); // "connect", ... as ROLE calls it

extern const struct machine_type replica_machine; // for the drawings

#endif
