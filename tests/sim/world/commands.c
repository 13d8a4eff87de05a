#include "sim/world/commands.h"

#include "proto/command_line.h"

#include <stdio.h>

// Words. $s $l $e $h $z $x: a key of a type (string, list, set, hash, zset, stream), now and then
// of another; $k: any key. $n: a small number, $i: an index, $f: a float, $v: a value, $b: a value
// of some KiB, $m: a member, $t: milliseconds, $u: Unix time in milliseconds soon, $d: a database.
struct pattern {
    int kind, weight;
    const char *text;
};

enum { W = COMMANDS_WRITE, R = COMMANDS_READ, B = COMMANDS_BLOCK, A = COMMANDS_ALL };

static const struct pattern patterns[] = {
    {W, 6, "SET $s $v"},
    {W, 2, "SET $s $b"},
    {W, 2, "SET $s $v PX $t"},
    {W, 1, "SET $s $v PXAT $u"},
    {W, 1, "SET $s $v XX KEEPTTL GET"},
    {W, 1, "SETNX $s $v"},
    {W, 1, "SETEX $s 1 $v"},
    {W, 1, "PSETEX $s $t $v"},
    {W, 1, "GETSET $s $v"},
    {W, 1, "GETDEL $s"},
    {W, 1, "GETEX $s PX $t"},
    {W, 1, "GETEX $s PERSIST"},
    {W, 2, "APPEND $s $v"},
    {W, 1, "SETRANGE $s $i $v"},
    {W, 3, "INCR $s"},
    {W, 1, "DECRBY $s $n"},
    {W, 1, "INCRBYFLOAT $s $f"},
    {W, 2, "MSET $s $v $s $v $s $v"},
    {W, 1, "MSETNX $s $v $s $v"},
    {W, 1, "SETBIT $s $n 1"},
    {W, 1, "BITOP XOR $s $s $s"},
    {W, 1, "BITFIELD $s INCRBY u8 $i $n SET i16 #1 $n"},
    {W, 3, "DEL $k"},
    {W, 1, "DEL $k $k $k"},
    {W, 2, "UNLINK $k"},
    {W, 2, "EXPIRE $k 1"},
    {W, 4, "PEXPIRE $k $t"},
    {W, 1, "PEXPIREAT $k $u"},
    {W, 1, "PEXPIRE $k $t GT"},
    {W, 1, "PERSIST $k"},
    {W, 2, "RENAME $k $k"},
    {W, 1, "RENAMENX $k $k"},
    {W, 1, "COPY $k $k"},
    {W, 1, "COPY $k $k DB $d REPLACE"},
    {W, 1, "MOVE $k $d"},
    {W, 1, "SORT $l BY nosort ALPHA STORE $l"},
    {W, 4, "RPUSH $l $v $v $v"},
    {W, 2, "LPUSH $l $v $b"},
    {W, 1, "RPUSHX $l $v"},
    {W, 2, "LPOP $l"},
    {W, 1, "RPOP $l 2"},
    {W, 1, "LSET $l $i $v"},
    {W, 1, "LINSERT $l BEFORE $v $v"},
    {W, 1, "LREM $l 1 $v"},
    {W, 1, "LTRIM $l 1 20"},
    {W, 1, "LMOVE $l $l LEFT RIGHT"},
    {W, 1, "RPOPLPUSH $l $l"},
    {W, 1, "LMPOP 2 $l $l LEFT COUNT 2"},
    {W, 4, "SADD $e $m $m $m"},
    {W, 1, "SADD $e $n $n $n $n"},
    {W, 2, "SREM $e $m"},
    {W, 2, "SPOP $e"},
    {W, 1, "SPOP $e 3"},
    {W, 1, "SMOVE $e $e $m"},
    {W, 1, "SINTERSTORE $e $e $e"},
    {W, 1, "SUNIONSTORE $e $e $e"},
    {W, 1, "SDIFFSTORE $e $e $e"},
    {W, 4, "HSET $h $m $v $m $v"},
    {W, 1, "HSET $h $m $b"},
    {W, 2, "HDEL $h $m"},
    {W, 1, "HSETNX $h $m $v"},
    {W, 1, "HINCRBY $h $m $n"},
    {W, 1, "HINCRBYFLOAT $h $m $f"},
    {W, 1, "HMSET $h $m $v"},
    {W, 4, "ZADD $z $f $m $f $m"},
    {W, 1, "ZADD $z XX CH $f $m"},
    {W, 1, "ZADD $z INCR $f $m"},
    {W, 1, "ZINCRBY $z $f $m"},
    {W, 1, "ZREM $z $m"},
    {W, 1, "ZPOPMIN $z"},
    {W, 1, "ZMPOP 2 $z $z MAX"},
    {W, 1, "ZREMRANGEBYRANK $z 0 1"},
    {W, 1, "ZREMRANGEBYSCORE $z 0 $n"},
    {W, 1, "ZUNIONSTORE $z 2 $z $z"},
    {W, 1, "ZRANGESTORE $z $z 0 5"},
    {W, 1, "GEOADD $z 13.$n 38.$n $m"},
    {W, 3, "XADD $x * $m $v"},
    {W, 1, "XADD $x MAXLEN ~ 20 * $m $v"},
    {W, 1, "XTRIM $x MAXLEN 10"},
    {W, 1, "XGROUP CREATE $x g $ MKSTREAM"},
    {W, 1, "XGROUP CREATECONSUMER $x g $m"},
    {W, 1, "XGROUP DELCONSUMER $x g $m"},
    {W, 1, "XREADGROUP GROUP g $m COUNT 2 STREAMS $x >"},
    {W, 1, "XAUTOCLAIM $x g $m 0 0"},
    {W, 1, "PFADD $s $m $m"},
    {W, 1, "PUBLISH news $v"},
    {W, 1, "SELECT $d"},
    {R, 3, "GET $s"},
    {R, 1, "MGET $s $s $k"},
    {R, 1, "TYPE $k"},
    {R, 1, "LRANGE $l 0 -1"},
    {R, 1, "SMEMBERS $e"},
    {R, 1, "HGETALL $h"},
    {R, 1, "ZRANGE $z 0 -1 WITHSCORES"},
    {R, 1, "XRANGE $x - +"},
    {R, 1, "DUMP $k"},
    {R, 1, "SCAN 0 COUNT 5"},
    {R, 1, "KEYS *"},
    {R, 1, "RANDOMKEY"},
    {R, 1, "TTL $k"},
    {R, 1, "OBJECT ENCODING $k"},
    {R, 1, "INFO"},
    {R, 1, "DBSIZE"},
    {B, 2, "BLPOP $l $l 0.05"},
    {B, 1, "BRPOP $l 0.2"},
    {B, 1, "BLMOVE $l $l LEFT RIGHT 0.1"},
    {B, 1, "BLMPOP 0.1 2 $l $l LEFT"},
    {B, 1, "BZPOPMIN $z $z 0.05"},
    {B, 1, "BZMPOP 0.1 1 $z MIN"},
    {B, 1, "XREAD BLOCK 50 STREAMS $x $"},
    {B, 1, "XREADGROUP GROUP g $m BLOCK 50 STREAMS $x >"},
    {B, 1, "WAIT 1 50"},
    {A, 2, "FLUSHDB"},
    {A, 1, "FLUSHALL"},
    {A, 3, "SWAPDB $d $d"},
    {A, 1, "CLIENT PAUSE 60 WRITE"},
};

enum {
    PATTERNS = sizeof(patterns) / sizeof(patterns[0]),
    WORDS = 16,
    WORD_BYTES = 6000,
    DATABASES = 3,
};

static size_t put_value(struct world *w, char *to, size_t least, size_t most)
{
    size_t len = least + pick(w, most - least + 1);
    char byte = (char)('a' + pick(w, 26));
    for (size_t i = 0; i < len; i++)
        to[i] = i % 7 == 3 ? (char)('a' + pick(w, 26)) : byte;
    return len;
}

static size_t put_word(struct world *w, char kind, int keys, char *to)
{
    static const char types[] = "slehzx";
    uint64_t soon_ms = (uint64_t)loop_unix_ms(sim_loop(w->members[0].at)) + pick(w, 3000);
    size_t room = 64;
    switch (kind) {
    case 'k':
        kind = types[pick(w, 6)];
        break;
    case 'n':
        return (size_t)snprintf(to, room, "%d", (int)pick(w, 200));
    case 'i':
        return (size_t)snprintf(to, room, "%d", (int)pick(w, 6));
    case 'f':
        return (size_t)snprintf(to, room, "%d.%d", (int)pick(w, 50), (int)pick(w, 4) * 25);
    case 'v':
        return put_value(w, to, 0, 30);
    case 'b':
        return put_value(w, to, 500, WORD_BYTES - 100);
    case 'm':
        return (size_t)snprintf(to, room, "m%d", (int)pick(w, 150));
    case 't':
        return (size_t)snprintf(to, room, "%d", (int)pick_spread(w, 1, 5000));
    case 'u':
        return (size_t)snprintf(to, room, "%llu", (unsigned long long)soon_ms);
    case 'd':
        return (size_t)snprintf(to, room, "%d", (int)pick(w, DATABASES));
    default:
        if (chance(w, 4)) kind = types[pick(w, 6)];
        break;
    }
    return (size_t)snprintf(to, room, "%c:%d", kind, (int)pick(w, (uint64_t)keys));
}

static void put(struct world *w, const char *text, int keys, struct chain *out)
{
    char words[WORD_BYTES + WORDS * 64], *to = words; // one $b at most
    struct bytes argv[WORDS];
    int argc = 0;
    for (const char *at = text; *at != '\0'; argc++) {
        char *begin = to;
        for (; *at != ' ' && *at != '\0'; at++) {
            if (*at == '$' && at[1] >= 'a' && at[1] <= 'z')
                to += put_word(w, *++at, keys, to);
            else
                *to++ = *at;
        }
        argv[argc] = bytes_of(begin, (size_t)(to - begin));
        if (*at == ' ') at++;
    }
    request_write(out, argc, argv);
}

const char *random_command(struct world *w, int kinds, int keys, struct chain *out)
{
    uint64_t total = 0;
    for (int i = 0; i < PATTERNS; i++)
        if (patterns[i].kind & kinds) total += (uint64_t)patterns[i].weight;
    uint64_t at = pick(w, total);
    for (int i = 0;; i++) {
        if (!(patterns[i].kind & kinds)) continue;
        if (at < (uint64_t)patterns[i].weight) {
            put(w, patterns[i].text, keys, out);
            return patterns[i].text;
        }
        at -= (uint64_t)patterns[i].weight;
    }
}

// ---- large values -------------------------------------------------------------------------------

static void add_words(struct buf *text, size_t *ends, int *count, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
static void add_words(struct buf *text, size_t *ends, int *count, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    buf_vprintf(text, format, args);
    va_end(args);
    ends[(*count)++] = buf_len(text);
}

void random_large(struct world *w, int keys, struct chain *out)
{
    static const struct {
        const char *command;
        char type;
        bool pairs;
    } kinds[] = {
        {"RPUSH", 'l', false}, {"SADD", 'e', false}, {"HSET", 'h', true}, {"ZADD", 'z', true}};
    uint64_t kind = pick(w, 4), elements = 100 + pick(w, 500);
    size_t ends[2 + 2 * 600];
    struct bytes argv[2 + 2 * 600];
    struct buf text = BUF_EMPTY;
    int argc = 0, wide = (int)pick_spread(w, 1, 60);
    add_words(&text, ends, &argc, "%s", kinds[kind].command);
    add_words(&text, ends, &argc, "%c:%d", kinds[kind].type, (int)pick(w, (uint64_t)keys));
    for (uint64_t i = 0; i < elements; i++) {
        if (kinds[kind].pairs) add_words(&text, ends, &argc, "%d", (int)pick(w, 1000));
        add_words(&text, ends, &argc, "m%0*d", wide, (int)pick(w, 1000));
    }
    const char *from = buf_view(&text).data;
    for (int i = 0; i < argc; i++)
        argv[i] = bytes_of(from + (i > 0 ? ends[i - 1] : 0), ends[i] - (i > 0 ? ends[i - 1] : 0));
    request_write(out, argc, argv);
    buf_free(&text);
}

bool random_restore(struct world *w, struct node *from, int keys, struct chain *out)
{
    struct entry *e = db_random(&from->store, store_db(&from->store, (int)pick(w, DATABASES)));
    if (e == NULL || e->key_len < 2 || e->key[1] != ':') return false;
    struct buf payload = BUF_EMPTY;
    entry_dump(e, chance(w, 25), &payload);
    if (chance(w, 8)) buf_consume(&payload, 1); // and no payload any more
    char to[16];
    snprintf(to, sizeof(to), "%c:%d", e->key[0], (int)pick(w, (uint64_t)keys));
    int ttl_ms = chance(w, 60) ? 0 : (int)pick_spread(w, 1, 5000);
    request_writef(out, "RESTORE %s %d %b REPLACE", to, ttl_ms, buf_view(&payload));
    buf_free(&payload);
    return true;
}
