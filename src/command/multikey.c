#include "command/multikey.h"

#include "base/mem.h"
#include "base/text.h"
#include "command/args.h"
#include "node/notify.h"

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

// ---- the first of many
// ---------------------------------------------------------------------------

enum first_of first_of_type(struct ctx *c, int first, int count, enum value_type type, int *index,
                            struct entry **e)
{
    for (*index = first; *index < first + count; ++*index) {
        *e = ctx_find_write(c, ctx_arg(c, *index));
        if (*e == NULL) continue;
        if ((*e)->value.type == type) return FIRST_FOUND;
        if (c->retry) continue;
        ctx_wrong_type(c);
        return FIRST_ERROR;
    }
    return FIRST_NONE;
}

bool mpop_parse(struct ctx *c, int at, const char *low, const char *high, struct mpop *m)
{
    int64_t numkeys, wanted = 0;
    if (!arg_numkeys(c, at, &numkeys)) return false;
    if (numkeys >= c->argc - at - 1) {
        ctx_syntax_error(c);
        return false;
    }
    int next = at + 1 + (int)numkeys;
    m->high = ctx_is(c, next, high);
    if (!m->high && !ctx_is(c, next, low)) {
        ctx_syntax_error(c);
        return false;
    }
    for (next++; next < c->argc; next += 2) {
        if (wanted != 0 || !ctx_is(c, next, "count") || next + 1 >= c->argc) {
            ctx_syntax_error(c);
            return false;
        }
        if (!arg_int_in(c, next + 1, 1, INT64_MAX, "count should be greater than 0", &wanted))
            return false;
    }
    m->first = at + 1;
    m->count = (int)numkeys;
    m->wanted = wanted ? (uint64_t)wanted : 1;
    return true;
}

void mpop_propagate(struct ctx *c, const char *name, struct bytes key, uint64_t count)
{
    char digits[TEXT_I64_BYTES];
    size_t len = text_from_i64(digits, (int64_t)count);
    ctx_propagate_as(c, 3, (struct bytes[]){bytes_from_cstr(name), key, bytes_of(digits, len)});
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
