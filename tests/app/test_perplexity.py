#!/usr/bin/env python3
"""test_perplexity.py: hearth perplexity against the definition, computed here from the rows of hearth logits; and its file of log-probabilities."""
import math
import os
import struct
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from hearth import *  # noqa: E402,F403

HELDOUT = os.path.join(TOP, "models/ember/heldout.txt")
N, CHUNKS, VOCAB = 64, 3, 2048


def logprobs_by_logits(ids):
    """rows of log-probabilities for one chunk"""
    out = tmp("rows", None)
    r = hearth("logits", EMBER, "--ids", tmp("ids", " ".join(map(str, ids))), "--out", out, "-c", N)
    check(r.status == 0, "logits", r)
    raw, rows = open(out, "rb").read(), []
    for i in range(len(ids)):
        x = struct.unpack_from(f"<{VOCAB}f", raw, i * VOCAB * 4)
        top = max(x)
        whole = top + math.log(sum(math.exp(v - top) for v in x))
        rows.append([v - whole for v in x])
    return rows


def against_the_definition():
    ids = [int(i) for i in hearth("tokenize", EMBER, "--special", "--bos", stdin=open(HELDOUT, "rb").read()).text.split()]
    nll = []
    for c in range(CHUNKS):
        chunk = ids[c * N:(c + 1) * N]
        rows = logprobs_by_logits(chunk)
        nll += [-rows[p][chunk[p + 1]] for p in range(N // 2, N - 1)]
    mean = sum(nll) / len(nll)
    error = math.sqrt((sum(x * x for x in nll) / len(nll) - mean * mean) / (len(nll) - 1))
    r = hearth("perplexity", EMBER, HELDOUT, "-c", N, "--chunks", CHUNKS, "--special", "--kv-type", "f32", "--json")
    j = r.json
    check(j["tokens_scored"] == len(nll) and abs(j["mean_nll"] - mean) < 1e-5 and abs(j["perplexity"] / math.exp(mean) - 1) < 1e-5, "perplexity", (r, mean))
    check(abs(j["perplexity_error"] / (math.exp(mean) * error) - 1) < 1e-4, "its error", (r, error))
    check(1 < j["perplexity"] < 30, "a sensible perplexity for its own kind of text", r)


def divergence():
    flags = (EMBER, HELDOUT, "-c", N, "--chunks", CHUNKS, "--special")
    for kind, size in (("f32", 4), ("f16", 2)):
        base = tmp(kind + ".lp", None)
        r = hearth("perplexity", *flags, "--save-logits", base, "--save-type", kind, "--json")
        head = 8 + 24 + 4 * N * CHUNKS
        check(r.status == 0 and os.path.getsize(base) == head + CHUNKS * (N - 1 - N // 2) * VOCAB * size, "the file's size is what its description says", r)
        same = hearth("perplexity", EMBER, "--kl-divergence", base, "--json").json
        limit = 1e-7 if kind == "f32" else 2e-4
        check(abs(same["kld"]["mean"]) < limit and same["same_top"] > 0.98 and abs(same["perplexity_ratio"] - 1) < 1e-3, "no divergence from itself", same)
        check(abs(same["perplexity"] - r.json["perplexity"]) < 1e-9, "the same perplexity", same)
    base = tmp("f32.lp", None)
    other = hearth("perplexity", EMBER, "--kl-divergence", base, "--kv-type", "q8_0", "--json").json
    check(1e-7 < other["kld"]["mean"] < 1e-2 and other["kld"]["median"] <= other["kld"]["p99"] <= other["kld"]["max"], "another type diverges a little", other)
    again = hearth("perplexity", *flags, "--kl-divergence", base)
    check(again.status == 0 and "KL divergence" in again.text, "the text may be named", again)
    refused(USAGE, "another text", "perplexity", EMBER, tmp("t", open(HELDOUT).read()[50:]), "-c", N, "--chunks", CHUNKS, "--special", "--kl-divergence", base)
    raw = open(base, "rb").read()
    refused(FORMAT, "bytes of rows", "perplexity", EMBER, "--kl-divergence", tmp("cut.lp", raw[:-5]))
    refused(FORMAT, "not a file of log-probabilities", "perplexity", EMBER, "--kl-divergence", tmp("no.lp", b"x" * 100))
    refused(FORMAT, "within its header", "perplexity", EMBER, "--kl-divergence", tmp("head.lp", raw[:20]))
    refused(FORMAT, "make no sense", "perplexity", EMBER, "--kl-divergence", tmp("zero.lp", raw[:16] + bytes(16) + raw[32:]))
    refused(FORMAT, "byte 32: token", "perplexity", EMBER, "--kl-divergence", tmp("id.lp", raw[:32] + b"\xff\xff\0\0" + raw[36:]))
    refused(UNSUPPORTED, "version 9", "perplexity", EMBER, "--kl-divergence", tmp("new.lp", raw[:8] + b"\x09" + raw[9:]))
    model = shared("models/stories260K.gguf")
    if model:
        refused(USAGE, "vocabulary", "perplexity", model, "--kl-divergence", base)


def texts():
    """The text as a word, by -f, or with the model inside."""
    flags = ("-c", N, "--chunks", 2)
    want = hearth("perplexity", EMBER, HELDOUT, *flags)
    for args in ((EMBER, "-f", HELDOUT), ("-f", HELDOUT), ("-m", EMBER, "--file", HELDOUT), ("-m", EMBER, HELDOUT), (HELDOUT,)):
        r = hearth("perplexity", *args, *flags)
        check(r.status == 0 and r.out == want.out, f"the same by {args}", r)
    r = hearth("perplexity", EMBER, "-f", "-", *flags, stdin=open(HELDOUT, "rb").read())
    check(r.out == want.out, "the same from standard input", r)
    refused(USAGE, "not both", "perplexity", EMBER, HELDOUT, "-f", HELDOUT)
    short = tmp("short", open(HELDOUT).read()[:2000])
    refused(TEXT, "not one chunk of 32768", "perplexity", EMBER, short, "-c", 0)


def errors():
    refused(USAGE, "name a text", "perplexity")
    refused(USAGE, "is a model", "perplexity", EMBER)
    refused(TEXT, "not one chunk", "perplexity", EMBER, tmp("short", "few words"))
    refused(IO, "cannot open", "perplexity", EMBER, tmp("none", None))
    refused(FORMAT, "a logit is not finite", "perplexity", without_numbers(), HELDOUT, "-c", N)
    refused(USAGE, "not both", "perplexity", EMBER, "--save-logits", "a", "--kl-divergence", "b")
    refused(USAGE, "--save-type", "perplexity", EMBER, HELDOUT, "--save-type", "q4")
    path = tmp("never", None)
    refused(TEXT, "", "perplexity", EMBER, tmp("short", "few words"), "--save-logits", path)
    check(not os.path.exists(path), "nothing is left behind")
    with open(EMBER, "rb") as f:
        model, text = tmp("model.gguf", f.read()), tmp("text", "some words " * 500)
    for over in (model, text):
        refused(USAGE, "would overwrite the input", "perplexity", model, text, "-c", N, "--save-logits", over)
    check(open(model, "rb").read() == open(EMBER, "rb").read() and open(text).read() == "some words " * 500, "inputs stay as they were")
    refused(USAGE, "name a file", "perplexity", model, text, "--save-logits", "-")


for test in (against_the_definition, divergence, texts, errors):
    test()
finish()
