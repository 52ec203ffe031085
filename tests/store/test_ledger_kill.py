#!/usr/bin/env python3
"""test_ledger_kill.py: a writer of the ledger is killed at random moments, many times; every row that it said was kept must be there, once and whole,
and the file sound. Python's sqlite3 is the judge, and `hearth ledger` must give the same count from the file as the killed process left it.
"""
import os
import random
import re
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.join(TOP, os.environ.get("HEARTH_BUILD", "build"))
PROGRAM = os.path.join(TOP, os.environ.get("HEARTH", "build/hearth"))
WRITER = os.path.join(BUILD, "tests/store/test_ledger")
LIGHT = bool(os.environ.get("HEARTH_LIGHT"))
FILES, KILLS = (2, 4) if LIGHT else (8, 10)
rng = random.Random(int(os.environ.get("HEARTH_SEED", "4")))
passed = failed = 0


def check(good, what):
    global passed, failed
    passed += bool(good)
    failed += not good
    if not good:
        print(f"FAILED: {what}")


def run_and_kill(path, first, seconds):
    """The writer's acknowledged numbers. The clock starts with it, or with its first row."""
    p = subprocess.Popen([WRITER, "write", path, str(first)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    head = b""
    if rng.random() < 0.8:
        head = os.read(p.stdout.fileno(), 4096)
    time.sleep(seconds)
    if head and rng.random() < 0.2:
        said = count(path)
        check(isinstance(said, int) and said > 0, f"it can be read while it is written: {said}")
    p.send_signal(signal.SIGKILL)
    out, err = p.communicate(timeout=60)
    text = (head + out).decode()
    check(p.returncode == -signal.SIGKILL and not err and "lost" not in text, f"the writer runs until it is killed: {p.returncode} {err!r}")
    return [int(n) for n in re.findall(r"^(\d+)$", text, re.M)]


def count(path):
    """What the program says, from the file as it was left: nobody has repaired it yet."""
    r = subprocess.run([PROGRAM, "ledger", "--db", path, "--csv"], capture_output=True, timeout=60)
    lines = r.stdout.decode().splitlines()
    return sum(int(line.split(",")[1]) for line in lines[1:]) if r.returncode == 0 else (r.returncode, r.stderr)


def judge(path, acknowledged):
    db = sqlite3.connect(path)
    check(db.execute("PRAGMA integrity_check").fetchall() == [("ok",)], "the file is sound")
    rows = {}
    for row in db.execute("SELECT bytes_in, started_ms, model, client, tokens_in, tokens_cached, tokens_out, total_us, status, energy_uj FROM request"):
        n = row[0]
        whole = row == (n, 1764374400000 + n * 1000, "ember", "a client", 100 + n, n, 7 * n, n + 3, 200 if n % 5 else 500, 11 * n)
        rows[n] = rows.get(n, 0) + (1 if whole else 1000)
    db.close()
    missing = [n for n in acknowledged if rows.get(n) != 1]
    check(not missing, f"{len(missing)} of {len(acknowledged)} acknowledged rows are missing: {missing[:5]}")
    check(all(v == 1 for v in rows.values()), "no row is there twice or in part")
    return len(rows)


def main():
    kept = 0
    for _ in range(FILES):
        with tempfile.TemporaryDirectory() as folder:
            path, acknowledged, first = os.path.join(folder, "new/ledger.db"), [], 0
            for _ in range(KILLS):
                new = run_and_kill(path, first, rng.uniform(0, 0.05))
                acknowledged += new
                first += 100000
                if acknowledged:
                    said = count(path)
                    rows = judge(path, acknowledged)
                    check(said == rows, f"hearth ledger counts {said}, there are {rows}")
            kept += len(acknowledged)
    check(kept > 20 * FILES, f"rows were acknowledged: {kept}")
    print(f"{FILES * KILLS} kills, {kept} acknowledged rows")
    print(f"{passed} passed, {failed} failed")
    return failed != 0


if __name__ == "__main__":
    sys.exit(main())
