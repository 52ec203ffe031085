#!/usr/bin/env python3
"""test_malformed.py: valid requests, spoilt at random. The server answers with a status that says so, or as before where no harm was done, or closes; it never
dies, never says 500, and keeps nothing. SEED and ROUNDS in the environment repeat or lengthen it."""
import os
import random
import select
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from served import *  # noqa: E402,F403

SEEDS = [
    get("/hello"), get("/items/a%20b?x=1&y=2", "Accept: */*", "Origin: http://localhost"), get("/stream?n=3&kind=sse", version="1.0"), get("/query?name=value"),
    get("/echo", "Content-Length: 11", "Content-Type: application/json", method="POST", body=b'{"a": [1]}\n'),
    get("/echo", "Transfer-Encoding: chunked", method="POST", body=b"4\r\nabcd\r\n10;x=y\r\n0123456789abcdef\r\n0\r\nTrailer: z\r\n\r\n"),
    get("/echo", "Expect: 100-continue", "Content-Length: 3", method="PUT", body=b"abc"),
    b"GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n" * 3 + get("/hello"), get("*", method="OPTIONS"), get("http://localhost/files/x/y"), get("/hello", method="HEAD"),
]
PIECES = [b"\r\n", b"\r", b"\n", b"\0", b" ", b"\t", b":", b"%", b"%00", b"0", b"-1", b"\xff", b"HTTP/1.1", b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b"Host: x\r\n", b"\r\n\r\n", b"ffffffff", b"A" * 3000]


def spoil(rng, data):
    data = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 3, 8))):
        at = rng.randrange(len(data) + 1)
        kind = rng.randrange(7)
        if kind == 0 and at < len(data):
            data[at] = rng.randrange(256)
        elif kind == 1 and at < len(data):
            data[at] ^= 1 << rng.randrange(8)
        elif kind == 2:
            del data[at:at + rng.choice((1, 1, 2, 10))]
        elif kind == 3:
            data[at:at] = rng.choice(PIECES)
        elif kind == 4:
            data[at:at] = data[max(0, at - rng.randrange(40)):at]
        elif kind == 5:
            del data[at:]
        else:
            other = rng.choice(SEEDS)
            data[at:at] = other[rng.randrange(len(other)):][:rng.randrange(80)]
        if not data:
            break
    return bytes(data)


def mutations():
    seed, rounds = int(os.environ.get("SEED", "1")), int(os.environ.get("ROUNDS", "300" if LIGHT or WRAP else "4000"))
    rng = random.Random(seed)
    allowed = {100, 200, 204, 400, 403, 404, 405, 408, 413, 414, 415, 417, 431, 501, 505}
    seen = {}
    with Server(head_s=5, body_s=5, idle_s=5) as s:
        for i in range(rounds):
            data = spoil(rng, rng.choice(SEEDS))
            with s.connect() as k:
                try:
                    if rng.random() < 0.3:
                        at = rng.randrange(len(data) + 1)
                        k.sendall(data[:at])
                        select.select([], [], [], 0.001)
                        k.sendall(data[at:])
                    else:
                        k.sendall(data)
                    k.shutdown(socket.SHUT_WR)
                except OSError:
                    pass
                got = read_all(k)
            statuses = [int(x) for x in re.findall(rb"(?:^|[\n\r}a-z])HTTP/1\.1 (\d{3}) ", got)]
            if got and not statuses or not set(statuses) <= allowed or b"<time out>" in got:
                check(False, f"seed {seed}, round {i}", (data, got[:500]))
            for status in statuses or [0]:
                seen[status] = seen.get(status, 0) + 1
        check(len(seen) >= 8, "answers of many kinds", seen)
        print("answers:", dict(sorted(seen.items())))
        s.settles("nothing is kept", lambda t: t["live"] == 1)
        check(s.request("GET", "/hello").body == b"hello", "and the server lives")


run_tests(mutations)
finish()
