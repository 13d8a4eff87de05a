// Clients that wait for keys (BLPOP, BZPOPMIN, XREAD BLOCK ...). A blocked client keeps its request
// and simply runs it again, in the order of waiting, when one of its keys may be ready.
#include "base/mem.h"
#include "node/ctx_impl.h"
#include "value/dict.h"

struct blocked_key {
    struct list blocks;     // of struct block, the longest waiting first
    struct list ready_link; // node->ready_keys
    bool deleted;           // made ready by a deletion
    struct str *name;       // db_key
};

struct block {
    struct list key_link, client_link;
    struct blocked_key *key;
    struct client *client;
};

static struct bytes blocked_name(const void *item)
{
    return str_view(((const struct blocked_key *)item)->name);
}

static void blocked_free(void *item)
{
    struct blocked_key *key = item;
    list_remove(&key->ready_link);
    str_free(key->name);
    mem_free(key);
}

static const struct dict_type blocked_type = {.key = blocked_name, .free_item = blocked_free};

void blocking_init(struct node *n)
{
    n->blocked = dict_new(&blocked_type, rng_next(&n->rng));
    list_init(&n->ready_keys);
}

void blocking_free(struct node *n)
{
    dict_free(n->blocked);
}

static struct blocked_key *find_blocked(struct node *n, int db, struct bytes key)
{
    struct str *name = db_key(db, key);
    struct blocked_key *b = dict_find(n->blocked, str_view(name));
    str_free(name);
    return b;
}

// ---- blocking -----------------------------------------------------------------------------------

static void block_on(struct client *c, int db, struct bytes key)
{
    struct node *n = c->node;
    struct blocked_key *b = find_blocked(n, db, key);
    if (b == NULL) {
        b = mem_new(struct blocked_key);
        b->name = db_key(db, key);
        list_init(&b->blocks);
        list_init(&b->ready_link);
        dict_insert_new(n->blocked, b, dict_hash(n->blocked, str_view(b->name)));
    }
    list_each(at, &c->blocks) if (list_entry(at, struct block, client_link)->key == b) return;
    struct block *block = mem_new(struct block);
    *block = (struct block){.key = b, .client = c};
    list_push_back(&b->blocks, &block->key_link);
    list_push_back(&c->blocks, &block->client_link);
}

static void on_deadline(struct deadline *d)
{
    struct client *c = list_entry(d, struct client, deadline);
    void (*timed_out)(struct reply *) = c->timed_out;
    blocking_unblock(c);
    request_clear(&c->pending);
    timed_out(&c->reply);
    client_touch_output(c);
    client_process_soon(c);
}

bool ctx_block(struct ctx *c, int count, const struct bytes *keys, int64_t timeout_ms,
               bool on_delete, void (*timed_out)(struct reply *r))
{
    if (c->deny_block) return false;
    struct client *client = c->client;
    client->flags |= CLIENT_BLOCKED;
    if (c->retry) return true; // its place and its deadline stand
    client->timed_out = timed_out;
    client->block_on_delete = on_delete;
    for (int i = 0; i < count; i++)
        block_on(client, c->db, keys[i]);
    c->node->blocked_clients++;
    client->deadline.fire = on_deadline;
    if (timeout_ms > 0)
        deadline_arm(c->node->loop, &client->deadline,
                     loop_now_us(c->node->loop) + (uint64_t)timeout_ms * 1000);
    return true;
}

void blocking_unblock(struct client *c)
{
    struct node *n = c->node;
    deadline_cancel(n->loop, &c->deadline);
    c->flags &= ~(uint32_t)(CLIENT_BLOCKED | CLIENT_PARKED);
    list_remove(&c->waiter.link);
    if (!list_empty(&c->blocks)) n->blocked_clients--;
    list_each_safe(at, &c->blocks)
    {
        struct block *block = list_entry(at, struct block, client_link);
        list_remove(&block->client_link);
        list_remove(&block->key_link);
        // One that is being served right now is dropped by whoever serves it.
        if (list_empty(&block->key->blocks) && list_empty(&block->key->ready_link))
            dict_delete(n->blocked, str_view(block->key->name));
        mem_free(block);
    }
}

void blocking_client_gone(struct client *c)
{
    blocking_unblock(c);
    request_clear(&c->pending);
}

void blocking_abort(struct client *c, const char *error)
{
    void (*timed_out)(struct reply *) = c->timed_out;
    struct command_slot *slot = dispatch_lookup(c->node, c->pending.argc, c->pending.argv);
    blocking_unblock(c);
    request_clear(&c->pending);
    if (error == NULL) {
        timed_out(&c->reply);
    } else {
        reply_error(&c->reply, error);
        if (slot != NULL) slot->stats.failed++;
    }
    client_touch_output(c);
    client_process_soon(c);
}

void blocking_abort_all(struct node *n, const char *error)
{
    list_each_safe(at, &n->clients)
    {
        struct client *c = list_entry(at, struct client, link);
        if ((c->flags & CLIENT_BLOCKED) && !list_empty(&c->blocks)) blocking_abort(c, error);
    }
}

// ---- serving ------------------------------------------------------------------------------------

static void make_ready(struct node *n, struct blocked_key *b, bool deleted)
{
    if (b == NULL) return;
    b->deleted |= deleted;
    if (list_empty(&b->ready_link)) list_push_back(&n->ready_keys, &b->ready_link);
}

void node_key_ready(struct node *n, int db, struct bytes key)
{
    if (dict_count(n->blocked) == 0) return;
    make_ready(n, find_blocked(n, db, key), false);
}

void blocking_key_deleted(struct node *n, int db, struct bytes key)
{
    if (dict_count(n->blocked) == 0) return;
    make_ready(n, find_blocked(n, db, key), true);
}

void blocking_db_changed(struct node *n, int db)
{
    struct dict_iter it;
    dict_iter_begin(&it, n->blocked);
    for (struct blocked_key *b; (b = dict_iter_next(&it)) != NULL;) {
        int key_db;
        memcpy(&key_db, b->name->data, sizeof(key_db));
        if (db == -1 || db == key_db) make_ready(n, b, true);
    }
    dict_iter_end(&it);
}

static void serve_key(struct node *n, struct blocked_key *b)
{
    int db;
    memcpy(&db, b->name->data, sizeof(db));
    struct bytes key = bytes_of(b->name->data + sizeof(db), b->name->len - sizeof(db));
    bool deleted = b->deleted;
    b->deleted = false;
    // Those who wait now, in order; a client that blocks again keeps its place and is not asked
    // twice.
    struct list round;
    list_init(&round);
    list_splice_back(&round, &b->blocks);
    while (!list_empty(&round)) {
        struct block *block = list_entry(round.next, struct block, key_link);
        struct client *c = block->client;
        list_remove(&block->key_link);
        list_push_back(&b->blocks, &block->key_link);
        bool exists = db_find(store_db(&n->store, db), key) != NULL;
        if (!exists && !(deleted && c->block_on_delete)) continue;
        if (c->flags & CLIENT_CLOSING) continue; // what it takes would be lost
        if (!(c->flags & CLIENT_PARKED)) dispatch_retry(c);
    }
}

void blocking_serve(struct node *n)
{
    if (n->current != NULL) return;
    for (struct list *at; (at = list_pop_front(&n->ready_keys)) != NULL;) {
        struct blocked_key *b = list_entry(at, struct blocked_key, ready_link);
        // On the list of its own while served, so that nobody frees it; see blocking_unblock.
        struct list serving;
        list_init(&serving);
        list_push_back(&serving, &b->ready_link);
        serve_key(n, b);
        if (list_entry(serving.next, struct blocked_key, ready_link) == b &&
            serving.next != &serving)
            list_remove(&b->ready_link);
        if (list_empty(&b->blocks)) dict_delete(n->blocked, str_view(b->name));
    }
}
