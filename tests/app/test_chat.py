#!/usr/bin/env python3
"""test_chat.py: hearth chat: from a file and at a terminal."""
import json
import os
import re
import signal
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "golden")]
import ggufmodel  # noqa: E402
from hearth import *  # noqa: E402,F403

GREEDY = ("--temp", 0, "-n", 40, "-c", 2048)


def fed(r):
    """[(tokens computed before the answer, tokens of the answer)] of each turn, from --verbose"""
    return [(int(a), int(b)) for a, b in re.findall(r"prompt: (\d+) tokens?.*?generation: (\d+) tokens?", r.err)]


def load(path):
    with open(path, encoding="utf-8") as f:
        return json.load(f)


def save(name, messages):
    return tmp(name, json.dumps(messages))


def turns():
    saved = tmp("talk.json", None)
    r = hearth("chat", EMBER, *GREEDY, "-v", stdin=f"Hello\nWhat is 2 + 2?\n/save {saved}\n")
    check(r.status == 0 and r.text.count("\n") >= 2, "two answers", r)
    talk = load(saved)
    check([m["role"] for m in talk] == ["user", "assistant"] * 2 and talk[0]["content"] == "Hello", "the saved conversation", talk)
    check(talk[1]["content"] and talk[1]["content"] in r.text, "what was answered is what is saved", (talk, r))
    whole = hearth("chat", EMBER, *GREEDY, "-v", stdin=f"/load {saved}\nAnd 3 + 3?\n")
    again = hearth("chat", EMBER, *GREEDY, "-v", stdin="Hello\nWhat is 2 + 2?\nAnd 3 + 3?\n")
    check(again.text.endswith(whole.text) and len(whole.text) > 1, "a loaded conversation goes on as it would have", (whole, again))
    check(fed(again)[2][0] < fed(whole)[0][0] - 10, "only what is new is computed", (fed(again), fed(whole)))
    anew = hearth("chat", EMBER, *GREEDY, stdin="What is 2 + 2?\n/reset\nHello\n")
    check(anew.text.endswith(hearth("chat", EMBER, *GREEDY, stdin="Hello\n").text), "/reset forgets", anew)
    hearth("chat", EMBER, *GREEDY, stdin=f"one\\\ntwo\n//three\n/save {saved}\n")
    talk = load(saved)
    check(talk[0]["content"] == "one\ntwo" and talk[2]["content"] == "/three", "lines that go on, and slashes", talk)
    hearth("chat", EMBER, "-n", 1, stdin=f"unfinished\\\n/save {saved}")
    cut = hearth("chat", EMBER, "--temp", 0, "-n", 3, "--ignore-eos", stdin="Hello\n/reset\n/system Be brief.\n")
    check(cut.status == 0 and "(the answer was cut after 3 tokens, as -n says)" in cut.err and "forgotten" not in cut.err and "is set" not in cut.err, "an answer that -n cuts", cut)
    quiet = hearth("chat", EMBER, *GREEDY, stdin="Hello\n")
    check("was cut" not in quiet.err, "an answer that ends is not cut", quiet)
    check("prompt:" not in quiet.err and "\x1b" not in quiet.text + quiet.err and "> " not in quiet.text, "no marker, colour or timing in a pipe", quiet)


def reuse():
    """The same conversation, one computed turn by turn and one at once, ends in the same answer."""
    r = hearth("chat", EMBER, *GREEDY, "-v", stdin="Hello\n/retry\n/retry\n")
    answers = fed(r)
    check(r.status == 0 and len(answers) == 3 and answers[1][0] == answers[2][0] == 1, "/retry computes one token", r)
    text = hearth("chat", EMBER, *GREEDY, stdin="Hello\n").text
    check(r.text == text * 3, "greedily /retry says the same", r)
    saved = tmp("retry.json", None)
    hearth("chat", EMBER, "--seed", 7, "-n", 20, stdin=f"Hello\n/retry\n/save {saved}\n")
    check([m["role"] for m in load(saved)] == ["user", "assistant"], "/retry takes the place of the old answer", load(saved))
    one, two = (hearth("chat", EMBER, "--seed", 7, "-n", 20, "--repeat-penalty", 1.3, stdin="Hello\nAgain\n").text for _ in range(2))
    check(one == two, "a seed reproduces a conversation", (one, two))
    r = hearth("chat", EMBER, *GREEDY, "--repeat-penalty", 1.5, "--repeat-last-n", -1, stdin="Tell me about the sea\n/retry\n")
    check(r.out[:len(r.out) // 2] * 2 == r.out, "what /retry took back is not recent any more", r)
    changed = hearth("chat", EMBER, *GREEDY, "-v", stdin="Hello\n/system Be brief.\nHello again\n")
    first = save("first.json", [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}, {"role": "assistant", "content": text[:-1]}])
    at_once = hearth("chat", EMBER, *GREEDY, "-v", stdin=f"/load {first}\nHello again\n")
    check(changed.text.endswith(at_once.text) and fed(changed)[1][0] >= fed(at_once)[0][0] - 1, "/system changes what is held from its beginning", (changed, at_once))


# The beginning of an answer is written otherwise than an answer that is past, as models do that may reason.
CHATML = ("{% for m in messages %}<|s|>{{ m.role }}\n{{ m.content }}<|e|>\n{% endfor %}"
          "{% if add_generation_prompt %}<|s|>assistant\n{% if not keep %}<think>\n\n</think>\n\n{% endif %}{% endif %}")


def talker(arch, builder, template, **arguments):
    """A small random model of bytes, two control tokens and a chat template."""
    keep = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [b for b in range(256) if b not in keep]
    letters = [chr(b) for b in keep] + [chr(256 + i) for i in range(len(others))]  # the spelling of bytes as in GPT-2's vocabulary
    tokens = letters + ["th", "<|s|>", "<|e|>"]
    ggufmodel.VOCAB = len(tokens)
    w = ggufmodel.Writer("talker-" + arch, arch)
    builder(w, **arguments)
    w.kv(context_length=2048)
    for key, value in {"model": "gpt2", "pre": "default", "tokens": tokens, "merges": ["t h"], "eos_token_id": len(tokens) - 1,
                       "token_type": [1] * (len(tokens) - 2) + [3, 3], "scores": [0.0] * len(tokens)}.items():
        w.put("tokenizer.ggml." + key, value)
    w.put("tokenizer.chat_template", template)
    path = tmp(f"talker-{arch}.gguf", None)
    w.save(path)
    return path


def going_back():
    """Models that remember more than keys and values: a conversation turn by turn is the conversation computed anew."""
    kinds = (("llama", ggufmodel.decoder, {}), ("gemma3", ggufmodel.decoder, {"norms": ("attn_norm", "post_attention_norm", "ffn_norm", "post_ffw_norm"), "tied": True, "qk": "head",
                                                                           "kv": {"attention__sliding_window": 8}}),
             ("mamba2", ggufmodel.mamba2, {}), ("lfm2", ggufmodel.lfm2, {}), ("qwen35", ggufmodel.delta_net, {}))
    flags = ("--temp", 0, "-n", 12, "--ignore-eos", "-v", "--kv-type", "f32")
    for arch, builder, arguments in kinds:
        for same in (False, True):
            model = talker(arch, builder, CHATML.replace("not keep", str(not same).lower()), **arguments)
            first, second = tmp("one.json", None), tmp("two.json", None)
            long = "What do you know of the sea? " * 4
            r = hearth("chat", model, *flags, stdin=f"{long}\n/save {first}\nAnd of rivers?\n/save {second}\nAnd of lakes?\n/retry\n")
            two, three = (hearth("chat", model, *flags, stdin=f"/load {at}\n{question}\n") for at, question in ((first, "And of rivers?"), (second, "And of lakes?")))
            turns, name = fed(r), f"{arch}, {'kept' if same else 'rewritten'}"
            check(r.status == two.status == three.status == 0 and len(turns) == 4, "conversations", (name, r, two, three))
            check(two.out[:-1] in r.out and r.out.endswith(three.out * 2), "turn by turn as at once", (name, r, two, three))
            check(turns[1][0] < fed(two)[0][0] - 100 or arch == "gemma3", "the first question is not computed again", (name, turns, fed(two)))
            check(turns[3][0] < 40 or arch == "gemma3", "/retry goes back to the last question", (name, turns))


def reasoning():
    saved = tmp("think.json", None)
    template = tmp("open.jinja", "{% for m in messages %}[{{ m.role }}|{{ m.reasoning_content }}|{{ m.content }}]{% endfor %}{% if enable_thinking %}<think>\n{% endif %}")
    r = hearth("chat", EMBER, *GREEDY, "--think", "--chat-template-file", template, stdin=f"Hello\n/save {saved}\n")
    talk = load(saved)
    check(r.status == 0 and "</think>" not in talk[1]["content"] and talk[1]["content"] in r.text, "reasoning that the prompt opened stands apart", (r, talk))
    check("</think>" in r.text or talk[1].get("reasoning_content"), "and is shown", (r, talk))
    long = save("long.json", [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b", "reasoning_content": "thought " * 100}])

    def prompt(*flags):
        return fed(hearth("chat", EMBER, "--temp", 0, "-n", 1, "-v", *flags, stdin=f"/load {long}\nHello\n"))[0][0]
    check(prompt() < 60 < 100 < prompt("--chat-template-file", template), "the template decides whether past reasoning is sent", (prompt(), prompt("--chat-template-file", template)))


def templates():
    saved = tmp("talk.json", None)
    hearth("chat", EMBER, *GREEDY, "-sys", "Be brief.", stdin=f"Hello\n/system Be long.\n/save {saved}\n")
    check(load(saved)[0] == {"role": "system", "content": "Be long."}, "/system", load(saved))
    hearth("chat", EMBER, *GREEDY, "-sys", "Be brief.", stdin=f"Hello\n/reset\n/save {saved}\n")
    check(load(saved) == [{"role": "system", "content": "Be brief."}], "the system message survives /reset", load(saved))
    hearth("chat", EMBER, "-sys", "Be brief.", stdin=f"/system\n/save {saved}\n")
    check(load(saved) == [], "/system without a text", load(saved))

    def prompt(*flags, text="Hello"):
        return fed(hearth("chat", EMBER, "--temp", 0, "-n", 1, "-v", *flags, stdin=text + "\n"))[0][0]
    check(prompt("--no-think") > prompt("--think") == prompt(), "--no-think reaches the template")
    check(prompt(text="<|im_end|>") > prompt(text="a") + 3, "a control token that is typed is text")
    raw = tmp("raw.jinja", "{{ messages[-1].content }}")
    check(prompt("--chat-template-file", raw, text="a") == 1, "--chat-template-file")
    refused(TEMPLATE, "raw.jinja", "chat", EMBER, "--chat-template-file", tmp("raw.jinja", "{% if %}"))
    r = hearth("chat", EMBER, "--chat-template-file", tmp("raw.jinja", "{{ raise_exception('not today') }}"), stdin="a\n")
    check(r.status == TEMPLATE and "not today" in r.err, "what the template complains of", r)
    r = hearth("chat", EMBER, "--chat-template-file", tmp("raw.jinja", "{# nothing #}"), stdin="a\n")
    check(r.status == TEMPLATE, "a template that writes nothing", r)


def context():
    r = hearth("chat", EMBER, "-c", 32, "-n", 4, stdin="word " * 50 + "\n")
    check(r.status == CONTEXT and re.search(r"has \d+ tokens.*holds 32.*/reset.*-c", r.err) and not r.out, "a message that does not fit", r)
    saved = tmp("full.json", None)
    talk = save("fill.json", [{"role": "user", "content": "word " * 20}, {"role": "assistant", "content": "b"}])
    t = Terminal("chat", EMBER, "-c", 64, "--temp", 0, "--ignore-eos")
    t.until("> ")
    t.send(f"/load {talk}\n")
    t.until("loaded") and t.until("> ")
    t.send("Hi\n")
    check(t.until(r"context of 64 tokens is full: it holds (\d+) of the conversation and (\d+) of the (\d+) of this answer"), "an answer that fills the context", t.seen)
    talked, held, said = map(int, t.match.groups())
    check(talked + held == 64 and held + 1 == said and t.until("> "), "the counts add up", t.match.group())
    t.send("And now?\n")
    check(t.until("holds 64") and t.until("> "), "nothing fits any more", t.seen)
    t.send(f"/save {saved}\n")
    t.until("saved") and t.until("> ")
    t.send("/exit\n")
    check(t.close() == 0, "the program lives on")
    kept = load(saved)
    check([m["role"] for m in kept] == ["user", "assistant"] * 2 and kept[:2] == load(talk) and kept[3]["content"] + kept[3].get("reasoning_content", ""),
          "nothing is lost", kept)
    r = hearth("chat", EMBER, "-c", 96, "-n", 20, "--temp", 0, "--shift", "-sys", "Be kind.", stdin="Hello there, how are you?\n" * 6 + f"/save {saved}\n")
    check(r.status == 0 and "not sent any more" in r.err and r.text.count("\n") >= 6, "with --shift the oldest turns go", r)
    check(len(load(saved)) == 13, "they are still in the conversation", load(saved))
    r = hearth("chat", EMBER, "-c", 64, "-n", 40, "--temp", 0, "--ignore-eos", "--shift", "-v", stdin="Hello\n" * 3)
    check(r.status == 0 and fed(r)[-1][1] == 40 and "not sent any more" in r.err, "an answer goes on when a turn is forgotten for it", r)
    r = hearth("chat", EMBER, "-c", 64, "--temp", 0, "--ignore-eos", "--shift", stdin="Hello\n")
    check(r.status == CONTEXT and "full" in r.err, "--shift with nothing left to forget", r)


def failures():
    refused(USAGE, "not both", "chat", "--think", "--no-think")
    r = hearth("chat", EMBER, stdin="/nonsense\nHello\n")
    check(r.status == USAGE and not r.out and "/nonsense" in r.err, "an unknown command: nothing is sent", r)
    check(hearth("chat", EMBER, stdin="/retry\n").status == USAGE, "nothing to retry")
    check(hearth("chat", EMBER, stdin="/save\n").status == USAGE, "/save without a file")
    check(hearth("chat", EMBER, stdin="/load /no/such/file\n").status == IO, "a file that is not there")
    check(hearth("chat", EMBER, stdin="/save /no/such/folder/file\n").status == IO, "a folder that is not there")
    with open(EMBER, "rb") as f:
        model, draft, template = tmp("model.gguf", f.read()), tmp("draft.gguf", open(EMBER, "rb").read()), tmp("own.jinja", "{{ messages[-1].content }}")
    for over in (model, draft, template):
        r = hearth("chat", model, "--draft", draft, "--chat-template-file", template, stdin=f"/save {over}\n")
        check(r.status == USAGE and "would overwrite the input" in r.err, "/save spares what the chat reads", r)
    check(open(model, "rb").read() == open(draft, "rb").read() == open(EMBER, "rb").read() and os.path.getsize(template) == 26, "inputs stay as they were")
    for bad in ('[{"role": 1}]', "{}", "[", '[{"role": "user"}]', '[{"role": "", "content": ""}]', '[{"role": "a\\u0000", "content": ""}]', ""):
        check(hearth("chat", EMBER, stdin="/load " + tmp("bad.json", bad) + "\n").status == FORMAT, "a file that is no conversation: " + bad)
    for role in ("wizard", "System", "developer", "tool "):
        r = hearth("chat", EMBER, stdin="/load " + save("role.json", [{"role": "user", "content": "a"}, {"role": role, "content": "b"}]) + "\n")
        check(r.status == FORMAT and f'message 2 has the role "{role}"; a chat has system, user, assistant and tool' in r.err, "a role that no chat has", r)
    good = save("roles.json", [{"role": role, "content": "a"} for role in ("system", "user", "assistant", "tool")])
    check(hearth("chat", EMBER, stdin=f"/load {good}\n").status == 0, "all roles that there are")
    tools = save("tools.json", [{"role": "user", "content": "", "tool_calls": []}])
    check(hearth("chat", EMBER, stdin=f"/load {tools}\n").status == UNSUPPORTED, "a member that would be lost")
    r = hearth("chat", stdin="")
    check(r.status == 0 and "demonstration" in r.err and not r.out, "nothing at all, to the model inside", r)
    check(hearth("chat", EMBER, stdin="\n   \n/exit\nHello\n").out == b"", "blank lines are nothing, and /exit ends")
    check(hearth("chat", EMBER, "-n", 5, stdin=b"ab\xff\n").status == TEXT, "bytes that are no text")
    check(hearth("chat", EMBER, "-n", 5, stdin=b"a\x00b\n").status == 0, "a NUL")
    refused(TEXT, "byte 0", "chat", EMBER, "-sys", b"\xff".decode("utf-8", "surrogateescape"))
    model = shared("models/stories260K.gguf")
    if model:
        refused(UNSUPPORTED, "chat template", "chat", model)


def at_a_terminal():
    saved = tmp("cut.json", None)
    t = Terminal("chat", EMBER, "--temp", 1, "--ignore-eos", "-v", HEARTH_HISTORY=None)
    check(t.until("> "), "a prompt", t.seen)
    t.send("/help\n")
    check(t.until("/system TEXT") and t.until("> "), "/help", t.seen)
    t.send("/wrong\n")
    check(t.until(r"\(no command /wrong") and t.until("> "), "an error does not end it", t.seen)
    t.send("Tell me a story\n")
    check(t.until("story\r\n") and t.until("[a-z]{3}"), "an answer streams", t.seen)
    t.send("\x03")
    check(t.until("; stopped") and t.until("> "), "Ctrl-C stops the answer and not the program", t.seen)
    t.send(f"/save {saved}\n")
    check(t.until("2 messages saved") and t.until("> "), "/save", t.seen)
    talk = load(saved)
    check(talk[1]["role"] == "assistant" and talk[1]["content"] + talk[1].get("reasoning_content", ""), "what was said of it is kept", talk)
    wizard = save("wizard.json", [{"role": "wizard", "content": "a"}])
    t.send(f"/load {wizard}\n")
    check(t.until(r'\(\S+: message 1 has the role "wizard"; [^()]*\)') and t.until("> "), "a role that no chat has", t.seen)
    again = tmp("again.json", None)
    t.send(f"/save {again}\n")
    check(t.until("2 messages saved") and t.until("> ") and load(again) == talk, "the conversation is kept", t.seen)
    for line, told in (("/system Be brief.", "the system message is set"), ("/reset", "the conversation is forgotten; the system message stays"),
                       ("/system", "there is no system message now"), ("/reset", "the conversation is forgotten")):
        t.send(line + "\n")
        check(t.until(rf"\({told}\)") and t.until("> "), f"{line} says what it did", t.seen)
    t.send("half a line")
    check(t.until("half a line"), "what is typed is shown", t.seen)
    t.send("\x03")
    check(t.until("\n> "), "Ctrl-C at the prompt drops the line", t.seen)
    t.send("\x03")
    check(t.until("/exit or Ctrl-D") and t.until("> "), "Ctrl-C on an empty line tells how to leave", t.seen)
    t.send("\x1b[A" * 8)  # up, past the commands
    check(t.until("Tell me a story"), "the history brings a message back", t.seen)
    t.send("\x15/exit\n")
    check(t.close() == 0, "/exit")
    path = os.path.join(TMP.name, "hearth/history")
    check(os.path.exists(path) and "story" in open(path).read() and os.stat(path).st_mode & 0o077 == 0, "the history is kept, for its owner only")
    t = Terminal("chat", EMBER, "-n", 30)
    t.until("> ")
    t.send("Grüße \x7f\x7f, 日本")
    check(t.until("日本"), "characters of any script can be typed", t.seen)
    t.send("\n")
    t.until("> ")
    t.send(f"/save {saved}\n")
    t.until("saved") and t.until("> ")
    check(load(saved)[0]["content"] == "Grüß, 日本", "and deleted as characters", load(saved))
    t.send("\x04")
    check(t.close() == 0, "Ctrl-D leaves")


def slow_terminal():
    """Ctrl-C while the terminal takes nothing more: nothing of the answer is lost, and writing does not fail."""
    t = Terminal("chat", EMBER, "--temp", 1, "--ignore-eos", "-v", HEARTH_HISTORY=None)
    check(t.until("> "), "a prompt", t.seen)
    t.send("Tell me a story\n")
    check(t.until("story\r\n") and t.until("[a-z]{3}"), "an answer streams", t.seen)
    full = os.open(f"/proc/{t.pid}/fd/1", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
    try:
        while True:
            os.write(full, b"." * 512)
    except BlockingIOError:
        os.close(full)
    write, end, same, last = {"x86_64": "1", "aarch64": "64"}.get(os.uname().machine), time.monotonic() + 120, 0, None
    while same < 20 and time.monotonic() < end:  # until it stays in one and the same call
        time.sleep(0.01)
        call = open(f"/proc/{t.pid}/syscall").read().split()
        same, last = (same + 1 if call == last and call[:2] == [write, "0x1"] else 0), call
    check(time.monotonic() < end, "the terminal is full")
    t.send("\x03")
    check(t.until("; stopped") and "cannot write" not in t.seen, "an interrupted write goes on", t.seen[-200:])
    check(t.until("> "), "the program goes on", t.seen)
    t.send("\x04")
    check(t.close() == 0, "Ctrl-D leaves")


def signals():
    t = Terminal("chat", EMBER, "--temp", 1, "--ignore-eos", "-c", 2048)
    t.until("> ")
    t.send("Tell me a story\n")
    check(t.until("story\r\n") and t.until("[a-z]{3}"), "an answer streams", t.seen)
    for _ in range(3):
        os.kill(t.pid, signal.SIGINT)
        time.sleep(0.001)
    check(t.until("> "), "Ctrl-C more than once stops the answer and not the program", t.seen)
    t.send("/help\n")  # by now the last of them has been heeded
    check(t.until("/system TEXT") and t.until("> "), "it goes on", t.seen)
    os.kill(t.pid, signal.SIGTERM)
    check(t.until("hearth chat: stopped") and t.close() == -signal.SIGTERM, "SIGTERM at the prompt", t.seen)
    t = Terminal("chat", EMBER, "--temp", 1, "--ignore-eos", "-c", 2048)
    t.until("> ")
    t.send("Tell me a story\n")
    t.until("story\r\n") and t.until("[a-z]{3}")
    os.kill(t.pid, signal.SIGTERM)
    check(t.until("hearth chat: stopped") and t.close() == -signal.SIGTERM, "SIGTERM while it answers", t.seen)


def long_prompt():
    talk, saved = save("long-talk.json", [{"role": "user", "content": "word " * 8000}, {"role": "assistant", "content": "b"}]), tmp("short.json", None)
    t = Terminal("chat", EMBER, "-n", 5, "-ub", 64)
    t.until("> ")
    t.send(f"/load {talk}\n")
    t.until("loaded") and t.until("> ")
    t.send("Hello\n")
    check(t.until(r"prompt: \d+ of \d+ tokens"), "progress", t.seen)
    t.send("\x03")
    check(t.until("stopped before the answer began") and t.until("> "), "Ctrl-C while a prompt is computed", t.seen)
    t.send(f"/save {saved}\n")
    t.until("2 messages saved") and t.until("> ")
    check(load(saved) == load(talk), "the message was not taken", t.seen)
    t.send("/reset\n")
    t.until("> ")
    t.send("Hello\n")
    check(t.until("Hello\r\n") and t.until("[a-z]") and t.until("> "), "and the next is answered", t.seen)
    t.send("\x04")
    check(t.close() == 0, "Ctrl-D leaves")


def history_and_colour():
    other = tmp("own-history", None)
    t = Terminal("chat", EMBER, "-n", 400, "--temp", 0, "--ignore-eos", TERM="xterm", NO_COLOR=None, HEARTH_HISTORY=other)
    check(t.until("\x1b\\[1;32m>"), "a coloured marker", t.seen)
    t.send("What is 17 + 25? Think about it.\n")
    check(t.until("32m>"), "the marker comes again", t.seen)
    t.send("/exit\n")
    check(t.close() == 0 and "17" in open(other).read(), "HEARTH_HISTORY names another file")
    lines = open(other).read().split("\n")
    check(len(lines) == 4 and lines[2:] == ["/exit", ""], "each line is kept once", lines)
    t = Terminal("chat", EMBER, "-n", 5, "--temp", 0, HEARTH_HISTORY=other)
    t.until("> ")
    t.send("\x1b[A\x1b[A")
    check(t.until("What is 17"), "the history of an earlier chat", t.seen)
    t.send("\x15\x04")
    check(t.close() == 0, "Ctrl-D leaves")
    t = Terminal("chat", EMBER, "-n", 5, HEARTH_HISTORY="/no/such/folder/file")
    t.until("> ")
    t.send("Hello\n")
    check(t.until("\r\n") and t.until("> "), "no history can be kept: the chat goes on", t.seen)
    t.send("\x04")
    t.close()


run_tests(turns, reuse, going_back, reasoning, templates, context, failures, at_a_terminal, slow_terminal, signals, long_prompt, history_and_colour)
finish()
