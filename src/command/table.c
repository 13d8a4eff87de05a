#include "command/table.h"

const struct command *const command_families[] = {
    commands_transaction,
    NULL,
};
