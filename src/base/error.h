// Errors are values: a class to act on and a message for a person (what, where, what to do).
#ifndef WHERRY_BASE_ERROR_H
#define WHERRY_BASE_ERROR_H

#include <stdarg.h>
#include <stdbool.h>

enum error_class {
    ERROR_NONE = 0,
    ERROR_CLOSED,      // the peer or the operator closed it in order
    ERROR_IO,          // the system said no: connect, read, write, file
    ERROR_TIMEOUT,     // a deadline passed
    ERROR_TLS,         // handshake, certificate or record
    ERROR_PROTOCOL,    // the peer does not speak as agreed
    ERROR_CORRUPT,     // bytes that should hold data don't
    ERROR_LIMIT,       // a named bound was met
    ERROR_CONFIG,      // a directive or its value
    ERROR_CANCELLED,   // we gave it up ourselves
    ERROR_UNSUPPORTED, // understood and not offered
};

#define ERROR_TEXT_BYTES 256

struct error {
    enum error_class class;
    char text[ERROR_TEXT_BYTES];
};

#define ERROR_OK ((struct error){0})

static inline bool error_is(const struct error *e)
{
    return e->class != ERROR_NONE;
}
// Fills `e` (NULL is fine) and returns false, so that a function can `return error_set(...)`.
bool error_set(struct error *e, enum error_class class, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
// Puts "context: " before the text.
bool error_context(struct error *e, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
