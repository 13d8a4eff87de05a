// Clients that are replicas: what they say before and after PSYNC, and what client.c passes on.
#include "node/repl_client.h"

#include "base/mem.h"
#include "base/text.h"
#include "node/repl_impl.h"
#include "node/shutdown.h"

#include <stdio.h>
#include <string.h>

static struct replica_link *link_of(struct client *c)
{
    if (c->replica == NULL)
        c->replica = primary_link_new(&c->node->repl->primary, c->conn, &c->output, c);
    return c->replica;
}

// ---- what client.c tells ----------------------------------------------------------------------

void repl_client_input(struct client *c)
{
    // Bare newlines are how a replica says that it is alive and busy.
    if (c->replica == NULL || c->parser.empty_lines == c->replica->lines_seen) return;
    c->replica->lines_seen = c->parser.empty_lines;
    primary_link_alive(c->replica);
}

void repl_client_drained(struct client *c, size_t taken, size_t left)
{
    if (c->replica == NULL) return;
    primary_link_drained(c->replica, taken, left);
    repl_pace_check(c->node->repl);
}

void repl_client_closed(struct client *c)
{
    struct replica_link *l = c->replica;
    c->replica = NULL;
    primary_link_free(l);
    repl_failover_check(c->node->repl);
    shutdown_replicas_moved(c->node);
    repl_pace_check(c->node->repl);
}

void repl_client_ran(struct client *c, const char *command_name)
{
    if (c->output.len == 0 || (c->flags & CLIENT_CLOSING)) return;
    char start[80];
    struct bytes view = {"", 0};
    chain_peek(&c->output, &view, 1);
    size_t len = view.len < sizeof(start) - 1 ? view.len : sizeof(start) - 1;
    memcpy(start, view.data, len);
    start[len] = '\0';
    for (size_t i = 0; i < len; i++)
        if (start[i] == '\r' || start[i] == '\n') start[i] = ' ';
    log_warning(&c->node->log, "Replica generated a reply to command '%s', disconnecting it: %s",
                command_name, start);
    chain_free(&c->output);
    client_close(c);
}

// ---- REPLCONF ---------------------------------------------------------------------------------

// What of the RDB it wants, by name, and nothing else. Functions are all that can be named, so the
// data is left out either way.
static bool filter_only(struct ctx *c, struct bytes wanted)
{
    int count;
    struct str **names = text_split_quoted(wanted, &count);
    if (names == NULL) {
        reply_error(c->reply, "Missing rdb-filter-only values");
        return false;
    }
    bool known = true;
    for (int i = 0; i < count; i++) {
        bool functions = bytes_equal_nocase(str_view(names[i]), "functions");
        if (!functions && known)
            reply_errorf(c->reply, "Unsupported rdb-filter-only option: %s", names[i]->data);
        known &= functions;
        str_free(names[i]);
    }
    mem_free(names);
    link_of(c->client)->no_data = true;
    return known;
}

// One name and value. False: it was answered with an error.
static bool replconf_option(struct ctx *c, int index)
{
    struct client *client = c->client;
    int64_t number;
    if (ctx_is(c, index, "listening-port")) {
        if (!ctx_int_range(c, index + 1, 0, 65535, &number)) return false;
        link_of(client)->listening_port = (int)number;
    } else if (ctx_is(c, index, "ip-address")) {
        struct replica_link *l = link_of(client);
        struct bytes ip = ctx_arg(c, index + 1);
        if (ip.len >= sizeof(l->announced_ip)) {
            reply_errorf(c->reply,
                         "REPLCONF ip-address provided by replica instance is too long: "
                         "%zu bytes",
                         ip.len);
            return false;
        }
        memcpy(l->announced_ip, ip.data, ip.len);
        l->announced_ip[ip.len] = '\0';
    } else if (ctx_is(c, index, "capa")) {
        struct replica_link *l = link_of(client);
        l->capa_eof |= ctx_is(c, index + 1, "eof");
        l->capa_psync2 |= ctx_is(c, index + 1, "psync2"); // others are not for us
    } else if (ctx_is(c, index, "rdb-only")) {
        if (!ctx_int_range(c, index + 1, 0, 1, &number)) return false;
        link_of(client)->rdb_only = number == 1;
    } else if (ctx_is(c, index, "rdb-filter-only")) {
        return filter_only(c, ctx_arg(c, index + 1));
    } else {
        struct bytes name = ctx_arg(c, index);
        reply_errorf(c->reply, "Unrecognized REPLCONF option: %.*s",
                     (int)(name.len < 128 ? name.len : 128), name.data);
        return false;
    }
    return true;
}

static void replconf_ack(struct ctx *c)
{
    int64_t offset;
    struct client *client = c->client;
    // Nothing is ever answered to an ACK, not even an error.
    if (!(client->flags & CLIENT_REPLICA) || client->replica == NULL) return;
    if (text_to_i64(ctx_arg(c, 2), &offset)) primary_link_ack(client->replica, offset);
}

void repl_replconf(struct ctx *c)
{
    if (c->argc % 2 == 0) {
        ctx_syntax_error(c);
        return;
    }
    if (ctx_is(c, 1, "ack")) {
        replconf_ack(c);
        return;
    }
    if (ctx_is(c, 1, "getack")) {
        replica_send_ack(&c->node->repl->replica);
        return;
    }
    if (c->client->conn == NULL) return; // a primary's stream has nothing else to say
    for (int i = 1; i < c->argc; i += 2)
        if (!replconf_option(c, i)) return;
    reply_ok(c->reply);
}

// ---- PSYNC and SYNC ---------------------------------------------------------------------------

// PSYNC <id> <offset> FAILOVER: the primary of ours hands over to us. False: it was refused.
static bool take_over(struct ctx *c)
{
    struct node *n = c->node;
    char from[128];
    client_address(c->client, from, sizeof(from));
    log_warning(&n->log, "Failover request received for replid %.*s.", (int)ctx_arg(c, 1).len,
                ctx_arg(c, 1).data);
    if (!repl_is_replica(n)) {
        // Asked again, because the answer was lost: we have taken over what that history was.
        const struct repl_stream *s = &n->repl->stream;
        if (s->second_offset >= 0 && bytes_equal(ctx_arg(c, 1), bytes_from_cstr(s->id2)))
            return true;
        reply_error(c->reply, "PSYNC FAILOVER can't be sent to a master.");
        return false;
    }
    if (!bytes_equal(ctx_arg(c, 1), bytes_from_cstr(repl_id(n)))) {
        reply_error(c->reply, "PSYNC FAILOVER replid must match my replid.");
        return false;
    }
    repl_promote(n);
    log_notice(&n->log, "MASTER MODE enabled (failover request from '%s')", from);
    return true;
}

static bool may_sync(struct ctx *c)
{
    struct node *n = c->node;
    if ((c->client->flags & CLIENT_REPLICA) || c->client->conn == NULL) return false;
    if (repl_is_replica(n) && !repl_link_up(n)) {
        reply_error(c->reply, "-NOMASTERLINK Can't SYNC while not connected with my master");
        return false;
    }
    return true;
}

// A filtered RDB is never a file with a length.
static bool may_filter(struct ctx *c, const struct replica_link *l)
{
    if (!l->no_data || l->capa_eof) return true;
    reply_error(c->reply, "Filtered replica requires EOF capability");
    return false;
}

void repl_psync(struct ctx *c)
{
    int64_t next;
    if ((c->client->flags & CLIENT_REPLICA) || c->client->conn == NULL) return;
    if (!ctx_int(c, 2, &next)) {
        char from[128];
        client_address(c->client, from, sizeof(from));
        log_warning(&c->node->log, "Replica %s asks for synchronization but with a wrong offset",
                    from);
        return;
    }
    if (c->argc > 3 && ctx_is(c, 3, "failover") && !take_over(c)) return;
    if (!may_sync(c)) return;
    struct replica_link *l = link_of(c->client);
    if (!may_filter(c, l)) return;
    c->client->flags |= CLIENT_REPLICA;
    l->lines_seen = c->client->parser.empty_lines;
    primary_link_psync(l, ctx_arg(c, 1), next);
}

void repl_sync(struct ctx *c)
{
    if (!may_sync(c)) return;
    struct replica_link *l = link_of(c->client);
    if (!may_filter(c, l)) return;
    c->client->flags |= CLIENT_REPLICA;
    l->lines_seen = c->client->parser.empty_lines;
    primary_link_sync(l);
}
