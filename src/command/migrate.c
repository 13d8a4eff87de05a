// DUMP, RESTORE, MIGRATE: rows; the bodies are in src/node/restore.c and migrate_node.c.
#include "command/table.h"
#include "node/migrate_node.h"

const struct command commands_migrate[] = {
    {"dump", dump_command, 2, CMD_READONLY, .keys = {{1, 1, 1, KEY_READ}}, .acl = "@keyspace"},
    {"restore", restore_command, -4, CMD_WRITE | CMD_DENYOOM, .keys = {{1, 1, 1, KEY_WRITE}},
     .acl = "@keyspace @dangerous"},
    {"restore-asking", restore_command, -4, CMD_WRITE | CMD_DENYOOM, .keys = {{1, 1, 1, KEY_WRITE}},
     .acl = "@keyspace @dangerous"},
    {"migrate", migrate_command, -6, CMD_WRITE | CMD_MOVABLE_KEYS, .get_keys = migrate_command_keys,
     .acl = "@keyspace @dangerous"},
    {0},
};
