#include "node/secret.h"

#include "node/config_table.h"

// "AUTH password" and "AUTH2 user password" among the options.
static bool in_migrate(int argc, const struct bytes *argv, int index)
{
    for (int i = 6; i < argc && i < index; i++) {
        if (bytes_equal_nocase(argv[i], "keys")) return false;
        if (bytes_equal_nocase(argv[i], "auth")) {
            if (index == i + 1) return true;
            i++;
        } else if (bytes_equal_nocase(argv[i], "auth2")) {
            if (index <= i + 2) return true;
            i += 2;
        }
    }
    return false;
}

// "HELLO 3 AUTH user password".
static bool in_hello(int argc, const struct bytes *argv, int index)
{
    for (int i = 2; i < argc && i < index; i++) {
        if (bytes_equal_nocase(argv[i], "auth")) {
            if (index <= i + 2) return true;
            i += 2;
        } else if (bytes_equal_nocase(argv[i], "setname")) {
            i++;
        }
    }
    return false;
}

static bool in_config_set(const struct bytes *argv, int index)
{
    if (index < 3 || index % 2 == 0) return false;
    const struct directive *d = directive_find(argv[index - 1]);
    return d != NULL && (d->flags & DIRECTIVE_SECRET);
}

bool argument_is_secret(const char *name, int argc, const struct bytes *argv, int index)
{
    if (index == 0) return false;
    if (strcmp(name, "auth") == 0) return true;
    if (strcmp(name, "hello") == 0) return in_hello(argc, argv, index);
    if (strcmp(name, "migrate") == 0) return in_migrate(argc, argv, index);
    if (strcmp(name, "config|set") == 0) return in_config_set(argv, index);
    if (strcmp(name, "acl|setuser") == 0 || strcmp(name, "acl|deluser") == 0) return index >= 2;
    return false;
}
