// A list of small strings and integers packed into one block, in the layout that RDB stores
// verbatim ("Listpack specification", antirez/listpack; Redis 7.0 listpack.h):
//
//   u32 total bytes | u16 count (65535: unknown) | entries | 0xFF
//   entry: encoding and data | back length, so that the list can be walked from its end
//
// A listpack is an unsigned char * owned by whoever holds it. Writing may move it: use what comes
// back. Positions (`at`) point to an entry and are valid until the next write. NULL is "no entry".
// A string that is a canonical int64 is stored as an integer, and read back the same.
//
// All functions but listpack_reader_* and listpack_validate trust the listpack: bytes from outside
// go through listpack_validate with `deep` first.
#ifndef WHERRY_VALUE_LISTPACK_H
#define WHERRY_VALUE_LISTPACK_H

#include "base/bytes.h"
#include "base/rng.h"
#include "base/text.h"

enum {
    LISTPACK_HEADER_BYTES = 6,
    LISTPACK_EMPTY_BYTES = 7,
    LISTPACK_COUNT_UNKNOWN = 65535,
};
// Beyond this, containers change their encoding rather than grow the block (as Redis does).
#define LISTPACK_SAFE_BYTES ((size_t)1 << 30)

// What an entry holds: a number when text.data is NULL, else a view into the listpack.
struct listpack_entry {
    struct bytes text;
    int64_t number;
};

unsigned char *listpack_new(size_t capacity); // room for `capacity` bytes at first; 0 is fine
void listpack_free(unsigned char *lp);        // NULL is fine
unsigned char *listpack_copy(const unsigned char *lp);
// A copy of bytes that were validated; NULL when memory is not to be had.
unsigned char *listpack_from(struct bytes blob);
static inline size_t listpack_bytes(const unsigned char *lp)
{
    return (size_t)lp[0] | (size_t)lp[1] << 8 | (size_t)lp[2] << 16 | (size_t)lp[3] << 24;
}
static inline struct bytes listpack_view(const unsigned char *lp)
{
    return bytes_of(lp, listpack_bytes(lp));
}
uint64_t listpack_count(const unsigned char *lp); // constant time below 65535 entries
// Bytes that an entry for this text would take.
size_t listpack_entry_bytes(struct bytes text);
size_t listpack_number_bytes(int64_t number);
// Whether `more` bytes can be added and the size stay safe. lp may be NULL.
bool listpack_safe_to_add(const unsigned char *lp, size_t more);

// ---- writing --------------------------------------------------------------------------------

#define LISTPACK_WRITES __attribute__((warn_unused_result, returns_nonnull))
unsigned char *listpack_append(unsigned char *lp, struct bytes text) LISTPACK_WRITES;
unsigned char *listpack_append_number(unsigned char *lp, int64_t number) LISTPACK_WRITES;
unsigned char *listpack_prepend(unsigned char *lp, struct bytes text) LISTPACK_WRITES;
unsigned char *listpack_prepend_number(unsigned char *lp, int64_t number) LISTPACK_WRITES;
// Before the entry at `at`, or at the end when `at` is NULL. *placed (may be NULL) is the new
// entry.
unsigned char *listpack_insert(unsigned char *lp, unsigned char *at, struct bytes text,
                               unsigned char **placed) LISTPACK_WRITES;
unsigned char *listpack_insert_number(unsigned char *lp, unsigned char *at, int64_t number,
                                      unsigned char **placed) LISTPACK_WRITES;
// In: *at is the entry; out: the same entry, at its new address.
unsigned char *listpack_replace(unsigned char *lp, unsigned char **at,
                                struct bytes text) LISTPACK_WRITES;
unsigned char *listpack_replace_number(unsigned char *lp, unsigned char **at,
                                       int64_t number) LISTPACK_WRITES;
// In: *at is the first of `count` entries; out: the entry after them, NULL if they were the last.
unsigned char *listpack_delete(unsigned char *lp, unsigned char **at,
                               uint64_t count) LISTPACK_WRITES;
// By index (negative: from the end); what is beyond the end is not there to delete.
unsigned char *listpack_delete_range(unsigned char *lp, int64_t index,
                                     uint64_t count) LISTPACK_WRITES;
// All entries of `other` (which is left as it is) after those of `lp`.
unsigned char *listpack_concat(unsigned char *lp, const unsigned char *other) LISTPACK_WRITES;

// ---- reading --------------------------------------------------------------------------------

unsigned char *listpack_first(const unsigned char *lp);
unsigned char *listpack_last(const unsigned char *lp);
unsigned char *listpack_next(const unsigned char *lp, const unsigned char *at);
unsigned char *listpack_prev(const unsigned char *lp, const unsigned char *at);
// The index-th entry; negative counts from the end, -1 being the last. Walks from the nearer end.
unsigned char *listpack_seek(const unsigned char *lp, int64_t index);
struct listpack_entry listpack_get(const unsigned char *at);
// The entry as text; integers are written into `scratch`, which must live as long as the view.
struct bytes listpack_text(const unsigned char *at, char scratch[TEXT_I64_BYTES]);
bool listpack_equals(const unsigned char *at, struct bytes text);
// The first entry equal to `text` from `from` on, looking at one, passing over `skip`, and so on:
// skip 1 looks at the fields of field-value pairs.
unsigned char *listpack_find(const unsigned char *lp, const unsigned char *from, struct bytes text,
                             unsigned skip);
// A random entry whose index is a multiple of `stride` (2: a field); NULL when there is none.
unsigned char *listpack_random(const unsigned char *lp, unsigned stride, struct rng *rng);
struct bytes listpack_entry_text(struct listpack_entry entry, char scratch[TEXT_I64_BYTES]);

// ---- bytes that cannot be trusted -------------------------------------------------------------

enum pack_next {
    PACK_ENTRY,   // there is one
    PACK_END,     // no more, and everything was in order, counts included
    PACK_CORRUPT, // and it stays so
};
struct listpack_reader {
    const unsigned char *data;
    size_t len, at;
    uint64_t seen;
};
// False when the header is wrong. One entry at a time, so a long one can be read in pieces.
bool listpack_reader_begin(struct listpack_reader *r, struct bytes blob);
enum pack_next listpack_reader_next(struct listpack_reader *r, struct listpack_entry *entry);

// Whether `blob` is a listpack and all of it is used: header and end always, every entry with
// `deep`. `check` (may be NULL) sees each entry in order and refuses by returning false.
typedef bool listpack_check(void *arg, const struct listpack_entry *entry, uint64_t index);
bool listpack_validate(struct bytes blob, bool deep, listpack_check *check, void *arg);

// Whether no two entries whose index is a multiple of `stride` are the same text, in a listpack
// that was validated: 2 for the fields of pairs. Linear; `seed` keys the hash that it is done with.
bool listpack_unique(const unsigned char *lp, unsigned stride, uint64_t seed);

#endif
