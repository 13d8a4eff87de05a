#include "command/sort_impl.h"

#include "base/text.h"
#include "value/hash.h"
#include "value/string.h"

// The part behind "->", where one follows the '*' and is not empty; data NULL: none.
static struct bytes field_of(struct bytes pattern, size_t star)
{
    for (size_t i = star + 1; i + 2 < pattern.len; i++)
        if (pattern.data[i] == '-' && pattern.data[i + 1] == '>')
            return bytes_of(pattern.data + i + 2, pattern.len - i - 2);
    return bytes_of(NULL, 0);
}

static struct str *copy_found(struct entry *e, struct bytes field)
{
    char scratch[TEXT_I64_BYTES];
    struct bytes found;
    if (field.data == NULL)
        return e->value.type == VALUE_STRING ? str_from(string_view(&e->value, scratch)) : NULL;
    if (e->value.type != VALUE_HASH || !hash_get(&e->value, field, &found, scratch)) return NULL;
    return str_from(found);
}

struct str *sort_lookup(struct ctx *c, struct bytes pattern, struct bytes element)
{
    if (bytes_equal(pattern, BYTES("#"))) return str_from(element);
    const char *at = memchr(pattern.data, '*', pattern.len);
    if (at == NULL) return NULL;
    size_t star = (size_t)(at - pattern.data);
    struct bytes field = field_of(pattern, star);
    size_t end = field.data ? (size_t)(field.data - pattern.data) - 2 : pattern.len;
    struct buf key = BUF_EMPTY;
    buf_append(&key, pattern.data, star);
    buf_append_bytes(&key, element);
    buf_append(&key, at + 1, end - star - 1);
    struct entry *e = ctx_find_read(c, buf_view(&key));
    buf_free(&key);
    return e ? copy_found(e, field) : NULL;
}
