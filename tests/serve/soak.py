#!/usr/bin/env python3
"""soak.py: many clients of every kind at once, for a while, many of whom leave in the middle or send rubbish. Not one of the tests of `make test`: `make check-full`
runs it for ten minutes under the sanitizers.

    tests/serve/soak.py SECONDS [SEED]        HEARTH_BUILD names the build

What must hold: the server lives, nothing but documented statuses comes, an answer that is drawn greedily is the same however much else goes on, at the end no request is
left, and the server ends in order and says nothing of a sanitizer."""
import contextlib
import http.client
import json
import os
import random
import signal
import socket
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
from server import Server  # noqa: E402

CLIENTS, PATIENCE_S = 12, 300
STATUSES = {200, 400, 404, 405, 408, 413, 415, 429, 499, 503, 529}
TEXTS = ["Once upon a time", "The sea was", "A small house stood", "Tell me about the river. " * 12, "def add(a, b):\n    return", "Ä ß 日本 🙂"]
SCHEMA = {"type": "object", "properties": {"name": {"type": "string", "maxLength": 12}, "age": {"type": "integer"}}, "required": ["name", "age"], "additionalProperties": False}
TOOL = {"name": "look", "description": "Looks something up", "parameters": SCHEMA}
REFERENCE = {"messages": [{"role": "user", "content": "Tell a story."}], "temperature": 0, "max_tokens": 24}


def chat(r):
    body = {"messages": [{"role": "user", "content": r.choice(TEXTS)}], "max_tokens": r.choice([1, 8, 64]), "seed": r.randrange(100), "n": r.choice([1, 1, 1, 3])}
    if r.random() < 0.2:
        body["response_format"] = {"type": "json_schema", "json_schema": {"name": "person", "schema": SCHEMA, "strict": True}}
    elif r.random() < 0.3:
        body["tools"] = [{"type": "function", "function": TOOL}]
        body["tool_choice"] = r.choice(["auto", "required", "none"])
    if r.random() < 0.2:
        body.update(logprobs=True, top_logprobs=3)
    if r.random() < 0.2:
        body["stop"] = ["a", "the"]
    return body


def messages(r):
    body = {"model": "ember", "max_tokens": r.choice([1, 8, 64]), "system": r.choice(["", "Be brief."]), "messages": [{"role": "user", "content": r.choice(TEXTS)}]}
    if r.random() < 0.3:
        body["tools"] = [{"name": TOOL["name"], "description": TOOL["description"], "input_schema": SCHEMA}]
        body["tool_choice"] = {"type": r.choice(["auto", "any", "none"])}
    return body


ENDPOINTS = [
    ("/v1/chat/completions", chat),
    ("/v1/messages", messages),
    ("/v1/completions", lambda r: {"prompt": r.choice(TEXTS), "max_tokens": 16, "echo": r.random() < 0.3, "logprobs": r.choice([None, 2])}),
    ("/v1/responses", lambda r: {"input": r.choice(TEXTS), "max_output_tokens": 24, "store": r.random() < 0.5}),
    ("/v1/embeddings", lambda r: {"input": [r.choice(TEXTS) for _ in range(r.choice([1, 4]))]}),
    ("/v1/messages/count_tokens", lambda r: {"model": "ember", "messages": [{"role": "user", "content": r.choice(TEXTS)}]}),
    ("/api/chat", lambda r: {"model": "ember", "messages": [{"role": "user", "content": r.choice(TEXTS)}], "options": {"num_predict": 16}}),
    ("/api/generate", lambda r: {"model": "ember", "prompt": r.choice(TEXTS), "options": {"num_predict": 16}}),
    ("/tokenize", lambda r: {"content": r.choice(TEXTS)}),
]
LOOKS = ["/health", "/v1/models", "/metrics", "/slots", "/api/machine", "/api/ledger?by=model", "/api/tags", "/api/ps", "/"]


class Soak:
    def __init__(self, server, seconds, seed):
        self.server, self.end, self.seed = server, time.monotonic() + seconds, seed
        self.counts, self.failures, self.lock = {}, [], threading.Lock()
        self.endpoints = [(path, make) for path, make in ENDPOINTS if server.post(path, {})[0] != 404]
        self.looks = [path for path in LOOKS if server.get(path)[0] == 200]
        self.reference = self.told()

    def told(self):
        status, _, body = self.server.post("/v1/chat/completions", REFERENCE, timeout=PATIENCE_S)
        if status in (429, 503):
            return None
        if status != 200:
            raise RuntimeError(f"the reference: {status} {body}")
        return body["choices"][0]["message"]["content"]

    def count(self, what):
        with self.lock:
            self.counts[what] = self.counts.get(what, 0) + 1

    def fail(self, why):
        with self.lock:
            self.failures.append(why)

    # ---- what clients do ----

    def whole(self, r):
        path, make = r.choice(self.endpoints)
        self.answered(path, self.server.post(path, {**make(r), "stream": False}, timeout=PATIENCE_S)[0])

    def answered(self, what, status):
        self.count(f"{what} {status}")
        if status not in STATUSES:
            self.fail(f"{what}: status {status}")

    def streamed(self, r):
        """Reads a stream to its end, or to somewhere before it."""
        path, make = r.choice(self.endpoints)
        most = r.choice([0, 1, 5, 1 << 30])
        c, reply = self.server.request("POST", path, {**make(r), "stream": True}, timeout=PATIENCE_S)
        with contextlib.closing(c):
            self.answered(path + " streamed", reply.status)
            for k, _ in enumerate(reply):
                if k >= most:
                    self.count("left a stream")
                    break

    def raw(self, r):
        """A request in plain bytes: cut short, half closed, changed, or fed slowly."""
        path, make = r.choice(self.endpoints)
        body = json.dumps({**make(r), "stream": r.random() < 0.5}).encode()
        if r.random() < 0.4:
            body = bytearray(body)
            for _ in range(r.randrange(1, 6)):
                body[r.randrange(len(body))] = r.randrange(256)
            body = bytes(body)
        data = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
        cut = r.choice([len(data), len(data), r.randrange(len(data))])
        with socket.create_connection((self.server.host, self.server.port), timeout=PATIENCE_S) as s:
            for at in range(0, cut, 400):
                s.sendall(data[at : min(cut, at + 400)])
                if r.random() < 0.1:
                    time.sleep(0.02)
            if r.random() < 0.3:
                s.shutdown(socket.SHUT_WR)
            if r.random() < 0.7 and cut == len(data):
                s.recv(r.choice([1, 100, 100000]))
        self.count("raw")

    def look(self, r):
        path = r.choice(self.looks)
        self.answered(path, self.server.get(path)[0])

    def same(self, _):
        text = self.told()
        self.count("reference")
        if text is not None and text != self.reference:
            self.fail(f"the reference is {text!r}, not {self.reference!r}")

    def signal(self, _):
        self.server.p.send_signal(signal.SIGHUP)
        self.count("SIGHUP")
        time.sleep(0.2)

    def client(self, number):
        r = random.Random(f"{self.seed} {number}")
        doings, weights = (self.whole, self.streamed, self.raw, self.look, self.same, self.signal), (20, 40, 25, 10, 4, 1)
        while time.monotonic() < self.end and not self.failures:
            doing = r.choices(doings, weights)[0]
            try:
                doing(r)
            except (ConnectionError, http.client.HTTPException, BrokenPipeError) as e:
                self.count(f"closed: {type(e).__name__}")
                if self.server.p.poll() is not None:
                    self.fail(f"the server has ended: {self.server.p.returncode}")
            except (OSError, RuntimeError, ValueError, KeyError) as e:
                self.fail(f"{doing.__name__}: {type(e).__name__}: {e}")

    def run(self):
        threads = [threading.Thread(target=self.client, args=(k,)) for k in range(CLIENTS)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()

    def idle(self):
        """Whether all requests are gone soon."""
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            status, _, slots = self.server.get("/slots")
            if status == 404 or slots == []:
                return True
            time.sleep(0.2)
        return False


def main():
    seconds, seed = float(sys.argv[1]) if len(sys.argv) > 1 else 60, sys.argv[2] if len(sys.argv) > 2 else str(time.time_ns())
    print(f"soak: {seconds:g} s, seed {seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="hearth-soak-") as folder, tempfile.TemporaryFile("w+b") as said:
        more = [w.replace("FOLDER", folder) for w in os.environ.get("HEARTH_SOAK_FLAGS", "").split()]
        with Server("--parallel", 4, "--ctx", 512, "--cache-ram", "16M", *more) as s:
            drain = threading.Thread(target=lambda: [said.write(line) for line in s.p.stderr], daemon=True)
            drain.start()
            soak = Soak(s, seconds, seed)
            before = s.resident()
            soak.run()
            lives = s.p.poll() is None
            idle = lives and soak.idle()
            after = s.resident() if lives else 0
            same = lives and soak.told() == soak.reference
            if lives:
                s.p.send_signal(signal.SIGTERM)
            try:
                status = s.p.wait(PATIENCE_S)
            except Exception as e:  # noqa: BLE001 it is told below
                status = str(e)
                s.p.kill()
            drain.join(10)
        said.seek(0)
        words = said.read().decode("utf-8", "backslashreplace")
    for what, n in sorted(soak.counts.items()):
        print(f"  {n:7d} {what}")
    print(f"  memory {before / 1e6:.1f} MB, then {after / 1e6:.1f} MB")
    checks = {"the server lives": lives, "nothing unexpected": not soak.failures, "no request is left": idle, "the reference is the same at the end": same, "it ends in order": status == 0,
              "no sanitizer spoke": not any(w in words for w in ("Sanitizer", "runtime error"))}
    for what, ok in checks.items():
        if not ok:
            print(f"FAILED: {what}: {soak.failures[:5]} {status} {words[-6000:]}")
    print(f"{sum(checks.values())} passed, {sum(not ok for ok in checks.values())} failed")
    sys.exit(0 if all(checks.values()) else 1)


if __name__ == "__main__":
    main()
