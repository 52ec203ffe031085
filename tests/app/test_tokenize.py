#!/usr/bin/env python3
"""test_tokenize.py: hearth tokenize: ids on one line, bytes back; hearth logits --ids reads the same."""
import glob
import os
import random
import signal
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from hearth import *  # noqa: E402,F403


def there_and_back():
    rng = random.Random(1)
    for text in ("", "Hello, world", " two  spaces ", "a\0b", "naïve 漢字 🙂\n\n\ttabs", "<|im_end|>", bytes(range(256)), bytes(rng.randrange(256) for _ in range(3000))):
        r = hearth("tokenize", EMBER, stdin=text)
        back = hearth("tokenize", EMBER, "--decode", stdin=r.out)
        raw = text.encode() if isinstance(text, str) else text
        check(r.status == 0 and r.text.count("\n") == 1 and back.out == raw, f"{text[:20]!r} there and back", (r, back))
    check(hearth("tokenize", stdin="Hello").out == hearth("tokenize", "-m", EMBER, stdin="Hello").out, "the embedded model's by default")


def special():
    plain, parsed = hearth("tokenize", EMBER, stdin="a<|im_end|>").text.split(), hearth("tokenize", EMBER, "--special", stdin="a<|im_end|>").text.split()
    check(len(plain) > len(parsed) == 2, "--special parses control tokens", (plain, parsed))
    check(hearth("tokenize", EMBER, "--decode", stdin=" ".join(parsed)).out == b"a", "control tokens are not shown")
    check(hearth("tokenize", EMBER, "--decode", "--special", stdin=",".join(parsed)).out == b"a<|im_end|>", "unless asked")
    model = shared("models/stories260K.gguf")
    if model:
        check(hearth("tokenize", model, "--bos", stdin="").text == "1\n", "--bos adds what the model adds")


def errors():
    for bad in ("5 x", "1 2 99999999", "-1", "7 1.5", "1\0 2", "99999999999999999999"):
        refused(TEXT, "", "tokenize", EMBER, "--decode", stdin=bad)
    refused(USAGE, "--bos", "tokenize", EMBER, "--decode", "--bos")
    refused(IO, "cannot open", "tokenize", tmp("missing", None))
    model = shared("models/stories260K.gguf")
    out = tmp("logits", None)
    refused(TEXT, "not a token id", "logits", EMBER, "--ids", tmp("ids", "1 2 three"), "--out", out)
    refused(TEXT, "vocabulary", "logits", EMBER, "--ids", tmp("ids", "1 2 2048"), "--out", out)
    refused(USAGE, "--ids", "logits", EMBER)
    r = hearth("logits", EMBER, "--ids", tmp("ids", "1 2 3"), "--out", out)
    check(r.status == 0 and os.path.getsize(out) == 3 * 2048 * 4, "rows of logits", r)
    if model:
        r = hearth("tokenize", model, "--pre", "no-such", stdin="x")
        check(r.status in (0, UNSUPPORTED), "another pre-tokenizer", r)


def where_logits_go():
    """To a file at once or not at all, to standard output, never over an input."""
    out, ids, link = tmp("logits", None), tmp("ids", "1 2 3"), tmp("link", None)
    with open(EMBER, "rb") as f:
        model = tmp("model.gguf", f.read())
    check(hearth("logits", model, "--ids", ids, "--out", out).status == 0, "logits")
    rows = open(out, "rb").read()
    r = subprocess.run([PROGRAM, "logits", model, "--ids", ids, "--out", "-"], cwd=TMP.name, capture_output=True, timeout=60)
    check(r.returncode == 0 and r.stdout == rows and not os.path.exists(tmp("-", None)), "- is standard output", r.stderr)
    os.symlink(model, link)
    for over in (model, link, ids):
        refused(USAGE, "would overwrite the input", "logits", model, "--ids", ids, "--out", over)
    check(open(model, "rb").read() == open(EMBER, "rb").read() and open(ids).read() == "1 2 3", "inputs stay")
    refused(TEXT, "vocabulary", "logits", model, "--ids", tmp("bad", "1 2 2048"), "--out", out)
    check(open(out, "rb").read() == rows, "an error leaves what was there")
    status, err, _, files = stopped([signal.SIGINT], "logits", EMBER, "--ids", tmp("many", "1 2 3 4 5 6 7 8 " * 4000), "--out", "out")
    check(status == CANCELLED and not files, "Ctrl-C leaves nothing", (status, err, files))


def vocabularies():
    if not shared("vocab"):
        return
    for path in sorted(glob.glob(os.path.join(SHARED, "data/vocab/*.gguf"))):
        texts, want = open(path + ".inp", "rb").read().split(b"\n__ggml_vocab_test__\n"), open(path + ".out").read().split("\n")
        text = max(texts, key=len)
        r = hearth("tokenize", path, stdin=text)
        check(r.text.split() == want[texts.index(text)].split(), os.path.basename(path), r)


for test in (there_and_back, special, errors, where_logits_go, vocabularies):
    test()
finish()
