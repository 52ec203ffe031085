"""served.py: what the tests of the HTTP server share: prog_http as a child, and plain sockets to talk to it.

    from served import *
"""
import http.client
import io
import json
import os
import re
import shlex
import signal
import socket
import struct
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "app"))
from hearth import LIGHT, SLOW, TMP, check, counts, finish, run_tests, tmp  # noqa: E402,F401

SERVER = os.path.join(TOP, os.environ.get("HEARTH_BUILD", "build"), "tests/serve/prog_http")
WRAP = shlex.split(os.environ.get("HEARTH_WRAP", ""))


class Server:
    """prog_http with the given settings, on a free port of 127.0.0.1 unless listen is given."""
    def __init__(self, *more, listen="127.0.0.1:0", **settings):
        args = [f"listen={a}" for a in ([listen] if isinstance(listen, str) else listen)] + [f"{k}={v}" for k, v in settings.items()] + list(more)
        self.log = open(os.path.join(TMP.name, "log"), "w+b")
        self.p = subprocess.Popen([*WRAP, SERVER, *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self.log)
        line = self.p.stdout.readline()
        self.port = int(line.split()[1]) if line.startswith(b"port ") else 0

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        self.stop() if kind is None else self.p.kill()

    def logged(self):
        self.log.flush()
        with open(self.log.name, "rb") as f:
            return f.read().decode("utf-8", "backslashreplace")

    def stop(self):
        """Every test ends with this: nothing may be left, and no sanitizer may have spoken."""
        if self.p.poll() is None:
            self.p.send_signal(signal.SIGTERM)
        try:
            out = self.p.communicate(timeout=60 * SLOW)[0]
        except subprocess.TimeoutExpired:
            self.p.kill()
            out = b"does not stop"
        check(self.p.returncode == 0 and out == b"live 0 memory 0\n", "the server ends and leaves nothing", (self.p.returncode, out, self.logged()[-3000:]))

    def connect(self, timeout=20 * SLOW, receive=None):
        s = socket.socket(socket.AF_INET)
        if receive:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
        s.settimeout(timeout)
        s.connect(("127.0.0.1", self.port))
        return s

    def talk(self, data, half_close=False, timeout=20 * SLOW):
        """Sends data and returns all that comes back until the server closes."""
        with self.connect(timeout) as s:
            try:
                s.sendall(data)
                if half_close:
                    s.shutdown(socket.SHUT_WR)
            except OSError:
                pass  # refused early
            return read_all(s)

    def status(self, data, **more):
        """The status of the first reply; 0: closed without one."""
        m = re.match(rb"HTTP/1\.1 (\d{3}) ", self.talk(data, **more))
        return int(m.group(1)) if m else 0

    def request(self, method, path, body=None, headers={}, connection=None):
        c = connection or http.client.HTTPConnection("127.0.0.1", self.port, timeout=20 * SLOW)
        c.request(method, path, body, headers)
        r = c.getresponse()
        reply = Reply(r.status, {k.lower(): v for k, v in r.getheaders()}, r.read())
        if not connection:
            c.close()
        return reply

    def stats(self):
        return json.loads(self.request("GET", "/stats").body)

    def settles(self, what, condition, seconds=10):
        """Waits until condition(stats) holds."""
        end = time.monotonic() + seconds * SLOW
        while True:
            stats = self.stats()
            if condition(stats) or time.monotonic() > end:
                return check(condition(stats), what, stats)
            time.sleep(0.02)

    def metric(self, name):
        text = self.request("GET", "/metrics").body.decode()
        return sum(float(v) for v in re.findall(rf"^{re.escape(name)}(?:\{{[^}}]*\}})? (\S+)$", text, re.M))

    def comes_to(self, name, value, seconds=10):
        end = time.monotonic() + seconds * SLOW
        while self.metric(name) != value and time.monotonic() < end:
            time.sleep(0.02)
        check(self.metric(name) == value, f"{name} comes to {value}", self.metric(name))


class Reply:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"{self.status} {self.headers} {self.body[:300]!r}"


def read_all(s):
    data = []
    try:
        while piece := s.recv(65536):
            data.append(piece)
    except TimeoutError:
        data.append(b"<time out>")
    except OSError:
        pass
    return b"".join(data)


class Replay:
    """Bytes as a socket that http.client reads from."""
    def __init__(self, data):
        self.file = io.BytesIO(data)

    def makefile(self, *_):
        return self.file


class KeptOpen(io.BytesIO):
    def close(self):  # http.client closes after each reply
        pass


def replies(data, methods=None):
    """All replies in these bytes, read by Python's own parser."""
    found, sock = [], Replay(data)
    sock.file = KeptOpen(data)
    while sock.file.tell() < len(data):
        r = http.client.HTTPResponse(sock, method=methods[len(found)] if methods else "GET")
        r.begin()
        found.append(Reply(r.status, {k.lower(): v for k, v in r.getheaders()}, r.read()))
    return found


def get(path, *headers, version="1.1", method="GET", body=b""):
    """The bytes of a request on a connection that is closed after it."""
    return f"{method} {path} HTTP/{version}\r\nHost: localhost\r\nConnection: close\r\n".encode() + b"".join(h.encode() + b"\r\n" for h in headers) + b"\r\n" + body


def reset(s):
    """Leaves as a crashed client does: with a RST."""
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()
