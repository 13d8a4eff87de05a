#include "value/listpack.h"

#include "base/mem.h"

#include <assert.h>

// The first byte of an entry says what follows:
//
//     0xxxxxxx                     7-bit unsigned integer
//     10xxxxxx  bytes              string, 6-bit length
//     110xxxxx  1 byte             13-bit signed integer, high bits first
//     1110xxxx  1 byte, bytes      string, 12-bit length, high bits first
//     11110000  4 bytes, bytes     string, 32-bit length, little-endian
//     11110001..11110100           16, 24, 32, 64-bit signed integer, little-endian
//     11111111                     the end
enum {
    LP_STRING6 = 0x80,
    LP_INT13 = 0xC0,
    LP_STRING12 = 0xE0,
    LP_STRING32 = 0xF0,
    LP_INT16 = 0xF1,
    LP_INT24 = 0xF2,
    LP_INT32 = 0xF3,
    LP_INT64 = 0xF4,
    LP_END = 0xFF,
    HEAD_MAX = 9, // bytes before a string's own, or a whole integer
    BACKLEN_MAX = 5,
};

// An entry as it will be written: `head`, then `text` if it is a string.
struct encoded {
    unsigned char head[HEAD_MAX];
    uint8_t head_len;
    struct bytes text;
};

static void put_le(unsigned char *out, uint64_t n, int bytes)
{
    for (int i = 0; i < bytes; i++)
        out[i] = (unsigned char)(n >> 8 * i);
}

static uint64_t get_le(const unsigned char *in, int bytes)
{
    uint64_t n = 0;
    for (int i = 0; i < bytes; i++)
        n |= (uint64_t)in[i] << 8 * i;
    return n;
}

static int64_t sign_extend(uint64_t n, int bits)
{
    uint64_t sign = (uint64_t)1 << (bits - 1);
    return (int64_t)((n ^ sign) - sign);
}

static bool fits(int64_t n, int bits)
{
    int64_t limit = (int64_t)1 << (bits - 1);
    return n >= -limit && n < limit;
}

static struct encoded encode_number(int64_t n)
{
    struct encoded e = {.head_len = 0};
    if (n >= 0 && n <= 127) {
        e.head[0] = (unsigned char)n;
        e.head_len = 1;
    } else if (fits(n, 13)) {
        e.head[0] = (unsigned char)(LP_INT13 | ((uint64_t)n >> 8 & 0x1f));
        e.head[1] = (unsigned char)n;
        e.head_len = 2;
    } else {
        int bytes = fits(n, 16) ? 2 : fits(n, 24) ? 3 : fits(n, 32) ? 4 : 8;
        e.head[0] = bytes == 8 ? LP_INT64 : (unsigned char)(LP_INT16 + bytes - 2);
        put_le(e.head + 1, (uint64_t)n, bytes);
        e.head_len = (uint8_t)(1 + bytes);
    }
    return e;
}

static struct encoded encode_text(struct bytes text)
{
    int64_t number;
    if (text.len < TEXT_I64_BYTES && text_to_i64(text, &number)) return encode_number(number);
    struct encoded e = {.text = text};
    if (text.len < 64) {
        e.head[0] = (unsigned char)(LP_STRING6 | text.len);
        e.head_len = 1;
    } else if (text.len < 4096) {
        e.head[0] = (unsigned char)(LP_STRING12 | text.len >> 8);
        e.head[1] = (unsigned char)text.len;
        e.head_len = 2;
    } else {
        e.head[0] = LP_STRING32;
        put_le(e.head + 1, text.len, 4);
        e.head_len = 5;
    }
    return e;
}

// The back length: seven bits a byte, the lowest last; it is read from its last byte backwards,
// while a byte has its top bit set.
// The longest of each size is left to the next one; so it is in every listpack that was written.
static int backlen_bytes(uint64_t len)
{
    if (len < 1u << 7) return 1;
    return len < (1u << 14) - 1 ? 2 : len < (1u << 21) - 1 ? 3 : len < (1u << 28) - 1 ? 4 : 5;
}

static int put_backlen(unsigned char *out, uint64_t len)
{
    int bytes = backlen_bytes(len);
    for (int i = 0; i < bytes; i++)
        out[i] = (unsigned char)((len >> 7 * (bytes - 1 - i) & 127) | (i > 0 ? 128 : 0));
    return bytes;
}

// `last` is the last byte of the back length. *bytes is how many it has.
static uint64_t get_backlen(const unsigned char *last, int *bytes)
{
    uint64_t len = 0;
    for (int i = 0;; i++) {
        len |= (uint64_t)(last[-i] & 127) << 7 * i;
        *bytes = i + 1;
        if (!(last[-i] & 128) || i == BACKLEN_MAX - 1) return len;
    }
}

// Encoding and data of the entry whose first bytes are at `p`, of which `room` may be read; 0 when
// they are no entry.
static uint64_t entry_len(const unsigned char *p, uint64_t room)
{
    if (room == 0) return 0;
    unsigned char c = p[0];
    if (c < LP_STRING6) return 1;
    if (c < LP_INT13) return 1 + (uint64_t)(c & 0x3f);
    if (c < LP_STRING12) return 2;
    if (c < LP_STRING32) return room < 2 ? 0 : 2 + ((uint64_t)(c & 0x0f) << 8 | p[1]);
    switch (c) {
    case LP_STRING32:
        return room < 5 ? 0 : 5 + get_le(p + 1, 4);
    case LP_INT16:
        return 3;
    case LP_INT24:
        return 4;
    case LP_INT32:
        return 5;
    case LP_INT64:
        return 9;
    default:
        return 0;
    }
}

static struct listpack_entry decode(const unsigned char *p)
{
    unsigned char c = p[0];
    struct listpack_entry e = {{NULL, 0}, 0};
    if (c < LP_STRING6)
        e.number = c;
    else if (c < LP_INT13)
        e.text = bytes_of(p + 1, c & 0x3f);
    else if (c < LP_STRING12)
        e.number = sign_extend((uint64_t)(c & 0x1f) << 8 | p[1], 13);
    else if (c < LP_STRING32)
        e.text = bytes_of(p + 2, (size_t)(c & 0x0f) << 8 | p[1]);
    else if (c == LP_STRING32)
        e.text = bytes_of(p + 5, get_le(p + 1, 4));
    else {
        int bytes = c == LP_INT64 ? 8 : c - LP_INT16 + 2;
        e.number = sign_extend(get_le(p + 1, bytes), 8 * bytes);
    }
    return e;
}

// ---- the block --------------------------------------------------------------------------------

static void set_header(unsigned char *lp, size_t bytes, uint64_t count)
{
    put_le(lp, bytes, 4);
    put_le(lp + 4, count < LISTPACK_COUNT_UNKNOWN ? count : LISTPACK_COUNT_UNKNOWN, 2);
}

static uint64_t header_count(const unsigned char *lp)
{
    return get_le(lp + 4, 2);
}

// After `added` came and `removed` went. A count that once was unknown stays so until counted.
static void update_header(unsigned char *lp, size_t bytes, uint64_t added, uint64_t removed)
{
    uint64_t count = header_count(lp);
    if (count != LISTPACK_COUNT_UNKNOWN) count = count + added - removed;
    set_header(lp, bytes, count);
}

unsigned char *listpack_new(size_t capacity)
{
    unsigned char *lp =
        mem_alloc(capacity > LISTPACK_EMPTY_BYTES ? capacity : LISTPACK_EMPTY_BYTES);
    set_header(lp, LISTPACK_EMPTY_BYTES, 0);
    lp[LISTPACK_HEADER_BYTES] = LP_END;
    return lp;
}

void listpack_free(unsigned char *lp)
{
    mem_free(lp);
}

unsigned char *listpack_from(struct bytes blob)
{
    unsigned char *lp = mem_try(blob.len);
    if (lp != NULL) memcpy(lp, blob.data, blob.len);
    return lp;
}

unsigned char *listpack_copy(const unsigned char *lp)
{
    unsigned char *copy = mem_alloc(listpack_bytes(lp));
    memcpy(copy, lp, listpack_bytes(lp));
    return copy;
}

uint64_t listpack_count(const unsigned char *lp)
{
    uint64_t count = header_count(lp);
    if (count != LISTPACK_COUNT_UNKNOWN) return count;
    count = 0;
    for (const unsigned char *at = listpack_first(lp); at; at = listpack_next(lp, at))
        count++;
    return count;
}

static size_t encoded_bytes(const struct encoded *e)
{
    size_t len = e->head_len + e->text.len;
    return len + (size_t)backlen_bytes(len);
}

size_t listpack_entry_bytes(struct bytes text)
{
    struct encoded e = encode_text(text);
    return encoded_bytes(&e);
}

size_t listpack_number_bytes(int64_t number)
{
    struct encoded e = encode_number(number);
    return encoded_bytes(&e);
}

bool listpack_safe_to_add(const unsigned char *lp, size_t more)
{
    size_t have = lp ? listpack_bytes(lp) : 0;
    return more <= LISTPACK_SAFE_BYTES && have + more <= LISTPACK_SAFE_BYTES;
}

// ---- writing --------------------------------------------------------------------------------

static void put_entry(unsigned char *at, const struct encoded *e)
{
    memcpy(at, e->head, e->head_len);
    at += e->head_len;
    if (e->text.len) memcpy(at, e->text.data, e->text.len);
    put_backlen(at + e->text.len, e->head_len + e->text.len);
}

// Puts `e` (NULL: nothing) in the place of the `old` bytes at `offset`, which are `gone` entries.
static unsigned char *splice(unsigned char *lp, size_t offset, size_t old, uint64_t gone,
                             const struct encoded *e)
{
    size_t bytes = listpack_bytes(lp), added = e ? encoded_bytes(e) : 0;
    size_t tail = bytes - offset - old, total = bytes - old + added;
    assert(total <= UINT32_MAX);
    if (total > bytes) lp = mem_realloc(lp, total);
    memmove(lp + offset + added, lp + offset + old, tail);
    if (e) put_entry(lp + offset, e);
    if (total < bytes) lp = mem_realloc(lp, total);
    update_header(lp, total, e ? 1 : 0, gone);
    return lp;
}

static unsigned char *insert(unsigned char *lp, unsigned char *at, const struct encoded *e,
                             unsigned char **placed)
{
    size_t offset = at ? (size_t)(at - lp) : listpack_bytes(lp) - 1;
    lp = splice(lp, offset, 0, 0, e);
    if (placed) *placed = lp + offset;
    return lp;
}

unsigned char *listpack_insert(unsigned char *lp, unsigned char *at, struct bytes text,
                               unsigned char **placed)
{
    struct encoded e = encode_text(text);
    return insert(lp, at, &e, placed);
}

unsigned char *listpack_insert_number(unsigned char *lp, unsigned char *at, int64_t number,
                                      unsigned char **placed)
{
    struct encoded e = encode_number(number);
    return insert(lp, at, &e, placed);
}

unsigned char *listpack_append(unsigned char *lp, struct bytes text)
{
    return listpack_insert(lp, NULL, text, NULL);
}

unsigned char *listpack_append_number(unsigned char *lp, int64_t number)
{
    return listpack_insert_number(lp, NULL, number, NULL);
}

unsigned char *listpack_prepend(unsigned char *lp, struct bytes text)
{
    return listpack_insert(lp, listpack_first(lp), text, NULL);
}

unsigned char *listpack_prepend_number(unsigned char *lp, int64_t number)
{
    return listpack_insert_number(lp, listpack_first(lp), number, NULL);
}

static size_t whole_len(const unsigned char *at)
{
    uint64_t len = entry_len(at, UINT64_MAX);
    return len + (size_t)backlen_bytes(len);
}

static unsigned char *replace(unsigned char *lp, unsigned char **at, const struct encoded *e)
{
    size_t offset = (size_t)(*at - lp);
    lp = splice(lp, offset, whole_len(*at), 1, e);
    *at = lp + offset;
    return lp;
}

unsigned char *listpack_replace(unsigned char *lp, unsigned char **at, struct bytes text)
{
    struct encoded e = encode_text(text);
    return replace(lp, at, &e);
}

unsigned char *listpack_replace_number(unsigned char *lp, unsigned char **at, int64_t number)
{
    struct encoded e = encode_number(number);
    return replace(lp, at, &e);
}

unsigned char *listpack_delete(unsigned char *lp, unsigned char **at, uint64_t count)
{
    unsigned char *end = *at;
    uint64_t gone = 0;
    for (; gone < count && *end != LP_END; gone++)
        end += whole_len(end);
    size_t offset = (size_t)(*at - lp);
    lp = splice(lp, offset, (size_t)(end - *at), gone, NULL);
    *at = lp[offset] == LP_END ? NULL : lp + offset;
    return lp;
}

unsigned char *listpack_delete_range(unsigned char *lp, int64_t index, uint64_t count)
{
    unsigned char *at = listpack_seek(lp, index);
    return at ? listpack_delete(lp, &at, count) : lp;
}

unsigned char *listpack_concat(unsigned char *lp, const unsigned char *other)
{
    size_t bytes = listpack_bytes(lp);
    size_t more = listpack_bytes(other) - LISTPACK_EMPTY_BYTES;
    uint64_t count = header_count(lp), others = header_count(other);
    assert(bytes + more <= UINT32_MAX);
    lp = mem_realloc(lp, bytes + more);
    memcpy(lp + bytes - 1, other + LISTPACK_HEADER_BYTES, more + 1);
    bool unknown = count == LISTPACK_COUNT_UNKNOWN || others == LISTPACK_COUNT_UNKNOWN;
    set_header(lp, bytes + more, unknown ? LISTPACK_COUNT_UNKNOWN : count + others);
    return lp;
}

// ---- reading --------------------------------------------------------------------------------

unsigned char *listpack_first(const unsigned char *lp)
{
    return lp[LISTPACK_HEADER_BYTES] == LP_END ? NULL : (unsigned char *)lp + LISTPACK_HEADER_BYTES;
}

static unsigned char *entry_before(const unsigned char *lp, const unsigned char *at)
{
    if (at == lp + LISTPACK_HEADER_BYTES) return NULL;
    int bytes;
    uint64_t len = get_backlen(at - 1, &bytes);
    return (unsigned char *)at - bytes - len;
}

unsigned char *listpack_last(const unsigned char *lp)
{
    return entry_before(lp, lp + listpack_bytes(lp) - 1);
}

unsigned char *listpack_next(const unsigned char *lp, const unsigned char *at)
{
    (void)lp;
    at += whole_len(at);
    return *at == LP_END ? NULL : (unsigned char *)at;
}

unsigned char *listpack_prev(const unsigned char *lp, const unsigned char *at)
{
    return entry_before(lp, at);
}

unsigned char *listpack_seek(const unsigned char *lp, int64_t index)
{
    uint64_t count = header_count(lp);
    if (count != LISTPACK_COUNT_UNKNOWN) {
        if (index >= 0 ? (uint64_t)index >= count : 0 - (uint64_t)index > count) return NULL;
        if (index >= 0 && (uint64_t)index > count / 2)
            index -= (int64_t)count;
        else if (index < 0 && 0 - (uint64_t)index > count / 2)
            index += (int64_t)count;
    }
    unsigned char *at = index >= 0 ? listpack_first(lp) : listpack_last(lp);
    for (; index > 0 && at; index--)
        at = listpack_next(lp, at);
    for (; index < -1 && at; index++)
        at = listpack_prev(lp, at);
    return at;
}

struct listpack_entry listpack_get(const unsigned char *at)
{
    return decode(at);
}

struct bytes listpack_entry_text(struct listpack_entry entry, char scratch[TEXT_I64_BYTES])
{
    if (entry.text.data != NULL) return entry.text;
    return bytes_of(scratch, text_from_i64(scratch, entry.number));
}

struct bytes listpack_text(const unsigned char *at, char scratch[TEXT_I64_BYTES])
{
    return listpack_entry_text(decode(at), scratch);
}

bool listpack_equals(const unsigned char *at, struct bytes text)
{
    struct listpack_entry e = decode(at);
    if (e.text.data != NULL) return bytes_equal(e.text, text);
    int64_t number;
    return text.len < TEXT_I64_BYTES && text_to_i64(text, &number) && number == e.number;
}

unsigned char *listpack_find(const unsigned char *lp, const unsigned char *from, struct bytes text,
                             unsigned skip)
{
    int64_t number;
    bool numeric = text.len < TEXT_I64_BYTES && text_to_i64(text, &number);
    for (const unsigned char *at = from; at; at = listpack_next(lp, at)) {
        struct listpack_entry e = decode(at);
        // A number may be there as a string too, if somebody else wrote the block.
        if (e.text.data != NULL ? bytes_equal(e.text, text) : numeric && e.number == number)
            return (unsigned char *)at;
        for (unsigned i = 0; i < skip; i++)
            if ((at = listpack_next(lp, at)) == NULL) return NULL;
    }
    return NULL;
}

unsigned char *listpack_random(const unsigned char *lp, unsigned stride, struct rng *rng)
{
    uint64_t choices = (listpack_count(lp) + stride - 1) / stride;
    if (choices == 0) return NULL;
    return listpack_seek(lp, (int64_t)(rng_below(rng, choices) * stride));
}

// ---- bytes that cannot be trusted -------------------------------------------------------------

bool listpack_reader_begin(struct listpack_reader *r, struct bytes blob)
{
    *r = (struct listpack_reader){.data = (const unsigned char *)blob.data, .len = blob.len};
    if (blob.len < LISTPACK_EMPTY_BYTES || blob.len > UINT32_MAX) return false;
    if (listpack_bytes(r->data) != blob.len || r->data[blob.len - 1] != LP_END) return false;
    r->at = LISTPACK_HEADER_BYTES;
    return true;
}

enum pack_next listpack_reader_next(struct listpack_reader *r, struct listpack_entry *entry)
{
    if (r->at == 0) return PACK_CORRUPT; // never begun, or found corrupt
    const unsigned char *p = r->data + r->at;
    uint64_t left = r->len - r->at; // at least 1: the end is beyond every entry
    if (*p == LP_END) {
        uint64_t count = header_count(r->data);
        if (left == 1 && (count == LISTPACK_COUNT_UNKNOWN || count == r->seen)) return PACK_END;
    } else {
        uint64_t len = entry_len(p, left);
        int back = backlen_bytes(len);
        unsigned char expected[BACKLEN_MAX];
        put_backlen(expected, len);
        if (len > 0 && len + (uint64_t)back < left && !memcmp(p + len, expected, (size_t)back)) {
            *entry = decode(p);
            r->at += len + (uint64_t)back;
            r->seen++;
            return PACK_ENTRY;
        }
    }
    r->at = 0;
    return PACK_CORRUPT;
}

bool listpack_validate(struct bytes blob, bool deep, listpack_check *check, void *arg)
{
    struct listpack_reader r;
    struct listpack_entry entry;
    if (!listpack_reader_begin(&r, blob)) return false;
    if (!deep) return true;
    enum pack_next next;
    for (uint64_t i = 0; (next = listpack_reader_next(&r, &entry)) == PACK_ENTRY; i++)
        if (check != NULL && !check(arg, &entry, i)) return false;
    return next == PACK_END;
}
