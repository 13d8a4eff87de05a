// Who a client is: the user that it begins as, AUTH, and the end of clients whose user goes.
#include "node/acl.h"
#include "node/pubsub.h"

bool acl_open(const struct node *n)
{
    const struct acl_user *u = n->acl->standard;
    return u->enabled && u->nopass;
}

static void become(struct client *c, struct acl_user *u, bool authenticated)
{
    c->user = u;
    c->flags &= ~(uint32_t)CLIENT_AUTHENTICATED;
    if (authenticated) c->flags |= CLIENT_AUTHENTICATED;
    c->parser.authenticated = authenticated;
}

void acl_welcome(struct client *c)
{
    become(c, c->node->acl->standard, acl_open(c->node));
}

bool acl_authenticate(struct ctx *c, struct bytes name, struct bytes password)
{
    struct acl_user *u = acl_find(c->node, name);
    // Whoever is not there takes as long as a wrong password.
    bool right = acl_user_password(u != NULL ? u : c->node->acl->standard, password);
    if (u != NULL && u->enabled && (u->nopass || right)) {
        become(c->client, u, true);
        return true;
    }
    acl_log_add(c->client, ACL_NO_AUTH, (c->client->flags & CLIENT_MULTI) != 0, BYTES("AUTH"),
                name);
    reply_error(c->reply, "-WRONGPASS invalid username-password pair or user is disabled.");
    return false;
}

// A client that runs the very command still gets its reply.
static void drop(struct client *c)
{
    const struct ctx *running = c->node->current;
    become(c, c->node->acl->standard, false);
    if (c == c->node->acl->spared) {
        c->node->acl->spared_lost = true;
        return;
    }
    if (running != NULL && running->client == c)
        c->flags |= CLIENT_CLOSE_AFTER_REPLY; // once the reply, yet to come, has been sent
    else
        client_close(c);
}

void acl_drop_clients(struct node *n, const struct acl_user *u)
{
    list_each_safe(at, &n->clients)
    {
        struct client *c = list_entry(at, struct client, link);
        if (c->user == u) drop(c);
    }
}

struct grants {
    const struct acl_user *user;
    bool lost;
};

static void check_subscription(void *arg, enum pubsub_kind kind, struct bytes name)
{
    struct grants *g = arg;
    bool granted = false;
    for (int i = 0; i < g->user->selector_count && !granted; i++)
        granted = acl_selector_channel(&g->user->selectors[i], name, kind == PUBSUB_PATTERN);
    g->lost |= !granted;
}

void acl_drop_subscribers(struct node *n, const struct acl_user *u)
{
    for (int i = 0; i < u->selector_count; i++)
        if (u->selectors[i].all_channels) return;
    list_each_safe(at, &n->clients)
    {
        struct client *c = list_entry(at, struct client, link);
        if (c->user != u) continue;
        struct grants g = {u, false};
        pubsub_client_each(c, check_subscription, &g);
        if (g.lost) drop(c);
    }
}
