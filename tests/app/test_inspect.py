#!/usr/bin/env python3
"""test_inspect.py: hearth inspect: its facts, on models, vocabularies, and what is neither."""
import glob
import os
import struct
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from hearth import *  # noqa: E402,F403


def ember():
    j = hearth("inspect", EMBER, "--json", "--tensors", "--keys").json
    check(j["file"]["architecture"] == "qwen3" and j["file"]["size"] == os.path.getsize(EMBER) and j["runs"] is True, "the file", j["file"])
    check(j["file"]["tensors"] == len(j["tensor_list"]) == sum(t["tensors"] for t in j["types"].values()), "tensors add up", j["types"])
    check(sum(t["bytes"] for t in j["tensor_list"]) == sum(t["bytes"] for t in j["types"].values()), "bytes add up", j["types"])
    check(j["file"]["parameters"] == sum(t["parameters"] for t in j["types"].values()), "parameters add up", j["types"])
    m = j["model"]
    check((m["layers"], m["width"], m["heads"], m["kv_heads"], m["context"]) == (4, 256, 8, 4, 32768), "the sizes that its README names", m)
    check(j["tokenizer"]["tokens"] == m["vocabulary"] == 2048 and j["tokenizer"]["eos"]["text"] == "<|im_end|>" and j["tokenizer"]["chat_template"] > 1000, "the tokenizer", j)
    check(j["keys"]["general.architecture"] == "qwen3", "keys", j["keys"])
    kv = 2 * 4 * 4 * 64 * 2  # keys and values, layers, heads, size, bytes
    for context in (1024, 4096):
        mem = hearth("inspect", EMBER, "--json", "-c", context).json["memory"]
        check(mem["at_context"] == context and mem["keys_values_state"] == kv * context and mem["weights"] == os.path.getsize(EMBER), "memory at a context", mem)
    text = hearth("inspect", EMBER)
    check(text.status == 0 and "SentencePiece" in text.text and "32768" in text.text, "as text", text)


def others():
    model = shared("models/stories260K.gguf")
    if model:
        j = hearth("inspect", model, "--json").json
        check(j["runs"] and j["model"]["width"] == 64 and j["tokenizer"]["chat_template"] is False, "stories260K", j)
    if shared("vocab"):
        for path in sorted(glob.glob(os.path.join(SHARED, "data/vocab/*.gguf"))):
            j = hearth("inspect", path, "--json").json
            check(j["runs"] is False and j["tokenizer"].get("tokens", 0) > 100, os.path.basename(path), j)


def key(name, value):
    return struct.pack("<Q", len(name)) + name.encode() + value


def strange():
    text = struct.pack("<IQ", 8, 3) + b"foo"
    r = hearth("inspect", tmp("foo.gguf", b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + key("general.architecture", text) + bytes(64)), "--json")
    check(r.status == 0 and r.json["file"]["architecture"] == "foo" and r.json["runs"] is False, "an architecture that is not known", r)
    refused(FORMAT, "", "inspect", tmp("x.gguf", b"GGUF" + struct.pack("<IQQ", 3, 1 << 60, 1) + bytes(100)))
    refused(CONTEXT, "32768", "inspect", EMBER, "-c", 99999)
    refused(USAGE, "--kv-type", "inspect", EMBER, "--kv-type", "int3")


for test in (ember, others, strange):
    test()
finish()
