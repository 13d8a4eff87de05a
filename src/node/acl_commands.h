// Which commands a selector allows: a bit for each row of the command table, first arguments that
// are allowed of a command that is not, and the rules by which it came to that, as they are shown.
//
// Rules are kept in the order in which they were given; one that later ones make void is dropped,
// so that the text stays as short as what it says.
//
// Source: "ACL SETUSER" of the Redis 7.0 documentation.
#ifndef WHERRY_NODE_ACL_COMMANDS_H
#define WHERRY_NODE_ACL_COMMANDS_H

#include "node/ctx_impl.h"

// What is wrong with a rule of any kind.
enum acl_error {
    ACL_FINE,
    ACL_SYNTAX,
    ACL_UNKNOWN_COMMAND,
    ACL_FIRST_ARG_OF_SUBCOMMAND,
    ACL_KEYS_AFTER_ALL,
    ACL_CHANNELS_AFTER_ALL,
    ACL_NO_SUCH_PASSWORD,
    ACL_BAD_HASH,
    ACL_LONG_PASSWORD,
};
const char *acl_error_text(enum acl_error error); // as Redis says it

struct acl_first_arg {
    uint32_t id; // of the command's slot
    struct str *word;
};

struct acl_commands {
    bool all;       // began with +@all, not with -@all
    uint64_t *bits; // by command_slot.id
    struct acl_first_arg *first;
    int first_count;
    struct str **rules; // after +@all or -@all: "+@read", "-get", "+select|0"
    int rule_count;
};

void acl_commands_init(struct acl_commands *c, const struct node *n); // allows nothing
void acl_commands_free(struct acl_commands *c);
void acl_commands_copy(struct acl_commands *c, const struct node *n,
                       const struct acl_commands *from);
// "+get", "-@all", "+config|get", "allcommands" ...
enum acl_error acl_commands_apply(struct acl_commands *c, struct node *n, struct bytes rule);
bool acl_commands_allow(const struct acl_commands *c, const struct command_slot *slot, int argc,
                        struct str *const *argv);
void acl_commands_describe(const struct acl_commands *c, struct buf *out); // "-@all +@read"

#endif
