// What a key's value is made of: OBJECT.
#include "base/mem.h"
#include "base/text.h"
#include "command/table.h"
#include "node/node.h"
#include "store/access.h"
#include "value/string.h"

static void reply_lines(struct ctx *c, const char *const *lines, size_t count)
{
    reply_array(c->reply, count);
    for (size_t i = 0; i < count; i++)
        reply_status(c->reply, lines[i]);
}

// ---- OBJECT -------------------------------------------------------------------------------------

// The entry at argv[2], or NULL: null was replied.
static struct entry *find_object(struct ctx *c)
{
    struct entry *e = ctx_peek_silent(c, ctx_arg(c, 2));
    if (e == NULL) reply_null(c->reply);
    return e;
}

static void object_encoding(struct ctx *c)
{
    struct entry *e = find_object(c);
    if (e != NULL) reply_bulk_cstr(c->reply, value_encoding_name(&e->value));
}

// Redis shares the objects of small integers, unless the eviction policy needs one per key, and
// tells so by this number. Here a number needs no object at all, which clients may take as shared.
enum { SHARED_INTEGERS = 10000 };

static bool counts_as_shared(const struct store *s, const struct value *v)
{
    int64_t number;
    return v->encoding == ENCODING_INT && !s->lru && !s->lfu && string_to_i64(v, &number) &&
           number >= 0 && number < SHARED_INTEGERS;
}

static void object_refcount(struct ctx *c)
{
    struct entry *e = find_object(c);
    if (e == NULL) return;
    reply_integer(c->reply, counts_as_shared(ctx_store(c), &e->value) ? INT32_MAX : 1);
}

static void object_idletime(struct ctx *c)
{
    struct entry *e = find_object(c);
    if (e == NULL) return;
    if (ctx_store(c)->lfu)
        reply_error(c->reply, "An LFU maxmemory policy is selected, idle time not tracked. Please "
                              "note that when switching between policies at runtime LRU and LFU "
                              "data will take some time to adjust.");
    else
        reply_integer(c->reply, entry_idle_s(ctx_store(c), e));
}

static void object_freq(struct ctx *c)
{
    struct entry *e = find_object(c);
    if (e == NULL) return;
    if (!ctx_store(c)->lfu)
        reply_error(c->reply, "An LFU maxmemory policy is not selected, access frequency not "
                              "tracked. Please note that when switching between policies at "
                              "runtime LRU and LFU data will take some time to adjust.");
    else
        reply_integer(c->reply, entry_freq(ctx_store(c), e));
}

static void object_help(struct ctx *c)
{
    static const char *const lines[] = {
        "OBJECT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "ENCODING <key>",
        "    Return the kind of internal representation used in order to store the value",
        "    associated with a <key>.",
        "FREQ <key>",
        "    Return the access frequency index of the <key>. The returned integer is",
        "    proportional to the logarithm of the recent access frequency of the key.",
        "IDLETIME <key>",
        "    Return the idle time of the <key>, that is the approximated number of",
        "    seconds elapsed since the last access to the key.",
        "REFCOUNT <key>",
        "    Return the number of references of the value associated with the specified",
        "    <key>.",
        "HELP",
        "    Prints this help.",
    };
    reply_lines(c, lines, sizeof(lines) / sizeof(lines[0]));
}

static const struct command object_children[] = {
    {"encoding", object_encoding, 3, CMD_READONLY, .keys = {{2, 2, 1, KEY_READ}},
     .acl = "@keyspace"},
    {"refcount", object_refcount, 3, CMD_READONLY, .keys = {{2, 2, 1, KEY_READ}},
     .acl = "@keyspace"},
    {"idletime", object_idletime, 3, CMD_READONLY, .keys = {{2, 2, 1, KEY_READ}},
     .acl = "@keyspace"},
    {"freq", object_freq, 3, CMD_READONLY, .keys = {{2, 2, 1, KEY_READ}}, .acl = "@keyspace"},
    {"help", object_help, 2, CMD_LOADING | CMD_STALE, .acl = "@keyspace"},
    {0},
};

const struct command commands_object[] = {
    {"object", NULL, -2, 0, .children = object_children},
    {0},
};
