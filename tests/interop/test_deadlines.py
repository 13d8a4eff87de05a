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
from test_migrate import Pinger

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


@wires("tls")
def test_migrate(t):
    node, control = t.wherry(), t.wherry()
    data.big_hash(node.c, "big", 100_000)
    node.must("SET", "small", "v")
    mover = node.client()
    for way, key in (("refuse_tls", "small"), ("drip_tls", "small"), ("silent", "small"),
                     ("drip", "small"), ("deaf", "big")):
        peer = BadPeer(way)
        pingers = Pinger(node), Pinger(control)
        node.must("CONFIG", "RESETSTAT")
        control.must("CONFIG", "RESETSTAT")
        began = time.monotonic()
        reply = mover("MIGRATE", *peer.address, key, 0, 700)
        took_ms = (time.monotonic() - began) * 1000
        beside, idle = (p.end() for p in pingers)
        peer.end()
        t.check(reply.startswith(b"IOERR"), f"{way}: IOERR", repr(reply))
        late_ms, idle_late_ms = (int(s.info("loop")["deadline_late_max_us"]) / 1000
                                 for s in (node, control))
        idle = max(idle, idle_late_ms)
        t.check(late_ms <= LATE_MS + idle, f"{way}: the deadline fired in time",
                f"{late_ms:.1f} ms late, idle node's worst ping {idle:.1f} ms")
        # A deaf peer's system goes on taking bytes for a while; that is progress.
        most = 3000 if way == "deaf" else 700 + LATE_MS + idle
        t.check(699 <= took_ms <= most, f"{way}: given up in time",
                f"after {took_ms:.1f} ms, idle node's worst ping {idle:.1f} ms")
        t.check(beside <= idle + BESIDE_MS, f"{way}: PINGs beside it",
                f"{beside:.1f} ms, at the idle node {idle:.1f} ms")
        t.equal(node("EXISTS", key), 1, f"{way}: the key stays")


@wires("tls")
def test_replica(t):
    """A primary that says nothing, or drips, is given up after repl-timeout."""
    node, control = t.wherry("--repl-timeout", "700ms"), t.wherry()
    for way in ("refuse_tls", "drip_tls", "silent", "drip"):
        peer = BadPeer(way)
        pingers = Pinger(node), Pinger(control)
        began = time.monotonic()
        before = node.log_text().count("-> backoff") + node.log_text().count("Timeout")
        node.must("CONFIG", "SET", "loglevel", "debug")
        node.must("REPLICAOF", *peer.address)
        t.until(lambda: gave_up(node, before), 10, f"{way}: given up")
        took_ms = (time.monotonic() - began) * 1000
        beside, idle = (p.end() for p in pingers)
        node.must("REPLICAOF", "NO", "ONE")
        peer.end()
        t.check(took_ms >= 699, f"{way}: not before its time", f"after {took_ms:.1f} ms")
        t.check(took_ms <= 700 + LATE_MS + 50 + idle, f"{way}: in time (seen by polling the log)",
                f"after {took_ms:.1f} ms")
        t.check(beside <= idle + BESIDE_MS, f"{way}: PINGs beside it",
                f"{beside:.1f} ms, at the idle node {idle:.1f} ms")


def gave_up(node, before):
    text = node.log_text()
    return text.count("-> backoff") + text.count("Timeout") > before


@wires("tls")
def test_accept(t):
    """A client that does no TLS, or drips it, is closed after tls-handshake-timeout."""
    node, control = t.wherry("--tls-handshake-timeout", "700"), t.wherry()
    for way in ("silent", "drip"):
        pingers = Pinger(node), Pinger(control)
        began = time.monotonic()
        s = socket.create_connection(node.address)
        hello = iter(b"\x16\x03\x01\x40\x00\x01" + b"\x00" * 1000)
        while True:
            if way == "drip":
                try:
                    s.send(bytes([next(hello)]))
                except OSError:
                    break
            readable, _, _ = select.select([s], [], [], 0.1)
            if readable:
                break
            if time.monotonic() - began > 10:
                break
        took_ms = (time.monotonic() - began) * 1000
        beside, idle = (p.end() for p in pingers)
        s.close()
        t.check(699 <= took_ms <= 700 + LATE_MS + idle + (100 if way == "drip" else 0),
                f"{way}: closed in time", f"after {took_ms:.1f} ms, idle ping {idle:.1f} ms")
        t.check(beside <= idle + BESIDE_MS, f"{way}: PINGs beside it",
                f"{beside:.1f} ms, at the idle node {idle:.1f} ms")
