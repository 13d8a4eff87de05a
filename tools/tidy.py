#!/usr/bin/env python3
"""The house rules that a program can check (ARCHITECTURE.md gives the reasons).

Length of files and functions, the order in which folders may include each other, calls that would
block an event loop or fork, writable global data in object files, and clang-format's opinion. Every
exception is named below with its reason; one that is no longer needed is an error too.
"""

import argparse
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

# Lines. The aim is what we write to; past the limit a file or function needs a reason here.
FILE_AIM, FILE_LIMIT = 600, 700
FUNCTION_AIM, FUNCTION_LIMIT = 70, 90
LONG_FILES = {
    "tests/unit/tls_conn.c": "one scene and its wires, shared by every test of the layer",
    "tests/sim/replication.c": "one world: its nodes, its faults and what must hold",
    "tests/sim/migration.c": "one world: its nodes, their model, its faults and what must hold",
}
LONG_FUNCTIONS = {}
TRACKED_LIMIT = 512 * 1024  # bytes of any file in git

# A folder may include itself and those before it...
FOLDERS = ["base", "loop", "conn", "proto", "value", "rdb", "store", "repl", "migrate", "cluster",
           "node", "command", "server", "cli", "benchmark"]
# ...but these are neighbours that know nothing of each other.
STRANGERS = [{"repl", "migrate", "cluster"}, {"server", "cli", "benchmark"}]

# Nothing under src/ may fork, or wait for a socket, a file, a resolver, a child or the clock.
BANNED = """fork vfork poll ppoll select pselect epoll_wait getaddrinfo getnameinfo gethostbyname
    gethostbyaddr gethostbyname_r fsync fdatasync sync syncfs sync_file_range usleep sleep nanosleep
    clock_nanosleep system popen wait waitpid daemon SO_RCVTIMEO SO_SNDTIMEO open openat fopen fread
    fwrite pread pwrite rename unlink pthread_join uv_thread_join uv_sem_wait uv_cond_wait
    uv_fs_fsync uv_run SSL_set_fd SSL_connect gets strcpy strcat sprintf""".split()
FILE_WORK = "in a piece of work, on a worker thread"
AT_START = "before the loop runs"
ALLOWED = {
    ("src/node/whole_file.c", "fopen"): FILE_WORK,
    ("src/node/whole_file.c", "fread"): FILE_WORK,
    ("src/node/whole_file.c", "open"): FILE_WORK,
    ("src/node/whole_file.c", "fdatasync"): FILE_WORK,
    ("src/node/whole_file.c", "rename"): FILE_WORK,
    ("src/node/whole_file.c", "unlink"): FILE_WORK,
    ("src/loop/loop_uv_file.c", "pread"): FILE_WORK,
    ("src/loop/loop_uv_file.c", "pwrite"): FILE_WORK,
    ("src/loop/loop_uv_file.c", "open"): FILE_WORK,
    ("src/loop/loop_uv_file.c", "fsync"): FILE_WORK,
    ("src/loop/loop_uv_file.c", "fdatasync"): FILE_WORK,
    ("src/loop/loop_uv_file.c", "rename"): FILE_WORK,
    ("src/loop/loop_uv_file.c", "unlink"): FILE_WORK,
    ("src/server/logger.c", "open"): AT_START,
    ("src/server/main.c", "daemon"): AT_START + ", before any thread: the one fork there is",
    ("src/server/main.c", "fopen"): AT_START,
    ("src/server/main.c", "unlink"): "after the loop has ended",
    ("src/conn/net_uv.c", "unlink"): "the entry of a unix socket, when listening begins and ends",
    ("src/loop/loop_uv.c", "uv_run"): "the loop itself",
}  # ("file", "call"): "why"

WRITABLE = {}  # "object file symbol": "why"


def sources(*folders):
    for folder in folders:
        for path, dirs, names in os.walk(os.path.join(ROOT, folder)):
            dirs[:] = sorted(d for d in dirs if d != "corpus")
            for name in sorted(names):
                if name.endswith((".c", ".h")):
                    yield os.path.relpath(os.path.join(path, name), ROOT)


def blank(text):
    """The text with comments, strings and characters emptied, lines kept."""
    pattern = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)

    def empty(m):
        if m.group().startswith("/"):
            return "\n" * m.group().count("\n")
        return m.group()[0] * 2
    return pattern.sub(empty, text)


def functions(code):
    """(name, first line, lines) of each function; clang-format puts its braces in column 0."""
    lines = code.split("\n")
    start = None
    for i, line in enumerate(lines):
        if line == "{":
            start = i
        elif line == "}" and start is not None:
            head = start
            while head > 0 and lines[head - 1] and lines[head - 1][0] not in "};/#":
                head -= 1
            m = re.search(r"(\w+)\s*\(", "\n".join(lines[head:start]))
            yield (m.group(1) if m else "?"), head + 1, i - head + 1
            start = None


class Report:
    """Problems found, and which exceptions were needed."""

    def __init__(self):
        self.problems = []
        self.used = set()

    def check(self, ok, text):
        if not ok:
            self.problems.append(text)

    def excused(self, table, key):
        if key in table:
            self.used.add((id(table), key))
            return True
        return False

    def unused(self, table, what):
        for key in table:
            self.check((id(table), key) in self.used, f"tidy.py: {what} {key} needs no exception")


def check_lengths(report):
    aims = 0
    for path in sources("src", "tests", "tools"):
        text = open(os.path.join(ROOT, path)).read()
        length = text.count("\n")
        aims += length > FILE_AIM
        report.check(length <= FILE_LIMIT or report.excused(LONG_FILES, path),
                     f"{path}: {length} lines; at most {FILE_LIMIT}, better {FILE_AIM}")
        for name, line, lines in functions(blank(text)):
            aims += lines > FUNCTION_AIM
            if path.startswith("tests/") and name in ("Test", "ParameterizedTest", "Theory"):
                continue  # a scenario is as long as it is
            report.check(lines <= FUNCTION_LIMIT or report.excused(LONG_FUNCTIONS, (path, name)),
                         f"{path}:{line}: {name} has {lines} lines; at most {FUNCTION_LIMIT}, "
                         f"better {FUNCTION_AIM}")
    report.unused(LONG_FILES, "the file")
    report.unused(LONG_FUNCTIONS, "the function")
    print(f"{aims} files and functions are longer than we aim for ({FILE_AIM} and {FUNCTION_AIM} "
          "lines)")


def check_includes(report):
    for path in sources("src"):
        own = path.split("/")[1]
        report.check(own in FOLDERS, f"{path}: {own}/ has no place in the order of folders")
        for number, line in enumerate(open(os.path.join(ROOT, path)), 1):
            m = re.match(r'#include "([^"]+)"', line)
            if not m or own not in FOLDERS:
                continue
            other = m.group(1).split("/")[0]
            if "/" not in m.group(1) or other not in FOLDERS:
                report.check(False, f'{path}:{number}: write "folder/file.h", not "{m.group(1)}"')
                continue
            ok = FOLDERS.index(other) <= FOLDERS.index(own)
            for strangers in STRANGERS:
                ok = ok and not (own in strangers and other in strangers and own != other)
            report.check(ok, f"{path}:{number}: {own}/ may not include {m.group(1)}")


def check_calls(report):
    call = re.compile(r"(?<![\w.>])(%s)\b(\s*\()?" % "|".join(BANNED))
    for path in sources("src"):
        for number, line in enumerate(blank(open(os.path.join(ROOT, path)).read()).split("\n"), 1):
            if line.startswith("#include"):
                continue
            for m in call.finditer(line):
                if not m.group(2) and not m.group(1).isupper():
                    continue  # a word, no call
                report.check(report.excused(ALLOWED, (path, m.group(1))),
                             f"{path}:{number}: {m.group(1)} is banned here")
    report.unused(ALLOWED, "the call")


def check_data(report, build):
    """No writable data in any object of ours: a node is a value."""
    objects = []
    for path, _, names in os.walk(os.path.join(ROOT, build, "src")):
        objects += [os.path.join(path, n) for n in names if n.endswith(".o")]
    report.check(bool(objects), f"{build}/src holds no object files")
    if not objects:
        return
    out = subprocess.run(["nm", "-A", "--defined-only", *sorted(objects)], capture_output=True,
                         text=True, check=True).stdout
    sections = subprocess.run(["objdump", "-t", *sorted(objects)], capture_output=True, text=True,
                              check=True).stdout
    constant = set()  # pointers that the linker fills in and then makes read-only
    name = None
    for line in sections.split("\n"):
        if ": " in line and "file format" in line:
            name = line.split(":")[0]
        elif "\t" in line and ".data.rel.ro" in line.split("\t")[0]:
            constant.add((name, line.split()[-1]))
    for line in out.strip().split("\n"):
        where, _, kind, symbol = re.match(r"(.*?\.o):(\S*)\s+(\S) (\S+)", line).groups()
        short = os.path.relpath(where, os.path.join(ROOT, build))
        writable = kind in "dDbBsSgGC" and (where, symbol) not in constant
        report.check(not writable or report.excused(WRITABLE, f"{short} {symbol}"),
                     f"{short}: {symbol} is writable global data")
    report.unused(WRITABLE, "the symbol")


def check_format(report):
    files = list(sources("src", "tests", "tools"))
    got = subprocess.run(["clang-format", "--dry-run", *files], cwd=ROOT, capture_output=True,
                         text=True)
    wrong = {}
    for m in re.finditer(r"^(\S+?):(\d+):\d+: warning:", got.stderr, re.M):
        wrong.setdefault(m.group(1), []).append(m.group(2))
    report.check(got.returncode == 0, "clang-format failed: " + got.stderr[:300])
    for path in files:
        lines = wrong.get(path, [])
        report.check(not lines, f"{path}: not as clang-format has it (lines {', '.join(lines[:5])}"
                                f"{', ...' if len(lines) > 5 else ''}): make format")


def check_tracked(report):
    """Git holds sources and small test data: no core dump, no build output."""
    if not os.path.exists(os.path.join(ROOT, ".git")):
        return  # sources without their history
    got = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True,
                         check=True)
    for path in filter(None, got.stdout.split("\0")):
        full = os.path.join(ROOT, path)
        size = os.path.getsize(full) if os.path.exists(full) else 0
        report.check(size <= TRACKED_LIMIT,
                     f"{path}: {size} bytes in git; at most {TRACKED_LIMIT}")
        report.check(not path.startswith("build"), f"{path}: build output in git")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", default="build", help="folder of the object files")
    build = parser.parse_args().build
    rules = [
        ("lengths of files and functions", check_lengths),
        ("order of includes", check_includes),
        ("banned calls", check_calls),
        ("no writable global data", lambda report: check_data(report, build)),
        ("format", check_format),
        ("what git tracks", check_tracked),
    ]
    failed = 0
    for name, rule in rules:
        report = Report()
        rule(report)
        for problem in report.problems:
            print(problem)
        print(f"tidy: {name}: {'FAILED' if report.problems else 'ok'}")
        failed += bool(report.problems)
    print(f"{len(rules) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
