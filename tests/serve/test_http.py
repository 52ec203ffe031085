#!/usr/bin/env python3
"""test_http.py: requests and whole replies: what is answered, what is refused, and in time."""
import os
import random
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from served import *  # noqa: E402,F403


def whole_replies():
    with Server() as s:
        c = http.client.HTTPConnection("127.0.0.1", s.port, timeout=20)
        for _ in range(3):
            r = s.request("GET", "/hello", connection=c)
            check(r.status == 200 and r.body == b"hello" and r.headers["content-length"] == "5" and r.headers["content-type"] == "text/plain", "hello", r)
            check(r.headers["x-content-type-options"] == "nosniff" and r.headers["cache-control"] == "no-store" and "date" in r.headers, "headers of every reply", r)
            check("connection" not in r.headers and "access-control-allow-origin" not in r.headers, "kept alive", r)
        local = c.sock.getsockname()
        r = s.request("HEAD", "/hello", connection=c)
        check(r.status == 200 and r.body == b"" and r.headers["content-length"] == "5", "HEAD", r)
        r = s.request("GET", "/page", connection=c)
        check(r.headers["cache-control"] == "no-cache" and r.body == b"<!doctype html>", "what may be kept", r)
        check(c.sock.getsockname() == local, "all on one connection")
        c.close()
        r = s.request("POST", "/echo", b"body", {"User-Agent": "test/1"})
        check(r.body == b"body" and r.headers["x-agent"] == "test/1" and r.headers["x-address"] == "127.0.0.1" and r.headers["x-client"] == "", "what the handler sees", r)
        check(len({s.request("POST", "/echo").headers["x-request-id"] for _ in range(20)}) == 20, "ids differ")
        log = s.logged()
        check("127.0.0.1 GET /hello 200 " in log and "POST /echo 200" in log and "/stats" not in log, "the log", log)


def bodies():
    rng = random.Random(1)
    with Server() as s:
        c = http.client.HTTPConnection("127.0.0.1", s.port, timeout=60)
        for n in (0, 1, 4095, 4096, 65535, 65536, 65537, 1000000, 20000000):
            body = rng.randbytes(n)
            check(s.request("POST", "/echo", body, connection=c).body == body, f"a body of {n} bytes")
            pieces, at = [], 0
            while at < n:
                pieces.append(body[at:at + rng.choice((1, 100, 5000, 70000, 3000000))])
                at += len(pieces[-1])
            if len(pieces) < 3000:
                c.request("POST", "/echo", iter(pieces), {"Transfer-Encoding": "chunked"}, encode_chunked=True)
                check(c.getresponse().read() == body, f"a body of {n} bytes in {len(pieces)} chunks")
        c.close()
        chunked = b"POST /echo HTTP/1.1\r\nHost: a.localhost\r\nTransfer-Encoding: Chunked\r\n\r\n5;name=\"va;lue\"\r\nhello\r\n0006 \r\n world\r\n0\r\nTrailer: x\r\n\r\n"
        after = b"POST /echo HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 3\r\n\r\nend"
        for step in (1, 2, 3, 7, 1000):  # however the bytes are cut
            with s.connect() as k:
                k.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                for at in range(0, len(chunked + after), step):
                    k.sendall((chunked + after)[at:at + step])
                check([r.body for r in replies(read_all(k))] == [b"hello world", b"end"], f"chunks, {step} bytes at a time")
        s.settles("bodies are given back", lambda t: t["live"] == 1)


def pipelining():
    with Server() as s:
        many = b"".join(b"GET /items/%d HTTP/1.1\r\nHost: localhost\r\n\r\n" % i for i in range(3000)) + get("/items/last")
        with s.connect() as k:
            k.sendall(many)
            got = [r.body for r in replies(read_all(k))]
        check(got == [b"%d" % i for i in range(3000)] + [b"last"], "3001 requests at once, in order", len(got))
        # behind one that waits, more than is read ahead
        many = b"GET /later?after=0.3 HTTP/1.1\r\nHost: localhost\r\n\r\n" + many
        with s.connect() as k:
            k.sendall(many)
            got = [r.body for r in replies(read_all(k))]
        check(got[0] == b"later" and len(got) == 3002 and got[-1] == b"last", "the same behind a slow one", len(got))
        got = replies(s.talk(b"\r\n\r\nGET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n\r\n" + get("/hello")))
        check([r.body for r in got] == [b"hello"] * 2, "empty lines between requests", got)
        got = s.talk(b"GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\nGET / HTTP/9.9\r\n\r\nGET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n")
        check([r.status for r in replies(got)] == [200, 505], "nothing is read behind a wrong one", got)


def routes():
    with Server() as s:
        for path, body in (("/items/one", b"one"), ("/items/a%2Fb%20c", b"a/b c"), ("/items/special", b"hello"), ("/files/a/b/c", b"a/b/c"), ("/files/%C3%A9/x", "é/x".encode()),
                           ("/p%61th", b"/path"), ("/query?a=1&name=x+y%26z&name=second", b"x y&z"), ("/query?name", b""), ("/query?&&x&name=%2B=", b"+="), ("/query?name=", b"")):
            r = s.request("GET", path)
            check(r.status == 200 and r.body == body, path, r)
        r = replies(s.talk(get("http://localhost/items/absolute?x=1")))[0]
        check(r.body == b"absolute", "an absolute target", r)
        for path in ("/", "/items", "/items/", "/items/a/b", "/files/", "/hello/", "/Hello", "/hello%2F", "//hello", "/../hello", "/hell", "/path"):
            r = s.request("GET", path)
            check(r.status == 404 and r.json["status"] == 404 and r.json["family"] == "plain" and r.headers["content-type"] == "application/json", path, r)
        for path in ("/query", "/items/%zz", "/items/%", "/items/%0", "/items/%00", "/query?name=%0", "/query?%00=1"):
            check(s.request("GET", path).status == 400, path)
        r = s.request("POST", "/hello")
        check(r.status == 405 and r.headers["allow"] == "GET, HEAD, OPTIONS" and r.json["status"] == 405, "a wrong method", r)
        r = s.request("DELETE", "/echo")
        check(r.status == 405 and r.headers["allow"] == "POST, PUT, OPTIONS", "another", r)
        check(s.request("HEAD", "/echo").status == 405, "HEAD of what cannot be got")
        r = s.request("OPTIONS", "/stream")
        check(r.status == 204 and r.headers["allow"] == "GET, HEAD, POST, OPTIONS" and not r.body and "content-length" not in r.headers, "OPTIONS", r)
        check(s.request("OPTIONS", "/nowhere").status == 404 and s.status(get("*", method="OPTIONS")) == 204 and s.status(get("*")) == 400, "OPTIONS elsewhere")
        # dialects
        check(s.request("GET", "/shared").body == b"hello" and s.request("GET", "/shared", headers={"X-OTHER": "1"}).body == b"other", "a route of two")
        for path, status in (("/full", 503), ("/other/full", 529)):
            r = s.request("GET", path)
            check(r.status == status and r.json["status"] == status and r.headers["retry-after"] == "7", "a dialect's own status for too much", r)
            check((r.headers.get("x-id"), r.json.get("id")) == (None, None) if status == 503 else re.fullmatch("req_[0-9a-f]{16}", r.json["id"]) and r.headers["x-id"] == r.json["id"], "and its name for a request", r)
        for path, headers, family in (("/nowhere", {}, "plain"), ("/nowhere", {"x-other": ""}, "other"), ("/other/nowhere", {}, "other"), ("/other/only", {}, "other")):
            check(s.request("GET", path, headers=headers).json["family"] == family, f"whose error: {path} {headers}")


def answers_that_are_none():
    with Server() as s:
        r = s.request("GET", "/nothing")
        check(r.status == 500 and "given up" in r.json["message"], "a handler that does not reply", r)
        r = s.request("GET", "/forget?after=0.1")
        check(r.status == 500, "a reference that is dropped", r)
        check(s.request("GET", "/twice").body == b"first", "the first reply counts")
        r = s.request("GET", "/bad-header")
        check(r.status == 500 and "set-cookie" not in r.headers, "no header is smuggled in", r)
        r = s.request("GET", "/busy")
        check(r.status == 429 and r.headers["retry-after"] == "7" and r.json["message"] == "busy: come back", "Retry-After", r)
        for path in ("/forget-stream", "/cut"):
            # a cut takes what was not sent yet with it, and even what the client had not read: how much arrives is a matter of luck, but it is a beginning
            data = s.talk(get(path))
            head, blank, body = data.partition(b"\r\n\r\n")
            check(body in (b"", b"5\r\nhalf\n\r\n") and (blank == b"" or b"Transfer-Encoding: chunked" in head), f"{path} is not complete", data)
        check(s.metric("hearth_streams_cut_total") == 2, "they are counted")


def refused():
    cases = [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400), (b"hello\r\n\r\n", 400), (b"GET /hello\r\n\r\n", 400), (b"GET /hello HTTP/2.0\r\nHost: localhost\r\n\r\n", 505),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505), (b"GET  /hello HTTP/1.1\r\nHost: localhost\r\n\r\n", 400), (b"GET /hello HTTP/1.1 \r\nHost: localhost\r\n\r\n", 400),
        (b"G@T /hello HTTP/1.1\r\nHost: localhost\r\n\r\n", 400), (b"BREW /hello HTTP/1.1\r\nHost: localhost\r\n\r\n", 501), (b"CONNECT a:1 HTTP/1.1\r\nHost: localhost\r\n\r\n", 501),
        (b"GET hello HTTP/1.1\r\nHost: localhost\r\n\r\n", 400), (b"GET ftp://localhost/hello HTTP/1.1\r\nHost: localhost\r\n\r\n", 400), (b"GET /hel\xe9o HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
        (b"GET /hello#x HTTP/1.1\r\nHost: localhost\r\n\r\n", 400), (b"GET /hello HTTP/1.1\nHost: localhost\n\n", 400), (b"GET /hello HTTP/1.1\r\nHost: localhost\r\r\n\r\n", 400),
        (b"GET /hello HTTP/1.1\r\n\r\n", 400), (b"GET /hello HTTP/1.0\r\n\r\n", 200), (b"GET /hello HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n", 400),
        (b"GET /hello HTTP/1.1\r\nHost: local host\r\n\r\n", 400), (b"GET /hello HTTP/1.1\r\nHost: localhost/x\r\n\r\n", 400), (b"GET /hello HTTP/1.1\r\nHost : localhost\r\n\r\n", 400),
        (b"GET /hello HTTP/1.1\r\nHost: localhost\r\n folded\r\n\r\n", 400), (b"GET /hello HTTP/1.1\r\nHost: localhost\r\n: x\r\n\r\n", 400), (b"GET /hello HTTP/1.1\r\nHost: localhost\r\nx\r\n\r\n", 400),
        (b"GET /hello HTTP/1.1\r\nHost: localhost\r\nX: a\0b\r\n\r\n", 400), (b"GET /hello HTTP/1.1\r\nHost: localhost\r\nX: a\x7fb\r\n\r\n", 400),
        (b"GET /hello HTTP/1.1\r\nHost: localhost\r\nX: \xc3\xa9\r\nConnection: close\r\n\r\n", 200), (b"GET /hello HTTP/1.1\r\nHost: localhost\r\nX:\tno:blank:\t\r\nConnection:foo , Close\r\n\r\n", 200),
        (b"GET /hello HTTP/1.1\r\nHost: localhost\r\n" + b"X: y\r\n" * 100 + b"\r\n", 431), (b"GET /hello HTTP/1.1\r\nHost: localhost\r\nX: " + b"y" * 40000 + b"\r\n\r\n", 431),
        (b"GET /" + b"y" * 20000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", 414), (b"GET /" + b"y" * 40000, 414), (b"y" * 40000, 414),
        (b"GET /hello HTTP/1.1\r\nHost: localhost\r\nX: y", 400), (b"GET", 400),
    ]
    post = b"POST /echo HTTP/1.1\r\nHost: localhost\r\n"
    cases += [(post + more, status) for more, status in (
        (b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", 400), (b"Content-Length: 3, 3\r\n\r\nabc", 400), (b"Content-Length: +3\r\n\r\nabc", 400), (b"Content-Length: -3\r\n\r\nabc", 400),
        (b"Content-Length: 0x3\r\n\r\nabc", 400), (b"Content-Length: \r\n\r\nabc", 400), (b"Content-Length: 99999999999999999999999999\r\n\r\nabc", 413), (b"Content-Length: 67108865\r\n\r\nabc", 413),
        (b"Content-Length: 18446744073709551616\r\n\r\nabc", 413), (b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400), (b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501),
        (b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 501), (b"Transfer-Encoding: identity\r\n\r\n", 501), (b"Content-Length: 10\r\n\r\nabc", 400),
        (b"Transfer-Encoding: chunked\r\n\r\n3\r\nab", 400), (b"Transfer-Encoding: chunked\r\n\r\n\r\nabc\r\n0\r\n\r\n", 400), (b"Transfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n", 400),
        (b"Transfer-Encoding: chunked\r\n\r\n3\nabc\r\n0\r\n\r\n", 400), (b"Transfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n", 400), (b"Transfer-Encoding: chunked\r\n\r\n-1\r\nabc\r\n0\r\n\r\n", 400),
        (b"Transfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFF\r\nabc\r\n0\r\n\r\n", 400), (b"Transfer-Encoding: chunked\r\n\r\nfffffffffffffff\r\nabc\r\n0\r\n\r\n", 413),
        (b"Transfer-Encoding: chunked\r\n\r\n3;" + b"x" * 20000 + b"\r\nabc\r\n0\r\n\r\n", 400), (b"Transfer-Encoding: chunked\r\n\r\n0\r\n" + b"X: y\r\n" * 4000 + b"\r\n", 400),
        (b"Transfer-Encoding: chunked\r\n\r\n0\r\n : y\r\n\r\n", 400), (b"Expect: a miracle\r\nContent-Length: 3\r\n\r\nabc", 417), (b"Content-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc", 415),
        (b"Content-Encoding: identity\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc", 200), (b"Connection: close\r\nContent-Length: 003\r\n\r\nabc", 200), (b"Connection: close\r\n\r\n", 200))]
    cases.append((b"POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400))
    cases.append((b"POST /hello HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nabc", 405))
    with Server() as s:
        for data, expected in cases:
            got = s.talk(data, half_close=True)
            m = re.match(rb"HTTP/1\.1 (\d+) ", got)
            check(m and int(m.group(1)) == expected, f"{expected} for {data[:100]!r}", got[:300])
            if expected >= 400:
                check(len(replies(got)) == 1 and replies(got)[0].json["status"] == expected, f"one answer, in the dialect's form, for {data[:100]!r}", got[:300])
        s.settles("nothing is left of them", lambda t: t["live"] == 1)
        log = s.logged()
        check("\x00" not in log and "\x7f" not in log and log.count("\n") >= len(cases), "the log is text", log[-500:])


def expect_continue():
    with Server() as s:
        with s.connect() as k:
            k.sendall(b"POST /echo HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nExpect: 100-Continue\r\nContent-Length: 5\r\n\r\n")
            first = k.recv(1000)
            check(first == b"HTTP/1.1 100 Continue\r\n\r\n", "asked to go on", first)
            k.sendall(b"hello")
            check(replies(read_all(k))[0].body == b"hello", "and then answered")
        got = s.talk(b"POST /echo HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello")
        check(got.startswith(b"HTTP/1.1 200"), "not asked when the body is there", got)
        got = s.talk(b"POST /echo HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 99999999999\r\n\r\n")
        check(got.startswith(b"HTTP/1.1 413"), "refused before it is sent", got)


def old_clients():
    with Server() as s:
        got = s.talk(b"GET /hello HTTP/1.0\r\n\r\n")
        check(got.startswith(b"HTTP/1.1 200") and b"Connection: close" in got and got.endswith(b"\r\n\r\nhello"), "HTTP/1.0", got)
        got = s.talk(b"GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET /hello HTTP/1.0\r\n\r\n")
        check(got.count(b"hello") == 2 and b"Connection: keep-alive" in got, "HTTP/1.0, kept alive", got)
        got = s.talk(b"GET /stream?n=3&kind=sse HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        check(b"chunked" not in got and got.endswith(b"\r\n\r\ndata: 0 xxxxxxxx\n\nevent: token\ndata: 1 xxxxxxxx\n\ndata: 2 xxxxxxxx\n\n") or b"data: 1" in got, "a stream without chunks", got)
        head = s.talk(get("/stream?n=3", method="HEAD"))
        check(head.startswith(b"HTTP/1.1 200") and head.endswith(b"\r\n\r\n"), "HEAD of a stream", head)


def half_closed():
    with Server() as s:
        for path, body in (("/hello", b"hello"), ("/later?after=1", b"later")):
            got = s.talk(get(path), half_close=True)
            check(got.endswith(b"\r\n\r\n" + body), f"{path} for a client that only listens", got)
        got = s.talk(get("/stream?n=5&every=0.2&kind=sse&ping=5"), half_close=True)
        check(got.count(b"data: ") == 5 and got.endswith(b"0\r\n\r\n"), "a stream for one", got)
        got = s.talk(b"GET /later?after=0.5 HTTP/1.0\r\n\r\n", half_close=True)
        check(got.endswith(b"later") and b"100 Continue" not in got, "HTTP/1.0", got)
        check(s.stats()["closes"] == 0, "none of them has left")
        check(s.talk(b"", half_close=True) == b"", "one that says nothing")


def too_slow():
    with Server(head_s=0.5, body_s=0.5, idle_s=0.5) as s:
        start = time.monotonic()
        with s.connect() as k:  # a byte now and then does not help
            got = b""
            k.settimeout(0.1)
            for c in b"GET /hello HTTP/1.1\r\nHost: localhost\r\nX: y" * 10:
                try:
                    k.sendall(bytes([c]))
                    got = k.recv(1000)
                    break
                except TimeoutError:
                    pass
        check(got.startswith(b"HTTP/1.1 408") and 0.3 < time.monotonic() - start, "headers", (got, time.monotonic() - start))
        got = s.talk(b"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhell")
        check(got.startswith(b"HTTP/1.1 408"), "a body", got)
        got = s.talk(b"POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
        check(got.startswith(b"HTTP/1.1 408"), "a chunked body", got)
        check(s.talk(b"") == b"", "a connection without a request is closed")
        got = s.talk(b"GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n")
        check(got.endswith(b"hello"), "and so is one after a request", got)
        check(s.request("GET", "/later?after=1.5").body == b"later", "a reply may take its time")


def too_large():
    with Server(body_bytes=100000, bodies_bytes=250000, head_bytes=4096) as s:
        for n, status in ((100000, 200), (100001, 413)):
            check(s.status(get("/echo", f"Content-Length: {n}", method="POST", body=b"x" * n)) == status, f"{n} bytes")
            body = b"".join(b"3e8\r\n" + b"x" * 1000 + b"\r\n" for _ in range(n // 1000)) + (b"1\r\nx\r\n" if n % 1000 else b"") + b"0\r\n\r\n"
            check(s.status(get("/echo", "Transfer-Encoding: chunked", method="POST", body=body)) == status, f"{n} bytes in chunks")
        # the client goes on sending what nobody wants, and still sees the answer
        with s.connect() as k:
            k.sendall(b"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 30000000\r\n\r\n")
            k.sendall(b"x" * 30000000)
            got = read_all(k)
        check(got.startswith(b"HTTP/1.1 413") and b"Connection: close" in got, "a client that sends 30 MB first", got[:300])
        waiting = [s.connect() for _ in range(3)]
        for i, k in enumerate(waiting):
            k.sendall(b"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n" + b"x" * 90000)
            if i < 2:
                s.settles("it is being read", lambda t: t["live"] == i + 2)
                time.sleep(0.1 * SLOW)
        got = read_all(waiting[2])
        check(got.startswith(b"HTTP/1.1 503") and b"Retry-After" in got, "all bodies together", got[:300])
        for k in waiting:
            k.close()
        s.settles("they are forgotten", lambda t: t["live"] == 1)
        check(s.status(get("/echo", "Content-Length: 100000", method="POST", body=b"x" * 100000)) == 200, "and there is room again")
        check(s.status(b"GET /hello HTTP/1.1\r\nHost: localhost\r\nX: " + b"y" * 4096) == 431, "a lesser limit of the head")


def many_connections():
    with Server(connections=10) as s:
        idle = []
        for _ in range(10):
            k = s.connect()
            k.sendall(b"GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n")
            check(b"hello" in k.recv(1000), "an answer")
            idle.append(k)
        with s.connect() as k:  # the one that has been idle longest gives way
            k.sendall(get("/hello"))
            check(read_all(k).endswith(b"hello"), "the eleventh")
        check(idle[0].recv(100) == b"", "the first one has gone")
        for k in idle[1:]:
            k.sendall(b"GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n")
            check(b"hello" in k.recv(1000), "the others are there")
            k.close()
        busy = [s.connect() for _ in range(10)]
        for k in busy:
            k.sendall(get("/later?after=0.7"))
        time.sleep(0.2)
        check(s.request("GET", "/hello").body == b"hello", "one that has to wait is served in the end")
        for k in busy:
            check(read_all(k).endswith(b"later"), "and so are the busy ones")
            k.close()


run_tests(whole_replies, bodies, pipelining, routes, answers_that_are_none, refused, expect_continue, old_clients, half_closed, too_slow, too_large, many_connections)
finish()
