#!/usr/bin/env python3
"""test_quantize.py: hearth quantize: the file it writes runs, what it says, what it refuses."""
import os
import subprocess
import re
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "golden")]
import ggufmodel  # noqa: E402
from hearth import *  # noqa: E402,F403


def sizes():
    f32, q = tmp("f32.gguf", None), tmp("q.gguf", None)
    r = hearth("quantize", EMBER, f32, "F32")
    check(r.status == 0 and not r.out and "32.00 bits per weight" in r.err, "decoding says what it did", r)
    last = os.path.getsize(f32)
    for kind in ("bf16", "Q8_0", "Q6_K", "Q5_K_M", "q4_k_m", "Q3_K_M", "Q2_K"):
        r = hearth("quantize", f32, q, kind, "-t", "2")
        size = os.path.getsize(q)
        check(r.status == 0 and not r.out and size < last, f"{kind} is smaller", (r, size, last))
        last = size
        ids = tmp("ids", "1 2 3 4")
        out = tmp("logits", None)
        check(hearth("logits", q, "--ids", ids, "--out", out).status == 0 and os.path.getsize(out) > 4 * 4 * 256, f"{kind} runs")


def refusals():
    q, old = tmp("q.gguf", None), tmp("old.gguf", "as it was")
    refused(USAGE, "IN, OUT and TYPE", "quantize", EMBER, old)
    refused(USAGE, "Q9", "quantize", EMBER, old, "Q9")
    refused(USAGE, "--allow-requantize", "quantize", EMBER, old, "Q4_K_M")
    refused(IO, "", "quantize", tmp("missing", None), old, "Q4_0")
    refused(FORMAT, "", "quantize", tmp("text", "no model at all, but some text"), old, "Q4_0")
    refused(IO, "", "quantize", EMBER, os.path.join(q, "below", "out.gguf"), "F32")
    with open(old, encoding="ascii") as f:
        check(f.read() == "as it was", "a refusal leaves the output as it was")
    check(hearth("quantize", EMBER, q, "Q4_K_M", "--allow-requantize").status == 0, "requantising when asked")
    r = hearth("quantize", "--help")
    check(r.status == 0 and "Q4_K_M" in r.text and "IQ4_XS" in r.text, "the help lists the types", r)


def inputs_stay():
    with open(EMBER, "rb") as f:
        model, link, hard = tmp("model.gguf", f.read()), tmp("link.gguf", None), tmp("hard.gguf", None)
    os.symlink(model, link)
    os.link(model, hard)
    over = [(model, model), (model, link), (link, model), (model, hard)]
    parts = [tmp(f"part-0000{i + 1}-of-00002.gguf", None) for i in range(2)]
    for i, path in enumerate(parts):
        w = ggufmodel.Writer("part", "llama")
        w.meta = {"general.architecture": "llama"} if i == 0 else {}
        for key, value in (("no", i), ("count", 2), ("tensors.count", 2)):
            w.put("split." + key, value)
        w.random(f"blk.{i}.attn_q.weight", (256, 8), 1)
        w.save(path)
    over += [(parts[0], path) for path in parts]
    before = [open(path, "rb").read() for path in [model, *parts]]
    for path, out in over:
        refused(USAGE, "would overwrite the input", "quantize", path, out, "Q4_0", "--allow-requantize")
    check([open(path, "rb").read() for path in [model, *parts]] == before and os.path.islink(link), "inputs stay as they were")
    check(hearth("quantize", parts[0], tmp("whole.gguf", None), "Q4_0").status == 0, "elsewhere all is well")
    r = subprocess.run([PROGRAM, "quantize", parts[0], "-", "Q4_0"], capture_output=True, timeout=60)
    check(r.returncode == 0 and r.stdout == open(tmp("whole.gguf", None), "rb").read(), "- is standard output", r.stderr)


def readme():
    """The README says of each type whether it can be had."""
    targets = hearth("quantize", "--help").text.split("to the smallest:\n")[1].split()
    rows = re.findall(r"^\| (\w+) \| [\d.]+ \| yes \| (yes)? *\|$", open(os.path.join(TOP, "README.md"), encoding="utf-8").read(), re.M)
    said = {name for name, yes in rows if yes}
    check(len(rows) > 25 and said == {re.sub("_[SML]$", "", t) for t in targets}, "what the README says is written", (said, targets))


sizes()
refusals()
inputs_stay()
readme()
finish()
