// The load of the benchmarks, in C so that it takes little of the machine that is measured:
//
//   load ping PORT...                    a PING at each of the servers every millisecond
//   load fill PORT SHAPE                 the data, as fast as it goes; ends by itself
//   load write PORT SHAPE RATE           writes to it at a steady rate, each answered on its own
//   load lag PRIMARY REPLICA             how long a PUBLISH takes to a subscriber at the replica
//   load slices MS                       the most CPU time that 250 us of looking at the clock take
//
// SHAPE is strings:COUNT:BYTES or hashes:COUNT:FIELDS:BYTES. `--certs FOLDER` in front: over TLS.
// All but `fill` print "ready" and go on until their input ends; then one line of JSON, times in
// microseconds. Values are random text, which LZF does not shorten. `ping` and `lag`, who look at
// the clock, ask the system for short turns: how late they get theirs is no part of what they tell.
#include "link.h"

#include "loop/thread_turn.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/timerfd.h>
#include <unistd.h>

enum {
    LINKS_MAX = 16,
    TICK_US = 1000,
    BUCKET_US = 10,
    BUCKETS = 3000000,     // so up to 30 s; the last one takes what is longer
    OUTSTANDING = 1 << 17, // requests on one connection
    FILL_WINDOW = 10000,
    VALUES_BYTES = 1 << 20,
    FIELDS_AT_ONCE = 100,
};

static uint64_t cpu_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

// ---- times ------------------------------------------------------------------------------------

struct times {
    uint32_t *count; // by BUCKET_US
    uint64_t total, max;
};

static void times_add(struct times *t, uint64_t us)
{
    if (t->count == NULL) t->count = calloc(BUCKETS, sizeof(*t->count));
    uint64_t bucket = us / BUCKET_US;
    t->count[bucket < BUCKETS ? bucket : BUCKETS - 1]++;
    t->total++;
    if (us > t->max) t->max = us;
}

static uint64_t times_at(const struct times *t, double share)
{
    uint64_t seen = 0;
    for (uint64_t i = 0; i < BUCKETS && t->total > 0; i++)
        if ((seen += t->count[i]) >= share * (double)t->total)
            return (i + 1) * BUCKET_US < t->max ? (i + 1) * BUCKET_US : t->max;
    return t->max;
}

static void times_print(const struct times *t)
{
    printf("{\"count\": %llu, \"p50\": %llu, \"p99\": %llu, \"p999\": %llu, \"max\": %llu}",
           (unsigned long long)t->total, (unsigned long long)times_at(t, 0.5),
           (unsigned long long)times_at(t, 0.99), (unsigned long long)times_at(t, 0.999),
           (unsigned long long)t->max);
}

// When each request that has no answer yet was sent, and how long the others took.
struct pending {
    uint64_t *sent;
    uint64_t asked, answered;
    struct times times;
};

static void pending_ask(struct pending *p, uint64_t at_us)
{
    if (p->sent == NULL) p->sent = calloc(OUTSTANDING, sizeof(*p->sent));
    p->sent[p->asked++ % OUTSTANDING] = at_us;
}

static bool pending_full(const struct pending *p)
{
    return p->asked - p->answered >= OUTSTANDING;
}

static void pending_take(struct pending *p, struct link *l)
{
    redisReply *r;
    while ((r = link_reply(l)) != NULL) {
        if (r->type == REDIS_REPLY_ERROR && strncmp(r->str, "LOADING", 7) != 0) die("%s", r->str);
        freeReplyObject(r);
        times_add(&p->times, now_us() - p->sent[p->answered++ % OUTSTANDING]);
    }
}

// ---- data -------------------------------------------------------------------------------------

struct shape {
    bool hashes;
    unsigned count, fields, bytes;
    uint64_t random;
    char *values;
};

static uint64_t next_random(struct shape *s)
{
    s->random ^= s->random << 13;
    s->random ^= s->random >> 7;
    s->random ^= s->random << 17;
    return s->random;
}

static struct shape shape_parse(const char *text)
{
    struct shape s = {.random = 88172645463325252ULL, .values = malloc(VALUES_BYTES * 2)};
    s.hashes = sscanf(text, "hashes:%u:%u:%u", &s.count, &s.fields, &s.bytes) == 3;
    if (!s.hashes && sscanf(text, "strings:%u:%u", &s.count, &s.bytes) != 2)
        die("'%s' is no shape", text);
    if (s.bytes > VALUES_BYTES || s.count == 0) die("'%s' is out of range", text);
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (int i = 0; i < VALUES_BYTES * 2; i++)
        s.values[i] = letters[next_random(&s) >> 20 & 63];
    return s;
}

static void put_value(struct link *l, struct shape *s)
{
    char *to = link_room(l, s->bytes + 32);
    int head = sprintf(to, "$%u\r\n", s->bytes);
    memcpy(to + head, s->values + next_random(s) % VALUES_BYTES, s->bytes);
    memcpy(to + head + s->bytes, "\r\n", 2);
    l->len += (size_t)head + s->bytes + 2;
}

// One key, or as many fields of one as go together, from number `at` on; returns the next number.
static uint64_t put_data(struct link *l, struct shape *s, uint64_t at)
{
    char *to = link_room(l, 128);
    if (!s->hashes) {
        l->len +=
            (size_t)sprintf(to, "*3\r\n$3\r\nSET\r\n$12\r\nkey:%08llu\r\n", (unsigned long long)at);
        put_value(l, s);
        return at + 1;
    }
    uint64_t field = at % s->fields, count = s->fields - field;
    if (count > FIELDS_AT_ONCE) count = FIELDS_AT_ONCE;
    l->len +=
        (size_t)sprintf(to, "*%llu\r\n$4\r\nHSET\r\n$13\r\nhash:%08llu\r\n",
                        (unsigned long long)(2 + 2 * count), (unsigned long long)(at / s->fields));
    for (uint64_t i = 0; i < count; i++) {
        to = link_room(l, 64);
        l->len += (size_t)sprintf(to, "$14\r\nfield:%08llu\r\n", (unsigned long long)(field + i));
        put_value(l, s);
    }
    return at + count;
}

// One write to something that is there.
static void put_write(struct link *l, struct shape *s)
{
    uint64_t key = next_random(s) % s->count;
    if (!s->hashes) {
        put_data(l, s, key);
        return;
    }
    char *to = link_room(l, 128);
    l->len +=
        (size_t)sprintf(to, "*4\r\n$4\r\nHSET\r\n$13\r\nhash:%08llu\r\n$14\r\nfield:%08llu\r\n",
                        (unsigned long long)key, (unsigned long long)(next_random(s) % s->fields));
    put_value(l, s);
}

// ---- what all of them do ----------------------------------------------------------------------

static int ticker(void)
{
    int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    struct timespec every = {.tv_nsec = TICK_US * 1000};
    timerfd_settime(fd, 0, &(struct itimerspec){every, every}, NULL);
    prctl(PR_SET_TIMERSLACK, 1000UL);
    printf("ready\n");
    fflush(stdout);
    return fd;
}

static bool ticked(int fd)
{
    uint64_t times;
    return read(fd, &times, sizeof(times)) == sizeof(times);
}

// False when the input has ended. The links' places in `at` come after the input's and the timer's.
static bool wait_for(struct pollfd *at, int timer, struct link *links, int count)
{
    at[0] = (struct pollfd){.fd = 0, .events = POLLIN};
    at[1] = (struct pollfd){.fd = timer, .events = POLLIN};
    for (int i = 0; i < count; i++)
        at[2 + i] = (struct pollfd){.fd = links[i].fd, .events = link_wants(&links[i])};
    poll(at, (nfds_t)(2 + count), -1);
    return at[0].revents == 0;
}

static void ping(int *ports, int count, SSL_CTX *tls)
{
    struct link links[LINKS_MAX];
    struct pending pending[LINKS_MAX] = {0};
    struct pollfd at[LINKS_MAX + 2];
    for (int i = 0; i < count; i++)
        link_open(&links[i], ports[i], tls);
    int timer = ticker();
    while (wait_for(at, timer, links, count)) {
        bool tick = ticked(timer);
        for (int i = 0; i < count; i++) {
            if (tick && !pending_full(&pending[i])) {
                pending_ask(&pending[i], now_us());
                link_put(&links[i], "*1\r\n$4\r\nPING\r\n");
            }
            link_flush(&links[i]);
            pending_take(&pending[i], &links[i]);
        }
    }
    // What has no answer yet took this long at least.
    for (int i = 0; i < count; i++)
        for (uint64_t n = pending[i].answered; n < pending[i].asked; n++)
            times_add(&pending[i].times, now_us() - pending[i].sent[n % OUTSTANDING]);
    for (int i = 0; i < count; i++) {
        printf(i == 0 ? "[" : ", ");
        times_print(&pending[i].times);
        link_close(&links[i]);
    }
    printf("]\n");
}

static void fill(int port, struct shape s, SSL_CTX *tls)
{
    struct link l;
    struct pending p = {0};
    link_open(&l, port, tls);
    uint64_t next = 0, end = (uint64_t)s.count * (s.hashes ? s.fields : 1);
    uint64_t window = s.hashes ? FILL_WINDOW / FIELDS_AT_ONCE : FILL_WINDOW;
    while (next < end || p.answered < p.asked) {
        while (next < end && p.asked - p.answered < window) {
            next = put_data(&l, &s, next);
            pending_ask(&p, now_us());
        }
        link_flush(&l);
        pending_take(&p, &l);
        if (p.asked - p.answered < window && next < end) continue;
        struct pollfd at = {.fd = l.fd, .events = link_wants(&l)};
        if (p.answered < p.asked) poll(&at, 1, -1);
    }
    link_close(&l);
}

static void write_steadily(int port, struct shape s, uint64_t rate, SSL_CTX *tls)
{
    struct link l;
    struct pending p = {0};
    struct pollfd at[3];
    link_open(&l, port, tls);
    int timer = ticker();
    uint64_t began = now_us(), before = began, late = 0;
    double due = 0;
    while (wait_for(at, timer, &l, 1)) {
        if (ticked(timer)) {
            uint64_t now = now_us();
            for (due += (double)(now - before) * (double)rate / 1e6; due >= 1; due--) {
                if (pending_full(&p)) {
                    late++;
                    continue;
                }
                put_write(&l, &s);
                pending_ask(&p, now);
            }
            before = now;
        }
        link_flush(&l);
        pending_take(&p, &l);
    }
    double took = (double)(now_us() - began) / 1e6;
    printf("{\"rate\": %.0f, \"answered\": %llu, \"skipped\": %llu, \"times\": ",
           (double)p.answered / took, (unsigned long long)p.answered, (unsigned long long)late);
    times_print(&p.times);
    printf("}\n");
    link_close(&l);
}

// The message is the instant at which it was sent, so that what arrives says how old it is.
static void lag(int *ports, SSL_CTX *tls)
{
    struct link l[2];
    struct pending p = {0};
    struct times times = {0};
    struct pollfd at[4];
    for (int i = 0; i < 2; i++)
        link_open(&l[i], ports[i], tls);
    link_must(&l[1], "*2\r\n$9\r\nSUBSCRIBE\r\n$3\r\nlag\r\n");
    int timer = ticker();
    while (wait_for(at, timer, l, 2)) {
        if (ticked(timer) && !pending_full(&p)) {
            pending_ask(&p, now_us());
            char *to = link_room(&l[0], 128);
            l[0].len +=
                (size_t)sprintf(to, "*3\r\n$7\r\nPUBLISH\r\n$3\r\nlag\r\n$20\r\n%020llu\r\n",
                                (unsigned long long)now_us());
        }
        link_flush(&l[0]);
        pending_take(&p, &l[0]);
        redisReply *r;
        while ((r = link_reply(&l[1])) != NULL) {
            if (r->type == REDIS_REPLY_ARRAY && r->elements == 3)
                times_add(&times, now_us() - strtoull(r->element[2]->str, NULL, 10));
            freeReplyObject(r);
        }
    }
    times_print(&times);
    printf("\n");
}

// What any program sees of this machine: slices of a job's length in which nothing is done but to
// look at the clock, and how much CPU time of the thread each was charged.
static void slices(uint64_t ms)
{
    enum { SLICE_US = 250 };
    uint64_t end = now_us() + ms * 1000, most = 0, over = 0;
    thread_turns_short();
    for (uint64_t at = now_us(); at < end; at = now_us()) {
        uint64_t used = cpu_us();
        while (now_us() < at + SLICE_US) {
        }
        used = cpu_us() - used;
        if (used > most) most = used;
        over += used > 1000;
    }
    printf("{\"max\": %llu, \"over_1ms\": %llu}\n", (unsigned long long)most,
           (unsigned long long)over);
}

int main(int argc, char **argv)
{
    SSL_CTX *tls = NULL;
    if (argc > 2 && strcmp(argv[1], "--certs") == 0) {
        tls = link_context(argv[2]);
        argc -= 2;
        argv += 2;
    }
    if (argc < 3) die("see the head of bench/load.c");
    const char *what = argv[1];
    int ports[LINKS_MAX], count = argc - 2;
    for (int i = 0; i < count && i < LINKS_MAX; i++)
        ports[i] = atoi(argv[2 + i]);
    if (strcmp(what, "ping") == 0 || strcmp(what, "lag") == 0) thread_turns_short();
    if (strcmp(what, "ping") == 0 && count <= LINKS_MAX)
        ping(ports, count, tls);
    else if (strcmp(what, "fill") == 0 && argc == 4)
        fill(ports[0], shape_parse(argv[3]), tls);
    else if (strcmp(what, "write") == 0 && argc == 5)
        write_steadily(ports[0], shape_parse(argv[3]), strtoull(argv[4], NULL, 10), tls);
    else if (strcmp(what, "lag") == 0 && argc == 4)
        lag(ports, tls);
    else if (strcmp(what, "slices") == 0)
        slices(strtoull(argv[2], NULL, 10));
    else
        die("see the head of bench/load.c");
    return 0;
}
