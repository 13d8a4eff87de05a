// Users and what they may do: the one place that commands are checked against, who the users are,
// and what was denied.
//
// Source: "ACL" of the Redis 7.0 documentation; texts as Redis 7.0 says them.
#ifndef WHERRY_NODE_ACL_H
#define WHERRY_NODE_ACL_H

#include "node/acl_user.h"

// The order counts: what is shown of several selectors' verdicts is the greatest.
enum acl_verdict { ACL_ALLOWED, ACL_NO_COMMAND, ACL_NO_KEY, ACL_NO_AUTH, ACL_NO_CHANNEL };

// Something that was denied, perhaps several times.
struct acl_event {
    struct list link; // acl->log, the latest first
    uint64_t count;
    enum acl_verdict verdict;
    bool in_multi;
    struct str *object, *user, *client;
    int64_t at_ms;
};

struct acl {
    struct acl_user **users; // by name
    int count;
    struct acl_user *standard;   // "default"
    const struct client *spared; // not closed while a reply to it is due (ACL LOAD)
    bool spared_lost;            // but it was to be
    struct list log;
    int log_count;
};

// ---- acl.c --------------------------------------------------------------------------------------
void acl_init(struct node *n); // the user "default", with the password of requirepass
void acl_free(struct node *n);
// What the configuration says: lines of `user`, or aclfile. Before the loop runs.
bool acl_start(struct node *n, struct error *error);
struct acl_user *acl_find(const struct node *n, struct bytes name);
// ACL SETUSER: all rules or none. False: *failed is the rule at fault (its text is in
// *rule, to be freed, or NULL: a parenthesis is not closed there), *why what is wrong with it.
bool acl_set_user(struct node *n, struct bytes name, int count, const struct bytes *rules,
                  int *failed, struct str **rule, enum acl_error *why);
// Closes the user's clients; a client whose call is running, after its reply. False: no such user.
bool acl_delete_user(struct node *n, struct bytes name);
void acl_set_default_password(struct node *n); // requirepass has changed
// The text of an ACL file, and what it makes: all or nothing, with the reasons in *errors.
void acl_save_text(const struct node *n, struct buf *out);
bool acl_load_text(struct node *n, const char *file, struct bytes text, struct buf *errors);
// "user" lines for the configuration file: none where there is only what requirepass says.
void acl_update_config(struct node *n);

// ---- acl_auth.c ---------------------------------------------------------------------------------
// No client needs to authenticate: the default user is on and has no password. A client that begins
// in such a time counts as authenticated ever after; one that only lives through it does not.
bool acl_open(const struct node *n);
void acl_welcome(struct client *c); // a client begins, or begins again
// AUTH; replies the error itself.
bool acl_authenticate(struct ctx *c, struct bytes user, struct bytes password);
// The user goes or has lost channels: so do its clients, or those that subscribe to them.
void acl_drop_clients(struct node *n, const struct acl_user *u);
void acl_drop_subscribers(struct node *n, const struct acl_user *u);

// ---- acl_check.c --------------------------------------------------------------------------------
// Whether the user may make this call. *index: of the argument that is denied (ACL_NO_KEY,
// ACL_NO_CHANNEL).
enum acl_verdict acl_check(const struct acl_user *u, const struct command_slot *slot, int argc,
                           struct str *const *argv, int *index);
// The same for a client; what is denied is logged and answered. NULL user: may do all.
bool acl_permits(struct client *c, const struct command_slot *slot, int argc,
                 struct str *const *argv);
// For a queued command when EXEC runs it.
bool acl_permits_queued(struct client *c, const struct command_slot *slot, int argc,
                        struct str *const *argv);
// Whether this call may read whatever key it meets (SORT BY and GET).
bool acl_reads_all(const struct client *c, const struct command_slot *slot, int argc,
                   struct str *const *argv);

// ---- acl_log.c ----------------------------------------------------------------------------------
void acl_log_add(struct client *c, enum acl_verdict verdict, bool in_multi, struct bytes object,
                 struct bytes user);
void acl_log_trim(struct node *n, int most);

#endif
