// The primary's side of replication: one machine per replica (its link), full syncs for groups of
// them, the stream to those that are online, and who has acknowledged what. States and deadlines:
// primary.c. Conns and requests of replicas stay with the host's clients; the host passes on what
// happens to them.
//
// Source: replication protocol, INFO, ROLE and log texts of Redis 7.0.
#ifndef WHERRY_REPL_PRIMARY_H
#define WHERRY_REPL_PRIMARY_H

#include "conn/conn.h"
#include "loop/machine.h"
#include "repl/primary_push.h"
#include "repl/stream.h"
#include "repl/sync_file.h"
#include "store/snapshot.h"

enum {
    LINK_WINDOW_BYTES = CONN_HIGH_WATER_BYTES,
    // of a snapshot under way that output limits don't mind: the window, and what it overshoots by
    LINK_SYNC_FREE_BYTES = 2 * LINK_WINDOW_BYTES,
    LINK_NAME_BYTES = 300,
    PRIMARY_BEAT_US = 1000000, // newlines to those who wait, pings that are due
};

// What the directives say now; asked for whenever it matters.
struct primary_settings {
    uint64_t timeout_us;     // repl-timeout
    bool diskless;           // repl-diskless-sync
    bool nodelay;            // not repl-disable-tcp-nodelay
    uint64_t delay_us;       // repl-diskless-sync-delay
    int max_replicas;        // repl-diskless-sync-max-replicas; 0: no number starts it early
    uint64_t ping_period_us; // repl-ping-replica-period
    uint64_t backlog_ttl_us; // repl-backlog-ttl; 0: kept for ever
    int64_t limit_hard_bytes, limit_soft_bytes; // client-output-buffer-limit replica; 0: none
    uint64_t limit_soft_us;
    const char *dir; // for snapshot files
};

enum primary_count { COUNT_SYNC_FULL, COUNT_PARTIAL_OK, COUNT_PARTIAL_ERR, COUNT_OVER_LIMIT };

struct replica_link;
struct primary_host {
    void (*settings)(void *owner, struct primary_settings *out);
    // Starts a snapshot for these sinks. False: not now (one is under way); it is tried again.
    bool (*snapshot_busy)(void *owner);
    bool (*snapshot)(void *owner, struct snapshot_sink **sinks, int count, struct error *error);
    // Writes an RDB without any data: what remains of ours by "rdb-filter-only".
    void (*write_empty)(void *owner, struct buf *out);
    void (*drop_sink)(void *owner, struct snapshot_sink *sink);
    void (*kick)(void *owner);       // a sink has room again
    bool (*is_replica)(void *owner); // the stream is our own primary's: nothing of ours goes in
    bool (*quiet)(void *owner);      // no pings now: clients are paused
    void (*close)(void *owner, struct replica_link *l); // close its client, soon
    void (*acked)(void *owner); // some replica's acknowledged offset moved (WAIT)
    void (*count)(void *owner, enum primary_count what);
};

struct primary {
    struct loop *loop;
    struct log *log;
    struct repl_stream *stream;
    const struct primary_host *host;
    void *owner;
    struct list links; // of struct replica_link that sent PSYNC or SYNC
    int link_count;
    struct list files;      // of struct file_sync (primary_sync.c)
    struct deadline gather; // when the waiting ones have waited long enough
    struct deadline beat;   // once a second: keepalives, pings, the backlog's time to live
    bool asleep;            // no replica is listened to, none hears of us
    struct job trim;        // gives back what a slow reader had pinned
    struct primary_push push;
    uint64_t pinged_us;
    uint64_t alone_since_us; // since when there has been no replica
    uint32_t file_counter;
};

struct replica_link {
    struct machine machine;
    struct list link; // primary->links; off it before PSYNC and after the end
    struct primary *primary;
    // The client's: its conn, and the replies that have to go out before anything of ours.
    struct conn *conn;
    struct chain *before;
    void *client;

    // told by REPLCONF before PSYNC
    int listening_port;
    char announced_ip[128];
    bool capa_eof, capa_psync2, rdb_only;
    bool no_data; // rdb-filter-only: everything but the data, at once and without a snapshot

    char peer[128];             // "10.0.0.1:4711", where it really comes from
    char name[LINK_NAME_BYTES]; // "10.0.0.1:6380", as logs and INFO call it
    bool old_sync;              // came by SYNC: never acknowledges, nothing is asked of it
    uint64_t waiting_since_us;
    uint64_t lines_seen; // the host's: bare newlines that it has told of

    // full sync
    struct snapshot_sink sink;
    bool sinking;         // sink is part of a snapshot
    struct chain pending; // of the snapshot, not yet given to the conn
    bool snapshot_whole;  // all of it is in pending or has gone
    char mark[REPL_ID_BYTES];
    struct file_sync *file; // the group whose file it gets, or NULL
    struct sync_read *read;
    struct task wake; // something to send arrived inside a callback
    struct task over; // its output limit was met inside a callback: ends it later

    // stream
    struct repl_reader reader;
    uint64_t over_soft_since_us; // 0: it is not
    uint64_t behind_since_us;    // primary_behind: more than the lead is held for it; 0: it is not
    int64_t ack_offset;
    uint64_t ack_us;
    uint64_t sent_bytes; // taken by the peer's system, snapshot and stream
    // of the full sync: when the snapshot began to go out, and was taken in whole (0: not yet)
    uint64_t transfer_began_us, transfer_ended_us, transfer_from_bytes, transfer_bytes;
    bool client_gone; // the client is going away by itself: don't close it
};

void primary_init(struct primary *p, struct loop *loop, struct log *log, struct repl_stream *stream,
                  const struct primary_host *host, void *owner);
void primary_free(struct primary *p); // the links are gone

// ---- links ------------------------------------------------------------------------------------

// A client that says REPLCONF, PSYNC or SYNC. `before` is its output chain.
struct replica_link *primary_link_new(struct primary *p, struct conn *conn, struct chain *before,
                                      void *client);
// The client goes away: the last call for the link.
void primary_link_free(struct replica_link *l);
// PSYNC <id> <next>: decides, answers, and puts it on its way: +CONTINUE at once; +FULLRESYNC when
// its snapshot begins.
void primary_link_psync(struct replica_link *l, struct bytes id, int64_t next);
void primary_link_sync(struct replica_link *l);                // SYNC
void primary_link_ack(struct replica_link *l, int64_t offset); // REPLCONF ACK
void primary_link_alive(struct replica_link *l);               // a bare newline
void primary_link_drained(struct replica_link *l, size_t taken, size_t left);
// Ends all links: their history is no longer ours. They may come back and ask.
void primary_disconnect_all(struct primary *p);
// Asleep: what replicas send is not read (by the host), so their silence is not their own; no
// newlines, no pings, no snapshot begins.
void primary_sleep(struct primary *p, bool asleep);

// ---- the host's side --------------------------------------------------------------------------

// Called before something is fed. False: there is nobody to feed.
bool primary_feeding(const struct primary *p);
void primary_getack(struct primary *p);   // asks every replica for its offset
void primary_try_sync(struct primary *p); // a snapshot that was in the way has ended
void primary_beat_now(struct primary *p); // keepalives etc. that are due (once a second by itself)

// For INFO, ROLE, WAIT, min-replicas.
const char *
primary_link_state(const struct replica_link *l); // "wait_bgsave", "send_bulk", "online"
bool primary_link_online(const struct replica_link *l);
uint64_t primary_link_lag_s(const struct replica_link *l);
const char *primary_link_ip(const struct replica_link *l, char out[128]);
// Bytes of its full sync that were taken so far, or in all, and how long that has lasted.
uint64_t primary_link_transfer(const struct replica_link *l, uint64_t *us);
int primary_acked(const struct primary *p, int64_t offset);        // replicas at or past it
int primary_good_replicas(const struct primary *p, int max_lag_s); // online and not lagging
int primary_waiting(const struct primary *p);             // replicas whose full sync has not begun
size_t primary_link_pinned(const struct replica_link *l); // bytes held on its account
// Until when somebody who feeds much should wait for replicas: 0 when each that is online has all
// but `lead_bytes` of the stream, or has had `patience_us` to come to that. Those in a full sync
// are not waited for; their output limit counts.
uint64_t primary_behind(struct primary *p, uint64_t lead_bytes, uint64_t patience_us);

// ---- between primary.c and primary_sync.c -----------------------------------------------------
enum link_code {
    LINK_ASKED_FULL, // wants a full sync
    LINK_ASKED_PART, // goes on from where it was
    LINK_BEGUN,      // its snapshot has begun, straight to it
    LINK_BEGUN_FILE, // its snapshot is being written to a file
    LINK_FILE_READY, // the file can be sent
    LINK_MORE,       // something to send has arrived
    LINK_FAILED,     // why says what
    LINK_OVER_LIMIT, // its output limit was met
    LINK_ACK,        // with EVENT_BYTES: acknowledged
    LINK_ALIVE,      // with EVENT_BYTES: a newline
};
enum link_state {
    LINK_HANDSHAKE,
    LINK_WAIT,
    LINK_PREPARE,
    LINK_STARVED,
    LINK_SEND,
    LINK_ARMED,
    LINK_ONLINE,
    LINK_GONE,
    LINK_STATES,
};
void link_write(struct replica_link *l, struct bytes data);
void link_write_chain(struct replica_link *l, struct chain *data);
bool link_tell(struct replica_link *l, enum link_code code, const struct error *why);

void link_pump(struct replica_link *l); // moves what fits to the conn
// Online, and there is some of the stream that its conn has not been given.
bool link_wants_stream(const struct replica_link *l);
void link_leave_sync(struct replica_link *l); // lets go of snapshot and file
void link_check_limit(struct replica_link *l);
void primary_settings_get(const struct primary *p, struct primary_settings *out);
void primary_sync_wait(struct replica_link *l); // it waits now: joins a file or sets the gathering
void primary_sync_free(struct primary *p);

extern const struct machine_type replica_link_machine; // for the drawings

#endif
