#include "command/table.h"

const struct command *const command_families[] = {
    commands_persist, commands_config,      commands_connection,  commands_debug,
    commands_server,  commands_transaction, commands_replication, NULL,
};
