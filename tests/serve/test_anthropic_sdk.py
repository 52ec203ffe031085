#!/usr/bin/env python3
"""test_anthropic_sdk.py: `hearth serve` driven by the official Python SDK of the Anthropic API: messages whole and streamed, tools and its tool runner, the beta namespace, counting,
models, and errors as the SDK's own exceptions. What the SDK reads it reads into its own types, which are held to their declarations here."""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from server import Server  # noqa: E402
from hearth import check, finish  # noqa: E402

try:
    import anthropic
    import pydantic
except ImportError:
    print("SKIPPED: the official SDK is not here: make oracles")
    sys.exit(77)

HELLO = [{"role": "user", "content": "What is the capital of France?"}]
WEATHER = [{"role": "user", "content": "What is the weather in Paris?"}]
TOOL = {"name": "get_weather", "description": "The weather of a city", "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}


def valid(what, thing):
    """The SDK builds its types without looking; here they are looked at, strictly as declared."""
    try:
        with_warnings = thing.model_dump(mode="json", warnings="error")
        type(thing).model_validate(with_warnings)
        check(True, what)
    except (pydantic.ValidationError, pydantic.PydanticUserError, ValueError, TypeError) as e:
        check(False, what + ": as it is declared", str(e)[:600])


def asked(messages=HELLO, **more):
    return {"model": "ember", "max_tokens": 40, "messages": messages, "extra_body": {"temperature": 0, **more.pop("extra_body", {})}, **more}


def whole(client):
    r = client.messages.create(**asked())
    valid("SDK: an answer", r)
    check(r.type == "message" and r.role == "assistant" and r.content[0].type == "text" and r.stop_reason == "end_turn" and r.usage.output_tokens > 0 and r._request_id.startswith("req_"), "SDK: an answer", r)
    raw = client.messages.with_raw_response.create(**asked())
    check(raw.headers["request-id"].startswith("req_") and raw.parse().content == r.content, "SDK: headers", raw.headers)
    return r


def streamed(client, first):
    with client.messages.stream(**asked()) as stream:
        text = "".join(stream.text_stream)
        final = stream.get_final_message()
    valid("SDK: a stream's message", final)
    check(text == first.content[0].text and [b.to_dict() for b in final.content] == [b.to_dict() for b in first.content] and final.stop_reason == first.stop_reason, "SDK: a stream says the same", (final, first))
    check(final.usage.output_tokens == first.usage.output_tokens and final.usage.input_tokens == first.usage.input_tokens, "SDK: and counts the same", (final.usage, first.usage))
    kinds = []
    with client.messages.create(**asked(), stream=True) as events:
        for event in events:
            kinds.append(event.type)
            valid("SDK: an event " + event.type, event)
    check(kinds[0] == "message_start" and kinds[-2:] == ["message_delta", "message_stop"] and kinds.count("content_block_start") == kinds.count("content_block_stop") == 1, "SDK: events", kinds)


def conversation(client):
    """What an answer was goes back as it came."""
    talk = list(HELLO)
    for question in ("And of Spain?", "And of Italy?"):
        r = client.messages.create(**asked(talk, system=[{"type": "text", "text": "Be short.", "cache_control": {"type": "ephemeral"}}], thinking={"type": "enabled", "budget_tokens": 1024}, max_tokens=1100))
        talk += [{"role": "assistant", "content": r.content}, {"role": "user", "content": [{"type": "text", "text": question}]}]
    r = client.messages.create(**asked(talk))
    check(r.usage.cache_read_input_tokens + r.usage.cache_creation_input_tokens + r.usage.input_tokens == client.messages.count_tokens(model="ember", messages=talk).input_tokens, "SDK: counting", r.usage)


def begun(client):
    r = client.messages.create(**asked(HELLO + [{"role": "assistant", "content": "The capital of France"}]))
    check(r.content[0].text.lstrip().startswith("is "), "SDK: an answer that was begun", r.content)


def tools(client):
    r = client.messages.create(**asked(WEATHER, tools=[TOOL, {"type": "bash_20250124", "name": "bash"}]))
    valid("SDK: an answer with tools", r)
    calls = [b for b in r.content if b.type == "tool_use"]
    with client.messages.stream(**asked(WEATHER, tools=[TOOL, {"type": "bash_20250124", "name": "bash"}])) as stream:
        final = stream.get_final_message()
    check([(b.name, b.input) for b in final.content if b.type == "tool_use"] == [(b.name, b.input) for b in calls], "SDK: calls in a stream", (final.content, r.content))
    if calls:
        check(r.stop_reason == "tool_use" and isinstance(calls[0].input, dict), "SDK: a call", r)
        back = [{"type": "tool_result", "tool_use_id": c.id, "content": [{"type": "text", "text": "18 degrees"}]} for c in calls]
        r = client.messages.create(**asked(WEATHER + [{"role": "assistant", "content": r.content}, {"role": "user", "content": back}], tools=[TOOL]))
        check(r.stop_reason in ("end_turn", "tool_use", "max_tokens"), "SDK: its result", r)


def runner(client):
    if not hasattr(client.beta.messages, "tool_runner"):
        print("SKIPPED: this SDK has no tool runner")
        return
    asked_for = []

    @anthropic.beta_tool
    def get_weather(city: str) -> str:
        """The weather of a city

        Args:
            city: its name
        """
        asked_for.append(city)
        return "18 degrees"

    replies = list(client.beta.messages.tool_runner(model="ember", max_tokens=60, messages=WEATHER, tools=[get_weather], max_iterations=3, extra_body={"temperature": 0}))
    check(1 <= len(replies) <= 3 and len(asked_for) <= 3 and (bool(asked_for) == (replies[0].stop_reason == "tool_use")), "SDK: the tool runner", (replies, asked_for))


def beta(client):
    r = client.beta.messages.create(**asked(betas=["context-management-2025-06-27", "interleaved-thinking-2025-05-14"], context_management={"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]}))
    check(r.content[0].type == "text" and r.usage.output_tokens > 0, "SDK: the beta namespace", r)
    with client.beta.messages.stream(**asked(betas=["x"])) as stream:
        check(stream.get_final_message().content[0].text == r.content[0].text, "SDK: its streams")
    check(client.beta.messages.count_tokens(model="ember", messages=HELLO).input_tokens > 5, "SDK: its counting")


def models(client):
    page = client.models.list(limit=1)
    check([m.id for m in page] == ["ember"] and page.first_id == "ember" and not page.has_more, "SDK: models", page)
    m = client.models.retrieve("ember")
    valid("SDK: a model", m)
    check(m.id == "ember" and m.created_at.year == 1970, "SDK: a model", m)


def raises(client, kind, what, call):
    try:
        call(client)
        check(False, what)
    except anthropic.APIStatusError as e:
        good = isinstance(e, kind) and e.body["type"] == "error" and e.request_id == e.body["request_id"] and e.request_id.startswith("req_")
        check(good, what, (e, getattr(e, "body", None)))
        return e
    return None


def errors(client, base):
    e = raises(client, anthropic.BadRequestError, "SDK: a wrong request", lambda c: c.messages.create(model="ember", max_tokens=1, messages=[]))
    check(e and e.body["error"]["type"] == "invalid_request_error" and "messages" in e.body["error"]["message"], "SDK: names the field", e)
    raises(client, anthropic.NotFoundError, "SDK: no such model", lambda c: c.messages.create(model="nobody", max_tokens=1, messages=HELLO))
    raises(client, anthropic.NotFoundError, "SDK: no such model to show", lambda c: c.models.retrieve("nobody"))
    raises(client, anthropic.NotFoundError, "SDK: no batches", lambda c: c.messages.batches.list())
    raises(client, anthropic.NotFoundError, "SDK: no batches to make", lambda c: c.messages.batches.create(requests=[{"custom_id": "a", "params": {"model": "ember", "max_tokens": 1, "messages": HELLO}}]))
    raises(client, anthropic.BadRequestError, "SDK: tools that only servers have", lambda c: c.messages.create(model="ember", max_tokens=1, messages=HELLO, tools=[{"type": "web_search_20250305", "name": "web_search"}]))
    del base


def keys():
    with Server("--api-key", "secret-1") as s:
        good = anthropic.Anthropic(base_url=s.base, api_key="secret-1", max_retries=0)
        check(good.messages.create(model="ember", max_tokens=2, messages=HELLO).usage.output_tokens > 0, "SDK: a key")
        bearer = anthropic.Anthropic(base_url=s.base, api_key=None, auth_token="secret-1", max_retries=0)
        check(bearer.messages.create(model="ember", max_tokens=2, messages=HELLO).usage.output_tokens > 0, "SDK: a key as a bearer's token")
        bad = anthropic.Anthropic(base_url=s.base, api_key="secret-2", max_retries=0)
        e = raises(bad, anthropic.AuthenticationError, "SDK: a wrong key", lambda c: c.messages.create(model="ember", max_tokens=2, messages=HELLO))
        check(e and e.body["error"]["type"] == "authentication_error", "SDK: a wrong key's type", e)


with Server() as server:
    sdk = anthropic.Anthropic(base_url=server.base, api_key="none", max_retries=0)
    streamed(sdk, whole(sdk))
    conversation(sdk)
    begun(sdk)
    tools(sdk)
    runner(sdk)
    beta(sdk)
    models(sdk)
    errors(sdk, server.base)
    code, log = server.stop()
    check(code == 0 and "ERROR" not in log, "it ends in order", (code, log))
keys()
finish()
