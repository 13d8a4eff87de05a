// Requests as we write them, and read back by our own parser.
#include "proto/command_line.h"
#include "proto/request.h"

#include <criterion/criterion.h>
#include <stdlib.h>

static void expect(struct chain *out, const char *wire)
{
    char *text = calloc(1, out->len + 1);
    chain_read(out, text, out->len);
    cr_assert_str_eq(text, wire);
    free(text);
}

Test(command_line, written)
{
    struct chain out;
    chain_init(&out);
    struct bytes argv[] = {BYTES("SET"), BYTES("k"), BYTES("")};
    request_write(&out, 3, argv);
    cr_assert_eq(out.len, request_wire_bytes(3, argv));
    expect(&out, "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$0\r\n\r\n");

    struct str *strs[] = {str_from(BYTES("PING"))};
    request_write_strs(&out, 1, strs);
    str_free(strs[0]);
    expect(&out, "*1\r\n$4\r\nPING\r\n");

    request_writef(&out, "REPLCONF %s %b ack:%I-%d%% %U", "a b", BYTES("c d"), (int64_t)-1, 7,
                   UINT64_MAX);
    expect(&out, "*5\r\n$8\r\nREPLCONF\r\n$3\r\na b\r\n$3\r\nc d\r\n$9\r\nack:-1-7%\r\n"
                 "$20\r\n18446744073709551615\r\n");
    request_writef(&out, "AUTH %s", "");
    expect(&out, "*2\r\n$4\r\nAUTH\r\n$0\r\n\r\n");

    request_write_header(&out, 2);
    request_write_arg(&out, BYTES("X"));
    request_write_arg_begin(&out, 3);
    chain_append(&out, "abc", 3);
    request_write_arg_end(&out);
    expect(&out, "*2\r\n$1\r\nX\r\n$3\r\nabc\r\n");
}

Test(command_line, comes_back)
{
    struct buf out = BUF_EMPTY;
    request_append(&out, 2, (struct bytes[]){BYTES("a\r\nb"), BYTES("\0\xff")});
    request_appendf(&out, "SELECT %d", 3);
    struct request_parser p;
    request_parser_init(&p);
    struct bytes input = buf_view(&out);
    cr_assert_eq(request_parse(&p, &input, NULL), REQUEST_READY);
    cr_assert(bytes_equal(str_view(p.request.argv[0]), BYTES("a\r\nb")));
    cr_assert(bytes_equal(str_view(p.request.argv[1]), BYTES("\0\xff")));
    struct request first = request_take(&p);
    cr_assert_eq(request_parse(&p, &input, NULL), REQUEST_READY);
    cr_assert(bytes_equal(str_view(p.request.argv[1]), BYTES("3")));
    request_append_strs(&out, first.argc, first.argv);
    request_clear(&first);
    request_parser_free(&p);
    buf_free(&out);
}
