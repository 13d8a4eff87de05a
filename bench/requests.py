"""redis-benchmark, alone with one server at a time. There is no target; more is better."""

import re
import subprocess

from common import KINDS, harness, median

ROUNDS = 3
CASES = {  # redis-benchmark's options, and requests
    "SET, 50 clients": ("-t set -c 50", 100_000),
    "GET, 50 clients": ("-t get -c 50", 100_000),
    "SET, 16 pipelined": ("-t set -c 50 -P 16", 500_000),
    "GET, 16 pipelined": ("-t get -c 50 -P 16", 500_000),
    "HSET, 16 pipelined": ("-t hset -c 50 -P 16", 300_000),
    "LPUSH, 16 pipelined": ("-t lpush -c 50 -P 16", 300_000),
    "ZADD, 16 pipelined": ("-t zadd -c 50 -P 16", 300_000),
    "SET of 16 KiB": ("-t set -c 20 -d 16384", 30_000),
}


def requests(bench):
    bench.title(f"Requests over {bench.wire}")
    bench.begin("requests")
    try:
        servers = [bench.start(kind) for kind in KINDS]
        for what, (options, count) in CASES.items():
            rates = ([], [])
            for _ in range(ROUNDS):
                for server, found in zip(servers, rates):
                    found.append(rate(bench, server, options, count * bench.scale))
            bench.row(what, median(rates[0]) / 1000, median(rates[1]) / 1000, "k/s")
    finally:
        bench.finish()


def rate(bench, server, options, count):
    argv = ["redis-benchmark", "-p", str(server.port), "-r", "100000", "--csv", "-n", str(count),
            *options.split()]
    if bench.wire == "tls":
        argv += ["--tls", "--cacert", f"{harness.CERTS}/ca.crt", "--cert",
                 f"{harness.CERTS}/client.crt", "--key", f"{harness.CERTS}/client.key"]
    out = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=300).stdout
    return float(re.findall(r'^"[A-Z]+[^"]*","([\d.]+)"', out, re.M)[-1])


MEASURES = {"requests": requests}
