"""What the benchmarks share: servers of both kinds, the load tool, memory and CPU time of processes,
and tables with targets.

A measure is a function of a Bench. Redis and wherry take turns in it, so that what else the machine
does falls on both.
"""

import ctypes
import json
import os
import re
import struct
import subprocess
import sys
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "tests/interop"))
sys.dont_write_bytecode = True
import harness  # noqa: E402

KINDS = ("redis", "wherry")
PING_P999_ABOVE_MS, PING_MAX_ABOVE_MS = 5, 20  # above those at an idle control node
HOLD_MAX_US = 1000
SLICES_MS = 5000


def short_turns(ask):
    """The measuring thread asks the system for short turns, as wherry's loop does and the load tool
    where it looks at the clock (src/loop/thread_turn.h), or for ordinary ones. What it starts
    meanwhile inherits them."""
    sched_setattr = {"x86_64": 314, "aarch64": 274}.get(os.uname().machine)
    if sched_setattr is None:
        return
    attr = struct.pack("=IIQiIQQQII", 56, 0, 0, 0, 0, 100_000 if ask else 0, 0, 0, 0, 0)
    ctypes.CDLL(None).syscall(sched_setattr, 0, attr, 0)


class Bench:
    """What a measure is given. Each trial has servers of its own and ends them."""

    def __init__(self, server, redis, load, wire, scale):
        self.server, self.redis, self.load_program = server, redis, load
        self.wire, self.scale = wire, scale
        self.trial = None
        self.tools = []
        self.missed = 0

    # ---- servers ----

    def begin(self, name):
        self.trial = harness.Trial(name, self.wire, self.server, self.redis)

    def start(self, kind, *options):
        return getattr(self.trial, kind)(*options)

    def finish(self):
        for tool in self.tools:
            if tool.poll() is None:
                tool.kill()
                tool.wait()
        self.tools = []
        if self.trial is not None:
            self.trial.finish()
            self.trial = None

    # ---- the load tool ----

    def tool(self, *args):
        """A process of bench/load.c, ready."""
        argv = [self.load_program]
        if self.wire == "tls":
            argv += ["--certs", harness.CERTS]
        p = subprocess.Popen([*argv, *map(str, args)], stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE)
        self.tools.append(p)
        if args[0] not in ("fill", "slices"):
            assert p.stdout.readline() == b"ready\n", f"load {args} did not get ready"
        return p

    def fill(self, server, shape):
        p = self.tool("fill", server.port, shape)
        if p.wait(600) != 0:
            raise RuntimeError(f"{server.kind} could not be filled")

    def pinger(self, *servers):
        return self.tool("ping", *(s.port for s in servers))

    def ended(self, tool):
        """What the tool has found, times in microseconds."""
        out, _ = tool.communicate(timeout=60)
        if tool.returncode != 0:
            raise RuntimeError(f"{tool.args} ended with {tool.returncode}")
        return json.loads(out)

    def slices(self):
        """The most CPU time that a slice of nothing is charged while two such programs run, and how
        many are charged more than a millisecond: of this machine, not of any server."""
        tools = [self.tool("slices", SLICES_MS) for _ in range(2)]
        ran = [self.ended(t) for t in tools]
        return max(r["max"] for r in ran), sum(r["over_1ms"] for r in ran)

    # ---- tables ----

    def title(self, text):
        print(f"\n{text}\n{'':<44}{'redis':>10}{'wherry':>10}  {'':<5}{'ratio':>6}  target",
              flush=True)

    def row(self, what, redis, wherry, unit, target="", met=None, ratio=None):
        """A figure that is None was not measured. `met` None: there is no target."""
        def figure(value):
            return f"{'-':>10}" if value is None else f"{value:>10,.2f}" if abs(value) < 100 \
                else f"{value:>10,.0f}"
        if ratio is None and redis and wherry:
            ratio = wherry / redis
        verdict = "" if met is None else "met" if met else "NOT MET"
        self.missed += met is False
        shown = "" if ratio is None else f"{ratio:.2f}"
        print(f"{what:<44}{figure(redis)}{figure(wherry)}  {unit:<5}{shown:>6}  "
              f"{target:<14} {verdict}".rstrip(), flush=True)

    def ping_rows(self, name, redis, wherry, control_redis, control_wherry):
        """PINGs at one of the measured servers, given those at the control node of the same run."""
        for field, word, limit in (("p999", "p99.9", PING_P999_ABOVE_MS),
                                   ("max", "max", PING_MAX_ABOVE_MS)):
            above = [(ping[field] - control[field]) / 1000
                     for ping, control in ((redis, control_redis), (wherry, control_wherry))]
            self.row(f"PING {name}, {word} above control", *above, "ms", f"<= {limit}",
                     above[1] <= limit)

    def hold_row(self, name, loop):
        """`loop` is INFO's section; only wherry has it."""
        held = int(loop["loop_hold_cpu_max_us"])
        self.row(f"loop_hold_cpu_max_us {name} ({loop['loop_hold_cpu_max_what']})", None, held,
                 "us", f"<= {HOLD_MAX_US}", held <= HOLD_MAX_US)

    def slices_row(self):
        """To read hold_row by."""
        most, over = self.slices()
        self.row(f"slices of nothing: CPU max ({over} over 1 ms)", None, most, "us")


# ---- processes --------------------------------------------------------------------------------

def family(pid):
    """The process and its children."""
    found = [pid]
    for name in os.listdir("/proc"):
        try:
            with open(f"/proc/{int(name)}/stat") as f:
                if int(f.read().rpartition(")")[2].split()[1]) == pid:
                    found.append(int(name))
        except (OSError, ValueError):
            pass  # no process, or one that has ended
    return found


def pss_bytes(pid):
    """Proportional set size of the process and its children: shared pages count once."""
    total = 0
    for p in family(pid):
        try:
            with open(f"/proc/{p}/smaps_rollup") as f:
                total += int(re.search(r"^Pss:\s+(\d+) kB", f.read(), re.M).group(1)) * 1024
        except (OSError, AttributeError):
            pass  # a child that has just ended
    return total


def cpu_us(server):
    """CPU time that all threads of the server have used."""
    pid, total = server.process.pid, 0
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/schedstat") as f:
            total += int(f.read().split()[0])
    return total / 1000


class Memory:
    """Samples a server's proportional set size, children included, while its block runs."""

    EVERY_S = 0.1

    def __init__(self, server):
        self.pid = server.process.pid
        self.before = self.most = pss_bytes(self.pid)
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.sample, daemon=True)

    def sample(self):
        while not self.over.wait(self.EVERY_S):
            self.most = max(self.most, pss_bytes(self.pid))

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()

    def growth(self):
        """As a share of what it was before."""
        return (self.most - self.before) / self.before


def median(values):
    return sorted(values)[len(values) // 2]


def until(condition, timeout_s, what):
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError(f"not so after {timeout_s} s: {what}")
        time.sleep(0.01)
