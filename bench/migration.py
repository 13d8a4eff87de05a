"""MIGRATE between two servers of one kind."""

import time

from common import KINDS


def migrate(bench):
    """A hash of a million fields."""
    fields = 1_000_000 * bench.scale
    bench.title(f"MIGRATE over {bench.wire} of a hash of {fields:,} fields")
    found = {}
    for kind in KINDS:
        bench.begin("migrate")
        try:
            found[kind] = one_migrate(bench, kind, f"hashes:1:{fields}:100")
        finally:
            bench.finish()
    redis, wherry = found["redis"], found["wherry"]
    ratio = wherry["seconds"] / redis["seconds"]
    bench.row("MIGRATE", redis["seconds"], wherry["seconds"], "s", "<= 0.8", ratio <= 0.8)
    for i, name in enumerate(("source", "target")):
        bench.ping_rows(name, redis["pings"][i], wherry["pings"][i], redis["pings"][2],
                        wherry["pings"][2])
    for name, loop in wherry["loops"]:
        bench.hold_row(name, loop)


def one_migrate(bench, kind, shape):
    source, target, control = (bench.start(kind) for _ in range(3))
    bench.fill(source, shape)
    mover = source.client(timeout_s=180)
    for s in (source, target):
        s.must("CONFIG", "RESETSTAT")
    pinger = bench.pinger(source, target, control)
    began = time.monotonic()
    mover.must("MIGRATE", *target.address, "hash:00000000", 0, 120_000)
    seconds = time.monotonic() - began
    pings = bench.ended(pinger)
    loops = [(name, s.info("loop")) for name, s in (("source", source), ("target", target))] \
        if kind == "wherry" else []
    return {"seconds": seconds, "pings": pings, "loops": loops}


MEASURES = {"migrate": migrate}
