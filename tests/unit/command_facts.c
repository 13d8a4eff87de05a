// What COMMAND tells: the table of facts, key specifications, categories; and latency histograms.
#include "command/table.h"
#include "node/category.h"
#include "node/facts.h"
#include "node/keyspec.h"
#include "node/latency.h"

#include <criterion/criterion.h>
#include <stdio.h>

static int words(const char *text, struct str *out[16])
{
    int count = 0;
    for (const char *at = text; *at != '\0';) {
        size_t len = strcspn(at, " ");
        out[count++] = str_new(at, len);
        at += len;
        at += strspn(at, " ");
    }
    return count;
}

static bool is_key(const char *specs, const char *call, int index)
{
    struct str *argv[16];
    int argc = words(call, argv);
    struct keyspec parsed[KEYSPECS_MAX];
    int count = keyspecs_parse(specs, parsed);
    bool is = keyspec_covering(parsed, count, argc, argv, index) != NULL;
    for (int i = 0; i < argc; i++)
        str_free(argv[i]);
    return is;
}

Test(command_facts, every_command_and_subcommand_is_known)
{
    for (const struct command *const *family = command_families; *family != NULL; family++)
        for (const struct command *cmd = *family; cmd->name != NULL; cmd++) {
            cr_expect_not_null(command_facts(cmd->name), "%s", cmd->name);
            for (const struct command *child = cmd->children; child && child->name; child++) {
                char name[64];
                snprintf(name, sizeof(name), "%s|%s", cmd->name, child->name);
                cr_expect_not_null(command_facts(name), "%s", name);
            }
        }
    cr_assert_null(command_facts("nosuch"));
    cr_assert_null(command_facts(""));
}

// A client that goes by COMMAND must see the keys that we go by.
Test(command_facts, rows_and_specifications_agree_on_the_first_key)
{
    for (const struct command *const *family = command_families; *family != NULL; family++)
        for (const struct command *cmd = *family; cmd->name != NULL; cmd++) {
            if (cmd->keys[0].first == 0 || cmd->get_keys != NULL) continue;
            struct keyspec specs[KEYSPECS_MAX];
            int range[3], count = keyspecs_parse(command_facts(cmd->name)->specs, specs);
            keyspecs_range(specs, count, range);
            cr_expect_eq(range[0], cmd->keys[0].first, "%s", cmd->name);
            cr_expect_eq(range[2], cmd->keys[0].step, "%s", cmd->name);
        }
}

Test(command_facts, keys_by_range_count_and_keyword)
{
    const char *mset = "i1 r-1,2,0 OW update";
    cr_assert(is_key(mset, "mset a 1 b 2", 1));
    cr_assert(is_key(mset, "mset a 1 b 2", 3));
    cr_assert_not(is_key(mset, "mset a 1 b 2", 2));
    const char *zunion = "i1 n0,1,1 RO access";
    cr_assert(is_key(zunion, "zunion 2 a b weights 1 2", 3));
    cr_assert_not(is_key(zunion, "zunion 2 a b weights 1 2", 4));
    cr_assert_not(is_key(zunion, "zunion many a b", 2));
    const char *xread = "kSTREAMS,1 r-1,1,2 RO access";
    cr_assert(is_key(xread, "xread count 1 streams a b 0 0", 5));
    cr_assert_not(is_key(xread, "xread count 1 streams a b 0 0", 6));
    cr_assert_not(is_key("? ? OW update", "sort a store b", 3));
}

Test(command_facts, one_range_for_neighbours)
{
    struct keyspec specs[KEYSPECS_MAX];
    int range[3], count = keyspecs_parse("i1 r0,1,0 RW access delete|i2 r0,1,0 RW insert", specs);
    cr_assert_eq(count, 2);
    keyspecs_range(specs, count, range);
    cr_assert(range[0] == 1 && range[1] == 2 && range[2] == 1);
    cr_assert(bytes_equal(specs[1].flags, BYTES("RW insert")));
}

Test(command_facts, categories_follow_from_flags)
{
    const struct command cmd = {.flags = CMD_WRITE | CMD_FAST, .acl = "@string @dangerous"};
    uint32_t bits = categories_of(&cmd), expected = 0;
    const char *const names[] = {"write", "fast", "string", "dangerous"};
    for (size_t i = 0; i < 4; i++)
        expected |= 1u << category_find(bytes_from_cstr(names[i]));
    cr_assert_eq(bits, expected);
    cr_assert_eq(category_find(BYTES("nosuch")), -1);
}

Test(command_facts, percentiles_are_within_one_percent)
{
    struct latency_histogram *h = histogram_new();
    for (uint64_t us = 1; us <= 10000; us++)
        histogram_add(h, us * 1000);
    const double percents[] = {1, 50, 99, 99.9, 100};
    for (size_t i = 0; i < 5; i++) {
        double exact = percents[i] * 100 * 1000;
        double got = (double)histogram_percentile(h, percents[i]);
        cr_expect(got >= exact * 0.99 && got <= exact * 1.01, "p%g: %g", percents[i], got);
    }
    cr_assert_eq(histogram_count_to(h, 1), 0);
    cr_assert_eq(histogram_count_to(h, 20000000), 10000);
    histogram_add(h, UINT64_MAX); // counts as a second
    cr_assert_eq(histogram_count(h), 10001);
    histogram_free(h);
}
