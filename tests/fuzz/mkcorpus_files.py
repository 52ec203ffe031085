#!/usr/bin/env python3
"""Writes the seeds of the fuzzers of file readers: tests/fuzz/corpus/gguf, tests/fuzz/corpus/safetensors and tests/fuzz/corpus/adapter.

Usage, from the root of the repository: python3 tests/fuzz/mkcorpus_files.py       (no packages needed)

Small valid files that between them have every construct, and a few broken ones that are rejected late. What a fuzzer finds
beyond them and is worth keeping is added by hand under a name that says what it is.
"""
import json
import os
import struct

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "corpus")
U8, I8, U16, I16, U32, I32, F32, BOOL, STRING, ARRAY, U64, I64, F64 = range(13)
CODE = {U8: "B", I8: "b", U16: "H", I16: "h", U32: "I", I32: "i", F32: "f", BOOL: "?", U64: "Q", I64: "q", F64: "d"}


def string(s):
    b = s if isinstance(s, bytes) else s.encode()
    return struct.pack("<Q", len(b)) + b


def scalar(kind, v):
    return string(v) if kind == STRING else struct.pack("<" + CODE[kind], v)


def kv(key, kind, v, element=None):
    if kind != ARRAY:
        return string(key) + struct.pack("<I", kind) + scalar(kind, v)
    return string(key) + struct.pack("<IIQ", ARRAY, element, len(v)) + b"".join(scalar(element, x) for x in v)


def tensor(name, ne, kind, offset):
    return string(name) + struct.pack(f"<I{len(ne)}QIQ", len(ne), *ne, kind, offset)


def gguf(kvs=(), tensors=(), data=b"", version=3, alignment=32):
    b = b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(kvs)) + b"".join(kvs) + b"".join(tensors)
    return b + bytes(-len(b) % alignment) + data if tensors else b


def safetensors(header, data=b""):
    b = (header if isinstance(header, bytes) else json.dumps(header, separators=(",", ":")).encode())
    b += b" " * (-len(b) % 8)
    return struct.pack("<Q", len(b)) + b + data


def entry(dtype, shape, begin, end):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


kinds = [kv("u8", U8, 200), kv("i8", I8, -5), kv("u16", U16, 60000), kv("i16", I16, -300), kv("u32", U32, 4000000000),
         kv("i32", I32, -70000), kv("f32", F32, 1.5), kv("bool", BOOL, True), kv("string", STRING, "héllo"),
         kv("u64", U64, 2**64 - 1), kv("i64", I64, -2**63), kv("f64", F64, 0.1)]
arrays = [kv(f"array.{k}", ARRAY, [0, 1, 2] if k != BOOL else [True, False, True], k) for k in CODE]
arrays.append(kv("array.strings", ARRAY, ["a", "", "ccc"], STRING))
arrays.append(kv("array.empty", ARRAY, [], F32))
model = [kv("general.architecture", STRING, "llama"), kv("llama.block_count", U32, 1), kv("llama.rope.freq_base", F32, 1e4)]

lora = [kv("general.type", STRING, "adapter"), kv("adapter.type", STRING, "lora"), kv("general.architecture", STRING, "llama"), kv("adapter.lora.alpha", F32, 6)]
pair = [tensor("blk.0.attn_v.weight.lora_a", [32, 3], 0, 0), tensor("blk.0.attn_v.weight.lora_b", [3, 64], 0, 384)]
peft = {"peft_type": "LORA", "r": 3, "lora_alpha": 6}

files = {
    "gguf/empty": gguf(),
    "gguf/kinds": gguf(kinds),
    "gguf/arrays": gguf(arrays),
    "gguf/version2": gguf(model, [tensor("t", [8], 0, 0)], bytes(32), version=2),
    "gguf/tensors": gguf(model, [tensor("token_embd.weight", [4, 3], 0, 0), tensor("blk.0.q", [32, 2], 8, 64),
                                 tensor("h", [2, 1, 2, 1], 1, 160), tensor("x", [], 24, 192)], bytes(range(224))),
    "gguf/overlapping": gguf([], [tensor("a", [16], 0, 0), tensor("b", [8], 0, 32)], bytes(64)),
    "gguf/alignment": gguf([kv("general.alignment", U32, 64)], [tensor("a", [1], 24, 64)], bytes(65), alignment=64),
    "gguf/split": gguf([kv("split.no", U16, 0), kv("split.count", U16, 2), kv("split.tensors.count", I32, 2)]),
    "gguf/split-merged": gguf([kv("split.no", U16, 0), kv("split.count", U16, 0)]),
    "gguf/nan": gguf([kv("eps", F32, float("nan")), kv("inf", F64, float("inf"))]),
    "gguf/duplicate-key": gguf([kv("a", U8, 1), kv("a", U8, 1)]),
    "gguf/nested-array": gguf([string("a") + struct.pack("<IIQIQ", ARRAY, ARRAY, 1, U8, 0)]),
    "gguf/past-the-end": gguf([], [tensor("a", [9], 0, 0)], bytes(32)),
    "gguf/unknown-type": gguf([], [tensor("a", [9], 31, 0)], bytes(32)),
    "gguf/big-endian": b"GGUF" + struct.pack(">IQQ", 3, 0, 0),
    "safetensors/empty": safetensors({}),
    "safetensors/metadata": safetensors({"__metadata__": {"format": "pt", "é": "\n"}}),
    "safetensors/metadata-null": safetensors({"__metadata__": None}),
    "safetensors/types": safetensors(
        {f"t{i}": entry(d, [1], sum(w for _, w in pairs[:i]), sum(w for _, w in pairs[:i + 1])) for pairs in [
            [("F64", 8), ("F32", 4), ("F16", 2), ("BF16", 2), ("I64", 8), ("I32", 4), ("I16", 2), ("I8", 1), ("U64", 8),
             ("U32", 4), ("U16", 2), ("U8", 1), ("BOOL", 1)]] for i, (d, _) in enumerate(pairs)}, bytes(47)),
    "safetensors/shapes": safetensors({"a": entry("U8", [2, 1, 3, 1, 1, 2], 0, 12), "b": entry("F32", [], 12, 16),
                                       "c": entry("F32", [0, 5], 16, 16), "d": entry("F16", [2, 2], 16, 24)}, bytes(24)),
    "safetensors/gap": safetensors({"a": entry("U8", [2], 0, 2), "b": entry("U8", [2], 3, 5)}, bytes(5)),
    "safetensors/float8": safetensors({"a": entry("F8_E4M3", [2], 0, 2)}, bytes(2)),
    "safetensors/duplicate": safetensors(b'{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":1}', bytes(1)),
    "adapter/gguf": gguf(lora, pair, bytes(384 + 768)),
    "adapter/gguf-activated": gguf(lora + [kv("adapter.alora.invocation_tokens", ARRAY, [1, 2, 3], U32)], pair, bytes(384 + 768)),
    "adapter/gguf-half": gguf(lora, pair[:1], bytes(384)),
    "adapter/edits": b"\0" + bytes([40, 1, 0, 9, 200, 0, 2, 5]),
    "adapter/no-edits": b"\0",
    "adapter/peft": json.dumps(peft | {"use_rslora": True, "bias": "none", "modules_to_save": None}).encode(),
    "adapter/peft-patterns": json.dumps(peft | {"r": 8, "rank_pattern": {"v_proj": 3}, "alpha_pattern": {"self_attn.v_proj": 2}}).encode(),
    "adapter/peft-activated": json.dumps(peft | {"alora_invocation_tokens": [1, 2, 3]}).encode(),
    "adapter/peft-refused": json.dumps(peft | {"modules_to_save": ["lm_head"]}).encode(),
    "adapter/mlx": json.dumps({"fine_tune_type": "lora", "lora_parameters": {"rank": 3, "scale": 20.0, "alpha": 6}}).encode(),
    "adapter/module": b"mbase_model.model.model.layers.12.self_attn.q_proj",
}

for name, content in files.items():
    path = os.path.join(HERE, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as f:
        f.write(content)
