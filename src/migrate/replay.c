#include "migrate/replay.h"

#include "base/mem.h"
#include "value/hash.h"
#include "value/list.h"
#include "value/set.h"
#include "value/stream.h"
#include "value/stream_group.h"
#include "value/string.h"
#include "value/zset.h"

#include <inttypes.h>
#include <stdio.h>

enum {
    ARGS_MAX = 2 * REPLAY_BATCH_ELEMENTS + 2,
    BYTES_PER_UNIT = 128, // of a budget: what copying costs
};

// A stream is told in this order.
enum stream_phase { ENTRIES, POSITION, GROUPS, CONSUMERS, PENDING, STREAM_DONE };

struct replay {
    struct loop *loop;
    struct job job;
    const struct value *value;
    struct str *key, *temporary;
    const struct replay_events *events;
    void *owner;
    bool began; // the temporary key exists at the replicas, with its expiry
    bool open;  // the iterator is

    // The command that is being gathered: its words are copies.
    struct str *args[ARGS_MAX];
    int argc, fixed; // fixed: name and key
    size_t bytes;
    size_t moved; // bytes since the budget was last asked

    size_t offset; // of a string
    union {
        struct list_iter list;
        struct set_iter set;
        struct zset_iter zset;
        struct hash_iter hash;
        struct {
            struct stream_iter entries;
            enum stream_phase phase;
            uint32_t group, consumer;
            struct idtree_iter pending;
        } stream;
    } at;
};

// ---- commands -----------------------------------------------------------------------------------

static void drop_args(struct replay *r, int from)
{
    while (r->argc > from)
        str_free(r->args[--r->argc]);
    r->bytes = 0;
}

static void add(struct replay *r, struct bytes word)
{
    r->args[r->argc++] = str_from(word);
    r->bytes += word.len;
}

static void begin(struct replay *r, const char *name)
{
    drop_args(r, 0);
    add(r, bytes_from_cstr(name));
    add(r, str_view(r->temporary));
    r->fixed = 2;
}

static void send_words(struct replay *r, int argc, const struct bytes *argv)
{
    for (int i = 2; i < argc; i++)
        r->moved += argv[i].len;
    r->events->feed(r->owner, argc, argv);
    if (r->began) return;
    r->began = true;
    char when[24];
    int len = snprintf(when, sizeof(when), "%" PRId64, loop_unix_ms(r->loop) + REPLAY_EXPIRE_MS);
    struct bytes expire[] = {BYTES("PEXPIREAT"), str_view(r->temporary),
                             bytes_of(when, (size_t)len)};
    r->events->feed(r->owner, 3, expire);
}

// Sends what was gathered, and keeps the command's name and key for the next batch.
static void flush(struct replay *r)
{
    if (r->argc == r->fixed) return;
    struct bytes argv[ARGS_MAX];
    for (int i = 0; i < r->argc; i++)
        argv[i] = str_view(r->args[i]);
    send_words(r, r->argc, argv);
    drop_args(r, r->fixed);
}

// One element more. A large one goes by itself and is not copied here.
static void gather(struct replay *r, int words, struct bytes first, struct bytes second)
{
    if (first.len + second.len < REPLAY_BATCH_BYTES) {
        add(r, first);
        if (words == 2) add(r, second);
        return;
    }
    flush(r);
    struct bytes argv[] = {str_view(r->args[0]), str_view(r->args[1]), first, second};
    send_words(r, 2 + words, argv);
}

static bool batch_full(const struct replay *r)
{
    return r->bytes >= REPLAY_BATCH_BYTES || r->argc + 2 > ARGS_MAX;
}

__attribute__((format(printf, 3, 4))) static struct bytes word(char *to, size_t size,
                                                               const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int len = vsnprintf(to, size, format, args);
    va_end(args);
    return bytes_of(to, (size_t)len);
}

// ---- plain containers ---------------------------------------------------------------------------

static void open_iterator(struct replay *r)
{
    r->open = true;
    switch ((enum value_type)r->value->type) {
    case VALUE_STRING:
        begin(r, "APPEND");
        break;
    case VALUE_LIST:
        begin(r, "RPUSH");
        list_seek(&r->at.list, r->value, 0, false);
        break;
    case VALUE_SET:
        begin(r, "SADD");
        set_iter_begin(&r->at.set, r->value);
        break;
    case VALUE_ZSET:
        begin(r, "ZADD");
        zset_iter_begin(&r->at.zset, r->value, zset_whole_span(r->value), false);
        break;
    case VALUE_HASH:
        begin(r, "HSET");
        hash_iter_begin(&r->at.hash, r->value);
        break;
    case VALUE_STREAM:
        begin(r, "XADD");
        r->at.stream.phase = ENTRIES;
        stream_seek(&r->at.stream.entries, r->value->u.stream, (struct stream_id){0, 0},
                    (struct stream_id){UINT64_MAX, UINT64_MAX}, false);
        break;
    case VALUE_TYPE_COUNT:
        break;
    }
}

static void close_iterator(struct replay *r)
{
    if (!r->open) return;
    r->open = false;
    if (r->value->type == VALUE_SET) set_iter_end(&r->at.set);
    if (r->value->type == VALUE_ZSET) zset_iter_end(&r->at.zset);
    if (r->value->type == VALUE_HASH) hash_iter_end(&r->at.hash);
}

static bool stream_piece(struct replay *r);

// Gathers one element; false at the end.
static bool element(struct replay *r)
{
    static const struct bytes none = {0};
    struct bytes first, second;
    struct zset_entry scored;
    char number[TEXT_I64_BYTES], score[40];
    switch ((enum value_type)r->value->type) {
    case VALUE_STRING: {
        struct bytes whole = string_view(r->value, number);
        if (r->offset == whole.len) return false;
        size_t left = whole.len - r->offset;
        size_t part = left < REPLAY_BATCH_BYTES ? left : REPLAY_BATCH_BYTES;
        add(r, bytes_of(whole.data + r->offset, part));
        r->offset += part;
        flush(r);
        return true;
    }
    case VALUE_LIST:
        if (!list_next(&r->at.list, &first)) return false;
        gather(r, 1, first, none);
        return true;
    case VALUE_SET:
        if (!set_iter_next(&r->at.set, &first)) return false;
        gather(r, 1, first, none);
        return true;
    case VALUE_ZSET:
        if (!zset_iter_next(&r->at.zset, &scored)) return false;
        gather(r, 2, word(score, sizeof(score), "%.17g", scored.score), scored.member);
        return true;
    case VALUE_HASH:
        if (!hash_iter_next(&r->at.hash, &first, &second)) return false;
        gather(r, 2, first, second);
        return true;
    case VALUE_STREAM:
        return stream_piece(r);
    case VALUE_TYPE_COUNT:
        break;
    }
    return false;
}

// ---- streams ------------------------------------------------------------------------------------

static struct bytes id_word(char to[48], struct stream_id id)
{
    return word(to, 48, "%" PRIu64 "-%" PRIu64, id.ms, id.seq);
}

// One command of any number of words.
static void send_long(struct replay *r, struct bytes id, uint64_t fields)
{
    size_t most = 3 + 2 * (size_t)fields, count = 0;
    struct str **words = mem_array(struct str *, most);
    struct bytes *argv = mem_array(struct bytes, most), field, value;
    words[count++] = str_from(BYTES("XADD"));
    words[count++] = str_dup(r->temporary);
    words[count++] = str_from(id);
    while (count < most && stream_next_field(&r->at.stream.entries, &field, &value)) {
        words[count++] = str_from(field);
        words[count++] = str_from(value);
    }
    for (size_t i = 0; i < count; i++)
        argv[i] = str_view(words[i]);
    send_words(r, (int)count, argv);
    for (size_t i = 0; i < count; i++)
        str_free(words[i]);
    mem_free(words);
    mem_free(argv);
}

static bool stream_entry(struct replay *r)
{
    struct stream_entry entry;
    char id[48];
    if (!stream_next(&r->at.stream.entries, &entry)) return false;
    send_long(r, id_word(id, entry.id), entry.field_count);
    return true;
}

// Where the stream stands: also for one without entries, which XADD alone cannot make.
static void stream_position(struct replay *r)
{
    const struct stream *s = r->value->u.stream;
    char id[48], added[24], deleted[48];
    if (s->length == 0) {
        struct bytes make[] = {BYTES("XADD"), str_view(r->temporary), BYTES("0-1"), BYTES("x"),
                               BYTES("x")};
        struct bytes unmake[] = {BYTES("XDEL"), str_view(r->temporary), BYTES("0-1")};
        send_words(r, 5, make);
        send_words(r, 3, unmake);
    }
    // XSETID alone may have put the last id below that of a deleted entry, but refuses both at
    // once.
    bool below = stream_id_compare(s->last_id, s->max_deleted_id) < 0;
    struct bytes set[] = {BYTES("XSETID"),
                          str_view(r->temporary),
                          id_word(id, below ? s->max_deleted_id : s->last_id),
                          BYTES("ENTRIESADDED"),
                          word(added, sizeof(added), "%" PRIu64, s->entries_added),
                          BYTES("MAXDELETEDID"),
                          id_word(deleted, s->max_deleted_id)};
    send_words(r, 7, set);
    if (!below) return;
    struct bytes back[] = {BYTES("XSETID"), str_view(r->temporary), id_word(id, s->last_id)};
    send_words(r, 3, back);
}

static void stream_make_group(struct replay *r, const struct stream_group *g)
{
    char id[48], read[24];
    struct bytes argv[] = {BYTES("XGROUP"),
                           BYTES("CREATE"),
                           str_view(r->temporary),
                           str_view(g->name),
                           id_word(id, g->last_id),
                           BYTES("ENTRIESREAD"),
                           word(read, sizeof(read), "%" PRId64, g->entries_read)};
    send_words(r, 7, argv);
}

static void stream_make_consumer(struct replay *r, const struct stream_group *g,
                                 const struct stream_consumer *c)
{
    struct bytes argv[] = {BYTES("XGROUP"), BYTES("CREATECONSUMER"), str_view(r->temporary),
                           str_view(g->name), str_view(c->name)};
    send_words(r, 5, argv);
}

static void stream_make_pending(struct replay *r, const struct stream_group *g,
                                const struct stream_pending *p)
{
    char id[48], when[24], count[24];
    struct bytes argv[] = {
        BYTES("XCLAIM"),     str_view(r->temporary),
        str_view(g->name),   str_view(p->consumer->name),
        BYTES("0"),          id_word(id, p->id),
        BYTES("TIME"),       word(when, sizeof(when), "%" PRId64, p->delivery_time_ms),
        BYTES("RETRYCOUNT"), word(count, sizeof(count), "%" PRIu64, p->delivery_count),
        BYTES("FORCE"),      BYTES("JUSTID")};
    send_words(r, 12, argv);
}

static bool stream_piece(struct replay *r)
{
    const struct stream *s = r->value->u.stream;
    struct stream_group *g;
    struct stream_pending *p;
    switch (r->at.stream.phase) {
    case ENTRIES:
        if (stream_entry(r)) return true;
        r->at.stream.phase = POSITION;
        return true;
    case POSITION:
        stream_position(r);
        r->at.stream.phase = GROUPS;
        return true;
    case GROUPS:
        if (r->at.stream.group == stream_group_count(s)) {
            r->at.stream.phase = STREAM_DONE;
            return false;
        }
        stream_make_group(r, stream_group_at(s, r->at.stream.group));
        r->at.stream.consumer = 0;
        r->at.stream.phase = CONSUMERS;
        return true;
    case CONSUMERS:
        g = stream_group_at(s, r->at.stream.group);
        if (r->at.stream.consumer < stream_consumer_count(g)) {
            stream_make_consumer(r, g, stream_consumer_at(g, r->at.stream.consumer++));
            return true;
        }
        idtree_seek_first(&r->at.stream.pending, g->pending);
        r->at.stream.phase = PENDING;
        return true;
    case PENDING:
        g = stream_group_at(s, r->at.stream.group);
        p = stream_pending_next(&r->at.stream.pending);
        if (p != NULL) {
            stream_make_pending(r, g, p);
            return true;
        }
        r->at.stream.group++;
        r->at.stream.phase = GROUPS;
        return true;
    case STREAM_DONE:
        break;
    }
    return false;
}

// ---- the job ------------------------------------------------------------------------------------

static enum job_state step(struct job *job, struct budget *budget)
{
    struct replay *r = list_entry(job, struct replay, job);
    if (r->events->waits(r->owner)) return JOB_IDLE;
    if (!r->open) open_iterator(r);
    while (element(r)) {
        if (batch_full(r)) flush(r);
        uint32_t units = 8 + (uint32_t)(r->moved / BYTES_PER_UNIT);
        r->moved = 0;
        if (!budget_left(budget, units)) return JOB_MORE;
    }
    flush(r);
    close_iterator(r);
    r->events->done(r->owner);
    return JOB_DONE;
}

// The part of a key that decides its slot (Redis Cluster specification, "Hash tags").
static struct bytes hash_tag(struct bytes key)
{
    const char *open = memchr(key.data, '{', key.len);
    if (open != NULL) {
        size_t left = key.len - (size_t)(open + 1 - key.data);
        const char *close = memchr(open + 1, '}', left);
        if (close != NULL && close != open + 1)
            return bytes_of(open + 1, (size_t)(close - open - 1));
    }
    return key;
}

struct replay *replay_start(struct loop *loop, struct bytes key, const struct value *value,
                            uint64_t nonce, const struct replay_events *events, void *owner)
{
    struct replay *r = mem_new(struct replay);
    r->loop = loop;
    r->value = value;
    r->events = events;
    r->owner = owner;
    r->key = str_from(key);
    struct buf name = BUF_EMPTY;
    buf_printf(&name, "wherry-restore:%016" PRIx64 ":{", nonce);
    buf_append_bytes(&name, hash_tag(key));
    buf_append_byte(&name, '}');
    r->temporary = str_from(buf_view(&name));
    buf_free(&name);
    job_init(&r->job, "replay", step);
    job_start(loop, &r->job);
    return r;
}

void replay_go_on(struct replay *r)
{
    job_start(r->loop, &r->job);
}

// One step also for a replica that loses its link in the middle of it.
void replay_commit(struct replay *r, int64_t expire_ms)
{
    char when[24];
    struct bytes persist[] = {BYTES("PERSIST"), str_view(r->temporary)};
    struct bytes expire[] = {BYTES("PEXPIREAT"), str_view(r->temporary),
                             word(when, sizeof(when), "%" PRId64, expire_ms)};
    struct bytes rename[] = {BYTES("RENAME"), str_view(r->temporary), str_view(r->key)};
    struct bytes multi = BYTES("MULTI"), exec = BYTES("EXEC");
    r->events->feed(r->owner, 1, &multi);
    if (expire_ms >= 0)
        r->events->feed(r->owner, 3, expire);
    else
        r->events->feed(r->owner, 2, persist);
    r->events->feed(r->owner, 3, rename);
    r->events->feed(r->owner, 1, &exec);
    r->began = false;
}

void replay_undo(struct replay *r)
{
    if (!r->began) return;
    struct bytes unlink[] = {BYTES("UNLINK"), str_view(r->temporary)};
    r->events->feed(r->owner, 2, unlink);
    r->began = false;
}

void replay_cancel(struct replay *r)
{
    job_stop(r->loop, &r->job);
    close_iterator(r);
    drop_args(r, 0);
    str_free(r->key);
    str_free(r->temporary);
    mem_free(r);
}
