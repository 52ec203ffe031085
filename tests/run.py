#!/usr/bin/env python3
"""run.py: runs the tests that lie under tests/ and sums them up.

    tests/run.py BUILD [--only PREFIX]... [--skip PREFIX]... [--wrap "COMMAND"] [--jobs N] [--timeout SECONDS]

What is run: the cmocka programs tests/*/test_*.c as built under BUILD, the fuzzers tests/*/fuzz_*.c over their corpus
(tests/ROOM/corpus/NAME), and the scripts tests/*/test_*.{py,sh}. PREFIX selects by the path of
the source ("tests/base/test_"). A program's cases are read from its TAP lines; a script may print a last line
"N passed, N failed[, N skipped]", otherwise its exit status is one case (77: skipped). COMMAND (valgrind, an emulator) goes before every program. Output is shown only of what fails or
skips, and kept in BUILD/tests/log. The last line is the sum; the status is 1 when anything failed or nothing was run.

Scripts find the program under test in the environment: HEARTH (its path), HEARTH_BUILD, HEARTH_SHARED; and HEARTH_WRAP, which is COMMAND, for
those that start another one. What tools/oracles.sh has put under build/oracles is used: its Python runs the scripts (HEARTH_PYTHON names another one), and
HEARTH_NODE_MODULES names its packages for Node unless it is set.
"""
import argparse
import concurrent.futures
import fnmatch
import glob
import os
import re
import shlex
import subprocess
import sys
import time

SUM = re.compile(r"^(\d+) passed, (\d+) failed(?:, (\d+) skipped)?$", re.M)


def find(build, python):
    """[(source path, command)] of everything that can be run."""
    found = []
    for src in sorted(glob.glob("tests/*/test_*.c")):
        found.append((src, [os.path.join(build, src[:-2])]))
    for src in sorted(glob.glob("tests/*/fuzz_*.c")):
        room, name = os.path.dirname(src), os.path.basename(src)[5:-2]
        found.append((src, [os.path.join(build, src[:-2]), f"{room}/corpus/{name}"]))
    for src in sorted(glob.glob("tests/*/test_*.py")):
        found.append((src, [python, src]))
    for src in sorted(glob.glob("tests/*/test_*.sh")):
        found.append((src, ["sh", src]))
    return found


def count(src, status, text):
    """(passed, failed, skipped) of one run."""
    tap = re.findall(r"^(not ok|ok) \d+\b(.*)$", text, re.M) if src.endswith(".c") else []
    if tap:
        skipped = sum("# SKIP" in rest for _, rest in tap)
        failed = sum(word == "not ok" and "# SKIP" not in rest for word, rest in tap)
        result = [len(tap) - skipped - failed, failed, skipped]
    elif SUM.search(text):
        result = [int(n or 0) for n in SUM.findall(text)[-1]]
    elif status == 77:
        return 0, 0, 1
    else:
        result = [int(status == 0), 0, 0]
    if status != 0 and result[1] == 0:
        result[1] = 1  # it crashed, or failed in a way that it did not count
    return tuple(result)


def run(src, command, wrap, log_dir, limit, env):
    start = time.monotonic()
    try:
        p = subprocess.run((wrap if src.endswith(".c") else []) + command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT, timeout=limit, env=env)
        status, out = p.returncode, p.stdout
    except subprocess.TimeoutExpired as e:
        status, out = 124, (e.stdout or b"") + f"\nstopped after {limit} s\n".encode()
    except OSError as e:
        status, out = 127, f"{command[0]}: {e.strerror}\n".encode()
    text = out.decode("utf-8", "backslashreplace")
    if status < 0:
        text += f"\nended by signal {-status}\n"
    with open(os.path.join(log_dir, src.replace("/", "-") + ".log"), "w", encoding="utf-8") as f:
        f.write(text)
    return src, status, text, count(src, status, text), time.monotonic() - start


def report(src, text, counts, seconds):
    passed, failed, skipped = counts
    note = (f", {failed} failed" if failed else "") + (f", {skipped} skipped" if skipped else "")
    print(f"{'FAIL' if failed else 'ok'}   {src:44} {passed:5} passed{note}  ({seconds:.1f} s)", flush=True)
    if failed:
        lines = [line for line in text.rstrip().split("\n") if not re.match(r"(ok|passed)\s", line)]
        if len(lines) > 200:
            print(f"     | ... {len(lines) - 200} lines before these are in the log")
        print("".join(f"     | {line}\n" for line in lines[-200:]), end="")
    elif skipped or "SKIPPED" in text:
        for line in dict.fromkeys(re.findall(r"^.*SKIPPED:.*$", text, re.M)):
            print(f"     {line}")


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("build")
    ap.add_argument("--only", action="append", default=[])
    ap.add_argument("--skip", action="append", default=[])
    ap.add_argument("--wrap", default="")
    ap.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)))
    ap.add_argument("--timeout", type=int, default=600)
    a = ap.parse_args()
    os.chdir(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    log_dir = os.path.join(a.build, "tests", "log")
    os.makedirs(log_dir, exist_ok=True)
    env = dict(os.environ, CMOCKA_MESSAGE_OUTPUT="TAP", HEARTH_BUILD=a.build, HEARTH=os.path.join(a.build, "hearth"), HEARTH_WRAP=a.wrap)
    env.setdefault("HEARTH_SHARED", "../shared")
    for name, mark, path in (("HEARTH_PYTHON", "requirements.txt", "venv/bin/python"), ("HEARTH_NODE_MODULES", "package-lock.json", "node_modules")):
        path = os.path.abspath("build/oracles/" + path)
        if not env.get(name) and os.path.exists("build/oracles/installed-" + mark) and os.path.exists(path):
            env[name] = path
    if a.wrap:  # scripts start the program by one path
        env["HEARTH"] = os.path.join(a.build, "hearth-wrapped")
        with open(env["HEARTH"], "w", encoding="utf-8") as f:
            f.write(f'#!/bin/sh\nexec {a.wrap} {os.path.join(a.build, "hearth")} "$@"\n')
        os.chmod(env["HEARTH"], 0o755)

    def chosen(src):
        def matches(prefixes):
            return any(fnmatch.fnmatch(src, p + "*") for p in prefixes)
        return (not a.only or matches(a.only)) and not matches(a.skip)

    jobs = [(src, command) for src, command in find(a.build, env.get("HEARTH_PYTHON") or "python3") if chosen(src)]
    total, bad, start = [0, 0, 0], [], time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(max(1, a.jobs)) as pool:
        waiting = [pool.submit(run, src, command, shlex.split(a.wrap), log_dir, a.timeout, env) for src, command in jobs]
        for done in concurrent.futures.as_completed(waiting):
            src, _, text, counts, seconds = done.result()
            report(src, text, counts, seconds)
            total = [x + y for x, y in zip(total, counts)]
            if counts[1]:
                bad.append(src)
    if bad:
        print("failed: " + " ".join(sorted(bad)))
    print(f"{len(jobs)} test programs in {time.monotonic() - start:.0f} s")
    print(f"{total[0]} passed, {total[1]} failed" + (f", {total[2]} skipped" if total[2] else ""), flush=True)
    return 1 if total[1] or not total[0] else 0


if __name__ == "__main__":
    sys.exit(main())
