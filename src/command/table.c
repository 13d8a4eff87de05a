#include "command/table.h"

// One to a line, so that families come and go without touching their neighbours.
// clang-format off
const struct command *const command_families[] = {
    commands_bitfield,
    commands_bitops,
    commands_client,
    commands_config,
    commands_connection,
    commands_debug,
    commands_expire,
    commands_hash,
    commands_hash_walk,
    commands_keys,
    commands_keyspace,
    commands_lcs,
    commands_list,
    commands_list_move,
    commands_list_pop,
    commands_migrate,
    commands_monitor,
    commands_object,
    commands_persist,
    commands_pubsub,
    commands_replication,
    commands_server,
    commands_slowlog,
    commands_set,
    commands_set_algebra,
    commands_set_random,
    commands_string,
    commands_string_number,
    commands_string_range,
    commands_transaction,
    NULL,
};
// clang-format on
