// Bytes of a peer through the reply reader, the handshake lines and the config parser.
#include "proto/config_file.h"
#include "proto/lines.h"
#include "proto/reader.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_replies(struct bytes all, size_t piece)
{
    struct reader r;
    reader_init(&r);
    r.max_items = 4096;
    enum reader_state state = READER_NEED_MORE;
    while (all.len > 0 && state != READER_FAILED) {
        size_t part = all.len < piece ? all.len : piece;
        if (!reader_feed(&r, bytes_of(all.data, part), NULL)) break;
        all = bytes_of(all.data + part, all.len - part);
        struct reader_value *v;
        while ((state = reader_next(&r, &v, NULL)) == READER_REPLY)
            reader_value_free(v);
    }
    reader_free(&r);
}

static void read_lines(struct bytes all)
{
    struct line_reader l;
    line_reader_init(&l);
    struct bytes line;
    struct psync_reply psync;
    struct payload_header payload;
    while (line_read(&l, &all, &line, NULL) == LINE_READY) {
        line_parse_psync(line, &psync);
        if (!line_parse_payload(line, &payload, NULL)) continue;
    }
    line_reader_free(&l);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1) return 0;
    struct bytes input = bytes_of(data + 1, size - 1);
    read_replies(input, 1 + data[0]);
    read_lines(input);
    struct config_file f;
    config_file_init(&f);
    if (!config_file_parse(&f, input, NULL)) config_file_free(&f);
    config_file_free(&f);
    return 0;
}
