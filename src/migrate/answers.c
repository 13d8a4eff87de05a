// What the target of a MIGRATE answers, and how a migration fails.
//
// Ten thousand answers may come in one read, and each deletes a key: a few are taken at a time, the
// rest by a job, while the target is not read from.
#include "migrate/migrate_impl.h"

#include <stdio.h>

enum {
    ANSWERS_BATCH = 64,
    REDIS_BULK_BYTES = 512 << 20, // Redis's default of proto-max-bulk-len
};

// What it has acknowledged is still deleted.
int migrate_over(const struct migrate *m)
{
    return m->deleting > 0 ? SETTLE : DONE;
}

int migrate_io_error(struct migrate *m, const char *doing, const char *why)
{
    migrate_set_result(m, MIGRATE_IO_ERROR, "error or timeout %s target instance: %.120s%s", doing,
                       why,
                       migrate_reply_due(m)
                           ? "; what was sent and not acknowledged stays here and may be there too"
                           : "");
    return migrate_over(m);
}

int migrate_timed_out(struct migrate *m, uint64_t *counter, const char *doing)
{
    char why[48];
    (*counter)++;
    snprintf(why, sizeof(why), "no answer in %lld ms", (long long)m->request.timeout_ms);
    return migrate_io_error(m, doing, why);
}

int migrate_finishing(const struct migrate *m)
{
    return m->failed && m->result.outcome == MIGRATE_LIMIT ? migrate_over(m) : SETTLE;
}

// Nothing is due: more can be sent, once the next key is free, or that was all.
static int after_answers(const struct migrate *m)
{
    return m->next_key < m->request.key_count ? SEND : migrate_finishing(m);
}

static void refused(struct migrate *m, const struct reader_value *reply, const char *about)
{
    migrate_set_result(m, MIGRATE_REFUSED, "Target instance replied with error: %.*s%s",
                       about[0] != '\0' ? 60 : 200, reply->text->data, about);
}

// An answer although all that was sent whole has been answered. An error in the middle of a payload
// is one: a target that takes no argument of that length says so and closes.
static int unasked(struct migrate *m, const struct reader_value *reply)
{
    if (reply->type != READER_ERROR)
        return migrate_io_error(m, "reading from", "an answer that nobody asked for");
    char about[160] = "";
    if (m->encoder != NULL)
        snprintf(about, sizeof(about),
                 "; it came in the middle of '%.64s', a payload of %llu bytes%s",
                 m->keys[m->next_key].name->data, (unsigned long long)m->payload_bytes,
                 m->payload_bytes > REDIS_BULK_BYTES ? " (Redis takes at most 536870912)" : "");
    refused(m, reply, about);
    return migrate_over(m);
}

static int greeted(struct migrate *m, const struct reader_value *reply)
{
    m->greetings--;
    if (reply->type != READER_ERROR) return m->greetings == 0 ? SEND : m->machine.state;
    refused(m, reply, "");
    return migrate_over(m);
}

static int about_key(struct migrate *m, const struct reader_value *reply)
{
    struct migrate_key *k = &m->keys[m->next_reply++];
    if (reply->type == READER_ERROR) {
        refused(m, reply, "");
        migrate_release(m, k);
    } else {
        migrate_acknowledged(m, k);
    }
    if (m->machine.state != REPLY) return m->machine.state;
    return migrate_reply_due(m) ? ACKED : after_answers(m);
}

static int answer(struct migrate *m, const struct reader_value *reply)
{
    if (m->greetings > 0) return greeted(m, reply);
    return migrate_reply_due(m) ? about_key(m, reply) : unasked(m, reply);
}

static void keep_for_later(struct migrate *m, bool left)
{
    if (m->answers_left == left) return;
    m->answers_left = left;
    if (left) {
        conn_pause(m->target->conn);
        job_start(m->migrator->host->loop, &m->answers);
    } else {
        conn_resume(m->target->conn);
    }
}

int migrate_answers(struct migrate *m)
{
    struct error error = ERROR_OK;
    int state = m->machine.state;
    for (int count = 0; count < ANSWERS_BATCH; count++) {
        struct reader_value *reply;
        enum reader_state got = reader_next(&m->target->reader, &reply, &error);
        if (got == READER_FAILED) {
            keep_for_later(m, false); // nothing behind it can be read
            return migrate_io_error(m, "reading from", error.text);
        }
        if (got == READER_NEED_MORE) {
            keep_for_later(m, false);
            return state;
        }
        state = answer(m, reply);
        reader_value_free(reply);
        if (state >= SETTLE) break;
    }
    keep_for_later(m, state < SETTLE);
    return state;
}

enum job_state migrate_answers_step(struct job *job, struct budget *budget)
{
    struct migrate *m = list_entry(job, struct migrate, answers);
    do {
        if (!m->answers_left) return JOB_IDLE;
        if (!migrate_tell(m, ANSWERS)) return JOB_DONE;
    } while (budget_left(budget, 40 * ANSWERS_BATCH));
    return JOB_MORE;
}

int migrate_input(struct migrate *m, struct bytes input)
{
    struct error error = ERROR_OK;
    if (!reader_feed(&m->target->reader, input, &error))
        return migrate_io_error(m, "reading from", error.text);
    return m->answers_left ? m->machine.state : migrate_answers(m);
}
