"""What commands do beside answering: the same stream to replicas and the same keyspace events from
wherry and from Redis, command by command."""

import re
import time

import command_lists
from resp import encode
from test_commands import parse

MARK = b"__mark"
# Times of day differ between two runs. What is chosen by chance ("?" in the lists) or is about the
# connection has no place in the comparison.
MOMENT = re.compile(rb"^\d{13}(-\d+)?$")
LEFT_OUT = {b"multi", b"exec", b"discard", b"subscribe", b"quit", b"hello", b"reset", b"debug",
            b"config", b"client", b"psubscribe", b"ssubscribe", b"monitor", b"replicaof",
            b"shutdown", b"bgsave", b"save", b"publish", b"spublish"}


class Listener:
    """A replica that only listens: full sync, then the stream of commands."""

    def __init__(self, t, server):
        self.c = server.client()
        self.c.must("REPLCONF", "capa", "eof", "capa", "psync2")
        self.c.send(encode("PSYNC", "?", "-1"))
        answer = self.line()
        if not answer.startswith(b"+FULLRESYNC"):
            raise ValueError(answer)
        self.skip_rdb()
        # The stream begins with the first ACK after the primary has seen the transfer end.
        t.until(lambda: "state=online" in server.info("replication")["slave0"], 10,
                f"{server.kind}: full sync")
        self.c.send(encode("REPLCONF", "ACK", 0))

    def line(self):
        """Bare newlines say that the primary is still there."""
        return self.c.read_line().lstrip(b"\n")

    def skip_rdb(self):
        line = self.line()
        if not line.startswith(b"$EOF:"):
            self.c.read_exact(int(line[1:]))
            return
        end, seen = line[5:45], b""
        while not seen.endswith(end):
            seen = seen[-40:] + self.c.read_exact(1)

    def until_mark(self, value):
        got = []
        while True:
            command = self.c.read()
            if command[0].upper() in (b"PING", b"REPLCONF", b"SELECT"):
                continue
            if command[1:2] == [MARK]:
                if command[0].upper() == b"SET" and command[2] == value:
                    return got
                continue
            got.append([command[0].upper()] +
                       [b"<moment>" if MOMENT.match(w) else w for w in command[1:]])


class Watcher:
    """One server, with a listener to its stream and one to its events."""

    def __init__(self, t, server):
        self.c = server.c
        self.c.must("FLUSHALL")
        self.c.must("CONFIG", "SET", "notify-keyspace-events", "KEAn")
        self.events = server.client()
        self.events.must("PSUBSCRIBE", "__key*")
        self.stream = Listener(t, server)
        self.count = 0

    def effects(self, command):
        """(commands that went to replicas, events) of one command."""
        self.count += 1
        mark = b"%d" % self.count
        self.c(*command)
        self.c.must("SET", MARK, mark)
        propagated = self.stream.until_mark(mark)
        events = []
        while True:
            message = self.events.read()
            if message[2].endswith(b":" + MARK):
                if message[3] == b"set":
                    break
            elif message[3] != MARK:
                events.append((message[2], message[3]))
        return propagated, events


def compare(t, family):
    at_once = ("--repl-diskless-sync-delay", "0")
    wherry, redis = Watcher(t, t.wherry(*at_once)), Watcher(t, t.redis(*at_once))
    same = 0
    for mark, command in parse(command_lists.FAMILIES[family]):
        if mark == "?" or command[0].lower() in LEFT_OUT:
            continue
        got, want = wherry.effects(command), redis.effects(command)
        shown = b" ".join(command).decode(errors="replace")
        same += got == want
        if got[0] != want[0]:
            t.equal(got[0], want[0], f"to replicas: {shown}")
        if got[1] != want[1]:
            t.equal(got[1], want[1], f"events: {shown}")
    t.check(same > 0, f"{family}: {same} commands change what they change in Redis")


def test_strings(t):
    compare(t, "strings")


def test_bits(t):
    compare(t, "bits")


def test_keys(t):
    compare(t, "keys")


def test_lists(t):
    compare(t, "lists")


def test_sets(t):
    compare(t, "sets")


def test_hashes(t):
    compare(t, "hashes")


def test_zsets(t):
    compare(t, "zsets")


def test_streams(t):
    compare(t, "streams")


def test_expired_keys_met_by_a_walk(t):
    """DEL goes for each by itself where Redis does so, in a transaction or not at all where it does that."""
    at_once = ("--repl-diskless-sync-delay", "0")
    watchers = [Watcher(t, t.wherry(*at_once)), Watcher(t, t.redis(*at_once))]
    for walk in (("SCAN", "0", "COUNT", "100"), ("KEYS", "*"), ("EXISTS", "gone:1", "gone:2"),
                 ("MGET", "gone:1", "gone:2")):
        seen = []
        for w in watchers:
            w.c.must("FLUSHALL")
            w.c.must("DEBUG", "SET-ACTIVE-EXPIRE", "0")
            for i in range(4):
                w.c.must("SET", f"gone:{i}", "v", "PX", "1")
            time.sleep(0.01)
            w.effects(("PING",))
            seen.append(sorted(w.effects(walk)[0]))
        t.equal(seen[0], seen[1], f"to replicas: {walk[0]} over expired keys")
