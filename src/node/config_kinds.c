// What values of directives look like: each kind reads words into a field and shows it again.
#include "base/mem.h"
#include "base/text.h"
#include "node/config_table.h"
#include "node/notify.h"
#include "proto/config_file.h"

#include <stdio.h>
#include <stdlib.h>

static void *field(const struct config *c, const struct directive *d)
{
    return (char *)(uintptr_t)c + d->offset;
}

static bool one_word(const struct directive *d, int argc, struct error *error)
{
    return argc == 1 || error_set(error, ERROR_CONFIG, "'%s' takes one value", d->name);
}

static bool in_range(const struct directive *d, int64_t number, struct error *error)
{
    if (number >= d->min && number <= d->max) return true;
    return error_set(error, ERROR_CONFIG, "argument must be between %lld and %lld inclusive",
                     (long long)d->min, (long long)d->max);
}

// ---- yes and no, numbers ------------------------------------------------------------------------

static bool bool_set(struct config *c, const struct directive *d, int argc,
                     const struct bytes *argv, struct error *error)
{
    if (!one_word(d, argc, error)) return false;
    bool yes = bytes_equal_nocase(argv[0], "yes"), no = bytes_equal_nocase(argv[0], "no");
    if (!yes && !no) return error_set(error, ERROR_CONFIG, "argument must be 'yes' or 'no'");
    *(bool *)field(c, d) = yes;
    return true;
}

static void bool_get(const struct config *c, const struct directive *d, struct buf *out)
{
    buf_append_cstr(out, *(bool *)field(c, d) ? "yes" : "no");
}

const struct directive_kind kind_bool = {bool_set, bool_get, NULL};

static bool read_number(const struct directive *d, int argc, const struct bytes *argv,
                        int64_t *number, struct error *error)
{
    if (!one_word(d, argc, error)) return false;
    if (!text_to_i64(argv[0], number))
        return error_set(error, ERROR_CONFIG, "argument couldn't be parsed into an integer");
    return in_range(d, *number, error);
}

static bool int_set(struct config *c, const struct directive *d, int argc, const struct bytes *argv,
                    struct error *error)
{
    int64_t number;
    if (!read_number(d, argc, argv, &number, error)) return false;
    *(int *)field(c, d) = (int)number;
    return true;
}

static void int_get(const struct config *c, const struct directive *d, struct buf *out)
{
    buf_printf(out, "%d", *(int *)field(c, d));
}

const struct directive_kind kind_int = {int_set, int_get, NULL};

static bool i64_set(struct config *c, const struct directive *d, int argc, const struct bytes *argv,
                    struct error *error)
{
    return read_number(d, argc, argv, field(c, d), error);
}

static void i64_get(const struct config *c, const struct directive *d, struct buf *out)
{
    buf_printf(out, "%lld", (long long)*(int64_t *)field(c, d));
}

const struct directive_kind kind_i64 = {i64_set, i64_get, NULL};

static bool memory_set(struct config *c, const struct directive *d, int argc,
                       const struct bytes *argv, struct error *error)
{
    int64_t number;
    if (!one_word(d, argc, error)) return false;
    if (!text_to_memory(argv[0], &number))
        return error_set(error, ERROR_CONFIG, "argument must be a memory value");
    if (!in_range(d, number, error)) return false;
    *(int64_t *)field(c, d) = number;
    return true;
}

const struct directive_kind kind_memory = {memory_set, i64_get, NULL};

static bool octal_set(struct config *c, const struct directive *d, int argc,
                      const struct bytes *argv, struct error *error)
{
    if (!one_word(d, argc, error)) return false;
    char *end;
    long number = strtol(argv[0].data, &end, 8);
    if (argv[0].len == 0 || *end != '\0')
        return error_set(error, ERROR_CONFIG, "argument couldn't be parsed as an octal number");
    if (!in_range(d, number, error)) return false;
    *(int *)field(c, d) = (int)number;
    return true;
}

static void octal_get(const struct config *c, const struct directive *d, struct buf *out)
{
    buf_printf(out, "%o", (unsigned)*(int *)field(c, d));
}

const struct directive_kind kind_octal = {octal_set, octal_get, NULL};

// Seconds as Redis writes them, also with a fraction or in milliseconds: "60", "0.25", "250ms".
static bool duration_set(struct config *c, const struct directive *d, int argc,
                         const struct bytes *argv, struct error *error)
{
    if (!one_word(d, argc, error)) return false;
    struct bytes word = argv[0];
    double factor = 1e6, number;
    if (word.len > 2 && bytes_equal_nocase(bytes_of(word.data + word.len - 2, 2), "ms")) {
        word.len -= 2;
        factor = 1e3;
    }
    if (!text_to_double(word, &number) || number > 1e9)
        return error_set(error, ERROR_CONFIG,
                         "argument must be a time: seconds (60, 0.25) or milliseconds (250ms)");
    int64_t us = (int64_t)(number * factor + 0.5);
    if (us < d->min || us > d->max)
        return error_set(error, ERROR_CONFIG, "argument must be between %lld and %lld ms",
                         (long long)(d->min / 1000), (long long)(d->max / 1000));
    *(int64_t *)field(c, d) = us;
    return true;
}

static void duration_get(const struct config *c, const struct directive *d, struct buf *out)
{
    int64_t us = *(int64_t *)field(c, d);
    if (us % 1000000 == 0)
        buf_printf(out, "%lld", (long long)(us / 1000000));
    else if (us % 1000 == 0)
        buf_printf(out, "%lldms", (long long)(us / 1000));
    else
        buf_printf(out, "%.6f", (double)us / 1e6);
}

const struct directive_kind kind_duration = {duration_set, duration_get, NULL};

// ---- strings and words --------------------------------------------------------------------------

static char *copy(struct bytes word)
{
    char *text = mem_alloc(word.len + 1);
    if (word.len) memcpy(text, word.data, word.len);
    text[word.len] = '\0';
    return text;
}

static bool string_set(struct config *c, const struct directive *d, int argc,
                       const struct bytes *argv, struct error *error)
{
    if (!one_word(d, argc, error)) return false;
    char **text = field(c, d);
    mem_free(*text);
    *text = copy(argv[0]);
    return true;
}

static void string_get(const struct config *c, const struct directive *d, struct buf *out)
{
    char **text = field(c, d);
    if (*text != NULL) buf_append_cstr(out, *text);
}

const struct directive_kind kind_string = {string_set, string_get, NULL};

static bool nullable_set(struct config *c, const struct directive *d, int argc,
                         const struct bytes *argv, struct error *error)
{
    if (!one_word(d, argc, error)) return false;
    char **text = field(c, d);
    mem_free(*text);
    *text = argv[0].len ? copy(argv[0]) : NULL;
    return true;
}

const struct directive_kind kind_nullable = {nullable_set, string_get, NULL};

// Any bytes, also zeros.
static bool secret_set(struct config *c, const struct directive *d, int argc,
                       const struct bytes *argv, struct error *error)
{
    if (!one_word(d, argc, error)) return false;
    struct str **secret = field(c, d);
    str_free(*secret);
    *secret = argv[0].len ? str_from(argv[0]) : NULL;
    return true;
}

static void secret_get(const struct config *c, const struct directive *d, struct buf *out)
{
    struct str **secret = field(c, d);
    if (*secret != NULL) buf_append_bytes(out, str_view(*secret));
}

const struct directive_kind kind_secret = {secret_set, secret_get, NULL};

// Each line adds a user; who they are is read when the commands are there.
static bool users_set(struct config *c, const struct directive *d, int argc,
                      const struct bytes *argv, struct error *error)
{
    char **users = field(c, d);
    struct buf lines = BUF_EMPTY;
    (void)error;
    if (*users != NULL) buf_append_cstr(&lines, *users);
    for (int i = 0; i < argc && !(argc == 1 && argv[0].len == 0); i++) {
        config_append_word(&lines, argv[i]);
        buf_append_byte(&lines, i + 1 < argc ? ' ' : '\n');
    }
    mem_free(*users);
    *users = copy(buf_view(&lines));
    buf_free(&lines);
    return true;
}

static void users_lines(const struct config *c, const struct directive *d, struct buf *out)
{
    for (const char *at = *(char **)field(c, d); *at != '\0';) {
        size_t len = strcspn(at, "\n") + 1;
        buf_printf(out, "%s ", d->name);
        buf_append(out, at, len);
        at += len;
    }
}

const struct directive_kind kind_users = {users_set, string_get, users_lines};

static bool enum_set(struct config *c, const struct directive *d, int argc,
                     const struct bytes *argv, struct error *error)
{
    if (!one_word(d, argc, error)) return false;
    char choices[128] = "";
    for (const struct word_value *w = d->words; w->word != NULL; w++) {
        if (bytes_equal_nocase(argv[0], w->word)) {
            *(int *)field(c, d) = w->value;
            return true;
        }
        size_t used = strlen(choices);
        snprintf(choices + used, sizeof(choices) - used, "%s%s", used ? ", " : "", w->word);
    }
    return error_set(error, ERROR_CONFIG, "argument(s) must be one of the following: %s", choices);
}

static void enum_get(const struct config *c, const struct directive *d, struct buf *out)
{
    for (const struct word_value *w = d->words; w->word != NULL; w++) {
        if (w->value != *(int *)field(c, d)) continue;
        buf_append_cstr(out, w->word);
        return;
    }
}

const struct directive_kind kind_enum = {enum_set, enum_get, NULL};

// A directive of Redis of which only the default makes sense here (or as long as the feature is
// missing): anything else is refused instead of ignored.
static bool only_set(struct config *c, const struct directive *d, int argc,
                     const struct bytes *argv, struct error *error)
{
    (void)c;
    if (!one_word(d, argc, error)) return false;
    if (bytes_equal_nocase(argv[0], d->standard)) return true;
    return error_set(error, ERROR_UNSUPPORTED, "wherry supports only '%s %s'", d->name,
                     d->standard);
}

static void only_get(const struct config *c, const struct directive *d, struct buf *out)
{
    (void)c;
    buf_append_cstr(out, d->standard);
}

const struct directive_kind kind_only = {only_set, only_get, NULL};

// ---- bind, save, limits, events, replicaof ------------------------------------------------------

static bool bind_set(struct config *c, const struct directive *d, int argc,
                     const struct bytes *argv, struct error *error)
{
    if (argc > CONFIG_BIND_MAX)
        return error_set(error, ERROR_CONFIG, "'%s' takes at most %d addresses", d->name,
                         CONFIG_BIND_MAX);
    char *bind[CONFIG_BIND_MAX];
    int count = 0;
    for (int i = 0; i < argc; i++)
        if (argv[i].len > 0) bind[count++] = copy(argv[i]);
    for (int i = 0; i < c->bind_count; i++)
        mem_free(c->bind[i]);
    memcpy(c->bind, bind, sizeof(*bind) * (size_t)count);
    c->bind_count = count;
    return true;
}

static void bind_get(const struct config *c, const struct directive *d, struct buf *out)
{
    (void)d;
    for (int i = 0; i < c->bind_count; i++)
        buf_printf(out, "%s%s", i ? " " : "", c->bind[i]);
}

const struct directive_kind kind_bind = {bind_set, bind_get, NULL};

// At start `save a b` lines add up; `save ""` clears. CONFIG SET gives all of them at once.
static bool save_set(struct config *c, const struct directive *d, int argc,
                     const struct bytes *argv, struct error *error)
{
    if (argc == 0 || (argc == 1 && argv[0].len == 0)) {
        c->save_count = 0;
        return true;
    }
    if (argc % 2 != 0)
        return error_set(error, ERROR_CONFIG, "'%s' takes pairs: seconds changes", d->name);
    struct save_point points[CONFIG_SAVE_POINTS_MAX];
    if (argc / 2 > CONFIG_SAVE_POINTS_MAX)
        return error_set(error, ERROR_CONFIG, "'%s' takes at most %d save points", d->name,
                         CONFIG_SAVE_POINTS_MAX);
    for (int i = 0; i < argc; i += 2) {
        struct save_point *p = &points[i / 2];
        if (!text_to_i64(argv[i], &p->seconds) || !text_to_i64(argv[i + 1], &p->changes) ||
            p->seconds < 1 || p->changes < 0)
            return error_set(error, ERROR_CONFIG, "Invalid save parameters");
    }
    memcpy(c->save, points, sizeof(*points) * (size_t)(argc / 2));
    c->save_count = argc / 2;
    return true;
}

static void save_get(const struct config *c, const struct directive *d, struct buf *out)
{
    (void)d;
    for (int i = 0; i < c->save_count; i++)
        buf_printf(out, "%s%lld %lld", i ? " " : "", (long long)c->save[i].seconds,
                   (long long)c->save[i].changes);
}

static void save_lines(const struct config *c, const struct directive *d, struct buf *out)
{
    buf_printf(out, "%s ", d->name);
    if (c->save_count == 0) buf_append_cstr(out, "\"\"");
    save_get(c, d, out);
    buf_append_byte(out, '\n');
}

const struct directive_kind kind_save = {save_set, save_get, save_lines};

static int class_of(struct bytes word)
{
    static const struct word_value names[] = {{"normal", CLASS_NORMAL},
                                              {"replica", CLASS_REPLICA},
                                              {"slave", CLASS_REPLICA},
                                              {"pubsub", CLASS_PUBSUB}};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (bytes_equal_nocase(word, names[i].word)) return names[i].value;
    return -1;
}

static bool output_limit_set(struct config *c, const struct directive *d, int argc,
                             const struct bytes *argv, struct error *error)
{
    struct output_limit limits[CLASS_COUNT];
    memcpy(limits, c->output_limit, sizeof(limits));
    if (argc == 0 || argc % 4 != 0)
        return error_set(error, ERROR_CONFIG,
                         "Wrong number of arguments in buffer limit configuration: '%s' takes "
                         "class hard soft seconds",
                         d->name);
    for (int i = 0; i < argc; i += 4) {
        int class = class_of(argv[i]);
        if (class < 0)
            return error_set(error, ERROR_CONFIG,
                             "Invalid client class specified in buffer limit configuration.");
        struct output_limit *l = &limits[class];
        if (!text_to_memory(argv[i + 1], &l->hard_bytes) ||
            !text_to_memory(argv[i + 2], &l->soft_bytes) ||
            !text_to_i64(argv[i + 3], &l->soft_seconds) || l->hard_bytes < 0 || l->soft_bytes < 0 ||
            l->soft_seconds < 0)
            return error_set(error, ERROR_CONFIG,
                             "Error in hard, soft or soft_seconds setting in buffer limit "
                             "configuration.");
    }
    memcpy(c->output_limit, limits, sizeof(limits));
    return true;
}

static const char *const class_names[CLASS_COUNT] = {"normal", "slave", "pubsub"};

static void output_limit_get(const struct config *c, const struct directive *d, struct buf *out)
{
    (void)d;
    for (int i = 0; i < CLASS_COUNT; i++)
        buf_printf(out, "%s%s %lld %lld %lld", i ? " " : "", class_names[i],
                   (long long)c->output_limit[i].hard_bytes,
                   (long long)c->output_limit[i].soft_bytes,
                   (long long)c->output_limit[i].soft_seconds);
}

static void output_limit_lines(const struct config *c, const struct directive *d, struct buf *out)
{
    for (int i = 0; i < CLASS_COUNT; i++)
        buf_printf(out, "%s %s %lld %lld %lld\n", d->name, class_names[i],
                   (long long)c->output_limit[i].hard_bytes,
                   (long long)c->output_limit[i].soft_bytes,
                   (long long)c->output_limit[i].soft_seconds);
}

const struct directive_kind kind_output_limit = {output_limit_set, output_limit_get,
                                                 output_limit_lines};

static const struct {
    char letter;
    uint32_t flag;
} event_letters[] = {
    {'g', NOTIFY_GENERIC},  {'$', NOTIFY_STRING}, {'l', NOTIFY_LIST},     {'s', NOTIFY_SET},
    {'h', NOTIFY_HASH},     {'z', NOTIFY_ZSET},   {'x', NOTIFY_EXPIRED},  {'e', NOTIFY_EVICTED},
    {'t', NOTIFY_STREAM},   {'d', NOTIFY_MODULE}, {'K', NOTIFY_KEYSPACE}, {'E', NOTIFY_KEYEVENT},
    {'m', NOTIFY_KEY_MISS}, {'n', NOTIFY_NEW},
};
enum { EVENT_LETTERS = sizeof(event_letters) / sizeof(event_letters[0]), EVENT_CLASSES = 10 };

static bool notify_set(struct config *c, const struct directive *d, int argc,
                       const struct bytes *argv, struct error *error)
{
    if (!one_word(d, argc, error)) return false;
    uint32_t flags = 0;
    for (size_t i = 0; i < argv[0].len; i++) {
        uint32_t flag = argv[0].data[i] == 'A' ? NOTIFY_ALL : 0;
        for (int k = 0; k < EVENT_LETTERS; k++)
            if (event_letters[k].letter == argv[0].data[i]) flag = event_letters[k].flag;
        if (flag == 0)
            return error_set(error, ERROR_CONFIG,
                             "Invalid event class character. Use 'Ag$lshzxeKEtmdn'.");
        flags |= flag;
    }
    c->notify_keyspace_events = flags;
    return true;
}

static void notify_get(const struct config *c, const struct directive *d, struct buf *out)
{
    (void)d;
    uint32_t flags = c->notify_keyspace_events;
    bool all = (flags & NOTIFY_ALL) == NOTIFY_ALL;
    if (all) buf_append_byte(out, 'A');
    for (int i = all ? EVENT_CLASSES : 0; i < EVENT_LETTERS; i++)
        if (flags & event_letters[i].flag) buf_append_byte(out, (uint8_t)event_letters[i].letter);
}

const struct directive_kind kind_notify = {notify_set, notify_get, NULL};

static bool replicaof_set(struct config *c, const struct directive *d, int argc,
                          const struct bytes *argv, struct error *error)
{
    if (argc == 1 && argv[0].len == 0) {
        mem_free(c->replicaof_host);
        c->replicaof_host = NULL;
        c->replicaof_port = 0;
        return true;
    }
    if (argc != 2) return error_set(error, ERROR_CONFIG, "'%s' takes: host port", d->name);
    bool none = bytes_equal_nocase(argv[0], "no") && bytes_equal_nocase(argv[1], "one");
    int64_t port = 0;
    if (!none && (!text_to_i64(argv[1], &port) || port < 0 || port > 65535))
        return error_set(error, ERROR_CONFIG, "Invalid master port");
    mem_free(c->replicaof_host);
    c->replicaof_host = none ? NULL : copy(argv[0]);
    c->replicaof_port = (int)port;
    return true;
}

static void replicaof_get(const struct config *c, const struct directive *d, struct buf *out)
{
    (void)d;
    if (c->replicaof_host != NULL) buf_printf(out, "%s %d", c->replicaof_host, c->replicaof_port);
}

const struct directive_kind kind_replicaof = {replicaof_set, replicaof_get, NULL};

static bool percentiles_set(struct config *c, const struct directive *d, int argc,
                            const struct bytes *argv, struct error *error)
{
    double at[CONFIG_PERCENTILES_MAX];
    if (argc == 1 && argv[0].len == 0) argc = 0;
    if (argc > CONFIG_PERCENTILES_MAX)
        return error_set(error, ERROR_CONFIG, "'%s' takes at most %d percentiles", d->name,
                         CONFIG_PERCENTILES_MAX);
    for (int i = 0; i < argc; i++)
        if (!text_to_double(argv[i], &at[i]))
            return error_set(error, ERROR_CONFIG, "Invalid %s parameters", d->name);
        else if (at[i] < 0 || at[i] > 100)
            return error_set(error, ERROR_CONFIG, "%s parameters should sit between [0.0,100.0]",
                             d->name);
    if (argc > 0) memcpy(c->latency_percentiles.at, at, sizeof(*at) * (size_t)argc);
    c->latency_percentiles.count = argc;
    return true;
}

static void percentiles_get(const struct config *c, const struct directive *d, struct buf *out)
{
    (void)d;
    for (int i = 0; i < c->latency_percentiles.count; i++)
        buf_printf(out, "%s%g", i ? " " : "", c->latency_percentiles.at[i]);
}

static void percentiles_lines(const struct config *c, const struct directive *d, struct buf *out)
{
    buf_printf(out, "%s ", d->name);
    if (c->latency_percentiles.count == 0) buf_append_cstr(out, "\"\"");
    percentiles_get(c, d, out);
    buf_append_byte(out, '\n');
}

const struct directive_kind kind_percentiles = {percentiles_set, percentiles_get,
                                                percentiles_lines};

static bool oom_values_set(struct config *c, const struct directive *d, int argc,
                           const struct bytes *argv, struct error *error)
{
    int64_t number[OOM_SCORE_VALUES];
    if (argc != OOM_SCORE_VALUES)
        return error_set(error, ERROR_CONFIG, "'%s' takes %d values", d->name, OOM_SCORE_VALUES);
    for (int i = 0; i < argc; i++)
        if (!read_number(d, 1, &argv[i], &number[i], error)) return false;
    for (int i = 0; i < argc; i++)
        c->oom_score_adj[i] = (int)number[i];
    return true;
}

static void oom_values_get(const struct config *c, const struct directive *d, struct buf *out)
{
    (void)d;
    for (int i = 0; i < OOM_SCORE_VALUES; i++)
        buf_printf(out, "%s%d", i ? " " : "", c->oom_score_adj[i]);
}

const struct directive_kind kind_oom_values = {oom_values_set, oom_values_get, NULL};

// Bytes, or a percentage, which is kept as a negative number.
static bool memory_percent_set(struct config *c, const struct directive *d, int argc,
                               const struct bytes *argv, struct error *error)
{
    if (!one_word(d, argc, error)) return false;
    size_t len = argv[0].len;
    if (len == 0 || argv[0].data[len - 1] != '%') return memory_set(c, d, argc, argv, error);
    int64_t percent;
    if (!text_to_i64(bytes_of(argv[0].data, len - 1), &percent) || percent < 0)
        return error_set(error, ERROR_CONFIG, "argument must be a memory or percent value");
    if (percent > 100)
        return error_set(error, ERROR_CONFIG, "percentage argument must be less or equal to 100");
    *(int64_t *)field(c, d) = -percent;
    return true;
}

static void memory_percent_get(const struct config *c, const struct directive *d, struct buf *out)
{
    int64_t value = *(int64_t *)field(c, d);
    buf_printf(out, "%lld%s", (long long)(value < 0 ? -value : value), value < 0 ? "%" : "");
}

const struct directive_kind kind_memory_percent = {memory_percent_set, memory_percent_get, NULL};
