#include "value/string.h"

static void hold(struct value *v, enum value_encoding encoding, struct str *text)
{
    v->type = VALUE_STRING;
    v->encoding = (uint8_t)encoding;
    v->u.string = text;
}

static enum value_encoding encoding_for(size_t len)
{
    return len <= STRING_EMBSTR_MAX_BYTES ? ENCODING_EMBSTR : ENCODING_RAW;
}

void string_init_int(struct value *v, int64_t number)
{
    v->type = VALUE_STRING;
    v->encoding = ENCODING_INT;
    v->u.integer = number;
}

void string_init_text(struct value *v, struct bytes text)
{
    hold(v, encoding_for(text.len), str_from(text));
}

void string_init(struct value *v, struct bytes text)
{
    int64_t number;
    if (text.len < TEXT_I64_BYTES && text_to_i64(text, &number))
        string_init_int(v, number);
    else
        string_init_text(v, text);
}

void string_take(struct value *v, struct str *text)
{
    int64_t number;
    if (text->len < TEXT_I64_BYTES && text_to_i64(str_view(text), &number)) {
        str_free(text);
        string_init_int(v, number);
        return;
    }
    hold(v, encoding_for(text->len), text);
}

struct bytes string_view(const struct value *v, char scratch[TEXT_I64_BYTES])
{
    if (v->encoding != ENCODING_INT) return str_view(v->u.string);
    return bytes_of(scratch, text_from_i64(scratch, v->u.integer));
}

size_t string_length(const struct value *v)
{
    char scratch[TEXT_I64_BYTES];
    return string_view(v, scratch).len;
}

bool string_to_i64(const struct value *v, int64_t *number)
{
    if (v->encoding != ENCODING_INT) return text_to_i64(str_view(v->u.string), number);
    *number = v->u.integer;
    return true;
}

bool string_to_long_double(const struct value *v, long double *number)
{
    if (v->encoding != ENCODING_INT) return text_to_long_double(str_view(v->u.string), number);
    *number = (long double)v->u.integer;
    return true;
}

void string_set_int(struct value *v, int64_t number)
{
    if (v->encoding != ENCODING_INT) str_free(v->u.string);
    string_init_int(v, number);
}

static void make_raw(struct value *v)
{
    char scratch[TEXT_I64_BYTES];
    if (v->encoding == ENCODING_INT) hold(v, ENCODING_RAW, str_from(string_view(v, scratch)));
    v->encoding = ENCODING_RAW;
}

size_t string_append(struct value *v, struct bytes text)
{
    make_raw(v);
    v->u.string = str_append(v->u.string, text);
    return v->u.string->len;
}

char *string_writable(struct value *v, size_t len)
{
    make_raw(v);
    if (v->u.string->len < len) v->u.string = str_resize(v->u.string, len);
    return v->u.string->data;
}

size_t string_set_range(struct value *v, size_t offset, struct bytes text)
{
    char *data = string_writable(v, offset + text.len);
    if (text.len) memcpy(data + offset, text.data, text.len);
    return v->u.string->len;
}
