"""hearth.py: what the tests of the program share: running it, and counting what holds.

    from hearth import hearth, check, finish
"""
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import tempfile
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PROGRAM = os.path.join(TOP, os.environ.get("HEARTH") or os.path.join(os.environ.get("HEARTH_BUILD", "build"), "hearth"))
SHARED = os.path.join(TOP, os.environ.get("HEARTH_SHARED", "../shared"))
EMBER = os.path.join(TOP, "models/ember/ember.gguf")
USAGE, IO, FORMAT, UNSUPPORTED, MEMORY, CONTEXT, TEXT, TEMPLATE, CANCELLED, VANISHED = range(2, 12)
TMP = tempfile.TemporaryDirectory()
os.environ.update(XDG_STATE_HOME=os.path.join(TMP.name, "state"), XDG_CONFIG_HOME=os.path.join(TMP.name, "config"))  # a person's own files are not touched
LIGHT = bool(os.environ.get("HEARTH_LIGHT"))
SLOW = 5 if LIGHT or os.environ.get("HEARTH_WRAP") else 1  # waits are longer where every instruction takes many
counts = {"passed": 0, "failed": 0, "skipped": 0}


class Result:
    """status, out (bytes), err (text) of a run"""
    def __init__(self, args, stdin, timeout):
        if isinstance(stdin, str):
            stdin = stdin.encode()
        p = subprocess.run([PROGRAM, *map(str, args)], input=stdin, capture_output=True, timeout=timeout)
        self.args, self.status, self.out, self.err = args, p.returncode, p.stdout, p.stderr.decode("utf-8", "backslashreplace")

    @property
    def text(self):
        return self.out.decode("utf-8", "backslashreplace")

    @property
    def json(self):
        return json.loads(self.out)

    def __repr__(self):
        return f"hearth {' '.join(map(str, self.args))}: status {self.status}\n  out: {self.out[:600]!r}\n  err: {self.err[-600:]!r}"


def hearth(*args, stdin=b"", timeout=120 * SLOW):
    return Result(args, stdin, timeout)


def check(good, what, shown=""):
    counts["passed" if good else "failed"] += 1
    if not good:
        print(f"FAILED: {what}\n  {shown!r}")
    return good


def refused(status, word, *args, stdin=b""):
    """The program fails with this status, says so in one line that has `word` in it, and writes nothing to standard output."""
    r = hearth(*args, stdin=stdin)
    lines = [line for line in r.err.split("\n") if line.startswith(f"hearth {args[0]}: ")]
    good = r.status == status and len(lines) == 1 and word in lines[0] and not r.out
    check(good and not lines[0].startswith(f"hearth {args[0]}: {args[0]}: "), f"refused with {status} and '{word}'", r)
    return r


def stopped(signals, *args):
    """The program is started in an empty folder and, as soon as it makes a file there, gets the signals. (status, stderr, seconds that the
    end took, files left)"""
    with tempfile.TemporaryDirectory() as folder:
        # what ran these tests may have had signals ignored, which a program inherits
        p = subprocess.Popen([PROGRAM, *map(str, args)], cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                             preexec_fn=lambda: [signal.signal(s, signal.SIG_DFL) for s in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)])
        while p.poll() is None and not os.listdir(folder):
            time.sleep(0.002)
        start = time.monotonic()
        for s in signals:
            p.send_signal(s)
        err = p.communicate(timeout=60 * SLOW)[1].decode("utf-8", "backslashreplace")
        return p.returncode, err, time.monotonic() - start, os.listdir(folder)


class NoTerminal(Exception):
    """This place makes no pseudo-terminals."""


class Terminal:
    """The program at a pseudo-terminal."""
    def __init__(self, *args, **more):
        env = {**os.environ, "XDG_STATE_HOME": TMP.name, "TERM": "vt100", "NO_COLOR": "1", **more}
        env = {k: v for k, v in env.items() if v is not None}
        try:
            self.pid, self.fd = pty.fork()
        except OSError as why:
            raise NoTerminal from why
        if self.pid == 0:
            os.execve(PROGRAM, [PROGRAM, *map(str, args)], env)
        self.seen = ""

    def until(self, pattern, seconds=60 * SLOW):
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
        self.match = re.search(pattern, self.seen)
        self.seen = self.seen[self.match.end():]
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


def tmp(name, content=b""):
    path = os.path.join(TMP.name, name)
    if content is not None:
        with open(path, "wb") as f:
            f.write(content.encode() if isinstance(content, str) else content)
    return path


def without_numbers():
    """A model whose results are not numbers: some of its weights are none."""
    path = tmp("nan.gguf", None)
    hearth("quantize", EMBER, path, "F32")
    with open(path, "r+b") as f:
        f.seek(-4096, os.SEEK_END)
        f.write(b"\xff" * 4096)  # NaN, as F32
    return path


def shared(name):
    path = os.path.join(SHARED, "data", name)
    if os.path.exists(path):
        return path
    print(f"SKIPPED: {path} is not there (set HEARTH_SHARED)")
    counts["skipped"] += 1
    return None


def run_tests(*tests):
    for test in tests:
        try:
            test()
        except NoTerminal:
            print(f"SKIPPED: {test.__name__}: no terminal can be made here")
            counts["skipped"] += 1


def finish():
    print(f"{counts['passed']} passed, {counts['failed']} failed" + (f", {counts['skipped']} skipped" if counts["skipped"] else ""))
    sys.exit(counts["failed"] > 0)
