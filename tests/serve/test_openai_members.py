#!/usr/bin/env python3
"""test_openai_members.py: members of POST /v1/chat/completions that say something about more than the answer: what cannot be had is refused by name, what has no effect is taken; roles, parts and
efforts; an answer that was begun; ids of requests; and, where Python has it, the official SDK's view of them."""
import json
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from server import Server  # noqa: E402
from hearth import check, finish  # noqa: E402

CHAT = "/v1/chat/completions"
HELLO = [{"role": "user", "content": "What is the capital of France?"}]


def ask(**more):
    return {"model": "ember", "messages": HELLO, "max_tokens": 24, "temperature": 0, **more}


def text(r):
    return r["choices"][0]["message"]["content"]


def user(*parts):
    return [{"role": "user", "content": list(parts)}]


TAKEN = [{"store": True}, {"store": False, "metadata": {"a": "b"}}, {"user": "u", "safety_identifier": "s"}, {"prompt_cache_key": "k", "prompt_cache_retention": "24h", "prompt_cache_options": {"mode": "implicit"}},
         {"service_tier": "flex"}, {"prediction": {"type": "content", "content": "The capital"}}, {"verbosity": "low"}, {"modalities": ["text"]}, {"functions": []}, {"audio": None, "web_search_options": None},
         {"stream_options": None}, {"reasoning_effort": None}]
REFUSED = [
    ({"functions": [{"name": "f"}]}, "functions"), ({"function_call": "auto"}, "function_call"), ({"audio": {"voice": "x", "format": "wav"}}, "audio"), ({"modalities": ["text", "audio"]}, "modalities"),
    ({"modalities": "text"}, "modalities"), ({"web_search_options": {}}, "web_search_options"), ({"moderation": {"model": "x"}}, "moderation"), ({"chat_template": "{{ messages }}"}, "chat_template"), ({"reasoning_effort": "extreme"}, "reasoning_effort"),
    ({"verbosity": "loud"}, "verbosity"), ({"store": "yes"}, "store"), ({"metadata": []}, "metadata"), ({"user": 5}, "user"), ({"continue_final_message": True}, "continue_final_message"),
    ({"continue_final_message": 1}, "continue_final_message"),
    ({"continue_final_message": True, "messages": HELLO + [{"role": "assistant", "content": "It"}], "response_format": {"type": "json_object"}}, "continue_final_message"), ({"messages": user({"type": "image_url", "image_url": {"url": "data:,"}})}, "messages[0].content[0].type"),
    ({"messages": user({"type": "input_audio", "input_audio": {"data": "", "format": "wav"}})}, "messages[0].content[0].type"), ({"messages": user({"type": "file", "file": {}})}, "messages[0].content[0].type"),
    ({"messages": [{"role": "user"}]}, "messages[0].content"), ({"messages": [{"role": "system", "content": None}] + HELLO}, "messages[0].content"),
    ({"logit_bias": {"2048": 1}}, "logit_bias"), ({"logit_bias": {"-1": 1}}, "logit_bias"), ({"logit_bias": {"1": 101}}, "logit_bias"),
    ({"messages": user({"type": "text"})}, "messages[0].content[0].text"), ({"messages": user({"text": "x"})}, "messages[0].content[0].type"), ({"messages": [{"role": "function", "name": "f", "content": "x"}]}, "messages[0].role"),
]


def members(s):
    plain = s.post(CHAT, ask())[2]
    for more in TAKEN:
        status, _, r = s.post(CHAT, ask(**more))
        check(status == 200 and text(r) == text(plain), "a member without effect", (more, status, r))
    for more, field in REFUSED:
        status, headers, r = s.post(CHAT, ask(**more))
        error = r.get("error", {})
        check(status == 400 and error.get("param") == field and error["type"] == "invalid_request_error" and error["code"] is None and headers["x-request-id"].startswith("req_"), f"refused, naming {field}", (more, status, r))
    for effort in ("none", "minimal", "low", "medium", "high", "xhigh", "max"):
        status, _, r = s.post(CHAT, ask(reasoning_effort=effort))
        check(status == 200 and r["choices"][0]["message"]["content"], "an effort", (effort, r))
    status, _, r = s.post(CHAT, ask(model="nobody"))
    check(status == 404 and r["error"]["code"] == "model_not_found", "no such model", r)
    status, _, r = s.post("/v1/no/such/path", ask())
    check(status == 404 and r["error"]["code"] is None, "no such path", r)


def roles(s):
    counts = [s.post(CHAT, ask(messages=[{"role": role, "content": "Be brief."}] + HELLO))[2]["usage"]["prompt_tokens"] for role in ("system", "developer")]
    check(counts[0] == counts[1], "a developer is the system", counts)
    talk = HELLO + [{"role": "assistant", "content": "Paris."}, {"role": "system", "content": "Answer with a number from now on."}, {"role": "user", "name": "ann", "content": "How many people?"}]
    status, _, r = s.post(CHAT, ask(messages=talk))
    check(status == 200 and r["usage"]["prompt_tokens"] > s.post(CHAT, ask(messages=talk[:2] + talk[3:]))[2]["usage"]["prompt_tokens"] + 4, "a system message in the middle", r)
    said = [s.post(CHAT, ask(messages=HELLO + [{"role": "assistant", **m}, {"role": "user", "content": "Why?"}]))[2]["usage"]["prompt_tokens"] for m in
            ({"content": "I will not."}, {"content": None, "refusal": "I will not."}, {"content": [{"type": "refusal", "refusal": "I will not."}]})]
    check(len(set(said)) == 1, "a refusal is what was said", said)


def begun(s):
    whole = text(s.post(CHAT, ask())[2])
    words = whole.split(" ")
    start = " ".join(words[:3])
    r = s.post(CHAT, ask(messages=HELLO + [{"role": "assistant", "content": start}], continue_final_message=True))[2]
    check(start + text(r) == whole, "an answer that was begun goes on", (whole, r))
    status, _, r = s.post(CHAT, ask(messages=HELLO + [{"role": "assistant", "content": ""}], continue_final_message=True))
    check(status == 200, "or begins, where nothing was said", r)


def sdk(s):
    try:
        import openai
    except ImportError:
        print("SKIPPED: the official SDK: make oracles")
        return
    client = openai.OpenAI(base_url=s.base + "/v1", api_key="none", max_retries=0)
    r = client.chat.completions.create(**ask(store=False, metadata={"a": "b"}, service_tier="auto", reasoning_effort="low", verbosity="low", logprobs=True, top_logprobs=1))
    check(r._request_id.startswith("req_") and r.choices[0].logprobs.refusal is None, "SDK: the id of a request", r)
    type(r).model_validate(json.loads(r.model_dump_json()))
    for kind, call in ((openai.BadRequestError, lambda: client.chat.completions.create(**ask(web_search_options={}))), (openai.NotFoundError, lambda: client.chat.completions.create(**{**ask(), "model": "nobody"}))):
        try:
            call()
            check(False, "SDK: an error")
        except openai.APIStatusError as e:
            check(isinstance(e, kind) and e.request_id.startswith("req_") and e.code == ("model_not_found" if kind is openai.NotFoundError else None), "SDK: an error", e)


with Server() as server:
    members(server)
    roles(server)
    begun(server)
    sdk(server)
    code, log = server.stop()
    check(code == 0 and "ERROR" not in log, "it ends in order", (code, log))
finish()
