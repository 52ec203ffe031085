#!/usr/bin/env python3
"""test_anthropic.py: POST /v1/messages of `hearth serve` on the embedded model: whole and streamed, the events in the documented order, blocks and tools, counting,
refusals in the dialect's own form; and, where Python has it, the official SDK."""
import json
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from server import Server  # noqa: E402
from hearth import check, finish  # noqa: E402

PATH = "/v1/messages"
VERSION = {"anthropic-version": "2023-06-01"}
HELLO = [{"role": "user", "content": "What is the capital of France?"}]
TOOL = {"name": "get_weather", "description": "The weather of a city", "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}


def ask(**more):
    return {"model": "ember", "max_tokens": 24, "temperature": 0, "messages": HELLO, **more}


def post(s, body, path=PATH):
    return s.post(path, body, VERSION)


def check_order(events):
    """message_start, then blocks one after the other, then message_delta and message_stop; each event's name is its type."""
    types = [n for n, _ in events]
    if any(n != json.loads(d)["type"] for n, d in events):
        return "a name is not its type"
    types = [t for t in types if t != "ping"]
    if types[0] != "message_start" or types[-2:] != ["message_delta", "message_stop"]:
        return "not framed"
    index, inside = 0, False
    for n, d in events:
        d = json.loads(d)
        if n == "content_block_start":
            if inside or d["index"] != index:
                return "a block begins inside another, or out of order"
            inside = True
        elif n == "content_block_delta" and (not inside or d["index"] != index):
            return "a delta of no open block"
        elif n == "content_block_stop":
            if not inside or d["index"] != index:
                return "no such block ends"
            inside, index = False, index + 1
    return "a block is left open" if inside or not index else None


def whole_and_streamed(s):
    status, headers, whole = post(s, ask())
    check(status == 200 and headers["Content-Type"].startswith("application/json"), "an answer", (status, whole))
    check(whole["type"] == "message" and whole["role"] == "assistant" and whole["id"].startswith("msg_") and whole["model"] == "ember", "its head", whole)
    check(whole["stop_reason"] in ("end_turn", "max_tokens") and whole["stop_sequence"] is None and whole["content"], "its end", whole)
    usage = whole["usage"]
    check(usage["input_tokens"] + usage["cache_read_input_tokens"] > 5 and 0 < usage["output_tokens"] <= 24, "its usage", usage)
    events = list(s.stream(PATH, ask(stream=True), VERSION))
    check(check_order(events) is None, "the order of events", (check_order(events), [n for n, _ in events]))
    texts = {}
    for name, data in events:
        d = json.loads(data)
        if name == "content_block_delta":
            texts[d["index"]] = texts.get(d["index"], "") + (d["delta"].get("text") or d["delta"].get("thinking") or "")
    wanted = [b.get("text", b.get("thinking")) for b in whole["content"]]
    check([texts.get(i, "") for i in range(len(wanted))] == wanted, "a stream says the same", (texts, whole))
    last = json.loads([d for n, d in events if n == "message_delta"][0])
    check(last["delta"]["stop_reason"] == whole["stop_reason"] and last["usage"]["output_tokens"] == usage["output_tokens"], "its last words", last)


def blocks(s):
    system = [{"type": "text", "text": "Be short.", "cache_control": {"type": "ephemeral"}}]
    talk = [{"role": "user", "content": [{"type": "text", "text": "The weather in Paris?"}]},
            {"role": "assistant", "content": [{"type": "thinking", "thinking": "They want the weather.", "signature": "x"}, {"type": "text", "text": "Let me look."},
                                              {"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {"city": "Paris"}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": [{"type": "text", "text": "18 degrees"}], "is_error": False},
                                         {"type": "text", "text": "And now?"}]},
            {"role": "user", "content": [{"type": "document", "title": "Notes", "source": {"type": "text", "media_type": "text/plain", "data": "It rains."}}]}]
    status, _, r = post(s, ask(system=system, messages=talk, tools=[TOOL], tool_choice={"type": "auto"}, thinking={"type": "enabled", "budget_tokens": 1024}))
    check(status == 200, "a conversation of blocks", r)
    text = "".join(b.get("text", "") + b.get("thinking", "") for b in post(s, ask(max_tokens=40))[2]["content"])
    if len(text) > 12:
        r = post(s, ask(max_tokens=40, stop_sequences=["\x00never", text[6:10]]))[2]
        check(r["stop_reason"] == "stop_sequence" and r["stop_sequence"] == text[6:10], "a stop text", r)


def counting(s):
    short = post(s, ask(), PATH + "/count_tokens")[2]["input_tokens"]
    body = ask(system="Be short and kind.")
    del body["max_tokens"]
    longer = post(s, body, PATH + "/count_tokens")[2]["input_tokens"]
    usage = post(s, ask())[2]["usage"]
    check(0 < short < longer and short == usage["input_tokens"] + usage["cache_read_input_tokens"], "counting", (short, longer, usage))
    nonce = [{"type": "text", "text": "x-anthropic-billing-header: cc_version=2.1; cch=%s;"}, {"type": "text", "text": "Be short and kind."}]
    body["system"] = nonce
    check(post(s, body, PATH + "/count_tokens")[2]["input_tokens"] == longer, "what changes with every request is left out")


def cache(s):
    """The second request with the same long system prompt takes it from the cache, whatever nonce stands before it."""
    rules = " ".join(f"Rule {i}: be kind to number {i}." for i in range(40))
    reads = []
    for i in range(2):
        system = [{"type": "text", "text": f"x-anthropic-billing-header: cch={i * 12345:x};"}, {"type": "text", "text": rules}]
        reads.append(post(s, ask(system=system, max_tokens=2))[2]["usage"]["cache_read_input_tokens"])
    check(reads[0] == 0 and reads[1] >= 64, "a prompt that comes again", reads)


REFUSED = [
    ({"model": "ember", "messages": HELLO}, 400, "max_tokens"), (ask(max_tokens=0), 400, "max_tokens"), (ask(messages=[]), 400, "messages"), (ask(messages=None), 400, "messages"),
    (ask(messages=[{"role": "tool", "content": "x"}]), 400, "messages[0].role"), (ask(messages=[{"role": "user"}]), 400, "messages[0].content"),
    (ask(messages=[{"role": "user", "content": [{"type": "image", "source": {}}]}]), 400, "messages[0].content[0].type"),
    (ask(messages=[{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "x", "content": "y"}]}]), 400, "messages[0].content[0].tool_use_id"),
    (ask(messages=[{"role": "assistant", "content": [{"type": "tool_use", "name": "x", "input": {}}]}]), 400, "messages[0].content[0].id"),
    (ask(system=5), 400, "system"), (ask(temperature=1.5), 400, "temperature"), (ask(stop_sequences=[""]), 400, "stop_sequences"), (ask(tools=[{"name": "x"}]), 400, "tools[0].input_schema"),
    (ask(tools=[{"type": "web_search_20250305", "name": "web_search"}]), 400, "tools[0].type"), (ask(tool_choice={"type": "tool", "name": "x"}), 400, "tool_choice.name"),
    (ask(tool_choice={"type": "perhaps"}), 400, "tool_choice.type"), (ask(thinking={"type": "maybe"}), 400, "thinking.type"), (ask(model="claude-9"), 404, "claude-9"), (b"{", 400, "JSON"),
]
TYPES = {400: "invalid_request_error", 404: "not_found_error"}


def refusals(s):
    for body, status, word in REFUSED:
        got, _, r = post(s, body)
        good = got == status and r.get("type") == "error" and r["error"]["type"] == TYPES[status] and word in r["error"]["message"]
        check(good, f"refused with {status}, naming {word}", (body, got, r))


def sdk(s):
    try:
        import anthropic
    except ImportError:
        print("SKIPPED: the official SDK: pip install anthropic")
        return
    client = anthropic.Anthropic(base_url=s.base, api_key="none")
    r = client.messages.create(model="ember", max_tokens=16, messages=HELLO, extra_body={"temperature": 0})
    check(r.type == "message" and r.usage.output_tokens > 0, "SDK: an answer", r)
    with client.messages.stream(model="ember", max_tokens=16, messages=HELLO, extra_body={"temperature": 0}) as stream:
        final = stream.get_final_message()
    check([b.model_dump() for b in final.content] == [b.model_dump() for b in r.content] and final.stop_reason == r.stop_reason, "SDK: a stream", (final, r))
    check(client.messages.count_tokens(model="ember", messages=HELLO).input_tokens > 5, "SDK: counting")
    try:
        client.messages.create(model="ember", max_tokens=16, messages=[])
        check(False, "SDK: an error")
    except anthropic.BadRequestError as e:
        check("messages" in str(e), "SDK: an error", e)


with Server() as server:
    whole_and_streamed(server)
    blocks(server)
    counting(server)
    cache(server)
    refusals(server)
    sdk(server)
    code, said = server.stop()
    check(code == 0 and "ERROR" not in said, "it ends in order", (code, said))
finish()
