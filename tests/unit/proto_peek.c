// A look at requests that are not parsed yet, beside the parser itself.
#include "proto/command_line.h"
#include "proto/peek.h"
#include "proto/request.h"

#include <criterion/criterion.h>

static void expect_nothing(const char *text)
{
    struct bytes first;
    cr_assert_eq(request_peek(bytes_from_cstr(text), &first), 0, "'%s'", text);
    cr_assert_eq(first.len, 0);
}

Test(peek, agrees_with_the_parser_and_wants_all_of_it)
{
    struct buf out = BUF_EMPTY;
    request_appendf(&out, "SET %s %s", "key:17", "");
    request_appendf(&out, "PING");
    request_append(&out, 2, (struct bytes[]){BYTES("GET"), BYTES("\r\n$1\r\n")});
    struct request_parser p;
    request_parser_init(&p);
    struct bytes input = buf_view(&out), first;
    while (input.len > 0) {
        struct bytes whole = input;
        cr_assert_eq(request_parse(&p, &input, NULL), REQUEST_READY);
        size_t len = whole.len - input.len;
        cr_assert_eq(request_peek(whole, &first), len);
        if (p.request.argc > 1)
            cr_assert(bytes_equal(first, str_view(p.request.argv[1])));
        else
            cr_assert_eq(first.len, 0);
        for (size_t cut = 0; cut < len; cut++)
            cr_assert_eq(request_peek(bytes_of(whole.data, cut), &first), 0, "cut at %zu", cut);
    }
    request_parser_free(&p);
    buf_free(&out);
}

Test(peek, leaves_to_the_parser_what_is_odd)
{
    expect_nothing("PING\r\n");
    expect_nothing("\r\n*1\r\n$4\r\nPING\r\n");
    expect_nothing("*0\r\n");
    expect_nothing("*-1\r\n");
    expect_nothing("*1\n$4\nPING\n");
    expect_nothing("*1\r\n$-1\r\n");
    expect_nothing("*2\r\n$4\r\nPING\r\n:1\r\n");
    expect_nothing("*2\r\n$99999999999999999999\r\n");
    expect_nothing("*999999999\r\n$4\r\nPING\r\n");
    expect_nothing(
        "*9\r\n$1\r\na\r\n$1\r\na\r\n$1\r\na\r\n$1\r\na\r\n$1\r\na\r\n$1\r\na\r\n$1\r\na\r\n"
        "$1\r\na\r\n$1\r\na\r\n");
}
