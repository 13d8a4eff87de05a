// DEBUG DIGEST over a whole dataset: a job that walks every key while writes wait.
#include "base/mem.h"
#include "node/digest.h"
#include "node/parts.h"
#include "node/pause.h"
#include "value/dict.h"

#include <arpa/inet.h>

struct digest_job {
    struct suspension suspension;
    struct job job;
    struct node *node;
    struct digest total;
    int db;
    bool in_db;
    struct dict_iter keys;
    struct entry *held; // being digested
    struct digest_value value;
};

static void finish(struct digest_job *d)
{
    struct node *n = d->node;
    if (d->held != NULL) {
        digest_value_end(&d->value);
        store_release(&n->store, d->db, d->held);
    }
    if (d->in_db) dict_iter_end(&d->keys);
    pause_end(n, PAUSE_DIGEST);
    mem_free(d);
}

static void enter_db(struct digest_job *d, struct db *db)
{
    uint32_t number = htonl((uint32_t)d->db);
    digest_mix(&d->total, bytes_of(&number, sizeof(number)));
    dict_iter_begin(&d->keys, db->keys);
    d->in_db = true;
}

static void begin_key(struct digest_job *d, struct entry *e)
{
    struct digest seed = {{0}};
    digest_mix(&seed, entry_key(e));
    digest_value_begin(&d->value, e, &seed);
    store_hold(&d->node->store, d->db, e);
    d->held = e;
}

static void end_key(struct digest_job *d)
{
    digest_xor(&d->total, bytes_of(d->value.digest.bytes, DIGEST_BYTES));
    store_release(&d->node->store, d->db, d->held);
    d->held = NULL;
}

// True when all is done; `budget` NULL: in one go.
static bool walk(struct digest_job *d, struct budget *budget)
{
    struct keyspace *live = d->node->store.live;
    while (d->db < live->count) {
        if (!d->in_db) {
            if (dict_count(live->dbs[d->db].keys) > 0)
                enter_db(d, &live->dbs[d->db]);
            else {
                d->db++;
                continue;
            }
        }
        if (d->held == NULL) {
            struct entry *e = dict_iter_next(&d->keys);
            if (e == NULL) {
                dict_iter_end(&d->keys);
                d->in_db = false;
                d->db++;
                continue;
            }
            begin_key(d, e);
        }
        if (!digest_value_step(&d->value, budget)) return false;
        end_key(d);
        if (budget != NULL && !budget_left(budget, 64)) return false;
    }
    return true;
}

static enum job_state step(struct job *job, struct budget *budget)
{
    struct digest_job *d = list_entry(job, struct digest_job, job);
    if (!walk(d, budget)) return JOB_MORE;
    char hex[2 * DIGEST_BYTES + 1] = "";
    digest_hex(&d->total, hex);
    reply_status(client_reply(d->suspension.client), hex);
    client_resume(&d->suspension);
    finish(d);
    return JOB_DONE;
}

static void gone(struct suspension *s)
{
    struct digest_job *d = list_entry(s, struct digest_job, suspension);
    job_stop(d->node->loop, &d->job);
    finish(d);
}

void digest_dataset_command(struct ctx *c)
{
    struct digest_job *d = mem_new(struct digest_job);
    d->node = c->node;
    d->suspension.gone = gone;
    job_init(&d->job, "digest", step);
    if (pause_extent(c->node) == PAUSE_NOTHING && ctx_suspend(c, &d->suspension)) {
        pause_begin(c->node, PAUSE_DIGEST, PAUSE_WRITES, UINT64_MAX);
        job_start(c->node->loop, &d->job);
        return;
    }
    // Inside EXEC nothing else runs: in one go.
    walk(d, NULL);
    char hex[2 * DIGEST_BYTES + 1] = "";
    digest_hex(&d->total, hex);
    reply_status(c->reply, hex);
    mem_free(d);
}

void digest_values_command(struct ctx *c, int first_key)
{
    reply_array(c->reply, (size_t)(c->argc - first_key));
    for (int i = first_key; i < c->argc; i++) {
        char hex[2 * DIGEST_BYTES + 1] = "";
        struct digest_value v = {0};
        struct digest zero = {{0}};
        struct entry *e = db_find(ctx_db(c), ctx_arg(c, i));
        if (e != NULL) {
            digest_value_begin(&v, e, &zero);
            digest_value_step(&v, NULL);
        }
        digest_hex(&v.digest, hex);
        reply_status(c->reply, hex);
    }
}
