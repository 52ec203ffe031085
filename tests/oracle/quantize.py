#!/usr/bin/env python3
"""Holds `hearth quantize` against the peer.

    types    the type of each tensor, for every target, on made-up models of many shapes (names and shapes are all that the rules
             see) and on the shared tiny architectures; the peer must load what Hearth wrote
    kld      mean KL divergence on held-out text: each program's logits from a quantised file against its own logits from the same
             weights decoded to F32, on files of both programs; and of the quantised files against the original model

Usage: PEER=program PEER_LIBS=folder tests/oracle/quantize.py [--arch FOLDER] [types] [kld]
FOLDER holds the unpacked arch.tar.xz of the shared data. Exits with 1 if a type differs, or if Hearth's divergence is beyond the bounds (1e-3
and 1.1 times the peer's; 1e-4 for F16 and BF16, whose prompts Hearth computes in bfloat16).
"""
import argparse
import glob
import os
import struct
import subprocess
import sys
import tempfile

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
HEARTH = os.environ.get("HEARTH", os.path.join(TOP, "build/hearth"))
PEER = os.environ.get("PEER")

try:
    import gguf
    import numpy as np
except ImportError as missing:
    print(f"SKIPPED: quantize oracle: {missing} (pip install gguf numpy)")
    sys.exit(0)
if not PEER:
    print("SKIPPED: quantize oracle: PEER is not set")
    sys.exit(0)

# Targets and GGUF's numbers for them. The peer makes no NVFP4.
FILE_TYPES = {"F32": 0, "F16": 1, "Q4_0": 2, "Q4_1": 3, "Q8_0": 7, "Q5_0": 8, "Q5_1": 9, "Q2_K": 10, "Q3_K_S": 11, "Q3_K_M": 12,
              "Q3_K_L": 13, "Q4_K_S": 14, "Q4_K_M": 15, "Q5_K_S": 16, "Q5_K_M": 17, "Q6_K": 18, "IQ4_NL": 25, "IQ4_XS": 30,
              "BF16": 32, "TQ1_0": 36, "TQ2_0": 37, "MXFP4": 38, "Q1_0": 40, "Q2_0": 41}

# name: architecture, layers, heads, KV heads, width, feed-forward width, experts, tied, style of attention
SHAPES = {
    "llama": ("llama", 12, 8, 2, 256, 512, 0, False, "split"),
    "llama-tied": ("llama", 5, 8, 4, 256, 512, 0, True, "split"),
    "llama-ungrouped": ("llama", 33, 4, 4, 256, 256, 0, False, "split"),
    "llama-80": ("llama", 80, 8, 1, 256, 256, 0, False, "split"),
    "qwen2-80": ("qwen2", 80, 8, 2, 256, 256, 0, True, "split"),
    "mixtral": ("llama", 9, 8, 2, 256, 256, 8, False, "split"),
    "qwen3moe": ("qwen3moe", 10, 8, 2, 256, 256, 16, False, "split"),
    "falcon": ("falcon", 32, 8, 1, 256, 512, 0, False, "fused"),
    "falcon-odd": ("falcon", 6, 8, 1, 288, 512, 0, False, "fused"),
    "phi3": ("phi3", 17, 8, 8, 256, 512, 0, False, "fused"),
    "odd-96": ("llama", 4, 8, 4, 96, 704, 0, False, "split"),
    "odd-100": ("llama", 4, 4, 4, 100, 352, 0, True, "split"),
    "no-keys": ("llama", 4, 4, 0, 256, 256, 0, False, "split"),
}


def write_shape(path, shape):
    arch, layers, heads, heads_kv, width, ff, experts, tied, style = shape
    rng = np.random.default_rng(1)
    w = gguf.GGUFWriter(path, arch)
    w.add_vocab_size(64)
    w.add_context_length(128)
    w.add_embedding_length(width)
    w.add_block_count(layers)
    w.add_feed_forward_length(ff)
    w.add_head_count(heads)
    if heads_kv:
        w.add_head_count_kv(heads_kv)
    w.add_layer_norm_rms_eps(1e-5)
    w.add_layer_norm_eps(1e-5)
    if experts:
        w.add_expert_count(experts)
        w.add_expert_used_count(2)
        w.add_expert_feed_forward_length(ff)
    w.add_tokenizer_model("none")

    def matrix(name, *shape):  # two rows are enough for the rules
        shape = shape[:-2] + (2, shape[-1])
        w.add_tensor(name, rng.standard_normal(shape, dtype=np.float32).astype(np.float16))

    def vector(name, n):
        w.add_tensor(name, np.ones(n, np.float32))

    matrix("token_embd.weight", 64, width)
    if not tied:
        matrix("output.weight", 64, width)
    vector("output_norm.weight", width)
    kv = width // heads * (heads_kv or heads)
    for i in reversed(range(layers)):  # the rules must not depend on the order of the file
        b = f"blk.{i}."
        vector(b + "attn_norm.weight", width)
        if style == "fused":
            matrix(b + "attn_qkv.weight", width + 2 * kv, width)
            vector(b + "attn_qkv.bias", width + 2 * kv)
        else:
            matrix(b + "attn_q.weight", width, width)
            matrix(b + "attn_k.weight", kv, width)
            matrix(b + "attn_v.weight", kv, width)
        matrix(b + "attn_output.weight", width, width)
        if experts:
            w.add_tensor(b + "ffn_gate_inp.weight", rng.standard_normal((experts, width), dtype=np.float32))
            for part in ("gate", "up"):
                matrix(b + f"ffn_{part}_exps.weight", experts, ff, width)
            matrix(b + "ffn_down_exps.weight", experts, width, ff)
        else:
            for part in ("gate", "up"):
                matrix(b + f"ffn_{part}.weight", ff, width)
            matrix(b + "ffn_down.weight", width, ff)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def run(*command, may_fail=False):
    p = subprocess.run([str(c) for c in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    if p.returncode and not may_fail:
        sys.exit(f"{' '.join(map(str, command))}: {p.stderr.decode(errors='replace')}")
    return p.returncode, p.stderr.decode(errors="replace")


def types_of(path):
    """{tensor: number of its type}, general.file_type; read by hand, since the gguf package does not know all types."""
    with open(path, "rb") as f:
        magic, version, n_tensors, n_keys = struct.unpack("<4sIQQ", f.read(24))
        assert magic == b"GGUF" and version == 3, path

        def text():
            return f.read(struct.unpack("<Q", f.read(8))[0]).decode()

        def value(kind):
            if kind == 8:
                return text()
            if kind == 9:
                element, n = struct.unpack("<IQ", f.read(12))
                return [value(element) for _ in range(n)]
            form = "<" + "BbHhIif?\0\0Qqd"[kind]
            return struct.unpack(form, f.read(struct.calcsize(form)))[0]

        keys, types = {}, {}
        for _ in range(n_keys):
            key = text()
            keys[key] = value(struct.unpack("<I", f.read(4))[0])
        for _ in range(n_tensors):
            name = text()
            f.read(8 * struct.unpack("<I", f.read(4))[0])
            types[name] = struct.unpack("<IQ", f.read(12))[0]
        return types, keys["general.file_type"]


def compare_types(folder, name, source):
    """The number of targets compared and of tensors that differ."""
    compared = different = 0
    for target, number in FILE_TYPES.items():
        ours, theirs = os.path.join(folder, "ours.gguf"), os.path.join(folder, "theirs.gguf")
        status, message = run(PEER, "quantize", source, theirs, number, may_fail=True)
        if status:
            print(f"SKIPPED: {name} {target}: the peer refuses: {message.strip()[:200]}")
            continue
        run(HEARTH, "quantize", source, ours, target)
        (a, a_number), (b, b_number) = types_of(ours), types_of(theirs)
        wrong = [f"{t}: {a.get(t)}, the peer {b[t]}" for t in b if a.get(t) != b[t]]
        if a_number != b_number or len(a) != len(b):
            wrong.append(f"general.file_type {a_number}, the peer {b_number}; {len(a)} tensors, the peer {len(b)}")
        for line in wrong[:8]:
            print(f"{name} {target}: {line}")
        compared, different = compared + 1, different + len(wrong)
    return compared, different


def check_types(arch_folder):
    total = bad = 0
    with tempfile.TemporaryDirectory() as folder:
        sources = []
        for name, shape in SHAPES.items():
            path = os.path.join(folder, name + ".gguf")
            write_shape(path, shape)
            sources.append((name, path))
        sources += [(os.path.basename(p), p) for p in sorted(glob.glob(os.path.join(arch_folder or folder + "/none", "*.gguf")))]
        for name, path in sources:
            compared, different = compare_types(folder, name, path)
            total, bad = total + compared, bad + different
    print(f"types: {total} files of {len(sources)} models compared, {bad} tensors differ")
    return bad


def divergence(base, other):
    """Mean KL divergence in nats of softmax(other) from softmax(base), row by row."""
    def log_softmax(x):
        x = x - x.max(axis=1, keepdims=True)
        return x - np.log(np.exp(x).sum(axis=1, keepdims=True))

    p, q = log_softmax(base.astype(np.float64)), log_softmax(other.astype(np.float64))
    return float((np.exp(p) * (p - q)).sum(axis=1).mean())


def ratio(a, b):
    return a / b if b else 1.0 if a == b else float("inf")


def check_kld(tokens):
    bad = 0
    with tempfile.TemporaryDirectory() as folder:
        def file(name):
            return os.path.join(folder, name)

        def logits(which, model):
            out = file("logits")
            if which == "peer":
                run(PEER, "logits", model, file("ids"), out)
            else:
                run(HEARTH, "logits", model, "--ids", file("ids"), "--out", out)
            return np.fromfile(out, np.float32).reshape(tokens, -1)

        model = os.path.join(TOP, "models/ember/ember.gguf")
        with open(os.path.join(TOP, "models/ember/heldout.txt"), "rb") as f:
            text = f.read(tokens * 16)
        p = subprocess.run([HEARTH, "tokenize", model], input=text, stdout=subprocess.PIPE, check=True)
        with open(file("ids"), "w", encoding="ascii") as f:
            f.write(" ".join(p.stdout.decode().split()[:tokens]))
        run(HEARTH, "quantize", model, file("f32.gguf"), "F32")
        original = logits("hearth", file("f32.gguf"))
        print("               quantised against decoded              | weights against the original's")
        print("target         Hearth      peer        ratio          | Hearth's    peer's      ratio")
        for target, pure in [(t, False) for t in FILE_TYPES if t != "F32"] + [("NVFP4", True), ("MXFP4", True)] + \
                [(t, True) for t in ("Q2_K", "Q3_K_S", "Q4_K", "Q5_K", "IQ4_XS", "IQ4_NL", "Q4_0", "TQ1_0", "TQ2_0", "Q1_0", "Q2_0")]:
            run(HEARTH, "quantize", file("f32.gguf"), file("q.gguf"), target, *(["--pure"] if pure else []))
            run(HEARTH, "quantize", file("q.gguf"), file("d.gguf"), "F32")
            exact = logits("hearth", file("d.gguf"))
            ours = divergence(exact, logits("hearth", file("q.gguf")))
            status, _ = run(PEER, "logits", file("q.gguf"), file("ids"), file("logits"), may_fail=True)
            theirs = float("nan") if status else divergence(logits("peer", file("d.gguf")), logits("peer", file("q.gguf")))
            quality, their_quality = divergence(original, exact), float("nan")
            if not pure and target in FILE_TYPES:
                run(PEER, "quantize", file("f32.gguf"), file("p.gguf"), FILE_TYPES[target])
                run(HEARTH, "quantize", file("p.gguf"), file("d.gguf"), "F32")
                their_quality = divergence(original, logits("hearth", file("d.gguf")))
            within = ours <= 1e-4 if target in ("F16", "BF16") else ours <= 1e-3 and not ours > 1.1 * theirs
            bad += not within
            print(f"{target + (' pure' if pure else ''):14} {ours:.3e}   {theirs:.3e}   {ratio(ours, theirs):6.3f}  {'' if within else 'BEYOND':6} | "
                  f"{quality:.3e}   {their_quality:.3e}   {ratio(quality, their_quality):6.3f}", flush=True)
    print(f"kld: {bad} beyond the bounds")
    return bad


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--arch")
    ap.add_argument("--tokens", type=int, default=512)
    ap.add_argument("what", nargs="*", choices=[[], "types", "kld"])
    a = ap.parse_args()
    bad = 0
    if not a.what or "types" in a.what:
        bad += check_types(a.arch)
    if not a.what or "kld" in a.what:
        bad += check_kld(a.tokens)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
