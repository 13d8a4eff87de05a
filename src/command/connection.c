// PING, ECHO, SELECT, AUTH, HELLO, QUIT, RESET: the client's own connection.
#include "base/text.h"
#include "command/table.h"
#include "node/acl.h"
#include "node/ctx_impl.h"
#include "node/monitor.h"
#include "node/tracking.h"

static void ping(struct ctx *c)
{
    if (c->argc > 2) {
        reply_error(c->reply, "wrong number of arguments for 'ping' command");
        return;
    }
    if ((c->client->flags & CLIENT_PUBSUB) && c->reply->resp == 2) {
        reply_array(c->reply, 2);
        reply_bulk(c->reply, BYTES("pong"));
        reply_bulk(c->reply, c->argc == 2 ? ctx_arg(c, 1) : BYTES(""));
    } else if (c->argc == 2) {
        reply_bulk(c->reply, ctx_arg(c, 1));
    } else {
        reply_status(c->reply, "PONG");
    }
}

static void echo(struct ctx *c)
{
    reply_bulk(c->reply, ctx_arg(c, 1));
}

static void select_db(struct ctx *c)
{
    int64_t index;
    if (!text_to_i64(ctx_arg(c, 1), &index)) {
        reply_error(c->reply, "value is not an integer or out of range");
        return;
    }
    if (index < 0 || index >= c->node->config.databases) {
        reply_error(c->reply, "DB index is out of range");
        return;
    }
    c->client->db = (int)index;
    reply_ok(c->reply);
}

static void auth(struct ctx *c)
{
    if (c->argc > 3) {
        ctx_syntax_error(c);
        return;
    }
    if (c->argc == 2 && c->node->acl->standard->nopass) {
        reply_error(c->reply, "AUTH <password> called without any password configured for the "
                              "default user. Are you sure your configuration is correct?");
        return;
    }
    struct bytes user = c->argc == 3 ? ctx_arg(c, 1) : BYTES("default");
    if (acl_authenticate(c, user, ctx_arg(c, c->argc - 1))) reply_ok(c->reply);
}

static bool valid_name(struct bytes name)
{
    for (size_t i = 0; i < name.len; i++)
        if (name.data[i] < '!' || name.data[i] > '~') return false;
    return true;
}

static void hello_reply(struct ctx *c)
{
    struct reply *r = c->reply;
    reply_map(r, 7);
    reply_bulk(r, BYTES("server"));
    reply_bulk(r, BYTES("redis"));
    reply_bulk(r, BYTES("version"));
    reply_bulk(r, BYTES("7.0.15"));
    reply_bulk(r, BYTES("proto"));
    reply_integer(r, r->resp);
    reply_bulk(r, BYTES("id"));
    reply_integer(r, (int64_t)c->client->id);
    reply_bulk(r, BYTES("mode"));
    reply_bulk(r, BYTES("standalone"));
    reply_bulk(r, BYTES("role"));
    reply_bulk_cstr(r, node_is_replica(c->node) ? "replica" : "master");
    reply_bulk(r, BYTES("modules"));
    reply_array(r, 0);
}

static void hello(struct ctx *c)
{
    int64_t version = c->reply->resp;
    int next = 1;
    if (c->argc > 1) {
        if (!text_to_i64(ctx_arg(c, 1), &version)) {
            reply_error(c->reply, "Protocol version is not an integer or out of range");
            return;
        }
        if (version < 2 || version > 3) {
            reply_error(c->reply, "-NOPROTO unsupported protocol version");
            return;
        }
        next = 2;
    }
    struct bytes name = {0}, user = {0}, password = {0};
    for (; next < c->argc; next++) {
        int left = c->argc - next - 1;
        if (ctx_is(c, next, "auth") && left >= 2) {
            user = ctx_arg(c, next + 1);
            password = ctx_arg(c, next + 2);
            next += 2;
        } else if (ctx_is(c, next, "setname") && left >= 1) {
            name = ctx_arg(c, ++next);
            if (valid_name(name)) continue;
            reply_error(c->reply,
                        "Client names cannot contain spaces, newlines or special characters.");
            return;
        } else {
            reply_errorf(c->reply, "Syntax error in HELLO option '%.64s'", c->argv[next]->data);
            return;
        }
    }
    if (user.data != NULL && !acl_authenticate(c, user, password)) return;
    if (!(c->client->flags & CLIENT_AUTHENTICATED)) {
        reply_error(c->reply,
                    "-NOAUTH HELLO must be called with the client already authenticated, "
                    "otherwise the HELLO <proto> AUTH <user> <pass> option can be used to "
                    "authenticate the client and select the RESP protocol version at the same "
                    "time");
        return;
    }
    if (name.data != NULL) {
        str_free(c->client->name);
        c->client->name = name.len ? str_from(name) : NULL;
    }
    c->reply->resp = (int)version;
    hello_reply(c);
}

static void quit(struct ctx *c)
{
    reply_ok(c->reply);
    client_touch_output(c->client);
    client_close_after_reply(c->client);
}

static void reset(struct ctx *c)
{
    struct client *client = c->client;
    multi_discard(client);
    pubsub_client_gone(client);
    monitor_remove(client);
    tracking_disable(client);
    client->flags &=
        ~(uint32_t)(CLIENT_PUBSUB | CLIENT_REPLY_OFF | CLIENT_REPLY_SKIP | CLIENT_REPLY_SKIP_NEXT |
                    CLIENT_READONLY | CLIENT_ASKING | CLIENT_NO_EVICT);
    client_set_muted(client);
    client->db = 0;
    client->reply.resp = 2;
    str_free(client->name);
    client->name = NULL;
    acl_welcome(client);
    reply_status(c->reply, "RESET");
}

enum { ANY_TIME = CMD_LOADING | CMD_STALE | CMD_FAST };

const struct command commands_connection[] = {
    {"ping", ping, -1, CMD_FAST, .acl = "@connection"},
    {"echo", echo, 2, ANY_TIME, .acl = "@connection"},
    {"select", select_db, 2, ANY_TIME, .acl = "@connection"},
    {"auth", auth, -2, ANY_TIME | CMD_NOSCRIPT | CMD_NO_AUTH | CMD_ALLOW_BUSY,
     .acl = "@connection"},
    {"hello", hello, -1, ANY_TIME | CMD_NOSCRIPT | CMD_NO_AUTH | CMD_ALLOW_BUSY,
     .acl = "@connection"},
    {"quit", quit, -1, ANY_TIME | CMD_NOSCRIPT | CMD_NO_AUTH | CMD_ALLOW_BUSY,
     .acl = "@connection"},
    {"reset", reset, 1, ANY_TIME | CMD_NOSCRIPT | CMD_NO_AUTH | CMD_ALLOW_BUSY,
     .acl = "@connection"},
    {0},
};
