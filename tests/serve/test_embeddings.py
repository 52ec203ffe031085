#!/usr/bin/env python3
"""test_embeddings.py: POST /v1/embeddings and /v1/rerank of `hearth serve`: the numbers of `hearth embed`, whatever else is computed; refusals that name the field; long
work that stops nobody; clients that leave; and, where Python has it, the official SDK."""
import base64
import concurrent.futures
import http.client
import json
import math
import os
import re
import signal
import struct
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
from server import Server, wait_until  # noqa: E402
from hearth import TMP, TOP, check, finish, hearth, tmp  # noqa: E402
from tinymodels import CTX, WIDTH, bert  # noqa: E402

EMBED, RERANK, CHAT = "/v1/embeddings", "/v1/rerank", "/v1/chat/completions"
BERT, RANKER, NOMIC = bert("bert"), bert("ranker", classes=1), bert("cut", title="Nomic Embed Text v1.5", width=96)
TEXTS = ["cats purr.", "dogs bark", "", "the water the water?", "DOGS  bark"]
IDS_ONLY = ("modern-bert", "nomic-bert", "qwen3-embedding")
subprocess.run([sys.executable, os.path.join(TOP, "tests/golden/mkmodels.py"), TMP.name, *IDS_ONLY, "qwen3-rank"], check=True, stdout=subprocess.DEVNULL)
GOLDEN = [os.path.join(TMP.name, name + ".gguf") for name in IDS_ONLY]


def rows(r):
    return [[float(x) for x in line.split(" ")] for line in r.text.splitlines()]


def vectors(answer):
    return [d["embedding"] for d in answer["data"]]


def near(a, b, off=1e-6):
    return len(a) == len(b) and all(abs(x - y) <= off for x, y in zip(a, b))


def like_the_program(s):
    for name, file in (("bert", BERT), ("ember", None)):
        texts = TEXTS if file else ["Hello", "Hello, world", "a" * 500]
        status, headers, r = s.post(EMBED, {"model": name, "input": texts})
        want = hearth("embed", *([file] if file else []), "--json", stdin="\n".join(texts) + "\n").json
        if not check(status == 200 and headers["Content-Type"] == "application/json", f"{name}: an answer", r):
            continue
        check(r["object"] == "list" and r["model"] == name and [d["index"] for d in r["data"]] == list(range(len(texts))) and all(d["object"] == "embedding" for d in r["data"]), f"{name}: its form", r)
        check(vectors(r) == [d["embedding"] for d in want["data"]], f"{name}: the numbers of hearth embed")
        tokens = want["usage"]["prompt_tokens"]
        check(r["usage"] == {"prompt_tokens": tokens, "total_tokens": tokens}, f"{name}: usage", (r["usage"], tokens))
        alone = [vectors(s.post(EMBED, {"model": name, "input": t})[2])[0] for t in texts]
        check(alone == vectors(r), f"{name}: the same alone and together")
        packed = s.post(EMBED, {"model": name, "input": texts, "encoding_format": "base64"})[2]
        floats = [list(struct.unpack(f"<{len(v)}f", struct.pack(f"<{len(v)}f", *v))) for v in vectors(r)]
        unpacked = [base64.b64decode(e, validate=True) for e in vectors(packed)]
        check([list(struct.unpack(f"<{len(b) // 4}f", b)) for b in unpacked] == floats, f"{name}: base64")
    for name, path in zip(IDS_ONLY, GOLDEN):
        ids = [[1, 2, 3], [4], list(range(5, 90)), [3, 2, 1]]
        want = rows(hearth("embed", path, "--ids", tmp("ids", "\n".join(" ".join(map(str, x)) for x in ids))))
        r = s.post(EMBED, {"model": name, "input": ids})[2]
        check(vectors(r) == want and r["usage"]["prompt_tokens"] == sum(map(len, ids)), f"{name}: tokens in place of texts", r)
        check(vectors(s.post(EMBED, {"model": name, "input": ids[2]})[2]) == [want[2]], f"{name}: the tokens of one text")
    raw = rows(hearth("embed", BERT, "--normalize", -1, stdin="cats purr.\n"))
    check(vectors(s.post(EMBED, {"model": "bert", "input": "cats purr.", "embd_normalize": -1})[2]) == raw, "as they are")


def dimensions(s):
    raw = rows(hearth("embed", NOMIC, "--normalize", -1, stdin="cats purr.\n"))[0]
    mean = sum(raw) / len(raw)
    cut = [x - mean for x in raw[:64]]  # as the model's card has it: centred, cut, and made of length 1
    want = [x / math.hypot(*cut) for x in cut]
    got = vectors(s.post(EMBED, {"model": "cut", "input": "cats purr.", "dimensions": 64})[2])[0]
    check(near(got, want), "fewer dimensions", (got, want))
    check(len(vectors(s.post(EMBED, {"model": "cut", "input": "cats", "dimensions": 96})[2])[0]) == 96, "all dimensions")
    check(len(vectors(s.post(EMBED, {"model": "bert", "input": "cats", "dimensions": WIDTH})[2])[0]) == WIDTH, "all that a model has are no cut")
    raw = rows(hearth("embed", BERT, stdin="the " * (CTX - 2)))[0]
    long = s.post(EMBED, {"model": "bert", "input": "the " * 100, "truncate": True})
    check(long[0] == 200 and vectors(long[2]) == [raw] and long[2]["usage"]["prompt_tokens"] == CTX, "a text that may be cut", long[2])


def scores(s):
    documents = ["cats purr.", "dogs bark", "the water", "cats"]
    want = [d["relevance_score"] for d in hearth("embed", RANKER, "--rerank", "cats?", "--json", stdin="\n".join(documents)).json["results"]]
    order = sorted(range(4), key=lambda i: -want[i])
    status, _, r = s.post(RERANK, {"model": "ranker", "query": "cats?", "documents": documents, "use_activation": False})
    check(status == 200 and [x["index"] for x in r["results"]] == order and [x["relevance_score"] for x in r["results"]] == [want[i] for i in order], "scores, best first", (r, want))
    check(r["model"] == "ranker" and r["usage"]["total_tokens"] > 20 and "document" not in r["results"][0], "their form", r)
    r = s.post("/rerank", {"model": "ranker", "query": "cats?", "documents": documents, "top_n": 2, "return_documents": True})[2]
    check(len(r["results"]) == 2 and [x["document"]["text"] for x in r["results"]] == [documents[i] for i in order[:2]], "the best of them, with their texts", r)
    check(near([x["relevance_score"] for x in r["results"]], [1 / (1 + math.exp(-want[i])) for i in order[:2]]), "as probabilities", r)
    mixed = s.post(RERANK, {"model": "ranker", "query": "cats?", "documents": [{"text": d, "title": "x"} if i % 2 else d for i, d in enumerate(documents)], "top_n": 2, "return_documents": True})[2]
    check(mixed["results"] == r["results"], "documents as objects", mixed)


REFUSED = [  # path, body, status, the field that is named
    (EMBED, {"model": "bert"}, 400, "input"), (EMBED, {"model": "bert", "input": None}, 400, "input"), (EMBED, {"model": "bert", "input": 5}, 400, "input"),
    (EMBED, {"model": "bert", "input": []}, 400, "input"), (EMBED, {"model": "bert", "input": ["cats", 5]}, 400, "input[1]"), (EMBED, {"model": "bert", "input": [[2, 4], [2, "x"]]}, 400, "input[1]"),
    (EMBED, {"model": "bert", "input": [2, -4]}, 400, "input"), (EMBED, {"model": "bert", "input": [2, 99999]}, 400, "input"), (EMBED, {"model": "bert", "input": [[2, 3], [2, 13, 3]]}, 400, "input[1]"),
    (EMBED, {"model": "bert", "input": [[2, 3], []]}, 400, "input[1]"), (EMBED, {"model": "bert", "input": [2, 2 ** 40]}, 400, "input"), (EMBED, {"model": "ember", "input": ["x", ""]}, 400, "input[1]"),
    (EMBED, {"model": "bert", "input": ["cats", "the " * 40]}, 400, "input[1]"), (EMBED, {"model": "bert", "input": ["cats"] * 3000}, 400, "input"),
    (EMBED, {"model": "bert", "input": "cats", "encoding_format": "int8"}, 400, "encoding_format"), (EMBED, {"model": "bert", "input": "cats", "dimensions": 0}, 400, "dimensions"),
    (EMBED, {"model": "bert", "input": "cats", "dimensions": 12}, 400, "dimensions"), (EMBED, {"model": "cut", "input": "cats", "dimensions": 97}, 400, "dimensions"),
    (EMBED, {"model": "cut", "input": "cats", "dimensions": 63}, 400, "dimensions"), (EMBED, {"model": "ranker", "input": "cats"}, 400, "model"), (EMBED, {"model": "none", "input": "x"}, 404, None),
    (EMBED, {"model": "modern-bert", "input": "cats"}, 400, "input"), (EMBED, b"{", 400, None),
    (RERANK, {"model": "ranker", "documents": ["x"]}, 400, "query"), (RERANK, {"model": "ranker", "query": "x"}, 400, "documents"), (RERANK, {"model": "ranker", "query": "x", "documents": []}, 400, "documents"),
    (RERANK, {"model": "ranker", "query": "x", "documents": ["a", 5]}, 400, "documents[1]"), (RERANK, {"model": "ranker", "query": "x", "documents": [{"title": "a"}]}, 400, "documents[0].text"),
    (RERANK, {"model": "ranker", "query": "x", "documents": [{"text": 7}]}, 400, "documents[0].text"), (RERANK, {"model": "ranker", "query": "x", "documents": ["a"], "top_n": 0}, 400, "top_n"),
    (RERANK, {"model": "ranker", "query": "x", "documents": ["cats", "the " * 40]}, 400, "documents[1]"), (RERANK, {"model": "bert", "query": "x", "documents": ["a"]}, 400, "model"),
    (CHAT, {"model": "bert", "messages": [{"role": "user", "content": "x"}]}, 400, "model"), (CHAT, {"model": "ranker", "messages": [{"role": "user", "content": "x"}]}, 400, "model"),
]


def looked_at(s):
    """All that tells of models tells of those that only read, too, while they are open."""
    machine = s.get("/api/machine")
    shown = {m["name"]: m for m in machine[2]["models"]} if check(machine[0] == 200, "the machine", machine) else {}
    check(shown["bert"]["state"] == "ready" and shown["bert"]["context"] == CTX and shown["bert"]["bytes_kv"] == 0 and shown["ember"]["context"] > CTX, "it shows a model that only reads", shown)
    status, _, text = s.get("/metrics")
    check(status == 200 and b'hearth_model_bytes{kind="buffers",model="bert"}' in text, "metrics", text)
    def lookups():
        return re.findall(rb"^hearth_cache_lookups_total.*$", s.get("/metrics")[2], re.M)
    before = lookups()
    check(s.post("/v1/embeddings", {"model": "bert", "input": "once"})[0] == 200 and lookups() == before, "a text that is read once has not missed a cache", (before, lookups()))
    for path in ("/v1/models", "/v1/models/bert", "/props?model=bert", "/api/tags", "/api/ps", "/slots", "/lora-adapters"):
        check(s.get(path)[0] == 200, f"GET {path}")
    check(s.get("/v1/models", {"anthropic-version": "2023-06-01"})[0] == 200 and s.post("/api/show", {"model": "bert"})[0] == 200, "other dialects' lists")


def refusals(s):
    for path, body, status, field in REFUSED:
        got, _, answer = s.post(path, body)
        error = answer.get("error", {}) if isinstance(answer, dict) else {}
        check(got == status and error.get("param") == field and error.get("message"), f"{path}: refused with {status}, naming {field}", (str(body)[:300], got, answer))
    text = s.post(EMBED, {"model": "bert", "input": ["cats", "the " * 40]})[2]["error"]["message"]
    check("42 tokens" in text and f"holds {CTX}" in text, "a text that does not fit says both numbers", text)
    check(s.post(EMBED, {"model": "bert", "input": "cats"})[0] == 200, "and it answers still")


def most_memory(s):
    """Bytes that the server has occupied at most."""
    with open(f"/proc/{s.p.pid}/status", encoding="ascii") as f:
        return 1024 * int(next(line.split()[1] for line in f if line.startswith("VmHWM:")))


def long_query(s):
    """A query is read with each document; one that fits with none is refused before it is read with all."""
    before = most_memory(s)
    got, _, answer = s.post(RERANK, {"model": "ranker", "query": "the " * 100000, "documents": ["cats"] * 500})
    check(got == 400 and answer["error"]["param"] == "documents[0]", "a query that is too long", answer)
    check(most_memory(s) - before < 200e6, "it is read once", (before, most_memory(s)))


def many(s):
    """At once, on several models, beside conversations: the same numbers."""
    bodies = [{"model": ("bert", "ember", "cut")[i % 3], "input": [t or "cats" for t in TEXTS[i % 2:]] * (1 + i % 5)} for i in range(18)]
    alone = [vectors(s.post(EMBED, b)[2]) for b in bodies]
    talk = {"model": "ember", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 30, "seed": 1, "ignore_eos": True}
    said = s.post(CHAT, talk)[2]["choices"][0]["message"]
    with concurrent.futures.ThreadPoolExecutor(22) as pool:
        others = [pool.submit(s.post, CHAT, talk) for _ in range(4)]
        together = list(pool.map(lambda b: vectors(s.post(EMBED, b)[2]), bodies))
        check(all(o.result()[2]["choices"][0]["message"] == said for o in others), "conversations are not disturbed")
    check(together == alone, "many at once have the numbers that each has alone")


def buffers():
    """What is for long texts is made for long texts only, whatever may be cut."""
    with Server(models=[EMBER]) as s:
        def taken():
            return float(re.search(rb'^hearth_model_bytes{kind="buffers",model="ember"} (\S+)$', s.get("/metrics")[2], re.M)[1])
        sizes = [taken()]
        for text in ("Hello", "the " * 300, "the " * 600):
            check(s.post("/api/embed", {"model": "ember", "input": text})[0] == 200, "a text that may be cut")
            sizes.append(taken())
        check(sizes[0] < sizes[1] == sizes[2] < sizes[3], "memory for short texts, and for long ones", sizes)


def busy(s):
    """Whether the server uses its processors."""
    def ticks():
        with open(f"/proc/{s.p.pid}/stat", encoding="ascii") as f:
            return sum(map(int, f.read().rsplit(")", 1)[1].split()[11:13]))
    before = ticks()
    time.sleep(0.5)
    return ticks() - before > 5


LONG = {"model": "ember", "input": [[5 + i % 7] * 2500 for i in range(300)]}  # minutes of work
LONGEST = {"model": "ember", "input": [[5 + i % 7] * 4000 for i in range(200)]}


def refuses(s):
    try:
        return s.get("/health")[0] == 503
    except OSError:
        return True


def start(s, body):
    c = http.client.HTTPConnection(s.host, s.port, timeout=600)
    c.request("POST", EMBED, json.dumps(body), {"Content-Type": "application/json"})
    return c


def long_work(s):
    """It stops nobody, and ends when who wanted it leaves."""
    running = [start(s, LONG), start(s, LONGEST)]
    check(wait_until(lambda: busy(s)), "work goes on")
    r = s.post(CHAT, {"model": "ember", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 20, "ignore_eos": True})
    check(r[0] == 200 and r[2]["usage"]["completion_tokens"] == 20, "a conversation goes on beside it", r)
    check(s.post(EMBED, {"model": "bert", "input": "cats"})[0] == 200 and s.post(EMBED, {"model": "ember", "input": "cats"})[0] == 200, "as do small requests")
    check(busy(s), "and the work is not done yet")
    for c in running:
        c.close()
    check(wait_until(lambda: not busy(s)), "who leaves ends it")
    running = start(s, LONG)
    check(wait_until(lambda: busy(s)), "some more work")
    s.p.send_signal(signal.SIGTERM)
    check(wait_until(lambda: refuses(s)), "it takes nobody in any more")
    status, said = s.stop()  # and, told again, ends at once
    check(status == 0 and "ERROR" not in said, "the server ends in spite of it", (status, said))
    running.close()


def sdk(s):
    try:
        import openai
    except ImportError:
        print("SKIPPED: the official SDK: make oracles")
        return
    client = openai.OpenAI(base_url=s.base + "/v1", api_key="none")
    plain = vectors(s.post(EMBED, {"model": "bert", "input": TEXTS})[2])
    r = client.embeddings.create(model="bert", input=TEXTS)  # asks for base64
    check(all(near(d.embedding, v) for d, v in zip(r.data, plain)) and r.usage.prompt_tokens == 24 and r.model == "bert", "SDK: embeddings", r)
    r = client.embeddings.create(model="bert", input="cats purr.", encoding_format="float")
    check(near(r.data[0].embedding, plain[0]), "SDK: as numbers", r)
    check(len(client.embeddings.create(model="cut", input="cats", dimensions=64).data[0].embedding) == 64, "SDK: dimensions")
    try:
        client.embeddings.create(model="bert", input="cats", dimensions=5)
        check(False, "SDK: an error")
    except openai.BadRequestError as e:
        check(e.param == "dimensions", "SDK: an error", e)


EMBER = os.path.join(TOP, "models/ember/ember.gguf")
with Server(models=[BERT, RANKER, NOMIC, *GOLDEN, os.path.join(TMP.name, "qwen3-rank.gguf"), EMBER]) as server:
    like_the_program(server)
    dimensions(server)
    scores(server)
    looked_at(server)
    refusals(server)
    long_query(server)
    many(server)
    sdk(server)
    code, err = server.stop()
    check(code == 0 and "ERROR" not in err, "it ends in order", (code, err))
buffers()
with Server("--threads", 1, models=[BERT, EMBER]) as server:
    long_work(server)
finish()
