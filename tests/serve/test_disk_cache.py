#!/usr/bin/env python3
"""test_disk_cache.py: what `hearth serve` knows of prompts outlives it, whether it ends in order or is killed: the same request is answered with the same
text, from tokens that need not be computed."""
import glob
import os
import random
import re
import stat
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from server import Server  # noqa: E402
from hearth import FORMAT, IO, SLOW, TMP, USAGE, check, finish, hearth, run_tests  # noqa: E402

PAGE = 64  # tokens
SYSTEM = "You are an agent. " + " ".join(f"Rule {i}: answer every question about {w} in a friendly way." for i, w in enumerate(
    "rivers stones birds houses ships trees clocks gardens letters bridges lamps roads winds songs".split()))
numbers = iter(range(1000))


def folder():
    return os.path.join(TMP.name, f"cache{next(numbers)}")


def ask(s, question="What is a fire?", system=SYSTEM, n=12):
    status, _, body = s.post("/v1/chat/completions", {"messages": [{"role": "system", "content": system}, {"role": "user", "content": question}],
                                                      "max_tokens": n, "temperature": 0, "seed": 1})
    if status != 200:
        raise RuntimeError(f"{status}: {body}")
    u = body["usage"]
    return body["choices"][0]["message"]["content"], u["prompt_tokens"], u["prompt_tokens_details"]["cached_tokens"]


def blocks(path):
    return glob.glob(os.path.join(path, "*.block"))


def until_written(path, tokens, seconds=60 * SLOW):
    """The pages of a prompt are written behind its back."""
    end = time.monotonic() + seconds
    while len(blocks(path)) < tokens // PAGE and time.monotonic() < end:
        time.sleep(0.02)
    return check(len(blocks(path)) >= tokens // PAGE, "a prompt's pages are written while the server runs", (tokens, blocks(path)))


def killed(s):
    s.p.kill()
    s.p.communicate()


def in_order():
    """A restart in order; and memory before it."""
    d = folder()
    with Server("--cache-disk", "200M", "--cache-dir", d) as s:
        text, tokens, cached = ask(s)
        check(cached == 0 and tokens > 3 * PAGE, "nothing is known at first", (tokens, cached))
        again = ask(s)
        check(again == (text, tokens, (tokens - 1) // PAGE * PAGE), "from memory", (again, text, tokens))
        status, err = s.stop()
        check(status == 0, "the server ends in order", (status, err))
    written = len(blocks(d))
    check(written >= tokens // PAGE, "what it knew is on disk", written)
    modes = {stat.S_IMODE(os.stat(f).st_mode) for f in blocks(d)} | {stat.S_IMODE(os.stat(d).st_mode) << 9}
    check(modes == {0o600, 0o700 << 9}, "nobody else can read it", modes)
    check(not glob.glob(os.path.join(d, "*.tmp")), "no temporary files are left", os.listdir(d))
    with Server("--cache-disk", "200M", "--cache-dir", d) as s:
        after = ask(s)
        check(after == (text, tokens, (tokens - 1) // PAGE * PAGE), "from disk, after a restart", (after, text, tokens))
        other = ask(s, "How do birds sing in the morning?")
        check(other[2] >= (tokens - 40) // PAGE * PAGE > 0, "another conversation begins with what is known", (other, tokens))
        check(ask(s) == after, "and again from memory")
        m = {k: float(v) for k, v in re.findall(r"^(hearth_cache_disk\S+) (\S+)$", s.get("/metrics")[2].decode(), re.M)}
        read, wrong = m['hearth_cache_disk_blocks_total{result="read"}'], [m[f'hearth_cache_disk_blocks_total{{result="{w}"}}'] for w in ("damaged", "failed")]
        check(m["hearth_cache_disk_bytes"] > 0 and m["hearth_cache_disk_limit_bytes"] == 200e6 and read >= tokens // PAGE and wrong == [0, 0], "metrics tell of it", m)


def killed_between():
    d = folder()
    with Server("--cache-disk", "200M", "--cache-dir", d) as s:
        text, tokens, _ = ask(s)
        until_written(d, tokens)
        killed(s)
    with Server("--cache-disk", "200M", "--cache-dir", d) as s:
        after = ask(s)
        check(after[:2] == (text, tokens) and after[2] > 0, "from disk, after kill -9", (after, text))
        check(after[2] == (tokens - 1) // PAGE * PAGE, "all of it", (after, tokens))


def killed_at_any_moment():
    """Whatever is there then, whole, torn or missing, answers are right."""
    d, rng = folder(), random.Random(1)
    with Server() as s:
        want = ask(s)[:2]
    for i in range(4):
        with Server("--cache-disk", "200M", "--cache-dir", d) as s:
            if i:
                got = ask(s)
                check(got[:2] == want, f"after it was killed {i} times", (got, want))
            c = None
            try:
                c, _ = s.request("POST", "/v1/chat/completions", {"messages": [{"role": "user", "content": SYSTEM + f" {i}"}], "max_tokens": 8, "stream": True})
                time.sleep(rng.random() * 0.05)
            finally:
                killed(s)
                if c:
                    c.close()
        for f in blocks(d):
            if rng.random() < 0.3:
                with open(f, "r+b") as file:
                    if rng.random() < 0.5:
                        file.truncate(rng.randrange(os.path.getsize(f)))
                    else:
                        file.seek(rng.randrange(os.path.getsize(f)))
                        file.write(b"\x5a")
    with Server("--cache-disk", "200M", "--cache-dir", d) as s:
        check(ask(s)[:2] == want, "at the end", want)
        got = ask(s)
        check(got[:2] == want and got[2] > 0, "and known again", got)


def keys():
    d = folder()
    paths = []
    for i in range(2):
        paths.append(os.path.join(TMP.name, f"key{i}"))
        with open(paths[i], "w") as f:
            f.write(f"{i + 1:064x}\n")
        os.chmod(paths[i], 0o600)
    texts = []
    for key, known in ((paths[0], False), (paths[0], True), (paths[1], False), (None, False), (paths[0], True)):
        with Server("--cache-disk", "200M", "--cache-dir", d, *(("--cache-key-file", key) if key else ())) as s:
            text, tokens, cached = ask(s)
            texts.append((text, tokens))
            check((cached > 0) == known, f"key {key} finds what was written with it and nothing else", (cached, known))
    check(len(set(texts)) == 1, "the text is the same", texts)


def bound():
    d = folder()
    limit = 3_000_000
    with Server("--cache-disk", str(limit), "--cache-dir", d) as s:
        for i in range(8):
            ask(s, system=f"{i} " + SYSTEM, n=1)
    size = sum(os.path.getsize(f) for f in glob.glob(os.path.join(d, "*")))
    check(0 < size <= limit, "no more is kept than may be", size)


def two_at_once():
    d = folder()
    with Server("--cache-disk", "200M", "--cache-dir", d) as a, Server("--cache-disk", "200M", "--cache-dir", d) as b:
        text, tokens, _ = ask(a)
        until_written(d, tokens)
        other = ask(b)
        check(other == (text, tokens, (tokens - 1) // PAGE * PAGE), "one server takes over what another has computed", (other, text))
        for f in blocks(d):
            os.unlink(f)
        check(ask(a) == other and ask(b) == other, "files may be deleted while servers run")


def places():
    base = folder()
    old = os.environ.get("XDG_CACHE_HOME")
    os.environ["XDG_CACHE_HOME"] = base
    try:
        with Server("--cache-disk", "10M") as s:
            ask(s, n=1)
        with Server() as s:
            ask(s, n=1)
    finally:
        if old is None:
            del os.environ["XDG_CACHE_HOME"]
        else:
            os.environ["XDG_CACHE_HOME"] = old
    check(blocks(os.path.join(base, "hearth/prefixes")), "in the person's own cache folder", base)
    check(stat.S_IMODE(os.stat(os.path.join(base, "hearth/prefixes")).st_mode) == 0o700, "which is made for him alone")
    file = os.path.join(TMP.name, "file")
    open(file, "w").close()
    with Server("--cache-disk", "10M", "--cache-dir", os.path.join(file, "below")) as s:
        ask(s, n=1)
        got = ask(s, n=1)
        check(got[2] > 0, "a folder that cannot be made is no failure", got)
        status, err = s.stop()
        check(status == 0 and err.count("below") == 1, "but a line in the log", err)


def refused():
    open_folder = folder()
    os.mkdir(open_folder)
    os.chmod(open_folder, 0o777)
    bad_key = os.path.join(TMP.name, "bad")
    with open(bad_key, "w") as f:
        f.write("secret" * 3)
    for status, word, *args in ((USAGE, "cache-disk", "--cache-dir", folder()), (USAGE, "cache-disk", "--cache-key-file", bad_key),
                                (USAGE, "chmod", "--cache-disk", "1M", "--cache-dir", open_folder), (USAGE, "number of bytes", "--cache-disk", "much"),
                                (FORMAT, "64 hexadecimal", "--cache-disk", "1M", "--cache-dir", folder(), "--cache-key-file", bad_key),
                                (IO, "nowhere", "--cache-disk", "1M", "--cache-dir", folder(), "--cache-key-file", os.path.join(TMP.name, "nowhere"))):
        r = hearth("serve", "--port", "0", *args)
        check(r.status == status and word in r.err and "secret" not in r.err, f"refused: {args}", r)


run_tests(in_order, killed_between, killed_at_any_moment, keys, bound, two_at_once, places, refused)
finish()
