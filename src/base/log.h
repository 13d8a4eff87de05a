// Where log lines go. A component is given a `struct log *` by its owner; there is no global one.
// Levels have Redis's names. The sink adds time, pid and role, and never blocks the loop for long.
#ifndef WHERRY_BASE_LOG_H
#define WHERRY_BASE_LOG_H

#include <stdarg.h>

enum log_level { LOG_DEBUG, LOG_VERBOSE, LOG_NOTICE, LOG_WARNING, LOG_SILENT };

struct log {
    enum log_level level; // lines below it are dropped before they are formatted
    void (*write)(struct log *log, enum log_level level, const char *line);
    void *owner;
};

// A NULL log swallows everything.
void log_line(struct log *log, enum log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#define log_debug(log, ...)   log_line((log), LOG_DEBUG, __VA_ARGS__)
#define log_verbose(log, ...) log_line((log), LOG_VERBOSE, __VA_ARGS__)
#define log_notice(log, ...)  log_line((log), LOG_NOTICE, __VA_ARGS__)
#define log_warning(log, ...) log_line((log), LOG_WARNING, __VA_ARGS__)

#endif
