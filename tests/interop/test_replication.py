"""Replication between wherry and Redis, in both directions and through each other: full syncs in
every framing, cut links, writes meanwhile, passwords, failovers, restarts."""

import socket
import threading
import time

import data
from harness import wires
from resp import encode

FAST = ("--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1")
PAIRS = (("redis", "wherry"), ("wherry", "redis"), ("wherry", "wherry"))


def makers(t, names):
    return [getattr(t, name) for name in names]


def repl(server):
    return server.info("replication")


def stats(server):
    return server.info("stats")


def number(fields, name):
    return int(fields[name])


def linked(t, replica, seconds=30, what="the link is up"):
    t.until(lambda: repl(replica)["master_link_status"] == "up", seconds, what)


def level(t, primary, *replicas, seconds=30):
    """All have applied what the primary has written."""
    def same():
        offset = number(repl(primary), "master_repl_offset")
        return all(number(repl(r), "slave_repl_offset") == offset for r in replicas)
    t.until(same, seconds, "the replicas have caught up")


def follow(t, replica, address):
    t.equal(replica("REPLICAOF", *address), b"OK", f"{replica.kind}: REPLICAOF")


@wires("tcp", "tls")
def test_every_type(t):
    for names in PAIRS:
        way = " to ".join(names)
        first, second = makers(t, names)
        primary, replica = first(*FAST), second(*FAST)
        data.fill(primary.c, scale=2)
        replica.must("SET", "of the replica", "goes")
        follow(t, replica, primary.address)
        linked(t, replica)
        level(t, primary, replica)
        t.same_data(replica, primary, way)
        data.writes(primary.c, 3000)
        level(t, primary, replica)
        t.same_data(replica, primary, f"{way}, after writes")
        t.equal(primary("WAIT", 1, 5000), 1, f"{way}: WAIT")
        t.equal(repl(primary)["master_replid"], repl(replica)["master_replid"], f"{way}: one id")
        role = replica("ROLE")
        t.equal(bytes(role[3]), b"connected", f"{way}: ROLE")
        primary.end()
        replica.end()


@wires("tcp", "tls")
def test_cut_links(t):
    for names in PAIRS:
        way = " to ".join(names)
        first, second = makers(t, names)
        primary, replica = first(*FAST), second(*FAST)
        between = t.proxy(primary)
        data.fill(primary.c)
        follow(t, replica, between.address)
        linked(t, replica)
        for i in range(5):
            between.cut()
            data.writes(primary.c, 500, seed=i)
            linked(t, replica, what=f"{way}: up again, {i + 1}")
            level(t, primary, replica)
        t.same_data(replica, primary, f"{way}, after cuts")
        s = stats(primary)
        t.equal(number(s, "sync_full"), 1, f"{way}: one full sync")
        t.equal(number(s, "sync_partial_ok"), 5, f"{way}: five partial ones")
        primary.end()
        replica.end()


def test_chain(t):
    """Redis, wherry, Redis, wherry, each a replica of the one before."""
    chain = [t.redis(*FAST), t.wherry(*FAST), t.redis(*FAST), t.wherry(*FAST)]
    data.fill(chain[0].c, scale=2)
    for upper, lower in zip(chain, chain[1:]):
        follow(t, lower, upper.address)
        linked(t, lower)
    data.writes(chain[0].c, 5000)
    level(t, chain[0], *chain[1:])
    want = chain[0].snapshot()
    for i in range(1, 4):
        t.same_data(chain[i], want, f"member {i}, a {chain[i].kind}")
    # The second is promoted; the rest stays with it, and the first comes back behind the last.
    t.equal(chain[1]("REPLICAOF", "NO", "ONE"), b"OK", "promoted")
    data.writes(chain[1].c, 2000, seed=9)
    level(t, chain[1], chain[2], chain[3])
    follow(t, chain[0], chain[3].address)
    linked(t, chain[0])
    level(t, chain[1], chain[0], chain[2], chain[3])
    want = chain[1].snapshot()
    for i in (0, 2, 3):
        t.same_data(chain[i], want, f"member {i} after the promotion")
    t.equal(sum(number(stats(s), "sync_full") for s in chain), 3, "nobody synced in full again")


@wires("tcp", "tls")
def test_writes_during_a_full_sync(t):
    for names in PAIRS:
        way = " to ".join(names)
        first, second = makers(t, names)
        limit = ("--client-output-buffer-limit", "replica 0 0 0")
        primary, replica = first(*FAST, *limit), second(*FAST)
        data.fill(primary.c, scale=3)
        primary.must("DEBUG", "POPULATE", 30000, "bulk", 200)
        between = t.proxy(primary)
        between.rate = 2_000_000
        writer = primary.client()
        follow(t, replica, between.address)
        done = threading.Thread(target=data.writes, args=(writer, 50000))
        done.start()
        done.join()
        between.rate = None
        linked(t, replica, 60)
        level(t, primary, replica, seconds=60)
        t.same_data(replica, primary, f"{way}: 50,000 writes meanwhile")
        t.equal(number(stats(primary), "sync_full"), 1, f"{way}: one full sync")
        primary.end()
        replica.end()


def test_framings(t):
    """$EOF and $<length>, each from both, each into both ways of loading."""
    for names in PAIRS:
        first, second = makers(t, names)
        for diskless in ("yes", "no"):
            for load in ("disabled", "on-empty-db", "swapdb"):
                way = f"{names[0]} to {names[1]}, diskless {diskless}, load {load}"
                primary = first(*FAST, "--repl-diskless-sync", diskless)
                replica = second(*FAST, "--repl-diskless-load", load)
                data.fill(primary.c)
                replica.must("SET", "of the replica", "goes")
                follow(t, replica, primary.address)
                linked(t, replica)
                level(t, primary, replica)
                t.same_data(replica, primary, way)
                primary.end()
                replica.end()


def test_many_replicas_at_once(t):
    primary = t.wherry("--repl-diskless-sync-delay", "2", "--repl-ping-replica-period", "1")
    data.fill(primary.c, scale=2)
    replicas = [t.redis(*FAST), t.wherry(*FAST), t.redis(*FAST), t.wherry(*FAST)]
    for r in replicas:
        follow(t, r, primary.address)
    for r in replicas:
        linked(t, r)
    data.writes(primary.c, 2000)
    level(t, primary, *replicas)
    want = primary.snapshot()
    for i, r in enumerate(replicas):
        t.same_data(r, want, f"replica {i}, a {r.kind}")
    begun = primary.log_text().count("Starting BGSAVE for SYNC")
    t.equal(begun, 1, "one snapshot for all of them")


@wires("tcp", "tls")
def test_passwords(t):
    for names in (("redis", "wherry"), ("wherry", "redis")):
        way = " to ".join(names)
        first, second = makers(t, names)
        primary = first(*FAST, wait=False, *("--requirepass", "secret"))
        t.until(lambda: login(primary), 10, f"{way}: {primary.kind} is there")
        replica = second(*FAST, "--masterauth", "wrong")
        primary.must("SET", "k", "v")
        follow(t, replica, primary.address)
        time.sleep(1.5)
        t.equal(repl(replica)["master_link_status"], "down", f"{way}: a wrong password")
        replica.must("CONFIG", "SET", "masterauth", "secret")
        linked(t, replica, what=f"{way}: the right password")
        level(t, primary, replica)
        t.same_data(replica, primary, way)
        primary.end()
        replica.end()


def login(server):
    server.c = server.client()
    return server.c("AUTH", "secret") == b"OK"


def test_failover(t):
    """FAILOVER from each to the other and back, without a full sync."""
    a, b = t.redis(*FAST), t.wherry(*FAST)
    data.fill(a.c)
    follow(t, b, a.address)
    linked(t, b)
    for old, new in ((a, b), (b, a), (a, b)):
        way = f"{old.kind} to {new.kind}"
        level(t, old, new)
        t.until(lambda: "online" in str(repl(old)["slave0"]), 10, f"{way}: the target is online")
        t.equal(old("FAILOVER", "TO", *new.address, "TIMEOUT", 10000), b"OK", f"FAILOVER, {way}")
        t.until(lambda: repl(new)["role"] == "master", 15, f"{way}: the target is primary")
        linked(t, old, what=f"{way}: the old one follows")
        t.until(lambda: repl(old)["master_failover_state"] == "no-failover", 5, f"{way}: over")
        data.writes(new.c, 500)
        level(t, new, old)
        t.same_data(old, new, way)
    t.equal(number(stats(a), "sync_full") + number(stats(b), "sync_full"), 1, "one full sync")


def test_restarts(t):
    """A replica, then a primary, that comes back from its RDB goes on where it was."""
    for names in PAIRS:
        way = " to ".join(names)
        first, second = makers(t, names)
        primary, replica = first(*FAST), second(*FAST)
        data.fill(primary.c)
        follow(t, replica, primary.address)
        linked(t, replica)
        level(t, primary, replica)
        t.equal(replica("SAVE"), b"OK", f"{way}: the replica saves")
        replica.end()
        data.writes(primary.c, 500)
        replica.again(*FAST, "--replicaof", "{} {}".format(*primary.address))
        linked(t, replica, what=f"{way}: the replica is back")
        level(t, primary, replica)
        t.same_data(replica, primary, f"{way}, the replica restarted")
        t.equal(number(stats(primary), "sync_full"), 1, f"{way}: no second full sync")
        primary.must("CONFIG", "SET", "save", "900 1")
        t.equal(primary.end(), 0, f"{way}: the primary ends in order")
        primary.again(*FAST)
        linked(t, replica, what=f"{way}: the primary is back")
        primary.must("SET", "after", "restart")
        level(t, primary, replica)
        t.same_data(replica, primary, f"{way}, the primary restarted")
        t.equal(number(stats(primary), "sync_full"), 0, f"{way}: gone on with")
        primary.end()
        replica.end()


def test_lost_transfer_keeps_the_old_data(t):
    for kind in ("redis", "wherry"):
        primary = getattr(t, kind)(*FAST, "--rdb-key-save-delay", "100")
        replica = t.wherry(*FAST)
        data.fill(replica.c)
        want = replica.snapshot()
        primary.must("DEBUG", "POPULATE", 200000, "bulk", 50)
        between = t.proxy(primary)
        follow(t, replica, between.address)
        t.until(lambda: repl(replica)["master_sync_in_progress"] == "1", 20, f"{kind}: syncing")
        between.refusing = True
        between.cut()
        t.until(lambda: repl(replica)["master_sync_in_progress"] == "0", 20, f"{kind}: cut")
        t.same_data(replica, want, f"{kind}: the transfer was lost")
        primary.end()
        replica.end()


def test_a_primary_that_stops_answering(t):
    """repl-timeout on either side; the rest of the world goes on."""
    for names in PAIRS:
        way = " to ".join(names)
        first, second = makers(t, names)
        primary = first(*FAST, "--repl-timeout", "3")
        replica = second(*FAST, "--repl-timeout", "3")
        between = t.proxy(primary)
        follow(t, replica, between.address)
        linked(t, replica)
        between.stall()
        t.until(lambda: repl(replica)["master_link_status"] == "down", 10, f"{way}: noticed")
        t.until(lambda: repl(primary)["connected_slaves"] == "0", 10, f"{way}: dropped")
        between.resume()
        linked(t, replica, what=f"{way}: healed")
        t.equal(number(stats(primary), "sync_full"), 1, f"{way}: gone on with")
        primary.end()
        replica.end()


def test_links_are_told(t):
    """INFO replication of both ends: each link's state, deadline, bytes and rate of its full sync."""
    primary, replica = t.wherry(*FAST), t.wherry(*FAST)
    data.fill(primary.c, scale=2)
    follow(t, replica, primary.address)
    linked(t, replica)
    level(t, primary, replica)
    for server, name in ((primary, "replica0_link"), (replica, "master_link")):
        link = dict(pair.split("=") for pair in repl(server)[name].split(","))
        t.equal(link["deadline"], "silence", f"{name}: the deadline")
        t.check(0 < int(link["left_ms"]) <= 60000, f"{name}: what is left of it", link)
        t.check(int(link["bytes"]) > 10000 and int(link["bytes_per_s"]) > 10000,
                f"{name}: bytes and rate", link)


def test_old_primary(t):
    """A primary that does not know PSYNC is asked by SYNC."""
    rdb = b"REDIS0006\xfe\x00\x00\x03new\x05value\xff" + bytes(8)
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(1)
    listener.settimeout(20)
    replica = t.wherry("--replicaof", "127.0.0.1", str(listener.getsockname()[1]))
    peer = listener.accept()[0]
    peer.settimeout(20)

    def answer(word, reply):
        got = b""
        while word not in got:
            part = peer.recv(4096)
            t.check(part, f"the replica stays until {word}", got)
            got += part
        peer.sendall(reply)

    answer(b"PING", b"+PONG\r\n")
    answer(b"listening-port", b"-ERR unknown command\r\n")
    answer(b"capa", b"-ERR unknown command\r\n")
    answer(b"PSYNC", b"-ERR unknown command 'PSYNC'\r\n")
    answer(b"SYNC", b"$%d\r\n%s" % (len(rdb), rdb))
    linked(t, replica)
    peer.sendall(b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\nb\r\n")
    t.until(lambda: replica("GET", "a") == b"b", 10, "its stream is applied")
    t.equal(replica("GET", "new"), b"value", "its data")
    peer.close()
    listener.close()


def test_long_commands(t):
    """A command that holds the loop for more than a millisecond is counted, and named."""
    server = t.wherry("--latency-monitor-threshold", "1")
    server.c.pipeline([("RPUSH", "list", *range(i, i + 500)) for i in range(0, 200000, 500)])
    server.must("CONFIG", "RESETSTAT")
    server.must("LATENCY", "RESET")
    server.must("SORT", "list", "BY", "nosuch*", "ALPHA", "LIMIT", 0, 1)
    loop = server.info("loop")
    t.check(number(loop, "loop_long_commands") >= 1, "it is counted", loop)
    t.equal(loop["loop_long_command_max_what"], "sort", "INFO names it")
    t.check(number(loop, "loop_long_command_max_us") > 1000, "and how long", loop)
    names = [bytes(event[0]) for event in server.must("LATENCY", "LATEST")]
    t.check(b"hold-sort" in names, "LATENCY names it", names)


@wires("tcp", "tls")
def test_a_shutdown_takes_along_what_was_written(t):
    """Who leaves without waiting for replicas still sends them what it has executed."""
    primary = t.wherry(*FAST)
    replicas = [start("--replicaof", "127.0.0.1", str(primary.port)) for start in
                (t.wherry, t.redis)]
    for r in replicas:
        linked(t, r)
    offset = number(repl(primary), "master_repl_offset")
    t.until(lambda: all(number(repl(r), "slave_repl_offset") >= offset for r in replicas), 20,
            "the replicas follow")
    primary.c.pipeline([("SET", f"key:{i}", "v" * 100) for i in range(400)])
    primary.client().send(encode("SET", "last", "1") + encode("SHUTDOWN", "NOW", "NOSAVE"))
    t.equal(primary.process.wait(20), 0, "its status")
    for r in replicas:
        t.until(lambda: repl(r)["master_link_status"] == "down", 20, "the link is down")
        t.equal(r("DBSIZE"), 401, f"what {r.kind} has")
