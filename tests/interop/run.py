#!/usr/bin/env python3
"""Runs the interop tests: tests/interop/run.py [--server build/wherry-server] [--wire tcp] [WORD...]

Takes every test_*.py beside this file and every function test_* in it; with words, only those whose
"file.function" holds one of them. The last line is `N passed, N failed`."""

import argparse
import importlib
import os
import shutil
import subprocess
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
    server = os.path.abspath(args.server)
    redis = shutil.which(args.redis)
    if not os.access(server, os.X_OK) or redis is None:
        print(f"missing: {'redis-server (make deps)' if redis is None else server}")
        return 1
    subprocess.run(["bash", os.path.join(harness.ROOT, "tools/gen-test-certs.sh")], check=True)
    passed = failed = 0
    bad = []
    for name, function in tests(args.words):
        for wire in getattr(function, "wires", ("tcp",)):
            if args.wire and wire != args.wire:
                continue
            ok, wrong = harness.run(function, name, wire, server, redis)
            passed += ok
            failed += wrong
            if wrong:
                bad.append(f"{name} [{wire}]")
    for name in bad:
        print(f"FAILED: {name}")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
