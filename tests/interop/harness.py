"""Processes and wires for interop tests.

A test is a function test_*(t) in a file test_*.py; `t` is a Trial. What it starts ends with it. Each
t.check(...) is a line `ok` or `FAILED` and one of the counts; an exception is a failure too.

    @wires("tcp", "tls")                    # once per wire; t.wire says which
    def test_sync(t):
        primary = t.redis()
        replica = t.wherry()
        t.must(replica, "REPLICAOF", *primary.address)
        t.until(lambda: replica.info()["master_link_status"] == "up", 10, "the link is up")
"""

import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import traceback

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from resp import Client, Closed, Error, ReplyError  # noqa: E402,F401

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CERTS = os.path.join(ROOT, "tests/tls")
# Below the range that systems take outgoing ports from.
PORTS = tuple(map(int, os.environ.get("WHERRY_TEST_PORTS", "21600-21999").split("-")))
READY_S, END_S = 30, 30
# How reports of sanitizers begin.
SANITIZERS = ("ERROR: AddressSanitizer", "ERROR: LeakSanitizer", "WARNING: ThreadSanitizer",
              ": runtime error:")


def wires(*names):
    def mark(function):
        function.wires = names
        return function
    return mark


class Failed(Exception):
    """A test cannot go on; the check that says so has been counted."""


class Ports:
    """Free loopback ports, one after the other."""

    def __init__(self):
        self.next = PORTS[0]

    def take(self):
        for _ in range(PORTS[1] - PORTS[0] + 1):
            port = self.next
            self.next = port + 1 if port < PORTS[1] else PORTS[0]
            with socket.socket() as s:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    s.bind(("127.0.0.1", port))
                    return port
                except OSError:
                    continue
        raise RuntimeError(f"no free port in {PORTS}")


ports = Ports()


def client_context(certificate="client"):
    context = ssl.create_default_context(cafile=f"{CERTS}/ca.crt")
    if certificate:
        context.load_cert_chain(f"{CERTS}/{certificate}.crt", f"{CERTS}/{certificate}.key")
    return context


def tls_options():
    return ["--tls-cert-file", f"{CERTS}/wherry.crt", "--tls-key-file", f"{CERTS}/wherry.key",
            "--tls-ca-cert-file", f"{CERTS}/ca.crt"]


class Server:
    """A server process on loopback ports of its own. `wire` decides how clients of the test, its
    own replication and its MIGRATE go."""

    def __init__(self, program, kind, wire, options, folder, port=None):
        self.program, self.kind, self.wire, self.folder = program, kind, wire, folder
        self.port = port or ports.take()
        self.address = ("127.0.0.1", self.port)
        self.options = list(options)
        self.log_path = os.path.join(folder, f"{kind}-{self.port}.log")
        self.sockets = []
        self.process = None
        self.begin()

    def argv(self):
        argv = [self.program, "--dir", self.folder, "--save", "", "--daemonize", "no",
                "--enable-debug-command", "yes", "--bind", "127.0.0.1"]
        if self.wire == "tls":
            argv += ["--port", "0", "--tls-port", str(self.port), "--tls-replication", "yes",
                     "--tls-cluster", "yes", *tls_options()]
        else:
            argv += ["--port", str(self.port)]
        if self.wire == "unix":
            argv += ["--unixsocket", self.unix_path()]
        return argv + self.options

    def unix_path(self):
        return os.path.join(self.folder, f"{self.kind}.sock")

    def begin(self):
        self.log = open(self.log_path, "ab")
        self.process = subprocess.Popen(self.argv(), cwd=self.folder, stdin=subprocess.DEVNULL,
                                        stdout=self.log, stderr=subprocess.STDOUT)

    def client(self, timeout_s=30, tls=None):
        """A new connection; `tls` may bring a context of the caller's own."""
        address = self.unix_path() if self.wire == "unix" else self.address
        if self.wire == "tls":
            tls = tls or client_context()
        c = Client(address, tls, timeout_s)
        self.sockets.append(c)
        return c

    def wait_ready(self):
        deadline = time.monotonic() + READY_S
        while True:
            if self.process.poll() is not None:
                raise Failed(f"{self.kind} ended with {self.process.returncode}:\n{self.tail()}")
            try:
                self.c = self.client()
                if self.c("PING") == b"PONG":
                    return self
                self.c.close()
            except (OSError, Closed):
                pass
            if time.monotonic() > deadline:
                raise Failed(f"{self.kind} is not ready after {READY_S} s:\n{self.tail()}")
            time.sleep(0.02)

    # `c` is a connection that is always there.
    def __call__(self, *args):
        return self.c(*args)

    def must(self, *args):
        return self.c.must(*args)

    def info(self, section="all"):
        return self.c.info(section)

    def digest(self):
        """Of the whole data set; for large ones a server may take its time."""
        self.c.timeout(120)
        got = self.must("DEBUG", "DIGEST")
        self.c.timeout(30)
        return bytes(got).decode()

    def snapshot(self):
        """What same_data compares."""
        return self.digest(), self.key_digests()

    def key_digests(self):
        """{(database, key): digest of the value and its time to live}: says where data differs."""
        found = {}
        for db in range(16):
            self.must("SELECT", db)
            keys = self.must("KEYS", "*")
            for i in range(0, len(keys), 100):
                part = keys[i:i + 100]
                for key, value in zip(part, self.must("DEBUG", "DIGEST-VALUE", *part)):
                    found[db, key] = bytes(value)
        self.must("SELECT", 0)
        return found

    def log_text(self):
        if not os.path.exists(self.log_path):
            return ""  # one that never began
        with open(self.log_path, "rb") as f:
            return f.read().decode(errors="replace")

    def tail(self, lines=15):
        return "".join("    | " + l + "\n" for l in self.log_text().splitlines()[-lines:])

    def send_signal(self, number):
        self.process.send_signal(number)

    def resident_bytes(self):
        with open(f"/proc/{self.process.pid}/statm") as f:
            return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def end(self, number=signal.SIGTERM, timeout_s=END_S):
        """The exit status; None when it had to be killed."""
        for s in self.sockets:
            s.close()
        self.sockets = []
        status = None
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            status = self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()
        return status

    def again(self, *options):
        """Starts anew after end(), with other options when given."""
        if options:
            self.options = list(options)
        self.begin()
        return self.wait_ready()


class Proxy:
    """A TCP relay to a server that can stall, cut and refuse. Forwards bytes as they are, so TLS
    goes through it untouched."""

    def __init__(self, target):
        self.target = target
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = self.listener.getsockname()
        self.lock = threading.Condition()
        self.pairs = []
        self.stalled = self.refusing = self.over = False
        self.moved = {"up": 0, "down": 0}  # bytes towards the server, and from it
        self.cut_at = {}
        self.rate = None
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            if self.refusing or self.over:
                near.close()
                continue
            try:
                far = socket.create_connection(self.target, timeout=5)
                far.settimeout(None)
            except OSError:
                near.close()
                continue
            with self.lock:
                self.pairs = [p for p in self.pairs if p[0].fileno() >= 0]
                self.pairs.append((near, far))
                if self.refusing:  # shut meanwhile
                    self.pairs.pop()
                    near.close()
                    far.close()
                    continue
            threading.Thread(target=self.pump, args=(near, far, "up"), daemon=True).start()
            threading.Thread(target=self.pump, args=(far, near, "down"), daemon=True).start()

    def pump(self, source, sink, way):
        try:
            while True:
                with self.lock:
                    self.lock.wait_for(lambda: not self.stalled or self.over)
                # At a low rate bytes drip instead of coming in lumps.
                rate = self.rate
                data = source.recv(min(1 << 16, max(1, int(rate / 20))) if rate else 1 << 16)
                if not data:
                    break
                with self.lock:
                    self.lock.wait_for(lambda: not self.stalled or self.over)
                    limit, action = self.cut_at.get(way, (None, None))
                    if limit is not None and self.moved[way] + len(data) >= limit:
                        data = data[:max(0, limit - self.moved[way])]
                    self.moved[way] += len(data)
                sink.sendall(data)
                if limit is not None and self.moved[way] >= limit:
                    self.cut_at.pop(way, None)
                    if action:
                        action()
                    break
                if rate:
                    time.sleep(len(data) / rate)
        except OSError:
            pass
        for s in (source, sink):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            s.close()

    def stall(self):
        """Bytes stay where they are, both ways, until resume()."""
        with self.lock:
            self.stalled = True

    def resume(self):
        with self.lock:
            self.stalled = False
            self.lock.notify_all()

    def cut(self):
        """Ends every connection that goes through now."""
        with self.lock:
            pairs, self.pairs = self.pairs, []
        for pair in pairs:
            for s in pair:
                try:
                    s.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def shut(self):
        """Ends what goes through and lets nothing in, until open_again()."""
        self.refusing = True
        self.cut()

    def open_again(self):
        """As new: nothing refused, stalled, slowed or about to be cut."""
        with self.lock:
            self.refusing = self.stalled = False
            self.rate = None
            self.cut_at = {}
            self.lock.notify_all()

    def cut_after(self, way, count, action=None):
        """Ends the connection that moves byte `count` from now on `way` ("up" or "down"), and does
        `action` just before that."""
        with self.lock:
            self.cut_at[way] = self.moved[way] + count, action

    def close(self):
        self.over = True
        self.resume()
        self.cut()
        # A thread in accept() holds the socket open; shutting it down wakes it.
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()


class Trial:
    """One test on one wire: what it may start, and its counts."""

    def __init__(self, name, wire, server, redis):
        self.name, self.wire = name, wire
        self.wherry_program, self.redis_program = server, redis
        self.passed = self.failed = 0
        self.folder = tempfile.mkdtemp(prefix="wherry-interop-")
        self.servers, self.proxies = [], []

    # ---- starting ----

    def make_folder(self, name="data"):
        return tempfile.mkdtemp(prefix=name + "-", dir=self.folder)

    def start(self, program, kind, options, folder, wire, wait):
        s = Server(program, kind, wire or self.wire, options, folder or self.make_folder(kind))
        self.servers.append(s)
        return s.wait_ready() if wait else s

    def wherry(self, *options, folder=None, wire=None, wait=True):
        return self.start(self.wherry_program, "wherry", options, folder, wire, wait)

    def redis(self, *options, folder=None, wire=None, wait=True):
        return self.start(self.redis_program, "redis", options, folder, wire, wait)

    def proxy(self, server):
        p = Proxy(server.address)
        self.proxies.append(p)
        return p

    def finish(self):
        for p in self.proxies:
            p.close()
        for s in self.servers:
            s.end()
            text = s.log_text()
            for words in SANITIZERS:
                if words in text:
                    self.check(False, f"a sanitizer's report in the log of {s.kind} on {s.port}",
                               text[text.index(words):][:3000])
        if self.failed:
            for s in self.servers:
                print(f"    log of {s.kind} on {s.port}:\n{s.tail(25)}", end="")
        shutil.rmtree(self.folder, ignore_errors=True)

    # ---- checking ----

    def check(self, ok, what, detail=""):
        """Counts; the test goes on."""
        if ok:
            self.passed += 1
            print(f"  ok      {what}", flush=True)
        else:
            self.failed += 1
            print(f"  FAILED  {what}" + (f": {detail}" if detail else ""), flush=True)
        return bool(ok)

    def equal(self, got, want, what):
        return self.check(got == want, what, f"got {short(got)}, want {short(want)}")

    def same_data(self, server, want, what):
        """The server holds the data set `want`, another server or its snapshot()."""
        if isinstance(want, Server):
            want = want.snapshot()
        digest, keys = server.snapshot()
        if digest == want[0]:
            return self.check(True, f"{what}: equal digests")
        wrong = sorted(k for k in keys.keys() | want[1].keys() if keys.get(k) != want[1].get(k))
        return self.check(False, f"{what}: equal digests",
                          f"{len(wrong)} of {len(want[1])} keys differ: {short(wrong)}")

    def need(self, ok, what, detail=""):
        """A check without which the rest makes no sense."""
        if not self.check(ok, what, detail):
            raise Failed()

    def until(self, condition, seconds, what):
        """Needs the condition within the time. What raises is not true yet."""
        deadline = time.monotonic() + seconds
        last = ""
        while True:
            try:
                if condition():
                    return self.need(True, what)
            except (OSError, Closed, KeyError, ReplyError) as e:
                last = repr(e)
            if time.monotonic() > deadline:
                return self.need(False, what, f"not so after {seconds} s {last}")
            time.sleep(0.02)


def short(value, limit=300):
    text = repr(value)
    return text if len(text) <= limit else f"{text[:limit]}... ({len(text)} characters)"


def programs(args):
    """The two servers' files, as --server and --redis name them; ends the program without them."""
    server, redis = os.path.abspath(args.server), shutil.which(args.redis)
    if not os.access(server, os.X_OK) or redis is None:
        print(f"missing: {'redis-server (make deps)' if redis is None else server}")
        sys.exit(1)
    subprocess.run(["bash", os.path.join(ROOT, "tools/gen-test-certs.sh")], check=True)
    return server, redis


def run_all(trials, server, redis, summary=lambda: None, note=""):
    """Runs trials (name, wire, function), calls `summary`, names those that failed with `note` behind
    them, and prints the line that counts. Gives the program's exit status."""
    passed = failed = 0
    bad = []
    for name, wire, function in trials:
        ok, wrong = run(function, name, wire, server, redis)
        passed += ok
        failed += wrong
        if wrong:
            bad.append(f"{name} [{wire}]")
    summary()
    for name in bad:
        print(f"FAILED: {name}{note}")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


def run(function, name, wire, server, redis):
    """Runs one test; gives (passed, failed)."""
    print(f"{name} [{wire}]", flush=True)
    began = time.monotonic()
    t = Trial(name, wire, server, redis)
    try:
        function(t)
    except Failed as e:
        if str(e):
            t.check(False, name, str(e))
    except Exception as e:  # whatever goes wrong in a test is a failure of the test
        t.check(False, name, f"{type(e).__name__}: {e}")
        traceback.print_exc(file=sys.stdout)
    finally:
        t.finish()
    if t.passed + t.failed == 0:
        t.check(False, f"{name} checked nothing")
    print(f"  {time.monotonic() - began:.1f} s", flush=True)
    return t.passed, t.failed
