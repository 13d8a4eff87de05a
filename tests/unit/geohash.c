// Geohashes: known places, boxes and their neighbours, covers.
#include "command/geohash.h"

#include "base/rng.h"

#include <criterion/criterion.h>
#include <math.h>

static const struct geo_point palermo = {13.361389, 38.115556}, catania = {15.087269, 37.502669};

Test(geohash, scores_of_known_places)
{
    cr_assert_eq((uint64_t)geo_score(palermo), 3479099956230698u);
    cr_assert_eq((uint64_t)geo_score(catania), 3479447370796909u);
}

Test(geohash, text_of_known_places)
{
    char text[12];
    geo_text(geo_point_of(geo_score(palermo)), text);
    cr_assert_str_eq(text, "sqc8b49rny0");
    geo_text(geo_point_of(geo_score(catania)), text);
    cr_assert_str_eq(text, "sqdtr74hyu0");
}

Test(geohash, a_known_distance)
{
    double metres =
        geo_distance_m(geo_point_of(geo_score(palermo)), geo_point_of(geo_score(catania)));
    cr_assert_float_eq(metres, 166274.1516, 0.0001);
    cr_assert_eq(geo_distance_m(palermo, palermo), 0);
}

Test(geohash, a_score_names_its_place_to_within_a_metre)
{
    struct rng rng;
    rng_seed(&rng, 1);
    for (int i = 0; i < 10000; i++) {
        struct geo_point p = {rng_unit(&rng) * 360 - 180,
                              (rng_unit(&rng) * 2 - 1) * GEO_LATITUDE_MAX};
        double score = geo_score(p);
        struct geo_point back = geo_point_of(score);
        cr_assert_lt(geo_distance_m(p, back), 1);
        cr_assert_eq(geo_score(back), score);
    }
}

Test(geohash, places_outside_the_projection)
{
    cr_assert(geo_valid((struct geo_point){180, 85.05112878}));
    cr_assert(geo_valid((struct geo_point){-180, -85.05112878}));
    cr_assert_not(geo_valid((struct geo_point){180.0001, 0}));
    cr_assert_not(geo_valid((struct geo_point){0, 85.06}));
}

Test(geohash, neighbours_touch_and_go_around_the_world)
{
    struct geo_box box = geo_box_of(palermo, 10);
    struct geo_bounds middle = geo_box_bounds(box);
    struct geo_bounds north = geo_box_bounds(geo_box_beside(box, 0, 1)),
                      west = geo_box_bounds(geo_box_beside(box, -1, 0));
    cr_assert_eq(north.south, middle.north);
    cr_assert_eq(north.west, middle.west);
    cr_assert_eq(west.east, middle.west);
    struct geo_box last = geo_box_of((struct geo_point){179.99, 0}, 10);
    cr_assert_eq(geo_box_bounds(geo_box_beside(last, 1, 0)).west, -180);
    struct geo_box there_and_back = geo_box_beside(geo_box_beside(last, 1, 1), -1, -1);
    cr_assert_eq(there_and_back.bits, last.bits);
}

Test(geohash, scores_of_a_box_hold_its_places)
{
    double min, max;
    for (int steps = 1; steps <= GEO_STEPS; steps++) {
        geo_box_scores(geo_box_of(palermo, steps), &min, &max);
        cr_assert_geq(geo_score(palermo), min);
        cr_assert_lt(geo_score(palermo), max);
    }
}

static bool covered(const struct geo_box boxes[GEO_COVER_BOXES], double score)
{
    for (int i = 0; i < GEO_COVER_BOXES; i++) {
        double min, max;
        if (boxes[i].steps == 0) continue;
        geo_box_scores(boxes[i], &min, &max);
        if (score >= min && score < max) return true;
    }
    return false;
}

// Away from the poles, where nine boxes are known not to suffice for large shapes.
Test(geohash, a_cover_holds_every_place_of_its_shape)
{
    struct rng rng;
    rng_seed(&rng, 2);
    int inside = 0;
    for (int i = 0; i < 20000; i++) {
        struct geo_shape shape = {
            .center = {rng_unit(&rng) * 300 - 150, rng_unit(&rng) * 100 - 50},
            .is_box = i % 2,
            .radius_m = pow(10, 1 + rng_unit(&rng) * 5),
        };
        shape.width_m = shape.radius_m;
        shape.height_m = shape.radius_m * (0.5 + rng_unit(&rng));
        struct geo_box boxes[GEO_COVER_BOXES];
        geo_shape_cover(&shape, boxes);
        double degrees = shape.radius_m / 111000, distance;
        struct geo_point p = {shape.center.longitude + (rng_unit(&rng) * 2 - 1) * degrees,
                              shape.center.latitude + (rng_unit(&rng) * 2 - 1) * degrees};
        if (!geo_shape_holds(&shape, p, &distance)) continue;
        inside++;
        cr_assert(covered(boxes, geo_score(p)), "center %f,%f reach %f place %f,%f",
                  shape.center.longitude, shape.center.latitude, shape.radius_m, p.longitude,
                  p.latitude);
    }
    cr_assert_gt(inside, 1000);
}
