#!/usr/bin/env python3
"""Runs the interop tests: tests/interop/run.py [--server build/wherry-server] [--wire tcp] [WORD...]

Takes every test_*.py beside this file and every function test_* in it; with words, only those whose
"file.function" holds one of them. The last line is `N passed, N failed`."""

import argparse
import importlib
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.dont_write_bytecode = True
import harness  # noqa: E402


def tests(words):
    for file in sorted(os.listdir(HERE)):
        if not (file.startswith("test_") and file.endswith(".py")):
            continue
        module = importlib.import_module(file[:-3])
        for name, function in list(vars(module).items()):
            full = f"{file[5:-3]}.{name}"
            if name.startswith("test_") and callable(function):
                if not words or any(w in full for w in words):
                    yield full, function


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--server", default="build/wherry-server")
    parser.add_argument("--redis", default="redis-server")
    parser.add_argument("--wire", help="only on this one: tcp, tls or unix")
    parser.add_argument("words", nargs="*")
    args = parser.parse_args()
    server, redis = harness.programs(args)
    trials = ((name, wire, function) for name, function in tests(args.words)
              for wire in getattr(function, "wires", ("tcp",)) if args.wire in (None, wire))
    return harness.run_all(trials, server, redis)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
