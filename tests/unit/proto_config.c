// redis.conf, options, and CONFIG REWRITE.
#include "base/rng.h"
#include "proto/config_file.h"
#include "proto/config_rewrite.h"

#include <criterion/criterion.h>
#include <stdlib.h>

static char *describe(const struct config_file *f)
{
    struct buf said = BUF_EMPTY;
    for (int i = 0; i < f->count; i++) {
        buf_printf(&said, "%d:", f->lines[i].line);
        for (int j = 0; j < f->lines[i].argc; j++)
            buf_printf(&said, "%s%s", j ? "|" : "", f->lines[i].argv[j]->data);
        buf_printf(&said, ";");
    }
    buf_append_byte(&said, '\0');
    char *text = strdup(buf_view(&said).data);
    buf_free(&said);
    return text;
}

static void expect_file(const char *text, const char *said)
{
    struct config_file f;
    struct error error = ERROR_OK;
    config_file_init(&f);
    bool good = config_file_parse(&f, bytes_from_cstr(text), &error);
    char *heard = describe(&f);
    if (good)
        cr_assert_str_eq(heard, said);
    else
        cr_assert_str_eq(error.text, said);
    free(heard);
    config_file_free(&f);
}

Test(config, file)
{
    expect_file("", "");
    expect_file("# note\n\n  Port 1\r\nname \"a b\" 'c'\n\t# more\nsave 60 1 # x\nsave\nsave \"\"",
                "3:port|1;4:name|a b|c;6:save|60|1|#|x;7:save|;8:save|;");
    expect_file("include /x/*.conf\nrequirepass \"\\x41\\n\"\n",
                "1:include|/x/*.conf;2:requirepass|A\n;");
    expect_file("ok 1\nbad \"open\n",
                "line 2: 'bad \"open': Unbalanced quotes in configuration line");
}

static void expect_options(int argc, char **argv, const char *said)
{
    struct config_file f;
    struct error error = ERROR_OK;
    config_file_init(&f);
    bool good = config_file_parse_options(&f, argc, argv, &error);
    char *heard = describe(&f);
    cr_assert_str_eq(good ? heard : error.text, said);
    free(heard);
    config_file_free(&f);
}

#define OPTIONS(said, ...)                                                                         \
    expect_options((int)(sizeof((char *[]){__VA_ARGS__}) / sizeof(char *)),                        \
                   (char *[]){__VA_ARGS__}, said)

Test(config, options)
{
    OPTIONS("1:port|1;3:bind|a|b;", "--port", "1", "--BIND", "a", "b");
    OPTIONS("1:port|6380;2:appendonly|yes;", "--port 6380", "--appendonly", "yes");
    OPTIONS("1:save|;", "--save", "");
    OPTIONS("1:save|;", "--save");
    OPTIONS("1:save|;2:port|1;", "--save", "--port", "1");
    OPTIONS("1:save|60|1;4:save|3600 2;6:x;", "--save", "60", "1", "--save", "3600 2", "--x");
}

Test(config, options_values_that_look_like_options)
{
    OPTIONS("1:proc-title-template|--my--title--;3:port|1;", "--proc-title-template",
            "--my--title--", "--port", "1");
    OPTIONS("1:logfile|a b;", "--logfile", "a b");
    OPTIONS("1:replicaof|127.0.0.1|1;", "--replicaof", "127.0.0.1", "1");
    OPTIONS("'port' is not an option: --name expected", "port", "1");
    OPTIONS("option '--bad \"x': Unbalanced quotes or no name", "--bad \"x");
}

Test(config, words_come_back)
{
    struct rng rng;
    rng_seed(&rng, 5);
    for (int round = 0; round < 3000; round++) {
        char word[12];
        size_t len = rng_below(&rng, sizeof(word) + 1);
        for (size_t i = 0; i < len; i++)
            word[i] = round % 2 ? (char)rng_next(&rng) : "ab #'\"\\\n"[rng_below(&rng, 8)];
        struct buf line = BUF_EMPTY;
        struct bytes argv[] = {BYTES("name"), bytes_of(word, len), BYTES("end")};
        config_append_line(&line, 3, argv);
        struct config_file f;
        config_file_init(&f);
        cr_assert(config_file_parse(&f, buf_view(&line), NULL));
        cr_assert_eq(f.count, 1);
        cr_assert_eq(f.lines[0].argc, 3);
        cr_assert(bytes_equal(str_view(f.lines[0].argv[1]), argv[1]));
        config_file_free(&f);
        buf_free(&line);
    }
}

Test(config, garbage)
{
    struct rng rng;
    rng_seed(&rng, 6);
    for (int round = 0; round < 5000; round++) {
        char text[64];
        for (size_t i = 0; i < sizeof(text); i++)
            text[i] =
                rng_below(&rng, 4) ? "a\n\"' #\\x\r\t"[rng_below(&rng, 11)] : (char)rng_next(&rng);
        struct config_file f;
        config_file_init(&f);
        (void)!config_file_parse(&f, bytes_of(text, rng_below(&rng, sizeof(text))), NULL);
        config_file_free(&f);
    }
}

// ---- rewriting ------------------------------------------------------------------------------

static const char *canonical(void *owner, const char *name)
{
    (void)owner;
    static const char *const known[] = {"port",      "save", "maxmemory", "include",
                                        "replicaof", "user", "appendonly"};
    if (strcmp(name, "slaveof") == 0) return "replicaof";
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (strcmp(name, known[i]) == 0) return known[i];
    return NULL;
}

static void expect_rewrite(const char *old, const struct config_entry *entries, int count,
                           const char *text)
{
    struct config_rewrite w = {.entries = entries, .count = count, .canonical = canonical};
    struct buf out = BUF_EMPTY;
    config_rewrite(&w, bytes_from_cstr(old), &out);
    cr_assert(bytes_equal(buf_view(&out), bytes_from_cstr(text)), "got: %.*s", (int)buf_len(&out),
              buf_view(&out).data);
    // Doing it again changes nothing.
    struct buf again = BUF_EMPTY;
    config_rewrite(&w, buf_view(&out), &again);
    cr_assert(bytes_equal(buf_view(&out), buf_view(&again)));
    buf_free(&again);
    buf_free(&out);
}

#define REWRITE(old, text, ...)                                                                    \
    expect_rewrite(                                                                                \
        old, (struct config_entry[]){__VA_ARGS__},                                                 \
        (int)(sizeof((struct config_entry[]){__VA_ARGS__}) / sizeof(struct config_entry)), text)

Test(rewrite, keeps_comments_and_order)
{
    REWRITE("# top\nport 1\n\n\n\n# mem\nmaxmemory 1mb\ninclude x.conf\n",
            "# top\nport 2\n\n# mem\nmaxmemory 2mb\ninclude x.conf\n",
            {"maxmemory", BYTES("maxmemory 2mb"), true}, {"port", BYTES("port 2"), true});
}

Test(rewrite, appends_under_the_mark)
{
    REWRITE("port 1\n", "port 1\n" CONFIG_REWRITE_MARK "\nmaxmemory 5\nappendonly yes\n",
            {"port", BYTES("port 1"), true}, {"maxmemory", BYTES("maxmemory 5"), true},
            {"appendonly", BYTES("appendonly yes"), true});
}

Test(rewrite, defaults_replace_but_are_not_added)
{
    REWRITE("port 1", "port 6379\n", {"port", BYTES("port 6379"), false},
            {"appendonly", BYTES("appendonly no"), false});
}

Test(rewrite, several_lines_of_one_directive)
{
    // Fewer than before: the rest goes; more: they go to the end.
    REWRITE("save 1 1\nport 1\nsave 2 2\nsave 3 3\n", "save 9 9\nport 1\n\n",
            {"save", BYTES("save 9 9"), true});
    REWRITE("save 1 1\nport 1\n", "save 9 9\nport 1\n" CONFIG_REWRITE_MARK "\nsave 8 8\nsave 7 7\n",
            {"save", BYTES("save 9 9"), true}, {"save", BYTES("save 8 8"), true},
            {"save", BYTES("save 7 7"), true});
    REWRITE("a-user x\nuser a\nuser b\n", "# ??? a-user x\n\n", {"user", {NULL, 0}, false});
}

Test(rewrite, aliases_and_nonsense)
{
    REWRITE("slaveof 127.0.0.1 1\nwhatever \"x\nnosuch 1\n",
            "replicaof ::1 2\n# ??? whatever \"x\n# ??? nosuch 1\n",
            {"replicaof", BYTES("replicaof ::1 2"), true});
}
