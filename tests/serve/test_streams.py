#!/usr/bin/env python3
"""test_streams.py: replies that another thread writes piece by piece, and readers that leave, sleep or stay."""
import os
import random
import sys
import threading

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from served import *  # noqa: E402,F403

KEEPS_FREED = "san" in SERVER or "valgrind" in WRAP  # sanitizers and valgrind hold back what was freed, to find who still uses it


def events():
    with Server() as s:
        r = s.request("GET", "/lines")
        check(r.headers["content-type"] == "text/event-stream" and r.headers["transfer-encoding"] == "chunked" and r.headers["cache-control"] == "no-store", "a stream's headers", r)
        check(r.body == b"data: one\n\nevent: two\ndata: a\ndata: b\ndata: \n\ndata: c\ndata: \ndata: d\n\nevent: none\ndata: \n\n", "events", r)
        raw = s.talk(get("/lines"))
        check(raw.count(b"\r\n") - raw.split(b"\r\n\r\n")[0].count(b"\r\n") - 2 == 2 * 4 + 2, "a chunk for each event", raw)
        r = s.request("GET", "/stream?n=1000&size=50")
        check(r.body == b"".join((f"{i} ").encode().ljust(50, b"x") + b"\n" for i in range(1000)), "1000 lines, in order", len(r.body))
        c = http.client.HTTPConnection("127.0.0.1", s.port, timeout=20)
        for n in (0, 1, 7):
            r = s.request("GET", f"/stream?n={n}&kind=sse", connection=c)
            check(r.body.count(b"data: ") == n and r.body.count(b"event: token") == n // 2, f"{n} events on a connection that is kept", r)
        check(s.request("GET", "/hello", connection=c).body == b"hello", "which goes on")
        c.close()


def at_once():
    """Each event is there when it was written, not when the next one is."""
    with Server() as s, s.connect() as k:
        k.sendall(get("/stream?n=6&every=0.25&kind=sse"))
        seen, times = b"", []
        while b"0\r\n\r\n" not in seen[-5:]:
            piece = k.recv(65536)
            if not piece:
                break
            seen += piece
            times.append((time.monotonic(), seen.count(b"data: ")))
        gaps = [b[0] - a[0] for a, b in zip(times, times[1:]) if b[1] > a[1] > 0]
        check(len(gaps) >= 4, "events come one by one", (gaps, seen))


def pings():
    with Server() as s:
        r = s.request("GET", "/stream?n=2&every=2&kind=sse&ping=0.3")
        check(r.body.count(b": ping\n\n") >= 2 and r.body.startswith(b"data: 0") and re.sub(rb": ping\n\n", b"", r.body) == b"data: 0 xxxxxxxx\n\nevent: token\ndata: 1 xxxxxxxx\n\n", "pings between events", r)
        r = s.request("GET", "/stream?n=30&every=0.05&kind=sse&ping=0.5")
        check(r.body.count(b"data: ") == 30 and r.body.count(b": ping") <= 1, "none where events come", r)


def together():
    with Server() as s:
        wrong = []

        def one(i):
            r = s.request("GET", f"/stream?n=300&size={20 + i}&every=0.001&kind=sse")
            got = re.findall(rb"data: (\d+) x*\n\n", r.body)
            if got != [b"%d" % k for k in range(300)] or any(len(e) != 20 + i for e in re.findall(rb"data: (.*)\n\n", r.body)):
                wrong.append((i, r))
        threads = [threading.Thread(target=one, args=(i,)) for i in range(16)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        check(not wrong, "16 streams at once, each its own", wrong[:1])
        s.settles("all is given back", lambda t: t["live"] == 1 and t["releases"] == t["attached"] == 16 and t["closes"] == 0)


def leaving():
    """Clients that leave in every way and at any moment."""
    rng = random.Random(7)
    with Server(head_s=5, body_s=5) as s:
        s.request("GET", "/hello")
        before = s.stats()
        requests = [get("/stream?n=100000&every=0.001&kind=sse&ping=0.2"), get("/stream?n=1000000&size=500"), get("/later?after=30"), get("/stream?n=3&every=20&kind=sse&ping=0.2"),
                    get("/later?after=30", "Content-Length: 100000", method="POST", body=b"x" * 100000), get("/large?n=5000000"), get("/hello"), get("/cut"), get("/forget-stream?after=0.01")]
        n = 60 if LIGHT or WRAP else 400
        open_ones = []
        for i in range(n):
            k, data = s.connect(), rng.choice(requests)
            whole = rng.random() < 0.8
            try:
                k.sendall(data if whole else data[:rng.randrange(1, len(data))])
                if rng.random() < 0.3:
                    k.settimeout(0.02)
                    k.recv(rng.choice((1, 100, 100000)))
            except OSError:
                pass
            open_ones.append(k)
            while len(open_ones) > rng.randrange(1, 40):
                k = open_ones.pop(rng.randrange(len(open_ones)))
                (reset if rng.random() < 0.5 else socket.socket.close)(k)
        for k in open_ones:
            k.close()
        s.settles("handles and jobs are back to none", lambda t: t["live"] == 1 and t["releases"] == t["attached"], 20)
        s.settles("and so is memory", lambda t: abs(t["memory"] - before["memory"]) <= 12)  # a few are of labels of metrics
        check(s.stats()["closes"] > n / 5, "those that computed were told", s.stats())
        check(s.metric("hearth_clients_left_total") > n / 5 and s.metric("hearth_requests_live") == 1, "and it was counted")
        s.comes_to("hearth_connections", 1)
        check(s.request("GET", "/hello").body == b"hello", "the server serves on")


def told():
    """How soon it is known that a client has left, whichever way, also before a word was said to it."""
    with Server(drain_s=0.5) as s:
        closes = 0
        for path in ("/later?after=30", "/stream?n=2&every=30&kind=sse&ping=60", "/stream?n=2&every=30"):
            for leave in (socket.socket.close, reset):
                k = s.connect()
                k.sendall(get(path))
                time.sleep(0.1 * SLOW)
                leave(k)
                closes += 1
                s.settles(f"{path}, {leave.__name__}", lambda t: t["closes"] == closes, 2)
        check(s.metric("hearth_clients_left_total") >= closes, "counted")


def slow_readers():
    with Server(backlog_bytes=200000, stall_s=1) as s:
        with s.connect(receive=4096) as k:
            k.sendall(get("/stream?n=1000000&size=1000&every=0.00001"))
            s.settles("a reader that does not read is cut", lambda t: t["failed_writes"] >= 1 and t["live"] == 1, 20)
            check(s.metric('hearth_streams_cut_total') == 1, "and counted")
            check(not read_all(k).endswith(b"0\r\n\r\n"), "it can see that")
        with s.connect(receive=4096) as k:
            k.sendall(get("/large?n=30000000"))
            s.settles("and of a whole reply, after a while", lambda t: t["live"] == 1, 10)
            check(s.metric('hearth_streams_cut_total') == 2, "counted too")
        with s.connect(receive=4096) as k:
            k.sendall(get("/large?n=3000000"))
            total = b""
            while piece := k.recv(20000):
                total += piece
                time.sleep(0.0001)
            check(len(total) > 3000000, "one that reads slowly, but reads, gets it all", len(total))


def idle_streams():
    with Server(drain_s=0.5) as s:
        s.request("GET", "/hello")
        before = s.stats()["resident"]
        readers = []
        for _ in range(200):
            k = s.connect()
            k.sendall(get("/stream?n=2&every=300&kind=sse&ping=1", method="POST"))
            check(b"200" in k.recv(1000), "a stream")
            readers.append(k)
        s.settles("200 streams", lambda t: t["live"] == 201)
        used = s.stats()["resident"] - before
        print(f"200 idle streams: {used / 1e6:.1f} MB")
        check(used < 20e6 * (5 if LIGHT or WRAP or "san" in SERVER else 1), "200 idle streams are small", used)
        s.p.send_signal(signal.SIGTERM)
        for k in readers:
            read_all(k)
            k.close()


def many_requests():
    with Server() as s:
        c = http.client.HTTPConnection("127.0.0.1", s.port, timeout=20)
        for i in range(1200):
            if i == 200:
                before = s.stats()
            r = s.request("POST", "/echo" if i % 2 else "/stream?n=3&kind=sse", b"x" * (i % 100), connection=c if i % 3 else None)
            if r.status != 200:
                check(False, "a request", r)
        after = s.stats()
        check(after["memory"] - before["memory"] <= 4 and (after["resident"] - before["resident"] < 2e6 or KEEPS_FREED), "1000 requests leave nothing", (before, after))
        c.close()


def cost():
    """What an event costs; for the record: timing decides nothing."""
    with Server() as s:
        n, k = 2000, s.connect()
        before = s.stats()["cpu"]
        k.sendall(get(f"/stream?n={n}&every=0.001&size=150&kind=sse"))
        data = read_all(k)
        check(data.count(b"data: ") == n, "all events", len(data))
        print(f"processor time of an event, all threads: {(s.stats()['cpu'] - before) / n * 1e6:.0f} us")


run_tests(events, at_once, pings, together, leaving, told, slow_readers, idle_streams, many_requests, cost)
finish()
