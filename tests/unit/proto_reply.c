// Every reply in RESP2 and RESP3, the deferred ones, and what is counted.
#include "base/chunk.h"
#include "proto/reply.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>

static char *drain(struct chain *out)
{
    char *text = calloc(1, out->len + 1);
    chain_read(out, text, out->len);
    return text;
}

#define EXPECT(call, resp2, resp3)                                                                 \
    do {                                                                                           \
        for (int resp = 2; resp <= 3; resp++) {                                                    \
            struct chain out;                                                                      \
            chain_init(&out);                                                                      \
            struct reply reply = reply_to(&out, resp), *r = &reply;                                \
            call;                                                                                  \
            char *said = drain(&out);                                                              \
            cr_assert_str_eq(said, resp == 2 ? (resp2) : (resp3));                                 \
            free(said);                                                                            \
            chain_free(&out);                                                                      \
            /* A client that wants no replies costs nothing and crashes nothing. */                \
            reply = reply_to(NULL, resp);                                                          \
            call;                                                                                  \
        }                                                                                          \
    } while (0)

Test(reply, scalars)
{
    EXPECT(reply_ok(r), "+OK\r\n", "+OK\r\n");
    EXPECT(reply_status(r, "QUEUED"), "+QUEUED\r\n", "+QUEUED\r\n");
    EXPECT(reply_integer(r, INT64_MIN), ":-9223372036854775808\r\n", ":-9223372036854775808\r\n");
    EXPECT(reply_bool(r, true), ":1\r\n", "#t\r\n");
    EXPECT(reply_bool(r, false), ":0\r\n", "#f\r\n");
    EXPECT(reply_null(r), "$-1\r\n", "_\r\n");
    EXPECT(reply_null_array(r), "*-1\r\n", "_\r\n");
    EXPECT(reply_bulk(r, BYTES("")), "$0\r\n\r\n", "$0\r\n\r\n");
    EXPECT(reply_bulk_cstr(r, NULL), "$-1\r\n", "_\r\n");
    EXPECT(reply_bulk_integer(r, -12), "$3\r\n-12\r\n", "$3\r\n-12\r\n");
    EXPECT(reply_bulkf(r, "%d-%s", 5, "x"), "$3\r\n5-x\r\n", "$3\r\n5-x\r\n");
    EXPECT(reply_double(r, 3.5), "$3\r\n3.5\r\n", ",3.5\r\n");
    EXPECT(reply_double(r, -INFINITY), "$4\r\n-inf\r\n", ",-inf\r\n");
    EXPECT(reply_long_double(r, 10.25L), "$5\r\n10.25\r\n", ",10.25\r\n");
    EXPECT(reply_bignum(r, BYTES("123")), "$3\r\n123\r\n", "(123\r\n");
    EXPECT(reply_verbatim(r, "txt", BYTES("hi")), "$2\r\nhi\r\n", "=6\r\ntxt:hi\r\n");
}

Test(reply, aggregates)
{
    EXPECT(reply_array(r, 3), "*3\r\n", "*3\r\n");
    EXPECT(reply_map(r, 2), "*4\r\n", "%2\r\n");
    EXPECT(reply_set(r, 2), "*2\r\n", "~2\r\n");
    EXPECT(reply_push(r, 3), "*3\r\n", ">3\r\n");
    EXPECT(if (reply_attribute(r, 1)) reply_ok(r), "", "|1\r\n+OK\r\n");
}

static void nested(struct reply *r)
{
    struct reply_deferred outer, inner, dropped;
    reply_status(r, "before");
    reply_begin(r, &outer);
    reply_begin(r, &inner);
    reply_integer(r, 1);
    reply_begin(r, &dropped);
    reply_integer(r, 99);
    reply_drop(r, &dropped);
    reply_integer(r, 2);
    reply_end_map(r, &inner, 1);
    reply_integer(r, 3);
    reply_end_array(r, &outer, 2);
    reply_status(r, "after");
}

Test(reply, deferred)
{
    EXPECT(nested(r), "+before\r\n*2\r\n*2\r\n:1\r\n:2\r\n:3\r\n+after\r\n",
           "+before\r\n*2\r\n%1\r\n:1\r\n:2\r\n:3\r\n+after\r\n");
}

Test(reply, deferred_large_body_is_moved)
{
    struct chain out;
    chain_init(&out);
    struct reply r = reply_to(&out, 3);
    struct reply_deferred d;
    reply_begin(&r, &d);
    for (int i = 0; i < 10000; i++)
        reply_integer(&r, 7);
    reply_end_set(&r, &d, 10000);
    reply_ok(&r);
    cr_assert_eq(out.len, 8 + 40000 + 5);
    char *said = drain(&out);
    cr_assert_eq(strncmp(said, "~10000\r\n:7\r\n", 12), 0);
    cr_assert_str_eq(said + 8 + 40000, "+OK\r\n");
    free(said);
    chain_free(&out);
}

Test(reply, large_bulk_and_status)
{
    char *text = malloc(100001);
    memset(text, 'x', 100000);
    text[100000] = '\0';
    struct chain out;
    chain_init(&out);
    struct reply r = reply_to(&out, 2);
    reply_bulk(&r, bytes_of(text, 100000));
    reply_status(&r, text);
    cr_assert_eq(out.len, 9 + 100000 + 2 + 1 + 100000 + 2);
    chain_free(&out);
    free(text);
}

Test(reply, chunk_is_shared_not_copied)
{
    struct chunk *chunk = chunk_new(16);
    memcpy(chunk->data, "0123456789", 10);
    chunk->len = 10;
    struct chain out, body;
    chain_init(&out);
    chain_init(&body);
    struct reply r = reply_to(&out, 2);
    reply_bulk_chunk(&r, chunk, 2, 5);
    cr_assert_eq(chunk->refs, 2);
    chain_append_chunk(&body, chunk, 0, 3);
    reply_bulk_chain(&r, &body);
    char *said = drain(&out);
    cr_assert_str_eq(said, "$5\r\n23456\r\n$3\r\n012\r\n");
    cr_assert_eq(chunk->refs, 1);
    free(said);
    // Nobody listens: nothing is kept.
    r = reply_to(NULL, 2);
    chain_append_chunk(&body, chunk, 0, 3);
    reply_bulk_chain(&r, &body);
    reply_bulk_chunk(&r, chunk, 2, 5);
    cr_assert_eq(chunk->refs, 1);
    chunk_unref(chunk);
    chain_free(&out);
}

static void note(void *owner, const char *code, struct bytes text)
{
    buf_printf(owner, "%s<%.*s>", code, (int)text.len, text.data);
}

Test(reply, errors)
{
    EXPECT(reply_error(r, "no"), "-ERR no\r\n", "-ERR no\r\n");
    EXPECT(reply_error(r, "-WRONGTYPE not so"), "-WRONGTYPE not so\r\n", "-WRONGTYPE not so\r\n");
    EXPECT(reply_errorf(r, "bad '%s'", "a\r\nb\r\n"), "-ERR bad 'a  b  '\r\n",
           "-ERR bad 'a  b  '\r\n");
    EXPECT(reply_error(r, "ends\r\n"), "-ERR ends\r\n", "-ERR ends\r\n");
}

Test(reply, errors_are_counted)
{
    struct buf noted = BUF_EMPTY;
    struct reply r = reply_to(NULL, 2);
    r.on_error = note;
    r.owner = &noted;
    reply_error(&r, "plain");
    reply_error(&r, "-MOVED 1 host:1");
    reply_error(&r, "-NOSPACE");
    reply_error(&r, "-ACODETHATISFARTOOLONGTOBEACODEATALL x");
    cr_assert_eq(r.errors, 4);
    cr_assert_str_eq(r.error_code, "ERR");
    buf_append_byte(&noted, '\0');
    cr_assert_str_eq(buf_view(&noted).data, "ERR<ERR plain>MOVED<MOVED 1 host:1>ERR<NOSPACE>"
                                            "ERR<ACODETHATISFARTOOLONGTOBEACODEATALL x>");
    buf_free(&noted);
}
