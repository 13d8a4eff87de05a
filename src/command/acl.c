// ACL: users and what they may do, as commands show and change them. LOAD and SAVE are in
// acl_file.c.
#include "node/acl.h"

#include "base/mem.h"
#include "base/text.h"
#include "command/acl_file.h"
#include "command/help.h"
#include "command/table.h"
#include "node/category.h"
#include "value/dict.h"

#include <openssl/rand.h>

// ---- who there is -------------------------------------------------------------------------------

static void acl_whoami(struct ctx *c)
{
    const struct acl_user *u = c->client->user;
    if (u != NULL)
        reply_bulk(c->reply, str_view(u->name));
    else
        reply_null(c->reply);
}

static void acl_users(struct ctx *c)
{
    const struct acl *acl = c->node->acl;
    reply_array(c->reply, (size_t)acl->count);
    for (int i = 0; i < acl->count; i++)
        reply_bulk(c->reply, str_view(acl->users[i]->name));
}

static void acl_list(struct ctx *c)
{
    const struct acl *acl = c->node->acl;
    reply_array(c->reply, (size_t)acl->count);
    for (int i = 0; i < acl->count; i++) {
        struct buf text = BUF_EMPTY;
        buf_append_cstr(&text, "user ");
        buf_append_bytes(&text, str_view(acl->users[i]->name));
        buf_append_byte(&text, ' ');
        acl_user_describe(acl->users[i], &text);
        reply_bulk(c->reply, buf_view(&text));
        buf_free(&text);
    }
}

// ---- GETUSER ------------------------------------------------------------------------------------

static void reply_flags(struct reply *r, const struct acl_user *u)
{
    static const char *const payloads[] = {NULL, "sanitize-payload", "skip-sanitize-payload"};
    reply_bulk_cstr(r, "flags");
    reply_set(r, 1u + u->nopass + (u->payload != PAYLOAD_UNSAID));
    reply_bulk_cstr(r, u->enabled ? "on" : "off");
    if (u->nopass) reply_bulk_cstr(r, "nopass");
    if (u->payload != PAYLOAD_UNSAID) reply_bulk_cstr(r, payloads[u->payload]);
}

static void reply_part(struct reply *r, const char *name,
                       void (*describe)(const struct acl_selector *s, struct buf *out),
                       const struct acl_selector *s)
{
    struct buf text = BUF_EMPTY;
    describe(s, &text);
    reply_bulk_cstr(r, name);
    reply_bulk(r, buf_view(&text));
    buf_free(&text);
}

static void describe_commands(const struct acl_selector *s, struct buf *out)
{
    acl_commands_describe(&s->commands, out);
}

// Three pairs of a map.
static void reply_selector(struct reply *r, const struct acl_selector *s)
{
    reply_part(r, "commands", describe_commands, s);
    reply_part(r, "keys", acl_selector_keys, s);
    reply_part(r, "channels", acl_selector_channels, s);
}

static void acl_getuser(struct ctx *c)
{
    const struct acl_user *u = acl_find(c->node, ctx_arg(c, 2));
    struct reply *r = c->reply;
    if (u == NULL) {
        reply_null(r);
        return;
    }
    reply_map(r, 6);
    reply_flags(r, u);
    reply_bulk_cstr(r, "passwords");
    reply_array(r, (size_t)u->password_count);
    for (int i = 0; i < u->password_count; i++)
        reply_bulk_cstr(r, u->passwords[i].hex);
    reply_selector(r, &u->selectors[0]);
    reply_bulk_cstr(r, "selectors");
    reply_array(r, (size_t)u->selector_count - 1);
    for (int i = 1; i < u->selector_count; i++) {
        reply_map(r, 3);
        reply_selector(r, &u->selectors[i]);
    }
}

// ---- SETUSER and DELUSER ------------------------------------------------------------------------

static void acl_setuser(struct ctx *c)
{
    struct bytes name = ctx_arg(c, 2);
    if (!acl_user_name_valid(name)) {
        reply_error(c->reply, "Usernames can't contain spaces or null characters");
        return;
    }
    int count = c->argc - 3, failed = 0;
    struct bytes *words = mem_array(struct bytes, (size_t)count + 1);
    for (int i = 0; i < count; i++)
        words[i] = ctx_arg(c, i + 3);
    struct str *rule;
    enum acl_error why = ACL_FINE;
    if (acl_set_user(c->node, name, count, words, &failed, &rule, &why))
        reply_ok(c->reply);
    else if (rule == NULL)
        reply_errorf(c->reply, "Unmatched parenthesis in acl selector starting at '%.128s'.",
                     c->argv[failed + 3]->data);
    else
        reply_errorf(c->reply, "Error in ACL SETUSER modifier '%.128s': %s", rule->data,
                     acl_error_text(why));
    str_free(rule);
    mem_free(words);
}

static void acl_deluser(struct ctx *c)
{
    for (int i = 2; i < c->argc; i++) {
        if (!bytes_equal(ctx_arg(c, i), BYTES("default"))) continue;
        reply_error(c->reply, "The 'default' user cannot be removed");
        return;
    }
    int64_t deleted = 0;
    for (int i = 2; i < c->argc; i++)
        deleted += acl_delete_user(c->node, ctx_arg(c, i));
    reply_integer(c->reply, deleted);
    client_touch_output(c->client);
}

// ---- DRYRUN -------------------------------------------------------------------------------------

static void acl_dryrun(struct ctx *c)
{
    const struct acl_user *u = acl_find(c->node, ctx_arg(c, 2));
    if (u == NULL) {
        reply_errorf(c->reply, "User '%.128s' not found", c->argv[2]->data);
        return;
    }
    int argc = c->argc - 3, index;
    struct str **argv = c->argv + 3;
    const struct command_slot *slot = dispatch_lookup(c->node, argc, argv);
    if (slot == NULL) {
        reply_errorf(c->reply, "Command '%.128s' not found", argv[0]->data);
        return;
    }
    int arity = slot->command->arity;
    if ((arity > 0 && argc != arity) || argc < -arity) {
        reply_errorf(c->reply, "wrong number of arguments for '%s' command", slot->name);
        return;
    }
    switch (acl_check(u, slot, argc, argv, &index)) {
    case ACL_ALLOWED:
        reply_ok(c->reply);
        break;
    case ACL_NO_KEY:
        reply_bulkf(c->reply, "This user has no permissions to access the '%s' key",
                    argv[index]->data);
        break;
    case ACL_NO_CHANNEL:
        reply_bulkf(c->reply, "This user has no permissions to access the '%s' channel",
                    argv[index]->data);
        break;
    default:
        reply_bulkf(c->reply, "This user has no permissions to run the '%s' command", slot->name);
    }
}

// ---- CAT ----------------------------------------------------------------------------------------

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

// ---- GENPASS ------------------------------------------------------------------------------------

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

// ---- LOG ----------------------------------------------------------------------------------------

static void reply_event(struct reply *r, const struct acl_event *e, int64_t now_ms)
{
    static const char *const reasons[] = {"", "command", "key", "auth", "channel"};
    reply_map(r, 7);
    reply_bulk_cstr(r, "count");
    reply_integer(r, (int64_t)e->count);
    reply_bulk_cstr(r, "reason");
    reply_bulk_cstr(r, reasons[e->verdict]);
    reply_bulk_cstr(r, "context");
    reply_bulk_cstr(r, e->in_multi ? "multi" : "toplevel");
    reply_bulk_cstr(r, "object");
    reply_bulk(r, str_view(e->object));
    reply_bulk_cstr(r, "username");
    reply_bulk(r, str_view(e->user));
    reply_bulk_cstr(r, "age-seconds");
    reply_double(r, (double)(now_ms - e->at_ms) / 1000);
    reply_bulk_cstr(r, "client-info");
    reply_bulk(r, str_view(e->client));
}

static void acl_log(struct ctx *c)
{
    struct acl *acl = c->node->acl;
    int64_t wanted = 10;
    if (c->argc > 3) {
        help_refuse(c);
        return;
    }
    if (c->argc == 3 && ctx_is(c, 2, "reset")) {
        acl_log_trim(c->node, 0);
        reply_ok(c->reply);
        return;
    }
    if (c->argc == 3 && !ctx_int(c, 2, &wanted)) return;
    if (wanted < 0) wanted = 0;
    if (wanted > acl->log_count) wanted = acl->log_count;
    reply_array(c->reply, (size_t)wanted);
    list_each(at, &acl->log)
    {
        if (wanted-- == 0) break;
        reply_event(c->reply, list_entry(at, struct acl_event, link), ctx_now_ms(c));
    }
}

static void acl_help(struct ctx *c)
{
    static const char *const lines[] = {
        "CAT [<category>]",
        "    Categories of commands, or the commands of one.",
        "DELUSER <username> [<username> ...]",
        "    Users go, and their connections with them.",
        "DRYRUN <username> <command> [<arg> ...]",
        "    Whether a user may run a command, which is not run.",
        "GETUSER <username>",
        "    What a user may do.",
        "GENPASS [<bits>]",
        "    A random password.",
        "LIST",
        "    The users, as rules.",
        "LOAD",
        "    The users that the ACL file has take the place of those there are.",
        "LOG [<count> | RESET]",
        "    What was denied.",
        "SAVE",
        "    Writes the users to the ACL file.",
        "SETUSER <username> <attribute> [<attribute> ...]",
        "    A new user, or changes to one.",
        "USERS",
        "    Names of the users.",
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
    {"deluser", acl_deluser, -3, ADMIN, .acl = NULL},
    {"dryrun", acl_dryrun, -4, ADMIN, .acl = NULL},
    {"genpass", acl_genpass, -2, ANY, .acl = NULL},
    {"getuser", acl_getuser, 3, ADMIN, .acl = NULL},
    {"list", acl_list, 2, ADMIN, .acl = NULL},
    {"load", acl_load_command, 2, ADMIN, .acl = NULL},
    {"log", acl_log, -2, ADMIN, .acl = NULL},
    {"save", acl_save_command, 2, ADMIN, .acl = NULL},
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
