// Transactions: queued commands, and watched keys that make EXEC give up.
#include "base/mem.h"
#include "base/text.h"
#include "node/acl.h"
#include "node/ctx_impl.h"
#include "value/dict.h"

// A watched key, in node->watched.
struct watched_key {
    struct list watches; // of struct watch
    struct str *name;    // db_key
};

struct watch {
    struct list key_link, client_link;
    struct watched_key *key;
    struct client *client;
    bool was_expired; // already past its time when WATCH was called
};

static struct bytes watched_name(const void *item)
{
    return str_view(((const struct watched_key *)item)->name);
}

static void watched_free(void *item)
{
    struct watched_key *key = item;
    str_free(key->name);
    mem_free(key);
}

static const struct dict_type watched_type = {.key = watched_name, .free_item = watched_free};

void multi_init(struct node *n)
{
    n->watched = dict_new(&watched_type, rng_next(&n->rng));
}

void multi_free(struct node *n)
{
    dict_free(n->watched);
}

struct str *db_key(int db, struct bytes key)
{
    struct str *name = str_new(NULL, sizeof(db) + key.len);
    memcpy(name->data, &db, sizeof(db));
    if (key.len) memcpy(name->data + sizeof(db), key.data, key.len);
    return name;
}

// ---- the queue ----------------------------------------------------------------------------------

void multi_queue(struct client *c, struct command_slot *slot, struct request *r)
{
    if (c->flags & (CLIENT_DIRTY_EXEC | CLIENT_DIRTY_CAS)) {
        // It will not run anyway: don't keep what it holds.
        request_clear(r);
    } else {
        if (c->queue_count == c->queue_cap) {
            c->queue_cap = c->queue_cap ? c->queue_cap * 2 : 4;
            c->queue = mem_realloc(c->queue, (size_t)c->queue_cap * sizeof(*c->queue));
        }
        c->queue[c->queue_count++] =
            (struct queued_command){.command = slot->command, .request = *r};
        *r = REQUEST_EMPTY;
    }
    reply_status(&c->reply, "QUEUED");
}

static void drop_queue(struct client *c)
{
    for (int i = 0; i < c->queue_count; i++)
        request_clear(&c->queue[i].request);
    mem_free(c->queue);
    c->queue = NULL;
    c->queue_count = c->queue_cap = 0;
}

void multi_discard(struct client *c)
{
    drop_queue(c);
    c->flags &= ~(uint32_t)(CLIENT_MULTI | CLIENT_DIRTY_EXEC | CLIENT_DIRTY_CAS);
    multi_unwatch(c);
}

uint32_t multi_common_flags(const struct client *c)
{
    uint32_t flags = UINT32_MAX;
    for (int i = 0; i < c->queue_count; i++)
        flags &= c->queue[i].command->flags;
    return flags;
}

uint32_t multi_flags(const struct client *c)
{
    uint32_t flags = 0;
    for (int i = 0; i < c->queue_count; i++)
        flags |= c->queue[i].command->flags;
    return flags;
}

bool multi_may_exec(struct client *c)
{
    if (c->flags & (CLIENT_DIRTY_EXEC | CLIENT_DIRTY_CAS)) return true;
    int db = c->db;
    for (int i = 0; i < c->queue_count; i++) {
        const struct request *r = &c->queue[i].request;
        int64_t selected;
        if (strcmp(c->queue[i].command->name, "select") == 0 && r->argc == 2 &&
            text_to_i64(str_view(r->argv[1]), &selected) && selected >= 0 &&
            selected < c->node->config.databases)
            db = (int)selected;
        if (!dispatch_may_write(c->node, db, c->queue[i].command, r->argc, r->argv, &c->waiter))
            return false;
    }
    return true;
}

static bool watched_key_expired(struct client *c);

void multi_exec(struct ctx *c)
{
    struct client *client = c->client;
    if (!(client->flags & CLIENT_MULTI)) {
        reply_error(c->reply, "EXEC without MULTI");
        return;
    }
    if (watched_key_expired(client)) client->flags |= CLIENT_DIRTY_CAS;
    if (client->flags & CLIENT_DIRTY_EXEC) {
        reply_error(c->reply, "-EXECABORT Transaction discarded because of previous errors.");
        multi_discard(client);
        return;
    }
    if (client->flags & CLIENT_DIRTY_CAS) {
        reply_null_array(c->reply);
        multi_discard(client);
        return;
    }
    // Its own writes must not count against it, and it must look like no transaction inside.
    struct queued_command *queue = client->queue;
    int count = client->queue_count;
    client->queue = NULL;
    client->queue_count = client->queue_cap = 0;
    multi_discard(client);
    reply_array(c->reply, (size_t)count);
    for (int i = 0; i < count; i++) {
        struct request *r = &queue[i].request;
        struct command_slot *slot = dispatch_lookup(c->node, r->argc, r->argv);
        if (acl_permits_queued(client, slot, r->argc, r->argv))
            dispatch_call(client, slot, r, true, false);
        request_clear(r);
    }
    mem_free(queue);
    c->db = client->db;
}

// ---- watched keys -------------------------------------------------------------------------------

bool multi_watch(struct client *c, struct bytes key)
{
    struct node *n = c->node;
    struct str *name = db_key(c->db, key);
    struct watched_key *w = dict_find(n->watched, str_view(name));
    if (w == NULL) {
        w = mem_new(struct watched_key);
        w->name = name;
        list_init(&w->watches);
        if (!dict_insert(n->watched, w)) return false;
    } else {
        str_free(name);
        list_each(at,
                  &w->watches) if (list_entry(at, struct watch, key_link)->client == c) return true;
    }
    struct entry *e = db_find(store_db(&n->store, c->db), key);
    struct watch *watch = mem_new(struct watch);
    *watch = (struct watch){
        .key = w,
        .client = c,
        .was_expired = e != NULL && entry_expired(e, loop_unix_ms(n->loop)),
    };
    list_push_back(&w->watches, &watch->key_link);
    list_push_back(&c->watches, &watch->client_link);
    c->watch_bytes += sizeof(*watch) + key.len;
    return true;
}

void multi_unwatch(struct client *c)
{
    list_each_safe(at, &c->watches)
    {
        struct watch *watch = list_entry(at, struct watch, client_link);
        list_remove(&watch->client_link);
        list_remove(&watch->key_link);
        if (list_empty(&watch->key->watches))
            dict_delete(c->node->watched, str_view(watch->key->name));
        mem_free(watch);
    }
    c->watch_bytes = 0;
}

static struct bytes key_of(const struct watched_key *w, int *db)
{
    memcpy(db, w->name->data, sizeof(*db));
    return bytes_of(w->name->data + sizeof(*db), w->name->len - sizeof(*db));
}

static bool watched_key_expired(struct client *c)
{
    list_each(at, &c->watches)
    {
        struct watch *watch = list_entry(at, struct watch, client_link);
        int db;
        struct bytes key = key_of(watch->key, &db);
        struct entry *e = db_find(store_db(&c->node->store, db), key);
        if (!watch->was_expired && e != NULL && entry_expired(e, loop_unix_ms(c->node->loop)))
            return true;
    }
    return false;
}

void multi_key_changed(struct node *n, int db, struct bytes key)
{
    if (dict_count(n->watched) == 0) return;
    struct str *name = db_key(db, key);
    struct watched_key *w = dict_find(n->watched, str_view(name));
    str_free(name);
    if (w == NULL) return;
    struct entry *e = db_find(store_db(&n->store, db), key);
    list_each(at, &w->watches)
    {
        struct watch *watch = list_entry(at, struct watch, key_link);
        // A key that was past its time already and is deleted for it now did not change.
        if (watch->was_expired && e == NULL) {
            watch->was_expired = false;
            continue;
        }
        watch->client->flags |= CLIENT_DIRTY_CAS;
    }
}

static bool expired_now(const struct node *n, const struct entry *e)
{
    return e != NULL && entry_expired(e, loop_unix_ms(n->loop));
}

// A watched key of a database that `fresh` takes the place of. Only a key that is there, before or
// after, changes; one that has expired counts as absent, whether it was deleted for that or not.
static void watched_key_replaced(struct node *n, struct watched_key *w, bool was_there,
                                 const struct entry *becomes)
{
    if (!was_there && becomes == NULL) return;
    list_each(at, &w->watches)
    {
        struct watch *watch = list_entry(at, struct watch, key_link);
        if (watch->was_expired && becomes == NULL) {
            watch->was_expired = false;
            continue;
        }
        if ((watch->was_expired || !was_there) && expired_now(n, becomes)) {
            watch->was_expired = true;
            continue;
        }
        watch->client->flags |= CLIENT_DIRTY_CAS;
    }
}

void multi_db_changing(struct node *n, int db, struct db *fresh)
{
    struct dict_iter it;
    dict_iter_begin(&it, n->watched);
    for (struct watched_key *w; (w = dict_iter_next(&it)) != NULL;) {
        int key_db;
        struct bytes key = key_of(w, &key_db);
        if (db != key_db) continue;
        bool was_there = db_find(store_db(&n->store, db), key) != NULL;
        watched_key_replaced(n, w, was_there, fresh != NULL ? db_find(fresh, key) : NULL);
    }
    dict_iter_end(&it);
}
