#!/usr/bin/env python3
"""A trial of wherry over TLS: a primary, a replica and a third node, all on this machine.

Loads data of every type and a hash of a million fields, attaches the replica while writes go on,
then moves the hash to the third node by MIGRATE. Meanwhile a client pings the primary every
millisecond, and another pings an idle node: what is slow there is the machine itself. Ends by
itself; Ctrl-C ends it sooner. Everything that it started ends with it.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "tests/interop"))
sys.dont_write_bytecode = True
import data  # noqa: E402
import harness  # noqa: E402
from resp import Client, Closed  # noqa: E402

KEY = "large:hash"
VALUE = "value of the field"


class Demo:
    def __init__(self, server, fields):
        self.program, self.fields = server, fields
        self.folder = tempfile.mkdtemp(prefix="wherry-demo-")
        self.nodes, self.pingers = [], []
        self.rows = []

    # ---- processes ----

    def node(self, name):
        folder = os.path.join(self.folder, name)
        os.mkdir(folder)
        node = harness.Server(self.program, name, "tls", ["--loglevel", "verbose"], folder)
        self.nodes.append(node)
        return node.wait_ready()

    def pinger(self, node):
        p = subprocess.Popen([sys.executable, __file__, "--ping", str(node.port), "--certs",
                              harness.CERTS], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                             start_new_session=True)
        self.pingers.append(p)
        p.stdout.readline()  # it is connected
        return p

    def finish(self, failed):
        for p in self.pingers:
            p.stdin.close()
            p.kill()
            p.wait()
        for node in self.nodes:
            node.end(signal.SIGTERM, 10)
        if failed:
            for node in self.nodes:
                print(f"Log of the {node.kind}:\n{node.tail()}", file=sys.stderr)
        shutil.rmtree(self.folder, ignore_errors=True)

    # ---- the trial ----

    def run(self):
        print("Starting a primary, a replica, a target and an idle node, all over TLS")
        primary, replica, target, idle = map(self.node, ("primary", "replica", "target", "idle"))
        began = time.monotonic()
        print(f"Loading every type and a hash of {self.fields:,} fields ... ", end="", flush=True)
        data.fill(primary.c)
        data.big_hash(primary.c, KEY, self.fields, VALUE)
        print(f"{int(primary.must('DBSIZE')):,} keys in {time.monotonic() - began:.1f} s")

        with Pings(self, primary, idle, (primary, replica)) as pings:
            took, moved = self.full_sync(primary, replica)
        self.row("full sync", took, moved, pings)
        self.wait_for_offset(primary, replica)
        a, b = primary.digest(), replica.digest()
        same_replica = a == b
        print(f"  primary {a}\n  replica {b}  {'equal' if same_replica else 'DIFFERENT'}")

        before = bytes(primary.must("DEBUG", "DIGEST-VALUE", KEY)[0])
        print(f"MIGRATE of {KEY} to the third node ... ", end="", flush=True)
        with Pings(self, primary, idle, (primary, target)) as pings:
            mover = primary.client(timeout_s=60)
            began = time.monotonic()
            reply = mover.must("MIGRATE", *target.address, KEY, 0, 30000)
            took = time.monotonic() - began
        self.row("MIGRATE", took, hash_bytes(self.fields), pings)
        after = bytes(target.must("DEBUG", "DIGEST-VALUE", KEY)[0])
        gone = primary.must("EXISTS", KEY) == 0
        same_target = before == after and gone
        print(f"{reply.decode()}\n  before {before.decode()}\n  after  {after.decode()}  "
              f"{'equal' if before == after else 'DIFFERENT'}, "
              f"{'gone from' if gone else 'STILL ON'} the primary")
        self.wait_for_offset(primary, replica)
        same_end = primary.digest() == replica.digest()
        print(f"  primary and replica after it: {'equal' if same_end else 'DIFFERENT'}")
        self.table()
        return same_replica and same_target and same_end

    def full_sync(self, primary, replica):
        """Attaches the replica while another client writes; seconds and bytes."""
        expected = hash_bytes(self.fields)
        stop = threading.Event()
        written = []
        writer = threading.Thread(target=keep_writing, args=(primary, stop, written), daemon=True)
        primary.must("CONFIG", "SET", "repl-diskless-sync-delay", "0")
        began = time.monotonic()
        writer.start()
        replica.must("REPLICAOF", *primary.address)
        read = 0
        seen = {}  # the latest of each end's link that the transfer was seen in
        while True:
            info = replica.info("replication")
            links = {"replica": info.get("master_link", ""),
                     "primary": primary.info("replication").get("replica0_link", "")}
            seen.update({end: text for end, text in links.items()
                         if "state=transfer" in text or "state=send" in text})
            read = max(read, int(info.get("master_sync_read_bytes", 0)))
            up = info["master_link_status"] == "up"
            bar("Full sync", 1 if up else min(read / expected, 0.999), max(read, up * expected),
                time.monotonic() - began, "" if up else links["replica"])
            if up:
                break
            if time.monotonic() - began > 40:
                raise RuntimeError("the full sync takes too long")
            time.sleep(0.05)
        took = time.monotonic() - began
        stop.set()
        writer.join()
        print(f"\n  {written[0]:,} writes went on during it")
        for end, text in sorted(seen.items()):
            print(f"  the {end}'s link in the middle of it: {link_line(text)}")
        return took, expected

    def wait_for_offset(self, primary, replica):
        deadline = time.monotonic() + 20
        while True:
            want = primary.info("replication")["master_repl_offset"]
            got = replica.info("replication")
            if got.get("slave_repl_offset") == want and got["master_link_status"] == "up":
                return
            if time.monotonic() > deadline:
                raise RuntimeError(f"the replica is at {got.get('slave_repl_offset')}, not {want}")
            time.sleep(0.02)

    # ---- the table ----

    def row(self, what, took, count, pings):
        self.rows.append((what, f"{took:.2f}", f"{count / took / 1e6:.0f}", f"{pings.cpu_hold:.1f}",
                          f"{pings.wall_hold:.1f}", *pings.busy, *pings.idle))

    def table(self):
        heads = ("", "seconds", "MB/s", "CPU ms", "wall ms", "p99 ms", "max ms", "p99 ms", "max ms")
        print(f"\n{'':<11}{'':>15}{'longest hold':>17}{'pings of primary':>20}{'of idle node':>19}")
        for row in [heads, *self.rows]:
            print(f"{row[0]:<11}{row[1]:>8}{row[2]:>7}{row[3]:>8}{row[4]:>9}{row[5]:>11}{row[6]:>9}"
                  f"{row[7]:>10}{row[8]:>9}")
        print("\nA hold is the time for which a loop of either end served nobody else: by the "
              "thread's own\nCPU clock, and by the wall clock, in which the machine's other work "
              "counts too. What pings\nof the idle node take is the machine's doing.\n")


def hash_bytes(fields):
    """Of the large hash as an RDB has it: each text with one byte of length."""
    digits = sum(len(str(i)) for i in range(fields))
    return 2 * digits + fields * (len("field:") + len(VALUE) + 1 + 2)


def keep_writing(node, stop, written):
    client = node.client()
    count = 0
    while not stop.is_set():
        client.pipeline([("SET", f"during:{(count + i) % 5000}", count + i) for i in range(50)])
        count += 50
        time.sleep(0.005)
    written.append(count)


def link_line(text):
    """A link of INFO replication, for people: where it stands, what bounds that, how fast it goes."""
    link = dict(pair.split("=", 1) for pair in text.split(",") if "=" in pair)
    left = int(link["left_ms"])
    if left >= 0:
        bound = f"{link['deadline']} deadline in {left / 1000:.1f} s"
    elif link["deadline"] == "none":
        bound = "no deadline"
    else:  # we hold the peer back: its silence is not its own
        bound = f"{link['deadline']} deadline stands still"
    return (f"{link['state']}, {bound}, {int(link['bytes']) / 1e6:.1f} MB at "
            f"{int(link['bytes_per_s']) / 1e6:.0f} MB/s")


def bar(what, part, count, seconds, link="", width=40):
    full = int(part * width)
    text = f"{what} [{'#' * full}{'.' * (width - full)}] {part * 100:3.0f}%  {count / 1e6:6.1f} MB  " \
           f"{seconds:4.1f} s" + (f"  {link_line(link)}" if link else "")
    if sys.stdout.isatty():
        print(f"\r{text}\033[K", end="", flush=True)
    elif part == 1:
        print(text, end="", flush=True)


class Pings:
    """Pings the busy node and the idle one while a phase runs; and the holds of the loops of
    `watched` in it."""

    def __init__(self, demo, busy, idle, watched):
        self.demo, self.nodes, self.watched = demo, (busy, idle), watched

    def __enter__(self):
        for node in self.watched:
            node.must("CONFIG", "RESETSTAT")
        self.pingers = [self.demo.pinger(node) for node in self.nodes]
        return self

    def __exit__(self, *_):
        results = []
        for p in self.pingers:
            try:
                out, _ = p.communicate(b"", timeout=10)
                got = json.loads(out)
                results.append((f"{got['p99']:.1f}", f"{got['max']:.1f}"))
            except (ValueError, subprocess.TimeoutExpired):
                results.append(("?", "?"))
            self.demo.pingers.remove(p)
            p.kill()
            p.wait()
        self.busy, self.idle = results
        loops = [node.info("loop") for node in self.watched]
        self.cpu_hold = max(int(i["loop_hold_cpu_max_us"]) for i in loops) / 1000
        self.wall_hold = max(int(i["loop_hold_max_us"]) for i in loops) / 1000


def ping(port, certs, plain):
    """A process of its own: pings every millisecond until its input ends."""
    harness.CERTS = certs
    client = Client(("127.0.0.1", port), None if plain else harness.client_context(), 120)
    client("PING")
    over = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), over.set()), daemon=True).start()
    print("ready", flush=True)
    times = []
    next_at = time.monotonic()
    try:
        while not over.is_set():
            began = time.monotonic()
            client("PING")
            times.append(time.monotonic() - began)
            next_at = max(next_at + 0.001, time.monotonic() - 0.001)
            time.sleep(max(0, next_at - time.monotonic()))
    except (OSError, Closed):
        return 1
    times.sort()
    print(json.dumps({"count": len(times), "p99": times[int(len(times) * 0.99)] * 1000,
                      "max": times[-1] * 1000}))
    return 0


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--server", default="build/wherry-server")
    parser.add_argument("--fields", type=int, default=1_000_000)
    parser.add_argument("--certs", default=os.path.join(ROOT, "build/demo-certs"))
    parser.add_argument("--ping", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--plain", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.ping:
        return ping(args.ping, args.certs, args.plain)
    began = time.monotonic()
    subprocess.run(["bash", os.path.join(ROOT, "tools/gen-test-certs.sh"), args.certs], check=True)
    harness.CERTS = args.certs
    demo = Demo(os.path.abspath(args.server), args.fields)
    good, why = False, ""
    try:
        good = demo.run()
        why = "" if good else "The data is not the same everywhere."
    except KeyboardInterrupt:
        print()
        demo.finish(False)
        return 130
    except (OSError, RuntimeError, KeyError, Closed, harness.Failed, harness.ReplyError) as e:
        why = f"\nThe demo broke off: {type(e).__name__}: {e}"
    demo.finish(not good)
    print(f"{'Done' if good else why} ({time.monotonic() - began:.0f} s)")
    return 0 if good else 1


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt()))
    sys.exit(main())
