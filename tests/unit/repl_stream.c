// The replication stream: offsets, what the backlog keeps, what readers pin, and who may go on.
#include "repl/stream.h"

#include "base/mem.h"

#include <criterion/criterion.h>
#include <stdio.h>

static struct rng rng;
static struct repl_stream s;

static void begin(void)
{
    rng_seed(&rng, 7);
    repl_stream_init(&s, &rng, 64 * 1024);
}

static void end(void)
{
    repl_stream_free(&s);
}

TestSuite(repl_stream, .init = begin, .fini = end);

// Byte number n of every test's stream is this letter.
static char letter(int64_t n)
{
    return (char)('a' + n % 23);
}

static void append_letters(size_t count)
{
    while (count-- > 0) {
        char c = letter(s.received + 1);
        repl_stream_append(&s, bytes_of(&c, 1));
    }
}

static void receive_letters(size_t count)
{
    while (count-- > 0) {
        char c = letter(s.received + 1);
        repl_stream_receive(&s, bytes_of(&c, 1));
    }
}

// Reads up to `max` and checks every byte by its number.
static size_t read_letters(struct repl_reader *r, size_t max)
{
    struct chain out;
    chain_init(&out);
    int64_t number = r->next;
    size_t taken = repl_reader_take(&s, r, &out, max), seen = 0;
    cr_assert_eq(out.len, taken);
    char c;
    while (chain_read(&out, &c, 1) == 1) {
        cr_assert_eq(c, letter(number), "byte %lld", (long long)number);
        number++;
        seen++;
    }
    cr_assert_eq(seen, taken);
    chain_free(&out);
    return taken;
}

Test(repl_stream, begins_without_a_backlog)
{
    cr_assert_eq(strlen(s.id), REPL_ID_BYTES);
    cr_assert_eq(strspn(s.id2, "0"), REPL_ID_BYTES);
    cr_assert_eq(s.second_offset, -1);
    cr_assert_eq(repl_stream_judge(&s, bytes_from_cstr(s.id), 1), REPL_NOT_IN_BACKLOG);
    repl_stream_activate(&s);
    cr_assert_eq(repl_stream_histlen(&s), 0);
    cr_assert_eq(repl_stream_judge(&s, bytes_from_cstr(s.id), 1), REPL_CONTINUE);
    cr_assert_eq(repl_stream_judge(&s, bytes_from_cstr(s.id), 2), REPL_NOT_IN_BACKLOG);
    cr_assert_eq(repl_stream_judge(&s, BYTES("?"), -1), REPL_OTHER_ID);
}

Test(repl_stream, commands_carry_their_select)
{
    repl_stream_activate(&s);
    struct bytes set[3] = {BYTES("SET"), BYTES("k"), BYTES("")};
    repl_stream_command(&s, 0, 3, set);
    repl_stream_command(&s, 0, 1, set);
    repl_stream_command(&s, -1, 1, set);
    repl_stream_command(&s, 12, 1, set);
    struct repl_reader r = {0};
    repl_reader_open(&s, &r, 1);
    struct chain out;
    chain_init(&out);
    char text[512];
    repl_reader_take(&s, &r, &out, sizeof(text));
    size_t len = chain_read(&out, text, sizeof(text) - 1);
    text[len] = '\0';
    cr_assert_str_eq(text,
                     "*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$0\r\n\r\n"
                     "*1\r\n$3\r\nSET\r\n*1\r\n$3\r\nSET\r\n"
                     "*2\r\n$6\r\nSELECT\r\n$2\r\n12\r\n*1\r\n$3\r\nSET\r\n");
    cr_assert_eq(s.offset, (int64_t)len);
    chain_free(&out);
    repl_reader_close(&r);
}

Test(repl_stream, the_backlog_keeps_its_size_and_at_most_a_chunk_more)
{
    repl_stream_activate(&s);
    for (int i = 0; i < 300; i++) {
        append_letters(1000);
        int64_t held = repl_stream_histlen(&s);
        cr_assert(held <= s.limit + REPL_CHUNK_BYTES);
        cr_assert(s.offset <= s.limit || held >= s.limit);
        cr_assert_eq(s.first + held, s.offset + 1);
    }
    struct bytes id = bytes_from_cstr(s.id);
    cr_assert_eq(repl_stream_judge(&s, id, s.first), REPL_CONTINUE);
    cr_assert_eq(repl_stream_judge(&s, id, s.first - 1), REPL_NOT_IN_BACKLOG);
    struct repl_reader r = {0};
    repl_reader_open(&s, &r, s.first);
    cr_assert_eq(read_letters(&r, SIZE_MAX), (size_t)(s.offset + 1 - s.first));
    repl_reader_close(&r);
}

Test(repl_stream, readers_pin_what_they_have_not_read_and_it_goes_bit_by_bit)
{
    repl_stream_activate(&s);
    struct repl_reader slow = {0}, fast = {0};
    repl_reader_open(&s, &slow, 1);
    repl_reader_open(&s, &fast, 1);
    append_letters(4000000);
    cr_assert_eq(s.first, 1);
    cr_assert_eq(read_letters(&fast, SIZE_MAX), 4000000u);
    cr_assert_eq(read_letters(&slow, 10), 10u);
    cr_assert_eq(s.first, 1);
    repl_reader_close(&slow);
    size_t before = s.block_count;
    repl_stream_trim(&s);
    cr_assert_eq(before - s.block_count, (size_t)REPL_TRIM_CHUNKS);
    for (int i = 0; i < 100; i++)
        repl_stream_trim(&s);
    cr_assert(repl_stream_histlen(&s) <= s.limit + REPL_CHUNK_BYTES);
    append_letters(5);
    cr_assert_eq(read_letters(&fast, SIZE_MAX), 5u);
    repl_reader_close(&fast);
}

Test(repl_stream, what_a_reader_was_given_outlives_the_trimming)
{
    repl_stream_activate(&s);
    struct repl_reader r = {0};
    repl_reader_open(&s, &r, 1);
    append_letters(20000);
    struct chain out;
    chain_init(&out);
    repl_reader_take(&s, &r, &out, SIZE_MAX);
    append_letters(1000000);
    repl_reader_close(&r);
    for (int i = 0; i < 100; i++)
        repl_stream_trim(&s);
    cr_assert(s.first > 20000);
    char c;
    for (int64_t n = 1; chain_read(&out, &c, 1) == 1; n++)
        cr_assert_eq(c, letter(n));
    chain_free(&out);
}

Test(repl_stream, received_bytes_are_seen_once_committed_and_may_be_dropped)
{
    repl_stream_activate(&s);
    struct repl_reader r = {0};
    repl_reader_open(&s, &r, 1);
    receive_letters(100);
    cr_assert_eq(read_letters(&r, SIZE_MAX), 0u);
    repl_stream_commit(&s, 40);
    cr_assert_eq(read_letters(&r, SIZE_MAX), 40u);
    receive_letters(3 * REPL_CHUNK_BYTES);
    repl_stream_drop_received(&s);
    cr_assert_eq(s.received, 40);
    cr_assert_eq(s.block_count, 1u);
    receive_letters(2 * REPL_CHUNK_BYTES);
    repl_stream_commit(&s, s.received);
    cr_assert_eq(read_letters(&r, SIZE_MAX), (size_t)(s.offset - 40));
    // On a chunk's edge, with a reader that stands behind it.
    append_letters((size_t)(REPL_CHUNK_BYTES - s.offset % REPL_CHUNK_BYTES));
    read_letters(&r, SIZE_MAX);
    receive_letters(10);
    repl_stream_drop_received(&s);
    append_letters(10);
    cr_assert_eq(read_letters(&r, SIZE_MAX), 10u);
    repl_reader_close(&r);
}

Test(repl_stream, a_second_history_is_good_up_to_where_it_ended)
{
    repl_stream_activate(&s);
    append_letters(100);
    char old[REPL_ID_BYTES + 1];
    memcpy(old, s.id, sizeof(old));
    repl_stream_shift_id(&s);
    cr_assert_str_neq(s.id, old);
    cr_assert_str_eq(s.id2, old);
    cr_assert_eq(s.second_offset, 101);
    append_letters(50);
    struct bytes id2 = bytes_from_cstr(old);
    cr_assert_eq(repl_stream_judge(&s, id2, 50), REPL_CONTINUE);
    cr_assert_eq(repl_stream_judge(&s, id2, 101), REPL_CONTINUE);
    cr_assert_eq(repl_stream_judge(&s, id2, 102), REPL_AFTER_SECOND);
    cr_assert_eq(repl_stream_judge(&s, bytes_from_cstr(s.id), 151), REPL_CONTINUE);
    repl_stream_new_id(&s);
    cr_assert_eq(repl_stream_judge(&s, id2, 50), REPL_OTHER_ID);
}

Test(repl_stream, another_history_begins_empty_at_its_offset)
{
    repl_stream_activate(&s);
    append_letters(100);
    repl_stream_reset(&s, "0123456789012345678901234567890123456789", 5000);
    cr_assert_eq(s.offset, 5000);
    cr_assert_eq(s.first, 5001);
    cr_assert_eq(repl_stream_histlen(&s), 0);
    struct repl_reader r = {0};
    repl_reader_open(&s, &r, 5001);
    append_letters(3);
    cr_assert_eq(read_letters(&r, 1), 1u);
    struct repl_reader copy = {0};
    repl_reader_copy(&r, &copy);
    cr_assert_eq(read_letters(&copy, 9), 2u);
    cr_assert_eq(read_letters(&r, 9), 2u);
    repl_reader_close(&copy);
    repl_reader_close(&r);
}
