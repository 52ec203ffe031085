#!/usr/bin/env python3
"""test_ollama.py: the Ollama dialect of `hearth serve` on the embedded model: chat and generate, whole and streamed, beside what the OpenAI dialect says to the
same; options, tools, thinking, refusals, the models there are; and, where Python has it, the official client."""
import contextlib
import datetime
import json
import os
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from server import Server, wait_until  # noqa: E402
from hearth import EMBER, TMP, TOP, check, finish  # noqa: E402

sys.path.insert(0, os.path.join(TOP, "tests/golden"))
from ggufmodel import Writer  # noqa: E402
from tinymodels import bert, coder  # noqa: E402

HELLO = [{"role": "user", "content": "What is the capital of France?"}]
SUM = [{"role": "user", "content": "What is 17 + 25?"}]
TOOL = {"type": "function", "function": {"name": "get_weather", "description": "Current weather of a city",
                                         "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}}
WEATHER = [{"role": "user", "content": "What is the weather in Paris?"}]
DURATIONS = ("total_duration", "load_duration", "prompt_eval_duration", "eval_duration")


def chat(**more):
    options = {"num_predict": 24, "seed": 7, **more.pop("options", {})}
    return {"model": "ember", "messages": HELLO, "options": options, **more}


def generate(**more):
    return {**{k: v for k, v in chat(**more).items() if k != "messages"}, "prompt": more.pop("prompt", HELLO[0]["content"])}


def lines(s, path, body):
    c, r = s.request("POST", path, body)
    with contextlib.closing(c):
        return r.status, r.getheader("Content-Type"), [json.loads(line) for line in r.read().decode().splitlines()]


def times_hold(r, what):
    good = all(isinstance(r[d], int) and r[d] >= 0 for d in DURATIONS) and r["total_duration"] >= r["prompt_eval_duration"] + r["eval_duration"]
    check(good and r["prompt_eval_count"] > 5 and 0 < r["eval_count"] <= 200 and r["total_duration"] < 10**12, f"{what}: counts and nanoseconds", r)
    check(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", r["created_at"]), f"{what}: a moment", r["created_at"])


def whole_and_streamed(s):
    for path, body, place in (("/api/chat", chat(), lambda r: r["message"]), ("/api/generate", generate(), lambda r: r)):
        key = "content" if path == "/api/chat" else "response"
        status, headers, whole = s.post(path, {**body, "stream": False})
        check(status == 200 and headers["Content-Type"].startswith("application/json"), f"{path}: an answer", (status, whole))
        check(whole["model"] == "ember" and whole["done"] is True and whole["done_reason"] in ("stop", "length") and place(whole)[key], f"{path}: its members", whole)
        check(("message" in whole) == (path == "/api/chat") and whole.get("message", {}).get("role", "assistant") == "assistant", f"{path}: its form", whole)
        times_hold(whole, path)
        status, kind, chunks = lines(s, path, body)
        check(status == 200 and kind == "application/x-ndjson" and len(chunks) > 3, f"{path}: it streams by itself", (status, kind, chunks))
        check("".join(place(c)[key] for c in chunks) == place(whole)[key], f"{path}: a stream says the same", chunks)
        check([c["done"] for c in chunks] == [False] * (len(chunks) - 1) + [True] and all("eval_count" not in c and "done_reason" not in c for c in chunks[:-1]), f"{path}: one end", chunks)
        last = chunks[-1]
        check(place(last)[key] == "" and last["done_reason"] == whole["done_reason"] and last["eval_count"] == whole["eval_count"] and last["prompt_eval_count"] == whole["prompt_eval_count"],
              f"{path}: the end of a stream", (last, whole))
        times_hold(last, path)
        cut = s.post(path, {**body, "stream": False, "options": {"num_predict": 2, "temperature": 0}})[2]
        check(cut["eval_count"] == 2 and cut["done_reason"] == "length", f"{path}: num_predict", cut)
    r = s.post("/api/chat", {"messages": HELLO, "stream": False, "options": {"num_predict": 1}})[2]
    check(r["model"] == "ember", "without a name: the default model", r)


# names there and here, values
OPTIONS = [
    {"temperature": (1.5, "temperature"), "top_k": (5, "top_k"), "seed": (11, "seed")}, {"temperature": (0, "temperature")}, {"top_p": (0.5, "top_p"), "min_p": (0.0, "min_p"), "seed": (5, "seed")},
    {"repeat_penalty": (1.8, "repetition_penalty"), "temperature": (0, "temperature")}, {"presence_penalty": (1.5, "presence_penalty"), "temperature": (0, "temperature")},
    {"frequency_penalty": (2, "frequency_penalty"), "temperature": (0, "temperature")}, {"stop": (["a", "the"], "stop"), "temperature": (0, "temperature")},
    {"stop": ("i", "stop"), "temperature": (0, "temperature")}, {"seed": (12345678901, "seed"), "temperature": (2, "temperature"), "top_k": (0, "top_k"), "top_p": (1, "top_p"), "min_p": (0, "min_p")},
]


def as_the_other_dialect(s):
    """The same request in OpenAI's words gives the same words."""
    said = set()
    for options in OPTIONS:
        ours = s.post("/api/chat", chat(stream=False, options={k: v[0] for k, v in options.items()}))[2]
        theirs = s.post("/v1/chat/completions", {"model": "ember", "messages": HELLO, "max_tokens": 24, "seed": 7, **{v[1]: v[0] for v in options.values()}})[2]
        message = theirs["choices"][0]["message"]
        same = ours["message"]["content"] == message["content"] and ours["message"].get("thinking", "") == message.get("reasoning_content", "")
        check(same and ours["eval_count"] == theirs["usage"]["completion_tokens"] and ours["prompt_eval_count"] == theirs["usage"]["prompt_tokens"], f"as OpenAI's dialect with {options}", (ours, theirs))
        said.add(json.dumps(ours["message"]))
    check(len(said) >= 5, "options make a difference", said)
    text = "Once upon a time"
    ours = s.post("/api/generate", generate(prompt=text, raw=True, stream=False))[2]
    theirs = s.post("/v1/completions", {"model": "ember", "prompt": text, "max_tokens": 24, "seed": 7})[2]
    check(ours["response"] == theirs["choices"][0]["text"] and ours["response"], "raw: as OpenAI's completions", (ours, theirs))
    talk = [{"role": "system", "content": "You are a pirate."}, *HELLO]
    ours = s.post("/api/generate", generate(system="You are a pirate.", stream=False))[2]
    theirs = s.post("/api/chat", chat(messages=talk, stream=False))[2]
    check(ours["response"] == theirs["message"]["content"] and ours["prompt_eval_count"] == theirs["prompt_eval_count"] > s.post("/api/chat", chat(stream=False))[2]["prompt_eval_count"],
          "system", (ours, theirs))


def options(s):
    free = s.post("/api/chat", chat(stream=False, options={"temperature": 0}))[2]
    idle = {"num_keep": 4, "num_batch": 512, "num_gpu": 99, "main_gpu": 0, "num_thread": 4, "numa": False, "use_mmap": True, "use_mlock": False, "low_vram": False, "f16_kv": True,
            "num_ctx": 8192, "mirostat": 0, "tfs_z": 1.0, "penalize_newline": True, "typical_p": 1.0, "repeat_last_n": 64, "logits_all": False, "vocab_only": False}
    check(s.post("/api/chat", chat(stream=False, options={"temperature": 0, **idle}))[2]["message"] == free["message"], "options about the machine change no answer")
    wild = {"temperature": 2, "top_k": 0, "top_p": 1, "min_p": 0, "seed": 3}
    base = s.post("/api/chat", chat(stream=False, options=wild))[2]["message"]
    for more in ({"mirostat": 2, "mirostat_tau": 1, "mirostat_eta": 0.5}, {"typical_p": 0.2}, {"top_n_sigma": 0.5}, {"xtc_probability": 1, "xtc_threshold": 0.05}, {"seed": 4}):
        check(s.post("/api/chat", chat(stream=False, options={**wild, **more}))[2]["message"] != base, f"{more} makes a difference")
    many = {json.dumps(s.post("/api/chat", chat(stream=False, options={**wild, "seed": -1}))[2]["message"]) for _ in range(4)}
    check(len(many) > 1, "the seed -1 is none", many)
    n = free["prompt_eval_count"]
    r = s.post("/api/chat", chat(stream=False, shift=False, options={"num_ctx": n + 3, "temperature": 0, "num_predict": -1}))[2]
    check(r["eval_count"] == 3 and r["done_reason"] == "length", "num_ctx bounds an answer that must not shift", r)
    status, _, r = s.post("/api/chat", chat(stream=False, shift=False, options={"num_ctx": n - 1}))
    check(status == 400 and str(n) in r["error"] and str(n - 1) in r["error"], "and refuses a prompt that does not fit it", r)
    r = s.post("/api/chat", chat(stream=False, options={"num_ctx": n - 1, "temperature": 0}))[2]
    check(r["message"] == free["message"], "otherwise nothing is cut", r)
    r = s.post("/api/chat", chat(stream=False, logprobs=True, top_logprobs=3, options={"temperature": 0, "num_predict": 5}))[2]
    good = len(r["logprobs"]) == 5 and all(len(t["top_logprobs"]) == 3 and t["logprob"] <= 0 and t["top_logprobs"][0]["token"] == t["token"] for t in r["logprobs"])
    check(good, "logprobs", r)
    chunks = lines(s, "/api/generate", generate(logprobs=True, options={"temperature": 0, "num_predict": 5}))[2]
    told = [t for c in chunks for t in c.get("logprobs", [])]
    check(len(told) == 5 and all("top_logprobs" not in t for t in told), "logprobs of a stream", chunks)


def thinking(s):
    for body, place in ((chat(messages=SUM, options={"temperature": 0, "num_predict": 60}), lambda r: r["message"]), (generate(prompt=SUM[0]["content"], options={"temperature": 0, "num_predict": 60}), lambda r: r)):
        path = "/api/chat" if "messages" in body else "/api/generate"
        key = "content" if "messages" in body else "response"
        on, off, free = (place(s.post(path, {**body, "stream": False, **more})[2]) for more in ({"think": True}, {"think": False}, {}))
        check(on.get("thinking") and on[key] and "<think>" not in on[key], f"{path}: thinking has its own place", on)
        check("thinking" not in off and off[key], f"{path}: it can be switched off", off)
        check((free.get("thinking"), free[key]) == (on["thinking"], on[key]), f"{path}: the model's own choice", free)
        chunks = lines(s, path, {**body, "think": "high"})[2]
        joined = ["".join(place(c).get(k, "") for c in chunks) for k in ("thinking", key)]
        check(joined[0] and joined[1], f"{path}: streamed, with an effort", chunks)
    past = [*SUM, {"role": "assistant", "thinking": "17 + 25 = 42", "content": "42"}, {"role": "user", "content": "Thanks"}]
    check(s.post("/api/chat", chat(messages=past, stream=False))[0] == 200, "thoughts of the past")


def forms(s):
    schema = {"type": "object", "properties": {"name": {"type": "string", "maxLength": 12}, "age": {"type": "integer", "minimum": 1, "maximum": 99}}, "required": ["name", "age"], "additionalProperties": False}
    for path, body in (("/api/chat", chat(options={"num_predict": 200})), ("/api/generate", generate(options={"num_predict": 200})), ("/api/generate", generate(raw=True, options={"num_predict": 200}))):
        for more in ({}, {"think": True}):
            if more and "raw" in body:
                continue
            r = s.post(path, {**body, "stream": False, "format": schema, **more})[2]
            said = r.get("response", r.get("message", {}).get("content"))
            found = json.loads(said) if r["done_reason"] == "stop" else None
            check(found and set(found) == {"name", "age"} and len(found["name"]) <= 12 and 1 <= found["age"] <= 99, f"{path}: a schema holds, {more}", r)
            chunks = lines(s, path, {**body, "format": schema, **more})[2]
            check("".join(c.get("response", c.get("message", {}).get("content")) for c in chunks) == said, f"{path}: streamed", chunks)
        r = s.post(path, {**body, "stream": False, "format": "json"})[2]
        said = r.get("response", r.get("message", {}).get("content"))
        check(isinstance(json.loads(said), dict) if r["done_reason"] == "stop" else said.lstrip().startswith("{"), f"{path}: any object", r)
        check(s.post(path, {**body, "stream": False, "format": ""})[2].get("done"), f"{path}: an empty format is none")
    theirs = s.post("/v1/chat/completions", {"messages": HELLO, "seed": 7, "max_tokens": 200, "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}})[2]
    ours = s.post("/api/chat", chat(stream=False, format=schema, options={"num_predict": 200}))[2]
    check(ours["message"]["content"] == theirs["choices"][0]["message"]["content"], "as OpenAI's dialect", (ours, theirs))
    status, _, r = s.post("/api/chat", chat(format={"type": "object", "unevaluatedThings": 1, "$ref": "#/nowhere"}))
    check(status == 400 and r["error"].startswith("format"), "a schema that cannot be held to", r)


def tools(s):
    body = chat(messages=WEATHER, tools=[TOOL], options={"temperature": 0, "num_predict": 80})
    whole = s.post("/api/chat", {**body, "stream": False})[2]
    calls = whole["message"].get("tool_calls") or []
    good = len(calls) == 1 and calls[0]["function"]["name"] == "get_weather" and calls[0]["function"]["arguments"] == {"city": "Paris"} and calls[0]["function"]["index"] == 0
    check(good and whole["done_reason"] == "stop" and whole["message"]["content"] == "", "a call, its arguments an object", whole)
    chunks = lines(s, "/api/chat", body)[2]
    streamed = [c["message"]["tool_calls"] for c in chunks if "tool_calls" in c["message"]]
    check([[t["function"] for t in calls]] == [[t["function"] for t in c] for c in streamed], "streamed, whole", chunks)
    theirs = s.post("/v1/chat/completions", {"messages": WEATHER, "tools": [TOOL], "temperature": 0, "max_tokens": 80})[2]["choices"][0]["message"]["tool_calls"]
    check(json.loads(theirs[0]["function"]["arguments"]) == calls[0]["function"]["arguments"], "as OpenAI's dialect has it", theirs)
    past = [*WEATHER, whole["message"]]
    ids = [{"role": "tool", "content": "18 degrees, sunny", "tool_call_id": calls[0]["id"]}]
    named = [{"role": "tool", "content": "18 degrees, sunny", "tool_name": "get_weather"}]
    plain = [{"role": "tool", "content": "18 degrees, sunny"}]
    results = [s.post("/api/chat", chat(messages=past + r, tools=[TOOL], stream=False, options={"temperature": 0}))[2] for r in (ids, named, plain)]
    check(len({json.dumps(r["message"]) for r in results}) == 1 and results[0]["message"]["content"], "results by id, by name, by their place", results)
    bare = [*WEATHER, {"role": "assistant", "tool_calls": [{"function": {"name": "get_weather", "arguments": {"city": "Paris"}}}]}]
    r = s.post("/api/chat", chat(messages=bare + named, tools=[TOOL], stream=False, options={"temperature": 0}))[2]
    check(r["message"] == results[0]["message"], "calls without ids", r)
    two = {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": n, "arguments": {}}} for n in ("a", "b", "a")]}
    answers = [{"role": "tool", "content": n, "tool_name": n} for n in ("b", "a", "a")]
    check(s.post("/api/chat", chat(messages=[*HELLO, two, *answers], stream=False))[0] == 200, "results in another order")
    status, _, r = s.post("/api/chat", chat(messages=[*HELLO, two, *answers, answers[0]], stream=False))
    check(status == 400 and "messages[5].tool_name" in r["error"], "one result too many", r)


def embed(s):
    texts = ["cats purr.", "dogs bark.", "Once upon a time"]
    theirs = s.post("/v1/embeddings", {"model": "ember", "input": texts})[2]
    vectors = [d["embedding"] for d in theirs["data"]]
    r = s.post("/api/embed", {"model": "ember", "input": texts, "keep_alive": "5m", "options": {"num_ctx": 512}})[2]
    check(r["embeddings"] == vectors and r["model"] == "ember" and r["prompt_eval_count"] == theirs["usage"]["prompt_tokens"] and r["total_duration"] > 0, "vectors, as OpenAI's dialect has them", str(r)[:300])
    check(s.post("/api/embed", {"model": "ember", "input": texts[1]})[2]["embeddings"] == vectors[1:2], "of one text")
    check(s.post("/api/embeddings", {"model": "ember:latest", "prompt": texts[2]})[2] == {"embedding": vectors[2]}, "as older clients ask")
    long = {"model": "ember", "input": "long " * 40000}
    status, _, r = s.post("/api/embed", {**long, "truncate": False})
    check(status == 400 and "input" in r["error"] and "tokens" in r["error"], "a text that is too long is refused where nothing may be cut", r)
    cut = s.post("/api/embed", {"model": "ember", "input": texts[0], "dimensions": 999999})
    check(cut[0] == 400 and "dimensions" in cut[2]["error"], "more dimensions than there are", cut)


IMAGE = [{"role": "user", "content": "x", "images": ["AAAA"]}]
CALL = {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]}
REFUSED = [  # path, body, status, what is named
    ("/api/chat", chat(messages="hi"), 400, "messages"), ("/api/chat", chat(messages=[{"role": "wizard", "content": "x"}]), 400, "messages[0].role"), ("/api/chat", chat(messages=[{"content": "x"}]), 400, "messages[0].role"),
    ("/api/chat", chat(messages=[{"role": "user"}]), 400, "messages[0].content"), ("/api/chat", chat(messages=[{"role": "user", "content": 5}]), 400, "messages[0].content"), ("/api/chat", chat(messages=[5]), 400, "messages[0]"),
    ("/api/chat", chat(messages=IMAGE), 400, "messages[0].images"), ("/api/generate", generate(images=["AAAA"]), 400, "images"), ("/api/generate", generate(template="{{ .Prompt }}"), 400, "template"),
    ("/api/chat", chat(messages=[*HELLO, {"role": "tool", "content": "x"}]), 400, "messages[1].tool_name"), ("/api/chat", chat(messages=[*HELLO, {"role": "tool", "content": "x", "tool_call_id": "y"}]), 400, "messages[1].tool_call_id"),
    ("/api/chat", chat(messages=[*HELLO, CALL]), 400, "messages[1].tool_calls[0].function.arguments"), ("/api/chat", chat(tools=[{"type": "function"}]), 400, "tools[0].function"), ("/api/chat", chat(tools=5), 400, "tools"),
    ("/api/generate", generate(context=[1, 2]), 400, "context"), ("/api/generate", generate(raw=True, system="x"), 400, "system"), ("/api/generate", generate(raw=True, think=True), 400, "think"),
    ("/api/generate", generate(width=512), 400, "width"), ("/api/generate", generate(prompt=5), 400, "prompt"), ("/api/generate", generate(raw="yes"), 400, "raw"), ("/api/chat", chat(stream="yes"), 400, "stream"),
    ("/api/chat", chat(think="perhaps"), 400, "think"), ("/api/chat", chat(think=1), 400, "think"), ("/api/chat", chat(format="yaml"), 400, "format"), ("/api/chat", chat(format=5), 400, "format"),
    ("/api/chat", chat(keep_alive="soon"), 400, "keep_alive"), ("/api/chat", chat(keep_alive="5m30"), 400, "keep_alive"), ("/api/chat", chat(keep_alive=[]), 400, "keep_alive"), ("/api/chat", chat(top_logprobs=2), 400, "top_logprobs"),
    ("/api/chat", chat(logprobs=True, top_logprobs=99), 400, "top_logprobs"), ("/api/chat", {**chat(), "options": 5}, 400, "options"), ("/api/chat", chat(options={"temprature": 1}), 400, "temprature"),
    ("/api/chat", chat(options={"temperature": -1}), 400, "options.temperature"), ("/api/chat", chat(options={"temperature": "hot"}), 400, "options.temperature"), ("/api/chat", chat(options={"top_p": 2}), 400, "options.top_p"),
    ("/api/chat", chat(options={"top_k": 1.5}), 400, "options.top_k"), ("/api/chat", chat(options={"mirostat": 1}), 400, "options.mirostat"), ("/api/chat", chat(options={"mirostat": 3}), 400, "options.mirostat"),
    ("/api/chat", chat(options={"tfs_z": 0.5}), 400, "options.tfs_z"), ("/api/chat", chat(options={"penalize_newline": False}), 400, "options.penalize_newline"), ("/api/chat", chat(options={"stop": [1]}), 400, "options.stop"),
    ("/api/chat", chat(options={"stop": ["x"] * 99}), 400, "options.stop"), ("/api/chat", chat(options={"num_predict": -9}), 400, "options.num_predict"), ("/api/chat", chat(options={"num_ctx": 0}), 400, "options.num_ctx"),
    ("/api/chat", chat(options={"num_gpu": "all"}), 400, "options.num_gpu"), ("/api/chat", chat(options={"use_mmap": 1}), 400, "options.use_mmap"), ("/api/chat", chat(options={"seed": 1.5}), 400, "options.seed"),
    ("/api/chat", {**chat(), "model": "nobody"}, 404, "nobody"), ("/api/generate", {"model": "nobody"}, 404, "nobody"), ("/api/generate", {"model": "nobody", "keep_alive": 0}, 404, "nobody"),
    ("/api/chat", b"{", 400, "JSON"), ("/api/chat", b"[]", 400, "object"), ("/api/generate", b"", 400, "JSON"), ("/api/chat", b'{"model": "a", "model": "b"}', 400, "model"), ("/api/chat", b"[" * 100000, 400, "deep"),
    ("/api/show", {"model": "nobody"}, 404, "nobody"), ("/api/show", {}, 400, "model"), ("/api/show", {"model": 5}, 400, "model"), ("/api/show", b"x", 400, "JSON"), ("/api/show", {"model": "ember", "verbose": 5}, 400, "verbose"),
    ("/api/embed", {"model": "ember"}, 400, "input"), ("/api/embed", {"model": "ember", "input": 5}, 400, "input"), ("/api/embed", {"model": "ember", "input": ["x", 5]}, 400, "input[1]"),
    ("/api/embed", {"model": "ember", "input": []}, 400, "input"), ("/api/embed", {"model": "ember", "input": "x", "options": {"nothing": 1}}, 400, "nothing"), ("/api/embed", {"model": "nobody", "input": "x"}, 404, "nobody"),
    ("/api/embed", {"model": "ember", "input": "x", "truncate": 5}, 400, "truncate"), ("/api/embed", {"model": "ember", "input": ""}, 400, "input"), ("/api/embeddings", {"model": "ember"}, 400, "prompt"),
    ("/api/embeddings", {"model": "ember", "prompt": 5}, 400, "prompt"), ("/api/generate", generate(suffix="x"), 400, "suffix"), ("/api/generate", generate(suffix="x", system="y"), 400, "suffix"),
    ("/api/generate", generate(suffix=5), 400, "suffix"), ("/api/pull", {"model": "nobody"}, 501, "--models-dir"), ("/api/pull", {}, 400, "model"), ("/api/push", {"model": "ember"}, 501, "GGUF"), ("/api/create", {"model": "x", "from": "ember"}, 501, "GGUF"),
    ("/api/copy", {"source": "ember", "destination": "x"}, 501, "GGUF"), ("/api/blobs/sha256:00", b"x", 501, "GGUF"), ("/api/nothing", {}, 404, "nothing"),
]


def refusals(s):
    for path, body, status, word in REFUSED:
        got, headers, r = s.post(path, body)
        good = got == status and isinstance(r, dict) and list(r) == ["error"] and word in r["error"] and headers["Content-Type"].startswith("application/json")
        check(good, f"{path}: refused with {status}, naming {word}", (body if isinstance(body, bytes) else json.dumps(body)[:300], got, r))
    got, _, r = s.post("/api/chat", chat(messages=[{"role": "user", "content": "long " * 40000}]))
    check(got == 400 and "tokens" in r["error"], "a prompt that does not fit says both numbers, also where a stream is wanted", r)
    c, r = s.request("DELETE", "/api/delete", {"model": "ember"})
    with contextlib.closing(c):
        check(r.status == 501 and "GGUF" in json.loads(r.read())["error"], "nothing is deleted", r.status)
    check(s.get("/api/chat")[0] == 405 and s.post("/api/chat", chat(stream=False))[0] == 200, "and it answers still")


def hello(s):
    for accept in ("*/*", "application/json"):
        status, _, body = s.get("/", {"Accept": accept})
        check(status == 200 and body == b"Ollama is running", f"who asks for no page ({accept}) is greeted", (status, body))
    for accept in (None, "text/html,application/xhtml+xml,*/*;q=0.8"):
        status, headers, body = s.get("/", {"Accept": accept} if accept else {})
        check(status == 200 and headers["Content-Type"].startswith("text/html"), f"who accepts a page ({accept}) gets it", (status, headers))
    for method, path in (("HEAD", "/"), ("HEAD", "/api/tags"), ("HEAD", "/api/version")):
        c, r = s.request(method, path)
        with contextlib.closing(c):
            check(r.status == 200 and r.read() == b"", f"{method} {path}", r.status)
    r = s.get("/api/version")[2]
    check(re.fullmatch(r"\d+\.\d+\.\d+", r["version"]) and tuple(map(int, r["version"].split("."))) >= (0, 6, 4), "a version that clients take", r)


def loading(s):
    def closed():
        return wait_until(lambda: s.get("/api/ps")[2] == {"models": []})
    check(s.post("/api/generate", {"model": "ember", "keep_alive": 0})[2]["done_reason"] == "unload" and closed(), "a model is closed")
    r = s.post("/api/generate", {"model": "ember:latest"})[2]
    check(r["done"] and r["done_reason"] == "load" and r["response"] == "" and r["model"] == "ember:latest", "and opened", r)
    running = s.get("/api/ps")[2]["models"]
    check([m["model"] for m in running] == ["ember:latest"] and running[0]["size"] > 10**6 and running[0]["context_length"] > 1000 and running[0]["size_vram"] == 0, "which can be seen", running)
    r = s.post("/api/chat", {"model": "ember", "messages": [], "keep_alive": "0s"})[2]
    check(r["done_reason"] == "unload" and r["message"] == {"role": "assistant", "content": ""} and closed(), "likewise by chat", r)
    r = s.post("/api/chat", {"model": "ember"})[2]
    check(r["done_reason"] == "load" and len(s.get("/api/ps")[2]["models"]) == 1, "likewise opened", r)
    for keep in (-1, 300, "5m", "1h30m", "-1", "-1m", "24h", "1.5h", "300", None):
        check(s.post("/api/chat", chat(stream=False, keep_alive=keep, options={"num_predict": 1}))[0] == 200, f"keep_alive {keep}")
    for keep, days in ((-1, None), (1e300, None), ("48h", 2), (86400, 1), ("-1m", None), ("72h", 3)):
        s.post("/api/generate", {"model": "ember", "keep_alive": keep})
        at = datetime.datetime.fromisoformat(s.get("/api/ps")[2]["models"][0]["expires_at"].replace("Z", "+00:00"))
        left = (at - datetime.datetime.now(datetime.timezone.utc)).total_seconds() / 86400
        check(at.year == 9999 if days is None else days - 0.1 < left <= days + 0.1, f"when it closes with keep_alive {keep}", at)
    check(s.post("/api/chat", chat(stream=False, keep_alive=0, options={"num_predict": 1}))[0] == 200 and closed(), "an answer, and then it is closed")
    check(s.post("/api/chat", chat(stream=False, options={"num_predict": 1}))[0] == 200 and s.get("/api/ps")[2]["models"][0]["expires_at"].startswith("9999"), "which does not hold for the next one")
    r = s.post("/api/pull", {"model": "ember"})[2]
    check(r == {"status": "success"}, "what is here was fetched", r)


def models(s):
    r = s.get("/api/tags")[2]["models"]
    check([m["name"] for m in r] == ["ember:latest"] and r[0]["model"] == r[0]["name"] and r[0]["size"] == os.path.getsize(EMBER) and re.fullmatch("[0-9a-f]{64}", r[0]["digest"]), "the list", r)
    details = {"parent_model": "", "format": "gguf", "family": "qwen3", "families": ["qwen3"], "parameter_size": "4.46M", "quantization_level": "Q8_0"}
    check(r[0]["details"] == details, "what a model is", r)
    for name in ("ember", "ember:latest", "ember:4m", "ember.gguf", "library/ember:latest"):
        r = s.post("/api/show", {"model": name})[2]
        check(r.get("details") == details, f"show {name}", str(r)[:300])
        check(s.post("/api/chat", {**chat(stream=False, options={"num_predict": 1}), "model": name})[2].get("model") == name, f"{name} answers by its name")
    info = r["model_info"]
    check(info["general.architecture"] == "qwen3" and info["qwen3.context_length"] == 32768 and info["general.parameter_count"] == 4459264 and info["general.basename"] == "ember", "metadata", str(info)[:500])
    check(info["tokenizer.ggml.tokens"] is None and "im_start" in r["template"] and {"completion", "tools", "thinking"} <= set(r["capabilities"]), "template, capabilities", r["capabilities"])
    check(re.search(r"^temperature +0\.8$", r["parameters"], re.M) and r["modelfile"].startswith("FROM "), "parameters", r["parameters"])
    verbose = s.post("/api/show", {"name": "ember", "verbose": True})[2]["model_info"]
    check(len(verbose["tokenizer.ggml.tokens"]) == 2048, "all of it", str(verbose)[:200])


def client(s):
    try:
        import ollama
    except ImportError:
        print("SKIPPED: the official client: make oracles")
        return
    k = ollama.Client(host=s.base)
    settings = {"seed": 7, "num_predict": 24}
    whole = k.chat(model="ember", messages=HELLO, options=settings)
    chunks = list(k.chat(model="ember", messages=HELLO, options=settings, stream=True))
    check(whole.message.content and whole.message.content == "".join(c.message.content for c in chunks) and chunks[-1].done and chunks[-1].eval_count == whole.eval_count, "client: chat", (whole, chunks))
    g = k.generate(model="ember", prompt=HELLO[0]["content"], options=settings)
    chunks = list(k.generate(model="ember", prompt=HELLO[0]["content"], options=settings, stream=True))
    check(g.response == whole.message.content == "".join(c.response for c in chunks), "client: generate", (g, chunks))
    t = k.chat(model="ember", messages=SUM, think=True, options={"temperature": 0, "num_predict": 60})
    check(t.message.thinking and t.message.content, "client: thinking", t)

    def get_weather(city: str) -> str:
        """Current weather of a city

        Args:
            city: the city's name
        """
        return f"18 degrees in {city}"
    talk = list(WEATHER)
    r = k.chat(model="ember", messages=talk, tools=[get_weather], options={"temperature": 0, "num_predict": 80})
    call = r.message.tool_calls[0].function
    talk += [r.message, {"role": "tool", "content": get_weather(**call.arguments), "tool_name": call.name}]
    check(k.chat(model="ember", messages=talk, tools=[get_weather], options={"temperature": 0}).message.content, "client: tools, there and back", (r, talk))
    e = k.embed(model="ember", input=["cats purr.", "dogs bark."])
    one = k.embeddings(model="ember", prompt="dogs bark.")
    check(len(e.embeddings) == 2 and list(e.embeddings[1]) == list(one.embedding) and e.prompt_eval_count > 4, "client: embed", str(e)[:200])
    check([m.model for m in k.list().models] == ["ember:latest"] and k.list().models[0].details.family == "qwen3", "client: list", k.list())
    shown = k.show("ember")
    check(shown.modelinfo["general.architecture"] == "qwen3" and "tools" in shown.capabilities and shown.template, "client: show", shown.capabilities)
    check([m.name for m in k.ps().models] == ["ember:latest"] and k.ps().models[0].context_length > 1000, "client: ps", k.ps())
    check(k.pull("ember").status == "success" and [p.status for p in k.pull("ember", stream=True)] == ["success"], "client: pull what is here")
    for what, fn, status in (("chat", lambda: k.chat(model="nobody", messages=HELLO), 404), ("a stream", lambda: list(k.chat(model="nobody", messages=HELLO, stream=True)), 404), ("pull", lambda: k.pull("nobody"), 501),
                             ("delete", lambda: k.delete("ember"), 501), ("copy", lambda: k.copy("ember", "x"), 501), ("create", lambda: k.create("x", from_="ember"), 501)):
        try:
            fn()
            check(False, f"client: {what} is refused")
        except ollama.ResponseError as e:
            check(e.status_code == status and ("nobody" in e.error or "GGUF" in e.error), f"client: {what} is refused", e)


def folder():
    """A list of what lies in a folder, read without opening it; what is no model is listed, and told when it is asked for."""
    os.mkdir(models := os.path.join(TMP.name, "models"))
    for name in ("first.gguf", "second:4b.gguf"):
        os.link(EMBER, os.path.join(models, name)) if os.stat(EMBER).st_dev == os.stat(models).st_dev else os.symlink(EMBER, os.path.join(models, name))
    with open(os.path.join(models, "wrong.gguf"), "wb") as f:
        f.write(b"this is no model" * 9)
    with Server("--models-dir", models) as s:
        r = s.get("/api/tags")[2]["models"]
        check([m["name"] for m in r] == ["first:latest", "second:4b", "wrong:latest"] and r[0]["digest"] != r[1]["digest"] and r[0]["details"]["family"] == "qwen3", "a folder's list", r)
        check(r[0]["modified_at"].startswith("20") and s.get("/api/tags")[2]["models"] == r and s.get("/api/ps")[2]["models"] == [], "nothing was opened for it", r)
        check(s.post("/api/show", {"model": "wrong"})[0] in (400, 500), "what is no model says so")
        for name, status in (("first", 200), ("first:latest", 200), ("second:4b", 200), ("second", 404), ("second:4b:latest", 200)):
            got = s.post("/api/generate", {**generate(stream=False, options={"num_predict": 1}), "model": name})[0]
            check(got == status, f"{name} is {status}", got)
        check(len(s.get("/api/ps")[2]["models"]) == 2, "two are open")
        os.remove(os.path.join(models, "wrong.gguf"))
        os.symlink(EMBER, os.path.join(models, "wrong.gguf"))
        check(s.get("/api/tags")[2]["models"][2]["details"]["family"] == "qwen3", "a file that has become another is read again")
        code, said = s.stop()
        check(code == 0, "it ends in order", (code, said))


def bare():
    """A model without a chat template: it continues what it is given."""
    with open(EMBER, "rb") as f:
        data = f.read()
    path = os.path.join(TMP.name, "bare.gguf")
    with open(path, "wb") as f:
        f.write(data.replace(b"tokenizer.chat_template", b"tokenizer.chat_templat_"))
    with Server(models=[path]) as s:
        r = s.post("/api/generate", {**generate(prompt="Once upon a time", stream=False), "model": "bare"})
        theirs = s.post("/v1/completions", {"model": "bare", "prompt": "Once upon a time", "max_tokens": 24, "seed": 7})[2]
        check(r[0] == 200 and r[2]["response"] == theirs["choices"][0]["text"], "generate continues the prompt", (r, theirs))
        check(s.post("/api/show", {"model": "bare"})[2]["capabilities"] == ["completion"], "that is all it can do")
        for path, body, word in (("/api/generate", {**generate(think=True), "model": "bare"}, "think"), ("/api/generate", {**generate(system="x"), "model": "bare"}, "template"), ("/api/chat", {**chat(), "model": "bare"}, "template")):
            status, _, r = s.post(path, body)
            check(status == 400 and word in r["error"], f"{path}: refused, saying {word}", r)


def adapters():
    """An adapter is a model of its name; where there are some, a tag that nothing has is one that has gone, and not passed over."""
    os.mkdir(place := os.path.join(TMP.name, "adapters"))
    w = Writer("adapter", "qwen3")
    for key, value in {"general.type": "adapter", "adapter.type": "lora", "adapter.lora.alpha": 4.0}.items():
        w.put(key, value)
    for layer in range(4):
        w.random(f"blk.{layer}.attn_output.weight.lora_a", (512, 4), 512 ** -0.5)
        w.random(f"blk.{layer}.attn_output.weight.lora_b", (4, 256), 3)
    w.save(os.path.join(place, "other.gguf"))
    with Server("--adapters-dir", place) as s:
        r = s.get("/api/tags")[2]["models"]
        check([(m["name"], m["details"]["parent_model"]) for m in r] == [("ember:latest", ""), ("other:latest", "ember")], "they are listed with their models", r)
        plain, other, pair = ({**chat(stream=False, options={"temperature": 0}), "model": n} for n in ("ember:latest", "other:latest", "ember:other"))
        said = [s.post("/api/chat", b)[2]["message"]["content"] for b in (plain, other, pair)]
        check(said[0] != said[1] == said[2], "and answer", said)
        check([m["name"] for m in s.get("/api/ps")[2]["models"]] == ["ember:latest", "other:latest"], "both are open", s.get("/api/ps")[2])
        check(s.post("/api/chat", {**plain, "model": "ember:gone"})[0] == 404 and s.post("/api/show", {"model": "ember:4b"})[0] == 404 and s.post("/api/show", {"model": "other:latest"})[0] == 200, "one that has gone")


def other_models():
    """A model that fills gaps, and one that only reads."""
    with Server("--kv-type", "f32", models=[coder("spelt"), coder("plain", known=False), bert("reader")]) as s:
        body = {"model": "spelt", "prompt": "def f(x):\n", "suffix": "return y\n"}
        r = s.post("/api/generate", {**body, "stream": False, "options": {"temperature": 0, "num_predict": 9}})
        theirs = s.post("/v1/completions", {**body, "temperature": 0, "max_tokens": 9})[2]
        check(r[0] == 200 and r[2]["response"] == theirs["choices"][0]["text"] and r[2]["prompt_eval_count"] == theirs["usage"]["prompt_tokens"], "a gap is filled", (r, theirs))
        check([s.post("/api/show", {"model": m})[2]["capabilities"] for m in ("spelt", "plain", "reader")] == [["completion", "insert"], ["completion"], ["embedding"]], "what each can do")
        status, _, r = s.post("/api/generate", {**body, "model": "plain"})
        check(status == 400 and "suffix" in r["error"], "who knows of no gaps says so", r)
        r = s.post("/api/embed", {"model": "reader", "input": ["cats purr."]})
        check(r[0] == 200 and r[2]["embeddings"] == [d["embedding"] for d in s.post("/v1/embeddings", {"model": "reader", "input": "cats purr."})[2]["data"]], "a reader's vectors", str(r)[:300])
        status, _, r = s.post("/api/generate", {"model": "reader", "prompt": "cats"})
        check(status == 400 and "reader" in r["error"], "it writes nothing", r)
        running = {m["name"]: m["context_length"] for m in s.get("/api/ps")[2]["models"]}
        check(set(running) == {"spelt:latest", "plain:latest", "reader:latest"} and all(n > 0 for n in running.values()), "all are open", running)


def keys():
    with Server("--api-key", "secret-1") as s:
        status, _, r = s.post("/api/chat", chat())
        check(status == 401 and list(r) == ["error"], "a key is wanted", r)
        check(s.post("/api/chat", chat(stream=False), {"Authorization": "Bearer secret-1"})[0] == 200 and s.get("/")[0] == 200, "and taken")


with Server() as server:
    whole_and_streamed(server)
    as_the_other_dialect(server)
    options(server)
    thinking(server)
    tools(server)
    forms(server)
    embed(server)
    refusals(server)
    hello(server)
    loading(server)
    models(server)
    client(server)
    code, said = server.stop()
    check(code == 0 and "ERROR" not in said, "it ends in order", (code, said))
folder()
bare()
adapters()
other_models()
keys()
finish()
