#include "command/args.h"

#include "base/text.h"

#include <math.h>

bool arg_int_in(struct ctx *c, int index, int64_t min, int64_t max, const char *message,
                int64_t *out)
{
    if (text_to_i64(ctx_arg(c, index), out) && *out >= min && *out <= max) return true;
    reply_error(c->reply, message);
    return false;
}

bool arg_positive(struct ctx *c, int index, int64_t *out)
{
    return arg_int_in(c, index, 0, INT64_MAX, "value is out of range, must be positive", out);
}

bool arg_numkeys(struct ctx *c, int index, int64_t *out)
{
    return arg_int_in(c, index, 1, INT64_MAX, "numkeys should be greater than 0", out);
}

// So much is as good as no limit, and microseconds and the clock still fit in 64 bits with it.
static const int64_t timeout_max_ms = (int64_t)1 << 52;

bool arg_timeout(struct ctx *c, int index, int64_t *timeout_ms)
{
    long double seconds;
    if (!text_to_long_double(ctx_arg(c, index), &seconds)) {
        reply_error(c->reply, "timeout is not a float or out of range");
        return false;
    }
    long double ms = ceill(seconds * 1000);
    // The error for what does not fit in 64 bits is Redis's, where it wraps.
    if (ms < 0 || ms > (long double)INT64_MAX) {
        reply_error(c->reply, "timeout is negative");
        return false;
    }
    if (ms > (long double)(INT64_MAX - ctx_now_ms(c))) {
        reply_error(c->reply, "timeout is out of range");
        return false;
    }
    *timeout_ms = ms > (long double)timeout_max_ms ? timeout_max_ms : (int64_t)ms;
    return true;
}
