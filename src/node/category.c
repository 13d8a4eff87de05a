#include "node/category.h"

const char *const category_names[CATEGORY_COUNT] = {
    "keyspace", "read",   "write",       "set",       "sortedset",  "list",        "hash",
    "string",   "bitmap", "hyperloglog", "geo",       "stream",     "pubsub",      "admin",
    "fast",     "slow",   "blocking",    "dangerous", "connection", "transaction", "scripting",
};

int category_find(struct bytes name)
{
    for (int i = 0; i < CATEGORY_COUNT; i++)
        if (bytes_equal_nocase(name, category_names[i])) return i;
    return -1;
}

static uint32_t bit(const char *name)
{
    return 1u << category_find(bytes_from_cstr(name));
}

// "@string @fast", as rows have it.
static uint32_t named(const char *acl)
{
    uint32_t bits = 0;
    for (const char *at = acl; at != NULL && (at = strchr(at, '@')) != NULL;) {
        at++;
        int index = category_find(bytes_of(at, strcspn(at, " ,@")));
        if (index >= 0) bits |= 1u << index;
    }
    return bits;
}

uint32_t categories_of(const struct command *cmd)
{
    uint32_t bits = named(cmd->acl), flags = cmd->flags;
    if (flags & CMD_WRITE) bits |= bit("write");
    if ((flags & CMD_READONLY) && !(bits & bit("scripting"))) bits |= bit("read");
    if (flags & CMD_ADMIN) bits |= bit("admin") | bit("dangerous");
    if (flags & CMD_PUBSUB) bits |= bit("pubsub");
    if (flags & CMD_BLOCKING) bits |= bit("blocking");
    return bits | (flags & CMD_FAST ? bit("fast") : bit("slow"));
}
