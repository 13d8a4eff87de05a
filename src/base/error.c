#include "base/error.h"

#include <stdio.h>
#include <string.h>

bool error_set(struct error *e, enum error_class class, const char *format, ...)
{
    if (e == NULL) return false;
    e->class = class;
    va_list args;
    va_start(args, format);
    vsnprintf(e->text, sizeof(e->text), format, args);
    va_end(args);
    return false;
}

bool error_context(struct error *e, const char *format, ...)
{
    if (e == NULL) return false;
    char old[ERROR_TEXT_BYTES];
    memcpy(old, e->text, sizeof(old));
    va_list args;
    va_start(args, format);
    int used = vsnprintf(e->text, sizeof(e->text), format, args);
    va_end(args);
    if (used >= 0 && (size_t)used < sizeof(e->text))
        snprintf(e->text + used, sizeof(e->text) - (size_t)used, ": %s", old);
    return false;
}
