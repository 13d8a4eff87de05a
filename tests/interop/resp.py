"""A RESP2 and RESP3 client over tcp, tls or a unix socket. Replies keep their kind, so that what
two servers say can be compared."""

import socket
import ssl


class Simple(bytes):
    """A +line."""

    def __repr__(self):
        return "+" + self.decode(errors="replace")


class Error(bytes):
    """A -line (or !blob)."""

    def __repr__(self):
        return "-" + self.decode(errors="replace")


class Double(bytes):
    def __repr__(self):
        return "," + self.decode()


class Verbatim(bytes):
    def __repr__(self):
        return "=" + self.decode(errors="replace")


class Big(bytes):
    """A big number, as it was written."""


class Kind(list):
    """A list that is no plain array: map (pairs flattened), set or push."""

    def __repr__(self):
        return type(self).__name__ + list.__repr__(self)

    def __eq__(self, other):
        return type(self) is type(other) and list.__eq__(self, other)

    __hash__ = None


class Map(Kind):
    pass


class Set(Kind):
    pass


class Push(Kind):
    pass


class NullArray:
    """A *-1; the bulk null and RESP3's null are None."""

    def __eq__(self, other):
        return isinstance(other, NullArray)

    def __hash__(self):
        return 0

    def __bool__(self):
        return False

    def __repr__(self):
        return "*-1"


class Closed(Exception):
    """The server closed the connection."""


class ReplyError(Exception):
    """`must` got an error reply."""


def encode(*args):
    out = [b"*%d\r\n" % len(args)]
    for a in args:
        if isinstance(a, str):
            a = a.encode()
        elif not isinstance(a, (bytes, bytearray)):
            a = repr(a).encode() if isinstance(a, float) else str(a).encode()
        out.append(b"$%d\r\n" % len(a))
        out.append(bytes(a))
        out.append(b"\r\n")
    return b"".join(out)


class Client:
    """client(b"GET", "key") gives the reply; errors are values of class Error. `must` raises."""

    def __init__(self, address, tls=None, timeout_s=30):
        """address: (host, port) or the path of a unix socket; tls: an ssl.SSLContext."""
        if isinstance(address, str):
            self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self.sock.settimeout(timeout_s)
            self.sock.connect(address)
        else:
            self.sock = socket.create_connection(address, timeout=timeout_s)
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls:
            self.sock = tls.wrap_socket(self.sock, server_hostname="localhost")
        self.data = bytearray()
        self.at = 0
        self.pushes = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        try:
            self.sock.close()
        except OSError:
            pass

    def timeout(self, seconds):
        self.sock.settimeout(seconds)

    def send(self, data):
        self.sock.sendall(data)

    def __call__(self, *args):
        self.send(encode(*args))
        return self.reply()

    def must(self, *args):
        got = self(*args)
        if isinstance(got, Error):
            raise ReplyError(f"{args[:3]}: {got.decode(errors='replace')}")
        return got

    def line(self, text):
        """A line of words as a command."""
        return self(*text.split())

    def pipeline(self, commands, window=500):
        """All replies; written in windows so that neither side's buffers fill."""
        replies = []
        commands = list(commands)
        for i in range(0, len(commands), window):
            part = commands[i:i + window]
            self.send(b"".join(encode(*c) for c in part))
            replies += [self.reply() for _ in part]
        return replies

    def load(self, commands, window=500):
        for got in self.pipeline(commands, window):
            if isinstance(got, Error):
                raise ReplyError(got.decode(errors="replace"))

    def info(self, section="all"):
        """INFO as a dict of texts."""
        text = bytes(self.must("INFO", section)).decode(errors="replace")
        return dict(l.split(":", 1) for l in text.split("\r\n") if ":" in l and l[0] != "#")

    # ---- reading ----

    def fill(self):
        if self.at > 1 << 16:
            del self.data[:self.at]
            self.at = 0
        try:
            got = self.sock.recv(1 << 18)
        except (ConnectionResetError, BrokenPipeError, ssl.SSLEOFError, ssl.SSLZeroReturnError) as e:
            raise Closed(str(e)) from e
        if not got:
            raise Closed("closed by the server")
        self.data += got

    def read_line(self):
        while True:
            end = self.data.find(b"\r\n", self.at)
            if end >= 0:
                line = bytes(self.data[self.at:end])
                self.at = end + 2
                return line
            self.fill()

    def read_exact(self, n):
        while len(self.data) - self.at < n:
            self.fill()
        got = bytes(self.data[self.at:self.at + n])
        self.at += n
        return got

    def reply(self):
        """The next reply; pushes that come before it are put aside in .pushes."""
        while True:
            got = self.read()
            if not isinstance(got, Push):
                return got
            self.pushes.append(got)

    def read(self):
        line = self.read_line()
        kind, rest = line[:1], line[1:]
        if kind == b"+":
            return Simple(rest)
        if kind == b"-":
            return Error(rest)
        if kind == b":":
            return int(rest)
        if kind in b"$!=" and kind:
            n = int(rest)
            if n < 0:
                return None
            body = self.read_exact(n + 2)[:-2]
            return {b"$": bytes, b"!": Error, b"=": Verbatim}[kind](body)
        if kind == b"_":
            return None
        if kind == b"#":
            return rest == b"t"
        if kind == b",":
            return Double(rest)
        if kind == b"(":
            return Big(rest)
        if kind in b"*~>%|" and kind:
            n = int(rest)
            if n < 0:
                return NullArray()
            if kind == b"|":  # an attribute: about the reply that follows
                for _ in range(2 * n):
                    self.read()
                return self.read()
            items = [self.read() for _ in range(2 * n if kind == b"%" else n)]
            return {b"*": list, b"~": Set, b">": Push, b"%": Map}[kind](items)
        raise ValueError(f"no reply begins like {line[:40]!r}")
