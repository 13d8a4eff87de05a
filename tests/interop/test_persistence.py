"""RDB files between wherry and Redis, and files that are damaged."""

import os

import data


def pair(t, writer, reader, what):
    """What `writer` saves loads in `reader` as the same data."""
    folder = t.make_folder()
    first = writer(folder=folder)
    data.fill(first.c, scale=2)
    want = first.snapshot()
    t.equal(first("SAVE"), b"OK", f"{what}: SAVE")
    first.end()
    second = reader(folder=folder)
    t.same_data(second, want, f"{what}")
    t.check(0 < second("PTTL", "expiring:set") <= 3_600_000, f"{what}: times to live are kept")
    for key in ("string:int", "list:small", "list:long", "set:16", "set:large", "hash:small",
                "hash:large", "zset:small", "zset:large", "stream:log"):
        got = second("OBJECT", "ENCODING", key)
        t.check(isinstance(got, bytes) and got[:1].isalpha(), f"{what}: {key} is {got!r}")
    second.end()


def test_redis_to_wherry(t):
    pair(t, t.redis, t.wherry, "written by Redis")


def test_wherry_to_redis(t):
    pair(t, t.wherry, t.redis, "written by wherry")


def test_wherry_to_wherry(t):
    pair(t, t.wherry, t.wherry, "written by wherry")


def test_compact_limits(t):
    """Data whose encodings come from other thresholds than the reader's."""
    tight = ["--hash-max-listpack-entries", "2", "--zset-max-listpack-entries", "2",
             "--set-max-intset-entries", "4", "--list-max-listpack-size", "3"]
    for writer, reader in ((t.redis, t.wherry), (t.wherry, t.redis)):
        folder = t.make_folder()
        a = writer(*tight, folder=folder)
        data.fill(a.c)
        want = a.snapshot()
        a.must("SAVE")
        a.end()
        b = reader(folder=folder)
        t.same_data(b, want, f"tight limits, {a.kind} to {b.kind}")
        b.end()


def test_uncompressed_and_unchecked(t):
    for writer, reader in ((t.redis, t.wherry), (t.wherry, t.redis)):
        folder = t.make_folder()
        a = writer("--rdbcompression", "no", "--rdbchecksum", "no", folder=folder)
        data.fill(a.c)
        want = a.snapshot()
        a.must("SAVE")
        a.end()
        b = reader(folder=folder)
        t.same_data(b, want, f"plain file, {a.kind} to {b.kind}")
        b.end()


def test_bgsave_and_lastsave(t):
    s = t.wherry()
    data.fill(s.c)
    before = s.must("LASTSAVE")
    t.check(b"ackground saving started" in s.must("BGSAVE"), "BGSAVE says that it started")
    t.until(lambda: s.info("persistence")["rdb_bgsave_in_progress"] == "0", 20, "BGSAVE ends")
    t.equal(s.info("persistence")["rdb_last_bgsave_status"], "ok", "BGSAVE went well")
    t.check(s.must("LASTSAVE") >= before, "LASTSAVE moves on")
    t.equal(s.info("persistence")["rdb_changes_since_last_save"], "0", "no changes since")
    t.check(os.path.exists(os.path.join(s.folder, "dump.rdb")), "the file is there")


def test_debug_reload(t):
    s = t.wherry()
    data.fill(s.c)
    want = s.snapshot()
    t.equal(s("DEBUG", "RELOAD"), b"OK", "DEBUG RELOAD")
    t.same_data(s, want, "DEBUG RELOAD keeps the data")


def test_save_at_exit(t):
    folder = t.make_folder()
    s = t.wherry("--save", "3600 1", folder=folder)
    data.fill(s.c)
    want = s.snapshot()
    t.equal(s.end(), 0, "SIGTERM ends the server with status 0")
    s = t.wherry(folder=folder)
    t.same_data(s, want, "data saved at exit is loaded at start")


def test_damaged_files(t):
    folder = t.make_folder()
    s = t.wherry(folder=folder)
    data.fill(s.c)
    s.must("SAVE")
    s.end()
    path = os.path.join(folder, "dump.rdb")
    with open(path, "rb") as f:
        good = f.read()
    middle = len(good) // 2
    cases = {
        "cut in the middle": good[:middle],
        "cut before the checksum": good[:-8],
        "a flipped bit": good[:middle] + bytes([good[middle] ^ 0x10]) + good[middle + 1:],
        "a wrong checksum": good[:-1] + bytes([good[-1] ^ 1]),
        "a wrong magic": b"RIDES" + good[5:],
        "a version from the future": b"REDIS9999" + good[9:],
        "an unknown opcode": good[:9] + b"\x55\x05hello\x05world" + good[9:],
        "an empty file": b"",
    }
    for what, damaged in cases.items():
        with open(path, "wb") as f:
            f.write(damaged)
        s = t.wherry(folder=folder, wait=False)
        try:
            status = s.process.wait(20)
        except Exception:
            status = None
        t.equal(status, 1, f"{what}: exit status 1")
        log = s.log_text()
        t.check("dump.rdb" in log and "offset" in log, f"{what}: a message with file and offset",
                log[-400:])
        with open(path, "rb") as f:
            t.check(f.read() == damaged, f"{what}: the file is untouched")
        s.end()
        os.unlink(s.log_path)
