"""The same commands to wherry and to Redis: the same replies, and the same data afterwards."""

import re

import command_lists
import data
from harness import wires
from resp import Closed, Error, Push

ESCAPES = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"\\": b"\\", b'"': b'"'}
WORD = re.compile(rb'"((?:\\.|[^"\\])*)"|(\S+)')
ESCAPE = re.compile(rb"\\x([0-9a-f]{2})|\\(.)")


def words(line):
    """As redis-cli reads a line."""
    found = []
    for quoted, plain in WORD.findall(line.encode()):
        if plain:
            found.append(plain)
        else:
            found.append(ESCAPE.sub(lambda m: bytes([int(m[1], 16)]) if m[1] else
                                    ESCAPES.get(m[2], m[2]), quoted))
    return found


def parse(text):
    """(mark, words) of each line."""
    for line in text.strip().split("\n"):
        m = re.match(r"(~2|~|\?) ", line)
        yield (m[1] if m else "", words(line[m.end() if m else 0:]))


def canonical(mark, reply):
    if isinstance(reply, list) and not isinstance(reply, Push):
        items = list(reply)
        if mark == "~2" and items and not isinstance(items[0], list):
            items = [items[i:i + 2] for i in range(0, len(items), 2)]
        if mark in ("~", "~2"):
            items.sort(key=repr)
        return type(reply).__name__, items
    if mark == "?":
        return type(reply).__name__
    return type(reply).__name__, reply


def kind(reply):
    return type(reply).__name__


def ask(client, command):
    try:
        return client(*command)
    except Closed:
        return "closed"


def compare(t, family, protocol):
    wherry, redis = t.wherry(), t.redis()
    for c in (wherry.c, redis.c):
        if protocol == 3:
            c.must("HELLO", 3)
        c.must("FLUSHALL")
    same = 0
    for mark, command in parse(command_lists.FAMILIES[family]):
        got, want = ask(wherry.c, command), ask(redis.c, command)
        if mark == "?":
            ok = kind(got) == kind(want)
        else:
            ok = canonical(mark, got) == canonical(mark, want)
        same += ok
        if not ok:
            shown = b" ".join(command).decode(errors="replace")
            t.equal(got, want, f"RESP{protocol} {shown}")
        if "closed" in (got, want):
            break
    t.check(same > 0, f"RESP{protocol} {family}: {same} commands answer as Redis does")
    wherry.c, redis.c = wherry.client(), redis.client()
    t.same_data(wherry, redis, f"after them, {family}")


def both(t, family):
    compare(t, family, 2)
    compare(t, family, 3)


def test_strings(t):
    both(t, "strings")


def test_bits(t):
    both(t, "bits")


def test_keys(t):
    both(t, "keys")


def test_lists(t):
    both(t, "lists")


def test_sets(t):
    both(t, "sets")


def test_hashes(t):
    both(t, "hashes")


def test_zsets(t):
    both(t, "zsets")


def test_streams(t):
    both(t, "streams")


def test_geo(t):
    both(t, "geo")


def test_hyperloglog(t):
    both(t, "hyperloglog")


def test_server(t):
    both(t, "server")


@wires("tcp", "tls", "unix")
def test_filled(t):
    """The data that other tests use: the same commands make the same data."""
    wherry, redis = t.wherry(), t.redis()
    data.fill(wherry.c, scale=2)
    data.fill(redis.c, scale=2)
    t.same_data(wherry, redis, "filled the same way")
    for key in ("string:int", "string:embstr", "string:raw", "list:small", "list:long", "set:16",
                "set:large", "set:many-ints", "hash:small", "hash:value", "hash:large",
                "zset:small", "zset:value", "zset:large", "stream:log"):
        t.equal(wherry("OBJECT", "ENCODING", key), redis("OBJECT", "ENCODING", key),
                f"encoding of {key}")


def test_every_command_is_known(t):
    """What wherry knows, Redis knows with the same arity, flags and keys."""
    wherry, redis = t.wherry(), t.redis()
    theirs = {c[0]: c for c in redis.must("COMMAND")}
    for c in wherry.must("COMMAND"):
        name = c[0].decode()
        if not t.check(c[0] in theirs, f"{name} is a command of Redis"):
            continue
        r = theirs[c[0]]
        t.equal((c[1], c[3:6]), (r[1], r[3:6]), f"{name}: arity and positions of keys")
    for name in (b"get", b"blpop", b"migrate", b"xread", b"psync"):
        got = wherry("COMMAND", "INFO", name)
        t.check(not isinstance(got, Error) and len(got) == 1, f"COMMAND INFO {name.decode()}")
