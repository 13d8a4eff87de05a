#include "node/tracking.h"

#include "base/mem.h"
#include "node/ctx_impl.h"
#include "value/dict.h"

enum { CRON_KEYS = 100 }; // forgotten in one go when there are too many; more each time in a row

// Who has read a key: ids, in order. Clients that have gone stay until the key is invalidated.
struct tracked_key {
    struct str *name;
    int count, cap;
    uint64_t *ids;
};

// What changed under a prefix in this turn, and by whom.
struct changed_key {
    struct str *name;
    uint64_t by; // id; 0: nobody
};

struct prefix {
    struct str *name;
    int count, cap;
    struct tracking_client **clients;
    struct dict *changed; // of struct changed_key
};

// A table of keys that a flush took out of service, on its way out piece by piece.
struct old_keys {
    struct list link; // tracking->old
    struct job job;
    struct dict *keys;
};

struct tracking {
    struct dict *clients, *keys, *prefixes;
    struct list old;
    uint64_t items;
    bool any_changed;
    int over_limit_runs;
};

// ---- tables -------------------------------------------------------------------------------------

static struct bytes client_key(const void *item)
{
    const struct tracking_client *t = item;
    return bytes_of(&t->id, sizeof(t->id));
}

static struct bytes key_name(const void *item)
{
    return str_view(((const struct tracked_key *)item)->name);
}

static void key_free(void *item)
{
    struct tracked_key *k = item;
    str_free(k->name);
    mem_free(k->ids);
    mem_free(k);
}

static struct bytes changed_name(const void *item)
{
    return str_view(((const struct changed_key *)item)->name);
}

static void changed_free(void *item)
{
    struct changed_key *k = item;
    str_free(k->name);
    mem_free(k);
}

static struct bytes prefix_name(const void *item)
{
    return str_view(((const struct prefix *)item)->name);
}

static void prefix_free(void *item)
{
    struct prefix *p = item;
    str_free(p->name);
    mem_free(p->clients);
    dict_free(p->changed);
    mem_free(p);
}

static const struct dict_type client_type = {.key = client_key, .free_item = NULL};
static const struct dict_type key_type = {.key = key_name, .free_item = key_free};
static const struct dict_type changed_type = {.key = changed_name, .free_item = changed_free};
static const struct dict_type prefix_type = {.key = prefix_name, .free_item = prefix_free};

static struct tracking *get(struct node *n)
{
    if (n->tracking != NULL) return n->tracking;
    struct tracking *t = n->tracking = mem_new(struct tracking);
    list_init(&t->old);
    t->clients = dict_new(&client_type, rng_next(&n->rng));
    t->keys = dict_new(&key_type, rng_next(&n->rng));
    t->prefixes = dict_new(&prefix_type, rng_next(&n->rng));
    return t;
}

void tracking_free(struct node *n)
{
    struct tracking *t = n->tracking;
    if (t == NULL) return;
    list_each_safe(at, &t->old)
    {
        struct old_keys *old = list_entry(at, struct old_keys, link);
        job_stop(n->loop, &old->job);
        dict_free(old->keys);
        mem_free(old);
    }
    dict_free(t->clients);
    dict_free(t->keys);
    dict_free(t->prefixes);
    mem_free(t);
    n->tracking = NULL;
}

struct tracking_counts tracking_counts(const struct node *n)
{
    const struct tracking *t = n->tracking;
    if (t == NULL) return (struct tracking_counts){0};
    return (struct tracking_counts){.clients = dict_count(t->clients),
                                    .keys = dict_count(t->keys),
                                    .items = t->items,
                                    .prefixes = dict_count(t->prefixes)};
}

// ---- on and off ---------------------------------------------------------------------------------

static void join_prefix(struct node *n, struct tracking_client *client, struct bytes name)
{
    struct tracking *t = get(n);
    for (int i = 0; i < client->prefix_count; i++)
        if (bytes_equal(str_view(client->prefixes[i]), name)) return;
    struct prefix *p = dict_find(t->prefixes, name);
    if (p == NULL) {
        p = mem_new(struct prefix);
        p->name = str_from(name);
        p->changed = dict_new(&changed_type, rng_next(&n->rng));
        dict_insert_new(t->prefixes, p, dict_hash(t->prefixes, name));
    }
    if (p->count == p->cap) {
        p->cap = p->cap ? p->cap * 2 : 4;
        p->clients = mem_realloc(p->clients, (size_t)p->cap * sizeof(struct tracking_client *));
    }
    p->clients[p->count++] = client;
    client->prefixes =
        mem_realloc(client->prefixes, ((size_t)client->prefix_count + 1) * sizeof(struct str *));
    client->prefixes[client->prefix_count++] = str_from(name);
}

static void leave_prefix(struct tracking *t, struct tracking_client *client, struct bytes name)
{
    struct prefix *p = dict_find(t->prefixes, name);
    for (int i = 0; i < p->count; i++) {
        if (p->clients[i] != client) continue;
        p->clients[i] = p->clients[--p->count];
        break;
    }
    if (p->count == 0) dict_delete(t->prefixes, name);
}

void tracking_enable(struct client *c, uint64_t redirect, uint32_t flags, int count,
                     const struct bytes *prefixes)
{
    struct tracking *t = get(c->node);
    struct tracking_client *client = c->tracking;
    if (client == NULL) {
        client = c->tracking = mem_new(struct tracking_client);
        client->client = c;
        client->id = c->id;
        dict_insert_new(t->clients, client, dict_hash(t->clients, client_key(client)));
    }
    client->flags = flags;
    client->redirect = redirect;
    if (!(flags & TRACKING_BCAST)) return;
    struct bytes everything = BYTES("");
    if (count == 0) join_prefix(c->node, client, everything);
    for (int i = 0; i < count; i++)
        join_prefix(c->node, client, prefixes[i]);
}

void tracking_disable(struct client *c)
{
    struct tracking_client *client = c->tracking;
    if (client == NULL) return;
    struct tracking *t = c->node->tracking;
    dict_take(t->clients, client_key(client));
    for (int i = 0; i < client->prefix_count; i++) {
        leave_prefix(t, client, str_view(client->prefixes[i]));
        str_free(client->prefixes[i]);
    }
    mem_free(client->prefixes);
    mem_free(client);
    c->tracking = NULL;
}

// ---- reading ------------------------------------------------------------------------------------

static void remember(struct node *n, uint64_t id, struct bytes key)
{
    struct tracking *t = n->tracking;
    uint64_t hash = dict_hash(t->keys, key);
    struct tracked_key *k = dict_find_hashed(t->keys, key, hash);
    if (k == NULL) {
        k = mem_new(struct tracked_key);
        k->name = str_from(key);
        dict_insert_new(t->keys, k, hash);
    }
    int low = 0, high = k->count;
    while (low < high) {
        int middle = (low + high) / 2;
        if (k->ids[middle] < id)
            low = middle + 1;
        else
            high = middle;
    }
    if (low < k->count && k->ids[low] == id) return;
    if (k->count == k->cap) {
        k->cap = k->cap ? k->cap * 2 : 2;
        k->ids = mem_realloc(k->ids, (size_t)k->cap * sizeof(*k->ids));
    }
    memmove(&k->ids[low + 1], &k->ids[low], (size_t)(k->count - low) * sizeof(*k->ids));
    k->ids[low] = id;
    k->count++;
    t->items++;
}

void tracking_remember(struct client *c, const struct command *cmd, int argc,
                       struct str *const *argv)
{
    uint32_t flags = c->tracking->flags;
    bool caching = (flags & TRACKING_CACHING) != 0;
    if (flags & TRACKING_BCAST) return;
    if ((flags & TRACKING_OPTIN) && !caching) return;
    if ((flags & TRACKING_OPTOUT) && caching) return;
    struct key_ref few[16], *keys = few;
    int count = command_keys(cmd, argc, argv, keys, 16);
    if (count > 16) {
        keys = mem_array(struct key_ref, (size_t)count);
        count = command_keys(cmd, argc, argv, keys, count);
    }
    for (int i = 0; i < count; i++)
        if (keys[i].access != KEY_CHANNEL && argv[keys[i].index] != NULL)
            remember(c->node, c->id, str_view(argv[keys[i].index]));
    if (keys != few) mem_free(keys);
}

void tracking_ran(struct client *c, const char *name)
{
    if ((c->flags & CLIENT_MULTI) || strcmp(name, "client|caching") == 0) return;
    c->tracking->flags &= ~(uint32_t)TRACKING_CACHING;
}

// ---- telling ------------------------------------------------------------------------------------

// Writes "invalidate" and leaves the keys to the caller. False: there is nobody to tell. *to is who
// is told.
static bool begin_message(struct node *n, struct tracking_client *client, struct client **to,
                          struct reply *r)
{
    struct client *c = *to = client->client;
    bool redirected = client->redirect != 0;
    if (redirected) {
        *to = client_find(n, client->redirect);
        if (*to == NULL || ((*to)->flags & CLIENT_CLOSING)) {
            client->flags |= TRACKING_BROKEN_REDIR;
            if (c->reply.resp < 3) return false;
            *r = client_push(c);
            reply_push(r, 2);
            reply_bulk_cstr(r, "tracking-redir-broken");
            reply_integer(r, (int64_t)client->redirect);
            client_touch_output(c);
            return false;
        }
    }
    *r = client_push(*to);
    if (r->resp >= 3) {
        reply_push(r, 2);
        reply_bulk_cstr(r, "invalidate");
        return true;
    }
    // RESP2 knows messages of channels only.
    if (!redirected || !((*to)->flags & CLIENT_PUBSUB)) return false;
    reply_push(r, 3);
    reply_bulk_cstr(r, "message");
    reply_bulk_cstr(r, "__redis__:invalidate");
    return true;
}

static void tell_key(struct node *n, struct tracking_client *client, struct bytes key)
{
    struct client *to;
    struct reply r;
    if (!begin_message(n, client, &to, &r)) return;
    reply_array(&r, 1);
    reply_bulk(&r, key);
    client_touch_output(to);
}

static uint64_t changer(const struct node *n)
{
    return n->current != NULL ? n->current->client->id : 0;
}

static void invalidate(struct node *n, struct tracked_key *k)
{
    struct tracking *t = n->tracking;
    uint64_t by = changer(n);
    for (int i = 0; i < k->count; i++) {
        uint64_t id = k->ids[i];
        struct tracking_client *client = dict_find(t->clients, bytes_of(&id, sizeof(id)));
        if (client == NULL || (client->flags & TRACKING_BCAST)) continue;
        if ((client->flags & TRACKING_NOLOOP) && id == by) continue;
        tell_key(n, client, str_view(k->name));
    }
    t->items -= (uint64_t)k->count;
    key_free(k);
}

static void note_change(struct node *n, struct prefix *p, struct bytes key)
{
    uint64_t hash = dict_hash(p->changed, key);
    struct changed_key *k = dict_find_hashed(p->changed, key, hash);
    if (k == NULL) {
        k = mem_new(struct changed_key);
        k->name = str_from(key);
        dict_insert_new(p->changed, k, hash);
    }
    k->by = changer(n);
    n->tracking->any_changed = true;
}

void tracking_key_changed(struct node *n, struct bytes key)
{
    struct tracking *t = n->tracking;
    if (t == NULL) return;
    if (dict_count(t->prefixes) > 0) {
        struct dict_iter it;
        dict_iter_begin(&it, t->prefixes);
        for (struct prefix *p; (p = dict_iter_next(&it)) != NULL;)
            if (p->name->len <= key.len && memcmp(p->name->data, key.data, p->name->len) == 0)
                note_change(n, p, key);
        dict_iter_end(&it);
    }
    struct tracked_key *k = dict_count(t->keys) > 0 ? dict_take(t->keys, key) : NULL;
    if (k != NULL) invalidate(n, k);
}

static enum job_state old_step(struct job *job, struct budget *budget)
{
    struct old_keys *old = list_entry(job, struct old_keys, job);
    if (!dict_free_step(old->keys, budget)) return JOB_MORE;
    list_remove(&old->link);
    mem_free(old);
    return JOB_DONE;
}

static void forget_keys(struct node *n)
{
    struct tracking *t = n->tracking;
    if (dict_count(t->keys) == 0) return;
    struct old_keys *old = mem_new(struct old_keys);
    old->keys = t->keys;
    job_init(&old->job, "tracking", old_step);
    list_push_back(&t->old, &old->link);
    job_start(n->loop, &old->job);
    t->keys = dict_new(&key_type, rng_next(&n->rng));
    t->items = 0;
}

void tracking_flushed(struct node *n)
{
    if (n->tracking == NULL) return;
    list_each_safe(at, &n->clients)
    {
        struct client *c = list_entry(at, struct client, link), *to;
        struct reply r;
        if (c->tracking == NULL || !begin_message(n, c->tracking, &to, &r)) continue;
        reply_null(&r);
        client_touch_output(to);
    }
    forget_keys(n);
}

// ---- prefixes -----------------------------------------------------------------------------------

static bool wants(const struct tracking_client *client, const struct changed_key *k)
{
    return !(client->flags & TRACKING_NOLOOP) || k->by != client->id;
}

static void tell_changes(struct node *n, struct prefix *p, struct tracking_client *client)
{
    size_t count = 0;
    struct dict_iter it;
    dict_iter_begin(&it, p->changed);
    for (struct changed_key *k; (k = dict_iter_next(&it)) != NULL;)
        count += wants(client, k);
    dict_iter_end(&it);
    struct client *to;
    struct reply r;
    if (count == 0 || !begin_message(n, client, &to, &r)) return;
    reply_array(&r, count);
    dict_iter_begin(&it, p->changed);
    for (struct changed_key *k; (k = dict_iter_next(&it)) != NULL;)
        if (wants(client, k)) reply_bulk(&r, str_view(k->name));
    dict_iter_end(&it);
    client_touch_output(to);
}

void tracking_broadcast(struct node *n)
{
    struct tracking *t = n->tracking;
    if (t == NULL || !t->any_changed) return;
    t->any_changed = false;
    struct dict_iter it;
    dict_iter_begin(&it, t->prefixes);
    for (struct prefix *p; (p = dict_iter_next(&it)) != NULL;) {
        if (dict_count(p->changed) == 0) continue;
        for (int i = 0; i < p->count; i++)
            tell_changes(n, p, p->clients[i]);
        dict_free(p->changed);
        p->changed = dict_new(&changed_type, rng_next(&n->rng));
    }
    dict_iter_end(&it);
}

// ---- the limit ----------------------------------------------------------------------------------

void tracking_cron(struct node *n)
{
    struct tracking *t = n->tracking;
    uint64_t limit = (uint64_t)n->config.tracking_table_max_keys;
    if (t == NULL || limit == 0) return;
    for (int left = CRON_KEYS * (t->over_limit_runs + 1); dict_count(t->keys) > limit; left--) {
        if (left == 0) {
            t->over_limit_runs++;
            return;
        }
        struct tracked_key *k = dict_random(t->keys, &n->rng);
        dict_take(t->keys, key_name(k));
        invalidate(n, k);
    }
    t->over_limit_runs = 0;
}
