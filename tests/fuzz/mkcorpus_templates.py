#!/usr/bin/env python3
"""Writes the seeds of fuzz_template: a selection of our own template cases. Run from the repository root."""
import json
import os

HERE = os.path.dirname(os.path.abspath(__file__))
FOLDER = os.path.join(HERE, "corpus", "template")
CONTEXT = {"s": "Hello", "list": [3, 1, 2], "d": {"b": 1, "a": [2]}, "words": ["b", "A"], "users": [{"name": "Z", "age": 3}], "i": 4, "t": True}

os.makedirs(FOLDER, exist_ok=True)
cases = [source for source, _ in json.load(open(os.path.join(HERE, "..", "text", "template_cases.json")))["cases"]]
tags = [c for c in cases if "{%" in c or "{#" in c]
expressions = [c for c in cases if c not in tags]
seeds = tags[::3] + ["".join(expressions[k:k + 12]) for k in range(0, len(expressions), 36)]
for k, seed in enumerate(seeds):
    with open(os.path.join(FOLDER, "case%03d" % k), "wb") as f:
        f.write(seed.encode())
        if k % 5 == 0:
            f.write(b"\0" + json.dumps(CONTEXT).encode())
print(len(seeds), "seeds")
