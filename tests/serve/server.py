"""server.py: a `hearth serve` for tests, and talking to it in plain HTTP.

    with Server() as s:
        status, headers, body = s.post("/v1/chat/completions", {...})
        for event in s.stream("/v1/chat/completions", {...}): ...
"""
import contextlib
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "app"))
from hearth import PROGRAM, SLOW  # noqa: E402


class Server:
    """home: where its own files are, its ledger among them; a new folder unless one is given."""
    def __init__(self, *args, models=(), home=None):
        self.args = [PROGRAM, "serve", *map(str, models), "--port", "0", *map(str, args)]
        self.kept = None if home else tempfile.TemporaryDirectory()
        self.home = home or self.kept.name

    def environment(self):
        return dict(os.environ, XDG_STATE_HOME=os.path.join(self.home, "state"), XDG_CONFIG_HOME=os.path.join(self.home, "config"), TZ="UTC")

    def __enter__(self):
        self.p = subprocess.Popen(self.args, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=self.environment(),
                                  preexec_fn=lambda: [signal.signal(s, signal.SIG_DFL) for s in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)])
        self.said, found = "", None
        while not found:  # warnings may come before
            line = self.p.stderr.readline().decode("utf-8", "backslashreplace")
            self.said += line
            found = re.search(r"http://([^:/]+):(\d+)", line)
            if not line:
                raise RuntimeError(f"the server does not start: {self.said}")
        self.host, self.port = found[1], int(found[2])
        self.base = f"http://{self.host}:{self.port}"
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self, patience=60 * SLOW):
        """Ends it in order; its status and what it said."""
        if self.p.poll() is None:
            self.p.send_signal(signal.SIGTERM)
        try:
            err = self.p.communicate(timeout=patience)[1]
        except subprocess.TimeoutExpired:
            self.p.kill()
            err = b"it had to be killed: " + self.p.communicate()[1]
        return self.p.returncode, self.said + err.decode("utf-8", "backslashreplace")

    def request(self, method, path, body=None, headers=None, timeout=120 * SLOW):
        c = http.client.HTTPConnection(self.host, self.port, timeout=timeout)
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        c.request(method, path, data, {"Content-Type": "application/json", **(headers or {})})
        return c, c.getresponse()

    def get(self, path, headers=None):
        c, r = self.request("GET", path, headers=headers)
        with contextlib.closing(c):
            return r.status, dict(r.getheaders()), parsed(r.read())

    def post(self, path, body, headers=None, timeout=120 * SLOW):
        c, r = self.request("POST", path, body, headers, timeout)
        with contextlib.closing(c):
            return r.status, dict(r.getheaders()), parsed(r.read())

    def stream(self, path, body, headers=None):
        """The data of server-sent events as (event's name, data), as they come."""
        c, r = self.request("POST", path, body, headers)
        with contextlib.closing(c):
            if r.status != 200:
                raise RuntimeError(f"{r.status}: {r.read()!r}")
            name = None
            for line in r:
                line = line.decode().rstrip("\n")
                if line.startswith("event: "):
                    name = line[7:]
                elif line.startswith("data: "):
                    yield name, line[6:]
                    name = None

    def resident(self):
        """Bytes of memory that the process holds beside its files."""
        with open(f"/proc/{self.p.pid}/status", encoding="utf-8") as f:
            return int(re.search(r"RssAnon:\s+(\d+) kB", f.read())[1]) * 1024


def parsed(body):
    try:
        return json.loads(body)
    except ValueError:
        return body


def wait_until(fn, patience=30 * SLOW):
    end = time.monotonic() + patience
    while not fn():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True
