#!/usr/bin/env python3
"""test_run.py: the benchmark's machinery: programs take turns, ratios are those of neighbours, pages say what was measured. No speed is judged."""
import json
import os
import re
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(TOP, "bench"))
import render  # noqa: E402
import run  # noqa: E402

BUILD = os.path.join(TOP, os.environ.get("HEARTH_BUILD", "build"))
counts = {True: 0, False: 0}


def check(good, what, shown=""):
    counts[bool(good)] += 1
    if not good:
        print(f"FAILED: {what}\n  {shown!r}")


# A program that takes turns: it notes each in a file that both share, and answers as the real ones do.
FAKE = """
import json, sys
name, log, base = sys.argv[1], sys.argv[2], float(sys.argv[3])
for test in ("prompt", "generation"):
    for r in range(4):
        if not sys.stdin.readline(): sys.exit()
        open(log, "a").write(f"{name}{r} ")
        print(json.dumps({"test": test, "repetition": r, "tps": base + r}), flush=True)
if name == "a": print(json.dumps({"read_gbps": 1}), flush=True)
"""


def turns():
    with tempfile.TemporaryDirectory() as folder:
        log = os.path.join(folder, "log")
        run.PAUSE_S = 0
        start = {n: lambda n=n, b=b: run.Turns(n, [sys.executable, "-c", FAKE, {"hearth": "a", "peer": "b"}[n], log, b]) for n, b in (("hearth", 100), ("peer", 50))}
        tps, reports = run.take_turns(start, ("prompt", "generation"), 3)
        check(open(log, encoding="utf-8").read().split() == [f"{n}{r}" for _ in range(2) for r in range(4) for n in "ab"], "A B A B", open(log, encoding="utf-8").read())
        check(tps == {"hearth": {t: [101, 102, 103] for t in ("prompt", "generation")}, "peer": {t: [51, 52, 53] for t in ("prompt", "generation")}}, "without the warm-up", tps)
        check(reports == {"hearth": {"read_gbps": 1}}, "the report", reports)
        start["peer"] = lambda: run.Turns("peer", [sys.executable, "-c", "import sys; sys.exit('cannot start')"])
        try:
            run.take_turns(start, ("prompt",), 3)
            check(False, "a program that dies is noticed")
        except (RuntimeError, OSError) as e:
            check("peer" in str(e) or isinstance(e, OSError), "a program that dies is named", e)


def record(fmt, hearth, peer, intensity=2.0, of_bandwidth=0.5):
    report = {"read_gbps": 30.0, "gen_read_gbps": 20.0, "int8_gops": 900.0, "bf16_gflops": 0, "fp32_gflops": 200.0, "gen_outside_products": 0.02, "gen_outside_products_least": 0.01, "gen_outside_products_most": 0.0251, "prompt_of_arithmetic": 0.4,
              "gen_of_bandwidth": of_bandwidth, "gen_gbps": 20 * of_bandwidth, "gen_gops": 20 * of_bandwidth * intensity, "prompt_gbps": 0.5, "prompt_gops": 360.0}
    tps = {"hearth": {"prompt": hearth, "generation": hearth}}
    if peer:
        tps["peer"] = {"prompt": peer, "generation": peer}
    machine = {"processor": "a processor", "processors": 2, "memory_gb": 8, "system": "a system", "threads": 2, "peer": "1.2.3"}
    return {"key": {"part": "speed", "shape": "a-shape", "format": fmt, "depth": 0, "kv": "f16"}, "tps": tps, "report": report, "when": "2026-01-01 00:00",
            "run": {"commit": "abc", "machine": machine}, "pairs": 3}


GUESSED = {"plain_tps": 20.0, "guessed_tps": 50.0, "ratio": 2.5, "ratio_min": 2.0, "ratio_max": 3.0}


def pages():
    records = [record("Q8_0", [1, 1, 1], [1, 1, 1]), record("Q8_0", [30, 44, 20], [10, 20, 10], of_bandwidth=1.0), record("F16", [7, 8, 9], None, 1.0)]
    with tempfile.TemporaryDirectory() as folder:
        later = {**records[0]["run"], "commit": "def"}
        records += [{**records[0], "key": {"part": "speculation", "shape": "a-shape", "format": "Q8_0"}, "texts": {"edit": GUESSED}},
                    {**records[0], "key": {"part": "small", "shape": "a-shape", "format": "Q8_0"}, "run": later}]
        planned = [r["key"] for r in records] + [{"part": "depth", "shape": "a-shape", "format": "Q8_0", "depth": 8, "kv": "q8_0"}, {"part": "speed", "shape": "b-shape", "format": "BF16"}]
        render.write(records, planned, folder)
        text = open(os.path.join(folder, "RESULTS.md"), encoding="utf-8").read()
        svg = ET.parse(os.path.join(folder, "roofline.svg"))
    check("| Q8_0 | 30.0 | 10.0 | 2.20 (2.00–3.00) | ≥ 2.5 × | 40 % (asked 45 %) |" in text, "the last record, and the median of neighbours' ratios", text)
    check("| F16 | 8.0 | – | – | ≥ 1.2 × | 50 % (asked 92 %) |" in text, "without a peer", text)
    check("| Q8_0 | a source file, edited | 50.0 | 20.0 | 2.50 (2.00–3.00) | ≥ 2 × |" in text, "what guessing gains", text)
    check("a processor" in text and "PAIRS=3" in text, "the head", text)
    check("abc: speed of a-shape: Q8_0, F16; speculation of a-shape: Q8_0. def: small of a-shape: Q8_0" in text, "which commit was measured", text)
    check("**Not measured:** depth of a-shape: Q8_0 with KV Q8_0; speed of b-shape: BF16." in text, "what was to be measured and was not", text)
    check("**Measured more than once, the last stands:** speed of a-shape: Q8_0." in text, "what one commit was measured by twice", text)
    check("| Q8_0 | 2.00 % (1.00 %–2.51 %) | < 3 % |" in text, "time outside products, with its spread", text)
    ns = "{http://www.w3.org/2000/svg}"
    marks = {m.find(f"{ns}title").text: m for m in svg.iter() if m.tag in (f"{ns}circle", f"{ns}rect") and m.find(f"{ns}title") is not None}
    check(len(marks) == 6 and len([m for m in marks if "peer" in m]) == 2, "a point for each prompt and generation", list(marks))
    limits = [[float(m.get(k)) for k in ("x1", "y1", "x2", "y2")] for m in svg.iter(f"{ns}line") if m.get("class") == "limit"]
    check(len(limits) == 3, "limits: reading and the two units that there are", limits)
    x1, y1, x2, y2 = limits[0]
    dot = marks["Q8_0, generation, Hearth: 40.0 GOP/s"]
    x, y = float(dot.get("cx")), float(dot.get("cy"))
    check(abs(y1 + (x - x1) * (y2 - y1) / (x2 - x1) - y) < 0.5, "all of the bandwidth lies on its line", (x, y, limits[0]))


def whole():
    """A small model, made, quantised and measured without the peer; the second run has nothing left to do."""
    if not os.path.exists(os.path.join(BUILD, "bench", "mkmodel")):
        print("SKIPPED: bench/mkmodel is not built")
        return
    with tempfile.TemporaryDirectory() as folder:
        env = dict(os.environ, HEARTH_BENCH_WORK=folder, HEARTH_BENCH_OUT=folder, HEARTH_BENCH_MODELS=folder, HEARTH_BENCH_PEER="none", SHAPES="tiny", FORMATS="q8_0",
                   PAIRS="1", PARTS="speed,start", THREADS="1")
        p = subprocess.run([sys.executable, os.path.join(TOP, "bench/run.py")], env=dict(env, FORMATS="bogus", PARTS="speed"), capture_output=True, text=True)
        check(p.returncode != 0 and "FAILED: speed tiny BOGUS" in p.stdout, "what cannot be measured is an error", (p.stdout, p.stderr))
        for n in range(2):
            p = subprocess.run([sys.executable, os.path.join(TOP, "bench/run.py")], env=env, capture_output=True, text=True)
            check(p.returncode == 0 and "FAILED" not in p.stdout and ("is there" in p.stdout) == (n == 1), "a whole run", (p.stdout, p.stderr))
        lines = open(os.path.join(folder, "results.jsonl"), encoding="utf-8").read().strip().split("\n")
        check([json.loads(line)["key"]["part"] for line in lines] == ["speed", "start"], "a record for each measurement", lines)
        text = open(os.path.join(folder, "RESULTS.md"), encoding="utf-8").read()
        check(re.search(r"\| Q8_0 \| [\d.]+ \| – \| – \|", text) and "## Start" in text and "## Depth" not in text, "a page of what was measured", text)


for part in (turns, pages, whole):
    part()
print(f"{counts[True]} passed, {counts[False]} failed")
sys.exit(counts[False] > 0)
