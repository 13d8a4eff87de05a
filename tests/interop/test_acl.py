"""Users: the same words get the same answers from wherry and from Redis, and files of users go from
one to the other."""

import os

from harness import ports

# What ACL's subcommands answer, refusals among it. Each line is one command's words. No user has rules
# for two single commands: Redis tells these in the order of a table that is hashed with a random seed.
HASH = "34344e4d60c2b6d639b7bd22e18f2b0b91bc34bf0ac5f9952744435093cfb4e6"
SAME = [
    ["ACL", "LIST"],
    ["ACL", "SETUSER", "a", "+@read", "-get", "~x*", "%R~y", "&ch"],
    ["ACL", "GETUSER", "a"],
    ["ACL", "SETUSER", "b", "on", ">p", "#" + HASH, "allkeys", "allchannels",
     "skip-sanitize-payload", "(+get ~k)"],
    ["ACL", "GETUSER", "b"],
    ["ACL", "SETUSER", "c", "badrule"],
    ["ACL", "SETUSER", "c", "+nosuch"],
    ["ACL", "SETUSER", "c", "+@nosuch"],
    ["ACL", "SETUSER", "c", "#zz"],
    ["ACL", "SETUSER", "c", "<zz"],
    ["ACL", "SETUSER", "c", "!" + HASH],
    ["ACL", "SETUSER", "c", "allkeys", "~x"],
    ["ACL", "SETUSER", "c", "allchannels", "&x"],
    ["ACL", "SETUSER", "c", "%X~a"],
    ["ACL", "SETUSER", "c", "%~a"],
    ["ACL", "SETUSER", "c", "%RR~a"],
    ["ACL", "SETUSER", "c", "(+get"],
    ["ACL", "SETUSER", "c", "(~a", "b)"],
    ["ACL", "SETUSER", "c", " () "],
    ["ACL", "SETUSER", "c", ")"],
    ["ACL", "SETUSER", "c", "~a b"],
    ["ACL", "SETUSER", "a b", "on"],
    ["ACL", "SETUSER", "d", "~*", "~*", "&*", "&*"],
    ["ACL", "SETUSER", "d", "%RW~*"],
    ["ACL", "SETUSER", "d", "resetkeys", "%R~*", "%W~*"],
    ["ACL", "SETUSER", "d", "+get|a|b"],
    ["ACL", "SETUSER", "d", "+config|get|x"],
    ["ACL", "SETUSER", "d", "-get|a"],
    ["ACL", "SETUSER", "d", "+get|"],
    ["ACL", "SETUSER", "d", "+client|"],
    ["ACL", "SETUSER", "e", "reset", "%RW~a", "%R~b", "%W~b", "+GET", "+@STRING", "NOPASS"],
    ["ACL", "SETUSER", "f", "+select|0", "+select|1", "+config|get", "-config"],
    ["ACL", "SETUSER", "g", "+@all", "-client", "+client|id"],
    ["ACL", "SETUSER", "h", "+@read", "+select|0"],
    ["ACL", "LIST"],
    ["ACL", "USERS"],
    ["ACL", "WHOAMI"],
    ["ACL", "GETUSER", "nosuch"],
    ["ACL", "DELUSER", "default"],
    ["ACL", "DELUSER", "nosuch", "c"],
    ["ACL", "DRYRUN", "b", "get", "k"],
    ["ACL", "DRYRUN", "a", "publish", "other", "m"],
    ["ACL", "DRYRUN", "a", "mget", "x1", "y", "z"],
    ["ACL", "DRYRUN", "a", "nosuch"],
    ["ACL", "DRYRUN", "nosuch", "get", "k"],
    ["ACL", "DRYRUN", "b", "set", "k"],
    ["ACL", "DRYRUN", "a", "sort", "x", "store", "y"],
    ["ACL", "DRYRUN", "d", "migrate", "h", "1", "k", "0", "5"],
    ["ACL", "LOAD"],
    ["ACL", "SAVE"],
    ["ACL", "LOG", "x"],
    ["ACL", "LOG", "1", "2"],
    ["ACL", "CAT"],
    ["ACL", "CAT", "nosuch"],
    ["ACL", "GENPASS", "0"],
    ["ACL", "FOO"],
    ["CONFIG", "GET", "acl-pubsub-default"],
    ["CONFIG", "GET", "acllog-max-len"],
    ["CONFIG", "SET", "acl-pubsub-default", "some"],
    ["AUTH", "x"],
    ["AUTH", "nosuch", "x"],
    ["AUTH", "b", "wrong"],
    ["AUTH", "a", "x", "y"],
    ["CLIENT", "KILL", "USER", "nosuch"],
]

# As a user with few rights.
REFUSED = [
    ["ACL", "WHOAMI"],
    ["GET", "k"],
    ["SET", "other", "v"],
    ["SET", "k", "v"],
    ["SET", "k", "v", "GET"],
    ["CONFIG", "GET", "port"],
    ["PUBLISH", "c", "m"],
    ["PUBLISH", "ch", "m"],
    ["PSUBSCRIBE", "c*"],
    ["MULTI"],
    ["GET", "k"],
    ["SET", "k", "v"],
    ["EXEC"],
    ["BITFIELD", "k", "GET", "u4", "0"],
    ["RESET"],
    ["ACL", "WHOAMI"],
]


def ask(server, words):
    return repr(server(*words))


def test_replies(t):
    wherry, redis = t.wherry(), t.redis()
    for words in SAME:
        t.equal(ask(wherry, words), ask(redis, words), f"the reply to {' '.join(words)}")
    rules = ["ACL", "SETUSER", "u", "on", "nopass", "+@all", "-get", "-@admin", "+acl|whoami",
             "%W~k", "&ch"]
    clients = []
    for server in (wherry, redis):
        server.must(*rules)
        client = server.client()
        client.must("AUTH", "u", "x")
        clients.append(client)
    for words in REFUSED:
        t.equal(ask(clients[0], words), ask(clients[1], words),
                f"the reply to u's {' '.join(words)}")
    shown = []
    for server in (wherry, redis):
        entries = server.must("ACL", "LOG")
        shown.append([e[:10] for e in entries])  # without the age and the client
    t.equal(repr(shown[0]), repr(shown[1]), "ACL LOG")


def test_files(t):
    """One writes the file, the other reads it; and lines of the configuration likewise."""
    for first, second, way in ((t.wherry, t.redis, "wherry's by Redis"),
                               (t.redis, t.wherry, "Redis's by wherry")):
        folder = t.make_folder(way.split("'")[0])
        path = os.path.join(folder, "users.acl")
        with open(path, "w") as f:
            f.write("user default on nopass ~* &* +@all\n")
        writer = first("--aclfile", path)
        writer.must("ACL", "SETUSER", "a", "on", ">secret", "+@read", "-get", "~x*", "%W~y", "&c")
        writer.must("ACL", "SETUSER", "b", "off", "(+set ~z)", "+config|get")
        want = writer.must("ACL", "LIST")
        writer.must("ACL", "SAVE")
        reader = second("--aclfile", path)
        t.equal(reader.must("ACL", "LIST"), want, f"{way}: the same users")
        t.equal(reader("AUTH", "a", "secret"), b"OK", f"{way}: and the same password")


def test_rewrite(t):
    path = os.path.join(t.folder, "users.conf")
    with open(path, "w") as f:
        f.write('user a on ">two words" +get ~x\n')
    port = ports.take()
    s = t.wherry(wait=False)
    s.end()
    s.port, s.address = port, ("127.0.0.1", port)
    s.argv = lambda: [t.wherry_program, path, "--port", str(port), "--dir", s.folder]
    s.begin()
    s.wait_ready()
    t.equal(s("AUTH", "a", "two words"), b"OK", "a password with a space in the file")
    s.must("AUTH", "default", "")
    s.must("ACL", "SETUSER", "b", "on", "nopass", "+@all", "-flushall", "~*")
    s.must("ACL", "SETUSER", "default", "-flushall")
    want = s.must("ACL", "LIST")
    s.must("CONFIG", "REWRITE")
    with open(path) as f:
        text = f.read()
    t.check("two words" not in text, "passwords are not written", text)
    s.end()
    s.again()
    t.equal(s.must("ACL", "LIST"), want, "the same users after a restart")
    t.check(b"NOPERM" in s("FLUSHALL"), "and the same rights")
