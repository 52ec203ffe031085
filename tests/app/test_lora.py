#!/usr/bin/env python3
"""test_lora.py: --lora: what an adapter does to what run and chat say, and how it is refused. The adapters are random; what they compute is held to merged weights by
tests/golden/test_adapters.py."""
import os
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from hearth import *  # noqa: E402,F403

sys.path.insert(0, os.path.join(TOP, "tests/golden"))
from ggufmodel import Writer  # noqa: E402

RUN = ("run", EMBER, "-p", "Once upon a time", "--temp", 0, "-n", 24)


def adapter(name, strength, **keys):
    """For a few matrices of the embedded model, 256 wide; a strong one changes what it says."""
    w = Writer(name, "qwen3")
    for key, value in ({"general.type": "adapter", "adapter.type": "lora", "adapter.lora.alpha": 4.0} | keys).items():
        w.put(key, value)
    for layer in range(4):
        for part, n_in, n_out in (("attn_output", 512, 256), ("ffn_down", 768, 256)):
            w.random(f"blk.{layer}.{part}.weight.lora_a", (n_in, 4), n_in ** -0.5)
            w.random(f"blk.{layer}.{part}.weight.lora_b", (4, n_out), strength / 2)
    path = tmp(name, None)
    w.save(path)
    return path


def ids(text):
    return [int(x) for x in re.findall(r"\d+", hearth("tokenize", EMBER, "--special", stdin=text).text)]


def runs():
    strong = adapter("strong.gguf", 0.5)
    base, adapted = hearth(*RUN), hearth(*RUN, "--lora", strong)
    check(base.status == adapted.status == 0 and base.out != adapted.out and len(adapted.out) > 10, "an adapter changes the text", adapted)
    check(hearth(*RUN, "--lora", strong + ":0").out == base.out, "one that does not act changes nothing")
    check(hearth(*RUN, "--lora-scaled", strong + ":1.0").out == adapted.out, "the strength that it has anyway")
    check(hearth(*RUN, "--lora", strong + ":-1").out not in (base.out, adapted.out), "the other way round")
    for flags in (("-t", 1), ("-ub", 1), ("--lookup", 0), ("--draft", EMBER)):
        check(hearth(*RUN, "--lora", strong, *flags).out == adapted.out, f"the same under {flags}")
    r = hearth(*RUN[:-1], 120, "--lora", strong, "-c", 64, "--shift", "--ignore-eos")
    check(r.status == 0 and "shifted" in r.err, "with a window that is shifted", r)


def activated():
    begin = ids("Once upon a time")[-2:]
    there, absent = (adapter(f"{n}.gguf", 0.5, **{"adapter.alora.invocation_tokens": i}) for n, i in (("there", begin), ("absent", ids("window"))))
    base = hearth(*RUN)
    r = hearth(*RUN, "--lora", there)
    check(len(begin) == 2 and r.status == 0 and r.out != base.out, "an activated adapter whose invocation is there", r)
    r = hearth(*RUN, "--lora", absent)
    check(r.out == base.out and "invocation" in r.err, "and one whose invocation is not", r)
    r = hearth("run", EMBER, "-p", "Once upon a time. " * 40, "--temp", 0, "-n", 90, "-c", 64, "--shift", "--ignore-eos", "--lora", there)
    check(r.status == 0 and "shifted" in r.err, "with a window that is shifted", r)


def chats():
    """The second answer of a conversation is the one that a conversation which begins with the first turn gives."""
    mark = ids("<|im_start|>assistant")
    for path in (adapter("strong.gguf", 0.1), adapter("marked.gguf", 0.1, **{"adapter.alora.invocation_tokens": mark})):
        chat = ("chat", EMBER, "--temp", 0, "-n", 16, "--lora", path)
        first, second = tmp("first.json", None), tmp("second.json", None)
        r = hearth(*chat, stdin=f"Hello!\n/save {first}\nWhat can you do?\n/save {second}\n")
        again = tmp("again.json", None)
        a = hearth(*chat, stdin=f"/load {first}\nWhat can you do?\n/save {again}\n")
        check(r.status == a.status == 0, "conversations with an adapter", (r, a))
        with open(second, "rb") as x, open(again, "rb") as y:
            check(x.read() == y.read(), f"go on as if they had begun there: {os.path.basename(path)}", (r, a))


def refusals():
    good = adapter("strong.gguf", 0.5)
    refused(USAGE, "one adapter", *RUN, "--lora", good, "--lora", good)
    refused(USAGE, "times as strongly", *RUN, "--lora", good + ":inf")
    refused(IO, "no-such-file", *RUN, "--lora", "/no-such-file.gguf")
    refused(IO, "strong.gguf:abc", *RUN, "--lora", good + ":abc")
    refused(IO, "adapter_config.json", *RUN, "--lora", TMP.name)
    refused(FORMAT, "general.type", *RUN, "--lora", EMBER)
    other = Writer("other", "llama")
    for key, value in {"general.type": "adapter", "adapter.type": "lora"}.items():
        other.put(key, value)
    other.random("blk.0.attn_q.weight.lora_a", (256, 2), 1)
    other.random("blk.0.attn_q.weight.lora_b", (2, 512), 1)
    path = tmp("other.gguf", None)
    other.save(path)
    refused(FORMAT, "llama", *RUN, "--lora", path)


run_tests(runs, activated, chats, refusals)
finish()
