// ACL: there is one user, "default", who may do everything. What would change that says so.
#include "command/category.h"
#include "command/help.h"
#include "command/table.h"
#include "node/ctx_impl.h"
#include "value/dict.h"

#include <openssl/evp.h>
#include <openssl/rand.h>

static const char rights[] = "~* &* +@all";

// The password as Redis shows it: SHA-256, in hex.
static void password_hash(const char *password, char out[65])
{
    unsigned char digest[32];
    unsigned len = 0;
    EVP_Digest(password, strlen(password), digest, &len, EVP_sha256(), NULL);
    for (size_t i = 0; i < sizeof(digest); i++) {
        out[2 * i] = "0123456789abcdef"[digest[i] >> 4];
        out[2 * i + 1] = "0123456789abcdef"[digest[i] & 15];
    }
    out[64] = '\0';
}

static bool has_password(const struct ctx *c)
{
    return c->node->config.requirepass[0] != '\0';
}

static void acl_whoami(struct ctx *c)
{
    reply_bulk_cstr(c->reply, "default");
}

static void acl_users(struct ctx *c)
{
    reply_array(c->reply, 1);
    reply_bulk_cstr(c->reply, "default");
}

static void acl_list(struct ctx *c)
{
    reply_array(c->reply, 1);
    if (!has_password(c)) {
        reply_bulkf(c->reply, "user default on nopass %s", rights);
        return;
    }
    char hash[65];
    password_hash(c->node->config.requirepass, hash);
    reply_bulkf(c->reply, "user default on #%s %s", hash, rights);
}

static void acl_getuser(struct ctx *c)
{
    if (!bytes_equal(ctx_arg(c, 2), BYTES("default"))) {
        reply_null(c->reply);
        return;
    }
    struct reply *r = c->reply;
    reply_map(r, 6);
    reply_bulk_cstr(r, "flags");
    reply_set(r, has_password(c) ? 1 : 2);
    reply_bulk_cstr(r, "on");
    if (!has_password(c)) reply_bulk_cstr(r, "nopass");
    reply_bulk_cstr(r, "passwords");
    reply_array(r, has_password(c));
    if (has_password(c)) {
        char hash[65];
        password_hash(c->node->config.requirepass, hash);
        reply_bulk_cstr(r, hash);
    }
    reply_bulk_cstr(r, "commands");
    reply_bulk_cstr(r, "+@all");
    reply_bulk_cstr(r, "keys");
    reply_bulk_cstr(r, "~*");
    reply_bulk_cstr(r, "channels");
    reply_bulk_cstr(r, "&*");
    reply_bulk_cstr(r, "selectors");
    reply_array(r, 0);
}

static void list_category(struct ctx *c, int index)
{
    struct reply_deferred all;
    size_t count = 0;
    reply_begin(c->reply, &all);
    struct dict_iter it;
    dict_iter_begin(&it, c->node->command_index);
    for (struct command_slot *slot; (slot = dict_iter_next(&it)) != NULL;) {
        if (!(categories_of(slot->command) & (1u << index))) continue;
        reply_bulk_cstr(c->reply, slot->name);
        count++;
    }
    dict_iter_end(&it);
    reply_end_array(c->reply, &all, count);
}

static void acl_cat(struct ctx *c)
{
    if (c->argc > 3) {
        help_refuse(c);
        return;
    }
    if (c->argc == 2) {
        reply_array(c->reply, CATEGORY_COUNT);
        for (int i = 0; i < CATEGORY_COUNT; i++)
            reply_bulk_cstr(c->reply, category_names[i]);
        return;
    }
    int index = category_find(ctx_arg(c, 2));
    if (index < 0)
        reply_errorf(c->reply, "Unknown category '%.128s'", c->argv[2]->data);
    else
        list_category(c, index);
}

static void acl_genpass(struct ctx *c)
{
    int64_t bits = 256;
    if (c->argc > 3) {
        help_refuse(c);
        return;
    }
    if (c->argc == 3 && !ctx_int(c, 2, &bits)) return;
    if (bits <= 0 || bits > 4096) {
        reply_error(c->reply, "ACL GENPASS argument must be the number of bits for the output "
                              "password, a positive number up to 4096");
        return;
    }
    unsigned char random[512];
    char hex[1024];
    size_t digits = ((size_t)bits + 3) / 4;
    if (RAND_bytes(random, sizeof(random)) != 1) {
        reply_error(c->reply, "no randomness to be had");
        return;
    }
    for (size_t i = 0; i < digits; i++)
        hex[i] = "0123456789abcdef"[i % 2 ? random[i / 2] & 15 : random[i / 2] >> 4];
    reply_bulk(c->reply, bytes_of(hex, digits));
}

static void acl_unsupported(struct ctx *c)
{
    reply_errorf(c->reply,
                 "ACL %.32s is not supported by wherry: there is one user, default, with the "
                 "password of requirepass",
                 c->argv[1]->data);
}

// What is so already may be asked for: "SETUSER default on nopass ~* &* +@all".
static bool holds_already(const struct ctx *c, int index)
{
    static const char *const same[] = {"on",          "~*",    "allkeys",     "&*",
                                       "allchannels", "+@all", "allcommands", NULL};
    for (int i = 0; same[i] != NULL; i++)
        if (ctx_is(c, index, same[i])) return true;
    return ctx_is(c, index, "nopass") && !has_password(c);
}

static void acl_setuser(struct ctx *c)
{
    bool same = bytes_equal(ctx_arg(c, 2), BYTES("default"));
    for (int i = 3; i < c->argc && same; i++)
        same = holds_already(c, i);
    if (same)
        reply_ok(c->reply);
    else
        acl_unsupported(c);
}

// Nothing is ever denied for want of rights, so that the log is empty.
static void acl_log(struct ctx *c)
{
    if (c->argc == 3 && ctx_is(c, 2, "reset"))
        reply_ok(c->reply);
    else
        reply_array(c->reply, 0);
}

static void acl_help(struct ctx *c)
{
    static const char *const lines[] = {
        "CAT [<category>]",
        "    Categories of commands, or the commands of one.",
        "GENPASS [<bits>]",
        "    A random password.",
        "GETUSER <username>",
        "    What a user may do.",
        "LIST",
        "    The users, as rules.",
        "LOG [<count> | RESET]",
        "    What was denied.",
        "USERS",
        "    Names of the users: \"default\" is the only one.",
        "WHOAMI",
        "    Who this connection is.",
        NULL,
    };
    help_reply(c, lines);
}

enum {
    ANY = CMD_NOSCRIPT | CMD_LOADING | CMD_STALE,
    ADMIN = ANY | CMD_ADMIN,
};

static const struct command acl_children[] = {
    {"cat", acl_cat, -2, ANY, .acl = NULL},
    {"deluser", acl_unsupported, -3, ADMIN, .acl = NULL},
    {"dryrun", acl_unsupported, -4, ADMIN, .acl = NULL},
    {"genpass", acl_genpass, -2, ANY, .acl = NULL},
    {"getuser", acl_getuser, 3, ADMIN, .acl = NULL},
    {"list", acl_list, 2, ADMIN, .acl = NULL},
    {"load", acl_unsupported, 2, ADMIN, .acl = NULL},
    {"log", acl_log, -2, ADMIN, .acl = NULL},
    {"save", acl_unsupported, 2, ADMIN, .acl = NULL},
    {"setuser", acl_setuser, -3, ADMIN, .acl = NULL},
    {"users", acl_users, 2, ADMIN, .acl = NULL},
    {"whoami", acl_whoami, 2, ANY, .acl = NULL},
    {"help", acl_help, 2, CMD_LOADING | CMD_STALE, .acl = NULL},
    {0},
};

const struct command commands_acl[] = {
    {"acl", NULL, -2, 0, .children = acl_children},
    {0},
};
