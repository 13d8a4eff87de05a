// The keys of a MIGRATE: held while they are on their way, deleted when they have arrived.
#include "migrate/migrate_impl.h"

void migrate_release(struct migrate *m, struct migrate_key *k)
{
    list_remove(&k->waiter.link);
    if (k->entry == NULL) return;
    struct entry *e = k->entry;
    k->entry = NULL;
    store_release(m->migrator->host->store, m->request.source_db, e);
}

static void delete_key(struct migrate *m, struct migrate_key *k)
{
    struct migrate_host *host = m->migrator->host;
    migrate_release(m, k);
    host->delete_key(host, m->request.source_db, str_view(k->name));
}

// Whether an acknowledged key may go now; else its waiter is told. A frozen store will have other
// entries when it thaws, and not before nobody holds any: the key is let go of, and is the first to
// be written then.
static bool may_delete(struct migrate *m, struct migrate_key *k)
{
    struct migrate_host *host = m->migrator->host;
    int db = m->request.source_db;
    if (host->paused != NULL && host->paused(host, &k->waiter)) return false;
    if (host->store->frozen) {
        migrate_release(m, k);
        store_wait_thaw(host->store, &k->waiter);
        return false;
    }
    if (k->entry == NULL)
        return store_before_write(host->store, db, str_view(k->name), &k->waiter) == WRITE_NOW;
    return store_before_delete_held(host->store, db, k->entry, &k->waiter) == WRITE_NOW;
}

static void delete_later(struct waiter *w)
{
    struct migrate_key *k = list_entry(w, struct migrate_key, waiter);
    struct migrate *m = k->migrate;
    if (!may_delete(m, k)) return;
    k->deleting = false;
    m->deleting--;
    delete_key(m, k);
    if (m->deleting == 0 && m->machine.state == SETTLE) migrate_tell(m, SETTLED);
}

void migrate_release_rest(struct migrate *m)
{
    for (int i = 0; i < m->request.key_count; i++)
        if (!m->keys[i].deleting) migrate_release(m, &m->keys[i]);
}

void migrate_keep_all(struct migrate *m)
{
    for (int i = 0; i < m->request.key_count; i++)
        m->keys[i].deleting = false;
    m->deleting = 0;
}

void migrate_acknowledged(struct migrate *m, struct migrate_key *k)
{
    m->result.moved++;
    m->migrator->stats.keys_moved++;
    if (m->request.copy) {
        migrate_release(m, k);
        return;
    }
    k->waiter.ready = delete_later;
    if (may_delete(m, k)) {
        delete_key(m, k);
        return;
    }
    k->deleting = true;
    m->deleting++;
}

static void on_free(struct waiter *w)
{
    struct migrate *m = list_entry(w, struct migrate_key, waiter)->migrate;
    if (m->machine.state == HELD) migrate_tell(m, FREE);
}

struct migrate_key *migrate_next_key(struct migrate *m, bool *held)
{
    struct migrate_host *host = m->migrator->host;
    for (; m->next_key < m->request.key_count; m->next_key++) {
        struct migrate_key *k = &m->keys[m->next_key];
        struct entry *e = db_find(store_db(host->store, m->request.source_db), str_view(k->name));
        k->missing = e == NULL || entry_expired(e, loop_unix_ms(host->loop));
        if (k->missing) continue;
        k->waiter.ready = on_free;
        list_remove(&k->waiter.link);
        *held = store_before_write(host->store, m->request.source_db, str_view(k->name),
                                   &k->waiter) == WRITE_WAIT;
        if (*held) return NULL;
        store_hold(host->store, m->request.source_db, e);
        k->entry = e;
        return k;
    }
    return NULL;
}

bool migrate_reply_due(struct migrate *m)
{
    while (m->next_reply < m->next_key && m->keys[m->next_reply].missing)
        m->next_reply++;
    return m->next_reply < m->next_key;
}
