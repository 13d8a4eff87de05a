#!/usr/bin/env python3
"""Faults at random: tests/chaos/run.py [--server FILE] [--seconds N] [--kills N] [--seed N] [WORD...]

WORDs choose: chains (all), a mix such as RWR, kills, migration. N seconds are shared by the mixes, as
many of them as have time for a round; migration takes half as long. The seed is printed; with it the
same faults come again, though not at the same instants. The last line is `N passed, N failed`."""

import argparse
import os
import random
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "interop")]
sys.dont_write_bytecode = True
import chains  # noqa: E402
import harness  # noqa: E402
import kills  # noqa: E402
import migration  # noqa: E402

SHORTEST_S = 8  # a mix takes about this for one round


def trials(args, rng):
    """(name, wire, function) of what was asked for."""
    words = args.words or ["chains", "kills", "migration"]
    if "kills" in words and args.kills:
        yield from kills.trials(args.seed, args.kills)
    if "migration" in words and args.seconds:
        yield from migration.trials(args.seed, args.seconds // 2, rng)
    mixes = [m for m in chains.MIXES if m in words or "chains" in words]
    rng.shuffle(mixes)
    if args.seconds and mixes:
        mixes = mixes[:max(1, args.seconds // SHORTEST_S)]
        for i, mix in enumerate(mixes):
            wire = ("tcp", "tls")[(i + args.seed) % 2]
            yield mix, wire, chains.trial(mix, args.seed, args.seconds / len(mixes))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--server", default="build/wherry-server")
    parser.add_argument("--redis", default="redis-server")
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--kills", type=int, default=6)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("words", nargs="*")
    args = parser.parse_args()
    args.seed = args.seed or random.SystemRandom().randrange(1, 1 << 32)
    server, redis = os.path.abspath(args.server), shutil.which(args.redis)
    if not os.access(server, os.X_OK) or redis is None:
        print(f"missing: {'redis-server (make deps)' if redis is None else server}")
        return 1
    subprocess.run(["bash", os.path.join(harness.ROOT, "tools/gen-test-certs.sh")], check=True)
    print(f"seed {args.seed}", flush=True)
    passed = failed = 0
    bad = []
    for name, wire, function in trials(args, random.Random(args.seed)):
        ok, wrong = harness.run(function, name, wire, server, redis)
        passed += ok
        failed += wrong
        if wrong:
            bad.append(f"{name} [{wire}]")
    if kills.totals:
        print(kills.summary())
    for name in bad:
        print(f"FAILED: {name} (seed {args.seed})")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
