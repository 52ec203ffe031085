#!/usr/bin/env python3
"""test_anthropic.py: POST /v1/messages of `hearth serve` on the embedded model: whole and streamed, the events in the documented order, blocks and tools, counting,
turns, documents, tools, models, refusals in the dialect's own form. The official SDK is in test_anthropic_sdk.py."""
import json
import os
import re
import resource
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


def total(usage):
    return usage["input_tokens"] + usage["cache_creation_input_tokens"] + usage["cache_read_input_tokens"]


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
    check(0 < short < longer and short == total(usage), "counting", (short, longer, usage))
    check(post(s, {**body, "system": [{"type": "text", "text": "Be short and kind."}]}, PATH + "/count_tokens")[2] == {"input_tokens": longer}, "a system prompt in blocks is the same")
    nonce = [{"type": "text", "text": "x-anthropic-billing-header: cc_version=2.1; cch=%s;"}, {"type": "text", "text": "Be short and kind."}]
    body["system"] = nonce
    check(post(s, body, PATH + "/count_tokens")[2]["input_tokens"] == longer, "what changes with every request is left out")


def cache(s):
    """What a request leaves in the cache and what it takes from there are told apart, and are no input."""
    rules = " ".join(f"Rule {i}: be kind to number {i}." for i in range(40))
    uses = []
    for ttl in ({}, {"ttl": "5m"}, {"ttl": "1h"}):
        system = [{"type": "text", "text": f"{len(uses) // 2}: {rules}", "cache_control": {"type": "ephemeral", **ttl}}]
        uses.append(post(s, ask(system=system, max_tokens=2))[2]["usage"])
    first, second, third = uses
    check(first["cache_creation_input_tokens"] >= 256 and first["cache_read_input_tokens"] == 0, "what goes into the cache", uses)
    check(second["cache_read_input_tokens"] == first["cache_creation_input_tokens"] and second["cache_creation_input_tokens"] == 0, "what comes from it", uses)
    check(total(first) == total(second) == total(third) and second["input_tokens"] == first["input_tokens"] < 64, "all together are the prompt", uses)
    check(third["cache_creation"] == {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": third["cache_creation_input_tokens"]} and third["cache_creation_input_tokens"] > 0 and
          first["cache_creation"] == {"ephemeral_5m_input_tokens": first["cache_creation_input_tokens"], "ephemeral_1h_input_tokens": 0}, "by how long it was asked for", uses)
    check(first["service_tier"] == "standard" and first["server_tool_use"] is None and "thinking_tokens" in first["output_tokens_details"], "the other members", first)


CALL = {"role": "assistant", "content": [{"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {"city": "Paris"}}]}


def result(call="toolu_1", **more):
    return {"type": "tool_result", "tool_use_id": call, "content": "18 degrees", **more}


def user(*blocks):
    return {"role": "user", "content": list(blocks)}


def said(text):
    return {"type": "text", "text": text}


def count(s, *messages, **more):
    status, _, r = post(s, {"messages": list(messages), **more}, PATH + "/count_tokens")
    return r["input_tokens"] if status == 200 else r


def same_prompt(s, what, *others):
    """The prompts of these conversations are the same: as long, and the second is found in the cache as far as the first."""
    counted = {json.dumps(count(s, *m)) for m in others}
    check(len(counted) == 1 and "error" not in counted.pop(), what, counted)
    answers = [post(s, ask(messages=m, max_tokens=12))[2].get("content") for m in others]
    check(answers[0] is not None and all(a == answers[0] for a in answers), what + ": the same answer", answers)


def turns(s):
    same_prompt(s, "consecutive messages are one turn", [user(said("Hello")), user(said("there"))], [user(said("Hello"), said("there"))], [{"role": "user", "content": "Hello\nthere"}])
    two = {"role": "assistant", "content": CALL["content"] + [{"type": "tool_use", "id": "toolu_2", "name": "get_weather", "input": {"city": "Rome"}}]}
    same_prompt(s, "results in several messages", HELLO + [two, user(result()), user(result("toolu_2"), said("And now?"))], HELLO + [two, user(result(), result("toolu_2")), user(said("And now?"))])
    same_prompt(s, "blocks that say nothing", [user(said("Hello"), said(""))], [user(said("Hello"))], [user(said("Hello")), {"role": "assistant", "content": ""}])
    same_prompt(s, "a countdown of another model's window", [user(said("Hello"), said("<system-reminder>\nToken usage: 5/9; 4 remaining\n</system-reminder>"))], [user(said("Hello"))])
    same_prompt(s, "foreign signatures, and thinking that nobody can read", HELLO + [{"role": "assistant", "content": [{"type": "redacted_thinking", "data": "x"}, said("Paris.")]}, user(said("Why?"))],
                HELLO + [{"role": "assistant", "content": "Paris."}, user(said("Why?"))])
    check(isinstance(count(s, *HELLO, CALL, user(result()), CALL, user(result())), int), "an id may come again in a later turn")
    late = count(s, *HELLO, {"role": "assistant", "content": "Paris."}, {"role": "system", "content": "Be brief from now on."}, user(said("Why?")))
    check(isinstance(late, int) and late > count(s, *HELLO, {"role": "assistant", "content": "Paris."}, user(said("Why?"))) + 3, "a system message in the middle", late)
    gone = [count(s, *HELLO, *more, {"role": "assistant", "content": "Paris."}, user(said("Why?"))) for more in ([], [{"role": "system", "content": "Hurry.", "clear_at": "next_user_message"}])]
    check(gone[0] == gone[1] and count(s, *HELLO, {"role": "system", "content": "Hurry.", "clear_at": "next_user_message"}) > count(s, *HELLO) + 3, "a system message for one turn", gone)
    check(isinstance(count(s, *HELLO, {"role": "system", "output_config": {"effort": "low"}}), int), "a system message that only asks for effort")
    error = count(s, *HELLO, CALL, user(result(is_error=True)))
    check(error > count(s, *HELLO, CALL, user(result())), "an error of a tool is told", error)


def begun(s):
    whole = post(s, ask(max_tokens=40))[2]["content"][0]["text"]
    for cut in (3, len(whole) // 2, len(whole) - 2):
        r = post(s, ask(max_tokens=40, messages=HELLO + [{"role": "assistant", "content": whole[:cut]}]))[2]
        text = r["content"][0]["text"]
        check(r["stop_reason"] == "end_turn" and not text.startswith(whole[:cut]) and "</" not in text, "an answer that was begun goes on", (whole[:cut], text))
    words = whole.split(" ")
    r = post(s, ask(max_tokens=40, messages=HELLO + [{"role": "assistant", "content": " ".join(words[:3])}]))[2]
    check(" ".join(words[:3]) + r["content"][0]["text"] == whole, "and comes to the same where a token ends", (whole, r["content"]))


def documents(s):
    plain = count(s, user(said("What does it say?")))
    for source in ({"type": "text", "media_type": "text/plain", "data": "It rains today."}, {"type": "content", "content": "It rains today."},
                   {"type": "content", "content": [said("It rains today.")]}, {"type": "base64", "media_type": "text/plain", "data": "SXQgcmFpbnMgdG9kYXku"}):
        n = count(s, user({"type": "document", "title": "Weather", "context": "a note", "source": source, "citations": {"enabled": True}, "cache_control": {"type": "ephemeral"}}, said("What does it say?")))
        check(isinstance(n, int) and n > plain + 8, "a document", (source, n, plain))
    found = {"type": "search_result", "title": "Weather", "source": "https://example.org", "content": [said("It rains today.")], "citations": {"enabled": False}}
    n = count(s, user(found, said("What does it say?")))
    check(isinstance(n, int) and n > plain + 8, "a search result", n)
    n = count(s, *HELLO, CALL, user(result(content=[said("a"), found, {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "b"}}, {"type": "tool_reference", "tool_name": "get_weather"}])))
    check(isinstance(n, int), "blocks in a result", n)


def tools(s):
    bare = count(s, *HELLO)
    for tool in ({"type": "bash_20250124", "name": "bash"}, {"type": "text_editor_20250124", "name": "str_replace_editor"}, {"type": "text_editor_20250728", "name": "str_replace_based_edit_tool", "max_characters": 9},
                 {"type": "memory_20250818", "name": "memory"}, {**TOOL, "type": "custom", "defer_loading": True, "cache_control": {"type": "ephemeral", "ttl": "1h"}, "input_examples": [{"city": "Paris"}]}):
        n = count(s, *HELLO, tools=[tool])
        check(isinstance(n, int) and n > bare + 30, "a tool", (tool, n))
    check(count(s, *HELLO, tools=[TOOL], tool_choice={"type": "none"}) == bare, "tools that may not be used")
    check(post(s, ask(metadata={"user_id": "u"}, service_tier="auto", context_management={"edits": []}, output_config={"effort": "max"}, cache_control={"type": "ephemeral"}, top_k=5, top_p=0.9,
                      inference_geo="eu", speed="standard", diagnostics={"previous_message_id": None}, mcp_servers=[], container=None))[0] == 200, "members without effect here")


def thinking(s):
    """The embedded model thinks little, so that only the form is looked at, where there is something."""
    for display in ("summarized", "omitted"):
        body = ask(max_tokens=60, messages=user_asks("Think step by step: what is 3 + 4?"), thinking={"type": "enabled", "budget_tokens": 1024, "display": display})
        whole = post(s, body)[2]
        events = [(n, json.loads(d)) for n, d in s.stream(PATH, {**body, "stream": True}, VERSION)]
        check(check_order([(n, json.dumps(d)) for n, d in events]) is None, "the order of events with thinking", events)
        for block in whole["content"]:
            if block["type"] == "thinking":
                check(block["signature"] and bool(block["thinking"]) == (display == "summarized"), "thinking is signed", block)
                kinds = [d["delta"]["type"] for n, d in events if n == "content_block_delta" and d["index"] == 0]
                signed = [d["delta"]["signature"] for n, d in events if n == "content_block_delta" and d["delta"]["type"] == "signature_delta"]
                check(kinds[-1] == "signature_delta" and set(kinds[:-1]) == ({"thinking_delta"} if display == "summarized" else set()) and signed == [block["signature"]], "and so it is streamed", kinds)
                back = HELLO + [{"role": "assistant", "content": whole["content"]}, user(said("And then?"))]
                check(post(s, ask(messages=back))[0] == 200, "it may come back", back)


def user_asks(text):
    return [{"role": "user", "content": text}]


def models(s):
    status, headers, r = s.get("/v1/models", VERSION)
    check(status == 200 and [m["id"] for m in r["data"]] == ["ember"] and r["first_id"] == r["last_id"] == "ember" and r["has_more"] is False and r["data"][0]["type"] == "model" and
          r["data"][0]["created_at"].endswith("Z") and headers["request-id"].startswith("req_"), "the list of models", r)
    check(s.get("/v1/models/ember", VERSION)[2] == r["data"][0] and s.get("/v1/models/claude-haiku-4-5", VERSION)[2] == r["data"][0], "one model")
    check(s.get("/v1/models?after_id=ember", VERSION)[2]["data"] == [] and s.get("/v1/models?before_id=ember&limit=1", VERSION)[2]["data"] == [], "pages")
    for query in ("limit=0", "limit=x", "after_id=no", "before_id=ember&after_id=ember"):
        status, _, r = s.get("/v1/models?" + query, VERSION)
        check(status == 400 and r["type"] == "error", "a wrong page", (query, r))
    status, _, r = s.get("/v1/models/nobody", VERSION)
    check(status == 404 and r["error"]["type"] == "not_found_error", "no such model", r)
    check("object" in s.get("/v1/models")[2], "without the header it is the other API's")


def frames(s):
    """Headers and paths."""
    status, headers, r = s.post(PATH, ask())
    check(status == 200 and headers["request-id"].startswith("req_"), "anthropic-version may be missing", (status, headers))
    check(s.post(PATH + "?beta=true", ask(), {**VERSION, "anthropic-beta": "a-2025-01-01,b-2025-02-02"})[0] == 200, "beta headers are taken")
    for method, path, wanted in (("POST", PATH + "/batches", 404), ("GET", PATH + "/batches", 404), ("GET", PATH + "/batches/msgbatch_1/results", 404), ("GET", PATH, 405), ("POST", PATH + "/other", 404)):
        c, r = s.request(method, path, b"{}" if method == "POST" else None)
        body = json.loads(r.read())
        c.close()
        check(r.status == wanted and body["type"] == "error" and body["request_id"] == r.getheader("request-id"), "paths that are not there answer in this form", (path, r.status, body))
    status, _, r = post(s, ask(model="claude-sonnet-4-5"))
    check(status == 200 and r["model"] == "ember", "the names of that API mean the default model, which says who it is", r)
    status, _, r = post(s, ask(messages=user_asks("long " * 40000)))
    check(status == 400 and re.search(r"prompt is too long: (\d+) tokens > (\d+)", r["error"]["message"]), "a prompt that does not fit, in the words that agents look for", r)


def names():
    with Server("--alias", "claude-opus*=", "--alias", "mine=ember", "--normalise", "no") as s:
        check(post(s, ask(model="claude-opus-4"))[0] == 404 and post(s, ask(model="mine"))[2]["model"] == "ember" and post(s, ask(model="claude-x"))[0] == 200, "aliases")
        check(s.post("/v1/chat/completions", {"model": "mine", "messages": HELLO, "max_tokens": 1})[2]["model"] == "ember", "in the other API too")
        counted = [count(s, *HELLO, system=[said(f"x-anthropic-billing-header: {pairs}"), said("Be kind.")]) for pairs in ("a=b;", "a=b; cch=12345;")]
        check(counted[0] < counted[1], "nothing is left out when that is switched off", counted)


def broken():
    """A stream that cannot go on ends with an error event: memory is taken from the server while it reads a long prompt."""
    if os.environ.get("HEARTH_WRAP"):
        print("SKIPPED: what wraps the program would run out of memory itself")
        return
    with Server() as s:
        post(s, ask(messages=user_asks("word " * 2500)))  # so that what is needed once is there
        with open(f"/proc/{s.p.pid}/status", encoding="utf-8") as f:
            size = int(re.search(r"VmData:\s+(\d+) kB", f.read())[1]) << 10
        if size > 1 << 40:
            print("SKIPPED: memory cannot be limited under a sanitizer")
            return
        ends = []
        for more in (2 << 20, 5 << 20, 10 << 20):
            resource.prlimit(s.p.pid, resource.RLIMIT_DATA, (size + more, resource.RLIM_INFINITY))
            c, r = s.request("POST", PATH, ask(messages=user_asks(f"{more} " + "word " * 8000), stream=True), VERSION)
            body = r.read().decode()
            c.close()
            found = re.search(r"event: error\ndata: (.*)\n\n$", body)
            ends.append((r.status, json.loads(found[1] if found else body) if found or r.status != 200 else None))
            check("event: message_start" in body if r.status == 200 else ends[-1][1]["type"] == "error", "what there is has the right form", (r.status, body[-500:]))
        resource.prlimit(s.p.pid, resource.RLIMIT_DATA, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        errors = [e for status, e in ends if status == 200 and e]
        check(errors and all(e["type"] == "error" and e["error"]["type"] == "overloaded_error" and e["request_id"].startswith("req_") for e in errors), "an error in the middle", ends)
        check(post(s, ask())[0] == 200, "and the server goes on")


REFUSED = [
    ({"model": "ember", "messages": HELLO}, 400, "max_tokens"), (ask(max_tokens=0), 400, "max_tokens"), (ask(messages=[]), 400, "messages"), (ask(messages=None), 400, "messages"),
    (ask(messages=[{"role": "tool", "content": "x"}]), 400, "messages[0].role"), (ask(messages=[{"role": "user"}]), 400, "messages[0].content"), (ask(messages=[{"content": "x"}]), 400, "messages[0].role"),
    (ask(messages=[{"role": "user", "content": ""}]), 400, "messages[0].content: empty"), (ask(messages=[user()]), 400, "messages[0].content: empty"),
    (ask(messages=[{"role": "assistant", "content": ""}, {"role": "user", "content": "x"}]), 400, "messages[0].content: empty"), (ask(messages=["x"]), 400, "messages[0]"),
    (ask(messages=[user({"type": "image", "source": {}})]), 400, "messages[0].content[0].type"), (ask(messages=[user({"text": "x"})]), 400, "messages[0].content[0].type"),
    (ask(messages=[user({"type": "text"})]), 400, "messages[0].content[0].text"), (ask(messages=[user({"type": "thinking", "thinking": "x", "signature": ""})]), 400, "messages[0].content[0].type"),
    (ask(messages=[user({"type": "tool_use", "id": "a", "name": "b", "input": {}})]), 400, "messages[0].content[0].type"),
    (ask(messages=HELLO + [{"role": "assistant", "content": [{"type": "server_tool_use", "id": "a", "name": "web_search", "input": {}}]}]), 400, "messages[1].content[0].type"),
    (ask(messages=[user(result("x"))]), 400, "messages[0].content[0].tool_use_id"), (ask(messages=HELLO + [CALL, user(result("toolu_9"))]), 400, "messages[2].content[0].tool_use_id"),
    (ask(messages=HELLO + [CALL, user(result(), result())]), 400, "messages[2].content[1].tool_use_id"), (ask(messages=HELLO + [CALL, user(said("x"))]), 400, "messages[2].content"),
    (ask(messages=HELLO + [CALL]), 400, "messages[1].content"), (ask(messages=HELLO + [{"role": "assistant", "content": CALL["content"] * 2}]), 400, "messages[1].content[1].id"),
    (ask(messages=HELLO + [CALL, user(result()), {"role": "assistant", "content": "18."}, user(result())]), 400, "messages[4].content[0].tool_use_id"),
    (ask(messages=HELLO + [CALL, user(result(content=[{"type": "image", "source": {}}]))]), 400, "messages[2].content[0].content[0].type"),
    (ask(messages=[{"role": "assistant", "content": [{"type": "tool_use", "name": "x", "input": {}}]}]), 400, "messages[0].content[0].id"),
    (ask(messages=HELLO + [{"role": "assistant", "content": [{"type": "thinking", "thinking": "Hm", "signature": "x"}]}]), 400, "messages[1].content"),
    (ask(messages=HELLO + [{"role": "assistant", "content": "It"}], thinking={"type": "enabled", "budget_tokens": 1024}), 400, "messages"),
    (ask(messages=HELLO + [{"role": "assistant", "content": "It"}], output_config={"format": {"type": "json_schema", "schema": {"type": "object"}}}), 400, "messages"),
    (ask(messages=[user({"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="}})]), 400, "messages[0].content[0].source.media_type"),
    (ask(messages=[user({"type": "document", "source": {"type": "base64", "media_type": "text/plain", "data": "a*b"}})]), 400, "messages[0].content[0].source.data"),
    (ask(messages=[user({"type": "document", "source": {"type": "base64", "media_type": "text/plain", "data": "/////w=="}})]), 400, "UTF-8"),
    (ask(messages=[user({"type": "document", "source": {"type": "url", "url": "http://example.org"}})]), 400, "messages[0].content[0].source.type"), (ask(messages=[user({"type": "document"})]), 400, "messages[0].content[0].source"),
    (ask(messages=[user({"type": "document", "source": {"type": "content", "content": [{"type": "image", "source": {}}]}})]), 400, "messages[0].content[0].source.content[0].type"),
    (ask(messages=[user({"type": "search_result", "source": "x", "title": "y"})]), 400, "messages[0].content[0].content"),
    (ask(messages=[user({"type": "text", "text": "x", "cache_control": {"type": "eternal"}})]), 400, "messages[0].content[0].cache_control.type"), (ask(cache_control={"type": "ephemeral", "ttl": "2h"}), 400, "cache_control.ttl"),
    (ask(system=5), 400, "system"), (ask(system=[{"type": "image", "source": {}}]), 400, "system[0].type"), (ask(temperature=1.5), 400, "temperature"), (ask(stop_sequences=[""]), 400, "stop_sequences"),
    (ask(top_k=-1), 400, "top_k"), (ask(stream="yes"), 400, "stream"), (ask(metadata="x"), 400, "metadata"), (ask(metadata={"user_id": 5}), 400, "metadata.user_id"), (ask(output_config={"effort": "more"}), 400, "output_config.effort"),
    (ask(mcp_servers=[{"type": "url"}]), 400, "mcp_servers"), (ask(container="c"), 400, "container"), (ask(thread={"type": "create"}), 400, "thread"), (ask(compaction={"type": "summarize"}), 400, "compaction"),
    (ask(messages=HELLO + [{"role": "system", "content": "x", "clear_at": "soon"}]), 400, "messages[1].clear_at"), (ask(tools=[{"name": "x"}]), 400, "tools[0].input_schema"), (ask(tools=[{"input_schema": {}}]), 400, "tools[0].name"),
    (ask(tools=[{**TOOL, "name": "get weather"}]), 400, "tools[0].name"), (ask(tools=[{**TOOL, "name": "x" * 129}]), 400, "tools[0].name"), (ask(tools=[TOOL, TOOL]), 400, "tools[1].name"),
    (ask(tools=[{**TOOL, "input_schema": {"type": "array"}}]), 400, "tools[0].input_schema.type"), (ask(tools=[{**TOOL, "input_examples": [5]}]), 400, "tools[0].input_examples"),
    (ask(tools=[{"type": "web_search_20250305", "name": "web_search"}]), 400, "web_search_20250305"), (ask(tools=[{"type": "computer_20250124", "name": "computer"}]), 400, "tools[0].type"),
    (ask(tools=[{"type": "code_execution_20250825", "name": "code_execution"}]), 400, "tools[0].type"), (ask(tools=[{"type": "mcp_toolset"}]), 400, "tools[0].type"), (ask(tools=[{"type": "crystal_ball", "name": "x"}]), 400, "crystal_ball"),
    (ask(tool_choice={"type": "tool", "name": "x"}), 400, "tool_choice.name"), (ask(tool_choice={"type": "perhaps"}), 400, "tool_choice.type"), (ask(thinking={"type": "maybe"}), 400, "thinking.type"),
    (ask(thinking={"type": "enabled", "budget_tokens": 1024, "display": "loud"}), 400, "thinking.display"), (ask(model="gpt-9"), 404, "gpt-9"), (b"{", 400, "JSON"),
]
TYPES = {400: "invalid_request_error", 404: "not_found_error"}


def refusals(s):
    for body, status, word in REFUSED:
        got, headers, r = post(s, body)
        good = got == status and r.get("type") == "error" and r["error"]["type"] == TYPES[status] and word in r["error"]["message"] and r["request_id"] == headers["request-id"]
        check(good, f"refused with {status}, naming {word}", (body, got, r))
    check(post(s, ask())[0] == 200, "and it answers still")


with Server() as server:
    whole_and_streamed(server)
    blocks(server)
    counting(server)
    cache(server)
    turns(server)
    begun(server)
    documents(server)
    tools(server)
    thinking(server)
    models(server)
    frames(server)
    refusals(server)
    code, log = server.stop()
    check(code == 0 and "ERROR" not in log, "it ends in order", (code, log))
names()
broken()
finish()
