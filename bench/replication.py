"""Replication: full syncs while a client writes, and the steady stream."""

import time

from common import KINDS, Memory, cpu_us, median, until

OPTIONS = ("--repl-diskless-sync", "yes", "--repl-diskless-sync-delay", "0",
           "--repl-diskless-load", "on-empty-db")
SYNC_RATIO, SYNC_GROWTH = 2.5, 0.10
SYNC_WRITES = 5_000       # a second
STEADY_WRITES = 100_000   # a second
STEADY_S, STEADY_ROUNDS = 3, 5
STEADY_RATIO, LAG_MS = 0.5, 5


def sync(bench):
    for name, shape, size in (
            (f"{bench.scale}x1,000,000 strings of 200 bytes",
             f"strings:{1_000_000 * bench.scale}:200", 1_000_000 * (12 + 200)),
            (f"{bench.scale}x100 hashes of 100,000 fields",
             f"hashes:{100 * bench.scale}:100000:20", 100 * 100_000 * (14 + 20))):
        found = {}
        bench.title(f"Full sync over {bench.wire} while a client writes: {name}")
        for kind in KINDS:
            bench.begin("sync")
            try:
                found[kind] = one_sync(bench, kind, shape, size * bench.scale / 1e6)
            finally:
                bench.finish()
        sync_rows(bench, found["redis"], found["wherry"])
        bench.slices_row()


def link_up(replica):
    return replica.info("replication").get("master_link_status") == "up"


def one_sync(bench, kind, shape, megabytes):
    primary, replica, control = (bench.start(kind, *OPTIONS) for _ in range(3))
    bench.fill(primary, shape)
    writer = bench.tool("write", primary.port, shape, SYNC_WRITES)
    time.sleep(0.5)
    for s in (primary, replica):
        s.must("CONFIG", "RESETSTAT")
    pinger = bench.pinger(primary, replica, control)
    with Memory(primary) as memory:
        began = time.monotonic()
        replica.must("REPLICAOF", *primary.address)
        until(lambda: link_up(replica), 300, "the link is up")
        seconds = time.monotonic() - began
    pings = bench.ended(pinger)
    writes = bench.ended(writer)
    loops = [(name, s.info("loop")) for name, s in (("primary", primary), ("replica", replica))] \
        if kind == "wherry" else []
    return {"rate": megabytes / seconds, "seconds": seconds, "growth": memory.growth() * 100,
            "pings": pings, "writes": writes, "loops": loops}


def sync_rows(bench, redis, wherry):
    bench.row("full sync", redis["seconds"], wherry["seconds"], "s")
    ratio = wherry["rate"] / redis["rate"]
    bench.row("full sync", redis["rate"], wherry["rate"], "MB/s", f">= {SYNC_RATIO}",
              ratio >= SYNC_RATIO)
    bench.row("growth of the primary's PSS", redis["growth"], wherry["growth"], "%",
              f"<= {SYNC_GROWTH * 100:.0f}", wherry["growth"] <= SYNC_GROWTH * 100)
    for i, name in enumerate(("primary", "replica")):
        bench.ping_rows(name, redis["pings"][i], wherry["pings"][i], redis["pings"][2],
                        wherry["pings"][2])
    bench.row("PING control, p99.9", *(k["pings"][2]["p999"] / 1000 for k in (redis, wherry)), "ms")
    bench.row("PING control, max", *(k["pings"][2]["max"] / 1000 for k in (redis, wherry)), "ms")
    for name, loop in wherry["loops"]:
        bench.hold_row(name, loop)
    bench.row("writes answered during it", *(k["writes"]["rate"] for k in (redis, wherry)), "1/s")
    bench.row("slowest write", *(k["writes"]["times"]["max"] / 1000 for k in (redis, wherry)), "ms")


def steady(bench):
    """What replication adds per write, and how far a replica is behind. That is asked for by other
    clients, so it is measured apart: their requests are no part of what a write costs."""
    shape = "strings:100000:100"
    bench.title(f"Steady stream over {bench.wire}, {STEADY_WRITES:,} writes/s")
    found = {kind: [] for kind in KINDS}
    for _ in range(STEADY_ROUNDS):
        for kind in KINDS:
            bench.begin("steady")
            try:
                found[kind].append(one_stream(bench, kind, shape))
            finally:
                bench.finish()
    redis, wherry = ({field: median([f[field] for f in found[kind]]) for field in found[kind][0]}
                     for kind in KINDS)
    bench.row("CPU per write without a replica", redis["alone"], wherry["alone"], "us")
    for field, what in (("primary", "added at the primary"), ("both", "added at both ends")):
        ratio = wherry[field] / redis[field]
        bench.row(f"CPU per write {what}", redis[field], wherry[field], "us",
                  f"<= {STEADY_RATIO}", ratio <= STEADY_RATIO)
    worst = max(f["lag_max"] for f in found["wherry"])
    bench.row("replica's lag, p99.9", redis["lag_p999"], wherry["lag_p999"], "ms")
    bench.row("replica's lag, max of all rounds", max(f["lag_max"] for f in found["redis"]), worst,
              "ms", f"<= {LAG_MS}", worst <= LAG_MS)
    bench.row("writes", redis["rate"], wherry["rate"], "1/s")


def one_stream(bench, kind, shape):
    primary, replica = (bench.start(kind, *OPTIONS) for _ in range(2))
    bench.fill(primary, shape)
    alone, _, _ = cpu_per_write(bench, primary, replica, shape)
    replica.must("REPLICAOF", *primary.address)
    until(lambda: link_up(replica), 60, "the link is up")
    time.sleep(0.5)
    with_one, at_replica, _ = cpu_per_write(bench, primary, replica, shape)
    lag = bench.tool("lag", primary.port, replica.port)
    _, _, rate = cpu_per_write(bench, primary, replica, shape)
    lag = bench.ended(lag)
    return {"alone": alone, "primary": with_one - alone, "both": with_one - alone + at_replica,
            "rate": rate, "lag_p999": lag["p999"] / 1000, "lag_max": lag["max"] / 1000}


def cpu_per_write(bench, primary, replica, shape):
    before = cpu_us(primary), cpu_us(replica)
    writer = bench.tool("write", primary.port, shape, STEADY_WRITES)
    time.sleep(STEADY_S)
    writes = bench.ended(writer)
    count = writes["answered"]
    return ((cpu_us(primary) - before[0]) / count, (cpu_us(replica) - before[1]) / count,
            writes["rate"])


MEASURES = {"sync": sync, "steady": steady}
