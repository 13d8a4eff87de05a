"""Deadlines in real time, under load: how late hundreds of waits for bad peers end.

All bad peers and all clients are in this one process, so that few programs share the processors.
A wait is timed from outside (the instant of the reply, or of the end of the connection, less the
instant at which it was due) and by the nodes themselves (INFO loop)."""

import asyncio
import os
import ssl
import time

from common import harness, short_turns

TIMEOUT_MS = 500
CROWD = 100              # waits of one kind at once
LATE_P999_MS = 2
WRITES = 20_000          # a second, by one client, while all of it goes on
PATIENCE_S = 10
DRIP_S = 0.05
WATCH_S = 0.005
HELLO = b"\x16\x03\x03\x40\x00\x02"  # a handshake record of 16 KiB that begins a server's hello


def context(server):
    purpose = ssl.PROTOCOL_TLS_SERVER if server else ssl.PROTOCOL_TLS_CLIENT
    made = ssl.SSLContext(purpose)
    made.load_verify_locations(os.path.join(harness.CERTS, "ca.crt"))
    name = "wherry" if server else "client"
    made.load_cert_chain(os.path.join(harness.CERTS, f"{name}.crt"),
                         os.path.join(harness.CERTS, f"{name}.key"))
    made.check_hostname = False
    return made


class Peer(asyncio.Protocol):
    """Answers `answers` requests as a primary or a target would, then nothing; or drips for ever."""

    def __init__(self, way, answers, lifetimes):
        self.way, self.answers, self.lifetimes = way, answers, lifetimes
        self.asked_at, self.dripped = None, 0

    def connection_made(self, transport):
        self.transport, self.asked_at = transport, time.monotonic()
        if self.way == "drip":
            asyncio.get_running_loop().call_later(DRIP_S, self.drip)

    def drip(self):
        if self.transport.is_closing():
            return
        # Over TLS the endless beginning of a reply; below it, of a record with a hello.
        over_tls = self.transport.get_extra_info("sslcontext")
        self.transport.write(b"+" if over_tls else HELLO[self.dripped:][:1] or b"\0")
        self.dripped += 1
        asyncio.get_running_loop().call_later(DRIP_S, self.drip)

    def data_received(self, data):
        self.asked_at = time.monotonic()
        if self.answers > 0:
            self.answers -= 1
            self.transport.write(b"+PONG\r\n" if b"PING" in data else b"+OK\r\n")

    def connection_lost(self, error):
        self.lifetimes.append((time.monotonic() - self.asked_at) * 1000)


class Reader(asyncio.Protocol):
    """A client: what it sends, and when the answer or the end came."""

    def __init__(self):
        self.over = asyncio.get_running_loop().create_future()
        self.text = b""

    def connection_made(self, transport):
        self.transport = transport

    def send(self, data):
        self.sent_at = time.monotonic()
        self.transport.write(data)

    def data_received(self, data):
        self.text += data
        if not self.over.done():
            self.over.set_result((time.monotonic(), data))

    def connection_lost(self, error):
        if not self.over.done():
            self.over.set_result((time.monotonic(), b""))


def words(*args):
    args = [str(a).encode() for a in args]
    return b"*%d\r\n" % len(args) + b"".join(b"$%d\r\n%s\r\n" % (len(a), a) for a in args)


async def wait_for_migrates(node, way, tls):
    """CROWD MIGRATEs at once, each to a bad target of its own."""
    loop = asyncio.get_running_loop()
    servers, late = [], []
    readers = [(await loop.create_connection(Reader, "127.0.0.1", node.port,
                                             ssl=context(False)))[1] for _ in range(CROWD)]
    for i, reader in enumerate(readers):
        server = await loop.create_server(lambda: Peer(way, 0, []), "127.0.0.1", 0,
                                          ssl=context(True) if tls else None)
        servers.append(server)
        port = server.sockets[0].getsockname()[1]
        reader.send(words("MIGRATE", "127.0.0.1", port, f"move:{i}", 0, TIMEOUT_MS))
        await asyncio.sleep(TIMEOUT_MS / 1000 / CROWD)
    for reader in readers:
        at, reply = await asyncio.wait_for(reader.over, PATIENCE_S)
        assert reply.startswith(b"-IOERR"), reply
        late.append((at - reader.sent_at) * 1000 - TIMEOUT_MS)
        reader.transport.abort()
    for server in servers:
        server.close()
    return late


async def wait_for_accepts(node, first):
    """CROWD connections to the TLS port that send the beginning of a hello, or drip it."""
    loop = asyncio.get_running_loop()
    readers = []
    for _ in range(CROWD):
        reader = (await loop.create_connection(Reader, "127.0.0.1", node.port))[1]
        reader.sent_at = time.monotonic()
        if first:
            reader.transport.write(first)
        readers.append(reader)
        await asyncio.sleep(TIMEOUT_MS / 1000 / CROWD)
    drips = 0
    while first and not all(r.over.done() for r in readers) and drips < 100:
        for reader in readers:
            if not reader.over.done():
                reader.transport.write(b"\x00")
        drips += 1
        await asyncio.sleep(DRIP_S)
    ends = [await asyncio.wait_for(r.over, PATIENCE_S) for r in readers]
    return [(at - r.sent_at) * 1000 - TIMEOUT_MS for r, (at, _) in zip(readers, ends)]


async def wait_for_acks(node):
    """Replicas that take the stream, acknowledge once and then never again."""
    loop = asyncio.get_running_loop()
    late = []
    for _ in range(CROWD // 10):
        reader = (await loop.create_connection(Reader, "127.0.0.1", node.port,
                                               ssl=context(False)))[1]
        reader.send(words("REPLCONF", "capa", "eof", "capa", "psync2") +
                    words("PSYNC", "?", "-1"))
        until = time.monotonic() + PATIENCE_S
        mark = b""
        while time.monotonic() < until:
            await asyncio.sleep(0.01)
            if not mark and b"$EOF:" in reader.text:
                start = reader.text.index(b"$EOF:") + 5
                mark = reader.text[start:start + 40]
            if len(mark) == 40 and reader.text.count(mark) > 1:
                break
        reader.over = loop.create_future()
        ended = loop.create_future()
        reader.data_received = lambda data: None
        reader.connection_lost = lambda error, f=ended: f.set_result(time.monotonic())
        reader.transport.get_protocol().text = b""
        reader.send(words("REPLCONF", "ACK", 0))
        late.append((reader.sent_at, ended))
    return [(await asyncio.wait_for(ended, PATIENCE_S) - sent) * 1000 - TIMEOUT_MS
            for sent, ended in late]


async def wait_for_primaries(replica, way, tls, answers, count):
    """One replica that tries bad primaries, one after the other."""
    loop = asyncio.get_running_loop()
    lifetimes = []
    server = await loop.create_server(lambda: Peer(way, answers, lifetimes), "127.0.0.1", 0,
                                      ssl=context(True) if tls else None)
    for i in range(count):
        await asyncio.to_thread(replica.must, "REPLICAOF", "127.0.0.1",
                                server.sockets[0].getsockname()[1])
        until = time.monotonic() + PATIENCE_S
        while len(lifetimes) <= i and time.monotonic() < until:
            await asyncio.sleep(0.02)
        await asyncio.to_thread(replica.must, "REPLICAOF", "NO", "ONE")
        del lifetimes[i + 1:]
    server.close()
    return [ms - TIMEOUT_MS for ms in lifetimes[:count]]


async def watch_ourselves(late):
    """How late this program comes to what is due: nothing that it times is known any better."""
    loop = asyncio.get_running_loop()
    due = loop.time()
    while True:
        due += WATCH_S
        await asyncio.sleep(due - loop.time())
        late.append((loop.time() - due) * 1000)


async def all_waits(node, replica, ourselves):
    """By name, how late each of the waits ended, in milliseconds."""
    watch = asyncio.create_task(watch_ourselves(ourselves))
    found = {}
    for way, tls, name in (("mute", False, "no TLS"), ("drip", False, "drips TLS"),
                           ("mute", True, "silent after TLS"), ("drip", True, "drips the reply")):
        found[f"MIGRATE: target {name}"] = \
            await wait_for_migrates(node, way, tls) + await wait_for_migrates(node, way, tls)
    found["TLS accept: silent"] = await wait_for_accepts(node, b"")
    found["TLS accept: drips its hello"] = await wait_for_accepts(node, b"\x16\x03\x01\x40\x00\x01")
    found["primary: no ACKs"] = await wait_for_acks(node)
    for way, tls, answers, name in (("mute", False, 0, "no TLS"), ("drip", False, 0, "drips TLS"),
                                    ("mute", True, 0, "silent"), ("drip", True, 0, "drips"),
                                    ("mute", True, 1, "silent after PONG"),
                                    ("mute", True, 2, "silent at REPLCONF")):
        found[f"replica: primary {name}"] = \
            await wait_for_primaries(replica, way, tls, answers, CROWD // 10)
    watch.cancel()
    return found


def at_share(values, share):
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def deadlines(bench):
    """Waits of every kind, while one client writes."""
    if bench.wire != "tls":
        return
    bench.begin("deadlines")
    try:
        options = ("--repl-timeout", f"{TIMEOUT_MS}ms", "--tls-handshake-timeout", str(TIMEOUT_MS),
                   "--repl-diskless-sync-delay", "0", "--tls-cluster", "yes")
        node, replica = bench.start("wherry", *options), bench.start("wherry", *options)
        for i in range(CROWD):
            node.must("SET", f"move:{i}", "v")
        bench.fill(node, "strings:10000:100")
        for s in (node, replica):
            s.must("CONFIG", "RESETSTAT")
        writer = bench.tool("write", node.port, "strings:10000:100", WRITES)
        short_turns(True)
        ourselves = []
        found = asyncio.run(all_waits(node, replica, ourselves))
        short_turns(False)
        writes = bench.ended(writer)
        own = [s.info("loop") for s in (node, replica)]
    finally:
        bench.finish()
    everything = [ms for late in found.values() for ms in late]
    bench.title(f"Deadlines of {TIMEOUT_MS} ms with {writes['rate']:,.0f} writes/s: how late")
    for name, late in found.items():
        bench.row(f"{name}, {len(late)} waits, max", None, max(late), "ms")
    p999 = at_share(everything, 0.999)
    bench.row(f"all {len(everything):,}, from outside, p99.9", None, p999, "ms",
              f"<= {LATE_P999_MS}", p999 <= LATE_P999_MS)
    bench.row("the observer to what is due, p99.9", None, at_share(ourselves, 0.999), "ms")
    bench.row("the observer to what is due, max", None, max(ourselves), "ms")
    for name, loop in zip(("node", "replica"), own):
        late = int(loop["deadline_late_p999_us"]) / 1000
        bench.row(f"by the {name}'s own clock, p99.9", None, late, "ms", f"<= {LATE_P999_MS}",
                  late <= LATE_P999_MS)
        bench.row(f"by the {name}'s own clock, max", None,
                  int(loop["deadline_late_max_us"]) / 1000, "ms")


MEASURES = {"deadlines": deadlines}
