#!/usr/bin/env python3
"""test_models.py: several models behind one `hearth serve`: opened when they are asked for, closed by age and by memory, refused with the numbers when they cannot fit; files that come,
go and change, at SIGHUP and in between, while streams go on; adapters that say for which model they are; many clients that ask for a model that is not open."""
import concurrent.futures
import os
import re
import shutil
import signal
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from server import Server, wait_until  # noqa: E402
from hearth import EMBER, MEMORY, TMP, check, finish, hearth, refused  # noqa: E402
from test_adapters import complete, listed, message_of, said, write_gguf, write_peft  # noqa: E402

FOLDER = os.path.join(TMP.name, "models")
ADAPTERS = os.path.join(TMP.name, "adapters")
OTHER = os.path.join(TMP.name, "other.gguf")  # the same model, more coarsely: it says something else


def put(source, name):
    """In place at once, as a careful program does it."""
    path = os.path.join(FOLDER, name)
    shutil.copy(source, path + ".new")
    os.replace(path + ".new", path)
    return path


def state(s, name):
    return listed(s).get(name, {}).get("state")


def open_names(s):
    return {k for k, m in listed(s).items() if m["state"] == "loaded"}


def on_demand():
    with Server("--models-dir", FOLDER, "--keep-alive", "1h") as s:
        check(list(listed(s)) == ["a", "b", "c", "split"] and not open_names(s), "a folder's models are there and none is open", listed(s))
        one, two = said(complete(s, "a")), said(complete(s, "b"))
        check(one["text"] and open_names(s) == {"a", "b"}, "two are open", open_names(s))
        check(said(complete(s, "")) == one and said(complete(s, None)) == one, "the first one is the default")
        check(two != one and said(complete(s, "split")) == one, "each is its own file", (one, two))
        with concurrent.futures.ThreadPoolExecutor(16) as threads:
            replies = list(threads.map(lambda i: said(complete(s, "abc"[i % 3])), range(24)))
            check(all(replies[i] == replies[i % 3] for i in range(24)) and replies[0] == one and replies[1] == two, "many clients and three models at once", replies)
        check(s.stop()[0] == 0, "it ends")


def by_age():
    with Server(EMBER, "--models-dir", FOLDER, "--keep-alive", "0.3") as s:
        check(said(complete(s, "a"))["text"] and state(s, "ember") == "loaded", "open")
        check(wait_until(lambda: state(s, "a") == "not-loaded"), "a model that nobody uses is closed", listed(s))
        check(state(s, "ember") == "loaded", "one that was named stays")
        events = s.stream("/v1/completions", {"model": "b", "prompt": "Once", "max_tokens": 400, "temperature": 0, "ignore_eos": True, "stream": True})
        data = [d for _, d in events]
        check(len(data) > 300 and data[-1] == "[DONE]", "one in use is not closed", data[-2:])
        check(wait_until(lambda: state(s, "b") == "not-loaded") and said(complete(s, "b"))["text"], "afterwards it is, and opened again")
    with Server("--models-dir", FOLDER, "--keep-alive", "0") as s:
        check(said(complete(s, "a")) == said(complete(s, "a")) and wait_until(lambda: not open_names(s)), "without keeping anything")
        with concurrent.futures.ThreadPoolExecutor(40) as threads:
            replies = list(threads.map(lambda i: said(complete(s, ("a", "b", "c", "split")[i % 4], max_tokens=2)), range(120)))
            check(all(isinstance(r, dict) and r == replies[i % 4] for i, r in enumerate(replies)), "forty clients, and models that are opened and closed all the time", replies[:4])
        check(wait_until(lambda: not open_names(s)) and s.stop()[0] == 0, "and all are closed in the end")
    with tempfile.TemporaryDirectory() as empty, Server("--models-dir", empty, "--adapters-dir", empty) as s:
        check(complete(s, "a")[0] == 404 and complete(s, "")[0] == 404 and s.get("/v1/models")[2]["data"] == [], "empty folders")
        status, err = s.stop()
        check(status == 0 and err.count("no model in it") == 1 and empty in err, "are told of", err)
    refused(3, "no-such-folder", "serve", "--port", 0, "--adapters-dir", "/no-such-folder")
    for value in ("", "soon", "5 m"):
        refused(2, "keep-alive", "serve", "--port", 0, "--keep-alive", value)


def by_memory():
    size = os.path.getsize(EMBER)
    text = hearth("inspect", EMBER, "--json").json["memory"]
    check(text["weights"] == size, "inspect tells the same size", text)
    r = refused(MEMORY, "MB", "serve", EMBER, "--port", 0, "--memory", size // 2)
    check(f"{size / 1e6:.1f} MB" in r.err and f"{size // 2 / 1e6:.1f} MB" in r.err, "a model that cannot fit is refused with the numbers", r)
    with Server("--models-dir", FOLDER, "--memory", size // 2, "--threads", 1) as s:
        reply = complete(s, "a")
        check(reply[0] == 503 and f"{size / 1e6:.1f} MB" in message_of(reply) and "Retry-After" in reply[1], "also when it is asked for", reply)
        check(not open_names(s), "and is not open then")
    need = size + buffers()
    with Server("--models-dir", FOLDER, "--memory", 2 * need + need // 2, "--threads", 1) as s:
        one = said(complete(s, "a"))
        check(said(complete(s, "b"))["text"] and said(complete(s, "a")) == one and open_names(s) == {"a", "b"}, "two fit", open_names(s))
        check(said(complete(s, "split")) == one and open_names(s) == {"a", "split"}, "the one unused for longest gives way", open_names(s))
        events = s.stream("/v1/completions", {"model": "a", "prompt": "Once", "max_tokens": 400, "temperature": 0, "ignore_eos": True, "stream": True})
        other = s.stream("/v1/completions", {"model": "split", "prompt": "Once", "max_tokens": 400, "temperature": 0, "ignore_eos": True, "stream": True})
        next(events), next(other)
        reply = complete(s, "b")
        check(reply[0] in (200, 503) and (reply[0] == 200 or "others use" in message_of(reply)), "while both are in use there is no room", reply)
        check([d for _, d in events][-1] == "[DONE]" and [d for _, d in other][-1] == "[DONE]", "who uses one is not disturbed")
        check(wait_until(lambda: complete(s, "b")[0] == 200), "then there is")


def buffers():
    """What an open model takes beside its file, rounded up: as much as a server that has just too little says."""
    size = os.path.getsize(EMBER)
    r = hearth("serve", EMBER, "--port", 0, "--memory", size + 1000, "--threads", 1)
    found = re.search(r"needs ([\d.]+) MB, but models may take", r.err)
    check(r.status == MEMORY and found, "what is needed is said", r)
    return int(float(found[1]) * 1e6) + 50000 - size if found else size


def files():
    with Server("--models-dir", FOLDER, "--adapters-dir", ADAPTERS, "--keep-alive", "never") as s:
        one, two = said(complete(s, "a")), said(complete(s, "b"))
        events = s.stream("/v1/completions", {"model": "c", "prompt": "Once", "max_tokens": 600, "temperature": 0, "ignore_eos": True, "stream": True})
        begin = next(events)
        put(OTHER, "a.gguf")
        check(said(complete(s, "a")) == two, "a file that was replaced is opened anew when it is asked for")
        put(EMBER, "a.gguf")
        put(EMBER, "new.gguf")
        odd = [os.path.join(os.fsencode(FOLDER), name) for name in (b"\xff.gguf", b"a\nb.gguf", b".hidden.gguf", b"x-00002-of-00002.gguf", b"text.txt")]
        for path in odd:
            os.symlink(EMBER, path)
        os.mkdir(os.path.join(FOLDER, "folder.gguf"))
        os.remove(os.path.join(FOLDER, "b.gguf"))
        os.remove(os.path.join(FOLDER, "c.gguf"))
        write_gguf(os.path.join(ADAPTERS, "young.gguf"), 70)
        check(complete(s, "new")[0] == 404 and complete(s, "b")[0] == 200 and complete(s, "young")[0] == 404, "before SIGHUP names stay as they were")
        s.p.send_signal(signal.SIGHUP)
        check(wait_until(lambda: "new" in listed(s)), "afterwards a new file is there")
        check(wait_until(lambda: "young" in listed(s)) and listed(s).keys() == {"a", "new", "split", "young"}, "and those that have gone are not, nor what is none", listed(s).keys())
        check(said(complete(s, "a")) == one and said(complete(s, "new")) == one and complete(s, "b")[0] == 404 and complete(s, "c")[0] == 404, "what is there can be used")
        check(complete(s, "new:young")[0] == 200, "the new adapter too")
        check(s.get("/props?model=new:young")[2]["model_alias"] == "new", "and the properties of its model can be had by its name")
        with open(os.path.join(FOLDER, "new.gguf"), "r+b") as out:
            out.truncate(1000)
        reply = complete(s, "new")
        check(reply[0] == 400 and "new.gguf" in message_of(reply) and said(complete(s, "a")) == one, "a file that was cut while it was open does not take the server with it", reply)
        put(EMBER, "new.gguf")
        check(said(complete(s, "new")) == one, "whole again")
        rest = [d for _, d in events]
        check(begin and rest[-1] == "[DONE]" and '"length"' in rest[-2], "a stream from a file that has gone goes on to its end", rest[-2:])
        os.remove(os.path.join(ADAPTERS, "young.gguf"))
        s.p.send_signal(signal.SIGHUP)
        check(wait_until(lambda: "young" not in listed(s)) and complete(s, "new:young")[0] == 404, "an adapter that has gone")
        with open(os.path.join(FOLDER, "broken.gguf"), "wb") as out:
            out.write(b"GGUF" + bytes(50))
        s.p.send_signal(signal.SIGHUP)
        check(wait_until(lambda: "broken" in listed(s)), "a file that is none is known")
        with concurrent.futures.ThreadPoolExecutor(8) as threads:
            replies = list(threads.map(lambda i: complete(s, "broken"), range(8)))
            check(all(r[0] == 400 and "broken.gguf" in message_of(r) for r in replies), "and whoever asks for it hears why", replies)
        check(said(complete(s, "a")) == one and s.stop()[0] == 0, "all goes on, and ends")
    for path in odd:
        os.remove(path)
    put(OTHER, "b.gguf"), put(EMBER, "c.gguf")
    os.remove(os.path.join(FOLDER, "new.gguf")), os.remove(os.path.join(FOLDER, "broken.gguf"))


def whose():
    """Adapters that say for which of the models they are."""
    write_peft(os.path.join(ADAPTERS, "forb"), 71, base_model_name_or_path="somebody/B")
    write_gguf(os.path.join(ADAPTERS, "fora.gguf"), 72, **{"general.base_model.0.repo_url": "https://example.com/somebody/A"})
    write_gguf(os.path.join(ADAPTERS, "silent.gguf"), 73)
    write_gguf(os.path.join(ADAPTERS, "stranger.gguf"), 74, **{"general.base_model.0.name": "Somebody Else 7B"})
    with Server("--models-dir", FOLDER, "--adapters-dir", ADAPTERS) as s:
        models = listed(s)
        check([models[n]["parent"] for n in ("fora", "forb", "silent", "stranger")] == ["a", "b", None, None], "the models that adapters are for", models)
        check(said(complete(s, "forb")) == said(complete(s, "b:forb")) != said(complete(s, "a:forb")), "on the one it was trained on")
        check(said(complete(s, "fora")) == said(complete(s, "split:fora")), "or on another that is asked for")
        for name, status, word in (("silent", 400, "MODEL:silent"), ("stranger", 404, "Somebody Else 7B")):
            reply = complete(s, name)
            check(reply[0] == status and word in message_of(reply), f"{name}: {status}", reply)
            check(complete(s, "c:" + name)[0] == 200, f"{name} on a named model")


def main():
    os.makedirs(FOLDER)
    os.makedirs(ADAPTERS)
    r = hearth("quantize", EMBER, OTHER, "Q4_0", "--allow-requantize")
    check(r.status == 0, "another model", r)
    for name, source in (("a", EMBER), ("b", OTHER), ("c", EMBER), ("split-00001-of-00001", EMBER)):
        put(source, name + ".gguf")
    on_demand()
    by_age()
    by_memory()
    files()
    whose()
    finish()


if __name__ == "__main__":
    main()
