#!/usr/bin/env python3
"""wherry beside redis-server in the same run: bench/bench.py [--server FILE] [--tls] [WORD...]

Each line is one measure: Redis's figure, wherry's, and their ratio, where more than 1 is better for
wherry. The two take turns, so that what else the machine does falls on both. Words choose among
requests, sync, migrate.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "tests/interop"))
sys.dont_write_bytecode = True
import data  # noqa: E402
import harness  # noqa: E402

PING = os.path.join(ROOT, "tools/demo.py")  # has a pinger: a process that pings every millisecond
ROUNDS = 3


def show(what, redis, wherry, unit, more_is_better):
    ratio = (wherry / redis if more_is_better else redis / wherry) if redis and wherry else 0
    print(f"{what:<38}{redis:>12,.1f}{wherry:>12,.1f} {unit:<10} {ratio:6.2f}", flush=True)


def median(values):
    return sorted(values)[len(values) // 2]


def requests(trial, wire, scale):
    """redis-benchmark, alone with one server at a time."""
    cases = {
        "SET, 50 clients": ["-t", "set", "-c", "50", "-n", str(100_000 * scale)],
        "GET, 50 clients": ["-t", "get", "-c", "50", "-n", str(100_000 * scale)],
        "SET, 16 pipelined": ["-t", "set", "-c", "50", "-P", "16", "-n", str(500_000 * scale)],
        "GET, 16 pipelined": ["-t", "get", "-c", "50", "-P", "16", "-n", str(500_000 * scale)],
        "HSET, 16 pipelined": ["-t", "hset", "-c", "50", "-P", "16", "-n", str(300_000 * scale)],
        "LPUSH, 16 pipelined": ["-t", "lpush", "-c", "50", "-P", "16", "-n", str(300_000 * scale)],
        "ZADD, 16 pipelined": ["-t", "zadd", "-c", "50", "-P", "16", "-n", str(300_000 * scale)],
        "SET of 16 KiB": ["-t", "set", "-c", "20", "-d", "16384", "-n", str(30_000 * scale)],
    }
    servers = [trial.redis(), trial.wherry()]
    for what, options in cases.items():
        rates = ([], [])
        for _ in range(ROUNDS):
            for server, found in zip(servers, rates):
                found.append(rate(server, wire, options))
        show(what, median(rates[0]) / 1000, median(rates[1]) / 1000, "k/s", True)
    for s in servers:
        s.end()


def rate(server, wire, options):
    argv = ["redis-benchmark", "-p", str(server.port), "-r", "100000", "--csv", *options]
    if wire == "tls":
        argv += ["--tls", "--cacert", f"{harness.CERTS}/ca.crt", "--cert",
                 f"{harness.CERTS}/client.crt", "--key", f"{harness.CERTS}/client.key"]
    out = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=300).stdout
    return float(re.findall(r'^"[A-Z]+[^"]*","([\d.]+)"', out, re.M)[-1])


def sync(trial, wire, scale):
    """A full sync of many small keys and some large ones; both ends of one kind."""
    found = {}
    for start in (trial.redis, trial.wherry):
        primary, replica = start(), start()
        primary.must("CONFIG", "SET", "repl-diskless-sync", "yes", "repl-diskless-sync-delay", "0")
        primary.c.load((("SET", f"key:{i}", f"value {i} " + "x" * 40)
                        for i in range(200_000 * scale)), window=2000)
        data.big_hash(primary.c, "hash", 200_000 * scale)
        size = os.path.getsize(saved(primary))
        with Pinger(primary) as pinger:
            began = time.monotonic()
            replica.must("REPLICAOF", *primary.address)
            while replica.info("replication").get("master_link_status") != "up":
                time.sleep(0.01)
            seconds = time.monotonic() - began
        found[primary.kind] = size / seconds / 1e6, pinger.longest_ms
        for s in (primary, replica):
            s.end()
    show("full sync", found["redis"][0], found["wherry"][0], "MB/s", True)
    show("full sync, longest ping of the primary", found["redis"][1], found["wherry"][1], "ms",
         False)


def saved(server):
    server.c.timeout(120)
    server.must("SAVE")
    return os.path.join(server.folder, "dump.rdb")


def migrate(trial, wire, scale):
    """MIGRATE of a hash of a million fields; both ends of one kind."""
    found = {}
    for start in (trial.redis, trial.wherry):
        source, target = start(), start()
        data.big_hash(source.c, "hash", 1_000_000 * scale)
        mover = source.client(timeout_s=180)
        with Pinger(source) as a, Pinger(target) as b:
            began = time.monotonic()
            mover.must("MIGRATE", *target.address, "hash", 0, 120_000)
            seconds = time.monotonic() - began
        found[source.kind] = seconds, a.longest_ms, b.longest_ms
        for s in (source, target):
            s.end()
    redis, wherry = found["redis"], found["wherry"]
    what = f"MIGRATE of {1_000_000 * scale:,} fields"
    show(what, redis[0], wherry[0], "s", False)
    show(f"{what[:7]}, longest ping of the source", redis[1], wherry[1], "ms", False)
    show(f"{what[:7]}, longest ping of the target", redis[2], wherry[2], "ms", False)


class Pinger:
    """Pings from a process of its own for as long as the block runs."""

    def __init__(self, server):
        argv = [sys.executable, PING, "--ping", str(server.port), "--certs", harness.CERTS]
        if server.wire != "tls":
            argv.append("--plain")
        self.process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def __enter__(self):
        self.process.stdout.readline()
        return self

    def __exit__(self, *_):
        out, _ = self.process.communicate(b"", timeout=120)
        self.longest_ms = json.loads(out)["max"]


MEASURES = {"requests": requests, "sync": sync, "migrate": migrate}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--server", default="build/wherry-server")
    parser.add_argument("--tls", action="store_true")
    parser.add_argument("--scale", type=int, default=1, help="times the data and the requests")
    parser.add_argument("words", nargs="*", help="of " + ", ".join(MEASURES))
    args = parser.parse_args()
    subprocess.run(["bash", os.path.join(ROOT, "tools/gen-test-certs.sh")], check=True)
    wire = "tls" if args.tls else "tcp"
    print(f"{wire:<38}{'redis':>12}{'wherry':>12} {'':<10} {'ratio':>6}")
    for name, measure in MEASURES.items():
        if args.words and name not in args.words:
            continue
        trial = harness.Trial(name, wire, os.path.abspath(args.server),
                              shutil.which("redis-server"))
        try:
            measure(trial, wire, args.scale)
        finally:
            trial.finish()
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
