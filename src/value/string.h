// Strings. Encodings as Redis 7.0 chooses them: a canonical int64 is held as a number ("int"), up
// to 44 bytes that were set whole are "embstr", everything else, and whatever was changed in place,
// is "raw".
#ifndef WHERRY_VALUE_STRING_H
#define WHERRY_VALUE_STRING_H

#include "base/text.h"
#include "value/value.h"

enum { STRING_EMBSTR_MAX_BYTES = 44 };

// ---- making: `v` is uninitialised memory ------------------------------------------------------

void string_init(struct value *v, struct bytes text); // int, embstr or raw
void string_init_int(struct value *v, int64_t number);
// Without looking for a number: what INCRBYFLOAT leaves.
void string_init_text(struct value *v, struct bytes text);
// Takes the heap string over, int, embstr or raw as string_init. Copies nothing.
void string_take(struct value *v, struct str *text);

// ---- reading ----------------------------------------------------------------------------------

// The bytes; a number is written into `scratch`, which must live as long as the view.
struct bytes string_view(const struct value *v, char scratch[TEXT_I64_BYTES]);
size_t string_length(const struct value *v);
// False when it is not a number as INCR understands it (strict decimal int64).
bool string_to_i64(const struct value *v, int64_t *number) __attribute__((warn_unused_result));
bool string_to_long_double(const struct value *v, long double *number)
    __attribute__((warn_unused_result));

// ---- changing in place ------------------------------------------------------------------------

void string_set_int(struct value *v, int64_t number);     // replaces the contents
size_t string_append(struct value *v, struct bytes text); // returns the new length
// Overwrites from `offset`, zero-filling a gap; returns the new length.
size_t string_set_range(struct value *v, size_t offset, struct bytes text);
// Makes it raw and at least `len` bytes long (zero-filled), and returns its bytes for writing
// (SETBIT, BITFIELD). Valid until the next change.
char *string_writable(struct value *v, size_t len);

#endif
