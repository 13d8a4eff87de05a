"""Bad bytes: an error and a closed connection for who sent them, and nothing for anybody else."""

import socket
import time

from harness import wires
from resp import Closed, Error, encode

BAD = {
    "an unbalanced quote": b'SET a "b\r\n',
    "a count that is no number": b"*x\r\n",
    "a count that is too large": b"*2147483648\r\n",
    "an absurd count": b"*99999999999999999999\r\n",
    "no bulk where one must be": b"*2\r\n+OK\r\n",
    "a length that is no number": b"*1\r\n$x\r\n",
    "a negative length": b"*1\r\n$-5\r\n",
    "a length beyond proto-max-bulk-len": b"*2\r\n$3\r\nGET\r\n$536870913\r\n",
    "an absurd length": b"*1\r\n$9223372036854775808\r\n",
    "a line without end": b"x" * 70000,
    "a count without end": b"*" + b"1" * 70000,
}


@wires("tcp", "tls")
def test_malformed(t):
    s, r = t.wherry(), t.redis()
    other = s.client()
    other.must("SET", "witness", "here")
    for what, data in BAD.items():
        replies = []
        for server in (s, r):
            c = server.client(timeout_s=10)
            try:
                c.send(data)
                got = c.read()
            except (Closed, OSError):
                got = "closed"
            try:
                c.read()
                closed = False
            except Closed:
                closed = True
            except OSError as e:
                closed = isinstance(e, ConnectionError)
            replies.append((got, closed))
        t.equal(replies[0], replies[1], f"{what}: the error, then closed, as Redis does")
        t.equal(other("GET", "witness"), b"here", f"{what}: others are not touched")
    # What is no mistake: empty lines, a null array, an empty array.
    for data in (b"\r\n", b"*0\r\n", b"*-1\r\n", b"\n"):
        c = s.client()
        c.send(data + b"PING\r\n")
        t.equal(c.read(), b"PONG", f"{data!r} is no mistake")


def test_lengths_are_not_believed(t):
    """A length is no reason to allocate: not before its bytes come."""
    s = t.wherry()
    before = s.resident_bytes()
    held = []
    for _ in range(20):
        c = s.client()
        c.send(b"*2\r\n$3\r\nGET\r\n$536870000\r\nabc")
        held.append(c)
    for _ in range(20):
        c = s.client()
        c.send(b"*1048576\r\n$3\r\nGET\r\n")
        held.append(c)
    s("PING")
    time.sleep(0.2)  # nothing to wait for: the point is what does not happen
    s("PING")
    grown = s.resident_bytes() - before
    t.check(grown < 32 << 20, "40 requests that promise gigabytes take next to nothing",
            f"{grown >> 20} MiB")


def test_before_auth(t):
    """Who is not known may send little."""
    s = t.wherry()
    s.must("CONFIG", "SET", "requirepass", "secret")
    c = s.client()
    c.send(b"*11\r\n")
    t.check(isinstance(c.read(), Error), "eleven arguments before AUTH")
    c = s.client()
    c.send(b"*1\r\n$16385\r\n")
    t.check(isinstance(c.read(), Error), "a long argument before AUTH")
    c = s.client()
    t.check(c("GET", "a").startswith(b"NOAUTH"), "a command before AUTH")
    t.check(c("AUTH", "wrong").startswith(b"WRONGPASS"), "a wrong password")
    t.equal(c("AUTH", "secret"), b"OK", "the right one")
    t.equal(c("GET", "a"), None, "and then commands run")
    c = s.client()
    t.check(c("HELLO", "3").startswith(b"NOAUTH"), "HELLO before AUTH")
    got = c("HELLO", "3", "AUTH", "default", "secret")
    t.check(not isinstance(got, Error), "HELLO with AUTH", repr(got))


@wires("tcp", "tls", "unix")
def test_pieces(t):
    """A pipeline that arrives byte by byte, and one that arrives at once."""
    s = t.wherry()
    commands = [("SET", "key", bytes(range(256))), ("GET", "key"), ("RPUSH", "l", 1, 2, 3),
                ("LRANGE", "l", 0, -1), ("PING", "")]
    data = b"".join(encode(*c) for c in commands)
    c = s.client()
    for i in range(len(data)):
        c.send(data[i:i + 1])
    once = [c.reply() for _ in commands]
    s.must("DEL", "l")
    c = s.client()
    c.send(data)
    t.equal([c.reply() for _ in commands], once, "in pieces or at once: the same replies")
    c.send(b"SET inline 'a b'\r\nGET inline\r\n  \r\nPING\n")
    t.equal([c.reply() for _ in range(3)], [b"OK", b"a b", b"PONG"], "inline commands")


def test_large_values(t):
    s = t.wherry()
    for size in (1 << 16, 1 << 20, 30 << 20):
        value = b"0123456789abcdef" * (size // 16)
        t.equal(s("SET", "large", value), b"OK", f"SET of {size} bytes")
        t.check(s("GET", "large") == value, f"GET of {size} bytes")
    t.equal(s("STRLEN", "large"), 30 << 20, "STRLEN")


def test_slow_reader_is_bounded(t):
    """Who asks and does not read is closed at the limit of its class, and nobody waits for it."""
    s = t.wherry()
    s.must("CONFIG", "SET", "client-output-buffer-limit", "normal 10mb 0 0")
    s.must("SET", "large", "x" * (1 << 20))
    c = s.client(timeout_s=2)
    try:
        c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        c.send(encode("GET", "large") * 100)
    except OSError:
        pass
    t.until(lambda: s.info("clients")["connected_clients"] == "1", 10, "the slow reader is closed")
    t.equal(s("PING"), b"PONG", "others go on")


def test_maxclients(t):
    s = t.wherry()
    s.must("CONFIG", "SET", "maxclients", "3")
    a, b = s.client(), s.client()
    t.equal((a("PING"), b("PING")), (b"PONG", b"PONG"), "up to the limit")
    c = s.client()
    try:
        got = c.read()
    except (Closed, OSError):
        got = "closed"
    t.check(isinstance(got, Error) and b"max number of clients" in got, "one too many", repr(got))
    a.close()
    t.until(lambda: s.client()("PING") == b"PONG", 5, "room again")


def test_idle_timeout(t):
    s = t.wherry("--timeout", "1")
    c = s.client()
    t.equal(c("PING"), b"PONG", "a client comes")
    began = time.monotonic()
    try:
        c.read()
        t.check(False, "an idle client is closed")
    except Closed:
        took = time.monotonic() - began
        t.check(0.9 < took < 3, "an idle client is closed after the timeout", f"{took:.2f} s")


def test_resp3(t):
    s, r = t.wherry(), t.redis()
    for server in (s, r):
        server.c.load([("HSET", "h", "f", "v"), ("SADD", "s", "a"), ("ZADD", "z", "1.5", "m")])
    got = s("HELLO", "3")
    want = r("HELLO", "3")
    names = [got[i] for i in range(0, len(got), 2)]
    t.equal(names, [want[i] for i in range(0, len(want), 2)], "HELLO 3: the fields")
    for command in ("HGETALL h", "SMEMBERS s", "ZRANGE z 0 -1 WITHSCORES", "ZSCORE z m", "GET no",
                    "HGETALL none", "CONFIG GET maxmemory", "LPOP none", "XREAD STREAMS none 0"):
        a, b = s.c.line(command), r.c.line(command)
        t.equal((type(a), a), (type(b), b), f"RESP3 {command}")
    for command in ("HELLO 4", "HELLO x", "HELLO 3 bogus", "HELLO 3 SETNAME"):
        t.equal(s.c.line(command), r.c.line(command), command)
