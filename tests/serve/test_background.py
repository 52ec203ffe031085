#!/usr/bin/env python3
"""test_background.py: who waits for an answer comes before those that nobody waits for (background responses, and requests of the service tier "flex"), though they asked first."""
import http.client
import json
import os
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from server import Server  # noqa: E402
from hearth import check, finish  # noqa: E402

LONG = {"model": "ember", "max_tokens": 1500, "ignore_eos": True, "temperature": 0}


def until(s, n):
    """n requests are known to the server: one is at work, the others wait."""
    while len(s.get("/slots")[2]) != n:
        time.sleep(0.01)


def busy(s):
    """A stream that has the only place until its connection is closed."""
    until(s, 0)
    c = http.client.HTTPConnection(s.host, s.port)
    c.request("POST", "/v1/completions", json.dumps({**LONG, "prompt": "Once", "max_tokens": 30000, "stream": True}), {"Content-Type": "application/json"})
    r = c.getresponse()
    r.readline()
    return c, r


def short(s, done):
    done.append(s.post("/v1/chat/completions", {"model": "ember", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 1})[0])


def response(s):
    held = busy(s)
    job = s.post("/v1/responses", {"model": "ember", "input": "Once", "max_output_tokens": 1500, "ignore_eos": True, "temperature": 0, "background": True})[2]
    until(s, 2)
    done = []
    asked = threading.Thread(target=short, args=(s, done))
    asked.start()
    until(s, 3)
    held[1].close(), held[0].close()
    asked.join()
    status = s.get("/v1/responses/" + job["id"])[2]["status"]
    check(done == [200] and status in ("queued", "in_progress"), "a question comes before a background response", (done, status))
    s.post("/v1/responses/" + job["id"] + "/cancel", {})


def flex(s):
    held = busy(s)
    done, late = [], []
    slow = threading.Thread(target=lambda: late.append(s.post("/v1/completions", {**LONG, "prompt": "Once", "service_tier": "flex"})[0]))
    slow.start()
    until(s, 2)
    asked = threading.Thread(target=short, args=(s, done))
    asked.start()
    until(s, 3)
    held[1].close(), held[0].close()
    asked.join()
    check(done == [200] and late == [], "a question comes before one of the tier flex", (done, late))
    slow.join()
    check(late == [200], "which is answered, too", late)


with Server("--parallel", "1", "--responses", "none") as s:
    response(s)
    flex(s)
finish()
