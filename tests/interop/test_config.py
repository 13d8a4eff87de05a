"""Configuration: what is refused, and how; what a running server changes and writes back."""

import os
import subprocess

from harness import CERTS, Failed, ports, tls_options
from resp import Error


def run_briefly(t, *argv):
    """Exit status and output of a server that should not come up."""
    try:
        got = subprocess.run([t.wherry_program, *argv], cwd=t.folder, stdin=subprocess.DEVNULL,
                             capture_output=True, timeout=20)
    except subprocess.TimeoutExpired as e:
        raise Failed(f"{argv} runs on") from e
    return got.returncode, (got.stdout + got.stderr).decode(errors="replace")


def refused(t, what, argv, *named):
    status, output = run_briefly(t, *argv)
    t.equal(status, 1, f"{what}: exit status 1")
    lines = [l for l in output.splitlines() if all(n in l for n in named)]
    t.check(len(lines) >= 1, f"{what}: a line with {', '.join(named)}", output[-500:])


def config_file(t, text, name="wherry.conf"):
    path = os.path.join(t.folder, name)
    with open(path, "w") as f:
        f.write(text)
    return path


def test_refused(t):
    port = str(ports.take())
    refused(t, "an unknown directive", ["--port", port, "--no-such-directive", "1"],
            "no-such-directive")
    refused(t, "a bad number", ["--port", "seven"], "port")
    refused(t, "a port out of range", ["--port", "70000"], "port")
    refused(t, "a bad choice", ["--port", port, "--loglevel", "chatty"], "loglevel")
    refused(t, "a bad yes or no", ["--port", port, "--daemonize", "maybe"], "daemonize")
    refused(t, "too few words", ["--port", port, "--maxmemory"], "maxmemory")
    refused(t, "a bad amount of memory", ["--port", port, "--maxmemory", "12parsecs"], "maxmemory")
    refused(t, "a missing file", [os.path.join(t.folder, "none.conf")], "none.conf")
    refused(t, "a missing folder", ["--port", port, "--dir", "/no/such/folder"], "/no/such/folder")
    refused(t, "an unknown directive in a file",
            [config_file(t, f"port {port}\nno-such-directive 1\n")], "no-such-directive")
    refused(t, "an open quote in a file", [config_file(t, f'port {port}\nlogfile "abc\n')],
            "logfile")
    refused(t, "a certificate that is not there",
            ["--port", "0", "--tls-port", port, "--tls-cert-file", "/no/such.crt",
             "--tls-key-file", f"{CERTS}/wherry.key", "--tls-ca-cert-file", f"{CERTS}/ca.crt"],
            "/no/such.crt")
    refused(t, "a key of another certificate",
            ["--port", "0", "--tls-port", port, "--tls-cert-file", f"{CERTS}/wherry.crt",
             "--tls-key-file", f"{CERTS}/rsa.key", "--tls-ca-cert-file", f"{CERTS}/ca.crt"],
            "rsa.key")
    refused(t, "a log file in no folder", ["--port", port, "--logfile", "/no/such/log"],
            "/no/such/log")


def test_unsupported_is_named(t):
    """Directives of Redis that wherry does not have are an error, never ignored."""
    port = str(ports.take())
    for name, value in (("appendonly", "yes"), ("io-threads", "4"), ("loadmodule", "/x.so"),
                        ("cluster-enabled", "yes"), ("syslog-enabled", "yes")):
        refused(t, f"{name} {value}", ["--port", port, f"--{name}", value], name)


def test_port_in_use(t):
    s = t.wherry()
    refused(t, "a port in use", ["--port", str(s.port), "--bind", "127.0.0.1"], str(s.port))
    t.equal(s("PING"), b"PONG", "the one that has the port goes on")


def test_file_and_options(t):
    path = config_file(t, "# a comment\n\nmaxmemory 100mb\n  hash-max-listpack-entries 7\n"
                          'requirepass "a \\"quoted\\" word"\nsave 900 1\nsave 300 10\n'
                          "client-output-buffer-limit normal 0 0 0\n")
    port = ports.take()
    s = t.wherry(wait=False)
    s.end()
    s.port, s.address = port, ("127.0.0.1", port)
    s.argv = lambda: [t.wherry_program, path, "--port", str(port), "--maxmemory", "200mb",
                      "--dir", s.folder]
    s.begin()
    t.until(lambda: s.client()("PING").startswith(b"NOAUTH"), 10, "a password is asked for")
    s.c = s.client()
    t.equal(s("AUTH", 'a "quoted" word'), b"OK", "a quoted word of the file is the password")
    t.equal(s("CONFIG", "GET", "hash-max-listpack-entries")[1], b"7", "the file's value holds")
    t.equal(s("CONFIG", "GET", "maxmemory")[1], b"209715200", "an option beats the file")
    t.equal(s("CONFIG", "GET", "save")[1], b"900 1 300 10", "save lines add up")

    t.equal(s("CONFIG", "SET", "hash-max-listpack-entries", "9", "timeout", "77"), b"OK",
            "CONFIG SET of two")
    t.equal(s("CONFIG", "REWRITE"), b"OK", "CONFIG REWRITE")
    with open(path) as f:
        text = f.read()
    t.check("# a comment" in text, "REWRITE keeps comments")
    t.check("hash-max-listpack-entries 9" in text and "timeout 77" in text,
            "REWRITE writes what was set", text)
    t.equal(text.count("hash-max-listpack-entries"), 1, "REWRITE changes lines in place")
    s.end()
    s.argv = lambda: [t.wherry_program, path, "--dir", s.folder]
    s.begin()
    t.until(lambda: s.client()("PING").startswith(b"NOAUTH"), 10, "it starts from what it wrote")
    s.c = s.client()
    s.must("AUTH", 'a "quoted" word')
    t.equal(s("CONFIG", "GET", "timeout")[1], b"77", "the written value holds")


def test_debian_redis_conf(t):
    """The file that Debian ships for Redis, with only folders and port changed."""
    given = "/usr/share/doc/redis-server/examples/redis.conf"
    paths = [p for p in ("/etc/redis/redis.conf", given) if os.path.exists(p)]
    t.need(paths, "Debian's redis.conf is there")
    ours = ("dir ", "pidfile ", "logfile ", "port ", "daemonize ", "supervised ")
    with open(paths[0]) as f:
        lines = [l for l in f if not l.startswith(ours)]
    folder = t.make_folder()
    port = ports.take()
    lines += [f"port {port}\n", f"dir {folder}\n"]
    conf = config_file(t, "".join(lines))
    s = t.wherry(wait=False)
    s.end()
    s.port, s.address, s.argv = port, ("127.0.0.1", port), lambda: [t.wherry_program, conf]
    s.begin()
    s.wait_ready()
    t.equal(s("PING"), b"PONG", "a usual redis.conf works unchanged")


def title_of(s):
    with open(f"/proc/{s.process.pid}/cmdline", "rb") as f:
        return f.read().rstrip(b"\0").decode()


def test_title(t):
    s = t.wherry("--bind", "127.0.0.1")
    program = t.wherry_program
    t.equal(title_of(s), f"{program} 127.0.0.1:{s.port}", "the title says where it listens")
    t.equal(s("CONFIG", "SET", "proc-title-template", "{title} at {port} or {tls-port}"), b"OK",
            "another template")
    t.equal(title_of(s), f"{program} at {s.port} or 0", "and ps shows it")
    got = s("CONFIG", "SET", "proc-title-template", "{title} {nonsense}")
    t.check(isinstance(got, Error) and b"nonsense" in got, "an unknown variable", repr(got))
    t.equal(title_of(s), f"{program} at {s.port} or 0", "changes nothing")


def test_set_is_refused_whole(t):
    s = t.wherry()
    before = s("CONFIG", "GET", "hash-max-listpack-entries")
    got = s("CONFIG", "SET", "hash-max-listpack-entries", "5", "maxmemory", "nonsense")
    t.check(isinstance(got, Error) and b"maxmemory" in got, "the bad one is named", repr(got))
    t.equal(s("CONFIG", "GET", "hash-max-listpack-entries"), before, "the good one was not set")
    t.check(isinstance(s("CONFIG", "SET", "port", "x"), Error), "a bad port")
    t.check(isinstance(s("CONFIG", "REWRITE"), Error), "REWRITE without a file is an error")


def test_tls_set_while_running(t):
    s = t.wherry()
    port = ports.take()
    options = [o.removeprefix("--") for o in tls_options()]
    t.equal(s("CONFIG", "SET", *options), b"OK", "certificates by CONFIG SET")
    t.equal(s("CONFIG", "SET", "tls-port", port), b"OK", "tls-port by CONFIG SET")
    s.wire, s.address = "tls", ("127.0.0.1", port)
    c = s.client()
    t.equal(c("PING"), b"PONG", "a client comes in over TLS")
    got = s("CONFIG", "SET", "tls-cert-file", "/no/such.crt")
    t.check(isinstance(got, Error) and b"/no/such.crt" in got, "a bad file is refused", repr(got))
    t.equal(s("CONFIG", "GET", "tls-cert-file")[1].decode(), f"{CERTS}/wherry.crt",
            "the old certificate stays")
    t.equal(s.client()("PING"), b"PONG", "and serves")
    t.equal(s("CONFIG", "SET", "tls-port", "0"), b"OK", "the TLS port is closed again")
    t.equal(c("PING"), b"PONG", "who was connected stays")
    try:
        s.client()
        t.check(False, "nobody listens on the TLS port")
    except OSError:
        t.check(True, "nobody listens on the TLS port")


def test_ends_cleanly(t):
    import signal
    for number in (signal.SIGTERM, signal.SIGINT):
        pidfile = os.path.join(t.folder, "server.pid")
        s = t.wherry("--pidfile", pidfile)
        t.equal(open(pidfile).read().strip(), str(s.process.pid), "the pid file")
        t.equal(s.end(number), 0, f"{number.name} ends it with status 0")
        t.check(not os.path.exists(pidfile), "the pid file is gone")
