#!/usr/bin/env python3
"""test_own.py: what only Hearth has over HTTP: the files of the page, /slots, /metrics (read by a parser of our own and, where Python has it, by prometheus_client),
/api/machine, /health, and who may see them."""
import concurrent.futures
import gzip
import http.client
import math
import os
import re
import signal
import socket
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from server import Server, wait_until  # noqa: E402
from hearth import TOP, check, finish, tmp  # noqa: E402

DIST = os.path.join(TOP, "web/dist")
HELLO = [{"role": "user", "content": "What is the capital of France?"}]
FOREVER = {"messages": HELLO, "stream": True, "max_tokens": 20000, "ignore_eos": True}


def page_headers():
    with open(os.path.join(TOP, "src/serve/page.c"), encoding="utf-8") as f:
        return re.findall(r'^    \{"([^"]+)", "([^"]*)"\}', f.read(), re.M)


def files(s):
    for name in sorted(os.listdir(DIST)):
        path = "/" if name == "index.html" else f"/{name}"
        status, headers, body = s.get(path)
        with open(os.path.join(DIST, name), "rb") as f:
            want = f.read()
        check(status == 200 and gzip.decompress(body) == want and headers["Content-Encoding"] == "gzip" and headers["Vary"] == "Accept-Encoding", f"{path} is web/dist/{name}", (status, headers))
        check(all(headers.get(n) == v for n, v in page_headers()) and "no-store" not in headers["Cache-Control"] and headers["X-Content-Type-Options"] == "nosniff", f"{path}: its headers", headers)
        etag = headers["ETag"]
        for known in (etag, f'"x", W/{etag}', "*"):
            status, headers, body = s.get(path, {"If-None-Match": known})
            check(status == 304 and not body and headers["ETag"] == etag and "Content-Security-Policy" in headers and "Content-Type" not in headers, f"{path}: nothing new for {known}", (status, headers))
        check(s.get(path, {"If-None-Match": '"x"'})[0] == 200, f"{path}: another etag")
        c, r = s.request("HEAD", path)
        check(r.status == 200 and not r.read() and int(r.headers["Content-Length"]) > 0 and r.headers["ETag"] == etag, f"HEAD {path}")
        c.close()
    for coding, status in [("gzip;q=0", 406), ("identity, gzip; q=0.000", 406), ("*;q=0", 406), ("gzip, *;q=0", 200), ("br", 200), ("gzip;q=0.001", 200), ("", 200), (",;,gzip;q=", 200)]:
        check(s.get("/app.js", {"Accept-Encoding": coding})[0] == status, f"Accept-Encoding: {coding}")
    check([s.get(p)[0] for p in ("/index.html", "/app.js/", "/../app.js", "//")] == [404] * 4 and s.post("/", {})[0] == 405, "nothing else")


# ---- Prometheus' text format, as its documentation has it

SAMPLE = re.compile(r'([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{((?:[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\[\\"n])*",?)*)\})? (\S+)')


def parsed(text):
    """name -> {labels: value}; anything that is not as it should be is an error."""
    types, samples = {}, {}
    if not text.endswith("\n"):
        raise ValueError("the last line has no end")
    for line in text.split("\n")[:-1]:
        if line.startswith("# HELP "):
            name = line.split(" ")[2]
            if name in types:
                raise ValueError(f"{name} comes twice")
        elif line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            types[name] = kind
        else:
            m = SAMPLE.fullmatch(line)
            family = m and re.sub("_(bucket|sum|count)$", "", m[1])
            if not m or not (m[1] in types or types.get(family) == "histogram") or not m[1].startswith("hearth_"):
                raise ValueError(line)
            labels = tuple(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', m[2] or ""))
            if labels in samples.setdefault(m[1], {}):
                raise ValueError(f"twice: {line}")
            samples[m[1]][labels] = float(m[3])
    for name, kind in types.items():
        if kind == "histogram":
            check_histogram(name, samples)
        elif kind == "counter" and not (name.endswith("_total") and all(v >= 0 for v in samples.get(name, {}).values())):
            raise ValueError(f"{name} is no counter")
    return samples


def check_histogram(name, samples):
    for labels, count in samples.get(f"{name}_count", {}).items():
        buckets = [(float(dict(k)["le"]), v) for k, v in samples[f"{name}_bucket"].items() if tuple(x for x in k if x[0] != "le") == labels]
        if [b for b, _ in buckets] != sorted({b for b, _ in buckets}) or [v for _, v in buckets] != sorted(v for _, v in buckets) or buckets[-1] != (math.inf, count):
            raise ValueError(f"{name}: buckets")
        if labels not in samples[f"{name}_sum"]:
            raise ValueError(f"{name}: no sum")


def metrics_of(s, headers=None):
    status, head, body = s.get("/metrics", headers)
    check(status == 200 and head["Content-Type"].startswith("text/plain; version=0.0.4"), "metrics", (status, head))
    return parsed(body.decode())


def value(m, name, **labels):
    return sum(v for k, v in m.get(name, {}).items() if labels.items() <= dict(k).items())


def metrics(s, rows):
    """rows: requests so far that are rows of the ledger. Those whose clients left are written when nobody waits for it any more."""
    check(wait_until(lambda: value(metrics_of(s), "hearth_ledger_rows_total", result="written") == rows), "rows of those who left", rows)
    before = metrics_of(s)
    told = [0, 0, 0]
    n = 5
    for i in range(n):
        text = HELLO if i else [{"role": "user", "content": "Of the sea and of ships. " * 60}]
        for _ in range(2 if i == 0 else 1):
            usage = s.post("/v1/chat/completions", {"messages": text, "max_tokens": 5, "ignore_eos": True})[2]["usage"]
            told = [told[0] + usage["prompt_tokens"], told[1] + usage["prompt_tokens_details"]["cached_tokens"], told[2] + usage["completion_tokens"]]
    s.post("/v1/messages", b"{")
    m = metrics_of(s)

    def more(name, **labels):
        return value(m, name, **labels) - value(before, name, **labels)
    check(more("hearth_requests_total", endpoint="/v1/chat/completions", status="200", model="ember") == n + 1 and more("hearth_requests_total", endpoint="/v1/messages", status="400") == 1,
          "requests by endpoint, status and model", m["hearth_requests_total"])
    check([more("hearth_prompt_tokens_total", model="ember"), more("hearth_prompt_tokens_cached_total"), more("hearth_generated_tokens_total")] == told and told[1] > 0, "tokens are those of the usage", told)
    for name in ("hearth_first_token_seconds", "hearth_token_seconds", "hearth_queue_seconds"):
        check(more(f"{name}_count", model="ember") == n + 1 and more(f"{name}_sum") > 0, name, m[f"{name}_count"])
    check(more("hearth_cache_lookups_total", result="hit") == 1 and more("hearth_cache_lookups_total", result="miss") == n, "hits of the cache", m["hearth_cache_lookups_total"])
    check(value(m, "hearth_cache_bytes") > 0 and value(m, "hearth_cache_limit_bytes") == 2 << 30, "the cache", m["hearth_cache_bytes"])
    check(value(m, "hearth_model_bytes", kind="weights", model="ember") > 1e6 and value(m, "hearth_model_bytes", kind="buffers") > 0, "memory of models", m["hearth_model_bytes"])
    check(value(m, "hearth_energy_joules_total") > 0 and more("hearth_ledger_rows_total", result="written") == n + 2, "energy and the ledger", m["hearth_energy_joules_total"])
    check(value(m, "hearth_connections") >= 1 and value(m, "hearth_memory_bytes") > 1e6 and value(m, "hearth_uptime_seconds") > 0, "the process", m["hearth_connections"])
    try:
        from prometheus_client.parser import text_string_to_metric_families
    except ImportError:
        print("SKIPPED: prometheus_client: make oracles")
        return
    theirs = {(x.name, tuple(sorted(x.labels.items()))): x.value for f in text_string_to_metric_families(s.get("/metrics")[2].decode()) for x in f.samples}
    check(theirs[("hearth_prompt_tokens_total", (("model", "ember"),))] == m["hearth_prompt_tokens_total"][(("model", "ember"),)], "prometheus_client reads the same")


def slots_and_machine(s):
    check(s.get("/slots")[2] == [], "nobody is answered")
    machine = s.get("/api/machine")[2]
    memory, model = machine["memory"], machine["models"][0]
    check(re.fullmatch(r"\d+\.\d+\.\d+", machine["version"]) and machine["uptime_s"] >= 0 and machine["adapters"] == [], "the machine", machine)
    check(memory["total"] > memory["hearth"] > 1e6 and memory["available"] > 0 and machine["cache"]["ram_limit"] == 2 << 30, "its memory", machine)
    check((model["name"], model["state"], model["bytes_kv"]) == ("ember", "ready", 0) and model["bytes_weights"] > 1e6 and model["context"] > 1000, "its models", model)
    streams = [s.request("POST", "/v1/chat/completions", FOREVER, {"User-Agent": f"streamer-{i}"}) for i in range(3)]
    for _, r in streams:
        r.readline()
    wait_until(lambda: all(x["tokens"] > 50 for x in s.get("/slots")[2]))
    slots = s.get("/slots")[2]
    check([x["client"] for x in slots] == ["streamer-0", "streamer-1", "streamer-2"], "those who are answered, the oldest first", slots)
    check(all(x["state"] == "generating" and x["model"] == "ember" and x["tokens_prompt"] > 5 and x["tokens_cached"] == 0 and x["tokens"] > 50 and x["tokens_per_second"] > 0 for x in slots)
          and len({x["id"] for x in slots}) == 3, "how far they are", slots)
    check(s.get("/api/machine")[2]["models"][0]["bytes_kv"] > 0 and value(metrics_of(s), "hearth_jobs_live") == 3, "what they take")
    for c, r in streams:
        c.sock.close()
        r.close()
    check(wait_until(lambda: s.get("/slots")[2] == []), "who has left is gone", s.get("/slots")[2])


def waiting():
    with Server("--parallel", "1", "--cache-disk", "1G", "--cache-dir", tmp("prefixes", None)) as s:
        check(s.get("/api/machine")[2]["cache"]["disk_limit"] == 10 ** 9, "the cache on disk is told of", s.get("/api/machine")[2]["cache"])
        c, r = s.request("POST", "/v1/chat/completions", FOREVER)
        r.readline()
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            second = pool.submit(s.post, "/v1/chat/completions", {"messages": HELLO, "max_tokens": 2})
            check(wait_until(lambda: [x["state"] for x in s.get("/slots")[2]] == ["generating", "queued"]), "one is answered, the other waits", s.get("/slots")[2])
            check(wait_until(lambda: value(metrics_of(s), "hearth_jobs_waiting") == 1), "and is counted")
            c.sock.close()
            r.close()
            check(second.result()[0] == 200, "and has its turn")


def keys():
    path = tmp("own-keys", "me the-key\n")
    os.chmod(path, 0o600)
    with Server("--api-key-file", path) as s:
        check([s.get(p)[0] for p in ("/", "/app.js", "/app.css", "/theme.js", "/icon.svg", "/licences.txt", "/health")] == [200] * 7, "the page needs no key: it asks for one")
        for p in ("/slots", "/metrics", "/api/machine", "/api/ledger?by=day"):
            status, _, r = s.get(p)
            check(status == 401 and "key" in r["error"]["message"] and s.get(p, {"Authorization": "Bearer the-key"})[0] == 200, f"{p} needs one", (status, r))


def health():
    """A server that stops answers what was begun: a request of which a part has come."""
    with Server() as s:
        check(s.get("/health")[::2] == (200, {"status": "ok"}), "healthy")
        with socket.create_connection((s.host, s.port), 60) as c:
            c.sendall(b"GET /health HTTP/1.1\r\n")
            wait_until(lambda: value(metrics_of(s), "hearth_connections") == 2)  # its own is the other
            s.p.send_signal(signal.SIGTERM)
            wait_until(lambda: refuses(s))
            c.sendall(b"Host: localhost\r\n\r\n")
            r = http.client.HTTPResponse(c)
            r.begin()
            check(r.status == 503 and r.headers["Retry-After"] and b"stopping" in r.read(), "a server that stops says so", r.status)
        check(s.stop()[0] == 0, "and ends in order")


def refuses(s):
    try:
        socket.create_connection((s.host, s.port), 5).close()
        return False
    except OSError:
        return True


def main():
    with Server() as s:
        s.post("/v1/completions", {"prompt": "Once", "max_tokens": 1})
        files(s)
        slots_and_machine(s)
        metrics(s, 4)
        check(s.stop()[0] == 0, "it ends in order")
    waiting()
    keys()
    health()
    finish()


if __name__ == "__main__":
    main()
