// maxmemory: keys go until the memory fits again.
//
// One call takes at most EVICT_SLICE_US; what is left is a job's, and meanwhile commands run, as
// with Redis's maxmemory-eviction-tenacity. Large values are freed in slices after their key has
// gone, so that while anything is being freed nothing more is evicted.
#include "base/mem.h"
#include "node/ctx_impl.h"
#include "node/notify.h"
#include "store/access.h"

enum {
    EVICT_SLICE_US = 500,
    EVICT_LOOK_EVERY = 8,   // evictions between two looks at the clock
    EVICT_TRIES = 16,       // candidates that a snapshot still owes, before giving up
    EVICT_COUNT_US = 10000, // how old the count may be to evict by it
};

struct evictor {
    struct node *node;
    struct job job;
    // The allocator's whole count costs microseconds, so it is taken a few times a second, and what
    // this thread allocated and freed since is added.
    struct mem_thread thread;
    bool counts;
    uint64_t base_bytes, base_mark, base_us; // when it was counted
};

enum verdict { FITS, RUNNING, FAILED };

static enum verdict evict(struct node *n);

static enum job_state evict_step(struct job *job, struct budget *budget)
{
    struct evictor *e = list_entry(job, struct evictor, job);
    (void)budget; // evict minds the clock itself
    return evict(e->node) == RUNNING ? JOB_MORE : JOB_IDLE;
}

static void measure(struct evictor *e)
{
    e->base_bytes = mem_used_bytes();
    e->base_mark = e->counts ? mem_thread_bytes(&e->thread) : 0;
    e->base_us = loop_now_us(e->node->loop);
}

static struct evictor *get(struct node *n)
{
    if (n->evictor != NULL) return n->evictor;
    struct evictor *e = n->evictor = mem_new(struct evictor);
    e->node = n;
    job_init(&e->job, "evict", evict_step);
    e->counts = mem_thread_init(&e->thread);
    measure(e);
    return e;
}

void evict_free(struct node *n)
{
    if (n->evictor == NULL) return;
    job_stop(n->loop, &n->evictor->job);
    mem_free(n->evictor);
    n->evictor = NULL;
}

// ---- how much is used ---------------------------------------------------------------------------

// Bytes that count against maxmemory. What replicas alone keep in memory does not: evicting for it
// would feed them yet more.
static uint64_t used_bytes(struct evictor *e)
{
    if (!e->counts) measure(e);
    uint64_t used = e->base_bytes;
    if (e->counts) used += mem_thread_bytes(&e->thread) - e->base_mark;
    size_t beyond = 0;
    repl_memory(e->node, &beyond);
    return used > beyond ? used - beyond : 0;
}

static bool over(struct evictor *e)
{
    return used_bytes(e) > (uint64_t)e->node->config.maxmemory;
}

// ---- one key ------------------------------------------------------------------------------------

static struct entry *candidate(struct node *n, int *db)
{
    static const struct {
        enum evict_by by;
        bool volatile_only;
    } rows[] = {
        [POLICY_ALLKEYS_LRU] = {EVICT_LRU, false},
        [POLICY_VOLATILE_LRU] = {EVICT_LRU, true},
        [POLICY_ALLKEYS_LFU] = {EVICT_LFU, false},
        [POLICY_VOLATILE_LFU] = {EVICT_LFU, true},
        [POLICY_ALLKEYS_RANDOM] = {EVICT_RANDOM, false},
        [POLICY_VOLATILE_RANDOM] = {EVICT_RANDOM, true},
        [POLICY_VOLATILE_TTL] = {EVICT_TTL, true},
    };
    enum maxmemory_policy policy = n->config.maxmemory_policy;
    for (int i = 0; i < EVICT_TRIES; i++) {
        struct entry *e =
            store_evict_candidate(&n->store, rows[policy].by, rows[policy].volatile_only,
                                  n->config.maxmemory_samples, db);
        if (e == NULL) return NULL;
        if (store_before_write(&n->store, *db, entry_key(e), NULL) == WRITE_NOW) return e;
    }
    return NULL;
}

static void evict_entry(struct node *n, int db, struct entry *e)
{
    struct str *key = str_from(entry_key(e));
    struct bytes argv[2] = {n->config.lazyfree_lazy_eviction ? BYTES("UNLINK") : BYTES("DEL"),
                            str_view(key)};
    uint64_t began_us = loop_clock_us(n->loop);
    db_delete(&n->store, store_db(&n->store, db), e);
    latency_note(n, "eviction-del", (loop_clock_us(n->loop) - began_us) / 1000);
    n->stats.evicted_keys++;
    node_key_changed(n, db, str_view(key));
    node_notify(n, NOTIFY_EVICTED, "evicted", str_view(key), db);
    node_propagate(n, db, 2, argv);
    blocking_key_deleted(n, db, str_view(key));
    str_free(key);
}

// ---- until it fits ------------------------------------------------------------------------------

static bool may_evict(const struct node *n)
{
    if (n->config.maxmemory == 0 || n->loading) return false;
    if (repl_is_replica(n) && n->config.replica_ignore_maxmemory) return false;
    return !pause_expiry(n);
}

static enum verdict evict(struct node *n)
{
    if (!may_evict(n)) return FITS;
    struct evictor *e = get(n);
    if (!over(e)) return FITS;
    if (loop_now_us(n->loop) - e->base_us > EVICT_COUNT_US) measure(e);
    if (!over(e)) return FITS;
    if (n->config.maxmemory_policy == POLICY_NOEVICTION) return FAILED;
    uint64_t began_us = loop_clock_us(n->loop);
    enum verdict verdict = RUNNING;
    for (int done = 1; verdict == RUNNING && n->store.lazyfree_pending == 0; done++) {
        int db;
        struct entry *victim = candidate(n, &db);
        if (victim == NULL) {
            verdict = FAILED;
        } else {
            evict_entry(n, db, victim);
            if (!over(e)) verdict = FITS;
        }
        if (done % EVICT_LOOK_EVERY == 0 && loop_clock_us(n->loop) - began_us > EVICT_SLICE_US)
            break;
    }
    latency_note(n, "eviction-cycle", (loop_clock_us(n->loop) - began_us) / 1000);
    return verdict;
}

bool evict_to_limit(struct node *n)
{
    enum verdict verdict = evict(n);
    if (verdict == RUNNING) job_start(n->loop, &n->evictor->job);
    return verdict != FAILED;
}

void evict_measure(struct node *n)
{
    if (n->config.maxmemory > 0) measure(get(n));
}
