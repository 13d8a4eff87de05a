// CLIENT: who is connected, and what is done with them.
#include "base/text.h"
#include "command/client_tracking.h"
#include "command/help.h"
#include "command/table.h"
#include "node/acl.h"
#include "node/client_list.h"
#include "node/ctx_impl.h"
#include "node/pause.h"

#include <limits.h>

// ---- about this connection ----------------------------------------------------------------------

static void client_id(struct ctx *c)
{
    reply_integer(c->reply, (int64_t)c->client->id);
}

static void client_getname(struct ctx *c)
{
    if (c->client->name != NULL)
        reply_bulk(c->reply, str_view(c->client->name));
    else
        reply_null(c->reply);
}

static void client_setname(struct ctx *c)
{
    struct bytes name = ctx_arg(c, 2);
    for (size_t i = 0; i < name.len; i++) {
        // CLIENT LIST separates its fields by spaces.
        if (name.data[i] >= '!' && name.data[i] <= '~') continue;
        reply_error(c->reply,
                    "Client names cannot contain spaces, newlines or special characters.");
        return;
    }
    str_free(c->client->name);
    c->client->name = name.len > 0 ? str_from(name) : NULL;
    reply_ok(c->reply);
}

static void client_reply_mode(struct ctx *c)
{
    uint32_t *flags = &c->client->flags;
    if (ctx_is(c, 2, "on")) {
        *flags &= ~(uint32_t)(CLIENT_REPLY_SKIP | CLIENT_REPLY_OFF);
        client_set_muted(c->client);
        reply_ok(c->reply);
    } else if (ctx_is(c, 2, "off")) {
        *flags |= CLIENT_REPLY_OFF;
        client_set_muted(c->client);
    } else if (ctx_is(c, 2, "skip")) {
        if (!(*flags & CLIENT_REPLY_OFF)) *flags |= CLIENT_REPLY_SKIP_NEXT;
    } else {
        ctx_syntax_error(c);
    }
}

static void client_no_evict(struct ctx *c)
{
    if (ctx_is(c, 2, "on")) {
        c->client->flags |= CLIENT_NO_EVICT;
    } else if (ctx_is(c, 2, "off")) {
        c->client->flags &= ~(uint32_t)CLIENT_NO_EVICT;
    } else {
        ctx_syntax_error(c);
        return;
    }
    reply_ok(c->reply);
}

// ---- lists --------------------------------------------------------------------------------------

static void reply_text(struct ctx *c, struct buf *text)
{
    reply_verbatim(c->reply, "txt", buf_view(text));
    buf_free(text);
}

static void add_line(struct client *c, struct buf *out)
{
    client_line(c, out);
    buf_append_byte(out, '\n');
}

static void client_info(struct ctx *c)
{
    struct buf out = BUF_EMPTY;
    add_line(c->client, &out);
    reply_text(c, &out);
}

struct listing {
    struct buf out;
    bool by_class;
    enum client_class class;
};

static void list_one(void *arg, struct client *c)
{
    struct listing *l = arg;
    if (!l->by_class || client_class(c) == l->class) add_line(c, &l->out);
}

static bool parse_class(struct ctx *c, int index, enum client_class *class)
{
    if (client_class_from_name(ctx_arg(c, index), class)) return true;
    reply_errorf(c->reply, "Unknown client type '%.128s'", c->argv[index]->data);
    return false;
}

static void client_list(struct ctx *c)
{
    struct listing l = {.out = BUF_EMPTY};
    if (c->argc > 3 && ctx_is(c, 2, "id")) {
        for (int i = 3; i < c->argc; i++) {
            int64_t id;
            if (!text_to_i64(ctx_arg(c, i), &id)) {
                reply_error(c->reply, "Invalid client ID");
                buf_free(&l.out);
                return;
            }
            struct client *found = client_by_id(c->node, (uint64_t)id);
            if (found != NULL) add_line(found, &l.out);
        }
        reply_text(c, &l.out);
        return;
    }
    if (c->argc == 4 && ctx_is(c, 2, "type")) {
        if (!parse_class(c, 3, &l.class)) return;
        l.by_class = true;
    } else if (c->argc != 2) {
        ctx_syntax_error(c);
        return;
    }
    client_each(c->node, list_one, &l);
    reply_text(c, &l.out);
}

// ---- KILL ---------------------------------------------------------------------------------------

struct kill {
    struct ctx *c;
    struct bytes addr, laddr; // data NULL: any
    bool by_class, skip_me;
    const struct acl_user *user; // NULL: any
    enum client_class class;
    uint64_t id; // 0: any
    int killed;
    bool me;
};

static bool kill_matches(const struct kill *k, const struct client *c)
{
    char name[128];
    if (k->addr.data != NULL) {
        client_peer_name(c, name, sizeof(name));
        if (!bytes_equal(k->addr, bytes_from_cstr(name))) return false;
    }
    if (k->laddr.data != NULL) {
        client_local_name(c, name, sizeof(name));
        if (!bytes_equal(k->laddr, bytes_from_cstr(name))) return false;
    }
    if (k->by_class && client_class(c) != k->class) return false;
    if (k->id != 0 && c->id != k->id) return false;
    if (k->user != NULL && c->user != k->user) return false;
    return !(k->skip_me && c == k->c->client);
}

static void kill_one(void *arg, struct client *c)
{
    struct kill *k = arg;
    if (!kill_matches(k, c)) return;
    k->killed++;
    if (c == k->c->client)
        k->me = true; // after the answer
    else if (c->flags & CLIENT_PRIMARY)
        repl_drop_primary_link(c->node);
    else
        client_close(c);
}

static bool kill_option(struct ctx *c, struct kill *k, int i)
{
    int64_t id;
    if (i + 1 >= c->argc) {
        ctx_syntax_error(c);
        return false;
    }
    if (ctx_is(c, i, "id")) {
        if (!text_to_i64(ctx_arg(c, i + 1), &id) || id < 1) {
            reply_error(c->reply, "client-id should be greater than 0");
            return false;
        }
        k->id = (uint64_t)id;
    } else if (ctx_is(c, i, "type")) {
        k->by_class = true;
        return parse_class(c, i + 1, &k->class);
    } else if (ctx_is(c, i, "addr")) {
        k->addr = ctx_arg(c, i + 1);
    } else if (ctx_is(c, i, "laddr")) {
        k->laddr = ctx_arg(c, i + 1);
    } else if (ctx_is(c, i, "user")) {
        k->user = acl_find(c->node, ctx_arg(c, i + 1));
        if (k->user == NULL) reply_errorf(c->reply, "No such user '%.128s'", c->argv[i + 1]->data);
        return k->user != NULL;
    } else if (ctx_is(c, i, "skipme") && (ctx_is(c, i + 1, "yes") || ctx_is(c, i + 1, "no"))) {
        k->skip_me = ctx_is(c, i + 1, "yes");
    } else {
        ctx_syntax_error(c);
        return false;
    }
    return true;
}

static void client_kill(struct ctx *c)
{
    struct kill k = {.c = c, .skip_me = true};
    bool old_form = c->argc == 3;
    if (old_form) {
        k.addr = ctx_arg(c, 2);
        k.skip_me = false;
    } else {
        for (int i = 2; i < c->argc; i += 2)
            if (!kill_option(c, &k, i)) return;
    }
    client_each(c->node, kill_one, &k);
    if (!old_form)
        reply_integer(c->reply, k.killed);
    else if (k.killed == 0)
        reply_error(c->reply, "No such client");
    else
        reply_ok(c->reply);
    if (!k.me) return;
    client_touch_output(c->client);
    client_close_after_reply(c->client);
}

// ---- waiting clients ----------------------------------------------------------------------------

static void client_unblock(struct ctx *c)
{
    int64_t id;
    bool error = false;
    if (c->argc > 4) {
        help_refuse(c);
        return;
    }
    if (c->argc == 4) {
        error = ctx_is(c, 3, "error");
        if (!error && !ctx_is(c, 3, "timeout")) {
            reply_error(c->reply, "CLIENT UNBLOCK reason should be TIMEOUT or ERROR");
            return;
        }
    }
    if (!ctx_int(c, 2, &id)) return;
    struct client *target = client_by_id(c->node, (uint64_t)id);
    const char *text = error ? "-UNBLOCKED client unblocked via CLIENT UNBLOCK" : NULL;
    bool done = false;
    if (target != NULL && (target->flags & CLIENT_BLOCKED)) {
        blocking_abort(target, text);
        done = true;
    } else if (target != NULL && target->suspension != NULL && target->suspension->abort != NULL) {
        target->suspension->abort(target->suspension, text);
        done = true;
    }
    reply_integer(c->reply, done);
}

static void client_pause(struct ctx *c)
{
    int64_t ms;
    enum pause_extent extent = PAUSE_ALL;
    if (c->argc > 4) {
        help_refuse(c);
        return;
    }
    if (c->argc == 4) {
        if (ctx_is(c, 3, "write")) {
            extent = PAUSE_WRITES;
        } else if (!ctx_is(c, 3, "all")) {
            reply_error(c->reply, "CLIENT PAUSE mode must be WRITE or ALL");
            return;
        }
    }
    if (!text_to_i64(ctx_arg(c, 2), &ms)) {
        reply_error(c->reply, "timeout is not an integer or out of range");
        return;
    }
    if (ms < 0 || ms > INT64_MAX / 2000) {
        reply_error(c->reply, ms < 0 ? "timeout is negative" : "timeout is out of range");
        return;
    }
    pause_begin(c->node, PAUSE_COMMAND, extent, loop_now_us(c->node->loop) + (uint64_t)ms * 1000);
    reply_ok(c->reply);
}

static void client_unpause(struct ctx *c)
{
    pause_end(c->node, PAUSE_COMMAND);
    reply_ok(c->reply);
}

static void client_help(struct ctx *c)
{
    static const char *const lines[] = {
        "GETNAME",
        "    The name of this connection.",
        "ID",
        "    The id of this connection.",
        "INFO",
        "    This connection's line of CLIENT LIST.",
        "KILL <ip:port>",
        "    Close the connection that comes from there.",
        "KILL <option> <value> [<option> <value> [...]]",
        "    Close the connections that all options name:",
        "    * ADDR (<ip:port>|<unixsocket>:0)",
        "      by where they come from",
        "    * LADDR (<ip:port>|<unixsocket>:0)",
        "      by our own address",
        "    * ID <client-id>",
        "      by their id",
        "    * TYPE (NORMAL|MASTER|REPLICA|PUBSUB)",
        "      by what they are",
        "    * USER <username>",
        "      by who they are",
        "    * SKIPME (YES|NO)",
        "      whether this connection is spared (default: yes)",
        "LIST [TYPE (NORMAL|MASTER|REPLICA|PUBSUB) | ID <client-id> [...]]",
        "    A line for each connection.",
        "PAUSE <milliseconds> [WRITE|ALL]",
        "    Let clients wait, all commands or those that write.",
        "UNPAUSE",
        "    Let them go on.",
        "REPLY (ON|OFF|SKIP)",
        "    Whether this connection wants replies.",
        "SETNAME <name>",
        "    Name this connection.",
        "UNBLOCK <clientid> [TIMEOUT|ERROR]",
        "    Let a blocked client go on.",
        "TRACKING (ON|OFF) [REDIRECT <id>] [BCAST] [PREFIX <prefix> [...]]",
        "         [OPTIN] [OPTOUT] [NOLOOP]",
        "    Be told when keys change that this connection has read.",
        "CACHING (YES|NO)",
        "    Whether the next command counts, with OPTIN and OPTOUT.",
        "TRACKINGINFO",
        "    How TRACKING is set.",
        "GETREDIR",
        "    Who is told instead of this connection.",
        "NO-EVICT (ON|OFF)",
        "    Protect this connection from eviction.",
        NULL,
    };
    help_reply(c, lines);
}

enum {
    ANY = CMD_NOSCRIPT | CMD_LOADING | CMD_STALE,
    ADMIN = ANY | CMD_ADMIN,
};

static const struct command client_children[] = {
    {"id", client_id, 2, ANY, .acl = "@connection"},
    {"info", client_info, 2, ANY, .acl = "@connection"},
    {"list", client_list, -2, ADMIN, .acl = "@connection"},
    {"getname", client_getname, 2, ANY, .acl = "@connection"},
    {"setname", client_setname, 3, ANY, .acl = "@connection"},
    {"kill", client_kill, -3, ADMIN, .acl = "@connection"},
    {"pause", client_pause, -3, ADMIN, .acl = "@connection"},
    {"unpause", client_unpause, 2, ADMIN, .acl = "@connection"},
    {"reply", client_reply_mode, 3, ANY, .acl = "@connection"},
    {"unblock", client_unblock, -3, ADMIN, .acl = "@connection"},
    {"no-evict", client_no_evict, 3, ADMIN, .acl = "@connection"},
    {"tracking", client_tracking, -3, ANY, .acl = "@connection"},
    {"caching", client_caching, 3, ANY, .acl = "@connection"},
    {"getredir", client_getredir, 2, ANY, .acl = "@connection"},
    {"trackinginfo", client_trackinginfo, 2, ANY, .acl = "@connection"},
    {"help", client_help, 2, CMD_LOADING | CMD_STALE, .acl = "@connection"},
    {0},
};

const struct command commands_client[] = {
    {"client", NULL, -2, 0, .children = client_children},
    {0},
};
