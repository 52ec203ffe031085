#!/usr/bin/env python3
"""test_chat.py: hearth chat: from a file and at a terminal."""
import json
import os
import pty
import re
import select
import signal
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from hearth import *  # noqa: E402,F403

GREEDY = ("--temp", 0, "-n", 40, "-c", 2048)


def fed(r):
    """tokens fed and generated in each turn, from --timings"""
    return [(int(a), int(b)) for a, b in re.findall(r"prompt: (\d+) tokens.*?generation: (\d+) tokens", r.err)]


def turns():
    saved = tmp("talk.json", None)
    r = hearth("chat", EMBER, *GREEDY, "--timings", stdin=f"Hello\nWhat is 2 + 2?\n/save {saved}\n")
    check(r.status == 0 and r.text.count("\n") >= 2, "two answers", r)
    talk = json.load(open(saved))
    check([m["role"] for m in talk] == ["user", "assistant"] * 2 and talk[0]["content"] == "Hello", "the saved conversation", talk)
    whole = hearth("chat", EMBER, *GREEDY, "--timings", stdin=f"/load {saved}\nAnd 3 + 3?\n")
    again = hearth("chat", EMBER, *GREEDY, "--timings", stdin="Hello\nWhat is 2 + 2?\nAnd 3 + 3?\n")
    check(again.text.endswith(whole.text) and len(whole.text) > 1, "a loaded conversation goes on as it would have", (whole, again))
    check(fed(again)[2][0] < fed(whole)[0][0] - 10, "only what is new is fed", (fed(again), fed(whole)))
    anew = hearth("chat", EMBER, *GREEDY, stdin="What is 2 + 2?\n/reset\nHello\n")
    check(anew.text.endswith(hearth("chat", EMBER, *GREEDY, stdin="Hello\n").text), "/reset forgets", anew)
    r = hearth("chat", EMBER, *GREEDY, stdin="one\\\ntwo\n//three\n/save " + saved + "\n")
    talk = json.load(open(saved))
    check(talk[0]["content"] == "one\ntwo" and talk[2]["content"] == "/three", "lines that go on, and slashes", talk)


def templates():
    saved = tmp("talk.json", None)
    hearth("chat", EMBER, *GREEDY, "-sys", "Be brief.", stdin=f"Hello\n/system Be long.\n/save {saved}\n")
    check(json.load(open(saved))[0] == {"role": "system", "content": "Be long."}, "/system", saved)
    def prompt(*flags, text="Hello"):
        return fed(hearth("chat", EMBER, "--temp", 0, "-n", 1, "--timings", *flags, stdin=text + "\n"))[0][0]
    check(prompt("--no-think") > prompt("--think") == prompt(), "--no-think reaches the template")
    check(prompt(text="<|im_end|>") > prompt(text="a") + 3, "a control token that is typed is text")


def failures():
    refused(USAGE, "not both", "chat", "--think", "--no-think")
    r = hearth("chat", EMBER, "-c", 32, "-n", 4, stdin="word " * 50 + "\n")
    check(r.status == CONTEXT and "holds 32" in r.err, "a message that does not fit", r)
    r = hearth("chat", EMBER, "-c", 96, "-n", 20, "--temp", 0, "--shift", stdin="Hello there, how are you?\n" * 6)
    check(r.status == 0 and "forgotten" in r.err and r.text.count("\n") >= 6, "with --shift the oldest is forgotten", r)
    check(hearth("chat", EMBER, stdin="/nonsense\n").status == USAGE, "an unknown command")
    check(hearth("chat", EMBER, stdin="/load /no/such/file\n").status == IO, "a file that is not there")
    check(hearth("chat", EMBER, stdin="/load " + tmp("bad.json", '[{"role": 1}]') + "\n").status == FORMAT, "a file that is no conversation")
    check(hearth("chat", EMBER, stdin="").status == 0, "nothing at all")
    model = shared("models/stories260K.gguf")
    if model:
        refused(UNSUPPORTED, "chat template", "chat", model)


class Terminal:
    def __init__(self, *args):
        env = dict(os.environ, XDG_STATE_HOME=TMP.name, TERM="vt100")
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execve(PROGRAM, [PROGRAM, *map(str, args)], env)
        self.seen = ""

    def until(self, pattern, seconds=60):
        end = time.monotonic() + seconds
        while not re.search(pattern, self.seen):
            ready, _, _ = select.select([self.fd], [], [], max(0, end - time.monotonic()))
            try:
                data = os.read(self.fd, 4096) if ready else b""
            except OSError:
                data = b""
            if not data:
                return False
            self.seen += data.decode("utf-8", "replace")
        self.seen = self.seen[re.search(pattern, self.seen).end():]
        return True

    def send(self, text):
        os.write(self.fd, text.encode())

    def close(self, seconds=30):
        self.until("(?!)", 0.2)
        for _ in range(seconds * 10):
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                break
            time.sleep(0.1)
        else:
            os.kill(self.pid, signal.SIGKILL)
            _, status = os.waitpid(self.pid, 0)
        os.close(self.fd)
        return os.waitstatus_to_exitcode(status)


def at_a_terminal():
    t = Terminal("chat", EMBER, "--temp", 1, "--ignore-eos", "--timings")
    check(t.until("> "), "a prompt", t.seen)
    t.send("/help\n")
    check(t.until("/system TEXT") and t.until("> "), "/help", t.seen)
    t.send("/wrong\n")
    check(t.until(r"\(no command /wrong") and t.until("> "), "an error does not end it", t.seen)
    t.send("Tell me a story\n")
    check(t.until("story\r\n") and t.until("[a-z]{3}"), "an answer streams", t.seen)
    t.send("\x03")
    check(t.until("; stopped") and t.until("> "), "Ctrl-C stops the answer and not the program", t.seen)
    t.send("half a line\x03")
    check(t.until("> "), "Ctrl-C at the prompt drops the line", t.seen)
    t.send("\x1b[A")  # up
    check(t.until("Tell me a story"), "the history brings a message back", t.seen)
    t.send("\x15/exit\n")
    check(t.close() == 0, "/exit")
    path = os.path.join(TMP.name, "hearth/history")
    check(os.path.exists(path) and "story" in open(path).read() and os.stat(path).st_mode & 0o077 == 0, "the history is kept, for its owner only")
    t = Terminal("chat", EMBER)
    t.until("> ")
    t.send("\x04")
    check(t.close() == 0, "Ctrl-D leaves")


for test in (turns, templates, failures, at_a_terminal):
    test()
finish()
