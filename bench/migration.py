"""MIGRATE between servers of one kind: a large value, many small ones, many at once, and targets
that fail in every way."""

import re
import socket
import ssl
import threading
import time

from common import KINDS, PING_MAX_ABOVE_MS, harness, median
from resp import Closed, encode

MIB = 1024 * 1024

# ---- one large hash ---------------------------------------------------------------------------

SOURCE_IN_FLIGHT_MIB, TARGET_BEYOND_MIB = 4, 8


def large(bench):
    """A hash of a million fields of 100 bytes, once beside PINGs and once to see the memory."""
    fields = 1_000_000 * bench.scale
    bench.title(f"MIGRATE over {bench.wire} of a hash of {fields:,} fields of 100 bytes")
    shape = f"hashes:1:{fields}:100"
    found = {kind: one_large(bench, kind, shape) for kind in KINDS}
    redis, wherry = found["redis"], found["wherry"]
    ratio = wherry["seconds"] / redis["seconds"]
    bench.row("MIGRATE", redis["seconds"], wherry["seconds"], "s", "<= 0.8", ratio <= 0.8)
    for i, name in enumerate(("source", "target")):
        bench.ping_rows(name, redis["pings"][i], wherry["pings"][i], redis["pings"][2],
                        wherry["pings"][2])
    for name, loop in wherry["loops"]:
        bench.hold_row(name, loop)
    bench.slices_row()
    memory = {kind: memory_of_large(bench, kind, shape) for kind in KINDS}
    for i, (what, most) in enumerate((("source: memory in flight", SOURCE_IN_FLIGHT_MIB),
                                      ("target: memory beyond the value", TARGET_BEYOND_MIB))):
        bench.row(what, memory["redis"][i], memory["wherry"][i], "MiB", f"<= {most}",
                  memory["wherry"][i] <= most)


def with_hash(bench, kind, shape, count):
    """`count` servers, the first of which has the hash."""
    servers = [bench.start(kind) for _ in range(count)]
    bench.fill(servers[0], shape)
    return servers


def move_hash(source, target):
    mover = source.client(timeout_s=180)
    began = time.monotonic()
    mover.must("MIGRATE", *target.address, "hash:00000000", 0, 120_000)
    return time.monotonic() - began


def one_large(bench, kind, shape):
    bench.begin("large")
    try:
        source, target, control = with_hash(bench, kind, shape, 3)
        for s in (source, target):
            s.must("CONFIG", "RESETSTAT")
        pinger = bench.pinger(source, target, control)
        seconds = move_hash(source, target)
        pings = bench.ended(pinger)
        loops = [(name, s.info("loop")) for name, s in (("source", source), ("target", target))] \
            if kind == "wherry" else []
        return {"seconds": seconds, "pings": pings, "loops": loops}
    finally:
        bench.finish()


def status_bytes(server, field):
    with open(f"/proc/{server.process.pid}/status") as f:
        return int(re.search(rf"^{field}:\s+(\d+) kB", f.read(), re.M).group(1)) * 1024


def memory_of_large(bench, kind, shape):
    """MiB: by how much the source's resident memory grew; and by how much the target's, at its
    highest, exceeded what it was before and what the value takes."""
    bench.begin("memory")
    try:
        source, target = with_hash(bench, kind, shape, 2)
        before = []
        for s in (source, target):
            with open(f"/proc/{s.process.pid}/clear_refs", "w") as f:
                f.write("5")  # the highest is what it is now (proc(5))
            before.append((status_bytes(s, "VmRSS"), int(s.info("memory")["used_memory"])))
        move_hash(source, target)
        value = int(target.info("memory")["used_memory"]) - before[1][1]
        return ((status_bytes(source, "VmHWM") - before[0][0]) / MIB,
                (status_bytes(target, "VmHWM") - before[1][0] - value) / MIB)
    finally:
        bench.finish()


# ---- many small keys --------------------------------------------------------------------------

BATCH = 100


def batches(bench):
    """20,000 strings of 100 bytes, 100 to a MIGRATE."""
    keys = 20_000 * bench.scale
    bench.title(f"MIGRATE over {bench.wire} of {keys:,} strings of 100 bytes, {BATCH} at a time")
    rates = {kind: [] for kind in KINDS}
    for _ in range(3):
        for kind in KINDS:
            rates[kind].append(one_batches(bench, kind, keys))
    redis, wherry = (median(rates[kind]) for kind in KINDS)
    bench.row("keys, median of 3", redis / 1000, wherry / 1000, "k/s", ">= 2", wherry >= 2 * redis)


def one_batches(bench, kind, keys):
    bench.begin("batches")
    try:
        source, target = bench.start(kind), bench.start(kind)
        bench.fill(source, f"strings:{keys}:100")
        names = [f"key:{i:08}" for i in range(keys)]
        requests = [encode("MIGRATE", *target.address, "", 0, 30_000, "KEYS", *names[at:at + BATCH])
                    for at in range(0, keys, BATCH)]
        mover = source.client(timeout_s=60)
        began = time.monotonic()
        for r in requests:
            mover.send(r)
            answer = mover.reply()
            if answer != b"OK":
                raise RuntimeError(f"{kind}: {answer!r}")
        return keys / (time.monotonic() - began)
    finally:
        bench.finish()


# ---- many at once -----------------------------------------------------------------------------

AT_ONCE, TARGETS, STALLED_MS = 64, 4, 1000
PAIRS = 5
AS_FAST = 1.1  # what two equal runs may differ by on a machine that does other things too


def at_once(bench):
    """64 MIGRATEs to 4 targets, of which one accepts and never answers."""
    bench.title(f"{AT_ONCE} MIGRATEs over {bench.wire} at once to {TARGETS} targets, one of them "
                "stalled")
    found = {kind: one_at_once(bench, kind, 1 if kind == "redis" else PAIRS) for kind in KINDS}
    for i, what in enumerate(("the others, without the stalled one", "the others, beside it")):
        bench.row(what, found["redis"][i], found["wherry"][i], "ms")
    ratio = found["wherry"][1] / found["wherry"][0]
    bench.row("beside it over without it", found["redis"][1] / found["redis"][0], ratio, "",
              f"<= {AS_FAST}", ratio <= AS_FAST)


def one_at_once(bench, kind, pairs):
    """Milliseconds until the others are answered, without the stalled target and beside it."""
    bench.begin("at-once")
    stalled = socket.create_server(("127.0.0.1", 0), backlog=AT_ONCE)
    try:
        source = bench.start(kind)
        good = [bench.start(kind) for _ in range(TARGETS - 1)]
        bench.fill(source, f"hashes:{AT_ONCE}:5000:100")
        clients = [source.client(timeout_s=120) for _ in range(AT_ONCE)]
        took = ([], [])
        all_at_once(clients, good, None)  # opens the links, which are kept for the next
        for _ in range(pairs):
            for beside in (0, 1):
                took[beside].append(all_at_once(clients, good, stalled if beside else None))
        return tuple(median(t) * 1000 for t in took)
    finally:
        stalled.close()
        bench.finish()


def all_at_once(clients, good, stalled):
    """COPY, so that the same keys can go again."""
    others, begins = [], time.monotonic()
    waiting = []
    for i, c in enumerate(clients):
        which = i % TARGETS
        if which < len(good):
            others.append(c)
            address, timeout_ms = good[which].address, 60_000
        elif stalled is not None:
            waiting.append(c)
            address, timeout_ms = stalled.getsockname(), STALLED_MS
        else:
            continue
        c.send(encode("MIGRATE", *address, f"hash:{i:08}", 0, timeout_ms, "COPY", "REPLACE"))
    for c in others:
        if c.reply() != b"OK":
            raise RuntimeError("a MIGRATE to a good target failed")
    took = time.monotonic() - begins
    for c in waiting:
        c.reply()
    return took


# ---- targets that fail ------------------------------------------------------------------------

FAULT_TIMEOUT_MS, LATE_MS, CUTOFF_S, TRIES = 500, 5, 4, 3
DRIP_S = 0.02


class Faulty:
    """A target with one fault. `since` is the instant from which the source's wait counts, as the
    target sees it, where that is later than its request."""

    large = False  # what is sent to it: a string of 100 bytes, or a hash of 12 MB
    needs_tls = False

    def __init__(self, wire):
        self.wire, self.since, self.over = wire, None, threading.Event()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = self.listener.getsockname()
        self.conns = []
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                conn, _ = self.listener.accept()
            except OSError:
                return
            self.conns.append(conn)
            threading.Thread(target=self.attend, args=(conn,), daemon=True).start()

    def attend(self, conn):
        try:
            self.serve(conn)
        except (OSError, ValueError):
            pass  # the source has given up

    def serve(self, conn):
        """One connection; returns when there is nothing more to do on it."""

    def secured(self, conn):
        if self.wire != "tls":
            return conn
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(f"{harness.CERTS}/wherry.crt", f"{harness.CERTS}/wherry.key")
        conn = context.wrap_socket(conn, server_side=True)
        self.conns.append(conn)
        self.since = time.monotonic()
        return conn

    def close(self):
        self.over.set()
        for s in (self.listener, *self.conns):
            try:
                s.close()
            except OSError:
                pass


class AcceptsNothing(Faulty):
    """Its queue of connections is full: TCP's handshake is never finished."""

    def __init__(self, wire):
        super().__init__(wire)
        self.full = socket.create_server(("127.0.0.1", 0), backlog=0)
        self.address = self.full.getsockname()
        self.conns.append(self.full)
        for _ in range(3):
            s = socket.socket()
            s.setblocking(False)
            s.connect_ex(self.address)
            self.conns.append(s)
        time.sleep(0.05)


class NoTls(Faulty):
    """Takes the connection and says nothing."""


class Silent(Faulty):
    """Says nothing once the connection is there."""

    def serve(self, conn):
        conn = self.secured(conn)
        while conn.recv(65536):
            pass


class DripsHandshake(Faulty):
    """Its part of the TLS handshake comes byte by byte."""

    needs_tls = True

    def serve(self, conn):
        near, far = socket.socketpair()
        self.conns += [near, far]
        threading.Thread(target=self.handshake, args=(far,), daemon=True).start()
        threading.Thread(target=self.forward, args=(conn, near), daemon=True).start()
        while not self.over.wait(DRIP_S):
            conn.sendall(near.recv(1))

    def handshake(self, far):
        try:
            self.secured(far)
        except OSError:
            pass

    def forward(self, conn, near):
        try:
            while data := conn.recv(65536):
                near.sendall(data)
        except OSError:
            pass


class DripsReply(Faulty):
    """Its answer to RESTORE comes byte by byte and never ends."""

    def serve(self, conn):
        conn = self.secured(conn)
        said = b""
        while b"SELECT" in said or not said:
            said = conn.recv(65536)
            if b"SELECT" in said:
                conn.sendall(b"+OK\r\n")
                if b"RESTORE" in said:
                    break
        self.since = time.monotonic()
        if b"SELECT" not in said:
            conn.sendall(b"+")
        while not self.over.wait(DRIP_S):
            conn.sendall(b"O")


def unsent(port):
    """Bytes that the system holds for connections to this port, not acknowledged yet (proc(5))."""
    with open("/proc/net/tcp") as f:
        rows = [line.split() for line in f.readlines()[1:]]
    return sum(int(r[4].split(":")[0], 16) for r in rows if int(r[2].split(":")[1], 16) == port)


class StopsReading(Faulty):
    """Takes a megabyte of the payload and no more. The source makes progress for as long as its
    system takes bytes from it."""

    large = True

    def __init__(self, wire):
        super().__init__(wire)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)

    def serve(self, conn):
        conn = self.secured(conn)
        got = len(conn.recv(65536))
        conn.sendall(b"+OK\r\n")
        while got < MIB:
            got += len(conn.recv(65536))
        before = -1
        while not self.over.wait(0.001):
            now = unsent(self.address[1])
            if now > before:
                self.since = time.monotonic()
            before = now


FAULTS = {"accepts nothing": AcceptsNothing, "does no TLS": NoTls, "is silent": Silent,
          "drips the TLS handshake": DripsHandshake, "drips the reply": DripsReply,
          "stops reading mid-payload": StopsReading}


def faults(bench):
    bench.title(f"A target over {bench.wire} that fails, timeout {FAULT_TIMEOUT_MS} ms "
                f"(median of {TRIES} tries; Redis: one, given up after {CUTOFF_S} s)")
    for what, fault in FAULTS.items():
        if fault.needs_tls and bench.wire != "tls":
            continue
        redis = one_fault(bench, "redis", fault)
        tries = [one_fault(bench, "wherry", fault) for _ in range(TRIES)]
        late, ping = (median([t[field] for t in tries]) for field in ("late", "ping"))
        bench.row(f"{what}: IOERR late by", redis["late"], late, "ms", f"<= {LATE_MS}",
                  all(t["right"] for t in tries) and -LATE_MS <= late <= LATE_MS)
        bench.row("    longest PING of others", redis["ping"], ping, "ms",
                  f"<= {PING_MAX_ABOVE_MS}", ping <= PING_MAX_ABOVE_MS)


def one_fault(bench, kind, fault):
    bench.begin("fault")
    target = fault(bench.wire)
    try:
        source = bench.start(kind)
        bench.fill(source, "hashes:1:100000:100" if fault.large else "strings:1:100")
        key = "hash:00000000" if fault.large else "key:00000000"
        mover = source.client(timeout_s=CUTOFF_S)
        pinger = bench.pinger(source)
        began = time.monotonic()
        mover.send(encode("MIGRATE", *target.address, key, 0, FAULT_TIMEOUT_MS))
        try:
            answer = mover.reply()
        except (TimeoutError, Closed):
            answer = b""
        ended = time.monotonic()
        late = ended - max(began, target.since or 0) - FAULT_TIMEOUT_MS / 1000
        target.close()
        pings = bench.ended(pinger)
        right = answer.startswith(b"IOERR") and source("EXISTS", key) == 1
        if kind == "wherry" and not right:
            print(f"  wherry: {answer!r}, key {'kept' if source('EXISTS', key) else 'GONE'}")
        return {"late": late * 1000, "right": right, "ping": pings[0]["max"] / 1000}
    finally:
        target.close()
        bench.finish()


MEASURES = {"migrate": large, "batches": batches, "at-once": at_once, "faults": faults}
