// Every command, family by family. A family is one file with one const table, ended by a row
// without a name; its functions are static and its table is all that others see.
#ifndef WHERRY_COMMAND_TABLE_H
#define WHERRY_COMMAND_TABLE_H

#include "node/command.h"

extern const struct command commands_acl[];
extern const struct command commands_bitfield[];
extern const struct command commands_bitops[];
extern const struct command commands_client[];
extern const struct command commands_command[];
extern const struct command commands_config[];
extern const struct command commands_connection[];
extern const struct command commands_debug[];
extern const struct command commands_expire[];
extern const struct command commands_geo[];
extern const struct command commands_geo_search[];
extern const struct command commands_hash[];
extern const struct command commands_hash_walk[];
extern const struct command commands_hyperloglog[];
extern const struct command commands_keys[];
extern const struct command commands_keyspace[];
extern const struct command commands_latency[];
extern const struct command commands_lcs[];
extern const struct command commands_list[];
extern const struct command commands_list_move[];
extern const struct command commands_list_pop[];
extern const struct command commands_memory[];
extern const struct command commands_migrate[];
extern const struct command commands_monitor[];
extern const struct command commands_object[];
extern const struct command commands_persist[];
extern const struct command commands_pubsub[];
extern const struct command commands_replication[];
extern const struct command commands_server[];
extern const struct command commands_set[];
extern const struct command commands_set_algebra[];
extern const struct command commands_set_random[];
extern const struct command commands_slowlog[];
extern const struct command commands_sort[];
extern const struct command commands_stream[];
extern const struct command commands_stream_claim[];
extern const struct command commands_stream_groups[];
extern const struct command commands_stream_info[];
extern const struct command commands_stream_read[];
extern const struct command commands_string[];
extern const struct command commands_string_number[];
extern const struct command commands_string_range[];
extern const struct command commands_transaction[];
extern const struct command commands_zset[];
extern const struct command commands_zset_algebra[];
extern const struct command commands_zset_pop[];
extern const struct command commands_zset_random[];
extern const struct command commands_zset_range[];

// All of them, NULL at the end: what a node is made with.
extern const struct command *const command_families[];

#endif
