// How directives are described: one const row each. The engine (config.c) finds, sets and shows
// them; the rows are in config_table.c, what reads and writes a field in config_kinds.c, and what a
// change sets in motion in config_apply.c.
#ifndef WHERRY_NODE_CONFIG_TABLE_H
#define WHERRY_NODE_CONFIG_TABLE_H

#include "node/config.h"

struct directive;

// A kind of value: from words and back.
struct directive_kind {
    bool (*set)(struct config *c, const struct directive *d, int argc, const struct bytes *argv,
                struct error *error);
    // Appends the value as CONFIG GET shows it.
    void (*get)(const struct config *c, const struct directive *d, struct buf *out);
    // Appends the lines (each ended by a newline) that CONFIG REWRITE writes; NULL: "name value".
    void (*lines)(const struct config *c, const struct directive *d, struct buf *out);
};

enum directive_flag {
    DIRECTIVE_IMMUTABLE = 1 << 0, // only at start
    DIRECTIVE_MULTI = 1 << 1,     // the value is several words; CONFIG SET splits its one argument
    DIRECTIVE_SECRET = 1 << 2,    // never in logs
    DIRECTIVE_PROTECTED = 1 << 3, // changed at run time only with enable-protected-configs
    DIRECTIVE_HIDDEN = 1 << 4,    // knobs for tests: not matched by CONFIG GET *
    DIRECTIVE_NOT_LOADING = 1 << 5,
};

struct word_value {
    const char *word;
    int value;
};

struct directive {
    const char *name, *alias; // alias NULL: none
    const struct directive_kind *kind;
    size_t offset;
    const char *standard; // the default, written as in a file
    uint32_t flags;
    int64_t min, max;
    const struct word_value *words; // of an enumeration; ended by a NULL word
    // Acts on a change at run time; false refuses it, and the old values are put back.
    bool (*apply)(struct node *n, struct error *error);
};

extern const struct directive config_directives[]; // ended by a row without a name

// Directives of Redis 7.0 that wherry has no use for, or not yet: named in the error.
struct unsupported_directive {
    const char *name, *why;
};
extern const struct unsupported_directive config_unsupported[];

extern const struct directive_kind kind_bool, kind_int, kind_i64, kind_memory, kind_string,
    kind_nullable, kind_secret, kind_users, kind_enum, kind_octal, kind_bind, kind_save,
    kind_output_limit, kind_notify, kind_replicaof, kind_duration, kind_only, kind_percentiles,
    kind_memory_percent, kind_oom_values;

// Sets a directive from its words, field only.
bool directive_set(struct config *c, const struct directive *d, int argc, const struct bytes *argv,
                   struct error *error);
const struct directive *directive_find(struct bytes name);

// config_apply.c
bool apply_listen(struct node *n, struct error *error);
bool apply_tls(struct node *n, struct error *error);
bool apply_log(struct node *n, struct error *error);
bool apply_memory(struct node *n, struct error *error);
bool apply_clients_memory(struct node *n, struct error *error);
bool apply_password(struct node *n, struct error *error);
bool apply_delays(struct node *n, struct error *error);
bool apply_dir(struct node *n, struct error *error);
// Goes to `dir`, which is an absolute path from then on.
bool config_enter_dir(struct config *c, struct error *error);
bool apply_repl(struct node *n, struct error *error);
bool apply_title(struct node *n, struct error *error);
bool apply_background_purge(struct node *n, struct error *error);
// Every apply once, at start.
bool config_apply_all(struct node *n, struct error *error);

#endif
