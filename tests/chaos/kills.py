"""kill -9 of either end at random points of a full sync: the replica has the old data or the new,
never a mixture, also while it recovers, and recovers by itself.

Data has generations: every marker says which, and so does the number of keys. Before each kill the
primary is one generation ahead of the replica and has saved it; a reader asks the replica for many
markers in one transaction all the time."""

import os
import random
import threading
import time

from harness import Closed, Failed, client_context
from resp import Client, Error, NullArray
from watch import Watch

PAIRS = ("WW", "WR", "RW")  # primary, replica
LOADS = ("disabled", "on-empty-db", "swapdb")
KILLS_EACH = 5  # of one pair of processes
RECOVER_S = 30
MARKERS, ELEMENTS, FILLER, EXTRA = 400, 1500, 12000, 300
OPTIONS = ("--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1", "--repl-timeout", "5")


def markers(generation):
    """The commands that make everything say so."""
    g = str(generation)
    yield ("MSET", *(x for i in range(MARKERS) for x in (f"marker:{i}", g)))
    yield ("DEL", "list", "hash", "zset", "set")
    yield ("RPUSH", "list", *(f"{g} {i}" for i in range(ELEMENTS)))
    yield ("HSET", "hash", *(x for i in range(ELEMENTS) for x in (i, g)))
    yield ("ZADD", "zset", *(x for i in range(ELEMENTS) for x in (g, f"member {i}")))
    yield ("SADD", "set", *(f"{g} {i}" for i in range(ELEMENTS)))
    # The number of keys differs as well.
    names = [f"extra:{i}" for i in range(EXTRA)]
    yield ("MSET", *(x for n in names for x in (n, g))) if generation % 2 else ("DEL", *names)


def size_of(generation):
    return FILLER + MARKERS + 4 + 1 + generation % 2 * EXTRA  # one counter


def questions(rng):
    yield ("MULTI",)
    yield ("MGET", *(f"marker:{rng.randrange(MARKERS)}" for _ in range(60)))
    yield ("DBSIZE",)
    at = rng.randrange(ELEMENTS - 50)
    yield ("LRANGE", "list", at, at + 49)
    yield ("LLEN", "list")
    yield ("HVALS", "hash")
    yield ("HMGET", "hash", at, at + 49)
    yield ("ZSCORE", "zset", f"member {at}")
    yield ("ZCARD", "zset")
    yield ("SISMEMBER", "set", f"{at} {at}")
    yield ("SRANDMEMBER", "set")
    yield ("EXEC",)


def seen_by(replies):
    """The generation that an EXEC shows, None for no data; raises ValueError for a mixture."""
    texts, count, elements, length, values, pair, score, scores, _, member = replies
    found = set(texts) | {e.split()[0] for e in elements} | set(values) | set(pair)
    found |= {score, member and member.split()[0]}
    if found <= {None} and count == length == scores == 0:
        return None
    if len(found) != 1 or None in found:
        raise ValueError(f"markers {sorted(map(str, found))}")
    generation = int(found.pop())
    if (count, length, len(values), scores) != (size_of(generation), *[ELEMENTS] * 3):
        raise ValueError(f"generation {generation} with {count} keys, lengths {length}, "
                         f"{len(values)}, {scores}")
    return generation


class Reader:
    """Asks a server all the time, and minds that what it sees is whole and never goes back."""

    def __init__(self, server, rng, allowed):
        self.server, self.rng = server, rng
        self.allowed = allowed  # generations; None: no data
        self.wrong = []
        self.counts = {}
        self.reads = 0
        self.over = False
        self.client = None
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def read(self):
        """A generation, None for an empty server, or "refused"."""
        replies = [self.client(*q) for q in questions(self.rng)][-1]
        if isinstance(replies, (Error, NullArray)) or any(isinstance(r, Error) for r in replies):
            return "refused"
        return seen_by(replies)

    def run(self):
        while not self.over:
            try:
                if self.client is None:
                    tls = client_context() if self.server.wire == "tls" else None
                    self.client = Client(self.server.address, tls, timeout_s=10)
                got = self.read()
                self.reads += 1
                self.counts[got] = self.counts.get(got, 0) + 1
                if got != "refused" and got not in self.allowed:
                    self.wrong.append(f"generation {got}, allowed are {self.allowed}")
            except ValueError as e:
                self.wrong.append(str(e))
            except (OSError, Closed):
                if self.client:
                    self.client.close()
                self.client = None
                time.sleep(0.01)
            time.sleep(0.002)
        if self.client:
            self.client.close()

    def end(self):
        self.over = True
        self.thread.join()


class Pair:
    """A primary and its replica, with the wire between them."""

    def __init__(self, t, rng, kinds, load, saves):
        self.t, self.rng, self.saves = t, rng, saves
        make = {"W": t.wherry, "R": t.redis}
        diskless = rng.choice(("yes", "yes", "no"))
        self.primary = make[kinds[0]](*OPTIONS, "--repl-diskless-sync", diskless)
        self.replica = make[kinds[1]](*OPTIONS, "--repl-diskless-load", load)
        self.letters = {self.primary: kinds[0], self.replica: kinds[1]}
        self.way = f"{kinds[0]} to {kinds[1]}, diskless {diskless}, load {load}" \
            + (", saving" if saves else "")
        self.between = t.proxy(self.primary)
        self.generation = 1
        self.watch = Watch(t, "W")
        self.slowest_s = 0
        self.amid = 0  # kills while the replica was not yet level
        for server in (self.primary, self.replica):
            server.must("DEBUG", "POPULATE", FILLER, "filler", 100)
            server.must("INCR", "counter")
            server.c.load(markers(1))
        began = time.monotonic()
        self.replica.must("REPLICAOF", *self.between.address)
        t.until(self.level, RECOVER_S, f"{self.way}: a full sync that nobody disturbs")
        self.took_s, self.bytes = time.monotonic() - began, self.between.moved["down"]

    def level(self):
        info = self.replica.info("replication")
        return info["master_link_status"] == "up" and \
            info["slave_repl_offset"] == self.primary.info()["master_repl_offset"]

    def prepare(self):
        """The replica alone with what it has, the primary one ahead."""
        self.replica.must("REPLICAOF", "NO", "ONE")
        path = os.path.join(self.replica.folder, "dump.rdb")
        if self.saves:
            self.replica.must("SAVE")
        elif os.path.exists(path):
            os.unlink(path)
        self.generation += 1
        self.primary.c.load(markers(self.generation))
        self.primary.must("SAVE")
        self.between.open_again()
        self.between.rate = self.rng.choice((None, None, 3_000_000, 8_000_000))

    def one(self):
        self.prepare()
        rng, g = self.rng, self.generation
        victims = rng.choice(([self.primary], [self.replica], [self.replica],
                              [self.primary, self.replica]))
        reader = Reader(self.replica, rng, {g - 1, g})
        if self.replica in victims and not self.saves:
            reader.allowed = {None, g - 1, g}
        self.kill(victims)
        if victims == [self.primary]:
            self.check_survivor()
        began = time.monotonic()
        for victim in victims:
            self.restart(victim)
        self.recovered(g)
        took = time.monotonic() - began
        self.slowest_s = max(self.slowest_s, took)
        reader.allowed = {g}
        time.sleep(0.05)
        reader.end()
        killed = " and ".join("primary" if v is self.primary else "replica" for v in victims)
        what = f"{self.way}, {killed} killed"
        self.t.check(not reader.wrong, f"{what}: old or new in {reader.reads} reads, recovered "
                     f"after {took:.2f} s", f"{reader.wrong[:3]} of {len(reader.wrong)}")
        if rng.random() < 0.3:
            self.t.same_data(self.replica, self.primary, self.way)
        for name, server in (("primary", self.primary), ("replica", self.replica)):
            self.watch.look(f"{self.letters[server]} {name}", server)

    def kill(self, victims):
        """At a byte of the transfer, or at an instant from its beginning on."""
        rng, hit = self.rng, threading.Event()

        def strike():
            for victim in victims:
                victim.process.kill()
            hit.set()
        if rng.random() < 0.6:
            self.between.cut_after("down", rng.randrange(1, self.bytes), strike)
        self.replica.must("REPLICAOF", *self.between.address)
        end = time.monotonic() + (5 if self.between.cut_at else
                                  rng.uniform(0, self.took_s * 1.3))
        while time.monotonic() < end and not hit.is_set():
            self.count_up()
        if hit.is_set():
            self.amid += 1
        else:
            self.amid += self.replica.info()["master_link_status"] != "up"
            strike()
        for victim in victims:
            victim.end()

    def count_up(self):
        """Traffic meanwhile; changes no key's existence."""
        try:
            self.primary.must("INCR", "counter")
        except (OSError, Closed):
            pass  # it has been killed
        time.sleep(0.001)

    def check_survivor(self):
        """The replica goes on while its primary is gone."""
        time.sleep(self.rng.choice((0.05, 0.3)))
        if self.replica.process.poll() is not None:
            raise Failed(f"{self.way}: the replica has ended too")

    def restart(self, victim):
        if victim is self.replica:
            self.replica.again(*self.options_of_replica())
        else:
            self.primary.again()

    def options_of_replica(self):
        if "--replicaof" in self.replica.options:
            return self.replica.options
        return [*self.replica.options, "--replicaof", "{} {}".format(*self.between.address)]

    def recovered(self, generation):
        self.between.rate = None
        end = time.monotonic() + RECOVER_S
        while not self.level():
            if time.monotonic() > end:
                self.t.need(False, f"{self.way}: recovers", f"not after {RECOVER_S} s: {self.replica.info('replication')}")
            time.sleep(0.01)
        got = self.replica("GET", "marker:0")
        if got != str(generation).encode():
            self.t.need(False, f"{self.way}: has the new data", got)

    def finish(self):
        self.watch.judge()
        for server in (self.replica, self.primary):
            left = [n for n in os.listdir(server.folder) if n.startswith("temp")]
            self.t.check(server.kind == "redis" or not left, f"{self.way}: no file is left over",
                         left)


totals = []  # of each pair: kills amid a sync, kills, the slowest recovery


def summary():
    amid, kills, slowest = (f(x) for f, x in zip((sum, sum, max), zip(*totals)))
    return f"{kills} kills, {amid} of them amid a sync; the slowest recovery took {slowest:.2f} s"


def trials(seed, count):
    """(name, wire, function), `count` kills in all."""
    rng = random.Random(f"{seed} kills")
    ways = [(p, l, s) for p in PAIRS for l in LOADS for s in (True, False)]
    rng.shuffle(ways)
    at = 0
    while count > 0:
        kinds, load, saves = ways[at % len(ways)]
        n = min(KILLS_EACH, count)

        def trial(t, own=random.Random(rng.random()), kinds=kinds, load=load, saves=saves, n=n):
            pair = Pair(t, own, kinds, load, saves)
            for _ in range(n):
                pair.one()
            pair.finish()
            print(f"  - {pair.amid} of {n} kills amid a sync, slowest recovery "
                  f"{pair.slowest_s:.2f} s", flush=True)
            totals.append((pair.amid, n, pair.slowest_s))
        yield f"kills {kinds} {load}", ("tcp", "tls")[at % 2], trial
        count -= n
        at += 1
