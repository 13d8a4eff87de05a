// Whole databases: KEYS, SCAN, RANDOMKEY, DBSIZE, FLUSHDB, FLUSHALL, SWAPDB.
#include "base/text.h"
#include "command/scan.h"
#include "command/table.h"
#include "node/node.h"
#include "node/persist.h"
#include "value/dict.h"

#include <strings.h>

// ---- walking ------------------------------------------------------------------------------------

struct keys_walk {
    struct ctx *c;
    struct bytes pattern;
    bool all;
    size_t found;
};

static void keys_visit(void *arg, struct entry *e)
{
    struct keys_walk *walk = arg;
    if (!walk->all && !text_glob(walk->pattern, entry_key(e), false)) return;
    if (entry_expired(e, ctx_now_ms(walk->c))) return; // it stays, as in Redis
    reply_bulk(walk->c->reply, entry_key(e));
    walk->found++;
}

static void keys(struct ctx *c)
{
    struct keys_walk walk = {.c = c, .pattern = ctx_arg(c, 1)};
    struct reply_deferred d;
    uint64_t cursor = 0;
    walk.all = bytes_equal(walk.pattern, BYTES("*"));
    reply_begin(c->reply, &d);
    // Nothing is written meanwhile, so that no bucket is met twice: rehashing is held up.
    dict_pause(ctx_db(c)->keys);
    do
        cursor = db_scan(ctx_db(c), cursor, keys_visit, &walk);
    while (cursor != 0);
    dict_resume(ctx_db(c)->keys);
    reply_end_array(c->reply, &d, walk.found);
}

static void scan_visit(void *arg, struct entry *e)
{
    struct scan *scan = arg;
    if (!scan_seen(scan, entry_key(e))) return;
    if (scan->type.data != NULL) {
        const char *name = value_type_name(&e->value);
        if (!bytes_equal_nocase(scan->type, name)) return;
    }
    if (!ctx_entry_gone(scan->c, e)) scan_emit(scan, entry_key(e));
}

static void scan_command(struct ctx *c)
{
    struct scan scan;
    if (!scan_parse(c, 1, SCAN_KEYS, &scan)) return;
    do
        scan.cursor = db_scan(ctx_db(c), scan.cursor, scan_visit, &scan);
    while (scan_more(&scan));
    scan_reply(&scan);
}

// How many keys whose time has come are passed over before one is given all the same: a replica
// may hold nothing else, and may not delete them.
enum { RANDOM_TRIES = 100 };

static void randomkey(struct ctx *c)
{
    struct db *db = ctx_db(c);
    for (int tries = 1;; tries++) {
        struct entry *e = db_random(ctx_store(c), db);
        if (e == NULL) {
            reply_null(c->reply);
            return;
        }
        struct str *key = str_from(entry_key(e));
        bool give = !ctx_entry_gone(c, e) || (tries >= RANDOM_TRIES && db_find(db, str_view(key)));
        if (give) reply_bulk(c->reply, str_view(key));
        str_free(key);
        if (give) return;
    }
}

static void dbsize(struct ctx *c)
{
    reply_integer(c->reply, (int64_t)dict_count(ctx_db(c)->keys));
}

// ---- emptying, swapping -------------------------------------------------------------------------

// ASYNC and SYNC are both understood: tables are freed in slices either way.
static bool parse_flush(struct ctx *c)
{
    if (c->argc == 1 || (c->argc == 2 && (ctx_is(c, 1, "async") || ctx_is(c, 1, "sync"))))
        return true;
    ctx_syntax_error(c);
    return false;
}

static void propagate_even_unchanged(struct ctx *c)
{
    struct bytes argv[3];
    int argc = 0;
    for (int i = 0; i < c->argc && i < 3; i++)
        argv[argc++] = ctx_arg(c, i);
    ctx_propagate_as(c, argc, argv);
}

static void flush(struct ctx *c, int db, uint64_t keys_gone)
{
    propagate_even_unchanged(c);
    for (int i = 0; i < ctx_store(c)->live->count; i++)
        if (db == -1 || db == i) node_db_changing(c->node, i, NULL);
    store_flush(ctx_store(c), db);
    node_db_changed(c->node, db);
    c->dirty += keys_gone;
    reply_ok(c->reply);
}

static void flushdb(struct ctx *c)
{
    if (parse_flush(c)) flush(c, c->db, dict_count(ctx_db(c)->keys));
}

static void flushall(struct ctx *c)
{
    if (!parse_flush(c)) return;
    flush(c, -1, keyspace_keys(ctx_store(c)->live));
    persist_flushed(c->node);
}

static bool parse_swap(struct ctx *c, int index, const char *error, int *db)
{
    int64_t number;
    if (!text_to_i64(ctx_arg(c, index), &number) || number < INT32_MIN || number > INT32_MAX) {
        reply_error(c->reply, error);
        return false;
    }
    *db = (int)number;
    return true;
}

static void swapdb(struct ctx *c)
{
    int a, b, count = ctx_store(c)->live->count;
    if (!parse_swap(c, 1, "invalid first DB index", &a)) return;
    if (!parse_swap(c, 2, "invalid second DB index", &b)) return;
    if (a < 0 || b < 0 || a >= count || b >= count) {
        reply_error(c->reply, "DB index is out of range");
        return;
    }
    if (a != b) {
        struct store *s = ctx_store(c);
        node_db_changing(c->node, a, store_db(s, b));
        node_db_changing(c->node, b, store_db(s, a));
        store_swap_dbs(s, a, b);
        node_db_changed(c->node, a);
        node_db_changed(c->node, b);
    }
    c->dirty++;
    reply_ok(c->reply);
}

enum { WHOLE = CMD_WRITE | CMD_ALL_KEYS };

const struct command commands_keyspace[] = {
    {"keys", keys, 2, CMD_READONLY, .acl = "@keyspace @dangerous"},
    {"scan", scan_command, -2, CMD_READONLY | CMD_ARBITRARY_KEYS, .acl = "@keyspace"},
    {"randomkey", randomkey, 1, CMD_READONLY | CMD_ARBITRARY_KEYS, .acl = "@keyspace"},
    {"dbsize", dbsize, 1, CMD_READONLY | CMD_FAST, .acl = "@keyspace"},
    {"flushdb", flushdb, -1, WHOLE | CMD_ONE_DB, .acl = "@keyspace @dangerous"},
    {"flushall", flushall, -1, WHOLE, .acl = "@keyspace @dangerous"},
    {"swapdb", swapdb, 3, WHOLE | CMD_FAST, .acl = "@keyspace @dangerous"},
    {0},
};
