"""Descriptors and memory of server processes over a run, and what sanitizers said."""

import os

ROOM_BYTES = 24 << 20  # what a process may grow beyond a quarter, after its first few looks
SETTLE = 3  # looks until a process has its shape


class Watch:
    """Looks at processes at quiet moments."""

    def __init__(self, t, kinds):
        self.t, self.kinds = t, kinds
        self.seen = {}  # (name, pid) to [(descriptors, resident bytes)]

    def look(self, name, server):
        if name[0] not in self.kinds:
            return
        pid = server.process.pid
        count = len(os.listdir(f"/proc/{pid}/fd"))
        # The backlog grows to its size with what is written, as it should.
        backlog = int(server.info("replication")["repl_backlog_histlen"])
        self.seen.setdefault((name, pid), []).append((count, server.resident_bytes() - backlog))

    def judge(self):
        """Descriptors don't grow; memory only as an allocator's fragments do."""
        for (name, _), looks in self.seen.items():
            if len(looks) <= SETTLE:
                continue
            early, late = looks[:SETTLE], looks[-1]
            most = max(n for n, _ in early)
            self.t.check(late[0] <= most + 3, f"{name}: descriptors after {len(looks)} looks",
                         f"{late[0]}, at first {most}")
            bytes_at_first = max(b for _, b in early)
            self.t.check(late[1] <= bytes_at_first * 1.25 + ROOM_BYTES,
                         f"{name}: memory after {len(looks)} looks",
                         f"{late[1] >> 20} MiB, at first {bytes_at_first >> 20} MiB")
