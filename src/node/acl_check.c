#include "node/acl.h"

#include "base/mem.h"
#include "node/facts.h"
#include "node/keyspec.h"

enum { KEYS_ON_STACK = 16 };

struct call {
    const struct command_slot *slot;
    int argc;
    struct str *const *argv;
    struct key_ref *keys;
    int key_count;
};

// ---- channels -----------------------------------------------------------------------------------

// Commands that take channels, from argv[1] on.
static const struct {
    const char *name;
    bool one, pattern;
} channel_rows[] = {
    {"publish", true, false},    {"spublish", true, false},    {"subscribe", false, false},
    {"psubscribe", false, true}, {"ssubscribe", false, false},
};

static enum acl_verdict check_channels(const struct acl_selector *s, const struct call *call,
                                       int *index)
{
    if (s->all_channels || !(call->slot->command->flags & CMD_PUBSUB)) return ACL_ALLOWED;
    for (size_t row = 0; row < sizeof(channel_rows) / sizeof(channel_rows[0]); row++) {
        if (strcmp(channel_rows[row].name, call->slot->name) != 0) continue;
        int end = channel_rows[row].one ? 2 : call->argc;
        for (int i = 1; i < end && i < call->argc; i++) {
            if (acl_selector_channel(s, str_view(call->argv[i]), channel_rows[row].pattern))
                continue;
            *index = i;
            return ACL_NO_CHANNEL;
        }
    }
    return ACL_ALLOWED;
}

// ---- keys ---------------------------------------------------------------------------------------

static bool has_word(struct bytes words, const char *word)
{
    return memmem(words.data, words.len, word, strlen(word)) != NULL;
}

static uint8_t access_needed(const struct call *call, const struct key_ref *key)
{
    struct bytes flags = keyspec_flags_of(call->slot->specs, call->slot->spec_count,
                                          call->slot->name, call->argc, call->argv, key);
    uint8_t access = has_word(flags, "access") ? ACL_READ : 0;
    if (has_word(flags, "insert") || has_word(flags, "delete") || has_word(flags, "update"))
        access |= ACL_WRITE;
    return access;
}

static enum acl_verdict check_keys(const struct acl_selector *s, const struct call *call,
                                   int *index)
{
    for (int i = 0; i < call->key_count && !s->all_keys; i++) {
        const struct key_ref *key = &call->keys[i];
        if (key->access == KEY_CHANNEL) continue;
        struct bytes name = str_view(call->argv[key->index]);
        if (acl_selector_key(s, name, access_needed(call, key))) continue;
        *index = key->index;
        return ACL_NO_KEY;
    }
    return ACL_ALLOWED;
}

static bool needs_keys(const struct acl_user *u)
{
    for (int i = 0; i < u->selector_count; i++)
        if (!u->selectors[i].all_keys) return true;
    return false;
}

// ---- the whole ----------------------------------------------------------------------------------

static bool may_run(const struct acl_selector *s, const struct call *call)
{
    return (call->slot->command->flags & CMD_NO_AUTH) ||
           acl_commands_allow(&s->commands, call->slot, call->argc, call->argv);
}

static enum acl_verdict check_selector(const struct acl_selector *s, const struct call *call,
                                       int *index)
{
    *index = 0;
    if (!may_run(s, call)) return ACL_NO_COMMAND;
    enum acl_verdict verdict = check_keys(s, call, index);
    return verdict != ACL_ALLOWED ? verdict : check_channels(s, call, index);
}

enum acl_verdict acl_check(const struct acl_user *u, const struct command_slot *slot, int argc,
                           struct str *const *argv, int *index)
{
    struct key_ref few[KEYS_ON_STACK];
    struct call call = {.slot = slot, .argc = argc, .argv = argv, .keys = few};
    if (needs_keys(u)) {
        call.key_count = command_keys(slot->command, argc, argv, few, KEYS_ON_STACK);
        if (call.key_count > KEYS_ON_STACK) {
            call.keys = mem_array(struct key_ref, (size_t)call.key_count);
            call.key_count = command_keys(slot->command, argc, argv, call.keys, call.key_count);
        }
    }
    // What is told is what the selector said that went furthest.
    enum acl_verdict told = ACL_NO_COMMAND;
    *index = 0;
    for (int i = 0; i < u->selector_count; i++) {
        int at;
        enum acl_verdict verdict = check_selector(&u->selectors[i], &call, &at);
        if (verdict == ACL_ALLOWED) {
            told = ACL_ALLOWED;
            break;
        }
        if (verdict < told || (verdict == told && at <= *index)) continue;
        told = verdict;
        *index = at;
    }
    if (call.keys != few) mem_free(call.keys);
    return told;
}

// The verdict on a client's call; what is denied is logged.
static enum acl_verdict judge(struct client *c, const struct command_slot *slot, int argc,
                              struct str *const *argv, bool in_multi)
{
    if (c->user == NULL) return ACL_ALLOWED;
    int index;
    enum acl_verdict verdict = acl_check(c->user, slot, argc, argv, &index);
    if (verdict == ACL_ALLOWED) return verdict;
    struct bytes object =
        verdict == ACL_NO_COMMAND ? bytes_from_cstr(slot->name) : str_view(argv[index]);
    acl_log_add(c, verdict, in_multi, object, str_view(c->user->name));
    return verdict;
}

bool acl_permits(struct client *c, const struct command_slot *slot, int argc,
                 struct str *const *argv)
{
    enum acl_verdict verdict = judge(c, slot, argc, argv, (c->flags & CLIENT_MULTI) != 0);
    if (verdict == ACL_ALLOWED) return true;
    if (verdict == ACL_NO_COMMAND)
        reply_errorf(&c->reply, "-NOPERM this user has no permissions to run the '%s' command",
                     slot->name);
    else
        reply_errorf(&c->reply,
                     "-NOPERM this user has no permissions to access one of the %s used as "
                     "arguments",
                     verdict == ACL_NO_KEY ? "keys" : "channels");
    return false;
}

bool acl_permits_queued(struct client *c, const struct command_slot *slot, int argc,
                        struct str *const *argv)
{
    if (c->user == NULL) return true;
    // Its user went earlier in the transaction; what the default user may do is not for it.
    bool open = acl_open(c->node) || (c->flags & CLIENT_AUTHENTICATED);
    if (!open && !(slot->command->flags & CMD_NO_AUTH)) {
        reply_error(&c->reply, "-NOAUTH Authentication required.");
        return false;
    }
    enum acl_verdict verdict = judge(c, slot, argc, argv, true);
    if (verdict == ACL_ALLOWED) return true;
    const char *why = verdict == ACL_NO_COMMAND ? "no permission to execute the command or "
                                                  "subcommand"
                      : verdict == ACL_NO_KEY   ? "no permission to touch the specified keys"
                                                : "no permission to access one of the channels "
                                                  "used as arguments to the command";
    reply_errorf(&c->reply,
                 "-NOPERM ACLs rules changed between the moment the transaction was accumulated "
                 "and the EXEC call. This command is no longer allowed for the following reason: "
                 "%s",
                 why);
    return false;
}

bool acl_reads_all(const struct client *c, const struct command_slot *slot, int argc,
                   struct str *const *argv)
{
    if (c->user == NULL) return true;
    struct call call = {.slot = slot, .argc = argc, .argv = argv};
    for (int i = 0; i < c->user->selector_count; i++) {
        const struct acl_selector *s = &c->user->selectors[i];
        if (!may_run(s, &call)) continue;
        bool all = s->all_keys;
        for (int k = 0; k < s->key_count && !all; k++)
            all = (s->keys[k].access & ACL_READ) &&
                  bytes_equal(str_view(s->keys[k].glob), BYTES("*"));
        if (all) return true;
    }
    return false;
}
