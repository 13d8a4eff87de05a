// COMMAND: what commands there are, for clients that ask.
#include "base/mem.h"
#include "base/text.h"
#include "command/help.h"
#include "command/table.h"
#include "node/category.h"
#include "node/ctx_impl.h"
#include "node/facts.h"
#include "node/keyspec.h"
#include "value/dict.h"

#include <stdio.h>

// ---- one command --------------------------------------------------------------------------------

static const struct {
    uint32_t flag;
    const char *name;
} flag_names[] = {
    {CMD_WRITE, "write"},
    {CMD_READONLY, "readonly"},
    {CMD_DENYOOM, "denyoom"},
    {CMD_ADMIN, "admin"},
    {CMD_PUBSUB, "pubsub"},
    {CMD_NOSCRIPT, "noscript"},
    {CMD_BLOCKING, "blocking"},
    {CMD_LOADING, "loading"},
    {CMD_STALE, "stale"},
    {CMD_SKIP_MONITOR, "skip_monitor"},
    {CMD_SKIP_SLOWLOG, "skip_slowlog"},
    {CMD_FAST, "fast"},
    {CMD_NO_AUTH, "no_auth"},
    {CMD_NO_MANDATORY_KEYS, "no_mandatory_keys"},
    {CMD_NO_ASYNC_LOADING, "no_async_loading"},
    {CMD_NO_MULTI, "no_multi"},
    {CMD_MOVABLE_KEYS, "movablekeys"},
    {CMD_ALLOW_BUSY, "allow_busy"},
};

static void reply_flags(struct reply *r, uint32_t flags)
{
    size_t count = 0;
    for (size_t i = 0; i < sizeof(flag_names) / sizeof(flag_names[0]); i++)
        count += (flags & flag_names[i].flag) != 0;
    reply_set(r, count);
    for (size_t i = 0; i < sizeof(flag_names) / sizeof(flag_names[0]); i++)
        if (flags & flag_names[i].flag) reply_status(r, flag_names[i].name);
}

static void reply_categories(struct reply *r, const struct command *cmd)
{
    uint32_t bits = categories_of(cmd);
    reply_set(r, (size_t)__builtin_popcount(bits));
    for (int i = 0; i < CATEGORY_COUNT; i++) {
        char name[32] = "@";
        if (!(bits & (1u << i))) continue;
        strncat(name, category_names[i], sizeof(name) - 2);
        reply_status(r, name);
    }
}

static void reply_tips(struct reply *r, const char *tips)
{
    size_t count = tips != NULL;
    for (const char *at = tips; at != NULL && (at = strchr(at, ' ')) != NULL; at++)
        count++;
    reply_array(r, count);
    for (const char *at = tips; count > 0; count--) {
        size_t len = strcspn(at, " ");
        reply_bulk(r, bytes_of(at, len));
        at += len + 1;
    }
}

static size_t child_count(const struct command *cmd)
{
    size_t count = 0;
    for (const struct command *child = cmd->children; child && child->name != NULL; child++)
        count++;
    return count;
}

static void full_name(const struct command *parent, const struct command *cmd, char out[64])
{
    snprintf(out, 64, "%s%s%s", parent ? parent->name : "", parent ? "|" : "", cmd->name);
}

static void reply_info(struct reply *r, const struct command *parent, const struct command *cmd)
{
    char name[64];
    full_name(parent, cmd, name);
    const struct command_facts *facts = command_facts(name);
    struct keyspec specs[KEYSPECS_MAX];
    int count = facts != NULL ? keyspecs_parse(facts->specs, specs) : 0;
    int range[3] = {cmd->keys[0].first, cmd->keys[0].last, cmd->keys[0].step};
    if (facts != NULL) keyspecs_range(specs, count, range);
    reply_array(r, 10);
    reply_bulk_cstr(r, name);
    reply_integer(r, cmd->arity);
    reply_flags(r, cmd->flags);
    for (int i = 0; i < 3; i++)
        reply_integer(r, range[i]);
    reply_categories(r, cmd);
    reply_tips(r, facts != NULL ? facts->tips : NULL);
    reply_array(r, (size_t)count);
    for (int i = 0; i < count; i++)
        keyspec_reply(r, &specs[i]);
    reply_array(r, child_count(cmd));
    for (const struct command *child = cmd->children; child && child->name != NULL; child++)
        reply_info(r, cmd, child);
}

// What we have of it: no summaries, no arguments.
static void reply_docs(struct reply *r, const struct command *parent, const struct command *cmd)
{
    char name[64];
    full_name(parent, cmd, name);
    const struct command_facts *facts = command_facts(name);
    size_t children = child_count(cmd);
    reply_bulk_cstr(r, name);
    reply_map(r, (facts != NULL ? 3 : 1) + (children > 0));
    reply_bulk_cstr(r, "summary");
    reply_bulk_cstr(r, "");
    if (facts != NULL) {
        reply_bulk_cstr(r, "since");
        reply_bulk_cstr(r, facts->since);
        reply_bulk_cstr(r, "group");
        reply_bulk_cstr(r, facts->group);
    }
    if (children == 0) return;
    reply_bulk_cstr(r, "subcommands");
    reply_map(r, children);
    for (const struct command *child = cmd->children; child->name != NULL; child++)
        reply_docs(r, cmd, child);
}

// ---- all of them --------------------------------------------------------------------------------

static size_t command_total(struct node *n)
{
    size_t count = 0;
    for (const struct command *const *family = n->families; *family != NULL; family++)
        for (const struct command *cmd = *family; cmd->name != NULL; cmd++)
            count++;
    return count;
}

static void reply_all(struct ctx *c,
                      void (*one)(struct reply *, const struct command *, const struct command *))
{
    for (const struct command *const *family = c->node->families; *family != NULL; family++)
        for (const struct command *cmd = *family; cmd->name != NULL; cmd++)
            one(c->reply, NULL, cmd);
}

static void command_all(struct ctx *c)
{
    reply_array(c->reply, command_total(c->node));
    reply_all(c, reply_info);
}

static void command_count(struct ctx *c)
{
    reply_integer(c->reply, (int64_t)command_total(c->node));
}

static void command_info(struct ctx *c)
{
    if (c->argc == 2) {
        command_all(c);
        return;
    }
    reply_array(c->reply, (size_t)c->argc - 2);
    for (int i = 2; i < c->argc; i++) {
        struct command_slot *slot = dispatch_find(c->node, ctx_arg(c, i));
        if (slot != NULL)
            reply_info(c->reply, slot->parent, slot->command);
        else
            reply_null(c->reply);
    }
}

static void command_docs(struct ctx *c)
{
    if (c->argc == 2) {
        reply_map(c->reply, command_total(c->node));
        reply_all(c, reply_docs);
        return;
    }
    struct reply_deferred all;
    size_t count = 0;
    reply_begin(c->reply, &all);
    for (int i = 2; i < c->argc; i++) {
        struct command_slot *slot = dispatch_find(c->node, ctx_arg(c, i));
        if (slot == NULL) continue;
        reply_docs(c->reply, slot->parent, slot->command);
        count++;
    }
    reply_end_map(c->reply, &all, count);
}

// ---- LIST ---------------------------------------------------------------------------------------

struct filter {
    enum { LIST_ALL, LIST_CATEGORY, LIST_PATTERN, LIST_NONE } by;
    int category;
    struct bytes pattern;
};

static bool listed(const struct filter *f, const struct command_slot *slot)
{
    switch (f->by) {
    case LIST_ALL:
        return true;
    case LIST_CATEGORY:
        return (categories_of(slot->command) & (1u << f->category)) != 0;
    case LIST_PATTERN:
        return text_glob(f->pattern, bytes_from_cstr(slot->name), true);
    case LIST_NONE:
        break;
    }
    return false;
}

static bool parse_filter(struct ctx *c, struct filter *f)
{
    if (c->argc == 2) return true;
    if (c->argc != 5 || !ctx_is(c, 2, "filterby")) return false;
    if (ctx_is(c, 3, "module")) {
        f->by = LIST_NONE; // there are no modules
    } else if (ctx_is(c, 3, "aclcat")) {
        f->category = category_find(ctx_arg(c, 4));
        f->by = f->category < 0 ? LIST_NONE : LIST_CATEGORY;
    } else if (ctx_is(c, 3, "pattern")) {
        f->by = LIST_PATTERN;
        f->pattern = ctx_arg(c, 4);
    } else {
        return false;
    }
    return true;
}

static void command_list(struct ctx *c)
{
    struct filter f = {.by = LIST_ALL};
    if (!parse_filter(c, &f)) {
        ctx_syntax_error(c);
        return;
    }
    struct reply_deferred all;
    size_t count = 0;
    reply_begin(c->reply, &all);
    struct dict_iter it;
    dict_iter_begin(&it, c->node->command_index);
    for (struct command_slot *slot; (slot = dict_iter_next(&it)) != NULL;) {
        if (!listed(&f, slot)) continue;
        reply_bulk_cstr(c->reply, slot->name);
        count++;
    }
    dict_iter_end(&it);
    reply_end_array(c->reply, &all, count);
}

// ---- GETKEYS ------------------------------------------------------------------------------------

static void reply_key(struct ctx *c, const struct command_slot *slot, const struct key_ref *key)
{
    struct bytes flags =
        keyspec_flags_of(slot->specs, slot->spec_count, slot->name, c->argc - 2, c->argv + 2, key);
    reply_array(c->reply, 2);
    reply_bulk(c->reply, ctx_arg(c, key->index + 2));
    keyspec_reply_flags(c->reply, flags);
}

static void reply_keys(struct ctx *c, bool with_flags)
{
    int argc = c->argc - 2;
    struct str **argv = c->argv + 2;
    struct command_slot *slot = dispatch_lookup(c->node, argc, argv);
    const struct command *cmd = slot != NULL ? slot->command : NULL;
    if (cmd == NULL || (cmd->children != NULL && argc > 1)) {
        reply_error(c->reply, "Invalid command specified");
        return;
    }
    const struct command_facts *facts = command_facts(slot->name);
    if (cmd->get_keys == NULL && cmd->keys[0].first == 0 &&
        (facts == NULL || facts->specs == NULL)) {
        reply_error(c->reply, "The command has no key arguments");
        return;
    }
    if ((cmd->arity > 0 && cmd->arity != argc) || argc < -cmd->arity) {
        reply_error(c->reply, "Invalid number of arguments specified for command");
        return;
    }
    struct key_ref *keys = mem_array(struct key_ref, (size_t)argc);
    int count = command_keys(cmd, argc, argv, keys, argc);
    if (count <= 0 && !(count == 0 && (cmd->flags & CMD_NO_MANDATORY_KEYS))) {
        reply_error(c->reply, "Invalid arguments specified for command");
    } else {
        reply_array(c->reply, (size_t)count);
        for (int i = 0; i < count && i < argc; i++)
            if (with_flags)
                reply_key(c, slot, &keys[i]);
            else
                reply_bulk(c->reply, str_view(argv[keys[i].index]));
    }
    mem_free(keys);
}

static void command_getkeys(struct ctx *c)
{
    reply_keys(c, false);
}

static void command_getkeysandflags(struct ctx *c)
{
    reply_keys(c, true);
}

static void command_help(struct ctx *c)
{
    static const char *const lines[] = {
        "(no subcommand)",
        "    Everything about all commands.",
        "COUNT",
        "    How many commands there are.",
        "LIST [FILTERBY (MODULE <module-name>|ACLCAT <category>|PATTERN <pattern>)]",
        "    Names of commands and subcommands.",
        "INFO [<command-name> ...]",
        "    Everything about these commands.",
        "DOCS [<command-name> ...]",
        "    Their groups and since when there are.",
        "GETKEYS <full-command>",
        "    The keys in a command.",
        "GETKEYSANDFLAGS <full-command>",
        "    The keys in a command, and what becomes of them.",
        NULL,
    };
    help_reply(c, lines);
}

enum { FLAGS = CMD_LOADING | CMD_STALE };

static const struct command command_children[] = {
    {"count", command_count, 2, FLAGS, .acl = "@connection"},
    {"list", command_list, -2, FLAGS, .acl = "@connection"},
    {"info", command_info, -2, FLAGS, .acl = "@connection"},
    {"docs", command_docs, -2, FLAGS, .acl = "@connection"},
    {"getkeys", command_getkeys, -4, FLAGS, .acl = "@connection"},
    {"getkeysandflags", command_getkeysandflags, -4, FLAGS, .acl = "@connection"},
    {"help", command_help, 2, FLAGS, .acl = "@connection"},
    {0},
};

const struct command commands_command[] = {
    {"command", command_all, -1, FLAGS, .children = command_children, .acl = "@connection"},
    {0},
};
