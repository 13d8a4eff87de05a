"""Chains of three servers, Redis and wherry mixed, under writes: links cut, stalled and dripping,
servers stopped and restarted, roles changed. After each round all links come up within a bound,
offsets and digests are equal, and nobody has synced in full where PSYNC's rules allow a partial one.

Every server is reached by its replicas through a proxy of its own (its inlet), which it also
announces, so that FAILOVER and REPLICAOF go through proxies as well."""

import random
import signal
import time

from harness import Closed, Failed, short
from history import History, Position, possible
from resp import Error, ReplyError, encode
from watch import Watch
from writers import Writers

MIXES = ("RWR", "WRW", "WWR", "RRW", "RWW", "WRR", "WWW")
TIMEOUT_S = 5  # repl-timeout
LINK_S = 40  # a link that nothing disturbs is up within this, on a busy machine too
OPTIONS = ("--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1", "--repl-timeout",
           str(TIMEOUT_S), "--repl-backlog-ttl", "0", "--shutdown-timeout", "3")
BACKLOGS = ("64mb", "64mb", "64mb", "100kb")


class Member:
    """A server with its inlet, and what it must say of its history."""

    def __init__(self, t, kind, name, options):
        self.t, self.kind, self.name = t, kind, name
        self.server = (t.wherry if kind == "W" else t.redis)(*options)
        self.inlet = t.proxy(self.server)
        host, port = self.inlet.address
        announce = ["--replica-announce-ip", host, "--replica-announce-port", str(port)]
        for directive, value in zip(announce[::2], announce[1::2]):
            self.server.must("CONFIG", "SET", directive[2:], value)
        self.options = [*options, *announce]
        self.upper = None
        self.history = History(self.look())

    def __repr__(self):
        return self.name

    def look(self):
        return Position(self.server.info())

    def follow(self, upper):
        self.upper = upper
        if upper:
            self.server.must("REPLICAOF", *upper.inlet.address)
        else:
            self.server.must("REPLICAOF", "NO", "ONE")

    def stop(self):
        """In order, with its data saved."""
        self.server.c.send(encode("SHUTDOWN", "SAVE"))
        try:
            got = self.server.c.reply()
            raise Failed(f"{self}: SHUTDOWN SAVE: {got!r}")
        except Closed:
            pass
        status = self.server.process.wait(30)
        self.server.end()
        if status != 0:
            raise Failed(f"{self} ended with {status}")

    def start(self):
        upper = ["--replicaof", "{} {}".format(*self.upper.inlet.address)] if self.upper else []
        self.server.again(*self.options, *upper)


class Chain:
    def __init__(self, t, mix, rng, backlog):
        self.t, self.rng, self.mix = t, rng, mix
        options = list(OPTIONS) + ["--repl-backlog-size", backlog]
        if rng.random() < 0.3:
            options += ["--repl-diskless-sync", "no"]
        if rng.random() < 0.5:
            options += ["--repl-diskless-load", rng.choice(("swapdb", "on-empty-db"))]
        self.big = backlog == "64mb"
        self.order = [Member(t, kind, f"{kind}{i}", options) for i, kind in enumerate(mix)]
        self.writers = Writers(f"{rng.random()}")
        self.watch = Watch(t, "W")
        self.slowest_s = 0
        self.counts = {"partial": 0, "full": 0, "faults": 0, "unsure": 0}

    @property
    def top(self):
        return self.order[0]

    def links(self):
        return list(zip(self.order, self.order[1:]))

    def note(self, text):
        print(f"  - {text}", flush=True)

    # ---- waiting ----

    def wait(self, condition, seconds, what):
        """Like Trial.until, but says nothing when all is well; gives the seconds it took."""
        began = time.monotonic()
        last = ""
        while True:
            try:
                if condition():
                    return time.monotonic() - began
            except (OSError, Closed, KeyError) as e:
                last = repr(e)
            if time.monotonic() - began > seconds:
                states = {m.name: m.look() for m in self.order}
                self.t.need(False, what, f"not so after {seconds} s; {states} {last}")
            time.sleep(0.02)

    def links_up(self, what):
        """All links are up at the same moment."""
        took = self.wait(lambda: all(lower.look().up for _, lower in self.links()), LINK_S,
                         f"{what}: all links are up")
        self.slowest_s = max(self.slowest_s, took)

    def level(self, what):
        """Everyone has what the first one has written."""
        def same():
            looks = [m.look() for m in self.order]
            return len({x.offset for x in looks}) == 1 and len({x.id for x in looks}) == 1
        self.wait(same, LINK_S, f"{what}: offsets are equal")

    def verify(self, what):
        """Nothing writes: offsets and data are equal throughout."""
        was = self.writers.pause()
        self.links_up(what)
        self.level(what)
        self.same_data(what)
        for m in self.order:
            wrong = m.history.wrong(m.look())
            if wrong:
                self.t.need(False, f"{what}: {m} knows its history", wrong)
            self.watch.look(m.name, m.server)
        self.writers.to(was or self.top.server)

    def same_data(self, what):
        """Something may expire between two looks, so that these are repeated for a while."""
        end = time.monotonic() + 10
        while True:
            digests = [m.server.digest() for m in self.order]
            if len(set(digests)) == 1:
                self.t.check(True, f"{what}: equal digests")
                return
            if time.monotonic() > end:
                break
            time.sleep(0.1)
        data = [m.server.key_digests() for m in self.order]
        for m, keys in zip(self.order[1:], data[1:]):
            wrong = {k for k in keys.keys() | data[0].keys() if keys.get(k) != data[0].get(k)}
            self.note(f"{m} differs from {self.top} in {len(wrong)} keys: {short(wrong)}")
        self.t.need(False, f"{what}: equal digests", short(digests))

    # ---- beginning ----

    def assemble(self):
        self.top.server.must("DEBUG", "POPULATE", 3000, "filler", 100)
        self.writers.to(self.top.server)
        for upper, lower in self.links():
            lower.follow(upper)
            self.wait(lambda: lower.look().up, LINK_S, f"{lower} behind {upper}")
            lower.history.replaced(upper.look())
        self.top.history = History(self.top.look())
        self.verify("assembled")

    # ---- faults on the wires, roles as they are ----

    def one_fault(self):
        """Something goes wrong for a while, and is well again."""
        rng = self.rng
        member = rng.choice(self.order)
        inlet = rng.choice(self.order[:2]).inlet
        long_s = rng.choice((0.01, 0.1, 0.5, 1.5)) if rng.random() < 0.9 else TIMEOUT_S + 2
        kind = rng.choice(("cut", "cut", "cut at", "cut at", "stall", "drip", "shut", "stop"))
        self.counts["faults"] += 1
        if kind == "cut":
            inlet.cut()
            time.sleep(long_s)
        elif kind == "cut at":
            inlet.cut_after(rng.choice(("up", "down")), rng.choice((1, 50, 200, 1000, 50000)))
            time.sleep(long_s)
        elif kind == "stall":
            inlet.stall()
            time.sleep(long_s)
            if rng.random() < 0.3:
                inlet.cut()
            inlet.resume()
        elif kind == "drip":
            inlet.rate = rng.choice((100, 3000, 50000))
            time.sleep(long_s)
            inlet.rate = None
        elif kind == "shut":
            inlet.shut()
            time.sleep(long_s)
            inlet.open_again()
        elif kind == "stop":
            member.server.send_signal(signal.SIGSTOP)
            time.sleep(long_s)
            member.server.send_signal(signal.SIGCONT)

    def heal(self):
        for m in self.order:
            m.inlet.open_again()

    def disturb(self, seconds):
        """Wires and processes fail; where the backlog holds all, no full sync comes of it."""
        before = {m: m.look() for m in self.order}
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.one_fault()
        self.heal()
        self.links_up("after faults")
        for upper, lower in self.links():
            was, now = before[upper], upper.look()
            self.counts["partial"] += now.partial - was.partial
            self.counts["full"] += now.full - was.full
            if now.full == was.full:
                continue
            # Full syncs are for whom the backlog has left behind, and who follows such a one.
            self.t.need(not self.big, f"after faults: no full sync of {lower} by {upper}",
                        f"{now.full - was.full}; {was} before")
            lower.history.replaced(now)

    # ---- other orders, other roles ----

    def close(self):
        """No link is left, and every replica has noticed."""
        for m in self.order:
            m.inlet.shut()
        self.wait(lambda: not any(m.look().up for m in self.order if m.upper), LINK_S,
                  "links are down")

    def remake(self):
        """Another order of the three: by promotion where another one comes first, with links closed
        until roles are set; some are restarted meanwhile."""
        rng = self.rng
        order = list(self.order)
        if rng.random() < 0.8:
            rng.shuffle(order)
        level = rng.random() < 0.6
        stale = rng.random() < 0.3  # writes go on at the old primary for a while
        restarts = [m for m in order if rng.random() < 0.25]
        live = rng.random() < 0.5  # shut down with links up
        self.note(f"{self.order} to {order}{', level' * level}{', stale writes' * stale}"
                  + (f", {'live ' * live}restarts of {restarts}" if restarts else ""))
        if level:
            self.writers.pause()
            self.level("before a change")
        for m in restarts if live else ():
            m.stop()
        for m in self.order:
            m.inlet.shut()
        for m in restarts if live else ():
            self.started(m)
        self.close()
        old_top = self.top
        self.order = order
        self.take_roles(restarts if not live else ())
        if stale and old_top is not self.top:
            self.writers.to(old_top.server)
            time.sleep(0.2)
        self.writers.to(self.top.server)
        self.wait(lambda: self.top.server("PING") == b"PONG", 5, "the first one answers")
        for upper, lower in self.links():
            self.settle(upper, lower)

    def started(self, m):
        m.start()
        m.history.restarted(m.look())

    def take_roles(self, restarts):
        for m in restarts:
            if self.rng.random() < 0.5:
                m.stop()
                self.started(m)
        if self.top.upper:
            before = self.top.look()
            self.top.follow(None)
            after = self.top.look()
            self.top.history.promoted(before, after)
            self.kept_backlog(self.top, before, after)
        for upper, lower in self.links():
            if lower.upper is not upper:
                before = lower.look()
                lower.follow(upper)
                self.kept_backlog(lower, before, lower.look())
        for m in self.order:
            wrong = m.history.wrong(m.look())
            if wrong:
                self.t.need(False, f"{m} knows its history after a change of roles", wrong)

    def kept_backlog(self, m, before, after):
        if before.active and after.first > before.first and after.length < after.size // 2:
            self.t.need(False, f"{m} keeps its backlog through a change of roles",
                        f"{before} before, {after} after")

    def settle(self, upper, lower):
        """Opens one closed link and compares what happens with what must."""
        below = lower.look()
        if self.rng.random() < 0.8 and below.id in (upper.history.id, upper.history.id2):
            self.catch_up(upper, below.offset)
        above = upper.look()
        expected = possible(above, below)
        upper.inlet.open_again()
        for _ in range(self.rng.choice((0, 0, 1, 2, 5))):
            upper.inlet.cut_after(self.rng.choice(("up", "down")),
                                  self.rng.choice((1, 20, 90, 200, 1000, 20000)))
            time.sleep(self.rng.choice((0.05, 0.3, 1.1)))
        upper.inlet.open_again()
        took = self.wait(lambda: lower.look().up, LINK_S, f"{lower} behind {upper}")
        self.slowest_s = max(self.slowest_s, took)
        now = upper.look()
        full = now.full - above.full
        what = f"{lower} behind {upper}"
        if expected != possible(now, below):
            # The backlog has moved on, or the primary was itself behind.
            self.counts["unsure"] += 1
            expected = not full
        elif expected:
            self.t.need(full == 0, f"{what}: a partial resync",
                        f"{full} full ones; {below} under {above}")
        else:
            self.t.need(full > 0, f"{what}: a full sync", f"none; {below} under {above}")
        self.counts["partial" if expected else "full"] += 1
        if not above.active:
            # Who has no backlog begins a history with its first replica.
            upper.history = History(now)
        if expected:
            lower.history.continued(now, below)
        else:
            lower.history.replaced(now)
        wrong = lower.history.wrong(lower.look())
        if wrong:
            self.t.need(False, f"{what}: it knows its history", f"{wrong}; {below} under {above}")

    def catch_up(self, upper, offset):
        """A replica in the middle gets what the one behind it has already."""
        end = time.monotonic() + 5
        while upper.look().offset < offset and time.monotonic() < end:
            time.sleep(0.02)

    # ---- FAILOVER ----

    def failover(self):
        """The first two change places by FAILOVER, with writers running."""
        old, new, last = self.order
        self.note(f"FAILOVER from {old} to {new}")
        before = {m: m.look() for m in self.order}
        self.wait(lambda: "online" in old.server.info()["slave0"], LINK_S, "the target is online")
        got = old.server("FAILOVER", "TO", *new.inlet.address, "TIMEOUT", 8000)
        if isinstance(got, Error):
            self.t.need(False, f"FAILOVER of {old}", got)
        hits = self.rng.choice((0, 0, 1, 3))
        for _ in range(hits):
            inlet = self.rng.choice((old, new)).inlet
            self.rng.choice((inlet.cut, lambda: inlet.cut_after("down", self.rng.randrange(1, 400)),
                             lambda: inlet.cut_after("up", self.rng.randrange(1, 400))))()
            time.sleep(self.rng.choice((0.01, 0.2, 1.1)))
        self.heal()
        self.wait(lambda: old.server.info()["master_failover_state"] == "no-failover", 30,
                  "the failover has ended")
        if not old.look().replica:
            self.t.need(hits > 0, f"FAILOVER from {old} to {new} succeeds")
            self.note("it was called off")
            if not new.look().replica:
                self.t.need(False, "one primary", f"{old} and {new} are primaries")
            self.links_up("after a failover that was called off")
            self.called_off(old)
            return
        old.upper, new.upper = new, None
        self.writers.to(new.server)
        # The old one follows the new one by itself; the last follows the new one still.
        self.wait(lambda: old.look().up and last.look().up, LINK_S, "links after a failover")
        fulls = {m: m.look().full - before[m].full for m in self.order}
        if self.big:  # a small backlog may be too short for the writes meanwhile
            self.t.need(not any(fulls.values()), "a failover without a full sync",
                        f"{fulls}; {before} before")
        # One of the two goes behind the other, so that it is a chain again.
        self.order = [new, old, last] if self.rng.random() < 0.5 else [new, last, old]
        for m in self.order:
            m.history = History(m.look())
        middle, lowest = self.order[1:]
        # Nobody goes behind one that has less, as it would while somebody writes.
        self.writers.pause()
        self.level("after a failover")
        full = middle.look().full
        lowest.follow(middle)
        self.links_up("a chain again")
        self.writers.to(new.server)
        lowest.history = History(lowest.look())
        if self.big:
            self.t.need(middle.look().full == full,
                        f"{lowest} goes behind {middle} without a full sync")

    def called_off(self, old):
        """Redis makes itself a replica before it asks, and a primary of a new id when refused."""
        was, now = old.history.id, old.look()
        if now.id == was:
            return
        self.t.need(now.id2 == was, f"{old} keeps its history when a failover is called off",
                    f"{was} before, {now} after")
        for m in self.order:
            m.history = History(m.look())

    # ---- anything at any time ----

    def one_change(self):
        """Somebody gets another role, whatever the others are doing."""
        rng = self.rng
        m = rng.choice(self.order)
        what = rng.choice(("promote", "follow", "follow", "failover", "write", "fault", "fault"))
        if what == "promote":
            m.server("REPLICAOF", "NO", "ONE")
        elif what == "follow":
            other = rng.choice([x for x in self.order if x is not m])
            m.server("REPLICAOF", *other.inlet.address)
        elif what == "failover":
            m.server("FAILOVER", "TIMEOUT", rng.choice((50, 1000)))
        elif what == "write":
            self.writers.to(m.server)
        else:
            self.one_fault()
        time.sleep(rng.choice((0, 0.05, 0.3)))

    def insist(self, m, upper):
        """A role that a server may refuse for now, while it loads or fails over."""
        def done():
            try:
                m.server("FAILOVER", "ABORT")
                m.follow(upper)
                return True
            except ReplyError:
                return False
        self.wait(done, LINK_S, f"{m} takes its role")

    def mess(self):
        """Roles change while links fail; only that a chain comes out of it whole is judged."""
        end = time.monotonic() + self.rng.uniform(1, 4)
        while time.monotonic() < end:
            self.one_change()
        self.heal()
        self.rng.shuffle(self.order)
        self.note(f"a mess, then {self.order}")
        self.insist(self.top, None)
        self.writers.to(self.top.server)
        for upper, lower in self.links():
            self.insist(lower, upper)
        self.links_up("after a mess")
        self.writers.pause()
        self.level("after a mess")
        for m in self.order:
            m.history = History(m.look())

    # ---- the run ----

    def round(self):
        self.disturb(self.rng.uniform(1, 5))
        if self.rng.random() < 0.25:
            self.mess()
        elif self.rng.random() < 0.35:
            self.verify("before a failover")
            self.failover()
        else:
            self.remake()
        self.verify(f"in the end {self.order}")

    def finish(self):
        self.writers.end()
        self.t.check(self.writers.done > 500, f"writers wrote ({self.writers.done} commands, "
                     f"{self.writers.refused} refused)", str(self.writers.done))
        self.watch.judge()
        for m in self.order:
            m.stop()
        c = self.counts
        self.note(f"{c['faults']} faults, {c['partial']} partial resyncs, {c['full']} full ones "
                  f"as they must be, {c['unsure']} at the edge of the backlog; the slowest link was "
                  f"up after {self.slowest_s:.1f} s")


def trial(mix, seed, seconds):
    """A test of one mix that lasts about as long, and one round at least."""
    def chain(t):
        rng = random.Random(f"{seed} {mix}")
        c = Chain(t, mix, rng, rng.choice(BACKLOGS))
        try:
            end = time.monotonic() + seconds
            c.assemble()
            while True:
                c.round()
                if time.monotonic() > end:
                    break
            c.finish()
        finally:
            for m in c.order:
                m.server.send_signal(signal.SIGCONT)
            c.writers.end()
    return chain
