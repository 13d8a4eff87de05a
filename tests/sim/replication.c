// Worlds of a primary and up to five replicas in chains. Writers write, readers read everywhere,
// wires break at any byte, nodes crash and come back, roles change. Then the faults end, and all
// must be one again.
//
// What is checked throughout: nodes at one offset of one history have the same data; a reader sees
// the old data or the new and never a mixture (generations of keys that are written in one
// transaction); no machine outlives its deadline. In the end: all links are up within a bound, all
// data is equal, and where nothing but wires broke nobody needed a second full sync.
#include "base/mem.h"
#include "node/repl_impl.h"
#include "sim/world/client.h"
#include "sim/world/commands.h"
#include "sim/world/faults.h"
#include "sim/world/runner.h"
#include "sim/world/upsets.h"
#include "store/snapshot.h"

#include <stdio.h>

enum {
    GENERATION_FIELDS = 180, // more than a small hash has
    GENERATION_DB = 9,
    TICK_US = 20000,
    LEVEL_US = 10 * 1000 * 1000,  // until all is one again, and thrice repl-timeout
    FAILOVER_ARRIVES_US = 100000, // at the node that is asked
    ANSWERS_US = 60 * 1000 * 1000,
};

struct scene {
    struct world *w;
    int root; // who should be the primary
    int keys;
    bool ending, settling;
    int plan[WORLD_MEMBERS_MAX]; // whom each is to follow in the end
    // What may happen.
    bool breaks, partitions, crashes, roles, whole, saves, kills, upsets, limits;
    bool strict;              // no full sync after the first
    bool failovers, restarts; // in strict worlds: planned ones, of leaves of the tree
    uint64_t full_before, failover_asked_us;
    struct world_timer tick, fault, role;
    size_t hash_entries;
    struct client_link *admins[WORLD_MEMBERS_MAX];
    uint64_t generation, generations_seen, ticks;
    int64_t backlog_bytes;
    uint64_t timeout_us;
    bool diskless;
    enum diskless_load load[WORLD_MEMBERS_MAX];
    uint32_t slice;
    uint64_t stream_min_bytes; // of a RESTORE, to be decoded as it comes
    int64_t output_limit_bytes;
};

static struct scene *scene_of(const struct client_link *c)
{
    return c->world->own;
}

static struct member *root_of(struct scene *s)
{
    return &s->w->members[s->root];
}

// ---- writers ------------------------------------------------------------------------------------

static void act_write(struct client_link *c);

static void written(struct client_link *c, void *owner, const struct reader_value *reply)
{
    struct scene *s = scene_of(c);
    (void)owner, (void)reply;
    if (!s->ending && list_empty(&c->asked)) client_think(c, pick_spread(s->w, 500, 60000));
}

static void ask_random(struct client_link *c, int kinds)
{
    struct scene *s = scene_of(c);
    struct chain words;
    chain_init(&words);
    random_command(s->w, kinds, s->keys, &words);
    client_ask_chain(c, &words, written, NULL);
}

static bool ask_large(struct client_link *c)
{
    struct scene *s = scene_of(c);
    struct chain words;
    chain_init(&words);
    if (chance(s->w, 40))
        random_large(s->w, s->keys, &words);
    else if (!member_ready(root_of(s)) || !random_restore(s->w, root_of(s)->node, s->keys, &words))
        return false;
    client_ask_chain(c, &words, written, NULL);
    return true;
}

static void act_write(struct client_link *c)
{
    struct scene *s = scene_of(c);
    struct world *w = s->w;
    if (s->ending) return;
    if (chance(w, 4) && ask_large(c)) return;
    if (chance(w, 10)) {
        struct member *to =
            chance(w, 80) ? root_of(s) : &w->members[pick(w, (uint64_t)w->member_count)];
        client_turn_to(c, to);
    }
    int kinds = COMMANDS_WRITE;
    if (chance(w, 12))
        kinds = COMMANDS_BLOCK;
    else if (chance(w, 8))
        kinds = COMMANDS_READ;
    else if (s->whole && chance(w, 2))
        kinds = COMMANDS_ALL;
    if (!chance(w, 10)) {
        ask_random(c, kinds);
        return;
    }
    client_ask(c, NULL, NULL, "MULTI");
    for (uint64_t i = 1 + pick(w, 5); i > 0; i--)
        ask_random(c, kinds);
    if (chance(w, 90))
        client_ask(c, written, NULL, "EXEC");
    else
        client_ask(c, written, NULL, "DISCARD");
}

// ---- generations --------------------------------------------------------------------------------

static void generated(struct client_link *c, void *owner, const struct reader_value *reply)
{
    struct scene *s = scene_of(c);
    (void)owner, (void)reply;
    if (!s->ending) client_think(c, pick_spread(s->w, 2000, 200000));
}

static void ask_fields(struct client_link *c, const char *generation, int step)
{
    char names[GENERATION_FIELDS][8];
    struct bytes argv[2 + 2 * GENERATION_FIELDS] = {BYTES("HSET"), BYTES("big")};
    struct chain words;
    int argc = 2;
    for (int i = 0; i < GENERATION_FIELDS; i += step) {
        snprintf(names[i], sizeof(names[i]), "f%d", i);
        argv[argc++] = bytes_from_cstr(names[i]);
        argv[argc++] = bytes_from_cstr(generation);
    }
    chain_init(&words);
    request_write(&words, argc, argv);
    client_ask_chain(c, &words, NULL, NULL);
}

static void act_generate(struct client_link *c)
{
    struct scene *s = scene_of(c);
    char g[24];
    if (s->ending) return;
    client_turn_to(c, root_of(s));
    snprintf(g, sizeof(g), "%llu", (unsigned long long)++s->generation);
    client_ask(c, NULL, NULL, "MULTI");
    client_ask(c, NULL, NULL, "MSET g:0 %s g:1 %s g:2 %s g:3 %s g:4 %s", g, g, g, g, g);
    ask_fields(c, g, chance(s->w, 20) ? 1 : 60);
    client_ask(c, generated, NULL, "EXEC");
}

static bool all_alike(const struct reader_value *array, const struct reader_value **like)
{
    for (int i = 0; i < array->count; i++) {
        const struct reader_value *item = array->items[i];
        if (*like == NULL) *like = item;
        if (item->type != (*like)->type) return false;
        if (item->type == READER_STRING &&
            !bytes_equal(str_view(item->text), str_view((*like)->text)))
            return false;
    }
    return true;
}

static void on_generation(struct client_link *c, void *owner, const struct reader_value *reply)
{
    struct scene *s = scene_of(c);
    (void)owner;
    if (reply != NULL && reply->type == READER_ARRAY && reply->count == 2) {
        const struct reader_value *like = NULL;
        s->generations_seen++;
        if (!all_alike(reply->items[0], &like) || !all_alike(reply->items[1], &like))
            world_fail(s->w, "%s shows a mixture of generations", c->to->host);
    }
    if (!s->ending) client_think(c, pick_spread(s->w, 1000, 60000));
}

static void act_read(struct client_link *c)
{
    struct scene *s = scene_of(c);
    struct world *w = s->w;
    if (s->ending) return;
    if (chance(w, 10)) client_turn_to(c, &w->members[pick(w, (uint64_t)w->member_count)]);
    client_ask(c, NULL, NULL, "MULTI");
    client_ask(c, NULL, NULL, "MGET g:0 g:1 g:2 g:3 g:4");
    client_ask(c, NULL, NULL, "HMGET big f0 f60 f120");
    client_ask(c, on_generation, NULL, "EXEC");
}

static void add_clients(struct scene *s)
{
    static void (*const acts[])(struct client_link *) = {act_write, act_write, act_generate,
                                                         act_read, act_read};
    for (size_t i = 0; i < sizeof(acts) / sizeof(acts[0]); i++) {
        char host[16];
        snprintf(host, sizeof(host), "c%zu", i);
        struct client_link *c = client_new_at(s->w, host, root_of(s));
        c->act = acts[i];
        if (i >= 2) c->db = GENERATION_DB;
        client_think(c, 1000 * (i + 1));
    }
}

// ---- roles --------------------------------------------------------------------------------------

static void tell(struct scene *s, int i)
{
    struct world *w = s->w;
    struct member *m = &w->members[i];
    if (!member_up(m)) return; // its configuration tells it
    if (m->follows < 0)
        client_ask(s->admins[i], NULL, NULL, "REPLICAOF NO ONE");
    else
        client_ask(s->admins[i], NULL, NULL, "REPLICAOF %s %d", w->members[m->follows].host,
                   w->tls ? WORLD_PORT + 1 : WORLD_PORT);
}

// A tree with this root: each of the others follows one that is nearer to it.
static void plant(struct scene *s, int root)
{
    struct world *w = s->w;
    int order[WORLD_MEMBERS_MAX], count = 0;
    s->root = root;
    w->members[root].follows = -1;
    order[count++] = root;
    for (int i = 0; i < w->member_count; i++) {
        if (i == root) continue;
        w->members[i].follows = order[pick(w, (uint64_t)count)];
        order[count++] = i;
    }
}

static bool one_history(const struct scene *s)
{
    for (int i = 0; i < s->w->member_count; i++) {
        const struct member *m = &s->w->members[i], *first = &s->w->members[0];
        if (!member_ready(m) || (m->follows >= 0 && !repl_link_up(m->node))) return false;
        if (strcmp(repl_id(m->node), repl_id(first->node)) != 0) return false;
    }
    return true;
}

static bool restarting(const struct scene *s)
{
    for (int i = 0; i < s->w->member_count; i++)
        if (s->w->members[i].restart_at_us > sim_now_us(s->w->sim)) return true;
    return false;
}

static void fail_over(struct scene *s)
{
    struct world *w = s->w;
    s->failover_asked_us = sim_now_us(w->sim);
    struct client_link *admin = s->admins[s->root];
    const struct member *to = &w->members[pick(w, (uint64_t)w->member_count)];
    // A replica acknowledges once a second: most are to come to something.
    int timeout_ms = chance(w, 30) ? (int)pick_spread(w, 10, 2000) : 1500 + (int)pick(w, 2000),
        port = w->tls ? WORLD_PORT + 1 : WORLD_PORT;
    world_note(w, "roles: FAILOVER at %s", root_of(s)->host);
    if (chance(w, 50) || to == root_of(s))
        client_ask(admin, NULL, NULL, "FAILOVER TIMEOUT %d", timeout_ms);
    else if (s->strict || chance(w, 50))
        client_ask(admin, NULL, NULL, "FAILOVER TO %s %d TIMEOUT %d", to->host, port, timeout_ms);
    else
        client_ask(admin, NULL, NULL, "FAILOVER TO %s %d FORCE TIMEOUT %d", to->host, port,
                   timeout_ms);
    if (chance(w, 10)) client_ask(admin, NULL, NULL, "FAILOVER ABORT");
}

static void on_role(struct world_timer *t)
{
    struct scene *s = t->own;
    struct world *w = s->w;
    if (s->ending) return;
    world_after(w, t, pick_spread(w, 300000, 6000000), on_role);
    int next = (int)pick(w, (uint64_t)w->member_count);
    if (!member_ready(&w->members[next])) return;
    // Who misses two changes of roles has to sync in full: a primary knows the history before its
    // own.
    if (s->strict && (!one_history(s) || restarting(s))) return;
    if (member_up(root_of(s)) && (s->strict || chance(w, 25))) {
        fail_over(s);
        return;
    }
    if (s->strict) return;
    world_note(w, "roles: %s is to be the primary", w->members[next].host);
    plant(s, next);
    tell(s, next);
    for (int i = 0; i < w->member_count; i++)
        if (i != next && chance(w, 90)) tell(s, i);
}

// -1: nobody is, or more than one.
static int only_primary(const struct scene *s)
{
    int found = -1;
    for (int i = 0; i < s->w->member_count; i++) {
        const struct member *m = &s->w->members[i];
        if (!member_up(m) || repl_is_replica(m->node)) continue;
        if (found >= 0) return -1;
        found = i;
    }
    return found;
}

// A FAILOVER may have changed roles by itself: whoever is a primary now is the one to follow.
static void follow_facts(struct scene *s)
{
    struct world *w = s->w;
    for (int i = 0; i < w->member_count; i++) {
        struct member *m = &w->members[i];
        if (!member_up(m)) continue;
        const char *host = m->node->config.replicaof_host;
        m->follows = -1;
        for (int j = 0; j < w->member_count; j++)
            if (host != NULL && strcmp(host, w->members[j].host) == 0) m->follows = j;
    }
    int root = only_primary(s);
    if (root >= 0 && !s->settling) s->root = root;
}

// In the end: whoever does not follow the plan is told again (while failing over it won't hear).
static void insist(struct scene *s)
{
    for (int i = 0; i < s->w->member_count; i++) {
        struct member *m = &s->w->members[i];
        if (m->follows == s->plan[i] || !list_empty(&s->admins[i]->asked)) continue;
        m->follows = s->plan[i];
        tell(s, i);
    }
}

// ---- faults -------------------------------------------------------------------------------------

static void crash_or_restart(struct scene *s, struct member *m)
{
    struct world *w = s->w;
    if (!member_up(m)) return;
    m->restart_at_us = sim_now_us(w->sim) + pick_spread(w, 1000, 4000000);
    switch (pick(w, 5)) {
    case 0:
        member_stop(m);
        break;
    case 1:
        client_ask(s->admins[m->index], NULL, NULL, "SHUTDOWN SAVE");
        break;
    case 2:
        client_ask(s->admins[m->index], NULL, NULL, "SHUTDOWN NOSAVE");
        break;
    case 3:
        member_crash(m, false);
        break;
    default:
        member_crash(m, true);
        break;
    }
}

// Whoever is restarted now may come back with a configuration from before its new role.
static bool failing_over(const struct scene *s)
{
    int root = only_primary(s);
    return root < 0 || repl_writes_paused(s->w->members[root].node) ||
           sim_now_us(s->w->sim) < s->failover_asked_us + FAILOVER_ARRIVES_US;
}

// It saves its data and its place in the history, and nobody follows it meanwhile.
static void restart_leaf(struct scene *s, struct member *m)
{
    struct world *w = s->w;
    if (m->index == s->root || !one_history(s) || failing_over(s)) return;
    for (int i = 0; i < w->member_count; i++)
        if (w->members[i].follows == m->index) return;
    m->restart_at_us = sim_now_us(w->sim) + pick_spread(w, 1000, 2000000);
    client_ask(s->admins[m->index], NULL, NULL, "SHUTDOWN SAVE");
}

static void upset(struct scene *s, struct member *m)
{
    struct client_link *admin = s->admins[m->index];
    if (!member_up(m)) return;
    switch (pick(s->w, 5)) {
    case 0:
        upset_clock(m);
        break;
    case 1:
        if (!s->restarts) upset_disk(m);
        break;
    case 2:
        upset_memory(admin, true);
        break;
    case 3:
        if (s->limits) upset_limits(admin);
        break;
    default:
        upset_settings(admin);
        break;
    }
}

static void on_fault(struct world_timer *t)
{
    struct scene *s = t->own;
    struct world *w = s->w;
    if (s->ending) return;
    struct member *a = &w->members[pick(w, (uint64_t)w->member_count)],
                  *b = &w->members[pick(w, (uint64_t)w->member_count)];
    world_after(w, t, pick_spread(w, 10000, 1500000), on_fault);
    if (a == b) return;
    uint64_t what = pick(w, 115);
    if (what >= 100 && s->upsets)
        upset(s, a);
    else if (what < 40 && s->breaks)
        wire_break(w, a, b);
    else if (what < 60 && s->breaks)
        wire_random(w, a, b, chance(w, 50));
    else if (what < 68 && s->partitions)
        sim_partition(w->sim, a->host, b->host, chance(w, 60));
    else if (what < 76 && s->partitions)
        sim_heal_all(w->sim);
    else if (what < 84 && s->crashes)
        crash_or_restart(s, a);
    else if (what < 84 && s->restarts)
        restart_leaf(s, a);
    else if (what < 92 && s->saves && member_up(a))
        client_ask(s->admins[a->index], NULL, NULL, chance(w, 70) ? "BGSAVE" : "SAVE");
    else if (what < 100 && s->kills && member_up(a))
        client_ask(s->admins[a->index], NULL, NULL, "CLIENT KILL TYPE %s",
                   chance(w, 30)   ? "normal"
                   : chance(w, 50) ? "replica"
                                   : "master");
}

static void on_tick(struct world_timer *t)
{
    struct scene *s = t->own;
    struct world *w = s->w;
    uint64_t now_us = sim_now_us(w->sim);
    world_after(w, t, TICK_US, on_tick);
    for (int i = 0; i < w->member_count; i++) {
        struct member *m = &w->members[i];
        member_reap(m);
        if (m->node == NULL && now_us >= m->restart_at_us) member_start(m);
        if (m->node == NULL) continue;
        list_each(at, &m->node->clients) list_entry(at, struct client, link)
            ->parser.stream_min_bytes = s->stream_min_bytes;
    }
    follow_facts(s);
    if (s->settling && s->ticks % 25 == 0) insist(s);
    s->ticks++;
    if (s->ticks % 3 == 0) world_check_machines(w);
    if (s->ticks % 16 == 0) world_check_offsets(w);
}

// ---- beginning and end --------------------------------------------------------------------------

static void configure(struct member *m, struct config *c)
{
    struct scene *s = m->world->own;
    c->repl_backlog_size = s->backlog_bytes;
    c->repl_timeout_us = (int64_t)s->timeout_us;
    c->repl_diskless_sync = s->diskless;
    c->repl_diskless_load = s->load[m->index];
    c->shutdown_timeout_s = 1;
    c->limits.hash_max_listpack_entries = s->hash_entries;
    c->output_limit[CLASS_REPLICA].hard_bytes = s->output_limit_bytes;
    sim_set_slice(m->at, s->slice);
}

static uint64_t full_syncs(const struct scene *s)
{
    uint64_t sum = 0;
    for (int i = 0; i < s->w->member_count; i++)
        sum += member_full_syncs(&s->w->members[i]);
    return sum;
}

static bool links_up(void *arg)
{
    struct scene *s = arg;
    for (int i = 0; i < s->w->member_count; i++) {
        struct member *m = &s->w->members[i];
        if (!member_ready(m) || (m->follows >= 0 && !repl_link_up(m->node))) return false;
    }
    return true;
}

static bool has_one_primary(void *arg)
{
    return only_primary(arg) >= 0;
}

static bool level(void *arg)
{
    struct scene *s = arg;
    struct world *w = s->w;
    struct member *root = root_of(s);
    if (!member_ready(root) || repl_is_replica(root->node)) return false;
    for (int i = 0; i < w->member_count; i++) {
        struct member *m = &w->members[i];
        if (m == root) continue;
        if (!member_ready(m) || !repl_link_up(m->node)) return false;
        if (repl_offset(m->node) != repl_offset(root->node)) return false;
        if (strcmp(repl_id(m->node), repl_id(root->node)) != 0) return false;
    }
    return true;
}

static bool all_answered(void *arg)
{
    struct scene *s = arg;
    list_each(at, &s->w->clients) if (!list_empty(&list_entry(at, struct client_link, link)
                                                       ->asked)) return false;
    return true;
}

static bool quiet_snapshots(void *arg)
{
    struct scene *s = arg;
    for (int i = 0; i < s->w->member_count; i++)
        if (s->w->members[i].node->store.snapshot != NULL) return false;
    return true;
}

static void note_links(struct scene *s)
{
    for (int i = 0; i < s->w->member_count; i++) {
        struct member *m = &s->w->members[i];
        if (m->node == NULL)
            world_note(s->w, "%s is down", m->host);
        else
            world_note(
                s->w, "%s: follows %d, %s, loading %d, offset %lld of %.8s", m->host, m->follows,
                repl_is_replica(m->node) ? replica_role_state(&m->node->repl->replica) : "primary",
                m->node->loading, (long long)repl_offset(m->node), repl_id(m->node));
    }
}

static void await(struct scene *s, bool (*done)(void *arg), const char *what)
{
    if (sim_run_while_not(s->w->sim, done, s, LEVEL_US + 3 * s->timeout_us)) return;
    note_links(s);
    world_fail(s->w, "%s", what);
}

// What a RESTORE was told under is gone with it, unless its node has died or lost its role
// meanwhile.
static void check_nothing_temporary(struct scene *s)
{
    if (s->crashes || s->roles || s->failovers || s->whole) return;
    for (int i = 0; i < s->w->member_count; i++) {
        struct member *m = &s->w->members[i];
        if (node_key_count(m->node) != node_lasting_keys(m->node))
            world_fail(s->w, "%s is left with keys of a RESTORE", m->host);
    }
}

static void check_equal(struct scene *s)
{
    struct member *root = root_of(s);
    uint64_t digest = node_digest(root->node);
    for (int i = 0; i < s->w->member_count; i++) {
        struct member *m = &s->w->members[i];
        if (node_digest(m->node) == digest) continue;
        world_note_difference(s->w, root, m);
        world_fail(s->w, "%s and %s differ in the end", root->host, m->host);
    }
}

static void choose(struct scene *s)
{
    struct world *w = s->w;
    w->tls = chance(w, 12);
    w->watched = chance(w, 25);
    s->keys = (int)pick_spread(w, 1, 40);
    s->timeout_us = 1000000 + pick(w, 2500000);
    s->diskless = chance(w, 70);
    s->slice = (uint32_t)pick_spread(w, 20, 5000);
    s->hash_entries = pick(w, 129);
    s->breaks = chance(w, 85);
    s->partitions = chance(w, 40);
    s->crashes = chance(w, 40);
    s->roles = chance(w, 40);
    s->whole = chance(w, 60);
    s->saves = chance(w, 50);
    s->kills = chance(w, 40);
    s->backlog_bytes = chance(w, 60) ? 64 << 20 : 16384;
    s->strict = s->backlog_bytes > 16384 && !s->crashes && !s->roles;
    s->failovers = s->strict && chance(w, 50);
    s->restarts = s->strict && chance(w, 50);
    s->upsets = chance(w, 60);
    s->limits = s->upsets && !s->strict;
    s->output_limit_bytes =
        s->limits && chance(w, 40) ? 20000 + (int64_t)pick_spread(w, 1, 1 << 20) : 0;
    if (s->output_limit_bytes > 0) s->backlog_bytes = 16384; // below it no limit counts
    s->stream_min_bytes = pick_spread(w, 30, 64 * 1024);
    for (int i = 0; i < WORLD_MEMBERS_MAX; i++)
        s->load[i] = (enum diskless_load)pick(w, 3);
    int count = 2 + (int)pick(w, 5);
    for (int i = 0; i < count; i++) {
        char host[16];
        snprintf(host, sizeof(host), "n%d", i);
        member_add(w, host);
    }
    world_note(w,
               "%d nodes, tls %d, diskless %d, breaks %d, partitions %d, crashes %d, roles %d, "
               "upsets %d, strict %d, failovers %d, restarts %d, output limit %lld, "
               "backlog %lld, slice %u, timeout %llu ms",
               count, w->tls, s->diskless, s->breaks, s->partitions, s->crashes, s->roles,
               s->upsets, s->strict, s->failovers, s->restarts, (long long)s->output_limit_bytes,
               (long long)s->backlog_bytes, s->slice, (unsigned long long)s->timeout_us / 1000);
}

static void play(struct world *w)
{
    struct scene *s = mem_new(struct scene);
    s->w = w;
    w->own = s;
    w->configure = configure;
    choose(s);
    struct sim_wire usual = {.delay_us = 300, .jitter_us = 200};
    sim_set_wire(w->sim, &usual);
    plant(s, 0);
    for (int i = 0; i < w->member_count; i++) {
        char host[16];
        snprintf(host, sizeof(host), "admin%d", i);
        for (int j = 0; j < w->member_count; j++)
            if (i < j) wire_random(w, &w->members[i], &w->members[j], false);
        member_start(&w->members[i]);
        s->admins[i] = client_new_at(w, host, &w->members[i]);
    }
    s->tick.own = s->fault.own = s->role.own = s;
    world_after(w, &s->tick, TICK_US, on_tick);
    add_clients(s);
    if (s->strict) {
        await(s, links_up, "links did not come up at the beginning");
        s->full_before = full_syncs(s);
    }
    world_after(w, &s->fault, pick(w, 1000000), on_fault);
    if (s->roles || s->failovers) world_after(w, &s->role, pick(w, 3000000), on_role);
    world_run(w, 3000000 + pick(w, 8000000));

    s->ending = true;
    wires_mend(w);
    for (int i = 0; i < w->member_count; i++)
        w->members[i].restart_at_us = 0;
    world_run(w, 2 * TICK_US);
    for (int i = 0; i < w->member_count; i++)
        upsets_end(s->admins[i]);
    if (s->failovers) await(s, has_one_primary, "a failover did not come to an end");
    int root = -1;
    for (int i = 0; i < w->member_count; i++)
        if (member_up(&w->members[i]) && !repl_is_replica(w->members[i].node)) root = i;
    if (root < 0 || s->roles || s->crashes) {
        plant(s, root < 0 ? 0 : root);
        for (int i = 0; i < w->member_count; i++) {
            s->plan[i] = w->members[i].follows;
            tell(s, i);
        }
        s->settling = true;
    }
    s->root = root < 0 ? 0 : root;
    if (!sim_run_while_not(w->sim, all_answered, s, ANSWERS_US)) world_check_quiet(w);
    await(s, level, "not level in the end");
    check_equal(s);
    check_nothing_temporary(s);
    if (s->strict && full_syncs(s) != s->full_before)
        world_fail(w, "%llu full syncs where partial ones were possible",
                   (unsigned long long)(full_syncs(s) - s->full_before));
    sim_run_while_not(w->sim, quiet_snapshots, s, ANSWERS_US);
    world_run(w, 100000);
    world_check_quiet(w);
    world_check_machines(w);
    world_end_timers(w);
    mem_free(s);
}

static const struct world_case cases[] = {
    {"the answer to PSYNC FAILOVER is lost, and it is asked again", 200767},
    {"the same, with a longer way to the end", 200577},
    {"a link is lost while an RDB is loaded behind which stream has come", 300784},
    {"a stream is restored whose last id is below that of a deleted entry", 301210},
    {0},
};

int main(int argc, char **argv)
{
    static const struct world_program program = {"replication", play, cases};
    return runner_main(&program, argc, argv);
}
