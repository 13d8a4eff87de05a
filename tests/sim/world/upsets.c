#include "sim/world/upsets.h"

#include <errno.h>

enum { SKEW_MAX_US = 60 * 1000 * 1000 };

void upset_clock(struct member *m)
{
    struct world *w = m->world;
    int64_t by_us = (int64_t)pick_spread(w, 1000, SKEW_MAX_US);
    if (chance(w, 50)) by_us = -by_us;
    world_note(w, "%s: its clock is off by %lld ms", m->host, (long long)by_us / 1000);
    sim_set_skew(m->at, by_us);
}

void upset_disk(struct member *m)
{
    static const enum file_op ops[] = {FILE_WRITE, FILE_WRITE, FILE_SYNC, FILE_RENAME,
                                       FILE_SYNC_DIR};
    struct world *w = m->world;
    if (chance(w, 40)) {
        sim_set_disk(m->at, pick_spread(w, 10, 20000), pick_spread(w, 100, 300000));
        return;
    }
    enum file_op op = ops[pick(w, sizeof(ops) / sizeof(ops[0]))];
    int count = 1 + (int)pick(w, 3);
    world_note(w, "%s: %d times, operation %d of its disk is to fail", m->host, count, (int)op);
    sim_file_fail(m->at, op, "", chance(w, 70) ? ENOSPC : EIO, count);
}

struct setting {
    const char *name, *values[4];
};

static void set_one_of(struct client_link *admin, const struct setting *settings, size_t count)
{
    struct world *w = admin->world;
    const struct setting *s = &settings[pick(w, count)];
    uint64_t values = 0;
    while (values < 4 && s->values[values] != NULL)
        values++;
    client_ask(admin, NULL, NULL, "CONFIG SET %s %s", s->name, s->values[pick(w, values)]);
}

void upset_settings(struct client_link *admin)
{
    static const struct setting settings[] = {
        {"repl-diskless-sync", {"yes", "no"}},
        {"repl-diskless-sync-delay", {"0", "0", "1"}},
        {"repl-diskless-sync-max-replicas", {"0", "1", "2"}},
        {"repl-diskless-load", {"disabled", "on-empty-db", "swapdb"}},
        {"repl-disable-tcp-nodelay", {"yes", "no"}},
        {"replica-serve-stale-data", {"yes", "no"}},
        {"replica-lazy-flush", {"yes", "no"}},
        {"lazyfree-lazy-user-flush", {"yes", "no"}},
        {"lazyfree-lazy-user-del", {"yes", "no"}},
        {"lazyfree-lazy-expire", {"yes", "no"}},
        {"min-replicas-to-write", {"0", "0", "1", "2"}},
        {"rdbcompression", {"yes", "no"}},
        {"rdbchecksum", {"yes", "no"}},
        {"hash-max-listpack-entries", {"0", "8", "128", "512"}},
        {"zset-max-listpack-entries", {"0", "8", "128"}},
        {"set-max-intset-entries", {"0", "8", "512"}},
        {"list-max-listpack-size", {"-2", "1", "5"}},
        {"stream-node-max-entries", {"1", "5", "100"}},
        {"activerehashing", {"yes", "no"}},
        {"hz", {"1", "10", "100"}},
    };
    set_one_of(admin, settings, sizeof(settings) / sizeof(settings[0]));
}

void upset_limits(struct client_link *admin)
{
    static const struct setting settings[] = {
        {"repl-backlog-size", {"16384", "20000", "1mb"}},
        {"repl-backlog-ttl", {"1", "3600"}},
        {"client-output-buffer-limit",
         {"replica 20000 0 0", "replica 300000 50000 1", "replica 0 10000 1", "replica 0 0 0"}},
    };
    set_one_of(admin, settings, sizeof(settings) / sizeof(settings[0]));
}

void upset_memory(struct client_link *admin, bool evict)
{
    static const char *const policies[] = {"volatile-lru", "volatile-lfu", "volatile-random",
                                           "volatile-ttl"};
    struct world *w = admin->world;
    client_ask(admin, NULL, NULL, "CONFIG SET maxmemory-policy %s",
               evict ? policies[pick(w, 4)] : "noeviction");
    // What is used is counted for the whole process: only these two limits mean the same each time.
    client_ask(admin, NULL, NULL, "CONFIG SET maxmemory %d", chance(w, 50) ? 0 : 1);
}

void upsets_end(struct client_link *admin)
{
    sim_set_disk(admin->to->at, 100, 1000);
    if (member_up(admin->to)) client_ask(admin, NULL, NULL, "CONFIG SET maxmemory 0");
}
