#!/usr/bin/env python3
"""mkcorpus_http.py: writes the corpus of fuzz_http: tests/serve/mkcorpus_http.py"""
import os

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "corpus/http")
H = b"Host: localhost\r\n"
CASES = {
    "get": b"GET /hello?a=b HTTP/1.1\r\n" + H + b"\r\n",
    "absolute": b"GET http://localhost:1/x%20y?z HTTP/1.1\r\n" + H + b"\r\n",
    "options": b"OPTIONS * HTTP/1.0\r\nConnection: keep-alive, x\r\n\r\n",
    "length": b"POST /echo HTTP/1.1\r\n" + H + b"Content-Length: 5\r\nExpect: 100-continue\r\n\r\nhelloGET",
    "chunked": b"POST /echo HTTP/1.1\r\n" + H + b"Transfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0a \r\n0123456789\r\n0\r\nA: b\r\n\r\nGET",
    "both": b"POST /echo HTTP/1.1\r\n" + H + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n",
    "large": b"POST /echo HTTP/1.1\r\n" + H + b"Content-Length: 18446744073709551616\r\n\r\nx",
    "huge-chunk": b"POST /echo HTTP/1.1\r\n" + H + b"Transfer-Encoding: chunked\r\n\r\nfffffffffffffff\r\nx",
    "long-body": b"POST /echo HTTP/1.1\r\n" + H + b"Transfer-Encoding: chunked\r\n\r\n" + b"3e8\r\n" + b"x" * 1000 + b"\r\n" + (b"7d0\r\n" + b"y" * 2000 + b"\r\n") * 2,
    "fields": b"GET / HTTP/1.1\r\n" + H + b"".join(b"X-%d: %d\r\n" % (i, i) for i in range(100)) + b"\r\n",
    "folded": b"GET / HTTP/1.1\r\n" + H + b"A: b\r\n c\r\n\r\n",
    "bare-lf": b"GET / HTTP/1.1\nHost: a\n\n",
    "escapes": b"GET /%41%zz%0 HTTP/1.1\r\n" + H + b"\r\n",
    "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "http2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
}
os.makedirs(HERE, exist_ok=True)
for i, (name, data) in enumerate(CASES.items()):
    with open(os.path.join(HERE, name), "wb") as f:
        f.write(bytes([i * 3 % 11]) + data)
