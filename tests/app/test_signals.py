#!/usr/bin/env python3
"""test_signals.py: Ctrl-C and its kin: what waits or works ends soon, with the status that hearth(1) names, and leaves no temporary file.
(In a chat: test_chat.py.)"""
import math
import os
import signal
import subprocess
import sys
import time
from array import array

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "golden")]
import ggufmodel  # noqa: E402
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
        t.send("\x03")
        status = t.close(60)
        check(status == CANCELLED, f"Ctrl-C ends {args[0]} while it reads", (status, t.seen))


def while_writing():
    args = "logits", EMBER, "--ids", tmp("many", "1 2 3 4 5 6 7 8 " * 4000), "--out", "out"
    # One thread: of several, one may heed the first signal and end the program before another's turn to take the second comes.
    for signals, expected, word in (([signal.SIGINT], CANCELLED, "stopped"), ([signal.SIGTERM], -signal.SIGTERM, "stopped"), ([signal.SIGHUP], -signal.SIGHUP, "stopped"),
                                    # both are there when it wakes up: the second ends it before the first is heeded
                                    ([signal.SIGSTOP, signal.SIGINT, signal.SIGTERM, signal.SIGCONT], -signal.SIGTERM, "")):
        status, err, _, files = stopped(signals, *args, "-t", 1)
        check(status == expected and not files and word in err and bool(word) == bool(err), f"{signals} leaves no file", (status, err, files))


def while_quantising():
    """One tensor, so that a look between tensors would come too late: the file would be there, complete."""
    model = tmp("one-tensor.gguf", None)
    w = ggufmodel.Writer("one", "llama")
    row = array("f", (math.sin(i * i) for i in range(1024))).tobytes()
    w.tensors.append(("output.weight", (1024, 8192), ggufmodel.F32, row * 8192))
    w.save(model)
    for signals, expected in (([signal.SIGINT], CANCELLED), ([signal.SIGTERM], -signal.SIGTERM)):
        status, err, _, files = stopped(signals, "quantize", model, "out.gguf", "Q2_K", "--pure", "-t", 2)
        check(status == expected and not files and "stopped" in err, f"{signals} within a tensor", (status, err, files))


def nohup():
    p = subprocess.Popen([PROGRAM, "tokenize", EMBER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                         preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
    time.sleep(0.3)
    p.send_signal(signal.SIGHUP)
    out, err = p.communicate(b"text", timeout=60)
    check(p.returncode == 0 and out.strip() and not err, "a hangup that was to be ignored is", (p.returncode, out, err))


run_tests(while_reading, while_writing, while_quantising, nohup)
finish()
