// Places as geohashes: longitude and latitude each cut in half again and again, the bits
// interleaved with the longitude's above. 26 cuts of each make the 52 bits that a sorted set's
// score holds exactly. Latitude ends at the poles of the Mercator projection (EPSG:900913). Source:
// numbers as in Redis 7.0 geohash.h and geohash_helper.c.
#ifndef WHERRY_COMMAND_GEOHASH_H
#define WHERRY_COMMAND_GEOHASH_H

#include <stdbool.h>
#include <stdint.h>

#define GEO_LATITUDE_MAX  85.05112878
#define GEO_LONGITUDE_MAX 180.0
enum { GEO_STEPS = 26 };

struct geo_point {
    double longitude, latitude; // degrees
};

// A box: all places with these first `steps` bits of each. No steps: no box.
struct geo_box {
    uint64_t bits; // steps * 2
    int steps;
};
struct geo_bounds {
    double west, south, east, north; // degrees
};

bool geo_valid(struct geo_point p);
struct geo_box geo_box_of(struct geo_point p, int steps);
struct geo_bounds geo_box_bounds(struct geo_box box);
// The box so many columns to the east and rows to the north; around the world at the edges.
struct geo_box geo_box_beside(struct geo_box box, int east, int north);
// The scores in the box: from `*min`, included, to `*max`, not included.
void geo_box_scores(struct geo_box box, double *min, double *max);

double geo_score(struct geo_point p);
struct geo_point geo_point_of(double score); // the middle of its box
// The well-known text form: 11 characters and a NUL.
void geo_text(struct geo_point p, char out[12]);
double geo_distance_m(struct geo_point a, struct geo_point b); // along a great circle

// What is searched: a circle, or a box along the parallels.
struct geo_shape {
    struct geo_point center;
    bool is_box;
    double radius_m;
    double width_m, height_m;
};
bool geo_shape_holds(const struct geo_shape *shape, struct geo_point p, double *distance_m);
// Nine boxes that cover the shape, the middle one first, then N, S, E, W, NE, NW, SE, SW; those not
// needed have no steps.
enum { GEO_COVER_BOXES = 9 };
void geo_shape_cover(const struct geo_shape *shape, struct geo_box boxes[GEO_COVER_BOXES]);

#endif
