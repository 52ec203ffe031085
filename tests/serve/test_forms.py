#!/usr/bin/env python3
"""test_forms.py: answers of a given form of `hearth serve` on the embedded model: JSON of a schema, grammars, forced calls, strict tools, budgets of reasoning, in both dialects, whole and
streamed; what cannot be enforced is refused by its field; and, where Python has them, the official SDKs, which check the answers against types of their own."""
import concurrent.futures
import json
import os
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from server import Server  # noqa: E402
from hearth import check, finish  # noqa: E402

CHAT, MESSAGES = "/v1/chat/completions", "/v1/messages"
HELLO = [{"role": "user", "content": "What will the weather be like in Paris?"}]
WEATHER = {"type": "object", "properties": {"city": {"type": "string", "minLength": 2, "maxLength": 12}, "days": {"type": "integer", "minimum": 1, "maximum": 14},
                                            "unit": {"enum": ["celsius", "fahrenheit"]}, "tags": {"type": "array", "maxItems": 2, "items": {"type": "string", "maxLength": 5}}},
           "required": ["city", "days", "unit"], "additionalProperties": False}
FLAG = {"type": "object", "properties": {"on": {"type": "boolean"}}, "required": ["on"], "additionalProperties": False}
BAD = {"type": "object", "properties": {"x": {"type": "string", "pattern": "(?=no)look"}}}
WILD = {"temperature": 1.7, "top_k": 0, "top_p": 1, "min_p": 0, "reasoning_effort": "none"}


def is_weather(v):
    return (isinstance(v, dict) and set(v) <= set(WEATHER["properties"]) and {"city", "days", "unit"} <= set(v) and isinstance(v["city"], str) and 2 <= len(v["city"]) <= 12
            and type(v["days"]) is int and 1 <= v["days"] <= 14 and v["unit"] in ("celsius", "fahrenheit")
            and (isinstance(v.get("tags", []), list) and len(v.get("tags", [])) <= 2 and all(isinstance(t, str) and len(t) <= 5 for t in v.get("tags", []))))


def is_flag(v):
    return isinstance(v, dict) and set(v) == {"on"} and isinstance(v["on"], bool)


HOLDS = {"get_weather": is_weather, "set_flag": is_flag}


def function(name, schema, **more):
    return {"type": "function", "function": {"name": name, "description": "A tool.", "parameters": schema, **more}}


TOOLS = [function("get_weather", WEATHER), function("set_flag", FLAG)]


def ask(**more):
    return {"model": "ember", "messages": HELLO, "max_tokens": 600, "seed": 7, **more}


def wants(schema, **more):
    return ask(response_format={"type": "json_schema", "json_schema": {"name": "w", "schema": schema, "strict": True}}, **more)


def value_of(text):
    try:
        return json.loads(text)
    except (TypeError, ValueError):
        return None


def schemas(s):
    for seed in range(6):
        status, _, r = s.post(CHAT, wants(WEATHER, seed=seed, **WILD))
        choice = r["choices"][0] if status == 200 else r
        check(status == 200 and is_weather(value_of(choice["message"]["content"])) and choice["finish_reason"] == "stop", "JSON of a schema", r)
    r = s.post(CHAT, wants(WEATHER, n=4, **WILD))[2]
    texts = [c["message"]["content"] for c in r["choices"]]
    check(len(set(texts)) > 1 and all(is_weather(value_of(t)) for t in texts), "several at once, each of the schema", texts)
    alone = s.post(CHAT, wants(WEATHER))[2]["choices"][0]["message"]
    streamed = "".join(c["delta"].get("content") or "" for _, d in s.stream(CHAT, wants(WEATHER, stream=True)) if d != "[DONE]" for c in json.loads(d)["choices"])
    check(streamed == alone["content"], "a stream says the same", (streamed, alone))
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda i: s.post(CHAT, wants([WEATHER, FLAG][i % 2]))[2]["choices"][0]["message"]["content"], range(8)))
    check(all((is_flag if i % 2 else is_weather)(value_of(t)) for i, t in enumerate(together)) and all(together[i] == together[i % 2] for i in range(8)), "many at once", together)
    r = s.post(CHAT, ask(response_format={"type": "json_object"}, **WILD))[2]["choices"][0]
    check(isinstance(value_of(r["message"]["content"]), dict) or r["finish_reason"] == "length", "any JSON object", r)
    r = s.post(CHAT, ask(response_format={"type": "text"}))
    check(r[0] == 200, "text", r)
    r = s.post(CHAT, wants(WEATHER, max_tokens=3))[2]["choices"][0]
    check(r["finish_reason"] == "length", "cut short, and said so", r)


def local_names(s):
    """What other local servers call it."""
    for more, good in [({"grammar": 'root ::= "ab" [c-e]{1,9} "."'}, r"ab[c-e]{1,9}\."), ({"guided_grammar": 'root ::= "x" | "y"'}, "[xy]"), ({"guided_choice": ["yes", 'a "no"\n']}, 'yes|a "no"\n?'),
                       ({"structured_outputs": {"choice": ["red", "blue"]}}, "red|blue"), ({"structured_outputs": {"grammar": 'root ::= "z"'}}, "z")]:
        text = s.post(CHAT, ask(**more, **WILD))[2]["choices"][0]["message"]["content"]
        check(re.fullmatch(good, text), f"{next(iter(more))}", text)
    for more in ({"guided_json": FLAG}, {"guided_json": json.dumps(FLAG)}, {"structured_outputs": {"json": FLAG}}, {"json_schema": FLAG}):
        text = s.post(CHAT, ask(**more, **WILD))[2]["choices"][0]["message"]["content"]
        check(is_flag(value_of(text)), f"{next(iter(more))}", text)
    text = s.post("/v1/completions", {"model": "ember", "prompt": "Flag: ", "max_tokens": 100, "guided_json": FLAG, **WILD})[2]["choices"][0]["text"]
    check(is_flag(value_of(text)), "of a completion", text)
    text = s.post("/v1/completions", {"model": "ember", "prompt": "Say: ", "max_tokens": 100, "grammar": 'root ::= "abc"'})[2]["choices"][0]["text"]
    check(text == "abc", "a grammar of a completion", text)


def calls_of(message):
    return [(c["function"]["name"], value_of(c["function"]["arguments"])) for c in message.get("tool_calls") or []]


def forced(s):
    for seed in range(5):
        r = s.post(CHAT, ask(tools=TOOLS, tool_choice="required", parallel_tool_calls=False, seed=seed, **WILD))[2]["choices"][0]
        calls = calls_of(r["message"])
        check(len(calls) == 1 and all(HOLDS[n](v) for n, v in calls) and not r["message"]["content"] and r["finish_reason"] == "tool_calls", "a forced call", r)
    for tool in TOOLS:
        name = tool["function"]["name"]
        r = s.post(CHAT, ask(tools=TOOLS, tool_choice={"type": "function", "function": {"name": name}}, parallel_tool_calls=False, **WILD))[2]["choices"][0]
        calls = calls_of(r["message"])
        check([n for n, _ in calls] == [name] and HOLDS[name](calls[0][1]), "a named call", r)
    only = {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [{"type": "function", "function": {"name": "set_flag"}}]}}
    r = s.post(CHAT, ask(tools=TOOLS, tool_choice=only, parallel_tool_calls=False, **WILD))[2]["choices"][0]
    check([n for n, _ in calls_of(r["message"])] == ["set_flag"], "of the allowed ones", r)
    parts = {}
    for _, d in s.stream(CHAT, ask(tools=TOOLS, tool_choice="required", parallel_tool_calls=False, stream=True)):
        for c in json.loads(d)["choices"] if d != "[DONE]" else []:
            for call in c["delta"].get("tool_calls") or []:
                part = parts.setdefault(call["index"], {"name": "", "arguments": ""})
                for key in part:
                    part[key] += call["function"].get(key) or ""
            end = c["finish_reason"] or None
    check(len(parts) == 1 and all(HOLDS[p["name"]](value_of(p["arguments"])) for p in parts.values()) and end == "tool_calls", "a forced call, streamed", (parts, end))
    r = s.post(CHAT, ask(tools=TOOLS, tool_choice="none", response_format={"type": "json_schema", "json_schema": {"name": "f", "schema": FLAG}}))[2]["choices"][0]
    check(is_flag(value_of(r["message"]["content"])), "no call, but a form", r)
    loose = [function("get_weather", BAD), TOOLS[1]]
    r = s.post(CHAT, ask(tools=loose, tool_choice="required", parallel_tool_calls=False))
    check(r[0] == 200 and len(calls_of(r[2]["choices"][0]["message"])) == 1, "a tool whose schema cannot be enforced does not take the others down", r)


def strict(s):
    """Calls that may come: whatever is called, the arguments are of the schema."""
    tools = [function("get_weather", WEATHER, strict=True), function("set_flag", FLAG, strict=True)]
    called = 0
    for seed in range(8):
        r = s.post(CHAT, ask(tools=tools, seed=seed, temperature=1.2))[2]["choices"][0]
        calls = calls_of(r["message"])
        called += len(calls)
        check(all(HOLDS[n](v) for n, v in calls) or r["finish_reason"] == "length", "strict tools", r)
    check(called > 0, "some were called", called)


REFUSED = [  # body, the field that is named, a word of the message
    (wants(BAD), "response_format.json_schema.schema", "pattern"), (wants({"type": "nothing"}), "response_format.json_schema.schema", "type"),
    (ask(response_format={"type": "json_schema"}), "response_format.schema", "missing"), (ask(response_format={"type": "xml"}), "response_format.type", "xml"),
    (ask(response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": [1]}}), "response_format.json_schema.schema", "object"),
    (ask(tools=[TOOLS[1], function("f", BAD, strict=True)], tool_choice="required"), "tools[1].function.parameters", "pattern"),
    (ask(tools=[function("f", BAD, strict=True)]), "tools[0].function.parameters", "pattern"),
    (ask(tools=TOOLS, tool_choice={"type": "function", "function": {"name": "nobody"}}), "tool_choice.function.name", "no tool"),
    (ask(tools=TOOLS, tool_choice={"type": "allowed_tools", "allowed_tools": {"tools": []}}), "tool_choice.allowed_tools.tools", "empty"),
    (ask(tools=TOOLS, tool_choice={"type": "allowed_tools", "allowed_tools": {"tools": TOOLS[:1] * 513}}), "tool_choice.allowed_tools.tools", "513 tools"),
    (ask(tool_choice="required"), "tool_choice", "no tools"), (ask(grammar="root ::= other"), "grammar", "other"), (ask(grammar="root ::= \"a\"", tools=TOOLS), "grammar", "calls"),
    (ask(guided_regex="a+"), "guided_regex", "not to be had"), (ask(guided_choice=[]), "guided_choice", "array"), (ask(guided_json=FLAG, grammar="root ::= \"a\""), "guided_json", "already"),
    (ask(thinking_budget_tokens="much"), "thinking_budget_tokens", "whole"),
]


def refusals(s):
    for body, field, word in REFUSED:
        status, _, r = s.post(CHAT, body)
        check(status == 400 and r["error"]["param"] == field and word in r["error"]["message"], f"{field} is refused", (status, r))
    base = {"model": "ember", "max_tokens": 50, "messages": HELLO}
    for more, word in [({"tools": [{"name": "f", "input_schema": BAD, "strict": True}], "tool_choice": {"type": "any"}}, "tools[0].input_schema"), ({"output_config": {"format": {"type": "json_schema", "schema": BAD}}}, "output_config.format.schema"),
                       ({"output_config": {"format": {"type": "xml"}}}, "output_config.format.type"), ({"tool_choice": {"type": "any"}}, "tool_choice"), ({"thinking": {"type": "enabled"}}, "thinking.budget_tokens")]:
        status, _, r = s.post(MESSAGES, {**base, **more}, {"anthropic-version": "2023-06-01"})
        check(status == 400 and r["error"]["type"] == "invalid_request_error" and word in r["error"]["message"], f"{word} is refused", (status, r))


def budgets(s):
    """The embedded model reasons if it may; its budget ends that, and the answer follows."""
    for budget in (0, 1, 4):
        r = s.post(CHAT, wants(FLAG, thinking_budget_tokens=budget, seed=1))[2]
        message = r["choices"][0]["message"]
        spent = r["usage"]["completion_tokens_details"]["reasoning_tokens"]
        check(is_flag(value_of(message["content"])) and (budget or not message.get("reasoning_content")) and spent <= budget + 2, f"a budget of {budget}", r)
    free = s.post(CHAT, wants(FLAG, seed=1))[2]["choices"][0]["message"]
    held = s.post(CHAT, wants(FLAG, seed=1, reasoning={"max_tokens": 3}))[2]["choices"][0]["message"]
    if free.get("reasoning_content"):
        check(free["reasoning_content"].startswith(held["reasoning_content"]) and len(held["reasoning_content"]) < len(free["reasoning_content"]), "less of the same reasoning", (free, held))
    r = s.post(CHAT, ask(reasoning={"enabled": False}))[2]["choices"][0]["message"]
    check(not r.get("reasoning_content"), "none", r)
    r = s.post(CHAT, ask(tools=TOOLS, tool_choice="required", thinking_budget_tokens=2, parallel_tool_calls=False))[2]
    check(len(calls_of(r["choices"][0]["message"])) == 1, "a forced call behind reasoning that was ended", r)
    check(r["usage"]["completion_tokens_details"]["reasoning_tokens"] <= 4, "the call's beginning is no reasoning", r)


def anthropic_dialect(s):
    version = {"anthropic-version": "2023-06-01"}
    tools = [{"name": t["function"]["name"], "description": "A tool.", "input_schema": t["function"]["parameters"]} for t in TOOLS]
    base = {"model": "ember", "max_tokens": 600, "messages": HELLO, "tools": tools}
    for choice in ({"type": "any", "disable_parallel_tool_use": True}, {"type": "tool", "name": "set_flag", "disable_parallel_tool_use": True}):
        r = s.post(MESSAGES, {**base, "tool_choice": choice}, version)[2]
        uses = [b for b in r["content"] if b["type"] == "tool_use"]
        check(len(uses) == 1 and HOLDS[uses[0]["name"]](uses[0]["input"]) and choice.get("name", uses[0]["name"]) == uses[0]["name"] and r["stop_reason"] == "tool_use", f"tool_choice {choice['type']}", r)
    events = [(n, json.loads(d)) for n, d in s.stream(MESSAGES, {**base, "tool_choice": {"type": "any", "disable_parallel_tool_use": True}, "stream": True}, version)]
    name = [e["content_block"]["name"] for n, e in events if n == "content_block_start" and e["content_block"]["type"] == "tool_use"]
    pieces = "".join(e["delta"]["partial_json"] for n, e in events if n == "content_block_delta" and e["delta"]["type"] == "input_json_delta")
    check(len(name) == 1 and HOLDS[name[0]](value_of(pieces)), "streamed", events)
    r = s.post(MESSAGES, {**base, "tool_choice": {"type": "none"}}, version)[2]
    check(all(b["type"] != "tool_use" for b in r["content"]), "tool_choice none", r)
    form = {"type": "json_schema", "schema": WEATHER}
    for more in ({"output_config": {"format": form}}, {"output_format": form}):
        r = s.post(MESSAGES, {"model": "ember", "max_tokens": 600, "messages": HELLO, **more}, version)[2]
        check(is_weather(value_of(r["content"][-1]["text"])), f"{next(iter(more))}", r)
    r = s.post(MESSAGES, {"model": "ember", "max_tokens": 600, "messages": HELLO, "output_config": {"format": form}, "thinking": {"type": "enabled", "budget_tokens": 3}}, version)[2]
    check(is_weather(value_of(r["content"][-1]["text"])), "behind thinking", r)
    for thinking in ({"type": "disabled"}, {"type": "adaptive"}):
        r = s.post(MESSAGES, {"model": "ember", "max_tokens": 40, "messages": HELLO, "thinking": thinking}, version)
        check(r[0] == 200 and (thinking["type"] == "adaptive" or all(b["type"] != "thinking" for b in r[2]["content"])), f"thinking {thinking['type']}", r)
    sure = [{**t, "strict": True} for t in tools]
    r = s.post(MESSAGES, {**base, "tools": sure}, version)[2]
    check(all(HOLDS[b["name"]](b["input"]) for b in r["content"] if b["type"] == "tool_use"), "strict tools", r)


def sdks(s):
    try:
        import anthropic
        import openai
        import pydantic
    except ImportError:
        print("SKIPPED: the official SDKs: make oracles")
        return

    class City(pydantic.BaseModel, extra="forbid"):
        name: str = pydantic.Field(max_length=12)
        people: int = pydantic.Field(ge=0, le=99999999)
        capital: bool

    class Report(pydantic.BaseModel, extra="forbid"):
        cities: list[City] = pydantic.Field(max_length=2)
        note: str | None = pydantic.Field(default=None, max_length=9)

    client = openai.OpenAI(base_url=s.base + "/v1", api_key="none")
    r = client.chat.completions.parse(model="ember", messages=HELLO, response_format=City, max_tokens=600, seed=3)
    check(isinstance(r.choices[0].message.parsed, City), "SDK: a type", r)
    r = client.chat.completions.parse(model="ember", messages=HELLO, tools=[openai.pydantic_function_tool(City)], tool_choice="required", parallel_tool_calls=False, max_tokens=600, seed=3)
    check(isinstance(r.choices[0].message.tool_calls[0].function.parsed_arguments, City), "SDK: a tool's type", r)
    with client.chat.completions.stream(model="ember", messages=HELLO, response_format=Report, max_tokens=900, seed=3, extra_body={"reasoning": {"enabled": False}}) as stream:
        final = stream.get_final_completion()
    check(isinstance(final.choices[0].message.parsed, Report), "SDK: a streamed type", final)
    claude = anthropic.Anthropic(base_url=s.base, api_key="none")
    tools = [{"name": "city", "description": "A city.", "input_schema": City.model_json_schema()}]
    r = claude.messages.create(model="ember", max_tokens=600, messages=HELLO, tools=tools, tool_choice={"type": "tool", "name": "city", "disable_parallel_tool_use": True})
    uses = [b for b in r.content if b.type == "tool_use"]
    check(len(uses) == 1 and City.model_validate(uses[0].input), "SDK: a tool that must be called", r)
    with claude.messages.stream(model="ember", max_tokens=600, messages=HELLO, tools=tools, tool_choice={"type": "any", "disable_parallel_tool_use": True}) as stream:
        final = stream.get_final_message()
    check(City.model_validate([b for b in final.content if b.type == "tool_use"][0].input), "SDK: streamed", final)
    r = claude.messages.create(model="ember", max_tokens=600, messages=HELLO, output_config={"format": {"type": "json_schema", "schema": City.model_json_schema()}})
    check(City.model_validate_json(r.content[-1].text), "SDK: structured output", r)


with Server() as server:
    schemas(server)
    local_names(server)
    forced(server)
    strict(server)
    refusals(server)
    budgets(server)
    anthropic_dialect(server)
    sdks(server)
    code, said = server.stop()
    check(code == 0 and "ERROR" not in said, "it ends in order", (code, said))
finish()
