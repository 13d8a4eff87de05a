// Replication: REPLICAOF, PSYNC, SYNC, REPLCONF, ROLE, WAIT, FAILOVER.
#include "command/table.h"
#include "node/client.h"
#include "node/node.h"
#include "node/repl_client.h"
#include "node/repl_node.h"

#include <stdio.h>
#include <string.h>

static void replicaof(struct ctx *c)
{
    struct node *n = c->node;
    char from[128], host[256];
    int64_t port;
    if (c->client->conn == NULL) return; // our primary's stream does not choose our primary
    client_address(c->client, from, sizeof(from));
    if (repl_writes_paused(n)) {
        reply_error(c->reply, "REPLICAOF not allowed while failing over.");
        return;
    }
    if (ctx_is(c, 1, "no") && ctx_is(c, 2, "one")) {
        if (repl_is_replica(n)) {
            repl_promote(n);
            log_notice(&n->log, "MASTER MODE enabled (user request from '%s')", from);
        }
        reply_ok(c->reply);
        return;
    }
    if (c->client->flags & CLIENT_REPLICA) {
        reply_error(c->reply, "Command is not valid when client is a replica.");
        return;
    }
    if (!ctx_int_range(c, 2, 0, 65535, &port)) return;
    struct bytes name = ctx_arg(c, 1);
    if (name.len >= sizeof(host)) {
        reply_error(c->reply, "Host name is too long");
        return;
    }
    memcpy(host, name.data, name.len);
    host[name.len] = '\0';
    const struct config *config = &n->config;
    if (config->replicaof_host != NULL && strcasecmp(config->replicaof_host, host) == 0 &&
        config->replicaof_port == port) {
        log_notice(&n->log, "REPLICAOF would result into synchronization with the master we are "
                            "already connected with. No operation performed.");
        reply_status(c->reply, "OK Already connected to specified master");
        return;
    }
    repl_follow(n, host, (int)port);
    log_notice(&n->log, "REPLICAOF %s:%d enabled (user request from '%s')", host, (int)port, from);
    reply_ok(c->reply);
}

enum {
    ROLES = CMD_ADMIN | CMD_NOSCRIPT | CMD_STALE | CMD_NO_ASYNC_LOADING,
    SYNCS = CMD_ADMIN | CMD_NOSCRIPT | CMD_NO_ASYNC_LOADING | CMD_NO_MULTI,
};

const struct command commands_replication[] = {
    {"replicaof", replicaof, 3, ROLES, .acl = NULL},
    {"slaveof", replicaof, 3, ROLES, .acl = NULL},
    {"psync", repl_psync, -3, SYNCS, .acl = NULL},
    {"sync", repl_sync, 1, SYNCS, .acl = NULL},
    {"replconf", repl_replconf, -1,
     CMD_ADMIN | CMD_NOSCRIPT | CMD_LOADING | CMD_STALE | CMD_ALLOW_BUSY, .acl = NULL},
    {"role", repl_role, 1, CMD_NOSCRIPT | CMD_LOADING | CMD_STALE | CMD_FAST,
     .acl = "@admin @dangerous"},
    {"wait", repl_wait, 3, CMD_NOSCRIPT, .acl = "@connection"},
    {"failover", repl_failover, -1, CMD_ADMIN | CMD_NOSCRIPT | CMD_STALE, .acl = NULL},
    {0},
};
