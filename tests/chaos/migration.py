"""Keys of all types and sizes that MIGRATE moves between two servers while wires are cut, stall and
drip and either end is killed: each key is on exactly one side, or on both and equal where an
acknowledgement was lost; never on neither, never in part.

Values don't change, so that the digest which a key had at first is the one that every copy must have.
What a kill takes along is decided like this: moves go one way, from a server that has saved all keys,
and one by one. A source that comes back has every key again. When the target dies with what it had
got, exactly the keys whose MIGRATE said OK are gone from the source."""

import os
import random
import signal
import threading
import time

import data
from harness import Closed, Failed, client_context, short
from resp import Client, Error
from watch import Watch

PAIRS = ("WW", "WR", "RW")
SHORTEST_S = 5
MOVERS = 4
OPTIONS = ("--repl-timeout", "60")


def fill(client):
    client.load(data.commands(1))
    data.big_hash(client, "big:hash", 30_000)
    client.load((("RPUSH", "big:list", *(f"element {at + i}" for i in range(1000)))
                 for at in range(0, 30_000, 1000)))
    client.load((("ZADD", "big:zset", *(x for i in range(500) for x in (at + i, f"m{at + i}")))
                 for at in range(0, 20_000, 500)))
    client.load((("SADD", "big:set", *(f"member {at + i}" for i in range(1000)))
                 for at in range(0, 20_000, 1000)))
    client.load(("XADD", "big:stream", f"{i}-1", "field", f"value {i}") for i in range(1, 5000))
    client.must("SET", "big:string", os.urandom(1000) * 4000)
    client.must("PEXPIRE", "big:hash", 7_200_000)


class Movers:
    """Threads that send MIGRATE from any of `ways`, pairs of (source, inlet of the target)."""

    def __init__(self, rng, names, ways, together=True, weight=None):
        self.names, self.ways, self.together = names, ways, together
        self.lock = threading.Lock()
        self.over = False
        self.said = {"OK": 0, "NOKEY": 0, "error": 0}
        self.doubtful = set()  # keys of a MIGRATE that failed or copied
        self.moved = set()  # keys of one that said OK
        self.odd = []
        self.threads = [threading.Thread(target=self.run, args=(random.Random(rng.random()),),
                                         daemon=True) for _ in range(MOVERS)]
        for thread in self.threads:
            thread.start()

    def run(self, rng):
        clients = {}
        while not self.over:
            way = rng.choice(self.ways)
            names, words = self.request(rng)
            try:
                if way[0] not in clients:
                    tls = client_context() if way[0].wire == "tls" else None
                    clients[way[0]] = Client(way[0].address, tls, timeout_s=40)
                host, port = way[1].address
                timeout_ms = rng.choice((100, 400, 1500))
                if len(names) == 1:
                    got = clients[way[0]]("MIGRATE", host, port, names[0], 0, timeout_ms, *words)
                else:
                    got = clients[way[0]]("MIGRATE", host, port, "", 0, timeout_ms, *words, "KEYS",
                                          *names)
                self.note(names, words, got)
            except (OSError, Closed):  # the source has been killed
                self.note(names, words, None)
                clients.pop(way[0], None)
                time.sleep(0.02)
        for c in clients.values():
            c.close()

    def request(self, rng):
        if not self.together:
            # Each key once: its last answer decides.
            with self.lock:
                if not self.names:
                    self.over = True
                    return ["nothing is left"], []
                return [self.names.pop(rng.randrange(len(self.names)))], []
        count = rng.choice((1, 1, 3, 40))
        words = rng.choice(([], ["REPLACE"], ["REPLACE"], ["COPY", "REPLACE"]))
        return rng.sample(self.names, count), words

    def note(self, names, words, got):
        with self.lock:
            kind = "error" if got is None or isinstance(got, Error) else bytes(got).decode()
            self.said[kind] += 1
            if kind == "error" or "COPY" in words:
                self.doubtful.update(names)
            elif kind == "OK":
                self.moved.update(names)
            if isinstance(got, Error) and got.split()[0] not in (b"IOERR", b"ERR", b"BUSYKEY"):
                self.odd.append(got)

    def end(self):
        self.over = True
        for thread in self.threads:
            thread.join(60)
        if any(thread.is_alive() for thread in self.threads):
            raise Failed("a MIGRATE was never answered")


class Two:
    def __init__(self, t, rng, kinds):
        self.t, self.rng, self.kinds = t, rng, kinds
        self.sides = [(t.wherry if k == "W" else t.redis)(*OPTIONS) for k in kinds]
        self.inlets = [t.proxy(s) for s in self.sides]
        self.watch = Watch(t, "W")
        self.counts = {"OK": 0, "NOKEY": 0, "error": 0, "both": 0, "kills": 0}

    def start_anew(self):
        """Every key at the first one, nothing at the second."""
        for s in self.sides:
            s.must("FLUSHALL")
        fill(self.sides[0].c)
        self.names = sorted(self.sides[0].must("KEYS", "*"))
        self.want = self.digests(self.sides[0])

    def digests(self, server):
        """{key: digest} of those that are there."""
        names = server.must("KEYS", "*")
        found = {}
        for at in range(0, len(names), 50):
            part = names[at:at + 50]
            found.update(zip(part, map(bytes, server.must("DEBUG", "DIGEST-VALUE", *part))))
        return found

    def quiet(self):
        """Nothing is under way any more at either side."""
        def idle():
            return all(int(s.info().get("migrate_in_flight", 0)) == 0 for s in self.sides)
        self.t.until(idle, 20, f"{self.kinds}: no MIGRATE is under way")

    def check_values(self, found, what):
        """What is there is whole, and nothing else is there."""
        wrong = [k for side in found for k, d in side.items() if d != self.want.get(k)]
        self.t.need(not wrong, f"{what}: every copy is whole", f"{len(wrong)}: {short(wrong)}")

    def disturb(self, seconds):
        rng, end = self.rng, time.monotonic() + seconds
        while time.monotonic() < end:
            inlet = rng.choice(self.inlets)
            kind = rng.choice(("cut", "cut at", "cut at", "cut at", "stall", "drip", "stop"))
            pause_s = rng.choice((0.01, 0.1, 0.1, 0.5))
            if kind == "cut":
                inlet.cut()
            elif kind == "cut at":
                inlet.cut_after(rng.choice(("up", "down")), rng.choice((1, 30, 500, 20000, 10**6)))
            elif kind == "stall":
                inlet.stall()
            elif kind == "drip":
                inlet.rate = rng.choice((50, 2000, 200000))
            side = rng.choice(self.sides)
            if kind == "stop":
                side.send_signal(signal.SIGSTOP)
            time.sleep(pause_s)
            if kind == "stop":
                side.send_signal(signal.SIGCONT)
            inlet.resume()
            inlet.rate = None
        for inlet in self.inlets:
            inlet.open_again()

    def back_and_forth(self):
        a, b = self.sides
        self.start_anew()
        movers = Movers(self.rng, self.names, [(a, self.inlets[1]), (b, self.inlets[0])])
        self.disturb(self.rng.uniform(2, 4))
        movers.end()
        self.quiet()
        found = [self.digests(s) for s in self.sides]
        what = f"{self.kinds}: after moves and faults"
        self.check_values(found, what)
        lost = self.want.keys() - found[0].keys() - found[1].keys()
        self.t.need(not lost, f"{what}: no key is lost", short(lost))
        both = found[0].keys() & found[1].keys()
        wrong = both - movers.doubtful
        self.t.need(not wrong, f"{what}: keys are on both sides only after an error or a copy",
                    short(wrong))
        self.t.check(not movers.odd, f"{what}: errors are of the known kinds", short(movers.odd))
        for kind, n in movers.said.items():
            self.counts[kind] += n
        self.counts["both"] += len(both)
        for kind, s in zip(self.kinds, self.sides):
            self.watch.look(f"{kind} {s.port}", s)

    def kill(self):
        """kill -9 of one end at an instant or at a byte, while keys go from the first to the
        second."""
        rng = self.rng
        self.start_anew()
        source, target = self.sides
        for s in self.sides:
            s.must("SAVE")
        victim = rng.choice(self.sides)
        hit = threading.Event()

        def strike():
            victim.process.kill()
            hit.set()
        if rng.random() < 0.7:
            self.inlets[1].cut_after("up", rng.randrange(1, 12_000_000), strike)
        movers = Movers(rng, list(self.names), [(source, self.inlets[1])], together=False)
        if not hit.wait(rng.uniform(0, 1.0) if not self.inlets[1].cut_at else 3):
            strike()
        movers.end()
        victim.end()
        what = f"{self.kinds}: the {'source' if victim is source else 'target'} killed"
        self.counts["kills"] += 1
        if victim is source:
            self.quiet_side(target)
            got = self.digests(target)
            missing = movers.moved - got.keys()
            self.t.need(not missing, f"{what}: what was acknowledged is at the target",
                        short(missing))
            self.check_values([got], what)
        else:
            self.quiet_side(source)
            left = self.digests(source)
            self.check_values([left], what)
            wrong = (self.want.keys() - left.keys()) ^ movers.moved
            self.t.need(not wrong, f"{what}: the source has what was not acknowledged, and only "
                        "that", short(wrong))
        victim.again()
        self.inlets[1].open_again()
        found = [self.digests(s) for s in self.sides]
        self.check_values(found, f"{what} and back")
        if victim is source:
            self.t.need(found[0].keys() == self.want.keys(), f"{what} and back: it has all keys")
        for kind, n in movers.said.items():
            self.counts[kind] += n

    def quiet_side(self, server):
        self.t.until(lambda: int(server.info().get("migrate_in_flight", 0)) == 0, 20,
                     f"{self.kinds}: the survivor has nothing under way")

    def finish(self):
        self.watch.judge()
        self.t.check(self.counts["OK"] > 0, f"keys moved ({self.counts})")


def trial(kinds, seed, seconds):
    def migrate(t):
        rng = random.Random(f"{seed} {kinds} {t.wire}")
        two = Two(t, rng, kinds)
        try:
            end = time.monotonic() + seconds
            while True:
                two.back_and_forth()
                two.kill()
                if time.monotonic() > end:
                    break
            two.finish()
        finally:
            for s in two.sides:
                s.send_signal(signal.SIGCONT)
    return migrate


def trials(seed, seconds, rng):
    """(name, wire, function): as many pairs and wires as have time for a round."""
    ways = [(p, w) for p in PAIRS for w in ("tcp", "tls")]
    rng.shuffle(ways)
    ways = ways[:max(1, seconds // SHORTEST_S)]
    for kinds, wire in ways:
        yield f"migration {kinds}", wire, trial(kinds, seed, seconds / len(ways))
