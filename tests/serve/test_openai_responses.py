#!/usr/bin/env python3
"""test_openai_responses.py: /v1/responses of `hearth serve` on the embedded model: the order of a stream's events, items and the prompts they make, tools, reasoning, conversations
that are continued, also after the end of the server and after kill -9, what is kept and what is not, refusals; and, where Python has it, the official SDK."""
import http.client
import json
import os
import signal
import sqlite3
import sys
import tempfile
from typing import Literal

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from server import Server, wait_until  # noqa: E402
from hearth import SLOW, check, finish  # noqa: E402

URL = "/v1/responses"
FRANCE = "What is the capital of France?"
WEATHER = {"type": "function", "name": "get_weather", "description": "Weather of a city", "strict": False,
           "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}
CUSTOM = {"type": "custom", "name": "get_weather", "description": "Weather of a city"}
LONG = "Remember these words: " + " ".join(f"word{i} and number {i}" for i in range(60)) + ". What is the capital of France?"
FINAL = {"response.completed": "completed", "response.incomplete": "incomplete"}


def ask(**more):
    return {"model": "ember", "input": FRANCE, "max_output_tokens": 60, "temperature": 0, **more}


def made(s, headers=None, **more):
    status, _, r = s.post(URL, ask(**more), headers)
    check(status == 200 and isinstance(r, dict), "a response", (status, r))
    return r


def text_of(r):
    return "".join(p["text"] for i in r["output"] if i["type"] == "message" for p in i["content"])


def without_ids(v):
    if isinstance(v, dict):
        return {k: without_ids(x) for k, x in v.items() if k not in ("id", "call_id", "created_at", "completed_at", "usage")}
    return [without_ids(x) for x in v] if isinstance(v, list) else v


# ---- the order of events

def expected(item, summary):
    """The types of events that tell of an item, deltas as one."""
    kind = item["type"]
    if kind == "message":
        inner = ["response.content_part.added", "response.output_text.delta", "response.output_text.done", "response.content_part.done"]
    elif kind == "reasoning" and summary:
        inner = ["response.reasoning_summary_part.added", "response.reasoning_summary_text.delta", "response.reasoning_summary_text.done", "response.reasoning_summary_part.done"]
    elif kind == "reasoning":
        inner = ["response.content_part.added", "response.reasoning_text.delta", "response.reasoning_text.done", "response.content_part.done"]
    else:
        name = {"function_call": "function_call_arguments", "custom_tool_call": "custom_tool_call_input"}[kind]
        inner = [f"response.{name}.delta", f"response.{name}.done"]
    return ["response.output_item.added", *inner, "response.output_item.done"]


def whole_text(item):
    return {"message": lambda: item["content"][0]["text"], "reasoning": lambda: (item["summary"] or item["content"])[0]["text"], "function_call": lambda: item["arguments"],
            "custom_tool_call": lambda: item["input"]}[item["type"]]()


def streamed(s, what, summary=False, **more):
    """Judges a stream; its final response."""
    events = [(name, json.loads(data)) for name, data in s.stream(URL, ask(stream=True, **more))]
    datas = [d for _, d in events]
    check(all(n == d["type"] for n, d in events), f"{what}: events are named as their types", events)
    check([d["sequence_number"] for d in datas] == list(range(len(datas))), f"{what}: sequence numbers", datas)
    check([d["type"] for d in datas[:2]] == ["response.created", "response.in_progress"] and datas[0]["response"]["status"] == "in_progress", f"{what}: how it begins", datas[:2])
    last = datas[-1]
    check(last["type"] in FINAL and last["response"]["status"] == FINAL[last["type"]], f"{what}: how it ends", last)
    final = last["response"]
    check(len({d["response"]["id"] for d in datas if "response" in d}) == 1, f"{what}: one response")
    types, want = [], []
    for d in datas[2:-1]:
        if not (types and types[-1] == d["type"] and d["type"].endswith(".delta")):
            types.append(d["type"])
    for i, item in enumerate(final["output"]):
        told = [d for d in datas[2:-1] if d["output_index"] == i]
        want += [t for t in expected(item, summary) if not (t.endswith(".delta") and not whole_text(item))]
        check(told[0]["item"]["id"] == item["id"] and told[0]["item"]["status"] == "in_progress", f"{what}: an item is announced", told[0])
        check(told[-1]["item"] == item, f"{what}: an item is as it was told", (told[-1], item))
        check(all(d["item_id"] == item["id"] for d in told[1:-1]), f"{what}: its events name it", told)
        check("".join(d["delta"] for d in told if d["type"].endswith(".delta")) == whole_text(item), f"{what}: deltas make the whole", told)
        done = next(d for d in told if d["type"].endswith(("text.done", "arguments.done", "input.done")))
        check(whole_text(item) in (done.get("text"), done.get("arguments"), done.get("input")), f"{what}: done says the whole", done)
    check(types == want, f"{what}: the order of events", (types, want))
    return final


def streams(s):
    cases = [("text", {}), ("reasoning", {"input": "What is 17 + 25?"}), ("a call", {"input": "What is the weather in Paris? Use the tool get_weather.", "tools": [WEATHER]}),
             ("a custom call", {"input": "What is the weather in Paris? Use the tool get_weather.", "tools": [CUSTOM]}), ("cut", {"max_output_tokens": 3}),
             ("cut reasoning", {"input": "What is 17 + 25?", "max_output_tokens": 8}), ("cut call", {"input": "Call get_weather for Berlin.", "tools": [WEATHER], "max_output_tokens": 18}),
             ("nothing", {"logit_bias": {}, "stop": ["T", "Y", "I"], "seed": 1})]
    kinds = set()
    for what, more in cases:
        final = streamed(s, what, **more)
        again = made(s, **more)
        check(without_ids(final) == without_ids(again), f"{what}: whole and streamed are the same", (final, again))
        check(final["usage"]["output_tokens"] == again["usage"]["output_tokens"], f"{what}: and of the same length")
        kinds |= {i["type"] for i in final["output"]}
        if what.startswith("cut"):
            check(final["status"] == "incomplete" and final["incomplete_details"] == {"reason": "max_output_tokens"} and final["output"][-1]["status"] == "incomplete", f"{what}: it says so", final)
    check(kinds == {"message", "reasoning", "function_call", "custom_tool_call"}, "all kinds of items were seen", kinds)
    final = streamed(s, "a summary", summary=True, input="What is 17 + 25?", reasoning={"summary": "auto"})
    check(final["output"][0]["summary"] and "content" not in final["output"][0] and final["reasoning"]["summary"] == "auto", "reasoning as a summary", final["output"])
    final = streamed(s, "logprobs", top_logprobs=2)
    tokens = final["output"][0]["content"][0]["logprobs"]
    check("".join(t["token"] for t in tokens) == text_of(final) and all(len(t["top_logprobs"]) == 2 for t in tokens), "logprobs are of the text", tokens)
    final = streamed(s, "logprobs behind reasoning", input="What is 17 + 25?", include=["message.output_text.logprobs"])
    tokens = final["output"][-1]["content"][0]["logprobs"]
    check("".join(t["token"] for t in tokens).strip() == text_of(final) and tokens[0]["top_logprobs"] == [], "logprobs behind reasoning", tokens)


def large(s):
    """Events that are large, one right after the other."""
    tools = [dict(WEATHER, name=f"tool{i}", description="x" * 40000) for i in range(40)]
    final = streamed(s, "large events", tools=tools, tool_choice="none")
    check(final["tools"] == tools and text_of(final), "large tools are told again", final["status"])


def fields(s):
    r = made(s, metadata={"a": "b"}, user="me", instructions="Be short.", reasoning={"effort": "none"}, prompt_cache_key="k", truncation="auto", tools=[WEATHER], tool_choice="auto",
             parallel_tool_calls=False, top_p=0.9, text={"format": {"type": "text"}, "verbosity": "low"}, service_tier="auto", max_tool_calls=3, safety_identifier="x")
    want = {"object": "response", "status": "completed", "model": "ember", "metadata": {"a": "b"}, "user": "me", "instructions": "Be short.", "prompt_cache_key": "k", "truncation": "auto",
            "tools": [WEATHER], "tool_choice": "auto", "parallel_tool_calls": False, "top_p": 0.9, "temperature": 0, "error": None, "incomplete_details": None, "store": True,
            "max_output_tokens": 60, "previous_response_id": None, "background": False, "max_tool_calls": 3, "safety_identifier": "x"}
    check({k: r.get(k, "missing") for k in want} == want, "what was asked is told again", r)
    check(r["text"] == {"format": {"type": "text"}, "verbosity": "low"} and r["reasoning"] == {"effort": "none", "summary": None}, "so are objects", r)
    u = r["usage"]
    check(u["input_tokens"] > 5 and u["output_tokens"] > 0 and u["total_tokens"] == u["input_tokens"] + u["output_tokens"] and u["output_tokens_details"]["reasoning_tokens"] == 0, "usage", u)
    r = made(s, input="What is 17 + 25?")
    check(0 < r["usage"]["output_tokens_details"]["reasoning_tokens"] < r["usage"]["output_tokens"], "tokens of reasoning", r["usage"])
    counted = s.post(URL + "/input_tokens", ask(input="What is 17 + 25?"))
    check(counted[2] == {"object": "response.input_tokens", "input_tokens": r["usage"]["input_tokens"]}, "tokens are counted", counted)


# ---- prompts

def tokens_of(s, **more):
    status, _, r = s.post(URL + "/input_tokens", ask(**more))
    check(status == 200, "counted", r)
    return r.get("input_tokens")


def chat_tokens(s, messages, **more):
    status, _, r = s.post("/v1/chat/completions", {"model": "ember", "messages": messages, "max_tokens": 1, **more})
    check(status == 200, "a chat", r)
    return r["usage"]["prompt_tokens"]


def prompts(s):
    """Items make the prompt that the same messages make in chat."""
    user = {"role": "user", "content": FRANCE}
    check(tokens_of(s) == chat_tokens(s, [user]), "a string")
    check(tokens_of(s, input=[user]) == tokens_of(s, input=[{"type": "message", "role": "user", "content": [{"type": "input_text", "text": FRANCE}]}]) == tokens_of(s), "messages in both forms")
    both = [{"role": "system", "content": "Be short.\n\nBe kind.\n\nBe quick."}, user]
    check(tokens_of(s, instructions="Be short.", input=[{"role": "developer", "content": "Be kind."}, {"role": "system", "content": "Be quick."}, user]) == chat_tokens(s, both), "leading system messages are one")
    call = {"role": "assistant", "content": "Let me see.", "reasoning_content": "I use the tool.",
            "tool_calls": [{"id": f"c{i}", "type": "function", "function": {"name": "get_weather", "arguments": json.dumps({"city": c})}} for i, c in enumerate(("Paris", "Rome"))]}
    chat = [user, call, {"role": "tool", "tool_call_id": "c0", "content": "rain"}, {"role": "tool", "tool_call_id": "c1", "content": "sun\nwind"}]
    items = [user, {"type": "reasoning", "id": "rs_1", "summary": [], "content": [{"type": "reasoning_text", "text": "I use the tool."}]},
             {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Let me see.", "annotations": []}]},
             *({"type": "function_call", "call_id": c["id"], "name": "get_weather", "arguments": c["function"]["arguments"]} for c in call["tool_calls"]),
             {"type": "function_call_output", "call_id": "c0", "output": "rain"},
             {"type": "function_call_output", "call_id": "c1", "output": [{"type": "input_text", "text": "sun"}, {"type": "input_text", "text": "wind"}]}]
    want = chat_tokens(s, chat, tools=[{"type": "function", "function": {k: WEATHER[k] for k in ("name", "description", "parameters")}}])
    check(tokens_of(s, input=items, tools=[WEATHER]) == want, "the items of an answer are one message", (tokens_of(s, input=items, tools=[WEATHER]), want))
    others = [dict(items[1], content=[], encrypted_content="hearth:I use the tool."), dict(items[1], content=[], summary=[{"type": "summary_text", "text": "I use the tool."}])]
    for other in others:
        check(tokens_of(s, input=[items[0], other, *items[2:]], tools=[WEATHER]) == want, "reasoning in all its forms", other)
    check(tokens_of(s, input=[items[0], dict(items[1], content=[], encrypted_content="gAAAA"), *items[2:]], tools=[WEATHER]) < want, "what another provider has encrypted is passed over")


def forced(s):
    """Forms of the answer, calls that must come, tools that may not be called."""
    other = dict(WEATHER, name="other")
    for choice, names in (("required", {"get_weather", "other"}), ({"type": "function", "name": "other"}, {"other"}), ("none", set()),
                          ({"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "other"}]}, {"other"})):
        r = made(s, input="Call get_weather for Berlin.", tools=[WEATHER, other], tool_choice=choice, reasoning={"effort": "none"})
        called = {i["name"] for i in r["output"] if i["type"] == "function_call"}
        check(called <= names and bool(called) == bool(names) and r["tool_choice"] == choice, "tool_choice", (choice, r["output"]))
    r = made(s, tools=[WEATHER, CUSTOM | {"name": "run"}], tool_choice={"type": "custom", "name": "run"}, reasoning={"effort": "none"}, max_output_tokens=200)
    check(r["output"][-1]["type"] == "custom_tool_call" and r["output"][-1]["name"] == "run" and not r["output"][-1]["input"].startswith("{"), "a custom tool is called with a text", r["output"])
    schema = {"type": "object", "properties": {"city": {"type": "string", "maxLength": 12}, "n": {"type": "integer", "minimum": 0, "maximum": 9}}, "required": ["city", "n"], "additionalProperties": False}
    form = {"type": "json_schema", "name": "place", "strict": True, "schema": schema}
    r = streamed(s, "a form", text={"format": form}, reasoning={"effort": "none"}, max_output_tokens=200)
    v = json.loads(text_of(r))
    check(set(v) == {"city", "n"} and len(v["city"]) <= 12 and 0 <= v["n"] <= 9 and r["text"]["format"] == form, "an answer of a given form", r)
    r = made(s, text={"format": {"type": "json_object"}}, reasoning={"effort": "none"}, max_output_tokens=60)
    check(text_of(r).startswith("{") and (r["status"] == "incomplete" or isinstance(json.loads(text_of(r)), dict)), "any JSON object", r["output"])
    bad = dict(WEATHER, strict=True, parameters={"type": "object", "properties": {"x": {"$ref": "#/nowhere"}}})
    status, _, r = s.post(URL, ask(tools=[bad]))
    check(status == 400 and r["error"]["param"] == "tools[0].parameters", "a schema that cannot be held to", r)


def round_trips(s):
    """A call and its result, by the response's id and by the items themselves: the same prompt, the same answer."""
    for tool, kind in ((WEATHER, "function_call"), (CUSTOM, "custom_tool_call")):
        question = {"role": "user", "content": "What is the weather in Paris? Use the tool get_weather."}
        first = made(s, input=[question], tools=[tool], include=["reasoning.encrypted_content"])
        call = first["output"][-1]
        check(call["type"] == kind and call["name"] == "get_weather" and call.get("arguments", '{"city": "Paris"}') == '{"city": "Paris"}', "a call", first["output"])
        check(not call.get("input", "").startswith("{"), "its input is a text, also when it was cut", call)
        result = {"type": kind + "_output", "call_id": call["call_id"], "output": "It rains in Paris."}
        second = made(s, input=[result], tools=[tool], previous_response_id=first["id"])
        by_hand = made(s, input=[question, *first["output"], result], tools=[tool], store=False)
        carried = [{k: v for k, v in i.items() if k not in ("content", "id", "status")} if i["type"] == "reasoning" else i for i in first["output"]]
        bare = made(s, input=[question, *carried, result], tools=[tool], store=False)
        check(second["previous_response_id"] == first["id"] and text_of(second), "the result is heard", second)
        for other in (by_hand, bare):
            check(other["usage"]["input_tokens"] == second["usage"]["input_tokens"] and without_ids(other["output"]) == without_ids(second["output"]), "items sent again make the same prompt", (other, second))
        wrong = s.post(URL, ask(input=[dict(result, call_id="nobody")], previous_response_id=first["id"]))
        check(wrong[0] == 400 and wrong[2]["error"]["param"] == "input[0].call_id", "a result of no call", wrong)


def hosted(s):
    """What runs on a provider's machines is left out where the choice is the model's; a grammar is told to the model."""
    plain, with_search = made(s, input=FRANCE), made(s, input=FRANCE, tools=[{"type": "web_search"}, {"type": "file_search", "vector_store_ids": ["x"]}])
    check(with_search["status"] == "completed" and text_of(with_search) == text_of(plain) and with_search["usage"]["input_tokens"] == plain["usage"]["input_tokens"], "hosted tools change nothing", with_search)
    patch = CUSTOM | {"name": "apply_patch", "format": {"type": "grammar", "syntax": "lark", "definition": "start: begin_patch hunk+ end_patch"}}
    bare = tokens_of(s, input=FRANCE, tools=[CUSTOM | {"name": "apply_patch"}])
    check(tokens_of(s, input=FRANCE, tools=[patch]) > bare + 5, "the model is told of the grammar", bare)
    r = made(s, input=FRANCE, tools=[{"type": "web_search"}, patch], tool_choice={"type": "custom", "name": "apply_patch"}, parallel_tool_calls=False, reasoning={"effort": "none"}, max_output_tokens=200)
    check([i["type"] for i in r["output"]] == ["custom_tool_call"], "its calls are calls", r["output"])


def namespaces(s):
    """Tools of a namespace are called by their own names and the namespace's; those of different ones may have the same name."""
    inner = {k: v for k, v in WEATHER.items()}
    spaces = [{"type": "namespace", "name": n, "description": f"Of {n}.", "tools": [inner, CUSTOM | {"name": "note"}]} for n in ("north", "south")]
    plain = tokens_of(s, input=FRANCE, tools=[inner])
    check(tokens_of(s, input=FRANCE, tools=spaces) > 3 * plain - 2 * tokens_of(s, input=FRANCE), "the model is told of all of them", plain)
    for space, name, kind in (("south", WEATHER["name"], "function_call"), ("north", "note", "custom_tool_call")):
        forced = {"tools": spaces, "tool_choice": {"type": "function", "name": name, "namespace": space}, "parallel_tool_calls": False, "reasoning": {"effort": "none"}, "max_output_tokens": 200}
        events = [json.loads(data) for _, data in s.stream(URL, ask(stream=True, input=FRANCE, **forced))]
        call = events[-1]["response"]["output"][0]
        check((call["type"], call["name"], call["namespace"]) == (kind, name, space), "a call of a tool in a namespace", call)
        told = [e for e in events if e["type"] in ("response.output_item.added", "response.output_item.done")]
        check(len(told) == 2 and all((e["item"]["name"], e["item"]["namespace"]) == (name, space) for e in told), "and so it is told of", told)
        check(all(e["name"] == name for e in events if e["type"] == "response.function_call_arguments.done"), "and of its arguments", events)
        output = {"type": call["type"] + "_output", "call_id": call["call_id"], "output": "Rain."}
        question, whole = {"role": "user", "content": FRANCE}, {k: v for k, v in call.items() if k != "namespace"} | {"name": f"{space}__{name}"}
        check(tokens_of(s, input=[question, call, output], tools=spaces) == tokens_of(s, input=[question, whole, output], tools=spaces), "it comes back as the model has written it")
    r = made(s, input=FRANCE, tools=spaces + [{"type": "tool_search"}])
    check(r["status"] == "completed" and r["tools"][:2] == spaces, "what is found by search is there at once", r["tools"])
    for bad, field in (({"type": "namespace", "tools": []}, "tools[0].name"), ({"type": "namespace", "name": "x", "tools": [inner, inner]}, "tools[0].tools[1].name"), ({"type": "namespace", "name": "x", "tools": [{"type": "namespace"}]}, "tools[0].tools[0].type"),
                       ({"type": "namespace", "name": "x", "tools": [inner | {"strict": True, "parameters": {"type": "object", "properties": {"a": {"not": {"type": "string"}, "unevaluatedItems": 1}}}}]}, "tools[0].tools[0].parameters")):
        status, _, answer = s.post("/v1/responses", {"input": "x", "tools": [bad]})
        check(status == 400 and answer["error"]["param"].startswith(field), f"a bad tool in a namespace: {field}", answer)


def references(s):
    first = made(s, input="What is 17 + 25?")
    refs = [{"type": "item_reference", "id": i["id"]} for i in first["output"]]
    question = {"role": "user", "content": "What is 17 + 25?"}
    more = {"role": "user", "content": "Thank you."}
    a = made(s, input=[question, *refs, more])
    b = made(s, input=[question, *first["output"], more])
    check(a["usage"]["input_tokens"] == b["usage"]["input_tokens"], "references stand for items", (a["usage"], b["usage"]))
    items = s.get(f"{URL}/{a['id']}/input_items?order=asc")[2]["data"]
    check([i["type"] for i in items] == ["message", "reasoning", "message", "message"] and items[1]["id"] == first["output"][0]["id"], "they are listed as what they stand for", items)
    old = s.get(f"{URL}/{first['id']}/input_items")[2]["data"][0]["id"]
    check(tokens_of(s, input=[{"type": "item_reference", "id": old}]) == tokens_of(s, input="What is 17 + 25?"), "input can be referred to as well")
    for wrong in ("", "x", "msg_0000000000000000", "msg_00000000000000000000", first["output"][0]["id"] + "0"):
        status, _, r = s.post(URL, ask(input=[question, {"type": "item_reference", "id": wrong}]))
        check(status == 400 and r["error"]["param"] == "input[1].id", "a reference to nothing", (wrong, r))
    huge = [{"type": "item_reference", "id": made(s, input=text, user="x" * (34 << 20))["output"][0]["id"]} for text in ("Hello", "Goodbye")]
    check(s.post(URL, ask(input=[question, *[huge[0]] * 9, more]))[0] == 200, "items of one response are found without its being read again")
    status, _, r = s.post(URL, ask(input=[question, *huge * 5, more]))
    check(status == 400 and r["error"]["param"] == "input[8].id" and "256 MiB" in r["error"]["message"], "there is an end to what is read for references", r)


# ---- conversations

def conversation(home):
    """Three turns; the server ends in order after the first and is killed after the second."""
    with Server(home=home) as s:
        first = made(s, input=LONG, instructions="Answer in one sentence.")
        check(s.stop()[0] == 0, "it ends in order")
    with Server(home=home) as s:
        check(s.get(f"{URL}/{first['id']}")[2] == first, "a response is there after the end of the server")
        warm = made(s, input=LONG, instructions="Answer in one sentence.", store=False)
        second = made(s, input="And of Italy?", previous_response_id=first["id"], instructions="Answer in one sentence.")
        u, w = second["usage"], warm["usage"]
        check(u["input_tokens_details"]["cached_tokens"] >= (w["input_tokens"] + w["output_tokens"]) // 64 * 64 - 64, "what was computed before is not computed again", (u, w))
        s.p.send_signal(signal.SIGKILL)
        s.p.communicate()
    with Server(home=home) as s:
        check(s.get(f"{URL}/{second['id']}")[2] == second, "a response is there after kill -9")
        third = made(s, input="Thank you.", previous_response_id=second["id"])
        again = made(s, input="Thank you.", previous_response_id=second["id"])
        check(third["output"] and without_ids(again["output"]) == without_ids(third["output"]), "the third turn", third)
        n = third["usage"]["input_tokens"]
        check(again["usage"]["input_tokens_details"]["cached_tokens"] >= (n - 1) // 64 * 64 - 64 > 0, "its prompt is known the second time", again["usage"])
        items = [{"role": "user", "content": LONG}, *first["output"], {"role": "user", "content": "And of Italy?"}, *second["output"], {"role": "user", "content": "Thank you."}]
        check(tokens_of(s, input=items) == n, "the conversation is whole, and instructions are not carried over", n)
        other = made(s, input="And of Spain?", previous_response_id=first["id"])
        check(other["usage"]["input_tokens"] < n, "an earlier turn can be continued too", other["usage"])
        check(s.request("DELETE", f"{URL}/{first['id']}")[1].status == 200, "deleted")
        status, _, r = s.post(URL, ask(previous_response_id=second["id"]))
        check(status == 400 and r["error"]["param"] == "previous_response_id", "a conversation of which a part is gone", r)
        check(s.get(f"{URL}/{second['id']}")[0] == 200, "the other part is there")


def kept(home):
    with Server(home=home) as s:
        for path in (f"{URL}/resp_0000000000000000", f"{URL}/nothing", f"{URL}/nothing/input_items", f"{URL}/a/b/c"):
            status, _, r = s.get(path)
            check(status == 404 and r["error"]["type"] and r["error"]["code"] is None, "what is not there", (path, r))
        for method, path in (("DELETE", f"{URL}/resp_1"), ("POST", f"{URL}/resp_1/cancel"), ("POST", f"{URL}/resp_1/other"), ("DELETE", f"{URL}/resp_1/cancel")):
            check(s.request(method, path, b"{}")[1].status == 404, "what is not there", (method, path))
        secret = made(s, input="A secret called xyzzy.", store=False)
        check(secret["store"] is False and s.get(f"{URL}/{secret['id']}")[0] == 404, "not stored")
        status, _, r = s.post(URL, ask(previous_response_id=secret["id"]))
        check(status == 400 and r["error"]["param"] == "previous_response_id" and r["error"]["code"] == "previous_response_not_found", "and not to be continued", r)
        shown = made(s, input="A word called plugh.")
        with contextless(s, "DELETE", f"{URL}/{shown['id']}") as r:
            check(r == {"id": shown["id"], "object": "response", "deleted": True}, "deleted", r)
        check(s.get(f"{URL}/{shown['id']}")[0] == 404 and s.request("DELETE", f"{URL}/{shown['id']}")[1].status == 404, "once")
        open_ = made(s, input=[{"role": "user", "content": f"word {i}"} for i in range(5)])
        ids, path = [], f"{URL}/{open_['id']}/input_items"
        page = s.get(path + "?limit=2&order=asc")[2]
        while True:
            ids += [i["id"] for i in page["data"]]
            if not page["has_more"]:
                break
            page = s.get(f"{path}?limit=2&order=asc&after={page['last_id']}")[2]
        down = s.get(path)[2]
        check(len(ids) == len(set(ids)) == 5 and [i["id"] for i in down["data"]] == ids[::-1] and down["first_id"] == ids[-1] and not down["has_more"], "pages of the input", (ids, down))
        check(down["data"][0] == {"id": ids[4], "type": "message", "role": "user", "status": "completed", "content": [{"type": "input_text", "text": "word 4"}]}, "an item", down["data"][0])
        for query, field in (("limit=0", "limit"), ("limit=101", "limit"), ("limit=x", "limit"), ("order=up", "order"), ("after=nobody", "after")):
            status, _, r = s.get(f"{path}?{query}")
            check(status == 400 and r["error"]["param"] == field, "a wrong query", (query, r))
        check(s.get(f"{URL}/{open_['id']}?stream=true")[2]["error"]["param"] == "stream", "no stream of what is over")
        s.stop()
    file = os.path.join(home, "state/hearth/responses.db")
    check(os.stat(file).st_mode & 0o777 == 0o600, "the file is its owner's alone")
    with open(file, "rb") as f:
        data = f.read()
    check(b"xyzzy" not in data and b"plugh" not in data and b"word 4" in data, "nothing is left of what was not stored, and of what was deleted")
    db = sqlite3.connect(file)
    check(db.execute("PRAGMA integrity_check").fetchall() == [("ok",)], "the file is sound")
    db.close()


class contextless:
    """The parsed body of a request."""
    def __init__(self, s, method, path):
        c, r = s.request(method, path)
        self.body = json.loads(r.read())
        c.close()

    def __enter__(self):
        return self.body

    def __exit__(self, *_):
        pass


def clients():
    """What one client has, no other one sees."""
    with tempfile.NamedTemporaryFile("w", suffix=".keys") as f:
        f.write("ann key-of-ann\nbob key-of-bob\n")
        f.flush()
        os.chmod(f.name, 0o600)
        with Server("--api-key-file", f.name) as s:
            ann, bob = ({"Authorization": f"Bearer key-of-{n}"} for n in ("ann", "bob"))
            mine = made(s, ann)
            check(s.get(f"{URL}/{mine['id']}", ann)[0] == 200 and s.get(f"{URL}/{mine['id']}", bob)[0] == 404, "a client sees its own")
            check(s.get(f"{URL}/{mine['id']}/input_items", bob)[0] == 404, "and no other's input")
            status, _, r = s.post(URL, ask(previous_response_id=mine["id"]), bob)
            check(status == 400 and r["error"]["param"] == "previous_response_id", "continues its own only", r)
            status, _, r = s.post(URL, ask(input=[{"type": "item_reference", "id": mine["output"][0]["id"]}]), bob)
            check(status == 400, "refers to its own only", r)
            check(s.request("DELETE", f"{URL}/{mine['id']}", headers=bob)[1].status == 404 and s.get(f"{URL}/{mine['id']}", ann)[0] == 200, "deletes its own only")
            long = made(s, ann, background=True, max_output_tokens=20000, ignore_eos=True)
            check(s.post(f"{URL}/{long['id']}/cancel", b"", bob)[0] == 404, "cancels its own only")
            check(s.post(f"{URL}/{long['id']}/cancel", b"", ann)[2]["status"] == "cancelled", "which it may")


# ---- in the background

def state(s, r):
    return s.get(f"{URL}/{r['id']}")[2]["status"]


def background(home):
    endless = {"background": True, "max_output_tokens": 20000, "ignore_eos": True}
    with Server("--parallel", 1, home=home) as s:
        r = made(s, background=True, input="What is 17 + 25?")
        check(r["status"] == "queued" and r["background"] is True and r["output"] == [] and r["usage"] is None, "it is told at once", r)
        check(wait_until(lambda: state(s, r) == "completed", 60), "it is computed", state(s, r))
        check(without_ids(s.get(f"{URL}/{r['id']}")[2]["output"]) == without_ids(made(s, input="What is 17 + 25?")["output"]), "as any other")
        check(made(s, input="Thanks.", previous_response_id=r["id"])["status"] == "completed", "it can be continued")
        check(s.post(f"{URL}/{r['id']}/cancel", b"")[2]["status"] == "completed", "what is over stays as it is")
        first, second, third = (made(s, **endless) for _ in range(3))
        status, _, wrong = s.post(URL, ask(previous_response_id=second["id"]))
        check(status == 400 and wrong["error"]["param"] == "previous_response_id", "what is not over cannot be continued", wrong)
        check(s.post(f"{URL}/{second['id']}/cancel", b"")[2]["status"] == "cancelled", "one that waits is cancelled")
        check(s.post(f"{URL}/{first['id']}/cancel", b"")[2]["status"] == "cancelled", "one that runs is cancelled")
        check(state(s, first) == state(s, second) == "cancelled", "and stays so")
        check(s.request("DELETE", f"{URL}/{third['id']}")[1].status == 200 and s.get(f"{URL}/{third['id']}")[0] == 404, "one that runs is deleted")
        check(made(s)["status"] == "completed", "their places are free")
        plain = made(s)
        check(s.post(f"{URL}/{plain['id']}/cancel", b"")[0] == 400, "only those can be cancelled")
        lost = made(s, **endless)
        s.p.send_signal(signal.SIGKILL)
        s.p.communicate()
    with Server(home=home) as s:
        r = s.get(f"{URL}/{lost['id']}")[2]
        check(r["status"] == "failed" and r["error"]["code"] == "server_error", "one that kill -9 cut short has failed", r)
        made(s, **endless)
        code, said = s.stop()
        check(code == 0 and "ERROR" not in said, "one that runs does not hold the end up", (code, said))


def leaving(s):
    """Clients that leave in the middle free their places; what is computed in the background goes on."""
    ids = []
    for i in range(24):
        c = http.client.HTTPConnection(s.host, s.port, timeout=60 * SLOW)
        more = {"background": True} if i % 4 == 3 else {"stream": i % 4 > 0, "ignore_eos": True, "max_output_tokens": 20000}
        if i % 4 == 1:
            more |= {"input": "Call get_weather for Berlin.", "tools": [WEATHER, CUSTOM | {"name": "run"}]}
        c.request("POST", URL, json.dumps(ask(**more)), {"Content-Type": "application/json"})
        if i % 4 == 2:
            c.getresponse().read(300)
        elif i % 4 == 3:
            ids.append(json.loads(c.getresponse().read())["id"])
        c.close()
    check(made(s)["status"] == "completed", "who stays is answered")
    check(wait_until(lambda: all(s.get(f"{URL}/{i}")[2]["status"] == "completed" for i in ids), 60), "who has left for a while finds it", ids)


# ---- refusals

def message(**more):
    return [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "x", **more}]}]


REFUSED = [  # more of a request, the field that is named
    ({"input": None}, "input"), ({"input": []}, "input"), ({"input": 5}, "input"), ({"input": [5]}, "input[0]"), ({"input": [{}]}, "input[0].role"), ({"input": [{"role": "system", "content": ""}]}, "input"),
    ({"input": [{"role": "wizard", "content": "x"}]}, "input[0].role"), ({"input": [{"role": "user"}]}, "input[0].content"), ({"input": [{"role": "user", "content": 5}]}, "input[0].content"),
    ({"input": message(type="input_image")}, "input[0].content[0].type"), ({"input": message(type="input_file")}, "input[0].content[0].type"),
    ({"input": message(type="input_audio")}, "input[0].content[0].type"), ({"input": message(text=5)}, "input[0].content[0].text"), ({"input": message(text=None)}, "input[0].content[0].text"),
    ({"input": [{"type": "web_search_call", "id": "ws_1"}]}, "input[0].type"), ({"input": [{"type": 5}]}, "input[0].type"), ({"input": [{"type": "function_call", "name": "x"}]}, "input[0].call_id"),
    ({"input": [{"type": "function_call", "call_id": "x"}]}, "input[0].name"), ({"input": [{"type": "function_call_output", "output": "x"}]}, "input[0].call_id"),
    ({"input": [{"type": "function_call_output", "call_id": "x", "output": "x"}]}, "input[0].call_id"), ({"instructions": 5}, "instructions"),
    ({"previous_response_id": 5}, "previous_response_id"), ({"previous_response_id": "resp_0"}, "previous_response_id"), ({"previous_response_id": "x" * 9999}, "previous_response_id"),
    ({"tools": [{"type": "web_search"}], "tool_choice": "required"}, "tool_choice"), ({"tools": [{"type": "mcp", "server_label": "x"}]}, "tools[0].type"), ({"tools": [WEATHER, {"name": "x"}]}, "tools[1].type"),
    ({"tools": [{"type": "function"}]}, "tools[0].name"), ({"tools": [dict(WEATHER, parameters=5)]}, "tools[0].parameters"),
    ({"tools": [dict(CUSTOM, format={"type": "grammar", "syntax": "lark"})]}, "tools[0].format.definition"), ({"tool_choice": "maybe"}, "tool_choice"),
    ({"tool_choice": {"type": "file_search"}}, "tool_choice.type"), ({"tool_choice": {"type": "function", "name": "x"}}, "tool_choice.name"), ({"tool_choice": {"name": "x"}}, "tool_choice.name"), ({"tool_choice": "required"}, "tool_choice"),
    ({"tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [{"name": "x"}]}, "tools": [WEATHER]}, "tool_choice.tools[0].name"), ({"parallel_tool_calls": 1}, "parallel_tool_calls"),
    ({"max_output_tokens": 0}, "max_output_tokens"), ({"temperature": 3}, "temperature"), ({"top_p": "x"}, "top_p"), ({"truncation": "x"}, "truncation"), ({"include": ["x"]}, "include"),
    ({"include": 5}, "include"), ({"metadata": {"a": 1}}, "metadata"), ({"metadata": {str(i): "" for i in range(17)}}, "metadata"), ({"metadata": {"k" * 65: ""}}, "metadata"),
    ({"store": "no"}, "store"), ({"stream": 1}, "stream"), ({"top_logprobs": 21}, "top_logprobs"), ({"n": 2}, "n"), ({"reasoning": {"effort": "huge"}}, "reasoning.effort"),
    ({"reasoning": {"summary": "x"}}, "reasoning.summary"), ({"text": {"verbosity": "x"}}, "text.verbosity"), ({"text": {"format": {"type": "x"}}}, "text.format.type"),
    ({"text": {"format": {"type": "json_schema", "name": "x"}}}, "text.format.schema"), ({"conversation": "conv_1"}, "conversation"), ({"prompt": {"id": "x"}}, "prompt"), ({"user": 5}, "user"),
    ({"background": True, "store": False}, "background"), ({"background": True, "stream": True}, "background"), ({"input": [{"role": "user", "content": "x"}] * 8193}, "input[8192]"),
]


def refusals(s):
    for more, field in REFUSED:
        for path in (URL, URL + "/input_tokens"):
            if path != URL and field in ("background",):
                continue
            status, _, r = s.post(path, ask(**more))
            error = r.get("error", {}) if isinstance(r, dict) else {}
            check(status == 400 and error.get("param") == field and error.get("message") and error.get("type") == "invalid_request_error", f"refused, naming {field}", (json.dumps(more)[:200], status, r))
    status, _, r = s.post(URL, ask(model="gpt-9"))
    check(status == 404 and r["error"]["code"] == "model_not_found", "no such model", r)
    for body in (b"", b"{", b"[]", b"\xff", b'{"input": "x", "input": "y"}', b"[" * 10000):
        check(s.post(URL, body)[0] == 400, "no request", body[:40])
    status, _, r = s.post(URL, ask(input="long " * 40000))
    check(status == 400 and "tokens" in r["error"]["message"], "an input that does not fit says both numbers", r)
    status, _, r = s.post(URL, ask(input="long " * 40000, stream=True))
    check(status == 400, "also when it was to be streamed", r)
    check(made(s)["status"] == "completed", "and it answers still")


def places():
    with Server("--responses", "/proc/none/responses.db") as s:
        first = made(s)
        check(made(s, input="And?", previous_response_id=first["id"])["status"] == "completed", "without a file it is kept in memory")
        code, said = s.stop()
        check(code == 0 and said.count("in memory") == 1, "one line says so", said)
    with tempfile.TemporaryDirectory() as home:
        path = os.path.join(home, "own.db")
        with Server("--responses", path, home=home) as s:
            check(made(s)["status"] == "completed" and os.path.exists(path), "a file of one's own")
        with Server("--responses", "none", home=home) as s:
            first = made(s)
            check(s.get(f"{URL}/{first['id']}")[0] == 200, "none: in memory")
            check("memory" not in s.stop()[1] and not os.path.exists(os.path.join(home, "state/hearth/responses.db")), "with no word, and no file")


# ---- the official SDK

def sdk(s):
    try:
        import openai
        from openai.types import responses as types
        from pydantic import BaseModel, TypeAdapter
    except ImportError:
        print("SKIPPED: the official SDK: make oracles")
        return
    client = openai.OpenAI(base_url=s.base + "/v1", api_key="none", max_retries=0)
    more = {"model": "ember", "max_output_tokens": 60, "temperature": 0}
    r = client.responses.create(input=FRANCE, **more)
    check(r.status == "completed" and r.output_text and r.usage.output_tokens > 0, "SDK: a response", r)
    raw = s.get(f"{URL}/{r.id}")[2]
    types.Response.model_validate(raw)
    check(client.responses.retrieve(r.id).output_text == r.output_text, "SDK: it is there")
    events = TypeAdapter(types.ResponseStreamEvent)
    cases = [{"input": "What is 17 + 25?"}, {"input": "What is 17 + 25?", "reasoning": {"summary": "auto"}}, {"input": "Call get_weather for Berlin.", "tools": [WEATHER]},
             {"input": "Call get_weather for Berlin.", "tools": [CUSTOM]}, {"input": FRANCE, "top_logprobs": 2}, {"input": FRANCE, "max_output_tokens": 3}]
    for case in cases:
        for _, data in s.stream(URL, {**more, **case, "stream": True}):
            event = events.validate_json(data)
            check(type(event).__name__ != "BaseModel" and event.type == json.loads(data)["type"], "SDK: an event", data)
    with client.responses.stream(input="What is 17 + 25?", **more) as stream:
        seen = [e.type for e in stream]
        final = stream.get_final_response()
    check(final.output_text and "response.reasoning_text.delta" in seen and seen[-1] == "response.completed", "SDK: a stream", seen)
    with client.responses.stream(input="Call get_weather for Berlin.", tools=[WEATHER], **more) as stream:
        snapshots = [e.snapshot for e in stream if e.type == "response.function_call_arguments.delta"]
        call = stream.get_final_response().output[-1]
    check(call.type == "function_call" and json.loads(call.arguments) == {"city": "Berlin"} and snapshots[-1] == call.arguments, "SDK: a call", call)
    first = client.responses.create(input="What is the weather in Paris? Use the tool get_weather.", tools=[WEATHER], **more)
    result = {"type": "function_call_output", "call_id": first.output[-1].call_id, "output": "It rains."}
    second = client.responses.create(input=[result], previous_response_id=first.id, tools=[WEATHER], **more)
    check(second.output_text and second.previous_response_id == first.id, "SDK: the result of a call", second)
    items = list(client.responses.input_items.list(second.id))
    check(len(items) == 1 and items[0].type == "function_call_output", "SDK: the input", items)
    mixed = client.responses.create(input=[{"role": "user", "content": "What is the weather in Paris? Use the tool get_weather."}, *first.output, result], tools=[WEATHER], **more)
    types.ResponseItemList.model_validate(s.get(f"{URL}/{mixed.id}/input_items")[2])
    check(len(list(client.responses.input_items.list(mixed.id, limit=1))) == len(first.output) + 2, "SDK: pages of it")
    class Answer(BaseModel):
        city: Literal["Paris", "Rome"]
        sure: bool
    parsed = client.responses.parse(input=FRANCE, text_format=Answer, **more).output_parsed
    check(isinstance(parsed, Answer), "SDK: an answer of a given form", parsed)
    waiting = client.responses.create(input=FRANCE, background=True, **more)
    check(wait_until(lambda: client.responses.retrieve(waiting.id).status == "completed", 60), "SDK: in the background")
    waiting = client.responses.create(input=FRANCE, background=True, model="ember", max_output_tokens=20000, extra_body={"ignore_eos": True})
    check(client.responses.cancel(waiting.id).status == "cancelled", "SDK: cancelled")
    check(client.responses.input_tokens.count(input=FRANCE, model="ember").input_tokens == r.usage.input_tokens, "SDK: tokens are counted")
    client.responses.delete(r.id)
    for wrong, error in ((lambda: client.responses.retrieve(r.id), openai.NotFoundError), (lambda: client.responses.create(input=FRANCE, previous_response_id=r.id, **more), openai.BadRequestError),
                         (lambda: client.responses.create(input=FRANCE, tools=[{"type": "mcp", "server_label": "x"}], **more), openai.BadRequestError)):
        try:
            wrong()
            check(False, "SDK: an error")
        except error as e:
            check(e.message, "SDK: an error", e)


with Server() as server:
    for part in (fields, streams, large, prompts, forced, round_trips, hosted, namespaces, references, refusals, leaving, sdk):
        part(server)
    code, said = server.stop()
    check(code == 0 and "ERROR" not in said, "it ends in order", (code, said))
for part in (conversation, kept, background):
    with tempfile.TemporaryDirectory() as folder:
        part(folder)
clients()
places()
finish()
