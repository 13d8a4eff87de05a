"""What a server says of its place in a replication history, and the rules of PSYNC by which a test
knows beforehand whether a partial resynchronization is possible."""

NONE = "0" * 40


class Position:
    """One look at INFO replication and the counters of syncs."""

    def __init__(self, info):
        self.replica = info["role"] == "slave"
        self.up = info.get("master_link_status") == "up"
        self.id, self.id2 = info["master_replid"], info["master_replid2"]
        self.second = int(info["second_repl_offset"])
        self.offset = int(info["slave_repl_offset" if self.replica else "master_repl_offset"])
        self.active = info["repl_backlog_active"] == "1"
        self.first = int(info["repl_backlog_first_byte_offset"])
        self.length = int(info["repl_backlog_histlen"])
        self.size = int(info["repl_backlog_size"])
        self.full = int(info["sync_full"])
        self.partial = int(info["sync_partial_ok"])
        self.refused = int(info["sync_partial_err"])

    # Redis says 1 where it has nothing to go on with.
    @property
    def has_history(self):
        return self.offset > 1

    def covers(self, offset):
        """The backlog holds everything after `offset`."""
        return self.active and self.first <= offset + 1 <= self.first + self.length

    def knows(self, id, offset):
        """`id` named this history at `offset`."""
        return id == self.id or (id == self.id2 and offset + 1 <= self.second)

    def __repr__(self):
        return (f"{self.id[:6]}/{self.id2[:6]}<{self.second} at {self.offset}, backlog "
                f"{self.first}+{self.length}{'' if self.active else ' (none)'}")


def possible(primary, replica):
    """A replica that was cut off at `replica` can go on from a primary at `primary`."""
    return (replica.has_history and primary.knows(replica.id, replica.offset)
            and primary.covers(replica.offset))


class History:
    """What a server must say of itself, from what has been done to it."""

    def __init__(self, position):
        self.id, self.id2, self.second = position.id, position.id2, position.second

    def promoted(self, before, after):
        """A new id; the old one counts up to where that happened. What expires then may have
        moved the offset on."""
        second = min(max(after.second, before.offset + 1), after.offset + 1)
        self.id2, self.second, self.id = self.id, second, after.id

    def restarted(self, after):
        """From the RDB: a replica knows its id, a primary has a new one."""
        if after.replica:
            self.id2, self.second = NONE, -1
        else:
            self.id2, self.second, self.id = self.id, after.second, after.id

    def continued(self, upper, before):
        """A partial resync under `upper`, which may have a newer id."""
        if upper.id != self.id:
            self.id2, self.second, self.id = self.id, before.offset + 1, upper.id

    def replaced(self, upper):
        """A full sync."""
        self.id, self.id2, self.second = upper.id, NONE, -1

    def wrong(self, position):
        """What `position` says otherwise, or ''."""
        want, got = (self.id, self.id2, self.second), (position.id, position.id2, position.second)
        return "" if got == want else f"got {got}, want {want}"
