#include "value/ziplist.h"

// Every entry of a ziplist begins with the size of the one before (1 byte, or 254 and 4 bytes),
// then what it is:
//
//     00xxxxxx  bytes              string, 6-bit length
//     01xxxxxx  1 byte, bytes      string, 14-bit length, high bits first
//     10......  4 bytes, bytes     string, 32-bit length, high bits first
//     C0, D0, E0, F0, FE           16, 32, 64, 24, 8-bit signed integer, little-endian
//     F1..FD                       the integers 0 to 12
//     FF                           (in place of an entry) the end
enum {
    ZL_HEADER_BYTES = 10, // u32 bytes, u32 offset of the last entry, u16 count
    ZL_COUNT_UNKNOWN = 65535,
    ZL_LONG_PREVIOUS = 254,
    ZL_END = 255,
    ZM_LONG = 254,
    ZM_END = 255,
};

static uint64_t little(const unsigned char *p, int bytes)
{
    uint64_t n = 0;
    for (int i = 0; i < bytes; i++)
        n |= (uint64_t)p[i] << 8 * i;
    return n;
}

bool ziplist_reader_begin(struct ziplist_reader *r, struct bytes blob)
{
    const unsigned char *p = (const unsigned char *)blob.data;
    *r = (struct ziplist_reader){.data = p, .len = blob.len};
    if (blob.len < ZL_HEADER_BYTES + 1 || little(p, 4) != blob.len) return false;
    if (p[blob.len - 1] != ZL_END) return false;
    r->tail = little(p + 4, 4);
    r->count = (uint32_t)little(p + 8, 2);
    r->at = ZL_HEADER_BYTES;
    return true;
}

static int integer_bytes(unsigned char c)
{
    switch (c) {
    case 0xC0:
        return 2;
    case 0xD0:
        return 4;
    case 0xE0:
        return 8;
    case 0xF0:
        return 3;
    case 0xFE:
        return 1;
    default:
        return c >= 0xF1 && c <= 0xFD ? 0 : -1;
    }
}

// Reads what follows the size of the previous entry, `left` bytes at `p`; returns its length, or 0.
static uint64_t read_content(const unsigned char *p, uint64_t left, struct listpack_entry *entry)
{
    if (left == 0) return 0;
    unsigned char c = p[0];
    uint64_t head = c < 0x40 ? 1 : c < 0x80 ? 2 : c < 0xC0 ? 5 : 1;
    if (left < head) return 0;
    if (c < 0xC0) {
        uint64_t len = c & 0x3f;
        if (head == 2) len = len << 8 | p[1];
        if (head == 5)
            len = (uint64_t)p[1] << 24 | (uint64_t)p[2] << 16 | (uint64_t)p[3] << 8 | p[4];
        if (left - head < len) return 0;
        entry->text = bytes_of(p + head, len);
        return head + len;
    }
    int bytes = integer_bytes(c);
    if (bytes < 0 || left - head < (uint64_t)bytes) return 0;
    entry->text = bytes_of(NULL, 0);
    if (bytes == 0) {
        entry->number = c - 0xF1;
    } else {
        uint64_t sign = (uint64_t)1 << (8 * bytes - 1);
        entry->number = (int64_t)((little(p + 1, bytes) ^ sign) - sign);
    }
    return head + (uint64_t)bytes;
}

static enum pack_next ziplist_end(struct ziplist_reader *r)
{
    bool last = r->at + 1 == r->len;
    bool counted = r->count == ZL_COUNT_UNKNOWN || r->count == r->seen;
    bool tail = r->seen == 0 || r->tail == r->at - r->previous;
    return last && counted && tail ? PACK_END : PACK_CORRUPT;
}

enum pack_next ziplist_reader_next(struct ziplist_reader *r, struct listpack_entry *entry)
{
    if (r->at == 0) return PACK_CORRUPT; // never begun, or found corrupt
    const unsigned char *p = r->data + r->at;
    uint64_t left = r->len - r->at; // at least 1: the end is beyond every entry
    uint64_t head = *p == ZL_LONG_PREVIOUS ? 5 : 1;
    if (*p == ZL_END) {
        if (ziplist_end(r) == PACK_END) return PACK_END;
    } else if (left > head) {
        uint64_t previous = head == 1 ? *p : little(p + 1, 4);
        uint64_t content = read_content(p + head, left - head - 1, entry);
        if (content > 0 && previous == r->previous) {
            r->previous = head + content;
            r->at += head + content;
            r->seen++;
            return PACK_ENTRY;
        }
    }
    r->at = 0;
    return PACK_CORRUPT;
}

// ---- zipmap -----------------------------------------------------------------------------------
//
//     u8 count | (length, field, length, u8 unused, value, unused bytes) ... | FF
//     length: 1 byte, or 254 and 4 bytes little-endian

bool zipmap_reader_begin(struct zipmap_reader *r, struct bytes blob)
{
    *r = (struct zipmap_reader){.data = (const unsigned char *)blob.data, .len = blob.len};
    if (blob.len < 2 || r->data[blob.len - 1] != ZM_END) return false;
    r->count = r->data[0];
    r->at = 1;
    return true;
}

// A length, `spare` bytes of which the first is how many more go unused after the string, and the
// string; moves `at` behind it all.
static bool zipmap_string(struct zipmap_reader *r, size_t spare, struct bytes *text)
{
    uint64_t left = r->len - 1 - r->at; // without the end
    const unsigned char *p = r->data + r->at;
    if (left == 0 || *p == ZM_END) return false;
    uint64_t head = *p == ZM_LONG ? 5 : 1;
    if (left < head + spare) return false;
    uint64_t len = head == 1 ? *p : little(p + 1, 4);
    uint64_t unused = spare ? p[head] : 0;
    if (left - head - spare < len + unused) return false;
    *text = bytes_of(p + head + spare, len);
    r->at += head + spare + len + unused;
    return true;
}

enum pack_next zipmap_reader_next(struct zipmap_reader *r, struct bytes *field, struct bytes *value)
{
    if (r->at == 0) return PACK_CORRUPT;
    if (r->data[r->at] == ZM_END) {
        bool counted = r->count >= ZM_LONG || r->count == r->seen;
        if (r->at + 1 == r->len && counted) return PACK_END;
    } else if (zipmap_string(r, 0, field) && zipmap_string(r, 1, value)) {
        r->seen++;
        return PACK_ENTRY;
    }
    r->at = 0;
    return PACK_CORRUPT;
}
