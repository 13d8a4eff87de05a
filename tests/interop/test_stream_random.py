"""Random stream commands to wherry and to Redis: the same replies, also to clients that wait, and
the same commands for replicas. The seed is printed; WHERRY_SEED takes it back."""

import os
import random
import select
import time

from resp import Error

STEPS = int(os.environ.get("WHERRY_STEPS", "3000"))
LONG_MS = 10 ** 9  # an idle time that no run comes near by itself

KEYS = ["s", "t", "u"]
GROUPS = ["g", "h"]
CONSUMERS = ["alice", "bob", "carol"]


class Replica:
    """Takes a full sync from a primary and then only reads what it is sent."""

    def __init__(self, server):
        self.c = server.client()
        self.c.send(b"*3\r\n$5\r\nPSYNC\r\n$1\r\n?\r\n$2\r\n-1\r\n")
        line = b""
        while not line.startswith(b"$"):  # "+FULLRESYNC ..." comes first
            line = self.c.read_line().lstrip(b"\n")  # newlines are signs of life
        if line.startswith(b"$EOF:"):
            mark, got = line[5:], b""
            while not got.endswith(mark):
                got += self.c.read_exact(1)
            self.c.send(b"*3\r\n$8\r\nREPLCONF\r\n$3\r\nACK\r\n$1\r\n0\r\n")
        else:
            self.c.read_exact(int(line[1:]))

    def until(self, mark):
        """Commands up to SET mark ..., without what servers say to each other."""
        got = []
        self.c.send(encoded(["REPLCONF", "ACK", 0]))
        while True:
            command = self.c.read()
            if command[:2] == [b"SET", mark]:
                return got
            if command[0].upper() not in (b"PING", b"SELECT", b"REPLCONF"):
                got.append(command)


def propagated(command):
    """Times masked: two servers never act in the same millisecond. Redis passes an id on as it was
    written; wherry writes all of it."""
    command = list(command)
    if command[0] == b"XCLAIM" and b"TIME" in command:
        if b"-" not in command[5]:
            command[5] += b"-0"
        at = command.index(b"TIME") + 1
        old = time.time() * 1000 - int(command[at]) > LONG_MS / 2
        command[at] = b"old" if old else b"now"
    return command


def is_time(n):
    return isinstance(n, int) and abs(n - time.time() * 1000) < 10 * LONG_MS


def coarse(n):
    return "long" if n > LONG_MS / 2 else "short"


def masked(command, reply):
    """The reply with times and idle times made coarse."""
    name = command[0]
    if isinstance(reply, Error) or not isinstance(reply, list):
        return reply
    if name == "XPENDING" and len(command) > 3:
        return [[e[0], e[1], coarse(e[2]), e[3]] for e in reply]
    if name == "XINFO" and command[1] == "CONSUMERS":
        return [[*e[:5], coarse(e[5])] for e in reply]
    if name == "XINFO" and len(command) > 3:
        return mask_times(reply)
    return reply


def mask_times(reply):
    if isinstance(reply, list):
        return (type(reply).__name__, [mask_times(x) for x in reply])
    return coarse(time.time() * 1000 - reply) if is_time(reply) else reply


class Words:
    """Makes commands."""

    def __init__(self, rng):
        self.rng = rng
        self.ms = 1
        self.soon = []  # commands that come next

    def pick(self, *choices):
        return self.rng.choice(choices)

    def maybe(self, *words, chance=0.3):
        return list(words) if self.rng.random() < chance else []

    def key(self):
        return self.rng.choice(KEYS) if self.rng.random() < 0.97 else self.pick("none", "text")

    def group(self):
        return self.rng.choice(GROUPS) if self.rng.random() < 0.95 else "nobody"

    def consumer(self):
        return self.rng.choice(CONSUMERS)

    def id(self):
        ms = max(0, self.ms - self.rng.randrange(self.pick(10, 60)))
        if self.rng.random() < 0.03:
            return self.pick("0", "0-0", "-", "+", "x", "5-", "-5", "1-x", "18446744073709551615-1",
                             "18446744073709551615", "")
        return self.pick(f"{ms}-{self.rng.randrange(4)}", f"{ms}-{self.rng.randrange(4)}", str(ms))

    def bound(self):
        return self.pick("-", "+", self.id(), self.id(), "(" + self.id())

    def count(self):
        return self.pick(0, 1, 2, 5, 5, 50, -1, 1000) if self.rng.random() < 0.97 else "many"

    def trim(self):
        words = [self.pick("MAXLEN", "MINID")]
        words += self.pick([], ["="], ["~"], ["~"])
        words.append(self.pick(0, 3, 10, 40, 90, 250) if words[0] == "MAXLEN" else self.id())
        if self.rng.random() < 0.2:
            words += ["LIMIT", self.pick(0, 1, 50, 100, 1000, -1)]
        return words

    def xadd(self):
        self.ms += self.pick(0, 0, 1, 1, 2)
        taken = self.pick(f"{self.ms}-{self.rng.randrange(4)}", *3 * [f"{self.ms}-*"])
        if self.rng.random() < 0.05:
            taken = self.id()
        fields = self.pick(["f", self.rng.randrange(10 ** self.rng.randrange(1, 18))],
                           ["f", "v" * self.rng.randrange(80), "n", self.rng.randrange(9)],
                           ["other", "x"], ["odd"], [])[:]
        if not fields and self.rng.random() < 0.9:
            fields = ["f", "text"]
        return ["XADD", self.key(), *self.maybe("NOMKSTREAM", chance=0.1),
                *(self.trim() if self.rng.random() < 0.15 else []), taken, *fields]

    def xdel(self):
        return ["XDEL", self.key(), *[self.id() for _ in range(self.rng.randrange(1, 4))]]

    def xtrim(self):
        return ["XTRIM", self.key(), *self.trim(), *self.maybe("bogus", chance=0.03)]

    def xsetid(self):
        if self.rng.random() < 0.8:
            return self.xadd()
        return ["XSETID", self.key(), self.pick(self.id(), f"{self.ms}-9", f"{self.ms + 3}"),
                *self.maybe("ENTRIESADDED", self.pick(1, 100, 5000, -1)),
                *self.maybe("MAXDELETEDID", self.id())]

    def xlen(self):
        return ["XLEN", self.key()]

    def xrange(self):
        return [self.pick("XRANGE", "XREVRANGE"), self.key(), self.bound(), self.bound(),
                *self.maybe("COUNT", self.count())]

    def streams(self, ids):
        keys = [self.key() for _ in range(self.pick(1, 1, 2, 3))]
        return ["STREAMS", *keys, *[ids() for _ in keys],
                *self.maybe(self.key(), chance=0.02)]

    def xread(self):
        return ["XREAD", *self.maybe("COUNT", self.count()),
                *self.streams(lambda: self.pick("$", self.id(), self.id(), self.id()))]

    def xreadgroup(self):
        return ["XREADGROUP", "GROUP", self.group(), self.consumer(),
                *self.maybe("COUNT", self.count(), chance=0.8), *self.maybe("NOACK", chance=0.15),
                *self.streams(lambda: self.pick(">", ">", ">", "0", self.id()))]

    def blocking(self):
        if self.rng.random() < 0.5:
            words = ["XREAD", *self.maybe("COUNT", self.count()),
                     "BLOCK", 0, "STREAMS", self.rng.choice(KEYS)]
            return [*words, self.pick("$", "$", f"{self.ms + 1}-0")]
        return ["XREADGROUP", "GROUP", self.rng.choice(GROUPS), self.consumer(),
                *self.maybe("COUNT", self.count()), *self.maybe("NOACK"),
                "BLOCK", 0, "STREAMS", self.rng.choice(KEYS), ">"]

    def xack(self):
        return ["XACK", self.key(), self.group(),
                *[self.id() for _ in range(self.rng.randrange(1, 5))]]

    def xpending(self):
        words = ["XPENDING", self.key(), self.group()]
        if self.rng.random() < 0.3:
            return words
        return [*words, *self.maybe("IDLE", self.pick(0, LONG_MS // 2)), self.bound(),
                self.bound(), self.count(), *self.maybe(self.consumer())]

    def xclaim(self):
        words = ["XCLAIM", self.key(), self.group(), self.consumer(),
                 self.pick(0, 0, 0, LONG_MS // 2, -1)]
        words += [self.id() for _ in range(self.rng.randrange(1, 6))]
        words += self.maybe("IDLE", 2 * LONG_MS) + self.maybe("TIME", 5, chance=0.1)
        words += self.maybe("RETRYCOUNT", self.pick(0, 7)) + self.maybe("FORCE")
        return words + self.maybe("JUSTID") + self.maybe("LASTID", self.id(), chance=0.2)

    def xautoclaim(self):
        return ["XAUTOCLAIM", self.key(), self.group(), self.consumer(),
                self.pick(0, 0, 0, LONG_MS // 2), self.pick("-", "0", "0", self.bound()),
                *self.maybe("COUNT", self.pick(1, 2, 10, 0)), *self.maybe("JUSTID")]

    def xgroup(self):
        sub = self.pick("CREATE", "CREATE", "CREATE", "CREATE", "SETID", "DESTROY",
                        "CREATECONSUMER", "DELCONSUMER")
        words = ["XGROUP", sub, self.key(), self.group()]
        if sub in ("CREATE", "SETID"):
            words.append(self.pick("$", "0", self.id(), self.id(), self.pick("-", "+", "(1")))
            words += self.maybe("MKSTREAM", chance=0.5 if sub == "CREATE" else 0.03)
            words += self.maybe("ENTRIESREAD", self.pick(0, 3, 100, -1, -2), chance=0.2)
        elif sub != "DESTROY":
            words.append(self.consumer())
        return words

    def xinfo(self):
        sub = self.pick("STREAM", "STREAM", "STREAM", "GROUPS", "CONSUMERS")
        words = ["XINFO", sub, self.key()]
        if sub == "CONSUMERS":
            words.append(self.group())
        elif sub == "STREAM" and self.rng.random() < 0.4:
            words += ["FULL", *self.maybe("COUNT", self.count())]
        return words

    def whole(self):
        """Now and then something happens to the whole key."""
        if self.rng.random() > 0.25:
            return self.xadd()
        key, other = self.rng.sample(KEYS, 2)
        self.soon = self.pick([], [["XGROUP", "CREATE", key, self.group(), "0", "MKSTREAM"]])
        words = self.pick(["DEL", key], ["RENAME", other, key], ["SET", key, "no stream"],
                          ["COPY", other, key, "REPLACE"])
        if words[0] == "SET":
            self.soon = [self.next() for _ in range(3)] + [["DEL", key]] + self.soon
        return words

    def next(self):
        if self.soon:
            return self.soon.pop(0)
        kinds = (self.xadd, 30), (self.xdel, 4), (self.xtrim, 2), (self.xsetid, 1), \
            (self.xlen, 1), (self.xrange, 4), (self.xread, 4), (self.xreadgroup, 16), \
            (self.xack, 6), (self.xpending, 6), (self.xclaim, 8), (self.xautoclaim, 5), \
            (self.xgroup, 7), (self.xinfo, 6), (self.whole, 2)
        make, = self.rng.choices([k for k, _ in kinds], [w for _, w in kinds])
        return make()


class Waiters:
    """Pairs of clients, one at each server, that block on the same thing."""

    def __init__(self, t, servers, protocol):
        self.pairs, self.idle, self.t = [], [], t
        for _ in range(4):
            clients = [s.client() for s in servers]
            for c in clients:
                if protocol == 3:
                    c.must("HELLO", 3)
            self.idle.append(clients)

    def start(self, servers, command):
        if not self.idle:
            return
        clients = self.idle.pop()
        for c, s in zip(clients, servers):
            before = int(s.info("clients")["blocked_clients"])
            c.command = command
            c.send(encoded(command))
            # It waits, or it was answered at once.
            while not readable(c) and int(s.info("clients")["blocked_clients"]) == before:
                time.sleep(0.001)
        self.pairs.append(clients)

    def collect(self):
        """Replies that have come, as ((command, reply of wherry, reply of redis))."""
        for clients in self.pairs[:]:
            ready = [readable(c) for c in clients]
            if ready[0] != ready[1]:
                time.sleep(0.05)
                ready = [readable(c) for c in clients]
            if not any(ready):
                continue
            replies = [c.reply() if r else "still waits" for c, r in zip(clients, ready)]
            yield clients[0].command, *replies
            self.pairs.remove(clients)
            if all(ready):
                self.idle.append(clients)


def encoded(command):
    return b"*%d\r\n" % len(command) + b"".join(
        b"$%d\r\n%s\r\n" % (len(w), w) for w in (str(w).encode() for w in command))


def readable(c):
    return c.at < len(c.data) or bool(select.select([c.sock], [], [], 0)[0])


def groups(client, key):
    """What a stream and its groups are, as far as Redis replicates it: not consumers that have
    nothing, nor what XCLAIM does not carry, nor that entries were read again."""
    info = client("XINFO", "STREAM", key, "FULL", "COUNT", 0)
    if isinstance(info, Error):
        return info
    info = dict(zip(info[::2], info[1::2]))
    of_groups = [dict(zip(g[::2], g[1::2])) for g in info.pop(b"groups")]
    return info, [(g[b"name"], g[b"last-delivered-id"], [p[:2] for p in g[b"pending"]])
                  for g in of_groups]


def same_groups(t, primary, replica, what):
    for key in KEYS:
        t.equal(groups(replica.c, key), groups(primary.c, key), f"{what}: groups of {key}")


def differ(t, protocol, seed):
    rng = random.Random(seed)
    options = ["--repl-diskless-sync-delay", "0", "--stream-node-max-entries", "20"]
    servers = t.wherry(*options), t.redis(*options)
    copies = t.redis(*options), t.wherry(*options)  # each kind is a replica of the other
    for primary, copy in zip(servers, copies):
        copy.must("REPLICAOF", *primary.address)
        t.until(lambda: copy.info()["master_link_status"] == "up", 20, f"a {copy.kind} replica")
    clients = [s.client() for s in servers]
    for c in clients:
        if protocol == 3:
            c.must("HELLO", 3)
        c.must("SET", "text", "no stream")
    replicas = [Replica(s) for s in servers]
    words, waiters, recent = Words(rng), Waiters(t, servers, protocol), []

    def same(command, got, want, where=""):
        if (type(got), masked(command, got)) == (type(want), masked(command, want)):
            return True
        told = "\n    ".join(" ".join(map(str, c)) for c in recent[-8:])
        return t.equal(got, want, f"RESP{protocol} seed {seed} {where}{command}\n    {told}")

    for step in range(STEPS):
        if rng.random() < 0.06:
            command = words.blocking()
            recent.append(["(waiting)", *command])
            waiters.start(servers, command)
        else:
            command = words.next()
            batch = [command]
            if rng.random() < 0.05:
                batch = [["MULTI"], *[words.next() for _ in range(rng.randrange(1, 5))], ["EXEC"]]
            recent += batch
            answers = [[c(*b) for b in batch] for c in clients]
            if len(batch) > 1:  # what EXEC gave, each as its command's own reply
                answers = [a[:-1] + (a[-1] if isinstance(a[-1], list) else a[-1:])
                           for a in answers]
                batch += [b for b, queued in zip(batch[1:-1], answers[1][1:-1])
                          if not isinstance(queued, Error)]
                batch.remove(["EXEC"])
            for b, got, want in zip(batch, *answers):
                if not same(b, got, want):
                    return
        for waited, got, want in waiters.collect():
            if not same(waited, got, want, "waiting: "):
                return
        if step % 100 == 99 or step == STEPS - 1:
            mark = b"mark %d" % step
            for c in clients:
                c.must("SET", mark, 1)
            got, want = ([propagated(p) for p in r.until(mark)] for r in replicas)
            for g, w in zip(got + [None] * len(want), want + [None] * (len(got) + 1)):
                if g != w:
                    t.equal(g, w, f"RESP{protocol} seed {seed} step {step}: for replicas")
                    return
                if g is None:
                    break
    t.check(True, f"RESP{protocol}: {STEPS} random stream commands, seed {seed}")
    t.same_data(*servers, "after them")
    for primary, copy in zip(servers, copies):
        primary.must("WAIT", 1, 10000)
        t.same_data(copy, primary, f"{copy.kind}, a replica of {primary.kind}")
        same_groups(t, primary, copy, f"{copy.kind}, a replica of {primary.kind}")


def test_random(t):
    seed = int(os.environ.get("WHERRY_SEED", "0")) or random.randrange(1, 1 << 32)
    differ(t, 2, seed)
    differ(t, 3, seed + 1)
