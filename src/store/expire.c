#include "store/expire.h"

#include "value/dict.h"

// Below one in ten that is over, memory is well enough used and the cycle rests, as Redis does
// (active-expire-effort 1). Judged by no fewer than this many.
enum { EXPIRE_JUDGED_BY = 20, EXPIRE_STALE_PERCENT = 10, ENTRY_UNITS = 4 };

struct cycle {
    int64_t now_ms;
    uint32_t seen, over;
    int64_t ttl_sum_ms;
    int db_index;
    struct buf key; // a copy: the entry goes inside the callback
    void (*expired)(void *arg, int db_index, struct bytes key);
    void *arg;
};

static void visit(void *arg, void *item)
{
    struct cycle *c = arg;
    const struct entry *e = item;
    c->seen++;
    if (!entry_expired(e, c->now_ms)) {
        c->ttl_sum_ms += e->expire_ms - c->now_ms;
        return;
    }
    if (e->holds > 0) return;
    c->over++;
    buf_clear(&c->key);
    buf_append_bytes(&c->key, entry_key(e));
    c->expired(c->arg, c->db_index, buf_view(&c->key));
}

// A moving average with the weight of Redis's: 2% for what was just seen.
static void learn_ttl(struct db *db, const struct cycle *c)
{
    uint32_t alive = c->seen - c->over;
    if (alive == 0) return;
    int64_t average = c->ttl_sum_ms / alive;
    if (db->avg_ttl_ms == 0) db->avg_ttl_ms = average;
    db->avg_ttl_ms += (average - db->avg_ttl_ms) / 50;
}

bool store_expire_cycle(struct store *s, int db_index, int64_t now_ms, struct budget *budget,
                        void (*expired)(void *arg, int db_index, struct bytes key), void *arg)
{
    struct db *db = store_db(s, db_index);
    if (s->frozen) return false;
    if (dict_count(db->expires) == 0) {
        db->expire_cursor = 0;
        db->avg_ttl_ms = 0;
        return false;
    }
    struct cycle c = {.now_ms = now_ms, .db_index = db_index, .expired = expired, .arg = arg};
    bool more = true;
    uint32_t judged = 0, judged_over = 0;
    while (more && budget_left(budget, ENTRY_UNITS)) {
        uint32_t before = c.seen;
        db->expire_cursor = dict_scan(db->expires, db->expire_cursor, visit, &c);
        if (c.seen > before && !budget_left(budget, (c.seen - before) * ENTRY_UNITS)) break;
        if (db->expire_cursor == 0) more = false;
        if (c.seen - judged < EXPIRE_JUDGED_BY) continue;
        if ((c.over - judged_over) * 100 <= (c.seen - judged) * EXPIRE_STALE_PERCENT) more = false;
        judged = c.seen;
        judged_over = c.over;
    }
    learn_ttl(db, &c);
    buf_free(&c.key);
    return more;
}
