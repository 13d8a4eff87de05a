// Worlds of two or three nodes between which keys are moved to and fro, sometimes each with a
// replica, while clients write to the keys wherever they are. Wires break at any byte, nodes save,
// sync, crash, are told to be replicas; clients are killed while they wait; whole databases are
// swapped or emptied.
//
// What is checked throughout: a key that was made is on one side at least, and every copy of it is
// some version of it, whole. In the end: it is on exactly one side, with its newest version, unless
// a copy was asked for or an acknowledgement may have been lost; nobody is parked, nothing is held,
// every client was answered.
#include "base/mem.h"
#include "node/migrate_node.h"
#include "node/parts.h"
#include "node/repl_impl.h"
#include "sim/world/client.h"
#include "sim/world/faults.h"
#include "sim/world/objects.h"
#include "sim/world/runner.h"
#include "sim/world/upsets.h"
#include "value/dict.h"

#include <stdio.h>

enum {
    TICK_US = 5000,
    ACTORS = 3,
    MIGRATORS = 3,
    BATCH = 6,
    TRIES = 12, // on one side after the other, before a key counts as nowhere
    END_US = 60 * 1000 * 1000,
};

enum op { OP_MAKE, OP_WRITE, OP_RENAME, OP_POP, OP_DELETE, OP_EXPIRE, OP_KEEP, OP_TWO, OP_DUMP };

struct scene;
struct actor {
    struct scene *scene;
    struct client_link *link[OBJECT_SIDES];
    struct object *object;
    struct buf words;
    enum op op;
    int kind, side, tries;
    bool blocked; // what was tried on one of the sides was refused: no verdict
};

struct migrator_client {
    struct scene *scene;
    struct client_link *link[OBJECT_SIDES];
    struct object *objects[BATCH];
    int incarnations[BATCH];
    int count, side, to;
    bool copy, replace;
};

struct scene {
    struct world *w;
    struct objects objects;
    struct actor actors[ACTORS];
    struct migrator_client migrators[MIGRATORS];
    struct client_link *admins[WORLD_MEMBERS_MAX];
    struct world_timer tick, fault;
    bool ending;
    bool breaks, partitions, crashes, roles, whole, saves, kills, upsets;
    int sides; // nodes that keys move between; members from there on are replicas
    uint64_t ticks, stream_min_bytes, timeout_us;
    int64_t window_bytes;
    uint32_t slice;
    size_t hash_entries;
    uint64_t moved, refused, failed, none, lost;
};

static struct member *side_of(struct scene *s, int side)
{
    return &s->w->members[side];
}

static int other_side(struct scene *s, int side)
{
    return (side + 1 + (int)pick(s->w, (uint64_t)s->sides - 1)) % s->sides;
}

static void ask_words(struct client_link *c, struct bytes words, client_answer *answer, void *owner)
{
    struct chain chain;
    chain_init(&chain);
    chain_append(&chain, words.data, words.len);
    client_ask_chain(c, &chain, answer, owner);
}

// ---- writers ------------------------------------------------------------------------------------

static void finish(struct actor *a)
{
    struct scene *s = a->scene;
    a->object->busy = false;
    a->object = NULL;
    buf_free(&a->words);
    if (!s->ending) client_think(a->link[0], pick_spread(s->w, 200, 60000));
}

static bool reference_has(struct scene *s, const struct object *x)
{
    return node_find(s->objects.reference->node, bytes_from_cstr(x->name), NULL) != NULL;
}

// The write may have met an old copy: what came of that is a version, too.
static void adopt_copies(struct scene *s, struct object *x)
{
    for (int i = 0; i < s->w->member_count; i++) {
        struct member *m = &s->w->members[i];
        if (!member_up(m) || m == s->objects.reference) continue;
        struct entry *e = node_find(m->node, bytes_from_cstr(x->name), NULL);
        if (e != NULL) object_add_version(x, entry_digest(e, 0));
    }
}

// What was answered, or may have been done: the reference does it too.
static void take_effect(struct actor *a)
{
    struct scene *s = a->scene;
    struct object *x = a->object;
    struct bytes pop;
    struct buf words = BUF_EMPTY;
    switch (a->op) {
    case OP_MAKE:
        x->alive = true;
        return;
    case OP_WRITE:
    case OP_TWO:
        object_apply(&s->objects, buf_view(&a->words));
        x->taken++;
        x->left--;
        break;
    case OP_RENAME:
        object_apply(&s->objects, buf_view(&a->words));
        object_renamed(x);
        break;
    case OP_POP:
        request_appendf(&words, "LPOP %s", x->name);
        pop = buf_view(&words);
        object_apply(&s->objects, pop);
        buf_free(&words);
        break;
    case OP_DELETE:
        object_apply(&s->objects, buf_view(&a->words));
        break;
    case OP_EXPIRE:
        x->mortal = true;
        return;
    case OP_KEEP:
    case OP_DUMP:
        return;
    }
    if (reference_has(s, x))
        object_version(&s->objects, x);
    else
        x->alive = false;
    if (x->loose || x->mortal) adopt_copies(s, x);
}

static void answered(struct client_link *c, void *owner, const struct reader_value *reply);

static void try_it(struct actor *a)
{
    struct client_link *c = a->link[a->side];
    client_ask(c, NULL, NULL, "SELECT %d", a->object->db[a->side]);
    if (a->op == OP_TWO) {
        client_ask(c, NULL, NULL, "MULTI");
        ask_words(c, buf_view(&a->words), NULL, NULL);
        client_ask(c, answered, a, "EXEC");
    } else {
        ask_words(c, buf_view(&a->words), answered, a);
    }
}

static bool anywhere(struct scene *s, const struct object *x)
{
    struct bytes key = bytes_from_cstr(x->name);
    for (int side = 0; side < s->sides; side++)
        if (!member_ready(side_of(s, side)) || node_find(side_of(s, side)->node, key, NULL) != NULL)
            return true;
    return false;
}

static bool must_be_there(const struct object *x)
{
    return x->alive && !x->mortal && !x->maybe_lost;
}

// It is not on this side: then on another, unless it is on its way just now.
static void missing(struct actor *a)
{
    struct scene *s = a->scene;
    struct object *x = a->object;
    if (++a->tries < TRIES) {
        a->side = (a->side + 1) % s->sides;
        client_think(a->link[1], 1 + pick(s->w, 3000u << a->tries / 2));
        return;
    }
    if (!anywhere(s, x)) {
        if (must_be_there(x) && !a->blocked) world_fail(s->w, "%s is on no side", x->name);
        x->alive = false;
    }
    finish(a);
}

static void lost(struct actor *a)
{
    struct object *x = a->object;
    a->scene->lost++;
    if (a->op != OP_DUMP && a->op != OP_KEEP) {
        take_effect(a);
        x->loose = true;
        // Whether it has a name, or which, is not known: another one is made in its place.
        if (a->op != OP_WRITE && a->op != OP_TWO) x->alive = false;
    }
    finish(a);
}

static void answered(struct client_link *c, void *owner, const struct reader_value *reply)
{
    struct actor *a = owner;
    struct scene *s = a->scene;
    (void)c;
    if (reply == NULL) {
        lost(a);
        return;
    }
    if (a->op == OP_TWO && reply->type == READER_ARRAY) {
        if (reply->count != 1) world_fail(a->scene->w, "EXEC gave %d answers", reply->count);
        reply = reply->items[0];
    }
    switch (object_read_answer(a->kind, reply)) {
    case ANSWER_REFUSED:
        if (a->op == OP_MAKE) a->object->alive = false;
        finish(a);
        return;
    case ANSWER_MISSING:
        if (a->op == OP_MAKE) world_fail(a->scene->w, "%s was not made", a->object->name);
        missing(a);
        return;
    case ANSWER_DONE:
        // Popped where it is not at home: perhaps off a copy.
        if (a->op == OP_POP && a->side != a->object->home && a->object->maybe_both)
            a->object->loose = true;
        // With a third side the newest may be there while an old copy is here.
        if (s->sides > 2 && a->side != a->object->home && a->object->maybe_both)
            a->object->loose = true;
        a->object->home = a->side;
        take_effect(a);
        finish(a);
        return;
    }
}

static void act_again(struct client_link *c)
{
    try_it(c->own);
}

static void make(struct actor *a)
{
    struct scene *s = a->scene;
    struct object *x = a->object;
    for (int side = 0; side < s->sides && chance(s->w, 80); side++) {
        client_ask(a->link[side], NULL, NULL, "SELECT %d", x->db[side]);
        client_ask(a->link[side], NULL, NULL, chance(s->w, 50) ? "DEL %s" : "UNLINK %s", x->name);
    }
    object_forget(&s->objects, x);
    object_renew(&s->objects, x);
    object_make(&s->objects, x, &a->words);
    a->op = OP_MAKE;
    a->kind = object_made_kind(x, buf_view(&a->words));
    a->side = x->home = (int)pick(s->w, (uint64_t)s->sides);
}

static void choose_op(struct actor *a)
{
    struct scene *s = a->scene;
    struct object *x = a->object;
    uint64_t what = pick(s->w, 100);
    a->side = x->home;
    a->op = OP_WRITE;
    if (what < 8) {
        a->op = OP_RENAME;
        object_rename(&s->objects, x, &a->words, &a->kind);
        return;
    }
    if (what < 20 && x->type == VALUE_LIST) {
        a->op = OP_POP;
        if (!x->maybe_both && chance(s->w, 30)) a->side = other_side(s, a->side);
        object_pop(&s->objects, x, &a->words, &a->kind);
        return;
    }
    if (what < 30) {
        a->op = what < 23 ? OP_DELETE : what < 25 ? OP_EXPIRE : what < 28 ? OP_KEEP : OP_DUMP;
        object_simple(x,
                      a->op == OP_DELETE   ? "DEL %s"
                      : a->op == OP_EXPIRE ? "PEXPIRE %s 150"
                      : a->op == OP_KEEP   ? "PEXPIRE %s 10000000"
                                           : "DUMP %s",
                      a->op == OP_DUMP, &a->words, &a->kind);
        return;
    }
    if (what < 40) a->op = OP_TWO;
    if (object_write(&s->objects, x, &a->words, &a->kind)) return;
    a->op = OP_DELETE;
    object_simple(x, "DEL %s", false, &a->words, &a->kind);
}

static void act(struct client_link *c)
{
    struct actor *a = c->own;
    struct scene *s = a->scene;
    struct object *x = &s->objects.all[pick(s->w, (uint64_t)s->objects.count)];
    if (s->ending) return;
    if (x->busy) {
        client_think(c, 1000);
        return;
    }
    x->busy = true;
    a->object = x;
    a->tries = 0;
    a->blocked = false;
    bool doubtful = x->mortal || x->maybe_lost;
    if (!x->alive || x->loose || (doubtful && chance(s->w, 50)))
        make(a);
    else
        choose_op(a);
    try_it(a);
}

// ---- who migrates -------------------------------------------------------------------------------

static bool is_there(struct scene *s, int side, const struct object *x)
{
    struct member *m = side_of(s, side);
    return member_up(m) && node_find(m->node, bytes_from_cstr(x->name), NULL) != NULL;
}

static void migrated(struct client_link *c, void *owner, const struct reader_value *reply)
{
    struct migrator_client *m = owner;
    struct scene *s = m->scene;
    bool ok = reply != NULL && reply->type == READER_STATUS;
    (void)c;
    if (ok)
        *(reader_value_is(reply, "OK") ? &s->moved : &s->none) += 1;
    else
        *(reply == NULL ? &s->lost : &s->failed) += 1;
    if (!ok)
        world_note(s->w, "migrate from %s: %s", side_of(s, m->side)->host,
                   reply != NULL ? reply->text->data : "lost");
    for (int i = 0; i < m->count; i++) {
        struct object *x = m->objects[i];
        if (x->incarnation != m->incarnations[i]) continue;
        if (!ok || m->copy) x->maybe_both = true;
        // A late one may overwrite what is newer.
        if (m->replace && (!ok || x->maybe_both)) x->loose = true;
        // With a third side, what is there may be an old copy.
        if (m->copy || x->home != m->side || (s->sides > 2 && x->maybe_both)) continue;
        bool left = !is_there(s, m->side, x), came = is_there(s, m->to, x);
        if (left && came) x->home = m->to;
        // What a link that was given up had on its way arrived after its key had gone on: which of
        // the two is the newest is not known.
        if (!left && came && x->maybe_both) x->loose = true;
    }
    if (!s->ending) client_think(m->link[0], pick_spread(s->w, 200, 200000));
}

static void gather(struct migrator_client *m)
{
    struct scene *s = m->scene;
    struct object *first = &s->objects.all[pick(s->w, (uint64_t)s->objects.count)];
    int most = chance(s->w, 50) ? 1 : 1 + (int)pick(s->w, BATCH);
    m->side = first->home;
    m->to = other_side(s, m->side);
    m->count = 0;
    for (int i = 0; i < s->objects.count && m->count < most; i++) {
        struct object *x = &s->objects.all[(first->index + i) % s->objects.count];
        if (x->home != m->side || x->db[m->side] != first->db[m->side] ||
            x->db[m->to] != first->db[m->to])
            continue;
        m->objects[m->count] = x;
        m->incarnations[m->count++] = x->incarnation;
    }
}

static void act_migrate(struct client_link *c)
{
    struct migrator_client *m = c->own;
    struct scene *s = m->scene;
    struct world *w = s->w;
    struct chain words;
    struct bytes argv[32];
    char timeout[16], db[8], port[8];
    int argc = 0;
    if (s->ending) return;
    gather(m);
    const struct object *first = m->objects[0];
    m->copy = chance(w, 12);
    m->replace = chance(w, 40);
    for (int i = 0; i < m->count; i++)
        if (m->copy) m->objects[i]->maybe_both = true;
    snprintf(port, sizeof(port), "%d", w->tls ? WORLD_PORT + 1 : WORLD_PORT);
    snprintf(db, sizeof(db), "%d", first->db[m->to]);
    snprintf(timeout, sizeof(timeout), "%d", (int)pick_spread(w, 20, 3000));
    bool many = m->count > 1 || chance(w, 20);
    argv[argc++] = BYTES("MIGRATE");
    argv[argc++] = bytes_from_cstr(side_of(s, m->to)->host);
    argv[argc++] = bytes_from_cstr(port);
    argv[argc++] = many ? BYTES("") : bytes_from_cstr(first->name);
    argv[argc++] = bytes_from_cstr(db);
    argv[argc++] = bytes_from_cstr(timeout);
    if (m->copy) argv[argc++] = BYTES("COPY");
    if (m->replace) argv[argc++] = BYTES("REPLACE");
    if (many) argv[argc++] = BYTES("KEYS");
    for (int i = 0; many && i < m->count; i++)
        argv[argc++] = bytes_from_cstr(m->objects[i]->name);
    if (many && chance(w, 10)) argv[argc++] = bytes_from_cstr(first->name); // twice
    chain_init(&words);
    request_write(&words, argc, argv);
    client_ask(m->link[m->side], NULL, NULL, "SELECT %d", first->db[m->side]);
    client_ask_chain(m->link[m->side], &words, migrated, m);
}

// ---- what must always hold ----------------------------------------------------------------------

static void check_copies(struct scene *s, const struct member *m, bool last)
{
    for (int db = 0; db < m->node->store.live->count; db++) {
        struct dict_iter it;
        dict_iter_begin(&it, m->node->store.live->dbs[db].keys);
        for (struct entry *e; (e = dict_iter_next(&it)) != NULL;) {
            struct object *x = object_of_key(&s->objects, entry_key(e));
            if (x == NULL && is_temporary_key(entry_key(e))) {
                if (last && !s->crashes && !s->whole && !s->roles)
                    world_fail(s->w, "%s is left with %.*s", m->host, (int)e->key_len, e->key);
                continue;
            }
            if (x == NULL) world_fail(s->w, "%s has %.*s", m->host, (int)e->key_len, e->key);
            if (x->busy || object_has_version(x, entry_digest(e, 0))) continue;
            world_note_value(s->w, m->host, e);
            struct entry *r = node_find(s->objects.reference->node, entry_key(e), NULL);
            if (r != NULL) world_note_value(s->w, "reference", r);
            world_fail(s->w, "what %s has as %.*s is no version of it (%s, %llu elements)", m->host,
                       (int)e->key_len, e->key, value_type_name(&e->value),
                       (unsigned long long)value_length(&e->value));
        }
        dict_iter_end(&it);
    }
}

static void check_everywhere(struct scene *s, bool last)
{
    for (int i = 0; i < s->w->member_count; i++) {
        struct member *m = &s->w->members[i];
        if (m != s->objects.reference && member_ready(m)) check_copies(s, m, last);
    }
    for (int i = 0; i < s->objects.count; i++) {
        struct object *x = &s->objects.all[i];
        if (must_be_there(x) && !x->busy && !anywhere(s, x))
            world_fail(s->w, "%s is nowhere", x->name);
    }
}

static void check_last(struct scene *s)
{
    check_everywhere(s, true);
    for (int i = 0; i < s->objects.count; i++) {
        struct object *x = &s->objects.all[i];
        if (!must_be_there(x) || x->loose) continue;
        int copies = 0, side = 0;
        for (int at = 0; at < s->sides; at++)
            if (is_there(s, at, x)) copies++, side = at;
        if (copies > 1 && !x->maybe_both) world_fail(s->w, "%s is on several sides", x->name);
        if (copies > 1) continue;
        struct entry *e = node_find(side_of(s, side)->node, bytes_from_cstr(x->name), NULL);
        if (entry_digest(e, 0) != object_newest(x))
            world_fail(s->w, "%s has an old version of %s", side_of(s, side)->host, x->name);
    }
}

// ---- faults -------------------------------------------------------------------------------------

static void doubt(struct scene *s, bool lost_too)
{
    for (int i = 0; i < s->objects.count; i++) {
        s->objects.all[i].maybe_both = s->objects.all[i].loose = true;
        if (lost_too) s->objects.all[i].maybe_lost = true;
    }
}

static void swapped(struct client_link *c, void *owner, const struct reader_value *reply)
{
    struct scene *s = owner;
    doubt(s, false);
    if (reply == NULL || reply->type != READER_STATUS) return;
    for (int i = 0; i < s->objects.count; i++)
        s->objects.all[i].db[c->to->index] ^= 1;
}

static void flushed(struct client_link *c, void *owner, const struct reader_value *reply)
{
    (void)c, (void)reply;
    doubt(owner, true);
}

static void whole_database(struct scene *s, int side)
{
    if (chance(s->w, 70)) {
        doubt(s, false); // old copies may come to stand where new ones are looked for
        client_ask(s->admins[side], swapped, s, "SWAPDB 0 1");
        return;
    }
    doubt(s, true);
    client_ask(s->admins[side], flushed, s, chance(s->w, 50) ? "FLUSHALL" : "FLUSHDB");
}

static void crash(struct scene *s, struct member *m)
{
    if (!member_up(m)) return;
    if (m->index < s->sides) doubt(s, true);
    m->restart_at_us = sim_now_us(s->w->sim) + pick_spread(s->w, 1000, 2000000);
    if (chance(s->w, 30))
        client_ask(s->admins[m->index], NULL, NULL,
                   chance(s->w, 50) ? "SHUTDOWN SAVE" : "SHUTDOWN NOSAVE");
    else if (chance(s->w, 50))
        member_stop(m);
    else
        member_crash(m, chance(s->w, 30));
}

// Somebody who waits: on a key, or for the answer to a MIGRATE, RESTORE or DUMP.
static void kill_waiter(struct scene *s, struct member *m)
{
    uint64_t seen = 0, id = 0;
    if (!member_ready(m)) return;
    list_each(at, &m->node->clients)
    {
        struct client *c = list_entry(at, struct client, link);
        uint32_t waits = CLIENT_PARKED | CLIENT_SUSPENDED | CLIENT_BLOCKED;
        if ((c->flags & waits) && pick(s->w, ++seen) == 0) id = c->id;
    }
    if (seen > 0) client_ask(s->admins[m->index], NULL, NULL, "CLIENT KILL ID %U", id);
}

// Who reads everything, or lets nobody write, while keys are on their way.
static void save_something(struct scene *s, int side)
{
    static const char *const words[] = {"BGSAVE",         "BGSAVE",       "SAVE",
                                        "DEBUG RELOAD",   "DEBUG DIGEST", "CLIENT PAUSE 50 WRITE",
                                        "CLIENT PAUSE 20"};
    struct world *w = s->w;
    struct client_link *c = s->admins[side];
    int count = w->member_count - s->sides - 1; // replicas
    struct member *replica =
        count > 0 ? &w->members[(uint64_t)s->sides + pick(w, (uint64_t)count)] : NULL;
    if (replica != NULL && chance(w, 50)) {
        if (!member_up(replica)) return;
        member_stop(replica); // and a full sync when it is back
        replica->restart_at_us = sim_now_us(w->sim) + pick_spread(w, 1, 200000);
        return;
    }
    const char *what = words[pick(w, sizeof(words) / sizeof(words[0]))];
    if (member_up(side_of(s, side))) client_ask(c, NULL, NULL, what);
}

static void change_role(struct scene *s, struct member *m)
{
    if (!member_ready(m)) return;
    if (repl_is_replica(m->node))
        client_ask(s->admins[m->index], NULL, NULL, "REPLICAOF NO ONE");
    else
        client_ask(s->admins[m->index], NULL, NULL, "REPLICAOF nowhere 1");
}

static void upset(struct scene *s, struct member *m)
{
    struct client_link *admin = s->admins[m->index];
    if (!s->upsets || !member_up(m)) return;
    switch (pick(s->w, 4)) {
    case 0:
        upset_clock(m);
        break;
    case 1:
        upset_disk(m);
        break;
    case 2:
        upset_memory(admin, false); // what is evicted would count as lost
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
    world_after(w, t, pick_spread(w, 5000, 700000), on_fault);
    int side = (int)pick(w, (uint64_t)s->sides), replicas = w->member_count - s->sides - 1;
    struct member *a = side_of(s, side), *b = side_of(s, other_side(s, side));
    // The replicas come after the sides, the reference last.
    if (replicas > 0 && chance(w, 25))
        b = &w->members[(uint64_t)s->sides + pick(w, (uint64_t)replicas)];
    uint64_t what = pick(w, 112);
    if (what >= 100)
        upset(s, chance(w, 70) ? a : b);
    else if (what < 40 && s->breaks)
        wire_break(w, chance(w, 50) ? a : b, chance(w, 50) ? b : a);
    else if (what < 55 && s->breaks)
        wire_random(w, a, b, chance(w, 50));
    else if (what < 60 && s->partitions)
        sim_partition(w->sim, a->host, b->host, chance(w, 60));
    else if (what < 68 && s->partitions)
        sim_heal_all(w->sim);
    else if (what < 73 && s->crashes)
        crash(s, chance(w, 50) ? a : b);
    else if (what < 86 && s->saves)
        save_something(s, side);
    else if (what < 94 && s->kills)
        kill_waiter(s, a);
    else if (what < 97 && s->roles)
        change_role(s, a);
    else if (what >= 97 && s->whole && member_up(a))
        whole_database(s, side);
}

static void on_tick(struct world_timer *t)
{
    struct scene *s = t->own;
    struct world *w = s->w;
    world_after(w, t, TICK_US, on_tick);
    for (int i = 0; i < w->member_count; i++) {
        struct member *m = &w->members[i];
        bool was_up = member_up(m);
        member_reap(m);
        if (was_up && !member_up(m) && i < s->sides) doubt(s, true);
        if (m->node == NULL && sim_now_us(w->sim) >= m->restart_at_us) member_start(m);
        if (m->node == NULL) continue;
        list_each(at, &m->node->clients) list_entry(at, struct client, link)
            ->parser.stream_min_bytes = s->stream_min_bytes;
    }
    s->ticks++;
    if (s->ticks % 14 == 0) check_everywhere(s, false);
    if (s->ticks % 12 == 0) world_check_machines(w);
    if (s->ticks % 40 == 0) world_check_offsets(w);
}

// ---- beginning and end --------------------------------------------------------------------------

static void configure(struct member *m, struct config *c)
{
    struct scene *s = m->world->own;
    c->repl_timeout_us = 2000000;
    c->migrate_window_bytes = s->window_bytes;
    c->limits.hash_max_listpack_entries = s->hash_entries;
    c->shutdown_timeout_s = 1;
    sim_set_slice(m->at, s->slice);
}

static struct client_link *link_to(struct scene *s, const char *what, int i, int side,
                                   void (*act_now)(struct client_link *), void *own)
{
    char host[24];
    snprintf(host, sizeof(host), "%s%d%s", what, i, side_of(s, side)->host);
    struct client_link *c = client_new_at(s->w, host, side_of(s, side));
    c->act = act_now;
    c->own = own;
    return c;
}

static void add_clients(struct scene *s)
{
    for (int i = 0; i < ACTORS; i++) {
        struct actor *a = &s->actors[i];
        a->scene = s;
        a->link[0] = link_to(s, "writer", i, 0, act, a);
        for (int side = 1; side < s->sides; side++)
            a->link[side] = link_to(s, "writer", i, side, act_again, a);
        client_think(a->link[0], 1000);
    }
    for (int i = 0; i < MIGRATORS; i++) {
        struct migrator_client *m = &s->migrators[i];
        m->scene = s;
        for (int side = 0; side < s->sides; side++)
            m->link[side] = link_to(s, "mover", i, side, act_migrate, m);
        client_think(m->link[0], 50000);
    }
    for (int i = 0; i < s->w->member_count; i++) {
        char host[24];
        snprintf(host, sizeof(host), "admin%d", i);
        s->admins[i] = client_new_at(s->w, host, &s->w->members[i]);
    }
}

static void choose(struct scene *s)
{
    struct world *w = s->w;
    w->tls = chance(w, 12);
    w->watched = chance(w, 25);
    s->breaks = chance(w, 80);
    s->partitions = chance(w, 30);
    s->crashes = chance(w, 25);
    s->roles = chance(w, 25);
    s->whole = chance(w, 35);
    s->saves = chance(w, 60);
    s->kills = chance(w, 50);
    s->slice = (uint32_t)pick_spread(w, 20, 5000);
    s->window_bytes = (int64_t)pick_spread(w, 500, 1 << 20);
    s->stream_min_bytes = pick_spread(w, 30, 64 * 1024);
    s->hash_entries = pick(w, 129);
    s->upsets = chance(w, 50);
    s->sides = chance(w, 35) ? 3 : 2;
    for (int i = 0; i < s->sides; i++)
        member_add(w, (const char *[]){"s", "t", "u"}[i]);
    if (chance(w, 50)) member_add(w, "sr")->follows = 0;
    if (chance(w, 60)) {
        struct member *replica = member_add(w, "tr");
        replica->follows = 1;
        if (chance(w, 30)) member_add(w, "trr")->follows = replica->index;
    }
    struct member *reference = member_add(w, "reference");
    world_note(w,
               "tls %d, breaks %d, partitions %d, crashes %d, roles %d, whole %d, saves %d, "
               "kills %d, upsets %d, slice %u, window %lld, streams from %llu",
               w->tls, s->breaks, s->partitions, s->crashes, s->roles, s->whole, s->saves, s->kills,
               s->upsets, s->slice, (long long)s->window_bytes,
               (unsigned long long)s->stream_min_bytes);
    for (int i = 0; i < w->member_count; i++)
        member_start(&w->members[i]);
    objects_begin(&s->objects, w, reference, 4 + (int)pick(w, OBJECTS_MAX - 4));
}

static bool all_is_one(void *arg)
{
    struct scene *s = arg;
    list_each(at, &s->w->clients) if (!list_empty(&list_entry(at, struct client_link, link)
                                                       ->asked)) return false;
    for (int i = 0; i < ACTORS; i++)
        if (s->actors[i].object != NULL) return false;
    for (int i = 0; i < s->w->member_count; i++) {
        struct member *m = &s->w->members[i];
        if (!member_ready(m) || m->node->store.snapshot != NULL) return false;
        if (m->follows < 0 && repl_is_replica(m->node)) return false;
        if (m->follows < 0) continue;
        struct member *primary = &s->w->members[m->follows];
        if (!member_ready(primary) || !repl_link_up(m->node)) return false;
        if (repl_offset(m->node) != repl_offset(primary->node)) return false;
    }
    return true;
}

static void end(struct scene *s)
{
    struct world *w = s->w;
    s->ending = true;
    wires_mend(w);
    for (int i = 0; i < w->member_count; i++)
        w->members[i].restart_at_us = 0;
    world_run(w, 2 * TICK_US);
    for (int i = 0; i < w->member_count; i++)
        upsets_end(s->admins[i]);
    for (int i = 0; i < s->sides; i++)
        client_ask(s->admins[i], NULL, NULL, "REPLICAOF NO ONE");
    if (!sim_run_while_not(w->sim, all_is_one, s, END_US)) {
        world_check_quiet(w);
        world_fail(w, "it does not come to rest");
    }
    // What was sent by links that have failed since may still be on its way.
    world_run(w, 3000000);
    if (!sim_run_while_not(w->sim, all_is_one, s, END_US)) world_fail(w, "it did not stay at rest");
    world_check_quiet(w);
    world_check_offsets(w);
    check_last(s);
}

static void play(struct world *w)
{
    struct scene *s = mem_new(struct scene);
    s->w = w;
    w->own = s;
    w->configure = configure;
    struct sim_wire usual = {.delay_us = 300, .jitter_us = 200};
    sim_set_wire(w->sim, &usual);
    choose(s);
    for (int i = 0; i < w->member_count; i++)
        for (int j = 0; j < i; j++)
            wire_random(w, &w->members[i], &w->members[j], false);
    add_clients(s);
    s->tick.own = s->fault.own = s;
    world_after(w, &s->tick, TICK_US, on_tick);
    world_after(w, &s->fault, pick(w, 2000000), on_fault);
    world_run(w, 2000000 + pick(w, 6000000));
    end(s);
    world_note(w, "moved %llu, refused or failed %llu, not there %llu, lost %llu",
               (unsigned long long)s->moved, (unsigned long long)s->failed,
               (unsigned long long)s->none, (unsigned long long)s->lost);
    world_end_timers(w);
    objects_end(&s->objects);
    mem_free(s);
}

static const struct world_case cases[] = {
    // Found anew with the mistake put back, since worlds have become others.
    {"an acknowledged key waits for DEBUG RELOAD, which waits for its hold", 614},
    {"a key is acknowledged while DEBUG RELOAD has the store frozen", 1210},
    {"a goodbye is among the records that wait when the wire ends", 700927},
    {0},
};

int main(int argc, char **argv)
{
    static const struct world_program program = {"migration", play, cases};
    return runner_main(&program, argc, argv);
}
