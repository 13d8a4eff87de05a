#include "sim/world/faults.h"

#include "sim/lib/sim_net_impl.h"

enum { SLOW_US = 500000 };

struct sim_wire wire_usual(struct world *w)
{
    struct sim_wire wire = {.delay_us = pick_spread(w, 20, 5000)};
    if (chance(w, 50)) wire.jitter_us = pick_spread(w, 1, 5000);
    if (chance(w, 40)) {
        wire.fragment_bytes = pick_spread(w, 1, 4000);
        wire.fragment_random = chance(w, 70);
        // Whole megabytes byte by byte are the same again and again.
        if (wire.fragment_bytes < 64 && chance(w, 80)) wire.fragment_bytes += 64;
    }
    if (chance(w, 30)) wire.window_bytes = pick_spread(w, 200, 64 * 1024);
    if (chance(w, 25)) wire.bytes_per_s = 100000 + pick_spread(w, 1, 5000000);
    return wire;
}

static void add_fault(struct world *w, struct sim_wire *wire)
{
    uint64_t at = pick_spread(w, 1, 60000),
             soon_us = sim_now_us(w->sim) + pick_spread(w, 1, 1000000);
    switch (pick(w, 9)) {
    case 0:
    case 1:
        wire->cut_after_bytes = at;
        break;
    case 2:
        wire->cut_at_us = soon_us;
        break;
    case 3:
        wire->stall_after_bytes = at;
        break;
    case 4:
        wire->stall_at_us = soon_us;
        break;
    case 5:
        wire->drop_after_bytes = at;
        break;
    case 6:
        wire->connect = SIM_REFUSE;
        break;
    case 7:
        wire->connect = SIM_BLACK_HOLE;
        break;
    default:
        wire->bytes_per_s = pick_spread(w, 100, 5000);
        break;
    }
}

void wire_random(struct world *w, const struct member *a, const struct member *b, bool faults)
{
    struct sim_wire there = wire_usual(w), back = wire_usual(w);
    if (faults) add_fault(w, chance(w, 50) ? &there : &back);
    sim_set_link(w->sim, a->host, b->host, 0, &there);
    sim_set_link(w->sim, b->host, a->host, 0, &back);
}

// What was swallowed never comes: a wire that has begun with that goes on with it.
static bool swallows(const struct flow *f)
{
    return f->wire.drop_after_bytes != 0 && f->taken >= f->wire.drop_after_bytes;
}

bool wire_break(struct world *w, const struct member *a, const struct member *b)
{
    struct flow *found = NULL;
    uint64_t seen = 0;
    list_each(at, &w->sim->wires)
    {
        struct connection *k = list_entry(at, struct connection, link);
        for (int i = 0; i < 2; i++) {
            struct flow *f = &k->flow[i];
            bool fits = strcmp(f->from_host, a->host) == 0 && strcmp(f->to_host, b->host) == 0;
            fits = fits && f->from != NULL && f->to != NULL && !swallows(f);
            if (fits && pick(w, ++seen) == 0) found = f;
        }
    }
    if (found == NULL) return false;
    struct sim_wire wire = found->wire;
    uint64_t more = chance(w, 30) ? 0 : pick_spread(w, 1, 60000);
    switch (pick(w, 6)) {
    case 0:
        wire.stall_after_bytes = found->delivered + more + 1;
        break;
    case 1:
        wire.drop_after_bytes = found->taken + more + 1;
        break;
    default:
        wire.cut_after_bytes = found->delivered + more + 1;
        break;
    }
    world_note(w, "fault: %s -> %s after %llu more bytes (%s)", a->host, b->host,
               (unsigned long long)more,
               wire.cut_after_bytes     ? "cut"
               : wire.stall_after_bytes ? "stall"
                                        : "drop");
    sim_set_wire_out(&found->from->base, &wire);
    return true;
}

void wires_mend(struct world *w)
{
    world_note(w, "faults end");
    struct sim_wire good = {.delay_us = 200};
    for (int i = 0; i < w->member_count; i++)
        for (int j = 0; j < w->member_count; j++)
            if (i != j) sim_set_link(w->sim, w->members[i].host, w->members[j].host, 0, &good);
    list_each_safe(at, &w->sim->wires)
    {
        struct connection *k = list_entry(at, struct connection, link);
        for (int i = 0; i < 2; i++) {
            struct flow *f = &k->flow[i];
            // What crawls along already would go on crawling, even where its writer has gone.
            struct sim_conn *end = f->from != NULL ? f->from : f->to;
            if (end != NULL && f->busy_until_us > sim_now_us(w->sim) + SLOW_US) sim_cut(&end->base);
            if (f->from == NULL) continue;
            struct sim_wire wire = swallows(f) ? f->wire : good;
            sim_set_wire_out(&f->from->base, &wire);
        }
    }
    sim_heal_all(w->sim);
}
