"""Threads that write to whichever server is the primary: all types, expiries, transactions, now and
then something big. Key names come from a small set, so that the data set stays bounded."""

import random
import threading
import time

from harness import client_context
from resp import Client, Closed, Error, encode

KEYS = 60  # names of each type
BIG_EVERY = 150  # commands between two big values


class Maker:
    """Random commands, each a list of commands that go together."""

    def __init__(self, rng):
        self.rng = rng
        self.count = 0
        self.kinds = [self.string, self.number, self.expiry, self.list, self.set, self.hash,
                      self.zset, self.stream, self.group, self.other, self.whole, self.transaction]

    def key(self, kind):
        return f"{kind}:{self.rng.randrange(KEYS)}"

    def value(self):
        return "v" * self.rng.randrange(100) + str(self.rng.random())

    def some(self, limit=10):
        return [f"m{self.rng.randrange(300)}" for _ in range(self.rng.randrange(1, limit))]

    def pick(self, *choices):
        return [self.rng.choice(choices)]

    def string(self):
        k = self.key("string")
        return self.pick(["SET", k, self.value()], ["APPEND", k, "more"], ["GETSET", k, self.value()],
                         ["SETRANGE", k, self.rng.randrange(200), "xyz"], ["GETDEL", k],
                         ["MSET", k, self.value(), self.key("string"), self.value()],
                         ["SETBIT", self.key("bits"), self.rng.randrange(3000), 1])

    def number(self):
        k = self.key("number")
        return self.pick(["INCR", k], ["DECRBY", k, 77], ["INCRBYFLOAT", self.key("float"), "0.37"],
                         ["BITFIELD", self.key("field"), "INCRBY", "u8", "#3", 5, "SET", "i16",
                          "#9", self.rng.randrange(30000)])

    def expiry(self):
        k = self.key("brief")
        ms = self.rng.choice((1, 30, 200, 1500, 3_600_000))
        return self.pick(["SET", k, self.value(), "PX", ms], ["SET", k, "v", "EX", 1 + ms // 1000],
                         ["PEXPIRE", self.key("hash"), 1000 + ms], ["PERSIST", k],
                         ["GETEX", k, "PX", ms], ["SETEX", k, 3600, "v"],
                         ["PEXPIRE", self.key("list"), 1000 + ms], ["EXPIRE", self.key("set"), 0])

    def list(self):
        k, other = self.key("list"), self.key("list")
        return self.pick(["RPUSH", k, *self.some()], ["LPUSH", k, self.value()], ["LPOP", k, 3],
                         ["LTRIM", k, 0, 200], ["LINSERT", k, "BEFORE", "m7", "before"],
                         ["LMOVE", k, other, "LEFT", "RIGHT"], ["LREM", k, 2, "m3"],
                         ["LSET", k, 0, self.value()], ["RPOPLPUSH", k, other])

    def set(self):
        k, other = self.key("set"), self.key("set")
        return self.pick(["SADD", k, *self.some()], ["SADD", k, *range(self.rng.randrange(1, 90))],
                         ["SPOP", k], ["SPOP", k, 3], ["SREM", k, *self.some()],
                         ["SMOVE", k, other, "m5"], ["SUNIONSTORE", other, k, self.key("set")],
                         ["SINTERSTORE", self.key("set"), k, other])

    def hash(self):
        k = self.key("hash")
        pairs = [x for m in self.some() for x in (m, self.value())]
        return self.pick(["HSET", k, *pairs], ["HDEL", k, *self.some()], ["HINCRBY", k, "n", 3],
                         ["HINCRBYFLOAT", k, "x", "1.125"], ["HSETNX", k, "m1", "once"])

    def zset(self):
        k = self.key("zset")
        pairs = [x for m in self.some() for x in (self.rng.randrange(1000) / 8, m)]
        return self.pick(["ZADD", k, *pairs], ["ZINCRBY", k, 1.5, "m4"], ["ZPOPMIN", k, 2],
                         ["ZREM", k, *self.some()], ["ZREMRANGEBYRANK", k, 0, 1],
                         ["ZRANGESTORE", self.key("zset"), k, 0, 20],
                         ["GEOADD", self.key("geo"), 13.36, 38.11, self.some()[0]])

    def stream(self):
        k = self.key("stream")
        return self.pick(["XADD", k, "MAXLEN", "~", 200, "*", "n", self.value()],
                         ["XADD", k, "MAXLEN", 50, "*", "a", 1, "b", 2], ["XTRIM", k, "MAXLEN", 40],
                         ["XADD", k, "*", "other", "x"])

    def group(self):
        k = self.key("stream")
        return self.pick(["XGROUP", "CREATE", k, "g", "0", "MKSTREAM"], ["XGROUP", "DESTROY", k, "g"],
                         ["XREADGROUP", "GROUP", "g", "alice", "COUNT", 5, "STREAMS", k, ">"],
                         ["XAUTOCLAIM", k, "g", "bob", 0, "0", "COUNT", 3])

    def other(self):
        return self.pick(["PFADD", self.key("hll"), *self.some()],
                         ["PFMERGE", self.key("hll"), self.key("hll"), self.key("hll")],
                         ["SORT", self.key("list"), "ALPHA", "STORE", self.key("sorted")],
                         ["PUBLISH", "channel", "word"])

    def whole(self):
        kind = self.rng.choice(("string", "list", "set", "hash", "zset", "stream", "hll", "big"))
        k, other = self.key(kind), self.key(kind)
        return self.pick(["DEL", k], ["UNLINK", k, other], ["RENAME", k, other],
                         ["COPY", k, other, "REPLACE"], ["MOVE", k, 3], ["COPY", k, other, "DB", 5],
                         ["SWAPDB", 3, 5], ["PEXPIREAT", k, int(time.time() * 1000) + 7_000_000])

    def transaction(self):
        inner = [c for _ in range(self.rng.randrange(1, 6))
                 for c in self.rng.choice(self.kinds[:9])()]
        return [["MULTI"], *inner, ["EXEC"]]

    def big(self):
        k = f"big:{self.rng.randrange(4)}"
        n = self.rng.randrange(500, 3000)
        return self.pick(
            [["SET", k, self.rng.randbytes(1000) * self.rng.randrange(1, 600)]],
            [["DEL", k], ["RPUSH", k, *(f"element {i}" for i in range(n))]],
            [["DEL", k], ["SADD", k, *(f"member {i}" for i in range(n))]],
            [["DEL", k], ["HSET", k, *(x for i in range(n) for x in (f"field {i}", i * 7919))]],
            [["DEL", k], ["ZADD", k, *(x for i in range(n) for x in (i, f"member {i}"))]])[0]

    def next(self):
        self.count += 1
        if self.count % BIG_EVERY == 0:
            return self.big()
        if self.rng.random() < 0.01:
            return [["SELECT", self.rng.choice((3, 5))], *self.rng.choice(self.kinds[:9])(),
                    ["SELECT", 0]]
        return self.rng.choice(self.kinds)()


class Writers:
    """`to(server)` directs them, `pause()` returns when nothing is under way."""

    def __init__(self, seed, count=2, rest_s=0.01):
        self.rest_s = rest_s
        self.lock = threading.Condition()
        self.target = None
        self.busy = 0
        self.over = False
        self.done = self.refused = 0
        self.threads = [threading.Thread(target=self.run, args=(random.Random(f"{seed} {i}"),),
                                         daemon=True) for i in range(count)]
        for thread in self.threads:
            thread.start()

    def to(self, server):
        with self.lock:
            self.target = server
            self.lock.notify_all()

    def pause(self):
        with self.lock:
            was, self.target = self.target, None
            self.lock.wait_for(lambda: self.busy == 0)
        return was

    def end(self):
        with self.lock:
            self.over = True
            self.target = None
            self.lock.notify_all()
        for thread in self.threads:
            thread.join()

    def run(self, rng):
        maker, client, connected = Maker(rng), None, None
        while True:
            with self.lock:
                self.lock.wait_for(lambda: self.target or self.over)
                if self.over:
                    break
                server = self.target
                self.busy += 1
            try:
                if client is None or connected is not server:
                    if client:
                        client.close()
                    client = None
                    tls = client_context() if server.wire == "tls" else None
                    client = Client(server.address, tls, timeout_s=1.5)
                    connected = server
                self.write(client, maker)
            except (OSError, Closed, ValueError):
                if client:
                    client.close()
                client = None
            with self.lock:
                self.busy -= 1
                self.lock.notify_all()
            time.sleep(self.rest_s if client else 0.05)
        if client:
            client.close()

    def write(self, client, maker):
        batch = [c for _ in range(maker.rng.randrange(1, 30)) for c in maker.next()]
        client.send(b"".join(encode(*c) for c in batch))
        replies = [client.reply() for _ in batch]
        bad = sum(isinstance(r, Error) for r in replies)
        with self.lock:
            self.done += len(batch) - bad
            self.refused += bad
