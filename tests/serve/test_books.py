#!/usr/bin/env python3
"""test_books.py: the ledger that `hearth serve` writes: a row for each request of every dialect, equal to the usage that its reply told; who asked; clients that leave; a
reply's end waits for its row, so that kill -9 takes nothing that was acknowledged; a ledger that cannot be opened or written; and what /api/ledger makes of it."""
import concurrent.futures
import contextlib
import http.client
import json
import math
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from server import Server, wait_until  # noqa: E402
from hearth import FORMAT, IO, PROGRAM, SLOW, TMP, USAGE, check, finish, refused, tmp  # noqa: E402

HELLO = [{"role": "user", "content": "What is the capital of France?"}]
TALES = ["Once upon a time there was a harbour. " * 60, "A mountain, and no way around it. " * 60]
LONG = [{"role": "user", "content": "Tell me of the sea, of ships and of the harbour. " * 60}]


def path_of(s):
    return os.path.join(s.home, "state/hearth/ledger.db")


def rows(s, where="1", *values):
    with contextlib.closing(sqlite3.connect(f"file:{path_of(s)}?mode=ro", uri=True)) as db:
        db.row_factory = sqlite3.Row
        return [dict(r) for r in db.execute(f"SELECT * FROM request WHERE {where} ORDER BY id", values)]


# ---- one request in each dialect: (prompt, cached, written, out, reasoning) as the reply tells them

def openai_usage(u):
    return u["prompt_tokens"], u["prompt_tokens_details"]["cached_tokens"], None, u["completion_tokens"], u["completion_tokens_details"]["reasoning_tokens"]


def chat(s, agent, **more):
    return openai_usage(s.post("/v1/chat/completions", {"messages": HELLO, "max_tokens": 9, **more}, agent)[2]["usage"])


def chat_stream(s, agent, **more):
    body = {"messages": HELLO, "max_tokens": 9, "stream": True, "stream_options": {"include_usage": True}, **more}
    return openai_usage([json.loads(d) for _, d in s.stream("/v1/chat/completions", body, agent) if d != "[DONE]"][-1]["usage"])


def completions(s, agent, **more):
    return openai_usage(s.post("/v1/completions", {"prompt": "Once upon a time", "max_tokens": 7, **more}, agent)[2]["usage"])


def anthropic_usage(u):
    read, created = u["cache_read_input_tokens"], u["cache_creation_input_tokens"]
    return u["input_tokens"] + read + created, read, created, u["output_tokens"], u["output_tokens_details"]["thinking_tokens"]


def messages(s, agent, **more):
    return anthropic_usage(s.post("/v1/messages", {"model": "ember", "max_tokens": 9, "messages": HELLO, **more}, agent)[2]["usage"])


def messages_stream(s, agent):
    usage = {}
    for name, data in s.stream("/v1/messages", {"model": "ember", "max_tokens": 9, "messages": HELLO, "stream": True}, agent):
        data = json.loads(data)
        usage.update(data["message"]["usage"] if name == "message_start" else data.get("usage", {}))
    return anthropic_usage(usage)


def responses_usage(u):
    return u["input_tokens"], u["input_tokens_details"]["cached_tokens"], None, u["output_tokens"], u["output_tokens_details"]["reasoning_tokens"]


def responses(s, agent):
    return responses_usage(s.post("/v1/responses", {"input": "Once upon a time", "max_output_tokens": 16}, agent)[2]["usage"])


def responses_stream(s, agent):
    events = [json.loads(d) for _, d in s.stream("/v1/responses", {"input": "Once upon a time", "max_output_tokens": 16, "stream": True}, agent)]
    return responses_usage(events[-1]["response"]["usage"])


def ollama(s, agent, stream=False):
    c, r = s.request("POST", "/api/chat", {"model": "ember", "messages": HELLO, "stream": stream, "options": {"num_predict": 7}}, agent)
    with contextlib.closing(c):
        last = json.loads(r.read().splitlines()[-1])
    return last["prompt_eval_count"], None, None, last["eval_count"], None


REQUESTS = [
    ("openai", "/v1/chat/completions", chat), ("openai", "/v1/chat/completions", chat_stream), ("openai", "/v1/completions", completions),
    ("openai", "/v1/chat/completions", lambda s, agent: chat(s, agent, n=3, temperature=2)), ("openai", "/v1/chat/completions", lambda s, agent: chat_stream(s, agent, n=2)),
    ("openai", "/v1/chat/completions", lambda s, agent: chat(s, agent, messages=LONG)), ("openai", "/v1/chat/completions", lambda s, agent: chat_stream(s, agent, messages=LONG)),
    ("anthropic", "/v1/messages", messages), ("anthropic", "/v1/messages", messages_stream),
    ("anthropic", "/v1/messages", lambda s, agent: messages(s, agent, messages=LONG, system="Something new in front. " * 30)),
    ("openai", "/v1/responses", responses), ("openai", "/v1/responses", responses_stream), ("ollama", "/api/chat", ollama),
    ("ollama", "/api/chat", lambda s, agent: ollama(s, agent, stream=True)),
    *[("openai", "/v1/completions", lambda s, agent: completions(s, agent, prompt=TALES, n=2))] * 2,
]


def sums(s):
    """Rows against usage, request by request: each calls itself by a name of its own."""
    told = []
    for i, (_, _, ask) in enumerate(REQUESTS):
        told.append(ask(s, {"User-Agent": f"test-{i}/1.2 (some system)"}))
        got = rows(s, "client = ?", f"test-{i}")  # at once: the reply's end has waited for it
        dialect, endpoint, _ = REQUESTS[i]
        if not check(len(got) == 1, f"request {i} has its row", got):
            continue
        r = got[0]
        want = told[-1]
        have = (r["tokens_in"], r["tokens_cached"], r["tokens_written"], r["tokens_out"], r["tokens_reasoning"])
        check(all(w is None or h == w for h, w in zip(have, want)), f"request {i}: the row is what the reply told", (have, want))
        check((r["dialect"], r["endpoint"], r["model"], r["adapter"], r["status"]) == (dialect, endpoint, "ember", "", 200), f"request {i}: what it was", r)
        check(0 <= r["queued_us"] <= r["first_us"] <= r["total_us"] and r["first_us"] > 0 and abs(r["started_ms"] / 1000 - time.time()) < 600, f"request {i}: its times", r)
        check(r["bytes_in"] > 40 and r["bytes_out"] > 100 and r["energy"] in (1, 2) and r["energy_uj"] > 0, f"request {i}: its bytes and its energy", r)
    check(told[-1][1] > told[-1][0] / 2, "of several prompts that came again more than one was in the cache", told[-1])
    check(told[6][1] > 0 and told[9][2] > 0, "a prompt that came again was in the cache, and a new one went there", (told[6], told[9]))
    return [[n or 0 for n in t] for t in told]


def api_ledger(s, told):
    """What the page is told, against the sums of the usage, and against `hearth ledger`."""
    status, _, day = s.get("/api/ledger?by=day&since=2026-01-01")
    check(status == 200 and day["by"] == "day" and day["since"] == "2026-01-01" and day["energy"] in ("estimated", "measured") and day["electricity"] is True, "a report by day", day)
    check(sum(r["requests"] for r in day["rows"]) == len(told) and sum(r["tokens_in"] for r in day["rows"]) == sum(t[0] for t in told)
          and sum(r["tokens_cached"] for r in day["rows"]) == sum(t[1] for t in told) and sum(r["tokens_out"] for r in day["rows"]) == sum(t[3] for t in told), "its sums", day["rows"])
    model = s.get("/api/ledger?by=model&against=gpt-4o")[2]
    check([r["key"] for r in model["rows"]] == ["ember"] and model["against"] == "gpt-4o" and "gpt-4o" in [p["name"] for p in model["prices"]], "by model, against another", model)
    p = subprocess.run([PROGRAM, "ledger", "--by", "model", "--against", "gpt-4o", "--json"], env=s.environment(), capture_output=True, check=False)
    line, got = json.loads(p.stdout)["total"], model["rows"][0]
    check(got["cost_there"] == int(line["dollars_there"] * 1e6 + 0.5) and math.isclose(got["kwh"], line["joules"] / 3.6e6, rel_tol=1e-8) and got["tokens_out"] == line["tokens_out"], "hearth ledger says the same", (got, line))
    clients = [r["key"] for r in s.get("/api/ledger?by=client")[2]["rows"]]
    check(clients == sorted(f"test-{i}" for i in range(len(told))), "by client", clients)
    for query, word in [("", "by"), ("by=week", "by"), ("by=day&since=yesterday", "since"), ("by=day&since=2026-02-30", "since"), ("by=day&against=nobody", "against")]:
        status, _, r = s.get(f"/api/ledger?{query}")
        check(status == 400 and r["error"]["param"] == word, f"a wrong query is refused: {query}", (status, r))


def failures(s):
    """What is refused has a row too, and so has what nobody waited for; what was only counted has none."""
    def last(agent):
        found = rows(s, "client = ?", agent)
        return found[-1] if found else {}
    for agent, path, body, status in [("bad-1", "/v1/chat/completions", b"{", 400), ("bad-2", "/v1/chat/completions", {"messages": HELLO, "model": "nobody"}, 404),
                                      ("bad-3", "/v1/messages", {"model": "ember", "messages": HELLO}, 400)]:
        check(s.post(path, body, {"User-Agent": agent})[0] == status, "refused")
        r = last(agent)
        check(r.get("status") == status and r["tokens_in"] == r["tokens_out"] == r["energy_uj"] == 0 and r["bytes_out"] > 0, f"a row of what was refused: {agent}", r)
    n = len(rows(s))
    check(s.post("/v1/messages/count_tokens", {"model": "ember", "messages": HELLO})[0] == 200 and len(rows(s)) == n, "tokens that are only counted are no row")
    c, r = s.request("POST", "/v1/chat/completions", {"messages": HELLO, "stream": True, "max_tokens": 20000, "ignore_eos": True}, {"User-Agent": "leaver"})
    r.readline()
    c.sock.close()
    r.close()
    check(wait_until(lambda: rows(s, "client = 'leaver'")), "a client that left has a row")
    r = last("leaver")
    check(r.get("status") == 499 and r["tokens_in"] > 0 and 0 < r["tokens_out"] < 20000, "with what it took until then", r)
    for agent, client in [("Mozilla/5.0 (X11; Linux)", "browser"), ("OpenAI/Python 1.2", "OpenAI/Python"), ("claude-cli/1.0.3 (external)", "claude-cli"), ("", "127.0.0.1"), ("a\tb", "a\\x09b")]:
        chat(s, {"User-Agent": agent}, max_tokens=1)
        check(rows(s)[-1]["client"] == client, f"{agent!r} calls itself {client}", rows(s)[-1])


def embedded(s):
    """Vectors have a row too, with the energy that they took."""
    told = s.post("/v1/embeddings", {"model": "ember", "input": ["Once upon a time", "there was a harbour"] * 20}, {"User-Agent": "embeds"})[2]["usage"]
    r = rows(s, "client = 'embeds'")[0]
    check((r["tokens_in"], r["tokens_cached"], r["tokens_written"], r["tokens_out"], r["endpoint"], r["status"]) == (told["prompt_tokens"], 0, 0, 0, "/v1/embeddings", 200), "a row of vectors", r)
    check(r["energy"] in (1, 2) and r["energy_uj"] > 0 and 0 < r["queued_us"] <= r["total_us"], "its energy and its times", r)


def names_of_keys():
    keys = tmp("keys", "alice key-of-alice\nbob key-of-bob\n")
    os.chmod(keys, 0o600)
    with Server("--api-key-file", keys) as s:
        for name in ("alice", "bob"):
            chat(s, {"Authorization": f"Bearer key-of-{name}", "User-Agent": "x"})
        check([r["client"] for r in rows(s)] == ["alice", "bob"], "clients have the names of their keys", rows(s))
        with open(path_of(s) + "-wal", "rb") as f, open(path_of(s), "rb") as g:
            stored = f.read() + g.read()
        check(b"France" not in stored and b"key-of" not in stored and b"alice" in stored, "neither texts nor keys are stored")
        check(os.stat(path_of(s)).st_mode & 0o77 == 0, "nobody else may read it")


def capture():
    """The texts of the clients that are named, of whole answers, and of nobody else."""
    with Server("--capture", "shown", "--capture", "seen") as s:
        secret = [{"role": "user", "content": "A secret, \u20ac and \0 in it."}]
        chat(s, {"User-Agent": "hidden/1.0"}, messages=secret)
        chat(s, {"User-Agent": "showntoo"}, messages=secret)
        body = {"messages": HELLO, "max_tokens": 9, "n": 2, "seed": 3}
        told = s.post("/v1/chat/completions", body, {"User-Agent": "shown/1.0"})[2]
        text = "".join(json.loads(d)["delta"].get("text", "") for n, d in s.stream("/v1/messages", {"model": "ember", "max_tokens": 9, "messages": HELLO, "stream": True}, {"User-Agent": "seen"})
                       if n == "content_block_delta")
        s.post("/v1/chat/completions", b'{"messages": 5}', {"User-Agent": "seen"})
        with contextlib.closing(sqlite3.connect(path_of(s))) as db:
            kept = db.execute("SELECT client, asked, answered FROM request JOIN capture ON request.id = capture.request ORDER BY id").fetchall()
            check(db.execute("SELECT count(*) FROM request").fetchone()[0] == 5 and [k[0] for k in kept] == ["shown", "seen"], "who is captured", kept)
        check(json.loads(kept[0][1]) == body and [a["content"] for a in json.loads(kept[0][2])] == [c["message"]["content"] for c in told["choices"]], "what was asked and answered", kept[0])
        check([(a["content"], a["end"], a["calls"]) for a in json.loads(kept[1][2])] == [(text, "length", [])], "of a stream too", kept[1])
        s.stop()
        with open(path_of(s), "rb") as f:
            check(b"secret" not in f.read(), "and nothing of others")
    refused(USAGE, "capture", "serve", "--port", "0", "--ledger", "none", "--capture", "x")


def adapters():
    from test_adapters import write_gguf
    folder = os.path.join(TMP.name, "adapters")
    os.makedirs(folder, exist_ok=True)
    write_gguf(os.path.join(folder, "one.gguf"), 1)
    with Server("--adapters-dir", folder) as s:
        check(s.get("/api/machine")[2]["adapters"] == [], "no adapter is open yet")
        told = chat(s, {"User-Agent": "adapted"}, model="one")
        r = rows(s)[-1]
        check((r["model"], r["adapter"], r["tokens_in"], r["tokens_out"]) == ("ember", "one", told[0], told[3]), "an answer of an adapter names both", r)
        machine = s.get("/api/machine")[2]
        check([(a["name"], a["model"]) for a in machine["adapters"]] == [("one", "ember")] and machine["adapters"][0]["bytes"] > 1000, "and the machine shows it", machine)


def the_end_waits(s):
    """While somebody else holds the file, no reply ends. The ledger waits five seconds for it and then gives the row up."""
    db = sqlite3.connect(path_of(s), isolation_level=None)
    db.execute("BEGIN IMMEDIATE")
    c, r = s.request("POST", "/v1/chat/completions", {"messages": HELLO, "stream": True, "max_tokens": 1, "ignore_eos": True}, {"User-Agent": "waits"})
    first = b""
    while b'"content"' not in first.replace(b'"content": ""', b""):
        first = r.readline()
    c.sock.settimeout(0.7)
    rest, early = b"", False
    try:
        while b"finish_reason\": \"" not in rest:
            rest += r.readline()
        early = True
    except TimeoutError:
        pass
    db.execute("ROLLBACK")
    check(not early, "the end of a stream does not come before its row is written", rest)
    # http.client cannot go on after a time out: the row says that the reply was complete
    check(wait_until(lambda: rows(s, "client = 'waits'")) and rows(s, "client = 'waits'")[0]["status"] == 200, "then the row is written")
    c.close()
    lost = metric(s, 'hearth_ledger_rows_total{result="lost"}')
    db.execute("BEGIN IMMEDIATE")
    usage = chat(s, {"User-Agent": "lost"})
    db.execute("ROLLBACK")
    db.close()
    check(usage[3] > 0 and not rows(s, "client = 'lost'") and metric(s, 'hearth_ledger_rows_total{result="lost"}') == lost + 1, "a row that cannot be written costs no answer, and is counted", usage)


def ending():
    """A server that must end at once while a row is on its way: the row is written, and nothing goes before it that it holds."""
    with Server() as s:
        chat(s, {})
        with contextlib.closing(sqlite3.connect(path_of(s), isolation_level=None)) as db:
            db.execute("BEGIN IMMEDIATE")
            c, r = s.request("POST", "/v1/chat/completions", {"messages": HELLO, "stream": True, "max_tokens": 1, "ignore_eos": True}, {"User-Agent": "late"})
            while b'"content"' not in r.readline().replace(b'"content": ""', b""):
                pass
            wait_until(lambda: not s.get("/slots")[2])
            s.p.send_signal(signal.SIGTERM)
            time.sleep(0.1)
            s.p.send_signal(signal.SIGTERM)
            check(not ended_well(r), "the reply is cut")
            time.sleep(0.2)
            db.execute("ROLLBACK")
        c.close()
        check(s.stop()[0] == 0 and [x["status"] for x in rows(s, "client = 'late'")] == [200], "it ends in order, with the row", rows(s))


def ended_well(r):
    try:
        return b"[DONE]" in r.read()
    except (OSError, http.client.HTTPException):
        return False


def metric(s, name):
    found = re.search(rf"^{re.escape(name)} (\S+)$", s.get("/metrics")[2].decode(), re.M)
    return float(found[1]) if found else 0


def killed():
    """The process is killed again and again while clients get answers: every answer that one of them saw end has its row."""
    home, acknowledged, i = os.path.join(TMP.name, "killed"), [], 0
    for turn in range(4):
        s = Server(home=home).__enter__()

        def client(k):
            mine, n = [], 0
            while True:
                name, n = f"c{turn}-{k}-{n}", n + 1
                try:
                    (chat if k % 2 else chat_stream)(s, {"User-Agent": name}, max_tokens=1 + n % 3)
                except (OSError, http.client.HTTPException, ValueError, IndexError, KeyError, TypeError):  # cut off somewhere
                    return mine
                mine.append(name)
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            clients = [pool.submit(client, k) for k in range(4)]
            patience = time.monotonic() + 20 * SLOW
            while not (os.path.exists(path_of(s)) and len(rows(s)) > 40 * (turn + 1)) and time.monotonic() < patience:
                time.sleep(0.01)
            s.p.send_signal(signal.SIGKILL)
            for c in clients:
                acknowledged += c.result()
        s.p.communicate()
    kept = {r["client"] for r in rows(s)}
    missing = [a for a in acknowledged if a not in kept]
    check(len(acknowledged) >= 8 and not missing, f"{len(acknowledged)} answers were seen to end before kill -9, and all are in the ledger", missing)
    with contextlib.closing(sqlite3.connect(path_of(s))) as db:
        check(db.execute("PRAGMA integrity_check").fetchone()[0] == "ok", "the file is whole")


def opening():
    refused(FORMAT, "--ledger none", "serve", "--port", "0", "--ledger", tmp("text.db", "This is no ledger at all, but a text."))
    refused(IO, "--ledger none", "serve", "--port", "0", "--ledger", TMP.name)
    os.makedirs(os.path.join(TMP.name, "config/hearth"))
    prices = tmp("config/hearth/prices.ini", "[settings]\nwatts = many\n")
    refused(FORMAT, f"{prices}:2", "serve", "--port", "0")
    os.remove(prices)
    with Server("--ledger", "none") as s:
        check(chat(s, {})[3] > 0 and s.get("/api/ledger?by=day")[0] == 404 and not os.path.exists(path_of(s)), "a server without a ledger answers, and writes nothing")
    other = tmp("folder/other.db", None)
    with Server("--ledger", other) as s:
        chat(s, {})
        check(os.path.exists(other) and not os.path.exists(path_of(s)), "a ledger elsewhere")
    with Server("--config", tmp("serve.ini", f"[server]\nledger = {other}\n")) as s:
        chat(s, {})
        with contextlib.closing(sqlite3.connect(other)) as db:
            check(db.execute("SELECT count(*) FROM request").fetchone()[0] == 2, "by the file of settings, and it goes on")


def main():
    with Server() as s:
        api_ledger(s, sums(s))
        failures(s)
        embedded(s)
        the_end_waits(s)
        status, err = s.stop()
        check(status == 0 and "missing in the ledger" in err, "it ends in order, and has told of the row that was lost", (status, err))
    ending()
    names_of_keys()
    capture()
    adapters()
    killed()
    opening()
    finish()


if __name__ == "__main__":
    main()
