// SUBSCRIBE and its relatives, PUBLISH, PUBSUB.
#include "node/pubsub.h"
#include "command/help.h"
#include "command/table.h"
#include "node/ctx_impl.h"

// ---- subscribing --------------------------------------------------------------------------------

static void subscribe_each(struct ctx *c, enum pubsub_kind kind)
{
    // A client that must not block may not wait for messages either, but in EXEC it may, save for
    // shard channels: as in Redis.
    if (c->deny_block && (!c->in_exec || kind == PUBSUB_SHARD)) {
        reply_errorf(c->reply, "%s isn't allowed for a DENY BLOCKING client",
                     kind == PUBSUB_PATTERN ? "PSUBSCRIBE"
                     : kind == PUBSUB_SHARD ? "SSUBSCRIBE"
                                            : "SUBSCRIBE");
        return;
    }
    for (int i = 1; i < c->argc; i++)
        pubsub_subscribe(c->client, kind, ctx_arg(c, i));
}

static void unsubscribe_each(struct ctx *c, enum pubsub_kind kind)
{
    if (c->argc == 1) pubsub_unsubscribe_all(c->client, kind);
    for (int i = 1; i < c->argc; i++)
        pubsub_unsubscribe(c->client, kind, ctx_arg(c, i));
}

static void subscribe(struct ctx *c)
{
    subscribe_each(c, PUBSUB_CHANNEL);
}

static void psubscribe(struct ctx *c)
{
    subscribe_each(c, PUBSUB_PATTERN);
}

static void ssubscribe(struct ctx *c)
{
    subscribe_each(c, PUBSUB_SHARD);
}

static void unsubscribe(struct ctx *c)
{
    unsubscribe_each(c, PUBSUB_CHANNEL);
}

static void punsubscribe(struct ctx *c)
{
    unsubscribe_each(c, PUBSUB_PATTERN);
}

static void sunsubscribe(struct ctx *c)
{
    unsubscribe_each(c, PUBSUB_SHARD);
}

// ---- publishing ---------------------------------------------------------------------------------

// Changes nothing here, and yet replicas have subscribers too.
static void propagate(struct ctx *c)
{
    struct bytes argv[3] = {ctx_arg(c, 0), ctx_arg(c, 1), ctx_arg(c, 2)};
    ctx_propagate_as(c, 3, argv);
}

static void publish(struct ctx *c)
{
    int receivers = pubsub_publish(c->node, ctx_arg(c, 1), ctx_arg(c, 2));
    propagate(c);
    reply_integer(c->reply, receivers);
}

static void spublish(struct ctx *c)
{
    int receivers = pubsub_publish_shard(c->node, ctx_arg(c, 1), ctx_arg(c, 2));
    propagate(c);
    reply_integer(c->reply, receivers);
}

// ---- PUBSUB -------------------------------------------------------------------------------------

struct names {
    struct reply *reply;
    size_t count;
};

static void show(void *arg, struct bytes name)
{
    struct names *n = arg;
    reply_bulk(n->reply, name);
    n->count++;
}

static void list_names(struct ctx *c, enum pubsub_kind kind)
{
    struct names n = {.reply = c->reply};
    struct reply_deferred all;
    struct bytes glob = c->argc > 2 ? ctx_arg(c, 2) : (struct bytes){0};
    if (c->argc > 3) {
        help_refuse(c);
        return;
    }
    reply_begin(c->reply, &all);
    pubsub_names(c->node, kind, glob, show, &n);
    reply_end_array(c->reply, &all, n.count);
}

static void count_subscribers(struct ctx *c, enum pubsub_kind kind)
{
    reply_array(c->reply, (size_t)(c->argc - 2) * 2);
    for (int i = 2; i < c->argc; i++) {
        reply_bulk(c->reply, ctx_arg(c, i));
        reply_integer(c->reply, pubsub_subscribers(c->node, kind, ctx_arg(c, i)));
    }
}

static void pubsub_channels(struct ctx *c)
{
    list_names(c, PUBSUB_CHANNEL);
}

static void pubsub_shardchannels(struct ctx *c)
{
    list_names(c, PUBSUB_SHARD);
}

static void pubsub_numsub(struct ctx *c)
{
    count_subscribers(c, PUBSUB_CHANNEL);
}

static void pubsub_shardnumsub(struct ctx *c)
{
    count_subscribers(c, PUBSUB_SHARD);
}

static void pubsub_numpat(struct ctx *c)
{
    reply_integer(c->reply, pubsub_pattern_count(c->node));
}

static void pubsub_help(struct ctx *c)
{
    static const char *const lines[] = {
        "CHANNELS [<pattern>]",
        "    Channels that have subscribers, those that match if a pattern is given.",
        "NUMPAT",
        "    How many patterns have subscribers.",
        "NUMSUB [<channel> ...]",
        "    How many subscribers each channel has, those of patterns not counted.",
        "SHARDCHANNELS [<pattern>]",
        "    Shard channels that have subscribers.",
        "SHARDNUMSUB [<shardchannel> ...]",
        "    How many subscribers each shard channel has.",
        NULL,
    };
    help_reply(c, lines);
}

enum {
    ANY = CMD_PUBSUB | CMD_LOADING | CMD_STALE,
    SUBSCRIBING = ANY | CMD_NOSCRIPT,
    PUBLISHING = ANY | CMD_FAST | CMD_MAY_REPLICATE,
};

static const struct command pubsub_children[] = {
    {"channels", pubsub_channels, -2, ANY, .acl = NULL},
    {"numpat", pubsub_numpat, 2, ANY, .acl = NULL},
    {"numsub", pubsub_numsub, -2, ANY, .acl = NULL},
    {"shardchannels", pubsub_shardchannels, -2, ANY, .acl = NULL},
    {"shardnumsub", pubsub_shardnumsub, -2, ANY, .acl = NULL},
    {"help", pubsub_help, 2, CMD_LOADING | CMD_STALE, .acl = NULL},
    {0},
};

const struct command commands_pubsub[] = {
    {"subscribe", subscribe, -2, SUBSCRIBING, .acl = NULL},
    {"unsubscribe", unsubscribe, -1, SUBSCRIBING, .acl = NULL},
    {"psubscribe", psubscribe, -2, SUBSCRIBING, .acl = NULL},
    {"punsubscribe", punsubscribe, -1, SUBSCRIBING, .acl = NULL},
    {"ssubscribe", ssubscribe, -2, SUBSCRIBING, .keys = {{1, -1, 1, KEY_CHANNEL}}},
    {"sunsubscribe", sunsubscribe, -1, SUBSCRIBING, .keys = {{1, -1, 1, KEY_CHANNEL}}},
    {"publish", publish, 3, PUBLISHING, .acl = NULL},
    {"spublish", spublish, 3, PUBLISHING, .keys = {{1, 1, 1, KEY_CHANNEL}}},
    {"pubsub", NULL, -2, 0, .children = pubsub_children},
    {0},
};
