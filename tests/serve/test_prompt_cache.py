#!/usr/bin/env python3
"""test_prompt_cache.py: what clients make new with every request does not keep the rest of a prompt from being found in the cache, in any dialect; what does is named in the log,
and only when the owner asked for it."""
import os
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from server import Server  # noqa: E402
from hearth import check, finish  # noqa: E402

PAGE = 64  # tokens: the cache knows whole pages
RULES = " ".join(f"Rule {i}: be kind to number {i}." for i in range(40))
TOOL = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


def messages(system, question, **more):
    """One request in the Anthropic dialect; tokens of its prompt and those from the cache."""
    def ask(s):
        status, _, r = s.post("/v1/messages", {"model": "claude-sonnet-4-5", "max_tokens": 1, "temperature": 0, "system": system, "messages": question, **more})
        if status != 200:
            raise RuntimeError(r)
        u = r["usage"]
        return u["input_tokens"] + u["cache_creation_input_tokens"] + u["cache_read_input_tokens"], u["cache_read_input_tokens"]
    return ask


def chat(system, question, **more):
    """The same in the OpenAI dialect."""
    def ask(s):
        status, _, r = s.post("/v1/chat/completions", {"model": "ember", "max_tokens": 1, "temperature": 0, "messages": system + question, **more})
        if status != 200:
            raise RuntimeError(r)
        return r["usage"]["prompt_tokens"], r["usage"]["prompt_tokens_details"]["cached_tokens"]
    return ask


def text(t):
    return {"type": "text", "text": t}


def agent(i, marks, blocks=True):
    """What an agent sends for the i-th time: the conversation grows, the marks are new."""
    talk = [{"role": "user", "content": "What is the weather in Paris?"}]
    for k in range(i):
        talk += [{"role": "assistant", "content": f"It is {k} degrees."}, {"role": "user", "content": "And now?"}]
    return (marks(i), talk)


def billing(i):
    return f"x-anthropic-billing-header: cc_version=2.1.{i}.abc; cc_entrypoint=cli; cch={i * 12345 + 7:05x};"


def clock(i):
    return f"Current date and time: Monday, March 9, 2026 at 06:00:{i + 10} PM PDT\nCurrent working directory: /src"


CASES = {
    "Claude Code's system blocks": lambda i: messages(*agent(i, lambda i: [text(billing(i)), text("You are Claude Code."), {**text(RULES), "cache_control": {"type": "ephemeral"}}])),
    "in one string": lambda i: messages(*agent(i, lambda i: billing(i) + "\nYou are an agent.\n" + RULES)),
    "with countdowns": lambda i: messages(*agent(i, lambda i: f"You count.\n<system_warning>Token usage: {i * 999}/200000; {200000 - i * 999} remaining</system_warning>\n" + RULES)),
    "with tools": lambda i: messages(*agent(i, lambda i: [text(billing(i)), text("You have tools. " + RULES)]), tools=[{"name": "get_weather", "input_schema": TOOL}]),
    "in the other dialect": lambda i: chat(*agent(i, lambda i: [{"role": "system", "content": billing(i) + "\nYou chat.\n" + RULES}])),
    "in a developer's message": lambda i: chat(*agent(i, lambda i: [{"role": "developer", "content": "You develop.\n" + clock(i) + "\n" + RULES}])),
    "in parts": lambda i: chat(*agent(i, lambda i: [{"role": "system", "content": [text(billing(i)), text("You come in parts. " + RULES)]}])),
}


def growing(s):
    for name, request in CASES.items():
        before = 0
        for i in range(4):
            total, cached = request(i)(s)
            # all whole pages of the prompt before, except where its last one holds the beginning of an answer that came out differently
            check(cached >= (before // PAGE - 1) * PAGE if i else cached < PAGE, f"{name}: what was there before is found", (i, before, total, cached))
            before = total
        check(before > 6 * PAGE, "the prompts are long", before)


def switched_off():
    with Server("--normalise", "no") as s:
        request = CASES["Claude Code's system blocks"]
        request(0)(s)
        check(request(1)(s)[1] == 0, "marks are there when that is switched off")


def departures():
    secret, other = "the quick brown fox", "the slow red fox"
    for verbose in (True, False):
        with Server(*(["--verbose"] if verbose else [])) as s:
            for animal in (secret, other):
                chat([{"role": "system", "content": RULES + f" They say that {animal} jumps over dogs. " + RULES}], [{"role": "user", "content": "Hello"}])(s)
            code, log = s.stop()
        found = re.findall(r"the prompt of (\d+) tokens departs from one that is known at token (\d+) \((\d+) were taken from the cache\): \"(.*?)\" is followed by \"(.*?)\", not by \"(.*?)\"", log)
        if verbose:
            check(len(found) == 1 and code == 0, "a departure is in the log, once", log)
            total, at, cached, words, new, old = found[0] if found else ("0",) * 6
            check(int(cached) == int(at) // PAGE * PAGE > 0 and int(at) < int(total), "and says where", found)
            check("that the" in words and new.strip() and old.strip() and (words + new).strip().endswith(new.strip()) and other[4:].startswith(new.strip()) and secret[4:].startswith(old.strip()), "and what", found)
            check(len(words) <= 130, "in a few words", words)
        check(verbose or ("fox" not in log and not found), "without being asked nothing of any text is in the log", log)


with Server() as server:
    growing(server)
switched_off()
departures()
finish()
