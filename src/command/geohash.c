#include "command/geohash.h"

#include <math.h>

static const double earth_radius_m = 6372797.560856;
static const double mercator_half_m = 20037726.37; // half of the projection's width

static double radians(double degrees)
{
    return degrees * (M_PI / 180.0);
}

static double degrees(double rad)
{
    return rad / (M_PI / 180.0);
}

bool geo_valid(struct geo_point p)
{
    return p.longitude >= -GEO_LONGITUDE_MAX && p.longitude <= GEO_LONGITUDE_MAX &&
           p.latitude >= -GEO_LATITUDE_MAX && p.latitude <= GEO_LATITUDE_MAX;
}

// ---- bits ---------------------------------------------------------------------------------------

// Spreads 32 bits to the even places of 64, and back.
static uint64_t spread(uint64_t x)
{
    x = (x | x << 16) & 0x0000ffff0000ffff;
    x = (x | x << 8) & 0x00ff00ff00ff00ff;
    x = (x | x << 4) & 0x0f0f0f0f0f0f0f0f;
    x = (x | x << 2) & 0x3333333333333333;
    return (x | x << 1) & 0x5555555555555555;
}

static uint32_t gather(uint64_t x)
{
    x &= 0x5555555555555555;
    x = (x | x >> 1) & 0x3333333333333333;
    x = (x | x >> 2) & 0x0f0f0f0f0f0f0f0f;
    x = (x | x >> 4) & 0x00ff00ff00ff00ff;
    x = (x | x >> 8) & 0x0000ffff0000ffff;
    return (uint32_t)(x | x >> 16);
}

static uint64_t encode(struct geo_point p, double latitude_max, int steps)
{
    double north = (p.latitude + latitude_max) / (2 * latitude_max),
           east = (p.longitude + GEO_LONGITUDE_MAX) / (2 * GEO_LONGITUDE_MAX),
           cells = (double)((uint64_t)1 << steps);
    return spread((uint32_t)(north * cells)) | spread((uint32_t)(east * cells)) << 1;
}

// ---- boxes --------------------------------------------------------------------------------------

struct geo_box geo_box_of(struct geo_point p, int steps)
{
    return (struct geo_box){encode(p, GEO_LATITUDE_MAX, steps), steps};
}

static double edge(uint32_t cell, int steps, double max)
{
    return -max + (double)cell / (double)((uint64_t)1 << steps) * (2 * max);
}

struct geo_bounds geo_box_bounds(struct geo_box box)
{
    uint32_t row = gather(box.bits), column = gather(box.bits >> 1);
    return (struct geo_bounds){
        .west = edge(column, box.steps, GEO_LONGITUDE_MAX),
        .east = edge(column + 1, box.steps, GEO_LONGITUDE_MAX),
        .south = edge(row, box.steps, GEO_LATITUDE_MAX),
        .north = edge(row + 1, box.steps, GEO_LATITUDE_MAX),
    };
}

struct geo_box geo_box_beside(struct geo_box box, int east, int north)
{
    uint64_t mask = ((uint64_t)1 << box.steps) - 1;
    uint64_t column = (gather(box.bits >> 1) + (uint64_t)(int64_t)east) & mask,
             row = (gather(box.bits) + (uint64_t)(int64_t)north) & mask;
    return (struct geo_box){spread(row) | spread(column) << 1, box.steps};
}

void geo_box_scores(struct geo_box box, double *min, double *max)
{
    int shift = 2 * (GEO_STEPS - box.steps);
    *min = (double)(box.bits << shift);
    *max = (double)((box.bits + 1) << shift);
}

// ---- places -------------------------------------------------------------------------------------

double geo_score(struct geo_point p)
{
    return (double)encode(p, GEO_LATITUDE_MAX, GEO_STEPS);
}

static double clamp(double x, double max)
{
    return x > max ? max : x < -max ? -max : x;
}

struct geo_point geo_point_of(double score)
{
    struct geo_bounds b = geo_box_bounds((struct geo_box){(uint64_t)score, GEO_STEPS});
    return (struct geo_point){
        .longitude = clamp((b.west + b.east) / 2, GEO_LONGITUDE_MAX),
        .latitude = clamp((b.south + b.north) / 2, GEO_LATITUDE_MAX),
    };
}

void geo_text(struct geo_point p, char out[12])
{
    static const char alphabet[] = "0123456789bcdefghjkmnpqrstuvwxyz";
    // The text form knows all latitudes. Its 55 bits are three more than we have.
    uint64_t bits = encode(p, 90, GEO_STEPS);
    for (int i = 0; i < 10; i++)
        out[i] = alphabet[bits >> (52 - 5 * (i + 1)) & 31];
    out[10] = alphabet[0];
    out[11] = '\0';
}

static double meridian_distance_m(double a, double b)
{
    return earth_radius_m * fabs(radians(b) - radians(a));
}

// The haversine formula.
double geo_distance_m(struct geo_point a, struct geo_point b)
{
    double v = sin((radians(b.longitude) - radians(a.longitude)) / 2);
    if (v == 0) return meridian_distance_m(a.latitude, b.latitude);
    double south = radians(a.latitude), north = radians(b.latitude);
    double u = sin((north - south) / 2);
    return 2 * earth_radius_m * asin(sqrt(u * u + cos(south) * cos(north) * v * v));
}

// ---- shapes -------------------------------------------------------------------------------------

bool geo_shape_holds(const struct geo_shape *shape, struct geo_point p, double *distance_m)
{
    if (shape->is_box) {
        struct geo_point on_its_parallel = {shape->center.longitude, p.latitude};
        if (meridian_distance_m(p.latitude, shape->center.latitude) > shape->height_m / 2 ||
            geo_distance_m(p, on_its_parallel) > shape->width_m / 2)
            return false;
    }
    *distance_m = geo_distance_m(shape->center, p);
    return shape->is_box || *distance_m <= shape->radius_m;
}

// Degrees, which may lie beyond the edges of the world.
static struct geo_bounds shape_bounds(const struct geo_shape *shape)
{
    struct geo_point c = shape->center;
    double height = shape->is_box ? shape->height_m / 2 : shape->radius_m,
           width = shape->is_box ? shape->width_m / 2 : shape->radius_m;
    double rise = degrees(height / earth_radius_m);
    // A degree of longitude is shortest, and so the reach in degrees longest, towards the pole.
    double towards_pole = c.latitude < 0 ? c.latitude - rise : c.latitude + rise;
    double reach = degrees(width / earth_radius_m / cos(radians(towards_pole)));
    return (struct geo_bounds){
        .west = c.longitude - reach,
        .east = c.longitude + reach,
        .south = c.latitude - rise,
        .north = c.latitude + rise,
    };
}

// How small boxes may be for nine of them to cover a circle. They are narrower towards the poles.
static int steps_for(double radius_m, double latitude)
{
    if (radius_m == 0) return GEO_STEPS;
    int steps = -1;
    for (double reach = radius_m; reach < mercator_half_m; reach *= 2)
        steps++;
    if (fabs(latitude) > 66) steps--;
    if (fabs(latitude) > 80) steps--;
    return steps < 1 ? 1 : steps > GEO_STEPS ? GEO_STEPS : steps;
}

// Whether the boxes around reach as far as the shape in every direction.
static bool neighbours_reach(struct geo_box middle, const struct geo_bounds *shape)
{
    return geo_box_bounds(geo_box_beside(middle, 0, 1)).north >= shape->north &&
           geo_box_bounds(geo_box_beside(middle, 0, -1)).south <= shape->south &&
           geo_box_bounds(geo_box_beside(middle, 1, 0)).east >= shape->east &&
           geo_box_bounds(geo_box_beside(middle, -1, 0)).west <= shape->west;
}

void geo_shape_cover(const struct geo_shape *shape, struct geo_box boxes[GEO_COVER_BOXES])
{
    static const int8_t offsets[GEO_COVER_BOXES][2] = {{0, 0}, {0, 1},  {0, -1}, {1, 0},  {-1, 0},
                                                       {1, 1}, {-1, 1}, {1, -1}, {-1, -1}};
    struct geo_bounds bounds = shape_bounds(shape);
    double radius_m = shape->is_box ? sqrt(shape->width_m / 2 * (shape->width_m / 2) +
                                           shape->height_m / 2 * (shape->height_m / 2))
                                    : shape->radius_m;
    int steps = steps_for(radius_m, shape->center.latitude);
    struct geo_box middle = geo_box_of(shape->center, steps);
    if (steps > 1 && !neighbours_reach(middle, &bounds))
        middle = geo_box_of(shape->center, --steps);
    struct geo_bounds covered = geo_box_bounds(middle);
    for (int i = 0; i < GEO_COVER_BOXES; i++) {
        int east = offsets[i][0], north = offsets[i][1];
        boxes[i] = geo_box_beside(middle, east, north);
        // Where the middle box reaches beyond the shape already, what lies further is not needed.
        bool needless = (north < 0 && covered.south < bounds.south) ||
                        (north > 0 && covered.north > bounds.north) ||
                        (east < 0 && covered.west < bounds.west) ||
                        (east > 0 && covered.east > bounds.east);
        if (steps >= 2 && needless) boxes[i] = (struct geo_box){0};
    }
}
