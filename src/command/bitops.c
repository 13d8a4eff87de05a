// Bits of strings: SETBIT, GETBIT, BITCOUNT, BITPOS, BITOP. Bit 0 is the highest of byte 0.
// BITFIELD is in bitfield.c.
#include "command/bitops.h"

#include "base/mem.h"
#include "command/string_range.h"
#include "command/table.h"
#include "node/node.h"
#include "node/notify.h"
#include "value/string.h"

// ---- one bit ------------------------------------------------------------------------------------

bool bit_offset(struct ctx *c, int index, int width, uint64_t *out)
{
    struct bytes text = ctx_arg(c, index);
    uint64_t max = c->client->flags & CLIENT_PRIMARY ? (uint64_t)INT64_MAX / 8
                                                     : c->node->config.request_limits.bulk_bytes;
    bool scaled = width > 0 && text.len > 0 && text.data[0] == '#';
    if (scaled) text = bytes_of(text.data + 1, text.len - 1);
    int64_t offset;
    bool fits = text_to_i64(text, &offset) && offset >= 0;
    if (fits && scaled) fits = !__builtin_mul_overflow(offset, (int64_t)width, &offset);
    if (fits && (uint64_t)offset / 8 < max) {
        *out = (uint64_t)offset;
        return true;
    }
    reply_error(c->reply, "bit offset is not an integer or out of range");
    return false;
}

static bool bit_argument(struct ctx *c, int index, const char *error, int *bit)
{
    struct bytes text = ctx_arg(c, index);
    int64_t number;
    if (!text_to_i64(text, &number) || (number != 0 && number != 1)) {
        reply_error(c->reply, error);
        return false;
    }
    *bit = (int)number;
    return true;
}

unsigned char *bit_writable(struct ctx *c, struct bytes key, struct entry *e, size_t len)
{
    if (e == NULL) {
        struct value value;
        string_init_text(&value, BYTES(""));
        e = ctx_add(c, key, &value);
    }
    return (unsigned char *)string_writable(&e->value, len);
}

static void setbit(struct ctx *c)
{
    struct bytes key = ctx_arg(c, 1);
    struct entry *e;
    uint64_t offset;
    int bit;
    if (!bit_offset(c, 2, 0, &offset)) return;
    if (!bit_argument(c, 3, "bit is not an integer or out of range", &bit)) return;
    if (!ctx_find_write_type(c, key, VALUE_STRING, &e)) return;
    size_t before = e ? string_length(&e->value) : 0, at = offset / 8;
    unsigned char *data = bit_writable(c, key, e, at + 1);
    unsigned char mask = (unsigned char)(0x80 >> offset % 8);
    int old = (data[at] & mask) != 0;
    // A bit that is so already is no change, unless the string grew for it.
    if (old != bit || at >= before) {
        data[at] = (unsigned char)(bit ? data[at] | mask : data[at] & ~mask);
        ctx_changed(c, key, 1);
        ctx_notify(c, NOTIFY_STRING, "setbit", key);
    }
    reply_integer(c->reply, old);
}

static void getbit(struct ctx *c)
{
    struct entry *e;
    uint64_t offset;
    char scratch[TEXT_I64_BYTES];
    if (!bit_offset(c, 2, 0, &offset)) return;
    if (!ctx_find_read_type(c, ctx_arg(c, 1), VALUE_STRING, &e)) return;
    struct bytes text = e ? string_view(&e->value, scratch) : BYTES("");
    size_t at = offset / 8;
    bool set = at < text.len && ((unsigned char)text.data[at] & 0x80 >> offset % 8);
    reply_integer(c->reply, set);
}

// ---- ranges of bits -----------------------------------------------------------------------------

// Bits first .. last of a string, both inside.
struct bit_range {
    uint64_t first, last;
    bool empty;
};

static uint64_t load_word(const unsigned char *at)
{
    uint64_t word;
    memcpy(&word, at, sizeof(word));
    return word;
}

static uint64_t count_bytes(const unsigned char *data, size_t len)
{
    uint64_t count = 0;
    for (; len >= 8; data += 8, len -= 8)
        count += (uint64_t)__builtin_popcountll(load_word(data));
    for (; len > 0; data++, len--)
        count += (uint64_t)__builtin_popcount(*data);
    return count;
}

// The bits of byte `at` that lie outside of the range: ones in the result.
static unsigned outside(const struct bit_range *range, uint64_t at)
{
    unsigned mask = 0;
    if (at == range->first / 8) mask |= (0xff00u >> range->first % 8) & 0xff;
    if (at == range->last / 8) mask |= 0xffu >> (range->last % 8 + 1);
    return mask;
}

static uint64_t count_range(const unsigned char *data, const struct bit_range *range)
{
    uint64_t first = range->first / 8, last = range->last / 8;
    uint64_t count = count_bytes(data + first, last - first + 1);
    count -= (uint64_t)__builtin_popcount(data[first] & outside(range, first));
    if (last != first) count -= (uint64_t)__builtin_popcount(data[last] & outside(range, last));
    return count;
}

// The first bit of this kind in the range, or -1.
static int64_t find_bit(const unsigned char *data, const struct bit_range *range, int bit)
{
    uint64_t at = range->first / 8, last = range->last / 8;
    unsigned char dull = bit ? 0x00 : 0xff;
    uint64_t dull_word = bit ? 0 : UINT64_MAX;
    while (at <= last) {
        // What is outside of the range is made to look like the other kind.
        unsigned mask = outside(range, at);
        unsigned byte = bit ? data[at] & ~mask & 0xff : data[at] | mask;
        if (byte != dull) {
            unsigned wanted = bit ? byte : ~byte & 0xff;
            return (int64_t)(at * 8) + __builtin_clz(wanted) - 24;
        }
        at++;
        while (at + 8 <= last && load_word(data + at) == dull_word)
            at += 8;
    }
    return -1;
}

// Reads "start [end [BYTE|BIT]]" from `index` on, and cuts it to a string of `len` bytes.
struct range_words {
    int64_t start, end;
    bool bits, has_end;
};

static bool parse_range(struct ctx *c, int index, struct range_words *words)
{
    *words = (struct range_words){.start = 0, .end = -1};
    if (index < c->argc && !ctx_int(c, index, &words->start)) return false;
    if (index + 2 < c->argc) {
        if (ctx_is(c, index + 2, "bit")) {
            words->bits = true;
        } else if (!ctx_is(c, index + 2, "byte")) {
            ctx_syntax_error(c);
            return false;
        }
    }
    words->has_end = index + 1 < c->argc;
    return !words->has_end || ctx_int(c, index + 1, &words->end);
}

static struct bit_range cut_range(const struct range_words *words, size_t len)
{
    int64_t total = (int64_t)len, start = words->start, end = words->end;
    if (start < 0 && end < 0 && start > end) return (struct bit_range){.empty = true};
    if (words->bits) total *= 8;
    if (start < 0) start = start + total < 0 ? 0 : start + total;
    if (end < 0) end = end + total < 0 ? 0 : end + total;
    if (end >= total) end = total - 1;
    if (start > end) return (struct bit_range){.empty = true};
    if (words->bits) return (struct bit_range){(uint64_t)start, (uint64_t)end, false};
    return (struct bit_range){(uint64_t)start * 8, (uint64_t)end * 8 + 7, false};
}

static void bitcount(struct ctx *c)
{
    struct entry *e;
    struct range_words words;
    char scratch[TEXT_I64_BYTES];
    if (c->argc == 3 || c->argc > 5) {
        // The type is looked at first, as Redis does.
        if (ctx_find_read_type(c, ctx_arg(c, 1), VALUE_STRING, &e)) {
            if (e == NULL)
                reply_integer(c->reply, 0);
            else
                ctx_syntax_error(c);
        }
        return;
    }
    if (!ctx_find_read_type(c, ctx_arg(c, 1), VALUE_STRING, &e)) return;
    if (e == NULL) {
        reply_integer(c->reply, 0);
        return;
    }
    if (!parse_range(c, 2, &words)) return;
    struct bytes text = string_view(&e->value, scratch);
    struct bit_range range = cut_range(&words, text.len);
    reply_integer(c->reply,
                  range.empty ? 0 : (int64_t)count_range((const unsigned char *)text.data, &range));
}

static void bitpos(struct ctx *c)
{
    struct entry *e;
    struct range_words words;
    char scratch[TEXT_I64_BYTES];
    int bit;
    int64_t number;
    if (!ctx_int(c, 2, &number)) return;
    if (!bit_argument(c, 2, "The bit argument must be 1 or 0.", &bit)) return;
    if (!ctx_find_read_type(c, ctx_arg(c, 1), VALUE_STRING, &e)) return;
    // A key that is not there is all zeros, without an end.
    if (e == NULL) {
        reply_integer(c->reply, bit ? -1 : 0);
        return;
    }
    if (c->argc > 6) {
        ctx_syntax_error(c);
        return;
    }
    if (!parse_range(c, 3, &words)) return;
    struct bytes text = string_view(&e->value, scratch);
    struct bit_range range = cut_range(&words, text.len);
    if (range.empty) {
        reply_integer(c->reply, -1);
        return;
    }
    int64_t at = find_bit((const unsigned char *)text.data, &range, bit);
    // Without an end given, zeros go on behind the string.
    if (at < 0 && bit == 0 && !words.has_end) at = (int64_t)text.len * 8;
    reply_integer(c->reply, at);
}

// ---- BITOP --------------------------------------------------------------------------------------

enum bitop { BITOP_AND, BITOP_OR, BITOP_XOR, BITOP_NOT, BITOP_COUNT };

struct bitop_source {
    struct bytes text;
    char scratch[TEXT_I64_BYTES];
};

// Combines the sources, the shorter ones filled up with zeros, in words where all have them.
static void combine(enum bitop op, const struct bitop_source *sources, int count, char *out,
                    size_t len)
{
    // The result starts as the first source, the others are worked into it one by one.
    size_t first = sources[0].text.len;
    if (first > 0) memcpy(out, sources[0].text.data, first);
    memset(out + first, 0, len - first);
    if (op == BITOP_NOT)
        for (size_t at = 0; at < len; at++)
            out[at] = (char)~out[at];
    for (int i = 1; i < count; i++) {
        const char *from = sources[i].text.data;
        size_t both = sources[i].text.len;
        switch (op) {
        case BITOP_AND:
            for (size_t at = 0; at < both; at++)
                out[at] &= from[at];
            memset(out + both, 0, len - both);
            break;
        case BITOP_OR:
            for (size_t at = 0; at < both; at++)
                out[at] |= from[at];
            break;
        case BITOP_XOR:
            for (size_t at = 0; at < both; at++)
                out[at] ^= from[at];
            break;
        case BITOP_NOT:
        case BITOP_COUNT:
            break;
        }
    }
}

static bool bitop_sources(struct ctx *c, struct bitop_source *sources, int count, size_t *longest)
{
    *longest = 0;
    for (int i = 0; i < count; i++) {
        struct entry *e;
        if (!ctx_find_read_type(c, ctx_arg(c, i + 3), VALUE_STRING, &e)) return false;
        sources[i].text = e ? string_view(&e->value, sources[i].scratch) : BYTES("");
        if (sources[i].text.len > *longest) *longest = sources[i].text.len;
    }
    return true;
}

static void bitop_store(struct ctx *c, struct str *result)
{
    struct bytes target = ctx_arg(c, 2);
    struct value value;
    string_take(&value, result);
    ctx_set(c, target, &value, false);
    ctx_changed(c, target, 1);
    ctx_notify(c, NOTIFY_STRING, "set", target);
}

static void bitop(struct ctx *c)
{
    static const char *const names[BITOP_COUNT] = {"and", "or", "xor", "not"};
    int op = 0, count = c->argc - 3;
    size_t len;
    while (op < BITOP_COUNT && !ctx_is(c, 1, names[op]))
        op++;
    if (op == BITOP_COUNT) {
        ctx_syntax_error(c);
        return;
    }
    if (op == BITOP_NOT && count != 1) {
        reply_error(c->reply, "BITOP NOT must be called with a single source key.");
        return;
    }
    struct bitop_source *sources = mem_array(struct bitop_source, (size_t)count);
    if (bitop_sources(c, sources, count, &len)) {
        struct bytes target = ctx_arg(c, 2);
        if (len > 0) {
            struct str *result = str_new(NULL, len);
            combine((enum bitop)op, sources, count, result->data, len);
            bitop_store(c, result);
        } else if (ctx_delete(c, target)) {
            ctx_changed(c, target, 1);
            ctx_notify(c, NOTIFY_GENERIC, "del", target);
        }
        reply_integer(c->reply, (int64_t)len);
    }
    mem_free(sources);
}

enum { GROWS = CMD_WRITE | CMD_DENYOOM };

const struct command commands_bitops[] = {
    {"setbit", setbit, 4, GROWS, .keys = {{1, 1, 1, KEY_READ_WRITE}}, .acl = "@bitmap"},
    {"getbit", getbit, 3, CMD_READONLY | CMD_FAST, .keys = {{1, 1, 1, KEY_READ}}, .acl = "@bitmap"},
    {"bitcount", bitcount, -2, CMD_READONLY, .keys = {{1, 1, 1, KEY_READ}}, .acl = "@bitmap"},
    {"bitpos", bitpos, -3, CMD_READONLY, .keys = {{1, 1, 1, KEY_READ}}, .acl = "@bitmap"},
    {"bitop", bitop, -4, GROWS, .keys = {{2, 2, 1, KEY_WRITE}, {3, -1, 1, KEY_READ}},
     .acl = "@bitmap"},
    {0},
};
