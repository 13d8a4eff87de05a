// Commands: the table's rows, the context in which one runs, and what it may ask of its node.
#ifndef WHERRY_NODE_COMMAND_H
#define WHERRY_NODE_COMMAND_H

#include "proto/reply.h"
#include "store/store.h"

struct node;
struct client;
struct ctx;

// Names as COMMAND INFO gives them (Redis 7.0 commands.def / COMMAND docs).
enum command_flag {
    CMD_WRITE = 1 << 0,
    CMD_READONLY = 1 << 1,
    CMD_DENYOOM = 1 << 2,
    CMD_ADMIN = 1 << 3,
    CMD_PUBSUB = 1 << 4,
    CMD_NOSCRIPT = 1 << 5,
    CMD_BLOCKING = 1 << 6,
    CMD_LOADING = 1 << 7, // runs while the dataset is loading
    CMD_STALE = 1 << 8,   // runs on a replica whose link is down (replica-serve-stale-data no)
    CMD_SKIP_MONITOR = 1 << 9,
    CMD_SKIP_SLOWLOG = 1 << 10,
    CMD_FAST = 1 << 11,
    CMD_NO_AUTH = 1 << 12,
    CMD_MAY_REPLICATE = 1 << 13,
    CMD_NO_MULTI = 1 << 14,
    CMD_NO_ASYNC_LOADING = 1 << 15,
    CMD_ALLOW_BUSY = 1 << 16,
    CMD_MOVABLE_KEYS = 1 << 17, // keys come from get_keys
    CMD_PROTECTED = 1 << 18,
    CMD_NO_MANDATORY_KEYS = 1 << 20, // EVAL and the like may have none
    CMD_ALL_KEYS = 1 << 19, // ours: changes whole databases (FLUSHALL, SWAPDB): waits for holds
    // Ours: what it changes are expired keys that it met, each for itself: no transaction for
    // replicas.
    CMD_ARBITRARY_KEYS = 1 << 21,
    CMD_ONE_DB = 1 << 22, // ours: with CMD_ALL_KEYS: of the client's database only
};

enum key_access {
    KEY_CHANNEL = 0,
    KEY_READ = 1,
    KEY_WRITE = 2,
    KEY_READ_WRITE = 3
}; // a shard channel is no key, but has a slot

// Positions in argv: first, last (negative: from the end), step. first 0: no such range.
struct key_range {
    int first, last, step;
    enum key_access access;
};
struct key_ref {
    int index; // in argv
    enum key_access access;
    int other_db; // 0: of the client's database; else of this one, counted from 1 (COPY ... DB)
};

// Finds keys that no range can name (numkeys, STREAMS ...). Fills up to `max`, returns how many
// there are, or -1 when the arguments make no sense.
typedef int command_keys_fn(int argc, struct str *const *argv, struct key_ref *out, int max);

struct command {
    const char *name; // lower case; of a subcommand: "get"
    void (*run)(struct ctx *c);
    int arity; // words with the name; negative: at least
    uint32_t flags;
    struct key_range keys[2];
    command_keys_fn *get_keys;
    const char *acl;                // categories besides those that flags imply: "@string"
    const struct command *children; // subcommands, ended by a row without a name
    void *reserved;
};

// All keys of a call, from the ranges and get_keys. Returns how many (may be above `max`), -1: bad.
int command_keys(const struct command *cmd, int argc, struct str *const *argv, struct key_ref *out,
                 int max);

// The context of one call.
struct ctx {
    struct node *node;
    struct client *client;
    const struct command *command; // the subcommand's row where there is one
    int argc;
    struct str **argv; // the command may take one: ctx_take
    struct reply *reply;
    int db;          // index
    bool retry;      // run again because a key that it blocked on may be ready
    bool deny_block; // inside EXEC, or a primary's link: answer at once
    bool in_exec;
    uint64_t dirty;           // changes made; 0: nothing to propagate
    uint64_t slept_us;        // to be counted as if the command had run for so long (DEBUG SLEEP)
    struct taken_args *taken; // what SLOWLOG needs of arguments that were taken (ctx_impl.h)
    bool kept;                // the node keeps its words written out: an argument was taken
    enum { PROPAGATE_ARGV, PROPAGATE_OWN, PROPAGATE_NONE } propagate; // ctx_propagate_*
};

static inline struct bytes ctx_arg(const struct ctx *c, int index)
{
    return str_view(c->argv[index]);
}
struct db *ctx_db(struct ctx *c);
struct store *ctx_store(struct ctx *c);
int64_t ctx_now_ms(struct ctx *c); // Unix time; the same during one call and one EXEC
// Takes argument `index` out of argv: the caller's now. What is propagated keeps a copy if needed.
struct str *ctx_take(struct ctx *c, int index);

// ---- arguments (they reply the error themselves and return false) -----------------------------
bool ctx_int(struct ctx *c, int index, int64_t *out); // "value is not an integer..."
bool ctx_int_range(struct ctx *c, int index, int64_t min, int64_t max, int64_t *out);
bool ctx_double(struct ctx *c, int index, double *out);        // "value is not a valid float"
bool ctx_is(const struct ctx *c, int index, const char *word); // case-blind compare
void ctx_syntax_error(struct ctx *c);                          // "syntax error"
void ctx_wrong_type(struct ctx *c);

// ---- keys -------------------------------------------------------------------------------------
// NULL: not there (or expired: then on a primary it was deleted, and the DEL propagated). Reading
// counts hits and misses and touches the access clock.
struct entry *ctx_find_read(struct ctx *c, struct bytes key);
struct entry *ctx_find_write(struct ctx *c, struct bytes key);
// As ctx_find_read, but looking is not using: the access clock stays (TTL, TYPE, EXISTS, OBJECT).
struct entry *ctx_peek(struct ctx *c, struct bytes key);
struct entry *ctx_peek_silent(struct ctx *c, struct bytes key); // and no "keymiss" event
// For entries met by walking ctx_db(c) (KEYS, SCAN): true when its time has come. It is not there
// then, and on a primary it was deleted with that.
bool ctx_entry_gone(struct ctx *c, struct entry *e);
// The same with a type: replies WRONGTYPE and returns false when it is another; else true with
// *out NULL or the entry.
bool ctx_find_read_type(struct ctx *c, struct bytes key, enum value_type type, struct entry **out);
bool ctx_find_write_type(struct ctx *c, struct bytes key, enum value_type type, struct entry **out);
// Adds a key that is not there; takes over the value.
struct entry *ctx_add(struct ctx *c, struct bytes key, const struct value *value);
// Sets key to value whether it is there or not; drops a time to live unless keep_ttl.
struct entry *ctx_set(struct ctx *c, struct bytes key, const struct value *value, bool keep_ttl);
bool ctx_delete(struct ctx *c, struct bytes key); // true if it was there; no event, no dirty
// Deletes when the container has become empty, with the "del" event. True: it was deleted.
bool ctx_delete_if_empty(struct ctx *c, struct entry *e);
// To be called after a change of a key: WATCH, tracking, dirty += changes.
void ctx_changed(struct ctx *c, struct bytes key, uint64_t changes);
// Keyspace event (notify-keyspace-events): class flag of notify.h, "set", key.
void ctx_notify(struct ctx *c, uint32_t class_flag, const char *event, struct bytes key);
// A list, zset or stream may serve blocked clients now (call after adding elements).
void ctx_key_ready(struct ctx *c, struct bytes key);

// ---- propagation ------------------------------------------------------------------------------
// By default a call with dirty > 0 is propagated as it came. These change that:
void ctx_propagate_as(struct ctx *c, int argc, const struct bytes *argv);   // instead
void ctx_propagate_also(struct ctx *c, int argc, const struct bytes *argv); // before/besides it
void ctx_propagate_none(struct ctx *c);

// ---- waiting ----------------------------------------------------------------------------------
// Blocks the client until one of the keys may be ready (then the command runs again with
// c->retry), or until `timeout_ms` from the first call has passed (0: no limit): then `timed_out`
// writes the reply. Called again in a retry it keeps the client's place and its first deadline.
// False: blocking is not allowed here (c->deny_block); the command answers as if timed out.
// `on_delete`: run again also when a key was deleted or overwritten (XREADGROUP).
bool ctx_block(struct ctx *c, int count, const struct bytes *keys, int64_t timeout_ms,
               bool on_delete, void (*timed_out)(struct reply *r));

// A command that answers later (SAVE, MIGRATE, WAIT ...): its client takes no further command
// until ctx_resume. The owner embeds the struct.
struct suspension {
    struct client *client;              // NULL once it has gone
    void (*gone)(struct suspension *s); // the client went away: clean up, no resume
    // Optional: CLIENT UNBLOCK. Answers as if timed out (error NULL) or with the error, and
    // resumes.
    void (*abort)(struct suspension *s, const char *error);
};
// False: suspending is not allowed here (inside EXEC).
bool ctx_suspend(struct ctx *c, struct suspension *s);
// Write the reply to client_reply(s->client) first. The client goes on with its next request.
void client_resume(struct suspension *s);
// Of a suspended call: what it has to tell replicas has been told, and WAIT waits for that too.
void client_wrote(struct client *c);

#endif
