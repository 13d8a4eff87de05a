#!/usr/bin/env python3
"""wherry beside redis-server in the same run: bench/bench.py [--plain] [--scale N] [WORD...]

Prints a table for each measure: both figures, wherry's over Redis's, and where there is a target
whether it is met. Over TLS unless --plain. Words choose among the measures.
"""

import argparse
import os
import shutil
import subprocess
import sys

import connect
import deadlines
import migration
import replication
import requests
from common import ROOT, Bench

MEASURES = {**requests.MEASURES, **replication.MEASURES, **deadlines.MEASURES, **migration.MEASURES,
            **connect.MEASURES}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--server", default="build/wherry-server")
    parser.add_argument("--load", default="build/bench/load")
    parser.add_argument("--plain", action="store_true", help="TCP instead of TLS")
    parser.add_argument("--scale", type=int, default=1, help="times the data and the requests")
    parser.add_argument("words", nargs="*", help="of " + ", ".join(MEASURES))
    args = parser.parse_args()
    unknown = set(args.words) - MEASURES.keys()
    if unknown:
        parser.error(f"no measure {', '.join(sorted(unknown))}; there are {', '.join(MEASURES)}")
    subprocess.run(["bash", os.path.join(ROOT, "tools/gen-test-certs.sh")], check=True)
    bench = Bench(os.path.abspath(args.server), shutil.which("redis-server"),
                  os.path.abspath(args.load), "tcp" if args.plain else "tls", args.scale)
    for name, measure in MEASURES.items():
        if not args.words or name in args.words:
            measure(bench)
    print(f"\n{bench.missed} targets not met")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
