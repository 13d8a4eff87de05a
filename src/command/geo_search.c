// GEOSEARCH, GEOSEARCHSTORE, GEORADIUS, GEORADIUSBYMEMBER and their read-only forms.
#include "base/mem.h"
#include "base/text.h"
#include "command/geo_impl.h"
#include "command/multikey.h"
#include "command/table.h"
#include "node/notify.h"
#include "value/zset.h"

#include <stdlib.h>

enum form {
    FORM_RADIUS = 1,        // GEORADIUS: the center is given
    FORM_RADIUS_MEMBER = 2, // GEORADIUSBYMEMBER
    FORM_SEARCH = 4,        // GEOSEARCH
    FORM_SEARCH_STORE = 8,  // GEOSEARCHSTORE, with FORM_SEARCH
    FORM_READ_ONLY = 16,    // no STORE
};

struct hit {
    struct str *member;
    struct geo_point point;
    double score, distance_m;
};

struct search {
    struct ctx *c;
    int form;
    const struct value *zset; // NULL: no such key
    struct geo_shape shape;
    double unit_m;
    bool from_member, from_point, by_radius, by_box;
    bool with_distance, with_hash, with_point;
    bool any, ascending, descending;
    int64_t count; // 0: all
    int store;     // index of the destination; 0: none
    bool store_distance;
    struct hit *hits;
    uint64_t found, room;
};

// ---- arguments ----------------------------------------------------------------------------------

static bool number_not_negative(struct ctx *c, int index, const char *no_number,
                                const char *negative, double *out)
{
    if (!text_to_double(ctx_arg(c, index), out)) {
        reply_error(c->reply, no_number);
        return false;
    }
    if (*out >= 0 || negative == NULL) return true;
    reply_error(c->reply, negative);
    return false;
}

// radius unit
static bool parse_radius(struct search *s, int at)
{
    double radius;
    if (!number_not_negative(s->c, at, "need numeric radius", "radius cannot be negative",
                             &radius) ||
        !geo_arg_unit(s->c, at + 1, &s->unit_m))
        return false;
    s->shape.is_box = false;
    s->shape.radius_m = radius * s->unit_m;
    return true;
}

// width height unit
static bool parse_box(struct search *s, int at)
{
    double width, height;
    if (!number_not_negative(s->c, at, "need numeric width", NULL, &width) ||
        !number_not_negative(s->c, at + 1, "need numeric height", NULL, &height))
        return false;
    if (width < 0 || height < 0) {
        reply_error(s->c->reply, "height or width cannot be negative");
        return false;
    }
    if (!geo_arg_unit(s->c, at + 2, &s->unit_m)) return false;
    s->shape.is_box = true;
    s->shape.width_m = width * s->unit_m;
    s->shape.height_m = height * s->unit_m;
    return true;
}

// Without the key the rest of the arguments is looked at all the same.
static bool parse_member(struct search *s, int at)
{
    double score;
    if (s->zset == NULL) return true;
    if (!zset_score(s->zset, ctx_arg(s->c, at), &score)) {
        reply_error(s->c->reply, "could not decode requested zset member");
        return false;
    }
    s->shape.center = geo_point_of(score);
    return true;
}

static bool parse_count(struct search *s, int at)
{
    if (!ctx_int(s->c, at, &s->count)) return false;
    if (s->count > 0) return true;
    reply_error(s->c->reply, "COUNT must be > 0");
    return false;
}

// The flags that every form knows. False: it is none of them.
static bool parse_flag(struct search *s, int at)
{
    const struct {
        const char *word;
        bool *flag;
    } flags[] = {
        {"withdist", &s->with_distance}, {"withhash", &s->with_hash},
        {"withcoord", &s->with_point},   {"any", &s->any},
        {"asc", &s->ascending},          {"desc", &s->descending},
    };
    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
        if (!ctx_is(s->c, at, flags[i].word)) continue;
        if (flags[i].flag == &s->ascending || flags[i].flag == &s->descending)
            s->ascending = s->descending = false; // the last one counts
        *flags[i].flag = true;
        return true;
    }
    return false;
}

enum parsed { PARSED, NOT_MINE, FAILED };

static enum parsed done(bool fine, int *at, int words)
{
    *at += words;
    return fine ? PARSED : FAILED;
}

// What only GEOSEARCH takes: where the center is, and the shape around it.
static enum parsed parse_search_option(struct search *s, int *at)
{
    struct ctx *c = s->c;
    int i = *at, left = c->argc - i - 1;
    if (ctx_is(c, i, "storedist") && (s->form & FORM_SEARCH_STORE)) {
        s->store_distance = true;
        return PARSED;
    }
    if (ctx_is(c, i, "frommember") && left >= 1 && !s->from_point) {
        s->from_member = true;
        return done(parse_member(s, i + 1), at, 1);
    }
    if (ctx_is(c, i, "fromlonlat") && left >= 2 && !s->from_member) {
        s->from_point = true;
        return done(geo_arg_point(c, i + 1, &s->shape.center), at, 2);
    }
    if (ctx_is(c, i, "byradius") && left >= 2 && !s->by_box) {
        s->by_radius = true;
        return done(parse_radius(s, i + 1), at, 2);
    }
    if (ctx_is(c, i, "bybox") && left >= 3 && !s->by_radius) {
        s->by_box = true;
        return done(parse_box(s, i + 1), at, 3);
    }
    return NOT_MINE;
}

static enum parsed parse_radius_option(struct search *s, int *at)
{
    bool distance = ctx_is(s->c, *at, "storedist");
    if (s->form & FORM_READ_ONLY || *at + 1 >= s->c->argc) return NOT_MINE;
    if (!distance && !ctx_is(s->c, *at, "store")) return NOT_MINE;
    s->store = ++*at;
    s->store_distance = distance;
    return PARSED;
}

static bool parse_options(struct search *s, int first)
{
    for (int i = first; i < s->c->argc; i++) {
        if (parse_flag(s, i)) continue;
        if (ctx_is(s->c, i, "count") && i + 1 < s->c->argc) {
            if (!parse_count(s, ++i)) return false;
            continue;
        }
        enum parsed parsed =
            s->form & FORM_SEARCH ? parse_search_option(s, &i) : parse_radius_option(s, &i);
        if (parsed == PARSED) continue;
        if (parsed == NOT_MINE) ctx_syntax_error(s->c);
        return false;
    }
    return true;
}

static bool check_options(struct search *s)
{
    struct reply *r = s->c->reply;
    const char *name = s->c->argv[0]->data;
    if (s->store != 0 && (s->with_distance || s->with_hash || s->with_point))
        reply_errorf(r, "%s is not compatible with WITHDIST, WITHHASH and WITHCOORD options",
                     s->form & FORM_SEARCH_STORE ? "GEOSEARCHSTORE" : "STORE option in GEORADIUS");
    else if ((s->form & FORM_SEARCH) && !s->from_member && !s->from_point)
        reply_errorf(r, "exactly one of FROMMEMBER or FROMLONLAT can be specified for %s", name);
    else if ((s->form & FORM_SEARCH) && !s->by_radius && !s->by_box)
        reply_errorf(r, "exactly one of BYRADIUS and BYBOX can be specified for %s", name);
    else if (s->any && s->count == 0)
        reply_error(r, "the ANY argument requires COUNT argument");
    else
        return true;
    return false;
}

static bool parse(struct search *s)
{
    if (s->form & FORM_RADIUS) {
        if (!geo_arg_point(s->c, 2, &s->shape.center) || !parse_radius(s, 4)) return false;
    } else if (s->form & FORM_RADIUS_MEMBER && s->zset != NULL) {
        if (!parse_member(s, 2) || !parse_radius(s, 3)) return false;
    }
    int first = s->form & FORM_RADIUS          ? 6
                : s->form & FORM_RADIUS_MEMBER ? 5
                : s->form & FORM_SEARCH_STORE  ? 3
                                               : 2;
    return parse_options(s, first) && check_options(s);
}

// ---- searching ----------------------------------------------------------------------------------

static bool enough(const struct search *s)
{
    return s->any && s->found >= (uint64_t)s->count;
}

static void add_hit(struct search *s, const struct zset_entry *entry, struct geo_point point,
                    double distance_m)
{
    if (s->found == s->room) {
        s->room = s->room ? s->room * 2 : 16;
        s->hits = mem_realloc(s->hits, s->room * sizeof(*s->hits));
    }
    s->hits[s->found++] = (struct hit){str_from(entry->member), point, entry->score, distance_m};
}

static void search_box(struct search *s, struct geo_box box)
{
    struct zset_score_range range = {.max_open = true};
    struct zset_iter it;
    struct zset_entry entry;
    double distance_m;
    geo_box_scores(box, &range.min, &range.max);
    zset_iter_begin(&it, s->zset, zset_score_span(s->zset, &range), false);
    while (!enough(s) && zset_iter_next(&it, &entry)) {
        struct geo_point point = geo_point_of(entry.score);
        if (geo_shape_holds(&s->shape, point, &distance_m)) add_hit(s, &entry, point, distance_m);
    }
    zset_iter_end(&it);
}

static void search_all(struct search *s)
{
    struct geo_box boxes[GEO_COVER_BOXES];
    int last = 0;
    geo_shape_cover(&s->shape, boxes);
    for (int i = 0; i < GEO_COVER_BOXES && !enough(s); i++) {
        if (boxes[i].steps == 0) continue;
        // Around a small world one comes to the same box again.
        if (last > 0 && boxes[i].bits == boxes[last].bits && boxes[i].steps == boxes[last].steps)
            continue;
        search_box(s, boxes[i]);
        last = i;
    }
}

static int nearer(const void *a, const void *b)
{
    const struct hit *left = a, *right = b;
    return (left->distance_m > right->distance_m) - (left->distance_m < right->distance_m);
}

static int further(const void *a, const void *b)
{
    return nearer(b, a);
}

// ---- answering ----------------------------------------------------------------------------------

static void reply_hits(const struct search *s, uint64_t count)
{
    struct ctx *c = s->c;
    size_t extras = (size_t)s->with_distance + s->with_hash + s->with_point;
    reply_array(c->reply, count);
    for (uint64_t i = 0; i < count; i++) {
        const struct hit *hit = &s->hits[i];
        if (extras > 0) reply_array(c->reply, extras + 1);
        reply_bulk(c->reply, str_view(hit->member));
        if (s->with_distance) geo_reply_distance(c, hit->distance_m / s->unit_m);
        if (s->with_hash) reply_integer(c->reply, (int64_t)hit->score);
        if (s->with_point) geo_reply_point(c, hit->point);
    }
}

static void store_hits(const struct search *s, uint64_t count)
{
    struct ctx *c = s->c;
    struct value result;
    zset_init(&result);
    for (uint64_t i = 0; i < count; i++) {
        const struct hit *hit = &s->hits[i];
        zset_set(&result, str_view(hit->member),
                 s->store_distance ? hit->distance_m / s->unit_m : hit->score,
                 ctx_store(c)->limits);
    }
    store_result(c, ctx_arg(c, s->store), &result, NOTIFY_ZSET,
                 s->form & FORM_SEARCH ? "geosearchstore" : "georadiusstore");
    if (count > 1) c->dirty += count - 1; // each member counts as a change
}

static void answer(struct search *s)
{
    if (s->zset != NULL) search_all(s);
    // The first so many of no order make no sense: the nearest then.
    bool ascending = s->ascending || (s->count > 0 && !s->any && !s->descending);
    if (s->found > 1 && (ascending || s->descending))
        qsort(s->hits, s->found, sizeof(*s->hits), ascending ? nearer : further);
    uint64_t count = s->count > 0 && (uint64_t)s->count < s->found ? (uint64_t)s->count : s->found;
    if (s->store != 0)
        store_hits(s, count);
    else
        reply_hits(s, count);
    for (uint64_t i = 0; i < s->found; i++)
        str_free(s->hits[i].member);
    mem_free(s->hits);
}

static void run(struct ctx *c, int form)
{
    bool stored = (form & FORM_SEARCH_STORE) != 0;
    struct search s = {.c = c, .form = form, .store = stored ? 1 : 0, .unit_m = 1};
    struct entry *e;
    if (!ctx_find_read_type(c, ctx_arg(c, stored ? 2 : 1), VALUE_ZSET, &e)) return;
    s.zset = e ? &e->value : NULL;
    if (parse(&s)) answer(&s);
}

static void georadius(struct ctx *c)
{
    run(c, FORM_RADIUS);
}

static void georadius_ro(struct ctx *c)
{
    run(c, FORM_RADIUS | FORM_READ_ONLY);
}

static void georadiusbymember(struct ctx *c)
{
    run(c, FORM_RADIUS_MEMBER);
}

static void georadiusbymember_ro(struct ctx *c)
{
    run(c, FORM_RADIUS_MEMBER | FORM_READ_ONLY);
}

static void geosearch(struct ctx *c)
{
    run(c, FORM_SEARCH);
}

static void geosearchstore(struct ctx *c)
{
    run(c, FORM_SEARCH | FORM_SEARCH_STORE);
}

// The key, and the last destination that a STORE or STOREDIST from argv[5] on names.
static int radius_keys(int argc, struct str *const *argv, struct key_ref *out, int max)
{
    int store_at = 0;
    for (int i = 5; i + 1 < argc; i++) {
        struct bytes word = str_view(argv[i]);
        if (bytes_equal_nocase(word, "store") || bytes_equal_nocase(word, "storedist"))
            store_at = ++i;
    }
    if (max > 0) out[0] = (struct key_ref){.index = 1, .access = KEY_READ};
    if (store_at == 0) return 1;
    if (max > 1) out[1] = (struct key_ref){.index = store_at, .access = KEY_WRITE};
    return 2;
}

#define READS .keys = {{1, 1, 1, KEY_READ}}, .acl = "@geo"

const struct command commands_geo_search[] = {
    {"georadius", georadius, -6, CMD_WRITE | CMD_DENYOOM | CMD_MOVABLE_KEYS,
     .get_keys = radius_keys, READS},
    {"georadiusbymember", georadiusbymember, -5, CMD_WRITE | CMD_DENYOOM | CMD_MOVABLE_KEYS,
     .get_keys = radius_keys, READS},
    {"georadius_ro", georadius_ro, -6, CMD_READONLY, READS},
    {"georadiusbymember_ro", georadiusbymember_ro, -5, CMD_READONLY, READS},
    {"geosearch", geosearch, -7, CMD_READONLY, READS},
    {"geosearchstore", geosearchstore, -8, CMD_WRITE | CMD_DENYOOM,
     .keys = {{1, 1, 1, KEY_WRITE}, {2, 2, 1, KEY_READ}}, .acl = "@geo"},
    {0},
};
