#!/usr/bin/env python3
"""Faults at random: tests/chaos/run.py [--server FILE] [--seconds N] [--kills N] [--seed N] [WORD...]

WORDs choose: chains (all), a mix such as RWR, kills, migration. N seconds are shared by the mixes, as
many of them as have time for a round; migration takes half as long. The seed is printed; with it the
same faults come again, though not at the same instants. The last line is `N passed, N failed`."""

import argparse
import os
import random
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
    server, redis = harness.programs(args)
    print(f"seed {args.seed}", flush=True)
    return harness.run_all(trials(args, random.Random(args.seed)), server, redis,
                           lambda: kills.totals and print(kills.summary()), f" (seed {args.seed})")


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
