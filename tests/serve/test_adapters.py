#!/usr/bin/env python3
"""test_adapters.py: adapters of `hearth serve` by name: found in a folder, loaded and unloaded while the server runs, in both dialects; a dozen at once, each of which
must say what it says alone, to the last bit of every logprob; what is refused, and that no path leads out of the folder."""
import concurrent.futures
import json
import os
import shutil
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from server import Server, wait_until  # noqa: E402
from hearth import EMBER, TMP, TOP, check, finish, hearth  # noqa: E402

sys.path.insert(0, os.path.join(TOP, "tests/golden"))
from ggufmodel import Writer  # noqa: E402

CHAT, MESSAGES, COMPLETIONS = "/v1/chat/completions", "/v1/messages", "/v1/completions"
LOAD, UNLOAD = "/v1/load_lora_adapter", "/v1/unload_lora_adapter"
FOLDER = os.path.join(TMP.name, "adapters")
ASIDE = os.path.join(TMP.name, "elsewhere")
MANY = 12
PROMPT = "Once upon a time there was a small village by the sea, where"
HELLO = [{"role": "user", "content": "Tell me a story about a fox and the moon."}]


def write_gguf(path, seed, strength=1.0, width=256, arch="qwen3", **keys):
    """For a few matrices of the embedded model, 256 wide."""
    w = Writer(f"adapter {seed}", arch)
    for key, value in ({"general.type": "adapter", "adapter.type": "lora", "adapter.lora.alpha": 4.0} | keys).items():
        w.put(key, value)
    for layer in range(4):
        for part, n_in, n_out in (("attn_output", 512, width), ("ffn_down", 768, width)):
            w.random(f"blk.{layer}.{part}.weight.lora_a", (n_in, 4), n_in ** -0.5)
            w.random(f"blk.{layer}.{part}.weight.lora_b", (4, n_out), strength / 2)
    w.save(path)
    return path


def write_peft(folder, seed, **config):
    import struct
    from array import array
    w = Writer(f"peft {seed}", "qwen3")
    tensors = {}
    for layer in range(4):
        for half, shape, std in (("lora_A", (4, 512), 512 ** -0.5), ("lora_B", (256, 4), 0.25)):
            w.random(f"{half}.{layer}", (shape[1], shape[0]), std)
            tensors[f"base_model.model.model.layers.{layer}.self_attn.o_proj.{half}.weight"] = (shape, array("f", w.tensors[-1][3]).tobytes())
    header, body = {}, b""
    for name, (shape, raw) in tensors.items():
        header[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [len(body), len(body) + len(raw)]}
        body += raw
    head = json.dumps(header).encode()
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "adapter_model.safetensors"), "wb") as out:
        out.write(struct.pack("<Q", len(head)) + head + body)
    with open(os.path.join(folder, "adapter_config.json"), "w", encoding="utf-8") as out:
        json.dump({"peft_type": "LORA", "task_type": "CAUSAL_LM", "r": 4, "lora_alpha": 8, "bias": "none"} | config, out)
    return folder


def ids_of(text):
    return [t["id"] if isinstance(t, dict) else t for t in map(int, [w for w in hearth("tokenize", EMBER, "--special", stdin=text).text.replace("\t", " ").split() if w.isdigit()])]


def complete(s, model, prompt=PROMPT, **more):
    return s.post(COMPLETIONS, {"model": model, "prompt": prompt, "max_tokens": 16, "temperature": 0, "logprobs": 2, **more})


def said(reply):
    """All that depends on the logits."""
    status, _, body = reply
    return body["choices"][0] if status == 200 else (status, body)


def message_of(reply):
    return reply[2].get("error", {}).get("message", "") if isinstance(reply[2], dict) else ""


def listed(s):
    return {m["id"]: m for m in s.get("/v1/models")[2]["data"]}


def by_name(s):
    models = listed(s)
    check({"ember", "a0", "peft", "act"} <= models.keys() and "text" not in models, "what is in the folder is listed", models.keys())
    check(models["a0"]["parent"] == "ember" and models["a0"]["root"] == "a0.gguf" and models["ember"]["parent"] is None and models["peft"]["root"] == "peft", "with its model", models)
    check(models["ember"]["status"]["value"] == "loaded" and models["a0"]["state"] == "not-loaded" and models["ember"]["max_model_len"] > 0, "and its state", models)
    check(all(m["object"] == "model" and isinstance(m["created"], int) for m in models.values()), "in OpenAI's shape", models)
    base, one, other = (said(complete(s, n)) for n in ("ember", "a0", "a1"))
    check(base["text"] and len({json.dumps(x) for x in (base, one, other)}) == 3, "adapters change what is said", (base, one, other))
    reply = complete(s, "ember:a0")
    check(said(reply) == one and reply[2]["model"] == "a0", "MODEL:ADAPTER is the same", reply)
    check(listed(s)["a0"]["state"] == "loaded", "it is open now", listed(s)["a0"])
    status, _, shown = s.get("/v1/models/a0")
    check(status == 200 and shown["id"] == "a0", "and can be looked at", shown)
    chats = [s.post(CHAT, {"model": m, "messages": HELLO, "max_tokens": 16, "temperature": 0}) for m in ("ember", "a0", "peft")]
    texts = [json.dumps(c[2]["choices"][0]["message"]) for c in chats]
    check([c[2]["model"] for c in chats] == ["ember", "a0", "peft"] and len(set(texts)) == 3, "in chat", chats)
    claude = [s.post(MESSAGES, {"model": m, "messages": HELLO, "max_tokens": 16, "temperature": 0}) for m in ("ember", "a0", "ember:peft")]
    check([c[2].get("model") for c in claude] == ["ember", "a0", "peft"] and len({json.dumps(c[2]["content"]) for c in claude}) == 3, "in the other dialect", claude)
    events = [json.loads(d) for _, d in s.stream(CHAT, {"model": "a0", "messages": HELLO, "max_tokens": 16, "temperature": 0, "stream": True}) if d != "[DONE]"]
    streamed = "".join(e["choices"][0]["delta"].get("content") or "" for e in events if e["choices"])
    check(streamed == (chats[1][2]["choices"][0]["message"]["content"] or "") and events[0]["model"] == "a0", "streamed", events)


def mixed(s):
    """Everybody at once, several times over; prompts of several lengths, so that steps hold prompts and tokens of different adapters."""
    wanted = [(f"a{i}", PROMPT + " the" * (7 * i)) for i in range(MANY)] + [("ember", PROMPT), ("peft", PROMPT), ("act", "It began. " + PROMPT)]
    alone = [said(complete(s, *w)) for w in wanted]
    check(all(isinstance(a, dict) for a in alone) and len({a["text"] for a in alone}) > MANY / 2, "each alone", alone)
    with concurrent.futures.ThreadPoolExecutor(len(wanted)) as threads:
        for turn in range(3):
            together = list(threads.map(lambda w: said(complete(s, *w)), wanted[turn:] + wanted[:turn]))
            differ = [wanted[i][0] for i, a in enumerate(alone[turn:] + alone[:turn]) if together[i] != a]
            check(not differ, f"{len(wanted)} at once say what each says alone, to the last bit", differ)


def activated(s):
    """What stands before the invocation is the model's own, and is shared with it."""
    long = "The old man looked at the sea and said nothing for a long while. " * 12
    cached = lambda r: r[2]["usage"]["prompt_tokens_details"]["cached_tokens"]  # noqa: E731
    plain = complete(s, "ember", long + PROMPT)
    first = complete(s, "act", long + PROMPT)
    check(said(first) != said(plain) and cached(first) > 64, "an activated adapter takes over the model's prompt", (cached(first), first[2]["usage"], said(first)))
    check(said(complete(s, "act", long)) == said(complete(s, "ember", long)), "without its invocation the model answers alone")
    first = complete(s, "a0", long + PROMPT)
    again = complete(s, "a0", long + PROMPT)
    check(cached(first) == 0 and cached(again) > 64 and said(first) == said(again), "an ordinary one does not, but finds its own", (cached(first), cached(again)))


def numbered(s):
    """As llama.cpp has it: the list of adapters, and which of them a request wants."""
    status, _, adapters = s.get("/lora-adapters")
    ids = {a["name"]: a["id"] for a in adapters}
    check(status == 200 and len(ids) == MANY + 2 and len(set(ids.values())) == len(ids) and all(a["scale"] == 0 and "/" not in a["path"] for a in adapters), "the list", adapters)
    one = said(complete(s, "a1"))
    reply = complete(s, "ember", lora=[{"id": ids["a0"], "scale": 0}, {"id": ids["a1"], "scale": 1.0}])
    check(said(reply) == one and reply[2]["model"] == "a1", "by its number", reply)
    check(said(complete(s, "a0", lora=[{"id": ids["a1"], "scale": 1}])) == one, "which says more than a name")
    check(said(complete(s, "a0", lora=[])) == said(complete(s, "ember")), "none")
    for lora, field in ((5, "lora"), ([5], "lora[0]"), ([{}], "lora[0].id"), ([{"id": -1}], "lora[0].id"), ([{"id": 99, "scale": 1}], "lora"), ([{"id": 0, "scale": 0.5}], "lora[0].scale"),
                        ([{"id": 0, "scale": 1}, {"id": 1, "scale": 1}], "lora[1].scale"), ([{"id": 0, "scale": "x"}], "lora[0].scale")):
        reply = complete(s, "ember", lora=lora)
        check(reply[0] == 400 and reply[2]["error"]["param"] == field, f"lora {lora} is refused", reply)


def loading(s):
    write_gguf(os.path.join(FOLDER, "late.gguf"), 50)
    check(complete(s, "late")[0] == 404, "a new file is not known by itself")
    status, headers, body = s.post(LOAD, {"lora_name": "fresh", "lora_path": "late.gguf"})
    check(status == 200 and body == b"Success: LoRA adapter 'fresh' added successfully." and headers["Content-Type"].startswith("text/plain"), "loaded", (status, headers, body))
    first = said(complete(s, "fresh"))
    check(listed(s)["fresh"]["parent"] == "ember" and first["text"], "and used", first)
    reply = s.post(LOAD, {"lora_name": "fresh", "lora_path": "late.gguf"})
    check(reply[0] == 400 and "already been loaded" in message_of(reply), "twice", reply)
    write_gguf(os.path.join(FOLDER, "late.gguf.new"), 51)
    os.replace(os.path.join(FOLDER, "late.gguf.new"), os.path.join(FOLDER, "late.gguf"))
    second = said(complete(s, "fresh"))
    check(second != first and said(complete(s, "fresh")) == second, "a file that has changed is read anew", (first, second))
    check(s.post(LOAD, {"lora_name": "fresh", "lora_path": os.path.join(FOLDER, "peft"), "load_inplace": True})[0] == 200, "replaced, by a whole path")
    check(said(complete(s, "fresh")) == said(complete(s, "peft")), "the new one acts")
    check(s.post(LOAD, {"lora_name": "of/ember", "lora_path": "a0.gguf", "base_model_name": "ember"})[0] == 200 and said(complete(s, "of/ember")) == said(complete(s, "a0")), "for a named model")
    # unloading: who is being answered is answered to the end
    events = s.stream(COMPLETIONS, {"model": "fresh", "prompt": PROMPT, "max_tokens": 200, "temperature": 0, "ignore_eos": True, "stream": True})
    next(events)
    status, _, body = s.post(UNLOAD, {"lora_name": "fresh"})
    check(status == 200 and body == b"Success: LoRA adapter 'fresh' removed successfully.", "unloaded", (status, body))
    check(complete(s, "fresh")[0] == 404 and "fresh" not in listed(s), "it is gone")
    rest = [d for _, d in events]
    check(rest[-1] == "[DONE]" and json.loads(rest[-2])["choices"][0]["finish_reason"] == "length", "while it was in use", rest[-2:])
    check(s.post(UNLOAD, {"lora_name": "fresh"})[0] == 404, "twice")
    check(s.post(UNLOAD, {})[0] == 400 and s.post(UNLOAD, {"lora_name": 5})[0] == 400 and s.post(UNLOAD, {"lora_name": "ember"})[0] == 404, "what cannot be unloaded")
    check(s.post(UNLOAD, {"lora_name": "a11"})[0] == 200 and complete(s, "a11")[0] == 404, "also one of the folder")


def refused(s):
    os.makedirs(ASIDE, exist_ok=True)
    secret = write_gguf(os.path.join(ASIDE, "secret.gguf"), 60)
    os.symlink(secret, os.path.join(FOLDER, ".link.gguf"))
    write_gguf(os.path.join(FOLDER, "wide.gguf"), 61, width=320)
    write_gguf(os.path.join(FOLDER, "llama.gguf"), 62, arch="llama")
    write_peft(os.path.join(FOLDER, "dora"), 63, use_dora=True)
    with open(os.path.join(FOLDER, "junk.gguf"), "wb") as out:
        out.write(b"GGUF" + bytes(100))
    shutil.copy(EMBER, os.path.join(FOLDER, "model.gguf"))
    for path, status, word in (("../elsewhere/secret.gguf", 400, "leads out"), ("../elsewhere/nothing", 400, "leads out"), (secret, 400, "leads out"), ("/etc/passwd", 400, "leads out"), ("/no/such/file", 400, "leads out"),
                               (".link.gguf", 400, "leads out"), (FOLDER + "/../elsewhere/secret.gguf", 400, "leads out"), ("..", 400, "leads out"), (".", 400, "leads out"), ("", 400, "lora_path"), ("a0.gguf\0", 400, "no path"),
                               ("x" * 5000, 400, "no path"), ("x" * 300, 404, "nothing named"), ("nothing.gguf", 404, "nothing named"), ("wide.gguf", 400, "blk.0.attn_output.weight"), ("llama.gguf", 400, "llama"),
                               ("dora", 400, "use_dora"), ("junk.gguf", 400, "junk.gguf"), ("model.gguf", 400, "general.type"), (5, 400, "lora_path"), (None, 400, "lora_path")):
        reply = s.post(LOAD, {"lora_name": "bad", "lora_path": path})
        check(reply[0] == status and word in message_of(reply), f"{str(path)[:40]!r} is refused with {status} and '{word}'", reply)
    wide = message_of(s.post(LOAD, {"lora_name": "bad", "lora_path": "wide.gguf"}))
    check("{4, 320}" in wide and "{4, 256}" in wide, "a shape that does not fit is named, and the one that would", wide)
    for name, word in (("", "lora_name"), ("x" * 200, "128"), ("a\nb", "control"), ("ember", "model"), (["x"], "lora_name")):
        reply = s.post(LOAD, {"lora_name": name, "lora_path": "a0.gguf"})
        check(reply[0] == 400 and word in message_of(reply), f"the name {str(name)[:20]!r} is refused", reply)
    check(s.post(LOAD, {"lora_name": "bad", "lora_path": "a0.gguf", "base_model_name": "nothing"})[0] == 404, "a model that there is not")
    check(s.post(LOAD, b"{")[0] == 400 and s.post(LOAD, b"[]")[0] == 400, "bodies that are none")
    check("bad" not in listed(s) and complete(s, "bad")[0] == 404, "nothing of it stays")
    names = ("../ember", "/ember", "a0/../ember", "..", "/", "ember\0", "\0", "x" * 100000, "ember:", ":a0", "ember:a0:a0", "a0:ember", "ember:../a0", "EMBER", "%00", "./../ember.gguf", FOLDER + "/a0.gguf", "/etc/passwd")
    for name in names:
        reply = complete(s, name)
        check(reply[0] == 404 and reply[2]["error"]["code"] == "model_not_found", f"the model {name[:30]!r} is not found", reply[0])
        status, _, body = s.post(MESSAGES, {"model": name, "messages": HELLO, "max_tokens": 2})
        check(status == 404 and body["type"] == "error" and body["error"]["type"] == "not_found_error", f"nor in the other dialect: {name[:30]!r}", body)
    check(complete(s, "somebody/ember")[0] == 200 and complete(s, "ember.gguf")[0] == 200, "a publisher and an ending do not matter")


def main():
    os.makedirs(FOLDER)
    for i in range(MANY):
        write_gguf(os.path.join(FOLDER, f"a{i}.gguf"), i)
    write_peft(os.path.join(FOLDER, "peft"), 20, base_model_name_or_path="somebody/ember")
    begin = ids_of(PROMPT)[:3]
    write_gguf(os.path.join(FOLDER, "act.gguf"), 21, **{"adapter.alora.invocation_tokens": ids_of(" Once upon")[-2:] or begin})
    with open(os.path.join(FOLDER, "text.txt"), "w", encoding="utf-8") as out:
        out.write("no adapter")
    with Server("--adapters-dir", FOLDER, "--parallel", 16) as s:
        by_name(s)
        mixed(s)
        activated(s)
        numbered(s)
        loading(s)
        refused(s)
        mixed_again = said(complete(s, "a3"))
        check(mixed_again == said(complete(s, "ember:a3")), "and all goes on")
        status, err = s.stop()
        check(status == 0 and "ERROR" not in err, "it ends in order", err[-2000:])
    with Server() as s:
        reply = s.post(LOAD, {"lora_name": "x", "lora_path": "a0.gguf"})
        check(reply[0] == 400 and "--adapters-dir" in message_of(reply), "without a folder nothing is loaded", reply)
    finish()


if __name__ == "__main__":
    main()
