// BITFIELD and BITFIELD_RO: integers of any width at any offset of a string.
#include "base/mem.h"
#include "base/text.h"
#include "command/bitops.h"
#include "command/table.h"
#include "node/notify.h"
#include "value/string.h"

enum field_verb { FIELD_GET, FIELD_SET, FIELD_INCRBY };
enum field_overflow { OVERFLOW_WRAP, OVERFLOW_SAT, OVERFLOW_FAIL };

struct field_op {
    uint64_t offset; // bits
    int64_t amount;  // of SET and INCRBY
    uint8_t verb, overflow, width;
    bool is_signed;
};

// ---- arguments ----------------------------------------------------------------------------------

static bool parse_type(struct ctx *c, int index, struct field_op *op)
{
    struct bytes text = ctx_arg(c, index);
    int64_t width = 0;
    bool ok = text.len > 1 && (text.data[0] == 'i' || text.data[0] == 'u');
    if (ok) {
        op->is_signed = text.data[0] == 'i';
        ok = text_to_i64(bytes_of(text.data + 1, text.len - 1), &width) && width >= 1 &&
             width <= (op->is_signed ? 64 : 63);
    }
    op->width = (uint8_t)width;
    if (!ok)
        reply_error(c->reply, "Invalid bitfield type. Use something like i16 u8. Note that u64 is "
                              "not supported but i64 is.");
    return ok;
}

static bool parse_overflow(struct ctx *c, int index, uint8_t *overflow)
{
    static const char *const names[] = {"wrap", "sat", "fail"};
    for (uint8_t i = 0; i < 3; i++) {
        if (!ctx_is(c, index, names[i])) continue;
        *overflow = i;
        return true;
    }
    reply_error(c->reply, "Invalid OVERFLOW type specified");
    return false;
}

// The verb at `index`; false when it is none, or its words are not all there.
static bool parse_verb(struct ctx *c, int index, uint8_t *verb, int *words)
{
    static const char *const names[] = {"get", "set", "incrby"};
    for (uint8_t i = 0; i < 3; i++) {
        if (!ctx_is(c, index, names[i])) continue;
        *verb = i;
        *words = i == FIELD_GET ? 3 : 4;
        return index + *words <= c->argc;
    }
    return false;
}

// Fills `ops`, which has room for one per word. Returns how many, or -1: replied.
static int parse_ops(struct ctx *c, bool only_get, struct field_op *ops)
{
    int count = 0, words;
    uint8_t overflow = OVERFLOW_WRAP;
    for (int i = 2; i < c->argc; i += words) {
        struct field_op *op = &ops[count];
        *op = (struct field_op){.overflow = overflow};
        if (i + 1 < c->argc && ctx_is(c, i, "overflow")) {
            if (!parse_overflow(c, i + 1, &overflow)) return -1;
            words = 2;
            continue;
        }
        if (!parse_verb(c, i, &op->verb, &words)) {
            ctx_syntax_error(c);
            return -1;
        }
        if (!parse_type(c, i + 1, op) || !bit_offset(c, i + 2, op->width, &op->offset)) return -1;
        if (op->verb != FIELD_GET && only_get) {
            reply_error(c->reply, "BITFIELD_RO only supports the GET subcommand");
            return -1;
        }
        if (op->verb != FIELD_GET && !ctx_int(c, i + 3, &op->amount)) return -1;
        count++;
    }
    return count;
}

// ---- the integers -------------------------------------------------------------------------------

// What lies behind the string's end reads as zeros.
static int64_t field_read(struct bytes text, const struct field_op *op)
{
    uint64_t number = 0;
    for (uint64_t bit = op->offset; bit < op->offset + op->width; bit++) {
        uint64_t at = bit / 8;
        unsigned byte = at < text.len ? (unsigned char)text.data[at] : 0;
        number = number << 1 | (byte >> (7 - bit % 8) & 1);
    }
    if (op->is_signed && op->width < 64 && number >> (op->width - 1))
        number |= UINT64_MAX << op->width;
    return (int64_t)number;
}

static void field_write(unsigned char *data, const struct field_op *op, int64_t number)
{
    for (unsigned i = 0; i < op->width; i++) {
        uint64_t bit = op->offset + i;
        unsigned char mask = (unsigned char)(0x80 >> bit % 8);
        bool one = (uint64_t)number >> (op->width - 1 - i) & 1;
        data[bit / 8] = (unsigned char)(one ? data[bit / 8] | mask : data[bit / 8] & ~mask);
    }
}

// base + amount in the field's range, by the overflow rule; false: it does not fit and must fail.
static bool field_sum(const struct field_op *op, int64_t base, int64_t amount, int64_t *out)
{
    __int128 sum = op->is_signed ? (__int128)base : (__int128)(uint64_t)base;
    sum += amount;
    unsigned magnitude = op->is_signed ? op->width - 1u : op->width;
    __int128 max = ((__int128)1 << magnitude) - 1, min = op->is_signed ? -max - 1 : 0;
    if (sum >= min && sum <= max) {
        *out = (int64_t)sum;
        return true;
    }
    if (op->overflow == OVERFLOW_FAIL) return false;
    if (op->overflow == OVERFLOW_SAT) {
        *out = (int64_t)(sum > max ? max : min);
        return true;
    }
    uint64_t low = (uint64_t)sum;
    if (op->width < 64) {
        low &= (1ull << op->width) - 1;
        if (op->is_signed && low >> (op->width - 1)) low |= UINT64_MAX << op->width;
    }
    *out = (int64_t)low;
    return true;
}

// ---- the commands -------------------------------------------------------------------------------

// True when the string was changed.
static bool run_op(struct ctx *c, const struct field_op *op, struct bytes text,
                   unsigned char *writable)
{
    int64_t old = field_read(text, op), number;
    if (op->verb == FIELD_GET) {
        reply_integer(c->reply, old);
        return false;
    }
    bool set = op->verb == FIELD_SET;
    if (!field_sum(op, set ? op->amount : old, set ? 0 : op->amount, &number)) {
        reply_null(c->reply);
        return false;
    }
    reply_integer(c->reply, set ? old : number);
    field_write(writable, op, number);
    return number != old;
}

static void run_reads(struct ctx *c, const struct field_op *ops, int count)
{
    struct entry *e;
    char scratch[TEXT_I64_BYTES];
    if (!ctx_find_read_type(c, ctx_arg(c, 1), VALUE_STRING, &e)) return;
    struct bytes text = e ? string_view(&e->value, scratch) : BYTES("");
    reply_array(c->reply, (size_t)count);
    for (int i = 0; i < count; i++)
        run_op(c, &ops[i], text, NULL);
}

static void run_writes(struct ctx *c, const struct field_op *ops, int count, size_t needed)
{
    struct bytes key = ctx_arg(c, 1);
    struct entry *e;
    if (!ctx_find_write_type(c, key, VALUE_STRING, &e)) return;
    size_t before = e ? string_length(&e->value) : 0, len = before > needed ? before : needed;
    unsigned char *data = bit_writable(c, key, e, len);
    uint64_t changes = 0;
    reply_array(c->reply, (size_t)count);
    for (int i = 0; i < count; i++)
        changes += run_op(c, &ops[i], bytes_of(data, len), data);
    if (len > before && changes == 0) changes = 1; // longer by zeros is a change too
    if (changes == 0) return;
    ctx_changed(c, key, changes);
    ctx_notify(c, NOTIFY_STRING, "setbit", key);
}

static void bitfield_generic(struct ctx *c, bool only_get)
{
    struct field_op *ops = mem_array(struct field_op, (size_t)c->argc);
    int count = parse_ops(c, only_get, ops);
    bool writes = false;
    size_t needed = 0;
    for (int i = 0; i < count; i++) {
        if (ops[i].verb == FIELD_GET) continue;
        writes = true;
        size_t end = (ops[i].offset + ops[i].width + 7) / 8;
        if (end > needed) needed = end;
    }
    if (count >= 0 && writes)
        run_writes(c, ops, count, needed);
    else if (count >= 0)
        run_reads(c, ops, count);
    mem_free(ops);
}

static void bitfield(struct ctx *c)
{
    bitfield_generic(c, false);
}

static void bitfield_ro(struct ctx *c)
{
    bitfield_generic(c, true);
}

// A BITFIELD that only reads need not wait for a hold.
static int bitfield_keys(int argc, struct str *const *argv, struct key_ref *out, int max)
{
    enum key_access access = KEY_READ;
    for (int i = 2; i < argc; i++)
        if (bytes_equal_nocase(str_view(argv[i]), "set") ||
            bytes_equal_nocase(str_view(argv[i]), "incrby"))
            access = KEY_READ_WRITE;
    if (max > 0) out[0] = (struct key_ref){.index = 1, .access = access};
    return 1;
}

const struct command commands_bitfield[] = {
    {"bitfield", bitfield, -2, CMD_WRITE | CMD_DENYOOM, .keys = {{1, 1, 1, KEY_READ_WRITE}},
     .get_keys = bitfield_keys, .acl = "@bitmap"},
    {"bitfield_ro", bitfield_ro, -2, CMD_READONLY | CMD_FAST, .keys = {{1, 1, 1, KEY_READ}},
     .acl = "@bitmap"},
    {0},
};
