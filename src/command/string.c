// Strings as wholes: GET, SET and their relatives, MGET and MSET. Numbers are in string_number.c,
// parts of strings in string_range.c.
#include "value/string.h"
#include "command/expire.h"
#include "command/table.h"
#include "node/notify.h"

// ---- what SET and GETEX take ------------------------------------------------------------------

enum set_flag {
    SET_NX = 1 << 0,
    SET_XX = 1 << 1,
    SET_GET = 1 << 2,
    SET_KEEP_TTL = 1 << 3,
    SET_PERSIST = 1 << 4,
    SET_EXPIRE = 1 << 5,                                      // a time to live is given ...
    SET_SECONDS = 1 << 6,                                     // ... in seconds, not milliseconds
    SET_ABSOLUTE = 1 << 7,                                    // ... as a point in time
    SET_TIME_KINDS = SET_KEEP_TTL | SET_PERSIST | SET_EXPIRE, // of which at most one is given
};

struct set_option {
    const char *word;
    uint32_t flags, excludes;
};

// Options that SET takes, and those that GETEX takes.
static const struct set_option set_options[] = {
    {"nx", SET_NX, SET_XX},
    {"xx", SET_XX, SET_NX},
    {"get", SET_GET, 0},
    {"keepttl", SET_KEEP_TTL, SET_TIME_KINDS & ~SET_KEEP_TTL},
    {"ex", SET_EXPIRE | SET_SECONDS, SET_TIME_KINDS},
    {"px", SET_EXPIRE, SET_TIME_KINDS},
    {"exat", SET_EXPIRE | SET_SECONDS | SET_ABSOLUTE, SET_TIME_KINDS},
    {"pxat", SET_EXPIRE | SET_ABSOLUTE, SET_TIME_KINDS},
    {0},
};
static const struct set_option getex_options[] = {
    {"persist", SET_PERSIST, SET_TIME_KINDS & ~SET_PERSIST},
    {"ex", SET_EXPIRE | SET_SECONDS, SET_TIME_KINDS},
    {"px", SET_EXPIRE, SET_TIME_KINDS},
    {"exat", SET_EXPIRE | SET_SECONDS | SET_ABSOLUTE, SET_TIME_KINDS},
    {"pxat", SET_EXPIRE | SET_ABSOLUTE, SET_TIME_KINDS},
    {0},
};

// Reads the options from `index` on; *time is the index of the time to live, if one is given.
static bool parse_options(struct ctx *c, const struct set_option *options, int index,
                          uint32_t *flags, int *time)
{
    *flags = 0;
    *time = 0;
    for (int i = index; i < c->argc; i++) {
        const struct set_option *o = options;
        while (o->word != NULL && !ctx_is(c, i, o->word))
            o++;
        bool takes_time = o->word != NULL && (o->flags & SET_EXPIRE);
        if (o->word == NULL || (*flags & o->excludes) || (takes_time && i + 1 >= c->argc)) {
            ctx_syntax_error(c);
            return false;
        }
        *flags |= o->flags;
        if (takes_time) *time = ++i;
    }
    return true;
}

// The instant that a time to live means, Unix milliseconds.
static bool parse_time(struct ctx *c, int index, uint32_t flags, int64_t *at_ms)
{
    int64_t time;
    if (!ctx_int(c, index, &time)) return false;
    bool fits = time > 0;
    if (fits && (flags & SET_SECONDS)) fits = !__builtin_mul_overflow(time, (int64_t)1000, &time);
    if (fits && !(flags & SET_ABSOLUTE)) fits = !__builtin_add_overflow(time, ctx_now_ms(c), &time);
    if (!fits) {
        reply_errorf(c->reply, "invalid expire time in '%s' command", c->command->name);
        return false;
    }
    *at_ms = time;
    return true;
}

// ---- SET ----------------------------------------------------------------------------------------

// Replies the string, or null. False: WRONGTYPE was replied.
static bool reply_string(struct ctx *c, struct bytes key)
{
    struct entry *e;
    char scratch[TEXT_I64_BYTES];
    if (!ctx_find_read_type(c, key, VALUE_STRING, &e)) return false;
    if (e == NULL)
        reply_null(c->reply);
    else
        reply_bulk(c->reply, string_view(&e->value, scratch));
    return true;
}

static void store_string(struct ctx *c, int key_index, int value_index, bool keep_ttl)
{
    struct bytes key = ctx_arg(c, key_index);
    struct value value;
    string_take(&value, ctx_take(c, value_index));
    ctx_set(c, key, &value, keep_ttl);
    ctx_changed(c, key, 1);
    ctx_notify(c, NOTIFY_STRING, "set", key);
}

// Replicas get the instant instead of the span, and neither conditions nor GET.
static void propagate_with_time(struct ctx *c, struct bytes key, struct bytes value, int64_t at_ms)
{
    char digits[TEXT_I64_BYTES];
    struct bytes at = bytes_of(digits, text_from_i64(digits, at_ms));
    struct bytes argv[] = {BYTES("SET"), key, value, BYTES("PXAT"), at};
    ctx_propagate_as(c, 5, argv);
}

static void propagate_without_get(struct ctx *c, uint32_t flags)
{
    struct bytes argv[5] = {BYTES("SET"), ctx_arg(c, 1), ctx_arg(c, 2)};
    int argc = 3;
    if (flags & SET_NX) argv[argc++] = BYTES("NX");
    if (flags & SET_XX) argv[argc++] = BYTES("XX");
    if (flags & SET_KEEP_TTL) argv[argc++] = BYTES("KEEPTTL");
    ctx_propagate_as(c, argc, argv);
}

static void set_and_expire(struct ctx *c, int value_index, int64_t at_ms)
{
    struct bytes key = ctx_arg(c, 1);
    ctx_find_write(c, key); // one whose time has come goes first, to replicas too
    propagate_with_time(c, key, ctx_arg(c, value_index), at_ms);
    struct value value;
    string_take(&value, ctx_take(c, value_index));
    struct entry *e = ctx_set(c, key, &value, true);
    db_set_expire(ctx_store(c), ctx_db(c), e, at_ms);
    ctx_changed(c, key, 1);
    ctx_notify(c, NOTIFY_STRING, "set", key);
    ctx_notify(c, NOTIFY_GENERIC, "expire", key);
}

static void set(struct ctx *c)
{
    uint32_t flags;
    int time;
    int64_t at_ms = 0;
    struct bytes key = ctx_arg(c, 1);
    if (!parse_options(c, set_options, 3, &flags, &time)) return;
    if ((flags & SET_EXPIRE) && !parse_time(c, time, flags, &at_ms)) return;
    if ((flags & SET_GET) && !reply_string(c, key)) return;
    if (flags & (SET_NX | SET_XX)) {
        bool found = ctx_find_write(c, key) != NULL;
        if (found ? flags & SET_NX : flags & SET_XX) {
            if (!(flags & SET_GET)) reply_null(c->reply);
            return;
        }
    }
    if (flags & SET_EXPIRE) {
        set_and_expire(c, 2, at_ms);
    } else {
        if (flags & SET_GET) propagate_without_get(c, flags);
        store_string(c, 1, 2, flags & SET_KEEP_TTL);
    }
    if (!(flags & SET_GET)) reply_ok(c->reply);
}

static void setnx(struct ctx *c)
{
    if (ctx_find_write(c, ctx_arg(c, 1)) != NULL) {
        reply_integer(c->reply, 0);
        return;
    }
    store_string(c, 1, 2, false);
    reply_integer(c->reply, 1);
}

static void set_with_time(struct ctx *c, uint32_t flags)
{
    int64_t at_ms;
    if (!parse_time(c, 2, flags, &at_ms)) return;
    set_and_expire(c, 3, at_ms);
    reply_ok(c->reply);
}

static void setex(struct ctx *c)
{
    set_with_time(c, SET_EXPIRE | SET_SECONDS);
}

static void psetex(struct ctx *c)
{
    set_with_time(c, SET_EXPIRE);
}

// ---- GET ----------------------------------------------------------------------------------------

static void get(struct ctx *c)
{
    reply_string(c, ctx_arg(c, 1));
}

static void getset(struct ctx *c)
{
    if (!reply_string(c, ctx_arg(c, 1))) return;
    struct bytes argv[] = {BYTES("SET"), ctx_arg(c, 1), ctx_arg(c, 2)};
    ctx_propagate_as(c, 3, argv);
    store_string(c, 1, 2, false);
}

static void getdel(struct ctx *c)
{
    struct bytes key = ctx_arg(c, 1);
    if (!reply_string(c, key) || !ctx_delete(c, key)) return;
    struct bytes argv[] = {BYTES("DEL"), key};
    ctx_propagate_as(c, 2, argv);
    ctx_changed(c, key, 1);
    ctx_notify(c, NOTIFY_GENERIC, "del", key);
}

static void getex_expire(struct ctx *c, struct entry *e, int64_t at_ms)
{
    struct bytes key = ctx_arg(c, 1);
    char digits[TEXT_I64_BYTES];
    db_set_expire(ctx_store(c), ctx_db(c), e, at_ms);
    struct bytes at = bytes_of(digits, text_from_i64(digits, at_ms));
    struct bytes argv[] = {BYTES("PEXPIREAT"), key, at};
    ctx_propagate_as(c, 3, argv);
    ctx_changed(c, key, 1);
    ctx_notify(c, NOTIFY_GENERIC, "expire", key);
}

static void getex(struct ctx *c)
{
    uint32_t flags;
    int time;
    int64_t at_ms = 0;
    struct bytes key = ctx_arg(c, 1);
    struct entry *e;
    char scratch[TEXT_I64_BYTES];
    if (!parse_options(c, getex_options, 2, &flags, &time)) return;
    if (!ctx_find_read_type(c, key, VALUE_STRING, &e)) return;
    if (e == NULL) {
        reply_null(c->reply);
        return;
    }
    if ((flags & SET_EXPIRE) && !parse_time(c, time, flags, &at_ms)) return;
    reply_bulk(c->reply, string_view(&e->value, scratch));
    if ((flags & SET_ABSOLUTE) && expire_at_once(c, at_ms)) {
        expire_delete(c, key);
    } else if (flags & SET_EXPIRE) {
        getex_expire(c, e, at_ms);
    } else if ((flags & SET_PERSIST) && e->expire_ms != ENTRY_NO_EXPIRE) {
        db_set_expire(ctx_store(c), ctx_db(c), e, ENTRY_NO_EXPIRE);
        struct bytes argv[] = {BYTES("PERSIST"), key};
        ctx_propagate_as(c, 2, argv);
        ctx_changed(c, key, 1);
        ctx_notify(c, NOTIFY_GENERIC, "persist", key);
    }
}

// ---- several keys -------------------------------------------------------------------------------

static void mget(struct ctx *c)
{
    char scratch[TEXT_I64_BYTES];
    reply_array(c->reply, (size_t)c->argc - 1);
    for (int i = 1; i < c->argc; i++) {
        struct entry *e = ctx_find_read(c, ctx_arg(c, i));
        if (e == NULL || e->value.type != VALUE_STRING)
            reply_null(c->reply);
        else
            reply_bulk(c->reply, string_view(&e->value, scratch));
    }
}

static bool pairs_complete(struct ctx *c)
{
    if (c->argc % 2 == 1) return true;
    reply_errorf(c->reply, "wrong number of arguments for '%s' command", c->command->name);
    return false;
}

static void mset(struct ctx *c)
{
    if (!pairs_complete(c)) return;
    for (int i = 1; i < c->argc; i += 2)
        store_string(c, i, i + 1, false);
    reply_ok(c->reply);
}

static void msetnx(struct ctx *c)
{
    if (!pairs_complete(c)) return;
    for (int i = 1; i < c->argc; i += 2) {
        if (ctx_find_write(c, ctx_arg(c, i)) == NULL) continue;
        reply_integer(c->reply, 0);
        return;
    }
    for (int i = 1; i < c->argc; i += 2)
        store_string(c, i, i + 1, false);
    reply_integer(c->reply, 1);
}

enum { GROWS = CMD_WRITE | CMD_DENYOOM };

const struct command commands_string[] = {
    {"get", get, 2, CMD_READONLY | CMD_FAST, .keys = {{1, 1, 1, KEY_READ}}, .acl = "@string"},
    {"set", set, -3, GROWS, .keys = {{1, 1, 1, KEY_READ_WRITE}}, .acl = "@string"},
    {"setnx", setnx, 3, GROWS | CMD_FAST, .keys = {{1, 1, 1, KEY_WRITE}}, .acl = "@string"},
    {"setex", setex, 4, GROWS, .keys = {{1, 1, 1, KEY_WRITE}}, .acl = "@string"},
    {"psetex", psetex, 4, GROWS, .keys = {{1, 1, 1, KEY_WRITE}}, .acl = "@string"},
    {"getset", getset, 3, GROWS | CMD_FAST, .keys = {{1, 1, 1, KEY_READ_WRITE}}, .acl = "@string"},
    {"getdel", getdel, 2, CMD_WRITE | CMD_FAST, .keys = {{1, 1, 1, KEY_READ_WRITE}},
     .acl = "@string"},
    {"getex", getex, -2, CMD_WRITE | CMD_FAST, .keys = {{1, 1, 1, KEY_READ_WRITE}},
     .acl = "@string"},
    {"mget", mget, -2, CMD_READONLY | CMD_FAST, .keys = {{1, -1, 1, KEY_READ}}, .acl = "@string"},
    {"mset", mset, -3, GROWS, .keys = {{1, -1, 2, KEY_WRITE}}, .acl = "@string"},
    {"msetnx", msetnx, -3, GROWS, .keys = {{1, -1, 2, KEY_WRITE}}, .acl = "@string"},
    {0},
};
