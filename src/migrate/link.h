// Links to targets of MIGRATE: opened for one migration, kept for the next one to the same target
// with the same credentials. A link that its peer closes while it is idle leaves the cache at once.
#ifndef WHERRY_MIGRATE_LINK_H
#define WHERRY_MIGRATE_LINK_H

#include "migrate/migrate.h"
#include "proto/reader.h"

struct migrate_link {
    struct list link; // migrator->links while idle
    struct migrator *migrator;
    struct conn *conn;
    struct reader reader;
    struct str *host, *user, *password; // user, password: NULL when there is none
    int port;
    bool tls;
    int db; // that the target has selected; -1: not known
    struct deadline idle;
};

// An idle link that fits, out of the cache, or NULL.
struct migrate_link *link_take(struct migrator *g, const struct migrate_request *request);
// A new one, connecting; its events go to the owner.
struct migrate_link *link_open(struct migrator *g, const struct migrate_request *request,
                               const struct conn_events *events, void *owner);
void link_keep(struct migrate_link *l); // into the cache: nothing is under way on it
void link_drop(struct migrate_link *l); // closes it; the link is gone
void link_gone(struct migrate_link *l); // its conn has ended by itself

#endif
