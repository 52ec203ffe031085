#!/usr/bin/env python3
"""serve.py: measures `hearth serve` beside the public peer's own server and writes SERVE.md. `make bench-serve` builds what it needs and calls it.

    bench/serve.py            measures what is not in serve.jsonl yet for this commit, then renders
    bench/serve.py --render   only renders what is there

Servers are started anew for each turn, so that every turn begins with an empty cache, and take turns (A B A B ...) on the same file and threads; a ratio is
that of two neighbours, and the median of such ratios is quoted. Settings come from the environment as those of run.py do, and:

    FORMATS                 of the model (Q8_0,Q4_K_M)
    PARTS                   shared,prefix,overhead,idle,row
    CLIENTS, PREFIX         16 clients whose prompts share 2000 tokens; each asks REQUESTS (2) times for ANSWER (64) tokens
    LONG                    tokens of the prefix that is asked for again (8000)
"""
import http.client
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from statistics import median

os.environ.setdefault("FORMATS", "Q8_0,Q4_K_M")
os.environ.setdefault("PARTS", "shared,prefix,overhead,idle,row")
import run  # noqa: E402
from render import percent, ratios, spread, table  # noqa: E402

CLIENTS, PREFIX = int(os.environ.get("CLIENTS", 16)), int(os.environ.get("PREFIX", 2000))
REQUESTS, ANSWER, OWN = int(os.environ.get("REQUESTS", 2)), int(os.environ.get("ANSWER", 64)), 40
LONG = int(os.environ.get("LONG", 8000))
PAIRS = int(os.environ.get("PAIRS", 3))
IDLE, ROW, ROW_WARM = 200, 1000, 200
OVERHEAD_TOKENS, OVERHEAD_TURNS = 400, 15
RESULTS = os.path.join(run.WORK, "serve.jsonl")
PEER_WAYS = (("-fa", "on"), ("-fa", "off"))
START_S, ANSWER_S = 300, 3600


# ---- servers ----

class Running:
    """A server's process, on a free port of 127.0.0.1."""
    def __init__(self, name, command, listening, cwd=None):
        self.name = name
        self.log = tempfile.TemporaryFile("w+b")
        self.p = subprocess.Popen([str(c) for c in command], stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, cwd=cwd)
        self.port = self.wait(listening)

    def wait(self, listening):
        end = time.monotonic() + START_S
        while time.monotonic() < end and self.p.poll() is None:
            self.log.seek(0)
            found = re.search(listening, self.log.read())
            if found:
                return int(found.group(1))
            time.sleep(0.02)
        self.log.seek(0)
        self.p.kill()
        raise RuntimeError(f"{self.name} does not listen: {self.log.read()[-600:].decode(errors='replace')}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.p.send_signal(signal.SIGTERM)
        try:
            self.p.wait(60)
        except subprocess.TimeoutExpired:
            self.p.kill()
            self.p.wait()

    def memory(self):
        """Resident bytes that are the process's own: not those of mapped files."""
        return 1024 * sum(int(line.split()[1]) for line in open(f"/proc/{self.p.pid}/status", encoding="utf-8") if line.startswith(("RssAnon", "RssShmem")))


def hearth(path=None, *more, context=0, parallel=CLIENTS):
    """path None: the embedded model."""
    command = [run.HEARTH, "serve", *([path] if path else []), "--port", 0, "--threads", run.THREADS, "--parallel", parallel, "--ledger", "none", "--responses", "none", *more]
    if context:
        command += ["--ctx", context]
    return Running("hearth", command, rb"listening on http://127\.0\.0\.1:(\d+)")


def peer_server(peer, path, context, way, parallel=CLIENTS):
    folder = os.path.dirname(peer.program)
    command = [os.path.join(folder, "llama-server"), "-m", path, "-t", run.THREADS, "-tb", run.THREADS, "--parallel", parallel, "-c", context * parallel, "--host", "127.0.0.1", "--port", free_port(),
               "--no-warmup", *way]
    return Running("peer", command, rb"listening on http://127\.0\.0\.1:(\d+)", cwd=folder)


def free_port():
    import socket
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


# ---- clients ----

def complete(server, prompt, tokens, seed=1, connection=None):
    """Streams one completion. Returns (seconds to the first token's event, seconds in all, usage)."""
    c = connection or http.client.HTTPConnection("127.0.0.1", server.port, timeout=ANSWER_S)
    body = {"prompt": prompt, "max_tokens": tokens, "stream": True, "stream_options": {"include_usage": True}, "ignore_eos": True, "temperature": 1.0, "seed": seed, "model": ""}
    if server.name == "hearth":
        del body["model"]
    begin = time.monotonic()
    c.request("POST", "/v1/completions", json.dumps(body), {"Content-Type": "application/json"})
    r = c.getresponse()
    if r.status != 200:
        raise RuntimeError(f"{server.name}: {r.status} {r.read()[:300]}")
    first, usage = None, None
    for line in r:
        if not line.startswith(b"data: {"):
            continue
        if first is None:
            first = time.monotonic() - begin
        if b'"usage"' in line:
            usage = json.loads(line[6:]).get("usage") or usage
    return first, time.monotonic() - begin, usage


WORDS = "amber river stone window quiet copper lantern meadow signal harvest violet anchor marble forest engine paper thunder velvet island compass".split()


def words(n, seed):
    r = random.Random(seed)
    return " ".join(r.choice(WORDS) + (f" {r.randrange(1000)}" if r.random() < 0.3 else "") for _ in range(n))


def text_of(path, tokens, seed):
    """A text of that many tokens, or one or two fewer: as many words of it as fit."""
    low, high, text = 1, tokens, words(tokens, seed).split(" ")
    while low < high:
        middle = (low + high + 1) // 2
        done = subprocess.run([run.HEARTH, "tokenize", path], input=" ".join(text[:middle]), text=True, check=True, stdout=subprocess.PIPE)
        if len(done.stdout.split()) <= tokens:
            low = middle
        else:
            high = middle - 1
    return " ".join(text[:low])


# ---- the measurements ----

def crowd(server, prefix):
    """All clients at once, each asking again when it was answered. Returns (tokens/s of all answers, seconds to the first token of each request)."""
    firsts, wrote, failures = [], [], []

    def client(i):
        try:
            for k in range(REQUESTS):
                first, _, usage = complete(server, prefix + "\n" + words(OWN, 1000 * i + k), ANSWER, seed=100 * i + k)
                firsts.append(first)
                wrote.append(usage["completion_tokens"])
        except (OSError, RuntimeError, TypeError, http.client.HTTPException) as e:
            failures.append(str(e))
    threads = [threading.Thread(target=client, args=(i,)) for i in range(CLIENTS)]
    begin = time.monotonic()
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    if failures:
        raise RuntimeError(failures[0])
    return {"tps": sum(wrote) / (time.monotonic() - begin), "first": sorted(firsts)}


def percentile(values, q):
    return sorted(values)[min(len(values) - 1, int(q * len(values)))]


def measure_shared(peer, key):
    path = run.model(key["shape"], key["format"])
    run.warm(path)
    prefix, context = text_of(path, PREFIX, 7), PREFIX + 4 * OWN + ANSWER + 256
    out, way = {"hearth": [], "peer": []}, None
    if peer:  # its faster way of running is measured
        trials = {}
        for w in PEER_WAYS:
            with peer_server(peer, path, context, w) as s:
                trials[w] = crowd(s, prefix)
        way = max(trials, key=lambda w: trials[w]["tps"])
        out["peer"].append(trials[way])
    for i in range(PAIRS):
        with hearth(path, context=context) as s:
            out["hearth"].append(crowd(s, prefix))
        if peer and i:  # the first one's is that of the trial: a turn of the peer takes minutes
            with peer_server(peer, path, context, way) as s:
                out["peer"].append(crowd(s, prefix))
    return {**out, "way": way}


def measure_prefix(_, key):
    path = run.model(key["shape"], key["format"])
    run.warm(path)
    cold, ram, disk = [], [], []
    for i in range(PAIRS):
        prefix = text_of(path, LONG, 100 + i)
        with tempfile.TemporaryDirectory(prefix="hearth-cache-", dir=run.WORK) as folder:
            more = ("--cache-dir", folder, "--cache-disk", "8G")
            with hearth(path, *more, context=LONG + 512) as s:
                _ = complete(s, "warm", 1)
                cold.append(complete(s, prefix + "\n" + words(8, 1), 1)[0])
                ram += [complete(s, prefix + "\n" + words(8, 2 + k), 1)[0] for k in range(3)]
            with hearth(path, *more, context=LONG + 512) as s:
                _ = complete(s, "warm", 1)
                disk.append(complete(s, prefix + "\n" + words(8, 9), 1)[0])
    return {"cold": cold, "ram": ram, "disk": disk}


def measure_overhead(_, key):
    """The embedded model, whose steps are so short that the rest shows: seconds a token of a stream, less those of the same engine in `hearth run`."""
    inside, outside = [], []
    with hearth(parallel=1) as s:
        connection = http.client.HTTPConnection("127.0.0.1", s.port, timeout=ANSWER_S)
        for k in range(OVERHEAD_TURNS + 1):
            first, whole, usage = complete(s, "Once upon a time", OVERHEAD_TOKENS, seed=k, connection=connection)
            done = subprocess.run([run.HEARTH, "run", "-p", "Once upon a time", "-n", str(OVERHEAD_TOKENS), "-t", str(run.THREADS), "--temp", "1", "--seed", str(k), "--ignore-eos", "--json"],
                                  check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
            t = json.loads(done.stdout)["timings"]
            if k:
                outside.append((whole - first) / (usage["completion_tokens"] - 1))
                inside.append(1 / t["generation_tps"])
    return {"stream": outside, "engine": inside}


def measure_idle(_, key):
    with hearth(parallel=8) as s:
        _ = complete(s, "Once upon a time", 16)
        before = s.memory()
        streams = []
        for k in range(IDLE):
            c = http.client.HTTPConnection("127.0.0.1", s.port, timeout=ANSWER_S)
            c.request("POST", "/v1/chat/completions", json.dumps({"messages": [{"role": "user", "content": f"Story {k}"}], "stream": True, "max_tokens": 200, "ignore_eos": True}), {"Content-Type": "application/json"})
            streams.append(c)
        most = 0
        for _ in range(20):
            most = max(most, s.memory())
            time.sleep(0.05)
        for c in streams:
            c.close()
    return {"before": before, "most": most}


def measure_row(_, key):
    with hearth(None, "--cache-ram", "8M", parallel=4) as s:
        def ask(k):
            c = http.client.HTTPConnection("127.0.0.1", s.port, timeout=ANSWER_S)
            c.request("POST", "/v1/chat/completions", json.dumps({"messages": [{"role": "user", "content": words(8, k)}], "max_tokens": 4}), {"Content-Type": "application/json"})
            if c.getresponse().status != 200:
                raise RuntimeError("a short request failed")
            c.close()
        for k in range(ROW_WARM):
            ask(k)
        before, begin = s.memory(), time.monotonic()
        for k in range(ROW):
            ask(10000 + k)
        return {"before": before, "after": s.memory(), "took": time.monotonic() - begin}


def plan():
    jobs = []
    for fmt in run.FORMATS if "shared" in run.PARTS else ():
        jobs.append((measure_shared, {"part": "shared", "shape": "qwen3-0.6b", "format": fmt, "clients": CLIENTS, "prefix": PREFIX}))
    if "prefix" in run.PARTS:
        jobs.append((measure_prefix, {"part": "prefix", "shape": "qwen3-0.6b", "format": run.FORMATS[0], "prefix": LONG}))
    for name, measure in (("overhead", measure_overhead), ("idle", measure_idle), ("row", measure_row)):
        if name in run.PARTS:
            jobs.append((measure, {"part": name}))
    return jobs


# ---- the report ----

def ms(x):
    return f"{1e3 * x:.1f} ms" if x < 1 else f"{x:.2f} s"


def shared_table(records):
    rows = []
    for r in records:
        a, b = r["hearth"], r["peer"]
        p95 = [[percentile(t["first"], 0.95) for t in side] for side in (a, b)]
        rows.append([r["key"]["format"], "all answers, tokens/s", f"{median([t['tps'] for t in a]):.1f}", f"{median([t['tps'] for t in b]):.1f}" if b else "–",
                     spread(ratios([t["tps"] for t in a], [t["tps"] for t in b])), "≥ 2 ×"])
        rows.append(["", "first token, 95th percentile", ms(median(p95[0])), ms(median(p95[1])) if b else "–", spread(ratios(*p95)), "≤ 0.5 ×"])
    head = ["format", "", "Hearth", "peer", "ratio (least–most)", "asked"]
    return [f"## {CLIENTS} clients that share {PREFIX:,} tokens\n", f"Shape qwen3-0.6b. All ask at once, {REQUESTS} times each, for {ANSWER} tokens behind the shared text and some words of their own; "
            "servers start with nothing cached.\n", table(head, rows)]


def prefix_table(records):
    r = records[-1]
    cold = median(r["cold"])
    rows = [["cold", ms(cold), "", ""]] + [[name, ms(median(r[k])), percent(median(r[k]) / cold, 2), asked] for name, k, asked in
                                           (("again, from memory", "ram", "≤ 1 %"), ("again after a restart, from disk", "disk", "≤ 10 %"))]
    return [f"## A prefix of {LONG:,} tokens that comes again\n", f"Shape qwen3-0.6b, {r['key']['format']}: time to the first token.\n", table(["", "first token", "of the cold time", "asked"], rows)]


def small_table(of):
    rows = []
    for r in of["overhead"][-1:]:
        rows.append(["server's share of a streamed token", f"{1e6 * (median(r['stream']) - median(r['engine'])):.0f} µs", "≤ 100 µs"])
    for r in of["idle"][-1:]:
        rows.append([f"{IDLE} idle streams", f"+ {(r['most'] - r['before']) / 1e6:.1f} MB", "≤ 100 MB"])
    for r in of["row"][-1:]:
        rows.append([f"{ROW:,} short requests in a row", f"{(r['after'] - r['before']) / 1e6:+.2f} MB in {r['took']:.1f} s", "no growth"])
    return ["## The server itself\n", "On the embedded model. Memory is the process's own, without mapped files.\n", table(["", "measured", "asked"], rows)]


def write(records):
    latest = list({str(r["key"]): r for r in records}.values())
    of = {name: [r for r in latest if r["key"]["part"] == name] for name in ("shared", "prefix", "overhead", "idle", "row")}
    m, dates = latest[-1]["run"]["machine"], sorted(r["when"] for r in latest)
    out = ["# Results of the server\n", "Written by `make bench-serve`, peer included.\n",
           table(["", ""], [["machine", f"{m['processor']}, {m['processors']} processors, {m['memory_gb']} GB, {m['system']}"], ["threads", str(m["threads"])], ["when", f"{dates[0]} to {dates[-1]} UTC"],
                            ["commit", ", ".join(dict.fromkeys(r["run"]["commit"] for r in latest))],
                            ["peer", f"llama-server, built from the sources in node-llama-cpp {m['peer']} on its prebuilt libraries, flash attention where faster" if m["peer"] else "none"]])]
    if of["shared"]:
        out += shared_table(of["shared"])
    if of["prefix"]:
        out += prefix_table(of["prefix"])
    if of["overhead"] or of["idle"] or of["row"]:
        out += small_table(of)
    with open(os.path.join(run.OUT, "SERVE.md"), "w", encoding="utf-8") as f:
        f.write("\n".join(out))


def load():
    return [json.loads(line) for line in open(RESULTS, encoding="utf-8") if line.strip()] if os.path.exists(RESULTS) else []


def find_peer():
    peer = run.find_peer()
    if not peer:
        return None
    done = subprocess.run(["sh", os.path.join(run.HERE, "peer", "server.sh"), os.path.dirname(peer.program)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if done.returncode == 0:
        return peer
    run.say(f"THE PEER'S SERVER CANNOT BE HAD, so there will be no ratios: {done.stderr.strip()[-400:]}")
    return None


def main():
    if "--render" not in sys.argv:
        peer = find_peer() if "shared" in run.PARTS else None
        mark = {"commit": run.commit(), "machine": run.machine(peer)}
        os.makedirs(run.WORK, exist_ok=True)
        for measure, key in plan():
            name = " ".join(str(v) for v in key.values())
            if any(r["key"] == key and r["run"] == mark for r in load()):
                run.say(f"{name}: is there")
                continue
            run.say(name)
            try:
                record = measure(peer, key)
            except (OSError, RuntimeError, ValueError, subprocess.CalledProcessError) as e:
                run.say(f"FAILED, and left out: {name}: {e}")
                continue
            record.update({"key": key, "run": mark, "when": time.strftime("%Y-%m-%d %H:%M", time.gmtime())})
            with open(RESULTS, "a", encoding="utf-8") as f:
                f.write(json.dumps(record) + "\n")
    if not load():
        sys.exit("bench: nothing has been measured")
    write(load())
    run.say(f"wrote {os.path.relpath(run.OUT, run.TOP)}/SERVE.md")


if __name__ == "__main__":
    main()
