#!/usr/bin/env python3
"""test_openai_chat.py: POST /v1/chat/completions of `hearth serve` on the embedded model: whole and streamed, refusals in the dialect's own form, many at once,
clients that leave, the end of the server; and, where Python has it, the official SDK."""
import concurrent.futures
import http.client
import json
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from server import Server, wait_until  # noqa: E402
from hearth import FORMAT, IO, SLOW, TMP, USAGE, check, finish, refused  # noqa: E402

CHAT = "/v1/chat/completions"
HELLO = [{"role": "user", "content": "What is the capital of France?"}]


def ask(**more):
    return {"model": "ember", "messages": HELLO, "max_tokens": 24, "seed": 7, **more}


def joined(events, key="content", choice=0):
    out = ""
    for _, data in events:
        if data != "[DONE]":
            for c in json.loads(data)["choices"]:
                if c["index"] == choice:
                    out += c["delta"].get(key) or ""
    return out


def whole_and_streamed(s):
    status, headers, whole = s.post(CHAT, ask())
    check(status == 200 and headers["Content-Type"].startswith("application/json"), "an answer", (status, whole))
    message, usage = whole["choices"][0]["message"], whole["usage"]
    check(whole["object"] == "chat.completion" and whole["id"].startswith("chatcmpl-") and whole["model"] == "ember", "its head", whole)
    check(message["role"] == "assistant" and len(whole["choices"]) == 1 and message["content"] is not None, "its message", message)
    check(usage["prompt_tokens"] > 5 and 0 < usage["completion_tokens"] <= 24 and usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"], "its usage", usage)
    events = list(s.stream(CHAT, ask(stream=True, stream_options={"include_usage": True})))
    chunks = [json.loads(d) for _, d in events if d != "[DONE]"]
    check(events[-1][1] == "[DONE]" and all(c["object"] == "chat.completion.chunk" for c in chunks), "a stream ends", events[-1])
    check(len({c["id"] for c in chunks}) == 1 and chunks[0]["choices"][0]["delta"]["role"] == "assistant", "its first event", chunks[0])
    check(joined(events) == (message["content"] or "") and joined(events, "reasoning_content") == message.get("reasoning_content", ""), "a stream says the same", (joined(events), message))
    finishes = [c["choices"][0]["finish_reason"] for c in chunks if c["choices"]]
    check(finishes[-1] == whole["choices"][0]["finish_reason"] and all(f is None for f in finishes[:-1]), "one finish reason, at the end", finishes)
    check(chunks[-1]["choices"] == [] and chunks[-1]["usage"]["completion_tokens"] == usage["completion_tokens"], "usage comes last", chunks[-1])
    again = s.post(CHAT, ask())[2]
    check(again["choices"][0]["message"] == message, "a seed reproduces", (again, message))
    others = {json.dumps(s.post(CHAT, ask(seed=i, temperature=2, top_k=0, top_p=1, min_p=0))[2]["choices"][0]["message"]) for i in range(4)}
    check(len(others) > 1, "other seeds say other things", others)


def settings(s):
    r = s.post(CHAT, ask(n=3, temperature=2, top_k=0, top_p=1, min_p=0))[2]
    texts = [json.dumps(c["message"]) for c in r["choices"]]
    check([c["index"] for c in r["choices"]] == [0, 1, 2] and len(set(texts)) > 1, "n answers, not all the same", texts)
    first = s.post(CHAT, ask(max_tokens=40, temperature=0))[2]["choices"][0]["message"]
    text = (first.get("reasoning_content") or "") + (first["content"] or "")
    r = s.post(CHAT, ask(logprobs=True, top_logprobs=3, temperature=0, max_tokens=5))[2]["choices"][0]
    tokens = r["logprobs"]["content"]
    check(len(tokens) == 5 and all(len(t["top_logprobs"]) == 3 and t["logprob"] <= 0 and t["top_logprobs"][0]["token"] == t["token"] for t in tokens), "logprobs", tokens)
    r = s.post(CHAT, ask(logit_bias={str(i): -100 for i in range(3)}, max_completion_tokens=2))[2]
    check(r["usage"]["completion_tokens"] <= 2, "max_completion_tokens", r)
    if len(text) > 12:
        stop = text[6:10]
        r = s.post(CHAT, ask(max_tokens=40, temperature=0, stop=[stop]))[2]["choices"][0]
        said = (r["message"].get("reasoning_content") or "") + (r["message"]["content"] or "")
        check(stop not in said and r["finish_reason"] == "stop", "a stop text", (stop, said))
    parts = [{"role": "system", "content": "Be short."}, {"role": "user", "content": [{"type": "text", "text": "Hello"}, {"type": "text", "text": "there"}]}]
    check(s.post(CHAT, ask(messages=parts))[0] == 200, "content in parts")


REFUSED = [  # body, status, the field that is named
    ({"messages": []}, 400, "messages"), ({"model": "ember"}, 400, "messages"), ({"messages": "hi"}, 400, "messages"),
    (ask(messages=[{"role": "wizard", "content": "x"}]), 400, "messages[0].role"), (ask(messages=[{"content": "x"}]), 400, "messages[0].role"),
    (ask(messages=HELLO + [{"role": "tool", "tool_call_id": "none", "content": "x"}]), 400, "messages[1].tool_call_id"),
    (ask(messages=HELLO + [{"role": "assistant", "tool_calls": [{"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}] * 8193}]), 400, "messages[1].tool_calls[8192]"),
    (ask(messages=[{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:"}}]}]), 400, "messages[0].content[0].type"),
    (ask(messages=[{"role": "user", "content": 5}]), 400, "messages[0].content"), (ask(temperature=-1), 400, "temperature"), (ask(temperature="hot"), 400, "temperature"),
    (ask(n=0), 400, "n"), (ask(n=1000), 400, "n"), (ask(top_logprobs=3), 400, "top_logprobs"), (ask(max_tokens=-5), 400, "max_tokens"), (ask(max_tokens=1.5), 400, "max_tokens"),
    (ask(logit_bias={"x": 1}), 400, "logit_bias"), (ask(logit_bias={"1": "x"}), 400, "logit_bias"), (ask(stop=[1]), 400, "stop"), (ask(stop=["x"] * 99), 400, "stop"),
    (ask(stream="yes"), 400, "stream"), (ask(tools=[{"type": "function"}]), 400, "tools[0].function"), (ask(tools=[{"type": "code"}]), 400, "tools[0].type"),
    (ask(tool_choice="maybe"), 400, "tool_choice"), (ask(tool_choice={"type": "function", "function": {"name": "x"}}), 400, "tool_choice.function.name"),
    (ask(model="gpt-9"), 404, None), (b"{", 400, None), (b"[]", 400, None), (b"\xff\xfe", 400, None), (b'{"messages": [], "messages": []}', 400, "messages"),
    (b"[" * 100000, 400, None), (b'{"seed": 1e999, "messages": [{"role": "user", "content": "x"}]}', 400, "seed"), (b'{"temperature": NaN}', 400, "temperature"),
]


def refusals(s):
    for body, status, field in REFUSED:
        got, headers, answer = s.post(CHAT, body)
        error = answer.get("error", {}) if isinstance(answer, dict) else {}
        good = got == status and isinstance(error.get("message"), str) and error.get("type") and error.get("param") == field and headers["Content-Type"].startswith("application/json")
        check(good, f"refused with {status}, naming {field}", (body if isinstance(body, bytes) else json.dumps(body)[:300], got, answer))
    got, _, answer = s.post(CHAT, ask(messages=[{"role": "user", "content": "long " * 40000}]))
    check(got == 400 and "tokens > " in answer["error"]["message"] and answer["error"]["code"] == "context_length_exceeded", "a prompt that does not fit says both numbers", answer)
    check(s.get("/v1/nothing")[0] == 404 and s.get(CHAT)[0] == 405, "what is not there")
    check(s.post(CHAT, ask())[0] == 200, "and it answers still")


def models(s):
    status, _, r = s.get("/v1/models")
    check(status == 200 and [m["id"] for m in r["data"]] == ["ember"] and r["object"] == "list", "the list of models", r)
    check(s.get("/v1/models/ember")[2]["id"] == "ember" and s.get("/v1/models/other")[0] == 404, "one model")
    check(s.get("/health")[2] == {"status": "ok"}, "health")


def many(s):
    alone = [s.post(CHAT, ask(seed=i, max_tokens=40))[2]["choices"][0]["message"] for i in range(12)]
    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        bodies = [ask(seed=i, max_tokens=40, stream=i % 2 == 0) for i in range(12)]

        def one(body):
            if not body["stream"]:
                return s.post(CHAT, body)[2]["choices"][0]["message"]
            events = list(s.stream(CHAT, body))
            return {"content": joined(events), "reasoning_content": joined(events, "reasoning_content")}
        together = list(pool.map(one, bodies))
    same = sum((a["content"] or "") == (b["content"] or "") and (a.get("reasoning_content") or "") == (b.get("reasoning_content") or "") for a, b in zip(alone, together))
    check(same == 12, "twelve at once say what they say alone", (same, alone, together))


def leaving(s):
    """Clients that leave in the middle free their places: the next ones get them."""
    for i in range(24):
        c = http.client.HTTPConnection(s.host, s.port, timeout=30 * SLOW)
        c.request("POST", CHAT, json.dumps(ask(stream=i % 3 > 0, max_tokens=20000, ignore_eos=True)), {"Content-Type": "application/json"})
        if i % 3 == 2:
            c.getresponse().read(200)
        c.close()
    start = time.monotonic()
    status, _, r = s.post(CHAT, ask(max_tokens=4), timeout=60 * SLOW)
    check(status == 200, "who stays is answered", (status, r, time.monotonic() - start))


def ending():
    with Server() as s:
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            running = pool.submit(lambda: list(s.stream(CHAT, ask(stream=True, max_tokens=60, ignore_eos=True))))
            wait_until(lambda: s.get("/health")[0] == 200)
            time.sleep(0.3)
            status, err = s.stop()
            events = running.result()
        check(events[-1][1] == "[DONE]" and status == 0, "a stream under way is finished before the end", (events[-1:], status, err))


def keys():
    with Server("--api-key", "secret-1") as s:
        check(s.post(CHAT, ask())[0] == 401 and s.get("/health")[0] == 200, "a key is wanted")
        check(s.post(CHAT, ask(), {"Authorization": "Bearer secret-1"})[0] == 200, "and taken")
        check(s.post(CHAT, ask(), {"Authorization": "Bearer secret-2"})[0] == 401, "another is not")


def starting():
    refused(IO, "nothing.gguf", "serve", "nothing.gguf", "--port", 0)
    wrong = os.path.join(TMP.name, "wrong.gguf")
    with open(wrong, "wb") as f:
        f.write(b"this is no model" * 9)
    refused(FORMAT, "wrong.gguf", "serve", wrong, "--port", 0)
    refused(USAGE, "key", "serve", "--host", "0.0.0.0", "--port", 0)
    refused(USAGE, "--port", "serve", "--port", 99999)


def sdk(s):
    try:
        import openai
    except ImportError:
        print("SKIPPED: the official SDK: make oracles")
        return
    client = openai.OpenAI(base_url=s.base + "/v1", api_key="none")
    r = client.chat.completions.create(model="ember", messages=HELLO, max_tokens=16, seed=7)
    check(r.choices[0].message.role == "assistant" and r.usage.completion_tokens > 0, "SDK: an answer", r)
    with client.chat.completions.create(model="ember", messages=HELLO, max_tokens=16, seed=7, stream=True, stream_options={"include_usage": True}) as stream:
        chunks = list(stream)
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    check(text == (r.choices[0].message.content or "") and chunks[-1].usage.total_tokens == r.usage.total_tokens, "SDK: a stream", (text, r))
    check([m.id for m in client.models.list()] == ["ember"], "SDK: models")
    try:
        client.chat.completions.create(model="ember", messages=[])
        check(False, "SDK: an error")
    except openai.BadRequestError as e:
        check(e.param == "messages", "SDK: an error", e)
    try:
        client.chat.completions.create(model="nobody", messages=HELLO)
        check(False, "SDK: no such model")
    except openai.NotFoundError as e:
        check("nobody" in str(e), "SDK: no such model", e)


with Server() as server:
    whole_and_streamed(server)
    settings(server)
    refusals(server)
    models(server)
    many(server)
    leaving(server)
    sdk(server)
    code, said = server.stop()
    check(code == 0 and "ERROR" not in said, "it ends in order", (code, said))
starting()
ending()
keys()
finish()
