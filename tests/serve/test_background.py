#!/usr/bin/env python3
"""test_background.py: who waits for an answer comes before those that nobody waits for (background responses, and requests of the service tier "flex"), though they asked first."""
import http.client
import json
import os
import re
import sqlite3
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from server import Server  # noqa: E402
from hearth import check, finish  # noqa: E402

LONG = {"model": "ember", "max_tokens": 600, "ignore_eos": True, "temperature": 0}


def until(good):
    while not good():
        time.sleep(0.01)


def waiting(s):
    """Jobs that wait for the place."""
    return int(re.search(rb"^hearth_jobs_waiting (\d+)", s.get("/metrics")[2], re.M)[1])


def busy(s):
    """A stream that has the only place until its connection is closed."""
    until(lambda: s.get("/slots")[2] == [])
    c = http.client.HTTPConnection(s.host, s.port)
    c.request("POST", "/v1/completions", json.dumps({**LONG, "prompt": "Once", "max_tokens": 30000, "stream": True}), {"Content-Type": "application/json"})
    r = c.getresponse()
    r.readline()
    return c, r


def short(s, done):
    done.append(s.post("/v1/chat/completions", {"model": "ember", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 1})[0])


def over(s):
    """What was asked, in the order in which it was over."""
    db = sqlite3.connect(f"file:{os.path.join(s.home, 'state/hearth/ledger.db')}?mode=ro", uri=True)
    rows = [r[0] for r in db.execute("SELECT endpoint FROM request ORDER BY id")]
    db.close()
    return rows


def response(s):
    held = busy(s)
    job = s.post("/v1/responses", {"model": "ember", "input": "Once", "max_output_tokens": 600, "ignore_eos": True, "temperature": 0, "background": True})[2]
    until(lambda: waiting(s) == 1)
    done = []
    asked = threading.Thread(target=short, args=(s, done))
    asked.start()
    until(lambda: waiting(s) == 2)
    held[1].close(), held[0].close()
    asked.join()
    until(lambda: len(over(s)) == 3)
    status = s.get("/v1/responses/" + job["id"])[2]["status"]
    check(done == [200] and status == "incomplete", "both are answered", (done, status, over(s)))
    check(over(s)[1:] == ["/v1/chat/completions", "/v1/responses"], "a question comes before a background response", over(s))


def flex(s):
    held = busy(s)
    done, late = [], []
    slow = threading.Thread(target=lambda: late.append(s.post("/v1/completions", {**LONG, "prompt": "Once", "service_tier": "flex"})[0]))
    slow.start()
    until(lambda: waiting(s) == 1)
    asked = threading.Thread(target=short, args=(s, done))
    asked.start()
    until(lambda: waiting(s) == 2)
    held[1].close(), held[0].close()
    asked.join()
    slow.join()
    until(lambda: len(over(s)) == 6)
    check(done == [200] and late == [200], "both are answered", (done, late, over(s)))
    check(over(s)[4:] == ["/v1/chat/completions", "/v1/completions"], "a question comes before one of the tier flex", over(s))


with Server("--parallel", "1", "--responses", "none") as s:
    response(s)
    flex(s)
finish()
