// A user: a name, passwords (only their SHA-256 is kept), and selectors.
//
// Source: "ACL SETUSER" and "ACL LIST" of the Redis 7.0 documentation.
#ifndef WHERRY_NODE_ACL_USER_H
#define WHERRY_NODE_ACL_USER_H

#include "node/acl_selector.h"

enum {
    ACL_HASH_BYTES = 64, // SHA-256 in lower-case hex
    // Longer ones are refused: hashing must not hold the loop.
    ACL_PASSWORD_MAX_BYTES = 64 * 1024,
};

struct acl_hash {
    char hex[ACL_HASH_BYTES + 1];
};

struct acl_user {
    struct str *name;
    bool enabled, nopass;
    enum {
        PAYLOAD_UNSAID,
        PAYLOAD_SANITIZE,
        PAYLOAD_SKIP
    } payload; // sanitize-dump-payload clients
    struct acl_hash *passwords;
    int password_count;
    struct acl_selector *selectors; // the root first
    int selector_count;
};

struct acl_user *acl_user_new(struct node *n, struct bytes name); // off, and may do nothing
void acl_user_free(struct acl_user *u);                           // NULL is fine
// Makes `u` what `from` is, but for its name.
void acl_user_assign(struct acl_user *u, const struct node *n, const struct acl_user *from);
// Without spaces and zero bytes.
bool acl_user_name_valid(struct bytes name);

// "on", ">password", "(+get ~a*)", "~b" ...
enum acl_error acl_user_apply(struct acl_user *u, struct node *n, struct bytes rule);
// Puts selectors that were split at spaces together again: "(+get" "~a*)". Returns how many rules
// there are then, in *out, each to be freed, and the array too; -1: a parenthesis is not closed,
// rule *failed begins it.
int acl_rules_join(int count, const struct bytes *words, struct str ***out, int *failed);

// In constant time, whatever the password.
bool acl_user_password(const struct acl_user *u, struct bytes password);
void acl_user_describe(const struct acl_user *u, struct buf *out); // "off ~a* resetchannels -@all"

#endif
