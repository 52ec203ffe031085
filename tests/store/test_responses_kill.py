#!/usr/bin/env python3
"""test_responses_kill.py: a writer of answers is killed at random moments; all that it said were kept must be there, whole, and the file sound. Python's
sqlite3 is the judge."""
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
WRITER = os.path.join(TOP, os.environ.get("HEARTH_BUILD", "build"), "tests/store/test_responses")
KILLS = 4 if os.environ.get("HEARTH_LIGHT") else 20
rng = random.Random(int(os.environ.get("HEARTH_SEED", "4")))
passed = failed = 0


def check(good, what):
    global passed, failed
    passed += bool(good)
    failed += not good
    if not good:
        print(f"FAILED: {what}")


with tempfile.TemporaryDirectory() as folder:
    path, said = os.path.join(folder, "new/responses.db"), set()
    awaited = 0
    for kill in range(KILLS):
        p = subprocess.Popen([WRITER, "write", path, str(kill * 100000)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        head = os.read(p.stdout.fileno(), 4096) if rng.random() < 0.8 else b""
        awaited += bool(head)
        time.sleep(rng.uniform(0, 0.05))
        p.send_signal(signal.SIGKILL)
        out, err = p.communicate(timeout=60)
        check(p.returncode == -signal.SIGKILL and not err, f"the writer runs until it is killed: {p.returncode} {err!r}")
        text = (head + out).decode()
        said |= {int(n) for n in text[:text.rfind("\n") + 1].split()}
        if said:
            db = sqlite3.connect(path)
            check(db.execute("PRAGMA integrity_check").fetchall() == [("ok",)], "the file is sound")
            rows = dict(db.execute("SELECT id, object || input FROM response"))
            db.close()
            lost = [n for n in said if rows.get(f"resp_{n}") != f'{{"object": {n}}}["input", {n}]']
            check(not lost, f"{len(lost)} of {len(said)} acknowledged answers are missing: {lost[:5]}")
    check(len(said) >= awaited > 0, f"answers were acknowledged: {len(said)}")
    print(f"{KILLS} kills, {len(said)} acknowledged answers")
print(f"{passed} passed, {failed} failed")
sys.exit(failed != 0)
