#!/usr/bin/env python3
"""test_signals.py: Ctrl-C and its kin: what waits or works ends soon, with the status that hearth(1) names, and leaves no temporary file.
(In a chat: test_chat.py.)"""
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from hearth import *  # noqa: E402,F403


def while_reading():
    """Text that a person types."""
    template = tmp("t.jinja", "{{ x }}")
    for ready, *args in (("Type a prompt", "run", EMBER), ("", "tokenize", EMBER), ("", "tokenize", EMBER, "--decode"), ("", "template", template)):
        t = Terminal(*args)
        check(t.until(ready), "a prompt", t.seen)
        t.send("some text\n")
        t.until("some text\r\n.*some|some text", 5)
        time.sleep(0.3)  # until it reads again
        start = time.monotonic()
        t.send("\x03")
        status = t.close(10)
        check(status == CANCELLED and time.monotonic() - start < 5, f"Ctrl-C ends {args[0]} while it reads", (status, t.seen))


for test in (while_reading,):
    try:
        test()
    except NoTerminal:
        print(f"SKIPPED: {test.__name__}: no terminal can be made here")
        counts["skipped"] += 1
finish()
