// One set of permissions: commands, keys and channels that go together. A user has one at the root
// and any number beside it, each for itself.
//
// Source: "ACL", selectors and key permissions, of the Redis 7.0 documentation.
#ifndef WHERRY_NODE_ACL_SELECTOR_H
#define WHERRY_NODE_ACL_SELECTOR_H

#include "node/acl_commands.h"

enum acl_access { ACL_READ = 1, ACL_WRITE = 2 };

struct acl_pattern {
    struct str *glob;
    uint8_t access; // of enum acl_access
};

struct acl_selector {
    bool all_keys, all_channels;
    struct acl_commands commands;
    struct acl_pattern *keys;
    int key_count;
    struct str **channels; // globs
    int channel_count;
};

void acl_selector_init(struct acl_selector *s, const struct node *n); // allows nothing
void acl_selector_free(struct acl_selector *s);
void acl_selector_copy(struct acl_selector *s, const struct node *n,
                       const struct acl_selector *from);
// "~key*", "%R~key", "&channel", "resetkeys", "+get" ...
enum acl_error acl_selector_apply(struct acl_selector *s, struct node *n, struct bytes rule);

// Whether a key may be used by who needs all of `access` (0: either will do).
bool acl_selector_key(const struct acl_selector *s, struct bytes key, uint8_t access);
// With `pattern`, a channel is one only if it was given literally so.
bool acl_selector_channel(const struct acl_selector *s, struct bytes channel, bool pattern);

void acl_selector_keys(const struct acl_selector *s, struct buf *out);     // "~a* %R~b"
void acl_selector_channels(const struct acl_selector *s, struct buf *out); // "&a &b*"
// As ACL LIST and the files have it: "~a* resetchannels &b -@all +get".
void acl_selector_describe(const struct acl_selector *s, struct buf *out);

#endif
