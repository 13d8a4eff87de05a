#include "node/pubsub.h"

#include "base/mem.h"
#include "base/text.h"
#include "node/ctx_impl.h"
#include "value/dict.h"

// A channel or pattern that somebody is subscribed to.
struct topic {
    struct list subscriptions; // of struct subscription, the oldest first
    int count;
    struct str *name;
};

// Of one client to one topic: in the client's dict and in the topic's list.
struct subscription {
    struct list link; // topic->subscriptions
    struct topic *topic;
    struct client *client;
};

struct pubsub {
    struct dict *topics[PUBSUB_KINDS]; // of struct topic
};

struct pubsub_client {
    struct dict *subscriptions[PUBSUB_KINDS]; // of struct subscription
};

static const char *const subscribe_word[] = {"subscribe", "psubscribe", "ssubscribe"};
static const char *const unsubscribe_word[] = {"unsubscribe", "punsubscribe", "sunsubscribe"};

// ---- the tables ---------------------------------------------------------------------------------

static struct bytes topic_key(const void *item)
{
    return str_view(((const struct topic *)item)->name);
}

static void topic_free(void *item)
{
    struct topic *t = item;
    str_free(t->name);
    mem_free(t);
}

static struct bytes subscription_key(const void *item)
{
    return str_view(((const struct subscription *)item)->topic->name);
}

static const struct dict_type topic_type = {.key = topic_key, .free_item = topic_free};
static const struct dict_type subscription_type = {.key = subscription_key, .free_item = mem_free};

void pubsub_init(struct node *n)
{
    n->pubsub = mem_new(struct pubsub);
    for (int kind = 0; kind < PUBSUB_KINDS; kind++)
        n->pubsub->topics[kind] = dict_new(&topic_type, rng_next(&n->rng));
}

void pubsub_free(struct node *n)
{
    for (int kind = 0; kind < PUBSUB_KINDS; kind++)
        dict_free(n->pubsub->topics[kind]);
    mem_free(n->pubsub);
    n->pubsub = NULL;
}

static struct pubsub_client *of_client(struct client *c)
{
    if (c->pubsub != NULL) return c->pubsub;
    c->pubsub = mem_new(struct pubsub_client);
    for (int kind = 0; kind < PUBSUB_KINDS; kind++)
        c->pubsub->subscriptions[kind] = dict_new(&subscription_type, rng_next(&c->node->rng));
    return c->pubsub;
}

static int client_count(const struct client *c, enum pubsub_kind kind)
{
    return c->pubsub != NULL ? (int)dict_count(c->pubsub->subscriptions[kind]) : 0;
}

struct pubsub_counts pubsub_client_counts(const struct client *c)
{
    return (struct pubsub_counts){
        .channels = client_count(c, PUBSUB_CHANNEL),
        .patterns = client_count(c, PUBSUB_PATTERN),
        .shard_channels = client_count(c, PUBSUB_SHARD),
    };
}

void pubsub_client_each(const struct client *c,
                        void (*visit)(void *arg, enum pubsub_kind kind, struct bytes name),
                        void *arg)
{
    for (int kind = 0; c->pubsub != NULL && kind < PUBSUB_KINDS; kind++) {
        struct dict_iter it;
        dict_iter_begin(&it, c->pubsub->subscriptions[kind]);
        for (const struct subscription *s; (s = dict_iter_next(&it)) != NULL;)
            visit(arg, (enum pubsub_kind)kind, str_view(s->topic->name));
        dict_iter_end(&it);
    }
}

size_t pubsub_client_bytes(const struct client *c)
{
    size_t bytes = 0;
    for (int kind = 0; c->pubsub != NULL && kind < PUBSUB_KINDS; kind++)
        bytes += dict_table_bytes(c->pubsub->subscriptions[kind]) +
                 dict_count(c->pubsub->subscriptions[kind]) * sizeof(struct subscription);
    return bytes;
}

// ---- subscribing --------------------------------------------------------------------------------

// What a confirmation counts: channels and patterns together, shard channels for themselves.
static int confirmed_count(const struct client *c, enum pubsub_kind kind)
{
    if (kind == PUBSUB_SHARD) return client_count(c, kind);
    return client_count(c, PUBSUB_CHANNEL) + client_count(c, PUBSUB_PATTERN);
}

// A confirmation is a push of its own, and so comes through CLIENT REPLY OFF.
static void confirm(struct client *c, struct reply *r, const char *word, enum pubsub_kind kind,
                    const struct bytes *name)
{
    struct chain *out = r->out;
    if (out == NULL) r->out = &c->output;
    reply_push(r, 3);
    reply_bulk_cstr(r, word);
    if (name != NULL)
        reply_bulk(r, *name);
    else
        reply_null(r);
    reply_integer(r, confirmed_count(c, kind));
    r->out = out;
}

static void set_flag(struct client *c)
{
    bool any = client_count(c, PUBSUB_CHANNEL) + client_count(c, PUBSUB_PATTERN) +
                   client_count(c, PUBSUB_SHARD) >
               0;
    if (any)
        c->flags |= CLIENT_PUBSUB;
    else
        c->flags &= ~(uint32_t)CLIENT_PUBSUB;
}

void pubsub_subscribe(struct client *c, enum pubsub_kind kind, struct bytes name)
{
    struct dict *topics = c->node->pubsub->topics[kind];
    struct dict *mine = of_client(c)->subscriptions[kind];
    if (dict_find(mine, name) == NULL) {
        struct topic *t = dict_find(topics, name);
        if (t == NULL) {
            t = mem_new(struct topic);
            t->name = str_from(name);
            list_init(&t->subscriptions);
            dict_insert_new(topics, t, dict_hash(topics, name));
        }
        struct subscription *s = mem_new(struct subscription);
        s->topic = t;
        s->client = c;
        list_push_back(&t->subscriptions, &s->link);
        t->count++;
        dict_insert_new(mine, s, dict_hash(mine, name));
    }
    set_flag(c);
    confirm(c, &c->reply, subscribe_word[kind], kind, &name);
}

// Takes it off the topic, and the topic away when it was the last. It is in no dict any more.
static void leave(struct node *n, enum pubsub_kind kind, struct subscription *s)
{
    list_remove(&s->link);
    if (--s->topic->count == 0) dict_delete(n->pubsub->topics[kind], str_view(s->topic->name));
    mem_free(s);
}

void pubsub_unsubscribe(struct client *c, enum pubsub_kind kind, struct bytes name)
{
    struct dict *mine = c->pubsub != NULL ? c->pubsub->subscriptions[kind] : NULL;
    struct subscription *s = mine != NULL ? dict_take(mine, name) : NULL;
    if (s != NULL) leave(c->node, kind, s);
    set_flag(c);
    confirm(c, &c->reply, unsubscribe_word[kind], kind, &name);
}

// Empties one of the client's tables, telling about each subscription if `r` is given.
static void leave_all(struct client *c, enum pubsub_kind kind, struct reply *r)
{
    struct dict *mine = c->pubsub->subscriptions[kind];
    for (struct subscription *s; (s = dict_random(mine, &c->node->rng)) != NULL;) {
        struct str *name = str_dup(s->topic->name);
        dict_take(mine, str_view(name));
        leave(c->node, kind, s);
        struct bytes view = str_view(name);
        if (r != NULL) confirm(c, r, unsubscribe_word[kind], kind, &view);
        str_free(name);
    }
}

void pubsub_unsubscribe_all(struct client *c, enum pubsub_kind kind)
{
    if (client_count(c, kind) == 0)
        confirm(c, &c->reply, unsubscribe_word[kind], kind, NULL);
    else
        leave_all(c, kind, &c->reply);
    set_flag(c);
}

void pubsub_client_gone(struct client *c)
{
    if (c->pubsub == NULL) return;
    for (int kind = 0; kind < PUBSUB_KINDS; kind++) {
        leave_all(c, kind, NULL);
        dict_free(c->pubsub->subscriptions[kind]);
    }
    mem_free(c->pubsub);
    c->pubsub = NULL;
    c->flags &= ~(uint32_t)CLIENT_PUBSUB;
}

// ---- publishing ---------------------------------------------------------------------------------

static int deliver(struct topic *t, const char *word, const struct bytes *pattern,
                   struct bytes channel, struct bytes message)
{
    // A client that is closed for its output meanwhile stays listed until it is freed.
    list_each_safe(at, &t->subscriptions)
    {
        struct client *c = list_entry(at, struct subscription, link)->client;
        struct reply r = client_push(c);
        reply_push(&r, pattern != NULL ? 4 : 3);
        reply_bulk_cstr(&r, word);
        if (pattern != NULL) reply_bulk(&r, *pattern);
        reply_bulk(&r, channel);
        reply_bulk(&r, message);
        client_touch_output(c);
    }
    return t->count;
}

int pubsub_publish(struct node *n, struct bytes channel, struct bytes message)
{
    int receivers = 0;
    struct topic *t = dict_find(n->pubsub->topics[PUBSUB_CHANNEL], channel);
    if (t != NULL) receivers += deliver(t, "message", NULL, channel, message);
    if (dict_count(n->pubsub->topics[PUBSUB_PATTERN]) == 0) return receivers;
    struct dict_iter it;
    dict_iter_begin(&it, n->pubsub->topics[PUBSUB_PATTERN]);
    while ((t = dict_iter_next(&it)) != NULL) {
        struct bytes pattern = str_view(t->name);
        if (text_glob(pattern, channel, false))
            receivers += deliver(t, "pmessage", &pattern, channel, message);
    }
    dict_iter_end(&it);
    return receivers;
}

int pubsub_publish_shard(struct node *n, struct bytes channel, struct bytes message)
{
    struct topic *t = dict_find(n->pubsub->topics[PUBSUB_SHARD], channel);
    return t != NULL ? deliver(t, "smessage", NULL, channel, message) : 0;
}

void pubsub_drop_shard(struct node *n, bool (*gone)(void *arg, struct bytes channel), void *arg)
{
    struct dict_iter it;
    dict_iter_begin(&it, n->pubsub->topics[PUBSUB_SHARD]);
    for (struct topic *t; (t = dict_iter_next(&it)) != NULL;) {
        if (!gone(arg, str_view(t->name))) continue;
        struct str *name = str_dup(t->name);
        struct bytes view = str_view(name);
        for (int left = t->count; left > 0; left--) {
            struct subscription *s = list_entry(t->subscriptions.next, struct subscription, link);
            struct client *c = s->client;
            dict_take(c->pubsub->subscriptions[PUBSUB_SHARD], view);
            leave(n, PUBSUB_SHARD, s);
            struct reply r = client_push(c);
            confirm(c, &r, unsubscribe_word[PUBSUB_SHARD], PUBSUB_SHARD, &view);
            set_flag(c);
            client_touch_output(c);
        }
        str_free(name);
    }
    dict_iter_end(&it);
}

// ---- asking -------------------------------------------------------------------------------------

int pubsub_name_count(const struct node *n, enum pubsub_kind kind)
{
    return (int)dict_count(n->pubsub->topics[kind]);
}

int pubsub_subscribers(const struct node *n, enum pubsub_kind kind, struct bytes name)
{
    const struct topic *t = dict_find(n->pubsub->topics[kind], name);
    return t != NULL ? t->count : 0;
}

void pubsub_names(const struct node *n, enum pubsub_kind kind, struct bytes glob,
                  void (*show)(void *arg, struct bytes name), void *arg)
{
    struct dict_iter it;
    dict_iter_begin(&it, n->pubsub->topics[kind]);
    for (struct topic *t; (t = dict_iter_next(&it)) != NULL;)
        if (glob.data == NULL || text_glob(glob, str_view(t->name), false))
            show(arg, str_view(t->name));
    dict_iter_end(&it);
}

int pubsub_channel_count(const struct node *n)
{
    return pubsub_name_count(n, PUBSUB_CHANNEL);
}

int pubsub_pattern_count(const struct node *n)
{
    return pubsub_name_count(n, PUBSUB_PATTERN);
}
