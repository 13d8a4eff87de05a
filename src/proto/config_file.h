// The syntax of redis.conf and of options on the command line: which directives with which
// arguments, in order. What they mean is the owner's business, "include" too.
//
// Source: redis.conf of Redis 7.0 and its documented option syntax (redis.io, "Configuration").
#ifndef WHERRY_PROTO_CONFIG_FILE_H
#define WHERRY_PROTO_CONFIG_FILE_H

#include "base/bytes.h"
#include "base/error.h"

struct config_line {
    int line;          // 1-based; of options: the position of the word on the command line
    int argc;          // at least 1
    struct str **argv; // argv[0] is the directive, in lower case
};

struct config_file {
    struct config_line *lines;
    int count, cap;
};

enum { CONFIG_LINE_BYTES = 64 * 1024 };

void config_file_init(struct config_file *f);
void config_file_free(struct config_file *f); // and leaves it empty
// Appends the directives of `text`. "save" without arguments gets one empty argument. On failure
// the error names the line; what was read before it stays in `f`.
bool config_file_parse(struct config_file *f, struct bytes text, struct error *error)
    __attribute__((warn_unused_result));
// Appends directives from options: "--port 1 --save 60 1 --appendonly yes"; "--port 1" may also be
// one word. The word after a directive is its value even if it starts with "--", except that
// "--save" directly before another option, or at the end, means an empty save.
// `argv` starts at the first option (the program's name and file are the caller's).
bool config_file_parse_options(struct config_file *f, int argc, char *const *argv,
                               struct error *error) __attribute__((warn_unused_result));

// Appends one word so that parsing gives it back: quoted where needed.
void config_append_word(struct buf *out, struct bytes word);
// A whole line without its newline.
void config_append_line(struct buf *out, int argc, const struct bytes *argv);

#endif
