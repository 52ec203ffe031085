#!/usr/bin/env python3
"""test_template.py: hearth template: text, spans, errors; and every rendering of the shared folder through the program."""
import calendar
import json
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from hearth import *  # noqa: E402,F403


def small():
    path = tmp("t.jinja", "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{% endfor %}")
    context = json.dumps({"messages": [{"role": "user", "content": "<|x|> é"}]})
    r = hearth("template", path, stdin=context)
    check(r.status == 0 and r.text == "<|user|><|x|> é", "text", r)
    r = hearth("template", path, "--spans", stdin=context)
    raw = r.json["text"].encode()
    own = b"".join(raw[a:b] for a, b in r.json["template"])
    check(own == b"<||>" and r.json["generation"] == [], "what the template wrote", r)
    clock = tmp("now.jinja", "{{ strftime_now('%Y-%m-%d %H:%M') }}")
    check(hearth("template", clock, "--now", 86400 * 365, stdin="{}").out == b"1971-01-01 00:00", "--now")


def errors():
    ok = tmp("ok.jinja", "x")
    refused(TEMPLATE, "1:", "template", tmp("bad.jinja", "{% if %}"), stdin="{}")
    refused(TEMPLATE, "my words", "template", tmp("raise.jinja", "{{ raise_exception('my words') }}"), stdin="{}")
    refused(TEMPLATE, "", "template", tmp("loop.jinja", "{% for i in range(1000000000) %}{% for j in range(1000000000) %}{% endfor %}{% endfor %}"), stdin="{}")
    refused(FORMAT, "standard input", "template", ok, stdin="{")
    refused(IO, "cannot open", "template", tmp("missing", None), stdin="{}")
    refused(USAGE, "--now", "template", ok, "--now", "noon", stdin="{}")
    refused(USAGE, "name the template", "template", stdin="{}")


def renders():
    path = shared("templates/renders.json")
    if not path:
        return
    d = json.load(open(path))
    now = calendar.timegm(time.strptime(d["now"], "%Y-%m-%dT%H:%M:%S"))
    for r in d["renders"]:
        context = {"bos_token": d["bos_token"], "eos_token": d["eos_token"], **d["cases"][r["case"]]}
        got = hearth("template", shared("templates/" + r["template"]), "--now", now, stdin=json.dumps(context))
        good = got.status == TEMPLATE if r["error"] is not None else got.text == r["expected"]
        check(good, f"{r['template']} {r['case']}", got)


for test in (small, errors, renders):
    test()
finish()
