#include "proto/command_line.h"

#include "base/text.h"

#include <stdarg.h>

enum { HEADER_BYTES = TEXT_I64_BYTES + 3 };

// Where a request goes: exactly one of the two is set.
struct sink {
    struct chain *chain;
    struct buf *buf;
};

static void put(struct sink to, const void *data, size_t len)
{
    if (to.chain != NULL)
        chain_append(to.chain, data, len);
    else
        buf_append(to.buf, data, len);
}

static void put_header(struct sink to, char type, uint64_t number)
{
    char header[HEADER_BYTES] = {type};
    size_t len = 1 + text_from_i64(header + 1, (int64_t)number);
    memcpy(header + len, "\r\n", 2);
    put(to, header, len + 2);
}

static void put_arg(struct sink to, struct bytes arg)
{
    put_header(to, '$', arg.len);
    put(to, arg.data, arg.len);
    put(to, "\r\n", 2);
}

static void put_args(struct sink to, int argc, const struct bytes *argv)
{
    put_header(to, '*', (uint64_t)argc);
    for (int i = 0; i < argc; i++)
        put_arg(to, argv[i]);
}

static void put_strs(struct sink to, int argc, struct str *const *argv)
{
    put_header(to, '*', (uint64_t)argc);
    for (int i = 0; i < argc; i++)
        put_arg(to, str_view(argv[i]));
}

static void append_i64(struct buf *word, int64_t number)
{
    char digits[TEXT_I64_BYTES];
    buf_append(word, digits, text_from_i64(digits, number));
}

// `args` is behind a pointer so that what one conversion took is gone for the next.
struct arguments {
    va_list list;
};

static void convert(struct buf *word, char conversion, struct arguments *args)
{
    switch (conversion) {
    case 's':
        buf_append_cstr(word, va_arg(args->list, const char *));
        break;
    case 'b':
        buf_append_bytes(word, va_arg(args->list, struct bytes));
        break;
    case 'd':
        append_i64(word, va_arg(args->list, int));
        break;
    case 'I':
        append_i64(word, va_arg(args->list, int64_t));
        break;
    case 'U':
        buf_printf(word, "%llu", (unsigned long long)va_arg(args->list, uint64_t));
        break;
    default: // "%%", and a mistake in the caller's literal stays visible on the wire
        buf_append_byte(word, (uint8_t)conversion);
    }
}

static void put_format(struct sink to, const char *format, struct arguments *args)
{
    uint64_t words = 1;
    for (const char *at = format; *at != '\0'; at++)
        words += *at == ' ';
    put_header(to, '*', words);
    struct buf word = BUF_EMPTY;
    for (const char *at = format;; at++) {
        if (*at == ' ' || *at == '\0') {
            put_arg(to, buf_view(&word));
            buf_clear(&word);
            if (*at == '\0') break;
        } else if (*at == '%' && at[1] != '\0') {
            convert(&word, *++at, args);
        } else {
            buf_append_byte(&word, (uint8_t)*at);
        }
    }
    buf_free(&word);
}

void request_write(struct chain *out, int argc, const struct bytes *argv)
{
    put_args((struct sink){.chain = out}, argc, argv);
}

void request_write_strs(struct chain *out, int argc, struct str *const *argv)
{
    put_strs((struct sink){.chain = out}, argc, argv);
}

void request_writef(struct chain *out, const char *format, ...)
{
    struct arguments args;
    va_start(args.list, format);
    put_format((struct sink){.chain = out}, format, &args);
    va_end(args.list);
}

void request_append(struct buf *out, int argc, const struct bytes *argv)
{
    put_args((struct sink){.buf = out}, argc, argv);
}

void request_append_strs(struct buf *out, int argc, struct str *const *argv)
{
    put_strs((struct sink){.buf = out}, argc, argv);
}

void request_appendf(struct buf *out, const char *format, ...)
{
    struct arguments args;
    va_start(args.list, format);
    put_format((struct sink){.buf = out}, format, &args);
    va_end(args.list);
}

void request_write_header(struct chain *out, int argc)
{
    put_header((struct sink){.chain = out}, '*', (uint64_t)argc);
}

void request_write_arg(struct chain *out, struct bytes arg)
{
    put_arg((struct sink){.chain = out}, arg);
}

void request_write_arg_begin(struct chain *out, uint64_t len)
{
    put_header((struct sink){.chain = out}, '$', len);
}

void request_write_arg_end(struct chain *out)
{
    chain_append(out, "\r\n", 2);
}

static uint64_t header_bytes(uint64_t number)
{
    char digits[TEXT_I64_BYTES];
    return 3 + text_from_i64(digits, (int64_t)number);
}

uint64_t request_wire_bytes(int argc, const struct bytes *argv)
{
    uint64_t bytes = header_bytes((uint64_t)argc);
    for (int i = 0; i < argc; i++)
        bytes += header_bytes(argv[i].len) + argv[i].len + 2;
    return bytes;
}
