"""Data of every type and encoding, the same for the same scale."""

import random
import time


def text(rng, length):
    """Bytes that compress a little, with every value in them."""
    return bytes(rng.choice((rng.randrange(256), 65, 66)) for _ in range(length))


def strings(rng, scale):
    yield "SET", "string:int", "12345"
    yield "SET", "string:negative", "-9223372036854775808"
    yield "SET", "string:max", "9223372036854775807"
    yield "SET", "string:no-int", "012"
    yield "SET", "string:empty", ""
    yield "SET", "string:embstr", "short text"
    yield "SET", "string:raw", "x" * 45 + "not shared by others"
    yield "SET", "string:binary", bytes(range(256))
    yield "SET", "string:compressible", "abcd" * 5000
    yield "SET", "string:large", text(rng, 1000) * (100 * scale)
    yield "SET", b"key \x00\xff\r\n of bytes", "value"
    for i in range(300 * scale):
        yield "SET", f"string:{i}", f"value {rng.randrange(10 ** 9)}"


def lists(rng, scale):
    yield "RPUSH", "list:one", "only"
    yield "RPUSH", "list:small", *[str(i) for i in range(20)], "text", "-5", str(2 ** 62)
    for start in range(0, 3000 * scale, 500):
        yield "RPUSH", "list:long", *[f"element {start + i} {'z' * (i % 70)}" for i in range(500)]
    yield "RPUSH", "list:wide", "a" * 9000, "b", "c" * 20000, bytes(range(256)) * 40, "7"


def sets(rng, scale):
    yield "SADD", "set:16", *range(-50, 50)
    yield "SADD", "set:32", *range(1 << 20, (1 << 20) + 60)
    yield "SADD", "set:64", *[i * (1 << 40) for i in range(-20, 20)]
    yield "SADD", "set:words", "one", "two", "three", "4"
    for start in range(0, 4000 * scale, 500):
        yield "SADD", "set:large", *[f"member:{start + i}" for i in range(500)]
    yield "SADD", "set:many-ints", *range(600)


def hashes(rng, scale):
    yield "HSET", "hash:small", "f", "v", "n", 1, "", "empty field", "long", "y" * 60
    yield "HSET", "hash:value", "f", "v" * 65
    for start in range(0, 4000 * scale, 250):
        pairs = []
        for i in range(start, start + 250):
            pairs += [f"field:{i}", f"value {i * 7919}"]
        yield "HSET", "hash:large", *pairs
    yield "HSET", "hash:wide", "a", text(rng, 5000), "b", "c" * 100000


def zsets(rng, scale):
    yield "ZADD", "zset:small", 1, "one", 2.5, "two", "-inf", "least", "+inf", "most", 0, "zero"
    yield "ZADD", "zset:value", 1, "m" * 65
    for start in range(0, 4000 * scale, 250):
        pairs = []
        for i in range(start, start + 250):
            pairs += [repr((i * 7919 % 10007) / 8 - 300), f"member:{i}"]
        yield "ZADD", "zset:large", *pairs
    yield "ZADD", "zset:fine", "0.1", "a", "1e300", "b", "-1e-300", "c", "3.0000000000000004", "d"


def streams(rng, scale):
    for i in range(1, 350 * scale):
        yield "XADD", "stream:log", f"{1000 + i // 3}-{i % 3 + 1}", "n", i, "text", f"entry {i}"
    for i in range(1, 30):
        yield "XADD", "stream:mixed", f"{i}-0", *(["same", i] if i % 3 else ["other", "x", "y", i])
    yield "XADD", "stream:emptied", "5-5", "a", "b"
    yield "XDEL", "stream:emptied", "5-5"
    yield "XDEL", "stream:log", "1002-1", "1003-1", "1003-2"
    yield "XGROUP", "CREATE", "stream:log", "readers", "0"
    yield "XGROUP", "CREATE", "stream:log", "idle", "$"
    yield "XGROUP", "CREATE", "stream:fresh", "early", "0", "MKSTREAM"
    for consumer in ("alice", "bob"):
        yield ("XREADGROUP", "GROUP", "readers", consumer, "COUNT", 40, "STREAMS", "stream:log",
               ">")
    yield "XACK", "stream:log", "readers", "1001-1", "1001-2"
    yield "XGROUP", "CREATECONSUMER", "stream:log", "readers", "carol"
    yield "XADD", "stream:trimmed", "MAXLEN", 5, "9-1", "a", "b"
    for i in range(20):
        yield "XADD", "stream:trimmed", "MAXLEN", 5, f"10-{i + 1}", "a", i


def expiries(rng, scale):
    later = int(time.time() * 1000) + 3_600_000
    for i in range(50 * scale):
        yield "SET", f"expiring:{i}", i, "PXAT", later + i * 1000
    yield "SADD", "expiring:set", "a", "b"
    yield "PEXPIREAT", "expiring:set", later
    yield "HSET", "expiring:hash", "a", "b"
    yield "PEXPIREAT", "expiring:hash", later + 77


FAMILIES = (strings, lists, sets, hashes, zsets, streams, expiries)


def commands(scale=1, seed=1, families=FAMILIES):
    rng = random.Random(seed)
    for family in families:
        yield from family(rng, scale)


def fill(client, scale=1, seed=1, databases=(0, 3, 15)):
    """Everything in the first database, a little in the others."""
    client.must("SELECT", databases[0])
    client.load(commands(scale, seed))
    for db in databases[1:]:
        client.must("SELECT", db)
        client.load([("SET", f"in db {db}", db), ("RPUSH", "list", db, "b"),
                     ("HSET", "hash", "f", "v"), ("ZADD", "zset", db, "m")])
    client.must("SELECT", 0)


def big_hash(client, key, fields, value="value of the field"):
    """A hash of many fields."""
    step = 500
    client.load((("HSET", key, *(x for i in range(at, min(at + step, fields))
                                  for x in (f"field:{i}", f"{value} {i}")))
                 for at in range(0, fields, step)), window=20)


def writes(client, count, seed=2, keys=1000):
    """`count` small writes of all types, as traffic."""
    rng = random.Random(seed)

    def one():
        k = rng.randrange(keys)
        what = rng.randrange(8)
        if what == 0:
            return "SET", f"w:string:{k}", rng.random()
        if what == 1:
            return "INCR", f"w:counter:{k}"
        if what == 2:
            return "RPUSH", f"w:list:{k % 50}", rng.random()
        if what == 3:
            return "SADD", f"w:set:{k % 50}", rng.randrange(1000)
        if what == 4:
            return "HSET", f"w:hash:{k % 50}", f"f{rng.randrange(500)}", rng.random()
        if what == 5:
            return "ZADD", f"w:zset:{k % 50}", rng.random(), f"m{rng.randrange(500)}"
        if what == 6:
            return "DEL", f"w:string:{k}"
        return "XADD", f"w:stream:{k % 10}", "MAXLEN", "~", 1000, "*", "n", k
    client.load((one() for _ in range(count)), window=1000)
