#!/usr/bin/env python3
"""test_embed.py: hearth embed: texts in, vectors or scores out, as lines and as JSON. That the numbers are right is for tests/golden to say."""
import math
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "golden"))
from ggufmodel import EPS, F32, Writer, attention, classifier, feed_forward  # noqa: E402
from hearth import *  # noqa: E402,F403

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "\u2581cats", "\u2581purr", "\u2581dogs", "\u2581bark", "\u2581the", "\u2581wa", "ter", "\u2581.", "\u2581?"]
E, CTX = 24, 32


def bert(name, classes=0, pooling=1, types=2):
    """A BERT with words, so that texts can be given."""
    w = Writer(name, "bert")
    w.kind = F32
    w.kv(context_length=CTX, embedding_length=E, block_count=2, feed_forward_length=40, attention__head_count=3, attention__layer_norm_epsilon=EPS,
         attention__causal=False, **({"pooling_type": pooling} if pooling is not None else {}))
    w.put("tokenizer.ggml.model", "bert")
    w.put("tokenizer.ggml.tokens", WORDS)
    w.put("tokenizer.ggml.token_type", [3, 2, 3, 3] + [1] * (len(WORDS) - 4))
    for key, token in (("padding", 0), ("unknown", 1), ("bos", 2), ("seperator", 3)):
        w.put(f"tokenizer.ggml.{key}_token_id", token)
    w.random("token_embd.weight", (E, len(WORDS)), 1.0)
    w.norm("token_embd_norm", E, bias=True)
    w.random("token_types.weight", (E, types), 0.5)
    w.random("position_embd.weight", (E, CTX), 0.5)
    for i in range(2):
        attention(w, i, E, 3, 3, E // 3, E // 3, bias="qkvo")
        feed_forward(w, i, E, 40, "plain", True)
        w.norm(f"blk.{i}.attn_output_norm", E, bias=True)
        w.norm(f"blk.{i}.layer_output_norm", E, bias=True)
    if classes:
        classifier(w, E, out=classes)
    path = tmp(name + ".gguf", None)
    w.save(path)
    return path


BERT, RANKER = bert("bert"), bert("ranker", classes=1)
TEXTS = ["cats purr.", "dogs bark", "", "the water the water?", "DOGS  bark"]
INPUT = "\n".join(TEXTS) + "\n"


def rows(r):
    return [[float(x) for x in line.split(" ")] for line in r.text.splitlines()]


def near(a, b):
    return len(a) == len(b) and all(abs(x - y) < 1e-5 for x, y in zip(a, b))


def lines():
    r = hearth("embed", BERT, stdin=INPUT)
    v = rows(r)
    if not check(r.status == 0 and r.err == "" and len(v) == len(TEXTS) and all(len(x) == E for x in v), "a line of numbers for each text", r):
        return
    check(all(abs(math.hypot(*x) - 1) < 1e-5 for x in v), "of length 1")
    check(v[1] == v[4] and v[0] != v[1] and v[2] != v[0], "by words")
    check(hearth("embed", BERT, stdin=INPUT[:-1]).out == r.out, "the last line needs no end")
    alone = b"".join(hearth("embed", BERT, "-t", 1, stdin=t + "\n").out for t in TEXTS)
    check(alone == r.out, "the same bits alone and together", (alone, r))
    check(hearth("embed", BERT, "-ub", 1, stdin=INPUT).out == r.out, "and in other steps")
    check(hearth("embed", "-m", BERT, "-f", tmp("texts", INPUT)).out == r.out, "from a file")
    check(hearth("embed", BERT, "--separator", "<#>", stdin="<#>".join(TEXTS)).out == r.out, "parted otherwise")
    check(rows(hearth("embed", BERT, "--separator", "|", stdin="cats\npurr.|"))[0] == v[0], "then lines may be in texts")
    many = hearth("embed", BERT, stdin="cats purr.\n" * 600)
    check(rows(many) == [v[0]] * 600, "many texts")
    check(hearth("embed", BERT, stdin="").out == b"", "none")


def pooling():
    all_rows = rows(hearth("embed", BERT, "--pooling", "none", "--normalize", -1, stdin="cats purr.\ndogs\n"))
    check(len(all_rows) == 5 + 3, "a line for each token", all_rows)
    by = {kind: rows(hearth("embed", BERT, "--pooling", kind, "--normalize", -1, stdin="cats purr.\n"))[0] for kind in ("mean", "cls", "last")}
    check(near(by["cls"], all_rows[0]) and near(by["last"], all_rows[4]), "the first row and the last", by)
    check(near(by["mean"], [sum(x) / 5 for x in zip(*all_rows[:5])]), "their mean", by)
    check(rows(hearth("embed", BERT, "--normalize", -1, stdin="cats purr.\n"))[0] == by["mean"], "as the file says, unless asked")
    for p, length in ((1, sum(map(abs, by["mean"]))), (2, math.hypot(*by["mean"])), (0, max(map(abs, by["mean"])) / 32760)):
        got = rows(hearth("embed", BERT, "--normalize", p, stdin="cats purr."))[0]
        check(all(abs(x * length - y) < 1e-5 for x, y in zip(got, by["mean"])), f"norm {p}", got)
    r = hearth("embed", bert("unsaid", pooling=None), "--normalize", -1, stdin="cats purr.\n")
    check(len(rows(r)) == 1 and "pooling_type" in r.err and "mean" in r.err, "where nothing is said, it is said what is taken", r)


def json_output():
    r, text = hearth("embed", BERT, "--json", stdin=INPUT), hearth("embed", BERT, stdin=INPUT)
    if check(r.status == 0, "JSON", r):
        j = r.json
        check([d["index"] for d in j["data"]] == list(range(5)) and j["model"] == "bert", "in order", j)
        check([d["embedding"] for d in j["data"]] == rows(text), "the same numbers", j)
        check(j["usage"]["prompt_tokens"] == 5 + 4 + 2 + 9 + 4, "tokens", j["usage"])
    each = hearth("embed", BERT, "--json", "--pooling", "none", stdin="cats\n").json["data"][0]["embedding"]
    check(len(each) == 3 and all(len(x) == E for x in each), "a list of lists where each token has one", each)
    check(hearth("embed", BERT, "--json", stdin="").json["data"] == [], "of nothing")


def scores():
    documents = "cats purr.\ndogs bark\nthe water\n"
    r = hearth("embed", RANKER, "--rerank", "cats?", stdin=documents)
    v = rows(r)
    if not check(r.status == 0 and [len(x) for x in v] == [1, 1, 1], "a score for each text", r):
        return
    check(len({x[0] for x in v}) == 3, "each its own", v)
    j = hearth("embed", RANKER, "--rerank", "cats?", "--json", stdin=documents).json
    check([d["relevance_score"] for d in j["results"]] == [x[0] for x in v], "as JSON", j)
    check(rows(hearth("embed", RANKER, "--rerank", "dogs?", stdin=documents)) != v, "the query matters")
    check(rows(hearth("embed", RANKER, "--pooling", "rank", "--rerank", "cats?", stdin=documents)) == v, "--pooling rank goes with it")
    # [CLS] cats ? [SEP] dogs [SEP], where the second text's tokens are of the second segment, or, in a table of one, of the first
    pair = "2 4 12 3 6 3\n"
    one = bert("ranker-one", classes=1, types=1)
    check(hearth("embed", one, "--rerank", "cats?", stdin="dogs\n").out == hearth("embed", one, "--pooling", "rank", "--ids", tmp("pair", pair)).out, "how a pair is put together")
    check(hearth("embed", RANKER, "--rerank", "cats?", stdin="dogs\n").out != hearth("embed", RANKER, "--pooling", "rank", "--ids", tmp("pair", pair)).out, "segments")
    three = hearth("embed", bert("classes", classes=3), "--pooling", "rank", "--json", stdin="cats\n").json["results"][0]
    check(len(three["scores"]) == 3 and three["relevance_score"] == three["scores"][0], "several classes", three)


def ids():
    r = hearth("embed", BERT, "--ids", tmp("ids", "2 4 5 11 3\n2 6 7 3\n"))
    check(r.out == hearth("embed", BERT, stdin="cats purr.\ndogs bark\n").out, "token ids in place of texts", r)
    refused(TEXT, "text 2", "embed", BERT, "--ids", tmp("ids", "2 3\n2 99 3\n"))
    refused(TEXT, "text 1", "embed", BERT, "--ids", tmp("ids", "2 x 3\n"))
    refused(TEXT, "empty", "embed", BERT, "--ids", tmp("ids", "\n"))


def errors():
    long = "the " * (CTX - 2)
    check(hearth("embed", BERT, stdin=long).status == 0, "as long as the context")
    r = refused(CONTEXT, "text 2", "embed", BERT, stdin="cats\n" + long + "the\n")
    check(f"{CTX + 1} tokens" in r.err and f"holds {CTX}" in r.err, "with both numbers", r)
    refused(CONTEXT, "16", "embed", BERT, "-c", 16, stdin=long)
    refused(CONTEXT, "33", "embed", BERT, "-c", 33)
    refused(UNSUPPORTED, "cls.weight", "embed", BERT, "--rerank", "cats", stdin="dogs")
    refused(USAGE, "--pooling", "embed", BERT, "--pooling", "best")
    refused(USAGE, "--pooling mean", "embed", BERT, "--pooling", "mean", "--rerank", "x")
    refused(USAGE, "--ids", "embed", BERT, "--ids", "x", "--rerank", "x")
    refused(USAGE, "--separator", "embed", BERT, "--separator", "")
    refused(USAGE, "--normalize", "embed", BERT, "--normalize", -2)
    refused(IO, "cannot open", "embed", BERT, "-f", tmp("missing", None))
    refused(UNSUPPORTED, "encoder", "run", BERT, "-p", "cats")
    refused(UNSUPPORTED, "hearth embed", "logits", BERT, "--ids", tmp("ids", "2 3"), "--out", tmp("out", None))


def decoders():
    r = hearth("embed", EMBER, stdin="Hello\nHello, world\n")
    v = rows(r)
    check(r.status == 0 and len(v) == 2 and abs(math.hypot(*v[0]) - 1) < 1e-5 and "last row" in r.err, "models that write have vectors too", r)
    check(hearth("embed", EMBER, stdin="Hello, world\n").text == r.text.splitlines(True)[1], "the same alone")
    broken = without_numbers()
    refused(FORMAT, "no numbers", "embed", broken, "--pooling", "last", stdin="Hello")


run_tests(lines, pooling, json_output, scores, ids, errors, decoders)
finish()
