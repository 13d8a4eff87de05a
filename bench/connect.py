"""New TLS connections with client certificates: how many a second, and what others notice of them."""

import os
import re
import subprocess
import time

from common import KINDS, harness

SECONDS = 5
PROCESSES = 2
ROUNDS = 2


def connect(bench):
    """Clients that do a whole handshake and leave, one after the other, from two processes."""
    if bench.wire != "tls":
        return
    bench.title("New TLS connections with client certificates")
    found = {kind: [] for kind in KINDS}
    for _ in range(ROUNDS):
        for kind in KINDS:
            bench.begin("connect")
            try:
                found[kind].append(one(bench, kind))
            finally:
                bench.finish()
    redis, wherry = ([f for f in found[kind]] for kind in KINDS)
    bench.row("connections", *(max(f["rate"] for f in k) for k in (redis, wherry)), "1/s")
    for field, what in (("p50", "p50"), ("p999", "p99.9"), ("max", "max")):
        bench.row(f"PING beside them, {what}",
                  *(min(f["ping"][field] for f in k) / 1000 for k in (redis, wherry)), "ms")
    loop = min((f["loop"] for f in wherry), key=lambda l: int(l["loop_hold_cpu_max_us"]))
    bench.hold_row("of new connections", loop)


def one(bench, kind):
    server = bench.start(kind)
    pinger = bench.pinger(server)
    if kind == "wherry":
        server.must("CONFIG", "RESETSTAT")
    argv = ["openssl", "s_time", "-connect", f"127.0.0.1:{server.port}", "-new", "-time",
            str(SECONDS), "-CAfile", os.path.join(harness.CERTS, "ca.crt"),
            "-cert", os.path.join(harness.CERTS, "client.crt"),
            "-key", os.path.join(harness.CERTS, "client.key")]
    began = time.monotonic()
    dialers = [subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
               for _ in range(PROCESSES)]
    made = sum(int(re.findall(r"(\d+) connections in", d.communicate(timeout=60)[0])[-1])
               for d in dialers)
    seconds = time.monotonic() - began
    return {"rate": made / seconds, "ping": bench.ended(pinger)[0],
            "loop": server.info("loop") if kind == "wherry" else None}


MEASURES = {"connect": connect}
