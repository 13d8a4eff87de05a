// GEOADD, GEOPOS, GEODIST, GEOHASH. Searching is in geo_search.c.
#include "base/mem.h"
#include "base/text.h"
#include "command/geo_impl.h"
#include "command/table.h"
#include "command/zset_impl.h"
#include "value/zset.h"

#include <math.h>
#include <stdlib.h>

// ---- shared -------------------------------------------------------------------------------------

bool geo_arg_point(struct ctx *c, int index, struct geo_point *p)
{
    if (!ctx_double(c, index, &p->longitude) || !ctx_double(c, index + 1, &p->latitude))
        return false;
    if (geo_valid(*p)) return true;
    reply_errorf(c->reply, "invalid longitude,latitude pair %f,%f", p->longitude, p->latitude);
    return false;
}

bool geo_arg_unit(struct ctx *c, int index, double *metres)
{
    static const struct {
        const char *name;
        double metres;
    } units[] = {{"m", 1}, {"km", 1000}, {"ft", 0.3048}, {"mi", 1609.34}};
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (!ctx_is(c, index, units[i].name)) continue;
        *metres = units[i].metres;
        return true;
    }
    reply_error(c->reply, "unsupported unit provided. please use M, KM, FT, MI");
    return false;
}

void geo_reply_point(struct ctx *c, struct geo_point p)
{
    reply_array(c->reply, 2);
    reply_long_double(c->reply, p.longitude);
    reply_long_double(c->reply, p.latitude);
}

void geo_reply_distance(struct ctx *c, double distance)
{
    long long scaled = llrint(distance * 10000);
    reply_bulkf(c->reply, "%lld.%04lld", scaled / 10000, scaled % 10000);
}

static bool find_member(const struct entry *e, struct bytes member, struct geo_point *p)
{
    double score;
    if (e == NULL || !zset_score(&e->value, member, &score)) return false;
    *p = geo_point_of(score);
    return true;
}

// ---- GEOADD -------------------------------------------------------------------------------------

// What comes of it is a ZADD with scores, and that is what replicas are sent.
static void propagate_zadd(struct ctx *c, const struct zadd *z)
{
    int argc = z->first + 2 * z->count;
    struct bytes *argv = mem_array(struct bytes, (size_t)argc);
    char(*digits)[TEXT_I64_BYTES] = mem_alloc_array((size_t)z->count, sizeof(*digits));
    argv[0] = BYTES("ZADD");
    for (int i = 1; i < z->first; i++)
        argv[i] = ctx_arg(c, i);
    for (int i = 0; i < z->count; i++) {
        size_t len = text_from_i64(digits[i], (int64_t)z->scores[i]);
        argv[z->first + 2 * i] = bytes_of(digits[i], len);
        argv[z->first + 2 * i + 1] = ctx_arg(c, z->first + 3 * i + 2);
    }
    ctx_propagate_as(c, argc, argv);
    mem_free(digits);
    mem_free(argv);
}

static void geoadd(struct ctx *c)
{
    struct zadd z = {.first = 2, .stride = 3};
    for (; z.first < c->argc; z.first++) {
        if (ctx_is(c, z.first, "nx"))
            z.nx = true;
        else if (ctx_is(c, z.first, "xx"))
            z.xx = true;
        else if (ctx_is(c, z.first, "ch"))
            z.changed = true;
        else
            break;
    }
    int words = c->argc - z.first;
    if (words == 0 || words % 3 != 0 || (z.nx && z.xx)) {
        ctx_syntax_error(c);
        return;
    }
    z.count = words / 3;
    z.scores = mem_array(double, (size_t)z.count);
    int i = 0;
    for (struct geo_point p; i < z.count && geo_arg_point(c, z.first + 3 * i, &p); i++)
        z.scores[i] = geo_score(p);
    if (i == z.count) {
        zadd_apply(c, &z);
        if (c->dirty > 0) propagate_zadd(c, &z);
    }
    mem_free(z.scores);
}

// ---- looking ------------------------------------------------------------------------------------

static void geopos(struct ctx *c)
{
    struct entry *e;
    struct geo_point p;
    if (!ctx_find_read_type(c, ctx_arg(c, 1), VALUE_ZSET, &e)) return;
    reply_array(c->reply, (size_t)c->argc - 2);
    for (int i = 2; i < c->argc; i++) {
        if (find_member(e, ctx_arg(c, i), &p))
            geo_reply_point(c, p);
        else
            reply_null_array(c->reply);
    }
}

static void geodist(struct ctx *c)
{
    struct entry *e;
    struct geo_point from, to;
    double unit_m = 1;
    if (c->argc == 5 && !geo_arg_unit(c, 4, &unit_m)) return;
    if (c->argc > 5) {
        ctx_syntax_error(c);
        return;
    }
    if (!ctx_find_read_type(c, ctx_arg(c, 1), VALUE_ZSET, &e)) return;
    if (find_member(e, ctx_arg(c, 2), &from) && find_member(e, ctx_arg(c, 3), &to))
        geo_reply_distance(c, geo_distance_m(from, to) / unit_m);
    else
        reply_null(c->reply);
}

static void geohash(struct ctx *c)
{
    struct entry *e;
    struct geo_point p;
    char text[12];
    if (!ctx_find_read_type(c, ctx_arg(c, 1), VALUE_ZSET, &e)) return;
    reply_array(c->reply, (size_t)c->argc - 2);
    for (int i = 2; i < c->argc; i++) {
        if (find_member(e, ctx_arg(c, i), &p)) {
            geo_text(p, text);
            reply_bulk_cstr(c->reply, text);
        } else {
            reply_null(c->reply);
        }
    }
}

const struct command commands_geo[] = {
    {"geoadd", geoadd, -5, CMD_WRITE | CMD_DENYOOM, .keys = {{1, 1, 1, KEY_WRITE}}, .acl = "@geo"},
    {"geopos", geopos, -2, CMD_READONLY, .keys = {{1, 1, 1, KEY_READ}}, .acl = "@geo"},
    {"geodist", geodist, -4, CMD_READONLY, .keys = {{1, 1, 1, KEY_READ}}, .acl = "@geo"},
    {"geohash", geohash, -2, CMD_READONLY, .keys = {{1, 1, 1, KEY_READ}}, .acl = "@geo"},
    {0},
};
