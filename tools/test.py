#!/usr/bin/env python3
"""Runs the project's tests and sums them up: tools/test.py [options] STAGE...

Stages: tidy, unit, flow, sim, interop, chaos (a short form); what they run is built already (`make tests`). Every program runs
even when an earlier one failed; the last line is `N passed, N failed`, the exit status 0 when
nothing failed. A program that dies, hangs or runs no test counts as a failure.
"""

import argparse
import concurrent.futures
import os
import re
import signal
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
TIMEOUT_S = {"tidy": 300, "unit": 600, "flow": 600, "sim": 600, "interop": 1800,
             "chaos": 600}
SYNTHESIS = re.compile(r"Synthesis: Tested: (\d+) \| Passing: (\d+) \| Failing: (\d+) \| Crashing: (\d+)")
PLAIN = re.compile(r"^(\d+) passed, (\d+) failed$", re.M)


def run(argv, timeout_s, live):
    """Exit status (None: timed out) and output of a program, which leads a process group so that
    a hanging one is ended with its children."""
    if not os.path.exists(os.path.join(ROOT, argv[0])):
        return 127, f"{argv[0]} is not built\n"
    process = subprocess.Popen(argv, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, start_new_session=True,
                               env=dict(os.environ, LC_ALL="C"))
    output = []
    deadline = time.monotonic() + timeout_s

    def watch():
        for line in process.stdout:
            line = line.decode(errors="replace")
            output.append(line)
            if live:
                print(line, end="", flush=True)

    with concurrent.futures.ThreadPoolExecutor(1) as reader:
        done = reader.submit(watch)
        try:
            done.result(timeout=max(0, deadline - time.monotonic()))
            status = process.wait(timeout=max(1, deadline - time.monotonic()))
        except (concurrent.futures.TimeoutError, subprocess.TimeoutExpired):
            status = None
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        except BaseException:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait()
            raise
    return status, "".join(output)


def verdict(status, output, timeout_s):
    """(passed, failed, what is wrong with the run itself or '')."""
    passed = failed = 0
    found = SYNTHESIS.findall(output)
    for _, ok, bad, crashed in found:
        passed += int(ok)
        failed += int(bad) + int(crashed)
    if not found:
        found = PLAIN.findall(output)
        if found:
            passed, failed = map(int, found[-1])
    wrong = ""
    if status is None:
        wrong = f"still running after {timeout_s} s"
    elif not found:
        wrong = f"exit status {status} and no count of tests"
    elif passed + failed == 0:
        wrong = "ran no test"
    elif status != 0 and failed == 0:
        wrong = f"exit status {status}"
    return passed, failed + bool(wrong), wrong


def programs(stage, args):
    if stage == "tidy":
        return [("tidy", [sys.executable, "tools/tidy.py", "--build", args.build])]
    if stage == "interop":
        argv = [sys.executable, "tests/interop/run.py", "--server", f"{args.build}/wherry-server"]
        return [("interop", argv + ([args.filter] if args.filter else []))]
    if stage == "chaos":
        return [("chaos", [sys.executable, "tests/chaos/run.py", "--server",
                           f"{args.build}/wherry-server", "--seconds", "20", "--kills", "6"])]
    if stage == "sim":  # worlds under a few seeds, and under those that once failed
        names = sorted(n[:-2] for n in os.listdir(f"{ROOT}/tests/sim") if n.endswith(".c"))
        return [(f"sim/{n}", [f"{args.build}/tests/sim/{n}", "--cases", "--seeds", "12"])
                for n in names if args.filter in n]
    start = "test_" if stage == "flow" else ""
    names = sorted(n[:-2] for n in os.listdir(f"{ROOT}/tests/{stage}")
                   if n.startswith(start) and n.endswith(".c"))
    return [(f"{stage}/{n}", [f"{args.build}/tests/{stage}/{n}", "--color=never", "-j1"])
            for n in names if args.filter in n]


def runs_alone(name):
    """A test that measures time says so in its source, and then no other runs beside it."""
    path = f"{ROOT}/tests/{name}.c"
    return os.path.exists(path) and "// Runs alone" in open(path).read()


def run_stage(stage, args, logs):
    """Sums of a stage. Criterion programs run as many at a time as there are jobs."""
    todo = programs(stage, args)
    together = [item for item in todo if not runs_alone(item[0])]
    alone = [item for item in todo if runs_alone(item[0])]
    a = run_programs(stage, together, args.jobs, logs)
    b = run_programs(stage, alone, 1, logs)
    return a[0] + b[0], a[1] + b[1]


def run_programs(stage, todo, jobs, logs):
    passed = failed = 0
    live = stage in ("interop", "chaos", "tidy")
    with concurrent.futures.ThreadPoolExecutor(1 if live else jobs) as pool:
        def one(item):
            began = time.monotonic()
            status, output = run(item[1], TIMEOUT_S[stage], live)
            return item[0], status, output, time.monotonic() - began

        for name, status, output, seconds in pool.map(one, todo):
            with open(os.path.join(logs, name.replace("/", "-") + ".log"), "w") as f:
                f.write(output)
            ok, bad, wrong = verdict(status, output, TIMEOUT_S[stage])
            passed += ok
            failed += bad
            if bad and not live:
                print(output, end="")
            print(f"{name:<32} {ok:5d} passed {bad:4d} failed {seconds:7.1f} s"
                  + (f"  ({wrong})" if wrong else ""), flush=True)
    return passed, failed


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", default="build", help="folder that was built into")
    parser.add_argument("--filter", default="", help="only programs whose names hold this word")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("stages", nargs="+", choices=TIMEOUT_S)
    args = parser.parse_args()
    logs = os.path.join(ROOT, args.build, "test-logs")
    os.makedirs(logs, exist_ok=True)
    passed = failed = 0
    began = time.monotonic()
    for stage in args.stages:
        ok, bad = run_stage(stage, args, logs)
        passed += ok
        failed += bad
    if passed + failed == 0:
        print("no test ran")
    print(f"{time.monotonic() - began:.0f} s; logs of each program are in {args.build}/test-logs")
    print(f"{passed} passed, {failed} failed")
    return 0 if failed == 0 and passed > 0 else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
