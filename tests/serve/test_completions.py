#!/usr/bin/env python3
"""test_completions.py: POST /v1/completions of `hearth serve`: several prompts, tokens, the best of several, echo with logprobs (those of `hearth logits`), gaps, which POST /infill fills
too, streams with several choices, refusals that name the field, clients that leave; and, where Python has it, the official SDK."""
import array
import concurrent.futures
import http.client
import json
import math
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
from server import Server  # noqa: E402
from hearth import SLOW, TOP, check, finish, hearth, tmp  # noqa: E402
from tinymodels import coder  # noqa: E402

PATH, FILL = "/v1/completions", "/infill"
PLAIN, SPELT, NAMED = coder("plain", known=False), coder("spelt"), coder("named", named=True)
LEAD = "There was a small house by the river, and in it lived a dog. "  # longer than what is computed in the way of generation
PROMPTS = ["The capital of France", "Once upon a time, ", "2 + 2 =", "H\u00e9llo \u6f22 \U0001f600"]


def ask(**more):
    return {"model": "ember", "max_tokens": 12, "seed": 3, "temperature": 1, **more}


def texts(r):
    return [c["text"] for c in r["choices"]]


def ids_of(s, text, model="ember", **more):
    return s.post("/tokenize", {"model": model, "content": text, **more})[2]["tokens"]


def prompts(s):
    alone = {}
    for n in (1, 3):
        alone[n] = [s.post(PATH, ask(prompt=p, n=n))[2] for p in PROMPTS]
        status, _, r = s.post(PATH, ask(prompt=PROMPTS, n=n))
        check(status == 200 and texts(r) == [t for a in alone[n] for t in texts(a)], f"several prompts, {n} answers to each, are what each is alone", (r, alone[n]))
        check([c["index"] for c in r["choices"]] == list(range(4 * n)), "in order", r)
        check(r["usage"]["prompt_tokens"] == sum(a["usage"]["prompt_tokens"] for a in alone[n]) and r["usage"]["completion_tokens"] == sum(a["usage"]["completion_tokens"] for a in alone[n]), "usage", r)
    check(len(set(texts(alone[3][1]))) > 1, "n answers differ", texts(alone[3][1]))
    ids = [ids_of(s, p) for p in PROMPTS]
    check(texts(s.post(PATH, ask(prompt=ids))[2]) == [texts(a)[0] for a in alone[1]], "tokens in place of texts")
    check(texts(s.post(PATH, ask(prompt=ids[0]))[2]) == texts(alone[1][0]), "the tokens of one text")
    check(texts(s.post(PATH, ask(prompt=[PROMPTS[0], ids[1]]))[2]) == [texts(a)[0] for a in alone[1][:2]], "texts and tokens")
    many = s.post(PATH, ask(prompt=["count"] * 128, max_tokens=2))[2]
    check(len(many["choices"]) == 128 and len(set(texts(many))) == 1, "as many prompts as there may be")


def streamed(s, **body):
    """What a stream's choices say: text and logprobs of each, and all its events."""
    events = [d for _, d in s.stream(PATH, ask(stream=True, **body))]
    check(events[-1] == "[DONE]", "a stream ends", events[-1])
    said = {}
    for e in map(json.loads, events[:-1]):
        for c in e["choices"]:
            one = said.setdefault(c["index"], {"text": "", "finish": [], "logprobs": {}, "pieces": []})
            one["text"] += c["text"]
            one["pieces"].append(c["text"])
            one["finish"].append(c["finish_reason"])
            for k, v in (c["logprobs"] or {}).items():
                one["logprobs"].setdefault(k, []).extend(v)
    return said, events


def streams(s):
    for more in ({}, {"n": 2}, {"n": 2, "echo": True}, {"n": 2, "echo": True, "logprobs": 3}, {"logprobs": 0}, {"echo": True, "max_tokens": 0, "logprobs": 1}):
        whole = s.post(PATH, ask(prompt=PROMPTS, **more))[2]
        said, events = streamed(s, prompt=PROMPTS, stream_options={"include_usage": True}, **more)
        good = len(said) == len(whole["choices"]) == 4 * more.get("n", 1)
        for c in whole["choices"]:
            one = said.get(c["index"], {"finish": []})
            good = good and one["text"] == c["text"] and one["finish"][-1] == c["finish_reason"] and not any(one["finish"][:-1])
            good = good and one["logprobs"] == (c["logprobs"] or {}) and (not more.get("echo") or one["pieces"][0] == PROMPTS[c["index"] // more.get("n", 1)])
        check(good, f"a stream says the same, {more}", (said, whole))
        last = json.loads(events[-2])
        check(last["choices"] == [] and last["usage"]["total_tokens"] == whole["usage"]["total_tokens"], "usage comes last", last)


def log_softmax(row):
    top = max(row)
    total = top + math.log(sum(math.exp(x - top) for x in row))
    return [x - total for x in row]


def expected(ids, *model):
    """The logprobs of hearth logits: [position][token], of what follows each position."""
    out = array.array("f")
    out.frombytes(hearth("logits", *model, "--ids", tmp("ids", " ".join(map(str, ids))), "--out", "-").out)
    width = len(out) // len(ids)
    return [log_softmax(out[i * width:(i + 1) * width]) for i in range(len(ids))]


def echo(s):
    for prompt in [LEAD + p for p in PROMPTS]:
        ids = ids_of(s, prompt)
        c = s.post(PATH, ask(prompt=prompt, echo=True, logprobs=4, max_tokens=6, temperature=0, ignore_eos=True))[2]["choices"][0]
        l = c["logprobs"]
        check(c["text"].startswith(prompt) and len(c["text"]) > len(prompt), "the prompt comes first", c)
        count = len(ids) + 6
        if not check([len(l[k]) for k in ("tokens", "token_logprobs", "top_logprobs", "text_offset")] == [count] * 4 and l["token_logprobs"][0] is None and l["top_logprobs"][0] is None, "an entry for each token", l):
            continue
        made = ids_of(s, c["text"][len(prompt):])
        chunk = ("--chunk", str(len(ids)))  # a prompt, and then few tokens at a time: the same sums in the same order
        want = expected(ids + made, *chunk) if c["text"].isascii() and ids_of(s, c["text"]) == ids + made else expected(ids, *chunk)
        off = max(abs(l["token_logprobs"][i] - want[i - 1][(ids + made)[i]]) for i in range(1, len(want)))
        check(len(ids) > 16 and off < 1e-5, "the logprobs of hearth logits", off)
        check(all(t in top and abs(top[t] - p) < 1e-6 for t, p, top in zip(l["tokens"][1:], l["token_logprobs"][1:], l["top_logprobs"][1:])), "which the token is one of", l)
        placed = [(t, o) for t, o in zip(l["tokens"], l["text_offset"]) if not t.startswith("bytes:")]
        check(all(c["text"][o:o + len(t)] == t for t, o in placed) and l["text_offset"] == sorted(l["text_offset"]), "where tokens stand", (c["text"], placed))
        broken = b"".join(bytes.fromhex(t[6:].replace("\\x", "")) for t in l["tokens"][:len(ids)] if t.startswith("bytes:"))
        check(broken == "".join(ch for ch in prompt if not ch.isascii()).encode(), "parts of characters as bytes", (broken, l["tokens"]))
        only = s.post(PATH, ask(prompt=prompt, echo=True, logprobs=4, max_tokens=0))[2]["choices"][0]
        check(only["text"] == prompt and only["logprobs"] == {k: v[:len(ids)] for k, v in l.items()}, "the prompt alone", only)
        check(s.post(PATH, ask(prompt=ids, echo=True, max_tokens=0))[2]["choices"][0]["text"] == prompt, "the text of a prompt of tokens")
    r = s.post(PATH, ask(prompt="The", logprobs=0, max_tokens=3))[2]["choices"][0]
    check(len(r["logprobs"]["tokens"]) == 3 and r["logprobs"]["text_offset"][0] == 0 and [list(t.values()) for t in r["logprobs"]["top_logprobs"]] == [[p] for p in r["logprobs"]["token_logprobs"]], "logprobs of what is written", r)
    text = "int f(int x) { return x+1; }"
    l = s.post(PATH, {"model": "plain", "prompt": text, "echo": True, "logprobs": 4, "max_tokens": 0})[2]["choices"][0]["logprobs"]
    ids = ids_of(s, text, "plain", add_special=True)
    want = expected(ids, PLAIN)
    off = max(abs(l["token_logprobs"][i] - want[i - 1][ids[i]]) for i in range(1, len(ids)))
    check(len(ids) == len(text) + 1 and off < 1e-5, "those of a model of unrounded weights", (len(ids), off))
    tops = [sorted(w, reverse=True)[:4] for w in want]
    check(all(max(abs(a - b) for a, b in zip(sorted(l["top_logprobs"][i].values(), reverse=True), tops[i - 1])) < 1e-5 for i in range(1, len(ids))), "and of alternatives", (l["top_logprobs"], tops))
    bos = s.post(PATH, {"model": "spelt", "prompt": "abc", "echo": True, "logprobs": 1, "max_tokens": 0})[2]["choices"][0]
    check(bos["text"] == "abc" and bos["logprobs"]["tokens"] == ["<s>", "a", "b", "c"] and bos["logprobs"]["text_offset"] == [0, 0, 1, 2], "a token that the tokenizer adds", bos)


def best(s):
    def mean(c):
        return sum(c["logprobs"]["token_logprobs"]) / len(c["logprobs"]["token_logprobs"])
    for prompt in (PROMPTS[1], PROMPTS[:2]):
        all_of = s.post(PATH, ask(prompt=prompt, n=6, logprobs=0))[2]["choices"]
        r = s.post(PATH, ask(prompt=prompt, n=2, best_of=6, logprobs=0))[2]
        want = [t for p in range(len(all_of) // 6) for t in sorted(all_of[6 * p:6 * p + 6], key=mean, reverse=True)[:2]]
        check([c["text"] for c in want] == texts(r) and [c["index"] for c in r["choices"]] == list(range(len(want))), "the best of six", (want, r))
    r = s.post(PATH, ask(prompt="x", best_of=4))[2]
    check(len(r["choices"]) == 1 and r["choices"][0]["logprobs"] is None and r["usage"]["completion_tokens"] > 12, "of which all count", r)


def marks(s, model, names):
    return [s.post("/tokenize", {"model": model, "content": n})[2]["tokens"][0] for n in names]


def gaps(s):
    """What fills a gap is what continues the prompt that says so."""
    for model, names in (("spelt", SPELT_MARKS), ("named", NAMED_MARKS)):
        pre, suf, mid, sep, rep = marks(s, model, names)
        bos = s.post("/tokenize", {"model": model, "content": "", "add_special": True})[2]["tokens"]
        check(len(bos) == 1, f"{model}: a token begins a text", bos)

        def t(text):
            return ids_of(s, text, model, parse_special=False)

        def continued(ids):
            return s.post(PATH, {"model": model, "prompt": ids, "temperature": 0, "max_tokens": 9, "ignore_eos": True})[2]
        want = continued(bos + [pre] + t("def f(x):\n") + [suf] + t("return y\n") + [mid])
        body = {"model": model, "temperature": 0, "max_tokens": 9, "ignore_eos": True}
        r = s.post(PATH, {**body, "prompt": "def f(x):\n", "suffix": "return y\n"})[2]
        check(texts(r) == texts(want) and r["usage"] == want["usage"], f"{model}: a suffix", (r, want))
        echoed = s.post(PATH, {**body, "prompt": "def f(x):\n", "suffix": "return y\n", "echo": True})[2]
        check(texts(echoed) == ["def f(x):\n" + texts(r)[0]], f"{model}: behind the prompt", echoed)
        check(texts(s.post(PATH, {**body, "prompt": "ab", "suffix": ""})[2]) == texts(continued(bos + t("ab"))), f"{model}: an empty suffix is none")
        fill = {"model": model, "temperature": 0, "n_predict": 9, "ignore_eos": True, "input_prefix": "def f(x):\n", "input_suffix": "return y\n"}
        status, _, r = s.post(FILL, fill)
        check(status == 200 and r["content"] == texts(want)[0] and r["tokens_evaluated"] == want["usage"]["prompt_tokens"] and r["stop"] is True and r["stop_type"] == "limit", f"{model}: infill", (r, want))
        check(r["tokens_predicted"] == 9 and r["timings"]["predicted_n"] == 9 and r["timings"]["prompt_n"] + r["timings"]["cache_n"] == r["tokens_evaluated"] and r["generation_settings"]["n_ctx"] == 512, f"{model}: its numbers", r)
        r = s.post(FILL, {**fill, "prompt": "y = <s>", "input_suffix": ""})[2]
        check(r["content"] == texts(continued(bos + [pre] + t("def f(x):\n") + [suf, mid] + t("y = <s>")))[0], f"{model}: what is there of it already, and nothing behind", r)
        files = [{"filename": "a.c", "text": "int a;"}, {"text": "b"}]
        inside = [sep] + t("a.c\nint a;\n") + [sep] + t("file\nb\n") + [sep] + t("filename\n") if model == "spelt" else t("\n\na.c\nint a;\n") + t("\n\nfile\nb\n")
        head = [rep] + t("project\n") if model == "spelt" else []
        r = s.post(FILL, {**fill, "input_extra": files})[2]
        w = continued(bos + head + inside + [pre] + t("def f(x):\n") + [suf] + t("return y\n") + [mid])
        check(r["content"] == texts(w)[0] and r["tokens_evaluated"] == w["usage"]["prompt_tokens"], f"{model}: other files", (r, w))
        events = [json.loads(d) for _, d in s.stream(FILL, {**fill, "stream": True})]
        check("".join(e["content"] for e in events) == texts(want)[0] and [e["stop"] for e in events] == [False] * (len(events) - 1) + [True], f"{model}: streamed", events)
        check(events[-1]["tokens_predicted"] == 9 and "timings" in events[-1], f"{model}: with the numbers at the end", events[-1])
        stop = texts(want)[0][4]
        r = s.post(FILL, {**fill, "stop": [stop]})[2]
        check(stop not in r["content"] and r["stop_type"] == "word" and r["stopping_word"] == stop, f"{model}: a stop text", r)


SPELT_MARKS = ["<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>", "<|file_sep|>", "<|repo_name|>"]
NAMED_MARKS = ["<begin>", "<hole>", "<end>", "<x>", "<y>"]

REFUSED = [  # path, body, the field that is named
    (PATH, {}, "prompt"), (PATH, {"prompt": None}, "prompt"), (PATH, {"prompt": 5}, "prompt"), (PATH, {"prompt": ""}, "prompt"), (PATH, {"prompt": []}, "prompt"), (PATH, {"prompt": ["a", 5]}, "prompt[1]"),
    (PATH, {"prompt": ["a", ""]}, "prompt[1]"), (PATH, {"prompt": ["a", ["b"]]}, "prompt[1]"), (PATH, {"prompt": [[5], [5, -1]]}, "prompt[1]"), (PATH, {"prompt": [5, 99999]}, "prompt"), (PATH, {"prompt": [[5], [2048]]}, "prompt[1]"),
    (PATH, {"prompt": [5, 2 ** 33]}, "prompt"), (PATH, {"prompt": [5, 1.5]}, "prompt"), (PATH, {"prompt": ["a"] * 129}, "prompt"), (PATH, {"prompt": ["a"] * 100, "n": 2}, "prompt"), (PATH, {"prompt": "a", "n": 17}, "n"),
    (PATH, {"prompt": "a", "best_of": 0}, "best_of"), (PATH, {"prompt": "a", "n": 3, "best_of": 2}, "best_of"), (PATH, {"prompt": "a", "best_of": 17}, "best_of"), (PATH, {"prompt": "a", "best_of": 2, "stream": True}, "best_of"),
    (PATH, {"prompt": "a", "logprobs": 21}, "logprobs"), (PATH, {"prompt": "a", "logprobs": True}, "logprobs"), (PATH, {"prompt": "a", "echo": 1}, "echo"), (PATH, {"prompt": "a", "suffix": 1}, "suffix"),
    (PATH, {"prompt": "a", "suffix": "b"}, "suffix"), (PATH, {"model": "plain", "prompt": "a", "suffix": "b"}, "suffix"), (PATH, {"model": "spelt", "prompt": [5], "suffix": "b"}, "suffix"),
    (PATH, {"model": "spelt", "prompt": "a", "suffix": "b", "echo": True, "logprobs": 1}, "suffix"),
    (FILL, {"model": "spelt"}, "input_prefix"), (FILL, {"model": "spelt", "input_prefix": "a"}, "input_suffix"), (FILL, {"model": "spelt", "input_prefix": 5, "input_suffix": "b"}, "input_prefix"),
    (FILL, {"model": "plain", "input_prefix": "a", "input_suffix": "b"}, "input_prefix"), (FILL, {"model": "spelt", "input_prefix": "a", "input_suffix": "b", "input_extra": "x"}, "input_extra"),
    (FILL, {"model": "spelt", "input_prefix": "a", "input_suffix": "b", "input_extra": [{"filename": "x"}]}, "input_extra[0].text"), (FILL, {"model": "spelt", "input_prefix": "a", "input_suffix": "b", "input_extra": ["x"]}, "input_extra[0]"),
    (FILL, {"model": "spelt", "input_prefix": "a", "input_suffix": "b", "prompt": ["x"]}, "prompt"), (FILL, {"model": "spelt", "input_prefix": "a", "input_suffix": "b", "n_predict": -2}, "n_predict"),
    (FILL, {"model": "spelt", "input_prefix": "a", "input_suffix": "b", "n": 2}, "n"),
]


def refusals(s):
    for path, body, field in REFUSED:
        status, _, answer = s.post(path, {"model": "ember", **body})
        error = answer.get("error", {}) if isinstance(answer, dict) else {}
        check(status == 400 and error.get("param") == field and error.get("message"), f"{path}: refused, naming {field}", (str(body)[:300], status, answer))
    check(s.post(PATH, {"model": "spelt", "prompt": "a" * 600})[0] == 400 and s.post(FILL, {"model": "spelt", "input_prefix": "a" * 300, "input_suffix": "b" * 300})[0] == 400, "prompts that do not fit")
    one = s.post(PATH, ask(prompt=["Hello", "long " * 40000]))
    check(one[0] == 400 and "tokens" in one[2]["error"]["message"], "one of several that does not fit", one)


def leaving(s):
    """Clients that leave free all their choices' places."""
    for i in range(12):
        c = http.client.HTTPConnection(s.host, s.port, timeout=60 * SLOW)
        c.request("POST", PATH, json.dumps(ask(prompt=PROMPTS * 4, n=2, stream=i % 2 == 0, max_tokens=20000, ignore_eos=True)), {"Content-Type": "application/json"})
        if i % 4 == 0:
            c.getresponse().read(300)
        c.close()
    status, _, r = s.post(PATH, ask(prompt=PROMPTS, max_tokens=4), timeout=60 * SLOW)
    check(status == 200, "who stays is answered", (status, r))


def many(s):
    bodies = [ask(prompt=PROMPTS[i % 3:], n=1 + i % 2, echo=i % 3 == 0, logprobs=i % 4 if i % 5 else None) for i in range(10)]
    alone = [s.post(PATH, b)[2]["choices"] for b in bodies]
    with concurrent.futures.ThreadPoolExecutor(10) as pool:
        together = list(pool.map(lambda b: s.post(PATH, b)[2]["choices"], bodies))
    check([[c["text"] for c in x] for x in alone] == [[c["text"] for c in x] for x in together], "many at once say what they say alone")


def sdk(s):
    try:
        import openai
    except ImportError:
        print("SKIPPED: the official SDK: make oracles")
        return
    client = openai.OpenAI(base_url=s.base + "/v1", api_key="none")
    r = client.completions.create(model="ember", prompt=PROMPTS, max_tokens=8, seed=1, n=2, logprobs=2, echo=True)
    check(len(r.choices) == 8 and all(c.text.startswith(PROMPTS[i // 2]) for i, c in enumerate(r.choices)) and r.choices[3].logprobs.token_logprobs[0] is None, "SDK: completions", r)
    said = {}
    for chunk in client.completions.create(model="ember", prompt=PROMPTS, max_tokens=8, seed=1, n=2, stream=True, echo=True, logprobs=2):
        for c in chunk.choices:
            said[c.index] = said.get(c.index, "") + c.text
    check([said[i] for i in range(8)] == [c.text for c in r.choices], "SDK: a stream of several choices", (said, r))
    r = client.completions.create(model="spelt", prompt="ab", suffix="cd", max_tokens=5, extra_body={"ignore_eos": True})
    check(r.usage.prompt_tokens == 8 and r.choices[0].finish_reason == "length", "SDK: a suffix", r)
    try:
        client.completions.create(model="ember", prompt="ab", suffix="cd")
        check(False, "SDK: an error")
    except openai.BadRequestError as e:
        check(e.param == "suffix", "SDK: an error", e)


with Server("--kv-type", "f32", models=[os.path.join(TOP, "models/ember/ember.gguf"), PLAIN, SPELT, NAMED]) as server:
    prompts(server)
    streams(server)
    echo(server)
    best(server)
    gaps(server)
    refusals(server)
    leaving(server)
    many(server)
    sdk(server)
    code, err = server.stop()
    check(code == 0 and "ERROR" not in err, "it ends in order", (code, err))
finish()
