#!/usr/bin/env python3
"""mock.py: stands in for `hearth serve` in the tests of the page: mock.py DIST, then the port on standard output.

Serves the files of DIST with the headers of src/serve/page.c, and fakes the endpoints of web/API.md. What a chat answers depends on the first word of
the last message:

    echo TEXT     TEXT, a few bytes at a time, cut without regard to characters
    slow N        N words, one each 20 ms          think    reasoning, then an answer
    tool          a call of a tool                 nothing  waits and says nothing
    fail, busy, cut, garbage                       what can go wrong
    other         "You said: ..."

For the tests alone: GET mock/log has the requests seen and how many clients left; POST mock/set {"key": ..., "ledger": bool, "keys_on_slots": bool} changes
what the server is. Answers are the same each time.
"""
import datetime
import http.server
import json
import os
import re
import sys
import threading
import time
import urllib.parse

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TYPES = {".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml",
         ".txt": "text/plain; charset=utf-8"}
EVIL = '<img src=x onerror="window.evil=1">'
MODELS = ["ember", "qwen3-8b", EVIL]
HERE, THERE = 11000, 250000  # micro-dollars a day and model


def page_headers():
    with open(os.path.join(TOP, "src/serve/page.c"), encoding="utf-8") as f:
        return re.findall(r'^    \{"([^"]+)", "([^"]*)"\}', f.read(), re.M)


class State:
    def __init__(self, dist):
        self.dist, self.headers = dist, page_headers()
        self.lock = threading.Lock()
        self.log, self.left = [], 0
        self.settings = {"key": None, "ledger": True}
        self.polls = 0


def ledger(by, since, against):
    until = datetime.date.today()
    day = max(datetime.date.fromisoformat(since), until - datetime.timedelta(days=9))
    keys = {"day": [], "model": ["ember", "qwen3-8b"], "client": ["claude-code", "web page", EVIL]}[by]
    while by == "day" and day <= until:
        if day.toordinal() % 3:  # on some days nothing was asked
            keys.append(day.isoformat())
        day += datetime.timedelta(days=1)
    part = 2 if against == "large-model" else 1
    rows = [{"key": k, "requests": 10 + i, "tokens_in": 50000 * (i + 1), "tokens_cached": 40000 * (i + 1), "tokens_out": 900 * (i + 1), "kwh": 0.004 * (i + 1),
             "cost_here": HERE * (i + 1), "cost_there": THERE * part * (i + 1)} for i, k in enumerate(keys)]
    return {"by": by, "since": since, "until": until.isoformat(), "against": against, "energy": "estimated", "electricity": True, "unpriced": 3,
            "prices": [{"name": "small-model", "dated": "2026-11-01"}, {"name": "large-model", "dated": "2026-10-15"}], "rows": rows}


def machine():
    return {"version": "0.1.0", "uptime_s": 4000, "memory": {"total": 25_000_000_000, "available": 12_000_000_000, "hearth": 6_100_000_000},
            "cache": {"ram_bytes": 900_000_000, "ram_limit": 2_000_000_000, "disk_bytes": 3_000_000_000, "disk_limit": 8_000_000_000},
            "models": [{"name": "ember", "state": "ready", "bytes_weights": 4_800_000, "bytes_kv": 67_000_000, "context": 32768},
                       {"name": "qwen3-8b", "state": "loading", "bytes_weights": 5_000_000_000, "bytes_kv": 1_200_000_000, "context": 40960}],
            "adapters": [{"name": "house-style", "model": "qwen3-8b", "bytes": 84_000_000}]}


METRICS = """# TYPE hearth_requests_total counter
hearth_requests_total{status="200"} 120
hearth_requests_total{status="400"} 3
hearth_prompt_tokens_total 200000
hearth_prompt_tokens_cached_total 150000
"""


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    state = None

    def log_message(self, *_):
        pass

    # ---- replies

    def reply(self, status, body, kind="application/json", headers=()):
        if not isinstance(body, bytes):
            body = json.dumps(body).encode()
        self.send_response(status)
        for name, value in (("Content-Type", kind), ("Content-Length", str(len(body))), *headers):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def error(self, status, message, headers=()):
        self.reply(status, {"error": {"message": message, "type": "x", "code": None}}, headers=headers)

    def chunk(self, data):
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()

    def event(self, value):
        self.chunk(b"data: " + json.dumps(value).encode() + b"\n\n")

    def delta(self, **delta):
        self.event({"id": "x", "object": "chat.completion.chunk", "model": self.model, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]})

    # ---- requests

    def allowed(self):
        key = self.state.settings["key"]
        if key is None or self.headers.get("Authorization") == f"Bearer {key}":
            return True
        self.error(401, "This server wants a key.")
        return False

    def do_GET(self):
        path, _, query = self.path.partition("?")
        query = {k: v[0] for k, v in urllib.parse.parse_qs(query).items()}
        if path == "/mock/log":
            with self.state.lock:
                return self.reply(200, {"chats": self.state.log, "left": self.state.left, "polls": self.state.polls})
        name = "index.html" if path == "/" else path[1:]
        if re.fullmatch(r"[a-z]+\.[a-z]+", name) and os.path.exists(os.path.join(self.state.dist, name)):
            with open(os.path.join(self.state.dist, name), "rb") as f:
                return self.reply(200, f.read(), TYPES[os.path.splitext(name)[1]], self.state.headers)
        if not self.allowed():
            return None
        if path == "/v1/models":
            return self.reply(200, {"object": "list", "data": [{"id": m, "object": "model"} for m in MODELS]})
        if path == "/slots":
            with self.state.lock:
                self.state.polls += 1
                n = self.state.polls
            return self.reply(200, [
                {"id": "r17", "model": "qwen3-8b", "client": "claude-code", "state": "generating", "tokens_prompt": 20000, "tokens_cached": 19000, "tokens": n,
                 "tokens_per_second": 31.25},
                {"id": "r18", "model": "ember", "client": EVIL, "state": "queued", "tokens_prompt": 7, "tokens_cached": 0, "tokens": 0, "tokens_per_second": 0}])
        if path == "/api/machine":
            return self.reply(200, machine())
        if path == "/metrics":
            return self.reply(200, METRICS.encode(), "text/plain; version=0.0.4")
        if path == "/api/ledger" and self.state.settings["ledger"]:
            return self.reply(200, ledger(query["by"], query["since"], query.get("against", "small-model")))
        return self.error(404, f"There is nothing at {path}.")

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/mock/set":
            self.state.settings.update(json.loads(body))
            return self.reply(200, {})
        if not self.allowed():
            return None
        if self.path != "/v1/chat/completions":
            return self.error(404, "There is nothing here.")
        request = json.loads(body)
        with self.state.lock:
            self.state.log.append(request)
        try:
            self.chat(request)
        except (BrokenPipeError, ConnectionResetError):
            with self.state.lock:
                self.state.left += 1
            self.close_connection = True
        return None

    def begin(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def end(self, request, reason="stop"):
        self.event({"model": self.model, "choices": [{"index": 0, "delta": {}, "finish_reason": reason}]})
        if request.get("stream_options", {}).get("include_usage"):
            self.event({"model": self.model, "choices": [], "usage": {"prompt_tokens": 1200, "completion_tokens": 34, "total_tokens": 1234,
                                                                      "prompt_tokens_details": {"cached_tokens": 1000}}})
        self.chunk(b"data: [DONE]\n\n")
        self.chunk(b"")

    def chat(self, request):
        self.model = request["model"]
        last = request["messages"][-1]
        word, _, rest = last["content"].partition(" ")
        if last["role"] == "tool":
            word, rest = "echo", f"The tool said: {last['content']}"
        if word == "fail":
            return self.error(500, "The model fell over.")
        if word == "busy":
            return self.error(429, "The queue is full.", [("Retry-After", "7")])
        self.begin()
        self.chunk(b": ping\n\n")
        self.delta(role="assistant", content="")
        return getattr(self, f"say_{word}", self.say_back)(request, rest, last["content"])

    def say_back(self, request, _, content):
        self.delta(content="You said: ")
        self.delta(content=content)
        self.end(request)

    def say_echo(self, request, rest, _):
        # Events are cut anywhere, also within a character: what a network does.
        stream = b"".join(b"data: " + json.dumps({"model": self.model, "choices": [{"index": 0, "delta": {"content": rest[i:i + 3]}}]}, ensure_ascii=False).encode()
                          + b"\n\n" for i in range(0, len(rest), 3))
        for i in range(0, len(stream), 61):
            self.chunk(stream[i:i + 61])
            if i % 16 == 0:
                time.sleep(0.002)
        self.end(request)

    def say_slow(self, request, rest, _):
        for i in range(int(rest or 50)):
            self.delta(content=f"word{i} ")
            time.sleep(0.02)
        self.end(request)

    def say_nothing(self, request, *_):
        for _ in range(500):
            self.chunk(b": ping\n\n")
            time.sleep(0.02)
        self.end(request)

    def say_think(self, request, *_):
        for word in ("First ", "I ", "think ", f"about {EVIL}."):
            self.delta(reasoning_content=word)
            time.sleep(0.03)
        self.delta(content="Then I answer.")
        self.end(request)

    def say_tool(self, request, *_):
        self.delta(tool_calls=[{"index": 0, "id": "call_7", "type": "function", "function": {"name": "weather", "arguments": ""}}])
        for part in ('{"city": ', '"Par', 'is"}'):
            self.delta(tool_calls=[{"index": 0, "function": {"arguments": part}}])
        self.end(request, "tool_calls")

    def say_cut(self, *_):
        self.delta(content="Half of an ans")
        time.sleep(0.2)  # a browser drops what comes together with the end
        self.close_connection = True

    def say_garbage(self, *_):
        self.delta(content="Good, then ")
        self.chunk(b"data: {nonsense\n\n")
        self.chunk(b"")


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        if not isinstance(sys.exc_info()[1], ConnectionError):  # a browser may hang up at any time
            super().handle_error(request, client_address)


def main():
    Handler.state = State(sys.argv[1])
    server = Server(("127.0.0.1", 0), Handler)
    print(server.server_address[1], flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
