// The sender of a MIGRATE: a job that encodes keys and fills the window. It stops when the window
// is full; `drained` starts it again.
#include "base/mem.h"
#include "migrate/migrate_impl.h"
#include "proto/command_line.h"

#include <stdio.h>

enum { PIECE_BYTES = 16 * 1024 }; // how much of a payload is encoded in one go

static void put_head(struct migrate *m, const struct migrate_key *k, uint64_t payload_bytes,
                     struct chain *out)
{
    int64_t ttl_ms = 0;
    if (k->entry->expire_ms != ENTRY_NO_EXPIRE) {
        ttl_ms = k->entry->expire_ms - loop_unix_ms(m->migrator->host->loop);
        if (ttl_ms < 1) ttl_ms = 1;
    }
    char ttl[24];
    int len = snprintf(ttl, sizeof(ttl), "%lld", (long long)ttl_ms);
    request_write_header(out, m->request.replace ? 5 : 4);
    request_write_arg(out, BYTES("RESTORE"));
    request_write_arg(out, str_view(k->name));
    request_write_arg(out, bytes_of(ttl, (size_t)len));
    request_write_arg_begin(out, payload_bytes);
    m->migrator->stats.payload_bytes += payload_bytes;
}

static void put_tail(struct migrate *m, struct migrate_key *k, struct chain *out)
{
    request_write_arg_end(out);
    if (m->request.replace) request_write_arg(out, BYTES("REPLACE"));
    k->sent = true;
    m->next_key++;
    if (m->first_key_end_bytes == 0) m->first_key_end_bytes = m->written_bytes + out->len;
}

static struct rdb_options options(struct migrate *m)
{
    return m->migrator->host->payload_options(m->migrator->host);
}

static void put_small(struct migrate *m, struct migrate_key *k, struct chain *out)
{
    struct rdb_options how = options(m);
    struct dump_encoder *e = dump_encoder_new(&k->entry->value, &how);
    struct buf payload = BUF_EMPTY;
    while (!dump_encoder_done(e)) {
        char *to = buf_reserve(&payload, PIECE_BYTES);
        buf_commit(&payload, dump_encoder_read(e, to, PIECE_BYTES, NULL));
    }
    dump_encoder_free(e);
    put_head(m, k, buf_len(&payload), out);
    chain_append(out, buf_view(&payload).data, buf_len(&payload));
    buf_free(&payload);
    put_tail(m, k, out);
}

// A piece of a large payload. False when the budget ended first.
static bool put_piece(struct migrate *m, struct chain *out, struct budget *budget)
{
    struct chunk *piece = chunk_new(PIECE_BYTES);
    piece->len = (uint32_t)dump_encoder_read(m->encoder, piece->data, piece->cap, budget);
    chain_append_chunk(out, piece, 0, piece->len);
    bool whole = piece->len == PIECE_BYTES;
    chunk_unref(piece);
    return whole;
}

static bool window_full(struct migrate *m, const struct chain *out)
{
    const struct migrate_host *host = m->migrator->host;
    return conn_queued(m->target->conn) + out->len >= host->window_bytes(host);
}

// A value whose payload may not be sent: it stays, the others go on.
static void skip_too_large(struct migrate *m, struct migrate_key *k, uint64_t most)
{
    migrate_set_result(m, MIGRATE_LIMIT,
                       "the payload of '%.64s' takes %llu bytes, more than the %llu that "
                       "proto-max-bulk-len and proto-max-restore-len allow",
                       k->name->data, (unsigned long long)m->payload_bytes,
                       (unsigned long long)most);
    migrate_release(m, k);
    k->missing = true;
    m->next_key++;
}

// Counts a large value's payload and writes what goes before it. False: the budget ended first, or
// the machine has (*ended).
static bool count_large(struct migrate *m, struct migrate_key *k, struct chain *out,
                        struct budget *budget, bool *ended)
{
    if (m->counter == NULL) {
        m->how = options(m);
        m->counter = dump_counter_new(&k->entry->value, &m->how);
        // What goes before it is not held up by the counting.
        if (out->len > 0) migrate_write(m, out);
        *ended = !migrate_tell(m, COUNTING);
        if (*ended) return false;
    }
    if (!dump_counter_step(m->counter, budget)) return false;
    m->payload_bytes = dump_counter_bytes(m->counter);
    dump_counter_free(m->counter);
    m->counter = NULL;
    uint64_t most = m->migrator->host->payload_max_bytes(m->migrator->host);
    if (m->payload_bytes <= most) {
        put_head(m, k, m->payload_bytes, out);
        m->encoder = dump_encoder_new(&k->entry->value, &m->how);
    } else {
        skip_too_large(m, k, most);
    }
    *ended = !migrate_tell(m, SENDING);
    return !*ended;
}

enum job_state migrate_pump(struct job *job, struct budget *budget)
{
    struct migrate *m = list_entry(job, struct migrate, pump);
    struct chain out;
    enum job_state state = JOB_MORE;
    bool ended = false;
    chain_init(&out);
    for (;;) {
        if (window_full(m, &out)) {
            state = JOB_IDLE; // `drained` starts it again
            break;
        }
        bool fresh = m->counter == NULL && m->encoder == NULL, held = false;
        struct migrate_key *k = fresh ? migrate_next_key(m, &held) : &m->keys[m->next_key];
        if (k == NULL) {
            if (out.len > 0) migrate_write(m, &out);
            migrate_tell(m, held ? HELD_UP : ALL_SENT);
            return JOB_DONE;
        }
        if (fresh && value_is_small(&k->entry->value)) {
            put_small(m, k, &out);
            if (!budget_left(budget, 256)) break;
            continue;
        }
        if (m->encoder == NULL && !count_large(m, k, &out, budget, &ended)) break;
        if (m->encoder == NULL) continue; // it was skipped
        bool whole = put_piece(m, &out, budget);
        if (dump_encoder_done(m->encoder)) {
            dump_encoder_free(m->encoder);
            m->encoder = NULL;
            put_tail(m, k, &out);
        } else if (!whole) {
            break;
        }
    }
    if (ended) {
        chain_free(&out);
        return JOB_DONE;
    }
    if (out.len > 0) migrate_write(m, &out);
    return state;
}

void migrate_stop_sending(struct migrate *m)
{
    job_stop(m->migrator->host->loop, &m->pump);
    if (m->counter != NULL) dump_counter_free(m->counter);
    if (m->encoder != NULL) dump_encoder_free(m->encoder);
    m->counter = NULL;
    m->encoder = NULL;
}
