#include "command/args.h"

#include "base/mem.h"
#include "base/text.h"
#include "node/notify.h"

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

// ---- keys ---------------------------------------------------------------------------------------

int keys_counted_at(int index, enum key_access access, int argc, struct str *const *argv,
                    struct key_ref *out, int max)
{
    int64_t count;
    if (index >= argc || !text_to_i64(str_view(argv[index]), &count)) return -1;
    if (count < 1 || count > argc - index - 1) return -1;
    for (int i = 0; i < count && i < max; i++)
        out[i] = (struct key_ref){.index = index + 1 + i, .access = access};
    return (int)count;
}

int keys_stored_and_counted(int argc, struct str *const *argv, struct key_ref *out, int max)
{
    int count = max > 0 ? keys_counted_at(2, KEY_READ, argc, argv, out + 1, max - 1)
                        : keys_counted_at(2, KEY_READ, argc, argv, NULL, 0);
    if (count < 0) return -1;
    if (max > 0) out[0] = (struct key_ref){.index = 1, .access = KEY_WRITE};
    return count + 1;
}

int keys_counted_first_read(int argc, struct str *const *argv, struct key_ref *out, int max)
{
    return keys_counted_at(1, KEY_READ, argc, argv, out, max);
}

int keys_counted_first_write(int argc, struct str *const *argv, struct key_ref *out, int max)
{
    return keys_counted_at(1, KEY_READ_WRITE, argc, argv, out, max);
}

int keys_counted_second_write(int argc, struct str *const *argv, struct key_ref *out, int max)
{
    return keys_counted_at(2, KEY_READ_WRITE, argc, argv, out, max);
}

void block_on_args(struct ctx *c, int first, int count, int64_t timeout_ms)
{
    struct bytes few[8] = {0}, *keys = few;
    if (count > 8) keys = mem_array(struct bytes, (size_t)count);
    for (int i = 0; i < count; i++)
        keys[i] = ctx_arg(c, first + i);
    if (!ctx_block(c, count, keys, timeout_ms, false, reply_null_array)) reply_null_array(c->reply);
    if (keys != few) mem_free(keys);
}

// ---- results ------------------------------------------------------------------------------------

void store_result(struct ctx *c, struct bytes key, struct value *value, uint32_t class_flag,
                  const char *event)
{
    uint64_t length = value_length(value);
    if (length > 0) {
        bool ready = value->type == VALUE_LIST || value->type == VALUE_ZSET;
        ctx_set(c, key, value, false);
        ctx_changed(c, key, 1);
        ctx_notify(c, class_flag, event, key);
        if (ready) ctx_key_ready(c, key);
    } else {
        value_free(value);
        if (ctx_delete(c, key)) {
            ctx_changed(c, key, 1);
            ctx_notify(c, NOTIFY_GENERIC, "del", key);
        }
    }
    reply_integer(c->reply, (int64_t)length);
}
