"""Deadlines in real time, over TLS: what waits for a bad peer ends within 10 ms of its deadline,
and a second client's PINGs are as quick as those at an idle node pinged beside it."""

import os
import select
import socket
import ssl
import threading
import time

import data
from harness import CERTS, wires
from pings import CALM_MS, TRIES, Pinger

DEADLINE_MS = 700
LATE_MS = 10
BESIDE_MS = 20


class BadPeer(threading.Thread):
    """Listens and treats whoever connects as `way` says:
    refuse_tls: accepts and says nothing; drip_tls: drips a byte of garbage each 100 ms;
    silent: does TLS, then says nothing; drip: does TLS, then drips an answer;
    deaf: does TLS, answers the greeting, then stops reading."""

    def __init__(self, way):
        super().__init__(daemon=True)
        self.way, self.going, self.opened_at = way, True, None
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = self.listener.getsockname()
        self.start()

    def run(self):
        self.listener.settimeout(0.1)
        while self.going:
            try:
                conn, _ = self.listener.accept()
            except TimeoutError:
                continue
            except OSError:
                return
            threading.Thread(target=self.serve, args=(conn,), daemon=True).start()

    def serve(self, conn):
        try:
            if self.way == "drip_tls":
                # The first byte of a TLS record, and so on: a handshake that never gets anywhere.
                for byte in b"\x16\x03\x03\x40\x00" + b"\x02" * 1000:
                    if not self.going:
                        return
                    conn.send(bytes([byte]))
                    time.sleep(0.1)
            if self.way in ("refuse_tls", "drip_tls"):
                self.wait()
                return
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(os.path.join(CERTS, "wherry.crt"),
                                    os.path.join(CERTS, "wherry.key"))
            tls = context.wrap_socket(conn, server_side=True)
            if self.way == "deaf":
                tls.recv(100)
                tls.sendall(b"+OK\r\n")
                self.wait()
            elif self.way == "drip":
                while self.going:
                    tls.sendall(b"+")
                    time.sleep(0.1)
            else:
                self.wait()
        except OSError:
            pass
        finally:
            conn.close()

    def wait(self):
        while self.going:
            time.sleep(0.02)

    def end(self):
        self.going = False
        self.listener.close()


class Measure:
    """How long something took, how late the node's deadlines were, and the worst PINGs at the node
    and at the idle one; all in milliseconds."""

    def __init__(self, node, control, act):
        pingers = Pinger(node), Pinger(control)
        for s in (node, control):
            s.must("CONFIG", "RESETSTAT")
        began = time.monotonic()
        self.got = act()
        self.took = (time.monotonic() - began) * 1000
        self.beside, self.idle = (p.end() for p in pingers)
        self.late, idle_late = (int(s.info("loop")["deadline_late_max_us"]) / 1000
                                for s in (node, control))
        self.noise = max(self.idle, idle_late)


def measure(node, control, act):
    for _ in range(TRIES):
        m = Measure(node, control, act)
        if m.noise <= CALM_MS:
            break
    return m


def verdict(t, m, what, most_ms):
    """It ended at its deadline, and nobody else noticed."""
    t.check(m.late <= LATE_MS + m.noise, f"{what}: the deadline fired in time",
            f"{m.late:.1f} ms late, noise of the machine {m.noise:.1f} ms")
    t.check(DEADLINE_MS - 1 <= m.took <= most_ms + m.noise, f"{what}: given up in time",
            f"after {m.took:.1f} ms, noise of the machine {m.noise:.1f} ms")
    t.check(m.beside <= m.idle + BESIDE_MS, f"{what}: PINGs beside it",
            f"{m.beside:.1f} ms, at the idle node {m.idle:.1f} ms")


@wires("tls")
def test_migrate(t):
    node, control = t.wherry(), t.wherry()
    data.big_hash(node.c, "big", 100_000)
    node.must("SET", "small", "v")
    mover = node.client()
    for way, key in (("refuse_tls", "small"), ("drip_tls", "small"), ("silent", "small"),
                     ("drip", "small"), ("deaf", "big")):
        peer = BadPeer(way)
        m = measure(node, control,
                    lambda: mover("MIGRATE", *peer.address, key, 0, DEADLINE_MS))
        peer.end()
        t.check(m.got.startswith(b"IOERR"), f"{way}: IOERR", repr(m.got))
        # With a TLS handshake before it, or, a deaf peer's, with its system taking bytes a while.
        verdict(t, m, way, DEADLINE_MS + {"deaf": 2000, "silent": 50, "drip": 50}.get(way, LATE_MS))
        t.equal(node("EXISTS", key), 1, f"{way}: the key stays")


@wires("tls")
def test_replica(t):
    """A primary that says nothing, or drips, is given up after repl-timeout."""
    node, control = t.wherry("--repl-timeout", f"{DEADLINE_MS}ms"), t.wherry()
    node.must("CONFIG", "SET", "loglevel", "debug")

    def given_up(text):
        return text.count("-> backoff") + text.count("Timeout")

    for way in ("refuse_tls", "drip_tls", "silent", "drip"):
        peer = BadPeer(way)

        def follow():
            node.must("REPLICAOF", "NO", "ONE")
            before = given_up(node.log_text())
            node.must("REPLICAOF", *peer.address)
            t.until(lambda: given_up(node.log_text()) > before, 10, f"{way}: given up")

        m = measure(node, control, follow)
        node.must("REPLICAOF", "NO", "ONE")
        peer.end()
        # Seen by looking at the log every 20 ms.
        verdict(t, m, way, DEADLINE_MS + LATE_MS + 70)


@wires("tls")
def test_accept(t):
    """A client that does no TLS, or drips it, is closed after tls-handshake-timeout."""
    node, control = t.wherry("--tls-handshake-timeout", str(DEADLINE_MS)), t.wherry()
    for way in ("silent", "drip"):

        def connect():
            hello = iter(b"\x16\x03\x01\x40\x00\x01" + b"\x00" * 1000)
            with socket.create_connection(node.address) as s:
                until = time.monotonic() + 10
                while time.monotonic() < until and not select.select([s], [], [], 0.05)[0]:
                    if way == "drip":
                        s.send(bytes([next(hello)]))

        verdict(t, measure(node, control, connect), way, DEADLINE_MS + LATE_MS)
